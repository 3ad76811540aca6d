/**
 * Start-up and clean-up: they nest, and the last clean-up leaves nothing, whenever it is called.
 *
 * A process starts up and cleans up in any order, also inside the up-call that makes a switch handle, which can fail. Two
 * sockets are made, bound, listened with and closed. The adapter can refuse to open and can be removed. Two nested
 * start-ups suffice: the inner ones only count.
 */

import * as chart from '../../machines/index.ts';
import { field, flag, language, type MachineDefinition, oneOf, range, WSA } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  each,
  equal,
  iff,
  implies,
  leadsTo,
  less,
  not,
  type Property,
  row,
  type Rule,
  some,
  sometimes,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { agreement } from './agreement.ts';
import type { CatalogWorld } from './catalog.ts';
import { lifecycle } from './lifecycle.ts';
import { handOverEffects, requestEffects, rowsOfSockets } from './performances.ts';
import { errorNumber, handleError, isNeverReturned, smallest } from './surroundings.ts';

/** The adapter as a whole. */
function device(): MachineDefinition {
  const openError = oneOf(WSA.WSASYSNOTREADY, WSA.WSAEPROVIDERFAILEDINIT);
  const contract = {
    context: { error: field(oneOf(0, WSA.WSASYSNOTREADY, WSA.WSAEPROVIDERFAILEDINIT)) },
    events: { obstruct: { error: openError }, open: {}, close: {}, finish: {}, remove: {} },
    effects: { opened: {}, openFailed: { error: openError }, closed: {}, removed: {} },
  } as const;
  const { context: c, event, update, effect } = language(contract);
  return machineOver(contract, {
    id: 'device',
    initial: 'closed',
    states: {
      closed: {
        on: {
          obstruct: { target: 'obstructed', actions: update({ error: event('error') }) },
          open: { target: 'open', actions: effect('opened', {}) },
        },
      },
      obstructed: {
        on: { open: { target: 'closed', actions: [effect('openFailed', { error: c.error }), update({ error: 0 })] } },
      },
      open: { on: { close: 'closing', remove: { target: 'removed', actions: effect('removed', {}) } } },
      removed: { on: { close: 'closing' } },
      // The last up-calls are being made.
      closing: { on: { finish: { target: 'closed', actions: effect('closed', {}) } } },
    },
  });
}

/** What the switch knows of the provider. */
function processOf(): MachineDefinition {
  const refusal = oneOf(0, WSA.WSAVERNOTSUPPORTED, WSA.WSAEFAULT);
  const contract = {
    context: {
      /** WSPStartupEx calls that worked, without their WSPCleanup. */
      startups: field(range(0, 3)),
      forbidden: field(flag),
      /** A call is running: WSPStartupEx (1), WSPCleanup (2). */
      inside: field(range(0, 2)),
    },
    events: {
      startup: { refusal },
      cleanup: {},
      answered: { error: errorNumber },
      returned: {},
      removed: {},
      ended: {},
    },
    effects: { startup: { refusal }, cleanup: {}, returned: {}, ready: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const answered = [
    {
      guard: when(isNeverReturned(event('error'))),
      actions: update({ forbidden: 1 }),
    },
    {
      guard: when(chart.all(chart.equal(c.inside, 1), chart.equal(event('error'), 0))),
      actions: [update({ startups: chart.add(c.startups, 1) }), effect('ready', {})],
    },
    {
      guard: when(
        chart.all(
          chart.equal(c.inside, 2),
          chart.any(chart.equal(event('error'), 0), chart.equal(event('error'), WSA.WSAENETDOWN)),
        ),
      ),
      actions: update({ startups: chart.subtract(c.startups, 1) }),
    },
    { actions: update({}) },
  ];
  return machineOver(contract, {
    id: 'process',
    initial: 'running',
    states: {
      running: {
        on: {
          startup: {
            actions: [update({ inside: 1 }), effect('startup', { refusal: event('refusal') }), effect('returned', {})],
          },
          cleanup: { actions: [update({ inside: 2 }), effect('cleanup', {}), effect('returned', {})] },
          answered,
          returned: { actions: update({ inside: 0 }) },
        },
      },
    },
  });
}

/** A descriptor, and the switch handle of its socket. */
function descriptor(): MachineDefinition {
  const contract = {
    context: {
      /** The switch has given a handle. */
      handle: field(flag),
      /** A handle was closed that was none, or asked for while there was one. */
      untimely: field(flag),
      /** WSPCloseSocket was called, the provider is being cleaned up, or the call that makes the socket has failed. */
      entitled: field(flag, 1),
    },
    events: {
      ready: {},
      ended: {},
      removed: {},
      make: {},
      wanted: {},
      grant: {},
      refuse: { error: handleError },
      unwanted: {},
      answered: { error: errorNumber },
      bind: {},
      listen: {},
      close: {},
    },
    effects: { make: {}, granted: {}, refused: { error: handleError }, bind: {}, listen: {}, close: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const bad = { actions: update({ untimely: 1 }) };
  const unwanted = [
    { guard: when(chart.all(c.handle, c.entitled)), actions: update({ handle: 0 }) },
    { actions: update({ handle: 0, untimely: 1 }) },
  ];
  const idle = { wanted: bad, unwanted, answered: { actions: update({}) } };
  const failed = {
    guard: when(chart.unequal(event('error'), 0)),
    target: 'none',
    actions: update({ entitled: 1 }),
  };
  return machineOver(contract, {
    id: 'descriptor',
    initial: 'barred',
    states: {
      // The provider is not there.
      barred: { on: { ready: 'none', ended: { target: 'barred' }, removed: { target: 'barred' }, ...idle } },
      none: {
        on: {
          make: { target: 'making', actions: [update({ entitled: 0 }), effect('make', {})] },
          ready: { target: 'none' },
          ended: 'barred',
          removed: 'barred',
          ...idle,
        },
      },
      // Inside WSPSocket, and there inside the up-call that makes the handle.
      making: {
        on: {
          wanted: [{ guard: when(c.handle), actions: update({ untimely: 1 }) }, { target: 'asked' }],
          unwanted,
          ready: { target: 'making' },
          answered: [failed, { target: 'open' }],
          ended: { target: 'makingEnded', actions: update({ entitled: 1 }) },
          removed: { target: 'makingRemoved' },
        },
      },
      asked: {
        on: {
          wanted: bad,
          unwanted,
          ready: { target: 'asked' },
          grant: { target: 'making', actions: [update({ handle: 1 }), effect('granted', {})] },
          refuse: {
            target: 'making',
            actions: [update({ entitled: 1 }), effect('refused', { error: event('error') })],
          },
          ended: { target: 'askedEnded', actions: update({ entitled: 1 }) },
          removed: 'askedRemoved',
        },
      },
      // The same, while the provider was cleaned up from inside the up-call.
      askedEnded: {
        on: {
          wanted: bad,
          unwanted,
          ready: { target: 'askedEnded' },
          ended: { target: 'askedEnded' },
          removed: { target: 'askedEnded' },
          grant: { target: 'makingEnded', actions: [update({ handle: 1 }), effect('granted', {})] },
          refuse: { target: 'makingEnded', actions: effect('refused', { error: event('error') }) },
        },
      },
      makingEnded: {
        on: {
          wanted: bad,
          unwanted,
          answered: [
            { guard: when(chart.equal(event('error'), 0)), target: 'barred', actions: update({ untimely: 1 }) },
            { target: 'barred' },
          ],
          ended: { target: 'makingEnded' },
        },
      },
      // The same, while the adapter was removed.
      askedRemoved: {
        on: {
          wanted: bad,
          unwanted,
          ended: { target: 'askedEnded', actions: update({ entitled: 1 }) },
          grant: { target: 'makingRemoved', actions: [update({ handle: 1 }), effect('granted', {})] },
          refuse: {
            target: 'makingRemoved',
            actions: [update({ entitled: 1 }), effect('refused', { error: event('error') })],
          },
        },
      },
      makingRemoved: {
        on: {
          wanted: bad,
          unwanted,
          answered: [{ ...failed, target: 'barred' }, { target: 'crippled' }],
          ended: { target: 'makingEnded', actions: update({ entitled: 1 }) },
        },
      },
      open: {
        on: {
          ...idle,
          ready: { target: 'open' },
          bind: { actions: effect('bind', {}) },
          listen: { actions: effect('listen', {}) },
          close: { target: 'none', actions: [update({ entitled: 1 }), effect('close', {})] },
          ended: { target: 'barred', actions: update({ entitled: 1 }) },
          removed: 'crippled',
        },
      },
      // The adapter is gone: every call but closing is refused before it reaches a machine.
      crippled: {
        on: {
          ...idle,
          close: { target: 'barred', actions: [update({ entitled: 1 }), effect('close', {})] },
          ended: { target: 'barred', actions: update({ entitled: 1 }) },
        },
      },
    },
  });
}

/** A process that starts up and cleans up, with `sockets` descriptors. */
export function starting(name: string, socketCount: 1 | 2, removal: boolean): WorldDefinition {
  const sockets = Array.from({ length: socketCount }, (_, number) => number);
  const everyDescriptor = (event: string) => sockets.map((to) => ({ send: `descriptor/${event}`, to }) as const);
  const by = { row: 0, class: 'switch' } as const;
  const rules: Rule[] = [
    { ...by, name: 'WSPStartupEx', send: 'process/startup', with: [0] },
    { ...by, name: 'WSPStartupEx, version 1.1', send: 'process/startup', with: [WSA.WSAVERNOTSUPPORTED] },
    { ...by, name: 'WSPCleanup', send: 'process/cleanup' },
    ...sockets.flatMap((row): Rule[] => {
      const of = { row, class: 'switch' } as const;
      return [
        { ...of, name: `WSPSocket ${row}`, send: 'descriptor/make' },
        { ...of, name: `WPUCreateSocketHandle ${row}: works`, send: 'descriptor/grant', fair: `handle ${row}` },
        ...[WSA.WSAENOBUFS, WSA.WSAEMFILE].map(
          (error): Rule => ({
            ...of,
            name: `WPUCreateSocketHandle ${row}: ${chart.wsaName(error)}`,
            send: 'descriptor/refuse',
            with: [error],
            fair: `handle ${row}`,
          }),
        ),
        { ...of, name: `WSPBind ${row}`, send: 'descriptor/bind' },
        { ...of, name: `WSPListen ${row}`, send: 'descriptor/listen' },
        { ...of, name: `WSPCloseSocket ${row}`, send: 'descriptor/close' },
      ];
    }),
    ...[WSA.WSASYSNOTREADY, WSA.WSAEPROVIDERFAILEDINIT].map(
      (error): Rule => ({
        name: `the adapter can't open: ${chart.wsaName(error)}`,
        send: 'device/obstruct',
        row: 0,
        with: [error],
        class: 'fault',
      }),
    ),
    { name: 'the adapter is closed', send: 'device/finish', row: 0, class: 'adapter', fair: 'finish' },
    ...(removal ? [{ name: 'adapter removed', send: 'device/remove', row: 0, class: 'fault' } as const] : []),
  ];
  return {
    name,
    limits: { ...smallest, startupsMax: 2 },
    environment: { device: device(), process: processOf(), descriptor: descriptor() },
    rows: {
      ...rowsOfSockets(socketCount),
      device: 1,
      process: 1,
      descriptor: socketCount,
    },
    performs: {
      'provider/openAdapter': [{ send: 'device/open', to: 0 }],
      'provider/closeAdapter': [{ send: 'device/close', to: 0 }],
      'provider/endAllSockets': [...everyDescriptor('ended'), { send: 'socket/provider.cleanup', to: 'openSockets' }],
      'provider/breakAllSockets': [
        ...everyDescriptor('removed'),
        { send: 'socket/adapter.removed', to: 'openSockets' },
      ],
      'provider/answer': [{ send: 'process/answered', to: 0, with: ['error'] }],
      'socket/answer': [{ send: 'descriptor/answered', to: 'self', with: ['error'] }],
      'socket/createSwitchHandle': [{ send: 'descriptor/wanted', to: 'self' }],
      'socket/closeSwitchHandle': [{ send: 'descriptor/unwanted', to: 'self' }],
      'socket/startListening': [{ send: 'socket/adapter.listening', to: 'self' }],

      'device/opened': [{ send: 'provider/adapter.opened', to: 0 }],
      'device/openFailed': [{ send: 'provider/adapter.openFailed', to: 0, with: ['error'] }],
      'device/closed': [{ send: 'provider/adapter.closed', to: 0 }],
      'device/removed': [{ send: 'provider/adapter.removed', to: 0 }],
      'process/startup': [{ send: 'provider/spi.startup', to: 0, with: ['refusal'] }],
      'process/cleanup': [{ send: 'provider/spi.cleanup', to: 0 }],
      'process/returned': [{ send: 'process/returned', to: 0 }],
      'process/ready': everyDescriptor('ready'),
      'descriptor/make': [{ send: 'socket/spi.socket', to: 'self' }],
      'descriptor/granted': [{ send: 'socket/upcall.handleCreated', to: 'self' }],
      'descriptor/refused': [{ send: 'socket/upcall.handleRefused', to: 'self', with: ['error'] }],
      'descriptor/bind': [{ send: 'socket/spi.bind', to: 'self' }],
      'descriptor/listen': [{ send: 'socket/spi.listen', to: 'self', with: [1] }],
      'descriptor/close': [{ send: 'socket/spi.closeSocket', to: 'self' }],
    },
    drops: ['socket/freeBuffers', 'socket/socketClosed', 'socket/stopListening'],
    never: [
      'networkEvents/answer',
      'networkEvents/setEvent',
      'networkEvents/resetEvent',
      'networkEvents/reportNetworkEvents',
      ...requestEffects,
      'socket/startConnect',
      ...handOverEffects,
      'socket/acceptConnection',
      'socket/endRefusal',
      'socket/disconnect',
      'socket/destroyConnector',
      'socket/startTimer',
      'socket/stopTimer',
    ],
    rules,
  };
}

const provider = row('provider', 0);
const adapter = row('device', 0);
const switchSide = row('process', 0);

function startingProperties(definition: WorldDefinition): Property[] {
  const sockets = Array.from({ length: definition.rows['socket']! }, (_, number) => number);
  const socket = (number: number) => row('socket', number);
  const held = (number: number) => row('descriptor', number);
  return [
    always('S-30: the provider counts the start-ups', equal(provider.field('startups'), switchSide.field('startups'))),
    always(
      'S-30: there is an adapter while there is a start-up, or its sockets are being ended',
      all(
        iff(adapter.in('open', 'removed'), any(less(0, provider.field('startups')), provider.in('cleaningUp'))),
        iff(adapter.in('closing'), provider.in('closing')),
      ),
    ),
    implies(
      'S-30: without a start-up nothing is left',
      provider.in('uninitialised'),
      each(sockets, (number) => all(socket(number).in('unopened'), not(held(number).field('handle')))),
    ),
    always(
      'S-08: a handle is closed once at most, and only when it may be',
      each(sockets, (number) => not(held(number).field('untimely'))),
    ),
    always(
      'S-10: there are as many handles as there are sockets',
      each(sockets, (number) =>
        iff(held(number).field('handle'), not(socket(number).in('unopened', 'opening', 'orphaned'))),
      ),
    ),
    always(
      'S-11: a socket is there from its creation until it is closed',
      each(sockets, (number) =>
        iff(held(number).in('open', 'crippled'), socket(number).in('created', 'bound', 'listening')),
      ),
    ),
    always('S-34: no call returns an error that it never may', not(switchSide.field('forbidden'))),
    leadsTo(
      'L-10: the last clean-up comes to its end, if up-calls return',
      provider.in('cleaningUp', 'closing'),
      provider.in('uninitialised'),
      [...sockets.map((number) => `handle ${number}`), 'finish'],
    ),
    ...lifecycle(definition),
    ...agreement(definition),
    sometimes('start-ups nest', equal(provider.field('startups'), 2)),
    sometimes(
      'the provider is cleaned up inside the up-call that makes a handle',
      some(sockets, (number) => socket(number).in('orphaned')),
    ),
  ];
}

const one = starting('start-up and clean-up', 1, true);
const two = starting('start-up and clean-up, two sockets', 2, false);

export const startUp: readonly CatalogWorld[] = [
  {
    name: one.name,
    question: 'Do start-ups nest, and does the last clean-up leave nothing, with the adapter lost at any time?',
    bounds: 'two nested start-ups, one socket after another',
    effort: 'quick',
    definition: one,
    properties: startingProperties(one),
    assumes: [],
    size: { states: 26, transitions: 136, depth: 7 },
  },
  {
    name: two.name,
    question: 'The same with two sockets, one of which is made inside an up-call for the other?',
    bounds: 'two nested start-ups, two sockets at a time',
    effort: 'quick',
    definition: two,
    properties: startingProperties(two),
    assumes: [],
    size: { states: 57, transitions: 446, depth: 10 },
  },
];
