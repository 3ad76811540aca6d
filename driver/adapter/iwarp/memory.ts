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

/** A registered region, and what it is. */
export interface Region extends MemoryRegion {
  readonly protectionDomain: number;
  readonly memory: Uint8Array;
  readonly access: number;
}

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
    const region: Region = {
      id: this.#nextRegion++,
      localKey: this.newKey(),
      remoteKey: (access & remote) === 0 ? 0 : this.newKey(),
      address: this.#addressOf(memory),
      protectionDomain,
      memory,
      access,
    };
    this.#regions.set(region.id, region);
    this.#byKey.set(region.localKey, region);
    if (region.remoteKey !== 0) this.#byKey.set(region.remoteKey, region);
    const { id, localKey, remoteKey, address } = region;
    return { id, localKey, remoteKey, address };
  }

  deregister(regionId: number): void {
    const region = this.#regions.get(regionId);
    if (region === undefined) return;
    this.#regions.delete(regionId);
    this.#byKey.delete(region.localKey);
    this.#byKey.delete(region.remoteKey);
  }

  /** A key that no region has or had; never 0. */
  newKey(): number {
    do this.#key = (this.#key + KEY_STEP) >>> 0;
    while (this.#key === 0 || this.#byKey.has(this.#key));
    return this.#key;
  }

  /**
   * Whether a peer may end the key of a region, and ends it if so: the region stays, for its owner alone.
   *
   * @returns null when it is done, or why not: 'access' when the owner doesn't let peers invalidate
   */
  invalidate(protectionDomain: number, key: number): Exclude<Refusal, 'bounds'> | null {
    const region = this.#byKey.get(key);
    if (region === undefined || region.remoteKey !== key) return 'unknownKey';
    if (region.protectionDomain !== protectionDomain) return 'otherDomain';
    if ((region.access & MemoryAccess.remoteInvalidate) === 0) return 'access';
    this.#byKey.delete(key);
    return null;
  }

  /** The region with the bytes that an element of a work request names, or why not. */
  local(protectionDomain: number, key: number, address: number, length: number, access: number): Region | Refusal {
    const region = this.#byKey.get(key);
    if (region === undefined || region.localKey !== key) return 'unknownKey';
    return refusalOf(region, protectionDomain, address, length, access) ?? region;
  }

  /** The region with the bytes that a peer names, or why not. */
  remote(protectionDomain: number, key: number, address: number, length: number, access: number): Region | Refusal {
    const region = this.#byKey.get(key);
    // A local key is none for the peer: knowing it gives no right.
    if (region === undefined || region.remoteKey !== key) return 'unknownKey';
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
