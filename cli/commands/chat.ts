/** `parley chat`: one conversation, typed and read as it goes. */
import { basename } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { type Command, CommanderError, InvalidArgumentError } from "commander";
import { Failure } from "../../client/failure.ts";
import { isGroup } from "../../client/groups/state.ts";
import type { StoredMessage } from "../../client/machine/interface.ts";
import type { TimelineItem } from "../../client/messages/timeline.ts";
import type { Parley, ParleyNotice } from "../../client/parley.ts";
import { ServerRefusal, ServerUnreachable } from "../../client/transport/errors.ts";
import { changeLine, changeObject } from "../change_text.ts";
import { runChatCommand } from "../chat_commands.ts";
import { type Context, contextOf } from "../context.ts";
import { dropped } from "../dropped.ts";
import { groupNoticeText } from "../group_text.ts";
import { identityText, logWentBack, missedText, refusalText } from "../message_text.ts";
import { timerText, WITH } from "../options.ts";
import { profileNotice } from "../profile_text.ts";
import { Screen } from "../screen.ts";
import { shownLine } from "../shown.ts";
import { printable, type Terminal } from "../terminal.ts";
import { imageProtocol, imageText, PREVIEW_SIDE } from "../terminal_image.ts";
import { printNotice } from "./receive.ts";

const TYPING_EVERY_MS = 4_000;
const TYPING_LASTS_MS = 8_000;

/** `programFor` makes the command line for another terminal: what is entered after a slash is one of its commands. */
export function addChat(program: Command, terminal: Terminal, programFor: (inner: Terminal) => Command): void {
	program
		.command("chat")
		.description("Talk with somebody: lines that you enter are sent, theirs appear as they come")
		.argument("<with>", WITH)
		.addHelpText(
			"after",
			`
A file that you drop on the terminal is sent when you say so; photos of others are shown where the terminal can.
Behind your messages: … in the outbox, ✓ at the server, ✓✓ delivered, coloured ✓✓ read. /quit or Ctrl-D ends,
/help shows what else can be done: /reply, /react, /edit, /delete, /poll, /timer … and every other command: /devices, /block.

Example:
  $ parley chat bob`,
		)
		.action(async (name: string, _options: unknown, command: Command) => {
			const context = contextOf(command, terminal);
			const chat = new Chat(context, name, programFor);
			await context.withParley(
				(parley) => chat.run(parley),
				(notice) => chat.show(notice),
			);
		});
}

class Chat {
	readonly #context: Context;
	/** As it was entered; of a group its id, since its title may change meanwhile. */
	#name: string;
	readonly #programFor: (inner: Terminal) => Command;
	readonly #readline: Interface;
	/** undefined where output is not a terminal, or JSON: then lines only follow each other. */
	readonly #screen: Screen | undefined;
	#parley: Parley | undefined;
	#peer: string | undefined;
	/** Files that were dropped, and wait for a yes. */
	#offered: string[] = [];
	#typingToldAtMs = 0;
	/** A person has been told that there is no connection. */
	#offline = false;
	#typingEnds: NodeJS.Timeout | undefined;

	constructor(context: Context, name: string, programFor: (inner: Terminal) => Command) {
		const { input, output } = context.terminal;
		const interactive = input.isTTY === true && output.isTTY === true && !context.json;
		this.#context = context;
		this.#name = name;
		this.#programFor = programFor;
		this.#readline = interactive ? createInterface({ input, output, prompt: "> " }) : createInterface({ input });
		this.#screen = interactive ? new Screen(output, this.#readline) : undefined;
	}

	async run(parley: Parley): Promise<void> {
		// Before anything is waited for: what is entered meanwhile must not be lost.
		const entered = this.#readline[Symbol.asyncIterator]();
		try {
			this.#peer = await parley.follow(this.#name);
			if (isGroup(this.#peer)) this.#name = `group:${this.#peer}`;
			this.#parley = parley;
			for (const item of await parley.messages.timeline(this.#name, 20)) this.#item(parley, item);
			this.#greet(parley, await parley.settings.lastSeenMs(this.#name));
			if (this.#screen !== undefined) this.#readline.write((await parley.messages.draft(this.#name)) ?? "");
			this.#markRead();
			await parley.settings.setOnline(true);
			const { input } = this.#context.terminal;
			const typed = (): void => this.#tellTyping();
			if (this.#screen !== undefined) input.on("keypress", typed);
			for await (const line of entered) {
				if (line.trim() === "/quit") break;
				this.#screen?.takeEntered(line);
				await this.#entered(line);
			}
			input.off("keypress", typed);
			if (this.#screen !== undefined) await parley.messages.keepDraft(this.#name, this.#readline.line || undefined);
			await parley.flush();
			const left = (await parley.history(this.#name, 1_000)).filter(({ status }) => status === "queued").length;
			if (left > 0) this.#context.terminal.note(`${left} unsent: parley receive, or the next chat, sends what waits.`);
		} finally {
			clearTimeout(this.#typingEnds);
			this.#readline.close();
		}
	}

	/** What people call it. */
	get #title(): string {
		const group = this.#peer !== undefined && this.#isGroup ? this.#parley?.nameOf(this.#peer) : undefined;
		return group ?? this.#name;
	}

	#greet(parley: Parley, seenMs: number | undefined): void {
		if (this.#screen === undefined || this.#peer === undefined) return;
		const seen = seenMs === undefined ? "" : ` Last seen ${new Date(seenMs).toLocaleString()}.`;
		const who = this.#context.terminal.colors.bold(printable(parley.nameOf(this.#peer)));
		const hint = this.#context.terminal.colors.dim("Enter sends, /quit or Ctrl-D ends.");
		this.#screen.add("", `Chat with ${who}.${seen} ${hint}`);
		this.#ask();
	}

	show(notice: ParleyNotice): void {
		if (this.#parley === undefined) return;
		switch (notice.type) {
			case "message":
				if (notice.message.peer !== this.#peer) return;
				this.#setTyping(false);
				this.#line(notice.message);
				if (!notice.message.outgoing) this.#markRead();
				return;
			case "message-changed":
				if (notice.message.peer === this.#peer) this.#changed(notice.message);
				return;
			case "typing":
				if (notice.peer !== this.#peer) return;
				if (this.#context.json) this.#context.print(typingObject(this.#parley, notice), "");
				else this.#setTyping(notice.started, this.#parley.nameOf(notice.account));
				return;
			case "refused":
				// Of a group that one is out of, `group-left` tells.
				if (notice.code === "NOT_ON_ROSTER" && this.#isGroup) return;
				if (notice.peer === this.#peer) this.#say(refusalText(notice.code, this.#title));
				return;
			case "line-failed":
				if (notice.peer !== undefined || notice.attempts !== 3) return;
				this.#offline = true;
				this.#say("No connection: what you write is sent when it is back.");
				return;
			case "line-opened":
				if (notice.peer === undefined && this.#offline) this.#say("Connected again.");
				if (notice.peer === undefined) this.#offline = false;
				return;
			case "line-stopped":
				if (notice.reason === "removed" && notice.peer === this.#peer && this.#isGroup) return;
				if (notice.peer === this.#peer || notice.peer === undefined)
					this.#say(`The connection ended: ${notice.reason}`);
				return;
			case "message-removed":
				if (this.#screen === undefined) printNotice(this.#context, this.#parley, notice);
				else this.#screen.replace(notice.id, this.#context.terminal.colors.dim("(gone)"));
				return;
			case "presence":
				if (notice.peer === this.#peer) this.#presence(notice, this.#parley.nameOf(notice.peer));
				return;
			case "timer-changed":
				if (notice.peer === this.#peer) this.#say(timerText(this.#title, notice.seconds));
				return;
			case "file-fetched":
				void this.#image(notice.id);
				return;
			case "broken":
				this.#say(notice.error.message);
				this.#readline.close();
				return;
			case "profile-changed":
				if (notice.account === this.#peer) this.#say(profileNotice(this.#parley, notice.account));
				return;
			case "group-changed":
			case "group-warning":
			case "group-request":
			case "group-left":
			case "left-out":
				if (notice.peer === this.#peer) this.#say(groupNoticeText(this.#parley, notice));
				return;
			case "group-progress":
			case "group-change-done":
			case "group-change-failed":
			case "watermarks":
				return;
			case "identity-changed":
			case "missed":
			case "log-went-back":
			case "caught-up":
			case "account-caught-up":
			case "prekey-counts":
			case "synced":
			case "file-progress":
				if (this.#screen === undefined) printNotice(this.#context, this.#parley, notice);
				else if ("peer" in notice && notice.peer !== this.#peer) return;
				else if (notice.type === "identity-changed") this.#say(identityText(this.#title, notice.blocked));
				else if (notice.type === "log-went-back") this.#say(logWentBack(this.#title));
				else if (notice.type === "missed") this.#say(missedText(this.#title, notice));
				return;
			default:
				notice satisfies never;
		}
	}

	get #isGroup(): boolean {
		return this.#peer !== undefined && isGroup(this.#peer);
	}

	/** A text, a file that was dropped, or the answer to whether to send that one. */
	async #entered(line: string): Promise<void> {
		const offered = this.#offered;
		this.#offered = [];
		const answer = line.trim().toLowerCase();
		if (offered.length > 0 && ["", "y", "yes"].includes(answer)) {
			for (const file of offered) await this.#send({ file });
			return;
		}
		if (offered.length > 0 && ["n", "no"].includes(answer)) return this.#ask();
		const found = this.#screen === undefined ? undefined : dropped(line);
		if (found !== undefined) {
			if ("files" in found) this.#offered = found.files;
			this.#ask();
			if ("none" in found) this.#say(`${found.none} is no file.`);
			return;
		}
		if (answer === "") this.#ask();
		else if (line.startsWith("/")) await this.#command(line);
		else await this.#send({ text: line });
	}

	/** What stands before the cursor: a question where one is open. */
	#ask(before = ""): void {
		const names = this.#offered.map((path) => printable(basename(path)));
		const what = names.length === 1 ? "the file" : `${names.length} files:`;
		this.#screen?.prompt(names.length === 0 ? `${before}> ` : `Send ${what} ${names.join(", ")}? [Y/n] `);
	}

	async #send(what: { text: string } | { file: string }): Promise<void> {
		this.#typingToldAtMs = 0;
		this.#ask();
		this.#parley?.typing(this.#peer ?? this.#name, false);
		try {
			const sent = await ("file" in what
				? this.#parley?.files.send(this.#name, what.file)
				: this.#parley?.send(this.#name, what.text));
			const message = sent === undefined ? undefined : this.#parley?.find(sent.id);
			if (message !== undefined) this.#line(message);
		} catch (error) {
			if (!(error instanceof Failure)) throw error;
			this.#say(error.message);
		}
	}

	async #command(line: string): Promise<void> {
		if (this.#parley === undefined) return;
		this.#ask();
		const { colors } = this.#context.terminal;
		const run = (args: string[]): Promise<void> => this.#run(args);
		const chat = { parley: this.#parley, peer: this.#peer, name: this.#name, colors, run };
		try {
			const text = await runChatCommand(chat, line);
			if (text !== undefined) this.#say(text);
		} catch (error) {
			// What is wrong with a command it has told by itself, but not among JSON.
			if (error instanceof CommanderError && !(error instanceof InvalidArgumentError)) {
				if (this.#context.json && error.exitCode !== 0) this.#say(error.message.replace(/^error: /, ""));
				return;
			}
			const passing = error instanceof ServerRefusal || error instanceof ServerUnreachable;
			if (!(passing || error instanceof Failure || error instanceof InvalidArgumentError)) throw error;
			this.#say(error.message);
		}
	}

	/** A command of the command line, with this chat's connection; what it prints stands in the chat. */
	async #run(args: string[]): Promise<void> {
		const { terminal, json } = this.#context;
		const screen = this.#screen;
		const shown = screen === undefined ? {} : { out: (line: string) => screen.add("", line) };
		// Commands have made it printable, and coloured it.
		const note = (line: string): void => {
			if (screen === undefined) terminal.note(line);
			else screen.add("", terminal.colors.yellow(line));
		};
		const inner: Terminal = { ...terminal, note, ...shown, opened: this.#parley };
		await this.#programFor(inner).parseAsync([...(json ? ["--json"] : []), ...args], { from: "user" });
	}

	#presence({ peer: account, online, seenMs }: Extract<ParleyNotice, { type: "presence" }>, name: string): void {
		if (this.#context.json) this.#context.print({ type: "presence", with: name, account, online, seenMs }, "");
		else this.#say(`${name} ${online ? "is here" : "has left"}.`);
	}

	#item(parley: Parley, item: TimelineItem): void {
		if (item.type === "message") {
			this.#line(item.message);
			return;
		}
		const { colors } = this.#context.terminal;
		const line = changeLine(parley, item, colors);
		if (this.#screen === undefined) this.#context.print(changeObject(parley, item), line);
		else this.#screen.add("", line);
	}

	#line(message: StoredMessage): void {
		if (this.#parley === undefined) return;
		if (this.#screen === undefined) printNotice(this.#context, this.#parley, { type: "message", message });
		else this.#screen.add(message.id, shownLine(this.#parley, message, this.#context.terminal.colors));
	}

	/** Shows a photo, where the terminal can, once it is here. */
	async #image(id: string): Promise<void> {
		const message = this.#parley?.find(id);
		const protocol = imageProtocol(this.#context.terminal.environment);
		const shown = message?.file?.presentation === "shown" && message.file.contentType.startsWith("image/");
		if (this.#screen === undefined || protocol === undefined || message?.peer !== this.#peer || !shown) return;
		try {
			const preview = await this.#parley?.files.preview(id, PREVIEW_SIDE);
			if (preview === undefined) return;
			const { text, rows } = imageText(preview, protocol);
			this.#screen.add("", text, rows);
		} catch (error) {
			if (!(error instanceof Failure)) throw error;
			this.#say(error.message);
		}
	}

	#changed(message: StoredMessage): void {
		if (this.#parley === undefined) return;
		if (this.#screen !== undefined) {
			this.#screen.replace(message.id, shownLine(this.#parley, message, this.#context.terminal.colors));
		} else if (this.#context.json) {
			printNotice(this.#context, this.#parley, { type: "message", message });
		}
	}

	#say(text: string): void {
		const line = this.#context.terminal.colors.yellow(printable(text));
		if (this.#screen === undefined) this.#context.terminal.note(line);
		else this.#screen.add("", line);
	}

	#setTyping(started: boolean, who = this.#title): void {
		clearTimeout(this.#typingEnds);
		// Their "stopped" may be lost: it is never stored.
		if (started) this.#typingEnds = setTimeout(() => this.#setTyping(false), TYPING_LASTS_MS);
		this.#ask(started ? this.#context.terminal.colors.dim(`${who} is typing… `) : "");
	}

	#tellTyping(): void {
		const now = Date.now();
		if (this.#readline.line === "" || now - this.#typingToldAtMs < TYPING_EVERY_MS) return;
		this.#typingToldAtMs = now;
		this.#parley?.typing(this.#peer ?? this.#name, true);
	}

	#markRead(): void {
		if (this.#peer !== undefined) this.#parley?.markAllRead(this.#peer);
	}
}

function typingObject(parley: Parley, { peer, account, started }: Extract<ParleyNotice, { type: "typing" }>) {
	const where = { with: parley.nameOf(peer), ...(isGroup(peer) ? { group: peer } : {}) };
	return { type: "typing", ...where, account, started };
}
