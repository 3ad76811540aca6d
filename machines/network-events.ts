/**
 * Network events: the event record of one socket, and when its event object is set and reset.
 *
 * Theory of operation: an event is recorded only while it is selected. FD_ACCEPT is recorded once and then not again
 * until a WSPAccept (or a new selection) re-enables it; whether a request waits and may be offered comes with the event
 * (`ready`), from the listener. FD_CONNECT is recorded once for each attempt; its result is kept until it has been
 * reported, so that a selection that comes late still learns it. So is the loss of a listener, which is recorded as a
 * request would be, and reported once. Enumerating copies and clears in one step and
 * re-enables nothing. A successful accept resets the event object, and sets it again if anything is recorded once the
 * up-call has returned: inside it the switch may have enumerated, or closed the socket.
 *
 * Source: specification, section 12; 4.3 to 4.5; S-25, S-27, S-28.
 */

import { setup } from 'xstate';
import { field, flag, implementations, initialContext, language, oneOf } from './contract.ts';
import { all, any, choose, equal, not } from './expression.ts';
import { WSA } from './wsa.ts';

/** What a background connect can end with. Source: 4.5. */
export const connectResult = oneOf(
  0,
  WSA.WSAECONNREFUSED,
  WSA.WSAECONNRESET,
  WSA.WSAETIMEDOUT,
  WSA.WSAENETUNREACH,
  WSA.WSAENOBUFS,
  WSA.WSAENETDOWN,
);

/** What FD_ACCEPT can carry. Source: 4.5. */
export const acceptResult = oneOf(0, WSA.WSAENETDOWN);

const definition = {
  context: {
    acceptSelected: field(flag),
    connectSelected: field(flag),
    acceptRecorded: field(flag),
    connectRecorded: field(flag),
    /** FD_ACCEPT may be recorded: nothing was since the last accept or selection. */
    acceptEnabled: field(flag, 1),
    /** What the socket listens on is gone and nobody was told. */
    lossUnreported: field(flag),
    /** A background connect has ended and nobody was told. */
    connectUnreported: field(flag),
    connectError: field(connectResult),
  },
  events: {
    'socket.selected': { accept: flag, connect: flag, ready: flag },
    'socket.requestQueued': {},
    'socket.acceptEnded': { accepted: flag, ready: flag },
    'socket.listenerLost': { deferred: flag },
    'socket.connectStarted': {},
    'socket.connectEnded': { error: connectResult },
    'socket.stopped': {},
    'socket.freed': {},
    'spi.enumNetworkEvents': {},
    /** The up-call has returned; inside it the switch may have done anything. */
    'upcall.eventReset': {},
  },
  effects: {
    setEvent: {},
    resetEvent: {},
    /** Copy the record to the caller and reset the event object that the caller names. */
    reportNetworkEvents: { accept: flag, acceptError: acceptResult, connect: flag, connectError: connectResult },
    answer: { error: oneOf(0) },
    ignored: {},
  },
} as const;

export const createNetworkEventsMachine = () => {
  const { context: c, event, when, update, effect } = language(definition);
  const ignored = { actions: effect('ignored', {}) } as const;
  const setEvent = effect('setEvent', {});
  const resetEvent = effect('resetEvent', {});

  const acceptHolds = all(event('accept'), any(event('ready'), c.lossUnreported));
  const connectHolds = all(event('connect'), c.connectUnreported);
  const select = update({
    acceptSelected: event('accept'),
    connectSelected: event('connect'),
    acceptRecorded: acceptHolds,
    acceptEnabled: not(acceptHolds),
    connectRecorded: connectHolds,
  });
  const recordAccept = update({ acceptRecorded: 1, acceptEnabled: 0 });
  const acceptAgain = all(c.acceptSelected, any(event('ready'), c.lossUnreported));

  const machine = setup(implementations(definition)).createMachine({
    id: 'networkEvents',
    context: initialContext(definition),
    initial: 'recording',
    states: {
      recording: {
        on: {
          'socket.selected': [
            { guard: when(any(acceptHolds, connectHolds)), actions: [select, setEvent] },
            { actions: select },
          ],
          'socket.requestQueued': [
            { guard: when(all(c.acceptSelected, c.acceptEnabled)), actions: [recordAccept, setEvent] },
            ignored,
          ],
          'socket.acceptEnded': [
            { guard: when(all(event('accepted'), acceptAgain)), actions: [recordAccept, resetEvent] },
            { guard: when(event('accepted')), actions: [update({ acceptEnabled: 1 }), resetEvent] },
            { guard: when(acceptAgain), actions: [recordAccept, setEvent] },
            { actions: update({ acceptEnabled: 1 }) },
          ],
          // Recorded as a request would be: when FD_ACCEPT is enabled, or only a deferred request kept it back.
          'socket.listenerLost': [
            {
              guard: when(all(c.acceptSelected, any(c.acceptEnabled, event('deferred')))),
              actions: [update({ lossUnreported: 1 }), recordAccept, setEvent],
            },
            { actions: update({ lossUnreported: 1 }) },
          ],
          'upcall.eventReset': [{ guard: when(any(c.acceptRecorded, c.connectRecorded)), actions: setEvent }, ignored],
          'socket.connectStarted': { actions: update({ connectRecorded: 0, connectUnreported: 0 }) },
          'socket.connectEnded': [
            {
              guard: when(equal(c.connectSelected, 1)),
              actions: [update({ connectUnreported: 1, connectError: event('error'), connectRecorded: 1 }), setEvent],
            },
            { actions: update({ connectUnreported: 1, connectError: event('error') }) },
          ],
          'spi.enumNetworkEvents': {
            actions: [
              effect('reportNetworkEvents', {
                accept: c.acceptRecorded,
                acceptError: choose(c.lossUnreported, WSA.WSAENETDOWN, 0),
                connect: c.connectRecorded,
                connectError: c.connectError,
              }),
              update({
                lossUnreported: choose(c.acceptRecorded, 0, c.lossUnreported),
                acceptRecorded: 0,
                connectUnreported: choose(c.connectRecorded, 0, c.connectUnreported),
                connectRecorded: 0,
              }),
              effect('answer', { error: 0 }),
            ],
          },
          'socket.stopped': {
            target: 'stopped',
            actions: update({
              acceptSelected: 0,
              connectSelected: 0,
              acceptRecorded: 0,
              connectRecorded: 0,
              connectUnreported: 0,
              acceptEnabled: 0,
              lossUnreported: 0,
              connectError: 0,
            }),
          },
        },
      },
      // The socket is dormant or closed: nothing is recorded or signalled any more.
      stopped: {
        on: {
          'spi.enumNetworkEvents': {
            actions: [
              effect('reportNetworkEvents', { accept: 0, acceptError: 0, connect: 0, connectError: 0 }),
              effect('answer', { error: 0 }),
            ],
          },
          'upcall.eventReset': ignored,
          'socket.freed': { target: 'freed', actions: effect('ignored', {}) },
        },
      },
      freed: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
