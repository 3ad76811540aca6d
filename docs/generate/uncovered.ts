/** Requirements that no test cites, each with the reason. A requirement that a test cites may not be here. */
export const uncovered: Readonly<Record<string, string>> = {};
