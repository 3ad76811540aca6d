/** Two hosts for the simulator's tests, and verbs to tell a story with. */

import type { ConnectionEvent, MemoryRegion, QueueDepths, SocketAddress } from '../adapter.ts';
import {
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  MemoryAccess,
  Opcode,
  SGE_MAX,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../adapter.ts';
import type { SimulatedAdapter } from './adapter.ts';
import { wordAt } from './memory.ts';
import type { SimulatedHostOptions, SimulatedNetworkOptions } from './network.ts';
import { SimulatedNetwork } from './network.ts';

export const CLIENT_ADDRESS = '10.0.0.1';
export const SERVER_ADDRESS = '10.0.0.2';
export const PORT = 7000;

/** A completion in words. */
export interface Completion {
  readonly connector: number;
  readonly context: number;
  readonly opcode: keyof typeof Opcode;
  readonly status: keyof typeof CompletionStatus;
  readonly bytes: number;
}

/** Registered memory. */
export interface TestBuffer {
  readonly bytes: Uint8Array;
  readonly region: MemoryRegion;
}

/** A part of a buffer, as an element of a work request. */
export interface Part {
  readonly buffer: TestBuffer;
  readonly offset?: number;
  readonly length?: number;
}

export interface WorkRequest {
  readonly context: number;
  readonly parts: readonly Part[];
  readonly fence?: boolean;
  readonly remote?: { readonly key: number; readonly address: number };
}

export class TestHost {
  readonly adapter: SimulatedAdapter;
  readonly protectionDomain: number;
  readonly events: ConnectionEvent[] = [];
  readonly completions: Completion[] = [];
  depths: QueueDepths = { send: 16, receive: 16 };

  constructor(adapter: SimulatedAdapter) {
    this.adapter = adapter;
    adapter.open();
    this.protectionDomain = adapter.allocateProtectionDomain();
  }

  get address(): string {
    return this.adapter.addresses()[0] ?? '';
  }

  buffer(byteCount: number, access: number = ALL_ACCESS, protectionDomain: number = this.protectionDomain): TestBuffer {
    const bytes = new Uint8Array(byteCount);
    const region = this.adapter.registerMemory(protectionDomain, bytes, access);
    if (typeof region === 'number') throw new Error(`registerMemory: ${region}`);
    return { bytes, region };
  }

  text(text: string, access: number = ALL_ACCESS): TestBuffer {
    const buffer = this.buffer(Buffer.byteLength(text), access);
    buffer.bytes.set(Buffer.from(text));
    return buffer;
  }

  createConnector(): number {
    return this.adapter.createConnector(this.protectionDomain, this.depths);
  }

  connect(address: string, privateData = '', port: number = PORT): number {
    const connector = this.createConnector();
    this.adapter.connect(connector, endpoint(this.address, 0), endpoint(address, port), Buffer.from(privateData));
    return connector;
  }

  accept(connector: number, privateData = ''): number {
    const prepared = this.adapter.prepareAccept(connector, this.protectionDomain, this.depths);
    return prepared < 0 ? prepared : this.adapter.accept(connector, Buffer.from(privateData));
  }

  send(connector: number, request: WorkRequest): boolean {
    return this.post(connector, Opcode.send, request);
  }

  receive(connector: number, request: WorkRequest): boolean {
    return this.post(connector, Opcode.receive, request);
  }

  write(connector: number, request: WorkRequest): boolean {
    return this.post(connector, Opcode.rdmaWrite, request);
  }

  read(connector: number, request: WorkRequest): boolean {
    return this.post(connector, Opcode.rdmaRead, request);
  }

  /** @returns whether the work request was taken */
  post(connector: number, opcode: Opcode, request: WorkRequest): boolean {
    fillWorkRequest(this.adapter.workRequests, 0, connector, opcode, request);
    return this.adapter.post(1) === 1;
  }

  /** Polls until nothing comes. */
  drain(): void {
    for (let event = this.adapter.pollConnectionEvent(); event !== null; event = this.adapter.pollConnectionEvent()) {
      this.events.push(event);
    }
    for (let count = this.adapter.poll(); count > 0; count = this.adapter.poll()) {
      for (let index = 0; index < count; index++) {
        const base = index * COMPLETION_WORDS;
        const word = (field: number): number => wordAt(this.adapter.completions, base + field);
        this.completions.push({
          connector: word(CompletionField.connector),
          context: word(CompletionField.context),
          opcode: nameOf(Opcode, word(CompletionField.opcode)),
          status: nameOf(CompletionStatus, word(CompletionField.status)),
          bytes: word(CompletionField.bytes),
        });
      }
    }
  }

  /** What completed since the last time, as `context status` or, for a receive or read that succeeded, with bytes. */
  takeCompletions(): string[] {
    return this.completions.splice(0).map(({ opcode, context, status, bytes }) => {
      const hasBytes = status === 'success' && (opcode === 'receive' || opcode === 'rdmaRead');
      return `${opcode} ${context} ${status}${hasBytes ? ` ${bytes}` : ''}`;
    });
  }

  takeEvents(): ConnectionEvent[] {
    return this.events.splice(0);
  }

  /** Names of the events since the last time. */
  takeEventTypes(): string[] {
    return this.takeEvents().map((event) => event.type);
  }
}

export const ALL_ACCESS: number = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;

export function fillWorkRequest(
  words: Uint32Array,
  index: number,
  connector: number,
  opcode: Opcode,
  request: WorkRequest,
): void {
  const base = index * WORK_REQUEST_WORDS;
  words.fill(0, base, base + WORK_REQUEST_WORDS);
  words[base + WorkRequestField.opcode] = opcode;
  words[base + WorkRequestField.connector] = connector;
  words[base + WorkRequestField.context] = request.context;
  words[base + WorkRequestField.flags] = request.fence === true ? WORK_REQUEST_FENCE : 0;
  words[base + WorkRequestField.elementCount] = request.parts.length;
  words[base + WorkRequestField.remoteKey] = request.remote?.key ?? 0;
  putAddress(words, base + WorkRequestField.remoteAddressLow, request.remote?.address ?? 0);
  for (const [place, { buffer, offset = 0, length = buffer.bytes.byteLength - offset }] of request.parts.entries()) {
    if (place >= SGE_MAX) break;
    const element = base + WorkRequestField.elements + 4 * place;
    words[element] = buffer.region.localKey;
    words[element + 1] = length;
    putAddress(words, element + 2, buffer.region.address + offset);
  }
}

function putAddress(words: Uint32Array, index: number, address: number): void {
  words[index] = address % 2 ** 32;
  words[index + 1] = Math.floor(address / 2 ** 32);
}

/** How a peer names a part of a buffer. */
export function remote(buffer: TestBuffer, offset = 0): { readonly key: number; readonly address: number } {
  return { key: buffer.region.remoteKey, address: buffer.region.address + offset };
}

export function endpoint(address: string, port: number): SocketAddress {
  return { family: address.includes(':') ? 'IPv6' : 'IPv4', address, port };
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

export interface TwoHosts {
  readonly network: SimulatedNetwork;
  readonly client: TestHost;
  readonly server: TestHost;
  /** Server's listener on {@link PORT}, all addresses. */
  readonly listener: number;
  /** Lets the network come to rest and polls both hosts. */
  settle(): void;
}

/** A client and a server that listens. */
export function twoHosts(
  options: Partial<SimulatedNetworkOptions> = {},
  hosts: { readonly client?: Partial<SimulatedHostOptions>; readonly server?: Partial<SimulatedHostOptions> } = {},
): TwoHosts {
  const network = new SimulatedNetwork({ seed: 1, ...options });
  const client = new TestHost(network.host({ addresses: [CLIENT_ADDRESS], ...hosts.client }));
  const server = new TestHost(network.host({ addresses: [SERVER_ADDRESS], ...hosts.server }));
  const listener = server.adapter.listen(endpoint('0.0.0.0', PORT));
  const settle = (): void => {
    network.run();
    client.drain();
    server.drain();
  };
  return { network, client, server, listener, settle };
}

export interface ConnectedHosts extends TwoHosts {
  /** The client's connector. */
  readonly near: number;
  /** The server's. */
  readonly far: number;
}

/** A client and a server with a connection between them, its events taken. */
export function connectedHosts(...parameters: Parameters<typeof twoHosts>): ConnectedHosts {
  const hosts = twoHosts(...parameters);
  const [near, far] = connectPair(hosts);
  return { ...hosts, near, far };
}

/** One more connection between two hosts. @returns the client's connector and the server's */
export function connectPair({ client, server, settle }: TwoHosts): [number, number] {
  const near = client.connect(SERVER_ADDRESS);
  settle();
  const request = server.takeEvents().find((event) => event.type === 'connectRequest');
  if (request?.type !== 'connectRequest') throw new Error('no connectRequest');
  server.accept(request.connector);
  settle();
  client.takeEvents();
  server.takeEvents();
  return [near, request.connector];
}

function nameOf<Names extends Readonly<Record<string, number>>>(names: Names, value: number): keyof Names & string {
  const found = Object.entries(names).find(([, number]) => number === value);
  if (found === undefined) throw new Error(`no name for ${value}`);
  return found[0];
}
