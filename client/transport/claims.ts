/** Claims of prekeys: alone, or many in one request where many are asked for, as for a new group (rule PREKEY-5). */
import type { PreKeyBundles } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import type { Api } from "./http.ts";

const REQUESTS_AT_ONCE = 4;

export interface ClaimsOptions {
	api: Pick<Api, "claimPreKeys" | "claimManyPreKeys">;
	/** Makes an attempt again while its failure is one that passes. */
	retrying<T>(attempt: () => Promise<T>): Promise<T>;
	/** Undefined: there is no such account. */
	claimed(account: string, bundles: PreKeyBundles | undefined): void;
	/** `error` is undefined where the server asks for patience. */
	failed(account: string, error: unknown): void;
}

/** Fetches prekeys of accounts, many at once. */
export class Claims {
	readonly #options: ClaimsOptions;
	readonly #waiting: string[] = [];
	#requests = 0;
	#begun = false;

	constructor(options: ClaimsOptions) {
		this.#options = options;
	}

	get busy(): boolean {
		return this.#waiting.length + this.#requests > 0;
	}

	ask(account: string): void {
		this.#waiting.push(account);
		if (this.#begun) return;
		this.#begun = true;
		// What one step asks for goes together.
		queueMicrotask(() => {
			this.#begun = false;
			this.#begin();
		});
	}

	#begin(): void {
		while (this.#requests < REQUESTS_AT_ONCE && this.#waiting.length > 0) {
			this.#requests++;
			void this.#claim(this.#waiting.splice(0, LIMITS.claimed_accounts)).finally(() => {
				this.#requests--;
				this.#begin();
			});
		}
	}

	async #claim(accounts: readonly string[]): Promise<void> {
		const { api, retrying, claimed, failed } = this.#options;
		try {
			const [only] = accounts;
			if (accounts.length === 1 && only !== undefined) {
				claimed(only, await retrying(() => api.claimPreKeys(only)));
				return;
			}
			const answer = await retrying(() => api.claimManyPreKeys(accounts));
			for (const { accountId, ...bundles } of answer.claimed) claimed(accountId, bundles);
			for (const account of answer.missing) claimed(account, undefined);
			for (const account of answer.later) failed(account, undefined);
		} catch (error) {
			for (const account of accounts) failed(account, error);
		}
	}
}
