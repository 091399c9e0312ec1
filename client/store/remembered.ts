/** What is kept in memory of a device's file. */
import type { Store } from "./database.ts";

/**
 * What is kept in memory of each store's file. A file has one process, so only a rollback makes it stale: what was read
 * or changed before one may never have been there, and is forgotten.
 */
export class Remembered<Value> {
	readonly #values = new WeakMap<Store, { rollbacks: number; value: Value }>();
	readonly #fresh: () => Value;

	constructor(fresh: () => Value) {
		this.#fresh = fresh;
	}

	of(store: Store): Value {
		const known = this.#values.get(store);
		if (known?.rollbacks === store.rollbacks) return known.value;
		const value = this.#fresh();
		this.#values.set(store, { rollbacks: store.rollbacks, value });
		return value;
	}
}
