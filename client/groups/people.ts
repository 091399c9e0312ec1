/** What people do with groups: the SDK's side of `parley group …`. */
import { randomBytes } from "node:crypto";
import type { Attachment } from "../../protocol/gen/content_pb.js";
import { groupId } from "../../protocol/ids.ts";
import { LIMITS } from "../../protocol/limits.ts";
import { Failure } from "../failure.ts";
import { lineOf } from "../in_vain.ts";
import type { LocalAccount, Notice } from "../machine/interface.ts";
import type { ClientMachine } from "../machine/machine.ts";
import { acceptedPicture } from "../media/picture.ts";
import type { Pictures } from "../media/pictures.ts";
import type { Preview } from "../media/preview.ts";
import { toBase64url } from "../signal/bytes.ts";
import type { Store } from "../store/database.ts";
import { rosterMembers } from "../store/group_roster.ts";
import { leftOutAccounts, type MemberMark, memberMarks } from "../store/group_watermarks.ts";
import { allGroups, findGroup, groupRequests, isLocked, lockedGroups } from "../store/groups.ts";
import type { Clock } from "../transport/clock.ts";
import { fetchGroup } from "../transport/group_calls.ts";
import type { Api } from "../transport/http.ts";
import type { Runner } from "../transport/runner.ts";
import type { Waiters } from "../waiters.ts";
import type { Intention } from "./intention.ts";
import { linkText, parseLink } from "./link.ts";
import { resolveAll } from "./names.ts";
import { findGroupByName } from "./reference.ts";
import { type GroupState, isGroup, parseState } from "./state.ts";
import { refusalOf } from "./words.ts";

/** A change takes the server a while where many are added. */
const PATIENCE_MS = 60_000;

type ChangeNotice = Extract<Notice, { type: "group-change-done" | "group-change-failed" }>;
/** A large group takes a while: names are looked up, members added, keys given to their devices. */
export interface GroupProgress {
	stage: "names" | "members" | "keys";
	done: number;
	total: number;
}

/** A group as this device knows it. */
export interface GroupInfo extends GroupState {
	/** The picture's pointer; undefined where there is none that can be shown. */
	image: Attachment | undefined;
	/** Whether this account is a member. */
	member: boolean;
	/** Whether this account has asked to join, and is no member yet. */
	asked: boolean;
	/** Members that are on the server's roster no more: their account is deleted, or they left without the group's key. */
	gone: string[];
	/** Accounts that ask to join. */
	requests: string[];
	/** The invite link, where there is one. */
	link: string | undefined;
}

export interface GroupsOptions {
	store: Store;
	account: LocalAccount;
	machine: ClientMachine;
	runner: Runner;
	api: Api;
	waiters: Waiters;
	pictures: Pictures;
	connect(): void;
	/** The account behind a name. */
	resolve(name: string): Promise<string>;
	clock: Clock;
}

/** What became of changes, by the id that the machine knows them by. */
export type ChangeOutcomes = Map<string, ChangeNotice>;

/** Groups: founding, changing, joining and leaving them. */
export class Groups {
	readonly #options: GroupsOptions;
	readonly #outcomes: ChangeOutcomes;

	constructor(options: GroupsOptions, outcomes: ChangeOutcomes) {
		this.#options = options;
		this.#outcomes = outcomes;
	}

	list(): GroupInfo[] {
		return allGroups(this.#options.store).map(({ peer }) => this.info(peer));
	}

	/** Groups that the account is in and that this device can't read (yet): their ids. */
	locked(): string[] {
		return lockedGroups(this.#options.store, this.#options.account.accountId);
	}

	/** Throws `Failure` `no_such_group`. */
	info(name: string): GroupInfo {
		const { store, api } = this.#options;
		const peer = this.find(name);
		const row = findGroup(store, peer);
		const state = row?.state == null ? undefined : parseState(row.state);
		if (row === undefined || state === undefined) throw new Failure("no_such_group", `nothing is known of ${name} yet`);
		const withLink = state.rules.link && row.key !== null;
		const key = toBase64url(row.key ?? new Uint8Array(0));
		const secret = toBase64url(state.linkSecret);
		const link = withLink ? linkText({ server: api.server, group: peer, key, secret }) : undefined;
		const image = acceptedPicture(state.picture);
		const member = row.member === 1;
		const own = this.#options.account.accountId;
		// Of a group that was left the last state is here, which lists this account.
		const members = member ? state.members : state.members.filter(({ account }) => account !== own);
		const roster = new Set(rosterMembers(store, peer));
		const gone = member ? members.map(({ account }) => account).filter((account) => !roster.has(account)) : [];
		const requests = groupRequests(store, peer);
		return { ...state, members, gone, image, member, asked: !member && requests.includes(own), requests, link };
	}

	find(name: string): string {
		return findGroupByName(this.#options.store, name, this.#options.account.accountId);
	}

	/**
	 * Founds a group, adds its members in as many changes as that takes, and gives them its key. Returns its id and the
	 * accounts that don't exist any more.
	 */
	async create(
		title: string,
		names: readonly string[],
		onProgress: (progress: GroupProgress) => void = () => {},
	): Promise<{ group: string; unreachable: string[] }> {
		const { machine, runner } = this.#options;
		const members = await this.#accounts(names, onProgress);
		if (members.length >= LIMITS.group_members) {
			throw new Failure("bad_argument", `a group has at most ${LIMITS.group_members} members`);
		}
		this.#options.connect();
		const seed = new Uint8Array(randomBytes(32));
		const peer = await groupId(seed);
		const first = members.slice(0, LIMITS.group_added - 1);
		const id = machine.newMessageId();
		const founding = { type: "create-group" as const, id, peer, title, description: "", members: first };
		await runner.perform({ ...founding, seed: toBase64url(seed) });
		const { unreachable } = await this.#outcome(id, peer);
		const added = (done: number) => onProgress({ stage: "members", done, total: members.length });
		added(first.length);
		for (let start = first.length; start < members.length; start += LIMITS.group_added) {
			const accounts = members.slice(start, start + LIMITS.group_added);
			unreachable.push(...(await this.change(peer, { do: "add", accounts })).unreachable);
			added(start + accounts.length);
		}
		await this.#keysGiven(peer, onProgress);
		return { group: peer, unreachable };
	}

	async add(name: string, members: readonly string[]): Promise<{ unreachable: string[] }> {
		const accounts = await this.#others(members);
		const unreachable: string[] = [];
		const peer = this.find(name);
		for (let start = 0; start < accounts.length; start += LIMITS.group_added) {
			const part = accounts.slice(start, start + LIMITS.group_added);
			unreachable.push(...(await this.change(peer, { do: "add", accounts: part })).unreachable);
		}
		await this.#keysGiven(peer, () => {});
		return { unreachable };
	}

	async remove(name: string, members: readonly string[]): Promise<void> {
		const accounts = await this.#others(members);
		const peer = this.find(name);
		for (let start = 0; start < accounts.length; start += LIMITS.group_added) {
			const part = accounts.slice(start, start + LIMITS.group_added);
			await this.change(peer, { do: "remove", accounts: part, secret: newSecret() });
		}
	}

	async role(name: string, member: string, role: "member" | "admin"): Promise<void> {
		await this.change(name, { do: "role", account: await this.#options.resolve(member), role });
	}

	/** Gives the group another picture, from an image on disk; without one it has none any more. */
	async setPicture(name: string, path: string | undefined): Promise<void> {
		const { pictures } = this.#options;
		const peer = this.find(name);
		const change = (pointer: Uint8Array): Promise<unknown> =>
			this.change(peer, { do: "picture", picture: Buffer.from(pointer).toString("base64") });
		if (path !== undefined) return pictures.set(peer, path, change);
		await change(new Uint8Array(0));
		await pictures.sweep().catch(() => undefined);
	}

	/** Saves the group's picture and returns the path. Throws `Failure` `no_such_picture`, and as `Pictures.save`. */
	async savePicture(name: string, to: string): Promise<string> {
		const { group, image } = this.info(name);
		return this.#options.pictures.save(group, picture(name, image), to);
	}

	/** The group's picture for a square of `side` pixels; throws as `savePicture`. */
	async picturePreview(name: string, side: number): Promise<Preview> {
		const { group, image } = this.info(name);
		return this.#options.pictures.preview(group, picture(name, image), side);
	}

	/** Lets in who asked, or doesn't. */
	async answer(name: string, who: string, approve: boolean): Promise<void> {
		const account = await this.#options.resolve(who);
		await this.change(name, { do: approve ? "approve" : "decline", account });
		if (approve) await this.#keysGiven(this.find(name), () => {});
	}

	/** Switches the invite link on or off, or makes a new one. Returns it. */
	async link(name: string, to: { on: boolean; approval?: boolean; reset: boolean }): Promise<string | undefined> {
		const { rules, link } = this.info(name);
		const approval = to.approval ?? rules.approval;
		const same = to.on === rules.link && approval === rules.approval && !to.reset;
		if (same) return link;
		await this.change(name, { do: "link", on: to.on, approval, reset: to.reset, secret: newSecret() });
		return this.info(name).link;
	}

	/** Joins by an invite link. `requested`: an admin has to let the account in first. */
	async join(text: string): Promise<{ group: string; requested: boolean }> {
		const { api, machine, runner } = this.#options;
		const link = parseLink(text);
		if (link === undefined) throw new Failure("bad_argument", "that is not an invite link: parley://group?…");
		if (link.server !== api.server) {
			throw new Failure("bad_argument", `the link is of ${link.server}, and your account is at ${api.server}`);
		}
		const group = await fetchGroup(api, link.group, link.secret);
		if (group === undefined) throw new Failure("no_such_group", "this invite link leads nowhere any more");
		this.#options.connect();
		const id = machine.newMessageId();
		const { key, secret } = link;
		await runner.perform({ type: "join-group", id, peer: link.group, key, secret, group });
		const { requested } = await this.#outcome(id, link.group);
		return { group: link.group, requested };
	}

	/** Leaves, also a group of which this device has no key (rule GROUP-20). Throws as `change`. */
	async leave(name: string): Promise<{ group: string; locked: boolean }> {
		const group = this.find(name);
		const locked = isLocked(this.#options.store, group, this.#options.account.accountId);
		await this.change(group, { do: "leave" });
		return { group, locked };
	}

	/** Deletes a group that the account has left, and its messages. Throws `Failure` `refused` while it is a member. */
	async delete(name: string): Promise<string> {
		const { store, account, runner } = this.#options;
		const group = this.find(name);
		if (isLocked(store, group, account.accountId) || findGroup(store, group)?.member === 1) {
			throw new Failure("refused", `leave it first: parley group leave ${name}`);
		}
		await runner.perform({ type: "delete-group", peer: group });
		return group;
	}

	/** Any change; resolves when it is in the group's history. Throws `Failure` `refused`. */
	async change(name: string, intention: Intention): Promise<{ unreachable: string[]; requested: boolean }> {
		const { machine, runner } = this.#options;
		const peer = isGroup(name) ? name : this.find(name);
		this.#options.connect();
		runner.openConversation(peer);
		const id = machine.newMessageId();
		await runner.perform({ type: "change-group", id, peer, intention });
		return this.#outcome(id, peer);
	}

	/** How far each member is, and whom a message could not be encrypted for. Asks the server where it must. */
	async marks(peer: string, message: string, refresh: boolean): Promise<{ members: MemberMark[]; leftOut: string[] }> {
		const { store, account, runner } = this.#options;
		if (refresh) await runner.perform({ type: "ask-watermarks", peer });
		const members = memberMarks(store, peer).filter((mark) => mark.account !== account.accountId);
		return { members, leftOut: leftOutAccounts(store, message) };
	}

	async #accounts(
		names: readonly string[],
		onProgress: (progress: GroupProgress) => void = () => {},
	): Promise<string[]> {
		const told = (done: number) => onProgress({ stage: "names", done, total: names.length });
		const accounts = await resolveAll(this.#options, names, told);
		return [...new Set(accounts)].filter((account) => account !== this.#options.account.accountId);
	}

	/** As `#accounts`, and at least one. */
	async #others(names: readonly string[]): Promise<string[]> {
		const accounts = await this.#accounts(names);
		if (accounts.length === 0) throw new Failure("bad_argument", "name somebody else than yourself");
		return accounts;
	}

	async #outcome(id: string, peer: string): Promise<{ unreachable: string[]; requested: boolean }> {
		await this.#options.waiters.until({
			check: () => this.#outcomes.has(id),
			patienceMs: PATIENCE_MS,
			renewable: true,
			concerns: [lineOf(undefined), lineOf(peer)],
			late: () => new Failure("unreachable", "no answer from the server: the change waits for the next connection"),
		});
		const outcome = this.#outcomes.get(id);
		this.#outcomes.delete(id);
		if (outcome?.type === "group-change-failed") throw refusalOf(outcome.code);
		return { unreachable: outcome?.unreachable ?? [], requested: outcome?.requested ?? false };
	}

	/** Waits until who came has the group's key, or can't have it now. */
	async #keysGiven(peer: string, onProgress: (progress: GroupProgress) => void): Promise<void> {
		const { store, runner, waiters } = this.#options;
		let told = -1;
		await waiters.until({
			check: () => {
				const progress = runner.groupProgress.get(peer);
				if (progress !== undefined && progress.done !== told) {
					told = progress.done;
					onProgress({ stage: "keys", ...progress });
				}
				return findGroup(store, peer)?.wanted !== 1;
			},
			patienceMs: PATIENCE_MS,
			renewable: true,
			concerns: [lineOf(undefined), lineOf(peer)],
			late: () => new Failure("unreachable", "no answer from the server: the members get the group's key later"),
		});
	}
}

function picture(name: string, image: Attachment | undefined): Attachment {
	if (image === undefined) throw new Failure("no_such_picture", `${name} has no picture`);
	return image;
}

function newSecret(): string {
	return toBase64url(new Uint8Array(randomBytes(32)));
}
