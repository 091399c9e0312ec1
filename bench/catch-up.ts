/** How fast a device that was away gets what it has missed. */
import { type Figure, median, type Scale } from "./figures.ts";
import { inTurn, type Progress, withHosts } from "./shared.ts";

const RUN_MS_MAX = 120_000;

export async function catchUp(scale: Scale, progress: Progress): Promise<Figure[]> {
	const figures: Figure[] = [];
	for (const storage of ["disk", "memory"] as const) {
		await withHosts(storage, async (hosts) => {
			progress(`catch-up: ${scale.log_messages} messages, ${storage}`);
			const shape = {
				mode: "catch-up",
				pairs: 1,
				warmup_ms: 0,
				measure_ms: RUN_MS_MAX,
				messages_max: scale.log_messages,
			} as const;
			const { bare, parley } = await inTurn(hosts, scale.rounds, shape, progress);
			figures.push({
				benchmark: "catch-up",
				what: `catch-up of ${scale.log_messages.toLocaleString("en")} messages, ${storage}`,
				unit: "s",
				parley: median(parley.map((report) => report.seconds)),
				bare: median(bare.map((report) => report.seconds)),
				bounds: [],
				note: "from opening the socket; the bare object sends everything at once, without acknowledgements",
			});
		});
	}
	return figures;
}
