/**
 * A listener: every peer gets one verdict, and the switch learns of every request that it may accept.
 *
 * Three peers ask and withdraw at any time, a backlog of 2 shrinks to 1, a switch selects, enumerates, accepts, defers,
 * refuses and closes in any order, inside its condition function too, and the device goes at any time. Three peers suffice: one is being decided on, one
 * waits behind it, one is too many.
 */

import {
  all,
  any,
  always,
  atMost,
  before,
  choose,
  each,
  equal,
  iff,
  implies,
  leadsTo,
  less,
  not,
  type Property,
  row,
  some,
  sometimes,
  transition,
  given,
} from '../explorer/index.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { lifecycle } from './lifecycle.ts';
import { listening as listeningWorld } from './listening.ts';

const socket = row('socket', 0);
const record = row('networkEvents', 0);
const acceptor = row('acceptor', 0);
const recorded = record.field('acceptRecorded');
const enabled = record.field('acceptEnabled');
const eventObject = row('eventObject', 0);
const listening = socket.in('listening');
const lost = socket.in('listening.lost');
const undeferred = all(
  socket.in('listening.open'),
  less(socket.field('offered'), socket.field('queued')),
  not(socket.field('deferred')),
);
const waiting = (peer: number) => row('peer', peer).in('waiting');

/** The deferred request has left the queue undecided. */
const undeferring = all(before(socket.field('deferred')), not(socket.field('deferred')));

export function listenerProperties(peers: number): Property[] {
  const everyone = Array.from({ length: peers }, (_, peer) => peer);
  return [
    implies(
      'S-21: the queue is never longer than the backlog',
      listening,
      atMost(
        socket.field('queued'),
        choose(
          less(socket.field('backlog'), socket.field('offered')),
          socket.field('offered'),
          socket.field('backlog'),
        ),
      ),
    ),
    implies(
      'S-22: who is being decided on has been told nothing',
      acceptor.in('deciding'),
      each(everyone, (peer) =>
        given(equal(acceptor.field('current'), peer), row('peer', peer).in('waiting', 'withdrawn')),
      ),
    ),
    always(
      'S-23: nobody gets two verdicts',
      each(everyone, (peer) => atMost(row('peer', peer).field('verdicts'), 1)),
    ),
    implies(
      'S-23: who waits for a verdict is a request of the listener',
      some(everyone, waiting),
      each(everyone, (peer) => given(waiting(peer), not(row('connectionRequest', peer).in('arrived')))),
    ),
    implies(
      'S-27: what the switch has selected is selected, and nothing else',
      listening,
      all(iff(record.field('acceptSelected'), acceptor.field('selected')), not(record.field('connectSelected'))),
    ),
    implies(
      'S-27: FD_ACCEPT is recorded only while it is selected',
      record.field('acceptRecorded'),
      record.field('acceptSelected'),
    ),
    // D-06: when a deferred request is withdrawn or refused, those behind it count as new.
    // A record is cleared by an enumeration, which reports it, or by a selection.
    transition(
      'S-27: FD_ACCEPT is recorded once, until WSPAccept or WSPEventSelect enables it again',
      all(
        given(
          all(not(before(recorded)), recorded),
          all(not(enabled), any(before(enabled), not(acceptor.field('reported')), undeferring)),
        ),
        given(all(listening, not(before(enabled)), enabled), any(not(acceptor.field('reported')), undeferring)),
      ),
    ),
    always('S-24: the condition function is called inside WSPAccept, once', not(acceptor.field('stray'))),
    always(
      'S-24: a call is answered before it returns, inside the condition function too: no lock is held',
      not(acceptor.field('unanswered')),
    ),
    always('S-23, S-34: each call is answered once, and with what it may be', not(acceptor.field('wrong'))),
    always(
      'S-02: the adapter listens for a socket that does, and for no other',
      iff(row('port', 0).in('open'), socket.in('listening.open')),
    ),
    implies(
      'L-05, S-28: a request that may be accepted is on record, or was reported',
      all(acceptor.in('idle'), undeferred, record.field('acceptSelected')),
      any(record.field('acceptRecorded'), acceptor.field('reported')),
    ),
    implies(
      'L-05, S-28: while something is on record the event is set',
      record.field('acceptRecorded'),
      eventObject.in('set'),
    ),
    implies('S-29: a closed listener sets no event', eventObject.in('over'), not(eventObject.field('late'))),
    implies(
      'S-08, S-10: the handle of a closed listener is closed, once',
      acceptor.in('closed', 'decidingClosed'),
      all(row('handle', 0).in('closed'), equal(row('handle', 0).field('closes'), 1)),
    ),
    ...everyone.map((peer) =>
      leadsTo(`L-06: peer ${peer} gets a verdict, if the switch closes`, waiting(peer), not(waiting(peer)), ['close']),
    ),
    sometimes(
      'a peer withdraws while it is decided on',
      some(everyone, (peer) => row('connectionRequest', peer).in('withdrawnWhileOffered')),
    ),
    sometimes(
      'the listener is closed inside the condition function',
      some(everyone, (peer) => row('connectionRequest', peer).in('closedWhileOffered')),
    ),
    sometimes('a request is deferred', socket.field('deferred')),
  ];
}

/** What holds of a listener whose device can be removed. */
function removalProperties(peers: number): Property[] {
  const everyone = Array.from({ length: peers }, (_, peer) => peer);
  const request = (peer: number) => row('connectionRequest', peer);
  return [
    always('10.3, D-28: a listener is lost with its device, and only then', iff(row('port', 0).in('lost'), lost)),
    implies(
      'L-06, D-28: a listener that is lost holds nothing of its backlog but what WSPAccept decides on',
      lost,
      each(everyone, (peer) =>
        all(
          given(waiting(peer), request(peer).in('lostWhileOffered')),
          request(peer).in('arrived', 'lostWhileOffered', 'withdrawnWhileOffered'),
        ),
      ),
    ),
    implies(
      'L-05, S-28, D-28: that a listener is lost is on record, or FD_ACCEPT was reported',
      all(acceptor.in('idle'), lost, record.field('lossUnreported'), record.field('acceptSelected')),
      any(recorded, acceptor.field('reported')),
    ),
    implies(
      'S-27, D-28: that a listener is lost is recorded until it was reported, and not again',
      lost,
      iff(record.field('lossUnreported'), not(acceptor.field('told'))),
    ),
    sometimes(
      'the loss is kept back until WSPAccept',
      all(lost, record.field('lossUnreported'), record.field('acceptSelected'), not(recorded)),
    ),
    sometimes('the loss is on record', all(lost, recorded)),
    sometimes(
      'the loss is to be told to who selects',
      all(lost, record.field('lossUnreported'), not(record.field('acceptSelected'))),
    ),
    sometimes(
      'the device is removed inside the condition function',
      some(everyone, (peer) => request(peer).in('lostWhileOffered')),
    ),
    sometimes('the switch is told of the loss', acceptor.field('told')),
  ];
}

const three = listeningWorld({ name: 'three peers', peers: 3, removable: true });
const accepting = listeningWorld({ name: 'who keeps accepting', peers: 2, defer: false, removable: true });

export const listener: readonly CatalogWorld[] = [
  {
    name: three.name,
    question: 'Does every peer get one verdict, and does the switch learn of every request that it may accept?',
    bounds: 'three peers, a backlog of 2 or 1, one accepted socket at a time',
    effort: 'quick',
    definition: three,
    properties: [
      ...listenerProperties(3),
      ...removalProperties(3),
      ...lifecycle(three),
      ...agreement(three),
      sometimes(
        'a peer is one too many',
        all(listening, equal(socket.field('queued'), 2), row('peer', 2).in('refused')),
      ),
    ],
    assumes: ['E-04'],
    size: { states: 11_338, transitions: 108_126, depth: 20 },
  },
  {
    name: accepting.name,
    question: 'Does every peer get a verdict from a switch that keeps accepting and defers nobody?',
    bounds: 'two peers, a backlog of 2 or 1, one accepted socket at a time',
    effort: 'quick',
    definition: accepting,
    properties: [
      ...[0, 1].map((peer) =>
        leadsTo(`L-06: peer ${peer} gets a verdict, if the switch keeps accepting`, waiting(peer), not(waiting(peer)), [
          'accept',
          'decide',
          'close accepted',
          'flush',
        ]),
      ),
      leadsTo(
        'L-05, D-28: that a listener is lost comes on record, if the switch keeps accepting',
        all(lost, record.field('lossUnreported'), record.field('acceptSelected')),
        any(recorded, not(lost), not(record.field('acceptSelected'))),
        ['accept', 'decide', 'close accepted', 'flush'],
      ),
      ...agreement(accepting),
    ],
    assumes: ['E-04'],
    size: { states: 1772, transitions: 15_328, depth: 15 },
  },
];
