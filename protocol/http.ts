/**
 * The bodies of the HTTP interface. The api validates with these schemas, the client infers its types from them, and
 * the OpenAPI document is generated from them. Bytes are base64url without padding.
 */
import { z } from "zod";
import { UUID_PATTERN } from "./ids.ts";
import { LIMITS } from "./limits.ts";

/** Bytes in base64url without padding. */
export const base64url = (bytes_min: number, bytes_max = bytes_min) =>
	z
		.string()
		.regex(/^[A-Za-z0-9_-]+$/)
		.min(Math.ceil((bytes_min * 4) / 3))
		.max(Math.ceil((bytes_max * 4) / 3));

/** A UUID in lower case. */
export const accountId = z.string().regex(UUID_PATTERN);
/** The first device of an account is 1. */
export const deviceId = z.int().min(1).max(127);
const keyId = z.int().min(0).max(0xffffff);
/** Curve25519 with libsignal's type byte. */
const publicKey = base64url(33);
/** XEdDSA over the serialized public key, by the account's identity key. */
export const signature = base64url(64);
/** Kyber-1024 with libsignal's type byte. */
const kyberPublicKey = base64url(1569);

/** A Curve25519 prekey, used until it is replaced. */
export const SignedPreKey = z.strictObject({ id: keyId, key: publicKey, signature });
/** A Kyber-1024 prekey, one-time or the last resort. */
export const KyberPreKey = z.strictObject({ id: keyId, key: kyberPublicKey, signature });
/** A Curve25519 prekey that is handed out once. */
export const OneTimePreKey = z.strictObject({ id: keyId, key: publicKey });

/** Prekeys of one device; what is left out stays as it is. The same set twice changes nothing. */
export const PreKeyUpload = z.strictObject({
	signedPreKey: SignedPreKey.optional(),
	lastResortKyberPreKey: KyberPreKey.optional(),
	oneTimePreKeys: z.array(OneTimePreKey).max(LIMITS.prekeys_per_upload).default([]),
	oneTimeKyberPreKeys: z.array(KyberPreKey).max(LIMITS.prekeys_per_upload).default([]),
});
export type PreKeyUpload = z.infer<typeof PreKeyUpload>;

/** A device's name, sealed to the account's identity key and signed by it: the server can neither read nor make one. */
export const sealedName = base64url(1, LIMITS.sealed_name_bytes);

/**
 * A new account with its first device. The client chooses `deviceSecret` and stores it before it asks, so that a
 * repetition after a crash returns the same account. `proof` is an XEdDSA signature by the identity key over
 * `registrationProofInput()`.
 */
export const RegisterRequest = z.strictObject({
	usernameHash: base64url(32),
	identityKey: publicKey,
	registrationId: z.int().min(1).max(16380),
	deviceSecret: base64url(32),
	proof: signature,
	/** The first device's name (rule DEVICE-2). */
	sealedName: sealedName.optional(),
	signedPreKey: SignedPreKey,
	lastResortKyberPreKey: KyberPreKey,
	oneTimePreKeys: z.array(OneTimePreKey).max(LIMITS.prekeys_per_upload),
	oneTimeKyberPreKeys: z.array(KyberPreKey).max(LIMITS.prekeys_per_upload),
});
export type RegisterRequest = z.infer<typeof RegisterRequest>;

/** Goes into the header `Authorization: Bearer`. */
export const AccessToken = z.strictObject({ accessToken: z.string(), expiresAtMs: z.int() });
export type AccessToken = z.infer<typeof AccessToken>;

/** The account, its first device, and that device's token. */
export const RegisterResponse = z.strictObject({ accountId, deviceId, ...AccessToken.shape });
export type RegisterResponse = z.infer<typeof RegisterResponse>;

/** A device signs in with the secret that it chose. */
export const TokenRequest = z.strictObject({ accountId, deviceId, deviceSecret: base64url(32) });
export type TokenRequest = z.infer<typeof TokenRequest>;

/** Who has the name. */
export const UsernameResponse = z.strictObject({ accountId });
export type UsernameResponse = z.infer<typeof UsernameResponse>;

/** One-time prekeys that the server still has of the calling device. */
export const PreKeyCounts = z.strictObject({ oneTimePreKeys: z.int(), oneTimeKyberPreKeys: z.int() });
export type PreKeyCounts = z.infer<typeof PreKeyCounts>;

/** What a sender needs for a first message (PQXDH) to each device of an account. */
export const PreKeyBundles = z.strictObject({
	identityKey: publicKey,
	devices: z.array(
		z.strictObject({
			deviceId,
			registrationId: z.int(),
			signedPreKey: SignedPreKey,
			oneTimePreKey: OneTimePreKey.optional(),
			/** One-time where there is one left, else the last resort. */
			kyberPreKey: KyberPreKey,
		}),
	),
});
export type PreKeyBundles = z.infer<typeof PreKeyBundles>;

/** Prekeys of many accounts at once: a new group needs those of all its members (rule PREKEY-5). */
export const ClaimPreKeysRequest = z.strictObject({
	accountIds: z.array(accountId).min(1).max(LIMITS.claimed_accounts),
});

/** Each account that was asked for is in one of the three. */
export const ClaimedPreKeys = z.strictObject({
	claimed: z.array(PreKeyBundles.extend({ accountId })),
	/** There are no such accounts. */
	missing: z.array(accountId),
	/** Beyond the rate of one account's claims of another's prekeys, or without an answer: to be asked for again later. */
	later: z.array(accountId),
});
export type ClaimedPreKeys = z.infer<typeof ClaimedPreKeys>;

/**
 * Allows uploads and holds for a short time. It names the account by a keyed hash only, so that the media room counts
 * quotas without knowing whose they are.
 */
export const MediaGrant = z.strictObject({
	/** Opaque; goes into the header `Parley-Grant`. */
	grant: z.string(),
	expiresAtMs: z.int(),
	/** The largest upload that it allows. */
	uploadBytesMax: z.int(),
});
export type MediaGrant = z.infer<typeof MediaGrant>;

/** Until when a blob is held. */
export const MediaHold = z.strictObject({ expiresAtMs: z.int() });
export type MediaHold = z.infer<typeof MediaHold>;

/** Codes of refused HTTP requests; `specs/protocol.md` says what each means. */
export const HttpErrorCode = z.enum([
	"malformed",
	"body_too_large",
	"unauthorized",
	"token_expired",
	"device_unlinked",
	"device_idle",
	"not_found",
	"username_taken",
	"bad_signature",
	"too_many_prekeys",
	"too_many_conversations",
	"too_many_devices",
	"last_device",
	"message_id_conflict",
	"group_exists",
	"group_conflict",
	"group_full",
	"last_admin",
	"not_permitted",
	"link_used",
	"too_many_reports",
	"rate_limited",
	"upgrade_expected",
	"grant_invalid",
	"grant_expired",
	"tus_version_unsupported",
	"metadata_refused",
	"upload_empty",
	"upload_too_large",
	"content_type_unsupported",
	"offset_conflict",
	"upload_superseded",
	"checksum_unsupported",
	"checksum_mismatch",
	"quota_day_exceeded",
	"quota_kept_exceeded",
	"too_many_holds",
	"too_many_uploads",
	"precondition_failed",
	"range_not_satisfiable",
	"storage_unavailable",
	"internal",
]);
export type HttpErrorCode = z.infer<typeof HttpErrorCode>;

/** Each code has one HTTP status (rule REFUSED-1). */
export const HTTP_STATUS = {
	malformed: 400,
	body_too_large: 413,
	unauthorized: 401,
	token_expired: 401,
	device_unlinked: 401,
	device_idle: 401,
	not_found: 404,
	username_taken: 409,
	bad_signature: 422,
	too_many_prekeys: 422,
	too_many_conversations: 422,
	too_many_devices: 409,
	last_device: 409,
	message_id_conflict: 409,
	group_exists: 409,
	group_conflict: 409,
	group_full: 422,
	last_admin: 409,
	not_permitted: 403,
	link_used: 409,
	too_many_reports: 429,
	rate_limited: 429,
	upgrade_expected: 426,
	grant_invalid: 403,
	grant_expired: 403,
	tus_version_unsupported: 412,
	metadata_refused: 400,
	upload_empty: 400,
	upload_too_large: 413,
	content_type_unsupported: 415,
	offset_conflict: 409,
	upload_superseded: 409,
	checksum_unsupported: 400,
	/** The number that tus gives it. */
	checksum_mismatch: 460,
	quota_day_exceeded: 429,
	quota_kept_exceeded: 413,
	too_many_holds: 409,
	too_many_uploads: 429,
	precondition_failed: 412,
	range_not_satisfiable: 416,
	storage_unavailable: 503,
	internal: 500,
} as const satisfies Record<HttpErrorCode, number>;

/** The body of every refusal. */
export const HttpError = z.strictObject({
	code: HttpErrorCode,
	message: z.string(),
	/** The limit that was passed, where there is one. */
	limit: z.int().optional(),
});
export type HttpError = z.infer<typeof HttpError>;

/** Each room of the backend answers for itself. */
export const Health = z.strictObject({
	status: z.literal("ok"),
	rooms: z.strictObject({
		api: z.literal("ok"),
		conversation: z.literal("ok"),
		account: z.literal("ok"),
		media: z.literal("ok"),
	}),
});
export type Health = z.infer<typeof Health>;

/** What the identity key signs at registration: it binds the username and the device secret to the key's holder. */
export function registrationProofInput(
	usernameHash: Uint8Array,
	registrationId: number,
	deviceSecret: Uint8Array,
): Uint8Array<ArrayBuffer> {
	const label = new TextEncoder().encode("parley registration v1");
	const input = new Uint8Array(label.length + 32 + 4 + 32);
	input.set(label);
	input.set(usernameHash, label.length);
	new DataView(input.buffer).setUint32(label.length + 32, registrationId);
	input.set(deviceSecret, label.length + 36);
	return input;
}
