/**
 * Registered memory of one host, and copying between two hosts.
 *
 * An address is made of a base for the underlying `ArrayBuffer` and the offset in it, so that two registrations of
 * one buffer overlap as they would in a process. Neither bases nor keys are given out again: what uses one after
 * its end is refused and never reaches something else by accident.
 */

import type { MemoryRegion } from '../adapter.ts';
import { AdapterStatus, MemoryAccess, WorkRequestField } from '../adapter.ts';
import { AdapterMisuseError } from './misuse.ts';

interface Region extends MemoryRegion {
  readonly protectionDomain: number;
  readonly memory: Uint8Array;
  readonly access: number;
}

interface ProtectionDomain {
  regionCount: number;
  connectorCount: number;
}

/** Distance between the address ranges of two hosts: an address used at the wrong host meets nothing. */
const HOST_ADDRESS_SPAN = 2 ** 44;
const PAGE_SIZE = 4096;

export class MemoryTable {
  readonly #domains = new Map<number, ProtectionDomain>();
  readonly #regions = new Map<number, Region>();
  readonly #regionByLocalKey = new Map<number, Region>();
  readonly #regionByRemoteKey = new Map<number, Region>();
  readonly #baseOf = new WeakMap<ArrayBufferLike, number>();
  #nextBase: number;
  #nextDomain = 0;
  #nextRegion = 0;
  #keyCount: number;

  /** @param hostIndex - 0 to 255 */
  constructor(hostIndex: number) {
    this.#nextBase = HOST_ADDRESS_SPAN * (hostIndex + 1);
    this.#keyCount = hostIndex * 2 ** 24;
  }

  get domainCount(): number {
    return this.#domains.size;
  }

  get regionCount(): number {
    return this.#regions.size;
  }

  allocateDomain(): number {
    const id = this.#nextDomain++;
    this.#domains.set(id, { regionCount: 0, connectorCount: 0 });
    return id;
  }

  freeDomain(id: number): void {
    const { regionCount, connectorCount } = this.#domain(id);
    if (regionCount > 0 || connectorCount > 0) {
      throw new AdapterMisuseError(
        `protection domain ${id}: freed with ${regionCount} regions, ${connectorCount} connectors`,
      );
    }
    this.#domains.delete(id);
  }

  /** A connector uses the domain from now on. */
  attachConnector(id: number): void {
    this.#domain(id).connectorCount++;
  }

  detachConnector(id: number): void {
    this.#domain(id).connectorCount--;
  }

  register(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number {
    const domain = this.#domain(protectionDomain);
    // As in verbs: nothing to pin, or a right to write for the peer which the owner itself doesn't have.
    if (memory.byteLength === 0) return AdapterStatus.badMemory;
    if ((access & MemoryAccess.remoteWrite) !== 0 && (access & MemoryAccess.localWrite) === 0) {
      return AdapterStatus.badMemory;
    }
    const isRemote = (access & (MemoryAccess.remoteRead | MemoryAccess.remoteWrite)) !== 0;
    const region: Region = {
      id: this.#nextRegion++,
      localKey: this.#newKey(),
      remoteKey: isRemote ? this.#newKey() : 0,
      address: this.#addressOf(memory),
      protectionDomain,
      memory,
      access,
    };
    this.#regions.set(region.id, region);
    this.#regionByLocalKey.set(region.localKey, region);
    if (isRemote) this.#regionByRemoteKey.set(region.remoteKey, region);
    domain.regionCount++;
    const { id, localKey, remoteKey, address } = region;
    return { id, localKey, remoteKey, address };
  }

  deregister(regionId: number): void {
    const region = this.#regions.get(regionId);
    if (region === undefined) throw new AdapterMisuseError(`region ${regionId}: deregistered but not registered`);
    this.#regions.delete(regionId);
    this.#regionByLocalKey.delete(region.localKey);
    this.#regionByRemoteKey.delete(region.remoteKey);
    this.#domain(region.protectionDomain).regionCount--;
  }

  clear(): void {
    this.#domains.clear();
    this.#regions.clear();
    this.#regionByLocalKey.clear();
    this.#regionByRemoteKey.clear();
  }

  /**
   * Finds the memory of a work request's elements.
   *
   * @param access - rights that the use takes: 0 to read from the elements, `localWrite` to write to them
   * @returns false when an element isn't covered by a region of the domain that allows the use
   */
  findElements(protectionDomain: number, words: Uint32Array, base: number, access: number, into: MemorySpans): boolean {
    into.clear();
    const elementCount = wordAt(words, base + WorkRequestField.elementCount);
    for (let index = 0; index < elementCount; index++) {
      const element = base + WorkRequestField.elements + 4 * index;
      const length = wordAt(words, element + 1);
      if (length === 0) continue;
      const region = this.#regionByLocalKey.get(wordAt(words, element));
      const address = addressAt(words, element + 2);
      if (!allows(region, protectionDomain, address, length, access)) return false;
      into.add(region.memory, address - region.address, length);
    }
    return true;
  }

  /** Finds `length` bytes that a peer names by key. @returns false when the peer may not reach them that way */
  findRemote(
    protectionDomain: number,
    key: number,
    address: number,
    length: number,
    access: number,
    into: MemorySpans,
  ): boolean {
    into.clear();
    // An access to nothing needs no permission: it is how a connection is probed.
    if (length === 0) return true;
    const region = this.#regionByRemoteKey.get(key);
    if (!allows(region, protectionDomain, address, length, access)) return false;
    into.add(region.memory, address - region.address, length);
    return true;
  }

  #domain(id: number): ProtectionDomain {
    const domain = this.#domains.get(id);
    if (domain === undefined) throw new AdapterMisuseError(`protection domain ${id}: not allocated`);
    return domain;
  }

  /** Every key once in 2^32, and consecutive ones far apart, so that a wrong key isn't a neighbour's. */
  #newKey(): number {
    this.#keyCount++;
    return Math.imul(this.#keyCount, 0x9e3779b1) >>> 0;
  }

  #addressOf(memory: Uint8Array): number {
    let base = this.#baseOf.get(memory.buffer);
    if (base === undefined) {
      base = this.#nextBase;
      this.#baseOf.set(memory.buffer, base);
      // A page stays free after each buffer: an access beyond its end meets nothing.
      this.#nextBase += Math.ceil(memory.buffer.byteLength / PAGE_SIZE + 1) * PAGE_SIZE;
    }
    return base + memory.byteOffset;
  }
}

function allows(
  region: Region | undefined,
  protectionDomain: number,
  address: number,
  length: number,
  access: number,
): region is Region {
  return (
    region !== undefined &&
    region.protectionDomain === protectionDomain &&
    (region.access & access) === access &&
    address >= region.address &&
    address + length <= region.address + region.memory.byteLength
  );
}

/** Pieces of memory, one after the other. Reused from request to request, so that finding them allocates nothing. */
export class MemorySpans {
  readonly #memories: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  /** Bytes in all pieces together. */
  byteCount = 0;

  clear(): void {
    this.#memories.length = 0;
    this.#starts.length = 0;
    this.#lengths.length = 0;
    this.byteCount = 0;
  }

  add(memory: Uint8Array, start: number, length: number): void {
    this.#memories.push(memory);
    this.#starts.push(start);
    this.#lengths.push(length);
    this.byteCount += length;
  }

  /** Copies all bytes to the beginning of `target`, which is no shorter, and lets go of both memories. */
  moveTo(target: MemorySpans): void {
    let targetIndex = 0;
    let targetDone = 0;
    for (const [index, memory] of this.#memories.entries()) {
      const length = this.#lengths[index] ?? 0;
      for (let done = 0; done < length; ) {
        const targetMemory = target.#memories[targetIndex];
        if (targetMemory === undefined) throw new RangeError('copy: target is shorter than source');
        const targetLength = target.#lengths[targetIndex] ?? 0;
        const step = Math.min(length - done, targetLength - targetDone);
        const from = (this.#starts[index] ?? 0) + done;
        targetMemory.set(memory.subarray(from, from + step), (target.#starts[targetIndex] ?? 0) + targetDone);
        done += step;
        targetDone += step;
        if (targetDone === targetLength) {
          targetIndex++;
          targetDone = 0;
        }
      }
    }
    this.clear();
    target.clear();
  }
}

export function wordAt(words: Uint32Array, index: number): number {
  return words[index] ?? 0;
}

/** A 64-bit address, low word first; exact up to 2^53 and refused as out of bounds above. */
export function addressAt(words: Uint32Array, index: number): number {
  return wordAt(words, index) + wordAt(words, index + 1) * 2 ** 32;
}
