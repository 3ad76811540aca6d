/**
 * Prints a program as JavaScript that works on packed states.
 *
 * Theory of operation: each procedure is printed once for each row, and each tuple of constant arguments, that it is
 * called with: so nearly every access is to fixed bits of a fixed word, loops over rows are unrolled, and tests of what is
 * constant are gone. A row that is known only when the program runs becomes a `switch`. The state is a few words of a
 * scratch array; what fails throws. Many small functions rather than few large ones: V8 does not optimise large ones.
 */

import type { Cell, Layout } from './layout.ts';
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

/** Numbers that a queued performance takes: which, and its arguments. */
const QUEUE_STRIDE = 8;

/** What printed code is run with: the function body's parameters. */
export interface JavaScriptProgram {
  /**
   * Body of a function of `w` (the scratch words), `q` (the queue) and `failed` (throws); it returns
   * `{ enabled(from, at, into), fire(rule) }`.
   */
  readonly source: string;
  /** Of `w`. */
  readonly words: number;
}

/** What is known of a local while code is printed. */
type Known = { readonly value: number } | { readonly js: string; readonly range: readonly [number, number] };
type Environment = ReadonlyMap<string, Known>;
const anything = [-(2 ** 31), 2 ** 31 - 1] as const;

/** Prints `program`, whose states are packed as `layout` says. */
export function toJavaScript(program: Program, layout: Layout): JavaScriptProgram {
  return { source: new Printer(program, layout).source(), words: layout.words };
}

class Printer {
  readonly #program: Program;
  readonly #layout: Layout;
  readonly #cells: ReadonlyMap<string, Cell>;
  readonly #functions: string[] = [];
  readonly #instances = new Map<string, string>();
  readonly #helpers = new Map<string, string>();
  /** Assigned locals of each procedure: no constants. */
  readonly #assigned = new Map<Procedure, ReadonlySet<string>>();
  #names = 0;

  constructor(program: Program, layout: Layout) {
    this.#program = program;
    this.#layout = layout;
    this.#cells = new Map(layout.cells.map((cell) => [`${cell.of}/${cell.name}`, cell]));
  }

  source(): string {
    const { rules } = this.#program;
    const words = Array.from({ length: this.#layout.words }, (_, word) => word);
    const guards = rules.map(({ guard }, rule) => {
      const test = this.#condition(guard, new Map(), (word) => `w${word}`);
      return `if (${test}) into[n++] = ${rule};`;
    });
    const cases = rules.map(({ procedure, args }, rule) => {
      const body = this.#apply(procedure, args, new Map());
      const afterwards = this.#block(this.#program.afterwards, new Map(), new Set());
      this.#functions.push(`const rule${rule} = () => {\n${body}\n${afterwards}\n};`);
      return `case ${rule}: rule${rule}(); break;`;
    });
    return [
      `'use strict';`,
      `let top = 0;`,
      ...this.#functions,
      `const enabled = (from, at, into) => {`,
      `let n = 0;`,
      ...words.map((word) => `const w${word} = from[at + ${word}];`),
      ...guards,
      `return n;`,
      `};`,
      `const fire = (rule) => {`,
      `top = 0;`,
      `switch (rule) {`,
      ...cases,
      `}`,
      `};`,
      `return { enabled, fire };`,
    ].join('\n');
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
        environment.set(parameter, { js: parameter, range: anything });
        taken.push(parameter);
      }
    }
    const body = this.#block(procedure.body, environment, this.#assignedIn(procedure));
    this.#functions.push(`const ${name} = (${taken.join(', ')}) => {\n${body}\n};`);
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
        environment.set(name, { js: name, range });
        return `${assigned.has(name) ? 'let' : 'const'} ${name} = ${this.#value(value, environment)};`;
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
        const cases = statement.cases.map(({ values, body }) => {
          const labels = values.map((value) => `case ${value}:`).join(' ');
          return `${labels} {\n${this.#block(body, environment, assigned)}\nbreak;\n}`;
        });
        const otherwise = this.#block(statement.otherwise, environment, assigned);
        return `switch (${this.#value(on, environment)}) {\n${cases.join('\n')}\n${otherwise === '' ? '' : `default: ${otherwise}\n`}}`;
      }
      case 'for':
        return Array.from({ length: statement.count }, (_, index) => {
          const inner = new Map(environment).set(statement.name, { value: index });
          return this.#braced(this.#block(statement.body, inner, assigned));
        }).join('\n');
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
        return `failed(${JSON.stringify(statement.reason)});`;
    }
  }

  #braced(code: string): string {
    return /^(?:let|const) /m.test(code) ? `{\n${code}\n}` : code;
  }

  #apply(procedure: Procedure, args: readonly Term[], environment: Environment): string {
    const base = `b${this.#names++}`;
    const call = this.#call(procedure, args, environment);
    return `const ${base} = top;\n${call}\nif (top !== ${base}) ${this.#drain()}(${base});`;
  }

  /** The function that carries out what was queued from an index on. */
  #drain(): string {
    return this.#helper('drain', (name) => {
      const performances = this.#program.procedures.filter(({ origin }) => origin.kind === 'performance');
      const cases = performances.map((procedure) => {
        const names = procedure.parameters.map((_, index) => `a${index}`);
        const environment = new Map(names.map((js): [string, Known] => [js, { js, range: anything }]));
        const takes = names.map((js, index) => `const ${js} = q[at + ${index + 1}];`).join(' ');
        const call = this.#call(
          procedure,
          names.map((local) => ({ op: 'local', name: local })),
          environment,
        );
        return `case ${procedure.number}: {\n${takes}\n${call}\nbreak;\n}`;
      });
      return [
        `const ${name} = (base) => {`,
        `const end = top;`,
        `for (let at = base; at < end; at += ${QUEUE_STRIDE}) {`,
        `switch (q[at]) {`,
        ...cases,
        `}`,
        `}`,
        `top = base;`,
        `};`,
      ].join('\n');
    });
  }

  #call(procedure: Procedure, args: readonly Term[], environment: Environment): string {
    const values = args.map((arg) => this.#evaluate(arg, environment));
    const constants = values.map((value) => (typeof value === 'number' ? value : null));
    const taken = (from: number): string[] =>
      values.slice(from).flatMap((value) => (typeof value === 'number' ? [] : [this.#value(value, environment)]));
    const [target] = values;
    if (typeof target === 'number') {
      if (target < 0 || target >= procedure.rows) {
        return `failed(${JSON.stringify(`${procedure.origin.machine} ${target} is not here`)});`;
      }
      return `${this.#instance(procedure, constants)}(${taken(0).join(', ')});`;
    }
    const rest = constants.slice(1);
    const key = `call ${procedure.number}(${rest.map((arg) => arg ?? '?').join()})`;
    const name = this.#helper(key, (helper) => {
      const parameters = procedure.parameters.slice(1).filter((_, index) => rest[index] === null);
      const cases = Array.from({ length: procedure.rows }, (_, row) => {
        return `case ${row}: ${this.#instance(procedure, [row, ...rest])}(${parameters.join(', ')}); break;`;
      });
      const stray = `default: failed(${JSON.stringify(`a row of ${procedure.origin.machine} that is not here`)});`;
      return `const ${helper} = (${['row', ...parameters].join(', ')}) => {\nswitch (row) {\n${cases.join('\n')}\n${stray}\n}\n};`;
    });
    return `${name}(${[this.#value(target!, environment), ...taken(1)].join(', ')});`;
  }

  /** A function that is made once; it may call itself. */
  #helper(key: string, make: (name: string) => string): string {
    const known = this.#helpers.get(key);
    if (known !== undefined) return known;
    const name = `h${this.#names++}`;
    this.#helpers.set(key, name);
    this.#functions.push(make(name));
    return name;
  }

  #cell(variable: Variable, row: number): Cell {
    const cell = this.#cells.get(`${variable.machine} ${row}/${variable.field}`);
    if (cell === undefined) throw new Error(`the layout has no ${variable.name} of row ${row}`);
    return cell;
  }

  #set(variable: Variable, at: Term, to: Term, environment: Environment): string {
    const row = this.#evaluate(at, environment);
    const value = this.#evaluate(to, environment);
    const known = typeof value === 'number';
    if (typeof row !== 'number') {
      const key = `set ${variable.name} ${known ? value : '?'}`;
      const name = this.#helper(key, (helper) => {
        const inner = new Map<string, Known>([['v', { js: 'v', range: anything }]]);
        const given: Term = known ? value : { op: 'local', name: 'v' };
        const cases = variable.initial.map(
          (_, index) => `case ${index}: {\n${this.#set(variable, index, given, inner)}\nbreak;\n}`,
        );
        return `const ${helper} = (row${known ? '' : ', v'}) => {\nswitch (row) {\n${cases.join('\n')}\ndefault: ${this.#stray(variable)}\n}\n};`;
      });
      const args = [row, ...(known ? [] : [value])].map((arg) => this.#value(arg, environment));
      return `${name}(${args.join(', ')});`;
    }
    if (row < 0 || row >= variable.initial.length) return this.#stray(variable);
    const { word, shift, mask, low, values } = this.#cell(variable, row);
    const outside = `failed(${JSON.stringify(`${variable.name} of row ${row} is outside its range`)});`;
    const keep = `w[${word}] = w[${word}] & ${~(mask << shift)} | `;
    if (known) {
      const code = values === null ? value - low : values.indexOf(value);
      if (values === null ? value < low || value > variable.high : code < 0) return outside;
      const bits = (code << shift) | 0;
      return bits === 0 ? `w[${word}] &= ${~(mask << shift)};` : `${keep}${bits};`;
    }
    if (values !== null) {
      // A copy between equal kinds is one of codes.
      if (value.op === 'read' && typeof value.row === 'number' && String(value.variable.values) === String(values)) {
        return `${keep}${this.#code(value.variable, value.row, (index) => `w[${index}]`)} << ${shift};`;
      }
      return `${keep}${this.#encoder(values)}(${this.#value(value, environment)}) << ${shift};`;
    }
    const [least, most] = this.#range(value, environment);
    const source = this.#value(value, environment);
    const shifted = (js: string): string => `(${low === 0 ? js : `${js} - ${low}`}) << ${shift}`;
    if (least >= low && most <= variable.high) return `${keep}${shifted(source)};`;
    const name = `v${this.#names++}`;
    const tests = [
      ...(least < low ? [`${name} < ${low}`] : []),
      ...(most > variable.high ? [`${name} > ${variable.high}`] : []),
    ];
    return `const ${name} = ${source}; if (${tests.join(' || ')}) ${outside} ${keep}${shifted(name)};`;
  }

  #stray(variable: Variable): string {
    return `failed(${JSON.stringify(`a row of ${variable.name} that is not here`)});`;
  }

  /** The function from a value to its code. */
  #encoder(values: readonly number[]): string {
    return this.#helper(`encode ${values.join()}`, (name) => {
      const cases = values.map((value, code) => `case ${value}: return ${code};`).join(' ');
      return `const ${name} = (v) => { switch (v) { ${cases} } return failed('a value that the field never has'); };`;
    });
  }

  #code(variable: Variable, row: number, word: (index: number) => string): string {
    const cell = this.#cell(variable, row);
    if (cell.mask === 0) return '0';
    return cell.shift === 0
      ? `(${word(cell.word)} & ${cell.mask})`
      : `(${word(cell.word)} >>> ${cell.shift} & ${cell.mask})`;
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
        if (typeof row === 'number' && row >= 0 && row < term.variable.initial.length) {
          if (this.#cell(term.variable, row).mask === 0) return term.variable.low;
        }
        return { ...term, row };
      }
      case 'not':
        return not(this.#evaluate(term.of, environment));
      case 'if':
        return choose(
          this.#evaluate(term.test, environment),
          this.#evaluate(term.yes, environment),
          this.#evaluate(term.no, environment),
        );
      default:
        return binary(term.op, this.#evaluate(term.left, environment), this.#evaluate(term.right, environment));
    }
  }

  #range(term: Term, environment: Environment): readonly [number, number] {
    return rangeOf(term, (name) => {
      const known = environment.get(name)!;
      return 'value' in known ? [known.value, known.value] : known.range;
    });
  }

  /** JavaScript of an evaluated term as a number. */
  #value(term: Term, environment: Environment, word = (index: number) => `w[${index}]`): string {
    if (typeof term === 'number') return String(term);
    switch (term.op) {
      case 'local':
        return (environment.get(term.name) as { js: string }).js;
      case 'read': {
        const { variable, row } = term;
        if (typeof row !== 'number') return `${this.#reader(variable)}(${this.#value(row, environment, word)})`;
        if (row < 0 || row >= variable.initial.length) return this.#stray(variable).slice(0, -1);
        const code = this.#code(variable, row, word);
        if (variable.values !== null) return `${this.#decoder(variable.values)}(${code})`;
        return variable.low === 0 ? code : `(${code} + ${variable.low})`;
      }
      case 'if':
        return `(${this.#condition(term.test, environment, word)} ? ${this.#value(term.yes, environment, word)} : ${this.#value(term.no, environment, word)})`;
      case '+':
      case '-':
        return `(${this.#value(term.left, environment, word)} ${term.op} ${this.#value(term.right, environment, word)})`;
      default:
        return `(${this.#condition(term, environment, word)} ? 1 : 0)`;
    }
  }

  /** JavaScript of a term as a truth value. */
  #condition(of: Term, environment: Environment, word = (index: number) => `w[${index}]`): string {
    const term = this.#evaluate(of, environment);
    if (typeof term === 'number') return term === 0 ? 'false' : 'true';
    switch (term.op) {
      case 'not':
        return `!(${this.#condition(term.of, environment, word)})`;
      case '&&':
      case '||':
        return `(${this.#condition(term.left, environment, word)} ${term.op} ${this.#condition(term.right, environment, word)})`;
      case '==':
      case '!=': {
        const { left, right } = term;
        // Codes are compared, not values.
        if (
          typeof right === 'number' &&
          typeof left === 'object' &&
          left.op === 'read' &&
          typeof left.row === 'number'
        ) {
          const { values, low } = left.variable;
          const code = values === null ? right - low : values.indexOf(right);
          if (code >= 0 && left.row >= 0 && left.row < left.variable.initial.length) {
            return `${this.#code(left.variable, left.row, word)} ${term.op}= ${code}`;
          }
        }
        return `${this.#value(left, environment, word)} ${term.op}= ${this.#value(right, environment, word)}`;
      }
      case '<':
      case '<=':
        return `${this.#value(term.left, environment, word)} ${term.op} ${this.#value(term.right, environment, word)}`;
      default:
        return `${this.#value(term, environment, word)} !== 0`;
    }
  }

  /** The function from a row to a variable's value. */
  #reader(variable: Variable): string {
    return this.#helper(`read ${variable.name}`, (name) => {
      const cases = variable.initial.map((_, row) => {
        const read = this.#evaluate({ op: 'read', variable, row }, new Map());
        return `case ${row}: return ${this.#value(read, new Map())};`;
      });
      return `const ${name} = (row) => { switch (row) { ${cases.join(' ')} } return ${this.#stray(variable)} };`;
    });
  }

  #decoder(values: readonly number[]): string {
    return this.#helper(`decode ${values.join()}`, (name) => {
      const cases = values.map((value, code) => `case ${code}: return ${value};`).join(' ');
      return `const ${name} = (code) => { switch (code) { ${cases} } return failed('a code without value'); };`;
    });
  }
}

/** Names that are assigned to in `statements`. */
export function assignedIn(statements: readonly Statement[]): ReadonlySet<string> {
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
