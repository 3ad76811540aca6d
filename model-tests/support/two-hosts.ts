/**
 * Two hosts in one process, each with a provider and a switch that writes down what it is told.
 *
 * The switch here is the simplest that keeps the interface's rules; what a test wants to break, it breaks itself.
 * Every verb of {@link Host} is one SPI call with the boring parameters filled in; its result is {@link Result}.
 */

import { ImmediateAdapter } from '../../driver/adapter/immediate.ts';
import {
  type Adapter,
  type Clock,
  type ConditionFunction,
  type DuplicationStore,
  extensionGuids,
  guidBytes,
  type Handle,
  type SimulatedHostOptions,
  type SimulatedNetworkOptions,
  out,
  Provider,
  type ProviderConfig,
  type ProviderJournal,
  type ProviderOptions,
  type SimulatedAdapter,
  SimulatedNetwork,
  type Socket,
  SystemClock,
  toSockaddr,
  WsaNetworkEvents,
  WsaOverlapped,
  tcpProtocolInfo,
  type WsaProtocolInfo,
  type WspProcTable,
  type WspUpcallTable,
} from '../../driver/index.ts';
import {
  AF_INET,
  FD_ACCEPT,
  FD_ACCEPT_BIT,
  FD_CONNECT,
  FD_CONNECT_BIT,
  INVALID_SOCKET,
  IPPROTO_TCP,
  type Limits,
  MEM_READWRITE,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SOCK_STREAM,
  WSA_FLAG_OVERLAPPED,
  wsaName,
} from '../../machines/index.ts';

/** What an SPI call returned, with the name of its error: '0', 'WSAEINVAL', ... */
export interface Result<T = number> {
  readonly value: T;
  readonly error: string;
}

/** One up-call, as the switch saw it. */
export type Upcall =
  | { readonly type: 'createSocketHandle'; readonly context: Socket; readonly handle: Socket }
  | { readonly type: 'closeSocketHandle'; readonly handle: Socket }
  | {
      readonly type: 'complete';
      readonly handle: Socket;
      readonly overlapped: WsaOverlapped;
      readonly error: string;
      readonly bytes: number;
    }
  | { readonly type: 'setEvent' | 'resetEvent'; readonly event: bigint };

/** A request as a test holds it: its structure and where its bytes are. */
export interface Request {
  readonly overlapped: WsaOverlapped;
  readonly result: Result;
  readonly buffer: Uint8Array;
}

export interface HostOptions {
  readonly config?: Partial<ProviderConfig>;
  readonly journal?: ProviderJournal;
  readonly tables?: NonNullable<ProviderOptions['tables']>;
  readonly limits?: Limits;
  readonly duplication?: DuplicationStore;
  readonly seed?: number;
  /** How its adapter differs from the network's others: capabilities, faults. */
  readonly adapter?: Omit<SimulatedHostOptions, 'addresses'>;
}

/** A host: provider, adapter and switch. */
export class Host<A extends Adapter = SimulatedAdapter> {
  readonly name: string;
  readonly address: string;
  readonly adapter: A;
  readonly provider: Provider;
  /** Every up-call, oldest first. */
  readonly upcalls: Upcall[] = [];
  /** Switch handles that are open. */
  readonly handles = new Set<Socket>();
  /** Event objects that are set. */
  readonly signaled = new Set<bigint>();
  readonly procTable: Partial<WspProcTable> = {};
  readonly errno = out(0);
  /** Runs inside WPUCompleteOverlappedRequest, after it was written down. */
  onComplete: ((overlapped: WsaOverlapped, error: string, bytes: number) => void) | null = null;
  /** Runs inside every up-call, after it was written down. */
  onUpcall: ((upcall: Upcall) => void) | null = null;
  /** What WPUCompleteOverlappedRequest returns and does to Internal: a failing up-call leaves it alone. */
  completionFails = false;
  /** Error that the next WPUCreateSocketHandle fails with; 0 for none. */
  refuseHandle = 0;
  #nextHandle = 0x1000n;

  constructor(name: string, address: string, adapter: A, clock: Clock, { adapter: _, ...options }: HostOptions = {}) {
    this.name = name;
    this.address = address;
    this.adapter = adapter;
    let drawn = options.seed ?? 1;
    this.provider = new Provider({
      adapter,
      clock,
      host: name,
      onUpcallError: (error) => {
        throw error;
      },
      random: (bytes) => {
        for (let index = 0; index < bytes.length; index++) {
          drawn = (Math.imul(drawn, 1_103_515_245) + 12_345) >>> 0;
          bytes[index] = drawn >>> 16;
        }
        // Hosts of one run must differ.
        bytes.set(new TextEncoder().encode(name).subarray(0, 4));
      },
      ...options,
    });
  }

  startup(version = 0x0202): number {
    return this.provider.WSPStartupEx(
      version,
      { wVersion: 0, wHighVersion: 0, szDescription: '' },
      tcpProtocolInfo(),
      this.upcallTable(),
      this.procTable,
    );
  }

  #told(upcall: Upcall): void {
    this.upcalls.push(upcall);
    this.onUpcall?.(upcall);
  }

  upcallTable(): WspUpcallTable {
    return {
      WPUCreateSocketHandle: (_catalog: number, context: Socket, lpErrno: { value: number }): Socket => {
        if (this.refuseHandle !== 0) {
          lpErrno.value = this.refuseHandle;
          this.refuseHandle = 0;
          return INVALID_SOCKET;
        }
        const handle = this.#nextHandle++;
        this.handles.add(handle);
        this.#told({ type: 'createSocketHandle', context, handle });
        return handle;
      },
      WPUCloseSocketHandle: (handle: Socket): number => {
        const known = this.handles.delete(handle);
        this.#told({ type: 'closeSocketHandle', handle });
        return known ? 0 : -1;
      },
      WPUCompleteOverlappedRequest: (
        handle: Socket,
        overlapped: WsaOverlapped,
        error: number,
        bytes: number,
      ): number => {
        if (!this.completionFails) {
          overlapped.internalHigh = BigInt(bytes);
          overlapped.internal = 0n;
        }
        this.#told({ type: 'complete', handle, overlapped, error: wsaName(error), bytes });
        this.onComplete?.(overlapped, wsaName(error), bytes);
        return this.completionFails ? -1 : 0;
      },
      WPUSetEvent: (event: bigint): boolean => {
        this.signaled.add(event);
        this.#told({ type: 'setEvent', event });
        return true;
      },
      WPUResetEvent: (event: bigint): boolean => {
        this.signaled.delete(event);
        this.#told({ type: 'resetEvent', event });
        return true;
      },
    };
  }

  #result<T>(value: T): Result<T> {
    return { value, error: wsaName(this.errno.value) };
  }

  cleanup(): Result {
    return this.#result(this.provider.WSPCleanup(this.errno));
  }
  socket(info: WsaProtocolInfo | null = tcpProtocolInfo()): Result<Socket> {
    return this.#result(
      this.provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, WSA_FLAG_OVERLAPPED, this.errno),
    );
  }
  bind(s: Socket, port: number, address = this.address): Result {
    const name = toSockaddr({ family: 'IPv4', address, port });
    return this.#result(this.provider.WSPBind(s, name, name.length, this.errno));
  }
  listen(s: Socket, backlog = 5): Result {
    return this.#result(this.provider.WSPListen(s, backlog, this.errno));
  }
  /** Event object `event`; the mask is FD_ACCEPT and FD_CONNECT unless given. */
  select(s: Socket, event: bigint, mask = FD_ACCEPT | FD_CONNECT): Result {
    return this.#result(this.provider.WSPEventSelect(s, event, mask, this.errno));
  }
  connect(s: Socket, address: string, port: number): Result {
    const name = toSockaddr({ family: 'IPv4', address, port });
    return this.#result(this.provider.WSPConnect(s, name, name.length, null, null, null, null, this.errno));
  }
  accept(s: Socket, condition: ConditionFunction | null = () => 0, callbackData: unknown = null): Result<Socket> {
    return this.#result(this.provider.WSPAccept(s, null, null, condition, callbackData, this.errno));
  }
  /** What is recorded; `accept` and `connect` are error names, or null when the event isn't. */
  events(s: Socket, event = 0n): Result<{ accept: string | null; connect: string | null }> {
    const record = new WsaNetworkEvents();
    const returned = this.provider.WSPEnumNetworkEvents(s, event, record, this.errno);
    const error = wsaName(this.errno.value);
    const named = (mask: number, bit: number) =>
      returned === 0 && (record.lNetworkEvents & mask) !== 0 ? wsaName(record.iErrorCode[bit]!) : null;
    return { value: { accept: named(FD_ACCEPT, FD_ACCEPT_BIT), connect: named(FD_CONNECT, FD_CONNECT_BIT) }, error };
  }
  close(s: Socket): Result {
    return this.#result(this.provider.WSPCloseSocket(s, this.errno));
  }
  duplicate(s: Socket, processId = 1): Result & { readonly token: number } {
    const info = tcpProtocolInfo();
    const value = this.provider.WSPDuplicateSocket(s, processId, info, this.errno);
    return { ...this.#result(value), token: info.dwProviderReserved };
  }

  register(s: Socket, memory: Uint8Array, access = MEM_READWRITE): Result<Handle> {
    return this.#result(this.provider.WSPRegisterMemory(s, memory, memory.length, access, this.errno));
  }
  deregister(s: Socket, handle: Handle): Result {
    return this.#result(this.provider.WSPDeregisterMemory(s, handle, this.errno));
  }
  registerRdma(s: Socket, memory: Uint8Array, access = MEM_READWRITE): Result & { readonly descriptor: Uint8Array } {
    const descriptor = new Uint8Array(32);
    const value = this.provider.WSPRegisterRdmaMemory(
      s,
      memory,
      memory.length,
      access,
      descriptor,
      out(descriptor.length),
      this.errno,
    );
    return { ...this.#result(value), descriptor };
  }
  deregisterRdma(s: Socket, descriptor: Uint8Array): Result {
    return this.#result(this.provider.WSPDeregisterRdmaMemory(s, descriptor, descriptor.length, this.errno));
  }

  /** Sends what `buffer` holds; it must lie in registered memory. Polled unless `notify`. */
  send(s: Socket, buffer: Uint8Array, { notify = false, overlapped = new WsaOverlapped() } = {}): Request {
    overlapped.hEvent = notify ? 0x20n : 1n;
    const value = this.provider.WSPSend(
      s,
      [{ len: buffer.length, buf: buffer }],
      1,
      null,
      0,
      overlapped,
      null,
      null,
      this.errno,
    );
    return { overlapped, result: this.#result(value), buffer };
  }
  recv(s: Socket, buffer: Uint8Array, { notify = false, overlapped = new WsaOverlapped() } = {}): Request {
    overlapped.hEvent = notify ? 0x20n : 1n;
    const value = this.provider.WSPRecv(
      s,
      [{ len: buffer.length, buf: buffer }],
      1,
      null,
      out(0),
      overlapped,
      null,
      null,
      this.errno,
    );
    return { overlapped, result: this.#result(value), buffer };
  }
  /** RDMA by `buffer`, registered as `handle`, to or from the peer's `descriptor` at `offset`. */
  rdma(
    kind: 'write' | 'read',
    s: Socket,
    buffer: Uint8Array,
    handle: Handle,
    descriptor: Uint8Array,
    { offset = 0, notify = false, overlapped = new WsaOverlapped() } = {},
  ): Request {
    overlapped.hEvent = notify ? 0x20n : 1n;
    const call = kind === 'write' ? this.provider.WSPRdmaWrite : this.provider.WSPRdmaRead;
    const value = call.call(
      this.provider,
      s,
      [{ len: buffer.length, buf: buffer, handle }],
      1,
      descriptor,
      descriptor.length,
      offset,
      null,
      0,
      overlapped,
      null,
      null,
      this.errno,
    );
    return { overlapped, result: this.#result(value), buffer };
  }
  /** WSPGetOverlappedResult without waiting: bytes (-1 when none were given) and error. */
  outcome(
    s: Socket,
    { overlapped }: { readonly overlapped: WsaOverlapped },
  ): Result<boolean> & { readonly bytes: number } {
    const bytes = out(-1);
    const value = this.provider.WSPGetOverlappedResult(s, overlapped, bytes, false, out(0), this.errno);
    return { ...this.#result(value), bytes: bytes.value };
  }

  /** An extension function, fetched as the switch does. */
  extension(name: keyof typeof extensionGuids): Result<((...args: never[]) => unknown) | null> {
    const target = out<((...args: never[]) => unknown) | null>(null);
    const guid = guidBytes(extensionGuids[name]);
    this.provider.WSPIoctl(
      INVALID_SOCKET,
      SIO_GET_EXTENSION_FUNCTION_POINTER,
      guid,
      guid.length,
      target,
      8,
      out(0),
      null,
      null,
      null,
      this.errno,
    );
    return this.#result(target.value);
  }

  /** Completion up-calls so far. */
  get completions(): Extract<Upcall, { type: 'complete' }>[] {
    return this.upcalls.filter((upcall) => upcall.type === 'complete');
  }
}

/** Two started hosts on one simulated network. */
export interface Hosts {
  readonly network: SimulatedNetwork;
  readonly client: Host;
  readonly server: Host;
  /** Lets both hosts work until nothing more happens. */
  run(): void;
  /** Lets so much time pass, time limits included, and both hosts work. */
  pass(ms: number): void;
}

export interface HostsOptions {
  readonly network?: Partial<SimulatedNetworkOptions>;
  readonly client?: HostOptions;
  readonly server?: HostOptions;
}

/** Two hosts, started. */
export function twoHosts({ network: options = {}, client = {}, server = {} }: HostsOptions = {}): Hosts {
  const network = new SimulatedNetwork({ seed: 1, ...options });
  const hosts = {
    client: startedHost(network, 'client', '10.0.0.1', client),
    server: startedHost(network, 'server', '10.0.0.2', server),
  };
  const both = [hosts.client, hosts.server];
  return { network, ...hosts, run: () => settle(network, both), pass: (ms) => pass(network, both, ms) };
}

/** One more host in `network`, started. */
export function startedHost(network: SimulatedNetwork, name: string, address: string, options: HostOptions = {}): Host {
  const adapter = network.host({ ...options.adapter, addresses: [address] });
  const host = new Host(name, address, adapter, adapter.clock, options);
  host.startup();
  return host;
}

/** Lets `ms` of virtual time pass, instant by instant, and `hosts` work at each. */
export function pass(network: SimulatedNetwork, hosts: readonly Host[], ms: number): void {
  const endNs = network.nowNs + Math.ceil(ms * 1e6);
  const work = (): void => {
    // Time passes with each poll: what falls due during a round is for the next.
    for (let nextNs = network.nextEventNs, done = 1; done > 0; ) {
      done = hosts.reduce((sum, { provider }) => sum + provider.poll(), 0);
      const nowNextNs = network.nextEventNs;
      if (nowNextNs !== nextNs) done++;
      nextNs = nowNextNs;
    }
  };
  for (;;) {
    work();
    const nextNs = network.nextEventNs;
    if (nextNs === null || nextNs > endNs) break;
    network.advanceTo(nextNs);
  }
  network.advanceTo(endNs);
  work();
}

/** Lets `hosts` work until neither they nor the network have anything to do, time limits aside. */
export function settle(network: SimulatedNetwork, hosts: readonly Host[], turnsMax = 100_000): void {
  let networkIdle = false;
  for (let turn = 0; turn < turnsMax; turn++) {
    let done = 0;
    for (const host of hosts) done += host.provider.poll();
    if (done > 0) networkIdle = false;
    else if (networkIdle) return;
    else networkIdle = network.run(1);
  }
  throw new Error(`the hosts were still busy after ${turnsMax} turns`);
}

/** Two hosts with one connection between them. */
export interface Connected extends Hosts {
  readonly listener: Socket;
  /** The connecting end, at the client. */
  readonly near: Socket;
  /** The accepted end, at the server. */
  readonly far: Socket;
  /** 64 KiB at each host, registered for everything on its end. */
  readonly nearMemory: Uint8Array;
  readonly farMemory: Uint8Array;
  readonly nearHandle: Handle;
  readonly farHandle: Handle;
}

/** Two hosts, connected, with memory registered at both ends. @throws Error when the connection isn't made */
export function connectedHosts(options: HostsOptions = {}): Connected {
  const hosts = twoHosts(options);
  const { client, server, run } = hosts;
  const listener = server.socket().value;
  server.bind(listener, 5000);
  server.listen(listener);
  const { near, far } = connectPair(hosts, listener, 5000, 4000);
  run();
  const nearMemory = new Uint8Array(65_536);
  const farMemory = new Uint8Array(65_536);
  const nearHandle = client.register(near, nearMemory).value;
  const farHandle = server.register(far, farMemory).value;
  return { ...hosts, listener, near, far, nearMemory, farMemory, nearHandle, farHandle };
}

/** One more connection from the client to the server's `listener`. @throws Error when it isn't made */
export function connectPair(
  { client, server, run }: Pick<Hosts, 'client' | 'server' | 'run'>,
  listener: Socket,
  port: number,
  clientPort: number,
): { near: Socket; far: Socket } {
  const near = client.socket().value;
  client.bind(near, clientPort);
  client.connect(near, server.address, port);
  run();
  const { value: far, error } = server.accept(listener);
  run();
  const state = client.provider.socketState(near);
  if (error !== '0' || state !== 'connected.active')
    throw new Error(`not connected: accept ${error}, connect ${state}`);
  return { near, far };
}

/** A host over the adapter that completes at once; for measurements. */
export function immediateHost(options: HostOptions = {}): Host<ImmediateAdapter> {
  const host = new Host('local', '10.0.0.1', new ImmediateAdapter(['10.0.0.1']), new SystemClock(), options);
  host.startup();
  return host;
}
