/** What other rooms may ask of an account object. Two versions overlap during a deploy: only add to it. */
import type { PreKeyBundles, PreKeyCounts, PreKeyUpload } from "../../protocol/http.ts";

/** The prekeys for a first message to one device; the registration id is the directory's to add. */
export type TakenPreKeys = Omit<PreKeyBundles["devices"][number], "registrationId">;

/** One conversation of the account: its id (64 hex digits) and the other member's account id, empty for a group. */
export interface ConversationReference {
	conversation: string;
	peer: string;
}

/** What other Workers may ask of an account's object. */
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
	/**
	 * Whether the device is the account's: a token outlives a device and an account by up to 15 minutes, this does not
	 * (rule ACCOUNT-6).
	 */
	has(device: number): Promise<boolean>;
	/** The same, and whether the account is a member of the conversation: "removed" is a device that is not here. */
	membership(device: number, conversation: string): Promise<"removed" | "stranger" | "member">;
	/**
	 * The account is a member of this conversation. Idempotent; called before the conversation is founded. Beyond
	 * `LIMITS.conversations_per_account` nothing is stored and the answer is "too_many_conversations" (rule ACCOUNT-7).
	 */
	joined(reference: ConversationReference): Promise<"joined" | "too_many_conversations">;
	/** The account is no member of these conversations any more: they leave the list, and their news with them. */
	left(conversations: string[]): Promise<void>;
	/** All conversations of the account, by id, after the given one; at most 500. */
	conversations(after: string): Promise<ConversationReference[]>;
	/**
	 * A conversation has entries up to `upTo` for the devices (rules NUDGE-1 and NUDGE-2). Unknown devices are ignored.
	 * Of conversations that the account is no member of nothing is kept, and the answer is "stranger": so news is bounded
	 * by both. The device is told the peer that the account's own list has: a conversation has forgotten one that is
	 * gone.
	 */
	nudge(reference: ConversationReference, devices: number[], upTo: number): Promise<"kept" | "stranger">;
	/**
	 * The account is gone: everything but its list of conversations is removed, sockets close, and the object refuses to
	 * be filled again. Repeatable.
	 */
	retire(): Promise<void>;
	/**
	 * Devices that are none of the account's any more: their keys and news go, their sockets are told `DEVICE_UNLINKED`
	 * and close. Idempotent; unknown ones are ignored.
	 */
	removeDevices(devices: number[]): Promise<void>;
	/** Retires, and removes the list too, once the conversations have been told. Repeatable. */
	erase(): Promise<void>;
	/** The device's always-on socket, authenticated by the api (headers as for conversations). 101, 403 or 426. */
	fetch(request: Request): Promise<Response>;
}
