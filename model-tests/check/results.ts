/** What `npm run check:all` has found: a data file, from which docs/checking.md is made. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { EngineAnswer } from './engines.ts';

/** What came of one world. */
export interface WorldRecord {
  readonly world: string;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** Of one thread, on whatever machine it was. */
  readonly seconds: number;
  readonly bytesPerState: number;
  readonly complete: boolean;
  readonly verdicts: readonly { readonly property: string; readonly outcome: 'holds' | 'violated' | 'unknown' }[];
  /** Rules that never happened. */
  readonly unfired: number;
  /** Whether it was searched with exchangeable rows in one order alone, being too large otherwise. */
  readonly bySymmetry: boolean;
  /** With dead variables and exchangeable rows taken for one; null for a world without either. */
  readonly reduced: { readonly states: number; readonly orbitSum: number; readonly seconds: number } | null;
  readonly engines: readonly EngineAnswer[];
}

/** A search that is made once, because it takes long. */
export interface LargeRecord {
  readonly what: string;
  readonly command: string;
  /** Commit whose machines were searched. */
  readonly version: string;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States that those stand for. */
  readonly orbitSum: number;
  readonly cpuSeconds: number;
  readonly bytes: number;
  readonly verdicts: WorldRecord['verdicts'];
}

export interface CheckResults {
  readonly worlds: readonly WorldRecord[];
  readonly large: readonly LargeRecord[];
}

const file = new URL('results.json', import.meta.url);

/** The last results; empty when there are none. */
export function readResults(): CheckResults {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as CheckResults) : { worlds: [], large: [] };
}

export function writeResults(results: CheckResults): void {
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}
