/**
 * Two connected sockets of one provider, each with its switch; what passes between them, and how they part.
 *
 * Theory of operation: both sockets have connected before the first state, and have one registration each. Every request
 * is called once, in the order of its place in its queue, polled or not as it comes. The adapter may report completions
 * of one queue in any order, which no real one does: the provider is to keep the order by itself.
 */

import { type CompiledMachine, type Limits, type Routes, WSA } from '../../machines/index.ts';
import type { Performance, Rule, WorldDefinition } from '../explorer/index.ts';
import {
  accepted,
  connected,
  fromChannels,
  fromStructures,
  fromTimers,
  handOverEffects,
  rowsOfSockets,
  toHandles,
  toListeners,
  toStructures,
  toTimers,
} from './performances.ts';
import {
  caller,
  channel,
  DUE_MAX,
  handle,
  link,
  notifier,
  overlapped,
  REQUESTS_MAX,
  smallest,
  text,
  timer,
  work,
} from './surroundings.ts';

/** One request of the world; its number is its place in the list. */
export interface PairRequest {
  readonly socket: 0 | 1;
  readonly kind: 'send' | 'receive' | 'write' | 'read';
  /** Among its socket's requests of its queue. */
  readonly place: number;
}

export interface PairOptions {
  readonly name: string;
  readonly requests: readonly PairRequest[];
  /** Values of hEvent's low bit that calls are made with; both when absent. */
  readonly polled?: readonly (0 | 1)[];
  /** All requests have been called before the first state, each with this low bit. */
  readonly called?: readonly (0 | 1)[];
  /** Completion up-calls can fail. */
  readonly upcallsFail?: boolean;
  /** Sockets can be closed. */
  readonly closing?: boolean;
  /** The network can fail. */
  readonly failing?: boolean;
  /** The adapter can be removed. */
  readonly removal?: boolean;
  /** The device of each connection can be removed, while the adapter has others. */
  readonly devices?: boolean;
  /** The provider can be cleaned up. */
  readonly cleanup?: boolean;
  /** B was accepted: it has a private first receive, whose work comes behind those of the requests. */
  readonly accepted?: boolean;
  /** The first message of an accepted socket can be longer than the receive for it, or than the private one. */
  readonly tooLong?: boolean;
  readonly limits?: Partial<Limits>;
  /** To break them on purpose. */
  readonly routes?: Routes;
  readonly machines?: readonly CompiledMachine[];
}

const sockets = [0, 1] as const;

/** The world of `options`. */
export function connectedPair(options: PairOptions): WorldDefinition {
  const { name, requests, polled = [0, 1], upcallsFail = false, closing = false } = options;
  const { failing = false, removal = false, cleanup = false, tooLong = false } = options;
  const { accepted: isAccepted = false, devices = false } = options;
  const losing = closing || failing || tooLong;
  const works = isAccepted ? [...requests, { socket: 1, kind: 'receive', place: -1 } as const] : requests;
  const privateWork = requests.length;
  const onlyPrivate = works.map((_, index) => (index === privateWork ? 1 : -1));
  const privately = works.map((_, index) => (index === privateWork ? 0 : -1));
  const allButPrivate = works.map((_, index) => (index === privateWork ? -1 : index));
  const count = (socket: number, kind: string) =>
    requests.filter((request) => request.socket === socket && request.kind === kind).length;
  const most = (kind: string) => Math.max(...sockets.map((socket) => count(socket, kind)));
  const requestsOf = (socket: number): number => requests.filter((request) => request.socket === socket).length;
  const socketOf = works.map(({ socket }) => socket);
  const toSocket = { of: 'self', map: socketOf } as const;
  /** The event for each work of the asking socket. */
  const toWorks = (event: string): Performance[] =>
    works.map(({ socket }, request) => ({
      send: `work/${event}`,
      to: { of: 'self', map: sockets.map((candidate) => (candidate === socket ? request : -1)) },
    }));
  const label = ({ socket, kind, place }: PairRequest) =>
    place < 0 ? 'B private receive' : `${socket === 0 ? 'A' : 'B'} ${kind} ${place + 1}`;
  const side = (socket: number) => (socket === 0 ? 'A' : 'B');

  // A listener has been there, and is closed.
  const rows = isAccepted ? 3 : 2;

  const rules: Rule[] = [];
  for (const [request, of] of requests.entries()) {
    for (const poll of options.called === undefined ? polled : []) {
      rules.push({
        name: `${label(of)}: called, ${poll === 1 ? 'polled' : 'notified'}`,
        send: `caller/${of.kind}`,
        row: of.socket,
        with: [of.place, request, poll],
        class: 'switch',
      });
    }
  }
  for (const socket of sockets) {
    if (works.some((of) => of.socket === socket && of.kind === 'receive')) {
      const fair = `deliver to ${side(socket)}`;
      rules.push({
        name: `a message arrives at ${side(socket)}`,
        send: 'channel/deliver',
        row: socket,
        class: 'adapter',
        fair,
      });
    }
  }
  for (const [request, of] of works.entries()) {
    rules.push({
      name: `${label(of)}: completion`,
      send: 'work/complete',
      row: request,
      class: 'adapter',
      fair: `complete ${request}`,
    });
  }
  if (losing) {
    for (const [request, of] of works.entries()) {
      rules.push({
        name: `${label(of)}: flush`,
        send: 'work/flush',
        row: request,
        class: 'adapter',
        fair: `flush ${request}`,
      });
    }
  }
  for (const socket of sockets) {
    const who = side(socket);
    rules.push(
      {
        name: `${who}: completion up-call`,
        send: 'notifier/notify',
        row: socket,
        class: 'dispatcher',
        fair: `notify ${who}`,
      },
      {
        name: `${who}: up-call returns`,
        send: 'notifier/return',
        row: socket,
        with: [0],
        class: 'switch',
        fair: `return ${who}`,
      },
    );
    if (upcallsFail) {
      rules.push({
        name: `${who}: up-call fails`,
        send: 'notifier/return',
        row: socket,
        with: [1],
        class: 'switch',
        fair: `return ${who}`,
      });
    }
    if (losing) {
      rules.push(
        { name: `${who}: loss arrives`, send: 'link/arrive', row: socket, class: 'adapter', fair: `arrive ${who}` },
        { name: `${who}: disconnect event`, send: 'link/notice', row: socket, class: 'adapter', fair: `notice ${who}` },
      );
    }
    if (closing) {
      rules.push(
        { name: `${who}: closed`, send: 'caller/close', row: socket, class: 'switch', fair: `close ${who}` },
        { name: `${who}: close timer`, send: 'timer/expire', row: socket, class: 'clock', fair: `expire ${who}` },
      );
    }
    if (failing) rules.push({ name: `${who}: link fails`, send: 'link/fail', row: socket, class: 'fault' });
    if (devices)
      rules.push({ name: `${who}: its device is removed`, send: 'link/remove', row: socket, class: 'fault' });
  }
  if (tooLong) {
    rules.push(
      { name: 'the first message will be long', send: 'text/lengthen', row: 0, class: 'peer' },
      {
        name: 'B private receive: fails',
        send: 'work/fail',
        row: privateWork,
        class: 'adapter',
        fair: `complete ${privateWork}`,
      },
    );
  }
  if (cleanup) rules.push({ name: 'WSPCleanup', send: 'provider/spi.cleanup', row: 0, class: 'switch' });
  if (removal) rules.push({ name: 'adapter removed', send: 'provider/adapter.removed', row: 0, class: 'fault' });

  return {
    name,
    limits: { ...smallest, socketsMax: rows, ...options.limits },
    environment: {
      caller: caller(most('send'), most('receive')),
      overlapped: overlapped(),
      handle: handle(),
      notifier: notifier(Math.max(DUE_MAX, ...sockets.map((socket) => requestsOf(socket)))),
      work: work(tooLong),
      channel: channel(Math.max(2, most('send'), most('receive'))),
      link: link({ removable: devices }),
      timer: timer(),
      ...(tooLong ? { text: text() } : {}),
    },
    rows: {
      ...rowsOfSockets(rows),
      connectionRequest: isAccepted ? 1 : 0,
      overlappedRequest: requests.length,
      registeredBuffer: 2,
      caller: 2,
      overlapped: requests.length,
      handle: rows,
      notifier: 2,
      work: works.length,
      channel: 2,
      link: 2,
      timer: 2,
      ...(tooLong ? { text: 1 } : {}),
    },
    carried: {
      'overlappedRequest/bytes': Math.max(2, most('send')),
      'firstMessage/request': REQUESTS_MAX,
      'connectionRequest/socket': 1,
    },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      ...(cleanup
        ? {
            'provider/endAllSockets': [
              ...sockets.map((to) => ({ send: 'caller/ended', to }) as const),
              { send: 'socket/provider.cleanup', to: 'openSockets' } as const,
            ],
            'provider/closeAdapter': [{ send: 'provider/adapter.closed', to: 0 } as const],
          }
        : {}),
      'provider/breakAllSockets': [{ send: 'socket/adapter.removed', to: 'openSockets' }],
      ...toHandles,
      ...toListeners(privateWork),
      // The message in the private receive is always the first.
      'firstMessage/copyFirstMessage': [{ send: 'overlappedRequest/firstMessage.copied', to: 'request', with: [0, 1] }],
      'socket/startConnect': [{ send: 'socket/adapter.connectStarted', to: 'self' }],
      'socket/disconnect': [{ send: 'link/disconnect', to: 'self' }],
      'socket/destroyConnector': [{ send: 'link/destroyed', to: 'self' }],
      ...toTimers,
      'registeredBuffer/registerRegion': [{ send: 'registeredBuffer/adapter.registered', to: 'self' }],
      ...toStructures(toSocket),

      'caller/calling': [{ send: 'overlapped/calling', to: 'request', with: ['polled'] }],
      'caller/pin': [
        { send: 'registeredBuffer/request.pinned', to: { of: 'request', map: socketOf }, with: ['request'] },
      ],
      'caller/send': [{ send: 'socket/spi.send', to: 'self', with: ['request', 'polled', 0, 1, 0] }],
      'caller/receive': [{ send: 'socket/spi.recv', to: 'self', with: ['request', 'polled', 0, 1, 0] }],
      'caller/returned': [{ send: 'overlapped/returned', to: 'request' }],
      'caller/close': [{ send: 'socket/spi.closeSocket', to: 'self' }],
      ...fromStructures,
      'work/handOver': [{ send: 'link/post', to: toSocket, with: ['self'] }],
      'work/completed': [
        { send: 'overlappedRequest/adapter.completed', to: { of: 'self', map: allButPrivate }, with: ['bytes'] },
        ...(tooLong ? [{ send: 'text/arrived', to: { of: 'self', map: privately } } as const] : []),
        { send: 'firstMessage/adapter.firstArrived', to: { of: 'self', map: onlyPrivate } },
      ],
      ...(tooLong
        ? {
            'firstMessage/copyFirstMessage': [{ send: 'text/copy', to: 0, with: ['request'] }] as const,
            'text/copied': [{ send: 'overlappedRequest/firstMessage.copied', to: 'request', with: [0, 1] }] as const,
            'text/tooLong': [
              { send: 'overlappedRequest/firstMessage.copied', to: 'request', with: [WSA.WSAEMSGSIZE, 0] },
              { send: 'socket/adapter.fault', to: 1 },
            ] as const,
            // The adapter breaks the connection with it.
            'work/failed': [
              { send: 'link/disconnect', to: toSocket },
              { send: 'socket/adapter.fault', to: toSocket },
            ] as const,
          }
        : {}),
      'work/noticed': [{ send: 'socket/adapter.flushNoticed', to: toSocket, with: [0] }],
      'work/report': [{ send: 'work/report', to: 'self' }],
      'work/flushed': [
        { send: 'overlappedRequest/adapter.flushed', to: { of: 'self', map: allButPrivate } },
        { send: 'firstMessage/adapter.firstFlushed', to: { of: 'self', map: onlyPrivate } },
      ],
      'link/send': [
        {
          send: 'channel/send',
          to: { of: 'request', map: works.map(({ kind, socket }) => (kind === 'receive' ? -1 : 1 - socket)) },
          with: ['request'],
        },
        {
          send: 'channel/receive',
          to: { of: 'request', map: works.map(({ kind, socket }) => (kind === 'receive' ? socket : -1)) },
          with: ['request'],
        },
      ],
      'link/refuse': [{ send: 'work/broken', to: 'request' }],
      'link/breakWork': [...toWorks('broken'), { send: 'channel/clear', to: 'self' }],
      'link/dropWork': [...toWorks('destroyed'), { send: 'channel/clear', to: 'self' }],
      'link/tellPeer': [{ send: 'link/peerLost', to: { of: 'self', map: [1, 0] } }],
      'link/disconnected': [{ send: 'socket/adapter.disconnected', to: 'self', with: [0] }],
      ...(devices ? { 'link/removed': [{ send: 'socket/adapter.removed', to: 'self' }] as const } : {}),
      ...fromChannels,
      ...fromTimers,
    },
    // Answers show in what the structures are told; the rest frees what no row stands for.
    drops: [
      'answer',
      'socket/freeBuffers',
      'socket/socketClosed',
      'registeredBuffer/deregisterRegion',
      'registeredBuffer/forget',
      'overlappedRequest/retire',
      'requestQueue/pairRequest',
      'socket/stopListening',
      'connectionRequest/forget',
    ],
    never: [
      ...(cleanup ? [] : ['provider/endAllSockets', 'provider/closeAdapter']),
      ...handOverEffects,
      'connectionRequest/rejectConnection',
      'networkEvents/setEvent',
      'networkEvents/reportNetworkEvents',
      'overlappedRequest/unmarkPending',
    ],
    rules,
    ...(options.routes === undefined ? {} : { routes: options.routes }),
    ...(options.machines === undefined ? {} : { machines: options.machines }),
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      ...(isAccepted ? accepted(2, 1) : connected(1)),
      ...connected(0),
      ...sockets.map((socket) => ({
        send: 'socket/spi.registerMemory' as const,
        row: socket,
        with: [socket],
      })),
      ...(options.called ?? []).map((poll, request) => ({
        send: `caller/${requests[request]!.kind}` as const,
        row: requests[request]!.socket,
        with: [requests[request]!.place, request, poll],
      })),
    ],
  };
}
