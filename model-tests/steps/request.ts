/** What the specification says of each step of an overlapped request: one end, with its error, in its order. */

import { WSA } from '../../machines/index.ts';
import { enters, from, leaves, on, propertiesOf, type Step, type StepProperty, times, to, value } from './property.ts';

const p = propertiesOf('overlappedRequest');

const starts = ['queue.start', 'queue.hold', 'queue.pair'] as const;
/** The adapter has work requests of it. */
const atAdapter = ['posted', 'breaking', 'aborting'] as const;
/** Its outcome isn't known. */
const open = ['held', 'paired', ...atAdapter] as const;
/** It was started and nobody was told of its end. */
const pending = [...open, 'finished'] as const;
const told = ['due', 'notifying', 'done'] as const;
const carriedOut = ['adapter.completed', 'adapter.failed', 'adapter.flushed'] as const;

const more = ({ before }: Step): boolean => value(before, 'pieces') > 1;
/** The last of its work requests is back. */
const isBack = (step: Step): boolean => on(step, ...carriedOut) && from(step, ...atAdapter) && !more(step);
/** Its end is known by this step. */
const ends = (step: Step): boolean =>
  isBack(step) ||
  (on(step, 'firstMessage.copied') && from(step, 'paired')) ||
  (on(step, 'socket.lost', 'socket.handedOver') && from(step, ...open)) ||
  (on(step, 'socket.broken', 'socket.closing') && from(step, 'held', 'paired'));
/** It becomes the oldest of its queue, or is that. */
const isOldest = (step: Step): boolean => on(step, 'queue.head') || step.before['head'] === 1;
const isPolled = ({ before }: Step): boolean => before['polled'] === 1;
const isReported = (step: Step): boolean =>
  isOldest(step) && (ends(step) || (from(step, 'finished') && step.before['head'] === 0 && on(step, 'queue.head')));
const refused = (step: Step): boolean => on(step, 'adapter.postRefused');

/** What it ends with, as far as `step` says. Source: 11.3, A.3. */
function errorAfter(step: Step): number | null {
  const { event, given, before } = step;
  const error = value(before, 'error');
  if (from(step, ...open) && ends(step)) {
    if (from(step, 'aborting')) return WSA.WSA_OPERATION_ABORTED;
    if (event === 'adapter.completed' || event === 'socket.handedOver') return 0;
    if (event === 'socket.closing') return WSA.WSA_OPERATION_ABORTED;
    // The first cause stays: what broke the connection, or what the request itself failed with.
    if (event === 'adapter.flushed' || (from(step, 'breaking') && event === 'socket.lost')) return error;
    return value(given, 'error');
  }
  if (event === 'socket.closing' && from(step, 'finished')) return WSA.WSA_OPERATION_ABORTED;
  if (event === 'socket.broken' && from(step, 'posted')) return value(given, 'error');
  if (event === 'adapter.failed' && from(step, 'posted', 'breaking')) return value(given, 'error');
  // Nobody will be told it.
  if (from(step, 'aborting', 'breaking') && to(step, 'aborting')) return null;
  return error;
}

/** Bytes that it ends with. Source: 11.3. */
function bytesAfter(step: Step): number {
  const { event, given, before } = step;
  if (event === 'socket.closing' && from(step, 'finished')) return 0;
  if (!from(step, ...open) || !ends(step)) return value(before, 'bytes');
  if (from(step, 'aborting')) return 0;
  return event === 'adapter.completed' || event === 'firstMessage.copied' ? value(given, 'bytes') : 0;
}

export const requestProperties: readonly StepProperty[] = [
  p.leads('11.3, S-03: a request goes on as its causes say, and ends once', [
    { on: ['queue.start'], in: ['unstarted'], to: ['posted'] },
    { on: ['queue.hold'], in: ['unstarted'], to: ['held'] },
    { on: ['queue.pair'], in: ['unstarted'], to: ['paired'] },
    { on: ['queue.postNow'], in: ['held'], to: ['posted'] },
    { on: ['adapter.postRefused'], in: ['posted'], to: ['done'] },
    { on: ['adapter.failed'], in: ['posted'], when: more, to: ['breaking'] },
    { on: ['socket.broken'], in: ['posted'], to: ['breaking'] },
    { on: ['socket.closing'], in: ['posted', 'breaking'], to: ['aborting'] },
    { on: ['socket.suspended'], in: ['paired', 'posted'], to: ['held'] },
    {
      on: [...carriedOut, 'firstMessage.copied', 'socket.lost', 'socket.handedOver', 'socket.broken', 'socket.closing'],
      in: open,
      when: (step) => ends(step) && !isOldest(step),
      to: ['finished'],
    },
    {
      on: [
        ...carriedOut,
        'firstMessage.copied',
        'socket.lost',
        'socket.handedOver',
        'socket.broken',
        'socket.closing',
        'queue.head',
      ],
      in: pending,
      when: (step) => isReported(step) && isPolled(step),
      to: ['done'],
    },
    {
      on: [
        ...carriedOut,
        'firstMessage.copied',
        'socket.lost',
        'socket.handedOver',
        'socket.broken',
        'socket.closing',
        'queue.head',
      ],
      in: pending,
      when: isReported,
      to: ['due'],
    },
    { on: ['dispatcher.notify'], in: ['due'], to: ['notifying'] },
    { on: ['upcall.returned'], in: ['notifying'], to: ['done'] },
  ]),
  p.expects('11.3: an unstarted request is started, or refused', ['unstarted'], [...starts, 'spi.refused']),
  p.expects('16.2, L-01: whatever the adapter has may come back in every way', ['breaking', 'aborting'], carriedOut),
  p.expects(
    '11.3: a posted request is completed, fails, or is refused',
    ['posted'],
    ['adapter.completed', 'adapter.failed', 'adapter.postRefused'],
  ),
  p.expects(
    '16.2, 10.3: a request that is open hears of what becomes of its socket',
    ['held', 'paired', 'posted'],
    ['socket.broken', 'socket.closing', 'socket.lost', 'socket.suspended', 'socket.handedOver'],
  ),
  p.expects(
    '16.2: and so it does when the connection is over',
    ['breaking'],
    ['socket.broken', 'socket.closing', 'socket.lost'],
  ),
  p.expects('16.2: and so it does when the socket is closed', ['aborting'], ['socket.lost']),
  p.expects(
    '11.4: one that only waits for its turn hears of it too',
    ['finished'],
    ['socket.closing', 'socket.broken'],
  ),
  p.expects('11.4: any request may become the oldest', pending, ['queue.head']),
  p.expects('7.6: a held request is posted when there is room', ['held'], ['queue.postNow']),
  p.expects('7.5: a paired request gets its message', ['paired'], ['firstMessage.copied']),
  p.expects('S-06, L-03: what is due is notified', ['due'], ['dispatcher.notify']),
  p.expects('9.4: an up-call returns, failed or not', ['notifying'], ['upcall.returned']),

  p.exactly('11.1, S-07: a structure is marked when its request is started', 'markPending', (step) =>
    leaves(step, 'unstarted'),
  ),
  p.order('11.1, WSD-124: before it is posted', ['markPending'], ['postWork']),
  p.exactly('7.6: a request is posted when it is started or has room', 'postWork', (step) => enters(step, 'posted')),
  p.argument('7.3: behind a read, if it has to be', 'postWork', 'fence', ({ before, given, event }) =>
    event === 'queue.start' ? given['fence']! : before['fence']!,
  ),
  p.argument('7.6: all its work requests', 'postWork', 'pieces', ({ before, given, event }) =>
    event === 'queue.start' ? given['pieces']! : before['pieces']!,
  ),
  ...(['polled', 'fence'] as const).map((name) =>
    p.becomes(
      `11.2, 7.3: ${name} is read once, at the start`,
      name,
      (step) => on(step, ...starts),
      ({ given }) => given[name]!,
    ),
  ),
  p.holds(
    '7.6: a request waits for all its work requests',
    (step) => {
      const pieces = value(step.before, 'pieces');
      const now = value(step.after, 'pieces');
      if (on(step, ...starts)) return now === step.given['pieces'];
      // It is over: nobody counts any more.
      if (refused(step)) return null;
      if (ends(step) || (on(step, 'socket.closing') && from(step, 'finished'))) return now === 0;
      return now === (on(step, ...carriedOut) && from(step, ...atAdapter) ? pieces - 1 : pieces);
    },
    'pieces',
  ),
  p.becomes(
    '11.4: the oldest of a queue knows that it is',
    'head',
    (step) => on(step, 'queue.head'),
    () => 1,
  ),
  p.holds(
    '11.3, A.3: it ends with the error of its first cause',
    (step) => {
      const expected = refused(step) ? null : errorAfter(step);
      return expected === null ? null : step.after['error'] === expected;
    },
    'error',
  ),
  p.holds(
    '11.3: and with the bytes that were moved',
    (step) => (refused(step) ? null : step.after['bytes'] === bytesAfter(step)),
    'bytes',
  ),
  p.exactly(
    '7.6: what the adapter gives back makes room',
    'creditReturned',
    (step) => isBack(step) || refused(step) || on(step, 'firstMessage.copied'),
  ),
  p.holds(
    'S-35, WSD-135: memory is released when nothing needs it any more, before anybody is told',
    (step) => {
      const count = times(step, 'releaseBuffers');
      const first = step.effects.findIndex(({ name }) => name === 'releaseBuffers');
      const tells = step.effects.findIndex(({ name }) =>
        ['publish', 'requestNotification', 'leaveOrder', 'retire'].includes(name),
      );
      const releases = (from(step, ...open) && ends(step)) || refused(step) || on(step, 'spi.refused');
      return count === (releases ? 1 : 0) && (tells < 0 || count === 0 || first < tells);
    },
    'releaseBuffers',
  ),
  p.exactly(
    'WSD-122, S-05, 9.4: a polled outcome is published once, and one whose up-call has failed',
    'publish',
    (step) => (isReported(step) && isPolled(step)) || (on(step, 'upcall.returned') && step.given['failed'] === 1),
  ),
  p.exactly(
    'WSD-123, S-06: any other is notified once',
    'requestNotification',
    (step) => isReported(step) && !isPolled(step),
  ),
  p.exactly('S-06: by one up-call', 'completeOverlappedRequest', (step) => on(step, 'dispatcher.notify')),
  ...(['publish', 'completeOverlappedRequest'] as const).flatMap((name) =>
    (['error', 'bytes'] as const).map((argument) =>
      p.argument('S-06, 11.3: with its own outcome', name, argument, ({ after }) => after[argument]!),
    ),
  ),
  p.exactly(
    'S-13, WSD-134: it gives up its place when it is reported, so that the next is the oldest',
    'leaveOrder',
    (step) => isReported(step) || refused(step),
  ),
  p.order('S-13, WSD-134: after it has been reported', ['publish', 'requestNotification'], ['leaveOrder', 'retire']),
  p.exactly('S-09, 11.3: it is over when it has been reported', 'retire', (step) => enters(step, 'done')),
  p.order('11.4: having given up its place', ['leaveOrder', 'creditReturned'], ['retire']),
  p.exactly('7.6, S-04: one that the adapter refuses at once was never started', 'unmarkPending', refused),
  p.exactly('7.6, D-18: and says so', 'answer', refused),
  p.argument('7.6, D-18: there is no room', 'answer', 'error', () => WSA.WSAENOBUFS),
  p.holds(
    '11.3: nothing happens to a request that is told of',
    (step) =>
      from(step, ...told)
        ? step.before['error'] === step.after['error'] && step.before['bytes'] === step.after['bytes']
        : null,
    'error',
  ),
];
