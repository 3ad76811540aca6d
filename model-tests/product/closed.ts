/** S-29: every call with a descriptor that was closed says WSAENOTSOCK, and nothing happens. */

import {
  encodeDescriptor,
  type Out,
  out,
  type Provider,
  type Socket,
  tcpProtocolInfo,
  toSockaddr,
  WsaNetworkEvents,
  WsaOverlapped,
} from '../../driver/index.ts';
import { FD_CONNECT, MEM_READWRITE, SO_DEBUG, SOL_SOCKET, WSA } from '../../machines/index.ts';

const name = toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 5100 });
const memory = new Uint8Array(16);
const descriptor = encodeDescriptor({ access: 3, address: 0x20_0000, length: 16, key: 99, id: 1n });

/** Calls that take a descriptor, with arguments that are right. */
const calls: Readonly<Record<string, (provider: Provider, s: Socket, errno: Out<number>) => unknown>> = {
  WSPBind: (provider, s, errno) => provider.WSPBind(s, name, name.length, errno),
  WSPConnect: (provider, s, errno) => provider.WSPConnect(s, name, name.length, null, null, null, null, errno),
  WSPListen: (provider, s, errno) => provider.WSPListen(s, 1, errno),
  WSPAccept: (provider, s, errno) => provider.WSPAccept(s, null, null, null, null, errno),
  WSPEventSelect: (provider, s, errno) => provider.WSPEventSelect(s, 0x30n, FD_CONNECT, errno),
  WSPEnumNetworkEvents: (provider, s, errno) => provider.WSPEnumNetworkEvents(s, 0n, new WsaNetworkEvents(), errno),
  WSPSetSockOpt: (provider, s, errno) => provider.WSPSetSockOpt(s, SOL_SOCKET, SO_DEBUG, memory, 4, errno),
  WSPRegisterMemory: (provider, s, errno) => provider.WSPRegisterMemory(s, memory, memory.length, MEM_READWRITE, errno),
  WSPDeregisterMemory: (provider, s, errno) => provider.WSPDeregisterMemory(s, 1n, errno),
  WSPSend: (provider, s, errno) => provider.WSPSend(s, buffers, 1, null, 0, new WsaOverlapped(), null, null, errno),
  WSPRecv: (provider, s, errno) =>
    provider.WSPRecv(s, buffers, 1, null, out(0), new WsaOverlapped(), null, null, errno),
  WSPRdmaWrite: (provider, s, errno) =>
    provider.WSPRdmaWrite(s, buffers, 1, ...target, new WsaOverlapped(), null, null, errno),
  WSPRdmaRead: (provider, s, errno) =>
    provider.WSPRdmaRead(s, buffers, 1, ...target, new WsaOverlapped(), null, null, errno),
  WSPDuplicateSocket: (provider, s, errno) => provider.WSPDuplicateSocket(s, 7, tcpProtocolInfo(), errno),
  WSPCloseSocket: (provider, s, errno) => provider.WSPCloseSocket(s, errno),
};
const buffers = [{ len: memory.length, buf: memory, handle: 1n }];
const target = [descriptor, descriptor.length, 0, null, 0] as const;

/** Makes every call with `s`, which was closed. @returns a line for each that says anything but WSAENOTSOCK */
export function callsOfClosed(provider: Provider, s: Socket): string[] {
  return Object.entries(calls).flatMap(([call, make]) => {
    const errno = out(0);
    make(provider, s, errno);
    return errno.value === WSA.WSAENOTSOCK ? [] : [`closed: ${call} = ${errno.value}`];
  });
}
