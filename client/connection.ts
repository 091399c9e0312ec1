/** What works together while an account is connected, put together once. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { ClaimedNames } from "./claimed_names.ts";
import type { LocalAccount } from "./machine/interface.ts";
import { ClientMachine } from "./machine/machine.ts";
import { Files } from "./media/files.ts";
import type { FileNotice } from "./media/transfers.ts";
import type { Store } from "./store/database.ts";
import type { Clock } from "./transport/clock.ts";
import { Api } from "./transport/http.ts";
import { Runner, type RunnerNotice } from "./transport/runner.ts";
import type { Waiters } from "./waiters.ts";

/** What a registered device has while it is open. */
export interface Connection {
	account: LocalAccount;
	api: Api;
	machine: ClientMachine;
	runner: Runner;
	names: ClaimedNames;
	files: Files;
}

export interface ConnectionOptions {
	account: LocalAccount;
	server: string;
	store: Store;
	clock: Clock;
	directory: string;
	waiters: Waiters;
	addressee(to: string): Promise<string>;
	onRunnerNotice(names: ClaimedNames, notice: RunnerNotice): void;
	deliver(notice: RunnerNotice | FileNotice): void;
}

/** Puts the parts together; nothing is connected yet. */
export function makeConnection(options: ConnectionOptions): Connection {
	const { account, store, clock, waiters } = options;
	const api = new Api({ server: options.server, clock, credentials: account });
	const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
	const machine = new ClientMachine(store, { nowMs: () => clock.nowMs(), randomBytes: random });
	const onIdle = (): void => waiters.changed();
	const names = new ClaimedNames({
		store,
		lookup: (hash, account) => api.lookupUsername(hash, account),
		deliver: (notice) => options.deliver(notice),
		onIdle,
	});
	const onNotice = (notice: RunnerNotice): void => options.onRunnerNotice(names, notice);
	const runner = new Runner({ machine, api, clock, onNotice, onIdle });
	const files = new Files({
		store,
		api,
		clock,
		directory: join(options.directory, "media"),
		machine,
		runner,
		addressee: (to) => options.addressee(to),
		onNotice: (notice) => {
			waiters.renew();
			options.deliver(notice);
		},
		onChange: onIdle,
	});
	return { account, api, machine, runner, names, files };
}
