/**
 * Work requests of the streams of one adapter, from the post until the completion was polled.
 *
 * Theory of operation: an adapter has one array of descriptors. A queue has a piece of it, of as many places as it ever
 * held at once, rounded up to a power of two, and its counters are a few words of its stream's row. So a queue is no
 * object of its own, and what many connections use of their queues lies close together.
 */

import { WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';

/** Words of a queue in the row of its stream. */
export const QUEUE_WORDS = 8;
/**
 * Word offsets in them. Counters only grow, modulo 2^32: two of them are compared for equality, or by their difference as
 * a signed number.
 */
export const QueueField = {
  posted: 0,
  completed: 1,
  /** Completions that were polled: only then is the place free again. */
  reported: 2,
  /** First word of the queue's piece. */
  piece: 3,
  /** Its places less one. */
  mask: 4,
  /** Descriptors at once. */
  depth: 5,
  /** Where the memory of the last element was found, or -1: most often that of the next is there too. */
  region: 6,
} as const;

/** Words of a place: {@link WORK_REQUEST_WORDS}, and so many more that a request of one or two elements is half of it. */
export const PLACE_WORDS = 32;

/** The rows of streams, in which their queues are; another array after each growth. */
export interface Rows {
  readonly words: Int32Array;
}

/** The queues of all streams of one adapter. A queue is named by its first word in the rows. */
export class WorkRequests {
  /** Descriptors, {@link PLACE_WORDS} words for each, of which the first are as posted; another array when it has grown. */
  words = new Uint32Array(64 * PLACE_WORDS);
  readonly #rows: Rows;
  #used = 0;
  /** First words of pieces that were given back, by the power of two of their places. */
  readonly #free: number[][] = [];

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** Makes an empty queue. @param depth - descriptors at once */
  create(queue: number, depth: number): void {
    const rows = this.#rows.words;
    rows.fill(0, queue, queue + QUEUE_WORDS);
    rows[queue + QueueField.depth] = Math.max(1, depth);
    rows[queue + QueueField.region] = -1;
    rows[queue + QueueField.piece] = this.#take(0);
  }

  /** Gives the memory of a queue back. Nothing may be posted or asked afterwards. */
  release(queue: number): void {
    const rows = this.#rows.words;
    this.#give(powerOf(rows[queue + QueueField.mask]!), rows[queue + QueueField.piece]!);
  }

  /** Bytes of memory for a queue's descriptors: room for no more than twice the depth. */
  memoryBytes(queue: number): number {
    return 4 * PLACE_WORDS * (this.#rows.words[queue + QueueField.mask]! + 1);
  }

  /** Takes the descriptor at `base` of `words`. @returns false when the queue is full */
  push(queue: number, words: Uint32Array, base: number): boolean {
    const rows = this.#rows.words;
    const posted = rows[queue + QueueField.posted]!;
    const held = (posted - rows[queue + QueueField.reported]!) | 0;
    if (held >= rows[queue + QueueField.depth]!) return false;
    if (held > rows[queue + QueueField.mask]!) this.#grow(queue);
    const place = this.baseOf(queue, posted);
    rows[queue + QueueField.posted] = posted + 1;
    const into = this.words;
    const end = WorkRequestField.elements + 4 * words[base + WorkRequestField.elementCount]!;
    for (let word = 0; word < end; word++) into[place + word] = words[base + word]!;
    return true;
  }

  /** First word of a request that is posted and not reported. */
  baseOf(queue: number, request: number): number {
    const rows = this.#rows.words;
    return rows[queue + QueueField.piece]! + (request & rows[queue + QueueField.mask]!) * PLACE_WORDS;
  }

  field(queue: number, request: number, field: number): number {
    return this.words[this.baseOf(queue, request) + field]!;
  }

  /** Bytes of all elements together. */
  byteCount(queue: number, request: number): number {
    const { words } = this;
    const base = this.baseOf(queue, request);
    const count = words[base + WorkRequestField.elementCount]!;
    let bytes = 0;
    for (let index = 0; index < count; index++) bytes += words[base + WorkRequestField.elements + 4 * index + 1]!;
    return bytes;
  }

  #grow(queue: number): void {
    const rows = this.#rows.words;
    const [piece, mask] = [rows[queue + QueueField.piece]!, rows[queue + QueueField.mask]!];
    const power = powerOf(mask);
    rows[queue + QueueField.piece] = this.#take(power + 1);
    rows[queue + QueueField.mask] = 2 * mask + 1;
    const [posted, reported] = [rows[queue + QueueField.posted]!, rows[queue + QueueField.reported]!];
    for (let request = reported; request !== posted; request = (request + 1) | 0) {
      const old = piece + (request & mask) * PLACE_WORDS;
      this.words.copyWithin(this.baseOf(queue, request), old, old + WORK_REQUEST_WORDS);
    }
    this.#give(power, piece);
  }

  /** @param power - of two: the places that are wanted @returns the piece's first word */
  #take(power: number): number {
    const free = this.#free[power]?.pop();
    if (free !== undefined) return free;
    const piece = this.#used;
    this.#used += PLACE_WORDS << power;
    if (this.#used > this.words.length) {
      const { words } = this;
      this.words = new Uint32Array(Math.max(2 * words.length, this.#used));
      this.words.set(words);
    }
    return piece;
  }

  #give(power: number, piece: number): void {
    while (this.#free.length <= power) this.#free.push([]);
    this.#free[power]!.push(piece);
  }
}

/** Of the places of a queue, one less of which is `mask`. */
const powerOf = (mask: number): number => 31 - Math.clz32(mask + 1);
