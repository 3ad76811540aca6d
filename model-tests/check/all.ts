/**
 * `npm run check:all`: the long part of checking, and the report on it.
 *
 *     npm run check:all                    every world, Spin beside where it is installed, mutation's last results
 *     npm run check:all -- --quick         the quick worlds
 *     npm run check:all -- NAME...         these worlds
 *     npm run check:all -- --large         the search of more than 10^9 states, which is made once
 *
 * Results are kept by world in results.json, so it can be done in pieces; worlds that are no more go. Last it writes
 * docs/checking.md, and prints it.
 */

import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { writeFileSync } from 'node:fs';
import { explore, exploreInSteps, type Found } from '../explorer/index.ts';
import { type CatalogWorld, worlds } from '../worlds/index.ts';
import { anyOrder, anyOrderProperties } from '../worlds/any-order.ts';
import { runEngines } from './engines.ts';
import { checkingPage } from './report.ts';
import { type LargeRecord, readResults, type WorldRecord, writeResults } from './results.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, large: { type: 'boolean' }, 'no-spin': { type: 'boolean' } },
});
const MEMORY = 6 * 2 ** 30;
/** States up to which Spin is asked: its memory is several times ours. */
const SPIN_STATES = 3_000_000;

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
    engines: asked ? await runEngines(world, properties, found) : [],
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

/** A pair with three sends and two receives a side, called in any order, that closes and whose network fails. */
function large(): LargeRecord {
  const options = { name: 'any order, 3 sends and 2 receives', sends: 3, receives: 2, closing: true, failing: true };
  const begun = process.cpuUsage();
  const steps = exploreInSteps(anyOrder(options), anyOrderProperties(options), {
    memoryMax: MEMORY,
    reductions: { symmetry: true },
  });
  for (let toldMs = 0; ; ) {
    const { done, value } = steps.next();
    if (done === true) {
      if (!value.complete) throw new Error('out of limits');
      const { user, system } = process.cpuUsage(begun);
      return {
        what: 'two sockets, three sends and two receives each, called in any order; both close, the network fails',
        command: 'npm run check:all -- --large',
        version: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
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
    console.log(`large: ${value.states} states, depth ${value.depth}`);
  }
}

if (values.large === true) {
  const result = large();
  writeResults({ ...readResults(), large: [result] });
} else {
  const chosen = worlds.filter(
    ({ name, effort }) =>
      (positionals.length === 0 || positionals.some((part) => name.includes(part))) &&
      (values.quick !== true || effort === 'quick'),
  );
  if (chosen.length === 0) throw new Error(`no world is called so: ${positionals.join(', ')}`);
  for (const world of chosen) {
    const result = await check(world);
    const { states, transitions, depth, complete, verdicts, engines } = result;
    const broken = verdicts.filter(({ outcome }) => outcome === 'violated');
    console.log(
      `${world.name}: ${states} states, ${transitions} transitions, depth ${depth}: ` +
        `${broken.length > 0 ? `violated: ${broken.map(({ property }) => property).join('; ')}` : complete ? 'holds' : 'out of limits'}` +
        engines
          .map(({ engine, differences, skipped }) => `; ${engine} ${skipped ?? (differences.join(', ') || 'agrees')}`)
          .join(''),
    );
    // Kept at once: who stops it keeps what was found.
    const before = readResults();
    const names = worlds.map(({ name }) => name);
    const others = before.worlds.filter((other) => other.world !== world.name && names.includes(other.world));
    const all = [...others, result].sort((left, right) => names.indexOf(left.world) - names.indexOf(right.world));
    writeResults({ ...before, worlds: all });
    if (broken.length > 0 || engines.some(({ differences }) => differences.length > 0)) process.exitCode = 1;
  }
}
const page = await checkingPage();
writeFileSync(new URL('../../docs/checking.md', import.meta.url), page);
console.log(`\n${page}`);
