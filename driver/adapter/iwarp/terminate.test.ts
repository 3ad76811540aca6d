import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { MemoryAccess, Opcode, WORK_REQUEST_INVALIDATE, WORK_REQUEST_SOLICITED } from '../adapter.ts';
import {
  decodeTerminate,
  encodeTerminate,
  reasonOf,
  Terminate,
  type TerminateMessage,
  type TerminateReason,
  vendorStatusOf,
} from './terminate.ts';
import { refusalIn } from './memory.ts';
import { ALL, End, fpdu, readRequest, tagged, untagged } from './test-end.ts';
import { decodeHeader, fpduBytes, RdmapOpcode, READ_REQUEST_BYTES, TAGGED_BYTES, UNTAGGED_BYTES } from './wire.ts';

type ReasonName = keyof typeof Terminate;

const byte = Buffer.from('x');
const region = (end: End, access = ALL, domain = end.domain) => end.region(new Uint8Array(9), access, domain);
const write = (stag: number, offset: number, offsetHigh = 0) =>
  fpdu(tagged({ stag, offsetHigh, offsetLow: offset }), byte);
const from = ({ remoteKey, address }: { remoteKey: number; address: number }, beyond = 0) =>
  readRequest({ sourceStag: remoteKey, sourceOffsetLow: address + beyond });
const { localWrite, remoteRead, remoteWrite, remoteInvalidate } = MemoryAccess;

/** A send of nothing that invalidates `invalidates`, which meets a receive. */
const invalidation = (end: End, invalidates: number, opcode: number = RdmapOpcode.sendInvalidate): Buffer => {
  end.post(Opcode.receive, 50, []);
  return fpdu(untagged({ opcode, invalidates }));
};

/** Ways to deserve each reason: what is done to an end, and the bytes that it gets. */
const attacks: Partial<Record<ReasonName, Readonly<Record<string, (end: End) => Buffer>>>> = {
  crc: {
    'a wrong checksum': () => {
      const bytes = fpdu(untagged({}), Buffer.from('hello'));
      bytes[bytes.byteLength - 1]! ^= 1;
      return bytes;
    },
  },
  ddpCatastrophic: {
    'a segment without a header': () => fpdu(null, undefined, Buffer.from('abc')),
    'an untagged segment that is cut': () => fpdu(null, undefined, Buffer.from('4143000000000000000000000000', 'hex')),
  },
  taggedVersion: { 'DDP of another version, tagged': () => fpdu(tagged({ ddpVersion: 2 })) },
  untaggedVersion: { 'DDP of another version': () => fpdu(untagged({ ddpVersion: 0 })) },
  rdmapVersion: {
    'RDMAP of another version': () => fpdu(untagged({ rdmapVersion: 0 })),
    'RDMAP of another version, tagged': () => fpdu(tagged({ rdmapVersion: 2 })),
  },
  unexpectedOpcode: {
    'an unknown opcode': () => fpdu(untagged({ opcode: 9 })),
    'a tagged send': () => fpdu(tagged({ opcode: RdmapOpcode.send })),
    'a send in the queue of reads': () => fpdu(untagged({ queue: 1 })),
    'an invalidating send in the queue of Terminates': () => fpdu(untagged({ opcode: 4, queue: 2 })),
    'a read request in the queue of sends': () => fpdu(untagged({ opcode: 1 }), Buffer.alloc(28)),
    'a Terminate in the queue of sends': () => fpdu(untagged({ opcode: 7 }), Buffer.alloc(4)),
    'an untagged write': () => fpdu(untagged({ opcode: 0 })),
    'an untagged answer': () => fpdu(untagged({ opcode: 2, queue: 1 })),
  },
  untaggedQueue: { 'a queue that is not there': () => fpdu(untagged({ queue: 3 })) },
  untaggedNoBuffer: {
    'a send without a receive': () => fpdu(untagged({})),
    'more reads than were agreed': (end) => {
      const { remoteKey, address } = region(end);
      return Buffer.concat(
        [1, 2, 3].map((message) => readRequest({ sourceStag: remoteKey, sourceOffsetLow: address }, message)),
      );
    },
  },
  untaggedMessageNumber: {
    'a send out of order': () => fpdu(untagged({ message: 2 })),
    'a read out of order': (end) => {
      const { remoteKey, address } = region(end);
      return readRequest({ sourceStag: remoteKey, sourceOffsetLow: address }, 2);
    },
  },
  untaggedOffset: {
    'a segment out of order': (end) => {
      end.post(Opcode.receive, 1, [region(end)]);
      return fpdu(untagged({ offset: 1 }));
    },
    'a read request that begins in its middle': () =>
      fpdu(untagged({ opcode: 1, queue: 1, offset: 4 }), Buffer.alloc(24)),
  },
  untaggedTooLong: {
    'a message that is too long': (end) => {
      end.post(Opcode.receive, 1, [end.region(new Uint8Array(3))]);
      return fpdu(untagged({}), Buffer.from('four'));
    },
    'a read request that is too long': () => fpdu(untagged({ opcode: 1, queue: 1 }), Buffer.alloc(29)),
  },
  taggedInvalidStag: {
    'a write by an unknown key': () => write(5, 0),
    'a write by a local key': (end) => {
      const { localKey, address } = region(end);
      return write(localKey, address);
    },
    'an answer that nobody asked for': () => fpdu(tagged({ opcode: 2 })),
  },
  taggedBounds: {
    'a write beyond the end': (end) => {
      const { remoteKey, address } = region(end);
      return write(remoteKey, address + 9);
    },
    'a write before the beginning': (end) => {
      const { remoteKey, address } = region(end);
      return write(remoteKey, address - 1);
    },
    'a write 2^32 behind': (end) => {
      const { remoteKey, address } = region(end);
      return write(remoteKey, address, 1);
    },
    'an answer that is longer than its read': (end) => {
      end.post(Opcode.rdmaRead, 1, [region(end)]);
      const asked = end.output();
      return fpdu(tagged({ opcode: 2, stag: asked.readUInt32BE(20) }), Buffer.alloc(10));
    },
  },
  taggedStagNotAssociated: {
    'a write to another domain': (end) => {
      const { remoteKey, address } = region(end, ALL, end.memory.allocateDomain());
      return write(remoteKey, address);
    },
  },
  taggedOffsetWrap: {
    'a write beyond 2^64': (end) =>
      fpdu(tagged({ stag: region(end).remoteKey, offsetHigh: 0xffff_ffff, offsetLow: 0xffff_ffff }), Buffer.from('xx')),
  },
  accessRights: {
    'a write without the right': (end) => {
      const { remoteKey, address } = region(end, remoteRead);
      return write(remoteKey, address);
    },
    'a read without the right': (end) => from(region(end, localWrite | remoteWrite)),
  },
  readInvalidStag: {
    'a read by an unknown key': () => readRequest({}),
    'an invalidation of an unknown key': (end) => invalidation(end, 5),
    'an invalidation of a local key': (end) => invalidation(end, region(end, ALL | remoteInvalidate).localKey),
  },
  readBounds: { 'a read beyond the end': (end) => from(region(end), 5) },
  readStagNotAssociated: {
    'a read from another domain': (end) => from(region(end, ALL, end.memory.allocateDomain())),
    "an invalidation of another domain's key": (end) =>
      invalidation(end, region(end, ALL | remoteInvalidate, end.memory.allocateDomain()).remoteKey),
  },
  readOffsetWrap: {
    'a read whose source wraps': (end) =>
      readRequest({
        sourceStag: region(end).remoteKey,
        sourceOffsetHigh: 0xffff_ffff,
        sourceOffsetLow: 0xffff_fffe,
      }),
    'a read whose sink wraps': (end) => {
      const { remoteKey, address } = region(end);
      const high = { sinkOffsetHigh: 0xffff_ffff, sinkOffsetLow: 0xffff_fffc };
      return readRequest({ sourceStag: remoteKey, sourceOffsetLow: address, ...high });
    },
  },
  cannotInvalidate: {
    'an invalidation that the owner does not let': (end) => invalidation(end, region(end).remoteKey),
    'the same, solicited': (end) => invalidation(end, region(end).remoteKey, RdmapOpcode.sendSolicitedInvalidate),
  },
  streamCatastrophic: {
    'a send to a receive whose memory is gone': (end) => {
      const gone = region(end);
      end.post(Opcode.receive, 1, [gone]);
      end.memory.deregister(gone.id);
      return fpdu(untagged({}), byte);
    },
  },
  unspecified: {
    'a read request that is cut': () => fpdu(untagged({ opcode: 1, queue: 1 }), Buffer.alloc(27)),
    'a Terminate that is cut': () => fpdu(untagged({ opcode: 7, queue: 2 }), Buffer.alloc(3)),
  },
  localCatastrophic: {
    'a local request that cannot be sent': (end) => {
      const gone = region(end);
      end.memory.deregister(gone.id);
      end.post(Opcode.send, 1, [gone]);
      return Buffer.alloc(0);
    },
  },
};

/** Said by the connection, before there is a stream: see connection.test.ts. */
const atStartup: readonly ReasonName[] = ['invalidStartup', 'insufficientReads', 'noMatchingReadyToReceive'];
const reasons = Object.entries(Terminate) as [ReasonName, TerminateReason][];

/** The only Terminate in `output`, with the segment that carried it. */
function terminateIn(output: Buffer): TerminateMessage {
  const length = output.readUInt16BE(0);
  assert.equal(output.byteLength, fpduBytes(length));
  const header = decodeHeader(output.subarray(2))!;
  assert.deepEqual(header, untagged({ opcode: RdmapOpcode.terminate, queue: 2 }));
  return decodeTerminate(output.subarray(2 + UNTAGGED_BYTES, 2 + length))!;
}

describe('Terminate [RFC 5040 4.8] [RFC 5041 7.2] [RFC 5040 4.2] [RFC 5044 8]', () => {
  const cases = reasons.flatMap(([name]) =>
    Object.entries(attacks[name] ?? {}).map(([what, attack]) => ({ name, what, attack })),
  );

  test('has a way to deserve each reason, or a reason why there is none', () => {
    for (const [name, { when, because }] of reasons) {
      assert.equal(attacks[name] !== undefined || atStartup.includes(name), when !== null, name);
      assert.equal(because !== undefined, when === null, name);
    }
    const distinct = new Set(reasons.map(([, reason]) => vendorStatusOf(reason)));
    assert.equal(distinct.size, reasons.length);
  });

  test.each(cases)('is sent for $what: $name', ({ name, attack }) => {
    const end = new End();
    const own = end.region(new Uint8Array(64).fill(7), localWrite | remoteWrite);
    const bytes = attack(end);
    end.input(bytes);
    const output = end.output();
    const reason: TerminateReason = Terminate[name];
    const { layer, type, code } = reason;
    assert.deepEqual(
      end.faults.map((fault) => [fault.layer, fault.type, fault.code]),
      [[layer, type, code]],
    );
    const message = terminateIn(output);
    assert.deepEqual([message.layer, message.type, message.code], [layer, type, code]);

    // What is said of the refused segment, the last one: its length, its header, and a refused read's content.
    const refused = lastUlpdu(bytes);
    const header = refused === null ? null : decodeHeader(refused);
    const headerBytes =
      header === null || reason.headers === 'none' ? 0 : header.tagged ? TAGGED_BYTES : UNTAGGED_BYTES;
    assert.deepEqual(Buffer.from(message.ddpHeader), (refused ?? Buffer.alloc(0)).subarray(0, headerBytes));
    assert.equal(message.segmentLength, headerBytes === 0 ? 0 : refused!.byteLength);
    const isRead = headerBytes > 0 && reason.headers === 'rdmap' && header!.opcode === RdmapOpcode.readRequest;
    assert.deepEqual(
      Buffer.from(message.readRequest),
      isRead ? refused!.subarray(UNTAGGED_BYTES, UNTAGGED_BYTES + READ_REQUEST_BYTES) : Buffer.alloc(0),
    );

    // Nothing moves any more, and nothing has.
    end.input(write(own.remoteKey, own.address));
    assert.ok(own.bytes.every((value) => value === 7));
    assert.equal(end.output().byteLength, 0);
    end.post(Opcode.send, 90, []);
    assert.equal(end.done.at(-1), '90 flushed');
    assert.equal(end.vendorStatuses.at(-1), vendorStatusOf(reason));
  });

  test.each(reasons)('that says %s flushes what is posted, then and later, with that reason', (_, reason) => {
    const end = new End();
    end.post(Opcode.rdmaRead, 1, [region(end)]);
    end.post(Opcode.send, 2, []);
    end.post(Opcode.receive, 3, []);
    end.output();
    const content = encodeTerminate({ ...reason, ...nothing });
    end.input(fpdu(untagged({ opcode: RdmapOpcode.terminate, queue: 2 }), content));
    end.post(Opcode.rdmaWrite, 4, []);
    end.post(Opcode.receive, 5, []);
    assert.deepEqual(end.done, ['1 flushed', '2 flushed', '3 flushed 0', '4 flushed', '5 flushed 0']);
    assert.deepEqual(new Set(end.vendorStatuses), new Set([vendorStatusOf(reason)]));
    assert.deepEqual(end.faults, [], 'a Terminate is not answered by one');
    assert.equal(end.output().byteLength, 0);
  });

  test('of a read ends that read as refused, and flushes what follows', () => {
    for (const [reason, status] of [
      [Terminate.readBounds, 'remoteAccess'],
      [Terminate.unspecified, 'remoteOperation'],
    ] as const) {
      const end = new End();
      for (const context of [1, 2]) end.post(Opcode.rdmaRead, context, [end.region(new Uint8Array(4))]);
      end.post(Opcode.receive, 3, []);
      end.output();
      const [ddpHeader, readContent] = [new Uint8Array(UNTAGGED_BYTES), new Uint8Array(READ_REQUEST_BYTES)];
      const content = encodeTerminate({ ...reason, ddpHeader, segmentLength: 46, readRequest: readContent });
      end.input(fpdu(untagged({ opcode: RdmapOpcode.terminate, queue: 2 }), content));
      assert.deepEqual(end.done, [`1 ${status}`, '2 flushed', '3 flushed 0']);
      assert.deepEqual(end.terminated, {
        ...{ layer: reason.layer, type: reason.type, code: reason.code },
        ...{ ddpHeader, segmentLength: 46, readRequest: readContent },
      });
    }
  });

  test('of a write comes after its success, and is told to all that follow', () => {
    const [near, far] = [new End(), new End()];
    const target = far.region(new Uint8Array(4), remoteRead);
    near.post(Opcode.rdmaWrite, 1, [near.region(new Uint8Array(4))], target);
    far.input(near.output());
    near.input(far.output());
    near.post(Opcode.send, 2, []);
    assert.deepEqual(near.done, ['1 success', '2 flushed']);
    assert.deepEqual(near.vendorStatuses, [0, vendorStatusOf(Terminate.accessRights)]);
    assert.ok(target.bytes.every((value) => value === 0));
  });

  test('goes out before what was to be sent, between two segments of a message', () => {
    const end = new End({ ulpduMax: 128 });
    end.post(Opcode.send, 1, [end.region(new Uint8Array(900))]);
    const first = Buffer.alloc(200);
    assert.ok(end.stream.produce(first) > 0);
    end.input(fpdu(untagged({ queue: 3 })));
    assert.equal(terminateIn(end.output()).code, Terminate.untaggedQueue.code);
    assert.deepEqual(end.done, ['1 flushed']);
  });
});

describe('a Terminate message [RFC 5040 4.8]', () => {
  const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const first = (bytes: Uint8Array, change: (value: number) => number) =>
    bytes.map((value, index) => (index === 0 ? change(value) : value));
  const none = fc.constant(new Uint8Array(0));
  const message: fc.Arbitrary<TerminateMessage> = fc
    .tuple(
      fc.constantFrom(...Object.values(Terminate)),
      fc.oneof(
        none,
        bytesOf(TAGGED_BYTES).map((bytes) => first(bytes, (value) => value | 0x80)),
        bytesOf(UNTAGGED_BYTES).map((bytes) => first(bytes, (value) => value & 0x7f)),
      ),
      fc.integer({ min: 0, max: 0xffff }),
      fc.oneof(none, bytesOf(READ_REQUEST_BYTES)),
    )
    .map(([{ layer, type, code }, ddpHeader, segmentLength, readContent]) => ({
      ...{ layer, type, code, ddpHeader },
      segmentLength: ddpHeader.byteLength > 0 ? segmentLength : 0,
      readRequest: ddpHeader.byteLength > 0 ? readContent : new Uint8Array(0),
    }));

  test('comes back as it went, and is refused when it was cut', () => {
    fc.assert(
      fc.property(message, (given) => {
        const bytes = encodeTerminate(given);
        assert.deepEqual(decodeTerminate(bytes), given);
        assert.equal(decodeTerminate(bytes.subarray(0, bytes.byteLength - 1)), null);
        assert.ok(reasonOf(given) !== null);
      }),
    );
    assert.equal(reasonOf({ layer: 3, type: 0, code: 0 }), null);
  });

  // As Linux 6.12 sent it for a read with a key that it didn't know.
  test("of Linux's siw is understood", () => {
    const ddpHeader = '414100000000000000010000002000000000';
    const request = '3d6ede31000000000000000000000020e77e34ff0000000040439010';
    const { layer, type, code } = Terminate.readInvalidStag;
    assert.deepEqual(decodeTerminate(Buffer.from(`100007000000${ddpHeader}${request}`, 'hex')), {
      layer,
      type,
      code,
      ddpHeader: new Uint8Array(Buffer.from(ddpHeader, 'hex')),
      segmentLength: 0,
      readRequest: new Uint8Array(Buffer.from(request, 'hex')),
    });
  });
});

describe('a send that invalidates [RFC 5040 4.7] [RFC 5040 5.3]', () => {
  test('ends the key for the peer, tells the receiver which, and leaves the region to its owner', () => {
    const [near, far] = [new End(), new End()];
    const target = far.region(new Uint8Array(4), ALL | remoteInvalidate);
    far.post(Opcode.receive, 9, [target]);
    near.post(Opcode.rdmaWrite, 1, [near.region(Buffer.from('abcd'))], target);
    near.post(Opcode.send, 2, [near.region(Buffer.from('ef'))], target, WORK_REQUEST_INVALIDATE);
    near.post(Opcode.rdmaWrite, 3, [near.region(Buffer.from('gh'))], target);
    far.input(near.output());
    assert.deepEqual(far.done, ['9 success 2']);
    assert.deepEqual(far.vendorStatuses, [target.remoteKey]);
    assert.deepEqual(far.faults, [Terminate.taggedInvalidStag]);
    assert.equal(Buffer.from(target.bytes).toString(), 'efcd');
    assert.ok(far.memory.local(far.domain, target.localKey, target.address, 4, localWrite, -1) >= 0);
  });

  test.each([
    [0, RdmapOpcode.send],
    [WORK_REQUEST_SOLICITED, RdmapOpcode.sendSolicited],
    [WORK_REQUEST_INVALIDATE, RdmapOpcode.sendInvalidate],
    [WORK_REQUEST_SOLICITED | WORK_REQUEST_INVALIDATE, RdmapOpcode.sendSolicitedInvalidate],
  ])('or is solicited has its opcode: flags %i, opcode %i', (flags, opcode) => {
    const end = new End();
    end.post(Opcode.send, 1, [], { remoteKey: 77, address: 0 }, flags);
    const output = end.output();
    const invalidates = (flags & WORK_REQUEST_INVALIDATE) === 0 ? 0 : 77;
    assert.deepEqual(decodeHeader(output.subarray(2)), untagged({ opcode, invalidates }));
    const other = new End();
    other.post(Opcode.receive, 2, []);
    if (invalidates === 0) {
      other.input(output);
      assert.deepEqual(other.done, ['2 success 0']);
    }
  });

  test('of several segments ends the key with the last', () => {
    const [near, far] = [new End({ ulpduMax: 128 }), new End()];
    const target = far.region(new Uint8Array(400), ALL | remoteInvalidate);
    far.post(Opcode.receive, 9, [target]);
    near.post(Opcode.send, 2, [near.region(new Uint8Array(300))], target, WORK_REQUEST_INVALIDATE);
    const output = near.output();
    const firstBytes = fpduBytes(output.readUInt16BE(0));
    far.input(output.subarray(0, firstBytes));
    assert.ok(far.memory.remote(far.domain, target.remoteKey, target.address, 1, remoteWrite) >= 0);
    far.input(output.subarray(firstBytes));
    assert.equal(
      refusalIn(far.memory.remote(far.domain, target.remoteKey, target.address, 1, remoteWrite)),
      'unknownKey',
    );
    assert.deepEqual(far.done, ['9 success 300']);
  });
});

const nothing = { ddpHeader: new Uint8Array(0), segmentLength: 0, readRequest: new Uint8Array(0) };

/** The ULPDU of the last FPDU in `bytes`. */
function lastUlpdu(bytes: Buffer): Buffer | null {
  let found: Buffer | null = null;
  for (let at = 0; at < bytes.byteLength; at += fpduBytes(bytes.readUInt16BE(at))) {
    found = bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
  }
  return found;
}
