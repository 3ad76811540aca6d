/** The harness as jsfuzz calls it. What the harness learns is added to the counters of covered code, in their form. */

import { run } from './harness.ts';

interface Counters {
  readonly s: Record<string, number>;
  readonly f: Record<string, number>;
  readonly b: Record<string, number[]>;
}

const shared = globalThis as { __coverage__?: Record<string, Counters> };
const features: Counters = { s: {}, f: {}, b: {} };

/** @throws whatever the harness throws: a finding */
export function fuzz(input: Buffer): void {
  shared.__coverage__ ??= {};
  shared.__coverage__['features'] = features;
  run(input, (name) => {
    features.s[name] = 1;
  });
}
