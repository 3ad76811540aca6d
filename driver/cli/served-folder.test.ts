import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, test } from 'vitest';

import { Refusal, type RefusalReason } from '../client/file-service.ts';
import { ServedFolder } from './served-folder.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-served-'));
afterAll(() => rmSync(folder, { recursive: true }));
const root = path.join(folder, 'root');
for (const name of ['root/sub', 'outside']) mkdirSync(path.join(folder, name), { recursive: true });
for (const name of ['root/file', 'root/sub/file', 'outside/file']) writeFileSync(path.join(folder, name), name);
symlinkSync('../outside/file', path.join(root, 'link'));
symlinkSync('../outside', path.join(root, 'out'));
symlinkSync('sub', path.join(root, 'inside'));
symlinkSync('absent', path.join(root, 'dangling'));
execFileSync('mkfifo', [path.join(root, 'pipe')]);
writeFileSync(path.join(root, '.wsdirect-00.part'), 'a part');
const served = new ServedFolder(root, { readOnly: false, bytesMax: 100 });

function assertRefused(action: () => unknown, reason: RefusalReason, what: string): void {
  assert.throws(action, (error) => error instanceof Refusal && error.reason === reason, what);
  try {
    action();
  } catch (error) {
    assert.ok(!String(error).includes(folder), 'no path of this computer is told');
  }
}

test('gives what lies in it', () => {
  for (const name of ['file', 'sub/file']) {
    const input = served.open(name);
    const bytes = Buffer.alloc(input.size);
    input.read(bytes);
    input.close();
    assert.equal(bytes.toString(), `root/${name}`);
  }
});

test('gives and takes nothing by a path that could lead out', () => {
  const bad = [
    '..',
    '../outside/file',
    'sub/../../outside/file',
    '/etc/passwd',
    '',
    '.',
    './file',
    'sub//file',
    'sub/',
  ];
  for (const name of [...bad, 'a\0b', 'sub\\..\\file', path.join(folder, 'outside/file')]) {
    assertRefused(() => served.open(name), 'badPath', name);
    assertRefused(() => served.create(name, 1), 'badPath', name);
  }
});

test('follows no link: not out of it, not within it, not to nothing', () => {
  for (const name of ['link', 'out/file', 'inside/file', 'dangling']) {
    assertRefused(() => served.open(name), 'badPath', name);
  }
  for (const name of ['out/new', 'inside/new']) assertRefused(() => served.create(name, 1), 'badPath', name);
});

test('gives no folder, no pipe, and no file that is not whole', () => {
  assertRefused(() => served.open('sub'), 'notAFile', 'a folder');
  assertRefused(() => served.open('pipe'), 'notAFile', 'a pipe');
  assertRefused(() => served.open('.wsdirect-00.part'), 'notFound', 'a part');
  assertRefused(() => served.open('absent'), 'notFound', 'absent');
  assertRefused(() => served.open('file/below'), 'notFound', 'below a file');
  assertRefused(() => served.create('sub', 1), 'notAFile', 'a folder');
  assertRefused(() => served.create('pipe', 1), 'notAFile', 'a pipe');
  assertRefused(() => served.create('.wsdirect-00.part', 1), 'notFound', 'a part');
  assertRefused(() => served.create('absent/new', 1), 'notFound', 'in no folder');
  assertRefused(() => served.create('x'.repeat(300), 1), 'badPath', 'too long');
});

test('puts a file in its place when it has ended equal, and not before or otherwise', () => {
  const before = readdirSync(root);
  const given = (name: string) => {
    const output = served.create(name, 3);
    output.write(Buffer.from('new'));
    return output;
  };
  given('file').discard();
  given('file').end(false);
  assert.equal(readFileSync(path.join(root, 'file'), 'utf8'), 'root/file');
  assert.deepEqual(readdirSync(root), before);
  const kept = given('sub/kept');
  kept.end(true);
  kept.discard();
  assert.equal(readFileSync(path.join(root, 'sub/kept'), 'utf8'), 'new');
  // What is put where a link is takes the link's place: what it named stays.
  given('link').end(true);
  assert.equal(readFileSync(path.join(folder, 'outside/file'), 'utf8'), 'outside/file');
  assert.equal(readFileSync(path.join(root, 'link'), 'utf8'), 'new');
  assert.ok(!existsSync(path.join(folder, 'outside/new')));
});

test('takes nothing too large, and nothing at all when it is read-only', () => {
  assertRefused(() => served.create('new', 101), 'tooLarge', 'too large');
  const readOnly = new ServedFolder(root, { readOnly: true, bytesMax: 100 });
  assertRefused(() => readOnly.create('new', 1), 'readOnly', 'read-only');
  assert.ok(!existsSync(path.join(root, 'new')));
});
