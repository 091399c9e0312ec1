/** Notes to oneself, on an account's only device. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { message, pendingOutboxCount } from "../store/queries.ts";
import { ALICE, settle, TestDevice } from "./testing.ts";
import { TestServer } from "./testing_server.ts";

test("CONVERSATION-3 a note on the only device is accepted, without a part for anybody, over a restart too", async () => {
	const folder = mkdtempSync(join(tmpdir(), "parley-notes-"));
	const server = new TestServer(() => 1_000);
	const device = new TestDevice(folder, ALICE, server, {
		nowMs: () => Date.UTC(2026, 10, 1),
		randomBytes: (count) => new Uint8Array(count).fill(3),
	});
	try {
		const ids: string[] = [];
		for (const body of ["milk", "bread"]) {
			const id = device.machine.newMessageId();
			ids.push(id);
			device.inbox.push({ type: "send-text", id, peer: ALICE, body });
		}
		await device.machine.step(device.inbox.splice(0));
		device.restart();
		device.inbox.push({ type: "conversation-opened", peer: ALICE });
		device.open.add(ALICE);
		await settle([device]);
		const id = device.machine.newMessageId();
		device.inbox.push({ type: "send-text", id, peer: ALICE, body: "salt" });
		await settle([device]);
		expect([...ids, id].map((each) => message(device.store, each))).toMatchObject([
			{ status: "sent", number: 1, body: "milk" },
			{ status: "sent", number: 2, body: "bread" },
			{ status: "sent", number: 3, body: "salt" },
		]);
		expect(server.log.map(({ send }) => send.envelopes.length)).toEqual([0, 0, 0]);
		expect(pendingOutboxCount(device.store, ALICE)).toBe(0);
	} finally {
		device.store.close();
		rmSync(folder, { recursive: true, force: true });
	}
});
