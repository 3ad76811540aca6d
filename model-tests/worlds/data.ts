/**
 * Requests of a connected pair: they end once, in order, with what the peer sent, and by the way the switch asked for.
 *
 * Two sends of A, two receives of B, polled or notified as it comes, called at any time, inside completion up-calls too;
 * completions of one queue in any order; up-calls that fail. Two of a kind suffice: a request meets only its predecessor
 * and its successor. With a queue of depth 1 the second waits, with one of depth 2 both are out.
 */

import { all, equal, leadsTo, type Property, row, sometimes } from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, isPending, isTold, requestProperties } from './requirements.ts';

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'send', place: 1 },
  { socket: 1, kind: 'receive', place: 0 },
  { socket: 1, kind: 'receive', place: 1 },
];
const world = (queueDepth: number) =>
  connectedPair({ name: `data, depth ${queueDepth}`, requests, upcallsFail: true, limits: { queueDepth } });

const upcalls = ['notify A', 'return A', 'notify B', 'return B'];
const completions = ['complete 0', 'complete 1', 'complete 2', 'complete 3'];
const allCalled = all(equal(row('caller', 0).field('sends'), 2), equal(row('caller', 1).field('receives'), 2));
const notified = equal(row('overlapped', 2).field('notifications'), 1);
const properties: readonly Property[] = [
  ...requestProperties(requests),
  ...arrivalProperties(requests),
  ...requests.map((_, request) =>
    leadsTo(
      `L-01: request ${request} is done when all are called`,
      all(allCalled, isPending(request)),
      isTold(request),
      ['deliver to B', ...completions, ...upcalls],
    ),
  ),
  leadsTo(
    'L-02: who only polls sees a finished transfer, whatever becomes of up-calls',
    all(isPending(3), row('overlapped', 3).field('polled'), row('work', 3).in('landed')),
    isTold(3),
    ['complete 2', 'complete 3'],
  ),
  leadsTo('L-03: what is due is notified', row('overlappedRequest', 2).in('due'), notified, upcalls),
  sometimes(
    'a call is made inside a completion up-call',
    all(
      row('notifier', 1).in('running'),
      equal(row('caller', 1).field('receives'), 1),
      equal(row('caller', 0).field('sends'), 2),
    ),
  ),
  sometimes(
    'an up-call fails, and the structure is published instead',
    all(notified, equal(row('overlapped', 2).field('publications'), 1)),
  ),
];

const one = world(1);
const two = world(2);

/** A message each way. */
const exchange: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
const both = connectedPair({ name: 'data both ways', requests: exchange, limits: { queueDepth: 1 } });

export const data: readonly CatalogWorld[] = [
  {
    name: one.name,
    question: 'Do requests end once, in order and as asked for, when the second of each has to wait for a place?',
    bounds: 'two sends of A, two receives of B; the adapter takes one of each at a time',
    effort: 'quick',
    definition: one,
    properties: [
      ...properties,
      ...lifecycle(one),
      ...agreement(one),
      sometimes('a request is held', row('overlappedRequest', 3).in('held')),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02'],
    size: { states: 1331, transitions: 3236, depth: 18 },
  },
  {
    name: two.name,
    question: 'Do requests end once, in order and as asked for, whatever order the adapter completes them in?',
    bounds: 'two sends of A, two receives of B, all at the adapter',
    effort: 'quick',
    definition: two,
    properties: [
      ...properties,
      ...lifecycle(two),
      ...agreement(two),
      sometimes(
        'the second completes first',
        all(row('overlappedRequest', 3).in('finished'), row('overlappedRequest', 2).in('posted')),
      ),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02'],
    size: { states: 1859, transitions: 4716, depth: 18 },
  },
  {
    name: both.name,
    question: 'Is what both sides send at once received, as soon as receives are posted for it?',
    bounds: 'a send and a receive of each side',
    effort: 'quick',
    definition: both,
    properties: [
      ...requestProperties(exchange),
      ...arrivalProperties(exchange),
      ...exchange.map(({ kind }, request) =>
        leadsTo(
          `L-12: ${kind} ${request} ends well once all are called`,
          all(
            ...[0, 1].flatMap((socket) => [
              row('caller', socket).field('sends'),
              row('caller', socket).field('receives'),
            ]),
            isPending(request),
          ),
          all(isTold(request), equal(row('overlapped', request).field('error'), 0)),
          ['deliver to A', 'deliver to B', ...completions, ...upcalls],
        ),
      ),
      ...lifecycle(both),
      ...agreement(both),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02'],
    size: { states: 2025, transitions: 5472, depth: 18 },
  },
];
