/**
 * What concerns many objects at once goes through a queue, which retries it until it is done (rules ACCOUNT-4,
 * DEVICE-4).
 */

import { z } from "zod";
import { UUID_PATTERN } from "../../protocol/ids.ts";
import type { ConversationReference } from "../account-do/interface.ts";
import type { ConversationInterface } from "../conversation-do/interface.ts";
import { logFault } from "../fault-log.ts";
import { DeviceDirectory } from "./directory/devices.ts";
import { Directory } from "./directory/directory.ts";
import { type ApiEnv, accountStub, conversationStub } from "./env.ts";
import { mediaSubject } from "./media.ts";

/** A change that is older than this has lost its message. */
const LOST_AFTER_MS = 5 * 60 * 1000;
/** A change of a group that the object has not made by then is not made any more … */
const GROUP_CHANGES_SECONDS = 40;
/** … so that what its members' objects list is looked at when it is settled, whatever became of the request. */
const GROUP_SETTLES_SECONDS = 60;
/** Conversations that are told at the same time. */
const CALLS_AT_ONCE = 32;
/** `sendBatch` takes as many. */
const MESSAGES_PER_BATCH = 100;

const accountId = z.string().regex(UUID_PATTERN);
const Change = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("account-deleted"), accountId }),
	/**
	 * Which devices they are now is the directory's to say when the message is worked through. `after` is the last
	 * conversation that has heard of it, `version` the oldest list that one of them has got.
	 */
	z.strictObject({
		type: z.literal("devices-changed"),
		accountId,
		after: z.string().optional(),
		version: z.int().optional(),
	}),
	/** Members that may have come to a group or left it: who they are is the group's to say. */
	z.strictObject({ type: z.literal("group-changed"), group: z.string(), accountIds: z.array(accountId) }),
]);
type Change = z.infer<typeof Change>;
type DevicesChanged = Extract<Change, { type: "devices-changed" }>;

/**
 * Puts a deletion on its way: the account's object refuses its tokens from now on, the rest follows. The rows are gone
 * and the deletion is noted, so what fails here does not fail the request: the schedule finds it.
 */
export async function announceDeletion(env: ApiEnv, accountId: string): Promise<void> {
	try {
		await accountStub(env, accountId).retire();
	} catch (error) {
		logFault("a deleted account's object did not answer; the queue tells it again", error, "warn");
	}
	await announce(env, { type: "account-deleted", accountId });
	await tellAtOnce(env, accountId, (stub) => stub.removeMember(accountId));
}

/** Puts a change of devices on its way. It is noted in the directory, so the schedule finds it where the queue fails. */
export async function announceDevices(env: ApiEnv, accountId: string): Promise<void> {
	await announce(env, { type: "devices-changed", accountId });
}

/**
 * The same for a device that was removed, which loses access before this ends (rule DEVICE-3): its sockets close, the
 * account's and those of up to 500 conversations. The queue does all of it again, and tells the others.
 */
export async function announceRemoval(env: ApiEnv, accountId: string, device: number): Promise<void> {
	await announceDevices(env, accountId);
	await accountStub(env, accountId).removeDevices([device]);
	const { version, devices } = await new DeviceDirectory(env.DIRECTORY).devicesOf(accountId);
	if (devices.length === 0) return;
	await tellAtOnce(env, accountId, (stub) => stub.setDevices({ account: accountId, devices, version }));
}

/** The first page of an account's conversations, before a request is answered. What fails here is the queue's. */
async function tellAtOnce(env: ApiEnv, accountId: string, call: Telling): Promise<void> {
	try {
		await tellAll(env, await accountStub(env, accountId).conversations(""), call);
	} catch (error) {
		logFault("an account's object did not answer; the queue tells its conversations", error, "warn");
	}
}

/**
 * Before a group changes: some time after it, the accounts' lists and the group are made to agree (rule GROUP-6).
 * Returns until when the change may be made.
 */
export async function announceGroup(env: ApiEnv, group: string, accountIds: string[]): Promise<number> {
	const notAfter_ms = Date.now() + GROUP_CHANGES_SECONDS * 1_000;
	const change = { type: "group-changed", group, accountIds } satisfies Change;
	await env.CHANGES.send(change, { delaySeconds: GROUP_SETTLES_SECONDS });
	return notAfter_ms;
}

async function announce(env: ApiEnv, change: Change): Promise<void> {
	try {
		await env.CHANGES.send(change);
	} catch (error) {
		logFault("a change was not queued; the schedule takes it up", error, "warn");
	}
}

/** Works through a batch; what fails comes again, the rest does not. */
export async function consumeChanges(env: ApiEnv, batch: MessageBatch): Promise<void> {
	for (const message of batch.messages) {
		const change = Change.safeParse(message.body);
		if (!change.success) {
			// It would be as wrong the next time.
			logFault("a queue message of unknown form was dropped");
			message.ack();
			continue;
		}
		try {
			await work(env, change.data);
			message.ack();
		} catch (error) {
			logFault(`${change.data.type} will be tried again`, error, "warn");
			message.retry();
		}
	}
}

/** Takes up changes whose message was lost. A second message does no harm: every step is idempotent. */
export async function resumeChanges(env: ApiEnv, now_ms: number): Promise<void> {
	const before_ms = now_ms - LOST_AFTER_MS;
	const deleted = await new Directory(env.DIRECTORY).deletionsBefore(before_ms);
	const changed = await new DeviceDirectory(env.DIRECTORY).changesBefore(before_ms);
	const changes: Change[] = [
		...deleted.map((accountId) => ({ type: "account-deleted" as const, accountId })),
		...changed.map((accountId) => ({ type: "devices-changed" as const, accountId })),
	];
	for (let from = 0; from < changes.length; from += MESSAGES_PER_BATCH) {
		await env.CHANGES.sendBatch(changes.slice(from, from + MESSAGES_PER_BATCH).map((body) => ({ body })));
	}
}

async function work(env: ApiEnv, change: Change): Promise<void> {
	switch (change.type) {
		case "account-deleted":
			return eraseAccount(env, change.accountId);
		case "devices-changed":
			return tellDevices(env, change);
		case "group-changed":
			return settleGroup(env, change.group, change.accountIds);
		default:
			change satisfies never;
	}
}

/**
 * One page of an account's conversations, then the next message's turn: an account in thousands of conversations needs
 * more calls than one invocation has. What is done leaves the list, so a repetition goes on and does not begin again.
 */
async function eraseAccount(env: ApiEnv, accountId: string): Promise<void> {
	const account = accountStub(env, accountId);
	await account.retire();
	const page = await account.conversations("");
	const done = await tellAll(env, page, (stub) => stub.removeMember(accountId));
	await account.left(done);
	if (done.length < page.length) throw new Error("some conversations did not answer");
	if ((await account.conversations("")).length > 0) {
		await env.CHANGES.send({ type: "account-deleted", accountId } satisfies Change);
		return;
	}
	// Rule BLOB-5, a page for each message too.
	if ((await env.MEDIA.eraseSubject(await mediaSubject(env, accountId))) === "more") {
		await env.CHANGES.send({ type: "account-deleted", accountId } satisfies Change);
		return;
	}
	// The object goes last, because it knows the conversations; the note goes when nothing is left to do.
	await account.erase();
	await new Directory(env.DIRECTORY).deletionDone(accountId);
}

/**
 * Rule DEVICE-4, a page at a time too. The account object first, which closes the sockets of removed devices. Two
 * changes may be worked through at once and in any order: each call carries the version of the list that was read for
 * it, and conversations take the newest.
 */
async function tellDevices(env: ApiEnv, change: DevicesChanged): Promise<void> {
	const { accountId, after = "" } = change;
	const directory = new DeviceDirectory(env.DIRECTORY);
	const { version, devices } = await directory.devicesOf(accountId);
	// The account was deleted meanwhile, which is another change.
	if (devices.length === 0) return;
	const account = accountStub(env, accountId);
	if (after === "") await account.removeDevices(await directory.removedOf(accountId));
	const page = await account.conversations(after);
	const told = await tellAll(env, page, (stub) => stub.setDevices({ account: accountId, devices, version }));
	if (told.length < page.length) throw new Error("some conversations did not answer");
	const oldest = Math.min(version, change.version ?? version);
	const last = page.at(-1);
	if (last === undefined) await directory.changeDone(accountId, oldest);
	else await env.CHANGES.send({ ...change, after: last.conversation, version: oldest } satisfies Change);
}

/**
 * Who is a member lists the group and is on its roster with the devices of now; who isn't does not list it. Looked at
 * again after a removal from the list, since the account may have been added at the same moment.
 */
async function settleGroup(env: ApiEnv, group: string, accountIds: string[]): Promise<void> {
	const stub = conversationStub(env, group);
	const members = new Set(await stub.membersAmong(accountIds));
	const directory = new DeviceDirectory(env.DIRECTORY);
	const known = await directory.devicesOfAll(accountIds);
	for (const account of accountIds) {
		// An id that is nobody's wakes no object (rule CONVERSATION-2); a deleted account's list goes with its deletion.
		if (!known.has(account) && !members.has(account)) continue;
		const object = accountStub(env, account);
		if (!members.has(account)) {
			await object.left([group]);
			if ((await stub.membersAmong([account])).length === 0) continue;
		}
		// Members too: an earlier change's message may have taken it from the list between this one's joining and its
		// change.
		if ((await object.joined({ conversation: group, peer: "" })) !== "joined") {
			// It could not be reached there by a deletion or a change of devices.
			await stub.removeMember(account);
			continue;
		}
		const { devices, version } = await directory.devicesOf(account);
		if (devices.length === 0) await stub.removeMember(account);
		else await stub.setDevices({ account, devices, version });
	}
}

type Telling = (conversation: ConversationInterface) => Promise<void>;

/** Tells conversations something and returns those that have answered: one that doesn't holds up itself and no other. */
async function tellAll(env: ApiEnv, page: readonly ConversationReference[], call: Telling): Promise<string[]> {
	const told: string[] = [];
	for (let from = 0; from < page.length; from += CALLS_AT_ONCE) {
		const calls = page.slice(from, from + CALLS_AT_ONCE).map(async ({ conversation }) => {
			await call(conversationStub(env, conversation));
			return conversation;
		});
		const outcomes = await Promise.allSettled(calls);
		told.push(...outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : [])));
		const failed = outcomes.find((outcome) => outcome.status === "rejected");
		if (failed !== undefined) logFault("a conversation did not answer; it is told again", failed.reason, "warn");
	}
	return told;
}
