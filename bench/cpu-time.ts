/** CPU time of processes, from /proc. Elsewhere than on Linux there is none, and reports leave it out. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** The unit of /proc/PID/stat: USER_HZ, which is 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100;

/** The fields of /proc/PID/stat after the command, which may itself hold blanks. */
function statFields(pid: number): string[] | undefined {
	const path = `/proc/${pid}/stat`;
	try {
		const text = readFileSync(path, "utf8");
		return text.slice(text.lastIndexOf(")") + 2).split(" ");
	} catch {
		// The process has ended, or this is not Linux.
		return undefined;
	}
}

/** User and system time of some processes together. */
export function cpuSeconds(pids: readonly number[]): number | undefined {
	let ticks = 0;
	for (const pid of pids) {
		const fields = statFields(pid);
		if (fields === undefined) return undefined;
		ticks += Number(fields[11]) + Number(fields[12]);
	}
	return ticks / TICKS_PER_SECOND;
}

/** All processes below one, itself left out. */
export function descendants(root: number): number[] {
	if (!existsSync("/proc/self/stat")) return [];
	const children = new Map<number, number[]>();
	for (const name of readdirSync("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		const parent = Number(statFields(Number(name))?.[1]);
		children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
	}
	const found: number[] = [];
	const visit = (pid: number) => {
		for (const child of children.get(pid) ?? []) {
			found.push(child);
			visit(child);
		}
	};
	visit(root);
	return found;
}
