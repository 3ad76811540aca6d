/**
 * Registered memory of one adapter: who may reach which bytes, with the reason when somebody may not.
 *
 * Theory of operation: a key is looked up for every segment that is placed or sent, so that from the return of a
 * deregistration on nothing reaches the memory. Addresses are made of a base for each `ArrayBuffer` and the offset in
 * it. Neither bases nor keys are given out again while the adapter is open; keys begin at a random place.
 *
 * A region is a number, that of its row in one array for all: what a segment needs of it are a few neighbouring words.
 */

import type { MemoryRegion } from '../adapter.ts';
import { AdapterStatus, MemoryAccess } from '../adapter.ts';

/** Why memory can't be reached. */
export type Refusal = 'unknownKey' | 'otherDomain' | 'access' | 'bounds';

/** Words of one region's row. */
const REGION_WORDS = 8;
/** Word offsets in it. Keys are as signed numbers. */
const RegionField = {
  /** 0 from the deregistration on. */
  localKey: 0,
  remoteKey: 1,
  domain: 2,
  access: 3,
  addressLow: 4,
  addressHigh: 5,
} as const;

/** What {@link MemoryTable.local} and {@link MemoryTable.remote} return instead of a region: -1 for the first, and so on. */
const REFUSALS = ['unknownKey', 'otherDomain', 'access', 'bounds'] as const satisfies readonly Refusal[];
const [UNKNOWN_KEY, OTHER_DOMAIN, NO_ACCESS, OUT_OF_BOUNDS] = [-1, -2, -3, -4];

/** What a negative answer of {@link MemoryTable.local} or {@link MemoryTable.remote} says. */
export const refusalIn = (answer: number): Refusal => REFUSALS[-1 - answer]!;

const NOTHING = new Uint8Array(0);
const PAGE_BYTES = 4096;
const KEY_STEP = 0x9e37_79b1;

export class MemoryTable {
  readonly #domains = new Set<number>();
  #words = new Int32Array(64 * REGION_WORDS);
  /** The memory of each region; empty from its deregistration on. */
  readonly #memories: Uint8Array[] = [];
  /** Rows that are free again. */
  readonly #free: number[] = [];
  readonly #byKey = new Map<number, number>();
  readonly #baseOf = new WeakMap<ArrayBufferLike, number>();
  #nextBase = PAGE_BYTES;
  #nextDomain = 0;
  #key: number;

  /** @param firstKey - 32 bits; random, so that a peer of an earlier process can't reach this one's memory */
  constructor(firstKey: number) {
    this.#key = firstKey;
  }

  get regionCount(): number {
    return this.#memories.length - this.#free.length;
  }

  allocateDomain(): number {
    this.#domains.add(this.#nextDomain);
    return this.#nextDomain++;
  }

  freeDomain(id: number): void {
    this.#domains.delete(id);
  }

  register(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number {
    const remote = MemoryAccess.remoteRead | MemoryAccess.remoteWrite;
    if (!this.#domains.has(protectionDomain) || memory.byteLength === 0) return AdapterStatus.badMemory;
    // As in verbs: no right to write for the peer which the owner itself doesn't have.
    if ((access & MemoryAccess.remoteWrite) !== 0 && (access & MemoryAccess.localWrite) === 0) {
      return AdapterStatus.badMemory;
    }
    const localKey = this.newKey();
    const remoteKey = (access & remote) === 0 ? 0 : this.newKey();
    const address = this.#addressOf(memory);
    const id = this.#free.pop() ?? this.#memories.length;
    const at = id * REGION_WORDS;
    if (at === this.#words.length) {
      const grown = new Int32Array(2 * this.#words.length);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#memories[id] = memory;
    const words = this.#words;
    words[at + RegionField.localKey] = localKey;
    words[at + RegionField.remoteKey] = remoteKey;
    words[at + RegionField.domain] = protectionDomain;
    words[at + RegionField.access] = access;
    words[at + RegionField.addressLow] = address % 2 ** 32;
    words[at + RegionField.addressHigh] = Math.floor(address / 2 ** 32);
    this.#byKey.set(localKey | 0, id);
    if (remoteKey !== 0) this.#byKey.set(remoteKey | 0, id);
    return { id, localKey, remoteKey, address };
  }

  deregister(regionId: number): void {
    const at = regionId * REGION_WORDS;
    const words = this.#words;
    if (regionId >= this.#memories.length || words[at + RegionField.localKey] === 0) return;
    this.#byKey.delete(words[at + RegionField.localKey]!);
    this.#byKey.delete(words[at + RegionField.remoteKey]!);
    words[at + RegionField.localKey] = 0;
    words[at + RegionField.remoteKey] = 0;
    this.#memories[regionId] = NOTHING;
    this.#free.push(regionId);
  }

  /** A key that no region has or had; never 0. */
  newKey(): number {
    do this.#key = (this.#key + KEY_STEP) >>> 0;
    while (this.#key === 0 || this.#byKey.has(this.#key | 0));
    return this.#key;
  }

  /**
   * Whether a peer may end the key of a region, and ends it if so: the region stays, for its owner alone.
   *
   * @returns null when it is done, or why not: 'access' when the owner doesn't let peers invalidate
   */
  invalidate(protectionDomain: number, key: number): Exclude<Refusal, 'bounds'> | null {
    const region = this.#byKey.get(key | 0);
    if (region === undefined) return 'unknownKey';
    const words = this.#words;
    const at = region * REGION_WORDS;
    if (words[at + RegionField.remoteKey] !== (key | 0)) return 'unknownKey';
    if (words[at + RegionField.domain] !== protectionDomain) return 'otherDomain';
    if ((words[at + RegionField.access]! & MemoryAccess.remoteInvalidate) === 0) return 'access';
    this.#byKey.delete(key | 0);
    words[at + RegionField.remoteKey] = 0;
    return null;
  }

  /**
   * The region with the bytes that an element of a work request names.
   *
   * @param likely - the region, if it is still registered and has the key: looking there first finds what is in the cache.
   *   -1 for none
   * @returns the region, or a negative number: see {@link refusalIn}
   */
  local(
    protectionDomain: number,
    key: number,
    address: number,
    length: number,
    access: number,
    likely: number,
  ): number {
    const signed = key | 0;
    if (signed === 0) return UNKNOWN_KEY;
    let region = likely;
    if (likely < 0 || this.#words[likely * REGION_WORDS + RegionField.localKey] !== signed) {
      region = this.#byKey.get(signed) ?? -1;
      if (region < 0 || this.#words[region * REGION_WORDS + RegionField.localKey] !== signed) return UNKNOWN_KEY;
    }
    return this.#reach(region, protectionDomain, address, length, access);
  }

  /** The region with the bytes that a peer names. @returns the region, or a negative number: see {@link refusalIn} */
  remote(protectionDomain: number, key: number, address: number, length: number, access: number): number {
    const region = this.#byKey.get(key | 0);
    // A local key is none for the peer: knowing it gives no right.
    if (region === undefined || this.#words[region * REGION_WORDS + RegionField.remoteKey] !== (key | 0)) {
      return UNKNOWN_KEY;
    }
    return this.#reach(region, protectionDomain, address, length, access);
  }

  /** The bytes of a region. */
  memoryOf(region: number): Uint8Array {
    return this.#memories[region]!;
  }

  /** Address of a region's first byte. */
  addressOf(region: number): number {
    const at = region * REGION_WORDS;
    return (this.#words[at + RegionField.addressLow]! >>> 0) + this.#words[at + RegionField.addressHigh]! * 2 ** 32;
  }

  /** Whether `length` bytes at `address` can be had of `region`. @returns the region, or why not */
  #reach(region: number, protectionDomain: number, address: number, length: number, access: number): number {
    const at = region * REGION_WORDS;
    const words = this.#words;
    if (words[at + RegionField.domain] !== protectionDomain) return OTHER_DOMAIN;
    if ((words[at + RegionField.access]! & access) !== access) return NO_ACCESS;
    const start = address - this.addressOf(region);
    if (start < 0 || start + length > this.#memories[region]!.byteLength) return OUT_OF_BOUNDS;
    return region;
  }

  #addressOf(memory: Uint8Array): number {
    let base = this.#baseOf.get(memory.buffer);
    if (base === undefined) {
      base = this.#nextBase;
      this.#baseOf.set(memory.buffer, base);
      // A page stays free after each buffer: an access beyond its end meets nothing.
      this.#nextBase += Math.ceil(memory.buffer.byteLength / PAGE_BYTES + 1) * PAGE_BYTES;
    }
    return base + memory.byteOffset;
  }
}
