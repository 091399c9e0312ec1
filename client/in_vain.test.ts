import { expect, test } from "vitest";
import { tell } from "../cli/exit.ts";
import { inVain, lineOf } from "./in_vain.ts";
import type { RunnerNotice } from "./transport/runner.ts";
import type { StopReason } from "./transport/socket.ts";

/** What somebody who waits is told when the account's line ends so, and with which code a command ends. */
function told(reason: StopReason): { code: string; exitCode: number; message: string } | undefined {
	const vain = inVain({ type: "line-stopped", peer: undefined, reason }, (account) => account);
	return vain === undefined ? undefined : tell(vain.error);
}

test("DEVICE-6 whoever waits hears that the device was unlinked, and why: exit code 10", () => {
	expect(told("unlinked")).toMatchObject({ code: "device_unlinked", exitCode: 10 });
	expect(told("removed")).toMatchObject({ code: "device_unlinked", exitCode: 10 });
	expect(told("idle")).toMatchObject({ code: "device_idle", exitCode: 10 });
	expect(told("idle")?.message).toContain("45 days");
	expect(told("superseded")).toMatchObject({ code: "refused", exitCode: 5 });
});

const BOB = "0b000000-0000-4000-8000-00000000000b";
const concern = (notice: RunnerNotice) => inVain(notice, (account) => account)?.concern;

test("CLIENT-2 who waits for news gives up after three attempts, and for a message when it is refused", () => {
	const failed = (attempts: number): RunnerNotice => {
		return { type: "line-failed", peer: BOB, attempts, error: new Error("no way") };
	};
	expect(inVain(failed(2), String)).toBeUndefined();
	expect(concern(failed(3))).toBe(lineOf(BOB));
	const refused = { type: "refused", peer: BOB, code: "MESSAGE_TOO_LARGE" } as const;
	expect(concern({ ...refused, messageId: "id" })).toBe("id");
	expect(concern({ ...refused, messageId: undefined })).toBe(BOB);
});

test("GROUP-20 who sends to a group that they are out of hears that", () => {
	const group = "ab".repeat(32);
	const refused = { type: "refused", peer: group, code: "NOT_ON_ROSTER", messageId: "id" } as const;
	const error = inVain(refused, () => "friends")?.error;
	expect(tell(error)).toMatchObject({ code: "refused", message: "you are not a member of friends any more" });
});

test("CLIENT-3 a changed key ends the waiting only where nothing is sent before it is accepted", () => {
	expect(concern({ type: "identity-changed", peer: BOB, blocked: true })).toBe(BOB);
	expect(inVain({ type: "identity-changed", peer: BOB, blocked: false }, String)).toBeUndefined();
});
