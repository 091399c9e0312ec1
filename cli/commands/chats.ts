import type { Command } from "commander";
import { isGroup } from "../../client/groups/state.ts";
import type { Chat } from "../../client/messages/chats.ts";
import type { Parley } from "../../client/parley.ts";
import { contextOf } from "../context.ts";
import { calledName } from "../profile_text.ts";
import { shownLine, shownObject } from "../shown.ts";
import { printable, type Terminal } from "../terminal.ts";
import { FOR_EVER_MS } from "./setting_up.ts";

type Colors = Terminal["colors"];

export function addChats(program: Command, terminal: Terminal): void {
	program
		.command("chats")
		.description("List your conversations: the pinned ones first, then the newest (works offline)")
		.option("--archived", "those that you have put away, instead")
		.addHelpText(
			"after",
			"\nExamples:\n  $ parley chats\n  $ parley --json chats | jq -r 'select(.unread > 0) | .with'",
		)
		.action(async ({ archived = false }: { archived?: boolean }, command: Command) => {
			const context = contextOf(command, terminal);
			await context.withParley(async (parley) => {
				const all = parley.messages.chats();
				for (const chat of all.filter((each) => each.archived === archived)) {
					context.print(chatObject(parley, chat), chatLine(parley, chat, terminal.colors));
				}
				if (context.json || archived) return;
				const away = all.filter((chat) => chat.archived).length;
				const asking = parley.settings.requests().length;
				if (away > 0) terminal.note(terminal.colors.dim(`${away} archived: parley chats --archived`));
				if (asking > 0) terminal.note(terminal.colors.dim(`${asking} from strangers: parley requests`));
			});
		});
}

function chatObject(parley: Parley, chat: Chat): { type: "chat" } & Record<string, unknown> {
	const { peer, last, unread, pinned, archived, mutedUntilMs, blocked, draft } = chat;
	return {
		type: "chat",
		with: parley.nameOf(peer),
		...(isGroup(peer) ? { group: peer } : { account: peer }),
		unread,
		pinned,
		archived,
		muted: mutedUntilMs !== 0,
		mutedUntilMs: mutedUntilMs === 0 || mutedUntilMs === FOR_EVER_MS ? null : mutedUntilMs,
		blocked,
		draft: draft ?? null,
		last: last === undefined ? null : shownObject(parley, last),
	};
}

/** Name, what there is to know, and the last message, on one line. */
function chatLine(parley: Parley, chat: Chat, colors: Colors): string {
	const { peer, last, unread, pinned, archived, mutedUntilMs, blocked, draft } = chat;
	const name = isGroup(peer) ? `group:${parley.nameOf(peer)}` : calledName(parley, peer);
	const facts = [
		...(pinned ? ["pinned"] : []),
		...(archived ? ["archived"] : []),
		...(mutedUntilMs === 0 ? [] : ["muted"]),
		...(blocked ? ["blocked"] : []),
		...(draft === undefined ? [] : ["draft"]),
	];
	return [
		colors.bold(printable(name)),
		...(unread === 0 ? [] : [colors.yellow(`${unread} unread`)]),
		...(facts.length === 0 ? [] : [colors.dim(`(${facts.join(", ")})`)]),
		...(last === undefined ? [] : [(shownLine(parley, last, colors).split("\n")[0] ?? "").trim()]),
	].join("  ");
}
