/**
 * What the driver keeps beside the machines' rows: handles, addresses, memory. Data only; no lifecycle is decided here.
 */

import type { MemoryRegion, SocketAddress } from './adapter/adapter.ts';
import { MAILBOX_BYTES } from './handshake.ts';
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
  /** MEM_READ, MEM_WRITE or both. */
  readonly access: number;
  readonly handle: Handle;
  region: MemoryRegion | null;
}

/** Memory of a connection that the provider itself needs. */
export const PRIVATE_BYTES = 2 * MAILBOX_BYTES + limits.firstMessageBytes;

/** The provider's own memory of one connection: mailbox for the peer, mailbox to send, private first receive. */
export class PrivateMemory {
  readonly bytes: Uint8Array;
  mailboxRegion: MemoryRegion | null = null;
  localRegion: MemoryRegion | null = null;
  /** Bytes of the first message, once it is there. */
  firstLength = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Written by the peer, remotely. */
  get mailbox(): Uint8Array {
    return this.bytes.subarray(0, MAILBOX_BYTES);
  }
  /** Written by us, sent to the peer's mailbox. */
  get mailboxOut(): Uint8Array {
    return this.bytes.subarray(MAILBOX_BYTES, 2 * MAILBOX_BYTES);
  }
  /** What {@link PrivateMemory.localRegion} registers: the outgoing mailbox, then the first message. */
  get local(): Uint8Array {
    return this.bytes.subarray(MAILBOX_BYTES);
  }
  get firstMessage(): Uint8Array {
    return this.bytes.subarray(2 * MAILBOX_BYTES);
  }
}

/** Private memory from slabs, so that many connections cost few allocations. */
export class PrivateMemoryPool {
  readonly #free: Uint8Array[] = [];
  #slab: ArrayBuffer = new ArrayBuffer(0);
  #used = 0;

  take(): PrivateMemory {
    const bytes = this.#free.pop() ?? this.#carve();
    bytes.fill(0);
    return new PrivateMemory(bytes);
  }
  give({ bytes }: PrivateMemory): void {
    this.#free.push(bytes);
  }
  #carve(): Uint8Array {
    if (this.#used + PRIVATE_BYTES > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(256 * PRIVATE_BYTES);
      this.#used = 0;
    }
    const bytes = new Uint8Array(this.#slab, this.#used, PRIVATE_BYTES);
    this.#used += PRIVATE_BYTES;
    return bytes;
  }
}

/** What a peer has told of its end. */
export interface PeerEnd {
  readonly reattachPort: number;
  readonly mailboxAddress: number;
  readonly mailboxKey: number;
}

/** What the driver keeps of one socket. */
export class SocketRecord {
  readonly row: number;
  /** What the switch passes down. */
  readonly descriptor: Socket;
  /** What the provider passes up; 0n before WPUCreateSocketHandle and after WPUCloseSocketHandle. */
  switchHandle: Socket = 0n;
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
  connector = -1;
  protectionDomain = -1;
  privateMemory: PrivateMemory | null = null;
  /** Registrations; allocated with the first. */
  buffers: BufferRecord[] = noBuffers;
  connectionId: Uint8Array | null = null;
  peer: PeerEnd | null = null;
  /** A peer's returning connection that is undecided; -1 when there is none. */
  reattaching = -1;
  /** It was taken over and has not reached the peer yet. */
  attaching = false;
  /** A completion up-call of this socket is running; no other may begin (11.4). */
  notifying = false;
  /** Where the first message goes: the buffers of the receive that is paired with it. */
  firstTargets: readonly Uint8Array[] = noTargets;

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
  /** Remote key, address low, address high; of RDMA requests. */
  remote = new Uint32Array(16 * 3);

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
      this.remote = copied(new Uint32Array(rows * 3), this.remote);
    }
    return row;
  }

  free(row: number): void {
    this.overlapped[row] = null;
    if (this.elementCount[row]! > 1) this.more.delete(row);
    this.pool.free(row);
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
