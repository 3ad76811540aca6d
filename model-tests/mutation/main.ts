/**
 * Judges mutants in pieces, and can be stopped at any time.
 *
 *     node model-tests/mutation/main.ts judge FILE [PART/PARTS [EDGES]]
 *                                                judges what FILE has no verdict on, in worlds of at most so many edges
 *     node model-tests/mutation/main.ts sum EDGES FILE...   writes results.json from such files
 */

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { explorationLimits } from '../../machines/index.ts';
import { worlds } from '../worlds/index.ts';
import { Judge, type Verdict } from './judge.ts';
import { allMutants } from './mutants.ts';
import { describeResults, resultsOf, writeResults } from './results.ts';

const [task, ...rest] = process.argv.slice(2);
const verdictsIn = (file: string): Verdict[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Verdict)
    : [];

const worldsUpTo = (edges: number) =>
  worlds.filter(({ size }) => (size?.transitions ?? Number.POSITIVE_INFINITY) <= edges);

if (task === 'judge') {
  const [file = '', part = '0/1', edges = 'Infinity'] = rest;
  const [number = 0, parts = 1] = part.split('/').map(Number);
  const known = new Set(verdictsIn(file).map(({ mutant }) => mutant));
  const judge = new Judge({ worlds: worldsUpTo(Number(edges)) });
  for (const [index, mutant] of allMutants(explorationLimits).entries()) {
    if (index % parts !== number || known.has(mutant.name)) continue;
    appendFileSync(file, `${JSON.stringify(judge.judge(mutant))}\n`);
  }
} else if (task === 'sum') {
  const [edges = 'Infinity', ...files] = rest;
  const asked = worldsUpTo(Number(edges)).map(({ name }) => name);
  const results = resultsOf(files.flatMap(verdictsIn), asked, allMutants(explorationLimits).length);
  writeResults(results);
  console.log(describeResults(results));
} else {
  console.error('node model-tests/mutation/main.ts judge FILE [PART/PARTS [EDGES]] | sum EDGES FILE...');
  process.exitCode = 2;
}
