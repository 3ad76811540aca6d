/**
 * The connecting side: one attempt after another, what the switch is told of each, and closing at any time.
 *
 * A peer answers, refuses, has no listener, or says nothing; the adapter can be unable to begin, can be removed, can lose
 * the connection before it was reported to be up. The switch selects, enumerates, connects and closes in any order: it
 * need not select before it connects (E-04). One socket suffices, since attempts meet only in its event record.
 */

import * as chart from '../../machines/index.ts';
import {
  connectResult,
  field,
  flag,
  language,
  type MachineDefinition,
  oneOf,
  type Signature,
  WSA,
} from '../../machines/index.ts';
import {
  all,
  always,
  any,
  each,
  equal,
  given,
  iff,
  implies,
  leadsTo,
  not,
  type Property,
  row,
  type Rule,
  sometimes,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { lifecycle } from './lifecycle.ts';
import { eventObject } from './listening.ts';
import { fromTimers, handOverEffects, requestEffects, rowsOfSockets, toHandles, toTimers } from './performances.ts';
import { beginnings, rejections } from './rejections.ts';
import { wsa } from './requirements.ts';
import { errorNumber, handle, isNeverReturned, smallest, timer } from './surroundings.ts';

/** What is certain of a refusal, and final for the switch: the peer's provider said so, or the configuration does; 0: nothing. */
const said = oneOf(0, WSA.WSAECONNREFUSED, WSA.WSAECONNRESET);
/** What the driver makes of it. */
const result = oneOf(0, WSA.WSAECONNREFUSED, WSA.WSAECONNRESET, WSA.WSAETIMEDOUT);

/**
 * The adapter's connector, and the peer at its other end.
 *
 * @param removable - its device can be removed, which ends it whatever it was at
 */
export function attempt(removable = false): MachineDefinition {
  const contract = {
    context: {
      /** Why the peer's provider has refused this attempt; 0 when it has not. */
      said: field(said),
      /** How the attempt will be reported to have ended. */
      result: field(result),
    },
    events: {
      start: {},
      obstruct: { error: oneOf(WSA.WSAENETUNREACH, WSA.WSAENOBUFS, WSA.WSAENETDOWN) },
      accept: {},
      refuse: { said, result },
      fail: {},
      lose: {},
      ...(removable ? { remove: {} } : {}),
      report: {},
      disconnect: {},
      destroyed: {},
    },
    effects: {
      started: {},
      notStarted: { error: oneOf(WSA.WSAENETUNREACH, WSA.WSAENOBUFS, WSA.WSAENETDOWN) },
      established: {},
      ended: { error: connectResult },
      disconnected: {},
      ...(removable ? { removed: {} } : {}),
    } as Signature,
  } as const;
  const { context: c, event, update, effect } = language(contract);
  const start = { target: 'trying', actions: [update({ said: 0 }), effect('started', {})] };
  const destroyed = { target: 'idle' } as const;
  const forget = update({ result: 0 });
  const remove = removable ? { remove: { target: 'down', actions: effect('removed', {}) } } : {};
  return machineOver(contract, {
    id: 'attempt',
    initial: 'idle',
    states: {
      idle: {
        on: {
          start,
          // The next attempt can't begin.
          obstruct: [
            { guard: { type: 'when', params: chart.equal(event('error'), WSA.WSAENETUNREACH) }, target: 'noRoute' },
            { guard: { type: 'when', params: chart.equal(event('error'), WSA.WSAENOBUFS) }, target: 'noRoom' },
            { target: 'noNetwork' },
          ],
          destroyed: { target: 'idle' },
        },
      },
      ...Object.fromEntries(
        (
          [
            ['noRoute', WSA.WSAENETUNREACH],
            ['noRoom', WSA.WSAENOBUFS],
            ['noNetwork', WSA.WSAENETDOWN],
          ] as const
        ).map(([name, error]) => [
          name,
          {
            on: {
              start: { target: 'idle', actions: effect('notStarted', { error }) },
              destroyed: { target: name },
            },
          },
        ]),
      ),
      trying: {
        on: {
          accept: { target: 'accepted' },
          refuse: { target: 'ended', actions: update({ said: event('said'), result: event('result') }) },
          // No answer, or none that is certain.
          fail: { target: 'ended', actions: update({ result: WSA.WSAETIMEDOUT }) },
          disconnect: { target: 'down' },
          ...remove,
          destroyed,
        },
      },
      // The answer is in the queue of connection events.
      accepted: {
        on: {
          report: { target: 'up', actions: effect('established', {}) },
          // The connection is gone before it was reported to be up, and only that is reported.
          lose: { target: 'lost' },
          disconnect: { target: 'down' },
          ...remove,
          destroyed,
        },
      },
      ended: {
        on: {
          report: { target: 'down', actions: [effect('ended', { error: c.result }), forget] },
          disconnect: { target: 'down', actions: forget },
          ...(removable ? { remove: { target: 'down', actions: [forget, effect('removed', {})] } } : {}),
          destroyed: { ...destroyed, actions: forget },
        },
      },
      up: { on: { lose: { target: 'lost' }, disconnect: { target: 'down' }, ...remove, destroyed } },
      lost: {
        on: {
          report: { target: 'down', actions: effect('disconnected', {}) },
          disconnect: { target: 'down' },
          ...remove,
          destroyed,
        },
      },
      down: { on: { disconnect: { target: 'down' }, ...remove, destroyed } },
    },
  });
}

/** What the socket asks of its one attempt. */
export const toAttempts = {
  'socket/startConnect': [{ send: 'attempt/start', to: 0 }],
  'socket/disconnect': [{ send: 'attempt/disconnect', to: 0 }],
  'socket/destroyConnector': [{ send: 'attempt/destroyed', to: 0 }],
} as const;

/** What it hears of it. */
export const fromAttempts = {
  'attempt/started': [{ send: 'socket/adapter.connectStarted', to: 0 }],
  'attempt/notStarted': [{ send: 'socket/adapter.connectNotStarted', to: 0, with: ['error'] }],
  'attempt/established': [{ send: 'socket/adapter.established', to: 0 }],
  'attempt/ended': [{ send: 'socket/adapter.connectEnded', to: 0, with: ['error'] }],
  'attempt/disconnected': [{ send: 'socket/adapter.disconnected', to: 0, with: [0] }],
} as const;

/** The switch's hold on the socket. */
function dialler(): MachineDefinition {
  const contract = {
    context: {
      /** WSPConnect returned WSAEWOULDBLOCK, and no FD_CONNECT was reported since. */
      owed: field(flag),
      /** FD_CONNECT was reported and not owed. */
      excess: field(flag),
      /** FD_CONNECT is what the switch has selected. */
      selected: field(flag),
      /** A call returned an error that it never may. */
      forbidden: field(flag),
    },
    events: {
      bind: {},
      listen: {},
      connect: {},
      select: { connect: flag },
      enumerate: {},
      close: {},
      answered: { error: errorNumber },
      returned: {},
      reported: { connect: flag },
      removed: {},
    },
    effects: { bind: {}, listen: {}, connect: {}, select: { connect: flag }, enumerate: {}, close: {}, returned: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const returned = effect('returned', {});
  const never = (...errors: readonly number[]) =>
    chart.any(isNeverReturned(event('error')), ...errors.map((error) => chart.equal(event('error'), error)));
  /** Inside a call, which answers once and returns. */
  const inside = (back: string, ...errors: readonly number[]) => ({
    on: {
      answered: [{ guard: when(never(...errors)), actions: update({ forbidden: 1 }) }, { actions: update({}) }],
      returned: back,
    },
  });
  const report = [
    { guard: when(chart.all(event('connect'), chart.not(c.owed))), actions: update({ excess: 1 }) },
    { guard: when(event('connect')), actions: update({ owed: 0 }) },
    { actions: update({}) },
  ];
  return machineOver(contract, {
    id: 'dialler',
    initial: 'creating',
    states: {
      creating: inside('open'),
      open: {
        on: {
          bind: { target: 'binding', actions: [effect('bind', {}), returned] },
          listen: { target: 'binding', actions: [effect('listen', {}), returned] },
          connect: { target: 'connecting', actions: [effect('connect', {}), returned] },
          select: {
            target: 'calling',
            actions: [
              update({ selected: event('connect') }),
              effect('select', { connect: event('connect') }),
              returned,
            ],
          },
          enumerate: { target: 'calling', actions: [effect('enumerate', {}), returned] },
          close: { target: 'closing', actions: [update({ selected: 0 }), effect('close', {}), returned] },
          reported: report,
          removed: 'removed',
        },
      },
      binding: inside('open', WSA.WSAEADDRINUSE),
      calling: { on: { ...inside('open').on, reported: report } },
      connecting: {
        on: {
          answered: [
            { guard: when(never()), actions: update({ forbidden: 1 }) },
            { guard: when(chart.equal(event('error'), WSA.WSAEWOULDBLOCK)), actions: update({ owed: 1 }) },
            { actions: update({}) },
          ],
          returned: 'open',
        },
      },
      // The adapter is gone: every call but closing is refused before it reaches a machine.
      removed: {
        on: { close: { target: 'closing', actions: [update({ selected: 0 }), effect('close', {}), returned] } },
      },
      closing: inside('closed', WSA.WSAEWOULDBLOCK),
      closed: { on: { reported: { actions: update({ excess: 1 }) }, removed: { target: 'closed' } } },
    },
  });
}

/** A socket that connects. */
export function connecting(name: string, removal: boolean): WorldDefinition {
  const by = { row: 0, class: 'switch' } as const;
  const peer = { row: 0, class: 'peer' } as const;
  const rules: Rule[] = [
    { ...by, name: 'WSPBind', send: 'dialler/bind' },
    { ...by, name: 'WSPListen', send: 'dialler/listen' },
    { ...by, name: 'WSPConnect', send: 'dialler/connect' },
    { ...by, name: 'WSPEventSelect(FD_CONNECT)', send: 'dialler/select', with: [1] },
    { ...by, name: 'WSPEventSelect(0)', send: 'dialler/select', with: [0] },
    { ...by, name: 'WSPEnumNetworkEvents', send: 'dialler/enumerate' },
    { ...by, name: 'WSPCloseSocket', send: 'dialler/close' },
    { ...peer, name: 'peer accepts', send: 'attempt/accept', fair: 'answer' },
    ...rejections.map(
      ({ name, said: certain, result: reported }): Rule => ({
        ...peer,
        name,
        send: 'attempt/refuse',
        with: [certain, reported],
        fair: 'answer',
      }),
    ),
    { ...peer, name: 'no answer', send: 'attempt/fail', fair: 'answer' },
    { ...peer, name: 'peer is gone', send: 'attempt/lose' },
    { name: 'connection event', send: 'attempt/report', row: 0, class: 'adapter', fair: 'report' },
    { name: 'connect timer', send: 'timer/expire', row: 0, class: 'clock', fair: 'expire' },
    ...beginnings.map(
      (error): Rule => ({
        name: `the next attempt can't begin: ${chart.wsaName(error)}`,
        send: 'attempt/obstruct',
        row: 0,
        with: [error],
        class: 'fault',
      }),
    ),
    ...(removal
      ? ([
          { name: 'adapter removed', send: 'provider/adapter.removed', row: 0, class: 'fault' },
          { name: 'its device is removed, and not the others', send: 'attempt/remove', row: 0, class: 'fault' },
        ] as const)
      : []),
  ];
  const answered = [{ send: 'dialler/answered', to: 0, with: ['error'] }] as const;
  return {
    name,
    limits: { ...smallest, socketsMax: 1 },
    environment: {
      attempt: attempt(removal),
      dialler: dialler(),
      eventObject: eventObject(),
      handle: handle(),
      timer: timer(),
    },
    rows: {
      ...rowsOfSockets(1),
      attempt: 1,
      dialler: 1,
      eventObject: 1,
      handle: 1,
      timer: 1,
    },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      'provider/breakAllSockets': [
        { send: 'dialler/removed', to: 0 },
        { send: 'socket/adapter.removed', to: 'openSockets' },
      ],
      'socket/answer': answered,
      'networkEvents/answer': answered,
      ...toHandles,
      'socket/startListening': [{ send: 'socket/adapter.listenFailed', to: 'self', with: [WSA.WSAENOBUFS] }],
      ...toAttempts,
      ...toTimers,
      'networkEvents/setEvent': [{ send: 'eventObject/set', to: 0 }],
      'networkEvents/resetEvent': [
        { send: 'eventObject/reset', to: 0 },
        { send: 'networkEvents/upcall.eventReset', to: 'self' },
      ],
      'networkEvents/reportNetworkEvents': [
        { send: 'eventObject/reset', to: 0 },
        { send: 'dialler/reported', to: 0, with: ['connect'] },
      ],

      ...fromAttempts,
      ...(removal ? { 'attempt/removed': [{ send: 'socket/adapter.removed', to: 0 }] as const } : {}),
      'dialler/bind': [{ send: 'socket/spi.bind', to: 0 }],
      'dialler/listen': [{ send: 'socket/spi.listen', to: 0, with: [1] }],
      'dialler/connect': [{ send: 'socket/spi.connect', to: 0 }],
      'dialler/select': [{ send: 'socket/spi.eventSelect', to: 0, with: [0, 'connect'] }],
      'dialler/enumerate': [{ send: 'networkEvents/spi.enumNetworkEvents', to: 0 }],
      'dialler/close': [
        { send: 'socket/spi.closeSocket', to: 0 },
        { send: 'eventObject/socketClosed', to: 0 },
      ],
      'dialler/returned': [{ send: 'dialler/returned', to: 0 }],
      ...fromTimers,
    },
    drops: ['provider/answer', 'socket/freeBuffers', 'socket/socketClosed'],
    never: [
      'provider/endAllSockets',
      'provider/closeAdapter',
      'socket/stopListening',
      'socket/acceptConnection',
      'socket/endRefusal',
      ...handOverEffects,
      ...requestEffects,
    ],
    rules,
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      { send: 'socket/spi.socket', row: 0 },
      { send: 'dialler/returned', row: 0 },
    ],
  };
}

const socket = row('socket', 0);
const record = row('networkEvents', 0);
const switchSide = row('dialler', 0);
const network = row('attempt', 0);
const closed = switchSide.in('closed');
const pending = socket.in('connecting.pending');
const selected = record.field('connectSelected');
const toBeTold = all(switchSide.field('owed'), selected, not(closed));
const told = any(all(record.field('connectRecorded'), row('eventObject', 0).in('set')), closed, not(selected));
const final = [wsa('WSAECONNREFUSED'), wsa('WSAECONNRESET')] as const;

function connectingProperties(definition: WorldDefinition): Property[] {
  return [
    always(
      'S-25: FD_CONNECT is reported once at most for each attempt, and never otherwise',
      not(switchSide.field('excess')),
    ),
    implies(
      'S-25, L-04: an attempt that has begun is owed its FD_CONNECT until that is reported',
      any(pending, record.field('connectUnreported')),
      switchSide.field('owed'),
    ),
    implies(
      "S-26: a result that is final for the switch is the peer's provider's own word",
      all(record.field('connectUnreported'), any(...final.map((error) => equal(record.field('connectError'), error)))),
      each(final, (error) => given(equal(record.field('connectError'), error), equal(network.field('said'), error))),
    ),
    implies(
      'S-26: success is reported of a connection that was accepted',
      all(record.field('connectUnreported'), equal(record.field('connectError'), 0)),
      any(socket.in('connected', 'broken')),
    ),
    always(
      'S-02: the adapter tries for a socket that is connecting, and is connected for one that is',
      all(
        given(network.in('trying', 'accepted', 'ended'), pending),
        given(pending, network.in('trying', 'accepted', 'ended', 'lost')),
        given(network.in('up'), socket.in('connected')),
      ),
    ),
    always('S-34: no call returns an error that it never may', not(switchSide.field('forbidden'))),
    implies(
      'S-27: what the switch has selected is selected, and nothing else',
      switchSide.in('open'),
      all(iff(selected, switchSide.field('selected')), not(record.field('acceptSelected'))),
    ),
    implies(
      'L-04: a result that is known and selected is on record',
      all(record.field('connectUnreported'), selected),
      record.field('connectRecorded'),
    ),
    implies(
      'L-04: while it is on record the event is set',
      record.field('connectRecorded'),
      row('eventObject', 0).in('set'),
    ),
    leadsTo('L-04: FD_CONNECT is recorded and signalled, if the network answers', toBeTold, told, ['answer', 'report']),
    leadsTo('L-04: FD_CONNECT is recorded and signalled, if only the timer expires', toBeTold, told, ['expire']),
    implies(
      'L-09, L-07: a socket that is closed while it connects is freed within the call',
      all(closed, equal(socket.field('drained'), 0), not(socket.in('closing'))),
      row('handle', 0).in('closed'),
    ),
    always(
      'L-09: no timer runs for a socket that waits for nothing',
      iff(row('timer', 0).in('running'), any(pending, socket.in('closing'))),
    ),
    implies('S-29: a closed socket sets no event', closed, not(row('eventObject', 0).field('late'))),
    implies(
      'S-08, S-10: the handle of a closed socket is closed, once',
      all(closed, socket.in('unopened')),
      all(row('handle', 0).in('closed'), equal(row('handle', 0).field('closes'), 1)),
    ),
    always(
      'S-10: the handle is open while there is a socket',
      iff(row('handle', 0).in('open'), not(socket.in('unopened'))),
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes('an attempt follows one that failed', all(pending, not(record.field('connectUnreported')))),
    sometimes('a result waits for its selection', all(record.field('connectUnreported'), not(selected))),
    sometimes('a connection is lost before it is reported to be up', all(pending, network.in('lost'))),
  ];
}

const plain = connecting('connecting', false);
const removal = connecting('connecting, and the adapter is removed', true);
const bounds = 'one socket; any number of attempts, one after another';

export const connectingSide: readonly CatalogWorld[] = [
  {
    name: plain.name,
    question: 'Is every attempt reported once, truthfully, and given up at once when the socket is closed?',
    bounds,
    effort: 'quick',
    definition: plain,
    properties: connectingProperties(plain),
    assumes: [],
    lifts: ['E-04'],
    size: { states: 239, transitions: 1858, depth: 9 },
  },
  {
    name: removal.name,
    question: 'The same, when the adapter is removed at any time, or the device of the attempt alone?',
    bounds,
    effort: 'quick',
    definition: removal,
    properties: connectingProperties(removal),
    assumes: [],
    lifts: ['E-04'],
    size: { states: 603, transitions: 3991, depth: 11 },
  },
];
