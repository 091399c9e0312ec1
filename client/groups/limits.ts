/** What members agree on among themselves; the server can't see it. Counted in UTF-16 units. */
export const GROUP_TEXT = { title: 128, description: 2_048 } as const;
