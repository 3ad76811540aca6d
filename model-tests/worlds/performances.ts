/**
 * What a driver does with an effect, and what its surroundings say to it, where worlds have the same of them.
 *
 * Theory of operation: data, as a world's `performs`, `drops`, `never` and `start` take it, for machines of
 * `surroundings.ts`. `to…` is what the provider asks of a machine around it, `from…` what such a machine says or asks for.
 */

import type { Performance, Source, WorldDefinition } from '../explorer/index.ts';

type Performs = Readonly<Record<string, readonly Performance[]>>;

/** A switch that gives each socket its handle at once. */
export const toHandles = {
  'socket/createSwitchHandle': [
    { send: 'handle/created', to: 'self' },
    { send: 'socket/upcall.handleCreated', to: 'self' },
  ],
  'socket/closeSwitchHandle': [{ send: 'handle/closed', to: 'self' }],
} as const satisfies Performs;

export const toTimers = {
  'socket/startTimer': [{ send: 'timer/start', to: 'self' }],
  'socket/stopTimer': [{ send: 'timer/stop', to: 'self' }],
} as const satisfies Performs;

export const fromTimers = {
  'timer/expired': [{ send: 'socket/clock.expired', to: 'self' }],
} as const satisfies Performs;

/** @param toSocket - the socket of the request that asks */
export const toStructures = (toSocket: Source) =>
  ({
    'overlappedRequest/markPending': [{ send: 'overlapped/marked', to: 'self' }],
    'overlappedRequest/postWork': [{ send: 'work/post', to: 'self' }],
    'overlappedRequest/publish': [{ send: 'overlapped/published', to: 'self', with: ['error', 'bytes'] }],
    'overlappedRequest/requestNotification': [{ send: 'notifier/due', to: toSocket, with: ['self'] }],
    'overlappedRequest/completeOverlappedRequest': [
      { send: 'overlapped/notified', to: 'self', with: ['error', 'bytes'] },
      { send: 'handle/upcall', to: toSocket },
    ],
  }) as const satisfies Performs;

export const fromStructures = {
  'overlapped/refused': [{ send: 'overlappedRequest/spi.refused', to: 'self' }],
  'notifier/notify': [{ send: 'overlappedRequest/dispatcher.notify', to: 'request' }],
  'notifier/returned': [{ send: 'overlappedRequest/upcall.returned', to: 'request', with: ['failed'] }],
} as const satisfies Performs;

/** A message that is received is one that has been sent. */
export const fromChannels = {
  'channel/landed': [{ send: 'work/landed', to: 'request', with: ['message'] }],
  'channel/acknowledged': [{ send: 'work/landed', to: 'request', with: [0] }],
} as const satisfies Performs;

/** An accept that fails ends when the peer was refused. */
export const toRefusals = {
  'socket/endRefusal': [{ send: 'socket/dispatcher.refusalEnded', to: 'self', with: ['error'] }],
} as const satisfies Performs;

/** A listener that accepts whoever asks; the private first receive of who is accepted is row `privateWork` of the works. */
export const toListeners = (privateWork: number) =>
  ({
    ...toRefusals,
    'socket/startListening': [{ send: 'socket/adapter.listening', to: 'self' }],
    'socket/acceptConnection': [
      { send: 'work/post', to: privateWork },
      { send: 'socket/adapter.accepted', to: 'self' },
    ],
    'connectionRequest/callConditionFunction': [{ send: 'connectionRequest/condition.accepted', to: 'self' }],
    'networkEvents/resetEvent': [{ send: 'networkEvents/upcall.eventReset', to: 'self' }],
  }) as const satisfies Performs;

/** Effects of a hand-over, in worlds without one. */
export const handOverEffects = [
  'socket/startReattach',
  'socket/acceptReattach',
  'socket/rejectReattach',
  'socket/writeMailbox',
] as const;

/** Effects of requests, in worlds without any. */
export const requestEffects = [
  'requestQueue/pairRequest',
  'requestQueue/answer',
  'firstMessage/copyFirstMessage',
] as const;

/** Rows of `count` sockets: each has its record of events, two queues and a first message. */
export const rowsOfSockets = (count: number) =>
  ({ provider: 1, socket: count, networkEvents: count, requestQueue: 2 * count, firstMessage: count }) as const;

/** Connects `socket` to whom it asks. */
export const connected = (socket: number): NonNullable<WorldDefinition['start']> => [
  { send: 'socket/spi.socket', row: socket },
  { send: 'socket/spi.bind', row: socket },
  { send: 'socket/spi.connect', row: socket },
  { send: 'socket/adapter.established', row: socket },
];

/** Accepts `socket` from `listener`, which is closed then. */
export const accepted = (listener: number, socket: number): NonNullable<WorldDefinition['start']> => [
  { send: 'socket/spi.socket', row: listener },
  { send: 'socket/spi.bind', row: listener },
  { send: 'socket/spi.listen', row: listener, with: [1] },
  { send: 'socket/adapter.connectRequest', row: listener, with: [0] },
  { send: 'socket/spi.accept', row: listener, with: [socket, 0] },
  { send: 'socket/spi.closeSocket', row: listener },
];
