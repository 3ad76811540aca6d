import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { Opcode, WORK_REQUEST_FENCE, WORK_REQUEST_SOLICITED } from '../adapter.ts';
import { StreamTable } from './stream-table.ts';
import { End } from './test-end.ts';
import { FPDU_MAX } from './wire.ts';

describe('a legal exchange', () => {
  /** Sends, writes and reads in both directions. @returns everything that can be seen of it */
  const exchange = (ulpduMax: number, crc: boolean, sizes: readonly number[], table?: StreamTable) => {
    const [near, far] = [new End({ ulpduMax, crc }, table), new End({ ulpduMax, crc }, table)];
    const data = (length: number, step: number) => Uint8Array.from({ length }, (_, index) => index * step);
    const target = far.region(new Uint8Array(3000));
    const source = far.region(data(5000, 7));
    const [inbox, outbox] = [far.region(new Uint8Array(4000)), near.region(new Uint8Array(100))];
    const sinks = [near.region(new Uint8Array(1)), near.region(new Uint8Array(4999))];
    far.post(Opcode.receive, 1, [inbox]);
    near.post(Opcode.receive, 2, [outbox]);
    near.post(Opcode.rdmaWrite, 3, [near.region(data(3000, 3))], target);
    near.post(Opcode.rdmaRead, 4, sinks, source);
    near.post(Opcode.rdmaRead, 5, [sinks[1]!], source);
    near.post(Opcode.rdmaRead, 6, [sinks[0]!], source);
    near.post(Opcode.send, 7, [near.region(data(10, 1)), near.region(data(3500, 5))]);
    far.post(Opcode.send, 8, [far.region(data(100, 9))]);
    for (;;) {
      const [there, back] = [near.output(), far.output()];
      if (there.byteLength + back.byteLength === 0) break;
      // The table has another array whenever it grows, and rows of those that have ended.
      if (table !== undefined) for (let count = 0; count < 40; count++) new End({}, table);
      far.input(there, sizes);
      near.input(back, sizes);
    }
    assert.equal(near.stream.heldBytes + far.stream.heldBytes, 0);
    const bytes = [target, inbox, outbox, ...sinks].map((region) => Buffer.from(region.bytes).toString('base64'));
    // Between the two queues there is no order.
    const done = [near, far].map((end) =>
      [/^[28]|^1 /, /^[3-7]/].flatMap((own) => end.done.filter((line) => own.test(line))),
    );
    return { bytes, done, faults: [near.faults, far.faults] };
  };

  test('gives the same result however it is segmented, checksums or not [RFC 5041 5.2] [RFC 5044 4.5] [RFC 5044 5.2] [RFC 5040 5.1] [RFC 5040 5.2]', () => {
    const expected = exchange(1024, true, [FPDU_MAX]);
    assert.deepEqual(expected.done, [
      ['2 success 100', '3 success', '4 success', '5 success', '6 success', '7 success'],
      ['8 success', '1 success 3510'],
    ]);
    assert.deepEqual(expected.faults, [[], []]);
    fc.assert(
      fc.property(
        fc.integer({ min: 128, max: 1024 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 6 }),
        (ulpduMax, crc, sizes) => assert.deepEqual(exchange(ulpduMax, crc, sizes), expected),
      ),
      { numRuns: 60 },
    );
  });

  test('is the same whatever other streams of the same adapter do', () => {
    const expected = exchange(1024, true, [FPDU_MAX]);
    const table = new StreamTable();
    const others = Array.from({ length: 200 }, () => new End({}, table));
    for (const [index, other] of others.entries()) {
      other.post(Opcode.receive, index, [other.region(new Uint8Array(8))]);
      if (index % 2 === 0) other.stream.release();
    }
    for (const sizes of [[FPDU_MAX], [700], [3, 900]]) {
      assert.deepEqual(exchange(1024, true, sizes, table), expected);
    }
    for (const [index, other] of others.entries()) {
      if (index % 2 === 0) continue;
      const peer = new End({}, table);
      peer.post(Opcode.send, 0, [peer.region(new Uint8Array(8).fill(index))]);
      other.input(peer.output());
      assert.deepEqual([other.done, other.faults], [[`${index} success 8`], []]);
    }
  });
});

describe('any legal exchange', () => {
  const kinds = [Opcode.send, Opcode.rdmaWrite, Opcode.rdmaRead] as const;
  const request = fc.record({
    from: fc.constantFrom(0, 1),
    kind: fc.constantFrom(...kinds),
    lengths: fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 3 }),
    place: fc.integer({ min: 0, max: 3000 }),
    flags: fc.constantFrom(0, WORK_REQUEST_FENCE, WORK_REQUEST_SOLICITED),
  });
  type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

  /** Each end has posted a receive for each send, and both carry out their requests. @returns what can be seen of it */
  const carryOut = (requests: readonly Request[], ulpduMax: number, crc: boolean, sizes: readonly number[]) => {
    const ends = [new End({ ulpduMax, crc }), new End({ ulpduMax, crc })] as const;
    const data = (length: number, step: number) => Uint8Array.from({ length }, (_, index) => index * step + step);
    // Reads see what was written before them, so they read where nothing is written.
    const targets = ends.map((end) => end.region(new Uint8Array(6000)));
    const sources = ends.map((end, index) => end.region(data(6000, index + 3)));
    const shown: Uint8Array[] = targets.map(({ bytes }) => bytes);
    for (const [number, { from, kind, lengths, place, flags }] of requests.entries()) {
      const [own, peer] = [ends[from]!, 1 - from];
      const isRead = kind === Opcode.rdmaRead;
      const parts = lengths.map((length) =>
        own.region(isRead ? new Uint8Array(length + 1) : data(length + 1, number + 1)),
      );
      if (isRead) shown.push(...parts.map(({ bytes }) => bytes));
      if (kind === Opcode.send) {
        const inbox = ends[peer]!.region(new Uint8Array(3000));
        shown.push(inbox.bytes);
        ends[peer]!.post(Opcode.receive, 100 + number, [inbox]);
      }
      const remote = (isRead ? sources : targets)[peer]!;
      own.post(kind, number, parts, { remoteKey: remote.remoteKey, address: remote.address + place }, flags);
    }
    for (;;) {
      const [there, back] = [ends[0].output(), ends[1].output()];
      if (there.byteLength + back.byteLength === 0) break;
      ends[1].input(there, sizes);
      ends[0].input(back, sizes);
    }
    // Between the two queues there is no order.
    const done = ends.map((end) => [
      end.done.filter((line) => /^1\d\d /.test(line)),
      end.done.filter((line) => !/^1\d\d /.test(line)),
    ]);
    return {
      bytes: shown.map((bytes) => Buffer.from(bytes).toString('base64')),
      done,
      faults: ends.map(({ faults }) => faults),
    };
  };

  test('gives the same result however it is segmented [RFC 5041 5.2] [RFC 5040 5.5]', () => {
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 12 }),
        fc.integer({ min: 128, max: 1024 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
        (requests, ulpduMax, crc, sizes) => {
          const expected = carryOut(requests, 1024, true, [FPDU_MAX]);
          assert.deepEqual(expected.faults, [[], []]);
          assert.equal(
            expected.done.flat(2).filter((line) => line.includes('success')).length,
            requests.length + requests.filter(({ kind }) => kind === Opcode.send).length,
          );
          assert.deepEqual(carryOut(requests, ulpduMax, crc, sizes), expected);
        },
      ),
      { numRuns: 150 },
    );
  });
});

test('a stream of garbage holds one FPDU at most', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 20 }), (chunks) => {
      const end = new End();
      for (const chunk of chunks) {
        end.stream.receive(Buffer.from(chunk));
        assert.ok(end.stream.heldBytes <= FPDU_MAX);
      }
    }),
  );
});
