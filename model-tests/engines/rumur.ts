/**
 * Rumur: searches a world that was exported to Murphi.
 *
 * Theory of operation: one run in one thread, which is breadth first, with every property that can be broken as an
 * invariant or an assertion and every one that wants to be shown as a cover. Where that stops early, each property is
 * asked alone, and its trace is read back as rules of the world.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EVERY_EVENT, type Program, programOf, type Property, World, type WorldDefinition } from '../explorer/index.ts';
import { type EngineResult, type EngineVerdict, inFolder, must, type Run, run } from './engine.ts';
import { type MurphiOptions, toMurphi } from './murphi.ts';
import { holds, nameOf, isAsked, questionsOf, seenAtFirst, type Sight } from './questions.ts';

/** Programs that are needed. */
export const rumurTools = ['rumur', 'gcc'] as const;

/**
 * Searches `definition` with Rumur and asks it about `properties`; those of liveness and of deadlocks are left out.
 *
 * @throws Error when it takes too long
 */
export async function runRumur(
  definition: WorldDefinition,
  properties: readonly Property[],
  { seconds = 600 }: { readonly seconds?: number } = {},
): Promise<EngineResult> {
  const program = programOf(new World(definition));
  const questions = questionsOf(program, properties);
  const broken = questions.sights.filter(({ means }) => means === 'broken');
  const shown = questions.sights.filter(({ means }) => means === 'shown');
  const found = await search(program, { questions, broken, shown }, seconds);
  const integrity = found.path === null ? found : await search(program, { questions, broken: [], shown }, seconds);
  const covered = new Set<Sight>(seenAtFirst(shown));
  for (const [, name, hits] of integrity.output.matchAll(/"([^"\n]+)" hit (\d+) times/g)) {
    const sight = shown.find((candidate) => nameOf(candidate) === name);
    if (sight !== undefined && Number(hits) > 0) covered.add(sight);
  }
  const verdicts: EngineVerdict[] = [{ property: EVERY_EVENT, holds: integrity.path === null, path: integrity.path }];
  for (const [index, property] of properties.entries()) {
    if (!isAsked(property)) continue;
    const mine = broken.filter((sight) => sight.property === index);
    // What the first search stopped at is its shortest already.
    const isFirst = mine.some((sight) => nameOf(sight) === found.failed);
    const alone =
      found.path === null || mine.length === 0
        ? null
        : isFirst
          ? found
          : await search(program, { questions, broken: mine, shown: [] }, seconds);
    const isBroken = alone !== null && mine.some((sight) => alone.failed === nameOf(sight));
    const seen = new Set([...covered].filter((sight) => sight.property === index).map(({ means }) => means));
    if (isBroken) seen.add('broken');
    else if (integrity.path !== null) continue;
    verdicts.push({ property: property.name, holds: holds(property, seen), path: isBroken ? alone.path : null });
  }
  const counted = /(\d+) states, (\d+) rules fired/.exec(integrity.output);
  if (counted === null) throw new Error(`Rumur: '${program.name}':\n${integrity.output}`);
  return {
    engine: await version(),
    exhaustive: integrity.path === null,
    states: Number(counted[1]),
    transitions: Number(counted[2]),
    depth: null,
    verdicts,
    cpuSeconds: integrity.cpuSeconds,
    memory: null,
  };
}

async function version(): Promise<string> {
  const { output } = await run(['rumur', '--version'], { folder: '/' });
  return /Rumur version v[\d.]+/.exec(output)?.[0] ?? 'Rumur';
}

interface Search extends Run {
  /** Rules of the trace; `null` when nothing is wrong. */
  readonly path: readonly number[] | null;
  /** Invariant or assertion that failed. */
  readonly failed: string | null;
}

async function search(program: Program, options: MurphiOptions, seconds: number): Promise<Search> {
  return inFolder(async (folder) => {
    await writeFile(join(folder, 'world.m'), toMurphi(program, options));
    const how = ['--threads', '1', '--deadlock-detection', 'off', '--symmetry-reduction', 'off', '--quiet'] as const;
    await must(['rumur', 'world.m', '--output', 'world.c', ...how], { folder });
    await must(['gcc', '-std=c11', '-O0', '-w', '-mcx16', '-o', 'world', 'world.c', '-lpthread'], {
      folder,
    });
    const found = await run(['./world'], { folder, seconds });
    const trace = [...found.output.matchAll(/^Rule "rule".*?r: (\d+).* fired\.$/gm)].map(([, rule]) => Number(rule));
    const error = /following is the error trace for the error:\s*\n\s*(.*)\n/.exec(found.output);
    const failed = error === null ? null : (/"([^"]+)"/.exec(error[1]!)?.[1] ?? error[1]!);
    return { ...found, path: error === null ? null : trace, failed };
  });
}
