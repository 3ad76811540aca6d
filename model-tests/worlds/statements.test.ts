// Goal: each statement of the specification's section 21 is checked in some world, or it is said why not and where else.
// Method: the ids in the names of properties, against those in the specification and in the requirement tests.

import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { assumedIn, assumptionIds, beyond, checkedIn, kept, statementIds, statementsOf, worlds } from './index.ts';

const text = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const requirements = new URL('../requirements/', import.meta.url);
const tests = readdirSync(requirements)
  .map((file) => readFileSync(new URL(file, requirements), 'utf8'))
  .flatMap((source) => [...source.matchAll(/\btest\((['"`].*)$/gm)].map(([, title]) => title!));

describe('section 21', () => {
  const specification = text('../../docs/spec/wsd.md');
  const section = specification.slice(specification.indexOf('## 21.'));

  test('has these statements and assumptions', () => {
    const rows = [...section.matchAll(/^\| ([SLE]-\d\d) \|/gm)].map(([, id]) => id);
    assert.deepEqual(rows, [...statementIds, ...assumptionIds]);
  });

  test('is checked, statement by statement', () => {
    for (const [id, names] of checkedIn(worlds)) {
      const excuse = beyond[id];
      assert.ok(names.length > 0 || excuse?.extent === 'whole', `${id} is checked nowhere`);
      assert.ok(names.length === 0 || excuse?.extent !== 'whole', `${id} is checked, though it is said not to be`);
    }
  });

  test('in quick worlds too', () => {
    const quick = checkedIn(worlds.filter(({ effort }) => effort === 'quick'));
    for (const [id, names] of quick) assert.ok(names.length > 0 || beyond[id]?.extent === 'whole', id);
  });

  test('what worlds do not say is tested in the driver', () => {
    for (const [id, { tested }] of Object.entries(beyond)) {
      assert.ok(statementIds.includes(id));
      for (const requirement of tested)
        assert.ok(
          tests.some((title) => title.includes(requirement)),
          `${id}: ${requirement}`,
        );
    }
  });

  test('S-34: no source of the driver names an error that no call returns, but what judges it', () => {
    const sources = ['../../driver/', '../../machines/'].flatMap((folder) =>
      readdirSync(new URL(folder, import.meta.url), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(ts|js)$/.test(file) && !/\.test\.ts$|\.d\.ts$/.test(file))
        .map((file) => folder + file),
    );
    const naming = sources.filter((file) => /\bWSAE(INPROGRESS|INTR|ADDRINUSE)\b/.test(text(file)));
    assert.deepEqual(naming, ['../../driver/check/statements.ts', '../../machines/wsa.ts']);
  });

  test('properties name statements that there are', () => {
    for (const { properties } of worlds) {
      for (const property of properties) {
        for (const id of statementsOf(property)) assert.ok(statementIds.includes(id), property.name);
      }
    }
  });

  test('each assumption is lifted somewhere, or it is said why not', () => {
    for (const [id, { lifted }] of assumedIn(worlds)) {
      assert.ok(lifted.length > 0 !== id in kept, id);
    }
    for (const { name, assumes, lifts = [] } of worlds) {
      assert.deepEqual(
        assumes.filter((id) => lifts.includes(id)),
        [],
        name,
      );
    }
  });
});
