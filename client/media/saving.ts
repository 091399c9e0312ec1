/** Where decrypted files go: nothing has its name before it is whole and was found right. */
import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { writeAll } from "./disk.ts";
import { numberedName } from "./file_name.ts";
import { told } from "./outgoing.ts";

const NAMES_TRIED = 1_000;
/** How file systems say that a file has one name only. */
const NO_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/**
 * Writes a file beside its place, checks it, and moves it there. In a folder it takes `name`, or one like it that is
 * free; a path that names a file is replaced. `id`, the message's or the picture's, names what is not whole yet. Returns
 * the path. Throws `Failure` `bad_argument` and what `pieces` and `check` throw.
 */
export async function saveTo(
	to: string,
	{ id, name }: { id: string; name: string },
	pieces: AsyncIterable<Uint8Array>,
	check: ((path: string) => Promise<void>) | undefined,
): Promise<string> {
	const folder = await folderOf(to);
	await removeLeft(folder ?? dirname(to), id);
	const partial = join(
		folder ?? dirname(to),
		`${partialPrefix(id)}${process.pid}-${randomBytes(8).toString("hex")}.part`,
	);
	const file = await open(partial, "wx", 0o600).catch((error: unknown) => {
		throw cannotWrite(to, error);
	});
	try {
		await write(file, pieces, to);
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

async function write(file: FileHandle, pieces: AsyncIterable<Uint8Array>, to: string): Promise<void> {
	const failed = (error: unknown): never => {
		throw cannotWrite(to, error);
	};
	try {
		for await (const piece of pieces) await writeAll(file, piece).catch(failed);
		await file.sync().catch(failed);
	} finally {
		await file.close();
	}
}

/** The folder that a path is; undefined for a file's path. What is neither, as a device or a pipe, must not be replaced. */
async function folderOf(to: string): Promise<string | undefined> {
	if (to === "") throw new Failure("bad_argument", "a file needs a path, or a folder");
	const there = await stat(to).catch(() => undefined);
	if (there?.isDirectory() === true) return to;
	if (there === undefined || there.isFile()) return undefined;
	throw new Failure("bad_argument", `${to} is no file and no folder`);
}

function partialPrefix(id: string): string {
	return `.parley-${id}-`;
}

/** Removes what a process that was killed has left of the same file: it is decrypted. */
async function removeLeft(folder: string, id: string): Promise<void> {
	for (const name of await readdir(folder).catch(() => [])) {
		if (!name.startsWith(partialPrefix(id)) || !name.endsWith(".part")) continue;
		const pid = Number.parseInt(name.slice(partialPrefix(id).length), 10);
		if (!isRunning(pid)) await rm(join(folder, name), { force: true }).catch(() => undefined);
	}
}

function isRunning(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return !hasCode(error, "ESRCH");
	}
}

function cannotWrite(to: string, error: unknown): Failure {
	return new Failure("bad_argument", `cannot write to ${to}: ${error instanceof Error ? error.message : error}`, error);
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
