// Goal: what each quick world of the catalogue asks is answered, and each statement of the specification is checked.
// Method: every reachable state of every world; sizes are pinned, so that a changed model is a visible difference.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { defineMachines } from '../../machines/index.ts';
import { explore } from '../explorer/index.ts';
import { worlds } from './index.ts';
import { smallest } from './surroundings.ts';
import { compareEachStep } from './like-xstate.ts';

describe('worlds', () => {
  for (const { name, effort, definition, properties, size, unfired = [] } of worlds) {
    if (effort !== 'quick') continue;
    test(name, () => {
      const found = explore(definition, properties);
      found.assertProperties();
      assert.deepEqual(found.unfired, unfired);
      assert.deepEqual(found.size, size);
    });
  }

  test('their names are their own', () => {
    const names = worlds.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)]);
    for (const { name, definition } of worlds) assert.equal(name, definition.name);
  });
});

test("every machine step of the data world is XState's", () => {
  const { definition } = worlds.find(({ name }) => name === 'data, depth 2')!;
  let compared: { readonly steps: number } = { steps: 0 };
  const found = explore(definition, [], {
    prepare: (made) => {
      compared = compareEachStep(made, {
        ...defineMachines({ ...smallest, queueDepth: 2 }),
        ...definition.environment,
      });
    },
  });
  found.assertProperties();
  assert.equal(compared.steps, 46_525);
});
