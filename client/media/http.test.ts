/** A media server that means no good: what it answers costs a client neither memory nor its token. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MEDIA_PATHS } from "../../protocol/media.ts";
import { systemClock } from "../transport/clock.ts";
import { Api } from "../transport/http.ts";
import { MediaHttp } from "./http.ts";

const NEVER = new AbortController().signal;
const BLOCK = Buffer.alloc(64 * 1024);
let server: Server;
let http: MediaHttp;
let answer: (response: ServerResponse) => void;
/** Of the last answer: what has gone out, and whether the client has cut it off. */
let sent = 0;
let cut: Promise<void>;

beforeEach(async () => {
	sent = 0;
	server = createServer((request: IncomingMessage, response: ServerResponse) => {
		if (request.url === "/v1/tokens") {
			response.end(JSON.stringify({ accessToken: "t", expiresAtMs: Date.now() + 600_000 }));
			return;
		}
		cut = new Promise((resolve) => void response.once("close", () => resolve()));
		answer(response);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const url = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
	const credentials = { accountId: "a", deviceId: 1, deviceSecret: "x" };
	http = new MediaHttp(new Api({ server: url, clock: systemClock, credentials }));
});

afterEach(async () => {
	http.close();
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
});

/** A body that ends only when nobody reads it any more. */
function endless(status: number): (response: ServerResponse) => void {
	return (response) => {
		response.writeHead(status);
		const more = (): void => {
			if (response.destroyed) return;
			sent += BLOCK.length;
			response.write(BLOCK, more);
		};
		more();
	};
}

const ask = { method: "PUT", path: MEDIA_PATHS.hold("b"), signal: NEVER } as const;

test("ATTACH-5 an answer that is read or refuses, and never ends, is cut off", async () => {
	for (const status of [200, 403]) {
		[sent, answer] = [0, endless(status)];
		await expect(http.text(ask)).rejects.toMatchObject({ code: "unexpected_answer" });
		await cut;
		expect(sent).toBeLessThan(64 * 2 ** 20);
	}
});

test("ATTACH-5 an answer that nobody needs and never ends is cut off", async () => {
	answer = endless(200);
	await http.done({ ...ask, method: "POST" });
	await cut;
	expect(sent).toBeLessThan(64 * 2 ** 20);
});

test("ATTACH-5 a redirection is followed nowhere", async () => {
	let asked = 0;
	answer = (response) => {
		asked++;
		response.writeHead(307, { location: "/elsewhere" }).end();
	};
	await expect(http.done(ask)).rejects.toMatchObject({ code: "unexpected_answer" });
	expect(asked).toBe(1);
});
