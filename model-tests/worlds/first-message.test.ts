// Goal: at the accepting side the first message is neither lost nor put in a wrong place, whenever it comes.
// Method: A has connected and sends twice, B was accepted and receives twice: the private receive is completed before,
// between and after the calls, and flushed when either closes. The second message shows whether order is kept.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { explore, implies, leadsTo, sometimes } from '../explorer/index.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { closingProperties, consistency, isPending, isTold, requestProperties } from './requirements.ts';

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'receive', place: 1 },
];
const completions = [0, 1, 2, 3, 4].map((work) => `complete ${work}`);
const flushes = [0, 1, 2, 3, 4].map((work) => `flush ${work}`);
const upcalls = ['notify A', 'return A', 'notify B', 'return B'];

describe('first message', () => {
  test('whichever comes first, message or receive', () => {
    const world = connectedPair({ name: 'first message', requests, accepted: true, limits: { queueDepth: 2 } });
    const found = explore(world, [
      ...requestProperties(requests),
      ...[2, 3].map((request) =>
        leadsTo(
          `S-33, L-12: message ${request - 1} is received`,
          (state) =>
            state.field('caller', 0, 'sends') === 2 &&
            state.field('caller', 1, 'receives') === 2 &&
            isPending(request)(state),
          (state) => isTold(request)(state) && state.field('overlapped', request, 'error') === 0,
          ['deliver to B', ...completions, ...upcalls],
        ),
      ),
      implies(
        'S-33: a message that came early waits',
        (state) => state.in('firstMessage', 1, 'held'),
        (state) => state.field('caller', 1, 'receives') === 0,
      ),
      sometimes('the first receive waits for the message', (state) => state.in('firstMessage', 1, 'waiting')),
    ]);
    found.assertProperties();
    // It never is the adapter's.
    assert.deepEqual(found.unfired, ['B receive 1: completion']);
    assert.deepEqual(found.size, { states: 1969, transitions: 4900, depth: 18 });
  });

  test('with closing on both sides', () => {
    const { property, prepare } = consistency();
    const world = connectedPair({
      name: 'first message and close',
      requests,
      polled: [0],
      accepted: true,
      closing: true,
    });
    const found = explore(
      world,
      [
        ...requestProperties(requests),
        ...closingProperties(requests),
        leadsTo(
          'L-07: once B is closed its handle is, if the adapter flushes',
          (state) => state.in('caller', 1, 'closed'),
          (state) => state.in('handle', 1, 'closed'),
          [...completions, ...flushes, ...upcalls],
        ),
        sometimes('the private receive is flushed', (state) => state.in('firstMessage', 1, 'draining')),
        property,
      ],
      { prepare },
    );
    found.assertProperties();
    assert.deepEqual(found.unfired, ['B receive 1: completion', 'B receive 1: flush']);
    assert.deepEqual(found.size, { states: 35_905, transitions: 158_611, depth: 22 });
  });
});
