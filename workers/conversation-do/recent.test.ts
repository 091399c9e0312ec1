import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { Recent } from "./recent.ts";

const COUNT = LIMITS.remembered_entries;

/** An entry whose id ends with these digits; the rest of it is its number. */
function entry(number: number, end: string) {
	const messageId = number.toString(16).padStart(32 - end.length, "0") + end;
	return { number, time_ms: 1_800_000_000_000 + number, messageId, sender: `${number}/1`, checksum: 2 ** 52 + number };
}

test.each([
	["all end alike", () => "abc"],
	["half of them end alike", (number: number) => (number % 2 === 0 ? "abc" : number.toString(16).padStart(3, "0"))],
	["as they come", (number: number) => ((number * 2_654_435_761) % 4_096).toString(16).padStart(3, "0")],
])("ONCE-1 as many entries as are remembered are found by their ids, and no others: %s", (_, endOf) => {
	const entries = Array.from({ length: COUNT * 3 + 17 }, (_, index) => entry(index + 1, endOf(index)));
	// Some from the disk, as after hibernation, the others one by one.
	const recent = new Recent(entries.slice(0, COUNT - 5));
	for (const [index, each] of entries.entries()) {
		if (index < COUNT - 5) continue;
		recent.add(each);
		expect(recent.find(each.messageId)).toEqual(each);
		for (const number of [each.number, Math.max(1, each.number - COUNT + 1)]) {
			expect(recent.senderOf(number)).toBe(entries[number - 1]?.sender);
		}
		for (const number of [each.number + 1, each.number - COUNT, 0, -1]) {
			expect(recent.senderOf(number)).toBe(undefined);
		}
		const oldest = entries[Math.max(0, index - COUNT + 1)];
		expect(recent.find(oldest?.messageId ?? "")).toEqual(oldest);
		if (index >= COUNT) expect(recent.find(entries[index - COUNT]?.messageId ?? "")).toBe(undefined);
	}
	for (const each of entries.slice(0, -COUNT)) expect(recent.find(each.messageId)).toBe(undefined);
	for (const each of entries.slice(-COUNT)) expect(recent.find(each.messageId)).toEqual(each);
	expect(recent.find("f".repeat(32))).toBe(undefined);
});

test("ONCE-1 a young conversation's memory grows with it, and finds all that was in it", () => {
	for (const count of [0, 1, 63, 64, 65, 200, COUNT]) {
		const entries = Array.from({ length: count }, (_, index) =>
			entry(5_000 + index, (index % 7).toString(16).padStart(3, "0")),
		);
		const recent = new Recent(entries);
		for (const each of entries) expect(recent.find(each.messageId)).toEqual(each);
		expect(recent.find("0".repeat(32))).toBe(undefined);
		expect(recent.senderOf(4_999)).toBe(undefined);
	}
});
