/**
 * One run of the client's benchmark, in a process of its own so that its memory can be told.
 *
 * Argument: a `ClientOrder` as JSON. It prints a `ClientReport`.
 */
import { textContent } from "../client/machine/content.ts";
import type { MachineEvent } from "../client/machine/interface.ts";
import { pad } from "../client/machine/padding.ts";
import { libsignalSeconds } from "./libsignal.ts";
import { type ClientOrder, ClientOrderSchema, type ClientReport } from "./orders.ts";
import { Device, Relay } from "./relay.ts";

/** Steps without an end would hang the run. */
const ROUNDS_MAX = 100;

const seconds = { sending: 0, receiving: 0, settling: 0 };

async function step(relay: Relay, device: Device, peer: Device, events: MachineEvent[], part: keyof typeof seconds) {
	const begin_ms = performance.now();
	const requests = await device.machine.step(events);
	seconds[part] += (performance.now() - begin_ms) / 1000;
	relay.carry(device, peer, requests);
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

async function machines(order: ClientOrder): Promise<{ seconds: number; stored: number }> {
	const relay = new Relay();
	const alice = new Device(order.folder, "alice");
	const bob = new Device(order.folder, "bobby");
	const body = "x".repeat(order.message_bytes);
	const send = async (sender: Device, receiver: Device, count: number) => {
		const events = Array.from({ length: count }, (): MachineEvent => {
			return { type: "send-text", id: sender.machine.newMessageId(), peer: receiver.accountId, body };
		});
		await step(relay, sender, receiver, events, "sending");
		await settle(relay, sender, receiver);
	};
	for (const [one, other] of [
		[alice, bob],
		[bob, alice],
	] as const) {
		await one.machine.step([{ type: "conversation-opened", peer: other.accountId }]);
		relay.carry(one, other, [{ type: "open-conversation", peer: other.accountId }]);
		await settle(relay, one, other);
	}
	// The session begins, in both directions, outside of the measurement.
	await send(alice, bob, 1);
	await send(bob, alice, 1);
	const before = alice.received() + bob.received();
	seconds.sending = seconds.receiving = seconds.settling = 0;
	const begin_ms = performance.now();
	let [sender, receiver] = [alice, bob];
	for (let sent = 0; sent < order.messages; sent += order.burst) {
		await send(sender, receiver, Math.min(order.burst, order.messages - sent));
		[sender, receiver] = [receiver, sender];
	}
	const total = (performance.now() - begin_ms) / 1000;
	const stored = alice.received() + bob.received() - before;
	alice.store.close();
	bob.store.close();
	return { seconds: total, stored };
}

async function main(): Promise<void> {
	const order = ClientOrderSchema.parse(JSON.parse(process.argv[2] ?? ""));
	process.stdin.resume();
	process.stdin.on("close", () => process.exit(0));
	const run = await machines(order);
	const rss_mib_max = process.resourceUsage().maxRSS / 1024;
	const id = "01234567-89ab-7def-8123-456789abcdef";
	const plaintext = pad(textContent(id, Date.now(), "x".repeat(order.message_bytes), "alice"));
	const report: ClientReport = {
		messages: order.messages,
		machine_seconds: run.seconds,
		libsignal_seconds: await libsignalSeconds(order.messages, order.burst, plaintext),
		sending_seconds: seconds.sending,
		receiving_seconds: seconds.receiving,
		settling_seconds: seconds.settling,
		rss_mib_max,
		stored: run.stored,
	};
	process.stdout.write(`${JSON.stringify(report)}\n`);
}

await main();
