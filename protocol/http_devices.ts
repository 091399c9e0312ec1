/** The HTTP bodies of devices: linking, list, names, unlinking (rules LINK-1 to LINK-5, DEVICE-1 to DEVICE-6). */
import { z } from "zod";
import {
	AccessToken,
	accountId,
	base64url,
	deviceId,
	KyberPreKey,
	OneTimePreKey,
	SignedPreKey,
	sealedName,
	signature,
} from "./http.ts";
import { LIMITS } from "./limits.ts";

/** Where the old device leaves the account's keys for the new one: random, known from the code only. */
export const LinkAddress = base64url(16);

/** Opens a mailbox. The same address again, while it lasts, is the same mailbox. */
export const OpenLinkRequest = z.strictObject({ address: LinkAddress });
export type OpenLinkRequest = z.infer<typeof OpenLinkRequest>;

export const OpenLinkResponse = z.strictObject({ expiresAtMs: z.int() });
export type OpenLinkResponse = z.infer<typeof OpenLinkResponse>;

/** HPKE to the key in the code, which the server never sees. */
export const LinkCiphertext = z.strictObject({ ciphertext: base64url(1, LIMITS.link_ciphertext_bytes) });
export type LinkCiphertext = z.infer<typeof LinkCiphertext>;

/** What waits in a mailbox: nothing yet, or the one ciphertext, which is gone from the server with this answer. */
export const TakenLink = z.strictObject({ ciphertext: LinkCiphertext.shape.ciphertext.optional() });
export type TakenLink = z.infer<typeof TakenLink>;

/** A one-time token with which one device may be added to the account. */
export const DeviceToken = z.strictObject({ token: base64url(32), expiresAtMs: z.int() });
export type DeviceToken = z.infer<typeof DeviceToken>;

/**
 * A new device of an account. It chooses its secret and stores the request before it asks: a repetition after a crash
 * returns the same device. `proof` is an XEdDSA signature by the account's identity key over `deviceProofInput()`.
 */
export const AddDeviceRequest = z.strictObject({
	accountId,
	token: DeviceToken.shape.token,
	registrationId: z.int().min(1).max(16380),
	deviceSecret: base64url(32),
	proof: signature,
	sealedName: sealedName.optional(),
	signedPreKey: SignedPreKey,
	lastResortKyberPreKey: KyberPreKey,
	oneTimePreKeys: z.array(OneTimePreKey).max(LIMITS.prekeys_per_upload),
	oneTimeKyberPreKeys: z.array(KyberPreKey).max(LIMITS.prekeys_per_upload),
});
export type AddDeviceRequest = z.infer<typeof AddDeviceRequest>;

export const AddDeviceResponse = z.strictObject({ accountId, deviceId, ...AccessToken.shape });
export type AddDeviceResponse = z.infer<typeof AddDeviceResponse>;

/** The account's devices, by id. */
export const DeviceList = z.strictObject({
	devices: z.array(
		z.strictObject({
			deviceId,
			registrationId: z.int(),
			sealedName: sealedName.optional(),
			createdAtMs: z.int(),
			/** Days since 1970: nothing finer is kept. */
			lastSeenDay: z.int(),
		}),
	),
});
export type DeviceList = z.infer<typeof DeviceList>;

export const RenameDeviceRequest = z.strictObject({ sealedName });
export type RenameDeviceRequest = z.infer<typeof RenameDeviceRequest>;

/** A page of the account's conversations, by id, and where the next one begins. */
export const ConversationList = z.strictObject({
	conversations: z.array(
		/** Without a peer it is a group. */
		z.strictObject({ conversation: z.string().regex(/^[0-9a-f]{64}$/), peer: accountId.optional() }),
	),
	next: z.string().optional(),
});
export type ConversationList = z.infer<typeof ConversationList>;

/** What the identity key signs for a new device: it binds the device's secret to the key's holder. */
export function deviceProofInput(registrationId: number, deviceSecret: Uint8Array): Uint8Array<ArrayBuffer> {
	const label = new TextEncoder().encode("parley device v1");
	const input = new Uint8Array(label.length + 4 + 32);
	input.set(label);
	new DataView(input.buffer).setUint32(label.length, registrationId);
	input.set(deviceSecret, label.length + 4);
	return input;
}
