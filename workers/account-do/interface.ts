/** What other rooms may ask of an account object. Two versions overlap during a deploy: only add to it. */
import type { PreKeyBundles, PreKeyCounts, PreKeyUpload } from "../../protocol/http.ts";

/** The prekeys for a first message to one device; the registration id is the directory's to add. */
export type TakenPreKeys = Omit<PreKeyBundles["devices"][number], "registrationId">;

/** One conversation of the account: its id (64 hex digits) and the other member's account id. */
export interface ConversationReference {
	conversation: string;
	peer: string;
}

export interface AccountInterface {
	/**
	 * Registers the device at its account object with its first prekeys. Idempotent. After `erase` it throws
	 * "account erased".
	 */
	addDevice(device: number, keys: PreKeyUpload): Promise<void>;
	/**
	 * Stores prekeys whose form and signatures the api has verified. The same set again changes nothing, and a one-time
	 * key that was handed out never comes back (its id is remembered as a high-water mark). Beyond
	 * `LIMITS.prekeys_kept` of a kind nothing is stored and the answer is "too_many_prekeys"; "unknown_device" for a
	 * device that is not here.
	 */
	uploadPreKeys(device: number, upload: PreKeyUpload): Promise<PreKeyCounts | "too_many_prekeys" | "unknown_device">;
	/** "unknown_device" for a device that is not here. */
	preKeyCounts(device: number): Promise<PreKeyCounts | "unknown_device">;
	/** Takes one set of prekeys for each device: one-time keys leave the store with the answer (rule PREKEY-1). */
	takePreKeys(): Promise<TakenPreKeys[]>;
	/** The account is a member of this conversation. Idempotent; called before the conversation is founded. */
	joined(reference: ConversationReference): Promise<void>;
	/** All conversations of the account, by id, after the given one; at most 500. */
	conversations(after: string): Promise<ConversationReference[]>;
	/** A conversation has entries up to `upTo` for the device (rules NUDGE-1 and NUDGE-2). Unknown devices are ignored. */
	nudge(reference: ConversationReference, device: number, upTo: number): Promise<void>;
	/** The account is gone: everything is removed, sockets close, and the object refuses to be filled again. */
	erase(): Promise<void>;
	/** The device's always-on socket, authenticated by the api (headers as for conversations). 101, 403 or 426. */
	fetch(request: Request): Promise<Response>;
}
