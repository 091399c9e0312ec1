/** The demo's second device: Alice links a laptop, uses it, and shuts it out. */
import { join } from "node:path";
import { Parley } from "../client/parley.ts";
import { type Person, until } from "./people.ts";

/** What a step of the demo does; see `step` in `demo.ts`. */
type Step = (what: string, work: () => Promise<string>) => Promise<void>;

export interface DevicesDemo {
	alice: Person;
	bob: Person;
	folder: string;
	server: string;
	/** Stands in every text. */
	mark: string;
	patience_ms: number;
}

export async function showDevices(step: Step, demo: DevicesDemo): Promise<void> {
	const { alice, bob, folder, server, mark, patience_ms } = demo;
	const laptop = await Parley.open({ dataDir: join(folder, "laptop"), server, environment: {} });
	/** Waits for a text in the talk with somebody. */
	const see = (device: Parley, other: string, text: string): Promise<void> =>
		until(
			async () => (await device.history(other, 50)).some(({ body }) => body === text),
			patience_ms,
			`"${text}" at ${other}'s other side`,
		);
	try {
		await step("Alice links a laptop with a code", async () => {
			let shown = "";
			let linking: Promise<number | undefined> = Promise.resolve(undefined);
			const account = await laptop.link("laptop", (code) => {
				shown = code;
				linking = alice.device.devices.link(code, async (name) => name === "laptop");
			});
			await linking;
			laptop.connect();
			return `device ${account.deviceId}, by a code of ${shown.length} characters`;
		});
		await step("what Bob writes is on both, what one sends too", async () => {
			const began_ms = performance.now();
			const [asked, answered] = [`${mark} which of you is it?`, `${mark} the laptop`];
			await bob.device.send(alice.name, asked);
			await Promise.all([see(alice.device, bob.name, asked), see(laptop, bob.name, asked)]);
			await laptop.send(bob.name, answered);
			await Promise.all([see(bob.device, alice.name, answered), see(alice.device, bob.name, answered)]);
			return `there and back in ${Math.round(performance.now() - began_ms)} ms, keys agreed on the way`;
		});
		await step("the laptop is unlinked and reads no more", async () => {
			await alice.device.devices.unlink(laptop.whoami().deviceId);
			const secret = `${mark} not for the laptop`;
			const { id } = await bob.device.send(alice.name, secret);
			await bob.device.sent(id, patience_ms);
			await see(alice.device, bob.name, secret);
			const why = await laptop.devices.list().then(
				() => "nothing",
				(error: unknown) => (error instanceof Error ? error.message : String(error)),
			);
			if ((await laptop.history(bob.name, 50)).some(({ body }) => body === secret)) throw new Error("it did read it");
			return `it is told: ${why}`;
		});
	} finally {
		await laptop.close();
	}
}
