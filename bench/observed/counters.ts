/**
 * Counters around the product's code, for benchmarks only: a replaced entry file wraps the bindings and the storage
 * that the platform hands in. All objects of a Worker share its isolate here, so one set of counters is enough.
 */

export const counters = {
	rows_read: 0,
	rows_written: 0,
	sql_statements: 0,
	alarms_set: 0,
	d1_statements: 0,
	object_calls: 0,
};
export type Counters = typeof counters;

/** Cursors are read late, so their counts are taken late: when this many newer ones are there, or at the report. */
const CURSORS_HELD = 64;
const held: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];

function settle(keep: number): void {
	while (held.length > keep) {
		const cursor = held.shift();
		counters.rows_read += cursor?.rowsRead ?? 0;
		counters.rows_written += cursor?.rowsWritten ?? 0;
	}
}

/** The counters, with everything that was still held. */
export function report(): Response {
	settle(0);
	return Response.json(counters);
}

/** Counts every SQL statement of an object with the rows that it reads and writes; an alarm is a row too. */
export function observeStorage(storage: DurableObjectStorage): void {
	const sql = storage.sql;
	const exec = sql.exec.bind(sql);
	Object.defineProperty(sql, "exec", {
		value: (query: string, ...bindings: SqlStorageValue[]) => {
			const cursor = exec(query, ...bindings);
			counters.sql_statements += 1;
			held.push(cursor);
			settle(CURSORS_HELD);
			return cursor;
		},
	});
	const setAlarm = storage.setAlarm.bind(storage);
	Object.defineProperty(storage, "setAlarm", {
		value: (time: number | Date, options?: DurableObjectSetAlarmOptions) => {
			counters.alarms_set += 1;
			counters.rows_written += 1;
			return setAlarm(time, options);
		},
	});
}

/** A view of an object whose methods go through `around` first. */
function wrap<T extends object>(target: T, around: (method: string, result: unknown) => unknown): T {
	return new Proxy(target, {
		get(inner, key) {
			const value: unknown = Reflect.get(inner, key, inner);
			if (typeof value !== "function" || typeof key !== "string") return value;
			return (...given: unknown[]) => around(key, Reflect.apply(value, inner, given));
		},
	});
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const isCallable = (value: unknown): value is object => isObject(value) || typeof value === "function";

/** Counts the calls that go to objects of this namespace. */
export function observeNamespace<T extends object>(namespace: T): T {
	return wrap(namespace, (method, result) => {
		if ((method !== "get" && method !== "getByName") || !isCallable(result)) return result;
		return wrap(result, (_call, answer) => {
			counters.object_calls += 1;
			return answer;
		});
	});
}

/** Counts the statements that are prepared for D1. */
export function observeDatabase<T extends object>(database: T): T {
	return wrap(database, (method, result) => {
		if (method === "prepare" || method === "exec") counters.d1_statements += 1;
		return method === "withSession" && isObject(result) ? observeDatabase(result) : result;
	});
}
