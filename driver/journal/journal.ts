/**
 * The journal's writer: an append-only record of every step.
 *
 * Theory of operation: `append` stores eight words into a block of memory and nothing else; when the block is full,
 * it turns. In file mode, to turn is to write the block as a segment and begin it anew. In ring mode there are two
 * blocks, the halves of the ring: to turn is to let the older one go, to take a snapshot of the state, and to
 * continue in the memory that became free. Each half thus knows the state that its first record is applied to, and a
 * dump is the older half's snapshot and the records of both: never fewer than half the ring, once it has filled.
 *
 * Order matters: the driver steps, then appends. So the state that `snapshot()` sees when a record has just been
 * appended includes that record. A detail record is different: its event's record may be still to come, though
 * the state includes it. Therefore a half ends with an event's record, and is made longer if it has to be.
 */

import {
  DIGEST_BYTES,
  encodeFileHeader,
  encodeSnapshot,
  encodeTrailer,
  HeadBytes,
  isDetail,
  type JournalMetadata,
  RECORD_WORDS,
  sealSegment,
} from './format.ts';

/** Where a journal's bytes go. It belongs to the journal that it was given to, which closes it. */
export interface JournalSink {
  /** Takes all of `bytes`, in order. They are the journal's memory: to keep them, copy them. Throws on failure. */
  write(bytes: Uint8Array): void;
  /** Called once, last; what was written is then safe. */
  close(): void;
}

/** Off: count only. Ring: keep the last records in memory. File: hand every record to a sink. */
export type JournalMode = 'off' | 'ring' | 'file';

/** How a journal is kept. */
export interface JournalOptions {
  readonly mode: JournalMode;
  /** Written as given; but `base` tells the state before the first record, and a dump of a later part says `snapshot`. */
  readonly metadata: JournalMetadata;
  /** File mode only, and required there. */
  readonly sink?: JournalSink;
  /** Ring mode: records that are kept; even, 2 or more, default 65536 (2 MiB). */
  readonly ringRecords?: number;
  /** File mode: records of a full segment, 1 or more, default 2048 (64 KiB). */
  readonly segmentRecords?: number;
  /**
   * The state after the record that was last appended, as bytes that the caller won't change again. It must not call
   * the journal. Required in ring mode, and when `metadata.base` is `snapshot`: then the constructor calls it, too.
   */
  readonly snapshot?: () => Uint8Array;
}

/** A segment in the making: room for its head, then records. */
interface Block {
  words: Uint32Array;
  /** Sequence number of its first record. */
  sequence: number;
  /** The state before its first record, where that is kept; in its absence, the empty system. */
  snapshot: Uint8Array | undefined;
}

const HEAD_WORDS = HeadBytes.segment / 4;

/** The record of every step of one driver, which alone appends to it. */
export class Journal {
  readonly mode: JournalMode;
  readonly #metadata: JournalMetadata;
  readonly #sink: JournalSink | undefined;
  readonly #takeSnapshot: (() => Uint8Array) | undefined;
  readonly #blockRecords: number;
  /** Memory of the current block; undefined when nothing is recorded: the journal is off, or has ended. */
  #words: Uint32Array | undefined;
  /** Where in `#words` the next record goes, and where it turns. */
  #next = HEAD_WORDS;
  #limit: number;
  #current: Block;
  /** Ring mode: the half before the current one, once there is one. */
  #older: Block | undefined;
  #segmentIndex = 0;
  /** Why no record is accepted any more. */
  #ended: string | undefined;

  /**
   * In file mode, writes the header at once.
   *
   * @throws RangeError or Error for options out of range or at odds with each other, and when the sink fails
   * @throws {@link JournalError} for metadata that couldn't be read back
   */
  constructor(options: JournalOptions) {
    const { mode, metadata, sink, ringRecords = 65536, segmentRecords = 2048, snapshot } = options;
    const blockRecords = { off: 0, ring: ringRecords / 2, file: segmentRecords }[mode];
    if (mode !== 'off' && !(Number.isInteger(blockRecords) && blockRecords > 0)) {
      throw new RangeError('journal: ringRecords has to be even and 2 or more, segmentRecords 1 or more');
    }
    if ((mode === 'file') !== (sink !== undefined)) throw new Error('journal: file mode, and it alone, takes a sink');
    if (snapshot === undefined && (mode === 'ring' || (mode === 'file' && metadata.base === 'snapshot'))) {
      throw new Error(`journal: ${mode} mode with base '${metadata.base}' needs options.snapshot`);
    }
    const header = encodeFileHeader(metadata); // In every mode: a dump is no time to learn that it can't be written.
    this.mode = mode;
    this.#metadata = metadata;
    this.#sink = sink;
    this.#takeSnapshot = snapshot;
    this.#blockRecords = blockRecords;
    this.#limit = HEAD_WORDS + blockRecords * RECORD_WORDS;
    const base = mode !== 'off' && metadata.base === 'snapshot' ? snapshot?.() : undefined;
    this.#current = { words: new Uint32Array(this.#limit), sequence: 0, snapshot: base };
    this.#words = mode === 'off' ? undefined : this.#current.words;
    if (mode === 'file') {
      this.#write(header);
      if (base !== undefined) this.#write(encodeSnapshot(0, base));
    }
  }

  /** Records appended so far, which is the sequence number of the next one; 0 to 2^53 - 1. */
  get sequence(): number {
    return this.#current.sequence + (this.#next - HEAD_WORDS) / RECORD_WORDS;
  }

  /**
   * Appends one record: 8 words, 0 to 2^32 - 1 each. Allocates nothing, unless the block turns.
   *
   * @throws Error after the journal was closed, and when the sink fails or has failed
   */
  append(w0: number, w1: number, w2: number, w3: number, w4: number, w5: number, w6: number, w7: number): void {
    const words = this.#words;
    if (words === undefined) return this.#countOnly();
    const at = this.#next;
    words[at] = w0;
    words[at + 1] = w1;
    words[at + 2] = w2;
    words[at + 3] = w3;
    words[at + 4] = w4;
    words[at + 5] = w5;
    words[at + 6] = w6;
    words[at + 7] = w7;
    this.#next = at + RECORD_WORDS;
    if (at + RECORD_WORDS === this.#limit) this.#turn(w0);
  }

  /**
   * Hands what was appended to the sink, in a segment that may be partial. Does nothing in other modes than file.
   *
   * @throws Error after the journal was closed, and when the sink fails or has failed
   */
  flush(): void {
    this.#refuseWhenEnded('flush');
    if (this.mode === 'file' && this.#next > HEAD_WORDS) this.#writeSegment();
  }

  /**
   * Ring mode: writes a journal of the last records, and closes `sink`. The ring goes on; a closed one can be dumped.
   * Not for calling between a step and its record, as the snapshots and the digest are of whole steps.
   *
   * @param digest - of the current state, 32 bytes; without it the dump has no trailer and reads as not closed
   * @throws Error in other modes than ring, or when `sink` fails
   */
  dump(sink: JournalSink, digest?: Uint8Array): void {
    if (this.mode !== 'ring') throw new Error(`journal: a dump needs ring mode, and this is mode '${this.mode}'`);
    if (digest !== undefined) checkDigest(digest);
    const { sequence, snapshot } = this.#older ?? this.#current;
    try {
      sink.write(encodeFileHeader({ ...this.#metadata, base: snapshot === undefined ? 'empty' : 'snapshot' }));
      if (snapshot !== undefined) sink.write(encodeSnapshot(sequence, snapshot));
      let index = 0;
      for (const [block, end] of [
        [this.#older, this.#current.sequence],
        [this.#current, this.sequence],
      ] as const) {
        if (block === undefined || block.sequence === end) continue;
        sink.write(sealSegment(block.words, index, block.sequence, end - block.sequence));
        index += 1;
      }
      if (digest !== undefined) sink.write(encodeTrailer(this.sequence - sequence, digest));
    } finally {
      sink.close();
    }
  }

  /**
   * Ends the journal: no record can be appended any more. In file mode, flushes, writes the trailer, closes the sink.
   *
   * @param digest - of the final state, 32 bytes
   * @throws Error when it was closed before, and when the sink fails or has failed
   */
  close(digest: Uint8Array): void {
    checkDigest(digest);
    this.flush();
    if (this.mode === 'file') this.#write(encodeTrailer(this.sequence, digest));
    this.#stop('was closed');
    this.#sink?.close();
  }

  /** The current block is full; `word0` is its last record's. */
  #turn(word0: number): void {
    if (this.mode === 'file') return this.#writeSegment();
    if (isDetail(word0)) return this.#lengthen();
    const snapshot = this.#attempt('take a snapshot', () => this.#takeSnapshot?.());
    const words = this.#older?.words ?? new Uint32Array(this.#current.words.length);
    const next: Block = { words, sequence: this.sequence, snapshot };
    this.#older = this.#current;
    this.#current = next;
    this.#words = words;
    this.#next = HEAD_WORDS;
    this.#limit = HEAD_WORDS + this.#blockRecords * RECORD_WORDS;
  }

  /** Ring mode: makes room for one more record in the current half. The memory, once longer, stays so. */
  #lengthen(): void {
    this.#limit += RECORD_WORDS;
    if (this.#limit <= this.#current.words.length) return;
    const longer = new Uint32Array(this.#limit + 16 * RECORD_WORDS);
    longer.set(this.#current.words);
    this.#words = this.#current.words = longer;
  }

  #writeSegment(): void {
    const { words, sequence } = this.#current;
    this.#write(sealSegment(words, this.#segmentIndex, sequence, this.sequence - sequence));
    this.#current.sequence = this.sequence;
    this.#next = HEAD_WORDS;
    this.#segmentIndex += 1;
  }

  #write(bytes: Uint8Array): void {
    this.#attempt('write', () => this.#sink?.write(bytes));
  }

  /** What failed once ends the journal, and isn't tried again: what follows a gap couldn't be replayed. */
  #attempt<Result>(what: string, action: () => Result): Result {
    try {
      return action();
    } catch (cause) {
      this.#stop(`failed to ${what}`);
      try {
        this.#sink?.close();
      } catch {
        // The first failure says more.
      }
      throw new Error(`journal: failed to ${what} before record ${this.sequence}`, { cause });
    }
  }

  #stop(reason: string): void {
    this.#ended = reason;
    this.#words = undefined;
  }

  #countOnly(): void {
    this.#refuseWhenEnded('append');
    this.#current.sequence += 1;
  }

  #refuseWhenEnded(what: string): void {
    if (this.#ended === undefined) return;
    throw new Error(`journal: can't ${what}: the journal ${this.#ended} before record ${this.sequence}`);
  }
}

/** A sink that keeps everything in memory; `bytes()` is a copy of what was written so far. */
export function memorySink(): JournalSink & { bytes(): Uint8Array } {
  const pieces: Uint8Array[] = [];
  return {
    write: (bytes) => void pieces.push(bytes.slice()),
    close: () => {},
    bytes: () => {
      const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
      let offset = 0;
      for (const piece of pieces) {
        all.set(piece, offset);
        offset += piece.length;
      }
      return all;
    },
  };
}

function checkDigest(digest: Uint8Array): void {
  if (digest.length === DIGEST_BYTES) return;
  throw new RangeError(`journal: a digest has ${DIGEST_BYTES} bytes, and this one ${digest.length}`);
}
