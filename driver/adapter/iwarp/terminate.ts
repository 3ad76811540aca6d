/**
 * Terminate messages: why a stream ends, for the peer.
 *
 * Theory of operation: {@link Terminate} has every reason that the standards name, with its section. What of the refused
 * segment is sent along follows from the reason: nothing about what couldn't be read or is no segment's fault, its DDP
 * header otherwise, and with a read request that RDMAP refused its content as well.
 *
 * Source: RFC 5040, 4.8; RFC 5041, 7.2; RFC 5044, 8; RFC 6581, 8.
 */

import type { Refusal } from './memory.ts';
import { READ_REQUEST_BYTES, TAGGED_BYTES, UNTAGGED_BYTES } from './wire.ts';

/** A reason as it is on the wire. */
export interface TerminateCode {
  /** 0 RDMAP, 1 DDP, 2 MPA. */
  readonly layer: number;
  /** 0 to 15 */
  readonly type: number;
  /** 0 to 255 */
  readonly code: number;
}

/** A reason with what is known of it. */
export interface TerminateReason extends TerminateCode {
  readonly source: string;
  /** Of the refused segment is sent: nothing, its DDP header, or with a read request its content too. */
  readonly headers: 'none' | 'ddp' | 'rdmap';
  /** When it is said here; null: never, for the reason in `because`. */
  readonly when: string | null;
  readonly because?: string;
}

const rdmap = 'RFC 5040, 4.8';
const ddp = 'RFC 5041, 7.2';
const mpa = 'RFC 5044, 8';
const enhanced = 'RFC 6581, 8';

/** The reasons by name. */
export const Terminate = {
  localCatastrophic: {
    layer: 0,
    type: 0,
    code: 0,
    source: rdmap,
    headers: 'none',
    when: "a local request can't be sent",
  },
  readInvalidStag: {
    layer: 0,
    type: 1,
    code: 0,
    source: rdmap,
    headers: 'rdmap',
    when: 'a read names, or a send invalidates, a key that is none',
  },
  readBounds: { layer: 0, type: 1, code: 1, source: rdmap, headers: 'rdmap', when: 'a read goes beyond a region' },
  accessRights: {
    layer: 0,
    type: 1,
    code: 2,
    source: rdmap,
    headers: 'rdmap',
    when: 'a read or write has no right to a region',
  },
  readStagNotAssociated: {
    layer: 0,
    type: 1,
    code: 3,
    source: rdmap,
    headers: 'rdmap',
    when: "a read names, or a send invalidates, another domain's key",
  },
  readOffsetWrap: {
    layer: 0,
    type: 1,
    code: 4,
    source: rdmap,
    headers: 'rdmap',
    when: "a read's offsets go beyond 2^64",
  },
  cannotInvalidate: {
    layer: 0,
    type: 1,
    code: 9,
    source: rdmap,
    headers: 'ddp',
    when: "a send invalidates a key whose owner doesn't let it",
  },
  protectionUnspecified: {
    layer: 0,
    type: 1,
    code: 0xff,
    source: rdmap,
    headers: 'ddp',
    when: null,
    because: 'every such error has its own code here',
  },
  rdmapVersion: { layer: 0, type: 2, code: 5, source: rdmap, headers: 'ddp', when: 'RDMAP of another version' },
  unexpectedOpcode: {
    layer: 0,
    type: 2,
    code: 6,
    source: rdmap,
    headers: 'ddp',
    when: "an opcode that is none, or not this queue's",
  },
  streamCatastrophic: {
    layer: 0,
    type: 2,
    code: 7,
    source: rdmap,
    headers: 'ddp',
    when: "a posted receive's memory is gone",
  },
  globalCatastrophic: {
    layer: 0,
    type: 2,
    code: 8,
    source: rdmap,
    headers: 'ddp',
    when: null,
    because: 'nothing here concerns more than one stream',
  },
  operationCannotInvalidate: {
    layer: 0,
    type: 2,
    code: 9,
    source: rdmap,
    headers: 'ddp',
    when: null,
    because: 'said as an error of protection',
  },
  unspecified: {
    layer: 0,
    type: 2,
    code: 0xff,
    source: rdmap,
    headers: 'ddp',
    when: 'a read request or a Terminate of a wrong size',
  },
  ddpCatastrophic: {
    layer: 1,
    type: 0,
    code: 0,
    source: ddp,
    headers: 'none',
    when: 'a segment without a whole header',
  },
  taggedInvalidStag: {
    layer: 1,
    type: 1,
    code: 0,
    source: ddp,
    headers: 'ddp',
    when: 'a write or answer names a key that is none',
  },
  taggedBounds: {
    layer: 1,
    type: 1,
    code: 1,
    source: ddp,
    headers: 'ddp',
    when: 'a write or answer goes beyond its buffer',
  },
  taggedStagNotAssociated: {
    layer: 1,
    type: 1,
    code: 2,
    source: ddp,
    headers: 'ddp',
    when: "a write names another domain's key",
  },
  taggedOffsetWrap: {
    layer: 1,
    type: 1,
    code: 3,
    source: ddp,
    headers: 'ddp',
    when: "a write's offsets go beyond 2^64",
  },
  taggedVersion: { layer: 1, type: 1, code: 4, source: ddp, headers: 'none', when: 'DDP of another version, tagged' },
  untaggedQueue: { layer: 1, type: 2, code: 1, source: ddp, headers: 'ddp', when: 'a queue that is none' },
  untaggedNoBuffer: {
    layer: 1,
    type: 2,
    code: 2,
    source: ddp,
    headers: 'ddp',
    when: 'no receive is posted, or more reads come than were agreed',
  },
  untaggedMessageNumber: {
    layer: 1,
    type: 2,
    code: 3,
    source: ddp,
    headers: 'ddp',
    when: "a message whose turn it isn't",
  },
  untaggedOffset: {
    layer: 1,
    type: 2,
    code: 4,
    source: ddp,
    headers: 'ddp',
    when: "a segment that isn't the next of its message",
  },
  untaggedTooLong: {
    layer: 1,
    type: 2,
    code: 5,
    source: ddp,
    headers: 'ddp',
    when: 'a message is longer than its receive',
  },
  untaggedVersion: {
    layer: 1,
    type: 2,
    code: 6,
    source: ddp,
    headers: 'none',
    when: 'DDP of another version, untagged',
  },
  tcpLost: {
    layer: 2,
    type: 0,
    code: 1,
    source: mpa,
    headers: 'none',
    when: null,
    because: 'there is nothing left to send it on',
  },
  crc: { layer: 2, type: 0, code: 2, source: mpa, headers: 'none', when: 'a wrong checksum' },
  markerMismatch: {
    layer: 2,
    type: 0,
    code: 3,
    source: mpa,
    headers: 'none',
    when: null,
    because: 'markers are never agreed to',
  },
  invalidStartup: {
    layer: 2,
    type: 0,
    code: 4,
    source: mpa,
    headers: 'none',
    when: 'a reply without the enhanced data that was asked for',
  },
  mpaCatastrophic: {
    layer: 2,
    type: 0,
    code: 5,
    source: enhanced,
    headers: 'none',
    when: null,
    because: 'no such error is known here',
  },
  insufficientReads: {
    layer: 2,
    type: 0,
    code: 6,
    source: enhanced,
    headers: 'none',
    when: 'a reply wants more reads at once than were offered',
  },
  noMatchingReadyToReceive: {
    layer: 2,
    type: 0,
    code: 7,
    source: enhanced,
    headers: 'none',
    when: 'a reply wants a sign of readiness that was not offered',
  },
} as const satisfies Record<string, TerminateReason>;

/** What the peer is told of memory that it can't reach, by what it asked for. */
export const refusalOf = {
  write: {
    unknownKey: Terminate.taggedInvalidStag,
    otherDomain: Terminate.taggedStagNotAssociated,
    access: Terminate.accessRights,
    bounds: Terminate.taggedBounds,
  },
  read: {
    unknownKey: Terminate.readInvalidStag,
    otherDomain: Terminate.readStagNotAssociated,
    access: Terminate.accessRights,
    bounds: Terminate.readBounds,
  },
  invalidate: {
    unknownKey: Terminate.readInvalidStag,
    otherDomain: Terminate.readStagNotAssociated,
    access: Terminate.cannotInvalidate,
  },
} as const satisfies Record<string, Partial<Record<Refusal, TerminateCode>>>;

/** @returns what is known of a reason, or null when the standards don't name it */
export function reasonOf({ layer, type, code }: TerminateCode): TerminateReason | null {
  const all: readonly TerminateReason[] = Object.values(Terminate);
  return all.find((reason) => reason.layer === layer && reason.type === type && reason.code === code) ?? null;
}

/** A reason in one number: layer, type and code in 4, 4 and 8 bits. */
export const vendorStatusOf = ({ layer, type, code }: TerminateCode): number => (layer << 12) | (type << 8) | code;

/** Content of a Terminate message. */
export interface TerminateMessage extends TerminateCode {
  /** Header of the segment that was refused, without its length field; empty when there was none. */
  readonly ddpHeader: Uint8Array;
  /** Length of that segment; meaningful when there is a header. */
  readonly segmentLength: number;
  /** Content of the read request that was refused; empty when it wasn't one. */
  readonly readRequest: Uint8Array;
}

const HAS_LENGTH = 0x80;
const HAS_DDP = 0x40;
const HAS_RDMAP = 0x20;
/** Control, segment length, longest header, read request. */
export const TERMINATE_BYTES_MAX = 4 + 2 + UNTAGGED_BYTES + READ_REQUEST_BYTES;

/** @returns the payload of the message, at most {@link TERMINATE_BYTES_MAX} bytes */
export function encodeTerminate(message: TerminateMessage): Buffer {
  const { ddpHeader, readRequest, segmentLength } = message;
  const hasHeader = ddpHeader.byteLength > 0;
  const bytes = Buffer.alloc(4 + (hasHeader ? 2 + ddpHeader.byteLength + readRequest.byteLength : 0));
  bytes[0] = ((message.layer & 15) << 4) | (message.type & 15);
  bytes[1] = message.code;
  if (!hasHeader) return bytes;
  bytes[2] = HAS_LENGTH | HAS_DDP | (readRequest.byteLength > 0 ? HAS_RDMAP : 0);
  bytes.writeUInt16BE(segmentLength, 4);
  bytes.set(ddpHeader, 6);
  bytes.set(readRequest, 6 + ddpHeader.byteLength);
  return bytes;
}

/**
 * Reads a Terminate message, also from Linux's siw: on little-endian hosts that has layer and type in each other's place
 * and the three bits in reverse at the other end of their byte, which is zero from everybody else.
 *
 * @returns null when `payload` is no Terminate message
 */
export function decodeTerminate(payload: Buffer): TerminateMessage | null {
  if (payload.byteLength < 4) return null;
  const [first, code, bits] = [payload[0]!, payload[1]!, payload[2]!];
  const isMirrored = bits < HAS_RDMAP && (bits & 7) !== 0;
  const [layer, type] = isMirrored ? [first & 15, first >> 4] : [first >> 4, first & 15];
  const has = isMirrored ? ((bits & 1) << 7) | ((bits & 2) << 5) | ((bits & 4) << 3) : bits;
  const none = new Uint8Array(0);
  let at = 4;
  let segmentLength = 0;
  if ((has & HAS_LENGTH) !== 0) {
    if (payload.byteLength < at + 2) return null;
    segmentLength = payload.readUInt16BE(at);
    at += 2;
  }
  let ddpHeader = none;
  if ((has & HAS_DDP) !== 0) {
    if (payload.byteLength <= at) return null;
    const length = (payload[at]! & 0x80) !== 0 ? TAGGED_BYTES : UNTAGGED_BYTES;
    if (payload.byteLength < at + length) return null;
    ddpHeader = new Uint8Array(payload.subarray(at, at + length));
    at += length;
  }
  let readRequest = none;
  if ((has & HAS_RDMAP) !== 0) {
    if (payload.byteLength < at + READ_REQUEST_BYTES) return null;
    readRequest = new Uint8Array(payload.subarray(at, at + READ_REQUEST_BYTES));
  }
  return { layer, type, code, ddpHeader, segmentLength, readRequest };
}
