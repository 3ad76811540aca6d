// Goal: the driver over a real network does what it does over the simulated one.
// Method: two hosts over the iWARP adapter, by TCP on the loopback interface: the stored runs that are possible there, and new
// random ones, with the same model and the same checks. What the network has to bring is awaited; time limits are virtual.
// The same over RDMA devices: model-tests/guest/runs.suite.ts.
//
// A failure prints the command that makes the same run again, alone; what TCP does in it may differ. WSD_RUNS sets the
// number of runs.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'vitest';
import type { Run } from './action.ts';
import { failureText, nothingIsFoundOver, type Tally } from './arbitrary.ts';
import { loopback, replayed, replayText } from './live.ts';

const { WSD_RUNS, WSD_SEED, WSD_PATH, WSD_REPLAY } = process.env;

test('the stored runs find nothing', { timeout: 120_000 }, async () => {
  const runs = JSON.parse(readFileSync(new URL('../driver-paths.json', import.meta.url), 'utf8')) as readonly Run[];
  const result = await replayed(runs, loopback);
  console.log(replayText(result));
  // What is left out is left out for what is said of it, and the rest is worth the name.
  assert.equal(result.carriedOut, 65);
});

test('random runs of two hosts find nothing', { timeout: 600_000 }, async () => {
  const tally: Tally = { runs: 0, counts: new Map() };
  const found = await fc.check(nothingIsFoundOver(loopback, {}, tally, WSD_REPLAY), {
    numRuns: Number(WSD_RUNS ?? 150),
    unbiased: true,
    seed: Number(WSD_SEED ?? 1),
    ...(WSD_PATH === undefined ? {} : { path: WSD_PATH }),
  });
  if (found.failed) assert.fail(failureText(found, 'model-tests/random/iwarp.test.ts'));
  console.log(`${tally.runs} random runs (seed ${found.seed}) find nothing`);
});
