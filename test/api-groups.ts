/** What the tests of groups at the api share. */
import type { RegisterResponse } from "../protocol/http.ts";
import { groupId } from "../protocol/ids.ts";
import type { ApiEnv } from "../workers/api/env.ts";
import { workThrough } from "../workers/api/testing.ts";
import { newId, TestSocket, up } from "../workers/conversation-do/testing.ts";
import { call } from "./api-caller.ts";

export const OPEN = { add: "members", edit: "members", send: "members", link: false, approval: false };
export const UPGRADE = { upgrade: "websocket" };

export const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
export const random = () => crypto.getRandomValues(new Uint8Array(32));
export const STATE = base64url(new TextEncoder().encode("sealed"));

export async function newGroup(founder: RegisterResponse, members: RegisterResponse[], fields: object = {}) {
	const seed = random();
	const id = await groupId(seed);
	const body = {
		...{ seed: base64url(seed), messageId: base64url(newId()), rules: OPEN, state: STATE },
		members: members.map(({ accountId }) => ({ accountId, role: "member" })),
		...fields,
	};
	const response = await call(`/v1/groups/${id}`, { method: "POST", token: founder.accessToken, body });
	return { id, body, response };
}

export const change = (id: string, actor: RegisterResponse, version: number, fields: object = {}) =>
	call(`/v1/groups/${id}/changes`, {
		method: "POST",
		token: actor.accessToken,
		body: { messageId: base64url(newId()), version, state: STATE, ...fields },
	});

export async function open(id: string, { accessToken }: RegisterResponse): Promise<TestSocket> {
	const { webSocket } = await call(`/v1/groups/${id}/socket`, { token: accessToken, headers: UPGRADE });
	if (webSocket === null) throw new Error("no socket");
	const socket = new TestSocket(webSocket);
	socket.send(up({ case: "hello", value: { protocolVersion: 1, cursor: 0 } }));
	return socket;
}

export const shared = (rosterVersion: number) =>
	up({ case: "send", value: { messageId: newId(), rosterVersion, shared: new Uint8Array([1]) } });

/** Lets the queue's consumer work through a group's message. */
export const settle = (group: string, accountIds: string[], bindings: Partial<ApiEnv> = {}) =>
	workThrough({ type: "group-changed", group, accountIds }, bindings);
