/**
 * A connector between its owner and the kernel's connection manager: whenever the owner lets go of it, no call waits.
 *
 * The connector is the real machine. The connection manager tells of what has become of a connection in its own time, and
 * its events wait to be read; by then it may be further. Over iWARP it lets nobody have a queue pair or an id back while
 * it connects or accepts: who asks for one has to wait. A queue pair that is put in error while it accepts is worse: Linux
 * then takes the connection's end for an impossible event (`cm_close_handler` in drivers/infiniband/core/iwcm.c).
 */

import {
  choose,
  createVerbsConnectorMachine,
  equal as same,
  field,
  flag,
  language,
  type MachineDefinition,
  range,
} from '../../machines/index.ts';
import {
  all,
  always,
  any,
  leadsTo,
  not,
  row,
  sometimes,
  type Performance,
  type Property,
  type Rule,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import type { CatalogWorld } from './catalog.ts';

/** What the connection manager tells, by the number that it has among the events that weren't read. */
const told = ['', 'addressResolved', 'routeResolved', 'established', 'rejected', 'failed', 'disconnected'] as const;
type Told = Exclude<(typeof told)[number], ''>;
const unread = range(0, told.length - 1);

/** The kernel, the device and the peer. */
function connectionManager(outcomeFirst: boolean): MachineDefinition {
  const contract = {
    context: {
      /** Events that weren't read; 0: none. */
      first: field(unread),
      second: field(unread),
      /** The queue pair is in error. */
      failed: field(flag),
      /** Somebody looks for the completion queue to be empty. */
      draining: field(flag),
      /** Calls are refused from now on. */
      refusing: field(flag),
      /** A call had to wait. */
      waited: field(flag),
    },
    events: {
      resolveAddress: {},
      resolveRoute: {},
      startConnection: {},
      acceptConnection: {},
      rejectConnection: {},
      disconnect: {},
      failQueuePair: {},
      destroyQueuePair: {},
      forget: {},
      release: {},
      arrive: {},
      succeed: {},
      deny: {},
      giveUp: {},
      leave: {},
      refuseCalls: {},
      tell: {},
      empty: {},
    },
    effects: {
      addressResolved: {},
      routeResolved: {},
      established: {},
      rejected: {},
      failed: {},
      disconnected: {},
      connectRequest: {},
      refused: {},
      emptied: {},
    },
  } as const;
  const { context: c, when, update, effect } = language(contract);
  /** One more event to read. */
  const telling = (what: Told) => {
    const isFirst = same(c.first, 0);
    const code = told.indexOf(what);
    return update({ first: choose(isFirst, code, c.first), second: choose(isFirst, c.second, code) });
  };
  const stays = { actions: update({}) } as const;
  const waits = outcomeFirst ? { waited: 1 } : {};
  const asks = (target: string) => [{ guard: when(same(c.refusing, 1)), actions: effect('refused', {}) }, { target }];
  const fails = { actions: update({ failed: 1, draining: 1 }) } as const;
  const released = { target: 'gone', actions: update({ first: 0, second: 0, draining: 0 }) } as const;
  const common = {
    disconnect: stays,
    rejectConnection: stays,
    failQueuePair: fails,
    destroyQueuePair: stays,
    forget: { actions: update({ draining: 0 }) },
    release: released,
    refuseCalls: { guard: when(same(c.refusing, 0)), actions: update({ refusing: 1 }) },
    tell: told.slice(1).map((name, index) => ({
      guard: when(same(c.first, index + 1)),
      actions: [update({ first: c.second, second: 0 }), effect(name as Told, {})],
    })),
    empty: { guard: when(same(c.draining, 1)), actions: [update({ draining: 0 }), effect('emptied', {})] },
  };
  const held = {
    disconnect: { actions: update(waits as never) },
    destroyQueuePair: { actions: update(waits as never) },
    release: { target: 'gone', actions: update({ first: 0, second: 0, draining: 0, ...waits } as never) },
  };
  const over = (what: Told) => ({ target: 'over', actions: telling(what) });
  return machineOver(contract, {
    id: 'connectionManager',
    initial: 'idle',
    states: {
      idle: {
        on: {
          ...common,
          resolveAddress: asks('resolvingAddress'),
          arrive: { target: 'asked', actions: effect('connectRequest', {}) },
          failQueuePair: { target: 'over', ...fails },
        },
      },
      resolvingAddress: {
        on: { ...common, succeed: { target: 'resolved', actions: telling('addressResolved') }, giveUp: over('failed') },
      },
      resolvingRoute: {
        on: { ...common, succeed: { target: 'resolved', actions: telling('routeResolved') }, giveUp: over('failed') },
      },
      resolved: { on: { ...common, resolveRoute: asks('resolvingRoute'), startConnection: asks('connecting') } },
      connecting: {
        on: {
          ...common,
          ...held,
          succeed: [
            { guard: when(same(c.failed, 1)), ...over('failed') },
            { target: 'up', actions: telling('established') },
          ],
          deny: over('rejected'),
          giveUp: over('failed'),
        },
      },
      asked: {
        on: { ...common, acceptConnection: asks('accepting'), rejectConnection: 'over', leave: over('disconnected') },
      },
      accepting: {
        on: {
          ...common,
          ...held,
          failQueuePair: { actions: update({ failed: 1, draining: 1, ...waits } as never) },
          succeed: { target: 'up', actions: telling('established') },
          giveUp: over('failed'),
        },
      },
      up: { on: { ...common, disconnect: 'parting', leave: over('disconnected') } },
      parting: { on: { ...common, leave: over('disconnected') } },
      over: { on: { ...common, acceptConnection: { actions: effect('refused', {}) } } },
      gone: {},
    },
  });
}

/** It is told of its connector until it has destroyed it. */
function owner(): MachineDefinition {
  const contract = { context: {}, events: { told: {}, forgotten: {} }, effects: {} } as const;
  return machineOver(contract, {
    id: 'owner',
    initial: 'holding',
    states: { holding: { on: { told: { target: 'holding' }, forgotten: 'gone' } }, gone: {} },
  });
}

const call = (name: string): Performance => ({ send: `connectionManager/${name}`, to: 0 });
const tells = (name: string, ...more: readonly number[]): Performance => ({
  send: `verbsConnector/${name}`,
  to: 0,
  with: more,
});
const raises: readonly Performance[] = [{ send: 'owner/told', to: 0 }];

/**
 * @param outcomeFirst - the connection manager is iWARP's
 * @param known - whether the connector knows; by default it does
 */
export function lettingGo(name: string, outcomeFirst: boolean, known = outcomeFirst): WorldDefinition {
  const verbsConnector = createVerbsConnectorMachine() as MachineDefinition;
  const cm = connectionManager(outcomeFirst);
  const effects = Object.keys(verbsConnector.contract.effects);
  const calls = effects.filter((effect) => effect in cm.contract.events && effect !== 'forget');
  const news = effects.filter((effect) => effect.startsWith('raise'));
  const does = (send: string, ...more: readonly number[]): Rule => ({
    name: `the owner: ${send}`,
    send: `verbsConnector/connector.${send}`,
    row: 0,
    with: more,
    class: 'driver',
  });
  const happens = (what: string, send: string, fair?: string): Rule => ({
    name: what,
    send: `connectionManager/${send}`,
    row: 0,
    class: 'network',
    ...(fair === undefined ? {} : { fair }),
  });
  const outcome = known ? 1 : 0;
  return {
    name,
    environment: {
      verbsConnector,
      connectionManager: cm,
      owner: owner(),
    },
    rows: { verbsConnector: 1, connectionManager: 1, owner: 1 },
    performs: {
      ...Object.fromEntries(calls.map((effect) => [`verbsConnector/${effect}`, [call(effect)]])),
      'verbsConnector/forget': [call('forget'), { send: 'owner/forgotten', to: 0 }],
      ...Object.fromEntries(news.map((effect) => [`verbsConnector/${effect}`, raises])),
      'connectionManager/connectRequest': [tells('cm.connectRequest', outcome)],
      'connectionManager/addressResolved': [tells('cm.addressResolved')],
      'connectionManager/routeResolved': [tells('cm.routeResolved')],
      'connectionManager/established': [tells('cm.established')],
      'connectionManager/rejected': [tells('cm.rejected', 1)],
      'connectionManager/failed': [tells('cm.failed')],
      'connectionManager/disconnected': [tells('cm.disconnected')],
      'connectionManager/refused': [tells('call.refused')],
      'connectionManager/emptied': [tells('queue.emptied')],
    },
    drops: ['verbsConnector/tune', 'verbsConnector/ignored'],
    rules: [
      does('connect', outcome),
      does('prepare'),
      does('accept'),
      does('reject'),
      does('disconnect'),
      does('destroy'),
      { ...happens('the device is removed', ''), send: 'verbsConnector/device.removed', class: 'fault' },
      { ...happens('the queue pair fails', ''), send: 'verbsConnector/device.queuePairFailed', class: 'fault' },
      happens('a peer asks', 'arrive'),
      happens('the peer agrees', 'succeed'),
      happens('the peer refuses', 'deny'),
      happens('nobody answers', 'giveUp', 'outcome'),
      happens('the peer has left', 'leave', 'outcome'),
      { ...happens('calls are refused from now on', 'refuseCalls'), class: 'fault' },
      happens('an event is read', 'tell', 'reading'),
      happens('the completion queue is found empty', 'empty', 'polling'),
    ],
  };
}

const connector = row('verbsConnector', 0);
const manager = row('connectionManager', 0);
const progress = ['outcome', 'reading', 'polling'];

const comesToItsEnd = leadsTo(
  'what is given up comes to its end',
  any(connector.in('withdrawn'), connector.in('recanting'), connector.in('leaving'), connector.in('draining')),
  any(connector.in('ended'), connector.in('released')),
  progress,
);

/** Of a connector over iWARP. */
export const lettingGoProperties: readonly Property[] = [
  always('no call has to wait for the connection manager', not(manager.field('waited'))),
  leadsTo('what is destroyed is given back', connector.in('abandoned'), connector.in('released'), progress),
  comesToItsEnd,
];

const isWaitedFor = any(manager.in('connecting'), manager.in('accepting'));

const world = (
  name: string,
  outcomeFirst: boolean,
  size: CatalogWorld['size'] & {},
  properties: readonly Property[],
): CatalogWorld => ({
  name,
  question: 'Whenever its owner lets go of a connector: does no call wait, and is all given back?',
  bounds:
    'one connector; the two ends of its connection, each in turn; calls that are refused; a device that is removed',
  effort: 'quick',
  definition: lettingGo(name, outcomeFirst),
  properties: [
    ...properties,
    sometimes('it comes to its end', all(connector.in('ended'), not(manager.field('refusing')))),
  ],
  assumes: [],
  size,
});

export const connectors: readonly CatalogWorld[] = [
  world('a connector, iWARP', true, { states: 157, transitions: 914, depth: 10 }, [
    ...lettingGoProperties,
    sometimes('one that connects is given up', all(connector.in('withdrawn'), isWaitedFor)),
    sometimes('one that accepts is given up', all(connector.in('recanting'), isWaitedFor)),
    sometimes('one is destroyed while it connects or accepts', all(connector.in('abandoned'), isWaitedFor)),
  ]),
  world('a connector, InfiniBand', false, { states: 138, transitions: 891, depth: 9 }, [comesToItsEnd]),
];
