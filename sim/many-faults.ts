/** Faults that show only where there are several conversations: something is taken for the same in all of them. */
import type { Fault } from "./faults.ts";

export const MANY_FAULTS: readonly Fault[] = [
	{ name: "news-of-one-conversation", breaks: ["NUDGE-1"], mixes: "news" },
	{ name: "devices-told-to-one-conversation", breaks: ["DEVICE-4"], mixes: "changes" },
	{ name: "deleted-from-one-conversation", breaks: ["DEVICE-4", "GROUP-2"], mixes: "deletions" },
	{ name: "one-sender-key-for-all-groups", breaks: ["GROUP-13"], mixes: "keys" },
	{ name: "connected-to-another-conversation", breaks: ["ORDER-1", "DELIVERED-1"], mixes: "connections" },
];
