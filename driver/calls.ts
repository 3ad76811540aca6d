/**
 * Calls: what every function of the provider begins and ends with, and the two halves of a turn.
 *
 * Source: specification, 0.4 (order of checks), 2 (start-up).
 */

import {
  type CompiledMachine,
  compileMachines,
  digestOf,
  InvariantError,
  type Limits,
  pendingMax,
  productionLimits,
  type Routes,
  SOCKET_ERROR,
  WSA,
} from '../machines/index.ts';
import type { Adapter, SocketAddress } from './adapter/adapter.ts';
import type { Clock } from './clock.ts';
import { CompletionPoller } from './completion-poller.ts';
import { Context, defaultConfig, type ProviderConfig } from './context.ts';
import { DescriptorTable } from './descriptors.ts';
import { Dispatcher } from './dispatcher.ts';
import { type DuplicationStore, processDuplicationStore } from './duplication.ts';
import { detailWords } from './journal/detail.ts';
import type { JournalMetadata } from './journal/format.ts';
import { Journal, type JournalMode, type JournalSink } from './journal/journal.ts';
import { performersOf } from './perform.ts';
import type { Out, Socket } from './spi.ts';
import { RequestTable, RowPool, type SocketRecord } from './tables.ts';

/** How a provider records its steps. */
export interface ProviderJournal {
  readonly mode: JournalMode;
  /** File mode: where the journal goes. Belongs to the provider, which closes it. */
  readonly sink?: JournalSink;
  /** Ring mode: how many records are kept. */
  readonly ringRecords?: number;
  /** Where the ring is dumped when an invariant breaks. */
  readonly onInvariantError?: () => JournalSink;
}

/** What a provider is made of. */
export interface ProviderOptions {
  /** Belongs to the provider from its first start-up to its last clean-up. */
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly journal?: ProviderJournal;
  readonly config?: Partial<ProviderConfig>;
  readonly limits?: Limits;
  /** Instead of the tables and routes made for the limits: a test of tests breaks them on purpose. */
  readonly tables?: { readonly machines: readonly CompiledMachine[]; readonly routes: Routes };
  readonly duplication?: DuplicationStore;
  /** Fills `bytes` with what nobody can guess; the platform's cryptographic generator when absent. */
  readonly random?: (bytes: Uint8Array) => void;
  /** Name of this host in the journal. */
  readonly host?: string;
  /** Seed of the run, for the journal. */
  readonly seed?: number;
  /** Told of exceptions that the switch's up-calls throw; thrown again outside of the provider when absent. */
  readonly onUpcallError?: (error: unknown) => void;
}

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
export const isUint32 = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
/** Whether `bytes`, of which the caller says that `given` may be used, has room for `needed`. */
export const roomFor = (bytes: Uint8Array, given: unknown, needed: number): boolean =>
  typeof given === 'number' && given >= needed && bytes.length >= needed;

/** Stores the error. @returns 0 on success, otherwise SOCKET_ERROR */
export function finish(lpErrno: Out<number>, error: number): number {
  if (isObject(lpErrno)) lpErrno.value = error;
  return error === 0 ? 0 : SOCKET_ERROR;
}

/** The way of a provider's calls to its machines. */
export class Calls {
  readonly context: Context;
  readonly dispatcher: Dispatcher;
  readonly descriptors = new DescriptorTable<SocketRecord>();
  readonly limits: Limits;
  readonly event: {
    readonly startup: number;
    readonly cleanup: number;
    readonly socket: number;
    readonly takeOver: number;
    readonly bind: number;
    readonly connect: number;
    readonly listen: number;
    readonly accept: number;
    readonly eventSelect: number;
    readonly enumNetworkEvents: number;
    readonly setSockOpt: number;
    readonly duplicate: number;
    readonly close: number;
    readonly registerMemory: number;
    readonly deregisterMemory: number;
    readonly pinned: number;
    readonly refused: number;
    /** By {@link Opcode}. */
    readonly transfer: readonly number[];
  };
  readonly #poller: CompletionPoller;
  readonly #journal: ProviderJournal;
  #dumped = false;

  constructor(options: ProviderOptions) {
    const config: ProviderConfig = { ...defaultConfig, ...options.config };
    this.limits = options.limits ?? productionLimits;
    this.#journal = options.journal ?? { mode: 'off' };
    const machines = options.tables?.machines ?? compileMachines(this.limits);
    const { clock } = options;
    const metadata: JournalMetadata = {
      machinesDigest: digestOf(machines),
      limits: { ...this.limits },
      createdBy: 'wsdirect',
      adapter: options.adapter.name,
      host: options.host ?? 'local',
      base: 'empty',
      ...(options.seed === undefined ? {} : { seed: options.seed }),
    };
    const { sink, ringRecords, mode } = this.#journal;
    this.dispatcher = new Dispatcher(
      machines,
      () =>
        new Journal({
          mode,
          metadata,
          ...(sink === undefined ? {} : { sink }),
          ...(ringRecords === undefined ? {} : { ringRecords }),
          snapshot: () => this.dispatcher.snapshot(),
        }),
      () => Math.floor(clock.nowMs() * 1000) >>> 0,
      options.tables,
    );
    this.context = new Context({
      adapter: options.adapter,
      clock,
      config,
      dispatcher: this.dispatcher,
      duplication: options.duplication ?? processDuplicationStore,
      random: options.random ?? ((bytes) => void globalThis.crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>)),
      socketRows: new RowPool(this.limits.socketsMax),
      bufferRows: new RowPool(0x4000_0000),
      arrivalRows: new RowPool(0x100_0000),
      requests: new RequestTable(Math.min(2 * pendingMax(this.limits) * this.limits.socketsMax + 1, 0x4000_0000)),
      queueDepth: this.limits.queueDepth,
      onUpcallError:
        options.onUpcallError ??
        ((error) =>
          queueMicrotask(() => {
            throw error;
          })),
    });
    this.#poller = new CompletionPoller(this.context);
    this.dispatcher.connect(performersOf(this.context), (request) => this.#poller.notify(request));
    const of = (name: string) => this.dispatcher.event('socket', name);
    this.event = {
      startup: this.dispatcher.event('provider', 'spi.startup'),
      cleanup: this.dispatcher.event('provider', 'spi.cleanup'),
      socket: of('spi.socket'),
      takeOver: of('spi.takeOver'),
      bind: of('spi.bind'),
      connect: of('spi.connect'),
      listen: of('spi.listen'),
      accept: of('spi.accept'),
      eventSelect: of('spi.eventSelect'),
      enumNetworkEvents: this.dispatcher.event('networkEvents', 'spi.enumNetworkEvents'),
      setSockOpt: of('spi.setSockOpt'),
      duplicate: of('spi.duplicateSocket'),
      close: of('spi.closeSocket'),
      registerMemory: of('spi.registerMemory'),
      deregisterMemory: of('spi.deregisterMemory'),
      pinned: this.dispatcher.event('registeredBuffer', 'request.pinned'),
      refused: this.dispatcher.event('overlappedRequest', 'spi.refused'),
      transfer: [of('spi.send'), of('spi.recv'), of('spi.rdmaWrite'), of('spi.rdmaRead')],
    };
  }

  /** As {@link Provider.collect}. */
  collect(): number {
    this.dispatcher.beginTurn();
    try {
      return this.#poller.poll();
    } catch (error) {
      throw this.recorded(error);
    }
  }

  /** As {@link Provider.report}. */
  report(max?: number): number {
    if (this.isCleanedUp) return 0;
    try {
      const made = this.dispatcher.deliver(max);
      // The last clean-up was called inside one of them: no turn comes that would make the others of its socket.
      return made > 0 && this.isCleanedUp ? made + this.dispatcher.deliver() : made;
    } catch (error) {
      throw this.recorded(error);
    }
  }

  /** The last clean-up may be at work, and a turn be asked for inside one of its up-calls: it reports what is due itself. */
  get isCleanedUp(): boolean {
    return this.dispatcher.refusal === WSA.WSANOTINITIALISED;
  }

  /** The checks that come first in every function. @returns the socket, or null with the error in `lpErrno` */
  enter(s: Socket, lpErrno: Out<number>): SocketRecord | null {
    const { refusal } = this.dispatcher;
    const record = refusal === WSA.WSANOTINITIALISED ? undefined : this.descriptors.get(s);
    if (record !== undefined && refusal === 0) return record;
    finish(lpErrno, refusal === WSA.WSANOTINITIALISED || record !== undefined ? refusal : WSA.WSAENOTSOCK);
    return null;
  }

  /** Writes an address to the journal. */
  detail(kind: number, row: number, address: SocketAddress): void {
    const [w0, w1, w2, w3, w4, w5, w6, w7] = detailWords(kind, row, address);
    this.dispatcher.journal.append(w0!, w1!, w2!, w3!, w4!, w5!, w6!, w7!);
  }

  /** Runs one call; when an invariant breaks in it, the flight recorder is saved. */
  guarded<T>(call: () => T): T {
    this.dispatcher.tick();
    try {
      return call();
    } catch (error) {
      throw this.recorded(error);
    }
  }

  /** Saves the flight recorder, once, when `error` says that an invariant broke. @returns `error` */
  recorded(error: unknown): unknown {
    const { onInvariantError } = this.#journal;
    if (error instanceof InvariantError && onInvariantError !== undefined && !this.#dumped) {
      this.#dumped = true;
      this.dispatcher.journal.dump(onInvariantError());
    }
    return error;
  }
}
