/** What a runner makes of its lines: what the machine hears of them, when all is fetched, and how they end. */
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { AccountDownSchema } from "../../protocol/gen/account_pb.js";
import type { Machine, MachineEvent, MachineRequest } from "../machine/interface.ts";
import { Api } from "./http.ts";
import { Runner, type RunnerNotice } from "./runner.ts";
import type { Line } from "./socket.ts";
import { FakeClock, FakeLine, settle } from "./testing.ts";

const PEER = "c19a2be0-5d8e-4c57-8d45-8f6c0f6f3b22";
const GROUP = "ab".repeat(32);
const CREDENTIALS = { accountId: "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11", deviceId: 1, deviceSecret: "s".repeat(43) };

function bench() {
	const events: MachineEvent[] = [];
	const notices: RunnerNotice[] = [];
	const lines = new Map<string, FakeLine[]>();
	const clock = new FakeClock();
	/** What the next step asks for. */
	const requests: MachineRequest[] = [];
	const machine: Machine = {
		newMessageId: () => "",
		step: (batch) => {
			events.push(...batch);
			return Promise.resolve(requests.splice(0));
		},
	};
	let tokens = 0;
	const fetch = () => {
		tokens++;
		return Promise.resolve(Response.json({ accessToken: "t", expiresAtMs: clock.nowMs() + 900_000 }));
	};
	const api = new Api({ server: "http://server", clock, credentials: CREDENTIALS, fetch });
	const runner = new Runner({
		...{ machine, api, clock, onNotice: (notice: RunnerNotice) => void notices.push(notice) },
		connect(url) {
			const line = new FakeLine();
			const path = url.replace("ws://server", "");
			lines.set(path, [...(lines.get(path) ?? []), line]);
			return line as unknown as Line;
		},
	});
	const line = (path: string): FakeLine => {
		const last = lines.get(path)?.at(-1);
		if (last === undefined) throw new Error(`no line to ${path}`);
		return last;
	};
	/** A line is there, or something has come on it. */
	const turn = async (...asked: MachineRequest[]): Promise<void> => {
		requests.push(...asked);
		if (asked.length > 0) await runner.perform({ type: "tick" });
		for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
		await settle();
	};
	return { runner, machine, events, notices, lines, line, clock, turn, tokens: () => tokens };
}

const types = (events: readonly MachineEvent[]) => events.map(({ type }) => type).filter((type) => type !== "tick");

test("the account has one line, which is counted as caught up until it breaks, and begins anew after it was stopped", async () => {
	const { runner, events, notices, lines, line, clock, turn } = bench();
	runner.openAccount();
	runner.openAccount();
	await turn();
	expect(lines.get("/v1/socket")).toHaveLength(1);
	line("/v1/socket").emit("open");
	await turn();
	expect(runner.drained).toBe(false);
	await turn({ type: "notify", notice: { type: "account-caught-up" } });
	expect(runner.drained).toBe(true);
	line("/v1/socket").emit("message", toBinary(AccountDownSchema, create(AccountDownSchema)), true);
	line("/v1/socket").emit("close", 1006);
	await turn();
	expect(types(events)).toEqual(["account-opened", "account-frame", "account-closed"]);
	expect(runner.drained).toBe(false);
	await clock.advance(30_000);
	await turn();
	line("/v1/socket").emit("open");
	line("/v1/socket").emit("close", 4001);
	await turn();
	expect(notices.at(-1)).toEqual({ type: "line-stopped", peer: undefined, reason: "superseded" });
	runner.openAccount();
	await turn();
	expect(lines.get("/v1/socket")).toHaveLength(3);
	await runner.close();
	runner.openAccount();
	runner.openConversation(PEER);
	runner.follow(PEER);
	await turn();
	expect([...lines.values()].flat()).toHaveLength(3);
});

test("NUDGE-3 GROUP-1 a conversation that shows this device out is left; a group is gone; one that is superseded is neither", async () => {
	const { runner, events, notices, line, turn } = bench();
	const group = `/v1/groups/${GROUP}/socket`;
	const direct = `/v1/direct/${PEER}/socket`;
	const ended = async (peer: string, path: string, end: (line: FakeLine) => void): Promise<MachineEvent[]> => {
		runner.openConversation(peer);
		await turn();
		events.length = 0;
		end(line(path));
		await turn();
		return events.filter(({ type }) => type === "conversation-left" || type === "group-gone");
	};
	const removed = (on: FakeLine) => void on.emit("close", 4403);
	const notFound = (on: FakeLine) =>
		void on.emit("unexpected-response", undefined, { statusCode: 404, resume: () => {} });
	for (const end of [removed, notFound]) {
		expect(await ended(PEER, direct, end)).toEqual([{ type: "conversation-left", peer: PEER }]);
		expect(await ended(GROUP, group, end)).toEqual([
			{ type: "conversation-left", peer: GROUP },
			{ type: "group-gone", peer: GROUP },
		]);
	}
	expect(await ended(GROUP, group, (on) => void on.emit("close", 4001))).toEqual([]);
	expect(notices.filter(({ type }) => type === "line-stopped")).toHaveLength(5);
});

test("NUDGE-3 a runner is drained once each conversation has caught up; at the end it notes whose closing was answered", async () => {
	const { runner, events, line, turn } = bench();
	await turn({ type: "open-conversation", peer: PEER }, { type: "open-conversation", peer: GROUP });
	const [answers, breaks] = [line(`/v1/direct/${PEER}/socket`), line(`/v1/groups/${GROUP}/socket`)];
	for (const each of [answers, breaks]) each.emit("open");
	await turn({ type: "notify", notice: { type: "caught-up", peer: PEER, head: 0 } });
	expect(runner.drained).toBe(false);
	await turn({ type: "notify", notice: { type: "caught-up", peer: GROUP, head: 0 } });
	expect(runner.drained).toBe(true);
	events.length = 0;
	const closed = runner.close();
	await turn();
	answers.emit("close", 1000);
	breaks.emit("close", 1006);
	await closed;
	expect(events).toEqual([{ type: "conversation-left", peer: PEER }]);
	await expect(runner.perform({ type: "tick" })).rejects.toThrow("closed");
});

test("after a failed step all lines end, and nothing that waits is done", async () => {
	const { runner, machine, line, turn } = bench();
	runner.openAccount();
	await turn({ type: "open-conversation", peer: PEER });
	const both = [line("/v1/socket"), line(`/v1/direct/${PEER}/socket`)];
	for (const each of both) each.emit("open");
	await turn();
	machine.step = () => Promise.reject(new Error("disk full"));
	const waiting = Array.from({ length: 200 }, () => runner.perform({ type: "tick" }));
	expect((await Promise.allSettled(waiting)).map(({ status }) => status)).toEqual(waiting.map(() => "rejected"));
	expect(both.map(({ closedWith }) => closedWith)).toEqual([1000, 1000]);
});

test("a tick that is asked for comes then, the earliest of several, and none beyond the one that comes anyway", async () => {
	const { events, clock, turn } = bench();
	const ticks = (): number => events.splice(0).filter(({ type }) => type === "tick").length;
	await turn({ type: "tick-at", atMs: 5_000 }, { type: "tick-at", atMs: 7_000 }, { type: "tick-at", atMs: 60_001 });
	ticks();
	expect(clock.waits.sort((one, other) => one - other)).toEqual([5_000, 60_000]);
	await clock.advance(5_000);
	await turn();
	expect(ticks()).toBe(1);
	// What is over already comes at once.
	await turn({ type: "tick-at", atMs: 1 });
	ticks();
	expect(clock.waits).toContain(0);
});

test("DEVICE-5 a device whose line holds asks for a token every 12 hours, so that it counts as there", async () => {
	const { runner, line, clock, turn, tokens } = bench();
	runner.openAccount();
	await turn();
	line("/v1/socket").emit("open");
	await turn();
	expect(tokens()).toBe(1);
	const asked: number[] = [];
	for (let hour = 1; hour <= 26; hour++) {
		const before = tokens();
		await clock.advance(60 * 60_000);
		await turn();
		if (tokens() > before) asked.push(hour);
	}
	expect(asked).toEqual([12, 24]);
});
