/** `Range` and `If-Range` of RFC 9110, for one range of bytes; no I/O. */

/** What R2 takes. */
export type ByteRange = { offset: number; length?: number } | { suffix: number };

/**
 * The one range that a header asks for. Undefined, which means the whole, where there is none, where its unit or form is
 * unknown, and where it asks for several: RFC 9110 lets a server ignore those. "unsatisfiable" for an empty suffix.
 */
export function readRange(header: string | null): ByteRange | "unsatisfiable" | undefined {
	const match = /^bytes=[\t ]*(\d{0,15})-(\d{0,15})[\t ]*$/i.exec(header ?? "");
	const [first, last] = [match?.[1] ?? "", match?.[2] ?? ""];
	if (first === "" && last === "") return undefined;
	if (first === "") return Number(last) === 0 ? "unsatisfiable" : { suffix: Number(last) };
	const offset = Number(first);
	if (last === "") return { offset };
	return Number(last) < offset ? undefined : { offset, length: Number(last) - offset + 1 };
}

/** The bytes of a blob of `size` bytes that a range covers; undefined where it begins after the end. */
export function cover(range: ByteRange, size: number): { offset: number; length: number } | undefined {
	if ("suffix" in range) {
		const length = Math.min(range.suffix, size);
		return { offset: size - length, length };
	}
	if (range.offset >= size) return undefined;
	return { offset: range.offset, length: Math.min(range.length ?? size, size - range.offset) };
}

/** Whether a list of entity tags (`If-Match`, `If-None-Match`) names this one. Weak tags match where `weak` says so. */
export function namesTag(header: string, tag: string, weak: boolean): boolean {
	return header
		.split(",")
		.map((each) => each.trim())
		.some((each) => each === "*" || each === tag || (weak && each === `W/${tag}`));
}
