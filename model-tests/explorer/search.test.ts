// Goal: whatever a search is spared, by threads or by taking states for one, its verdicts and its paths are the same; and
// a state takes at most 32 bytes.
// Method: worlds of the catalogue, as they are and with a bug in them.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { always, each, explore, type Found, not, replay, row } from './index.ts';
import { worlds } from '../worlds/index.ts';

const named = (name: string) => {
  const found = worlds.find((world) => world.name === name);
  assert.ok(found !== undefined, `the catalogue has no world '${name}'`);
  return found;
};
const close = named('close, everything pending');
const verdicts = (found: Found) => found.verdicts.map(({ property, holds, unknown }) => ({ property, holds, unknown }));

describe('threads', () => {
  test('find what one finds: states, transitions, numbers, paths', () => {
    const [one, three] = [1, 3].map((threads) => explore(close.definition, close.properties, { threads }));
    assert.deepEqual(three!.size, one!.size);
    assert.deepEqual(three!.verdicts, one!.verdicts);
    assert.deepEqual(three!.fired, one!.fired);
    for (const name of ['pairs', 'parents'] as const) {
      const count = one!.states * (name === 'pairs' ? 2 : 1);
      const [left, right] = [one!, three!].map(({ result }) => result.store.memory[name].subarray(0, count));
      assert.deepEqual(right, left);
    }
  });

  test('end with the same shortest path where the world breaks', () => {
    const seeded = always(
      'no handle is ever closed',
      each([0, 1], (socket) => not(row('handle', socket).in('closed'))),
    );
    const [one, two] = [1, 2].map((threads) => explore(close.definition, [seeded], { threads, stopWhenBroken: true }));
    assert.equal(one!.verdicts[1]!.holds, false);
    assert.deepEqual(two!.verdicts, one!.verdicts);
  });
});

describe('dead variables', () => {
  // Not all that is asked: what is asked of a field keeps it.
  const asked = close.properties.filter(({ kind, name }) => kind === 'leadsTo' || name.startsWith('S-03: a request'));

  test('make states fewer, and no verdict another', () => {
    const [plain, dead] = [false, true].map((on) => explore(close.definition, asked, { reductions: { dead: on } }));
    assert.deepEqual(verdicts(dead!), verdicts(plain!));
    assert.ok(dead!.states < plain!.states, `${dead!.states} of ${plain!.states}`);
    // Every path can be gone in the world itself.
    for (const { path } of dead!.verdicts) {
      assert.ok(replay(close.definition, path).every(({ error }) => error === undefined));
    }
  });
});

test('a state takes at most 32 bytes, with its parent and its place in the table', () => {
  const { bytes, states } = explore(close.definition, []);
  assert.ok(bytes <= 32 * states, `${bytes / states} bytes a state`);
});
