// Goal: the generated successor function does what production does, in every reachable state.
// Method: all small worlds are searched with production's kernel; in each state both kernels are asked which rules can happen
// and what follows from each. Broken worlds too: then both fail, with the same words.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { setup } from 'xstate';
import {
  add,
  defineMachines,
  field,
  implementations,
  initialContext,
  language,
  range,
  routes,
  subtract,
} from '../../machines/index.ts';
import { brokenMachines } from '../worlds/broken-tables.ts';
import { worlds } from '../worlds/index.ts';
import { connectedPair, type PairOptions, type PairRequest } from '../worlds/connected-pair.ts';
import { smallest } from '../worlds/surroundings.ts';
import { compareEachStep } from '../worlds/like-xstate.ts';
import { generatedSuccessors, isBroken, Layout, productionSuccessors, World, type WorldDefinition } from './index.ts';

/** Searches a world with both kernels. @returns its size, and what it broke with, by both */
function compare(definition: WorldDefinition, prepare?: (world: World) => void) {
  const world = new World(definition);
  prepare?.(world);
  const layout = new Layout(world);
  const { words } = layout;
  const kernels = [productionSuccessors(world, layout), generatedSuccessors(world, layout)] as const;
  const states: Int32Array[] = [];
  const known = new Set<string>();
  const errors = new Set<string>();
  let transitions = 0;
  const add = (state: Int32Array): void => {
    const key = state.join();
    if (known.has(key)) return;
    known.add(key);
    states.push(state);
  };
  const [first, same] = kernels.map((kernel) => {
    const state = new Int32Array(words);
    kernel.initial(state, 0);
    return state;
  }) as [Int32Array, Int32Array];
  assert.deepEqual(same, first);
  add(first);
  for (let at = 0; at < states.length; at++) {
    const state = states[at]!;
    const [expected, enabled] = kernels.map((kernel) => {
      const into = new Uint16Array(kernel.rules);
      return [...into.subarray(0, kernel.enabled(state, 0, into))];
    }) as [number[], number[]];
    assert.deepEqual(enabled, expected);
    for (const rule of expected) {
      const [next, generated] = kernels.map((kernel) => {
        const to = new Int32Array(words);
        try {
          kernel.fire(rule, state, 0, to, 0);
          return to;
        } catch (error) {
          if (!isBroken(error)) throw error;
          return error.message.replace(/journal step \d+/, 'some step');
        }
      }) as [Int32Array | string, Int32Array | string];
      if (typeof next === 'string') {
        assert.equal(generated, next);
        errors.add(next);
        continue;
      }
      transitions++;
      if (typeof generated === 'string' || generated.some((word, index) => word !== next[index])) {
        const [want, have] = [next, generated].map((of) =>
          typeof of === 'string' ? of : [...layout.describe(of, 0)].map(([cell, value]) => [cell.of, cell.name, value]),
        );
        assert.deepEqual(have, want, world.rules[rule]!.name);
      }
      add(next);
    }
  }
  return { states: states.length, transitions, errors: [...errors] };
}

const four = (kinds: readonly [PairRequest['kind'], PairRequest['kind']][]): PairRequest[] =>
  kinds.flatMap(([a, b], place) => [
    { socket: 0, kind: a, place },
    { socket: 1, kind: b, place },
  ]);
const exchange: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
const stream = four([
  ['send', 'receive'],
  ['send', 'receive'],
]);
const everything: PairOptions = {
  name: 'everything pending',
  requests: exchange,
  called: [1, 0, 1, 0],
  closing: true,
};

/** Worlds with more are compared by their sizes alone, wherever they are searched. */
const STATES_MAX = 20_000;

describe("generated successors are production's", () => {
  for (const { name, definition, size } of worlds) {
    if (size === undefined || size.states >= STATES_MAX) continue;
    const { states, transitions } = size;
    test(name, () => assert.deepEqual(compare(definition), { states, transitions, errors: [] }));
  }

  test("while every machine step is XState's", () => {
    const limits = { ...smallest, queueDepth: 2 };
    const definition = connectedPair({ name: 'depth 2', requests: stream, upcallsFail: true, limits });
    let compared: { readonly steps: number } = { steps: 0 };
    const size = compare(definition, (world) => {
      compared = compareEachStep(world, { ...defineMachines(limits), ...definition.environment });
    });
    assert.deepEqual(size, { states: 1859, transitions: 4716, errors: [] });
    assert.ok(compared.steps >= 46_525);
  });

  test.each([
    ['within a step', true],
    ['within a rule', false],
  ] as const)('when a value is out of its range %s, and back again', (_, within) => {
    const contract = {
      context: { n: field(range(0, 1)) },
      events: { go: {}, back: {} },
      effects: { away: {} },
    } as const;
    const { context: c, update, effect } = language(contract);
    const [away, back] = [update({ n: add(c.n, 2) }), update({ n: subtract(c.n, 2) })];
    const machine = setup(implementations(contract)).createMachine({
      id: 'excursion',
      context: initialContext(contract),
      initial: 'here',
      states: {
        here: { on: { go: { actions: within ? [away, back] : [away, effect('away', {})] }, back: { actions: back } } },
      },
    });
    const found = compare({
      name: 'excursion',
      environment: { excursion: { contract, machine } },
      rows: { excursion: 1 },
      performs: { 'excursion/away': [{ send: 'excursion/back', to: 0 }] },
      drops: [],
      rules: [{ name: 'goes', send: 'excursion/go', row: 0, class: 'test' }],
    });
    assert.deepEqual(found, { states: 1, transitions: 0, errors: ['excursion 0: n is 2, outside its range'] });
  });

  test('in broken worlds too', () => {
    // A request doesn't leave its queue's order: closing finds one that is over.
    const { leaveOrder: _, ...others } = routes.overlappedRequest;
    const left = compare(
      connectedPair({ ...everything, routes: { ...routes, overlappedRequest: { ...others, leaveOrder: [] } } }),
    );
    const early = compare(
      connectedPair({
        ...everything,
        machines: brokenMachines(smallest, [
          { machine: 'overlappedRequest', state: 'posted', event: 'socket.closing', as: 'held' },
        ]),
      }),
    );
    assert.notEqual(left.errors.length, 0);
    assert.notEqual(early.errors.length, 0);
  });
});
