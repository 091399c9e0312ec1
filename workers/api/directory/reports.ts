/** What people have reported to the operator (rules REPORT-1 to REPORT-3). */
import { lt, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { ReportRequest } from "../../../protocol/http_privacy.ts";
import { LIMITS } from "../../../protocol/limits.ts";
import { reports } from "./schema.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

export class ReportDirectory {
	readonly #database: DrizzleD1Database;

	constructor(database: D1Database) {
		this.#database = drizzle(database);
	}

	/** Keeps a report; the same id again changes nothing. False where the reporter has reached the limit of a day. */
	async add(reporter: string, report: ReportRequest, now_ms: number): Promise<boolean> {
		const { reportId, accountId, reason, messages } = report;
		// One statement, so that reports at the same time can't pass the limit together.
		const written = await this.#database.run(sql`
			INSERT INTO ${reports} (report_id, reporter, account_id, reason, messages, reported_at_ms)
			SELECT ${reportId}, ${reporter}, ${accountId}, ${reason}, ${JSON.stringify(messages)}, ${now_ms}
			WHERE (SELECT COUNT(*) FROM ${reports} WHERE reporter = ${reporter} AND reported_at_ms > ${now_ms - DAY_MS}
				AND report_id <> ${reportId}) < ${LIMITS.reports_per_day}
			ON CONFLICT (report_id) DO NOTHING`);
		if (written.meta.changes > 0) return true;
		const known = await this.#database.get(sql`SELECT 1 FROM ${reports} WHERE report_id = ${reportId}`);
		return known !== undefined && known !== null;
	}

	/** Forgets reports whose time is over. */
	async forgetOld(now_ms: number): Promise<void> {
		await this.#database.delete(reports).where(lt(reports.reportedAtMs, now_ms - LIMITS.report_days * DAY_MS));
	}
}
