/** The demo's second act: three people, one with two devices, a group; an edit, a timer, a removal, an unlinking. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Parley } from "../client/parley.ts";
import { Person, until } from "./people.ts";

/** What a step of the demo does; see `step` in `demo.ts`. */
type Step = (what: string, work: () => Promise<string>) => Promise<void>;

/** How long a message of the group lasts after it was read. */
const TIMER_SECONDS = 1;
/** What must not come gets so long to come. */
const MOMENT_MS = 700;

export interface GroupDemo {
	alice: Person;
	bob: Person;
	folder: string;
	server: string;
	/** Stands in every text and title. */
	mark: string;
	patience_ms: number;
}

/** Returns who joined the demo for this act, offline again. */
export async function showGroup(step: Step, demo: GroupDemo): Promise<Person> {
	const { alice, bob, folder, server, mark } = demo;
	const carol = new Person("carol", folder, server);
	const laptop = await Parley.open({ dataDir: join(folder, "laptop"), server, environment: {} });
	const title = `${mark} climbing`;
	const group = `group:${title}`;
	const scene = { ...demo, carol, laptop, title, group };
	try {
		await step("Alice links a laptop with a code", () => link(scene));
		await step("Carol comes; Alice makes a group of three", async () => {
			await carol.goOnline();
			const { unreachable } = await alice.device.groups.create(title, [bob.name, carol.name]);
			if (unreachable.length > 0) throw new Error("somebody could not be reached");
			const inIt = (device: Parley) => device.groups.list().some((info) => info.title === title && info.member);
			const all = [bob.device, carol.device, laptop];
			await until(() => all.every(inIt), demo.patience_ms, "the group on all devices");
			return "each learns its title, the server doesn't";
		});
		await step("one message, on three devices of three people", async () => {
			const began_ms = performance.now();
			const texts = [`${mark} who climbs on Sunday?`, `${mark} I do, from my laptop`];
			await bob.device.send(group, texts[0] ?? "");
			await see(scene, group, texts[0] ?? "", [alice.device, laptop, carol.device]);
			await laptop.send(group, texts[1] ?? "");
			await see(scene, group, texts[1] ?? "", [alice.device, bob.device, carol.device]);
			return `there and back in ${Math.round(performance.now() - began_ms)} ms, one ciphertext for all`;
		});
		await step("Bob edits what he said", () => edit(scene));
		await step(`a timer: messages go ${TIMER_SECONDS} s after reading`, () => timer(scene));
		await step("Carol is removed and reads nothing after it", () => remove(scene));
		await step("the laptop is unlinked and reads no more", () => unlink(scene));
		return carol;
	} finally {
		await carol.goOffline();
		await laptop.close();
	}
}

interface Scene extends GroupDemo {
	carol: Person;
	laptop: Parley;
	title: string;
	group: string;
}

/** Waits for a text in a conversation, on all of these devices. */
async function see({ patience_ms }: GroupDemo, other: string, text: string, devices: Parley[]): Promise<void> {
	for (const device of devices) await until(() => has(device, other, text), patience_ms, `"${text}" everywhere`);
}

async function has(device: Parley, other: string, text: string): Promise<boolean> {
	return (await device.history(other, 50)).some(({ body }) => body === text);
}

async function link({ alice, laptop }: Scene): Promise<string> {
	let shown = "";
	let linking: Promise<number | undefined> = Promise.resolve(undefined);
	const account = await laptop.link("laptop", (code) => {
		shown = code;
		linking = alice.device.devices.link(code, async (name) => name === "laptop");
	});
	await linking;
	laptop.connect();
	return `device ${account.deviceId}, by a code of ${shown.length} characters`;
}

async function edit(scene: Scene): Promise<string> {
	const { alice, bob, carol, laptop, group, mark } = scene;
	const [before, after] = [`${mark} at seven`, `${mark} at eight`];
	const { id } = await bob.device.send(group, before);
	const others = [alice.device, laptop, carol.device];
	await see(scene, group, before, others);
	await bob.device.messages.edit(id, after);
	await see(scene, group, after, others);
	for (const device of others) {
		const message = device.find(id);
		const earlier = message === undefined ? [] : (device.messages.view(message)?.earlier ?? []);
		if (earlier.map(({ body }) => body).join() !== before) throw new Error("the earlier text was not kept");
	}
	return "the new text everywhere, the earlier one beside it";
}

async function timer(scene: Scene): Promise<string> {
	const { alice, bob, carol, laptop, group, mark, patience_ms } = scene;
	const all = [alice.device, laptop, bob.device, carol.device];
	await alice.device.messages.setTimer(group, TIMER_SECONDS);
	const set = async (device: Parley) => (await device.messages.timer(group)) === TIMER_SECONDS;
	for (const device of all) await until(() => set(device), patience_ms, "the timer on all devices");
	const text = `${mark} burn after reading`;
	const { id } = await alice.device.send(group, text);
	await see(scene, group, text, [laptop, bob.device, carol.device]);
	await sleep((TIMER_SECONDS + 0.5) * 1_000);
	const unread = [bob.device, carol.device];
	for (const device of unread) if (!(await has(device, group, text))) throw new Error("gone before it was read");
	if (await has(alice.device, group, text)) throw new Error("still at the sender's");
	const read_ms = performance.now();
	for (const device of unread) device.markAllRead(device.find(id)?.peer ?? "");
	for (const device of all) await until(async () => !(await has(device, group, text)), patience_ms, "its end");
	const took_ms = performance.now() - read_ms;
	if (took_ms < TIMER_SECONDS * 1_000 - 100) throw new Error(`gone ${Math.round(took_ms)} ms after reading already`);
	await alice.device.messages.setTimer(group, 0);
	return `unread it stayed, read it was gone after ${(took_ms / 1000).toFixed(1)} s`;
}

async function remove(scene: Scene): Promise<string> {
	const { alice, bob, carol, laptop, group, title, mark, patience_ms } = scene;
	await alice.device.groups.remove(title, [carol.name]);
	const secret = `${mark} not for Carol`;
	await bob.device.send(group, secret);
	await see(scene, group, secret, [alice.device, laptop]);
	await until(() => !carol.device.groups.info(title).member, patience_ms, "Carol to be told");
	await carol.goOffline();
	// Also when she comes back and asks for what there is.
	await carol.goOnline();
	await carol.device.receive({ timeoutMs: patience_ms });
	await sleep(MOMENT_MS);
	if (await has(carol.device, group, secret)) throw new Error("she did read it");
	const why = await carol.device
		.send(group, `${mark} let me in`)
		.then(({ id }) => carol.device.sent(id, patience_ms).then(...outcome), outcome[1]);
	return `she is told, and to what she writes: ${why}`;
}

const outcome = [
	() => {
		throw new Error("the group took what she wrote");
	},
	(error: unknown) => (error instanceof Error ? error.message : String(error)),
] as const;

async function unlink(scene: Scene): Promise<string> {
	const { alice, bob, laptop, mark, patience_ms } = scene;
	await alice.device.devices.unlink(laptop.whoami().deviceId);
	const secret = `${mark} not for the laptop`;
	const { id } = await bob.device.send(alice.name, secret);
	await bob.device.sent(id, patience_ms);
	await see(scene, bob.name, secret, [alice.device]);
	const why = await laptop.devices.list().then(
		() => "nothing",
		(error: unknown) => (error instanceof Error ? error.message : String(error)),
	);
	if (await has(laptop, bob.name, secret)) throw new Error("it did read it");
	return `it is told: ${why}`;
}
