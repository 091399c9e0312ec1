/** Who finds an account by its username, and what the operator is told. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import { UsernameResponse } from "../../protocol/http.ts";
import type { ReportRequest } from "../../protocol/http_privacy.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { addDevice, call, fixture, refusal, register } from "../../test/api-caller.ts";
import worker from "../../test/composition.ts";
import { Directory } from "./directory/directory.ts";
import { ReportDirectory } from "./directory/reports.ts";

const NOBODY = "3f2c8a52-6f0f-4f36-9a2e-0d2f7a1f5c11";
const DAY_MS = 24 * 60 * 60 * 1_000;

const nameOf = (index: number) => `/v1/usernames/${fixture(index).request.usernameHash}`;
const discoverable = (token: string, on: unknown) =>
	call("/v1/accounts/me/discoverable", { method: "PUT", token, body: { discoverable: on } });
const report = (token: string, body: unknown) => call("/v1/reports", { method: "POST", token, body });
const rows = async () => (await env.DIRECTORY.prepare("SELECT * FROM reports ORDER BY report_id").all()).results;

beforeEach(async () => {
	// The storage is a file's, not a test's.
	await env.DIRECTORY.prepare("DELETE FROM reports").run();
});

function about(accountId: string, more: Partial<ReportRequest> = {}): ReportRequest {
	return { reportId: crypto.randomUUID(), accountId, reason: "spam", messages: [], ...more };
}

test("FOUND-1 FOUND-2 who is not to be found is nobody to a stranger, and still there for who names the account", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const find = async (query = "") => {
		const response = await call(`${nameOf(0)}${query}`, { token: bob.accessToken });
		return response.status === 200 ? UsernameResponse.parse(await response.json()).accountId : response.status;
	};
	expect(await find()).toBe(alice.accountId);
	expect((await discoverable(alice.accessToken, false)).status).toBe(204);
	expect(await find()).toBe(404);
	expect(await find(`?account=${bob.accountId}`)).toBe(404);
	expect(await find(`?account=${alice.accountId}`)).toBe(alice.accountId);
	// Nobody else's name has changed, and the switch goes back.
	expect((await call(nameOf(1), { token: alice.accessToken })).status).toBe(200);
	expect((await discoverable(alice.accessToken, true)).status).toBe(204);
	expect(await find()).toBe(alice.accountId);
});

test("FOUND-1 the switch is set by a device of the account only, and by nothing but a truth value", async () => {
	const alice = await register(0);
	const laptop = await addDevice(0, 0, alice);
	expect(await refusal(await discoverable("forged", false))).toEqual([401, "unauthorized"]);
	for (const value of ["no", 0, null]) {
		expect(await refusal(await discoverable(alice.accessToken, value))).toEqual([400, "malformed"]);
	}
	expect((await discoverable(laptop.accessToken, false)).status).toBe(204);
	await call(`/v1/devices/${laptop.deviceId}`, { method: "DELETE", token: alice.accessToken });
	expect(await refusal(await discoverable(laptop.accessToken, true))).toEqual([401, "unauthorized"]);
	expect(await refusal(await call(nameOf(0), { token: alice.accessToken }))).toEqual([404, "not_found"]);
});

test("REPORT-1 a report keeps what the reporter says and attaches, once, and nothing else", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const messages = [{ messageId: crypto.randomUUID(), serverTimeMs: 1_700_000_000_000, text: "buy this" }];
	const body = about(bob.accountId, { messages });
	expect((await report(alice.accessToken, body)).status).toBe(204);
	expect((await report(alice.accessToken, { ...body, reason: "another" })).status).toBe(204);
	const [row, ...more] = await rows();
	expect(more).toEqual([]);
	expect(row).toEqual({
		report_id: body.reportId,
		reporter: alice.accountId,
		account_id: bob.accountId,
		reason: "spam",
		messages: JSON.stringify(messages),
		reported_at_ms: expect.any(Number),
	});
});

test("REPORT-2 a report is refused without a token, of nobody, of oneself, out of form and beyond the limits", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const message = { messageId: crypto.randomUUID(), serverTimeMs: 1, text: "x" };
	const refused = async (body: unknown, token = alice.accessToken) => refusal(await report(token, body));
	expect(await refused(about(bob.accountId), "forged")).toEqual([401, "unauthorized"]);
	expect(await refused(about(NOBODY))).toEqual([404, "not_found"]);
	expect(await refused(about(alice.accountId))).toEqual([400, "malformed"]);
	for (const body of [
		{ ...about(bob.accountId), address: "192.0.2.1" },
		about("bob"),
		about(bob.accountId, { reportId: "1" }),
		about(bob.accountId, { reason: "é".repeat(LIMITS.report_reason_bytes / 2 + 1) }),
		about(bob.accountId, { messages: Array.from({ length: LIMITS.report_messages + 1 }, () => message) }),
		about(bob.accountId, { messages: [{ ...message, text: "é".repeat(LIMITS.report_text_bytes / 2 + 1) }] }),
		about(bob.accountId, { messages: [{ ...message, messageId: "one" }] }),
	]) {
		expect(await refused(body)).toEqual([400, "malformed"]);
	}
	expect(await rows()).toEqual([]);
	const full = [{ ...message, text: "é".repeat(LIMITS.report_text_bytes / 2) }];
	expect((await report(alice.accessToken, about(bob.accountId, { messages: full }))).status).toBe(204);
});

test("REPORT-2 an account makes so many reports in a day, together too, and a repetition is none", async () => {
	const [alice, bob, carol] = [await register(0), await register(1), await register(2)];
	const directory = new ReportDirectory(env.DIRECTORY);
	const now_ms = Date.now();
	const first = about(bob.accountId);
	expect(await directory.add(alice.accountId, first, now_ms - DAY_MS + 60_000)).toBe(true);
	const others = Array.from({ length: LIMITS.reports_per_day + 5 }, () => about(bob.accountId));
	const kept = await Promise.all(others.map((each) => directory.add(alice.accountId, each, now_ms)));
	expect(kept.filter(Boolean)).toHaveLength(LIMITS.reports_per_day - 1);
	const response = await report(alice.accessToken, about(bob.accountId));
	expect(await response.clone().json()).toMatchObject({ limit: LIMITS.reports_per_day });
	expect(await refusal(response)).toEqual([429, "too_many_reports"]);
	expect((await report(alice.accessToken, first)).status).toBe(204);
	expect((await report(carol.accessToken, about(bob.accountId))).status).toBe(204);
	expect(await directory.add(alice.accountId, about(bob.accountId), now_ms + 2 * 60_000)).toBe(true);
});

test("REPORT-3 reports are forgotten by the schedule when their time is over, and with the account that made them", async () => {
	const [alice, bob] = [await register(0), await register(1)];
	const directory = new ReportDirectory(env.DIRECTORY);
	const [old, fresh, answer] = [about(bob.accountId), about(bob.accountId), about(alice.accountId)];
	const end_ms = Date.now() - LIMITS.report_days * DAY_MS;
	await directory.add(alice.accountId, old, end_ms - 1_000);
	await directory.add(alice.accountId, fresh, end_ms + 60_000);
	await directory.add(bob.accountId, answer, end_ms + 60_000);
	await worker.scheduled(createScheduledController({ scheduledTime: new Date(), cron: "*/15 * * * *" }), env);
	const ids = async () => (await rows()).map(({ report_id }) => report_id);
	expect(await ids()).toEqual([fresh.reportId, answer.reportId].toSorted());
	await new Directory(env.DIRECTORY).deleteAccount(alice.accountId, Date.now());
	expect(await ids()).toEqual([answer.reportId]);
});
