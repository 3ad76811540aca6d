/** Tests made from product graphs: which worlds, and what becomes of them. */

import type { ProviderOptions } from '../../driver/index.ts';
import { worlds } from '../worlds/index.ts';
import { productGraph } from './graph.ts';
import { play } from './play.ts';
import { isCommand, obstacleTo, Scribe } from './predict.ts';
import type { Script } from './script.ts';
import { type Tours, toursOf } from './tours.ts';

export * from './graph.ts';
export * from './play.ts';
export * from './predict.ts';
export * from './script.ts';
export * from './tours.ts';

/** Worlds whose graphs are small enough for every test run. */
export const quickWorlds = [
  'data, depth 1',
  'data, depth 2',
  'first message',
  'who keeps accepting',
  'connecting',
  'connecting, and the adapter is removed',
  'accepting, and whatever can happen',
  'start-up and clean-up',
  'start-up and clean-up, two sockets',
  'a large transfer by read',
  'a large transfer by write',
] as const;

/** The tests of one world. */
export interface ProductTests {
  readonly world: string;
  readonly states: number;
  readonly tours: Tours;
  /** Makes the script of a path, or of its first steps. */
  script(path: number, stepsMax?: number): Script;
}

/**
 * Makes the tests of the world `name`: the same each time.
 *
 * @param edgesMax - edges, the first ones, that paths have to take; the rest of the world is not looked at
 * @throws Error when there is no such world
 */
export function productTests(name: string, edgesMax?: number): ProductTests {
  const world = worlds.find((candidate) => candidate.name === name);
  if (world === undefined) {
    throw new Error(`no world '${name}'; there are: ${worlds.map((each) => `'${each.name}'`).join(', ')}`);
  }
  const { definition } = world;
  const graph = productGraph(definition, edgesMax);
  const obstacle = obstacleTo(definition);
  const tours = toursOf(
    graph,
    (send) => obstacle ?? (isCommand(send) ? null : `no command does what ${send} does`),
    edgesMax,
  );
  const { paths } = tours;
  let scribe: Scribe | null = null;
  return {
    world: name,
    states: graph.states,
    tours,
    script: (path, stepsMax) => {
      scribe ??= new Scribe(definition);
      return scribe.script(paths[path]!.slice(0, stepsMax), `world ${name}; path ${path + 1} of ${paths.length}`);
    },
  };
}

/**
 * Plays every path on the driver.
 *
 * @param tables - instead of production's
 * @throws what the first failing path throws
 */
export function playAll({ tours, script }: ProductTests, tables?: ProviderOptions['tables']): void {
  for (const path of tours.paths.keys()) play(script(path), tables);
}

/** Folder of the scripts that are kept: one for each world that has any. */
export const keptScripts = new URL('scripts/', import.meta.url);

/** Steps of a script that is kept. */
const STEPS_MAX = 40;

/** Words that lines of `script` begin with: how much there is to be seen in it. */
const variety = ({ lines }: Script): number =>
  new Set(lines.flatMap(({ command, expected }) => [command, ...expected]).map((line) => /^[\w ]+/.exec(line)?.[0]))
    .size;

/** The script that shows the most of a world, of its first paths; the shortest of several; null when it has none. */
export function scriptToKeep({ tours, script }: ProductTests): Script | null {
  let best: Script | null = null;
  for (const path of tours.paths.slice(0, 200).keys()) {
    const candidate = script(path, STEPS_MAX);
    const more = best === null ? 1 : variety(candidate) - variety(best);
    if (more > 0 || (more === 0 && candidate.lines.length < best!.lines.length)) best = candidate;
  }
  return best;
}

/** `data, depth 1: 3008 of 3236 edges by 631 paths of 8336 steps; not: 24 because ...` */
export function describeTests({ world, states, tours }: ProductTests): string {
  const { covered, edges, paths, steps, refused } = tours;
  const missed = [...refused].map(([reason, count]) => `${count}: ${reason}`);
  const rest = edges - covered - [...refused.values()].reduce((sum, count) => sum + count, 0);
  if (rest > 0) missed.push(`${rest}: not asked for`);
  return [
    `${world}: ${states} states, ${covered} of ${edges} edges by ${paths.length} paths of ${steps} steps`,
    ...missed.map((line) => `    ${line}`),
  ].join('\n');
}
