// Goal: no input makes the iWARP core throw, hold more than it may, spin, or touch memory that it has no right to.
// Method: the inputs that fuzzing left, and random ones, through the fuzzer's own harness. `npm run fuzz` finds new ones.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';

import { readCorpus } from './corpus.ts';
import { run } from './harness.ts';

describe('the iWARP core under whatever comes', () => {
  test('holds with every input that fuzzing left, which reach every opcode, error and end', () => {
    const inputs = readCorpus();
    assert.ok(inputs.length > 50, 'the corpus is there');
    const features = new Set<string>();
    for (const input of inputs) run(input, (name) => features.add(name));
    const missing = [
      ...['connectRequest', 'established', 'disconnected', 'rejected', 'connectFailed', 'withdrawn'].map(
        (event) => `event ${event}`,
      ),
      'completed 1 0 true',
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((opcode) => `sent ${opcode} true`),
      ...[0, 1, 2, 3].map((opcode) => `completed ${opcode} 0 false`),
    ].filter((feature) => !features.has(feature));
    assert.deepEqual(missing, []);
  });

  test('holds with random inputs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (input) => run(input)),
      { numRuns: 3000 },
    );
  });
});
