/** `parley link`: a new device, as seen from either side. */
import { hostname } from "node:os";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { renderUnicodeCompact } from "uqr";
import { Failure } from "../../client/failure.ts";
import { type Context, contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

interface LinkOptions {
	name?: string;
	yes?: boolean;
}

export function addLink(program: Command, terminal: Terminal): void {
	program
		.command("link")
		.description("Link another device: without a link on the new one, with the new one's link on the old one")
		.argument("[link]", "parley://link?…, which the new device shows")
		.option("--name <name>", "what the new device is called (default: this computer's name)")
		.option("--yes", "on the old device: don't ask")
		.addHelpText(
			"after",
			`
The new device shows a code, as text and as a QR code, for ten minutes. The old one sends the account's keys to it,
encrypted so that only the maker of that code can open them; the server passes on what it can't read. Take the code from
a screen that you see yourself: whoever made it reads everything that is written to you from then on.

An account has at most eight devices. If this is interrupted on either side, run it again.

Examples:
  new $ parley --data .parley/laptop link --name laptop
  old $ parley link 'parley://link?v=1&…'`,
		)
		.action(async (link: string | undefined, options: LinkOptions, command: Command) => {
			const context = contextOf(command, terminal);
			if (link === undefined) await becomeDevice(context, options.name ?? hostname());
			else await linkDevice(context, link, options.yes === true);
		});
}

async function becomeDevice(context: Context, name: string): Promise<void> {
	const { terminal } = context;
	const account = await context.withParley((parley) =>
		parley.link(name, (link, expiresAtMs) => {
			if (context.json) {
				context.print({ type: "link", link, expiresAtMs }, link);
				return;
			}
			const drawing = renderUnicodeCompact(link, { border: 2 });
			const wide = drawing.indexOf("\n");
			const { isTTY, columns = 0, rows = 0 } = terminal.output;
			if (isTTY === true && columns >= wide && rows >= drawing.split("\n").length) terminal.note(drawing);
			terminal.note("On a device that has the account, within ten minutes:");
			terminal.note(`  parley link '${link}'`);
		}),
	);
	const { username, accountId, deviceId, server } = account;
	context.print(
		{ type: "linked", username, account: accountId, device: deviceId, server },
		`This is device ${deviceId} of ${terminal.colors.bold(username)} now.`,
	);
}

async function linkDevice(context: Context, link: string, yes: boolean): Promise<void> {
	const device = await context.withParley(async (parley) => {
		const { username } = parley.whoami();
		const confirm = (name: string): Promise<boolean> => confirmed(context, name, username, yes);
		const onSent = (): void => {
			if (!context.json) context.terminal.note("The keys are sent. Waiting up to a minute for the new device …");
		};
		const linked = await parley.devices.link(link, confirm, onSent);
		// The new device asks for contacts and settings at once: it has them sooner where this one answers now.
		if (linked !== undefined) await parley.receive({ timeoutMs: 5_000 }).catch(() => undefined);
		return linked;
	});
	context.print(
		{ type: "device-linked", device: device ?? null },
		device === undefined
			? "The new device has not appeared yet. It finishes by itself when it runs: see parley devices. If it has lost the keys, it shows a new code."
			: `Device ${device} is linked.`,
	);
}

async function confirmed(context: Context, name: string, username: string, yes: boolean): Promise<boolean> {
	if (yes) return true;
	const { input, output } = context.terminal;
	if (context.json || input.isTTY !== true) {
		throw new Failure("bad_argument", `this gives the account to the device ${JSON.stringify(name)}: add --yes`);
	}
	const readline = createInterface({ input, output });
	try {
		const question = `Link "${printable(name)}"? It will read and write everything as ${username}. [y/N] `;
		return /^y(es)?$/i.test((await readline.question(question)).trim());
	} finally {
		readline.close();
	}
}
