import { COMPLETION_WORDS } from '../adapter.ts';
import { wordAt } from './memory.ts';

/** Completions until they are polled, oldest first. Grows to the most that ever waited at once. */
export class CompletionRing {
  #words = new Uint32Array(64 * COMPLETION_WORDS);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Words in the order of `CompletionField`. */
  push(connector: number, context: number, status: number, bytes: number, opcode: number, vendorStatus: number): void {
    const capacity = this.#words.length / COMPLETION_WORDS;
    if (this.#count === capacity) this.#grow();
    const base = ((this.#first + this.#count) % (this.#words.length / COMPLETION_WORDS)) * COMPLETION_WORDS;
    this.#words[base] = connector;
    this.#words[base + 1] = context;
    this.#words[base + 2] = status;
    this.#words[base + 3] = bytes;
    this.#words[base + 4] = opcode;
    this.#words[base + 5] = vendorStatus;
    this.#count++;
  }

  /** Word of the oldest completion; there must be one. */
  peek(field: number): number {
    return wordAt(this.#words, this.#first * COMPLETION_WORDS + field);
  }

  /** Moves the oldest completion to `into` at `base`; there must be one. */
  shift(into: Uint32Array, base: number): void {
    for (let field = 0; field < COMPLETION_WORDS; field++) into[base + field] = this.peek(field);
    this.drop();
  }

  /** Forgets the oldest completion; there must be one. */
  drop(): void {
    this.#first = (this.#first + 1) % (this.#words.length / COMPLETION_WORDS);
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
    this.#first = 0;
  }
}
