import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { message, newConversation, newId, TestSocket, up } from "./testing.ts";

/** The runtime hibernates an object after ten idle seconds. */
const IDLE_S = 12;

/** Marks the instance that is in memory now. */
const marks = new WeakMap<object, string>();

type Founded = Awaited<ReturnType<typeof newConversation>>;

function instance({ stub }: Founded): Promise<string> {
	return runInDurableObject(stub, (object) => {
		const mark = marks.get(object) ?? crypto.randomUUID();
		marks.set(object, mark);
		return mark;
	});
}

async function connected(founded: Founded) {
	const one = await TestSocket.ready(founded.stub, founded.alice);
	const other = await TestSocket.ready(founded.stub, founded.bob);
	for (const socket of [one, other]) await socket.take(2);
	return { ...founded, one, other };
}

test("IDLE-1 left alone, the object hibernates by itself with its sockets open; a warm control, beside it, does not", async () => {
	const [cold, warm] = [await connected(await newConversation()), await connected(await newConversation())];
	const before = [await instance(cold), await instance(warm)];
	// The seconds are what is tested: nothing in the object may keep it in memory.
	for (let passed = 0; passed < IDLE_S; passed++) {
		await new Promise((resolve) => setTimeout(resolve, 1_000));
		warm.one.send(up({ case: "typing", value: { started: true } }));
		expect(await warm.other.next()).toBe("typing true");
	}
	for (const { one, other, bob } of [cold, warm]) {
		one.send(message(newId(), [bob]));
		expect(await one.next()).toBe("accepted 1");
		expect(await other.next()).toBe("entry 1");
	}
	const after = [await instance(cold), await instance(warm)];
	expect(after[0]).not.toBe(before[0]);
	expect(after[1]).toBe(before[1]);
});
