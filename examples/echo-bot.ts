/**
 * A bot that answers each text with the same text: `npx node examples/echo-bot.ts NAME`, beside `npm start`.
 * PARLEY_SERVER and PARLEY_DATA say where the server is, and where the bot keeps its keys and messages.
 *
 * A message is on the bot's disk before the server lets go of it, and an answer before the message counts as read. So a
 * bot that was killed answers the rest when it starts again; twice only what it was answering at that moment.
 */
import process from "node:process";
import { Failure } from "../client/failure.ts";
import type { StoredMessage } from "../client/machine/interface.ts";
import { Parley } from "../client/parley.ts";

const [name = "echo"] = process.argv.slice(2);
const { PARLEY_SERVER: server = "http://127.0.0.1:8787", PARLEY_DATA: dataDir = `.parley/${name}` } = process.env;

/** Answers one after the other, in the order in which the messages came. */
let answered = Promise.resolve();

const parley = await Parley.open({
	server,
	dataDir,
	onNotice(notice) {
		if (notice.type === "message") answered = answered.then(() => answer(notice.message));
	},
});

async function answer({ id, peer, number, outgoing, body }: StoredMessage): Promise<void> {
	if (outgoing || number === undefined || !body) return;
	try {
		await parley.messages.reply(id, body);
		parley.markRead(peer, number);
		console.log(`answered ${parley.nameOf(peer)}`);
	} catch (error) {
		// As when the other one's identity key has changed: a person has to look at it.
		if (!(error instanceof Failure)) throw error;
		console.error(`${parley.nameOf(peer)} gets no answer: ${error.message}`);
	}
}

const account = await parley.register(name).catch((error: unknown) => {
	// The server can't be reached, the name is taken, or it is none.
	console.error(error instanceof Error ? error.message : error);
	process.exit(1);
});
for (const message of parley.messages.unshown()) answered = answered.then(() => answer(message));
parley.connect();
console.log(`${account.username} listens; Ctrl-C ends it`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
	process.once(signal, () => void answered.then(() => parley.close()).then(() => process.exit(0)));
}
