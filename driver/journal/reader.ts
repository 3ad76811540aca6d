/**
 * The journal's reader: takes a journal's bytes apart and trusts nothing that its CRC doesn't vouch for.
 *
 * Reading goes from block to block and ends at the first one that is damaged, as only an intact block says where the
 * next begins. All records before it are good: a journal whose writer was killed is the common case, not an error.
 */

import {
  blockCrc,
  DIGEST_BYTES,
  FORMAT_VERSION,
  HeadBytes,
  JournalError,
  type JournalMetadata,
  Magic,
  parseMetadata,
  RECORD_BYTES,
  RECORD_WORDS,
  roundUp,
  wordsAt,
} from './format.ts';

export { JournalError } from './format.ts';

/** Consecutive records, as they were written together. */
export interface JournalSegment {
  /** Sequence number of its first record. */
  readonly sequence: number;
  /** Records in it; 1 or more. */
  readonly count: number;
  /** 8 words for each record; on little-endian hosts a view of the bytes that were read. Not to be written to. */
  readonly words: Uint32Array;
}

/** All readable records, in order. */
export interface JournalRecords {
  /** Number of records. */
  readonly count: number;
  /** Sequence number of record 0: more than 0 in a dump of a ring that has let records go. */
  readonly firstSequence: number;
  readonly segments: readonly JournalSegment[];
  /**
   * One word of one record.
   *
   * @param i - record, 0 to `count` - 1; its sequence number is `firstSequence` + i
   * @param w - word, 0 to 7
   * @throws RangeError for any other record or word
   */
  word(i: number, w: number): number;
}

/** Where a journal stops being readable. */
export interface JournalDamage {
  /** Sequence number of the first record that can't be read, be it lost or never written. */
  readonly sequence: number;
  /** Byte offset of the block that is damaged. */
  readonly offset: number;
  readonly message: string;
}

/** A journal, read. It refers to the bytes that it was read from; they are not to be changed. */
export interface JournalContents {
  readonly metadata: JournalMetadata;
  /** Present when `metadata.base` is `snapshot`: the state before the first record, and that record's sequence number. */
  readonly snapshot?: { readonly sequence: number; readonly bytes: Uint8Array };
  readonly records: JournalRecords;
  /** Whether there is an intact trailer that counts the records right. Otherwise the writer was killed. */
  readonly closed: boolean;
  /** Digest of the state after the last record, 32 bytes; present when `closed`. */
  readonly digest?: Uint8Array;
  /** Null when every byte was understood. A journal that merely ends without a trailer is not damaged. */
  readonly damage: JournalDamage | null;
}

/**
 * Reads a journal. Damage to its records is reported in the result, with all records before it.
 *
 * @throws {@link JournalError} when the bytes are no journal, one of another format version, or one whose header or
 *   snapshot is damaged: records without the state that they start from can't be replayed
 */
export function readJournal(bytes: Uint8Array): JournalContents {
  const header = readHeader(bytes);
  const snapshot = header.metadata.base === 'snapshot' ? readSnapshot(bytes, header.end) : undefined;
  const start = snapshot?.sequence ?? 0;
  const segments: JournalSegment[] = [];
  let digest: Uint8Array | undefined;
  let damage: JournalDamage | null = null;
  let sequence = start;
  let offset = snapshot?.end ?? header.end;
  try {
    while (offset < bytes.length) {
      if (digest !== undefined) throw new JournalError(`${bytes.length - offset} bytes follow the trailer`);
      const magic = magicAt(bytes, offset);
      if (magic === Magic.segment) {
        const segment = readSegment(bytes, offset, segments.length, sequence);
        segments.push(segment);
        sequence += segment.count;
        offset += HeadBytes.segment + segment.count * RECORD_BYTES;
      } else if (magic === Magic.trailer) {
        digest = readTrailer(bytes, offset, sequence - start);
        offset += HeadBytes.trailer + DIGEST_BYTES;
      } else {
        throw new JournalError(`a segment or trailer should begin here, and not with ${show(bytes, offset)}`);
      }
    }
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    damage = { sequence, offset, message: error.message };
  }
  return {
    metadata: header.metadata,
    ...(snapshot && { snapshot: { sequence: snapshot.sequence, bytes: snapshot.bytes } }),
    records: new SegmentedRecords(segments, start, sequence - start),
    closed: digest !== undefined,
    ...(digest && { digest }),
    damage,
  };
}

function readHeader(bytes: Uint8Array): { metadata: JournalMetadata; end: number } {
  if (magicAt(bytes, 0) !== Magic.file) {
    throw new JournalError(`not a journal: it should begin with '${Magic.file}', and not with ${show(bytes, 0)}`);
  }
  try {
    const head = readHead(bytes, 0, 'journal header', HeadBytes.file);
    const version = head.getUint16(4, true);
    if (version !== FORMAT_VERSION) {
      throw new JournalError(`journal format version ${version}, and this program reads version ${FORMAT_VERSION}`);
    }
    const end = head.getUint32(8, true);
    checkBlock(bytes, 0, 'journal header', HeadBytes.file, end - HeadBytes.file);
    return { metadata: parseMetadata(new TextDecoder().decode(bytes.subarray(HeadBytes.file, end))), end };
  } catch (error) {
    throw advise(error, 'read it with the program that wrote it, or take another copy of it');
  }
}

function readSnapshot(bytes: Uint8Array, offset: number): { sequence: number; bytes: Uint8Array; end: number } {
  try {
    if (magicAt(bytes, offset) !== Magic.snapshot) {
      throw new JournalError(`a snapshot should begin at byte ${offset}, and not ${show(bytes, offset)}`);
    }
    const head = readHead(bytes, offset, 'snapshot', HeadBytes.snapshot);
    const length = head.getUint32(12, true);
    checkBlock(bytes, offset, 'snapshot', HeadBytes.snapshot, roundUp(length));
    const start = offset + HeadBytes.snapshot;
    return { sequence: join(head, 4), bytes: bytes.subarray(start, start + length), end: start + roundUp(length) };
  } catch (error) {
    throw advise(error, "the records after it can't be replayed without it: take another copy of the journal");
  }
}

function readSegment(bytes: Uint8Array, offset: number, index: number, sequence: number): JournalSegment {
  const what = `segment ${index}`;
  const head = readHead(bytes, offset, what, HeadBytes.segment);
  const count = head.getUint32(16, true);
  checkBlock(bytes, offset, what, HeadBytes.segment, count * RECORD_BYTES);
  if (head.getUint32(4, true) !== index || join(head, 8) !== sequence || count === 0) {
    const found = `segment ${head.getUint32(4, true)} with ${count} records from ${join(head, 8)}`;
    throw new JournalError(`${what}, from record ${sequence}, should be here, and not ${found}`);
  }
  return { sequence, count, words: wordsAt(bytes, offset + HeadBytes.segment, count * RECORD_WORDS) };
}

function readTrailer(bytes: Uint8Array, offset: number, count: number): Uint8Array {
  const head = readHead(bytes, offset, 'trailer', HeadBytes.trailer);
  checkBlock(bytes, offset, 'trailer', HeadBytes.trailer, DIGEST_BYTES);
  if (join(head, 4) !== count) {
    throw new JournalError(`the trailer counts ${join(head, 4)} records, and there are ${count}`);
  }
  return bytes.subarray(offset + HeadBytes.trailer, offset + HeadBytes.trailer + DIGEST_BYTES);
}

function readHead(bytes: Uint8Array, offset: number, what: string, headBytes: number): DataView {
  checkLength(bytes, offset, what, headBytes);
  return new DataView(bytes.buffer, bytes.byteOffset + offset, headBytes);
}

/** Checks that a block is all there and that its CRC holds. */
function checkBlock(bytes: Uint8Array, offset: number, what: string, headBytes: number, payloadBytes: number): void {
  const length = headBytes + Math.max(payloadBytes, 0);
  checkLength(bytes, offset, what, length);
  const block = bytes.subarray(offset, offset + length);
  const kept = new DataView(block.buffer, block.byteOffset).getUint32(headBytes - 4, true);
  if (kept !== blockCrc(block, headBytes)) throw new JournalError(`${what} is damaged: its CRC doesn't match`);
}

function checkLength(bytes: Uint8Array, offset: number, what: string, length: number): void {
  const left = bytes.length - offset;
  if (left < length) throw new JournalError(`${what} is cut short: ${left} of ${length} bytes are there`);
}

function advise(error: unknown, advice: string): unknown {
  return error instanceof JournalError ? new JournalError(`${error.message}; ${advice}`, { cause: error }) : error;
}

function magicAt(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + 4));
}

function show(bytes: Uint8Array, offset: number): string {
  const found = [...bytes.subarray(offset, offset + 4)].map((byte) => byte.toString(16).padStart(2, '0'));
  return found.length === 0 ? 'the end of the file' : `bytes ${found.join(' ')}`;
}

function join(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

/** Finds a record's segment; the one found last first, as records are mostly read in order. */
class SegmentedRecords implements JournalRecords {
  readonly segments: readonly JournalSegment[];
  readonly firstSequence: number;
  readonly count: number;
  #found = 0;

  constructor(segments: readonly JournalSegment[], firstSequence: number, count: number) {
    this.segments = segments;
    this.firstSequence = firstSequence;
    this.count = count;
  }

  word(i: number, w: number): number {
    const inRange =
      Number.isInteger(i) && i >= 0 && i < this.count && Number.isInteger(w) && w >= 0 && w < RECORD_WORDS;
    if (!inRange) throw new RangeError(`journal: no word ${w} of record ${i}; there are ${this.count} records`);
    const { sequence, words } = this.#segmentOf(this.firstSequence + i);
    return words[(this.firstSequence + i - sequence) * RECORD_WORDS + w] as number;
  }

  #segmentOf(sequence: number): JournalSegment {
    let low = 0;
    let high = this.segments.length - 1;
    for (let at = this.#found; ; at = (low + high) >>> 1) {
      const segment = this.segments[at] as JournalSegment;
      if (sequence < segment.sequence) high = at - 1;
      else if (sequence >= segment.sequence + segment.count) low = at + 1;
      else {
        this.#found = at;
        return segment;
      }
    }
  }
}
