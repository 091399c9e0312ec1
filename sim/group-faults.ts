/** Faults that are planted in groups' worlds, in the server and in the devices. */
import type { ConversationEvent, Effect } from "../workers/conversation-do/core.ts";
import type { GroupJson } from "../workers/conversation-do/group.ts";
import type { Store } from "../workers/conversation-do/store.ts";
import { changed, type Fault, type GroupCall, type Waking, withoutArrivals } from "./faults.ts";
import type { Random } from "./random.ts";
import type { SimulatedStore } from "./store.ts";

export const GROUP_FAULTS: readonly Fault[] = [
	{ name: "version-not-checked", breaks: ["GROUP-2"], asked: withCurrentVersion },
	{ name: "removed-stays-on-roster", breaks: ["GROUP-2"], asked: withoutRemoval },
	{ name: "group-not-written", breaks: ["GROUP-2"], wrapStore: forgettingGroups },
	{ name: "newcomer-reads-before", breaks: ["GROUP-6", "ROSTER-3"], wrapStore: withoutArrivals },
	{ name: "removed-reads-on", breaks: ["GROUP-6"], effects: toClosedSockets() },
	{ name: "sender-key-kept", breaks: ["GROUP-13"], client: "keeps-sender-key" },
	{ name: "old-key-to-newcomers", breaks: ["GROUP-13"], client: "gives-old-keys" },
	{ name: "device-without-key", breaks: ["DELIVERED-1"], client: "forgets-holders" },
	{ name: "anybody-believed", breaks: ["GROUP-10"], client: "believes-anybody", asked: asAdmin },
];

function withCurrentVersion(event: GroupCall, group: GroupJson | undefined): GroupCall {
	if (event.type !== "changeGroup" || group === undefined) return event;
	return { ...event, request: { ...event.request, version: group.version + 1 } };
}

function withoutRemoval(event: GroupCall): GroupCall {
	return event.type === "changeGroup" ? { ...event, request: { ...event.request, removed: [] } } : event;
}

/** The server takes everybody for an admin. */
function asAdmin(event: GroupCall, group: GroupJson | undefined): GroupCall {
	const { request } = event;
	if (event.type !== "changeGroup" || group?.roles.some(([one]) => one === request.actor.account) !== true)
		return event;
	const admin = { ...request.actor, account: group.roles.find(([, role]) => role === "admin")?.[0] ?? "" };
	return { ...event, request: { ...event.request, actor: admin } };
}

/** Now and then a group's row is not written with its roster. */
function forgettingGroups(store: SimulatedStore, _waking: Waking, random: Random): Store {
	const writeGroup = (group: string): void => {
		if (store.readGroup() === undefined || random.chance(0.7)) store.writeGroup(group);
	};
	return changed(store, { writeGroup });
}

/** A socket that the core has closed stays open, and gets what all get. */
function toClosedSockets(): NonNullable<Fault["effects"]> {
	const closed = new Set<number>();
	return (effects: readonly Effect[], event: ConversationEvent) => {
		if (event.type === "changeGroup" && event.request.version === 1) closed.clear();
		return effects.flatMap((effect) => {
			if (effect.type === "close") {
				closed.add(effect.socket);
				return [];
			}
			return [effect.type === "sendAll" ? { ...effect, sockets: [...effect.sockets, ...closed] } : effect];
		});
	};
}
