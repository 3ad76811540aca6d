/**
 * The first message at the accepting side: neither lost nor put in a wrong place, whenever it comes.
 *
 * A has connected and sends twice, B was accepted and receives twice: the private receive is completed before, between
 * and after the calls, and flushed when either closes. The second message shows whether order is kept. The first may be longer than what is there for it.
 */

import {
  all,
  any,
  before,
  equal,
  given,
  implies,
  leadsTo,
  not,
  row,
  sometimes,
  transition,
} from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, closingProperties, isPending, isTold, requestProperties, wsa } from './requirements.ts';

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'receive', place: 1 },
];
const completions = [0, 1, 2, 3, 4].map((work) => `complete ${work}`);
const flushes = [0, 1, 2, 3, 4].map((work) => `flush ${work}`);
const upcalls = ['notify A', 'return A', 'notify B', 'return B'];

const open = connectedPair({ name: 'first message', requests, accepted: true, limits: { queueDepth: 2 } });
const closing = connectedPair({
  name: 'first message and close',
  requests,
  polled: [0],
  accepted: true,
  closing: true,
});

const tooLong = connectedPair({
  name: 'a first message that is too long',
  requests,
  polled: [0],
  accepted: true,
  tooLong: true,
  limits: { queueDepth: 2 },
});
const first = row('overlapped', 2);
const socketB = row('socket', 1);

export const firstMessage: readonly CatalogWorld[] = [
  {
    name: open.name,
    question: 'Is the first message received by the first receive, whichever comes first?',
    bounds: 'two sends of A, two receives of B, which was accepted; all at the adapter',
    effort: 'quick',
    definition: open,
    properties: [
      ...requestProperties(requests),
      ...arrivalProperties(requests),
      ...[2, 3].map((request) =>
        leadsTo(
          `S-33, L-12: message ${request - 1} is received`,
          all(
            equal(row('caller', 0).field('sends'), 2),
            equal(row('caller', 1).field('receives'), 2),
            isPending(request),
          ),
          all(isTold(request), equal(row('overlapped', request).field('error'), 0)),
          ['deliver to B', ...completions, ...upcalls],
        ),
      ),
      implies(
        'S-33: a message that came early waits',
        row('firstMessage', 1).in('held'),
        not(row('caller', 1).field('receives')),
      ),
      ...lifecycle(open),
      ...agreement(open),
      sometimes('the first receive waits for the message', row('firstMessage', 1).in('waiting')),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05'],
    size: { states: 1969, transitions: 4900, depth: 18 },
    // It never is the adapter's.
    unfired: ['B receive 1: completion'],
  },
  {
    name: closing.name,
    question: 'Does the private first receive come to an end, whoever closes when?',
    bounds: 'two sends of A, two receives of B, which was accepted; the adapter takes one of each at a time',
    effort: 'quick',
    definition: closing,
    properties: [
      ...requestProperties(requests),
      ...arrivalProperties(requests),
      ...closingProperties(requests),
      leadsTo(
        'L-07: once B is closed its handle is, if the adapter flushes',
        row('caller', 1).in('closed'),
        row('handle', 1).in('closed'),
        [...completions, ...flushes, ...upcalls],
      ),
      ...lifecycle(closing),
      ...agreement(closing),
      sometimes('the private receive is flushed', row('firstMessage', 1).in('draining')),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05', 'E-08'],
    size: { states: 35_905, transitions: 158_611, depth: 22 },
    unfired: ['B receive 1: completion', 'B receive 1: flush'],
  },
  {
    name: tooLong.name,
    question: 'What becomes of a first message that is longer than the receive for it, or than the private one?',
    bounds: 'two sends of A, two receives of B, which was accepted; all at the adapter',
    effort: 'quick',
    definition: tooLong,
    properties: [
      ...requestProperties(requests),
      ...arrivalProperties(requests),
      transition(
        'S-33: who gets a first message that is longer than its receive is told so, and the connection is broken (7.5)',
        given(
          all(not(before(isTold(2))), isTold(2), row('text', 0).in('arrivedLong')),
          any(
            all(equal(first.field('error'), wsa('WSAEMSGSIZE')), socketB.in('broken')),
            equal(first.field('error'), wsa('WSAECONNABORTED')),
            equal(first.field('error'), wsa('WSAECONNRESET')),
          ),
        ),
      ),
      implies(
        'S-33: a first message that did not fit was received by nobody',
        row('text', 0).in('arrivedLong'),
        given(isTold(2), first.field('error')),
      ),
      implies(
        'S-11: a connection whose first message was too long is broken with WSAECONNABORTED, or lost before',
        equal(first.field('error'), wsa('WSAEMSGSIZE')),
        all(socketB.in('broken'), equal(socketB.field('reason'), wsa('WSAECONNABORTED'))),
      ),
      leadsTo(
        'L-01: once B is broken its receives are done',
        all(socketB.in('broken'), any(isPending(2), isPending(3))),
        not(any(isPending(2), isPending(3))),
        [...completions, 'complete 4', ...flushes, ...upcalls],
      ),
      ...lifecycle(tooLong),
      ...agreement(tooLong),
      sometimes('the message is longer than the receive', equal(first.field('error'), wsa('WSAEMSGSIZE'))),
      sometimes(
        'the private receive fails while the first one waits for it',
        equal(first.field('error'), wsa('WSAECONNABORTED')),
      ),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05'],
    size: { states: 6138, transitions: 22_729, depth: 22 },
    unfired: [
      'B receive 1: completion',
      'A send 1: flush',
      'B receive 1: flush',
      'B private receive: flush',
      'B: loss arrives',
    ],
  },
];
