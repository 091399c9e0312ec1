/** `npm run sim`: runs worlds, and prints the promises that were broken in them. */
import { endWith, readOptions } from "../scripts/options.ts";
import { FAULTS, NO_FAULT } from "./faults.ts";
import { GROUP_FAULTS } from "./group-faults.ts";
import { runGroupWorld } from "./group-world.ts";
import { runMachineWorld } from "./machine-world.ts";
import { MANY_FAULTS } from "./many-faults.ts";
import { runManyWorld } from "./many-world.ts";
import { REAL_GROUP_FAULTS } from "./real-group-faults.ts";
import { runRealGroupWorld } from "./real-group-world.ts";
import { type Outcome, runWorld } from "./world.ts";

/** Events before the end of a broken world that are printed. */
const LAST_EVENTS = 60;

const names = (faults: readonly { name: string }[]) => faults.map(({ name }) => `    ${name}`).join("\n");
const HELP = `npm run sim -- [options]

Runs simulated worlds, each from a seed: clients, objects, a network that drops, repeats and reorders, crashes, a clock.
Prints every promise of specs/protocol.md that was broken, with what led to it, and ends with 1 if one was.

  --seeds N      so many worlds (default: 1000)
  --from SEED    the first seed (default: 1)
  --devices      worlds in which devices are linked and unlinked; also with --real
  --groups       worlds with a group that all change at once; about fifteen a second
  --many         worlds with two groups, and conversations of two, on the same devices
  --real         worlds with the real client, its files and libsignal; about eight a second, with --groups about two
  --fault NAME   plants a fault, which must be found; with --real only in groups
  --trace        everything that happens in each world
  --json         one JSON object instead of text
  --help         this text

Faults:
${names(FAULTS)}
  with --groups:
${names(GROUP_FAULTS)}
  with --real --groups:
${names(REAL_GROUP_FAULTS)}
  with --many:
${names(MANY_FAULTS)}
`;

const values = readOptions(HELP, {
	options: {
		seeds: { type: "string", default: "1000" },
		from: { type: "string", default: "1" },
		fault: { type: "string" },
		real: { type: "boolean", default: false },
		devices: { type: "boolean", default: false },
		groups: { type: "boolean", default: false },
		many: { type: "boolean", default: false },
		json: { type: "boolean", default: false },
		trace: { type: "boolean", default: false },
	},
});
const seeds = Number(values.seeds);
const from = Number(values.from);
const groupFaults = values.real ? REAL_GROUP_FAULTS : GROUP_FAULTS;
const faults = values.many ? MANY_FAULTS : values.groups ? groupFaults : FAULTS;
const fault = values.fault === undefined ? NO_FAULT : faults.find(({ name }) => name === values.fault);
if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from)) endWith("--seeds and --from take whole numbers");
if (fault === undefined) endWith(`there is no fault "${values.fault}" in these worlds`);
// In conversations of two faults are planted in the light client's worlds.
if (values.real && (values.many || (values.fault !== undefined && !values.groups))) {
	endWith("--real does not go with --many, and with --fault only in groups");
}

const started = performance.now();
let entries = 0;
let worlds = 0;
const broken: Outcome[] = [];
for (let seed = from; seed < from + seeds && broken.length < 5; seed++) {
	const outcome = await (values.real && values.groups
		? runRealGroupWorld(seed, fault)
		: values.real
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
	const kinds = (["real", "devices", "groups", "many"] as const).filter((kind) => values[kind]);
	const again = [...kinds.map((kind) => `--${kind}`), `--from ${outcome.seed} --seeds 1 --trace`].join(" ");
	console.log(`\nseed ${outcome.seed} is broken; again with: ${again}`);
	for (const { rule, what } of outcome.violations) console.log(`  ${rule}: ${what}`);
}
