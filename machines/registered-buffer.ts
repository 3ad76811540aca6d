/**
 * Registered buffer: one registration of memory on a socket, for local use or for the peer.
 *
 * Theory of operation: registrations of the same memory for the same use are counted, and only the last deregistration
 * releases. Pending requests pin the registrations that their buffers lie in; a pinned one can't be deregistered. What
 * is left when the socket is freed is released then, after every request has let go of it.
 *
 * Source: specification, sections 6 and 8; S-20.
 */

import { setup } from 'xstate';
import { field, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { add, equal, less, subtract, unequal } from './expression.ts';
import { type Limits, pendingMax } from './limits.ts';
import { rowNumber } from './request-queue.ts';
import { WSA, wsa } from './wsa.ts';

const contract = (limits: Limits) =>
  ({
    context: {
      /** Successful registrations that haven't been deregistered. */
      references: field(range(0, limits.referencesMax)),
      /** Pending requests that need the memory: both directions, each at most {@link pendingMax}. */
      pins: field(range(0, 2 * pendingMax(limits) + 1)),
    },
    events: {
      'spi.registerMemory': {},
      'spi.deregisterMemory': {},
      'adapter.registered': {},
      'adapter.registerFailed': { error: oneOf(WSA.WSAENOBUFS, WSA.WSAEFAULT, WSA.WSAENETDOWN) },
      'request.pinned': { request: rowNumber },
      'request.unpinned': {},
      'socket.freed': {},
    },
    effects: {
      registerRegion: {},
      /** From here on nothing reaches the memory through this registration. */
      deregisterRegion: {},
      /** The request must let go of it when it needs it no more. */
      rememberPin: { request: rowNumber },
      /** The registration is over; forget it. */
      forget: {},
      answer: {
        error: oneOf(0, WSA.WSAEINVAL, WSA.WSAENOBUFS, WSA.WSAEFAULT, WSA.WSAENETDOWN),
      },
    },
  }) as const;

export const createRegisteredBufferMachine = (limits: Limits) => {
  const definition = contract(limits);
  const { context: c, event, when, update, effect } = language(definition);
  const answer = (error: Parameters<typeof wsa>[0] | 0) => effect('answer', { error: error === 0 ? 0 : wsa(error) });

  const machine = setup(implementations(definition)).createMachine({
    id: 'registeredBuffer',
    context: initialContext(definition),
    initial: 'unregistered',
    states: {
      unregistered: {
        on: { 'spi.registerMemory': { target: 'registering', actions: effect('registerRegion', {}) } },
      },
      // Within one call: the adapter answers before it returns.
      registering: {
        on: {
          'adapter.registered': { target: 'registered', actions: [update({ references: 1 }), answer(0)] },
          'adapter.registerFailed': {
            target: 'released',
            actions: [effect('answer', { error: event('error') }), effect('forget', {})],
          },
        },
      },
      registered: {
        on: {
          'spi.registerMemory': [
            {
              guard: when(less(c.references, limits.referencesMax)),
              actions: [update({ references: add(c.references, 1) }), answer(0)],
            },
            { actions: answer('WSAENOBUFS') },
          ],
          'spi.deregisterMemory': [
            { guard: when(unequal(c.pins, 0)), actions: answer('WSAEINVAL') },
            {
              guard: when(less(1, c.references)),
              actions: [update({ references: subtract(c.references, 1) }), answer(0)],
            },
            {
              target: 'released',
              actions: [update({ references: 0 }), effect('deregisterRegion', {}), effect('forget', {}), answer(0)],
            },
          ],
          // One call more than can be pending may be under way when its queue refuses it.
          'request.pinned': {
            guard: when(less(c.pins, 2 * pendingMax(limits) + 1)),
            actions: [update({ pins: add(c.pins, 1) }), effect('rememberPin', { request: event('request') })],
          },
          'request.unpinned': { guard: when(less(0, c.pins)), actions: update({ pins: subtract(c.pins, 1) }) },
          'socket.freed': {
            guard: when(equal(c.pins, 0)),
            target: 'released',
            actions: [update({ references: 0 }), effect('deregisterRegion', {}), effect('forget', {})],
          },
        },
      },
      released: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
