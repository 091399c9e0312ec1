/** Identity keys of other accounts, and whether a person has compared them. */
import type { Store } from "./database.ts";
import { Remembered } from "./remembered.ts";

export type IdentityRow = {
	account: string;
	/** Curve25519 with libsignal's type byte. */
	key: Uint8Array<ArrayBuffer>;
	verified: number;
	/** A changed key that nobody has accepted; nothing is sent while it is here (rule CLIENT-3). */
	pending_key: Uint8Array<ArrayBuffer> | null;
};

/** Every message asks for an identity several times. */
const ROWS = new Remembered(() => new Map<string, IdentityRow | undefined>());
const ROWS_MAX = 256;

export function findIdentity(store: Store, account: string): IdentityRow | undefined {
	const rows = ROWS.of(store);
	if (rows.has(account)) return rows.get(account);
	const row = store.get<IdentityRow>("SELECT * FROM identities WHERE account = ?", [account]);
	if (rows.size >= ROWS_MAX) rows.clear();
	rows.set(account, row);
	return row;
}

export function putIdentity(store: Store, row: IdentityRow): void {
	ROWS.of(store).delete(row.account);
	store.run("INSERT OR REPLACE INTO identities (account, key, verified, pending_key) VALUES (?, ?, ?, ?)", [
		row.account,
		row.key,
		row.verified,
		row.pending_key,
	]);
}
