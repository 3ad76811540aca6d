import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { test } from 'vitest';

import { demoOutput, readmeFile, shownOutput, withoutNumbers, withOutput } from './readme.ts';

const readme = readFileSync(readmeFile, 'utf8');

test('README.md shows what the demo prints', () => {
  assert.equal(
    withoutNumbers(shownOutput(readme)),
    withoutNumbers(demoOutput()),
    "README.md shows something else than the demo prints: run 'npm run docs' and commit it",
  );
});

test('the same output but for numbers leaves it as it is, another one replaces it', () => {
  const shown = shownOutput(readme);
  assert.equal(withOutput(readme, shown.replaceAll('7', '8')), readme);
  const changed = withOutput(readme, '    something else');
  assert.equal(shownOutput(changed), '    something else');
  assert.equal(withOutput(changed, shown), readme);
});

test('the example in README.md runs as it stands, but for its port', () => {
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(example !== undefined);
  assert.match(example, /from 'wsdirect'/);
  using bound = new net.BoundSocket({ host: '127.0.0.1', port: 0 });
  const { port } = bound.address();
  bound.close();
  const index = new URL('../../driver/index.ts', import.meta.url).href;
  const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-example-'));
  try {
    const file = path.join(folder, 'example.ts');
    writeFileSync(file, example.replace("'wsdirect'", `'${index}'`).replaceAll('7471', String(port)));
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 0, stderr);
    const [, promised] = /console\.log.*\/\/ (.*)/.exec(example) ?? [];
    assert.equal(stdout, `${promised}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
