/** The part of the api that is about devices. */
import { z } from "zod";
import {
	type AddDeviceRequest,
	AddDeviceResponse,
	ConversationList,
	DeviceList,
	DeviceToken,
	OpenLinkResponse,
	TakenLink,
} from "../../protocol/http_devices.ts";
import type { Api } from "./http.ts";

const NOTHING = z.unknown();

/** The requests about devices and linking. */
export class DeviceCalls {
	readonly #api: Pick<Api, "call">;

	constructor(api: Pick<Api, "call">) {
		this.#api = api;
	}

	openLink(address: string): Promise<OpenLinkResponse> {
		const body = { address };
		return this.#api.call({ method: "POST", path: "/v1/links", body, authorized: false }, OpenLinkResponse);
	}

	async putLink(address: string, ciphertext: string): Promise<void> {
		const body = { ciphertext };
		await this.#api.call({ method: "PUT", path: `/v1/links/${address}`, body, authorized: true }, NOTHING);
	}

	takeLink(address: string): Promise<TakenLink> {
		return this.#api.call({ method: "POST", path: `/v1/links/${address}/take`, authorized: false }, TakenLink);
	}

	token(): Promise<DeviceToken> {
		return this.#api.call({ method: "POST", path: "/v1/devices/tokens", authorized: true }, DeviceToken);
	}

	add(body: AddDeviceRequest): Promise<AddDeviceResponse> {
		return this.#api.call({ method: "POST", path: "/v1/devices", body, authorized: false }, AddDeviceResponse);
	}

	async list(): Promise<DeviceList["devices"]> {
		const answer = await this.#api.call({ method: "GET", path: "/v1/devices", authorized: true }, DeviceList);
		return answer.devices;
	}

	async rename(device: number, sealedName: string): Promise<void> {
		const path = `/v1/devices/${device}/name`;
		await this.#api.call({ method: "PUT", path, body: { sealedName }, authorized: true }, NOTHING);
	}

	async unlink(device: number): Promise<void> {
		await this.#api.call({ method: "DELETE", path: `/v1/devices/${device}`, authorized: true }, NOTHING);
	}

	/** All conversations, by the other member or the group's id (rule SYNC-4). */
	async conversations(): Promise<string[]> {
		const peers: string[] = [];
		let after = "";
		for (;;) {
			const path = `/v1/conversations${after}`;
			const page = await this.#api.call({ method: "GET", path, authorized: true }, ConversationList);
			peers.push(...page.conversations.map(({ conversation, peer }) => peer ?? conversation));
			if (page.next === undefined) return peers;
			after = `?after=${page.next}`;
		}
	}
}
