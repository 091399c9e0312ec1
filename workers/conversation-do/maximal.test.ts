/** The largest group that there can be, with the largest numbers, in the runtime. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ConversationDownSchema } from "../../protocol/gen/conversation_down_pb.js";
import { toHex, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { GroupRole } from "./interface.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { newId, up, upgrade } from "./testing.ts";
import { OPEN, request } from "./testing-groups.ts";

const ROW_BYTES_MAX = 2_000_000;
/** About the largest number that an entry can have. */
const HEAD = 4_294_960_000;

const account = (index: number) => `ffffffff-ffff-4fff-bfff-${index.toString(16).padStart(12, "0")}`;
const devices = Array.from({ length: LIMITS.devices_per_account }, (_, index) => ({
	device: 120 + index,
	registrationId: 16_380,
}));

const FOUNDER = { account: account(0), device: 120, registrationId: 16_380 };

async function foundLargest(name: string) {
	const stub = env.CONVERSATION.getByName(name);
	const added = Array.from({ length: LIMITS.group_members }, (_, index) => {
		const role: GroupRole = "admin";
		return { account: account(index), devices, version: 4_000_000_000, role };
	});
	const state = Buffer.alloc(LIMITS.group_state_bytes).toString("base64");
	const founding = request(FOUNDER, 1, { added, rules: { ...OPEN, link: true }, linkHash: "ab".repeat(32), state });
	expect(await stub.changeGroup(founding)).toEqual({ number: 1, version: 1 });
	return stub;
}

/** As after years: each number as long as it gets, each device a sender, as many senders gone as are remembered. */
function age(json: string): string {
	const state = JSON.parse(json);
	const names: string[] = [];
	for (const device of state.devices) {
		Object.assign(device, { arrived: HEAD - 3, cursor: HEAD, passed: HEAD, told: HEAD - 1, nudged: false });
		names.push(`${device.account}/${device.device}/${device.registrationId}`);
	}
	for (let index = 0; index < LIMITS.remembered_entries; index++) names.push(`${account(5_000 + index)}/120/16380`);
	const marks = names.map((name) => [name, { last: "0".repeat(32), forgotten: "0".repeat(32) }]);
	const reads = state.members.map((member: string) => [member, HEAD]);
	return JSON.stringify({ ...state, head: HEAD, wiped: HEAD, version: 4_000_000_000, marks, reads });
}

/** Opens a device's socket and returns its frames as they come. */
async function connect(stub: DurableObjectStub, index: number) {
	const { webSocket } = await upgrade(stub, account(index), 120);
	if (webSocket === null) throw new Error("no socket");
	const frames: Uint8Array[] = [];
	let wake = (): void => {};
	webSocket.binaryType = "arraybuffer";
	webSocket.addEventListener("message", ({ data }: MessageEvent) => {
		if (data instanceof ArrayBuffer) frames.push(new Uint8Array(data));
		wake();
	});
	webSocket.accept();
	const next = async (): Promise<Uint8Array> => {
		for (;;) {
			const frame = frames.shift();
			if (frame !== undefined) return frame;
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
	};
	return { socket: webSocket, next };
}

const caseOf = (bytes: Uint8Array) => fromBinary(ConversationDownSchema, bytes).frame;

test("GROUP-8 the state of 1,024 members with 8 devices each fits the rows of the store, and its frames the sockets", {
	// Seconds on a computer with nothing else to do; it is the largest of all.
	timeout: 120_000,
}, async () => {
	const stub = await foundLargest("f".repeat(64));
	await runInDurableObject(stub, (_, state) => {
		const store = new SqliteStore(state.storage);
		store.append({
			...{ number: HEAD, time_ms: Date.now(), messageId: toHex(newId()), sender: "nobody/1/1", checksum: 1 },
			...{ wiped: true, payload: null },
		});
		store.writeState(age(store.readState() ?? ""));
	});
	await evictDurableObject(stub);
	const one = await connect(stub, 0);
	const two = await connect(stub, 1);
	for (const { socket } of [one, two]) {
		socket.send(up({ case: "hello", value: { protocolVersion: 1, cursor: HEAD } }));
	}
	const welcomes = [await one.next(), await two.next()];
	for (const welcome of welcomes) {
		expect(caseOf(welcome).case).toBe("welcome");
		expect(welcome.length).toBeLessThan(LIMITS.frame_down_bytes);
	}
	expect(caseOf(welcomes[0] ?? new Uint8Array()).value).toMatchObject({
		head: HEAD,
		roster: { version: 4_000_000_000 },
	});
	for (const { next } of [one, two]) expect(caseOf(await next()).case).toBe("caughtUp");
	one.socket.send(up({ case: "watermarks", value: {} }));
	const marks = await one.next();
	expect(caseOf(marks)).toMatchObject({ case: "watermarks" });
	expect(marks.length).toBeLessThan(LIMITS.frame_down_bytes);
	const value = { messageId: newId(), rosterVersion: 4_000_000_000, shared: new Uint8Array([1]) };
	one.socket.send(up({ case: "send", value }));
	expect(caseOf(await one.next())).toMatchObject({ case: "accepted", value: { number: HEAD + 1 } });
	expect(caseOf(await two.next())).toMatchObject({ case: "entry", value: { number: HEAD + 1 } });
	// A change writes state and group.
	await stub.setDevices({ account: account(9), devices: devices.slice(1), version: 4_000_000_001 });
	expect(caseOf(await two.next())).toMatchObject({
		case: "rosterChange",
		value: { removed: [{ account: uuidToBytes(account(9)) }] },
	});
	const rows = await runInDurableObject(stub, (_, state) =>
		state.storage.sql
			.exec<{ id: number; bytes: number }>("SELECT id, LENGTH(CAST(json AS BLOB)) AS bytes FROM state")
			.toArray(),
	);
	const all = rows.filter(({ id }) => id !== 2).reduce((sum, { bytes }) => sum + bytes, 0);
	// More than one row may have: else this test shows nothing.
	expect(all).toBeGreaterThan(ROW_BYTES_MAX);
	for (const { bytes } of rows) expect(bytes).toBeLessThan(ROW_BYTES_MAX);
});
