/**
 * Provider: the 17 SPI functions, WSPStartupEx and the 7 extension functions.
 *
 * Theory of operation: each function checks what can be checked without knowing the socket's state, in the order that the
 * specification gives (0.4), submits one event, and returns the machines' answer. Nothing here knows a lifecycle.
 *
 * Source: specification, sections 2 to 6; Annex B for the TypeScript form.
 */

import {
  AF_INET,
  AF_INET6,
  digestOfRun,
  digestOfSystem,
  FD_ACCEPT,
  FD_CONNECT,
  INVALID_SOCKET,
  IPPROTO_TCP,
  M,
  SIO_ADDRESS_LIST_QUERY,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SIO_GET_GROUP_QOS,
  SIO_GET_QOS,
  SIO_SET_GROUP_QOS,
  SIO_SET_QOS,
  SOCK_STREAM,
  SOCKET_ERROR,
  SOL_SOCKET,
  SOMAXCONN,
  type System,
  WSA,
  WSA_FLAG_OVERLAPPED,
  WSS_OPERATION_IN_PROGRESS,
} from '../machines/index.ts';
import { Opcode, type SocketAddress } from './adapter/adapter.ts';
import { Calls, finish, isObject, isUint32, type ProviderOptions, roomFor } from './calls.ts';
import type { Context } from './context.ts';
import { extensionAsked, optionValue, POINTER_BYTES, settableOption, writeAddressList } from './control.ts';
import type { Dispatcher } from './dispatcher.ts';
import { DetailKind } from './journal/detail.ts';
import type { JournalSink } from './journal/journal.ts';
import { Registrations } from './registration.ts';
import { decodeDescriptor, encodeDescriptor, REMOTE_DESCRIPTOR_BYTES } from './remote-descriptor.ts';
import {
  type ConditionFunction,
  type Handle,
  isWildcard,
  type Out,
  procTableSlots,
  type Qos,
  readSockaddr,
  sockaddrBytes,
  type Socket,
  toSockaddr,
  type WsaBuf,
  type WsaBufEx,
  type WsaEvent,
  WsaNetworkEvents,
  WsaOverlapped,
  type WsaProtocolInfo,
  type WspData,
  type WspUpcallTable,
} from './spi.ts';
import { SocketRecord } from './tables.ts';
import { Transfers } from './transfer.ts';

/** WSPPROC_TABLE: 30 slots; those that a SAN provider does not supply are null. */
export type WspProcTable = Record<(typeof procTableSlots)[number], ((...args: never[]) => unknown) | null>;

/** 2.2, low byte major, high byte minor. */
const VERSION = 0x0202;
const DESCRIPTION = 'wsdirect: Windows Sockets Direct provider for RDMA';
/** XP1_GUARANTEED_DELIVERY | XP1_GUARANTEED_ORDER | XP1_MESSAGE_ORIENTED. */
export const SERVICE_FLAGS = 0x0e;

/** A pointer that may be null. */
const isOptional = (value: unknown): boolean => value === null || value === undefined || isObject(value);

const requiredUpcalls = [
  'WPUCreateSocketHandle',
  'WPUCloseSocketHandle',
  'WPUCompleteOverlappedRequest',
  'WPUSetEvent',
  'WPUResetEvent',
] as const;

function copyUpcalls(table: WspUpcallTable): WspUpcallTable {
  return Object.fromEntries(
    requiredUpcalls.map((name) => [name, table[name].bind(table)]),
  ) as unknown as WspUpcallTable;
}

/** A SAN service provider. Make one for each process and adapter; nothing works before {@link Provider.WSPStartupEx}. */
export class Provider {
  readonly #calls: Calls;
  readonly #context: Context;
  readonly #dispatcher: Dispatcher;
  readonly #registrations: Registrations;
  readonly #transfers: Transfers;

  constructor(options: ProviderOptions) {
    this.#calls = new Calls(options);
    this.#context = this.#calls.context;
    this.#dispatcher = this.#calls.dispatcher;
    this.#registrations = new Registrations(this.#calls);
    this.#transfers = new Transfers(this.#calls);
  }

  // ---------------------------------------------------------------- the loop

  /**
   * One turn: handles what the adapter and the clock have, then makes the completion up-calls that are due.
   *
   * @returns facts handled and up-calls made; 0 when there was nothing to do
   * @throws InvariantError when the provider itself is broken; never for a network condition
   */
  poll(): number {
    return this.collect() + this.report();
  }

  /**
   * The first half of a turn: handles what the adapter and the clock have. Completion up-calls become due and wait.
   *
   * @returns facts handled
   * @throws as {@link Provider.poll}
   */
  collect(): number {
    return this.#calls.collect();
  }

  /**
   * The second half of a turn: makes completion up-calls that are due, in the order of completion; those of a socket
   * that is inside one wait for its end.
   *
   * @param max - most up-calls to make, 1 or more
   * @returns how many were made
   * @throws as {@link Provider.poll}
   */
  report(max?: number): number {
    return this.#calls.report(max);
  }

  /** Completion up-calls are due: the next turn makes them though nothing new has come. */
  get hasDue(): boolean {
    return this.#dispatcher.dueCount > 0;
  }

  /**
   * Has `told` called whenever a completion up-call falls due where none was: in a turn, and in a call from outside of turns,
   * after which nothing else would bring about the turn that makes it.
   *
   * @param told - instead of the one that was given before; null for none
   */
  whenDue(told: (() => void) | null): void {
    this.#dispatcher.whenDue = told;
  }

  /** Time may pass until the next turn, and the journal's records tell of it. */
  pause(): void {
    this.#dispatcher.tick();
  }

  /** The state of everything, for tools and tests that look on. Only the dispatcher may step it. */
  get system(): System {
    return this.#dispatcher.system;
  }

  /** Steps of each machine so far, by machine name. */
  get machineSteps(): Readonly<Record<string, number>> {
    const { machines, machineSteps } = this.#dispatcher.system;
    return Object.fromEntries(machines.map(({ name }, index) => [name, machineSteps[index]!]));
  }

  /** Digest of the whole state: 32 bytes. Two providers in one state have one digest. */
  digest(): Uint8Array {
    return digestOfSystem(this.#dispatcher.system);
  }

  /** Records in the journal so far. */
  get journalSequence(): number {
    return this.#dispatcher.journal.sequence;
  }

  /** Name of a socket's internal state, for tests and tools. @returns null when `s` is no socket */
  socketState(s: Socket): string | null {
    const record = this.#calls.descriptors.get(s);
    return record === undefined ? null : this.#dispatcher.system.rows[M.socket]!.stateName(record.row);
  }

  /** Rows in use and memory registered; all 0 when nothing is left. */
  inventory(): { sockets: number; requests: number; connectionRequests: number; buffers: number; dueUpcalls: number } {
    return {
      sockets: this.#context.socketRows.inUse,
      requests: this.#context.requests.pool.inUse,
      connectionRequests: this.#context.arrivalRows.inUse,
      buffers: this.#context.bufferRows.inUse,
      dueUpcalls: this.#dispatcher.dueCount,
    };
  }

  /** Writes the flight recorder out (ring mode). */
  dumpJournal(sink: JournalSink): void {
    this.#dispatcher.journal.dump(sink, digestOfRun(this.#dispatcher.system));
  }

  /** Ends the journal with the run's digest; nothing may be called afterwards. */
  closeJournal(): void {
    this.#dispatcher.journal.close(digestOfRun(this.#dispatcher.system));
  }

  // ---------------------------------------------------------------- start-up and clean-up

  /**
   * Initialises the provider; calls nest.
   *
   * @param wVersionRequested - highest version that the switch supports; low byte major
   * @param lpWSPData - filled on success
   * @param lpProtocolInfo - of TCP/IP, not of this provider
   * @param lpUpcallTable - copied at the first call
   * @param lpProcTable - filled on success: 17 functions, 13 nulls
   * @returns 0, or WSAVERNOTSUPPORTED, WSAEFAULT, WSASYSNOTREADY, WSAEPROCLIM, WSAEPROVIDERFAILEDINIT
   * @see WSPStartupEx (ff566321)
   */
  WSPStartupEx(
    wVersionRequested: number,
    lpWSPData: WspData | null,
    lpProtocolInfo: WsaProtocolInfo | null,
    lpUpcallTable: WspUpcallTable | null,
    lpProcTable: Partial<WspProcTable> | null,
  ): number {
    return this.#calls.guarded(() => {
      const supported =
        isUint32(wVersionRequested) && (wVersionRequested & 0xff) * 256 + ((wVersionRequested >> 8) & 0xff) >= 0x0202;
      const refusal = !supported
        ? WSA.WSAVERNOTSUPPORTED
        : !isObject(lpWSPData) ||
            !isObject(lpProtocolInfo) ||
            !isObject(lpProcTable) ||
            !isObject(lpUpcallTable) ||
            !requiredUpcalls.every((name) => typeof lpUpcallTable[name] === 'function')
          ? WSA.WSAEFAULT
          : 0;
      const answer = this.#dispatcher.call(this.#calls.event.startup, 0, refusal);
      if (answer !== 0) return answer;
      this.#context.upcalls ??= copyUpcalls(lpUpcallTable!);
      lpWSPData!.wVersion = VERSION;
      lpWSPData!.wHighVersion = VERSION;
      lpWSPData!.szDescription = DESCRIPTION;
      Object.assign(lpProcTable!, this.#procTable());
      return 0;
    });
  }

  #procTable(): WspProcTable {
    const own = this as unknown as Record<string, ((...args: never[]) => unknown) | undefined>;
    return Object.fromEntries(
      procTableSlots.map((slot) => [slot, own[slot.slice(2)]?.bind(this) ?? null]),
    ) as WspProcTable;
  }

  /**
   * Takes one WSPStartupEx back; the last one ends every socket and request and closes the adapter.
   *
   * @returns 0, or SOCKET_ERROR with WSANOTINITIALISED or WSAENETDOWN
   * @see WSPCleanup (ff566270)
   */
  WSPCleanup(lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const answer = this.#dispatcher.call(this.#calls.event.cleanup, 0);
      if (this.#dispatcher.refusal === WSA.WSANOTINITIALISED) {
        this.#calls.descriptors.clear();
        this.#context.handles.clear();
        this.#dispatcher.deliver();
      }
      return finish(lpErrno, answer);
    });
  }

  // ---------------------------------------------------------------- sockets and addresses

  /**
   * Creates a socket, or takes a duplicated one over.
   *
   * @param lpProtocolInfo - `dwProviderReserved` 0 for a new socket, otherwise a token of WSPDuplicateSocket
   * @returns the descriptor, or INVALID_SOCKET with the error
   * @see WSPSocket (ff566319)
   */
  WSPSocket(
    af: number,
    type: number,
    protocol: number,
    lpProtocolInfo: WsaProtocolInfo | null,
    g: number,
    dwFlags: number,
    lpErrno: Out<number>,
  ): Socket {
    return this.#calls.guarded(() => {
      const refuse = (error: number): Socket => {
        finish(lpErrno, error);
        return INVALID_SOCKET;
      };
      const { refusal } = this.#dispatcher;
      if (refusal !== 0) return refuse(refusal);
      if (lpProtocolInfo !== null && !isObject(lpProtocolInfo)) return refuse(WSA.WSAEFAULT);
      if (af !== AF_INET && af !== AF_INET6) return refuse(WSA.WSAEAFNOSUPPORT);
      if (type !== SOCK_STREAM) return refuse(WSA.WSAESOCKTNOSUPPORT);
      if (protocol !== IPPROTO_TCP) return refuse(WSA.WSAEPROTONOSUPPORT);
      if (g !== 0 || dwFlags !== WSA_FLAG_OVERLAPPED) return refuse(WSA.WSAEINVAL);
      const token = lpProtocolInfo?.dwProviderReserved ?? 0;
      if (!isUint32(token)) return refuse(WSA.WSAEINVAL);
      if (this.#context.socketRows.full) return refuse(WSA.WSAEMFILE);
      const family = af === AF_INET ? 'IPv4' : 'IPv6';
      const taken = token === 0 ? null : this.#context.duplication.take(token, this.#context.config.processId);
      if (token !== 0 && taken === null) return refuse(WSA.WSAEINVAL);
      const record = this.#newSocket(taken?.local.family ?? family, lpProtocolInfo?.dwCatalogEntryId ?? 0);
      let answer: number;
      if (taken === null) {
        answer = this.#dispatcher.call(this.#calls.event.socket, record.row);
      } else {
        record.local = taken.local;
        record.remote = taken.remote;
        record.takenOverId = taken.connectionId;
        record.peer = taken.peer;
        record.debug = taken.options.debug;
        record.noDelay = taken.options.noDelay;
        record.attaching = !taken.listening;
        answer = this.#dispatcher.call(
          this.#calls.event.takeOver,
          record.row,
          taken.listening ? 1 : 0,
          Math.max(1, taken.backlog),
        );
      }
      return answer === 0 ? this.#handOut(record, lpErrno) : refuse(answer);
    });
  }

  #newSocket(family: SocketAddress['family'], catalogEntryId: number): SocketRecord {
    const row = this.#context.socketRows.allocate();
    const record = new SocketRecord(row, this.#calls.descriptors.next(row), family, catalogEntryId);
    this.#context.sockets[row] = record;
    return record;
  }

  /**
   * Makes the new socket's descriptor valid: only the call that returns it does, since inside the up-calls before it the
   * switch can know it already.
   */
  #handOut(record: SocketRecord, lpErrno: Out<number>): Socket {
    if (this.#context.sockets[record.row] !== record) {
      // The provider was cleaned up inside the call's last up-call.
      finish(lpErrno, WSA.WSANOTINITIALISED);
      return INVALID_SOCKET;
    }
    this.#calls.descriptors.set(record.descriptor, record);
    finish(lpErrno, 0);
    return record.descriptor;
  }

  /** Gives back a socket that no machine has been told of. */
  #discard(record: SocketRecord): void {
    if (record.opened) return;
    this.#context.sockets[record.row] = undefined;
    this.#context.socketRows.free(record.row);
  }

  /**
   * Gives the socket its local address.
   *
   * @param name - sockaddr_in or sockaddr_in6: a served address or the wildcard, and a port other than 0
   * @param namelen - bytes of `name`
   * @returns 0, or SOCKET_ERROR with WSAEFAULT, WSAEADDRNOTAVAIL, WSAEINVAL
   * @see WSPBind (ff566268)
   */
  WSPBind(s: Socket, name: Uint8Array | null, namelen: number, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      const address = readSockaddr(name, namelen, record.family);
      if (typeof address === 'number') {
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      if (address.port === 0) return finish(lpErrno, WSA.WSAEINVAL);
      if (!isWildcard(address) && !this.#serves(address)) return finish(lpErrno, WSA.WSAEADDRNOTAVAIL);
      const answer = this.#dispatcher.call(this.#calls.event.bind, record.row);
      if (answer === 0) {
        record.local = address;
        this.#calls.detail(DetailKind.localAddress, record.row, address);
      }
      return finish(lpErrno, answer);
    });
  }

  #serves({ address }: SocketAddress): boolean {
    return this.#context.adapter.addresses().includes(address);
  }

  /**
   * Sets a socket option.
   *
   * @param optval - little-endian value
   * @param optlen - bytes of `optval`
   * @returns 0, or SOCKET_ERROR with WSAEFAULT, WSAEINVAL, WSAENOPROTOOPT
   * @see WSPSetSockOpt (ff566318)
   */
  WSPSetSockOpt(
    s: Socket,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: number,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!(optval instanceof Uint8Array) || !Number.isInteger(optlen) || optlen > optval.length) {
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      if (level !== SOL_SOCKET && level !== IPPROTO_TCP) return finish(lpErrno, WSA.WSAEINVAL);
      const option = settableOption(level, optname);
      if (option === null) return finish(lpErrno, WSA.WSAENOPROTOOPT);
      if (optlen < 4) return finish(lpErrno, WSA.WSAEFAULT);
      const answer = this.#dispatcher.call(this.#calls.event.setSockOpt, record.row);
      if (answer === 0) record[option] = optval[0]! | optval[1]! | optval[2]! | optval[3]! ? 1 : 0;
      return finish(lpErrno, answer);
    });
  }

  /**
   * Reads a socket option, in any state.
   *
   * @param optval - gets the little-endian value
   * @param optlen - in: room; out: bytes stored, or needed when there is too little room
   * @returns 0, or SOCKET_ERROR with WSAEFAULT, WSAEINVAL, WSAENOPROTOOPT
   * @see WSPGetSockOpt (ff566292)
   */
  WSPGetSockOpt(
    s: Socket,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: Out<number> | null,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!(optval instanceof Uint8Array) || !isObject(optlen) || !Number.isInteger(optlen.value)) {
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      if (level !== SOL_SOCKET && level !== IPPROTO_TCP) return finish(lpErrno, WSA.WSAEINVAL);
      const value = optionValue(record, level, optname, this.#context.adapter.capabilities);
      if (value === null) return finish(lpErrno, WSA.WSAENOPROTOOPT);
      if (optlen.value < 4 || optval.length < 4) {
        optlen.value = 4;
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      new DataView(optval.buffer, optval.byteOffset).setUint32(0, value, true);
      optlen.value = 4;
      return finish(lpErrno, 0);
    });
  }

  /**
   * Answers a control code; always at once.
   *
   * @param lpvOutBuffer - a buffer, or for SIO_GET_EXTENSION_FUNCTION_POINTER a box that gets the function
   * @param lpcbBytesReturned - bytes written, or needed when there is too little room
   * @returns 0, or SOCKET_ERROR with WSAEFAULT, WSAEINVAL, WSAEOPNOTSUPP
   * @see WSPIoctl (ff566296)
   */
  WSPIoctl(
    s: Socket,
    dwIoControlCode: number,
    lpvInBuffer: Uint8Array | null,
    cbInBuffer: number,
    lpvOutBuffer: Uint8Array | Out<unknown> | null,
    cbOutBuffer: number,
    lpcbBytesReturned: Out<number> | null,
    _lpOverlapped: WsaOverlapped | null,
    _lpCompletionRoutine: unknown,
    _lpThreadId: unknown,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const { refusal } = this.#dispatcher;
      if (dwIoControlCode === SIO_GET_EXTENSION_FUNCTION_POINTER) {
        if (refusal !== 0) return finish(lpErrno, refusal);
        if (!isObject(lpvOutBuffer) || lpvOutBuffer instanceof Uint8Array || !isObject(lpcbBytesReturned)) {
          return finish(lpErrno, WSA.WSAEFAULT);
        }
        const asked = extensionAsked(lpvInBuffer, cbInBuffer, cbOutBuffer, this.#context.adapter.capabilities);
        if (typeof asked === 'number') return finish(lpErrno, asked);
        lpvOutBuffer.value = this[asked].bind(this);
        lpcbBytesReturned.value = POINTER_BYTES;
        return finish(lpErrno, 0);
      }
      if (this.#calls.enter(s, lpErrno) === null) return SOCKET_ERROR;
      if (!isObject(lpcbBytesReturned)) return finish(lpErrno, WSA.WSAEFAULT);
      switch (dwIoControlCode) {
        case SIO_ADDRESS_LIST_QUERY:
          return writeAddressList(
            this.#context.adapter.addresses(),
            lpvOutBuffer,
            cbOutBuffer,
            lpcbBytesReturned,
            lpErrno,
          );
        case SIO_GET_QOS:
        case SIO_GET_GROUP_QOS:
        case SIO_SET_QOS:
        case SIO_SET_GROUP_QOS:
          return finish(lpErrno, WSA.WSAEOPNOTSUPP);
        default:
          return finish(lpErrno, WSA.WSAEINVAL);
      }
    });
  }

  /** There is no quality of service. @returns false, with WSAEOPNOTSUPP. @see WSPGetQOSByName (ff566290) */
  WSPGetQOSByName(_s: Socket, _lpQOSName: WsaBuf | null, _lpQOS: Qos | null, lpErrno: Out<number>): boolean {
    return this.#calls.guarded(() => {
      const { refusal } = this.#dispatcher;
      finish(lpErrno, refusal === WSA.WSANOTINITIALISED ? refusal : WSA.WSAEOPNOTSUPP);
      return false;
    });
  }

  // ---------------------------------------------------------------- connections

  /**
   * Starts to connect; the result comes by FD_CONNECT.
   *
   * @param name - sockaddr of the peer
   * @param lpCallerData - must be null or empty: connect data isn't supported
   * @param lpCalleeData - `len` becomes 0 when the attempt has begun
   * @returns SOCKET_ERROR with WSAEWOULDBLOCK once begun, or with the error that kept it from beginning
   * @see WSPConnect (ff566275)
   */
  WSPConnect(
    s: Socket,
    name: Uint8Array | null,
    namelen: number,
    lpCallerData: WsaBuf | null,
    lpCalleeData: WsaBuf | null,
    lpSQOS: Qos | null,
    _lpGQOS: Qos | null,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      const address = readSockaddr(name, namelen, record.family);
      if (typeof address === 'number') return finish(lpErrno, address);
      if (!isOptional(lpCallerData) || !isOptional(lpCalleeData)) return finish(lpErrno, WSA.WSAEFAULT);
      if (isObject(lpCallerData) && lpCallerData.len !== 0) return finish(lpErrno, WSA.WSAEPROTONOSUPPORT);
      if (lpSQOS !== null && lpSQOS !== undefined) return finish(lpErrno, WSA.WSAEOPNOTSUPP);
      if (isWildcard(address) || address.port === 0 || (!this.#context.config.loopback && this.#serves(address))) {
        return finish(lpErrno, WSA.WSAEADDRNOTAVAIL);
      }
      // A refused call must leave the address of the connection that is there.
      const before = record.remote;
      record.remote = address;
      const answer = this.#dispatcher.call(this.#calls.event.connect, record.row);
      if (answer === WSA.WSAEWOULDBLOCK) {
        this.#calls.detail(DetailKind.remoteAddress, record.row, address);
        if (isObject(lpCalleeData)) lpCalleeData.len = 0;
      } else {
        record.remote = before;
      }
      return finish(lpErrno, answer);
    });
  }

  /**
   * Starts to listen, or changes the backlog of a listener.
   *
   * @param backlog - requests that are queued at most; below 1 counts as 1, SOMAXCONN as the provider's maximum
   * @returns 0, or SOCKET_ERROR with WSAEINVAL, WSAEISCONN, WSAENOBUFS
   * @see WSPListen (ff566297)
   */
  WSPListen(s: Socket, backlog: number, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!Number.isInteger(backlog)) return finish(lpErrno, WSA.WSAEINVAL);
      const length = Math.min(
        Math.max(1, backlog === SOMAXCONN ? this.#calls.limits.backlogMax : backlog),
        this.#calls.limits.backlogMax,
      );
      return finish(lpErrno, this.#dispatcher.call(this.#calls.event.listen, record.row, length));
    });
  }

  /**
   * Takes the oldest connection request, if the condition function agrees.
   *
   * @param addr - gets the peer's sockaddr; may be null
   * @param addrlen - in: room in `addr`; out: bytes stored
   * @param lpfnCondition - asked inside this call; null takes whoever comes
   * @param dwCallbackData - handed to it
   * @returns the new socket, connected; or INVALID_SOCKET with WSAEWOULDBLOCK, WSAECONNREFUSED, WSATRY_AGAIN, ...
   * @see WSPAccept (ff566266)
   */
  WSPAccept(
    s: Socket,
    addr: Uint8Array | null,
    addrlen: Out<number> | null,
    lpfnCondition: ConditionFunction | null,
    dwCallbackData: unknown,
    lpErrno: Out<number>,
  ): Socket {
    return this.#calls.guarded(() => {
      const listener = this.#calls.enter(s, lpErrno);
      if (listener === null) return INVALID_SOCKET;
      const bytes = sockaddrBytes(listener.family);
      const fits =
        addr === null || (addr instanceof Uint8Array && isObject(addrlen) && roomFor(addr, addrlen.value, bytes));
      if (!fits || (lpfnCondition !== null && typeof lpfnCondition !== 'function')) {
        finish(lpErrno, WSA.WSAEFAULT);
        return INVALID_SOCKET;
      }
      const outer = this.#context.acceptCall;
      const call = { condition: lpfnCondition, callbackData: dwCallbackData, remote: null as SocketAddress | null };
      this.#context.acceptCall = call;
      const full = this.#context.socketRows.full;
      const record = full ? null : this.#newSocket(listener.family, listener.catalogEntryId);
      if (record !== null) {
        record.debug = listener.debug;
        record.noDelay = listener.noDelay;
      }
      const answer = this.#dispatcher.call(this.#calls.event.accept, listener.row, record?.row ?? 0, full ? 1 : 0);
      this.#context.acceptCall = outer;
      if (answer !== 0 || record === null) {
        if (record !== null) this.#discard(record);
        // Inside the condition function the provider can have been cleaned up, or have lost its adapter.
        finish(lpErrno, this.#dispatcher.refusal === 0 ? answer : this.#dispatcher.refusal);
        return INVALID_SOCKET;
      }
      // By these the journals of both ends are put together.
      if (record.local !== null) this.#calls.detail(DetailKind.localAddress, record.row, record.local);
      if (record.remote !== null) this.#calls.detail(DetailKind.remoteAddress, record.row, record.remote);
      const accepted = this.#handOut(record, lpErrno);
      if (addr !== null && accepted !== INVALID_SOCKET) {
        addr.set(toSockaddr(call.remote!));
        addrlen!.value = bytes;
      }
      return accepted;
    });
  }

  /**
   * Selects which network events are recorded, and the event object that is set.
   *
   * @param lNetworkEvents - FD_ACCEPT, FD_CONNECT, both, or 0 to stop
   * @returns 0, or SOCKET_ERROR with WSAEINVAL
   * @see WSPEventSelect (ff566287)
   */
  WSPEventSelect(s: Socket, hEventObject: WsaEvent, lNetworkEvents: number, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (
        !isUint32(lNetworkEvents) ||
        (lNetworkEvents & ~(FD_ACCEPT | FD_CONNECT)) !== 0 ||
        (lNetworkEvents !== 0 && (typeof hEventObject !== 'bigint' || hEventObject === 0n))
      ) {
        return finish(lpErrno, WSA.WSAEINVAL);
      }
      const before = record.event;
      record.event = lNetworkEvents === 0 ? 0n : hEventObject;
      const answer = this.#dispatcher.call(
        this.#calls.event.eventSelect,
        record.row,
        (lNetworkEvents & FD_ACCEPT) === 0 ? 0 : 1,
        (lNetworkEvents & FD_CONNECT) === 0 ? 0 : 1,
      );
      if (answer !== 0) record.event = before;
      return finish(lpErrno, answer);
    });
  }

  /**
   * Reports and clears the recorded events, and resets `hEventObject` if it isn't null, in one step.
   *
   * @param lpNetworkEvents - only elements whose bit is set are written
   * @returns 0, or SOCKET_ERROR with WSAEINVAL
   * @see WSPEnumNetworkEvents (ff566284)
   */
  WSPEnumNetworkEvents(
    s: Socket,
    hEventObject: WsaEvent,
    lpNetworkEvents: WsaNetworkEvents | null,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!(lpNetworkEvents instanceof WsaNetworkEvents) || typeof hEventObject !== 'bigint') {
        return finish(lpErrno, WSA.WSAEINVAL);
      }
      const outer = this.#context.enumCall;
      this.#context.enumCall = { event: hEventObject, events: lpNetworkEvents };
      const answer = this.#dispatcher.call(this.#calls.event.enumNetworkEvents, record.row);
      this.#context.enumCall = outer;
      return finish(lpErrno, answer);
    });
  }

  /**
   * Closes the socket. Its requests complete with WSA_OPERATION_ABORTED, then its switch handle is closed.
   *
   * @returns 0, or SOCKET_ERROR with WSAENOTSOCK, WSAENETDOWN (closed all the same)
   * @see WSPCloseSocket (ff566273)
   */
  WSPCloseSocket(s: Socket, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const { refusal } = this.#dispatcher;
      if (refusal === WSA.WSANOTINITIALISED) return finish(lpErrno, refusal);
      const record = this.#calls.descriptors.get(s);
      if (record === undefined) return finish(lpErrno, WSA.WSAENOTSOCK);
      this.#calls.descriptors.delete(s);
      const answer = this.#dispatcher.call(this.#calls.event.close, record.row);
      return finish(lpErrno, refusal === 0 ? answer : refusal);
    });
  }

  /**
   * Hands a connected or listening socket to another process.
   *
   * @param dwProcessId - the only process in which the token can be redeemed
   * @param lpProtocolInfo - `dwProviderReserved` gets the token
   * @returns 0, or SOCKET_ERROR with WSAEINVAL, WSAENOBUFS
   * @see WSPDuplicateSocket (ff566282)
   */
  WSPDuplicateSocket(
    s: Socket,
    dwProcessId: number,
    lpProtocolInfo: WsaProtocolInfo | null,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!isObject(lpProtocolInfo) || !isUint32(dwProcessId)) return finish(lpErrno, WSA.WSAEINVAL);
      const { system } = this.#dispatcher;
      const { duplication } = this.#context;
      const token = duplication.put(
        {
          listening: record.listener >= 0,
          backlog: system.rows[M.socket]!.context(record.row)['backlog']!,
          local: record.local ?? {
            family: record.family,
            address: record.family === 'IPv4' ? '0.0.0.0' : '::',
            port: 0,
          },
          remote: record.remote,
          connectionId: record.connectionId?.slice() ?? null,
          peer: record.peer,
          options: { debug: record.debug, noDelay: record.noDelay },
        },
        dwProcessId,
      );
      if (token === null) return finish(lpErrno, WSA.WSAENOBUFS);
      const answer = this.#dispatcher.call(this.#calls.event.duplicate, record.row);
      if (answer !== 0) {
        duplication.take(token, dwProcessId);
        return finish(lpErrno, answer);
      }
      // The connection is the token's now: nothing may find it here any more.
      record.named = false;
      lpProtocolInfo.dwProviderReserved = token;
      return finish(lpErrno, 0);
    });
  }

  // ---------------------------------------------------------------- data

  /**
   * Sends the concatenation of the buffers as one message.
   *
   * @param lpBuffers - each inside memory registered on this socket for reading; the array may be reused at once
   * @param dwBufferCount - 1 to 4, or to what the adapter has if that is less
   * @param dwFlags - 0
   * @param lpOverlapped - belongs to the provider until completion
   * @returns SOCKET_ERROR with WSA_IO_PENDING once started, or with the error that kept it from starting
   * @see WSPSend (ff566316)
   */
  WSPSend(
    s: Socket,
    lpBuffers: readonly WsaBuf[] | null,
    dwBufferCount: number,
    _lpNumberOfBytesSent: Out<number> | null,
    dwFlags: number,
    lpOverlapped: WsaOverlapped | null,
    _lpCompletionRoutine: unknown,
    _lpThreadId: unknown,
    lpErrno: Out<number>,
  ): number {
    return this.#transfers.start(
      Opcode.send,
      s,
      lpBuffers,
      dwBufferCount,
      dwFlags,
      WSA.WSAEOPNOTSUPP,
      lpOverlapped,
      null,
      lpErrno,
    );
  }

  /**
   * Queues one receive request for one message.
   *
   * @param lpBuffers - each inside memory registered on this socket for writing
   * @param lpFlags - 0 on entry
   * @returns SOCKET_ERROR with WSA_IO_PENDING once queued, or with the error that kept it from being queued
   * @see WSPRecv (ff566309)
   */
  WSPRecv(
    s: Socket,
    lpBuffers: readonly WsaBuf[] | null,
    dwBufferCount: number,
    _lpNumberOfBytesRecvd: Out<number> | null,
    lpFlags: Out<number> | null,
    lpOverlapped: WsaOverlapped | null,
    _lpCompletionRoutine: unknown,
    _lpThreadId: unknown,
    lpErrno: Out<number>,
  ): number {
    const flags = lpFlags === null || lpFlags === undefined ? 0 : lpFlags.value;
    return this.#transfers.start(
      Opcode.receive,
      s,
      lpBuffers,
      dwBufferCount,
      flags,
      WSA.WSAEOPNOTSUPP,
      lpOverlapped,
      null,
      lpErrno,
    );
  }

  /**
   * Writes into memory that the peer has registered.
   *
   * @param lpBuffers - sources, with the handles of their registrations; 1 to 8
   * @param lpTargetBufferDescriptor - made by the peer's WSPRegisterRdmaMemory
   * @param dwTargetBufferOffset - in bytes from the start of the peer's buffer
   * @returns SOCKET_ERROR with WSA_IO_PENDING once started, or with the error that kept it from starting
   * @see WSPRdmaWrite (ff566306)
   */
  WSPRdmaWrite(
    s: Socket,
    lpBuffers: readonly WsaBufEx[] | null,
    dwBufferCount: number,
    lpTargetBufferDescriptor: Uint8Array | null,
    dwTargetDescriptorLength: number,
    dwTargetBufferOffset: number,
    _lpdwNumberOfBytesWritten: Out<number> | null,
    dwFlags: number,
    lpOverlapped: WsaOverlapped | null,
    _lpCompletionRoutine: unknown,
    _lpThreadId: unknown,
    lpErrno: Out<number>,
  ): number {
    const target = {
      descriptor: lpTargetBufferDescriptor,
      length: dwTargetDescriptorLength,
      offset: dwTargetBufferOffset,
    };
    return this.#transfers.start(
      Opcode.rdmaWrite,
      s,
      lpBuffers,
      dwBufferCount,
      dwFlags,
      WSA.WSAEINVAL,
      lpOverlapped,
      target,
      lpErrno,
    );
  }

  /**
   * Reads from memory that the peer has registered. Parameters and results as {@link Provider.WSPRdmaWrite}, with
   * destinations in place of sources.
   *
   * @see WSPRdmaRead (ff566304)
   */
  WSPRdmaRead(
    s: Socket,
    lpBuffers: readonly WsaBufEx[] | null,
    dwBufferCount: number,
    lpTargetBufferDescriptor: Uint8Array | null,
    dwTargetDescriptorLength: number,
    dwTargetBufferOffset: number,
    _lpdwNumberOfBytesRead: Out<number> | null,
    dwFlags: number,
    lpOverlapped: WsaOverlapped | null,
    _lpCompletionRoutine: unknown,
    _lpThreadId: unknown,
    lpErrno: Out<number>,
  ): number {
    const target = {
      descriptor: lpTargetBufferDescriptor,
      length: dwTargetDescriptorLength,
      offset: dwTargetBufferOffset,
    };
    return this.#transfers.start(
      Opcode.rdmaRead,
      s,
      lpBuffers,
      dwBufferCount,
      dwFlags,
      WSA.WSAEINVAL,
      lpOverlapped,
      target,
      lpErrno,
    );
  }

  /**
   * Reports how a request ended. Polls the adapter first while it is pending, so that calling this alone makes progress.
   *
   * @param lpcbTransfer - bytes moved, when it ended with success
   * @param fWait - wait until it has ended; needs an event in the structure
   * @param lpdwFlags - result flags, when it has ended
   * @returns true on success; false with WSA_IO_INCOMPLETE while pending, or with the request's error
   * @see WSPGetOverlappedResult (ff566288)
   */
  WSPGetOverlappedResult(
    s: Socket,
    lpOverlapped: WsaOverlapped | null,
    lpcbTransfer: Out<number> | null,
    fWait: boolean,
    lpdwFlags: Out<number> | null,
    lpErrno: Out<number>,
  ): boolean {
    if (this.#calls.enter(s, lpErrno) === null) return false;
    if (!(lpOverlapped instanceof WsaOverlapped) || !isObject(lpcbTransfer) || !isObject(lpdwFlags)) {
      finish(lpErrno, WSA.WSAEINVAL);
      return false;
    }
    if (lpOverlapped.word(0) === WSS_OPERATION_IN_PROGRESS) {
      const event = lpOverlapped.word(6);
      if (fWait && ((event & 1) === 1 || (event === 0 && lpOverlapped.word(7) === 0))) {
        finish(lpErrno, WSA.WSA_INVALID_HANDLE);
        return false;
      }
      this.poll();
      if (fWait) this.#wait(lpOverlapped);
      // The up-calls that the poll made can have closed the socket.
      if (this.#calls.enter(s, lpErrno) === null) return false;
      if (lpOverlapped.word(0) === WSS_OPERATION_IN_PROGRESS) {
        finish(lpErrno, WSA.WSA_IO_INCOMPLETE);
        return false;
      }
    }
    lpdwFlags.value = lpOverlapped.word(4);
    const error = lpOverlapped.word(5);
    if (error === 0) lpcbTransfer.value = lpOverlapped.word(2);
    finish(lpErrno, error);
    return error === 0;
  }

  /** Polls until the request is done, or for as long as waiting is allowed. */
  #wait(overlapped: WsaOverlapped): void {
    const { clock, config } = this.#context;
    const end = clock.nowMs() + config.waitMs;
    while (overlapped.word(0) === WSS_OPERATION_IN_PROGRESS && clock.nowMs() < end) this.poll();
  }

  // ---------------------------------------------------------------- memory

  /**
   * Registers memory for this socket's own requests.
   *
   * @param lpBuffer - registered in place, kept alive until deregistration
   * @param dwBufferLength - bytes from its start, 1 or more
   * @param dwFlags - MEM_READ: the provider reads it; MEM_WRITE: the provider writes it
   * @returns a handle, or 0n with WSAENOTCONN, WSAEFAULT, WSAEINVAL, WSAENOBUFS
   * @see WSPRegisterMemory (ff566311)
   */
  WSPRegisterMemory(
    s: Socket,
    lpBuffer: Uint8Array | null,
    dwBufferLength: number,
    dwFlags: number,
    lpErrno: Out<number>,
  ): Handle {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return 0n;
      const buffer = this.#registrations.register(record, 'local', lpBuffer, dwBufferLength, dwFlags, lpErrno);
      return buffer?.handle ?? 0n;
    });
  }

  /**
   * Takes one registration back; the last one releases the memory.
   *
   * @returns 0, or SOCKET_ERROR with WSAEINVAL: unknown on this socket, or in use by a pending request
   * @see WSPDeregisterMemory (ff566279)
   */
  WSPDeregisterMemory(s: Socket, handle: Handle, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      return finish(lpErrno, this.#registrations.deregister(record, 'local', this.#context.handles.get(handle)));
    });
  }

  /**
   * Registers memory for the peer of this socket.
   *
   * @param dwFlags - MEM_READ: the peer may read it; MEM_WRITE: the peer may write it
   * @param lpRdmaBufferDescriptor - gets the descriptor, 32 bytes, for the peer
   * @param lpdwDescriptorLength - in: room; out: bytes stored, or needed when there is too little room
   * @returns 0, or SOCKET_ERROR with WSAENOTCONN, WSAEFAULT, WSAEINVAL, WSAENOBUFS
   * @see WSPRegisterRdmaMemory (ff566313)
   */
  WSPRegisterRdmaMemory(
    s: Socket,
    lpBuffer: Uint8Array | null,
    dwBufferLength: number,
    dwFlags: number,
    lpRdmaBufferDescriptor: Uint8Array | null,
    lpdwDescriptorLength: Out<number> | null,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      if (!isObject(lpdwDescriptorLength)) return finish(lpErrno, WSA.WSAEFAULT);
      if (
        !(lpRdmaBufferDescriptor instanceof Uint8Array) ||
        !roomFor(lpRdmaBufferDescriptor, lpdwDescriptorLength.value, REMOTE_DESCRIPTOR_BYTES)
      ) {
        lpdwDescriptorLength.value = REMOTE_DESCRIPTOR_BYTES;
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      const buffer = this.#registrations.register(record, 'remote', lpBuffer, dwBufferLength, dwFlags, lpErrno);
      if (buffer === null) return SOCKET_ERROR;
      const { region, memory, access, handle } = buffer;
      lpRdmaBufferDescriptor!.set(
        encodeDescriptor({
          access,
          address: region!.address,
          length: memory.length,
          key: region!.remoteKey,
          id: handle,
        }),
      );
      lpdwDescriptorLength.value = REMOTE_DESCRIPTOR_BYTES;
      return 0;
    });
  }

  /**
   * Takes one registration for the peer back; after the last one the peer can't reach the memory.
   *
   * @returns 0, or SOCKET_ERROR with WSAEINVAL: not a descriptor of this socket
   * @see WSPDeregisterRdmaMemory (ff566281)
   */
  WSPDeregisterRdmaMemory(
    s: Socket,
    lpRdmaBufferDescriptor: Uint8Array | null,
    dwDescriptorLength: number,
    lpErrno: Out<number>,
  ): number {
    return this.#calls.guarded(() => {
      const record = this.#calls.enter(s, lpErrno);
      if (record === null) return SOCKET_ERROR;
      const descriptor = decodeDescriptor(lpRdmaBufferDescriptor, dwDescriptorLength);
      const buffer = descriptor === null ? undefined : this.#context.handles.get(descriptor.id);
      return finish(lpErrno, this.#registrations.deregister(record, 'remote', buffer));
    });
  }

  /**
   * Not offered, since this provider caches no registrations; WSPIoctl answers WSAEOPNOTSUPP for its GUID.
   *
   * @returns SOCKET_ERROR with WSAEINVAL: the range was never cached
   * @see WSPMemoryRegistrationCacheCallback (ff566299)
   */
  WSPMemoryRegistrationCacheCallback(_lpvAddress: Uint8Array | null, _Size: number, lpErrno: Out<number>): number {
    return this.#calls.guarded(() => {
      const { refusal } = this.#dispatcher;
      return finish(lpErrno, refusal === WSA.WSANOTINITIALISED ? refusal : WSA.WSAEINVAL);
    });
  }
}
