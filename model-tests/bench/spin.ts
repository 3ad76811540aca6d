/** What exploring costs, beside engines that explore the same world: Spin, and XState's own graph exploration. */

import { assign, type AnyStateMachine, setup } from 'xstate';
import { getAdjacencyMap } from 'xstate/graph';
import { missingTools } from '../engines/engine.ts';
import { questionsOf } from '../engines/questions.ts';
import { search, spinTools, statistics } from '../engines/spin.ts';
import {
  explore,
  generatedSuccessors,
  Layout,
  programOf,
  type Successors,
  World,
  type WorldDefinition,
} from '../explorer/index.ts';
import { connectedPair, type PairRequest } from '../worlds/connected-pair.ts';
import { worlds } from '../worlds/index.ts';
import type { Figure } from './measure.ts';

const ROUNDS = 3;
/** Bytes for our own search. */
const MEMORY_MAX = 2 ** 32;

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
/** More than three million states. */
const large: WorldDefinition = connectedPair({
  name: 'everything at any time',
  requests,
  accepted: true,
  upcallsFail: true,
  closing: true,
  failing: true,
});
/** One that XState's graph exploration can finish. */
const small = 'close and call';

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** CPU seconds of this process, user and system, that `work` takes. */
function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/**
 * Distinct states for each CPU second, as their inverse: microseconds for each state. Medians of three, taken in turn.
 *
 * @throws Error when an engine does not find the same states
 */
export async function spinFigures(report: (line: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  const missing = missingTools(...spinTools);
  if (missing.length > 0) report(`skipped: Spin: not installed: ${missing.join(', ')}`);
  else figures.push(await besideSpin(report));
  figures.push(besideXState(report));
  return figures;
}

async function besideSpin(report: (line: string) => void): Promise<Figure> {
  const program = programOf(new World(large));
  const asked = { questions: questionsOf(program, []), look: 'nothing' } as const;
  const ours: number[] = [];
  const theirs: number[] = [];
  let states = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const all = cpuSeconds(() => {
      const found = explore(large, [], { memoryMax: MEMORY_MAX });
      found.assertProperties();
      states = found.states;
    });
    // Neither's translation is counted: Spin's is of C, and ours is what is left when it has been done once more.
    ours.push(all - cpuSeconds(() => translate(large)));
    const spin = await search(program, asked, ['-O2', '-DSAFETY', '-DNOREDUCE'], ['-m1000000', '-w26'], {
      megabytes: 12_288,
    });
    const counted = statistics(spin.output);
    if (counted.states !== states) throw new Error(`Spin finds ${counted.states} states and the explorer ${states}`);
    theirs.push(spin.cpuSeconds);
    report(
      `'${large.name}', ${states} states: ${ours.at(-1)!.toFixed(2)} s, Spin ${spin.cpuSeconds.toFixed(2)} s of CPU, ${((counted.memory ?? 0) / states).toFixed(0)} bytes a state`,
    );
  }
  const each = (seconds: readonly number[]): number => (median(seconds) / states) * 1e6;
  return {
    what: `exploring ${states} states, one thread`,
    value: each(ours),
    unit: 'µs a state',
    peer: 'Spin -O2 -DSAFETY -DNOREDUCE',
    peerValue: each(theirs),
    bound: 1 / 2,
  };
}

function translate(definition: WorldDefinition): Successors {
  const world = new World(definition);
  return generatedSuccessors(world, new Layout(world));
}

/** The same world as one machine of XState's, whose guards and assignments are the generated successors'. */
function besideXState(report: (line: string) => void): Figure {
  const { definition } = worlds.find(({ name }) => name === small)!;
  const { words, rules, initial, enabled, fire } = translate(definition);
  const into = new Uint16Array(rules);
  const can = (state: readonly number[], rule: number): boolean => {
    const count = enabled(Int32Array.from(state), 0, into);
    return into.subarray(0, count).includes(rule);
  };
  const next = (state: readonly number[], rule: number): number[] => {
    const to = new Int32Array(words);
    fire(rule, Int32Array.from(state), 0, to, 0);
    return [...to];
  };
  const first = new Int32Array(words);
  initial(first, 0);
  const events = Array.from({ length: rules }, (_, rule) => ({ type: `rule ${rule}` }));
  const machine = setup({ types: {} as { context: { state: number[] } } }).createMachine({
    context: { state: [...first] },
    on: Object.fromEntries(
      events.map(({ type }, rule) => [
        type,
        {
          guard: ({ context }: { context: { state: number[] } }) => can(context.state, rule),
          actions: assign(({ context }: { context: { state: number[] } }) => ({ state: next(context.state, rule) })),
        },
      ]),
    ) as never,
  }) as unknown as AnyStateMachine;
  let theirStates = 0;
  const theirs = cpuSeconds(() => {
    const map = getAdjacencyMap(machine, {
      events,
      limit: Number.POSITIVE_INFINITY,
      filterEvents: (state: unknown, event: unknown) => (state as { can(event: unknown): boolean }).can(event),
    } as never);
    theirStates = Object.keys(map).length;
  });
  let states = 0;
  const ours = median(
    Array.from({ length: ROUNDS }, () => {
      const all = cpuSeconds(() => {
        states = explore(definition, []).states;
      });
      return all - cpuSeconds(() => translate(definition));
    }),
  );
  report(`'${small}', ${states} states: ${ours.toFixed(2)} s, xstate/graph ${theirs.toFixed(1)} s of CPU`);
  if (theirStates !== states) throw new Error(`xstate/graph finds ${theirStates} states and the explorer ${states}`);
  return {
    what: `exploring ${states} states`,
    value: (ours / states) * 1e6,
    unit: 'µs a state',
    peer: 'xstate/graph with its event filter',
    peerValue: (theirs / states) * 1e6,
    bound: 1 / 100,
  };
}
