/**
 * The adapters that there are, by the names that the command line uses: the only such list.
 *
 * Theory of operation: an entry says what its adapter reaches, why it can't be used here if it can't, and makes one.
 * Asking loads nothing that the adapter alone needs; making one may.
 */

import net from 'node:net';

import type { Adapter, SocketAddress } from './adapter.ts';
import { IwarpAdapter, type IwarpOptions } from './iwarp.ts';
import { SimulatedNetwork, type SimulatedNetworkOptions } from './simulated.ts';
import { VerbsAdapter, type VerbsDevice } from './verbs.ts';
import { diagnose, findingText } from './verbs/diagnosis.ts';

/** What every adapter that reaches other processes understands. */
export interface AdapterOptions {
  /** Serve the host's loopback addresses as well. Default false. */
  readonly loopback?: boolean;
  /** Ask for checksums, where that can be chosen. Default true. */
  readonly crc?: boolean;
  /** Told in words, for users, why an attempt to connect came to nothing, where the adapter knows. */
  readonly onConnectFailed?: (why: string) => void;
}

interface Entry {
  /** As {@link Adapter.name}. */
  readonly name: string;
  /** What it is, in half a line. */
  readonly what: string;
  /**
   * Why it can't be used on this computer, and what to do about it; null when it can. Asked again at each call.
   *
   * @throws nothing
   */
  unavailable(): string | null;
  /**
   * What doesn't keep it from working but may trouble it, each with what to do about it.
   *
   * @throws nothing
   */
  notes?(): readonly string[];
  /**
   * What it is made of here, a line each: devices, their addresses and limits.
   *
   * @throws nothing
   */
  parts?(): readonly string[];
}

/** An adapter whose hosts all live in one process. */
export interface ProcessAdapterEntry extends Entry {
  readonly reach: 'process';
  /** Makes the network that hosts are made on. */
  createNetwork(options: SimulatedNetworkOptions): SimulatedNetwork;
}

/** An adapter that reaches other processes and machines. */
export interface NetworkAdapterEntry extends Entry {
  readonly reach: 'network';
  /** Makes an adapter that isn't open yet. @throws Error when it can't, as {@link Entry.unavailable} says */
  create(options?: AdapterOptions): Adapter;
  /**
   * Looks whether one could listen at `local` now. It can be taken before one does.
   *
   * @param local - port 0 stands for any that is free
   * @returns the port, or in words why not
   */
  probe(local: SocketAddress): number | string;
  /** An address of this computer by which its own processes reach each other; null when there is none. */
  home(): string | null;
}

export type AdapterEntry = ProcessAdapterEntry | NetworkAdapterEntry;

const bindErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'permission denied: ports below 1024 need privileges',
  EADDRNOTAVAIL: 'it is no address of this computer',
};

function probeTcp({ address, port }: SocketAddress): number | string {
  try {
    using bound = new net.BoundSocket({ host: address, port, ipv6Only: net.isIPv6(address) });
    return bound.address().port;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return bindErrors[code ?? ''] ?? message;
  }
}

/** RDMA devices that have an address; none where the adapter can't be used. */
function devices(): readonly VerbsDevice[] {
  const adapter = new VerbsAdapter({ onHint: () => {} });
  if (adapter.open() !== 0) return [];
  try {
    return adapter.devices();
  } finally {
    adapter.close();
  }
}

/** `rxe0, port 1: RoCE, MTU 1024, at 10.77.0.1; messages to 8388608 bytes, ...` */
function deviceText({ name, port, transport, isActive, mtu, addresses, limits }: VerbsDevice): string {
  const { messageSizeMax, sendDepthMax, receiveDepthMax, elementsMax, readElementsMax, readDepthMax } = limits;
  const depths = sendDepthMax === receiveDepthMax ? `${sendDepthMax}` : `${sendDepthMax} and ${receiveDepthMax}`;
  return (
    `${name}, port ${port}: ${transport}, ${isActive ? 'active' : 'down'}, MTU ${mtu}, at ${addresses.join(' and ')}; ` +
    `messages to ${messageSizeMax} bytes, queues to ${depths} requests, ${elementsMax} elements a request ` +
    `(${readElementsMax} a read), ${readDepthMax} reads at once`
  );
}

/** All of them; the first that reaches the network is the commands' default. */
export const adapterRegistry: readonly AdapterEntry[] = [
  {
    name: 'iwarp',
    reach: 'network',
    what: 'RDMA in software over TCP, to any machine',
    unavailable: () => (net.BoundSocket === undefined ? 'needs Node.js 24.19 or newer' : null),
    create: (options: IwarpOptions = {}) => new IwarpAdapter(options),
    probe: probeTcp,
    home: () => '127.0.0.1',
  },
  {
    name: 'verbs',
    reach: 'network',
    what: 'RDMA devices (InfiniBand, RoCE, iWARP) through librdmacm and libibverbs',
    unavailable() {
      const fatal = diagnose().find(({ isFatal }) => isFatal);
      return fatal === undefined ? null : findingText(fatal);
    },
    notes: () =>
      diagnose()
        .filter(({ isFatal }) => !isFatal)
        .map(findingText),
    create: () => new VerbsAdapter(),
    // Its ports are a space of their own, of which nothing can be asked; a free one of TCP's is a good guess.
    probe: (local) => (local.port === 0 ? probeTcp(local) : local.port),
    home: () => devices().flatMap(({ addresses }) => addresses)[0] ?? null,
    parts: () => devices().map(deviceText),
  },
  {
    name: 'simulated',
    reach: 'process',
    what: 'hosts in one process, on virtual time; faults from a seed',
    unavailable: () => null,
    createNetwork: (options) => new SimulatedNetwork(options),
  },
];

/** The adapter of that name, or undefined. */
export const adapterEntry = (name: string): AdapterEntry | undefined =>
  adapterRegistry.find((entry) => entry.name === name);
