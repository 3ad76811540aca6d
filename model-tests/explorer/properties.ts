/** What can be asked of a world. */

import type { StateView } from './layout.ts';

export type Predicate = (state: StateView) => boolean;

export type Property =
  | { readonly kind: 'always'; readonly name: string; readonly holds: Predicate }
  | { readonly kind: 'sometimes'; readonly name: string; readonly holds: Predicate }
  | { readonly kind: 'implies'; readonly name: string; readonly left: Predicate; readonly right: Predicate }
  | {
      readonly kind: 'transition';
      readonly name: string;
      readonly holds: (before: StateView, after: StateView) => boolean;
    }
  | { readonly kind: 'deadlock'; readonly name: string; readonly terminal: Predicate }
  | {
      readonly kind: 'leadsTo';
      readonly name: string;
      readonly from: Predicate;
      readonly to: Predicate;
      readonly fair: readonly string[];
    };

/** Holds in every reachable state. */
export const always = (name: string, holds: Predicate): Property => ({ kind: 'always', name, holds });
/** Holds in some reachable state: shows that something was put to the test. */
export const sometimes = (name: string, holds: Predicate): Property => ({ kind: 'sometimes', name, holds });
/** Where `left` holds, `right` does; and `left` does somewhere. */
export const implies = (name: string, left: Predicate, right: Predicate): Property => ({
  kind: 'implies',
  name,
  left,
  right,
});
/** Holds between every state and each of its successors. */
export const transition = (name: string, holds: (before: StateView, after: StateView) => boolean): Property => ({
  kind: 'transition',
  name,
  holds,
});
/** Where nothing can change any more, `terminal` holds. */
export const deadlock = (name: string, terminal: Predicate): Property => ({ kind: 'deadlock', name, terminal });
/**
 * After `from`, `to` holds in time, if rules of the classes `fair` aren't put off for ever. Time may pass with nothing
 * happening, where no fair rule can happen. As with `implies`, `from` holds somewhere.
 */
export const leadsTo = (name: string, from: Predicate, to: Predicate, fair: readonly string[]): Property => ({
  kind: 'leadsTo',
  name,
  from,
  to,
  fair,
});
