// Goal: docs/checking.md says what a search finds, and names every statement and assumption of the specification.
// Method: `worlds.test.ts` searches the quick worlds and compares with the sizes in the catalogue; here those are compared
// with the page. What differs by machine, as seconds, isn't looked at.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { worlds } from '../worlds/index.ts';
import { checkingPage } from './report.ts';
import { readResults } from './results.ts';

const page = readFileSync(new URL('../../docs/checking.md', import.meta.url), 'utf8');
const rowOf = (name: string): readonly string[] => {
  const line = page.split('\n').find((each) => each.startsWith(`| ${name} | `) && each.includes('hold'));
  assert.ok(line !== undefined, `docs/checking.md does not tell of world '${name}': npm run check:all -- '${name}'`);
  return line.split(' | ');
};

describe('docs/checking.md', () => {
  for (const { name, effort, size, properties } of worlds) {
    if (effort !== 'quick' || size === undefined) continue;
    test(`says of '${name}' what is found`, () => {
      const [, , states, transitions, depth, verdicts] = rowOf(name);
      const told = [states, transitions, depth].map((text) => Number(text!.replaceAll(',', '')));
      assert.deepEqual(told, [size.states, size.transitions, size.depth], `npm run check:all -- '${name}'`);
      // One more than is asked: that every event is expected. Of a world that is as large as before its last change, the
      // page may still have to be made anew; that it says so is enough here.
      assert.equal(
        verdicts!.replace(' (before the last change)', ''),
        `${properties.length + 1} hold`,
        `npm run check:all -- '${name}'`,
      );
    });
  }

  test('of the quick worlds none is out of limits, and no engine says otherwise', () => {
    const quick = new Set(worlds.filter(({ effort }) => effort === 'quick').map(({ name }) => name));
    for (const { world, complete, engines } of readResults().worlds) {
      if (!quick.has(world)) continue;
      assert.ok(complete, world);
      for (const { engine, differences } of engines) assert.deepEqual(differences, [], `${world}: ${engine}`);
    }
  });

  test('names every statement and assumption', async () => {
    const made = await checkingPage();
    for (const [letter, last] of [
      ['S', 36],
      ['L', 13],
      ['E', 8],
    ] as const) {
      for (let index = 1; index <= last; index++) {
        const id = `${letter}-${String(index).padStart(2, '0')}`;
        assert.match(made, new RegExp(`^\\| ${id} \\| `, 'm'));
      }
    }
  });
});
