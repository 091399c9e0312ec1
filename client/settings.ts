/** What a person sets up, the same on all devices of the account (rules SYNC-1 and SYNC-2). */
import { ConversationFlag } from "../protocol/gen/content_pb.js";
import { readReceipts } from "./store/account.ts";
import type { Store } from "./store/database.ts";
import { conversationFlag } from "./store/synced.ts";
import type { Runner } from "./transport/runner.ts";

const FLAGS = {
	/** The value is until when, in milliseconds since 1970. */
	muted: ConversationFlag.MUTED,
	archived: ConversationFlag.ARCHIVED,
	pinned: ConversationFlag.PINNED,
} as const;
export type FlagName = keyof typeof FLAGS;

export class Settings {
	readonly #store: Store;
	readonly #runner: Pick<Runner, "perform">;
	readonly #resolve: (name: string) => Promise<string>;

	constructor(store: Store, runner: Pick<Runner, "perform">, resolve: (name: string) => Promise<string>) {
		this.#store = store;
		this.#runner = runner;
		this.#resolve = resolve;
	}

	/** Mutes, archives or pins a conversation; 0 undoes it. On disk when this resolves; the others hear of it. */
	async setFlag(name: string, flag: FlagName, value: number): Promise<void> {
		await this.#runner.perform({ type: "set-flag", peer: await this.#resolve(name), flag: FLAGS[flag], value });
	}

	/** 0 where it isn't. */
	async flag(name: string, flag: FlagName): Promise<number> {
		return conversationFlag(this.#store, await this.#resolve(name), FLAGS[flag]);
	}

	get readReceipts(): boolean {
		return readReceipts(this.#store);
	}

	/** Whether others learn what the user has read. */
	async setReadReceipts(on: boolean): Promise<void> {
		await this.#runner.perform({ type: "set-read-receipts", on });
	}
}
