/** Two people with a device each, for the demo and for tests that need a whole backend. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { IdentityKeyPair } from "@signalapp/libsignal-client";
import { openDataDirectory } from "../client/data_directory.ts";
import type { StoredMessage } from "../client/machine/interface.ts";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { readMeta } from "../client/store/account.ts";
import { Store } from "../client/store/database.ts";

/** Somebody whose device is on or off. What they said and heard is on their disk. */
export class Person {
	readonly name: string;
	readonly #dataDir: string;
	readonly #server: string;
	readonly #onNotice: (notice: ParleyNotice) => void;
	#parley: Parley | undefined;

	/** The name gets a random end, so that it can be searched for in what the backend has stored. */
	constructor(name: string, folder: string, server: string, onNotice: (notice: ParleyNotice) => void = () => {}) {
		this.name = `${name}_${randomBytes(5).toString("hex")}`;
		this.#dataDir = join(folder, name);
		this.#server = server;
		this.#onNotice = onNotice;
	}

	/** Registers, on the first call, and connects. */
	async goOnline(): Promise<void> {
		this.#parley = await Parley.open({
			dataDir: this.#dataDir,
			server: this.#server,
			environment: {},
			onNotice: this.#onNotice,
		});
		await this.#parley.register(this.name);
		this.#parley.connect();
	}

	async goOffline(): Promise<void> {
		await this.#parley?.close();
		this.#parley = undefined;
	}

	/** The device, which must be on. */
	get device(): Parley {
		if (this.#parley === undefined) throw new Error(`${this.name} is offline`);
		return this.#parley;
	}

	/** Everything that somebody else has said, in the order of the conversation. */
	async heard(from: Person): Promise<StoredMessage[]> {
		const all = await this.device.history(from.name, 100_000);
		return all.filter((message) => !message.outgoing);
	}

	/** Waits until that many messages of somebody have arrived. */
	async hear(from: Person, count: number, patience_ms: number): Promise<void> {
		await until(async () => (await this.heard(from)).length >= count, patience_ms, `${count} messages at ${this.name}`);
	}

	/** The identity private key and the device secret, read from the disk of a device that is off. */
	secrets(): { identityKey: Uint8Array; deviceSecret: string } {
		const { database, key } = openDataDirectory(this.#dataDir, undefined);
		const store = Store.open(database, key);
		try {
			const pair = readMeta<Uint8Array<ArrayBuffer>>(store, "identity_key_pair");
			const deviceSecret = readMeta<string>(store, "device_secret");
			if (pair === undefined || deviceSecret === undefined) throw new Error(`${this.name} has no keys`);
			return { identityKey: IdentityKeyPair.deserialize(pair).privateKey.serialize(), deviceSecret };
		} finally {
			store.close();
		}
	}
}

/** Waits until something is so, and throws when it is not so in time. */
export async function until(holds: () => boolean | Promise<boolean>, patience_ms: number, what: string): Promise<void> {
	const deadline_ms = performance.now() + patience_ms;
	while (!(await holds())) {
		if (performance.now() > deadline_ms) throw new Error(`waited ${patience_ms} ms in vain for ${what}`);
		await sleep(20);
	}
}
