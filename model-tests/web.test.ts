// Goal: a page in a browser can open a journal: machines, replay, statements and pictures need nothing of Node.js.
// Method: they are loaded into a realm that has what the web platform has, get a journal of a run with requests of every
// kind, and must say what they say here; a module that reaches for Node.js must not get it.

import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, test } from 'vitest';
import { main } from './support/web-explorer.ts';

const top = fileURLToPath(new URL('../', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-web-'));
afterAll(() => rmSync(folder, { recursive: true }));

const realm = (module: string): readonly string[] => [
  '--no-warnings',
  '--experimental-vm-modules',
  `${top}model-tests/support/web-realm.ts`,
  module,
];

describe('in a realm without Node.js', () => {
  test('a journal is replayed, judged and drawn as here', () => {
    execFileSync(process.execPath, [`${top}driver/cli/wsdirect.js`, 'demo', '--adapter', 'simulated', '--out', folder]);
    for (const name of ['client', 'server']) {
      const journal = readFileSync(path.join(folder, `${name}.wsdj`));
      const printed = execFileSync(process.execPath, realm(`${top}model-tests/support/web-explorer.ts`), {
        input: journal,
      });
      const there = JSON.parse(printed.toString()) as ReturnType<typeof main>;
      assert.equal(there.verdict.type, 'equal');
      assert.match(there.diagram, /^sequenceDiagram\n/);
      assert.deepEqual(there, JSON.parse(JSON.stringify(main(journal))));
    }
  });

  test('what imports a module of Node.js is refused', () => {
    const module = path.join(folder, 'reaching.ts');
    writeFileSync(module, "import { readFileSync } from 'node:fs';\nexport const main = () => readFileSync.name;\n");
    const { status, stderr } = spawnSync(process.execPath, realm(module), { encoding: 'utf8', input: '' });
    assert.notEqual(status, 0);
    assert.match(stderr, /imports 'node:fs', which a browser hasn't/);
  });
});
