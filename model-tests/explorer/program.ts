/**
 * Program: a world as one flat program, as data; what every engine reads, our own and others.
 *
 * Theory of operation: the state is bounded integers in arrays, one array for each thing that is remembered, one element
 * for each row. What the compiled machines, the routes and the performances do is procedures over them, each of a few
 * kinds of statement; what can happen is rules, each a guard and one call. Nothing else is needed to run the world: lists
 * are owners and places, a machine that is over is made new by assignments. Every procedure says where it comes from.
 *
 * A statement means what it does in any structured language, and: `set` of a value outside the variable's range fails; a
 * row outside its array fails; the first failure ends the rule, which then has no successor and breaks the world.
 * `perform` puts a performance into a queue, with its arguments; `apply` calls a procedure and then carries out, in
 * order, what was put into the queue meanwhile, each of which may `apply` something itself.
 */

import { type BinaryOperator, compute } from '../../machines/index.ts';

/** An integer. Truth is 1 or 0; 0 is false and all else true. */
export type Term =
  | number
  /** Value of a variable in a row. */
  | { readonly op: 'read'; readonly variable: Variable; readonly row: Term }
  /** Parameter or local of the procedure. */
  | { readonly op: 'local'; readonly name: string }
  | { readonly op: BinaryOperator; readonly left: Term; readonly right: Term }
  | { readonly op: 'not'; readonly of: Term }
  | { readonly op: 'if'; readonly test: Term; readonly yes: Term; readonly no: Term };

export type Statement =
  /** Declares a local with its value, until the end of the block. */
  | { readonly do: 'let'; readonly name: string; readonly value: Term }
  /** Changes a local of this block or one around it. */
  | { readonly do: 'assign'; readonly name: string; readonly value: Term }
  | { readonly do: 'set'; readonly variable: Variable; readonly row: Term; readonly value: Term }
  | {
      readonly do: 'if';
      readonly test: Term;
      readonly yes: readonly Statement[];
      readonly no: readonly Statement[];
    }
  /** Cases exclude each other; with none that fits, `otherwise`. */
  | {
      readonly do: 'switch';
      readonly on: Term;
      readonly cases: readonly { readonly values: readonly number[]; readonly body: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  /** The body for each row from 0 to `count` - 1, in the local `name`. */
  | { readonly do: 'for'; readonly name: string; readonly count: number; readonly body: readonly Statement[] }
  | { readonly do: 'call'; readonly procedure: Procedure; readonly args: readonly Term[] }
  | { readonly do: 'perform'; readonly procedure: Procedure; readonly args: readonly Term[] }
  | { readonly do: 'apply'; readonly procedure: Procedure; readonly args: readonly Term[] }
  | { readonly do: 'fail'; readonly reason: string };

/** Something remembered: a configuration, a field, an owner, a place in a list, a pin. */
export interface Variable {
  /** `socket/queued`; `socket/` for the configuration; unlike all others. */
  readonly name: string;
  /** What its rows are rows of, and its name there, as {@link Cell.of} and {@link Cell.name} have them. */
  readonly machine: string;
  readonly field: string;
  readonly low: number;
  readonly high: number;
  /** Its values, ascending, where they are not all from `low` to `high`. */
  readonly values: readonly number[] | null;
  /** Names of the values from 0 on, for a configuration. */
  readonly names: readonly string[] | null;
  /** By row. */
  readonly initial: readonly number[];
}

/** Where a procedure comes from. */
export interface Origin {
  readonly kind: 'event' | 'effect' | 'performance';
  readonly machine: string;
  /** Of the event or effect. */
  readonly name: string;
}

/** Something that rules and other procedures do. */
export interface Procedure {
  readonly number: number;
  readonly origin: Origin;
  /** Rows of its machine: its first parameter, `row`, is one of them, or the call fails. */
  readonly rows: number;
  /** Names of its parameters; the first is `row`. */
  readonly parameters: readonly string[];
  readonly body: readonly Statement[];
}

/** Something that can happen. */
export interface ProgramRule {
  readonly name: string;
  readonly class: string;
  readonly fair: string | null;
  /** Over the state alone. */
  readonly guard: Term;
  /**
   * What happens: first, an event of a row is applied; the other statements make alike what nobody can read any more,
   * and each changes nothing where what it reads is as it was.
   */
  readonly body: readonly Statement[];
}

/** A world as data. */
export interface Program {
  readonly name: string;
  readonly variables: readonly Variable[];
  readonly procedures: readonly Procedure[];
  /** In the order of the world's. */
  readonly rules: readonly ProgramRule[];
}

export const binary = (op: BinaryOperator, left: Term, right: Term): Term => simplify({ op, left, right });
export const readOf = (variable: Variable, row: Term): Term => ({ op: 'read', variable, row });
export const local = (name: string): Term => ({ op: 'local', name });
export const not = (of: Term): Term => simplify({ op: 'not', of });
export const choose = (test: Term, yes: Term, no: Term): Term => simplify({ op: 'if', test, yes, no });
export const conjunction = (terms: readonly Term[]): Term =>
  terms.reduce<Term>((left, right) => binary('&&', left, right), 1);
export const disjunction = (terms: readonly Term[]): Term =>
  terms.reduce<Term>((left, right) => binary('||', left, right), 0);

/** Whether a term is 1 or 0 whatever happens. */
export function isTruth(term: Term): boolean {
  if (typeof term === 'number') return term === 0 || term === 1;
  switch (term.op) {
    case 'read':
      return term.variable.low >= 0 && term.variable.high <= 1;
    case 'local':
    case '+':
    case '-':
      return false;
    case 'if':
      return isTruth(term.yes) && isTruth(term.no);
    default:
      return true;
  }
}

/** `term` with what is constant in it computed; its parts are simple already. */
function simplify(term: Exclude<Term, number>): Term {
  switch (term.op) {
    case 'read':
    case 'local':
      return term;
    case 'not':
      if (typeof term.of === 'number') return term.of === 0 ? 1 : 0;
      return term;
    case 'if':
      if (typeof term.test === 'number') return term.test === 0 ? term.no : term.yes;
      return JSON.stringify(term.yes) === JSON.stringify(term.no) ? term.yes : term;
    default:
      return simplifyBinary(term);
  }
}

function simplifyBinary(term: Extract<Term, { op: BinaryOperator }>): Term {
  const { op, left, right } = term;
  if (typeof left === 'number' && typeof right === 'number') return compute(op, left, right);
  if (op === '&&' || op === '||') {
    const neutral = op === '&&' ? 1 : 0;
    for (const [side, other] of [
      [left, right],
      [right, left],
    ] as const) {
      if (typeof side !== 'number') continue;
      const isNeutral = (side === 0 ? 0 : 1) === neutral;
      if (!isNeutral) return 1 - neutral;
      if (isTruth(other)) return other;
    }
  }
  if ((op === '+' || op === '-') && right === 0) return left;
  return term;
}

/** `term` with its locals, and then its reads, replaced by what is given for them; `null` leaves them. */
export function substitute(
  term: Term,
  localTo: (name: string) => Term | null,
  readTo: (variable: Variable, row: Term) => Term | null = () => null,
): Term {
  if (typeof term === 'number') return term;
  const inner = (part: Term): Term => substitute(part, localTo, readTo);
  switch (term.op) {
    case 'local':
      return localTo(term.name) ?? term;
    case 'read': {
      const row = inner(term.row);
      return readTo(term.variable, row) ?? { ...term, row };
    }
    case 'not':
      return not(inner(term.of));
    case 'if':
      return choose(inner(term.test), inner(term.yes), inner(term.no));
    default:
      return binary(term.op, inner(term.left), inner(term.right));
  }
}

/** Lowest and highest value that a term can have; locals as `localRange` says, and reads, unless `null`, as `readRange`. */
export function rangeOf(
  term: Term,
  localRange: (name: string) => readonly [number, number],
  readRange: (term: Term) => readonly [number, number] | null = () => null,
): readonly [number, number] {
  if (typeof term === 'number') return [term, term];
  switch (term.op) {
    case 'read':
      return readRange(term) ?? [term.variable.low, term.variable.high];
    case 'local':
      return localRange(term.name);
    case '+':
    case '-': {
      const [leftLow, leftHigh] = rangeOf(term.left, localRange, readRange);
      const [rightLow, rightHigh] = rangeOf(term.right, localRange, readRange);
      return term.op === '+' ? [leftLow + rightLow, leftHigh + rightHigh] : [leftLow - rightHigh, leftHigh - rightLow];
    }
    case 'if': {
      const [yesLow, yesHigh] = rangeOf(term.yes, localRange, readRange);
      const [noLow, noHigh] = rangeOf(term.no, localRange, readRange);
      return [Math.min(yesLow, noLow), Math.max(yesHigh, noHigh)];
    }
    default:
      return [0, 1];
  }
}
