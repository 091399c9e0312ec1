/** What is used of ffmpeg's build for WebAssembly, which comes without types. */
declare module "@ffmpeg/core" {
	interface Stream {
		position: number;
	}

	/** Emscripten's operations on an open file, as far as a reader needs them. */
	interface StreamOperations {
		llseek(stream: Stream, offset: number, whence: number): number;
		read(stream: Stream, to: Uint8Array, at: number, bytes: number, position: number): number;
	}

	interface Node {
		id: number;
		mode: number;
		stream_ops: StreamOperations;
		node_ops: { getattr(node: Node): Record<string, unknown> };
	}

	interface Core {
		FS: {
			writeFile(path: string, bytes: Uint8Array): void;
			readFile(path: string): Uint8Array;
			lookupPath(path: string): { node: Node };
		};
		/** Runs `ffmpeg` with these arguments; returns its exit code. */
		exec(...args: string[]): number;
		setLogger(logger: (line: { message: string }) => void): void;
	}

	export default function createCore(options: { wasmBinary: Uint8Array }): Promise<Core>;
}
