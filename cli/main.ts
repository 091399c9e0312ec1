/** The command line: reads arguments, runs one command, tells errors in one line, returns the exit code. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addAccept } from "./commands/accept.ts";
import { addChat } from "./commands/chat.ts";
import { addChats } from "./commands/chats.ts";
import { addDeleteAccount } from "./commands/delete_account.ts";
import { addDevices, addUnlink } from "./commands/devices.ts";
import { addDelete, addEdit, addReact, addReply, addTimer } from "./commands/doing.ts";
import { addAutoDownload, addDeleteFile, addDownload } from "./commands/download.ts";
import { addGroup } from "./commands/group.ts";
import { addHistory } from "./commands/history.ts";
import { addKeys } from "./commands/keys.ts";
import { addLink } from "./commands/link.ts";
import { addPoll, addVote } from "./commands/polls.ts";
import { addBlock, addPrivacy, addRequests } from "./commands/privacy.ts";
import { addProfile } from "./commands/profile.ts";
import { addReceive } from "./commands/receive.ts";
import { addRegister } from "./commands/register.ts";
import { addReport } from "./commands/report.ts";
import { addSafetyNumber } from "./commands/safety_number.ts";
import { addSend } from "./commands/send.ts";
import { addArchive, addMute, addPin } from "./commands/setting_up.ts";
import { addStatus } from "./commands/status.ts";
import { addVerify } from "./commands/verify.ts";
import { addWhoami } from "./commands/whoami.ts";
import { EXIT, tell } from "./exit.ts";
import { jsonLine, printable, processTerminal, type Terminal } from "./terminal.ts";

const HELP = `
Two people, two terminals:
  $ parley --data .parley/alice register alice
  $ parley --data .parley/bob register bob
  $ parley --data .parley/alice send bob "hello"
  $ parley --data .parley/alice send bob --file photo.jpg --caption "us"
  $ parley --data .parley/bob receive
  $ parley --data .parley/bob chat alice

Another device for Alice:
  $ parley --data .parley/laptop link
  $ parley --data .parley/alice link 'parley://link?…'

With --json each result is one JSON object on a line of its own, and an error is {"error":{"code","message"}} on
standard error. PARLEY_PASSPHRASE encrypts the data directory with a passphrase instead of a key file.

Exit codes:
   0  done                                6  the server cannot be reached
   1  unexpected                          7  an identity changed: a person must decide
   2  usage                               8  another process uses the data directory
   3  not registered                      9  a file is not what was sent, or is unsafe
   4  not found                          10  this device was unlinked
   5  refused by the server, or too late 130  interrupted: the same again goes on`;

/** Runs the command line and returns its exit code. */
export async function main(args: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
	const json = args.includes("--json");
	try {
		await program(terminal, json).parseAsync([...args], { from: "user" });
		return EXIT.ok;
	} catch (error) {
		if (error instanceof CommanderError) {
			if (error.exitCode === 0) return EXIT.ok;
			// Without --json commander has already said it.
			const message = error.code === "commander.help" ? "a command is missing" : withoutPrefix(error.message);
			if (json) terminal.note(jsonLine({ error: { code: "usage", message } }));
			return EXIT.usage;
		}
		const told = tell(error);
		if (json) terminal.note(jsonLine({ error: { code: told.code, message: told.message } }));
		// A server may have worded it.
		else terminal.note(`parley: ${printable(told.message)}`);
		return told.exitCode;
	}
}

function program(terminal: Terminal, json: boolean): Command {
	const root = new Command("parley")
		.description("Private messaging: what you write is encrypted here, and only the other person can read it.")
		.option("--data <directory>", "where keys and messages are kept (default: $XDG_DATA_HOME/parley)")
		.option("--server <url>", "the server (default: the one of the registration, at first http://127.0.0.1:8787)")
		.option("--json", "print one JSON object a line")
		.version(ownVersion(), "--version", "print the version")
		.addHelpText("after", HELP)
		.configureHelp({ showGlobalOptions: true })
		.configureOutput({
			writeOut: (text) => terminal.out(text.replace(/\n$/, "")),
			writeErr: (text) => {
				if (!json) terminal.note(text.replace(/\n$/, ""));
			},
			outputError: (text, write) => write(`parley: ${withoutPrefix(text)}`),
		})
		.exitOverride();
	const add = [
		addRegister,
		addWhoami,
		addSend,
		addReceive,
		addDownload,
		addAutoDownload,
		addDeleteFile,
		(parent: Command) => addChat(parent, terminal, (inner) => program(inner, json)),
		addChats,
		addGroup,
		addProfile,
		addHistory,
		addReply,
		addReact,
		addEdit,
		addDelete,
		addPoll,
		addVote,
		addTimer,
		addMute,
		addArchive,
		addPin,
		addRequests,
		addBlock,
		addPrivacy,
		addReport,
		addStatus,
		addSafetyNumber,
		addVerify,
		addAccept,
		addKeys,
		addLink,
		addDevices,
		addUnlink,
		addDeleteAccount,
	];
	for (const addCommand of add) addCommand(root, terminal);
	pointToHelp(root, "parley");
	return root;
}

function ownVersion(): string {
	const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
		version: string;
	};
	return version;
}

/** What is wrong with a command its own help explains. */
function pointToHelp(command: Command, path: string): void {
	command.showHelpAfterError(`(${path} --help says more)`);
	for (const part of command.commands) pointToHelp(part, `${path} ${part.name()}`);
}

function withoutPrefix(message: string): string {
	return message.replace(/^error: /, "").trimEnd();
}
