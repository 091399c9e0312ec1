/** The commands about invite links, and about who asks to join. */
import { type Command, Option } from "commander";
import { Failure } from "../../client/failure.ts";
import { refusalOf } from "../../client/groups/words.ts";
import type { Parley } from "../../client/parley.ts";
import { contextOf } from "../context.ts";
import { changing, showChanged } from "../group_text.ts";
import { printable, type Terminal } from "../terminal.ts";

interface LinkOptions {
	reset?: boolean;
	off?: boolean;
	approval?: boolean;
}

/** `group link`, `join`, `requests`, `approve`, `decline`. */
export function addGroupLinks(group: Command, terminal: Terminal): void {
	group
		.command("link")
		.description("Show the invite link, making one where there is none: who has it can join")
		.argument("<group>", "a title, or the beginning of an id")
		.addOption(new Option("--reset", "a new link; the one of before is over").conflicts("off"))
		.addOption(new Option("--off", "no link any more").conflicts("approval"))
		.option("--approval", "an admin lets in who has the link")
		.option("--no-approval", "who has the link is in at once")
		.addHelpText(
			"after",
			'\nExamples:\n  $ parley group link "Climbing on Sunday" --approval\n  $ parley group link "Climbing on Sunday" --off',
		)
		.action(async (name: string, options: LinkOptions, command: Command) => {
			const context = contextOf(command, terminal);
			await changing(context, async (parley) => {
				const { off = false, reset = false, approval } = options;
				const to = { on: !off, reset, ...(approval === undefined ? {} : { approval }) };
				const link = await parley.groups.link(name, to);
				const { group, rules } = parley.groups.info(name);
				context.print(
					{ type: "group-link", with: parley.nameOf(group), group, link: link ?? null, approval: rules.approval },
					link ?? "There is no invite link.",
				);
			});
		});
	group
		.command("join")
		.description("Join a group by its invite link, or ask to")
		.argument("<link>", "parley://group?…")
		.addHelpText("after", "\nExample:\n  $ parley group join 'parley://group?v=1&…'")
		.action(async (link: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const { group, requested } = await parley.groups.join(link);
				const title = parley.nameOf(group);
				context.print(
					{ type: requested ? "group-requested" : "group-joined", with: title, group },
					requested ? `An admin of ${printable(title)} has to let you in.` : `You are in ${printable(title)}.`,
				);
			});
		});
	group
		.command("requests")
		.description("List who asks to join (works offline)")
		.argument("<group>", "a title, or the beginning of an id")
		.addHelpText("after", '\nExample:\n  $ parley group requests "Climbing on Sunday"')
		.action(async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const { group, requests } = parley.groups.info(name);
				for (const account of requests) {
					const who = parley.nameOf(account);
					const object = { type: "group-request", with: parley.nameOf(group), group, account, name: who };
					context.print(object, printable(who));
				}
			});
		});
	for (const approve of [true, false]) {
		group
			.command(approve ? "approve" : "decline")
			.description(approve ? "Let in somebody who asked to join" : "Don't let in somebody who asked to join")
			.argument("<group>", "a title, or the beginning of an id")
			.argument("<who>", "a username, or an account id")
			.addHelpText("after", `\nExample:\n  $ parley group ${approve ? "approve" : "decline"} "Climbing on Sunday" dora`)
			.action(async (name: string, who: string, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				await changing(context, async (parley) => {
					await assertAsked(parley, name, who);
					await parley.groups.answer(name, who, approve);
					showChanged(context, parley, parley.groups.find(name));
				});
			});
	}
}

/** So long the news may take in which the request is. */
const NEWS_MS = 15_000;

/** An answer to somebody who has not asked would let in, or decline, whoever a slip of the hand has named. */
async function assertAsked(parley: Parley, group: string, who: string): Promise<void> {
	const account = await parley.profiles.accountOf(who);
	const asks = (): boolean => parley.groups.info(group).requests.includes(account);
	if (asks()) return;
	await parley.receive({ timeoutMs: NEWS_MS });
	if (asks()) return;
	const { members } = parley.groups.info(group);
	if (members.some((member) => member.account === account)) throw refusalOf("already_a_member");
	throw new Failure("refused", `${who} has not asked to join: parley group add`);
}
