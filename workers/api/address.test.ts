import { expect, test } from "vitest";
import { addressKey } from "./address.ts";

test("REFUSED-1 addresses of one IPv6 network count as one, however they are written; IPv4 addresses each for themselves", () => {
	const one = addressKey("2001:db8:0:1::5");
	expect(one).toBe("2001:db8:0:1::/64");
	for (const same of ["2001:0db8:0000:0001:ffff:ffff:ffff:ffff", "2001:DB8:0:1:0:0:0:9", "2001:db8:0:1::"]) {
		expect(addressKey(same)).toBe(one);
	}
	for (const other of ["2001:db8:0:2::5", "2001:db8::5", "::1", "fe80::1", "2001:db8:1::"]) {
		expect(addressKey(other)).not.toBe(one);
	}
	expect(addressKey("2001:db8::5")).toBe("2001:db8:0:0::/64");
	expect(addressKey("::1")).toBe("0:0:0:0::/64");
	expect(addressKey("192.0.2.1")).toBe("192.0.2.1");
	expect(addressKey("::ffff:192.0.2.1")).toBe("192.0.2.1");
	expect(addressKey("unknown")).toBe("unknown");
});
