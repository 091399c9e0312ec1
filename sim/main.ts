/** `node sim/main.ts --seeds N [--from SEED] [--real] [--devices | --groups | --many] [--fault NAME] [--json]`: runs worlds and prints broken promises. */
import { parseArgs } from "node:util";
import { FAULTS, NO_FAULT } from "./faults.ts";
import { GROUP_FAULTS } from "./group-faults.ts";
import { runGroupWorld } from "./group-world.ts";
import { runMachineWorld } from "./machine-world.ts";
import { MANY_FAULTS } from "./many-faults.ts";
import { runManyWorld } from "./many-world.ts";
import { type Outcome, runWorld } from "./world.ts";

/** Events before the end of a broken world that are printed. */
const LAST_EVENTS = 60;

const { values } = parseArgs({
	options: {
		seeds: { type: "string", default: "1000" },
		from: { type: "string", default: "1" },
		fault: { type: "string" },
		/** Worlds with the real client, its encrypted files and libsignal; about eight a second. */
		real: { type: "boolean", default: false },
		/** Worlds in which devices are linked and unlinked. */
		devices: { type: "boolean", default: false },
		/** Worlds with a group that changes all the time; about fifteen a second. */
		groups: { type: "boolean", default: false },
		/** Worlds with two groups and conversations of two, whose members have devices in all of them. */
		many: { type: "boolean", default: false },
		help: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		/** The whole trace of each world. */
		trace: { type: "boolean", default: false },
	},
});
const seeds = Number(values.seeds);
const from = Number(values.from);
const faults = values.many ? MANY_FAULTS : values.groups ? GROUP_FAULTS : FAULTS;
const fault = values.fault === undefined ? NO_FAULT : faults.find(({ name }) => name === values.fault);
// Faults are planted in the light client's worlds.
const wrongPair = values.real && (values.fault !== undefined || values.groups || values.many);
if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from) || fault === undefined || wrongPair || values.help) {
	console.error(
		"usage: node sim/main.ts --seeds N [--from SEED] [--real] [--devices | --groups | --many] [--fault NAME] [--json] [--trace]",
	);
	console.error(`faults: ${faults.map(({ name }) => name).join(", ")}`);
	process.exit(values.help ? 0 : 2);
}

const started = performance.now();
let entries = 0;
let worlds = 0;
const broken: Outcome[] = [];
for (let seed = from; seed < from + seeds && broken.length < 5; seed++) {
	const outcome = await (values.real
		? runMachineWorld(seed, values.devices)
		: values.groups
			? runGroupWorld(seed, fault)
			: values.many
				? runManyWorld(seed, fault)
				: runWorld(seed, fault, values.devices || fault.changing === true));
	worlds++;
	entries += outcome.entries;
	if (values.trace) console.log(outcome.trace.join("\n"));
	if (outcome.violations.length === 0) continue;
	broken.push(outcome);
	if (!values.json) report(outcome);
}
const seconds = Number(((performance.now() - started) / 1000).toFixed(1));
if (values.json) {
	const failures = broken.map(({ seed, violations }) => ({ seed, violations }));
	console.log(JSON.stringify({ from, worlds, entries, seconds, fault: fault.name, failures }));
} else {
	console.log(`${worlds} worlds, ${entries} entries, ${seconds} s, ${broken.length} broken`);
}
process.exitCode = broken.length > 0 ? 1 : 0;

function report(outcome: Outcome): void {
	if (!values.trace) console.log(outcome.trace.slice(-LAST_EVENTS).join("\n"));
	console.log(
		`\nseed ${outcome.seed} is broken; again with: ${values.real ? "--real " : ""}${values.devices ? "--devices " : ""}${values.groups ? "--groups " : ""}${values.many ? "--many " : ""}--from ${outcome.seed} --seeds 1 --trace`,
	);
	for (const { rule, what } of outcome.violations) console.log(`  ${rule}: ${what}`);
}
