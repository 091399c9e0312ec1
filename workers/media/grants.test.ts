import { env } from "cloudflare:workers";
import { sign } from "hono/jwt";
import { expect, test } from "vitest";
import { MediaGrant } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { MEDIA_HEADERS, MEDIA_PATHS } from "../../protocol/media.ts";
import { refusal } from "../../test/api-caller.ts";
import { newDeleteKey, TUS, Uploader } from "../../test/media-uploader.ts";
import { readGrant } from "./grants.ts";

const uploader = await Uploader.create();
const now_s = () => Math.floor(Date.now() / 1000);

async function forged(claims: object, secret = env.MEDIA_GRANT_SECRET): Promise<string> {
	return sign({ sub: await uploader.subject(), max: 1000, exp: now_s() + 60, ...claims }, secret, "HS256");
}

const create = (grant: string | undefined, length = 10) =>
	uploader.create({ "upload-length": String(length), [MEDIA_HEADERS.grant]: grant });

test("GRANT-1 a grant is good for minutes and doesn't name the account", async () => {
	const grant = MediaGrant.parse(await (await uploader.ask(MEDIA_PATHS.grants, { method: "POST" })).json());
	expect(grant.uploadBytesMax).toBe(LIMITS.media_bytes);
	const left_ms = grant.expiresAtMs - Date.now();
	expect(left_ms).toBeGreaterThan(LIMITS.media_grant_seconds * 1000 - 5000);
	expect(left_ms).toBeLessThanOrEqual(LIMITS.media_grant_seconds * 1000);
	const claims = Buffer.from(grant.grant.split(".")[1] ?? "", "base64url").toString();
	expect(claims).toContain(await uploader.subject());
	expect(claims).not.toContain(uploader.accountId);
	expect((await create(grant.grant)).status).toBe(201);
});

test("GRANT-1 without a token, or with that of a removed device, there is no grant", async () => {
	expect((await refusal(await uploader.ask(MEDIA_PATHS.grants, { method: "POST", token: "" })))[0]).toBe(401);
	const removed = await Uploader.create();
	await env.ACCOUNT.getByName(removed.accountId).erase();
	expect((await refusal(await removed.ask(MEDIA_PATHS.grants, { method: "POST" })))[0]).toBe(401);
});

test("GRANT-1 nothing is created or held without a grant that this server signed", async () => {
	const bad = [
		undefined,
		"",
		"nonsense",
		uploader.token,
		await forged({}, "another-secret-another-secret-another-secret"),
		await forged({ sub: "somebody" }),
		await forged({ max: -1 }),
		`${(await forged({})).split(".").slice(0, 2).join(".")}.`,
	];
	for (const grant of bad) expect(await refusal(await create(grant))).toEqual([403, "grant_invalid"]);
	const { hash } = await newDeleteKey();
	const headers = { [MEDIA_HEADERS.deleteHash]: hash };
	const held = await uploader.ask(MEDIA_PATHS.hold("x".repeat(43)), { method: "PUT", headers });
	expect(await refusal(held)).toEqual([403, "grant_invalid"]);
});

test("GRANT-1 an old grant is refused as that, and an upload outlives its own", async () => {
	const { location } = await uploader.start(10);
	const old = await forged({ exp: now_s() - 1 });
	expect(await refusal(await create(old))).toEqual([403, "grant_expired"]);
	const response = await uploader.patch(location, 0, "0123456789", { [MEDIA_HEADERS.grant]: old });
	expect(response.status).toBe(204);
});

test("GRANT-1 UPLOAD-5 a grant's size binds, also where the length is deferred", async () => {
	expect(await refusal(await create(await forged({}), 1001))).toEqual([413, "upload_too_large"]);
	const response = await uploader.create({ "upload-defer-length": "1", [MEDIA_HEADERS.grant]: await forged({}) });
	const location = response.headers.get("location") ?? "";
	expect(await refusal(await uploader.patch(location, 0, new Uint8Array(1001)))).toEqual([413, "upload_too_large"]);
	const declared = await uploader.patch(location, 0, "", { "upload-length": "1001" });
	expect(await refusal(declared)).toEqual([413, "upload_too_large"]);
	expect((await uploader.patch(location, 0, new Uint8Array(1000))).status).toBe(204);
});

test("GRANT-1 without a secret no grant is made or taken", async () => {
	const bindings = { MEDIA_GRANT_SECRET: "short" };
	const response = await uploader.ask(MEDIA_PATHS.grants, { method: "POST", bindings });
	expect(await refusal(response)).toEqual([500, "internal"]);
	// A grant under a secret that anybody could guess is none either.
	const grant = await forged({}, "short");
	const headers = new Headers({ [MEDIA_HEADERS.grant]: grant });
	await expect(readGrant({ ...env, MEDIA_GRANT_SECRET: "short" }, headers, Date.now())).rejects.toMatchObject({
		code: "internal",
	});
});

test("the media Worker is not told who calls", async () => {
	let seen: Headers | undefined;
	const media = {
		health: async () => "ok" as const,
		eraseSubject: async () => "done" as const,
		fetch: async (request: Request) => {
			seen = request.headers;
			return new Response(null);
		},
	};
	const headers = {
		...TUS,
		cookie: "a=b",
		"x-forwarded-for": "192.0.2.9",
		"user-agent": "somebody",
		range: "bytes=0-1",
	};
	await uploader.ask(MEDIA_PATHS.blob("x".repeat(43)), { headers, bindings: { MEDIA: media } });
	expect([...(seen?.keys() ?? [])].toSorted()).toEqual(["range", "tus-resumable"]);
});
