/** What `npm run check:all` has found: a data file, from which docs/checking.md is made. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { compileMachines, explorationLimits } from '../../machines/index.ts';
import { portable, type WorldDefinition } from '../explorer/index.ts';
import type { EngineAnswer } from './engines.ts';

/** What came of one world. */
export interface WorldRecord {
  readonly world: string;
  /** Of the machines, the world, what was asked and of whom: results for another are of something else. */
  readonly digest: string;
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
  /** As of a {@link WorldRecord}. */
  readonly digest: string;
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States that those stand for. */
  readonly orbitSum: number;
  readonly cpuSeconds: number;
  readonly bytes: number;
  readonly verdicts: WorldRecord['verdicts'];
}

/** What a symbolic engine says of all that is asked about states and transitions of a world together. */
export interface SymbolicRecord {
  readonly world: string;
  readonly bounds: string;
  /** As of a {@link WorldRecord}. */
  readonly digest: string;
  readonly verdict: 'proved' | 'broken' | 'unknown';
  /** Of the invariant, which a SAT solver has checked. */
  readonly clauses: number;
  readonly latches: number;
  readonly ands: number;
  /** Of the engine alone. */
  readonly cpuSeconds: number;
  /** Of a world that was broken on purpose: rules to what is wrong, and how many states the world has without. */
  readonly seeded?: { readonly rules: number; readonly states: number };
  /** Rules within which nothing is wrong, where that alone was asked. */
  readonly within?: number;
}

export interface CheckResults {
  readonly worlds: readonly WorldRecord[];
  readonly symbolic: readonly SymbolicRecord[];
  readonly large: readonly LargeRecord[];
}

const file = new URL('results.json', import.meta.url);

/** The last results; empty when there are none. */
export function readResults(): CheckResults {
  const none: CheckResults = { worlds: [], symbolic: [], large: [] };
  return existsSync(file) ? { ...none, ...(JSON.parse(readFileSync(file, 'utf8')) as CheckResults) } : none;
}

/** A digest of what is searched, and of what is asked of it: machines as their tables. */
export function digestOf(definition: WorldDefinition, ...asked: readonly unknown[]): string {
  const { machines = compileMachines(definition.limits ?? explorationLimits), ...others } = portable(definition);
  const text = JSON.stringify([machines, others, asked], (_, value: unknown) =>
    ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value,
  );
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

export function writeResults(results: CheckResults): void {
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}
