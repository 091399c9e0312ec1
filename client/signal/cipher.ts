/** Encryption and decryption for one device of a peer, over libsignal. */
import {
	CiphertextMessageType,
	ErrorCode,
	KEMPublicKey,
	LibSignalErrorBase,
	PreKeyBundle,
	PreKeySignalMessage,
	ProtocolAddress,
	PublicKey,
	processPreKeyBundle,
	type SessionRecord,
	SignalMessage,
	signalDecrypt,
	signalDecryptPreKey,
	signalEncrypt,
} from "@signalapp/libsignal-client";
import { EnvelopeKind } from "../../protocol/gen/common_pb.js";
import type { PreKeyBundles } from "../../protocol/http.ts";
import { requireAccount } from "../store/account.ts";
import type { Store } from "../store/database.ts";
import { fromBase64url, ownBytes } from "./bytes.ts";
import {
	AccountIdentity,
	DeviceSession,
	type IdentityChangeHandler,
	KyberPreKeys,
	LocalIdentity,
	PreKeys,
	Sessions,
	SignedPreKeys,
} from "./stores.ts";

/** One ciphertext and how it was made. */
export interface Sealed {
	kind: EnvelopeKind;
	ciphertext: Uint8Array<ArrayBuffer>;
}

/** What became of a ciphertext. `repeated`: this very message was decrypted before. */
export type Opened =
	/** `identityKey`: the sender's, as the message shows it. */
	| { type: "plaintext"; plaintext: Uint8Array; identityKey: Uint8Array<ArrayBuffer> | undefined }
	| { type: "repeated" }
	| { type: "undecryptable" };

/** The most devices whose peers stay in memory. */
const CACHED_PEERS = 1_000;

/** A device, and libsignal's stores for it. */
interface Peer {
	address: ProtocolAddress;
	session: DeviceSession;
	identity: AccountIdentity;
}

export class Cipher {
	readonly sessions: Sessions;
	readonly #identity: LocalIdentity;
	readonly #preKeys: PreKeys;
	readonly #signedPreKeys: SignedPreKeys;
	readonly #kyberPreKeys: KyberPreKeys;
	readonly #local: ProtocolAddress;
	readonly #peers = new Map<string, Peer>();

	/** Throws `NotRegisteredError`. */
	constructor(store: Store, identityChanged: IdentityChangeHandler) {
		const account = requireAccount(store);
		this.sessions = new Sessions(store);
		this.#identity = new LocalIdentity(store, identityChanged);
		this.#preKeys = new PreKeys(store);
		this.#signedPreKeys = new SignedPreKeys(store);
		this.#kyberPreKeys = new KyberPreKeys(store);
		this.#local = ProtocolAddress.new(account.accountId, account.deviceId);
	}

	/** The session that can encrypt for a device now, if there is one. */
	currentSession(account: string, device: number, now: Date): SessionRecord | undefined {
		const record = this.sessions.find(account, device);
		return record?.hasCurrentState(now) ? record : undefined;
	}

	/** Begins a session with one device of a bundle. Throws for bad signatures or keys. */
	async begin(
		account: string,
		identityKey: string,
		device: PreKeyBundles["devices"][number],
		now: Date,
	): Promise<void> {
		const oneTime = device.oneTimePreKey;
		const bundle = PreKeyBundle.new(
			device.registrationId,
			device.deviceId,
			oneTime === undefined ? null : oneTime.id,
			oneTime === undefined ? null : PublicKey.deserialize(fromBase64url(oneTime.key)),
			device.signedPreKey.id,
			PublicKey.deserialize(fromBase64url(device.signedPreKey.key)),
			fromBase64url(device.signedPreKey.signature),
			PublicKey.deserialize(fromBase64url(identityKey)),
			device.kyberPreKey.id,
			KEMPublicKey.deserialize(fromBase64url(device.kyberPreKey.key)),
			fromBase64url(device.kyberPreKey.signature),
		);
		const { address, session, identity } = this.#peer(account, device.deviceId);
		await processPreKeyBundle(bundle, address, this.#local, session, identity, now);
	}

	/**
	 * Undefined where libsignal can't: there is no session, it is damaged, or its key is not the accepted one. Errors of
	 * the file pass through.
	 */
	async seal(
		account: string,
		device: number,
		plaintext: Uint8Array<ArrayBuffer>,
		now: Date,
	): Promise<Sealed | undefined> {
		const { address, session, identity } = this.#peer(account, device);
		try {
			const message = await signalEncrypt(plaintext, address, this.#local, session, identity, now);
			const first = message.type() === CiphertextMessageType.PreKey;
			return { kind: first ? EnvelopeKind.PREKEY : EnvelopeKind.SESSION, ciphertext: message.serialize() };
		} catch (error) {
			if (isFileError(error) || !(error instanceof LibSignalErrorBase)) throw error;
			return undefined;
		}
	}

	/** Never throws for what a peer sent; errors of the file pass through. */
	async open(account: string, device: number, kind: EnvelopeKind, ciphertext: Uint8Array): Promise<Opened> {
		const peer = this.#peer(account, device);
		peer.identity.lastKey = undefined;
		try {
			const plaintext = await this.#decrypt(peer, kind, ownBytes(ciphertext));
			if (plaintext === undefined) return { type: "undecryptable" };
			return { type: "plaintext", plaintext, identityKey: peer.identity.lastKey };
		} catch (error) {
			if (isFileError(error)) throw error;
			const repeated = error instanceof LibSignalErrorBase && error.code === ErrorCode.DuplicatedMessage;
			return { type: repeated ? "repeated" : "undecryptable" };
		}
	}

	async #decrypt(
		{ address, session, identity }: Peer,
		kind: EnvelopeKind,
		ciphertext: Uint8Array<ArrayBuffer>,
	): Promise<Uint8Array | undefined> {
		switch (kind) {
			case EnvelopeKind.SESSION:
				return signalDecrypt(SignalMessage.deserialize(ciphertext), address, this.#local, session, identity);
			case EnvelopeKind.PREKEY:
				return signalDecryptPreKey(
					PreKeySignalMessage.deserialize(ciphertext),
					address,
					this.#local,
					session,
					identity,
					this.#preKeys,
					this.#signedPreKeys,
					this.#kyberPreKeys,
				);
			case EnvelopeKind.SENDER_KEY:
			case EnvelopeKind.CHANGE:
				// Of groups; in a direct conversation nobody sends them.
				return undefined;
			case EnvelopeKind.UNSPECIFIED:
				return undefined;
		}
	}

	#peer(account: string, device: number): Peer {
		const key = `${account}.${device}`;
		const known = this.#peers.get(key);
		if (known !== undefined) return known;
		if (this.#peers.size > CACHED_PEERS) this.#peers.clear();
		const peer: Peer = {
			address: ProtocolAddress.new(account, device),
			session: new DeviceSession(this.sessions, account, device),
			identity: new AccountIdentity(this.#identity, account),
		};
		this.#peers.set(key, peer);
		return peer;
	}
}

/** A full or failing disk must end the step, never be taken for a bad message. */
export function isFileError(error: unknown): boolean {
	return (
		error instanceof Error && /sqlite|database|disk/i.test(`${error.name} ${error.message} ${String(error.cause)}`)
	);
}
