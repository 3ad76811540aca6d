/**
 * What the machines keep between them: one counts what is in another's list, one holds what another has counted.
 *
 * Theory of operation: each fact is said once, in {@link Words}. Over a {@link System} they are numbers, and the fact is
 * judged as it is said ({@link brokenInvariants}); over the rows of a world they are formulas, which hold in every state
 * that it can come to. Facts hold between any two events, inside up-calls too.
 */

import type { MachineName } from './catalog.ts';

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
/** States of a connection request that a listener counts as offered. */
const offeredStates = ['offered', 'accepting', 'withdrawnWhileOffered', 'lostWhileOffered'];

/** Machines whose rows are in lists of other rows. */
export type ListedMachine = 'overlappedRequest' | 'connectionRequest' | 'registeredBuffer';

/** What facts are said with; `T` is an integer, and truth is 1 or 0. */
export interface Words<T> {
  all(...operands: readonly T[]): T;
  any(...operands: readonly T[]): T;
  not(of: T): T;
  equal(left: T, right: T | number): T;
  less(left: T | number, right: T): T;
  atMost(left: T, right: T): T;
  sum(...operands: readonly T[]): T;
  choose(test: T, yes: T, no: T): T;
  /** Where `left` holds, `right` does. */
  given(left: T, right: T): T;
  field(machine: MachineName, row: number, name: string): T;
  /** In one of the states; `closing` stands for `closing.draining` too. */
  is(machine: MachineName, row: number, ...states: readonly string[]): T;
  /** Place in the list that the row is in: 1 for the first, more for others; 0 when it is in none. */
  place(machine: ListedMachine, row: number): T;
  /** Of how many rows it holds. */
  count(machine: MachineName, holds: (row: number) => T): T;
  /** Of how many rows it holds that are in the list of `owner`, or were in last; `isOwned` says so of one. */
  countOwned(machine: ListedMachine, owner: number, holds: (row: number, isOwned: T) => T): T;
  /** What holds of a row's owner, when `is` does. */
  ofOwner(machine: ListedMachine, row: number, owner: MachineName, is: T, holds: (owner: number) => T): T;
  /** What holds of the row that `number` is the number of. */
  ofRow(machine: MachineName, number: T, holds: (row: number) => T): T;
  /** Whether a request has pinned registrations, and how often a registration is pinned. */
  hasPins(request: number): T;
  pinsOf(buffer: number): T;
}

/** One fact about every row of a machine. */
export interface Agreement<T> {
  readonly says: string;
  readonly machine: MachineName;
  /** Where there are no rows of these, it says nothing. */
  readonly needs: readonly MachineName[];
  holds(row: number): T;
}

/** All facts, in `words`. */
export function agreements<T>(words: Words<T>): readonly Agreement<T>[] {
  const { all, any, not, equal, less, atMost, sum, choose, given, field, is, place, countOwned } = words;
  const isOpen = (socket: number): T => not(is('socket', socket, 'unopened'));
  const listed = (machine: ListedMachine, row: number): T => less(0, place(machine, row));
  const request = 'overlappedRequest';
  const started = (row: number): T => not(is(request, row, 'unstarted'));
  const isFirst = (row: number): T => equal(place(request, row), 1);
  /** Members of `owner`'s list in one of `states`. */
  const members = (machine: ListedMachine, owner: number, states: readonly string[]): T =>
    countOwned(machine, owner, (row, isOwned) => all(isOwned, listed(machine, row), is(machine, row, ...states)));
  return [
    {
      says: 'the provider counts its sockets',
      machine: 'provider',
      needs: [],
      holds: (row) => equal(field('provider', row, 'sockets'), words.count('socket', isOpen)),
    },
    {
      says: "a request is in its queue's order until it is reported",
      machine: request,
      needs: [request],
      holds: (row) => any(not(started(row)), equal(listed(request, row), not(is(request, row, 'due', 'notifying')))),
    },
    {
      says: "a request's socket is open",
      machine: request,
      needs: [request],
      holds: (row) => words.ofOwner(request, row, 'requestQueue', started(row), (queue) => isOpen(queue >> 1)),
    },
    {
      says: 'the oldest request knows that it is, and is reported as soon as it is finished',
      machine: request,
      needs: [request],
      holds: (row) =>
        all(
          given(listed(request, row), equal(field(request, row, 'head'), isFirst(row))),
          not(all(is(request, row, 'finished'), isFirst(row))),
        ),
    },
    {
      says: 'a queue counts its pending, held and posted requests',
      machine: 'requestQueue',
      needs: [request],
      holds: (row) =>
        all(
          equal(
            field('requestQueue', row, 'pending'),
            countOwned(request, row, (member, isOwned) => all(started(member), isOwned)),
          ),
          given(
            is('requestQueue', row, 'open', 'paused'),
            all(
              equal(field('requestQueue', row, 'held'), members(request, row, ['held'])),
              equal(field('requestQueue', row, 'posted'), members(request, row, postedStates)),
            ),
          ),
        ),
    },
    {
      says: 'a request has pinned nothing once it needs nothing',
      machine: request,
      needs: [request],
      holds: (row) => given(words.hasPins(row), is(request, row, ...pinningStates)),
    },
    {
      says: 'a listener counts its queued, offered and deferred requests',
      machine: 'socket',
      needs: ['connectionRequest'],
      holds: (row) => {
        const own = (name: string): T => field('socket', row, name);
        const offered = members('connectionRequest', row, offeredStates);
        const deferred = members('connectionRequest', row, ['deferred']);
        const queued = members('connectionRequest', row, ['queued']);
        return given(
          // What a socket that listens no more has counted is of no use to it.
          is('socket', row, 'listening'),
          all(
            equal(own('offered'), offered),
            equal(own('queued'), sum(offered, deferred, queued)),
            given(own('deferred'), less(0, deferred)),
            atMost(own('queued'), choose(less(own('backlog'), offered), offered, own('backlog'))),
          ),
        );
      },
    },
    {
      says: 'a socket counts what is drained of it',
      machine: 'socket',
      needs: ['requestQueue'],
      holds: (row) =>
        equal(
          field('socket', row, 'drained'),
          sum(
            is('requestQueue', 2 * row, 'drained'),
            is('requestQueue', 2 * row + 1, 'drained'),
            is('firstMessage', row, 'drained'),
          ),
        ),
    },
    {
      says: 'a socket knows whether it has a connector',
      machine: 'socket',
      needs: [],
      holds: (row) =>
        all(
          given(is('socket', row, ...attachedStates), field('socket', row, 'attached')),
          given(is('socket', row, ...detachedStates), not(field('socket', row, 'attached'))),
        ),
    },
    {
      says: 'only what is selected is recorded',
      machine: 'socket',
      needs: [],
      holds: (row) =>
        all(
          atMost(field('networkEvents', row, 'acceptRecorded'), field('networkEvents', row, 'acceptSelected')),
          atMost(field('networkEvents', row, 'connectRecorded'), field('networkEvents', row, 'connectSelected')),
        ),
    },
    {
      says: 'who waits for the first message is paired with it',
      machine: 'socket',
      needs: [request, 'requestQueue'],
      holds: (row) =>
        given(
          is('firstMessage', row, 'waiting'),
          words.ofRow(request, field('firstMessage', row, 'request'), (of) => is(request, of, 'paired')),
        ),
    },
    {
      says: 'S-20: a registration counts its pins, and is listed while it is registered',
      machine: 'registeredBuffer',
      needs: ['registeredBuffer'],
      holds: (row) =>
        all(
          equal(field('registeredBuffer', row, 'pins'), words.pinsOf(row)),
          equal(is('registeredBuffer', row, 'registered'), listed('registeredBuffer', row)),
          given(is('registeredBuffer', row, 'registered'), less(0, field('registeredBuffer', row, 'references'))),
        ),
    },
    {
      says: 'a closed socket has no registrations',
      machine: 'registeredBuffer',
      needs: ['registeredBuffer'],
      holds: (row) => words.ofOwner('registeredBuffer', row, 'socket', listed('registeredBuffer', row), isOpen),
    },
  ];
}
