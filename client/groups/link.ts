/** Invite links: `parley://group?v=1&s=SERVER&g=GROUP&k=KEY&c=SECRET` (rule GROUP-18). Pure. */
import { z } from "zod";
import { GROUP_PATTERN } from "./state.ts";

/** What an invite link holds (rule GROUP-18). */
export interface InviteLink {
	/** The api's URL. */
	server: string;
	/** 64 hex digits. */
	group: string;
	/** The group's key and the link's secret, base64url of 32 bytes each. */
	key: string;
	secret: string;
}

const secret = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const Fields = z.object({ v: z.literal("1"), s: z.url(), g: z.string().regex(GROUP_PATTERN), k: secret, c: secret });

export function linkText({ server, group, key, secret }: InviteLink): string {
	return `parley://group?${new URLSearchParams({ v: "1", s: server, g: group, k: key, c: secret }).toString()}`;
}

/** Undefined for what is no invite link. */
export function parseLink(text: string): InviteLink | undefined {
	const trimmed = text.trim();
	if (!URL.canParse(trimmed)) return undefined;
	const url = new URL(trimmed);
	if (url.protocol !== "parley:" || url.host !== "group") return undefined;
	const fields = Fields.safeParse(Object.fromEntries(url.searchParams));
	if (!fields.success) return undefined;
	const { s, g, k, c } = fields.data;
	return { server: s, group: g, key: k, secret: c };
}
