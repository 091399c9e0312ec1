/** How many may ask to join a group, and how many come in by its link, in the runtime. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { toHex } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { type Address, newId } from "./testing.ts";
import { joining, OPEN, request, SECRET } from "./testing-groups.ts";

const somebody = (): Address => ({ account: crypto.randomUUID(), device: 1, registrationId: 1 });
const actorOf = ({ account, device }: Address) => ({ account, device });

async function found(founder: Address, members: readonly Address[], approval: boolean) {
	const stub = env.CONVERSATION.getByName(Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex"));
	const added = [joining(founder, "admin"), ...members.map((one) => joining(one))];
	const rules = { ...OPEN, link: true, approval };
	expect(await stub.changeGroup(request(founder, 1, { added, rules, linkHash: SECRET }))).toMatchObject({ version: 1 });
	return stub;
}

test("GROUP-5 at most 256 ask to join; an answer makes room for one more", async () => {
	const founder = somebody();
	const stub = await found(founder, [], true);
	const ask = (who: Address) =>
		stub.requestToJoin({ messageId: toHex(newId()), actor: actorOf(who), linkSecretHash: SECRET });
	const [first, ...others] = Array.from({ length: LIMITS.group_requests }, somebody);
	if (first === undefined) throw new Error("nobody");
	for (const one of [first, ...others]) expect(await ask(one)).toMatchObject({ version: 1 });
	const late = somebody();
	expect(await ask(late)).toEqual({ refused: "group_full", limit: LIMITS.group_requests });
	// Who asks already asks again without an entry.
	expect(await ask(first)).toMatchObject({ number: LIMITS.group_requests + 1 });
	expect(await stub.changeGroup(request(founder, 2, { declined: first.account }))).toMatchObject({ version: 2 });
	expect(await ask(late)).toMatchObject({ version: 2 });
});

test("GROUP-3 GROUP-5 a full group takes nobody by its link until somebody leaves", async () => {
	const founder = somebody();
	const members = Array.from({ length: LIMITS.group_members - 1 }, somebody);
	const stub = await found(founder, members, false);
	const late = somebody();
	const join = (version: number) =>
		stub.changeGroup(request(late, version, { added: [joining(late)], linkSecretHash: SECRET }));
	expect(await join(2)).toEqual({ refused: "group_full", limit: LIMITS.group_members });
	const [one] = members;
	if (one === undefined) throw new Error("nobody");
	expect(await stub.changeGroup(request(one, 2, { removed: [one.account] }))).toMatchObject({ version: 2 });
	expect(await join(3)).toMatchObject({ version: 3 });
});
