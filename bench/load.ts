/**
 * The load generator: pairs of members, each with one socket; both send, in a closed loop. A message is on the way
 * until its sender has the acknowledgement and the other member the message; each member keeps half of the pair's
 * window on the way. Runs in a process of its own. In slices it sends and rests as its parent says (`slices.ts`).
 *
 * Argument: a `LoadOrder` as JSON. It prints a `LoadReport`.
 */
import { registerPair } from "./accounts.ts";
import { cpuSeconds } from "./cpu-time.ts";
import { type Endpoint, type EndpointEvents, openBareEndpoint } from "./endpoints.ts";
import { type LoadOrder, LoadOrderSchema, type LoadReport, type Percentiles } from "./orders.ts";
import { openParleyEndpoint } from "./parley-endpoint.ts";
import { leave, obey, wait } from "./slice-load.ts";

/** How long an arrival waits for a message beside which it is acknowledged, and how often that is looked at. */
const ACKNOWLEDGE_MS = 100;
const LOOK_MS = 25;
/** From the last send until nothing is on the way and everything is acknowledged. */
const SETTLE_MS = 500;
/** Registrations and sockets that are opened at once. */
const SIDE_BY_SIDE = 10;
/** Counters that one run can use. */
const COUNTERS_MAX = 4_000_000;

const sentAt_ms = new Float64Array(COUNTERS_MAX);
/** What has happened to a message: bit 1 accepted, bit 2 received. */
const state = new Uint8Array(COUNTERS_MAX);
const COMPLETE = 3;

const acceptedAfter_ms: number[] = [];
const receivedAfter_ms: number[] = [];
let next = 0;
let measuring = false;
let complete = 0;
let complete_max = Number.POSITIVE_INFINITY;
let stopped = false;
let paused = false;
let refused = 0;
let finish: () => void = () => {};

function percentiles(values: number[]): Percentiles {
	values.sort((one, other) => one - other);
	const at = (share: number) => values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
	return { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) };
}

/** One member: sends as long as its window allows. */
class Member {
	readonly #needed: number;
	#endpoint: Endpoint | undefined;
	/** Messages that wait for the end of a pause. */
	#held = 0;

	/** `needed`: what must have happened to a message before the next one goes. */
	constructor(needed: number) {
		this.#needed = needed;
	}

	attach(endpoint: Endpoint): void {
		this.#endpoint = endpoint;
	}

	/** A pause is over. */
	resume(): void {
		for (let held = this.#held; held > 0; held--) this.send();
		this.#held = 0;
	}

	send(): void {
		if (stopped || next >= COUNTERS_MAX) return;
		if (paused) {
			this.#held += 1;
			return;
		}
		const counter = next++;
		owners.set(counter, this);
		sentAt_ms[counter] = performance.now();
		this.#endpoint?.send(counter);
	}

	mark(counter: number, bit: 1 | 2): void {
		const before = state[counter] ?? 0;
		if ((before & bit) !== 0) return;
		state[counter] = before | bit;
		if (measuring)
			(bit === 1 ? acceptedAfter_ms : receivedAfter_ms).push(performance.now() - (sentAt_ms[counter] ?? 0));
		if ((before | bit) !== this.#needed) return;
		owners.delete(counter);
		if (measuring && ++complete >= complete_max) finish();
		this.send();
	}
}

/** Whose message a counter names, until it is complete. */
const owners = new Map<number, Member>();

const events: EndpointEvents = {
	accepted: (counter) => owners.get(counter)?.mark(counter, 1),
	received: (counter) => owners.get(counter)?.mark(counter, 2),
	refused(why) {
		refused += 1;
		if (refused <= 3) process.stderr.write(`refused: ${why}\n`);
	},
	caughtUp: () => finish(),
};

/** Opens a socket of one member; `catchUp`: how many messages it has missed. */
type Open = (member: 0 | 1, catchUp?: number) => Promise<Endpoint>;

/** Prepares a pair: for Parley two accounts. */
async function preparePair(order: LoadOrder, index: number): Promise<Open> {
	switch (order.target) {
		case "bare": {
			const name = `pair-${process.pid}-${index}`;
			return (member, catchUp) => openBareEndpoint(order.url, name, member, order.message_bytes, events, catchUp);
		}
		case "parley": {
			const accounts = await registerPair(order.url);
			return (member, catchUp) => openParleyEndpoint(order.url, accounts, member, order.message_bytes, events, catchUp);
		}
	}
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

/** What was spent on measured messages. */
const spent = { seconds: 0, generator_cpu_seconds: 0, runtime_cpu_seconds: 0 };

/** Begins to measure; the returned function ends that. */
function begin(order: LoadOrder): () => void {
	const runtimeBefore = cpuSeconds(order.pids);
	const generatorBefore = process.cpuUsage();
	const begin_ms = performance.now();
	measuring = true;
	return () => {
		measuring = false;
		spent.seconds += (performance.now() - begin_ms) / 1000;
		const generator = process.cpuUsage(generatorBefore);
		spent.generator_cpu_seconds += (generator.user + generator.system) / 1e6;
		// A process that has ended, or a system that doesn't tell, leaves no number.
		spent.runtime_cpu_seconds += (cpuSeconds(order.pids) ?? Number.NaN) - (runtimeBefore ?? Number.NaN);
	};
}

function report(order: LoadOrder): LoadReport {
	const { seconds, generator_cpu_seconds, runtime_cpu_seconds } = spent;
	return {
		messages: complete,
		seconds,
		messages_per_second: complete / seconds,
		accepted: percentiles(acceptedAfter_ms),
		received: percentiles(receivedAfter_ms),
		...(Number.isNaN(runtime_cpu_seconds) || order.pids.length === 0 ? {} : { runtime_cpu_seconds }),
		messages_sent: next,
		generator_cpu_seconds,
		refused,
	};
}

/** Runs until `finish` is called or the time is over, and says how that went. */
async function measure(order: LoadOrder): Promise<LoadReport> {
	const end = begin(order);
	await new Promise<void>((done) => {
		const timer = setTimeout(done, order.measure_ms);
		finish = () => {
			clearTimeout(timer);
			done();
		};
	});
	end();
	return report(order);
}

async function exchange(order: LoadOrder, pairs: readonly Open[]): Promise<LoadReport> {
	const opened = await inGroups(pairs.length * 2, async (index) => {
		const member = new Member(COMPLETE);
		const endpoint = await pairs[index >> 1]?.(index % 2 === 0 ? 0 : 1);
		if (endpoint !== undefined) member.attach(endpoint);
		return { member, endpoint };
	});
	const members = opened.map(({ member }) => member);
	const endpoints = opened.flatMap(({ endpoint }) => endpoint ?? []);
	const timer = setInterval(() => {
		for (const endpoint of endpoints) endpoint.acknowledge(ACKNOWLEDGE_MS);
	}, LOOK_MS);
	paused = order.mode === "slices";
	// A window of one leaves one member silent.
	members.forEach((member, index) => {
		const share = index % 2 === 0 ? Math.ceil(order.window / 2) : Math.floor(order.window / 2);
		for (let count = 0; count < share; count++) member.send();
	});
	if (paused) {
		await obey({
			resume() {
				paused = false;
				for (const member of members) member.resume();
			},
			pause() {
				paused = true;
			},
			drained: () => owners.size === 0,
			begin: () => begin(order),
		});
	} else {
		await wait(order.warmup_ms);
		complete_max = order.messages_max;
		await measure(order);
	}
	stopped = true;
	// Every message's life ends: it arrives, is acknowledged, and the server clears up behind it.
	await wait(SETTLE_MS);
	clearInterval(timer);
	for (const endpoint of endpoints) endpoint.close();
	return report(order);
}

/** Member 0 fills the log alone; then the time is taken until member 1 has it all. */
async function catchUp(order: LoadOrder, open: Open): Promise<LoadReport> {
	const sender = new Member(1);
	const filling = await open(0);
	sender.attach(filling);
	measuring = true;
	complete_max = order.messages_max;
	const timer = setInterval(() => filling.acknowledge(), ACKNOWLEDGE_MS);
	await new Promise<void>((filled) => {
		finish = filled;
		for (let count = 0; count < order.window; count++) sender.send();
	});
	stopped = true;
	clearInterval(timer);
	// What was still on the way is in the log too.
	await wait(SETTLE_MS);
	filling.close();
	measuring = false;
	acceptedAfter_ms.length = 0;
	const length = next;
	const measured = measure(order);
	const reading = await open(1, length);
	const acknowledging = setInterval(() => reading.acknowledge(), ACKNOWLEDGE_MS);
	const caughtUp = await measured;
	clearInterval(acknowledging);
	reading.close();
	return { ...caughtUp, messages: length, messages_per_second: length / caughtUp.seconds };
}

async function main(): Promise<void> {
	const order = LoadOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
	process.stdin.resume();
	process.stdin.on("close", () => process.exit(0));
	const pairs = await inGroups(order.pairs, (index) => preparePair(order, index));
	const first = pairs[0];
	if (first === undefined) throw new Error("no pair");
	const outcome = order.mode === "catch-up" ? await catchUp(order, first) : await exchange(order, pairs);
	process.stdout.write(`${JSON.stringify(outcome)}\n`);
	leave();
}

await main();
