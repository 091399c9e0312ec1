/** Why a change comes to nothing, in words. */
import { Failure } from "../failure.ts";

const WORDS: Readonly<Record<string, string>> = {
	nothing_to_do: "that is so already",
	not_a_member: "you are not a member of the group",
	no_such_member: "they are not a member of the group",
	already_a_member: "they are members already",
	joined_already: "you are a member of the group already",
	member_gone: "they have left, and the group still lists them: remove them first, then add them",
	not_permitted: "the group's rules don't let you do that",
	last_admin: "a group keeps an admin: make somebody else one first",
	group_full: "the group is full",
	bad_title: "a title has 1 to 128 characters in one line, a description at most 2,048",
	group_conflict: "others changed the group again and again: try it once more",
	not_found: "there is no such group for you any more",
};

/** A `Failure` `refused` in words, with the code where there are none. */
export function refusalOf(code: string): Failure {
	return new Failure("refused", WORDS[code] ?? `the server refused it: ${code}`);
}
