import { expect, test } from "vitest";
import { LIMITS } from "../../protocol/limits.ts";
import { Failure } from "../failure.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { FakeClock } from "../transport/testing.ts";
import { resolveAll } from "./names.ts";

const limited = () => new ServerRefusal(429, "rate_limited", "too many");
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A server that looks up so many names a minute. */
function bench() {
	const clock = new FakeClock();
	let asked = 0;
	let since = 0;
	const resolve = async (name: string): Promise<string> => {
		asked++;
		if (clock.nowMs() - since >= 60_000) [since, room] = [clock.nowMs(), LIMITS.lookups_per_minute];
		if (room-- <= 0) throw limited();
		return `account of ${name}`;
	};
	let room: number = LIMITS.lookups_per_minute;
	return { clock, resolve, asked: () => asked };
}

test("GROUP-12 more names than are looked up in a minute take as many minutes, in order", async () => {
	const { clock, resolve } = bench();
	const names = Array.from({ length: 150 }, (_, index) => `n${index}`);
	const told: number[] = [];
	let accounts: string[] | undefined;
	void resolveAll({ clock, resolve }, names, (done) => void told.push(done)).then((all) => {
		accounts = all;
	});
	for (let waits = 0; accounts === undefined && waits < 100; waits++) {
		await turn();
		await clock.advance(5_000);
	}
	expect(accounts).toEqual(names.map((name) => `account of ${name}`));
	expect(told).toEqual(names.map((_, index) => index + 1));
	expect(clock.nowMs()).toBeGreaterThanOrEqual(120_000);
});

test("GROUP-12 a few names, and names of nobody, are refused at once", async () => {
	const { clock } = bench();
	const refused = { clock, resolve: () => Promise.reject(limited()) };
	await expect(resolveAll(refused, ["a", "b"], () => {})).rejects.toThrow(ServerRefusal);
	let asked = 0;
	const nobody = () => {
		asked++;
		return Promise.reject(new Failure("no_such_user", "nobody"));
	};
	const names = Array.from({ length: 150 }, (_, index) => `n${index}`);
	await expect(resolveAll({ clock, resolve: nobody }, names, () => {})).rejects.toThrow(Failure);
	expect(asked).toBeLessThan(10);
});
