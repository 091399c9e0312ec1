/** The conversation Worker as it is deployed, with counters. Its own socket answers with them. */
import { Conversation as Product } from "../../workers/conversation-do/index.ts";
import { observeNamespace, observeStorage, report } from "./counters.ts";

export { Health } from "../../workers/conversation-do/index.ts";

export class Conversation extends Product {
	constructor(...[ctx, env]: ConstructorParameters<typeof Product>) {
		observeStorage(ctx.storage);
		super(ctx, { ...env, ACCOUNT: observeNamespace(env.ACCOUNT) });
	}
}

export default { fetch: report } satisfies ExportedHandler;
