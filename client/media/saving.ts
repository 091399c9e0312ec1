/** Where decrypted files go: nothing has its name before it is whole and was found right. */
import { randomBytes } from "node:crypto";
import { link, open, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { numberedName } from "./file_name.ts";
import { told } from "./outgoing.ts";

const NAMES_TRIED = 1_000;
/** How file systems say that a file has one name only. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/**
 * Writes a file beside its place, checks it, and moves it there. In a folder it takes `name`, or one like it that is
 * free; a path that names a file is replaced. Returns the path. Throws `Failure` `bad_argument` and what `pieces` and
 * `check` throw.
 */
export async function saveTo(
	to: string,
	name: string,
	pieces: AsyncIterable<Uint8Array>,
	check: ((path: string) => Promise<void>) | undefined,
): Promise<string> {
	const folder = (await isFolder(to)) ? to : undefined;
	const partial = join(folder ?? dirname(to), `.${randomBytes(8).toString("hex")}.part`);
	const file = await open(partial, "wx", 0o600).catch((error: unknown) => {
		throw new Failure(
			"bad_argument",
			`cannot write to ${to}: ${error instanceof Error ? error.message : error}`,
			error,
		);
	});
	try {
		try {
			for await (const piece of pieces) await file.write(piece);
			await file.sync();
		} finally {
			await file.close();
		}
		await check?.(partial).catch((error: unknown) => {
			throw told(error);
		});
		if (folder !== undefined) return await linkFree(partial, folder, name);
		await rename(partial, to);
		return to;
	} catch (error) {
		await rm(partial, { force: true });
		throw error;
	}
}

async function isFolder(path: string): Promise<boolean> {
	return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** Gives the file the first free name: what makes a name, unlike a rename, replaces nothing. */
async function linkFree(partial: string, folder: string, name: string): Promise<string> {
	for (let number = 1; number <= NAMES_TRIED; number++) {
		const free = join(folder, numberedName(name, number));
		try {
			await takeName(partial, free);
			return free;
		} catch (error) {
			if (!hasCode(error, "EEXIST")) throw error;
		}
	}
	throw new Failure("bad_argument", `${folder} has too many files called ${name}`);
}

async function takeName(partial: string, free: string): Promise<void> {
	try {
		await link(partial, free);
	} catch (error) {
		if (!NO_LINKS.some((code) => hasCode(error, code))) throw error;
		// The file systems of memory cards have no second names: an empty file keeps the place.
		await (await open(free, "wx", 0o600)).close();
		await rename(partial, free);
		return;
	}
	await unlink(partial);
}

function hasCode(error: unknown, code: string): boolean {
	return error instanceof Error && "code" in error && error.code === code;
}
