/** Rules where one more step would be too many: addresses at their limits, whom a change names, who still hears. */
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { fromHex, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { A1, type Address, ALICE, B1, Bench, BOB, member, newId, up } from "./testing.ts";
import { C1, CAROL, GroupBench, joining, request } from "./testing-groups.ts";

test("REFUSED-1 the largest and the smallest address are addresses, for both kinds of envelopes", () => {
	const ends: Address[] = [
		{ account: BOB, device: 127, registrationId: 16_380 },
		{ account: BOB, device: 1, registrationId: 1 },
	];
	const bench = new Bench([member(ALICE, 11), { account: BOB, devices: ends }]);
	const one = bench.ready(A1);
	bench.effects = [];
	const envelopes = ends.map(({ account, device, registrationId }, index) => ({
		...{ to: { account: uuidToBytes(account), device, registrationId }, kind: index + 1 },
		ciphertext: new Uint8Array([1]),
	}));
	bench.up(one, { case: "send", value: { messageId: newId(), rosterVersion: 1, envelopes } });
	expect(bench.take(one)).toEqual(["accepted 1"]);
});

test("GROUP-8 the difference of a roster names the members that came and went, and no others", () => {
	const bench = new GroupBench();
	bench.change(request(A1, 2, { added: [joining(C1)], removed: [BOB] }));
	const [change] = bench.effects.flatMap((effect) => {
		const frame = effect.type === "send" && fromBinary(ConversationDownSchema, effect.bytes).frame;
		return frame !== false && frame.case === "rosterChange" ? [frame.value] : [];
	});
	expect(change?.membersAdded.map(uuidFromBytes)).toEqual([CAROL]);
	expect(change?.membersRemoved.map(uuidFromBytes)).toEqual([BOB]);
});

test("DELETE-3 GROUP-2 nobody withdraws a change of a group, not even who made it", () => {
	const bench = new GroupBench();
	const change = request(A1, 2);
	bench.change(change);
	bench.effects = [];
	bench.up(bench.alice, { case: "withdraw", value: { messageId: fromHex(change.messageId) } });
	expect(bench.take(bench.alice)).toEqual(["refused NOT_PERMITTED 0"]);
	expect(bench.store.rows(1, 1)[0]?.payload?.length).toBeGreaterThan(0);
});

test("KEPT-1 GROUP-1 what the only device of a group sends is kept for nobody", () => {
	const bench = new GroupBench();
	const shared = (rosterVersion: number) =>
		up({ case: "send", value: { messageId: newId(), rosterVersion, shared: new Uint8Array([1]) } });
	bench.raw(bench.alice, shared(1));
	bench.change(request(A1, 2, { removed: [BOB] }));
	bench.raw(bench.alice, shared(2));
	const [before, , alone] = bench.store.rows(1, 3);
	expect([before?.number, alone?.number, alone?.payload]).toEqual([2, 4, null]);
});

test("BLOCK-2 EPHEMERAL-1 where one blocks the other, typing goes to one's own other devices alone", () => {
	const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21)]);
	const [one, two, other] = [bench.ready(A1), bench.ready({ ...A1, device: 2, registrationId: 12 }), bench.ready(B1)];
	bench.up(other, { case: "block", value: { on: true } });
	bench.effects = [];
	bench.up(one, { case: "typing", value: { started: true } });
	expect([one, two, other].map((socket) => bench.take(socket))).toEqual([[], ["typing true"], []]);
	expect(bench.effects).toEqual([]);
});
