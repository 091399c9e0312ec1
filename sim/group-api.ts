/**
 * A stand-in for the api in front of groups' objects: it authenticates, reads the devices of who is added, and loses
 * calls and answers.
 */
import type { GroupChanged, GroupView, Refused } from "../workers/conversation-do/interface.ts";
import type { Changes } from "./changes.ts";
import type { Device } from "./device.ts";
import { type GroupAsk, hexOf } from "./group-half.ts";
import type { ObjectHost } from "./object.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** Probability that a call or its answer is lost. */
const FAILURES = 0.15;
const LATE_MS = 1_500;

export interface ApiOptions {
	schedule: Schedule;
	random: Random;
	host: ObjectHost;
	changes: Changes;
	calm(): boolean;
}

/** The answer to a call; undefined where it failed for the moment. */
export type Answered<Answer> = (answer: Answer | undefined) => void | Promise<void>;

export class GroupApi {
	readonly #options: ApiOptions;

	constructor(options: ApiOptions) {
		this.#options = options;
	}

	ask(by: Device, ask: GroupAsk, answered: Answered<GroupChanged | Refused>): void {
		this.#call(() => this.#ask(by, ask), answered);
	}

	/** Leaves without a state. */
	leave(by: Device, answered: Answered<GroupChanged | Refused>): void {
		const { host } = this.#options;
		this.#call((): GroupChanged | Refused | undefined => {
			if (host.view(by.account, undefined) === undefined) return { refused: "not_found" };
			return host.removeMember(by.account) ? { number: 0, version: 0 } : undefined;
		}, answered);
	}

	/** `null`: the server has no such group for this device. */
	fetch(by: Device, secretHash: string | undefined, answered: Answered<GroupView | null>): void {
		const { host, changes } = this.#options;
		this.#call(() => (changes.has(by) ? (host.view(by.account, secretHash) ?? null) : null), answered);
	}

	#ask(by: Device, ask: GroupAsk): GroupChanged | Refused | undefined {
		const { host, changes, schedule } = this.#options;
		const { wire, do: what, version, removed, roles, rules, linkHash, declined, state, linkSecretHash } = ask;
		if (!changes.has(by)) return { refused: "not_found" };
		const actor = { account: by.account, device: by.device };
		const messageId = hexOf(wire);
		if (what === "request") return host.ask({ type: "requestToJoin", request: { messageId, actor, linkSecretHash } });
		if (version > 1 && host.view(by.account, linkSecretHash) === undefined) return { refused: "not_found" };
		const added = ask.added.flatMap(({ account, role }) => {
			const member = changes.member(account);
			return member.devices.length === 0 ? [] : [{ ...member, role }];
		});
		const change = { removed, roles, rules, linkHash, declined, state, linkSecretHash };
		const notAfter_ms = schedule.nowMs + 60_000;
		const request = { messageId, actor, version, added, ...change, notAfter_ms };
		const answer = host.ask({ type: "changeGroup", request });
		if (answer !== undefined && !("refused" in answer)) for (const { account } of added) this.#settle(account);
		return answer;
	}

	/** A change of devices, or a deletion, while the member arrived. */
	#settle(account: string): void {
		const { host, changes } = this.#options;
		const member = changes.member(account);
		if (member.devices.length === 0) host.removeMember(account);
		else host.setDevices(member);
	}

	#call<Answer>(work: () => Answer | undefined, answered: Answered<Answer>): void {
		const { schedule, random, calm } = this.#options;
		const fails = !calm() && random.chance(FAILURES);
		const arrives = !fails || random.chance(0.5);
		schedule.after(random.between(1, LATE_MS), () => {
			const answer = arrives ? work() : undefined;
			schedule.after(random.between(1, LATE_MS), () => answered(fails ? undefined : answer));
		});
	}
}
