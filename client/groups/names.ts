/** The accounts behind many names. */
import { LIMITS } from "../../protocol/limits.ts";
import { type Clock, pause } from "../transport/clock.ts";
import { ServerRefusal } from "../transport/errors.ts";
import { Turns } from "../transport/turns.ts";

const LOOKUPS_AT_ONCE = 8;
/** Before a name is looked up again whose lookup was too many. */
const LIMITED_WAIT_MS = 5_000;

/**
 * Several at a time, in the names' order. The server lets an account look up so many names a minute: where there are
 * more than that, those that are refused for it are asked for again until they are through. Rejects with the first
 * other failure.
 */
export async function resolveAll(
	{ resolve, clock }: { resolve(name: string): Promise<string>; clock: Clock },
	names: readonly string[],
	onProgress: (done: number) => void,
): Promise<string[]> {
	const patient = names.length > LIMITS.lookups_per_minute;
	const turns = new Turns(LOOKUPS_AT_ONCE);
	let done = 0;
	let failed = false;
	const one = async (name: string): Promise<string> => {
		for (;;) {
			// After a failure the others' answers are for nobody.
			if (failed) throw new Error("another name could not be found");
			try {
				const account = await resolve(name);
				onProgress(++done);
				return account;
			} catch (error) {
				if (!patient || !(error instanceof ServerRefusal) || error.code !== "rate_limited") {
					failed = true;
					throw error;
				}
			}
			await pause(clock, LIMITED_WAIT_MS);
		}
	};
	return Promise.all(names.map((name) => turns.take(() => one(name))));
}
