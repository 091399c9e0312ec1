/**
 * What one account (its keyed hash, the subject) has uploaded today and holds: the quotas of rule QUOTA-1, and the list
 * that an account's deletion works through (rule BLOB-5).
 */
import { DurableObject, RpcTarget } from "cloudflare:workers";
import { LIMITS } from "../../protocol/limits.ts";
import type { MediaEnv } from "./env.ts";
import { Refusal } from "./refusal.ts";

/** `day` and `kept`: that quota is full. `erased`: the account was deleted. */
export type QuotaAnswer = "ok" | "day" | "kept" | "erased";

const DAY_MS = 86_400_000;
/** Blobs that one call of `erase` ends. */
const ERASE_BLOBS = 100;

const TABLES = [
	`CREATE TABLE IF NOT EXISTS usage (only INTEGER PRIMARY KEY CHECK (only = 1), day INTEGER NOT NULL, bytes INTEGER NOT NULL)`,
	// A row goes by itself at its time, which is also when the blob's hold ends: a lost message can't fill a quota for
	// good.
	`CREATE TABLE IF NOT EXISTS blobs (
		blob TEXT PRIMARY KEY,
		bytes INTEGER NOT NULL,
		day INTEGER NOT NULL,
		expires_ms INTEGER NOT NULL
	) WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS tombstone (only INTEGER PRIMARY KEY CHECK (only = 1))`,
];

/** A body that arrives: counted until this is disposed of, or the object that has it is gone. */
export class ArrivingBody extends RpcTarget {
	#end: () => void;

	constructor(end: () => void) {
		super();
		this.#end = end;
	}

	[Symbol.dispose](): void {
		this.#end();
		this.#end = () => undefined;
	}
}

/** One account's quota, and the blobs that count in it (rule QUOTA-1). */
export class MediaQuota extends DurableObject<MediaEnv> {
	/** Milliseconds since 1970. */
	now: () => number = Date.now;
	/** In memory only: it is the memory of now that they take. */
	#arriving = 0;

	constructor(ctx: DurableObjectState, env: MediaEnv) {
		super(ctx, env);
		for (const table of TABLES) ctx.storage.sql.exec(table);
	}

	/** Makes room for an upload of `bytes`, or for more bytes of one that has room already. Idempotent. */
	async reserve(blob: string, bytes: number, expires_ms: number): Promise<QuotaAnswer> {
		const answer = this.#take(blob, bytes, expires_ms, true);
		if (answer === "ok") await this.#wake();
		return answer;
	}

	/** Counts a blob of `bytes` as held until then; nothing is uploaded for it. Idempotent. */
	async hold(blob: string, bytes: number, expires_ms: number): Promise<QuotaAnswer> {
		const answer = this.#take(blob, bytes, expires_ms, false);
		if (answer === "ok") await this.#wake();
		return answer;
	}

	/**
	 * The blob is held no more. Of an upload that was never complete, `received` bytes stay counted for its day; the
	 * rest was never uploaded.
	 */
	async release(blob: string, received?: number): Promise<void> {
		this.ctx.storage.transactionSync(() => {
			const row = this.#row(blob);
			if (row === undefined) return;
			this.#sql.exec("DELETE FROM blobs WHERE blob = ?", blob);
			if (received !== undefined && row.day === this.#today()) {
				this.#sql.exec("UPDATE usage SET bytes = MAX(0, bytes - ?)", row.bytes - received);
			}
		});
	}

	/** Rule UPLOAD-9: counts another body; undefined where too many arrive already. */
	arrive(): ArrivingBody | undefined {
		if (this.#arriving >= LIMITS.media_patches) return undefined;
		this.#arriving++;
		return new ArrivingBody(() => {
			this.#arriving--;
		});
	}

	/** Ends everything that the subject uploads or holds, a page for each call, and refuses all that is new. */
	async erase(): Promise<"done" | "more"> {
		this.#sql.exec("INSERT OR IGNORE INTO tombstone (only) VALUES (1)");
		const blobs = this.#sql.exec<{ blob: string }>("SELECT blob FROM blobs LIMIT ?", ERASE_BLOBS).toArray();
		for (const { blob } of blobs) {
			const ended = await this.env.STORED_BLOB.getByName(blob).eraseSubject(this.#subject());
			// The queue comes again.
			if (ended !== "ok") throw new Refusal("storage_unavailable", "the storage does not answer");
			this.#sql.exec("DELETE FROM blobs WHERE blob = ?", blob);
		}
		this.#sql.exec("DELETE FROM usage");
		await this.#wake();
		return blobs.length < ERASE_BLOBS ? "done" : "more";
	}

	/**
	 * Removes rows whose time has passed, once a day while there are rows. A deleted account's object goes as a whole: no
	 * token and no grant of it is good any more.
	 */
	override async alarm(): Promise<void> {
		if (this.#isErased()) {
			await this.ctx.storage.deleteAll();
			return;
		}
		this.#sql.exec("DELETE FROM blobs WHERE expires_ms <= ?", this.now());
		this.#sql.exec("DELETE FROM usage WHERE day < ?", this.#today());
		if (this.#sql.exec("SELECT 1 FROM blobs LIMIT 1").toArray().length > 0) {
			await this.ctx.storage.setAlarm(this.now() + DAY_MS);
		}
	}

	#take(blob: string, bytes: number, expires_ms: number, uploading: boolean): QuotaAnswer {
		if (this.#isErased()) return "erased";
		const [today, row] = [this.#today(), this.#row(blob)];
		const more = bytes - (row?.bytes ?? 0);
		const uploaded = uploading ? more : 0;
		const used = this.#sql.exec<{ bytes: number }>("SELECT bytes FROM usage WHERE day = ?", today).toArray()[0];
		if (uploaded > 0 && (used?.bytes ?? 0) + uploaded > LIMITS.media_day_bytes) return "day";
		const kept = this.#sql
			.exec<{ count: number; bytes: number }>(
				"SELECT COUNT(*) AS count, COALESCE(SUM(bytes), 0) AS bytes FROM blobs WHERE expires_ms > ? AND blob <> ?",
				...[this.now(), blob],
			)
			.one();
		if (more > 0 && kept.bytes + bytes > LIMITS.media_kept_bytes) return "kept";
		if (row === undefined && kept.count + 1 > LIMITS.media_kept_blobs) return "kept";
		this.ctx.storage.transactionSync(() => {
			this.#sql.exec(
				"INSERT OR REPLACE INTO blobs (blob, bytes, day, expires_ms) VALUES (?, ?, ?, ?)",
				...[blob, bytes, row?.day ?? today, expires_ms],
			);
			if (uploaded !== 0) {
				this.#sql.exec(
					"INSERT OR REPLACE INTO usage (only, day, bytes) VALUES (1, ?, ?)",
					...[today, Math.max(0, (used?.bytes ?? 0) + uploaded)],
				);
			}
		});
		return "ok";
	}

	#isErased(): boolean {
		return this.#sql.exec("SELECT 1 FROM tombstone").toArray().length > 0;
	}

	#row(blob: string): { bytes: number; day: number } | undefined {
		return this.#sql
			.exec<{ bytes: number; day: number }>("SELECT bytes, day FROM blobs WHERE blob = ?", blob)
			.toArray()[0];
	}

	async #wake(): Promise<void> {
		if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(this.now() + DAY_MS);
	}

	#today(): number {
		return Math.floor(this.now() / DAY_MS);
	}

	get #sql(): SqlStorage {
		return this.ctx.storage.sql;
	}

	#subject(): string {
		const { name } = this.ctx.id;
		if (name === undefined) throw new TypeError("a quota object has a name");
		return name;
	}
}
