import { once } from "node:events";
import { expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { LIMITS } from "../../protocol/limits.ts";
import { ServerRefusal, ServerUnreachable } from "./errors.ts";
import { type Line, ManagedSocket } from "./socket.ts";
import { FakeClock, FakeLine, settle } from "./testing.ts";

interface Bench {
	clock: FakeClock;
	lines: FakeLine[];
	headers: Record<string, string>[];
	log: string[];
	dropped: string[];
	socket: ManagedSocket;
	line(): FakeLine;
}

async function bench(accessToken: () => Promise<string> = () => Promise.resolve("token")): Promise<Bench> {
	const clock = new FakeClock();
	const lines: FakeLine[] = [];
	const headers: Record<string, string>[] = [];
	const log: string[] = [];
	const dropped: string[] = [];
	const socket = new ManagedSocket({
		url: "ws://server/v1/socket",
		clock,
		accessToken,
		dropToken: (token) => void dropped.push(token),
		connect(_url, sentHeaders) {
			const line = new FakeLine();
			lines.push(line);
			headers.push(sentHeaders);
			// The stand-in has what the socket uses of a `ws` socket.
			return line as unknown as Line;
		},
		events: {
			opened: () => void log.push("opened"),
			frame: (bytes) => void log.push(`frame ${bytes.length}`),
			closed: () => void log.push("closed"),
			failed: (attempts) => void log.push(`failed ${attempts}`),
			stopped: (reason) => void log.push(`stopped ${reason}`),
		},
	});
	await settle();
	const line = (): FakeLine => {
		const last = lines.at(-1);
		if (last === undefined) throw new Error("no line was opened");
		return last;
	};
	return { clock, lines, headers, log, dropped, socket, line };
}

function refuse(line: FakeLine, statusCode: number): void {
	line.emit("unexpected-response", undefined, { statusCode, resume: () => {} });
}

test("a socket carries its token in the header, binary frames both ways, and drops frames while it is closed", async () => {
	const { socket, headers, log, line } = await bench();
	expect(headers).toEqual([{ authorization: "Bearer token" }]);
	expect(socket.send(new Uint8Array(1))).toBe(false);
	line().emit("open");
	expect(socket.send(new Uint8Array(2))).toBe(true);
	line().emit("message", Buffer.from("pong"), false);
	line().emit("message", Buffer.alloc(3), true);
	expect(line().sent).toEqual([new Uint8Array(2)]);
	expect(log).toEqual(["opened", "frame 3"]);
});

test("an open line is kept warm with a ping every 30 s", async () => {
	const { clock, line } = await bench();
	line().emit("open");
	await clock.advance(29_999);
	expect(line().sent).toEqual([]);
	await clock.advance(1);
	await clock.advance(30_000);
	expect(line().sent).toEqual(["ping", "ping"]);
});

test("a lost line comes back after a jittered wait that doubles until a frame has arrived", async () => {
	const { clock, lines, log, line } = await bench();
	line().emit("open");
	line().emit("close", 1006);
	expect(clock.waits).toEqual([100]);
	await clock.advance(100);
	line().emit("open");
	line().emit("close", 4500);
	expect(clock.waits).toEqual([200]);
	await clock.advance(200);
	line().emit("open");
	line().emit("message", Buffer.alloc(1), true);
	line().emit("close", 1006);
	expect(clock.waits).toEqual([100]);
	expect(lines).toHaveLength(3);
	expect(log.filter((entry) => entry === "closed")).toHaveLength(3);
});

test.each([
	[4001, "superseded"],
	[4403, "removed"],
])("SOCKET-1 close code %i ends the attempts and tells why", async (code, reason) => {
	const { clock, lines, log, line } = await bench();
	line().emit("open");
	line().emit("close", code);
	expect(log).toEqual(["opened", "closed", `stopped ${reason}`]);
	await clock.advance(60_000);
	expect(lines).toHaveLength(1);
});

test("ACCOUNT-3 a refused token is dropped and replaced once; a second refusal ends the attempts", async () => {
	const { clock, lines, log, dropped, line } = await bench();
	refuse(line(), 401);
	await settle();
	expect(dropped).toEqual(["token"]);
	await clock.advance(100);
	expect(lines).toHaveLength(2);
	refuse(line(), 401);
	await settle();
	expect(log).toEqual(["failed 1", "stopped unauthorized"]);
});

test.each([
	[404, "stopped not_found"],
	[403, "stopped refused"],
	[503, "failed 1"],
	[429, "failed 1"],
])("an upgrade that is answered %i: %s", async (status, outcome) => {
	const { log, line } = await bench();
	refuse(line(), status);
	await settle();
	expect(log).toEqual([outcome]);
});

test("without a token there is no line: an unreachable server is tried again, a refusal is final", async () => {
	const unreachable = await bench(() => Promise.reject(new ServerUnreachable("no network")));
	expect(unreachable.log).toEqual(["failed 1"]);
	expect(unreachable.clock.waits).toEqual([100]);
	const refused = await bench(() => Promise.reject(new ServerRefusal(401, "unauthorized", "no")));
	expect(refused.log).toEqual(["stopped unauthorized"]);
	expect(refused.clock.waits).toEqual([]);
});

test("closing sends 1000, waits for the handshake, and cuts a line that does not answer", async () => {
	const polite = await bench();
	polite.line().emit("open");
	const closed = polite.socket.close();
	expect(polite.line().closedWith).toBe(1000);
	polite.line().emit("close", 1000);
	await closed;
	expect(polite.clock.waits).toEqual([]);
	expect(polite.log).toEqual(["opened"]);

	const silent = await bench();
	silent.line().emit("open");
	const cut = silent.socket.close();
	await silent.clock.advance(2_000);
	await cut;
	expect(silent.line().terminated).toBe(true);
});

test.each([
	["device_unlinked", "unlinked"],
	["device_idle", "idle"],
	["unauthorized", "unauthorized"],
] as const)(
	"DEVICE-6 a socket whose device is refused with %s stops as %s, and does not come back",
	async (code, reason) => {
		const { clock, lines, log } = await bench(() => Promise.reject(new ServerRefusal(401, code, "no")));
		await clock.advance(60_000);
		expect(lines).toEqual([]);
		expect(log).toEqual([`stopped ${reason}`]);
	},
);

test("GROUP-8 the largest frame of the server comes through, a larger one ends the line", async () => {
	const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
	server.on("connection", (line) => {
		for (const bytes of [LIMITS.frame_down_bytes, LIMITS.frame_down_bytes + 1]) line.send(new Uint8Array(bytes));
	});
	await once(server, "listening");
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	const frames: number[] = [];
	const closed = new Promise<void>((resolve) => {
		const socket = new ManagedSocket({
			url: `ws://127.0.0.1:${port}/`,
			clock: new FakeClock(),
			accessToken: () => Promise.resolve("token"),
			dropToken: () => {},
			events: {
				opened: () => {},
				frame: (bytes) => void frames.push(bytes.length),
				closed: () => void socket.close().then(() => resolve()),
				failed: () => {},
				stopped: () => {},
			},
		});
	});
	await closed;
	server.close();
	expect(frames).toEqual([LIMITS.frame_down_bytes]);
});

test("a socket that is closed before its line is there opens none, and tells nothing", async () => {
	for (const error of [undefined, new ServerRefusal(401, "device_unlinked", "no")]) {
		let answer: (() => void) | undefined;
		const early = await bench(
			() =>
				new Promise((resolve, reject) => {
					answer = () => (error === undefined ? resolve("token") : reject(error));
				}),
		);
		expect(await early.socket.close()).toBe(false);
		expect(await early.socket.close()).toBe(false);
		answer?.();
		await settle();
		expect([early.lines.length, early.log, early.clock.waits]).toEqual([0, [], []]);
	}
});

test("a line that is still connecting is cut, and what comes of it afterwards is nothing", async () => {
	const { socket, line, log, clock } = await bench();
	const closed = socket.close();
	expect([line().closedWith, line().terminated]).toEqual([undefined, true]);
	line().emit("open");
	expect(socket.open).toBe(false);
	expect(await closed).toBe(false);
	line().emit("close", 1006);
	expect([log, clock.waits]).toEqual([[], []]);
});

test("ACCOUNT-3 refusals of tokens count in a row only: a line that opened in between begins anew", async () => {
	const { line, log, clock } = await bench();
	for (let round = 0; round < 3; round++) {
		refuse(line(), 401);
		await settle();
		await clock.advance(30_000);
		line().emit("open");
		line().emit("close", 1006);
		await clock.advance(30_000);
	}
	expect(log.filter((each) => each.startsWith("stopped"))).toEqual([]);
});
