import { afterEach, beforeEach, expect, test } from "vitest";
import { uuidFromBytes } from "../../../protocol/ids.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import { leftOutAccounts } from "../../store/group_watermarks.ts";
import { message } from "../../store/queries.ts";
import { GROUP, GroupWorld } from "./testing.ts";

let world: GroupWorld;
beforeEach(() => {
	world = new GroupWorld();
});
afterEach(() => world.close());

test("GROUP-12 keys for many devices go in few frames below the limit, and progress is told", async () => {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCD".split("");
	const people = letters.map((letter) => world.add(letter));
	const [alice] = people;
	if (alice === undefined) throw new Error("nobody");
	await world.found(...people);
	alice.text("hello all");
	await world.settle();
	for (const device of people) expect(device.read()).toEqual(["hello all"]);
	const frames = world.server.group(GROUP).log.flatMap(({ send }) => (send === undefined ? [] : [send.envelopes]));
	const sizes = frames.map((envelopes) => envelopes.reduce((sum, { ciphertext }) => sum + ciphertext.length, 0));
	expect(frames.flat()).toHaveLength(people.length - 1);
	expect(frames.filter((envelopes) => envelopes.length > 0)).toHaveLength(2);
	expect(Math.max(...sizes)).toBeLessThanOrEqual(LIMITS.message_ciphertext_bytes);
	const last = alice.told("group-progress").at(-1);
	expect(last).toMatchObject({ done: people.length - 1, total: people.length - 1 });
});

test("GROUP-17 one of 1,024 members has broken keys: the rest get the message, and the sender learns who did not", async () => {
	const [alice, bob] = [world.add("a"), world.add("b")];
	// Of the others there is what a sender sees: prekeys at the server, the same ones of last resort for all.
	const [keys] = [...world.server.devices.values()].slice(1);
	if (keys === undefined) throw new Error("nobody");
	const others = Array.from({ length: LIMITS.group_members - 2 }, (_, index) => {
		return `${(index + 1).toString(16).padStart(8, "0")}-0000-4000-8000-000000000001`;
	});
	for (const account of others) {
		const empty = { ...keys.keys, oneTimePreKeys: [], oneTimeKyberPreKeys: [] };
		world.server.devices.set(`${account}.1`, { ...keys, account, device: 1, keys: empty });
	}
	const broken = others[500] ?? "";
	world.server.onClaim = (who, bundles) => {
		if (who !== broken) return bundles;
		const spoilt = bundles.devices.map((device) => ({
			...device,
			signedPreKey: { ...device.signedPreKey, signature: "A".repeat(86) },
		}));
		return { ...bundles, devices: spoilt };
	};
	await world.found(alice, bob);
	for (let from = 0; from < others.length; from += LIMITS.group_added) {
		alice.want({ do: "add", accounts: others.slice(from, from + LIMITS.group_added) });
		await world.settle();
	}
	expect(world.server.group(GROUP).members).toHaveLength(LIMITS.group_members);
	const id = alice.text("for those who can");
	await world.settle();
	expect(bob.read()).toEqual(["for those who can"]);
	expect(alice.told("left-out")).toMatchObject([{ messageId: id, accounts: [broken] }]);
	expect(leftOutAccounts(alice.store, id)).toEqual([broken]);
	expect(message(alice.store, id)?.status).not.toBe("queued");
	const given = world.server.group(GROUP).log.flatMap(({ send }) => send?.envelopes ?? []);
	const reached = new Set(given.map(({ to }) => uuidFromBytes(to?.account ?? new Uint8Array(16))));
	for (const account of others) expect(reached.has(account), account).toBe(account !== broken);
});
