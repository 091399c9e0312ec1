/** The only place from which the server writes to its log, so that what may stand there is seen at once. */

/**
 * Says what failed, and of the error nothing but its name: a message may quote a row, an id or an address, which no log
 * holds (specs/storage.md). `what` is made of names of routes, steps and kinds of events only. `warn` is for what is
 * tried again or done otherwise, `error` for what somebody should look at.
 */
export function logFault(what: string, error?: unknown, level: "error" | "warn" = "error"): void {
	const name = error === undefined ? "" : `: ${error instanceof Error ? error.name : "unknown"}`;
	console[level](`${what}${name}`);
}
