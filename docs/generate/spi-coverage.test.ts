import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { citationsIn, citingTests, coveragePage, requirements } from './spi-coverage.ts';
import { uncovered } from './uncovered.ts';

/** Requirements that tests must cite at least, whatever reasons there are. */
const COVERED_MIN = 120;

describe('SPI coverage', () => {
  const all = requirements();
  const cited = new Set(citingTests().flatMap(({ ids }) => ids));

  test('tests cite only requirements that there are', () => {
    const known = new Set(all.map(({ id }) => id));
    assert.deepEqual(
      [...cited].filter((id) => !known.has(id)),
      [],
    );
  });

  test('enough requirements have a test', () => {
    const covered = all.filter(({ id }) => cited.has(id)).length;
    assert.ok(covered >= COVERED_MIN, `${covered} requirements have a test; at least ${COVERED_MIN} must`);
  });

  test('every other one has a reason, and only those', () => {
    const open = all.filter(({ id }) => !cited.has(id)).map(({ id }) => id);
    assert.deepEqual(
      open.filter((id) => !Object.hasOwn(uncovered, id)),
      [],
      'requirements without a test and without a reason in docs/generate/uncovered.ts',
    );
    assert.deepEqual(
      Object.keys(uncovered).filter((id) => !open.includes(id)),
      [],
      'reasons in docs/generate/uncovered.ts for requirements that have a test',
    );
  });

  test('docs/spi-coverage.md is up to date', () => {
    const found = readFileSync(new URL('../spi-coverage.md', import.meta.url), 'utf8');
    assert.ok(found === coveragePage(), "docs/spi-coverage.md is out of date: run 'npm run docs' and commit it");
  });

  test('titles are found however a test is written', () => {
    const found = citationsIn(
      'a.test.ts',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text
      "describe.skipIf(x)('WSD-001', () => { test.each([1])(`WSD-002 ${y} WSD-003`, f); it('none', g('WSD-004')); });",
    );
    assert.deepEqual(
      found.map(({ ids }) => ids),
      [['WSD-001'], ['WSD-002', 'WSD-003']],
    );
  });
});
