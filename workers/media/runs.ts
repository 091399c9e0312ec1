/** One run at a time: a newer one may end an older one that is still receiving (rule UPLOAD-4). */
export interface Run {
	/** Whether a newer one waits. */
	superseded: boolean;
	/** Called when that becomes so; whoever waits for bytes stops waiting. */
	onSuperseded: () => void;
	/** How far the upload has come in it; undefined in a run that receives nothing. */
	position: number | undefined;
	end(): void;
}

export class Runs {
	#running: { run: Run; ended: Promise<void> } | undefined;

	/** How far a run that receives has come; undefined where there is none. */
	get position(): number | undefined {
		return this.#running?.run.position;
	}

	/** Resolves when every older run has ended. Its caller calls `end`, whatever happens. */
	async begin(): Promise<Run> {
		while (this.#running !== undefined) {
			const { run, ended } = this.#running;
			run.superseded = true;
			run.onSuperseded();
			await ended;
		}
		const { promise, resolve } = Promise.withResolvers<void>();
		const run: Run = {
			superseded: false,
			onSuperseded: () => undefined,
			position: undefined,
			end: () => {
				this.#running = undefined;
				resolve();
			},
		};
		this.#running = { run, ended: promise };
		return run;
	}
}
