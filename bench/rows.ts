/**
 * What the bill counts, for each message over its whole life (append, receipt, acknowledgement, wipe, end):
 * rows, D1 statements and calls between objects. Two runs of different length are subtracted from each other, so that
 * registration and the founding of the conversation cancel out.
 */
import { z } from "zod";
import type { Figure, Scale } from "./figures.ts";
import { type Host, startHost } from "./hosting.ts";
import { COUNTERS_PATH } from "./observed/path.ts";
import { load, type Progress } from "./shared.ts";

const RUN_MS_MAX = 120_000;
/** More than the log remembers after a wipe, so that both runs end in the steady state. */
const SHORT_MESSAGES = 3_000;

const API = "parley-api";
const CONVERSATION = "parley-conversation";

const CountersSchema = z.strictObject({
	rows_read: z.number(),
	rows_written: z.number(),
	sql_statements: z.number(),
	alarms_set: z.number(),
	d1_statements: z.number(),
	object_calls: z.number(),
});
type Counters = z.infer<typeof CountersSchema>;
const NAMES = CountersSchema.keyof().options;

const UNITS: Record<keyof Counters, string> = {
	rows_read: "rows read by the conversation",
	rows_written: "rows written by the conversation",
	sql_statements: "SQL statements of the conversation",
	alarms_set: "alarms set by the conversation",
	d1_statements: "D1 statements",
	object_calls: "calls to objects, sockets' upgrades left out by the subtraction",
};

export async function rows(scale: Scale, progress: Progress): Promise<Figure[]> {
	progress("rows: counters around the product, in memory");
	const host = await startHost("parley", "memory", {
		[API]: "bench/observed/api.ts",
		[CONVERSATION]: "bench/observed/conversation.ts",
	});
	try {
		const short = await run(host, SHORT_MESSAGES);
		const long = await run(host, SHORT_MESSAGES + scale.messages);
		const messages = long.messages - short.messages;
		progress(`  ${messages} messages counted`);
		return NAMES.map((name) => ({
			benchmark: "rows",
			what: `${UNITS[name]}, a message`,
			unit: "",
			parley: (long.counters[name] - short.counters[name]) / messages,
			bounds:
				name === "rows_written"
					? [{ of: "figure", relation: "at most", value: 2.5, why: "rows are nearly the whole bill" }]
					: [],
		}));
	} finally {
		await host.stop();
	}
}

/** What one run of the load adds to the counters. */
async function run(host: Host, messages_max: number): Promise<{ messages: number; counters: Counters }> {
	const before = await readCounters(host);
	const shape = { mode: "exchange", pairs: 1, warmup_ms: 0, measure_ms: RUN_MS_MAX, messages_max } as const;
	const report = await load("parley", host, shape);
	const after = await readCounters(host);
	for (const name of NAMES) after[name] -= before[name];
	return { messages: report.messages_sent, counters: after };
}

/** The sum over both observed Workers. */
async function readCounters(host: Host): Promise<Counters> {
	const sum: Counters = {
		rows_read: 0,
		rows_written: 0,
		sql_statements: 0,
		alarms_set: 0,
		d1_statements: 0,
		object_calls: 0,
	};
	for (const worker of [API, CONVERSATION]) {
		const response = await fetch(`${host.urls[worker]}${COUNTERS_PATH}`);
		const counted = CountersSchema.parse(await response.json());
		for (const name of NAMES) sum[name] += counted[name];
	}
	return sum;
}
