/** Prints a program as C, over an array for each variable: for engines that take C. */

import { codesOf, type Dialect, isConstant, QUEUE_STRIDE, SpecialisedPrinter } from './print-specialised.ts';
import type { Program, Term, Variable } from './program.ts';

/** What a `short` holds. */
const CODES_MAX = 2 ** 15;

/** Identifier for a variable: `socket_queued`, `socket_state`. */
export const identifierOf = ({ machine, field }: Variable): string =>
  `${machine}_${field === '' ? 'state' : field.replaceAll(/\W/g, '_')}`;

/** Variables that there is something to remember of. */
export const storedVariables = ({ variables }: Program): readonly Variable[] =>
  variables.filter((variable) => !isConstant(variable));

/** A program as C. */
export interface CProgram {
  /** Static functions `rule0(void)`, `rule1(void)`, …, each of which returns `NULL` or why it failed, and all they need. */
  functions(): string;
  /** Expression, for each rule, that is not 0 when it can happen. */
  readonly guards: readonly string[];
  /** A term over the state as a condition; to be asked for before the functions. */
  condition(term: Term): string;
}

/**
 * Prints `program`.
 *
 * @param place - expression for the element of a variable: an unsigned integer of {@link codesOf} values
 */
export function toC(program: Program, place: (variable: Variable, row: number) => string): CProgram {
  for (const variable of program.variables) {
    if (codesOf(variable) > CODES_MAX) throw new RangeError(`${variable.name} has more than ${CODES_MAX} values`);
  }
  const dialect: Dialect = {
    define: (name, parameters, body, returns) => `static ${header(name, parameters, returns)} {\n${body}\n}`,
    declare: (name, value) => `int ${name} = ${value};`,
    read: (variable, row) => place(variable, row),
    write: (variable, row, code) => `${place(variable, row)} = ${code};`,
    fail: (reason) => `fail(${JSON.stringify(reason)})`,
    equals: '==',
    unequals: '!=',
  };
  const printer = new SpecialisedPrinter(program, dialect);
  const guards = program.rules.map(({ guard }) => printer.condition(guard));
  const rules = program.rules.map(
    ({ name }, rule) =>
      `/* ${name.replaceAll('*/', '* /')} */\nstatic const char *rule${rule}(void) {\ntop = 0; failure = 0;\n${printer.rule(rule).join('\n')}\nreturn failure;\n}`,
  );
  return {
    guards,
    condition: (term) => printer.condition(term),
    functions: () =>
      [
        `static int q[${QUEUE_STRIDE * 1024}], top;`,
        `static const char *failure;`,
        `static int fail(const char *reason) { if (!failure) failure = reason; return 0; }`,
        ...printer.signatures.map(({ name, parameters, returns }) => `static ${header(name, parameters, returns)};`),
        ...printer.functions,
        ...rules,
      ].join('\n'),
  };
}

function header(name: string, parameters: readonly string[], returns: boolean): string {
  const list = parameters.length === 0 ? 'void' : parameters.map((parameter) => `int ${parameter}`).join(', ');
  return `${returns ? 'int' : 'void'} ${name}(${list})`;
}
