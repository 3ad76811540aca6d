/**
 * Verbs adapter: RDMA devices (InfiniBand, RoCE, iWARP) through librdmacm and libibverbs.
 *
 * Theory of operation: the shim in `native/` makes the calls, this file keeps what was made, and machines/verbs.ts decides
 * what becomes of a connector. Work requests and completions are in memory that both see: one call posts a batch, one
 * polls a batch. A connector's number is its index in the shim's table and part of each completion.
 *
 * The address decides on device, port and GID, as the kernel's connection manager has it: an id is bound to it first. Its
 * queue pair is made before anything is resolved, so that receives can be posted.
 *
 * Three kinds of descriptor tell that there is something: of completions, of connection events, of a device's own events.
 * Node.js's event loop watches them. Asking without being told would cost a system call each time, so connection events
 * are looked for when they are announced, and now and then all the same, since who polls in a loop lets nobody watch.
 *
 * Source: specification, Annex A.
 */

import { networkInterfaces } from 'node:os';

import { canonicalAddress, isWildcard } from '../spi.ts';
import type {
  Adapter,
  AdapterCapabilities,
  ConnectionEvent,
  MemoryRegion,
  QueueDepths,
  SocketAddress,
  WakeUp,
} from './adapter.ts';
import { AdapterStatus, MemoryAccess, SGE_MAX } from './adapter.ts';
import {
  addressOf,
  BATCH,
  CONNECTORS,
  loadShim,
  PRIVATE_DATA_MAX,
  Shared,
  type Shim,
  type ShimEvent,
  watch,
} from './verbs/bindings.ts';
import { Connector, Domain, Lifecycle } from './verbs/connector.ts';
import { Device } from './verbs/device.ts';
import { memoryHint, toStatus } from './verbs/errors.ts';
import { Estate } from './verbs/estate.ts';
import { findLibrary } from './verbs/library.ts';

export interface VerbsOptions {
  /** Addresses that are served; all that an RDMA device of the host has unless given. */
  readonly addresses?: readonly string[];
  /** Bound of resolving an address, and of resolving a route. */
  readonly resolveMs?: number;
  /** Bound of the wait for what a queue pair in error has not completed; then the device is taken to have forgotten it. */
  readonly drainMs?: number;
  /** Told once of each thing that the administrator can put right. Default: a warning of the process. */
  readonly onHint?: (hint: string) => void;
}

const defaults = {
  resolveMs: 2_000,
  drainMs: 2_000,
  onHint: (hint: string): void => process.emitWarning(hint, 'WsdirectWarning'),
} as const;

/** Connection requests that the kernel keeps for a listener; it allows no more than this by default. */
const KERNEL_BACKLOG = 1024;
/** Reads at once in one direction that librdmacm can say. */
const READS_MAX = 255;
const SIZE_MAX = 0x7fff_ffff;
/** Private data that every transport carries: what InfiniBand's messages leave. */
const PRIVATE_DATA = { connect: 56, accept: 196, reject: 148 } as const;
/** Polls between two looks for connection events that nobody has announced. */
const LOOK_EVERY = 256;

/** rdma_cm_event_type */
const Cm = { connectRequest: 4, deviceRemoval: 11 } as const;
/** Link layer of a port, as the shim has it; RoCE's is Ethernet. */
const INFINIBAND = 1;

/** ibv_event_type */
const Async = {
  queueError: 0,
  queuePairFatal: 1,
  requestError: 2,
  accessError: 3,
  established: 4,
  deviceFatal: 8,
} as const;

interface Region {
  readonly handle: number;
  readonly device: Device;
  /** Keeps the memory: a device writes to it. */
  readonly memory: Uint8Array;
}

interface Listener {
  /** rdma_cm_id */
  readonly id: number;
  /** Null for the wildcard. */
  readonly device: Device | null;
}

/** What the end of a connector waits for. */
interface Drain {
  /** How often its completion queue had been found empty when that began to count. */
  emptyCount: number;
  /** Bounds the wait for its markers. Null: none are awaited, and once it has been found empty, the queue counts as drained. */
  timer: NodeJS.Timeout | null;
}

/** What an adapter holds; all 0 after a proper tear-down, but for devices, which stay open until it is closed. */
export interface VerbsInventory {
  readonly protectionDomains: number;
  readonly regions: number;
  readonly connectors: number;
  readonly listeners: number;
}

/** An RDMA device that has an address here. */
export interface VerbsDevice {
  readonly name: string;
  readonly port: number;
  readonly transport: 'InfiniBand' | 'RoCE' | 'iWARP';
  readonly isActive: boolean;
  /** Bytes of one packet's payload. */
  readonly mtu: number;
  /** In text form, at least one. */
  readonly addresses: readonly string[];
  /** What the adapter would say if this were its only device. With several it keeps to the least of them. */
  readonly limits: AdapterCapabilities;
}

export class VerbsAdapter implements Adapter {
  readonly name = 'verbs';
  readonly postBatchMax = BATCH;
  readonly pollBatchMax = BATCH;
  readonly wakeUp: WakeUp;

  readonly #options: Required<Omit<VerbsOptions, 'addresses'>>;
  readonly #served: readonly string[] | null;
  #shim: Shim | null = null;
  #handle = 0;
  #shared: Shared | null = null;
  #capabilities: AdapterCapabilities | null = null;
  #watches: readonly { close(): void }[] = [];
  #lifecycle = new Lifecycle();
  readonly #out = new BigUint64Array(1);

  readonly #devices: Device[] = [];
  /** Devices by address. That none has an address isn't kept: a link that comes back may bring it. */
  readonly #byAddress = new Map<string, Device>();
  readonly #domains = new Map<number, Domain>();
  readonly #regions = new Map<number, Region>();
  readonly #listeners = new Map<number, Listener>();
  readonly #connectors: (Connector | undefined)[] = [];
  readonly #draining = new Map<Connector, Drain>();
  #connectorCount = 0;
  readonly #numbers: number[] = [];
  /** Connectors and listeners by the shim's id; those too that their owner has destroyed and the kernel still holds. */
  readonly #byId = new Map<number, Connector>();
  readonly #listenerById = new Map<number, number>();
  #nextDomain = 0;
  #nextRegion = 0;
  #nextListener = 0;

  #events: ConnectionEvent[] = [];
  #hasConnectionEvents = false;
  /** The shim has flushed what destroyed queue pairs have left, and not all of it was polled. */
  #hasFlushed = false;
  /** The kernel has announced that devices are removed. */
  #hasRemovals = false;
  #looks = 0;
  /** Completions that lingering has found; the next poll's. */
  #found = 0;
  #sleepers: (() => void)[] = [];
  readonly #hinted = new Set<string>();

  constructor(options: VerbsOptions = {}) {
    const { addresses, ...rest } = options;
    this.#served = addresses ?? null;
    this.#options = { ...defaults, ...rest };
    this.wakeUp = {
      linger: (looks) => this.#linger(looks),
      arm: () => this.#arm(),
      wait: (woken) => {
        this.#sleepers.push(woken);
      },
    };
  }

  get capabilities(): AdapterCapabilities {
    if (this.#capabilities === null) throw new Error('the verbs adapter is not open');
    return this.#capabilities;
  }
  get workRequests(): Uint32Array {
    return this.#shared!.workRequests;
  }
  get completions(): Uint32Array {
    return this.#shared!.completions;
  }

  open(): number {
    const found = findLibrary();
    if ('reason' in found) {
      this.#hint(found.reason);
      return AdapterStatus.deviceRemoved;
    }
    const shim = loadShim(found.file);
    if (shim.wsd_load() < 0) {
      this.#hint(`${shim.wsd_missing()} is missing: apt-get install libibverbs1 ibverbs-providers librdmacm1`);
      return AdapterStatus.deviceRemoved;
    }
    const status = shim.wsd_adapter_open(this.#out);
    if (status < 0) return toStatus(status);
    this.#shim = shim;
    this.#handle = Number(this.#out[0]);
    this.#shared = new Shared(shim.wsd_adapter_shared(this.#handle));
    const connections = watch(shim.wsd_adapter_fd(this.#handle), () => {
      this.#hasConnectionEvents = true;
      this.#wake();
    });
    const removals = shim.wsd_removals_fd(this.#handle);
    const watchRemovals = (): { close(): void } =>
      watch(removals, () => {
        this.#hasRemovals = true;
        this.#wake();
      });
    this.#watches = removals < 0 ? [connections] : [connections, watchRemovals()];
    this.addresses();
    if (this.#devices.length === 0) {
      this.close();
      return AdapterStatus.deviceRemoved;
    }
    this.#capabilities = capabilitiesOf(this.#devices);
    return AdapterStatus.ok;
  }

  close(): void {
    const shim = this.#shim;
    if (shim === null) return;
    for (const { number } of [...this.#byId.values()]) this.destroyConnector(number);
    for (const listener of [...this.#listeners.keys()]) this.stopListening(listener);
    for (const region of [...this.#regions.keys()]) this.deregisterMemory(region);
    for (const domain of [...this.#domains.keys()]) this.freeProtectionDomain(domain);
    const [handle, shared, lifecycle] = [this.#handle, this.#shared!, this.#lifecycle];
    const [connectors, devices] = [new Map(this.#byId), [...this.#devices]];
    this.#devices.length = 0;
    this.#byAddress.clear();
    this.#byId.clear();
    this.#connectors.length = 0;
    this.#numbers.length = 0;
    this.#events = [];
    this.#found = 0;
    for (const each of this.#watches) each.close();
    this.#watches = [];
    new Estate({ shim, handle, shared, lifecycle, connectors, devices }).settle();
    this.#lifecycle = new Lifecycle();
    this.#capabilities = null;
    this.#shim = null;
    this.#wake();
  }

  addresses(): readonly string[] {
    const present = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? [])
        .filter(({ internal, scopeid }) => !internal && !scopeid)
        .map(({ family, address }) => canonicalAddress(address, family)),
    );
    for (const known of this.#byAddress.keys()) {
      // It may come back on another device.
      if (!present.includes(known)) this.#byAddress.delete(known);
    }
    return present.filter((address) => {
      if (this.#served !== null && !this.#served.includes(address)) return false;
      const device = this.#deviceOf(address);
      return device !== null && !device.isGone && this.#isPortActive(device);
    });
  }

  sourceAddress(remote: SocketAddress): string | null {
    this.#shared!.address = remote;
    if (this.#shim!.wsd_source(this.#handle) < 0) return null;
    const { address } = this.#shared!.source;
    // To itself the host comes from its loopback address, where no device is.
    const own = this.#deviceOf(address) === null ? remote.address : address;
    return this.#deviceOf(own) === null ? null : own;
  }

  allocateProtectionDomain(local: string): number {
    const device = this.#deviceOf(local);
    if (device === null || device.isGone) return AdapterStatus.deviceRemoved;
    const status = this.#shim!.wsd_pd_alloc(device.handle, this.#out);
    if (status < 0) return toStatus(status);
    const id = this.#nextDomain++;
    this.#domains.set(id, new Domain(Number(this.#out[0]), device, local));
    return id;
  }

  freeProtectionDomain(protectionDomain: number): void {
    const domain = this.#domains.get(protectionDomain);
    if (domain === undefined) return;
    this.#domains.delete(protectionDomain);
    if (!domain.device.isClosed) domain.free(this.#shim!);
  }

  registerMemory(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number {
    const domain = this.#domains.get(protectionDomain);
    if (domain === undefined || domain.device.isGone) return AdapterStatus.deviceRemoved;
    // Its end can move away under the device.
    if ((memory.buffer as { resizable?: boolean }).resizable === true) return AdapterStatus.badMemory;
    const address = addressOf(memory);
    const keys = new Uint32Array(2);
    const status = this.#shim!.wsd_region_register(domain.handle, address, memory.byteLength, access, keys, this.#out);
    if (status < 0) {
      const hint = memoryHint(status);
      if (hint !== null) this.#hint(hint);
      return toStatus(status, AdapterStatus.badMemory);
    }
    const id = this.#nextRegion++;
    this.#regions.set(id, { handle: Number(this.#out[0]), device: domain.device, memory });
    const isRemote = (access & (MemoryAccess.remoteRead | MemoryAccess.remoteWrite)) !== 0;
    return { id, localKey: keys[0]!, remoteKey: isRemote ? keys[1]! : 0, address };
  }

  deregisterMemory(regionId: number): void {
    const region = this.#regions.get(regionId);
    if (region === undefined) return;
    // One that can't be deregistered may still be written to: then its memory is kept for good.
    if (region.device.isClosed || this.#shim!.wsd_region_deregister(region.handle) === 0)
      this.#regions.delete(regionId);
  }

  listen(local: SocketAddress): number {
    if (local.port === 0) return AdapterStatus.addressNotAvailable;
    const device = isWildcard(local) ? null : this.#deviceOf(local.address);
    if (!isWildcard(local) && device === null) return AdapterStatus.addressNotAvailable;
    const id = this.#boundId(local, true);
    if (id < 0) return id;
    const status = this.#shim!.wsd_id_listen(id, KERNEL_BACKLOG);
    if (status < 0) {
      this.#shim!.wsd_id_destroy(id);
      return toStatus(status);
    }
    const listener = this.#nextListener++;
    this.#listeners.set(listener, { id, device });
    this.#listenerById.set(id, listener);
    return listener;
  }

  stopListening(listener: number): void {
    const found = this.#listeners.get(listener);
    if (found === undefined) return;
    this.#listeners.delete(listener);
    if (found.device?.isGone !== true) this.#listenerById.delete(found.id);
    if (found.device?.isClosed !== true) this.#shim!.wsd_id_destroy(found.id);
    // Of requests that weren't polled the caller knows nothing, so it can't reject them.
    for (const event of this.#events) {
      if (event.type === 'connectRequest' && event.listener === listener) this.destroyConnector(event.connector);
    }
  }

  createConnector(protectionDomain: number, depths: QueueDepths): number {
    const domain = this.#domains.get(protectionDomain);
    if (domain === undefined || domain.device.isGone) return AdapterStatus.deviceRemoved;
    const { address } = domain;
    const id = this.#boundId({ family: address.includes(':') ? 'IPv6' : 'IPv4', address, port: 0 }, false);
    if (id < 0) return id;
    const connector = this.#add(id, domain.device);
    if (connector === null) {
      this.#shim!.wsd_id_destroy(id);
      return AdapterStatus.outOfResources;
    }
    const status = this.#giveQueuePair(connector, domain, depths);
    if (status < 0) {
      this.destroyConnector(connector.number);
      return status;
    }
    return connector.number;
  }

  connect(connector: number, _local: SocketAddress, remote: SocketAddress, privateData: Uint8Array): number {
    const target = this.#connector(connector);
    if (privateData.length > PRIVATE_DATA.connect) throw new RangeError('too much private data');
    target.remote = remote;
    target.privateData = privateData.slice();
    return this.#lifecycle.apply(target, 'connector.connect', this.#perform, target.outcomeFirst);
  }

  prepareAccept(connector: number, protectionDomain: number, depths: QueueDepths): number {
    const target = this.#connector(connector);
    const domain = this.#domains.get(protectionDomain);
    if (domain === undefined || domain.device !== target.device) return AdapterStatus.deviceRemoved;
    if (!this.#lifecycle.expects(target, 'connector.prepare')) return AdapterStatus.invalidState;
    const status = this.#giveQueuePair(target, domain, depths);
    if (status < 0) return status;
    return this.#lifecycle.apply(target, 'connector.prepare', this.#perform);
  }

  accept(connector: number, privateData: Uint8Array): number {
    const target = this.#connector(connector);
    if (!this.#lifecycle.expects(target, 'connector.accept')) return AdapterStatus.invalidState;
    target.privateData = privateData.slice();
    return this.#lifecycle.apply(target, 'connector.accept', this.#perform);
  }

  reject(connector: number, privateData: Uint8Array): void {
    const target = this.#connectors[connector];
    if (target === undefined) return;
    target.privateData = privateData.slice();
    this.#lifecycle.apply(target, 'connector.reject', this.#perform);
    this.destroyConnector(connector);
  }

  disconnect(connector: number): void {
    const target = this.#connectors[connector];
    if (target !== undefined) this.#lifecycle.apply(target, 'connector.disconnect', this.#perform);
  }

  destroyConnector(connector: number): void {
    const target = this.#connectors[connector];
    if (target !== undefined) this.#lifecycle.apply(target, 'connector.destroy', this.#perform);
  }

  /**
   * Why the last {@link VerbsAdapter.post} did not take all, as the system's -errno: -ENOMEM, a queue is full; -EINVAL, what
   * is in the ring makes no sense to the device; 0, it took all. For whoever looks for the cause; nothing is decided by it.
   */
  get refusal(): number {
    return this.#shared!.refusal;
  }

  post(count: number): number {
    return this.#shim!.wsd_post(this.#handle, count);
  }

  poll(): number {
    if (this.#found > 0) {
      const found = this.#found;
      this.#found = 0;
      return found;
    }
    for (const device of this.#devices) if (device.hasNotified) device.disarm();
    const count = this.#take();
    if (this.#draining.size === 0) return count;
    this.#endDrained();
    // What they leave comes after all that their queues had.
    return count === 0 && this.#hasFlushed ? this.#take() : count;
  }

  #take(): number {
    const count = this.#shim!.wsd_poll(this.#handle);
    if (count < BATCH) this.#hasFlushed = false;
    return count;
  }

  pollConnectionEvent(): ConnectionEvent | null {
    const first = this.#events.shift();
    if (first !== undefined) return first;
    if (++this.#looks >= LOOK_EVERY) {
      this.#looks = 0;
      this.#hasConnectionEvents = true;
    }
    if (this.#hasConnectionEvents) this.#takeConnectionEvents();
    for (const device of this.#devices) if (device.hasNews) device.takeNews();
    if (this.#hasRemovals) this.#takeRemovals();
    const next = this.#events.shift();
    if (next !== undefined) return next;
    // Whoever had to be told has been.
    this.#releaseDevices();
    return null;
  }

  /** The devices that are served. The adapter is open. */
  devices(): readonly VerbsDevice[] {
    const served = this.addresses();
    return this.#devices.map((device) => {
      const { name, port, isIwarp, linkLayer, mtu } = device.info;
      return {
        name,
        port,
        transport: isIwarp ? 'iWARP' : linkLayer === INFINIBAND ? 'InfiniBand' : 'RoCE',
        isActive: !device.isGone && this.#isPortActive(device),
        mtu,
        addresses: served.filter((address) => this.#deviceOf(address) === device),
        limits: capabilitiesOf([device]),
      };
    });
  }

  inventory(): VerbsInventory {
    return {
      protectionDomains: this.#domains.size,
      regions: this.#regions.size,
      connectors: this.#connectorCount,
      listeners: this.#listeners.size,
    };
  }

  /** Puts its queue pair in error. From when all that was posted to it has completed, {@link #isDrained} holds. */
  #drain(connector: Connector): void {
    const shim = this.#shim!;
    const { device, id, number } = connector;
    const emptyCount = (): number => shim.wsd_cq_empty_count(connector.claim!.queue.handle);
    this.#stopDraining(connector);
    const drain: Drain = { emptyCount: 0, timer: null };
    if (!device.flushesLate) shim.wsd_qp_fail(id);
    else if (shim.wsd_qp_flush(this.#handle, id, number) === 0) {
      const giveUp = (): void => {
        drain.timer = null;
        drain.emptyCount = emptyCount();
        this.#wake();
      };
      drain.timer = setTimeout(giveUp, this.#options.drainMs).unref();
    }
    drain.emptyCount = emptyCount();
    this.#draining.set(connector, drain);
    this.#wake();
  }

  #isDrained(connector: Connector, { emptyCount, timer }: Drain): boolean {
    return timer === null
      ? this.#shim!.wsd_cq_empty_count(connector.claim!.queue.handle) !== emptyCount
      : this.#shim!.wsd_qp_is_flushed(this.#handle, connector.number) !== 0;
  }

  #stopDraining(connector: Connector): void {
    clearTimeout(this.#draining.get(connector)?.timer ?? undefined);
    this.#draining.delete(connector);
  }

  /** Goes on with the connectors that are drained. */
  #endDrained(): void {
    for (const [connector, drain] of this.#draining) {
      if (!this.#isDrained(connector, drain)) continue;
      this.#stopDraining(connector);
      this.#lifecycle.apply(connector, 'queue.emptied', this.#perform);
    }
  }

  /** Takes events until one is for the owner, or there is none. */
  #takeConnectionEvents(): void {
    while (this.#events.length === 0) {
      if (this.#shim!.wsd_next_event(this.#handle) <= 0) {
        this.#hasConnectionEvents = false;
        return;
      }
      const event = this.#shared!.event;
      if (event.type === Cm.connectRequest) this.#arrived(event);
      else if (event.type === Cm.deviceRemoval) this.#removed(event);
      else {
        const connector = this.#byId.get(event.id);
        if (connector !== undefined) this.#lifecycle.happened(connector, event, this.#perform);
      }
    }
  }

  #arrived(event: ShimEvent): void {
    const listener = this.#listenerById.get(event.listener);
    const device = this.#deviceOf(event.local.address);
    const connector = listener === undefined || device === null ? null : this.#add(event.id, device);
    if (connector === null) {
      this.#shim!.wsd_id_destroy(event.id);
      return;
    }
    connector.listener = listener!;
    connector.arrival = event;
    this.#lifecycle.apply(connector, 'cm.connectRequest', this.#perform, connector.outcomeFirst);
  }

  /** A completion queue is lost: no completion of those that have it comes any more. */
  #queueFailed(device: Device, handle: number): void {
    const queue = device.loseQueue(handle);
    if (queue === null) return;
    for (const connector of this.#byId.values()) {
      if (connector.claim?.queue !== queue) continue;
      // What is being connected fails so.
      this.#shim!.wsd_qp_fail(connector.id);
      this.#lifecycle.apply(connector, 'device.queuePairFailed', this.#perform);
    }
  }

  /** Takes what a device has told; it can be about another adapter's queue pair or completion queue. */
  #hear(device: Device, { type, id }: ShimEvent): void {
    const connector = this.#byId.get(id);
    switch (type) {
      case Async.queueError:
        return this.#queueFailed(device, id);
      case Async.queuePairFatal:
      case Async.requestError:
      case Async.accessError:
        if (connector !== undefined) this.#lifecycle.apply(connector, 'device.queuePairFailed', this.#perform);
        return;
      case Async.established:
        if (connector !== undefined) this.#shim!.wsd_id_notify_established(connector.id);
        return;
      case Async.deviceFatal:
        return this.#deviceRemoved(device);
      default:
        return;
    }
  }

  #removed(event: ShimEvent): void {
    const device = this.#byId.get(event.id)?.device ?? this.#devices.find(({ anchor }) => anchor === event.id) ?? null;
    if (device !== null) this.#deviceRemoved(device);
  }

  #takeRemovals(): void {
    const shim = this.#shim!;
    this.#hasRemovals = false;
    let isAny = false;
    while (shim.wsd_next_removal(this.#handle) > 0) isAny = true;
    if (!isAny) return;
    for (const device of this.#devices) if (shim.wsd_device_is_there(device.handle) === 0) this.#deviceRemoved(device);
    // One that only librdmacm has opened.
    shim.wsd_release_devices();
  }

  /** Gives back all that is held of devices that are gone, once their connectors are: the kernel waits for it. */
  #releaseDevices(): void {
    for (const device of this.#devices.filter(({ isGone }) => isGone)) {
      if ([...this.#byId.values()].some((connector) => connector.device === device)) continue;
      const shim = this.#shim!;
      for (const region of this.#regions.values()) {
        if (region.device === device) shim.wsd_region_deregister(region.handle);
      }
      for (const domain of this.#domains.values()) if (domain.device === device) domain.free(shim);
      for (const listener of this.#listeners.values()) {
        if (listener.device === device) shim.wsd_id_destroy(listener.id);
      }
      this.#devices.splice(this.#devices.indexOf(device), 1);
      device.abandon((number) => this.#numbers.push(number));
      device.close();
      shim.wsd_release_devices();
    }
  }

  /** Connectors and listeners of a device are lost with it; the adapter is when it was the last. */
  #deviceRemoved(device: Device): void {
    if (device.isGone) return;
    device.isGone = true;
    const isLast = this.#devices.every(({ isGone }) => isGone);
    if (isLast) this.#raise({ type: 'deviceRemoved' });
    for (const [listener, { id, device: of }] of this.#listeners) {
      if (of !== device && !isLast) continue;
      this.#listenerById.delete(id);
      if (!isLast) this.#raise({ type: 'listenerRemoved', listener });
    }
    for (const connector of this.#byId.values()) {
      if (connector.device === device) this.#lifecycle.apply(connector, 'device.removed', this.#perform);
    }
  }

  /** Carries out what a connector's machine wants. @returns 0, or -errno when a call was refused */
  readonly #perform = (connector: Connector, effect: string, reason: number): number => {
    const shim = this.#shim!;
    const shared = this.#shared!;
    const { id, number } = connector;
    switch (effect) {
      case 'resolveAddress':
        shared.address = connector.remote!;
        return shim.wsd_id_resolve_address(this.#handle, id, this.#options.resolveMs);
      case 'resolveRoute':
        return shim.wsd_id_resolve_route(id, this.#options.resolveMs);
      case 'startConnection':
        shared.setConnection(connector.privateData, this.#reads(connector.device));
        return shim.wsd_id_connect(this.#handle, id);
      case 'acceptConnection':
        // As many reads as both ends can: librdmacm knows what the peer has asked for.
        shared.setConnection(connector.privateData, { answered: READS_MAX, asked: READS_MAX });
        return shim.wsd_id_accept(this.#handle, id);
      case 'rejectConnection':
        shared.setConnection(connector.privateData, { answered: 0, asked: 0 });
        shim.wsd_id_reject(this.#handle, id);
        return 0;
      case 'disconnect': {
        const status = shim.wsd_id_disconnect(id);
        // iWARP lets what is on its way out go first; its queue pair ends by itself.
        if (!connector.device.info.isIwarp) shim.wsd_qp_fail(id);
        return status;
      }
      case 'failQueuePair':
        if (connector.claim !== null) this.#drain(connector);
        return 0;
      case 'destroyQueuePair':
        shim.wsd_qp_drain(this.#handle, id, number);
        this.#hasFlushed = true;
        this.#wake();
        return 0;
      case 'forget':
        this.#connectors[number] = undefined;
        this.#connectorCount--;
        this.#stopDraining(connector);
        this.#events = this.#events.filter((event) => !('connector' in event) || event.connector !== number);
        if (connector.claim !== null) shim.wsd_qp_forget(this.#handle, number);
        return 0;
      case 'release':
        this.#byId.delete(id);
        connector.release(shim, this.#handle);
        if (connector.claim === null) this.#numbers.push(number);
        this.#lifecycle.end(connector);
        // It may have been what its device waited for.
        if (connector.device.isGone) this.#wake();
        return 0;
      case 'tune':
        // The connection manager's own is 655 ms, which a sender would lose for each message that came too early.
        if (!connector.device.info.isIwarp) shim.wsd_qp_set_rnr_timer(id, RNR_TIMER_640_US);
        return 0;
      case 'raiseConnectRequest': {
        const { local, remote, privateData } = connector.arrival!;
        const { listener } = connector;
        this.#raise({ type: 'connectRequest', listener, connector: number, local, remote, privateData });
        return 0;
      }
      case 'raiseWithdrawn':
        this.#raise({ type: 'withdrawn', connector: number });
        return 0;
      case 'raiseEstablished':
        this.#raise({ type: 'established', connector: number, privateData: connector.peerData });
        return 0;
      case 'raiseRejected':
        this.#raise({ type: 'rejected', connector: number, reason, privateData: connector.peerData });
        return 0;
      case 'raiseConnectFailed':
        this.#raise({ type: 'connectFailed', connector: number });
        return 0;
      case 'raiseDisconnected':
        this.#raise({ type: 'disconnected', connector: number });
        return 0;
      case 'raiseRemoved':
        this.#raise({ type: 'removed', connector: number });
        return 0;
      case 'ignored':
        return 0;
      default:
        throw new Error(`connector ${number}: effect '${effect}', which nobody carries out`);
    }
  };

  #reads(device: Device): { readonly answered: number; readonly asked: number } {
    const { maxReadsAnswered, maxReadsAsked } = device.info;
    return { answered: Math.min(READS_MAX, maxReadsAnswered), asked: Math.min(READS_MAX, maxReadsAsked) };
  }

  /** A new id that is bound to `local`. @returns its handle, or a negative status */
  #boundId(local: SocketAddress, reuse: boolean): number {
    const shim = this.#shim!;
    const status = shim.wsd_id_create(this.#handle, this.#out);
    if (status < 0) return toStatus(status);
    const id = Number(this.#out[0]);
    this.#shared!.address = local;
    const bound = shim.wsd_id_bind(this.#handle, id, reuse ? 1 : 0);
    if (bound === 0) return id;
    shim.wsd_id_destroy(id);
    return toStatus(bound, AdapterStatus.addressNotAvailable);
  }

  /** The device that has `address`, opened if that is new; null when none has it. */
  #deviceOf(address: string): Device | null {
    const known = this.#byAddress.get(address);
    if (known !== undefined && !known.isGone) return known;
    const found = this.#openDevice(address);
    if (found !== null) this.#byAddress.set(address, found);
    return found;
  }

  #openDevice(address: string): Device | null {
    const shim = this.#shim!;
    const id = this.#boundId({ family: address.includes(':') ? 'IPv6' : 'IPv4', address, port: 0 }, false);
    if (id < 0) return null;
    if (shim.wsd_id_device(this.#handle, id) === 0) {
      const { device: info } = this.#shared!;
      const known = this.#devices.find((device) => device.info.verbs === info.verbs && !device.isGone);
      if (known === undefined && shim.wsd_device_open(this.#handle, id, this.#out) === 0) {
        // The connection manager still knows a device that is being removed.
        if (shim.wsd_device_is_there(Number(this.#out[0])) === 0) {
          shim.wsd_device_close(Number(this.#out[0]));
          shim.wsd_id_destroy(id);
          return null;
        }
        const device: Device = new Device(shim, this.#shared!, Number(this.#out[0]), info, id, {
          wake: () => this.#wake(),
          hear: (event) => this.#hear(device, event),
        });
        this.#devices.push(device);
        return device;
      }
      shim.wsd_id_destroy(id);
      return known ?? null;
    }
    shim.wsd_id_destroy(id);
    return null;
  }

  #isPortActive(device: Device): boolean {
    return this.#shim!.wsd_id_device(this.#handle, device.anchor) === 0 && this.#shared!.device.isActive;
  }

  #add(id: number, device: Device): Connector | null {
    for (const each of this.#devices) each.settle((number) => this.#numbers.push(number));
    const number = this.#numbers.pop() ?? this.#connectors.length;
    if (number >= CONNECTORS) return null;
    const connector = new Connector(number, id, device);
    this.#connectors[number] = connector;
    this.#connectorCount++;
    this.#byId.set(id, connector);
    this.#lifecycle.begin(connector);
    return connector;
  }

  #giveQueuePair(connector: Connector, domain: Domain, depths: QueueDepths): number {
    const { device } = domain;
    const claim = device.claim(depths);
    if (typeof claim === 'number') return toStatus(claim);
    const create = (): number => {
      const elements = Math.min(SGE_MAX, device.info.maxElements);
      this.#shared!.setQueues(depths.send, depths.receive, elements, device.inlineBytes);
      const { id, number } = connector;
      return this.#shim!.wsd_qp_create(this.#handle, id, domain.handle, claim.queue.handle, number);
    };
    let status = create();
    if (status < 0 && device.inlineBytes > 0) {
      // No attribute says how much of it a device can do.
      device.inlineBytes = 0;
      status = create();
    }
    if (status < 0) {
      claim.queue.release(claim.entries);
      return toStatus(status);
    }
    connector.claim = claim;
    connector.domain = domain;
    domain.enter();
    return AdapterStatus.ok;
  }

  #connector(number: number): Connector {
    const connector = this.#connectors[number];
    if (connector === undefined) throw new Error(`connector ${number}: doesn't exist`);
    return connector;
  }

  #linger(looks: number): boolean {
    if (this.#found === 0) this.#found = Math.max(0, this.#shim!.wsd_linger(this.#handle, looks));
    return this.#found > 0;
  }

  #arm(): boolean {
    if (this.#found > 0 || this.#hasFlushed) return true;
    // A marker wakes as any completion does, but one that has been polled already.
    for (const [connector, drain] of this.#draining) {
      if (drain.timer === null || this.#isDrained(connector, drain)) return true;
    }
    if (this.#events.length > 0 || this.#hasConnectionEvents || this.#hasRemovals) return true;
    let isReady = false;
    for (const device of this.#devices) {
      if (device.hasNotified || device.hasNews || (!device.isGone && device.arm() < 0)) isReady = true;
    }
    return isReady;
  }

  #raise(event: ConnectionEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  /** Something is ready, by a callback of Node.js or by a call of the owner's. */
  #wake(): void {
    if (this.#sleepers.length === 0) return;
    for (const woken of this.#sleepers.splice(0)) queueMicrotask(woken);
  }

  #hint(hint: string): void {
    if (this.#hinted.has(hint)) return;
    this.#hinted.add(hint);
    this.#options.onHint(hint);
  }
}

/** 0.64 ms, in the encoding of `min_rnr_timer`. */
const RNR_TIMER_640_US = 12;

/** What every one of the devices can do. */
function capabilitiesOf(devices: readonly Device[]): AdapterCapabilities {
  const least = (of: (info: Device['info']) => number, max: number): number =>
    Math.min(max, ...devices.map(({ info }) => of(info)));
  const privateDataMax = (bytes: number): number => Math.min(bytes, PRIVATE_DATA_MAX);
  return {
    messageSizeMax: least((info) => info.maxMessageBytes, SIZE_MAX),
    rdmaSizeMax: least((info) => info.maxMessageBytes, SIZE_MAX),
    // One of each is the marker's; see wsd_qp_flush.
    sendDepthMax: least((info) => info.maxWorkRequests - 1, 0xffff),
    receiveDepthMax: least((info) => info.maxWorkRequests - 1, 0xffff),
    elementsMax: least((info) => info.maxElements, SGE_MAX),
    readElementsMax: least((info) => Math.min(info.maxElements, info.maxReadElements), SGE_MAX),
    readDepthMax: least((info) => Math.min(info.maxReadsAnswered, info.maxReadsAsked), READS_MAX),
    privateDataMax: {
      connect: privateDataMax(PRIVATE_DATA.connect),
      accept: privateDataMax(PRIVATE_DATA.accept),
      reject: privateDataMax(PRIVATE_DATA.reject),
    },
  };
}
