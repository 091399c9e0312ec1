/** What a turn does, collected in order. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ErrorCode, RefusedSchema } from "../../protocol/gen/common_pb.js";
import type { Effect } from "./events.ts";
import { encode } from "./frames.ts";
import type { Session, Sessions } from "./sessions.ts";

/** What belongs to a code (rule REFUSED-1). */
export type RefusedFields = Omit<Exclude<MessageInitShape<typeof RefusedSchema>, { $typeName: string }>, "code">;

export class Output {
	effects: Effect[] = [];
	readonly #sessions: Sessions;

	constructor(sessions: Sessions) {
		this.#sessions = sessions;
	}

	push(session: Session, bytes: Uint8Array): void {
		this.effects.push({ type: "send", socket: session.state.id, bytes });
	}

	/** To everybody who has said hello, but the one. */
	pushToOthers(session: Session | undefined, bytes: Uint8Array): void {
		for (const other of this.#sessions) {
			if (other !== session && other.state.greeted) this.push(other, bytes);
		}
	}

	refuse(session: Session, code: ErrorCode, fields: RefusedFields = {}): void {
		this.push(session, encode({ case: "refused", value: { ...fields, code } }));
	}

	close(session: Session, code: number): void {
		this.#sessions.delete(session);
		// The runtime lists the socket until its end agrees: it must not come back with the next waking.
		this.effects.push({ type: "attach", socket: { ...session.state, closed: true } });
		this.effects.push({ type: "close", socket: session.state.id, code });
	}
}
