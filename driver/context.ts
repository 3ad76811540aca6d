/** What the parts of one provider share: adapter, clock, up-calls, tables. Built by the provider, which owns it. */

import type { Adapter, SocketAddress } from './adapter/adapter.ts';
import type { Clock } from './clock.ts';
import { DescriptorTable } from './descriptors.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { DuplicationStore } from './duplication.ts';
import { limits } from './limits.ts';
import {
  type ConditionFunction,
  type Out,
  out,
  type Socket,
  type WsaBuf,
  type WsaNetworkEvents,
  type WsaOverlapped,
  type WspUpcallTable,
} from './spi.ts';
import {
  type ArrivalRecord,
  type BufferRecord,
  PrivateMemoryPool,
  RegistrationTable,
  type RequestTable,
  type RowPool,
  type SocketRecord,
} from './tables.ts';
import { WorkQueue } from './work-queue.ts';

/** Configuration of a provider. */
export interface ProviderConfig {
  /** Allows connections to addresses that this provider serves itself. */
  readonly loopback: boolean;
  /** Every host that is asked for is reached through the SAN alone, so a missing listener is certain. */
  readonly pureSan: boolean;
  readonly connectMs: number;
  readonly migrationMs: number;
  readonly closeMs: number;
  readonly waitMs: number;
  /** Names this process in duplication; 32 bits unsigned. */
  readonly processId: number;
}

export const defaultConfig: ProviderConfig = {
  loopback: false,
  pureSan: false,
  connectMs: limits.connectMs,
  migrationMs: limits.migrationMs,
  closeMs: limits.closeMs,
  waitMs: limits.waitMs,
  processId: 1,
};

/** The WSPAccept or WSPEnumNetworkEvents call that is being answered. */
export interface AcceptCall {
  readonly condition: ConditionFunction | null;
  readonly callbackData: unknown;
  /** Peer of the request that was offered. */
  remote: SocketAddress | null;
}

/** Where a completion up-call puts an error number that nobody reads. */
const ignored: Out<number> = out(0);

export class Context {
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly config: ProviderConfig;
  readonly dispatcher: Dispatcher;
  readonly duplication: DuplicationStore;
  /** Fills `bytes` with what nobody can guess; names connections. */
  readonly random: (bytes: Uint8Array) => void;
  readonly sockets: (SocketRecord | undefined)[] = [];
  readonly socketRows: RowPool;
  readonly buffers: (BufferRecord | undefined)[] = [];
  readonly bufferRows: RowPool;
  /** Registrations by handle. */
  readonly handles = new DescriptorTable<BufferRecord>();
  readonly registrations = new RegistrationTable();
  readonly requests: RequestTable;
  readonly arrivals: (ArrivalRecord | undefined)[] = [];
  readonly arrivalRows: RowPool;
  /** Sockets by adapter object. */
  readonly byConnector = new Map<number, SocketRecord>();
  readonly byListener = new Map<number, SocketRecord>();
  readonly arrivalByConnector = new Map<number, ArrivalRecord>();
  /** Flushed work requests that the turn at hand has still to handle; of live connectors only. */
  flushed: { readonly record: SocketRecord; readonly connector: number; readonly work: number }[] = [];
  readonly privateMemory = new PrivateMemoryPool();
  readonly work: WorkQueue;
  /** Copied at the first WSPStartupEx. */
  upcalls: WspUpcallTable | null = null;
  /** The adapter is open. */
  open = false;
  /** Listeners for connections that come back. */
  readonly reattachListeners: number[] = [];
  reattachPort = 0;
  acceptCall: AcceptCall | null = null;
  enumCall: { readonly event: bigint; readonly events: WsaNetworkEvents } | null = null;
  /** Request of the data function that is running; -1 outside one. */
  initiating = -1;
  /** Its buffers. */
  initiatingBuffers: readonly WsaBuf[] = [];
  /** What the last completion up-call came back with: 1 when it failed. */
  notified = 0;
  /** Requests of one direction that the adapter holds of a connection. */
  readonly queueDepth: number;
  /** Told of an exception that an up-call threw. */
  readonly onUpcallError: (error: unknown) => void;

  constructor(parts: {
    adapter: Adapter;
    clock: Clock;
    config: ProviderConfig;
    dispatcher: Dispatcher;
    duplication: DuplicationStore;
    random: (bytes: Uint8Array) => void;
    socketRows: RowPool;
    bufferRows: RowPool;
    arrivalRows: RowPool;
    requests: RequestTable;
    queueDepth: number;
    onUpcallError: (error: unknown) => void;
  }) {
    this.adapter = parts.adapter;
    this.clock = parts.clock;
    this.config = parts.config;
    this.dispatcher = parts.dispatcher;
    this.duplication = parts.duplication;
    this.random = parts.random;
    this.socketRows = parts.socketRows;
    this.bufferRows = parts.bufferRows;
    this.arrivalRows = parts.arrivalRows;
    this.requests = parts.requests;
    this.queueDepth = parts.queueDepth;
    this.onUpcallError = parts.onUpcallError;
    this.work = new WorkQueue(this);
  }

  /** The record of an open socket's row. */
  socket(row: number): SocketRecord {
    return this.sockets[row]!;
  }

  /** Listens for connections that come back, on the first free port of a range; without one none can move. */
  openReattachListeners(): void {
    for (let tried = 0; this.reattachListeners.length === 0 && tried < limits.reattachPorts; tried++) {
      const port = limits.reattachPort + tried;
      for (const [family, address] of [
        ['IPv4', '0.0.0.0'],
        ['IPv6', '::'],
      ] as const) {
        const listener = this.adapter.listen({ family, address, port });
        if (listener >= 0) this.reattachListeners.push(listener);
      }
      this.reattachPort = this.reattachListeners.length > 0 ? port : 0;
    }
  }

  closeReattachListeners(): void {
    for (const listener of this.reattachListeners) this.adapter.stopListening(listener);
    this.reattachListeners.length = 0;
    this.reattachPort = 0;
  }

  /** Makes a completion up-call, as {@link Context.upcall} makes others; without a closure, for each request has one. */
  completed(handle: Socket, overlapped: WsaOverlapped, error: number, bytes: number): boolean {
    if (this.upcalls === null) return false;
    try {
      return this.upcalls.WPUCompleteOverlappedRequest(handle, overlapped, error, bytes, ignored) === 0;
    } catch (thrown) {
      this.onUpcallError(thrown);
      return false;
    }
  }

  /** Calls into the switch; an exception there counts as a failed up-call and is reported apart. */
  upcall<T>(failed: T, call: (table: WspUpcallTable) => T): T {
    if (this.upcalls === null) return failed;
    try {
      return call(this.upcalls);
    } catch (error) {
      this.onUpcallError(error);
      return failed;
    }
  }
}
