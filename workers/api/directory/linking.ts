/** Mailboxes of new devices, and the tokens that add them (rules LINK-2 to LINK-5). */
import { and, eq, gt, lt, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { LIMITS } from "../../../protocol/limits.ts";
import { dayOf } from "./days.ts";
import { noteChange } from "./devices.ts";
import { accounts, devices, deviceTokens, links, removedDevices } from "./schema.ts";

const LIFETIME_MS = LIMITS.link_seconds * 1000;
/** What has expired is swept this much later: by then no request that began before is still under way. */
const GRACE_MS = 5 * 60 * 1000;
/** Tokens of one account that nobody has used. */
const TOKENS_MAX = 16;
const LAST_DEVICE_ID = 127;

/** A device that is about to be added. */
export interface NewDevice {
	accountId: string;
	tokenHash: string;
	registrationId: number;
	secretHash: string;
	sealedName: string | undefined;
}

/** `done`: an earlier attempt has added it already. */
export type Reservation = { device: number; done: boolean };

export class LinkDirectory {
	readonly #database: DrizzleD1Database;

	constructor(database: D1Database) {
		this.#database = drizzle(database);
	}

	/** See `Directory.shardFor`. The key is the hash of an address, or an account id. */
	shardFor(_key: string): DrizzleD1Database {
		return this.#database;
	}

	/** Opens a mailbox, or finds it open. Returns when it ends; undefined where its time is over. */
	async open(addressHash: string, now_ms: number): Promise<number | undefined> {
		const shard = this.shardFor(addressHash);
		await shard
			.insert(links)
			.values({ addressHash, expiresAtMs: now_ms + LIFETIME_MS })
			.onConflictDoNothing();
		const row = await shard.select().from(links).where(eq(links.addressHash, addressHash)).get();
		return row === undefined || row.expiresAtMs <= now_ms ? undefined : row.expiresAtMs;
	}

	/** Puts the one ciphertext in. */
	async put(addressHash: string, ciphertext: string, now_ms: number): Promise<"put" | "used" | "expired"> {
		const shard = this.shardFor(addressHash);
		const put = await shard
			.update(links)
			.set({ ciphertext, used: true })
			.where(and(eq(links.addressHash, addressHash), eq(links.used, false), gt(links.expiresAtMs, now_ms)))
			.returning();
		if (put.length > 0) return "put";
		const row = await shard.select().from(links).where(eq(links.addressHash, addressHash)).get();
		return row === undefined || row.expiresAtMs <= now_ms ? "expired" : "used";
	}

	/** Takes the ciphertext out: it is here no more when this returns it. Undefined while there is none. */
	async take(addressHash: string, now_ms: number): Promise<{ ciphertext: string | undefined } | "used" | "expired"> {
		const shard = this.shardFor(addressHash);
		const row = await shard.select().from(links).where(eq(links.addressHash, addressHash)).get();
		if (row === undefined || row.expiresAtMs <= now_ms) return "expired";
		if (!row.used) return { ciphertext: undefined };
		if (row.ciphertext === null) return "used";
		const taken = await shard
			.update(links)
			.set({ ciphertext: null })
			.where(and(eq(links.addressHash, addressHash), eq(links.ciphertext, row.ciphertext)))
			.returning();
		return taken.length > 0 ? { ciphertext: row.ciphertext } : "used";
	}

	/** Makes a token with which one device can be added. Returns when it ends. */
	async mint(
		accountId: string,
		tokenHash: string,
		now_ms: number,
	): Promise<number | "too_many_devices" | "too_many_tokens"> {
		const shard = this.shardFor(accountId);
		if ((await shard.$count(devices, eq(devices.accountId, accountId))) >= LIMITS.devices_per_account) {
			return "too_many_devices";
		}
		const open = and(eq(deviceTokens.accountId, accountId), gt(deviceTokens.expiresAtMs, now_ms));
		if ((await shard.$count(deviceTokens, open)) >= TOKENS_MAX) return "too_many_tokens";
		const expiresAtMs = now_ms + LIFETIME_MS;
		await shard.insert(deviceTokens).values({ tokenHash, accountId, expiresAtMs });
		return expiresAtMs;
	}

	/**
	 * Finds the id that a new device gets: the one that it has, the one that it got in an attempt before, or the next.
	 * Until `add` nobody else sees anything of it. "expired" for a token that is not good, or another device's.
	 */
	async reserve(request: NewDevice, now_ms: number): Promise<Reservation | "expired"> {
		const { accountId, tokenHash, registrationId, secretHash } = request;
		const shard = this.shardFor(accountId);
		const existing = await shard
			.select()
			.from(devices)
			.where(and(eq(devices.accountId, accountId), eq(devices.secretHash, secretHash)))
			.get();
		if (existing !== undefined) {
			return existing.registrationId === registrationId ? { device: existing.deviceId, done: true } : "expired";
		}
		const token = await this.#token(accountId, tokenHash, now_ms);
		if (token === undefined) return "expired";
		if (token.deviceId === null) {
			const device = await this.#nextId(accountId);
			if (device === undefined) return "expired";
			await shard
				.update(deviceTokens)
				.set({ deviceId: device, secretHash })
				.where(and(eq(deviceTokens.tokenHash, tokenHash), sql`${deviceTokens.deviceId} IS NULL`));
		}
		// Two attempts at once: the first to reserve is both's.
		const reserved = await this.#token(accountId, tokenHash, now_ms);
		if (reserved === undefined || reserved.deviceId === null || reserved.secretHash !== secretHash) return "expired";
		return { device: reserved.deviceId, done: false };
	}

	/** Makes the reserved device one of the account's. The token ends with it. */
	async add(request: NewDevice, device: number, now_ms: number): Promise<"added" | "expired" | "too_many_devices"> {
		const { accountId, tokenHash, registrationId, secretHash, sealedName } = request;
		const shard = this.shardFor(accountId);
		const reserved = and(
			isToken(accountId, tokenHash, now_ms),
			eq(deviceTokens.deviceId, device),
			eq(deviceTokens.secretHash, secretHash),
		);
		const count = sql`(SELECT COUNT(*) FROM devices WHERE account_id = ${accountId})`;
		const there = sql`EXISTS (SELECT 1 FROM devices WHERE account_id = ${accountId} AND device_id = ${device}
			AND secret_hash = ${secretHash})`;
		await shard.batch([
			shard
				.insert(devices)
				.select(
					shard
						.select({
							accountId: deviceTokens.accountId,
							deviceId: sql<number>`${deviceTokens.deviceId}`.as("device_id"),
							registrationId: sql<number>`${registrationId}`.as("registration_id"),
							secretHash: sql<string>`${deviceTokens.secretHash}`.as("secret_hash"),
							createdAtMs: sql<number>`${now_ms}`.as("created_at_ms"),
							sealedName: sql<string | null>`${sealedName ?? null}`.as("sealed_name"),
							lastSeenDay: sql<number>`${dayOf(now_ms)}`.as("last_seen_day"),
						})
						.from(deviceTokens)
						.where(and(reserved, sql`${count} < ${LIMITS.devices_per_account}`)),
				)
				.onConflictDoNothing(),
			shard.delete(deviceTokens).where(and(eq(deviceTokens.tokenHash, tokenHash), there)),
			...noteChange(shard, accountId, now_ms),
		]);
		const added = await shard.select().from(devices).where(eq(devices.accountId, accountId));
		if (added.some(({ deviceId, secretHash: hash }) => deviceId === device && hash === secretHash)) return "added";
		if (added.length < LIMITS.devices_per_account) return "expired";
		// The account is full: what was prepared at its object goes with the next sweep.
		await shard.update(deviceTokens).set({ expiresAtMs: 0 }).where(eq(deviceTokens.tokenHash, tokenHash));
		return "too_many_devices";
	}

	/** Tokens whose time is over, with the device that was begun with each (rule LINK-5). */
	async expired(now_ms: number, limit: number) {
		return this.#database
			.select()
			.from(deviceTokens)
			.where(lt(deviceTokens.expiresAtMs, now_ms - GRACE_MS))
			.limit(limit);
	}

	async forgetToken(accountId: string, tokenHash: string): Promise<void> {
		await this.shardFor(accountId).delete(deviceTokens).where(eq(deviceTokens.tokenHash, tokenHash));
	}

	async forgetMailboxes(now_ms: number): Promise<void> {
		await this.#database.delete(links).where(lt(links.expiresAtMs, now_ms - GRACE_MS));
	}

	async #token(accountId: string, tokenHash: string, now_ms: number) {
		return this.shardFor(accountId)
			.select()
			.from(deviceTokens)
			.where(isToken(accountId, tokenHash, now_ms))
			.get();
	}

	/** The next id that no device of the account has. Undefined where there is no such account. */
	async #nextId(accountId: string): Promise<number | undefined> {
		const shard = this.shardFor(accountId);
		for (let tries = 0; tries <= LAST_DEVICE_ID; tries++) {
			const [row] = await shard
				.update(accounts)
				.set({ lastDevice: sql`last_device % ${LAST_DEVICE_ID} + 1` })
				.where(eq(accounts.accountId, accountId))
				.returning();
			if (row === undefined) return undefined;
			const device = row.lastDevice;
			const used = await shard.$count(devices, and(eq(devices.accountId, accountId), eq(devices.deviceId, device)));
			const reserved = await shard.$count(
				deviceTokens,
				and(eq(deviceTokens.accountId, accountId), eq(deviceTokens.deviceId, device)),
			);
			if (used + reserved > 0) continue;
			// After a hundred others the id comes round again: it is nobody's that was removed any more.
			await shard
				.delete(removedDevices)
				.where(and(eq(removedDevices.accountId, accountId), eq(removedDevices.deviceId, device)));
			return device;
		}
		return undefined;
	}
}

function isToken(accountId: string, tokenHash: string, now_ms: number) {
	return and(
		eq(deviceTokens.tokenHash, tokenHash),
		eq(deviceTokens.accountId, accountId),
		gt(deviceTokens.expiresAtMs, now_ms),
	);
}
