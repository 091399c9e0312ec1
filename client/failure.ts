/** What the SDK throws when it can say what is wrong. Everything else that it throws is a fault. */
export type FailureCode =
	| "bad_argument"
	| "not_registered"
	| "already_registered"
	| "no_such_user"
	| "no_such_message"
	| "no_such_group"
	| "no_such_picture"
	| "no_such_device"
	| "no_key_yet"
	| "too_late"
	| "identity_changed"
	| "safety_number_differs"
	| "refused"
	| "unreachable"
	| "wrong_key"
	| "file_gone"
	| "file_tampered"
	| "file_unsafe"
	| "link_over"
	| "device_unlinked"
	| "device_idle"
	| "data_in_use"
	| "interrupted";

/** What went wrong, in words for a person; `code` is for programs. */
export class Failure extends Error {
	override readonly name = "Failure";
	readonly code: FailureCode;

	constructor(code: FailureCode, message: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.code = code;
	}
}
