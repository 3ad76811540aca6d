/** What the specification says of each step of a request queue, and of the first message. */

import { type Limits, pendingMax, WSA } from '../../machines/index.ts';
import { enters, from, leaves, on, propertiesOf, type Step, type StepProperty, value } from './property.ts';

const q = propertiesOf('requestQueue');

const field = ({ before }: Step, name: string): number => value(before, name);
const admits = (step: Step): boolean => on(step, 'queue.admit');
const isConnected = (step: Step): boolean => from(step, 'open', 'paused');

/** Properties for `limits`; the machines count against them. */
function queueProperties(limits: Limits): readonly StepProperty[] {
  const isFull = (step: Step): boolean => field(step, 'pending') === pendingMax(limits);
  const admitted = (step: Step): boolean => admits(step) && !isFull(step);
  const pairs = (step: Step): boolean => admitted(step) && field(step, 'first') === 1;
  const posts = (step: Step): boolean =>
    admitted(step) &&
    !pairs(step) &&
    from(step, 'open') &&
    field(step, 'held') === 0 &&
    field(step, 'posted') < field(step, 'places');
  const holds = (step: Step): boolean => admitted(step) && !pairs(step) && !posts(step);
  const returns = (step: Step): boolean => on(step, 'request.creditReturned');
  /** A held request gets the place that another gives back, or one of those that there are. */
  const replaces = (step: Step): boolean => returns(step) && from(step, 'open') && field(step, 'held') > 0;
  const pumps = (step: Step): boolean =>
    on(step, 'queue.pump') && field(step, 'held') > 0 && field(step, 'posted') < field(step, 'places');
  const suspends = (step: Step): boolean => on(step, 'socket.suspended');
  const lost = (step: Step): boolean => on(step, 'socket.lost') && from(step, 'halted');

  return [
    q.leads('10.4, 15.4, 16.2: a queue follows its connection', [
      { on: ['socket.opened'], in: ['unopened'], to: ['open'] },
      { on: ['socket.attaching'], in: ['unopened'], to: ['paused'] },
      { on: ['socket.suspended'], in: ['open'], to: ['paused'] },
      { on: ['socket.resumed'], in: ['paused'], to: ['open'] },
      { on: ['socket.halted'], in: ['open', 'paused'], when: (step) => field(step, 'pending') > 0, to: ['halted'] },
      { on: ['socket.halted'], in: ['open', 'paused'], to: ['drained'] },
      { on: ['request.retired'], in: ['halted'], when: (step) => field(step, 'pending') === 1, to: ['drained'] },
      { on: ['socket.freed'], in: ['unopened', 'drained'], to: ['freed'] },
    ]),
    q.exactly('S-09, 16.2: it is drained when nothing is pending any more', 'queueDrained', (step) =>
      enters(step, 'drained'),
    ),
    q.expects('7.6: a queue of a connection takes requests', ['open', 'paused'], ['queue.admit', 'socket.halted']),
    q.expects(
      '11.3: and hears what becomes of them',
      ['open', 'paused', 'halted'],
      ['request.creditReturned'],
      (step) => field(step, 'posted') > 0,
    ),
    q.expects(
      '11.3: and of their end',
      ['open', 'paused', 'halted'],
      ['request.retired'],
      (step) => field(step, 'pending') > 0,
    ),
    q.expects(
      '15.4: it can be suspended, and looks for room when it is not',
      ['open'],
      ['socket.suspended', 'queue.pump'],
    ),
    q.expects('15.4: and resumed', ['paused'], ['socket.resumed', 'firstMessage.missed']),
    q.expects(
      '16.2: after the connection it can be lost at any time',
      ['unopened', 'halted', 'drained'],
      ['socket.lost'],
    ),
    q.expects('16.2: and is freed with its socket', ['unopened', 'drained'], ['socket.freed']),
    q.expects('10.4, 15.2: it opens with a connection', ['unopened'], ['socket.opened', 'socket.attaching']),

    q.becomes(
      'D-29: places are as many as the adapter has room for',
      'places',
      (step) => on(step, 'adapter.limited'),
      ({ given }) => given['places']!,
    ),
    q.expects(
      'D-29: which is known before there is a connection, or a new one',
      ['unopened', 'paused'],
      ['adapter.limited'],
    ),

    q.exactly('7.5: the first request is paired with the private first receive', 'pairRequest', pairs),
    q.exactly('7.6: a request is posted while there is room and none waits', 'startRequest', posts),
    q.exactly('7.6: otherwise it waits', 'holdRequest', holds),
    ...(['pairRequest', 'startRequest', 'holdRequest'] as const).flatMap((effect) =>
      (['request', 'polled', 'fence', 'pieces'] as const).map((name) =>
        q.argument('11.2: as it was called', effect, name, ({ given }) => given[name]!),
      ),
    ),
    q.exactly('11.5: an admitted call is answered, and a refused one', 'answer', admits),
    q.argument('WSD-165, 11.5: pending, or no buffers beyond the limit', 'answer', 'error', (step) =>
      isFull(step) ? WSA.WSAENOBUFS : WSA.WSA_IO_PENDING,
    ),
    q.order('7.6, D-18: what posting finds out answers first', ['startRequest', 'pairRequest'], ['answer']),
    q.exactly(
      '7.6, 11.4: a place that is free goes to the oldest that waits',
      'postOldestHeld',
      (step) => replaces(step) || pumps(step),
    ),
    q.exactly('7.6: and then it is looked for the next', 'pump', (step) => pumps(step) || on(step, 'socket.resumed')),
    q.order('11.4: in the order of the calls', ['postOldestHeld'], ['pump']),
    q.holds(
      '7.6: posted are those that the adapter has',
      (step) => {
        const posted = field(step, 'posted');
        const now = step.after['posted'];
        if (pairs(step) || posts(step) || pumps(step)) return now === posted + 1;
        if (returns(step) && !replaces(step)) return now === posted - 1;
        return now === (suspends(step) || lost(step) ? 0 : posted);
      },
      'posted',
    ),
    q.holds(
      '7.6, 15.4: held are those that wait, and those that a connection had when it moved',
      (step) => {
        const held = field(step, 'held');
        const now = step.after['held'];
        if (holds(step)) return now === held + 1;
        if (replaces(step) || pumps(step)) return now === held - 1;
        if (suspends(step)) return now === held + field(step, 'posted');
        return now === (leaves(step, 'open', 'paused') ? 0 : held);
      },
      'held',
    ),
    q.holds(
      'WSD-165: pending are all that are not over',
      (step) => {
        const pending = field(step, 'pending');
        const now = step.after['pending'];
        if (admitted(step)) return now === pending + 1;
        return now === (on(step, 'request.retired') ? pending - 1 : pending);
      },
      'pending',
    ),
    q.holds(
      '7.5: one request is paired, the first',
      (step) => {
        const now = step.after['first'];
        if (on(step, 'socket.opened', 'socket.attaching')) return now === step.given['first'];
        return now === (pairs(step) || on(step, 'firstMessage.missed') ? 0 : field(step, 'first'));
      },
      'first',
    ),
    q.holds('16.2: nothing is posted or admitted without a connection', (step) =>
      isConnected(step) ? null : step.effects.every(({ name }) => name === 'queueDrained' || name === 'ignored'),
    ),
  ];
}

const m = propertiesOf('firstMessage');
const request = ({ given }: Step): number => given['request']!;

const messageProperties: readonly StepProperty[] = [
  m.leads('7.5, S-33: message and request wait for each other', [
    { on: ['socket.opened'], in: ['unopened'], when: ({ given: { first } }) => first === 1, to: ['expecting'] },
    { on: ['socket.opened'], in: ['unopened'], to: ['spent'] },
    { on: ['queue.paired'], in: ['expecting'], to: ['waiting'] },
    { on: ['queue.paired'], in: ['held'], to: ['spent'] },
    { on: ['adapter.firstArrived'], in: ['expecting'], to: ['held'] },
    { on: ['adapter.firstArrived'], in: ['waiting'], to: ['spent'] },
    { on: ['socket.suspended'], in: ['expecting', 'waiting'], to: ['spent'] },
    { on: ['socket.halted'], in: ['expecting', 'waiting'], to: ['draining'] },
    { on: ['socket.halted'], in: ['held', 'spent'], to: ['drained'] },
    { on: ['adapter.firstArrived', 'adapter.firstFlushed', 'socket.lost'], in: ['draining'], to: ['drained'] },
    { on: ['socket.freed'], in: ['unopened', 'drained'], to: ['freed'] },
  ]),
  m.exactly(
    '7.5, S-33: whichever comes second has the message copied',
    'copyFirstMessage',
    (step) =>
      (on(step, 'queue.paired') && from(step, 'held')) || (on(step, 'adapter.firstArrived') && from(step, 'waiting')),
  ),
  m.argument('7.5: into the request that was paired', 'copyFirstMessage', 'request', (step) =>
    on(step, 'queue.paired') ? request(step) : value(step.before, 'request'),
  ),
  m.becomes(
    '7.5: which is the first',
    'request',
    (step) => on(step, 'queue.paired') && from(step, 'expecting'),
    request,
  ),
  m.exactly(
    '15.4: a private receive that goes with its connector, and no request was paired with, is missed',
    'missed',
    (step) => on(step, 'socket.suspended') && from(step, 'expecting'),
  ),
  m.exactly('16.2, S-09: the adapter gives its memory back before the socket is freed', 'queueDrained', (step) =>
    enters(step, 'drained'),
  ),
  m.expects('7.5: the message can come, and the request', ['expecting'], ['adapter.firstArrived', 'queue.paired']),
  m.expects('7.5: to each other', ['waiting'], ['adapter.firstArrived']),
  m.expects('7.5: in any order', ['held'], ['queue.paired']),
  m.expects(
    '15.4, 16.2: a connection can move or end at any time',
    ['expecting', 'waiting', 'held', 'spent'],
    ['socket.halted', 'socket.suspended'],
  ),
  m.expects(
    '16.2: what the adapter has comes back, or is lost',
    ['draining'],
    ['adapter.firstArrived', 'adapter.firstFlushed', 'socket.lost'],
  ),
  m.expects('16.2: late losses are ignored', ['unopened', 'drained'], ['socket.lost', 'socket.freed']),
  m.expects('10.4: it opens with a connection', ['unopened'], ['socket.opened']),
  m.holds('S-33: nothing else is asked for', (step) => step.effects.length <= 1),
];

export const queuesProperties = (limits: Limits): readonly StepProperty[] => [
  ...queueProperties(limits),
  ...messageProperties,
];
