/** What the specification says of each step of a connection request: one verdict, told once. */

import { RejectReason, WSA } from '../../machines/index.ts';
import { enters, from, leaves, on, propertiesOf, type Step, type StepProperty, to, value } from './property.ts';

const p = propertiesOf('connectionRequest');

const verdicts = ['condition.accepted', 'condition.rejected', 'condition.deferred', 'condition.invalid'] as const;
/** In its listener's list. */
const listed = [
  'queued',
  'deferred',
  'offered',
  'withdrawnWhileOffered',
  'closedWhileOffered',
  'lostWhileOffered',
  'accepting',
  'acceptingUnlistened',
] as const;
const over = ['accepted', 'refused', 'withdrawn', 'gone'] as const;
/** Its listener is there no more. */
const isUnlistened = (step: Step): boolean =>
  on(step, 'listener.closed', 'listener.lost') || from(step, 'closedWhileOffered', 'acceptingUnlistened');
const decides = (step: Step): boolean => on(step, ...verdicts);

export const arrivalProperties: readonly StepProperty[] = [
  p.leads('4.3, S-23: a request gets one verdict', [
    { on: ['listener.queued'], in: ['arrived'], to: ['queued'] },
    { on: ['listener.overflow'], in: ['arrived'], to: ['refused'] },
    { on: ['listener.offer'], in: ['queued', 'deferred'], to: ['offered'] },
    { on: ['listener.trimmed', 'listener.closed', 'listener.lost'], in: ['queued', 'deferred'], to: ['refused'] },
    { on: ['adapter.withdrawn'], in: ['queued', 'deferred'], to: ['withdrawn'] },
    { on: ['condition.accepted'], in: ['offered'], to: ['accepting'] },
    { on: ['condition.rejected', 'condition.invalid'], in: ['offered'], to: ['refused'] },
    { on: ['condition.deferred'], in: ['offered'], to: ['deferred'] },
    {
      on: ['listener.closed'],
      in: ['offered', 'withdrawnWhileOffered', 'lostWhileOffered'],
      to: ['closedWhileOffered'],
    },
    { on: ['listener.lost'], in: ['offered'], to: ['lostWhileOffered'] },
    { on: ['adapter.withdrawn'], in: ['offered'], to: ['withdrawnWhileOffered'] },
    { on: verdicts, in: ['closedWhileOffered', 'withdrawnWhileOffered', 'lostWhileOffered'], to: ['gone'] },
    { on: ['socket.connected'], in: ['accepting', 'acceptingUnlistened'], to: ['accepted'] },
    { on: ['socket.refused'], in: ['accepting', 'acceptingUnlistened'], to: ['refused'] },
    { on: ['listener.closed'], in: ['accepting'], to: ['acceptingUnlistened'] },
  ]),
  p.expects('4.2: a request is queued or refused', ['arrived'], ['listener.queued', 'listener.overflow']),
  p.expects(
    '4.2, 4.3, D-28: one that waits is offered, trimmed, closed, lost or withdrawn',
    ['queued', 'deferred'],
    ['listener.offer', 'listener.trimmed', 'listener.closed', 'listener.lost', 'adapter.withdrawn'],
  ),
  p.expects(
    '4.3, D-04: a condition function says whatever it likes, and closes the listener first',
    ['offered', 'closedWhileOffered', 'withdrawnWhileOffered', 'lostWhileOffered'],
    [...verdicts, 'listener.closed'],
  ),
  p.expects(
    '10.3, D-28: inside a call, too, the listener can be lost; or the one that has its row by then',
    ['offered', 'withdrawnWhileOffered', 'closedWhileOffered', 'accepting', 'acceptingUnlistened'],
    ['listener.lost'],
  ),
  p.expects(
    '4.3: the peer may withdraw until it is told',
    ['offered', 'lostWhileOffered', 'accepting', 'acceptingUnlistened'],
    ['adapter.withdrawn'],
  ),
  p.expects(
    '4.3: a socket takes it or fails',
    ['accepting', 'acceptingUnlistened'],
    ['socket.connected', 'socket.refused', 'listener.closed'],
  ),

  p.becomes(
    '4.3: it is offered for a socket',
    'socket',
    (step) => on(step, 'listener.offer'),
    ({ given: { socket } }) => socket!,
  ),
  p.exactly('WSD-077, S-24: the condition function is called once for an offer', 'callConditionFunction', (step) =>
    enters(step, 'offered'),
  ),
  p.exactly('WSD-079: CF_ACCEPT makes a socket of it', 'acceptInto', (step) => enters(step, 'accepting')),
  p.argument('WSD-079: that for which it was offered', 'acceptInto', 'socket', ({ before }) => value(before, 'socket')),
  p.exactly(
    'S-22, S-23, WSD-080, WSD-089, D-04: the peer is refused when that is decided, once',
    'rejectConnection',
    (step) =>
      enters(step, 'refused') ||
      (on(step, 'listener.closed') && from(step, 'offered', 'lostWhileOffered')) ||
      (decides(step) && from(step, 'lostWhileOffered')),
  ),
  p.argument('A.2, D-14: with why', 'rejectConnection', 'reason', (step) =>
    on(step, 'condition.rejected', 'condition.invalid') && from(step, 'offered')
      ? RejectReason.condition
      : RejectReason.backlogFull,
  ),
  p.exactly(
    '10.4: a request that is over is out of the queue',
    'leaveQueue',
    (step) => from(step, ...listed) && to(step, ...over),
  ),
  p.exactly('10.4: and forgotten', 'forget', (step) => enters(step, ...over)),
  p.exactly(
    '4.3, S-21: the listener counts what has left it',
    'left',
    (step) =>
      from(step, ...listed) && to(step, ...over) && !isUnlistened(step) && !(from(step, 'deferred') && !decides(step)),
  ),
  p.argument('S-24: whether it was offered', 'left', 'offered', (step) => (from(step, 'queued') ? 0 : 1)),
  p.argument('WSD-085: whether it was accepted', 'left', 'accepted', (step) => (to(step, 'accepted') ? 1 : 0)),
  p.exactly('WSD-081: and what was given back', 'deferred', (step) => enters(step, 'deferred')),
  p.exactly(
    'D-06: which can leave too, and the others count again',
    'leftDeferred',
    (step) => leaves(step, 'deferred') && to(step, ...over) && !isUnlistened(step),
  ),
  p.order('S-21: it is counted when it is out of the queue', ['leaveQueue'], ['left', 'leftDeferred']),
  p.exactly(
    '4.3: WSPAccept is answered when the condition function has decided',
    'answer',
    (step) => decides(step) && !to(step, 'accepting'),
  ),
  p.argument('4.3, D-04, D-28: by what it said, or what happened meanwhile', 'answer', 'error', (step) => {
    if (from(step, 'closedWhileOffered')) return WSA.WSAENOTSOCK;
    if (from(step, 'withdrawnWhileOffered')) return WSA.WSAECONNRESET;
    if (from(step, 'lostWhileOffered')) return WSA.WSAENETDOWN;
    if (on(step, 'condition.rejected')) return WSA.WSAECONNREFUSED;
    return on(step, 'condition.deferred') ? WSA.WSATRY_AGAIN : WSA.WSAEINVAL;
  }),
  p.order(
    'S-22, S-23: the peer is refused before the request is forgotten',
    ['rejectConnection', 'leaveQueue', 'left', 'leftDeferred'],
    ['forget'],
  ),
];
