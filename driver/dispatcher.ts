/**
 * Dispatcher: applies events to the system, records them, and has their effects carried out. Sole owner of the system.
 *
 * Theory of operation: one event at a time, to its end: step, journal, perform. What an effect's performance reports at
 * once (an adapter's answer, an up-call's return) is applied inside it, so the order of events is the order of facts.
 * Completion up-calls are not made by effects but asked for by them: they wait until a turn of the loop, so that none
 * runs inside an initiating call, and none inside another of its socket (11.4).
 */

import {
  EFFECT_STRIDE,
  InvariantError,
  M,
  type MachineName,
  type MachineRows,
  machineNames,
  snapshotOf,
  System,
  type CompiledMachine,
  type EffectSink,
  type SystemOptions,
} from '../machines/index.ts';
import type { Journal } from './journal/journal.ts';

/** Carries out one effect for a row. */
export type Performer = (row: number, a0: number, a1: number, a2: number, a3: number) => void;

/** Carries out the effects in `sink` from index `from` up to `to`, in order. */
type Perform = (sink: EffectSink, from: number, to: number) => void;

/**
 * Makes the function that carries out effects: each performer has a place of its own that it is called from, since a
 * place that calls many functions can't be compiled for any of them.
 *
 * @param performers - by effect id; none for one that never reaches the driver
 * @param argumentCounts - numbers that each effect has
 */
function performing(performers: readonly (Performer | undefined)[], argumentCounts: readonly number[]): Perform {
  const source = [
    ...performers.map((_, id) => `const perform${id} = performers[${id}];`),
    `return (sink, from, to) => {`,
    `for (let at = from; at < to; at += ${EFFECT_STRIDE}) {`,
    // Looked up anew: what is performed can lead to more effects, and those to a larger buffer.
    `const b = sink.buffer;`,
    `switch (b[at]) {`,
    ...performers.map((performer, id) => {
      if (performer === undefined) return '';
      const given = Array.from({ length: 1 + argumentCounts[id]! }, (__, index) => `b[at + ${index + 1}]`);
      return `case ${id}: perform${id}(${given.join(', ')}); break;`;
    }),
    `} } };`,
  ].join('\n');
  return new Function('performers', source)(performers);
}

/** No answer yet. */
const NONE = -1;
/** Turns in a row whose records have one time. */
const TURNS_OF_ONE_TIME = 64;
/** As many without one mean that time has passed. */
const EMPTY_TURNS_OF_ONE_TIME = 3;

export class Dispatcher {
  readonly system: System;
  readonly #journal: Journal;
  /** This and the next are set by {@link Dispatcher.connect}. */
  #perform!: Perform;
  /** The provider's own row, and what its states refuse with: asked several times in a call. */
  readonly #provider: MachineRows;
  readonly #refusals: Int32Array;
  #answer = NONE;
  /** Requests whose completion up-call is due, in the order of completion. */
  readonly #due: number[] = [];
  #dueHead = 0;
  /** Behind the last one. The array keeps its length: to empty it takes longer than a step. */
  #dueEnd = 0;
  /** Told when an up-call falls due where none was. */
  whenDue: (() => void) | null = null;
  #notify!: (request: number) => boolean;
  readonly #nowUs: () => number;
  #now = 0;
  #isTimeOld = true;
  /** Turns since the clock was read. */
  #turns = 0;
  #emptyTurns = 0;
  /** There was a record since the turn began. */
  #hasRecord = false;

  /**
   * @param journal - gets one record for each event; not closed here
   * @param nowUs - microseconds for the records; only people read them
   * @param options - other routes than production's
   */
  constructor(
    machines: readonly CompiledMachine[],
    journal: (system: System) => Journal,
    nowUs: () => number,
    options: SystemOptions<MachineName> = {},
  ) {
    this.system = new System(machines, options);
    this.#provider = this.system.rows[M.provider]!;
    this.#refusals = this.#provider.machine.refusals;
    this.#journal = journal(this.system);
    this.#nowUs = nowUs;
  }

  get journal(): Journal {
    return this.#journal;
  }

  /**
   * Says who carries out which effect, by `machine/effect`.
   *
   * @param notify - makes the completion up-call of a request; false when it can't be made yet
   * @throws Error when an effect that reaches the driver has no performer, or the other way round
   */
  connect(performers: Readonly<Record<string, Performer>>, notify: (request: number) => boolean): void {
    const { machines } = this.system;
    const left = new Set(Object.keys(performers));
    const found = machines.flatMap(({ effects }, machine) =>
      effects.map(({ name }) => {
        const key = `${machineNames[machine]}/${name}`;
        const performer = performers[key] ?? performers[name];
        left.delete(key);
        left.delete(name);
        if (performer === undefined && this.system.reachesDriver(machineNames[machine]!, name)) {
          throw new Error(`nobody performs effect ${key}`);
        }
        return performer;
      }),
    );
    if (left.size > 0) throw new Error(`no machine has the effects ${[...left].join(', ')}`);
    this.#perform = performing(
      found,
      machines.flatMap(({ effects }) => effects.map(({ parameters }) => parameters.length)),
    );
    this.#notify = notify;
  }

  /** Id of an event, to be kept by who applies it often. */
  event(machine: MachineName, name: string): number {
    return this.system.eventId(machine, name);
  }

  /** Begins a call, or a time in which nothing is done: what is recorded next has one time, which is read with the first. */
  tick(): void {
    this.#isTimeOld = true;
  }

  /**
   * Begins a turn: as {@link Dispatcher.tick} when time may have passed, which is after some turns without a record, as
   * before every sleep, and after many with one. To read the time costs more than a step, and where each system call is
   * slow more than a turn.
   */
  beginTurn(): void {
    this.#emptyTurns = this.#hasRecord ? 0 : this.#emptyTurns + 1;
    if (++this.#turns >= TURNS_OF_ONE_TIME || this.#emptyTurns >= EMPTY_TURNS_OF_ONE_TIME) this.#isTimeOld = true;
    this.#hasRecord = false;
  }

  #readTime(): void {
    this.#now = this.#nowUs();
    this.#isTimeOld = false;
    this.#turns = 0;
  }

  /**
   * Applies one event: step, journal, act. Runs to completion; never awaits.
   *
   * @throws {@link InvariantError} when the driver or a machine is wrong
   */
  apply(event: number, row: number, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0): void {
    const { system } = this;
    const { effects } = system;
    const base = effects.top;
    system.apply(event, row, p0, p1, p2, p3, p4);
    const end = effects.top;
    if (this.#isTimeOld) this.#readTime();
    this.#hasRecord = true;
    // Journalled first: if performing takes the process down, the step that asked for it is on record.
    const machine = system.machineOfEvent(event);
    this.#journal.append(
      event | (system.rows[machine]!.states[row]! << 16) | (((end - base) / EFFECT_STRIDE) << 24),
      row,
      p0,
      p1,
      p2,
      p3,
      p4,
      this.#now,
    );
    if (end > base) this.#perform(effects, base, end);
    effects.top = base;
  }

  /** Applies an SPI call's event. @returns the machines' answer: 0 or an error number */
  call(event: number, row: number, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0): number {
    const outer = this.#answer;
    this.#answer = NONE;
    this.apply(event, row, p0, p1, p2, p3, p4);
    const answer = this.#answer;
    this.#answer = outer;
    if (answer === NONE) {
      const machine = this.system.machineOfEvent(event);
      throw new InvariantError(
        machineNames[machine]!,
        row,
        'a call that nobody answered',
        this.system.rows[machine]!.stateName(row),
        this.system.steps,
      );
    }
    return answer;
  }

  /** The first answer of a call stands: what its performance reports comes before what was planned. */
  answer(error: number): void {
    if (this.#answer === NONE) this.#answer = error;
  }

  /** Asks for the completion up-call of `request`. */
  requestNotification(request: number): void {
    this.#due[this.#dueEnd++] = request;
    if (this.#dueEnd - this.#dueHead === 1) this.whenDue?.();
  }

  /**
   * Makes due completion up-calls, oldest first; those of a socket that is in one stay.
   *
   * @param max - most up-calls to make
   * @returns how many were made
   */
  deliver(max = Number.POSITIVE_INFINITY): number {
    let made = 0;
    let waiting: number[] | null = null;
    while (made < max && this.#dueHead < this.#dueEnd) {
      const request = this.#due[this.#dueHead++]!;
      if (this.#dueHead === this.#dueEnd) this.#dueHead = this.#dueEnd = 0;
      if (this.#notify(request)) made++;
      else {
        waiting ??= [];
        waiting.push(request);
      }
    }
    // They are older than what is left behind them, or nothing is.
    if (waiting !== null) {
      this.#due.splice(this.#dueHead, 0, ...waiting);
      this.#dueEnd += waiting.length;
    }
    return made;
  }

  /** Number of completion up-calls that are due. */
  get dueCount(): number {
    return this.#dueEnd - this.#dueHead;
  }

  /** State of the provider as its machine's `meta` puts it: what a call gets that needs a working provider. */
  get refusal(): number {
    return this.#refusals[this.#provider.states[0]!]!;
  }

  snapshot(): Uint8Array {
    return snapshotOf(this.system);
  }
}
