/**
 * iWARP on the wire: MPA start-up frames, FPDUs, DDP and RDMAP headers. Terminate messages are in terminate.ts.
 *
 * Theory of operation: pure functions between bytes and header objects; all numbers are big-endian. Reading checks what
 * can be checked without knowing the connection (key, sizes, versions) and never reads beyond what it is given.
 *
 * Source: RFC 5040 (RDMAP), RFC 5041 (DDP), RFC 5044 (MPA), RFC 6581 (enhanced connection set-up).
 */

import { crc32c } from './crc32c.ts';

// ---------------------------------------------------------------- MPA start-up

export const MPA_REQUEST_KEY = 'MPA ID Req Frame';
export const MPA_REPLY_KEY = 'MPA ID Rep Frame';
/** Key, flags, revision, length of private data. */
export const MPA_HEADER_BYTES = 20;
/** Private data of a start-up frame, enhanced data included. Source: RFC 5044, 7.1.1. */
export const MPA_PRIVATE_DATA_MAX = 512;
/** Enhanced RDMA connection data before the private data. Source: RFC 6581, 9. */
export const ENHANCED_BYTES = 4;
/** A depth that is not negotiated. Source: RFC 6581, 9.1. */
export const DEPTH_UNSPECIFIED = 0x3fff;

/** Depths and ready-to-receive types that revision 2 negotiates. */
export interface EnhancedData {
  /** Flag A: the initiator sends a ready-to-receive message first, so that the responder may be the first to talk. */
  readonly peerToPeer: boolean;
  /** Flag B: ready-to-receive by an FPDU without content. */
  readonly byEmptyFpdu: boolean;
  /** Flag C: by an RDMA write of no bytes. */
  readonly byWrite: boolean;
  /** Flag D: by an RDMA read of no bytes. */
  readonly byRead: boolean;
  /** Incoming reads that the sender takes at once, 0 to 0x3fff. */
  readonly incomingReads: number;
  /** Outgoing reads that the sender wants at once, 0 to 0x3fff. */
  readonly outgoingReads: number;
}

/** A request or reply of MPA start-up. */
export interface StartupFrame {
  readonly kind: 'request' | 'reply';
  /** 0 to 255; only 1 and 2 are known. */
  readonly revision: number;
  /** The sender wants to receive markers. */
  readonly markers: boolean;
  /** The sender wants FPDUs with checksums. */
  readonly crc: boolean;
  /** The responder refuses; in replies only. */
  readonly rejected: boolean;
  /** Flag S of revision 2; null when it isn't set. */
  readonly enhanced: EnhancedData | null;
  /** At most 512 bytes, together with the enhanced data. */
  readonly privateData: Uint8Array;
}

const FLAG_MARKERS = 0x80;
const FLAG_CRC = 0x40;
const FLAG_REJECTED = 0x20;
const FLAG_ENHANCED = 0x10;

const bit = (value: boolean, at: number): number => (value ? 1 << at : 0);

/** @throws RangeError when the private data is too long */
export function encodeStartup(frame: StartupFrame): Uint8Array {
  const { enhanced, privateData } = frame;
  const enhancedBytes = enhanced === null ? 0 : ENHANCED_BYTES;
  const length = enhancedBytes + privateData.byteLength;
  if (length > MPA_PRIVATE_DATA_MAX) throw new RangeError(`private data: ${length} bytes, at most 512 fit`);
  const bytes = Buffer.alloc(MPA_HEADER_BYTES + length);
  bytes.write(frame.kind === 'request' ? MPA_REQUEST_KEY : MPA_REPLY_KEY, 'latin1');
  bytes[16] =
    bit(frame.markers, 7) | bit(frame.crc, 6) | bit(frame.rejected, 5) | (enhanced === null ? 0 : FLAG_ENHANCED);
  bytes[17] = frame.revision;
  bytes.writeUInt16BE(length, 18);
  if (enhanced !== null) {
    const { peerToPeer, byEmptyFpdu, byWrite, byRead, incomingReads, outgoingReads } = enhanced;
    bytes.writeUInt16BE(bit(peerToPeer, 15) | bit(byEmptyFpdu, 14) | incomingReads, 20);
    bytes.writeUInt16BE(bit(byWrite, 15) | bit(byRead, 14) | outgoingReads, 22);
  }
  bytes.set(privateData, MPA_HEADER_BYTES + enhancedBytes);
  return bytes;
}

/**
 * Collects a start-up frame from bytes that come in any portions. Holds no more than the longest frame.
 */
export class StartupReader {
  readonly #kind: StartupFrame['kind'];
  readonly #bytes = Buffer.alloc(MPA_HEADER_BYTES + MPA_PRIVATE_DATA_MAX);
  #count = 0;

  constructor(kind: StartupFrame['kind']) {
    this.#kind = kind;
  }

  /** Nothing of a frame has come. */
  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /**
   * Takes bytes of `chunk` from `at` to `end`, up to the end of the frame.
   *
   * @returns the frame and how many bytes were taken; frame null while it is incomplete, 'malformed' when it can't be one
   */
  take(
    chunk: Uint8Array,
    at = 0,
    end: number = chunk.byteLength,
  ): { readonly frame: StartupFrame | 'malformed' | null; readonly taken: number } {
    let taken = 0;
    for (;;) {
      const wanted = this.#wanted();
      if (wanted < 0) return { frame: 'malformed', taken };
      const step = Math.min(wanted - this.#count, end - at - taken);
      this.#bytes.set(chunk.subarray(at + taken, at + taken + step), this.#count);
      this.#count += step;
      taken += step;
      if (!this.#keyMatches()) return { frame: 'malformed', taken };
      if (this.#count < wanted) return { frame: null, taken };
      if (wanted === this.#wanted()) return { frame: this.#frame(), taken };
    }
  }

  /** Bytes of the frame as far as is known; -1 when it is too long. */
  #wanted(): number {
    if (this.#count < MPA_HEADER_BYTES) return MPA_HEADER_BYTES;
    const length = this.#bytes.readUInt16BE(18);
    return length > MPA_PRIVATE_DATA_MAX ? -1 : MPA_HEADER_BYTES + length;
  }

  #keyMatches(): boolean {
    const key = this.#kind === 'request' ? MPA_REQUEST_KEY : MPA_REPLY_KEY;
    const count = Math.min(this.#count, key.length);
    return this.#bytes.toString('latin1', 0, count) === key.slice(0, count);
  }

  #frame(): StartupFrame | 'malformed' {
    const bytes = this.#bytes;
    const flags = bytes[16]!;
    const revision = bytes[17]!;
    const isEnhanced = revision >= 2 && (flags & FLAG_ENHANCED) !== 0;
    const start = MPA_HEADER_BYTES + (isEnhanced ? ENHANCED_BYTES : 0);
    if (start > this.#count) return 'malformed';
    const incoming = bytes.readUInt16BE(20);
    const outgoing = bytes.readUInt16BE(22);
    return {
      kind: this.#kind,
      revision,
      markers: (flags & FLAG_MARKERS) !== 0,
      crc: (flags & FLAG_CRC) !== 0,
      rejected: this.#kind === 'reply' && (flags & FLAG_REJECTED) !== 0,
      enhanced: isEnhanced
        ? {
            peerToPeer: (incoming & 0x8000) !== 0,
            byEmptyFpdu: (incoming & 0x4000) !== 0,
            byWrite: (outgoing & 0x8000) !== 0,
            byRead: (outgoing & 0x4000) !== 0,
            incomingReads: incoming & DEPTH_UNSPECIFIED,
            outgoingReads: outgoing & DEPTH_UNSPECIFIED,
          }
        : null,
      privateData: new Uint8Array(bytes.subarray(start, this.#count)),
    };
  }
}

// ---------------------------------------------------------------- numbers

// As Buffer's own methods, which check what is known here and are calls of their own in compiled code.

/** The 16 bits at `at`, 0 to 65535. */
export const halfAt = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
/** The 32 bits at `at`, 0 to 2^32 - 1. */
export const wordAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

function putHalf(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 8;
  into[at + 1] = value;
}

function putWord(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

// Little-endian: the checksum's bits go out in the order in which the polynomial takes them.

function checksumAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function putChecksum(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

// ---------------------------------------------------------------- FPDUs

/** Length of the ULPDU that an FPDU can say. */
export const ULPDU_MAX = 0xffff;
export const FPDU_MAX = 2 + ULPDU_MAX + 3 + 4;

/** Bytes of the FPDU around a ULPDU: length, padding to a multiple of four, checksum. */
export const fpduBytes = (ulpduBytes: number): number => ((2 + ulpduBytes + 3) & ~3) + 4;

/** Completes the FPDU at `at` whose ULPDU, `ulpduBytes` long, is in place already. @returns the FPDU's length */
export function sealFpdu(into: Buffer, at: number, ulpduBytes: number, withCrc: boolean): number {
  const length = fpduBytes(ulpduBytes);
  const end = at + length - 4;
  putHalf(into, at, ulpduBytes);
  for (let pad = at + 2 + ulpduBytes; pad < end; pad++) into[pad] = 0;
  putChecksum(into, end, withCrc ? crc32c(into, 0, at, end) : 0);
  return length;
}

/**
 * As {@link sealFpdu}, but the last `payload` bytes of the ULPDU are elsewhere: what follows them is put where they would
 * have begun.
 *
 * @returns bytes of the FPDU that are in `into`: those before the payload, then those after it
 */
export function sealFpduAround(
  into: Buffer,
  at: number,
  ulpduBytes: number,
  payload: readonly Uint8Array[],
  payloadBytes: number,
  withCrc: boolean,
): { readonly before: number; readonly after: number } {
  const before = 2 + ulpduBytes - payloadBytes;
  const after = fpduBytes(ulpduBytes) - 2 - ulpduBytes;
  putHalf(into, at, ulpduBytes);
  const end = at + before + after - 4;
  into.fill(0, at + before, end);
  let checksum = 0;
  if (withCrc) {
    checksum = crc32c(into, 0, at, at + before);
    for (const part of payload) checksum = crc32c(part, checksum);
    if (end > at + before) checksum = crc32c(into, checksum, at + before, end);
  }
  putChecksum(into, end, checksum);
  return { before, after };
}

/** Whether the checksum of the whole FPDU in `bytes` is right that begins at `at`. */
export function fpduIsIntact(bytes: Buffer, at = 0, length = bytes.byteLength - at): boolean {
  const end = at + length - 4;
  return crc32c(bytes, 0, at, end) === checksumAt(bytes, end);
}

/** Length of the FPDU that begins at `at` if it is whole before `end`, else 0. */
export function wholeFpdu(bytes: Buffer, at: number, end: number): number {
  if (end - at < 2) return 0;
  const length = fpduBytes(halfAt(bytes, at));
  return length <= end - at ? length : 0;
}

/** Gets a whole FPDU: `length` bytes of `bytes` from `at` on, valid during the call. @returns false to stop and forget the rest */
export type FpduUse = (bytes: Buffer, at: number, length: number) => boolean;

/**
 * Cuts a TCP stream into FPDUs. What comes whole in one portion isn't copied; of the rest at most one FPDU is held.
 */
export class FpduReader {
  #held = Buffer.alloc(0);
  #count = 0;

  /** Bytes held for the next FPDU. */
  get heldBytes(): number {
    return this.#count;
  }

  /** Bytes of memory for it, at most {@link FPDU_MAX}. */
  get memoryBytes(): number {
    return this.#held.byteLength;
  }

  /** Takes the bytes of `chunk` from `from` to `end`. @param use - gets each whole FPDU */
  take(chunk: Buffer, use: FpduUse, from = 0, end = chunk.byteLength): void {
    let at = from;
    while (at < end) {
      if (this.#count === 0) {
        const length = wholeFpdu(chunk, at, end);
        if (length > 0) {
          if (!use(chunk, at, length)) return;
          at += length;
          continue;
        }
      }
      at += this.#hold(chunk, at, end);
      if (this.#count < 2) return;
      const length = fpduBytes(halfAt(this.#held, 0));
      if (this.#count < length) continue;
      this.#count = 0;
      if (!use(this.#held, 0, length)) return;
    }
  }

  /** Copies towards a whole FPDU. @returns bytes copied */
  #hold(chunk: Buffer, at: number, end: number): number {
    const wanted = this.#count < 2 ? 2 : fpduBytes(halfAt(this.#held, 0));
    if (this.#held.byteLength < wanted) {
      // Enough for any FPDU of this size class, so that a stream of equal ones allocates once.
      const grown = Buffer.alloc(Math.min(FPDU_MAX, Math.max(2048, 2 ** Math.ceil(Math.log2(wanted)))));
      this.#held.copy(grown, 0, 0, this.#count);
      this.#held = grown;
    }
    const step = Math.min(wanted - this.#count, end - at);
    chunk.copy(this.#held, this.#count, at, at + step);
    this.#count += step;
    return step;
  }
}

// ---------------------------------------------------------------- DDP and RDMAP

/** RDMAP opcodes. Source: RFC 5040, 4.1. */
export const RdmapOpcode = {
  rdmaWrite: 0,
  readRequest: 1,
  readResponse: 2,
  send: 3,
  sendInvalidate: 4,
  sendSolicited: 5,
  sendSolicitedInvalidate: 6,
  terminate: 7,
} as const;
export type RdmapOpcode = (typeof RdmapOpcode)[keyof typeof RdmapOpcode];

/** DDP queues of untagged messages. Source: RFC 5040, 4.2. */
export const QueueNumber = { send: 0, readRequest: 1, terminate: 2 } as const;

export const TAGGED_BYTES = 14;
export const UNTAGGED_BYTES = 18;
export const READ_REQUEST_BYTES = 28;

/** The header of a DDP segment with RDMAP's control byte. */
export type SegmentHeader =
  | {
      readonly tagged: true;
      readonly last: boolean;
      readonly ddpVersion: number;
      readonly rdmapVersion: number;
      /** 0 to 15 */
      readonly opcode: number;
      readonly stag: number;
      /** Of the segment's first byte in the buffer: upper and lower 32 bits. */
      readonly offsetHigh: number;
      readonly offsetLow: number;
    }
  | {
      readonly tagged: false;
      readonly last: boolean;
      readonly ddpVersion: number;
      readonly rdmapVersion: number;
      readonly opcode: number;
      /** The key that a send invalidates; 0 otherwise. */
      readonly invalidates: number;
      readonly queue: number;
      /** Number of the message in its queue, from 1 on. */
      readonly message: number;
      /** Of the segment's first byte in its message. */
      readonly offset: number;
    };

export const DDP_VERSION = 1;
export const RDMAP_VERSION = 1;

const controls = (tagged: boolean, last: boolean, ddp: number, rdmap: number, opcode: number): number =>
  (bit(tagged, 15) | bit(last, 14) | ((ddp & 3) << 8) | ((rdmap & 3) << 6) | (opcode & 15)) >>> 0;

/** Writes a segment header at `at`. @returns its length */
export function encodeHeader(header: SegmentHeader, into: Buffer, at: number): number {
  const { tagged, last, ddpVersion, rdmapVersion, opcode } = header;
  putHalf(into, at, controls(tagged, last, ddpVersion, rdmapVersion, opcode));
  if (tagged) {
    putWord(into, at + 2, header.stag);
    putWord(into, at + 6, header.offsetHigh);
    putWord(into, at + 10, header.offsetLow);
    return TAGGED_BYTES;
  }
  putWord(into, at + 2, header.invalidates);
  putWord(into, at + 6, header.queue);
  putWord(into, at + 10, header.message);
  putWord(into, at + 14, header.offset);
  return UNTAGGED_BYTES;
}

/**
 * Writes the header of a tagged segment without making an object of it.
 *
 * @param high - upper 32 bits of the offset of the message's first byte
 * @param low - lower 32 bits of it
 * @param position - of the segment in its message, 0 to 2^32 - 1; with the offset less than 2^64
 */
export function putTagged(
  into: Buffer,
  at: number,
  last: boolean,
  opcode: number,
  stag: number,
  high: number,
  low: number,
  position: number,
): void {
  putHalf(into, at, controls(true, last, DDP_VERSION, RDMAP_VERSION, opcode));
  putWord(into, at + 2, stag);
  // 64 bits don't fit into a number, and offsets are a peer's addresses: all of them are used.
  const sum = low + position;
  putWord(into, at + 6, (high + (sum > 0xffff_ffff ? 1 : 0)) >>> 0);
  putWord(into, at + 10, sum >>> 0);
}

/** Writes the header of an untagged segment. */
export function putUntagged(
  into: Buffer,
  at: number,
  last: boolean,
  opcode: number,
  queue: number,
  message: number,
  offset: number,
  invalidates = 0,
): void {
  putHalf(into, at, controls(false, last, DDP_VERSION, RDMAP_VERSION, opcode));
  putWord(into, at + 2, invalidates);
  putWord(into, at + 6, queue);
  putWord(into, at + 10, message);
  putWord(into, at + 14, offset);
}

/** Where a segment header's fields are, in bytes from its beginning. */
export const TaggedAt = { stag: 2, offsetHigh: 6, offsetLow: 10 } as const;
export const UntaggedAt = { invalidates: 2, queue: 6, message: 10, offset: 14 } as const;

/** What the control bytes of a header say. */
export const Control = {
  isTagged: (control: number): boolean => (control & 0x8000) !== 0,
  isLast: (control: number): boolean => (control & 0x4000) !== 0,
  ddpVersion: (control: number): number => (control >> 8) & 3,
  rdmapVersion: (control: number): number => (control >> 6) & 3,
  opcode: (control: number): number => control & 15,
} as const;

/** Length of the header of the ULPDU of `length` bytes at `at`; 0 when that is too short for it. */
export function headerBytes(bytes: Uint8Array, at: number, length: number): number {
  if (length < TAGGED_BYTES) return 0;
  if (Control.isTagged(halfAt(bytes, at))) return TAGGED_BYTES;
  return length < UNTAGGED_BYTES ? 0 : UNTAGGED_BYTES;
}

/** @returns the header at the beginning of the ULPDU of `length` bytes at `at`, or null when that is too short for it */
export function decodeHeader(bytes: Buffer, at = 0, length = bytes.byteLength - at): SegmentHeader | null {
  if (headerBytes(bytes, at, length) === 0) return null;
  const control = halfAt(bytes, at);
  const common = {
    last: Control.isLast(control),
    ddpVersion: Control.ddpVersion(control),
    rdmapVersion: Control.rdmapVersion(control),
    opcode: Control.opcode(control),
  };
  if (Control.isTagged(control)) {
    return {
      tagged: true,
      ...common,
      stag: wordAt(bytes, at + TaggedAt.stag),
      offsetHigh: wordAt(bytes, at + TaggedAt.offsetHigh),
      offsetLow: wordAt(bytes, at + TaggedAt.offsetLow),
    };
  }
  return {
    tagged: false,
    ...common,
    invalidates: wordAt(bytes, at + UntaggedAt.invalidates),
    queue: wordAt(bytes, at + UntaggedAt.queue),
    message: wordAt(bytes, at + UntaggedAt.message),
    offset: wordAt(bytes, at + UntaggedAt.offset),
  };
}

/** What a read request asks for. */
export interface ReadRequest {
  readonly sinkStag: number;
  /** Of the first byte in the asking end's buffer: upper and lower 32 bits, for it is given back as it came. */
  readonly sinkOffsetHigh: number;
  readonly sinkOffsetLow: number;
  readonly length: number;
  readonly sourceStag: number;
  /** Of the first byte that is asked for, likewise. */
  readonly sourceOffsetHigh: number;
  readonly sourceOffsetLow: number;
}

/** Writes the 28 bytes of a read request at `at`. */
export function encodeReadRequest(request: ReadRequest, into: Buffer, at: number): void {
  putWord(into, at, request.sinkStag);
  putWord(into, at + 4, request.sinkOffsetHigh);
  putWord(into, at + 8, request.sinkOffsetLow);
  putWord(into, at + 12, request.length);
  putWord(into, at + 16, request.sourceStag);
  putWord(into, at + 20, request.sourceOffsetHigh);
  putWord(into, at + 24, request.sourceOffsetLow);
}

/** Reads the 28 bytes of a read request at `at`. */
export function decodeReadRequest(bytes: Buffer, at = 0): ReadRequest {
  return {
    sinkStag: wordAt(bytes, at),
    sinkOffsetHigh: wordAt(bytes, at + 4),
    sinkOffsetLow: wordAt(bytes, at + 8),
    length: wordAt(bytes, at + 12),
    sourceStag: wordAt(bytes, at + 16),
    sourceOffsetHigh: wordAt(bytes, at + 20),
    sourceOffsetLow: wordAt(bytes, at + 24),
  };
}
