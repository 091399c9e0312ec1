import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { type Address, ALICE, Bench, BOB, member, message, newId } from "./testing.ts";

const ALL: Address[] = [
	...[11, 12].map((registrationId, index) => ({ account: ALICE, device: index + 1, registrationId })),
	...[21, 22, 23].map((registrationId, index) => ({ account: BOB, device: index + 1, registrationId })),
];

/** Numbers below a limit that are the same for the same seed. */
function randomFrom(seed: number): (limit: number) => number {
	let state = seed;
	return (limit) => {
		state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
		return Math.floor((state / 2_147_483_648) * limit);
	};
}

test("KEPT-1 what is wiped is what the plain rule says: every other device has it, whoever sends, reads and comes back", () => {
	for (let seed = 1; seed <= 40; seed++) {
		const random = randomFrom(seed);
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

test("ORDER-1 KEPT-1 ONCE-1 whatever is read, left unread and forgotten by a crash, each message has its row and is there until it is read", () => {
	for (let seed = 1; seed <= 12; seed++) {
		const random = randomFrom(seed);
		const bench = new Bench([member(ALICE, 11), member(BOB, 21)]);
		const devices = [
			{ account: ALICE, device: 1, registrationId: 11 },
			{ account: BOB, device: 1, registrationId: 21 },
		];
		let sockets = devices.map((address) => bench.ready(address));
		const cursors = [0, 0];
		/** Who sends, who reads, and how soon, changes with the phases of a conversation. */
		let [sends, reads] = [50, 50];
		for (let turn = 0; turn < 6_000; turn++) {
			bench.now_ms += 300;
			if (turn % 250 === 0) [sends, reads] = [random(100), random(100)];
			const one = random(100) < sends ? 0 : 1;
			const other = random(100) < reads ? 0 : 1;
			const to = devices[1 - one];
			if (to === undefined) throw new Error("nobody");
			bench.raw(sockets[one] ?? 0, message(newId(), [to]));
			const { head } = bench.core;
			if (random(100) < 80) {
				cursors[other] = head - random(Math.min(4, head - (cursors[other] ?? 0) + 1));
				bench.up(sockets[other] ?? 0, { case: "acknowledge", value: { cursor: cursors[other] ?? 0 } });
			}
			bench.effects = [];
			const [newest] = bench.store.rows(head - 1, 1);
			expect([newest?.number, head], `seed ${seed} turn ${turn}`).toEqual([head, turn + 1]);
			if (random(400) === 0) {
				bench.restart(false);
				sockets = devices.map((address, index) => bench.ready(address, cursors[index]));
			}
			if (turn % 500 !== 499) continue;
			const rows = bench.store.rows(0, 10_000);
			const remembered = rows.slice(-LIMITS.remembered_entries).map(({ number }) => number);
			expect(remembered[0]).toBe(Math.max(1, head - LIMITS.remembered_entries + 1));
			for (const [index, { account }] of devices.entries()) {
				const unread = rows.filter(
					({ number, sender }) => number > (cursors[index] ?? 0) && !sender.startsWith(account),
				);
				expect(unread.every(({ payload }) => payload !== null)).toBe(true);
			}
		}
	}
});
