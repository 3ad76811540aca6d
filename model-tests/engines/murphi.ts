/**
 * Prints a world as Murphi, for Rumur.
 *
 * Theory of operation: variables are arrays of subranges; rows are known only when a rule runs: nothing of this is shared
 * with the JavaScript and C that the explorer and Spin run. Rumur copies a procedure for each call of it, and all that it
 * calls, so there are none: every rule is one loop over numbered blocks, which keeps a stack of its own. A call puts the
 * locals there, with the block to go on with; block 0 takes them back.
 */

import { identifierOf, storedVariables } from '../explorer/print-c.ts';
import { isConstant } from '../explorer/print-specialised.ts';
import type { Procedure, Program, Statement, Term, Variable } from '../explorer/program.ts';
import { nameOf, type Questions, type Sight } from './questions.ts';

/** Performances that wait at once at most; one more is an error that Rumur would report. */
const QUEUE_MAX = 16;
const ARGUMENTS_MAX = 7;
/** Calls within one another at most; one more is an error likewise. */
const STACK_MAX = 40;

export interface MurphiOptions {
  readonly questions: Questions;
  /** Sights that break a property: each is an invariant, or an assertion of each rule. */
  readonly broken: readonly Sight[];
  /** Sights whose number of states is counted, as `cover` of the number of the sight. */
  readonly shown: readonly Sight[];
}

/** Prints `program` and what is asked of it; its rules are those of a ruleset over `r`. */
export function toMurphi(program: Program, options: MurphiOptions): string {
  return new Printer(program, options).source();
}

class Printer {
  readonly #program: Program;
  readonly #options: MurphiOptions;
  /** Registers of locals, by name: bodies have them in common. */
  readonly #registers = new Map<string, string>();
  readonly #blocks: string[] = [];
  readonly #entries = new Map<Procedure, number>();
  #locals = 0;

  constructor(program: Program, options: MurphiOptions) {
    this.#program = program;
    this.#options = options;
  }

  source(): string {
    const { rules, procedures } = this.#program;
    const { questions, broken, shown } = this.#options;
    const variables = storedVariables(this.#program);
    for (const { body } of [...procedures, ...rules]) {
      const names = localsOf(body);
      for (const [index, name] of names.entries()) this.#registers.set(name, `l${index}`);
      this.#locals = Math.max(this.#locals, names.length);
    }
    const entries = rules.map(({ body }) => this.#block(() => this.#code(body, 0)));
    for (let done = 0; done < this.#entries.size; done++) {
      const [procedure, entry] = [...this.#entries][done]!;
      this.#blocks[entry - 1] = this.#code(procedure.body, 0);
    }
    const before = [...questions.before].filter(([variable]) => !isConstant(variable));
    const remembered = broken.some(({ ofTransition }) => ofTransition) ? before : [];
    const saved = this.#saved();
    return [
      `-- ${this.#program.name}`,
      'type',
      '  value: -65536..65536;',
      `  frame: record pc: value; ${saved.map((name) => `${name}: value;`).join(' ')} end;`,
      `  waiting: record which: value; args: array[0..${ARGUMENTS_MAX - 1}] of value; end;`,
      'var',
      ...variables.map((variable) => `  ${identifierOf(variable)}: ${arrayOf(variable)};`),
      'startstate "start" begin',
      ...variables.flatMap((variable) =>
        variable.initial.map((value, row) => `  ${identifierOf(variable)}[${row}] := ${value};`),
      ),
      'end;',
      `ruleset r: 0..${rules.length - 1} do`,
      `rule "rule" ${rules.map(({ guard }, rule) => `(r = ${rule} & ${this.#condition(guard)})`).join(' | ')} ==>`,
      'var',
      `  stack: array[0..${STACK_MAX}] of frame;`,
      `  queue: array[0..${QUEUE_MAX}] of waiting;`,
      ...['pc', 'top', 'end_', 'back', 'to_', ...saved, ...this.#arguments()].map((name) => `  ${name}: value;`),
      ...remembered.map(([variable, made]) => `  ${identifierOf(made)}: ${arrayOf(variable)};`),
      'begin',
      ...['top', 'end_', ...saved, ...this.#arguments()].map((name) => `  ${name} := 0;`),
      ...remembered.flatMap(([variable, made]) =>
        variable.initial.map((_, row) => `  ${identifierOf(made)}[${row}] := ${identifierOf(variable)}[${row}];`),
      ),
      'switch r',
      ...entries.map((entry, rule) => `case ${rule}: pc := ${entry};`),
      'end;',
      'while pc != -1 do',
      'switch pc',
      'case 0:',
      'if top = 0 then pc := -1;',
      'else',
      'top := top - 1; pc := stack[top].pc;',
      ...saved.map((name) => `${name} := stack[top].${name};`),
      'end;',
      'case -2:',
      'if back != 0 then',
      'stack[top].pc := back;',
      ...saved.map((name) => `stack[top].${name} := ${name};`),
      'top := top + 1;',
      'end;',
      ...this.#arguments().map((name, index) => `${index === 0 ? 'row' : `p${index - 1}`} := ${name};`),
      'pc := to_;',
      ...this.#blocks.map((code, index) => `case ${index + 1}:\n${code}`),
      'end;',
      'end;',
      ...broken.flatMap((sight) =>
        sight.ofTransition ? [`  assert ${this.#condition(sight.when, true)} "${nameOf(sight)}";`] : [],
      ),
      'end;',
      'end;',
      ...broken.flatMap((sight) =>
        sight.ofTransition ? [] : [`invariant "${nameOf(sight)}" ${this.#condition(sight.when, true)};`],
      ),
      ...shown.map((sight) => `cover "${nameOf(sight)}" ${this.#condition(sight.when)};`),
      '',
    ].join('\n');
  }

  /** Registers that a call keeps. */
  #saved(): readonly string[] {
    const parameters = Array.from({ length: ARGUMENTS_MAX - 1 }, (_, index) => `p${index}`);
    return ['row', ...parameters, ...Array.from({ length: this.#locals }, (_, index) => `l${index}`)];
  }

  #arguments(): readonly string[] {
    return Array.from({ length: ARGUMENTS_MAX }, (_, index) => `a${index}`);
  }

  /** Number of a new block. */
  #block(code: () => string): number {
    const number = this.#blocks.push('');
    this.#blocks[number - 1] = code();
    return number;
  }

  #entry(procedure: Procedure): number {
    const known = this.#entries.get(procedure) ?? this.#blocks.push('');
    this.#entries.set(procedure, known);
    return known;
  }

  /** Statements, and then block `next`. */
  #code(statements: readonly Statement[], next: number): string {
    const lines: string[] = [];
    for (const [index, statement] of statements.entries()) {
      if (!callsAny([statement])) {
        lines.push(this.#plain(statement));
        continue;
      }
      const rest = statements.slice(index + 1);
      const after = rest.length === 0 ? next : this.#block(() => this.#code(rest, next));
      lines.push(this.#calling(statement, after));
      return lines.join('\n');
    }
    return [...lines, `pc := ${next};`].join('\n');
  }

  /** A statement with calls in it, and then block `next`. */
  #calling(statement: Statement, next: number): string {
    switch (statement.do) {
      case 'if':
        return `if ${this.#condition(statement.test)} then\n${this.#code(statement.yes, next)}\nelse\n${this.#code(statement.no, next)}\nend;`;
      case 'switch': {
        const cases = statement.cases.map(
          ({ values, body }) => `case ${values.join(', ')}:\n${this.#code(body, next)}`,
        );
        return `switch ${this.#value(statement.on)}\n${cases.join('\n')}\nelse\n${this.#code(statement.otherwise, next)}\nend;`;
      }
      case 'for': {
        const turns = Array.from({ length: statement.count }, (_, value): readonly Statement[] => [
          { do: 'let', name: statement.name, value },
          ...statement.body,
        ]);
        return this.#code(turns.flat(), next);
      }
      case 'call':
        return this.#enter(
          statement.procedure,
          statement.args.map((arg) => this.#value(arg)),
          next,
        );
      case 'apply': {
        const [base, at] = basesOf(statement).map((name) => this.#registers.get(name)!) as [string, string];
        const performed = this.#program.procedures.filter(({ origin }) => origin.kind === 'performance');
        // The queue from `base` to its end when the call is over; what comes meanwhile is taken off again.
        const turn = this.#blocks.push('');
        this.#blocks[turn - 1] = [
          `if ${at} < ${this.#registers.get(basesOf(statement)[2]!)!} then`,
          `${at} := ${at} + 1;`,
          `switch queue[${at} - 1].which`,
          ...performed.map((procedure) => {
            const args = procedure.parameters.map((_, index) => `queue[${at} - 1].args[${index}]`);
            return `case ${procedure.number}:\n${this.#enter(procedure, args, turn)}`;
          }),
          'end;',
          `else end_ := ${base}; pc := ${next}; end;`,
        ].join('\n');
        const drain = this.#block(
          () => `${at} := ${base}; ${this.#registers.get(basesOf(statement)[2]!)!} := end_; pc := ${turn};`,
        );
        const args = statement.args.map((arg) => this.#value(arg));
        return `${base} := end_;\n${this.#enter(statement.procedure, args, drain)}`;
      }
      default:
        throw new Error(`'${statement.do}' calls nothing`);
    }
  }

  /** Calls a procedure, and then goes on with block `next`. */
  #enter(procedure: Procedure, args: readonly string[], next: number): string {
    const names = this.#arguments().slice(0, args.length);
    return [
      ...names.map((name, index) => `${name} := ${args[index]!};`),
      `assert 0 <= a0 & a0 < ${procedure.rows} "a row that is not here";`,
      `back := ${next}; to_ := ${this.#entry(procedure)}; pc := -2;`,
    ].join('\n');
  }

  /** A statement without calls in it. */
  #plain(statement: Statement): string {
    const inner = (statements: readonly Statement[]): string => statements.map((one) => this.#plain(one)).join('\n');
    switch (statement.do) {
      case 'let':
      case 'assign':
        return `${this.#registers.get(statement.name)!} := ${this.#value(statement.value)};`;
      case 'set': {
        const { variable } = statement;
        const value = this.#value(statement.value);
        if (isConstant(variable)) return `assert ${value} = ${variable.low} "outside its range";`;
        const { values } = variable;
        const among =
          values === null || typeof statement.value === 'number'
            ? ''
            : `assert ${values.map((one) => `${value} = ${one}`).join(' | ')} "outside its range"; `;
        return `${among}${identifierOf(variable)}[${this.#value(statement.row)}] := ${value};`;
      }
      case 'if': {
        const no = statement.no.length === 0 ? '' : `else\n${inner(statement.no)}\n`;
        return `if ${this.#condition(statement.test)} then\n${inner(statement.yes)}\n${no}end;`;
      }
      case 'switch': {
        const cases = statement.cases.map(({ values, body }) => `case ${values.join(', ')}:\n${inner(body)}`);
        return `switch ${this.#value(statement.on)}\n${cases.join('\n')}\nelse\n${inner(statement.otherwise)}\nend;`;
      }
      case 'for':
        return Array.from({ length: statement.count }, (_, value) =>
          inner([{ do: 'let', name: statement.name, value }, ...statement.body]),
        ).join('\n');
      case 'perform':
        return [
          `queue[end_].which := ${statement.procedure.number};`,
          ...statement.args.map((arg, index) => `queue[end_].args[${index}] := ${this.#value(arg)};`),
          'end_ := end_ + 1;',
        ].join('\n');
      case 'fail':
        return `error ${JSON.stringify(statement.reason.replaceAll('"', "'"))};`;
      default:
        throw new Error(`'${statement.do}' is a call`);
    }
  }

  #value(term: Term): string {
    if (typeof term === 'number') return String(term);
    switch (term.op) {
      case 'local':
        return this.#registers.get(term.name) ?? term.name;
      case 'read':
        return isConstant(term.variable)
          ? String(term.variable.low)
          : `${identifierOf(term.variable)}[${this.#value(term.row)}]`;
      case 'if':
        return `(${this.#condition(term.test)} ? ${this.#value(term.yes)} : ${this.#value(term.no)})`;
      case '+':
      case '-':
        return `(${this.#value(term.left)} ${term.op} ${this.#value(term.right)})`;
      default:
        return `(${this.#condition(term)} ? 1 : 0)`;
    }
  }

  #condition(term: Term, negated = false): string {
    if (negated) return `!(${this.#condition(term)})`;
    if (typeof term === 'number') return term === 0 ? 'false' : 'true';
    switch (term.op) {
      case 'not':
        return `!(${this.#condition(term.of)})`;
      case '&&':
        return `(${this.#condition(term.left)} & ${this.#condition(term.right)})`;
      case '||':
        return `(${this.#condition(term.left)} | ${this.#condition(term.right)})`;
      case '==':
        return `(${this.#value(term.left)} = ${this.#value(term.right)})`;
      case '!=':
      case '<':
      case '<=':
        return `(${this.#value(term.left)} ${term.op} ${this.#value(term.right)})`;
      default:
        return `(${this.#value(term)} != 0)`;
    }
  }
}

const arrayOf = ({ low, high, initial }: Variable): string => `array[0..${initial.length - 1}] of ${low}..${high}`;

const bases = new WeakMap<Statement, readonly string[]>();
let basesMade = 0;
/** Names of the locals in which an `apply` keeps where its queue begins, where it is, and where it ends. */
function basesOf(apply: Statement): readonly string[] {
  const known = bases.get(apply) ?? ['base', 'at', 'end'].map((name) => `${name}${basesMade}`);
  if (!bases.has(apply)) basesMade++;
  bases.set(apply, known);
  return known;
}

/** Whether there is a call in `statements`. */
function callsAny(statements: readonly Statement[]): boolean {
  let found = false;
  visitAll(statements, (statement) => {
    if (statement.do === 'call' || statement.do === 'apply') found = true;
  });
  return found;
}

/** Calls `visit` for each statement, at any depth. */
function visitAll(statements: readonly Statement[], visit: (statement: Statement) => void): void {
  for (const statement of statements) {
    visit(statement);
    if (statement.do === 'if') visitAll([...statement.yes, ...statement.no], visit);
    else if (statement.do === 'for') visitAll(statement.body, visit);
    else if (statement.do === 'switch') {
      visitAll([...statement.cases.flatMap(({ body }) => body), ...statement.otherwise], visit);
    }
  }
}

/** Names of the locals of a body. */
function localsOf(body: readonly Statement[]): readonly string[] {
  const names = new Set<string>();
  visitAll(body, (statement) => {
    if (statement.do === 'let' || statement.do === 'for') names.add(statement.name);
    if (statement.do === 'apply') for (const name of basesOf(statement)) names.add(name);
  });
  return [...names];
}
