/** One end of the stream tests, and segments made by hand. */

import assert from 'node:assert/strict';

import { CompletionStatus, MemoryAccess, Opcode, WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';
import { MemoryTable } from './memory.ts';
import { roomFor, Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import type { TerminateCode, TerminateMessage } from './terminate.ts';
import {
  encodeHeader,
  encodeReadRequest,
  FPDU_MAX,
  type FpduUse,
  RdmapOpcode,
  READ_REQUEST_BYTES,
  type ReadRequest,
  type SegmentHeader,
  sealFpdu,
} from './wire.ts';

export const ALL = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;

/** An open stream that has its memory and remembers what it was told. */
export class End {
  readonly memory = new MemoryTable(1);
  readonly domain = this.memory.allocateDomain();
  readonly done: string[] = [];
  readonly vendorStatuses: number[] = [];
  readonly faults: TerminateCode[] = [];
  terminated: TerminateMessage | null = null;
  readonly stream: Stream;

  /** @param table - that other streams have too; one of its own when absent */
  constructor(
    settings: { ulpduMax?: number; crc?: boolean; reads?: number; referredBytesMin?: number } = {},
    table?: StreamTable,
  ) {
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
      },
      {
        complete: (context, status, bytes, opcode, vendorStatus) => {
          const name = Object.entries(CompletionStatus).find(([, number]) => number === status)![0];
          this.done.push(`${context} ${name}${opcode === Opcode.receive ? ` ${bytes}` : ''}`);
          this.vendorStatuses.push(vendorStatus);
        },
      },
      this.memory,
      this.domain,
      {
        depths: { send: 16, receive: 16 },
        ulpduMax: settings.ulpduMax ?? 1024,
        incomingReadsMax: settings.reads ?? 2,
        ...(settings.referredBytesMin === undefined ? {} : { referredBytesMin: settings.referredBytesMin }),
      },
      table,
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
    remote?: { remoteKey: number; address: number; high?: number },
    flags = 0,
  ) {
    const words = new Uint32Array(WORK_REQUEST_WORDS);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.context] = context;
    words[WorkRequestField.elementCount] = parts.length;
    words[WorkRequestField.remoteKey] = remote?.remoteKey ?? 0;
    words[WorkRequestField.remoteAddressLow] = remote?.address ?? 0;
    words[WorkRequestField.remoteAddressHigh] = remote?.high ?? 0;
    words[WorkRequestField.flags] = flags;
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

/** A reader's use of whole FPDUs as views. */
export const eachFpdu =
  (use: (fpdu: Buffer) => boolean): FpduUse =>
  (bytes, at, length) =>
    use(bytes.subarray(at, at + length));

export function fpdu(header: SegmentHeader | null, payload: Uint8Array = new Uint8Array(0), raw?: Uint8Array): Buffer {
  const into = Buffer.alloc(FPDU_MAX);
  let length = 0;
  if (header !== null) length = encodeHeader(header, into, 2);
  into.set(raw ?? payload, 2 + length);
  length += (raw ?? payload).byteLength;
  return into.subarray(0, sealFpdu(into, 0, length, true));
}

export const untagged = (header: Partial<SegmentHeader & { tagged: false }>): SegmentHeader => ({
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
export const tagged = (header: Partial<SegmentHeader & { tagged: true }>): SegmentHeader => ({
  tagged: true,
  last: true,
  ddpVersion: 1,
  rdmapVersion: 1,
  opcode: RdmapOpcode.rdmaWrite,
  stag: 0,
  offsetHigh: 0,
  offsetLow: 0,
  ...header,
});

/** A read request of 5 bytes from key 9, but for what is given. */
export function readRequest(request: Partial<ReadRequest>, message = 1): Buffer {
  const payload = Buffer.alloc(READ_REQUEST_BYTES);
  const plain = { sinkStag: 1, sinkOffsetHigh: 0, sinkOffsetLow: 0, length: 5, sourceStag: 9 };
  encodeReadRequest({ ...plain, sourceOffsetHigh: 0, sourceOffsetLow: 0, ...request }, payload, 0);
  return fpdu(untagged({ opcode: RdmapOpcode.readRequest, queue: 1, message }), payload);
}
