/**
 * Stepper: one event applied to one row of a compiled machine, in place, without allocating.
 *
 * Theory of operation: a machine's instances are rows of typed-array columns: the configuration and one column for each
 * field, no wider than its range. The code array of the tables is translated to JavaScript once, one `switch` case for
 * each program, with guards and updates inlined; measured against an interpreter of the same array it is several times
 * faster, and the translation is short enough to read. Emitted effects go to a sink of numbers that the caller empties.
 *
 * Nothing else writes a configuration or a field, but the creation of a row.
 */

import { bounds, type Domain } from './contract.ts';
import { type CompiledMachine, Op, type Update } from './compile.ts';
import { type SourceNames, toCondition, toSource } from './expression.ts';

/** Numbers that one emitted effect takes in a sink: effect id, row, up to six arguments. */
export const EFFECT_STRIDE = 8;
/** Parameters of an event at most. */
export const PARAMETERS_MAX = 5;

/** Where steps put their effects; `top` is the index behind the last one. */
export interface EffectSink {
  buffer: Float64Array;
  top: number;
}

export type Column = Uint8Array | Uint16Array | Int32Array | Uint32Array;

/** Applies event `event` to `row`. @returns 1 when it was accepted, 0 when not (then nothing changed) */
export type StepFunction = (
  row: number,
  event: number,
  p0: number,
  p1: number,
  p2: number,
  p3: number,
  p4: number,
) => 0 | 1;

/** The narrowest column that holds every value of `domain`. @throws RangeError beyond 32 bits */
function columnFor(domain: Domain, rows: number): Column {
  const { low, high } = bounds(domain);
  if (low < 0) {
    if (low >= -0x8000_0000 && high <= 0x7fff_ffff) return new Int32Array(rows);
  } else {
    if (high <= 0xff) return new Uint8Array(rows);
    if (high <= 0xffff) return new Uint16Array(rows);
    if (high <= 0xffff_ffff) return new Uint32Array(rows);
  }
  throw new RangeError(`no column holds ${low} to ${high}`);
}

/** Takes the columns that rows are in. */
export type Bind = (states: Uint8Array | Uint16Array, columns: readonly Column[]) => void;

/** Rows of one machine, and the function that steps them. */
export class MachineRows {
  readonly machine: CompiledMachine;
  /** Rows that were in use at some time; those above are as created. */
  used = 0;
  /** Configuration of each row. */
  states: Uint8Array | Uint16Array;
  /** Fields, in the order of the machine's. */
  columns: Column[];
  readonly step: StepFunction;
  /** Makes a row a new instance. */
  readonly create: (row: number) => void;
  readonly #binds: Bind[] = [];

  /**
   * @param effectBase - id of the machine's first effect in `sink`
   * @param sink - gets the effects; must have room for {@link CompiledMachine.effectsMax} more at each step
   */
  constructor(machine: CompiledMachine, effectBase: number, sink: EffectSink, rows = 16) {
    this.machine = machine;
    this.states = machine.configurations.length <= 0x100 ? new Uint8Array(rows) : new Uint16Array(rows);
    this.columns = machine.fields.map(({ domain }) => columnFor(domain, rows));
    for (const [index, { initial }] of machine.fields.entries()) this.columns[index]!.fill(initial);
    const made = stepperOf(machine, effectBase)(sink);
    this.step = made.step;
    this.create = made.create;
    this.bind(made.bind);
  }

  /** Tells `bind` now, and whenever the rows move, where they are. */
  bind(bind: Bind): void {
    this.#binds.push(bind);
    bind(this.states, this.columns);
  }

  /** Makes room for `row`; columns grow by doubling. */
  ensure(row: number): void {
    if (row < this.used) return;
    this.used = row + 1;
    if (row < this.states.length) return;
    const rows = Math.max(row + 1, this.states.length * 2);
    const states = this.states instanceof Uint8Array ? new Uint8Array(rows) : new Uint16Array(rows);
    states.set(this.states);
    this.columns = this.machine.fields.map(({ domain, initial }, index) => {
      const column = columnFor(domain, rows);
      const old = this.columns[index]!;
      column.set(old);
      column.fill(initial, old.length);
      return column;
    });
    this.states = states;
    for (const bind of this.#binds) bind(states, this.columns);
  }

  /** Name of the configuration that `row` is in. */
  stateName(row: number): string {
    return this.machine.configurations[this.states[row] ?? 0]!;
  }

  /** Memory of `row`, by name. */
  context(row: number): Record<string, number> {
    return Object.fromEntries(this.machine.fields.map(({ name }, index) => [name, this.columns[index]![row] ?? 0]));
  }

  /** Puts `row` into a configuration and memory: for tests and checkers that start in the middle. */
  place(row: number, configuration: number, values: readonly number[]): void {
    this.ensure(row);
    this.states[row] = configuration;
    for (let index = 0; index < values.length; index++) this.columns[index]![row] = values[index]!;
  }
}

type Stepper = (sink: EffectSink) => {
  step: StepFunction;
  create: (row: number) => void;
  bind: Bind;
};
const steppers = new WeakMap<CompiledMachine, Map<number, Stepper>>();

/** Translates a machine once, however many systems it runs in. */
function stepperOf(machine: CompiledMachine, effectBase: number): Stepper {
  const made = steppers.get(machine) ?? new Map<number, Stepper>();
  steppers.set(machine, made);
  let stepper = made.get(effectBase);
  if (stepper === undefined) {
    stepper = new Function('sink', stepperSource(machine, effectBase)) as Stepper;
    made.set(effectBase, stepper);
  }
  return stepper;
}

/** JavaScript of the function body that makes `{ step, create, bind }` for `machine`. */
export function stepperSource(machine: CompiledMachine, effectBase: number): string {
  const columns = machine.fields.map((_, index) => `c${index}`);
  const programs = [...new Set(machine.dispatch)];
  const cases = new Map(programs.map((start, index) => [start, index]));
  const table = Array.from(machine.dispatch, (start) => cases.get(start));
  const emission: Emission = {
    effect: (effect, args) =>
      [
        `{ const b = sink.buffer, t = sink.top; b[t] = ${effectBase + effect}; b[t + 1] = row;`,
        ...args.map((value, index) => `b[t + ${index + 2}] = ${value};`),
        `sink.top = t + ${EFFECT_STRIDE}; }`,
      ].join('\n'),
    accept: (configuration) => `states[row] = ${configuration}; return 1;`,
    reject: 'return 0;',
  };
  return [
    `'use strict';`,
    `const dispatch = new ${programs.length <= 0x100 ? 'Uint8Array' : 'Uint16Array'}([${table.join()}]);`,
    `let states, ${columns.length === 0 ? 'none' : columns.join(', ')};`,
    `const bind = (s, columns) => { states = s; [${columns.join(', ')}] = columns; };`,
    `const step = (row, event, p0, p1, p2, p3, p4) => {`,
    `switch (dispatch[states[row] * ${machine.events.length} + event]) {`,
    ...programs.map((start, index) => {
      const names = namesFor(machine, start, (field) => `c${field}`);
      return `case ${index}: {${programSource(machine, start, names, emission)}}`;
    }),
    `} return 0; };`,
    `const create = (row) => { states[row] = 0; ${machine.fields.map(({ initial }, index) => `c${index}[row] = ${initial};`).join(' ')} };`,
    `return { step, create, bind };`,
  ].join('\n');
}

/** How generated code does what a program says, and where it goes from there. */
export interface Emission {
  /** An effect; `args` are expressions that have no side effect. */
  effect(effect: number, args: readonly string[]): string;
  /** The event is accepted; `emitted` are the effects on the way there, as {@link Emission.effect} was told of them. */
  accept(configuration: number, emitted: readonly Emitted[]): string;
  readonly reject: string;
  /** What is stored in `field` when its value is to be `value`; that itself when this is absent. */
  store?(field: number, value: string): string;
}

/** An effect on the way of a program, with the names of its arguments. */
export interface Emitted {
  readonly effect: number;
  readonly args: readonly string[];
}

/** JavaScript of the program at `start`; every way through it ends in what `emission` accepts or rejects with. */
export function programSource(
  machine: CompiledMachine,
  start: number,
  names: SourceNames & { field(index: number): string },
  emission: Emission,
): string {
  const lines: string[] = [];
  let temporary = 0;
  /** A name for what `source` is now: memory can have changed by the time that it is needed. */
  const kept = (source: string): string => {
    if (/^(-?\d+|p\d)$/.test(source)) return source;
    const name = `t${temporary++}`;
    lines.push(`const ${name} = ${source};`);
    return name;
  };
  const emit = (at: number, before: readonly Emitted[]): void => {
    const emitted = [...before];
    let pc = at;
    for (;;) {
      switch (machine.code[pc]) {
        case Op.guard: {
          lines.push(`if (${toCondition(machine.guards[machine.code[pc + 1]!]!, names)}) {`);
          emit(pc + 3, emitted);
          lines.push('}');
          pc = machine.code[pc + 2]!;
          break;
        }
        case Op.update: {
          const update: Update = machine.updates[machine.code[pc + 1]!]!;
          const stored = update.map(({ field, value }) => {
            const source = kept(toSource(value, names));
            return `${names.field(field)} = ${emission.store?.(field, source) ?? source};`;
          });
          lines.push(stored.join(' '));
          pc += 2;
          break;
        }
        case Op.effect: {
          const call = machine.calls[machine.code[pc + 1]!]!;
          const { effect } = call;
          const args = call.args.map((value) => kept(toSource(value, names)));
          lines.push(emission.effect(effect, args));
          emitted.push({ effect, args });
          pc += 2;
          break;
        }
        case Op.goto:
          lines.push(emission.accept(machine.code[pc + 1]!, emitted));
          return;
        default:
          lines.push(emission.reject);
          return;
      }
    }
  };
  emit(start, []);
  return lines.filter((line) => line !== '').join('\n');
}

/** Names for the program at `start`: fields are columns, parameters are positions in the signature of the events that run it. */
export function namesFor(
  machine: CompiledMachine,
  start: number,
  column: (field: number) => string,
): SourceNames & { field(index: number): string } {
  const cell = machine.dispatch.indexOf(start);
  const { parameters } = machine.events[cell % machine.events.length]!;
  const field = (index: number): string => `${column(index)}[row]`;
  return {
    field,
    context: (name) => field(machine.fields.findIndex((candidate) => candidate.name === name)),
    event: (name) => `p${parameters.findIndex((parameter) => parameter.name === name)}`,
  };
}
