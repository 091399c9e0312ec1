/** The client's machine against libsignal alone. */
import type { Figure, Scale } from "./figures.ts";
import type { Progress } from "./shared.ts";

export async function client(_scale: Scale, _progress: Progress): Promise<Figure[]> {
	throw new Error("the client's machine is not there yet");
}
