/** Which username led to which account, and what accounts call themselves. */
import type { Store } from "./database.ts";

/** Remembers which account a username led to. The account, not the name, is what messages are addressed to. */
export function rememberContact(store: Store, username: string, account: string): void {
	store.run(
		"INSERT INTO contacts (username, account) VALUES (?, ?) ON CONFLICT (username) DO UPDATE SET account = excluded.account",
		[username, account],
	);
}

export function contactAccount(store: Store, username: string): string | undefined {
	return store.value<string>("SELECT account AS value FROM contacts WHERE username = ?", [username]);
}

export function contactName(store: Store, account: string): string | undefined {
	return store.value<string>("SELECT username AS value FROM contacts WHERE account = ? LIMIT 1", [account]);
}

/** Accounts whose ids begin so: those with a name, a key or a conversation here. */
export function accountsBeginning(store: Store, digits: string): string[] {
	const sql = ["SELECT account FROM contacts", "SELECT account FROM identities", "SELECT peer FROM conversations"];
	return store
		.all<{ account: string }>(
			`SELECT account FROM (${sql.join(" UNION ")}) WHERE account LIKE ? AND length(account) = 36`,
			[`${digits}%`],
		)
		.map(({ account }) => account);
}

/** Notes what an account without a contact calls itself; `username` is in its normal form. */
export function claimName(store: Store, account: string, username: string): void {
	store.run(
		`INSERT INTO claimed_names (account, username) SELECT ?, ?
		 WHERE NOT EXISTS (SELECT 1 FROM contacts WHERE account = ?)
		 ON CONFLICT (account) DO UPDATE SET username = excluded.username`,
		[account, username, account],
	);
}

export function claimedName(store: Store, account: string): string | undefined {
	return store.value<string>("SELECT username AS value FROM claimed_names WHERE account = ?", [account]);
}

/** Accounts whose claims nobody has checked yet. */
export function accountsWithClaims(store: Store): string[] {
	return store.all<{ account: string }>("SELECT account FROM claimed_names").map((row) => row.account);
}

export function dropClaim(store: Store, account: string): void {
	store.run("DELETE FROM claimed_names WHERE account = ?", [account]);
}
