/** What a person can do with a message. */

/** A message, by its author's account and the id under which people know it. */
export interface MessageName {
	author: string;
	id: string;
}

/** How a part of a text looks. */
export type TextStyle = "bold" | "italic" | "monospace" | "strikethrough" | "spoiler";

/** A part of a text, in UTF-16 code units (rule MESSAGE-3). */
export type TextRange = { start: number; length: number } & ({ style: TextStyle } | { mention: string });

/** A poll that is about to be sent. */
export interface PollDraft {
	question: string;
	options: readonly string[];
	/** More than one option may be chosen. */
	multiple: boolean;
}

/** A message before it is sent. */
export interface Draft {
	/** Ignored where there is a poll: its question is the text. */
	body: string;
	ranges?: readonly TextRange[];
	/** The message that this one answers (rule MESSAGE-1). */
	replyTo?: MessageName;
	/** How often it was forwarded, this time included; 0 where it is new (rule MESSAGE-2). */
	forwards?: number;
	poll?: PollDraft;
}

/** Something done with a message that is there, or with the conversation. */
export type Wish =
	/** An empty emoji takes the own reaction back. */
	| { kind: "reaction"; message: MessageName; emoji: string }
	/** Of an own message. */
	| { kind: "edit"; message: MessageName; body: string; ranges: readonly TextRange[] }
	/** For everyone. */
	| { kind: "delete"; message: MessageName }
	/** All options that are chosen, by index; none takes the vote back. */
	| { kind: "vote"; message: MessageName; options: readonly number[] }
	/** Of an own poll. */
	| { kind: "close"; message: MessageName }
	| { kind: "timer"; seconds: number };
