import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { iwarpCoverage, iwarpPage } from './iwarp-page.ts';

const page = readFileSync(new URL('../iwarp.md', import.meta.url), 'utf8');

describe('the page about iWARP', () => {
  test('says what machines, reasons and tests say', () => {
    assert.ok(iwarpPage(page) === page, "docs/iwarp.md differs from its sources: run 'npm run docs' and commit it");
  });

  test('has a test for each requirement, and a requirement for each section that a test names', () => {
    const { rows, problems } = iwarpCoverage();
    assert.deepEqual(problems, []);
    assert.ok(rows.length >= 30);
  });

  test('needs a place for each part', () => {
    assert.throws(() => iwarpPage(page.replace('<!-- end of terminate -->', '')), /no place for terminate/);
  });
});
