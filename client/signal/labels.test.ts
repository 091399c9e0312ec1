/** What is signed and sealed, made once more by hand as another client would: labels, bytes and their order. */
import { createHash, hkdfSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { Aes256GcmSiv, IdentityKeyPair, usernames } from "@signalapp/libsignal-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SignedGroupStateSchema } from "../../protocol/gen/group_pb.js";
import { DeviceNameSchema, LinkEnvelopeSchema } from "../../protocol/gen/linking_pb.js";
import { fromHex, uuidToBytes } from "../../protocol/ids.ts";
import { writeMeta } from "../store/account.ts";
import { Store } from "../store/database.ts";
import { ownBytes, toBase64url } from "./bytes.ts";
import { deleteKeyFor } from "./delete_keys.ts";
import { openName } from "./device_name.ts";
import { openState, sealState, signatureFits } from "./group_state.ts";
import { linkText, newLinkCode, openAccount } from "./link_code.ts";
import { usernameHash } from "./username.ts";

const identity = IdentityKeyPair.generate();
const publicKey = identity.publicKey.serialize();
const AUTHOR = "0a000000-0000-4000-8000-00000000000a";
const AT = { group: "12".repeat(32), version: 0x01020304 };
const KEY = new Uint8Array(32).fill(9);
const bytes = (...parts: (string | Uint8Array)[]) => ownBytes(Buffer.concat(parts.map((part) => Buffer.from(part))));

let folder = "";
let store: Store;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "parley-labels-"));
	store = Store.open(join(folder, "device.db"), KEY);
	writeMeta(store, "identity_key_pair", identity.serialize());
});
afterEach(() => {
	store.close();
	rmSync(folder, { recursive: true, force: true });
});

const STATE = bytes("a state");

/** A sealed state as GROUP-10 and GROUP-11 have it. */
function sealed(signed: { author: Uint8Array<ArrayBuffer>; signature: Uint8Array<ArrayBuffer> }, key = KEY) {
	const nonce = new Uint8Array(12).fill(4);
	const associated = bytes(fromHex(AT.group), new Uint8Array([1, 2, 3, 4]));
	const message = toBinary(SignedGroupStateSchema, create(SignedGroupStateSchema, { state: STATE, ...signed }));
	return bytes(nonce, Aes256GcmSiv.new(key).encrypt(message, nonce, associated));
}

const author = uuidToBytes(AUTHOR);
const signature = identity.privateKey.sign(bytes("parley group state v1", STATE));

test("GROUP-10 GROUP-11 a state that is signed and sealed by hand opens, and its signature fits", () => {
	const opened = openState(KEY, AT, sealed({ author, signature }));
	if (opened === undefined) throw new Error("it does not open");
	expect(opened.state).toEqual(new Uint8Array(STATE));
	expect(signatureFits(opened, publicKey)).toBe(true);
	expect(signatureFits({ ...opened, signature: identity.privateKey.sign(STATE) }, publicKey)).toBe(false);
	expect(signatureFits(opened, IdentityKeyPair.generate().publicKey.serialize())).toBe(false);
	expect(signatureFits(opened, new Uint8Array(3))).toBe(false);
	const own = openState(KEY, AT, sealState(store, KEY, { ...AT, author: AUTHOR }, STATE));
	expect(own).toMatchObject({ author, state: new Uint8Array(STATE) });
});

test("GROUP-11 a state opens in its own group and version only, with the group's key, and in its form", () => {
	const good = sealed({ author, signature });
	expect(openState(KEY, { ...AT, group: "13".repeat(32) }, good)).toBeUndefined();
	expect(openState(KEY, { ...AT, version: 1 }, good)).toBeUndefined();
	expect(openState(new Uint8Array(32), AT, good)).toBeUndefined();
	expect(openState(new Uint8Array(16), AT, good)).toBeUndefined();
	expect(openState(KEY, AT, good.subarray(0, 12))).toBeUndefined();
	// Members can seal what they like; nobody's machine may stumble over it.
	expect(openState(KEY, AT, sealed({ author: new Uint8Array(3), signature }))).toBeUndefined();
	expect(openState(KEY, AT, sealed({ author, signature: new Uint8Array(63) }))).toBeUndefined();
});

test("DEVICE-2 a name that is signed and sealed by hand opens; under another label it is none", () => {
	const made = (seal: string, sign: string) => {
		const proof = identity.privateKey.sign(bytes(sign, "\x007\0laptop"));
		const name = toBinary(DeviceNameSchema, create(DeviceNameSchema, { name: "laptop", signature: proof }));
		return openName(identity, 7, toBase64url(identity.publicKey.seal(name, seal)));
	};
	expect(made("parley device name v1", "parley device name v1")).toBe("laptop");
	expect(made("parley device name v1", "")).toBeUndefined();
	expect(made("parley device link v1", "parley device name v1")).toBeUndefined();
});

test("LINK-1 an account that is sealed by hand for a code opens; under another label it does not", () => {
	const { code, privateKey } = newLinkCode("https://parley.example", "laptop", new Uint8Array(16));
	const token = new Uint8Array(32).fill(5);
	const made = (fields: { account?: Uint8Array<ArrayBuffer> }, label = "parley device link v1") => {
		const account = { account: author, username: "alice", identityKeyPair: identity.serialize(), token, ...fields };
		const envelope = toBinary(LinkEnvelopeSchema, create(LinkEnvelopeSchema, account));
		const ciphertext = privateKey.getPublicKey().seal(envelope, label, bytes(linkText(code)));
		return openAccount(code, privateKey, toBase64url(ciphertext))?.accountId;
	};
	expect(made({})).toBe(AUTHOR);
	expect(made({}, "parley device name v1")).toBeUndefined();
	expect(made({ account: new Uint8Array(15) })).toBeUndefined();
});

test("ATTACH-9 a delete key is HKDF-SHA256 of the identity key, for a message or for a picture", () => {
	const derived = (label: string) => {
		const secret = identity.privateKey.serialize();
		return Buffer.from(hkdfSync("sha256", secret, new Uint8Array(0), `parley media delete key v1 ${label}`, 32));
	};
	const picture = createHash("sha256").update("blob").digest();
	const keys = [deleteKeyFor(store, { message: "id" }), deleteKeyFor(store, { picture })];
	const expected = [derived("message id"), derived(`picture ${picture.toString("base64url")}`)];
	expect(keys).toEqual(expected.map((key) => key.toString("base64url")));
});

test("ACCOUNT-2 a username's hash is libsignal's of the name with the discriminator 01", () => {
	expect(usernameHash("Alice")).toEqual(usernames.hash("alice.01"));
});
