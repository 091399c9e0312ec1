/** The tus 1.0 requests of an upload (rules UPLOAD-1 to UPLOAD-3). */
import {
	deleteHash,
	MEDIA_HEADERS,
	MEDIA_ID_PATTERN,
	MEDIA_PATHS,
	TUS_CONTENT_TYPE,
	TUS_VERSION,
} from "../../protocol/media.ts";
import { ServerRefusal } from "../transport/errors.ts";
import type { MediaHttp } from "./http.ts";

const TUS = { "Tus-Resumable": TUS_VERSION };

/** Where an upload goes, and where its blob will be. */
export interface CreatedUpload {
	/** Below the server's address. */
	path: string;
	blob: string;
}

export async function createUpload(
	http: MediaHttp,
	upload: { bytes: number; deleteKey: string },
	signal: AbortSignal,
): Promise<CreatedUpload> {
	const { grant } = await http.api.mediaGrant();
	const headers = await http.done({
		method: "POST",
		path: MEDIA_PATHS.uploads,
		headers: {
			...TUS,
			"Upload-Length": String(upload.bytes),
			[MEDIA_HEADERS.grant]: grant,
			[MEDIA_HEADERS.deleteHash]: await deleteHash(upload.deleteKey),
		},
		signal,
	});
	const blob = headers[MEDIA_HEADERS.blob.toLowerCase()];
	const path = pathBelow(http.api.server, headers.location);
	if (path === undefined || typeof blob !== "string" || !MEDIA_ID_PATTERN.test(blob)) {
		throw new ServerRefusal(200, "unexpected_answer", "the server created an upload but did not say where");
	}
	return { path, blob };
}

/** How far an upload has come. */
export async function uploadOffset(http: MediaHttp, path: string, signal: AbortSignal): Promise<number> {
	return offsetIn(await http.done({ method: "HEAD", path, headers: TUS, signal }));
}

/** Sends bytes, and returns the offset after them. */
export async function patchUpload(
	http: MediaHttp,
	path: string,
	offset: number,
	body: { bytes: number; pieces: AsyncIterable<Uint8Array> },
	signal: AbortSignal,
): Promise<number> {
	const headers = { ...TUS, "Content-Type": TUS_CONTENT_TYPE, "Upload-Offset": String(offset) };
	return offsetIn(await http.done({ method: "PATCH", path, headers, body, signal }));
}

/** Removes what has arrived of an upload. */
export async function endUpload(http: MediaHttp, path: string, signal: AbortSignal): Promise<void> {
	await http.done({ method: "DELETE", path, headers: TUS, signal });
}

function offsetIn(headers: Record<string, string | string[] | undefined>): number {
	const offset = Number(headers["upload-offset"]);
	if (Number.isSafeInteger(offset) && offset >= 0) return offset;
	throw new ServerRefusal(200, "unexpected_answer", "the server did not say how far the upload has come");
}

/** The access token goes to no other server, whatever it answers. */
function pathBelow(server: string, location: string | undefined): string | undefined {
	const base = `${server}${MEDIA_PATHS.uploads}`;
	if (location === undefined || !URL.canParse(location, base)) return undefined;
	const url = new URL(location, base);
	const [origin, prefix] = [new URL(server).origin, new URL(server).pathname.replace(/\/$/, "")];
	return url.origin === origin && url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : undefined;
}
