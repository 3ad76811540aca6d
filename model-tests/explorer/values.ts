/**
 * Values: what each variable of a program can ever be, and which procedures ever run for which row.
 *
 * Theory of operation: abstract interpretation. Of each variable, in each row, a set of values is kept, which begins with
 * the initial one; rules are gone through until no set grows any more. Locals are followed through a procedure, and each
 * procedure once for each tuple of constant arguments, as it is printed; what is not constant is joined over its callers.
 * The order of steps is ignored, so the sets hold all that can be, and more. A search uses them to leave out what is
 * always the same: most rows of most worlds are never all that their machine can be.
 */

import { compute } from '../../machines/index.ts';
import type { Procedure, Program, Statement, Term, Variable } from './program.ts';
import type { Symmetry } from './symmetry.ts';

/** One value, or some. */
type Values = number | ReadonlySet<number>;
type Locals = Map<string, Values>;

/** What can be, in one program. */
export interface Reachable {
  /** All that `variable` can be in row `row`, and maybe more. */
  values(variable: Variable, row: number): ReadonlySet<number>;
  /** Whether `procedure` may ever run for row `row`. */
  runs(procedure: Procedure, row: number): boolean;
}

/** Computes it. @param symmetry - what a search may exchange; then what one row can be, all it can be exchanged with can */
export function reachable(program: Program, symmetry: Symmetry | undefined): Reachable {
  return new Interpreter(program, symmetry);
}

/** Arguments of one procedure that are joined over its callers. */
interface Instance {
  readonly args: Values[];
  /** {@link Interpreter.#version} when its body was gone through last. */
  version: number;
}

/** More would not come to an end: something counts in an argument. */
const INSTANCES_MAX = 200_000;

class Interpreter implements Reachable {
  readonly #program: Program;
  readonly #sets = new Map<Variable, readonly Set<number>[]>();
  /** Rows that what a variable names can be exchanged with. */
  readonly #names = new Map<Variable, readonly (readonly number[])[]>();
  readonly #instances = new Map<string, Instance>();
  readonly #runs = new Set<string>();
  /** Counts growths. */
  #version = 1;
  /** Version when this pass over all rules began. */
  #pass = 0;

  constructor(program: Program, { groups, references }: Symmetry = { groups: [], references: {} }) {
    this.#program = program;
    for (const variable of program.variables) {
      const sets = variable.initial.map((value) => new Set([value]));
      // Rows that can be exchanged have one set.
      for (const { machines, rows } of groups) {
        if (!machines.includes(variable.machine)) continue;
        const shared = new Set(rows.map((row) => variable.initial[row]!));
        for (const row of rows) sets[row] = shared;
      }
      this.#sets.set(variable, sets);
      const named = references[variable.name]?.of;
      const others = groups.filter(({ machines }) => named !== undefined && machines.includes(named));
      this.#names.set(
        variable,
        others.map(({ rows }) => rows),
      );
    }
    for (let before = 0; before !== this.#version; ) {
      before = this.#version;
      this.#pass++;
      for (const { guard, body } of this.#program.rules) {
        if (canBe(this.#value(guard, new Map()), true)) this.#block(body, new Map());
      }
    }
  }

  values(variable: Variable, row: number): ReadonlySet<number> {
    return this.#sets.get(variable)![row]!;
  }

  runs({ number }: Procedure, row: number): boolean {
    return this.#runs.has(`${number} ${row}`);
  }

  /** @returns whether what stands behind it can be come to */
  #block(statements: readonly Statement[], locals: Locals): boolean {
    return statements.every((statement) => this.#statement(statement, locals));
  }

  #statement(statement: Statement, locals: Locals): boolean {
    switch (statement.do) {
      case 'let':
      case 'assign':
        locals.set(statement.name, this.#value(statement.value, locals));
        return true;
      case 'set':
        return this.#set(statement.variable, this.#value(statement.row, locals), this.#value(statement.value, locals));
      case 'if': {
        const test = this.#value(statement.test, locals);
        return this.#branches(locals, [
          ...(canBe(test, true) ? [{ body: statement.yes, where: refined(locals, statement.test, true) }] : []),
          ...(canBe(test, false) ? [{ body: statement.no, where: refined(locals, statement.test, false) }] : []),
        ]);
      }
      case 'switch': {
        const on = this.#value(statement.on, locals);
        const left = new Set(each(on));
        const taken = statement.cases.flatMap(({ values, body }) => {
          const fits = values.filter((value) => left.delete(value));
          return fits.length > 0 ? [{ body, where: new Map(locals) }] : [];
        });
        return this.#branches(locals, [
          ...taken,
          ...(left.size > 0 ? [{ body: statement.otherwise, where: new Map(locals) }] : []),
        ]);
      }
      case 'for':
        for (let index = 0; index < statement.count; index++) {
          locals.set(statement.name, index);
          if (!this.#block(statement.body, locals)) return false;
        }
        return true;
      case 'call':
      case 'apply':
      case 'perform': {
        const [rows, ...args] = statement.args.map((arg) => this.#value(arg, locals));
        for (const row of each(rows!)) this.#call(statement.procedure, row, args);
        return true;
      }
      case 'fail':
        return false;
    }
  }

  #branches(locals: Locals, branches: readonly { readonly body: readonly Statement[]; readonly where: Locals }[]) {
    const ends = branches.filter(({ body, where }) => this.#block(body, where)).map(({ where }) => where);
    if (ends.length === 0) return false;
    // Locals of the branches themselves are read by nobody else.
    for (const name of locals.keys()) locals.set(name, ends.map((where) => where.get(name)!).reduce(join));
    return true;
  }

  #set(variable: Variable, rows: Values, values: Values): boolean {
    const { low, high, values: codes } = variable;
    const exchanged = this.#names.get(variable)!.filter((rows) => rows.some((row) => has(values, row)));
    const fits = [...each(values), ...exchanged.flat()].filter((value) =>
      codes === null ? value >= low && value <= high : codes.includes(value),
    );
    let stored = false;
    for (const row of each(rows)) {
      const set = this.#sets.get(variable)![row];
      if (set === undefined) continue;
      for (const value of fits) {
        stored = true;
        if (set.has(value)) continue;
        set.add(value);
        this.#version++;
      }
    }
    return stored;
  }

  #call(procedure: Procedure, row: number, args: readonly Values[]): void {
    if (row < 0 || row >= procedure.rows) return;
    const key = `${procedure.number} ${row} ${args.map((arg) => (typeof arg === 'number' ? arg : '?')).join()}`;
    let instance = this.#instances.get(key);
    if (instance === undefined) {
      if (this.#instances.size === INSTANCES_MAX) throw new RangeError(`'${this.#program.name}': too many procedures`);
      instance = { args: [...args], version: 0 };
      this.#instances.set(key, instance);
      this.#runs.add(`${procedure.number} ${row}`);
    } else {
      let grows = false;
      for (const [index, arg] of args.entries()) {
        const known = instance.args[index]!;
        if (typeof known === 'number' || [...each(arg)].every((value) => known.has(value))) continue;
        instance.args[index] = join(known, arg);
        grows = true;
      }
      // Once in each pass; and once more for new arguments.
      if (instance.version === this.#pass && !grows) return;
    }
    instance.version = this.#pass;
    const { parameters, body } = procedure;
    const locals: Locals = new Map([[parameters[0]!, row]]);
    for (const [index, arg] of instance.args.entries()) locals.set(parameters[index + 1]!, arg);
    this.#block(body, locals);
  }

  #value(term: Term, locals: Locals): Values {
    if (typeof term === 'number') return term;
    switch (term.op) {
      case 'local':
        return locals.get(term.name)!;
      case 'read': {
        const sets = this.#sets.get(term.variable)!;
        const rows = [...each(this.#value(term.row, locals))].filter((row) => sets[row] !== undefined);
        return rows.map((row) => few(sets[row]!)).reduce(join, none);
      }
      case 'not':
        return truths(this.#value(term.of, locals), (value) => !value);
      case 'if': {
        const test = this.#value(term.test, locals);
        if (!canBe(test, false)) return this.#value(term.yes, locals);
        if (!canBe(test, true)) return this.#value(term.no, locals);
        return join(this.#value(term.yes, locals), this.#value(term.no, locals));
      }
      case '&&':
      case '||': {
        const left = this.#value(term.left, locals);
        const decided = term.op === '||';
        if (!canBe(left, !decided)) return Number(decided);
        const right = truths(this.#value(term.right, locals), (value) => value);
        return canBe(left, decided) ? join(right, Number(decided)) : right;
      }
      default: {
        const left = this.#value(term.left, locals);
        const right = this.#value(term.right, locals);
        if (typeof left === 'number' && typeof right === 'number') return compute(term.op, left, right);
        const found = new Set<number>();
        for (const one of each(left)) for (const other of each(right)) found.add(compute(term.op, one, other));
        return few(found);
      }
    }
  }
}

const none: ReadonlySet<number> = new Set();
const each = (values: Values): Iterable<number> => (typeof values === 'number' ? [values] : values);
const has = (values: Values, value: number): boolean =>
  typeof values === 'number' ? values === value : values.has(value);
const few = (set: ReadonlySet<number>): Values => (set.size === 1 ? set.values().next().value! : set);

function join(left: Values, right: Values): Values {
  if (left === right) return left;
  return few(new Set([...each(left), ...each(right)]));
}

/** Whether a value can be true, or false. */
function canBe(values: Values, truth: boolean): boolean {
  for (const value of each(values)) if ((value !== 0) === truth) return true;
  return false;
}

const truths = (values: Values, of: (value: boolean) => boolean): Values =>
  few(new Set([true, false].filter((truth) => canBe(values, truth)).map((truth) => Number(of(truth)))));

/** A copy of `locals` without what they can't be where `test` is `truth`. */
function refined(locals: Locals, test: Term, truth: boolean): Locals {
  const kept = new Map(locals);
  const visit = (term: Term, is: boolean): void => {
    if (typeof term === 'number') return;
    if (term.op === 'not') visit(term.of, !is);
    else if (term.op === (is ? '&&' : '||')) {
      visit(term.left, is);
      visit(term.right, is);
    } else if ('left' in term) {
      const { op, left, right } = term;
      const keep = (name: string, fits: (value: number) => boolean): void => {
        kept.set(name, few(new Set([...each(kept.get(name)!)].filter((value) => fits(value) === is))));
      };
      if (typeof left === 'object' && left.op === 'local' && typeof right === 'number') {
        keep(left.name, (value) => compute(op, value, right) !== 0);
      } else if (typeof right === 'object' && right.op === 'local' && typeof left === 'number') {
        keep(right.name, (value) => compute(op, left, value) !== 0);
      }
    }
  };
  visit(test, truth);
  return kept;
}
