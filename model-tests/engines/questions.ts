/** Properties as engines are asked them: terms over one state, or one state and the one before. */

import { type Formula, initialValue, type Program, type Property, termOfFormula } from '../explorer/index.ts';
import { binary, not, type Term, type Variable } from '../explorer/program.ts';

/** Something to look for in every state, or after every transition. */
export interface Sight {
  /** Number of the property. */
  readonly property: number;
  /** What is known when it is seen. */
  readonly means: 'broken' | 'shown';
  readonly when: Term;
  /** It reads what was before; then the initial state is not looked at. */
  readonly ofTransition: boolean;
}

export interface Questions {
  readonly sights: readonly Sight[];
  /** Variables whose values before a transition are read, each with what stands for it. */
  readonly before: ReadonlyMap<Variable, Variable>;
}

/** What `properties` look for; those of liveness and of deadlocks aren't here. */
export function questionsOf(program: Program, properties: readonly Property[]): Questions {
  const before = new Map<Variable, Variable>();
  const beforeOf = (variable: Variable): Variable => {
    const known = before.get(variable);
    if (known !== undefined) return known;
    const made = { ...variable, name: `before ${variable.name}`, machine: `before_${variable.machine}` };
    before.set(variable, made);
    return made;
  };
  const term = (formula: Formula): Term => termOfFormula(formula, program);
  const sights = properties.flatMap((property, index): Sight[] => {
    const sight = (means: Sight['means'], when: Term, ofTransition = false): Sight => ({
      property: index,
      means,
      when,
      ofTransition,
    });
    switch (property.kind) {
      case 'always':
        return [sight('broken', not(term(property.holds)))];
      case 'sometimes':
        return [sight('shown', term(property.holds))];
      case 'implies': {
        const left = term(property.left);
        return [sight('shown', left), sight('broken', binary('&&', left, not(term(property.right))))];
      }
      case 'transition':
        return [sight('broken', not(termOfFormula(property.holds, program, beforeOf)), true)];
      default:
        return [];
    }
  });
  return { sights, before };
}

/** Name of a sight for an engine. */
export const nameOf = ({ property, means }: Sight): string => `property ${property} is ${means}`;

/** Those of `sights` that are seen in the initial state already. */
export function seenAtFirst(sights: readonly Sight[]): readonly Sight[] {
  return sights.filter(({ when, ofTransition }) => !ofTransition && initialValue(when) !== 0);
}

/** Whether properties of this kind are asked: of the others an engine that looks at states says nothing. */
export const isAsked = ({ kind }: Property): boolean => kind !== 'leadsTo' && kind !== 'deadlock';

/** Whether a property holds, by the sights of it that were seen. */
export function holds({ kind }: Property, seen: ReadonlySet<Sight['means']>): boolean {
  if (seen.has('broken')) return false;
  return kind === 'sometimes' || kind === 'implies' ? seen.has('shown') : true;
}
