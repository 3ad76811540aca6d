/**
 * System: all machines together, and the one place where a step of one machine causes steps of others.
 *
 * Theory of operation: one event is applied to one row. The effects of that step are carried on in order, each as deep
 * as it goes before the next: an effect that has a route becomes events of other machines (a closing socket aborts its
 * requests, a request that is over frees a place in its queue); one that has none is the driver's to perform. The routes
 * are data, which router.ts translates to code. Which rows belong together is fixed by number (socket s has network
 * events s, first message s, send queue 2s and receive queue 2s + 1) or kept in lists (requests of a queue in the order
 * of the calls, requests of a listener, registrations of a socket, registrations that a request has pinned).
 *
 * Rows are named by the caller, so that a journal of events determines the system. A row whose machine is over is free
 * and new again.
 *
 * A checker adds machines of its own behind these: what is around the provider, in the same language.
 */

import { type MachineName, machineNames } from './catalog.ts';
import type { CompiledMachine } from './compile.ts';
import { InvariantError } from './invariant.ts';
import { Pins, RowLists } from './lists.ts';
import { type Routed, type RoutedStep, routedStep, type Watcher } from './router.ts';
import { EFFECT_STRIDE, type EffectSink, MachineRows } from './step.ts';

/** Rows that a routed event goes to, seen from the row whose step asked for it. */
export type Rows =
  | 'self'
  | 'provider'
  /** The socket of a queue, a first message. */
  | 'socket'
  /** Same number as the socket. */
  | 'sameRow'
  | 'sendQueue'
  | 'receiveQueue'
  /** The queue of a request. */
  | 'queue'
  | 'listener'
  | 'sendRequests'
  | 'receiveRequests'
  /** The request that the argument `request` names, if it is its queue's oldest. */
  | 'requestIfOldest'
  /** The oldest request of the queue that the asking request has left, if there is one. */
  | 'nextOldest'
  | 'oldestHeldRequest'
  | 'connectionRequests'
  | 'oldestUndecided'
  | 'newestUndecided'
  | 'buffers'
  | 'pinnedBuffers'
  /** The row that the effect's argument names. */
  | { readonly argument: string };

/** One thing that an effect causes. */
export type Route =
  | {
      readonly send: `${MachineName}/${string}`;
      readonly to: Rows;
      /** Parameters of the event: constants, `'self'` for the asking row, or the effect's argument of that name. */
      readonly with?: readonly (number | string)[];
    }
  /** Put the row that the argument names into a list of the asking row. */
  | { readonly append: 'requests' | 'connectionRequests' | 'buffers'; readonly member: string }
  /** Take the asking row out of its list. */
  | { readonly leave: 'requests' | 'connectionRequests' | 'buffers' }
  /** Remember that the request that the argument names has pinned the asking registration. */
  | { readonly pin: string }
  /** The driver performs the effect as well. */
  | 'perform';

const request = ['request', 'polled', 'fence', 'pieces'] as const;
const toQueues = (event: string): Route[] => [
  { send: `requestQueue/${event}`, to: 'sendQueue' },
  { send: `requestQueue/${event}`, to: 'receiveQueue' },
  { send: `firstMessage/${event}`, to: 'sameRow' },
];
const toRequests = (event: string, ...parameters: readonly string[]): Route[] => [
  { send: `overlappedRequest/${event}`, to: 'sendRequests', with: parameters },
  { send: `overlappedRequest/${event}`, to: 'receiveRequests', with: parameters },
];
const start = (event: string): Route[] => [
  { append: 'requests', member: 'request' },
  { send: `overlappedRequest/${event}`, to: { argument: 'request' }, with: request.slice(1) },
  // Tells the request that it is the oldest, if it is.
  { send: 'overlappedRequest/queue.head', to: 'requestIfOldest' },
];

/** What effects cause, by machine and effect. */
export type Routes = Readonly<Record<string, Readonly<Record<string, readonly Route[]>>>>;

/** What effects cause, by machine and effect. An effect that isn't here is the driver's alone. */
export const routes: Readonly<Record<MachineName, Routes[string]>> = {
  provider: {
    ignored: [],
  },
  socket: {
    socketOpened: [{ send: 'provider/socket.opened', to: 'provider' }],
    socketClosed: [
      ...toQueues('socket.freed'),
      { send: 'networkEvents/socket.freed', to: 'sameRow' },
      'perform',
      { send: 'provider/socket.closed', to: 'provider' },
    ],
    enqueueRequest: [
      { append: 'connectionRequests', member: 'request' },
      { send: 'connectionRequest/listener.queued', to: { argument: 'request' } },
    ],
    refuseArrival: [{ send: 'connectionRequest/listener.overflow', to: { argument: 'request' } }],
    offerOldest: [{ send: 'connectionRequest/listener.offer', to: 'oldestUndecided', with: ['socket'] }],
    refuseNewest: [{ send: 'connectionRequest/listener.trimmed', to: 'newestUndecided' }],
    refuseQueued: [{ send: 'connectionRequest/listener.closed', to: 'connectionRequests' }],
    dropQueued: [{ send: 'connectionRequest/listener.lost', to: 'connectionRequests' }],
    trim: [{ send: 'socket/listener.trim', to: 'self' }],
    tookRequest: [{ send: 'connectionRequest/socket.connected', to: { argument: 'request' } }],
    droppedRequest: [{ send: 'connectionRequest/socket.refused', to: { argument: 'request' } }],
    requestQueued: [{ send: 'networkEvents/socket.requestQueued', to: 'sameRow' }],
    acceptEnded: [{ send: 'networkEvents/socket.acceptEnded', to: 'sameRow', with: ['accepted', 'ready'] }],
    listenerLost: [{ send: 'networkEvents/socket.listenerLost', to: 'sameRow', with: ['deferred'] }],
    selectEvents: [{ send: 'networkEvents/socket.selected', to: 'sameRow', with: ['accept', 'connect', 'ready'] }],
    connectStarted: [{ send: 'networkEvents/socket.connectStarted', to: 'sameRow' }],
    connectEnded: [{ send: 'networkEvents/socket.connectEnded', to: 'sameRow', with: ['error'] }],
    stopEvents: [{ send: 'networkEvents/socket.stopped', to: 'sameRow' }],
    openQueues: [
      { send: 'requestQueue/socket.opened', to: 'sendQueue', with: [0] },
      { send: 'requestQueue/socket.opened', to: 'receiveQueue', with: ['first'] },
      { send: 'firstMessage/socket.opened', to: 'sameRow', with: ['first'] },
    ],
    openQueuesPaused: [
      { send: 'requestQueue/socket.attaching', to: 'sendQueue', with: [0] },
      { send: 'requestQueue/socket.attaching', to: 'receiveQueue', with: [1] },
      { send: 'firstMessage/socket.opened', to: 'sameRow', with: [1] },
    ],
    admitSend: [{ send: 'requestQueue/queue.admit', to: 'sendQueue', with: request }],
    admitReceive: [{ send: 'requestQueue/queue.admit', to: 'receiveQueue', with: request }],
    suspendQueues: [...toQueues('socket.suspended'), ...toRequests('socket.suspended')],
    resumeQueues: [
      { send: 'requestQueue/socket.resumed', to: 'sendQueue' },
      { send: 'requestQueue/socket.resumed', to: 'receiveQueue' },
    ],
    resumeReceives: [{ send: 'requestQueue/socket.resumed', to: 'receiveQueue' }],
    resumeSends: [{ send: 'requestQueue/socket.resumed', to: 'sendQueue' }],
    haltQueues: toQueues('socket.halted'),
    breakRequests: toRequests('socket.broken', 'error'),
    abortRequests: toRequests('socket.closing'),
    // The queues first: a request that ends can be the last thing that the socket waits for.
    loseRequests: [...toQueues('socket.lost'), ...toRequests('socket.lost', 'error')],
    handOverReceives: [{ send: 'overlappedRequest/socket.handedOver', to: 'receiveRequests' }],
    registerBuffer: [
      { append: 'buffers', member: 'buffer' },
      { send: 'registeredBuffer/spi.registerMemory', to: { argument: 'buffer' } },
    ],
    deregisterBuffer: [{ send: 'registeredBuffer/spi.deregisterMemory', to: { argument: 'buffer' } }],
    freeBuffers: [{ send: 'registeredBuffer/socket.freed', to: 'buffers' }, 'perform'],
    ignored: [],
  },
  networkEvents: { ignored: [] },
  connectionRequest: {
    acceptInto: [{ send: 'socket/request.acceptInto', to: { argument: 'socket' }, with: ['self'] }],
    leaveQueue: [{ leave: 'connectionRequests' }],
    left: [{ send: 'socket/request.left', to: 'listener', with: ['offered', 'accepted'] }],
    deferred: [{ send: 'socket/request.deferred', to: 'listener' }],
    leftDeferred: [{ send: 'socket/request.deferredLeft', to: 'listener' }],
    ignored: [],
  },
  requestQueue: {
    startRequest: start('queue.start'),
    holdRequest: start('queue.hold'),
    pairRequest: [
      'perform',
      ...start('queue.pair'),
      { send: 'firstMessage/queue.paired', to: 'socket', with: ['request'] },
    ],
    postOldestHeld: [{ send: 'overlappedRequest/queue.postNow', to: 'oldestHeldRequest' }],
    pump: [{ send: 'requestQueue/queue.pump', to: 'self' }],
    queueDrained: [{ send: 'socket/queue.drained', to: 'socket' }],
    ignored: [],
  },
  firstMessage: {
    missed: [{ send: 'requestQueue/firstMessage.missed', to: 'receiveQueue' }],
    queueDrained: [{ send: 'socket/queue.drained', to: 'sameRow' }],
    ignored: [],
  },
  overlappedRequest: {
    creditReturned: [{ send: 'requestQueue/request.creditReturned', to: 'queue' }],
    releaseBuffers: [{ send: 'registeredBuffer/request.unpinned', to: 'pinnedBuffers' }],
    leaveOrder: [{ leave: 'requests' }, { send: 'overlappedRequest/queue.head', to: 'nextOldest' }],
    retire: [{ send: 'requestQueue/request.retired', to: 'queue' }, 'perform'],
    ignored: [],
  },
  registeredBuffer: {
    rememberPin: [{ pin: 'request' }],
    forget: [{ leave: 'buffers' }, 'perform'],
  },
};

/** Number of a machine in {@link machineNames}. */
export const M = Object.fromEntries(machineNames.map((name, index) => [name, index])) as Readonly<
  Record<MachineName, number>
>;
const NONE = -1;

/** How a system differs from the provider's own. */
export interface SystemOptions<Name extends string> {
  /** Names of all machines, beginning with {@link machineNames}. */
  readonly names?: readonly Name[];
  /** Instead of {@link routes}. */
  readonly routes?: Routes;
}

/** All rows of all machines, and what moves them. */
export class System<Name extends string = MachineName> {
  readonly machines: readonly CompiledMachine[];
  readonly rows: readonly MachineRows[];
  /** First id of each machine's events; event ids number all events of all machines. */
  readonly eventBase: readonly number[];
  /** First id of each machine's effects. */
  readonly effectBase: readonly number[];
  /** Requests of a queue that haven't been published, in the order of the calls. */
  readonly requests = new RowLists();
  /** Undecided requests of a listener, in the order of arrival. */
  readonly connectionRequests = new RowLists();
  /** Registrations of a socket. */
  readonly buffers = new RowLists();
  /** Registrations that a request needs. */
  readonly pins = new Pins();
  /** Effects for the driver, in order. Whoever performs them lowers `top` again. */
  readonly effects: EffectSink = { buffer: new Float64Array(256 * EFFECT_STRIDE), top: 0 };
  /** Events applied so far. */
  steps = 0;
  /** Steps of each machine so far, routed ones included. */
  readonly machineSteps: Float64Array;

  /** Effects of a step that is only tried. */
  readonly #tried: EffectSink;
  readonly #routed: Routed;
  #apply: RoutedStep;
  #watcher: Watcher | null = null;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #routes: Routes;
  readonly #machineOf: Uint8Array;
  readonly #held: number;
  readonly #undecided: readonly number[];

  /** @param machines - compiled for the same limits, in the order of the names */
  constructor(machines: readonly CompiledMachine[], options: SystemOptions<Name> = {}) {
    const names: readonly string[] = options.names ?? machineNames;
    this.machines = machines;
    this.machineSteps = new Float64Array(machines.length);
    this.#numbers = new Map(names.map((name, index) => [name, index]));
    this.#routes = options.routes ?? routes;
    const bases = (count: (machine: CompiledMachine) => number): number[] => {
      let base = 0;
      return machines.map((machine) => {
        const mine = base;
        base += count(machine);
        return mine;
      });
    };
    this.eventBase = bases(({ events }) => events.length);
    this.effectBase = bases(({ effects }) => effects.length);
    const effectsMax = Math.max(...machines.map((machine) => machine.effectsMax));
    this.#tried = { buffer: new Float64Array(effectsMax * EFFECT_STRIDE), top: 0 };
    this.rows = machines.map((machine, index) => new MachineRows(machine, this.effectBase[index]!, this.#tried));
    this.#machineOf = Uint8Array.from(machines.flatMap(({ events }, index) => events.map(() => index)));
    const state = (machine: MachineName, name: string) => machines[M[machine]]!.configurations.indexOf(name);
    this.#held = state('overlappedRequest', 'held');
    this.#undecided = [state('connectionRequest', 'queued'), state('connectionRequest', 'deferred')];
    this.#routed = {
      rows: this.rows,
      out: this.effects,
      machineSteps: this.machineSteps,
      requests: this.requests,
      connectionRequests: this.connectionRequests,
      buffers: this.buffers,
      pins: this.pins,
      grow,
      refuse: (machine, event, row) => {
        const { name, events } = machines[machine]!;
        const state = this.rows[machine]!.stateName(row);
        throw new InvariantError(name, row, events[event]!.name, state, this.steps);
      },
      oldestHeldRequest: (queue) => {
        const { states } = this.rows[M.overlappedRequest]!;
        let found = this.requests.first(queue);
        while (found !== NONE && states[found] !== this.#held) found = this.requests.next(found);
        if (found === NONE)
          throw this.#lost('requestQueue', queue, 'a held request is posted, but none is in the list');
        return found;
      },
      oldestUndecided: (listener) => {
        let found = this.connectionRequests.first(listener);
        while (found !== NONE && !this.#isUndecided(found)) found = this.connectionRequests.next(found);
        if (found === NONE) throw this.#lost('socket', listener, 'a request is offered, but none is undecided');
        return found;
      },
      newestUndecided: (listener) => {
        let found = this.connectionRequests.last(listener);
        while (found !== NONE && !this.#isUndecided(found)) found = this.connectionRequests.previous(found);
        if (found === NONE) throw this.#lost('socket', listener, 'a request is refused, but none is undecided');
        return found;
      },
    };
    this.#apply = routedStep(machines, names, this.#routes, this.#routed, null);
    this.rows[M.provider]!.ensure(0);
  }

  /** Id of an event. @throws Error when there is none such */
  eventId(machine: Name, event: string): number {
    return this.#eventId(this.#numbers.get(machine)!, event);
  }

  #eventId(machine: number, event: string): number {
    const { name, events } = this.machines[machine]!;
    const index = events.findIndex((candidate) => candidate.name === event);
    if (index < 0) throw new Error(`machine '${name}' has no event '${event}'`);
    return this.eventBase[machine]! + index;
  }

  /** Id of an effect. @throws Error when there is none such */
  effectId(machine: Name, effect: string): number {
    const number = this.#numbers.get(machine)!;
    const index = this.machines[number]!.effects.findIndex(({ name }) => name === effect);
    if (index < 0) throw new Error(`machine '${machine}' has no effect '${effect}'`);
    return this.effectBase[number]! + index;
  }

  /** Whether an effect is the driver's to perform. */
  reachesDriver(machine: Name, effect: string): boolean {
    const found = this.#routes[machine]?.[effect];
    return found === undefined || found.includes('perform');
  }

  /** Number of the machine that event `event` belongs to. */
  machineOfEvent(event: number): number {
    return this.#machineOf[event]!;
  }

  /** What `meta.refusal` of the state that `row` of `machine` is in says. */
  refusal(machine: number, row: number): number {
    return this.machines[machine]!.refusals[this.rows[machine]!.states[row]!]!;
  }

  /**
   * Applies one event and carries on what it causes; the driver's effects are then in {@link System.effects}.
   *
   * @param event - id, as from {@link System.eventId}
   * @throws {@link InvariantError} when the row, or one that it moves, does not accept the event
   */
  apply(event: number, row: number, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0): void {
    this.#apply(event, row, p0, p1, p2, p3, p4);
    this.steps++;
  }

  /** From now on `watcher`, with those before it, is told of every step, and of what is only asked. For tests: that costs more than to step. */
  watch(watcher: Watcher): void {
    const watching = this.#watcher === null ? watcher : together(this.#watcher, watcher);
    this.#watcher = watching;
    this.#apply = routedStep(this.machines, [...this.#numbers.keys()], this.#routes, this.#routed, watching);
  }

  /** Whether `event` would be accepted by the row that it is for; what it would cause elsewhere isn't looked at. */
  accepts(event: number, row: number, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0): boolean {
    const machine = this.#machineOf[event]!;
    const local = event - this.eventBase[machine]!;
    const rows = this.rows[machine]!;
    rows.ensure(row);
    this.#watcher?.before(machine, row, local, p0, p1, p2, p3, p4);
    const state = rows.states[row]!;
    const before = rows.columns.map((column) => column[row]!);
    const accepted = rows.step(row, local, p0, p1, p2, p3, p4) === 1;
    this.#tried.top = 0;
    rows.place(row, state, before);
    return accepted;
  }

  /** A count and its list disagree. */
  #lost(machine: MachineName, row: number, what: string): InvariantError {
    return new InvariantError(machine, row, what, this.rows[M[machine]]!.stateName(row), this.steps);
  }

  #isUndecided(request: number): boolean {
    return this.#undecided.includes(this.rows[M.connectionRequest]!.states[request]!);
  }
}

function grow(sink: EffectSink, more: number): void {
  const larger = new Float64Array(Math.max(sink.top + more, sink.buffer.length * 2));
  larger.set(sink.buffer);
  sink.buffer = larger;
}

/** One who looks on for two. */
function together(first: Watcher, second: Watcher): Watcher {
  return {
    before: (...told) => {
      first.before(...told);
      second.before(...told);
    },
    after: (...told) => {
      first.after(...told);
      second.after(...told);
    },
    store: (...told) => {
      first.store?.(...told);
      second.store?.(...told);
    },
  };
}
