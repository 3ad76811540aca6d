/**
 * Host: a provider with the smallest switch that an application needs: up-calls, sockets, connections.
 *
 * Theory of operation: it keeps the interface's rules and remembers only what the interface makes a switch remember:
 * which event objects are set and which handles are open. What state a socket is in is the provider's to know.
 *
 * Source: specification, 9.4, 10.4.
 */

import {
  AF_INET,
  AF_INET6,
  CF_ACCEPT,
  CF_REJECT,
  FD_ACCEPT,
  FD_ACCEPT_BIT,
  FD_CONNECT,
  FD_CONNECT_BIT,
  INVALID_SOCKET,
  IPPROTO_TCP,
  SOCK_STREAM,
  WSA,
  WSA_FLAG_OVERLAPPED,
  wsaName,
} from '../../machines/index.ts';
import type { SocketAddress } from '../adapter/adapter.ts';
import type { ProviderOptions } from '../calls.ts';
import { Provider } from '../provider.ts';
import {
  fromSockaddr,
  out,
  type Socket,
  sockaddrBytes,
  toSockaddr,
  WsaNetworkEvents,
  type WsaEvent,
  tcpProtocolInfo,
} from '../spi.ts';

/** Errors of WSPAccept that concern the connection alone. */
const noConnection: ReadonlySet<number> = new Set([WSA.WSAEWOULDBLOCK, WSA.WSAECONNRESET, WSA.WSAECONNREFUSED]);

/** An SPI call that failed, as an exception for applications. */
export class SpiError extends Error {
  override readonly name = 'SpiError';
  readonly call: string;
  /** Windows Sockets error number. */
  readonly error: number;

  constructor(call: string, error: number, detail = '') {
    super(`${call}: ${wsaName(error)} (${error})${detail}`);
    this.call = call;
    this.error = error;
  }
}

export class Host {
  readonly provider: Provider;
  /** Box for error numbers; valid until the next call. */
  readonly errno = out(0);
  readonly #signaled = new Set<WsaEvent>();
  readonly #eventOf = new Map<Socket, WsaEvent>();
  readonly #handles = new Set<Socket>();
  readonly #open = new Set<Socket>();
  #nextHandle = 0x1000n;
  /** Event objects are opaque, but for their low bit, which means something in WSAOVERLAPPED. */
  #nextEvent = 0x100n;

  /** @param options - of the provider, which the host makes */
  constructor(options: ProviderOptions) {
    this.provider = new Provider(options);
  }

  /** Starts the provider. @throws {@link SpiError} */
  start(): void {
    const error = this.provider.WSPStartupEx(
      0x0202,
      { wVersion: 0, wHighVersion: 0, szDescription: '' },
      tcpProtocolInfo(),
      {
        WPUCreateSocketHandle: () => {
          const handle = this.#nextHandle++;
          this.#handles.add(handle);
          return handle;
        },
        WPUCloseSocketHandle: (handle) => (this.#handles.delete(handle) ? 0 : -1),
        // The structure is the message: who waits for a request looks at it.
        WPUCompleteOverlappedRequest: (_handle, overlapped, _error, bytes) => {
          overlapped.internalHigh = BigInt(bytes);
          overlapped.internal = 0n;
          return 0;
        },
        WPUSetEvent: (event) => {
          this.#signaled.add(event);
          return true;
        },
        WPUResetEvent: (event) => {
          this.#signaled.delete(event);
          return true;
        },
      },
      {},
    );
    if (error !== 0) throw new SpiError('WSPStartupEx', error);
  }

  /** Stops the provider; it ends what is still open. @throws {@link SpiError} */
  stop(): void {
    this.#check('WSPCleanup', this.provider.WSPCleanup(this.errno));
    this.#eventOf.clear();
    this.#open.clear();
  }

  /** One turn of the provider. @returns how much it did; 0 when there was nothing to do */
  poll(): number {
    return this.provider.poll();
  }

  /** Switch handles that are open: one for each socket. */
  get handleCount(): number {
    return this.#handles.size;
  }

  /** Sockets that were made here and not closed. */
  get openSockets(): number {
    return this.#open.size;
  }

  /** A socket that listens at `local`. @throws {@link SpiError} */
  listen(local: SocketAddress, backlog = 16): Socket {
    const socket = this.#socket(local);
    this.#select(socket, FD_ACCEPT);
    this.#check('WSPListen', this.provider.WSPListen(socket, backlog, this.errno));
    return socket;
  }

  /** A socket that connects from `local` to `remote`; {@link Host.isConnected} tells when it has. @throws {@link SpiError} */
  connect(local: SocketAddress, remote: SocketAddress): Socket {
    const socket = this.#socket(local);
    this.#select(socket, FD_CONNECT);
    const name = toSockaddr(remote);
    this.provider.WSPConnect(socket, name, name.length, null, null, null, null, this.errno);
    if (this.errno.value !== WSA.WSAEWOULDBLOCK) throw this.#error('WSPConnect', endpointText(remote));
    return socket;
  }

  /** Whether the connection is made; true is told once. @throws {@link SpiError} when the attempt has failed */
  isConnected(socket: Socket): boolean {
    const events = this.#takeEvents(socket);
    if (events === null || (events.lNetworkEvents & FD_CONNECT) === 0) return false;
    const error = events.iErrorCode[FD_CONNECT_BIT]!;
    if (error !== 0) throw new SpiError('WSPConnect', error);
    return true;
  }

  /**
   * Takes the oldest connection that waits at `listener`.
   *
   * @param admits - whether it is wanted; otherwise its peer is refused
   * @returns its socket and peer, or null when there is none or it was refused
   * @throws {@link SpiError}
   */
  accept(
    listener: Socket,
    admits: () => boolean = () => true,
  ): { readonly socket: Socket; readonly remote: SocketAddress } | null {
    const events = this.#takeEvents(listener);
    if (events === null || (events.lNetworkEvents & FD_ACCEPT) === 0) return null;
    const failed = events.iErrorCode[FD_ACCEPT_BIT]!;
    if (failed !== 0) throw new SpiError('FD_ACCEPT', failed);
    const peer = new Uint8Array(sockaddrBytes('IPv6'));
    const condition = (): number => (admits() ? CF_ACCEPT : CF_REJECT);
    const socket = this.provider.WSPAccept(listener, peer, out(peer.length), condition, null, this.errno);
    if (socket !== INVALID_SOCKET) {
      this.#open.add(socket);
      return { socket, remote: fromSockaddr(peer)! };
    }
    // The peer withdrew what was queued, or was refused.
    if (noConnection.has(this.errno.value)) return null;
    throw this.#error('WSPAccept');
  }

  /** Closes a socket; what is pending on it is aborted. @throws {@link SpiError} */
  close(socket: Socket): void {
    const event = this.#eventOf.get(socket);
    if (event !== undefined) this.#signaled.delete(event);
    this.#eventOf.delete(socket);
    this.#open.delete(socket);
    this.#check('WSPCloseSocket', this.provider.WSPCloseSocket(socket, this.errno));
  }

  #socket(local: SocketAddress): Socket {
    const family = local.family === 'IPv4' ? AF_INET : AF_INET6;
    const { provider, errno } = this;
    const socket = provider.WSPSocket(
      family,
      SOCK_STREAM,
      IPPROTO_TCP,
      tcpProtocolInfo(),
      0,
      WSA_FLAG_OVERLAPPED,
      errno,
    );
    if (socket === INVALID_SOCKET) throw this.#error('WSPSocket');
    this.#open.add(socket);
    const name = toSockaddr(local);
    this.#check('WSPBind', provider.WSPBind(socket, name, name.length, errno), endpointText(local));
    return socket;
  }

  #select(socket: Socket, mask: number): void {
    const event = this.#nextEvent;
    this.#nextEvent += 4n;
    this.#eventOf.set(socket, event);
    this.#check('WSPEventSelect', this.provider.WSPEventSelect(socket, event, mask, this.errno));
  }

  #takeEvents(socket: Socket): WsaNetworkEvents | null {
    const event = this.#eventOf.get(socket);
    if (event === undefined || !this.#signaled.has(event)) return null;
    const events = new WsaNetworkEvents();
    this.#check('WSPEnumNetworkEvents', this.provider.WSPEnumNetworkEvents(socket, event, events, this.errno));
    return events;
  }

  #check(call: string, result: number, detail = ''): void {
    if (result !== 0) throw this.#error(call, detail);
  }
  #error(call: string, detail = ''): SpiError {
    return new SpiError(call, this.errno.value, detail === '' ? '' : `, ${detail}`);
  }
}

/** An address as URLs and users write it. */
export const endpointText = ({ family, address, port }: SocketAddress): string =>
  family === 'IPv4' ? `${address}:${port}` : `[${address}]:${port}`;
