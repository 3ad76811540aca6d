import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { machinePages } from './pages.ts';

const pages = await machinePages();

describe('generated pages', () => {
  test.each([...pages])('docs/%s says what the machines say', (name, text) => {
    const file = new URL(`../${name}`, import.meta.url);
    const found = existsSync(file) ? readFileSync(file, 'utf8') : '';
    // Not a comparison of texts: the difference of two large pictures helps nobody.
    assert.ok(found === text, `docs/${name} differs from what the machines say: run 'npm run docs' and commit it`);
  });

  test('no diagram is left of a machine that is no more', () => {
    const diagrams = readdirSync(new URL('../diagrams', import.meta.url)).map((name) => `diagrams/${name}`);
    assert.deepEqual(
      diagrams.filter((name) => !pages.has(name)),
      [],
    );
  });

  test('the same machines give the same bytes', async () => {
    assert.deepEqual(await machinePages(), pages);
  });
});
