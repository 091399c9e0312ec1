/** What other rooms may ask of the media Worker. Two versions overlap during a deploy: only add to it. */

/** Of a grant, beside `exp`: whose quota it is, by a keyed hash of the account, and the largest upload in bytes. */
export interface GrantClaims {
	sub: string;
	max: number;
	exp: number;
	/** So that the library's claims take it. */
	[claim: string]: unknown;
}

/** What the api may ask of the media Worker. */
export interface MediaInterface {
	/** Whether the bucket answers. */
	health(): Promise<"ok">;
	/** A request to `/v1/media/uploads` or `/v1/media/blobs` whose caller the api has authenticated. */
	fetch(request: Request): Promise<Response>;
	/**
	 * Ends uploads and holds of a quota subject, and gives it no new ones (rule BLOB-5). "more" asks for another call.
	 * Idempotent.
	 */
	eraseSubject(subject: string): Promise<"done" | "more">;
}
