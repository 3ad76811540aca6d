/**
 * Immediate adapter: the other side of a benchmark, with no network in it.
 *
 * Theory of operation: every connection is up at once and every send, write and read succeeds at the next poll;
 * nobody ever connects, and no receive is ever met, so receives stay posted until a disconnect flushes them. All
 * state is in typed arrays that double when they are full: the data path allocates nothing, and what is measured on
 * it is the driver.
 */

import type { Adapter, AdapterCapabilities, ConnectionEvent, MemoryRegion, QueueDepths, WakeUp } from './adapter.ts';
import {
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from './adapter.ts';
import { CompletionRing } from './simulated/completion-ring.ts';
import { wordAt } from './simulated/memory.ts';

const BATCH_MAX = 256;
const NONE = -1;
const NO_DATA: Uint8Array = new Uint8Array(0);

/** What becomes of a connector, as a number in a typed array. */
const ConnectorState = { free: 0, idle: 1, established: 2, ended: 3, destroyed: 4 } as const;

export class ImmediateAdapter implements Adapter {
  readonly name = 'immediate';
  readonly capabilities: AdapterCapabilities = {
    messageSizeMax: 0x4000_0000,
    rdmaSizeMax: 0x4000_0000,
    sendDepthMax: 0x10_0000,
    receiveDepthMax: 0x10_0000,
    elementsMax: 4,
    readDepthMax: 16,
    privateDataMax: { connect: 56, accept: 196, reject: 148 },
  };
  readonly workRequests: Uint32Array = new Uint32Array(BATCH_MAX * WORK_REQUEST_WORDS);
  readonly postBatchMax = BATCH_MAX;
  readonly completions: Uint32Array = new Uint32Array(BATCH_MAX * COMPLETION_WORDS);
  readonly pollBatchMax = BATCH_MAX;
  readonly wakeUp: WakeUp = { arm: () => this.#isReady(), wait: queueMicrotask };

  readonly #addresses: readonly string[];
  #protectionDomainCount = 0;
  #regionCount = 0;
  #listenerCount = 0;
  #nextId = 0;
  #nextAddress = 0x1000;

  // Connectors, by id. A destroyed one stays until nothing that names it is queued; then its id is free again.
  #connectorCount = 0;
  #connectorsUsed = 0;
  #connectorFree = NONE;
  #state = new Uint8Array(64);
  #sendDepth = new Uint32Array(64);
  #receiveDepth = new Uint32Array(64);
  #sendsPosted = new Uint32Array(64);
  #receivesPosted = new Uint32Array(64);
  /** Completions and events in the two rings that name the connector. */
  #queued = new Uint32Array(64);
  /** Oldest posted receive; of a free connector, the next free one. */
  #receiveFirst = new Int32Array(64);
  #receiveLast = new Int32Array(64);

  // Posted receives: lists through one pool of places.
  #receiveCount = 0;
  #placesUsed = 0;
  #placeFree = NONE;
  #placeNext = new Int32Array(64);
  #placeContext = new Uint32Array(64);

  readonly #ring = new CompletionRing();
  /** Connectors with an `established` to report, oldest first. */
  #established = new Uint32Array(64);
  #establishedFirst = 0;
  #establishedCount = 0;

  /** @param addresses - served; canonical text form */
  constructor(addresses: readonly string[] = ['10.0.0.1']) {
    this.#addresses = addresses;
  }

  open(): number {
    return AdapterStatus.ok;
  }

  close(): void {
    this.#protectionDomainCount = 0;
    this.#regionCount = 0;
    this.#listenerCount = 0;
    this.#connectorCount = 0;
    this.#connectorsUsed = 0;
    this.#connectorFree = NONE;
    this.#receiveCount = 0;
    this.#placesUsed = 0;
    this.#placeFree = NONE;
    this.#ring.clear();
    this.#establishedCount = 0;
  }

  addresses(): readonly string[] {
    return this.#addresses;
  }

  allocateProtectionDomain(): number {
    this.#protectionDomainCount++;
    return this.#nextId++;
  }

  freeProtectionDomain(): void {
    this.#protectionDomainCount--;
  }

  registerMemory(_protectionDomain: number, memory: Uint8Array): MemoryRegion {
    this.#regionCount++;
    const id = this.#nextId++;
    const address = this.#nextAddress;
    this.#nextAddress += memory.byteLength;
    return { id, localKey: id + 1, remoteKey: id + 1, address };
  }

  deregisterMemory(): void {
    this.#regionCount--;
  }

  listen(): number {
    this.#listenerCount++;
    return this.#nextId++;
  }

  stopListening(): void {
    this.#listenerCount--;
  }

  createConnector(_protectionDomain: number, depths: QueueDepths): number {
    let id = this.#connectorFree;
    if (id === NONE) {
      id = this.#connectorsUsed++;
      if (id === this.#state.length) this.#growConnectors();
    } else {
      this.#connectorFree = this.#receiveFirst[id]!;
    }
    this.#connectorCount++;
    this.#state[id] = ConnectorState.idle;
    this.#sendDepth[id] = depths.send;
    this.#receiveDepth[id] = depths.receive;
    this.#sendsPosted[id] = 0;
    this.#receivesPosted[id] = 0;
    this.#queued[id] = 0;
    this.#receiveFirst[id] = NONE;
    this.#receiveLast[id] = NONE;
    return id;
  }

  connect(connector: number): number {
    if (this.#state[connector] !== ConnectorState.idle) return AdapterStatus.invalidState;
    this.#state[connector] = ConnectorState.established;
    if (this.#establishedCount === this.#established.length) {
      this.#established = unrolled(this.#established, this.#establishedFirst);
      this.#establishedFirst = 0;
    }
    this.#established[(this.#establishedFirst + this.#establishedCount) % this.#established.length] = connector;
    this.#establishedCount++;
    this.#queued[connector]!++;
    return AdapterStatus.ok;
  }

  prepareAccept(): number {
    return AdapterStatus.invalidState;
  }

  accept(): number {
    return AdapterStatus.invalidState;
  }

  reject(): void {
    // Nobody asks, so there is nobody to reject.
  }

  disconnect(connector: number): void {
    const state = this.#state[connector];
    if (state !== ConnectorState.established && state !== ConnectorState.idle) return;
    this.#state[connector] = ConnectorState.ended;
    for (let place = this.#receiveFirst[connector]!; place !== NONE; place = this.#placeNext[place]!) {
      this.#complete(connector, this.#placeContext[place]!, CompletionStatus.flushed, 0, Opcode.receive);
    }
    this.#freeReceives(connector);
  }

  destroyConnector(connector: number): void {
    this.#freeReceives(connector);
    this.#state[connector] = ConnectorState.destroyed;
    this.#connectorCount--;
    this.#freeConnectorIfUnnamed(connector);
  }

  post(count: number): number {
    const words = this.workRequests;
    for (let index = 0; index < count; index++) {
      const base = index * WORK_REQUEST_WORDS;
      const connector = words[base + WorkRequestField.connector]!;
      const context = words[base + WorkRequestField.context]!;
      const isUp = this.#state[connector] === ConnectorState.established;
      const opcode = words[base + WorkRequestField.opcode]!;
      if (opcode === Opcode.receive) {
        if (this.#receivesPosted[connector]! >= this.#receiveDepth[connector]!) return index;
        this.#receivesPosted[connector]!++;
        if (this.#state[connector] !== ConnectorState.ended) this.#keepReceive(connector, context);
        else this.#complete(connector, context, CompletionStatus.flushed, 0, opcode);
      } else {
        if (this.#sendsPosted[connector]! >= this.#sendDepth[connector]!) return index;
        this.#sendsPosted[connector]!++;
        const byteCount = opcode === Opcode.rdmaRead ? elementBytes(words, base) : 0;
        this.#complete(
          connector,
          context,
          isUp ? CompletionStatus.success : CompletionStatus.flushed,
          byteCount,
          opcode,
        );
      }
    }
    return count;
  }

  poll(): number {
    let count = 0;
    while (count < BATCH_MAX && this.#ring.count > 0) {
      const connector = this.#ring.peek(CompletionField.connector);
      this.#queued[connector]!--;
      if (this.#state[connector] === ConnectorState.destroyed) {
        this.#ring.drop();
        this.#freeConnectorIfUnnamed(connector);
        continue;
      }
      if (this.#ring.peek(CompletionField.opcode) === Opcode.receive) this.#receivesPosted[connector]!--;
      else this.#sendsPosted[connector]!--;
      this.#ring.shift(this.completions, count * COMPLETION_WORDS);
      count++;
    }
    return count;
  }

  pollConnectionEvent(): ConnectionEvent | null {
    while (this.#establishedCount > 0) {
      const connector = this.#established[this.#establishedFirst]!;
      this.#establishedFirst = (this.#establishedFirst + 1) % this.#established.length;
      this.#establishedCount--;
      this.#queued[connector]!--;
      if (this.#state[connector] !== ConnectorState.destroyed) {
        return { type: 'established', connector, privateData: NO_DATA };
      }
      this.#freeConnectorIfUnnamed(connector);
    }
    return null;
  }

  /** What is held at the moment, for tests; all 0 after a proper tear-down. */
  inventory(): {
    readonly protectionDomains: number;
    readonly regions: number;
    readonly connectors: number;
    readonly listeners: number;
    readonly postedReceives: number;
  } {
    return {
      protectionDomains: this.#protectionDomainCount,
      regions: this.#regionCount,
      connectors: this.#connectorCount,
      listeners: this.#listenerCount,
      postedReceives: this.#receiveCount,
    };
  }

  #isReady(): boolean {
    return this.#ring.count > 0 || this.#establishedCount > 0;
  }

  #complete(connector: number, context: number, status: number, byteCount: number, opcode: number): void {
    this.#ring.push(connector, context, status, byteCount, opcode, 0);
    this.#queued[connector]!++;
  }

  #keepReceive(connector: number, context: number): void {
    let place = this.#placeFree;
    if (place === NONE) {
      place = this.#placesUsed++;
      if (place === this.#placeNext.length) {
        this.#placeNext = doubled(this.#placeNext);
        this.#placeContext = doubled(this.#placeContext);
      }
    } else {
      this.#placeFree = this.#placeNext[place]!;
    }
    this.#placeNext[place] = NONE;
    this.#placeContext[place] = context;
    const last = this.#receiveLast[connector]!;
    if (last === NONE) this.#receiveFirst[connector] = place;
    else this.#placeNext[last] = place;
    this.#receiveLast[connector] = place;
    this.#receiveCount++;
  }

  /** Gives the whole list back at once: the free list goes on where it ends. */
  #freeReceives(connector: number): void {
    const first = this.#receiveFirst[connector]!;
    if (first === NONE) return;
    for (let place = first; place !== NONE; place = this.#placeNext[place]!) this.#receiveCount--;
    this.#placeNext[this.#receiveLast[connector]!] = this.#placeFree;
    this.#placeFree = first;
    this.#receiveFirst[connector] = NONE;
    this.#receiveLast[connector] = NONE;
  }

  #freeConnectorIfUnnamed(connector: number): void {
    if (this.#queued[connector] !== 0) return;
    this.#state[connector] = ConnectorState.free;
    this.#receiveFirst[connector] = this.#connectorFree;
    this.#connectorFree = connector;
  }

  #growConnectors(): void {
    this.#state = doubled(this.#state);
    this.#sendDepth = doubled(this.#sendDepth);
    this.#receiveDepth = doubled(this.#receiveDepth);
    this.#sendsPosted = doubled(this.#sendsPosted);
    this.#receivesPosted = doubled(this.#receivesPosted);
    this.#queued = doubled(this.#queued);
    this.#receiveFirst = doubled(this.#receiveFirst);
    this.#receiveLast = doubled(this.#receiveLast);
  }
}

function doubled<Column extends Uint8Array | Uint32Array | Int32Array>(column: Column): Column {
  const grown = new (column.constructor as new (length: number) => Column)(column.length * 2);
  grown.set(column);
  return grown;
}

/** A full ring in twice the space, its first entry at 0. */
function unrolled(ring: Uint32Array, first: number): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(ring.length * 2);
  grown.set(ring.subarray(first));
  grown.set(ring.subarray(0, first), ring.length - first);
  return grown;
}

function elementBytes(words: Uint32Array, base: number): number {
  let byteCount = 0;
  const elementCount = words[base + WorkRequestField.elementCount]!;
  for (let index = 0; index < elementCount; index++) {
    byteCount += wordAt(words, base + WorkRequestField.elements + 4 * index + 1);
  }
  return byteCount;
}
