/**
 * Judges every mutant of the machines and writes results.json, for the report. Can be stopped, and goes on where it was.
 *
 *     node model-tests/mutation/main.ts [WORKERS]
 */

import { execFileSync } from 'node:child_process';
import { explorationLimits } from '../../machines/index.ts';
import { WORLD_EDGES, worldsUpTo } from './judge.ts';
import { allMutants } from './mutants.ts';
import { describeResults, resultsOf, writeResults } from './results.ts';
import { judgeMutants } from './run.ts';

let toldMs = 0;
const verdicts = await judgeMutants({
  workers: Number(process.argv[2] ?? 1),
  onVerdict: (_verdict, done, total) => {
    if (performance.now() - toldMs < 10_000) return;
    toldMs = performance.now();
    console.log(`${done} of ${total} mutants`);
  },
});
const results = resultsOf(
  verdicts,
  worldsUpTo(WORLD_EDGES).map(({ name }) => name),
  allMutants(explorationLimits).length,
  execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
);
writeResults(results);
console.log(describeResults(results));
