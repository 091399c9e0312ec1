/**
 * The most that the platform can do: hibernatable sockets and, for each message, one INSERT of the bytes as they came
 * and one send to each connected socket. No identity, no idempotency, no order that is promised, no flow control.
 * Everything that Parley adds shows as a ratio to this.
 */
import { DurableObject } from "cloudflare:workers";

interface BareEnv {
	BARE: DurableObjectNamespace<Bare>;
}

/** One conversation, without anything that makes it one. */
export class Bare extends DurableObject<BareEnv> {
	constructor(ctx: DurableObjectState, env: BareEnv) {
		super(ctx, env);
		ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
	}

	/** Takes a socket; with `?after=` everything after that number is sent at once, which is the bare catch-up. */
	override fetch(request: Request): Response {
		const pair = new WebSocketPair();
		this.ctx.acceptWebSocket(pair[1]);
		const after = new URL(request.url).searchParams.get("after");
		if (after !== null) {
			for (const row of this.ctx.storage.sql.exec("SELECT bytes FROM log WHERE number > ? ORDER BY number", after)) {
				if (row.bytes instanceof ArrayBuffer) pair[1].send(row.bytes);
			}
		}
		return new Response(null, { status: 101, webSocket: pair[0] });
	}

	/**
	 * The sender gets the bytes back too: its acknowledgement. The output gate holds both sends until they are on disk.
	 */
	override webSocketMessage(_socket: WebSocket, message: ArrayBuffer | string): void {
		this.ctx.storage.sql.exec("INSERT INTO log (bytes) VALUES (?)", message);
		for (const socket of this.ctx.getWebSockets()) socket.send(message);
	}

	override webSocketClose(socket: WebSocket): void {
		socket.close();
	}
}

/** The path names the object. */
export default {
	fetch: (request, env) => env.BARE.getByName(new URL(request.url).pathname).fetch(request),
} satisfies ExportedHandler<BareEnv>;
