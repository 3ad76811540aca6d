/** Results of judging every mutant of the machines: a data file, and how it reads. */

import { readFileSync, writeFileSync } from 'node:fs';
import type { Verdict } from './judge.ts';

/** What all mutants came to. */
export interface MutationResults {
  /** Worlds that judged. */
  readonly worlds: readonly string[];
  /** Mutants by what found them, by operator and by machine. */
  readonly total: Readonly<Record<string, number>>;
  readonly operators: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly machines: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Mutants that there are; not all of them need have been judged. */
  readonly mutants: number;
  /** Mutants that something was asked of, and nobody minded, with the worlds that were asked, and why. */
  readonly survivors: Readonly<Record<string, { readonly worlds: string; readonly reason: string }>>;
  /** Mutants of places that no world and no run comes to. */
  readonly unreached: readonly string[];
  /** Mutants that no question tells from the original. */
  readonly equivalent: readonly string[];
}

const file = new URL('results.json', import.meta.url);

export function resultsOf(verdicts: readonly Verdict[], worlds: readonly string[], mutants: number): MutationResults {
  const count = (key: (verdict: Verdict) => string): Record<string, Record<string, number>> => {
    const counts: Record<string, Record<string, number>> = {};
    for (const verdict of verdicts) {
      const of = counts[key(verdict)] ?? {};
      of[verdict.by] = (of[verdict.by] ?? 0) + 1;
      counts[key(verdict)] = of;
    }
    return counts;
  };
  const names = (by: Verdict['by']) =>
    verdicts
      .filter((verdict) => verdict.by === by)
      .map(({ mutant }) => mutant)
      .sort();
  return {
    worlds,
    mutants,
    total: count(() => 'all')['all'] ?? {},
    operators: count(({ operator }) => operator),
    machines: count(({ machine }) => machine),
    survivors: Object.fromEntries(
      verdicts
        .filter(({ by }) => by === 'survived')
        .map(({ mutant, what }) => [mutant, { worlds: what, reason: reasonFor(mutant) }] as const)
        .sort(([left], [right]) => (left < right ? -1 : 1)),
    ),
    unreached: names('unreached'),
    equivalent: names('equivalent'),
  };
}

export function writeResults(results: MutationResults): void {
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

/** Why nobody minds some survivors: the first that fits. */
const reasons: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/: actions swapped \(/, 'no world and no run tells the two orders apart'],
  [
    /networkEvents .*socket\.stopped/,
    'a record that has stopped is read by nobody, and is new when its socket is freed',
  ],
];

/** Why nobody minds that a mutant survives, as far as it is known. */
export const reasonFor = (mutant: string): string =>
  reasons.find(([pattern]) => pattern.test(mutant))?.[1] ?? 'a property, or a situation, is missing';

/** The last results that were written. @throws when there are none */
export function readResults(): MutationResults {
  return JSON.parse(readFileSync(file, 'utf8')) as MutationResults;
}

/** Mutants that are not the same program, and how many of them are found by the properties alone, and by all together. */
export function scoreOf(counts: Readonly<Record<string, number>>): { all: number; properties: number; found: number } {
  const of = (by: Verdict['by']): number => counts[by] ?? 0;
  const properties = of('compiler') + of('properties');
  const found = properties + of('scripts') + of('runs');
  return { all: found + of('survived') + of('unreached'), properties, found };
}

/** A line for each machine and each operator, and one for all. */
export function describeResults({ total, operators, machines, mutants, worlds, survivors }: MutationResults): string {
  const percent = (part: number, whole: number) => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);
  const line = (name: string, counts: Readonly<Record<string, number>>): string => {
    const { all, properties, found } = scoreOf(counts);
    const rest = ['equivalent', 'compiler', 'properties', 'scripts', 'runs', 'survived', 'unreached']
      .map((by) => `${by} ${counts[by] ?? 0}`)
      .join(', ');
    return `${name.padEnd(22)} ${percent(properties, all).padStart(8)} ${percent(found, all).padStart(8)}   ${rest}`;
  };
  return [
    `${''.padEnd(22)} ${'properties'} ${'all'}`,
    ...Object.entries(machines).map(([name, counts]) => line(name, counts)),
    ...Object.entries(operators).map(([name, counts]) => line(name, counts)),
    line('all', total),
    '',
    `${Object.values(total).reduce((sum, count) => sum + count, 0)} of ${mutants} mutants, judged in ${worlds.length} worlds: ${worlds.join('; ')}`,
    ...Object.entries(survivors).map(([name, { reason }]) => `survives: ${name}: ${reason}`),
  ].join('\n');
}
