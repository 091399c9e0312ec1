/** Who may do what with others' messages and with a conversation. In a conversation of two nobody is above the other. */
import type { Store } from "../store/database.ts";
import type { MayDelete } from "./fold.ts";

/** Whether somebody may delete others' messages in a conversation (rule DELETE-4). A group's roles would decide here. */
export function mayDelete(_store: Store, _peer: string): MayDelete {
	return () => false;
}
