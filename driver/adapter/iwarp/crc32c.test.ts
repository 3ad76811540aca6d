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
    // Tiny pieces, and others before and after the first large one, are each made another way.
    const inPieces = (bytes: Buffer, size: number): number => {
      let checksum = 0;
      for (let at = 0; at < bytes.byteLength; at += size) {
        checksum = crc32c(bytes, checksum, at, Math.min(at + size, bytes.byteLength));
      }
      return checksum;
    };
    assert.equal(inPieces(memory, 3000), inPieces(memory, 100));
    const lengths = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 150_000 }));
    fc.assert(
      fc.property(fc.nat(50_000), lengths, fc.nat(), (from, length, cut) => {
        const bytes = memory.subarray(from, from + length);
        const at = cut % length;
        const expected = inPieces(bytes, 4096);
        assert.equal(inPieces(bytes, 1 + (cut % 200)), expected);
        assert.equal(crc32c(bytes), expected);
        assert.equal(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at))), expected);
      }),
      { numRuns: 200 },
    );
  });
});
