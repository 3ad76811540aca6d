/**
 * What the driver keeps beside the machines' rows: handles, addresses, memory. Data only; no lifecycle is decided here.
 */

import type { MemoryRegion, SocketAddress } from './adapter/adapter.ts';
import { MAILBOX_BYTES, mailboxId } from './handshake.ts';
import { limits } from './limits.ts';
import type { Handle, Socket, WsaEvent, WsaOverlapped } from './spi.ts';

/** Gives out row numbers, the one freed last first. */
export class RowPool {
  #free = new Int32Array(16);
  #freeCount = 0;
  #fresh = 0;
  readonly #max: number;

  /** @param max - rows that may be in use at once */
  constructor(max: number) {
    this.#max = max;
  }

  /** Rows in use. */
  get inUse(): number {
    return this.#fresh - this.#freeCount;
  }
  get full(): boolean {
    return this.inUse >= this.#max;
  }

  /** @throws RangeError when {@link RowPool.full} */
  allocate(): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount]!;
    if (this.#fresh >= this.#max) throw new RangeError(`all ${this.#max} rows are in use`);
    return this.#fresh++;
  }

  free(row: number): void {
    if (this.#freeCount === this.#free.length) {
      const larger = new Int32Array(this.#free.length * 2);
      larger.set(this.#free);
      this.#free = larger;
    }
    this.#free[this.#freeCount++] = row;
  }
}

/** A registration on a socket. */
export interface BufferRecord {
  readonly row: number;
  readonly socket: SocketRecord;
  /** `remote`: for the peer, by descriptor; `local`: for this socket's own requests, by address or handle. */
  readonly kind: 'local' | 'remote';
  readonly memory: Uint8Array;
  /** What `memory` views: asking a view for it costs as much as a step. */
  readonly store: ArrayBufferLike;
  /** MEM_READ, MEM_WRITE or both. */
  readonly access: number;
  readonly handle: Handle;
  region: MemoryRegion | null;
  /** The region's local key as a signed number, which is part of this object where a larger one would be one of its own. */
  localKey: number;
  /** The region's address. */
  address: number;
}

/** Bytes of the two mailboxes of a connection: the peer's to write, and ours to send. */
const MAILBOXES_BYTES = 2 * MAILBOX_BYTES;

/** Pieces of one size from slabs, so that many connections cost few allocations. */
class SlabPool {
  readonly #size: number;
  readonly #free: { slab: Uint8Array; offset: number }[] = [];
  #slab = new Uint8Array(0);
  #used = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** @returns a slab and the offset in it of a piece that holds zeros */
  take(): { slab: Uint8Array; offset: number } {
    const piece = this.#free.pop() ?? this.#carve();
    piece.slab.fill(0, piece.offset, piece.offset + this.#size);
    return piece;
  }
  give(slab: Uint8Array, offset: number): void {
    this.#free.push({ slab, offset });
  }
  #carve(): { slab: Uint8Array; offset: number } {
    if (this.#used + this.#size > this.#slab.length) {
      this.#slab = new Uint8Array(256 * this.#size);
      this.#used = 0;
    }
    const offset = this.#used;
    this.#used += this.#size;
    return { slab: this.#slab, offset };
  }
}

/** The private first receive: its memory and, once it is there, its message. */
export class FirstReceive {
  readonly bytes: Uint8Array;
  readonly region: MemoryRegion;
  /** Bytes of the message. */
  length = 0;

  constructor(bytes: Uint8Array, region: MemoryRegion) {
    this.bytes = bytes;
    this.region = region;
  }
}

/** The provider's own memory of one connection. Views are made when they are needed: there are many connections. */
export class PrivateMemory {
  readonly slab: Uint8Array;
  readonly offset: number;
  mailboxRegion: MemoryRegion | null = null;
  mailboxOutRegion: MemoryRegion | null = null;
  /** At the end that accepted, or took a socket over. */
  first: FirstReceive | null = null;

  constructor(slab: Uint8Array, offset: number) {
    this.slab = slab;
    this.offset = offset;
  }

  /** Written by the peer, remotely. */
  get mailbox(): Uint8Array {
    return this.slab.subarray(this.offset, this.offset + MAILBOX_BYTES);
  }
  /** What is written into the peer's mailbox when this end moves; names the connection from its beginning. */
  get mailboxOut(): Uint8Array {
    return this.slab.subarray(this.offset + MAILBOX_BYTES, this.offset + MAILBOXES_BYTES);
  }
  /** 16 bytes that name the connection. */
  get connectionId(): Uint8Array {
    return mailboxId(this.mailboxOut);
  }
}

export class PrivateMemoryPool {
  readonly #mailboxes = new SlabPool(MAILBOXES_BYTES);
  readonly #firstMessages = new SlabPool(limits.firstMessageBytes);

  take(): PrivateMemory {
    const { slab, offset } = this.#mailboxes.take();
    return new PrivateMemory(slab, offset);
  }
  /** Memory for a private first receive. */
  takeFirst(): Uint8Array {
    const { slab, offset } = this.#firstMessages.take();
    return slab.subarray(offset, offset + limits.firstMessageBytes);
  }
  give({ slab, offset, first }: PrivateMemory): void {
    this.#mailboxes.give(slab, offset);
    if (first !== null) this.#firstMessages.give(new Uint8Array(first.bytes.buffer), first.bytes.byteOffset);
  }
}

/** What a peer has told of its end. */
export interface PeerEnd {
  readonly reattachPort: number;
  readonly mailboxAddress: number;
  readonly mailboxKey: number;
}

/** What the driver keeps of one socket. What each request needs comes first, so that it shares a line of the cache. */
export class SocketRecord {
  readonly row: number;
  /** Of the adapter; -1 when there is none. */
  connector = -1;
  /** A completion up-call of this socket is running; no other may begin (11.4). */
  notifying = false;
  /** Registrations; allocated with the first. */
  buffers: BufferRecord[] = noBuffers;
  /** What the provider passes up; 0n before WPUCreateSocketHandle and after WPUCloseSocketHandle. */
  switchHandle: Socket = 0n;
  /** What the switch passes down. */
  readonly descriptor: Socket;
  readonly family: SocketAddress['family'];
  readonly catalogEntryId: number;
  /** A machine row exists: until `socketClosed`, the row may not be given out again. */
  opened = false;
  local: SocketAddress | null = null;
  remote: SocketAddress | null = null;
  event: WsaEvent = 0n;
  debug = 0;
  noDelay = 0;
  /** Adapter objects; -1 when there is none. */
  listener = -1;
  protectionDomain = -1;
  privateMemory: PrivateMemory | null = null;
  /** The connection is this socket's, not a token's. */
  named = false;
  /** Name of the connection that is being taken over, until it has been. */
  takenOverId: Uint8Array | null = null;
  /** Null before the connection, and of a peer that is no provider. */
  peer: PeerEnd | null = null;
  /** A peer's returning connection that is undecided; -1 when there is none. */
  reattaching = -1;
  /** It was taken over and has not reached the peer yet. */
  attaching = false;
  /** Its connection came back from a peer that had moved to another process. */
  returned = false;
  /** Where the first message goes: the buffers of the receive that is paired with it. */
  firstTargets: readonly Uint8Array[] = noTargets;

  /** 16 bytes that name the connection; null when the socket has none. */
  get connectionId(): Uint8Array | null {
    return this.named && this.privateMemory !== null ? this.privateMemory.connectionId : null;
  }

  constructor(row: number, descriptor: Socket, family: SocketAddress['family'], catalogEntryId: number) {
    this.row = row;
    this.descriptor = descriptor;
    this.family = family;
    this.catalogEntryId = catalogEntryId;
  }
}
const noBuffers: BufferRecord[] = [];
const noTargets: readonly Uint8Array[] = [];

/** Words of a gather or scatter element: key, length, address low, address high. */
export const ELEMENT_WORDS = 4;

/** What the driver keeps of requests, as columns: a million of them must be cheap. */
export class RequestTable {
  readonly pool: RowPool;
  /** The switch's structures; null in free rows. */
  readonly overlapped: (WsaOverlapped | null)[] = [];
  socket = new Int32Array(16);
  opcode = new Uint8Array(16);
  /** Bytes of all elements. */
  total = new Uint32Array(16);
  elementCount = new Uint8Array(16);
  /** The first element; the others of the few requests that have more are in {@link RequestTable.more}. */
  first = new Uint32Array(16 * ELEMENT_WORDS);
  readonly more = new Map<number, Uint32Array>();
  /** Remote key, address low, address high; grows with the rows that RDMA requests use. */
  #remote = new Uint32Array(0);

  constructor(max: number) {
    this.pool = new RowPool(max);
  }

  allocate(): number {
    const row = this.pool.allocate();
    if (row >= this.socket.length) {
      const rows = this.socket.length * 2;
      this.socket = copied(new Int32Array(rows), this.socket);
      this.opcode = copied(new Uint8Array(rows), this.opcode);
      this.total = copied(new Uint32Array(rows), this.total);
      this.elementCount = copied(new Uint8Array(rows), this.elementCount);
      this.first = copied(new Uint32Array(rows * ELEMENT_WORDS), this.first);
    }
    return row;
  }

  free(row: number): void {
    this.overlapped[row] = null;
    if (this.elementCount[row]! > 1) this.more.delete(row);
    this.pool.free(row);
  }

  /** Notes what an RDMA request is about. */
  setRemote(row: number, key: number, address: number): void {
    if (3 * row >= this.#remote.length) this.#remote = copied(new Uint32Array(3 * this.socket.length), this.#remote);
    this.#remote[3 * row] = key;
    this.#remote[3 * row + 1] = address >>> 0;
    this.#remote[3 * row + 2] = Math.floor(address / 0x1_0000_0000);
  }
  remoteKey(row: number): number {
    return this.#remote[3 * row]!;
  }
  remoteAddress(row: number): number {
    return this.#remote[3 * row + 1]! + this.#remote[3 * row + 2]! * 0x1_0000_0000;
  }

  /** The words of an element: an array and where in it they begin. */
  element(row: number, index: number): { words: Uint32Array; at: number } {
    return index === 0
      ? { words: this.first, at: row * ELEMENT_WORDS }
      : { words: this.more.get(row)!, at: (index - 1) * ELEMENT_WORDS };
  }
}

function copied<T extends Int32Array | Uint8Array | Uint32Array>(to: T, from: T): T {
  to.set(from);
  return to;
}

/** A connection request that a listener has been offered. */
export interface ArrivalRecord {
  readonly row: number;
  /** Adapter's connector; -1 once it is accepted, rejected or destroyed. */
  connector: number;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly connectionId: Uint8Array;
  readonly peer: PeerEnd;
}
