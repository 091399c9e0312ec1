/** Where an observed Worker answers with its counters. */
export const COUNTERS_PATH = "/bench/counters";
