/**
 * Closing: it strands no request, frees no buffer that the adapter still owns, and closes the switch handle once and
 * last; what the other side has pending ends with an error.
 *
 * Two connected sockets with a send and a receive each. Both can be closed at any time; the loss of one end reaches the
 * other by a flush, by an event, or by neither before its own close; what was carried out before completes late; flushes
 * come in any order; the close timer can be faster than all of them.
 */

import {
  all,
  any,
  before,
  each,
  type Formula,
  given,
  implies,
  leadsTo,
  not,
  type Property,
  row,
  sometimes,
  transition,
} from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairOptions, type PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, closingProperties, isPending, isTold, requestProperties } from './requirements.ts';

export const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
const numbers = requests.map((_, request) => request);
const fair = {
  completions: numbers.map((request) => `complete ${request}`),
  flushes: numbers.map((request) => `flush ${request}`),
  notices: ['arrive A', 'notice A', 'arrive B', 'notice B'],
  upcalls: ['notify A', 'return A', 'notify B', 'return B'],
  timers: ['expire A', 'expire B'],
};
const isClosed = (socket: number): Formula => row('caller', socket).in('closed');
const isOver = (socket: number): Formula => row('handle', socket).in('closed');
const side = ['A', 'B'] as const;

export const closeProperties: readonly Property[] = [
  ...requestProperties(requests),
  ...arrivalProperties(requests),
  ...closingProperties(requests),
  ...[0, 1].flatMap((socket) => [
    leadsTo(
      `L-07: once ${side[socket]} is closed its handle is, if the adapter flushes`,
      isClosed(socket),
      isOver(socket),
      [...fair.completions, ...fair.flushes, ...fair.upcalls],
    ),
    leadsTo(
      `L-07: once ${side[socket]} is closed its handle is, if only its timer expires`,
      isClosed(socket),
      isOver(socket),
      [...fair.timers, ...fair.upcalls],
    ),
  ]),
  leadsTo('L-08: once A is closed, what B receives ends', all(isClosed(0), isPending(3)), isTold(3), [
    ...fair.completions,
    ...fair.flushes,
    ...fair.notices,
    ...fair.upcalls,
  ]),
  ...numbers.map((request) =>
    leadsTo(
      `L-01: once its socket is closed or broken, request ${request} is done`,
      all(
        isPending(request),
        any(isClosed(requests[request]!.socket), row('socket', requests[request]!.socket).in('broken')),
      ),
      isTold(request),
      [...fair.completions, ...fair.flushes, ...fair.upcalls],
    ),
  ),
  sometimes(
    'a request succeeds at the adapter after its socket was closed',
    all(row('overlappedRequest', 0).in('aborting'), row('work', 0).in('landed')),
  ),
  sometimes('both are closing', all(row('socket', 0).in('closing'), row('socket', 1).in('closing'))),
  sometimes(
    'a socket is closed inside its completion up-call',
    all(row('socket', 0).in('closing'), row('notifier', 0).in('running')),
  ),
];
export const everything: PairOptions = {
  name: 'close, everything pending',
  requests,
  called: [1, 0, 1, 0],
  closing: true,
};

const pending = connectedPair(everything);
const failing = connectedPair({ ...everything, name: 'close and fail', failing: true, removal: true });
const calling = connectedPair({ name: 'close and call', requests, polled: [0], closing: true });
const cleaning = connectedPair({
  ...everything,
  name: 'clean-up, everything pending',
  closing: true,
  failing: true,
  removal: true,
  cleanup: true,
});
/** The same with as little as there can be. */
const few: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
const little = connectedPair({
  name: 'one message, and whatever can happen',
  requests: few,
  closing: true,
  failing: true,
  removal: true,
  cleanup: true,
  upcallsFail: true,
});
const removable = connectedPair({
  name: 'one message, and devices that are removed',
  requests: few,
  closing: true,
  failing: true,
  devices: true,
});
const provider = row('provider', 0);
/** That a request, and closing, come to their ends. */
const littleEnds: readonly Property[] = [
  ...[0, 1].map((request) =>
    leadsTo(
      `L-01: once its socket is closed or broken, request ${request} is done`,
      all(isPending(request), any(isClosed(request), row('socket', request).in('broken'))),
      isTold(request),
      ['complete 0', 'complete 1', 'flush 0', 'flush 1', ...fair.upcalls],
    ),
  ),
  ...[0, 1].map((socket) =>
    leadsTo(
      `L-07: once ${side[socket]} is closed its handle is, if only its timer expires`,
      isClosed(socket),
      isOver(socket),
      [...fair.timers, ...fair.upcalls],
    ),
  ),
];
const bounds = 'a send and a receive of each of two sockets';

export const close: readonly CatalogWorld[] = [
  {
    name: pending.name,
    question: 'Does closing strand no request and free nothing that the adapter owns, on both sides at once?',
    bounds: `${bounds}, all pending from the start`,
    effort: 'quick',
    definition: pending,
    properties: [...closeProperties, ...lifecycle(pending), ...agreement(pending)],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 16_707, transitions: 82_218, depth: 14 },
  },
  {
    name: failing.name,
    question: 'The same, when the network fails and the adapter is removed at any time?',
    bounds: `${bounds}, all pending from the start; each end of the link can fail`,
    effort: 'quick',
    definition: failing,
    properties: [...closeProperties, ...lifecycle(failing), ...agreement(failing)],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 46_650, transitions: 254_420, depth: 17 },
  },
  {
    name: calling.name,
    question: 'The same, when calls come at any time, inside completion up-calls too?',
    bounds: `${bounds}, called when it comes, all notified`,
    effort: 'quick',
    definition: calling,
    properties: [
      ...closeProperties.filter(({ kind }) => kind !== 'leadsTo'),
      ...lifecycle(calling),
      ...agreement(calling),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 106_257, transitions: 486_656, depth: 22 },
  },
  {
    name: cleaning.name,
    question: 'Does the last clean-up end everything that is pending, closing or broken, without the adapter?',
    bounds: `${bounds}, all pending from the start; closed, lost, removed and cleaned up in any order`,
    effort: 'quick',
    definition: cleaning,
    properties: [
      ...requestProperties(requests),
      ...arrivalProperties(requests),
      ...closingProperties(requests),
      leadsTo(
        'L-10: the last clean-up comes to its end, if up-calls are made and return',
        provider.in('cleaningUp'),
        provider.in('uninitialised'),
        fair.upcalls,
      ),
      implies(
        'S-30, S-09, L-01: after it nothing is left',
        provider.in('uninitialised'),
        all(
          each(numbers, (request) => all(not(isPending(request)), row('work', request).in('idle'))),
          each([0, 1], (socket) => all(isOver(socket), row('socket', socket).in('unopened'))),
        ),
      ),
      implies(
        'S-30: while it goes on no request is pending, and only its up-calls are waited for',
        provider.in('cleaningUp'),
        each(numbers, (request) => given(isPending(request), row('overlappedRequest', request).in('due'))),
      ),
      ...lifecycle(cleaning),
      ...agreement(cleaning),
      sometimes('the provider is cleaned up inside a completion up-call', provider.in('cleaningUp')),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 52_730, transitions: 328_610, depth: 17 },
  },
  {
    name: little.name,
    question: 'Does one message end rightly at both ends, whatever else happens?',
    bounds: 'a send and a receive, called when it comes; closed, lost, removed and cleaned up in any order',
    effort: 'quick',
    definition: little,
    properties: [
      ...requestProperties(few).filter(({ name }) => !name.startsWith('S-13')),
      ...arrivalProperties(few),
      ...closingProperties(few),
      leadsTo(
        'L-10: the last clean-up comes to its end, if up-calls are made and return',
        provider.in('cleaningUp'),
        provider.in('uninitialised'),
        fair.upcalls,
      ),
      ...littleEnds,
      ...lifecycle(little),
      ...agreement(little),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 12_700, transitions: 70_494, depth: 16 },
  },
  {
    name: removable.name,
    question:
      'Does one message end rightly at both ends, when the device of either is removed and the adapter has others?',
    bounds: 'a send and a receive, called when it comes; closed, lost, each device removed, in any order',
    effort: 'quick',
    definition: removable,
    properties: [
      ...requestProperties(few).filter(({ name }) => !name.startsWith('S-13')),
      ...arrivalProperties(few),
      ...closingProperties(few, true),
      ...littleEnds,
      ...lifecycle(removable),
      ...agreement(removable),
      transition(
        'S-19, 10.3: with its device a connection is over at once, and what it had posted',
        each([0, 1], (of) =>
          given(
            all(not(before(row('link', of).field('removed'))), row('link', of).field('removed')),
            all(
              not(row('socket', of).in('connected')),
              not(row('socket', of).field('attached')),
              row('work', of).in('idle'),
            ),
          ),
        ),
      ),
      sometimes(
        'a device is removed while its socket is closing',
        all(row('link', 0).field('removed'), isClosed(0), isPending(0)),
      ),
      sometimes('both devices are removed', all(row('link', 0).field('removed'), row('link', 1).field('removed'))),
    ],
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-08'],
    size: { states: 17_517, transitions: 74_050, depth: 17 },
  },
];
