/**
 * Where a machine's time goes. Phases nest (a session that is read while libsignal encrypts is a statement) and never
 * overlap, since machines are stepped one after the other: a stack tells whose time it is.
 */
import { Cipher } from "../client/signal/cipher.ts";
import { Store } from "../client/store/database.ts";

/**
 * `encrypt`, `decrypt`: libsignal and what it asks for. `statements`, `commit`: SQLCipher. `frames`: Protocol Buffers
 * at the sockets. `contents`: Protocol Buffers and padding before encryption and after, measured apart.
 */
export const PHASES = ["encrypt", "decrypt", "statements", "commit", "frames", "contents"] as const;
export type Phase = (typeof PHASES)[number];

export class Phases {
	/** Of each phase itself, without what is nested in it. */
	readonly seconds: Record<Phase, number> = {
		encrypt: 0,
		decrypt: 0,
		statements: 0,
		commit: 0,
		frames: 0,
		contents: 0,
	};
	readonly #running: Phase[] = [];
	#since_ms = 0;

	/** A statement inside of a commit is the commit. */
	time<Result>(phase: Phase, work: () => Result): Result {
		if (this.#running.at(-1) === "commit") return work();
		this.#enter(phase);
		try {
			return work();
		} finally {
			this.#leave();
		}
	}

	async timeAsync<Result>(phase: Phase, work: () => Promise<Result>): Promise<Result> {
		this.#enter(phase);
		try {
			return await work();
		} finally {
			this.#leave();
		}
	}

	#enter(phase: Phase): void {
		this.#charge();
		this.#running.push(phase);
	}

	#leave(): void {
		this.#charge();
		this.#running.pop();
	}

	#charge(): void {
		const now_ms = performance.now();
		const phase = this.#running.at(-1);
		if (phase !== undefined) this.seconds[phase] += (now_ms - this.#since_ms) / 1000;
		this.#since_ms = now_ms;
	}
}

/** Counts the time of everything in this process that encrypts, decrypts and writes. */
export function observe(phases: Phases): void {
	const timed = <Work extends (...parameters: never[]) => unknown>(phase: Phase, work: Work): Work =>
		new Proxy(work, {
			apply: (target, self, parameters) => phases.time(phase, () => Reflect.apply(target, self, parameters)),
		});
	Store.prototype.get = timed("statements", Store.prototype.get);
	Store.prototype.all = timed("statements", Store.prototype.all);
	Store.prototype.run = timed("statements", Store.prototype.run);
	Store.prototype.commit = timed("commit", Store.prototype.commit);
	const { seal, open } = Cipher.prototype;
	Cipher.prototype.seal = function (this: Cipher, ...parameters) {
		return phases.timeAsync("encrypt", () => seal.apply(this, parameters));
	};
	Cipher.prototype.open = function (this: Cipher, ...parameters) {
		return phases.timeAsync("decrypt", () => open.apply(this, parameters));
	};
}
