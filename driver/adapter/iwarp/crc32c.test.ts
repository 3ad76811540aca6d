import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { crc32c } from './crc32c.ts';

describe('CRC32C', () => {
  test('has the published values [RFC 5044 4.4]', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283);
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a91_36aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8_ab43);
  });

  test('is the same in one piece and in parts, of any sizes and wherever they lie', () => {
    const memory = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
    // Small pieces are another library's.
    const inSmall = (bytes: Buffer): number => {
      let checksum = 0;
      for (let at = 0; at < bytes.byteLength; at += 4096) checksum = crc32c(bytes.subarray(at, at + 4096), checksum);
      return checksum;
    };
    fc.assert(
      fc.property(fc.nat(50_000), fc.integer({ min: 1, max: 150_000 }), fc.nat(), (from, length, cut) => {
        const bytes = memory.subarray(from, from + length);
        const at = cut % length;
        const expected = inSmall(bytes);
        assert.equal(crc32c(bytes), expected);
        assert.equal(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at))), expected);
      }),
      { numRuns: 200 },
    );
  });
});
