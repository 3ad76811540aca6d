// Goal: the two machines of an iWARP connection, at both ends, fit together wherever anybody leaves and whatever is lost.
// Method: every state of the world of two ends: each owner closes anywhere, each TCP ends anywhere, waits end, TCP takes
// nothing for a while; and in the larger worlds garbage comes instead of anything. An event that a machine doesn't
// expect, or an owner is told out of turn, breaks the world.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { defineMachines, explorationLimits, type MachineDefinition } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  each,
  explore,
  implies,
  leadsTo,
  not,
  type Property,
  row,
  sometimes,
  unequal,
} from '../explorer/index.ts';
import { compareEachStep } from '../worlds/like-xstate.ts';
import { iwarpPair } from './world.ts';

const name = (side: number) => ['initiator', 'responder', 'second responder'][side]!;
const link = (side: number, ...states: readonly string[]) => row('link', side).in(...states);
const stream = (side: number, ...states: readonly string[]) => row('iwarpStream', side).in(...states);
const startingUp = ['dialing', 'asking', 'listening', 'accepted'];

/** What must hold of each side that comes up, in every state. */
const safety = (sides: readonly number[]): Property[] =>
  sides.flatMap((side) => [
    implies(
      `${name(side)}: each wait for the peer is bounded`,
      any(link(side, ...startingUp), stream(side, 'closing', 'terminating', 'lingering')),
      row('timer', side).in('running'),
    ),
    implies(
      `${name(side)}: nothing is bounded that is not waited for`,
      link(side, 'none', 'deciding', 'closed', 'gone'),
      row('timer', side).in('idle'),
    ),
    always(
      `${name(side)}: the queues are flushed when the stream is left, and not before`,
      unequal(row('queues', side).in('flushed'), stream(side, 'unopened', 'listening', 'transferring')),
    ),
    implies(
      `${name(side)}: an owner that is told of the end has no stream`,
      row('owner', side).in('over'),
      not(stream(side, 'listening', 'transferring')),
    ),
  ]);

/** @param sides - the two that come to be connected */
const witnesses = (sides: readonly number[]): Property[] => [
  sometimes(
    `${name(sides[1]!)}: both ends are open`,
    each(sides, (side) => all(link(side, 'operating'), stream(side, 'transferring'))),
  ),
  sometimes(
    `${name(sides[1]!)}: both ends have closed`,
    each(sides, (side) => link(side, 'gone')),
  ),
];

/** What passes of itself: time, and the end of a connection that this end has closed. Nothing of the peer. */
const passing = (side: number) => [`expire ${side}`, `over ${side}`];

const liveness = (sides: readonly number[], fair = passing): Property[] =>
  sides.flatMap((side) => [
    leadsTo(
      `${name(side)}: who leaves is rid of TCP in time`,
      row('owner', side).in('left'),
      link(side, 'gone'),
      fair(side),
    ),
    leadsTo(
      `${name(side)}: a start-up ends in time, whatever the peer does`,
      link(side, ...startingUp),
      not(link(side, ...startingUp)),
      fair(side),
    ),
  ]);

describe('the machines of two ends [RFC 5044 7.1.2] [RFC 5044 7.2] [RFC 5040 6.2]', () => {
  for (const { asked, spoken, sides, size, unfired } of [
    // Nobody is turned away.
    { asked: 1, spoken: 1, sides: [0, 1], size: { states: 908, transitions: 8117, depth: 14 }, unfired: 12 },
    // The first responder never gets beyond the request.
    { asked: 2, spoken: 1, sides: [0, 2], size: { states: 2755, transitions: 29_987, depth: 17 }, unfired: 6 },
    { asked: 2, spoken: 2, sides: [0, 1], size: { states: 17_252, transitions: 212_335, depth: 22 }, unfired: 0 },
  ] as const) {
    test(`fit together: revision ${asked} asked, ${spoken} spoken`, () => {
      const world = iwarpPair({ name: `iWARP ${asked} ${spoken}`, asked, spoken, hostile: false });
      const found = explore(world, [...safety(sides), ...witnesses(sides), ...liveness(sides)]);
      found.assertProperties();
      assert.equal(found.unfired.length, unfired);
      assert.deepEqual(found.size, size);
    });
  }

  test('fit together when garbage comes', () => {
    const world = iwarpPair({ name: 'iWARP and garbage', asked: 2, spoken: 2, hostile: true });
    const found = explore(world, [...safety([0, 1, 2]), ...witnesses([0, 1]), ...witnesses([0, 2])]);
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    // Every state but the one from which on the stream's machine decides: it is final, and its row counts as new.
    const states = found.unreached.filter((what) => /^(mpaStartup|iwarpStream): [a-z]+$/i.test(what));
    assert.deepEqual(states, ['mpaStartup: operating']);
    assert.deepEqual(found.size, { states: 671_245, transitions: 8_846_371, depth: 28 });
  });

  test('take each step as XState does', () => {
    const world = iwarpPair({ name: 'iWARP and XState', asked: 1, spoken: 1, hostile: false });
    let compared: { readonly steps: number } = { steps: 0 };
    const found = explore(world, [], {
      prepare: (made) => {
        compared = compareEachStep(made, {
          ...defineMachines(explorationLimits),
          ...(world.environment as Record<string, MachineDefinition>),
        });
      },
    });
    found.assertProperties();
    assert.ok(compared.steps > 10_000, String(compared.steps));
  });

  test('would wait for ever without their timers', () => {
    const world = iwarpPair({ name: 'iWARP without time', asked: 2, spoken: 2, hostile: false });
    const timeless = liveness([0, 1], (side) => [`over ${side}`]);
    const { verdicts } = explore(world, timeless);
    const asked = new Set(timeless.map(({ name }) => name));
    assert.deepEqual(
      verdicts.filter(({ property, holds }) => asked.has(property) && holds).map(({ property }) => property),
      [],
    );
  });
});
