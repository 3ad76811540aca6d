import assert from 'node:assert/strict';

import { test } from 'vitest';

import { compileMachines } from './catalog.ts';
import { explorationLimits } from './limits.ts';
import { digestOfSystem, restoreSystem, snapshotOf } from './snapshot.ts';
import { EFFECT_STRIDE } from './step.ts';
import { M, System } from './system.ts';

const machines = compileMachines(explorationLimits);

/** A system with a connected socket 0. */
function connected(): System {
  const system = new System(machines);
  const apply = (machine: Parameters<System['eventId']>[0], event: string, ...values: number[]) => {
    const [p0, p1, p2, p3, p4] = values;
    system.apply(system.eventId(machine, event), 0, p0, p1, p2, p3, p4);
  };
  apply('provider', 'spi.startup', 0);
  apply('provider', 'adapter.opened');
  for (const event of ['spi.socket', 'upcall.handleCreated', 'spi.bind', 'spi.connect', 'adapter.connectStarted']) {
    apply('socket', event);
  }
  apply('socket', 'adapter.established');
  system.effects.top = 0;
  return system;
}

test('a request whose up-call is due still finds its queue in the restored system', () => {
  const system = connected();
  const request = 0;
  system.apply(system.eventId('socket', 'spi.send'), 0, request, 0, 0, 1, 0);
  system.apply(system.eventId('overlappedRequest', 'adapter.completed'), request, 64);
  system.effects.top = 0;
  assert.equal(system.rows[M.overlappedRequest]!.stateName(request), 'due');

  const restored = restoreSystem(machines, snapshotOf(system));
  for (const one of [system, restored]) {
    one.apply(one.eventId('overlappedRequest', 'dispatcher.notify'), request);
    one.apply(one.eventId('overlappedRequest', 'upcall.returned'), request, 0);
  }
  assert.equal(restored.effects.top / EFFECT_STRIDE, system.effects.top / EFFECT_STRIDE);
  assert.deepEqual(digestOfSystem(restored), digestOfSystem(system));
});
