import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { Opcode } from '../adapter.ts';
import { roomFor } from './stream.ts';
import { End } from './test-end.ts';

const ULPDU = 16_384;
const buffer = (): Buffer => Buffer.alloc(4 * roomFor(ULPDU));
const filled = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index * 7);

/** One output in parts. */
function parts(end: End, into = buffer()): Uint8Array[] {
  const found: Uint8Array[] = [];
  end.stream.produce(into, found);
  return found;
}

/** Sends and RDMA writes of these sizes, the same at each call. */
function posted(sizes: readonly number[], crc: boolean): End {
  const end = new End({ ulpduMax: ULPDU, crc });
  for (const [context, size] of sizes.entries()) {
    const first = Math.ceil(size / 3);
    const [left, right] = [filled(first), filled(size - first)].map((bytes) =>
      bytes.length === 0 ? null : end.region(bytes),
    );
    const elements = [left, right].filter((region) => region !== null && region !== undefined);
    if (context % 2 === 0) end.post(Opcode.send, context, elements);
    else end.post(Opcode.rdmaWrite, context, elements, { remoteKey: 5, address: 4096 });
  }
  return end;
}

describe('output in parts', () => {
  test('is the same bytes as output in one, of any sizes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(64), fc.integer({ min: 4000, max: 100_000 })), { maxLength: 8 }),
        fc.boolean(),
        (sizes, crc) => {
          const [whole, apart] = [posted(sizes, crc), posted(sizes, crc)];
          const expected: Buffer[] = [];
          while (whole.stream.hasOutput) {
            const into = buffer();
            expected.push(into.subarray(0, whole.stream.produce(into)));
          }
          const found: Uint8Array[] = [];
          while (apart.stream.hasOutput) {
            found.push(...parts(apart));
            apart.stream.outputTaken();
          }
          assert.ok(Buffer.concat(found).equals(Buffer.concat(expected)));
          assert.deepEqual(apart.done, whole.done);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('refers to large memory and copies small', () => {
    const end = posted([20_000], false);
    // A header, the first element, some of the second; and what is left of that with its headers, copied.
    assert.equal(parts(end).length, 4);
    assert.equal(parts(posted([64], false)).length, 1);
  });

  test('completes nothing whose memory is in it, nor what follows, until it is taken', () => {
    const end = posted([64, 20_000, 64], true);
    parts(end);
    assert.deepEqual(end.done, ['0 success']);
    assert.equal(end.stream.refersToMemory, true);
    end.stream.outputTaken();
    assert.deepEqual(end.done, ['0 success', '1 success', '2 success']);
    assert.equal(end.stream.refersToMemory, false);
  });

  test('a message in several outputs is complete with the last', () => {
    const end = posted([200_000], false);
    parts(end);
    assert.ok(end.stream.hasOutput);
    parts(end);
    assert.ok(!end.stream.hasOutput);
    end.stream.outputTaken();
    assert.deepEqual(end.done, []);
    end.stream.outputTaken();
    assert.deepEqual(end.done, ['0 success']);
  });

  test('flushed, what TCP refers to and what follows it completes when it is taken', () => {
    const end = posted([64, 20_000, 64], true);
    parts(end);
    end.stream.flush();
    assert.deepEqual(end.done, ['0 success']);
    end.post(Opcode.send, 3, [end.region(filled(10))]);
    assert.deepEqual(end.done, ['0 success']);
    end.stream.outputTaken();
    assert.deepEqual(end.done.slice(1), ['1 flushed', '2 flushed', '3 flushed']);
  });

  test('what cannot be sent behind it ends after it', () => {
    const end = posted([20_000], true);
    const gone = end.region(filled(20_000));
    end.post(Opcode.send, 1, [gone]);
    end.post(Opcode.send, 2, [end.region(filled(8))]);
    end.memory.deregister(gone.id);
    parts(end);
    assert.deepEqual(end.done, []);
    assert.equal(end.faults.length, 1);
    end.stream.outputTaken();
    assert.deepEqual(end.done, ['0 flushed', '1 localProtection', '2 flushed']);
  });

  test('a read is never answered by reference: its memory may be taken back at any time', () => {
    const end = new End({ ulpduMax: ULPDU });
    const peer = new End({ ulpduMax: ULPDU });
    const source = end.region(filled(50_000));
    peer.post(Opcode.rdmaRead, 0, [peer.region(new Uint8Array(50_000))], source);
    const asked = buffer();
    end.input(asked.subarray(0, peer.stream.produce(asked)));
    const into = buffer();
    for (const part of parts(end, into)) assert.equal(part.buffer, into.buffer);
    assert.equal(end.stream.refersToMemory, false);
  });
});
