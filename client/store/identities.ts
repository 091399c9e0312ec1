import type { Store } from "./database.ts";

export type IdentityRow = {
	account: string;
	/** Curve25519 with libsignal's type byte. */
	key: Uint8Array<ArrayBuffer>;
	verified: number;
	/** A changed key that nobody has accepted; nothing is sent while it is here (rule CLIENT-3). */
	pending_key: Uint8Array<ArrayBuffer> | null;
};

/** Every message asks for an identity several times. A file has one process, so only a rollback makes this stale. */
const CACHES = new WeakMap<Store, { rollbacks: number; rows: Map<string, IdentityRow | undefined> }>();
const CACHED_IDENTITIES = 256;

export function findIdentity(store: Store, account: string): IdentityRow | undefined {
	const rows = cachedRows(store);
	if (rows.has(account)) return rows.get(account);
	const row = store.get<IdentityRow>("SELECT * FROM identities WHERE account = ?", [account]);
	if (rows.size >= CACHED_IDENTITIES) rows.clear();
	rows.set(account, row);
	return row;
}

function cachedRows(store: Store): Map<string, IdentityRow | undefined> {
	const known = CACHES.get(store);
	if (known?.rollbacks === store.rollbacks) return known.rows;
	const rows = new Map<string, IdentityRow | undefined>();
	CACHES.set(store, { rollbacks: store.rollbacks, rows });
	return rows;
}

export function putIdentity(store: Store, row: IdentityRow): void {
	cachedRows(store).delete(row.account);
	store.run("INSERT OR REPLACE INTO identities (account, key, verified, pending_key) VALUES (?, ?, ?, ?)", [
		row.account,
		row.key,
		row.verified,
		row.pending_key,
	]);
}
