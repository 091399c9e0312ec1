import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import pico from "picocolors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Parley } from "../client/parley.ts";
import { main } from "./main.ts";
import { jsonLine, printable, printableLine, showsColors, type Terminal } from "./terminal.ts";

let data = "";
const NOBODY = "http://127.0.0.1:1";

beforeEach(() => {
	data = mkdtempSync(join(tmpdir(), "parley-cli-"));
});

afterEach(() => {
	rmSync(data, { recursive: true, force: true });
});

/** Runs the command line with everything that it prints caught. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
	const out: string[] = [];
	const err: string[] = [];
	const terminal: Terminal = {
		out: (line) => void out.push(line),
		note: (line) => void err.push(line),
		readAll: () => Promise.resolve("from standard input\n"),
		interrupted: () => Promise.resolve(),
		input: new PassThrough(),
		output: new PassThrough(),
		environment: {},
		colors: pico.createColors(false),
	};
	const code = await main(["--data", join(data, "device"), ...args], terminal);
	return { code, out: out.join("\n"), err: err.join("\n") };
}

test("help teaches every command, with examples", async () => {
	const { code, out } = await run("--help");
	expect(code).toBe(0);
	for (const command of ["register", "whoami", "send", "receive", "chat", "history", "status", "safety-number"]) {
		expect(out).toContain(command);
	}
	expect(out).toContain("$ parley");
	expect((await run("send", "--help")).out).toContain('$ parley send bob "see you at eight"');
});

/** Names of the commands that a help lists, `help` itself left out. */
function listed(help: string): string[] {
	const names = (help.split("Commands:\n")[1] ?? "").matchAll(/^ {2}([a-z][a-z-]*)/gm);
	return [...names].map(([, name = ""]) => name).filter((name) => name !== "help");
}

test("each command's own help has an example", async () => {
	const names = listed((await run("--help")).out.split("\n\nTwo people")[0] ?? "");
	expect(names.length).toBeGreaterThan(30);
	const parts = await Promise.all(
		["group", "devices"].map(async (name) =>
			listed((await run(name, "--help")).out.split(/\n\n(?:GROUP|Example)/)[0] ?? "").map((part) => [name, part]),
		),
	);
	for (const path of [...names.map((name) => [name]), ...parts.flat()]) {
		expect((await run(...path, "--help")).out).toMatch(new RegExp(`Examples?:\n.*parley.* ${path.join(" ")}`));
	}
});

test("--version prints the version", async () => {
	expect(await run("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+$/) });
});

test.each([
	["no command of ours", ["shout", "bob"]],
	["a missing argument", ["send", "bob"]],
	["a limit that is none", ["history", "bob", "--limit", "many"]],
	["an unknown option", ["whoami", "--loud"]],
	["a server that is no URL", ["--server", "nonsense", "register", "alice"]],
	["a name that can't be one", ["--server", NOBODY, "register", "No Name"]],
	["a deletion without --yes", ["delete-account"]],
	["a device that can't be", ["unlink", "0"]],
	["a device without a number", ["devices", "rename", "laptop", "x"]],
	["a text beside a file", ["send", "bob", "hi", "--file", "x"]],
	["a voice that is a document", ["send", "bob", "--file", "x", "--voice", "--document"]],
	["a size that is none", ["auto-download", "much"]],
	["a time that is none", ["mute", "bob", "soon"]],
	["a timer that is none", ["timer", "bob", "1x"]],
])("exit code 2: %s", async (_what, args) => {
	const { code, out, err } = await run(...args);
	expect({ code, out }).toEqual({ code: 2, out: "" });
	expect(err).toContain("parley: ");
});

test.each([
	[["send", "bob"], /^missing argument 'text'/],
	[["mute", "bob", "soon"], /'soon' is invalid for argument 'time'/],
	[[], /^a command is missing$/],
	[["group"], /^a command is missing$/],
])("usage errors are one JSON object with --json: %s", async (args, message) => {
	const { code, out, err } = await run("--json", ...args);
	expect({ code, out }).toEqual({ code: 2, out: "" });
	expect(JSON.parse(err)).toEqual({ error: { code: "usage", message: expect.stringMatching(message) } });
});

test("a usage error names the help of its command", async () => {
	expect((await run("send", "bob")).err).toContain("(parley send --help says more)");
	expect((await run("group", "add")).err).toContain("(parley group add --help says more)");
	expect((await run("shout")).err).toContain("(parley --help says more)");
});

test("a file is not written to a terminal: what somebody else has sent would steer it", async () => {
	const notes: string[] = [];
	const terminal: Terminal = {
		out: () => {},
		note: (line) => void notes.push(line),
		readAll: () => Promise.resolve(""),
		interrupted: () => new Promise(() => {}),
		input: new PassThrough(),
		output: Object.assign(new PassThrough(), { isTTY: true }),
		environment: {},
		colors: pico.createColors(false),
	};
	expect(await main(["--data", join(data, "device"), "download", "x", "--to", "-"], terminal)).toBe(2);
	expect(notes.join()).toContain("a path");
});

test.each([
	["whoami"],
	["send", "bob", "hello"],
	["receive"],
	["history", "bob"],
	["group", "list"],
	["group", "create", "friends"],
	["group", "info", "friends"],
	["history", "group:friends"],
	["status", "019ab3c4-5d6e-7f80-9123-456789abcdef"],
	["safety-number", "bob"],
	["verify", "bob"],
	["accept", "bob"],
	["keys"],
	["download", "019ab3c4-5d6e-7f80-9123-456789abcdef"],
	["auto-download"],
	["send", "bob", "--file", "x"],
	["delete-account", "--yes"],
	["devices"],
	["devices", "rename", "2", "laptop"],
	["unlink", "2"],
	["link", "parley://link?v=1&s=x&a=x&k=x&n=x", "--yes"],
])("exit code 3 without an account: %s", async (...args) => {
	const { code, err } = await run("--json", ...args);
	expect(code).toBe(3);
	expect(JSON.parse(err)).toEqual({ error: { code: "not_registered", message: expect.any(String) } });
});

test("exit code 6 when nobody listens at the server's address", async () => {
	const { code, err } = await run("--server", NOBODY, "register", "alice");
	expect(code).toBe(6);
	expect(err).toMatch(/^parley: cannot reach http:\/\/127\.0\.0\.1:1: /);
	expect(err.split("\n")).toHaveLength(1);
});

test("ACCOUNT-1 a taken username is exit code 5, and the next try quotes the same keys", async () => {
	const bodies: string[] = [];
	const server = createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += String(chunk);
		});
		request.on("end", () => {
			bodies.push(body);
			response.writeHead(409, { "content-type": "application/json" });
			response.end(JSON.stringify({ code: "username_taken", message: "this username is taken" }));
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		const first = await run("--json", "--server", url, "register", "alice");
		expect(first.code).toBe(5);
		expect(JSON.parse(first.err)).toEqual({ error: { code: "username_taken", message: "this username is taken" } });
		expect((await run("--server", url, "register", "alice")).code).toBe(5);
		expect(bodies).toHaveLength(2);
		expect(bodies[1]).toBe(bodies[0]);
	} finally {
		server.close();
	}
});

test("exit code 8 while another process has the data directory", async () => {
	const holder = await Parley.open({ dataDir: join(data, "device"), environment: {} });
	try {
		expect((await run("whoami")).code).toBe(8);
	} finally {
		await holder.close();
	}
	expect((await run("whoami")).code).toBe(3);
});

test("a data directory with a passphrase opens with the same one only", async () => {
	const dataDir = join(data, "secret");
	const passphrase = { PARLEY_PASSPHRASE: "correct horse" };
	await (await Parley.open({ dataDir, environment: passphrase })).close();
	await (await Parley.open({ dataDir, environment: passphrase })).close();
	await expect(Parley.open({ dataDir, environment: { PARLEY_PASSPHRASE: "wrong" } })).rejects.toMatchObject({
		code: "wrong_key",
	});
	await expect(Parley.open({ dataDir, environment: {} })).rejects.toMatchObject({ code: "wrong_key" });
});

test("text of others can't steer the terminal", () => {
	expect(printable("a\u001b[2Jb\u202ec\rd\te")).toBe("a�[2Jb�c�d e");
	expect(printable("two\nlines")).toBe("two\n  lines");
	expect(printable("a\u2028b\u2029c")).toBe("a\n  b\n  c");
	expect(printableLine("an option\n      2. forged\u2028\u001b[2K")).toBe("an option       2. forged �[2K");
});

test("REFUSED-1 what a server says in a refusal can't steer the terminal", async () => {
	const server = createServer((_, response) => {
		response.writeHead(409, { "content-type": "application/json" });
		response.end(JSON.stringify({ code: "username_taken", message: "taken\u001b]0;owned\u0007\u009b2J" }));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	try {
		for (const json of [[], ["--json"]]) {
			const { code, err } = await run(...json, "--server", url, "register", "alice");
			expect(code).toBe(5);
			expect(err).toContain("taken");
			expect(err).not.toMatch(/\p{Cc}/u);
		}
	} finally {
		server.close();
	}
	expect(JSON.parse(jsonLine("a\u009b\u202eb"))).toBe("a\u009b\u202eb");
});

test("colours are for terminals, in CI too, unless the environment asks otherwise", () => {
	const [terminal, pipe] = [{ isTTY: true }, {}];
	expect(showsColors(terminal, {})).toBe(true);
	expect(showsColors(terminal, { TERM: "dumb" })).toBe(false);
	expect(showsColors(terminal, { NO_COLOR: "1" })).toBe(false);
	expect(showsColors(terminal, { NO_COLOR: "" })).toBe(true);
	expect(showsColors(terminal, { FORCE_COLOR: "0" })).toBe(false);
	expect(showsColors(pipe, { CI: "true" })).toBe(false);
	expect(showsColors(pipe, { FORCE_COLOR: "1" })).toBe(true);
});
