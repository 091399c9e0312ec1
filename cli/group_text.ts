/** What people and programs are told of groups. */
import type { Notice } from "../client/machine/interface.ts";
import type { Parley } from "../client/parley.ts";
import type { Context } from "./context.ts";
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
	const names = (accounts: readonly string[]) => accounts.map((account) => parley.nameOf(account)).join(", ");
	switch (notice.type) {
		case "group-changed":
			return changeText(parley, notice, names);
		case "group-warning": {
			const who = notice.account === undefined ? "Somebody" : parley.nameOf(notice.account);
			return `Ignored in ${title}: ${who} did something that is not allowed there (${notice.code}).`;
		}
		case "group-request":
			return `${parley.nameOf(notice.account)} asks to join ${title}: parley group approve "${title}" NAME`;
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
	const who = parley.nameOf(author);
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
			({ account, role }) => `made ${parley.nameOf(account)} ${role === "admin" ? "an admin" : "a member"}`,
		),
		...(change.renamed ? [`named the group ${title}`] : []),
		...(change.described ? ["changed the description"] : []),
		...(change.pictured ? ["changed the picture"] : []),
		...(change.rules ? ["changed the rules"] : []),
	];
	return `${title}: ${who} ${parts.length === 0 ? "declined a request" : parts.join(", ")}.`;
}
