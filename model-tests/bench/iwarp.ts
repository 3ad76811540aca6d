/**
 * The provider over the iWARP adapter against `node:net` on loopback, each end a process of its own.
 *
 * Theory of operation: all processes live through the whole measurement, and the connections of a figure through all its
 * turns. Both transports warm up until their code is compiled, which takes seconds; then short turns alternate, so that
 * whatever else the computer does meets both sides of a ratio. A figure is that of the pair of turns with the median ratio.
 * What it takes to make a connection is a figure of its own.
 */

import { fileURLToPath } from 'node:url';

import { type Measured, messageBytes, type Scenario, type Transport } from './iwarp/exchange.ts';
import { median, Pair, type Turn } from './iwarp/pair.ts';
import type { Figure } from './measure.ts';

const TURNS = 9;
const TURN_MS = 500;
const WARM_UP_MS = 4000;
const CONNECTIONS = 1000;

interface Comparison {
  readonly what: string;
  readonly scenario: Scenario;
  readonly transport: Transport;
  readonly connections: number;
  /** What one turn costs; less is better. */
  cost(measured: Measured): number;
  readonly unit: string;
  readonly bound: number;
}

const usPerMiB = ({ count, seconds }: Measured): number => (seconds * 1e6) / count;
const perMiB = { connections: 1, cost: usPerMiB, unit: 'us/MiB' } as const;

const comparisons: readonly Comparison[] = [
  {
    what: '64 B round trip, p50',
    scenario: 'roundTrip',
    transport: 'iwarp-crc',
    connections: 1,
    cost: ({ p50Us }) => p50Us,
    unit: 'us',
    bound: 1.25,
  },
  { what: '1 MiB messages, CRC off', scenario: 'messages', transport: 'iwarp', ...perMiB, bound: 1 / 0.85 },
  { what: '1 MiB RDMA writes, CRC off', scenario: 'writes', transport: 'iwarp', ...perMiB, bound: 1 / 0.85 },
  { what: '1 MiB messages, CRC on', scenario: 'messages', transport: 'iwarp-crc', ...perMiB, bound: 1 / 0.6 },
  { what: '1 MiB RDMA writes, CRC on', scenario: 'writes', transport: 'iwarp-crc', ...perMiB, bound: 1 / 0.6 },
  {
    what: `1 KiB echoes on ${CONNECTIONS} connections`,
    scenario: 'echoes',
    transport: 'iwarp-crc',
    connections: CONNECTIONS,
    cost: ({ count, seconds }) => (seconds * 1e6) / count,
    unit: 'us/echo',
    bound: 1 / 0.8,
  },
];

/** @param only - part of the names of the figures that are wanted */
export async function iwarpFigures(
  report: (line: string) => void,
  only = '',
  nodeArgs: readonly string[] = [],
): Promise<Figure[]> {
  const wanted = comparisons.filter(({ what }) => what.includes(only));
  const transports = new Set<Transport>(['net', ...wanted.map(({ transport }) => transport)]);
  const pairs = new Map([...transports].map((transport) => [transport, new Pair(transport, nodeArgs)]));
  const figures: Figure[] = [];
  try {
    for (const { what, scenario, transport, connections, cost, unit, bound } of wanted) {
      const [here, there] = [pairs.get(transport)!, pairs.get('net')!];
      const both = async <T>(ask: (pair: Pair) => Promise<T>) => ({ there: await ask(there), here: await ask(here) });
      const made = await both((pair) => pair.connect(scenario, connections));
      await both((pair) => pair.run(WARM_UP_MS));
      const grown = await both((pair) => pair.grown());
      const turns: { readonly here: Turn; readonly there: Turn }[] = [];
      while (turns.length < TURNS) turns.push(await both((pair) => pair.run(TURN_MS)));
      await both((pair) => pair.close());
      const middle = median(turns, (turn) => cost(turn.here) / cost(turn.there));
      const [value, peerValue] = [cost(middle.here), cost(middle.there)];
      figures.push({ what: `iWARP: ${what}`, value, unit, peer: 'node:net', peerValue, bound });
      const used = median(turns, (turn) => turn.here.cpuUs / turn.there.cpuUs);
      report(
        `iWARP: ${what}: ${used.here.cpuUs.toFixed(1)} us of processor time for each at both ends,` +
          ` node:net ${used.there.cpuUs.toFixed(1)}, ratio ${(used.here.cpuUs / used.there.cpuUs).toFixed(2)}`,
      );
      if (unit === 'us/MiB') {
        const rate = (us: number): string => `${((messageBytes[scenario] / us) * 1e-3).toFixed(2)} GB/s`;
        report(`iWARP: ${what}: ${rate(value)}, node:net ${rate(peerValue)}`);
      }
      if (connections > 1) {
        const kib = (bytes: number): string => (bytes / 1024 / connections).toFixed(1);
        report(
          `iWARP: ${what}: ${Math.round(1e6 / value)} echoes/s, node:net ${Math.round(1e6 / peerValue)};` +
            ` ${kib(grown.here)} KiB resident for each accepted connection, node:net ${kib(grown.there)} KiB`,
        );
        report(
          `iWARP: ${what}: ${made.here.toFixed(0)} us of processor time at both ends to make a connection,` +
            ` node:net ${made.there.toFixed(0)}`,
        );
      }
    }
  } finally {
    for (const pair of pairs.values()) pair.end();
  }
  return figures;
}

// As a program: the figures with this in their names, with options of Node.js for the processes, as --cpu-prof.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [only = '', ...nodeArgs] = process.argv.slice(2);
  for (const { what, value, unit, peerValue, bound } of await iwarpFigures(
    (line) => console.log(line),
    only,
    nodeArgs,
  )) {
    const ratio = value / peerValue;
    const verdict = ratio <= bound ? 'met' : 'MISSED';
    console.log(
      `${what}: ${value.toFixed(1)} ${unit}, node:net ${peerValue.toFixed(1)}, ratio ${ratio.toFixed(3)}` +
        ` (bound ${bound.toFixed(3)}) ${verdict}`,
    );
  }
}
