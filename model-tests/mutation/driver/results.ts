/** Scores of the mutants of the driver's own code, by file: a data file, and how it reads. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** What Stryker found of one file. */
export interface DriverRecord {
  readonly file: string;
  /** One line of so many was looked at. */
  readonly every: number;
  /** Mutants that some test notices. */
  readonly detected: number;
  readonly survived: number;
  /** Mutants that no test comes to. */
  readonly uncovered: number;
  /** Mutants of what happens once, when a file is loaded: no test can tell. */
  readonly ignored: number;
  /** Mutants with which the file of tests could not be loaded, so that no test was asked. */
  readonly unjudged: number;
}

const file = new URL('results.json', import.meta.url);

export function readDriver(): readonly DriverRecord[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly DriverRecord[]) : [];
}

export function writeDriver(records: readonly DriverRecord[]): void {
  writeFileSync(file, `${JSON.stringify(records, null, 2)}\n`);
}

/** Rows of a table: file, mutants, detected, score in percent, lines looked at, and how many mutants there were not judged. */
export function driverRows(): string[][] {
  return readDriver().map(({ file: name, every, detected, survived, uncovered, unjudged }) => {
    const all = detected + survived + uncovered;
    return [
      name,
      String(all),
      String(detected),
      all === 0 ? '-' : `${((100 * detected) / all).toFixed(0)} %`,
      (every === 1 ? 'all' : `1 of ${every}`) + (unjudged === 0 ? '' : `; ${unjudged} mutants not judged`),
    ];
  });
}

export const describeDriver = (): string =>
  driverRows()
    .map((row) => row.join('  '))
    .join('\n');
