// Goal: the shim keeps its promises whatever a library's call answers: nothing leaks, hangs, or touches what isn't its own.
// Method: each use of each call fails once, over a device that is a fake, under sanitizers; and the data path is fuzzed.
// The same program runs over the kernel's devices in model-tests/guest/.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, test } from 'vitest';

import { buildFake, buildFaults, buildFuzzer, compileShim, nativeIsMissing } from './native.ts';

const FUZZ_RUNS = 20_000;

describe('the shim', () => {
  for (const compiler of ['gcc', 'clang']) {
    const missing = nativeIsMissing(compiler);
    if (missing !== null) console.log(`skipped: the shim with ${compiler}: ${missing}`);
    test.skipIf(missing !== null)(`compiles without a warning with ${compiler}`, () => compileShim(compiler));
  }

  const missing = nativeIsMissing();
  test.skipIf(missing !== null)('survives the failure of every call', () => {
    const sanitizers = 'address,undefined';
    const program = buildFaults(sanitizers);
    const env = { ...process.env, LD_LIBRARY_PATH: buildFake(sanitizers) };
    const { status, stdout, stderr } = spawnSync(program, ['10.0.0.1'], { env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const uses = new Map([...stdout.matchAll(/: (\w+): (\d+) uses/g)].map(([, name, count]) => [name, Number(count)]));
    // What returns nothing can't fail.
    const never = [...uses].filter(([, count]) => count === 0).map(([name]) => name);
    assert.deepEqual(never, [
      'rdma_ack_cm_event',
      'rdma_destroy_event_channel',
      'rdma_destroy_qp',
      'rdma_free_devices',
      'ibv_ack_async_event',
      'ibv_ack_cq_events',
      'ibv_destroy_comp_channel',
      'ibv_fork_init',
      'ibv_get_device_name',
      'ibv_is_fork_initialized',
    ]);
  });

  test.skipIf(missing !== null)('says with 77 that there is no device', () => {
    const { status } = spawnSync(buildFaults('undefined'), ['127.0.0.1'], { encoding: 'utf8' });
    assert.equal(status, 77);
  });

  const noFuzzer = nativeIsMissing('clang');
  test.skipIf(noFuzzer !== null)('hands on what is in its rings, and nothing else, whatever that is', () => {
    const { status, stderr } = spawnSync(buildFuzzer(), ['-seed=1', `-runs=${FUZZ_RUNS}`, '-max_len=4096'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr.slice(-4000));
    assert.match(stderr, new RegExp(`Done ${FUZZ_RUNS} runs`));
  });

  test('exports what its header declares', () => {
    const read = (name: string): string =>
      readFileSync(fileURLToPath(new URL(`../../native/${name}`, import.meta.url)), 'utf8');
    const declared = [...read('shim.h').matchAll(/^[a-z][\w ]*[ *](wsd_\w+)\(/gm)].map(([, name]) => name);
    const exported = [...read('shim.map').matchAll(/^\t(wsd_\w+);$/gm)].map(([, name]) => name);
    assert.deepEqual(exported.sort(), declared.sort());
  });
});
