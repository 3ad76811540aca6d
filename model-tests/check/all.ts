/**
 * `npm run check:all`: the long part of checking, and the report on it.
 *
 *     npm run check:all                    every world, Spin beside where it is installed; ABC; the largest world
 *     npm run check:all -- --quick         the quick worlds
 *     npm run check:all -- NAME...         these worlds
 *     npm run check:all -- --seconds N     begins nothing new after so many seconds
 *     npm run check:all -- --again         also what has its result already
 *
 * Each result is kept at once, with a digest of the machines, the world and what was asked; what has a result with this
 * digest is not done again. So a run that was stopped goes on where it was, and a whole run is one, in however many pieces
 * it was made: all results are of the same machines. Last it writes docs/checking.md, and prints it. Exit code 1 when
 * something is violated or an engine disagrees, 2 when something is left to do.
 */

import { parseArgs } from 'node:util';
import { writeFileSync } from 'node:fs';
import { explore, exploreInSteps, type Found } from '../explorer/index.ts';
import { type CatalogWorld, worlds } from '../worlds/index.ts';
import { runEngines } from './engines.ts';
import { largest } from './largest.ts';
import { checkingPage } from './report.ts';
import {
  type CheckResults,
  digestOf,
  type LargeRecord,
  readResults,
  type WorldRecord,
  writeResults,
} from './results.ts';
import { askSymbolic, symbolicMissing, symbolicTasks } from './symbolic.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    again: { type: 'boolean' },
    seconds: { type: 'string' },
    'no-spin': { type: 'boolean' },
  },
});
const MEMORY = 6 * 2 ** 30;
/** States up to which Spin is asked, and what it may take: its memory is several times ours. */
const SPIN_STATES = 5_000_000;
const SPIN = { megabytes: 8192, seconds: 1800 };

const verdictsOf = ({ verdicts }: Found): WorldRecord['verdicts'] =>
  verdicts.map(({ property, holds, unknown }) => ({
    property,
    outcome: unknown ? 'unknown' : holds ? 'holds' : 'violated',
  }));

async function check(world: CatalogWorld): Promise<WorldRecord> {
  const { definition, properties, size } = world;
  // Nobody has searched it without: exchangeable rows are what makes it small enough.
  const bySymmetry = size === undefined && definition.symmetry !== undefined;
  const found = explore(definition, properties, { memoryMax: MEMORY, reductions: { symmetry: bySymmetry } });
  const fewer = bySymmetry ? found : fewerStates(world, found);
  const asked = values['no-spin'] !== true && !bySymmetry && found.states <= SPIN_STATES;
  return {
    world: world.name,
    digest: digestOfWorld(world),
    states: found.states,
    transitions: found.transitions,
    depth: found.depth,
    seconds: Number(found.seconds.toFixed(1)),
    bytesPerState: Number((found.bytes / found.states).toFixed(1)),
    complete: found.complete,
    verdicts: verdictsOf(found),
    unfired: found.unfired.length,
    bySymmetry,
    reduced: { states: fewer.states, orbitSum: fewer.orbitSum, seconds: Number(fewer.seconds.toFixed(1)) },
    engines: asked ? await runEngines(world, properties, found, SPIN) : [],
  };
}

/** The same search with all reductions. @throws Error when a verdict is another */
function fewerStates({ name, definition, properties }: CatalogWorld, found: Found): Found {
  const safety = properties.filter(({ kind }) => kind !== 'leadsTo');
  const fewer = explore(definition, safety, { memoryMax: MEMORY, reductions: { dead: true, symmetry: true } });
  for (const { property, holds } of fewer.verdicts) {
    const plain = found.verdicts.find((verdict) => verdict.property === property);
    if (fewer.complete && found.complete && plain?.holds !== holds) {
      throw new Error(`world '${name}': '${property}' comes out differently with reductions`);
    }
  }
  return fewer;
}

function searchLargest(digest: string): LargeRecord {
  const begun = process.cpuUsage();
  const steps = exploreInSteps(largest.definition, largest.properties, {
    memoryMax: MEMORY,
    reductions: { symmetry: true },
  });
  for (let toldMs = 0; ; ) {
    const { done, value } = steps.next();
    if (done === true) {
      if (!value.complete) throw new Error('out of limits');
      const { user, system } = process.cpuUsage(begun);
      return {
        what: largest.what,
        digest,
        states: value.states,
        transitions: value.transitions,
        depth: value.depth,
        orbitSum: value.orbitSum,
        cpuSeconds: Math.round((user + system) / 1e6),
        bytes: value.bytes,
        verdicts: verdictsOf(value),
      };
    }
    if (performance.now() - toldMs < 10_000) continue;
    toldMs = performance.now();
    console.log(`largest: ${value.states} states, depth ${value.depth}`);
  }
}

const digestOfWorld = ({ definition, properties }: CatalogWorld): string => digestOf(definition, properties);

/** One thing to do, and whether that was done. */
interface Task {
  readonly name: string;
  /** A part of the long run that is asked for by no name. */
  readonly whole: boolean;
  readonly isDone: (results: CheckResults) => boolean;
  /** @returns in a few words what came of it, how it is kept, and whether it is as it should be */
  readonly run: () => Promise<{ text: string; keep: (results: CheckResults) => CheckResults; good: boolean }>;
}

const worldTask = (world: CatalogWorld): Task => ({
  name: world.name,
  whole: false,
  isDone: ({ worlds: records }) => records.some(({ digest }) => digest === digestOfWorld(world)),
  run: async () => {
    const result = await check(world);
    const { states, transitions, depth, complete, verdicts, engines } = result;
    const broken = verdicts.filter(({ outcome }) => outcome === 'violated');
    return {
      text:
        `${states} states, ${transitions} transitions, depth ${depth}: ` +
        `${broken.length > 0 ? `violated: ${broken.map(({ property }) => property).join('; ')}` : complete ? 'holds' : 'out of limits'}` +
        engines
          .map(({ engine, differences, skipped }) => `; ${engine} ${skipped ?? (differences.join(', ') || 'agrees')}`)
          .join(''),
      keep: (results) => {
        const names = worlds.map(({ name }) => name);
        const others = results.worlds.filter((other) => other.world !== world.name && names.includes(other.world));
        const all = [...others, result].sort((left, right) => names.indexOf(left.world) - names.indexOf(right.world));
        return { ...results, worlds: all };
      },
      good: broken.length === 0 && engines.every(({ differences }) => differences.length === 0),
    };
  },
});

function symbolicParts(): readonly Task[] {
  const missing = symbolicMissing();
  if (missing !== null) console.log(`skipped: ABC: ${missing}`);
  const tasks = missing === null ? symbolicTasks() : [];
  return tasks.map((task) => ({
    name: `ABC: ${task.world}`,
    whole: true,
    isDone: ({ symbolic }) => symbolic.some(({ digest }) => digest === task.digest),
    run: async () => {
      const result = await askSymbolic(task);
      const { verdict, clauses, latches } = result;
      return {
        text: `${verdict}, ${clauses} clauses over ${latches} latches`,
        keep: (results) => {
          const known = symbolicTasks().map(({ digest }) => digest);
          const others = results.symbolic.filter(({ digest }) => digest !== task.digest && known.includes(digest));
          return { ...results, symbolic: [...others, result] };
        },
        good: task.statesWithout === null ? verdict !== 'broken' : verdict === 'broken',
      };
    },
  }));
}

function largestTask(): Task {
  const digest = digestOf(largest.definition, largest.properties);
  return {
    name: 'largest',
    whole: true,
    isDone: ({ large }) => large.some((record) => record.digest === digest),
    run: async () => {
      const result = searchLargest(digest);
      const broken = result.verdicts.filter(({ outcome }) => outcome === 'violated');
      return {
        text: `${result.orbitSum} states, covered by ${result.states}`,
        keep: (results) => ({ ...results, large: [result] }),
        good: broken.length === 0,
      };
    },
  };
}

const chosen = [...worlds.map(worldTask), ...symbolicParts(), largestTask()].filter(
  ({ name, whole }) =>
    (positionals.length === 0 || positionals.some((part) => name.includes(part))) &&
    (values.quick !== true || (!whole && worlds.some((world) => world.name === name && world.effort === 'quick'))),
);
if (chosen.length === 0) throw new Error(`nothing is called so: ${positionals.join(', ')}`);
const until = performance.now() + 1000 * Number(values.seconds ?? Number.POSITIVE_INFINITY);
let left = 0;
for (const task of chosen) {
  if (values.again !== true && task.isDone(readResults())) {
    console.log(`${task.name}: done before`);
    continue;
  }
  if (performance.now() > until) {
    left++;
    continue;
  }
  const { text, keep, good } = await task.run();
  console.log(`${task.name}: ${text}`);
  // Kept at once: who stops it keeps what was found.
  writeResults(keep(readResults()));
  if (!good) process.exitCode = 1;
}
const page = await checkingPage();
writeFileSync(new URL('../../docs/checking.md', import.meta.url), page);
console.log(`\n${page}`);
if (left > 0) {
  console.log(`${left} of ${chosen.length} are left to do: run it again`);
  process.exitCode ??= 2;
}
