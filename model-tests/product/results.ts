/** What the tests from product graphs came to: a data file, and how it reads. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** The tests of one world, all of which were played and seen to be as predicted. */
export interface ProductRecord {
  readonly world: string;
  /** Edges that were looked at: all of the world's, unless there are more than were asked for. */
  readonly edges: number;
  readonly covered: number;
  readonly paths: number;
  readonly steps: number;
  /** Edges that no script takes, by reason. */
  readonly refused: Readonly<Record<string, number>>;
}

const file = new URL('results.json', import.meta.url);

/** The last results; none when there are none. */
export function readProducts(): readonly ProductRecord[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ProductRecord[]) : [];
}

export function writeProducts(records: readonly ProductRecord[]): void {
  writeFileSync(file, `${JSON.stringify(records, null, 2)}\n`);
}
