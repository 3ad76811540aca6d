/**
 * Spin: searches a world that was exported to Promela.
 *
 * Theory of operation: Spin makes a C program of the model, the C compiler makes the search of it. One breadth-first run,
 * without partial order reduction, counts states and transitions and notes which properties were broken or shown; for
 * each broken one another run stops where it is broken, and its trail is read back as rules of the world.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  EVERY_EVENT,
  type Program,
  programOf,
  type Property,
  termOfFormula,
  World,
  type WorldDefinition,
} from '../explorer/index.ts';
import { type EngineResult, type EngineVerdict, inFolder, must, type Run, run } from './engine.ts';
import { HEADER, type PromelaOptions, toPromela } from './promela.ts';
import { holds, isAsked, type Questions, questionsOf, seenAtFirst, type Sight } from './questions.ts';

/** Programs that are needed. */
export const spinTools = ['spin', 'gcc'] as const;

export interface SpinOptions {
  /** Seconds for each run of Spin's search. */
  readonly seconds?: number;
  /** Megabytes that it may use. */
  readonly megabytes?: number;
}

/**
 * Searches `definition` with Spin and asks it about `properties`; of deadlocks and leads-to see {@link spinLeadsTo}.
 *
 * @throws Error when it doesn't fit into time or memory
 */
export async function runSpin(
  definition: WorldDefinition,
  properties: readonly Property[],
  options: SpinOptions = {},
): Promise<EngineResult> {
  const program = programOf(new World(definition));
  const questions = questionsOf(program, properties);
  const flags = ['-O1', '-DSAFETY', '-DNOREDUCE', '-DBFS'];
  const found = await search(program, { questions, look: 'note' }, flags, [], options);
  const noted = new Set(seenAtFirst(questions.sights));
  for (const [, index] of found.output.matchAll(/^noted (\d+)$/gm)) noted.add(questions.sights[Number(index)]!);

  const failed = /pan:\d+: (.*) \(at depth \d+\)/.exec(found.output);
  const verdicts: EngineVerdict[] = [{ property: EVERY_EVENT, holds: failed === null, path: found.path }];
  for (const [index, property] of properties.entries()) {
    if (!isAsked(property)) continue;
    const seen = [...noted].filter((sight) => sight.property === index);
    const good = holds(property, new Set(seen.map(({ means }) => means)));
    // A search that ended early says only what it has seen.
    if (failed !== null && !seen.some(({ means }) => means === 'broken')) continue;
    const path = good ? null : await shortestPath(program, questions, seen, flags, options);
    verdicts.push({ property: property.name, holds: good, path });
  }
  const counted = statistics(found.output);
  return {
    engine: await version(),
    exhaustive: failed === null,
    ...counted,
    verdicts,
    cpuSeconds: found.cpuSeconds,
  };
}

/** Rules to where a property is broken. */
async function shortestPath(
  program: Program,
  questions: Questions,
  seen: readonly Sight[],
  flags: readonly string[],
  options: SpinOptions,
): Promise<readonly number[] | null> {
  const look = seen.find(({ means }) => means === 'broken');
  if (look === undefined) return null;
  if (seenAtFirst([look]).length > 0) return [];
  return (await search(program, { questions, look }, flags, [], options)).path;
}

/**
 * Asks Spin whether `from` is followed by `to`, with its own weak fairness and its own cycle detection.
 *
 * @returns the verdict; no states are counted, because its states are products with an automaton
 */
export async function spinLeadsTo(
  definition: WorldDefinition,
  property: Extract<Property, { kind: 'leadsTo' }>,
  options: SpinOptions = {},
): Promise<EngineResult> {
  const program = programOf(new World(definition));
  const { from, to, fair } = property;
  const leadsTo = { from: termOfFormula(from, program), to: termOfFormula(to, program), fair };
  // Enough for each process, and two of its own.
  const flags = ['-O1', '-DNOREDUCE', `-DNFAIR=${Math.ceil((fair.length + 3) / 4) + 1}`];
  const asked = { questions: questionsOf(program, []), look: 'nothing', leadsTo } as const;
  const found = await search(program, asked, flags, ['-a', '-f', '-m1000000'], options);
  const broken = /acceptance cycle/.test(found.output);
  if (!broken && /max search depth too small/.test(found.output)) throw new Error('Spin: the search was cut off');
  return {
    engine: await version(),
    exhaustive: true,
    states: null,
    transitions: null,
    depth: null,
    verdicts: [{ property: property.name, holds: !broken, path: null }],
    cpuSeconds: found.cpuSeconds,
    memory: statistics(found.output).memory,
  };
}

/** Name and version of the Spin that is here. */
export async function version(): Promise<string> {
  const { output } = await run(['spin', '-V'], { folder: '/' });
  return /Spin Version [\d.]+/.exec(output)?.[0] ?? 'Spin';
}

/** A search that has ended. */
export interface Search extends Run {
  /** Rules of the trail that it wrote; `null` when it wrote none, or one of an automaton too. */
  readonly path: readonly number[] | null;
}

/** Makes a search of `program`, runs it and reads its trail. */
export async function search(
  program: Program,
  promela: PromelaOptions,
  flags: readonly string[],
  args: readonly string[],
  { seconds = 600, megabytes = 4096 }: SpinOptions,
): Promise<Search> {
  const { source, header, lines } = toPromela(program, promela);
  return inFolder(async (folder) => {
    await writeFile(join(folder, 'world.pml'), source);
    await writeFile(join(folder, HEADER), header);
    await must(['spin', '-a', 'world.pml'], { folder });
    const limits = [`-DMEMLIM=${megabytes}`, '-DVECTORSZ=4096'];
    await must(['gcc', '-w', ...limits, ...flags, '-o', 'pan', 'pan.c'], { folder });
    const found = await run(['./pan', ...args], { folder, seconds });
    if (/out of memory|reached -DMEMLIM/.test(found.output)) {
      throw new Error(`Spin: '${program.name}' needs more than ${megabytes} MB`);
    }
    if (!/State-vector/.test(found.output)) throw new Error(`Spin: '${program.name}':\n${found.output}`);
    return { ...found, path: promela.leadsTo === undefined ? await trail(folder, lines) : null };
  });
}

/** Rules of the trail in a folder with a search, `null` where there is none: each step names a transition, which the model's own listing ties to a line. */
export async function trail(folder: string, lines: readonly number[]): Promise<readonly number[] | null> {
  const text = await readFile(join(folder, 'world.pml.trail'), 'utf8').catch(() => null);
  if (text === null) return null;
  const { output } = await run(['./pan', '-d'], { folder });
  const ruleOf = new Map<string, number>();
  for (const [, id, line] of output.matchAll(/\[id\s+(\d+) tp.*\] .* => D_STEP(\d+)/g)) {
    const rule = lines.indexOf(Number(line));
    if (rule >= 0) ruleOf.set(id!, rule);
  }
  return text.split('\n').flatMap((step) => {
    const [number, , id] = step.split(':');
    if (Number(number) <= 0 || id === undefined) return [];
    const rule = ruleOf.get(id);
    if (rule === undefined) throw new Error(`Spin: the trail names the transition ${id}, which is no rule's`);
    return [rule];
  });
}

/** What a search says of its size. */
export function statistics(output: string): Pick<EngineResult, 'states' | 'transitions' | 'depth' | 'memory'> {
  const number = (pattern: RegExp): number | null => {
    const found = pattern.exec(output);
    return found === null ? null : Number(found[1]);
  };
  const transitions = number(/^\s*(\d+(?:\.\d+)?(?:e\+\d+)?) transitions/m);
  const megabytes = number(/^\s*([\d.]+)\s+total actual memory usage/m);
  return {
    states: number(/^\s*(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored/m),
    // It counts how it came to the initial state as one.
    transitions: transitions === null ? null : transitions - 1,
    depth: number(/depth reached (\d+)/),
    memory: megabytes === null ? null : megabytes * 2 ** 20,
  };
}
