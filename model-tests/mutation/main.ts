/**
 * Judges mutants of the machines and writes results.json, for the report. Can be stopped, and goes on where it was.
 *
 *     node model-tests/mutation/main.ts                     every mutant: a whole judgement
 *     node model-tests/mutation/main.ts PART...             those whose names have a part: a machine, a place
 *     node model-tests/mutation/main.ts --workers 2
 *
 * What was judged in part stands in results.json beside the last whole judgement, with the commit that it was of.
 */

import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { explorationLimits } from '../../machines/index.ts';
import { WORLD_EDGES, worldsUpTo } from './judge.ts';
import { allMutants } from './mutants.ts';
import { describeResults, readResults, resultsOf, withAgain, writeResults } from './results.ts';
import { judgeMutants } from './run.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { workers: { type: 'string' } } });
const version = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();

let toldMs = 0;
const judge = (part?: string) =>
  judgeMutants({
    workers: Number(values.workers ?? 1),
    ...(part === undefined ? {} : { wanted: ({ name }) => name.includes(part) }),
    onVerdict: (_verdict, done, total) => {
      if (performance.now() - toldMs < 10_000) return;
      toldMs = performance.now();
      console.log(`${part ?? 'all'}: ${done} of ${total} mutants`);
    },
  });

if (positionals.length === 0) {
  const worlds = worldsUpTo(WORLD_EDGES).map(({ name }) => name);
  writeResults(resultsOf(await judge(), worlds, allMutants(explorationLimits).length, version));
}
for (const part of positionals) {
  const verdicts = await judge(part);
  if (verdicts.length === 0) throw new Error(`no mutant has '${part}' in its name`);
  // Kept at once: who stops it keeps what was found.
  writeResults(withAgain(readResults(), part, verdicts, version));
}
console.log(describeResults(readResults()));
