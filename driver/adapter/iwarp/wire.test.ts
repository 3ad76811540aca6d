import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import {
  decodeHeader,
  decodeReadRequest,
  encodeHeader,
  encodeReadRequest,
  encodeStartup,
  FPDU_MAX,
  FpduReader,
  fpduBytes,
  fpduIsIntact,
  putTagged,
  putUntagged,
  READ_REQUEST_BYTES,
  type SegmentHeader,
  type StartupFrame,
  StartupReader,
  sealFpdu,
  sealFpduAround,
  TAGGED_BYTES,
  UNTAGGED_BYTES,
} from './wire.ts';
import { eachFpdu } from './test-end.ts';

/** Records with the prototype that literals have, so that they compare as equal. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const nibble = fc.integer({ min: 0, max: 15 });
const version = fc.integer({ min: 0, max: 3 });
const depth = fc.integer({ min: 0, max: 0x3fff });

const startupFrame = (kind: StartupFrame['kind']): fc.Arbitrary<StartupFrame> =>
  record({
    kind: fc.constant(kind),
    revision: fc.constantFrom(1, 2),
    markers: fc.boolean(),
    crc: fc.boolean(),
    rejected: kind === 'reply' ? fc.boolean() : fc.constant(false),
    enhanced: fc.option(
      record({
        peerToPeer: fc.boolean(),
        byEmptyFpdu: fc.boolean(),
        byWrite: fc.boolean(),
        byRead: fc.boolean(),
        incomingReads: depth,
        outgoingReads: depth,
      }),
    ),
    privateData: fc.uint8Array({ maxLength: 508 }),
  }).map((frame) => (frame.revision === 1 ? { ...frame, enhanced: null } : frame));

/** Cuts `bytes` at the given places, in any order and repeated as they may be. */
function portions(bytes: Uint8Array, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)).sort((a, b) => a - b), bytes.byteLength];
  return places.slice(1).map((end, index) => Buffer.from(bytes.subarray(places[index], end)));
}

describe('a start-up frame [RFC 5044 7.1.1] [RFC 6581 9]', () => {
  for (const kind of ['request', 'reply'] as const) {
    test(`that is a ${kind} comes back as it went, however it is cut`, () => {
      fc.assert(
        fc.property(startupFrame(kind), fc.array(fc.nat(600), { maxLength: 8 }), (frame, cuts) => {
          const reader = new StartupReader(kind);
          let found: unknown = null;
          for (const portion of portions(encodeStartup(frame), cuts)) {
            const { frame: next, taken } = reader.take(portion);
            assert.equal(taken, portion.byteLength);
            found = next ?? found;
          }
          assert.deepEqual(found, frame);
        }),
      );
    });
  }

  test.each([0, 1, 56, 508, 512])('carries %i bytes of private data', (length) => {
    const privateData = new Uint8Array(length).fill(0xa5);
    const frame = {
      kind: 'request',
      revision: 1,
      markers: false,
      crc: true,
      rejected: false,
      enhanced: null,
      privateData,
    } as const;
    const bytes = encodeStartup(frame);
    assert.equal(bytes.byteLength, 20 + length);
    assert.deepEqual(new StartupReader('request').take(bytes), { frame, taken: bytes.byteLength });
  });

  test('has the bytes that the standards show', () => {
    const bytes = encodeStartup({
      kind: 'request',
      revision: 2,
      markers: false,
      crc: true,
      rejected: false,
      enhanced: {
        peerToPeer: true,
        byEmptyFpdu: false,
        byWrite: true,
        byRead: false,
        incomingReads: 5,
        outgoingReads: 3,
      },
      privateData: Uint8Array.of(0x77),
    });
    assert.equal(Buffer.from(bytes).toString('latin1', 0, 16), 'MPA ID Req Frame');
    assert.equal(Buffer.from(bytes).toString('hex', 16), '5002000580058003' + '77');
  });

  test('has flags that mean something where they do alone: rejection in a reply, enhanced data from revision 2 on', () => {
    const plain = { markers: false, crc: false, rejected: false, enhanced: null, privateData: new Uint8Array(4) };
    for (const [kind, flags, revision] of [
      ['request', 0x20, 1],
      ['request', 0x10, 1],
      ['reply', 0x10, 1],
    ] as const) {
      const bytes = encodeStartup({ kind, revision, ...plain });
      bytes[16]! |= flags;
      const { frame } = new StartupReader(kind).take(bytes);
      assert.deepEqual(frame, { kind, revision, ...plain });
    }
  });

  test('takes 512 bytes of private data, enhanced data among them, and no more', () => {
    const frame = { kind: 'request', revision: 1, markers: false, crc: true, rejected: false, enhanced: null } as const;
    assert.equal(encodeStartup({ ...frame, privateData: new Uint8Array(512) }).byteLength, 20 + 512);
    assert.throws(() => encodeStartup({ ...frame, privateData: new Uint8Array(513) }), {
      name: 'RangeError',
      message: 'private data: 513 bytes, at most 512 fit',
    });
  });

  test('that has not begun is told from one that has', () => {
    const reader = new StartupReader('request');
    assert.ok(reader.isEmpty);
    assert.deepEqual(reader.take(Buffer.from('..MPA..'), 2, 2), { frame: null, taken: 0 });
    assert.ok(reader.isEmpty);
    assert.deepEqual(reader.take(Buffer.from('..MPA..'), 2, 5), { frame: null, taken: 3 });
    assert.ok(!reader.isEmpty);
  });

  test('leaves what follows it alone', () => {
    const bytes = encodeStartup({
      kind: 'reply',
      revision: 1,
      markers: false,
      crc: false,
      rejected: false,
      enhanced: null,
      privateData: new Uint8Array(3),
    });
    const { taken } = new StartupReader('reply').take(Buffer.concat([bytes, Buffer.from('more')]));
    assert.equal(taken, bytes.byteLength);
  });

  test('is malformed at the first wrong byte of its key, when too long, or without its enhanced data', () => {
    assert.equal(new StartupReader('request').take(Buffer.from('GET / HTTP/1.1')).frame, 'malformed');
    assert.equal(new StartupReader('request').take(Buffer.from('MPA ID Rep')).frame, 'malformed');
    const tooLong = Buffer.from('MPA ID Req Frame\x40\x01\x02\x01', 'latin1');
    assert.equal(new StartupReader('request').take(tooLong).frame, 'malformed');
    const cut = Buffer.from('MPA ID Req Frame\x50\x02\x00\x03abc', 'latin1');
    assert.equal(new StartupReader('request').take(cut).frame, 'malformed');
    assert.throws(
      () =>
        encodeStartup({
          kind: 'request',
          revision: 1,
          markers: false,
          crc: false,
          rejected: false,
          enhanced: null,
          privateData: new Uint8Array(513),
        }),
      RangeError,
    );
  });
});

describe('an FPDU [RFC 5044 4.1] [RFC 5044 4.4]', () => {
  test('is a multiple of four long, and notices every changed bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(), (ulpdu, at) => {
        const bytes = Buffer.alloc(fpduBytes(ulpdu.byteLength));
        bytes.set(ulpdu, 2);
        assert.equal(sealFpdu(bytes, 0, ulpdu.byteLength, true), bytes.byteLength);
        assert.equal(bytes.byteLength % 4, 0);
        assert.ok(fpduIsIntact(bytes));
        const place = at % (8 * bytes.byteLength);
        bytes[place >> 3]! ^= 1 << (place & 7);
        assert.ok(!fpduIsIntact(bytes));
      }),
    );
  });

  test('comes out of a stream whole, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 5 }),
        fc.array(fc.nat(16_000), { maxLength: 20 }),
        (ulpdus, cuts) => {
          const stream = Buffer.concat(
            ulpdus.map((ulpdu) => {
              const bytes = Buffer.alloc(fpduBytes(ulpdu.byteLength));
              bytes.set(ulpdu, 2);
              sealFpdu(bytes, 0, ulpdu.byteLength, true);
              return bytes;
            }),
          );
          const reader = new FpduReader();
          const found: string[] = [];
          for (const portion of portions(stream, cuts)) {
            reader.take(
              portion,
              eachFpdu((fpdu) => {
                assert.ok(fpduIsIntact(fpdu));
                found.push(fpdu.toString('hex', 2, 2 + fpdu.readUInt16BE(0)));
                return true;
              }),
            );
          }
          assert.equal(reader.heldBytes, 0);
          assert.deepEqual(
            found,
            ulpdus.map((ulpdu) => Buffer.from(ulpdu).toString('hex')),
          );
        },
      ),
    );
  });

  test.each([true, false])(
    'around a payload that lies elsewhere has the bytes of one that was copied; CRC: %s',
    (withCrc) => {
      for (const payloadBytes of [0, 1, 2, 3, 4, 7, 200]) {
        for (const headerBytes of [14, 18]) {
          const ulpdu = Buffer.from(
            Array.from({ length: headerBytes + payloadBytes }, (_, index) => 1 + (index % 255)),
          );
          const at = 5;
          const whole = Buffer.alloc(400, 0xee);
          ulpdu.copy(whole, at + 2);
          const length = sealFpdu(whole, at, ulpdu.length, withCrc);
          const around = Buffer.alloc(400, 0xee);
          ulpdu.copy(around, at + 2, 0, headerBytes);
          const payload = ulpdu.subarray(headerBytes);
          const parts = [payload.subarray(0, 1), payload.subarray(1)];
          const { before, after } = sealFpduAround(around, at, ulpdu.length, parts, payloadBytes, withCrc);
          assert.equal(before + payloadBytes + after, length);
          const end = at + before + after;
          const sent = [around.subarray(at, at + before), ...parts, around.subarray(at + before, end)];
          assert.deepEqual(Buffer.concat(sent), whole.subarray(at, at + length));
          // Nothing else is touched.
          assert.ok([...around.subarray(0, at), ...around.subarray(end)].every((byte) => byte === 0xee));
        }
      }
    },
  );

  test('is read from a part of a portion; memory for a piece of it is bounded', () => {
    const ulpduBytes = 3000;
    const fpdu = Buffer.alloc(fpduBytes(ulpduBytes), 7);
    sealFpdu(fpdu, 0, ulpduBytes, true);
    const portion = Buffer.concat([Buffer.alloc(3, 0xff), fpdu, fpdu.subarray(0, 1), Buffer.alloc(9, 0xff)]);
    const reader = new FpduReader();
    const found: number[] = [];
    const use = (bytes: Buffer, at: number, length: number): boolean => {
      assert.ok(fpduIsIntact(bytes, at, length));
      found.push(length);
      return true;
    };
    reader.take(portion, use, 3, 3 + fpdu.length + 1);
    assert.deepEqual([found, reader.heldBytes], [[fpdu.length], 1]);
    reader.take(fpdu, use, 1, 2000);
    assert.deepEqual([found.length, reader.heldBytes, reader.memoryBytes], [1, 2000, 4096]);
    reader.take(fpdu, use, 2000);
    assert.deepEqual([found, reader.heldBytes], [[fpdu.length, fpdu.length], 0]);
    // The largest, in the smallest portions.
    const largest = Buffer.alloc(fpduBytes(0xffff), 1);
    sealFpdu(largest, 0, 0xffff, true);
    for (let at = 0; at < largest.length; at += 1000)
      reader.take(largest, use, at, Math.min(at + 1000, largest.length));
    assert.deepEqual([found.at(-1), reader.memoryBytes], [largest.length, FPDU_MAX]);
  });

  test('stops the reader when its user says so', () => {
    const two = Buffer.alloc(2 * fpduBytes(0));
    let count = 0;
    new FpduReader().take(two, () => {
      count++;
      return false;
    });
    assert.equal(count, 1);
  });
});

describe('a segment header [RFC 5041 4.1] [RFC 5041 4.2] [RFC 5041 4.3] [RFC 5040 4.1]', () => {
  const common = { last: fc.boolean(), ddpVersion: version, rdmapVersion: version, opcode: nibble };
  const header: fc.Arbitrary<SegmentHeader> = fc.oneof(
    record({
      tagged: fc.constant(true as const),
      ...common,
      stag: uint32,
      offsetHigh: uint32,
      offsetLow: uint32,
    }),
    record({
      tagged: fc.constant(false as const),
      ...common,
      invalidates: uint32,
      queue: uint32,
      message: uint32,
      offset: uint32,
    }),
  );

  test('comes back as it went', () => {
    fc.assert(
      fc.property(header, (given) => {
        const bytes = Buffer.alloc(32);
        const length = encodeHeader(given, bytes, 0);
        assert.equal(length, given.tagged ? TAGGED_BYTES : UNTAGGED_BYTES);
        assert.deepEqual(decodeHeader(bytes.subarray(0, length)), given);
        assert.equal(decodeHeader(bytes.subarray(0, length - 1)), null);
      }),
    );
  });

  test('is written the same without an object', () => {
    fc.assert(
      fc.property(uint32, uint32, uint32, uint32, nibble, (stag, high, low, position, opcode) => {
        const one = Buffer.alloc(TAGGED_BYTES);
        const two = Buffer.alloc(TAGGED_BYTES);
        putTagged(one, 0, true, opcode, stag, high, low, position);
        const offset = BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(low) + BigInt(position));
        const [offsetHigh, offsetLow] = [Number(offset >> 32n), Number(offset & 0xffff_ffffn)];
        encodeHeader(
          { tagged: true, last: true, ddpVersion: 1, rdmapVersion: 1, opcode, stag, offsetHigh, offsetLow },
          two,
          0,
        );
        assert.deepEqual(one, two);
      }),
    );
    fc.assert(
      fc.property(uint32, uint32, uint32, nibble, uint32, (queue, message, offset, opcode, invalidates) => {
        const last = (offset & 1) === 0;
        const one = Buffer.alloc(UNTAGGED_BYTES);
        const two = Buffer.alloc(UNTAGGED_BYTES);
        putUntagged(one, 0, last, opcode, queue, message, offset, invalidates);
        encodeHeader(
          {
            tagged: false,
            last,
            ddpVersion: 1,
            rdmapVersion: 1,
            opcode,
            invalidates,
            queue,
            message,
            offset,
          },
          two,
          0,
        );
        assert.deepEqual(one, two);
      }),
    );
  });
});

test('a read request comes back as it went [RFC 5040 4.4]', () => {
  fc.assert(
    fc.property(
      record({
        sinkStag: uint32,
        sinkOffsetHigh: uint32,
        sinkOffsetLow: uint32,
        length: uint32,
        sourceStag: uint32,
        sourceOffsetHigh: uint32,
        sourceOffsetLow: uint32,
      }),
      (given) => {
        const bytes = Buffer.alloc(READ_REQUEST_BYTES);
        encodeReadRequest(given, bytes, 0);
        assert.deepEqual(decodeReadRequest(bytes), given);
      },
    ),
  );
});
