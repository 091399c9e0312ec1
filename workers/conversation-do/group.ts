/** What the object knows of a group, and who may change what (rules GROUP-2 to GROUP-6). Pure. */
import { LIMITS } from "../../protocol/limits.ts";
import type { GroupChangeRequest, GroupPermission, GroupRole, GroupRules, Refused } from "./interface.ts";

/** As it is kept, in JSON. */
export interface GroupJson {
	/** The state's version: how many changes there were. */
	version: number;
	/** In the order in which they came. */
	roles: [account: string, role: GroupRole][];
	rules: GroupRules;
	/** SHA-256 of the invite link's secret, in hex. */
	linkHash: string | undefined;
	/** Accounts that ask to join. */
	requests: string[];
	/** The state under the group's key, in base64. */
	state: string;
}

/** Whether an answer is a refusal. */
export function isRefused(answer: object): answer is Refused {
	return "refused" in answer;
}

const refused = (code: Refused["refused"], limit?: number): Refused => ({
	refused: code,
	...(limit === undefined ? {} : { limit }),
});

/** A group at one version. */
export class Group {
	readonly json: GroupJson;
	readonly #roles: Map<string, GroupRole>;

	constructor(json: GroupJson) {
		this.json = json;
		this.#roles = new Map(json.roles);
	}

	get version(): number {
		return this.json.version;
	}

	roleOf(account: string): GroupRole | undefined {
		return this.#roles.get(account);
	}

	/** Whether a member may do what the permission is for. */
	permits(account: string, permission: GroupPermission): boolean {
		const role = this.#roles.get(account);
		switch (permission) {
			case "members":
				return role !== undefined;
			case "admins":
				return role === "admin";
			default:
				return permission satisfies never;
		}
	}

	/** Whether who has the secret of this hash holds the invite link. */
	opens(secretHash: string | undefined): boolean {
		return this.json.rules.link && secretHash !== undefined && secretHash === this.json.linkHash;
	}

	/** The group after a change, or why it is refused. */
	changed(request: GroupChangeRequest): Group | Refused {
		const { actor, version, added, removed, roles, declined } = request;
		const member = this.roleOf(actor.account);
		// Authorised to be here at all: strangers learn nothing, not even the version.
		if (member === undefined && !this.opens(request.linkSecretHash)) return refused("not_found");
		if (version !== this.version + 1) return refused("group_conflict", this.version);
		if (!(member === undefined ? this.#mayJoin(request) : this.#mayChange(request))) return refused("not_permitted");
		if (roles.some(({ account }) => !this.#roles.has(account))) return refused("malformed");
		if (added.some(({ account }) => this.#roles.has(account))) return refused("malformed");
		// Who is removed may be gone already: its account is deleted, and the state lists it still.
		const named = [...removed, ...[...roles, ...added].map(({ account }) => account)];
		if (new Set(named).size !== named.length) return refused("malformed");
		const next = new Map(this.#roles);
		for (const account of removed) next.delete(account);
		for (const { account, role } of [...roles, ...added]) next.set(account, role);
		if (next.size > LIMITS.group_members) return refused("group_full", LIMITS.group_members);
		if (next.size > 0 && ![...next.values()].includes("admin")) return refused("last_admin");
		const gone = new Set([...added.map(({ account }) => account), declined]);
		return new Group({
			version,
			roles: [...next],
			rules: request.rules ?? this.json.rules,
			linkHash: request.linkHash ?? this.json.linkHash,
			requests: this.json.requests.filter((account) => !gone.has(account)),
			state: request.state,
		});
	}

	/** With one account more that asks to join, or why not. The state's version stays. */
	requested(account: string, secretHash: string | undefined): Group | Refused {
		if (!this.opens(secretHash) || !this.json.rules.approval) return refused("not_found");
		if (this.roleOf(account) !== undefined) return refused("malformed");
		if (this.json.requests.includes(account)) return this;
		if (this.json.requests.length >= LIMITS.group_requests) return refused("group_full", LIMITS.group_requests);
		return new Group({ ...this.json, requests: [...this.json.requests, account] });
	}

	/** Without a member whose account is gone. Where no admin is left, the first member becomes one. */
	without(account: string): Group {
		const roles = this.json.roles.filter(([one]) => one !== account);
		const first = roles[0];
		const admin = roles.some(([, role]) => role === "admin");
		if (first !== undefined && !admin) roles[0] = [first[0], "admin"];
		return new Group({ ...this.json, roles });
	}

	/** By the link: oneself, as a member, and nothing else. */
	#mayJoin({ actor, added, removed, roles, rules, linkHash, declined }: GroupChangeRequest): boolean {
		const [one, more] = added;
		const alone = one?.account === actor.account && one.role === "member" && more === undefined;
		const nothingElse = removed.length + roles.length === 0 && (rules ?? linkHash ?? declined) === undefined;
		return alone && nothingElse && !this.json.rules.approval;
	}

	#mayChange({ actor, added, removed, roles, rules, linkHash, declined }: GroupChangeRequest): boolean {
		if (this.permits(actor.account, "admins")) return true;
		// What is left are a member's rights: leaving, and what the rules give to members.
		if (roles.length > 0 || (rules ?? linkHash ?? declined) !== undefined) return false;
		if (removed.some((account) => account !== actor.account)) return false;
		if (added.some(({ role }) => role !== "member")) return false;
		if (added.length > 0 && !this.permits(actor.account, this.json.rules.add)) return false;
		const edits = added.length + removed.length === 0;
		return !edits || this.permits(actor.account, this.json.rules.edit);
	}
}
