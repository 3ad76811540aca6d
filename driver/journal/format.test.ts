// Goal: the bytes of a journal are those that the format says, whoever writes them; metadata that can't be read back is
// never written.

import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';

import { describe, test } from 'vitest';

import {
  blockCrc,
  DETAIL_EVENT_ID,
  DIGEST_BYTES,
  encodeFileHeader,
  encodeSnapshot,
  encodeTrailer,
  HeadBytes,
  isDetail,
  JournalError,
  type JournalMetadata,
  parseMetadata,
  RECORD_WORDS,
  roundUp,
  sealSegment,
  wordsAt,
} from './format.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const metadata: JournalMetadata = {
  machinesDigest: 'c0ffee',
  limits: { socketCountMax: 64 },
  createdBy: 'format.test.ts',
  adapter: 'simulated',
  host: 'größer',
  base: 'empty',
};

/** A block's head without its CRC, and its payload; its CRC is found to be zlib's of both. */
function taken(block: Uint8Array, headBytes: number): [head: string, payload: string] {
  const head = block.subarray(0, headBytes - 4);
  const payload = block.subarray(headBytes);
  const kept = new DataView(block.buffer, block.byteOffset).getUint32(headBytes - 4, true);
  assert.equal(kept, crc32(payload, crc32(head)));
  assert.equal(kept, blockCrc(block, headBytes));
  return [hex(head), hex(payload)];
}

describe('a block', () => {
  test('WSDJ: version, its length, and metadata as JSON in UTF-8 with spaces behind', () => {
    const block = encodeFileHeader(metadata);
    const json = Buffer.from(JSON.stringify(metadata), 'utf8');
    const padding = (4 - (json.length % 4)) % 4;
    assert.notEqual(padding, 0);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(block.length);
    assert.deepEqual(taken(block, HeadBytes.file), [
      `${hex(Buffer.from('WSDJ'))}01000000${hex(length)}`,
      hex(json) + '20'.repeat(padding),
    ]);
  });

  test('SNAP: sequence in 64 bits, length, and bytes with zeros behind', () => {
    const block = encodeSnapshot(0x12_3456_789a, Uint8Array.of(1, 2, 3, 4, 5));
    assert.deepEqual(taken(block, HeadBytes.snapshot), [
      `${hex(Buffer.from('SNAP'))}9a7856341200000005000000`,
      '0102030405000000',
    ]);
  });

  test('SEGM: index, sequence in 64 bits, count, and the words of its records', () => {
    const words = new Uint32Array(HeadBytes.segment / 4 + 3 * RECORD_WORDS).fill(0xdead_beef);
    words.set(
      Array.from({ length: RECORD_WORDS }, (_, index) => 0x0102_0300 + index),
      HeadBytes.segment / 4,
    );
    const block = sealSegment(words, 7, 0x12_3456_789a, 1);
    assert.deepEqual(taken(block, HeadBytes.segment), [
      `${hex(Buffer.from('SEGM'))}070000009a7856341200000001000000`,
      Array.from({ length: RECORD_WORDS }, (_, index) => `0${index}030201`).join(''),
    ]);
  });

  test('TAIL: count in 64 bits, and the digest', () => {
    const digest = Uint8Array.from({ length: DIGEST_BYTES }, (_, index) => index);
    assert.deepEqual(taken(encodeTrailer(2 ** 32 + 3, digest), HeadBytes.trailer), [
      `${hex(Buffer.from('TAIL'))}0300000001000000`,
      hex(digest),
    ]);
  });
});

test('a detail is told by the low half of word 0 alone', () => {
  assert.equal(isDetail(DETAIL_EVENT_ID), true);
  assert.equal(isDetail(0x0002_ffff), true);
  assert.equal(isDetail(0xffff_fffe), false);
  assert.equal(isDetail(0), false);
});

test('payloads are multiples of four bytes', () => {
  assert.deepEqual([0, 1, 3, 4, 5, 8].map(roundUp), [0, 4, 4, 4, 8, 8]);
});

test('words are read little-endian, in place where they lie on a word', () => {
  const memory = new Uint8Array(20);
  for (const offset of [0, 1, 4, 6]) {
    memory.set([1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc], offset + 4);
    const words = wordsAt(memory.subarray(4), offset, 2);
    assert.deepEqual([...words], [0x0403_0201, 0xfcfd_feff]);
    assert.equal(words.buffer === memory.buffer, offset % 4 === 0, `offset ${offset}`);
  }
});

describe('metadata', () => {
  test('are read as they were written, with a seed and a time or without', () => {
    const more = { ...metadata, seed: 7, startedAt: '2026-01-01T00:00:00.000Z', base: 'snapshot' } as const;
    for (const each of [metadata, more]) assert.deepEqual(parseMetadata(JSON.stringify(each)), each);
  });

  test.each([
    ['machinesDigest', 7, '7'],
    ['machinesDigest', 'xyz', '"xyz"'],
    ['machinesDigest', 'c0ffee ', '"c0ffee "'],
    ['machinesDigest', ' c0ffee', '" c0ffee"'],
    ['machinesDigest', undefined, 'nothing'],
    ['limits', null, 'null'],
    ['limits', 'many', '"many"'],
    ['limits', { some: 1, socketCountMax: '64' }, '{"some":1,"socketCountMax":"64"}'],
    ['createdBy', undefined, 'nothing'],
    ['adapter', 1, '1'],
    ['host', null, 'null'],
    ['seed', 'seven', '"seven"'],
    ['startedAt', 0, '0'],
    ['base', 'middle', '"middle"'],
  ])("can't have %s %j: it is named", (field, value, shown) => {
    assert.throws(
      () => parseMetadata(JSON.stringify({ ...metadata, [field]: value })),
      (error) => error instanceof JournalError && error.message === `journal metadata: ${field} can't be ${shown}`,
    );
  });

  test.each(['', '{', 'undefined'])("can't be read from '%s'", (json) => {
    assert.throws(
      () => parseMetadata(json),
      (error) =>
        error instanceof JournalError &&
        error.message === 'journal metadata is not JSON' &&
        error.cause instanceof SyntaxError,
    );
  });

  test.each(['null', '7', '[]'])("can't be %s", (json) => {
    assert.throws(() => parseMetadata(json), { name: 'JournalError', message: /machinesDigest can't be nothing/ });
  });

  test('that JSON would change are not written', () => {
    assert.throws(() => encodeFileHeader({ ...metadata, limits: { socketCountMax: Infinity } }), {
      name: 'JournalError',
      message: `journal metadata: limits can't be {"socketCountMax":null}`,
    });
  });
});
