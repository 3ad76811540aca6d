/**
 * Connection request: what a peer asks of a listener, from its arrival until its one verdict.
 *
 * Theory of operation: a queued request is offered to the switch's condition function inside WSPAccept. Until that
 * returns, nothing is told to the peer; but the peer may withdraw, the function may close the listener, and what that
 * listens on may go, so each has a state of its own here, and the accept call then ends with what happened. A deferred request is queued again and,
 * being the oldest, is offered first next time.
 *
 * Source: specification, 4.3, 10.3; S-22 to S-24.
 */

import { setup } from 'xstate';
import { field, flag, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { rowNumber } from './request-queue.ts';
import { WSA, wsa } from './wsa.ts';

/** Why the peer is refused, as the reject's private data says it. Source: A.2. */
export const RejectReason = { backlogFull: 1, condition: 2 } as const;

const definition = {
  context: {
    /** The socket that takes the connection. */
    socket: field(rowNumber),
  },
  events: {
    'listener.queued': {},
    'listener.overflow': {},
    'listener.offer': { socket: rowNumber },
    'listener.trimmed': {},
    'listener.closed': {},
    'listener.lost': {},
    'adapter.withdrawn': {},
    'condition.accepted': {},
    'condition.rejected': {},
    'condition.deferred': {},
    'condition.invalid': {},
    'socket.connected': {},
    'socket.refused': {},
  },
  effects: {
    callConditionFunction: {},
    rejectConnection: { reason: range(1, 2) },
    /** Make `socket` of it. */
    acceptInto: { socket: rowNumber },
    leaveQueue: {},
    /** Tell the listener that the request is decided or gone; `offered`: inside a WSPAccept. */
    left: { offered: flag, accepted: flag },
    deferred: {},
    leftDeferred: {},
    /** The request is over; forget it. */
    forget: {},
    answer: {
      error: oneOf(
        WSA.WSAECONNREFUSED,
        WSA.WSATRY_AGAIN,
        WSA.WSAEINVAL,
        WSA.WSAECONNRESET,
        WSA.WSAENOTSOCK,
        WSA.WSAENETDOWN,
      ),
    },
    ignored: {},
  },
} as const;

export const createConnectionRequestMachine = () => {
  const { context: c, event, update, effect } = language(definition);
  const reject = (reason: keyof typeof RejectReason) => effect('rejectConnection', { reason: RejectReason[reason] });
  const leave = (offered: 0 | 1, accepted: 0 | 1) => [
    effect('leaveQueue', {}),
    effect('left', { offered, accepted }),
    effect('forget', {}),
  ];
  const leaveDeferred = [effect('leaveQueue', {}), effect('leftDeferred', {}), effect('forget', {})];
  const leaveClosed = [effect('leaveQueue', {}), effect('forget', {})];
  /** The listener counts it no more. */
  const refuseUntold = { target: 'refused', actions: [reject('backlogFull'), ...leaveClosed] } as const;
  // Its listener is closed; the row is another listener's by now.
  const othersListener = {
    'listener.closed': { actions: effect('ignored', {}) },
    'listener.lost': { actions: effect('ignored', {}) },
  } as const;
  const answer = (error: Parameters<typeof wsa>[0]) => effect('answer', { error: wsa(error) });
  const tooLate = (
    error: Parameters<typeof wsa>[0],
    actions: readonly (ReturnType<typeof leave>[number] | ReturnType<typeof reject>)[],
  ) => {
    const transition = { target: 'gone', actions: [...actions, answer(error)] } as const;
    return {
      'condition.accepted': transition,
      'condition.rejected': transition,
      'condition.deferred': transition,
      'condition.invalid': transition,
    };
  };

  const machine = setup(implementations(definition)).createMachine({
    id: 'connectionRequest',
    context: initialContext(definition),
    initial: 'arrived',
    states: {
      arrived: {
        on: {
          'listener.queued': { target: 'queued', actions: effect('ignored', {}) },
          'listener.overflow': { target: 'refused', actions: [reject('backlogFull'), effect('forget', {})] },
        },
      },
      queued: {
        on: {
          'listener.offer': {
            target: 'offered',
            actions: [update({ socket: event('socket') }), effect('callConditionFunction', {})],
          },
          'listener.trimmed': { target: 'refused', actions: [reject('backlogFull'), ...leave(0, 0)] },
          'listener.closed': refuseUntold,
          'listener.lost': refuseUntold,
          'adapter.withdrawn': { target: 'withdrawn', actions: leave(0, 0) },
        },
      },
      // It has been offered and is the oldest: it will be offered first, and raises no event meanwhile.
      deferred: {
        on: {
          'listener.offer': {
            target: 'offered',
            actions: [update({ socket: event('socket') }), effect('callConditionFunction', {})],
          },
          'listener.trimmed': { target: 'refused', actions: [reject('backlogFull'), ...leaveDeferred] },
          'listener.closed': refuseUntold,
          'listener.lost': refuseUntold,
          'adapter.withdrawn': { target: 'withdrawn', actions: leaveDeferred },
        },
      },
      // The condition function is running.
      offered: {
        on: {
          'condition.accepted': { target: 'accepting', actions: effect('acceptInto', { socket: c.socket }) },
          'condition.rejected': {
            target: 'refused',
            actions: [reject('condition'), ...leave(1, 0), answer('WSAECONNREFUSED')],
          },
          'condition.deferred': { target: 'deferred', actions: [effect('deferred', {}), answer('WSATRY_AGAIN')] },
          'condition.invalid': {
            target: 'refused',
            actions: [reject('condition'), ...leave(1, 0), answer('WSAEINVAL')],
          },
          'listener.closed': { target: 'closedWhileOffered', actions: reject('backlogFull') },
          'listener.lost': { target: 'lostWhileOffered', actions: effect('ignored', {}) },
          'adapter.withdrawn': { target: 'withdrawnWhileOffered', actions: effect('ignored', {}) },
        },
      },
      // Within one call: the socket that takes it opens and the adapter tells the peer.
      accepting: {
        on: {
          'socket.connected': { target: 'accepted', actions: leave(1, 1) },
          'socket.refused': { target: 'refused', actions: [reject('backlogFull'), ...leave(1, 0)] },
          'listener.closed': { target: 'acceptingUnlistened', actions: effect('ignored', {}) },
          // The adapter says whether it can still be accepted.
          'listener.lost': { actions: effect('ignored', {}) },
          'adapter.withdrawn': { actions: effect('ignored', {}) },
        },
      },
      // The listener was closed from inside the up-call that creates the switch handle.
      acceptingUnlistened: {
        on: {
          'socket.connected': { target: 'accepted', actions: leaveClosed },
          'socket.refused': { target: 'refused', actions: [reject('backlogFull'), ...leaveClosed] },
          'adapter.withdrawn': { actions: effect('ignored', {}) },
          ...othersListener,
        },
      },
      closedWhileOffered: {
        on: {
          ...tooLate('WSAENOTSOCK', leaveClosed),
          ...othersListener,
        },
      },
      withdrawnWhileOffered: {
        on: {
          ...tooLate('WSAECONNRESET', leave(1, 0)),
          'listener.closed': { target: 'closedWhileOffered', actions: effect('ignored', {}) },
          'listener.lost': { actions: effect('ignored', {}) },
        },
      },
      // The peer is told when the condition function has returned (S-22).
      lostWhileOffered: {
        on: {
          ...tooLate('WSAENETDOWN', [reject('backlogFull'), ...leave(1, 0)]),
          'listener.closed': { target: 'closedWhileOffered', actions: reject('backlogFull') },
          'adapter.withdrawn': { actions: effect('ignored', {}) },
        },
      },
      accepted: { type: 'final' },
      refused: { type: 'final' },
      withdrawn: { type: 'final' },
      // It was gone before the condition function had answered.
      gone: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
