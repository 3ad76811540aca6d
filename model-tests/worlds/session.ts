/**
 * A whole session: two sockets find each other, exchange requests and part, whatever comes first.
 *
 * A connects while B's side selects, accepts or refuses; both send and receive, called in order; each closes when it
 * likes, while it connects too, and so does the listener. So what one phase leaves behind is met by the next: a message
 * that is sent before the other end knows that it is connected, an end that is gone by then, a connect that is given up
 * while it is being accepted. The parts are those of `connected-pair.ts`, whose sockets begin unconnected here.
 */

import * as chart from '../../machines/index.ts';
import { connectResult, field, flag, language, type MachineDefinition, range, WSA } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  atMost,
  before,
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
  some,
  sometimes,
  transition,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { lifecycle } from './lifecycle.ts';
import { arrivalProperties, closingProperties, isTold, requestProperties } from './requirements.ts';
import { toRefusals } from './performances.ts';
import { caller, errorNumber, link } from './surroundings.ts';

const [A, B, LISTENER] = [0, 1, 2] as const;

/** A's request to connect on its way to the listener, and the answer on its way back. */
function line(): MachineDefinition {
  const contract = {
    context: { listening: field(flag) },
    events: {
      listen: {},
      unlisten: {},
      start: {},
      leave: {},
      arrive: {},
      withdraw: {},
      take: {},
      refused: {},
      answer: {},
    },
    effects: { started: {}, arrived: {}, withdrawn: {}, took: {}, gone: {}, established: {}, ended: {}, deserted: {} },
  } as const;
  const { context: c, when, update, effect } = language(contract);
  const port = { listen: { actions: update({ listening: 1 }) }, unlisten: { actions: update({ listening: 0 }) } };
  const stay = (target: string) => ({ target });
  return machineOver(contract, {
    id: 'line',
    initial: 'idle',
    states: {
      idle: { on: { ...port, start: { target: 'asked', actions: effect('started', {}) }, leave: stay('idle') } },
      asked: {
        on: {
          ...port,
          arrive: [
            { guard: when(c.listening), target: 'offered', actions: effect('arrived', {}) },
            { target: 'refused' },
          ],
          leave: 'over',
        },
      },
      offered: {
        on: {
          ...port,
          take: { target: 'taken', actions: effect('took', {}) },
          refused: 'refused',
          leave: 'left',
        },
      },
      // A has given up, and the adapter has still to say so.
      left: {
        on: {
          ...port,
          withdraw: { target: 'over', actions: effect('withdrawn', {}) },
          take: { target: 'left', actions: effect('gone', {}) },
          refused: 'over',
          leave: stay('left'),
        },
      },
      taken: {
        on: {
          ...port,
          answer: { target: 'over', actions: effect('established', {}) },
          leave: { target: 'over', actions: effect('deserted', {}) },
        },
      },
      refused: { on: { ...port, answer: { target: 'over', actions: effect('ended', {}) }, leave: 'over' } },
      over: { on: { ...port, leave: stay('over'), refused: stay('over') } },
    },
  });
}

/** A's switch until it is connected: it connects once, and finds out by an enumeration what came of it. */
function dialling(): MachineDefinition {
  const contract = {
    context: { reports: field(range(0, 2)) },
    events: {
      connect: {},
      enumerate: {},
      reported: { connect: flag, error: connectResult },
      returned: {},
      registered: {},
      close: {},
    },
    effects: { connect: {}, enumerate: {}, close: {}, returned: {}, connected: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const close = { target: 'closed', actions: effect('close', {}) };
  const once = update({ reports: chart.choose(chart.less(c.reports, 2), chart.add(c.reports, 1), 2) });
  return machineOver(contract, {
    id: 'dialling',
    initial: 'idle',
    states: {
      idle: { on: { connect: { target: 'waiting', actions: effect('connect', {}) }, close } },
      waiting: {
        on: {
          enumerate: { actions: [effect('enumerate', {}), effect('returned', {})] },
          reported: [
            {
              guard: when(chart.all(event('connect'), chart.equal(event('error'), 0))),
              target: 'told',
              actions: once,
            },
            { guard: when(event('connect')), target: 'failed', actions: once },
            { target: 'waiting' },
          ],
          returned: { target: 'waiting' },
          close,
        },
      },
      // Inside WSPEnumNetworkEvents still.
      told: { on: { returned: { target: 'connected', actions: effect('connected', {}) } } },
      failed: { on: { returned: { target: 'failed' }, close } },
      // Once it has registered its memory, it is the caller's; the connection can be gone before.
      connected: { on: { registered: 'over', close } },
      over: {},
      closed: {},
    },
  });
}

/** The thread that accepts, once. */
function accepting(): MachineDefinition {
  const contract = {
    context: { listening: field(flag, 1) },
    events: {
      accept: {},
      asked: {},
      decideAccept: {},
      decideReject: {},
      answered: { error: errorNumber },
      close: {},
      returned: {},
    },
    effects: { accept: {}, accepted: {}, rejected: {}, close: {}, returned: {}, connected: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const close = {
    guard: when(c.listening),
    actions: [update({ listening: 0 }), effect('close', {})],
  };
  const none = { actions: update({}) };
  return machineOver(contract, {
    id: 'accepting',
    initial: 'idle',
    states: {
      idle: {
        on: {
          accept: {
            guard: when(c.listening),
            target: 'inside',
            actions: [effect('accept', {}), effect('returned', {})],
          },
          close,
          answered: none,
          returned: { target: 'idle' },
        },
      },
      // Inside WSPAccept.
      inside: { on: { asked: 'deciding', returned: 'idle', answered: none } },
      // Inside the condition function.
      deciding: {
        on: {
          decideAccept: { target: 'taking', actions: [effect('accepted', {}), effect('returned', {})] },
          decideReject: { target: 'idle', actions: effect('rejected', {}) },
          returned: { target: 'deciding' },
          close,
          answered: none,
        },
      },
      taking: {
        on: {
          answered: [{ guard: when(chart.equal(event('error'), 0)), target: 'taken' }, { target: 'idle' }],
          returned: 'idle',
        },
      },
      taken: { on: { returned: { target: 'done', actions: effect('connected', {}) } } },
      done: { on: { close, answered: none, returned: { target: 'done' } } },
    },
  });
}

/**
 * @param pairs - sends, and receives, of each side
 * @param patient - who is connected closes only when all that it has called is done
 */
export function session(name: string, pairs: 1 | 2, patient = false): WorldDefinition {
  const requests = requestsOf(pairs);
  const pair = connectedPair({
    name,
    requests,
    polled: [0],
    closing: true,
    accepted: true,
    limits: { queueDepth: pairs },
  });
  const privateWork = requests.length;
  const by = { row: 0, class: 'switch' } as const;
  const rules: Rule[] = [
    { ...by, name: 'A: WSPConnect', send: 'dialling/connect' },
    { ...by, name: 'A: WSPEnumNetworkEvents', send: 'dialling/enumerate', fair: 'enumerate' },
    { ...by, name: 'A: closed before it knows', send: 'dialling/close' },
    { ...by, name: 'B: WSPAccept', send: 'accepting/accept', fair: 'accept' },
    { ...by, name: 'CF_ACCEPT', send: 'accepting/decideAccept', fair: 'decide' },
    { ...by, name: 'CF_REJECT', send: 'accepting/decideReject', fair: 'decide' },
    { ...by, name: 'listener: closed', send: 'accepting/close' },
    { name: 'the request arrives', send: 'line/arrive', row: 0, class: 'adapter', fair: 'arrive' },
    { name: 'the request is withdrawn', send: 'line/withdraw', row: 0, class: 'adapter', fair: 'withdraw' },
    { name: 'the answer arrives', send: 'line/answer', row: 0, class: 'adapter', fair: 'answer' },
    ...pair.rules,
  ];
  const toCaller = { of: 'self', map: requests.map((request) => request.socket) } as const;
  const told = (effect: string): WorldDefinition['performs'] =>
    patient ? { [effect]: [...(pair.performs[effect] ?? []), { send: 'caller/done', to: toCaller }] } : {};
  const onlyA = { of: 'self', map: [0, -1, -1] } as const;
  return {
    ...pair,
    environment: {
      ...pair.environment,
      caller: caller(pairs, pairs, 'absent', patient),
      link: link({ begins: 'absent' }),
      line: line(),
      dialling: dialling(),
      accepting: accepting(),
    },
    rows: { ...pair.rows, line: 1, dialling: 1, accepting: 1 },
    performs: {
      ...pair.performs,
      ...told('overlappedRequest/publish'),
      ...told('overlappedRequest/completeOverlappedRequest'),
      ...told('overlapped/refused'),
      'socket/answer': [{ send: 'accepting/answered', to: { of: 'self', map: [-1, 0, -1] }, with: ['error'] }],
      'connectionRequest/callConditionFunction': [{ send: 'accepting/asked', to: 0 }],
      'connectionRequest/rejectConnection': [{ send: 'line/refused', to: 0 }],
      'networkEvents/reportNetworkEvents': [
        { send: 'dialling/reported', to: onlyA, with: ['connect', 'connectError'] },
      ],
      'socket/startListening': [
        { send: 'line/listen', to: 0 },
        { send: 'socket/adapter.listening', to: 'self' },
      ],
      'socket/stopListening': [{ send: 'line/unlisten', to: 0 }],
      'socket/startConnect': [{ send: 'line/start', to: 0 }],
      'socket/acceptConnection': [{ send: 'line/take', to: 0 }],
      ...toRefusals,
      'socket/disconnect': [
        { send: 'line/leave', to: onlyA },
        { send: 'link/disconnect', to: 'self' },
      ],
      'socket/destroyConnector': [
        { send: 'line/leave', to: onlyA },
        { send: 'link/destroyed', to: 'self' },
      ],
      'line/started': [{ send: 'socket/adapter.connectStarted', to: A }],
      'line/arrived': [{ send: 'socket/adapter.connectRequest', to: LISTENER, with: [0] }],
      'line/withdrawn': [{ send: 'connectionRequest/adapter.withdrawn', to: 0 }],
      'line/took': [
        { send: 'link/made', to: B },
        { send: 'work/post', to: privateWork },
        { send: 'socket/adapter.accepted', to: B },
      ],
      'line/gone': [{ send: 'socket/adapter.acceptFailed', to: B, with: [WSA.WSAECONNRESET] }],
      'line/established': [
        { send: 'link/made', to: A },
        { send: 'socket/adapter.established', to: A },
      ],
      'line/ended': [{ send: 'socket/adapter.connectEnded', to: A, with: [WSA.WSAECONNREFUSED] }],
      'line/deserted': [{ send: 'link/peerLost', to: B }],
      'dialling/connect': [{ send: 'socket/spi.connect', to: A }],
      'dialling/enumerate': [{ send: 'networkEvents/spi.enumNetworkEvents', to: A }],
      'dialling/returned': [{ send: 'dialling/returned', to: 0 }],
      'dialling/close': [
        { send: 'caller/ended', to: A },
        { send: 'socket/spi.closeSocket', to: A },
      ],
      'dialling/connected': [{ send: 'socket/spi.registerMemory', to: A, with: [A] }],
      'accepting/accept': [{ send: 'socket/spi.accept', to: LISTENER, with: [B, 0] }],
      'accepting/accepted': [{ send: 'connectionRequest/condition.accepted', to: 0 }],
      'accepting/rejected': [{ send: 'connectionRequest/condition.rejected', to: 0 }],
      'accepting/close': [{ send: 'socket/spi.closeSocket', to: LISTENER }],
      'accepting/returned': [{ send: 'accepting/returned', to: 0 }],
      'accepting/connected': [{ send: 'socket/spi.registerMemory', to: B, with: [B] }],
      'registeredBuffer/answer': [
        { send: 'caller/connected', to: 'self' },
        { send: 'dialling/registered', to: onlyA },
      ],
    },
    drops: [...pair.drops.filter((name) => name !== 'socket/stopListening'), 'networkEvents/setEvent'],
    never: (pair.never ?? []).filter(
      (name) =>
        !['connectionRequest/rejectConnection', 'networkEvents/setEvent', 'networkEvents/reportNetworkEvents'].includes(
          name,
        ),
    ),
    rules,
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      { send: 'socket/spi.socket', row: A },
      { send: 'socket/spi.bind', row: A },
      { send: 'socket/spi.eventSelect', row: A, with: [0, 1] },
      { send: 'socket/spi.socket', row: LISTENER },
      { send: 'socket/spi.bind', row: LISTENER },
      { send: 'socket/spi.listen', row: LISTENER, with: [1] },
    ],
  };
}

function requestsOf(pairs: 1 | 2): PairRequest[] {
  return ([A, B] as const).flatMap((socket) =>
    Array.from({ length: pairs }, (_, place) => place).flatMap((place): PairRequest[] => [
      { socket, kind: 'send', place },
      { socket, kind: 'receive', place },
    ]),
  );
}

const socket = (number: number) => row('socket', number);
const way = row('line', 0);
const dial = row('dialling', 0);

function sessionProperties(definition: WorldDefinition, pairs: 1 | 2): Property[] {
  const requests = requestsOf(pairs);
  const ended = [...Array(definition.rows['work']!).keys()].flatMap((work) => [`complete ${work}`, `flush ${work}`]);
  const upcalls = ['notify A', 'return A', 'notify B', 'return B'];
  return [
    ...requestProperties(requests),
    ...arrivalProperties(requests),
    // Of sockets that are connected from the start; here they become it.
    ...closingProperties(requests).filter(({ name }) => !/^(S-08: it is closed only|S-11: whatever)/.test(name)),
    implies(
      'S-08: a handle is closed only after WSPCloseSocket, or when the accept fails that it was made for',
      some([A, B], (number) => row('handle', number).in('closed')),
      all(
        given(row('handle', A).in('closed'), row('caller', A).in('closed')),
        given(row('handle', B).in('closed'), row('caller', B).in('closed', 'absent')),
      ),
    ),
    transition(
      'S-11: whatever the network does, a socket is there until it is closed',
      each([A, B] as const, (number) =>
        given(
          all(before(socket(number).in('connected', 'broken')), not(row('caller', number).in('closed'))),
          socket(number).in('connected', 'broken'),
        ),
      ),
    ),
    always('S-25: FD_CONNECT is reported once at most', atMost(dial.field('reports'), 1)),
    implies(
      'S-25, L-04: an attempt that has ended and was not reported is on record',
      all(dial.in('waiting'), not(socket(A).in('connecting'))),
      row('networkEvents', A).field('connectRecorded'),
    ),
    always(
      'S-02: the adapter listens for a socket that does, and for no other',
      iff(way.field('listening'), socket(LISTENER).in('listening')),
    ),
    implies(
      'S-23: who waits for a verdict is a request of the listener',
      way.in('offered'),
      not(row('connectionRequest', 0).in('arrived')),
    ),
    always(
      'S-23: A is connected only to a B that took it',
      given(socket(A).in('connected'), not(row('link', B).in('absent'))),
    ),
    always(
      'S-19: both ends of a connection last as long as both sockets hold on to it',
      each([A, B] as const, (number) =>
        given(
          all(row('link', A).in('up'), row('link', B).in('up')),
          any(socket(number).in('connected', 'connecting'), socket(number).in('closing')),
        ),
      ),
    ),
    leadsTo(
      'L-04: an attempt ends, if the listener keeps accepting or the timer runs out',
      socket(A).in('connecting'),
      not(socket(A).in('connecting')),
      ['expire A'],
    ),
    ...[A, B].map((number) =>
      leadsTo(
        `L-07: once ${'AB'[number]} is closed its handle is, if the adapter flushes`,
        row('caller', number).in('closed'),
        row('handle', number).in('closed'),
        [...ended, ...upcalls],
      ),
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes(
      'every message arrives, and both sides and the listener are closed',
      all(
        each(requests, (_, number) => all(isTold(number), equal(row('overlapped', number).field('error'), 0))),
        each([A, B], (number) => row('handle', number).in('closed')),
        row('handle', LISTENER).in('closed'),
      ),
    ),
    sometimes('A gives up while it is decided on', all(way.in('left'), row('accepting', 0).in('deciding'))),
    sometimes('B sends before A knows that it is connected', all(way.in('taken'), row('caller', B).field('sends'))),
    sometimes('B is gone before A knows that it is connected', row('link', A).in('early')),
  ];
}

const small = session('a session', 1);

const large = session('a session, two requests each way', 2, true);

export const sessions: readonly CatalogWorld[] = [
  {
    name: large.name,
    question: 'Do two requests each way end once and in order in a session from WSPConnect to the last close?',
    bounds: 'a listener, two sockets, two sends and two receives of each; who is connected closes when all is done',
    effort: 'quick',
    definition: large,
    // Nothing is pending when a socket is closed here.
    properties: sessionProperties(large, 2).filter(({ name }) => !name.startsWith('16.2: only closing')),
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05', 'E-08'],
    size: { states: 402_283, transitions: 1_930_801, depth: 47 },
    unfired: ['B receive 1: completion', 'B receive 1: flush'],
  },
  {
    name: small.name,
    question: 'Does a session from WSPConnect and WSPAccept to the last close leave things in order at every step?',
    bounds: 'a listener, two sockets, a send and a receive of each; closed at any time',
    effort: 'long',
    definition: small,
    properties: sessionProperties(small, 1),
    assumes: ['E-01', 'E-03', 'E-04'],
    lifts: ['E-02', 'E-05', 'E-08'],
    size: { states: 352_245, transitions: 1_882_398, depth: 29 },
    unfired: ['B receive 1: completion', 'B receive 1: flush'],
  },
];
