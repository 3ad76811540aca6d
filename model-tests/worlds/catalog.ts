/** What a world of the catalogue says of itself. */

import type { Property, WorldDefinition } from '../explorer/index.ts';

/** Assumptions about the switch, by their ids in the specification's 21.3. */
export type Assumption = 'E-01' | 'E-02' | 'E-03' | 'E-04' | 'E-05' | 'E-06' | 'E-07' | 'E-08';

/** A closed system with what is asked of it. */
export interface CatalogWorld {
  /** That of its definition. */
  readonly name: string;
  /** What it is to show, as one question. */
  readonly question: string;
  /** How large it is, in words: rows, depths, faults. */
  readonly bounds: string;
  /** `quick`: some seconds at most; `long`: the others. */
  readonly effort: 'quick' | 'long';
  readonly definition: WorldDefinition;
  /** A name begins with the ids of the statements that it checks: `S-03, L-01: …`; see {@link statementsOf}. */
  readonly properties: readonly Property[];
  /** What the switch keeps to here; it may break all others. */
  readonly assumes: readonly Assumption[];
  /** What the switch breaks here. */
  readonly lifts?: readonly Assumption[];
  /** What a search finds; a changed model is a visible difference. Absent where nobody has searched it to its end. */
  readonly size?: { readonly states: number; readonly transitions: number; readonly depth: number };
  /** Rules that never happen, with nothing wrong about it. */
  readonly unfired?: readonly string[];
}

/** Ids of the statements (S-nn, L-nn) that `property` checks. */
export function statementsOf({ name }: Property): readonly string[] {
  const colon = name.indexOf(':');
  return colon < 0 ? [] : (name.slice(0, colon).match(/\b[SL]-\d\d\b/g) ?? []);
}
