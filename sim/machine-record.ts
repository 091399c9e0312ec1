/** What a real device has on its disk, told to the history once. */
import type { Store } from "../client/store/database.ts";
import type { MessageRow } from "../client/store/messages.ts";
import { bodyText } from "./bodies.ts";
import { deviceName } from "./device.ts";
import type { DeviceName, History } from "./history.ts";

/** Stands for all devices in a text. */
export const EVERYBODY = "everybody";

export class MessageRecord {
	readonly #peer: string;
	readonly #device: DeviceName;
	readonly #history: History;
	readonly #noted = new Set<string>();

	constructor(peer: string, device: DeviceName, history: History) {
		this.#peer = peer;
		this.#device = device;
		this.#history = history;
	}

	/** Messages that have come and can be read, own ones that were accepted, and those that never will be. */
	note(store: Store): void {
		const rows = store.all<MessageRow>(
			`SELECT * FROM messages WHERE peer = ? AND status <> 'undecryptable' AND (number IS NOT NULL OR status = 'failed')
			 ORDER BY number`,
			[this.#peer],
		);
		for (const row of rows) {
			if (this.#noted.has(row.id)) continue;
			this.#noted.add(row.id);
			this.#note(row);
		}
	}

	#note({ id, number, body, server_time_ms, sender: account, sender_device }: MessageRow): void {
		const device = this.#device;
		if (number === null) {
			this.#history.observe({ type: "failed", device, code: "failed", id });
			return;
		}
		const timeMs = server_time_ms ?? 0;
		const sender = deviceName(account, sender_device);
		// A text is the same for all: what the checker wants is that it is this device's copy of it.
		const copy = body === bodyText(id, EVERYBODY) ? bodyText(id, device) : (body ?? "");
		if (sender === device) this.#history.observe({ type: "accepted", device, id, number, timeMs });
		else this.#history.observe({ type: "stored", device, number, id, sender, timeMs, body: copy });
	}
}
