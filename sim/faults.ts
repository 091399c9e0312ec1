/** Planted faults: each breaks one promise in one place, to show that the checker would notice. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ConversationDown, ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import type { ConversationUp } from "../protocol/gen/conversation_up_pb.js";
import type { ConversationEvent, Effect } from "../workers/conversation-do/core.ts";
import type { GroupJson } from "../workers/conversation-do/group.ts";
import type { LogRow, Store } from "../workers/conversation-do/store.ts";
import type { Random } from "./random.ts";
import type { SimulatedStore } from "./store.ts";

/** Why the object wakes. */
export type Waking = "start" | "eviction" | "crash";

/** Where a fault can take hold; all are optional. */
export interface Fault {
	name: string;
	/** Rules of which at least one must be reported as broken. */
	breaks: readonly string[];
	/** Frames leave before the turn is committed. */
	sendsBeforeCommit?: boolean;
	/** The device acknowledges an entry before it is on its disk. */
	acknowledgesBeforeStoring?: boolean;
	/** The nudge is lost, and the object thinks that it arrived. */
	dropsNudges?: boolean;
	/** Planted where devices are linked and unlinked. */
	changing?: boolean;
	/** A call that tells of changed devices, and fails, is not repeated. */
	forgetsChanges?: boolean;
	/** The conversation is told lists of devices without their versions. */
	forgetsVersions?: boolean;
	/** Another store for the core that wakes. */
	wrapStore?(store: SimulatedStore, waking: Waking, random: Random): Store;
	/** Changes a call to a group on its way to the object. */
	asked?(event: GroupCall, group: GroupJson | undefined): GroupCall;
	/** What a device of a group does wrong. */
	client?: GroupClientFault;
	/** Planted where there are several conversations: what is taken for the same in all of them. */
	mixes?: "news" | "changes" | "deletions" | "keys" | "connections";
	/** Changes a frame on its way to the object. */
	up?(frame: ConversationUp, head: number): void;
	/** Changes what a turn does. */
	effects?(effects: readonly Effect[], event: ConversationEvent, random: Random): readonly Effect[];
}

/** A call that changes a group. */
export type GroupCall = Extract<ConversationEvent, { type: "changeGroup" | "requestToJoin" }>;

/** What a device of a group does wrong: it keeps its sender key, believes any author, … */
export type GroupClientFault =
	| "keeps-sender-key"
	| "believes-anybody"
	| "forgets-holders"
	| "gives-old-keys"
	| "uses-old-key"
	| "forgets-waiting";

export const NO_FAULT: Fault = { name: "none", breaks: [] };

export const FAULTS: readonly Fault[] = [
	{ name: "accepted-before-commit", breaks: ["DURABLE-1"], sendsBeforeCommit: true },
	{ name: "number-reused-after-crash", breaks: ["ORDER-1"], wrapStore: withoutLastRow },
	{ name: "ids-forgotten-on-eviction", breaks: ["ONCE-1"], wrapStore: withoutIds },
	{ name: "clock-forgotten", breaks: ["ORDER-2"], wrapStore: withoutTime },
	{ name: "wiped-early", breaks: ["KEPT-1"], wrapStore: wipingEarly },
	{ name: "never-wiped", breaks: ["KEPT-1"], wrapStore: (store) => changed(store, { wipe: () => undefined }) },
	{ name: "entry-skipped", breaks: ["DELIVERED-1"], effects: skipEntry },
	{ name: "delivered-out-of-order", breaks: ["DELIVERED-1"], effects: swapEntries },
	{ name: "caught-up-too-early", breaks: ["DELIVERED-2"], effects: hurryCaughtUp },
	{ name: "watermark-goes-back", breaks: ["WATERMARK-1"], effects: lowerWatermarks },
	{ name: "cursor-jumps-ahead", breaks: ["KEPT-1", "DELIVERED-1"], up: jumpToHead },
	{ name: "nudge-dropped", breaks: ["NUDGE-1"], dropsNudges: true },
	{ name: "devices-not-told", breaks: ["DEVICE-4"], changing: true, forgetsChanges: true },
	{ name: "older-list-of-devices-wins", breaks: ["DEVICE-4"], changing: true, forgetsVersions: true },
	{ name: "arrival-forgotten", breaks: ["KEPT-1", "ROSTER-3"], changing: true, wrapStore: withoutArrivals },
	{ name: "removed-device-reads-on", breaks: ["ROSTER-3"], changing: true, effects: keepReading() },
	{
		name: "device-forgotten-by-senders",
		breaks: ["ROSTER-1", "DELIVERED-1"],
		changing: true,
		wrapStore: withoutLastDevice,
	},
	{ name: "acknowledged-before-stored", breaks: ["KEPT-1", "DELIVERED-1"], acknowledgesBeforeStoring: true },
];

/** The store with some methods replaced. */
export function changed(store: SimulatedStore, methods: Partial<Store>): Store {
	return {
		together: (step) => store.together(step),
		head: () => store.head(),
		append: (row) => store.append(row),
		newer: () => store.newer(),
		seniors: () => store.seniors(),
		renew: () => store.renew(),
		wipe: (after, upTo, own) => store.wipe(after, upTo, own),
		withdraw: (number) => store.withdraw(number),
		expire: (before_ms) => store.expire(before_ms),
		waiting: (after) => store.waiting(after),
		waitingBySender: (after, since_ms) => store.waitingBySender(after, since_ms),
		oldestCiphertext: () => store.oldestCiphertext(),
		rows: (after, limit) => store.rows(after, limit),
		entries: (after, limit) => store.entries(after, limit),
		find: (messageId) => store.find(messageId),
		readState: () => store.readState(),
		writeState: (state) => store.writeState(state),
		readGroup: () => store.readGroup(),
		writeGroup: (group) => store.writeGroup(group),
		...methods,
	};
}

function withoutLastRow(store: SimulatedStore, waking: Waking): Store {
	const image = store.image();
	if (waking === "crash") store.restore({ ...image, rows: image.rows.slice(0, -1) });
	return store;
}

function withoutIds(store: SimulatedStore, waking: Waking): Store {
	if (waking !== "eviction") return store;
	const entries: Store["entries"] = (after, limit) =>
		store.entries(after, limit).map((entry) => ({ ...entry, messageId: "0".repeat(32) }));
	return changed(store, { entries, find: () => undefined });
}

function withoutTime(store: SimulatedStore): Store {
	const head: Store["head"] = () => {
		const last = store.head();
		return last === undefined ? undefined : { number: last.number, time_ms: 0 };
	};
	return changed(store, { head });
}

function wipingEarly(store: SimulatedStore): Store {
	const append = (row: LogRow): void => {
		store.append(row);
		store.wipe(row.number - 2, row.number - 1);
	};
	return changed(store, { append });
}

/** What a device may read begins before its arrival. */
export function withoutArrivals(store: SimulatedStore): Store {
	const readState: Store["readState"] = () => store.readState()?.replaceAll(/"arrived":\d+/g, '"arrived":0');
	return changed(store, { readState });
}

/** The newest device is missing from the roster that senders are told of, and is back after each waking. */
function withoutLastDevice(store: SimulatedStore, waking: Waking): Store {
	const state = store.readState();
	if (waking === "start" || state === undefined) return store;
	const json: { devices: unknown[]; version: number } = JSON.parse(state);
	if (json.devices.length < 4) return store;
	const readState: Store["readState"] = () => JSON.stringify({ ...json, devices: json.devices.slice(0, -1) });
	return changed(store, { readState });
}

/** A socket that the core has closed stays open, and gets what others get. */
function keepReading(): NonNullable<Fault["effects"]> {
	const closed = new Set<number>();
	return (effects, event) => {
		// Another world begins.
		if (event.type === "found") closed.clear();
		return effects.flatMap((effect) => {
			if (effect.type === "close") {
				closed.add(effect.socket);
				return [];
			}
			if (effect.type !== "send" || frameOf(effect)?.case !== "entry") return [effect];
			return [effect, ...[...closed].map((socket) => ({ ...effect, socket }))];
		});
	};
}

function frameOf(effect: Effect | undefined): ConversationDown["frame"] | undefined {
	return effect?.type === "send" ? fromBinary(ConversationDownSchema, effect.bytes).frame : undefined;
}

function skipEntry(effects: readonly Effect[], event: ConversationEvent, random: Random): readonly Effect[] {
	if (event.type !== "frame" || !effects.some((effect) => frameOf(effect)?.case === "caughtUp")) return effects;
	return effects.filter((effect) => frameOf(effect)?.case !== "entry" || !random.chance(0.1));
}

function swapEntries(effects: readonly Effect[]): readonly Effect[] {
	const swapped = [...effects];
	for (const [index, effect] of effects.entries()) {
		const next = effects[index + 1];
		if (next === undefined || frameOf(effect)?.case !== "entry" || frameOf(next)?.case !== "entry") continue;
		swapped[index] = next;
		swapped[index + 1] = effect;
		break;
	}
	return swapped;
}

function hurryCaughtUp(effects: readonly Effect[]): readonly Effect[] {
	const caughtUp = effects.find((effect) => frameOf(effect)?.case === "caughtUp");
	const first = effects.findIndex((effect) => frameOf(effect)?.case === "entry");
	if (caughtUp === undefined || first === -1) return effects;
	const others = effects.filter((effect) => effect !== caughtUp);
	return [...others.slice(0, first), caughtUp, ...others.slice(first)];
}

function lowerWatermarks(effects: readonly Effect[], _event: ConversationEvent, random: Random): readonly Effect[] {
	return effects.map((effect) => {
		if (effect.type !== "send") return effect;
		const message = fromBinary(ConversationDownSchema, effect.bytes);
		if (message.frame.case !== "watermark" || !random.chance(0.1)) return effect;
		message.frame.value.delivered = 0;
		return { ...effect, bytes: toBinary(ConversationDownSchema, message) };
	});
}

function jumpToHead(frame: ConversationUp, head: number): void {
	if (frame.frame.case === "acknowledge") frame.frame.value.cursor = head;
}
