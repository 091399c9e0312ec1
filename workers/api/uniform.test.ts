/**
 * Answers that must not tell more than they say: not by status, headers, body, nor by what was asked for them
 * (ACCOUNT-5).
 */
import { env } from "cloudflare:workers";
import { decodeBase64Url } from "hono/utils/encode";
import { expect, test } from "vitest";
import { toHex } from "../../protocol/ids.ts";
import { type Call, call, fixture, furtherDevice, register } from "../../test/api-caller.ts";
import { Directory } from "./directory/directory.ts";
import { accountStub } from "./env.ts";

const UPGRADE = { upgrade: "websocket" };
const WRONG_SECRET = "A".repeat(43);
const NOBODY = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";

/** What a request was answered, and every statement and object that it cost. */
async function watch(path: string, options: Call) {
	const cost: string[] = [];
	const counted = (namespace: DurableObjectNamespace, kind: string) =>
		new Proxy(namespace, {
			get: (target, name) => {
				if (name !== "getByName") return Reflect.get(target, name);
				return (id: string) => {
					cost.push(kind);
					return target.getByName(id);
				};
			},
		});
	const DIRECTORY = new Proxy(env.DIRECTORY, {
		get: (target, name) => {
			if (name !== "prepare") return Reflect.get(target, name);
			return (sql: string) => {
				cost.push(sql);
				return target.prepare(sql);
			};
		},
	});
	const bindings = {
		DIRECTORY,
		ACCOUNT: counted(env.ACCOUNT, "account"),
		CONVERSATION: counted(env.CONVERSATION, "conversation"),
	};
	const response = await call(path, { ...options, bindings });
	return { status: response.status, headers: [...response.headers], body: await response.text(), cost };
}

/** An account that is gone, its objects too. */
async function deleted(index: number) {
	const account = await register(index);
	await new Directory(env.DIRECTORY).deleteAccount(account.accountId, Date.now());
	await accountStub(env, account.accountId).erase();
	return account;
}

test("ACCOUNT-5 a sign-in that fails answers and costs the same, whatever is wrong", async () => {
	const [{ accountId }, gone] = [await register(0), await deleted(1)];
	const bodies = [
		{ accountId, deviceId: 1, deviceSecret: WRONG_SECRET },
		{ accountId, deviceId: 2, deviceSecret: WRONG_SECRET },
		{ accountId: NOBODY, deviceId: 1, deviceSecret: WRONG_SECRET },
		{ accountId: gone.accountId, deviceId: 1, deviceSecret: fixture(1).request.deviceSecret },
	];
	const answers = [];
	for (const body of bodies) answers.push(await watch("/v1/tokens", { method: "POST", body }));
	for (const answer of answers) expect(answer).toEqual(answers[0]);
	expect(answers[0]).toMatchObject({ status: 401, cost: [expect.stringContaining("secret_hash"), expect.anything()] });
});

test("ACCOUNT-5 FOUND-1 a username that nobody has, that is only reserved, whose account is gone or is not to be found: one answer, one cost", async () => {
	const { accessToken: token } = await register(0);
	await deleted(1);
	await new Directory(env.DIRECTORY).setDiscoverable((await register(2)).accountId, false);
	const reserved = fixture(5).request.usernameHash;
	await new Directory(env.DIRECTORY).reserve(toHex(decodeBase64Url(reserved)), "1".repeat(64), Date.now());
	const hashes = ["A".repeat(43), reserved, fixture(1).request.usernameHash, fixture(2).request.usernameHash];
	const answers = [];
	for (const hash of hashes) answers.push(await watch(`/v1/usernames/${hash}`, { token }));
	for (const answer of answers) expect(answer).toEqual(answers[0]);
	expect(answers[0]?.status).toBe(404);
});

test("ACCOUNT-5 an account that never was and one that is gone: one answer and one cost, for prekeys and for sockets", async () => {
	const [{ accessToken: token }, { accountId: gone }] = [await register(0), await deleted(2)];
	for (const [path, options] of [
		["/v1/accounts/ID/keys", { method: "POST", token }],
		["/v1/direct/ID/socket", { token, headers: UPGRADE }],
	] as const) {
		const answers = [];
		for (const id of [NOBODY, gone]) answers.push(await watch(path.replace("ID", id), options));
		expect(answers[1], path).toEqual(answers[0]);
		expect(answers[0]?.status, path).toBe(404);
		expect(answers[0]?.cost, path).not.toContain("conversation");
	}
});

test("ACCOUNT-5 a username that is taken answers the same to a stranger and to one who knows the secret but not the key", async () => {
	await register(0);
	const answers = [];
	for (const rival of [6, 7]) {
		const response = await call("/v1/accounts", { method: "POST", body: fixture(rival).request });
		answers.push([response.status, [...response.headers], await response.text()]);
	}
	expect(answers[1]).toEqual(answers[0]);
});

test("ACCOUNT-5 a device for an account that is nobody's is answered as one that the account's key did not sign", async () => {
	const [{ accountId }, gone] = [await register(0), await deleted(1)];
	const answers = [];
	for (const id of [accountId, NOBODY, gone.accountId]) {
		// Signed with another account's key: neither is this one's.
		const body = furtherDevice(3, 0, id, "A".repeat(43));
		answers.push(await watch("/v1/devices", { method: "POST", body }));
	}
	for (const answer of answers) expect(answer).toEqual(answers[0]);
	expect(answers[0]?.status).toBe(422);
});
