/** What other rooms may ask of the media Worker. */
export interface MediaInterface {
	/** Whether the bucket answers. */
	health(): Promise<"ok">;
}
