/**
 * Two connected sockets whose switches call their requests in any order; so requests of one kind can be exchanged.
 *
 * Theory of operation: the pair of `connected-pair.ts`, but that each request is called by a row of its own, and the wire
 * is as long as there are requests. The symmetry is in what the world does, not in a trick: the queues still keep the
 * order of the calls, and whatever names a request is declared.
 */

import { language, type MachineDefinition, range } from '../../machines/index.ts';
import type { Property, Reference, WorldDefinition } from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { turnsOf } from './frame-conditions.ts';
import { closingProperties, requestProperties } from './requirements.ts';
import { channel } from './surroundings.ts';

export interface AnyOrderOptions {
  readonly name: string;
  /** Sends, and receives, of each side; the adapter has room for all. */
  readonly sends: number;
  readonly receives: number;
  /** Sockets can be closed; the network can fail. */
  readonly closing?: boolean;
  readonly failing?: boolean;
}

/** Requests of `options`: A's sends, A's receives, B's sends, B's receives. */
function requestsOf({ sends, receives }: AnyOrderOptions): PairRequest[] {
  const some = (socket: 0 | 1, kind: PairRequest['kind'], count: number): PairRequest[] =>
    Array.from({ length: count }, (_, place) => ({ socket, kind, place }));
  return ([0, 1] as const).flatMap((socket) => [...some(socket, 'send', sends), ...some(socket, 'receive', receives)]);
}

/** A request that the switch will make, once, unless its socket is closed first. */
function starter(): MachineDefinition {
  const contract = {
    context: {},
    events: { start: {}, close: {} },
    effects: { calling: {}, pin: {}, call: {}, returned: {} },
  } as const;
  const { effect } = language(contract);
  return machineOver(contract, {
    id: 'starter',
    initial: 'open',
    states: {
      open: {
        on: {
          start: {
            target: 'over',
            actions: [effect('calling', {}), effect('pin', {}), effect('call', {}), effect('returned', {})],
          },
          close: 'over',
        },
      },
      over: { on: { close: { target: 'over' } } },
    },
  });
}

/** The world of `options`. */
export function anyOrder(options: AnyOrderOptions): WorldDefinition {
  const { name, sends, receives, closing = false, failing = false } = options;
  const requests = requestsOf(options);
  const depth = Math.max(sends, receives);
  const pair = connectedPair({
    name,
    requests,
    polled: [1],
    closing,
    failing,
    limits: { queueDepth: depth, overflowMax: 1 },
  });
  const self = (of: (request: PairRequest) => number) => ({ of: 'self', map: requests.map(of) }) as const;
  const numbers = requests.map((_, request) => request);
  const listed = (field: string, count: string, places: number): [string, Reference][] =>
    Array.from({ length: places }, (_, place) => [
      `${field}${place}`,
      { of: 'overlappedRequest', while: { count, above: place } },
    ]);
  const references: Record<string, Reference> = Object.fromEntries([
    ...listed('channel/m', 'messages', sends),
    ...listed('channel/r', 'receives', receives),
    ...listed('notifier/d', 'count', turnsOf(pair)),
  ]);
  return {
    ...pair,
    environment: {
      ...pair.environment!,
      channel: channel(depth, range(0, Math.max(requests.length - 1, 4))),
      starter: starter(),
    },
    rows: { ...pair.rows, starter: requests.length },
    carried: { ...pair.carried!, 'overlappedRequest/bytes': depth },
    rules: [
      ...requests.map(({ socket, kind, place }, request) => ({
        name: `${socket === 0 ? 'A' : 'B'} ${kind} ${place + 1}: called`,
        send: 'starter/start' as const,
        row: request,
        class: 'switch',
      })),
      ...pair.rules.filter(({ send }) => send !== 'caller/send' && send !== 'caller/receive'),
    ],
    performs: {
      ...pair.performs,
      'starter/calling': [{ send: 'overlapped/calling', to: 'self', with: [1] }],
      'starter/pin': [{ send: 'registeredBuffer/request.pinned', to: self(({ socket }) => socket), with: ['self'] }],
      'starter/call': [
        {
          send: 'socket/spi.send',
          to: self(({ socket, kind }) => (kind === 'send' ? socket : -1)),
          with: ['self', 1, 0, 1, 0],
        },
        {
          send: 'socket/spi.recv',
          to: self(({ socket, kind }) => (kind === 'receive' ? socket : -1)),
          with: ['self', 1, 0, 1, 0],
        },
      ],
      'starter/returned': [{ send: 'overlapped/returned', to: 'self' }],
      'caller/close': [
        ...pair.performs['caller/close']!,
        ...numbers.map((request) => ({
          send: 'starter/close' as const,
          to: { of: 'self', map: [0, 1].map((socket) => (requests[request]!.socket === socket ? request : -1)) },
        })),
      ],
    },
    symmetry: {
      groups: [0, 1]
        .flatMap((socket) =>
          ['send', 'receive'].map((kind) =>
            numbers.filter((request) => requests[request]!.socket === socket && requests[request]!.kind === kind),
          ),
        )
        .filter(({ length }) => length > 1)
        .map((rows) => ({ machines: ['overlappedRequest', 'overlapped', 'work', 'starter'], rows })),
      references,
    },
  };
}

/** What is asked of it: of every request alike, whatever its place. */
export function anyOrderProperties(options: AnyOrderOptions): Property[] {
  const requests = requestsOf(options);
  const asked = /^(S-03|S-04|S-05|S-07|16\.2|S-35):/;
  return [
    ...requestProperties(requests).filter(({ name }) => asked.test(name)),
    ...(options.closing === true
      ? closingProperties(requests).filter(({ name }) => /^(S-08: a switch|S-09|S-10)/.test(name))
      : []),
  ];
}

/** The worlds of the catalogue. */
const catalogued = (
  options: AnyOrderOptions,
  effort: CatalogWorld['effort'],
  size: NonNullable<CatalogWorld['size']>,
): CatalogWorld => ({
  name: options.name,
  question: 'Does it matter which request is called first, when all of a kind are alike?',
  bounds: `two connected sockets; ${options.sends} sends and ${options.receives} receives a side, called in any order${options.closing === true ? '; both can be closed at any time' : ''}`,
  effort,
  definition: anyOrder(options),
  properties: anyOrderProperties(options),
  assumes: ['E-01'],
  size,
  unfired: ['A: completion up-call', 'A: up-call returns', 'B: completion up-call', 'B: up-call returns'],
});

export const anyOrderWorlds: readonly CatalogWorld[] = [
  catalogued({ name: 'any order, two of each', sends: 2, receives: 2 }, 'quick', {
    states: 21_025,
    transitions: 92_800,
    depth: 20,
  }),
  catalogued({ name: 'any order, two sends, closing', sends: 2, receives: 1, closing: true }, 'long', {
    states: 171_581,
    transitions: 888_428,
    depth: 17,
  }),
];
