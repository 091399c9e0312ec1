/** Under which name an address counts. */

/**
 * Whoever has one IPv6 address has the 2^64 of its network: they count as one. An IPv4 address stays as it is, also
 * where it is written as an IPv6 one.
 */
export function addressKey(address: string): string {
	if (!address.includes(":")) return address;
	const [head = "", tail] = address.toLowerCase().split("::");
	const embedded = /[\d.]+\.\d+$/.exec(address)?.[0];
	if (embedded !== undefined) return embedded;
	const groups = (part: string) => part.split(":").filter((group) => group !== "");
	const [left, right] = [groups(head), groups(tail ?? "")];
	const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
	const network = [...left, ...Array.from({ length: zeros }, () => "0"), ...right].slice(0, 4);
	return `${network.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
