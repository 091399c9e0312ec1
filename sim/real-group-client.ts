/** A device in a group that runs the real client: what people want of the group, and the calls that the machine asks for. */
import { type GroupState, parseState } from "../client/groups/state.ts";
import type { GroupCall } from "../client/machine/groups/building.ts";
import type { MachineEvent, MachineRequest } from "../client/machine/interface.ts";
import { fromBase64url, toBase64url } from "../client/signal/bytes.ts";
import { GroupCipher } from "../client/signal/sender_keys.ts";
import { requireAccount } from "../client/store/account.ts";
import { allGroupChanges, findChangeByWire, groupChanges } from "../client/store/group_changes.ts";
import { findGroup, groupRequests } from "../client/store/groups.ts";
import { conversationsWithOutbox } from "../client/store/queries.ts";
import type { GroupChanged, GroupView, Refused } from "../workers/conversation-do/interface.ts";
import type { GroupApi } from "./group-api.ts";
import { type GroupAsk, hashOf, type Wanted } from "./group-half.ts";
import type { Person } from "./group-people.ts";
import { type GroupRequest, type Installed, MachineRunner, type MachineSurroundings } from "./machine-runner.ts";

/** How often the program looks after what waits, and how often it makes a call before it gives up for the moment. */
const TICK_MS = 60_000;
const CALL_ATTEMPTS = 4;
/** The server has shown the device out. */
const REMOVED = 4403;

export interface RealGroupSurroundings extends MachineSurroundings {
	api(): GroupApi;
	/** base64url of 32 bytes of which the group's id is the hash. */
	seed: string;
	/** The group's key, as any member's link shows it. */
	linkKey(): Uint8Array | undefined;
	/** What each change was made for, by its id on the wire. */
	intents: Map<string, { intent: string; account: string }>;
}

/** Where a change stands in the log, by the version that it made. */
export type Ledger = ReadonlyMap<number, { number: number; intent: string; account: string }>;

/** A group's message in the log. */
export interface SharedEntry {
	number: number;
	account: string;
	device: number;
	ciphertext: Uint8Array;
}

interface SeenState {
	state: GroupState;
	author: string | undefined;
	first: boolean;
}

export class RealGroupClient extends MachineRunner<RealGroupSurroundings> implements Person {
	readonly #isLinked: boolean;
	readonly #states: SeenState[] = [];
	#version = 0;

	constructor(installed: Installed, around: RealGroupSurroundings) {
		super(installed, around);
		this.#isLinked = installed.old !== undefined;
		around.schedule.after(0, () => this.#begin());
	}

	/** What people see of the group. */
	get half(): Person["half"] {
		const row = findGroup(this.store, this.peer);
		const state = row?.state == null ? undefined : parseState(row.state);
		const member = row === undefined || row.version === 0 ? undefined : row.member === 1;
		return { member, state, hasKey: row?.key != null, requests: new Set(groupRequests(this.store, this.peer)) };
	}

	/** The key of the group, if it is here. */
	get groupKey(): Uint8Array | undefined {
		return findGroup(this.store, this.peer)?.key ?? undefined;
	}

	offer(): void {
		this.around.schedule.after(0, () => this.write());
	}

	want(intention: Wanted["intention"]): void {
		if (!this.running) return;
		this.around.history.note(`${this.name} wants ${JSON.stringify(intention)}`);
		this.#soon(() => {
			const [id, peer] = [this.machine.newMessageId(), this.peer];
			if (intention.do !== "create") return { type: "change-group", id, peer, intention };
			const { members } = intention;
			return { type: "create-group", id, peer, title: "friends", description: "", members, seed: this.around.seed };
		});
	}

	/** A person has an invite link; the group's state is looked at first. */
	follow(secret: string): void {
		const key = this.around.linkKey();
		if (!this.running || key === undefined) return;
		this.around.history.note(`${this.name} follows a link`);
		this.around.api().fetch(this, hashOf(fromBase64url(secret)), async (view) => {
			if (view === undefined || view === null || !this.running) return;
			const id = this.machine.newMessageId();
			const group = groupOf(view);
			await this.step([{ type: "join-group", id, peer: this.peer, key: toBase64url(key), secret, group }]);
		});
	}

	/** Somebody who was removed tries what is left to try. */
	haunt(): void {
		if (this.half.member !== false) return;
		this.want({ do: "rename", title: "mine" });
		this.offer();
		this.connect();
	}

	/** The server has no such group for this account. */
	turnedAway(): void {
		if (!this.running) return;
		this.drop();
		this.#soon(() => ({ type: "conversation-left", peer: this.peer }));
		this.#soon(() => ({ type: "group-gone", peer: this.peer }));
	}

	/** What is on the disk at the end, and what is still to be sent. */
	report(): void {
		this.note();
		const waiting = "SELECT COUNT(*) AS value FROM outbox WHERE peer = ?";
		const messages = this.store.value<number>(waiting, [this.peer]) ?? 0;
		const changes = groupChanges(this.store, this.peer).length;
		this.around.history.observe({ type: "left-over", device: this.name, messages, changes });
	}

	/** Tells which states it has believed; only the log says where they stand. */
	tellStates(ledger: Ledger): void {
		for (const { state, author, first } of this.#states) {
			const made = ledger.get(state.version);
			const { number = 0, intent = "" } = made ?? {};
			const by = author ?? made?.account ?? "";
			this.around.history.observe({ type: "state", device: this.name, number, author: by, intent, first, state });
		}
	}

	/** Which messages can be read, now, with what is on this device's disk. */
	async opens(entries: readonly SharedEntry[]): Promise<number[]> {
		const cipher = new GroupCipher(this.store, requireAccount(this.store));
		const opened: number[] = [];
		for (const { number, account, device, ciphertext } of entries) {
			this.store.begin();
			const { type } = await cipher.open(this.peer, account, device, ciphertext);
			this.store.rollback();
			if (type === "plaintext") opened.push(number);
		}
		return opened;
	}

	protected override mayReturn(code: number): boolean {
		if (code === REMOVED) this.turnedAway();
		return code !== REMOVED;
	}

	protected override stepped(requests: readonly MachineRequest[]): void {
		const row = findGroup(this.store, this.peer);
		if (row === undefined || row.version === this.#version) return;
		this.#version = row.version;
		const state = row.state === null ? undefined : parseState(row.state);
		if (state === undefined) return;
		const notices = requests.flatMap((one) =>
			one.type === "notify" && one.notice.type === "group-changed" ? [one.notice] : [],
		);
		const notice = notices.find(({ version }) => version === state.version);
		// Of several in one step only the last is still on the disk.
		const first = notice === undefined || notice.change.first || notices.length > 1;
		this.#states.push({ state, author: notice?.author, first });
		const members = state.members.map(({ account, role }) => `${account.slice(0, 4)}${role === "admin" ? "*" : ""}`);
		this.around.history.note(`${this.name} believes version ${state.version}: ${members.join(" ")}`);
	}

	protected callGroup(request: GroupRequest, attempts = 1): void {
		const { machine } = this;
		const { schedule, random } = this.around;
		const { id, peer } = request;
		const answered = async (event: MachineEvent | undefined): Promise<void> => {
			// Nobody waits for it after a kill.
			if (machine !== this.machine) return;
			if (event !== undefined) await this.step([event]);
			else if (attempts >= CALL_ATTEMPTS) await this.step([{ type: "group-failed", peer, id }]);
			else {
				schedule.after(random.between(500, 2_000) * 2 ** attempts, () => {
					if (machine === this.machine) this.callGroup(request, attempts + 1);
				});
			}
		};
		this.#call(request, answered);
	}

	#call({ id, peer, call }: GroupRequest, answered: (event: MachineEvent | undefined) => Promise<void>): void {
		const { history, intents } = this.around;
		const api = this.around.api();
		const done = (answer: GroupChanged | Refused | undefined) => answered(eventOf(peer, id, answer));
		if (call.do === "fetch") {
			const secretHash = call.secret === undefined ? undefined : hashOf(fromBase64url(call.secret));
			api.fetch(this, secretHash, (view) =>
				answered(
					view === undefined
						? undefined
						: { type: "group-fetched", peer, group: view === null ? undefined : groupOf(view) },
				),
			);
		} else if (call.do === "leave") api.leave(this, done);
		else {
			history.observe({ type: "beside", device: this.name, id });
			intents.set(id, { intent: findChangeByWire(this.store, id)?.id ?? id, account: this.account });
			api.ask(this, askOf(this.account, id, call), done);
		}
	}

	async #begin(): Promise<void> {
		await this.start();
		// What the account's object lists of its conversations.
		if (this.#isLinked) await this.step([{ type: "learn-conversations", peers: [this.peer] }]);
		this.#tickLater();
	}

	#tickLater(): void {
		this.around.schedule.after(TICK_MS, async () => {
			if (this.removed) return;
			const waits = (): boolean =>
				conversationsWithOutbox(this.store).length > 0 || allGroupChanges(this.store).length > 0;
			if (this.running && waits()) await this.step([{ type: "tick" }]);
			this.#tickLater();
		});
	}

	/** In its turn: what people do is not done in the middle of another step. */
	#soon(event: () => MachineEvent): void {
		this.around.schedule.after(0, async () => void (await this.step([event()])));
	}
}

/** As the api hands it out. */
function groupOf({ version, state, requests }: GroupView) {
	return { version, state: Buffer.from(state, "base64").toString("base64url"), requests };
}

function eventOf(peer: string, id: string, answer: GroupChanged | Refused | undefined): MachineEvent | undefined {
	if (answer === undefined) return undefined;
	if (!("refused" in answer)) return { type: "group-answered", peer, id, answer: { ...answer, unreachable: [] } };
	// An error of the server, after which the call is made again.
	if (answer.refused === "too_late") return undefined;
	return { type: "group-refused", peer, id, code: answer.refused, limit: answer.limit };
}

/** What the api asks the group's object. */
function askOf(account: string, wire: string, call: Exclude<GroupCall, { do: "fetch" | "leave" }>): GroupAsk {
	const nothing = { version: 0, added: [], removed: [], roles: [], rules: undefined, linkHash: undefined, state: "" };
	if (call.do === "request") {
		const linkSecretHash = hashOf(fromBase64url(call.body.linkSecret));
		return { ...nothing, do: "request", wire, declined: undefined, linkSecretHash };
	}
	const member = ({ accountId, role }: { accountId: string; role: "member" | "admin" }) => ({
		account: accountId,
		role,
	});
	const { rules, linkHash } = call.body;
	const both = {
		...{ do: "change" as const, wire, rules, state: Buffer.from(call.body.state, "base64url").toString("base64") },
		linkHash: linkHash === undefined ? undefined : Buffer.from(linkHash, "base64url").toString("hex"),
	};
	if (call.do === "create") {
		const added = [{ account, role: "admin" as const }, ...call.body.members.map(member)];
		return { ...nothing, ...both, version: 1, added, declined: undefined, linkSecretHash: undefined };
	}
	const { version, added = [], removed = [], roles = [], declined, linkSecret } = call.body;
	const linkSecretHash = linkSecret === undefined ? undefined : hashOf(fromBase64url(linkSecret));
	return { ...both, version, added: added.map(member), removed, roles: roles.map(member), declined, linkSecretHash };
}
