/**
 * A stand-in for the part of Cloudflare's API (v4) that deploying needs, for the real wrangler: it remembers what is
 * created and uploaded, and runs the migrations in a real SQLite.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";

const BASE = "/client/v4";
const ACCOUNT = "/accounts/account";

interface Answer {
	status?: number;
	result?: unknown;
	/** Of GraphQL. */
	data?: unknown;
	/** Cloudflare's code and text of a failure. */
	error?: [code: number, message: string];
}

/** A Worker as it was uploaded last. */
export interface Script {
	/** Names and values. */
	secrets: Record<string, string>;
	bindings: { name: string; type: string }[];
	/** Whether it has a public address. */
	open: boolean;
}

/** What goes up with the code. */
interface Metadata {
	bindings: { name: string; type: string; text?: string }[];
	keep_bindings?: string[];
}

type Handler = (call: { match: RegExpExecArray; url: URL; body: Buffer; type: string }) => Answer | Promise<Answer>;

const NOT_FOUND: Answer = { status: 404, error: [10007, "This Worker does not exist on your account."] };

export class CloudflareApi {
	readonly databases = new Map<string, { name: string; sql: DatabaseSync }>();
	readonly buckets = new Set<string>();
	readonly queues = new Map<string, string>();
	readonly consumers: unknown[] = [];
	readonly scripts = new Map<string, Script>();
	/** Names of the Workers, in the order in which they went up. */
	readonly uploads: string[] = [];
	readonly crons: string[] = [];
	/** Calls that this server has no answer for. */
	readonly unknown: string[] = [];
	/** Calls that fail as if Cloudflare were ill; set by tests. */
	ill: (method: string, path: string) => boolean = () => false;
	readonly #server: Server = createServer((request, response) => {
		this.#handle(request).then(
			({ status = 200, ...answer }) => {
				response.writeHead(status, { "content-type": "application/json" });
				response.end(JSON.stringify(bodyOf(answer)));
			},
			(error: unknown) => response.destroy(error instanceof Error ? error : undefined),
		);
	});

	/** Returns the environment in which wrangler talks to it. */
	async start(): Promise<Record<string, string>> {
		await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
		const { port } = this.#server.address() as AddressInfo;
		return {
			CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}${BASE}`,
			CLOUDFLARE_API_TOKEN: "token",
			CLOUDFLARE_ACCOUNT_ID: "account",
			WRANGLER_SEND_METRICS: "false",
		};
	}

	stop(): void {
		this.#server.closeAllConnections();
		this.#server.close();
	}

	async #handle(request: IncomingMessage): Promise<Answer> {
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk);
		const url = new URL(request.url ?? "", "http://cloudflare");
		const path = url.pathname.slice(BASE.length);
		const method = request.method ?? "";
		if (this.ill(method, path)) return { status: 503, error: [10013, "An unknown error has occurred."] };
		for (const [verb, pattern, handler] of this.#routes) {
			const match = verb === method ? new RegExp(`^${pattern}$`).exec(path) : null;
			if (match === null) continue;
			return handler({ match, url, body: Buffer.concat(chunks), type: request.headers["content-type"] ?? "" });
		}
		this.unknown.push(`${method} ${path}`);
		return NOT_FOUND;
	}

	readonly #routes: [method: string, path: string, handler: Handler][] = [
		["GET", `${ACCOUNT}/d1/database`, ({ url }) => this.#listDatabases(url.searchParams.get("name"))],
		["POST", `${ACCOUNT}/d1/database`, ({ body }) => this.#createDatabase(JSON.parse(body.toString()).name)],
		["GET", `${ACCOUNT}/d1/database/([^/]+)`, ({ match }) => this.#database(match[1] ?? "")],
		["POST", `${ACCOUNT}/d1/database/([^/]+)/query`, ({ match, body }) => this.#query(match[1] ?? "", body)],
		// What the databases were used for, which is nothing yet.
		["POST", "/graphql", () => ({ data: { viewer: { accounts: [] } } })],
		["GET", `${ACCOUNT}/r2/buckets/(.+)`, ({ match }) => this.#bucket(match[1] ?? "")],
		["POST", `${ACCOUNT}/r2/buckets`, ({ body }) => this.#createBucket(JSON.parse(body.toString()).name)],
		["GET", `${ACCOUNT}/queues`, ({ url }) => this.#listQueues(url.searchParams.get("name"))],
		["POST", `${ACCOUNT}/queues`, ({ body }) => this.#createQueue(JSON.parse(body.toString()).queue_name)],
		["GET", `${ACCOUNT}/queues/[^/]+/consumers`, () => ({ result: this.consumers })],
		["POST", `${ACCOUNT}/queues/[^/]+/consumers`, ({ body }) => this.#consume(JSON.parse(body.toString()))],
		["PUT", `${ACCOUNT}/queues/[^/]+/consumers/1`, () => ({ result: this.consumers[0] })],
		["PUT", `${ACCOUNT}/workers/scripts/([^/]+)`, ({ match, body, type }) => this.#upload(match[1] ?? "", body, type)],
		[
			"POST",
			`${ACCOUNT}/workers/scripts/([^/]+)/versions`,
			({ match, body, type }) => this.#upload(match[1] ?? "", body, type),
		],
		["POST", `${ACCOUNT}/workers/scripts/[^/]+/deployments`, () => ({ result: { id: "1" } })],
		["PATCH", `${ACCOUNT}/workers/scripts/[^/]+/script-settings`, () => ({ result: {} })],
		["GET", `${ACCOUNT}/workers/scripts/([^/]+)/secrets`, ({ match }) => this.#secrets(match[1] ?? "")],
		["PUT", `${ACCOUNT}/workers/scripts/[^/]+/schedules`, ({ body }) => this.#schedule(JSON.parse(body.toString()))],
		["POST", `${ACCOUNT}/workers/scripts/([^/]+)/subdomain`, ({ match, body }) => this.#open(match[1] ?? "", body)],
		["GET", `${ACCOUNT}/workers/(?:workers|services)/([^/]+)`, ({ match }) => this.#worker(match[1] ?? "")],
		["GET", `${ACCOUNT}/workers/scripts/([^/]+)/deployments`, ({ match }) => this.#deployments(match[1] ?? "")],
		["GET", `${ACCOUNT}/workers/scripts/([^/]+)/settings`, ({ match }) => this.#settings(match[1] ?? "")],
		["GET", `${ACCOUNT}/workers/subdomain`, () => ({ result: { subdomain: "somebody" } })],
	];

	#listDatabases(name: string | null): Answer {
		const all = [...this.databases].map(([uuid, one]) => ({ uuid, name: one.name }));
		return { result: all.filter((one) => name === null || one.name === name) };
	}

	#createDatabase(name: string): Answer {
		const uuid = `00000000-0000-4000-8000-${String(this.databases.size + 1).padStart(12, "0")}`;
		this.databases.set(uuid, { name, sql: new DatabaseSync(":memory:") });
		return { result: { uuid, name } };
	}

	#database(wanted: string): Answer {
		const found = [...this.databases].find(([uuid, { name }]) => uuid === wanted || name === wanted);
		if (found === undefined) return { status: 404, error: [7404, "The database could not be found"] };
		return { result: { uuid: found[0], name: found[1].name, version: "production", num_tables: 0, file_size: 0 } };
	}

	#query(uuid: string, body: Buffer): Answer {
		const database = this.databases.get(uuid);
		if (database === undefined) return { status: 404, error: [7404, "The database could not be found"] };
		const { sql, params = [] } = JSON.parse(body.toString());
		const meta = { duration: 1, changes: 0, rows_read: 0, rows_written: 0 };
		// Several statements come without parameters, and nobody reads what they return.
		if (params.length > 0 || /^\s*SELECT/i.test(sql)) {
			return { result: [{ results: database.sql.prepare(sql).all(...params), success: true, meta }] };
		}
		database.sql.exec(sql);
		return { result: [{ results: [], success: true, meta }] };
	}

	#bucket(name: string): Answer {
		if (!this.buckets.has(name)) return { status: 404, error: [10006, "The specified bucket does not exist."] };
		return { result: { name, location: "WEUR", storage_class: "Standard" } };
	}

	#createBucket(name: string): Answer {
		this.buckets.add(name);
		return this.#bucket(name);
	}

	#listQueues(name: string | null): Answer {
		const all = [...this.queues].map(([queue_name, queue_id]) => this.#queue(queue_name, queue_id));
		return { result: all.filter((one) => name === null || one.queue_name === name) };
	}

	#queue(queue_name: string, queue_id: string) {
		const { consumers } = this;
		return { queue_name, queue_id, producers: [], consumers, settings: {}, consumers_total_count: consumers.length };
	}

	#createQueue(name: string): Answer {
		const id = String(this.queues.size + 1).padStart(32, "0");
		this.queues.set(name, id);
		return { result: this.#queue(name, id) };
	}

	#consume({ script_name, ...consumer }: { script_name: string }): Answer {
		if (this.consumers.length > 0) return { status: 400, error: [11004, "Queue already has a consumer."] };
		this.consumers.push({ consumer_id: "1", script: script_name, ...consumer });
		return { result: this.consumers[0] };
	}

	async #upload(name: string, body: Buffer, type: string): Promise<Answer> {
		const form = await new Response(body, { headers: { "content-type": type } }).formData();
		const metadata: Metadata = JSON.parse(String(form.get("metadata")));
		const before = this.scripts.get(name);
		// An upload that doesn't ask for them to stay removes the secrets.
		const secrets = metadata.keep_bindings?.includes("secret_text") ? { ...before?.secrets } : {};
		for (const { name, type, text } of metadata.bindings) if (type === "secret_text") secrets[name] = text ?? "";
		this.scripts.set(name, { secrets, bindings: metadata.bindings, open: before?.open ?? false });
		this.uploads.push(name);
		const resources = { script: { etag: "1" } };
		const handlers = ["fetch"];
		return { result: { id: "1", resources, deployment_id: "1", startup_time_ms: 1, has_modules: true, handlers } };
	}

	#schedule(crons: { cron: string }[]): Answer {
		this.crons.splice(0, this.crons.length, ...crons.map(({ cron }) => cron));
		return { result: { schedules: crons } };
	}

	#open(name: string, body: Buffer): Answer {
		const script = this.scripts.get(name);
		if (script === undefined) return NOT_FOUND;
		script.open = JSON.parse(body.toString()).enabled;
		return { result: { enabled: script.open, previews_enabled: false } };
	}

	#worker(name: string): Answer {
		const script = this.scripts.get(name);
		if (script === undefined) return NOT_FOUND;
		const environment = { environment: "production", script: { id: name, tag: name, last_deployed_from: "wrangler" } };
		return {
			result: { id: name, name, subdomain: { enabled: script.open }, default_environment: environment },
		};
	}

	#deployments(name: string): Answer {
		return this.scripts.has(name) ? { result: { deployments: [] } } : NOT_FOUND;
	}

	#settings(name: string): Answer {
		const script = this.scripts.get(name);
		return script === undefined ? NOT_FOUND : { result: { bindings: script.bindings } };
	}

	#secrets(name: string): Answer {
		const script = this.scripts.get(name);
		if (script === undefined) return NOT_FOUND;
		return { result: Object.keys(script.secrets).map((one) => ({ name: one, type: "secret_text" })) };
	}
}

function bodyOf({ result = null, data, error }: Answer) {
	const errors = error === undefined ? [] : [{ code: error[0], message: error[1] }];
	const count = Array.isArray(result) ? result.length : 0;
	const result_info = { page: 1, per_page: 100, count, total_count: count, total_pages: 1 };
	return { success: error === undefined, errors, messages: [], result, result_info, data };
}
