/** The directory that holds one device: its database, and what leads to the database's key. */
import { randomBytes, scryptSync } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Failure } from "./failure.ts";
import { Store } from "./store/database.ts";
import { DeviceInUseError, NewerStoreError, WrongKeyError } from "./store/errors.ts";

const KEY_BYTES = 32;
/** About 128 MiB and half a second: what one try at a passphrase costs. */
const SCRYPT = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 } as const;

/** Where the database is, and its key of 32 bytes. */
export interface DataDirectory {
	database: string;
	key: Uint8Array<ArrayBuffer>;
}

/** `$XDG_DATA_HOME/parley`, or what the XDG specification puts in its place. */
export function defaultDataDirectory(environment: NodeJS.ProcessEnv): string {
	const base = environment.XDG_DATA_HOME || join(homedir(), ".local", "share");
	return join(base, "parley");
}

/**
 * Finds the directory's key, making both where there are none: a random key in the file `key`, or one derived from a
 * passphrase, which then is nowhere on disk.
 */
export function openDataDirectory(path: string, passphrase: string | undefined): DataDirectory {
	mkdirSync(path, { recursive: true, mode: 0o700 });
	const database = join(path, "parley.db");
	const key = passphrase === undefined ? keyFromFile(path, database) : keyFromPassphrase(path, passphrase);
	return { database, key };
}

/** Opens a directory's database. Throws `Failure` `data_in_use` and `wrong_key`. */
export function openStore(database: string, key: Uint8Array): Store {
	try {
		return Store.open(database, key);
	} catch (error) {
		if (error instanceof DeviceInUseError) {
			throw new Failure("data_in_use", "another Parley process uses this data directory", error);
		}
		if (error instanceof WrongKeyError) throw new Failure("wrong_key", "the passphrase or key file is wrong", error);
		if (error instanceof NewerStoreError) throw new Failure("wrong_key", error.message, error);
		throw error;
	}
}

/** Removes everything that the directory holds of a device. Its database must be closed. */
export function eraseDataDirectory(path: string): void {
	for (const name of ["parley.db", "parley.db-wal", "parley.db-shm", "key", "salt"]) {
		rmSync(join(path, name), { force: true });
	}
	rmSync(join(path, "media"), { recursive: true, force: true });
}

function keyFromFile(directory: string, database: string): Uint8Array<ArrayBuffer> {
	const path = join(directory, "key");
	if (!existsSync(path)) {
		// With a new key the old database would be unreadable for ever: rather ask.
		if (existsSync(database)) throw new Failure("wrong_key", "this data needs its passphrase: set PARLEY_PASSPHRASE");
		writeFileSync(path, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx", flush: true });
	}
	chmodSync(path, 0o600);
	const key = new Uint8Array(readFileSync(path));
	if (key.length !== KEY_BYTES) throw new Failure("wrong_key", "the key file of this data directory is damaged");
	return key;
}

function keyFromPassphrase(directory: string, passphrase: string): Uint8Array<ArrayBuffer> {
	if (existsSync(join(directory, "key"))) {
		throw new Failure("wrong_key", "this data was made without a passphrase: unset PARLEY_PASSPHRASE");
	}
	const path = join(directory, "salt");
	if (!existsSync(path)) writeFileSync(path, randomBytes(16), { mode: 0o600, flag: "wx", flush: true });
	return new Uint8Array(scryptSync(passphrase.normalize("NFKC"), readFileSync(path), KEY_BYTES, SCRYPT));
}
