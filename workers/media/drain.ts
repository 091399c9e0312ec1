/** A client that is still sending when it is refused often sees a broken connection and no answer. */

/** So long an answer waits for the rest of a body; a body that takes longer is cut off. */
const DRAIN_MS = 1_000;

/** Reads the rest of a body and forgets it, for a moment. Never rejects. */
export async function drain(body: ReadableStream | null): Promise<void> {
	if (body === null || body.locked) return;
	const reader = body.getReader();
	const all = async () => {
		while (!(await reader.read()).done);
	};
	await Promise.race([all().catch(() => undefined), scheduler.wait(DRAIN_MS)]);
	await reader.cancel().catch(() => undefined);
}
