/** Sender keys: one ciphertext for a whole group, over libsignal (rule GROUP-12). */
import {
	ErrorCode,
	groupDecrypt,
	groupEncrypt,
	LibSignalErrorBase,
	ProtocolAddress,
	processSenderKeyDistributionMessage,
	SenderKeyDistributionMessage,
	SenderKeyMessage,
	SenderKeyRecord,
	SenderKeyStore,
} from "@signalapp/libsignal-client";
import type { LocalAccount } from "../machine/interface.ts";
import type { SqlRow, Store } from "../store/database.ts";
import { ownBytes } from "./bytes.ts";
import { isFileError, type Opened } from "./cipher.ts";

/** Of one device in one group the newest keys are kept: more than messages on the way can need. */
const KEPT_KEYS = 8;

type RecordRow = SqlRow & { record: Uint8Array<ArrayBuffer> };

/** libsignal's store over the device's file, within the transaction of the running step. */
class GroupKeys extends SenderKeyStore {
	readonly #store: Store;
	readonly #group: string;

	constructor(store: Store, group: string) {
		super();
		this.#store = store;
		this.#group = group;
	}

	override async saveSenderKey(sender: ProtocolAddress, distribution: string, record: SenderKeyRecord): Promise<void> {
		const device = `${sender.name()}.${sender.deviceId()}`;
		const added = this.#store.run(
			`INSERT INTO sender_keys (peer, sender, distribution, record) VALUES (?, ?, ?, ?)
			 ON CONFLICT (peer, sender, distribution) DO UPDATE SET record = excluded.record`,
			[this.#group, device, distribution, record.serialize()],
		);
		if (added === 0) throw new Error("a sender key was not written");
	}

	override async getSenderKey(sender: ProtocolAddress, distribution: string): Promise<SenderKeyRecord | null> {
		const row = this.#store.get<RecordRow>(
			"SELECT record FROM sender_keys WHERE peer = ? AND sender = ? AND distribution = ?",
			[this.#group, `${sender.name()}.${sender.deviceId()}`, distribution],
		);
		return row === undefined ? null : SenderKeyRecord.deserialize(row.record);
	}

	prune(device: string): void {
		this.#store.run(
			`DELETE FROM sender_keys WHERE peer = ? AND sender = ? AND position NOT IN
			 (SELECT position FROM sender_keys WHERE peer = ? AND sender = ? ORDER BY position DESC LIMIT ?)`,
			[this.#group, device, this.#group, device, KEPT_KEYS],
		);
	}
}

export class GroupCipher {
	readonly #store: Store;
	readonly #local: ProtocolAddress;

	constructor(store: Store, account: LocalAccount) {
		this.#store = store;
		this.#local = ProtocolAddress.new(account.accountId, account.deviceId);
	}

	/** What others need to read this device's messages under `distribution` (a UUID), from now on. */
	async distribution(group: string, distribution: string): Promise<Uint8Array<ArrayBuffer>> {
		const keys = new GroupKeys(this.#store, group);
		const message = await SenderKeyDistributionMessage.create(this.#local, distribution, keys);
		keys.prune(`${this.#local.name()}.${this.#local.deviceId()}`);
		return message.serialize();
	}

	/** One ciphertext for all who have the distribution. */
	async seal(
		group: string,
		distribution: string,
		plaintext: Uint8Array<ArrayBuffer>,
	): Promise<Uint8Array<ArrayBuffer>> {
		const keys = new GroupKeys(this.#store, group);
		return (await groupEncrypt(this.#local, distribution, keys, plaintext)).serialize();
	}

	/** Takes over another device's key; false for bytes that are none. */
	async receive(group: string, account: string, device: number, distribution: Uint8Array): Promise<boolean> {
		const sender = ProtocolAddress.new(account, device);
		const keys = new GroupKeys(this.#store, group);
		try {
			const message = SenderKeyDistributionMessage.deserialize(ownBytes(distribution));
			await processSenderKeyDistributionMessage(sender, message, keys);
			keys.prune(`${account}.${device}`);
			return true;
		} catch (error) {
			if (error instanceof LibSignalErrorBase && !isFileError(error)) return false;
			throw error;
		}
	}

	/** `no-key`: the sender's key has not come yet. Never throws for what a peer sent; errors of the file pass through. */
	async open(
		group: string,
		account: string,
		device: number,
		ciphertext: Uint8Array,
	): Promise<Opened | { type: "no-key" }> {
		const sender = ProtocolAddress.new(account, device);
		const keys = new GroupKeys(this.#store, group);
		const bytes = ownBytes(ciphertext);
		try {
			const distribution = SenderKeyMessage.deserialize(bytes).distributionId();
			if ((await keys.getSenderKey(sender, distribution)) === null) return { type: "no-key" };
			return { type: "plaintext", plaintext: await groupDecrypt(sender, keys, bytes), identityKey: undefined };
		} catch (error) {
			if (isFileError(error)) throw error;
			const repeated = error instanceof LibSignalErrorBase && error.code === ErrorCode.DuplicatedMessage;
			return { type: repeated ? "repeated" : "undecryptable" };
		}
	}
}
