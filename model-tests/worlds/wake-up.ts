/**
 * Going to sleep over a completion queue that notifies once: no completion is slept over, nor what a call leaves to do.
 *
 * The device notifies of the first completion after it was armed, and of none before. So the event loop arms, looks once
 * more, and sleeps; woken, it takes the notification, and only then the queue counts as one that awaits none. Between
 * arming and that last look Node.js doesn't run, so no notification is heard of then, and none is taken. Before it arms the
 * loop may linger: it looks again while others have the processor, and takes no notification then, so what it finds may have
 * been notified of, and the queue still counts as armed. Whenever Node.js runs, the application can make a call that leaves
 * something to do, as an up-call that is due: a loop that sleeps is told, and any other looks before it sleeps. Nothing else
 * wakes the loop. It is that of `driver/event-loop.ts` over
 * `driver/adapter/verbs.ts`, without the empty turns that it may spend before it arms.
 */

import {
  add,
  choose,
  equal as same,
  field,
  flag,
  language,
  less as below,
  type MachineDefinition,
  range,
} from '../../machines/index.ts';
import {
  all,
  always,
  leadsTo,
  less,
  not,
  row,
  sometimes,
  type Property,
  type WorldDefinition,
} from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import type { CatalogWorld } from './catalog.ts';

const COMPLETIONS = 3;

/** A completion queue with its notifications: what the hardware knows, what the shim does, and what can be read. */
function completionQueue({ forgetsToDisarm }: { readonly forgetsToDisarm: boolean }): MachineDefinition {
  const contract = {
    context: {
      queued: field(range(0, COMPLETIONS)),
      /** All that have come so far. */
      arrived: field(range(0, COMPLETIONS)),
      /** The device will notify of the next one. */
      armed: field(flag),
      /** The shim takes it for armed: nobody has taken a notification since. */
      known: field(flag),
      /** A notification can be read. */
      readable: field(flag),
    },
    events: { complete: {}, arm: {}, poll: {}, disarm: {}, ask: {} },
    effects: { found: { some: flag }, announce: {} },
  } as const;
  const { context: c, when, update, effect } = language(contract);
  return machineOver(contract, {
    id: 'completionQueue',
    initial: 'open',
    states: {
      open: {
        on: {
          complete: {
            guard: when(below(c.arrived, COMPLETIONS)),
            actions: update({
              queued: add(c.queued, 1),
              arrived: add(c.arrived, 1),
              readable: choose(same(c.armed, 1), 1, c.readable),
              armed: 0,
            }),
          },
          arm: { actions: update({ armed: choose(same(c.known, 1), c.armed, 1), known: 1 }) },
          poll: [
            { guard: when(below(0, c.queued)), actions: [update({ queued: 0 }), effect('found', { some: 1 })] },
            { actions: effect('found', { some: 0 }) },
          ],
          disarm: { actions: update({ known: forgetsToDisarm ? c.known : 0, readable: 0 }) },
          ask: [
            { guard: when(same(c.readable, 1)), actions: effect('announce', {}) },
            { actions: update({ readable: 0 }) },
          ],
        },
      },
    },
  });
}

/** What the loop does when it has found nothing; to `yield` is to let Node.js run. */
type Order = 'arm, look' | 'look, arm' | 'arm, yield, look';

function eventLoop(order: Order, tellsOfCalls: boolean): MachineDefinition {
  const contract = {
    context: {
      /** A notification is known of and not taken yet. */
      seen: field(flag),
      /** A call has left something to do. */
      due: field(flag),
    },
    events: { turn: {}, giveUp: {}, nodeTurn: {}, call: {}, found: { some: flag }, announced: {} },
    effects: { arm: {}, poll: {}, disarm: {}, ask: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const look = (target: string) => [
    {
      guard: when(same(c.seen, 1)),
      target,
      actions: [update({ seen: 0, due: 0 }), effect('disarm', {}), effect('poll', {})],
    },
    { target, actions: [update({ due: 0 }), effect('poll', {})] },
  ];
  const found = (nothing: string) => ({
    found: [{ guard: when(same(event('some'), 1)), target: 'turning' }, { target: nothing }],
  });
  /** Node.js runs, and says so when the descriptor is readable. It may run the application. */
  const yields = {
    nodeTurn: { actions: effect('ask', {}) },
    announced: { actions: update({ seen: 1 }) },
    call: { actions: update({ due: 1 }) },
  } as const;
  const told = tellsOfCalls ? { target: 'turning' } : {};
  return machineOver(contract, {
    id: 'eventLoop',
    initial: 'turning',
    states: {
      turning: { on: { turn: look('looking'), ...yields } },
      looking: { on: found('lingering') },
      // Node.js doesn't run. How often it looks doesn't matter.
      lingering: { on: { turn: { target: 'lookingOn', actions: effect('poll', {}) }, giveUp: 'arming' } },
      lookingOn: { on: found('lingering') },
      arming: {
        on: {
          turn: [
            { guard: when(same(c.seen, 1)), target: 'turning' },
            { target: order === 'look, arm' ? 'asleep' : 'armed', actions: effect('arm', {}) },
          ],
          ...yields,
        },
      },
      armed: { on: { turn: look('lookingAgain'), ...(order === 'arm, yield, look' ? yields : {}) } },
      lookingAgain: { on: found('asleep') },
      asleep: {
        on: {
          ...yields,
          announced: { target: 'turning', actions: update({ seen: 1 }) },
          call: { ...told, actions: update({ due: 1 }) },
        },
      },
    },
  });
}

/** @param broken - how it is put together wrongly; not at all by default */
export function sleeping(
  name: string,
  {
    order = 'arm, look',
    forgetsToDisarm = false,
    tellsOfCalls = true,
  }: { readonly order?: Order; readonly forgetsToDisarm?: boolean; readonly tellsOfCalls?: boolean } = {},
): WorldDefinition {
  const queue = (event: string) => [{ send: `completionQueue/${event}`, to: 0 } as const];
  return {
    name,
    environment: { completionQueue: completionQueue({ forgetsToDisarm }), eventLoop: eventLoop(order, tellsOfCalls) },
    rows: { completionQueue: 1, eventLoop: 1 },
    performs: {
      'eventLoop/arm': queue('arm'),
      'eventLoop/poll': queue('poll'),
      'eventLoop/disarm': queue('disarm'),
      'eventLoop/ask': queue('ask'),
      'completionQueue/found': [{ send: 'eventLoop/found', to: 0, with: ['some'] }],
      'completionQueue/announce': [{ send: 'eventLoop/announced', to: 0 }],
    },
    drops: [],
    rules: [
      { name: 'a completion comes', send: 'completionQueue/complete', row: 0, class: 'adapter' },
      { name: 'a call comes', send: 'eventLoop/call', row: 0, class: 'switch' },
      { name: 'turn', send: 'eventLoop/turn', row: 0, class: 'driver', fair: 'turn' },
      { name: 'give up lingering', send: 'eventLoop/giveUp', row: 0, class: 'driver', fair: 'give up' },
      { name: 'Node.js runs', send: 'eventLoop/nodeTurn', row: 0, class: 'driver', fair: 'Node.js' },
    ],
  };
}

const queue = row('completionQueue', 0);
const loop = row('eventLoop', 0);

export const sleepingProperties: readonly Property[] = [
  always(
    'no completion is slept over',
    not(all(loop.in('asleep'), queue.field('queued'), not(queue.field('readable')))),
  ),
  always('nothing that a call leaves is slept over', not(all(loop.in('asleep'), loop.field('due')))),
  leadsTo('every completion is found', less(0, queue.field('queued')), not(queue.field('queued')), [
    'turn',
    'give up',
    'Node.js',
  ]),
];

const definition = sleeping('wake-up');

export const wakeUp: readonly CatalogWorld[] = [
  {
    name: definition.name,
    question: 'Is every completion found, whenever it or a call comes while the event loop goes to sleep?',
    bounds: `one completion queue and ${COMPLETIONS} completions`,
    effort: 'quick',
    definition,
    properties: [
      ...sleepingProperties,
      sometimes(
        'one comes too early to be notified of',
        all(loop.in('armed'), queue.field('queued'), not(queue.field('readable'))),
      ),
      sometimes(
        'one is notified of while the loop lingers',
        all(loop.in('lingering'), queue.field('queued'), queue.field('readable')),
      ),
      sometimes('a call comes late', all(loop.in('arming'), loop.field('due'))),
      sometimes('one wakes the loop', all(loop.in('asleep'), queue.field('readable'))),
      sometimes('the loop sleeps', all(loop.in('asleep'), not(queue.field('queued')))),
    ],
    assumes: [],
    size: { states: 198, transitions: 599, depth: 12 },
  },
];
