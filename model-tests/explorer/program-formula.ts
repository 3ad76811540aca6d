/** Formulas over a program's variables. */

import type { Formula } from './formula.ts';
import {
  binary,
  choose,
  disjunction,
  not,
  type Program,
  readOf,
  substitute,
  type Term,
  type Variable,
} from './program.ts';

/**
 * What a formula says, as a term over the variables of `program`.
 *
 * @param before - the variable that holds what one held before the transition; only formulas of transitions ask for it
 * @throws Error when it names what the world does not have
 */
export function termOfFormula(
  formula: Formula,
  program: Program,
  before: (variable: Variable) => Variable = ({ name }) => {
    throw new Error(`what ${name} was before is asked for where there is no before`);
  },
): Term {
  const inner = (part: Formula): Term => termOfFormula(part, program, before);
  if (typeof formula === 'number') return formula;
  switch (formula.op) {
    case 'named':
      return formula.value;
    case 'not':
      return not(inner(formula.of));
    case 'if':
      return choose(inner(formula.test), inner(formula.yes), inner(formula.no));
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins': {
      const fields = { field: '', in: '', owner: 'owner', place: 'place', pins: '' };
      const field =
        formula.op === 'field' ? formula.name : formula.op === 'pins' ? `pins ${formula.buffer}` : fields[formula.op];
      const found = program.variables.find(({ name }) => name === `${formula.machine}/${field}`);
      if (found === undefined || formula.row >= found.initial.length) {
        throw new Error(`the world has no '${field || 'state'}' of ${formula.machine} ${formula.row}`);
      }
      const read = readOf(formula.before === true ? before(found) : found, formula.row);
      if (formula.op !== 'in') return read;
      return disjunction(
        formula.states.flatMap((wanted) => {
          const values = found.names!.flatMap((full, value) =>
            full === wanted || full.startsWith(`${wanted}.`) ? [value] : [],
          );
          if (values.length === 0) throw new Error(`machine '${formula.machine}' has no state '${wanted}'`);
          return values.map((value) => binary('==', read, value));
        }),
      );
    }
    default:
      return binary(formula.op, inner(formula.left), inner(formula.right));
  }
}

/** Value of a term in the initial state. */
export function initialValue(term: Term): number {
  const value = substitute(
    term,
    () => null,
    ({ initial }, row) => initial[row as number] ?? null,
  );
  if (typeof value !== 'number') throw new Error('a term over more than the state');
  return value;
}
