/** Larger versions of the small worlds: what no quick run has time for, and what searches are measured with. */

import { agreement } from './agreement.ts';
import { anyOrder, type AnyOrderOptions, anyOrderProperties } from './any-order.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, closingProperties, requestProperties } from './requirements.ts';

const pairOf = (socket: 0 | 1, place: number): PairRequest[] => [
  { socket, kind: 'send', place },
  { socket, kind: 'receive', place },
];
const exchange: readonly PairRequest[] = [...pairOf(0, 0), ...pairOf(1, 0)];
const twoEachWay: readonly PairRequest[] = [...pairOf(0, 0), ...pairOf(0, 1), ...pairOf(1, 0), ...pairOf(1, 1)];

const anyTime = connectedPair({
  name: 'close, call, fail and clean up',
  requests: exchange,
  closing: true,
  failing: true,
  removal: true,
  cleanup: true,
  upcallsFail: true,
  accepted: true,
});
const accepted = connectedPair({
  name: 'an accepted pair, two requests each way',
  requests: twoEachWay,
  polled: [0],
  accepted: true,
  limits: { queueDepth: 2 },
});

/** Interchangeable requests: `sends` and `receives` of each side, in every order. */
const interchangeable = (options: AnyOrderOptions, question: string): CatalogWorld => {
  const definition = anyOrder(options);
  return {
    name: options.name,
    question,
    bounds: `${options.sends} sends and ${options.receives} receives of each of two sockets, called in any order`,
    effort: 'long',
    definition,
    properties: anyOrderProperties(options),
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', ...(options.closing === true ? (['E-08'] as const) : [])],
  };
};

export const large: readonly CatalogWorld[] = [
  {
    name: anyTime.name,
    question: 'Does closing strand no request, when calls, closing and losses come at any time?',
    bounds: 'a send and a receive of each of two sockets, one of which was accepted; polled or notified',
    effort: 'long',
    definition: anyTime,
    properties: [
      ...requestProperties(exchange),
      ...arrivalProperties(exchange),
      ...closingProperties(exchange),
      ...lifecycle(anyTime),
      ...agreement(anyTime),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05', 'E-08'],
    size: { states: 4_674_096, transitions: 31_006_938, depth: 25 },
    unfired: ['B receive 1: completion', 'B receive 1: flush'],
  },
  {
    name: accepted.name,
    question: 'Do two requests each way end once and in order, on a connection that was accepted?',
    bounds: 'two sends and two receives of each of two sockets, all at the adapter; a private first receive',
    effort: 'quick',
    definition: accepted,
    properties: [
      ...requestProperties(twoEachWay),
      ...arrivalProperties(twoEachWay),
      ...lifecycle(accepted),
      ...agreement(accepted),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05'],
    size: { states: 63_993, transitions: 272_164, depth: 36 },
    unfired: ['B receive 1: completion'],
  },
  interchangeable(
    { name: 'any order, two of each, closing', sends: 2, receives: 2, closing: true },
    'Do requests that can be exchanged end once, when both sides close?',
  ),
  interchangeable(
    { name: 'any order, three of each', sends: 3, receives: 3 },
    'Do three requests of each kind end once, in every order?',
  ),
  interchangeable(
    { name: 'any order, three of each, closing', sends: 3, receives: 3, closing: true },
    'Do three requests of each kind end once, when both sides close?',
  ),
];
