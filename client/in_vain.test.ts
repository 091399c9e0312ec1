import { expect, test } from "vitest";
import { tell } from "../cli/exit.ts";
import { inVain } from "./in_vain.ts";
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
