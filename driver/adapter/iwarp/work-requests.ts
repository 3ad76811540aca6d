/**
 * Work requests of a stream, from the post until the completion was polled, and the memory in which those of all streams are.
 *
 * Theory of operation: an adapter has one array of descriptors. A queue has a piece of it, of as many places as it ever
 * held at once, rounded up to a power of two. So a queue is no array of its own, and what many connections use of their
 * queues lies close together.
 */

import { WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';
import type { Region } from './memory.ts';

/** Descriptors of all streams of one adapter. */
export class DescriptorMemory {
  /** {@link WORK_REQUEST_WORDS} words for each; another array after each {@link DescriptorMemory.take}. */
  words = new Uint32Array(64 * WORK_REQUEST_WORDS);
  #used = 0;
  /** First words of pieces that were given back, by the power of two of their places. */
  readonly #free: number[][] = [];

  /** @param power - of two: the places that are wanted @returns the piece's first word */
  take(power: number): number {
    const free = this.#free[power]?.pop();
    if (free !== undefined) return free;
    const base = this.#used;
    this.#used += WORK_REQUEST_WORDS << power;
    if (this.#used > this.words.length) {
      const { words } = this;
      this.words = new Uint32Array(Math.max(2 * words.length, this.#used));
      this.words.set(words);
    }
    return base;
  }

  give(power: number, base: number): void {
    while (this.#free.length <= power) this.#free.push([]);
    this.#free[power]!.push(base);
  }
}

/** Descriptors of one queue in posting order. All counters only grow. */
export class WorkRequests {
  posted = 0;
  completed = 0;
  /** Completions that were polled: only then is the place free again. */
  reported = 0;
  /** Where the memory of the last element was found: most often that of the next is there too. */
  region: Region | null = null;
  readonly #memory: DescriptorMemory;
  #base: number;
  /** Of two: the places. */
  #power = 0;
  readonly #depth: number;

  /** @param depth - descriptors at once */
  constructor(memory: DescriptorMemory, depth: number) {
    this.#memory = memory;
    this.#base = memory.take(0);
    this.#depth = Math.max(1, depth);
  }

  /** Bytes of memory for descriptors: no more than twice the depth. */
  get memoryBytes(): number {
    return (4 * WORK_REQUEST_WORDS) << this.#power;
  }

  /** The array that {@link WorkRequests.baseOf} is a place in. */
  get words(): Uint32Array {
    return this.#memory.words;
  }

  /** Takes the descriptor at `base` of `words`. @returns false when the queue is full */
  push(words: Uint32Array, base: number): boolean {
    const held = this.posted - this.reported;
    if (held >= this.#depth) return false;
    if (held === 1 << this.#power) this.#grow();
    const place = this.baseOf(this.posted++);
    const into = this.#memory.words;
    const end = WorkRequestField.elements + 4 * words[base + WorkRequestField.elementCount]!;
    for (let word = 0; word < end; word++) into[place + word] = words[base + word]!;
    return true;
  }

  /** First word of a request that is posted and not reported. */
  baseOf(request: number): number {
    return this.#base + (request & ((1 << this.#power) - 1)) * WORK_REQUEST_WORDS;
  }

  #grow(): void {
    const [base, power] = [this.#base, this.#power];
    this.#base = this.#memory.take(power + 1);
    this.#power++;
    const { words } = this;
    for (let request = this.reported; request < this.posted; request++) {
      const old = base + (request & ((1 << power) - 1)) * WORK_REQUEST_WORDS;
      words.copyWithin(this.baseOf(request), old, old + WORK_REQUEST_WORDS);
    }
    this.#memory.give(power, base);
  }

  field(request: number, field: number): number {
    return this.words[this.baseOf(request) + field]!;
  }

  /** Bytes of all elements together. */
  byteCount(request: number): number {
    const { words } = this;
    const base = this.baseOf(request);
    const count = words[base + WorkRequestField.elementCount]!;
    let bytes = 0;
    for (let index = 0; index < count; index++) bytes += words[base + WorkRequestField.elements + 4 * index + 1]!;
    return bytes;
  }

  /** Gives the memory back. Nothing may be posted or asked afterwards. */
  release(): void {
    this.#memory.give(this.#power, this.#base);
  }
}
