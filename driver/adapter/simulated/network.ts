/**
 * Hosts in one process, joined by a network that obeys one seed and one virtual clock.
 *
 * Theory of operation: whatever takes time is an entry in one heap. Time stands still between calls; it moves when an
 * adapter is polled, by a small quantum, or when a test says so. The same seed and the same calls give the same run,
 * to the nanosecond: nothing here reads a clock, and random numbers come from the seed alone.
 */

import type { AdapterCapabilities } from '../adapter.ts';
import { SimulatedAdapter } from './adapter.ts';
import type { Connector } from './connector.ts';
import { EventHeap } from './event-heap.ts';
import type { FaultPlan } from './faults.ts';
import { Faults, NO_FAULTS } from './faults.ts';
import type { Fabric, NetworkSettings } from './host.ts';
import { Random } from './random.ts';

/** Settings of a network; those left out are as in {@link DEFAULT_SETTINGS}. */
export interface SimulatedNetworkOptions extends Partial<NetworkSettings> {
  /** A safe integer. */
  readonly seed: number;
  /** Faults of every host that names no others. */
  readonly faults?: Partial<FaultPlan>;
}

export interface SimulatedHostOptions {
  /** IPv4 or IPv6 addresses in canonical text form, at least one; no two hosts share one. */
  readonly addresses: readonly string[];
  readonly capabilities?: Partial<AdapterCapabilities>;
  /** Where they differ from the network's. */
  readonly faults?: Partial<FaultPlan>;
}

/** A local network of fast adapters that work. */
export const DEFAULT_SETTINGS: NetworkSettings = {
  latencyNs: 2_000,
  jitterNs: 0,
  bandwidth: Number.POSITIVE_INFINITY,
  pollQuantumNs: 1_000,
  receiverNotReady: 'wait',
  receiverNotReadyRetryNs: 10_000,
  retryTimeoutNs: 10_000_000,
  unreachableAfterNs: 1_000_000_000,
  privateDataPadded: false,
};

/** Like a current InfiniBand adapter. */
export const DEFAULT_CAPABILITIES: AdapterCapabilities = {
  messageSizeMax: 0x4000_0000,
  rdmaSizeMax: 0x4000_0000,
  sendDepthMax: 1024,
  receiveDepthMax: 1024,
  elementsMax: 4,
  readDepthMax: 16,
  privateDataMax: { connect: 56, accept: 196, reject: 148 },
};

export class SimulatedNetwork implements Fabric {
  readonly settings: NetworkSettings;
  readonly #seed: number;
  readonly #faults: Partial<FaultPlan>;
  readonly #hosts: SimulatedAdapter[] = [];
  readonly #events = new EventHeap();
  #nowNs = 0;
  #pumping = false;

  constructor(options: SimulatedNetworkOptions) {
    const { seed, faults = {}, ...settings } = options;
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed ${seed}: not a safe integer`);
    this.#seed = seed;
    this.#faults = faults;
    this.settings = { ...DEFAULT_SETTINGS, ...settings };
    // Otherwise a message that never finds a receive would be retried for ever at one instant.
    if (this.settings.receiverNotReadyRetryNs < 1) throw new RangeError('receiverNotReadyRetryNs: at least 1');
  }

  /** Adds a host with one adapter, to be opened by its user. */
  host(options: SimulatedHostOptions): SimulatedAdapter {
    const hostIndex = this.#hosts.length;
    for (const address of options.addresses) {
      if (this.#find(address) !== null) throw new RangeError(`address ${address}: another host has it`);
    }
    const plan = { ...NO_FAULTS, ...this.#faults, ...options.faults };
    const adapter = new SimulatedAdapter({
      network: this,
      hostIndex,
      addresses: options.addresses,
      capabilities: { ...DEFAULT_CAPABILITIES, ...options.capabilities },
      faults: new Faults(plan, (name) => this.random(`host ${hostIndex} ${name}`)),
    });
    this.#hosts.push(adapter);
    if (plan.deviceRemovedAtNs !== null) this.schedule(plan.deviceRemovedAtNs, () => adapter.remove());
    return adapter;
  }

  /** Virtual time in nanoseconds; a safe integer. */
  get nowNs(): number {
    return this.#nowNs;
  }

  /** When something is due next, timers of clocks included; null when nothing is. */
  get nextEventNs(): number | null {
    let nextNs = this.#events.nextNs;
    for (const host of this.#hosts) {
      const expiryNs = host.clock.nextExpiryNs;
      if (expiryNs !== null && (nextNs === null || expiryNs < nextNs)) nextNs = expiryNs;
    }
    return nextNs;
  }

  /** Moves to the next instant at which something is due, and carries that out. @returns false when nothing is */
  advance(): boolean {
    const nextNs = this.nextEventNs;
    if (nextNs === null) return false;
    this.advanceTo(nextNs);
    return true;
  }

  /** Moves to `timeNs` and carries out what is due until then. A time in the past is now. */
  advanceTo(timeNs: number): void {
    for (;;) {
      const nextNs = this.#events.nextNs;
      if (nextNs === null || nextNs > timeNs) break;
      this.#nowNs = Math.max(this.#nowNs, nextNs);
      this.#events.pop()?.();
    }
    this.#nowNs = Math.max(this.#nowNs, timeNs);
    for (const host of this.#hosts) host.timePassed();
  }

  /**
   * Lets the network come to rest, however long it takes. Timers of clocks don't count: they expire unattended.
   *
   * @param instantsMax - most instants to go through
   * @returns false when there was still something to do then
   */
  run(instantsMax = 1_000_000): boolean {
    for (let instant = 0; instant < instantsMax; instant++) {
      const nextNs = this.#events.nextNs;
      if (nextNs === null) return true;
      this.advanceTo(nextNs);
    }
    return this.#events.size === 0;
  }

  schedule(timeNs: number, action: () => void): void {
    this.#events.push(Math.max(timeNs, this.#nowNs), action);
    this.pump();
  }

  random(stream: string): Random {
    return new Random(this.#seed, stream);
  }

  /**
   * Lets time pass while hosts sleep: an instant in each turn of the process's event loop, until nobody sleeps or
   * nothing is due.
   */
  pump(): void {
    if (this.#pumping || !this.#hosts.some((host) => host.isAsleep)) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      if (this.#hosts.some((host) => host.isAsleep) && this.advance()) this.pump();
    }).unref();
  }

  /** The request of `active` has arrived where `address` is, if anywhere. */
  carryRequest(active: Connector, address: string, deliver: (host: SimulatedAdapter) => void): void {
    const host = this.#find(address);
    if (host !== null) {
      deliver(host);
      return;
    }
    const { unreachableAfterNs } = this.settings;
    if (unreachableAfterNs !== null) this.schedule(this.#nowNs + unreachableAfterNs, () => active.connectFails());
  }

  #find(address: string): SimulatedAdapter | null {
    return this.#hosts.find((host) => host.addresses().includes(address)) ?? null;
  }
}
