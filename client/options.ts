/** What the SDK is given, and small things that it answers. */
import type { ParleyNotice } from "./parley.ts";
import type { Clock } from "./transport/clock.ts";

/** How a device is opened. */
export interface ParleyOptions {
	/** Where keys and messages are kept; `defaultDataDirectory` where it is left out. */
	dataDir?: string;
	/** The api's URL; the one of the registration where it is left out. */
	server?: string;
	/** Told of everything that a person may want to see. */
	onNotice?(notice: ParleyNotice): void;
	/** Read for XDG_DATA_HOME and PARLEY_PASSPHRASE. */
	environment?: NodeJS.ProcessEnv;
	clock?: Clock;
}

/** Where a name leads; `movedTo` is set when the server now says another account than is remembered. */
export interface Lookup {
	username: string;
	account: string;
	movedTo: string | undefined;
}
