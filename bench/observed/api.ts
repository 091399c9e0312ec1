/** The api as it is deployed, with counters, which one more path answers with. */
import product from "../../workers/api/index.ts";
import { observeDatabase, observeNamespace, report } from "./counters.ts";
import { COUNTERS_PATH } from "./path.ts";

type Env = Parameters<typeof product.fetch>[1];

export default {
	...product,
	fetch(
		request: Parameters<typeof product.fetch>[0],
		env: Env,
		context: ExecutionContext,
	): Response | Promise<Response> {
		if (new URL(request.url).pathname === COUNTERS_PATH) return report();
		const observed: Env = {
			...env,
			DIRECTORY: observeDatabase(env.DIRECTORY),
			CONVERSATION: observeNamespace(env.CONVERSATION),
			ACCOUNT: observeNamespace(env.ACCOUNT),
		};
		return product.fetch(request, observed, context);
	},
};
