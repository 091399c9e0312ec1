import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { Recent } from "./recent.ts";

const COUNT = LIMITS.remembered_entries;

/** An entry whose id ends with these digits; the rest of it is its number. */
function entry(number: number, end: string) {
	const messageId = number.toString(16).padStart(32 - end.length, "0") + end;
	return { number, time_ms: 0, messageId, sender: "a", checksum: 0, wiped: false };
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
		expect(recent.add(each)).toBe(entries[index - COUNT]);
		expect(recent.find(each.messageId)).toBe(each);
		for (const number of [each.number, each.number - COUNT + 1]) expect(recent.at(number)).toBe(entries[number - 1]);
		for (const number of [each.number + 1, each.number - COUNT, 0]) expect(recent.at(number)).toBe(undefined);
		const oldest = entries[Math.max(0, index - COUNT + 1)];
		expect(recent.find(oldest?.messageId ?? "")).toBe(oldest);
		if (index >= COUNT) expect(recent.find(entries[index - COUNT]?.messageId ?? "")).toBe(undefined);
	}
	for (const each of entries.slice(0, -COUNT)) expect(recent.find(each.messageId)).toBe(undefined);
	for (const each of entries.slice(-COUNT)) expect(recent.find(each.messageId)).toBe(each);
	expect(recent.find("f".repeat(32))).toBe(undefined);
});
