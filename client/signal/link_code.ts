/** The code that a new device shows, and what the old one seals for it (rule LINK-1). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { IdentityKeyPair, PrivateKey, PublicKey } from "@signalapp/libsignal-client";
import { type LinkEnvelope, LinkEnvelopeSchema } from "../../protocol/gen/linking_pb.js";
import { uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { fromBase64url, ownBytes, toBase64url } from "./bytes.ts";
import { fittingName } from "./device_name.ts";
import { usernameOrNothing } from "./username.ts";

const LABEL = "parley device link v1";
const VERSION = "1";

/** What a code says. */
export interface LinkCode {
	server: string;
	/** base64url, 16 bytes. */
	address: string;
	/** base64url: Curve25519 with libsignal's type byte. Goes from screen to camera, never through the server. */
	key: string;
	/** What the new device wants to be called. */
	name: string;
}

/** What the old device hands over. */
export interface LinkedAccount {
	accountId: string;
	username: string;
	identity: IdentityKeyPair;
	/** base64url. */
	token: string;
}

/** A new code with the private key that opens what is sealed for it. */
export function newLinkCode(
	server: string,
	name: string,
	address: Uint8Array,
): { code: LinkCode; privateKey: PrivateKey } {
	const privateKey = PrivateKey.generate();
	const key = toBase64url(privateKey.getPublicKey().serialize());
	return { code: { server, address: toBase64url(address), key, name: fittingName(name) }, privateKey };
}

export function linkText({ server, address, key, name }: LinkCode): string {
	return `parley://link?${new URLSearchParams({ v: VERSION, s: server, a: address, k: key, n: name })}`;
}

/** The code in a text; undefined where it is none of this version. */
export function parseLink(text: string): LinkCode | undefined {
	if (!URL.canParse(text.trim())) return undefined;
	const { protocol, host, searchParams: part } = new URL(text.trim());
	if (protocol !== "parley:" || host !== "link" || part.get("v") !== VERSION) return undefined;
	const code = {
		server: part.get("s") ?? "",
		address: part.get("a") ?? "",
		key: part.get("k") ?? "",
		name: fittingName(part.get("n") ?? ""),
	};
	const complete = URL.canParse(code.server) && /^[\w-]{22}$/.test(code.address) && isKey(code.key);
	return complete ? code : undefined;
}

/** Seals the account for whoever made the code, and binds it to every word of the code. */
export function sealAccount(code: LinkCode, account: LinkedAccount): string {
	const envelope = create(LinkEnvelopeSchema, {
		account: uuidToBytes(account.accountId),
		username: account.username,
		identityKeyPair: account.identity.serialize(),
		token: fromBase64url(account.token),
	});
	const key = PublicKey.deserialize(fromBase64url(code.key));
	return toBase64url(key.seal(toBinary(LinkEnvelopeSchema, envelope), LABEL, bound(code)));
}

/** Undefined for what was not sealed for this code, or is no account. */
export function openAccount(code: LinkCode, privateKey: PrivateKey, ciphertext: string): LinkedAccount | undefined {
	try {
		const plaintext = privateKey.open(fromBase64url(ciphertext), LABEL, bound(code));
		return readEnvelope(fromBinary(LinkEnvelopeSchema, plaintext));
	} catch {
		return undefined;
	}
}

function readEnvelope(envelope: LinkEnvelope): LinkedAccount | undefined {
	const username = usernameOrNothing(envelope.username);
	if (username === undefined || envelope.token.length !== 32) return undefined;
	const identity = IdentityKeyPair.deserialize(ownBytes(envelope.identityKeyPair));
	if (!identity.privateKey.getPublicKey().equals(identity.publicKey)) return undefined;
	return { accountId: uuidFromBytes(envelope.account), username, identity, token: toBase64url(envelope.token) };
}

function bound(code: LinkCode): Uint8Array<ArrayBuffer> {
	return new Uint8Array(Buffer.from(linkText(code)));
}

function isKey(key: string): boolean {
	try {
		PublicKey.deserialize(fromBase64url(key));
		return true;
	} catch {
		return false;
	}
}
