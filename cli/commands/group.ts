/** `parley group`: the commands about groups, and those that show them. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { Failure } from "../../client/failure.ts";
import { contextOf } from "../context.ts";
import { GroupProgressLine } from "../group_progress.ts";
import { groupLine, groupLines, groupObject, lockedLine, showCreated } from "../group_text.ts";
import { showPicture } from "../picture.ts";
import type { Terminal } from "../terminal.ts";
import { addGroupChanges } from "./group_changes.ts";
import { addGroupLinks } from "./group_links.ts";
import { addGroupPicture } from "./group_picture.ts";

const HELP = `
GROUP is a title, in quotes where it has spaces, or the beginning of a group's id. Elsewhere a group is written with
"group:" in front, so that it is never taken for a person.

Examples:
  $ parley group create "Climbing on Sunday" bob carol
  $ parley send "group:Climbing on Sunday" "who drives?"
  $ parley chat "group:Climbing on Sunday"
  $ parley group add "Climbing on Sunday" dora
  $ parley group link "Climbing on Sunday" --approval`;

const CREATE_HELP = `
A name that this device has not looked up before is asked for at the server, which answers 60 a minute; account ids, and
names of people you have written with, need no lookup.

Examples:
  $ parley group create "Climbing on Sunday" bob carol
  $ parley group create "Everybody" --members-file members.txt`;

/** Throws `Failure` `bad_argument`. */
function readMembers(path: string): string[] {
	try {
		return readFileSync(path, "utf8")
			.split(/\s+/)
			.filter((name) => name !== "");
	} catch (error) {
		throw new Failure("bad_argument", `${path} can't be read: ${error instanceof Error ? error.message : error}`);
	}
}

export function addGroup(program: Command, terminal: Terminal): void {
	const group = program
		.command("group")
		.description("Groups: make them, change them, join them")
		.addHelpText("after", HELP);
	addCreate(group, terminal);
	addList(group, terminal);
	addInfo(group, terminal);
	addGroupChanges(group, terminal);
	addGroupLinks(group, terminal);
	addGroupPicture(group, terminal);
}

function addCreate(group: Command, terminal: Terminal): void {
	group
		.command("create")
		.description("Make a group; you are its admin")
		.argument("<title>", "1 to 128 characters; the server never sees it")
		.argument("[member...]", "usernames, or account ids")
		.option("--members-file <path>", "a file with more members, between spaces or lines")
		.addHelpText("after", CREATE_HELP)
		.action(async (title: string, given: string[], { membersFile }: { membersFile?: string }, command: Command) => {
			const context = contextOf(command, terminal);
			const names = membersFile === undefined ? given : [...given, ...readMembers(membersFile)];
			await context.withParley(async (parley) => {
				const progress = new GroupProgressLine(context);
				const made = await parley.groups.create(title, names, (so) => progress.show(so)).finally(() => progress.end());
				showCreated(context, parley, made);
			});
		});
}

function addList(group: Command, terminal: Terminal): void {
	group
		.command("list")
		.description("List your groups (works offline)")
		.addHelpText("after", "\nExamples:\n  $ parley group list\n  $ parley --json group list | jq -r .title")
		.action(async (_options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				for (const info of parley.groups.list())
					context.print(groupObject(parley, info), groupLine(info, terminal.colors));
				for (const group of parley.groups.locked())
					context.print({ type: "group-locked", group }, lockedLine(group, terminal.colors));
			});
		});
}

function addInfo(group: Command, terminal: Terminal): void {
	group
		.command("info")
		.description("Show a group: members, roles, rules, link (works offline)")
		.argument("<group>", "a title, or the beginning of an id")
		.addHelpText("after", '\nExample:\n  $ parley group info "Climbing on Sunday"')
		.action(async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const info = parley.groups.info(name);
				context.print(groupObject(parley, info), groupLines(parley, info, terminal.colors).join("\n"));
				if (info.image !== undefined && parley.files.pictures.isHere(info.image)) {
					await showPicture(context, (side) => parley.groups.picturePreview(name, side));
				}
			});
		});
}
