/**
 * Two iWARP connections as a world: the real start-up and stream machines, joined by pipes.
 *
 * Theory of operation: what a pipe carries is whole frames and FPDUs, for a part of one changes nothing in a machine; the
 * bytes are core.test.ts's. A link is what the adapter and iwarp/connection.ts do around the machines of one side: it
 * knows to which of the two an event goes. An owner writes nothing down but what must come in order; what it doesn't
 * expect breaks the world. A pipe can be spoiled once, anywhere: by bytes that are none. Row 0 of each machine is the
 * initiator's side, row 1 the responder's, and row 2 that of another responder, for an initiator that is turned away and
 * asks again. Pipes are numbered by where they come from; the initiator's second one is 3.
 */

import {
  createIwarpStreamMachine,
  choose,
  createMpaStartupMachine,
  type Expression,
  equal,
  field,
  flag,
  language,
  type MachineDefinition,
  range,
} from '../../machines/index.ts';
import type { Performance, Rule, WorldDefinition } from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { timer } from '../worlds/surroundings.ts';

/** What a pipe carries. */
export const Token = { none: 0, request: 1, accept: 2, reject: 3, fpdu: 4, terminate: 5, garbage: 6, end: 7 } as const;
const token = range(0, 7);
/** Frames and FPDUs of one direction at once: a start-up frame, a sign of readiness, a send, garbage, a Terminate, the end. */
const SLOTS = 6;
const pipes = range(0, 3);
const slots = Array.from({ length: SLOTS }, (_, index) => `slot${index}`);

/** One direction of a TCP connection. */
function pipe(): MachineDefinition {
  const contract = {
    context: { ...Object.fromEntries(slots.map((name) => [name, field(token)])), spoiled: field(flag) },
    events: { push: { token }, spoil: {}, finish: {}, deliver: {}, renew: {}, stop: {} },
    effects: { arrive: { token } },
  } as const;
  const { context, event, when, update, effect } = language(contract);
  const c = context as Record<string, (typeof context)['spoiled']>;
  const push = (what: number | 'event', more: object = {}) =>
    slots.map((name) => ({
      guard: when(equal(c[name]!, Token.none)),
      actions: update({ [name]: what === 'event' ? event('token') : what, ...more } as never),
    }));
  const empty = Object.fromEntries(slots.map((name) => [name, Token.none]));
  const shift = Object.fromEntries(slots.map((name, index) => [name, c[slots[index + 1]!] ?? Token.none]));
  const deliver = {
    guard: when({ op: '!=', left: c['slot0']!, right: Token.none }),
    actions: [effect('arrive', { token: c['slot0']! }), update(shift as never)],
  };
  const renew = { target: 'up', actions: update({ ...empty } as never) } as const;
  const stop = { target: 'down', actions: update({ ...empty } as never) } as const;
  return machineOver(contract, {
    id: 'pipe',
    initial: 'down',
    states: {
      down: { on: { push: { target: 'down' }, finish: { target: 'down' }, renew, stop: { target: 'down' } } },
      up: {
        on: {
          push: push('event'),
          spoil: push(Token.garbage, { spoiled: 1 }).map(({ guard, actions }) => ({
            guard: when({ op: '&&', left: guard.params, right: equal(c['spoiled']!, 0) }),
            actions,
          })),
          finish: push(Token.end).map((each) => ({ ...each, target: 'finished' as const })),
          deliver,
          renew,
          stop,
        },
      },
      // Nothing more comes in.
      finished: { on: { push: { target: 'finished' }, finish: { target: 'finished' }, deliver, renew, stop } },
    },
  });
}

/** What is around both machines of one side: its TCP, and where an event goes. */
function link(asked: 1 | 2): MachineDefinition {
  const contract = {
    context: { sent: field(flag), tries: field(range(0, 2)), out: field(pipes), in: field(pipes) },
    events: {
      // What the machines ask for.
      dial: {},
      asked: {},
      heard: {},
      answered: {},
      opened: {},
      closedByStartup: {},
      closedByStream: {},
      // What happens.
      connected: {},
      refused: {},
      accepted: { out: pipes, in: pipes },
      write: { token },
      finish: {},
      arrive: { token },
      lose: {},
      settle: {},
      expired: {},
      disconnect: {},
      send: {},
    },
    effects: {
      tcpConnected: { responder: range(1, 2), out: pipes, in: pipes },
      tcpRefused: {},
      tcpAccepted: {},
      request: {},
      reply: { revision: range(1, 2), rejected: flag },
      malformed: {},
      declined: {},
      startupLost: {},
      startupExpired: {},
      startupDisconnect: {},
      fpdu: {},
      terminate: {},
      fault: {},
      peerEnd: {},
      streamLost: {},
      streamExpired: {},
      streamDisconnect: {},
      push: { token, out: pipes },
      finish: { out: pipes },
      stopPipes: { out: pipes, in: pipes },
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  /** As the answer has it to what was asked. */
  const revision = (tries: Expression) => choose(equal(tries, 1), asked, 1);
  const is = (which: number) => when(equal(event('token'), which));
  const quiet = (target: string) => ({ target });
  const ignore = (state: string, ...events: string[]) => Object.fromEntries(events.map((name) => [name, quiet(state)]));
  const lost = (how: 'startupLost' | 'streamLost') => ({
    target: 'gone',
    actions: [effect('stopPipes', { out: c.out, in: c.in }), effect(how, {})],
  });
  const startup = {
    expired: { actions: effect('startupExpired', {}) },
    disconnect: { actions: effect('startupDisconnect', {}) },
    closedByStartup: quiet('closed'),
    write: { actions: effect('push', { token: event('token'), out: c.out }) },
    finish: { actions: effect('finish', { out: c.out }) },
  } as const;
  /** What a machine writes while there is TCP. */
  const writes = {
    write: { actions: effect('push', { token: event('token'), out: c.out }) },
    finish: { actions: effect('finish', { out: c.out }) },
  } as const;
  const malformed = { actions: effect('malformed', {}) } as const;
  return machineOver(contract, {
    id: 'link',
    initial: 'none',
    states: {
      none: {
        on: {
          dial: { target: 'dialing', actions: update({ out: 0, in: 1, tries: 1 }) },
          disconnect: quiet('none'),
          accepted: {
            target: 'listening',
            actions: [update({ out: event('out'), in: event('in') }), effect('tcpAccepted', {})],
          },
        },
      },
      dialing: {
        on: {
          ...startup,
          connected: { actions: effect('tcpConnected', { responder: c.tries, out: c.out, in: c.in }) },
          refused: { target: 'gone', actions: effect('tcpRefused', {}) },
          asked: { target: 'asking', actions: effect('push', { token: Token.request, out: c.out }) },
          lose: lost('startupLost'),
        },
      },
      asking: {
        on: {
          ...startup,
          arrive: [
            { guard: is(Token.accept), actions: effect('reply', { revision: revision(c.tries), rejected: 0 }) },
            { guard: is(Token.reject), actions: effect('reply', { revision: revision(c.tries), rejected: 1 }) },
            { guard: is(Token.end), actions: effect('declined', {}) },
            malformed,
          ],
          opened: 'operating',
          // Again, over another connection.
          dial: {
            target: 'dialing',
            actions: [effect('stopPipes', { out: c.out, in: c.in }), update({ out: 3, in: 2, tries: 2 })],
          },
          lose: { actions: effect('declined', {}) },
        },
      },
      listening: {
        on: {
          ...startup,
          arrive: [
            { guard: is(Token.request), actions: effect('request', {}) },
            { guard: is(Token.end), actions: effect('startupLost', {}) },
            malformed,
          ],
          heard: 'deciding',
          lose: lost('startupLost'),
        },
      },
      deciding: {
        on: {
          ...startup,
          arrive: [{ guard: is(Token.end), actions: effect('startupLost', {}) }, malformed],
          answered: 'accepted',
          lose: lost('startupLost'),
        },
      },
      // The stream may hear; the start-up still waits.
      accepted: {
        on: {
          ...writes,
          closedByStartup: quiet('closed'),
          expired: { actions: effect('startupExpired', {}) },
          disconnect: {
            target: 'operating',
            actions: [effect('startupDisconnect', {}), effect('streamDisconnect', {})],
          },
          arrive: [
            { guard: is(Token.fpdu), actions: effect('fpdu', {}) },
            { guard: is(Token.terminate), actions: effect('terminate', {}) },
            { guard: is(Token.end), actions: effect('startupLost', {}) },
            { actions: effect('fault', {}) },
          ],
          opened: 'operating',
          lose: lost('startupLost'),
        },
      },
      operating: {
        on: {
          ...writes,
          expired: { actions: effect('streamExpired', {}) },
          disconnect: { actions: effect('streamDisconnect', {}) },
          arrive: [
            { guard: is(Token.fpdu), actions: effect('fpdu', {}) },
            { guard: is(Token.terminate), actions: effect('terminate', {}) },
            { guard: is(Token.end), actions: effect('peerEnd', {}) },
            { actions: effect('fault', {}) },
          ],
          send: {
            guard: when(equal(c.sent, 0)),
            actions: [update({ sent: 1 }), effect('push', { token: Token.fpdu, out: c.out })],
          },
          opened: quiet('operating'),
          answered: quiet('operating'),
          closedByStream: quiet('lingering'),
          lose: lost('streamLost'),
        },
      },
      // This end has closed; what it wrote leaves, or not.
      lingering: {
        on: {
          ...ignore('lingering', 'arrive', 'closedByStream', 'disconnect', 'opened', 'write', 'finish'),
          expired: { actions: effect('streamExpired', {}) },
          lose: lost('streamLost'),
          settle: lost('streamLost'),
        },
      },
      closed: {
        on: {
          ...ignore('closed', 'arrive', 'closedByStartup', 'write', 'finish'),
          disconnect: { actions: effect('startupDisconnect', {}) },
          lose: lost('startupLost'),
          settle: lost('startupLost'),
        },
      },
      gone: {
        on: ignore('gone', 'closedByStartup', 'closedByStream', 'arrive', 'opened', 'disconnect', 'write', 'finish'),
      },
    },
  } as never);
}

/** What one owner is told: each thing in its order, once. */
function owner(): MachineDefinition {
  const contract = {
    context: {},
    events: {
      asked: {},
      withdrawn: {},
      established: {},
      refused: {},
      failed: {},
      disconnected: {},
      forgotten: {},
      leave: {},
      abandon: {},
    },
    effects: { disconnect: {} },
  } as const;
  const { effect } = language(contract);
  const leave = (target: string) => ({ target, actions: effect('disconnect', {}) });
  return machineOver(contract, {
    id: 'owner',
    initial: 'waiting',
    states: {
      waiting: {
        on: {
          asked: 'asked',
          established: 'connected',
          refused: 'over',
          failed: 'over',
          forgotten: 'over',
          abandon: leave('left'),
        },
      },
      asked: { on: { withdrawn: 'over', established: 'connected', failed: 'over', leave: leave('left') } },
      connected: { on: { disconnected: 'over', leave: leave('left') } },
      // It hears of nothing but an end that was under way before it was connected.
      left: { on: { withdrawn: 'over', forgotten: 'over' } },
      over: { on: {} },
    },
  } as never);
}

/** The queues of a connection: flushed once. */
function queues(): MachineDefinition {
  const contract = { context: {}, events: { flush: {} }, effects: {} } as const;
  return machineOver(contract, {
    id: 'queues',
    initial: 'open',
    states: { open: { on: { flush: 'flushed' } }, flushed: { on: {} } },
  });
}

export interface PairOptions {
  readonly name: string;
  /** Revision that is asked for, and the highest that is answered. */
  readonly asked: 1 | 2;
  readonly spoken: 1 | 2;
  /** Network failures, and bytes that are none. */
  readonly hostile: boolean;
}

/** Where a pipe ends. */
const otherEnd = { of: 'self', map: [1, 0, 0, 2] } as const;

/** The world of `options`. */
export function iwarpPair({ name, asked, spoken, hostile }: PairOptions): WorldDefinition {
  const self = (send: `${string}/${string}`, ...sources: NonNullable<Performance['with']>): Performance[] => [
    { send, to: 'self', ...(sources.length === 0 ? {} : { with: sources }) },
  ];
  const rules: Rule[] = [
    { name: 'TCP connects', send: 'link/connected', row: 0, class: 'network', fair: 'network' },
    { name: 'nobody listens', send: 'link/refused', row: 0, class: 'network', fair: 'network' },
  ];
  // A responder's owner has nothing to leave before it is asked.
  rules.push({ name: 'initiator: gives up', send: 'owner/abandon', row: 0, class: 'owner' });
  for (const row of [0, 1, 2]) {
    const side = ['initiator', 'responder', 'second responder'][row]!;
    rules.push(
      { name: `${side}: a wait is over`, send: 'timer/expire', row, class: 'time', fair: `expire ${row}` },
      { name: `${side}: closes`, send: 'owner/leave', row, class: 'owner' },
      { name: `${side}: sends`, send: 'link/send', row, class: 'owner' },
      { name: `${side}: TCP takes no more`, send: 'iwarpStream/output.blocked', row, class: 'network' },
      { name: `${side}: TCP takes it again`, send: 'iwarpStream/output.moved', row, class: 'network' },
      { name: `${side}: its TCP is lost`, send: 'link/lose', row, class: 'network' },
      // Once this end has closed, by itself: what was written has left, or the adapter has stopped waiting for that.
      { name: `${side}: its TCP is over`, send: 'link/settle', row, class: 'network', fair: `over ${row}` },
    );
    for (const what of ['prepare', 'accept', 'reject']) {
      if (row === 0) continue;
      rules.push({ name: `${side}: ${what}s`, send: `mpaStartup/connector.${what}`, row, class: 'owner' });
    }
  }
  for (const row of [0, 1, 2, 3]) {
    rules.push({ name: `pipe ${row}: arrival`, send: 'pipe/deliver', row, class: 'network', fair: `deliver ${row}` });
    if (hostile) rules.push({ name: `pipe ${row}: garbage`, send: 'pipe/spoil', row, class: 'fault' });
  }
  return {
    name,
    environment: {
      mpaStartup: createMpaStartupMachine(),
      iwarpStream: createIwarpStreamMachine(),
      pipe: pipe(),
      timer: timer(),
      link: link(asked),
      owner: owner(),
      queues: queues(),
    },
    rows: { mpaStartup: 3, iwarpStream: 3, pipe: 4, timer: 3, link: 3, owner: 3, queues: 3 },
    performs: {
      'mpaStartup/openTcp': self('link/dial'),
      'mpaStartup/closeTcp': [...self('link/finish'), ...self('link/closedByStartup')],
      'mpaStartup/startTimer': self('timer/start'),
      'mpaStartup/stopTimer': self('timer/stop'),
      'mpaStartup/sendRequest': self('link/asked'),
      'mpaStartup/sendReply': [
        { send: 'link/write', to: 'self', with: [{ of: 'rejected', map: [Token.accept, Token.reject] }] },
      ],
      'mpaStartup/raiseConnectRequest': [...self('owner/asked'), ...self('link/heard')],
      'mpaStartup/raiseWithdrawn': self('owner/withdrawn'),
      'mpaStartup/raiseEstablished': [...self('owner/established'), ...self('link/opened')],
      'mpaStartup/raiseRejected': self('owner/refused'),
      'mpaStartup/raiseConnectFailed': self('owner/failed'),
      'mpaStartup/openStream': [
        ...self('link/answered'),
        { send: 'iwarpStream/startup.opened', to: 'self', with: ['initiator'] },
      ],
      'mpaStartup/abandonStream': self('iwarpStream/startup.abandoned'),
      'mpaStartup/forget': self('owner/forgotten'),
      'iwarpStream/sendReadyToReceive': self('link/write', Token.fpdu),
      'iwarpStream/began': self('mpaStartup/stream.began'),
      'iwarpStream/flush': self('queues/flush'),
      'iwarpStream/flushRefused': self('queues/flush'),
      'iwarpStream/sendTerminate': self('link/write', Token.terminate),
      'iwarpStream/endTcp': self('link/finish'),
      'iwarpStream/closeTcp': [...self('link/finish'), ...self('link/closedByStream')],
      'iwarpStream/startTimer': self('timer/start'),
      'iwarpStream/startStallTimer': self('timer/start'),
      'iwarpStream/stopTimer': self('timer/stop'),
      'iwarpStream/raiseDisconnected': self('owner/disconnected'),
      'pipe/arrive': [{ send: 'link/arrive', to: otherEnd, with: ['token'] }],
      'timer/expired': self('link/expired'),
      'link/tcpConnected': [
        { send: 'pipe/renew', to: 'out' },
        { send: 'pipe/renew', to: 'in' },
        { send: 'link/accepted', to: 'responder', with: ['in', 'out'] },
        { send: 'mpaStartup/tcp.connected', to: 'self' },
      ],
      'link/tcpRefused': self('mpaStartup/tcp.refused'),
      'link/tcpAccepted': self('mpaStartup/tcp.accepted', 1),
      'link/request': [0, 1, 2].slice(1).map((to) => ({
        send: 'mpaStartup/peer.request',
        to: { of: 'self', map: [-1, to === 1 ? 1 : -1, to === 2 ? 2 : -1] },
        // The second is asked by revision 1.
        with: [to === 1 ? asked : 1, spoken, 0, 1],
      })),
      'link/reply': self('mpaStartup/peer.reply', 'revision', 0, 1, 'rejected', 0),
      'link/malformed': self('mpaStartup/peer.malformed'),
      'link/declined': self('mpaStartup/peer.declined'),
      'link/startupLost': self('mpaStartup/tcp.lost'),
      'link/startupExpired': self('mpaStartup/clock.expired'),
      'link/startupDisconnect': self('mpaStartup/connector.disconnect'),
      'link/fpdu': self('iwarpStream/peer.fpdu'),
      'link/terminate': self('iwarpStream/peer.terminate'),
      'link/fault': self('iwarpStream/stream.fault', 1, 1, 0),
      'link/peerEnd': self('iwarpStream/peer.end'),
      'link/streamLost': self('iwarpStream/tcp.lost'),
      'link/streamExpired': self('iwarpStream/clock.expired'),
      'link/streamDisconnect': self('iwarpStream/connector.disconnect'),
      'link/push': [{ send: 'pipe/push', to: 'out', with: ['token'] }],
      'link/finish': [{ send: 'pipe/finish', to: 'out' }],
      'link/stopPipes': [
        { send: 'pipe/stop', to: 'out' },
        { send: 'pipe/stop', to: 'in' },
      ],
      'owner/disconnect': self('link/disconnect'),
    },
    drops: ['mpaStartup/ignored', 'iwarpStream/ignored', 'iwarpStream/permitSending'],
    never: ['mpaStartup/terminateReply', 'mpaStartup/sendRefusal'],
    rules,
    start: [{ send: 'mpaStartup/connector.connect', row: 0, with: [asked, 1] }],
  };
}
