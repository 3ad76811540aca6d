/**
 * Translates a program into a circuit, by running it on all states at once.
 *
 * Theory of operation: a value is a set of numbers, each with the condition under which it is the value. A branch runs on
 * a state of its own, in which what it has tested is known; behind it the states are merged. Taken alone that would
 * follow calls that can never come about, without end. So the program is run first on states that an explicit search has
 * reached, and the branches taken are noted, each by all the calls that led to it. A branch that none of them took is
 * apart: an engine that proves that nobody ever goes there has proved that too, and one that finds a way there has found
 * a state that was not among those.
 */

import { compute } from '../../machines/index.ts';
import { isConstant } from '../explorer/print-specialised.ts';
import type { Procedure, Program, Statement, Term, Variable } from '../explorer/program.ts';
import { type Circuit, FALSE, type Literal, negate, TRUE } from './aiger.ts';

/** Condition of each number that a value may be. */
export type Value = ReadonlyMap<number, Literal>;
export const constant = (value: number): Value => new Map([[value, TRUE]]);

/** Branches taken, and what was called in them. */
export class Taken {
  readonly #inner = new Map<string, Taken>();
  /** What was taken at `site`; made when `noting`. */
  at(site: string, noting: boolean): Taken | null {
    let found = this.#inner.get(site) ?? null;
    if (found === null && noting) {
      found = new Taken();
      this.#inner.set(site, found);
    }
    return found;
  }
}

/** Values of all variables: those that changed, over an older state. */
class State {
  readonly changed = new Map<string, Value>();
  /** What its branch has tested; no change. */
  readonly known = new Map<string, Value>();
  readonly #under: State | null;

  constructor(under: State | null) {
    this.#under = under;
  }

  get(key: string): Value {
    return this.changed.get(key) ?? this.known.get(key) ?? this.#under!.get(key);
  }
}

const keyOf = (variable: Variable, row: number): string => `${variable.name} ${row}`;

interface Waiting {
  readonly when: Literal;
  readonly procedure: Procedure;
  readonly args: readonly Value[];
}

/** One run. */
export class Run {
  readonly #circuit: Circuit;
  readonly #noting: boolean;
  #state: State;
  #waiting: Waiting[] = [];
  /** When something failed. */
  failed: Literal = FALSE;
  /** When a branch was taken that is not known; then nothing else here counts. */
  strayed: Literal = FALSE;

  /** @param noting - the state is one state: branches are noted, not looked up */
  constructor(circuit: Circuit, values: ReadonlyMap<string, Value>, noting: boolean) {
    this.#circuit = circuit;
    this.#noting = noting;
    this.#state = new State(null);
    for (const [key, value] of values) this.#state.changed.set(key, value);
  }

  /** Value of a variable now. */
  value(variable: Variable, row: number): Value {
    return isConstant(variable) ? constant(variable.low) : this.#state.get(keyOf(variable, row));
  }

  /** When a term over the state is true. */
  condition(term: Term, locals: ReadonlyMap<string, Value> = new Map()): Literal {
    let literal: Literal = FALSE;
    for (const [value, when] of this.#evaluate(term, locals)) {
      if (value !== 0) literal = this.#circuit.or(literal, when);
    }
    return literal;
  }

  /** Runs `statements` when `when`. */
  block(statements: readonly Statement[], when: Literal, locals: Map<string, Value>, taken: Taken): void {
    for (const [index, statement] of statements.entries()) {
      if (when === FALSE) return;
      this.#statement(statement, when, locals, taken, String(index));
    }
  }

  #fail(when: Literal): void {
    this.failed = this.#circuit.or(this.failed, when);
  }

  #stray(when: Literal): void {
    this.strayed = this.#circuit.or(this.strayed, when);
  }

  #statement(statement: Statement, when: Literal, locals: Map<string, Value>, taken: Taken, site: string): void {
    switch (statement.do) {
      case 'let':
        locals.set(statement.name, this.#evaluate(statement.value, locals));
        return;
      case 'assign': {
        const value = this.#evaluate(statement.value, locals);
        locals.set(statement.name, this.#merge(when, value, locals.get(statement.name)!));
        return;
      }
      case 'set':
        return this.#set(
          statement.variable,
          this.#evaluate(statement.row, locals),
          this.#evaluate(statement.value, locals),
          when,
        );
      case 'if': {
        const test = this.condition(statement.test, locals);
        return this.#branches(
          [
            { name: 'yes', when: test, body: statement.yes, knows: this.#known(statement.test, locals) },
            { name: 'no', when: negate(test), body: statement.no, knows: null },
          ],
          when,
          locals,
          taken,
          site,
        );
      }
      case 'switch': {
        const on = this.#evaluate(statement.on, locals);
        const cases = new Map<readonly Statement[], number[]>();
        for (const value of on.keys()) {
          const body = statement.cases.find(({ values }) => values.includes(value))?.body ?? statement.otherwise;
          cases.set(body, [...(cases.get(body) ?? []), value]);
        }
        // Each value on its own: then it is known.
        const branches = [...cases].flatMap(([body, values]) =>
          values.map((value) => ({
            name: String(value),
            when: on.get(value)!,
            body,
            knows: this.#place(statement.on, locals, value),
          })),
        );
        return this.#branches(branches, when, locals, taken, site);
      }
      case 'for':
        for (let index = 0; index < statement.count; index++) {
          locals.set(statement.name, constant(index));
          const inner = taken.at(`${site}.${index}`, this.#noting);
          if (inner === null) return this.#stray(when);
          this.block(statement.body, when, locals, inner);
        }
        return;
      case 'call':
        return this.#call(statement.procedure, this.#all(statement.args, locals), when, taken, site);
      case 'perform':
        this.#waiting.push({ when, procedure: statement.procedure, args: this.#all(statement.args, locals) });
        return;
      case 'apply': {
        const outer = this.#waiting;
        this.#waiting = [];
        this.#call(statement.procedure, this.#all(statement.args, locals), when, taken, site);
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const { when: asked, procedure, args } of waiting) {
          const outside = this.#state;
          this.#state = new State(outside);
          this.#call(procedure, args, this.#circuit.and(when, asked), taken, `${site} performs ${procedure.number}`);
          this.#join(outside, [{ when: asked, state: this.#state }]);
        }
        this.#waiting = outer;
        return;
      }
      case 'fail':
        return this.#fail(when);
    }
  }

  #all(terms: readonly Term[], locals: ReadonlyMap<string, Value>): readonly Value[] {
    return terms.map((term) => this.#evaluate(term, locals));
  }

  #call(procedure: Procedure, args: readonly Value[], when: Literal, taken: Taken, site: string): void {
    const [rows] = args;
    const outer = this.#state;
    const ends: { readonly when: Literal; readonly state: State }[] = [];
    for (const [row, isRow] of rows!) {
      const here = this.#circuit.and(when, isRow);
      if (here === FALSE) continue;
      if (row < 0 || row >= procedure.rows) {
        this.#fail(here);
        continue;
      }
      const inner = taken.at(`${site} calls ${procedure.number} ${row}`, this.#noting);
      if (inner === null) {
        this.#stray(here);
        continue;
      }
      this.#state = new State(outer);
      const locals = new Map(
        procedure.parameters.map((name, index) => [name, index === 0 ? constant(row) : args[index]!]),
      );
      this.block(procedure.body, here, locals, inner);
      ends.push({ when: isRow, state: this.#state });
    }
    this.#join(outer, ends);
  }

  #branches(
    branches: readonly {
      readonly name: string;
      readonly when: Literal;
      readonly body: readonly Statement[];
      readonly knows: { readonly key: string; readonly value: number } | null;
    }[],
    when: Literal,
    locals: Map<string, Value>,
    taken: Taken,
    site: string,
  ): void {
    const outer = this.#state;
    const ends: { readonly when: Literal; readonly state: State }[] = [];
    for (const branch of branches) {
      const here = this.#circuit.and(when, branch.when);
      if (here === FALSE || branch.body.length === 0) continue;
      const inner = taken.at(`${site} ${branch.name}`, this.#noting);
      if (inner === null) {
        this.#stray(here);
        continue;
      }
      this.#state = new State(outer);
      if (branch.knows !== null) this.#state.known.set(branch.knows.key, constant(branch.knows.value));
      this.block(branch.body, here, locals, inner);
      ends.push({ when: branch.when, state: this.#state });
    }
    this.#join(outer, ends);
  }

  /** Goes on with the state of whichever end's condition holds; with `outer` where none does. */
  #join(outer: State, ends: readonly { readonly when: Literal; readonly state: State }[]): void {
    this.#state = outer;
    const only = ends.length === 1 && ends[0]!.when === TRUE;
    const keys = new Set(ends.flatMap(({ state }) => [...state.changed.keys()]));
    for (const key of keys) {
      let value = outer.get(key);
      for (const { when, state } of ends) {
        if (state.changed.has(key)) value = only ? state.get(key) : this.#merge(when, state.get(key), value);
      }
      outer.changed.set(key, value);
    }
  }

  #set(variable: Variable, rows: Value, value: Value, when: Literal): void {
    for (const [row, isRow] of rows) {
      const here = this.#circuit.and(when, isRow);
      if (here === FALSE) continue;
      if (row < 0 || row >= variable.initial.length) {
        this.#fail(here);
        continue;
      }
      const inside = new Map<number, Literal>();
      for (const [number, is] of value) {
        const isIn =
          variable.values === null
            ? number >= variable.low && number <= variable.high
            : variable.values.includes(number);
        if (isIn) inside.set(number, is);
        else this.#fail(this.#circuit.and(here, is));
      }
      if (isConstant(variable) || inside.size === 0) continue;
      const key = keyOf(variable, row);
      // Within a branch its condition holds: only the choice of the row is one.
      this.#state.changed.set(key, this.#merge(isRow, inside, this.#state.get(key)));
    }
  }

  #merge(test: Literal, yes: Value, no: Value): Value {
    if (test === TRUE) return yes;
    if (test === FALSE) return no;
    const merged = new Map<number, Literal>();
    for (const value of new Set([...yes.keys(), ...no.keys()])) {
      const literal = this.#circuit.choose(test, yes.get(value) ?? FALSE, no.get(value) ?? FALSE);
      if (literal !== FALSE) merged.set(value, literal);
    }
    return merged;
  }

  /** What is known when a test of one place against a constant succeeds. */
  #known(test: Term, locals: ReadonlyMap<string, Value>): { key: string; value: number } | null {
    if (typeof test === 'number' || test.op !== '==' || typeof test.right !== 'number') return null;
    return this.#place(test.left, locals, test.right);
  }

  #place(term: Term, locals: ReadonlyMap<string, Value>, value: number): { key: string; value: number } | null {
    if (typeof term === 'number' || term.op !== 'read' || isConstant(term.variable)) return null;
    const rows = this.#evaluate(term.row, locals);
    const [row] = rows.keys();
    return rows.size === 1 && row! >= 0 && row! < term.variable.initial.length
      ? { key: keyOf(term.variable, row!), value }
      : null;
  }

  #evaluate(term: Term, locals: ReadonlyMap<string, Value>): Value {
    if (typeof term === 'number') return constant(term);
    switch (term.op) {
      case 'local':
        return locals.get(term.name)!;
      case 'read': {
        const rows = this.#evaluate(term.row, locals);
        const values = new Map<number, Literal>();
        for (const [row, isRow] of rows) {
          // A row that isn't there is met by who writes to it, or calls it.
          if (row < 0 || row >= term.variable.initial.length) continue;
          for (const [value, is] of this.value(term.variable, row)) {
            const both = this.#circuit.and(isRow, is);
            if (both !== FALSE) values.set(value, this.#circuit.or(values.get(value) ?? FALSE, both));
          }
        }
        return values;
      }
      case 'not':
        return this.#truth(negate(this.condition(term.of, locals)));
      case 'if': {
        const test = this.condition(term.test, locals);
        return this.#merge(test, this.#evaluate(term.yes, locals), this.#evaluate(term.no, locals));
      }
      case '&&':
        return this.#truth(this.#circuit.and(this.condition(term.left, locals), this.condition(term.right, locals)));
      case '||':
        return this.#truth(this.#circuit.or(this.condition(term.left, locals), this.condition(term.right, locals)));
      default: {
        const values = new Map<number, Literal>();
        const right = this.#evaluate(term.right, locals);
        for (const [one, isOne] of this.#evaluate(term.left, locals)) {
          for (const [other, isOther] of right) {
            const value = compute(term.op, one, other);
            const both = this.#circuit.and(isOne, isOther);
            if (both !== FALSE) values.set(value, this.#circuit.or(values.get(value) ?? FALSE, both));
          }
        }
        return values;
      }
    }
  }

  #truth(literal: Literal): Value {
    if (literal === TRUE) return constant(1);
    if (literal === FALSE) return constant(0);
    return new Map([
      [0, negate(literal)],
      [1, literal],
    ]);
  }
}

/** Places of a program's state: one for each variable that changes and each row. */
export function placesOf({
  variables,
}: Program): readonly { readonly key: string; readonly variable: Variable; readonly row: number }[] {
  return variables
    .filter((variable) => !isConstant(variable))
    .flatMap((variable) => variable.initial.map((_, row) => ({ key: keyOf(variable, row), variable, row })));
}
