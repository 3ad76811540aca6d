/** Statements of the specification's section 21 on requests, over worlds with the rows of `surroundings.ts`. */

import { brokenInvariants, type System, WSA } from '../../machines/index.ts';
import {
  always,
  implies,
  type Predicate,
  type Property,
  type StateView,
  transition,
  type World,
} from '../explorer/index.ts';
import type { PairRequest } from './connected-pair.ts';

/** Request states before the switch is told. */
const untold = ['posted', 'held', 'paired', 'breaking', 'aborting', 'finished', 'due'] as const;

export const isPending =
  (request: number): Predicate =>
  (state) =>
    state.in('overlapped', request, 'pending');
export const isTold =
  (request: number): Predicate =>
  (state) =>
    state.in('overlapped', request, 'done');
/** DONE of 11.3: its outcome is fixed, though the completion up-call may be due. */
export const isDone =
  (request: number): Predicate =>
  (state) =>
    state.in('overlapped', request, 'done') || state.in('overlappedRequest', request, 'due');
const of = (state: StateView, request: number, name: string): number => state.field('overlapped', request, name);

/** What holds of every request in every world. */
export function requestProperties(requests: readonly PairRequest[]): Property[] {
  const every = (holds: (state: StateView, request: number) => boolean): Predicate => {
    const numbers = requests.map((_, request) => request);
    return (state) => numbers.every((request) => holds(state, request));
  };
  const some = (holds: (state: StateView, request: number) => boolean): Predicate => {
    const numbers = requests.map((_, request) => request);
    return (state) => numbers.some((request) => holds(state, request));
  };
  const predecessor = requests.map(({ socket, kind, place }) =>
    requests.findIndex((other) => other.socket === socket && other.kind === kind && other.place === place - 1),
  );
  return [
    always(
      'S-03: a request is done at most once',
      every((state, request) => of(state, request, 'publications') <= 1 && of(state, request, 'notifications') <= 1),
    ),
    transition('S-03: what is done stays as it is', (before, after) =>
      requests.every(
        (_, request) =>
          !before.in('overlapped', request, 'done') ||
          (after.in('overlapped', request, 'done') &&
            of(before, request, 'error') === of(after, request, 'error') &&
            of(before, request, 'message') === of(after, request, 'message')),
      ),
    ),
    always(
      'S-04: only what was started is completed',
      every((state, request) => !state.in('overlapped', request, 'untimely')),
    ),
    always(
      'S-05: a polled request causes no up-call',
      every((state, request) => of(state, request, 'polled') === 0 || of(state, request, 'notifications') === 0),
    ),
    implies(
      'S-06: an up-call says what the request ended with',
      some((state, request) => state.in('overlappedRequest', request, 'notifying')),
      every(
        (state, request) =>
          !state.in('overlappedRequest', request, 'notifying') ||
          (of(state, request, 'notifications') === 1 &&
            of(state, request, 'error') === state.field('overlappedRequest', request, 'error') &&
            of(state, request, 'message') === state.field('overlappedRequest', request, 'bytes')),
      ),
    ),
    always(
      'S-06, S-08: no up-call with a handle that is none',
      (state) => state.field('handle', 0, 'late') === 0 && state.field('handle', 1, 'late') === 0,
    ),
    always(
      'S-07: in progress from the start until told',
      every(
        (state, request) =>
          state.in('overlapped', request, 'pending') === state.in('overlappedRequest', request, ...untold),
      ),
    ),
    always(
      'S-12: the n-th receive that succeeds has the n-th message',
      every(
        (state, request) =>
          requests[request]!.kind === 'send' ||
          !state.in('overlapped', request, 'done') ||
          of(state, request, 'error') !== 0 ||
          of(state, request, 'message') === requests[request]!.place + 1,
      ),
    ),
    implies(
      'S-13: done in the order of the calls',
      some((state, request) => predecessor[request]! < 0 && isDone(request)(state)),
      every(
        (state, request) =>
          predecessor[request]! < 0 || !isDone(request)(state) || isDone(predecessor[request]!)(state),
      ),
    ),
    always(
      '16.2: what the adapter still holds is not done',
      every((state, request) => !isDone(request)(state) || state.in('work', request, 'idle')),
    ),
    implies(
      'S-35: what is done needs no registration',
      some((state, request) => isDone(request)(state)),
      every((state, request) => !isDone(request)(state) || !state.pinned(request, requests[request]!.socket)),
    ),
  ];
}

/** What holds of sockets that can be closed. */
export function closingProperties(requests: readonly PairRequest[]): Property[] {
  const sockets = [0, 1] as const;
  const isOver = (state: StateView, socket: number): boolean => state.in('handle', socket, 'closed');
  const someOver: Predicate = (state) => sockets.some((socket) => isOver(state, socket));
  /** Of every socket whose handle is closed. */
  const whenOver = (holds: (state: StateView, socket: number) => boolean): Predicate => {
    return (state) => sockets.every((socket) => !isOver(state, socket) || holds(state, socket));
  };
  return [
    always('S-08: a switch handle is closed at most once', (state) =>
      sockets.every((socket) => state.field('handle', socket, 'closes') <= 1),
    ),
    implies(
      'S-08: it is closed only after WSPCloseSocket',
      someOver,
      whenOver((state, socket) => state.in('caller', socket, 'closed')),
    ),
    implies(
      'S-08: it is closed when no up-call of the socket runs or is due',
      someOver,
      whenOver(
        (state, socket) => state.in('notifier', socket, 'idle') && state.field('notifier', socket, 'count') === 0,
      ),
    ),
    implies(
      'S-09: then no request of the socket is pending',
      someOver,
      whenOver((state, socket) =>
        requests.every((request, number) => request.socket !== socket || !isPending(number)(state)),
      ),
    ),
    always('S-10: as many handles are open as there are sockets', (state) =>
      sockets.every((socket) => state.in('handle', socket, 'open') === !state.in('socket', socket, 'unopened')),
    ),
    implies(
      'S-11: whatever the network does, a socket is there until it is closed',
      (state) => sockets.some((socket) => state.in('socket', socket, 'broken')),
      (state) =>
        sockets.every(
          (socket) => state.in('caller', socket, 'closed') || state.in('socket', socket, 'connected', 'broken'),
        ),
    ),
    implies(
      '16.2: only closing aborts',
      (state) => requests.some((_, request) => of(state, request, 'error') === WSA.WSA_OPERATION_ABORTED),
      (state) =>
        requests.every(
          ({ socket }, request) =>
            of(state, request, 'error') !== WSA.WSA_OPERATION_ABORTED || state.in('caller', socket, 'closed'),
        ),
    ),
  ];
}

/**
 * The machines' own predicates, between which nothing may be inconsistent. They look at the live system, which is in the
 * state that is being judged while a search goes on.
 */
export function consistency(): { readonly property: Property; readonly prepare: (world: World) => void } {
  let system: System | null = null;
  return {
    property: always('the machines agree with each other', () => brokenInvariants(system!).length === 0),
    prepare: (world) => {
      system = world.system as unknown as System;
    },
  };
}
