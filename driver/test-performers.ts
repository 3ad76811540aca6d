/** A bench for the tests of the performers. */

import { strict as assert } from 'node:assert';
import { INVALID_SOCKET, M } from '../machines/index.ts';
import { type Adapter, type MemoryRegion, Opcode, type QueueDepths, type SocketAddress } from './adapter/adapter.ts';
import type { Clock } from './clock.ts';
import { Context, defaultConfig } from './context.ts';
import type { Dispatcher } from './dispatcher.ts';
import { decodeHandshake, decodeReject } from './handshake.ts';
import { limits } from './limits.ts';
import { performersOf } from './perform.ts';
import { WsaOverlapped, type WspUpcallTable } from './spi.ts';
import { RequestTable, RowPool, SocketRecord } from './tables.ts';

export const here: SocketAddress = { family: 'IPv4', address: '10.0.0.1', port: 80 };
export const there: SocketAddress = { family: 'IPv4', address: '10.0.0.2', port: 5000 };
/** Every address of the host. */
export const anywhere: SocketAddress = { family: 'IPv4', address: '0.0.0.0', port: 81 };
/** Names the connections that begin here. */
export const name = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
const text = ({ address, port }: SocketAddress): string => `${address}:${port}`;

const roomy = { elementsMax: 4, sendDepthMax: 1000, receiveDepthMax: 1000 };

/** Performers over an adapter, a switch and a dispatcher that write down what they are asked, and answer as they are told. */
export function bench(
  options: {
    readonly capabilities?: Partial<Adapter['capabilities']>;
    readonly queueDepth?: number;
    readonly sourceAddress?: string | null;
    readonly addresses?: readonly string[];
  } = {},
) {
  /** Everything that was asked or reported, in order. */
  const told: string[] = [];
  const tell = (...parts: readonly unknown[]): void => void told.push(parts.join(' '));
  /** What the adapter answers to a call's next uses; then it succeeds. */
  const answers = new Map<string, number[]>();
  const answer = (call: string, otherwise: number): number => answers.get(call)?.shift() ?? otherwise;
  /** Something that happens inside a call of the adapter's, an up-call or an event: by its name. */
  const reactions = new Map<string, () => void>();
  const react = (to: string): void => reactions.get(to)?.();

  const regions = new Map<number, { readonly bytes: Uint8Array; readonly access: number; readonly domain: number }>();
  const handshakes: (ReturnType<typeof decodeHandshake> & object)[] = [];
  const given: QueueDepths[] = [];
  let [ids, listeners] = [100, 40];
  const adapter = {
    capabilities: { ...roomy, ...options.capabilities },
    open: () => answer('open', 0),
    close: () => tell('close'),
    addresses: () => options.addresses ?? [],
    ...('sourceAddress' in options ? { sourceAddress: () => options.sourceAddress } : {}),
    allocateProtectionDomain: (local: string) => {
      tell('allocateProtectionDomain', local);
      return answer('allocateProtectionDomain', 9);
    },
    freeProtectionDomain: (domain: number) => tell('freeProtectionDomain', domain),
    registerMemory: (domain: number, bytes: Uint8Array, access: number): MemoryRegion | number => {
      const status = answer('registerMemory', 0);
      if (status < 0) return status;
      const id = ids++;
      regions.set(id, { bytes, access, domain });
      return { id, localKey: id + 1000, remoteKey: id + 2000, address: id * 4096 };
    },
    deregisterMemory: (id: number) => {
      assert.ok(regions.delete(id), `region ${id} is registered`);
      tell('deregisterMemory', id);
    },
    listen: (local: SocketAddress) => {
      tell('listen', text(local));
      return answer('listen', listeners++);
    },
    stopListening: (listener: number) => tell('stopListening', listener),
    createConnector: (domain: number, depths: QueueDepths) => {
      tell('createConnector', domain);
      given.push(depths);
      return answer('createConnector', 7);
    },
    connect: (connector: number, local: SocketAddress, remote: SocketAddress, data: Uint8Array) => {
      tell('connect', connector, text(local), text(remote));
      handshakes.push(decodeHandshake(data)!);
      return answer('connect', 0);
    },
    prepareAccept: (connector: number, domain: number, depths: QueueDepths) => {
      tell('prepareAccept', connector, domain);
      given.push(depths);
      return answer('prepareAccept', 0);
    },
    accept: (connector: number, data: Uint8Array) => {
      tell('accept', connector);
      handshakes.push(decodeHandshake(data)!);
      return answer('accept', 0);
    },
    reject: (connector: number, data: Uint8Array) => tell('reject', connector, decodeReject(data)),
    disconnect: (connector: number) => tell('disconnect', connector),
    destroyConnector: (connector: number) => tell('destroyConnector', connector),
  };

  const names: string[] = [];
  const states = new Uint8Array(16).fill(1);
  const dispatcher = {
    system: { rows: { [M.socket]: { states } } },
    event: (machine: string, event: string) => names.push(`${machine}/${event}`) - 1,
    apply: (event: number, row: number, ...parameters: readonly number[]) => {
      tell(names[event], row, ...parameters);
      react(names[event]!);
    },
    answer: (error: number) => tell('answer', error),
    requestNotification: (request: number) => tell('requestNotification', request),
  };

  const upcalls: WspUpcallTable = {
    WPUCreateSocketHandle: (catalogEntryId, descriptor, errno) => {
      tell('WPUCreateSocketHandle', catalogEntryId, descriptor);
      errno.value = answer('errno', 0);
      return answer('WPUCreateSocketHandle', 0) < 0 ? INVALID_SOCKET : 77n;
    },
    WPUCloseSocketHandle: (socket) => {
      tell('WPUCloseSocketHandle', socket);
      react('WPUCloseSocketHandle');
      return 0;
    },
    WPUCompleteOverlappedRequest: (socket, _overlapped, error, bytes) => {
      tell('WPUCompleteOverlappedRequest', socket, error, bytes);
      return answer('WPUCompleteOverlappedRequest', 0);
    },
    WPUSetEvent: (event) => {
      tell('WPUSetEvent', event);
      return true;
    },
    WPUResetEvent: (event) => {
      tell('WPUResetEvent', event);
      react('WPUResetEvent');
      return true;
    },
  };

  const errors: unknown[] = [];
  const context = new Context({
    adapter: adapter as unknown as Adapter,
    clock: {
      setTimer: (socket: number, ms: number) => tell('setTimer', socket, ms),
      cancelTimer: (socket: number) => tell('cancelTimer', socket),
    } as unknown as Clock,
    config: { ...defaultConfig, connectMs: 1, migrationMs: 2, closeMs: 3 },
    dispatcher: dispatcher as unknown as Dispatcher,
    duplication: {} as never,
    random: (bytes) => bytes.set(name),
    socketRows: new RowPool(16),
    bufferRows: new RowPool(16),
    arrivalRows: new RowPool(16),
    requests: new RequestTable(16),
    queueDepth: options.queueDepth ?? 4,
    onUpcallError: (error) => void errors.push(error),
  });
  const work = {
    post: (row: number, fence: number, pieces: number) => tell('post', row, fence, pieces),
    forget: (connector: number) => tell('forget', connector),
    flush: () => {
      tell('flush');
      react('flush');
    },
    postFirstReceive: ({ connector, privateMemory }: SocketRecord) => {
      tell('postFirstReceive', connector);
      assert.equal(privateMemory!.first!.length, 0);
      return answer('postFirstReceive', 1) === 1;
    },
    postMailbox: ({ connector }: SocketRecord) => {
      tell('postMailbox', connector);
      return answer('postMailbox', 1) === 1;
    },
  };
  Object.assign(context, { work });
  context.upcalls = upcalls;
  context.open = true;
  const performers = performersOf(context);

  const socket = (over: Partial<SocketRecord> = {}): SocketRecord => {
    const row = context.socketRows.allocate();
    const record = new SocketRecord(row, BigInt(row + 10), 'IPv4', 1001);
    Object.assign(record, { opened: true, local: here, remote: there }, over);
    context.sockets[row] = record;
    return record;
  };
  const arrival = (connector: number) => {
    const row = context.arrivalRows.allocate();
    const peer = { reattachPort: 1, mailboxAddress: 2, mailboxKey: 3 };
    const made = { row, connector, local: here, remote: there, connectionId: name.toReversed(), peer };
    context.arrivals[row] = made;
    context.arrivalByConnector.set(connector, made);
    return made;
  };
  const request = (of: SocketRecord, total = 0): number => {
    const row = context.requests.allocate(of.row, Opcode.receive, total, 1);
    context.requests.overlapped[row] = new WsaOverlapped();
    return row;
  };
  /** Performs an effect, and gives what it led to. */
  const perform = (effect: string, row = 0, a0 = 0, a1 = 0, a2 = 0, a3 = 0): string[] => {
    told.length = 0;
    performers[effect]!(row, a0, a1, a2, a3);
    return [...told];
  };
  return {
    ...{ context, adapter, answers, reactions, regions, handshakes, given, errors, states },
    ...{ perform, performers, socket, arrival, request },
  };
}
export type Bench = ReturnType<typeof bench>;

/** What the first connection asks for, so that it can come back. */
export const listening = [`listen 0.0.0.0:${limits.reattachPort}`, `listen :::${limits.reattachPort}`];
/** And what begins an outgoing one that goes well. */
export const connecting = [
  'allocateProtectionDomain 10.0.0.1',
  'createConnector 9',
  'connect 7 10.0.0.1:80 10.0.0.2:5000',
  'socket/adapter.connectStarted 0',
];

/** A bench whose only socket has a connection of its own. */
export function connected(options: Parameters<typeof bench>[0] = {}): Bench & { readonly record: SocketRecord } {
  const bed = bench(options);
  const record = bed.socket();
  bed.perform('socket/startConnect', record.row);
  bed.handshakes.length = 0;
  bed.given.length = 0;
  return { ...bed, record };
}
