/** The api as it is deployed, with counters, which one more path answers with. */
import product from "../../workers/api/index.ts";
import { observeDatabase, observeNamespace, report } from "./counters.ts";

export const COUNTERS_PATH = "/bench/counters";

type Fetch = typeof product.fetch;

export default {
	...product,
	fetch(...[request, env, ctx]: Parameters<Fetch>): ReturnType<Fetch> | Response {
		if (new URL(request.url).pathname === COUNTERS_PATH) return report();
		const observed = {
			...env,
			DIRECTORY: observeDatabase(env.DIRECTORY),
			CONVERSATION: observeNamespace(env.CONVERSATION),
			ACCOUNT: observeNamespace(env.ACCOUNT),
		};
		return product.fetch(request, observed, ctx);
	},
};
