/** Who may find an account by its username, and reports to the operator. */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { Discoverable, ReportRequest } from "../../protocol/http_privacy.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Directory } from "./directory/directory.ts";
import { ReportDirectory } from "./directory/reports.ts";
import { Refusal } from "./errors.ts";
import { type ApiTypes, authenticate, limitAccount, limitLookups, requireJson, requireListedDevice } from "./guards.ts";
import { bearer, body, refusalsWithToken } from "./shapes.ts";

const setDiscoverable = createRoute({
	method: "put",
	path: "/v1/accounts/me/discoverable",
	summary: "Whether a lookup of the caller's username finds the account",
	security: bearer,
	middleware: [authenticate, limitAccount, requireListedDevice, requireJson] as const,
	request: { body: body(Discoverable) },
	responses: { 204: { description: "so it is" }, ...refusalsWithToken("malformed") },
});

const report = createRoute({
	method: "post",
	path: "/v1/reports",
	summary: "Reports an account to the operator, with the messages that the reporter attaches; may be repeated",
	security: bearer,
	// A report names an account, which must not make it a faster way to ask for one.
	middleware: [authenticate, limitAccount, limitLookups, requireListedDevice, requireJson] as const,
	request: { body: body(ReportRequest) },
	responses: {
		204: { description: "kept for the operator" },
		...refusalsWithToken("malformed", "not_found", "too_many_reports"),
	},
});

/** Being found by username, and reports. */
export function addPrivacy(app: OpenAPIHono<ApiTypes>): void {
	app.openapi(setDiscoverable, async (context) => {
		const { discoverable } = context.req.valid("json");
		await new Directory(context.env.DIRECTORY).setDiscoverable(context.var.caller.accountId, discoverable);
		return context.body(null, 204);
	});

	app.openapi(report, async (context) => {
		const request = context.req.valid("json");
		const { accountId } = context.var.caller;
		if (request.accountId === accountId) throw new Refusal("malformed", "accountId is malformed");
		if ((await new Directory(context.env.DIRECTORY).identityKey(request.accountId)) === undefined) {
			throw new Refusal("not_found", "no such account");
		}
		if (!(await new ReportDirectory(context.env.DIRECTORY).add(accountId, request, Date.now()))) {
			throw new Refusal("too_many_reports", "too many reports in a day", LIMITS.reports_per_day);
		}
		return context.body(null, 204);
	});
}
