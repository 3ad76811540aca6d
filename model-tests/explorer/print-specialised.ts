/**
 * Prints procedures for fixed rows: what JavaScript and C have in common.
 *
 * Theory of operation: each procedure is printed once for each row, and each tuple of constant arguments, that it is
 * called with: so nearly every access is to a fixed place, loops over rows are unrolled, and tests of what is constant are
 * gone. A row that is known only when the program runs becomes a `switch`. A {@link Dialect} says how a place is read and
 * written and what a function looks like; the rest both languages spell alike.
 *
 * Values are numbers, codes are what is stored: value - low, or the index among the variable's values.
 */

import { compute } from '../../machines/index.ts';
import {
  binary,
  choose,
  not,
  type Procedure,
  type Program,
  rangeOf,
  type Statement,
  type Term,
  type Variable,
} from './program.ts';
import type { Reachable } from './values.ts';

/** Numbers that a queued performance takes: which, and its arguments. */
export const QUEUE_STRIDE = 8;

/** How a language spells what the two don't spell alike. */
export interface Dialect {
  /** A function of numbers; `returns` a number or nothing. */
  define(name: string, parameters: readonly string[], body: string, returns: boolean): string;
  /** A local. */
  declare(name: string, value: string, changes: boolean): string;
  /** Expression for the code of a variable in a row that there is; as a number from 0. */
  read(variable: Variable, row: number): string;
  /** Statement that stores a code: a number or an expression. */
  write(variable: Variable, row: number, code: number | string): string;
  /** Expression that fails. */
  fail(reason: string): string;
  readonly equals: string;
  readonly unequals: string;
}

/** What is known of a local while code is printed. */
type Known = { readonly value: number } | { readonly name: string; readonly range: readonly [number, number] };
type Environment = ReadonlyMap<string, Known>;
const anything = [-(2 ** 31), 2 ** 31 - 1] as const;
const nothing: Environment = new Map();

/** Whether there is nothing to remember: one value only. */
export const isConstant = ({ low, high }: Variable): boolean => low === high;

/** Number of codes of a variable. */
export const codesOf = ({ values, low, high }: Variable): number => values?.length ?? high - low + 1;

/** Code of a value; below 0 or not below {@link codesOf} for one outside the range. */
export const codeOf = ({ values, low }: Variable, value: number): number =>
  values === null ? value - low : values.indexOf(value);

/** Prints the procedures of a program, as they are asked for. */
export class SpecialisedPrinter {
  readonly #program: Program;
  readonly #dialect: Dialect;
  readonly #reachable: Reachable | null;
  /** Functions printed so far, and their names and numbers of parameters. */
  readonly functions: string[] = [];
  readonly signatures: { readonly name: string; readonly parameters: readonly string[]; readonly returns: boolean }[] =
    [];
  readonly #instances = new Map<string, string>();
  readonly #helpers = new Map<string, string>();
  /** Assigned locals of each procedure: no constants. */
  readonly #assigned = new Map<Procedure, ReadonlySet<string>>();
  #names = 0;

  /** @param reachable - what can be in the program; what can't is left out then */
  constructor(program: Program, dialect: Dialect, reachable: Reachable | null = null) {
    this.#program = program;
    this.#dialect = dialect;
    this.#reachable = reachable;
  }

  /** Statements that let a rule happen, as {@link ProgramRule.body} has them; of loops, each turn by itself. */
  rule(index: number): readonly string[] {
    const { body } = this.#program.rules[index]!;
    const assigned = assignedIn(body);
    return body.flatMap((statement) =>
      statement.do === 'for'
        ? this.#turns(statement, nothing, assigned)
        : [this.#statement(statement, new Map(), assigned)],
    );
  }

  /** A term over the state alone, as a condition. */
  condition(term: Term): string {
    return this.#condition(this.#evaluate(term, nothing), nothing);
  }

  #define(name: string, parameters: readonly string[], body: string, returns = false): void {
    this.signatures.push({ name, parameters, returns });
    this.functions.push(this.#dialect.define(name, parameters, body, returns));
  }

  #fail(reason: string): string {
    return `${this.#dialect.fail(reason)};`;
  }

  /** Name of the function that is `procedure` with these arguments; `null` for those that it takes when it runs. */
  #instance(procedure: Procedure, args: readonly (number | null)[]): string {
    const key = `${procedure.number}(${args.map((arg) => arg ?? '?').join()})`;
    const known = this.#instances.get(key);
    if (known !== undefined) return known;
    const { kind, machine, name: of } = procedure.origin;
    const name = `${kind}_${machine}_${of.replaceAll(/\W/g, '_')}_${this.#names++}`;
    this.#instances.set(key, name);
    const environment = new Map<string, Known>();
    const taken: string[] = [];
    for (const [index, parameter] of procedure.parameters.entries()) {
      const value = args[index] ?? null;
      if (value !== null) environment.set(parameter, { value });
      else {
        environment.set(parameter, { name: parameter, range: anything });
        taken.push(parameter);
      }
    }
    const body = this.#block(procedure.body, environment, this.#assignedIn(procedure));
    this.#define(name, taken, body);
    return name;
  }

  #assignedIn(procedure: Procedure): ReadonlySet<string> {
    const known = this.#assigned.get(procedure);
    if (known !== undefined) return known;
    const names = assignedIn(procedure.body);
    this.#assigned.set(procedure, names);
    return names;
  }

  #block(statements: readonly Statement[], outer: Environment, assigned: ReadonlySet<string>): string {
    const environment = new Map(outer);
    const lines: string[] = [];
    for (const statement of statements) {
      const line = this.#statement(statement, environment, assigned);
      if (line !== '') lines.push(line);
      if (statement.do === 'fail') break;
    }
    return lines.join('\n');
  }

  #statement(statement: Statement, environment: Map<string, Known>, assigned: ReadonlySet<string>): string {
    switch (statement.do) {
      case 'let': {
        const value = this.#evaluate(statement.value, environment);
        const { name } = statement;
        if (typeof value === 'number' && !assigned.has(name)) {
          environment.set(name, { value });
          return '';
        }
        const range = assigned.has(name) ? anything : this.#range(value, environment);
        environment.set(name, { name, range });
        return this.#dialect.declare(name, this.#value(value, environment), assigned.has(name));
      }
      case 'assign':
        return `${statement.name} = ${this.#value(this.#evaluate(statement.value, environment), environment)};`;
      case 'set':
        return this.#set(statement.variable, statement.row, statement.value, environment);
      case 'if': {
        const test = this.#evaluate(statement.test, environment);
        if (typeof test === 'number') {
          return this.#braced(this.#block(test === 0 ? statement.no : statement.yes, environment, assigned));
        }
        const yes = this.#block(statement.yes, environment, assigned);
        const no = this.#block(statement.no, environment, assigned);
        if (yes === '' && no === '') return '';
        if (yes === '') return `if (!(${this.#condition(test, environment)})) {\n${no}\n}`;
        return `if (${this.#condition(test, environment)}) {\n${yes}\n}${no === '' ? '' : ` else {\n${no}\n}`}`;
      }
      case 'switch': {
        const on = this.#evaluate(statement.on, environment);
        if (typeof on === 'number') {
          const found = statement.cases.find(({ values }) => values.includes(on));
          return this.#braced(this.#block(found?.body ?? statement.otherwise, environment, assigned));
        }
        const possible = this.#possible(on);
        const cases = statement.cases.flatMap(({ values, body }) => {
          const labels = values.filter((value) => possible?.has(value) ?? true).map((value) => `case ${value}:`);
          return labels.length === 0
            ? []
            : [`${labels.join(' ')} {\n${this.#block(body, environment, assigned)}\nbreak;\n}`];
        });
        const otherwise = this.#block(statement.otherwise, environment, assigned);
        return `switch (${this.#value(on, environment)}) {\n${cases.join('\n')}\n${otherwise === '' ? '' : `default: ${otherwise}\n`}}`;
      }
      case 'for':
        return this.#turns(statement, environment, assigned).join('\n');
      case 'call':
        return this.#call(statement.procedure, statement.args, environment);
      case 'apply':
        return this.#apply(statement.procedure, statement.args, environment);
      case 'perform': {
        const values = statement.args.map((arg) => this.#value(this.#evaluate(arg, environment), environment));
        return [
          `q[top] = ${statement.procedure.number};`,
          ...values.map((value, index) => `q[top + ${index + 1}] = ${value};`),
          `top += ${QUEUE_STRIDE};`,
        ].join(' ');
      }
      case 'fail':
        return this.#fail(statement.reason);
    }
  }

  #turns(
    { name, count, body }: Extract<Statement, { do: 'for' }>,
    environment: Environment,
    assigned: ReadonlySet<string>,
  ): readonly string[] {
    return Array.from({ length: count }, (_, value) =>
      this.#braced(this.#block(body, new Map(environment).set(name, { value }), assigned)),
    );
  }

  #braced(code: string): string {
    return code === '' ? '' : `{\n${code}\n}`;
  }

  #apply(procedure: Procedure, args: readonly Term[], environment: Environment): string {
    const base = `b${this.#names++}`;
    const call = this.#call(procedure, args, environment);
    return `${this.#dialect.declare(base, 'top', false)}\n${call}\nif (top > ${base}) ${this.#drain()}(${base});`;
  }

  /** The function that carries out what was queued from an index on. */
  #drain(): string {
    return this.#helper('drain', ['base'], () => {
      const performances = this.#program.procedures.filter(
        (procedure) =>
          procedure.origin.kind === 'performance' &&
          Array.from({ length: procedure.rows }, (_, row) => row).some((row) => this.#runs(procedure, row)),
      );
      const cases = performances.map((procedure) => {
        const names = procedure.parameters.map((_, index) => `a${index}`);
        const environment = new Map(names.map((name): [string, Known] => [name, { name, range: anything }]));
        const takes = names.map((name, index) => this.#dialect.declare(name, `q[at + ${index + 1}]`, false));
        const args = names.map((name): Term => ({ op: 'local', name }));
        return `case ${procedure.number}: {\n${takes.join(' ')}\n${this.#call(procedure, args, environment)}\nbreak;\n}`;
      });
      return [
        this.#dialect.declare('end', 'top', false),
        this.#dialect.declare('at', 'base', true),
        `for (; at < end; at += ${QUEUE_STRIDE}) {`,
        `switch (q[at]) {`,
        ...cases,
        `}`,
        `}`,
        `top = base;`,
      ].join('\n');
    });
  }

  #runs(procedure: Procedure, row: number): boolean {
    return this.#reachable?.runs(procedure, row) ?? true;
  }

  #call(procedure: Procedure, args: readonly Term[], environment: Environment): string {
    const values = args.map((arg) => this.#evaluate(arg, environment));
    const constants = values.map((value) => (typeof value === 'number' ? value : null));
    const taken = (from: number): string[] =>
      values.slice(from).flatMap((value) => (typeof value === 'number' ? [] : [this.#value(value, environment)]));
    const [target] = values;
    if (typeof target === 'number') {
      if (target < 0 || target >= procedure.rows) {
        return this.#fail(`${procedure.origin.machine} ${target} is not here`);
      }
      return `${this.#instance(procedure, constants)}(${taken(0).join(', ')});`;
    }
    const rest = constants.slice(1);
    const key = `call ${procedure.number}(${rest.map((arg) => arg ?? '?').join()})`;
    const parameters = procedure.parameters.slice(1).filter((_, index) => rest[index] === null);
    const name = this.#helper(key, ['row', ...parameters], () => {
      const cases = Array.from({ length: procedure.rows }, (_, row) =>
        this.#runs(procedure, row)
          ? `case ${row}: ${this.#instance(procedure, [row, ...rest])}(${parameters.join(', ')}); break;`
          : '',
      );
      return `switch (row) {\n${cases.join('\n')}\ndefault: ${this.#fail(`a row of ${procedure.origin.machine} that is not here`)}\n}`;
    });
    return `${name}(${[this.#value(target!, environment), ...taken(1)].join(', ')});`;
  }

  /** A function that is made once; it may call itself. */
  #helper(key: string, parameters: readonly string[], body: () => string, returns = false): string {
    const known = this.#helpers.get(key);
    if (known !== undefined) return known;
    const name = `h${this.#names++}`;
    this.#helpers.set(key, name);
    this.#define(name, parameters, body(), returns);
    return name;
  }

  #set(variable: Variable, at: Term, to: Term, environment: Environment): string {
    const row = this.#evaluate(at, environment);
    const value = this.#evaluate(to, environment);
    const known = typeof value === 'number';
    if (typeof row !== 'number') {
      const name = this.#helper(`set ${variable.name} ${known ? value : '?'}`, known ? ['row'] : ['row', 'v'], () => {
        const inner = new Map<string, Known>([['v', { name: 'v', range: anything }]]);
        const given: Term = known ? value : { op: 'local', name: 'v' };
        const cases = variable.initial.map(
          (_, index) => `case ${index}: {\n${this.#set(variable, index, given, inner)}\nbreak;\n}`,
        );
        return `switch (row) {\n${cases.join('\n')}\ndefault: ${this.#stray(variable)};\n}`;
      });
      const args = [row, ...(known ? [] : [value])].map((arg) => this.#value(arg, environment));
      return `${name}(${args.join(', ')});`;
    }
    if (!hasRow(variable, row)) return `${this.#stray(variable)};`;
    const outside = this.#fail(`${variable.name} of row ${row} is outside its range`);
    const { low, high, values } = variable;
    if (known) {
      const code = codeOf(variable, value);
      if (code < 0 || code >= codesOf(variable)) return outside;
      return isConstant(variable) ? '' : this.#dialect.write(variable, row, code);
    }
    if (values !== null) {
      // A copy between equal kinds is one of codes.
      const code =
        value.op === 'read' && typeof value.row === 'number' && String(value.variable.values) === String(values)
          ? this.#dialect.read(value.variable, value.row)
          : `${this.#encoder(values)}(${this.#value(value, environment)})`;
      return this.#dialect.write(variable, row, code);
    }
    const [least, most] = this.#range(value, environment);
    const source = this.#value(value, environment);
    const code = (number: string): string => (low === 0 ? number : `${number} - ${low}`);
    if (least >= low && most <= high) return this.#dialect.write(variable, row, code(source));
    const name = `v${this.#names++}`;
    const tests = [...(least < low ? [`${name} < ${low}`] : []), ...(most > high ? [`${name} > ${high}`] : [])];
    const store = isConstant(variable) ? '' : this.#dialect.write(variable, row, code(name));
    return `${this.#dialect.declare(name, source, false)} if (${tests.join(' || ')}) ${outside} ${store}`;
  }

  #stray(variable: Variable): string {
    return this.#dialect.fail(`a row of ${variable.name} that is not here`);
  }

  /** The function from a value to its code. */
  #encoder(values: readonly number[]): string {
    return this.#helper(
      `encode ${values.join()}`,
      ['v'],
      () => {
        const cases = values.map((value, code) => `case ${value}: return ${code};`).join(' ');
        return `switch (v) { ${cases} } return ${this.#dialect.fail('a value that the field never has')};`;
      },
      true,
    );
  }

  /** `term` with all that is known put in. */
  #evaluate(term: Term, environment: Environment): Term {
    if (typeof term === 'number') return term;
    switch (term.op) {
      case 'local': {
        const known = environment.get(term.name);
        if (known === undefined) throw new Error(`no local is called '${term.name}'`);
        return 'value' in known ? known.value : term;
      }
      case 'read': {
        const row = this.#evaluate(term.row, environment);
        const read: Term = { ...term, row };
        const possible = this.#possible(read);
        return possible?.size === 1 ? possible.values().next().value! : read;
      }
      case 'not':
        return not(this.#evaluate(term.of, environment));
      case 'if':
        return choose(
          this.#evaluate(term.test, environment),
          this.#evaluate(term.yes, environment),
          this.#evaluate(term.no, environment),
        );
      default: {
        const [left, right] = [term.left, term.right].map((part) => this.#evaluate(part, environment)) as [Term, Term];
        const [one, other] = [this.#possible(left), this.#possible(right)];
        if (['==', '!=', '<', '<='].includes(term.op) && one !== null && other !== null) {
          const answers = new Set([...one].flatMap((value) => [...other].map((than) => compute(term.op, value, than))));
          if (answers.size === 1) return answers.values().next().value!;
        }
        return binary(term.op, left, right);
      }
    }
  }

  /** All that an evaluated term can be; null where that is not known. */
  #possible(term: Term): ReadonlySet<number> | null {
    if (typeof term === 'number') return new Set([term]);
    if (term.op !== 'read' || typeof term.row !== 'number' || !hasRow(term.variable, term.row)) return null;
    if (isConstant(term.variable)) return new Set([term.variable.low]);
    return this.#reachable?.values(term.variable, term.row) ?? null;
  }

  #range(term: Term, environment: Environment): readonly [number, number] {
    return rangeOf(
      term,
      (name) => {
        const known = environment.get(name)!;
        return 'value' in known ? [known.value, known.value] : known.range;
      },
      (read) => {
        const possible = this.#possible(read);
        return possible === null ? null : [Math.min(...possible), Math.max(...possible)];
      },
    );
  }

  /** JavaScript of an evaluated term as a number. */
  #value(term: Term, environment: Environment): string {
    if (typeof term === 'number') return String(term);
    switch (term.op) {
      case 'local':
        return (environment.get(term.name) as { name: string }).name;
      case 'read': {
        const { variable, row } = term;
        if (typeof row !== 'number') return `${this.#reader(variable)}(${this.#value(row, environment)})`;
        if (!hasRow(variable, row)) return this.#stray(variable);
        const code = this.#dialect.read(variable, row);
        if (variable.values !== null) return `${this.#decoder(variable.values)}(${code})`;
        return variable.low === 0 ? code : `(${code} + ${variable.low})`;
      }
      case 'if':
        return `(${this.#condition(term.test, environment)} ? ${this.#value(term.yes, environment)} : ${this.#value(term.no, environment)})`;
      case '+':
      case '-':
        return `(${this.#value(term.left, environment)} ${term.op} ${this.#value(term.right, environment)})`;
      default:
        return `(${this.#condition(term, environment)} ? 1 : 0)`;
    }
  }

  /** JavaScript of a term as a truth value. */
  #condition(term: Term, environment: Environment): string {
    if (typeof term === 'number') return term === 0 ? '(0 > 1)' : '(1 > 0)';
    switch (term.op) {
      case 'not':
        return `!(${this.#condition(term.of, environment)})`;
      case '&&':
      case '||':
        return `(${this.#condition(term.left, environment)} ${term.op} ${this.#condition(term.right, environment)})`;
      case '==':
      case '!=': {
        const { left, right } = term;
        const sign = term.op === '==' ? this.#dialect.equals : this.#dialect.unequals;
        // Codes are compared, not values.
        if (typeof right === 'number' && typeof left === 'object' && left.op === 'read') {
          const code = codeOf(left.variable, right);
          if (typeof left.row === 'number' && hasRow(left.variable, left.row) && code >= 0) {
            return `${this.#dialect.read(left.variable, left.row)} ${sign} ${code}`;
          }
        }
        return `${this.#value(left, environment)} ${sign} ${this.#value(right, environment)}`;
      }
      case '<':
      case '<=':
        return `${this.#value(term.left, environment)} ${term.op} ${this.#value(term.right, environment)}`;
      default:
        return `${this.#value(term, environment)} ${this.#dialect.unequals} 0`;
    }
  }

  /** The function from a row to a variable's value. */
  #reader(variable: Variable): string {
    return this.#helper(
      `read ${variable.name}`,
      ['row'],
      () => {
        const cases = variable.initial.map((_, row) => {
          const read = this.#evaluate({ op: 'read', variable, row }, nothing);
          return `case ${row}: return ${this.#value(read, nothing)};`;
        });
        return `switch (row) { ${cases.join(' ')} } return ${this.#stray(variable)};`;
      },
      true,
    );
  }

  #decoder(values: readonly number[]): string {
    return this.#helper(
      `decode ${values.join()}`,
      ['code'],
      () => {
        const cases = values.map((value, code) => `case ${code}: return ${value};`).join(' ');
        return `switch (code) { ${cases} } return ${this.#dialect.fail('a code without value')};`;
      },
      true,
    );
  }
}

const hasRow = ({ initial }: Variable, row: number): boolean => row >= 0 && row < initial.length;

/** Names that are assigned to in `statements`. */
function assignedIn(statements: readonly Statement[]): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (statement: Statement): void => {
    switch (statement.do) {
      case 'assign':
        names.add(statement.name);
        break;
      case 'if':
        [...statement.yes, ...statement.no].forEach(visit);
        break;
      case 'switch':
        [...statement.cases.flatMap(({ body }) => body), ...statement.otherwise].forEach(visit);
        break;
      case 'for':
        statement.body.forEach(visit);
        break;
    }
  };
  statements.forEach(visit);
  return names;
}
