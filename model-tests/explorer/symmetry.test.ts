// Goal: a search that takes exchanged rows for one leaves no state out, and no verdict is another.
// Method: the sum of the orbits' sizes must be the number of states without exchanges; worlds as they are and with a bug.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { anyOrder, anyOrderProperties, type AnyOrderOptions } from '../worlds/any-order.ts';
import { worlds } from '../worlds/index.ts';
import { always, each, explore, type Found, kept, not, replay, row, sometimes, transition } from './index.ts';
import { symmetric } from './symmetry.ts';

const verdicts = (found: Found) => found.verdicts.map(({ property, holds, because }) => ({ property, holds, because }));
const depths = (found: Found) => found.verdicts.map(({ path }) => path.length);

describe('orbits', () => {
  test.each<AnyOrderOptions>([
    { name: 'two sends', sends: 2, receives: 1 },
    { name: 'two of each', sends: 2, receives: 2 },
    { name: 'one of each, and closing', sends: 1, receives: 1, closing: true },
    { name: 'two sends, and closing', sends: 2, receives: 1, closing: true },
  ])('$name: their sizes add up to all states', (options) => {
    const world = anyOrder(options);
    const properties = anyOrderProperties(options);
    const [full, fewer] = [false, true].map((symmetry) => explore(world, properties, { reductions: { symmetry } }));
    full!.assertProperties();
    assert.deepEqual(verdicts(fewer!), verdicts(full!));
    assert.deepEqual(depths(fewer!), depths(full!));
    assert.deepEqual(fewer!.unfired, full!.unfired);
    assert.equal(fewer!.depth, full!.depth);
    assert.equal(full!.orbitSum, full!.states);
    assert.equal(fewer!.orbitSum, full!.states);
    const dead = explore(world, properties, { reductions: { symmetry: true, dead: true } });
    assert.deepEqual(verdicts(dead), verdicts(full!));
    assert.equal(dead.orbitSum, explore(world, properties, { reductions: { dead: true } }).states);
  });

  test('two requests of each kind: 5 times fewer states', () => {
    const world = anyOrder({ name: 'two of each', sends: 2, receives: 2 });
    const fewer = explore(world, [], { reductions: { symmetry: true } });
    assert.ok(fewer.orbitSum >= 5 * fewer.states, `${fewer.states} for ${fewer.orbitSum}`);
  });

  test('three of each: 100 times fewer', () => {
    const world = anyOrder({ name: 'three of each', sends: 3, receives: 3 });
    const fewer = explore(world, [], { reductions: { symmetry: true } });
    assert.ok(fewer.complete);
    assert.ok(fewer.orbitSum >= 100 * fewer.states, `${fewer.states} for ${fewer.orbitSum}`);
  });
});

describe('worlds of the catalog', () => {
  // The long ones are not searched by tests; what is asked of them must be askable all the same.
  const exchangeable = worlds.flatMap(({ definition, properties }) =>
    definition.symmetry === undefined ? [] : [{ name: definition.name, symmetry: definition.symmetry, properties }],
  );
  test.each(exchangeable)('$name: all that is asked can be said of exchanged rows', ({ symmetry, properties }) => {
    const asked = properties.filter(({ kind }) => kind !== 'leadsTo');
    assert.ok(asked.length > 0);
    for (const property of asked) assert.equal(symmetric(property, symmetry).name, property.name);
  });
});

describe('what breaks', () => {
  const options: AnyOrderOptions = { name: 'any order', sends: 2, receives: 1, closing: true };
  const world = anyOrder(options);

  test('breaks at the same depth, on a path that the world itself can go', () => {
    const property = always(
      'no request is done',
      each([0, 1, 2, 3, 4, 5], (of) => not(row('overlapped', of).in('done'))),
    );
    const [full, fewer] = [false, true].map((symmetry) => explore(world, [property], { reductions: { symmetry } }));
    assert.equal(full!.verdicts[1]!.holds, false);
    assert.deepEqual(verdicts(fewer!), verdicts(full!));
    const { path } = fewer!.verdicts[1]!;
    assert.equal(path.length, full!.verdicts[1]!.path.length);
    assert.ok(replay(world, path).every(({ error }) => error === undefined));
  });

  test('of one request alone is judged for all that it can be exchanged with', () => {
    for (const request of [0, 1]) {
      const asked = [
        always('it is never done', not(row('overlapped', request).in('done'))),
        sometimes('it is done', row('overlapped', request).in('done')),
      ];
      const [full, fewer] = [false, true].map((symmetry) => explore(world, asked, { reductions: { symmetry } }));
      assert.deepEqual(verdicts(fewer!), verdicts(full!));
    }
  });

  test('a step that breaks the world, or a transition, is found in the world itself', () => {
    // The second message's number has no room, and shows when its receive waits for the first.
    const two = anyOrder({ name: 'two of each', sends: 2, receives: 2 });
    const small = { ...two, carried: { ...two.carried!, 'overlappedRequest/bytes': 1 } };
    const asked = transition(
      'no request is done',
      each([0, 1, 2, 3, 4, 5], (of) => kept(row('overlapped', of).in('done'))),
    );
    for (const [definition, properties] of [
      [small, []],
      [world, [asked]],
    ] as const) {
      const [full, fewer] = [false, true].map((symmetry) =>
        explore(definition, properties, { reductions: { symmetry } }),
      );
      const [of, like] = [full!, fewer!].map(
        ({ verdicts: all }) => all.find(({ holds, unknown }) => !holds && !unknown)!,
      );
      assert.equal(like!.property, of!.property);
      assert.equal(like!.path.length, of!.path.length);
      const last = replay(definition, like!.path).at(-1)!;
      assert.equal(last.error === undefined, properties.length > 0);
    }
  });

  test('a world that does not treat its rows alike is refused', () => {
    assert.throws(
      () => explore({ ...world, rules: world.rules.slice(1) }, [], { reductions: { symmetry: true } }),
      /no rule is to row 0 what 'A send 2: called' is to 1/,
    );
  });

  test('a field whose naming of rows is not declared shows in the sum', () => {
    const wrong = { ...world, symmetry: { groups: world.symmetry!.groups, references: {} } };
    const found = explore(wrong, [], { reductions: { symmetry: true } });
    assert.notEqual(found.orbitSum, explore(world, []).states);
  });
});
