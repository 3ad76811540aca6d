// Goal: the driver, over the simulated adapter, takes every state and every transition of every machine.
// Method: the runs of driver-paths.json, found by a guided random search (random/search.ts) and shrunk. Each is carried out
// on two providers with every check that random runs make, and every step of their machines is put to XState, which
// says what candidate was taken. What no driver can take is listed, with the reason.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { afterAll, describe, test } from 'vitest';
import { explorationLimits, machineNames } from '../machines/index.ts';
import type { Run } from './random/action.ts';
import { carryOut, randomLimits } from './random/world.ts';
import { DriverCoverage } from './support/driver-coverage.ts';
import { allMachinePaths } from './support/machine-paths.ts';

/** Transitions that only a driver or an adapter that breaks its rules would take; the machines meet them all the same. */
const defence: Readonly<Record<string, string>> = {
  'provider failed: adapter.removed #0': 'an adapter says once that it is gone',
  'provider cleaningUp: adapter.removed #0': 'the adapter is not polled while the last clean-up makes its up-calls',
  'provider closing: adapter.removed #0': 'nor while it closes',
  'provider cleaningUp: socket.opened #0':
    'a clean-up ends the listeners first, and a request that a closed listener offered opens no socket',
  'socket connected: spi.registerMemory #0':
    'what is wrong with a registration is known before or after, never with it',
  'socket dormant: adapter.reattachRequested #0': 'the driver forgets the id of a connection that it has handed over',
  'networkEvents stopped: socket.acceptEnded #0': 'requests of a listener that has stopped report to it no more',
  'networkEvents stopped: socket.stopped #0': 'every way out of a socket stops its events once',
  'connectionRequest closedWhileOffered: adapter.withdrawn #0':
    'its peer has been refused, and the adapter has forgotten the connector',
  'overlappedRequest finished: socket.lost #0':
    'requests are told in their order, and the end of the oldest publishes those that are finished behind it',
  'overlappedRequest finished: socket.handedOver #0': 'the same',
  'overlappedRequest finished: socket.suspended #0':
    'an adapter completes in order, so while the connection is up no finished request waits behind another',
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
      parts.filter((part) => !coverage.taken.has(part) && defence[part] === undefined),
      [],
      'not taken; if it can be, node model-tests/random/search.ts finds a run that does',
    );
  });

  test('what only defends is there, and is not taken', () => {
    for (const part of Object.keys(defence)) {
      assert.ok(all.includes(part), `${part}: no such transition`);
      assert.ok(!coverage.taken.has(part), `${part}: was taken`);
    }
  });

  afterAll(() => {
    // Path steps: (configuration, event) on the paths that xstate/graph makes through each machine alone.
    const paths = allMachinePaths(explorationLimits);
    const rows = [['machine', 'states', 'transitions', 'defence', 'path steps']];
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
        String(parts.filter((part) => defence[part] !== undefined).length),
        share([...steps], coverage.steps),
      ]);
    }
    console.log(
      rows.map(([name, ...rest]) => name!.padEnd(18) + rest.map((cell) => cell.padStart(14)).join('')).join('\n'),
    );
  });

  const firstOf = (name: string): string => all.find((part) => part.startsWith(`${name} `))!.slice(name.length + 1);
});
