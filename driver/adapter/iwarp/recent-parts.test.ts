import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { RecentParts } from './recent-parts.ts';

describe('parts of buffers', () => {
  const bytes = Buffer.from('abcdefgh');
  const other = Buffer.from('abcdefgh');

  test('are views of what they are parts of', () => {
    const parts = new RecentParts();
    for (const [from, end] of [
      [0, 8],
      [2, 5],
      [0, 8],
      [3, 3],
      [2, 5],
    ] as const) {
      const part = parts.of(bytes, from, end);
      assert.equal(part.buffer, bytes.buffer);
      assert.deepEqual([part.byteOffset - bytes.byteOffset, part.byteLength], [from, end - from]);
    }
  });

  test('differ when buffer, start or end do', () => {
    for (const [of, from, end] of [
      [other, 2, 6],
      [bytes, 1, 6],
      [bytes, 2, 7],
    ] as const) {
      const parts = new RecentParts();
      const [first, second] = [parts.of(bytes, 2, 6), parts.of(of, from, end)];
      assert.notEqual(first, second);
      // Whichever of the two was asked for last.
      for (const _ of [1, 2]) {
        assert.equal(parts.of(bytes, 2, 6), first);
        assert.equal(parts.of(bytes, 2, 6), first);
        assert.equal(parts.of(of, from, end), second);
        assert.equal(parts.of(of, from, end), second);
      }
    }
  });

  test('are made once for two that ask in turns, and again after a third', () => {
    const parts = new RecentParts();
    const [first, second] = [parts.of(bytes, 0, 4), parts.of(other, 0, 4)];
    assert.notEqual(first, second);
    for (let turn = 0; turn < 3; turn++) {
      assert.equal(parts.of(bytes, 0, 4), first);
      assert.equal(parts.of(other, 0, 4), second);
    }
    parts.of(bytes, 1, 4);
    assert.equal(parts.of(other, 0, 4), second);
    assert.notEqual(parts.of(bytes, 0, 4), first);
  });
});
