/**
 * Statements of the specification's section 21 that one side's journal can show to be broken.
 *
 * Theory of operation: each is a small automaton that is told of every record after the machines have made the step again,
 * with the effects that the driver got; it remembers what the switch and the adapter were told, not what the machines
 * hold, so it doubts the machines too. What an automaton does at a record takes no longer in a long journal than in a
 * short one.
 */

import { M, type System, WSA, wsaName } from '../../machines/index.ts';
import type { ReplayedEffect, ReplayedRecord } from '../replay.ts';

/** A statement that is broken, and where. */
export interface Broken {
  readonly statement: string;
  /** Sequence number of the record; of the last one for what is wrong at the end. */
  readonly sequence: number;
  readonly what: string;
}

/** Why one side's journal says nothing of a statement. */
export const notJudged: Readonly<Record<string, string>> = {
  'S-02': 'a socket has one state, so it cannot be in two',
  'S-12': 'needs the journals of both sides',
  'S-14': 'the order in which memory changes is not in a journal',
  'S-15': 'the order in which memory is read is not in a journal',
  'S-17': 'what peers do to memory is not in a journal',
  'S-18': 'what peers do to memory is not in a journal',
  'S-19': 'what peers do to memory is not in a journal',
  'S-28': 'the state of the event object is the switch’s',
  'S-31': 'tokens are not in a journal',
  'S-33': 'needs the journals of both sides',
  'S-36': 'what the switch does instead is not in a journal; that no edge leads back is S-01',
};

/** Statements that are judged on one side's journal. */
export const judgedAlone: readonly string[] = [
  'S-01',
  'S-03',
  'S-04',
  'S-05',
  'S-06',
  'S-07',
  'S-08',
  'S-09',
  'S-10',
  'S-11',
  'S-13',
  'S-16',
  'S-20',
  'S-21',
  'S-22',
  'S-23',
  'S-24',
  'S-25',
  'S-26',
  'S-27',
  'S-29',
  'S-30',
  'S-32',
  'S-34',
  'S-35',
];

/** Not a statement of the specification's, but what the driver keeps to, and S-35 stands on. */
const PINS = 'pins are of the next call';

/** Nor is this: up-calls of one socket come one at a time (11.4). */
const ONE_AT_A_TIME = 'up-calls of a socket come one at a time';

/** States of 10.1, as far as S-01 tells them apart. */
type Phase = 'none' | 'fresh' | 'listening' | 'connecting' | 'connected' | 'broken' | 'dormant' | 'closing';
const phases: readonly (readonly [string, Phase])[] = [
  ['unopened', 'none'],
  ['created', 'fresh'],
  ['bound', 'fresh'],
  ['listening', 'listening'],
  ['connecting', 'connecting'],
  ['connected', 'connected'],
  ['broken', 'broken'],
  ['dormant', 'dormant'],
  ['closing', 'closing'],
  ['closed', 'closing'],
  ['orphaned', 'closing'],
];
/** Null within a call: opening, accepting, resuming. */
const phaseOf = (state: string): Phase | null =>
  phases.find(([name]) => state === name || state.startsWith(`${name}.`))?.[1] ?? null;
const follows: Readonly<Record<Phase, readonly Phase[]>> = {
  none: ['fresh', 'listening', 'connected', 'closing'],
  fresh: ['listening', 'connecting', 'connected', 'closing', 'none', 'broken'],
  listening: ['dormant', 'closing', 'none', 'broken'],
  connecting: ['fresh', 'connected', 'broken', 'closing', 'none'],
  connected: ['broken', 'dormant', 'closing', 'none'],
  broken: ['closing', 'none'],
  dormant: ['closing', 'none', 'broken'],
  closing: ['none'],
};

type Kind = 'send' | 'receive';
interface Request {
  readonly socket: number;
  readonly kind: Kind;
  readonly isMessage: boolean;
  readonly polled: boolean;
  /** Place among the requests of its kind, in the order of the calls. */
  readonly place: number;
  phase: 'called' | 'pending' | 'due' | 'done';
  published: boolean;
  told: boolean;
  notifying: boolean;
  /** What the adapter has reported of its bytes. */
  moved: number | null;
}

interface Socket {
  phase: Phase;
  handle: boolean;
  /** WSPCloseSocket, the final clean-up, or the failure of the call that made it. */
  ending: boolean;
  closed: boolean;
  duplicated: boolean;
  upcalls: number;
  pending: number;
  /** Requests called, and done, of each kind. */
  readonly called: Record<Kind, number>;
  readonly done: Record<Kind, number>;
  /** WSPConnect that answered would-block, less those reported. */
  connects: number;
  /** FD_ACCEPT has said that what the socket listens on is gone. */
  lossReported: boolean;
  terminal: number | null;
}

/** A message that a receive took, or a send gave away. */
export interface Message {
  readonly bytes: number;
  readonly sequence: number;
}

/** What names a socket in a journal: its row, and which of the sockets that had it. */
export const lifeKey = (socket: number, life: number): string => `${socket}/${life}`;

const sendEvents = ['spi.send', 'spi.rdmaWrite', 'spi.rdmaRead'];
const terminalErrors: readonly number[] = [WSA.WSAECONNREFUSED, WSA.WSAECONNRESET, WSA.WSAEHOSTUNREACH];

/** Watches one side's journal. */
export class Statements {
  readonly broken: Broken[] = [];
  /** How often each statement could have been broken. */
  readonly occasions = new Map<string, number>(judgedAlone.map((statement) => [statement, 0]));
  /** Messages that receives took, and that sends have completed, in order; by {@link lifeKey}. */
  readonly received = new Map<string, Message[]>();
  readonly sent = new Map<string, Message[]>();
  /** Sends that were started: an upper bound of what the peer can have received. */
  readonly startedSends = new Map<string, number>();
  readonly #requests = new Map<number, Request>();
  readonly #sockets = new Map<number, Socket>();
  readonly #lives = new Map<number, number>();
  /** Undecided connection requests, and how they ended. */
  readonly #arrivals = new Map<number, 'open' | 'asked' | 'accepted' | 'over'>();
  /** Registrations that each request needs, and by how many requests each is needed. */
  readonly #pinned = new Map<number, number[]>();
  readonly #pins = new Map<number, number>();
  #pinnedFor: number | null = null;
  #handlesMade = 0;
  #handlesClosed = 0;
  #handlesRefused = 0;
  #startups = 0;
  #opened = false;
  #sequence = 0;
  #cleaningUp = false;

  /** Which of the sockets that had row `socket` this one is; the first is 1. */
  lifeOf(socket: number): number {
    return this.#lives.get(socket) ?? 0;
  }

  /** One step, with the system after it. */
  observe(record: ReplayedRecord, system: System): void {
    this.#sequence = record.sequence;
    const { machine, event, row, parameters } = record;
    this.#pinsPrecedeCall(record);
    switch (machine) {
      case 'provider':
        this.#provider(event);
        break;
      case 'socket':
        this.#socketEvent(record);
        break;
      case 'overlappedRequest':
        this.#requestEvent(row, event, parameters);
        break;
      case 'connectionRequest':
        this.#arrivalEvent(row, event);
        break;
      case 'registeredBuffer':
        if (event === 'request.pinned') this.#pin(parameters['request']!, row);
        break;
      default:
        break;
    }
    for (const effect of record.effects) this.#effect(effect, record, system);
    if (record.socket !== null) this.#look(record.socket, record, system);
  }

  /** The journal is over. */
  end(system: System, isWhole: boolean): void {
    if (!isWhole) return;
    const { states, used } = system.rows[M.socket]!;
    let live = 0;
    for (let row = 0; row < used; row++) if (this.#sockets.get(row)?.handle === true) live++;
    this.#judge(
      'S-10',
      this.#handlesMade === this.#handlesClosed + live + this.#handlesRefused,
      () => `${this.#handlesMade} handles made, ${this.#handlesClosed} closed, ${live} live`,
    );
    for (let row = 0; row < used; row++) {
      if (states[row] !== 0) this.#judge('S-11', this.#sockets.has(row), () => `socket ${row} was made by nobody`);
    }
    for (const [row, state] of this.#arrivals) {
      this.#judge(
        'S-23',
        state === 'over' || state === 'accepted' || system.rows[M.connectionRequest]!.states[row] !== 0,
        () => `connection request ${row} is gone without a verdict`,
      );
    }
  }

  #judge(statement: string, holds: boolean, what: () => string): void {
    this.occasions.set(statement, (this.occasions.get(statement) ?? 0) + 1);
    if (!holds) this.broken.push({ statement, sequence: this.#sequence, what: what() });
  }

  #provider(event: string): void {
    if (event === 'spi.startup') this.#startups++;
    if (event === 'spi.cleanup') {
      this.#startups--;
      this.#judge('S-30', this.#startups >= 0, () => 'more WSPCleanup than WSPStartupEx');
    }
  }

  #socket(row: number): Socket {
    let socket = this.#sockets.get(row);
    if (socket === undefined) {
      socket = {
        phase: 'none',
        handle: false,
        ending: false,
        closed: false,
        duplicated: false,
        upcalls: 0,
        pending: 0,
        called: { send: 0, receive: 0 },
        done: { send: 0, receive: 0 },
        connects: 0,
        lossReported: false,
        terminal: null,
      };
      this.#sockets.set(row, socket);
      this.#lives.set(row, this.lifeOf(row) + 1);
    }
    return socket;
  }

  #socketEvent({ row, event, parameters, effects, before }: ReplayedRecord): void {
    const socket = this.#socket(row);
    const answer = effects.find(({ effect }) => effect === 'answer')?.parameters['error'];
    switch (event) {
      case 'spi.closeSocket':
        socket.ending = true;
        socket.closed = true;
        this.#judge('S-34', answer !== WSA.WSAEWOULDBLOCK, () => 'WSPCloseSocket answers WSAEWOULDBLOCK');
        break;
      case 'provider.cleanup':
        socket.ending = true;
        break;
      case 'upcall.handleRefused':
        socket.ending = true;
        socket.handle = false;
        this.#handlesRefused++;
        break;
      case 'spi.bind':
      case 'spi.listen':
        this.#judge('S-34', answer !== WSA.WSAEADDRINUSE, () => `${event} answers WSAEADDRINUSE`);
        break;
      case 'spi.duplicateSocket':
        if (answer === 0 || answer === undefined) socket.duplicated = true;
        break;
      case 'spi.connect':
        if (answer === WSA.WSAEWOULDBLOCK || answer === undefined) socket.connects++;
        break;
      case 'adapter.connectEnded':
      case 'adapter.connectNotStarted':
        socket.terminal = parameters['error']!;
        break;
      case 'adapter.connectRequest':
        this.#arrivals.set(parameters['request']!, 'open');
        break;
      case 'adapter.accepted':
      case 'adapter.acceptFailed':
        break;
      case 'spi.recv':
      case 'spi.send':
      case 'spi.rdmaRead':
      case 'spi.rdmaWrite': {
        const kind: Kind = sendEvents.includes(event) ? 'send' : 'receive';
        this.#requests.set(parameters['request']!, {
          socket: row,
          kind,
          isMessage: event === 'spi.send' || event === 'spi.recv',
          polled: parameters['polled'] === 1,
          place: socket.called[kind],
          phase: 'called',
          published: false,
          told: false,
          notifying: false,
          moved: null,
        });
        break;
      }
      default:
        break;
    }
    if (before.startsWith('accepting') && event === 'upcall.handleRefused') socket.ending = true;
  }

  #requestEvent(row: number, event: string, parameters: Readonly<Record<string, number>>): void {
    if (event === 'spi.refused') this.#unpin(row);
    const request = this.#requests.get(row);
    if (request === undefined) return;
    if (event === 'adapter.completed') request.moved = parameters['bytes']!;
    else if (event === 'firstMessage.copied' && parameters['error'] === 0) request.moved = parameters['bytes']!;
    else if (event === 'upcall.returned') {
      request.notifying = false;
      this.#socket(request.socket).upcalls--;
    }
  }

  #arrivalEvent(row: number, event: string): void {
    if (event === 'condition.accepted') this.#arrivals.set(row, 'accepted');
    if (event === 'adapter.withdrawn') this.#verdict(row, 'withdrawn');
  }

  /** A connection request is refused or withdrawn; `accepted` is one that is being answered. */
  #verdict(row: number, what: string): void {
    const state = this.#arrivals.get(row);
    this.#judge('S-23', state !== 'over', () => `connection request ${row} is ${what} after its verdict`);
    this.#arrivals.set(row, 'over');
  }

  #effect(effect: ReplayedEffect, record: ReplayedRecord, system: System): void {
    const { machine, row, effect: name, parameters } = effect;
    switch (name) {
      case 'answer':
        this.#judge(
          'S-34',
          parameters['error'] !== WSA.WSAEINPROGRESS && parameters['error'] !== WSA.WSAEINTR,
          () => `a call is answered ${wsaName(parameters['error']!)}`,
        );
        break;
      case 'openAdapter':
        this.#judge('S-30', this.#startups > 0 && !this.#opened, () => 'the adapter is opened without need');
        this.#opened = true;
        break;
      case 'closeAdapter':
        this.#judge(
          'S-30',
          this.#startups === 0 || this.#cleaningUp || this.#opened,
          () => 'a closed adapter is closed',
        );
        this.#opened = false;
        break;
      case 'createSwitchHandle': {
        const socket = this.#socket(row);
        this.#judge('S-08', !socket.handle, () => `socket ${row} gets a second handle`);
        socket.handle = true;
        this.#handlesMade++;
        break;
      }
      case 'closeSwitchHandle':
        this.#handleClosed(row);
        break;
      case 'markPending':
      case 'unmarkPending':
      case 'publish':
      case 'requestNotification':
      case 'completeOverlappedRequest':
        this.#requestEffect(name, row, parameters, system);
        break;
      case 'acceptConnection': {
        const request = parameters['request']!;
        this.#judge(
          'S-22',
          this.#arrivals.get(request) === 'accepted',
          () => `connection request ${request} is accepted before its condition function`,
        );
        break;
      }
      case 'rejectConnection':
        this.#verdict(row, 'refused');
        break;
      case 'callConditionFunction':
        this.#judge(
          'S-24',
          record.event === 'spi.accept' && record.effects.filter(({ effect: other }) => other === name).length === 1,
          () => `the condition function is called ${record.event === 'spi.accept' ? 'twice' : 'outside WSPAccept'}`,
        );
        break;
      case 'reportNetworkEvents': {
        const socket = this.#socket(row);
        if (parameters['accept'] === 1) {
          const isLost = this.#stateOf(system, row) === 'listening.lost';
          this.#judge(
            'S-27',
            !socket.lossReported && (parameters['acceptError'] !== 0) === isLost,
            () =>
              `FD_ACCEPT of socket ${row} says ${wsaName(parameters['acceptError']!)}` +
              `${socket.lossReported ? ' after its loss was reported' : ''}`,
          );
          socket.lossReported = isLost;
        }
        if (parameters['connect'] !== 1) break;
        socket.connects--;
        this.#judge('S-25', socket.connects >= 0, () => `FD_CONNECT of socket ${row} is reported once too often`);
        const error = parameters['connectError']!;
        this.#judge(
          'S-26',
          !terminalErrors.includes(error) || socket.terminal === error,
          () => `FD_CONNECT says ${wsaName(error)}, which the peer has not`,
        );
        break;
      }
      case 'setEvent': {
        const socket = this.#sockets.get(row);
        this.#judge('S-29', socket === undefined || !socket.closed, () => `the event of closed socket ${row} is set`);
        break;
      }
      case 'deregisterRegion':
        this.#judge('S-20', (this.#pins.get(row) ?? 0) === 0, () => `registration ${row} is released while in use`);
        break;
      default:
        break;
    }
    if (machine === 'provider' && name === 'endAllSockets') this.#cleaningUp = true;
  }

  /** Registrations are pinned for the call that comes next, and for no other. */
  #pinsPrecedeCall({ machine, event, row, parameters }: ReplayedRecord): void {
    const pinned = machine === 'registeredBuffer' && event === 'request.pinned';
    const request = machine === 'overlappedRequest' ? row : parameters['request'];
    if (this.#pinnedFor !== null && request !== this.#pinnedFor) {
      this.#judge(PINS, false, () => `registrations are pinned for request ${this.#pinnedFor}, and ${event} follows`);
    }
    this.#pinnedFor = pinned ? request! : null;
  }

  /** A request needs a registration, from before its call until it is done. */
  #pin(request: number, buffer: number): void {
    const pinned = this.#pinned.get(request) ?? [];
    pinned.push(buffer);
    this.#pinned.set(request, pinned);
    this.#pins.set(buffer, (this.#pins.get(buffer) ?? 0) + 1);
  }

  #unpin(request: number): void {
    for (const buffer of this.#pinned.get(request) ?? []) this.#pins.set(buffer, this.#pins.get(buffer)! - 1);
    this.#pinned.delete(request);
  }

  #handleClosed(row: number): void {
    const socket = this.#socket(row);
    this.#judge('S-08', socket.handle, () => `the handle of socket ${row} is closed again`);
    this.#judge('S-08', socket.ending, () => `the handle of socket ${row} is closed, and nobody has asked for it`);
    this.#judge('S-08', socket.upcalls === 0, () => `the handle of socket ${row} is closed inside an up-call for it`);
    this.#judge('S-09', socket.pending === 0, () => `socket ${row} is over with ${socket.pending} pending requests`);
    socket.handle = false;
    this.#handlesClosed++;
  }

  #requestEffect(name: string, row: number, parameters: Readonly<Record<string, number>>, system: System): void {
    const request = this.#requests.get(row);
    const judgeAll = (statements: readonly string[], holds: boolean, what: string): void => {
      for (const statement of statements) this.#judge(statement, holds, () => `request ${row}: ${what}`);
    };
    if (request === undefined) {
      judgeAll(['S-04'], false, `${name} without a call`);
      return;
    }
    const socket = this.#socket(request.socket);
    const inOrder = (): void => {
      judgeAll(['S-13'], socket.done[request.kind] === request.place, 'done out of order');
      socket.done[request.kind]++;
    };
    const finish = (error: number, bytes: number): void => {
      judgeAll(['S-04', 'S-07'], request.phase !== 'called', 'completed, and it was never pending');
      judgeAll(['S-35'], system.pins.of(row).length === 0, 'completed before its memory is released');
      const moves = this.#stateOf(system, request.socket) === 'connected.suspended';
      if (socket.phase === 'connected') judgeAll(['S-32'], !moves, 'completed while the peer moves');
      this.#unpin(row);
      if (request.phase === 'pending') inOrder();
      if (request.phase !== 'done') socket.pending--;
      request.phase = 'done';
      if (error === 0 && request.kind === 'receive' && bytes === 0)
        judgeAll(['S-16'], socket.duplicated, 'success with 0 bytes');
      if (error === 0 && request.moved !== null) {
        judgeAll(['S-06'], bytes === request.moved, `says ${bytes} bytes of ${request.moved}`);
      }
      if (error === 0 && request.isMessage && (request.kind === 'send' || !socket.duplicated)) {
        const into = request.kind === 'send' ? this.sent : this.received;
        const key = lifeKey(request.socket, this.lifeOf(request.socket));
        const messages = into.get(key) ?? [];
        messages.push({ bytes, sequence: this.#sequence });
        into.set(key, messages);
      }
    };
    switch (name) {
      case 'markPending': {
        judgeAll(['S-07'], request.phase === 'called', 'marked pending twice');
        request.phase = 'pending';
        socket.pending++;
        socket.called[request.kind]++;
        if (request.isMessage && request.kind === 'send') {
          const key = lifeKey(request.socket, this.lifeOf(request.socket));
          this.startedSends.set(key, (this.startedSends.get(key) ?? 0) + 1);
        }
        break;
      }
      case 'unmarkPending':
        // The call is refused after all: it never was pending for the switch.
        request.phase = 'called';
        socket.pending--;
        socket.called[request.kind]--;
        break;
      case 'requestNotification':
        this.#unpin(row);
        judgeAll(['S-05'], !request.polled, 'polled, and an up-call is due');
        inOrder();
        request.phase = 'due';
        break;
      case 'publish':
        judgeAll(['S-03'], !request.published, 'published twice');
        request.published = true;
        if (!request.told) finish(parameters['error']!, parameters['bytes']!);
        break;
      default:
        judgeAll(['S-03', 'S-06'], !request.told && !request.published, 'told of twice');
        judgeAll(['S-05'], !request.polled, 'polled, and told by an up-call');
        judgeAll(['S-08'], socket.handle, 'told with a closed handle');
        judgeAll([ONE_AT_A_TIME], socket.upcalls === 0, 'told of inside another up-call');
        request.told = true;
        request.notifying = true;
        socket.upcalls++;
        finish(parameters['error']!, parameters['bytes']!);
    }
  }

  #stateOf(system: System, socket: number): string {
    return system.rows[M.socket]!.stateName(socket);
  }

  /** What the socket that the record is about looks like now. */
  #look(row: number, record: ReplayedRecord, system: System): void {
    if (row < 0) return;
    const socket = this.#socket(row);
    const phase = phaseOf(this.#stateOf(system, row));
    if (phase !== null && phase !== socket.phase) {
      const before = socket.phase;
      this.#judge('S-01', follows[before].includes(phase), () => `socket ${row} goes from ${before} to ${phase}`);
      if (phase === 'none') {
        this.#judge('S-11', socket.ending, () => `socket ${row} is gone before it is closed`);
        if (!socket.handle) this.#sockets.delete(row);
      } else socket.phase = phase;
    }
    const rows = system.rows[M.socket]!;
    const memory = rows.context(row);
    if (phase === 'listening') {
      this.#judge(
        'S-21',
        memory['queued']! <= Math.max(memory['backlog']!, memory['offered']!),
        () => `socket ${row} queues ${memory['queued']} requests of ${memory['backlog']}`,
      );
    }
    const events = system.rows[M.networkEvents]!;
    if (row < events.used) {
      const recorded = events.context(row);
      this.#judge(
        'S-27',
        recorded['acceptRecorded']! <= recorded['acceptSelected']!,
        () => `socket ${row} has recorded FD_ACCEPT unselected (${record.event})`,
      );
    }
  }
}
