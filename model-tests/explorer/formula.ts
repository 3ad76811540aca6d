/**
 * Formulas: what can be said of a world's state, as data.
 *
 * Theory of operation: a formula is a small tree, of the same operators as a machine's guards, over what a state holds:
 * which state a row is in, its fields, whose list it is in and where, what it has pinned. A formula of a transition reads
 * the state before as well. There are no quantifiers: a world has few rows, and who builds a formula writes them out
 * ({@link each}, {@link some}, {@link count}). The explorer translates a formula to JavaScript once for each layout;
 * exporters print it in their own language; reports print it for people. All values are integers, and truth is 1 or 0.
 */

import type { BinaryOperator } from '../../machines/index.ts';
import type { Cell, Layout, StateView } from './layout.ts';

/** What a formula reads of a state; `before`: of the state that a transition leads out of. */
export type Reading = { readonly before?: true; readonly machine: string; readonly row: number } & (
  | { readonly op: 'field'; readonly name: string }
  /** 1 when the row is in one of `states`; `closing` stands for `closing.draining` too. */
  | { readonly op: 'in'; readonly states: readonly string[] }
  /** Row in whose list this one is or was in last; -1 when it has been in none since it was new. */
  | { readonly op: 'owner' }
  /** Its place in that list, from 1; 0 when it is in none. */
  | { readonly op: 'place' }
  /** 1 when the row, a request, has pinned the registration. */
  | { readonly op: 'pins'; readonly buffer: number }
);

/** An integer to compute from a state. A plain number is a constant. */
export type Formula =
  | number
  | Reading
  | { readonly op: 'named'; readonly name: string; readonly value: number }
  | { readonly op: BinaryOperator; readonly left: Formula; readonly right: Formula }
  | { readonly op: 'not'; readonly of: Formula }
  | { readonly op: 'if'; readonly test: Formula; readonly yes: Formula; readonly no: Formula };

const binary =
  (op: BinaryOperator) =>
  (left: Formula, right: Formula): Formula => ({ op, left, right });

export const add = binary('+');
export const subtract = binary('-');
export const equal = binary('==');
export const unequal = binary('!=');
export const less = binary('<');
export const atMost = binary('<=');
const both = binary('&&');
const either = binary('||');
export const not = (of: Formula): Formula => ({ op: 'not', of });
export const choose = (test: Formula, yes: Formula, no: Formula): Formula => ({ op: 'if', test, yes, no });
/** A constant that reports call by its name. */
export const named = (name: string, value: number): Formula => ({ op: 'named', name, value });
/** True when every operand is; true of nothing. */
export const all = (...operands: readonly Formula[]): Formula =>
  operands.length === 0 ? 1 : operands.reduce((left, right) => both(left, right));
/** True when some operand is; false of nothing. */
export const any = (...operands: readonly Formula[]): Formula =>
  operands.length === 0 ? 0 : operands.reduce((left, right) => either(left, right));
export const sum = (...operands: readonly Formula[]): Formula =>
  operands.length === 0 ? 0 : operands.reduce((left, right) => add(left, right));
/** Where `left` holds, `right` does. */
export const given = (left: Formula, right: Formula): Formula => either(not(left), right);
/** Both hold or neither does; operands are 1 or 0. */
export const iff = equal;

/** Holds of every one. */
export const each = <T>(ones: readonly T[], holds: (one: T, index: number) => Formula): Formula =>
  all(...ones.map(holds));
/** Holds of some one. */
export const some = <T>(ones: readonly T[], holds: (one: T, index: number) => Formula): Formula =>
  any(...ones.map(holds));
/** Of how many it holds; `holds` is 1 or 0. */
export const count = <T>(ones: readonly T[], holds: (one: T, index: number) => Formula): Formula =>
  sum(...ones.map(holds));

/** One row of a world, to read in formulas. */
export interface Row {
  /** In one of the states; `closing` stands for `closing.draining` too. */
  in(...states: readonly string[]): Formula;
  field(name: string): Formula;
  /** Row in whose list it is or was in last; -1: none. */
  readonly owner: Formula;
  /** Place in that list, from 1; 0: in none. */
  readonly place: Formula;
  /** Whether it, a request, has pinned a registration. */
  pins(buffer: number): Formula;
}

/** Row `number` of `machine`. That the world has it is checked when the formula is translated. */
export const row = (machine: string, number: number): Row => {
  const of = { machine, row: number } as const;
  return {
    in: (...states) => ({ op: 'in', ...of, states }),
    field: (name) => ({ op: 'field', ...of, name }),
    owner: { op: 'owner', ...of },
    place: { op: 'place', ...of },
    pins: (buffer) => ({ op: 'pins', ...of, buffer }),
  };
};

/** The same of the state that a transition leads out of. */
export function before(formula: Formula): Formula {
  if (typeof formula === 'number') return formula;
  switch (formula.op) {
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins':
      return { ...formula, before: true };
    case 'named':
      return formula;
    case 'not':
      return not(before(formula.of));
    case 'if':
      return choose(before(formula.test), before(formula.yes), before(formula.no));
    default:
      return { op: formula.op, left: before(formula.left), right: before(formula.right) };
  }
}
/** A transition leaves it as it was. */
export const kept = (formula: Formula): Formula => equal(before(formula), formula);

/** Calls `visit` for all that `formula` reads. */
export function readings(formula: Formula, visit: (reading: Reading) => void): void {
  if (typeof formula === 'number') return;
  switch (formula.op) {
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins':
      return visit(formula);
    case 'named':
      return;
    case 'not':
      return readings(formula.of, visit);
    case 'if':
      for (const part of [formula.test, formula.yes, formula.no]) readings(part, visit);
      return;
    default:
      readings(formula.left, visit);
      readings(formula.right, visit);
  }
}

/** `formula` for people: `socket 0.queued <= 2`, `socket 0 is closing or broken`, `before(socket 0.queued)`. */
export function formulaText(formula: Formula): string {
  if (typeof formula === 'number') return String(formula);
  const isWord = (part: Formula): boolean =>
    typeof part === 'number' || ['named', 'field', 'owner', 'place', 'pins'].includes(part.op);
  const within = (part: Formula): string => (isWord(part) ? formulaText(part) : `(${formulaText(part)})`);
  switch (formula.op) {
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins':
      return formula.before === true ? `before(${readingText(formula)})` : readingText(formula);
    case 'named':
      return formula.name;
    case 'not':
      return `not ${within(formula.of)}`;
    case 'if':
      return `${within(formula.test)} ? ${within(formula.yes)} : ${within(formula.no)}`;
    case '&&':
    case '||':
    case '+': {
      const word = { '&&': 'and', '||': 'or', '+': '+' }[formula.op];
      const side = (part: Formula) =>
        typeof part !== 'number' && part.op === formula.op ? formulaText(part) : within(part);
      return `${side(formula.left)} ${word} ${side(formula.right)}`;
    }
    default:
      return `${within(formula.left)} ${formula.op} ${within(formula.right)}`;
  }
}

function readingText(reading: Reading): string {
  const of = `${reading.machine} ${reading.row}`;
  switch (reading.op) {
    case 'field':
      return `${of}.${reading.name}`;
    case 'in':
      return `${of} is ${reading.states.join(' or ')}`;
    case 'pins':
      return `${of} pins ${reading.buffer}`;
    default:
      return `${reading.op} of ${of}`;
  }
}

/** A formula as the explorer evaluates it; `before` is read only by formulas of transitions. */
export type Predicate = (state: StateView, before: StateView) => boolean;

/**
 * Translates `formula` to JavaScript over the words of packed states.
 *
 * @throws Error when it names a row, state, field or registration that the world does not have
 */
export function predicateOf(formula: Formula, layout: Layout): Predicate {
  const tables: (readonly number[] | Uint8Array)[] = [];
  const source = sourceOf(formula, layout, (table) => `t[${tables.push(table) - 1}]`);
  return new Function(
    't',
    `'use strict'; return (state, before) => { const w = state.words, a = state.at, v = before.words, b = before.at; return ${source} !== 0; };`,
  )(tables) as Predicate;
}

/** Which of several formulas hold of the state at `state`: bit n of the number is formula n's. */
export type Truths = (state: StateView) => number;

/** Translates `formulas`, of which no more than 31 are, as {@link predicateOf} does one. */
export function truthsOf(formulas: readonly Formula[], layout: Layout): Truths {
  const tables: (readonly number[] | Uint8Array)[] = [];
  const bits = formulas.map((formula, index) => {
    const source = sourceOf(formula, layout, (table) => `t[${tables.push(table) - 1}]`);
    return `(${source} !== 0 ? ${1 << index} : 0)`;
  });
  return new Function(
    't',
    `'use strict'; return (state) => { const w = state.words, a = state.at; return ${bits.join(' | ')}; };`,
  )(tables) as Truths;
}

type Tables = (table: readonly number[] | Uint8Array) => string;

function sourceOf(formula: Formula, layout: Layout, tables: Tables): string {
  const number = (part: Formula): string => sourceOf(part, layout, tables);
  const truth = (part: Formula): string => `${number(part)} !== 0`;
  if (typeof formula === 'number') return String(formula);
  switch (formula.op) {
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins':
      return readingSource(formula, layout, tables);
    case 'named':
      return String(formula.value);
    case 'not':
      return `(${truth(formula.of)} ? 0 : 1)`;
    case 'if':
      return `(${truth(formula.test)} ? ${number(formula.yes)} : ${number(formula.no)})`;
    case '+':
    case '-':
      return `(${number(formula.left)} ${formula.op} ${number(formula.right)})`;
    case '&&':
    case '||':
      return `(${truth(formula.left)} ${formula.op} ${truth(formula.right)} ? 1 : 0)`;
    default:
      return `(${number(formula.left)} ${formula.op === '==' ? '===' : formula.op === '!=' ? '!==' : formula.op} ${number(formula.right)} ? 1 : 0)`;
  }
}

function readingSource(reading: Reading, layout: Layout, tables: Tables): string {
  const [words, at] = reading.before === true ? ['v', 'b'] : ['w', 'a'];
  const cell = cellOf(reading, layout);
  const code =
    cell.mask === 0 ? String(cell.base) : `(${words}[${at} + ${cell.word}] >>> ${cell.shift} & ${cell.mask})`;
  if (reading.op === 'in') {
    const codes = codesOf(reading, cell);
    return codes.length === 1
      ? `(${code} === ${codes[0]} ? 1 : 0)`
      : `${tables(Uint8Array.from(cell.names!, (_, index) => (codes.includes(index) ? 1 : 0)))}[${code}]`;
  }
  if (cell.values !== null) return `${tables(cell.values)}[${code}]`;
  return cell.low === 0 ? code : `(${code} + ${cell.low})`;
}

/** The cell that `reading` reads. @throws Error when the world does not have it */
export function cellOf(reading: Reading, layout: Layout): Cell {
  const of = `${reading.machine} ${reading.row}`;
  const name = { field: reading.op === 'field' ? reading.name : '', in: '', owner: 'owner', place: 'place' };
  const wanted = reading.op === 'pins' ? `pins ${reading.buffer}` : name[reading.op];
  const found = layout.cells.find((cell) => cell.of === of && cell.name === wanted);
  if (found === undefined) throw new Error(`the world has no '${wanted || 'state'}' of ${of}`);
  return found;
}

/** Codes of the configurations that `reading` asks for. @throws Error when a state does not exist */
export function codesOf(reading: Reading & { readonly op: 'in' }, cell: Cell): readonly number[] {
  return reading.states.flatMap((wanted) => {
    const codes = cell.names!.flatMap((full, code) => (full === wanted || full.startsWith(`${wanted}.`) ? [code] : []));
    if (codes.length === 0) throw new Error(`machine '${reading.machine}' has no state '${wanted}'`);
    return codes;
  });
}
