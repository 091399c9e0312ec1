/**
 * One founding of a group, in a process of its own so that its CPU time can be told.
 *
 * Argument: a `GroupCreateOrder` as JSON. It prints a `GroupCreateReport`.
 */
import { join } from "node:path";
import type { GroupProgress } from "../client/groups/people.ts";
import { Parley, type ParleyNotice } from "../client/parley.ts";
import { PreKeyCounts } from "../protocol/http.ts";
import { FaultyLine } from "../scripts/faulty_line.ts";
import { type LoadAccount, registerOne } from "./accounts.ts";
import { cpuSecondsSince } from "./libsignal.ts";
import { type GroupCreateOrder, GroupCreateOrderSchema, type GroupCreateReport } from "./orders.ts";

const AT_ONCE = 8;
const SENT_MS_MAX = 300_000;

/** Runs something for each, several at a time. */
async function inTurn<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
	const results: Out[] = [];
	for (let from = 0; from < items.length; from += AT_ONCE) {
		results.push(...(await Promise.all(items.slice(from, from + AT_ONCE).map(work))));
	}
	return results;
}

/** One-time prekeys of both kinds that an account has at the server. */
async function left(url: string, { accessToken }: LoadAccount): Promise<number> {
	const response = await fetch(`${url}/v1/keys`, { headers: { authorization: `Bearer ${accessToken}` } });
	const { oneTimePreKeys, oneTimeKyberPreKeys } = PreKeyCounts.parse(await response.json());
	return oneTimePreKeys + oneTimeKyberPreKeys;
}

async function leftOfAll(url: string, accounts: readonly LoadAccount[]): Promise<number> {
	return (await inTurn(accounts, (account) => left(url, account))).reduce((sum, one) => sum + one, 0);
}

async function main(order: GroupCreateOrder): Promise<GroupCreateReport> {
	const members = await inTurn(Array.from({ length: order.members }), () => registerOne(order.url));
	const before = await leftOfAll(order.url, members);
	const line = await FaultyLine.to(order.url);
	let http_requests = 0;
	const plain = globalThis.fetch;
	globalThis.fetch = (...given) => {
		http_requests++;
		return plain(...given);
	};
	const leftOut = new Set<string>();
	const onNotice = (notice: ParleyNotice) => {
		if (notice.type === "left-out") for (const account of notice.accounts) leftOut.add(account);
	};
	const dataDir = join(order.folder, "founder");
	const parley = await Parley.open({ dataDir, server: line.url, environment: {}, onNotice });
	await parley.register(`founder_${process.pid}`);
	parley.connect();
	http_requests = 0;
	const begin_ms = performance.now();
	const begin_cpu = process.cpuUsage();
	const [up, down] = [line.count("up"), line.count("down")];
	const seconds = () => (performance.now() - begin_ms) / 1_000;
	let added_seconds = 0;
	let progress_lines = 0;
	const onProgress = ({ stage, done, total }: GroupProgress) => {
		progress_lines++;
		if (stage === "members" && done === total) added_seconds = seconds();
	};
	const names = members.map(({ accountId }) => accountId);
	const { group } = await parley.groups.create("a thousand", names, onProgress);
	const keys_seconds = seconds();
	const { id } = await parley.send(`group:${group.slice(0, 16)}`, "the first message");
	await parley.sent(id, SENT_MS_MAX);
	const report = {
		...{ added_seconds, keys_seconds, sent_seconds: seconds(), http_requests, progress_lines },
		...{ bytes_up: line.count("up") - up, bytes_down: line.count("down") - down },
		client_cpu_seconds: cpuSecondsSince(begin_cpu),
		left_out: leftOut.size,
	};
	await parley.close();
	await line.close();
	return { ...report, prekeys_taken: before - (await leftOfAll(order.url, members)) };
}

const report = await main(GroupCreateOrderSchema.parse(JSON.parse(process.argv[2] ?? "")));
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);
