/**
 * Hand-over: a connected socket moves to another process while its peer notices nothing, or learns that it has failed.
 *
 * P1's receive ends with nothing, the peer's is held and then gets P2's message, P2's receive gets the answer. Each step
 * can fail; each socket can be closed at any time.
 */

import {
  all,
  always,
  any,
  atMost,
  before,
  each,
  equal,
  type Formula,
  given,
  iff,
  implies,
  kept,
  leadsTo,
  less,
  not,
  type Property,
  row,
  sometimes,
  transition,
  unequal,
  type WorldDefinition,
} from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { handingOver, HELD, Request, Who } from './handing-over.ts';
import { lifecycle } from './lifecycle.ts';
import { isPending, isTold } from './requirements.ts';

const socket = (who: number) => row('socket', who);
const structure = (request: number) => row('overlapped', request);
const request = (number: number) => row('overlappedRequest', number);
const error = (number: number): Formula => structure(number).field('error');
const bytes = (number: number): Formula => structure(number).field('message');
const succeeded = (number: number): Formula => all(isTold(number), equal(error(number), 0));
const oldOne = row('oldConnection', 0);
const newOne = row('newConnection', 0);
const peer = socket(Who.peer);
const [p1, p2] = [socket(Who.p1), socket(Who.p2)];
const handed = row('giver', 0).in('handed', 'closed');

function handOverProperties(definition: WorldDefinition, { closing = false, careless = false } = {}): Property[] {
  const owners = Array.from({ length: definition.rows['overlappedRequest']! }, (_, number) => number);
  const fair = (...labels: readonly string[]): string[] =>
    labels.filter((label) => definition.rules.some((rule) => rule.fair === label));
  const upcalls = fair(...[0, 1, 2].flatMap((who) => [`notify ${who}`, `return ${who}`]));
  const completions = fair(...[0, 1, 2, 3, 4, 5].flatMap((work) => [`complete ${work}`, `flush ${work}`]));
  const timers = fair('expire 0', 'expire 1', 'expire 2');
  return [
    always(
      'S-03: a request is done at most once',
      each(owners, (number) =>
        all(
          atMost(structure(number).field('publications'), 1),
          atMost(structure(number).field('notifications'), 1),
          not(structure(number).in('untimely')),
        ),
      ),
    ),
    transition(
      'S-03: what is done stays as it is',
      each(owners, (number) =>
        given(before(isTold(number)), all(isTold(number), kept(error(number)), kept(bytes(number)))),
      ),
    ),
    always(
      'S-07: in progress from the start until told',
      each(owners, (number) =>
        iff(
          isPending(number),
          request(number).in('posted', 'held', 'paired', 'breaking', 'aborting', 'finished', 'due'),
        ),
      ),
    ),
    always(
      'S-05: a request knows whether it is polled, and a polled one causes no up-call',
      each(owners, (number) =>
        all(
          given(
            not(request(number).in('unstarted')),
            equal(request(number).field('polled'), structure(number).field('polled')),
          ),
          not(all(structure(number).field('polled'), structure(number).field('notifications'))),
        ),
      ),
    ),
    implies(
      'S-16: a receive that ends with nothing was handed over',
      all(succeeded(Request.p1Receive), equal(bytes(Request.p1Receive), 0)),
      handed,
    ),
    always(
      'S-16, S-12: every other receive that succeeds has a message',
      each([Request.peerReceive, Request.p2Receive], (number) => given(succeeded(number), equal(bytes(number), 1))),
    ),
    always(
      'S-02, S-31: the adapter has a connector for a socket exactly as long as the socket says so',
      all(
        iff(p1.field('attached'), less(0, oldOne.field('p1'))),
        iff(peer.field('attached'), any(less(0, oldOne.field('peer')), less(0, newOne.field('peer')))),
        iff(p2.field('attached'), less(0, newOne.field('p2'))),
      ),
    ),
    always(
      'S-31: the peer has one connection at most',
      not(all(less(0, oldOne.field('peer')), less(0, newOne.field('peer')))),
    ),
    always('S-31: P1 and P2 never both have the connection', not(all(p1.in('connected'), p2.in('connected.active')))),
    implies(
      'S-31, S-02: P2 transfers only over a connection that the peer has accepted',
      p2.in('connected.active'),
      any(less(1, newOne.field('p2')), all(equal(newOne.field('stage'), 0), less(0, newOne.field('p2')))),
    ),
    transition(
      "S-32: while its end moves, the peer's switch is told nothing, unless that has failed or it closes",
      given(
        all(
          before(peer.in('connected.suspended', 'connected.reattaching')),
          not(before(isTold(Request.peerReceive))),
          isTold(Request.peerReceive),
        ),
        not(peer.in('connected')),
      ),
    ),
    implies(
      'S-32: and no error as long as it is connected',
      all(isTold(Request.peerReceive), unequal(error(Request.peerReceive), 0)),
      not(peer.in('connected')),
    ),
    always(
      'S-20, 16.2: what an adapter still holds is not done',
      each(owners, (number) => given(any(isTold(number), request(number).in('due')), row('work', number).in('idle'))),
    ),
    always(
      'S-08: a switch handle is closed at most once, and used no more then',
      each([0, 1, 2], (who) =>
        all(atMost(row('handle', who).field('closes'), 1), not(row('handle', who).field('late'))),
      ),
    ),
    always(
      'S-10: as many handles are open as there are sockets',
      each([0, 1, 2], (who) =>
        iff(row('handle', who).in('open'), not(socket(who).in('unopened', 'resuming', 'orphaned'))),
      ),
    ),
    leadsTo(
      'L-11: P1 lets go of the connection, if only its timer expires',
      p1.in('dormant.handing', 'closing.handing'),
      not(p1.in('dormant.handing', 'closing.handing')),
      ['expire 0'],
    ),
    leadsTo(
      'L-11, L-01: P1 is told that its receive is over',
      all(handed, isPending(Request.p1Receive)),
      isTold(Request.p1Receive),
      ['expire 0', ...upcalls],
    ),
    leadsTo(
      'L-11: the peer goes on, or its receives fail, if only its timer expires',
      peer.in('connected.suspended'),
      any(peer.in('connected.active'), all(not(peer.in('connected')), not(isPending(Request.peerReceive)))),
      ['expire 1', ...upcalls, ...completions],
    ),
    leadsTo(
      'L-11: P2 has the connection, or its requests fail, if only its timer expires',
      p2.in('connected.attaching'),
      not(p2.in('connected.attaching')),
      ['expire 2'],
    ),
    leadsTo(
      'L-11: the hand-over completes or fails, and does not hang',
      all(handed, isPending(Request.peerReceive)),
      any(isTold(Request.peerReceive), p2.in('connected.active')),
      [
        ...upcalls,
        ...completions,
        ...timers,
        ...fair('notice', 'notice new', 'carry', 'letter', 'arrive', 'answer', 'redeem', 'grant'),
      ],
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes("the peer's receive gets P2's message, and P2's the answer", all(succeeded(1), succeeded(3))),
    sometimes("P1's receive ends with nothing", all(succeeded(0), equal(bytes(0), 0))),
    sometimes(
      'the new connection is faster than the end of the old one',
      all(peer.in('connected.active'), less(0, newOne.field('peer')), p1.in('dormant.handing')),
    ),
    ...(careless
      ? [
          leadsTo(
            'L-11, L-01: a send that is stuck ends too, if only the timer expires',
            all(handed, isPending(Request.p1Send)),
            isTold(Request.p1Send),
            ['expire 0', ...upcalls],
          ),
        ]
      : []),
    ...(closing ? [sometimes('P1 closes before the peer is told', p1.in('closing.handing'))] : []),
  ];
}

/** What holds when the peer is no provider: nothing is lost that was not said to be, and everybody is told. */
function strangeProperties(definition: WorldDefinition): Property[] {
  const kept = /^(S-03|S-05|S-07|S-08|S-10|S-16: a receive|S-20|L-11, L-01: P1|L-11: P2)/;
  const ofP2 = [Request.p2Send, Request.p2Receive] as const;
  const upcalls = ['notify 0', 'return 0', 'notify 2', 'return 2'];
  return [
    ...handOverProperties(definition).filter(({ name, kind }) => kind !== 'sometimes' && kept.test(name)),
    always(
      'S-02, S-31: the adapter has a connector for P1 and P2 exactly as long as they say so',
      all(
        iff(p1.field('attached'), less(0, oldOne.field('p1'))),
        iff(p2.field('attached'), less(0, newOne.field('p2'))),
      ),
    ),
    always('S-31: P2 never has the connection', not(p2.in('connected.active'))),
    always(
      'S-12: nothing of P2 succeeds',
      each(ofP2, (number) => not(succeeded(number))),
    ),
    implies(
      'L-11, 10.3: with nobody to tell, P1 is parted from its connection at once',
      handed,
      p1.in('dormant.parted', 'closing', 'unopened'),
    ),
    leadsTo(
      'L-11: P2 is told that nobody takes it back, if only its timer expires',
      p2.in('connected.attaching'),
      p2.in('broken', 'closing', 'unopened'),
      ['expire 2'],
    ),
    ...ofP2.map((number) =>
      leadsTo(
        `L-11, L-01: P2's ${number === Request.p2Send ? 'send' : 'receive'} ends`,
        isPending(number),
        isTold(number),
        [...upcalls, 'expire 2'],
      ),
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes(
      'what a stranger is at the other end of is handed over, and parted from',
      all(handed, p1.in('dormant.parted')),
    ),
    sometimes(
      'P2 has called a send and a receive, and both have failed',
      all(p2.in('broken'), ...ofP2.map((number) => all(isTold(number), error(number)))),
    ),
    sometimes('P2 takes it over when P1 is closed', all(row('giver', 0).in('closed'), p2.in('connected.attaching'))),
  ];
}

const plain = handingOver({ name: 'hand-over' });
const failing = handingOver({ name: 'hand-over, and every step can fail', failing: true });
const closing = handingOver({ name: 'hand-over, and everybody closes', closing: true });
const careless = handingOver({ name: 'hand-over with a send pending', careless: true });
const holding = handingOver({
  name: 'hand-over with a receive that waits',
  failing: true,
  closing: true,
  silent: true,
  held: true,
});
const early = handingOver({ name: 'hand-over before the first message', accepting: true });
const strange = handingOver({
  name: 'hand-over from a peer that is no provider',
  strange: true,
  failing: true,
  closing: true,
});
const everything = handingOver({
  name: 'hand-over, and whatever can happen',
  failing: true,
  closing: true,
  ending: true,
  silent: true,
});
const bounds = 'a receive of each side, a message each way after it; P1, P2 and the peer';

export const handOver: readonly CatalogWorld[] = [
  {
    name: plain.name,
    question: 'Does a connection move to another process with nothing lost and nothing to be seen at the peer?',
    bounds,
    effort: 'quick',
    definition: plain,
    properties: [
      ...handOverProperties(plain),
      implies(
        'S-16: what P1 has posted ends with nothing',
        isTold(Request.p1Receive),
        all(succeeded(Request.p1Receive), equal(bytes(Request.p1Receive), 0)),
      ),
    ],
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 1882, transitions: 6739, depth: 20 },
  },
  {
    name: failing.name,
    question: 'Does a hand-over that fails at any step end, with the peer told?',
    bounds,
    effort: 'quick',
    definition: failing,
    properties: handOverProperties(failing),
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 29_410, transitions: 161_604, depth: 24 },
  },
  {
    name: closing.name,
    question: 'The same, when each of the three sockets is closed at any time?',
    bounds,
    effort: 'quick',
    definition: closing,
    properties: handOverProperties(closing, { closing: true }),
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 144_724, transitions: 965_022, depth: 24 },
  },
  {
    name: careless.name,
    question: 'Does a hand-over end that is called with a send pending, which keeps the notice from the peer?',
    bounds: `${bounds}; a send of P1 that the peer has no receive for`,
    effort: 'quick',
    definition: careless,
    properties: handOverProperties(careless, { careless: true }),
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-06'],
    size: { states: 3212, transitions: 11_524, depth: 21 },
  },
  {
    name: holding.name,
    question:
      'Do receives of the socket that is handed over end in order, those too that the adapter has no place for?',
    bounds:
      'two receives of P1, one of which waits, and one of the peer; P1, P2 and the peer; whatever can fail, and closing',
    effort: 'quick',
    definition: holding,
    properties: [
      ...handOverProperties(holding).filter(({ name, kind }) => kind !== 'sometimes' && !name.startsWith('S-10')),
      implies(
        'S-16: a receive that waited and ends with nothing was handed over',
        all(succeeded(HELD), equal(bytes(HELD), 0)),
        handed,
      ),
      always(
        'S-16: no receive of P1 gets a message',
        each([Request.p1Receive, HELD], (number) => given(succeeded(number), not(bytes(number)))),
      ),
      implies(
        'S-13, S-16: the receive that waited is told of after the one before it',
        any(isTold(HELD), request(HELD).in('due')),
        any(isTold(Request.p1Receive), request(Request.p1Receive).in('due')),
      ),
      always(
        'S-16, 7.6: what waited is not posted any more',
        given(p1.in('dormant', 'closing', 'broken'), row('work', HELD).in('idle')),
      ),
      leadsTo(
        'L-11, L-01: P1 is told that the receive that waited is over',
        all(handed, isPending(HELD)),
        isTold(HELD),
        ['expire 0', 'notify 0', 'return 0'],
      ),
      sometimes(
        'both receives of P1 end with nothing',
        each([Request.p1Receive, HELD], (number) => all(succeeded(number), not(bytes(number)))),
      ),
      sometimes('the one that waits is broken with its connection', all(isTold(HELD), error(HELD))),
    ],
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 40_160, transitions: 238_264, depth: 19 },
  },
  {
    name: early.name,
    question: 'Is the first message received by the first receive, when the connection moves before it was sent?',
    bounds: `${bounds}; the peer accepted the connection, and calls its receive before or after it moves`,
    effort: 'quick',
    definition: early,
    properties: [
      ...handOverProperties(early),
      leadsTo(
        "S-33, L-12: P2's message is received, if the peer receives and both have the connection",
        all(structure(Request.p2Send).in('pending'), p2.in('connected.active')),
        succeeded(Request.peerReceive),
        [
          ...['notify 0', 'return 0', 'notify 1', 'return 1', 'notify 2', 'return 2', 'peer receives', 'deliver peer'],
          ...['complete 1', 'complete 2'],
        ],
      ),
      sometimes(
        'a receive comes after the move that the private one went with',
        all(
          peer.in('connected.active'),
          newOne.field('peer'),
          structure(Request.peerReceive).in('idle'),
          row('firstMessage', Who.peer).in('spent'),
        ),
      ),
      sometimes(
        'a receive that waits for the first message is held while the peer moves',
        all(peer.in('connected.suspended'), request(Request.peerReceive).in('held')),
      ),
    ],
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 4167, transitions: 15_158, depth: 21 },
  },
  {
    name: strange.name,
    question: 'Does a hand-over end, with everybody told, when the peer is no provider and can be told of nothing?',
    bounds: 'a receive of P1, a send and a receive of P2; whatever can fail, and closing',
    effort: 'quick',
    definition: strange,
    properties: strangeProperties(strange),
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 720, transitions: 2294, depth: 13 },
  },
  {
    name: everything.name,
    question:
      'Does nothing remain of a hand-over that fails, is closed, loses its adapter or is cleaned up at any step?',
    bounds: 'a receive of P1 and one of the peer; P1, P2 and the peer in one process',
    effort: 'quick',
    definition: everything,
    properties: [
      ...handOverProperties(everything).filter(
        ({ name, kind }) => kind !== 'sometimes' && kind !== 'leadsTo' && !name.startsWith('S-10'),
      ),
      leadsTo(
        'L-10, L-11: the last clean-up comes to its end, if up-calls return',
        row('provider', 0).in('cleaningUp'),
        row('provider', 0).in('uninitialised'),
        ['grant', 'notify 0', 'return 0', 'notify 1', 'return 1'],
      ),
      implies(
        'S-30, S-08: after it nothing is left',
        row('provider', 0).in('uninitialised'),
        each([0, 1, 2], (who) =>
          all(
            socket(who).in('unopened'),
            row('handle', who).in('none', 'closed'),
            not(row('timer', who).in('running')),
          ),
        ),
      ),
    ],
    assumes: ['E-01', 'E-02', 'E-03', 'E-04', 'E-06'],
    size: { states: 33_135, transitions: 255_541, depth: 17 },
  },
];
