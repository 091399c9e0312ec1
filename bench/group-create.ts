/**
 * A group of a thousand is made and the first message sent, by one client with its file on disk, through the api with
 * the rates that are deployed.
 */
import type { Bound, Figure, Scale } from "./figures.ts";
import { removeFolder, runOnce, startHost, storageFolder } from "./hosting.ts";
import { type GroupCreateOrder, type GroupCreateReport, GroupCreateReportSchema } from "./orders.ts";
import type { Progress } from "./shared.ts";

const RUN_MS_MAX = 600_000;

export async function groupCreate({ group_members: members }: Scale, progress: Progress): Promise<Figure[]> {
	progress(`group-create: ${members} members, in memory, with the deployed rates`);
	// Once: a second group would meet the rates of the first.
	const report = await run(members);
	progress(
		`  ${report.sent_seconds.toFixed(1)} s, ${report.http_requests} requests, ${report.progress_lines} times told`,
	);
	const figure = (what: string, unit: string, parley: number, bounds: Bound[] = []): Figure => ({
		...{ benchmark: "group-create", what: `${what}, ${members} members`, unit, parley, bounds },
	});
	const all: Bound = { of: "figure", relation: "at most", value: 0, why: "everybody gets the first message" };
	const once: Bound = { of: "figure", relation: "at most", value: 2, why: "one of each kind for each member" };
	return [
		figure("all are on the roster after", "s", report.added_seconds),
		figure("all have their keys after", "s", report.keys_seconds),
		figure("the first message is accepted after", "s", report.sent_seconds),
		figure("the founder's CPU time", "s", report.client_cpu_seconds),
		figure("bytes up", "KiB", report.bytes_up / 1024),
		figure("bytes down", "KiB", report.bytes_down / 1024),
		figure("HTTP requests", "", report.http_requests),
		figure("one-time prekeys taken for each member", "", report.prekeys_taken / members, [once]),
		figure("left out of the first message", "", report.left_out, [all]),
	];
}

async function run(members: number): Promise<GroupCreateReport> {
	const host = await startHost("parley", "memory", {}, false, true);
	const folder = storageFolder("disk");
	try {
		const order: GroupCreateOrder = { url: host.url, members, folder };
		return GroupCreateReportSchema.parse(await runOnce("group-create-run.ts", order, RUN_MS_MAX));
	} finally {
		removeFolder(folder);
		await host.stop();
	}
}
