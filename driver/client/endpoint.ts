/**
 * Endpoint: an application's end of one connection; it plays the switch's part in moving data.
 *
 * Theory of operation: two regions are registered, one for messages to send and one for messages to receive, and all
 * receives are posted. The connecting end then says how many it posted, the accepting end answers with its own number,
 * and from then on neither sends more than the other has room for: each message costs a credit and brings back those
 * of the receives that were posted again. The last credit is kept for a message that does nothing but bring credits, so
 * both ends cannot wait for each other. Small data goes in messages. Of large data the first part goes in a message and
 * the rest by RDMA read of the taker, or, when an end has none, by RDMA write of the giver.
 *
 * It is driven by {@link Endpoint.step}; nothing here waits, and nothing knows what state the socket is in: a request
 * that ends in an error ends the endpoint.
 *
 * Source: specification, 7.4 and 7.5.
 */

import {
  INVALID_SOCKET,
  MEM_READ,
  MEM_WRITE,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SO_MAX_MSG_SIZE,
  SO_MAX_RDMA_SIZE,
  SO_RDMA_THRESHOLD_SIZE,
  SOL_SOCKET,
  WSA,
  WSS_OPERATION_IN_PROGRESS,
  wsaName,
} from '../../machines/index.ts';
import { REMOTE_DESCRIPTOR_BYTES } from '../remote-descriptor.ts';
import { extensionGuids, guidBytes, type Handle, out, type Socket, WsaOverlapped } from '../spi.ts';
import { type Host, SpiError } from './host.ts';
import { decodeMessage, encodeMessage, HEAD_BYTES, type Negotiation, OFFER_BYTES, type Outgoing } from './message.ts';
import { RegisteredPool } from './registered-pool.ts';

/** The connection can't be used any more. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError';
}

export interface EndpointOptions {
  /** Which end speaks first. */
  readonly role: 'connecting' | 'accepting';
  /** Receives that are posted, 4 to 256. Default 16. */
  readonly receives?: number;
  /** Bytes of one message with its head, 256 or more. Default: what takes a threshold's worth of data. */
  readonly messageBytes?: number;
  /** Have completions told by up-call instead of asking for them. Default false. */
  readonly notify?: boolean;
}

/** Large data on its way; its memory belongs to the endpoint until `done`. */
export interface Transfer {
  readonly memory: Uint8Array;
  readonly done: boolean;
}

/** What the peer has sent. */
export type Incoming =
  | { readonly type: 'data'; readonly payload: Uint8Array }
  /** Large data of `length` bytes; hand it to {@link Endpoint.receiveLarge}. */
  | { readonly type: 'large'; readonly length: number; readonly offer: Offer };

/** The peer's large data that nobody has taken yet. */
interface Offer {
  readonly transfer: number;
  readonly descriptor: Uint8Array;
  readonly first: Uint8Array;
}

/** What an endpoint has moved, payload only. */
export interface EndpointCounts {
  messagesSent: number;
  bytesSent: number;
  /** RDMA reads, and bytes that they brought here. */
  reads: number;
  bytesRead: number;
  /** RDMA writes, and bytes that they took to the peer. */
  writes: number;
  bytesWritten: number;
}

/** A large transfer at either end. */
class OpenTransfer implements Transfer {
  readonly id: number;
  readonly memory: Uint8Array;
  /** What goes by RDMA. */
  readonly rest: Uint8Array;
  /** Registration for the peer; null when this end does the RDMA. */
  descriptor: Uint8Array | null = null;
  /** A registration of the application's; null when the endpoint makes one if it needs it. */
  readonly handle: Handle | null;
  done = false;

  constructor(id: number, memory: Uint8Array, first: number, handle: Handle | null) {
    this.id = id;
    this.memory = memory;
    this.rest = memory.subarray(first);
    this.handle = handle;
  }
}

/** RDMA that is being started piece by piece. */
interface RdmaWork {
  readonly kind: 'read' | 'write';
  readonly transfer: OpenTransfer;
  readonly handle: Handle;
  readonly descriptor: Uint8Array;
  posted: number;
}

/** A request that was started. Send-side ones complete in the order of their start. */
interface Pending {
  readonly what: string;
  readonly overlapped: WsaOverlapped;
  done(): void;
}

const MESSAGE_BYTES_MIN = 256;
const RECEIVES_MIN = 4;
/** Any event object whose low bit is clear: the up-call is what is waited for, not the object. */
const NOTIFY_EVENT = 0x20n;
const POLL_EVENT = 1n;

export class Endpoint {
  readonly socket: Socket;
  /** Data up to this many bytes goes in one message; more goes by RDMA. */
  readonly thresholdBytes: number;
  readonly counts: EndpointCounts = {
    messagesSent: 0,
    bytesSent: 0,
    reads: 0,
    bytesRead: 0,
    writes: 0,
    bytesWritten: 0,
  };
  readonly #host: Host;
  readonly #connecting: boolean;
  readonly #event: bigint;
  readonly #canRead: boolean;
  readonly #rdmaBytesMax: number;
  readonly #messageBytes: number;
  readonly #receives: { readonly buffer: Uint8Array; readonly overlapped: WsaOverlapped }[] = [];
  /** The oldest posted receive. */
  #nextReceive = 0;
  readonly #freeSends: { readonly buffer: Uint8Array; readonly overlapped: WsaOverlapped }[] = [];
  readonly #pending: Pending[] = [];
  readonly #outbox: Outgoing[] = [];
  readonly #incoming: Incoming[] = [];
  readonly #rdma: RdmaWork[] = [];
  readonly #given = new Map<number, OpenTransfer>();
  readonly #taken = new Map<number, OpenTransfer>();
  #peer: Negotiation | null = null;
  /** Messages that the peer has room for. */
  #credits: number;
  /** Receives that were posted again and that the peer doesn't know of. */
  #owed = 0;
  #nextTransfer = 1;
  #failure: EndpointError | null = null;

  /**
   * Registers message memory, posts receives and, at the connecting end, queues the first message.
   *
   * @param socket - connected; closed by {@link Endpoint.close}
   * @throws {@link SpiError} when the socket has no connection, or there is no room for memory or receives
   */
  constructor(host: Host, socket: Socket, options: EndpointOptions) {
    const { role, receives = 16, notify = false } = options;
    if (!(receives >= RECEIVES_MIN && receives <= 256)) throw new RangeError(`${receives} receives: not 4 to 256`);
    this.#host = host;
    this.socket = socket;
    this.#connecting = role === 'connecting';
    this.#event = notify ? NOTIFY_EVENT : POLL_EVENT;
    this.#credits = this.#connecting ? 1 : 0;
    this.#canRead = this.#offersRead();
    this.#rdmaBytesMax = this.#option(SO_MAX_RDMA_SIZE);
    const threshold = this.#option(SO_RDMA_THRESHOLD_SIZE);
    const wanted = options.messageBytes ?? OFFER_BYTES + threshold;
    this.#messageBytes = Math.min(Math.max(wanted, MESSAGE_BYTES_MIN), this.#option(SO_MAX_MSG_SIZE));
    this.thresholdBytes = Math.min(threshold, this.#messageBytes - HEAD_BYTES);
    const received = this.#messageMemory(receives, MEM_WRITE);
    const sent = this.#messageMemory(receives, MEM_READ);
    for (let index = 0; index < receives; index++) {
      this.#receives.push({ buffer: this.#slot(received, index), overlapped: this.#overlapped() });
      this.#freeSends.push({ buffer: this.#slot(sent, index), overlapped: this.#overlapped() });
    }
    for (let index = 0; index < receives; index++) {
      const error = this.#post(index);
      if (error !== 0) throw new SpiError('WSPRecv', error);
    }
    if (this.#connecting) this.#outbox.push(this.#negotiation());
  }

  /** Whether both ends know each other's room. */
  get isReady(): boolean {
    return this.#peer !== null;
  }

  /** Whether {@link Endpoint.send} would send at once. */
  get canSend(): boolean {
    return this.isReady && this.#outbox.length === 0 && this.#credits > 1 && this.#freeSends.length > 0;
  }

  /** Whether {@link Endpoint.sendLarge} may be called: untaken offers must leave the peer room for other messages. */
  get canSendLarge(): boolean {
    return this.canSend && this.#given.size < (this.#peer?.receives ?? 0) / 2;
  }

  /** Whether the taker of large data reads it, here as at the peer; otherwise its giver writes it. */
  get takerReads(): boolean {
    return this.#byRead;
  }

  /**
   * Buffers for large data that this end moves by RDMA, registered once for many transfers: those that it takes, where
   * takers read, and otherwise those that it gives. Registered for the peer is memory anew for each transfer.
   *
   * @param buffersMax - transfers at once
   */
  pool(bufferBytes: number, buffersMax: number): RegisteredPool {
    const access = this.#byRead ? MEM_WRITE : MEM_READ;
    return new RegisteredPool(this.#host, this.socket, { access, bufferBytes, buffersMax });
  }

  /** Whether nothing is on its way from here: every message was acknowledged, every transfer is done. */
  get isIdle(): boolean {
    return this.#outbox.length + this.#pending.length + this.#given.size + this.#taken.size + this.#rdma.length === 0;
  }

  /**
   * One turn: lets the provider work, takes what has completed, starts what there is room for.
   *
   * @returns how much was done; 0 when there was nothing to do
   * @throws {@link EndpointError} when the connection is lost, after all that came before was taken
   */
  step(): number {
    if (this.#failure !== null && this.#incoming.length === 0) throw this.#failure;
    let done = this.#host.poll();
    // What has completed counts, though the connection was lost meanwhile: a peer may leave as soon as it has our last.
    done += this.#attempt(() => this.#takeReceived());
    done += this.#attempt(() => this.#takeCompleted());
    if (this.#failure === null) done += this.#attempt(() => this.#startRdma() + this.#sendMessages());
    return done;
  }

  /** Notes what the connection is lost by. @returns how much was done */
  #attempt(work: () => number): number {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof EndpointError) && !(error instanceof SpiError)) throw error;
      this.#failure ??= error instanceof EndpointError ? error : new EndpointError(error.message, { cause: error });
      return 1;
    }
  }

  /** Sends `payload`, at most {@link Endpoint.thresholdBytes}, as one message; copied. */
  send(payload: Uint8Array): void {
    if (payload.length > this.thresholdBytes) {
      throw new RangeError(`a message of ${payload.length} bytes: at most ${this.thresholdBytes}`);
    }
    this.#outbox.push({ type: 'data', transfer: 0, payload: payload.slice() });
    this.counts.bytesSent += payload.length;
  }

  /**
   * Gives the peer `memory`, which has more than {@link Endpoint.thresholdBytes}.
   *
   * @param handle - of a registration that covers it and outlasts the transfer, as a {@link PooledBuffer}'s does
   * @throws {@link SpiError} when it can't be registered
   */
  sendLarge(memory: Uint8Array, handle: Handle | null = null): Transfer {
    const peer = this.#peer;
    if (peer === null) throw new Error('sendLarge before the endpoint is ready');
    if (memory.length <= this.thresholdBytes) throw new RangeError(`${memory.length} bytes are a message's worth`);
    const room = Math.min(this.#messageBytes, peer.messageBytesMax) - OFFER_BYTES;
    const first = Math.min(room, memory.length - 1);
    const transfer = new OpenTransfer(this.#nextTransfer++, memory, first, handle);
    if (this.#byRead) transfer.descriptor = this.#registerForPeer(transfer.rest, MEM_READ);
    this.#given.set(transfer.id, transfer);
    this.#outbox.push({
      type: 'offer',
      transfer: transfer.id,
      length: memory.length,
      descriptor: transfer.descriptor ?? new Uint8Array(REMOTE_DESCRIPTOR_BYTES),
      first: memory.slice(0, first),
    });
    this.counts.bytesSent += first;
    return transfer;
  }

  /** What the peer sent next, or null; taking it gives the peer its room back. */
  take(): Incoming | null {
    const next = this.#incoming.shift();
    if (next === undefined) return null;
    this.#owed++;
    return next;
  }

  /**
   * Takes large data into `memory`, of exactly its length.
   *
   * @param handle - of a registration that covers it and outlasts the transfer, as a {@link PooledBuffer}'s does
   * @throws {@link SpiError} when it can't be registered
   */
  receiveLarge(
    { length, offer }: Extract<Incoming, { type: 'large' }>,
    memory: Uint8Array,
    handle: Handle | null = null,
  ): Transfer {
    if (memory.length !== length) throw new RangeError(`${length} bytes do not go into ${memory.length}`);
    const transfer = new OpenTransfer(offer.transfer, memory, offer.first.length, handle);
    memory.set(offer.first);
    this.#taken.set(transfer.id, transfer);
    if (this.#byRead) {
      this.#rdma.push({
        kind: 'read',
        transfer,
        handle: handle ?? this.#register(transfer.rest, MEM_WRITE),
        descriptor: offer.descriptor,
        posted: 0,
      });
    } else {
      transfer.descriptor = this.#registerForPeer(transfer.rest, MEM_WRITE);
      this.#outbox.push({ type: 'target', transfer: transfer.id, descriptor: transfer.descriptor });
    }
    return transfer;
  }

  /** Closes the socket: what is on its way is aborted, what is registered is released. @throws {@link SpiError} */
  close(): void {
    this.#failure ??= new EndpointError('the endpoint was closed');
    this.#incoming.length = 0;
    this.#host.close(this.socket);
  }

  // ---------------------------------------------------------------- receiving

  #takeReceived(): number {
    let taken = 0;
    for (; taken < this.#receives.length; taken++) {
      const { buffer, overlapped } = this.#receives[this.#nextReceive]!;
      if (!this.#isDone('WSPRecv', overlapped)) break;
      const index = this.#nextReceive;
      this.#nextReceive = (index + 1) % this.#receives.length;
      const message = decodeMessage(buffer.subarray(0, Number(overlapped.internalHigh)));
      if (message === null) throw new EndpointError('the peer sent what is no message of this protocol');
      this.#credits += message.credits;
      switch (message.type) {
        case 'negotiation':
          this.#negotiated(message);
          break;
        case 'data':
          this.#incoming.push({ type: 'data', payload: message.payload });
          break;
        case 'offer': {
          const { transfer, length, descriptor, first } = message;
          if (!(length > first.length && length <= 0xffff_ffff)) {
            throw new EndpointError(`the peer offers ${length} bytes, of which it sent ${first.length} already`);
          }
          this.#incoming.push({ type: 'large', length, offer: { transfer, descriptor, first } });
          break;
        }
        case 'target': {
          const transfer = this.#named(this.#given, message.transfer);
          const handle = transfer.handle ?? this.#register(transfer.rest, MEM_READ);
          this.#rdma.push({ kind: 'write', transfer, handle, descriptor: message.descriptor, posted: 0 });
          break;
        }
        case 'done':
          this.#releaseFromPeer(this.#given, message.transfer);
          break;
        case 'written':
          this.#releaseFromPeer(this.#taken, message.transfer);
          break;
        case 'credit':
          break;
      }
      // What the application has not taken keeps its place: the peer must not send into it.
      const kept = message.type === 'data' || message.type === 'offer';
      const told = message.type === 'negotiation' && !this.#connecting;
      if (!kept && !told) this.#owed++;
      const error = this.#post(index);
      if (error !== 0) throw this.#lost('WSPRecv', error);
    }
    return taken;
  }

  #negotiated(negotiation: Negotiation): void {
    if (this.#peer !== null) throw new EndpointError('the peer negotiated twice');
    if (negotiation.receives < RECEIVES_MIN || negotiation.messageBytesMax < MESSAGE_BYTES_MIN) {
      const { receives, messageBytesMax } = negotiation;
      throw new EndpointError(`the peer has too little room: ${receives} receives of ${messageBytesMax} bytes`);
    }
    if (negotiation.messageBytesMax < this.thresholdBytes + HEAD_BYTES) {
      throw new EndpointError(`the peer receives ${negotiation.messageBytesMax} bytes at most: use smaller messages`);
    }
    this.#peer = negotiation;
    this.#credits = negotiation.receives;
    if (!this.#connecting) this.#outbox.push(this.#negotiation());
  }

  /** An adapter that can't read doesn't answer a peer's reads either, so both ends must be able to. */
  get #byRead(): boolean {
    return this.#canRead && this.#peer?.canRead === true;
  }

  #negotiation(): Outgoing {
    return {
      type: 'negotiation',
      transfer: 0,
      canRead: this.#canRead,
      receives: this.#receives.length,
      messageBytesMax: this.#messageBytes,
    };
  }

  /** @returns 0, or the error */
  #post(index: number): number {
    const { buffer, overlapped } = this.#receives[index]!;
    const { provider, errno } = this.#host;
    const buffers = [{ len: buffer.length, buf: buffer }];
    provider.WSPRecv(this.socket, buffers, 1, null, null, overlapped, null, null, errno);
    return errno.value === WSA.WSA_IO_PENDING ? 0 : errno.value;
  }

  // ---------------------------------------------------------------- sending

  #sendMessages(): number {
    let sent = 0;
    for (; this.#freeSends.length > 0; sent++) {
      const head = this.#outbox[0];
      // The one credit that the connecting end begins with is for its first message: the peer's provider keeps a receive
      // for it, whatever the peer's switch has posted.
      const needed = head?.type === 'negotiation' && this.#connecting ? 1 : 2;
      if (head !== undefined && this.#credits >= needed) {
        if (!this.#sendMessage(head)) break;
        this.#outbox.shift();
        continue;
      }
      const worthTelling = this.#owed >= this.#receives.length / 2;
      if (!worthTelling || this.#credits < 1 || !this.#sendMessage({ type: 'credit', transfer: 0 })) break;
    }
    return sent;
  }

  /** @returns false when the provider has no room now */
  #sendMessage(message: Outgoing): boolean {
    const slot = this.#freeSends.pop()!;
    const { provider, errno } = this.#host;
    const length = encodeMessage(slot.buffer, message, this.#owed);
    const buffers = [{ len: length, buf: slot.buffer }];
    provider.WSPSend(this.socket, buffers, 1, null, 0, slot.overlapped, null, null, errno);
    if (!this.#isStarted('WSPSend')) {
      this.#freeSends.push(slot);
      return false;
    }
    this.#owed = 0;
    this.#credits--;
    this.counts.messagesSent++;
    this.#pending.push({
      what: 'WSPSend',
      overlapped: slot.overlapped,
      done: () => void this.#freeSends.push(slot),
    });
    return true;
  }

  #takeCompleted(): number {
    let taken = 0;
    for (let head = this.#pending[0]; head !== undefined; head = this.#pending[0]) {
      if (!this.#isDone(head.what, head.overlapped)) break;
      this.#pending.shift();
      head.done();
      taken++;
    }
    return taken;
  }

  // ---------------------------------------------------------------- RDMA

  #startRdma(): number {
    let started = 0;
    for (let work = this.#rdma[0]; work !== undefined; work = this.#rdma[0]) {
      const { transfer, kind } = work;
      if (!this.#startPiece(work)) break;
      started++;
      if (work.posted < transfer.rest.length) continue;
      this.#rdma.shift();
      const last = this.#pending.at(-1)!;
      const { handle } = work;
      // Earlier pieces have completed when the last one has.
      this.#pending[this.#pending.length - 1] = {
        ...last,
        done: () => {
          last.done();
          if (transfer.handle === null) this.#deregister(handle);
          const over = kind === 'read' ? this.#taken : this.#given;
          over.delete(transfer.id);
          transfer.done = true;
          this.#outbox.push({ type: kind === 'read' ? 'done' : 'written', transfer: transfer.id });
        },
      };
    }
    return started;
  }

  /** @returns false when the provider has no room now */
  #startPiece(work: RdmaWork): boolean {
    const { kind, transfer, handle, descriptor, posted } = work;
    const { provider, errno } = this.#host;
    const piece = transfer.rest.subarray(posted, posted + this.#rdmaBytesMax);
    const buffers = [{ len: piece.length, buf: piece, handle }];
    const overlapped = this.#overlapped();
    const what = kind === 'read' ? 'WSPRdmaRead' : 'WSPRdmaWrite';
    provider[what](
      this.socket,
      buffers,
      1,
      descriptor,
      REMOTE_DESCRIPTOR_BYTES,
      posted,
      null,
      0,
      overlapped,
      null,
      null,
      errno,
    );
    if (!this.#isStarted(what)) return false;
    work.posted += piece.length;
    this.#pending.push({
      what,
      overlapped,
      done: () => {
        this.counts[kind === 'read' ? 'reads' : 'writes']++;
        this.counts[kind === 'read' ? 'bytesRead' : 'bytesWritten'] += piece.length;
      },
    });
    return true;
  }

  /** The peer is through with memory that was registered for it. */
  #releaseFromPeer(transfers: Map<number, OpenTransfer>, id: number): void {
    const transfer = this.#named(transfers, id);
    const { descriptor } = transfer;
    if (descriptor === null) throw new EndpointError(`the peer ends transfer ${id}, which isn't its to end`);
    const { provider, errno } = this.#host;
    provider.WSPDeregisterRdmaMemory(this.socket, descriptor, descriptor.length, errno);
    if (errno.value !== 0) throw new SpiError('WSPDeregisterRdmaMemory', errno.value);
    transfers.delete(id);
    transfer.done = true;
  }

  #named(transfers: Map<number, OpenTransfer>, id: number): OpenTransfer {
    const transfer = transfers.get(id);
    if (transfer === undefined) throw new EndpointError(`the peer names transfer ${id}, which isn't open`);
    return transfer;
  }

  // ---------------------------------------------------------------- the provider's interface

  /** Whether a request is done. @throws {@link EndpointError} when it ended in an error */
  #isDone(what: string, overlapped: WsaOverlapped): boolean {
    if (this.#event === POLL_EVENT) {
      const { provider, errno } = this.#host;
      if (provider.WSPGetOverlappedResult(this.socket, overlapped, out(0), false, out(0), errno)) return true;
      if (errno.value === WSA.WSA_IO_INCOMPLETE) return false;
      throw this.#lost(what, errno.value);
    }
    // The up-call writes Internal last.
    if (overlapped.word(0) === WSS_OPERATION_IN_PROGRESS) return false;
    if (overlapped.offsetHigh !== 0) throw this.#lost(what, overlapped.offsetHigh);
    return true;
  }

  /** @returns false when there is no room now @throws {@link EndpointError} for any other refusal */
  #isStarted(what: string): boolean {
    const { value: error } = this.#host.errno;
    if (error === WSA.WSA_IO_PENDING) return true;
    if (error === WSA.WSAENOBUFS) return false;
    throw this.#lost(what, error);
  }

  #lost(what: string, error: number): EndpointError {
    return new EndpointError(`the connection is lost: ${what} ended with ${wsaName(error)} (${error})`, {
      cause: new SpiError(what, error),
    });
  }

  #overlapped(): WsaOverlapped {
    const overlapped = new WsaOverlapped();
    overlapped.hEvent = this.#event;
    return overlapped;
  }

  #messageMemory(count: number, access: number): Uint8Array {
    const memory = new Uint8Array(count * this.#messageBytes);
    this.#register(memory, access);
    return memory;
  }

  #slot(memory: Uint8Array, index: number): Uint8Array {
    return memory.subarray(index * this.#messageBytes, (index + 1) * this.#messageBytes);
  }

  #register(memory: Uint8Array, access: number): Handle {
    const { provider, errno } = this.#host;
    const handle = provider.WSPRegisterMemory(this.socket, memory, memory.length, access, errno);
    if (handle === 0n) throw new SpiError('WSPRegisterMemory', errno.value);
    return handle;
  }

  #deregister(handle: Handle): void {
    const { provider, errno } = this.#host;
    provider.WSPDeregisterMemory(this.socket, handle, errno);
    if (errno.value !== 0) throw new SpiError('WSPDeregisterMemory', errno.value);
  }

  #registerForPeer(memory: Uint8Array, access: number): Uint8Array {
    const { provider, errno } = this.#host;
    const descriptor = new Uint8Array(REMOTE_DESCRIPTOR_BYTES);
    const length = out(descriptor.length);
    provider.WSPRegisterRdmaMemory(this.socket, memory, memory.length, access, descriptor, length, errno);
    if (errno.value !== 0) throw new SpiError('WSPRegisterRdmaMemory', errno.value);
    return descriptor;
  }

  #option(name: number): number {
    const { provider, errno } = this.#host;
    const value = new Uint8Array(4);
    provider.WSPGetSockOpt(this.socket, SOL_SOCKET, name, value, out(4), errno);
    if (errno.value !== 0) throw new SpiError('WSPGetSockOpt', errno.value);
    return new DataView(value.buffer).getUint32(0, true);
  }

  /** RDMA read is optional: a provider without it does not give the function out. */
  #offersRead(): boolean {
    const { provider, errno } = this.#host;
    const guid = guidBytes(extensionGuids.WSPRdmaRead);
    const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
    provider.WSPIoctl(INVALID_SOCKET, code, guid, 16, out(null), 8, out(0), null, null, null, errno);
    if (errno.value !== 0 && errno.value !== WSA.WSAEOPNOTSUPP) throw new SpiError('WSPIoctl', errno.value);
    return errno.value === 0;
  }
}
