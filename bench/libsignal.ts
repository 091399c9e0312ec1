/** libsignal alone, with stores in memory: what the client's machine stands on. */
import {
	CiphertextMessageType,
	type Direction,
	IdentityChange,
	IdentityKeyPair,
	IdentityKeyStore,
	KEMKeyPair,
	KyberPreKeyRecord,
	KyberPreKeyStore,
	PreKeyBundle,
	PreKeyRecord,
	PreKeySignalMessage,
	PreKeyStore,
	PrivateKey,
	ProtocolAddress,
	type PublicKey,
	processPreKeyBundle,
	type SessionRecord,
	SessionStore,
	SignalMessage,
	SignedPreKeyRecord,
	SignedPreKeyStore,
	signalDecrypt,
	signalDecryptPreKey,
	signalEncrypt,
} from "@signalapp/libsignal-client";
import type { Spent } from "./orders.ts";

/** CPU time of all threads of this process. */
export function cpuSecondsSince(begin: NodeJS.CpuUsage): number {
	const { user, system } = process.cpuUsage(begin);
	return (user + system) / 1e6;
}

/** A map that throws for what it doesn't hold. */
class Records<T> {
	readonly #records = new Map<number, T>();
	set(id: number, record: T): void {
		this.#records.set(id, record);
	}
	get(id: number): T {
		const record = this.#records.get(id);
		if (record === undefined) throw new Error(`no record ${id}`);
		return record;
	}
}

class Sessions extends SessionStore {
	readonly #records = new Map<string, SessionRecord>();
	override async saveSession(name: ProtocolAddress, record: SessionRecord): Promise<void> {
		this.#records.set(name.name(), record);
	}
	override async getSession(name: ProtocolAddress): Promise<SessionRecord | null> {
		return this.#records.get(name.name()) ?? null;
	}
	override async getExistingSessions(): Promise<SessionRecord[]> {
		return [...this.#records.values()];
	}
}

class Identities extends IdentityKeyStore {
	readonly pair = IdentityKeyPair.generate();
	override async getIdentityKey(): Promise<PrivateKey> {
		return this.pair.privateKey;
	}
	override async getLocalRegistrationId(): Promise<number> {
		return 1;
	}
	override async saveIdentity(): Promise<IdentityChange> {
		return IdentityChange.NewOrUnchanged;
	}
	override async isTrustedIdentity(_name: ProtocolAddress, _key: PublicKey, _direction: Direction): Promise<boolean> {
		return true;
	}
	override async getIdentity(): Promise<PublicKey | null> {
		return null;
	}
}

class PreKeys extends PreKeyStore {
	readonly records = new Records<PreKeyRecord>();
	override async savePreKey(id: number, record: PreKeyRecord): Promise<void> {
		this.records.set(id, record);
	}
	override async getPreKey(id: number): Promise<PreKeyRecord> {
		return this.records.get(id);
	}
	override async removePreKey(): Promise<void> {}
}

class SignedPreKeys extends SignedPreKeyStore {
	readonly records = new Records<SignedPreKeyRecord>();
	override async saveSignedPreKey(id: number, record: SignedPreKeyRecord): Promise<void> {
		this.records.set(id, record);
	}
	override async getSignedPreKey(id: number): Promise<SignedPreKeyRecord> {
		return this.records.get(id);
	}
}

class KyberPreKeys extends KyberPreKeyStore {
	readonly records = new Records<KyberPreKeyRecord>();
	override async saveKyberPreKey(id: number, record: KyberPreKeyRecord): Promise<void> {
		this.records.set(id, record);
	}
	override async getKyberPreKey(id: number): Promise<KyberPreKeyRecord> {
		return this.records.get(id);
	}
	override async markKyberPreKeyUsed(): Promise<void> {}
}

class Person {
	readonly address: ProtocolAddress;
	readonly #sessions = new Sessions();
	readonly #identities = new Identities();
	readonly #preKeys = new PreKeys();
	readonly #signedPreKeys = new SignedPreKeys();
	readonly #kyberPreKeys = new KyberPreKeys();

	constructor(name: string) {
		this.address = ProtocolAddress.new(name, 1);
	}

	bundle(): PreKeyBundle {
		const sign = (key: { serialize(): Uint8Array<ArrayBuffer> }) =>
			this.#identities.pair.privateKey.sign(key.serialize());
		const oneTime = PrivateKey.generate();
		this.#preKeys.records.set(1, PreKeyRecord.new(1, oneTime.getPublicKey(), oneTime));
		const signed = PrivateKey.generate();
		const signature = sign(signed.getPublicKey());
		this.#signedPreKeys.records.set(1, SignedPreKeyRecord.new(1, Date.now(), signed.getPublicKey(), signed, signature));
		const kyber = KEMKeyPair.generate();
		const kyberSignature = sign(kyber.getPublicKey());
		this.#kyberPreKeys.records.set(1, KyberPreKeyRecord.new(1, Date.now(), kyber, kyberSignature));
		return PreKeyBundle.new(
			1,
			1,
			1,
			oneTime.getPublicKey(),
			1,
			signed.getPublicKey(),
			signature,
			this.#identities.pair.publicKey,
			1,
			kyber.getPublicKey(),
			kyberSignature,
		);
	}

	begin(peer: Person): Promise<void> {
		return processPreKeyBundle(peer.bundle(), peer.address, this.address, this.#sessions, this.#identities);
	}

	async encrypt(peer: Person, plaintext: Uint8Array<ArrayBuffer>): Promise<[boolean, Uint8Array<ArrayBuffer>]> {
		const message = await signalEncrypt(plaintext, peer.address, this.address, this.#sessions, this.#identities);
		return [message.type() === CiphertextMessageType.PreKey, message.serialize()];
	}

	decrypt(peer: Person, [first, bytes]: [boolean, Uint8Array<ArrayBuffer>]): Promise<Uint8Array> {
		if (!first) {
			const message = SignalMessage.deserialize(bytes);
			return signalDecrypt(message, peer.address, this.address, this.#sessions, this.#identities);
		}
		return signalDecryptPreKey(
			PreKeySignalMessage.deserialize(bytes),
			peer.address,
			this.address,
			this.#sessions,
			this.#identities,
			this.#preKeys,
			this.#signedPreKeys,
			this.#kyberPreKeys,
		);
	}
}

/** Two people whose session has begun in both directions. */
export class BareExchange {
	readonly #plaintext: Uint8Array<ArrayBuffer>;
	#sender: Person;
	#receiver: Person;

	private constructor(plaintext: Uint8Array<ArrayBuffer>, sender: Person, receiver: Person) {
		this.#plaintext = plaintext;
		this.#sender = sender;
		this.#receiver = receiver;
	}

	static async begin(plaintext: Uint8Array<ArrayBuffer>): Promise<BareExchange> {
		const [one, other] = [new Person("alice"), new Person("bob")];
		await one.begin(other);
		await other.decrypt(one, await one.encrypt(other, plaintext));
		await one.decrypt(other, await other.encrypt(one, plaintext));
		return new BareExchange(plaintext, one, other);
	}

	/** What so many messages cost, in bursts that change direction, as the machines send them. */
	async take(messages: number, burst: number): Promise<Spent> {
		const begin_ms = performance.now();
		const begin_cpu = process.cpuUsage();
		for (let sent = 0; sent < messages; sent += burst) {
			const wire: [boolean, Uint8Array<ArrayBuffer>][] = [];
			for (let count = 0; count < Math.min(burst, messages - sent); count++) {
				wire.push(await this.#sender.encrypt(this.#receiver, this.#plaintext));
			}
			for (const message of wire) await this.#receiver.decrypt(this.#sender, message);
			[this.#sender, this.#receiver] = [this.#receiver, this.#sender];
		}
		return { seconds: (performance.now() - begin_ms) / 1000, cpu_seconds: cpuSecondsSince(begin_cpu) };
	}
}
