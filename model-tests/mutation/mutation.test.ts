// Goal: the properties of the worlds, and the scripts made from their graphs, find what can be wrong in a machine.
// Method: mutants of the machines and routes, every so many of all; of those that a small world can tell from the original,
// most are found. All mutants, in all worlds, are judged by npm run check:all.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { compileMachines, explorationLimits, machineNames } from '../../machines/index.ts';
import { worlds } from '../worlds/index.ts';
import { Judge } from './judge.ts';
import { allMutants, type Mutant, operators } from './mutants.ts';
import { describeResults, readResults, resultsOf, scoreOf } from './results.ts';

/** One mutant of so many is looked at, until so many are found that small worlds reach. */
const EVERY = 1;
const SAMPLE = 40;
/** Part of them that has to be found. */
const FOUND = 0.85;
const small = worlds.filter(({ size }) => size !== undefined && size.transitions < 5_000);

describe('mutants of the machines', () => {
  const mutants = allMutants(explorationLimits);

  test('are there for every machine and every operator, each with a name of its own', () => {
    assert.deepEqual(new Set(mutants.map(({ machine }) => machine)), new Set(machineNames));
    assert.deepEqual(new Set(mutants.map(({ operator }) => operator)), new Set(operators));
    assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  });

  test('leave the charts as they are', () => {
    const before = JSON.stringify(compileMachines(explorationLimits));
    for (const mutant of mutants.filter((_, index) => index % 400 === 0)) {
      const made = mutant.compile(explorationLimits);
      assert.notDeepEqual(made, compileMachines(explorationLimits)[machineNames.indexOf(mutant.machine)]);
    }
    assert.equal(JSON.stringify(compileMachines({ ...explorationLimits })), before);
  });

  test('are the same compiled as a whole', () => {
    const judge = new Judge({ worlds: [], runs: false });
    for (const mutant of mutants.filter((_, index) => index % 100 === 0)) {
      assert.equal(
        judge.isSameAlone(mutant, (limits) => mutant.compile(limits, true)),
        true,
        mutant.name,
      );
    }
  });

  test('of a sample that small worlds reach, most are found', () => {
    const judge = new Judge({ worlds: small, runs: false });
    const sample: Mutant[] = [];
    for (let index = 0; index < mutants.length && sample.length < SAMPLE; index += EVERY) {
      if (judge.reaches(mutants[index]!)) sample.push(mutants[index]!);
    }
    const verdicts = sample.map((mutant) => judge.judge(mutant));
    const results = resultsOf(
      verdicts,
      small.map(({ name }) => name),
      mutants.length,
    );
    console.log(describeResults(results));
    const { all, found } = scoreOf(results.total);
    assert.ok(found >= FOUND * all, `${found} of ${all} are found`);
  });

  test('the last results of all say of each survivor where and why', () => {
    const results = readResults();
    const { all, properties, found } = scoreOf(results.total);
    assert.ok(0 < properties && properties <= found && found <= all);
    assert.equal(results.unreached.length, results.total['unreached'] ?? 0);
    assert.equal(Object.keys(results.survivors).length, results.total['survived'] ?? 0);
    for (const [name, { reason }] of Object.entries(results.survivors)) assert.notEqual(reason, '', name);
  });
});
