/** `parley devices` and `parley unlink`: the account's devices. */
import { type Command, InvalidArgumentError } from "commander";
import type { Device } from "../../client/devices.ts";
import { Failure } from "../../client/failure.ts";
import { type Context, contextOf } from "../context.ts";
import { printable, type Terminal } from "../terminal.ts";

export function addDevices(program: Command, terminal: Terminal): void {
	const devices = program
		.command("devices")
		.description("List the devices of your account")
		.addHelpText("after", "\nExamples:\n  $ parley devices\n  $ parley devices rename 2 laptop\n  $ parley unlink 2")
		.action(async (_options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			for (const device of await context.withParley((parley) => parley.devices.list())) show(context, device);
		});
	devices
		.command("rename")
		.description("Name a device; the server can't read the name")
		.argument("<id>", "its number in the list", deviceId)
		.argument("<name>", "at most 64 bytes")
		.addHelpText("after", "\nExample:\n  $ parley devices rename 2 laptop")
		.action(async (id: number, name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley((parley) => parley.devices.rename(id, name));
			context.print({ type: "device-renamed", device: id, name }, `Device ${id} is called ${printable(name)}.`);
		});
}

export function addUnlink(program: Command, terminal: Terminal): void {
	program
		.command("unlink")
		.description("Unlink a device of your account: it loses access at once")
		.argument("<id>", "its number in the list", deviceId)
		.option("--yes", "this device itself, and everything in its data directory")
		.addHelpText(
			"after",
			`
The device keeps what it has received; it gets nothing more, and can't write. Your contacts' messages are encrypted for
the remaining devices only, without their doing anything.

Example:
  $ parley unlink 2`,
		)
		.action(async (id: number, options: { yes?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				if (id === parley.whoami().deviceId && options.yes !== true) {
					throw new Failure("bad_argument", "that is this device: add --yes, and its messages are removed here");
				}
				await parley.devices.unlink(id);
			});
			context.print({ type: "unlinked", device: id }, `Device ${id} is unlinked.`);
		});
}

function show(context: Context, device: Device): void {
	const { id, name, createdAtMs, lastSeen, current } = device;
	const { colors } = context.terminal;
	const called = name === undefined ? colors.dim("(no name)") : colors.bold(printable(name));
	const created = new Date(createdAtMs).toISOString().slice(0, 10);
	context.print(
		{ type: "device", device: id, name: name ?? null, createdAtMs, lastSeen, current },
		`${String(id).padStart(3)}  ${called}  linked ${created}, last seen ${lastSeen}${current ? "  (this device)" : ""}`,
	);
}

function deviceId(text: string): number {
	const id = Number(text);
	if (!Number.isInteger(id) || id < 1 || id > 127) throw new InvalidArgumentError("It must be 1 to 127.");
	return id;
}
