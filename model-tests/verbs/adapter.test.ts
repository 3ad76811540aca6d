// Goal: the verbs adapter keeps its promises over devices that behave as hardware may and the guest's devices do not.
// Method: stories over a device that is a fake, native/test/fake.c, each in a process of its own.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { describe, test } from 'vitest';

import { buildFake, nativeIsMissing } from './native.ts';

const program = fileURLToPath(new URL('over-fake.ts', import.meta.url));

function tell(story: string): void {
  const env = { ...process.env, LD_LIBRARY_PATH: buildFake('') };
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, story], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'told\n');
}

const missing = nativeIsMissing();
if (missing !== null) console.log(`skipped: the verbs adapter over a fake device: ${missing}`);
describe.skipIf(missing !== null)('the verbs adapter', { timeout: 90_000 }, () => {
  test('tells of a lost completion queue to those that have it', () => tell('a lost completion queue'));
  test('tells of what had succeeded, however late', () => tell('a device that flushes late'));
  test('flushes itself what a device does not', () => tell('a device that keeps what is posted in error'));
  test('says why a work request was refused', () => tell('a refused work request'));
});
