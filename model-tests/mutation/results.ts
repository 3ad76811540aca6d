/** Results of judging every mutant of the machines: a data file, and how it reads. */

import { readFileSync, writeFileSync } from 'node:fs';
import { type Outcome, outcomes, type Verdict } from './judge.ts';

type Counts = Readonly<Partial<Record<Outcome, number>>>;

/** What became of some mutants when they were judged again, since what they depend on has changed. */
export interface JudgedAgain {
  readonly version: string;
  /** Part of their names, or the name of their machine. */
  readonly what: string;
  readonly mutants: number;
  readonly total: Counts;
  readonly survivors: MutationResults['survivors'];
  /** What finds those of them that had survived. */
  readonly foundNow: Readonly<Record<string, string>>;
}

/** What all mutants came to. */
export interface MutationResults {
  /** What was judged: a commit. */
  readonly version: string;
  /** Worlds that judged. */
  readonly worlds: readonly string[];
  /** Mutants that there are; not all of them need have been judged. */
  readonly mutants: number;
  /** Mutants by what became of them: all, by machine and by operator. */
  readonly total: Counts;
  readonly machines: Readonly<Record<string, Counts>>;
  readonly operators: Readonly<Record<string, Counts>>;
  /** Why mutants are equivalent, and how many are for that reason. */
  readonly equivalent: Readonly<Record<string, number>>;
  /** Mutants that something was asked of, and nobody minded, with the worlds that were asked, and why. */
  readonly survivors: Readonly<Record<string, { readonly worlds: string; readonly reason: string }>>;
  /** Mutants of places that no world and no run comes to. */
  readonly unreached: readonly string[];
  /** Places that no world of these comes to: none of their mutants that are not equivalent is told apart there. */
  readonly holes: readonly string[];
  /** What was judged since; a whole judgement has none. */
  readonly again?: readonly JudgedAgain[];
}

const file = new URL('results.json', import.meta.url);

export function resultsOf(
  verdicts: readonly Verdict[],
  worlds: readonly string[],
  mutants: number,
  version = 'these sources',
): MutationResults {
  const count = (key: (verdict: Verdict) => string): Record<string, Counts> => {
    const counts: Record<string, Partial<Record<Outcome, number>>> = {};
    for (const verdict of verdicts) {
      const of = counts[key(verdict)] ?? {};
      of[verdict.by] = (of[verdict.by] ?? 0) + 1;
      counts[key(verdict)] = of;
    }
    return Object.fromEntries(Object.entries(counts).sort(([left], [right]) => (left < right ? -1 : 1)));
  };
  const of = (by: Outcome): Verdict[] =>
    verdicts.filter((verdict) => verdict.by === by).sort((left, right) => (left.mutant < right.mutant ? -1 : 1));
  const equivalent: Record<string, number> = {};
  for (const { what } of of('equivalent')) equivalent[what] = (equivalent[what] ?? 0) + 1;
  const telling = verdicts.filter(
    ({ by, operator }) => by !== 'compiler' && by !== 'equivalent' && operator !== 'route dropped',
  );
  const reached = new Set(telling.filter(({ world }) => world !== '').map(({ mutant }) => placeOf(mutant)));
  return {
    version,
    worlds,
    mutants,
    total: count(() => 'all')['all'] ?? {},
    machines: count(({ machine }) => machine),
    operators: count(({ operator }) => operator),
    equivalent,
    survivors: Object.fromEntries(
      of('survived').map(({ mutant, what }) => [mutant, { worlds: what, reason: reasonFor(mutant) }]),
    ),
    unreached: of('unreached').map(({ mutant }) => mutant),
    holes: [...new Set(telling.map(({ mutant }) => placeOf(mutant)))].filter((place) => !reached.has(place)).sort(),
  };
}

/** Adds what was judged again to `results`, instead of what was known of it. */
export function withAgain(results: MutationResults, what: string, verdicts: readonly Verdict[], version: string) {
  const { total, survivors } = resultsOf(verdicts, [], 0);
  const foundNow = Object.fromEntries(
    verdicts
      .filter(({ mutant, by }) => results.survivors[mutant] !== undefined && by !== 'survived')
      .map(({ mutant, by, what: finder }) => [mutant, `${by}: ${finder}`]),
  );
  const record: JudgedAgain = { version, what, mutants: verdicts.length, total, survivors, foundNow };
  const others = (results.again ?? []).filter((other) => other.what !== what);
  return { ...results, again: [...others, record] } satisfies MutationResults;
}

/** `socket connected.active: spi.send #1` */
const placeOf = (mutant: string): string => mutant.split(': ').slice(0, 2).join(': ');

export function writeResults(results: MutationResults): void {
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
}

/** Why nobody minds some survivors: the first that fits. */
const reasons: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /loseRequests: route dropped \([12]: requestQueue\/socket\.lost\)/,
    'a queue that is over posts nothing more: what it counts as posted is read by nobody',
  ],
  [
    /networkEvents stopped: spi\.enumNetworkEvents .*(accept|connect)Error/,
    'without the bit of an event its error is not written (WSD-104)',
  ],
  [/clock\.expired #\d+: effect dropped \(stopTimer\)/, 'a timer that has expired does not run'],
];

/** What is said of a survivor of which nothing is known. */
export const UNEXPLAINED = 'a property, or a situation, is missing';

/** Why nobody minds that a mutant survives, as far as it is known. */
export const reasonFor = (mutant: string): string =>
  reasons.find(([pattern]) => pattern.test(mutant))?.[1] ?? UNEXPLAINED;

/** The last results that were written. @throws when there are none */
export function readResults(): MutationResults {
  return JSON.parse(readFileSync(file, 'utf8')) as MutationResults;
}

/** What the properties alone are to find of the mutants that are not equivalent, and what all checks are to. */
export const goals = { properties: 0.9, found: 0.97 } as const;

/** Mutants that are not the same program, and how many of them are found by the properties alone, and by all together. */
export function scoreOf(counts: Counts): { all: number; properties: number; found: number } {
  const of = (by: Outcome): number => counts[by] ?? 0;
  const properties = of('compiler') + of('steps') + of('worlds');
  const found = properties + of('scripts') + of('runs');
  return { all: found + of('survived') + of('unreached'), properties, found };
}

/** Whether both goals are reached. */
export function reachesGoals({ total }: MutationResults): boolean {
  const { all, properties, found } = scoreOf(total);
  return properties >= goals.properties * all && found >= goals.found * all;
}

/** A line for each machine and each operator, and one for all; then what is equivalent, survives or is not come to. */
export function describeResults(results: MutationResults): string {
  const { version, total, operators, machines, mutants, worlds, survivors, equivalent, unreached, holes } = results;
  const { again = [] } = results;
  const percent = (part: number, whole: number) => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`);
  const line = (name: string, counts: Counts): string => {
    const { all, properties, found } = scoreOf(counts);
    const rest = outcomes.map((by) => String(counts[by] ?? 0).padStart(by.length));
    return `${name.padEnd(22)} ${percent(properties, all).padStart(10)} ${percent(found, all).padStart(7)}   ${rest.join(' ')}`;
  };
  const judged = Object.values(total).reduce((sum, count) => sum + count, 0);
  return [
    `${''.padEnd(22)} properties     all   ${outcomes.join(' ')}`,
    ...Object.entries(machines).map(([name, counts]) => line(name, counts)),
    ...Object.entries(operators).map(([name, counts]) => line(name, counts)),
    line('all', total),
    '',
    `${judged} of ${mutants} mutants, judged at ${version} in ${worlds.length} worlds: ${worlds.join('; ')}`,
    ...Object.entries(equivalent).map(([why, count]) => `equivalent: ${count}: ${why}`),
    ...Object.entries(survivors).map(([name, { reason }]) => `survives: ${name}: ${reason}`),
    ...unreached.map((name) => `survives: ${name}: no world and no run comes to its place`),
    ...(holes.length === 0 ? [] : [`places that none of these worlds comes to: ${holes.join('; ')}`]),
    ...again.flatMap(describeAgain),
  ].join('\n');
}

function describeAgain({ version, what, mutants, total, survivors, foundNow }: JudgedAgain): string[] {
  const parts = outcomes.flatMap((by) => (total[by] === undefined ? [] : [`${total[by]} ${by}`]));
  return [
    `judged again at ${version}: ${what}: ${mutants} of them: ${parts.join(', ')}`,
    ...Object.entries(foundNow).map(([mutant, finder]) => `  survives no more: ${mutant}: ${finder}`),
    ...Object.entries(survivors).map(([mutant, { reason }]) => `  survives: ${mutant}: ${reason}`),
  ];
}
