/**
 * Windows Sockets numbers that cross the provider's interface.
 *
 * Source: specification, sections 18.1, 18.2 and 18.4 (public headers winsock2.h, ws2spi.h, ws2san.h).
 */

import { named } from './expression.ts';

/** Error numbers by name. */
export const WSA = {
  WSA_INVALID_HANDLE: 6,
  WSA_NOT_ENOUGH_MEMORY: 8,
  WSA_INVALID_PARAMETER: 87,
  WSA_OPERATION_ABORTED: 995,
  WSA_IO_INCOMPLETE: 996,
  WSA_IO_PENDING: 997,
  WSAEINTR: 10004,
  WSAEACCES: 10013,
  WSAEFAULT: 10014,
  WSAEINVAL: 10022,
  WSAEMFILE: 10024,
  WSAEWOULDBLOCK: 10035,
  WSAEINPROGRESS: 10036,
  WSAEALREADY: 10037,
  WSAENOTSOCK: 10038,
  WSAEMSGSIZE: 10040,
  WSAEPROTOTYPE: 10041,
  WSAENOPROTOOPT: 10042,
  WSAEPROTONOSUPPORT: 10043,
  WSAESOCKTNOSUPPORT: 10044,
  WSAEOPNOTSUPP: 10045,
  WSAEAFNOSUPPORT: 10047,
  WSAEADDRINUSE: 10048,
  WSAEADDRNOTAVAIL: 10049,
  WSAENETDOWN: 10050,
  WSAENETUNREACH: 10051,
  WSAENETRESET: 10052,
  WSAECONNABORTED: 10053,
  WSAECONNRESET: 10054,
  WSAENOBUFS: 10055,
  WSAEISCONN: 10056,
  WSAENOTCONN: 10057,
  WSAESHUTDOWN: 10058,
  WSAETIMEDOUT: 10060,
  WSAECONNREFUSED: 10061,
  WSAEHOSTUNREACH: 10065,
  WSAEPROCLIM: 10067,
  WSASYSNOTREADY: 10091,
  WSAVERNOTSUPPORTED: 10092,
  WSANOTINITIALISED: 10093,
  WSAEDISCON: 10101,
  WSAEPROVIDERFAILEDINIT: 10106,
  WSATRY_AGAIN: 11002,
} as const;
export type WsaName = keyof typeof WSA;
export type WsaError = (typeof WSA)[WsaName];

const names = new Map<number, string>(Object.entries(WSA).map(([name, value]) => [value, name]));

/** Name of an error number: `WSAEINVAL` for 10022, `0` for success, the number itself for a stranger. */
export const wsaName = (error: number): string => names.get(error) ?? String(error);

/** An error number in a machine's expression, shown by its name. */
export const wsa = (name: WsaName) => named(name, WSA[name]);

export const SOCKET_ERROR = -1;
/** All ones: what a function that gives out sockets returns when it fails. */
export const INVALID_SOCKET = 2n ** 64n - 1n;
/** `WSAOVERLAPPED.Internal` of a pending request. */
export const WSS_OPERATION_IN_PROGRESS = 0x103;

export const AF_INET = 2;
export const AF_INET6 = 23;
export const SOCK_STREAM = 1;
export const IPPROTO_TCP = 6;
export const SOL_SOCKET = 0xffff;
export const SOMAXCONN = 0x7fffffff;
export const WSA_FLAG_OVERLAPPED = 0x01;

export const CF_ACCEPT = 0;
export const CF_REJECT = 1;
export const CF_DEFER = 2;

export const MEM_READ = 1;
export const MEM_WRITE = 2;
export const MEM_READWRITE = 3;

export const FD_ACCEPT = 0x08;
export const FD_CONNECT = 0x10;
export const FD_ACCEPT_BIT = 3;
export const FD_CONNECT_BIT = 4;
export const FD_MAX_EVENTS = 10;

export const SO_DEBUG = 0x0001;
export const SO_MAX_MSG_SIZE = 0x2003;
export const SO_GROUP_ID = 0x2001;
export const SO_GROUP_PRIORITY = 0x2002;
export const SO_MAX_RDMA_SIZE = 0x700d;
export const SO_RDMA_THRESHOLD_SIZE = 0x700e;
export const TCP_NODELAY = 0x0001;

export const SIO_GET_EXTENSION_FUNCTION_POINTER = 0xc8000006;
export const SIO_ADDRESS_LIST_QUERY = 0x48000016;
export const SIO_GET_QOS = 0xc8000007;
export const SIO_GET_GROUP_QOS = 0xc8000008;
export const SIO_SET_QOS = 0x8800000b;
export const SIO_SET_GROUP_QOS = 0x8800000c;
