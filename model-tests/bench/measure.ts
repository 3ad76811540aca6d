/** Measuring, for benchmarks only: medians of many batches, and what memory holds after a collection. */

import { measure } from 'mitata';

/** Median nanoseconds of one call of `work`, over batches; what it returns is kept from being optimised away. */
export async function nanoseconds(work: () => unknown, callsPerRun = 1, cpuMs = 400): Promise<number> {
  const { p50 } = await measure(work, { min_cpu_time: cpuMs * 1e6, warmup_samples: 20 });
  return p50 / callsPerRun;
}

/** Turns of {@link nanosecondsOfBoth}. */
const TURNS = 9;

/** As {@link nanoseconds}, of two that take turns; of each its best turn, in which others disturbed it least. */
export async function nanosecondsOfBoth(
  here: () => unknown,
  there: () => unknown,
  callsPerRun: number,
): Promise<readonly [here: number, there: number]> {
  const best: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let turn = 0; turn < TURNS; turn++) {
    best[0] = Math.min(best[0], await nanoseconds(here, callsPerRun, 100));
    best[1] = Math.min(best[1], await nanoseconds(there, callsPerRun, 100));
  }
  return best;
}

/** Bytes that live: heap and external memory, after full collections. @throws Error without --expose-gc */
export function liveBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc: npm run bench does');
  for (let round = 0; round < 3; round++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** One figure with its bound. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What it is compared with, in the same run. */
  readonly peer: string;
  readonly peerValue: number;
  /** Bound of value / peerValue. */
  readonly bound: number;
}

export const ratio = ({ value, peerValue }: Figure): number => value / peerValue;
