// Goal: whatever a switch, a network and an adapter do, each call answers as the specification says, and each request
// completes once, in order, with what was sent.
// Method: two hosts on one simulated network, driven by fast-check: SPI calls, calls from inside up-calls, faults, polls and
// time, in any order. The model is written from the specification and knows no machine; see world.ts. At the end of
// each run everything is cleaned up, nothing may be left, and both journals must replay.
//
// A failure prints its seed and paths. To run it again alone:
//
//     WSD_SEED=… WSD_PATH=… WSD_REPLAY=… npm test -- model-tests/random
//
// WSD_RUNS sets the number of runs; `npm run test:random` makes 10,000.

import fc from 'fast-check';
import { test } from 'vitest';
import { nothingIsFound, type Tally } from './arbitrary.ts';

const { WSD_RUNS, WSD_SEED, WSD_PATH, WSD_REPLAY } = process.env;
// The usual runs are the same each time, so that a failure is the change's; asked for more, they are new ones.
const seed = WSD_SEED ?? (WSD_RUNS === undefined ? '1' : undefined);
const runs = WSD_RUNS === undefined ? 2000 : Number(WSD_RUNS);
if (!Number.isInteger(runs) || runs < 1)
  throw new Error(`WSD_RUNS is '${WSD_RUNS}'; it must be a whole number from 1 on`);

test('random runs of two hosts find nothing', { timeout: 600_000 }, () => {
  const tally: Tally = { runs: 0, counts: new Map() };
  fc.assert(nothingIsFound({}, tally, WSD_REPLAY), {
    numRuns: runs,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(WSD_PATH === undefined ? {} : { path: WSD_PATH }),
  });
  const counts = [...tally.counts].sort(([left], [right]) => (left < right ? -1 : 1));
  console.log(`${tally.runs} random runs; ${counts.map(([what, count]) => `${what} ${count}`).join(', ')}`);
});
