/** What people do with messages, as the SDK offers it. Messages are named by the beginning or the end of their id. */
import { LIMITS } from "../../protocol/limits.ts";
import { checkText } from "../arguments.ts";
import { Failure } from "../failure.ts";
import { isAdmin } from "../groups/roles.ts";
import { isGroup, parseState } from "../groups/state.ts";
import type { LocalAccount, Machine, StoredMessage } from "../machine/interface.ts";
import { readMeta, writeMeta } from "../store/account.ts";
import { findAction } from "../store/actions.ts";
import { contactAccount } from "../store/contacts.ts";
import type { Store } from "../store/database.ts";
import { rosterMembers } from "../store/group_roster.ts";
import { findGroup } from "../store/groups.ts";
import { outboxEntry } from "../store/outbox.ts";
import { lastRow, message, messageBy, namedMessages, unshown } from "../store/queries.ts";
import { draftOf, timerOf } from "../store/standings.ts";
import type { Clock } from "../transport/clock.ts";
import type { Runner } from "../transport/runner.ts";
import type { Waiters } from "../waiters.ts";
import { isEmoji } from "./accepted.ts";
import { type Chat, chats } from "./chats.ts";
import { parseMarks } from "./ranges.ts";
import { messageState } from "./state.ts";
import { type TimelineItem, timeline } from "./timeline.ts";
import { type MessageView, messageView } from "./view.ts";
import type { Draft, PollDraft, TextRange, Wish } from "./wishes.ts";

const HOUR_MS = 60 * 60 * 1_000;

export interface MessagesOptions {
	store: Store;
	account: LocalAccount;
	waiters: Waiters;
	clock: Clock;
	machine: Pick<Machine, "newMessageId">;
	runner: Pick<Runner, "perform" | "openConversation">;
	/** The account behind a name. */
	resolve(name: string): Promise<string>;
	/** The same, where something may be sent to it. */
	addressee(name: string): Promise<string>;
}

/** What was put into the outbox. */
export interface Done {
	id: string;
	peer: string;
}

/** What is done with messages: replies, reactions, edits, deletions, polls, timers. */
export class Messages {
	readonly #options: MessagesOptions;

	constructor(options: MessagesOptions) {
		this.#options = options;
	}

	/**
	 * The message whose id begins or ends like this. Throws `Failure` `no_such_message`, also where several do: then more
	 * of the id is needed.
	 */
	find(part: string): StoredMessage {
		const wanted = part.toLowerCase().replace(/^#/, "");
		const found = /^[0-9a-f-]{4,36}$/.test(wanted)
			? namedMessages(this.#options.store, wanted, this.#options.clock.nowMs())
			: [];
		if (found.length > 1)
			throw new Failure("no_such_message", `several messages are called ${part}: say more of the id`);
		const only = found[0];
		if (only === undefined) throw new Failure("no_such_message", `there is no message ${part} here`);
		return only;
	}

	/**
	 * What came while nobody looked, as while a command sent something: received, not read on any device, and not shown
	 * before the last `allShown`; oldest first.
	 */
	unshown(): StoredMessage[] {
		const { store, clock } = this.#options;
		return unshown(store, readMeta<number>(store, "shown_row") ?? 0, clock.nowMs());
	}

	/** Everything that is stored by now has been shown. */
	allShown(): void {
		const { store } = this.#options;
		writeMeta(store, "shown_row", lastRow(store));
	}

	/** The newest messages with somebody, oldest first, and what has changed between them. */
	async timeline(name: string, limit = 50): Promise<TimelineItem[]> {
		const { store, resolve, clock } = this.#options;
		return timeline(store, await resolve(name), limit, clock.nowMs());
	}

	/** The conversations with people and groups, the pinned ones first, then the newest; requests are not among them. */
	chats(): Chat[] {
		const { store, clock } = this.#options;
		return chats(store, clock.nowMs());
	}

	/** What belongs to a message beside its text. Undefined where it can't be read. */
	view({ sender, id }: StoredMessage): MessageView | undefined {
		return messageView(this.#options.store, sender, id);
	}

	/**
	 * What a message answers, as it is now; undefined where that isn't here. A message of another conversation is never
	 * shown as a part of this one, whatever the reply names.
	 */
	quoted({ peer }: StoredMessage, view: MessageView): StoredMessage | undefined {
		const { store, clock } = this.#options;
		return view.replyTo === undefined ? undefined : messageBy(store, peer, view.replyTo, clock.nowMs());
	}

	/** Sends a text with formatting marks and mentions (`@name`), if `marked`. */
	async send(to: string, text: string, marked: boolean): Promise<Done> {
		return this.#send(await this.#options.addressee(to), this.#written(text, marked));
	}

	/** Answers a message where it stands. */
	async reply(to: string, text: string, marked = false): Promise<Done> {
		const { peer, sender, id } = this.find(to);
		const draft = { ...this.#written(text, marked), replyTo: { author: sender, id } };
		return this.#send(await this.#options.addressee(peer), draft);
	}

	/** Sends a text of somebody, formatted as it was, to somebody else. */
	async forward(part: string, to: string): Promise<Done> {
		const { sender, id, body, file } = this.find(part);
		const view = messageView(this.#options.store, sender, id);
		if (body === undefined || body === "" || view === undefined || file !== undefined) {
			throw new Failure("bad_argument", "there is no text to forward");
		}
		// Mentions are for those of the other conversation.
		const ranges = view.ranges.filter((range) => "style" in range);
		return this.#send(await this.#options.addressee(to), { body, ranges, forwards: view.forwards + 1 });
	}

	async poll(to: string, poll: PollDraft): Promise<Done> {
		const size = (text: string): number => Buffer.byteLength(text);
		if (poll.question === "" || size(poll.question) > LIMITS.poll_question_bytes) {
			throw new Failure("bad_argument", `a question has 1 to ${LIMITS.poll_question_bytes} bytes`);
		}
		const { options } = poll;
		if (options.length < 2 || options.length > LIMITS.poll_options || new Set(options).size !== options.length) {
			throw new Failure("bad_argument", `a poll has 2 to ${LIMITS.poll_options} different options`);
		}
		if (options.some((option) => option === "" || size(option) > LIMITS.poll_option_bytes)) {
			throw new Failure("bad_argument", `an option has 1 to ${LIMITS.poll_option_bytes} bytes`);
		}
		return this.#send(await this.#options.addressee(to), { body: "", poll });
	}

	/** An empty emoji takes the own reaction back. */
	async react(part: string, emoji: string): Promise<Done> {
		if (emoji !== "" && !isEmoji(emoji)) throw new Failure("bad_argument", `${emoji} is no emoji`);
		const found = this.find(part);
		return this.#do(found.peer, { kind: "reaction", message: this.#there(found), emoji });
	}

	/** Throws `Failure` `too_late` after 24 hours, `bad_argument` for a poll: people have voted on what it says. */
	async edit(part: string, text: string, marked = false): Promise<Done> {
		const found = this.find(part);
		if (this.view(found)?.poll !== undefined) throw new Failure("bad_argument", "a poll can't be edited");
		const { body, ranges } = this.#written(text, marked);
		const name = this.#own(found, LIMITS.edit_hours);
		return this.#do(found.peer, { kind: "edit", message: name, body, ranges: ranges ?? [] });
	}

	/** For everyone: an own message, or in a group any message as an admin. Throws `Failure` `too_late` after 24 hours. */
	async deleteForEveryone(part: string): Promise<Done> {
		const found = this.find(part);
		const others = !found.outgoing && this.#isAdmin(found.peer);
		const message = others ? this.#inTime(found, LIMITS.delete_hours) : this.#own(found, LIMITS.delete_hours);
		return this.#do(found.peer, { kind: "delete", message });
	}

	#isAdmin(peer: string): boolean {
		const { store, account } = this.#options;
		const bytes = isGroup(peer) ? findGroup(store, peer)?.state : undefined;
		const state = bytes == null ? undefined : parseState(bytes);
		return state !== undefined && isAdmin(state, account.accountId, new Set(rosterMembers(store, peer)));
	}

	/** On this device. */
	async deleteHere(part: string): Promise<StoredMessage> {
		const found = this.find(part);
		const name = { author: found.sender, id: found.id };
		await this.#options.runner.perform({ type: "delete-here", peer: found.peer, message: name });
		return found;
	}

	/** `options` are texts of the poll, or their places from 1; none takes the vote back. */
	async vote(part: string, options: readonly string[]): Promise<Done> {
		const found = this.find(part);
		const poll = this.view(found)?.poll;
		if (poll === undefined) throw new Failure("bad_argument", "that is no poll");
		if (poll.closed) throw new Failure("too_late", "the poll has ended");
		if (options.length > 1 && !poll.multiple) throw new Failure("bad_argument", "one option only can be chosen");
		const chosen = options.map((option) => {
			const index = poll.options.findIndex(({ text }) => text === option);
			const place = index === -1 && /^\d+$/.test(option) ? Number(option) - 1 : index;
			if (poll.options[place] !== undefined) return place;
			throw new Failure("bad_argument", `the poll has no option ${option}`);
		});
		return this.#do(found.peer, { kind: "vote", message: this.#there(found), options: [...new Set(chosen)] });
	}

	async closePoll(part: string): Promise<Done> {
		const found = this.find(part);
		if (this.view(found)?.poll === undefined) throw new Failure("bad_argument", "that is no poll");
		return this.#do(found.peer, { kind: "close", message: this.#own(found, undefined) });
	}

	/** Seconds after which messages disappear; 0: they stay. */
	async timer(name: string): Promise<number> {
		return timerOf(this.#options.store, await this.#options.resolve(name));
	}

	async setTimer(name: string, seconds: number): Promise<Done> {
		if (!Number.isInteger(seconds) || seconds < 0 || seconds > LIMITS.timer_seconds) {
			throw new Failure("bad_argument", "a timer is a second at least and a year at most");
		}
		return this.#do(await this.#options.addressee(name), { kind: "timer", seconds });
	}

	/** A text that was begun and not sent. */
	async draft(name: string): Promise<string | undefined> {
		return draftOf(this.#options.store, await this.#options.resolve(name));
	}

	/** Keeps what was begun, on this device. */
	async keepDraft(name: string, text: string | undefined): Promise<void> {
		await this.#options.runner.perform({ type: "keep-draft", peer: await this.#options.resolve(name), text });
	}

	/** Waits until the server has what was done. After `timeoutMs` it stays in the outbox: `Failure` `unreachable`. */
	async arrived({ id, peer }: Done, timeoutMs = 15_000): Promise<void> {
		const { store, account, waiters } = this.#options;
		await waiters.until({
			check: () => outboxEntry(store, id) === undefined,
			patienceMs: timeoutMs,
			renewable: false,
			concerns: [id, peer],
			late: () => new Failure("unreachable", "no answer from the server: it is queued in the outbox"),
		});
		const stored = message(store, id);
		const known =
			stored === undefined ? findAction(store, account.accountId, id) !== undefined : stored.status !== "failed";
		if (!known) throw new Failure("refused", "the server refused it");
	}

	/** A text with its formatting and the people in it. */
	#written(text: string, marked: boolean): { body: string; ranges?: readonly TextRange[] } {
		checkText(text);
		if (!marked) return { body: text };
		const { body, ranges } = parseMarks(text);
		return { body, ranges: [...ranges, ...this.#mentions(body)] };
	}

	#mentions(body: string): TextRange[] {
		return [...body.matchAll(/(?<![\w@.])@([a-z_][a-z0-9_]*(?:\.\d+)?)/giu)].flatMap(
			({ 0: at, 1: name = "", index }) => {
				const account = contactAccount(this.#options.store, name.toLowerCase());
				return account === undefined ? [] : [{ start: index, length: at.length, mention: account }];
			},
		);
	}

	async #send(peer: string, draft: Draft): Promise<Done> {
		const id = this.#options.machine.newMessageId();
		await this.#options.runner.perform({ type: "send-message", id, peer, draft });
		this.#options.runner.openConversation(peer);
		return { id, peer };
	}

	async #do(peer: string, wish: Wish): Promise<Done> {
		const id = this.#options.machine.newMessageId();
		await this.#options.runner.perform({ type: "do", id, peer, wish });
		this.#options.runner.openConversation(peer);
		return { id, peer };
	}

	/** A message that something can be done with. */
	#there(found: StoredMessage): { author: string; id: string } {
		const view = this.view(found);
		if (view === undefined) throw new Failure("bad_argument", "the message can't be read yet");
		if (view.deleted) throw new Failure("bad_argument", "the message was deleted");
		return { author: found.sender, id: found.id };
	}

	#own(found: StoredMessage, hours: number | undefined): { author: string; id: string } {
		if (!found.outgoing) throw new Failure("bad_argument", "that is not your message");
		return this.#inTime(found, hours);
	}

	#inTime(found: StoredMessage, hours: number | undefined): { author: string; id: string } {
		const name = this.#there(found);
		const original = messageState(this.#options.store, name.author, name.id)?.original;
		const end = (original?.timeMs ?? 0) + (hours ?? 0) * HOUR_MS;
		if (hours !== undefined && this.#options.clock.nowMs() > end) {
			throw new Failure("too_late", `that can be done for ${hours} hours only`);
		}
		return name;
	}
}
