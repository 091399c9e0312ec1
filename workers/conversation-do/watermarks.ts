/** How far devices are, and who hears of it (rules WATERMARK-1 to WATERMARK-3). */
import { LIMITS } from "../../protocol/limits.ts";
import { encode } from "./frames.ts";
import type { Room } from "./room.ts";
import type { Device } from "./roster.ts";
import type { Session } from "./sessions.ts";
import type { Persisted } from "./state.ts";

/** A thousand devices that acknowledge to a thousand others would be a million frames (rule GROUP-8). */
export function pushesWatermarks(state: Persisted): boolean {
	return state.devices.length <= LIMITS.watermark_push_devices;
}

/** Of all devices. */
export function watermarksOf(state: Persisted) {
	return state.devices.map((device) => watermarkOf(state, device));
}

function watermarkOf(state: Persisted, device: Device) {
	const { accountBytes: account, told: delivered, arrived: after } = device;
	return { account, device: device.device, delivered, read: state.readOf(device.account), after };
}

/** To everybody else, but those who have heard it beside an entry after the number `besideAfter` (rule DELIVERED-4). */
export function pushWatermark(room: Room, session: Session, device: Device, besideAfter = room.log.head): void {
	if (!pushesWatermarks(room.state)) return;
	let bytes: Uint8Array | undefined;
	for (const other of room.sessions) {
		if (other === session || !other.state.greeted || other.beside > besideAfter) continue;
		bytes ??= encode({ case: "watermark", value: watermarkOf(room.state, device) });
		room.out.push(other, bytes);
	}
}
