/**
 * One run of the client's benchmark, in a process of its own so that its memory can be told.
 *
 * Argument: a `ClientOrder` as JSON. It prints a `ClientReport`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import { z } from "zod";
import { parseContent, plaintextOf } from "../client/machine/content.ts";
import type { MachineEvent } from "../client/machine/interface.ts";
import { sendBytes, textBytes } from "../client/machine/wire.ts";
import { SendSchema } from "../protocol/gen/conversation_up_pb.js";
import { cpuSecondsSince } from "./libsignal.ts";
import { type ClientOrder, ClientOrderSchema, type ClientReport, type Spent, SpentSchema } from "./orders.ts";
import { observe, Phases } from "./phases.ts";
import { type Arrival, Device, decode, encode, Relay } from "./relay.ts";

/** Steps without an end would hang the run. */
const ROUNDS_MAX = 100;
/** The machines and libsignal alone take turns, so that a machine which is slow for a while is slow for both. */
const TURN_MESSAGES = 1_000;
/** So many more turns of the machines alone tell where the time goes. */
const OBSERVED_TURNS = 3;
const CONVERSATION = new Uint8Array(32);
const MESSAGE_ID = "01234567-89ab-7def-8123-456789abcdef";

const phases = new Phases();
const step_seconds = { sending: 0, receiving: 0, settling: 0 };
/** CPU time of the same, of all threads of this process: V8's collectors work beside the one that runs the steps. */
let machine_cpu_seconds = 0;

/** Both devices' steps and the frames at their sockets, without the relay between them. */
function machineSeconds(): number {
	return step_seconds.sending + step_seconds.receiving + step_seconds.settling;
}

async function step(
	relay: Relay,
	device: Device,
	peer: Device,
	arrived: readonly Arrival[],
	part: keyof typeof step_seconds,
) {
	const begin_ms = performance.now();
	const begin_cpu = process.cpuUsage();
	const events = phases.time("frames", () => arrived.map(decode));
	const requests = await device.machine.step(events);
	const errands = phases.time("frames", () => requests.map(encode));
	step_seconds[part] += (performance.now() - begin_ms) / 1000;
	machine_cpu_seconds += cpuSecondsSince(begin_cpu);
	relay.carry(device, peer, errands);
}

/** Lets both devices handle what has come, until nothing comes any more. */
async function settle(relay: Relay, sender: Device, receiver: Device): Promise<void> {
	for (let round = 0; round < ROUNDS_MAX; round++) {
		const arrived = relay.take(receiver);
		if (arrived.length > 0) await step(relay, receiver, sender, arrived, "receiving");
		const answers = relay.take(sender);
		if (answers.length > 0) await step(relay, sender, receiver, answers, "settling");
		if (arrived.length + answers.length === 0) return;
	}
	throw new Error("the machines do not come to rest");
}

/** Two devices that have each other's session. */
class MachineExchange {
	readonly #relay = new Relay();
	readonly #alice: Device;
	readonly #bob: Device;
	readonly #body: string;
	#swapped = false;

	constructor(order: ClientOrder) {
		this.#alice = new Device(order.folder, "alice");
		this.#bob = new Device(order.folder, "bobby");
		this.#body = "x".repeat(order.message_bytes);
	}

	async begin(): Promise<void> {
		for (const [one, other] of [
			[this.#alice, this.#bob],
			[this.#bob, this.#alice],
		] as const) {
			await one.machine.step([{ type: "conversation-opened", peer: other.accountId }]);
			this.#relay.carry(one, other, [{ type: "open-conversation", peer: other.accountId }]);
			await settle(this.#relay, one, other);
		}
		await this.send(1, 1);
		await this.send(1, 1);
	}

	/** Sends messages in bursts that change direction. */
	async send(messages: number, burst: number): Promise<void> {
		for (let sent = 0; sent < messages; sent += burst) {
			const [sender, receiver] = this.#swapped ? [this.#bob, this.#alice] : [this.#alice, this.#bob];
			const peer = receiver.accountId;
			const events = Array.from({ length: Math.min(burst, messages - sent) }, (): MachineEvent => {
				return { type: "send-text", id: sender.machine.newMessageId(), peer, body: this.#body };
			});
			await step(this.#relay, sender, receiver, events, "sending");
			await settle(this.#relay, sender, receiver);
			this.#swapped = !this.#swapped;
		}
	}

	stored(): number {
		return this.#alice.received() + this.#bob.received();
	}

	close(): void {
		this.#alice.store.close();
		this.#bob.store.close();
	}
}

/** libsignal alone with the same plaintext; see `libsignal-run.ts`. It ends with this process. */
class Libsignal {
	readonly #child: ChildProcess;

	constructor(plaintext: Uint8Array) {
		const script = new URL("libsignal-run.ts", import.meta.url);
		this.#child = fork(script, [Buffer.from(plaintext).toString("base64")]);
	}

	async take(messages: number, burst: number): Promise<Spent> {
		const answer = once(this.#child, "message");
		this.#child.send([messages, burst]);
		return z.tuple([SpentSchema, z.unknown()]).parse(await answer)[0];
	}

	close(): void {
		this.#child.disconnect();
	}
}

/** Seconds that as many contents take alone: into Protocol Buffers and padding, into a frame, and out again. */
function contentsSeconds(messages: number, body: string): number {
	const begin_ms = performance.now();
	for (let count = 0; count < messages; count++) {
		const content = plaintextOf(textBytes(MESSAGE_ID, Date.now(), body, "alice"), CONVERSATION);
		const value = { messageId: content.subarray(0, 16), rosterVersion: 1, envelopes: [{ ciphertext: content }] };
		sendBytes(create(SendSchema, value));
		parseContent(content, CONVERSATION);
	}
	return (performance.now() - begin_ms) / 1000;
}

function rssMibMax(): number {
	return process.resourceUsage().maxRSS / 1024;
}

async function main(): Promise<void> {
	const order = ClientOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
	process.stdin.resume();
	process.stdin.on("close", () => process.exit(0));
	const { messages, burst } = order;
	const body = "x".repeat(order.message_bytes);
	const machines = new MachineExchange(order);
	await machines.begin();
	const bare = new Libsignal(plaintextOf(textBytes(MESSAGE_ID, Date.now(), body, "alice"), CONVERSATION));
	const before = machines.stored();
	const rss_mib_begin = rssMibMax();
	const turn = burst * Math.ceil(TURN_MESSAGES / burst);
	const turns: ClientReport["turns"] = [];
	for (let sent = 0; sent < messages; sent += turn) {
		const count = Math.min(turn, messages - sent);
		const begin = { seconds: machineSeconds(), cpu_seconds: machine_cpu_seconds };
		await machines.send(count, burst);
		const machine: Spent = {
			seconds: machineSeconds() - begin.seconds,
			cpu_seconds: machine_cpu_seconds - begin.cpu_seconds,
		};
		turns.push({ messages: count, machine, libsignal: await bare.take(count, burst) });
	}
	const stored = machines.stored() - before;
	// To observe the parts takes some of the time that it tells of, so no turn is observed.
	observe(phases);
	step_seconds.sending = step_seconds.receiving = step_seconds.settling = 0;
	const observed = Math.min(messages, OBSERVED_TURNS * turn);
	await machines.send(observed, burst);
	const report: ClientReport = {
		messages,
		observed_seconds: machineSeconds(),
		turns,
		phase_seconds: { ...phases.seconds, contents: contentsSeconds(observed, body) },
		step_seconds,
		rss_mib_max: rssMibMax(),
		rss_mib_begin,
		stored,
	};
	machines.close();
	bare.close();
	process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
