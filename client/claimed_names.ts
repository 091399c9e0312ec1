/**
 * Names that strangers say they have. Each is shown only once the server has confirmed whose it is; until then the
 * notices wait, so that a message is never shown first under an account id and then under a name.
 */
import { toBase64url } from "./signal/bytes.ts";
import { usernameHash } from "./signal/username.ts";
import { accountsWithClaims, claimedName, contactAccount, dropClaim, rememberContact } from "./store/contacts.ts";
import type { Store } from "./store/database.ts";
import { findMessage, toStoredMessage } from "./store/messages.ts";
import type { RunnerNotice } from "./transport/runner.ts";

export interface ClaimedNamesOptions {
	store: Store;
	/** The account behind a username's hash, in base64url; it may be the claiming one, though it is not to be found. */
	lookup(hash: string, account: string): Promise<string | undefined>;
	deliver(notice: RunnerNotice): void;
	/** No check is under way any more. */
	onIdle(): void;
}

export class ClaimedNames {
	readonly #options: ClaimedNamesOptions;
	readonly #checks = new Map<string, Promise<void>>();
	/** Whoever claims one name after another is asked about once. */
	readonly #answered = new Set<string>();
	#held: RunnerNotice[] = [];

	constructor(options: ClaimedNamesOptions) {
		this.#options = options;
	}

	get busy(): boolean {
		return this.#checks.size > 0;
	}

	/** Hands a notice on, after the check of the name in it where there is one to make. */
	pass(notice: RunnerNotice): void {
		if (notice.type === "message" || notice.type === "message-changed") this.#check(notice.message.sender);
		// The name came with the group's key.
		if (notice.type === "group-changed") this.checkAll();
		if (this.busy) this.#held.push(notice);
		else this.#options.deliver(notice);
	}

	/** Checks what could not be checked when it came. */
	checkAll(): void {
		for (const account of accountsWithClaims(this.#options.store)) this.#check(account);
	}

	/** Waits for the checks that are under way. */
	async finish(): Promise<void> {
		await Promise.all(this.#checks.values());
	}

	/** A message that was kept back as it is by now. */
	#asItIs(notice: RunnerNotice): RunnerNotice {
		if (notice.type !== "message" && notice.type !== "message-changed") return notice;
		const row = findMessage(this.#options.store, notice.message.sender, notice.message.id);
		return row === undefined ? notice : { ...notice, message: toStoredMessage(row) };
	}

	#check(account: string): void {
		if (this.#answered.has(account) || this.#checks.has(account)) return;
		const name = claimedName(this.#options.store, account);
		if (name !== undefined) this.#checks.set(account, this.#ask(account, name));
	}

	async #ask(account: string, name: string): Promise<void> {
		const { store, lookup, deliver, onIdle } = this.#options;
		try {
			const found = await lookup(toBase64url(usernameHash(name)), account);
			this.#answered.add(account);
			// A name that led elsewhere before stays there until a person accepts the change.
			const known = contactAccount(store, name);
			if (found === account && (known === undefined || known === account)) rememberContact(store, name, account);
			dropClaim(store, account);
		} catch {
			// The claim stays, and is checked with the next message or at the next start.
		}
		this.#checks.delete(account);
		if (this.busy) return;
		for (const notice of this.#held.splice(0)) deliver(this.#asItIs(notice));
		onIdle();
	}
}
