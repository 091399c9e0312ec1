/** What the tests of groups share. */
import { toHex } from "../../protocol/ids.ts";
import type { GroupChangeRequest, GroupJoinRequest, GroupRole, GroupRules } from "./interface.ts";
import { MemoryStore } from "./memory-store.ts";
import type { Store } from "./store.ts";
import { A1, type Address, B1, Bench, newId } from "./testing.ts";

export const CAROL = "00000000-0000-4000-8000-00000000000c";
export const C1: Address = { account: CAROL, device: 1, registrationId: 31 };
export const C2: Address = { account: CAROL, device: 2, registrationId: 32 };
export const OPEN: GroupRules = { add: "members", edit: "members", send: "members", link: false, approval: false };
export const SECRET = "ab".repeat(32);

export function joining(address: Address, role: GroupRole = "member", ...more: Address[]) {
	const devices = [address, ...more].map(({ device, registrationId }) => ({ device, registrationId }));
	return { account: address.account, role, devices, version: 1 };
}

export function request(actor: Address, version: number, fields: Partial<GroupChangeRequest> = {}): GroupChangeRequest {
	return {
		messageId: toHex(newId()),
		actor: { account: actor.account, device: actor.device },
		version,
		added: [],
		removed: [],
		roles: [],
		rules: undefined,
		linkHash: undefined,
		declined: undefined,
		state: Buffer.from(`state ${version}`).toString("base64"),
		linkSecretHash: undefined,
		...fields,
	};
}

/** A group of Alice, its admin, and Bob; both connected, their first frames read. */
export class GroupBench extends Bench {
	readonly alice: number;
	readonly bob: number;

	constructor(rules: GroupRules = OPEN, store: Store = new MemoryStore()) {
		super([], store);
		this.change(request(A1, 1, { added: [joining(A1, "admin"), joining(B1)], rules, linkHash: SECRET }));
		this.alice = this.ready(A1);
		this.bob = this.ready(B1);
		this.effects = [];
	}

	change(change: GroupChangeRequest): string {
		this.handle({ type: "changeGroup", request: change });
		return this.#answer();
	}

	ask(join: GroupJoinRequest): string {
		this.handle({ type: "requestToJoin", request: join });
		return this.#answer();
	}

	#answer(): string {
		const effect = this.effects.find(({ type }) => type === "answer");
		this.effects = this.effects.filter((one) => one !== effect);
		if (effect?.type !== "answer") throw new Error("no answer");
		const { answer } = effect;
		return "refused" in answer ? answer.refused : `${answer.number} v${answer.version}`;
	}
}
