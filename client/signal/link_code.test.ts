import { IdentityKeyPair, PublicKey } from "@signalapp/libsignal-client";
import { expect, test } from "vitest";
import { fromBase64url, toBase64url } from "./bytes.ts";
import { fittingName, openName, sealName } from "./device_name.ts";
import { linkText, newLinkCode, openAccount, parseLink, sealAccount } from "./link_code.ts";

const SERVER = "https://parley.example";
const account = {
	accountId: "0a000000-0000-4000-8000-00000000000a",
	username: "alice",
	identity: IdentityKeyPair.generate(),
	token: toBase64url(new Uint8Array(32).fill(5)),
};

function fresh(name = "laptop") {
	return newLinkCode(SERVER, name, crypto.getRandomValues(new Uint8Array(16)));
}

test("LINK-1 what is sealed for a code opens with its key, and with no other", () => {
	const { code, privateKey } = fresh();
	const scanned = parseLink(linkText(code));
	if (scanned === undefined) throw new Error("no code");
	const sealed = sealAccount(scanned, account);
	const opened = openAccount(code, privateKey, sealed);
	expect(opened).toMatchObject({ accountId: account.accountId, username: "alice", token: account.token });
	expect(opened?.identity.serialize()).toEqual(account.identity.serialize());
	expect(openAccount(code, fresh().privateKey, sealed)).toBe(undefined);
	for (const needle of [account.identity.privateKey.serialize(), Buffer.from("alice")]) {
		expect(Buffer.from(fromBase64url(sealed)).includes(needle)).toBe(false);
	}
});

test("LINK-1 a code whose name, server or address was changed on its way opens nothing", () => {
	const { code, privateKey } = fresh();
	const changes = [{ name: "printer" }, { server: "https://other.example" }, { address: fresh().code.address }];
	for (const change of changes) {
		expect(openAccount(code, privateKey, sealAccount({ ...code, ...change }, account))).toBe(undefined);
	}
	const damaged = fromBase64url(sealAccount(code, account));
	damaged[damaged.length - 1] = (damaged[damaged.length - 1] ?? 0) ^ 1;
	expect(openAccount(code, privateKey, toBase64url(damaged))).toBe(undefined);
	expect(openAccount(code, privateKey, "")).toBe(undefined);
});

test("LINK-1 keys that don't belong together, or a name that is none, are no account", () => {
	const { code, privateKey } = fresh();
	const { publicKey } = IdentityKeyPair.generate();
	const mixed = new IdentityKeyPair(PublicKey.deserialize(publicKey.serialize()), account.identity.privateKey);
	for (const wrong of [{ identity: mixed }, { username: "No Name" }, { token: toBase64url(new Uint8Array(31)) }]) {
		expect(openAccount(code, privateKey, sealAccount(code, { ...account, ...wrong }))).toBe(undefined);
	}
});

test.each([
	["another scheme", (link: string) => link.replace("parley:", "https:")],
	["a group's invite link", (link: string) => link.replace("//link", "//group")],
	["a later version", (link: string) => link.replace("v=1", "v=2")],
	["a short address", (link: string) => link.replace(/a=[\w-]+/, "a=AAAA")],
	["a key that is none", (link: string) => link.replace(/k=[\w-]+/, "k=AAAA")],
	["a server that is none", (link: string) => link.replace(/s=[^&]+/, "s=nowhere")],
	["a word", () => "hello"],
])("LINK-1 no code: %s", (_what, change) => {
	expect(parseLink(linkText(fresh().code))).toBeDefined();
	expect(parseLink(change(linkText(fresh().code)))).toBe(undefined);
});

test("DEVICE-2 a name opens for the account's key and its own device only, and the server can't make one", () => {
	const { identity } = account;
	const sealed = sealName(identity, 7, "laptop");
	expect(openName(identity, 7, sealed)).toBe("laptop");
	expect(openName(identity, 8, sealed)).toBe(undefined);
	expect(openName(IdentityKeyPair.generate(), 7, sealed)).toBe(undefined);
	// Sealed to the public key, which the server has, but signed by another.
	const forger = new IdentityKeyPair(identity.publicKey, IdentityKeyPair.generate().privateKey);
	expect(openName(identity, 7, sealName(forger, 7, "laptop"))).toBe(undefined);
});

test("DEVICE-2 a name is cut at a character's end, and fits its limit when it is sealed", () => {
	expect(fittingName(`  ${"ä".repeat(40)}`)).toBe("ä".repeat(32));
	const long = "ä".repeat(40);
	const { code } = fresh(long);
	expect(code.name).toBe("ä".repeat(32));
	expect(parseLink(linkText({ ...code, name: long }))?.name).toBe("ä".repeat(32));
	const longest = sealName(account.identity, 16_380, "x".repeat(64));
	expect(Buffer.from(longest, "base64url").length).toBeLessThanOrEqual(256);
});
