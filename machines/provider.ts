/**
 * Provider: from the first WSPStartupEx to the last WSPCleanup of one process.
 *
 * Theory of operation: start-ups nest and only the outermost pair does anything. The adapter answers within the first
 * start-up. The last clean-up ends every socket; the adapter lets go of all memory first, so every pending request ends
 * at once, and only completion up-calls that are already running can delay the end (`cleaningUp`). The switch handles
 * are closed before the adapter is (`closing`): from inside those up-calls nobody can start up. When the adapter is lost,
 * the provider stays `failed` until it has been cleaned up.
 *
 * Each state says in its `meta` what a call that needs a working provider gets (0: go on), so that the check that comes
 * first in every function is the machine's word too.
 *
 * Source: specification, sections 0.4, 2, 10.3; S-30.
 */

import { setup } from 'xstate';
import { field, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { add, equal, less, subtract, unequal } from './expression.ts';
import type { Limits } from './limits.ts';
import { WSA, wsa } from './wsa.ts';

const startupError = oneOf(0, WSA.WSAVERNOTSUPPORTED, WSA.WSAEFAULT);

const contract = (limits: Limits) =>
  ({
    context: {
      /** Successful start-ups without their clean-up. */
      startups: field(range(0, limits.startupsMax)),
      /** Sockets that aren't closed. */
      sockets: field(range(0, limits.socketsMax)),
    },
    events: {
      'spi.startup': { refusal: startupError },
      'spi.cleanup': {},
      'adapter.opened': {},
      'adapter.openFailed': { error: oneOf(WSA.WSASYSNOTREADY, WSA.WSAEPROVIDERFAILEDINIT) },
      'adapter.removed': {},
      'adapter.closed': {},
      'socket.opened': {},
      'socket.closed': {},
    },
    effects: {
      openAdapter: {},
      closeAdapter: {},
      /**
       * Tell every socket, one after another, that it ends now. Each is a step of its own: a switch that is told of
       * one may close, or clean up, and meets none of which only half was done.
       */
      endAllSockets: {},
      /** Tell every socket, likewise, that the adapter is gone. */
      breakAllSockets: {},
      answer: {
        error: oneOf(
          0,
          WSA.WSAVERNOTSUPPORTED,
          WSA.WSAEFAULT,
          WSA.WSAEPROCLIM,
          WSA.WSASYSNOTREADY,
          WSA.WSAEPROVIDERFAILEDINIT,
          WSA.WSANOTINITIALISED,
          WSA.WSAENETDOWN,
        ),
      },
      ignored: {},
    },
  }) as const;

export const createProviderMachine = (limits: Limits) => {
  const definition = contract(limits);
  const { context: c, event, when, update, effect } = language(definition);
  const answer = (error: Parameters<typeof wsa>[0] | 0) => effect('answer', { error: error === 0 ? 0 : wsa(error) });
  const ignored = { actions: effect('ignored', {}) } as const;

  const refuse = {
    guard: when(unequal(event('refusal'), 0)),
    actions: effect('answer', { error: event('refusal') }),
  };
  const countSocket = {
    actions: update({ sockets: add(c.sockets, 1) }),
    guard: when(less(c.sockets, limits.socketsMax)),
  };
  const discountSocket = { actions: update({ sockets: subtract(c.sockets, 1) }) };
  const oneLess = update({ startups: subtract(c.startups, 1) });

  const machine = setup(implementations(definition)).createMachine({
    id: 'provider',
    context: initialContext(definition),
    initial: 'uninitialised',
    states: {
      uninitialised: {
        meta: { refusal: WSA.WSANOTINITIALISED },
        on: {
          'spi.startup': [refuse, { target: 'opening', actions: effect('openAdapter', {}) }],
          'spi.cleanup': { actions: answer('WSANOTINITIALISED') },
        },
      },
      // Within one call: the adapter answers before it returns.
      opening: {
        meta: { refusal: WSA.WSANOTINITIALISED },
        on: {
          'adapter.opened': { target: 'ready', actions: [update({ startups: 1 }), answer(0)] },
          'adapter.openFailed': { target: 'uninitialised', actions: effect('answer', { error: event('error') }) },
        },
      },
      ready: {
        meta: { refusal: 0 },
        on: {
          'spi.startup': [
            refuse,
            {
              guard: when(less(c.startups, limits.startupsMax)),
              actions: [update({ startups: add(c.startups, 1) }), answer(0)],
            },
            { actions: answer('WSAEPROCLIM') },
          ],
          'spi.cleanup': [
            { guard: when(less(1, c.startups)), actions: [oneLess, answer(0)] },
            { target: 'cleaningUp', actions: [oneLess, effect('endAllSockets', {}), answer(0)] },
          ],
          'adapter.removed': { target: 'failed', actions: effect('breakAllSockets', {}) },
          'socket.opened': countSocket,
          'socket.closed': discountSocket,
        },
      },
      // The adapter is gone. Sockets can be closed and the provider cleaned up; everything answers WSAENETDOWN.
      failed: {
        meta: { refusal: WSA.WSAENETDOWN },
        on: {
          'spi.startup': [refuse, { actions: answer('WSASYSNOTREADY') }],
          'spi.cleanup': [
            { guard: when(less(1, c.startups)), actions: [oneLess, answer('WSAENETDOWN')] },
            { target: 'cleaningUp', actions: [oneLess, effect('endAllSockets', {}), answer('WSAENETDOWN')] },
          ],
          'adapter.removed': ignored,
          'socket.closed': discountSocket,
        },
      },
      // Waits for completion up-calls that are running; usually for none.
      cleaningUp: {
        meta: { refusal: WSA.WSANOTINITIALISED },
        always: {
          guard: when(equal(c.sockets, 0)),
          target: 'closing',
          actions: effect('closeAdapter', {}),
        },
        on: {
          'spi.startup': [refuse, { actions: answer('WSASYSNOTREADY') }],
          'spi.cleanup': { actions: answer('WSANOTINITIALISED') },
          'adapter.removed': ignored,
          'socket.closed': discountSocket,
        },
      },
      // The sockets are gone; their last up-calls are being made, then the adapter is closed.
      closing: {
        meta: { refusal: WSA.WSANOTINITIALISED },
        on: {
          'adapter.closed': { target: 'uninitialised', actions: effect('ignored', {}) },
          'spi.startup': [refuse, { actions: answer('WSASYSNOTREADY') }],
          'spi.cleanup': { actions: answer('WSANOTINITIALISED') },
        },
      },
    },
  });
  return { contract: definition, machine };
};
