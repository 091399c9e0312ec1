import type { Store } from "./database.ts";

export type IdentityRow = {
	account: string;
	/** Curve25519 with libsignal's type byte. */
	key: Uint8Array<ArrayBuffer>;
	verified: number;
	/** A changed key that nobody has accepted; nothing is sent while it is here (rule CLIENT-3). */
	pending_key: Uint8Array<ArrayBuffer> | null;
};

export function findIdentity(store: Store, account: string): IdentityRow | undefined {
	return store.get<IdentityRow>("SELECT * FROM identities WHERE account = ?", [account]);
}

export function putIdentity(store: Store, row: IdentityRow): void {
	store.run("INSERT OR REPLACE INTO identities (account, key, verified, pending_key) VALUES (?, ?, ?, ?)", [
		row.account,
		row.key,
		row.verified,
		row.pending_key,
	]);
}
