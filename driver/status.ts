/**
 * Adapter status -> WSA error: the only such table.
 *
 * Source: specification, Annex A.2 and A.3; 4.1 for connect codes.
 */

import { RejectReason, WSA } from '../machines/index.ts';
import { AdapterStatus, CompletionStatus, Opcode } from './adapter/adapter.ts';

/** Error of a request whose work request of kind `opcode` failed with `status` (any but success and flushed). */
export function completionError(status: number, opcode: number): number {
  switch (status) {
    case CompletionStatus.localLength:
      return opcode === Opcode.receive ? WSA.WSAEMSGSIZE : WSA.WSAECONNABORTED;
    case CompletionStatus.localProtection:
      return WSA.WSAEFAULT;
    case CompletionStatus.remoteAccess:
    case CompletionStatus.remoteOperation:
      // A message has no place at the peer that could be wrong: there the peer's receive was.
      return opcode === Opcode.send ? WSA.WSAECONNABORTED : WSA.WSAEFAULT;
    default:
      return WSA.WSAECONNABORTED;
  }
}

/** Error of an SPI call whose control call at the adapter answered `status` (negative). */
export function controlError(status: number): number {
  switch (status) {
    case AdapterStatus.deviceRemoved:
      return WSA.WSAENETDOWN;
    case AdapterStatus.badMemory:
      return WSA.WSAEFAULT;
    default:
      return WSA.WSAENOBUFS;
  }
}

/** Error of a connect that the adapter would not start. */
export const connectError = (status: number): number =>
  status === AdapterStatus.networkUnreachable ? WSA.WSAENETUNREACH : notFault(status);

/** Error of an accept that the adapter would not carry out; a peer that has gone resets. */
export const acceptError = (status: number): number =>
  status === AdapterStatus.invalidState ? WSA.WSAECONNRESET : notFault(status);

/** Error of a listen that the adapter would not start. */
export const listenError = (status: number): number => notFault(status);

const notFault = (status: number): number =>
  status === AdapterStatus.deviceRemoved ? WSA.WSAENETDOWN : WSA.WSAENOBUFS;

/** InfiniBand's reject reason for "no such service". */
const NO_SUCH_SERVICE = 8;

/**
 * Result of a connect that the peer's side rejected.
 *
 * @param ours - reason in the peer provider's private data, or null when a provider did not write it
 * @param reason - the adapter's own number
 * @param pureSan - configuration: every host that is asked is reached through the SAN alone, so a port without listener
 *   there has none elsewhere
 */
export function rejectionError(ours: number | null, reason: number, pureSan: boolean): number {
  if (ours === RejectReason.backlogFull || ours === RejectReason.condition) return WSA.WSAECONNREFUSED;
  return pureSan && reason === NO_SUCH_SERVICE ? WSA.WSAECONNRESET : WSA.WSAETIMEDOUT;
}

/** Error of WSPStartupEx when the adapter would not open. */
export const openError = (status: number): number =>
  status === AdapterStatus.deviceRemoved ? WSA.WSASYSNOTREADY : WSA.WSAEPROVIDERFAILEDINIT;
