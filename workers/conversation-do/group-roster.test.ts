import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { A1, type Address, ALICE, B1, BOB } from "./testing.ts";
import { CAROL, GroupBench, request } from "./testing-groups.ts";

test("GROUP-8 who applies each difference has the roster that a newcomer is told, whatever happens", () => {
	for (let seed = 1; seed <= 20; seed++) {
		let state = seed;
		const random = (limit: number): number => {
			state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
			return Math.floor((state / 2_147_483_648) * limit);
		};
		const bench = new GroupBench();
		const known = new Map([A1, B1].map((address) => [`${address.account}.${address.device}`, address.registrationId]));
		const members = new Set([ALICE, BOB]);
		const accounts = Array.from({ length: 6 }, (_, index) => CAROL.replace(/c$/, String(index)));
		let version = 1;
		let rosterVersion = 1;
		let lists = 1;
		const devices = () =>
			Array.from({ length: 1 + random(3) }, (_, index) => ({ device: index + 1, registrationId: 1 + random(3) }));
		for (let turn = 0; turn < 60; turn++) {
			const account = accounts[random(accounts.length)] ?? "";
			lists += 1;
			switch (random(4)) {
				case 0:
					bench.handle({ type: "setDevices", member: { account, devices: devices(), version: lists } });
					break;
				case 1:
					bench.handle({ type: "removeMember", account });
					break;
				default: {
					const others = accounts.filter((one) => one !== account && members.has(one)).slice(0, random(3));
					const joins = members.has(account)
						? []
						: [{ account, role: "member" as const, devices: devices(), version: lists }];
					version += 1;
					expect(bench.change(request(A1, version, { added: joins, removed: others }))).toContain(`v${version}`);
				}
			}
			for (const effect of bench.effects.splice(0)) {
				if (effect.type !== "send" || effect.socket !== bench.alice) continue;
				const { frame } = fromBinary(ConversationDownSchema, effect.bytes);
				if (frame.case !== "rosterChange") continue;
				expect(frame.value.version).toBe(++rosterVersion);
				const name = (one: { account: Uint8Array; device: number }) => `${uuidFromBytes(one.account)}.${one.device}`;
				for (const one of frame.value.membersRemoved) members.delete(uuidFromBytes(one));
				for (const one of frame.value.membersAdded) members.add(uuidFromBytes(one));
				for (const one of frame.value.removed) known.delete(name(one));
				for (const one of frame.value.added) known.set(name(one), one.registrationId);
			}
			const full = JSON.parse(bench.store.readState() ?? "");
			const listed: Address[] = full.devices;
			expect([...known].sort()).toEqual(
				listed.map((one) => [`${one.account}.${one.device}`, one.registrationId] as const).sort(),
			);
			expect([...members].sort()).toEqual([...full.members].sort());
			expect(full.version).toBe(rosterVersion);
		}
	}
});
