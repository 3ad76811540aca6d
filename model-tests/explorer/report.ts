/** Paths as text: what happened, and what it changed. */

import type { Cell } from './layout.ts';
import type { Rule } from './world.ts';

/** One rule that happened. */
export interface Step {
  readonly rule: Rule;
  readonly changes: readonly { readonly cell: Cell; readonly from: string; readonly to: string }[];
  /** The rule broke an invariant. */
  readonly error?: string;
}

/** One line for each step and each row that it changed: `socket 0: created → bound; attached 0 → 1`. */
export function describePath(steps: readonly Step[], first: number): string {
  return steps
    .flatMap(({ rule, changes, error }, index) => {
      const rows = new Map<string, string[]>();
      for (const { cell, from, to } of changes) {
        const parts = rows.get(cell.of) ?? [];
        rows.set(cell.of, parts);
        parts.push(`${cell.name === '' ? '' : `${cell.name} `}${from} → ${to}`);
      }
      return [
        `${String(first + index).padStart(3)}. ${rule.name} (${rule.class})`,
        ...[...rows].map(([of, parts]) => `       ${of}: ${parts.join('; ')}`),
        ...(error === undefined ? [] : [`       ${error}`]),
      ];
    })
    .join('\n');
}
