/** The fingerprint of all schemas: what two peers must agree on. Comments and the order of files don't change it. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { z } from "zod";
import * as bodies from "../protocol/http.ts";
import * as deviceBodies from "../protocol/http_devices.ts";
import * as groupBodies from "../protocol/http_groups.ts";
import * as privacyBodies from "../protocol/http_privacy.ts";
import { readOptions } from "./options.ts";
import { ROOT } from "./repository.ts";

/** SHA-256, in hex, over the descriptors of all `.proto` files and the JSON Schemas of all HTTP bodies. */
export async function fingerprint(): Promise<string> {
	const hash = createHash("sha256");
	for (const file of await protocolFiles()) {
		hash.update(`proto ${file.name}\n`);
		hash.update(toBinary(FileDescriptorProtoSchema, file.proto));
	}
	const schemas = Object.entries({ ...bodies, ...deviceBodies, ...groupBodies, ...privacyBodies }).sort(
		([one], [other]) => (one < other ? -1 : 1),
	);
	for (const [name, schema] of schemas) {
		if (!(schema instanceof z.ZodType)) continue;
		hash.update(`body ${name}\n${canonicalJson(z.toJSONSchema(schema, { io: "input" }))}\n`);
	}
	return hash.digest("hex");
}

async function protocolFiles(): Promise<DescFile[]> {
	const folder = join(ROOT, "protocol/gen");
	const files: DescFile[] = [];
	for (const name of readdirSync(folder).sort()) {
		if (!name.endsWith("_pb.js")) continue;
		const module: Record<string, unknown> = await import(pathToFileURL(join(folder, name)).href);
		files.push(...Object.values(module).filter(isFileDescriptor));
	}
	return files;
}

function isFileDescriptor(value: unknown): value is DescFile {
	return typeof value === "object" && value !== null && "kind" in value && value.kind === "file";
}

/** JSON with sorted keys, so that the order in a schema's source says nothing. */
function canonicalJson(value: unknown): string {
	return JSON.stringify(value, (_key, each: unknown) =>
		typeof each === "object" && each !== null && !Array.isArray(each)
			? Object.fromEntries(Object.entries(each).sort(([one], [other]) => (one < other ? -1 : 1)))
			: each,
	);
}

const HELP = `npm run fingerprint

Prints SHA-256 over all schemas: the .proto files and the JSON Schemas of the HTTP bodies. Where it has changed it wants a
line in protocol/version.ts that says what has: a test compares both.
`;

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
	readOptions(HELP, { options: {} });
	console.log(await fingerprint());
}
