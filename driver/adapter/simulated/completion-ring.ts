import { COMPLETION_WORDS } from '../adapter.ts';
import { wordAt } from './memory.ts';

/** Completions until they are polled, oldest first. Grows to the most that ever waited at once. */
export class CompletionRing {
  /** Completions that there is memory for: a power of two. */
  #places = 64;
  #words = new Uint32Array(this.#places * COMPLETION_WORDS);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Words in the order of `CompletionField`. */
  push(connector: number, context: number, status: number, bytes: number, opcode: number, vendorStatus: number): void {
    if (this.#count === this.#places) this.#grow();
    const base = ((this.#first + this.#count) & (this.#places - 1)) * COMPLETION_WORDS;
    const words = this.#words;
    words[base] = connector;
    words[base + 1] = context;
    words[base + 2] = status;
    words[base + 3] = bytes;
    words[base + 4] = opcode;
    words[base + 5] = vendorStatus;
    this.#count++;
  }

  /** Word of the oldest completion; there must be one. */
  peek(field: number): number {
    return wordAt(this.#words, this.#first * COMPLETION_WORDS + field);
  }

  /** Moves the oldest completion to `into` at `base`; there must be one. */
  shift(into: Uint32Array, base: number): void {
    const words = this.#words;
    const from = this.#first * COMPLETION_WORDS;
    for (let field = 0; field < COMPLETION_WORDS; field++) into[base + field] = words[from + field]!;
    this.drop();
  }

  /** Forgets the oldest completion; there must be one. */
  drop(): void {
    this.#first = (this.#first + 1) & (this.#places - 1);
    this.#count--;
  }

  clear(): void {
    this.#first = 0;
    this.#count = 0;
  }

  #grow(): void {
    const grown = new Uint32Array(this.#words.length * 2);
    const first = this.#first * COMPLETION_WORDS;
    grown.set(this.#words.subarray(first));
    grown.set(this.#words.subarray(0, first), this.#words.length - first);
    this.#words = grown;
    this.#places *= 2;
    this.#first = 0;
  }
}
