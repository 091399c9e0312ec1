/** The HTTP bodies of who may find an account, and of reports (rules FOUND-1, FOUND-2, REPORT-1 to REPORT-3). */
import { z } from "zod";
import { accountId } from "./http.ts";
import { UUID_PATTERN } from "./ids.ts";
import { LIMITS } from "./limits.ts";

/** Whether a lookup of the account's username finds it. */
export const Discoverable = z.strictObject({ discoverable: z.boolean() });
export type Discoverable = z.infer<typeof Discoverable>;

const ENCODER = new TextEncoder();
const bytesOf = (text: string): number => ENCODER.encode(text).length;

/** A message as its reader shows it to the operator, in plain text. */
export const ReportedMessage = z.strictObject({
	messageId: z.string().regex(UUID_PATTERN),
	/** By the server's clock, as the reader has it. */
	serverTimeMs: z.int().min(0),
	text: z.string(),
});
export type ReportedMessage = z.infer<typeof ReportedMessage>;

/** Tells the operator of somebody. `reportId` is chosen by the client: the same report again changes nothing. */
export const ReportRequest = z
	.strictObject({
		reportId: z.string().regex(UUID_PATTERN),
		accountId,
		/** In the reporter's own words; may be empty. */
		reason: z.string().refine((text) => bytesOf(text) <= LIMITS.report_reason_bytes),
		/** Only what the reporter attaches. */
		messages: z.array(ReportedMessage).max(LIMITS.report_messages),
	})
	.refine(({ messages }) => messages.reduce((sum, { text }) => sum + bytesOf(text), 0) <= LIMITS.report_text_bytes, {
		path: ["messages"],
	});
export type ReportRequest = z.infer<typeof ReportRequest>;
