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
