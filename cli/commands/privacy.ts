/** Who may reach the user, and what others learn: requests, blocking, switches. */
import { Argument, type Command } from "commander";
import type { Parley } from "../../client/parley.ts";
import { type Context, contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

const SWITCHES = {
	"read-receipts": undefined,
	typing: "typing",
	online: "presence",
	"last-seen": "last_seen",
	discoverable: "discoverable",
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
					await context.flush(parley);
					const done = what === "accept" ? "accepted" : "deleted";
					context.print({ type: `request-${done}`, with: name }, `The messages of ${printable(name)} are ${done}.`);
				});
			},
		);
}

function list(context: Context, parley: Parley): void {
	for (const { account, messages } of parley.settings.requests()) {
		const name = parley.nameOf(account);
		context.print(
			{ type: "request", with: name, account, messages },
			`${printable(name)}  ${messages} ${messages === 1 ? "message" : "messages"}`,
		);
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
			.argument(on ? "[with]" : "<with>", `a username, or an account id${on ? "; left out, all are listed" : ""}`)
			.addHelpText("after", `\nExample:\n  $ parley ${verb} bob`)
			.action(async (name: string | undefined, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				if (name === undefined) {
					await context.withParley(async (parley) => listBlocked(context, parley));
					return;
				}
				await context.withParley(async (parley) => {
					await parley.settings.setBlocked(name, on);
					await context.flush(parley);
				});
				context.print(
					{ type: `${verb}ed`, with: name },
					on ? `${printable(name)} is blocked.` : `${printable(name)} is not blocked any more.`,
				);
			});
	}
}

function listBlocked(context: Context, parley: Parley): void {
	for (const account of parley.settings.blockedAccounts()) {
		const name = parley.nameOf(account);
		context.print({ type: "blocked", with: name, account }, printable(name));
	}
}

export function addPrivacy(program: Command, terminal: Terminal): void {
	program
		.command("privacy")
		.description("What others learn of you, who finds you, and whether strangers have to ask")
		.addArgument(new Argument("[what]", "which switch").choices(Object.keys(SWITCHES)))
		.addArgument(new Argument("[value]", "left out, all are shown").choices(["on", "off"]))
		.addHelpText(
			"after",
			`
read-receipts  others see what you have read
typing         they see that you type, and you that they do
online         they see that you are there, and you that they are
last-seen      they may note when you were there last, and you when they were
discoverable   who knows your username finds you; off, only people who have your account id write to you
requests       what strangers write waits until you accept it

It is the same on all your devices.

Examples:
  $ parley privacy
  $ parley privacy discoverable off`,
		)
		.action(
			async (what: SwitchName | undefined, value: "on" | "off" | undefined, _options: unknown, command: Command) => {
				const context = contextOf(command, terminal);
				await context.withParley(async (parley) => {
					if (what !== undefined && value !== undefined) await change(parley, what, value === "on");
					// The other devices hear of it.
					if (value !== undefined) await context.flush(parley);
					const switches = Object.entries(SWITCHES).map(([name, key]) => {
						return [name, key === undefined ? parley.settings.readReceipts : parley.settings.privacy(key)] as const;
					});
					const object = Object.fromEntries(switches.map(([name, on]) => [camelCase(name), on]));
					const text = switches.map(([name, on]) => `${name.padEnd(15)}${on ? "on" : "off"}`);
					context.print({ type: "privacy", ...object }, text.join("\n"));
				});
			},
		);
}

function camelCase(name: string): string {
	return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

async function change(parley: Parley, what: SwitchName, on: boolean): Promise<void> {
	const key = SWITCHES[what];
	if (key === undefined) await parley.settings.setReadReceipts(on);
	else await parley.settings.setPrivacy(key, on);
}
