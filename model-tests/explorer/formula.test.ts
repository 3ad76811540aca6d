// Goal: a formula says of a state what the state is; what it names must be there.
// Method: the world of two connected sockets, in its first state.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { connectedPair } from '../worlds/connected-pair.ts';
import {
  add,
  all,
  any,
  before,
  choose,
  count,
  each,
  equal,
  type Formula,
  formulaText,
  iff,
  kept,
  Layout,
  less,
  named,
  not,
  predicateOf,
  type Reading,
  readings,
  row,
  some,
  StateView,
  subtract,
  given,
  unequal,
  World,
} from './index.ts';

const world = new World(
  connectedPair({
    name: 'formulas',
    requests: [
      { socket: 0, kind: 'send', place: 0 },
      { socket: 0, kind: 'receive', place: 0 },
    ],
    called: [1, 0],
  }),
);
const layout = new Layout(world);
const words = new Int32Array(layout.words);
layout.pack(words, 0);
const view = new StateView(layout, words);
const holds = (formula: Formula): boolean => predicateOf(formula, layout)(view, view);
const socket = row('socket', 0);
const request = row('overlappedRequest', 1);

describe('formulas', () => {
  test('read what a state holds', () => {
    assert.equal(holds(socket.in('connected')), true);
    assert.equal(holds(socket.in('connected.active')), true);
    assert.equal(holds(socket.in('created', 'bound')), false);
    assert.equal(holds(equal(row('overlapped', 0).field('polled'), 1)), true);
    assert.equal(holds(equal(request.owner, 1)), true);
    assert.equal(holds(equal(request.place, 1)), true);
    assert.equal(holds(request.pins(0)), true);
    assert.equal(holds(request.pins(1)), false);
    assert.equal(holds(kept(socket.field('attached'))), true);
  });

  test('compute as guards do', () => {
    const one = socket.field('attached');
    assert.equal(holds(equal(add(one, subtract(3, 2)), 2)), true);
    assert.equal(holds(less(one, 1)), false);
    assert.equal(holds(equal(choose(one, 5, 6), 5)), true);
    assert.equal(holds(iff(not(one), unequal(one, 1))), true);
    assert.equal(holds(given(one, 0)), false);
    assert.equal(holds(all()), true);
    assert.equal(holds(any()), false);
    const rows = [0, 1];
    const attached = (number: number): Formula => row('socket', number).field('attached');
    assert.equal(holds(each(rows, attached)), true);
    assert.equal(holds(some(rows, (number) => not(attached(number)))), false);
    assert.equal(holds(equal(count(rows, attached), named('TWO', 2))), true);
  });

  test('name what is there', () => {
    assert.throws(() => holds(row('socket', 7).in('bound')), /no 'state' of socket 7/);
    assert.throws(() => holds(socket.field('size')), /no 'size' of socket 0/);
    assert.throws(() => holds(socket.in('asleep')), /machine 'socket' has no state 'asleep'/);
    assert.throws(() => holds(request.pins(9)), /no 'pins 9'/);
  });

  test('are text for people', () => {
    const formula = given(
      socket.in('connected', 'broken'),
      all(less(request.place, 2), kept(socket.field('attached'))),
    );
    assert.equal(
      formulaText(formula),
      '(not (socket 0 is connected or broken)) or ((place of overlappedRequest 1 < 2) and (before(socket 0.attached) == socket 0.attached))',
    );
    const read: Reading[] = [];
    readings(before(formula), (reading) => read.push(reading));
    assert.deepEqual(
      read.map(({ op, before: earlier }) => [op, earlier]),
      [
        ['in', true],
        ['place', true],
        ['field', true],
        ['field', true],
      ],
    );
  });
});
