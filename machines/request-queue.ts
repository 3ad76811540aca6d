/**
 * Request queue: the pending requests of one direction of a socket (receives, or sends, writes and reads together).
 *
 * Theory of operation: the queue decides whether one more request may be pending, and whether it goes to the adapter at
 * once or waits (`held`) for a place there, so that the order of the calls is kept. There are as many places as the
 * provider posts at most, or fewer when the connection's adapter has room for fewer (`adapter.limited`). A place is free
 * again when the adapter gives a request back, earlier than the request itself is over: that is when it has been
 * reported. While the connection moves to another process the queue is `paused`: it admits and posts nothing. After the
 * connection it is `halted` and waits until every request is over; then it is `drained`, and the socket may be freed.
 *
 * The first receive of an accepted socket isn't posted; it is paired with the private first receive (first-message.ts).
 *
 * Source: specification, 7.5, 7.6, 11.4, 15.4.
 */

import { setup } from 'xstate';
import { carried, field, flag, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { add, all, equal, less, subtract, unequal } from './expression.ts';
import { type Limits, pendingMax } from './limits.ts';
import { WSA, wsa } from './wsa.ts';

/** Row of another machine. */
export const rowNumber = carried(0, 0x7fff_ffff);

const contract = (limits: Limits) => {
  const request = { request: rowNumber, polled: flag, fence: flag, pieces: range(1, limits.piecesMax) };
  return {
    context: {
      /** Requests that the adapter holds, or that are paired with the private first receive. */
      posted: field(range(0, limits.queueDepth)),
      /** Requests that wait for a place. */
      held: field(range(0, pendingMax(limits))),
      /** Requests that aren't over: posted, held, finished or being reported. */
      pending: field(range(0, pendingMax(limits))),
      /** The next request is paired with the private first receive. */
      first: field(flag),
      /** Requests that the adapter has room for. */
      places: field(range(1, limits.queueDepth), limits.queueDepth),
    },
    events: {
      /** The adapter has room for this many requests of the connection, which are fewer than would be posted. */
      'adapter.limited': { places: range(1, limits.queueDepth) },
      'socket.opened': { first: flag },
      'socket.attaching': { first: flag },
      'socket.suspended': {},
      'socket.resumed': {},
      'socket.halted': {},
      'socket.lost': {},
      'socket.freed': {},
      'queue.admit': request,
      'queue.pump': {},
      'request.creditReturned': {},
      'request.retired': {},
      'firstMessage.missed': {},
    },
    effects: {
      startRequest: request,
      holdRequest: request,
      pairRequest: request,
      /** Post the oldest held request. */
      postOldestHeld: {},
      /** Look once more whether a held request can be posted. */
      pump: {},
      queueDrained: {},
      answer: { error: oneOf(WSA.WSA_IO_PENDING, WSA.WSAENOBUFS) },
      ignored: {},
    },
  } as const;
};

export const createRequestQueueMachine = (limits: Limits) => {
  const definition = contract(limits);
  const { context: c, event, when, update, effect } = language(definition);

  const full = when(equal(c.pending, pendingMax(limits)));
  const request = {
    request: event('request'),
    polled: event('polled'),
    fence: event('fence'),
    pieces: event('pieces'),
  };
  const pending = effect('answer', { error: wsa('WSA_IO_PENDING') });
  const refuse = { guard: full, actions: effect('answer', { error: wsa('WSAENOBUFS') }) };
  const pair = {
    guard: when(c.first),
    actions: [
      update({ first: 0, posted: add(c.posted, 1), pending: add(c.pending, 1) }),
      effect('pairRequest', request),
      pending,
    ],
  };
  const hold = {
    actions: [update({ held: add(c.held, 1), pending: add(c.pending, 1) }), effect('holdRequest', request), pending],
  };
  const postOne = update({ posted: add(c.posted, 1), held: subtract(c.held, 1) });
  const ignored = { actions: effect('ignored', {}) };
  const freed = { target: 'freed', actions: effect('ignored', {}) };
  const retire = { actions: update({ pending: subtract(c.pending, 1) }) };
  const limited = { actions: update({ places: event('places') }) };
  const giveBack = { actions: update({ posted: subtract(c.posted, 1) }) };

  const machine = setup(implementations(definition)).createMachine({
    id: 'requestQueue',
    context: initialContext(definition),
    initial: 'unopened',
    states: {
      unopened: {
        on: {
          'adapter.limited': limited,
          'socket.opened': { target: 'open', actions: update({ first: event('first') }) },
          'socket.attaching': { target: 'paused', actions: update({ first: event('first') }) },
          // The socket had nothing pending and was freed while it was halted; the rest of its leave-taking comes after.
          'socket.lost': ignored,
          'socket.freed': freed,
        },
      },
      open: {
        on: {
          'queue.admit': [
            refuse,
            pair,
            {
              guard: when(all(equal(c.held, 0), less(c.posted, c.places))),
              actions: [
                update({ posted: add(c.posted, 1), pending: add(c.pending, 1) }),
                effect('startRequest', request),
                pending,
              ],
            },
            hold,
          ],
          'request.creditReturned': [
            // The place goes to the oldest held request: the number of posted ones stays.
            {
              guard: when(unequal(c.held, 0)),
              actions: [update({ held: subtract(c.held, 1) }), effect('postOldestHeld', {})],
            },
            giveBack,
          ],
          'queue.pump': [
            {
              guard: when(all(unequal(c.held, 0), less(c.posted, c.places))),
              actions: [postOne, effect('postOldestHeld', {}), effect('pump', {})],
            },
            ignored,
          ],
          'request.retired': retire,
          'socket.suspended': {
            target: 'paused',
            actions: update({ held: add(c.held, c.posted), posted: 0 }),
          },
          'socket.halted': { target: 'halted', actions: update({ held: 0 }) },
        },
      },
      paused: {
        on: {
          'adapter.limited': limited,
          'queue.admit': [refuse, pair, hold],
          'request.creditReturned': giveBack,
          'request.retired': retire,
          // The private first receive went with the connector, and no request was paired with it.
          'firstMessage.missed': { actions: update({ first: 0 }) },
          'socket.resumed': { target: 'open', actions: effect('pump', {}) },
          'socket.halted': { target: 'halted', actions: update({ held: 0 }) },
        },
      },
      halted: {
        always: { guard: when(equal(c.pending, 0)), target: 'drained', actions: effect('queueDrained', {}) },
        on: {
          'request.creditReturned': giveBack,
          'request.retired': retire,
          // The connector is gone, and with it what was posted.
          'socket.lost': { actions: update({ posted: 0 }) },
        },
      },
      drained: { on: { 'socket.lost': ignored, 'socket.freed': freed } },
      freed: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
