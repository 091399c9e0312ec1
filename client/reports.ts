/** Telling the operator of somebody, with what the person chooses to attach (rules REPORT-1 to REPORT-3). */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ReportedMessage, ReportRequest } from "../protocol/http_privacy.ts";
import { LIMITS } from "../protocol/limits.ts";
import { Failure } from "./failure.ts";
import { isGroup } from "./groups/state.ts";
import type { StoredMessage } from "./machine/interface.ts";
import type { Api } from "./transport/http.ts";

export interface ReportsOptions {
	api: Api;
	/** The account behind a name. */
	resolve(name: string): Promise<string>;
	/** A message by a part of its id. Throws `Failure` `no_such_message`. */
	find(part: string): StoredMessage;
}

/** Reports to the operator. */
export class Reports {
	readonly #options: ReportsOptions;

	constructor(options: ReportsOptions) {
		this.#options = options;
	}

	/**
	 * Reports somebody. Of messages only those that are named here leave this device, in plain text, and they must be that
	 * person's. Throws `Failure` `bad_argument` and `no_such_message`, `ServerRefusal` `too_many_reports`.
	 */
	async report(name: string, { messages, reason }: { messages: readonly string[]; reason: string }): Promise<void> {
		const { api, resolve, find } = this.#options;
		const accountId = await resolve(name);
		if (isGroup(accountId)) throw new Failure("bad_argument", "a report is of a person, not of a group");
		if (Buffer.byteLength(reason) > LIMITS.report_reason_bytes) {
			throw new Failure("bad_argument", `a reason has at most ${LIMITS.report_reason_bytes} bytes`);
		}
		const attached = [...new Map(messages.map(find).map((message) => [message.id, message])).values()];
		if (attached.length > LIMITS.report_messages) {
			throw new Failure("bad_argument", `a report has at most ${LIMITS.report_messages} messages`);
		}
		const body: ReportRequest = {
			reportId: randomUUID(),
			accountId,
			reason,
			messages: attached.map((message) => reported(message, accountId, name)),
		};
		const size = body.messages.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
		if (size > LIMITS.report_text_bytes) {
			throw new Failure("bad_argument", `the messages of a report have at most ${LIMITS.report_text_bytes} bytes`);
		}
		await api.call({ method: "POST", path: "/v1/reports", body, authorized: true }, z.unknown());
	}
}

function reported(message: StoredMessage, accountId: string, name: string): ReportedMessage {
	if (message.sender !== accountId) {
		throw new Failure("bad_argument", `the message ${message.id} is not of ${name}`);
	}
	if (message.body === undefined) throw new Failure("bad_argument", `the message ${message.id} can't be read`);
	const file = message.file === undefined ? "" : `[${message.file.contentType}] `;
	return { messageId: message.id, serverTimeMs: message.serverTimeMs ?? 0, text: file + message.body };
}
