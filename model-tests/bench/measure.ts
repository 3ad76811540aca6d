/** Measuring, for benchmarks only: medians of many batches, and what memory holds after a collection. */

import { measure } from 'mitata';

/** Median nanoseconds of one call of `work`, over batches; what it returns is kept from being optimised away. */
export async function nanoseconds(work: () => unknown, callsPerRun = 1): Promise<number> {
  const { p50 } = await measure(work, { min_cpu_time: 400_000_000, warmup_samples: 20 });
  return p50 / callsPerRun;
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
