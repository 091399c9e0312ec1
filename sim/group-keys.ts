/**
 * Sender keys without cryptography: who holds which key, and from which message of its chain on. Like libsignal's, a key
 * that is given on opens what is sent from then on, and nothing of before.
 */
import { z } from "zod";

/** What stands in a ciphertext for all: the message `place` of a key's chain. */
export const Sealed = z.object({ key: z.string(), place: z.number(), id: z.string() });
export type Sealed = z.infer<typeof Sealed>;

/** What stands in an envelope that brings a key. */
export const GivenKey = z.object({ key: z.string(), place: z.number() });
export type GivenKey = z.infer<typeof GivenKey>;

interface OwnKey {
	key: string;
	/** The next message's place in the chain. */
	place: number;
	/** Devices with their registrations that have it, or have it on the way, by the message that brought it. */
	holders: Map<string, string>;
}

/** The sender keys on one device's disk. */
export class SenderKeys {
	#own: OwnKey | undefined;
	/** The keys of others, with the place from which they open. */
	readonly #held = new Map<string, number>();

	/** The next message goes under another key (rule GROUP-13). */
	renew(): void {
		this.#own = undefined;
	}

	own(newName: () => string): OwnKey {
		this.#own ??= { key: newName(), place: 0, holders: new Map() };
		return this.#own;
	}

	/** The message with these keys was not logged. */
	forget(message: string): void {
		for (const [holder, by] of this.#own?.holders ?? []) if (by === message) this.#own?.holders.delete(holder);
	}

	receive({ key, place }: GivenKey): void {
		this.#held.set(key, Math.min(place, this.#held.get(key) ?? place));
	}

	opens({ key, place }: Sealed): boolean {
		return (this.#held.get(key) ?? Number.POSITIVE_INFINITY) <= place;
	}
}

export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
	return Uint8Array.from(new TextEncoder().encode(JSON.stringify(value)));
}

/** Undefined for what is no JSON of that form. */
export function decodeJson<Value>(schema: z.ZodType<Value>, bytes: Uint8Array): Value | undefined {
	try {
		return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
	} catch {
		return undefined;
	}
}
