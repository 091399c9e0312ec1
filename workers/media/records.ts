/** The tables of a blob's object: how far its upload is, what hasn't reached R2 yet, and who holds it. */

/** The size of all parts but the last. R2 takes no smaller ones than 5 MiB, and at most 10,000 of them. */
export const PART_BYTES = 8 * 1024 * 1024;
/** A row holds at most 2 MB. */
const ROW_BYTES = 1024 * 1024;

/** `open`: bytes are missing. `complete`: in R2 under the object's name. `removed`: to be deleted there. */
export type Phase = "open" | "complete" | "removed";

/** What is kept of one blob. */
export interface BlobState {
	phase: Phase;
	/** Whose quota the upload counts into. */
	subject: string;
	/** Undefined while it is deferred. */
	length: number | undefined;
	/** What the grant allowed. */
	bytes_max: number;
	/** What the quota has been asked for. */
	reserved: number;
	/** When an upload that isn't complete goes. */
	expires_ms: number;
	/** The hash of the delete key that the uploader chose: its hold is the first. */
	deleteHash: string;
	/** The name of the multipart upload at R2, once there is one. */
	multipart: string | undefined;
}

/** Somebody wants a blob kept until a time. */
export interface Hold {
	deleteHash: string;
	subject: string;
	expires_ms: number;
}

interface BlobRow extends Record<string, SqlStorageValue> {
	phase: string;
	subject: string;
	length: number | null;
	bytes_max: number;
	reserved: number;
	expires_ms: number;
	delete_hash: string;
	multipart: string | null;
}

/**
 * Keys are WITHOUT ROWID or INTEGER PRIMARY KEY, so that an insert is billed as one row. The tables are made at the
 * creation and not before: a guessed id leaves nothing behind.
 */
const TABLES = [
	`CREATE TABLE blob (
		only INTEGER PRIMARY KEY CHECK (only = 1),
		phase TEXT NOT NULL,
		subject TEXT NOT NULL,
		length INTEGER,
		bytes_max INTEGER NOT NULL,
		reserved INTEGER NOT NULL,
		expires_ms INTEGER NOT NULL,
		delete_hash TEXT NOT NULL,
		multipart TEXT
	)`,
	`CREATE TABLE parts (number INTEGER PRIMARY KEY, etag TEXT NOT NULL)`,
	// The position is that of the row's first byte in the blob.
	`CREATE TABLE tail (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL)`,
	`CREATE TABLE holds (
		delete_hash TEXT NOT NULL,
		subject TEXT NOT NULL,
		expires_ms INTEGER NOT NULL,
		PRIMARY KEY (delete_hash, subject)
	) WITHOUT ROWID`,
];

export class Records {
	readonly #storage: DurableObjectStorage;
	readonly #sql: SqlStorage;

	constructor(storage: DurableObjectStorage) {
		this.#storage = storage;
		this.#sql = storage.sql;
	}

	/** Undefined where nothing was ever created, or everything is gone. */
	state(): BlobState | undefined {
		const tables = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'blob'").toArray();
		if (tables.length === 0) return undefined;
		const row = this.#sql.exec<BlobRow>("SELECT * FROM blob").toArray()[0];
		if (row === undefined) return undefined;
		const { subject, bytes_max, reserved, expires_ms } = row;
		return {
			phase: readPhase(row.phase),
			...{ subject, bytes_max, reserved, expires_ms },
			length: row.length ?? undefined,
			deleteHash: row.delete_hash,
			multipart: row.multipart ?? undefined,
		};
	}

	/** A new upload with its first hold, which begins to count when the upload is complete. */
	create(state: BlobState): void {
		this.#storage.transactionSync(() => {
			for (const table of TABLES) this.#sql.exec(table);
			const { phase, subject, length, bytes_max, reserved, expires_ms, deleteHash } = state;
			this.#sql.exec(
				`INSERT INTO blob (only, phase, subject, length, bytes_max, reserved, expires_ms, delete_hash)
				VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
				...[phase, subject, length ?? null, bytes_max, reserved, expires_ms, deleteHash],
			);
			this.hold({ deleteHash, subject, expires_ms });
		});
	}

	setLength(length: number): void {
		this.#sql.exec("UPDATE blob SET length = ?", length);
	}

	setReserved(bytes: number): void {
		this.#sql.exec("UPDATE blob SET reserved = ?", bytes);
	}

	setMultipart(id: string): void {
		this.#sql.exec("UPDATE blob SET multipart = ?", id);
	}

	parts(): R2UploadedPart[] {
		const rows = this.#sql.exec<{ number: number; etag: string }>("SELECT number, etag FROM parts ORDER BY number");
		return rows.toArray().map(({ number, etag }) => ({ partNumber: number, etag }));
	}

	/** How far the upload has come: whole parts, and the rows that join them without a gap. */
	offset(): number {
		let offset = this.partsEnd();
		const rows = this.#sql.exec<{ position: number; bytes: number }>(
			"SELECT position, length(bytes) AS bytes FROM tail ORDER BY position",
		);
		for (const { position, bytes } of rows) if (position === offset) offset += bytes;
		return offset;
	}

	/** Where the parts end. Parts are numbered without gaps, and all of them but a blob's last are of one size. */
	partsEnd(): number {
		return this.#sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM parts").one().count * PART_BYTES;
	}

	/** The rows that join the parts, in order, one at a time. What lies behind a gap was lost in a crash, and goes. */
	*tail(): Generator<Uint8Array> {
		const [from, to] = [this.partsEnd(), this.offset()];
		this.#sql.exec("DELETE FROM tail WHERE position < ? OR position >= ?", from, to);
		for (let position = from; position < to; ) {
			const { bytes } = this.#sql
				.exec<{ bytes: ArrayBuffer }>("SELECT bytes FROM tail WHERE position = ?", position)
				.one();
			yield new Uint8Array(bytes);
			position += bytes.byteLength;
		}
	}

	/** A part is in R2: what stood in the tail for it goes. */
	addPart(part: R2UploadedPart): void {
		this.#storage.transactionSync(() => {
			this.#sql.exec("INSERT OR REPLACE INTO parts (number, etag) VALUES (?, ?)", part.partNumber, part.etag);
			this.#sql.exec("DELETE FROM tail WHERE position < ?", part.partNumber * PART_BYTES);
		});
	}

	/** Bytes that R2 doesn't have yet, at their position in the blob. */
	addTail(position: number, bytes: Uint8Array): void {
		for (let from = 0; from < bytes.length; from += ROW_BYTES) {
			const row = bytes.slice(from, from + ROW_BYTES);
			this.#sql.exec("INSERT OR REPLACE INTO tail (position, bytes) VALUES (?, ?)", position + from, row.buffer);
		}
	}

	tailRows(): number {
		return this.#sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM tail").one().count;
	}

	/** For who writes all of it anew. */
	clearTail(): void {
		this.#sql.exec("DELETE FROM tail");
	}

	/** All or nothing. */
	atomically(change: () => void): void {
		this.#storage.transactionSync(change);
	}

	/** Everything is in R2. The first hold lasts from now. */
	complete(length: number, holdExpires_ms: number): void {
		this.#storage.transactionSync(() => {
			this.#sql.exec("UPDATE blob SET phase = 'complete', length = ?, multipart = NULL", length);
			this.#sql.exec("UPDATE holds SET expires_ms = ?", holdExpires_ms);
			this.#sql.exec("DELETE FROM parts");
			this.#sql.exec("DELETE FROM tail");
		});
	}

	/** Nobody holds it any more; what is in R2 is to be deleted. */
	setRemoved(): void {
		this.#storage.transactionSync(() => {
			this.#sql.exec("UPDATE blob SET phase = 'removed'");
			this.#sql.exec("DELETE FROM holds");
			this.#sql.exec("DELETE FROM parts");
			this.#sql.exec("DELETE FROM tail");
		});
	}

	holds(): Hold[] {
		const rows = this.#sql.exec<{ delete_hash: string; subject: string; expires_ms: number }>("SELECT * FROM holds");
		return rows
			.toArray()
			.map(({ delete_hash, subject, expires_ms }) => ({ deleteHash: delete_hash, subject, expires_ms }));
	}

	/** Adds a hold, or makes it last longer. */
	hold({ deleteHash, subject, expires_ms }: Hold): void {
		this.#sql.exec(
			"INSERT OR REPLACE INTO holds (delete_hash, subject, expires_ms) VALUES (?, ?, ?)",
			...[deleteHash, subject, expires_ms],
		);
	}

	endHold({ deleteHash, subject }: Hold): void {
		this.#sql.exec("DELETE FROM holds WHERE delete_hash = ? AND subject = ?", deleteHash, subject);
	}
}

function readPhase(text: string): Phase {
	switch (text) {
		case "open":
		case "complete":
		case "removed":
			return text;
		default:
			throw new RangeError("an unknown phase");
	}
}
