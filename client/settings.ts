/** What a person sets up, the same on all devices of the account (rules SYNC-1 and SYNC-2). */
import { z } from "zod";
import { ConversationFlag } from "../protocol/gen/content_pb.js";
import { Failure } from "./failure.ts";
import { isGroup } from "./groups/state.ts";
import { type PrivacySwitch, privacySwitch, readReceipts } from "./store/account.ts";
import type { Store } from "./store/database.ts";
import { messagesOf } from "./store/messages.ts";
import { blockedPeers, blockOf, seenMs, strangers } from "./store/standings.ts";
import { conversationFlag } from "./store/synced.ts";
import type { Api } from "./transport/http.ts";
import type { Runner } from "./transport/runner.ts";

const FLAGS = {
	/** The value is until when, in milliseconds since 1970. */
	muted: ConversationFlag.MUTED,
	archived: ConversationFlag.ARCHIVED,
	pinned: ConversationFlag.PINNED,
} as const;
/** What a conversation can be. */
export type FlagName = keyof typeof FLAGS;

export interface SettingsParts {
	store: Store;
	runner: Pick<Runner, "perform">;
	api: Pick<Api, "call">;
	/** The account behind a name. */
	resolve(name: string): Promise<string>;
}

/** What a person has set up: flags of conversations, blocks, requests, privacy. All own devices hear of it. */
export class Settings {
	readonly #store: Store;
	readonly #runner: Pick<Runner, "perform">;
	readonly #api: Pick<Api, "call">;
	readonly #resolve: (name: string) => Promise<string>;

	constructor(parts: SettingsParts) {
		this.#store = parts.store;
		this.#runner = parts.runner;
		this.#api = parts.api;
		this.#resolve = parts.resolve;
	}

	/** Mutes, archives or pins a conversation; 0 undoes it. On disk when this resolves; the others hear of it. */
	async setFlag(name: string, flag: FlagName, value: number): Promise<void> {
		await this.#runner.perform({ type: "set-flag", peer: await this.#resolve(name), flag: FLAGS[flag], value });
	}

	/** 0 where it isn't. */
	async flag(name: string, flag: FlagName): Promise<number> {
		return conversationFlag(this.#store, await this.#resolve(name), FLAGS[flag]);
	}

	/** Strangers whose messages the user has not accepted, the newest first (rule REQUEST-1). */
	requests(): { account: string; messages: number }[] {
		if (!privacySwitch(this.#store, "message_requests")) return [];
		return strangers(this.#store).map((account) => ({ account, messages: messagesOf(this.#store, account).length }));
	}

	/** From now on they are told that their messages have come and were read. */
	async acceptRequest(name: string): Promise<void> {
		await this.#runner.perform({ type: "accept-request", peer: await this.#resolve(name) });
	}

	/** Takes a stranger's messages away; the next ones are a request again. */
	async deleteRequest(name: string): Promise<void> {
		await this.#runner.perform({ type: "delete-request", peer: await this.#resolve(name) });
	}

	/**
	 * Nothing comes from whom the user blocks, and they don't learn it (rule BLOCK-1). Throws `Failure` `bad_argument`.
	 */
	async setBlocked(name: string, on: boolean): Promise<void> {
		const peer = await this.#resolve(name);
		if (isGroup(peer)) throw new Failure("bad_argument", "a person can be blocked, a group can't: leave it");
		await this.#runner.perform({ type: "set-blocked", peer, on });
	}

	async blocked(name: string): Promise<boolean> {
		return blockOf(this.#store, await this.#resolve(name)).blocked;
	}

	/** The accounts that the user blocks. */
	blockedAccounts(): string[] {
		return blockedPeers(this.#store);
	}

	/** When somebody was there last, as far as this device has noticed; milliseconds since 1970. */
	async lastSeenMs(name: string): Promise<number | undefined> {
		return seenMs(this.#store, await this.#resolve(name));
	}

	/** Tells whoever is connected that the user is there, or leaves. */
	setOnline(online: boolean): Promise<void> {
		return this.#runner.perform({ type: "set-online", online });
	}

	privacy(what: PrivacySwitch): boolean {
		return privacySwitch(this.#store, what);
	}

	/** For all devices of the account. Who finds the user is the server's to know, and is kept here once it does. */
	async setPrivacy(what: PrivacySwitch, on: boolean): Promise<void> {
		if (what === "discoverable") {
			const [path, body] = ["/v1/accounts/me/discoverable", { discoverable: on }];
			await this.#api.call({ method: "PUT", path, body, authorized: true }, z.unknown());
		}
		await this.#runner.perform({ type: "set-privacy", what, on });
	}

	get readReceipts(): boolean {
		return readReceipts(this.#store);
	}

	/** Whether others learn what the user has read. */
	async setReadReceipts(on: boolean): Promise<void> {
		await this.#runner.perform({ type: "set-read-receipts", on });
	}
}
