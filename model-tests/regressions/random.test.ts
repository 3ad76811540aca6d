// Goal: what random runs have found stays fixed.
// Method: each file beside this one holds a world and the few actions that were left when fast-check had shrunk a run
// that failed, and says what was wrong. Each is carried out to its end, with every check that random runs make.

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import type { Run } from '../random/action.ts';
import { carryOut } from '../random/world.ts';

const folder = new URL('.', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));

describe('found by random runs', () => {
  assert.ok(files.length > 0);
  for (const file of files) {
    const run = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Run & { readonly found: string };
    test(`${file.replace('.json', '').replaceAll('-', ' ')}: ${run.found}`, () => {
      carryOut(run);
    });
  }
});
