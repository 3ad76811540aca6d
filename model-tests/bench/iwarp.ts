/**
 * The provider over the iWARP adapter against `node:net` on loopback, each end a process of its own.
 *
 * Theory of operation: all processes live through the whole measurement, and the connections of a figure through all its
 * turns. Both transports warm up until their code is compiled, which takes seconds; then short turns alternate, so that
 * whatever else the computer does meets both sides of a ratio. A figure is that of the pair of turns with the median ratio.
 * What it takes to make a connection is a figure of its own.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { type Measured, messageBytes, type Order, type Scenario, type Transport } from './iwarp/exchange.ts';
import type { Figure } from './measure.ts';

const program = fileURLToPath(new URL('./iwarp/end.ts', import.meta.url));
const TURNS = 9;
const TURN_MS = 500;
const WARM_UP_MS = 4000;
const CONNECTIONS = 1000;

/** A process, with what it answers. */
class Process {
  readonly #child: ChildProcess;
  #answered: (answer: unknown) => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor(transport: Transport, nodeArgs: readonly string[]) {
    this.#child = fork(program, [transport], { execArgv: ['--expose-gc', ...nodeArgs] });
    this.#child.on('message', (answer) => this.#answered(answer));
    this.#child.on('close', () => this.#failed(new Error('a process of the benchmark has ended')));
  }

  ask(order: Order): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#child.send(order);
    });
  }

  end(): void {
    this.#failed = () => {};
    this.#child.disconnect();
  }
}

interface Turn extends Measured {
  /** Processor time of both ends for each exchange. */
  readonly cpuUs: number;
}

/** Two processes that talk to each other. */
class Pair {
  readonly #server: Process;
  readonly #client: Process;
  #serverBytes = 0;

  constructor(transport: Transport, nodeArgs: readonly string[]) {
    this.#server = new Process(transport, nodeArgs);
    this.#client = new Process(transport, nodeArgs);
  }

  /** @returns the processor time of both ends that a connection took to make, in microseconds */
  async connect(scenario: Scenario, connections: number): Promise<number> {
    this.#serverBytes = (await this.#server.ask({ memory: true })) as number;
    const usedBefore = await this.#usage();
    const port = (await this.#server.ask({ serve: scenario })) as number;
    await this.#client.ask({ connect: scenario, port, connections });
    return ((await this.#usage()) - usedBefore) / connections;
  }

  async run(ms: number): Promise<Turn> {
    const usedBefore = await this.#usage();
    const measured = (await this.#client.ask({ run: ms })) as Measured;
    return { ...measured, cpuUs: ((await this.#usage()) - usedBefore) / measured.count };
  }

  /** Bytes by which the accepting process has grown since it began to take connections. */
  async grown(): Promise<number> {
    return ((await this.#server.ask({ memory: true })) as number) - this.#serverBytes;
  }

  async close(): Promise<void> {
    await this.#client.ask({ close: true });
    await this.#server.ask({ close: true });
  }

  async #usage(): Promise<number> {
    const [server, client] = [await this.#server.ask({ usage: true }), await this.#client.ask({ usage: true })];
    return (server as number) + (client as number);
  }

  end(): void {
    this.#client.end();
    this.#server.end();
  }
}

/** The one in the middle, by `of`. */
function median<T>(values: readonly T[], of: (value: T) => number): T {
  return values.toSorted((left, right) => of(left) - of(right))[values.length >> 1]!;
}

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
