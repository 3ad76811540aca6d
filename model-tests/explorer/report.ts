/** Paths as text: what happened, and what it changed. */

import type { Cell } from './layout.ts';
import type { Rule } from './world.ts';

/** One rule that happened. */
export interface Step {
  readonly rule: Rule;
  /** What the provider's machines were told from outside: `socket 0 spi.closeSocket`, with parameters that aren't 0. */
  readonly events: readonly string[];
  readonly changes: readonly { readonly cell: Cell; readonly from: string; readonly to: string }[];
  /** The rule broke an invariant. */
  readonly error?: string;
}

/** For each step its calls and other events, and each row that it changed: `socket 0: created → bound; attached 0 → 1`. */
export function describePath(steps: readonly Step[], first: number): string {
  return steps
    .flatMap(({ rule, events, changes, error }, index) => {
      const rows = new Map<string, string[]>();
      for (const { cell, from, to } of changes) {
        const parts = rows.get(cell.of) ?? [];
        rows.set(cell.of, parts);
        parts.push(`${cell.name === '' ? '' : `${cell.name} `}${from} → ${to}`);
      }
      return [
        `${String(first + index).padStart(3)}. ${rule.name} (${rule.class})`,
        ...(events.length === 0 ? [] : [`       events: ${events.join('; ')}`]),
        ...[...rows].map(([of, parts]) => `       ${of}: ${parts.join('; ')}`),
        ...(error === undefined ? [] : [`       ${error}`]),
      ];
    })
    .join('\n');
}
