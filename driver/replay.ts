/**
 * Replay: a journal folded over a new system, and proved by it.
 *
 * Theory of operation: the machines are pure, and a record holds everything that went into a step. So stepping them
 * again by the records must give, after each, the state and the number of effects that the record says, and at the end
 * the state that the trailer's digest says. Nothing is performed: effects are described and dropped. The first record
 * that says otherwise ends the replay, since what follows it starts from another state.
 *
 * A number that is only handed on to an effect, as the bytes of a completion, leaves no trace in any state: for it stands
 * the CRC of its segment alone.
 */

import {
  compileMachines,
  contains,
  digestOf,
  digestOfRun,
  EFFECT_STRIDE,
  InvariantError,
  type Limits,
  M,
  type MachineName,
  machineNames,
  productionLimits,
  restoreSystem,
  System,
  wsaName,
} from '../machines/index.ts';
import type { SocketAddress } from './adapter/adapter.ts';
import { DetailKind, readDetail } from './journal/detail.ts';
import { isDetail } from './journal/format.ts';
import type { JournalContents } from './journal/reader.ts';

/** A journal that can't be replayed here at all, whatever its records say. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
}

/** An effect that a step left for the driver. */
export interface ReplayedEffect {
  readonly machine: MachineName;
  readonly row: number;
  readonly effect: string;
  readonly parameters: Readonly<Record<string, number>>;
}

/** One step, as the replay made it. */
export interface ReplayedRecord {
  /** Position in the journal, details counted. */
  readonly sequence: number;
  /** Events applied before. */
  readonly step: number;
  readonly machine: MachineName;
  readonly row: number;
  readonly event: string;
  readonly parameters: Readonly<Record<string, number>>;
  /** State of the row before and after; after the end of a machine, the state of a new one. */
  readonly before: string;
  readonly after: string;
  readonly effects: readonly ReplayedEffect[];
  /** Microseconds since the recording clock's start, modulo 2^32. */
  readonly timeUs: number;
  /** Row of the socket that the step is about; null when it is about none. */
  readonly socket: number | null;
}

/** A fact beside the steps. */
export interface ReplayedDetail {
  readonly sequence: number;
  /** `localAddress`, `remoteAddress`, or the number of a kind that this version does not know. */
  readonly kind: string;
  readonly socket: number;
  readonly address: SocketAddress;
}

/** Where a journal and the machines part. */
export interface Divergence {
  readonly sequence: number;
  readonly step: number;
  /** Null when the record names no event of these machines. */
  readonly machine: MachineName | null;
  readonly row: number;
  readonly event: string;
  /** What the journal says. */
  readonly expected: string;
  /** What the machines do. */
  readonly found: string;
}

/** How a replay ended. */
export type Verdict =
  /** Every step and the final state are as recorded. */
  | { readonly type: 'equal' }
  /** Every step is as recorded; there is no trailer, so nothing is known of the end. */
  | { readonly type: 'notClosed' }
  /** Every step before `until` is as recorded. */
  | { readonly type: 'stopped'; readonly before: number }
  | ({ readonly type: 'divergent' } & Divergence)
  /** Every step is as recorded, and yet the final state is not; digests in hex. */
  | { readonly type: 'otherDigest'; readonly expected: string; readonly found: string }
  /** Every readable step is as recorded; the rest can't be read. */
  | { readonly type: 'damaged'; readonly sequence: number; readonly offset: number; readonly message: string };

export interface ReplayOptions {
  /** Sequence number of the record to stop before. */
  readonly until?: number;
  /** Told of each step after it was found to be as recorded, with the system as it is then, which is not to be changed. */
  readonly onRecord?: (record: ReplayedRecord, system: System) => void;
  readonly onDetail?: (detail: ReplayedDetail) => void;
}

export interface Replayed {
  readonly verdict: Verdict;
  /** Records replayed, details counted. */
  readonly records: number;
  /** Events applied by this replay; those before a snapshot are not. */
  readonly steps: number;
  /** Steps of each machine, routed ones included, since the system began. */
  readonly machineSteps: Readonly<Record<MachineName, number>>;
  /** The state that was reached; after a divergence, in the middle of the step that failed. */
  readonly system: System;
}

/** Rows that a record may name beyond the doubled number of those that are known: the driver gives them out densely. */
const ROW_SLACK = 4096;

/**
 * Replays a journal.
 *
 * @param contents - as `readJournal` gave it; may be damaged or not closed
 * @throws {@link ReplayError} when other machines made the journal, or its limits or its snapshot make no system
 */
export function replayJournal(contents: JournalContents, options: ReplayOptions = {}): Replayed {
  const system = startOf(contents);
  const { machines, effects } = system;
  const { records, damage } = contents;
  const { until = Number.POSITIVE_INFINITY, onRecord, onDetail } = options;
  const names = machines.flatMap(({ events }, machine) => events.map((event) => ({ machine, event })));
  const owners = new Owners(system);
  const { steps: first } = system;
  const count = Math.max(0, Math.min(records.count, until - records.firstSequence));

  const done = (verdict: Verdict, replayed: number): Replayed => ({
    verdict,
    records: replayed,
    steps: system.steps - first,
    machineSteps: Object.fromEntries(machineNames.map((name, index) => [name, system.machineSteps[index]!])) as Record<
      MachineName,
      number
    >,
    system,
  });

  for (let index = 0; index < count; index++) {
    const sequence = records.firstSequence + index;
    const word0 = records.word(index, 0);
    const row = records.word(index, 1);
    if (isDetail(word0)) {
      onDetail?.(describeDetail(sequence, (word) => records.word(index, word)));
      continue;
    }
    const { steps: step } = system;
    const found = names[word0 & 0xffff];
    if (found === undefined) {
      const event = `event ${word0 & 0xffff}`;
      const part = { expected: event, found: `these machines have events 0 to ${names.length - 1}` };
      return done({ type: 'divergent', sequence, step, machine: null, row, event, ...part }, index);
    }
    const machine = machineNames[found.machine]!;
    const { name: event, parameters: types } = found.event;
    const diverges = (expected: string, actual: string): Replayed => {
      effects.top = 0;
      return done({ type: 'divergent', sequence, step, machine, row, event, expected, found: actual }, index);
    };
    const parameters = types.map((_, at) => records.word(index, 2 + at));
    const rowsMax = 2 * Math.max(...system.rows.map(({ used }) => used)) + ROW_SLACK;
    if (row > rowsMax) return diverges(`row ${row}`, `rows up to ${rowsMax} can be known by then`);
    for (const [at, { name, domain }] of types.entries()) {
      const value = parameters[at]!;
      // A carried number that is no number of bytes is a row; a wild one would only take memory before it is refused.
      const wild = domain.kind === 'carried' && name !== 'bytes' && value > rowsMax;
      if (!contains(domain, value) || wild) {
        return diverges(`${name} ${value}`, `the event takes no such ${name}`);
      }
    }
    for (let word = 2 + types.length; word < 7; word++) {
      const value = records.word(index, word);
      if (value !== 0) return diverges(`${value} in word ${word}`, 'the event has no such parameter, so it would be 0');
    }
    const rows = system.rows[found.machine]!;
    const before = row < rows.used ? rows.stateName(row) : rows.machine.configurations[0]!;
    const [p0, p1, p2, p3, p4] = parameters;
    owners.note(machine, event, row, found.event.parameters, parameters);
    try {
      system.apply(word0 & 0xffff, row, p0, p1, p2, p3, p4);
    } catch (error) {
      const recorded = `state '${machines[found.machine]!.configurations[(word0 >>> 16) & 0xff]}' after it`;
      if (!(error instanceof InvariantError)) return diverges(recorded, `not applicable: ${String(error)}`);
      return diverges(recorded, `not accepted: ${error.message}`);
    }
    const effectCount = effects.top / EFFECT_STRIDE;
    const state = rows.states[row]!;
    // The record has 8 bits for each.
    if ((word0 >>> 16) % 0x100 !== state % 0x100 || word0 >>> 24 !== effectCount % 0x100) {
      const text = (configuration: number, effectNumber: number) =>
        `state '${rows.machine.configurations[configuration] ?? configuration}', effects: ${effectNumber}`;
      return diverges(text((word0 >>> 16) % 0x100, word0 >>> 24), text(state, effectCount % 0x100));
    }
    if (onRecord !== undefined) {
      onRecord(
        {
          sequence,
          step,
          machine,
          row,
          event,
          parameters: Object.fromEntries(types.map(({ name }, at) => [name, parameters[at]!])),
          before,
          after: rows.machine.configurations[state]!,
          effects: describeEffects(system),
          timeUs: records.word(index, 7),
          socket: owners.socketOf(machine, row),
        },
        system,
      );
    }
    effects.top = 0;
  }
  if (count < records.count) return done({ type: 'stopped', before: until }, count);
  if (damage !== null) return done({ type: 'damaged', ...damage }, count);
  if (contents.digest === undefined) return done({ type: 'notClosed' }, count);
  const expected = hex(contents.digest);
  const actual = hex(digestOfRun(system));
  return done(expected === actual ? { type: 'equal' } : { type: 'otherDigest', expected, found: actual }, count);
}

/** The verdict in one line, ready for people. */
export function verdictText(verdict: Verdict): string {
  switch (verdict.type) {
    case 'equal':
      return 'equal';
    case 'notClosed':
      return 'not closed: every step is as recorded, but the journal has no end to compare with';
    case 'stopped':
      return `equal so far: stopped before record ${verdict.before}`;
    case 'divergent': {
      const { sequence, step, machine, row, event, expected, found } = verdict;
      const where = machine === null ? `row ${row}` : `${machine} ${row}, ${event}`;
      return `divergence at record ${sequence} (step ${step}), ${where}: the journal says ${expected}; found: ${found}`;
    }
    case 'otherDigest':
      return `divergence at the end: the journal's state digest is ${verdict.expected}; found: ${verdict.found}`;
    case 'damaged':
      return `damaged from record ${verdict.sequence} (byte ${verdict.offset}) on: ${verdict.message}; all before is as recorded`;
  }
}

/** `postWork(fence=1)`; errors by name. */
export const callText = (name: string, parameters: Readonly<Record<string, number>>): string =>
  `${name}(${Object.entries(parameters)
    .map(([key, value]) => `${key}=${valueText(key, value)}`)
    .join(', ')})`;

const ERRORS: readonly string[] = ['error', 'refusal', 'connectError'];
/** A parameter's value: errors by name. */
export const valueText = (name: string, value: number): string =>
  ERRORS.includes(name) ? wsaName(value) : String(value);

/** An effect with its target: `requestQueue 7: pairRequest(...)`. */
export const effectText = ({ machine, row, effect, parameters }: ReplayedEffect): string =>
  `${machine} ${row}: ${callText(effect, parameters)}`;

/** The system before the first record. */
function startOf({ metadata, snapshot }: JournalContents): System {
  const limits: Record<string, number> = { ...metadata.limits };
  for (const name of Object.keys(productionLimits)) {
    const value = limits[name];
    if (value !== undefined && Number.isSafeInteger(value) && value > 0) continue;
    throw new ReplayError(`the journal's limit ${name} is ${value ?? 'missing'}: no machines can be made for it`);
  }
  const machines = compileMachines(limits as unknown as Limits);
  const digest = digestOf(machines);
  if (metadata.machinesDigest !== digest) {
    throw new ReplayError(
      `the journal was made by another version of the machines: theirs have digest ${metadata.machinesDigest}, ` +
        `these have ${digest}; replay it with the version that made it, of which 'wsdirect machines' prints that digest`,
    );
  }
  if (snapshot === undefined) return new System(machines);
  try {
    return restoreSystem(machines, snapshot.bytes);
  } catch (cause) {
    throw new ReplayError(`the journal's snapshot can't be restored: ${String(cause)}`, { cause });
  }
}

/** Which socket a row belongs to, learnt from the calls that put it to use. */
class Owners {
  readonly #requests = new Map<number, number>();
  readonly #buffers = new Map<number, number>();
  readonly #connectionRequests = new Map<number, number>();

  /** @param system - before the first record: of a snapshot, its lists tell */
  constructor(system: System) {
    const of = (machine: number): number[] => Array.from({ length: system.rows[machine]!.used }, (_, row) => row);
    for (const row of of(M.overlappedRequest)) this.#requests.set(row, system.requests.owner(row) >> 1);
    for (const row of of(M.registeredBuffer)) this.#buffers.set(row, system.buffers.owner(row));
    for (const row of of(M.connectionRequest)) this.#connectionRequests.set(row, system.connectionRequests.owner(row));
  }

  note(
    machine: MachineName,
    event: string,
    row: number,
    types: readonly { readonly name: string }[],
    values: readonly number[],
  ): void {
    if (machine !== 'socket') return;
    for (const [at, { name }] of types.entries()) {
      if (name === 'buffer') this.#buffers.set(values[at]!, row);
      else if (name === 'request') {
        (event.startsWith('spi.') ? this.#requests : this.#connectionRequests).set(values[at]!, row);
      }
    }
  }

  socketOf(machine: MachineName, row: number): number | null {
    switch (machine) {
      case 'provider':
        return null;
      case 'socket':
      case 'networkEvents':
      case 'firstMessage':
        return row;
      case 'requestQueue':
        return row >> 1;
      case 'overlappedRequest':
        return this.#requests.get(row) ?? null;
      case 'registeredBuffer':
        return this.#buffers.get(row) ?? null;
      case 'connectionRequest':
        return this.#connectionRequests.get(row) ?? null;
    }
  }
}

function describeEffects({ machines, effects, effectBase }: System): ReplayedEffect[] {
  const found: ReplayedEffect[] = [];
  for (let at = 0; at < effects.top; at += EFFECT_STRIDE) {
    const id = effects.buffer[at]!;
    const index = effectBase.findLastIndex((base) => base <= id);
    const { name, parameters } = machines[index]!.effects[id - effectBase[index]!]!;
    found.push({
      machine: machineNames[index]!,
      row: effects.buffer[at + 1]!,
      effect: name,
      parameters: Object.fromEntries(
        parameters.map((parameter, position) => [parameter.name, effects.buffer[at + 2 + position]!]),
      ),
    });
  }
  return found;
}

const detailNames = new Map<number, string>(Object.entries(DetailKind).map(([name, kind]) => [kind, name]));

function describeDetail(sequence: number, word: (index: number) => number): ReplayedDetail {
  const { kind, row, address } = readDetail(word);
  return { sequence, kind: detailNames.get(kind) ?? String(kind), socket: row, address };
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
