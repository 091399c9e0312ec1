import { expect, test } from "vitest";
import { type Address, ALICE, Bench, BOB, member, message, newId } from "./testing.ts";

const ALL: Address[] = [
	...[11, 12].map((registrationId, index) => ({ account: ALICE, device: index + 1, registrationId })),
	...[21, 22, 23].map((registrationId, index) => ({ account: BOB, device: index + 1, registrationId })),
];

test("KEPT-1 what is wiped is what the plain rule says: every other device has it, whoever sends, reads and comes back", () => {
	for (let seed = 1; seed <= 40; seed++) {
		let state = seed;
		const random = (limit: number): number => {
			state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
			return Math.floor((state / 2_147_483_648) * limit);
		};
		const bench = new Bench([member(ALICE, 11, 12), member(BOB, 21, 22, 23)]);
		const cursors = ALL.map(() => 0);
		const senders: number[] = [];
		let sockets = ALL.map((address) => bench.ready(address));
		/** All that is up to there and not its own has been acknowledged. */
		const has = (device: number, number: number): boolean =>
			senders.slice(cursors[device], number).every((sender) => sender === device);
		for (let turn = 0; turn < 150; turn++) {
			const device = random(ALL.length);
			const socket = sockets[device] ?? 0;
			switch (random(5)) {
				case 0:
				case 1:
					bench.raw(
						socket,
						message(
							newId(),
							ALL.filter((_, index) => index !== device),
						),
					);
					senders.push(device);
					break;
				case 2:
				case 3: {
					const from = cursors[device] ?? 0;
					const cursor = from + random(senders.length - from + 1);
					cursors[device] = cursor;
					bench.up(socket, { case: "acknowledge", value: { cursor } });
					break;
				}
				default:
					if (random(6) > 0) break;
					bench.restart(false);
					sockets = ALL.map((address, index) => bench.ready(address, cursors[index]));
			}
			bench.effects = [];
			const wiped = bench.store.entries(0, 1_000).map((entry) => entry.wiped);
			const plain = senders.map((sender, index) => ALL.every((_, other) => other === sender || has(other, index + 1)));
			expect(wiped, `seed ${seed} turn ${turn}`).toEqual(plain);
		}
	}
});
