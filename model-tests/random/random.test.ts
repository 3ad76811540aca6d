// Goal: whatever a switch, a network and an adapter do, each call answers as the specification says, and each request
// completes once, in order, with what was sent.
// Method: two hosts on one simulated network, driven by fast-check: SPI calls, calls from inside up-calls, faults, polls and
// time, in any order. The model is written from the specification and knows no machine; see world.ts. At the end of
// each run everything is cleaned up, nothing may be left, and both journals must replay.
//
// A failure prints the command that makes the same run again, alone, and the run as data for a file in regressions/.
// WSD_RUNS sets the number of runs; `npm run test:random` makes 10,000.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { test } from 'vitest';
import { failureText, nothingIsFound, type Tally } from './arbitrary.ts';

const { WSD_RUNS, WSD_SEED, WSD_PATH, WSD_REPLAY } = process.env;
// The usual runs are the same each time, so that a failure is the change's; asked for more, they are new ones.
const seed = WSD_SEED ?? (WSD_RUNS === undefined ? '1' : undefined);
const runs = WSD_RUNS === undefined ? 2000 : Number(WSD_RUNS);
if (!Number.isInteger(runs) || runs < 1) {
  throw new Error(`WSD_RUNS is '${WSD_RUNS}'; it must be a whole number from 1 on`);
}

/** What must have happened in 2,000 runs: otherwise that nothing was found would mean little. */
const mustHappen = [
  'accept 0',
  'accept WSATRY_AGAIN',
  'accept WSAECONNREFUSED',
  'accept WSAEMFILE',
  'connect WSAEWOULDBLOCK',
  'duplicate 0',
  'takeOver 0',
  'moved cleanly',
  'received ',
  'recv -> WSA_OPERATION_ABORTED',
  'recv -> WSAECONNRESET',
  'recv -> WSAECONNABORTED',
  'recv -> WSAENETDOWN',
  'recv WSAENOBUFS',
  'send -> 0',
  'send WSAENOBUFS',
  'write -> 0',
  'read -> 0',
  'reported accept connect:null',
  'reported accept:WSAENETDOWN connect:null',
  'reported  connect:0',
  'reported  connect:WSAECONNREFUSED',
  'reported  connect:WSAETIMEDOUT',
  'socket WSAEMFILE',
  'startup WSAEPROCLIM',
];

test('random runs of two hosts find nothing', { timeout: 600_000 }, () => {
  const tally: Tally = { runs: 0, counts: new Map() };
  const found = fc.check(nothingIsFound({}, tally, WSD_REPLAY), {
    numRuns: runs,
    unbiased: true,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(WSD_PATH === undefined ? {} : { path: WSD_PATH }),
  });
  if (found.failed) assert.fail(failureText(found));
  const counts = [...tally.counts].sort(([left], [right]) => (left < right ? -1 : 1));
  console.log(`${tally.runs} random runs (seed ${found.seed}); how often what gave what:`);
  console.log(counts.map(([what, count]) => `${what} ${count}`).join(', '));
  if (tally.runs < 2000) return;
  assert.deepEqual(
    mustHappen.filter((what) => !tally.counts.has(what)),
    [],
    'what never happened',
  );
});
