/** Checks of what people hand in, and the failures that several places tell in the same words. */
import { LIMITS } from "../protocol/limits.ts";
import { Failure } from "./failure.ts";
import { InvalidUsernameError, normaliseUsername } from "./signal/username.ts";
import { ServerRefusal, ServerUnreachable } from "./transport/errors.ts";

/** The failure of what would be sent under a changed key that nobody has accepted (rule CLIENT-3). */
export function identityChanged(name: string): Failure {
	return new Failure(
		"identity_changed",
		`the identity key of ${name} has changed: check with them, then parley accept ${name}`,
	);
}

/** The failure of a name that leads to another account now. */
export function accountMoved(name: string): Failure {
	return new Failure("identity_changed", `${name} is another account now: check with them, then parley accept ${name}`);
}

/** The failure where nobody has sent or fetched the peer's identity key. */
export function noKeyYet(name: string): Failure {
	return new Failure("no_key_yet", `the key of ${name} is not known yet: send or receive a message first`);
}

/** The failure of what the server did not answer. */
export function unreachable(error: Error): Failure | ServerUnreachable | ServerRefusal {
	if (error instanceof ServerUnreachable || error instanceof ServerRefusal) return error;
	return new Failure("unreachable", `cannot reach the server: ${error.message}`, error);
}

/** The name in its normal form. Throws `Failure` `bad_argument`. */
export function checkedName(name: string): string {
	try {
		return normaliseUsername(name);
	} catch (error) {
		if (error instanceof InvalidUsernameError) throw new Failure("bad_argument", error.message, error);
		throw error;
	}
}

/** Throws `Failure` `bad_argument` for a text that is empty or too long. */
export function checkText(text: string): void {
	if (text === "") throw new Failure("bad_argument", "the text is empty");
	if (Buffer.byteLength(text) <= LIMITS.text_bytes) return;
	throw new Failure("bad_argument", `the text is longer than ${LIMITS.text_bytes} bytes`);
}

/** The address without a slash at its end. Throws `Failure` `bad_argument`. */
export function checkedServer(server: string): string {
	if (URL.canParse(server) && /^https?:$/.test(new URL(server).protocol)) return server.replace(/\/+$/, "");
	throw new Failure("bad_argument", "the server must be an http or https URL");
}
