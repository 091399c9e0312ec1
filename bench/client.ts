/** The client's machine against libsignal alone: encrypt, send, receive, decrypt and store, two devices in one process. */
import type { Figure, Scale } from "./figures.ts";
import { removeFolder, runOnce, type Storage, storageFolder } from "./hosting.ts";
import { type ClientOrder, type ClientReport, ClientReportSchema } from "./orders.ts";
import { MESSAGE_BYTES, type Progress } from "./shared.ts";

const RUN_MS_MAX = 180_000;

/** How messages come: all at once, as after a time away, or each by itself. */
const SHAPES = [
	{ burst: 32, share: 1 },
	// Each message waits for the disk several times, so fewer tell enough.
	{ burst: 1, share: 0.1 },
] as const;

export async function client(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		for (const { burst, share } of SHAPES) {
			const messages = Math.ceil(scale.messages * share);
			progress(`client: ${messages} messages, ${burst} in a step, ${storage}`);
			figures.push(...show(storage, burst, await run(storage, { messages, burst, message_bytes: MESSAGE_BYTES })));
		}
	}
	return figures;
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

function show(storage: Storage, burst: number, report: ClientReport): Figure[] {
	const where = `${report.messages.toLocaleString("en")} messages, ${burst} in a step, ${storage}`;
	const share = (seconds: number) => (100 * seconds) / report.machine_seconds;
	const part = (what: string, seconds: number): Figure => ({
		benchmark: "client",
		what: `client: share of ${what}, ${where}`,
		unit: "%",
		parley: share(seconds),
		bounds: [],
	});
	return [
		{
			benchmark: "client",
			what: `client: messages through both machines, ${where}`,
			unit: "1/s",
			parley: report.messages / report.machine_seconds,
			bare: report.messages / report.libsignal_seconds,
			bounds: [],
			note: "bare is libsignal's encryption and decryption with stores in memory, in the same process",
		},
		part("libsignal", report.libsignal_seconds),
		part("the sender's step", report.sending_seconds),
		part("the receiver's step", report.receiving_seconds),
		part("the sender's step for answers", report.settling_seconds),
		{
			benchmark: "client",
			what: `client: memory at most, both devices, ${where}`,
			unit: "MiB",
			parley: report.rss_mib_max,
			bounds: [],
		},
	];
}
