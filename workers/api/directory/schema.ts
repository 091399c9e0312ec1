/**
 * The directory's tables. Two groups that no join or foreign key connects: usernames (by hash of the username) and the
 * rest (by account id), so that each can be split over many databases by a hash of its own key.
 */
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

/** Rule ACCOUNT-2: the name itself is not here. A row without its account row is a reservation. */
export const usernames = sqliteTable("usernames", {
	/** libsignal's hash of the username, hex. */
	usernameHash: text("username_hash").primaryKey(),
	accountId: text("account_id").notNull(),
	reservedAtMs: integer("reserved_at_ms").notNull(),
	/** SHA-256 of the first device's secret, hex: who may resume the registration. */
	secretHash: text("secret_hash").notNull(),
});

export const accounts = sqliteTable("accounts", {
	accountId: text("account_id").primaryKey(),
	/** The public identity key as libsignal serializes it, base64url. */
	identityKey: text("identity_key").notNull(),
	/** Kept so that a deletion finds the row in the other group. */
	usernameHash: text("username_hash").notNull(),
	createdAtMs: integer("created_at_ms").notNull(),
});

export const devices = sqliteTable(
	"devices",
	{
		accountId: text("account_id").notNull(),
		deviceId: integer("device_id").notNull(),
		registrationId: integer("registration_id").notNull(),
		/** SHA-256 of the device's secret, hex. */
		secretHash: text("secret_hash").notNull(),
		createdAtMs: integer("created_at_ms").notNull(),
	},
	(table) => [primaryKey({ columns: [table.accountId, table.deviceId] })],
);

/** Accounts whose objects are not erased yet (rule ACCOUNT-4). */
export const deletions = sqliteTable(
	"deletions",
	{
		accountId: text("account_id").primaryKey(),
		requestedAtMs: integer("requested_at_ms").notNull(),
	},
	(table) => [index("deletions_by_time").on(table.requestedAtMs)],
);
