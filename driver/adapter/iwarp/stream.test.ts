import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { CompletionStatus, MemoryAccess, Opcode, WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';
import { MemoryTable } from './memory.ts';
import { roomFor, Stream } from './stream.ts';
import {
  decodeTerminate,
  encodeHeader,
  encodeReadRequest,
  encodeTerminate,
  FPDU_MAX,
  fpduBytes,
  RdmapOpcode,
  type SegmentHeader,
  sealFpdu,
  Terminate,
  type TerminateCode,
  type TerminateMessage,
} from './wire.ts';

const ALL = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;

/** An open stream that has its memory and remembers what it was told. */
class End {
  readonly memory = new MemoryTable(1);
  readonly domain = this.memory.allocateDomain();
  readonly done: string[] = [];
  readonly faults: TerminateCode[] = [];
  terminated: TerminateMessage | null = null;
  readonly stream: Stream;

  constructor(settings: { ulpduMax?: number; crc?: boolean; reads?: number } = {}) {
    this.stream = new Stream(
      {
        fpduArrived: () => {},
        faulted: (code) => {
          this.faults.push(code);
          this.stream.terminate(code);
          this.stream.flush();
        },
        terminated: (message) => {
          this.terminated = message;
          this.stream.flushRefused(message);
        },
        complete: (context, status, bytes, opcode) => {
          const name = Object.entries(CompletionStatus).find(([, number]) => number === status)![0];
          this.done.push(`${context} ${name}${opcode === Opcode.receive ? ` ${bytes}` : ''}`);
        },
      },
      this.memory,
      this.domain,
      {
        depths: { send: 16, receive: 16 },
        ulpduMax: settings.ulpduMax ?? 1024,
        incomingReadsMax: settings.reads ?? 2,
      },
    );
    this.stream.open(settings.crc ?? true, settings.reads ?? 2);
    this.stream.permitSending();
  }

  region(bytes: Uint8Array, access: number = ALL, domain: number = this.domain) {
    const region = this.memory.register(domain, bytes, access);
    assert.ok(typeof region !== 'number');
    return { ...region, bytes };
  }

  post(
    opcode: number,
    context: number,
    parts: readonly ReturnType<End['region']>[],
    remote?: { remoteKey: number; address: number },
  ) {
    const words = new Uint32Array(WORK_REQUEST_WORDS);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.context] = context;
    words[WorkRequestField.elementCount] = parts.length;
    words[WorkRequestField.remoteKey] = remote?.remoteKey ?? 0;
    words[WorkRequestField.remoteAddressLow] = remote?.address ?? 0;
    for (const [index, { localKey, address, bytes }] of parts.entries()) {
      words.set([localKey, bytes.byteLength, address, 0], WorkRequestField.elements + 4 * index);
    }
    assert.ok(this.stream.post(words, 0, opcode));
  }

  /** All that it has to send. */
  output(): Buffer {
    const found: Buffer[] = [];
    while (this.stream.hasOutput) {
      const buffer = Buffer.alloc(roomFor(1024) * 3);
      found.push(buffer.subarray(0, this.stream.produce(buffer)));
    }
    return Buffer.concat(found);
  }

  /** Takes `bytes` in portions of the given sizes, over and over. */
  input(bytes: Buffer, sizes: readonly number[] = [FPDU_MAX]): void {
    for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
      const size = sizes[turn % sizes.length]!;
      this.stream.receive(bytes.subarray(at, at + size));
      at += size;
    }
  }
}

function fpdu(header: SegmentHeader | null, payload: Uint8Array = new Uint8Array(0), raw?: Uint8Array): Buffer {
  const into = Buffer.alloc(FPDU_MAX);
  let length = 0;
  if (header !== null) length = encodeHeader(header, into, 2);
  into.set(raw ?? payload, 2 + length);
  length += (raw ?? payload).byteLength;
  return into.subarray(0, sealFpdu(into, 0, length, true));
}

const untagged = (header: Partial<SegmentHeader & { tagged: false }>): SegmentHeader => ({
  tagged: false,
  last: true,
  ddpVersion: 1,
  rdmapVersion: 1,
  opcode: RdmapOpcode.send,
  invalidates: 0,
  queue: 0,
  message: 1,
  offset: 0,
  ...header,
});
const tagged = (header: Partial<SegmentHeader & { tagged: true }>): SegmentHeader => ({
  tagged: true,
  last: true,
  ddpVersion: 1,
  rdmapVersion: 1,
  opcode: RdmapOpcode.rdmaWrite,
  stag: 0,
  offset: 0n,
  ...header,
});

describe('a legal exchange', () => {
  /** Sends, writes and reads in both directions. @returns everything that can be seen of it */
  const exchange = (ulpduMax: number, crc: boolean, sizes: readonly number[]) => {
    const [near, far] = [new End({ ulpduMax, crc }), new End({ ulpduMax, crc })];
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

  test('gives the same result however it is segmented, checksums or not', () => {
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
});

describe('Terminate', () => {
  const cases: readonly [string, TerminateCode, (end: End) => Buffer][] = [
    [
      'a wrong checksum',
      Terminate.crc,
      () => {
        const bytes = fpdu(untagged({}), Buffer.from('hello'));
        bytes[bytes.byteLength - 1]! ^= 1;
        return bytes;
      },
    ],
    ['a segment without a header', Terminate.ddpCatastrophic, () => fpdu(null, undefined, Buffer.from('abc'))],
    ['DDP of another version, tagged', Terminate.taggedVersion, () => fpdu(tagged({ ddpVersion: 2 }))],
    ['DDP of another version', Terminate.untaggedVersion, () => fpdu(untagged({ ddpVersion: 0 }))],
    ['RDMAP of another version', Terminate.rdmapVersion, () => fpdu(untagged({ rdmapVersion: 0 }))],
    ['an unknown opcode', Terminate.unexpectedOpcode, () => fpdu(untagged({ opcode: 9 }))],
    ['a tagged send', Terminate.unexpectedOpcode, () => fpdu(tagged({ opcode: RdmapOpcode.send }))],
    ['a send in the queue of reads', Terminate.unexpectedOpcode, () => fpdu(untagged({ queue: 1 }))],
    ['a queue that is not there', Terminate.untaggedQueue, () => fpdu(untagged({ queue: 3 }))],
    ['a send without a receive', Terminate.untaggedNoBuffer, () => fpdu(untagged({}))],
    ['a send out of order', Terminate.untaggedMessageNumber, () => fpdu(untagged({ message: 2 }))],
    [
      'a segment out of order',
      Terminate.untaggedOffset,
      (end) => {
        end.post(Opcode.receive, 1, [end.region(new Uint8Array(9))]);
        return fpdu(untagged({ offset: 1 }));
      },
    ],
    [
      'a message that is too long',
      Terminate.untaggedTooLong,
      (end) => {
        end.post(Opcode.receive, 1, [end.region(new Uint8Array(3))]);
        return fpdu(untagged({}), Buffer.from('four'));
      },
    ],
    ['an invalidating send', Terminate.cannotInvalidate, () => fpdu(untagged({ opcode: 4, invalidates: 5 }))],
    ['an invalidating, solicited send', Terminate.cannotInvalidate, () => fpdu(untagged({ opcode: 6 }))],
    ['a write by an unknown key', Terminate.taggedInvalidStag, () => fpdu(tagged({ stag: 5 }), Buffer.from('x'))],
    [
      'a write by a local key',
      Terminate.taggedInvalidStag,
      (end) => {
        const { localKey, address } = end.region(new Uint8Array(9));
        return fpdu(tagged({ stag: localKey, offset: BigInt(address) }), Buffer.from('x'));
      },
    ],
    [
      'a write beyond the end',
      Terminate.taggedBounds,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9));
        return fpdu(tagged({ stag: remoteKey, offset: BigInt(address + 9) }), Buffer.from('x'));
      },
    ],
    [
      'a write to another domain',
      Terminate.taggedStagNotAssociated,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9), ALL, end.memory.allocateDomain());
        return fpdu(tagged({ stag: remoteKey, offset: BigInt(address) }), Buffer.from('x'));
      },
    ],
    [
      'a write without the right',
      Terminate.accessRights,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9), MemoryAccess.remoteRead);
        return fpdu(tagged({ stag: remoteKey, offset: BigInt(address) }), Buffer.from('x'));
      },
    ],
    ['an answer that nobody asked for', Terminate.taggedInvalidStag, () => fpdu(tagged({ opcode: 2 }))],
    [
      'more reads than were agreed',
      Terminate.untaggedNoBuffer,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9));
        return Buffer.concat(
          [1, 2, 3].map((message) => read({ sourceStag: remoteKey, sourceOffset: address }, message)),
        );
      },
    ],
    ['a read by an unknown key', Terminate.readInvalidStag, () => read({})],
    [
      'a read beyond the end',
      Terminate.readBounds,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9));
        return read({ sourceStag: remoteKey, sourceOffset: address + 5 });
      },
    ],
    [
      'a read from another domain',
      Terminate.readStagNotAssociated,
      (end) => {
        const { remoteKey, address } = end.region(new Uint8Array(9), ALL, end.memory.allocateDomain());
        return read({ sourceStag: remoteKey, sourceOffset: address });
      },
    ],
    [
      'a read without the right',
      Terminate.accessRights,
      (end) => {
        const { remoteKey, address } = end.region(
          new Uint8Array(9),
          MemoryAccess.localWrite | MemoryAccess.remoteWrite,
        );
        return read({ sourceStag: remoteKey, sourceOffset: address });
      },
    ],
    ['a read that is cut', Terminate.unspecified, () => fpdu(untagged({ opcode: 1, queue: 1 }), new Uint8Array(27))],
  ];
  const read = (request: object, message = 1): Buffer => {
    const payload = Buffer.alloc(28);
    encodeReadRequest(
      { sinkStag: 1, sinkOffset: 0, length: 5, sourceStag: 9, sourceOffset: 0, ...request },
      payload,
      0,
    );
    return fpdu(untagged({ opcode: RdmapOpcode.readRequest, queue: 1, message }), payload);
  };

  test.each(cases)('answers %s', (_, code, attack) => {
    const end = new End();
    const { localWrite, remoteWrite } = MemoryAccess;
    const own = end.region(new Uint8Array(64).fill(7), localWrite | remoteWrite);
    end.input(attack(end));
    assert.deepEqual(end.faults, [code]);
    const output = end.output();
    const length = output.readUInt16BE(0);
    assert.equal(output[3]! & 15, RdmapOpcode.terminate);
    assert.equal(output.byteLength, fpduBytes(length));
    const message = decodeTerminate(output.subarray(20, 2 + length))!;
    assert.deepEqual({ layer: message.layer, type: message.type, code: message.code }, code);
    assert.ok(own.bytes.every((byte) => byte === 7));
    // Nothing moves any more.
    end.input(fpdu(tagged({ stag: own.remoteKey, offset: BigInt(own.address) }), Buffer.from('late')));
    assert.ok(own.bytes.every((byte) => byte === 7));
    assert.equal(end.output().byteLength, 0);
  });

  test('about a read ends that read as refused, and flushes what follows', () => {
    const end = new End();
    for (const context of [1, 2]) end.post(Opcode.rdmaRead, context, [end.region(new Uint8Array(4))]);
    end.post(Opcode.receive, 3, []);
    end.output();
    const content = encodeTerminate({
      ...Terminate.readBounds,
      ddpHeader: end.output().byteLength === 0 ? new Uint8Array(18) : new Uint8Array(0),
      segmentLength: 46,
      readRequest: new Uint8Array(28),
    });
    end.input(fpdu(untagged({ opcode: RdmapOpcode.terminate, queue: 2 }), content));
    assert.deepEqual(end.done, ['1 remoteAccess', '2 flushed', '3 flushed 0']);
    assert.equal(end.terminated?.code, Terminate.readBounds.code);
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
