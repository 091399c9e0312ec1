/** Faults that are planted in the real client of groups: in its file, or between it and libsignal. */
import { GroupCipher } from "../client/signal/sender_keys.ts";
import type { Store } from "../client/store/database.ts";
import type { Fault } from "./faults.ts";
import { GROUP_FAULTS } from "./group-faults.ts";

/** Of the server's, what only its word keeps from a removed device. */
const SERVER_FAULTS = new Set(["removed-reads-on"]);

export const REAL_GROUP_FAULTS: readonly Fault[] = [
	{ name: "sender-key-kept", breaks: ["GROUP-13"], client: "keeps-sender-key" },
	{ name: "old-key-to-newcomers", breaks: ["GROUP-13"], client: "gives-old-keys" },
	{ name: "old-key-used-again", breaks: ["GROUP-13"], client: "uses-old-key" },
	{ name: "waiting-messages-lost", breaks: ["DELIVERED-1"], client: "forgets-waiting" },
	...GROUP_FAULTS.filter(({ name }) => SERVER_FAULTS.has(name)),
];

/** Goes with the connection to the file, so that it is planted again after each start. */
export function plantInFile(store: Store, { client }: Fault): void {
	if (client === "keeps-sender-key") {
		store.run(
			`CREATE TEMP TRIGGER keep AFTER UPDATE OF distribution ON groups
			 WHEN NEW.distribution IS NULL AND OLD.distribution IS NOT NULL
			 BEGIN UPDATE groups SET distribution = OLD.distribution WHERE peer = OLD.peer; END`,
		);
	}
	if (client === "forgets-waiting") {
		store.run(
			"CREATE TEMP TRIGGER forget BEFORE INSERT ON group_entries WHEN NEW.change = 0 BEGIN SELECT RAISE(IGNORE); END",
		);
	}
}

/** Changes what libsignal is asked for. Returns what undoes it. */
export function plantInCipher({ client }: Fault): () => void {
	const { prototype } = GroupCipher;
	const { distribution, seal } = prototype;
	if (client === "gives-old-keys") {
		const first = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
		prototype.distribution = function (group, id) {
			const given = first.get(id) ?? distribution.call(this, group, id);
			first.set(id, given);
			return given;
		};
	}
	if (client === "uses-old-key") {
		const first = new WeakMap<GroupCipher, string>();
		prototype.seal = function (group, id, plaintext) {
			const used = first.get(this) ?? id;
			first.set(this, used);
			return seal.call(this, group, used, plaintext);
		};
	}
	return () => Object.assign(prototype, { distribution, seal });
}
