/**
 * The client's machine against libsignal alone: encrypt, send, receive, decrypt and store, two devices in one process.
 */
import { WINDOW } from "../client/machine/sending.ts";
import { type Bound, type Figure, median, type Scale } from "./figures.ts";
import { removeFolder, runOnce, type Storage, storageFolder } from "./hosting.ts";
import { type ClientOrder, type ClientReport, ClientReportSchema } from "./orders.ts";
import { PHASES, type Phase } from "./phases.ts";
import { MESSAGE_BYTES, type Progress } from "./shared.ts";

const RUN_MS_MAX = 180_000;

/** How messages come: as many as may be on the way at once, as after a time away, or each by itself. */
const SHAPES = [
	{ burst: WINDOW, share: 1, bound: true },
	// Each message waits for the disk several times, so fewer tell enough.
	{ burst: 1, share: 0.1, bound: false },
] as const;

const RATE: Bound = { of: "ratio", relation: "at least", value: 0.5, why: "half of what libsignal alone does" };
const MEMORY: Bound = { of: "figure", relation: "at most", value: 300, why: "the process must not grow beyond it" };

const PHASE_NAMES: Record<Phase, string> = {
	encrypt: "libsignal's encryption",
	decrypt: "libsignal's decryption",
	statements: "SQLCipher's statements",
	commit: "SQLCipher's commits",
	frames: "Protocol Buffers at the sockets",
	contents: "Protocol Buffers and padding of contents",
};

export async function client(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		for (const { burst, share, bound } of SHAPES) {
			const messages = Math.ceil(scale.messages * share);
			progress(`client: ${messages} messages, ${burst} in a step, ${storage}`);
			const reports: ClientReport[] = [];
			for (let round = 1; round <= (bound ? scale.rounds : 1); round++) {
				reports.push(await run(storage, { messages, burst, message_bytes: MESSAGE_BYTES }));
			}
			figures.push(...reports.slice(-1).flatMap((last) => show(storage, burst, bound, together(reports, last))));
		}
	}
	return figures;
}

/** All turns, and the most memory; where the time goes is the last one's. */
function together(reports: readonly ClientReport[], last: ClientReport): ClientReport {
	const rss_mib_max = Math.max(...reports.map((report) => report.rss_mib_max));
	return { ...last, turns: reports.flatMap(({ turns }) => turns), rss_mib_max };
}

async function run(storage: Storage, order: Omit<ClientOrder, "folder">): Promise<ClientReport> {
	const folder = storageFolder(storage);
	try {
		const report = ClientReportSchema.parse(await runOnce("client-run.ts", { ...order, folder }, RUN_MS_MAX));
		if (report.stored !== report.messages) {
			throw new Error(`of ${report.messages} messages ${report.stored} were stored`);
		}
		return report;
	} finally {
		removeFolder(folder);
	}
}

function show(storage: Storage, burst: number, bound: boolean, report: ClientReport): Figure[] {
	const where = `${report.messages.toLocaleString("en")} messages, ${burst} in a step, ${storage}`;
	const figure = (what: string, unit: string, parley: number): Figure => {
		return { benchmark: "client", what: `client: ${what}, ${where}`, unit, parley, bounds: [] };
	};
	const share = (what: string, seconds: number) =>
		figure(`share of ${what}`, "%", (100 * seconds) / report.observed_seconds);
	const known = PHASES.reduce((sum, phase) => sum + report.phase_seconds[phase], 0);
	return [
		{
			...figure(
				"messages through both machines",
				"1/s",
				median(report.turns.map((turn) => turn.messages / turn.machine.seconds)),
			),
			bare: median(report.turns.map((turn) => turn.messages / turn.libsignal.seconds)),
			bounds: bound ? [RATE] : [],
			note: "medians of turns of 1,000; bare is libsignal's encryption and decryption, stores in memory, in a process beside",
		},
		{
			...figure(
				"CPU of both machines per 1,000 messages",
				"s",
				median(report.turns.map((turn) => (1000 * turn.machine.cpu_seconds) / turn.messages)),
			),
			bare: median(report.turns.map((turn) => (1000 * turn.libsignal.cpu_seconds) / turn.messages)),
			note: "medians of the same turns; what is left of the ratio on a machine with other work",
		},
		...PHASES.map((phase) => share(PHASE_NAMES[phase], report.phase_seconds[phase])),
		share("all else", report.observed_seconds - known),
		share("the sender's step", report.step_seconds.sending),
		share("the receiver's step", report.step_seconds.receiving),
		share("the sender's step for answers", report.step_seconds.settling),
		figure("memory before the first message, both devices", "MiB", report.rss_mib_begin),
		{
			...figure("memory at most, both devices", "MiB", report.rss_mib_max),
			bounds: bound ? [MEMORY] : [],
		},
	];
}
