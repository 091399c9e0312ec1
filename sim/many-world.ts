/**
 * A world with two groups that share members, and conversations of two beside them: one program on each device, killed
 * as a whole; one directory, whose changes a queue tells to all conversations; one account object, whose news waits by
 * conversation. Each conversation is judged as if it were alone; keys count as held from whichever group's log.
 */
import { uuidFromBytes } from "../protocol/ids.ts";
import type { RosterMember } from "../workers/conversation-do/interface.ts";
import { Accounts } from "./account.ts";
import { Changes } from "./changes.ts";
import type { Fault } from "./faults.ts";
import { SenderKeys } from "./group-keys.ts";
import { makeClimate } from "./group-world.ts";
import { History } from "./history.ts";
import { type Common, DirectRoom, GroupRoom, type Program, type Room } from "./many-rooms.ts";
import { Random } from "./random.ts";
import { Schedule } from "./schedule.ts";
import type { Outcome } from "./world.ts";

const START_MS = Date.UTC(2026, 0, 1);
const REST_MS = 3 * 60 * 60_000;
const LAST_MS = 2 * 60_000;
/** Probability that the queue's consumer dies between two conversations. */
const DEATHS = 0.05;

/** Runs the world of a seed to its end and judges each of its conversations. */
export async function runManyWorld(seed: number, fault: Fault): Promise<Outcome> {
	const random = new Random(seed);
	const climate = makeClimate(random);
	const schedule = new Schedule(START_MS);
	const trace: string[] = [];
	const history = new History(() => schedule.nowMs - START_MS, "", trace);
	let isCalm = false;
	const calm = (): boolean => isCalm;
	const accounts = new Accounts(schedule, random.fork(), history, random.fraction() * 0.5);
	const rooms: Room[] = [];
	const queue = random.fork();
	/** Conversation by conversation; what it has told before it dies, it tells again. */
	const everywhere = (all: readonly Room[], call: (room: Room) => boolean): boolean =>
		all.every((room) => (calm() || !queue.chance(DEATHS)) && call(room));
	const tell = (member: RosterMember): boolean =>
		everywhere(fault.mixes === "changes" ? rooms.slice(0, 1) : rooms, (room) => room.tell(member));
	const changes = new Changes({ schedule, random: random.fork(), history, fault, tell, calm });
	const registrations = random.fork();
	const programs: Program[] = [];
	const install = (account: string, device: number): Program => {
		const registrationId = registrations.between(1, 16_380);
		const program = { account, device, registrationId, parts: [], keys: new SenderKeys() };
		programs.push(program);
		for (const room of rooms) if (room.concerns(account)) room.join(program);
		return program;
	};
	let links = 0;
	const common: Common = {
		...{ schedule, fault, accounts, changes, deleted: new Set(), trace, rooms, calm, install },
		nextLink: () => ++links,
		remove: (account) =>
			everywhere(
				fault.mixes === "deletions" ? rooms.slice(0, 1) : rooms,
				(room) => !room.concerns(account) || room.host.removeMember(account),
			),
	};
	const ids = climate.accounts.map(() => uuidFromBytes(random.bytes(16)));
	const { troubleMs } = climate;
	for (const name of ["red", "blue"]) {
		const own = { ...makeClimate(random), troubleMs, clientCrashes: climate.clientCrashes };
		rooms.push(new GroupRoom(name, common, own, random.fork()));
	}
	for (let count = random.between(1, 2); count > 0; count--) {
		const first = random.between(0, ids.length - 1);
		const second = (first + random.between(1, ids.length - 1)) % ids.length;
		const between: [string, string] = [ids[first] ?? "", ids[second] ?? ""];
		rooms.push(new DirectRoom(`two${count}`, common, climate, random.fork(), between));
	}
	for (const [index, count] of climate.accounts.entries()) {
		for (let device = 1; device <= count; device++) install(ids[index] ?? "", device);
	}
	changes.begin(programs.flatMap(({ parts }) => parts.slice(0, 1)));
	for (const room of rooms) room.plan();

	await schedule.runUntil(START_MS + troubleMs);
	history.note("the trouble ends");
	isCalm = true;
	accounts.calm();
	await schedule.runUntil(schedule.nowMs + REST_MS / 6);
	for (const room of rooms) room.offer();
	await schedule.runUntil(schedule.nowMs + REST_MS);
	for (const room of rooms) room.history.observe({ type: "rested" });
	for (const room of rooms) room.gather();
	await schedule.runUntil(schedule.nowMs + LAST_MS);
	const violations = rooms.flatMap((room) =>
		room.judge().map(({ rule, what }) => ({ rule, what: `${room.name}: ${what}` })),
	);
	const entries = rooms.reduce((sum, { host }) => sum + host.rows().length, 0);
	return { seed, violations, trace, entries };
}
