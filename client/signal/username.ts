/** Usernames, and the hash in whose form alone the server sees them. */
import { usernames } from "@signalapp/libsignal-client";

/** The name can't be a username: 3 to 32 of a–z, 0–9 and _, not starting with a digit. */
export class InvalidUsernameError extends Error {
	override readonly name = "InvalidUsernameError";
	constructor() {
		super("a username has 3 to 32 characters of a–z, 0–9 and _, and does not start with a digit");
	}
}

/**
 * libsignal's username hash (32 bytes), the only form in which the server sees a name (rule ACCOUNT-2). Upper case is
 * folded. libsignal wants a discriminator, which Parley's names don't have: it is always the same.
 * Throws `InvalidUsernameError`.
 */
export function usernameHash(username: string): Uint8Array<ArrayBuffer> {
	return usernames.hash(`${normaliseUsername(username)}.01`);
}

/** The form in which a name is stored and shown. Throws `InvalidUsernameError`. */
export function normaliseUsername(username: string): string {
	const folded = username.toLowerCase();
	if (!/^[a-z_][a-z0-9_]{2,31}$/.test(folded)) throw new InvalidUsernameError();
	return folded;
}

/** As `normaliseUsername`, for a text that somebody else wrote: undefined where it is no username. */
export function usernameOrNothing(text: string): string | undefined {
	try {
		return normaliseUsername(text);
	} catch {
		return undefined;
	}
}
