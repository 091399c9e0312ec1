/** A group's state as code handles it, and how it is written on the wire. Pure. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
	GroupPermission,
	GroupRole,
	type GroupRules as GroupRulesMessage,
	GroupRulesSchema,
	GroupStateSchema,
	type GroupMember as MemberMessage,
} from "../../protocol/gen/group_pb.js";
import { fromHex, toHex, uuidFromBytes, uuidToBytes } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { GROUP_TEXT } from "./limits.ts";

/** What a member is. */
export type Role = "member" | "admin";
/** Who may do something in a group. */
export type Permission = "members" | "admins";

/** One member as the state lists it. */
export interface Member {
	account: string;
	role: Role;
}

/** Who may do what, and whether a link lets in. */
export interface Rules {
	add: Permission;
	edit: Permission;
	send: Permission;
	link: boolean;
	approval: boolean;
}

/** A group's state, which its members read and the server doesn't. */
export interface GroupState {
	/** 64 hex digits. */
	group: string;
	version: number;
	/** Grows with each state, also where the server counts versions again (rule GROUP-19). */
	rank: number;
	title: string;
	description: string;
	/** A serialized `Attachment`; empty where there is none. */
	picture: Uint8Array;
	/** In the order in which they came. */
	members: readonly Member[];
	rules: Rules;
	/** The invite link's secret, 32 bytes; empty while there is no link. */
	linkSecret: Uint8Array;
}

/** The rules of a new group. */
export const FIRST_RULES: Rules = { add: "members", edit: "members", send: "members", link: false, approval: false };

/** Names a group where others name a peer. */
export const GROUP_PATTERN = /^[0-9a-f]{64}$/;

/** Whether a conversation's name is a group's id; else it is the other account's. */
export function isGroup(peer: string): boolean {
	return peer.length === 64;
}

export function serializeState(state: GroupState): Uint8Array<ArrayBuffer> {
	const message = create(GroupStateSchema, {
		group: fromHex(state.group),
		version: state.version,
		rank: state.rank === state.version ? 0 : state.rank,
		title: state.title,
		description: state.description,
		picture: state.picture,
		linkSecret: state.linkSecret,
		members: state.members.map(({ account, role }) => ({
			account: uuidToBytes(account),
			role: role === "admin" ? GroupRole.ADMIN : GroupRole.MEMBER,
		})),
		rules: create(GroupRulesSchema, {
			...state.rules,
			add: permissionMessage(state.rules.add),
			edit: permissionMessage(state.rules.edit),
			send: permissionMessage(state.rules.send),
		}),
	});
	return toBinary(GroupStateSchema, message);
}

/** A title stands in one line with what others say: what could begin another one, or turn it around, is a space in it. */
export function oneLine(title: string): string {
	return title.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, " ");
}

/** Undefined for what is no state: a field out of range, a member twice, too many. */
export function parseState(bytes: Uint8Array): GroupState | undefined {
	try {
		const message = fromBinary(GroupStateSchema, bytes);
		const members = parseMembers(message.members);
		const rules = message.rules === undefined ? undefined : parseRules(message.rules);
		if (message.group.length !== 32 || message.version < 1 || members === undefined || rules === undefined) return;
		const { version, title, description, picture, linkSecret } = message;
		if (linkSecret.length !== 0 && linkSecret.length !== 32) return;
		if (title.length > GROUP_TEXT.title || description.length > GROUP_TEXT.description) return;
		const rank = message.rank === 0 ? version : message.rank;
		if (rank < version) return;
		const fields = { description, picture, members, rules, linkSecret };
		return { group: toHex(message.group), version, rank, title: oneLine(title), ...fields };
	} catch {
		return undefined;
	}
}

/** Undefined where one has no account or role, or there are two of one account. */
export function parseMembers(messages: readonly MemberMessage[]): Member[] | undefined {
	const members: Member[] = [];
	const seen = new Set<string>();
	for (const { account, role } of messages) {
		if (account.length !== 16 || (role !== GroupRole.ADMIN && role !== GroupRole.MEMBER)) return;
		const id = uuidFromBytes(account);
		if (seen.has(id)) return;
		seen.add(id);
		members.push({ account: id, role: role === GroupRole.ADMIN ? "admin" : "member" });
	}
	return members.length > LIMITS.group_members ? undefined : members;
}

export function parseRules(message: GroupRulesMessage): Rules | undefined {
	const [add, edit, send] = [message.add, message.edit, message.send].map(parsePermission);
	if (add === undefined || edit === undefined || send === undefined) return;
	return { add, edit, send, link: message.link, approval: message.approval };
}

export function sameRules(one: Rules, other: Rules): boolean {
	return (
		one.add === other.add &&
		one.edit === other.edit &&
		one.send === other.send &&
		one.link === other.link &&
		one.approval === other.approval
	);
}

function permissionMessage(permission: Permission): GroupPermission {
	return permission === "admins" ? GroupPermission.ADMINS : GroupPermission.MEMBERS;
}

function parsePermission(permission: GroupPermission): Permission | undefined {
	if (permission === GroupPermission.ADMINS) return "admins";
	return permission === GroupPermission.MEMBERS ? "members" : undefined;
}
