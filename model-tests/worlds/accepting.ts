/**
 * Accepting: whatever happens inside the condition function and inside the up-call that makes the new socket's handle.
 *
 * One peer after another's place asks and withdraws; inside both up-calls the switch closes the listener or cleans up, the
 * adapter is removed, the peer is gone; the handle can be refused. A listener that was taken over from another process
 * is made in the same way.
 */

import * as chart from '../../machines/index.ts';
import { field, flag, language, type MachineDefinition, range, WSA } from '../../machines/index.ts';
import {
  all,
  always,
  atMost,
  any,
  each,
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
import {
  ACCEPTED,
  besideListening,
  fromPeers,
  LISTENER,
  peer,
  peerRules,
  port,
  privateFlush,
  removal,
} from './listening.ts';
import { handOverEffects, requestEffects, rowsOfSockets, toRefusals } from './performances.ts';
import { errorNumber, handleError, smallest } from './surroundings.ts';

/** The switch's one thread; `listener` and `accepted` are the descriptors that it has. */
function host(): MachineDefinition {
  const request = range(0, 1);
  const contract = {
    context: {
      listener: field(flag),
      accepted: field(flag),
      /** Handles of the two sockets. */
      listenerHandle: field(flag),
      acceptedHandle: field(flag),
      /** A handle was closed that was none. */
      untimely: field(flag),
      /** The adapter is gone; the provider was cleaned up. */
      crippled: field(flag),
      ended: field(flag),
      /** A handle was asked for, or a call was answered, when nobody expected it. */
      stray: field(flag),
      current: field(request),
    },
    events: {
      takeOver: {},
      accept: {},
      asked: { request },
      decideAccept: {},
      decideReject: {},
      wanted: {},
      grant: {},
      refuse: { error: handleError },
      listenerClosed: {},
      acceptedClosed: {},
      replied: { error: errorNumber },
      answered: { error: errorNumber },
      connect: { request },
      closeListener: {},
      handOver: {},
      closeAccepted: {},
      end: {},
      cripple: {},
    },
    effects: {
      takeOver: {},
      accept: {},
      accepted: { request },
      rejected: { request },
      granted: { socket: range(0, 1) },
      refused: { socket: range(0, 1), error: handleError },
      take: { request },
      noAdapter: {},
      closeListener: {},
      handOver: {},
      closeAccepted: {},
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const none = { actions: update({}) };
  const stray = { actions: update({ stray: 1 }) };
  const works = when(chart.equal(event('error'), 0));
  const open = chart.all(c.listener, chart.not(c.crippled));
  const closed = (handle: 'listenerHandle' | 'acceptedHandle') => [
    { guard: when(c[handle]), actions: update({ [handle]: 0 }) },
    { actions: update({ untimely: 1 }) },
  ];
  const always = {
    listenerClosed: closed('listenerHandle'),
    acceptedClosed: closed('acceptedHandle'),
    end: { actions: update({ listener: 0, accepted: 0, ended: 1 }) },
    cripple: { actions: update({ crippled: 1 }) },
    connect: [
      { guard: when(chart.any(c.crippled, c.ended)), actions: effect('noAdapter', {}) },
      { actions: effect('take', { request: event('request') }) },
    ],
  };
  /** Calls that can be made inside up-calls too. */
  const calls = {
    closeListener: { guard: when(c.listener), actions: [update({ listener: 0 }), effect('closeListener', {})] },
    handOver: { guard: when(open), actions: effect('handOver', {}) },
    closeAccepted: { guard: when(c.accepted), actions: [update({ accepted: 0 }), effect('closeAccepted', {})] },
  };
  return machineOver(contract, {
    id: 'host',
    initial: 'idle',
    states: {
      idle: {
        on: {
          ...always,
          ...calls,
          // WSPSocket with the token of a listener.
          takeOver: {
            guard: when(chart.not(chart.any(c.listener, c.listenerHandle, c.crippled, c.ended))),
            target: 'takingOver',
            actions: effect('takeOver', {}),
          },
          accept: {
            guard: when(chart.all(open, chart.not(chart.any(c.accepted, c.acceptedHandle)))),
            target: 'accepting',
            actions: effect('accept', {}),
          },
          replied: none,
          answered: none,
          wanted: stray,
          asked: stray,
        },
      },
      takingOver: {
        on: {
          ...always,
          wanted: 'askedForListener',
          replied: [{ guard: works, target: 'idle', actions: update({ listener: 1 }) }, { target: 'idle' }],
          answered: stray,
          asked: stray,
        },
      },
      // Inside WPUCreateSocketHandle.
      askedForListener: {
        on: {
          ...always,
          grant: { target: 'takingOver', actions: [update({ listenerHandle: 1 }), effect('granted', { socket: 0 })] },
          refuse: { target: 'takingOver', actions: effect('refused', { socket: 0, error: event('error') }) },
          wanted: stray,
          asked: stray,
        },
      },
      accepting: {
        on: {
          ...always,
          asked: { target: 'deciding', actions: update({ current: event('request') }) },
          replied: 'idle',
          wanted: stray,
          answered: stray,
        },
      },
      // Inside the condition function.
      deciding: {
        on: {
          ...always,
          ...calls,
          decideAccept: {
            target: 'taking',
            actions: [effect('accepted', { request: c.current }), update({ current: 0 })],
          },
          decideReject: {
            target: 'taking',
            actions: [effect('rejected', { request: c.current }), update({ current: 0 })],
          },
          replied: none,
          answered: stray,
          wanted: stray,
          asked: stray,
        },
      },
      taking: {
        on: {
          ...always,
          wanted: 'asked',
          answered: [{ guard: works, target: 'idle', actions: update({ accepted: 1 }) }, { target: 'idle' }],
          replied: none,
          asked: stray,
        },
      },
      asked: {
        on: {
          ...always,
          ...calls,
          grant: { target: 'taking', actions: [update({ acceptedHandle: 1 }), effect('granted', { socket: 1 })] },
          refuse: { target: 'taking', actions: effect('refused', { socket: 1, error: event('error') }) },
          replied: none,
          answered: stray,
          wanted: stray,
          asked: stray,
        },
      },
    },
  });
}

function accepting(name: string): WorldDefinition {
  const peers = [0, 1];
  const by = { row: 0, class: 'switch' } as const;
  const rules: Rule[] = [
    ...peerRules(peers),
    { ...by, name: 'WSPSocket with the token of a listener', send: 'host/takeOver' },
    { ...by, name: 'WSPAccept', send: 'host/accept' },
    { ...by, name: 'CF_ACCEPT', send: 'host/decideAccept', fair: 'decide' },
    { ...by, name: 'CF_REJECT', send: 'host/decideReject', fair: 'decide' },
    { ...by, name: 'WPUCreateSocketHandle works', send: 'host/grant', fair: 'grant' },
    { ...by, name: 'WPUCreateSocketHandle: WSAENOBUFS', send: 'host/refuse', with: [WSA.WSAENOBUFS], fair: 'grant' },
    { ...by, name: 'WPUCreateSocketHandle: WSAEMFILE', send: 'host/refuse', with: [WSA.WSAEMFILE], fair: 'grant' },
    { ...by, name: 'WSPCloseSocket(listener)', send: 'host/closeListener' },
    { ...by, name: 'WSPDuplicateSocket(listener)', send: 'host/handOver' },
    { ...by, name: 'WSPCloseSocket(accepted)', send: 'host/closeAccepted' },
    { ...by, name: 'WSPCleanup', send: 'provider/spi.cleanup' },
    { name: 'adapter removed', send: 'provider/adapter.removed', row: 0, class: 'fault' },
    removal,
    { name: 'the adapter will not listen', send: 'obstacle/put', row: 0, class: 'fault' },
    privateFlush,
  ];
  return {
    name,
    limits: smallest,
    environment: { peer: peer(), port: port(), host: host(), obstacle: obstacle() },
    rows: {
      ...rowsOfSockets(2),
      connectionRequest: peers.length,
      peer: peers.length,
      port: 1,
      host: 1,
      obstacle: 1,
    },
    carried: { 'connectionRequest/socket': 1, 'socket/request': 1 },
    performs: {
      'provider/openAdapter': [{ send: 'provider/adapter.opened', to: 0 }],
      'provider/closeAdapter': [{ send: 'provider/adapter.closed', to: 0 }],
      'provider/endAllSockets': [
        { send: 'host/end', to: 0 },
        { send: 'socket/provider.cleanup', to: 'openSockets' },
      ],
      'provider/breakAllSockets': [
        { send: 'host/cripple', to: 0 },
        { send: 'port/close', to: 0 },
        { send: 'socket/adapter.removed', to: 'openSockets' },
      ],
      'socket/answer': [
        { send: 'host/replied', to: { of: 'self', map: [0, -1] }, with: ['error'] },
        { send: 'host/answered', to: { of: 'self', map: [-1, 0] }, with: ['error'] },
      ],
      'connectionRequest/answer': [{ send: 'host/answered', to: 0, with: ['error'] }],
      'socket/createSwitchHandle': [{ send: 'host/wanted', to: 0 }],
      'socket/closeSwitchHandle': [
        { send: 'host/listenerClosed', to: { of: 'self', map: [0, -1] } },
        { send: 'host/acceptedClosed', to: { of: 'self', map: [-1, 0] } },
      ],
      'socket/startListening': [{ send: 'obstacle/listen', to: 0 }],
      'socket/stopListening': [{ send: 'port/close', to: 0 }],
      'socket/acceptConnection': [{ send: 'host/connect', to: 0, with: ['request'] }],
      ...toRefusals,
      'networkEvents/resetEvent': [{ send: 'networkEvents/upcall.eventReset', to: 'self' }],
      'connectionRequest/callConditionFunction': [{ send: 'host/asked', to: 0, with: ['self'] }],
      'connectionRequest/rejectConnection': [{ send: 'peer/refused', to: 'self' }],

      ...fromPeers,
      'obstacle/listen': [{ send: 'port/open', to: 0 }],
      'obstacle/refuse': [{ send: 'socket/adapter.listenFailed', to: LISTENER, with: [WSA.WSAENOBUFS] }],
      'host/takeOver': [{ send: 'socket/spi.takeOver', to: LISTENER, with: [1, 1] }],
      'host/accept': [{ send: 'socket/spi.accept', to: LISTENER, with: [ACCEPTED, 0] }],
      'host/accepted': [{ send: 'connectionRequest/condition.accepted', to: 'request' }],
      'host/rejected': [{ send: 'connectionRequest/condition.rejected', to: 'request' }],
      'host/granted': [{ send: 'socket/upcall.handleCreated', to: 'socket' }],
      'host/refused': [{ send: 'socket/upcall.handleRefused', to: 'socket', with: ['error'] }],
      'host/take': [{ send: 'peer/take', to: 'request' }],
      'host/noAdapter': [{ send: 'socket/adapter.acceptFailed', to: ACCEPTED, with: [WSA.WSAENETDOWN] }],
      'host/closeListener': [{ send: 'socket/spi.closeSocket', to: LISTENER }],
      'host/handOver': [{ send: 'socket/spi.duplicateSocket', to: LISTENER }],
      'host/closeAccepted': [{ send: 'socket/spi.closeSocket', to: ACCEPTED }],
    },
    drops: ['provider/answer', 'socket/socketClosed', ...besideListening],
    never: [
      'networkEvents/answer',
      'networkEvents/setEvent',
      'networkEvents/reportNetworkEvents',
      'socket/startConnect',
      ...handOverEffects,
      ...requestEffects,
    ],
    rules,
    start: [{ send: 'provider/spi.startup', row: 0, with: [0] }],
  };
}

/** What keeps the adapter from listening. */
function obstacle(): MachineDefinition {
  const contract = { context: {}, events: { put: {}, listen: {} }, effects: { listen: {}, refuse: {} } } as const;
  const { effect } = language(contract);
  return machineOver(contract, {
    id: 'obstacle',
    initial: 'none',
    states: {
      none: { on: { put: 'there', listen: { actions: effect('listen', {}) } } },
      there: { on: { listen: { target: 'none', actions: effect('refuse', {}) } } },
    },
  });
}

const world = accepting('accepting, and whatever can happen');
const [listenerSocket, acceptedSocket] = [row('socket', LISTENER), row('socket', ACCEPTED)];
const switchSide = row('host', 0);
const provider = row('provider', 0);
const peers = [0, 1];
const within = ['unopened', 'opening', 'orphaned', 'accepting.opening', 'accepting.orphaned'] as const;

function acceptingProperties(definition: WorldDefinition): Property[] {
  return [
    always(
      'S-23: nobody gets two verdicts',
      each(peers, (of) => atMost(row('peer', of).field('verdicts'), 1)),
    ),
    always('S-24: up-calls are made inside the call that they belong to', not(switchSide.field('stray'))),
    always('S-08: a handle is closed once at most', not(switchSide.field('untimely'))),
    always(
      'S-10: there are as many handles as there are sockets',
      all(
        iff(switchSide.field('listenerHandle'), not(listenerSocket.in(...within, 'resuming'))),
        iff(switchSide.field('acceptedHandle'), not(acceptedSocket.in(...within, 'resuming'))),
      ),
    ),
    always(
      'S-11: the switch has the sockets that it was given, until it closes them',
      all(
        iff(switchSide.field('listener'), listenerSocket.in('listening', 'dormant')),
        iff(switchSide.field('accepted'), acceptedSocket.in('connected', 'broken')),
      ),
    ),
    always(
      'S-02: the adapter listens for a socket that does, until its device or the adapter is removed',
      all(
        iff(row('port', 0).in('open'), listenerSocket.in('listening.open')),
        given(row('port', 0).in('lost'), listenerSocket.in('listening.lost')),
        given(listenerSocket.in('listening.lost'), any(row('port', 0).in('lost'), switchSide.field('crippled'))),
      ),
    ),
    implies(
      'S-23: who waits for a verdict is a request of the listener',
      row('peer', 0).in('waiting'),
      each(peers, (of) => given(row('peer', of).in('waiting'), not(row('connectionRequest', of).in('arrived')))),
    ),
    implies(
      'S-30, S-23: after the last clean-up nothing is left, and everybody knows',
      provider.in('uninitialised'),
      all(
        listenerSocket.in('unopened'),
        acceptedSocket.in('unopened'),
        each(peers, (of) => given(row('peer', of).in('waiting'), switchSide.in('deciding'))),
      ),
    ),
    leadsTo(
      'L-10: the last clean-up comes to its end, if up-calls return',
      provider.in('cleaningUp'),
      provider.in('uninitialised'),
      ['decide', 'grant'],
    ),
    ...peers.map((of) =>
      leadsTo(
        `L-06: peer ${of} gets a verdict once the listener is closed, if up-calls return`,
        all(row('peer', of).in('waiting'), not(switchSide.field('listener'))),
        not(row('peer', of).in('waiting')),
        ['decide', 'grant'],
      ),
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes(
      'the device is removed inside the up-call that makes a handle',
      all(listenerSocket.in('listening.lost'), acceptedSocket.in('accepting')),
    ),
    sometimes(
      'the device is removed, then the adapter',
      all(row('port', 0).in('lost'), listenerSocket.in('listening.lost'), provider.in('failed')),
    ),
    sometimes('a listener was handed over', listenerSocket.in('dormant.unlistening')),
    sometimes('the provider is cleaned up while a socket is being accepted', acceptedSocket.in('accepting.orphaned')),
    sometimes(
      'the listener is closed inside the up-call that makes a handle',
      row('connectionRequest', 0).in('acceptingUnlistened'),
    ),
  ];
}

export const acceptance: readonly CatalogWorld[] = [
  {
    name: world.name,
    question: 'Does each up-call of WSPAccept and of a take-over leave things in order, whatever happens inside it?',
    bounds: 'two peers, a backlog of 1, one listener and one accepted socket at a time',
    effort: 'quick',
    definition: world,
    properties: acceptingProperties(world),
    assumes: ['E-04'],
    size: { states: 1536, transitions: 8660, depth: 19 },
  },
];
