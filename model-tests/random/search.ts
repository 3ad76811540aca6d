/**
 * Searches for runs that lead a driver through every state and transition, and keeps few and short ones:
 *
 *     node model-tests/random/search.ts [SECONDS [SEED]]
 *
 * Starts from the runs of model-tests/driver-paths.json and writes that file again. To be run when a machine has a new
 * transition that driver-paths.test.ts misses. Method: guided random search. A run that takes something new is kept, and
 * most new runs are kept ones with a few actions put in, taken out or exchanged. In the end a few runs are chosen that
 * together take everything, and each is shrunk while it still takes what it was chosen for.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { explorationLimits } from '../../machines/index.ts';
import { DriverCoverage, type Part, pathSteps } from '../support/driver-coverage.ts';
import type { Action, Run, Setup } from './action.ts';
import { actionArbitrary, setupArbitrary } from './arbitrary.ts';
import { carryOut, randomLimits } from './world.ts';

const file = new URL('../driver-paths.json', import.meta.url);
const [seconds = 60, seed = 1] = process.argv.slice(2).map(Number);
const ACTIONS_MAX = 150;

const coverage = new DriverCoverage(randomLimits);
const wanted = new Set([...coverage.all(), ...pathSteps(explorationLimits)]);

/** What `run` takes; null, and a word about it, when it fails. */
function carry(run: Run): ReadonlySet<Part> | null {
  coverage.taken.clear();
  try {
    carryOut(run, { party: ({ provider }) => coverage.watch(provider) });
  } catch (error) {
    console.error(`a run fails: ${error instanceof Error ? error.message : error}\n${JSON.stringify(run)}`);
    return null;
  }
  return new Set([...coverage.taken].filter((part) => wanted.has(part)));
}

interface Kept {
  readonly run: Run;
  readonly parts: ReadonlySet<Part>;
}
const kept: Kept[] = [];
const found = new Set<Part>();

function keep(run: Run): void {
  const parts = carry(run);
  if (parts === null || [...parts].every((part) => found.has(part))) return;
  for (const part of parts) found.add(part);
  kept.push({ run, parts });
}

// ---------------------------------------------------------------- search

const actions = fc.sample(fc.noBias(actionArbitrary), { numRuns: 30_000, seed });
const setups = fc.sample(fc.noBias(setupArbitrary), { numRuns: 3000, seed });
let state = seed >>> 0;
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  const mixed = Math.imul(state ^ (state >>> 15), 0x85eb_ca6b);
  return ((mixed ^ (mixed >>> 13)) >>> 0) % below;
}
const any = <T>(list: readonly T[]): T => list[random(list.length)]!;

function changed({ setup, actions: before }: Run): Run {
  const list = [...before];
  let world: Setup = setup;
  for (let left = 1 + random(6); left > 0; left--) {
    const at = random(list.length + 1);
    const kind = random(100);
    if (kind < 40) list.splice(at, 0, any(actions));
    else if (kind < 60) list.splice(at, 1 + random(3));
    else if (kind < 75) list.splice(at, 1, any(actions));
    else if (kind < 85) {
      const other = any(kept).run.actions;
      const from = random(other.length);
      list.splice(at, 0, ...other.slice(from, from + 1 + random(10)));
    } else if (kind < 95 && at < list.length) {
      const action = list[at]!;
      if (action.type === 'arm') list[at] = { ...action, actions: [...action.actions, any(actions)].slice(-6) };
      else if ('host' in action) list[at] = { ...action, host: action.host === 0 ? 1 : 0 } as Action;
    } else {
      const { faults, latencyNs, pairs, stage, ending } = any(setups);
      world = { ...world, ...any([{ faults }, { latencyNs }, { pairs, stage }, { ending }]) };
    }
  }
  return { setup: world, actions: list.slice(0, ACTIONS_MAX) };
}

for (const run of JSON.parse(readFileSync(file, 'utf8')) as Run[]) keep(run);
console.log(`the file's ${kept.length} runs take ${found.size} of ${wanted.size}`);
const end = Date.now() + seconds * 1000;
let tried = 0;
for (; Date.now() < end && found.size < wanted.size; tried++) {
  const isNew = kept.length < 5 || random(100) < 15;
  keep(
    isNew
      ? { setup: any(setups), actions: Array.from({ length: 5 + random(90) }, () => any(actions)) }
      : changed(any(kept).run),
  );
}
console.log(`${tried} runs later: ${found.size}`);

// ---------------------------------------------------------------- choice

/** Few and short runs that together take everything, each with what it is there for. */
function choose(): { run: Run; parts: readonly Part[] }[] {
  const left = new Set(found);
  const chosen: { run: Run; parts: readonly Part[] }[] = [];
  while (left.size > 0) {
    const worth = ({ run, parts }: Kept) =>
      [...parts].filter((part) => left.has(part)).length / (6 + run.actions.length);
    const best = kept.reduce((one, other) => (worth(other) > worth(one) ? other : one));
    const parts = [...best.parts].filter((part) => left.delete(part));
    chosen.push({ run: best.run, parts });
  }
  return chosen;
}

const plain: readonly Partial<Setup>[] = [
  { faults: [{}, {}] },
  { pairs: 0 },
  { elementsMax: 4 },
  { isShallow: false },
  { jitterNs: 0 },
  { latencyNs: 2000 },
  { pureSan: false },
  { privateDataPadded: false },
  { receiverNotReady: 'wait' },
  { seed: 0 },
];

function* smaller({ setup, actions: list }: Run): Iterable<Run> {
  for (const count of [16, 8, 4, 2, 1]) {
    for (let at = 0; at + count <= list.length; at++) yield { setup, actions: list.toSpliced(at, count) };
  }
  for (const [at, action] of list.entries()) {
    if (action.type !== 'arm' || action.actions.length < 2) continue;
    for (const index of action.actions.keys()) {
      yield { setup, actions: list.with(at, { ...action, actions: action.actions.toSpliced(index, 1) }) };
    }
  }
  for (const change of plain) {
    const next = { ...setup, ...change };
    if (JSON.stringify(next) !== JSON.stringify(setup)) yield { setup: next, actions: list };
  }
}

function shrunk(run: Run, parts: readonly Part[]): Run {
  for (const candidate of smaller(run)) {
    const takes = carry(candidate);
    if (takes !== null && parts.every((part) => takes.has(part))) return shrunk(candidate, parts);
  }
  return run;
}

const chosen = choose().map(({ run, parts }) => shrunk(run, parts));
const text = chosen.map(
  ({ setup, actions: list }) =>
    `  {\n    "setup": ${JSON.stringify(setup)},\n    "actions": [\n${list
      .map((action) => `      ${JSON.stringify(action)}`)
      .join(',\n')}\n    ]\n  }`,
);
writeFileSync(file, `[\n${text.join(',\n')}\n]\n`);
console.log(`${chosen.length} runs with ${chosen.reduce((sum, run) => sum + run.actions.length, 0)} actions`);
for (const part of wanted) if (!found.has(part)) console.log(`not taken: ${part}`);
