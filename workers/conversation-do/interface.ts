/** What other rooms may ask of a conversation object. Two versions overlap during a deploy: only add to it. */

/** A device as the roster knows it. */
export interface RosterDevice {
	/** 1 to 127. */
	device: number;
	registrationId: number;
}

/** A member with its devices. */
export interface RosterMember {
	/** The account's UUID in text form. */
	account: string;
	devices: RosterDevice[];
	/** Grows with each change of the account's devices. A list that isn't newer than the known one is ignored. */
	version?: number;
}

/** What a member of a group is. */
export type GroupRole = "member" | "admin";
/** Who may do something in a group. */
export type GroupPermission = "members" | "admins";

/** Who may do what in a group, as the server enforces it (rule GROUP-3). */
export interface GroupRules {
	add: GroupPermission;
	edit: GroupPermission;
	send: GroupPermission;
	/** Who has the link's secret may join: at once, or when an admin approves. */
	link: boolean;
	approval: boolean;
}

/** A change of a group whose actor the api has authenticated. The devices of added members are read by the api. */
export interface GroupChangeRequest {
	/** UUIDv7 of the change, in hex. */
	messageId: string;
	actor: { account: string; device: number };
	/** The state's version after the change; 1 founds the group. */
	version: number;
	added: (RosterMember & { role: GroupRole })[];
	removed: string[];
	roles: { account: string; role: GroupRole }[];
	rules: GroupRules | undefined;
	/** SHA-256 of a new link's secret, in hex. */
	linkHash: string | undefined;
	declined: string | undefined;
	/** The state under the group's key, in base64. */
	state: string;
	/** SHA-256 of the secret that the actor has shown, in hex. */
	linkSecretHash: string | undefined;
	/** Later the change is refused: what the api has said before it to others is over (rule GROUP-6). */
	notAfter_ms?: number | undefined;
}

/** A request to join, by the link. */
export interface GroupJoinRequest {
	messageId: string;
	actor: { account: string; device: number };
	linkSecretHash: string | undefined;
}

/** Why a group's change is refused; codes of HTTP. */
export interface Refused {
	refused:
		| "not_found"
		| "group_exists"
		| "group_conflict"
		| "not_permitted"
		| "malformed"
		| "group_full"
		| "last_admin"
		| "message_id_conflict"
		| "too_late";
	limit?: number;
}

/** The entry that a change has become. */
export interface GroupChanged {
	number: number;
	version: number;
}

/** What members, and who has the link's secret, see. */
export interface GroupView {
	version: number;
	state: string;
	requests: string[];
}

/** What the api may ask of a conversation's object. */
export interface ConversationInterface {
	/**
	 * Changes a group in one turn: its state, its roster, and an entry in its log that tells everybody (rule GROUP-2).
	 * With version 1 it founds the group. The same message id again has the same answer and changes nothing.
	 */
	changeGroup(request: GroupChangeRequest): Promise<GroupChanged | Refused>;
	/** Asks to join (rule GROUP-5): an entry too, which the admins answer with a change. Repeatable. */
	requestToJoin(request: GroupJoinRequest): Promise<GroupChanged | Refused>;
	/** The group, for a member or for who has shown the link's secret; undefined for everybody else. */
	viewGroup(account: string, linkSecretHash: string | undefined): Promise<GroupView | undefined>;
	/** Which of the accounts are members. */
	membersAmong(accounts: string[]): Promise<string[]>;
	/**
	 * Gives a new conversation its members (roster version 1); one member is a conversation with oneself. A conversation
	 * that has a roster keeps it: the call may be repeated and raced. The api calls it when `fetch` answers 428.
	 */
	found(members: RosterMember[]): Promise<void>;
	/**
	 * A member's devices as they are now; the roster's version grows if that is a change. Idempotent, and in any order:
	 * the newest version stays (rule DEVICE-4). Ignored before `found`.
	 */
	setDevices(member: RosterMember): Promise<void>;
	/** The member's account is gone: its devices leave the roster, its sockets close. Idempotent. */
	removeMember(account: string): Promise<void>;
	/**
	 * A WebSocket upgrade by a device that the api has authenticated and names in the two headers below. Answers 101;
	 * 428 without a roster; 403 to a device that is not on it; 426 without an upgrade.
	 */
	fetch(request: Request): Promise<Response>;
}

/** The headers in which the api names the device; the api strips them from what comes from outside. */
export const ACCOUNT_HEADER = "x-parley-account";
export const DEVICE_HEADER = "x-parley-device";
