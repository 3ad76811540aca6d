/**
 * The lifecycle of a connector over librdmacm: from the wish to connect, or a peer's, to its end.
 *
 * Theory of operation: one machine for both ends. The active end resolves the peer's address, then the route, then
 * connects; the passive end is asked, lets its owner decide, and accepts. The library's events come in as `cm.*`, and
 * what its calls answer at once as `call.refused`. From `established` on one of the two ends parts first: an end that
 * hears of it is `parted` until its owner lets go as well, for only the owner may end what it has posted; an end whose
 * owner lets go first is `leaving` until the other has heard of it, so that what is on its way gets there.
 *
 * Then the queue pair is put in error and `draining`. A device flushes what was posted before that, in its own time, so a
 * marker is posted behind it to each queue; when both have completed, all of it has, and what had succeeded has been told
 * so. What is posted afterwards not every device flushes: siw keeps it for ever, and a marker with it, but the rest it has
 * flushed at once. So then the queue pair is destroyed, some devices take its completions away with it, and what has not
 * completed by then is flushed by the shim. Hence each request completes, once.
 *
 * No timer is needed: the owner bounds the whole attempt, and giving up is `connector.disconnect`. When its device is
 * gone, a connector gives back all that it holds of it: the kernel waits for that before it removes the device.
 *
 * The kernel's iWARP connection manager lets nobody have a queue pair or an id back while it connects or accepts: who asks
 * for it then stands still until the peer has answered, or for 10 s over siw. So a connector that is given up there is
 * `withdrawn` until the outcome has come (`recanting`, when it has accepted: then its queue pair may be in use), and
 * `abandoned` from when its owner has destroyed it: all is forgotten but what the kernel still holds. InfiniBand's
 * connection manager sends the peer word at once.
 *
 * This machine belongs to the adapter and is no part of the provider's system.
 *
 * Source: rdma_cm(7); drivers/infiniband/core/iwcm.c (`IWCM_F_CONNECT_WAIT`); specification, Annex A.2 and A.4.
 */

import { type AnyStateMachine, setup } from 'xstate';
import { type CompiledMachine, compile } from './compile.ts';
import { field, flag, implementations, initialContext, language, range } from './contract.ts';
import { equal } from './expression.ts';

const contract = {
  context: {
    /** The device can't take back what connects or accepts: its outcome has to come first. */
    outcomeFirst: field(flag),
  },
  events: {
    'connector.connect': { outcomeFirst: flag },
    'connector.prepare': {},
    'connector.accept': {},
    'connector.reject': {},
    'connector.disconnect': {},
    /** The owner has no use for it any more, and its requests have completed. */
    'connector.destroy': {},
    /** What the machine last asked for was refused at once. */
    'call.refused': {},
    'cm.connectRequest': { outcomeFirst: flag },
    'cm.addressResolved': {},
    'cm.routeResolved': {},
    'cm.established': {},
    /** `reason`: of the connection manager, or the errno of an iWARP device. */
    'cm.rejected': { reason: range(0, 0xffff) },
    /** ADDR_ERROR, ROUTE_ERROR, UNREACHABLE, CONNECT_ERROR. Of a connection that is up, it is a fault. */
    'cm.failed': {},
    'cm.disconnected': {},
    /** The device says that the queue pair is in error. */
    'device.queuePairFailed': {},
    /** The device is gone, or about to be. */
    'device.removed': {},
    /**
     * What was posted before the queue pair was put in error has completed: both markers have. Where none can be posted, or
     * they don't come in time, the completion queue has been found empty instead.
     */
    'queue.emptied': {},
  },
  effects: {
    resolveAddress: {},
    resolveRoute: {},
    startConnection: {},
    acceptConnection: {},
    rejectConnection: {},
    /** Tell the peer, and put the queue pair in error. */
    disconnect: {},
    /** Put the queue pair in error; the peer hears when the id is destroyed, if at all. */
    failQueuePair: {},
    /** What it has not completed, is flushed. */
    destroyQueuePair: {},
    /** Its owner hears of it no more: neither an event nor a completion names it. */
    forget: {},
    /** Give back its queue pair, if it still has it, its id and its number. */
    release: {},
    /** The connection is up; the passive end's timer for "receiver not ready" can be set. */
    tune: {},
    raiseConnectRequest: {},
    raiseWithdrawn: {},
    raiseEstablished: {},
    raiseRejected: { reason: range(0, 0xffff) },
    raiseConnectFailed: {},
    raiseDisconnected: {},
    raiseRemoved: {},
    ignored: {},
  },
} as const;

/** A connector's lifecycle. */
export const createVerbsConnectorMachine = () => {
  const { context, event, update, when, effect } = language(contract);
  const ignored = { actions: effect('ignored', {}) } as const;
  const drain = effect('failQueuePair', {});
  const drained = { target: 'draining', actions: drain } as const;
  const failed = { target: 'draining', actions: [drain, effect('raiseConnectFailed', {})] } as const;
  const rejected = {
    target: 'draining',
    actions: [drain, effect('raiseRejected', { reason: event('reason') })],
  } as const;
  const withdrawn = { target: 'draining', actions: [drain, effect('raiseWithdrawn', {})] } as const;
  const refused = { target: 'draining', actions: [effect('rejectConnection', {}), drain] } as const;
  const left = { target: 'parted', actions: effect('raiseDisconnected', {}) } as const;
  const cut = { target: 'parted', actions: effect('raiseConnectFailed', {}) } as const;
  const removed = { target: 'draining', actions: [drain, effect('raiseRemoved', {})] } as const;
  const leave = { target: 'leaving', actions: effect('disconnect', {}) } as const;
  const outcomeFirst = when(equal(context.outcomeFirst, 1));
  const known = { target: 'released', actions: effect('release', {}) } as const;
  const destroyed = { target: 'released', actions: [effect('forget', {}), effect('release', {})] } as const;

  const late = {
    'call.refused': ignored,
    'cm.addressResolved': ignored,
    'cm.routeResolved': ignored,
    'cm.established': ignored,
    'cm.rejected': ignored,
    'cm.failed': ignored,
    'cm.disconnected': ignored,
    'connector.destroy': destroyed,
    'connector.disconnect': ignored,
    'connector.reject': ignored,
    'device.queuePairFailed': ignored,
    'device.removed': { actions: effect('raiseRemoved', {}) },
  } as const;

  // A connection that is given up waits for its outcome; what its success means, is said where it waits.
  const givenUp = {
    'cm.rejected': drained,
    'cm.failed': drained,
    'cm.disconnected': drained,
    'connector.destroy': { target: 'abandoned', actions: effect('forget', {}) },
    'connector.disconnect': ignored,
    'device.queuePairFailed': ignored,
    'device.removed': { actions: effect('raiseRemoved', {}) },
  } as const;

  const machine = setup(implementations(contract)).createMachine({
    id: 'verbsConnector',
    context: initialContext(contract),
    initial: 'idle',
    states: {
      idle: {
        on: {
          'connector.connect': {
            target: 'resolvingAddress',
            actions: [update({ outcomeFirst: event('outcomeFirst') }), effect('resolveAddress', {})],
          },
          'cm.connectRequest': {
            target: 'undecided',
            actions: [update({ outcomeFirst: event('outcomeFirst') }), effect('raiseConnectRequest', {})],
          },
          'connector.destroy': destroyed,
          'connector.disconnect': drained,
          'device.queuePairFailed': ignored,
          'device.removed': removed,
        },
      },
      resolvingAddress: {
        on: {
          // The owner's call answers so.
          'call.refused': { target: 'idle', actions: effect('ignored', {}) },
          'cm.addressResolved': { target: 'resolvingRoute', actions: effect('resolveRoute', {}) },
          'cm.failed': failed,
          'connector.destroy': destroyed,
          'connector.disconnect': drained,
          'device.queuePairFailed': ignored,
          'device.removed': removed,
        },
      },
      resolvingRoute: {
        on: {
          'call.refused': failed,
          'cm.routeResolved': { target: 'connecting', actions: effect('startConnection', {}) },
          'cm.failed': failed,
          'connector.destroy': destroyed,
          'connector.disconnect': drained,
          'device.queuePairFailed': ignored,
          'device.removed': removed,
        },
      },
      connecting: {
        on: {
          'call.refused': failed,
          'cm.established': { target: 'established', actions: [effect('tune', {}), effect('raiseEstablished', {})] },
          'cm.rejected': rejected,
          'cm.failed': failed,
          'cm.disconnected': failed,
          'connector.destroy': [
            { guard: outcomeFirst, target: 'abandoned', actions: [drain, effect('forget', {})] },
            destroyed,
          ],
          'connector.disconnect': [{ guard: outcomeFirst, target: 'withdrawn', actions: drain }, drained],
          'device.queuePairFailed': ignored,
          'device.removed': [
            { guard: outcomeFirst, target: 'withdrawn', actions: [drain, effect('raiseRemoved', {})] },
            removed,
          ],
        },
      },
      // Given up, which the connection manager doesn't know; its queue pair is in error, so the outcome is a failure.
      withdrawn: {
        on: {
          'cm.established': drained,
          ...givenUp,
          'queue.emptied': ignored,
        },
      },
      abandoned: {
        on: {
          'cm.established': known,
          'cm.rejected': known,
          'cm.failed': known,
          'cm.disconnected': known,
          'device.queuePairFailed': ignored,
          'device.removed': ignored,
        },
      },
      // The owner decides.
      undecided: {
        on: {
          'connector.prepare': { target: 'prepared', actions: effect('ignored', {}) },
          'connector.reject': refused,
          'connector.destroy': destroyed,
          'connector.disconnect': refused,
          'cm.rejected': withdrawn,
          'cm.failed': withdrawn,
          'cm.disconnected': withdrawn,
          'device.removed': withdrawn,
        },
      },
      // Receives can be posted; the peer knows nothing yet.
      prepared: {
        on: {
          'connector.accept': { target: 'accepting', actions: effect('acceptConnection', {}) },
          'connector.reject': refused,
          'connector.destroy': destroyed,
          'connector.disconnect': refused,
          'cm.rejected': withdrawn,
          'cm.failed': withdrawn,
          'cm.disconnected': withdrawn,
          'device.queuePairFailed': ignored,
          'device.removed': withdrawn,
        },
      },
      // Told; data may come before the peer's confirmation.
      accepting: {
        on: {
          // The owner's call answers so, and rejects it.
          'call.refused': { target: 'prepared', actions: effect('ignored', {}) },
          'cm.established': { target: 'established', actions: [effect('tune', {}), effect('raiseEstablished', {})] },
          'cm.rejected': failed,
          'cm.failed': failed,
          'cm.disconnected': failed,
          'connector.destroy': [{ guard: outcomeFirst, target: 'abandoned', actions: effect('forget', {}) }, destroyed],
          'connector.disconnect': [{ guard: outcomeFirst, target: 'recanting', actions: effect('ignored', {}) }, leave],
          'device.queuePairFailed': [
            { guard: outcomeFirst, target: 'recanting', actions: effect('raiseConnectFailed', {}) },
            failed,
          ],
          'device.removed': [
            { guard: outcomeFirst, target: 'recanting', actions: effect('raiseRemoved', {}) },
            removed,
          ],
        },
      },
      // What has been accepted is given up.
      recanting: {
        on: {
          'cm.established': leave,
          ...givenUp,
        },
      },
      established: {
        on: {
          'cm.disconnected': left,
          // A lost confirmation is made good by data; then the real one is the second.
          'cm.established': ignored,
          // The kernel says so of a RoCE peer that its neighbour table has lost.
          'cm.failed': cut,
          'cm.rejected': cut,
          'connector.destroy': destroyed,
          'connector.disconnect': leave,
          'device.queuePairFailed': cut,
          'device.removed': removed,
        },
      },
      parted: {
        on: {
          'cm.disconnected': ignored,
          'cm.established': ignored,
          'cm.failed': ignored,
          'cm.rejected': ignored,
          // Nothing is on its way any more.
          'connector.destroy': destroyed,
          'connector.disconnect': { target: 'draining', actions: [drain, effect('disconnect', {})] },
          'device.queuePairFailed': ignored,
          'device.removed': removed,
        },
      },
      leaving: {
        on: {
          'call.refused': drained,
          'cm.disconnected': drained,
          'cm.established': ignored,
          'cm.failed': drained,
          'cm.rejected': drained,
          'connector.destroy': destroyed,
          'connector.disconnect': ignored,
          'device.queuePairFailed': drained,
          'device.removed': removed,
        },
      },
      draining: { on: { ...late, 'queue.emptied': { target: 'ended', actions: effect('destroyQueuePair', {}) } } },
      ended: { on: late },
      // Nothing names it any more.
      released: {},
    },
  });
  return { contract, machine };
};

let compiled: CompiledMachine | null = null;

/** The machine as it is stepped; compiled at the first call. */
export function compileVerbsConnectorMachine(): CompiledMachine {
  if (compiled === null) {
    const { contract: of, machine } = createVerbsConnectorMachine();
    compiled = compile(machine as unknown as AnyStateMachine, of);
  }
  return compiled;
}
