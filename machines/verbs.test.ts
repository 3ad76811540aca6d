import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { compileVerbsConnectorMachine, EFFECT_STRIDE, MachineRows } from './index.ts';

const machine = compileVerbsConnectorMachine();

type Step = readonly [string, ...number[]];

/** Steps a new row through `events`. @returns where it ends and the effects of the last event; null when it is refused */
function stepped(...events: readonly Step[]): { readonly state: string; readonly effects: readonly string[] } | null {
  const sink = { buffer: new Float64Array(16 * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, sink);
  rows.ensure(0);
  for (const [name, parameter = 0] of events) {
    sink.top = 0;
    const event = machine.events.findIndex((candidate) => candidate.name === name);
    if (rows.step(0, event, parameter, 0, 0, 0, 0) === 0) return null;
  }
  const effects: string[] = [];
  for (let at = 0; at < sink.top; at += EFFECT_STRIDE) {
    const { name, parameters } = machine.effects[sink.buffer[at]!]!;
    effects.push([name, ...parameters.map((_, index) => sink.buffer[at + 2 + index]!)].join(' '));
  }
  return { state: rows.stateName(0), effects };
}

const resolvingAddress: readonly Step[] = [['connector.connect']];
const resolvingRoute: readonly Step[] = [...resolvingAddress, ['cm.addressResolved']];
const connecting: readonly Step[] = [...resolvingRoute, ['cm.routeResolved']];
/** To a peer over a device that can't take back what connects. */
const patient: readonly Step[] = [['connector.connect', 1], ['cm.addressResolved'], ['cm.routeResolved']];
const asked: readonly Step[] = [['cm.connectRequest', 1], ['connector.prepare'], ['connector.accept']];
const connected: readonly Step[] = [...connecting, ['cm.established']];
const undecided: readonly Step[] = [['cm.connectRequest']];
const prepared: readonly Step[] = [...undecided, ['connector.prepare']];
const accepting: readonly Step[] = [...prepared, ['connector.accept']];
const accepted: readonly Step[] = [...accepting, ['cm.established']];
const ways = {
  resolvingAddress,
  resolvingRoute,
  connecting,
  withdrawn: [...patient, ['connector.disconnect']],
  established: connected,
  undecided,
  prepared,
  accepting,
  recanting: [...asked, ['connector.disconnect']],
  parted: [...connected, ['cm.disconnected']],
  leaving: [...connected, ['connector.disconnect']],
  draining: [...connected, ['connector.disconnect'], ['cm.disconnected']],
  ended: [...connected, ['connector.disconnect'], ['cm.disconnected'], ['queue.emptied']],
} as const satisfies Readonly<Record<string, readonly Step[]>>;

/** Where a connector only gives back what it holds. */
const over = ['withdrawn', 'recanting', 'leaving', 'draining', 'ended'];

/** What becomes of a connection that was asked for. */
const outcomes = ['cm.established', 'cm.rejected', 'cm.failed', 'cm.disconnected'] as const;

describe('a connector', () => {
  test('that connects resolves, connects, and is up', () => {
    assert.deepEqual(stepped(...resolvingRoute)?.effects, ['resolveRoute']);
    assert.deepEqual(stepped(...connecting)?.effects, ['startConnection']);
    assert.deepEqual(stepped(...connected), { state: 'established', effects: ['tune', 'raiseEstablished'] });
  });

  test('that is asked is decided on, prepared, accepted, and up', () => {
    assert.deepEqual(stepped(...undecided)?.effects, ['raiseConnectRequest']);
    assert.deepEqual(stepped(...accepting)?.effects, ['acceptConnection']);
    assert.deepEqual(stepped(...accepted), { state: 'established', effects: ['tune', 'raiseEstablished'] });
  });

  test('whose first call is refused tells nobody and can connect again', () => {
    assert.deepEqual(stepped(...resolvingAddress, ['call.refused']), { state: 'idle', effects: ['ignored'] });
  });

  for (const [state, events] of Object.entries({ resolvingRoute, connecting })) {
    test(`that is refused a later call in ${state} has failed`, () => {
      const found = stepped(...events, ['call.refused']);
      assert.deepEqual(found, { state: 'draining', effects: ['failQueuePair', 'raiseConnectFailed'] });
    });
  }

  test('that is rejected says why', () => {
    assert.deepEqual(stepped(...connecting, ['cm.rejected', 28])?.effects, ['failQueuePair', 'raiseRejected 28']);
  });

  test('that nobody has decided on can be withdrawn', () => {
    for (const events of [undecided, prepared]) {
      for (const event of ['cm.rejected', 'cm.failed', 'cm.disconnected', 'device.removed']) {
        assert.deepEqual(stepped(...events, [event])?.effects, ['failQueuePair', 'raiseWithdrawn'], event);
      }
    }
  });

  for (const [event, told] of [
    ['cm.disconnected', 'raiseDisconnected'],
    ['cm.failed', 'raiseConnectFailed'],
    ['cm.rejected', 'raiseConnectFailed'],
    ['device.queuePairFailed', 'raiseConnectFailed'],
  ] as const) {
    test(`that is left (${event}) tells of it once, and lets go when its owner does`, () => {
      assert.deepEqual(stepped(...connected, [event]), { state: 'parted', effects: [told] });
      assert.deepEqual(stepped(...connected, [event], ['cm.disconnected'])?.effects, ['ignored']);
      const end = stepped(...connected, [event], ['connector.disconnect']);
      assert.deepEqual(end, { state: 'draining', effects: ['failQueuePair', 'disconnect'] });
    });
  }

  test('can be given up in every state, and nothing is raised for it', () => {
    for (const [state, events] of Object.entries(ways)) {
      const found = stepped(...events, ['connector.disconnect']);
      assert.ok(found !== null && over.includes(found.state), state);
      assert.ok(!found.effects.some((effect) => effect.startsWith('raise')), state);
    }
  });

  test('that leaves first lets go of its queue pair when the peer has heard, or can not', () => {
    for (const event of ['cm.disconnected', 'cm.failed', 'cm.rejected', 'device.queuePairFailed', 'call.refused']) {
      assert.deepEqual(stepped(...ways.leaving, [event]), { state: 'draining', effects: ['failQueuePair'] }, event);
    }
  });

  test('tells of the loss of its device in every state, and gives its queue pair back', () => {
    for (const [state, events] of Object.entries(ways)) {
      const found = stepped(...events, ['device.removed']);
      assert.ok(found !== null && over.includes(found.state), state);
      const isAsked = state === 'undecided' || state === 'prepared';
      const told = isAsked ? 'raiseWithdrawn' : 'raiseRemoved';
      assert.deepEqual(
        found.effects.filter((effect) => effect.startsWith('raise')),
        [told],
        state,
      );
    }
  });

  test('destroys its queue pair once, when nothing can be in its completion queue any more', () => {
    assert.deepEqual(stepped(...ways.draining, ['queue.emptied']), { state: 'ended', effects: ['destroyQueuePair'] });
    assert.equal(stepped(...ways.ended, ['queue.emptied']), null);
  });

  test('always comes to an end: its queue pair is in error before anything else waits for it', () => {
    for (const { name } of machine.events) {
      for (const [state, events] of Object.entries(ways)) {
        const found = stepped(...events, [name]);
        if (found === null || found.state !== 'draining' || state === 'draining') continue;
        assert.ok(found.effects.includes('failQueuePair'), `${state}: ${name}`);
      }
    }
  });

  test('is destroyed in every state; nothing is left of it, and nothing more is expected', () => {
    for (const [state, events] of Object.entries(ways)) {
      if (state === 'withdrawn' || state === 'recanting') continue;
      const found = stepped(...events, ['connector.destroy']);
      assert.deepEqual(found, { state: 'released', effects: ['forget', 'release'] }, state);
    }
    for (const { name } of machine.events) assert.equal(stepped(['connector.destroy'], [name]), null, name);
  });

  test('that its device does not give back while it connects is kept until its outcome', () => {
    const given = stepped(...patient, ['connector.disconnect']);
    assert.deepEqual(given, { state: 'withdrawn', effects: ['failQueuePair'] });
    const lost = stepped(...patient, ['device.removed']);
    assert.deepEqual(lost, { state: 'withdrawn', effects: ['failQueuePair', 'raiseRemoved'] });
    assert.deepEqual(stepped(...ways.withdrawn, ['queue.emptied']), { state: 'withdrawn', effects: ['ignored'] });
    for (const outcome of outcomes) {
      const known = stepped(...ways.withdrawn, [outcome]);
      assert.deepEqual(known, { state: 'draining', effects: ['failQueuePair'] }, outcome);
    }
  });

  test('that has accepted and is given up leaves once it knows the outcome', () => {
    const given = stepped(...asked, ['connector.disconnect']);
    assert.deepEqual(given, { state: 'recanting', effects: ['ignored'] });
    const failed = stepped(...asked, ['device.queuePairFailed']);
    assert.deepEqual(failed, { state: 'recanting', effects: ['raiseConnectFailed'] });
    const lost = stepped(...asked, ['device.removed']);
    assert.deepEqual(lost, { state: 'recanting', effects: ['raiseRemoved'] });
    for (const outcome of outcomes) {
      const isUp = outcome === 'cm.established';
      assert.deepEqual(
        stepped(...ways.recanting, [outcome]),
        isUp ? { state: 'leaving', effects: ['disconnect'] } : { state: 'draining', effects: ['failQueuePair'] },
        outcome,
      );
    }
  });

  test('that is destroyed while its device does not give it back is given back after its outcome', () => {
    const abandoned = [
      [
        [...patient, ['connector.destroy']],
        ['failQueuePair', 'forget'],
      ],
      [[...ways.withdrawn, ['connector.destroy']], ['forget']],
      [[...asked, ['connector.destroy']], ['forget']],
      [[...ways.recanting, ['connector.destroy']], ['forget']],
    ] as const satisfies readonly (readonly [readonly Step[], readonly string[]])[];
    for (const [events, effects] of abandoned) {
      assert.deepEqual(stepped(...events), { state: 'abandoned', effects });
      for (const outcome of outcomes) {
        assert.deepEqual(stepped(...events, [outcome]), { state: 'released', effects: ['release'] }, outcome);
      }
    }
  });

  test('raises nothing but the loss of its device once it has ended', () => {
    for (const state of ['draining', 'ended'] as const) {
      for (const { name } of machine.events) {
        const found = stepped(...ways[state], [name]);
        if (found === null || name === 'queue.emptied' || name === 'connector.destroy') continue;
        const effects = [name === 'device.removed' ? 'raiseRemoved' : 'ignored'];
        assert.deepEqual(found, { state, effects }, name);
      }
    }
  });
});
