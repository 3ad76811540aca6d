/**
 * The model: what the specification lets a switch see of its sockets, requests and connections.
 *
 * It knows nothing of the machines. A socket has one of the seven visible states of 10.1; what a call does in it is the
 * table of 10.2, and what the world may do to it is 10.3. What only the network decides (when a peer learns of a loss,
 * say) the model does not predict: it is told the visible state after each command, and asks whether something has
 * happened that explains the change. So `allowed` errors are collected as their causes come about, and an error without
 * a cause is a defect.
 */

import type { WsaOverlapped } from '../../driver/index.ts';

/** States of 10.1; a socket that is closed is no socket. */
export const visibleStates = ['created', 'bound', 'listening', 'connecting', 'connected', 'broken', 'dormant'] as const;
export type Visible = (typeof visibleStates)[number];

/** 10.2, as text: a row for each call, a column for each state. `reason`: why the connection is broken. */
const stateCallText = `
  bind       0            WSAEINVAL      WSAEINVAL   WSAEINVAL   WSAEINVAL     WSAEINVAL   WSAEINVAL
  connect    WSAEINVAL    WSAEWOULDBLOCK WSAEINVAL   WSAEALREADY WSAEISCONN    WSAEINVAL   WSAEINVAL
  listen     WSAEINVAL    0              0           WSAEINVAL   WSAEISCONN    WSAEINVAL   WSAEINVAL
  accept     WSAEINVAL    WSAEINVAL      0           WSAEINVAL   WSAEINVAL     WSAEINVAL   WSAEINVAL
  select     0            0              0           0           0             0           WSAEINVAL
  events     0            0              0           0           0             0           0
  transfer   WSAENOTCONN  WSAENOTCONN    WSAENOTCONN WSAENOTCONN WSA_IO_PENDING reason     WSAENOTCONN
  register   WSAENOTCONN  WSAENOTCONN    WSAENOTCONN WSAENOTCONN 0             WSAENOTCONN WSAENOTCONN
  deregister WSAEINVAL    WSAEINVAL      WSAEINVAL   WSAEINVAL   0             0           0
  set        0            0              0           0           0             0           WSAEINVAL
  get        0            0              0           0           0             0           0
  duplicate  WSAEINVAL    WSAEINVAL      0           WSAEINVAL   0             WSAEINVAL   WSAEINVAL
  close      0            0              0           0           0             0           0
`;
export type Call =
  | 'bind'
  | 'connect'
  | 'listen'
  | 'accept'
  | 'select'
  | 'events'
  | 'transfer'
  | 'register'
  | 'deregister'
  | 'set'
  | 'get'
  | 'duplicate'
  | 'close';
const stateCall = new Map(
  stateCallText
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .map(([call, ...results]) => [
      call,
      new Map(visibleStates.map((state, index) => [state as string, results[index]!])),
    ]),
);

/** Result of a call in a state by 10.2. */
export const resultOf = (call: Call, state: Visible): string => stateCall.get(call)!.get(state)!;

/** Why a connection can be broken. */
export type Reason = 'WSAECONNRESET' | 'WSAECONNABORTED' | 'WSAENETDOWN';

/** A message that a send has been started with. */
export interface Message {
  readonly bytes: Uint8Array;
  /** Writes and reads that its end began since its last message: 7.3 orders them before it. */
  readonly before: readonly ModelRequest[];
}

/** One WSPConnect that began, and what its peer did with it. */
export interface Attempt {
  readonly socket: ModelSocket;
  readonly port: number;
  readonly startedNs: number;
  /** The peer's condition function agreed. */
  connection: Connection | null;
  /** It may have been an earlier request of the socket that was taken; this one waits still. */
  uncertain: boolean;
  /** Results that FD_CONNECT may report, because something happened that causes them. */
  readonly codes: Set<string>;
  /** The visible state has shown its end. */
  ended: boolean;
}

/** Two ends and what went between them. End 0 is the one that connected. */
export class Connection {
  /** The host of end 1. */
  readonly acceptor: 0 | 1;
  readonly ends: [ModelSocket | null, ModelSocket | null] = [null, null];
  /** Messages by the end that sent them, in the order of the calls. */
  readonly sent: [Message[], Message[]] = [[], []];
  /** How many of {@link Connection.sent} the other end has received. */
  readonly received: [number, number] = [0, 0];
  /** Reasons that each end may break for. */
  readonly reasons: [Set<Reason>, Set<Reason>] = [new Set(), new Set()];
  /** Errors that one request may itself fail with. */
  readonly failures = new Set<string>();
  /** An assumption about the switch (E-02, E-05, E-06) was broken: what arrives is no longer sure. */
  tainted = false;
  /** An end has moved to another process, or is about to. */
  moved = false;
  /** It has been handed over, and is not known to be up again. */
  moving = false;
  /** When, in virtual time. */
  movedNs = 0;
  /** The switches kept to E-06 and nothing has come between: the hand-over must succeed and nobody see it (S-32, L-11). */
  clean = false;
  usedRdma = false;
  /** Writes and reads by the end that began them, since its last message. */
  readonly rdma: [ModelRequest[], ModelRequest[]] = [[], []];

  allow(end: 0 | 1, ...reasons: Reason[]): void {
    for (const reason of reasons) this.reasons[end].add(reason);
  }
  /** Messages that were seen to be received while the up-call of an earlier receive was still due. */
  readonly #early: [Set<number>, Set<number>] = [new Set(), new Set()];

  constructor(acceptor: 0 | 1) {
    this.acceptor = acceptor;
  }

  /** Which message a receive gets that is done while `before` earlier ones are not. */
  place(from: 0 | 1, before: number): number {
    let index = this.received[from];
    for (let left = before; left > 0 || this.#early[from].has(index); index++)
      if (!this.#early[from].has(index)) left--;
    return index;
  }
  took(from: 0 | 1, index: number): void {
    const early = this.#early[from];
    early.add(index);
    while (early.delete(this.received[from])) this.received[from]++;
  }

  /** The hand-over may fail. */
  spoil(): void {
    if (!this.moved) return;
    this.clean = false;
    this.endanger();
    for (const end of [0, 1] as const) this.allow(end, 'WSAENETDOWN');
    this.failures.add('WSAECONNABORTED').add('WSAEFAULT');
  }
  /** Anything may happen to it. */
  endanger(): void {
    for (const end of [0, 1] as const) this.allow(end, 'WSAECONNRESET', 'WSAECONNABORTED');
  }
}

/** A registration on a socket. */
export interface Registration {
  readonly kind: 'local' | 'remote';
  readonly memory: Uint8Array;
  readonly access: number;
  /** Local: the handle; remote: the descriptor. */
  readonly handle: bigint;
  readonly descriptor: Uint8Array | null;
  references: number;
  /** Remote: next part of the memory that nobody has written or read. */
  used: number;
}

export type Operation = 'send' | 'recv' | 'write' | 'read';

/** A request that the switch has started. */
export interface ModelRequest {
  readonly operation: Operation;
  readonly socket: ModelSocket;
  readonly overlapped: WsaOverlapped;
  readonly buffer: Uint8Array;
  readonly notify: boolean;
  /** Sends: its place among what its end sent. */
  readonly message: number;
  /** Writes and reads: the part of the peer's memory, and what is to be found where the bytes go. */
  readonly remote: { readonly memory: Uint8Array; readonly bytes: Uint8Array } | null;
  /** Its completion up-call is running. */
  notifying: boolean;
  done: { readonly error: string; readonly bytes: number } | null;
}

/** An end of something, as its switch sees it. */
export class ModelSocket {
  readonly host: 0 | 1;
  readonly descriptor: bigint;
  readonly handle: bigint;
  /** As observed last. */
  state: Visible;
  /** WSPCloseSocket was called, or the provider cleaned up. */
  closed = false;
  /** WPUCloseSocketHandle came. */
  freed = false;
  duplicated = false;
  port = 0;
  backlog = 0;
  /** What it listens on was removed; and FD_ACCEPT has said so. */
  lost = false;
  lossReported = false;
  /** Why it is broken, once that showed. */
  reason: string | null = null;
  attempt: Attempt | null = null;
  connection: Connection | null = null;
  end: 0 | 1 = 0;
  event: { readonly object: bigint; readonly accept: boolean; readonly connect: boolean } | null = null;
  /** How often FD_ACCEPT may be reported before WSPAccept or WSPEventSelect is called again. */
  acceptReports = 1;
  /** FD_ACCEPT was reported since. */
  acceptReported = false;
  /** An FD_CONNECT that must be reported, with the results that it may have. */
  news: ReadonlySet<string> | null = null;
  /** The oldest request of the queue may have been deferred. */
  deferred = false;
  readonly registrations: Registration[] = [];
  /** Requests that are not done, in the order of the calls. */
  readonly pending: ModelRequest[] = [];
  /** Memory for the requests' buffers. */
  readonly arena = new Uint8Array(ARENA_BYTES);
  #nextChunk = 0;

  constructor(host: 0 | 1, descriptor: bigint, handle: bigint, state: Visible) {
    this.host = host;
    this.descriptor = descriptor;
    this.handle = handle;
    this.state = state;
  }

  /** Requests reach it. */
  get listens(): boolean {
    return this.state === 'listening' && !this.closed && !this.lost;
  }

  /** A part of the arena that no pending request uses. */
  chunk(length: number): Uint8Array {
    for (;;) {
      const start = (this.#nextChunk++ % (ARENA_BYTES / CHUNK_BYTES)) * CHUNK_BYTES;
      const chunk = this.arena.subarray(start, start + length);
      if (!this.pending.some(({ buffer }) => buffer.byteOffset === chunk.byteOffset)) return chunk;
    }
  }

  /** Requests of one direction that are not done. */
  pendingOf(receiving: boolean): ModelRequest[] {
    return this.pending.filter(({ operation }) => (operation === 'recv') === receiving);
  }
}

export const CHUNK_BYTES = 512;
export const ARENA_BYTES = 16 * CHUNK_BYTES;
