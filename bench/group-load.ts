/**
 * The load of a group: one member sends to all others in a closed loop; a message is on the way until each of them has
 * it. Runs in a process of its own, and sends and rests as its parent says (`slices.ts`).
 *
 * Argument: a `GroupOrder` as JSON. It prints a `GroupReport`.
 */
import { randomBytes } from "node:crypto";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { WebSocket } from "ws";
import { ErrorCode } from "../protocol/gen/common_pb.js";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { groupId, nextUuidV7 } from "../protocol/ids.ts";
import { LIMITS } from "../protocol/limits.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import { type LoadAccount, registerOne } from "./accounts.ts";
import { readArrival } from "./arrival.ts";
import { cpuSeconds } from "./cpu-time.ts";
import { openBareEndpoint, openSocket } from "./endpoints.ts";
import { type GroupOrder, GroupOrderSchema, type GroupReport } from "./orders.ts";
import { leave, obey } from "./slice-load.ts";

const SIDE_BY_SIDE = 8;
/** Rule GROUP-8: all members together acknowledge about a thousand times a second. */
const ACKNOWLEDGE_MS_PER_MEMBER = 1;
const ACKNOWLEDGE_MS_MIN = 100;
/** The same rule: half of what may be on the way to each of them. */
const shareOf = (members: number) => Math.max(LIMITS.window_bytes_least, LIMITS.windows_bytes / members) / 2;
/** Deliveries of which the time is kept. */
const SAMPLES_MAX = 4_000_000;

interface Message {
	sentAt_ms: number;
	waiting: number;
}

const messages = new Map<number, Message>();
const samples = new Float64Array(SAMPLES_MAX);
let deliveries = 0;
let measuring = false;
let next = 0;
let send: (counter: number) => void = () => {};
let others = 0;

let paused = true;
/** Messages that wait for the end of a pause. */
let held = 0;

function sendNext(): void {
	if (paused) {
		held += 1;
		return;
	}
	const counter = next++;
	messages.set(counter, { sentAt_ms: performance.now(), waiting: others });
	send(counter);
}

function received(counter: number): void {
	const message = messages.get(counter);
	if (message === undefined) return;
	if (measuring && deliveries < SAMPLES_MAX) samples[deliveries++] = performance.now() - message.sentAt_ms;
	message.waiting -= 1;
	if (message.waiting > 0) return;
	messages.delete(counter);
	sendNext();
}

function refused(why: string): never {
	throw new Error(`refused: ${why}`);
}

/** Work that is prepared side by side, as much as a server may be asked at once. */
async function inGroups<T>(count: number, prepare: (index: number) => Promise<T>): Promise<T[]> {
	const done: T[] = [];
	while (done.length < count) {
		const first = done.length;
		const size = Math.min(SIDE_BY_SIDE, count - first);
		done.push(...(await Promise.all(Array.from({ length: size }, (_, index) => prepare(first + index)))));
	}
	return done;
}

async function prepareBare(order: GroupOrder): Promise<void> {
	const name = `group-${process.pid}`;
	const events = { accepted() {}, received, refused, caughtUp() {} };
	const endpoints = await inGroups(order.members, (index) =>
		openBareEndpoint(order.url, name, index === 0 ? 0 : 1, order.message_bytes, events, undefined),
	);
	send = (counter) => endpoints[0]?.send(counter);
}

async function prepareParley(order: GroupOrder): Promise<void> {
	const accounts = await inGroups(order.members, () => registerOne(order.url));
	const [founder, ...members] = accounts;
	if (founder === undefined) throw new Error("nobody");
	const seed = new Uint8Array(randomBytes(32));
	const group = await groupId(seed);
	const rules = { add: "members", edit: "members", send: "members", link: false, approval: false };
	const path = `${order.url}/v1/groups/${group}`;
	await post(path, founder, { seed: text(seed), members: [], rules });
	for (let first = 0, version = 2; first < members.length; first += LIMITS.group_added, version++) {
		const added = members.slice(first, first + LIMITS.group_added);
		const roles = added.map(({ accountId }) => ({ accountId, role: "member" }));
		await post(`${path}/changes`, founder, { version, added: roles });
	}
	const sockets = await inGroups(accounts.length, async (index) => {
		const account = accounts[index];
		return account === undefined ? undefined : openMember(order, group, account);
	});
	const own = sockets[0];
	if (own === undefined) throw new Error("no socket");
	send = sender(order, own.socket, own.rosterVersion);
	setInterval(
		() => {
			for (const socket of sockets) socket?.acknowledge();
		},
		Math.max(ACKNOWLEDGE_MS_MIN, order.members * ACKNOWLEDGE_MS_PER_MEMBER),
	).unref();
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");

async function post(url: string, { accessToken }: LoadAccount, fields: object): Promise<void> {
	const messageId = text(nextUuidV7(Date.now(), randomBytes(10)));
	const response = await fetch(url, {
		method: "POST",
		headers: { "content-type": "application/json", authorization: `Bearer ${accessToken}` },
		// As much as a state of a thousand members has.
		body: JSON.stringify({ messageId, state: text(randomBytes(20_000)), ...fields }),
		signal: AbortSignal.timeout(60_000),
	});
	if (!response.ok) throw new Error(`the group answered ${response.status}: ${await response.text()}`);
	await response.arrayBuffer();
}

function up(frame: MessageInitShape<typeof ConversationUpSchema>["frame"]): Uint8Array<ArrayBuffer> {
	return new Uint8Array(
		toBinary(ConversationUpSchema, create(ConversationUpSchema, frame === undefined ? {} : { frame })),
	);
}

/** A member, when it has everything that was before. */
async function openMember({ url, members }: GroupOrder, group: string, { accessToken }: LoadAccount) {
	const bytes_max = shareOf(members);
	let cursor = 0;
	let bytes = 0;
	let acknowledged = 0;
	let rosterVersion = 0;
	let caughtUp = () => {};
	const ready = new Promise<void>((done) => {
		caughtUp = done;
	});
	const acknowledge = () => {
		if (cursor === acknowledged) return;
		acknowledged = cursor;
		bytes = 0;
		socket.send(up({ case: "acknowledge", value: { cursor } }));
	};
	const arrived = (number: number) => {
		if (number > cursor) cursor = number;
		if (cursor - acknowledged >= LIMITS.acknowledge_entries || bytes >= bytes_max) acknowledge();
	};
	const socket = await openSocket(
		`${url.replace("http", "ws")}/v1/groups/${group}/socket`,
		{ authorization: `Bearer ${accessToken}` },
		(frameBytes) => {
			const field = (frameBytes[0] ?? 0) >> 3;
			if (field === 2) {
				bytes += frameBytes.length;
				const { number, counter } = readArrival(frameBytes, 1, 3);
				received(counter);
				return arrived(number);
			}
			if (field === 4) return arrived(readArrival(frameBytes, 2, 1).number);
			const { frame } = fromBinary(ConversationDownSchema, frameBytes);
			if (frame.case === "welcome") rosterVersion = frame.value.roster?.version ?? 0;
			else if (frame.case === "caughtUp") {
				arrived(frame.value.head);
				caughtUp();
			} else if (frame.case === "refused") refused(ErrorCode[frame.value.code]);
		},
	);
	socket.send(up({ case: "hello", value: { protocolVersion: PROTOCOL_VERSION, cursor: 0, read: 0 } }));
	await ready;
	return { socket, acknowledge, rosterVersion };
}

/** One frame is encoded; for each message only its id is written into it. */
function sender(order: GroupOrder, socket: WebSocket, rosterVersion: number): (counter: number) => void {
	const shared = new Uint8Array(randomBytes(order.message_bytes));
	let previous = nextUuidV7(Date.now(), randomBytes(10));
	const template = Buffer.from(up({ case: "send", value: { messageId: previous, rosterVersion, shared } }));
	const idAt = template.indexOf(previous);
	const random = Buffer.from(randomBytes(10));
	return (counter) => {
		random.writeUInt32BE(counter, 6);
		previous = nextUuidV7(Date.now(), random, previous);
		const frame = Buffer.from(template);
		frame.set(previous, idAt);
		socket.send(frame);
	};
}

async function main(): Promise<void> {
	const order = GroupOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
	process.stdin.resume();
	process.stdin.on("close", () => process.exit(0));
	others = order.members - 1;
	const begin_ms = performance.now();
	await (order.target === "bare" ? prepareBare(order) : prepareParley(order));
	const prepared_seconds = (performance.now() - begin_ms) / 1_000;
	for (let count = 0; count < order.window; count++) sendNext();
	const spent = { seconds: 0, runtime_cpu_seconds: 0, generator_cpu_seconds: 0 };
	await obey({
		resume() {
			paused = false;
			for (; held > 0; held--) sendNext();
		},
		pause() {
			paused = true;
		},
		drained: () => messages.size === 0,
		begin() {
			const cpuBefore = cpuSeconds(order.pids) ?? 0;
			const generatorBefore = process.cpuUsage();
			const from_ms = performance.now();
			measuring = true;
			return () => {
				measuring = false;
				const generator = process.cpuUsage(generatorBefore);
				spent.seconds += (performance.now() - from_ms) / 1_000;
				spent.generator_cpu_seconds += (generator.user + generator.system) / 1e6;
				spent.runtime_cpu_seconds += (cpuSeconds(order.pids) ?? 0) - cpuBefore;
			};
		},
	});
	const sorted = samples.subarray(0, deliveries).sort();
	const at = (share: number) => sorted[Math.min(deliveries - 1, Math.floor(deliveries * share))] ?? 0;
	const report: GroupReport = {
		deliveries,
		...spent,
		deliveries_per_second: deliveries / spent.seconds,
		p50_ms: at(0.5),
		p99_ms: at(0.99),
		prepared_seconds,
	};
	process.stdout.write(`${JSON.stringify(report)}\n`);
	leave();
}

await main();
