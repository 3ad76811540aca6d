/**
 * First message: the private receive of an accepted connection, and the one message that it can hold.
 *
 * Theory of operation: the connecting switch may send its negotiation message before the accepting switch has posted
 * anything, and not every adapter can make it wait. So the provider posts one private receive before it tells the peer
 * "accepted", and does not post the socket's first WSPRecv but pairs it: whichever of message and request comes second
 * has the message copied and completes the request. Every later WSPRecv goes to the adapter.
 *
 * Source: specification, 7.5 (concrete rule); S-33.
 */

import { setup } from 'xstate';
import { field, flag, implementations, initialContext, language } from './contract.ts';
import { equal } from './expression.ts';
import { rowNumber } from './request-queue.ts';

const definition = {
  context: {
    /** The request that waits for the message. */
    request: field(rowNumber),
  },
  events: {
    'socket.opened': { first: flag },
    'socket.halted': {},
    'socket.suspended': {},
    'socket.lost': {},
    'socket.freed': {},
    'queue.paired': { request: rowNumber },
    'adapter.firstArrived': {},
    'adapter.firstFlushed': {},
  },
  effects: {
    /** Copy the message into the request's buffers and report how that went. */
    copyFirstMessage: { request: rowNumber },
    /** The message will not come here: the next request is one like the others. */
    missed: {},
    queueDrained: {},
    ignored: {},
  },
} as const;

export const createFirstMessageMachine = () => {
  const { context: c, event, when, update, effect } = language(definition);
  const drained = { target: 'drained', actions: effect('queueDrained', {}) } as const;
  const freed = { target: 'freed', actions: effect('ignored', {}) } as const;
  const ignored = { actions: effect('ignored', {}) } as const;

  const machine = setup(implementations(definition)).createMachine({
    id: 'firstMessage',
    context: initialContext(definition),
    initial: 'unopened',
    states: {
      unopened: {
        on: {
          'socket.opened': [
            { guard: when(equal(event('first'), 1)), target: 'expecting', actions: effect('ignored', {}) },
            { target: 'spent', actions: effect('ignored', {}) },
          ],
          // Freed while it was halted; see request-queue.ts.
          'socket.lost': ignored,
          'socket.freed': freed,
        },
      },
      // The private receive is posted; neither the message nor a request is there.
      expecting: {
        on: {
          'queue.paired': { target: 'waiting', actions: update({ request: event('request') }) },
          'adapter.firstArrived': { target: 'held', actions: effect('ignored', {}) },
          'socket.halted': { target: 'draining', actions: effect('ignored', {}) },
          'socket.suspended': { target: 'spent', actions: effect('missed', {}) },
        },
      },
      // A request waits for the message.
      waiting: {
        on: {
          'adapter.firstArrived': { target: 'spent', actions: effect('copyFirstMessage', { request: c.request }) },
          'socket.halted': { target: 'draining', actions: effect('ignored', {}) },
          'socket.suspended': { target: 'spent', actions: effect('ignored', {}) },
        },
      },
      // The message waits for a request.
      held: {
        on: {
          'queue.paired': { target: 'spent', actions: effect('copyFirstMessage', { request: event('request') }) },
          'socket.halted': drained,
          'socket.suspended': ignored,
        },
      },
      spent: { on: { 'socket.halted': drained, 'socket.suspended': ignored } },
      // The connection is over; the adapter still owns the private receive.
      draining: {
        on: { 'adapter.firstArrived': drained, 'adapter.firstFlushed': drained, 'socket.lost': drained },
      },
      drained: { on: { 'socket.lost': ignored, 'socket.freed': freed } },
      freed: { type: 'final' },
    },
  });
  return { contract: definition, machine };
};
