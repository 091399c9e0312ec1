/** A profile as people see it. Pure. */
import type { Attachment, Profile } from "../../protocol/gen/content_pb.js";
import { LIMITS } from "../../protocol/limits.ts";
import { acceptedPicture } from "../media/picture.ts";

export interface ShownProfile {
	/** Empty where the person shows none. A claim, like the rest: the username is who somebody is. */
	name: string;
	about: string;
	picture: Attachment | undefined;
}

/** What a person changes; what is left out stays. */
export interface ProfileChange {
	name?: string;
	about?: string;
	/** A serialized `Attachment`; empty: none. */
	picture?: Uint8Array<ArrayBuffer>;
}

/**
 * What of a profile is shown: texts beyond the limits, and pictures that can't be one, are left out (rule PROFILE-1).
 */
export function shownProfile({ name, about, picture }: Profile): ShownProfile {
	return {
		name: isName(name) ? name.trim() : "",
		about: isAbout(about) ? about.trim() : "",
		picture: acceptedPicture(picture),
	};
}

/** One line. */
export function isName(name: string): boolean {
	return Buffer.byteLength(name) <= LIMITS.profile_name_bytes && !/[\p{Cc}\u2028\u2029]/u.test(name);
}

export function isAbout(about: string): boolean {
	return Buffer.byteLength(about) <= LIMITS.profile_about_bytes;
}
