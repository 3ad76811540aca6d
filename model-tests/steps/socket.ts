/** What the specification says of each step of a socket: answers, edges, and what is held of the surroundings. */

import { TimerKind, WSA } from '../../machines/index.ts';
import {
  among,
  enters,
  from,
  leaves,
  on,
  propertiesOf,
  type Step,
  type StepProperty,
  times,
  to,
  value,
} from './property.ts';

const p = propertiesOf('socket');

/** States that the switch can see and that last between calls. */
const lasting = [
  'created',
  'bound.idle',
  'listening',
  'connecting.pending',
  'connected.active',
  'connected.suspended',
  'connected.attaching',
  'broken',
  'dormant',
] as const;
/** States within a call that makes a socket. */
const opening = ['opening', 'orphaned', 'accepting', 'resuming'] as const;
const unconnected = ['created', 'bound', 'listening', 'connecting'] as const;
const others = (...but: readonly string[]): string[] =>
  ['created', 'bound', 'listening', 'connecting', 'connected', 'broken', 'dormant'].filter(
    (name) => !but.includes(name),
  );
const transfers = ['spi.send', 'spi.recv', 'spi.rdmaWrite', 'spi.rdmaRead'] as const;
const lossEvents = ['adapter.disconnected', 'adapter.flushNoticed'] as const;
/** News that the hand-over's notice is under way no longer: written, or never. */
const parting = [
  'adapter.mailboxWritten',
  'adapter.mailboxFailed',
  ...lossEvents,
  'adapter.fault',
  'adapter.connectEnded',
  'adapter.removed',
  'clock.expired',
] as const;

const closing = (step: Step): boolean => on(step, 'spi.closeSocket', 'provider.cleanup');
const attached = ({ before }: Step): boolean => before['attached'] === 1;

/** What a call, or what ends one, answers: the first cell that fits. `null`: its answer comes from elsewhere, or later. */
interface Answer {
  readonly on: readonly string[];
  readonly in: readonly string[];
  readonly when?: (step: Step) => boolean;
  readonly is: number | null | ((step: Step) => number | null);
}
const given = (step: Step): number => value(step.given, 'error');
const known = (step: Step): boolean => step.given['known'] === 1;
const answers: readonly Answer[] = [
  { on: ['spi.bind'], in: ['created'], is: 0 },
  { on: ['spi.bind'], in: others('created'), is: WSA.WSAEINVAL },
  { on: ['spi.connect'], in: ['created', 'listening', 'broken', 'dormant'], is: WSA.WSAEINVAL },
  { on: ['spi.connect'], in: ['connecting'], is: WSA.WSAEALREADY },
  { on: ['spi.connect'], in: ['connected'], is: WSA.WSAEISCONN },
  { on: ['spi.listen'], in: ['created', 'connecting', 'broken', 'dormant'], is: WSA.WSAEINVAL },
  { on: ['spi.listen'], in: ['connected'], is: WSA.WSAEISCONN },
  { on: ['spi.listen'], in: ['listening.open'], is: 0 },
  { on: ['spi.listen', 'spi.accept'], in: ['listening.lost'], is: WSA.WSAENETDOWN },
  { on: ['spi.accept'], in: others('listening'), is: WSA.WSAEINVAL },
  {
    on: ['spi.accept'],
    in: ['listening.open'],
    is: ({ before, given: { full } }) =>
      before['offered'] === before['queued'] ? WSA.WSAEWOULDBLOCK : full === 1 ? WSA.WSAEMFILE : null,
  },
  { on: ['spi.eventSelect', 'spi.setSockOpt'], in: others('dormant'), is: 0 },
  { on: ['spi.eventSelect', 'spi.setSockOpt'], in: ['dormant'], is: WSA.WSAEINVAL },
  { on: transfers, in: others('connected', 'broken'), is: WSA.WSAENOTCONN },
  { on: transfers, in: ['broken'], is: ({ before }) => value(before, 'reason') },
  { on: transfers, in: ['connected'], is: ({ given: { refusal } }) => (refusal === 0 ? null : refusal!) },
  { on: ['spi.registerMemory'], in: others('connected'), is: WSA.WSAENOTCONN },
  { on: ['spi.deregisterMemory'], in: unconnected, is: WSA.WSAEINVAL },
  {
    on: ['spi.deregisterMemory'],
    in: ['connected', 'broken', 'dormant'],
    is: (step) => (known(step) ? null : WSA.WSAEINVAL),
  },
  { on: ['spi.duplicateSocket'], in: ['listening', 'connected.active'], is: 0 },
  { on: ['spi.duplicateSocket'], in: others('listening'), is: WSA.WSAEINVAL },
  { on: ['spi.closeSocket'], in: [...lasting], is: 0 },
  // The calls that make a socket, WSPListen and WSPConnect are answered by what they have asked for.
  { on: ['upcall.handleCreated'], in: ['opening'], is: 0 },
  {
    on: ['upcall.handleCreated', 'upcall.handleRefused'],
    in: ['orphaned', 'accepting.orphaned'],
    is: WSA.WSANOTINITIALISED,
  },
  { on: ['upcall.handleRefused'], in: opening, is: given },
  { on: ['adapter.accepted'], in: ['accepting'], is: 0 },
  { on: ['dispatcher.refusalEnded'], in: ['accepting'], is: given },
  { on: ['adapter.connectStarted'], in: ['connecting'], is: WSA.WSAEWOULDBLOCK },
  { on: ['adapter.connectNotStarted'], in: ['connecting'], is: given },
  { on: ['adapter.connectStarted', 'adapter.listening'], in: ['resuming'], is: 0 },
  { on: ['adapter.connectNotStarted', 'adapter.listenFailed'], in: ['resuming'], is: WSA.WSAENETDOWN },
  { on: ['adapter.listening'], in: ['bound'], is: 0 },
  { on: ['adapter.listenFailed'], in: ['bound'], is: given },
];
const answerOf = (step: Step): number | null => {
  const cell = answers.find(
    (candidate) => on(step, ...candidate.on) && from(step, ...candidate.in) && (candidate.when?.(step) ?? true),
  );
  if (cell === undefined) return null;
  return typeof cell.is === 'function' ? cell.is(step) : cell.is;
};

const over = ['closing', 'closed'] as const;
const calls: readonly StepProperty[] = [
  p.holds(
    '10.2, 11.5: a call is answered as the table says, and nothing else is answered',
    (step) => {
      const said = step.effects.filter(({ name }) => name === 'answer').map(({ args }) => args['error']);
      const expected = answerOf(step);
      // Of several answers to one call the first counts.
      return expected === null ? said.length === 0 : said[0] === expected;
    },
    'answer',
    ...answers.flatMap((cell) => [...cell.on, ...cell.in]),
  ),
  p.leads('10.2, 10.3, S-01: calls and events lead where the tables say', [
    { on: ['spi.socket'], in: ['unopened'], to: ['opening'] },
    {
      on: ['spi.takeOver'],
      in: ['unopened'],
      when: ({ given: { listening } }) => listening === 1,
      to: ['resuming.listener'],
    },
    { on: ['spi.takeOver'], in: ['unopened'], to: ['resuming.connection'] },
    { on: ['request.acceptInto'], in: ['unopened'], to: ['accepting.opening'] },
    { on: ['upcall.handleCreated'], in: ['opening'], to: ['created'] },
    { on: ['upcall.handleCreated'], in: ['accepting.opening'], to: ['accepting.answering'] },
    { on: ['upcall.handleCreated'], in: ['orphaned', 'accepting.orphaned'], to: ['closed'] },
    { on: ['upcall.handleRefused'], in: opening, to: ['closed'] },
    { on: ['provider.cleanup'], in: ['opening', 'resuming'], to: ['orphaned'] },
    { on: ['provider.cleanup'], in: ['accepting.opening'], to: ['accepting.orphaned'] },
    { on: ['adapter.accepted'], in: ['accepting'], to: ['connected.active'] },
    { on: ['adapter.acceptFailed'], in: ['accepting'], to: ['accepting.refusing'] },
    { on: ['dispatcher.refusalEnded'], in: ['accepting'], to: ['closed'] },
    { on: ['adapter.connectStarted'], in: ['resuming'], to: ['connected.attaching'] },
    { on: ['adapter.listening'], in: ['resuming', 'bound'], to: ['listening.open'] },
    { on: ['adapter.removed'], in: ['listening.open'], to: ['listening.lost'] },
    { on: ['adapter.connectNotStarted', 'adapter.listenFailed'], in: ['resuming'], to: ['closed'] },
    { on: ['spi.bind'], in: ['created'], to: ['bound.idle'] },
    { on: ['spi.connect'], in: ['bound'], to: ['connecting.starting'] },
    { on: ['adapter.connectStarted'], in: ['connecting'], to: ['connecting.pending'] },
    { on: ['adapter.connectNotStarted'], in: ['connecting'], to: ['bound.idle'] },
    { on: ['spi.listen'], in: ['bound'], to: ['bound.opening'] },
    { on: ['adapter.listenFailed'], in: ['bound'], to: ['bound.idle'] },
    { on: ['adapter.established'], in: ['connecting', 'connected.attaching'], to: ['connected.active'] },
    {
      on: ['adapter.connectEnded', 'adapter.disconnected', 'clock.expired', 'adapter.removed'],
      in: ['connecting'],
      to: ['bound.idle'],
    },
    {
      on: lossEvents,
      in: ['connected.active'],
      when: ({ given: { migrating } }) => migrating === 1,
      to: ['connected.suspended'],
    },
    {
      on: [
        ...lossEvents,
        'adapter.fault',
        'adapter.connectEnded',
        'adapter.removed',
        'adapter.acceptFailed',
        'clock.expired',
      ],
      in: ['connected'],
      to: ['broken'],
    },
    { on: ['adapter.reattachRequested'], in: ['connected'], to: ['connected.reattaching'] },
    { on: ['adapter.reattached'], in: ['connected'], to: ['connected.active'] },
    { on: ['adapter.reattachFailed'], in: ['connected'], to: ['broken'] },
    { on: ['spi.duplicateSocket'], in: ['listening'], to: ['dormant.unlistening'] },
    { on: ['spi.duplicateSocket'], in: ['connected.active'], to: ['dormant.handing'] },
    { on: parting, in: ['dormant.handing'], to: ['dormant.parted'] },
    { on: parting, in: ['closing.handing'], to: ['closing.draining', 'closed'] },
    { on: ['spi.closeSocket'], in: ['dormant.handing'], to: ['closing.handing'] },
    { on: ['spi.closeSocket', 'provider.cleanup'], in: ['connected', 'broken'], to: ['closing.draining', 'closed'] },
    {
      on: ['spi.closeSocket', 'provider.cleanup'],
      in: ['dormant.handing', 'dormant.parted'],
      to: ['closing.draining', 'closed'],
    },
    { on: ['spi.closeSocket', 'provider.cleanup'], in: [...unconnected, 'dormant.unlistening'], to: ['closed'] },
    { on: ['provider.cleanup'], in: ['closing'], to: ['closing.draining', 'closed'] },
    {
      on: ['queue.drained', 'clock.expired', 'adapter.removed'],
      in: ['closing.draining'],
      to: ['closing.draining', 'closed'],
    },
  ]),
  p.holds(
    '16.2, L-07: what closes is closed when its two queues and its first message are drained, and not before',
    (step) => {
      if (step.event === 'provider.cleanup' && from(step, 'resuming', 'accepting', 'opening')) return null;
      if (to(step, 'closing.draining')) return value(step.after, 'drained') < 3;
      return from(step, 'connected', 'broken', 'dormant.handing', 'dormant.parted', 'closing') && to(step, 'closed')
        ? step.after['drained'] === 3
        : null;
    },
  ),
  p.expects('10.2: every call works in every state, or says why not', lasting, [
    'spi.connect',
    'spi.accept',
    'spi.eventSelect',
    'spi.bind',
    'spi.listen',
    ...transfers,
    'spi.registerMemory',
    'spi.deregisterMemory',
    'spi.setSockOpt',
    'spi.duplicateSocket',
    'spi.closeSocket',
  ]),
  p.expects(
    '2.2, 9.4: the last clean-up ends every socket, those that an up-call is made for too',
    [...lasting, 'opening', 'accepting.opening', 'resuming', ...over],
    ['provider.cleanup'],
    (step) => !from(step, 'closed'),
  ),
  p.expects(
    '10.3: the adapter can be lost in every state that lasts, and inside the up-calls that make a socket',
    [...lasting, 'opening', 'orphaned', 'accepting.opening', 'accepting.orphaned', 'resuming', 'closing'],
    ['adapter.removed'],
  ),
  p.expects(
    '10.3, 16.2: late news of a connection that is over is ignored',
    ['broken', 'closing'],
    ['adapter.established', 'adapter.connectEnded', ...lossEvents, 'adapter.fault'],
  ),
  p.expects(
    'A.2: the passive side hears of its connection too',
    ['connected.active', 'dormant'],
    ['adapter.established'],
  ),
  p.expects(
    'A.2, 15.2: an attempt comes to some end, and so does a take-over',
    ['connecting.pending', 'connected.attaching'],
    ['adapter.established', 'adapter.connectEnded', 'adapter.disconnected', 'clock.expired'],
  ),
  p.expects(
    '10.3: a connection can be lost in every way',
    ['connected.active', 'connected.attaching'],
    [...lossEvents, 'adapter.fault', 'adapter.connectEnded'],
  ),
  p.expects('15.2: the notice of a hand-over ends in every way', ['dormant.handing', 'closing.handing'], parting),
  p.expects(
    '15.4: a peer whose end has moved is answered, whatever has become of this end',
    ['bound.idle', 'listening', 'connecting.pending', 'connected.active', 'connected.suspended', 'broken', 'closing'],
    ['adapter.reattachRequested'],
  ),
  p.expects(
    'WSD-060, 15.4, WSD-218: what has a bound in time hears that it is reached',
    ['connecting.pending', 'connected.suspended', 'connected.attaching', 'dormant.handing', 'closing'],
    ['clock.expired'],
  ),
  p.expects(
    'D-23: a first message that is too long is a fault, while the peer moves too',
    ['connected.suspended'],
    ['adapter.fault'],
  ),
  p.expects(
    '16.2: queues are drained after the connection',
    ['broken', 'dormant', 'closing'],
    ['queue.drained'],
    (step) => value(step.before, 'drained') < 3,
  ),
  p.expects(
    '3.1: a switch handle is made or refused',
    ['opening', 'orphaned', 'accepting.opening', 'accepting.orphaned', 'resuming'],
    ['upcall.handleCreated', 'upcall.handleRefused'],
  ),
  p.expects(
    '4.2: the adapter listens or does not',
    ['bound.opening', 'resuming.listener'],
    ['adapter.listening', 'adapter.listenFailed'],
  ),
  p.expects(
    '4.1: an attempt begins or does not',
    ['connecting.starting', 'resuming.connection'],
    ['adapter.connectStarted', 'adapter.connectNotStarted'],
  ),
  p.expects(
    '4.3: the adapter tells the peer or fails',
    ['accepting.answering'],
    ['adapter.accepted', 'adapter.acceptFailed'],
  ),
  p.expects(
    '15.4: and so it does when the peer is back',
    ['connected.active'],
    ['adapter.accepted', 'adapter.acceptFailed'],
  ),
  p.expects(
    '15.4: a returning connection is taken or not',
    ['connected.reattaching'],
    ['adapter.reattached', 'adapter.reattachFailed'],
  ),
  p.expects(
    '3.1, 4.3, 15.2: a socket begins in three ways',
    ['unopened'],
    ['spi.socket', 'spi.takeOver', 'request.acceptInto'],
  ),
];

/** States with a handle of the switch's, from the up-call that makes it to the one that closes it. */
const withHandle = (step: Step): boolean =>
  !from(step, 'unopened') && !(from(step, ...opening) && on(step, 'upcall.handleRefused'));
/** States in which nothing can have been registered and no private memory taken: there is nothing to free. */
const bare = (step: Step): boolean => from(step, 'opening', 'orphaned', 'accepting.opening', 'accepting.orphaned');

const handles: readonly StepProperty[] = [
  p.exactly('S-10, 3.1, 4.3: a socket makes one switch handle, when it begins', 'createSwitchHandle', (step) =>
    leaves(step, 'unopened'),
  ),
  p.exactly('S-30: the provider counts a socket that begins', 'socketOpened', (step) => leaves(step, 'unopened')),
  p.order('S-30: it is counted before the first up-call is made for it', ['socketOpened'], ['createSwitchHandle']),
  p.exactly(
    'S-08, S-10, WSD-023: a handle that was made is closed once, with the socket',
    'closeSwitchHandle',
    (step) => to(step, 'closed') && withHandle(step),
  ),
  p.exactly('S-11, WSD-024: a socket is forgotten when it is closed', 'socketClosed', (step) => to(step, 'closed')),
  p.exactly(
    'WSD-189, WSD-258: what is registered is released with the socket',
    'freeBuffers',
    (step) => to(step, 'closed') && withHandle(step) && !bare(step),
  ),
  p.order('16.2: what is registered is released before the handle is closed', ['freeBuffers'], ['closeSwitchHandle']),
  p.order(
    '16.2, S-08: closing the handle is the last that the switch hears of a socket',
    ['refuseQueued', 'stopEvents', 'connectEnded', 'disconnect', 'destroyConnector', 'stopListening'],
    ['closeSwitchHandle'],
  ),
  p.order('S-11: and only then is it forgotten', ['closeSwitchHandle', 'freeBuffers'], ['socketClosed']),
];

const events: readonly StepProperty[] = [
  p.exactly(
    'WSD-107, S-29: events stop when the socket is closed or handed over',
    'stopEvents',
    (step) => !from(step, 'dormant', 'closing') && to(step, 'dormant', ...over),
  ),
  p.order(
    'WSD-107: and do so before anything that can end the socket',
    ['stopEvents'],
    ['freeBuffers', 'haltQueues', 'abortRequests', 'loseRequests'],
  ),
  p.exactly(
    '4.4: a selection is passed on where it is allowed',
    'selectEvents',
    (step) => on(step, 'spi.eventSelect') && !from(step, 'dormant'),
  ),
  p.argument('4.4: with what was selected', 'selectEvents', 'accept', ({ given: { accept } }) => accept!),
  p.argument('4.4: with what was selected', 'selectEvents', 'connect', ({ given: { connect } }) => connect!),
  p.exactly('4.1: an attempt that begins is an attempt', 'connectStarted', (step) =>
    enters(step, 'connecting.pending'),
  ),
  p.exactly(
    'S-25, L-04, 10.3: an attempt is reported when it ends, and not when the socket is closed',
    'connectEnded',
    (step) => leaves(step, 'connecting.pending') && !closing(step),
  ),
  p.argument('10.3, A.2: with what it has come to', 'connectEnded', 'error', (step) => {
    if (on(step, 'adapter.established')) return 0;
    if (on(step, 'adapter.connectEnded')) return given(step);
    return on(step, 'adapter.removed') ? WSA.WSAENETDOWN : WSA.WSAETIMEDOUT;
  }),
  p.order('WSD-059: the socket works before the switch is told', ['openQueues', 'destroyConnector'], ['connectEnded']),
];

/** Kind of the timer that a state needs; null: none. */
function timerOf(state: string): number | null {
  if (state === 'connecting.pending') return TimerKind.connect;
  if (among(state, ['connected.suspended', 'connected.attaching', 'dormant.handing'])) return TimerKind.migration;
  return state === 'closing.handing' ? TimerKind.close : null;
}
/** Closed while the adapter still has something of it: that is bounded in time. */
const beginsToDrain = (step: Step): boolean =>
  on(step, 'spi.closeSocket') && enters(step, 'closing', 'closed') && from(step, 'connected.active', 'broken');

const timers: readonly StepProperty[] = [
  p.holds(
    'WSD-060, 15.4, WSD-218: a timer is started when something begins that has a bound in time',
    (step) => {
      const begins = timerOf(step.to) !== null && step.from !== step.to;
      return times(step, 'startTimer') === (begins || beginsToDrain(step) ? 1 : 0);
    },
    'startTimer',
  ),
  p.argument(
    'WSD-060, 15.4, WSD-218: with its kind',
    'startTimer',
    'kind',
    (step) => timerOf(step.to) ?? TimerKind.close,
  ),
  p.holds(
    'L-04, L-07, L-11: a timer runs as long as what it bounds',
    (step) => {
      if (step.from === step.to) return times(step, 'stopTimer') === 0;
      let runs = (timerOf(step.from) !== null || from(step, 'closing.draining')) && !on(step, 'clock.expired');
      for (const { name } of step.effects) {
        if (name === 'startTimer') runs = true;
        if (name === 'stopTimer') runs = false;
      }
      return runs === (timerOf(step.to) !== null || (to(step, 'closing.draining') && beginsToDrain(step)));
    },
    'stopTimer',
  ),
  p.order('L-07: a timer is started before what can end the socket', ['startTimer'], ['abortRequests', 'loseRequests']),
  p.holds(
    'L-07, S-11: and stopped before that: the row may be another socket by then, with a timer of its own',
    (step) => {
      if (timerOf(step.from) === null) return null;
      const { effects } = step;
      const stopped = effects.findIndex(({ name }) => name === 'stopTimer');
      const ending = effects.findIndex(({ name }) =>
        ['haltQueues', 'abortRequests', 'loseRequests', 'handOverReceives', 'closeSwitchHandle'].includes(name),
      );
      return stopped < 0 || ending < 0 ? null : stopped < ending;
    },
    'stopTimer',
    'closeSwitchHandle',
  ),
];

/** Whether the adapter has a connector after `step`, by what has happened. */
function keepsConnector(step: Step): boolean {
  if (on(step, 'adapter.connectStarted', 'adapter.accepted', 'adapter.reattached')) return true;
  // The adapter is gone, or nobody has the time to wait for a flush.
  if (on(step, 'provider.cleanup', 'adapter.removed')) return false;
  if (from(step, 'connecting.pending')) return on(step, 'adapter.established') || step.from === step.to;
  if (from(step, 'connected.attaching')) return !leaves(step, 'connected');
  if (from(step, 'dormant.handing', 'closing.handing')) return to(step, 'dormant.handing', 'closing.handing');
  if (from(step, 'connected.active')) return !to(step, 'connected.suspended', 'connected.reattaching');
  if (from(step, 'closing.draining') && on(step, 'clock.expired')) return false;
  return attached(step);
}
const attempts = (step: Step): boolean => on(step, 'adapter.connectNotStarted');
/** A connection ends by this end's doing, and the peer is to hear of it. */
const parts = (step: Step): boolean =>
  on(step, ...parting) && from(step, 'dormant.handing', 'closing.handing') && step.from !== step.to;
const breaks = (step: Step): boolean => enters(step, 'broken') && from(step, 'connected.active');

const connectors: readonly StepProperty[] = [
  p.holds(
    '16.2, 10.3, A.1: the adapter has a connector from the beginning of a connection to the end of its flush',
    (step) => (to(step, 'closed') ? null : (step.after['attached'] === 1) === keepsConnector(step)),
    'attached',
  ),
  p.exactly(
    '16.2, S-19: a connector is destroyed when it is over, and what is left of one that could not start',
    'destroyConnector',
    (step) => attempts(step) || (attached(step) && (to(step, 'closed') || !keepsConnector(step))),
  ),
  p.exactly(
    '16.2, 4.7: the peer hears that the connection is ended, unless nobody can tell it',
    'disconnect',
    (step) =>
      parts(step) ||
      (breaks(step) && !on(step, 'adapter.removed')) ||
      (on(step, 'spi.closeSocket') && from(step, 'connecting.pending', 'connected.active', 'connected.attaching')),
  ),
  p.order('16.2: before the connector is destroyed', ['disconnect'], ['destroyConnector']),
  p.order(
    '16.2: a connection is ended before what it served is',
    ['disconnect', 'destroyConnector'],
    [
      'suspendQueues',
      'haltQueues',
      'breakRequests',
      'abortRequests',
      'loseRequests',
      'handOverReceives',
      'freeBuffers',
    ],
    ({ before }) => value(before, 'drained') < 3,
  ),
  p.exactly(
    '4.1: WSPConnect starts an attempt',
    'startConnect',
    (step) => on(step, 'spi.connect') && from(step, 'bound'),
  ),
  p.exactly(
    '15.2: a take-over connects as soon as it has a handle',
    'startReattach',
    (step) => on(step, 'upcall.handleCreated') && from(step, 'resuming.connection'),
  ),
  p.exactly('15.4: a peer that is back is taken', 'acceptReattach', (step) => enters(step, 'connected.reattaching')),
  p.order('15.4: when the old connection is gone', ['destroyConnector', 'suspendQueues'], ['acceptReattach']),
  p.exactly(
    '15.4: a peer that comes for what is not there is refused',
    'rejectReattach',
    (step) => on(step, 'adapter.reattachRequested') && !to(step, 'connected.reattaching'),
  ),
  p.exactly('15.2, A.2: the peer is told of a hand-over, when it begins', 'writeMailbox', (step) =>
    enters(step, 'dormant.handing'),
  ),
  p.order(
    '15.2: when nothing can be sent behind it, and its end is bounded',
    ['haltQueues', 'startTimer'],
    ['writeMailbox'],
  ),
];

/** Why a connection is lost. Source: 10.3, 11.3; for an end that was taken over: D-03. */
function causeOf(step: Step): number {
  if (on(step, 'adapter.removed') || from(step, 'connected.attaching')) return WSA.WSAENETDOWN;
  return on(step, 'adapter.fault', 'adapter.connectEnded') ? WSA.WSAECONNABORTED : WSA.WSAECONNRESET;
}
/** The socket goes from where it has requests to where it only waits for their end. */
const isClosed = (step: Step): boolean => closing(step) && to(step, 'closing', 'closed');
const hasRequests = ['connected', 'broken', 'dormant.handing', 'closing.handing', 'closing.draining'] as const;
const loses = (step: Step): boolean =>
  (enters(step, 'broken') && !keepsConnector(step)) ||
  parts(step) ||
  (isClosed(step) && from(step, 'connected.suspended', 'connected.attaching')) ||
  (attached(step) && from(step, ...hasRequests) && !keepsConnector(step) && !to(step, 'connected'));

const requests: readonly StepProperty[] = [
  p.becomes('S-11, 10.1: a broken socket knows why', 'reason', (step) => enters(step, 'broken'), causeOf),
  p.exactly(
    '10.4, WSD-059: queues open with the connection',
    'openQueues',
    (step) => to(step, 'connected') && from(step, 'accepting', 'connecting'),
  ),
  p.argument('7.5: with a private first receive at the accepting side', 'openQueues', 'first', (step) =>
    from(step, 'accepting') ? 1 : 0,
  ),
  p.exactly('15.2, D-03: they wait while an end that was taken over connects', 'openQueuesPaused', (step) =>
    enters(step, 'connected.attaching'),
  ),
  p.exactly(
    '15.2: until it is there',
    'resumeQueues',
    (step) => from(step, 'connected.attaching') && to(step, 'connected.active'),
  ),
  p.exactly(
    '15.4: requests wait while the peer moves',
    'suspendQueues',
    (step) => from(step, 'connected.active') && to(step, 'connected.suspended', 'connected.reattaching'),
  ),
  p.exactly(
    '15.4: receives are posted before the peer is told that it may send',
    'resumeReceives',
    (step) => from(step, 'connected.reattaching') && to(step, 'connected.active'),
  ),
  p.exactly(
    '15.4: and sends when it has been told',
    'resumeSends',
    (step) => on(step, 'adapter.accepted') && from(step, 'connected'),
  ),
  p.exactly('16.2: new posts stop when the connection is over', 'haltQueues', (step) => leaves(step, 'connected')),
  p.order('16.2: before what is pending ends', ['haltQueues'], ['breakRequests', 'abortRequests', 'loseRequests']),
  p.exactly(
    '16.2, 10.3: what is pending at the adapter ends with the cause',
    'breakRequests',
    (step) => enters(step, 'broken') && keepsConnector(step),
  ),
  p.argument('11.3: with the cause', 'breakRequests', 'error', causeOf),
  p.exactly(
    '16.2, 2.2, WSD-211: closing aborts what is pending, but what a hand-over completes',
    'abortRequests',
    (step) =>
      isClosed(step) &&
      (from(step, 'connected') ||
        (from(step, 'broken') && (on(step, 'spi.closeSocket') || attached(step))) ||
        (from(step, 'dormant.handing', 'closing.handing') && on(step, 'provider.cleanup'))),
  ),
  p.exactly('16.2, L-01: what no flush will end, ends at once', 'loseRequests', loses),
  p.argument('11.3: with why', 'loseRequests', 'error', (step) => {
    if (parts(step)) return WSA.WSAECONNABORTED;
    if (to(step, 'broken')) return causeOf(step);
    return WSA.WSA_OPERATION_ABORTED;
  }),
  p.exactly('4.7, 15.2: a hand-over completes the receives', 'handOverReceives', parts),
  p.order('11.3: before anything else ends them otherwise', ['handOverReceives'], ['loseRequests', 'abortRequests']),
  p.order('11.3: closing is their cause, before losing the connection', ['abortRequests'], ['loseRequests']),

  p.becomes(
    '7.3, D-19: once something was read, sends wait',
    'fenceDue',
    (step) => on(step, 'spi.rdmaRead') && from(step, 'connected') && step.given['refusal'] === 0,
    () => 1,
  ),
  p.exactly(
    '5.1, 5.4: a send, a write and a read are admitted',
    'admitSend',
    (step) =>
      on(step, 'spi.send', 'spi.rdmaWrite', 'spi.rdmaRead') && from(step, 'connected') && step.given['refusal'] === 0,
  ),
  p.exactly(
    '5.2: a receive is admitted',
    'admitReceive',
    (step) => on(step, 'spi.recv') && from(step, 'connected') && step.given['refusal'] === 0,
  ),
  ...(['request', 'polled', 'pieces'] as const).flatMap((name) => [
    p.argument('11.2: as it was called', 'admitSend', name, (step) => value(step.given, name)),
    p.argument('11.2: as it was called', 'admitReceive', name, (step) => value(step.given, name)),
  ]),
  p.argument('7.3: a send behind a read is fenced', 'admitSend', 'fence', (step) =>
    on(step, 'spi.send') ? value(step.before, 'fenceDue') : value(step.given, 'fence'),
  ),
  p.argument('7.3: a receive as it was called', 'admitReceive', 'fence', (step) => value(step.given, 'fence')),
  p.exactly(
    '6.1: memory is registered',
    'registerBuffer',
    (step) => on(step, 'spi.registerMemory') && from(step, 'connected'),
  ),
  p.argument('6.1: that which was named', 'registerBuffer', 'buffer', ({ given: { buffer } }) => buffer!),
  p.exactly(
    '6.2: and deregistered, if it was',
    'deregisterBuffer',
    (step) => on(step, 'spi.deregisterMemory') && from(step, 'connected', 'broken', 'dormant') && known(step),
  ),
  p.argument('6.2: that which was named', 'deregisterBuffer', 'buffer', ({ given: { buffer } }) => buffer!),
  p.becomes(
    '16.2: what is drained is counted',
    'drained',
    (step) => on(step, 'queue.drained'),
    ({ before }) => value(before, 'drained') + 1,
  ),
];

/** Requests wait that may be offered: what FD_ACCEPT says. Source: section 12; D-06. */
const isReady = ({ after }: Step): number =>
  value(after, 'offered') < value(after, 'queued') && after['deferred'] === 0 ? 1 : 0;
const arrives = (step: Step): boolean => on(step, 'adapter.connectRequest');
const fits = ({ before }: Step): boolean => value(before, 'queued') < value(before, 'backlog');
/** WSPAccept takes the oldest request. */
const takes = (step: Step): boolean =>
  on(step, 'spi.accept') &&
  from(step, 'listening.open') &&
  value(step.before, 'offered') < value(step.before, 'queued') &&
  step.given['full'] === 0;
const losesListener = (step: Step): boolean => enters(step, 'listening.lost');
const stopsListening = (step: Step): boolean => leaves(step, 'listening');
const trims = ({ before }: Step): boolean =>
  value(before, 'backlog') < value(before, 'queued') && value(before, 'offered') < value(before, 'queued');

const listeners: readonly StepProperty[] = [
  p.exactly(
    '4.2, 15.2: a listener listens',
    'startListening',
    (step) => enters(step, 'bound.opening') || (on(step, 'upcall.handleCreated') && from(step, 'resuming.listener')),
  ),
  p.exactly('4.6, 4.7, 2.2: until it is closed or handed over', 'stopListening', stopsListening),
  p.exactly('WSD-089: then what is queued is refused', 'refuseQueued', stopsListening),
  p.exactly('10.3, D-28: when its device is gone, what is queued is dropped', 'dropQueued', losesListener),
  p.exactly('4.5, D-28: and that is a network event', 'listenerLost', losesListener),
  p.argument('D-06, D-28: which no deferred request keeps back', 'listenerLost', 'deferred', ({ before }) =>
    value(before, 'deferred') > 0 ? 1 : 0,
  ),
  p.order('D-28: of which the switch hears when they are gone', ['dropQueued'], ['listenerLost']),
  p.order('4.6: when nothing more can come', ['stopListening'], ['refuseQueued', 'closeSwitchHandle']),
  p.holds(
    '4.2: its backlog is the last that was asked for',
    (step) => {
      const { after, before } = step;
      const asks =
        (on(step, 'spi.listen') && from(step, 'bound', 'listening.open')) ||
        (on(step, 'spi.takeOver') && step.given['listening'] === 1);
      if (asks) return after['backlog'] === step.given['backlog'];
      if (on(step, 'adapter.listenFailed') && to(step, 'bound')) return after['backlog'] === 0;
      return after['backlog'] === before['backlog'];
    },
    'backlog',
  ),
  p.exactly(
    'S-21, WSD-071, WSD-074: a request is queued while there is room',
    'enqueueRequest',
    (step) => arrives(step) && fits(step),
  ),
  p.exactly('WSD-074: and recorded', 'requestQueued', (step) => arrives(step) && fits(step)),
  p.order('WSD-074: when it can be accepted', ['enqueueRequest'], ['requestQueued']),
  p.exactly('WSD-072: one beyond is refused at once', 'refuseArrival', (step) => arrives(step) && !fits(step)),
  ...(['enqueueRequest', 'refuseArrival'] as const).map((name) =>
    p.argument('4.2: that which has come', name, 'request', ({ given: { request } }) => request!),
  ),
  p.holds(
    '4.2, 4.3, S-21: queued are those that have come and not left',
    (step) => {
      const queued = value(step.before, 'queued');
      const now = step.after['queued'];
      if (arrives(step) && fits(step)) return now === queued + 1;
      if (on(step, 'request.left', 'request.deferredLeft')) return now === queued - 1;
      // A WSPAccept that decides has still to end.
      return now === (losesListener(step) ? step.before['offered'] : queued);
    },
    'queued',
  ),
  p.holds(
    'S-24: offered are those that a condition function decides on',
    (step) => {
      const offered = value(step.before, 'offered');
      const now = step.after['offered'];
      if (takes(step)) return now === offered + 1;
      if (on(step, 'request.deferred') || (on(step, 'request.left') && step.given['offered'] === 1)) {
        return now === offered - 1;
      }
      return now === offered;
    },
    'offered',
  ),
  p.holds(
    '4.3, WSD-081: deferred are those that were given back, the oldest ones',
    (step) => {
      const deferred = value(step.before, 'deferred');
      const now = step.after['deferred'];
      if (on(step, 'request.deferred')) return now === deferred + 1;
      if (on(step, 'request.deferredLeft')) return now === deferred - 1;
      if (takes(step)) return now === Math.max(0, deferred - 1);
      return now === (losesListener(step) ? 0 : deferred);
    },
    'deferred',
  ),
  p.exactly('WSD-076, WSD-077: WSPAccept offers the oldest', 'offerOldest', takes),
  p.argument('4.3: for the socket that is to take it', 'offerOldest', 'socket', ({ given: { socket } }) => socket!),
  p.exactly(
    '12, WSD-085, WSD-086, D-06: WSPAccept re-enables FD_ACCEPT when it ends, unless it defers',
    'acceptEnded',
    (step) =>
      (on(step, 'spi.accept') && from(step, 'listening') && !takes(step)) ||
      (on(step, 'request.left') && step.given['offered'] === 1) ||
      on(step, 'request.deferredLeft'),
  ),
  p.argument('WSD-085: with whether it has a socket', 'acceptEnded', 'accepted', (step) =>
    on(step, 'request.left') ? value(step.given, 'accepted') : 0,
  ),
  p.argument('12, WSD-086: and whether more may be offered', 'acceptEnded', 'ready', isReady),
  p.argument('4.4, WSD-102: a selection learns whether a request waits', 'selectEvents', 'ready', (step) =>
    from(step, 'listening') ? isReady(step) : 0,
  ),
  p.exactly(
    'WSD-073: a smaller backlog refuses the newest, one after another',
    'refuseNewest',
    (step) => on(step, 'listener.trim') && trims(step),
  ),
  p.exactly(
    'WSD-073: as long as there are too many',
    'trim',
    (step) => (on(step, 'listener.trim') && trims(step)) || (on(step, 'spi.listen') && from(step, 'listening.open')),
  ),
  p.order('WSD-073: and looks again', ['refuseNewest'], ['trim']),
  p.expects('4.2: a listener is asked', ['listening.open'], ['adapter.connectRequest', 'listener.trim']),
  p.expects('4.3: and told what becomes of a request', ['listening'], ['request.left']),
  p.expects(
    '4.3, D-06: of one that was deferred too',
    ['listening.open'],
    ['request.deferred', 'request.deferredLeft'],
  ),

  p.becomes(
    '4.3: an accepted socket is made of one request',
    'request',
    (step) => on(step, 'request.acceptInto'),
    ({ given: { request } }) => request!,
  ),
  p.exactly('4.3, S-22: the peer is told when there is a handle', 'acceptConnection', (step) =>
    enters(step, 'accepting.answering'),
  ),
  p.exactly(
    'S-23: a request is accepted once its socket is connected',
    'tookRequest',
    (step) => from(step, 'accepting') && to(step, 'connected'),
  ),
  p.exactly(
    'S-23, 4.3: and refused if it fails',
    'droppedRequest',
    (step) =>
      enters(step, 'accepting.refusing') ||
      (from(step, 'accepting.opening', 'accepting.orphaned') && to(step, 'closed')),
  ),
  p.exactly('L-10: and is over when all is told of that, a clean-up inside it included', 'endRefusal', (step) =>
    enters(step, 'accepting.refusing'),
  ),
  p.argument('4.3: with why', 'endRefusal', 'error', given),
  p.order('L-10: it tells before it ends', ['droppedRequest'], ['endRefusal']),
  p.order('L-10, S-08: a handle is closed before anybody else is told', ['closeSwitchHandle'], ['droppedRequest']),
  p.expects(
    'L-10: the provider can be cleaned up meanwhile, and the adapter removed',
    ['accepting.refusing'],
    ['dispatcher.refusalEnded', 'provider.cleanup', 'adapter.removed'],
  ),
  ...(['acceptConnection', 'tookRequest', 'droppedRequest'] as const).map((name) =>
    p.argument('4.3: its own request', name, 'request', ({ before }) => value(before, 'request')),
  ),
  p.order('10.4: the socket works before anything is told of it', ['openQueues'], ['tookRequest']),
];

export const socketProperties: readonly StepProperty[] = [
  ...calls,
  ...handles,
  ...events,
  ...timers,
  ...connectors,
  ...requests,
  ...listeners,
];
