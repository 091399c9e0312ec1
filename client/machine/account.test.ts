/** The account's socket: news, what is said of it, and what is opened after a start. */
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type AccountDown, AccountDownSchema } from "../../protocol/gen/account_pb.js";
import { ErrorCode } from "../../protocol/gen/common_pb.js";
import { ConversationDownSchema, WelcomeSchema } from "../../protocol/gen/conversation_down_pb.js";
import { type Send, SendSchema } from "../../protocol/gen/conversation_up_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { putRosterDevice } from "../store/conversations.ts";
import { history } from "../store/queries.ts";
import type { MachineEvent, MachineRequest } from "./interface.ts";
import { ALICE, BOB, says, TestWorld } from "./testing.ts";

const CONVERSATION = new Uint8Array(32).fill(9);

let world: TestWorld;
beforeEach(() => {
	world = new TestWorld();
});
afterEach(() => world.close());

function down(frame: AccountDown["frame"]): MachineEvent {
	return { type: "account-frame", frame: create(AccountDownSchema, { frame }) };
}

function news(upTo: number, peer: Uint8Array = uuidToBytes(ALICE)): MachineEvent {
	return down({ case: "news", value: { $typeName: "parley.v1.News", conversation: CONVERSATION, peer, upTo } });
}

/** How far the account was told that Bob has looked after its news. */
function seen(requests: readonly MachineRequest[]): number[] {
	return requests.flatMap((request) => {
		if (request.type !== "send-account-frame" || request.frame.frame.case !== "seen") return [];
		expect(request.frame.frame.value.conversation).toEqual(CONVERSATION);
		return [request.frame.frame.value.upTo];
	});
}

const opens = (requests: readonly MachineRequest[]): string[] =>
	requests.flatMap((request) => (request.type === "open-conversation" ? [request.peer] : []));

function sends(requests: readonly MachineRequest[]): Send[] {
	return requests.flatMap((request) =>
		request.type === "send-frame" && request.frame.frame.case === "send" ? [request.frame.frame.value] : [],
	);
}

test("NUDGE-2 news opens the conversation, and is said to be seen once everything up to it is stored", async () => {
	for (const body of ["one", "two"]) world.text(world.alice, body);
	world.connect(world.alice);
	await world.settle();
	const { bob } = world;
	const requests = await bob.machine.step([{ type: "account-opened" }, news(2)]);
	expect(opens(requests)).toEqual([ALICE]);
	expect(seen(requests)).toEqual([]);
	world.connect(bob);
	await world.settle();
	expect(history(bob.store, ALICE, 10)).toHaveLength(2);
	expect(seen(bob.requests)).toEqual([2]);
	// Later entries come by the open socket, and the account waits for nothing.
	world.text(world.alice, "three");
	await world.settle();
	expect(seen(bob.requests)).toEqual([2]);
});

test("NUDGE-2 news of what is stored already is answered at once where the conversation is open", async () => {
	world.text(world.alice, "one");
	world.connect(world.alice);
	world.connect(world.bob);
	await world.settle();
	const requests = await world.bob.machine.step([{ type: "account-opened" }, news(1)]);
	expect(opens(requests)).toEqual([]);
	expect(seen(requests)).toEqual([1]);
});

test("NUDGE-2 news that the account said before its socket broke is seen when it says it again", async () => {
	world.text(world.alice, "one");
	world.connect(world.alice);
	await world.settle();
	const { bob } = world;
	await bob.machine.step([{ type: "account-opened" }, news(1), { type: "account-closed" }]);
	world.connect(bob);
	await world.settle();
	expect(seen(bob.requests)).toEqual([]);
	expect(seen(await bob.machine.step([{ type: "account-opened" }, news(1)]))).toEqual([1]);
});

test("NUDGE-3 what was open at a kill is opened at the next start, what was left is not", async () => {
	world.connect(world.bob);
	await world.settle();
	world.bob.restart();
	expect(opens(await world.bob.machine.step([{ type: "account-opened" }]))).toEqual([ALICE]);
	world.connect(world.bob);
	await world.settle();
	await world.bob.machine.step([{ type: "conversation-closed", peer: ALICE }]);
	expect(opens(await world.bob.machine.step([{ type: "account-opened" }]))).toEqual([ALICE]);
	await world.bob.machine.step([{ type: "conversation-left", peer: ALICE }]);
	world.bob.restart();
	expect(opens(await world.bob.machine.step([{ type: "account-opened" }]))).toEqual([]);
});

test("REFUSED-1 what the account refuses is told, and news of no account opens nothing", async () => {
	const refused = { code: ErrorCode.RATE_LIMITED, messageId: new Uint8Array(), limit: 0, retryAfterMs: 1_000 };
	const requests = await world.bob.machine.step([
		{ type: "account-opened" },
		down({ case: "refused", value: { $typeName: "parley.v1.Refused", ...refused } }),
		news(1, new Uint8Array(3)),
		down({ case: undefined }),
	]);
	const notice = { type: "refused", peer: undefined, code: "RATE_LIMITED", messageId: undefined };
	expect(requests).toContainEqual({ type: "notify", notice });
	expect(opens(requests)).toEqual([]);
});

test("REFUSED-1 a send that came too fast goes again with the same bytes, once, after the wait that the server asks for", async () => {
	const { alice } = world;
	world.connect(alice);
	world.text(alice, "first");
	await world.settle();
	world.text(alice, "second");
	const [send] = sends(await alice.machine.step(alice.inbox.splice(0)));
	if (send === undefined) throw new Error("nothing was sent");
	const value = {
		$typeName: "parley.v1.Refused" as const,
		code: ErrorCode.RATE_LIMITED,
		messageId: send.messageId,
		limit: 0,
		retryAfterMs: 2_500,
	};
	const refusal: MachineEvent = {
		type: "conversation-frame",
		peer: BOB,
		frame: { $typeName: "parley.v1.ConversationDown", frame: { case: "refused", value } },
	};
	expect(await alice.machine.step([refusal])).toEqual([{ type: "wake", account: BOB, afterMs: 2_500 }]);
	expect(sends(await alice.machine.step([{ type: "tick" }]))).toEqual([]);
	const again = sends(await alice.machine.step([{ type: "wake", account: BOB }]));
	expect(again.map((value) => toBinary(SendSchema, value))).toEqual([toBinary(SendSchema, send)]);
	expect(sends(await alice.machine.step([{ type: "wake", account: BOB }]))).toEqual([]);
});

test("TIMER-4 with several devices what the others have done is heard before what others wrote; nothing waits for ever", async () => {
	const { bob } = world;
	const end = down({ case: "newsEnd", value: { $typeName: "parley.v1.NewsEnd" } });
	const own = news(3, uuidToBytes(BOB));
	expect(opens(await bob.machine.step([{ type: "account-opened" }, news(2), own, end]))).toEqual([ALICE, BOB]);
	bob.restart();
	putRosterDevice(bob.store, BOB, { account: BOB, device: 2, registration_id: 5 });
	// The conversation with oneself is told of last.
	const first = await bob.machine.step([{ type: "account-opened" }, news(2), own, end]);
	expect(opens(first)).toEqual([BOB]);
	const caughtUp = create(ConversationDownSchema, {
		frame: { case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: 3 } },
	});
	const opened = await bob.machine.step([
		{ type: "conversation-opened", peer: BOB },
		says(BOB, { case: "welcome", value: create(WelcomeSchema, { head: 3 }) }),
	]);
	expect(opens(opened)).toEqual([]);
	const rest = await bob.machine.step([{ type: "conversation-frame", peer: BOB, frame: caughtUp }]);
	expect(opens(rest)).toEqual([ALICE]);
	// Where there is nothing to hear nothing waits, nor when the line breaks or says nothing for too long.
	for (const event of [end, { type: "conversation-closed", peer: BOB }, { type: "wake", account: BOB }] as const) {
		bob.restart();
		const started = await bob.machine.step([{ type: "account-opened" }, news(2), ...(event === end ? [] : [own, end])]);
		expect(started).toContainEqual({ type: "wake", account: BOB, afterMs: 3_000 });
		expect(opens(started)).not.toContain(ALICE);
		expect(opens(await bob.machine.step([event]))).toEqual([ALICE]);
	}
});

test("TIMER-4 CLIENT-2 what waits in the outbox is sent after the others were heard, too", async () => {
	const { bob } = world;
	putRosterDevice(bob.store, BOB, { account: BOB, device: 2, registration_id: 5 });
	const id = bob.machine.newMessageId();
	await bob.machine.step([{ type: "send-text", id, peer: ALICE, body: "queued" }]);
	bob.restart();
	expect(opens(await bob.machine.step([{ type: "account-opened" }, { type: "tick" }]))).toEqual([]);
	expect(opens(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([ALICE]);
	expect(opens(await bob.machine.step([{ type: "tick" }]))).toEqual([ALICE]);
});

test("TIMER-4 who sends or chats at once hears the others first, too; a break of the line loses no greeting", async () => {
	const { bob } = world;
	const opened = { type: "conversation-opened", peer: ALICE } as const;
	const end = down({ case: "newsEnd", value: { $typeName: "parley.v1.NewsEnd" } });
	const caughtUp = create(ConversationDownSchema, {
		frame: { case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: 0 } },
	});
	bob.restart();
	expect(greeted(await bob.machine.step([opened]))).toEqual([ALICE]);
	putRosterDevice(bob.store, BOB, { account: BOB, device: 2, registration_id: 5 });

	// The line of the account is not open: the conversation with oneself is opened all the same.
	bob.restart();
	const first = await bob.machine.step([opened]);
	expect([greeted(first), opens(first)]).toEqual([[], [BOB]]);
	expect(first).toContainEqual({ type: "wake", account: BOB, afterMs: 3_000 });
	expect(greeted(await bob.machine.step([{ type: "conversation-opened", peer: BOB }]))).toEqual([BOB]);
	expect(greeted(await bob.machine.step([{ type: "conversation-frame", peer: BOB, frame: caughtUp }]))).toEqual([
		ALICE,
	]);
	// What was heard once need not be waited for again.
	expect(greeted(await bob.machine.step([{ type: "conversation-closed", peer: ALICE }, opened]))).toEqual([ALICE]);
	// After that line is gone, it does.
	await bob.machine.step([
		{ type: "conversation-closed", peer: ALICE },
		{ type: "conversation-closed", peer: BOB },
	]);
	expect(greeted(await bob.machine.step([opened]))).toEqual([]);

	// The account's line breaks meanwhile: whoever is connected is greeted at the latest when the wait is over.
	bob.restart();
	await bob.machine.step([{ type: "account-opened" }, opened, { type: "account-closed" }]);
	expect(greeted(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([ALICE]);
	// And all lines: the peer's is back before the account's.
	const all = [opened, { type: "conversation-closed", peer: ALICE }, { type: "account-closed" }, opened] as const;
	bob.restart();
	await bob.machine.step([{ type: "account-opened" }, end]);
	expect(greeted(await bob.machine.step([...all]))).toEqual([ALICE]);
	expect(greeted(await bob.machine.step([{ type: "account-opened" }, end]))).toEqual([ALICE]);
});

function greeted(requests: readonly MachineRequest[]): string[] {
	return requests.flatMap((request) => {
		return request.type === "send-frame" && request.frame.frame.case === "hello" ? [request.peer] : [];
	});
}

/** Bob's account has a second device, and his machine has just begun. */
function withLaptop(): typeof world.bob {
	const { bob } = world;
	putRosterDevice(bob.store, BOB, { account: BOB, device: 2, registration_id: 5 });
	bob.restart();
	return bob;
}

const CAROL = "0c000000-0000-4000-8000-00000000000c";
const END = down({ case: "newsEnd", value: { $typeName: "parley.v1.NewsEnd" } });
const CAUGHT_UP = says(BOB, { case: "caughtUp", value: { $typeName: "parley.v1.CaughtUp", head: 0 } });
const opened = (peer: string): MachineEvent => ({ type: "conversation-opened", peer });
const wakes = (requests: readonly MachineRequest[]) => requests.filter(({ type }) => type === "wake");

test("TIMER-4 where the conversation with oneself is open the end of the news waits until that has caught up, and no longer", async () => {
	const bob = withLaptop();
	const open = await bob.machine.step([{ type: "account-opened" }, opened(BOB), opened(ALICE), END]);
	expect(greeted(open)).toEqual([BOB]);
	expect(greeted(await bob.machine.step([CAUGHT_UP]))).toEqual([ALICE]);
	// It stays open while the account's line breaks, and has nothing new.
	await bob.machine.step([{ type: "account-closed" }, { type: "conversation-closed", peer: ALICE }]);
	expect(greeted(await bob.machine.step([{ type: "account-opened" }, opened(ALICE)]))).toEqual([]);
	expect(greeted(await bob.machine.step([END]))).toEqual([ALICE]);
});

test("TIMER-4 one wait serves all conversations, and each is greeted once", async () => {
	const bob = withLaptop();
	expect(wakes(await bob.machine.step([opened(ALICE), opened(CAROL)]))).toHaveLength(1);
	expect(greeted(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([ALICE, CAROL]);
	expect(greeted(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([]);
});

test("TIMER-4 once the others were heard the conversation with oneself may close; while the account's line is open it tells of more", async () => {
	const bob = withLaptop();
	await bob.machine.step([{ type: "account-opened" }, opened(BOB), END, CAUGHT_UP]);
	await bob.machine.step([{ type: "conversation-closed", peer: BOB }]);
	expect(greeted(await bob.machine.step([opened(ALICE)]))).toEqual([ALICE]);
});

test("TIMER-4 what waits to be opened when the account's line breaks is opened when that tells of it again, not before", async () => {
	const bob = withLaptop();
	expect(opens(await bob.machine.step([{ type: "account-opened" }, news(2)]))).toEqual([]);
	await bob.machine.step([{ type: "account-closed" }]);
	expect(opens(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([]);
	expect(opens(await bob.machine.step([{ type: "account-opened" }, news(2), END]))).toEqual([ALICE]);
});

test("TIMER-4 after a failed step all is connected anew, and the others are heard first again", async () => {
	const bob = withLaptop();
	await bob.machine.step([{ type: "account-opened" }, END]);
	expect(greeted(await bob.machine.step([opened(ALICE)]))).toEqual([ALICE]);
	const commit = vi.spyOn(bob.store, "commit").mockImplementationOnce(() => {
		throw new Error("the disk is full");
	});
	await expect(bob.machine.step([{ type: "tick" }])).rejects.toThrow("the disk is full");
	expect(greeted(await bob.machine.step([opened(ALICE)]))).toEqual([]);
	// What waited then waits no more, and the next wait is one of its own.
	await bob.machine.step([{ type: "account-opened" }, news(2, uuidToBytes(CAROL))]);
	commit.mockImplementationOnce(() => {
		throw new Error("the disk is full");
	});
	await expect(bob.machine.step([{ type: "tick" }])).rejects.toThrow("the disk is full");
	expect(wakes(await bob.machine.step([opened(ALICE)]))).toHaveLength(1);
	expect(opens(await bob.machine.step([{ type: "account-opened" }, END]))).not.toContain(CAROL);
});

test("TIMER-4 a wait that was over while nobody waited lets nobody be greeted unheard", async () => {
	const bob = withLaptop();
	await bob.machine.step([{ type: "account-opened" }]);
	await bob.machine.step([{ type: "account-closed" }]);
	await bob.machine.step([{ type: "wake", account: BOB }]);
	expect(greeted(await bob.machine.step([opened(ALICE)]))).toEqual([]);
	expect(greeted(await bob.machine.step([{ type: "wake", account: BOB }]))).toEqual([ALICE]);
});
