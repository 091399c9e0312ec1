/**
 * What may import what, as a table. The server has no decryption code because libsignal can't be imported there; the
 * rest keeps each room behind its interface.
 */

import { builtinModules } from "node:module";
import { dirname, posix } from "node:path";
import { type Finding, isTestFile, lineAt, type SourceFile } from "./repository.ts";

interface Room {
	/** Other rooms that it may import. `workers` stands for another Worker's `interface.ts`. */
	rooms: readonly string[];
	/** Packages that it may import, `node:` and `cloudflare:` among them. */
	packages: readonly string[];
}

const SCHEMA_PACKAGES = ["@bufbuild/protobuf", "zod"];

const ROOMS: Readonly<Record<string, Room>> = {
	protocol: { rooms: [], packages: SCHEMA_PACKAGES },
	workers: {
		rooms: ["protocol", "workers"],
		packages: [
			...SCHEMA_PACKAGES,
			"@hono/zod-openapi",
			"@noble/curves",
			"@noble/hashes",
			"cloudflare:",
			"drizzle-orm",
			"hono",
			"node:",
		],
	},
	client: {
		rooms: ["protocol"],
		packages: [
			...SCHEMA_PACKAGES,
			"@ffmpeg/core",
			"@signalapp/libsignal-client",
			"@signalapp/sqlcipher",
			"node:",
			"sharp",
			"thumbhash",
			"ws",
		],
	},
	cli: { rooms: ["client", "protocol"], packages: ["commander", "node:", "picocolors", "string-width", "uqr"] },
	examples: { rooms: ["client"], packages: ["node:"] },
	web: { rooms: ["client", "protocol"], packages: [] },
};

/** They may import anything, and nobody but tests imports them. */
const FREE_ROOMS = ["bench", "scripts", "sim", "test"];

/** Never here, in tests neither: the add-ons load neither in a Worker nor in a browser, and hold decryption code. */
const NATIVE_PACKAGES = /^@signalapp\//;
const WITHOUT_NATIVE = ["workers", "web"];

/** The machine has no network: requests go out as values, and whoever runs it carries them out. */
const MACHINE = "client/machine/";
const NETWORK = /^(?:ws|node:(?:dns|http|http2|https|net|tls|dgram))$/;

const IMPORT =
	/^[\t ]*(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s*["']([^"'\n]+)["']|\bimport\(\s*["']([^"'\n]+)["']\s*\)/gm;

/** Everything that a file imports, types included. */
export function importsOf(text: string): { specifier: string; line: number }[] {
	return [...text.matchAll(IMPORT)].map((match) => ({
		specifier: match[1] ?? match[2] ?? "",
		line: lineAt(text, match.index + match[0].length),
	}));
}

/** Imports that cross a boundary which the table does not open. */
export function boundaryFindings(files: readonly SourceFile[]): Finding[] {
	return files.flatMap((file) =>
		importsOf(file.text).flatMap(({ specifier, line }) => {
			const what = refusal(file.path, specifier);
			return what === undefined ? [] : [{ path: file.path, line, what }];
		}),
	);
}

/** Why a file may not import this; undefined where it may. */
function refusal(path: string, specifier: string): string | undefined {
	const from = roomOf(path);
	if (WITHOUT_NATIVE.includes(from) && NATIVE_PACKAGES.test(specifier)) return `${specifier} never runs in ${from}/`;
	if (!path.includes("/") || FREE_ROOMS.includes(from) || isTestFile(path)) return undefined;
	const room = ROOMS[from];
	if (room === undefined) return `the room ${from}/ stands in no table`;
	if (specifier.startsWith(".")) return refusedFile(path, posix.join(dirname(path), specifier), room);
	return refusedPackage(path, specifier, room);
}

function refusedFile(path: string, target: string, room: Room): string | undefined {
	const [from, to] = [roomOf(path), roomOf(target)];
	if (path.startsWith(MACHINE) && target.startsWith("client/transport")) return "the machine has no network";
	if (from === "workers" && to === "workers") {
		const sameWorker = path.split("/")[1] === target.split("/")[1];
		// What lies beside the Workers' folders belongs to all of them.
		const open = sameWorker || target.endsWith("/interface.ts") || dirname(target) === "workers";
		return open ? undefined : `${target}: only its interface.ts is open`;
	}
	return from === to || room.rooms.includes(to) ? undefined : `${from}/ may not import ${target}`;
}

function refusedPackage(path: string, specifier: string, room: Room): string | undefined {
	const name = builtinModules.includes(specifier) ? `node:${specifier}` : specifier;
	if (path.startsWith(MACHINE) && NETWORK.test(name)) return "the machine has no network";
	const open = room.packages.some((each) =>
		each.endsWith(":") ? name.startsWith(each) : name === each || name.startsWith(`${each}/`),
	);
	return open ? undefined : `${roomOf(path)}/ may not import ${specifier}`;
}

function roomOf(path: string): string {
	return path.split("/")[0] ?? "";
}
