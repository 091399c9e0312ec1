/**
 * Judges what only groups promise, from the recorded history, the server's roles and everything that was ever logged.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { differenceOf } from "../client/groups/difference.ts";
import type { GroupState } from "../client/groups/state.ts";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { addressName } from "./bodies.ts";
import type { Violation } from "./checker.ts";
import { decodeJson, GivenKey, Sealed } from "./group-keys.ts";
import type { DeviceName, History, Observation } from "./history.ts";

type Of<Type extends Observation["type"]> = Extract<Observation, { type: Type }>;

/** What is known at the end beside the history. */
export interface GroupEnd {
	/** Members with their roles, as the object has them. */
	roles: readonly [account: string, role: string][];
	/** Ciphertexts of the log by number, wiped ones too. */
	payloads: ReadonlyMap<number, Uint8Array>;
	/** Accounts that were deleted. */
	deleted: ReadonlySet<string>;
	/** The same of other groups, whose keys must open nothing here. */
	elsewhere: readonly ReadonlyMap<number, Uint8Array>[];
}

/** All broken promises of a group. */
export function checkGroup(history: History, end: GroupEnd): Violation[] {
	const violations: Violation[] = [];
	const fail = (rule: string, what: string): void => void violations.push({ rule, what });
	const { observations } = history;
	const ended = observations.find((one): one is Of<"ended"> => one.type === "ended");
	const rosters = observations.filter((one): one is Of<"roster"> => one.type === "roster");
	const states = observations.filter((one): one is Of<"state"> => one.type === "state");
	const at = (number: number): readonly DeviceName[] => rosters.findLast(({ head }) => head < number)?.devices ?? [];
	if (ended === undefined) return [{ rule: "GROUP-2", what: "the world did not end" }];
	checkStates(states, rosters, fail);
	checkEnd(states, ended, end, fail);
	for (const one of observations) {
		if (one.type === "arrived" && !at(one.number).includes(one.device)) {
			fail("GROUP-6", `${one.device} was sent ${one.number}, of which it may know nothing`);
		}
		if (one.type === "left-over" && ended.devices.includes(one.device) && one.messages + one.changes > 0) {
			fail("GROUP-16", `${one.device} has ${one.messages} messages and ${one.changes} changes that go nowhere`);
		}
	}
	checkKeys(ended, end, at, fail);
	return violations;
}

type Fail = (rule: string, what: string) => void;

/** One history of states, each once, by who was allowed to make it. */
function checkStates(states: readonly Of<"state">[], rosters: readonly Of<"roster">[], fail: Fail): void {
	const versions = new Map<number, { text: string; intent: string }>();
	const intents = new Map<string, number>();
	const last = new Map<DeviceName, Of<"state">>();
	for (const seen of states) {
		const { device, author, intent, number, state, first } = seen;
		const { version } = state;
		const text = `${author} ${intent} ${JSON.stringify(state)}`;
		const known = versions.get(version);
		if (known === undefined) {
			versions.set(version, { text, intent });
			const other = intents.get(intent);
			if (other !== undefined) fail("ONCE-1", `${intent} was done as version ${other} and ${version}`);
			intents.set(intent, version);
		} else if (known.text !== text) fail("GROUP-2", `${device} has another version ${version} than others`);
		const before = last.get(device);
		last.set(device, seen);
		if (before !== undefined && version <= before.state.version) {
			fail("GROUP-2", `${device} went from version ${before.state.version} to ${version}`);
		}
		if (before === undefined || first || number === 0 || version !== before.state.version + 1) continue;
		// Whoever was on the roster when the change was made, before it. Devices and accounts come and go without an entry.
		const roster = rosters.findLast(({ head, entry }) => (entry ? head < number - 1 : head < number))?.devices ?? [];
		const objection = unauthorised(before.state, state, author, roster);
		if (objection !== undefined) fail("GROUP-10", `${device} believes version ${version} by ${author}: ${objection}`);
	}
}

/** What the author was not allowed to do, by the state before; written independently of the client's rules. */
function unauthorised(
	before: GroupState,
	after: GroupState,
	author: string,
	roster: readonly DeviceName[],
): string | undefined {
	const own = before.members.find(({ account }) => account === author);
	const here = before.members.filter(({ account }) => roster.some((name) => name.startsWith(account.slice(0, 8))));
	const orphaned = !here.some(({ role }) => role === "admin");
	if (own?.role === "admin" || (orphaned && here[0]?.account === author)) return undefined;
	const { added, removed, roles, rules, link, edited } = differenceOf(before, after);
	if (roles.length > 0 || rules || link) return "roles or rules";
	if (removed.some((account) => account !== author)) return "a removal";
	if (edited && before.rules.edit === "admins") return "an edit";
	if (added.length === 0) return own === undefined ? "a stranger's change" : undefined;
	if (added.some(({ role }) => role === "admin")) return "an admin added";
	if (own !== undefined) return before.rules.add === "admins" ? "an addition" : undefined;
	const itself = added.length === 1 && added[0]?.account === author;
	return itself && before.rules.link && !before.rules.approval ? undefined : "an uninvited guest";
}

/** Everybody who is there has the newest state, and it lists whom the server lists. */
function checkEnd(states: readonly Of<"state">[], ended: Of<"ended">, end: GroupEnd, fail: Fail): void {
	const newest = states.reduce<Of<"state"> | undefined>(
		(best, one) => (one.state.version > (best?.state.version ?? 0) ? one : best),
		undefined,
	);
	const last = new Map(states.map(({ device, state }) => [device, state.version]));
	for (const device of ended.devices) {
		if (last.get(device) === newest?.state.version) continue;
		fail("GROUP-2", `${device} ends with version ${last.get(device)}, others with ${newest?.state.version}`);
	}
	const text = (accounts: readonly string[]): string => [...accounts].sort().join(" ");
	const members = newest?.state.members.map(({ account }) => account).filter((account) => !end.deleted.has(account));
	const listed = end.roles.map(([account]) => account);
	if (text(members ?? []) !== text(listed)) {
		fail("GROUP-2", `the state lists ${text(members ?? [])}, the server ${text(listed)}`);
	}
	const admins = end.roles.filter(([, role]) => role === "admin");
	if (listed.length > 0 && admins.length === 0) fail("GROUP-3", "the group has no admin");
}

/**
 * Whoever holds the key of a message, from its place on or before, was on the roster when it was logged: the removed can
 * open nothing of after, newcomers nothing of before, whatever ciphertexts they get hold of. Keys count as held from the
 * log alone, also by devices that never fetched them.
 */
function checkKeys(
	ended: Of<"ended">,
	{ payloads, elsewhere }: GroupEnd,
	at: (number: number) => readonly string[],
	fail: Fail,
): void {
	const held = new Map<string, Map<DeviceName, number>>();
	const sealed: { number: number; value: Sealed }[] = [];
	const logged = [payloads, ...elsewhere].flatMap((log, index) =>
		[...log].map((row) => [...row, index === 0] as const),
	);
	for (const [number, payload, here] of logged) {
		const { frame } = fromBinary(ConversationUpSchema, payload);
		if (frame.case !== "send" || (here && number > ended.head)) continue;
		const value = here ? decodeJson(Sealed, frame.value.shared) : undefined;
		if (value !== undefined) sealed.push({ number, value });
		for (const { to, ciphertext } of frame.value.envelopes) {
			const given = decodeJson(GivenKey, ciphertext);
			if (to === undefined || given === undefined) continue;
			const holders = held.get(given.key) ?? new Map<DeviceName, number>();
			held.set(given.key, holders);
			holders.set(addressName(to), Math.min(given.place, holders.get(addressName(to)) ?? given.place));
		}
	}
	for (const { number, value } of sealed) {
		for (const [device, place] of held.get(value.key) ?? []) {
			if (place > value.place || at(number).includes(device)) continue;
			fail("GROUP-13", `${device} can open ${number}, which was not for it`);
		}
	}
}
