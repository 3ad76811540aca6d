/**
 * RDMA and registrations: what the peer's memory shows when a message arrives, and who reaches which memory when.
 *
 * A writes before it sends, B reads before it sends; each side registers and deregisters at any time, with requests of
 * its own or of the peer under way; transfers as 7.4 has them come to their end.
 */

import {
  all,
  always,
  any,
  before,
  each,
  equal,
  type Formula,
  given,
  implies,
  kept,
  leadsTo,
  less,
  not,
  type Property,
  row,
  some,
  sometimes,
  transition,
  type WorldDefinition,
} from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import type { PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, closingProperties, isPending, isTold, requestProperties } from './requirements.ts';
import { transfer } from './transfer.ts';

const sockets = [0, 1] as const;
const memory = (socket: number) => row('memory', socket);
const buffer = (socket: number) => row('registeredBuffer', socket);
const socketOf = (socket: number) => row('socket', socket);
const succeeded = (request: number): Formula =>
  all(isTold(request), equal(row('overlapped', request).field('error'), 0));
const reached = (socket: number): Formula => any(memory(socket).field('written'), memory(socket).field('taken'));

/** What holds of the two sockets' registrations. */
export function memoryProperties(requests: readonly PairRequest[]): Property[] {
  const working = (socket: number): Formula =>
    some(requests, (of, number) => (of.socket === socket ? not(row('work', number).in('idle')) : 0));
  return [
    always(
      'S-19: nobody reaches memory that was deregistered',
      each(sockets, (socket) => not(memory(socket).field('late'))),
    ),
    transition(
      'S-17, S-19: the peer reaches memory only while it is registered and the connection lasts',
      each(sockets, (socket) =>
        given(
          all(not(before(reached(socket))), reached(socket)),
          all(
            before(less(0, memory(socket).field('held'))),
            before(socketOf(socket).in('connected', 'dormant.handing')),
          ),
        ),
      ),
    ),
    always(
      'S-17: the adapter has what is registered, and nothing else',
      each(sockets, (socket) => equal(memory(socket).field('live'), buffer(socket).in('registered'))),
    ),
    always(
      'S-20: registrations are counted, and none is released before the last deregistration or the end of its socket',
      each(sockets, (socket) =>
        equal(
          memory(socket).field('held'),
          // Between its creation and its end a registration has references.
          buffer(socket).field('references'),
        ),
      ),
    ),
    transition(
      'S-20: only a deregistration, or closing, releases',
      each(sockets, (socket) =>
        given(
          all(before(memory(socket).field('live')), not(memory(socket).field('live'))),
          any(
            memory(socket).in('closed'),
            all(equal(before(memory(socket).field('held')), 1), not(memory(socket).field('held'))),
          ),
        ),
      ),
    ),
    always(
      'S-20: what the adapter works with is registered',
      each(sockets, (socket) => given(working(socket), memory(socket).field('live'))),
    ),
    always(
      'S-20: no call goes on for ever',
      each(sockets, (socket) => not(memory(socket).field('inside'))),
    ),
    transition(
      'S-20: a request under way keeps its registration',
      each(sockets, (socket) =>
        given(
          before(working(socket)),
          any(
            not(working(socket)),
            all(memory(socket).field('live'), less(0, memory(socket).field('held'))),
            memory(socket).in('closed'),
          ),
        ),
      ),
    ),
  ];
}

const common = (definition: WorldDefinition, requests: readonly PairRequest[]): Property[] => [
  ...requestProperties(requests),
  ...arrivalProperties(requests, 'q0'),
  ...memoryProperties(requests),
  ...lifecycle(definition),
  ...agreement(definition),
];
const upcalls = ['notify A', 'return A', 'notify B', 'return B'];
const network = (requests: readonly PairRequest[]): string[] => [
  'deliver to A',
  'deliver to B',
  ...requests.map((_, number) => `complete ${number}`),
  ...upcalls,
];

/** A writes and then says so; B reads and then says so. */
const orderly: readonly PairRequest[] = [
  { socket: 0, kind: 'write', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'read', place: 0 },
  { socket: 1, kind: 'send', place: 1 },
  { socket: 0, kind: 'receive', place: 0 },
];
const ordering = (queueDepth: 1 | 2) =>
  transfer({ name: `ordering, depth ${queueDepth}`, requests: orderly, polled: [0], limits: { queueDepth } });
const shallow = ordering(1);
const deep = ordering(2);
const orderProperties = (definition: WorldDefinition): Property[] => [
  ...common(definition, orderly),
  implies('S-14: who got the message that follows a write sees the write', succeeded(2), memory(1).field('written')),
  implies('S-15: who got the message that follows a read has been read', succeeded(5), memory(0).field('taken')),
];

/** B reads A's memory, and A may end that at any time; A receives into the same memory. */
export const reading: readonly PairRequest[] = [
  { socket: 1, kind: 'read', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 0, kind: 'write', place: 0 },
];
const deregistering = transfer({
  name: 'registering and deregistering',
  requests: reading,
  polled: [0],
  registering: true,
  refusing: true,
});
export const deregisteringClosed = transfer({
  name: 'registering, deregistering and closing',
  requests: reading.slice(0, 2),
  polled: [0],
  registering: true,
  closing: true,
  failing: true,
});

/** 7.4 by read: A tells where, B reads and says so, A lets go. By write: B tells where, A writes and says so. */
const byRead: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'read', place: 0 },
  { socket: 1, kind: 'send', place: 1 },
];
const byWrite: readonly PairRequest[] = [
  { socket: 1, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 0, kind: 'write', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
];
const large = (
  by: string,
  requests: readonly PairRequest[],
  until: readonly [number, number],
  chain: readonly (readonly [number, number])[],
): WorldDefinition =>
  transfer({
    name: `a large transfer by ${by}`,
    requests,
    polled: [0],
    registering: true,
    until,
    chain,
    limits: { queueDepth: 2 },
  });
const readTransfer = large(
  'read',
  byRead,
  [1, 4],
  [
    [2, 3],
    [2, 4],
  ],
);
const writeTransfer = large(
  'write',
  byWrite,
  [3, 4],
  [
    [1, 2],
    [1, 3],
  ],
);
const largeProperties = (definition: WorldDefinition, requests: readonly PairRequest[]): Property[] => [
  ...common(definition, requests),
  leadsTo(
    'L-13: it ends with both registrations released, if both switches go on',
    each(sockets, (socket) => memory(socket).field('live')),
    each(sockets, (socket) => not(any(memory(socket).field('live'), memory(socket).field('held')))),
    [...network(requests), ...requests.map((_, number) => `call ${number}`), 'read A', 'release A', 'release B'].filter(
      (label) => definition.rules.some(({ fair }) => fair === label),
    ),
  ),
  always(
    'L-13: no request of it fails',
    each(requests, (_, number) => given(isTold(number), equal(row('overlapped', number).field('error'), 0))),
  ),
];

/** A writes in two pieces and sends; whatever can fail does. */
const spoiled: readonly PairRequest[] = [
  { socket: 0, kind: 'write', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
];
const failing = transfer({
  name: 'pieces and failures',
  requests: spoiled,
  pieces: [2, 1, 1],
  polled: [0],
  refusing: true,
  failing: true,
  spoiling: [0, 1, 2],
  closing: true,
});
const failingProperties: Property[] = [
  ...common(failing, spoiled).filter(({ name }) => !name.startsWith('S-20: no call')),
  ...closingProperties(spoiled),
  implies(
    'S-14: who got the message that follows a write sees the write',
    succeeded(2),
    any(memory(1).field('written'), row('overlapped', 0).in('refused')),
  ),
  ...spoiled.map((of, number) =>
    leadsTo(
      `L-01: once its socket is closed or broken, request ${number} is done`,
      all(isPending(number), any(row('caller', of.socket).in('closed'), socketOf(of.socket).in('broken'))),
      isTold(number),
      [...spoiled.map((_, other) => `complete ${other}`), ...spoiled.map((_, other) => `flush ${other}`), ...upcalls],
    ),
  ),
  ...sockets.map((socket) =>
    leadsTo(
      `L-07: once ${socket === 0 ? 'A' : 'B'} is closed its handle is, if the adapter flushes`,
      row('caller', socket).in('closed'),
      row('handle', socket).in('closed'),
      [...spoiled.map((_, other) => `complete ${other}`), ...spoiled.map((_, other) => `flush ${other}`), ...upcalls],
    ),
  ),
  transition(
    'S-04: what is refused was not started',
    each(spoiled, (_, number) =>
      given(before(row('overlapped', number).in('refused')), kept(row('overlapped', number).field('publications'))),
    ),
  ),
  sometimes(
    'a posted request is refused in its call',
    all(row('overlapped', 0).in('refused'), socketOf(0).in('connected')),
  ),
  sometimes(
    'a part of a request fails',
    all(row('overlappedRequest', 0).in('breaking'), equal(row('overlappedRequest', 0).field('pieces'), 1)),
  ),
];

/** The same with as little as there can be. */
const one: readonly PairRequest[] = [{ socket: 0, kind: 'write', place: 0 }];
const oneWrite = transfer({
  name: 'a write in two pieces, and whatever can happen',
  requests: one,
  pieces: [2],
  polled: [0],
  refusing: true,
  failing: true,
  spoiling: [0],
  closing: true,
  removal: true,
});
const oneRead = transfer({
  name: 'a read of what is registered and deregistered',
  requests: reading.slice(0, 1),
  polled: [0],
  registering: true,
  refusing: true,
});

export const remote: readonly CatalogWorld[] = [
  {
    name: shallow.name,
    question:
      'Does a message come after what was written or read before it, when the second of each waits for a place?',
    bounds: 'A writes, sends, receives; B reads, sends, receives; the adapter takes one of a queue at a time',
    effort: 'quick',
    definition: shallow,
    properties: orderProperties(shallow),
    assumes: ['E-01', 'E-03', 'E-04', 'E-07'],
    lifts: ['E-02'],
    size: { states: 3200, transitions: 10_968, depth: 29 },
  },
  {
    name: deep.name,
    question: 'Does a message come after what was written or read before it, when all is at the adapter?',
    bounds: 'A writes, sends, receives; B reads, sends, receives; the wire goes past a read that is unanswered',
    effort: 'quick',
    definition: deep,
    properties: [
      ...orderProperties(deep),
      sometimes(
        'a message waits behind a read',
        all(row('channel', 0).field('reading'), row('channel', 0).field('posted')),
      ),
    ],
    assumes: ['E-01', 'E-03', 'E-04', 'E-07'],
    lifts: ['E-02'],
    size: { states: 4256, transitions: 15_136, depth: 29 },
  },
  {
    name: deregistering.name,
    question: 'Is memory within reach exactly while it is registered, whoever uses it meanwhile?',
    bounds: 'a read of B, a write and a receive of A; two registrations of each; the adapter can refuse',
    effort: 'quick',
    definition: deregistering,
    properties: [
      ...common(deregistering, reading),
      sometimes('a read finds nothing registered', row('work', 0).in('denied')),
      sometimes(
        'a deregistration is refused while a request needs it',
        all(row('work', 1).in('posted'), equal(memory(0).field('held'), 1)),
      ),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-07'],
    size: { states: 130_960, transitions: 808_840, depth: 24 },
    unfired: ['A receive 1: completion'],
  },
  {
    name: deregisteringClosed.name,
    question: 'The same, when both sides close and the network fails?',
    bounds: 'a read of B, a receive of A; two registrations of each',
    effort: 'quick',
    definition: deregisteringClosed,
    properties: [
      ...common(deregisteringClosed, reading.slice(0, 2)),
      ...closingProperties(reading.slice(0, 2)),
      always(
        'S-20: what is left is released with the socket',
        each(sockets, (socket) => given(row('handle', socket).in('closed'), not(memory(socket).field('live')))),
      ),
      sometimes('a socket is closed with a registration', all(memory(0).in('closed'), memory(0).field('live'))),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-07', 'E-08'],
    size: { states: 27_744, transitions: 208_772, depth: 18 },
    unfired: ['A receive 1: completion'],
  },
  {
    name: readTransfer.name,
    question: 'Does a large transfer by read end, with both registrations released?',
    bounds: 'the sequence of 7.4: A sends and receives, B receives, reads, sends',
    effort: 'quick',
    definition: readTransfer,
    properties: largeProperties(readTransfer, byRead),
    assumes: ['E-01', 'E-03', 'E-04', 'E-07'],
    lifts: ['E-02'],
    size: { states: 440, transitions: 1249, depth: 24 },
  },
  {
    name: writeTransfer.name,
    question: 'Does a large transfer by write end, with both registrations released?',
    bounds: 'the sequence of 7.4: B sends and receives, A receives, writes, sends',
    effort: 'quick',
    definition: writeTransfer,
    properties: largeProperties(writeTransfer, byWrite),
    assumes: ['E-01', 'E-03', 'E-04', 'E-07'],
    lifts: ['E-02'],
    size: { states: 424, transitions: 1205, depth: 23 },
  },
  {
    name: failing.name,
    question: 'Does each request end once and rightly when parts of it fail, posting is refused, or the network fails?',
    bounds: 'a write in two pieces and a send of A, a receive of B; every fault, closing on both sides',
    effort: 'quick',
    definition: failing,
    properties: failingProperties,
    assumes: ['E-01', 'E-04'],
    lifts: ['E-02', 'E-03', 'E-07', 'E-08'],
    size: { states: 80_888, transitions: 734_684, depth: 22 },
  },
  {
    name: oneWrite.name,
    question: 'Does a request of two work requests end once and rightly, whatever becomes of each of them?',
    bounds: 'a write in two pieces; every fault, closing on both sides',
    effort: 'quick',
    definition: oneWrite,
    properties: [
      ...common(oneWrite, one),
      ...closingProperties(one),
      leadsTo(
        'L-01: once its socket is closed or broken, it is done',
        all(isPending(0), any(row('caller', 0).in('closed'), socketOf(0).in('broken'))),
        isTold(0),
        ['complete 0', 'flush 0', ...upcalls],
      ),
    ],
    assumes: ['E-01', 'E-04'],
    lifts: ['E-03', 'E-07', 'E-08'],
    size: { states: 1538, transitions: 11_317, depth: 12 },
    unfired: ['B: completion up-call', 'B: up-call returns', 'B: close timer'],
  },
  {
    name: oneRead.name,
    question: 'Is memory within reach of a read exactly while it is registered?',
    bounds: 'a read of B; two registrations of each; the adapter can refuse',
    effort: 'quick',
    definition: oneRead,
    properties: [
      ...common(oneRead, reading.slice(0, 1)),
      sometimes('a read finds nothing registered', row('work', 0).in('denied')),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-07'],
    size: { states: 2640, transitions: 13_664, depth: 15 },
    unfired: ['B read 1: flush', 'A: completion up-call', 'A: up-call returns', 'B: loss arrives'],
  },
];
