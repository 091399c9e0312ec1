/** Who may reach the user, and what others learn: requests, blocking, switches. */
import { Argument, type Command } from "commander";
import type { Parley } from "../../client/parley.ts";
import { type Context, contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

const SWITCHES = {
	"read-receipts": undefined,
	typing: "typing",
	presence: "presence",
	requests: "message_requests",
} as const;
type SwitchName = keyof typeof SWITCHES;

export function addRequests(program: Command, terminal: Terminal): void {
	program
		.command("requests")
		.description("List strangers who have written to you; accept or delete what one has written")
		.addArgument(new Argument("[what]", "what to do").choices(["accept", "delete"]))
		.argument("[with]", "a username, or an account id")
		.addHelpText(
			"after",
			`
A stranger does not learn that messages have come or were read before you accept. Writing to somebody accepts them.

Examples:
  $ parley requests
  $ parley requests accept bob
  $ parley block bob`,
		)
		.action(
			async (what: "accept" | "delete" | undefined, name: string | undefined, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				await context.withParley(async (parley) => {
					if (what === undefined) return list(context, parley);
					if (name === undefined) command.error("error: missing argument 'with'");
					await (what === "accept" ? parley.settings.acceptRequest(name) : parley.settings.deleteRequest(name));
					await parley.flush();
					const done = what === "accept" ? "accepted" : "deleted";
					context.print({ type: `request-${done}`, with: name }, `The messages of ${printable(name)} are ${done}.`);
				});
			},
		);
}

function list(context: Context, parley: Parley): void {
	for (const { account, messages } of parley.settings.requests()) {
		const name = parley.nameOf(account);
		context.print({ type: "request", with: name, account, messages }, `${printable(name)}  ${messages} messages`);
	}
}

export function addBlock(program: Command, terminal: Terminal): void {
	for (const [verb, on] of [
		["block", true],
		["unblock", false],
	] as const) {
		program
			.command(verb)
			.description(on ? "Let nothing come from somebody; they don't learn it" : "Let somebody's messages come again")
			.argument("<with>", "a username, or an account id")
			.addHelpText("after", `\nExample:\n  $ parley ${verb} bob`)
			.action(async (name: string, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				await context.withParley(async (parley) => {
					await parley.settings.setBlocked(name, on);
					await parley.flush();
				});
				context.print(
					{ type: `${verb}ed`, with: name },
					on ? `${printable(name)} is blocked.` : `${printable(name)} is not blocked any more.`,
				);
			});
	}
}

export function addSettings(program: Command, terminal: Terminal): void {
	program
		.command("settings")
		.description("What others learn of you, and whether strangers have to ask")
		.addArgument(new Argument("[what]", "which switch").choices(Object.keys(SWITCHES)))
		.addArgument(new Argument("[value]", "left out, all are shown").choices(["on", "off"]))
		.addHelpText("after", "\nExamples:\n  $ parley settings\n  $ parley settings typing off")
		.action(
			async (what: SwitchName | undefined, value: "on" | "off" | undefined, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				await context.withParley(async (parley) => {
					if (what !== undefined && value !== undefined) await change(parley, what, value === "on");
					const settings = {
						readReceipts: parley.settings.readReceipts,
						typing: parley.settings.privacy("typing"),
						presence: parley.settings.privacy("presence"),
						requests: parley.settings.privacy("message_requests"),
					};
					const text = Object.entries(settings).map(([name, on]) => `${name.padEnd(14)}${on ? "on" : "off"}`);
					context.print({ type: "settings", ...settings }, text.join("\n"));
				});
			},
		);
}

async function change(parley: Parley, what: SwitchName, on: boolean): Promise<void> {
	const key = SWITCHES[what];
	if (key === undefined) await parley.settings.setReadReceipts(on);
	else await parley.settings.setPrivacy(key, on);
}
