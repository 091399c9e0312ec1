/** The news that waits for each device, and the account's conversations. */
import type { ConversationReference } from "./interface.ts";
import type { Sql } from "./schema.ts";

/** A conversation with entries that the device has not seen. */
export interface WaitingNews extends ConversationReference {
	upTo: number;
}

/** Conversations in one answer. */
const PAGE_CONVERSATIONS = 500;

/**
 * News in one object's storage. While a device's socket has said hello, every row of the device is outstanding on it:
 * rows that were there were pushed after hello, and a new row is pushed as it is written. So no flag is stored, and
 * a row is written once (rule NUDGE-2).
 */
export class News {
	readonly #sql: Sql;

	constructor(sql: Sql) {
		this.#sql = sql;
	}

	/** Remembers a nudge. Says whether it is new and so to be pushed; otherwise one is outstanding and only grew. */
	add(device: number, reference: ConversationReference, upTo: number): boolean {
		const stored = this.#find(device, reference.conversation);
		if (stored === undefined) {
			this.#sql.exec(
				"INSERT INTO news (device, conversation, peer, up_to) VALUES (?, ?, ?, ?)",
				...[device, reference.conversation, reference.peer, upTo],
			);
			return true;
		}
		if (upTo > stored.upTo) {
			this.#sql.exec(
				"UPDATE news SET up_to = ? WHERE device = ? AND conversation = ?",
				...[upTo, device, reference.conversation],
			);
		}
		return false;
	}

	/** The device has seen a conversation up to there. Returns what it has to be told again, if there is more. */
	seen(device: number, conversation: string, upTo: number): WaitingNews | undefined {
		const stored = this.#find(device, conversation);
		if (stored === undefined || upTo < stored.upTo) return stored;
		this.#sql.exec("DELETE FROM news WHERE device = ? AND conversation = ?", device, conversation);
		return undefined;
	}

	/** All news of the device, one for each conversation. */
	waiting(device: number): WaitingNews[] {
		return this.#sql
			.exec<{ conversation: string; peer: string; upTo: number }>(
				"SELECT conversation, peer, up_to AS upTo FROM news WHERE device = ? ORDER BY conversation",
				device,
			)
			.toArray();
	}

	/** The account is a member of the conversation. Idempotent. */
	joined(reference: ConversationReference): void {
		this.#sql.exec(
			"INSERT INTO conversations (conversation, peer) VALUES (?, ?) ON CONFLICT DO NOTHING",
			...[reference.conversation, reference.peer],
		);
	}

	/** A page of the account's conversations, by id. */
	conversations(after: string): ConversationReference[] {
		return this.#sql
			.exec<{ conversation: string; peer: string }>(
				"SELECT conversation, peer FROM conversations WHERE conversation > ? ORDER BY conversation LIMIT ?",
				...[after, PAGE_CONVERSATIONS],
			)
			.toArray();
	}

	#find(device: number, conversation: string): WaitingNews | undefined {
		return this.#sql
			.exec<{ conversation: string; peer: string; upTo: number }>(
				"SELECT conversation, peer, up_to AS upTo FROM news WHERE device = ? AND conversation = ?",
				...[device, conversation],
			)
			.toArray()[0];
	}
}
