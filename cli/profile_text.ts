/** What people and programs are told of somebody's profile. */
import { isAccountReference } from "../client/naming.ts";
import type { Parley } from "../client/parley.ts";
import type { Context } from "./context.ts";
import { pictureLine, pictureObject } from "./picture.ts";
import { printable } from "./terminal.ts";

/** The fields for programs; null where nothing is shown. */
export function profileObject(parley: Parley, account: string): Record<string, unknown> {
	const { name, about, picture } = parley.profiles.of(account);
	return { name: name || null, about: about || null, picture: pictureObject(parley, picture) };
}

/** Lines for people, without the username: whatever somebody says of themselves, it is theirs to say. */
export function profileLines(parley: Parley, account: string, command: string): string[] {
	const { name, about, picture } = parley.profiles.of(account);
	return [
		...(name === "" ? [] : [`Shows the name “${printable(name)}”`]),
		...(about === "" ? [] : [`Says “${printable(about)}”`]),
		...(picture === undefined ? [] : [pictureLine(picture, command)]),
	];
}

/** Behind a username: the name that the account shows. */
export function shownName(parley: Parley, account: string): string {
	const { name } = parley.profiles.of(account);
	return name === "" ? "" : ` (${printable(name)})`;
}

/** How people are told who somebody is: where the username is not known, the name that they show helps. */
export function calledName(parley: Parley, account: string): string {
	const name = parley.nameOf(account);
	return isAccountReference(name) ? `${name}${shownName(parley, account)}` : name;
}

export function profileNotice(parley: Parley, account: string): string {
	return `${printable(parley.nameOf(account))}${shownName(parley, account)} has changed their profile.`;
}

/** Tells that somebody shows something else; the own account's other devices need not be told of. */
export function printProfileNotice(context: Context, parley: Parley, account: string): void {
	if (account === parley.whoami().accountId) return;
	const object = { type: "profile", with: parley.nameOf(account), account, ...profileObject(parley, account) };
	context.print(object, context.terminal.colors.dim(profileNotice(parley, account)));
}
