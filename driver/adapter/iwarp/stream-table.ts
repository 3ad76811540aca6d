/**
 * What the streams of one adapter have in common: their rows, the descriptors of their queues, and what a call needs until
 * it returns.
 *
 * Theory of operation: of a thousand connections each has left the processor's cache when its turn comes, so what a message
 * needs of its stream are two neighbouring pieces of one array, {@link RowField}: first what comes needs, then what goes.
 * All else, as reads and pieces of FPDUs, is in objects that most streams never make.
 */

import { QUEUE_WORDS, WorkRequests } from './work-requests.ts';

/** Words of a stream's row. */
export const ROW_WORDS = 32;
/** Word offsets in a row. Message numbers and positions are unsigned, as `row[…] >>> 0`. */
export const RowField = {
  /** The queue of receives: {@link QUEUE_WORDS} words. */
  receives: 0,
  /** Union of {@link Flag} bits. */
  flags: QUEUE_WORDS,
  domain: QUEUE_WORDS + 1,
  /** Number of the message that comes next. */
  receiveMessage: QUEUE_WORDS + 2,
  /** Bytes of it that have come. */
  receivePosition: QUEUE_WORDS + 3,
  /** Number of the peer's next read request. */
  readRequestMessage: QUEUE_WORDS + 4,
  /** Reads of the peer that are taken at once. */
  incomingReadsMax: QUEUE_WORDS + 5,
  /** Why the stream ended, as it is told to those that are flushed; 0 without a Terminate in either direction. */
  endStatus: QUEUE_WORDS + 6,

  /** The queue of sends, writes and reads. */
  sends: 16,
  /** Number of the first work request of which not every segment is in the output. */
  launched: 16 + QUEUE_WORDS,
  /** Bytes of it that are. */
  position: 16 + QUEUE_WORDS + 1,
  sendMessage: 16 + QUEUE_WORDS + 2,
  readMessage: 16 + QUEUE_WORDS + 3,
  /** Reads that the peer takes at once. */
  readsMax: 16 + QUEUE_WORDS + 4,
  /** Outputs that were made of parts and aren't taken yet. */
  outputs: 16 + QUEUE_WORDS + 5,
  ulpduMax: 16 + QUEUE_WORDS + 6,
  referredBytesMin: 16 + QUEUE_WORDS + 7,
} as const;

export const Flag = {
  crc: 1,
  dead: 2,
  maySend: 4,
  readyToReceive: 8,
  /** The next message is an answer, if both kinds wait. */
  answersTurn: 16,
  /** The first FPDU has come. */
  heard: 32,
  /** A Terminate is to be sent. */
  terminate: 64,
  /** There are reads without a whole answer: this end's. */
  reads: 128,
  /** And the peer's. */
  answers: 256,
  /** A part of an FPDU is held. */
  held: 512,
  /** An output that isn't taken, or is being made, refers to registered memory. */
  refers: 1024,
} as const;

const NOTHING: Buffer = Buffer.alloc(0);

export class StreamTable {
  /** {@link ROW_WORDS} for each stream; another array after a row was made. */
  words = new Int32Array(64 * ROW_WORDS);
  readonly requests = new WorkRequests(this);
  /** The segment that is being placed, for Terminate: where it is, and its length. */
  segment: Buffer = NOTHING;
  segmentAt = 0;
  segmentBytes = 0;
  #used = 0;
  readonly #free: number[] = [];

  /** Makes a row of zeros. @returns its first word */
  create(): number {
    const row = this.#free.pop() ?? this.#used;
    if (row === this.#used) this.#used += ROW_WORDS;
    if (this.#used > this.words.length) {
      const grown = new Int32Array(2 * this.words.length);
      grown.set(this.words);
      this.words = grown;
    }
    this.words.fill(0, row, row + ROW_WORDS);
    return row;
  }

  /** The row is free for another stream. */
  release(row: number): void {
    this.#free.push(row);
  }

  /** No segment is being placed. */
  forgetSegment(): void {
    this.segment = NOTHING;
    this.segmentBytes = 0;
  }
}
