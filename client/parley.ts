/**
 * The SDK: one device's account, its conversations and its connection. It puts together the store, the machine and the
 * transport, and is all that a program needs to import.
 */
import { UUID_PATTERN } from "../protocol/ids.ts";
import { accountMoved, checkedName, checkedServer, checkText, noKeyYet } from "./arguments.ts";
import type { ClaimedNames } from "./claimed_names.ts";
import { type Connection, makeConnection } from "./connection.ts";
import { defaultDataDirectory, eraseDataDirectory, openDataDirectory, openStore } from "./data_directory.ts";
import { Devices } from "./devices.ts";
import { Failure } from "./failure.ts";
import { type ChangeOutcomes, Groups } from "./groups/people.ts";
import { findGroupByName, isGroupReference, noSuchUser } from "./groups/reference.ts";
import { GROUP_PATTERN } from "./groups/state.ts";
import { inVain, lineOf } from "./in_vain.ts";
import { becomeDevice } from "./linking.ts";
import type { LocalAccount, StoredMessage } from "./machine/interface.ts";
import type { Files } from "./media/files.ts";
import type { FileNotice } from "./media/transfers.ts";
import { Messages } from "./messages/people.ts";
import { accountBeginning, isAccountReference, nameOf } from "./naming.ts";
import type { Lookup, ParleyOptions } from "./options.ts";
import { Profiles } from "./profile/people.ts";
import { DEFAULT_SERVER, registerAccount } from "./registering.ts";
import { Reports } from "./reports.ts";
import { assertSendable } from "./sendable.ts";
import { Settings } from "./settings.ts";
import { toBase64url } from "./signal/bytes.ts";
import { safetyNumber } from "./signal/safety.ts";
import { usernameHash } from "./signal/username.ts";
import { localAccount } from "./store/account.ts";
import { contactAccount, contactName, rememberContact } from "./store/contacts.ts";
import type { Store } from "./store/database.ts";
import { conversationsWithOutbox, history, identityState, message, positions } from "./store/queries.ts";
import { type Clock, systemClock } from "./transport/clock.ts";
import { DeviceCalls } from "./transport/device_calls.ts";
import { ServerUnreachable } from "./transport/errors.ts";
import { Api } from "./transport/http.ts";
import type { RunnerNotice } from "./transport/runner.ts";
import { Waiters } from "./waiters.ts";

export type ParleyNotice = RunnerNotice | FileNotice;

export class Parley {
	readonly #directory: string;
	readonly #store: Store;
	readonly #server: string | undefined;
	readonly #clock: Clock;
	readonly #onNotice: (notice: ParleyNotice) => void;
	readonly #waiters: Waiters;
	#connection: Connection | undefined;
	readonly #changes: ChangeOutcomes = new Map();
	#deleted = false;

	private constructor(directory: string, store: Store, options: ParleyOptions) {
		this.#directory = directory;
		this.#store = store;
		this.#server = options.server === undefined ? undefined : checkedServer(options.server);
		this.#clock = options.clock ?? systemClock;
		this.#onNotice = options.onNotice ?? (() => {});
		this.#waiters = new Waiters(this.#clock);
	}

	/** Opens a data directory, making it where there is none. Throws `Failure` `data_in_use` and `wrong_key`. */
	static async open(options: ParleyOptions = {}): Promise<Parley> {
		const environment = options.environment ?? process.env;
		const directory = options.dataDir ?? defaultDataDirectory(environment);
		if (options.server !== undefined) checkedServer(options.server);
		const { database, key } = openDataDirectory(directory, environment.PARLEY_PASSPHRASE || undefined);
		return new Parley(directory, openStore(database, key), options);
	}

	/** Makes an account. The same again after a crash goes on with the same keys (rule ACCOUNT-1). */
	async register(name: string, deviceName?: string): Promise<LocalAccount> {
		const server = this.#server ?? DEFAULT_SERVER;
		return registerAccount({ store: this.#store, clock: this.#clock, server }, name, deviceName);
	}

	/** Makes this directory a new device of an account, with a code for an old one; see `becomeDevice`. */
	async link(name: string, onCode: (link: string, expiresAtMs: number) => void): Promise<LocalAccount> {
		const [server, clock] = [this.#server ?? DEFAULT_SERVER, this.#clock];
		const calls = new DeviceCalls(new Api({ server, clock }));
		return becomeDevice({ store: this.#store, calls, clock, server, name, onCode });
	}

	/** The account's devices. */
	get devices(): Devices {
		const { account, api, runner } = this.#connect();
		return new Devices({
			post: (event) => runner.post(event),
			...{ store: this.#store, account, server: api.server, calls: new DeviceCalls(api), clock: this.#clock },
			onSelfUnlinked: () => {
				this.#deleted = true;
			},
		});
	}

	/** What is the same on all devices of the account: muted, archived and pinned conversations, read receipts. */
	get settings(): Settings {
		const { runner, api } = this.#connect();
		return new Settings({ store: this.#store, runner, api, resolve: (name) => this.#resolve(name) });
	}

	/** Telling the operator of somebody. */
	get reports(): Reports {
		const [{ api }, messages] = [this.#connect(), this.messages];
		return new Reports({ api, resolve: (name) => this.#resolve(name), find: (part) => messages.find(part) });
	}

	/** The account of this device. Throws `Failure` `not_registered`. */
	whoami(): LocalAccount {
		const account = localAccount(this.#store);
		if (account === undefined) throw new Failure("not_registered", "no account here yet: parley register NAME");
		return account;
	}

	/** Asks the server where a name leads, and remembers it at the first time; later only `accept` changes it. */
	async lookup(name: string): Promise<Lookup> {
		const username = checkedName(name);
		const found = await this.#connect().api.lookupUsername(toBase64url(usernameHash(username)));
		const known = contactAccount(this.#store, username);
		if (known !== undefined) return { username, account: known, movedTo: found === known ? undefined : found };
		if (found === undefined) throw noSuchUser(this.#store, username);
		rememberContact(this.#store, username, found);
		this.#connect().runner.post({ type: "share-contact", username, account: found });
		return { username, account: found, movedTo: undefined };
	}

	/** Groups, and what people do with them. */
	get groups(): Groups {
		const { account, machine, runner, api, files } = this.#connect();
		const { pictures } = files;
		const parts = { store: this.#store, account, machine, runner, api, waiters: this.#waiters, pictures };
		const { connect, resolve } = { connect: () => this.connect(), resolve: (name: string) => this.#resolve(name) };
		return new Groups({ ...parts, connect, resolve, clock: this.#clock }, this.#changes);
	}

	/** What people show of themselves. */
	get profiles(): Profiles {
		const { account, runner, files } = this.#connect();
		const [own, resolve] = [account.accountId, (name: string) => this.#resolve(name)];
		return new Profiles({ store: this.#store, account: own, runner, pictures: files.pictures, resolve });
	}

	/** What people call an account or a group; where a username is not known, `id:` with the beginning of the account id. */
	nameOf(peer: string): string {
		return nameOf(this.#store, peer);
	}

	/** Puts a text into the outbox, on disk, and starts sending it. `sent` waits for the server. */
	async send(to: string, text: string): Promise<{ id: string }> {
		checkText(text);
		const { machine, runner } = this.#connect();
		const peer = await this.#addressee(to);
		const id = machine.newMessageId();
		await runner.perform({ type: "send-text", id, peer, body: text });
		runner.openConversation(peer);
		return { id };
	}

	/** Files in messages: sending, fetching and removing them. */
	get files(): Files {
		return this.#connect().files;
	}

	/** Everything that people do with messages, beside sending plain texts and files. */
	get messages(): Messages {
		const { account, machine, runner } = this.#connect();
		return new Messages({
			...{ store: this.#store, account, machine, runner, waiters: this.#waiters, clock: this.#clock },
			resolve: (name) => this.#resolve(name),
			addressee: (name) => this.#addressee(name),
		});
	}

	/** Waits until the server has a message on disk. After `timeoutMs` it stays in the outbox. */
	async sent(id: string, timeoutMs = 15_000): Promise<StoredMessage> {
		const { peer } = this.#require(id);
		try {
			await this.#waiters.until({
				check: () => this.find(id)?.status !== "queued",
				patienceMs: timeoutMs,
				renewable: false,
				concerns: [id, peer],
				late: () => new Failure("unreachable", "no answer from the server: the message is queued in the outbox"),
			});
			const stored = this.#require(id);
			if (stored.status === "failed") throw new Failure("refused", "the server refused the message");
			return stored;
		} catch (error) {
			if (error instanceof Failure && error.code === "refused") await this.#refuseIfMoved(peer);
			throw error;
		}
	}

	/** Connects for good: news comes as notices from now on. */
	connect(): void {
		const { runner, names, files } = this.#connect();
		this.devices.learnConversations();
		runner.openAccount();
		names.checkAll();
		files.start();
	}

	/** Fetches everything that waits, and resolves when it is stored and acknowledged. Stays connected. */
	async receive(options: { timeoutMs?: number; beforeEnd?(): void } = {}): Promise<void> {
		this.connect();
		await this.#untilDrained([lineOf(undefined)], options.timeoutMs ?? 30_000);
		options.beforeEnd?.();
	}

	/** Waits a while for what is under way, the outbox included; what is not done then waits for the next connection. */
	async flush(timeoutMs = 5_000): Promise<void> {
		const done = (): boolean => this.drained && conversationsWithOutbox(this.#store).length === 0;
		const late = (): Error => new Failure("unreachable", "no answer from the server");
		const wish = { check: done, patienceMs: timeoutMs, renewable: false, concerns: [lineOf(undefined)], late };
		await this.#waiters.until(wish).catch((error: unknown) => {
			if (!(error instanceof Failure || error instanceof ServerUnreachable)) throw error;
		});
	}

	/** Whether nothing is known to be under way or waiting. */
	get drained(): boolean {
		const { runner, names, files } = this.#connection ?? {};
		return runner?.drained !== false && names?.busy !== true && files?.busy !== true;
	}

	/** Keeps the conversation open, for a chat. Returns the other account's id. */
	async follow(name: string): Promise<string> {
		const peer = await this.#resolve(name);
		this.connect();
		this.#connect().runner.follow(peer);
		return peer;
	}

	/** The newest messages with somebody, oldest first. */
	async history(name: string, limit = 50): Promise<StoredMessage[]> {
		return history(this.#store, await this.#resolve(name), limit, this.#clock.nowMs());
	}

	find(id: string): StoredMessage | undefined {
		return message(this.#store, id, this.#clock.nowMs());
	}

	/** How far a message got. `refresh` asks the server first, and does without where it can't be reached. */
	async status(id: string, options: { refresh?: boolean } = {}): Promise<StoredMessage> {
		this.whoami();
		const { peer, outgoing, status } = this.#require(id);
		if (options.refresh === true && outgoing && status !== "read" && status !== "failed") {
			this.#connect().runner.openConversation(peer);
			await this.#untilDrained([peer, lineOf(peer)], 5_000).catch((error: unknown) => {
				if (!(error instanceof Failure)) throw error;
			});
		}
		return this.#require(id);
	}

	/** The number that both people compare; throws `Failure` `no_key_yet` before the other's key is known. */
	async safetyNumber(name: string): Promise<{ safetyNumber: string; verified: boolean }> {
		const peer = await this.#resolve(name);
		const number = safetyNumber(this.#store, peer);
		if (number === undefined) throw noKeyYet(name);
		return { safetyNumber: number.displayable, verified: identityState(this.#store, peer) === "verified" };
	}

	/** Marks somebody as verified. With `theirs`, only if it is the same safety number. */
	async verify(name: string, theirs?: string): Promise<void> {
		const ours = (await this.safetyNumber(name)).safetyNumber;
		if (theirs !== undefined && theirs.replace(/\D/g, "") !== ours) {
			throw new Failure("safety_number_differs", `the safety numbers differ: somebody may be between you and ${name}`);
		}
		const peer = await this.#resolve(name);
		await this.#connect().runner.perform({ type: "set-verified", peer, verified: true });
	}

	/** Accepts a new identity key, and the new account where the name has moved to one. Returns whether there was either. */
	async accept(name: string): Promise<boolean> {
		const { runner } = this.#connect();
		const peer = await this.#resolve(name);
		const changed = identityState(this.#store, peer) === "blocked";
		await runner.perform({ type: "accept-identity", peer });
		try {
			const named = !UUID_PATTERN.test(name) && !isAccountReference(name);
			const found = named ? await this.lookup(name) : undefined;
			if (found?.movedTo === undefined) return changed;
			rememberContact(this.#store, found.username, found.movedTo);
			runner.post({ type: "share-contact", username: found.username, account: found.movedTo });
			return true;
		} catch (error) {
			// The key is accepted; whether the name has moved can be asked another time.
			if (error instanceof ServerUnreachable) return changed;
			throw error;
		}
	}

	/** One-time prekeys that the server has left. */
	keys(): Promise<{ oneTimePreKeys: number; oneTimeKyberPreKeys: number }> {
		return this.#connect().api.preKeyCounts();
	}

	/** Deletes the account at the server; `close` then erases the data directory. */
	async deleteAccount(): Promise<void> {
		await this.#connect().api.deleteAccount();
		this.#deleted = true;
	}

	/** Tells the other side (an account, or a group's id), if it listens, that somebody types or has stopped. */
	typing(name: string, started: boolean): void {
		const known = UUID_PATTERN.test(name) || GROUP_PATTERN.test(name);
		const peer = known ? name : contactAccount(this.#store, name.toLowerCase());
		if (peer !== undefined) this.#connect().runner.post({ type: "typing", peer, started });
	}

	/** A person has seen everything up to this entry of a conversation. */
	markRead(peer: string, upTo: number): void {
		this.#connect().runner.post({ type: "mark-read", peer, upTo });
	}

	/** A person has seen everything that is here of a conversation. */
	markAllRead(peer: string): void {
		const { cursor, read } = positions(this.#store, peer);
		if (cursor > read) this.markRead(peer, cursor);
	}

	/** Finishes what is under way, closes the sockets in order, and lets another process in. */
	async close(): Promise<void> {
		await this.#connection?.files.close();
		await this.#connection?.runner.close();
		await this.#connection?.names.finish();
		this.#store.close();
		if (this.#deleted) eraseDataDirectory(this.#directory);
	}

	#connect(): Connection {
		if (this.#connection !== undefined) return this.#connection;
		const account = this.whoami();
		this.#connection = makeConnection({
			...{ account, store: this.#store, clock: this.#clock, directory: this.#directory, waiters: this.#waiters },
			server: this.#server ?? account.server,
			addressee: (to) => this.#addressee(to),
			onRunnerNotice: (names, notice) => this.#notice(names, notice),
			deliver: (notice) => this.#onNotice(notice),
		});
		return this.#connection;
	}

	/** Whom something can be sent to. Throws `Failure` `bad_argument`, `identity_changed` and what a lookup throws. */
	async #addressee(to: string): Promise<string> {
		const peer = await this.#resolve(to);
		assertSendable(this.#store, peer, this.nameOf(peer));
		return peer;
	}

	/** The account behind a name, without asking the server where it is known already. */
	async #resolve(name: string): Promise<string> {
		const own = this.whoami();
		if (UUID_PATTERN.test(name)) return name;
		if (isAccountReference(name)) return accountBeginning(this.#store, name);
		if (isGroupReference(name)) return findGroupByName(this.#store, name);
		if (checkedName(name) === own.username) return own.accountId;
		return contactAccount(this.#store, checkedName(name)) ?? (await this.lookup(name)).account;
	}

	#require(id: string): StoredMessage {
		const stored = this.find(id);
		if (stored === undefined) throw new Failure("no_such_message", `there is no message ${id} here`);
		return stored;
	}

	/** An account that is gone may have a successor of the same name: whether it is the same person, a person must say. */
	async #refuseIfMoved(peer: string): Promise<void> {
		const name = contactName(this.#store, peer);
		if (name === undefined) return;
		const found = await this.lookup(name).catch(() => undefined);
		if (found?.movedTo !== undefined) throw accountMoved(name);
	}

	#untilDrained(concerns: readonly string[], patienceMs: number): Promise<void> {
		return this.#waiters.until({
			check: () => this.drained,
			patienceMs,
			renewable: true,
			concerns,
			late: () => new Failure("unreachable", "no answer from the server"),
		});
	}

	#notice(names: ClaimedNames, notice: RunnerNotice): void {
		const vain = inVain(notice, (account) => this.nameOf(account));
		if (vain !== undefined) this.#waiters.fail(vain.concern, vain.error);
		this.#connection?.files.noticed(notice);
		const isOutcome = notice.type === "group-change-done" || notice.type === "group-change-failed";
		if (isOutcome) this.#changes.set(notice.id, notice);
		names.pass(notice);
		// That another attempt failed is no news: whoever waits may lose patience over it.
		if (notice.type !== "line-failed") this.#waiters.renew();
		this.#waiters.changed();
	}
}
