/** What the two hosts of a run stand on: adapters, the network between them, and time. */

import {
  type Adapter,
  type AdapterCapabilities,
  type ConnectionEvent,
  type SimulatedAdapter,
  SimulatedNetwork,
} from '../../driver/index.ts';
import { VirtualClock } from '../../driver/adapter/simulated/virtual-clock.ts';
import { decodeHandshake } from '../../driver/handshake.ts';
import type { HostIndex, Setup } from './action.ts';

/** What an adapter holds, by kind. */
export type Inventory = Readonly<Record<string, number>>;

/** What one host stands on. */
export interface Footing {
  readonly address: string;
  readonly adapter: Adapter;
  readonly clock: VirtualClock;
  inventory(): Inventory;
  /** The adapter is removed. @throws Error where that can't be made to happen */
  remove(peersAreTold: boolean): void;
  /** What listeners at `port` listen on is removed. @throws Error likewise */
  removeListeners(port: number): void;
}

/** Time is virtual on any ground: only what a provider waits for by its clock passes when a run says so. */
export interface Ground {
  readonly nowNs: number;
  /** Where listeners listen. */
  readonly ports: readonly number[];
  readonly unansweredPort: number;
  /** An address of the network that no host has. */
  readonly nobody: string;
  /** A listener hears at once that who asked has given up; else its WSPAccept finds out. */
  readonly tellsWithdrawals: boolean;
  footing(index: HostIndex, capabilities: Partial<AdapterCapabilities>): Footing;
  /** The network goes on by so much as it does within a call. @returns whether it is idle */
  run(instants: number): boolean;
  /** As {@link Ground.run}, when the network takes its own time. @param isAtRest - whether more is not awaited */
  turn(isAtRest: () => boolean): Promise<boolean>;
  advanceTo(nowNs: number): void;
  /** To the next instant at which anything is due. @returns false when nothing is */
  advance(): boolean;
}

const simulatedAddresses = ['10.0.0.1', '10.0.0.2'] as const;

/** The simulated network with its faults, which obeys a seed. */
export class SimulatedGround implements Ground {
  readonly ports = [5000, 5001];
  readonly unansweredPort = 5999;
  readonly nobody = '10.0.0.9';
  readonly tellsWithdrawals = true;
  readonly #setup: Setup;
  readonly #network: SimulatedNetwork;

  constructor(setup: Setup) {
    const { seed, latencyNs, jitterNs, receiverNotReady, privateDataPadded } = setup;
    this.#setup = setup;
    this.#network = new SimulatedNetwork({ seed, latencyNs, jitterNs, receiverNotReady, privateDataPadded });
  }

  get nowNs(): number {
    return this.#network.nowNs;
  }

  footing(index: HostIndex, capabilities: Partial<AdapterCapabilities>): Footing {
    const address = simulatedAddresses[index];
    const adapter: SimulatedAdapter = this.#network.host({
      addresses: [address],
      faults: this.#setup.faults[index],
      capabilities,
    });
    return {
      address,
      adapter,
      clock: adapter.clock,
      inventory: () => ({ ...adapter.inventory() }),
      remove: (peersAreTold) => adapter.remove({ peersAreTold }),
      removeListeners: (port) => adapter.removeListeners((local) => local.port === port),
    };
  }

  run(instants: number): boolean {
    return this.#network.run(instants);
  }
  async turn(): Promise<boolean> {
    return this.run(1);
  }
  advanceTo(nowNs: number): void {
    this.#network.advanceTo(nowNs);
  }
  advance(): boolean {
    return this.#network.advance();
  }
}

/** Adapters that reach each other by other means than this process's memory. */
export interface LiveGroundOptions {
  /** Of the hosts; each is served by its own adapter. */
  readonly addresses: readonly [string, string];
  /** An address of their network that no host has. */
  readonly nobody: string;
  /** What a message does that meets no receive: it waits, or ends the connection. */
  readonly receiverNotReady: Setup['receiverNotReady'];
  /** As of the ground. */
  readonly tellsWithdrawals: boolean;
  /** A new adapter, not open, that serves that address alone. */
  open(address: string, index: HostIndex): Adapter & { inventory(): object };
  /** So long without anything new is taken for rest. */
  readonly quietMs: number;
  /** What is awaited has so long to come. Default 10 s. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 10_000;
/** Ports of listeners: each run has its own, since a port that was used may not be free at once. */
const FIRST_PORT = 10_000;
const LAST_PORT = 30_000;
/** What an adapter owes to who uses it. */
const owed = ['protectionDomains', 'regions', 'connectors', 'listeners'];
let nextPort = FIRST_PORT;

/**
 * Real adapters. Their network takes its own time, so rest is a while without news, once all that must come has come. Time
 * limits are virtual, and expire when a run says so.
 *
 * Who calls is known by the port that it is bound to; a real stack chooses another, so a request's port is put right by the
 * connection's id, which the handshake carries.
 */
export class LiveGround implements Ground {
  readonly ports: readonly number[];
  readonly unansweredPort: number;
  readonly nobody: string;
  readonly tellsWithdrawals: boolean;
  nowNs = 0;
  readonly #options: LiveGroundOptions;
  readonly #clocks: VirtualClock[] = [];
  readonly #open = new Set<Adapter>();
  /** Ports by connection id. */
  readonly #callers = new Map<string, number>();
  #lastNewsMs = performance.now();
  /** Since when something is awaited that does not come; null when nothing is. */
  #awaitingMs: number | null = null;

  constructor(options: LiveGroundOptions) {
    this.#options = options;
    this.nobody = options.nobody;
    this.tellsWithdrawals = options.tellsWithdrawals;
    if (nextPort + 3 > LAST_PORT) nextPort = FIRST_PORT;
    this.ports = [nextPort, nextPort + 1];
    this.unansweredPort = nextPort + 2;
    nextPort += 3;
  }

  /** What a setup says of the adapters and their network, as it is here. */
  setup(setup: Setup): Setup {
    return { ...setup, faults: [{}, {}], receiverNotReady: this.#options.receiverNotReady };
  }

  footing(index: HostIndex, capabilities: Partial<AdapterCapabilities>): Footing {
    const address = this.#options.addresses[index];
    const real = this.#options.open(address, index);
    const clock = new VirtualClock(this);
    this.#clocks.push(clock);
    const adapter = this.#limited(real, capabilities);
    return {
      address,
      adapter,
      clock,
      inventory: () => Object.fromEntries(Object.entries(real.inventory()).filter(([kind]) => owed.includes(kind))),
      remove: () => {
        throw new Error('a real adapter is not removed');
      },
      removeListeners: () => {
        throw new Error('a real device is not removed');
      },
    };
  }

  /** `real` with smaller limits, whose news are noticed. */
  #limited(real: Adapter, capabilities: Partial<AdapterCapabilities>): Adapter {
    const notice = <T>(news: boolean, result: T): T => {
      if (news) {
        this.#lastNewsMs = performance.now();
        this.#awaitingMs = null;
      }
      return result;
    };
    const own: Partial<Record<keyof Adapter, unknown>> = {
      open: () => {
        const status = real.open();
        if (status === 0) this.#open.add(adapter);
        return status;
      },
      close: () => {
        this.#open.delete(adapter);
        real.close();
      },
      poll: () => {
        const count = real.poll();
        return notice(count > 0, count);
      },
      pollConnectionEvent: () => {
        const event = real.pollConnectionEvent();
        return notice(event !== null, event === null ? null : this.#introduced(event));
      },
      connect: (...args: Parameters<Adapter['connect']>) => {
        const [, local, , privateData] = args;
        const handshake = decodeHandshake(privateData);
        if (handshake !== null && !handshake.reattach) this.#callers.set(hex(handshake.connectionId), local.port);
        return real.connect(...args);
      },
    };
    const adapter = new Proxy(real, {
      get: (target, name) => {
        if (Object.hasOwn(own, name)) return own[name as keyof Adapter];
        const value: unknown = Reflect.get(target, name, target);
        if (name === 'capabilities') return { ...target.capabilities, ...capabilities };
        return typeof value === 'function' ? value.bind(target) : value;
      },
      set: (_, name, value) => {
        own[name as keyof Adapter] = value;
        return true;
      },
    });
    return adapter;
  }

  #introduced(event: ConnectionEvent): ConnectionEvent {
    if (event.type !== 'connectRequest') return event;
    const handshake = decodeHandshake(event.privateData);
    const port = handshake === null ? undefined : this.#callers.get(hex(handshake.connectionId));
    return port === undefined ? event : { ...event, remote: { ...event.remote, port } };
  }

  run(): boolean {
    // Within a call only what an adapter has already can come.
    return true;
  }

  async turn(isAtRest: () => boolean): Promise<boolean> {
    await this.#news();
    const nowMs = performance.now();
    if (nowMs - this.#lastNewsMs < this.#options.quietMs) return false;
    this.#awaitingMs ??= nowMs;
    if (!isAtRest() && nowMs - this.#awaitingMs < (this.#options.patienceMs ?? PATIENCE_MS)) return false;
    this.#awaitingMs = null;
    return true;
  }

  /** Until an adapter has something, or for a quiet while. */
  async #news(): Promise<void> {
    const open = [...this.#open];
    if (open.some(({ wakeUp }) => wakeUp.arm())) {
      // What makes it ready may need the event loop to come.
      await new Promise((resolve) => setImmediate(resolve));
      return;
    }
    const quiet = Promise.withResolvers<void>();
    const timer = setTimeout(quiet.resolve, this.#options.quietMs);
    for (const { wakeUp } of open) wakeUp.wait(quiet.resolve);
    await quiet.promise;
    clearTimeout(timer);
    // On a busy host the timer may be served before what has come meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
  }

  advanceTo(nowNs: number): void {
    this.nowNs = Math.max(this.nowNs, nowNs);
  }

  /** Ends what a run that failed has left, which would be in the way of the next. */
  close(): void {
    for (const adapter of [...this.#open]) adapter.close();
  }

  advance(): boolean {
    const next = this.#clocks.map(({ nextExpiryNs }) => nextExpiryNs).filter((expiry) => expiry !== null);
    if (next.length === 0) return false;
    this.advanceTo(Math.min(...next));
    return true;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
