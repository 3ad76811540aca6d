/**
 * Store: every state found, exactly, in at most 32 bytes each.
 *
 * Theory of operation: a state's words are cut in two (at {@link Layout.split}); each part is kept once, and a state is
 * the numbers of its two parts. Parts repeat: what one socket does, it does beside much that the other does. States lie
 * one behind the other in the order of discovery, with the state that each was found from. A state is found again in the
 * row of its first part: an open-addressing table, at most three quarters full, of the second parts beside which that one
 * was seen. So one look tells, and states that follow each other are looked for in the same few rows. All is memory that
 * threads can share: one thread writes, the others look states up, and miss at worst what has just been added.
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
  /** For each first part, its row: the place of its first cell in fours, above five bits for the logarithm of its length. */
  rows: Int32Array;
  /** Number of a second part, plus 1, for each place in a row; 0 for none. */
  cells: Int32Array;
  /** For each cell the number of its state; empty where nobody asks for it. */
  numbers: Int32Array;
}

/** What a store is for. */
export interface StoreOptions {
  /** Whether states are asked for their numbers, which takes twice the memory for rows. */
  readonly numbered: boolean;
  /** Whether other threads read; then what a row has left behind when it grew is not used again. */
  readonly shared: boolean;
}

const ROW_BITS = 5;
/** A row that is new has 2 ** ROW_LEAST places. */
const ROW_LEAST = 2;
/** Cells at most: a row's number has 32 - {@link ROW_BITS} bits for its place in fours. */
const CELLS_MAX = 2 ** 29;
const startOf = (row: number): number => (row >>> ROW_BITS) << 2;
/** Where in `row` a second part is looked for first. */
const placeIn = (row: number, second: number): number =>
  Math.imul(second, 0x9e37_79b1) >>> (32 - (row & (2 ** ROW_BITS - 1)));
const lastOf = (row: number): number => (1 << (row & (2 ** ROW_BITS - 1))) - 1;

const array = (length: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * length));
function grown(old: Int32Array, length: number): Int32Array {
  const larger = array(length);
  larger.set(old);
  return larger;
}

/** Looking for a part of so many words, translated. */
interface Search {
  /** Where to look for the part behind `from[at]`. */
  readonly hash: (from: Int32Array, at: number) => number;
  /** Number of the part behind `from[at]`; -1 when it isn't there. */
  readonly find: (from: Int32Array, at: number) => number;
  /** The same; `known` when it is the one behind `than[at]`. */
  readonly findUnlike: (from: Int32Array, at: number, than: Int32Array, known: number) => number;
}

function translate(memory: PartsMemory): Search {
  const { width } = memory;
  const every = (of: (word: number) => string, operator: string, none: string): string =>
    width === 0 ? none : Array.from({ length: width }, (_, word) => of(word)).join(operator);
  const take = every((word) => `const x${word} = from[at + ${word}];`, ' ', '');
  // Products don't wait for each other; bits above reach those below before them, and all of them after.
  const hash = every(
    (word) => `Math.imul(x${word} ^ x${word} >>> 15, ${ODD[word % ODD.length]} + ${word * 2})`,
    ' + ',
    '0',
  );
  return new Function(
    'memory',
    'spread',
    `'use strict';
    const hash = (from, at) => { ${take} return spread(${hash} | 0); };
    const find = (from, at) => {
      ${take}
      const { words, table } = memory;
      const mask = table.length - 1;
      for (let slot = spread(${hash} | 0) & mask; ; slot = (slot + 1) & mask) {
        const entry = table[slot];
        if (entry === 0) return -1;
        const start = (entry - 1) * ${width};
        if (${every((word) => `words[start + ${word}] === x${word}`, ' && ', 'true')}) return entry - 1;
      }
    };
    const findUnlike = (from, at, than, known) =>
      (${every((word) => `(from[at + ${word}] ^ than[at + ${word}])`, ' | ', '0')}) === 0 ? known : find(from, at);
    return { hash, find, findUnlike };`,
  )(memory, spread) as Search;
}

/** Odd numbers with bits here and there. */
const ODD = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1, 0xd3a2_646d, 0xfd70_46c5, 0xb55a_4f09];

/** Parts of states, each once. */
class Parts {
  readonly memory: PartsMemory;
  count = 0;
  /** Times that the arrays were replaced. */
  growths = 0;
  readonly find: Search['find'];
  readonly findUnlike: Search['findUnlike'];
  readonly #hash: Search['hash'];

  constructor(memory: PartsMemory) {
    this.memory = memory;
    ({ find: this.find, findUnlike: this.findUnlike, hash: this.#hash } = translate(memory));
  }

  /** @returns number of the part behind `from[at]`, which is added unless it is there */
  add(from: Int32Array, at: number): number {
    const { memory } = this;
    const { width } = memory;
    const known = this.find(from, at);
    if (known >= 0) return known;
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
    let slot = this.#hash(words, part * width) & mask;
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
  /** States so far; only in the thread that adds them, as are all below. */
  count = 0;
  #growths = 0;
  readonly #options: StoreOptions;
  /** Cells that have been given to rows. */
  #cells = 0;
  /** How many second parts each row has. */
  #filled = new Int32Array(64);
  /** Rows that were left behind, by the logarithm of their length. */
  readonly #left: number[][] = Array.from({ length: 32 }, () => []);

  constructor(memory: StoreMemory, options: StoreOptions = { numbered: false, shared: true }) {
    this.memory = memory;
    this.#options = options;
    this.first = new Parts(memory.first);
    this.second = new Parts(memory.second);
  }

  /** A store without states. @param words - of a state, of which the second part begins with word `split` */
  static create(words: number, split: number, options: StoreOptions): StateStore {
    const parts = (width: number): PartsMemory => ({ width, words: array(64 * Math.max(1, width)), table: array(128) });
    const memory = {
      first: parts(split),
      second: parts(words - split),
      pairs: array(2 * 1024),
      parents: array(1024),
      rows: array(64),
      cells: array(4096),
      numbers: array(options.numbered ? 4096 : 0),
    };
    return new StateStore(memory, options);
  }

  /** Changes when {@link StateStore.memory} has new arrays. */
  get version(): number {
    return this.#growths + this.first.growths + this.second.growths;
  }

  /**
   * Finds `count` states by their parts.
   *
   * @param first - numbers of their first parts; below 0 for one that isn't in the store
   * @param second - likewise
   * @param into - gets their numbers, or 0 in a store without; -1 where one isn't in the store
   */
  findAll(first: Int32Array, second: Int32Array, count: number, into: Int32Array): void {
    const { rows, cells, numbers } = this.memory;
    const { numbered } = this.#options;
    // Each look waits for memory; here many wait at once.
    for (let index = 0; index < count; index++) {
      const one = first[index]!;
      const row = one < 0 || one >= rows.length ? 0 : rows[one]!;
      into[index] = row === 0 ? 0 : cells[startOf(row) + placeIn(row, second[index]!)]!;
    }
    for (let index = 0; index < count; index++) {
      const other = second[index]!;
      const seen = into[index]!;
      into[index] = -1;
      if (seen === 0 || other < 0) continue;
      if (seen === other + 1 && !numbered) {
        into[index] = 0;
        continue;
      }
      // Another thread may have made the row a longer one meanwhile.
      const row = rows[first[index]!]!;
      const start = startOf(row);
      for (let place = placeIn(row, other); ; place = (place + 1) & lastOf(row)) {
        // Nor need this thread have the array in which that is.
        const cell = cells[start + place] ?? 0;
        if (cell === other + 1) into[index] = numbered ? numbers[start + place]! : 0;
        if (cell === other + 1 || cell === 0) break;
      }
    }
  }

  /**
   * Adds the state with these parts, unless it is there.
   *
   * @returns its number; in a store without, 0 for one that was there
   */
  add(first: number, second: number, parent: number): number {
    const { memory } = this;
    let row = first < memory.rows.length ? memory.rows[first]! : 0;
    if (row === 0 || 4 * (this.#filled[first]! + 1) > 3 * (lastOf(row) + 1)) row = this.#growRow(first, row);
    const { cells, numbers } = memory;
    const start = startOf(row);
    let place = placeIn(row, second);
    for (; cells[start + place] !== 0; place = (place + 1) & lastOf(row)) {
      if (cells[start + place] === second + 1) return this.#options.numbered ? numbers[start + place]! : 0;
    }
    if (this.count === memory.parents.length) {
      memory.pairs = grown(memory.pairs, this.count * 4);
      memory.parents = grown(memory.parents, this.count * 2);
      this.#growths++;
    }
    const state = this.count++;
    memory.pairs[2 * state] = first;
    memory.pairs[2 * state + 1] = second;
    memory.parents[state] = parent;
    if (this.#options.numbered) numbers[start + place] = state;
    cells[start + place] = second + 1;
    this.#filled[first]!++;
    return state;
  }

  /** A row of twice the length for a first part. */
  #growRow(first: number, old: number): number {
    const { memory } = this;
    if (first >= memory.rows.length) {
      memory.rows = grown(memory.rows, 2 * memory.rows.length);
      this.#growths++;
    }
    if (first >= this.#filled.length) {
      const filled = new Int32Array(2 * this.#filled.length);
      filled.set(this.#filled);
      this.#filled = filled;
    }
    const row = this.#take(old === 0 ? ROW_LEAST : (old & (2 ** ROW_BITS - 1)) + 1);
    const { cells, numbers } = memory;
    const [from, to] = [startOf(old), startOf(row)];
    for (let at = from; old !== 0 && at <= from + lastOf(old); at++) {
      const cell = cells[at]!;
      if (cell === 0) continue;
      let place = placeIn(row, cell - 1);
      while (cells[to + place] !== 0) place = (place + 1) & lastOf(row);
      if (this.#options.numbered) numbers[to + place] = numbers[at]!;
      cells[to + place] = cell;
    }
    memory.rows[first] = row;
    if (old !== 0 && !this.#options.shared) {
      cells.fill(0, from, from + lastOf(old) + 1);
      this.#left[old & (2 ** ROW_BITS - 1)]!.push(old);
    }
    return row;
  }

  /** An empty row. */
  #take(logarithm: number): number {
    const left = this.#left[logarithm]!.pop();
    if (left !== undefined) return left;
    const { memory } = this;
    const start = this.#cells;
    this.#cells += 1 << logarithm;
    if (this.#cells > CELLS_MAX) throw new RangeError(`more than ${this.count} states`);
    if (this.#cells > memory.cells.length) {
      const length = Math.max(2 * memory.cells.length, 2 ** Math.ceil(Math.log2(this.#cells)));
      memory.cells = grown(memory.cells, length);
      if (this.#options.numbered) memory.numbers = grown(memory.numbers, length);
      this.#growths++;
    }
    return ((start >>> 2) << ROW_BITS) | logarithm;
  }

  /** Writes the words of `state` behind `to[at]`. */
  load(state: number, to: Int32Array, at: number): void {
    const { pairs } = this.memory;
    this.loadParts(pairs[2 * state]!, pairs[2 * state + 1]!, to, at);
  }

  /** Writes the words of the state with these parts behind `to[at]`. */
  loadParts(one: number, other: number, to: Int32Array, at: number): void {
    const { first, second } = this.memory;
    let start = one * first.width;
    for (let word = 0; word < first.width; word++) to[at + word] = first.words[start++]!;
    start = other * second.width;
    for (let word = 0; word < second.width; word++) to[at + first.width + word] = second.words[start++]!;
  }

  /** States on the way from the initial one to `state`, both included. */
  path(state: number): number[] {
    const states: number[] = [];
    for (let at = state; at >= 0; at = this.memory.parents[at]!) states.push(at);
    return states.reverse();
  }

  /** Bytes in use: states, parents, rows and parts. */
  get bytes(): number {
    const { first, second } = this;
    const cells = 4 * this.#cells * (this.#options.numbered ? 2 : 1);
    return this.count * 12 + cells + 4 * first.count + first.bytes + second.bytes;
  }

  /** Bytes that it takes at most to add `more` states, what is copied when an array is full included. */
  bytesFor(more: number): number {
    const { pairs, parents, cells, numbers, first, second } = this.memory;
    const copied = this.count + more > parents.length ? pairs.byteLength + parents.byteLength : 0;
    const cellsCopied = this.#cells + 16 * more > cells.length ? cells.byteLength + numbers.byteLength : 0;
    return this.bytes + more * (12 + 16 + 4 * (first.width + second.width)) + copied + cellsCopied;
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

function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
