import { expect, test } from "vitest";
import type { Machine, MachineEvent, MachineRequest } from "../machine/interface.ts";
import { Api } from "./http.ts";
import { Runner, type RunnerNotice } from "./runner.ts";
import { FakeClock, settle } from "./testing.ts";

const PEER = "c19a2be0-5d8e-4c57-8d45-8f6c0f6f3b22";
const CREDENTIALS = { accountId: "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11", deviceId: 1, deviceSecret: "s".repeat(43) };
const TYPING: MachineEvent = {
	type: "typing",
	peer: PEER,
	started: true,
};
const CODES: Record<number, string> = { 404: "not_found", 429: "rate_limited" };
const NO_KEYS = { oneTimePreKeys: [], oneTimeKyberPreKeys: [] };

/** A machine that answers its steps from a list, and an api whose answers come from one too (0: no network). */
function bench(answers: readonly MachineRequest[][], statuses: number[] = []) {
	const steps: MachineEvent[][] = [];
	const notices: RunnerNotice[] = [];
	const clock = new FakeClock();
	const machine: Machine = {
		newMessageId: () => "",
		step(events) {
			steps.push([...events]);
			return Promise.resolve(answers[steps.length - 1] ?? []);
		},
	};
	const answerFetch: typeof fetch = (input) => {
		if (String(input).endsWith("/v1/tokens")) {
			return Promise.resolve(Response.json({ accessToken: "t", expiresAtMs: 900_000 }));
		}
		const status = statuses.shift() ?? 0;
		if (status === 0) return Promise.reject(new TypeError("fetch failed"));
		const body = status === 200 ? {} : { code: CODES[status] ?? "internal", message: "no" };
		return Promise.resolve(Response.json(body, { status }));
	};
	const api = new Api({ server: "http://server", clock, credentials: CREDENTIALS, fetch: answerFetch });
	const runner = new Runner({ machine, api, clock, onNotice: (notice) => void notices.push(notice) });
	return { runner, machine, steps, notices, clock };
}

/** Answers to fetch take a few turns of the event loop. */
async function turns(): Promise<void> {
	for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
	await settle();
}

test("events are stepped in order, those of one turn together, at most 128 at a time", async () => {
	const { runner, steps } = bench([]);
	for (let count = 0; count < 199; count++) runner.post(TYPING);
	await runner.perform({ type: "tick" });
	expect(steps.map((events) => events.length)).toEqual([128, 72]);
	expect(steps[1]?.at(-1)).toEqual({ type: "tick" });
});

test("what arrives at the sockets during a step is the next step", async () => {
	const { runner, machine, steps } = bench([]);
	const step = machine.step.bind(machine);
	machine.step = async (events) => {
		for (let count = 0; count < 3; count++) setImmediate(() => runner.post(TYPING));
		machine.step = step;
		return step(events);
	};
	runner.post(TYPING);
	await runner.perform({ type: "tick" });
	await turns();
	expect(steps.map((events) => events.length)).toEqual([2, 3]);
});

test("requests are carried out in order after their step, before whoever waits for it goes on", async () => {
	const typing = { type: "typing", peer: PEER, account: PEER, started: true } as const;
	const caughtUp = { type: "account-caught-up" } as const;
	const { runner, notices } = bench([
		[
			{ type: "notify", notice: typing },
			{ type: "notify", notice: caughtUp },
		],
	]);
	await runner.perform(TYPING);
	expect(notices).toEqual([typing, caughtUp]);
});

test("prekeys of an account that does not exist are claimed as undefined", async () => {
	const { runner, steps } = bench([[{ type: "claim-prekeys", account: PEER }]], [404]);
	await runner.perform({ type: "tick" });
	expect(runner.drained).toBe(false);
	await turns();
	expect(steps[1]).toEqual([{ type: "prekeys-claimed", account: PEER, bundles: undefined }]);
	expect(runner.drained).toBe(true);
});

test("a claim that fails four times is told to the machine as failed", async () => {
	const { runner, steps, clock } = bench([[{ type: "claim-prekeys", account: PEER }]], [500, 0, 503, 500, 200]);
	await runner.perform({ type: "tick" });
	for (let attempt = 0; attempt < 4; attempt++) {
		await turns();
		await clock.advance(1_000);
	}
	await turns();
	expect(steps[1]).toEqual([{ type: "prekeys-failed", account: PEER }]);
});

test("what the server refuses for its rate is asked for again until the rate allows it, and not after the end", async () => {
	const { runner, steps, clock } = bench([[{ type: "claim-prekeys", account: PEER }]], [429, 429, 429, 429, 429, 404]);
	await runner.perform({ type: "tick" });
	for (let attempt = 0; attempt < 5; attempt++) {
		await turns();
		expect(steps).toHaveLength(1);
		await clock.advance(10_000);
	}
	await turns();
	expect(steps[1]).toEqual([{ type: "prekeys-claimed", account: PEER, bundles: undefined }]);

	const ending = bench([[{ type: "claim-prekeys", account: PEER }]], [429, 404]);
	await ending.runner.perform({ type: "tick" });
	await turns();
	await ending.runner.close();
	expect(ending.clock.waits).toEqual([]);
});

test("a wake comes after the wait that the machine asked for, and not after the end", async () => {
	const wake: MachineRequest = { type: "wake", account: PEER, afterMs: 4_000 };
	const { runner, steps, clock } = bench([[wake, { ...wake, afterMs: 9_000 }]]);
	await runner.perform(TYPING);
	await clock.advance(3_999);
	expect(steps).toHaveLength(1);
	await clock.advance(1);
	await turns();
	expect(steps[1]).toEqual([{ type: "wake", account: PEER }]);
	await runner.close();
	expect(clock.waits).toEqual([]);
});

test("PREKEY-4 an upload of prekeys is repeated with the same set until the server has it", async () => {
	const { runner, steps, clock } = bench([[{ type: "upload-prekeys", upload: NO_KEYS }]], [0, 500, 0, 0, 0, 0, 200]);
	await runner.perform({ type: "tick" });
	for (let attempt = 0; attempt < 6; attempt++) {
		await turns();
		expect(steps).toHaveLength(1);
		await clock.advance(5_000);
	}
	await turns();
	expect(steps[1]).toEqual([{ type: "prekeys-uploaded" }]);
});

test("what is tried again after a failure is not tried after the end, nor waited for", async () => {
	for (const request of [
		{ type: "upload-prekeys", upload: NO_KEYS },
		{ type: "claim-prekeys", account: PEER },
	] as const) {
		const statuses = [500, 200];
		const { runner, clock } = bench([[request]], statuses);
		await runner.perform({ type: "tick" });
		await turns();
		await runner.close();
		expect(clock.waits).toEqual([]);
		await clock.advance(60_000);
		await turns();
		expect(statuses).toEqual([200]);
	}
});

test("after a failed step nothing further is done, and everybody is told", async () => {
	const { runner, machine, notices } = bench([]);
	machine.step = () => Promise.reject(new Error("disk full"));
	await expect(runner.perform(TYPING)).rejects.toThrow("disk full");
	await expect(runner.perform(TYPING)).rejects.toThrow("disk full");
	expect(notices).toMatchObject([{ type: "broken" }]);
});

test("time passes for the machine once a minute while the runner runs, and no longer", async () => {
	const { runner, steps, clock } = bench([]);
	await clock.advance(60_000);
	await turns();
	await clock.advance(60_000);
	await turns();
	await runner.close();
	await clock.advance(60_000);
	expect(steps).toEqual([[{ type: "tick" }], [{ type: "tick" }]]);
	expect(clock.waits).toEqual([]);
});
