/**
 * A device that kills itself: `node test/kill-device.ts --data DIR --token TOKEN --peer NAME --at MOMENT --what WHAT
 * [--nth N] TEXT…`. It connects, sends the texts, receives what waits, reads it and ends; at the Nth time of the given
 * moment it gets SIGKILL, so that nothing is flushed or said goodbye to. The client itself knows nothing of this: its
 * file's transactions and its sockets are wrapped here.
 */
import { EventEmitter } from "node:events";
import { parseArgs } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import WebSocket from "ws";
import type { MachineEvent } from "../client/machine/interface.ts";
import { ClientMachine } from "../client/machine/machine.ts";
import { Parley } from "../client/parley.ts";
import { Store } from "../client/store/database.ts";
import { Api } from "../client/transport/http.ts";
import { AccountDownSchema, AccountUpSchema } from "../protocol/gen/account_pb.js";
import { ConversationDownSchema } from "../protocol/gen/conversation_down_pb.js";
import { ConversationUpSchema } from "../protocol/gen/conversation_up_pb.js";

const PATIENCE_MS = 10_000;

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		data: { type: "string", default: "" },
		token: { type: "string", default: "" },
		peer: { type: "string", default: "" },
		at: { type: "string", default: "" },
		what: { type: "string", default: "" },
		nth: { type: "string", default: "1" },
	},
});
let left = Number(values.nth);

/** The moment `at` of these events or frames has come; the process ends here if it is the chosen one. */
function moment(at: string, what: readonly string[]): void {
	if (at !== values.at || !what.includes(values.what)) return;
	left--;
	if (left === 0) process.kill(process.pid, "SIGKILL");
}

/** What the step under way handles: events by their type, frames by their name. */
let handled: string[] = [];

function nameOf(event: MachineEvent): string {
	return "frame" in event ? (event.frame.frame.case ?? "") : event.type;
}

const { step } = ClientMachine.prototype;
ClientMachine.prototype.step = async function (events) {
	handled = events.map(nameOf);
	try {
		return await step.call(this, events);
	} finally {
		handled = [];
	}
};

const { begin, commit } = Store.prototype;
Store.prototype.begin = function () {
	moment("begin", handled);
	begin.call(this);
};
Store.prototype.commit = function () {
	moment("commit", handled);
	commit.call(this);
	moment("committed", handled);
};

Object.defineProperty(WebSocket.prototype, "send", {
	value: wrapSend(WebSocket.prototype.send),
});

function wrapSend(send: (data: Uint8Array | string, done: () => void) => void) {
	return function (this: WebSocket, data: Uint8Array | string): void {
		const names = typeof data === "string" ? ["ping"] : upNames(this.url, data);
		moment("sending", names);
		send.call(this, data, () => moment("sent", names));
	};
}

/** An acknowledgement may be a frame of its own, or beside a message (rule DELIVERED-4). */
function upNames(url: string, bytes: Uint8Array): string[] {
	if (url.endsWith("/v1/socket")) return [fromBinary(AccountUpSchema, bytes).frame.case ?? ""];
	const { frame, acknowledged } = fromBinary(ConversationUpSchema, bytes);
	return [frame.case ?? "", ...(acknowledged === undefined ? [] : ["acknowledge"])];
}

Object.defineProperty(WebSocket.prototype, "emit", {
	value(this: WebSocket, event: string, ...rest: unknown[]): boolean {
		const [data, isBinary] = rest;
		if (event === "message" && isBinary === true && data instanceof Uint8Array) {
			moment("arriving", [downName(this.url, data)]);
		}
		return EventEmitter.prototype.emit.call(this, event, ...rest);
	},
});

function downName(url: string, bytes: Uint8Array): string {
	const schema = url.endsWith("/v1/socket") ? AccountDownSchema : ConversationDownSchema;
	return fromBinary<typeof AccountDownSchema | typeof ConversationDownSchema>(schema, bytes).frame.case ?? "";
}

// The server limits the sign-ins of one address.
Api.prototype.accessToken = () => Promise.resolve(values.token);

const parley = await Parley.open({ dataDir: values.data, environment: {} });
parley.connect();
for (const text of positionals) {
	const { id } = await parley.send(values.peer, text);
	await parley.sent(id, PATIENCE_MS);
}
await parley.receive({ timeoutMs: PATIENCE_MS });
parley.markAllRead((await parley.lookup(values.peer)).account);
await parley.close();
