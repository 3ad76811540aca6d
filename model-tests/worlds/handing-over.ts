/**
 * A connected socket that moves to another process, and its peer.
 *
 * Theory of operation: P1 has the connection and hands it over; P2 takes it over, with a new socket; the peer waits for
 * the new connection. All three are sockets of one system, since the machines of a socket know nothing of processes.
 */

import { WSA } from '../../machines/index.ts';
import type { Performance, Rule, WorldDefinition } from '../explorer/index.ts';
import { giver, newConnection, oldConnection, stranger, taker } from './handing-over-surroundings.ts';
import {
  accepted,
  connected,
  fromChannels,
  fromStructures,
  fromTimers,
  rowsOfSockets,
  toListeners,
  toStructures,
  toTimers,
} from './performances.ts';
import { channel, handle, notifier, overlapped, REQUESTS_MAX, smallest, timer, work } from './surroundings.ts';

/** Sockets of the world. */
export const Who = { p1: 0, peer: 1, p2: 2 } as const;
/** The socket that accepted the peer's, in worlds that have it. */
const LISTENER = 3;
/** Requests of the world. */
export const Request = {
  /** P1's receive, pending when the socket is handed over. */
  p1Receive: 0,
  /** The peer's receive, pending all the time. */
  peerReceive: 1,
  p2Send: 2,
  p2Receive: 3,
  /** The peer's answer, sent from inside the completion of its receive. */
  peerSend: 4,
  /** Sent by P1 when no receive is posted for it, and pending at the hand-over, against E-06. */
  p1Send: 5,
} as const;
/** P1's second receive, which waits for a place when the socket is handed over; in worlds that have it. */
export const HELD = 6;

/** Effects of a listener and of who sets it up. */
const ofListening: readonly string[] = [
  'socket/startListening',
  'socket/stopListening',
  'socket/acceptConnection',
  'socket/endRefusal',
  'networkEvents/answer',
  'networkEvents/resetEvent',
];

export interface HandOverOptions {
  readonly name: string;
  /** Each step of the hand-over can fail. */
  readonly failing?: boolean;
  /** Sockets can be closed. */
  readonly closing?: boolean;
  /** The adapter can be removed, and the provider cleaned up. */
  readonly ending?: boolean;
  /** P2 and the peer send nothing after it. */
  readonly silent?: boolean;
  /** P1 sends before it hands the socket over, and does not wait (E-06). */
  readonly careless?: boolean;
  /** P1 has called two receives, one of which the adapter has no place for. */
  readonly held?: boolean;
  /** The peer has accepted the connection, with a private first receive, and calls its receive when it likes. */
  readonly accepting?: boolean;
  /** The peer is no provider; its place among the sockets is empty. */
  readonly strange?: boolean;
}

/** The world of `options`. */
export function handingOver(options: HandOverOptions): WorldDefinition {
  const { name, failing = false, closing = false, careless = false, ending = false, silent = false } = options;
  const { held = false, accepting = false, strange = false } = options;
  const sockets = [Who.p1, Who.peer, Who.p2] as const;
  const names = ['P1', 'peer', 'P2'] as const;
  const labels = [
    "P1's receive",
    "peer's receive",
    "P2's send",
    "P2's receive",
    "peer's send",
    "P1's send",
    ...(held ? ["P1's held receive"] : []),
    "P2's private receive",
    ...(accepting ? ["peer's private receive"] : []),
  ];
  const PRIVATE = labels.indexOf("P2's private receive");
  const PEERS_PRIVATE = labels.indexOf("peer's private receive");
  const socketOf = [
    ...[Who.p1, Who.peer, Who.p2, Who.p2, Who.peer, Who.p1],
    ...(held ? [Who.p1] : []),
    Who.p2,
    ...(accepting ? [Who.peer] : []),
  ];
  // A listener has been there, and is closed.
  const count = accepting ? 4 : 3;
  /** Rows of something, by request. */
  const byRequest = (rows: Readonly<Record<number, number>>): number[] => labels.map((_, row) => rows[row] ?? -1);
  const structures = toStructures({ of: 'self', map: socketOf });
  const real = { of: 'self', map: labels.map((_, row) => (row < PRIVATE ? row : -1)) } as const;
  const isPrivate = { of: 'self', map: labels.map((_, row) => (row < PRIVATE ? -1 : socketOf[row]!)) } as const;
  const is = (who: number) =>
    ({ of: 'self', map: Array.from({ length: count }, (_, socket) => (socket === who ? 0 : -1)) }) as const;
  /** Where a socket is P1's or the peer's, its own number. */
  const ofGivers = {
    of: 'self',
    map: Array.from({ length: count }, (_, socket) => (socket < Who.p2 ? socket : -1)),
  } as const;
  /** All but P2 have their handles at once. */
  const atOnce = {
    of: 'self',
    map: Array.from({ length: count }, (_, socket) => (socket === Who.p2 ? -1 : socket)),
  } as const;
  const worksOf = (who: number, event: string): Performance[] =>
    labels.flatMap((_, row): Performance[] => (socketOf[row] === who ? [{ send: `work/${event}`, to: row }] : []));
  const flushOf = (who: number) =>
    ({ of: 'self', map: labels.map((_, row) => (socketOf[row] === who ? who : -1)) }) as const;
  const call = (type: 'send' | 'recv', row: number, polled: 0 | 1): Performance[] => [
    { send: 'overlapped/calling', to: row, with: [polled] },
    { send: `socket/spi.${type}`, to: socketOf[row]!, with: [row, polled, 0, 1, 0] },
    { send: 'overlapped/returned', to: row },
  ];
  const by = (row: number, rule: Omit<Rule, 'row' | 'class'>): Rule => ({ ...rule, row, class: 'switch' });
  const rules: Rule[] = [
    by(0, { name: 'P1: WSPDuplicateSocket', send: 'giver/duplicate' }),
    by(0, { name: 'P2: WSPSocket with the token', send: 'taker/redeem', fair: 'redeem' }),
    by(0, { name: 'P2: WPUCreateSocketHandle works', send: 'taker/grant', fair: 'grant' }),
    ...(silent
      ? []
      : [
          by(0, { name: 'P2: sends', send: 'taker/send', fair: 'send' }),
          by(0, { name: 'P2: receives', send: 'taker/receive', fair: 'receive' }),
        ]),
    { name: 'the notice arrives', send: 'oldConnection/carry', row: 0, class: 'adapter', fair: 'carry' },
    { name: 'the notice completes', send: 'oldConnection/completeLetter', row: 0, class: 'adapter', fair: 'letter' },
    {
      name: 'peer: the old connection is lost',
      send: 'oldConnection/noticePeer',
      row: 0,
      class: 'adapter',
      fair: 'notice',
    },
    { name: 'the new connection is asked for', send: 'newConnection/arrive', row: 0, class: 'adapter', fair: 'arrive' },
    { name: 'the peer has answered', send: 'newConnection/answer', row: 0, class: 'adapter', fair: 'answer' },
    { name: 'a message reaches P2', send: 'channel/deliver', row: 0, class: 'adapter', fair: 'deliver P2' },
    { name: 'a message reaches the peer', send: 'channel/deliver', row: 1, class: 'adapter', fair: 'deliver peer' },
    // P1's receive gets no message, its send no receive, and P2's receive a message only from its private one. Nothing was
    // sent to the peer before it moves.
    ...labels.flatMap((label, row): Rule[] =>
      row === Request.p1Receive ||
      row === Request.p1Send ||
      row === Request.p2Receive ||
      (held && row === HELD) ||
      row === PEERS_PRIVATE
        ? []
        : [{ name: `${label}: completion`, send: 'work/complete', row, class: 'adapter', fair: `complete ${row}` }],
    ),
    ...labels.flatMap((label, row): Rule[] =>
      row === Request.p2Receive ||
      (held && row === HELD) ||
      (row === Request.p1Send && !careless) ||
      (row > Request.peerReceive && !failing && !closing && row !== Request.p1Send && row !== PEERS_PRIVATE)
        ? []
        : [{ name: `${label}: flush`, send: 'work/flush', row, class: 'adapter', fair: `flush ${row}` }],
    ),
    ...sockets.flatMap((row): Rule[] => [
      {
        name: `${names[row]}: completion up-call`,
        send: 'notifier/notify',
        row,
        class: 'dispatcher',
        fair: `notify ${row}`,
      },
      by(row, { name: `${names[row]}: up-call returns`, send: 'notifier/return', with: [0], fair: `return ${row}` }),
      { name: `${names[row]}: timer`, send: 'timer/expire', row, class: 'clock', fair: `expire ${row}` },
    ]),
  ];
  if (ending) {
    rules.push(
      { name: 'adapter removed', send: 'provider/adapter.removed', row: 0, class: 'fault' },
      by(0, { name: 'WSPCleanup', send: 'provider/spi.cleanup' }),
    );
  }
  if (careless) rules.push(by(0, { name: 'P1: sends', send: 'giver/send' }));
  if (accepting) rules.push(by(Who.peer, { name: 'peer: receives', send: 'giver/receive', fair: 'peer receives' }));
  if (failing) {
    rules.push(
      by(0, { name: 'P2: WPUCreateSocketHandle fails', send: 'taker/refuse', fair: 'grant' }),
      { name: 'the notice will be refused', send: 'oldConnection/fill', row: 0, class: 'fault' },
      { name: 'the old connection fails', send: 'oldConnection/fail', row: 0, class: 'fault' },
      { name: "the new connection can't begin", send: 'newConnection/spoil', row: 0, with: [1], class: 'fault' },
      {
        name: "the peer can't prepare the new connection",
        send: 'newConnection/spoil',
        row: 0,
        with: [2],
        class: 'fault',
      },
      {
        name: "the peer can't accept the new connection",
        send: 'newConnection/spoil',
        row: 0,
        with: [3],
        class: 'fault',
      },
      { name: 'the new connection fails', send: 'newConnection/fail', row: 0, class: 'fault' },
    );
  }
  if (failing || closing) {
    rules.push(
      {
        name: 'P1: the old connection is lost',
        send: 'oldConnection/noticeP1',
        row: 0,
        class: 'adapter',
        fair: 'notice',
      },
      {
        name: 'P2: the new connection is lost',
        send: 'newConnection/noticeP2',
        row: 0,
        class: 'adapter',
        fair: 'notice new',
      },
      {
        name: 'peer: the new connection is lost',
        send: 'newConnection/noticePeer',
        row: 0,
        class: 'adapter',
        fair: 'notice new',
      },
    );
  }
  if (closing) {
    rules.push(
      by(0, { name: 'P1: closed', send: 'giver/close' }),
      by(1, { name: 'peer: closed', send: 'giver/close' }),
      by(0, { name: 'P2: closed', send: 'taker/close' }),
    );
  }
  const started = (row: number, polled: 0 | 1): NonNullable<WorldDefinition['start']> => [
    { send: 'overlapped/calling', row, with: [polled] },
    { send: 'socket/spi.recv', row: socketOf[row]!, with: [row, polled, 0, 1, 0] },
    { send: 'overlapped/returned', row },
  ];
  /** Without messages nothing is delivered, and nobody but P1 and the peer has a request. */
  const happens = ({ send, row }: Rule): boolean =>
    !silent ||
    !(
      send === 'channel/deliver' ||
      send === 'work/complete' ||
      (send === 'work/flush' && (row === Request.p2Send || row === Request.peerSend)) ||
      (send.startsWith('notifier/') && row === Who.p2)
    );
  /** Of a peer that is no provider nothing is heard, nor anything by way of it. */
  const isHeardOf = ({ send, row, with: parameters }: Rule): boolean =>
    !strange ||
    !(
      ['arrive', 'fail', 'noticeP2', 'noticePeer'].some((event) => send === `newConnection/${event}`) ||
      ['carry', 'completeLetter', 'noticePeer', 'fill'].some((event) => send === `oldConnection/${event}`) ||
      (send === 'newConnection/spoil' && parameters![0]! > 1) ||
      send === 'channel/deliver' ||
      send === 'work/complete' ||
      (send === 'work/flush' && row !== Request.p1Receive) ||
      (/^(notifier|timer|giver)\//.test(send) && row === Who.peer)
    );
  if (strange) {
    rules.push({
      name: 'nobody takes P2 back',
      send: 'newConnection/turnAway',
      row: 0,
      class: 'adapter',
      fair: 'arrive',
    });
  }
  return {
    name,
    limits: { ...smallest, socketsMax: count },
    environment: {
      oldConnection: oldConnection(),
      newConnection: newConnection(),
      giver: giver(accepting),
      taker: taker(),
      overlapped: overlapped(),
      handle: handle(),
      notifier: notifier(),
      work: work(),
      channel: channel(),
      timer: timer(),
      ...(strange ? { stranger: stranger() } : {}),
    },
    rows: {
      ...rowsOfSockets(count),
      ...(accepting ? { connectionRequest: 1 } : {}),
      ...(strange ? { stranger: 1 } : {}),
      overlappedRequest: PRIVATE,
      oldConnection: 1,
      newConnection: 1,
      giver: 2,
      taker: 1,
      overlapped: PRIVATE,
      handle: count,
      notifier: 3,
      work: labels.length,
      channel: 2,
      timer: 3,
    },
    carried: {
      'overlappedRequest/bytes': 2,
      'firstMessage/request': REQUESTS_MAX,
      ...(accepting ? { 'connectionRequest/socket': 1 } : {}),
    },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      ...(ending
        ? {
            'provider/endAllSockets': [
              { send: 'giver/ended', to: 0 },
              { send: 'giver/ended', to: 1 },
              { send: 'taker/ended', to: 0 },
              { send: 'socket/provider.cleanup', to: 'openSockets' },
            ] as const,
            // Nothing but closing reaches the machines any more; a take-over that is running goes on.
            'provider/breakAllSockets': [
              { send: 'giver/crippled', to: 0 },
              { send: 'giver/crippled', to: 1 },
              { send: 'taker/crippled', to: 0 },
              { send: 'newConnection/remove', to: 0 },
              { send: 'socket/adapter.removed', to: 'openSockets' },
            ] as const,
            'provider/closeAdapter': [{ send: 'provider/adapter.closed', to: 0 }] as const,
          }
        : {}),
      'socket/answer': [
        { send: 'giver/answered', to: ofGivers, with: ['error'] },
        { send: 'taker/answered', to: is(Who.p2), with: ['error'] },
      ],
      'socket/createSwitchHandle': [
        { send: 'handle/created', to: atOnce },
        { send: 'socket/upcall.handleCreated', to: atOnce },
        { send: 'taker/wanted', to: is(Who.p2) },
      ],
      'socket/closeSwitchHandle': [{ send: 'handle/closed', to: 'self' }],
      'socket/socketClosed': [{ send: 'newConnection/desert', to: is(Who.peer) }],
      ...(accepting ? toListeners(PEERS_PRIVATE) : {}),
      'socket/startConnect': [{ send: 'socket/adapter.connectStarted', to: 'self' }],
      'socket/startReattach': [{ send: 'newConnection/start', to: 0 }],
      'socket/acceptReattach': [{ send: 'newConnection/accept', to: 0 }],
      'socket/rejectReattach': [{ send: 'newConnection/reject', to: 0 }],
      'socket/disconnect': [
        { send: 'oldConnection/disconnectP1', to: is(Who.p1) },
        { send: 'oldConnection/disconnectPeer', to: is(Who.peer) },
        { send: 'newConnection/disconnectPeer', to: is(Who.peer) },
        { send: 'newConnection/disconnectP2', to: is(Who.p2) },
      ],
      'socket/destroyConnector': [
        { send: 'oldConnection/destroyP1', to: is(Who.p1) },
        { send: 'oldConnection/destroyPeer', to: is(Who.peer) },
        { send: 'newConnection/destroyPeer', to: is(Who.peer) },
        { send: 'newConnection/destroyP2', to: is(Who.p2) },
      ],
      'socket/writeMailbox': [{ send: strange ? 'stranger/notice' : 'oldConnection/postLetter', to: 0 }],
      ...(strange
        ? ({
            'stranger/met': [{ send: 'socket/adapter.established', to: Who.p1 }],
            'stranger/noMailbox': [{ send: 'socket/adapter.mailboxFailed', to: Who.p1 }],
          } as const)
        : {}),
      ...toTimers,
      ...structures,
      'overlappedRequest/completeOverlappedRequest': [
        ...structures['overlappedRequest/completeOverlappedRequest'],
        // The peer's switch goes on when it has heard of P2.
        { send: 'giver/resumed', to: { of: 'self', map: [-1, 1, -1, -1, -1] }, with: ['error'] },
      ],
      'firstMessage/copyFirstMessage': [{ send: 'overlappedRequest/firstMessage.copied', to: 'request', with: [0, 1] }],

      'oldConnection/refuseSend': [{ send: 'work/broken', to: Request.p1Send }],
      'oldConnection/letterRefused': [{ send: 'socket/adapter.mailboxFailed', to: Who.p1 }],
      'oldConnection/letterWritten': [{ send: 'socket/adapter.mailboxWritten', to: Who.p1 }],
      'oldConnection/letterFailed': [{ send: 'socket/adapter.mailboxFailed', to: Who.p1 }],
      'oldConnection/breakP1': worksOf(Who.p1, 'broken'),
      'oldConnection/dropP1': worksOf(Who.p1, 'destroyed'),
      'oldConnection/breakPeer': worksOf(Who.peer, 'broken'),
      'oldConnection/dropPeer': worksOf(Who.peer, 'destroyed'),
      'oldConnection/lostP1': [{ send: 'socket/adapter.disconnected', to: Who.p1, with: [0] }],
      'oldConnection/lostPeer': [{ send: 'socket/adapter.disconnected', to: Who.peer, with: ['migrating'] }],
      'oldConnection/flushedPeer': [{ send: 'socket/adapter.flushNoticed', to: Who.peer, with: ['migrating'] }],
      'oldConnection/pass': [{ send: 'newConnection/postPeer', to: 0, with: [Request.peerReceive] }],
      'oldConnection/refuse': [{ send: 'work/broken', to: Request.peerReceive }],
      'newConnection/started': [
        { send: 'work/post', to: PRIVATE },
        { send: 'socket/adapter.connectStarted', to: Who.p2 },
      ],
      'newConnection/notStarted': [
        { send: 'socket/adapter.connectNotStarted', to: Who.p2, with: [WSA.WSAENETUNREACH] },
      ],
      'newConnection/asked': [{ send: 'socket/adapter.reattachRequested', to: Who.peer }],
      'newConnection/prepared': [{ send: 'socket/adapter.reattached', to: Who.peer }],
      'newConnection/notPrepared': [{ send: 'socket/adapter.reattachFailed', to: Who.peer }],
      'newConnection/confirm': [{ send: 'newConnection/confirm', to: 0 }],
      'newConnection/accepted': [{ send: 'socket/adapter.accepted', to: Who.peer }],
      'newConnection/notAccepted': [{ send: 'socket/adapter.acceptFailed', to: Who.peer, with: [WSA.WSAECONNRESET] }],
      'newConnection/established': [{ send: 'socket/adapter.established', to: Who.p2 }],
      'newConnection/ended': [
        {
          send: 'socket/adapter.connectEnded',
          to: Who.p2,
          with: [strange ? WSA.WSAETIMEDOUT : WSA.WSAECONNREFUSED],
        },
      ],
      'newConnection/breakP2': [...worksOf(Who.p2, 'broken'), { send: 'channel/clear', to: 0 }],
      'newConnection/dropP2': [...worksOf(Who.p2, 'destroyed'), { send: 'channel/clear', to: 0 }],
      'newConnection/breakPeer': [...worksOf(Who.peer, 'broken'), { send: 'channel/clear', to: 1 }],
      'newConnection/dropPeer': [...worksOf(Who.peer, 'destroyed'), { send: 'channel/clear', to: 1 }],
      'newConnection/lostP2': [{ send: 'socket/adapter.disconnected', to: Who.p2, with: [0] }],
      'newConnection/lostPeer': [{ send: 'socket/adapter.disconnected', to: Who.peer, with: [0] }],
      'newConnection/takeP2': [
        { send: 'channel/send', to: { of: 'request', map: byRequest({ [Request.p2Send]: 1 }) }, with: ['request'] },
        {
          send: 'channel/receive',
          to: { of: 'request', map: byRequest({ [Request.p2Receive]: 0, [PRIVATE]: 0 }) },
          with: ['request'],
        },
      ],
      'newConnection/takePeer': [
        { send: 'channel/send', to: { of: 'request', map: byRequest({ [Request.peerSend]: 0 }) }, with: ['request'] },
        {
          send: 'channel/receive',
          to: { of: 'request', map: byRequest({ [Request.peerReceive]: 1 }) },
          with: ['request'],
        },
      ],
      'newConnection/refuse': [{ send: 'work/broken', to: 'request' }],
      'giver/send': call('send', Request.p1Send, 1),
      ...(accepting ? { 'giver/receive': call('recv', Request.peerReceive, 0) } : {}),
      'giver/duplicate': [{ send: 'socket/spi.duplicateSocket', to: 'self' }],
      'giver/issue': [{ send: 'taker/issued', to: 0 }],
      'giver/resume': call('send', Request.peerSend, 1),
      'giver/close': [{ send: 'socket/spi.closeSocket', to: 'self' }],
      'taker/takeOver': [{ send: 'socket/spi.takeOver', to: Who.p2, with: [0, 1] }],
      'taker/granted': [
        { send: 'handle/created', to: Who.p2 },
        { send: 'socket/upcall.handleCreated', to: Who.p2 },
      ],
      'taker/refused': [{ send: 'socket/upcall.handleRefused', to: Who.p2, with: [WSA.WSAENOBUFS] }],
      'taker/send': call('send', Request.p2Send, 0),
      'taker/receive': call('recv', Request.p2Receive, 1),
      'taker/close': [{ send: 'socket/spi.closeSocket', to: Who.p2 }],
      ...fromStructures,
      'work/handOver': [
        {
          send: 'oldConnection/post',
          to: { of: 'self', map: byRequest({ [Request.peerReceive]: 0, [PEERS_PRIVATE]: 0 }) },
        },
        {
          send: 'newConnection/postPeer',
          to: { of: 'self', map: byRequest({ [Request.peerSend]: 0 }) },
          with: ['self'],
        },
        {
          send: 'newConnection/postP2',
          to: { of: 'self', map: byRequest({ [Request.p2Send]: 0, [Request.p2Receive]: 0, [PRIVATE]: 0 }) },
          with: ['self'],
        },
        { send: 'oldConnection/stick', to: { of: 'self', map: byRequest({ [Request.p1Send]: 0 }) } },
      ],
      'work/completed': [
        { send: 'overlappedRequest/adapter.completed', to: real, with: ['bytes'] },
        { send: 'firstMessage/adapter.firstArrived', to: isPrivate },
      ],
      'work/noticed': [
        { send: 'socket/adapter.flushNoticed', to: flushOf(Who.p1), with: [0] },
        { send: 'socket/adapter.flushNoticed', to: flushOf(Who.p2), with: [0] },
        {
          send: 'oldConnection/flushPeer',
          to: { of: 'self', map: labels.map((_, row) => (socketOf[row] === Who.peer ? 0 : -1)) },
        },
      ],
      'work/report': [{ send: 'work/report', to: 'self' }],
      'work/flushed': [
        { send: 'overlappedRequest/adapter.flushed', to: real },
        { send: 'firstMessage/adapter.firstFlushed', to: isPrivate },
      ],
      ...fromChannels,
      ...fromTimers,
    },
    drops: [
      'provider/answer',
      'requestQueue/answer',
      'requestQueue/pairRequest',
      'overlappedRequest/answer',
      'overlappedRequest/retire',
      'socket/freeBuffers',
      ...(accepting
        ? ['socket/stopListening', 'connectionRequest/answer', 'connectionRequest/forget', 'networkEvents/answer']
        : []),
    ],
    never: [
      ...(ending ? [] : ['provider/endAllSockets', 'provider/breakAllSockets', 'provider/closeAdapter']),
      'socket/startListening',
      'socket/stopListening',
      'socket/acceptConnection',
      'socket/endRefusal',
      'networkEvents/answer',
      'networkEvents/setEvent',
      'networkEvents/resetEvent',
      'networkEvents/reportNetworkEvents',
      'overlappedRequest/unmarkPending',
      ...(accepting ? ['connectionRequest/rejectConnection'] : []),
    ].filter((name) => !accepting || !ofListening.includes(name)),
    rules: rules.filter((rule) => happens(rule) && isHeardOf(rule)),
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      ...(strange
        ? [...connected(Who.p1).slice(0, -1), { send: 'stranger/meet', row: 0 } as const]
        : [...connected(Who.p1), ...(accepting ? accepted(LISTENER, Who.peer) : connected(Who.peer))]),
      ...started(Request.p1Receive, 0),
      ...(held ? started(HELD, 0) : []),
      ...(accepting || strange ? [] : started(Request.peerReceive, 0)),
    ],
  };
}
