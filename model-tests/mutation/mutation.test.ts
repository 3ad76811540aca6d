// Goal: the properties of steps and worlds, and the scripts made from the worlds' graphs, find what can be wrong in a machine.
// Method: mutants of the machines and routes, every so many of all; of those that are not equivalent, nearly all are found by
// the properties, and by those of the worlds alone most that a small world can tell from the original. All mutants, in all
// worlds, are judged by `wsdirect check --mutate`.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  type CompiledMachine,
  CompileError,
  compileMachines,
  explorationLimits,
  machineNames,
} from '../../machines/index.ts';
import { inputsAlone, type Step, Stepper } from '../steps/index.ts';
import { worlds } from '../worlds/index.ts';
import { compare } from './answers.ts';
import { Judge, type Verdict } from './judge.ts';
import { allMutants, type Mutant, operators } from './mutants.ts';
import {
  describeResults,
  goals,
  reachesGoals,
  readResults,
  resultsOf,
  scoreOf,
  UNEXPLAINED,
  withAgain,
} from './results.ts';

/** One mutant of so many is judged by its steps. */
const EVERY = 20;
/** So many that small worlds reach are judged there; a part of them has to be found. */
const SAMPLE = 40;
const FOUND = 0.8;
const small = worlds.filter(({ size }) => size !== undefined && size.transitions < 5_000);

/** The tables of `mutant`; null when the compiler refuses it. */
function compiledOrNull(mutant: Mutant, asWhole = false): CompiledMachine | null {
  try {
    return mutant.compile(explorationLimits, asWhole);
  } catch (error) {
    if (error instanceof CompileError) return null;
    throw error;
  }
}

describe('mutants of the machines', () => {
  const mutants = allMutants(explorationLimits);

  test('are there for every machine and every operator, each with a name of its own', () => {
    assert.deepEqual(new Set(mutants.map(({ machine }) => machine)), new Set(machineNames));
    assert.deepEqual(new Set(mutants.map(({ operator }) => operator)), new Set(operators));
    assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  });

  test('leave the charts as they are', () => {
    const before = JSON.stringify(compileMachines(explorationLimits));
    const sample = mutants.filter((_, index) => index % 400 === 0);
    // The compiler refuses some; what it makes of the others is another machine.
    const made = sample.flatMap((mutant) => {
      const tables = compiledOrNull(mutant);
      return tables === null ? [] : [{ tables, machine: mutant.machine }];
    });
    assert.ok(made.length > sample.length / 2, `${made.length} of ${sample.length} compile`);
    for (const { tables, machine } of made) {
      assert.notDeepEqual(tables, compileMachines(explorationLimits)[machineNames.indexOf(machine)]);
    }
    assert.equal(JSON.stringify(compileMachines({ ...explorationLimits })), before);
  });

  test('are the same compiled as a whole', () => {
    for (const mutant of mutants.filter((_, index) => index % 100 === 0)) {
      const [changed, whole] = [false, true].map((asWhole) => compiledOrNull(mutant, asWhole));
      assert.equal(changed == null, whole == null, mutant.name);
      if (changed == null || whole == null) continue;
      const [one, other] = [new Stepper(changed), new Stepper(whole)];
      const { configurations } = compileMachines(explorationLimits)[machineNames.indexOf(mutant.machine)]!;
      const placesOf = (tables: CompiledMachine): number[] =>
        configurations.map((name) => tables.configurations.indexOf(name));
      const places: readonly number[][] = [changed, whole].map(placesOf);
      // As a whole, a configuration that no transition leads to any more is left out.
      const left = configurations.filter((_, at) => places[1]![at]! >= 0 && places[0]![at]! < 0);
      assert.deepEqual(left, [], mutant.name);
      for (const [at, input] of inputsAlone(mutant.machine).entries()) {
        if (at % 7 !== 0) continue;
        if (places[1]![input.configuration]! < 0) continue;
        const steps = [one, other].map((stepper, tables) => stepper.step(places[tables]![input.configuration]!, input));
        assert.equal(compare(changed, steps[0]!, steps[1]!), 'none', mutant.name);
      }
    }
  });

  test('of a sample, nearly all that are not equivalent are found by what holds of steps', () => {
    const judge = new Judge({ worlds: [], runs: false });
    const sample = mutants.filter(({ operator }, index) => index % EVERY === 0 && operator !== 'route dropped');
    const results = resultsOf(
      sample.map((mutant) => judge.judge(mutant)),
      [],
      mutants.length,
    );
    console.log(describeResults(results));
    const { all, properties } = scoreOf(results.total);
    assert.ok(properties >= goals.properties * all, `${properties} of ${all} are found`);
  });

  test('of a sample that small worlds reach, most are found by what holds of worlds', () => {
    const judge = new Judge({ worlds: small, runs: false, steps: false });
    const sample: Mutant[] = [];
    for (let index = 0; index < mutants.length && sample.length < SAMPLE; index++) {
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

  test('of all mutants, judged last, so many are found as are to be, and of each survivor it is said where and why', () => {
    const results = readResults();
    const { survived = 0, unreached = 0, equivalent = 0 } = results.total;
    assert.ok(reachesGoals(results));
    assert.equal(results.unreached.length, unreached);
    assert.equal(Object.keys(results.survivors).length, survived);
    assert.equal(
      Object.values(results.equivalent).reduce((sum, count) => sum + count, 0),
      equivalent,
    );
    for (const [name, { reason }] of Object.entries(results.survivors)) assert.notEqual(reason, UNEXPLAINED, name);
  });
});

describe('what is judged again', () => {
  const verdict = (mutant: string, by: Verdict['by']): Verdict => ({
    ...{
      mutant,
      by,
      machine: 'socket',
      operator: 'effect dropped',
      what: 'some world: some property',
      world: 'some world',
    },
  });

  test('stands beside the whole judgement, once, and says which survivors are found now', () => {
    const whole = resultsOf([verdict('a', 'survived'), verdict('b', 'steps')], [], 2, 'before');
    const first = withAgain(whole, 'socket', [verdict('a', 'survived')], 'between');
    const again = withAgain(first, 'socket', [verdict('a', 'worlds'), verdict('b', 'steps')], 'after');
    assert.deepEqual({ ...again, again: undefined }, { ...whole, again: undefined });
    assert.equal(again.again.length, 1);
    const { version, total, foundNow, survivors } = again.again[0]!;
    assert.deepEqual(
      { version, total, survivors },
      { version: 'after', total: { worlds: 1, steps: 1 }, survivors: {} },
    );
    assert.deepEqual(foundNow, { a: 'worlds: some world: some property' });
    assert.match(describeResults(again), /judged again at after: socket: 2 of them: 1 steps, 1 worlds/);
  });
});

describe('answers', () => {
  const socket = compileMachines(explorationLimits)[machineNames.indexOf('socket')]!;
  const step = (...effects: readonly string[]): Step => ({
    from: 'listening',
    to: 'listening',
    event: 'spi.listen',
    given: {},
    before: {},
    after: {},
    effects: effects.map((name) => ({ name, args: {} })),
    refused: false,
  });
  const differ = (one: readonly string[], other: readonly string[]): string =>
    compare(socket, step(...one), step(...other));

  test('are the same when what differs says nothing', () => {
    assert.equal(differ(['stopTimer', 'answer'], ['stopTimer', 'stopTimer', 'answer', 'answer', 'ignored']), 'none');
    assert.equal(differ(['socketOpened'], ['socketOpened', 'socketOpened']), 'real');
    assert.equal(differ(['stopTimer', 'startTimer'], ['stopTimer', 'startTimer', 'stopTimer']), 'real');
  });

  test('differ in an order that nobody can tell, or that somebody can', () => {
    assert.equal(differ(['stopTimer', 'disconnect', 'answer'], ['answer', 'disconnect', 'stopTimer']), 'order');
    assert.equal(differ(['stopTimer', 'startTimer'], ['startTimer', 'stopTimer']), 'real');
    assert.equal(differ(['disconnect', 'destroyConnector'], ['destroyConnector', 'disconnect']), 'real');
    // Inside an up-call the switch may do anything.
    assert.equal(differ(['freeBuffers', 'closeSwitchHandle'], ['closeSwitchHandle', 'freeBuffers']), 'real');
    assert.equal(differ(['stopTimer', 'closeSwitchHandle'], ['closeSwitchHandle', 'stopTimer']), 'real');
    assert.equal(differ(['answer', 'closeSwitchHandle'], ['closeSwitchHandle', 'answer']), 'order');
  });

  test('of a machine that is over have no memory', () => {
    const over = { ...step(), to: 'closed' };
    assert.equal(compare(socket, over, { ...over, after: { reason: 1 } }), 'none');
    assert.equal(compare(socket, step(), { ...step(), after: { reason: 1 } }), 'real');
  });
});
