/** What happens on a schedule: lost changes, idle devices, what linking has left behind, old reports. */
import { logFault } from "../fault-log.ts";
import { announceDevices, resumeChanges } from "./changes.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { LinkDirectory } from "./directory/linking.ts";
import { ReportDirectory } from "./directory/reports.ts";
import { type ApiEnv, accountStub } from "./env.ts";

/** Devices and tokens of one run; the rest waits for the next, a quarter of an hour later. */
const ITEMS_PER_RUN = 200;

/** All of it can be repeated, and a part that fails holds up no other. */
export async function sweep(env: ApiEnv, now_ms: number): Promise<void> {
	const parts = [resumeChanges, unlinkIdle, sweepLinking, forgetReports];
	for (const part of parts) {
		try {
			await part(env, now_ms);
		} catch (error) {
			logFault(`${part.name} will be tried again`, error);
		}
	}
}

/** Rule DEVICE-5. */
async function unlinkIdle(env: ApiEnv, now_ms: number): Promise<void> {
	const directory = new DeviceDirectory(env.DIRECTORY);
	for (const { accountId, device } of await directory.idle(now_ms, ITEMS_PER_RUN)) {
		if ((await directory.remove(accountId, device, "idle", now_ms)) === "removed") {
			await announceDevices(env, accountId);
		}
	}
	await directory.forgetRemoved(now_ms);
}

/** Rule LINK-5. The object first: while the token is here, the sweep comes again. */
async function sweepLinking(env: ApiEnv, now_ms: number): Promise<void> {
	const directory = new LinkDirectory(env.DIRECTORY);
	const devices = new DeviceDirectory(env.DIRECTORY);
	for (const { accountId, tokenHash, deviceId } of await directory.expired(now_ms, ITEMS_PER_RUN)) {
		if (deviceId !== null && !(await devices.has(accountId, deviceId))) {
			await accountStub(env, accountId).removeDevices([deviceId]);
		}
		await directory.forgetToken(accountId, tokenHash);
	}
	await directory.forgetMailboxes(now_ms);
}

/** Rule REPORT-3. */
async function forgetReports(env: ApiEnv, now_ms: number): Promise<void> {
	await new ReportDirectory(env.DIRECTORY).forgetOld(now_ms);
}
