/** A device that runs the real client in a conversation of two. */
import { type GroupRequest, type Installed, MachineRunner, type MachineSurroundings } from "./machine-runner.ts";

export class MachineClient extends MachineRunner {
	/** A new account's first device; with `old`, a further device of that one's account. */
	constructor(account: string, peer: string, device: number, around: MachineSurroundings, old?: MachineClient) {
		const installed: Installed = { account, peer, device, old };
		super(installed, around);
	}

	/** A person writes a message. */
	offer(): Promise<void> {
		return this.write();
	}

	protected callGroup(_request: GroupRequest): void {
		// No groups in this world.
	}
}
