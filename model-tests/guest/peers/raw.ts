/**
 * A connector of an adapter, for what the provider interface can't express: private data, keys that nobody gave out.
 *
 * Theory of operation: one adapter, one protection domain, one completion at a time; whoever waits polls when the
 * adapter wakes.
 */

import assert from 'node:assert/strict';

import {
  type Adapter,
  COMPLETION_WORDS,
  CompletionField,
  type ConnectionEvent,
  MemoryAccess,
  type MemoryRegion,
  type Opcode,
  type SocketAddress,
  WorkRequestField,
} from '../../../driver/adapter/adapter.ts';

export interface Completion {
  readonly context: number;
  readonly status: number;
  readonly bytes: number;
  readonly vendorStatus: number;
}
/** What a work request names at the peer. */
export interface Target {
  readonly key: number;
  readonly address: number;
}
type EventOf<Type extends ConnectionEvent['type']> = Extract<ConnectionEvent, { readonly type: Type }>;

const DEPTHS = { send: 16, receive: 16 };
const { localWrite, remoteRead, remoteWrite, remoteInvalidate } = MemoryAccess;
const ACCESS = localWrite | remoteRead | remoteWrite;

export class Raw {
  readonly adapter: Adapter;
  readonly protectionDomain: number;
  readonly #events: ConnectionEvent[] = [];
  readonly #completions: Completion[] = [];
  readonly #regions: number[] = [];
  #connector = -1;
  #nextContext = 1;

  /** @param local - address of its connections */
  constructor(adapter: Adapter, local: string) {
    this.adapter = adapter;
    assert.equal(adapter.open(), 0);
    this.protectionDomain = adapter.allocateProtectionDomain(local);
  }

  /** Frees everything in the order that the adapter wants. */
  close(): void {
    if (this.#connector >= 0) {
      this.adapter.disconnect(this.#connector);
      this.adapter.destroyConnector(this.#connector);
    }
    for (const region of this.#regions) this.adapter.deregisterMemory(region);
    this.adapter.freeProtectionDomain(this.protectionDomain);
    this.adapter.close();
  }

  /** Memory that the peer may read and write, and whose key it may end if `invalidate` says so. */
  register(memory: Uint8Array, invalidate = false): MemoryRegion {
    const access = invalidate ? ACCESS | remoteInvalidate : ACCESS;
    const region = this.adapter.registerMemory(this.protectionDomain, memory, access);
    if (typeof region === 'number') throw new Error(`registerMemory: ${region}`);
    this.#regions.push(region.id);
    return region;
  }

  deregister(region: MemoryRegion): void {
    this.adapter.deregisterMemory(region.id);
    this.#regions.splice(this.#regions.indexOf(region.id), 1);
  }

  /** @returns the listener's id */
  listen(local: SocketAddress): number {
    const listener = this.adapter.listen(local);
    if (listener < 0) throw new Error(`listen: ${listener}`);
    return listener;
  }

  /** Begins to connect; ask for the {@link Raw.event} that ends it. */
  connect(local: SocketAddress, remote: SocketAddress, privateData: Uint8Array): void {
    this.#connector = this.adapter.createConnector(this.protectionDomain, DEPTHS);
    assert.ok(this.#connector >= 0);
    assert.equal(this.adapter.connect(this.#connector, local, remote, privateData), 0);
  }

  /** Waits for a request and makes it ready to be accepted. */
  async request(): Promise<EventOf<'connectRequest'>> {
    const request = await this.event('connectRequest');
    this.#connector = request.connector;
    assert.equal(this.adapter.prepareAccept(this.#connector, this.protectionDomain, DEPTHS), 0);
    return request;
  }

  accept(privateData: Uint8Array): void {
    assert.equal(this.adapter.accept(this.#connector, privateData), 0);
  }

  reject(privateData: Uint8Array): void {
    this.adapter.reject(this.#connector, privateData);
    this.#connector = -1;
  }

  disconnect(): void {
    this.adapter.disconnect(this.#connector);
  }

  /** The next event of the connection, which has to be of that type. */
  async event<Type extends ConnectionEvent['type']>(type: Type): Promise<EventOf<Type>> {
    const event = await this.#next(() => this.#events.shift());
    if (event.type !== type) throw new Error(`${event.type} instead of ${type}`);
    return event as EventOf<Type>;
  }

  /** Posts one work request with one element and `WORK_REQUEST_…` flags. @returns its context */
  post(opcode: Opcode, region: MemoryRegion, from: number, length: number, target?: Target, flags = 0): number {
    const words = this.adapter.workRequests;
    const context = this.#nextContext++;
    const address = region.address + from;
    const remote = target?.address ?? 0;
    words.fill(0, 0, WorkRequestField.elements + 4);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.connector] = this.#connector;
    words[WorkRequestField.context] = context;
    words[WorkRequestField.flags] = flags;
    words[WorkRequestField.elementCount] = 1;
    words[WorkRequestField.remoteKey] = target?.key ?? 0;
    words[WorkRequestField.remoteAddressLow] = remote % 2 ** 32;
    words[WorkRequestField.remoteAddressHigh] = remote / 2 ** 32;
    words[WorkRequestField.elements] = region.localKey;
    words[WorkRequestField.elements + 1] = length;
    words[WorkRequestField.elements + 2] = address % 2 ** 32;
    words[WorkRequestField.elements + 3] = address / 2 ** 32;
    assert.equal(this.adapter.post(1), 1);
    return context;
  }

  /** The next completion, of whatever work request. */
  completion(): Promise<Completion> {
    return this.#next(() => this.#completions.shift());
  }

  async #next<T>(take: () => T | undefined): Promise<T> {
    for (;;) {
      this.#poll();
      const found = take();
      if (found !== undefined) return found;
      if (!this.adapter.wakeUp.arm()) await new Promise<void>((woken) => this.adapter.wakeUp.wait(woken));
    }
  }

  #poll(): void {
    const { adapter } = this;
    for (let count = adapter.poll(); count > 0; count = adapter.poll()) {
      for (let index = 0; index < count; index++) {
        const field = (which: number): number => adapter.completions[index * COMPLETION_WORDS + which]!;
        this.#completions.push({
          context: field(CompletionField.context),
          status: field(CompletionField.status),
          bytes: field(CompletionField.bytes),
          vendorStatus: field(CompletionField.vendorStatus),
        });
      }
    }
    for (let event = adapter.pollConnectionEvent(); event !== null; event = adapter.pollConnectionEvent()) {
      this.#events.push(event);
    }
  }
}
