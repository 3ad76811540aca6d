/**
 * Descriptors: numbers that name live objects and are never used again for others.
 *
 * Theory of operation: a number holds the object's row and a count that grows with every number given out, so a stale or
 * foreign one is found out by one comparison.
 */

const ROW_BITS = 20;
const ROWS = 2 ** ROW_BITS;
/** A descriptor, to be read as words: to make a number of a bigint takes a call into V8. */
const long = new BigUint64Array(1);
const words = new Uint32Array(long.buffer);
const rowOf = (descriptor: bigint): number => {
  long[0] = descriptor;
  return words[0]! & (ROWS - 1);
};

/** Numbers given out so far by all tables: another provider's are strangers here. */
let issued = 0;

export class DescriptorTable<T> {
  readonly #values: (bigint | undefined)[] = [];
  readonly #objects: (T | undefined)[] = [];
  readonly #overflow = new Map<bigint, T>();
  /** The one looked up last: calls come in runs on one object. */
  #last = -1n;
  #lastObject: T | undefined;

  /** @returns a number for an object in `row` that no object has had */
  next(row: number): bigint {
    issued++;
    return BigInt(issued) * BigInt(ROWS) + BigInt(row % ROWS);
  }

  set(descriptor: bigint, object: T): void {
    const row = rowOf(descriptor);
    if (this.#values[row] !== undefined && this.#values[row] !== descriptor) {
      this.#overflow.set(descriptor, object);
      return;
    }
    this.#values[row] = descriptor;
    this.#objects[row] = object;
  }

  /** @returns the object, or undefined for anything that isn't a live descriptor of this table */
  get(descriptor: bigint): T | undefined {
    if (typeof descriptor !== 'bigint') return undefined;
    if (descriptor === this.#last) return this.#lastObject;
    const row = rowOf(descriptor);
    if (this.#values[row] === descriptor) {
      this.#last = descriptor;
      this.#lastObject = this.#objects[row];
      return this.#lastObject;
    }
    return this.#overflow.get(descriptor);
  }

  delete(descriptor: bigint): void {
    this.#last = -1n;
    this.#lastObject = undefined;
    const row = rowOf(descriptor);
    if (this.#values[row] === descriptor) {
      this.#values[row] = undefined;
      this.#objects[row] = undefined;
    } else {
      this.#overflow.delete(descriptor);
    }
  }

  clear(): void {
    this.#last = -1n;
    this.#lastObject = undefined;
    this.#values.length = 0;
    this.#objects.length = 0;
    this.#overflow.clear();
  }
}
