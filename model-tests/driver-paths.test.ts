// Goal: the driver, over the simulated adapter, takes every state and every transition of every machine, and every step of
// the paths that xstate/graph makes through each.
// Method: the runs of driver-paths.json, found by a guided random search (random/search.ts) and shrunk. Each is carried out
// on two providers with every check that random runs make, and every step of their machines is put to XState, which
// says what candidate was taken.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { afterAll, describe, test } from 'vitest';
import { explorationLimits, machineNames } from '../machines/index.ts';
import type { Run } from './random/action.ts';
import { carryOut, randomLimits } from './random/world.ts';
import { DriverCoverage, pathSteps } from './support/driver-coverage.ts';

/** Steps of the paths that only a machine alone takes, by the state that they start from. */
const alone: Readonly<Record<string, { readonly steps: RegExp; readonly because: string }>> = {
  'socket connecting.starting': {
    steps: /: (spi\.|adapter\.reattachRequested)/,
    because: 'within one call, in which the adapter is asked and no up-call is made',
  },
  'socket dormant.unlistening': {
    steps: /: (queue\.drained|adapter\.established)/,
    because: 'a listener has neither queues nor a connection',
  },
};

describe('paths of the driver', () => {
  const runs = JSON.parse(readFileSync(new URL('driver-paths.json', import.meta.url), 'utf8')) as readonly Run[];
  const coverage = new DriverCoverage(randomLimits);
  const all = coverage.all();

  test(`${runs.length} runs find nothing`, () => {
    for (const run of runs) carryOut(run, { party: ({ provider }) => coverage.watch(provider) });
  });

  test.each(machineNames)('%s: all states and transitions', (name) => {
    const parts = all.filter((part) => part.startsWith(`${name} `));
    assert.deepEqual(
      parts.filter((part) => !coverage.taken.has(part)),
      [],
      'not taken; if it can be, node model-tests/random/search.ts finds a run that does',
    );
  });

  const steps = pathSteps(explorationLimits);
  const isAlone = (step: string) => alone[step.split(':')[0]!]?.steps.test(step) === true;

  test('the steps of the paths that xstate/graph makes', () => {
    assert.deepEqual(
      steps.filter((step) => !coverage.taken.has(step) && !isAlone(step)),
      [],
      'not taken; if it can be, node model-tests/random/search.ts finds a run that does',
    );
    for (const step of steps.filter(isAlone)) assert.ok(!coverage.taken.has(step), `${step}: was taken`);
  });

  afterAll(() => {
    const rows = [['machine', 'states', 'transitions', 'path steps', 'alone']];
    for (const name of machineNames) {
      const mine = (parts: readonly string[]) => parts.filter((part) => part.startsWith(`${name} `));
      const share = (parts: readonly string[]) =>
        `${parts.filter((part) => coverage.taken.has(part)).length}/${parts.length}`;
      const parts = mine(all);
      rows.push([
        name,
        share(parts.filter((part) => !part.includes(':'))),
        share(parts.filter((part) => part.includes(':'))),
        share(mine(steps)),
        String(mine(steps).filter(isAlone).length),
      ]);
    }
    console.log(
      rows.map(([name, ...rest]) => name!.padEnd(18) + rest.map((cell) => cell.padStart(14)).join('')).join('\n'),
    );
  });
});
