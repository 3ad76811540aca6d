// Goal: an address goes into eight words and comes out as it was, and the words are where the layout has them.

import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { DetailKind, detailWords, readDetail } from './detail.ts';
import { isDetail } from './format.ts';

const read = (words: readonly number[]) => readDetail((index) => words[index]!);

describe('a detail', () => {
  test('of IPv4 has its address in the last four of 16 bytes', () => {
    const address = { family: 'IPv4', address: '10.1.2.255', port: 0xfffe } as const;
    const words = detailWords(DetailKind.remoteAddress, 7, address);
    assert.deepEqual(words, [0x0002_ffff, 7, 0, 0, 0, 0x0a01_02ff, 0xfffe, 0]);
    assert.ok(isDetail(words[0]!));
    assert.deepEqual(read(words), { kind: DetailKind.remoteAddress, row: 7, address });
  });

  test('of IPv6 has all 16 bytes, in network order', () => {
    const address = { family: 'IPv6', address: 'fd00::1:8000:2:3', port: 1 } as const;
    const words = detailWords(DetailKind.localAddress, 0, address);
    assert.deepEqual(words, [0x0001_ffff, 0, 0xfd00_0000, 0, 0x0001_8000, 0x0002_0003, 0x1_0001, 0]);
    assert.deepEqual(read(words), { kind: DetailKind.localAddress, row: 0, address });
  });

  test('of every kind is told from the others', () => {
    const address = { family: 'IPv4', address: '0.0.0.0', port: 0 } as const;
    for (const kind of [1, 2, 0x7fff]) assert.equal(read(detailWords(kind, 1, address)).kind, kind);
    assert.equal(new Set(Object.values(DetailKind)).size, Object.keys(DetailKind).length);
  });
});
