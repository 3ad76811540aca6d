// Goal: the driver, over the simulated adapter, takes every state and every transition of every machine.
// Method: the runs of driver-paths.json, found by a guided random search (random/search.ts) and shrunk. Each is carried out
// on two providers with every check that random runs make, and every step of their machines is put to XState, which
// says what candidate was taken.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { afterAll, describe, test } from 'vitest';
import { explorationLimits, machineNames } from '../machines/index.ts';
import type { Run } from './random/action.ts';
import { carryOut, randomLimits } from './random/world.ts';
import { DriverCoverage } from './support/driver-coverage.ts';
import { allMachinePaths } from './support/machine-paths.ts';

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

  afterAll(() => {
    // Path steps: (configuration, event) on the paths that xstate/graph makes through each machine alone.
    const paths = allMachinePaths(explorationLimits);
    const rows = [['machine', 'states', 'transitions', 'path steps']];
    for (const name of machineNames) {
      const share = (parts: readonly string[], taken: ReadonlySet<string>) =>
        `${parts.filter((part) => taken.has(part)).length}/${parts.length}`;
      const parts = all.filter((part) => part.startsWith(`${name} `));
      const isState = (part: string) => !part.includes(':');
      const steps = new Set(
        paths[name].paths.flatMap(({ steps: list }) =>
          list.map(({ event }, at) => `${name} ${list[at - 1]?.configuration ?? firstOf(name)}: ${event}`),
        ),
      );
      rows.push([
        name,
        share(parts.filter(isState), coverage.taken),
        share(
          parts.filter((part) => !isState(part)),
          coverage.taken,
        ),
        share([...steps], coverage.steps),
      ]);
    }
    console.log(
      rows.map(([name, ...rest]) => name!.padEnd(18) + rest.map((cell) => cell.padStart(14)).join('')).join('\n'),
    );
  });

  const firstOf = (name: string): string => all.find((part) => part.startsWith(`${name} `))!.slice(name.length + 1);
});
