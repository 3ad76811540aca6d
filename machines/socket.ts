/**
 * Socket: one SAN socket's lifecycle, from WSPSocket, WSPAccept or a take-over until its switch handle is closed.
 *
 * Theory of operation: the states that the switch can see are created, bound, listening, connecting, connected, broken,
 * dormant and closed (10.1). Inside them:
 *
 * - `opening`, `accepting` and `resuming` last within one call: up-calls and the adapter answer before it returns, and
 *   only then does the call get its answer.
 * - listening is `open`, or `lost` when what it listens on is gone: that is said, and nothing more comes of it.
 * - connected is `active`, or `suspended` while the peer's end moves to another process, or `attaching` while this end,
 *   just taken over, is on its way to the peer. In the last two the adapter has no connection, requests are held.
 * - broken keeps the socket until the switch closes it. What the adapter still owns is flushed meanwhile.
 * - dormant: `handing` while the peer is being told, by a write to its migration mailbox; then `parted` from the
 *   connection; `unlistening` is a listener's form, with nothing to hand over.
 * - closing waits until the two request queues and the private first receive are drained, since the adapter owns their
 *   buffers and up-calls may be running, and only then frees the socket and closes the switch handle: the last up-call.
 *
 * `attached` says that the adapter has a connector for the socket. Destroying it gives every buffer back at once; that
 * ends what a flush would have ended, when there is no time or no adapter for one (clean-up, device removal, a flush
 * that does not come).
 *
 * Source: specification, sections 10, 15, 16; 4.1 to 4.3, 4.6, 4.7; A.2 and A.4.
 */

import { setup } from 'xstate';
import { field, flag, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { add, all, choose, type Expression, equal, less, subtract, unequal } from './expression.ts';
import type { Limits } from './limits.ts';
import { connectResult } from './network-events.ts';
import { rowNumber } from './request-queue.ts';
import { WSA, wsa } from './wsa.ts';

/** Timers that a socket asks for; it has at most one at a time. */
export const TimerKind = {
  /** Bound of a connection attempt (WSD-060). */
  connect: 0,
  /** Bound of a peer's or of this end's move to another process (15.4). */
  migration: 1,
  /** Bound of the flush after closing (WSD-218). */
  close: 2,
} as const;

const reason = oneOf(0, WSA.WSAECONNRESET, WSA.WSAECONNABORTED, WSA.WSAENETDOWN);
/** What an adapter refuses an accept with. */
const refusal = oneOf(WSA.WSAENOBUFS, WSA.WSAECONNRESET, WSA.WSAENETDOWN);
const answerError = oneOf(
  0,
  WSA.WSAEFAULT,
  WSA.WSAEINVAL,
  WSA.WSAEMFILE,
  WSA.WSAEWOULDBLOCK,
  WSA.WSAEALREADY,
  WSA.WSAENETDOWN,
  WSA.WSAENETUNREACH,
  WSA.WSAECONNABORTED,
  WSA.WSAECONNRESET,
  WSA.WSAENOBUFS,
  WSA.WSAEISCONN,
  WSA.WSAENOTCONN,
  WSA.WSANOTINITIALISED,
);

const contract = (limits: Limits) => {
  const request = { request: rowNumber, polled: flag, fence: flag, pieces: range(1, limits.piecesMax) };
  return {
    context: {
      /** Requests that a listener keeps at most. */
      backlog: field(range(0, limits.backlogMax)),
      /** Requests in the listener's queue, offered ones included. */
      queued: field(range(0, limits.backlogMax)),
      /** Requests that a condition function is deciding on. */
      offered: field(range(0, limits.backlogMax)),
      /** Queued requests that have been deferred, the oldest ones: while there are any, no event is raised. */
      deferred: field(range(0, limits.backlogMax)),
      /** The connection request that this socket is made of. */
      request: field(rowNumber),
      /**
       * A read was started: every send waits for the reads before it (7.3). The first one after a read would do, but the
       * queue or the adapter can refuse it; and behind a send that waited, waiting costs nothing.
       */
      fenceDue: field(flag),
      /** Why the connection is broken. */
      reason: field(reason),
      /** The adapter has a connector for this socket. */
      attached: field(flag),
      /** How many of send queue, receive queue and first message are drained. */
      drained: field(range(0, 3)),
    },
    events: {
      'spi.socket': {},
      'spi.takeOver': { listening: flag, backlog: range(1, limits.backlogMax) },
      'spi.bind': {},
      'spi.connect': {},
      'spi.listen': { backlog: range(1, limits.backlogMax) },
      'spi.accept': { socket: rowNumber, full: flag },
      'spi.eventSelect': { accept: flag, connect: flag },
      'spi.send': { ...request, refusal: oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      'spi.recv': { ...request, refusal: oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      'spi.rdmaWrite': { ...request, refusal: oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      'spi.rdmaRead': { ...request, refusal: oneOf(0, WSA.WSAEFAULT, WSA.WSAEINVAL) },
      'spi.registerMemory': { buffer: rowNumber },
      'spi.deregisterMemory': { buffer: rowNumber, known: flag },
      'spi.setSockOpt': {},
      'spi.duplicateSocket': {},
      'spi.closeSocket': {},
      'provider.cleanup': {},
      'upcall.handleCreated': {},
      'upcall.handleRefused': { error: oneOf(WSA.WSAENOBUFS, WSA.WSAEMFILE) },
      'request.acceptInto': { request: rowNumber },
      'request.left': { offered: flag, accepted: flag },
      'request.deferred': {},
      'request.deferredLeft': {},
      'listener.trim': {},
      'queue.drained': {},
      'adapter.listening': {},
      'adapter.listenFailed': { error: oneOf(WSA.WSAENOBUFS, WSA.WSAENETDOWN) },
      'adapter.connectRequest': { request: rowNumber },
      'adapter.connectStarted': {},
      'adapter.connectNotStarted': { error: oneOf(WSA.WSAENETUNREACH, WSA.WSAENOBUFS, WSA.WSAENETDOWN) },
      'adapter.established': {},
      'adapter.connectEnded': { error: connectResult },
      'adapter.accepted': {},
      'adapter.acceptFailed': { error: refusal },
      /** Whoever had to be told that the request is refused has been. */
      'dispatcher.refusalEnded': { error: refusal },
      /** `migrating`: the peer has announced in the mailbox that its end moves to another process. */
      'adapter.disconnected': { migrating: flag },
      'adapter.flushNoticed': { migrating: flag },
      'adapter.fault': {},
      'adapter.removed': {},
      'adapter.mailboxWritten': {},
      'adapter.mailboxFailed': {},
      'adapter.reattachRequested': {},
      'adapter.reattached': {},
      'adapter.reattachFailed': {},
      'clock.expired': {},
    },
    effects: {
      answer: { error: answerError },
      ignored: {},
      // Up-calls and the socket's own bookkeeping.
      createSwitchHandle: {},
      closeSwitchHandle: {},
      freeBuffers: {},
      socketOpened: {},
      socketClosed: {},
      // The adapter.
      startListening: {},
      stopListening: {},
      startConnect: {},
      startReattach: {},
      acceptConnection: { request: rowNumber },
      acceptReattach: {},
      rejectReattach: {},
      disconnect: {},
      destroyConnector: {},
      writeMailbox: {},
      startTimer: { kind: range(0, 2) },
      stopTimer: {},
      // A listener's requests.
      enqueueRequest: { request: rowNumber },
      refuseArrival: { request: rowNumber },
      offerOldest: { socket: rowNumber },
      refuseNewest: {},
      refuseQueued: {},
      dropQueued: {},
      trim: {},
      /** Verdict on the connection request that the socket is made of. */
      tookRequest: { request: rowNumber },
      droppedRequest: { request: rowNumber },
      endRefusal: { error: refusal },
      // Network events.
      requestQueued: {},
      acceptEnded: { accepted: flag, ready: flag },
      /** `deferred`: a deferred request kept FD_ACCEPT back. */
      listenerLost: { deferred: flag },
      selectEvents: { accept: flag, connect: flag, ready: flag },
      connectStarted: {},
      connectEnded: { error: connectResult },
      stopEvents: {},
      // Requests and registrations.
      openQueues: { first: flag },
      openQueuesPaused: {},
      admitSend: request,
      admitReceive: request,
      suspendQueues: {},
      resumeQueues: {},
      resumeReceives: {},
      resumeSends: {},
      haltQueues: {},
      breakRequests: { error: reason },
      abortRequests: {},
      loseRequests: {
        error: oneOf(WSA.WSA_OPERATION_ABORTED, WSA.WSAECONNRESET, WSA.WSAECONNABORTED, WSA.WSAENETDOWN),
      },
      handOverReceives: {},
      registerBuffer: { buffer: rowNumber },
      deregisterBuffer: { buffer: rowNumber },
    },
  } as const;
};

export const createSocketMachine = (limits: Limits) => {
  const definition = contract(limits);
  const { context: c, event, when, update, effect } = language(definition);

  // Words of the chart.
  const act = (
    type:
      | 'createSwitchHandle'
      | 'closeSwitchHandle'
      | 'freeBuffers'
      | 'socketOpened'
      | 'socketClosed'
      | 'startListening'
      | 'stopListening'
      | 'startConnect'
      | 'startReattach'
      | 'acceptReattach'
      | 'rejectReattach'
      | 'disconnect'
      | 'destroyConnector'
      | 'writeMailbox'
      | 'stopTimer'
      | 'refuseNewest'
      | 'refuseQueued'
      | 'dropQueued'
      | 'trim'
      | 'requestQueued'
      | 'connectStarted'
      | 'stopEvents'
      | 'openQueuesPaused'
      | 'suspendQueues'
      | 'resumeQueues'
      | 'resumeReceives'
      | 'resumeSends'
      | 'haltQueues'
      | 'abortRequests'
      | 'handOverReceives'
      | 'ignored',
  ) => effect(type, {});
  const answer = (error: Parameters<typeof wsa>[0] | 0) => effect('answer', { error: error === 0 ? 0 : wsa(error) });
  const answerWith = (name: 'error' | 'refusal') => effect('answer', { error: event(name) });
  const says = (error: Parameters<typeof wsa>[0] | 0) => ({ actions: answer(error) });
  const works = says(0);
  const ignored = { actions: act('ignored') };
  const startTimer = (kind: keyof typeof TimerKind) => effect('startTimer', { kind: TimerKind[kind] });
  const countDrained = { actions: update({ drained: add(c.drained, 1) }) };
  const request = {
    request: event('request'),
    polled: event('polled'),
    fence: event('fence'),
    pieces: event('pieces'),
  };
  const ready = all(less(c.offered, c.queued), equal(c.deferred, 0));
  const oneDeferredLess = update({ deferred: choose(less(0, c.deferred), subtract(c.deferred, 1), 0) });
  const select = (isReady: Expression) => ({
    actions: [
      effect('selectEvents', { accept: event('accept'), connect: event('connect'), ready: isReady }),
      answer(0),
    ],
  });

  // Rows of the state × call table that several states share (10.2).
  const notConnected = {
    'spi.send': says('WSAENOTCONN'),
    'spi.recv': says('WSAENOTCONN'),
    'spi.rdmaWrite': says('WSAENOTCONN'),
    'spi.rdmaRead': says('WSAENOTCONN'),
    'spi.registerMemory': says('WSAENOTCONN'),
  };
  const neverConnected = {
    ...notConnected,
    'spi.deregisterMemory': says('WSAEINVAL'),
    'spi.duplicateSocket': says('WSAEINVAL'),
  };
  // The peer's end moved; it was accepted, and this end never heard of it or has given up.
  const notThere = { 'adapter.reattachRequested': { actions: act('rejectReattach') } };
  const alreadyBound = { 'spi.bind': says('WSAEINVAL') };
  const notListening = { 'spi.accept': says('WSAEINVAL') };
  const deregister = {
    'spi.deregisterMemory': [
      { guard: when(event('known')), actions: effect('deregisterBuffer', { buffer: event('buffer') }) },
      says('WSAEINVAL'),
    ],
  };

  // Ways out.
  const free = [act('freeBuffers'), act('closeSwitchHandle')];
  const endAtOnce = [act('stopEvents'), ...free];
  const closeAtOnce = [...endAtOnce, answer(0)];
  const lose = (error: 'WSA_OPERATION_ABORTED' | 'WSAECONNRESET' | 'WSAECONNABORTED' | 'WSAENETDOWN') =>
    effect('loseRequests', { error: wsa(error) });
  // Always before anything that can drain the queues: the socket may be freed the moment they are.
  const detach = [act('destroyConnector'), update({ attached: 0 })];
  /** The adapter lets go of everything now: requests end without a flush. */
  const abortNow = [act('abortRequests'), lose('WSA_OPERATION_ABORTED')];
  const endNow = [act('stopEvents'), ...detach, act('haltQueues'), ...abortNow];
  const breakNow = (
    error: 'WSAECONNRESET' | 'WSAECONNABORTED' | 'WSAENETDOWN',
    before: readonly ReturnType<typeof act>[],
  ) => ({
    target: '#socket.broken',
    actions: [...before, update({ reason: wsa(error), attached: 0 }), act('haltQueues'), lose(error)],
  });
  const breakWith = (error: 'WSAECONNRESET' | 'WSAECONNABORTED') => ({
    target: '#socket.broken',
    actions: [
      update({ reason: wsa(error) }),
      act('disconnect'),
      act('haltQueues'),
      effect('breakRequests', { error: wsa(error) }),
    ],
  });
  const suspend = {
    target: '#socket.connected.suspended',
    actions: [...detach, act('suspendQueues'), startTimer('migration')],
  };
  const lost = [{ guard: when(event('migrating')), ...suspend }, breakWith('WSAECONNRESET')];
  const part = {
    target: '#socket.dormant.parted',
    actions: [act('stopTimer'), act('disconnect'), ...detach, act('handOverReceives'), lose('WSAECONNABORTED')],
  };
  const partAndDrain = { ...part, target: '#socket.closing.draining' };
  const endAcceptCall = (accepted: 0 | Expression) => effect('acceptEnded', { accepted, ready });
  const offeredLeaves = [
    update({ offered: subtract(c.offered, 1), queued: subtract(c.queued, 1) }),
    endAcceptCall(event('accepted')),
  ];

  // Data transfer while connected (also while the connection moves).
  const refused = { guard: when(unequal(event('refusal'), 0)), actions: answerWith('refusal') };
  const transfer = {
    'spi.send': [refused, { actions: effect('admitSend', { ...request, fence: c.fenceDue }) }],
    'spi.recv': [refused, { actions: effect('admitReceive', request) }],
    'spi.rdmaWrite': [refused, { actions: effect('admitSend', request) }],
    'spi.rdmaRead': [refused, { actions: [effect('admitSend', request), update({ fenceDue: 1 })] }],
    'spi.registerMemory': { actions: effect('registerBuffer', { buffer: event('buffer') }) },
  };

  const machine = setup(implementations(definition)).createMachine({
    id: 'socket',
    context: initialContext(definition),
    initial: 'unopened',
    states: {
      unopened: {
        on: {
          'spi.socket': { target: 'opening', actions: [act('socketOpened'), act('createSwitchHandle')] },
          'spi.takeOver': [
            {
              guard: when(event('listening')),
              target: 'resuming.listener',
              actions: [update({ backlog: event('backlog') }), act('socketOpened'), act('createSwitchHandle')],
            },
            { target: 'resuming.connection', actions: [act('socketOpened'), act('createSwitchHandle')] },
          ],
          'request.acceptInto': {
            target: 'accepting.opening',
            actions: [update({ request: event('request') }), act('socketOpened'), act('createSwitchHandle')],
          },
        },
      },
      // WSPSocket is waiting for the switch handle.
      opening: {
        on: {
          'upcall.handleCreated': { target: 'created', actions: answer(0) },
          'upcall.handleRefused': { target: 'closed', actions: [act('stopEvents'), answerWith('error')] },
          'provider.cleanup': { target: 'orphaned', actions: act('ignored') },
          'adapter.removed': ignored,
        },
      },
      // The provider was cleaned up from inside the up-call that creates the switch handle.
      orphaned: {
        on: {
          'upcall.handleCreated': {
            target: 'closed',
            actions: [act('stopEvents'), act('closeSwitchHandle'), answer('WSANOTINITIALISED')],
          },
          'upcall.handleRefused': { target: 'closed', actions: [act('stopEvents'), answer('WSANOTINITIALISED')] },
          'adapter.removed': ignored,
        },
      },
      // WSPAccept is waiting for the switch handle, then for the adapter.
      accepting: {
        initial: 'opening',
        states: {
          opening: {
            on: {
              'provider.cleanup': { target: 'orphaned', actions: act('ignored') },
              'adapter.removed': ignored,
              'upcall.handleCreated': {
                target: 'answering',
                actions: effect('acceptConnection', { request: c.request }),
              },
              'upcall.handleRefused': {
                target: '#socket.closed',
                actions: [act('stopEvents'), effect('droppedRequest', { request: c.request }), answerWith('error')],
              },
            },
          },
          orphaned: {
            on: {
              'upcall.handleCreated': {
                target: '#socket.closed',
                actions: [
                  act('stopEvents'),
                  act('closeSwitchHandle'),
                  effect('droppedRequest', { request: c.request }),
                  answer('WSANOTINITIALISED'),
                ],
              },
              'upcall.handleRefused': {
                target: '#socket.closed',
                actions: [
                  act('stopEvents'),
                  effect('droppedRequest', { request: c.request }),
                  answer('WSANOTINITIALISED'),
                ],
              },
              'adapter.removed': ignored,
            },
          },
          answering: {
            on: {
              'adapter.accepted': {
                target: '#socket.connected',
                actions: [
                  update({ attached: 1 }),
                  effect('openQueues', { first: 1 }),
                  effect('tookRequest', { request: c.request }),
                  answer(0),
                ],
              },
              'adapter.acceptFailed': {
                target: 'refusing',
                actions: [
                  effect('droppedRequest', { request: c.request }),
                  effect('endRefusal', { error: event('error') }),
                ],
              },
            },
          },
          // The listener may have more to announce: inside that up-call the provider can be cleaned up, and waits for this.
          refusing: {
            on: {
              'dispatcher.refusalEnded': {
                target: '#socket.closed',
                actions: [act('stopEvents'), ...free, answerWith('error')],
              },
              'provider.cleanup': ignored,
              'adapter.removed': ignored,
            },
          },
        },
      },
      // WSPSocket takes a duplicated socket over (15).
      resuming: {
        initial: 'connection',
        on: {
          'provider.cleanup': { target: 'orphaned', actions: act('ignored') },
          'adapter.removed': ignored,
        },
        states: {
          connection: {
            on: {
              'upcall.handleCreated': { actions: act('startReattach') },
              'upcall.handleRefused': {
                target: '#socket.closed',
                actions: [act('stopEvents'), answerWith('error')],
              },
              'adapter.connectStarted': {
                target: '#socket.connected.attaching',
                actions: [update({ attached: 1 }), act('openQueuesPaused'), startTimer('migration'), answer(0)],
              },
              'adapter.connectNotStarted': {
                target: '#socket.closed',
                actions: [act('stopEvents'), act('destroyConnector'), ...free, answer('WSAENETDOWN')],
              },
            },
          },
          listener: {
            on: {
              'upcall.handleCreated': { actions: act('startListening') },
              'upcall.handleRefused': {
                target: '#socket.closed',
                actions: [act('stopEvents'), answerWith('error')],
              },
              'adapter.listening': {
                target: '#socket.listening',
                actions: answer(0),
              },
              'adapter.listenFailed': {
                target: '#socket.closed',
                actions: [act('stopEvents'), ...free, answer('WSAENETDOWN')],
              },
            },
          },
        },
      },
      created: {
        on: {
          'spi.bind': { target: 'bound', actions: answer(0) },
          'spi.connect': says('WSAEINVAL'),
          'spi.listen': says('WSAEINVAL'),
          ...notListening,
          ...neverConnected,
          'spi.eventSelect': select(0),
          'spi.setSockOpt': works,
          'spi.closeSocket': { target: 'closed', actions: closeAtOnce },
          'provider.cleanup': { target: 'closed', actions: endAtOnce },
          'adapter.removed': ignored,
        },
      },
      bound: {
        initial: 'idle',
        on: {
          ...alreadyBound,
          ...notThere,
          ...notListening,
          ...neverConnected,
          'spi.eventSelect': select(0),
          'spi.setSockOpt': works,
          'adapter.removed': ignored,
        },
        states: {
          idle: {
            on: {
              'spi.connect': {
                target: '#socket.connecting.starting',
                actions: act('startConnect'),
              },
              'spi.listen': {
                target: 'opening',
                actions: [update({ backlog: event('backlog') }), act('startListening')],
              },
              'spi.closeSocket': { target: '#socket.closed', actions: closeAtOnce },
              'provider.cleanup': { target: '#socket.closed', actions: endAtOnce },
            },
          },
          // WSPListen is waiting for the adapter, within the call.
          opening: {
            on: {
              'adapter.listening': { target: '#socket.listening', actions: answer(0) },
              'adapter.listenFailed': { target: 'idle', actions: [update({ backlog: 0 }), answerWith('error')] },
            },
          },
        },
      },
      listening: {
        initial: 'open',
        on: {
          ...alreadyBound,
          ...notThere,
          'spi.connect': says('WSAEINVAL'),
          ...neverConnected,
          'spi.eventSelect': select(ready),
          'spi.setSockOpt': works,
          'spi.duplicateSocket': {
            target: 'dormant.unlistening',
            actions: [act('stopListening'), act('refuseQueued'), act('stopEvents'), answer(0)],
          },
          'spi.closeSocket': {
            target: 'closed',
            actions: [act('stopListening'), act('refuseQueued'), ...closeAtOnce],
          },
          'provider.cleanup': {
            target: 'closed',
            actions: [act('stopListening'), act('refuseQueued'), ...endAtOnce],
          },
        },
        states: {
          open: {
            on: {
              'spi.listen': { actions: [update({ backlog: event('backlog') }), act('trim'), answer(0)] },
              'listener.trim': [
                {
                  guard: when(all(less(c.backlog, c.queued), less(c.offered, c.queued))),
                  actions: [act('refuseNewest'), act('trim')],
                },
                ignored,
              ],
              'adapter.connectRequest': [
                {
                  guard: when(less(c.queued, c.backlog)),
                  actions: [
                    update({ queued: add(c.queued, 1) }),
                    effect('enqueueRequest', { request: event('request') }),
                    act('requestQueued'),
                  ],
                },
                { actions: effect('refuseArrival', { request: event('request') }) },
              ],
              'spi.accept': [
                {
                  guard: when(equal(c.offered, c.queued)),
                  actions: [endAcceptCall(0), answer('WSAEWOULDBLOCK')],
                },
                { guard: when(event('full')), actions: [endAcceptCall(0), answer('WSAEMFILE')] },
                {
                  actions: [
                    update({ offered: add(c.offered, 1) }),
                    oneDeferredLess,
                    effect('offerOldest', { socket: event('socket') }),
                  ],
                },
              ],
              'request.deferred': {
                actions: update({ offered: subtract(c.offered, 1), deferred: add(c.deferred, 1) }),
              },
              'request.left': [
                { guard: when(event('offered')), actions: offeredLeaves },
                { actions: update({ queued: subtract(c.queued, 1) }) },
              ],
              // When it was the last that kept FD_ACCEPT back, the others count again.
              'request.deferredLeft': {
                actions: [
                  update({ queued: subtract(c.queued, 1), deferred: subtract(c.deferred, 1) }),
                  endAcceptCall(0),
                ],
              },
              // The requests came through the device and went with it; a WSPAccept that decides on one has still to end.
              'adapter.removed': {
                target: 'lost',
                actions: [
                  act('dropQueued'),
                  effect('listenerLost', { deferred: less(0, c.deferred) }),
                  update({ queued: c.offered, deferred: 0 }),
                ],
              },
            },
          },
          // What it listens on is gone. It won't hear anything more, whatever comes back: it has to be closed.
          lost: {
            on: {
              'spi.listen': says('WSAENETDOWN'),
              'spi.accept': { actions: [endAcceptCall(0), answer('WSAENETDOWN')] },
              'request.left': { actions: offeredLeaves },
              'adapter.removed': ignored,
            },
          },
        },
      },
      connecting: {
        initial: 'starting',
        on: {
          ...alreadyBound,
          ...notThere,
          'spi.connect': says('WSAEALREADY'),
          'spi.listen': says('WSAEINVAL'),
          ...notListening,
          ...neverConnected,
          'spi.eventSelect': select(0),
          'spi.setSockOpt': works,
        },
        states: {
          // Within WSPConnect: the adapter says at once whether the attempt has begun.
          starting: {
            on: {
              'adapter.connectStarted': {
                target: 'pending',
                actions: [
                  update({ attached: 1 }),
                  act('connectStarted'),
                  startTimer('connect'),
                  answer('WSAEWOULDBLOCK'),
                ],
              },
              'adapter.connectNotStarted': {
                target: '#socket.bound',
                actions: [act('destroyConnector'), answerWith('error')],
              },
            },
          },
          pending: {
            on: {
              'adapter.established': {
                target: '#socket.connected',
                actions: [act('stopTimer'), effect('openQueues', { first: 0 }), effect('connectEnded', { error: 0 })],
              },
              'adapter.connectEnded': {
                target: '#socket.bound',
                actions: [act('stopTimer'), ...detach, effect('connectEnded', { error: event('error') })],
              },
              // The connection ended before it was reported to be up: nothing certain is known of the peer.
              'adapter.disconnected': {
                target: '#socket.bound',
                actions: [act('stopTimer'), ...detach, effect('connectEnded', { error: wsa('WSAETIMEDOUT') })],
              },
              'clock.expired': {
                target: '#socket.bound',
                actions: [...detach, effect('connectEnded', { error: wsa('WSAETIMEDOUT') })],
              },
              'adapter.removed': {
                target: '#socket.bound',
                actions: [act('stopTimer'), ...detach, effect('connectEnded', { error: wsa('WSAENETDOWN') })],
              },
              'spi.closeSocket': {
                target: '#socket.closed',
                actions: [act('stopTimer'), act('disconnect'), ...detach, ...closeAtOnce],
              },
              'provider.cleanup': {
                target: '#socket.closed',
                actions: [act('stopTimer'), ...detach, ...endAtOnce],
              },
            },
          },
        },
      },
      connected: {
        initial: 'active',
        on: {
          ...alreadyBound,
          'spi.connect': says('WSAEISCONN'),
          'spi.listen': says('WSAEISCONN'),
          ...notListening,
          ...transfer,
          ...deregister,
          'spi.eventSelect': select(0),
          'spi.setSockOpt': works,
        },
        states: {
          active: {
            on: {
              // At the passive side the adapter confirms what accept() did.
              'adapter.established': ignored,
              // The same for a connection that has come back, within the call that took it.
              'adapter.accepted': { actions: act('resumeSends') },
              'adapter.acceptFailed': breakWith('WSAECONNRESET'),
              'adapter.disconnected': lost,
              'adapter.flushNoticed': lost,
              'adapter.fault': breakWith('WSAECONNABORTED'),
              'adapter.connectEnded': breakWith('WSAECONNABORTED'),
              'adapter.removed': breakNow('WSAENETDOWN', [act('destroyConnector')]),
              // The peer's new process can be faster than the notice that the old connection has ended.
              'adapter.reattachRequested': {
                target: 'reattaching',
                actions: [...detach, act('suspendQueues'), act('acceptReattach')],
              },
              'spi.duplicateSocket': {
                target: '#socket.dormant.handing',
                actions: [
                  act('stopEvents'),
                  act('haltQueues'),
                  startTimer('migration'),
                  act('writeMailbox'),
                  answer(0),
                ],
              },
              'spi.closeSocket': {
                target: '#socket.closing.draining',
                actions: [
                  act('stopEvents'),
                  act('disconnect'),
                  startTimer('close'),
                  act('haltQueues'),
                  act('abortRequests'),
                  answer(0),
                ],
              },
              'provider.cleanup': { target: '#socket.closing.draining', actions: endNow },
            },
          },
          // The peer's end moves to another process; receives are held for its return.
          suspended: {
            on: {
              'adapter.reattachRequested': {
                target: 'reattaching',
                actions: [act('stopTimer'), act('acceptReattach')],
              },
              'clock.expired': breakNow('WSAECONNRESET', []),
              // A receive was paired with a first message that is too long for it.
              'adapter.fault': breakNow('WSAECONNABORTED', [act('stopTimer')]),
              'adapter.removed': breakNow('WSAENETDOWN', [act('stopTimer')]),
              'spi.duplicateSocket': says('WSAEINVAL'),
              'spi.closeSocket': {
                target: '#socket.closing.draining',
                actions: [act('stopEvents'), act('stopTimer'), act('haltQueues'), ...abortNow, answer(0)],
              },
              'provider.cleanup': {
                target: '#socket.closing.draining',
                actions: [act('stopEvents'), act('stopTimer'), act('haltQueues'), ...abortNow],
              },
            },
          },
          // The adapter is being asked to take the returning connection; it answers at once.
          reattaching: {
            on: {
              // Receives are posted before the peer is told that it may send; sends can't be before it is told.
              'adapter.reattached': { target: 'active', actions: [update({ attached: 1 }), act('resumeReceives')] },
              'adapter.reattachFailed': breakNow('WSAECONNRESET', []),
            },
          },
          // Taken over; on its way to the peer. Requests are held until it is there.
          attaching: {
            on: {
              'adapter.established': { target: 'active', actions: [act('stopTimer'), act('resumeQueues')] },
              'adapter.connectEnded': breakNow('WSAENETDOWN', [act('stopTimer'), act('destroyConnector')]),
              'adapter.disconnected': breakNow('WSAENETDOWN', [act('stopTimer'), act('destroyConnector')]),
              // The private first receive of an attempt that failed is flushed.
              'adapter.flushNoticed': breakNow('WSAENETDOWN', [act('stopTimer'), act('destroyConnector')]),
              'adapter.fault': breakNow('WSAENETDOWN', [act('stopTimer'), act('destroyConnector')]),
              'clock.expired': breakNow('WSAENETDOWN', [act('destroyConnector')]),
              'adapter.removed': breakNow('WSAENETDOWN', [act('stopTimer'), act('destroyConnector')]),
              'spi.duplicateSocket': says('WSAEINVAL'),
              'spi.closeSocket': {
                target: '#socket.closing.draining',
                actions: [act('stopTimer'), act('disconnect'), ...endNow, answer(0)],
              },
              'provider.cleanup': { target: '#socket.closing.draining', actions: [act('stopTimer'), ...endNow] },
            },
          },
        },
      },
      // The connection is lost; the socket remains until the switch closes it.
      broken: {
        on: {
          ...alreadyBound,
          'spi.connect': says('WSAEINVAL'),
          'spi.listen': says('WSAEINVAL'),
          ...notListening,
          'spi.send': { actions: effect('answer', { error: c.reason }) },
          'spi.recv': { actions: effect('answer', { error: c.reason }) },
          'spi.rdmaWrite': { actions: effect('answer', { error: c.reason }) },
          'spi.rdmaRead': { actions: effect('answer', { error: c.reason }) },
          'spi.registerMemory': says('WSAENOTCONN'),
          ...deregister,
          'spi.duplicateSocket': says('WSAEINVAL'),
          'spi.eventSelect': select(0),
          'spi.setSockOpt': works,
          'spi.closeSocket': {
            target: 'closing.draining',
            actions: [act('stopEvents'), startTimer('close'), act('abortRequests'), answer(0)],
          },
          'provider.cleanup': [
            {
              guard: when(c.attached),
              target: 'closing.draining',
              actions: [act('stopEvents'), ...detach, ...abortNow],
            },
            { target: 'closing.draining', actions: act('stopEvents') },
          ],
          'queue.drained': countDrained,
          'adapter.removed': [{ guard: when(c.attached), actions: [...detach, lose('WSAENETDOWN')] }, ignored],
          'adapter.established': ignored,
          'adapter.connectEnded': ignored,
          'adapter.disconnected': ignored,
          'adapter.flushNoticed': ignored,
          'adapter.fault': ignored,
          'adapter.reattachRequested': { actions: act('rejectReattach') },
        },
      },
      // Control was handed to another process.
      dormant: {
        initial: 'handing',
        on: {
          ...alreadyBound,
          'spi.connect': says('WSAEINVAL'),
          'spi.listen': says('WSAEINVAL'),
          ...notListening,
          ...notConnected,
          ...deregister,
          'spi.eventSelect': says('WSAEINVAL'),
          'spi.setSockOpt': says('WSAEINVAL'),
          'spi.duplicateSocket': says('WSAEINVAL'),
          'queue.drained': countDrained,
          'adapter.established': ignored,
        },
        states: {
          // The peer is being told; what it has sent before still arrives.
          handing: {
            on: {
              'adapter.mailboxWritten': part,
              'adapter.mailboxFailed': part,
              'adapter.disconnected': part,
              'adapter.flushNoticed': part,
              'adapter.fault': part,
              'adapter.connectEnded': part,
              'adapter.removed': part,
              // The news is stuck behind a send that gets nowhere.
              'clock.expired': part,
              'spi.closeSocket': { target: '#socket.closing.handing', actions: [startTimer('close'), answer(0)] },
              'provider.cleanup': {
                target: '#socket.closing.draining',
                actions: [act('stopTimer'), ...detach, ...abortNow],
              },
            },
          },
          parted: {
            on: {
              'adapter.removed': ignored,
              'spi.closeSocket': { target: '#socket.closing.draining', actions: answer(0) },
              'provider.cleanup': { target: '#socket.closing.draining', actions: act('ignored') },
            },
          },
          unlistening: {
            on: {
              'adapter.removed': ignored,
              'spi.closeSocket': { target: '#socket.closed', actions: [...free, answer(0)] },
              'provider.cleanup': { target: '#socket.closed', actions: free },
            },
          },
        },
      },
      // The switch has let go; the provider has still to get its buffers back.
      closing: {
        initial: 'draining',
        on: {
          'queue.drained': countDrained,
          'adapter.established': ignored,
          'adapter.reattachRequested': { actions: act('rejectReattach') },
        },
        states: {
          handing: {
            on: {
              'adapter.mailboxWritten': partAndDrain,
              'adapter.mailboxFailed': partAndDrain,
              'adapter.disconnected': partAndDrain,
              'adapter.flushNoticed': partAndDrain,
              'adapter.fault': partAndDrain,
              'adapter.connectEnded': partAndDrain,
              'adapter.removed': partAndDrain,
              'clock.expired': partAndDrain,
              'provider.cleanup': {
                target: 'draining',
                actions: [act('stopTimer'), ...detach, ...abortNow],
              },
            },
          },
          draining: {
            always: [
              {
                guard: when(all(equal(c.drained, 3), c.attached)),
                target: '#socket.closed',
                actions: [act('stopTimer'), ...detach, ...free],
              },
              {
                guard: when(equal(c.drained, 3)),
                target: '#socket.closed',
                actions: [act('stopTimer'), ...free],
              },
            ],
            on: {
              'clock.expired': [
                { guard: when(c.attached), actions: [...detach, lose('WSA_OPERATION_ABORTED')] },
                ignored,
              ],
              'provider.cleanup': [
                { guard: when(c.attached), actions: [...detach, lose('WSA_OPERATION_ABORTED')] },
                ignored,
              ],
              'adapter.removed': [
                { guard: when(c.attached), actions: [...detach, lose('WSA_OPERATION_ABORTED')] },
                ignored,
              ],
              'adapter.connectEnded': ignored,
              'adapter.disconnected': ignored,
              'adapter.flushNoticed': ignored,
              'adapter.fault': ignored,
            },
          },
        },
      },
      closed: { type: 'final', entry: act('socketClosed') },
    },
  });
  return { contract: definition, machine };
};
