/** Which notices mean that somebody waits in vain. */
import { identityChanged, unreachable } from "./arguments.ts";
import { Failure } from "./failure.ts";
import type { RunnerNotice } from "./transport/runner.ts";

/** Failed attempts after which somebody who waits is told that the server can't be reached. */
const ATTEMPTS_BEFORE_UNREACHABLE = 3;

/** Whom a notice concerns (undefined: everybody) and what they are to be told; undefined where it is no bad news. */
export function inVain(
	notice: RunnerNotice,
	nameOf: (account: string) => string,
): { concern: string | undefined; error: Error } | undefined {
	switch (notice.type) {
		case "identity-changed":
			return notice.blocked ? { concern: notice.peer, error: identityChanged(nameOf(notice.peer)) } : undefined;
		case "refused": {
			const concern = notice.messageId ?? notice.peer ?? lineOf(undefined);
			return { concern, error: new Failure("refused", `the server refused it: ${notice.code}`) };
		}
		case "line-failed":
			if (notice.attempts < ATTEMPTS_BEFORE_UNREACHABLE) return;
			// A message in the outbox has its own patience; only those who wait for news give up.
			return { concern: lineOf(notice.peer), error: unreachable(notice.error) };
		case "line-stopped": {
			const concern = notice.peer ?? lineOf(undefined);
			return { concern, error: new Failure("refused", `the server closed the connection: ${notice.reason}`) };
		}
		case "broken":
			return { concern: undefined, error: notice.error };
		case "message":
		case "message-changed":
		case "typing":
		case "missed":
		case "log-went-back":
		case "caught-up":
		case "account-caught-up":
		case "prekey-counts":
		case "line-opened":
			return;
		default:
			return notice satisfies never;
	}
}

/** What those wait for whom the loss of a line concerns: that of a conversation, or the account's own. */
export function lineOf(peer: string | undefined): string {
	return `line ${peer ?? "of the account"}`;
}
