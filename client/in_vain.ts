/** Which notices mean that somebody waits in vain. */
import { LIMITS } from "../protocol/limits.ts";
import { identityChanged, unreachable } from "./arguments.ts";
import { Failure } from "./failure.ts";
import { isGroup } from "./groups/state.ts";
import type { RunnerNotice } from "./transport/runner.ts";
import type { StopReason } from "./transport/socket.ts";

const AGAIN = "what is here can still be read; to use the account again, link a new --data directory";
const REMOVED = `this device was unlinked, or its account was deleted: ${AGAIN}`;
const UNLINKED = `this device was unlinked from its account: ${AGAIN}`;
const IDLE = `this device was unlinked because it had not connected for ${LIMITS.device_idle_days} days: ${AGAIN}`;
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
			const { peer, code } = notice;
			const concern = notice.messageId ?? peer ?? lineOf(undefined);
			const out = code === "NOT_ON_ROSTER" && peer !== undefined && isGroup(peer);
			const what = out ? notAMember(nameOf(peer)) : `the server refused it: ${code}`;
			return { concern, error: new Failure("refused", what) };
		}
		case "line-failed":
			if (notice.attempts < ATTEMPTS_BEFORE_UNREACHABLE) return;
			// A message in the outbox has its own patience; only those who wait for news give up.
			return { concern: lineOf(notice.peer), error: unreachable(notice.error) };
		case "line-stopped": {
			return stopped(notice.peer, notice.reason, nameOf);
		}
		case "broken":
			return { concern: undefined, error: notice.error };
		case "message":
		case "message-changed":
		case "message-removed":
		case "timer-changed":
		case "presence":
		case "typing":
		case "missed":
		case "log-went-back":
		case "caught-up":
		case "account-caught-up":
		case "prekey-counts":
		case "synced":
		case "line-opened":
		case "group-changed":
		case "group-warning":
		case "group-request":
		case "group-left":
		case "group-progress":
		case "group-change-done":
		case "group-change-failed":
		case "left-out":
		case "watermarks":
		case "profile-changed":
			return;
		default:
			return notice satisfies never;
	}
}

function stopped(
	peer: string | undefined,
	reason: StopReason,
	nameOf: (account: string) => string,
): { concern: string | undefined; error: Error } {
	switch (reason) {
		case "unlinked":
			return { concern: undefined, error: new Failure("device_unlinked", UNLINKED) };
		case "idle":
			return { concern: undefined, error: new Failure("device_idle", IDLE) };
		case "removed":
			// The account's own line ends so for a device that was unlinked while it was connected.
			if (peer === undefined) return { concern: undefined, error: new Failure("device_unlinked", REMOVED) };
			break;
		case "superseded":
		case "unauthorized":
		case "not_found":
		case "refused":
			break;
		default:
			reason satisfies never;
	}
	const out = peer !== undefined && isGroup(peer) && (reason === "not_found" || reason === "removed");
	const what = out ? notAMember(nameOf(peer)) : `the server closed the connection: ${reason}`;
	const error = new Failure("refused", what);
	return { concern: peer ?? lineOf(undefined), error };
}

function notAMember(group: string): string {
	return `you are not a member of ${group} any more`;
}

/** What those wait for whom the loss of a line concerns: that of a conversation, or the account's own. */
export function lineOf(peer: string | undefined): string {
	return `line ${peer ?? "of the account"}`;
}
