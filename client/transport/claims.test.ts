import { expect, test } from "vitest";
import type { PreKeyBundles } from "../../protocol/http.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Claims } from "./claims.ts";

const KEYS: PreKeyBundles = { identityKey: "", devices: [] };

/** Claims whose requests the test answers. */
function bench() {
	const asked: { accounts: readonly string[]; answer: () => void; refuse: () => void }[] = [];
	const log: string[] = [];
	const request = <T>(accounts: readonly string[], value: T): Promise<T> =>
		new Promise((resolve, reject) => {
			asked.push({ accounts, answer: () => resolve(value), refuse: () => reject(new Error("no")) });
		});
	const claims = new Claims({
		api: {
			claimPreKeys: (account) => request([account], account === "nobody" ? undefined : KEYS),
			claimManyPreKeys: (accounts) =>
				request(accounts, {
					claimed: accounts.filter((one) => one.startsWith("a")).map((accountId) => ({ accountId, ...KEYS })),
					missing: accounts.filter((one) => one === "nobody"),
					later: accounts.filter((one) => one === "limited"),
				}),
		},
		retrying: (attempt) => attempt(),
		claimed: (account, bundles) => void log.push(`${account} ${bundles === undefined ? "gone" : "here"}`),
		failed: (account, error) => void log.push(`${account} ${error === undefined ? "later" : "failed"}`),
	});
	return { claims, asked, log };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("PREKEY-5 what is asked for together goes in few requests, four at a time", async () => {
	const { claims, asked, log } = bench();
	const all = Array.from({ length: 1_000 }, (_, index) => `a${index}`);
	for (const account of all) claims.ask(account);
	let most = 0;
	for (let done = 0; done < asked.length || done === 0; done++) {
		await turn();
		most = Math.max(most, asked.length - done);
		asked[done]?.answer();
		await turn();
	}
	expect(most).toBe(4);
	expect(asked).toHaveLength(Math.ceil(all.length / LIMITS.claimed_accounts));
	expect(log.toSorted()).toEqual(all.map((account) => `${account} here`).toSorted());
	expect(claims.busy).toBe(false);
});

test("PREKEY-5 each account of a request has its own outcome, and one alone goes alone", async () => {
	const { claims, asked, log } = bench();
	for (const account of ["a", "nobody", "limited"]) claims.ask(account);
	await turn();
	expect(claims.busy).toBe(true);
	asked[0]?.answer();
	await turn();
	expect(log).toEqual(["a here", "nobody gone", "limited later"]);
	claims.ask("nobody");
	await turn();
	asked[1]?.answer();
	await turn();
	claims.ask("b");
	claims.ask("c");
	await turn();
	asked[2]?.refuse();
	await turn();
	expect(log.slice(3)).toEqual(["nobody gone", "b failed", "c failed"]);
	expect(asked.map(({ accounts }) => accounts.length)).toEqual([3, 1, 2]);
	expect(claims.busy).toBe(false);
});
