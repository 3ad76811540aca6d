/**
 * The error of a broken invariant, and predicates that hold in every reachable system.
 *
 * Theory of operation: an event that a state does not expect means that the driver or a machine is wrong. Nothing
 * recovers from that, so the message stands alone. The predicates say what the machines keep between them: one counts
 * what is in another's list, one holds what another has counted. They hold between any two events, inside up-calls too.
 */

import { type MachineName, machineNames } from './catalog.ts';
import { contains } from './contract.ts';
import type { MachineRows } from './step.ts';
import type { System } from './system.ts';

/** A machine met an event that its state does not accept. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly machine: string;
  readonly row: number;
  readonly event: string;
  readonly state: string;
  /** Position in the journal: number of events applied before. */
  readonly step: number;

  constructor(machine: string, row: number, event: string, state: string, step: number) {
    super(`${machine} ${row}: ${event} in state '${state}' (journal step ${step})`);
    this.machine = machine;
    this.row = row;
    this.event = event;
    this.state = state;
    this.step = step;
  }
}

/** Socket states in which the adapter has a connector for the socket; in others but those of {@link detachedStates} either. */
export const attachedStates = [
  'connecting.pending',
  'connected.active',
  'connected.attaching',
  'dormant.handing',
  'closing.handing',
];
/** Socket states in which it has none. */
export const detachedStates = [
  'created',
  'bound',
  'listening',
  'connected.suspended',
  'dormant.parted',
  'dormant.unlistening',
];

/** Request states in which registrations are needed. */
export const pinningStates = ['held', 'paired', 'posted', 'breaking', 'aborting'];
/** Request states that a queue counts as posted. */
export const postedStates = ['paired', 'posted', 'breaking', 'aborting'];

/**
 * Says which predicates a system breaks; of a reachable one, none. For tests and replay: it looks at every row.
 *
 * @param system - between two events
 * @returns one sentence for each broken predicate
 */
export function brokenInvariants(system: System): string[] {
  const broken: string[] = [];
  const rowsOf = (name: MachineName): MachineRows => system.rows[machineNames.indexOf(name)]!;
  const require = (holds: boolean, machine: MachineName, row: number, what: string): void => {
    if (!holds) broken.push(`${machine} ${row} (${rowsOf(machine).stateName(row)}): ${what}`);
  };
  const sockets = rowsOf('socket');
  const requests = rowsOf('overlappedRequest');
  const queues = rowsOf('requestQueue');
  const firstMessages = rowsOf('firstMessage');
  const events = rowsOf('networkEvents');
  const arrivals = rowsOf('connectionRequest');
  const buffers = rowsOf('registeredBuffer');
  const isOpen = (socket: number): boolean => socket < sockets.used && sockets.states[socket] !== 0;
  const field = (rows: MachineRows, row: number, name: string): number =>
    row < rows.used ? rows.columns[rows.machine.fields.findIndex((candidate) => candidate.name === name)]![row]! : 0;
  const startsWith = (states: readonly string[], name: string): boolean =>
    states.some((state) => name === state || name.startsWith(`${state}.`));

  for (const [machine, rows] of system.rows.entries()) {
    for (const [index, { name, domain }] of rows.machine.fields.entries()) {
      for (let row = 0; row < rows.used; row++) {
        const value = rows.columns[index]![row]!;
        require(contains(domain, value), machineNames[machine]!, row, `${name} is ${value}, outside its range`);
      }
    }
  }

  let open = 0;
  for (let socket = 0; socket < sockets.used; socket++) if (isOpen(socket)) open++;
  const counted = field(rowsOf('provider'), 0, 'sockets');
  require(counted === open, 'provider', 0, `counts ${counted} sockets, and ${open} are open`);

  // Requests that have left their queue's order, but whose up-call is due or running.
  const reporting = new Map<number, number>();
  for (let request = 0; request < requests.used; request++) {
    const state = requests.stateName(request);
    if (state === 'unstarted') continue;
    const queue = system.requests.owner(request);
    require(isOpen(queue >> 1), 'overlappedRequest', request, `its socket ${queue >> 1} is closed`);
    const listed = system.requests.has(request);
    const reported = state === 'due' || state === 'notifying';
    require(listed !== reported, 'overlappedRequest', request, listed ? 'is still in order' : 'is not in order');
    if (reported) reporting.set(queue, (reporting.get(queue) ?? 0) + 1);
    if (listed) {
      const isHead = system.requests.first(queue) === request;
      require((field(requests, request, 'head') === 1) === isHead, 'overlappedRequest', request, 'head is wrong');
    }
    require(state !== 'finished' || !isOldest(system, queue, request), 'overlappedRequest', request, 'is not reported');
  }

  for (let queue = 0; queue < Math.max(queues.used, 2 * sockets.used); queue++) {
    const members = system.requests.members(queue);
    const pending = field(queues, queue, 'pending');
    const there = members.length + (reporting.get(queue) ?? 0);
    require(pending === there, 'requestQueue', queue, `counts ${pending} pending requests of ${there}`);
    const state = queues.stateName(queue);
    if (state !== 'open' && state !== 'paused') continue;
    const inStates = (states: readonly string[]) =>
      members.filter((request) => states.includes(requests.stateName(request))).length;
    const held = field(queues, queue, 'held');
    require(held === inStates(['held']), 'requestQueue', queue, `counts ${held} held of ${inStates(['held'])}`);
    const posted = field(queues, queue, 'posted');
    const adapters = inStates(postedStates);
    require(posted === adapters, 'requestQueue', queue, `counts ${posted} posted of ${adapters}`);
  }

  const checkListener = (socket: number): void => {
    const members = system.connectionRequests.members(socket);
    const inStates = (states: readonly string[]) =>
      members.filter((request) => states.includes(arrivals.stateName(request))).length;
    const offered = inStates(['offered', 'accepting', 'withdrawnWhileOffered']);
    const deferred = inStates(['deferred']);
    const queued = offered + deferred + inStates(['queued']);
    const says = (name: string) => field(sockets, socket, name);
    require(says('queued') === queued, 'socket', socket, `counts ${says('queued')} queued requests of ${queued}`);
    require(says('offered') === offered, 'socket', socket, `counts ${says('offered')} offered requests of ${offered}`);
    require(says('deferred') === 0 || deferred > 0, 'socket', socket, 'no request is deferred');
    const most = Math.max(says('backlog'), offered);
    require(queued <= most, 'socket', socket, `${queued} requests are queued of ${most}`);
  };

  for (let socket = 0; socket < sockets.used; socket++) {
    const state = sockets.stateName(socket);
    const drained = [queues, queues, firstMessages].filter(
      (rows, index) => rows.stateName(index === 2 ? socket : 2 * socket + index) === 'drained',
    ).length;
    const countedDrained = field(sockets, socket, 'drained');
    require(countedDrained === drained, 'socket', socket, `counts ${countedDrained} drained of ${drained}`);
    const attached = field(sockets, socket, 'attached') === 1;
    require(attached || !startsWith(attachedStates, state), 'socket', socket, 'has no connector');
    require(!attached || !startsWith(detachedStates, state), 'socket', socket, 'has a connector');
    require(isOpen(socket) || system.buffers.first(socket) < 0, 'socket', socket, 'has registrations');

    // What a socket that listens no more has counted is of no use to it.
    if (state === 'listening') checkListener(socket);
    const recorded = (name: string) =>
      field(events, socket, `${name}Recorded`) <= field(events, socket, `${name}Selected`);
    require(recorded('accept') && recorded('connect'), 'networkEvents', socket, 'records what is not selected');
    if (firstMessages.stateName(socket) === 'waiting') {
      const paired = field(firstMessages, socket, 'request');
      require(requests.stateName(paired) === 'paired', 'firstMessage', socket, `request ${paired} is not paired`);
    }
  }

  const pins = new Map<number, number>();
  for (let request = 0; request < requests.used; request++) {
    const pinned = system.pins.of(request);
    for (const buffer of pinned) pins.set(buffer, (pins.get(buffer) ?? 0) + 1);
    const may = pinned.length === 0 || pinningStates.includes(requests.stateName(request));
    require(may, 'overlappedRequest', request, `still pins ${pinned.length} registrations`);
  }
  for (let buffer = 0; buffer < buffers.used; buffer++) {
    const says = field(buffers, buffer, 'pins');
    const there = pins.get(buffer) ?? 0;
    require(says === there, 'registeredBuffer', buffer, `counts ${says} pins of ${there}`);
    const registered = buffers.stateName(buffer) === 'registered';
    require(registered === system.buffers.has(buffer), 'registeredBuffer', buffer, 'is listed wrongly');
    require(!registered || field(buffers, buffer, 'references') > 0, 'registeredBuffer', buffer, 'has no reference');
  }
  return broken;
}

const isOldest = (system: System, queue: number, request: number): boolean => system.requests.first(queue) === request;
