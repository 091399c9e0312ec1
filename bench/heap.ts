/**
 * The memory of one Worker: what its isolate holds, which is what Cloudflare limits (128 MB), as the runtime's inspector
 * tells it: JavaScript's heap, the runtime's own objects in it, and the buffers behind arrays, garbage included. The
 * process is larger: it holds the runtime itself, all other Workers and the simulation of R2.
 */
import WebSocket from "ws";
import { z } from "zod";

const SAMPLE_MS = 20;

const Usage = z.object({
	id: z.int(),
	result: z.object({
		usedSize: z.number(),
		embedderHeapUsedSize: z.number(),
		backingStorageSize: z.number(),
	}),
});

/** Samples until it is stopped. */
export class HeapWatch {
	readonly #socket: WebSocket;
	readonly #timer: NodeJS.Timeout;
	#id = 0;
	#bytes_max = 0;

	private constructor(socket: WebSocket) {
		this.#socket = socket;
		socket.on("message", (data) => {
			const usage = Usage.safeParse(JSON.parse(String(data)));
			if (!usage.success) return;
			const { usedSize, embedderHeapUsedSize, backingStorageSize } = usage.data.result;
			this.#bytes_max = Math.max(this.#bytes_max, usedSize + embedderHeapUsedSize + backingStorageSize);
		});
		this.#timer = setInterval(() => {
			socket.send(JSON.stringify({ id: ++this.#id, method: "Runtime.getHeapUsage" }));
		}, SAMPLE_MS);
	}

	/** `inspector`: the address of the runtime's inspector; `worker`: the Worker's name. */
	static async start(inspector: string, worker: string): Promise<HeapWatch> {
		const socket = new WebSocket(new URL(`/core:user:${worker}`, inspector));
		await new Promise<void>((resolve, reject) => {
			socket.once("open", resolve);
			socket.once("error", reject);
		});
		return new HeapWatch(socket);
	}

	/** The most that was seen, in MiB. */
	stop(): number {
		clearInterval(this.#timer);
		this.#socket.close();
		if (this.#bytes_max === 0) throw new Error("the inspector did not answer");
		return this.#bytes_max / 2 ** 20;
	}
}
