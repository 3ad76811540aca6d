/**
 * Control: values of socket options, and what WSPIoctl writes for its control codes.
 *
 * Source: specification, 13 (socket options), 14 (control codes).
 */

import {
  IPPROTO_TCP,
  SO_DEBUG,
  SO_MAX_MSG_SIZE,
  SO_MAX_RDMA_SIZE,
  SO_RDMA_THRESHOLD_SIZE,
  SOL_SOCKET,
  TCP_NODELAY,
  WSA,
} from '../machines/index.ts';
import type { AdapterCapabilities } from './adapter/adapter.ts';
import { finish, isUint32, roomFor } from './calls.ts';
import { sameBytes } from './handshake.ts';
import { limits } from './limits.ts';
import { type ExtensionName, extensionGuids, guidBytes, type Out, toSockaddr } from './spi.ts';
import type { SocketRecord } from './tables.ts';

/** Bytes of a function pointer as a 64-bit caller sees it. */
export const POINTER_BYTES = 8;
const GUID_BYTES = 16;
const extensionNames = Object.keys(extensionGuids) as ExtensionName[];

/** The option that can be set by this name. @returns null when there is none */
export const settableOption = (level: number, optname: number): 'debug' | 'noDelay' | null =>
  level === SOL_SOCKET && optname === SO_DEBUG
    ? 'debug'
    : level === IPPROTO_TCP && optname === TCP_NODELAY
      ? 'noDelay'
      : null;

/** Value of an option. @returns null when there is none by this name */
export function optionValue(
  record: SocketRecord,
  level: number,
  optname: number,
  { messageSizeMax, rdmaSizeMax }: AdapterCapabilities,
): number | null {
  if (level === IPPROTO_TCP) return optname === TCP_NODELAY ? record.noDelay : null;
  switch (optname) {
    case SO_DEBUG:
      return record.debug;
    case SO_MAX_MSG_SIZE:
      return Math.min(messageSizeMax, limits.transferBytesMax);
    case SO_MAX_RDMA_SIZE:
      return Math.min(rdmaSizeMax, limits.transferBytesMax);
    case SO_RDMA_THRESHOLD_SIZE:
      return limits.rdmaThresholdBytes;
    default:
      return null;
  }
}

/**
 * The extension function that a caller of SIO_GET_EXTENSION_FUNCTION_POINTER asks for.
 *
 * @param guid - of the function
 * @param guidBytesGiven - how many bytes of it may be read
 * @param room - bytes for the pointer
 * @returns its name, or WSAEFAULT, WSAEINVAL (no such function), WSAEOPNOTSUPP (not over this adapter)
 */
export function extensionAsked(
  guid: Uint8Array | null,
  guidBytesGiven: number,
  room: number,
  { readDepthMax }: AdapterCapabilities,
): ExtensionName | number {
  if (!(guid instanceof Uint8Array) || !roomFor(guid, guidBytesGiven, GUID_BYTES)) return WSA.WSAEFAULT;
  if (!isUint32(room) || room < POINTER_BYTES) return WSA.WSAEFAULT;
  const wanted = guid.subarray(0, GUID_BYTES);
  const name = extensionNames.find((candidate) => sameBytes(guidBytes(extensionGuids[candidate]), wanted));
  if (name === undefined) return WSA.WSAEINVAL;
  const offered = name !== 'WSPMemoryRegistrationCacheCallback' && (name !== 'WSPRdmaRead' || readDepthMax > 0);
  return offered ? name : WSA.WSAEOPNOTSUPP;
}

/**
 * Writes a SOCKET_ADDRESS_LIST as a 64-bit caller sees it; a pointer is an offset from the buffer's start.
 *
 * @param served - IPv4 and IPv6 addresses
 * @returns 0, or SOCKET_ERROR with WSAEFAULT: `returned` says how many bytes are needed
 */
export function writeAddressList(
  served: readonly string[],
  target: Uint8Array | Out<unknown> | null,
  room: number,
  returned: Out<number>,
  lpErrno: Out<number>,
): number {
  const addresses = served.map((address) =>
    toSockaddr({ family: address.includes(':') ? 'IPv6' : 'IPv4', address, port: 0 }),
  );
  const headBytes = 8 + 16 * addresses.length;
  const needed = addresses.reduce((sum, { length }) => sum + length, headBytes);
  if (!(target instanceof Uint8Array) || !roomFor(target, room, needed)) {
    returned.value = needed;
    return finish(lpErrno, WSA.WSAEFAULT);
  }
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  view.setInt32(0, addresses.length, true);
  view.setInt32(4, 0, true);
  let at = headBytes;
  for (const [index, address] of addresses.entries()) {
    view.setBigUint64(8 + 16 * index, BigInt(at), true);
    view.setInt32(16 + 16 * index, address.length, true);
    view.setInt32(20 + 16 * index, 0, true);
    target.set(address, at);
    at += address.length;
  }
  returned.value = needed;
  return finish(lpErrno, 0);
}
