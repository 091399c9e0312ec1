import { expect, test } from "vitest";
import { ConversationSockets } from "./conversations.ts";
import type { SocketEvents } from "./socket.ts";
import { FakeClock } from "./testing.ts";

const PEER = "c19a2be0-5d8e-4c57-8d45-8f6c0f6f3b22";

class FakeSocket {
	open = true;
	closed = false;
	/** Whether the server answers the closing. */
	agrees = true;
	readonly sent: Uint8Array[] = [];
	readonly path: string;
	readonly events: SocketEvents;
	constructor(path: string, events: SocketEvents) {
		this.path = path;
		this.events = events;
	}
	send(bytes: Uint8Array): boolean {
		this.sent.push(bytes);
		return true;
	}
	close(): Promise<boolean> {
		this.closed = true;
		return Promise.resolve(this.agrees);
	}
}

function bench() {
	const clock = new FakeClock();
	const opened: FakeSocket[] = [];
	const log: string[] = [];
	const sockets = new ConversationSockets(
		clock,
		{
			opened: () => void log.push("opened"),
			frame: () => void log.push("frame"),
			closed: () => void log.push("closed"),
			left: () => void log.push("left"),
			failed: () => void log.push("failed"),
			stopped: (_peer, reason) => void log.push(`stopped ${reason}`),
		},
		(path, events) => {
			const socket = new FakeSocket(path, events);
			opened.push(socket);
			return socket;
		},
	);
	const only = (): FakeSocket => {
		const last = opened.at(-1);
		if (last === undefined) throw new Error("no socket was opened");
		return last;
	};
	return { clock, opened, log, sockets, only };
}

test("a conversation has one socket, which is closed after a minute without traffic", async () => {
	const { clock, opened, log, sockets, only } = bench();
	sockets.want(PEER);
	sockets.want(PEER);
	expect(opened.map((socket) => socket.path)).toEqual([`/v1/direct/${PEER}/socket`]);
	await clock.advance(59_999);
	only().events.frame(new Uint8Array(1));
	await clock.advance(59_999);
	sockets.send(PEER, new Uint8Array(2));
	await clock.advance(59_999);
	expect(only().closed).toBe(false);
	await clock.advance(1);
	expect(only().closed).toBe(true);
	expect(log).toEqual(["frame", "closed", "left"]);
	sockets.send(PEER, new Uint8Array(3));
	expect(only().sent).toHaveLength(1);
	sockets.want(PEER);
	expect(opened).toHaveLength(2);
});

test("a followed conversation stays open through silence, and one that still connects is not idle", async () => {
	const { clock, sockets, only } = bench();
	sockets.follow(PEER);
	await clock.advance(600_000);
	expect(only().closed).toBe(false);
	sockets.unfollow(PEER);
	only().open = false;
	await clock.advance(60_000);
	expect(only().closed).toBe(false);
	only().open = true;
	await clock.advance(60_000);
	expect(only().closed).toBe(true);
});

test("whether all is caught up follows each socket: a loss takes it back, an end leaves the others", () => {
	const { sockets, only } = bench();
	expect(sockets.allCaughtUp).toBe(true);
	sockets.want(PEER);
	expect(sockets.allCaughtUp).toBe(false);
	sockets.caughtUp(PEER);
	expect(sockets.allCaughtUp).toBe(true);
	only().events.closed();
	expect(sockets.allCaughtUp).toBe(false);
	only().events.stopped("removed");
	expect(sockets.allCaughtUp).toBe(true);
});

test("NUDGE-3 a closing that the server does not answer is no farewell: the conversation is opened again", async () => {
	const { clock, opened, log, sockets, only } = bench();
	sockets.want(PEER);
	only().agrees = false;
	await clock.advance(60_000);
	expect(log).toEqual(["closed"]);
	expect(opened).toHaveLength(2);
	await clock.advance(60_000);
	expect(log).toEqual(["closed", "closed", "left"]);
	sockets.want(PEER);
	expect(await sockets.closeAll()).toEqual([PEER]);
});

test("a group has a path of its own; who is asked for again is not idle, and a stopped one's minute ends nothing", async () => {
	const { clock, opened, log, sockets, only } = bench();
	const group = "ab".repeat(32);
	sockets.want(group);
	expect(only().path).toBe(`/v1/groups/${group}/socket`);
	await clock.advance(59_999);
	sockets.want(group);
	await clock.advance(59_999);
	expect(only().closed).toBe(false);
	only().events.stopped("removed");
	expect(clock.waits).toEqual([]);
	sockets.want(group);
	expect(opened).toHaveLength(2);
	expect(log).toEqual(["stopped removed"]);
});

test("NUDGE-3 a closing on its way is no farewell where the conversation was opened again, nor brings it back at the end", async () => {
	const again = bench();
	again.sockets.want(PEER);
	const idle = again.clock.advance(60_000);
	again.sockets.want(PEER);
	await idle;
	expect(again.log).toEqual(["closed"]);
	expect(again.opened).toHaveLength(2);
	expect(again.only().closed).toBe(false);

	const ended = bench();
	ended.sockets.want(PEER);
	ended.only().agrees = false;
	const last = ended.clock.advance(60_000);
	expect(await ended.sockets.closeAll()).toEqual([]);
	await last;
	expect(ended.opened).toHaveLength(1);
	expect(ended.clock.waits).toEqual([]);
});

test("NUDGE-3 at the end only those are left whose closing was answered, and nothing is waited for", async () => {
	const { clock, opened, sockets } = bench();
	sockets.want(PEER);
	sockets.want("ab".repeat(32));
	const [, silent] = opened;
	if (silent !== undefined) silent.agrees = false;
	expect(await sockets.closeAll()).toEqual([PEER]);
	expect(clock.waits).toEqual([]);
});
