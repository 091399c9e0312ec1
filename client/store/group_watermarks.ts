/** How far the devices of a group's members have received and read. */
import type { Store } from "./database.ts";

export type MemberMark = { account: string; delivered: number; read: number };

type DeviceMark = MemberMark & {
	device: number;
	/** The device came after this number, and says nothing of what was before. */
	after: number;
};

/** Cumulative: what is behind what is known changes nothing. */
export function putGroupWatermark(store: Store, peer: string, mark: DeviceMark): void {
	store.run(
		`INSERT INTO group_watermarks (peer, account, device, delivered, read, came_after) VALUES (?, ?, ?, ?, ?, ?)
		 ON CONFLICT (peer, account, device) DO UPDATE SET delivered = MAX(delivered, excluded.delivered),
		 read = MAX(read, excluded.read), came_after = excluded.came_after`,
		[peer, mark.account, mark.device, mark.delivered, mark.read, mark.after],
	);
}

/**
 * How far each account is that has a device on the roster. What was before the account's first device was not for it. A
 * device that came later counts from where the others are.
 */
export function memberMarks(store: Store, peer: string): MemberMark[] {
	const rows = store.all<DeviceMark>(
		`SELECT r.account, r.device, COALESCE(w.delivered, 0) AS delivered, COALESCE(w.read, 0) AS read,
		 COALESCE(w.came_after, 0) AS after FROM roster_devices r LEFT JOIN group_watermarks w
		 ON w.peer = r.peer AND w.account = r.account AND w.device = r.device
		 WHERE r.peer = ? ORDER BY r.account, after, r.device`,
		[peer],
	);
	const marks = new Map<string, MemberMark>();
	for (const { account, delivered, read, after } of rows) {
		const mark = marks.get(account) ?? { account, delivered: after, read: 0 };
		marks.set(account, mark);
		mark.read = Math.max(mark.read, read);
		mark.delivered = Math.max(mark.delivered, mark.read);
		if (after <= mark.delivered) mark.delivered = Math.max(mark.delivered, delivered);
	}
	return [...marks.values()];
}

/** Accounts with devices for which a message could not be encrypted. */
export function leftOutAccounts(store: Store, message: string): string[] {
	return store
		.all<{ account: string }>("SELECT DISTINCT account FROM left_out WHERE message = ? ORDER BY account", [message])
		.map(({ account }) => account);
}
