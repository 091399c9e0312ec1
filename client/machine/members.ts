/** Who a conversation of two is for: whatever the server lists, nothing is encrypted for a third account. */
import type { DeviceAddress } from "../../protocol/gen/common_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import type { RosterDevice } from "../store/conversations.ts";
import type { Context } from "./context.ts";

/** The two members' devices among those that the server names; others are told and left out (rule ROSTER-1). */
export function memberDevices(context: Context, peer: string, named: readonly DeviceAddress[]): RosterDevice[] {
	const members = new Set([peer, context.account.accountId]);
	const devices: RosterDevice[] = [];
	for (const { account, device, registrationId } of named) {
		const id = account.length === 16 ? uuidFromBytes(account) : "";
		const inRange = device >= 1 && device <= 127 && registrationId >= 1 && registrationId <= 16_380;
		if (members.has(id) && inRange) devices.push({ account: id, device, registration_id: registrationId });
	}
	if (devices.length < named.length) {
		context.notify({ type: "refused", peer, code: "STRANGER_ON_ROSTER", messageId: undefined });
	}
	return devices;
}
