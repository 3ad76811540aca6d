/**
 * A listener, the peers that ask it for a connection, and the switch that accepts.
 *
 * Theory of operation: each peer asks once and may withdraw. The switch selects, enumerates, accepts, defers, refuses,
 * listens anew with another backlog and closes the listener, in any order; all but a second accept inside the condition
 * function too. One accepted socket is there at a time. The device that the listener is on can be removed. The event object is set and reset as the provider says.
 */

import {
  add,
  all,
  any,
  type CompiledMachine,
  choose,
  equal,
  type Expression,
  field,
  flag,
  language,
  less,
  type MachineDefinition,
  not,
  range,
  type Routes,
  unequal,
  WSA,
} from '../../machines/index.ts';
import type { Rule, WorldDefinition } from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { handOverEffects, requestEffects, rowsOfSockets, toRefusals } from './performances.ts';
import { errorNumber, handle, smallest } from './surroundings.ts';

/** Who asks for a connection. */
export function peer(): MachineDefinition {
  const contract = {
    context: { verdicts: field(range(0, 2)) },
    events: { ask: {}, take: {}, refused: {}, withdraw: {} },
    effects: { ask: {}, took: {}, gone: {}, withdrawn: {} },
  } as const;
  const { context: c, update, effect } = language(contract);
  const count = update({ verdicts: choose(less(c.verdicts, 2), add(c.verdicts, 1), 2) });
  return machineOver(contract, {
    id: 'peer',
    initial: 'idle',
    states: {
      idle: { on: { ask: { target: 'waiting', actions: effect('ask', {}) } } },
      waiting: {
        on: {
          take: { target: 'accepted', actions: [count, effect('took', {})] },
          refused: { target: 'refused', actions: count },
          withdraw: { target: 'withdrawn', actions: effect('withdrawn', {}) },
        },
      },
      accepted: { on: { refused: { actions: count } } },
      refused: { on: { refused: { actions: count }, take: { actions: [count, effect('took', {})] } } },
      // It hears of nothing any more; who takes it finds out.
      withdrawn: { on: { refused: { target: 'withdrawn' }, take: { actions: effect('gone', {}) } } },
    },
  });
}

/** The adapter's listener. */
export function port(): MachineDefinition {
  const request = range(0, 2);
  const contract = {
    context: {},
    events: { open: {}, close: {}, arrive: { request }, lose: {} },
    effects: { opened: {}, arrived: { request }, refuse: { request }, lost: {} },
  } as const;
  const { event, effect } = language(contract);
  const refuse = { actions: effect('refuse', { request: event('request') }) };
  return machineOver(contract, {
    id: 'port',
    initial: 'closed',
    states: {
      closed: {
        on: {
          open: { target: 'open', actions: effect('opened', {}) },
          close: { target: 'closed' },
          arrive: refuse,
        },
      },
      open: {
        on: {
          close: 'closed',
          arrive: { actions: effect('arrived', { request: event('request') }) },
          lose: { target: 'lost', actions: effect('lost', {}) },
        },
      },
      lost: { on: { close: 'closed', arrive: refuse } },
    },
  });
}

/** The switch's thread that serves the listener. */
function acceptor(): MachineDefinition {
  const request = range(0, 2);
  const contract = {
    context: {
      current: field(request),
      /** FD_ACCEPT was reported, and neither accepted nor selected since. */
      reported: field(flag),
      /** FD_ACCEPT is what the switch has selected. */
      selected: field(flag),
      /** The one descriptor for accepted sockets is free. */
      free: field(flag, 1),
      /** What the condition function has decided, while WSPAccept comes to its end: 1 to 4; 0 at all other times. */
      verdict: field(range(0, 4)),
      /** The call that is running has been answered, or an accepted socket's was. */
      replied: field(flag),
      /** The condition function was called outside of a WSPAccept, or twice in one. */
      stray: field(flag),
      /** A call other than WSPAccept has not been answered. */
      unanswered: field(flag),
      /** A call returned what it never may, or nothing. */
      wrong: field(flag),
      /** The listener's device is gone; and FD_ACCEPT has said so. */
      lost: field(flag),
      told: field(flag),
      /** The call that is running is to end with WSAENETDOWN. */
      refused: field(flag),
    },
    events: {
      accept: { full: flag },
      asked: { request },
      decideAccept: {},
      decideReject: {},
      decideDefer: {},
      decideInvalid: {},
      select: { accept: flag },
      enumerate: {},
      reported: { accept: flag, error: errorNumber },
      lost: {},
      listen: { backlog: range(1, 2) },
      close: {},
      occupied: {},
      freed: {},
      /** The listener's socket has answered a call. */
      replied: { error: errorNumber },
      /** The request or the accepted socket has answered. */
      answered: { error: errorNumber },
      returned: {},
      concluded: {},
    },
    effects: {
      returned: {},
      concluded: {},
      accept: { full: flag },
      accepted: { request },
      rejected: { request },
      deferred: { request },
      invalid: { request },
      select: { accept: flag },
      enumerate: {},
      listen: { backlog: range(1, 2) },
      close: {},
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const is = (...errors: readonly number[]) =>
    any(...(errors.map((error) => equal(event('error'), error)) as [Expression, ...Expression[]]));
  const wrong = update({ wrong: 1 });
  const none = { actions: update({}) };
  const stray = { asked: { actions: update({ stray: 1 }) } };
  // Calls other than WSPAccept work at once; but for WSPListen once the listener is lost.
  const asking = update({ unanswered: 1 });
  const works = {
    replied: [
      { guard: when(unequal(event('error'), choose(c.refused, WSA.WSAENETDOWN, 0))), actions: wrong },
      { actions: update({ unanswered: 0, refused: 0 }) },
    ],
  };
  const descriptors = {
    occupied: { actions: update({ free: 0 }) },
    freed: { actions: update({ free: 1 }) },
    lost: { actions: update({ lost: 1 }) },
    ...works,
    answered: none,
    ...stray,
  };
  const gone = [WSA.WSAECONNRESET, WSA.WSAENOTSOCK];
  const verdicts = ['accepted', 'rejected', 'deferred', 'invalid'] as const;
  const results = [0, WSA.WSAECONNREFUSED, WSA.WSATRY_AGAIN, WSA.WSAEINVAL];
  const isGone = any(is(...gone), all(c.lost, is(WSA.WSAENETDOWN)));
  // Once, and with what follows from the verdict; but the peer or the listener may be gone by now.
  const concluding = {
    answered: [
      {
        guard: when(
          any(
            all(unequal(c.verdict, 0), c.replied),
            ...results.map((error, index) => all(equal(c.verdict, index + 1), not(any(is(error), isGone)))),
          ),
        ),
        actions: wrong,
      },
      // The accept that ends re-enables FD_ACCEPT, unless it is to try again.
      {
        guard: when(unequal(c.verdict, 0)),
        actions: update({ replied: 1, reported: choose(is(WSA.WSATRY_AGAIN), c.reported, 0) }),
      },
      none,
    ],
    concluded: [
      { guard: when(c.replied), actions: update({ verdict: 0, replied: 0 }) },
      { actions: update({ verdict: 0, wrong: 1 }) },
    ],
  };
  const calls = {
    ...descriptors,
    select: {
      actions: [
        update({ reported: 0, selected: event('accept'), unanswered: 1 }),
        effect('select', { accept: event('accept') }),
      ],
    },
    enumerate: { actions: [asking, effect('enumerate', {})] },
    // A loss is reported once, with its error, and nothing after it.
    reported: [
      {
        guard: when(all(event('accept'), any(c.told, unequal(event('error'), choose(c.lost, WSA.WSAENETDOWN, 0))))),
        actions: wrong,
      },
      { guard: when(event('accept')), actions: update({ reported: 1, told: c.lost }) },
      none,
    ],
    listen: {
      actions: [update({ unanswered: 1, refused: c.lost }), effect('listen', { backlog: event('backlog') })],
    },
  };
  const closing = update({ selected: 0, unanswered: 1, lost: 0, told: 0 });
  const decide = (type: (typeof verdicts)[number], target: string) => ({
    target,
    actions: [
      update({ verdict: verdicts.indexOf(type) + 1 }),
      effect(type, { request: c.current }),
      update({ current: 0 }),
      effect('concluded', {}),
    ],
  });
  const decisions = (target: string) => ({
    decideAccept: decide('accepted', target),
    decideReject: decide('rejected', target),
    decideDefer: decide('deferred', target),
    decideInvalid: decide('invalid', target),
  });
  return machineOver(contract, {
    id: 'acceptor',
    initial: 'idle',
    states: {
      idle: {
        on: {
          ...calls,
          ...concluding,
          accept: {
            guard: when(unequal(event('full'), c.free)),
            target: 'accepting',
            actions: [update({ reported: 0 }), effect('accept', { full: event('full') }), effect('returned', {})],
          },
          close: { target: 'closed', actions: [closing, effect('close', {})] },
        },
      },
      // Inside WSPAccept: it takes a request, or says at once why not.
      accepting: {
        on: {
          ...descriptors,
          replied: [
            {
              guard: when(
                any(c.replied, choose(c.lost, not(is(WSA.WSAENETDOWN)), not(is(WSA.WSAEWOULDBLOCK, WSA.WSAEMFILE)))),
              ),
              actions: wrong,
            },
            { actions: update({ replied: 1 }) },
          ],
          asked: [
            { guard: when(any(c.replied, c.lost)), actions: wrong },
            { target: 'deciding', actions: update({ current: event('request') }) },
          ],
          returned: [
            { guard: when(c.replied), target: 'idle', actions: update({ replied: 0 }) },
            { target: 'idle', actions: wrong },
          ],
        },
      },
      // Inside the condition function.
      deciding: {
        on: {
          ...calls,
          ...decisions('idle'),
          returned: { target: 'deciding' },
          close: { target: 'decidingClosed', actions: [closing, effect('close', {})] },
        },
      },
      decidingClosed: { on: { ...descriptors, returned: { target: 'decidingClosed' }, ...decisions('closed') } },
      closed: { on: { ...descriptors, ...concluding } },
    },
  });
}

/** The event object that the switch selected. */
export function eventObject(): MachineDefinition {
  const contract = {
    context: { late: field(flag) },
    events: { set: {}, reset: {}, socketClosed: {} },
    effects: {},
  } as const;
  const { update } = language(contract);
  return machineOver(contract, {
    id: 'eventObject',
    initial: 'reset',
    states: {
      reset: { on: { set: 'set', reset: { target: 'reset' }, socketClosed: 'over' } },
      set: { on: { set: { target: 'set' }, reset: 'reset', socketClosed: 'over' } },
      over: {
        on: { set: { actions: update({ late: 1 }) }, reset: { target: 'over' }, socketClosed: { target: 'over' } },
      },
    },
  });
}

/** Sockets of a world with a listener. */
export const [LISTENER, ACCEPTED] = [0, 1];

/** What peers at a listener's port do and hear. */
export const fromPeers = {
  'peer/ask': [{ send: 'port/arrive', to: 0, with: ['self'] }],
  'peer/took': [{ send: 'socket/adapter.accepted', to: ACCEPTED }],
  'peer/gone': [{ send: 'socket/adapter.acceptFailed', to: ACCEPTED, with: [WSA.WSAECONNRESET] }],
  'peer/withdrawn': [{ send: 'connectionRequest/adapter.withdrawn', to: 'self' }],
  'port/opened': [{ send: 'socket/adapter.listening', to: LISTENER }],
  'port/arrived': [{ send: 'socket/adapter.connectRequest', to: LISTENER, with: ['request'] }],
  'port/refuse': [{ send: 'peer/refused', to: 'request' }],
  'port/lost': [{ send: 'socket/adapter.removed', to: LISTENER }],
} as const;

/** What they may do: ask, and withdraw. */
export const peerRules = (peers: readonly number[]): Rule[] =>
  peers.flatMap((row): Rule[] => [
    { name: `peer ${row} asks`, send: 'peer/ask', row, class: 'peer' },
    { name: `peer ${row} withdraws`, send: 'peer/withdraw', row, class: 'peer' },
  ]);

/** What the listener listens on goes. */
export const removal: Rule = { name: "the listener's device is removed", send: 'port/lose', row: 0, class: 'fault' };

/** The private first receive of the accepted socket is given back. */
export const privateFlush: Rule = {
  name: 'private first receive: flush',
  send: 'firstMessage/adapter.firstFlushed',
  row: ACCEPTED,
  class: 'adapter',
  fair: 'flush',
};

/** What worlds with a listener have no use for. */
export const besideListening = [
  'socket/freeBuffers',
  'socket/disconnect',
  'socket/destroyConnector',
  'socket/startTimer',
  'socket/stopTimer',
  'connectionRequest/forget',
] as const;

export interface ListeningOptions {
  readonly name: string;
  readonly peers: 1 | 2 | 3;
  readonly defer?: boolean;
  readonly removable?: boolean;
  readonly routes?: Routes;
  readonly machines?: readonly CompiledMachine[];
}

export function listening(options: ListeningOptions): WorldDefinition {
  const { name, defer = true, removable = false } = options;
  const peers = Array.from({ length: options.peers }, (_, number) => number);
  const by = { row: 0, class: 'switch' } as const;
  const rules: Rule[] = [
    ...peerRules(peers),
    { ...by, name: 'WSPAccept', send: 'acceptor/accept', with: [0], fair: 'accept' },
    { ...by, name: 'WSPAccept without descriptors', send: 'acceptor/accept', with: [1] },
    { ...by, name: 'CF_ACCEPT', send: 'acceptor/decideAccept', fair: 'decide' },
    { ...by, name: 'CF_REJECT', send: 'acceptor/decideReject', fair: 'decide' },
    ...(defer ? [{ ...by, name: 'CF_DEFER', send: 'acceptor/decideDefer', fair: 'decide' } as const] : []),
    { ...by, name: 'condition function: something else', send: 'acceptor/decideInvalid', fair: 'decide' },
    { ...by, name: 'WSPEventSelect(FD_ACCEPT)', send: 'acceptor/select', with: [1] },
    { ...by, name: 'WSPEventSelect(0)', send: 'acceptor/select', with: [0] },
    { ...by, name: 'WSPEnumNetworkEvents', send: 'acceptor/enumerate' },
    { ...by, name: 'WSPListen(1)', send: 'acceptor/listen', with: [1] },
    { ...by, name: 'WSPListen(2)', send: 'acceptor/listen', with: [2] },
    { ...by, name: 'WSPCloseSocket(listener)', send: 'acceptor/close', fair: 'close' },
    { ...by, name: 'WSPCloseSocket(accepted)', send: 'socket/spi.closeSocket', row: ACCEPTED, fair: 'close accepted' },
    privateFlush,
    ...(removable ? [removal] : []),
  ];
  return {
    name,
    limits: { ...smallest, backlogMax: 2 },
    environment: { peer: peer(), port: port(), acceptor: acceptor(), eventObject: eventObject(), handle: handle() },
    rows: {
      ...rowsOfSockets(2),
      connectionRequest: peers.length,
      peer: peers.length,
      port: 1,
      acceptor: 1,
      eventObject: 1,
      handle: 1,
    },
    carried: { 'connectionRequest/socket': 1, 'socket/request': peers.length - 1 },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      'socket/createSwitchHandle': [
        { send: 'handle/created', to: { of: 'self', map: [0, -1] } },
        { send: 'acceptor/occupied', to: { of: 'self', map: [-1, 0] } },
        { send: 'socket/upcall.handleCreated', to: 'self' },
      ],
      'socket/closeSwitchHandle': [{ send: 'handle/closed', to: { of: 'self', map: [0, -1] } }],
      'socket/socketClosed': [{ send: 'acceptor/freed', to: { of: 'self', map: [-1, 0] } }],
      'socket/startListening': [{ send: 'port/open', to: 0 }],
      'socket/stopListening': [{ send: 'port/close', to: 0 }],
      'socket/acceptConnection': [{ send: 'peer/take', to: 'request' }],
      ...toRefusals,
      'networkEvents/setEvent': [{ send: 'eventObject/set', to: { of: 'self', map: [0, -1] } }],
      'networkEvents/resetEvent': [
        { send: 'eventObject/reset', to: { of: 'self', map: [0, -1] } },
        { send: 'networkEvents/upcall.eventReset', to: 'self' },
      ],
      'networkEvents/reportNetworkEvents': [
        { send: 'acceptor/reported', to: 0, with: ['accept', 'acceptError'] },
        { send: 'eventObject/reset', to: 0 },
      ],
      'connectionRequest/callConditionFunction': [{ send: 'acceptor/asked', to: 0, with: ['self'] }],
      'socket/answer': [
        { send: 'acceptor/replied', to: { of: 'self', map: [0, -1] }, with: ['error'] },
        { send: 'acceptor/answered', to: { of: 'self', map: [-1, 0] }, with: ['error'] },
      ],
      'connectionRequest/answer': [{ send: 'acceptor/answered', to: 0, with: ['error'] }],
      'networkEvents/answer': [{ send: 'acceptor/replied', to: { of: 'self', map: [0, -1] }, with: ['error'] }],
      'connectionRequest/rejectConnection': [{ send: 'peer/refused', to: 'self' }],

      ...fromPeers,
      'port/lost': [{ send: 'acceptor/lost', to: 0 }, ...fromPeers['port/lost']],
      'acceptor/returned': [{ send: 'acceptor/returned', to: 0 }],
      'acceptor/concluded': [{ send: 'acceptor/concluded', to: 0 }],
      'acceptor/accept': [{ send: 'socket/spi.accept', to: LISTENER, with: [ACCEPTED, 'full'] }],
      'acceptor/accepted': [{ send: 'connectionRequest/condition.accepted', to: 'request' }],
      'acceptor/rejected': [{ send: 'connectionRequest/condition.rejected', to: 'request' }],
      'acceptor/deferred': [{ send: 'connectionRequest/condition.deferred', to: 'request' }],
      'acceptor/invalid': [{ send: 'connectionRequest/condition.invalid', to: 'request' }],
      'acceptor/select': [{ send: 'socket/spi.eventSelect', to: LISTENER, with: ['accept', 0] }],
      'acceptor/enumerate': [{ send: 'networkEvents/spi.enumNetworkEvents', to: LISTENER }],
      'acceptor/listen': [{ send: 'socket/spi.listen', to: LISTENER, with: ['backlog'] }],
      'acceptor/close': [
        { send: 'socket/spi.closeSocket', to: LISTENER },
        { send: 'eventObject/socketClosed', to: 0 },
      ],
    },
    drops: ['provider/answer', 'networkEvents/answer', ...besideListening],
    never: [
      'provider/endAllSockets',
      'provider/breakAllSockets',
      'provider/closeAdapter',
      'socket/startConnect',
      ...handOverEffects,
      ...requestEffects,
    ],
    rules,
    ...(options.routes === undefined ? {} : { routes: options.routes }),
    ...(options.machines === undefined ? {} : { machines: options.machines }),
    start: [
      { send: 'provider/spi.startup', row: 0, with: [0] },
      { send: 'socket/spi.socket', row: LISTENER },
      { send: 'socket/spi.bind', row: LISTENER },
      { send: 'socket/spi.listen', row: LISTENER, with: [2] },
    ],
  };
}
