/** What is entered in a chat after a slash: the same as the commands of the same names. */

import { Failure } from "../client/failure.ts";
import { isGroup } from "../client/groups/state.ts";
import type { Parley } from "../client/parley.ts";
import { durationArgument, timerText } from "./options.ts";
import { shortId, shownLine } from "./shown.ts";
import type { Terminal } from "./terminal.ts";

const HELP = `/reply [#id] text · /react [#id] 👍 · /edit [#id] text · /delete [#id] [everyone] · /forward #id name
/poll question | answer | answer · /vote [#id] 1 · /end [#id] · /timer 1d · /mute 8h · /archive · /pin · /format text
/ids shows the ids of the newest messages; left out, an id is the newest message's that fits · /quit
Every command of parley --help can be entered too, about this chat where nobody is named: /block · /report --message 9abcdef0
/group add bob · /group info · /devices · /link 'parley://…' --yes · /unlink 2 · /requests · /privacy typing off · /status 9abcdef0`;

/** Commands whose first argument is with whom: here it may be left out. */
const WITH_SOMEBODY = new Set(["block", "unblock", "report", "verify", "accept", "safety-number", "history"]);
/** Commands that are about this chat here: an argument is never with whom. */
const ABOUT_THIS_CHAT = new Set(["mute", "archive", "pin"]);
/** Parts of `group` that are not about a group that is there. */
const WITHOUT_GROUP = new Set(["list", "create", "join", "help"]);
/** What has its own place: a chat has begun already, or would end. */
const NOT_HERE = new Set(["chat", "register", "receive", "send", "delete-account"]);

export interface ChatCommandContext {
	parley: Parley;
	/** With whom the chat is: an account, or a group's id, once it is known. */
	peer: string | undefined;
	/** The same as it was entered. */
	name: string;
	/** Runs a command of the command line. */
	run(args: string[]): Promise<void>;
	colors: Terminal["colors"];
}

/** Runs a line that begins with a slash. Returns what to say, if anything. Throws `Failure`. */
export async function runChatCommand(context: ChatCommandContext, line: string): Promise<string | undefined> {
	const { parley, name } = context;
	const [, verb = "", rest = ""] = /^\/([\w-]+)\s*(.*)$/s.exec(line) ?? [];
	const { messages } = parley;
	switch (verb) {
		case "help":
			return HELP;
		case "ids":
			return (await parley.history(name, 12))
				.map((message) => `${shortId(message.id)} ${shownLine(parley, message, context.colors)}`)
				.join("\n");
		case "reply": {
			const { id, text } = await target(context, rest, "in");
			await messages.reply(id, text, true);
			break;
		}
		case "react": {
			const { id, text } = await target(context, rest, "in");
			await messages.react(id, text);
			break;
		}
		case "edit": {
			const { id, text } = await target(context, rest, "text");
			await messages.edit(id, text);
			break;
		}
		case "delete": {
			const { id, text } = await target(context, rest, "out");
			if (text !== "" && text !== "everyone") throw new Failure("bad_argument", "/delete [#id] [everyone]");
			await (text === "everyone" ? messages.deleteForEveryone(id) : messages.deleteHere(id));
			break;
		}
		case "forward": {
			const { id, text } = await target(context, rest, "in");
			await messages.forward(id, text);
			break;
		}
		case "poll": {
			const [question = "", ...options] = rest.split("|").map((part) => part.trim());
			await messages.poll(name, { question, options, multiple: false });
			break;
		}
		case "vote": {
			const { id, text } = await target(context, rest, "poll");
			await messages.vote(id, text === "" ? [] : text.split(",").map((part) => part.trim()));
			break;
		}
		case "end": {
			const { id } = await target(context, rest, "poll");
			await messages.closePoll(id);
			break;
		}
		case "timer":
			if (rest === "") return timerText(nameOf(context), await messages.timer(name));
			await messages.setTimer(name, durationArgument(rest));
			break;
		case "format":
			await messages.send(name, rest, true);
			break;
		default:
			if (verb === "" || NOT_HERE.has(verb)) {
				throw new Failure("bad_argument", `there is no command /${verb}: /help shows them all`);
			}
			await context.run(commandArguments(context, verb, rest));
	}
	// The change shows itself where it is.
	return undefined;
}

/** What was entered, as the command line would have it: with whom the chat is takes the place that was left out. */
export function commandArguments(
	{ peer, name }: Pick<ChatCommandContext, "peer" | "name">,
	verb: string,
	rest: string,
): string[] {
	const words = [...rest.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
		([, one, two, three]) => one ?? two ?? three ?? "",
	);
	const [first = ""] = words;
	const unnamed = first === "" || first.startsWith("-");
	if (ABOUT_THIS_CHAT.has(verb) || (WITH_SOMEBODY.has(verb) && unnamed)) return [verb, name, ...words];
	if (verb !== "group" || peer === undefined || !isGroup(peer) || unnamed || WITHOUT_GROUP.has(first))
		return [verb, ...words];
	return [verb, first, peer, ...words.slice(1)];
}

/** What people call the one, or the group, with whom the chat is. */
function nameOf({ parley, peer, name }: ChatCommandContext): string {
	return peer !== undefined && isGroup(peer) ? parley.nameOf(peer) : name;
}

/** The message that is named by `#id` at the beginning, else the newest that fits. */
async function target(
	{ parley, name }: ChatCommandContext,
	rest: string,
	kind: "in" | "out" | "text" | "poll",
): Promise<{ id: string; text: string }> {
	const [, id, text = ""] = /^#([0-9a-f-]+)\s*(.*)$/is.exec(rest) ?? [];
	if (id !== undefined) return { id, text };
	const newest = (await parley.history(name, 200)).reverse().find((message) => {
		const view = parley.messages.view(message);
		if (kind === "poll") return view?.poll !== undefined;
		if (kind === "text") return message.outgoing && view?.poll === undefined && view?.deleted === false;
		return message.outgoing === (kind === "out") && message.body !== undefined;
	});
	if (newest === undefined)
		throw new Failure("no_such_message", "there is no message yet with which that could be done");
	return { id: newest.id, text: rest };
}
