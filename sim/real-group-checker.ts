/** What only real ciphertexts can show: who could read which message, with the keys that are on the disks at the end. */
import { fromBinary } from "@bufbuild/protobuf";
import { ConversationUpSchema, type Send } from "../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes } from "../protocol/ids.ts";
import { parseSender } from "../workers/conversation-do/roster.ts";
import type { Violation } from "./checker.ts";
import type { DeviceName, History } from "./history.ts";
import type { Ledger, SharedEntry } from "./real-group-client.ts";

/** Where each change stands, and what it was made for. */
export function ledgerOf(
	payloads: ReadonlyMap<number, Uint8Array>,
	head: number,
	intents: ReadonlyMap<string, { intent: string; account: string }>,
): Ledger {
	const ledger = new Map<number, { number: number; intent: string; account: string }>();
	for (const [number, payload] of payloads) {
		const send = sendOf(payload);
		if (number > head || send?.change === undefined || send.change.state.length === 0) continue;
		const wire = uuidFromBytes(send.messageId);
		const { intent = wire, account = "" } = intents.get(wire) ?? {};
		ledger.set(send.change.version, { number, intent, account });
	}
	return ledger;
}

/** Messages for all, with their senders, wiped ones too. */
export function sharedEntries(
	logged: readonly { number: number; sender: string; payload: Uint8Array }[],
): SharedEntry[] {
	return logged.flatMap(({ number, sender, payload }) => {
		const send = sendOf(payload);
		if (send === undefined || send.shared.length === 0) return [];
		const { account, device } = parseSender(sender);
		return [{ number, account: uuidFromBytes(account), device, ciphertext: send.shared }];
	});
}

/**
 * Whoever can open a message was on the roster when it came: the removed can open nothing of after, newcomers nothing of
 * before, whatever ciphertexts they get hold of (rules GROUP-6 and GROUP-13).
 */
export async function checkOpened(
	{ observations }: History,
	clients: readonly { name: DeviceName; opens(entries: readonly SharedEntry[]): Promise<number[]> }[],
	entries: readonly SharedEntry[],
): Promise<Violation[]> {
	const rosters = observations.flatMap((one) => (one.type === "roster" ? [one] : []));
	const at = (number: number): readonly DeviceName[] => rosters.findLast(({ head }) => head < number)?.devices ?? [];
	const violations: Violation[] = [];
	for (const { name, ...client } of clients.map((one) => ({ name: one.name, opens: one.opens.bind(one) }))) {
		const foreign = entries.filter(({ number }) => !at(number).includes(name));
		for (const number of await client.opens(foreign)) {
			violations.push({ rule: "GROUP-13", what: `${name} can open ${number}, which was not for it` });
		}
	}
	return violations;
}

function sendOf(payload: Uint8Array): Send | undefined {
	const { frame } = fromBinary(ConversationUpSchema, payload);
	return frame.case === "send" ? frame.value : undefined;
}
