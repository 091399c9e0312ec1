/**
 * The client's state machine, seen from outside: events in, requests out, no network and no clock. Whoever runs it
 * (the transport, the simulation, a test) carries out the requests, in order, after the step has returned: by then
 * everything that they rely on is on disk (rule CLIENT-1).
 */
import type { AccountDown, AccountUp } from "../../protocol/gen/account_pb.js";
import type { Attachment, ConversationFlag } from "../../protocol/gen/content_pb.js";
import type { ConversationDown } from "../../protocol/gen/conversation_down_pb.js";
import type { ConversationUp } from "../../protocol/gen/conversation_up_pb.js";
import type { PreKeyBundles, PreKeyUpload } from "../../protocol/http.ts";
import type { ChangedGroup, Group } from "../../protocol/http_groups.ts";
import type { Intention } from "../groups/intention.ts";
import type { Member } from "../groups/state.ts";
import type { StoredFile } from "../media/pointer.ts";
import type { Draft, MessageName, Wish } from "../messages/wishes.ts";
import type { ProfileChange } from "../profile/profile.ts";
import type { PrivacySwitch } from "../store/account.ts";
import type { NewUpload } from "../store/uploads.ts";
import type { CreateIntention, GroupCall } from "./groups/building.ts";

/** What happened. `peer` is the other account's UUID, or a group's id in hex: it names the conversation. */
export type MachineEvent =
	/** A person wants to send. `id` is the message's UUIDv7, made by the caller with `newMessageId`. */
	| { type: "send-text"; id: string; peer: string; body: string }
	/** A person wants to send more than a plain text: with formatting, as an answer, a poll. */
	| { type: "send-message"; id: string; peer: string; draft: Draft }
	/** A person does something with a message, or sets the conversation's timer; `id` as of a message. */
	| { type: "do"; id: string; peer: string; wish: Wish }
	/** A person accepts a stranger's messages, or deletes them (rule REQUEST-1). */
	| { type: "accept-request"; peer: string }
	| { type: "delete-request"; peer: string }
	/** A person blocks somebody, or no longer does (rule BLOCK-1). */
	| { type: "set-blocked"; peer: string; on: boolean }
	/** The user is there, or leaves (rule PRESENCE-1). */
	| { type: "set-online"; online: boolean }
	| { type: "set-privacy"; what: PrivacySwitch; on: boolean }
	/** A person has begun a text; undefined where nothing is left of it. */
	| { type: "keep-draft"; peer: string; text: string | undefined }
	/** A person deletes a message on this device. */
	| { type: "delete-here"; peer: string; message: MessageName }
	/** A person wants to send a file that is not at the server yet: the message waits for `send-file` (rule ATTACH-5). */
	| { type: "queue-file"; id: string; peer: string; pointer: Attachment; upload: NewUpload }
	/** A file is at the server, held with this key: its message may go, the one that was queued or a new one. */
	| { type: "send-file"; id: string; peer: string; pointer: Attachment; deleteKey: string; forwards?: number }
	/** A queued file will never be at the server. */
	| { type: "fail-file"; id: string; peer: string; code: string }
	/** The conversation's socket is open; the machine answers with a `Hello` frame. */
	| { type: "conversation-opened"; peer: string }
	| { type: "conversation-frame"; peer: string; frame: ConversationDown }
	| { type: "conversation-closed"; peer: string }
	/** The server has answered the closing that was asked for: it knows that this device is gone. */
	| { type: "conversation-left"; peer: string }
	| { type: "account-opened" }
	| { type: "account-frame"; frame: AccountDown }
	| { type: "account-closed" }
	/** The answer to a `claim-prekeys` request; undefined when the account does not exist. */
	| { type: "prekeys-claimed"; account: string; bundles: PreKeyBundles | undefined }
	/** The answer to a `claim-prekeys` request that failed and may be tried again. */
	| { type: "prekeys-failed"; account: string }
	/** The answer to an `upload-prekeys` request: the set is at the server. */
	| { type: "prekeys-uploaded" }
	/** A person has seen everything up to this entry. */
	| { type: "mark-read"; peer: string; upTo: number }
	| { type: "typing"; peer: string; started: boolean }
	/** A person compared the safety number, or accepts a changed identity key without comparing. */
	| { type: "set-verified"; peer: string; verified: boolean }
	| { type: "accept-identity"; peer: string }
	/** A person mutes, archives or pins a conversation; 0 undoes it. For all devices of the account (rule SYNC-1). */
	| { type: "set-flag"; peer: string; flag: ConversationFlag; value: number }
	| { type: "set-read-receipts"; on: boolean }
	/** A person shows something else of themselves. */
	| { type: "set-profile"; change: ProfileChange }
	/** The conversations that the account has at the server: the other members. */
	| { type: "learn-conversations"; peers: readonly string[] }
	/** A person has found an account under a name. */
	| { type: "share-contact"; username: string; account: string }
	/** The wait that a `wake` request asked for is over. */
	| { type: "wake"; account: string }
	/** Time passes: prekey rotation. Sent by the runner now and then. */
	| { type: "tick" }
	/** A person founds a group. `peer` is `groupId(seed)`, `id` names the change like a message. */
	| ({ type: "create-group"; id: string; peer: string } & Omit<CreateIntention, "do">)
	/** A person wants something of a group. */
	| { type: "change-group"; id: string; peer: string; intention: Intention }
	/** A person has an invite link, with whose secret the group's state was fetched. Key and secret in base64url. */
	| { type: "join-group"; id: string; peer: string; key: string; secret: string; group: Group }
	/** A person deletes a group that the account has left (rule GROUP-20). */
	| { type: "delete-group"; peer: string }
	/** The answers to a `call-group` request, by its `id`. */
	| { type: "group-answered"; peer: string; id: string; answer: ChangedGroup }
	| { type: "group-refused"; peer: string; id: string; code: string; limit: number | undefined }
	/** It failed for the moment, and may be made again. */
	| { type: "group-failed"; peer: string; id: string }
	/** The answer to one that fetches; undefined where the server has nothing for this device. */
	| { type: "group-fetched"; peer: string; group: Group | undefined }
	/** The server has shown this device out of the group. */
	| { type: "group-gone"; peer: string }
	/** A person wants to know who has received or read what, in a group that is too large to be told unasked. */
	| { type: "ask-watermarks"; peer: string };

/** What the runner has to do. */
export type MachineRequest =
	/** Open the conversation's socket if it is not open, and keep it while `wanted`. */
	| { type: "open-conversation"; peer: string }
	/** `bytes`: the frame as it is stored, where it is. */
	| { type: "send-frame"; peer: string; frame: ConversationUp; bytes?: Uint8Array }
	| { type: "send-account-frame"; frame: AccountUp }
	| { type: "claim-prekeys"; account: string }
	| { type: "upload-prekeys"; upload: PreKeyUpload }
	/** Send a `tick` event at this time: a message disappears then. */
	| { type: "tick-at"; atMs: number }
	/** Send a `wake` event after so many milliseconds. */
	| { type: "wake"; account: string; afterMs: number }
	/** Ask the server for a change of a group, or for its state. */
	| { type: "call-group"; peer: string; id: string; call: GroupCall }
	/** For people: shown by a program, never needed for correctness. */
	| { type: "notify"; notice: Notice };

/** Something that a person may want to see at once. */
export type Notice =
	| { type: "message"; message: StoredMessage }
	/** A peer is there, or has left. */
	| { type: "presence"; peer: string; online: boolean; seenMs: number }
	/** A message is not here any more: deleted by a person, or its time is over. */
	| { type: "message-removed"; peer: string; id: string; sender: string }
	/** Messages of the conversation disappear so many seconds after they were read; 0: they stay. */
	| { type: "timer-changed"; peer: string; by: string; seconds: number }
	/**
	 * A message's status has changed, a placeholder was replaced, or (`acted`) somebody has done something with the
	 * message.
	 */
	| { type: "message-changed"; message: StoredMessage; acted?: true }
	| { type: "typing"; peer: string; account: string; started: boolean }
	| { type: "identity-changed"; peer: string; blocked: boolean }
	/** The server has these entries no more; so many of them were here before, and are asked for again (rule RETRY-3). */
	| { type: "missed"; peer: string; from: number; to: number; asked: number }
	/** The server's log ends at `to`; this device had seen it up to `from` (rule CLIENT-6). */
	| { type: "log-went-back"; peer: string; from: number; to: number }
	| { type: "caught-up"; peer: string; head: number }
	| { type: "account-caught-up" }
	/** Another device of the account has changed how a conversation stands: what is read, muted, archived or pinned. */
	| { type: "synced"; peer: string }
	/** A group has changed, as this device has verified. */
	| { type: "group-changed"; peer: string; version: number; title: string; author: string; change: GroupSummary }
	/** What a group's log has that must not be there: it is not believed (rule GROUP-10). `account`: by whom. */
	| { type: "group-warning"; peer: string; code: string; account: string | undefined }
	/** Somebody asks to join. */
	| { type: "group-request"; peer: string; account: string }
	/** This account is no member any more. */
	| { type: "group-left"; peer: string }
	/** So many of the group's devices have this device's sender key, or have it on the way. */
	| { type: "group-progress"; peer: string; done: number; total: number }
	/** What a person wanted of a group, by its id, has happened; `requested`: an admin is asked first. */
	| { type: "group-change-done"; peer: string; id: string; unreachable: string[]; requested: boolean }
	| { type: "group-change-failed"; peer: string; id: string; code: string }
	/** A group message could not be encrypted for some devices of these accounts (rule GROUP-17). */
	| { type: "left-out"; peer: string; messageId: string; accounts: string[] }
	| { type: "watermarks"; peer: string }
	/** Somebody (the user on another device, too) shows something else of themselves. */
	| { type: "profile-changed"; account: string }
	| { type: "prekey-counts"; oneTimePreKeys: number; oneTimeKyberPreKeys: number }
	/** The server refused something that the machine can't repair; `code` is the protocol's name for it. */
	| { type: "refused"; peer: string | undefined; code: string; messageId: string | undefined };

/** What is different in a group. `first`: nothing is known of before. */
export interface GroupSummary {
	first: boolean;
	added: string[];
	removed: string[];
	roles: Member[];
	renamed: boolean;
	described: boolean;
	pictured: boolean;
	rules: boolean;
}

/** How far a message has come; the README of the command line says what each means. */
export type MessageStatus = "queued" | "sent" | "delivered" | "read" | "failed" | "received" | "undecryptable";

/** A message as programs see it. */
export interface StoredMessage {
	/** UUIDv7 in text form. */
	id: string;
	/** The other account, or the group. */
	peer: string;
	/** The account that wrote it. */
	sender: string;
	outgoing: boolean;
	/** Place in the conversation's log; undefined while queued. */
	number: number | undefined;
	/** The text, or what a file's sender wrote beside it; undefined for a placeholder. */
	body: string | undefined;
	file: StoredFile | undefined;
	/** By the sender's clock. */
	sentAtMs: number;
	/** By the server's clock; undefined while queued. */
	serverTimeMs: number | undefined;
	status: MessageStatus;
	/** It came under a changed identity key that nobody has accepted: it may be somebody else's (rule CLIENT-3). */
	underChangedKey: boolean;
}

/** Time and randomness are handed in, so that a simulation decides them. */
export interface MachineEnvironment {
	nowMs(): number;
	randomBytes(count: number): Uint8Array;
}

/** Steps are serialised inside; several events in one call share a transaction. */
export interface Machine {
	step(events: readonly MachineEvent[]): Promise<MachineRequest[]>;
	newMessageId(): string;
}

/** Who this device is, after registration. */
export interface LocalAccount {
	username: string;
	accountId: string;
	deviceId: number;
	/** base64url, 32 bytes. */
	deviceSecret: string;
	/** URL of the api. */
	server: string;
}
