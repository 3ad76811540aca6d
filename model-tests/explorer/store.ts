/**
 * Store: every state found, exactly, in at most 32 bytes each.
 *
 * Theory of operation: a state's words are cut in two (at {@link Layout.split}); each part is kept once, and a state is
 * the numbers of its two parts. Parts repeat: what one socket does, it does beside much that the other does. States lie
 * one behind the other in the order of discovery, with the state that each was found from; an open-addressing table, at
 * most half full, finds a state again. Its entries have the state's number, plus 1, below four bits of its hash, so that
 * most others are told apart without a look at them. All is memory that threads can share: one thread writes, the others
 * look states up, and miss at worst what has just been added.
 */

/** What the arrays of one {@link Parts} are. */
interface PartsMemory {
  readonly width: number;
  words: Int32Array;
  table: Int32Array;
}

/** All arrays of a store; another thread makes its own {@link StateStore} of them. */
export interface StoreMemory {
  readonly first: PartsMemory;
  readonly second: PartsMemory;
  /** Numbers of the two parts, for each state. */
  pairs: Int32Array;
  /** State from which each was found; -1 for the initial one. */
  parents: Int32Array;
  table: Int32Array;
}

const STATE_BITS = 28;
/** States at most: a table's entry has {@link STATE_BITS} bits for one. */
export const STATES_MAX = 2 ** STATE_BITS - 1;
const STATE_MASK = STATES_MAX;

const array = (length: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * length));
function grown(old: Int32Array, length: number): Int32Array {
  const larger = array(length);
  larger.set(old);
  return larger;
}

/** Parts of states, each once. */
class Parts {
  readonly memory: PartsMemory;
  count = 0;
  /** Times that the arrays were replaced. */
  growths = 0;

  constructor(memory: PartsMemory) {
    this.memory = memory;
  }

  /** @returns number of the part behind `from[at]`; -1 when it isn't there */
  find(from: Int32Array, at: number): number {
    const { words, table, width } = this.memory;
    const mask = table.length - 1;
    for (let slot = hashWords(from, at, width) & mask; ; slot = (slot + 1) & mask) {
      const entry = table[slot]!;
      if (entry === 0) return -1;
      let start = (entry - 1) * width;
      let word = 0;
      while (word < width && words[start++] === from[at + word]) word++;
      if (word === width) return entry - 1;
    }
  }

  /** @returns number of the part behind `from[at]`, which is added unless it is there */
  add(from: Int32Array, at: number): number {
    const known = this.find(from, at);
    if (known >= 0) return known;
    const { memory } = this;
    const { width } = memory;
    if ((this.count + 1) * 2 > memory.table.length) {
      memory.words = grown(memory.words, memory.words.length * 2);
      const table = array(memory.table.length * 2);
      for (let part = 0; part < this.count; part++) this.#enter(table, part);
      memory.table = table;
      this.growths++;
    }
    for (let word = 0; word < width; word++) memory.words[this.count * width + word] = from[at + word]!;
    this.#enter(memory.table, this.count);
    return this.count++;
  }

  #enter(table: Int32Array, part: number): void {
    const { words, width } = this.memory;
    const mask = table.length - 1;
    let slot = hashWords(words, part * width, width) & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = part + 1;
  }

  /** Bytes that are in use. */
  get bytes(): number {
    return 4 * this.count * this.memory.width + this.memory.table.byteLength;
  }
}

/** States in the order of discovery. */
export class StateStore {
  readonly memory: StoreMemory;
  readonly first: Parts;
  readonly second: Parts;
  /** States so far; only in the thread that adds them. */
  count = 0;
  #growths = 0;

  constructor(memory: StoreMemory) {
    this.memory = memory;
    this.first = new Parts(memory.first);
    this.second = new Parts(memory.second);
  }

  /** A store without states. @param words - of a state, of which the second part begins with word `split` */
  static create(words: number, split: number): StateStore {
    const parts = (width: number): PartsMemory => ({ width, words: array(64 * Math.max(1, width)), table: array(128) });
    return new StateStore({
      first: parts(split),
      second: parts(words - split),
      pairs: array(2 * 1024),
      parents: array(1024),
      table: array(2048),
    });
  }

  /** Changes when {@link StateStore.memory} has new arrays. */
  get version(): number {
    return this.#growths + this.first.growths + this.second.growths;
  }

  /** @returns number of the state with these parts; -1 when it isn't there */
  find(first: number, second: number): number {
    const { table, pairs } = this.memory;
    const mask = table.length - 1;
    const hash = hashPair(first, second);
    const tag = hash >>> STATE_BITS;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = table[slot]!;
      if (entry === 0) return -1;
      if (entry >>> STATE_BITS !== tag) continue;
      const state = (entry & STATE_MASK) - 1;
      if (pairs[2 * state] === first && pairs[2 * state + 1] === second) return state;
    }
  }

  /** @returns number of the state with these parts, which is added unless it is there: then it is the last */
  add(first: number, second: number, parent: number): number {
    const known = this.find(first, second);
    if (known >= 0) return known;
    const { memory } = this;
    if (this.count === memory.parents.length) {
      if (this.count * 2 > STATES_MAX) throw new RangeError(`more than ${this.count} states`);
      memory.pairs = grown(memory.pairs, this.count * 4);
      memory.parents = grown(memory.parents, this.count * 2);
      const table = array(memory.table.length * 2);
      for (let state = 0; state < this.count; state++) this.#enter(table, state);
      memory.table = table;
      this.#growths++;
    }
    const state = this.count++;
    memory.pairs[2 * state] = first;
    memory.pairs[2 * state + 1] = second;
    memory.parents[state] = parent;
    this.#enter(memory.table, state);
    return state;
  }

  #enter(table: Int32Array, state: number): void {
    const { pairs } = this.memory;
    const mask = table.length - 1;
    const hash = hashPair(pairs[2 * state]!, pairs[2 * state + 1]!);
    let slot = hash & mask;
    while (table[slot] !== 0) slot = (slot + 1) & mask;
    table[slot] = (state + 1) | ((hash >>> STATE_BITS) << STATE_BITS);
  }

  /** Writes the words of `state` behind `to[at]`. */
  load(state: number, to: Int32Array, at: number): void {
    const { first, second, pairs } = this.memory;
    let start = pairs[2 * state]! * first.width;
    for (let word = 0; word < first.width; word++) to[at + word] = first.words[start++]!;
    start = pairs[2 * state + 1]! * second.width;
    for (let word = 0; word < second.width; word++) to[at + first.width + word] = second.words[start++]!;
  }

  /** States on the way from the initial one to `state`, both included. */
  path(state: number): number[] {
    const states: number[] = [];
    for (let at = state; at >= 0; at = this.memory.parents[at]!) states.push(at);
    return states.reverse();
  }

  /** Bytes in use: states, parents, table and parts. */
  get bytes(): number {
    return this.count * 12 + this.memory.table.byteLength + this.first.bytes + this.second.bytes;
  }

  /** Bytes that it takes at most to add `more` states, the old table beside a new one included. */
  bytesFor(more: number): number {
    const { parents, table, first, second } = this.memory;
    const grows = this.count + more > parents.length;
    return this.bytes + more * (12 + 4 * (first.width + second.width)) + (grows ? 2 * table.byteLength : 0);
  }
}

/** Spreads all bits of some words over 32; only where to look, never whether it is the same. */
export function hashWords(words: Int32Array, at: number, width: number): number {
  let mixed = 0x9747_b28c;
  for (let word = 0; word < width; word++) {
    let part = Math.imul(words[at + word]!, 0xcc9e_2d51);
    part = (part << 15) | (part >>> 17);
    mixed ^= Math.imul(part, 0x1b87_3593);
    mixed = (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
  }
  return spread(mixed);
}

const hashPair = (first: number, second: number): number =>
  spread(Math.imul(first, 0x9e37_79b1) ^ Math.imul(second + 0x7f4a_7c15, 0x85eb_ca77));

function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
