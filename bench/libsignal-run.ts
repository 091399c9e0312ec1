/**
 * libsignal alone, in a process of its own beside the client's, so that neither fills the other's memory. The two take
 * turns. Argument: the plaintext in base64. For each `[messages, burst]` that it is sent it answers what
 * they cost.
 */
import { z } from "zod";
import { BareExchange } from "./libsignal.ts";

const TurnSchema = z.tuple([z.int().min(1), z.int().min(1)]);

const exchange = await BareExchange.begin(new Uint8Array(Buffer.from(process.argv[2] ?? "", "base64")));
process.on("message", async (turn) => {
	process.send?.(await exchange.take(...TurnSchema.parse(turn)));
});
