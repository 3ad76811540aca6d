/** A host's adapter in the simulated network: ids, listeners and the two rings; the rest is its parts' work. */

import { isIPv6 } from 'node:net';
import type {
  Adapter,
  AdapterCapabilities,
  CompletionStatus as Status,
  ConnectionEvent,
  MemoryRegion,
  Opcode as OpcodeValue,
  QueueDepths,
  SocketAddress,
  WakeUp,
} from '../adapter.ts';
import {
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../adapter.ts';
import { CompletionRing } from './completion-ring.ts';
import { Connector, padded } from './connector.ts';
import type { Faults } from './faults.ts';
import type { Host } from './host.ts';
import { MemoryTable, wordAt } from './memory.ts';
import { AdapterMisuseError } from './misuse.ts';
import type { SimulatedNetwork } from './network.ts';
import { VirtualClock } from './virtual-clock.ts';

/** What an adapter holds at the moment; all 0 after a proper tear-down. */
export interface Inventory {
  readonly protectionDomains: number;
  readonly regions: number;
  readonly connectors: number;
  readonly listeners: number;
  /** Sends, writes and reads whose completions weren't polled. */
  readonly postedSends: number;
  readonly postedReceives: number;
}

const BATCH_MAX = 64;
const EPHEMERAL_PORT_MIN = 49_152;

/** The adapter's own status numbers: those of `ibv_wc_status`. */
const VENDOR_STATUS: Readonly<Record<Status, number>> = {
  [CompletionStatus.success]: 0,
  [CompletionStatus.flushed]: 5,
  [CompletionStatus.localLength]: 1,
  [CompletionStatus.localProtection]: 4,
  [CompletionStatus.remoteAccess]: 10,
  [CompletionStatus.remoteOperation]: 11,
  [CompletionStatus.retryExceeded]: 12,
  [CompletionStatus.receiverNotReady]: 13,
  [CompletionStatus.fault]: 21,
};

interface SimulatedAdapterParts {
  readonly network: SimulatedNetwork;
  readonly hostIndex: number;
  readonly addresses: readonly string[];
  readonly capabilities: AdapterCapabilities;
  readonly faults: Faults;
}

export class SimulatedAdapter implements Adapter {
  readonly name = 'simulated';
  readonly capabilities: AdapterCapabilities;
  readonly workRequests: Uint32Array = new Uint32Array(BATCH_MAX * WORK_REQUEST_WORDS);
  readonly postBatchMax = BATCH_MAX;
  readonly completions: Uint32Array = new Uint32Array(BATCH_MAX * COMPLETION_WORDS);
  readonly pollBatchMax = BATCH_MAX;
  /** Virtual time with timers of this host's own. */
  readonly clock: VirtualClock;
  readonly wakeUp: WakeUp;

  readonly #network: SimulatedNetwork;
  readonly #faults: Faults;
  readonly #memory: MemoryTable;
  readonly #host: Host;
  readonly #connectors = new Map<number, Connector>();
  /** Where each listens; null when that is gone. */
  readonly #listeners = new Map<number, SocketAddress | null>();
  readonly #ring = new CompletionRing();
  #events: ConnectionEvent[] = [];
  #addresses: readonly string[];
  #isOpen = false;
  #isRemoved = false;
  #nextConnector = 0;
  #nextListener = 0;
  #nextPort = EPHEMERAL_PORT_MIN;
  #sleepers: (() => void)[] = [];

  /** Made by {@link SimulatedNetwork.host}. */
  constructor(parts: SimulatedAdapterParts) {
    this.#network = parts.network;
    this.#addresses = parts.addresses;
    this.capabilities = parts.capabilities;
    this.#faults = parts.faults;
    this.#memory = new MemoryTable(parts.hostIndex);
    this.clock = new VirtualClock(parts.network);
    this.#host = {
      fabric: parts.network,
      capabilities: parts.capabilities,
      memory: this.#memory,
      faults: parts.faults,
      hostIndex: parts.hostIndex,
      complete: (connector, context, status, bytes, opcode) =>
        this.#complete(connector, context, status, bytes, opcode),
      raise: (event) => this.#raise(event),
    };
    this.wakeUp = { arm: () => this.#isReady(), wait: (woken) => this.#wait(woken) };
  }

  open(): number {
    if (this.#isRemoved) return AdapterStatus.deviceRemoved;
    this.#isOpen = true;
    return AdapterStatus.ok;
  }

  close(): void {
    for (const connector of this.#connectors.values()) connector.destroy();
    this.#connectors.clear();
    this.#listeners.clear();
    this.#memory.clear();
    this.#ring.clear();
    this.#events = [];
    this.#isOpen = false;
  }

  addresses(): readonly string[] {
    return this.#isRemoved ? [] : this.#addresses;
  }

  allocateProtectionDomain(): number {
    const refusal = this.#refusal('allocateProtectionDomain');
    return refusal === AdapterStatus.ok ? this.#memory.allocateDomain() : refusal;
  }

  freeProtectionDomain(protectionDomain: number): void {
    if (this.#isOpen) this.#memory.freeDomain(protectionDomain);
  }

  registerMemory(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number {
    const refusal = this.#refusal('registerMemory');
    return refusal === AdapterStatus.ok ? this.#memory.register(protectionDomain, memory, access) : refusal;
  }

  deregisterMemory(regionId: number): void {
    if (this.#isOpen) this.#memory.deregister(regionId);
  }

  listen(local: SocketAddress): number {
    const refusal = this.#refusal('listen');
    if (refusal !== AdapterStatus.ok) return refusal;
    if (!isWildcard(local) && !this.#addresses.includes(local.address)) return AdapterStatus.addressNotAvailable;
    // There is no way to tell which port was chosen, so the caller chooses; and one port has one listener.
    if (local.port === 0 || this.#findListener(local) >= 0) return AdapterStatus.addressNotAvailable;
    const id = this.#nextListener++;
    this.#listeners.set(id, local);
    return id;
  }

  stopListening(listener: number): void {
    if (!this.#isOpen) return;
    if (!this.#listeners.delete(listener)) throw new AdapterMisuseError(`listener ${listener}: not listening`);
    // Of requests that weren't polled the caller knows nothing, so it can't reject them.
    const unheard = this.#events.filter((event) => event.type === 'connectRequest' && event.listener === listener);
    for (const event of unheard) if (event.type === 'connectRequest') this.#destroy(event.connector);
  }

  createConnector(protectionDomain: number, depths: QueueDepths): number {
    this.#checkDepths(depths);
    const refusal = this.#refusal('createConnector');
    if (refusal !== AdapterStatus.ok) return refusal;
    const connector = this.#addConnector(null);
    connector.createQueuePair(protectionDomain, depths);
    return connector.id;
  }

  connect(connector: number, local: SocketAddress, remote: SocketAddress, privateData: Uint8Array): number {
    const active = this.#connector(connector);
    const data = padded(privateData, this.capabilities.privateDataMax.connect, this.#host);
    const refusal = this.#refusal('connect');
    if (refusal !== AdapterStatus.ok) return refusal;
    const from = this.#sourceOf(local, remote);
    if (from === null) return AdapterStatus.networkUnreachable;
    return active.connect(() =>
      this.#network.carryRequest(active, remote.address, (host) => host.#receiveRequest(active, from, remote, data)),
    );
  }

  prepareAccept(connector: number, protectionDomain: number, depths: QueueDepths): number {
    this.#checkDepths(depths);
    const passive = this.#connector(connector);
    const refusal = this.#refusal('prepareAccept');
    if (refusal !== AdapterStatus.ok) return refusal;
    if (passive.state !== 'undecided') return AdapterStatus.invalidState;
    passive.createQueuePair(protectionDomain, depths);
    return AdapterStatus.ok;
  }

  accept(connector: number, privateData: Uint8Array): number {
    const passive = this.#connector(connector);
    const refusal = this.#refusal('accept');
    return refusal === AdapterStatus.ok ? passive.accept(privateData) : refusal;
  }

  reject(connector: number, privateData: Uint8Array): void {
    if (!this.#isOpen) return;
    this.#connector(connector).reject(privateData);
    this.#destroy(connector);
  }

  disconnect(connector: number): void {
    this.#connectors.get(connector)?.disconnect();
  }

  destroyConnector(connector: number): void {
    if (!this.#isOpen) return;
    this.#connector(connector);
    this.#destroy(connector);
  }

  post(count: number): number {
    if (count > BATCH_MAX) throw new AdapterMisuseError(`post: ${count} work requests, at most ${BATCH_MAX}`);
    const words = this.workRequests;
    for (let index = 0; index < count; index++) {
      const base = index * WORK_REQUEST_WORDS;
      const connector = this.#connector(wordAt(words, base + WorkRequestField.connector));
      const { queuePair } = connector;
      const opcode = wordAt(words, base + WorkRequestField.opcode);
      const elementCount = wordAt(words, base + WorkRequestField.elementCount);
      if (queuePair === null) throw new AdapterMisuseError(`connector ${connector.id}: posted to before prepareAccept`);
      if (!isOpcode(opcode) || elementCount > this.capabilities.elementsMax) {
        throw new AdapterMisuseError(`connector ${connector.id}: opcode ${opcode} with ${elementCount} elements`);
      }
      if (this.#faults.refuses('post') || !queuePair.post(words, base, opcode)) return index;
    }
    return count;
  }

  poll(): number {
    this.#passTime();
    let count = 0;
    while (count < BATCH_MAX && this.#ring.count > 0) {
      const queuePair = this.#connectors.get(this.#ring.peek(CompletionField.connector))?.queuePair;
      if (queuePair === undefined || queuePair === null) {
        // Its connector was destroyed meanwhile.
        this.#ring.drop();
        continue;
      }
      queuePair.reported(this.#ring.peek(CompletionField.opcode));
      this.#ring.shift(this.completions, count * COMPLETION_WORDS);
      count++;
    }
    return count;
  }

  pollConnectionEvent(): ConnectionEvent | null {
    this.#passTime();
    return this.#events.shift() ?? null;
  }

  // For tests, beyond the adapter's interface.

  /** Takes the adapter out of the host. @param options - whether peers are told or have to find out */
  remove(options: { readonly peersAreTold: boolean } = { peersAreTold: true }): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    for (const connector of this.#connectors.values()) connector.remove(options.peersAreTold);
    if (!this.#isOpen) return;
    this.#raise({ type: 'deviceRemoved' });
    if (this.#faults.deviceRemovedDoubled.strikes()) this.#raise({ type: 'deviceRemoved' });
  }

  /** Takes the device away that its connections have, and those listeners that aren't at the wildcard; the adapter has others. */
  removeDevice(): void {
    this.removeListeners((local) => !isWildcard(local));
    for (const [number, connector] of this.#connectors) {
      connector.remove(true);
      this.#raise({ type: 'removed', connector: number });
    }
  }

  /** Takes away what listeners listen on. @param of - which ones, by where they listen */
  removeListeners(of: (local: SocketAddress) => boolean): void {
    for (const [listener, local] of this.#listeners) {
      if (local === null || !of(local)) continue;
      this.#listeners.set(listener, null);
      this.#raise({ type: 'listenerRemoved', listener });
    }
  }

  /** Cuts the network between a connector and its peer; both find out after the retry time. */
  loseConnection(connector: number): void {
    this.#connector(connector).loseConnection();
  }

  /** Changes the addresses that are served; connections stay. */
  setAddresses(addresses: readonly string[]): void {
    this.#addresses = addresses;
  }

  inventory(): Inventory {
    let postedSends = 0;
    let postedReceives = 0;
    for (const { queuePair } of this.#connectors.values()) {
      postedSends += queuePair?.postedSends ?? 0;
      postedReceives += queuePair?.postedReceives ?? 0;
    }
    return {
      protectionDomains: this.#memory.domainCount,
      regions: this.#memory.regionCount,
      connectors: this.#connectors.size,
      listeners: this.#listeners.size,
      postedSends,
      postedReceives,
    };
  }

  // For the network.

  get isAsleep(): boolean {
    return this.#sleepers.length > 0;
  }

  /** Wakes who sleeps until a timer expires. */
  timePassed(): void {
    if (this.#sleepers.length > 0 && this.clock.hasExpired) this.#wake();
  }

  #receiveRequest(active: Connector, remote: SocketAddress, local: SocketAddress, privateData: Uint8Array): void {
    if (this.#faults.connectRequestLost.strikes()) return;
    const listener = this.#listenerFor(local);
    if (listener < 0) {
      active.nobodyListens();
      return;
    }
    const passive = this.#addConnector({ listener, peer: active });
    active.requestArrived(passive);
    this.#raise({ type: 'connectRequest', listener, connector: passive.id, local, remote, privateData });
  }

  /** The listener that serves an address: its own, or that of all. */
  #listenerFor(local: SocketAddress): number {
    const exact = this.#findListener(local);
    return exact >= 0 ? exact : this.#findListener({ ...local, address: local.family === 'IPv6' ? '::' : '0.0.0.0' });
  }

  #findListener(local: SocketAddress): number {
    for (const [id, at] of this.#listeners) {
      if (at?.address === local.address && at.port === local.port) return id;
    }
    return -1;
  }

  /** Where a connection comes from, or null when nothing here reaches there. */
  #sourceOf(local: SocketAddress, remote: SocketAddress): SocketAddress | null {
    const address = isWildcard(local)
      ? this.#addresses.find((own) => isIPv6(own) === (remote.family === 'IPv6'))
      : this.#addresses.find((own) => own === local.address && local.family === remote.family);
    if (address === undefined) return null;
    return { family: remote.family, address, port: local.port === 0 ? this.#ephemeralPort() : local.port };
  }

  #ephemeralPort(): number {
    const port = this.#nextPort++;
    if (this.#nextPort > 65_535) this.#nextPort = EPHEMERAL_PORT_MIN;
    return port;
  }

  #refusal(call: Parameters<Faults['refuses']>[0]): AdapterStatus {
    if (!this.#isOpen || this.#isRemoved) return AdapterStatus.deviceRemoved;
    return this.#faults.refuses(call) ? AdapterStatus.outOfResources : AdapterStatus.ok;
  }

  #checkDepths(depths: QueueDepths): void {
    const { sendDepthMax, receiveDepthMax } = this.capabilities;
    if (depths.send > sendDepthMax || depths.receive > receiveDepthMax) {
      throw new AdapterMisuseError(`queue depths ${depths.send}, ${depths.receive}: more than the adapter's`);
    }
  }

  #addConnector(request: { readonly listener: number; readonly peer: Connector } | null): Connector {
    const connector = new Connector(this.#host, this.#nextConnector++, request);
    this.#connectors.set(connector.id, connector);
    return connector;
  }

  #connector(id: number): Connector {
    const connector = this.#connectors.get(id);
    if (connector === undefined) throw new AdapterMisuseError(`connector ${id}: doesn't exist`);
    return connector;
  }

  #destroy(id: number): void {
    this.#connectors.get(id)?.destroy();
    this.#connectors.delete(id);
    // No event names it afterwards.
    if (this.#events.length === 0) return;
    this.#events = this.#events.filter((event) => !('connector' in event) || event.connector !== id);
  }

  #passTime(): void {
    this.#network.advanceTo(this.#network.nowNs + this.#network.settings.pollQuantumNs);
  }

  #complete(connector: number, context: number, status: Status, bytes: number, opcode: OpcodeValue): void {
    this.#ring.push(connector, context, status, bytes, opcode, VENDOR_STATUS[status]);
    this.#wake();
  }

  #raise(event: ConnectionEvent): void {
    const canBeLate = event.type !== 'connectRequest' && event.type !== 'deviceRemoved';
    if (canBeLate && this.#faults.eventLate.strikes()) {
      const lateNs = this.#faults.delayNs(this.#faults.plan.eventLateNsMax);
      this.#network.schedule(this.#network.nowNs + lateNs, () => this.#enqueue(event));
    } else {
      this.#enqueue(event);
    }
  }

  #enqueue(event: ConnectionEvent): void {
    if ('connector' in event && !this.#connectors.has(event.connector)) return;
    this.#events.push(event);
    this.#wake();
  }

  #isReady(): boolean {
    return this.#ring.count > 0 || this.#events.length > 0;
  }

  #wait(woken: () => void): void {
    if (this.#isReady() || this.clock.hasExpired) return queueMicrotask(woken);
    this.#sleepers.push(woken);
    this.#network.pump();
  }

  #wake(): void {
    if (this.#sleepers.length === 0) return;
    const sleepers = this.#sleepers;
    this.#sleepers = [];
    for (const woken of sleepers) queueMicrotask(woken);
  }
}

function isWildcard({ address }: SocketAddress): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isOpcode(opcode: number): opcode is OpcodeValue {
  return opcode >= Opcode.send && opcode <= Opcode.rdmaRead;
}
