/** Prekeys of the account's devices: each one-time key leaves the store with the answer that hands it out. */
import type { PreKeyCounts, PreKeyUpload } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { TakenPreKeys } from "./interface.ts";
import type { Sql } from "./schema.ts";

/** The tables of one-time keys and the column of `devices` that holds the mark of each. */
const ONE_TIME = { one_time_ec: "ec_mark", one_time_kyber: "kyber_mark" } as const;
type OneTimeTable = keyof typeof ONE_TIME;

/** What a take did to one device. */
export interface Taken {
	keys: TakenPreKeys;
	/** Whether a one-time key left the store. */
	changed: boolean;
}

type DeviceRow = {
	device: number;
	signed_id: number;
	signed_key: string;
	signed_signature: string;
	last_resort_id: number;
	last_resort_key: string;
	last_resort_signature: string;
	ec_mark: number;
	kyber_mark: number;
};

/** The prekeys in one object's storage. Every method is one synchronous turn; the caller adds the transaction. */
export class PreKeys {
	readonly #sql: Sql;

	constructor(sql: Sql) {
		this.#sql = sql;
	}

	/** Whether the device is registered here. */
	has(device: number): boolean {
		return this.#device(device) !== undefined;
	}

	/** Registers a device, or refills it where it is known. Throws, and stores nothing, where its keys can't be taken. */
	addDevice(device: number, keys: PreKeyUpload): void {
		if (!this.has(device)) {
			const signed = keys.signedPreKey;
			const last = keys.lastResortKyberPreKey;
			if (signed === undefined || last === undefined) throw new RangeError("a first upload has all kinds of prekeys");
			this.#sql.exec(
				`INSERT INTO devices (device, signed_id, signed_key, signed_signature,
					last_resort_id, last_resort_key, last_resort_signature) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				...[device, signed.id, signed.key, signed.signature, last.id, last.key, last.signature],
			);
		}
		if (this.upload(device, keys) === "too_many_prekeys") throw new RangeError("too many prekeys");
	}

	/** Stores what is new of an upload (rule PREKEY-2), or nothing of it. */
	upload(device: number, upload: PreKeyUpload): PreKeyCounts | "too_many_prekeys" | "unknown_device" {
		const row = this.#device(device);
		if (row === undefined) return "unknown_device";
		// The client's ids grow, so an id at or below the mark is stored, or was handed out and must not come back.
		const ec = above(row.ec_mark, upload.oneTimePreKeys);
		const kyber = above(row.kyber_mark, upload.oneTimeKyberPreKeys);
		const counts = this.#counts(device);
		const oneTimePreKeys = counts.oneTimePreKeys + ec.size;
		const oneTimeKyberPreKeys = counts.oneTimeKyberPreKeys + kyber.size;
		if (Math.max(oneTimePreKeys, oneTimeKyberPreKeys) > LIMITS.prekeys_kept) return "too_many_prekeys";

		for (const key of ec.values()) {
			this.#sql.exec("INSERT INTO one_time_ec (device, id, key) VALUES (?, ?, ?)", device, key.id, key.key);
		}
		for (const key of kyber.values()) {
			this.#sql.exec(
				"INSERT INTO one_time_kyber (device, id, key, signature) VALUES (?, ?, ?, ?)",
				...[device, key.id, key.key, key.signature],
			);
		}
		this.#raiseMark("one_time_ec", device, ec);
		this.#raiseMark("one_time_kyber", device, kyber);
		this.#rotate(row, upload);
		return { oneTimePreKeys, oneTimeKyberPreKeys };
	}

	/** How many one-time keys are left. */
	counts(device: number): PreKeyCounts | "unknown_device" {
		return this.has(device) ? this.#counts(device) : "unknown_device";
	}

	/** Takes one set for each device. A one-time key is gone from the store when this returns (rule PREKEY-1). */
	take(): Taken[] {
		const rows = this.#sql.exec<DeviceRow>("SELECT * FROM devices ORDER BY device").toArray();
		return rows.map((row) => {
			const ec = this.#takeOne<{ id: number; key: string }>("one_time_ec", row.device, "id, key");
			const kyber = this.#takeOne<{ id: number; key: string; signature: string }>(
				"one_time_kyber",
				row.device,
				"id, key, signature",
			);
			return {
				changed: ec !== undefined || kyber !== undefined,
				keys: {
					deviceId: row.device,
					signedPreKey: { id: row.signed_id, key: row.signed_key, signature: row.signed_signature },
					...(ec === undefined ? {} : { oneTimePreKey: ec }),
					kyberPreKey: kyber ?? {
						id: row.last_resort_id,
						key: row.last_resort_key,
						signature: row.last_resort_signature,
					},
				},
			};
		});
	}

	#takeOne<Row extends Record<string, SqlStorageValue>>(table: OneTimeTable, device: number, columns: string) {
		return this.#sql
			.exec<Row>(
				`DELETE FROM ${table} WHERE device = ?1 AND id = (SELECT MIN(id) FROM ${table} WHERE device = ?1)
				RETURNING ${columns}`,
				device,
			)
			.toArray()[0];
	}

	#device(device: number): DeviceRow | undefined {
		return this.#sql.exec<DeviceRow>("SELECT * FROM devices WHERE device = ?", device).toArray()[0];
	}

	#counts(device: number): PreKeyCounts {
		const count = (table: OneTimeTable) =>
			this.#sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table} WHERE device = ?`, device).one().n;
		return { oneTimePreKeys: count("one_time_ec"), oneTimeKyberPreKeys: count("one_time_kyber") };
	}

	#raiseMark(table: OneTimeTable, device: number, added: ReadonlyMap<number, unknown>): void {
		if (added.size === 0) return;
		this.#sql.exec(`UPDATE devices SET ${ONE_TIME[table]} = ? WHERE device = ?`, Math.max(...added.keys()), device);
	}

	/** A repeated old upload must not bring a rotated key back, so only a greater id replaces. */
	#rotate(row: DeviceRow, upload: PreKeyUpload): void {
		const signed = upload.signedPreKey;
		if (signed !== undefined && signed.id > row.signed_id) {
			this.#sql.exec(
				"UPDATE devices SET signed_id = ?, signed_key = ?, signed_signature = ? WHERE device = ?",
				...[signed.id, signed.key, signed.signature, row.device],
			);
		}
		const last = upload.lastResortKyberPreKey;
		if (last !== undefined && last.id > row.last_resort_id) {
			this.#sql.exec(
				"UPDATE devices SET last_resort_id = ?, last_resort_key = ?, last_resort_signature = ? WHERE device = ?",
				...[last.id, last.key, last.signature, row.device],
			);
		}
	}
}

/** The keys with an id above the mark, the first of each id. */
function above<Key extends { id: number }>(mark: number, keys: readonly Key[]): Map<number, Key> {
	const found = new Map<number, Key>();
	for (const key of keys) if (key.id > mark && !found.has(key.id)) found.set(key.id, key);
	return found;
}
