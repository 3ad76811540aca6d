/**
 * Software iWARP: an RDMA adapter over TCP connections of this process.
 *
 * Theory of operation: this file is the thin shell over `node:net`; what happens on a connection is in
 * `iwarp/connection.ts`, what moves in `iwarp/stream.ts`, and every decision about a lifecycle in machines/iwarp.ts.
 * Output is made in few large pieces: a batch of posts is put into one, large payload by reference to registered memory,
 * and written at once (`writev`); no more than two wait for TCP. Input is read into one buffer for all connections and
 * placed at once, so nothing waits in between but one FPDU that isn't whole. Memory for a connection is bounded by the two
 * outputs, that FPDU, and the depths.
 *
 * There is no "receiver not ready" here: a send that meets no posted receive ends the stream, as the RFC has it.
 *
 * Listening needs `net.BoundSocket` (Node.js 24.19 or newer), which alone can tell at once that an address is taken.
 */

import { randomInt } from 'node:crypto';
import net from 'node:net';
import { networkInterfaces } from 'node:os';

import type {
  Adapter,
  AdapterCapabilities,
  ConnectionEvent,
  MemoryRegion,
  QueueDepths,
  SocketAddress,
  WakeUp,
} from './adapter.ts';
import {
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  Opcode,
  SGE_MAX,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from './adapter.ts';
import { Connection, type ConnectionSettings, Lifecycles, type Shell } from './iwarp/connection.ts';
import { MemoryTable } from './iwarp/memory.ts';
import { roomFor, type Stream } from './iwarp/stream.ts';
import { DEPTH_UNSPECIFIED } from './iwarp/wire.ts';
import { CompletionRing } from './simulated/completion-ring.ts';

export interface IwarpOptions {
  /** Addresses that are served; all of the host's unless given. */
  readonly addresses?: readonly string[];
  /** Whether the host's loopback addresses are among them, where `addresses` doesn't say. Default false. */
  readonly loopback?: boolean;
  /** MPA revision that is asked for, and the highest that is answered. */
  readonly revision?: 1 | 2;
  /** Whether this end asks for checksums. */
  readonly crc?: boolean;
  /** Longest ULPDU that is sent, 128 to 65535 bytes. */
  readonly ulpduMax?: number;
  /** Reads at once on a connection, in each direction, 0 to 0x3ffe. */
  readonly readDepth?: number;
  /** Bound of a connection's start-up. */
  readonly startupMs?: number;
  /** Bound of the wait for the peer's half of TCP to end. */
  readonly closeMs?: number;
  /** Bound of the wait for a peer that doesn't read: so long without TCP taking anything ends the connection. */
  readonly stallMs?: number;
  /** Incoming connections at once that have not asked yet; more are refused. */
  readonly startupsMax?: number;
  /** Memory from which outputs are cut, and so the most that one output copies, in bytes. */
  readonly outputBytes?: number;
  /** What bounds waits; the system's timers unless a test brings others. */
  readonly timers?: Timers;
  /** Told in words, for users, why an attempt to connect came to nothing. */
  readonly onConnectFailed?: (why: string) => void;
}

/** Starts and stops timers: `setTimeout` and `clearTimeout`, or a test's. A timer holds no event loop open. */
export interface Timers {
  start(afterMs: number, expired: () => void): unknown;
  stop(timer: unknown): void;
}

const systemTimers: Timers = {
  start: (afterMs, expired) => setTimeout(expired, afterMs).unref(),
  stop: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

const defaults = {
  revision: 2,
  crc: true,
  // 60 KiB of payload: whole pages, and few checksums.
  ulpduMax: 61_458,
  readDepth: 16,
  startupMs: 5_000,
  closeMs: 2_000,
  stallMs: 30_000,
  startupsMax: 256,
  outputBytes: 262_144,
  timers: systemTimers,
  onConnectFailed: () => {},
} as const;

const BATCH_MAX = 64;
/** Outputs of one connection that TCP may hold. */
const OUTPUTS_MAX = 2;
/** Completions that are worth a turn: what twice as many are about isn't all in the cache any more. */
const GATHERED = 32;
const INPUT_BYTES = 262_144;
const SIZE_MAX = 0x7fff_ffff;
const NOTHING = new Uint8Array(0);
/** Of links that never had any: it stays empty. */
const NO_NUMBERS: number[] = [];

/** What an adapter holds at the moment; all 0 after a proper tear-down. */
export interface IwarpInventory {
  readonly regions: number;
  readonly connectors: number;
  readonly listeners: number;
  /** TCP connections, those included that only wait for their end. */
  readonly sockets: number;
  /** Bytes of output that TCP holds; at most two outputs for a connection. */
  readonly outputBytes: number;
}

interface Listener {
  readonly server: net.Server;
}

/**
 * Memory for output, for all connections. It is cut from one buffer from front to back. What TCP takes at once is used again
 * at once; what it still holds never is, and keeps its buffer, of which the rest is the collector's.
 */
class OutputMemory {
  readonly #bufferBytes: number;
  readonly #room: number;
  #buffer: Buffer;
  #at = 0;
  /** Where the last output begins. */
  #last = 0;
  readonly #parts: Uint8Array[] = [];

  constructor(bufferBytes: number, ulpduMax: number) {
    this.#bufferBytes = bufferBytes;
    this.#room = roomFor(ulpduMax);
    this.#buffer = Buffer.allocUnsafeSlow(bufferBytes);
  }

  /** Makes one output. @returns its parts, valid until the next one is made; none when there is nothing to send */
  fill(stream: Stream): readonly Uint8Array[] {
    if (this.#at + this.#room > this.#buffer.byteLength) {
      this.#buffer = Buffer.allocUnsafeSlow(this.#bufferBytes);
      this.#at = 0;
    }
    emptied(this.#parts);
    this.#last = this.#at;
    this.#at += stream.produce(this.#buffer, this.#parts, this.#at);
    return this.#parts;
  }

  /** TCP has the last output already: its memory is for the next one. */
  taken(): void {
    this.#at = this.#last;
  }
}

/** One connection with its socket. */
class Link implements Shell {
  // What a message needs, side by side.
  readonly #adapter: IwarpAdapter;
  readonly id: number;
  readonly connection: Connection;
  /** Once it is open: from then on a message needs nothing else of the connection. */
  #stream: Stream | null = null;
  socket: net.Socket | null = null;
  /** The connector was destroyed: nobody hears of it any more. */
  isDetached = false;
  /** It has something to send, and is among those that will be asked. */
  isDirty = false;
  #pumping = false;
  #closing = false;
  #ending = false;
  #blocked = false;
  /** Outputs that TCP holds. */
  #held = 0;

  readonly listener: number;
  /** The owner knows of it, and may ask for it. */
  isKnown: boolean;
  target: { readonly local: SocketAddress; readonly remote: SocketAddress } | null = null;
  #timer: unknown = null;
  /** Bytes of each output that TCP holds. */
  #heldBytes: number[] = NO_NUMBERS;
  #takenLater: (() => void) | null = null;
  /** What ended TCP, if it wasn't this end. */
  #trouble: string | null = null;

  constructor(adapter: IwarpAdapter, id: number, listener: number) {
    this.#adapter = adapter;
    this.id = id;
    this.connection = new Connection(id, adapter.lifecycles, this, adapter.memory, adapter.settings);
    this.listener = listener;
    this.isKnown = listener < 0;
  }

  adopt(socket: net.Socket): void {
    const former = this.socket;
    this.socket = socket;
    this.#adapter.sockets.add(this);
    former?.destroy();
    socket.setNoDelay(true);
    let code: string | undefined;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code;
      this.#trouble ??= code ?? error.message;
    });
    socket.on('connect', () => {
      if (this.connection.startupState === 'connecting') this.connection.tcpConnected();
    });
    socket.on('end', () => {
      if (this.socket !== socket) return;
      this.#trouble ??= 'the peer ended the connection instead of answering';
      this.connection.peerEnded();
    });
    socket.on('close', () => {
      // The connection may have gone on to another one.
      if (this.socket !== socket) return;
      this.socket = null;
      this.#adapter.sockets.delete(this);
      if (this.connection.startupState === 'connecting' && code === 'ECONNREFUSED') this.connection.tcpRefused();
      else this.connection.tcpLost();
      if (this.socket !== null) return;
      this.stopTimer();
      if (this.isDetached) this.release();
    });
  }

  /** Takes a connection that came, of which nothing was read yet. */
  acceptTcp(accepted: net.Socket): void {
    this.adopt(readingInto(accepted, this.#onread()));
  }

  /**
   * One buffer for all connections: what is in it is placed before the next one reads. A socket in whose place there is
   * another has been destroyed, and reads nothing.
   */
  #onread(): net.OnReadOpts {
    return {
      buffer: this.#adapter.input,
      callback: (count) => {
        this.#adapter.heard(this, count);
        return true;
      },
    };
  }

  openTcp(): void {
    const { local, remote } = this.target!;
    const socket = net.connect({
      host: remote.address,
      port: remote.port,
      ...(isWildcard(local) ? {} : { localAddress: local.address }),
      allowHalfOpen: true,
      onread: this.#onread(),
    });
    this.adopt(socket);
  }

  write(bytes: Uint8Array): void {
    this.socket?.write(bytes);
  }

  /** TCP brought `count` bytes. */
  arrived(count: number): void {
    const { input } = this.#adapter;
    if (this.#stream === null) return this.connection.bytesArrived(input, count);
    this.#stream.receive(input, 0, count);
    this.pump();
  }

  get stream(): Stream | null {
    return this.#stream ?? this.connection.stream;
  }

  streamOpened(stream: Stream): void {
    this.#stream = stream;
  }

  pump(): void {
    // Making output can break the stream, which asks for output.
    if (this.#pumping) return;
    this.#pumping = true;
    const { socket } = this;
    const { stream } = this;
    if (socket !== null && stream !== null && !this.#closing) {
      let hasOutput = stream.hasOutput;
      while (hasOutput && this.#held < OUTPUTS_MAX) {
        const parts = this.#adapter.output.fill(stream);
        if (parts.length > 0) this.#send(socket, parts);
        hasOutput = parts.length > 0 && stream.hasOutput;
      }
      if (hasOutput && !this.#blocked) this.#setBlocked(true);
      if (this.#ending && !stream.hasOutput && !socket.writableEnded) socket.end();
    }
    this.#pumping = false;
  }

  /** Hands one output to TCP, in one write. */
  #send(socket: net.Socket, parts: readonly Uint8Array[]): void {
    if (parts.length === 1) {
      socket.write(parts[0]!);
      if (socket.writableLength === 0) {
        // As nearly always: nobody has to be told later.
        this.#adapter.output.taken();
        this.stream!.outputTaken();
        return;
      }
    }
    let bytes = 0;
    for (const part of parts) bytes += part.byteLength;
    if (this.#heldBytes === NO_NUMBERS) this.#heldBytes = [];
    this.#heldBytes.push(bytes);
    this.#held++;
    this.#adapter.outputBytes += bytes;
    this.#takenLater ??= () => this.#taken();
    if (parts.length === 1) {
      // Nothing, behind what waits: it is told when both are taken.
      socket.write(NOTHING, this.#takenLater);
      return;
    }
    socket.cork();
    for (let index = 0; index < parts.length - 1; index++) socket.write(parts[index]!);
    socket.write(parts.at(-1)!, this.#takenLater);
    socket.uncork();
  }

  /** TCP has the oldest output, or has ended. Only one socket of a link ever gets any. */
  #taken(): void {
    // What is told of a connection that was released is nobody's.
    if (this.#held === 0) return;
    this.#held--;
    this.#adapter.outputBytes -= this.#heldBytes.shift()!;
    this.stream!.outputTaken();
    if (this.socket === null) return;
    if (this.#blocked) this.#setBlocked(false);
    this.pump();
  }

  /** Nobody hears of it any more, and it has no socket. */
  release(): void {
    this.#held = 0;
    for (const bytes of this.#heldBytes) this.#adapter.outputBytes -= bytes;
    this.#heldBytes = NO_NUMBERS;
    this.connection.release();
  }

  #setBlocked(isBlocked: boolean): void {
    this.#blocked = isBlocked;
    this.connection.outputMoved(isBlocked);
  }

  endTcp(): void {
    this.#ending = true;
    this.pump();
  }

  closeTcp(): void {
    this.#closing = true;
    this.socket?.destroySoon();
  }

  startTimer(phase: 'startup' | 'closing' | 'stalled'): void {
    this.stopTimer();
    const { startupMs, closeMs, stallMs, timers } = this.#adapter.options;
    this.#timer = timers.start({ startup: startupMs, closing: closeMs, stalled: stallMs }[phase], () => {
      this.#timer = null;
      this.#trouble ??= `no answer in ${startupMs} ms`;
      this.connection.timeExpired();
      // Nothing more is waited for, not even for what was written.
      this.socket?.destroy();
    });
  }

  stopTimer(): void {
    if (this.#timer !== null) this.#adapter.options.timers.stop(this.#timer);
    this.#timer = null;
  }

  raise(event: ConnectionEvent): void {
    if (event.type === 'connectFailed' && this.listener < 0) {
      this.#adapter.options.onConnectFailed(this.#trouble ?? 'what answers there does not speak iWARP');
    }
    if (!this.isDetached) this.#adapter.raise(event);
  }

  raiseConnectRequest(privateData: Uint8Array): void {
    const socket = this.socket!;
    this.isKnown = true;
    this.#adapter.known(this);
    this.#adapter.raise({
      type: 'connectRequest',
      listener: this.listener,
      connector: this.id,
      local: endpoint(socket.localAddress!, socket.localPort!),
      remote: endpoint(socket.remoteAddress!, socket.remotePort!),
      privateData,
    });
  }

  complete(context: number, status: number, bytes: number, opcode: number, vendorStatus: number): void {
    if (!this.isDetached) this.#adapter.complete(this.id, context, status, bytes, opcode, vendorStatus);
  }

  forget(): void {
    this.#adapter.destroyConnector(this.id);
  }
}

/**
 * Links by the id of their connector, which is never given out again. A link's place is what the low bits of its id say; the
 * next id is one whose place is free.
 */
class Links {
  /** A power of two, at least twice as many as links. */
  #places: (Link | undefined)[] = new Array<undefined>(64).fill(undefined);
  #next = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Link | undefined {
    const link = this.#places[id & (this.#places.length - 1)];
    return link?.id === id ? link : undefined;
  }

  add(make: (id: number) => Link): Link {
    if (2 * this.#size >= this.#places.length) {
      const former = this.all();
      this.#places = new Array<undefined>(2 * this.#places.length).fill(undefined);
      for (const link of former) this.#places[link.id & (this.#places.length - 1)] = link;
    }
    while (this.#places[this.#next & (this.#places.length - 1)] !== undefined) this.#next++;
    const link = make(this.#next);
    this.#places[this.#next & (this.#places.length - 1)] = link;
    this.#next++;
    this.#size++;
    return link;
  }

  delete(id: number): void {
    if (this.get(id) === undefined) return;
    this.#places[id & (this.#places.length - 1)] = undefined;
    this.#size--;
  }

  all(): Link[] {
    return this.#places.filter((link) => link !== undefined);
  }
}

export class IwarpAdapter implements Adapter {
  readonly name = 'iwarp';
  readonly capabilities: AdapterCapabilities;
  readonly workRequests: Uint32Array = new Uint32Array(BATCH_MAX * WORK_REQUEST_WORDS);
  readonly postBatchMax = BATCH_MAX;
  readonly completions: Uint32Array = new Uint32Array(BATCH_MAX * COMPLETION_WORDS);
  readonly pollBatchMax = BATCH_MAX;
  readonly wakeUp: WakeUp & { isNewTurn: boolean };

  // For its links.
  readonly options: Required<Omit<IwarpOptions, 'addresses' | 'loopback'>>;
  readonly settings: ConnectionSettings;
  readonly lifecycles = new Lifecycles();
  readonly input: Buffer = Buffer.allocUnsafeSlow(INPUT_BYTES);
  readonly output: OutputMemory;
  /** Bytes that TCP holds. */
  outputBytes = 0;
  readonly sockets = new Set<Link>();
  memory = new MemoryTable(randomInt(2 ** 32));

  readonly #addresses: readonly string[] | null;
  readonly #loopback: boolean;
  readonly #links = new Links();
  readonly #listeners = new Map<number, Listener>();
  readonly #ring = new CompletionRing();
  #dirty: Link[] = [];
  /** Incoming connections that have not asked yet. */
  readonly #startups = new Set<Link>();
  #events: ConnectionEvent[] = [];
  #sleepers: (() => void)[] = [];
  /** Memory for those that go to sleep while others are told. */
  #told: (() => void)[] = [];
  /** Bytes of TCP are being taken. */
  #isHearing = false;
  /** The connection that last brought bytes. */
  #lastHeard: Link | null = null;
  /** Those that sleep will be told. */
  #isTelling = false;
  #gathered: (() => void) | null = null;
  #isOpen = false;
  #nextListener = 0;

  constructor(options: IwarpOptions = {}) {
    const { addresses, loopback, ...rest } = options;
    this.#addresses = addresses ?? null;
    this.#loopback = loopback ?? false;
    this.options = { ...defaults, ...rest };
    const { revision, crc, readDepth, ulpduMax, outputBytes } = this.options;
    if (ulpduMax < 128 || ulpduMax > 0xffff || outputBytes < roomFor(ulpduMax)) {
      throw new RangeError(`ulpduMax ${ulpduMax}, outputBytes ${outputBytes}: no FPDU fits`);
    }
    if (!(readDepth >= 0 && readDepth < DEPTH_UNSPECIFIED)) {
      throw new RangeError(`readDepth ${readDepth}: 0 to ${DEPTH_UNSPECIFIED - 1} reads at once can be agreed on`);
    }
    this.output = new OutputMemory(outputBytes, ulpduMax);
    this.settings = { revision, crc, readDepth, ulpduMax };
    // Revision 2 takes four bytes for its own.
    const privateData = revision === 1 ? 512 : 508;
    this.capabilities = {
      messageSizeMax: SIZE_MAX,
      rdmaSizeMax: SIZE_MAX,
      sendDepthMax: 1024,
      receiveDepthMax: 1024,
      elementsMax: SGE_MAX,
      readDepthMax: readDepth,
      privateDataMax: { connect: privateData, accept: privateData, reject: privateData },
    };
    this.wakeUp = {
      isExact: true,
      isNewTurn: false,
      arm: () => this.#isReady(),
      wait: (woken) => {
        this.#sleepers.push(woken);
        if (this.#isReady()) this.#wake();
      },
      whenGathered: (gathered) => {
        this.#gathered = gathered;
      },
    };
  }

  open(): number {
    if (net.BoundSocket === undefined) return AdapterStatus.deviceRemoved;
    this.#isOpen = true;
    return AdapterStatus.ok;
  }

  close(): void {
    for (const { server } of this.#listeners.values()) server.close();
    this.#listeners.clear();
    for (const link of this.#links.all()) this.#destroy(link);
    this.memory = new MemoryTable(randomInt(2 ** 32));
    this.#ring.clear();
    this.#events = [];
    this.#isOpen = false;
    this.#wake();
  }

  addresses(): readonly string[] {
    if (this.#addresses !== null) return this.#addresses;
    return Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? [])
        .filter(({ internal, scopeid }) => (this.#loopback || !internal) && !scopeid)
        .map(({ address }) => address),
    );
  }

  allocateProtectionDomain(): number {
    return this.#isOpen ? this.memory.allocateDomain() : AdapterStatus.deviceRemoved;
  }

  freeProtectionDomain(protectionDomain: number): void {
    this.memory.freeDomain(protectionDomain);
  }

  registerMemory(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number {
    return this.#isOpen ? this.memory.register(protectionDomain, memory, access) : AdapterStatus.deviceRemoved;
  }

  deregisterMemory(regionId: number): void {
    this.memory.deregister(regionId);
  }

  listen(local: SocketAddress): number {
    if (!this.#isOpen) return AdapterStatus.deviceRemoved;
    // There is no way to tell which port was chosen, so the caller chooses.
    if (local.port === 0) return AdapterStatus.addressNotAvailable;
    if (!isWildcard(local) && !this.addresses().includes(local.address)) return AdapterStatus.addressNotAvailable;
    let bound: net.BoundSocket;
    try {
      bound = new net.BoundSocket({ host: local.address, port: local.port, ipv6Only: local.family === 'IPv6' });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'EMFILE' || code === 'ENOBUFS' ? AdapterStatus.outOfResources : AdapterStatus.addressNotAvailable;
    }
    const id = this.#nextListener++;
    // Nothing is read before it is known where to.
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#accepted(id, socket),
    );
    server.on('error', () => {
      // Another process listened between the two calls. What only one connection fails with changes nothing.
      if (!server.listening) this.#listenerRemoved(id);
    });
    server.listen(bound);
    this.#listeners.set(id, { server });
    return id;
  }

  #listenerRemoved(listener: number): void {
    if (!this.#listeners.has(listener)) return;
    this.#events.push({ type: 'listenerRemoved', listener });
    this.#wake();
  }

  stopListening(listener: number): void {
    this.#listeners.get(listener)?.server.close();
    this.#listeners.delete(listener);
    // Of requests that weren't polled the caller knows nothing, so it can't reject them.
    const unheard = this.#events.filter((event) => event.type === 'connectRequest' && event.listener === listener);
    for (const event of unheard) if (event.type === 'connectRequest') this.destroyConnector(event.connector);
    for (const link of this.#links.all()) {
      if (link.listener === listener && !link.isKnown) this.#destroy(link);
    }
  }

  createConnector(protectionDomain: number, depths: QueueDepths): number {
    if (!this.#isOpen) return AdapterStatus.deviceRemoved;
    const link = this.#add(-1);
    link.connection.createQueues(protectionDomain, depths);
    return link.id;
  }

  connect(connector: number, local: SocketAddress, remote: SocketAddress, privateData: Uint8Array): number {
    const link = this.#link(connector);
    this.#checkPrivateData(privateData);
    if (link.connection.startupState !== 'idle') return AdapterStatus.invalidState;
    if (local.family !== remote.family) return AdapterStatus.networkUnreachable;
    if (!isWildcard(local) && !this.addresses().includes(local.address)) return AdapterStatus.networkUnreachable;
    link.target = { local, remote };
    link.connection.connect(privateData);
    return AdapterStatus.ok;
  }

  prepareAccept(connector: number, protectionDomain: number, depths: QueueDepths): number {
    const { connection } = this.#link(connector);
    if (connection.startupState !== 'undecided') return AdapterStatus.invalidState;
    connection.createQueues(protectionDomain, depths);
    connection.prepare();
    return AdapterStatus.ok;
  }

  accept(connector: number, privateData: Uint8Array): number {
    const { connection } = this.#link(connector);
    this.#checkPrivateData(privateData);
    if (connection.startupState !== 'prepared') return AdapterStatus.invalidState;
    connection.accept(privateData);
    return AdapterStatus.ok;
  }

  reject(connector: number, privateData: Uint8Array): void {
    const link = this.#links.get(connector);
    if (link === undefined) return;
    this.#checkPrivateData(privateData);
    link.connection.reject(privateData);
    this.#destroy(link);
  }

  disconnect(connector: number): void {
    this.#links.get(connector)?.connection.disconnect();
  }

  destroyConnector(connector: number): void {
    const link = this.#links.get(connector);
    if (link !== undefined) this.#destroy(link);
  }

  post(count: number): number {
    const words = this.workRequests;
    let taken = 0;
    for (; taken < count; taken++) {
      const base = taken * WORK_REQUEST_WORDS;
      const link = this.#link(words[base + WorkRequestField.connector]!);
      const { stream } = link;
      if (stream === null) throw new Error(`connector ${link.id}: posted to before prepareAccept`);
      const opcode = words[base + WorkRequestField.opcode]!;
      if (!stream.post(words, base, opcode)) break;
      if (opcode === Opcode.receive || link.isDirty) continue;
      link.isDirty = true;
      this.#dirty.push(link);
    }
    // A burst leaves in as few writes as it fits in.
    for (const link of this.#dirty) {
      link.isDirty = false;
      link.pump();
    }
    emptied(this.#dirty);
    return taken;
  }

  poll(): number {
    let count = 0;
    while (count < BATCH_MAX && this.#ring.count > 0) {
      const stream = this.#links.get(this.#ring.peek(CompletionField.connector))?.stream;
      if (stream === undefined || stream === null) {
        // Its connector was destroyed meanwhile.
        this.#ring.drop();
        continue;
      }
      stream.reported(this.#ring.peek(CompletionField.opcode));
      this.#ring.shift(this.completions, count * COMPLETION_WORDS);
      count++;
    }
    return count;
  }

  pollConnectionEvent(): ConnectionEvent | null {
    return this.#events.length === 0 ? null : this.#events.shift()!;
  }

  inventory(): IwarpInventory {
    return {
      regions: this.memory.regionCount,
      connectors: this.#links.size,
      listeners: this.#listeners.size,
      sockets: this.sockets.size,
      outputBytes: this.outputBytes,
    };
  }

  // For its links.

  raise(event: ConnectionEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  complete(
    connector: number,
    context: number,
    status: number,
    bytes: number,
    opcode: number,
    vendorStatus: number,
  ): void {
    this.#ring.push(connector, context, status, bytes, opcode, vendorStatus);
    this.#wake();
  }

  /** TCP brought `count` bytes to `link`. */
  heard(link: Link, count: number): void {
    this.#isHearing = true;
    link.arrived(count);
    this.#isHearing = false;
    // Node.js reads what a connection has brought once in a turn.
    this.wakeUp.isNewTurn = link === this.#lastHeard;
    this.#lastHeard = link;
    if (this.#isTelling) this.#tell();
    this.wakeUp.isNewTurn = false;
    if (this.#ring.count >= GATHERED) this.#gathered?.();
  }

  /** A connection has asked, and its listener is told. */
  known(link: Link): void {
    this.#startups.delete(link);
  }

  #accepted(listener: number, socket: net.Socket): void {
    if (!this.#listeners.has(listener) || this.#startups.size >= this.options.startupsMax) {
      socket.destroy();
      return;
    }
    const link = this.#add(listener);
    this.#startups.add(link);
    link.acceptTcp(socket);
    link.connection.tcpAccepted();
  }

  /** @throws RangeError when it doesn't fit into a start-up frame: a caller's mistake, found before anything is changed */
  #checkPrivateData({ byteLength }: Uint8Array): void {
    const { connect } = this.capabilities.privateDataMax;
    if (byteLength > connect) throw new RangeError(`private data: ${byteLength} bytes, at most ${connect} are carried`);
  }

  #add(listener: number): Link {
    return this.#links.add((id) => new Link(this, id, listener));
  }

  #link(id: number): Link {
    const link = this.#links.get(id);
    if (link === undefined) throw new Error(`connector ${id}: doesn't exist`);
    return link;
  }

  #destroy(link: Link): void {
    if (link.isDetached) return;
    if (this.#lastHeard === link) this.#lastHeard = null;
    const { connection } = link;
    this.#links.delete(connection.id);
    this.#startups.delete(link);
    link.isDetached = true;
    connection.disconnect();
    // From now on the memory is its owner's, so what TCP hasn't taken of it can't go out.
    if (connection.stream?.refersToMemory === true) link.socket?.destroy();
    // No event names it afterwards.
    this.#events = this.#events.filter((event) => !('connector' in event) || event.connector !== connection.id);
    if (link.socket === null) link.release();
  }

  #isReady(): boolean {
    return this.#ring.count > 0 || this.#events.length > 0;
  }

  /** Tells those that sleep: at the end of the callback that brings the news, or else soon. */
  #wake(): void {
    if (this.#sleepers.length === 0 || this.#isTelling) return;
    this.#isTelling = true;
    if (!this.#isHearing) queueMicrotask(this.#tell);
  }

  readonly #tell = (): void => {
    this.#isTelling = false;
    const sleepers = this.#sleepers;
    // Whoever is told can go to sleep again at once.
    this.#sleepers = this.#told;
    for (const woken of sleepers) woken();
    emptied(sleepers);
    this.#told = sleepers;
  };
}

/** Empties `array`, which keeps its memory: to set its length gives that back, and takes longer than a message's copy. */
function emptied(array: unknown[]): void {
  while (array.length > 0) array.pop();
}

const isWildcard = ({ address }: SocketAddress): boolean => address === '0.0.0.0' || address === '::';

const endpoint = (address: string, port: number): SocketAddress => ({
  family: net.isIPv6(address) ? 'IPv6' : 'IPv4',
  address,
  port,
});

/**
 * The connection of `accepted`, which is paused, as a socket that reads into a given buffer. `net.connect` has an option
 * for that, `net.Server` has none; so the connection's handle goes to a second socket. Where Node.js keeps its handles
 * elsewhere one day, the first one stays, and its reads are copies.
 */
function readingInto(accepted: net.Socket, onread: net.OnReadOpts): net.Socket {
  const holder = accepted as unknown as { _handle: object | null };
  const handle = holder._handle;
  if (handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle)) {
    accepted.on('data', (chunk) => {
      const bytes = chunk as Buffer;
      for (let at = 0; at < bytes.byteLength; at += (onread.buffer as Buffer).byteLength) {
        onread.callback(bytes.copy(onread.buffer as Buffer, 0, at), onread.buffer as Buffer);
      }
    });
    accepted.resume();
    return accepted;
  }
  holder._handle = null;
  accepted.destroy();
  return new net.Socket({ allowHalfOpen: true, onread, handle: handle as unknown as net.BoundSocket });
}
