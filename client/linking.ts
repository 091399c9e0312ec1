/** Linking a device, from both ends (rules LINK-1 to LINK-5). */
import { randomBytes } from "node:crypto";
import { LIMITS } from "../protocol/limits.ts";
import { Failure } from "./failure.ts";
import type { LocalAccount } from "./machine/interface.ts";
import { identityKeyPair } from "./signal/keys.ts";
import { type LinkCode, linkText, newLinkCode, openAccount, parseLink, sealAccount } from "./signal/link_code.ts";
import { completeDevice, forgetDevice, makeDevice, pendingDevice } from "./signal/new_device.ts";
import { localAccount, readMeta } from "./store/account.ts";
import type { Store } from "./store/database.ts";
import { type Clock, pause } from "./transport/clock.ts";
import type { DeviceCalls } from "./transport/device_calls.ts";
import { ServerRefusal, ServerUnreachable } from "./transport/errors.ts";

/** How often a mailbox is looked into, and the list of devices. */
const LOOK_EVERY_MS = 1_000;
/** How long the old device waits for the new one to appear, once the keys are sent. */
const APPEARS_WITHIN_MS = 60_000;
/** The server's words for a request that will never be accepted. */
const FINAL = new Set(["not_found", "too_many_devices", "bad_signature", "malformed"]);

/** What the new device's side of linking needs. */
export interface NewDeviceOptions {
	store: Store;
	calls: DeviceCalls;
	clock: Clock;
	server: string;
	name: string;
	/** Shows the code to a person, who takes it to the old device. */
	onCode(link: string, expiresAtMs: number): void;
}

/**
 * Makes this data directory a device of an account that another device has. A kill at any moment leaves nothing, or a
 * device that the next call completes without a code. Throws `Failure` `already_registered` and `link_over`.
 */
export async function becomeDevice(options: NewDeviceOptions): Promise<LocalAccount> {
	const { store, calls } = options;
	const known = localAccount(store);
	if (known !== undefined) {
		const what = `this data directory is device ${known.deviceId} of ${known.username} already`;
		throw new Failure("already_registered", `${what}: use another --data for another device`);
	}
	if (readMeta(store, "registration_request") !== undefined) {
		throw new Failure("already_registered", "this data directory has an account: use another --data");
	}
	const request = pendingDevice(store) ?? (await receiveAccount(options));
	try {
		return completeDevice(store, await calls.add(request));
	} catch (error) {
		if (!(error instanceof ServerRefusal) || !FINAL.has(error.code)) throw error;
		forgetDevice(store);
		if (error.code === "too_many_devices") throw error;
		throw new Failure("link_over", "the link is over: begin again with parley link", error);
	}
}

async function receiveAccount(options: NewDeviceOptions) {
	const { store, calls, clock, server, name, onCode } = options;
	const { code, privateKey } = newLinkCode(server, name, randomBytes(16));
	const { expiresAtMs } = await calls.openLink(code.address);
	onCode(linkText(code), expiresAtMs);
	const deadlineMs = clock.nowMs() + LIMITS.link_seconds * 1000;
	for (;;) {
		const ciphertext = await look(calls, code.address);
		if (ciphertext !== undefined) {
			const account = openAccount(code, privateKey, ciphertext);
			if (account === undefined) throw new Failure("link_over", "what came was not sealed for this code: begin again");
			return makeDevice(store, account, server, code.name, clock.nowMs());
		}
		if (clock.nowMs() >= deadlineMs) throw new Failure("link_over", "nobody has used the code in ten minutes");
		await pause(clock, LOOK_EVERY_MS);
		if (!store.isOpen) throw new Failure("link_over", "the data directory was closed");
	}
}

/** What waits in the mailbox. A server that can't be reached for a moment is asked again. */
async function look(calls: DeviceCalls, address: string): Promise<string | undefined> {
	try {
		return (await calls.takeLink(address)).ciphertext;
	} catch (error) {
		if (error instanceof ServerUnreachable) return undefined;
		if (!(error instanceof ServerRefusal)) throw error;
		if (error.passing) return undefined;
		const used = error.code === "link_used";
		throw new Failure("link_over", `the code ${used ? "was used already" : "is over"}: begin again`, error);
	}
}

/** What the side of a device that has the account needs. */
export interface OldDeviceOptions {
	store: Store;
	account: LocalAccount;
	server: string;
	calls: DeviceCalls;
	clock: Clock;
	/** A person says whether the device of this name is theirs. */
	confirm(name: string): Promise<boolean>;
	/** The keys are at the server; the new device may take a while to appear. */
	onSent?: (() => void) | undefined;
}

/** Reads a code. Throws `Failure` `bad_argument`. */
export function readCode(link: string, server: string): LinkCode {
	const code = parseLink(link);
	if (code === undefined) throw new Failure("bad_argument", "this is no link of a new device: parley://link?…");
	if (code.server !== server) {
		throw new Failure(
			"bad_argument",
			`the new device is at another server, ${code.server}: run it with --server ${server}`,
		);
	}
	return code;
}

/**
 * Hands the account to the device that shows a code, once a person has agreed. Returns the new device's id when it has
 * appeared; undefined where it takes longer: it then completes itself. Throws `Failure` `refused` and `link_over`.
 */
export async function linkDevice(link: string, options: OldDeviceOptions): Promise<number | undefined> {
	const { store, account, calls, clock } = options;
	const code = readCode(link, options.server);
	if (!(await options.confirm(code.name))) throw new Failure("refused", "nothing was sent");
	const before = new Set((await calls.list()).map(({ deviceId }) => deviceId));
	const { token } = await calls.token();
	const { accountId, username } = account;
	try {
		await calls.putLink(
			code.address,
			sealAccount(code, { accountId, username, identity: identityKeyPair(store), token }),
		);
	} catch (error) {
		if (!(error instanceof ServerRefusal)) throw error;
		if (error.code !== "not_found" && error.code !== "link_used") throw error;
		const why = error.code === "link_used" ? "was used already" : "is over";
		throw new Failure("link_over", `this code ${why}: run parley link on the new device again`, error);
	}
	options.onSent?.();
	for (let waited = 0; waited < APPEARS_WITHIN_MS; waited += LOOK_EVERY_MS) {
		const found = (await listed(calls)).find(({ deviceId }) => !before.has(deviceId));
		if (found !== undefined) return found.deviceId;
		await pause(clock, LOOK_EVERY_MS);
	}
	return undefined;
}

/** The account's devices, as far as the server tells: the keys are sent, so that no answer is no failure of the link. */
async function listed(calls: DeviceCalls): Promise<Awaited<ReturnType<DeviceCalls["list"]>>> {
	try {
		return await calls.list();
	} catch (error) {
		if (error instanceof ServerUnreachable || (error instanceof ServerRefusal && error.passing)) return [];
		throw error;
	}
}
