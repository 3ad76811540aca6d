/**
 * What is around a socket that moves to another process: both connections, the switches of P1 and P2, and a peer that is no
 * provider.
 *
 * Theory of operation: the old connection is one row, the new one another: whether each end has a connector, and what is on
 * its way. Every step can fail: the notice in the mailbox, either connection, the new one's beginning, request and
 * acceptance, the handle.
 */

import {
  all,
  any,
  equal,
  type Field,
  field,
  flag,
  language,
  less,
  type MachineDefinition,
  not,
  range,
} from '../../machines/index.ts';
import { machineOver } from '../support/machine.ts';
import { errorNumber, request } from './surroundings.ts';

/** An end of a connection: none, there, in error, in error and noticed. */
export const End = { none: 0, up: 1, lost: 2, noticed: 3 } as const;
const end = range(0, 3);
/** P1's notice on its way: none, posted, arrived with its completion due, failed with its completion due. */
export const Letter = { none: 0, posted: 1, arrived: 2, failed: 3 } as const;

/** The connection of P1 with the peer. A message of P1 gets nowhere on it, and nothing gets past it. */
export function oldConnection(): MachineDefinition {
  const contract = {
    context: {
      p1: field(end, End.up),
      peer: field(end, End.up),
      letter: field(range(0, 3)),
      /** What the peer's mailbox says. */
      mailbox: field(flag),
      /** P1's send waits for a receive of the peer. */
      stuck: field(flag),
      /** The adapter will refuse the notice. */
      full: field(flag),
    },
    events: {
      fill: {},
      stick: {},
      postLetter: {},
      carry: {},
      completeLetter: {},
      disconnectP1: {},
      destroyP1: {},
      disconnectPeer: {},
      destroyPeer: {},
      fail: {},
      noticeP1: {},
      noticePeer: {},
      flushPeer: {},
      post: {},
    },
    effects: {
      refuseSend: {},
      letterRefused: {},
      letterWritten: {},
      letterFailed: {},
      breakP1: {},
      breakPeer: {},
      dropP1: {},
      dropPeer: {},
      lostP1: {},
      lostPeer: { migrating: flag },
      flushedPeer: { migrating: flag },
      pass: {},
      refuse: {},
    },
  } as const;
  const { context: c, when, update, effect } = language(contract);
  const none = { actions: update({}) };
  const isUp = (one: 'p1' | 'peer') => equal(c[one], End.up);
  const loseP1 = [update({ p1: End.lost, stuck: 0 }), effect('breakP1', {})];
  const losePeer = [update({ peer: End.lost }), effect('breakPeer', {})];
  return machineOver(contract, {
    id: 'oldConnection',
    initial: 'there',
    states: {
      there: {
        on: {
          fill: { guard: when(all(not(c.full), isUp('p1'), equal(c.letter, 0))), actions: update({ full: 1 }) },
          stick: [{ guard: when(isUp('p1')), actions: update({ stuck: 1 }) }, { actions: effect('refuseSend', {}) }],
          postLetter: [
            { guard: when(c.full), actions: [update({ full: 0 }), effect('letterRefused', {})] },
            { guard: when(isUp('p1')), actions: update({ letter: Letter.posted }) },
            { actions: update({ letter: Letter.failed }) },
          ],
          carry: {
            guard: when(all(equal(c.letter, Letter.posted), not(c.stuck), isUp('p1'), isUp('peer'))),
            actions: update({ letter: Letter.arrived, mailbox: 1 }),
          },
          completeLetter: [
            {
              guard: when(equal(c.letter, Letter.arrived)),
              actions: [update({ letter: 0 }), effect('letterWritten', {})],
            },
            {
              guard: when(any(equal(c.letter, Letter.failed), all(equal(c.letter, Letter.posted), less(End.up, c.p1)))),
              actions: [update({ letter: 0 }), effect('letterFailed', {})],
            },
          ],
          disconnectP1: [
            { guard: when(all(isUp('p1'), isUp('peer'))), actions: [...loseP1, ...losePeer] },
            { guard: when(isUp('p1')), actions: loseP1 },
            none,
          ],
          destroyP1: [
            {
              guard: when(all(isUp('p1'), isUp('peer'))),
              actions: [update({ p1: End.none, letter: 0, full: 0, stuck: 0 }), effect('dropP1', {}), ...losePeer],
            },
            { actions: [update({ p1: End.none, letter: 0, full: 0, stuck: 0 }), effect('dropP1', {})] },
          ],
          disconnectPeer: [
            { guard: when(all(isUp('peer'), isUp('p1'))), actions: [...losePeer, ...loseP1] },
            { guard: when(isUp('peer')), actions: losePeer },
            none,
          ],
          // The row stands for what the peer has of it: when that is gone, so is what its mailbox says.
          destroyPeer: [
            { guard: when(equal(c.peer, End.none)), actions: update({}) },
            {
              guard: when(isUp('p1')),
              actions: [update({ peer: End.none, mailbox: 0 }), effect('dropPeer', {}), ...loseP1],
            },
            { actions: [update({ peer: End.none, mailbox: 0 }), effect('dropPeer', {})] },
          ],
          fail: { guard: when(all(isUp('p1'), isUp('peer'))), actions: [...loseP1, ...losePeer] },
          noticeP1: {
            guard: when(equal(c.p1, End.lost)),
            actions: [update({ p1: End.noticed }), effect('lostP1', {})],
          },
          noticePeer: {
            guard: when(equal(c.peer, End.lost)),
            actions: [update({ peer: End.noticed }), effect('lostPeer', { migrating: c.mailbox })],
          },
          flushPeer: { actions: effect('flushedPeer', { migrating: c.mailbox }) },
          // The peer posts: here, or on the new connection.
          post: [
            { guard: when(equal(c.peer, End.none)), actions: effect('pass', {}) },
            { guard: when(isUp('peer')), actions: update({}) },
            { actions: effect('refuse', {}) },
          ],
        },
      },
    },
  });
}

/** What P2's request for the new connection has come to: nothing, sent, at the peer, accepted, refused. */
export const Stage = { none: 0, sent: 1, asked: 2, accepted: 3, refused: 4 } as const;

/** The connection of P2 with the peer. */
export function newConnection(): MachineDefinition {
  const contract = {
    context: {
      p2: field(end),
      peer: field(end),
      stage: field(range(0, 4)),
      /** Faults to come: it can't begin (1), the peer's adapter can't prepare it (2), can't accept it (3). */
      fault: field(range(0, 3)),
      /** The peer's socket is there no more. */
      deserted: field(flag),
    },
    events: {
      spoil: { fault: range(1, 3) },
      remove: {},
      start: {},
      arrive: {},
      turnAway: {},
      accept: {},
      confirm: {},
      reject: {},
      answer: {},
      disconnectP2: {},
      destroyP2: {},
      disconnectPeer: {},
      destroyPeer: {},
      fail: {},
      noticeP2: {},
      noticePeer: {},
      desert: {},
      postP2: { request },
      postPeer: { request },
    },
    effects: {
      started: {},
      notStarted: {},
      asked: {},
      prepared: {},
      notPrepared: {},
      confirm: {},
      accepted: {},
      notAccepted: {},
      established: {},
      ended: {},
      breakP2: {},
      breakPeer: {},
      dropP2: {},
      dropPeer: {},
      lostP2: {},
      lostPeer: {},
      takeP2: { request },
      takePeer: { request },
      refuse: { request },
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const isUp = (one: 'p2' | 'peer') => equal(c[one], End.up);
  const at = (stage: keyof typeof Stage) => equal(c.stage, Stage[stage]);
  const loseP2 = [update({ p2: End.lost }), effect('breakP2', {})];
  const losePeer = [update({ peer: End.lost }), effect('breakPeer', {})];
  const what = { request: event('request') };
  /** P2's end goes: whoever was asked, or is connected, loses it. */
  const leaveP2 = (self: readonly ReturnType<typeof effect>[], next: number) => [
    { guard: when(isUp('peer')), actions: [update({ p2: next, stage: 0 }), ...self, ...losePeer] },
    { actions: [update({ p2: next, stage: 0 }), ...self] },
  ];
  const leavePeer = (self: readonly ReturnType<typeof effect>[], next: number) => [
    { guard: when(equal(c.peer, End.none)), actions: update({}) },
    // P2 is told that it was not accepted after all.
    { guard: when(at('accepted')), actions: [update({ peer: next, stage: Stage.refused }), ...self] },
    { guard: when(all(at('none'), isUp('p2'))), actions: [update({ peer: next }), ...self, ...loseP2] },
    { actions: [update({ peer: next }), ...self] },
  ];
  return machineOver(contract, {
    id: 'newConnection',
    initial: 'there',
    states: {
      there: {
        on: {
          spoil: {
            guard: when(all(equal(c.fault, 0), equal(c.peer, End.none))),
            actions: update({ fault: event('fault') }),
          },
          // The adapter is gone.
          remove: { actions: update({ fault: 1 }) },
          start: [
            { guard: when(equal(c.fault, 1)), actions: [update({ fault: 0 }), effect('notStarted', {})] },
            { actions: [update({ p2: End.up, stage: Stage.sent }), effect('started', {})] },
          ],
          arrive: [
            { guard: when(all(at('sent'), c.deserted)), actions: update({ stage: Stage.refused }) },
            { guard: when(at('sent')), actions: [update({ stage: Stage.asked }), effect('asked', {})] },
          ],
          // Nobody is there who could be asked.
          turnAway: { guard: when(at('sent')), actions: update({ stage: Stage.refused }) },
          accept: [
            {
              guard: when(equal(c.fault, 2)),
              actions: [update({ fault: 0, stage: Stage.refused }), effect('notPrepared', {})],
            },
            { actions: [update({ peer: End.up }), effect('prepared', {}), effect('confirm', {})] },
          ],
          confirm: [
            // What was posted meanwhile can have ended it.
            { guard: when(not(isUp('peer'))), actions: update({ stage: Stage.refused }) },
            {
              guard: when(equal(c.fault, 3)),
              actions: [update({ fault: 0, stage: Stage.refused }), effect('notAccepted', {})],
            },
            { actions: [update({ stage: Stage.accepted }), effect('accepted', {})] },
          ],
          reject: { actions: update({ stage: Stage.refused }) },
          answer: [
            { guard: when(at('accepted')), actions: [update({ stage: 0 }), effect('established', {})] },
            {
              guard: when(at('refused')),
              actions: [update({ stage: 0, p2: End.noticed }), effect('breakP2', {}), effect('ended', {})],
            },
          ],
          disconnectP2: [
            { guard: when(not(isUp('p2'))), actions: update({}) },
            ...leaveP2([effect('breakP2', {})], End.lost),
          ],
          destroyP2: leaveP2([effect('dropP2', {})], End.none),
          disconnectPeer: [
            { guard: when(not(isUp('peer'))), actions: update({}) },
            ...leavePeer([effect('breakPeer', {})], End.lost),
          ],
          destroyPeer: leavePeer([effect('dropPeer', {})], End.none),
          fail: { guard: when(all(isUp('p2'), isUp('peer'), at('none'))), actions: [...loseP2, ...losePeer] },
          noticeP2: {
            guard: when(equal(c.p2, End.lost)),
            actions: [update({ p2: End.noticed }), effect('lostP2', {})],
          },
          noticePeer: {
            guard: when(equal(c.peer, End.lost)),
            actions: [update({ peer: End.noticed }), effect('lostPeer', {})],
          },
          desert: { actions: update({ deserted: 1 }) },
          postP2: [{ guard: when(isUp('p2')), actions: effect('takeP2', what) }, { actions: effect('refuse', what) }],
          postPeer: [
            { guard: when(isUp('peer')), actions: effect('takePeer', what) },
            { actions: effect('refuse', what) },
          ],
        },
      },
    },
  });
}

/**
 * The switch of P1, and with nothing to hand over that of the peer.
 *
 * @param receiving - it can receive
 */
export function giver(receiving: boolean): MachineDefinition {
  const contract = {
    context: { sent: field(flag), ...(receiving ? { received: field(flag) } : {}) } as Readonly<Record<string, Field>>,
    events: {
      send: {},
      ...(receiving ? { receive: {} } : {}),
      duplicate: {},
      answered: { error: errorNumber },
      resumed: { error: errorNumber },
      close: {},
      ended: {},
      crippled: {},
    },
    effects: { send: {}, ...(receiving ? { receive: {} } : {}), duplicate: {}, issue: {}, resume: {}, close: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const close = { target: 'closed', actions: effect('close', {}) };
  return machineOver(contract, {
    id: 'giver',
    initial: 'using',
    states: {
      using: {
        on: {
          send: { guard: when(not(c['sent']!)), actions: [update({ sent: 1 }), effect('send', {})] },
          ...(receiving
            ? {
                receive: {
                  guard: when(not(c['received']!)),
                  actions: [update({ received: 1 }), effect('receive', {})],
                },
              }
            : {}),
          duplicate: { target: 'handing', actions: effect('duplicate', {}) },
          answered: { target: 'using' },
          resumed: [{ guard: when(equal(event('error'), 0)), actions: effect('resume', {}) }, { target: 'using' }],
          close,
          ended: 'closed',
          crippled: 'crippled',
        },
      },
      // Inside WSPDuplicateSocket.
      handing: {
        on: {
          answered: [
            { guard: when(equal(event('error'), 0)), target: 'handed', actions: effect('issue', {}) },
            { target: 'using' },
          ],
        },
      },
      // It may only close it now.
      handed: {
        on: { close, answered: { target: 'handed' }, ended: 'closed', crippled: { target: 'handed' } },
      },
      // The adapter is gone: every call but closing is refused before it reaches a machine.
      crippled: { on: { close, answered: { target: 'crippled' }, resumed: { target: 'crippled' }, ended: 'closed' } },
      closed: {
        on: {
          answered: { target: 'closed' },
          resumed: { target: 'closed' },
          ended: { target: 'closed' },
          crippled: { target: 'closed' },
        },
      },
    },
  });
}

/** The switch of P2: it redeems the token once, then sends and receives. */
export function taker(): MachineDefinition {
  const contract = {
    context: { sent: field(flag), received: field(flag) },
    events: {
      issued: {},
      redeem: {},
      wanted: {},
      grant: {},
      refuse: {},
      answered: { error: errorNumber },
      send: {},
      receive: {},
      close: {},
      ended: {},
      crippled: {},
    },
    effects: { takeOver: {}, granted: {}, refused: {}, send: {}, receive: {}, close: {} },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  return machineOver(contract, {
    id: 'taker',
    initial: 'waiting',
    states: {
      waiting: { on: { issued: 'entitled', ended: 'failed', crippled: 'failed' } },
      entitled: {
        on: { redeem: { target: 'taking', actions: effect('takeOver', {}) }, ended: 'failed', crippled: 'failed' },
      },
      // Inside WSPSocket.
      taking: {
        on: {
          wanted: 'asked',
          answered: [{ guard: when(equal(event('error'), 0)), target: 'holding' }, { target: 'failed' }],
        },
      },
      // Inside the up-call that makes the handle.
      asked: {
        on: {
          grant: { target: 'taking', actions: effect('granted', {}) },
          refuse: { target: 'taking', actions: effect('refused', {}) },
          ended: 'askedEnded',
          crippled: 'askedCrippled',
        },
      },
      askedCrippled: {
        on: {
          grant: { target: 'takingCrippled', actions: effect('granted', {}) },
          refuse: { target: 'takingCrippled', actions: effect('refused', {}) },
          ended: 'askedEnded',
        },
      },
      takingCrippled: {
        on: { answered: [{ guard: when(equal(event('error'), 0)), target: 'crippled' }, { target: 'failed' }] },
      },
      crippled: {
        on: {
          close: { target: 'closed', actions: effect('close', {}) },
          answered: { target: 'crippled' },
          ended: 'closed',
        },
      },
      // The same, while the provider was cleaned up, or lost its adapter, from inside it.
      askedEnded: {
        on: {
          grant: { target: 'failed', actions: effect('granted', {}) },
          refuse: { target: 'failed', actions: effect('refused', {}) },
          ended: { target: 'askedEnded' },
          crippled: { target: 'askedEnded' },
        },
      },
      holding: {
        on: {
          send: { guard: when(not(c.sent)), actions: [update({ sent: 1 }), effect('send', {})] },
          receive: { guard: when(not(c.received)), actions: [update({ received: 1 }), effect('receive', {})] },
          close: { target: 'closed', actions: effect('close', {}) },
          answered: { target: 'holding' },
          ended: 'closed',
          crippled: 'crippled',
        },
      },
      closed: { on: { answered: { target: 'closed' }, ended: { target: 'closed' }, crippled: { target: 'closed' } } },
      failed: { on: { answered: { target: 'failed' }, ended: { target: 'failed' }, crippled: { target: 'failed' } } },
    },
  });
}

/** A peer that is no provider: it has no mailbox for P1's notice. */
export function stranger(): MachineDefinition {
  const contract = {
    context: {},
    events: { meet: {}, notice: {} },
    effects: { met: {}, noMailbox: {} },
  } as const;
  const { effect } = language(contract);
  return machineOver(contract, {
    id: 'stranger',
    initial: 'there',
    states: {
      there: { on: { meet: { actions: effect('met', {}) }, notice: { actions: effect('noMailbox', {}) } } },
    },
  });
}
