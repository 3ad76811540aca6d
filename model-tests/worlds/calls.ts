/**
 * State × call (10.2): what every call answers in every state that the switch can see, and where it leads.
 *
 * One socket goes through its states, by calls and by what the network does; a switch makes every call at any time, with
 * buffers that are wrong, and notes what it is answered. What the answers of the data functions are when nothing is wrong
 * is the data worlds' question.
 */

import * as chart from '../../machines/index.ts';
import { field, flag, language, type MachineDefinition, range, WSA } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  before,
  each,
  equal,
  type Formula,
  given,
  kept,
  not,
  type Property,
  row,
  type Rule,
  sometimes,
  transition,
  unequal,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { attempt, fromAttempts, toAttempts } from './connecting.ts';
import { lifecycle } from './lifecycle.ts';
import { fromTimers, requestEffects, rowsOfSockets, toHandles, toTimers } from './performances.ts';
import { wsa } from './requirements.ts';
import { errorNumber, handle, smallest, timer } from './surroundings.ts';

/** Calls, by number; the first is none. */
const calls = [
  'none',
  'bind',
  'connect',
  'listen',
  'accept',
  'select',
  'send',
  'recv',
  'write',
  'read',
  'register',
  'deregister',
  'setOption',
  'duplicate',
  'enumerate',
  'close',
] as const;
type Call = Exclude<(typeof calls)[number], 'none'>;

/** The switch, which remembers its last call and the answer. */
function prober(): MachineDefinition {
  const contract = {
    context: {
      /** Changes with each call. */
      turn: field(flag),
      call: field(range(0, calls.length - 1)),
      error: field(errorNumber),
      /** How often the call was answered. */
      answers: field(range(0, 2)),
      /** The registration is there. */
      registered: field(flag),
      /** What was wrong with the buffers of the call. */
      refusal: field(chart.oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL)),
    },
    events: {
      ...(Object.fromEntries(calls.slice(1).map((name) => [name, {}])) as Record<Call, Record<string, never>>),
      transfer: { call: range(6, 9), refusal: chart.oneOf(WSA.WSAEFAULT, WSA.WSAEINVAL) },
      answered: { error: errorNumber },
      registered: {},
      forgotten: {},
    },
    effects: {
      ...(Object.fromEntries(calls.slice(1).map((name) => [name, {}])) as Record<Call, Record<string, never>>),
      send: { refusal: chart.oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      recv: { refusal: chart.oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      write: { refusal: chart.oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      read: { refusal: chart.oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      deregister: { known: flag },
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const begin = (call: chart.Expression, refusal: chart.Expression = 0) =>
    update({ turn: chart.subtract(1, c.turn), call, error: 0, answers: 0, refusal });
  const plain = (name: Call) => ({
    actions: [
      begin(calls.indexOf(name)),
      name === 'deregister' ? effect('deregister', { known: c.registered }) : effect(name as 'bind', {}),
    ],
  });
  const transfers = ['send', 'recv', 'write', 'read'] as const;
  const common = {
    answered: {
      actions: update({
        error: event('error'),
        answers: chart.choose(chart.less(c.answers, 2), chart.add(c.answers, 1), 2),
      }),
    },
    registered: { actions: update({ registered: 1 }) },
    forgotten: { actions: update({ registered: 0 }) },
  };
  return machineOver(contract, {
    id: 'prober',
    initial: 'open',
    states: {
      open: {
        on: {
          ...common,
          ...Object.fromEntries(
            calls
              .slice(1)
              .filter((name) => name !== 'close' && !(transfers as readonly string[]).includes(name))
              .map((name) => [name, plain(name as Call)]),
          ),
          transfer: transfers.map((name) => ({
            guard: when(chart.equal(event('call'), calls.indexOf(name))),
            actions: [begin(event('call'), event('refusal')), effect(name, { refusal: event('refusal') })],
          })),
          close: { ...plain('close'), target: 'closed' },
        },
      },
      closed: { on: common },
    },
  });
}

const visible = ['created', 'bound', 'listening', 'connecting', 'connected', 'broken', 'dormant'] as const;
type Visible = (typeof visible)[number];
const others = (...but: readonly Visible[]): Visible[] => visible.filter((name) => !but.includes(name));

const socket = row('socket', 0);
const switchSide = row('prober', 0);
const known = before(switchSide.field('registered'));
/** What a call answers in some states, and in which state it leaves the socket: the same, unless said. */
type Cell = readonly [call: Call, states: readonly Visible[], error: Formula, after?: readonly string[]];
const table: readonly Cell[] = [
  ['bind', ['created'], 0, ['bound']],
  ['bind', others('created'), wsa('WSAEINVAL')],
  ['connect', ['created', 'listening', 'broken', 'dormant'], wsa('WSAEINVAL')],
  ['connect', ['connecting'], wsa('WSAEALREADY')],
  ['connect', ['connected'], wsa('WSAEISCONN')],
  ['listen', ['created', 'connecting', 'broken', 'dormant'], wsa('WSAEINVAL')],
  ['listen', ['bound'], 0, ['listening']],
  ['listen', ['listening'], 0],
  ['listen', ['connected'], wsa('WSAEISCONN')],
  ['accept', others('listening'), wsa('WSAEINVAL')],
  ['accept', ['listening'], wsa('WSAEWOULDBLOCK')],
  ['select', others('dormant'), 0],
  ['select', ['dormant'], wsa('WSAEINVAL')],
  ...(['send', 'recv', 'write', 'read'] as const).flatMap((call): Cell[] => [
    [call, others('connected', 'broken'), wsa('WSAENOTCONN')],
    [call, ['connected'], switchSide.field('refusal')],
    [call, ['broken'], socket.field('reason')],
  ]),
  ['register', others('connected'), wsa('WSAENOTCONN')],
  ['deregister', ['created', 'bound', 'listening', 'connecting'], wsa('WSAEINVAL')],
  ['setOption', others('dormant'), 0],
  ['setOption', ['dormant'], wsa('WSAEINVAL')],
  ['duplicate', others('listening', 'connected'), wsa('WSAEINVAL')],
  ['duplicate', ['listening', 'connected'], 0, ['dormant']],
  ['enumerate', visible, 0],
  ['close', visible, 0, ['unopened', 'closing']],
];

/** The last step was this call. */
const made = (call: Call): Formula =>
  all(not(kept(switchSide.field('turn'))), equal(switchSide.field('call'), calls.indexOf(call)));
const answeredWith = (error: Formula): Formula => equal(switchSide.field('error'), error);

function callProperties(definition: WorldDefinition): Property[] {
  const properties = calls.slice(1).map((call) => {
    const cells = table.filter(([of]) => of === call);
    return transition(
      `S-01, S-02, S-34: ${call} answers as 10.2 says, and leads where it says`,
      given(
        made(call as Call),
        all(
          ...cells.flatMap(([, states, error, after]) =>
            states.map((state) =>
              given(before(socket.in(state)), all(answeredWith(error), socket.in(...(after ?? [state])))),
            ),
          ),
        ),
      ),
    );
  });
  return [
    ...properties,
    transition(
      'S-01, S-25: connect begins an attempt and says WSAEWOULDBLOCK, or says why it can not',
      given(
        all(made('connect'), before(socket.in('bound'))),
        any(
          all(answeredWith(wsa('WSAEWOULDBLOCK')), socket.in('connecting.pending')),
          all(
            any(...(['WSAENETUNREACH', 'WSAENOBUFS', 'WSAENETDOWN'] as const).map((name) => answeredWith(wsa(name)))),
            socket.in('bound.idle'),
          ),
        ),
      ),
    ),
    transition(
      'S-20: register works once here, and deregister once after it',
      all(
        given(
          all(made('register'), before(socket.in('connected'))),
          all(
            given(known, answeredWith(wsa('WSAENOBUFS'))),
            given(not(known), all(answeredWith(0), switchSide.field('registered'))),
          ),
        ),
        given(
          all(made('deregister'), before(socket.in('connected', 'broken', 'dormant'))),
          all(
            given(known, all(answeredWith(0), not(switchSide.field('registered')))),
            given(not(known), answeredWith(wsa('WSAEINVAL'))),
          ),
        ),
      ),
    ),
    always(
      'S-34: a call is answered once',
      any(equal(switchSide.field('call'), 0), equal(switchSide.field('answers'), 1)),
    ),
    always(
      'S-34: no call ever says WSAEINPROGRESS, WSAEINTR or WSAEADDRINUSE',
      each(['WSAEINPROGRESS', 'WSAEINTR', 'WSAEADDRINUSE'] as const, (name) =>
        unequal(switchSide.field('error'), wsa(name)),
      ),
    ),
    ...visible.map((state) =>
      sometimes(`a socket is ${state}, and a call was made there`, all(socket.in(state), switchSide.field('call'))),
    ),
    ...lifecycle(definition),
    ...agreement(definition),
  ];
}

function stateByCall(name: string): WorldDefinition {
  const rules: Rule[] = [
    ...calls
      .slice(1)
      .filter((call) => !['send', 'recv', 'write', 'read'].includes(call))
      .map((call): Rule => ({ name: `${call}`, send: `prober/${call}`, row: 0, class: 'switch' })),
    ...(['send', 'recv', 'write', 'read'] as const).flatMap((call) =>
      (['WSAEFAULT', 'WSAEINVAL'] as const).map(
        (error): Rule => ({
          name: `${call}, ${error}`,
          send: 'prober/transfer',
          row: 0,
          with: [calls.indexOf(call), WSA[error]],
          class: 'switch',
        }),
      ),
    ),
    { name: 'peer accepts', send: 'attempt/accept', row: 0, class: 'peer' },
    {
      name: 'peer refuses',
      send: 'attempt/refuse',
      row: 0,
      with: [WSA.WSAECONNREFUSED, WSA.WSAECONNREFUSED],
      class: 'peer',
    },
    { name: 'peer is gone', send: 'attempt/lose', row: 0, class: 'peer' },
    { name: 'connection event', send: 'attempt/report', row: 0, class: 'adapter' },
    { name: 'no route', send: 'attempt/obstruct', row: 0, with: [WSA.WSAENETUNREACH], class: 'fault' },
    { name: 'the notice completes', send: 'socket/adapter.mailboxWritten', row: 0, class: 'adapter' },
    { name: 'timer', send: 'timer/expire', row: 0, class: 'clock' },
  ];
  const answered = [{ send: 'prober/answered', to: 0, with: ['error'] }] as const;
  const transferred = (call: string) =>
    [{ send: `socket/${call}`, to: 0, with: [0, 0, 0, 1, 'refusal'] }] as unknown as readonly [
      { send: `${string}/${string}`; to: number; with: (number | string)[] },
    ];
  return {
    name,
    limits: { ...smallest, socketsMax: 1 },
    environment: { attempt: attempt(), prober: prober(), handle: handle(), timer: timer() },
    rows: {
      ...rowsOfSockets(1),
      registeredBuffer: 1,
      attempt: 1,
      prober: 1,
      handle: 1,
      timer: 1,
    },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      'socket/answer': answered,
      'networkEvents/answer': answered,
      'registeredBuffer/answer': answered,
      'registeredBuffer/registerRegion': [
        { send: 'registeredBuffer/adapter.registered', to: 'self' },
        { send: 'prober/registered', to: 0 },
      ],
      'registeredBuffer/forget': [{ send: 'prober/forgotten', to: 0 }],
      ...toHandles,
      'socket/startListening': [{ send: 'socket/adapter.listening', to: 'self' }],
      ...toAttempts,
      ...toTimers,
      ...fromAttempts,
      ...fromTimers,
      'prober/bind': [{ send: 'socket/spi.bind', to: 0 }],
      'prober/connect': [{ send: 'socket/spi.connect', to: 0 }],
      'prober/listen': [{ send: 'socket/spi.listen', to: 0, with: [1] }],
      'prober/accept': [{ send: 'socket/spi.accept', to: 0, with: [1, 0] }],
      'prober/select': [{ send: 'socket/spi.eventSelect', to: 0, with: [1, 0] }],
      'prober/send': transferred('spi.send'),
      'prober/recv': transferred('spi.recv'),
      'prober/write': transferred('spi.rdmaWrite'),
      'prober/read': transferred('spi.rdmaRead'),
      'prober/register': [{ send: 'socket/spi.registerMemory', to: 0, with: [0] }],
      'prober/deregister': [{ send: 'socket/spi.deregisterMemory', to: 0, with: [0, 'known'] }],
      'prober/setOption': [{ send: 'socket/spi.setSockOpt', to: 0 }],
      'prober/duplicate': [{ send: 'socket/spi.duplicateSocket', to: 0 }],
      'prober/enumerate': [{ send: 'networkEvents/spi.enumNetworkEvents', to: 0 }],
      'prober/close': [{ send: 'socket/spi.closeSocket', to: 0 }],
    },
    drops: [
      'provider/answer',
      'registeredBuffer/deregisterRegion',
      'networkEvents/reportNetworkEvents',
      'socket/freeBuffers',
      'socket/socketClosed',
      'socket/stopListening',
      'socket/writeMailbox',
    ],
    never: [
      'provider/endAllSockets',
      'provider/breakAllSockets',
      'provider/closeAdapter',
      'networkEvents/setEvent',
      'networkEvents/resetEvent',
      'socket/startReattach',
      'socket/acceptConnection',
      'socket/endRefusal',
      'socket/acceptReattach',
      'socket/rejectReattach',
      ...requestEffects,
    ],
    rules,
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      { send: 'socket/spi.socket', row: 0 },
    ],
  };
}

const world = stateByCall('state by call');

export const stateCalls: readonly CatalogWorld[] = [
  {
    name: world.name,
    question: 'Does every call, in every state that the switch can see, answer and lead where 10.2 says?',
    bounds: 'one socket, one registration',
    effort: 'quick',
    definition: world,
    properties: callProperties(world),
    assumes: ['E-01', 'E-03'],
    lifts: ['E-04'],
    size: { states: 3266, transitions: 65_609, depth: 10 },
  },
];
