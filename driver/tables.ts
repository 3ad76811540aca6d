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
  /** MEM_READ, MEM_WRITE or both. */
  readonly access: number;
  readonly handle: Handle;
  region: MemoryRegion | null;
}

/** Words of a registration, and where they are: first two numbers of 64 bits, by their place among such. */
const BUFFER_WORDS = 8;
const BUFFER_LONGS = BUFFER_WORDS / 2;
const OFFSET_LONG = 0;
const ADDRESS_LONG = 1;
const LENGTH = 4;
const LOCAL_KEY = 5;
const ACCESS = 6;
const NEXT = 7;
const NO_BUFFER = -1;

/**
 * What requests need of the registrations that the adapter has, in rows of words, chained for each socket in the order in
 * which they were made. The records say the same; to search those is to reach several objects for each.
 */
export class RegistrationTable {
  #words = new Int32Array(16 * BUFFER_WORDS);
  #longs = new Float64Array(this.#words.buffer);
  /** What each views. */
  readonly #stores: (ArrayBufferLike | null)[] = [];

  /** Puts `buffer`, which has its region, behind the others of its socket. */
  add({ row, socket, kind, memory, access, region }: BufferRecord): void {
    const at = row * BUFFER_WORDS;
    if (at >= this.#words.length) {
      this.#words = copied(new Int32Array(Math.max(at + BUFFER_WORDS, this.#words.length * 2)), this.#words);
      this.#longs = new Float64Array(this.#words.buffer);
    }
    this.#longs[row * BUFFER_LONGS + OFFSET_LONG] = memory.byteOffset;
    this.#longs[row * BUFFER_LONGS + ADDRESS_LONG] = region!.address;
    this.#words[at + LENGTH] = memory.length;
    this.#words[at + LOCAL_KEY] = region!.localKey;
    // By address only local requests are served.
    this.#words[at + ACCESS] = kind === 'local' ? access : 0;
    this.#words[at + NEXT] = NO_BUFFER;
    this.#stores[row] = memory.buffer;
    const last = this.#before(socket, NO_BUFFER);
    if (last === NO_BUFFER) socket.firstBuffer = row;
    else this.#words[last * BUFFER_WORDS + NEXT] = row;
  }

  /** Takes `buffer` out. */
  remove({ row, socket }: BufferRecord): void {
    const next = this.#words[row * BUFFER_WORDS + NEXT]!;
    const before = this.#before(socket, row);
    if (before === NO_BUFFER) socket.firstBuffer = next;
    else this.#words[before * BUFFER_WORDS + NEXT] = next;
    this.#stores[row] = null;
  }

  /** Row before `row`, or before the chain's end, in the chain of `socket`; -1 before the first. */
  #before({ firstBuffer }: SocketRecord, row: number): number {
    let before = NO_BUFFER;
    for (let at = firstBuffer; at !== row; at = this.#words[at * BUFFER_WORDS + NEXT] ?? row) before = at;
    return before;
  }

  /** Rows of `socket`, in the order in which they were added; a copy. */
  rows({ firstBuffer }: SocketRecord): number[] {
    const found: number[] = [];
    for (let row = firstBuffer; row !== NO_BUFFER; row = this.#words[row * BUFFER_WORDS + NEXT]!) found.push(row);
    return found;
  }

  /** Whether `length` bytes from `offset` of `store` lie in registration `row` for own requests, which gives the access `wanted`. */
  covers(row: number, store: ArrayBufferLike, offset: number, length: number, wanted: number): boolean {
    const words = this.#words;
    const at = row * BUFFER_WORDS;
    if ((words[at + ACCESS]! & wanted) === 0) return false;
    const from = offset - this.#longs[row * BUFFER_LONGS + OFFSET_LONG]!;
    return from >= 0 && from + length <= words[at + LENGTH]! >>> 0 && this.#stores[row] === store;
  }

  /** The first registration of `socket` of which {@link RegistrationTable.covers} is true; -1 when there is none. */
  find({ firstBuffer }: SocketRecord, store: ArrayBufferLike, offset: number, length: number, wanted: number): number {
    let row = firstBuffer;
    while (row !== NO_BUFFER && !this.covers(row, store, offset, length, wanted)) {
      row = this.#words[row * BUFFER_WORDS + NEXT]!;
    }
    return row;
  }

  /** Local key of the region, as a signed number. */
  localKey(row: number): number {
    return this.#words[row * BUFFER_WORDS + LOCAL_KEY]!;
  }

  /** Where the byte at `offset` of what the registered memory views is, as work requests name it. */
  address(row: number, offset: number): number {
    const at = row * BUFFER_LONGS;
    return this.#longs[at + ADDRESS_LONG]! + (offset - this.#longs[at + OFFSET_LONG]!);
  }
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
  /** Row of the first registration that the adapter has; -1 when there is none. */
  firstBuffer = -1;
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
const noTargets: readonly Uint8Array[] = [];

/** Words of a gather or scatter element: key, length, address low, address high. */
export const ELEMENT_WORDS = 4;

/** Words of a request, and where they are: one line of the processor's cache has all that a request needs. */
const REQUEST_WORDS = 8;
const SOCKET = 0;
const OPCODE = 1;
const TOTAL = 2;
const ELEMENT_COUNT = 3;
const FIRST_ELEMENT = 4;

/** What the driver keeps of requests, in rows of words: a million of them must be cheap. */
export class RequestTable {
  readonly pool: RowPool;
  /** The switch's structures; null in free rows. */
  readonly overlapped: (WsaOverlapped | null)[] = [];
  #words = new Uint32Array(16 * REQUEST_WORDS);
  /** Elements behind the first, of the few requests that have more. */
  readonly #more = new Map<number, Uint32Array>();
  /** Remote key, address low, address high; grows with the rows that RDMA requests use. */
  #remote = new Uint32Array(0);

  constructor(max: number) {
    this.pool = new RowPool(max);
  }

  /**
   * Takes a row for a request; its elements are to be written.
   *
   * @param socket - row
   * @param opcode - an {@link Opcode}
   * @param total - bytes of all elements, 32 bits unsigned
   * @param elements - how many it has, 1 or more
   * @throws RangeError when all rows are in use
   */
  allocate(socket: number, opcode: number, total: number, elements: number): number {
    const row = this.pool.allocate();
    const at = row * REQUEST_WORDS;
    if (at >= this.#words.length) this.#words = copied(new Uint32Array(this.#words.length * 2), this.#words);
    this.#words[at + SOCKET] = socket;
    this.#words[at + OPCODE] = opcode;
    this.#words[at + TOTAL] = total;
    this.#words[at + ELEMENT_COUNT] = elements;
    if (elements > 1) this.#more.set(row, new Uint32Array((elements - 1) * ELEMENT_WORDS));
    return row;
  }

  free(row: number): void {
    this.overlapped[row] = null;
    if (this.elementCount(row) > 1) this.#more.delete(row);
    this.pool.free(row);
  }

  /** Row of the request's socket. */
  socket(row: number): number {
    return this.#words[row * REQUEST_WORDS + SOCKET]!;
  }
  /** Its {@link Opcode}. */
  opcode(row: number): number {
    return this.#words[row * REQUEST_WORDS + OPCODE]!;
  }
  /** Bytes of all elements. */
  total(row: number): number {
    return this.#words[row * REQUEST_WORDS + TOTAL]!;
  }
  elementCount(row: number): number {
    return this.#words[row * REQUEST_WORDS + ELEMENT_COUNT]!;
  }

  /** Notes what an RDMA request is about. */
  setRemote(row: number, key: number, address: number): void {
    if (3 * row >= this.#remote.length) {
      this.#remote = copied(new Uint32Array(3 * (this.#words.length / REQUEST_WORDS)), this.#remote);
    }
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

  /** Writes element `index`: `length` bytes at `address`. */
  setElement(row: number, index: number, key: number, length: number, address: number): void {
    const words = index === 0 ? this.#words : this.#more.get(row)!;
    const at = index === 0 ? row * REQUEST_WORDS + FIRST_ELEMENT : (index - 1) * ELEMENT_WORDS;
    words[at] = key;
    words[at + 1] = length;
    words[at + 2] = address >>> 0;
    words[at + 3] = Math.floor(address / 0x1_0000_0000);
  }

  /** Bytes of element `index`. */
  elementLength(row: number, index: number): number {
    return index === 0
      ? this.#words[row * REQUEST_WORDS + FIRST_ELEMENT + 1]!
      : this.#more.get(row)![(index - 1) * ELEMENT_WORDS + 1]!;
  }

  /** Copies element `index` to `to`, from `at` on: local key, length, address low, address high. */
  copyElement(row: number, index: number, to: Uint32Array, at: number): void {
    const words = index === 0 ? this.#words : this.#more.get(row)!;
    const from = index === 0 ? row * REQUEST_WORDS + FIRST_ELEMENT : (index - 1) * ELEMENT_WORDS;
    to[at] = words[from]!;
    to[at + 1] = words[from + 1]!;
    to[at + 2] = words[from + 2]!;
    to[at + 3] = words[from + 3]!;
  }
}

function copied<T extends Int32Array | Uint32Array>(to: T, from: T): T {
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
