/**
 * A line between clients and a backend that can be made to fail: it counts what goes through, breaks where it is told
 * to, or changes a byte. For the demo and for tests.
 */
import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** What goes to the server is `up`. */
type Direction = "up" | "down";

export class FaultyLine {
	readonly #server: Server;
	readonly #open = new Set<Socket>();
	readonly #counts: Record<Direction, number> = { up: 0, down: 0 };
	readonly #breaks: Record<Direction, number> = { up: Number.POSITIVE_INFINITY, down: Number.POSITIVE_INFINITY };
	#flipAt = Number.POSITIVE_INFINITY;
	#target: { host: string; port: number };
	#url = "";

	private constructor(backend: string) {
		this.#target = addressOf(backend);
		this.#server = createServer((socket) => this.#connect(socket));
	}

	static async to(backend: string): Promise<FaultyLine> {
		const line = new FaultyLine(backend);
		await new Promise<void>((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
		const address = line.#server.address();
		if (address === null || typeof address === "string") throw new Error("the line has no port");
		line.#url = `http://127.0.0.1:${address.port}`;
		return line;
	}

	/** What clients take for the backend. */
	get url(): string {
		return this.#url;
	}

	/** Bytes that went through, headers included. */
	count(direction: Direction): number {
		return this.#counts[direction];
	}

	/** Breaks every connection, once, when so many more bytes have gone in a direction. */
	breakAfter(direction: Direction, bytes: number): void {
		this.#breaks[direction] = this.#counts[direction] + bytes;
	}

	/** Changes one bit of what comes down, once, so many bytes from now. */
	flipAfter(bytes: number): void {
		this.#flipAt = this.#counts.down + bytes;
	}

	async close(): Promise<void> {
		for (const socket of this.#open) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#connect(client: Socket): void {
		const server = dial(this.#target);
		for (const [from, to, direction] of [
			[client, server, "up"],
			[server, client, "down"],
		] as const) {
			this.#open.add(from);
			from.on("error", () => to.destroy());
			from.on("close", () => {
				this.#open.delete(from);
				to.destroy();
			});
			from.on("end", () => to.end());
			from.on("data", (bytes) => {
				if (direction === "down") this.#flip(bytes);
				this.#counts[direction] += bytes.length;
				if (this.#counts[direction] >= this.#breaks[direction]) {
					this.#breaks[direction] = Number.POSITIVE_INFINITY;
					for (const socket of this.#open) socket.destroy();
					return;
				}
				if (to.write(bytes)) return;
				from.pause();
				to.once("drain", () => from.resume());
			});
		}
	}

	#flip(bytes: Buffer): void {
		const at = this.#flipAt - this.#counts.down;
		if (at >= bytes.length) return;
		this.#flipAt = Number.POSITIVE_INFINITY;
		bytes.writeUInt8(bytes.readUInt8(Math.max(0, at)) ^ 1, Math.max(0, at));
	}
}

function addressOf(url: string): { host: string; port: number } {
	const { hostname, port } = new URL(url);
	return { host: hostname, port: Number(port) };
}
