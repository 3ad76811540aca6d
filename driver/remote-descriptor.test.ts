// Goal: a descriptor of remote memory has the layout of the specification's 8.3, and what has not that layout is none.

import { strict as assert } from 'node:assert';
import { test } from 'vitest';
import {
  decodeDescriptor,
  encodeDescriptor,
  REMOTE_DESCRIPTOR_BYTES,
  type RemoteDescriptor,
} from './remote-descriptor.ts';

const descriptor: RemoteDescriptor = {
  access: 3,
  address: 0x12_3456_789a,
  length: 0x8765_4321,
  key: 0xfedc_ba98,
  id: 0xffee_ddcc_bbaa_9988n,
};
const encoded = (change: Partial<RemoteDescriptor> = {}): Uint8Array => encodeDescriptor({ ...descriptor, ...change });

test('a descriptor is 32 bytes, each field little-endian at its place', () => {
  assert.equal(
    Buffer.from(encoded()).toString('hex'),
    '57534452' + '0100' + '0300' + '9a78563412000000' + '21436587' + '98badcfe' + '8899aabbccddeeff',
  );
});

test('a descriptor is read as it was written, wherever it stands', () => {
  assert.deepEqual(decodeDescriptor(encoded(), REMOTE_DESCRIPTOR_BYTES), descriptor);
  const memory = new Uint8Array(100).fill(0xff);
  memory.set(encoded(), 7);
  assert.deepEqual(decodeDescriptor(memory.subarray(7), REMOTE_DESCRIPTOR_BYTES), descriptor);
});

test('what is not 32 bytes is no descriptor', () => {
  assert.equal(decodeDescriptor(null, REMOTE_DESCRIPTOR_BYTES), null);
  assert.equal(decodeDescriptor('x'.repeat(32) as never, REMOTE_DESCRIPTOR_BYTES), null);
  assert.equal(decodeDescriptor(encoded().subarray(0, 31), REMOTE_DESCRIPTOR_BYTES), null);
  for (const length of [0, 31, 33]) assert.equal(decodeDescriptor(new Uint8Array([...encoded(), 0]), length), null);
});

test('what has another magic or version is no descriptor', () => {
  for (const at of [0, 1, 2, 3, 4, 5]) {
    assert.equal(decodeDescriptor(encoded().with(at, 0xee), REMOTE_DESCRIPTOR_BYTES), null, `byte ${at}`);
  }
});

test('access is to read, to write, or both', () => {
  for (const access of [1, 2, 3]) {
    assert.equal(decodeDescriptor(encoded({ access }), REMOTE_DESCRIPTOR_BYTES)?.access, access);
  }
  for (const access of [0, 4, 0x100])
    assert.equal(decodeDescriptor(encoded({ access }), REMOTE_DESCRIPTOR_BYTES), null);
});

test('an address is no more than what a number holds', () => {
  const last = encoded({ address: Number.MAX_SAFE_INTEGER });
  assert.equal(decodeDescriptor(last, REMOTE_DESCRIPTOR_BYTES)?.address, Number.MAX_SAFE_INTEGER);
  new DataView(last.buffer).setBigUint64(8, BigInt(Number.MAX_SAFE_INTEGER) + 1n, true);
  assert.equal(decodeDescriptor(last, REMOTE_DESCRIPTOR_BYTES), null);
});
