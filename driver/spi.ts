/**
 * The provider interface in TypeScript: what crosses it, with the layouts of the Windows headers.
 *
 * Theory of operation: names, parameter order, results and error numbers are those of the C interface. An out-parameter
 * is a box ({@link Out}); a structure that both sides write (WSAOVERLAPPED) is a view of the same bytes that C would
 * see; a pointer to memory is a `Uint8Array`, and a null pointer is `null`.
 *
 * Source: specification, Annex B, sections 9.4, 18.3 and 18.4.
 */

import type { SocketAddress } from './adapter/adapter.ts';
import { AF_INET, AF_INET6, FD_MAX_EVENTS, IPPROTO_TCP, SOCK_STREAM, WSA } from '../machines/index.ts';

/** A SOCKET: what WSPSocket and WSPAccept give out; valid only at the provider that gave it. */
export type Socket = bigint;
/** A HANDLE of a registration. 0n is null. */
export type Handle = bigint;
/** A WSAEVENT; opaque, the switch's. 0n is null. */
export type WsaEvent = bigint;

/** An out-parameter. Functions write `value` only where the specification says so. */
export interface Out<T> {
  value: T;
}
/** A box for an out-parameter. */
export const out = <T>(value: T): Out<T> => ({ value });

/** WSABUF: `len` bytes from the start of `buf`. */
export interface WsaBuf {
  /** Bytes, 0 to 2^32 - 1; at most the length of `buf`. */
  len: number;
  buf: Uint8Array | null;
}
/** WSABUFEX: a {@link WsaBuf} in a registration that is named. */
export interface WsaBufEx extends WsaBuf {
  /** As returned by WSPRegisterMemory on the same socket. */
  handle: Handle;
}

/** WSANETWORKEVENTS; see WSPEnumNetworkEvents. */
export class WsaNetworkEvents {
  lNetworkEvents = 0;
  /** By bit number of the event; only elements whose bit is set are written. */
  readonly iErrorCode: number[] = new Array<number>(FD_MAX_EVENTS).fill(0);
}

/** Bytes of a WSAOVERLAPPED. */
export const OVERLAPPED_BYTES = 32;
const OVERLAPPED_WORDS = OVERLAPPED_BYTES / 4;

/**
 * Structures that aren't given memory share some: what is made together is used together, and neither a view nor an
 * allocation is one structure's own. Their memory lasts as long as one of them.
 */
const SHARED_STRUCTURES = 64;
let shared = new Uint32Array(0);
let sharedWords = 0;

/**
 * WSAOVERLAPPED: one request's state as the switch sees it. A view; two objects over the same bytes are the same
 * structure. It belongs to the switch, and to the provider while a request that was started with it is pending.
 */
export class WsaOverlapped {
  /** Its words begin at `#at` of these. */
  readonly #memory: Uint32Array;
  readonly #at: number;
  /** What the provider was given with it last, and what that views. */
  #view: Uint8Array | null = null;
  #store: ArrayBufferLike | null = null;

  /**
   * @param buffer - memory of the structure; some that no other has when absent
   * @param offset - in bytes, a multiple of 4
   */
  constructor(buffer?: ArrayBufferLike, offset = 0) {
    if (buffer !== undefined) {
      this.#memory = new Uint32Array(buffer, offset, OVERLAPPED_WORDS);
      this.#at = 0;
      return;
    }
    if (sharedWords === shared.length) {
      shared = new Uint32Array(SHARED_STRUCTURES * OVERLAPPED_WORDS);
      sharedWords = 0;
    }
    this.#memory = shared;
    this.#at = sharedWords;
    sharedWords += OVERLAPPED_WORDS;
  }

  /**
   * The structure as eight 32-bit words: Internal (2), InternalHigh (2), Offset, OffsetHigh, hEvent (2). A new view, for who
   * needs more than {@link WsaOverlapped.word}.
   */
  get words(): Uint32Array {
    return this.#memory.subarray(this.#at, this.#at + OVERLAPPED_WORDS);
  }
  /** One of {@link WsaOverlapped.words}. */
  word(index: number): number {
    return this.#memory[this.#at + index]!;
  }
  /** Writes one of {@link WsaOverlapped.words}: 32 bits unsigned. All that the provider writes, it writes so. */
  setWord(index: number, value: number): void {
    this.#memory[this.#at + index] = value;
  }

  /**
   * For the provider: what `view` views. To ask a view takes as long as a step, and a structure is mostly used for the same
   * memory again, which it keeps alive.
   */
  storeOf(view: Uint8Array): ArrayBufferLike {
    if (view !== this.#view) {
      this.#view = view;
      this.#store = view.buffer;
    }
    return this.#store!;
  }

  /** For the provider: reads what it needs when the request is done, so that it is in the cache. @returns what has no meaning */
  fetch(): number {
    return this.word(0) + (this.#view === null ? 0 : this.#view.byteOffset);
  }

  /** State of the request: 0x103 while pending. 64 bits unsigned. */
  get internal(): bigint {
    return this.#long(0);
  }
  set internal(value: bigint) {
    this.#setLong(0, value);
  }
  /** Bytes transferred, when done. 64 bits unsigned. */
  get internalHigh(): bigint {
    return this.#long(2);
  }
  set internalHigh(value: bigint) {
    this.#setLong(2, value);
  }
  /** Result flags, when done. The provider's while pending. */
  get offset(): number {
    return this.word(4);
  }
  set offset(value: number) {
    this.setWord(4, value);
  }
  /** Error number, when done. The provider's while pending. */
  get offsetHigh(): number {
    return this.word(5);
  }
  set offsetHigh(value: number) {
    this.setWord(5, value);
  }
  /** Event to be told, whose low bit, read at the start of a request, says instead: do not notify, I will poll. */
  get hEvent(): bigint {
    return this.#long(6);
  }
  set hEvent(value: bigint) {
    this.#setLong(6, value);
  }

  #long(index: number): bigint {
    return BigInt(this.word(index)) | (BigInt(this.word(index + 1)) << 32n);
  }
  #setLong(index: number, value: bigint): void {
    this.setWord(index, Number(value & 0xffff_ffffn));
    this.setWord(index + 1, Number((value >> 32n) & 0xffff_ffffn));
  }
}

/** WSPDATA: how the provider describes itself. */
export interface WspData {
  /** Version in use: low byte major, high byte minor; 0x0202 is 2.2. */
  wVersion: number;
  wHighVersion: number;
  /** At most 255 UTF-16 code units. */
  szDescription: string;
}

/** WSAPROTOCOL_INFOW, as far as the interface between switch and provider uses it. */
export interface WsaProtocolInfo {
  dwServiceFlags1: number;
  dwProviderFlags: number;
  dwCatalogEntryId: number;
  iVersion: number;
  iAddressFamily: number;
  iSocketType: number;
  iProtocol: number;
  dwMessageSize: number;
  /** 0 for a new socket; otherwise a token from WSPDuplicateSocket. 32 bits unsigned. */
  dwProviderReserved: number;
  szProtocol: string;
}

/**
 * TCP/IP's protocol information, as a switch passes it to a provider.
 *
 * @param dwProviderReserved - token of a duplicated socket, or 0
 */
export const tcpProtocolInfo = (dwProviderReserved = 0): WsaProtocolInfo => ({
  dwServiceFlags1: 0x20066,
  dwProviderFlags: 8,
  dwCatalogEntryId: 1001,
  iVersion: 2,
  iAddressFamily: AF_INET,
  iSocketType: SOCK_STREAM,
  iProtocol: IPPROTO_TCP,
  dwMessageSize: 0,
  dwProviderReserved,
  szProtocol: 'MSAFD Tcpip [TCP/IP]',
});

/** Up-calls that this provider makes; the others of the table are accepted and not used. Source: 9.4. */
export interface WspUpcallTable {
  /** @returns the switch handle, or INVALID_SOCKET with the error number in `lpErrno` */
  WPUCreateSocketHandle(dwCatalogEntryId: number, dwContext: Socket, lpErrno: Out<number>): Socket;
  /** @returns 0, or SOCKET_ERROR */
  WPUCloseSocketHandle(s: Socket, lpErrno: Out<number>): number;
  /** @returns 0, or SOCKET_ERROR */
  WPUCompleteOverlappedRequest(
    s: Socket,
    lpOverlapped: WsaOverlapped,
    dwError: number,
    cbTransferred: number,
    lpErrno: Out<number>,
  ): number;
  WPUSetEvent(hEvent: WsaEvent, lpErrno: Out<number>): boolean;
  WPUResetEvent(hEvent: WsaEvent, lpErrno: Out<number>): boolean;
}

/** The condition function of WSPAccept. @returns CF_ACCEPT, CF_REJECT or CF_DEFER */
export type ConditionFunction = (
  lpCallerId: WsaBuf,
  lpCallerData: WsaBuf | null,
  lpSQOS: null,
  lpGQOS: null,
  lpCalleeId: WsaBuf,
  lpCalleeData: WsaBuf,
  g: null,
  dwCallbackData: unknown,
) => number;

/** A QOS structure; this provider has no quality of service and never reads one. */
export type Qos = object;

/** Bytes of a sockaddr_in and of a sockaddr_in6. */
export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;

/** Size of the address structure of a family. */
export const sockaddrBytes = (family: SocketAddress['family']): number =>
  family === 'IPv4' ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES;

/** An address as sockaddr_in or sockaddr_in6. @throws RangeError when `address` is no IP address of its family */
export function toSockaddr({ family, address, port }: SocketAddress): Uint8Array {
  const bytes = new Uint8Array(sockaddrBytes(family));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family === 'IPv4' ? AF_INET : AF_INET6, true);
  view.setUint16(2, port, false);
  bytes.set(addressBytes(address, family), family === 'IPv4' ? 4 : 8);
  return bytes;
}

/** The address in a sockaddr of its family's full size. @returns null when the family is neither IPv4 nor IPv6 */
export function fromSockaddr(bytes: Uint8Array): SocketAddress | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const port = view.getUint16(2, false);
  switch (view.getUint16(0, true)) {
    case AF_INET:
      return bytes.length < SOCKADDR_IN_BYTES
        ? null
        : { family: 'IPv4', address: bytes.subarray(4, 8).join('.'), port };
    case AF_INET6:
      return bytes.length < SOCKADDR_IN6_BYTES
        ? null
        : { family: 'IPv6', address: ipv6Text(bytes.subarray(8, 24)), port };
    default:
      return null;
  }
}

/**
 * The address that a caller passes in.
 *
 * @param namelen - bytes of `name`, as the caller states it
 * @param family - of the socket
 * @returns the address, or WSAEFAULT for a bad pointer or length, WSAEAFNOSUPPORT for another family
 */
export function readSockaddr(
  name: Uint8Array | null,
  namelen: number,
  family: SocketAddress['family'],
): SocketAddress | number {
  if (!(name instanceof Uint8Array) || !Number.isInteger(namelen)) return WSA.WSAEFAULT;
  if (namelen < 2 || name.length < namelen) return WSA.WSAEFAULT;
  const wanted = sockaddrBytes(family);
  const given = name[0]! | (name[1]! << 8);
  if (given !== (family === 'IPv4' ? AF_INET : AF_INET6)) return WSA.WSAEAFNOSUPPORT;
  if (namelen < wanted) return WSA.WSAEFAULT;
  return fromSockaddr(name.subarray(0, wanted))!;
}

/** The 4 or 16 bytes of an IP address, in network order. @throws RangeError when it isn't one */
export function addressBytes(address: string, family: SocketAddress['family']): Uint8Array {
  const bytes = family === 'IPv4' ? ipv4Bytes(address) : ipv6Bytes(address);
  if (bytes === null) throw new RangeError(`'${address}' is no ${family} address`);
  return bytes;
}

/** IP text in the one form that addresses are compared in. */
export const canonicalAddress = (address: string, family: SocketAddress['family']): string =>
  family === 'IPv4' ? address : ipv6Text(addressBytes(address, family));

/** The canonical text of an IP address of 4 or 16 bytes in network order. */
export const addressText = (bytes: Uint8Array): string => (bytes.length === 4 ? bytes.join('.') : ipv6Text(bytes));

/** 0.0.0.0 or ::, which stand for every address of the host. */
export const isWildcard = ({ family, address }: SocketAddress): boolean =>
  address === (family === 'IPv4' ? '0.0.0.0' : '::');

function ipv4Bytes(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) return null;
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  // An IPv4 address may be the end of it, and nothing else.
  const groups = (half: string | undefined, isEnd: boolean): number[] | null => {
    if (half === undefined || half === '') return [];
    const found: number[] = [];
    const parts = half.split(':');
    for (const [index, part] of parts.entries()) {
      const v4 = isEnd && index === parts.length - 1 ? ipv4Bytes(part) : null;
      if (v4 !== null) found.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
      else if (/^[0-9a-f]{1,4}$/i.test(part)) found.push(Number.parseInt(part, 16));
      else return null;
    }
    return found;
  };
  const left = groups(halves[0], halves.length === 1);
  const right = groups(halves[1], true);
  if (left === null || right === null) return null;
  const gap = 8 - left.length - right.length;
  if (halves.length === 1 ? gap !== 0 : gap < 1) return null;
  const words = [...left, ...new Array<number>(gap).fill(0), ...right];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups shortened. */
function ipv6Text(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, index) => (bytes[2 * index]! << 8) | bytes[2 * index + 1]!);
  let best = { start: 0, length: 0 };
  for (const start of words.keys()) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(':');
  return best.length < 2
    ? text(words)
    : `${text(words.slice(0, best.start))}::${text(words.slice(best.start + best.length))}`;
}

/** GUIDs of the extension functions, as WSPIoctl compares them. Source: 18.4. */
export const extensionGuids = {
  WSPRegisterMemory: 'C0B422F5-F58C-11D1-AD6C-00C04FA34A2D',
  WSPDeregisterMemory: 'C0B422F6-F58C-11D1-AD6C-00C04FA34A2D',
  WSPRegisterRdmaMemory: 'C0B422F7-F58C-11D1-AD6C-00C04FA34A2D',
  WSPDeregisterRdmaMemory: 'C0B422F8-F58C-11D1-AD6C-00C04FA34A2D',
  WSPRdmaWrite: 'C0B422F9-F58C-11D1-AD6C-00C04FA34A2D',
  WSPRdmaRead: 'C0B422FA-F58C-11D1-AD6C-00C04FA34A2D',
  WSPMemoryRegistrationCacheCallback: 'E5DA4AF8-D824-48CD-A799-6337A98ED2AF',
} as const;
export type ExtensionName = keyof typeof extensionGuids;

/** A GUID as it stands in memory: the first three groups little-endian, the rest as written. */
export function guidBytes(guid: string): Uint8Array {
  const hex = guid.replaceAll('-', '');
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
  return Uint8Array.of(
    ...bytes.subarray(0, 4).reverse(),
    ...bytes.subarray(4, 6).reverse(),
    ...bytes.subarray(6, 8).reverse(),
    ...bytes.subarray(8),
  );
}

/** The 30 slots of WSPPROC_TABLE in the header's order; a SAN provider fills 17. Source: 18.3. */
export const procTableSlots = [
  'lpWSPAccept',
  'lpWSPAddressToString',
  'lpWSPAsyncSelect',
  'lpWSPBind',
  'lpWSPCancelBlockingCall',
  'lpWSPCleanup',
  'lpWSPCloseSocket',
  'lpWSPConnect',
  'lpWSPDuplicateSocket',
  'lpWSPEnumNetworkEvents',
  'lpWSPEventSelect',
  'lpWSPGetOverlappedResult',
  'lpWSPGetPeerName',
  'lpWSPGetSockName',
  'lpWSPGetSockOpt',
  'lpWSPGetQOSByName',
  'lpWSPIoctl',
  'lpWSPJoinLeaf',
  'lpWSPListen',
  'lpWSPRecv',
  'lpWSPRecvDisconnect',
  'lpWSPRecvFrom',
  'lpWSPSelect',
  'lpWSPSend',
  'lpWSPSendDisconnect',
  'lpWSPSendTo',
  'lpWSPSetSockOpt',
  'lpWSPShutdown',
  'lpWSPSocket',
  'lpWSPStringToAddress',
] as const;
