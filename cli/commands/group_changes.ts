/** The commands that change a group, its members and roles. */
import { type Command, Option } from "commander";
import { Failure } from "../../client/failure.ts";
import type { Parley } from "../../client/parley.ts";
import { contextOf } from "../context.ts";
import { changing, lockedName, showChanged, showUnreachable } from "../group_text.ts";
import type { Terminal } from "../terminal.ts";

type Who = "members" | "admins";

/** `group add`, `remove`, `leave`, `delete`, `promote`, `demote`, `rename`, `describe`, `rules`. */
export function addGroupChanges(group: Command, terminal: Terminal): void {
	const change = (name: string, description: string, example = "") =>
		group
			.command(name)
			.description(description)
			.argument("<group>", "a title, or the beginning of an id")
			.addHelpText("after", `\nExample:\n  $ parley group ${name} "Climbing on Sunday"${example}`);
	const run = async (command: Command, name: string, work: (parley: Parley) => Promise<unknown>): Promise<void> => {
		const context = contextOf(command, terminal);
		await changing(context, async (parley) => {
			const peer = parley.groups.find(name);
			await work(parley);
			showChanged(context, parley, peer);
		});
	};

	change("add", "Add people; they read what comes from then on", " dora")
		.argument("<member...>", "usernames, or account ids")
		.action(async (name: string, members: string[], _options: unknown, command: Command) => {
			await run(command, name, async (parley) => {
				const { unreachable } = await parley.groups.add(name, members);
				showUnreachable(contextOf(command, terminal), parley, unreachable);
			});
		});
	change("remove", "Remove people; they read nothing that comes after. An invite link gets a new secret", " dora")
		.argument("<member...>", "usernames, or account ids")
		.action(async (name: string, members: string[], _options: unknown, command: Command) => {
			await run(command, name, (parley) => parley.groups.remove(name, members));
		});
	change("leave", "Leave; what you have stays here").action(
		async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const { group, locked } = await parley.groups.leave(name);
				if (locked) context.print({ type: "group-left", group }, `You have left ${lockedName(group)}.`);
				else showChanged(context, parley, group);
			});
		},
	);
	change("delete", "Delete a group that you have left: from this device, its messages from all of yours").action(
		async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const group = await parley.groups.delete(name);
				// The other devices hear of it.
				await context.flush(parley);
				context.print({ type: "group-deleted", group }, `${lockedName(group)} is gone from this device.`);
			});
		},
	);
	change("promote", "Make a member an admin", " bob")
		.argument("<member>", "a username, or an account id")
		.action(async (name: string, member: string, _options: unknown, command: Command) => {
			await run(command, name, (parley) => parley.groups.role(name, member, "admin"));
		});
	change("demote", "Make an admin a member", " bob")
		.argument("<member>", "a username, or an account id")
		.action(async (name: string, member: string, _options: unknown, command: Command) => {
			await run(command, name, (parley) => parley.groups.role(name, member, "member"));
		});
	change("rename", "Give the group another title", ' "Climbing on Monday"')
		.argument("<title>", "1 to 128 characters")
		.action(async (name: string, title: string, _options: unknown, command: Command) => {
			await run(command, name, (parley) => parley.groups.change(name, { do: "rename", title }));
		});
	change("describe", "Say what the group is about", ' "We meet at nine"')
		.argument("<description>", "at most 2,048 characters")
		.action(async (name: string, description: string, _options: unknown, command: Command) => {
			await run(command, name, (parley) => parley.groups.change(name, { do: "describe", description }));
		});
	const who = (flag: string, what: string): Option =>
		new Option(`--${flag} <who>`, what).choices(["members", "admins"]);
	change("rules", "Say who may do what", " --add admins --send members")
		.addOption(who("add", "who adds people"))
		.addOption(who("edit", "who changes title, description and picture"))
		.addOption(who("send", "who sends messages"))
		.action(async (name: string, options: { add?: Who; edit?: Who; send?: Who }, command: Command) => {
			const { add, edit, send } = options;
			if ((add ?? edit ?? send) === undefined) throw new Failure("bad_argument", "say --add, --edit or --send");
			await run(command, name, (parley) => parley.groups.change(name, { do: "rules", rules: { add, edit, send } }));
		});
}
