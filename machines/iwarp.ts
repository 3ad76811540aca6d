/**
 * The two lifecycles of a software iWARP connection: its MPA start-up, and its stream.
 *
 * Theory of operation: the start-up is one machine for both ends. The initiator opens TCP, asks, and is answered; the
 * responder is asked, lets its owner decide, and answers. When a start-up succeeds it opens the stream, the second
 * machine, which says whether data may move and how the connection ends. Bytes, timers and sockets are the shell's:
 * it says what came, and does what the effects say. Every wait for the peer is bounded by `clock.expired`; only the
 * wait for the owner's decision isn't, which is bounded by the peer's patience.
 *
 * A responder may not talk before it has the initiator's first FPDU; so the initiator always begins with an RDMA write
 * of no bytes, which is legal in both revisions and is what revision 2 negotiates as ready-to-receive.
 *
 * An initiator that is turned away without a word asks again as revision 1, once, within the same time.
 *
 * These machines belong to the adapter and are no part of the provider's system.
 *
 * Source: RFC 5044, 7.1 (start-up) and 7.2 (end); RFC 6581, 5, 9 and 10; RFC 5040, 6.
 */

import { type AnyStateMachine, setup } from 'xstate';
import { type CompiledMachine, compile } from './compile.ts';
import { type Contract, field, flag, implementations, initialContext, language, oneOf, range } from './contract.ts';
import { any, equal, less, unequal } from './expression.ts';

/** Numbers that the adapter gives as the reason of a rejection: those of InfiniBand's connection manager. */
export const IwarpReject = { nobodyListens: 8, byConsumer: 28 } as const;

const byte = range(0, 255);
/** None; no enhanced data, too many reads, no matching sign of readiness. Source: RFC 5044, 8; RFC 6581, 8. */
const objections = [0, 4, 6, 7] as const;

const startupContract = {
  context: {
    /** Revision of the request. */
    revision: field(range(0, 2)),
    /** Whether FPDUs have checksums: this end wants them, or the other one does. */
    crc: field(flag),
  },
  events: {
    'connector.connect': { revision: range(1, 2), crc: flag },
    'connector.prepare': {},
    'connector.accept': {},
    'connector.reject': {},
    'connector.disconnect': {},
    'tcp.accepted': { crc: flag },
    'tcp.connected': {},
    /** Nobody listens at the other end, which its host says. */
    'tcp.refused': {},
    /** No connection came about, or it ended. */
    'tcp.lost': {},
    /** A whole request; `revisionMax` is the highest that this end speaks. */
    'peer.request': { revision: byte, revisionMax: range(1, 2), markers: flag, crc: flag },
    /** A whole reply; `objection` is MPA's error code for what makes its enhanced data unusable, 0 when nothing does. */
    'peer.reply': { revision: byte, markers: flag, crc: flag, rejected: flag, objection: oneOf(...objections) },
    /** The peer has ended TCP without a byte of an answer: so do those that don't know the revision. */
    'peer.declined': {},
    /** Bytes that can't be what is expected now. */
    'peer.malformed': {},
    /** The first FPDU has come. */
    'stream.began': {},
    'clock.expired': {},
  },
  effects: {
    openTcp: {},
    /** End TCP at once. */
    closeTcp: {},
    startTimer: {},
    stopTimer: {},
    sendRequest: { revision: range(1, 2) },
    sendReply: { rejected: flag },
    /** Tell the responder by a Terminate of MPA why its reply is of no use. */
    terminateReply: { code: oneOf(...objections), crc: flag },
    /** Refuse in the name of the adapter: no private data. */
    sendRefusal: {},
    raiseConnectRequest: {},
    raiseWithdrawn: {},
    raiseEstablished: {},
    raiseRejected: { reason: oneOf(IwarpReject.nobodyListens, IwarpReject.byConsumer) },
    raiseConnectFailed: {},
    /** Data may move; `initiator` talks first. */
    openStream: { initiator: flag, crc: flag },
    /** The queues will not be used: flush what is posted. */
    abandonStream: {},
    /** Nobody was told of the connection: forget it. */
    forget: {},
    ignored: {},
  },
} as const;

/** MPA start-up, from the wish to connect or TCP's connection to the open stream. */
export const createMpaStartupMachine = () => {
  const { context: c, event, when, update, effect } = language(startupContract);
  const ignored = { actions: effect('ignored', {}) } as const;
  const failed = {
    target: 'ended',
    actions: [
      effect('stopTimer', {}),
      effect('closeTcp', {}),
      effect('abandonStream', {}),
      effect('raiseConnectFailed', {}),
    ],
  } as const;
  const givenUp = {
    target: 'ended',
    actions: [effect('stopTimer', {}), effect('closeTcp', {}), effect('abandonStream', {})],
  } as const;
  const unheard = {
    target: 'ended',
    actions: [effect('stopTimer', {}), effect('closeTcp', {}), effect('forget', {})],
  } as const;
  const withdrawn = {
    target: 'ended',
    actions: [effect('closeTcp', {}), effect('abandonStream', {}), effect('raiseWithdrawn', {})],
  } as const;
  const refused = {
    target: 'ended',
    actions: [effect('sendReply', { rejected: 1 }), effect('closeTcp', {}), effect('abandonStream', {})],
  } as const;

  const machine = setup(implementations(startupContract)).createMachine({
    id: 'mpaStartup',
    context: initialContext(startupContract),
    initial: 'idle',
    states: {
      idle: {
        on: {
          'connector.connect': {
            target: 'connecting',
            actions: [
              update({ revision: event('revision'), crc: event('crc') }),
              effect('startTimer', {}),
              effect('openTcp', {}),
            ],
          },
          'tcp.accepted': {
            target: 'awaitingRequest',
            actions: [update({ crc: event('crc') }), effect('startTimer', {})],
          },
          'connector.disconnect': { target: 'ended', actions: effect('abandonStream', {}) },
        },
      },
      connecting: {
        on: {
          'tcp.connected': { target: 'awaitingReply', actions: effect('sendRequest', { revision: c.revision }) },
          'tcp.refused': {
            target: 'ended',
            actions: [
              effect('stopTimer', {}),
              effect('abandonStream', {}),
              effect('raiseRejected', { reason: IwarpReject.nobodyListens }),
            ],
          },
          'tcp.lost': failed,
          'clock.expired': failed,
          'connector.disconnect': givenUp,
        },
      },
      awaitingReply: {
        on: {
          'peer.reply': [
            // Markers are never sent, and what isn't agreed on can't be used.
            { guard: when(any(unequal(event('revision'), c.revision), equal(event('markers'), 1))), ...failed },
            {
              guard: when(equal(event('rejected'), 1)),
              target: 'ended',
              actions: [
                effect('stopTimer', {}),
                effect('closeTcp', {}),
                effect('abandonStream', {}),
                effect('raiseRejected', { reason: IwarpReject.byConsumer }),
              ],
            },
            {
              guard: when(unequal(event('objection'), 0)),
              target: 'ended',
              actions: [
                effect('stopTimer', {}),
                effect('terminateReply', { code: event('objection'), crc: any(c.crc, event('crc')) }),
                effect('closeTcp', {}),
                effect('abandonStream', {}),
                effect('raiseConnectFailed', {}),
              ],
            },
            {
              target: 'operating',
              actions: [
                effect('stopTimer', {}),
                // Told first: opening sends what is posted, and that can end it.
                effect('raiseEstablished', {}),
                effect('openStream', { initiator: 1, crc: any(c.crc, event('crc')) }),
              ],
            },
          ],
          // Once more, as revision 1; the time that is left is what is left of the first try's.
          'peer.declined': [
            {
              guard: when(equal(c.revision, 2)),
              target: 'connecting',
              actions: [update({ revision: 1 }), effect('openTcp', {})],
            },
            failed,
          ],
          'peer.malformed': failed,
          'tcp.lost': failed,
          'clock.expired': failed,
          'connector.disconnect': givenUp,
        },
      },
      awaitingRequest: {
        on: {
          'peer.request': [
            { guard: when(any(less(event('revision'), 1), less(event('revisionMax'), event('revision')))), ...unheard },
            // It can't be told that it gets none, only that it gets no connection.
            {
              guard: when(equal(event('markers'), 1)),
              target: 'ended',
              actions: [
                update({ revision: event('revision') }),
                effect('stopTimer', {}),
                effect('sendRefusal', {}),
                effect('closeTcp', {}),
                effect('forget', {}),
              ],
            },
            {
              target: 'undecided',
              actions: [
                update({ revision: event('revision'), crc: any(c.crc, event('crc')) }),
                effect('stopTimer', {}),
                effect('raiseConnectRequest', {}),
              ],
            },
          ],
          'peer.malformed': unheard,
          'tcp.lost': unheard,
          'clock.expired': unheard,
          'connector.disconnect': unheard,
        },
      },
      // The owner decides.
      undecided: {
        on: {
          'connector.prepare': { target: 'prepared', actions: effect('ignored', {}) },
          'connector.reject': refused,
          'connector.disconnect': refused,
          'tcp.lost': withdrawn,
          // An initiator has nothing to say before it has its reply.
          'peer.malformed': withdrawn,
        },
      },
      // Receives can be posted; the peer knows nothing yet.
      prepared: {
        on: {
          'connector.accept': {
            target: 'accepted',
            actions: [
              effect('startTimer', {}),
              effect('sendReply', { rejected: 0 }),
              effect('openStream', { initiator: 0, crc: c.crc }),
            ],
          },
          'connector.reject': refused,
          'connector.disconnect': refused,
          'tcp.lost': withdrawn,
          'peer.malformed': withdrawn,
        },
      },
      // The peer has, or will have, the acceptance; its first FPDU confirms it.
      accepted: {
        on: {
          'stream.began': { target: 'operating', actions: [effect('stopTimer', {}), effect('raiseEstablished', {})] },
          'tcp.lost': failed,
          'peer.malformed': failed,
          'clock.expired': failed,
          'connector.disconnect': { target: 'operating', actions: effect('stopTimer', {}) },
        },
      },
      // From here on the stream's machine decides.
      operating: { type: 'final' },
      ended: {
        on: {
          'connector.disconnect': ignored,
          'connector.reject': ignored,
          'tcp.connected': ignored,
          'tcp.refused': ignored,
          'tcp.lost': ignored,
          'peer.malformed': ignored,
          'clock.expired': ignored,
        },
      },
    },
  });
  return { contract: startupContract, machine };
};

const streamContract = {
  context: {},
  events: {
    'startup.opened': { initiator: flag },
    /** The queues will not be used any more. */
    'startup.abandoned': {},
    'connector.disconnect': {},
    /** A whole FPDU that is in order. */
    'peer.fpdu': {},
    /** The peer said that the stream is broken. */
    'peer.terminate': {},
    /** The peer has ended its half of TCP. */
    'peer.end': {},
    /** The peer, or something here, broke the protocol: the reason is to be sent. */
    'stream.fault': { layer: range(0, 15), type: range(0, 15), code: byte },
    /** TCP takes no more of what there is to send. */
    'output.blocked': {},
    /** TCP has taken some of it. */
    'output.moved': {},
    'tcp.lost': {},
    'clock.expired': {},
  },
  effects: {
    /** Say that this end is ready to receive, by an RDMA write of no bytes. */
    sendReadyToReceive: {},
    /** What is posted may go out. */
    permitSending: {},
    /** Confirm the start-up. */
    began: {},
    /** Complete everything that is posted as flushed; from now on nothing moves. */
    flush: {},
    /** Complete the oldest outstanding read, if the peer's reason names one, as refused by it; then flush. */
    flushRefused: {},
    sendTerminate: { layer: range(0, 15), type: range(0, 15), code: byte },
    /** End this half of TCP after all that was handed to it. */
    endTcp: {},
    closeTcp: {},
    /** Bound the wait for the peer's end. */
    startTimer: {},
    /** Bound the wait for the peer to read. */
    startStallTimer: {},
    stopTimer: {},
    raiseDisconnected: {},
    ignored: {},
  },
} as const;

/** The stream: data transfer, Terminate in both directions, and the end. */
export const createIwarpStreamMachine = () => {
  const { event, when, effect } = language(streamContract);
  const ignored = { actions: effect('ignored', {}) } as const;
  const begin = [effect('began', {}), effect('permitSending', {})];
  const fault = {
    target: 'terminating',
    actions: [
      effect('sendTerminate', { layer: event('layer'), type: event('type'), code: event('code') }),
      effect('flush', {}),
      effect('endTcp', {}),
      effect('startTimer', {}),
      effect('raiseDisconnected', {}),
    ],
  } as const;
  const leave = {
    target: 'closing',
    actions: [effect('flush', {}), effect('endTcp', {}), effect('startTimer', {})],
  } as const;
  const lost = {
    target: 'ended',
    actions: [effect('flush', {}), effect('stopTimer', {}), effect('closeTcp', {}), effect('raiseDisconnected', {})],
  } as const;
  // The peer's end comes after all it had to say: what is here answers by its own end.
  const ended = {
    target: 'closing',
    actions: [effect('flush', {}), effect('endTcp', {}), effect('startTimer', {}), effect('raiseDisconnected', {})],
  } as const;
  const over = { target: 'ended', actions: [effect('stopTimer', {}), effect('closeTcp', {})] } as const;
  // What was written may still have to leave, and the peer need not take it: the wait stays bounded.
  const bothEnded = { target: 'lingering', actions: effect('closeTcp', {}) } as const;

  /** Nothing more is said or heard here; only the end of TCP, or of the wait for it, counts. */
  const silent = {
    'peer.fpdu': ignored,
    'peer.terminate': ignored,
    'stream.fault': ignored,
    'output.blocked': ignored,
    'output.moved': ignored,
    'tcp.lost': over,
    'clock.expired': over,
    'connector.disconnect': ignored,
  } as const;

  const machine = setup(implementations(streamContract)).createMachine({
    id: 'iwarpStream',
    context: initialContext(streamContract),
    initial: 'unopened',
    states: {
      // Receives can be posted.
      unopened: {
        on: {
          'startup.opened': [
            {
              guard: when(equal(event('initiator'), 1)),
              target: 'transferring',
              actions: [effect('sendReadyToReceive', {}), effect('permitSending', {})],
            },
            { target: 'listening', actions: effect('ignored', {}) },
          ],
          'startup.abandoned': { target: 'ended', actions: effect('flush', {}) },
          'connector.disconnect': ignored,
        },
      },
      // A responder that may not talk yet. The start-up still waits, and tells the owner how that ended.
      listening: {
        on: {
          'peer.fpdu': { target: 'transferring', actions: begin },
          'startup.abandoned': { target: 'ended', actions: effect('flush', {}) },
          'connector.disconnect': leave,
          'stream.fault': { ...fault, actions: [effect('began', {}), ...fault.actions] },
          'peer.terminate': { ...ended, actions: [effect('began', {}), ...ended.actions] },
        },
      },
      transferring: {
        on: {
          'peer.fpdu': ignored,
          'connector.disconnect': leave,
          'stream.fault': fault,
          'peer.terminate': {
            target: 'terminating',
            actions: [
              effect('flushRefused', {}),
              effect('endTcp', {}),
              effect('startTimer', {}),
              effect('raiseDisconnected', {}),
            ],
          },
          'peer.end': ended,
          'output.blocked': { actions: effect('startStallTimer', {}) },
          'output.moved': { actions: effect('stopTimer', {}) },
          'tcp.lost': lost,
          // A peer that doesn't read any more is as good as lost.
          'clock.expired': lost,
        },
      },
      // This end has nothing more to say; the peer may still be talking, to nobody.
      closing: {
        on: {
          'peer.end': bothEnded,
          ...silent,
          'startup.abandoned': ignored,
        },
      },
      terminating: {
        on: {
          'peer.end': bothEnded,
          ...silent,
        },
      },
      // Nobody talks any more.
      lingering: {
        on: {
          'peer.end': ignored,
          ...silent,
          'startup.abandoned': ignored,
        },
      },
      ended: {
        on: {
          'peer.end': ignored,
          'peer.fpdu': ignored,
          'peer.terminate': ignored,
          'stream.fault': ignored,
          'output.blocked': ignored,
          'output.moved': ignored,
          'tcp.lost': ignored,
          'clock.expired': ignored,
          'connector.disconnect': ignored,
          'startup.abandoned': ignored,
        },
      },
    },
  });
  return { contract: streamContract, machine };
};

const compiled = ({ contract, machine }: { contract: Contract; machine: unknown }): CompiledMachine =>
  compile(machine as AnyStateMachine, contract);

let made: { readonly startup: CompiledMachine; readonly stream: CompiledMachine } | null = null;

/** Both machines as they are stepped; compiled at the first call. */
export function compileIwarpMachines(): { readonly startup: CompiledMachine; readonly stream: CompiledMachine } {
  made ??= { startup: compiled(createMpaStartupMachine()), stream: compiled(createIwarpStreamMachine()) };
  return made;
}
