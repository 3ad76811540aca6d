/**
 * Registered memory of one adapter: who may reach which bytes, with the reason when somebody may not.
 *
 * Theory of operation: a key is looked up for every segment that is placed or sent, so that from the return of a
 * deregistration on nothing reaches the memory. Addresses are made of a base for each `ArrayBuffer` and the offset in
 * it. Neither bases nor keys are given out again while the adapter is open; keys begin at a random place.
 */

import type { MemoryRegion } from '../adapter.ts';
import { AdapterStatus, MemoryAccess } from '../adapter.ts';

/** Why memory can't be reached. */
export type Refusal = 'unknownKey' | 'otherDomain' | 'access' | 'bounds';

/** A registered region. Its keys are as signed numbers: such are part of an object, where larger ones are objects of their own. */
export interface Region {
  readonly id: number;
  /** 0 from the deregistration on. */
  localKey: number;
  readonly remoteKey: number;
  readonly address: number;
  readonly protectionDomain: number;
  /** Empty from the deregistration on. */
  memory: Uint8Array;
  readonly access: number;
}

const NOTHING = new Uint8Array(0);
const PAGE_BYTES = 4096;
const KEY_STEP = 0x9e37_79b1;

export class MemoryTable {
  readonly #domains = new Set<number>();
  readonly #regions = new Map<number, Region>();
  readonly #byKey = new Map<number, Region>();
  readonly #baseOf = new WeakMap<ArrayBufferLike, number>();
  #nextBase = PAGE_BYTES;
  #nextDomain = 0;
  #nextRegion = 0;
  #key: number;

  /** @param firstKey - 32 bits; random, so that a peer of an earlier process can't reach this one's memory */
  constructor(firstKey: number) {
    this.#key = firstKey;
  }

  get regionCount(): number {
    return this.#regions.size;
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
    const id = this.#nextRegion++;
    const localKey = this.newKey();
    const remoteKey = (access & remote) === 0 ? 0 : this.newKey();
    const address = this.#addressOf(memory);
    const region: Region = {
      id,
      localKey: localKey | 0,
      remoteKey: remoteKey | 0,
      address,
      protectionDomain,
      memory,
      access,
    };
    this.#regions.set(id, region);
    this.#byKey.set(region.localKey, region);
    if (remoteKey !== 0) this.#byKey.set(region.remoteKey, region);
    return { id, localKey, remoteKey, address };
  }

  deregister(regionId: number): void {
    const region = this.#regions.get(regionId);
    if (region === undefined) return;
    this.#regions.delete(regionId);
    this.#byKey.delete(region.localKey);
    this.#byKey.delete(region.remoteKey);
    region.localKey = 0;
    region.memory = NOTHING;
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
    if (region === undefined || region.remoteKey !== (key | 0)) return 'unknownKey';
    if (region.protectionDomain !== protectionDomain) return 'otherDomain';
    if ((region.access & MemoryAccess.remoteInvalidate) === 0) return 'access';
    this.#byKey.delete(region.remoteKey);
    return null;
  }

  /**
   * The region with the bytes that an element of a work request names, or why not.
   *
   * @param likely - the region, if it is still registered and has the key: looking there first finds what is in the cache
   */
  local(
    protectionDomain: number,
    key: number,
    address: number,
    length: number,
    access: number,
    likely: Region | null = null,
  ): Region | Refusal {
    const signed = key | 0;
    const region = likely !== null && likely.localKey === signed ? likely : this.#byKey.get(signed);
    if (region === undefined || region.localKey !== signed || signed === 0) return 'unknownKey';
    return refusalOf(region, protectionDomain, address, length, access) ?? region;
  }

  /** The region with the bytes that a peer names, or why not. */
  remote(protectionDomain: number, key: number, address: number, length: number, access: number): Region | Refusal {
    const region = this.#byKey.get(key | 0);
    // A local key is none for the peer: knowing it gives no right.
    if (region === undefined || region.remoteKey !== (key | 0)) return 'unknownKey';
    return refusalOf(region, protectionDomain, address, length, access) ?? region;
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

/** Why `length` bytes at `address` can't be had of `region`; null when they can. */
function refusalOf(
  region: Region,
  protectionDomain: number,
  address: number,
  length: number,
  access: number,
): Refusal | null {
  if (region.protectionDomain !== protectionDomain) return 'otherDomain';
  if ((region.access & access) !== access) return 'access';
  const start = address - region.address;
  if (start < 0 || start + length > region.memory.byteLength) return 'bounds';
  return null;
}
