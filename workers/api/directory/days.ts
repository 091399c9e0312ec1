/** Days since 1970, in UTC: as fine as it is kept when a device was last seen. */
export function dayOf(time_ms: number): number {
	return Math.floor(time_ms / 86_400_000);
}
