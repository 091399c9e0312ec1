/** What people show of themselves: the SDK's side of `parley profile`. */
import type { Attachment } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { Failure } from "../failure.ts";
import type { Pictures } from "../media/pictures.ts";
import type { Preview } from "../media/preview.ts";
import type { Store } from "../store/database.ts";
import { profileOf } from "../store/profiles.ts";
import type { Runner } from "../transport/runner.ts";
import { isAbout, isName, type ProfileChange, type ShownProfile, shownProfile } from "./profile.ts";

const NOTHING: ShownProfile = { name: "", about: "", picture: undefined };

export interface ProfilesOptions {
	store: Store;
	/** The own account. */
	account: string;
	runner: Pick<Runner, "perform">;
	pictures: Pictures;
	resolve(name: string): Promise<string>;
}

/** Names, words and pictures that people show, the own ones too. */
export class Profiles {
	readonly #options: ProfilesOptions;

	constructor(options: ProfilesOptions) {
		this.#options = options;
	}

	/** The account behind a name; asks the server where it is not known yet. */
	accountOf(name: string): Promise<string> {
		return this.#options.resolve(name);
	}

	/** What an account shows, as far as it has come here; the own one without an account. */
	of(account: string = this.#options.account): ShownProfile {
		const profile = profileOf(this.#options.store, account);
		return profile === undefined ? NOTHING : shownProfile(profile);
	}

	/** Changes what the user shows. People hear of it with the next message. Throws `Failure` `bad_argument`. */
	async set({ name, about }: { name?: string; about?: string }): Promise<void> {
		if (name !== undefined && !isName(name)) {
			throw new Failure("bad_argument", `a name is one line of at most ${LIMITS.profile_name_bytes} bytes`);
		}
		if (about !== undefined && !isAbout(about)) {
			throw new Failure("bad_argument", `what you say of yourself has at most ${LIMITS.profile_about_bytes} bytes`);
		}
		const texts = { ...(name === undefined ? {} : { name }), ...(about === undefined ? {} : { about }) };
		await this.#change(texts);
	}

	/** Shows another picture, from an image on disk; without one none. Throws as `Pictures.set`. */
	async setPicture(path: string | undefined): Promise<void> {
		const { account, pictures } = this.#options;
		if (path !== undefined) return pictures.set(account, path, (picture) => this.#change({ picture }));
		await this.#change({ picture: new Uint8Array(0) });
		await pictures.sweep().catch(() => undefined);
	}

	/** Saves somebody's picture and returns the path. Throws `Failure` `no_such_picture`, and as `Pictures.save`. */
	async savePicture(account: string, to: string): Promise<string> {
		return this.#options.pictures.save(account, this.#picture(account), to);
	}

	/** Somebody's picture for a square of `side` pixels; throws as `savePicture`. */
	async picturePreview(account: string, side: number): Promise<Preview> {
		return this.#options.pictures.preview(account, this.#picture(account), side);
	}

	#picture(account: string): Attachment {
		const { picture } = this.of(account);
		if (picture === undefined) throw new Failure("no_such_picture", "they show no picture");
		return picture;
	}

	#change(change: ProfileChange): Promise<void> {
		return this.#options.runner.perform({ type: "set-profile", change });
	}
}
