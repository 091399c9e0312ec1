/** What the benchmark's processes are told and what they answer, as JSON. */
import { z } from "zod";
import { WINDOW } from "../client/machine/sending.ts";
import { LIMITS } from "../protocol/limits.ts";
import { PHASES } from "./phases.ts";

export const HostOrderSchema = z.strictObject({
	/** Configuration files; the first is the public Worker's. */
	configs: z.array(z.string()),
	/** The folder for everything that is stored. */
	storage: z.string(),
	/** The folder of D1 migrations; it may be missing. */
	migrations: z.string(),
	/** Other entry files for Workers, by name: product code with counters around it. Each gets a socket of its own. */
	replacements: z.record(z.string(), z.string()),
	/** Whether the runtime's inspector listens. */
	inspector: z.boolean(),
	/** With the rates that are deployed, but that of registrations: else none holds. */
	limited: z.boolean(),
});
export type HostOrder = z.infer<typeof HostOrderSchema>;

/** Where the Workers listen, by name. */
export const HostReportSchema = z.strictObject({
	urls: z.record(z.string(), z.string()),
	inspector: z.string().optional(),
});
export type HostReport = z.infer<typeof HostReportSchema>;

export const LoadOrderSchema = z.strictObject({
	target: z.enum(["bare", "parley"]),
	/**
	 * Both members send and receive, until the time is over or in slices as it is told; or one fills the log while the other
	 * is away and then catches up.
	 */
	mode: z.enum(["exchange", "slices", "catch-up"]),
	url: z.string(),
	/** The processes whose CPU time is read. */
	pids: z.array(z.int()),
	pairs: z.int().min(1).max(500),
	/** Messages of one pair that are on the way: sent, and not yet both accepted and received. */
	window: z.int().min(1).max(256),
	message_bytes: z.int().min(1),
	warmup_ms: z.int().min(0),
	measure_ms: z.int().min(1),
	/** The measurement ends here at the latest; in catch-up the length of the log. */
	messages_max: z.int().min(1).max(2_000_000),
});
export type LoadOrder = z.infer<typeof LoadOrderSchema>;

/** What a load in slices is told: to send without being measured, to be measured, to rest, and to report. */
export const SliceOrderSchema = z.enum(["warm", "measure", "rest", "report"]);
export type SliceOrder = z.infer<typeof SliceOrderSchema>;
/** What it answers: its sockets are open, and nothing is on the way any more. */
export const SliceAnswerSchema = z.enum(["ready", "rested"]);
export type SliceAnswer = z.infer<typeof SliceAnswerSchema>;

const Percentiles = z.strictObject({ p50_ms: z.number(), p95_ms: z.number(), p99_ms: z.number() });
export type Percentiles = z.infer<typeof Percentiles>;

export const LoadReportSchema = z.strictObject({
	messages: z.int(),
	seconds: z.number(),
	messages_per_second: z.number(),
	/** From send to the sender's acknowledgement. */
	accepted: Percentiles,
	/** From send to arrival at the other member. */
	received: Percentiles,
	/** CPU time of the Workers' runtime during the measurement; undefined where the system doesn't tell. */
	runtime_cpu_seconds: z.number().optional(),
	/** CPU time of the load generator itself: near `seconds`, it is the limit and not the server. */
	generator_cpu_seconds: z.number(),
	/** All messages of the run, those before the measurement included. */
	messages_sent: z.int(),
	/** Frames that the server refused. A run with any is no measurement. */
	refused: z.int(),
});
export type LoadReport = z.infer<typeof LoadReportSchema>;

export const ClientOrderSchema = z.strictObject({
	/** The folder for both devices' files. */
	folder: z.string(),
	messages: z.int().min(1).max(1_000_000),
	/** Messages that go in one step, and come in one. */
	burst: z.int().min(1).max(WINDOW),
	message_bytes: z.int().min(1).max(30_000),
});
export type ClientOrder = z.infer<typeof ClientOrderSchema>;

/** What some messages cost: by the clock, and on all threads of the process that handled them. */
export const SpentSchema = z.strictObject({ seconds: z.number(), cpu_seconds: z.number() });
export type Spent = z.infer<typeof SpentSchema>;

export const ClientReportSchema = z.strictObject({
	messages: z.int(),
	/**
	 * Both devices' steps and the frames at their sockets, without the relay between them, in turns that were observed.
	 */
	observed_seconds: z.number(),
	/** The machines' work, not observed, and the same bytes through libsignal alone with stores in memory, in turn. */
	turns: z.array(z.strictObject({ messages: z.int(), machine: SpentSchema, libsignal: SpentSchema })),
	/** Parts of `observed_seconds` by what is done; what is missing is the machines' own work. */
	phase_seconds: z.record(z.enum(PHASES), z.number()),
	/** Parts of `observed_seconds` by whose step it is. */
	step_seconds: z.strictObject({ sending: z.number(), receiving: z.number(), settling: z.number() }),
	/** The whole process: both devices, libsignal alone, and Node itself. */
	rss_mib_max: z.number(),
	/** As `rss_mib_max`, before the first message. */
	rss_mib_begin: z.number(),
	/** Messages that the receivers hold as text; less than `messages` is a fault. */
	stored: z.int(),
});
export type ClientReport = z.infer<typeof ClientReportSchema>;

export const MediaOrderSchema = z.strictObject({
	/** The bare Worker, or Parley with the file's own bytes, or with what the client makes of them. */
	target: z.enum(["bare", "plain", "sealed"]),
	url: z.string(),
	/** The file that goes up. */
	source: z.string(),
	/** For copies. */
	folder: z.string(),
	/** The processes whose CPU time is read. */
	pids: z.array(z.int()),
});
export type MediaOrder = z.infer<typeof MediaOrderSchema>;

const MediaWay = z.strictObject({
	seconds: z.number(),
	/** CPU time of the Workers' runtime, R2's simulation included; undefined where the system doesn't tell. */
	runtime_cpu_seconds: z.number().optional(),
	/** CPU time of the client's process. */
	client_cpu_seconds: z.number(),
});
export type MediaWay = z.infer<typeof MediaWay>;

export const MediaReportSchema = z.strictObject({
	/** Of the file, as they came down. */
	bytes: z.int(),
	up: MediaWay,
	down: MediaWay,
	rss_mib_max: z.number(),
	/** As `rss_mib_max`, before the first byte: Node, and for Parley the whole client with libsignal and SQLCipher. */
	rss_mib_begin: z.number(),
});
export type MediaReport = z.infer<typeof MediaReportSchema>;

export const GroupOrderSchema = z.strictObject({
	target: z.enum(["bare", "parley"]),
	url: z.string(),
	/** The processes whose CPU time is read. */
	pids: z.array(z.int()),
	members: z.int().min(2).max(LIMITS.group_members),
	/** Messages that not everybody has yet. */
	window: z.int().min(1).max(64),
	message_bytes: z.int().min(1),
});
export type GroupOrder = z.infer<typeof GroupOrderSchema>;

export const GroupReportSchema = z.strictObject({
	deliveries: z.int(),
	seconds: z.number(),
	deliveries_per_second: z.number(),
	p50_ms: z.number(),
	p99_ms: z.number(),
	runtime_cpu_seconds: z.number(),
	generator_cpu_seconds: z.number(),
	/** Accounts, group and sockets. */
	prepared_seconds: z.number(),
});
export type GroupReport = z.infer<typeof GroupReportSchema>;

export const GroupCreateOrderSchema = z.strictObject({
	url: z.string(),
	/** Beside the founder. */
	members: z
		.int()
		.min(1)
		.max(LIMITS.group_members - 1),
	/** For the founder's file. */
	folder: z.string(),
});
export type GroupCreateOrder = z.infer<typeof GroupCreateOrderSchema>;

export const GroupCreateReportSchema = z.strictObject({
	/** Until all members are on the roster. */
	added_seconds: z.number(),
	/** Until all of them have the founder's keys on the way. */
	keys_seconds: z.number(),
	/** Until the server has the first message; all of it from the beginning. */
	sent_seconds: z.number(),
	/** What went through the founder's connections in that time. */
	bytes_up: z.int(),
	bytes_down: z.int(),
	http_requests: z.int(),
	/** One-time prekeys that members have less. */
	prekeys_taken: z.int(),
	/** Accounts that the first message could not be encrypted for. */
	left_out: z.int(),
	client_cpu_seconds: z.number(),
	/** How often progress was told. */
	progress_lines: z.int(),
});
export type GroupCreateReport = z.infer<typeof GroupCreateReportSchema>;
