// Goal: promises that are judged together come out as each would by the definition of weak fairness.
// Method: random graphs of a few states, with and without cycles, against sets that are made by trying every pair of states.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findLassos, type Graph } from './fairness.ts';

const STATES = 7;
/** Bits of promises, and of fair classes; a rule's number is that of its class, and the last has none. */
const PROMISES = 3;
const CLASSES = 3;
const classOf = Int32Array.from({ length: CLASSES + 1 }, (_, rule) => (rule < CLASSES ? 1 << rule : 0));

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly rule: number;
}

const edges: fc.Arbitrary<readonly Edge[]> = fc
  .tuple(
    fc.boolean(),
    fc.array(
      fc.record({
        from: fc.nat({ max: STATES - 1 }),
        to: fc.nat({ max: STATES - 1 }),
        rule: fc.nat({ max: CLASSES }),
      }),
      { maxLength: 14 },
    ),
  )
  // In half of them only the last state can be come to again.
  .map(([cyclic, made]) => made.filter(({ from, to }) => cyclic || from < to || to === STATES - 1));
const bitsOf = (count: number) => fc.nat({ max: 2 ** count - 1 });
const masks = fc.array(bitsOf(PROMISES), { minLength: STATES, maxLength: STATES });

function graphOf(all: readonly Edge[]): Graph {
  const sorted = all.toSorted((left, right) => left.from - right.from);
  const start = Int32Array.from({ length: STATES + 1 }, (_, state) => sorted.filter(({ from }) => from < state).length);
  return {
    states: STATES,
    start,
    to: Int32Array.from(sorted, ({ to }) => to),
    rule: Uint16Array.from(sorted, ({ rule }) => rule),
  };
}

/** Pairs of states between which there is a way, of no step or more, through states that are `allowed`. */
function reachable(all: readonly Edge[], allowed: (state: number) => boolean): boolean[][] {
  const reach = Array.from({ length: STATES }, (_, from) =>
    Array.from({ length: STATES }, (_, to) => from === to && allowed(from)),
  );
  for (let round = 0; round < STATES; round++) {
    for (const { from, to } of all) {
      if (!allowed(from) || !allowed(to)) continue;
      for (const row of reach) row[to]! ||= row[from]!;
    }
  }
  return reach;
}

/** Whether a run that is fair to `classes` can stay in `set`. */
const isFair = (all: readonly Edge[], set: readonly number[], classes: number): boolean =>
  Array.from({ length: CLASSES }, (_, bit) => 1 << bit)
    .filter((bit) => (classes & bit) !== 0)
    .every(
      (bit) =>
        set.some((state) => !all.some(({ from, rule }) => from === state && classOf[rule] === bit)) ||
        all.some(({ from, to, rule }) => classOf[rule] === bit && set.includes(from) && set.includes(to)),
    );

test('promises together are as each by itself', () => {
  let [kept, single, cyclic] = [0, 0, 0];
  fc.assert(
    fc.property(edges, masks, masks, fc.tuple(...[0, 1, 2].map(() => bitsOf(CLASSES))), (all, made, done, fair) => {
      const from = (bits: readonly number[]) => Int32Array.from(bits);
      const lassos = findLassos(graphOf(all), { made: from(made), kept: from(done), classOf, fair });
      for (const [promise, classes] of fair.entries()) {
        const has = (bits: readonly number[], state: number): boolean => ((bits[state]! >>> promise) & 1) === 1;
        const reach = reachable(all, (state) => !has(done, state));
        const states = reach.map((_, state) => state);
        const waits = states.filter((state) => states.some((origin) => has(made, origin) && reach[origin]![state]));
        const maximal = waits.map((state) => waits.filter((other) => reach[state]![other] && reach[other]![state]));
        const found = lassos[promise]!;
        assert.equal(
          found !== null,
          maximal.some((set) => isFair(all, set, classes)),
          `promise ${promise}`,
        );
        if (found === null) {
          kept++;
          continue;
        }
        assert.ok(isFair(all, found, classes));
        assert.ok(found.every((state) => waits.includes(state) && found.every((other) => reach[state]![other])));
        if (found.length === 1) single++;
        else cyclic++;
      }
    }),
    { numRuns: 3000, seed: 1 },
  );
  // Each outcome was put to the test.
  for (const count of [kept, single, cyclic]) expect(count).toBeGreaterThan(50);
});
