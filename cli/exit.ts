/** Exit codes, and the one line in which an error is told. */
import { Failure, type FailureCode } from "../client/failure.ts";
import { ServerRefusal, ServerUnreachable } from "../client/transport/errors.ts";

/** Exit codes; `cli/README.md` says what each means. */
export const EXIT = {
	ok: 0,
	unexpected: 1,
	usage: 2,
	not_registered: 3,
	not_found: 4,
	refused: 5,
	unreachable: 6,
	identity_changed: 7,
	data_in_use: 8,
	file_refused: 9,
	device_unlinked: 10,
	/** As a shell has it for Ctrl-C. */
	interrupted: 130,
} as const;

/** An error as it is told. */
export interface Told {
	exitCode: number;
	code: string;
	message: string;
}

/** What to tell about an error, and with which code to end. */
export function tell(error: unknown): Told {
	if (error instanceof Failure) return { exitCode: exitCodeOf(error.code), code: error.code, message: error.message };
	if (error instanceof ServerUnreachable)
		return { exitCode: EXIT.unreachable, code: "unreachable", message: error.message };
	if (error instanceof ServerRefusal) {
		const removed = error.code === "device_unlinked" || error.code === "device_idle";
		const exitCode = removed ? EXIT.device_unlinked : EXIT.refused;
		return { exitCode, code: error.code, message: error.message };
	}
	return {
		exitCode: EXIT.unexpected,
		code: "unexpected",
		message: error instanceof Error ? error.message : String(error),
	};
}

function exitCodeOf(code: FailureCode): number {
	switch (code) {
		case "bad_argument":
		case "already_registered":
			return EXIT.usage;
		case "not_registered":
			return EXIT.not_registered;
		case "no_such_user":
		case "no_such_message":
		case "no_such_group":
		case "no_such_picture":
		case "no_such_device":
		case "no_key_yet":
		case "file_gone":
			return EXIT.not_found;
		case "refused":
		case "too_late":
		case "link_over":
			return EXIT.refused;
		case "unreachable":
			return EXIT.unreachable;
		case "identity_changed":
		case "safety_number_differs":
			return EXIT.identity_changed;
		case "data_in_use":
			return EXIT.data_in_use;
		case "file_tampered":
		case "file_unsafe":
			return EXIT.file_refused;
		case "device_unlinked":
		case "device_idle":
			return EXIT.device_unlinked;
		case "interrupted":
			return EXIT.interrupted;
		case "wrong_key":
			return EXIT.unexpected;
		default:
			return code satisfies never;
	}
}
