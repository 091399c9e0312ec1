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

export interface ConversationInterface {
	/**
	 * Gives a new conversation its members (roster version 1); one member is a conversation with oneself. A conversation that has a roster keeps it: the call
	 * may be repeated and raced. The api calls it when `fetch` answers 428.
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
