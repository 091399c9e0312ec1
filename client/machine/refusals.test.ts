/** What becomes of a message, or of the conversation, with each code of a refused frame (rule REFUSED-1). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ErrorCode, type RefusedSchema as Refused, RefusedSchema } from "../../protocol/gen/common_pb.js";
import { uuidToBytes } from "../../protocol/ids.ts";
import { conversation, putRosterDevice, rosterDevices, setRosterVersion } from "../store/conversations.ts";
import { history, pendingOutboxCount } from "../store/queries.ts";
import { addWithdrawal, anyWithdrawals } from "../store/withdrawals.ts";
import type { MachineRequest, Notice } from "./interface.ts";
import { ALICE, BOB, says, TestWorld } from "./testing.ts";

const CAROL = "0c000000-0000-4000-8000-00000000000c";

let world: TestWorld;
beforeEach(async () => {
	world = await TestWorld.talking();
});
afterEach(() => world.close());

/** Alice has sent so many, and nothing was answered. Returns their ids. */
async function sent(count = 1): Promise<string[]> {
	const ids = Array.from({ length: count }, (_, index) => world.text(world.alice, `text ${index}`));
	await world.alice.machine.step(world.alice.inbox.splice(0));
	return ids;
}

/** The server refuses something in a conversation. */
function refused(value: MessageInitShape<typeof Refused>, id?: string, peer = BOB): Promise<MachineRequest[]> {
	const messageId = id === undefined ? new Uint8Array() : uuidToBytes(id);
	return world.alice.machine.step([
		says(peer, { case: "refused", value: create(RefusedSchema, { ...value, messageId }) }),
	]);
}

const refusals = (requests: readonly MachineRequest[]): Notice[] =>
	requests.flatMap((request) =>
		request.type === "notify" && request.notice.type === "refused" ? [request.notice] : [],
	);
const sends = (requests: readonly MachineRequest[]) =>
	requests.filter((request) => request.type === "send-frame" && request.frame.frame.case === "send").length;
const status = () => history(world.alice.store, BOB, 9).at(-1)?.status;

test.each([
	"MESSAGE_TOO_LARGE",
	"MESSAGE_ID_CONFLICT",
	"MESSAGE_ID_TOO_OLD",
	"MEMBER_GONE",
	"MALFORMED",
	"FRAME_TOO_LARGE",
	"NOT_PERMITTED",
] as const)(
	"REFUSED-1 a message that is refused with %s has failed; of what is none a person is told",
	async (code) => {
		const [id] = await sent();
		// Of no message, and of none of this conversation.
		const told = code === "NOT_PERMITTED" ? [] : [{ type: "refused", peer: BOB, code, messageId: undefined }];
		expect(refusals(await refused({ code: ErrorCode[code] }))).toEqual(told);
		await refused({ code: ErrorCode[code] }, id, CAROL);
		expect(status()).toBe("queued");
		const requests = await refused({ code: ErrorCode[code] }, id);
		expect(refusals(requests)).toEqual([{ type: "refused", peer: BOB, code, messageId: id }]);
		expect([status(), pendingOutboxCount(world.alice.store, BOB)]).toEqual(["failed", 0]);
	},
);

test.each(["UNSUPPORTED_VERSION", "HELLO_EXPECTED", "NOT_ON_ROSTER", "SUPERSEDED", "INTERNAL"] as const)(
	"REFUSED-1 %s says nothing of the message, which goes on waiting",
	async (code) => {
		const [id] = await sent();
		const requests = await refused({ code: ErrorCode[code] }, id);
		expect(refusals(requests)).toEqual([{ type: "refused", peer: BOB, code, messageId: id }]);
		expect([status(), pendingOutboxCount(world.alice.store, BOB)]).toEqual(["queued", 1]);
	},
);

test.each(["RATE_LIMITED", "CONVERSATION_FULL"] as const)(
	"REFUSED-1 what comes too fast with %s goes again after the wait, without a word",
	async (code) => {
		const [id] = await sent();
		expect(await refused({ code: ErrorCode[code], retryAfterMs: 3_000 }, id)).toEqual([
			{ type: "wake", account: BOB, afterMs: 3_000 },
		]);
		expect(status()).toBe("queued");
		expect(refusals(await refused({ code: ErrorCode[code] }))).toMatchObject([{ code, messageId: undefined }]);
	},
);

test("DELETE-3 a withdrawal that is not permitted is not said again", async () => {
	const { alice } = world;
	const id = alice.machine.newMessageId();
	addWithdrawal(alice.store, BOB, id);
	await refused({ code: ErrorCode.NOT_PERMITTED }, id);
	expect(anyWithdrawals(alice.store)).toBe(false);
});

test("CLIENT-6 a head beyond which this device is not is told as a refusal, one that it is beyond as a loss", async () => {
	const code = "CURSOR_BEYOND_HEAD";
	expect(refusals(await refused({ code: ErrorCode[code], limit: 2 }))).toMatchObject([{ peer: BOB, code }]);
	const requests = await refused({ code: ErrorCode[code], limit: 1 });
	expect(refusals(requests)).toEqual([]);
	expect(requests).toContainEqual({ type: "notify", notice: { type: "log-went-back", peer: BOB, from: 2, to: 1 } });
});

test("ROSTER-2 a difference brings who is missing, takes who is gone with their sessions, and an old one does nothing", async () => {
	const { store } = world.alice;
	const code = ErrorCode.STALE_ROSTER;
	const address = (device: number) => ({ account: uuidToBytes(BOB), device, registrationId: 70 + device });
	const devices = () => rosterDevices(store, BOB).flatMap(({ account, device }) => (account === BOB ? [device] : []));
	const before = conversation(store, BOB).roster_version;
	await refused({ code, difference: { version: before + 1, missing: [address(2)], reregistered: [address(3)] } });
	expect([devices(), conversation(store, BOB).roster_version]).toEqual([[1, 2, 3], before + 1]);
	await refused({ code, difference: { version: before, missing: [], gone: [address(2)] } });
	expect([devices(), conversation(store, BOB).roster_version]).toEqual([[1, 2, 3], before + 1]);
	// The same version again is what this roster lacks of it.
	putRosterDevice(store, BOB, { account: BOB, device: 4, registration_id: 74 });
	await refused({ code, difference: { version: before + 1, gone: [address(1), address(4)] } });
	expect(devices()).toEqual([2, 3]);
	// The session of before is none to send with: where the device comes back its prekeys are asked for.
	setRosterVersion(store, BOB, before + 1);
	const back = { version: before + 2, missing: [{ ...address(1), registrationId: registrationOfBob() }] };
	await refused({ code, difference: { ...back, gone: [address(2), address(3)] } });
	world.text(world.alice, "welcome back");
	const requests = await world.alice.machine.step(world.alice.inbox.splice(0));
	expect(requests).toContainEqual({ type: "claim-prekeys", account: BOB });
});

function registrationOfBob(): number {
	const known = world.server.devices.get(BOB);
	if (known === undefined) throw new Error("Bob is not registered");
	return known.registrationId;
}

test("ROSTER-2 ORDER-1 of several messages on their way none goes again before each was refused, so that their order stays", async () => {
	const { store } = world.alice;
	const ids = await sent(2);
	const version = conversation(store, BOB).roster_version + 1;
	const stale = { code: ErrorCode.STALE_ROSTER, difference: { version, missing: [] } };
	expect(sends(await refused(stale, ids[0]))).toBe(0);
	expect(sends(await refused(stale, ids[1]))).toBe(2);
	expect(history(store, BOB, 9).at(-1)).toMatchObject({ id: ids[1], sender: ALICE, status: "queued" });
});
