import { create, fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { GroupChangeSchema } from "../../protocol/gen/group_pb.js";
import { toHex, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { GroupJoinRequest, GroupRules } from "./interface.ts";
import { A1, ALICE, B1, BOB, message, newId, up } from "./testing.ts";
import { C1, C2, CAROL, GroupBench, joining, OPEN, request, SECRET } from "./testing-groups.ts";

const shared = (version: number, text = "x", id = newId()) =>
	up({
		case: "send",
		value: { messageId: id, rosterVersion: version, envelopes: [], shared: new TextEncoder().encode(text) },
	});

test("GROUP-1 one ciphertext reaches every other device, as one row", () => {
	const bench = new GroupBench();
	const rows = bench.store.entries(0, 100).length;
	const bytes = shared(1);
	bench.raw(bench.alice, bytes);
	expect(bench.store.entries(0, 100)).toHaveLength(rows + 1);
	expect(bench.take(bench.alice)).toEqual(["accepted 2"]);
	const [frame] = bench.effects.filter(({ type }) => type === "sendAll");
	const read = frame?.type === "sendAll" ? fromBinary(ConversationDownSchema, frame.bytes).frame : undefined;
	expect(read?.case === "entry" && [read.value.kind, new TextDecoder().decode(read.value.ciphertext)]).toEqual([
		3,
		"x",
	]);
	bench.raw(bench.alice, bytes);
	expect(bench.take(bench.alice)).toEqual(["accepted 2"]);
	// From the log it is the same.
	bench.restart(false);
	expect(bench.take(bench.ready(B1, 1))).toEqual(["welcome 2 v1 0/0 1/0", "entry 2", "caught up 2"]);
});

test("GROUP-1 envelopes go to some devices alone, and only to those of the roster", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1, "member", C2)] }));
	const carol = bench.ready(C1);
	bench.effects = [];
	bench.raw(bench.alice, message(newId(), [C1, B1], 2));
	expect([bench.take(bench.bob), bench.take(carol)]).toEqual([["entry 3"], ["entry 3"]]);
	bench.raw(bench.alice, message(newId(), [C1], 2));
	expect([bench.take(bench.bob), bench.take(carol)]).toEqual([[], ["entry 4"]]);
	bench.take(bench.alice);
	for (const to of [[A1], [{ ...C1, registrationId: 99 }], [B1, { ...C1, registrationId: 99 }], [B1, A1]]) {
		bench.raw(bench.alice, message(newId(), to, 2));
		expect(bench.take(bench.alice)).toEqual(["roster v2", "refused STALE_ROSTER 0"]);
	}
	bench.raw(bench.alice, message(newId(), [], 2));
	expect(bench.take(bench.alice)).toEqual(["refused MALFORMED 0"]);
});

test("GROUP-1 a message for a roster that has passed is not logged, and the current one comes with the refusal", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { removed: [BOB] }));
	bench.effects = [];
	bench.raw(bench.alice, shared(1));
	expect(bench.take(bench.alice)).toEqual(["roster v2", "refused STALE_ROSTER 0"]);
	expect(bench.core.head).toBe(2);
});

test("GROUP-2 a change is an entry, and two changes of one version are one history", () => {
	const bench = new GroupBench();
	const first = request(A1, 2, { added: [joining(C1)] });
	expect(bench.change(first)).toBe("2 v2");
	expect(bench.change(request(B1, 2))).toBe("group_conflict");
	expect(bench.take(bench.bob)).toEqual(["roster change v2 +1 -0", "entry 2"]);
	expect(bench.take(bench.alice)).toEqual(["roster change v2 +1 -0", "entry 2"]);
	// The same again, after a crash too, changes nothing.
	expect(bench.change(first)).toBe("2 v2");
	bench.restart(false);
	expect(bench.change(first)).toBe("2 v2");
	expect(bench.change({ ...first, state: "b3RoZXI=" })).toBe("message_id_conflict");
	expect(bench.core.head).toBe(2);
	expect(bench.core.view(BOB, undefined)).toMatchObject({ version: 2, state: first.state });
});

test("GROUP-2 the entry holds what has changed and the new state", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1)], roles: [{ account: BOB, role: "admin" }] }));
	const [effect] = bench.effects.filter(({ type }) => type === "sendAll");
	const { frame } = fromBinary(ConversationDownSchema, effect?.type === "sendAll" ? effect.bytes : new Uint8Array());
	if (frame.case !== "entry") throw new Error("no entry");
	expect(frame.value.kind).toBe(4);
	expect(fromBinary(GroupChangeSchema, frame.value.ciphertext)).toEqual(
		create(GroupChangeSchema, {
			version: 2,
			added: [{ account: uuidToBytes(CAROL), role: 1 }],
			roles: [{ account: uuidToBytes(BOB), role: 2 }],
			state: new TextEncoder().encode("state 2"),
		}),
	);
});

test("GROUP-3 GROUP-2 the entry names nobody as removed who was no member", () => {
	const bench = new GroupBench();
	const strangers = Array.from({ length: 99 }, () => crypto.randomUUID());
	const change = request(A1, 2, { removed: [...strangers, BOB] });
	expect(bench.change(change)).toBe("2 v2");
	const frames = bench.effects.flatMap((effect) =>
		effect.type === "send" || effect.type === "sendAll" ? fromBinary(ConversationDownSchema, effect.bytes).frame : [],
	);
	const entries = frames.flatMap((frame) => (frame.case === "entry" ? frame.value.ciphertext : []));
	const removed = [uuidToBytes(BOB)];
	expect(entries.map((bytes) => fromBinary(GroupChangeSchema, bytes))).toEqual([
		create(GroupChangeSchema, { version: 2, removed, state: new TextEncoder().encode("state 2") }),
	]);
	// From the log it is the same, and the request has its answer again: other strangers are another request.
	expect(bench.store.rows(1, 1)[0]?.payload?.length).toBeLessThan(99 * 16);
	expect(bench.change(change)).toBe("2 v2");
	expect(bench.change({ ...change, removed: [BOB] })).toBe("message_id_conflict");
});

const ADMINS: GroupRules = { add: "admins", edit: "admins", send: "admins", link: false, approval: false };

test.each([
	["a member adds", OPEN, { added: [joining(C1)] }, "2 v2"],
	["a member adds where admins do", ADMINS, { added: [joining(C1)] }, "not_permitted"],
	["a member adds an admin", OPEN, { added: [joining(C1, "admin")] }, "not_permitted"],
	["a member edits", OPEN, {}, "2 v2"],
	["a member edits where admins do", ADMINS, {}, "not_permitted"],
	["a member leaves", ADMINS, { removed: [BOB] }, "2 v2"],
	["a member removes another", OPEN, { removed: [ALICE] }, "not_permitted"],
	["a member promotes itself", OPEN, { roles: [{ account: BOB, role: "admin" as const }] }, "not_permitted"],
	["a member changes the rules", OPEN, { rules: OPEN }, "not_permitted"],
	["a member makes a link", OPEN, { linkHash: SECRET }, "not_permitted"],
])("GROUP-3 %s", (_, rules, fields, outcome) => {
	expect(new GroupBench(rules).change(request(B1, 2, fields))).toBe(outcome);
});

test("GROUP-3 an admin who was demoted meanwhile acts no more", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { roles: [{ account: BOB, role: "admin" }] }));
	expect(bench.change(request(B1, 3, { roles: [{ account: ALICE, role: "member" }] }))).toBe("3 v3");
	expect(bench.change(request(A1, 3, { removed: [BOB] }))).toBe("group_conflict");
	expect(bench.change(request(A1, 4, { removed: [BOB] }))).toBe("not_permitted");
});

test("GROUP-3 who may not send is refused, and members may not send where admins do", () => {
	const bench = new GroupBench(ADMINS);
	bench.raw(bench.bob, shared(1));
	expect(bench.take(bench.bob)).toEqual(["refused NOT_PERMITTED 0"]);
	// Keys and receipts go on: they are for single devices.
	bench.raw(bench.bob, message(newId(), [A1], 1));
	expect(bench.take(bench.bob)).toEqual(["accepted 2"]);
});

test("GROUP-3 a group keeps an admin", () => {
	const bench = new GroupBench();
	expect(bench.change(request(A1, 2, { removed: [ALICE] }))).toBe("last_admin");
	expect(bench.change(request(A1, 2, { roles: [{ account: ALICE, role: "member" }] }))).toBe("last_admin");
	bench.handle({ type: "removeMember", account: ALICE });
	expect(bench.change(request(B1, 2, { added: [joining(C1, "admin")] }))).toBe("2 v2");
});

test("GROUP-3 a group takes as many members as the limit says, and no more", () => {
	const bench = new GroupBench();
	const accounts = Array.from({ length: LIMITS.group_members - 2 }, (_, index) => ({
		account: `00000000-0000-4000-8000-${(index + 0x1000).toString(16).padStart(12, "0")}`,
		device: 1,
		registrationId: 7,
	}));
	const added = accounts.map((address) => joining(address));
	expect(bench.change(request(A1, 2, { added }))).toBe("2 v2");
	expect(bench.change(request(A1, 3, { added: [joining(C1)] }))).toBe("group_full");
});

test.each([
	["who is a member already", { added: [joining(B1)] }],
	["the same account twice", { added: [joining(C1), joining(C2)] }],
	["added and removed at once", { added: [joining(C1)], removed: [CAROL] }],
	["removed twice", { removed: [CAROL, CAROL] }],
	["a stranger's role", { roles: [{ account: CAROL, role: "admin" as const }] }],
])("GROUP-3 a change that doesn't fit the group: %s", (_, fields) => {
	expect(new GroupBench().change(request(A1, 2, fields))).toBe("malformed");
});

test("GROUP-4 strangers learn nothing, who has the link's secret sees the state", () => {
	const bench = new GroupBench({ ...OPEN, link: true });
	expect(bench.core.view(CAROL, undefined)).toBe(undefined);
	expect(bench.core.view(CAROL, "cd".repeat(32))).toBe(undefined);
	expect(bench.core.view(CAROL, SECRET)).toMatchObject({ version: 1 });
	expect(bench.change(request(C1, 2, { added: [joining(C1)] }))).toBe("not_found");
	const off = new GroupBench();
	expect(off.core.view(CAROL, SECRET)).toBe(undefined);
	expect(off.change(request(C1, 2, { added: [joining(C1)], linkSecretHash: SECRET }))).toBe("not_found");
});

test("GROUP-5 by the link one joins as a member, with nothing else", () => {
	const bench = new GroupBench({ ...OPEN, link: true });
	const by = { linkSecretHash: SECRET };
	for (const fields of [
		{ added: [joining(C1, "admin")] },
		{ added: [joining(C1), joining({ ...C1, account: CAROL.replace(/c$/, "d") })] },
		{ added: [joining(C1)], removed: [BOB] },
		{ added: [joining(C1)], rules: OPEN },
		{ added: [] },
	]) {
		expect(bench.change(request(C1, 2, { ...fields, ...by }))).toBe("not_permitted");
	}
	expect(bench.change(request(C1, 2, { added: [joining(C1)], ...by }))).toBe("2 v2");
	expect(bench.take(bench.ready(C1))).toEqual(["welcome 2 v2 0/0 0/0 1/0", "entry 2", "caught up 2"]);
});

test("GROUP-5 a request to join is an entry that an admin answers", () => {
	const bench = new GroupBench({ ...OPEN, link: true, approval: true });
	const join = (): GroupJoinRequest => ({
		messageId: toHex(newId()),
		actor: { account: CAROL, device: 1 },
		linkSecretHash: SECRET,
	});
	expect(bench.change(request(C1, 2, { added: [joining(C1)], linkSecretHash: SECRET }))).toBe("not_permitted");
	expect(bench.ask({ ...join(), linkSecretHash: undefined })).toBe("not_found");
	expect(bench.ask(join())).toBe("2 v1");
	expect(bench.ask(join())).toBe("2 v1");
	expect(bench.take(bench.alice).at(-1)).toBe("entry 2");
	expect(bench.core.view(ALICE, undefined)?.requests).toEqual([CAROL]);
	expect(bench.change(request(A1, 2, { added: [joining(C1)] }))).toBe("3 v2");
	expect(bench.core.view(ALICE, undefined)?.requests).toEqual([]);
	const declining = new GroupBench({ ...OPEN, link: true, approval: true });
	declining.ask(join());
	expect(declining.change(request(B1, 2, { declined: CAROL }))).toBe("not_permitted");
	expect(declining.change(request(A1, 2, { declined: CAROL }))).toBe("3 v2");
	expect(declining.core.view(ALICE, undefined)?.requests).toEqual([]);
});

test("GROUP-5 ONCE-1 a request to join is answered the same when it is repeated after a change, and after a yes", () => {
	const bench = new GroupBench({ ...OPEN, link: true, approval: true });
	const join = { messageId: toHex(newId()), actor: { account: CAROL, device: 1 }, linkSecretHash: SECRET };
	expect(bench.ask(join)).toBe("2 v1");
	bench.change(request(A1, 2));
	expect(bench.ask(join)).toBe("2 v2");
	bench.change(request(A1, 3, { added: [joining(C1)] }));
	expect(bench.ask(join)).toBe("2 v3");
	expect(bench.ask({ ...join, messageId: toHex(newId()) })).toBe("malformed");
	expect(bench.core.head).toBe(4);
});

test("GROUP-2 a change id belongs to one device and one change, after a crash and from others too", () => {
	const bench = new GroupBench();
	const change = request(A1, 2, { added: [joining(C1)] });
	bench.change(change);
	for (const restart of [false, true]) {
		if (restart) bench.restart(false);
		expect(bench.change({ ...change, actor: { account: BOB, device: 1 } })).toBe("message_id_conflict");
		expect(bench.change({ ...change, actor: { account: ALICE, device: 2 } })).toBe("message_id_conflict");
		expect(bench.change({ ...change, version: 3 })).toBe("message_id_conflict");
		// Nor as a message, by whomever.
		const alice = bench.ready(A1, 2);
		bench.effects = [];
		bench.raw(alice, shared(2, "x", Buffer.from(change.messageId, "hex")));
		expect(bench.take(alice)).toEqual(["refused MESSAGE_ID_CONFLICT 2"]);
	}
	expect(bench.core.head).toBe(2);
});

test("GROUP-8 a change that leaves the roster as it is tells of no new one", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2));
	expect(bench.take(bench.bob)).toEqual(["entry 2"]);
	// Whose account was deleted is on the roster no more.
	bench.change(request(A1, 3, { removed: [CAROL] }));
	expect(bench.take(bench.bob)).toEqual(["entry 3"]);
	expect(bench.take(bench.ready(B1, 3))[0]).toMatch("welcome 3 v1");
});

test("GROUP-6 a removed member's socket closes in the turn of the change; a new one begins at its own", () => {
	const bench = new GroupBench();
	bench.raw(bench.alice, shared(1, "before"));
	bench.effects = [];
	bench.change(request(A1, 2, { added: [joining(C1)], removed: [BOB] }));
	expect(bench.take(bench.bob)).toEqual(["refused NOT_ON_ROSTER 0", "closed 4403"]);
	expect(bench.core.admit(99, BOB, 1)).toBe(undefined);
	bench.raw(bench.alice, shared(2, "after"));
	expect(bench.take(bench.ready(C1))).toEqual(["welcome 4 v2 0/0 2/0", "entry 3", "entry 4", "caught up 4"]);
	// Back again: what was said meanwhile is not for it.
	bench.change(request(A1, 3, { added: [joining(B1)] }));
	expect(bench.take(bench.ready(B1)).slice(1)).toEqual(["entry 5", "caught up 5"]);
});

test("GROUP-8 a roster that the device has is left out; watermarks of a large group are asked for", () => {
	const bench = new GroupBench();
	const again = bench.open(A1);
	bench.up(again, { case: "hello", value: { protocolVersion: 1, cursor: 0, read: 0, rosterVersion: 1 } });
	expect(bench.take(again)[0]).toBe("welcome 1 vundefined 0/0 0/0");
	const added = Array.from({ length: LIMITS.watermark_push_devices }, (_, index) =>
		joining({
			account: `00000000-0000-4000-8000-${(index + 0x1000).toString(16).padStart(12, "0")}`,
			device: 1,
			registrationId: 7,
		}),
	);
	bench.change(request(A1, 2, { added }));
	bench.effects = [];
	bench.up(bench.bob, { case: "acknowledge", value: { cursor: 2 } });
	expect(bench.take(again)).toEqual([]);
	bench.up(again, { case: "watermarks", value: {} });
	expect(bench.take(again)[0]).toMatch(/^watermarks (\d\/0 ){65}\d\/0$/);
});

test("GROUP-9 who is away is nudged once for a burst, by the group's id alone", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1, "member", C2)] }));
	const nudges = () =>
		bench.takeCalls().flatMap((effect) => (effect.type === "nudge" ? `${effect.device} ${effect.peer || "-"}` : []));
	expect(nudges()).toEqual(["1 -", "2 -"]);
	for (const device of [1, 2]) bench.handle({ type: "nudged", account: CAROL, device, upTo: 2, ok: true });
	for (let count = 0; count < 20; count++) bench.raw(bench.alice, shared(2));
	expect(nudges()).toEqual([]);
});

test("KEPT-1 a ciphertext goes exactly when every device but its sender's has passed it, whatever the order", () => {
	for (let seed = 1; seed <= 60; seed++) {
		const random = randomFrom(seed);
		const bench = new GroupBench();
		const addresses = [A1, B1, C1, C2, { ...A1, device: 2, registrationId: 12 }];
		bench.change(request(A1, 2, { added: [joining(C1, "member", C2)] }));
		bench.handle({ type: "setDevices", member: { account: ALICE, devices: [A1, addresses[4] ?? A1], version: 2 } });
		const sockets = addresses.map((address) => bench.ready(address));
		const passed = sockets.map(() => 2);
		const senders: number[] = [];
		const first = bench.core.head;
		for (let step = 0; step < 120; step++) {
			const one = Math.floor(random() * sockets.length);
			const socket = sockets[one] ?? 0;
			bench.effects = [];
			if (random() < 0.4) {
				bench.raw(socket, shared(3));
				senders.push(one);
				continue;
			}
			const cursor = Math.min(bench.core.head, (passed[one] ?? 0) + Math.floor(random() * 6));
			bench.up(socket, { case: "acknowledge", value: { cursor } });
			passed[one] = Math.max(passed[one] ?? 0, cursor);
			for (const row of bench.store.rows(first, 200)) {
				const sender = senders[row.number - first - 1];
				const kept = passed.some((upTo, index) => index !== sender && reached(upTo, index) < row.number);
				expect([seed, step, row.number, row.payload !== null]).toEqual([seed, step, row.number, kept]);
			}
		}
		/** Own entries need no acknowledgement. */
		function reached(upTo: number, index: number): number {
			let at = upTo;
			while (senders[at - first] === index) at += 1;
			return at;
		}
	}
});

test("KEPT-1 who is furthest behind holds up nothing of its own", () => {
	const bench = new GroupBench();
	const addresses = [A1, B1, C1, C2];
	bench.change(request(A1, 2, { added: [joining(C1, "member", C2)] }));
	const [alice, bob, carol, last] = addresses.map((address) => bench.ready(address));
	for (const socket of [alice, bob, carol, last]) bench.up(socket ?? 0, { case: "acknowledge", value: { cursor: 2 } });
	bench.raw(alice ?? 0, shared(2));
	bench.raw(last ?? 0, shared(2));
	for (const socket of [bob, carol, alice]) bench.up(socket ?? 0, { case: "acknowledge", value: { cursor: 4 } });
	expect(bench.store.rows(2, 9).map(({ payload }) => payload === null)).toEqual([false, true]);
});

function randomFrom(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 48_271) % 2_147_483_647;
		return state / 2_147_483_647;
	};
}
