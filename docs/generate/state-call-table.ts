/**
 * The state x call table, asked of the machines.
 *
 * Theory of operation: a real system, with production's limits, is brought into each condition that a socket can be in
 * when the switch calls, by the events that the driver would apply. Then the call's event is applied, what the adapter
 * and the up-calls report at once is applied inside it as the driver does, and the effects tell the answer. A cell holds
 * what the state decides, when nothing else fails; the second table holds what else the call can end with.
 */

import {
  type CompiledMachine,
  compileMachines,
  EFFECT_STRIDE,
  InvariantError,
  M,
  type MachineName,
  machineNames,
  productionLimits,
  System,
  WSA,
  wsaName,
} from '../../machines/index.ts';
import { banner, table } from './markdown.ts';

export const columns = ['Created', 'Bound', 'Listening', 'Connecting', 'Connected', 'Broken', 'Dormant'] as const;
export type Column = (typeof columns)[number];

type Parameters = Readonly<Record<string, number>>;
interface Event {
  readonly machine: MachineName;
  readonly name: string;
  readonly given: Parameters;
}
const event = (machine: MachineName, name: string, given: Parameters = {}): Event => ({ machine, name, given });
/** What the driver reports of an effect at once, by `machine/effect`, for the row that asked. */
type Replies = Readonly<Record<string, readonly Event[]>>;

/** Everything works, and the condition function accepts. */
const goodReplies: Replies = {
  'provider/openAdapter': [event('provider', 'adapter.opened')],
  'socket/createSwitchHandle': [event('socket', 'upcall.handleCreated')],
  'socket/startListening': [event('socket', 'adapter.listening')],
  'socket/startConnect': [event('socket', 'adapter.connectStarted')],
  'socket/startReattach': [event('socket', 'adapter.connectStarted')],
  'socket/acceptConnection': [event('socket', 'adapter.accepted')],
  'connectionRequest/callConditionFunction': [event('connectionRequest', 'condition.accepted')],
  'registeredBuffer/registerRegion': [event('registeredBuffer', 'adapter.registered')],
};

/** Rows of the one socket that is asked, and of the one that a call on it makes. */
const SOCKET = 0;
const OTHER = 1;

const machines: readonly CompiledMachine[] = compileMachines(productionLimits);

/** A system, moved as the driver moves it. */
class Bench {
  readonly system = new System(machines);
  replies: Replies = goodReplies;
  /** The first answer since it was last set to null; that one is the call's. */
  answer: number | null = null;
  /** Arguments of the last performed effect of each name. */
  readonly performed = new Map<string, readonly number[]>();

  constructor() {
    this.apply('provider', 'spi.startup', 0);
  }

  apply(machine: MachineName, name: string, row: number, given: Parameters = {}): void {
    const { system } = this;
    const type = machines[M[machine]]!.events.find((candidate) => candidate.name === name);
    if (type === undefined) throw new Error(`machine '${machine}' has no event '${name}'`);
    for (const parameter of Object.keys(given)) {
      if (type.parameters.every((known) => known.name !== parameter)) {
        throw new Error(`event '${machine}/${name}' has no parameter '${parameter}'`);
      }
    }
    const [p0, p1, p2, p3, p4] = type.parameters.map((parameter) => given[parameter.name] ?? 0);
    const base = system.effects.top;
    system.apply(system.eventId(machine, name), row, p0, p1, p2, p3, p4);
    const end = system.effects.top;
    for (let at = base; at < end; at += EFFECT_STRIDE) this.#perform(at);
    system.effects.top = base;
  }

  #perform(at: number): void {
    const { buffer } = this.system.effects;
    const id = buffer[at]!;
    const row = buffer[at + 1]!;
    const owner = this.system.effectBase.findLastIndex((base) => base <= id);
    const { name, parameters } = machines[owner]!.effects[id - this.system.effectBase[owner]!]!;
    const args = parameters.map((_, index) => buffer[at + 2 + index]!);
    if (name === 'answer') this.answer ??= args[0]!;
    const key = `${machineNames[owner]}/${name}`;
    this.performed.set(key, args);
    for (const reply of this.replies[key] ?? []) this.apply(reply.machine, reply.name, row, reply.given);
  }

  /** Name of the configuration that a row is in. */
  state(machine: MachineName, row: number): string {
    return this.system.rows[M[machine]]!.stateName(row);
  }
  /** The socket's state as the specification names it. A row whose machine is over is new again. */
  stateOf(socket: number): string {
    const [outermost] = this.state('socket', socket).split('.');
    if (outermost === 'unopened' || outermost === 'closing') return 'Closed';
    return `${outermost!.slice(0, 1).toUpperCase()}${outermost!.slice(1)}`;
  }
  context(name: string): number {
    return this.system.rows[M.socket]!.context(SOCKET)[name]!;
  }
}

/** A condition that a socket can be in between calls, and the shortest way there. */
export interface Situation {
  readonly column: Column;
  /** Configuration of the socket machine. */
  readonly configuration: string;
  readonly reach: (bench: Bench) => void;
  /** A registration, row 0, was made on the way. */
  readonly registered?: true;
  /** It was listening when control of it was handed over. */
  readonly listened?: true;
}

const socket = (bench: Bench, name: string, given: Parameters = {}) => bench.apply('socket', name, SOCKET, given);
const create = (bench: Bench) => socket(bench, 'spi.socket');
const bind = (bench: Bench) => {
  create(bench);
  socket(bench, 'spi.bind');
};
// With one request waiting, so that WSPAccept has something to take.
const listen = (bench: Bench) => {
  bind(bench);
  socket(bench, 'spi.listen', { backlog: 5 });
  socket(bench, 'adapter.connectRequest', { request: 0 });
};
const startConnect = (bench: Bench) => {
  bind(bench);
  socket(bench, 'spi.eventSelect', { connect: 1 });
  socket(bench, 'spi.connect');
};
// FD_CONNECT is recorded and not yet reported, and there is a registration: both could outlive the connection.
const connect = (bench: Bench) => {
  startConnect(bench);
  socket(bench, 'adapter.established');
  socket(bench, 'spi.registerMemory', { buffer: 0 });
};
const after = (reach: (bench: Bench) => void, name: string, given?: Parameters) => (bench: Bench) => {
  reach(bench);
  socket(bench, name, given);
};
const hand = after(connect, 'spi.duplicateSocket');

export const situations: readonly Situation[] = [
  { column: 'Created', configuration: 'created', reach: create },
  { column: 'Bound', configuration: 'bound.idle', reach: bind },
  { column: 'Listening', configuration: 'listening.open', reach: listen },
  { column: 'Listening', configuration: 'listening.lost', reach: after(listen, 'adapter.removed') },
  { column: 'Connecting', configuration: 'connecting.pending', reach: startConnect },
  { column: 'Connected', configuration: 'connected.active', reach: connect, registered: true },
  {
    column: 'Connected',
    configuration: 'connected.suspended',
    reach: after(connect, 'adapter.disconnected', { migrating: 1 }),
    registered: true,
  },
  {
    column: 'Connected',
    configuration: 'connected.attaching',
    reach: after((bench) => socket(bench, 'spi.takeOver', { listening: 0 }), 'spi.registerMemory', { buffer: 0 }),
    registered: true,
  },
  // Once for each reason.
  { column: 'Broken', configuration: 'broken', reach: after(connect, 'adapter.disconnected'), registered: true },
  { column: 'Broken', configuration: 'broken', reach: after(connect, 'adapter.fault'), registered: true },
  { column: 'Broken', configuration: 'broken', reach: after(connect, 'adapter.removed'), registered: true },
  { column: 'Dormant', configuration: 'dormant.handing', reach: hand, registered: true },
  {
    column: 'Dormant',
    configuration: 'dormant.parted',
    reach: after(hand, 'adapter.mailboxWritten'),
    registered: true,
  },
  {
    column: 'Dormant',
    configuration: 'dormant.unlistening',
    reach: after(listen, 'spi.duplicateSocket'),
    listened: true,
  },
];

/** Configurations that last within one call, so that the switch never meets them. */
export const withinACall: readonly string[] = ['bound.opening', 'connecting.starting', 'connected.reattaching'];

/** One more thing that a call can end with. */
interface Failure {
  readonly when: string;
  /** Changes the call's parameters. */
  readonly given?: Parameters;
  readonly replies?: Replies;
  /** Happens before the call. */
  readonly before?: (bench: Bench) => void;
}

interface Call {
  readonly name: string;
  /** Parameters of the event that the call becomes; null for calls that step no machine. */
  readonly event: ((situation: Situation) => Event) | null;
  /** What else tells that the call did its work. */
  readonly note?: (bench: Bench, before: Parameters) => string;
  readonly failures?: readonly Failure[];
  /** The failures are also in the cell, as "= + error". */
  readonly failuresInCell?: true;
  /** Only sockets of this column have what the call needs. */
  readonly only?: Column;
}

const plain =
  (name: string, given: Parameters = {}) =>
  () =>
    event('socket', name, given);

const transferFailures: readonly Failure[] = [
  { when: 'a buffer is not in a suitable registration', given: { refusal: WSA.WSAEFAULT } },
  { when: 'an argument is not valid', given: { refusal: WSA.WSAEINVAL } },
];
const sendFailures: readonly Failure[] = [
  ...transferFailures,
  {
    when: 'the adapter has no room for it',
    replies: { 'overlappedRequest/postWork': [event('overlappedRequest', 'adapter.postRefused')] },
  },
  {
    when: 'too many requests are pending',
    before: (bench) => {
      // More than any queue holds; each beyond the last is refused.
      for (let request = 1; request <= 400; request++) socket(bench, 'spi.send', { request, pieces: 1 });
    },
  },
];
const recvFailures: readonly Failure[] = [
  ...sendFailures.slice(0, -1),
  {
    when: 'too many requests are pending',
    before: (bench) => {
      for (let request = 1; request <= 400; request++) socket(bench, 'spi.recv', { request, pieces: 1 });
    },
  },
];
const transfer = (name: string, spi: string, failures: readonly Failure[]): Call => ({
  name,
  event: plain(spi, { request: 1000, polled: 1, pieces: 1 }),
  failures,
});
const register = (name: string): Call => ({
  name,
  event: plain('spi.registerMemory', { buffer: 5 }),
  failures: [
    ...([WSA.WSAENOBUFS, WSA.WSAEFAULT, WSA.WSAENETDOWN] as const).map((error) => ({
      when: 'the adapter refuses',
      replies: { 'registeredBuffer/registerRegion': [event('registeredBuffer', 'adapter.registerFailed', { error })] },
    })),
  ],
});
const deregister = (name: string): Call => ({
  name,
  event: ({ registered }) =>
    event('socket', 'spi.deregisterMemory', { buffer: 0, known: registered === undefined ? 0 : 1 }),
  failures: [
    { when: 'the registration is unknown', given: { known: 0 } },
    {
      when: 'a pending request needs the memory',
      before: (bench) => bench.apply('registeredBuffer', 'request.pinned', 0, { request: 0 }),
    },
  ],
});
const says = (name: string): Replies => ({
  'connectionRequest/callConditionFunction': [event('connectionRequest', `condition.${name}`)],
});

export const calls: readonly Call[] = [
  { name: 'WSPBind', event: plain('spi.bind') },
  {
    name: 'WSPConnect',
    event: plain('spi.connect'),
    failuresInCell: true,
    failures: ([WSA.WSAENETUNREACH, WSA.WSAENOBUFS, WSA.WSAENETDOWN] as const).map((error) => ({
      when: 'the adapter cannot begin',
      replies: { 'socket/startConnect': [event('socket', 'adapter.connectNotStarted', { error })] },
    })),
  },
  {
    name: 'WSPListen',
    event: plain('spi.listen', { backlog: 7 }),
    note: (bench, before) =>
      before['backlog'] !== 0 && bench.context('backlog') !== before['backlog'] ? 'new backlog' : '',
    failures: ([WSA.WSAENOBUFS, WSA.WSAENETDOWN] as const).map((error) => ({
      when: 'the adapter cannot listen',
      replies: { 'socket/startListening': [event('socket', 'adapter.listenFailed', { error })] },
    })),
  },
  {
    name: 'WSPAccept',
    event: plain('spi.accept', { socket: OTHER }),
    note: (bench) => (bench.stateOf(OTHER) === 'Connected' ? '+ new Connected socket' : ''),
    failures: [
      {
        when: 'no request waits',
        before: (bench) => bench.apply('connectionRequest', 'adapter.withdrawn', 0),
      },
      { when: 'there is no descriptor left', given: { full: 1 } },
      { when: 'the condition function rejects', replies: says('rejected') },
      { when: 'the condition function defers', replies: says('deferred') },
      { when: 'the condition function returns something else', replies: says('invalid') },
      {
        when: 'the peer withdraws during the condition function',
        replies: {
          'connectionRequest/callConditionFunction': [
            event('connectionRequest', 'adapter.withdrawn'),
            event('connectionRequest', 'condition.accepted'),
          ],
        },
      },
      ...([WSA.WSAENOBUFS, WSA.WSAEMFILE] as const).map((error) => ({
        when: 'the switch gives no handle',
        replies: { 'socket/createSwitchHandle': [event('socket', 'upcall.handleRefused', { error })] },
      })),
      ...([WSA.WSAENOBUFS, WSA.WSAECONNRESET, WSA.WSAENETDOWN] as const).map((error) => ({
        when: 'the adapter cannot accept',
        replies: {
          'socket/acceptConnection': [event('socket', 'adapter.acceptFailed', { error })],
          'socket/endRefusal': [event('socket', 'dispatcher.refusalEnded', { error })],
        },
      })),
    ],
  },
  { name: 'WSPEventSelect', event: plain('spi.eventSelect', { accept: 1, connect: 1 }) },
  {
    name: 'WSPEnumNetworkEvents',
    event: () => event('networkEvents', 'spi.enumNetworkEvents'),
    // Only where nothing more can ever be recorded; elsewhere the record may just happen to be empty.
    note: (bench) => {
      const [accept, , connected] = bench.performed.get('networkEvents/reportNetworkEvents')!;
      return bench.state('networkEvents', SOCKET) === 'stopped' && accept === 0 && connected === 0 ? 'empty' : '';
    },
  },
  transfer('WSPSend', 'spi.send', sendFailures),
  transfer('WSPRecv', 'spi.recv', recvFailures),
  transfer('WSPRdmaWrite', 'spi.rdmaWrite', sendFailures),
  transfer('WSPRdmaRead', 'spi.rdmaRead', sendFailures),
  register('WSPRegisterMemory'),
  register('WSPRegisterRdmaMemory'),
  deregister('WSPDeregisterMemory'),
  deregister('WSPDeregisterRdmaMemory'),
  { name: 'WSPGetOverlappedResult', event: null },
  { name: 'WSPGetSockOpt', event: null },
  { name: 'WSPSetSockOpt', event: plain('spi.setSockOpt') },
  { name: 'WSPIoctl', event: null },
  { name: 'WSPDuplicateSocket', event: plain('spi.duplicateSocket') },
  // Another process redeems the token that WSPDuplicateSocket gave for this socket; only a dormant socket has one.
  {
    name: 'WSPSocket (take-over of this socket)',
    only: 'Dormant',
    event: ({ listened }) => event('socket', 'spi.takeOver', { listening: listened ? 1 : 0, backlog: 5 }),
    failures: [
      {
        when: 'the adapter cannot begin to reattach',
        replies: {
          'socket/startReattach': [event('socket', 'adapter.connectNotStarted', { error: WSA.WSAENETUNREACH })],
        },
      },
      {
        when: 'the adapter cannot listen',
        replies: { 'socket/startListening': [event('socket', 'adapter.listenFailed', { error: WSA.WSAENOBUFS })] },
      },
      ...([WSA.WSAENOBUFS, WSA.WSAEMFILE] as const).map((error) => ({
        when: 'the switch gives no handle',
        replies: { 'socket/createSwitchHandle': [event('socket', 'upcall.handleRefused', { error })] },
      })),
    ],
  },
  { name: 'WSPCloseSocket', event: plain('spi.closeSocket') },
];

/** How one call on one socket went, as the table says it: `=`, `Bound`, `WSAEINVAL`, `Connecting (WSAEWOULDBLOCK)`. */
function outcome(call: Call, situation: Situation, failure: Failure | null): string {
  const bench = new Bench();
  situation.reach(bench);
  failure?.before?.(bench);
  const { configuration } = situation;
  if (bench.state('socket', SOCKET) !== configuration) {
    throw new Error(`meant to reach '${configuration}', reached '${bench.state('socket', SOCKET)}'`);
  }
  const context = bench.system.rows[M.socket]!.context(SOCKET);
  const from = bench.stateOf(SOCKET);
  bench.replies = { ...goodReplies, ...failure?.replies };
  bench.answer = null;
  const { machine, name, given } = call.event!(situation);
  const takeOver = name === 'spi.takeOver';
  try {
    bench.apply(machine, name, takeOver ? OTHER : SOCKET, { ...given, ...failure?.given });
  } catch (error) {
    // A broken machine shall be seen in the table, and fail its test, rather than hide all other cells.
    if (error instanceof InvariantError) return `InvariantError: ${error.message}`;
    throw error;
  }
  const { answer } = bench;
  if (answer === null) throw new Error(`${call.name} in '${configuration}': nobody answered`);

  const next = bench.stateOf(takeOver ? OTHER : SOCKET);
  const to = takeOver ? next : next === from ? '=' : next;
  const note = call.note?.(bench, context) ?? '';
  if (answer === 0) return note === '' ? to : `${to} (${note})`;
  if (answer === WSA.WSA_IO_PENDING) return `${to} pending`;
  if (to !== '=' && !(takeOver && next === 'Closed')) return `${to} (${wsaName(answer)})`;
  return from === 'Broken' && answer === context['reason'] && answer !== 0 ? '*reason*' : wsaName(answer);
}

export interface Cell {
  readonly call: string;
  readonly column: Column;
  /** What the call can end with in this state, most usual first, as the specification writes it. */
  readonly outcomes: readonly string[];
}
export interface FailureRow {
  readonly call: string;
  readonly column: Column;
  readonly when: string;
  readonly outcomes: readonly string[];
}

/** Outcomes in all situations of a column; those that not all situations share name their configurations. */
function inColumn(call: Call, column: Column, failure: Failure | null): string[] {
  if (call.only !== undefined && call.only !== column) return ['-'];
  if (call.event === null) return ['='];
  const found = new Map<string, Set<string>>();
  // What must come before the call can't where the state lets no such call through.
  const isReached = (situation: Situation): boolean =>
    failure?.before === undefined || outcome(call, situation, null).startsWith('=');
  const mine = situations.filter((situation) => situation.column === column && isReached(situation));
  for (const situation of mine) {
    const text = outcome(call, situation, failure);
    const configurations = found.get(text) ?? new Set();
    found.set(text, configurations.add(situation.configuration.slice(situation.configuration.indexOf('.') + 1)));
  }
  const shared = found.size === 1 || call.only !== undefined;
  // The first is the usual one: situations are listed so. A registration is unknown where none could have been made.
  return [...found].map(([text, configurations], index) =>
    shared || index === 0 ? text : `${text} (${[...configurations].join(', ')})`,
  );
}

export function stateCallCells(): Cell[] {
  return calls.flatMap((call) =>
    columns.map((column) => {
      const outcomes = inColumn(call, column, null);
      const fails = call.failuresInCell === true && failuresOf(call, column).length > 0;
      return { call: call.name, column, outcomes: fails ? [...outcomes, '= + error'] : outcomes };
    }),
  );
}

/** Failures that the state lets through: those that end otherwise than the call does anyway. */
function failuresOf(call: Call, column: Column): FailureRow[] {
  if (call.event === null || (call.only !== undefined && call.only !== column)) return [];
  const usual = inColumn(call, column, null);
  return (call.failures ?? []).flatMap((failure) => {
    // By the time that a socket is dormant its sends are over and its receives are handed over.
    if (failure.before !== undefined && column === 'Dormant') return [];
    const outcomes = inColumn(call, column, failure).filter(
      (text) => !usual.some((known) => text === known || text.startsWith(`${known} (`)),
    );
    return outcomes.length === 0 ? [] : [{ call: call.name, column, when: failure.when, outcomes }];
  });
}

export function failureRows(): FailureRow[] {
  return calls.flatMap((call) => columns.flatMap((column) => failuresOf(call, column)));
}

/** Rows that differ only in column `index`, as one row that has all of their texts there. */
function joined(rows: readonly (readonly string[])[], index: number, joint: string): string[][] {
  const groups = new Map<string, { row: readonly string[]; texts: Set<string> }>();
  for (const row of rows) {
    const key = JSON.stringify(row.with(index, ''));
    const group = groups.get(key) ?? { row, texts: new Set() };
    groups.set(key, group);
    group.texts.add(row[index]!);
  }
  return [...groups.values()].map(({ row, texts }) => row.with(index, [...texts].join(joint)));
}

/** The page. */
export function stateCallPage(): string {
  const cells = stateCallCells();
  const readsOnly = calls.filter((call) => call.event === null).map(({ name }) => name);
  const main = calls.map(({ name, event: applied }) => [
    applied === null ? `${name} ¹` : name,
    ...columns.map((column) =>
      cells.find((cell) => cell.call === name && cell.column === column)!.outcomes.join(' / '),
    ),
  ]);
  // Rows that say the same of several calls or states are one.
  let failures = failureRows().map(({ call, column, when, outcomes }) => [call, column, when, outcomes.join(' / ')]);
  failures = joined(joined(joined(failures, 3, ' / '), 1, ', '), 0, ', ');
  return [
    banner,
    '',
    '# State × call',
    '',
    'What each call answers in each state of a socket, and the state that it leaves the socket in. Every cell was asked',
    "of the machines: a system with production's limits was brought into the state by the events that the driver would",
    'apply, and then given the call. The same table in the specification (10.2) was written by hand; a test compares them.',
    '',
    "`=`: it works and the state stays. A state's name: it works and leads there. An error's name: the call fails and",
    'changes nothing. `*reason*`: why the connection is broken. A closed descriptor gives WSAENOTSOCK, and an',
    'uninitialised provider WSANOTINITIALISED, before a machine is asked.',
    '',
    table(['Call', ...columns], main),
    '',
    `¹ any live state (reads only): ${readsOnly.join(', ')} step no machine.`,
    '',
    '## What else a call can end with',
    '',
    'Where the state lets the call through and something else decides.',
    '',
    table(['Call', 'State', 'When', 'Then'], failures),
    '',
  ].join('\n');
}
