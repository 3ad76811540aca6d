/** What a search costs: threads, bytes, leads-to, and what exchangeable rows save. */

import {
  type ExploreOptions,
  explore,
  type Found,
  leadsTo,
  type Property,
  row,
  type WorldDefinition,
} from '../explorer/index.ts';
import { anyOrder } from '../worlds/any-order.ts';
import { closeProperties } from '../worlds/close.ts';
import { connectedPair, type PairRequest } from '../worlds/connected-pair.ts';
import type { Figure } from './measure.ts';

const ROUNDS = 3;
/** Bytes a state at rest at most: words, parent, table. */
const STATE_BYTES = 32;

const requests: readonly PairRequest[] = ([0, 1] as const).flatMap((socket) => [
  { socket, kind: 'send', place: 0 },
  { socket, kind: 'receive', place: 0 },
]);
/** 1.1 million states, 5.3 million transitions; the other has more than three million states. */
const failing = connectedPair({ name: 'bench, failing', requests, closing: true, failing: true });
const large = connectedPair({
  name: 'bench, everything',
  requests,
  closing: true,
  failing: true,
  upcallsFail: true,
  accepted: true,
});

interface Cost {
  readonly found: Found;
  /** By the clock; of all threads; and of the thread that was busiest, which is the clock's on a machine with nothing else. */
  readonly seconds: number;
  readonly cpu: number;
  readonly busiest: number;
}

const seconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1e6;

/** Medians of some rounds; searches of one comparison alternate, so that what else happens here falls on all. */
function costs(cases: readonly (readonly [WorldDefinition, readonly Property[], ExploreOptions])[]): Cost[] {
  const rounds = cases.map((): Cost[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [world, properties, options]] of cases.entries()) {
      const [begun, all, own] = [performance.now(), process.cpuUsage(), process.threadCpuUsage()];
      const found = explore(world, properties, options);
      const cpu = seconds(process.cpuUsage(all));
      const mine = seconds(process.threadCpuUsage(own));
      if (!found.complete) throw new Error(`world '${world.name}' is out of limits`);
      // What the engine does in threads of its own (compiling, collecting) is in none of ours, of one or of two.
      const busiest = Math.max(mine, ...found.result.cpuSeconds);
      rounds[index]!.push({ found, seconds: (performance.now() - begun) / 1000, cpu, busiest });
    }
  }
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  return rounds.map((made) => ({
    found: made[0]!.found,
    seconds: median(made.map(({ seconds }) => seconds)),
    cpu: median(made.map(({ cpu }) => cpu)),
    busiest: median(made.map(({ busiest }) => busiest)),
  }));
}

/** Four promises, of which two are kept and two are not: either has to be found. */
const kept = closeProperties.filter(({ name }) => /^L-01: .* request [03] /.test(name));
const broken = [0, 3].map((request) =>
  leadsTo(
    `request ${request} is done once it is pending`,
    row('overlapped', request).in('pending'),
    row('overlapped', request).in('done'),
    [
      `complete ${request}`,
      `flush ${request}`,
      'notify A',
      'return A',
      'notify B',
      'return B',
      'deliver to A',
      'deliver to B',
    ],
  ),
);

export function explorerFigures(report: (line: string) => void): Figure[] {
  const memoryMax = 6 * 2 ** 30;
  const [one, two] = costs([
    [large, [], { memoryMax }],
    [large, [], { memoryMax, threads: 2 }],
  ]) as [Cost, Cost];
  const { states, transitions, bytes } = one.found;
  report(
    `explorer: ${states} states, ${transitions} transitions; one thread ${one.seconds.toFixed(1)} s (${one.cpu.toFixed(1)} CPU s),` +
      ` two ${two.seconds.toFixed(1)} s (${two.cpu.toFixed(1)} CPU s, the busier ${two.busiest.toFixed(1)}); ${(bytes / states).toFixed(1)} bytes a state`,
  );
  const [plain, fair] = costs([
    [failing, [], { memoryMax }],
    [failing, [...kept, ...broken], { memoryMax }],
  ]) as [Cost, Cost];
  const outcomes = fair.found.verdicts.slice(1).map(({ holds }) => holds);
  if (outcomes.join() !== 'true,true,false,false') throw new Error(`of the promises hold: ${outcomes.join()}`);
  const fewer = (sends: number, receives: number, closing: boolean): Found =>
    explore(anyOrder({ name: 'bench, any order', sends, receives, closing }), [], {
      memoryMax,
      reductions: { symmetry: true },
    });
  const [pairs, triples] = [fewer(2, 2, false), fewer(3, 3, false)];
  const full = explore(anyOrder({ name: 'bench, any order', sends: 2, receives: 2 }), [], { memoryMax });
  if (full.states !== pairs.orbitSum) throw new Error(`orbits add up to ${pairs.orbitSum} of ${full.states} states`);
  report(`explorer: ${triples.orbitSum} states of three requests of each kind are covered by ${triples.states}`);
  return [
    {
      what: `two threads, ${states} states, CPU of the busier one`,
      value: two.busiest,
      unit: 's',
      peer: 'one thread',
      peerValue: one.busiest,
      bound: 1 / 1.3,
    },
    {
      what: 'a state at rest, with parent and table',
      value: bytes / states,
      unit: 'B',
      peer: 'its bound',
      peerValue: STATE_BYTES,
      bound: 1,
    },
    {
      what: 'search with four fair leads-to, CPU',
      value: fair.cpu,
      unit: 's',
      peer: 'plain search',
      peerValue: plain.cpu,
      bound: 2,
    },
    {
      what: 'states with exchangeable rows, two requests of each kind',
      value: pairs.states,
      unit: 'states',
      peer: 'all, found one by one',
      peerValue: full.states,
      bound: 1 / 5,
    },
    {
      what: 'states with exchangeable rows, three of each',
      value: triples.states,
      unit: 'states',
      peer: 'the sum of their orbits',
      peerValue: triples.orbitSum,
      bound: 1 / 100,
    },
  ];
}
