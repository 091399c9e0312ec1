/** What has changed in groups, for people who look back. */
import { z } from "zod";
import type { GroupSummary } from "../machine/interface.ts";
import type { Store } from "./database.ts";

/** So many changes of one group are kept, the newest. */
const KEPT_CHANGES = 1_000;

export interface GroupChanged {
	/** Place in the log. */
	number: number;
	/** By the server's clock, milliseconds since 1970. */
	timeMs: number;
	version: number;
	/** As the group is called since then. */
	title: string;
	/** The account that made it. */
	author: string;
	change: GroupSummary;
}

const Summary = z.strictObject({
	first: z.boolean(),
	added: z.array(z.string()),
	removed: z.array(z.string()),
	roles: z.array(z.strictObject({ account: z.string(), role: z.enum(["member", "admin"]) })),
	renamed: z.boolean(),
	described: z.boolean(),
	pictured: z.boolean(),
	rules: z.boolean(),
}) satisfies z.ZodType<GroupSummary>;

export function addGroupChanged(store: Store, peer: string, changed: GroupChanged): void {
	const { number, timeMs, version, title, author, change } = changed;
	store.run(
		`INSERT OR IGNORE INTO group_history (peer, version, number, time_ms, title, author, change)
		 VALUES (?, ?, ?, ?, ?, ?, ?)`,
		[peer, version, number, timeMs, title, author, JSON.stringify(change)],
	);
	store.run(
		`DELETE FROM group_history WHERE peer = ? AND version <= (SELECT version FROM group_history WHERE peer = ?
		 ORDER BY version DESC LIMIT 1 OFFSET ?)`,
		[peer, peer, KEPT_CHANGES],
	);
}

/** Who made a version of a group; undefined where this device has not seen it made. */
export function authorOf(store: Store, peer: string, version: number): string | undefined {
	return store.value<string>("SELECT author AS value FROM group_history WHERE peer = ? AND version = ?", [
		peer,
		version,
	]);
}

/** The newest changes of a group after a place in its log, oldest first. */
export function groupHistory(store: Store, peer: string, after: number, limit: number): GroupChanged[] {
	const rows = store.all<{
		version: number;
		number: number;
		time_ms: number;
		title: string;
		author: string;
		change: string;
	}>(
		`SELECT version, number, time_ms, title, author, change FROM group_history WHERE peer = ? AND number > ?
		 ORDER BY number DESC, version DESC LIMIT ?`,
		[peer, after, limit],
	);
	return rows.reverse().map(({ time_ms, change, ...row }) => ({
		...row,
		timeMs: time_ms,
		change: Summary.parse(JSON.parse(change)),
	}));
}
