/** Another engine's answers about a world, beside ours. */

import { missingTools } from '../engines/engine.ts';
import { runSpin, type SpinOptions, spinTools } from '../engines/spin.ts';
import { EVERY_EVENT, type Found, type Property } from '../explorer/index.ts';
import type { CatalogWorld } from '../worlds/index.ts';

/** What an engine said, and where it differs from us. */
export interface EngineAnswer {
  readonly engine: string;
  /** Null, as transitions, where it stopped at a violation. */
  readonly states: number | null;
  readonly transitions: number | null;
  /** Of the search; or steps to where it stopped. */
  readonly depth: number | null;
  readonly cpuSeconds: number;
  /** One sentence for each difference; none where it agrees. */
  readonly differences: readonly string[];
  /** Why it was not asked; null when it was. */
  readonly skipped: string | null;
}

const skip = (engine: string, skipped: string): EngineAnswer => ({
  engine,
  states: null,
  transitions: null,
  depth: null,
  cpuSeconds: 0,
  differences: [],
  skipped,
});

/** Asks Spin. Our own search must have been without reductions: others count all states. */
export async function runEngines(
  { definition }: CatalogWorld,
  properties: readonly Property[],
  found: Found,
  options: SpinOptions = {},
): Promise<readonly EngineAnswer[]> {
  const missing = missingTools(...spinTools);
  if (missing.length > 0) return [skip('Spin', `${missing.join(' and ')} not installed`)];
  const stopped = found.verdicts.find(({ property, holds, unknown }) => property === EVERY_EVENT && !holds && !unknown);
  if (!found.complete && stopped === undefined) return [skip('Spin', 'our search is out of limits')];
  if (found.result.reduced) return [skip('Spin', 'with --reduce there is nothing to compare')];
  try {
    const { engine, states, transitions, depth, verdicts, cpuSeconds } = await runSpin(definition, properties, options);
    const differences: string[] = [];
    const compare = (what: string, ours: number, theirs: number | null): void => {
      if (theirs !== null && theirs !== ours) differences.push(`${what}: ${theirs}, and ours ${ours}`);
    };
    // A search that stops where an event isn't expected has counted by then what chance let it see first.
    const stop = verdicts.find(({ property, holds }) => property === EVERY_EVENT && !holds)?.path?.length ?? null;
    if (stopped === undefined) {
      compare('states', found.states, states);
      compare('transitions', found.transitions, transitions);
      compare('depth', found.depth, depth);
    } else {
      compare('steps to where it stops', stopped.path.length, stop);
    }
    for (const { property, holds } of verdicts) {
      const ours = found.verdicts.find((verdict) => verdict.property === property);
      if (ours !== undefined && ours.holds !== holds)
        differences.push(`${property}: ${holds ? 'holds' : 'violated'} there`);
    }
    const counts = stop === null ? { states, transitions, depth } : { states: null, transitions: null, depth: stop };
    return [{ engine, ...counts, cpuSeconds, differences, skipped: null }];
  } catch (error) {
    return [skip('Spin', (error as Error).message)];
  }
}

export function engineText({
  engine,
  states,
  transitions,
  depth,
  cpuSeconds,
  differences,
  skipped,
}: EngineAnswer): string {
  if (skipped !== null) return `${engine}: skipped: ${skipped}`;
  const seen =
    states === null
      ? `stops after ${depth} steps, where an event isn't expected`
      : `${states} states, ${transitions} transitions, depth ${depth}`;
  const numbers = `${engine}: ${seen}, ${cpuSeconds.toFixed(1)} CPU s`;
  return differences.length === 0 ? `${numbers}: agrees` : `${numbers}: DIFFERS: ${differences.join('; ')}`;
}
