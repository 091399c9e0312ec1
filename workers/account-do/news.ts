/** The news that waits for each device, and the account's conversations. */
import { LIMITS } from "../../protocol/limits.ts";
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

	/** Whether the account is a member of the conversation. */
	isMember(conversation: string): boolean {
		return this.peerIn(conversation) !== undefined;
	}

	/** With whom the account has the conversation, also after that account is gone; undefined where it is no member. */
	peerIn(conversation: string): string | undefined {
		return this.#sql
			.exec<{ peer: string }>("SELECT peer FROM conversations WHERE conversation = ?", conversation)
			.toArray()[0]?.peer;
	}

	/** The account is a member of the conversation, unless it is one of too many (rule ACCOUNT-7). Idempotent. */
	joined(reference: ConversationReference): "joined" | "too_many_conversations" {
		if (this.isMember(reference.conversation)) return "joined";
		// Reads every row, but only when a conversation begins.
		const { count } = this.#sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM conversations").one();
		if (count >= LIMITS.conversations_per_account) return "too_many_conversations";
		this.#sql.exec(
			"INSERT INTO conversations (conversation, peer) VALUES (?, ?)",
			...[reference.conversation, reference.peer],
		);
		return "joined";
	}

	/** The account is no member any more: what waits for it there goes too. Idempotent. */
	left(conversation: string): void {
		this.#sql.exec("DELETE FROM conversations WHERE conversation = ?", conversation);
		this.#sql.exec("DELETE FROM news WHERE conversation = ?", conversation);
	}

	/** No conversation is left. */
	forgetAll(): void {
		this.#sql.exec("DELETE FROM conversations");
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
