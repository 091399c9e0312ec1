/** Who exists. Only the modules of this folder speak to D1. */
import { and, asc, eq, lt, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { dayOf } from "./days.ts";
import {
	accounts,
	deletions,
	deviceChanges,
	devices,
	deviceTokens,
	removedDevices,
	reports,
	usernames,
} from "./schema.ts";

/** After this a reservation that led to no account may be taken over by somebody else. */
const RESERVATION_MS = 10 * 60 * 1000;

/** What of a registration is kept in D1. */
export interface NewAccount {
	accountId: string;
	identityKey: string;
	usernameHash: string;
	device: number;
	registrationId: number;
	secretHash: string;
	sealedName: string | undefined;
}

/** Accounts and usernames in D1, and deletions that are not done yet. */
export class Directory {
	readonly #database: DrizzleD1Database;

	constructor(database: D1Database) {
		this.#database = drizzle(database);
	}

	/**
	 * The database that holds a key's rows: the hash of a username, or an account id. Today it is always the one
	 * database. Every query names exactly one key and joins nothing across the two groups, so the directory can be
	 * split over many databases by a hash of the key, here and nowhere else. The deletion's batch, which touches both
	 * groups, then becomes two: first the deletions row, which the queue's consumer finishes from.
	 */
	shardFor(_key: string): DrizzleD1Database {
		return this.#database;
	}

	/**
	 * Holds a username for a registration (rule ACCOUNT-1). The holder of the same secret resumes with the same account
	 * id, which also renews the reservation, so that no takeover races the rest of the registration.
	 */
	async reserve(usernameHash: string, secretHash: string, now_ms: number): Promise<string | "username_taken"> {
		const shard = this.shardFor(usernameHash);
		const accountId = crypto.randomUUID();
		const fresh = { usernameHash, accountId, reservedAtMs: now_ms, secretHash };
		const inserted = await shard.insert(usernames).values(fresh).onConflictDoNothing().returning();
		if (inserted.length === 1) return accountId;
		const held = await shard.select().from(usernames).where(eq(usernames.usernameHash, usernameHash)).get();
		// The row went between the two statements; the caller asks again.
		if (held === undefined) return "username_taken";
		const same = and(eq(usernames.usernameHash, usernameHash), eq(usernames.reservedAtMs, held.reservedAtMs));
		if (held.secretHash === secretHash) {
			const renewed = await shard
				.update(usernames)
				.set({ reservedAtMs: now_ms })
				.where(and(eq(usernames.usernameHash, usernameHash), eq(usernames.secretHash, secretHash)))
				.returning();
			return renewed.length === 1 ? held.accountId : "username_taken";
		}
		if (held.reservedAtMs > now_ms - RESERVATION_MS) return "username_taken";
		if ((await this.identityKey(held.accountId)) !== undefined) return "username_taken";
		// Only if nobody renewed it or took it over in the meantime.
		const taken = await shard
			.update(usernames)
			.set({ accountId, reservedAtMs: now_ms, secretHash })
			.where(and(same, eq(usernames.accountId, held.accountId)))
			.returning();
		return taken.length === 1 ? accountId : "username_taken";
	}

	/** Completes a registration. Idempotent. */
	async createAccount(account: NewAccount, now_ms: number): Promise<void> {
		const { accountId, identityKey, usernameHash, device, registrationId, secretHash, sealedName } = account;
		const lastSeenDay = dayOf(now_ms);
		const shard = this.shardFor(accountId);
		await shard.batch([
			shard
				.insert(accounts)
				.values({ accountId, identityKey, usernameHash, createdAtMs: now_ms })
				.onConflictDoNothing(),
			shard
				.insert(devices)
				.values({
					...{ accountId, deviceId: device, registrationId, secretHash, sealedName },
					...{ createdAtMs: now_ms, lastSeenDay },
				})
				.onConflictDoNothing(),
		]);
	}

	/**
	 * The account of a username; a reservation is none, and one that is not to be found is none either (rule FOUND-1), but
	 * for who names it already (`known`, rule FOUND-2).
	 */
	async accountOf(usernameHash: string, known?: string): Promise<string | undefined> {
		const shard = this.shardFor(usernameHash);
		const row = await shard.select().from(usernames).where(eq(usernames.usernameHash, usernameHash)).get();
		// Asked for in either case, so that a name that is only reserved takes as long as one that nobody has.
		const identityKey = await this.identityKey(row?.accountId ?? "");
		if (identityKey === undefined || (row?.discoverable !== true && row?.accountId !== known)) return undefined;
		return row?.accountId;
	}

	/** Whether lookups of its username find the account. Idempotent. */
	async setDiscoverable(accountId: string, discoverable: boolean): Promise<void> {
		const account = await this.shardFor(accountId)
			.select()
			.from(accounts)
			.where(eq(accounts.accountId, accountId))
			.get();
		const usernameHash = account?.usernameHash ?? "";
		await this.shardFor(usernameHash)
			.update(usernames)
			.set({ discoverable })
			.where(and(eq(usernames.usernameHash, usernameHash), eq(usernames.accountId, accountId)));
	}

	/** Undefined for an account that does not exist. */
	async identityKey(accountId: string): Promise<string | undefined> {
		const shard = this.shardFor(accountId);
		const row = await shard.select().from(accounts).where(eq(accounts.accountId, accountId)).get();
		return row?.identityKey;
	}

	/** The same of many, in one round trip; those that don't exist are left out. */
	async identityKeys(accountIds: readonly string[]): Promise<Map<string, string>> {
		const found = new Map<string, string>();
		for (const [shard, ids] of Map.groupBy(accountIds, (accountId) => this.shardFor(accountId))) {
			const { accountId, identityKey } = accounts;
			const known = sql`${accountId} IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`;
			for (const row of await shard.select({ accountId, identityKey }).from(accounts).where(known)) {
				found.set(row.accountId, row.identityKey);
			}
		}
		return found;
	}

	/**
	 * Removes an account's rows at once and notes that its objects have to follow (rule ACCOUNT-4). False where there
	 * is no such account.
	 */
	async deleteAccount(accountId: string, now_ms: number): Promise<boolean> {
		const shard = this.shardFor(accountId);
		const account = await shard.select().from(accounts).where(eq(accounts.accountId, accountId)).get();
		if (account === undefined) return false;
		await shard.batch([
			shard.insert(deletions).values({ accountId, requestedAtMs: now_ms }).onConflictDoNothing(),
			shard.delete(devices).where(eq(devices.accountId, accountId)),
			shard.delete(removedDevices).where(eq(removedDevices.accountId, accountId)),
			shard.delete(deviceTokens).where(eq(deviceTokens.accountId, accountId)),
			shard.delete(deviceChanges).where(eq(deviceChanges.accountId, accountId)),
			// What others have said of it stays for the operator until its time is over.
			shard.delete(reports).where(eq(reports.reporter, accountId)),
			shard.delete(accounts).where(eq(accounts.accountId, accountId)),
			shard
				.delete(usernames)
				.where(and(eq(usernames.usernameHash, account.usernameHash), eq(usernames.accountId, accountId))),
		]);
		return true;
	}

	/** The account's objects are erased. Idempotent. */
	async deletionDone(accountId: string): Promise<void> {
		await this.shardFor(accountId).delete(deletions).where(eq(deletions.accountId, accountId));
	}

	/** Deletions requested before a time, oldest first; at most 1,000. */
	async deletionsBefore(time_ms: number): Promise<string[]> {
		const rows = await this.#database
			.select()
			.from(deletions)
			.where(lt(deletions.requestedAtMs, time_ms))
			.orderBy(asc(deletions.requestedAtMs))
			.limit(1000);
		return rows.map((row) => row.accountId);
	}
}
