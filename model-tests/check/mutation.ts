/** `wsdirect check --mutate [MACHINE…]`: makes mutants of the machines, and says which are noticed. */

import { existsSync } from 'node:fs';

import { SingleBar } from 'cli-progress';

import type { CheckOptions } from '../../driver/cli/check.ts';
import { Exit, type Terminal, UserError } from '../../driver/cli/command.ts';
import { explorationLimits, machineNames } from '../../machines/index.ts';
import { WORLD_EDGES, worldsUpTo } from '../mutation/judge.ts';
import { allMutants, type Mutant } from '../mutation/mutants.ts';
import { describeResults, reachesGoals, readResults, resultsOf } from '../mutation/results.ts';
import { judgeMutants } from '../mutation/run.ts';

/** The last results of all mutants, as text; null when there are none. */
export function lastResults(): string | null {
  if (!existsSync(new URL('../mutation/results.json', import.meta.url))) return null;
  const results = readResults();
  const now = allMutants(explorationLimits).length;
  return `${describeResults(results)}\nThese sources have ${now} mutants; what has changed since ${results.version} is judged only where it says so.`;
}

/** Mutants that `names` ask for: a machine's, or those whose name contains one. @throws UserError for none */
export function selectMutants(names: readonly string[]): readonly Mutant[] {
  const all = allMutants(explorationLimits);
  if (names.length === 0) return all;
  return names.flatMap((name) => {
    const found = (machineNames as readonly string[]).includes(name)
      ? all.filter(({ machine }) => machine === name)
      : all.filter((mutant) => mutant.name.includes(name));
    if (found.length > 0) return found;
    throw new UserError(
      `no machine and no mutant is called '${name}'; machines are\n  ${machineNames.join('\n  ')}\n` +
        "and a mutant is called, for one, 'socket connected.active: spi.closeSocket #0: effect dropped (answer)'",
    );
  });
}

/**
 * Judges mutants and prints what came of them; goes on where it was interrupted.
 *
 * @returns the exit code: whether the goals are reached
 */
export async function checkMutants(
  { write, interrupted }: Terminal,
  names: readonly string[],
  { workers, json = false }: Pick<CheckOptions, 'workers' | 'json'>,
): Promise<number> {
  const chosen = new Set(selectMutants(names).map(({ name }) => name));
  const bar =
    json || !process.stderr.isTTY
      ? null
      : new SingleBar({
          format: 'mutants [{bar}] {value}/{total}, {duration_formatted}, {eta_formatted} left',
          stream: process.stderr,
          clearOnComplete: true,
          hideCursor: true,
        });
  bar?.start(chosen.size, 0);
  try {
    const verdicts = await judgeMutants({
      workers,
      wanted: ({ name }) => chosen.has(name),
      onVerdict: (_verdict, done) => bar?.update(done),
      interrupted,
    });
    const worlds = worldsUpTo(WORLD_EDGES).map(({ name }) => name);
    const results = resultsOf(verdicts, worlds, chosen.size);
    write(json ? `${JSON.stringify({ ...results, verdicts }, null, 2)}\n` : `${describeResults(results)}\n`);
    return reachesGoals(results) ? Exit.ok : Exit.failed;
  } finally {
    bar?.stop();
  }
}
