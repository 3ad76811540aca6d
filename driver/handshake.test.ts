import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  announcesMove,
  CONNECTION_ID_BYTES,
  decodeHandshake,
  decodeReject,
  encodeHandshake,
  encodeMailbox,
  encodeReject,
  type Handshake,
  MAILBOX_BYTES,
  sameBytes,
} from './handshake.ts';

const id = Uint8Array.from({ length: CONNECTION_ID_BYTES }, (_, index) => index + 1);
const handshake: Handshake = {
  reattach: true,
  reattachPort: 0x1234,
  mailboxAddress: 0x12_3456_789a,
  mailboxKey: 0xfedc_ba98,
  connectionId: id,
};
/** `bytes` with another value at `at`. */
const altered = (bytes: Uint8Array, at: number, value: number): Uint8Array => bytes.with(at, value) as Uint8Array;

describe('a handshake', () => {
  const bytes = encodeHandshake(handshake);

  test('is read as it was written, with whatever comes behind it', () => {
    assert.deepEqual(decodeHandshake(bytes), handshake);
    assert.deepEqual(decodeHandshake(Uint8Array.from([...bytes, 1, 2, 3])), handshake);
    assert.equal(decodeHandshake(encodeHandshake({ ...handshake, reattach: false }))?.reattach, false);
  });

  test('is none when it is too short, or magic, version or kind is another', () => {
    assert.equal(decodeHandshake(bytes.subarray(0, bytes.length - 1)), null);
    for (const at of [0, 1, 2, 3]) assert.equal(decodeHandshake(altered(bytes, at, 0xee)), null, `byte ${at}`);
    assert.equal(decodeHandshake(altered(bytes, 4, 2)), null);
    assert.equal(decodeHandshake(altered(bytes, 5, 2)), null);
  });

  test('names no address beyond what a number holds', () => {
    const last = encodeHandshake({ ...handshake, mailboxAddress: Number.MAX_SAFE_INTEGER });
    assert.equal(decodeHandshake(last)?.mailboxAddress, Number.MAX_SAFE_INTEGER);
    new DataView(last.buffer).setBigUint64(8, BigInt(Number.MAX_SAFE_INTEGER) + 1n, true);
    assert.equal(decodeHandshake(last), null);
  });
});

describe('a rejection', () => {
  const bytes = encodeReject(7);

  test('is read as it was written', () => {
    assert.equal(bytes.length, 6);
    assert.equal(decodeReject(bytes), 7);
    assert.equal(decodeReject(Uint8Array.from([...bytes, 9])), 7);
  });

  test("is not a provider's when it is too short, or magic or version is another", () => {
    assert.equal(decodeReject(bytes.subarray(0, 5)), null);
    for (const at of [0, 1, 2, 3]) assert.equal(decodeReject(altered(bytes, at, 0xee)), null, `byte ${at}`);
    assert.equal(decodeReject(altered(bytes, 4, 2)), null);
  });
});

describe('a mailbox', () => {
  test('says of one connection that it moves', () => {
    const mailbox = new Uint8Array(MAILBOX_BYTES).fill(0xff);
    encodeMailbox(mailbox, id);
    assert.deepEqual([...mailbox.subarray(0, 16)], [1, ...new Array<number>(15).fill(0)]);
    assert.equal(announcesMove(mailbox, id), true);
    assert.equal(announcesMove(mailbox, id.with(15, 0)), false);
    assert.equal(announcesMove(mailbox.with(0, 0), id), false);
  });
});

test('bytes are the same when they are as many and equal', () => {
  assert.equal(sameBytes(id, id.slice()), true);
  assert.equal(sameBytes(id.subarray(0, 15), id), false);
  assert.equal(sameBytes(id, id.subarray(0, 15)), false);
  assert.equal(sameBytes(id.with(3, 0), id), false);
});
