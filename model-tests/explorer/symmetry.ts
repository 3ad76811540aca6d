/** Symmetry: rows that can be exchanged. */

import type { Layout } from './layout.ts';

/** Puts the state behind `words[at]` into the form that stands for all that differ by an exchange; null without any. */
export function canonicalizer(_layout: Layout): ((words: Int32Array, at: number) => void) | null {
  return null;
}
