/** Who blocks whom, who is there, who types: what passes beside the log (rules BLOCK-1, EPHEMERAL-1, PRESENCE-1). */
import type { PeerPresence, Welcome } from "../../protocol/gen/conversation_down_pb.js";
import { uuidFromBytes } from "../../protocol/ids.ts";
import { isGroup } from "../groups/state.ts";
import type { Context } from "../machine/context.ts";
import { privacySwitch } from "../store/account.ts";
import { blockOf, setBlock, setSeen } from "../store/standings.ts";
import { isRequest } from "./requests.ts";

/** The user blocks somebody, or no longer does. Said to the server until it has answered. */
export function changeBlock(context: Context, peer: string, on: boolean): void {
	setBlock(context.store, peer, { blocked: on, due: true });
	if (context.connection(peer).welcomed) sendBlock(context, peer, on);
	else context.request({ type: "open-conversation", peer });
}

/** The server has it; or another own device has said it. */
export function onBlocking(context: Context, peer: string, on: boolean): void {
	const { blocked, due } = blockOf(context.store, peer);
	if (due && blocked !== on) return;
	if (due || blocked !== on) setBlock(context.store, peer, { blocked: on, due: false });
	if (blocked !== on) context.notify({ type: "synced", peer });
}

/** A connection has begun: what waits is said, what the server says is taken. */
export function greetPeer(context: Context, peer: string, welcome: Welcome): void {
	if (isGroup(peer)) return;
	const { blocked, due } = blockOf(context.store, peer);
	if (due) sendBlock(context, peer, blocked);
	else onBlocking(context, peer, welcome.blocking);
	if (context.online) sendPresence(context, peer, true);
	// Whether they want it noted is said when they leave.
	for (const account of welcome.online) onPresence(context, peer, account, true, true);
}

function sendBlock(context: Context, peer: string, on: boolean): void {
	context.send(peer, { case: "block", value: { $typeName: "parley.v1.Block", on } });
}

/** The user is there, or leaves: whoever is connected hears it, where the user has not switched that off. */
export function setOnline(context: Context, online: boolean): void {
	context.online = online;
	for (const [peer, { welcomed }] of context.connections) if (welcomed) sendPresence(context, peer, online);
}

function sendPresence(context: Context, peer: string, online: boolean): void {
	if (!isShown(context, peer, "presence")) return;
	const fleeting = !privacySwitch(context.store, "last_seen");
	context.send(peer, { case: "presence", value: { $typeName: "parley.v1.Presence", online, fleeting } });
}

/**
 * A switch changes what others are shown, here or by another own device: to whoever was shown that the user is there
 * and no longer is, the user leaves now; whoever is shown it is told in the new way (rules PRESENCE-1, PRESENCE-2).
 */
export function whilePresent(context: Context, change: () => void): void {
	const before = context.online ? shownTo(context) : [];
	change();
	if (!context.online) return;
	const fleeting = !privacySwitch(context.store, "last_seen");
	for (const peer of before) {
		if (isShown(context, peer, "presence")) continue;
		context.send(peer, { case: "presence", value: { $typeName: "parley.v1.Presence", online: false, fleeting } });
	}
	for (const peer of shownTo(context)) sendPresence(context, peer, true);
}

function shownTo(context: Context): string[] {
	const connected = [...context.connections].filter(([, { welcomed }]) => welcomed);
	return connected.map(([peer]) => peer).filter((peer) => isShown(context, peer, "presence"));
}

/** Somebody is there, or has left: when, is noted here and nowhere else. Who does not show it is not shown it. */
export function onPeerPresence(context: Context, peer: string, { account, online, fleeting }: PeerPresence): void {
	onPresence(context, peer, account, online, fleeting);
}

function onPresence(context: Context, peer: string, account: Uint8Array, online: boolean, fleeting: boolean): void {
	if (account.length !== 16 || uuidFromBytes(account) !== peer || !isShown(context, peer, "presence")) return;
	const now = context.environment.nowMs();
	// Who does not tell it is not told it either.
	if (!fleeting && privacySwitch(context.store, "last_seen")) setSeen(context.store, peer, now);
	context.notify({ type: "presence", peer, online, seenMs: now });
}

/** Whether typing or presence goes to somebody and comes from them. */
export function isShown(context: Context, peer: string, kind: "typing" | "presence"): boolean {
	if (!privacySwitch(context.store, kind) || isRequest(context, peer)) return false;
	return isGroup(peer) ? kind === "typing" : !blockOf(context.store, peer).blocked;
}
