/**
 * The directory's tables. Three groups that no join or foreign key connects: usernames (by hash of the username), links
 * (by hash of the address) and the rest (by account id), so that each can be split over many databases by a hash of its
 * own key.
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
	/** Whether a lookup finds the account (rule FOUND-1). */
	discoverable: integer("discoverable", { mode: "boolean" }).notNull().default(true),
});

export const accounts = sqliteTable("accounts", {
	accountId: text("account_id").primaryKey(),
	/** The public identity key as libsignal serializes it, base64url. */
	identityKey: text("identity_key").notNull(),
	/** Kept so that a deletion finds the row in the other group. */
	usernameHash: text("username_hash").notNull(),
	createdAtMs: integer("created_at_ms").notNull(),
	/** The id that the newest device got: ids go round, so that one that was removed is not soon another's. */
	lastDevice: integer("last_device").notNull().default(1),
	/** Grows with each change of the account's devices: conversations ignore what is older than they know. */
	devicesVersion: integer("devices_version").notNull().default(1),
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
		/** Rule DEVICE-2: sealed and signed by the client, base64url. */
		sealedName: text("sealed_name"),
		/** Days since 1970, nothing finer (rule DEVICE-5). */
		lastSeenDay: integer("last_seen_day").notNull().default(0),
	},
	(table) => [
		primaryKey({ columns: [table.accountId, table.deviceId] }),
		index("devices_by_last_seen").on(table.lastSeenDay),
	],
);

/** Devices that were unlinked: whoever shows the secret of one is told so (rule DEVICE-6). */
export const removedDevices = sqliteTable(
	"removed_devices",
	{
		accountId: text("account_id").notNull(),
		deviceId: integer("device_id").notNull(),
		secretHash: text("secret_hash").notNull(),
		/** "unlinked" by a person, "idle" by the server. */
		reason: text("reason", { enum: ["unlinked", "idle"] }).notNull(),
		removedAtMs: integer("removed_at_ms").notNull(),
	},
	(table) => [
		primaryKey({ columns: [table.accountId, table.deviceId] }),
		index("removed_devices_by_time").on(table.removedAtMs),
	],
);

/** Tokens that add one device each (rule LINK-4). */
export const deviceTokens = sqliteTable(
	"device_tokens",
	{
		/** SHA-256 of the token, hex. */
		tokenHash: text("token_hash").primaryKey(),
		accountId: text("account_id").notNull(),
		expiresAtMs: integer("expires_at_ms").notNull(),
		/** Set with the first use: the device that is being added, and whose it is. */
		deviceId: integer("device_id"),
		secretHash: text("secret_hash"),
	},
	(table) => [
		index("device_tokens_by_account").on(table.accountId),
		index("device_tokens_by_time").on(table.expiresAtMs),
	],
);

/** Mailboxes of new devices (rule LINK-2). */
export const links = sqliteTable(
	"links",
	{
		/** SHA-256 of the address, hex. */
		addressHash: text("address_hash").primaryKey(),
		expiresAtMs: integer("expires_at_ms").notNull(),
		/** Sealed to a key that the server never sees; NULL before it comes and after it was taken. */
		ciphertext: text("ciphertext"),
		used: integer("used", { mode: "boolean" }).notNull().default(false),
	},
	(table) => [index("links_by_time").on(table.expiresAtMs)],
);

/** Accounts whose conversations don't all know their devices yet (rule DEVICE-4). */
export const deviceChanges = sqliteTable(
	"device_changes",
	{
		accountId: text("account_id").primaryKey(),
		/** The account's `devices_version` with the change. */
		version: integer("version").notNull(),
		requestedAtMs: integer("requested_at_ms").notNull(),
	},
	(table) => [index("device_changes_by_time").on(table.requestedAtMs)],
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

/** What people have told the operator of others (rule REPORT-1). Nothing else reads it. */
export const reports = sqliteTable(
	"reports",
	{
		/** Chosen by the reporter's client. */
		reportId: text("report_id").primaryKey(),
		/** The account that reports. */
		reporter: text("reporter").notNull(),
		/** The account that is reported. */
		accountId: text("account_id").notNull(),
		/** In the reporter's words. */
		reason: text("reason").notNull(),
		/** What the reporter has attached: JSON of `ReportedMessage`. */
		messages: text("messages").notNull(),
		reportedAtMs: integer("reported_at_ms").notNull(),
	},
	(table) => [
		index("reports_by_reporter").on(table.reporter, table.reportedAtMs),
		index("reports_by_account").on(table.accountId),
		index("reports_by_time").on(table.reportedAtMs),
	],
);
