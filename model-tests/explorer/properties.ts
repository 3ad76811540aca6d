/** What can be asked of a world. */

import { type Formula, type Predicate, predicateOf } from './formula.ts';
import type { Layout } from './layout.ts';

export type Property =
  | { readonly kind: 'always'; readonly name: string; readonly holds: Formula }
  | { readonly kind: 'sometimes'; readonly name: string; readonly holds: Formula }
  | { readonly kind: 'implies'; readonly name: string; readonly left: Formula; readonly right: Formula }
  /** `holds` reads the state before as well. */
  | { readonly kind: 'transition'; readonly name: string; readonly holds: Formula }
  | { readonly kind: 'deadlock'; readonly name: string; readonly terminal: Formula }
  | {
      readonly kind: 'leadsTo';
      readonly name: string;
      readonly from: Formula;
      readonly to: Formula;
      readonly fair: readonly string[];
    };

/** Holds in every reachable state. */
export const always = (name: string, holds: Formula): Property => ({ kind: 'always', name, holds });
/** Holds in some reachable state: shows that something was put to the test. */
export const sometimes = (name: string, holds: Formula): Property => ({ kind: 'sometimes', name, holds });
/** Where `left` holds, `right` does; and `left` does somewhere. */
export const implies = (name: string, left: Formula, right: Formula): Property => ({
  kind: 'implies',
  name,
  left,
  right,
});
/** Holds between every state and each of its successors. */
export const transition = (name: string, holds: Formula): Property => ({ kind: 'transition', name, holds });
/** Where nothing can change any more, `terminal` holds. */
export const deadlock = (name: string, terminal: Formula): Property => ({ kind: 'deadlock', name, terminal });
/**
 * After `from`, `to` holds in time, if rules of the classes `fair` aren't put off for ever. Time may pass with nothing
 * happening, where no fair rule can happen. As with `implies`, `from` holds somewhere.
 */
export const leadsTo = (name: string, from: Formula, to: Formula, fair: readonly string[]): Property => ({
  kind: 'leadsTo',
  name,
  from,
  to,
  fair,
});

/** A property whose formulas are translated. */
export type Question = Property extends infer P
  ? P extends Property
    ? { readonly [K in keyof P]: P[K] extends Formula ? Predicate : P[K] }
    : never
  : never;

/** Translates the formulas of `property`. @throws Error when one names what the world does not have */
export function questionOf(property: Property, layout: Layout): Question {
  const translate = (formula: Formula): Predicate => predicateOf(formula, layout);
  switch (property.kind) {
    case 'implies':
      return { ...property, left: translate(property.left), right: translate(property.right) };
    case 'deadlock':
      return { ...property, terminal: translate(property.terminal) };
    case 'leadsTo':
      return { ...property, from: translate(property.from), to: translate(property.to) };
    default:
      return { ...property, holds: translate(property.holds) };
  }
}
