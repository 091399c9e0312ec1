/**
 * Changes of a group: its state, its roster and an entry that tells everybody, in one step (rules GROUP-2 to GROUP-6).
 */
import { Buffer } from "node:buffer";
import { create, toBinary } from "@bufbuild/protobuf";
import { ConversationUpSchema, SendSchema } from "../../protocol/gen/conversation_up_pb.js";
import { type GroupChange, GroupChangeSchema, GroupPermission, GroupRole } from "../../protocol/gen/group_pb.js";
import { fromHex, isUuidV7, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { push } from "./entries.ts";
import { Group, isRefused } from "./group.ts";
import type { GroupChanged, GroupChangeRequest, GroupJoinRequest, GroupRules, Refused } from "./interface.ts";
import { checksumOf } from "./once.ts";
import { beforeOf, type Room, rosterChanged } from "./room.ts";
import { senderKey } from "./roster.ts";

/** Requests over HTTP have a rate of their own. */
const UNCHARGED = { charge: () => true };

const ROLES = { member: GroupRole.MEMBER, admin: GroupRole.ADMIN } as const;
const PERMISSIONS = { members: GroupPermission.MEMBERS, admins: GroupPermission.ADMINS } as const;

/** Founds or changes a group. */
export function changeGroup(room: Room, request: GroupChangeRequest, now_ms: number): GroupChanged | Refused {
	const { actor, version } = request;
	const value = {
		version,
		added: request.added.map(toMember),
		removed: request.removed.map(uuidToBytes),
		roles: request.roles.map(toMember),
		...(request.rules === undefined ? {} : { rules: toRules(request.rules) }),
		state: fromBase64(request.state),
		...(request.declined === undefined ? {} : { declined: uuidToBytes(request.declined) }),
	};
	const change = create(GroupChangeSchema, value);
	const checksum = checksumOf(create(SendSchema, { change }));
	const known = lookUp(room, request, checksum, version);
	if (known !== undefined) return known;
	if (now_ms > (request.notAfter_ms ?? now_ms)) return { refused: "too_late" };
	const { group, roster } = room.state;
	if (version === 1 && roster !== undefined) return { refused: "group_exists" };
	if (version !== 1 && group === undefined) return { refused: "not_found" };
	const next = group === undefined ? founded(request) : group.changed(request);
	if (isRefused(next)) return next;
	// Admins act in a full conversation too: who fills it has to be removed.
	if (group !== undefined && group.roleOf(actor.account) !== "admin") {
		const limit = room.shares.against(actor.account, value.state.length, now_ms);
		if (limit !== undefined) return { refused: "group_full", limit };
	}
	// The entry names who was a member: an account that is gone, or was none, needs nobody's attention (rule GROUP-3).
	const left = request.removed.filter((account) => group?.roleOf(account) !== undefined);
	const entry = create(GroupChangeSchema, { ...value, removed: left.map(uuidToBytes) });
	return append(room, request, entry, checksum, now_ms, version, () => {
		if (roster === undefined) room.state.foundGroup(request.added, next);
		else room.state.setGroup(next, request.added, request.removed);
	});
}

/** Rule GROUP-5. */
export function requestToJoin(room: Room, request: GroupJoinRequest, now_ms: number): GroupChanged | Refused {
	const { actor } = request;
	const { group } = room.state;
	if (group === undefined) return { refused: "not_found" };
	const { version } = group;
	const requested = uuidToBytes(actor.account);
	// Without the version, which may be another one when the request is repeated.
	const checksum = checksumOf(create(SendSchema, { change: { requested } }));
	const known = lookUp(room, request, checksum, version);
	if (known !== undefined) return known;
	const next = group.requested(actor.account, request.linkSecretHash);
	if (isRefused(next)) return next;
	// It asks already: one entry is enough.
	if (next === group) return { number: room.log.head, version };
	const change = create(GroupChangeSchema, { version, requested });
	return append(room, request, change, checksum, now_ms, version, () => room.state.setGroup(next, [], []));
}

interface Named {
	messageId: string;
	actor: { account: string; device: number };
}

/** Rule ONCE-1, for changes. */
function lookUp(
	{ log }: Room,
	{ messageId: hex, actor }: Named,
	checksum: number,
	version: number,
): GroupChanged | Refused | undefined {
	const messageId = fromHex(hex);
	if (!isUuidV7(messageId)) return { refused: "malformed" };
	const known = log.once.look(hex, authorKey(actor), checksum, log.head, UNCHARGED);
	switch (known.is) {
		case "repeated":
			return { number: known.entry.number, version };
		case "conflict":
		case "forgotten":
		case "costly":
			return { refused: "message_id_conflict" };
		case "new":
			return undefined;
		default:
			return known satisfies never;
	}
}

function append(
	room: Room,
	{ messageId: hex, actor }: Named,
	change: GroupChange,
	checksum: number,
	now_ms: number,
	version: number,
	first: () => void,
): GroupChanged {
	const { state, log } = room;
	const before = beforeOf(state);
	const messageId = fromHex(hex);
	const send = create(SendSchema, { messageId, change });
	const payload = toBinary(
		ConversationUpSchema,
		create(ConversationUpSchema, { frame: { case: "send", value: send } }),
	);
	const key = authorKey(actor);
	const entry = log.append(key, hex, checksum, payload, now_ms, first);
	rosterChanged(room, before);
	push(room, entry, { key, accountBytes: uuidToBytes(actor.account), device: actor.device }, send, undefined, now_ms);
	return { number: entry.number, version };
}

/** No registration's key: the device that made the change gets its entry like everybody else. */
const authorKey = ({ account, device }: Named["actor"]): string => senderKey(account, device, 0);

function founded(request: GroupChangeRequest): Group | Refused {
	const { actor, added, rules, linkHash, state } = request;
	if (rules === undefined) return { refused: "malformed" };
	if (!added.some(({ account, role }) => account === actor.account && role === "admin"))
		return { refused: "malformed" };
	const roles = new Map(added.map(({ account, role }) => [account, role]));
	if (roles.size !== added.length) return { refused: "malformed" };
	if (roles.size > LIMITS.group_members) return { refused: "group_full", limit: LIMITS.group_members };
	return new Group({ version: 1, roles: [...roles], rules, linkHash, requests: [], state });
}

function toMember({ account, role }: { account: string; role: keyof typeof ROLES }) {
	return { account: uuidToBytes(account), role: ROLES[role] };
}

function toRules({ add, edit, send, link, approval }: GroupRules) {
	return { add: PERMISSIONS[add], edit: PERMISSIONS[edit], send: PERMISSIONS[send], link, approval };
}

function fromBase64(text: string): Uint8Array {
	return new Uint8Array(Buffer.from(text, "base64"));
}
