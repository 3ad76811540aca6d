/**
 * Diagram: the first steps of a journal as a Mermaid sequence diagram, the same text each time.
 *
 * Theory of operation: three lifelines. What the switch calls and what it is told goes between it and the provider; what
 * effects ask of the adapter and what it reports goes between those two. Steps in which the machines only move each
 * other, and effects that are the driver's own bookkeeping, aren't drawn. A call's result is its first `answer`; calls
 * from inside an up-call are answered before the one around them, so open calls are a stack.
 */

import { wsaName } from '../machines/index.ts';
import type { JournalContents } from './journal/reader.ts';
import { type ReplayedEffect, type ReplayedRecord, replayJournal, valueText } from './replay.ts';

export interface DiagramOptions {
  /** Steps that are drawn, from the first. Default 60. */
  readonly steps?: number;
  /** Only steps that are about this socket, and the provider's own. */
  readonly socket?: number;
  /** What was around the provider, for a note before the step with this number; one more than the last step: at the end. */
  readonly notes?: ReadonlyMap<number, readonly string[]>;
}

/** Functions of the interface, by `machine/event`. */
const calls: Readonly<Record<string, string>> = {
  'provider/spi.startup': 'WSPStartupEx',
  'provider/spi.cleanup': 'WSPCleanup',
  'socket/spi.socket': 'WSPSocket',
  'socket/spi.takeOver': 'WSPSocket (take over)',
  'socket/spi.bind': 'WSPBind',
  'socket/spi.connect': 'WSPConnect',
  'socket/spi.listen': 'WSPListen',
  'socket/spi.accept': 'WSPAccept',
  'socket/spi.eventSelect': 'WSPEventSelect',
  'socket/spi.send': 'WSPSend',
  'socket/spi.recv': 'WSPRecv',
  'socket/spi.rdmaWrite': 'WSPRdmaWrite',
  'socket/spi.rdmaRead': 'WSPRdmaRead',
  // The machines make no difference between memory for this end and for the peer.
  'socket/spi.registerMemory': 'WSPRegister(Rdma)Memory',
  'socket/spi.deregisterMemory': 'WSPDeregister(Rdma)Memory',
  'socket/spi.setSockOpt': 'WSPSetSockOpt',
  'socket/spi.duplicateSocket': 'WSPDuplicateSocket',
  'socket/spi.closeSocket': 'WSPCloseSocket',
  'networkEvents/spi.enumNetworkEvents': 'WSPEnumNetworkEvents',
};

/** Effects that are calls into the switch, or write what it reads. */
const upcalls: Readonly<Record<string, string>> = {
  createSwitchHandle: 'WPUCreateSocketHandle',
  closeSwitchHandle: 'WPUCloseSocketHandle',
  completeOverlappedRequest: 'WPUCompleteOverlappedRequest',
  callConditionFunction: 'condition function',
  setEvent: 'WPUSetEvent',
  resetEvent: 'WPUResetEvent',
  publish: 'WSAOVERLAPPED',
};

const adapterEffects: ReadonlySet<string> = new Set([
  'openAdapter',
  'closeAdapter',
  'startListening',
  'stopListening',
  'startConnect',
  'startReattach',
  'acceptConnection',
  'acceptReattach',
  'rejectReattach',
  'rejectConnection',
  'disconnect',
  'destroyConnector',
  'writeMailbox',
  'postWork',
  'registerRegion',
  'deregisterRegion',
]);

/** What adapters answer at once; anything else they report in their own time. */
const answersAtOnce: ReadonlySet<string> = new Set([
  'opened',
  'openFailed',
  'closed',
  'listening',
  'listenFailed',
  'connectStarted',
  'connectNotStarted',
  'accepted',
  'acceptFailed',
  'refusalEnded',
  'registered',
  'registerFailed',
  'postRefused',
  'reattached',
  'reattachFailed',
  'mailboxFailed',
]);

const conditionAnswers: Readonly<Record<string, string>> = {
  'condition.accepted': 'CF_ACCEPT',
  'condition.rejected': 'CF_REJECT',
  'condition.deferred': 'CF_DEFER',
  'condition.invalid': 'neither of the three',
};

/**
 * Draws the first steps of a journal.
 *
 * @returns Mermaid text, ended by a line feed; what can't be replayed is said in a note and not drawn
 * @throws {@link ReplayError} as {@link replayJournal}
 */
export function toSequenceDiagram(contents: JournalContents, options: DiagramOptions = {}): string {
  const { steps: stepsMax = 60, socket, notes } = options;
  const lines: string[] = [];
  const open: string[] = [];
  let drawn = 0;
  let left = 0;
  const note = (step: number): void => {
    for (const text of notes?.get(step) ?? []) lines.push(`Note over switch,adapter: ${text}`);
  };
  const draw = (record: ReplayedRecord): void => {
    if (socket !== undefined && record.socket !== null && record.socket !== socket) return;
    if (drawn === stepsMax) {
      left++;
      return;
    }
    drawn++;
    note(record.step);
    lines.push(...eventLines(record, open));
    if (record.machine === 'socket' && record.before !== record.after) {
      lines.push(`Note over provider: ${rowName('socket', record.row)}: ${record.before} → ${record.after}`);
    }
    for (const effect of record.effects) lines.push(...effectLines(effect, open));
  };
  const { verdict, steps: made } = replayJournal(contents, { onRecord: draw });
  if (left === 0) note(made);
  if (left > 0) lines.push(`Note over switch,adapter: ${left} more steps`);
  if (verdict.type === 'divergent') lines.push(`Note over switch,adapter: divergence at record ${verdict.sequence}`);
  if (verdict.type === 'damaged') lines.push(`Note over switch,adapter: damaged from record ${verdict.sequence} on`);
  return [
    'sequenceDiagram',
    'participant switch as switch',
    `participant provider as provider (machines), ${contents.metadata.host}`,
    `participant adapter as adapter (${contents.metadata.adapter})`,
    ...lines,
  ]
    .map((line, index) => `${index === 0 ? '' : '    '}${escaped(line)}\n`)
    .join('');
}

/** The event's own arrow, if it has one; calls are put on `open`. */
function eventLines({ machine, row, event, parameters }: ReplayedRecord, open: string[]): string[] {
  const call = calls[`${machine}/${event}`];
  if (call !== undefined) {
    open.push(call);
    const about = machine === 'provider' ? [] : [rowName('socket', row)];
    for (const name of ['request', 'buffer'] as const) {
      const value = parameters[name];
      if (value !== undefined) about.push(rowName(name, value));
    }
    return [`switch->>provider: ${[call, ...about].join(' ')}`];
  }
  const answer = conditionAnswers[event];
  if (answer !== undefined) return [`switch-->>provider: ${answer}`];
  const [speaker, what] = event.split('.') as [string, string];
  const text = `${what} ${rowName(machine, row)}${argumentsText(parameters)}`;
  switch (speaker) {
    case 'adapter':
      return [`adapter${answersAtOnce.has(what) ? '--' : '-'}>>provider: ${text}`];
    case 'upcall':
      return [`switch-->>provider: ${text}`];
    case 'clock':
      return [`Note over provider: time limit of ${rowName(machine, row)} reached`];
    default:
      return [];
  }
}

function effectLines({ machine, row, effect, parameters }: ReplayedEffect, open: string[]): string[] {
  const about = rowName(machine, row);
  if (effect === 'answer') {
    const call = open.pop();
    return call === undefined ? [] : [`provider-->>switch: ${call}: ${wsaName(parameters['error']!)}`];
  }
  const upcall = upcalls[effect];
  if (upcall !== undefined) return [`provider->>switch: ${upcall} ${about}${argumentsText(parameters)}`];
  if (adapterEffects.has(effect)) return [`provider->>adapter: ${effect} ${about}${argumentsText(parameters)}`];
  return [];
}

const argumentsText = (parameters: Readonly<Record<string, number>>): string => {
  const texts = Object.entries(parameters).map(([name, value]) => `${name} ${valueText(name, value)}`);
  return texts.length === 0 ? '' : ` (${texts.join(', ')})`;
};

/** What a row is called, by its machine: the same number is the same thing while it lives. */
function rowName(machine: string, row: number): string {
  switch (machine) {
    case 'overlappedRequest':
    case 'request':
      return `request ${row}`;
    case 'registeredBuffer':
    case 'buffer':
      return `buffer ${row}`;
    case 'connectionRequest':
      return `connection request ${row}`;
    case 'provider':
      return 'provider';
    case 'requestQueue':
      return `${row % 2 === 0 ? 'send' : 'receive'} queue of socket ${row >> 1}`;
    default:
      return `socket ${row}`;
  }
}

/** Mermaid ends a statement at a semicolon, and begins an entity or a comment with the others. */
const escaped = (line: string): string =>
  line.replaceAll(/[;#%]/g, (character) => `#${character.charCodeAt(0)};`).replaceAll(/[\r\n]/g, ' ');
