/** What both sides of a simulated conversation write into frames. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { DeviceAddress } from "../protocol/gen/common_pb.js";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";
import { uuidFromBytes } from "../protocol/ids.ts";
import { deviceName } from "./device.ts";
import type { DeviceName } from "./history.ts";

/** The plain text in place of a ciphertext. */
export function bodyText(id: string, to: DeviceName): string {
	return `${id} for ${to}`;
}

/** The same in bytes. */
export function bodyFor(id: string, to: DeviceName): Uint8Array<ArrayBuffer> {
	return Uint8Array.from(new TextEncoder().encode(bodyText(id, to)));
}

/** The name of the device at an address. */
export function addressName(address: DeviceAddress): DeviceName {
	return deviceName(uuidFromBytes(address.account), address.device);
}

/** A frame to the object. */
export function encodeUp(
	frame: NonNullable<Parameters<typeof create<typeof ConversationUpSchema>>[1]>["frame"],
): Uint8Array {
	return toBinary(ConversationUpSchema, create(ConversationUpSchema, frame === undefined ? {} : { frame }));
}
