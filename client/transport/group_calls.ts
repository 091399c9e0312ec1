/** A group's requests to the server, carried out for the machine. */
import { z } from "zod";
import { ChangedGroup, Group, LINK_SECRET_HEADER } from "../../protocol/http_groups.ts";
import type { GroupCall } from "../machine/groups/building.ts";
import type { MachineEvent } from "../machine/interface.ts";
import { ServerRefusal } from "./errors.ts";
import type { Api } from "./http.ts";

/** A group of a thousand takes the server a while: it looks up everybody's devices. */
const TIMEOUT_MS = 60_000;

/** Makes one attempt. Throws where the call failed for the moment; a refusal for good is an event. */
export async function callGroup(api: Api, peer: string, id: string, call: GroupCall): Promise<MachineEvent> {
	try {
		switch (call.do) {
			case "create":
				return { type: "group-answered", peer, id, answer: await post(api, peer, "", call.body) };
			case "change":
				return { type: "group-answered", peer, id, answer: await post(api, peer, "/changes", call.body) };
			case "request":
				await api.call(
					{ method: "POST", path: `/v1/groups/${peer}/requests`, body: call.body, authorized: true },
					z.unknown(),
				);
				return { type: "group-answered", peer, id, answer: { number: 0, version: 0, unreachable: [] } };
			case "leave":
				await api.call({ method: "POST", path: `/v1/groups/${peer}/leave`, authorized: true }, z.unknown());
				return { type: "group-answered", peer, id, answer: { number: 0, version: 0, unreachable: [] } };
			case "fetch":
				return { type: "group-fetched", peer, group: await fetchGroup(api, peer, call.secret) };
			default:
				return call satisfies never;
		}
	} catch (error) {
		if (!(error instanceof ServerRefusal) || error.passing || error.code === "unexpected_answer") throw error;
		return { type: "group-refused", peer, id, code: error.code, limit: error.limit };
	}
}

/** What the server shows of a group to members, and to who has the link's secret; undefined for others. */
export async function fetchGroup(api: Api, group: string, secret: string | undefined): Promise<Group | undefined> {
	const headers = secret === undefined ? {} : { [LINK_SECRET_HEADER]: secret };
	try {
		return await api.call({ method: "GET", path: `/v1/groups/${group}`, authorized: true, headers }, Group);
	} catch (error) {
		if (error instanceof ServerRefusal && error.code === "not_found") return undefined;
		throw error;
	}
}

function post(api: Api, group: string, path: string, body: unknown): Promise<ChangedGroup> {
	const call = { method: "POST" as const, path: `/v1/groups/${group}${path}`, body, authorized: true };
	return api.call({ ...call, timeoutMs: TIMEOUT_MS }, ChangedGroup);
}
