/** What people and programs are told of groups. */
import type { GroupInfo } from "../client/groups/people.ts";
import type { Notice, StoredMessage } from "../client/machine/interface.ts";
import type { Parley } from "../client/parley.ts";
import type { Context } from "./context.ts";
import { pictureLine, pictureObject } from "./picture.ts";
import { calledName, shownName } from "./profile_text.ts";
import { printable } from "./terminal.ts";

type GroupNotice = Extract<
	Notice,
	{ type: "group-changed" | "group-warning" | "group-request" | "group-left" | "left-out" }
>;

/** Prints one line, or one object. */
export function printGroupNotice(context: Context, parley: Parley, notice: GroupNotice): void {
	const { peer: group, ...rest } = notice;
	const text = context.terminal.colors.yellow(printable(groupNoticeText(parley, notice)));
	context.print({ ...rest, with: parley.nameOf(group), group }, text);
}

export function groupNoticeText(parley: Parley, notice: GroupNotice): string {
	const title = parley.nameOf(notice.peer);
	const names = (accounts: readonly string[]) => accounts.map((account) => calledName(parley, account)).join(", ");
	switch (notice.type) {
		case "group-changed":
			return changeText(parley, notice, names);
		case "group-warning": {
			const who = notice.account === undefined ? "Somebody" : calledName(parley, notice.account);
			return `Ignored in ${title}: ${who} did something that is not allowed there (${notice.code}).`;
		}
		case "group-request":
			return `${calledName(parley, notice.account)} asks to join ${title}: parley group approve "${title}" ${parley.nameOf(notice.account)}`;
		case "group-left":
			return `You are not a member of ${title} any more.`;
		case "left-out":
			return `A message in ${title} could not be encrypted for ${names(notice.accounts)}; the others get it.`;
		default:
			return notice satisfies never;
	}
}

function changeText(
	parley: Parley,
	{ change, author, title }: Extract<GroupNotice, { type: "group-changed" }>,
	names: (accounts: readonly string[]) => string,
): string {
	const who = calledName(parley, author);
	if (change.first) return `You are in the group ${title}.`;
	const [alone] = change.removed;
	const left = alone === author && change.removed.length === 1;
	const [joined] = change.added;
	const byLink = joined === author && change.added.length === 1;
	const parts = [
		...(change.added.length === 0 || byLink ? [] : [`added ${names(change.added)}`]),
		...(byLink ? ["joined by the link"] : []),
		...(change.removed.length === 0 || left ? [] : [`removed ${names(change.removed)}`]),
		...(left ? ["left"] : []),
		...change.roles.map(
			({ account, role }) => `made ${calledName(parley, account)} ${role === "admin" ? "an admin" : "a member"}`,
		),
		...(change.renamed ? [`named the group ${title}`] : []),
		...(change.described ? ["changed the description"] : []),
		...(change.pictured ? ["changed the picture"] : []),
		...(change.rules ? ["changed the rules"] : []),
	];
	return `${title}: ${who} ${parts.length === 0 ? "declined a request" : parts.join(", ")}.`;
}

type Colors = Context["terminal"]["colors"];

/** The object for programs. */
export function groupObject(parley: Parley, info: GroupInfo): { type: "group" } & Record<string, unknown> {
	const { group, title, description, version, member, members, rules, link, requests, image, gone } = info;
	const named = members.map(({ account, role }) => {
		const profileName = parley.profiles.of(account).name || null;
		return { account, name: parley.nameOf(account), profileName, role, gone: gone.includes(account) };
	});
	const picture = pictureObject(parley, image);
	const state = { version, title, description, picture, member, members: named, rules };
	return { type: "group", with: title, group, ...state, link: link ?? null, requests };
}

/** One line of the list. */
export function groupLine({ group, title, members, member, asked }: GroupInfo, colors: Colors): string {
	const count = members.length === 1 ? "1 member" : `${members.length} members`;
	const id = colors.dim(`group:${group.slice(0, 8)}`);
	return `${id}  ${colors.bold(printable(title))}  ${count}${member ? "" : `  (${asked ? "you have asked to join" : "you are not in it"})`}`;
}

/** How people name a group whose title this device can't read. */
export function lockedName(group: string): string {
	return `group:${group.slice(0, 8)}`;
}

/** One line of the list, for a group that this device can't read. */
export function lockedLine(group: string, colors: Colors): string {
	const what = "its key has not come yet: it comes when another member is there. `parley group leave` works without it";
	return `${colors.dim(lockedName(group))}  (${what})`;
}

/** Everything about one group. */
export function groupLines(parley: Parley, info: GroupInfo, colors: Colors): string[] {
	const { title, description, members, rules, link, requests, image, gone } = info;
	const own = parley.whoami().accountId;
	return [
		groupLine(info, colors),
		...(description === "" ? [] : [printable(description)]),
		...(image === undefined ? [] : [pictureLine(image, `parley group picture "${printable(title)}"`)]),
		`Adding: ${rules.add}. Editing: ${rules.edit}. Sending: ${rules.send}.`,
		...(link === undefined ? [] : [`${rules.approval ? "Link, an admin lets in" : "Link"}: ${link}`]),
		...members.map(({ account, role }) => {
			const name = `${printable(parley.nameOf(account))}${shownName(parley, account)}`;
			const facts = [
				...(account === own ? ["you"] : []),
				...(role === "admin" ? ["admin"] : []),
				...(gone.includes(account) ? ["has left"] : []),
			];
			return `  ${name}${facts.length === 0 ? "" : colors.dim(`  ${facts.join(", ")}`)}`;
		}),
		...requests
			.filter((account) => account !== own)
			.map((account) => colors.yellow(`  ${printable(calledName(parley, account))} asks to join`)),
	];
}

export function showCreated(
	context: Context,
	parley: Parley,
	{ group, unreachable }: { group: string; unreachable: string[] },
): void {
	showUnreachable(context, parley, unreachable);
	const info = parley.groups.info(group);
	context.print(
		{ ...groupObject(parley, info), type: "group-created" },
		`The group ${printable(info.title)} is made, with ${info.members.length} members: group:${group.slice(0, 8)}`,
	);
}

/** How the group is after a change. */
export function showChanged(context: Context, parley: Parley, group: string): void {
	const info = parley.groups.info(group);
	context.print(groupObject(parley, info), groupLine(info, context.terminal.colors));
}

/**
 * A command that changes groups. What others have changed in one meanwhile is told too, also where it is refused: whose
 * rights somebody takes while they act learns that.
 */
export async function changing(context: Context, work: (parley: Parley) => Promise<void>): Promise<void> {
	const changes: Extract<GroupNotice, { type: "group-changed" }>[] = [];
	await context.withParley(
		async (parley) => {
			const own = parley.whoami().accountId;
			const news = () => changes.filter(({ author, change }) => author !== own && !change.first);
			await work(parley).finally(() => {
				for (const notice of news()) printGroupNotice(context, parley, notice);
			});
		},
		(notice) => {
			if (notice.type === "group-changed") changes.push(notice);
		},
	);
}

export function showUnreachable(context: Context, parley: Parley, accounts: readonly string[]): void {
	for (const account of accounts) {
		const name = parley.nameOf(account);
		context.print({ type: "unreachable", account, name }, `${printable(name)} has no account any more.`);
	}
}

/** How far a group's members are with a message, one line or object each. */
export async function showMemberStatus(
	context: Context,
	parley: Parley,
	message: StoredMessage,
	refresh: boolean,
): Promise<void> {
	const { members, leftOut } = await parley.groups.marks(message.peer, message.id, refresh);
	const number = message.number ?? Number.POSITIVE_INFINITY;
	for (const { account, delivered, read } of members) {
		const status = number <= read ? "read" : number <= delivered ? "delivered" : "sent";
		const shown = leftOut.includes(account) ? "left-out" : status;
		const name = parley.nameOf(account);
		const object = { type: "member-status", id: message.id, group: message.peer, account, name, status: shown };
		context.print(object, `  ${shown.padEnd(9)}  ${printable(calledName(parley, account))}`);
	}
}
