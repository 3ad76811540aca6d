/**
 * Overlapped request: one WSPSend, WSPRecv, WSPRdmaWrite or WSPRdmaRead, from its start until its end is reported.
 *
 * Theory of operation: from `posted` on the adapter owns the request's buffers, and only a completion or the end of the
 * connector gives them back. So neither a broken connection (`breaking`) nor closing the socket (`aborting`) ends a
 * request: they make it wait, with the error it will have. What the adapter never saw (`held` for room in its queue,
 * `paired` with the private first receive) ends at once. A request split into several work requests waits for all of
 * them.
 *
 * A request whose end is known is `finished`: its buffers are released, and it waits until it is the oldest of its
 * queue, so that completions are published in the order of the calls whatever the adapter does. Then the low bit of
 * hEvent decides: a polled request is published in its WSAOVERLAPPED and is `done`; any other is `due` for
 * WPUCompleteOverlappedRequest, which the dispatcher makes as soon as no initiating call and no other completion
 * up-call of the socket is running.
 *
 * Source: specification, section 11; 7.5 for the paired request; 16.2 and A.3 for the error of a flushed one.
 */

import { setup } from 'xstate';
import { carried, field, flag, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { all, equal, less, not, subtract } from './expression.ts';
import type { Limits } from './limits.ts';
import { WSA, wsa } from './wsa.ts';

/** How a request can end. Source: 11.6. */
export const requestError = oneOf(
  0,
  WSA.WSA_OPERATION_ABORTED,
  WSA.WSAEFAULT,
  WSA.WSAEMSGSIZE,
  WSA.WSAENETDOWN,
  WSA.WSAECONNABORTED,
  WSA.WSAECONNRESET,
);
/** Bytes of one request. */
export const byteCount = carried(0, 0xffff_ffff);

const contract = (limits: Limits) => {
  const pieces = range(1, limits.piecesMax);
  const start = { polled: flag, fence: flag, pieces };
  return {
    context: {
      /** Low-order bit of hEvent at the start: the switch polls and must not be notified. */
      polled: field(flag),
      /** Must not leave before earlier RDMA reads are finished. */
      fence: field(flag),
      /** Work requests that the adapter has still to complete. */
      pieces: field(range(0, limits.piecesMax)),
      /** It is the oldest unpublished request of its queue. */
      head: field(flag),
      error: field(requestError),
      bytes: field(byteCount),
    },
    events: {
      'queue.start': start,
      'queue.hold': start,
      'queue.pair': start,
      'queue.postNow': {},
      'queue.head': {},
      /** The call was refused after all; nothing was started. */
      'spi.refused': {},
      'adapter.completed': { bytes: byteCount },
      'adapter.failed': { error: requestError },
      'adapter.flushed': {},
      /** The adapter had no room for it, while the initiating call is still running. */
      'adapter.postRefused': {},
      'firstMessage.copied': { error: requestError, bytes: byteCount },
      'socket.broken': { error: requestError },
      'socket.closing': {},
      'socket.lost': { error: requestError },
      'socket.suspended': {},
      'socket.handedOver': {},
      'dispatcher.notify': {},
      'upcall.returned': { failed: flag },
    },
    effects: {
      /** Mark the WSAOVERLAPPED as in progress. */
      markPending: {},
      /** Put the WSAOVERLAPPED back as it was before. */
      unmarkPending: {},
      /** Post the request's last `pieces` work requests to the adapter: all of them, unless it was posted before. */
      postWork: { fence: flag, pieces },
      /** The adapter has a free place in its queue. */
      creditReturned: {},
      /** Nothing needs the request's registrations any more. */
      releaseBuffers: {},
      /** The request is no longer in its queue's order. */
      leaveOrder: {},
      /** Write the outcome into the WSAOVERLAPPED, Internal last. */
      publish: { error: requestError, bytes: byteCount },
      /** Ask the dispatcher for a turn to make the completion up-call. */
      requestNotification: {},
      /** WPUCompleteOverlappedRequest. */
      completeOverlappedRequest: { error: requestError, bytes: byteCount },
      /** The request is over; its place in the socket's bookkeeping is free. */
      retire: {},
      answer: { error: oneOf(WSA.WSAENOBUFS) },
      /** The event is known and changes nothing. */
      ignored: {},
    },
  } as const;
};

export const createOverlappedRequestMachine = (limits: Limits) => {
  const definition = contract(limits);
  const { context: c, event, when, update, effect } = language(definition);

  const ignored = effect('ignored', {});
  const begin = update({ polled: event('polled'), fence: event('fence'), pieces: event('pieces') });
  const markPending = effect('markPending', {});
  const postWork = effect('postWork', { fence: c.fence, pieces: c.pieces });
  const creditReturned = effect('creditReturned', {});
  const onePieceLess = update({ pieces: subtract(c.pieces, 1) });
  const morePieces = when(less(1, c.pieces));
  const end = (error: Parameters<typeof less>[0], bytes: Parameters<typeof less>[0]) =>
    update({ error, bytes, pieces: 0 });
  const aborted = end(wsa('WSA_OPERATION_ABORTED'), 0);

  const machine = setup(implementations(definition)).createMachine({
    id: 'overlappedRequest',
    context: initialContext(definition),
    initial: 'unstarted',
    states: {
      unstarted: {
        on: {
          'queue.start': {
            target: 'posted',
            actions: [begin, markPending, effect('postWork', { fence: event('fence'), pieces: event('pieces') })],
          },
          'queue.hold': { target: 'held', actions: [begin, markPending] },
          'queue.pair': { target: 'paired', actions: [begin, markPending] },
          'spi.refused': { actions: effect('releaseBuffers', {}) },
        },
      },
      held: {
        on: {
          'queue.postNow': { target: 'posted', actions: postWork },
          'queue.head': { actions: update({ head: 1 }) },
          'socket.broken': { target: 'finished', actions: end(event('error'), 0) },
          'socket.closing': { target: 'finished', actions: aborted },
          'socket.lost': { target: 'finished', actions: end(event('error'), 0) },
          'socket.suspended': { actions: ignored },
          'socket.handedOver': { target: 'finished', actions: end(0, 0) },
        },
      },
      paired: {
        on: {
          'firstMessage.copied': {
            target: 'finished',
            actions: [end(event('error'), event('bytes')), creditReturned],
          },
          'queue.head': { actions: update({ head: 1 }) },
          'socket.broken': { target: 'finished', actions: end(event('error'), 0) },
          'socket.closing': { target: 'finished', actions: aborted },
          'socket.lost': { target: 'finished', actions: end(event('error'), 0) },
          'socket.suspended': { target: 'held', actions: ignored },
          'socket.handedOver': { target: 'finished', actions: end(0, 0) },
        },
      },
      posted: {
        on: {
          'adapter.completed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [end(0, event('bytes')), creditReturned] },
          ],
          'adapter.failed': [
            { guard: morePieces, target: 'breaking', actions: [onePieceLess, update({ error: event('error') })] },
            { target: 'finished', actions: [end(event('error'), 0), creditReturned] },
          ],
          'adapter.postRefused': {
            target: 'done',
            actions: [
              effect('answer', { error: wsa('WSAENOBUFS') }),
              effect('unmarkPending', {}),
              effect('releaseBuffers', {}),
              effect('leaveOrder', {}),
              creditReturned,
              effect('retire', {}),
            ],
          },
          'queue.head': { actions: update({ head: 1 }) },
          'socket.broken': { target: 'breaking', actions: update({ error: event('error') }) },
          'socket.closing': { target: 'aborting', actions: ignored },
          'socket.lost': { target: 'finished', actions: end(event('error'), 0) },
          // The connector is gone and with it the posted receive; it is posted again on the next one.
          'socket.suspended': { target: 'held', actions: ignored },
          'socket.handedOver': { target: 'finished', actions: end(0, 0) },
        },
      },
      // The connection is lost; `error` is its cause, or what this request itself failed with.
      breaking: {
        on: {
          // What arrived before the loss was noticed is delivered (16.3).
          'adapter.completed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [end(0, event('bytes')), creditReturned] },
          ],
          'adapter.failed': [
            { guard: morePieces, actions: [onePieceLess, update({ error: event('error') })] },
            { target: 'finished', actions: [end(event('error'), 0), creditReturned] },
          ],
          'adapter.flushed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [end(c.error, 0), creditReturned] },
          ],
          'queue.head': { actions: update({ head: 1 }) },
          'socket.broken': { actions: ignored },
          'socket.closing': { target: 'aborting', actions: ignored },
          'socket.lost': { target: 'finished', actions: end(c.error, 0) },
        },
      },
      // The socket is closed. A late success and a flush are equally good news: either gives the buffers back.
      aborting: {
        on: {
          'adapter.completed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [aborted, creditReturned] },
          ],
          'adapter.failed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [aborted, creditReturned] },
          ],
          'adapter.flushed': [
            { guard: morePieces, actions: onePieceLess },
            { target: 'finished', actions: [aborted, creditReturned] },
          ],
          'queue.head': { actions: update({ head: 1 }) },
          'socket.lost': { target: 'finished', actions: aborted },
        },
      },
      finished: {
        entry: effect('releaseBuffers', {}),
        always: [
          {
            guard: when(all(c.head, c.polled)),
            target: 'done',
            actions: [
              effect('publish', { error: c.error, bytes: c.bytes }),
              effect('leaveOrder', {}),
              effect('retire', {}),
            ],
          },
          {
            guard: when(all(c.head, not(c.polled))),
            target: 'due',
            actions: [effect('requestNotification', {}), effect('leaveOrder', {})],
          },
        ],
        on: {
          'queue.head': { actions: update({ head: 1 }) },
          'socket.closing': { actions: aborted },
          'socket.broken': { actions: ignored },
        },
      },
      due: {
        on: {
          'dispatcher.notify': {
            target: 'notifying',
            actions: effect('completeOverlappedRequest', { error: c.error, bytes: c.bytes }),
          },
        },
      },
      notifying: {
        on: {
          'upcall.returned': [
            {
              guard: when(equal(event('failed'), 1)),
              target: 'done',
              actions: [effect('publish', { error: c.error, bytes: c.bytes }), effect('retire', {})],
            },
            { target: 'done', actions: effect('retire', {}) },
          ],
        },
      },
      done: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
