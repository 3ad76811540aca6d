/**
 * Prints a world as Promela, for Spin.
 *
 * Theory of operation: the state is global numbers, one array for each variable. One process does, for ever, any one rule
 * that can happen, each in one `d_step`: a state of Spin's is one of ours, and a transition is a rule. What a rule does is
 * embedded C. For weak fairness, which Spin has of processes, there is one
 * process for each fair class, and one for all other rules, that may also do nothing.
 *
 * All that is asked at once is asked in C, because that compiles in seconds; one question alone is Promela's.
 */

import { identifierOf, storedVariables, toC } from '../explorer/print-c.ts';
import { codeOf, codesOf, isConstant } from '../explorer/print-specialised.ts';
import type { Program, ProgramRule, Term, Variable } from '../explorer/program.ts';
import type { Questions, Sight } from './questions.ts';

export interface PromelaOptions {
  readonly questions: Questions;
  /**
   * `note`: prints `noted N` for each sight seen; a sight: stops when it is seen; `stop`: stops at any that breaks a
   * property; `nothing`: looks at none.
   */
  readonly look: 'note' | 'stop' | 'nothing' | Sight;
  /** Instead: whether `from` is followed by `to`, with rules of these classes weakly fair. */
  readonly leadsTo?: { readonly from: Term; readonly to: Term; readonly fair: readonly string[] };
}

/** Name of the file that a model includes. */
export const HEADER = 'world.h';

/** A world in Promela. */
export interface Promela {
  readonly source: string;
  /** C that it includes, as a file called {@link HEADER}. */
  readonly header: string;
  /** Line of each rule, from 1. */
  readonly lines: readonly number[];
}

/** Prints `program` and what is asked of it. */
export function toPromela(program: Program, { questions, look, leadsTo }: PromelaOptions): Promela {
  const earlier = new Set(questions.before.values());
  const { functions, guards, condition } = toC(
    program,
    (variable, row) => `${earlier.has(variable) ? '' : 'now.'}${identifierOf(variable)}[${row}]`,
  );
  const before = look === 'nothing' ? [] : [...questions.before].filter(([variable]) => !isConstant(variable));
  const lines: string[] = [
    `/* ${program.name.replaceAll('*/', '* /')} */`,
    ...storedVariables(program).map((variable) => {
      const codes = variable.initial.map((value) => codeOf(variable, value));
      return `${codesOf(variable) > 256 ? 'short' : 'byte'} ${identifierOf(variable)}[${codes.length}] = { ${codes.join(', ')} };`;
    }),
    `c_code { \\#include "${HEADER}" };`,
  ];
  const remember = before.flatMap(([variable, made]) =>
    variable.initial.map((_, row) => `${identifierOf(made)}[${row}] = now.${identifierOf(variable)}[${row}];`),
  );
  const stop =
    typeof look === 'string'
      ? ''
      : `if :: ${look.ofTransition ? `c_expr { ${condition(look.when)} }` : toExpression(look.when)} -> assert(false) :: else fi;`;
  const ruleLines: number[] = [];
  const options = (rules: readonly ProgramRule[]): void => {
    for (const rule of rules) {
      const index = program.rules.indexOf(rule);
      const act = `${remember.join(' ')} { const char *why = rule${index}(); if (why) uerror((char *)why); }`;
      lines.push(
        `  :: d_step { c_expr { ${guards[index]} } -> c_code { ${act}${look === 'note' || look === 'stop' ? ' judge();' : ''} }; ${stop} }`,
      );
      ruleLines[index] = lines.length;
    }
  };
  const fair = leadsTo?.fair ?? [];
  for (const label of fair) {
    lines.push(`/* ${label} */`, `active proctype fair${fair.indexOf(label)}() {`, 'end: do');
    options(program.rules.filter((rule) => rule.fair === label));
    lines.push('  od', '}');
  }
  lines.push('active proctype others() {', 'end: do');
  options(program.rules.filter((rule) => rule.fair === null || !fair.includes(rule.fair)));
  // Nobody is made to do what isn't fair.
  if (leadsTo !== undefined) lines.push('  :: c_code { ; }');
  lines.push('  od', '}');
  if (leadsTo !== undefined) {
    lines.push(`ltl leadsTo { [] (${toExpression(leadsTo.from)} -> <> ${toExpression(leadsTo.to)}) }`);
  }
  const judge = questions.sights.flatMap(({ when, means }, index) => {
    if (look === 'note') return [`if (${condition(when)}) note(${index});`];
    return look === 'stop' && means === 'broken' ? [`if (${condition(when)}) uerror("a property is broken");`] : [];
  });
  const header = [
    ...before.map(([{ initial }, made]) => `static short ${identifierOf(made)}[${initial.length}];`),
    functions(),
    `static char noted[${questions.sights.length + 1}];`,
    'static void note(int n) { if (!noted[n]) { noted[n] = 1; printf("noted %d\\n", n); } }',
    'extern void (*uerror)(char *);',
    'static void judge(void) {',
    ...judge,
    '}',
  ];
  return { source: `${lines.join('\n')}\n`, header: `${header.join('\n')}\n`, lines: ruleLines };
}

/** A term over the state in Promela. */
function toExpression(term: Term): string {
  if (typeof term === 'number') return String(term);
  switch (term.op) {
    case 'read':
      return readExpression(term.variable, term.row as number);
    case 'local':
      throw new Error(`a question reads the local '${term.name}'`);
    case 'not':
      return `!(${toExpression(term.of)})`;
    case 'if':
      return `(${toExpression(term.test)} -> ${toExpression(term.yes)} : ${toExpression(term.no)})`;
    default:
      return `(${toExpression(term.left)} ${term.op} ${toExpression(term.right)})`;
  }
}

function readExpression(variable: Variable, row: number): string {
  if (isConstant(variable)) return String(variable.low);
  const code = `${identifierOf(variable)}[${row}]`;
  const { values, low } = variable;
  if (values === null) return low === 0 ? code : `(${code} + ${low})`;
  return values.reduceRight(
    (otherwise, value, index) =>
      otherwise === '' ? String(value) : `(${code} == ${index} -> ${value} : ${otherwise})`,
    '',
  );
}
