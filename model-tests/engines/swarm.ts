/**
 * Spin's swarm: many searches of one world that keep one bit for each hash of a state, each with another hash and another
 * order of the rules. It finds bugs in worlds that are too large for an exhaustive search. It proves nothing, ever: two
 * states with one hash are one to it, so what it has not found may be there all the same.
 *
 * Run as a program it searches a world of the catalogue: `npx node model-tests/engines/swarm.ts WORLD [PROCESSES [SEED]]`.
 * On several machines: the same command with another SEED on each; nothing is shared. It prints the rules to what it
 * finds, and its exit code is 1 then, 0 when it has found nothing, which is no proof.
 */

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { programOf, type Property, World, type WorldDefinition } from '../explorer/index.ts';
import { worlds } from '../worlds/index.ts';
import { inFolder, must, run } from './engine.ts';
import { HEADER, toPromela } from './promela.ts';
import { questionsOf, seenAtFirst } from './questions.ts';
import { trail } from './spin.ts';

export interface SwarmOptions {
  readonly processes: number;
  /** The first process's; each next one has the next. */
  readonly seed?: number;
  /** Base-2 logarithm of the bits of each process's table. */
  readonly tableBits?: number;
  /** Seconds of each process. */
  readonly seconds?: number;
}

/** What one process of a swarm has done. */
export interface Flight {
  readonly seed: number;
  /** States that it took for new: fewer than there are, or as many. */
  readonly states: number;
  /** Rules to where a property is broken, or a rule fails; `null`: nothing found, nothing proved. */
  readonly path: readonly number[] | null;
}

/** Searches `definition` with a swarm for a state or transition that breaks one of `properties`, or a rule that fails. */
export async function swarm(
  definition: WorldDefinition,
  properties: readonly Property[],
  { processes, seed = 1, tableBits = 27, seconds = 300 }: SwarmOptions,
): Promise<readonly Flight[]> {
  const program = programOf(new World(definition));
  const questions = questionsOf(program, properties);
  const broken = questions.sights.filter(({ means }) => means === 'broken');
  if (seenAtFirst(broken).length > 0) return [{ seed, states: 1, path: [] }];
  const { source, header, lines } = toPromela(program, { questions, look: 'stop' });
  return inFolder(async (folder) => {
    await writeFile(join(folder, 'world.pml'), source);
    await writeFile(join(folder, HEADER), header);
    await must(['spin', '-a', 'world.pml'], { folder });
    const flags = ['-w', '-O1', '-DSAFETY', '-DNOREDUCE', '-DBITSTATE', '-DT_RAND', '-DVECTORSZ=4096'];
    await must(['gcc', ...flags, '-o', 'pan', 'pan.c'], { folder });
    return Promise.all(
      Array.from({ length: processes }, async (_, index): Promise<Flight> => {
        const number = seed + index;
        // Each writes its trail where it runs.
        const place = join(folder, String(number));
        await mkdir(place);
        await copyFile(join(folder, 'pan'), join(place, 'pan'));
        const args = [`-w${tableBits}`, `-k${2 + (number % 3)}`, `-h${number % 32}`, `-RS${number}`, '-m100000'];
        const { output } = await run(['./pan', ...args], { folder: place, seconds });
        const states = Number(/^\s*([\d.e+]+) states, stored/m.exec(output)?.[1]);
        if (Number.isNaN(states)) throw new Error(`Spin: seed ${number}:\n${output}`);
        return { seed: number, states, path: await trail(place, lines) };
      }),
    );
  });
}

if (import.meta.main) {
  const [name, processes = '2', seed = '1'] = process.argv.slice(2);
  const world = worlds.find((candidate) => candidate.name === name);
  if (world === undefined) {
    console.error(`no world is called '${name ?? ''}'; there are: ${worlds.map((each) => each.name).join('; ')}`);
    process.exit(2);
  }
  const flights = await swarm(world.definition, world.properties, {
    processes: Number(processes),
    seed: Number(seed),
  });
  for (const { seed: number, states, path } of flights) {
    const found = path === null ? 'nothing found, which proves nothing' : 'broken:';
    console.log(`seed ${number}: ${states} states: ${found}`);
    for (const rule of path ?? []) console.log(`  ${world.definition.rules[rule]!.name}`);
  }
  process.exitCode = flights.some(({ path }) => path !== null) ? 1 : 0;
}
