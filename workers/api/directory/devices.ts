/** The devices of an account: who they are, and every change of them (rules DEVICE-1 to DEVICE-6). */
import { and, asc, eq, lt, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { LIMITS } from "../../../protocol/limits.ts";
import { dayOf } from "./days.ts";
import { accounts, deviceChanges, devices, deviceTokens, removedDevices } from "./schema.ts";

/** So long it is known that a device was unlinked. */
const REMEMBERED_MS = 400 * 86_400_000;

/** A device as rosters know it. */
export interface DirectoryDevice {
	device: number;
	registrationId: number;
}

/** An account's devices at one moment. No devices: there is no such account. */
export interface AccountDevices {
	version: number;
	devices: DirectoryDevice[];
}

/** Why a device is none any more. */
export type RemovalReason = "unlinked" | "idle";

export class DeviceDirectory {
	readonly #database: DrizzleD1Database;

	constructor(database: D1Database) {
		this.#database = drizzle(database);
	}

	/** See `Directory.shardFor`. */
	shardFor(_accountId: string): DrizzleD1Database {
		return this.#database;
	}

	/** All devices, and the version of the list. Read together: a list never carries another's version. */
	async devicesOf(accountId: string): Promise<AccountDevices> {
		const shard = this.shardFor(accountId);
		const [account, rows] = await shard.batch([
			shard.select({ version: accounts.devicesVersion }).from(accounts).where(eq(accounts.accountId, accountId)),
			shard
				.select({ device: devices.deviceId, registrationId: devices.registrationId })
				.from(devices)
				.where(eq(devices.accountId, accountId))
				.orderBy(asc(devices.deviceId)),
		]);
		return { version: account[0]?.version ?? 0, devices: rows };
	}

	/** The same of many accounts, in one round trip; those that don't exist have no devices. At most a hundred. */
	async devicesOfAll(accountIds: readonly string[]): Promise<Map<string, AccountDevices>> {
		const found = new Map<string, AccountDevices>();
		// By database, once there are several: each has its own batch.
		for (const [shard, ids] of Map.groupBy(accountIds, (accountId) => this.shardFor(accountId))) {
			const of = sql`(SELECT value FROM json_each(${JSON.stringify(ids)}))`;
			const [versions, rows] = await shard.batch([
				shard
					.select({ accountId: accounts.accountId, version: accounts.devicesVersion })
					.from(accounts)
					.where(sql`${accounts.accountId} IN ${of}`),
				shard
					.select({
						accountId: devices.accountId,
						device: devices.deviceId,
						registrationId: devices.registrationId,
					})
					.from(devices)
					.where(sql`${devices.accountId} IN ${of}`)
					.orderBy(asc(devices.accountId), asc(devices.deviceId)),
			]);
			for (const { accountId, version } of versions) found.set(accountId, { version, devices: [] });
			for (const { accountId, ...device } of rows) found.get(accountId)?.devices.push(device);
		}
		return found;
	}

	/** Whether the account has this device now. */
	async has(accountId: string, device: number): Promise<boolean> {
		return (await this.#find(accountId, device)) !== undefined;
	}

	/** The hash of a device's secret, and why it was removed if it was. */
	async secretHash(
		accountId: string,
		device: number,
	): Promise<{ secretHash: string; removed: RemovalReason | undefined } | undefined> {
		const shard = this.shardFor(accountId);
		// Both in one round trip, whichever there is: how long it takes tells nothing (rule ACCOUNT-5).
		const [known, removed] = await shard.batch([
			shard.select().from(devices).where(isDevice(accountId, device)),
			shard
				.select()
				.from(removedDevices)
				.where(and(eq(removedDevices.accountId, accountId), eq(removedDevices.deviceId, device))),
		]);
		if (known[0] !== undefined) return { secretHash: known[0].secretHash, removed: undefined };
		return removed[0] === undefined ? undefined : { secretHash: removed[0].secretHash, removed: removed[0].reason };
	}

	/** Notes the day, if it is another one than before. */
	async seen(accountId: string, device: number, now_ms: number): Promise<void> {
		const day = dayOf(now_ms);
		const shard = this.shardFor(accountId);
		const known = await this.#find(accountId, device);
		if (known === undefined || known.lastSeenDay >= day) return;
		await shard.update(devices).set({ lastSeenDay: day }).where(isDevice(accountId, device));
	}

	/** What the owner sees of the devices. */
	async list(accountId: string) {
		return this.shardFor(accountId)
			.select()
			.from(devices)
			.where(eq(devices.accountId, accountId))
			.orderBy(asc(devices.deviceId));
	}

	async rename(accountId: string, device: number, sealedName: string): Promise<boolean> {
		const renamed = await this.shardFor(accountId)
			.update(devices)
			.set({ sealedName })
			.where(isDevice(accountId, device))
			.returning();
		return renamed.length > 0;
	}

	/**
	 * Removes a device at once, with what tells conversations of it and every token that could bring it back (rule
	 * LINK-4). The account's last device stays: that is what deleting the account is for.
	 */
	async remove(
		accountId: string,
		device: number,
		reason: RemovalReason,
		now_ms: number,
	): Promise<"removed" | "last" | "unknown"> {
		const shard = this.shardFor(accountId);
		if (!(await this.has(accountId, device))) return "unknown";
		const others = sql`(SELECT COUNT(*) FROM devices WHERE account_id = ${accountId} AND device_id <> ${device}) > 0`;
		const [, gone] = await shard.batch([
			shard
				.insert(removedDevices)
				.select(
					shard
						.select({
							accountId: devices.accountId,
							deviceId: devices.deviceId,
							secretHash: devices.secretHash,
							reason: sql<RemovalReason>`${reason}`.as("reason"),
							removedAtMs: sql<number>`${now_ms}`.as("removed_at_ms"),
						})
						.from(devices)
						.where(and(isDevice(accountId, device), others)),
				)
				.onConflictDoNothing(),
			shard
				.delete(devices)
				.where(and(isDevice(accountId, device), others))
				.returning(),
			shard.update(deviceTokens).set({ expiresAtMs: 0 }).where(eq(deviceTokens.accountId, accountId)),
			...noteChange(shard, accountId, now_ms),
		]);
		return gone.length > 0 ? "removed" : "last";
	}

	/** Devices that were removed: the account object forgets them. */
	async removedOf(accountId: string): Promise<number[]> {
		const rows = await this.shardFor(accountId)
			.select({ device: removedDevices.deviceId })
			.from(removedDevices)
			.where(eq(removedDevices.accountId, accountId));
		return rows.map(({ device }) => device);
	}

	/** Devices that were not seen for too long, the longest first; never an account's last (rule DEVICE-5). */
	async idle(now_ms: number, limit: number): Promise<{ accountId: string; device: number }[]> {
		const day = dayOf(now_ms) - LIMITS.device_idle_days;
		return this.#database
			.select({ accountId: devices.accountId, device: devices.deviceId })
			.from(devices)
			.where(
				and(
					lt(devices.lastSeenDay, day),
					sql`EXISTS (SELECT 1 FROM devices AS other WHERE other.account_id = ${devices.accountId}
						AND (other.last_seen_day, other.device_id) > (${devices.lastSeenDay}, ${devices.deviceId}))`,
				),
			)
			.orderBy(asc(devices.lastSeenDay))
			.limit(limit);
	}

	/** Forgets devices that were removed long ago. */
	async forgetRemoved(now_ms: number): Promise<void> {
		await this.#database.delete(removedDevices).where(lt(removedDevices.removedAtMs, now_ms - REMEMBERED_MS));
	}

	/** Every conversation of the account knows this version of its devices. A later change stays noted. */
	async changeDone(accountId: string, version: number): Promise<void> {
		await this.shardFor(accountId)
			.delete(deviceChanges)
			.where(and(eq(deviceChanges.accountId, accountId), sql`${deviceChanges.version} <= ${version}`));
	}

	/** Changes requested before a time, oldest first; at most 1,000. */
	async changesBefore(time_ms: number): Promise<string[]> {
		const rows = await this.#database
			.select()
			.from(deviceChanges)
			.where(lt(deviceChanges.requestedAtMs, time_ms))
			.orderBy(asc(deviceChanges.requestedAtMs))
			.limit(1000);
		return rows.map((row) => row.accountId);
	}

	async #find(accountId: string, device: number) {
		return this.shardFor(accountId).select().from(devices).where(isDevice(accountId, device)).get();
	}
}

export function isDevice(accountId: string, device: number) {
	return and(eq(devices.accountId, accountId), eq(devices.deviceId, device));
}

/** Belongs into the batch that changes an account's devices: the version grows, and the change is noted as undone. */
export function noteChange(shard: DrizzleD1Database, accountId: string, now_ms: number) {
	return [
		shard
			.update(accounts)
			.set({ devicesVersion: sql`${accounts.devicesVersion} + 1` })
			.where(eq(accounts.accountId, accountId)),
		shard
			.insert(deviceChanges)
			.select(
				shard
					.select({
						accountId: accounts.accountId,
						version: accounts.devicesVersion,
						requestedAtMs: sql<number>`${now_ms}`.as("requested_at_ms"),
					})
					.from(accounts)
					.where(eq(accounts.accountId, accountId)),
			)
			.onConflictDoUpdate({
				target: deviceChanges.accountId,
				set: { version: sql`excluded.version`, requestedAtMs: sql`excluded.requested_at_ms` },
			}),
	] as const;
}
