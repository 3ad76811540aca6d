/**
 * The journal's file format: what the writer and the reader agree on.
 *
 * A journal is one file header, then (when the base is a snapshot) one snapshot, then segments of records, then one
 * trailer. Each of these is a *block*: a head of 32-bit words, the last of which is a CRC-32 of the whole block but
 * for that word, and a payload. All integers are unsigned and little-endian; 64-bit ones are two words, low first,
 * and stay within 2^53 - 1. Every block is a multiple of 4 bytes long, so records can be read in place, as words.
 *
 *     block     head words before the CRC                                payload
 *     WSDJ      format version (u16, then u16 zero), block length        metadata: JSON in UTF-8, padded with spaces
 *     SNAP      sequence of the first record after it (2), byte length   the snapshot, padded with zeros
 *     SEGM      index, sequence of its first record (2), record count    records of 32 bytes
 *     TAIL      records in this file (2)                                 state digest, 32 bytes
 *
 * No byte is outside a CRC. A journal without a trailer was not closed: its writer was killed, or dumped a ring
 * without a digest.
 */

import crc32 from 'crc-32';

/** Version that this code writes, and the only one that it reads. */
export const FORMAT_VERSION = 1;
/** 32-bit words of one record. Their meaning is the journal's user's, but for the low half of word 0. */
export const RECORD_WORDS = 8;
export const RECORD_BYTES = 4 * RECORD_WORDS;
/** Event id (word 0, bits 0 to 15) of a detail record; bits 16 to 31 are then the detail's kind. */
export const DETAIL_EVENT_ID = 0xffff;
/** Bytes of the state digest in a trailer (SHA-256). */
export const DIGEST_BYTES = 32;

/** First four bytes of each block, as ASCII. */
export const Magic = { file: 'WSDJ', snapshot: 'SNAP', segment: 'SEGM', trailer: 'TAIL' } as const;
/** Bytes of each block's head: magic, fields, CRC. */
export const HeadBytes = { file: 16, snapshot: 20, segment: 24, trailer: 16 } as const;

/** What a journal says about itself; needed to replay it and to tell journals apart. */
export interface JournalMetadata {
  /** Digest of the machines that made the steps, in hex. Other machines can't be expected to replay them. */
  readonly machinesDigest: string;
  /** The driver's bounds, by name; finite numbers, units as in the driver's limits. */
  readonly limits: Readonly<Record<string, number>>;
  /** Program and version that wrote the journal. */
  readonly createdBy: string;
  /** Adapter that the driver used. */
  readonly adapter: string;
  /** Host that the driver ran on. */
  readonly host: string;
  /** Seed of a simulated run. */
  readonly seed?: number;
  /** Time of the first record, ISO 8601. */
  readonly startedAt?: string;
  /** State that the first record is applied to: the empty system, or the snapshot in this journal. */
  readonly base: 'empty' | 'snapshot';
}

/** Bytes that are no journal, or one whose records can't be reached. The message says what to do. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

/** Whether a record with this word 0 is a detail: a fact that belongs to an event's record and changes no state. */
export function isDetail(word0: number): boolean {
  return (word0 & 0xffff) === DETAIL_EVENT_ID;
}

/**
 * Makes the file header.
 *
 * @throws {@link JournalError} when the metadata doesn't survive JSON, as an infinite limit doesn't
 */
export function encodeFileHeader(metadata: JournalMetadata): Uint8Array {
  const json = JSON.stringify(metadata);
  parseMetadata(json); // Better refused now than unreadable later.
  const text = new TextEncoder().encode(json);
  const payload = new Uint8Array(roundUp(text.length)).fill(0x20);
  payload.set(text);
  return encodeBlock(Magic.file, [FORMAT_VERSION, HeadBytes.file + payload.length], payload);
}

/** Makes a snapshot block. `sequence` is that of the first record applied to the snapshot. */
export function encodeSnapshot(sequence: number, snapshot: Uint8Array): Uint8Array {
  const payload = new Uint8Array(roundUp(snapshot.length));
  payload.set(snapshot);
  return encodeBlock(Magic.snapshot, [...split(sequence), snapshot.length], payload);
}

/** Makes the trailer. `count` is the number of records in the file; `digest` has {@link DIGEST_BYTES} bytes. */
export function encodeTrailer(count: number, digest: Uint8Array): Uint8Array {
  return encodeBlock(Magic.trailer, split(count), digest);
}

/**
 * Completes a segment whose records stand in `words` after room for the head, and returns its bytes. On a
 * little-endian host these are the same memory.
 */
export function sealSegment(words: Uint32Array, index: number, sequence: number, count: number): Uint8Array {
  words.set([magicWord(Magic.segment), index, ...split(sequence), count]);
  return seal(littleEndianBytes(words.subarray(0, HeadBytes.segment / 4 + count * RECORD_WORDS)), HeadBytes.segment);
}

/** CRC-32 (as in zlib) of a block but for the head's last word, where it is kept. Unsigned. */
export function blockCrc(block: Uint8Array, headBytes: number): number {
  return crc32.buf(block.subarray(headBytes), crc32.buf(block.subarray(0, headBytes - 4))) >>> 0;
}

/** Bytes that a payload of `length` bytes takes: the next multiple of 4. */
export function roundUp(length: number): number {
  return 4 * Math.ceil(length / 4);
}

/** The `count` words at `offset`, in place where host and alignment allow, else copied. */
export function wordsAt(bytes: Uint8Array, offset: number, count: number): Uint32Array {
  const start = bytes.byteOffset + offset;
  if (littleEndianHost && start % 4 === 0) return new Uint32Array(bytes.buffer, start, count);
  const view = new DataView(bytes.buffer, start, 4 * count);
  return Uint32Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
}

/**
 * Reads metadata from its JSON.
 *
 * @throws {@link JournalError} naming the field that is missing or of the wrong type
 */
export function parseMetadata(json: string): JournalMetadata {
  const isText = (value: unknown) => typeof value === 'string';
  const isNumber = (value: unknown) => typeof value === 'number';
  const checks: { [Field in keyof Required<JournalMetadata>]: (value: unknown) => boolean } = {
    machinesDigest: (value) => typeof value === 'string' && /^[0-9a-f]*$/i.test(value),
    limits: (value) => typeof value === 'object' && value !== null && Object.values(value).every(isNumber),
    createdBy: isText,
    adapter: isText,
    host: isText,
    seed: (value) => value === undefined || isNumber(value),
    startedAt: (value) => value === undefined || isText(value),
    base: (value) => value === 'empty' || value === 'snapshot',
  };
  let found: Record<string, unknown>;
  try {
    found = Object(JSON.parse(json));
  } catch (cause) {
    throw new JournalError('journal metadata is not JSON', { cause });
  }
  for (const [field, holds] of Object.entries(checks)) {
    if (holds(found[field])) continue;
    const value = JSON.stringify(found[field]) ?? 'nothing';
    throw new JournalError(`journal metadata: ${field} can't be ${value}`);
  }
  return found as unknown as JournalMetadata;
}

const littleEndianHost = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function encodeBlock(magic: string, fields: readonly number[], payload: Uint8Array): Uint8Array {
  const head = Uint32Array.of(magicWord(magic), ...fields, 0);
  const block = new Uint8Array(head.byteLength + payload.length);
  block.set(littleEndianBytes(head));
  block.set(payload, head.byteLength);
  return seal(block, head.byteLength);
}

function seal(block: Uint8Array, headBytes: number): Uint8Array {
  new DataView(block.buffer, block.byteOffset).setUint32(headBytes - 4, blockCrc(block, headBytes), true);
  return block;
}

function magicWord(magic: string): number {
  return [...magic].reduceRight((word, letter) => word * 256 + letter.charCodeAt(0), 0);
}

function split(value: number): [low: number, high: number] {
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

function littleEndianBytes(words: Uint32Array): Uint8Array {
  if (littleEndianHost) return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const bytes = new Uint8Array(words.byteLength);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  return bytes;
}
