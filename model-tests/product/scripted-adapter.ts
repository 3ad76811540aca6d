/**
 * Scripted adapter: does what it is told, when it is told, and says what was asked of it.
 *
 * Theory of operation: polled like any other, and never calling back. What the next poll finds is put there by whoever
 * plays the network: one completion or one event at a time, so that a test decides every order. Objects are counted, so
 * that what a driver forgets to free is seen.
 */

import {
  type Adapter,
  type AdapterCapabilities,
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  type ConnectionEvent,
  limits,
  type MemoryRegion,
  type SocketAddress,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/index.ts';

/** A work request as it was posted. */
export interface Posted {
  readonly connector: number;
  readonly context: number;
  readonly opcode: number;
  readonly fence: boolean;
  readonly elements: readonly { readonly key: number; readonly length: number; readonly address: number }[];
}

/** Told of what the driver asks for. */
export interface AdapterListener {
  posted(work: Posted): void;
  called(what: 'open' | 'close'): void;
  /** @param privateData - of a rejection, a request to connect or its acceptance */
  connector(
    what: 'connect' | 'prepare' | 'prepare in vain' | 'accept' | 'reject' | 'disconnect' | 'destroy',
    connector: number,
    privateData?: Uint8Array,
  ): void;
  listener(what: 'listen' | 'stopListening', listener: number, port: number): void;
  memory(what: 'register' | 'deregister', memory: Uint8Array): void;
  domain(what: 'allocate' | 'free', domain: number): void;
}

const BATCH_MAX = 64;

export class ScriptedAdapter implements Adapter {
  readonly name = 'scripted';
  readonly capabilities: AdapterCapabilities = {
    messageSizeMax: 0x1000_0000,
    rdmaSizeMax: 0x1000_0000,
    sendDepthMax: 1024,
    receiveDepthMax: 1024,
    elementsMax: 4,
    readDepthMax: 16,
    privateDataMax: { connect: 56, accept: 196, reject: 148 },
  };
  readonly workRequests = new Uint32Array(BATCH_MAX * WORK_REQUEST_WORDS);
  readonly postBatchMax = BATCH_MAX;
  readonly completions = new Uint32Array(BATCH_MAX * COMPLETION_WORDS);
  readonly pollBatchMax = BATCH_MAX;
  readonly wakeUp = { arm: () => false, wait: queueMicrotask };
  readonly #listener: AdapterListener;
  readonly #regions = new Map<
    number,
    { readonly memory: Uint8Array; readonly address: number; readonly domain: number }
  >();
  readonly #domains = new Set<number>();
  /** With the protection domain of each; -1 for an arrival that was not taken. */
  readonly #connectors = new Map<number, number>();
  /** Those of arrivals that were not accepted. */
  readonly #untaken = new Set<number>();
  readonly #listeners = new Map<number, number>();
  readonly #withdrawn = new Set<number>();
  #completion: readonly number[] | null = null;
  #event: ConnectionEvent | null = null;
  readonly #full = new Set<number>();
  readonly #unwanted = new Set<Uint8Array>();
  #refuseListen = false;
  #connectStatus = 0;
  #openStatus = 0;
  #removed = false;
  readonly #refused = new Set<'prepare' | 'accept'>();
  #nextId = 1;
  #nextAddress = 0x1000;

  constructor(listener: AdapterListener) {
    this.#listener = listener;
  }

  /** The next poll finds this completion. */
  complete({ connector, context, opcode }: Posted, status: number, bytes: number): void {
    const words = new Array<number>(COMPLETION_WORDS).fill(0);
    words[CompletionField.connector] = connector;
    words[CompletionField.context] = context;
    words[CompletionField.status] = status;
    words[CompletionField.bytes] = bytes;
    words[CompletionField.opcode] = opcode;
    this.#completion = words;
  }

  /** The next poll finds this event. */
  announce(event: ConnectionEvent): void {
    this.#event = event;
  }

  /** Nothing was put there that no poll has found. */
  get isQuiet(): boolean {
    return this.#completion === null && this.#event === null;
  }

  /** What was put there is found by nobody. */
  hush(): void {
    this.#completion = null;
    this.#event = null;
  }

  /** Memory that a work request's element names. @throws Error when no region covers it */
  memoryAt({ key, length, address }: Posted['elements'][number]): Uint8Array {
    const region = this.#regions.get(key);
    if (region === undefined) throw new Error(`element with key ${key}: no region has it`);
    const offset = address - region.address;
    if (offset < 0 || offset + length > region.memory.length) throw new Error(`element outside of region ${key}`);
    return region.memory.subarray(offset, offset + length);
  }

  /** Memory that the peer has the key of. @throws Error when there is none such */
  memoryOf(key: number): Uint8Array {
    const region = this.#regions.get(key);
    if (region === undefined) throw new Error(`no region has key ${key}`);
    return region.memory;
  }

  /** A connector that a peer's request brings. */
  arrival(): number {
    const connector = this.#nextId++;
    this.#connectors.set(connector, -1);
    this.#untaken.add(connector);
    return connector;
  }

  /** The peer that asked by `connector` has given up. */
  withdraw(connector: number): void {
    this.#withdrawn.add(connector);
  }

  /** The next work request for a connector is refused for want of room. */
  fill(connector: number): void {
    this.#full.add(connector);
  }

  unfill(connector: number): void {
    this.#full.delete(connector);
  }

  /** The next registration of `memory` is refused for want of resources. */
  refuseRegistration(memory: Uint8Array): void {
    this.#unwanted.add(memory);
  }

  /** The next listener of a socket is refused for want of resources. */
  refuseListen(): void {
    this.#refuseListen = true;
  }

  /** It is gone: nothing is begun any more. */
  remove(): void {
    this.#removed = true;
  }

  /** The next connection can't be prepared, or not accepted. */
  refuseNext(what: 'prepare' | 'accept'): void {
    this.#refused.add(what);
  }
  #refuses(what: 'prepare' | 'accept'): boolean {
    return this.#refused.delete(what);
  }

  /** It can't be opened the next time. */
  refuseOpen(status: number): void {
    this.#openStatus = status;
  }

  /** The next attempt to connect can't begin. */
  refuseConnect(status: number): void {
    this.#connectStatus = status;
  }

  /** @throws Error when nobody listens there */
  listenerAt(port: number): number {
    for (const [listener, at] of this.#listeners) if (at === port) return listener;
    throw new Error(`nobody listens at port ${port}`);
  }

  /** Objects that are held: all 0 when everything was given back. */
  inventory(): { domains: number; regions: number; connectors: number; listeners: number } {
    return {
      domains: this.#domains.size,
      regions: this.#regions.size,
      connectors: this.#connectors.size,
      listeners: this.#listeners.size,
    };
  }

  open(): number {
    this.#removed = false;
    this.#listener.called('open');
    const status = this.#openStatus;
    this.#openStatus = 0;
    return status;
  }
  close(): void {
    // What nobody has taken goes with it.
    for (const connector of this.#untaken) this.#connectors.delete(connector);
    this.#listener.called('close');
  }
  addresses(): readonly string[] {
    return ['10.0.0.1'];
  }
  allocateProtectionDomain(): number {
    const domain = this.#nextId++;
    this.#domains.add(domain);
    this.#listener.domain('allocate', domain);
    return domain;
  }
  freeProtectionDomain(domain: number): void {
    if (!this.#domains.delete(domain)) throw new Error(`protection domain ${domain} is freed and not there`);
    this.#listener.domain('free', domain);
  }
  registerMemory(domain: number, memory: Uint8Array): MemoryRegion | number {
    if (this.#unwanted.delete(memory)) {
      this.#listener.memory('register', memory);
      return AdapterStatus.outOfResources;
    }
    const id = this.#nextId++;
    const address = this.#nextAddress;
    this.#nextAddress += memory.length;
    this.#regions.set(id, { memory, address, domain });
    this.#listener.memory('register', memory);
    return { id, localKey: id, remoteKey: id, address };
  }
  deregisterMemory(id: number): void {
    const region = this.#regions.get(id);
    if (region === undefined) throw new Error(`region ${id} is deregistered and not there`);
    this.#regions.delete(id);
    this.#listener.memory('deregister', region.memory);
  }
  listen({ port }: { readonly port: number }): number {
    const listener = this.#nextId++;
    this.#listener.listener('listen', listener, port);
    if (this.#refuseListen && port < limits.reattachPort) {
      this.#refuseListen = false;
      return AdapterStatus.outOfResources;
    }
    this.#listeners.set(listener, port);
    return listener;
  }
  stopListening(listener: number): void {
    const port = this.#listeners.get(listener);
    if (port === undefined) throw new Error(`listener ${listener} is stopped and not there`);
    this.#listeners.delete(listener);
    this.#listener.listener('stopListening', listener, port);
  }
  createConnector(domain: number): number {
    const connector = this.#nextId++;
    this.#protect(connector, domain);
    return connector;
  }
  /**
   * What is registered in a domain is within reach of the peer of each connector in it.
   *
   * @throws Error when the domain is none, or has a connector already
   */
  #protect(connector: number, domain: number): void {
    if (!this.#domains.has(domain)) throw new Error(`protection domain ${domain} is not there`);
    if ([...this.#connectors].some(([other, its]) => its === domain && other !== connector)) {
      throw new Error(`protection domain ${domain} has two connectors`);
    }
    this.#connectors.set(connector, domain);
  }
  connect(connector: number, _local: SocketAddress, _remote: SocketAddress, privateData: Uint8Array): number {
    this.#listener.connector('connect', connector, privateData);
    const status = this.#removed ? AdapterStatus.deviceRemoved : this.#connectStatus;
    this.#connectStatus = 0;
    return status;
  }
  prepareAccept(connector: number, domain: number): number {
    this.#protect(connector, domain);
    const status = this.#removed
      ? AdapterStatus.deviceRemoved
      : this.#withdrawn.has(connector) || this.#refuses('prepare')
        ? AdapterStatus.invalidState
        : 0;
    this.#listener.connector(status === 0 ? 'prepare' : 'prepare in vain', connector);
    return status;
  }
  accept(connector: number, privateData: Uint8Array): number {
    this.#untaken.delete(connector);
    this.#listener.connector('accept', connector, privateData);
    return this.#refuses('accept') ? AdapterStatus.invalidState : 0;
  }
  reject(connector: number, privateData: Uint8Array): void {
    this.#gone(connector);
    this.#listener.connector('reject', connector, privateData);
  }
  disconnect(connector: number): void {
    this.#listener.connector('disconnect', connector);
  }
  destroyConnector(connector: number): void {
    this.#gone(connector);
    this.#listener.connector('destroy', connector);
  }
  #gone(connector: number): void {
    this.#full.delete(connector);
    if (!this.#connectors.delete(connector)) throw new Error(`connector ${connector} is destroyed and not there`);
  }

  post(count: number): number {
    const words = this.workRequests;
    for (let index = 0; index < count; index++) {
      const base = index * WORK_REQUEST_WORDS;
      const connector = words[base + WorkRequestField.connector]!;
      if (!this.#connectors.has(connector))
        throw new Error(`work is posted to connector ${connector}, which is not there`);
      const isFull = this.#full.delete(connector);
      const domain = this.#connectors.get(connector)!;
      for (let element = 0; element < words[base + WorkRequestField.elementCount]!; element++) {
        const key = words[base + WorkRequestField.elements + 4 * element]!;
        if (this.#regions.get(key)?.domain !== domain) throw new Error(`region ${key} is of another protection domain`);
      }
      this.#listener.posted({
        connector,
        context: words[base + WorkRequestField.context]!,
        opcode: words[base + WorkRequestField.opcode]!,
        fence: (words[base + WorkRequestField.flags]! & 1) === 1,
        elements: Array.from({ length: words[base + WorkRequestField.elementCount]! }, (_, element) => {
          const at = base + WorkRequestField.elements + 4 * element;
          return { key: words[at]!, length: words[at + 1]!, address: words[at + 2]! + words[at + 3]! * 0x1_0000_0000 };
        }),
      });
      if (isFull) return index;
    }
    return count;
  }
  poll(): number {
    if (this.#completion === null) return 0;
    this.completions.set(this.#completion);
    this.#completion = null;
    return 1;
  }
  pollConnectionEvent(): ConnectionEvent | null {
    const event = this.#event;
    this.#event = null;
    return event;
  }
}
