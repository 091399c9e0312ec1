/** For tests of this directory: a server's answers about devices, and time that does not wait. */
import type { z } from "zod";
import type { Clock } from "./transport/clock.ts";
import { DeviceCalls } from "./transport/device_calls.ts";
import { ServerRefusal } from "./transport/errors.ts";
import type { Call } from "./transport/http.ts";

/** Whoever waits finds the time over at once. */
export class HastyClock implements Clock {
	#nowMs = 0;
	nowMs(): number {
		return this.#nowMs;
	}
	random(): number {
		return 0.5;
	}
	after(delayMs: number, run: () => void): () => void {
		this.#nowMs += delayMs;
		queueMicrotask(run);
		return () => {};
	}
}

/** Calls that a test answers. `made` has each as "METHOD path". */
export class AnsweredCalls {
	readonly made: string[] = [];
	readonly calls: DeviceCalls;

	/** What `answer` returns the server says; an error that it returns is thrown. */
	constructor(answer: (name: string, body: unknown) => unknown) {
		const call = async <T>({ method, path, body }: Call, schema: z.ZodType<T>): Promise<T> => {
			const name = `${method} ${path}`;
			this.made.push(name);
			const given = answer(name, body);
			if (given instanceof Error) throw given;
			return schema.parse(given);
		};
		this.calls = new DeviceCalls({ call });
	}
}

/** The server says no. */
export function refusal(code: ServerRefusal["code"], status = 409): ServerRefusal {
	return new ServerRefusal(status, code, code);
}
