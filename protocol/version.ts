/** The protocol version that `Hello` quotes. It grows when a schema changes in a way that an older peer can't read. */
export const PROTOCOL_VERSION = 1;

/**
 * SHA-256 of all schemas (`.proto` files and the HTTP bodies' JSON Schemas) for each version, newest last, with a
 * line on what changed. `protocol/version.test.ts` fails when the schemas differ from the last line.
 */
export const VERSIONS: readonly { version: number; fingerprint: string; change: string }[] = [
	{
		version: 1,
		fingerprint: "6bdf81c15982c9d122dffa586aed11763199cda02a120466d09a95e15c151e35",
		change: "the first: one-to-one conversations",
	},
	{
		version: 1,
		fingerprint: "5d78a580723750ad7622fbec72417eedb20a96f39de3d2c1419f55e07ba0f30b",
		change: "media: grants and holds",
	},
	{
		version: 1,
		fingerprint: "9aefdd835285a206ec9550b687afd0a0fc0590640831d07189581651fa7a710a",
		change: "accounts: a refusal for too many conversations",
	},
	{
		version: 1,
		fingerprint: "776d77bef9a2aafb320c011aa132a4c1df8ae4f804d1a6eff7c638a71c428511",
		change: "content: attachments",
	},
	{
		version: 1,
		fingerprint: "1479f97643fd3db0876fb33693cd5542d42e20b0d3957e6abb2d31e067180c6e",
		change: "several devices for each account: linking, list, names, unlinking",
	},
	{
		version: 1,
		fingerprint: "eb1a4a0d8453a0310be67ed2922bf70682b86d7565daa4e4eaa61088d6e81a09",
		change: "content: its conversation",
	},
	{
		version: 1,
		fingerprint: "e9f882ddfe84abac6cca8bf404e3039a8866c1e4dceecc7ca68c4caff0067396",
		change: "content: what people do with messages",
	},
	{
		version: 1,
		fingerprint: "434703379b0ad6e066898649f75c41aed4c473a9fedab73ab6d386f736b1160a",
		change: "groups",
	},
	{
		version: 1,
		fingerprint: "f453e2226b050691e4e84fd98d7e71991f91156ee2c99560e8f7ea7d6da3de9f",
		change: "groups: sender keys, an invite link's secret in the state",
	},
	{
		version: 1,
		fingerprint: "b34a51d7060ea6370a15f3352c3eaaeaf65d7ad327ed8cf16be80f0986f80a4f",
		change: "frames: withdrawing, blocking, presence, quiet acknowledgements",
	},
	{
		version: 1,
		fingerprint: "587624c0bb61ed6f4555c350bf267f37cf5c7d03f74312bf0b53dbf2412d8b7b",
		change: "conversations: a refusal where too much waits",
	},
	{
		version: 1,
		fingerprint: "5a5e7d791314661530b3902ba82d7f5f263812ead11cbb10c4956eafe13563cd",
		change: "reports, who finds an account, presence that is not to be noted; bodies of groups are in the fingerprint",
	},
	{
		version: 1,
		fingerprint: "913fddaca7dd2d00f3026bfdf656ede3628a5393e1d6565af36d730afb056adc",
		change: "frames: acknowledgements beside messages, watermarks beside entries",
	},
	{
		version: 1,
		fingerprint: "ba8737c46c640bb5e7e986180f4374b3152e5a3e125d3cf12263ea943ef25b1e",
		change: "content: profiles",
	},
	{
		version: 1,
		fingerprint: "7b49d620ab6caf155d5db9db505ce3caff693047e6b7cb353c50157c2fdbae4e",
		change: "groups: a state's rank",
	},
	{
		version: 1,
		fingerprint: "71f6e16d5bc780e0e09e8ca500e53753cf6d814f7f80f6b06f2e8e859b71f2f8",
		change: "content: timers for who comes later",
	},
	{
		version: 1,
		fingerprint: "8d0052caaa2be21046fa4b596dbbc03164b208159adaf453061fe979d29f6ed5",
		change: "media: a refusal for too many bodies at once",
	},
	{
		version: 1,
		fingerprint: "cbb60fb0a7252429edf9346bc07367d8dcc399b1e3ae128ddcfb24a01b4f1579",
		change: "content: who made a group's newest state and is gone, for own devices",
	},
	{
		version: 1,
		fingerprint: "1211e3ebdf9aa00eed23f6fb1715edfadde93e2fb29ff81fcc2aac09d4c0c338",
		change: "Missed names what the device had; a request names several messages",
	},
];
