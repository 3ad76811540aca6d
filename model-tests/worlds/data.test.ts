// Goal: requests of a connected pair end once, in order, with what the peer sent, and by the way the switch asked for.
// Method: two sends of A, two receives of B, polled or notified as it comes, called at any time, inside completion
// up-calls too; completions of one queue in any order; up-calls that fail. Two of a kind suffice: a request meets only
// its predecessor and its successor. With a queue of depth 1 the second waits, with one of depth 2 both are out.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { defineMachines } from '../../machines/index.ts';
import { explore, leadsTo, type Property, sometimes } from '../explorer/index.ts';
import { connectedPair, type PairRequest, pairLimits } from './connected-pair.ts';
import { compareEachStep } from './like-xstate.ts';
import { isPending, isTold, requestProperties } from './requirements.ts';

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'receive', place: 1 },
];
const world = (queueDepth: number) =>
  connectedPair({ name: `data, depth ${queueDepth}`, requests, upcallsFail: true, limits: { queueDepth } });

const upcalls = ['notify A', 'return A', 'notify B', 'return B'];
const completions = ['complete 0', 'complete 1', 'complete 2', 'complete 3'];
const properties: readonly Property[] = [
  ...requestProperties(requests),
  ...requests.map((_, request) =>
    leadsTo(
      `L-01: request ${request} is done when all are called`,
      (state) =>
        state.field('caller', 0, 'sends') === 2 &&
        state.field('caller', 1, 'receives') === 2 &&
        isPending(request)(state),
      isTold(request),
      ['deliver to B', ...completions, ...upcalls],
    ),
  ),
  leadsTo(
    'L-02: who only polls sees a finished transfer, whatever becomes of up-calls',
    (state) => isPending(3)(state) && state.field('overlapped', 3, 'polled') === 1 && state.in('work', 3, 'landed'),
    isTold(3),
    ['complete 2', 'complete 3'],
  ),
  leadsTo(
    'L-03: what is due is notified',
    (state) => state.in('overlappedRequest', 2, 'due'),
    (state) => state.field('overlapped', 2, 'notifications') === 1,
    upcalls,
  ),
  sometimes(
    'a call is made inside a completion up-call',
    (state) =>
      state.in('notifier', 1, 'running') &&
      state.field('caller', 1, 'receives') === 1 &&
      state.field('caller', 0, 'sends') === 2,
  ),
  sometimes(
    'an up-call fails, and the structure is published instead',
    (state) =>
      state.field('overlapped', 2, 'notifications') === 1 && state.field('overlapped', 2, 'publications') === 1,
  ),
];

describe('data', () => {
  test('the second of each waits for a place', () => {
    const found = explore(world(1), [
      ...properties,
      sometimes('a request is held', (state) => state.in('overlappedRequest', 3, 'held')),
    ]);
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 1331, transitions: 3236, depth: 18 });
  });

  test('all at the adapter', () => {
    const found = explore(world(2), [
      ...properties,
      sometimes(
        'the second completes first',
        (state) => state.in('overlappedRequest', 3, 'finished') && state.in('overlappedRequest', 2, 'posted'),
      ),
    ]);
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 1859, transitions: 4716, depth: 18 });
  });

  test("every machine step of it is XState's", () => {
    const definition = world(2);
    let compared: { readonly steps: number } = { steps: 0 };
    const found = explore(definition, [], {
      prepare: (made) => {
        compared = compareEachStep(made, {
          ...defineMachines({ ...pairLimits, queueDepth: 2 }),
          ...definition.environment,
        });
      },
    });
    found.assertProperties();
    assert.equal(compared.steps, 46_525);
  });
});
