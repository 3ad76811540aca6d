/**
 * The provider over the iWARP adapter against `node:net` on loopback, each end a process of its own.
 *
 * Theory of operation: all processes live through the whole measurement, and short turns of each transport alternate, so
 * that whatever else the computer does meets both sides of a ratio. A figure is the median of its turns.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { type Measured, messageBytes, type Order, type Scenario, type Transport } from './iwarp/exchange.ts';
import type { Figure } from './measure.ts';

const program = fileURLToPath(new URL('./iwarp/end.ts', import.meta.url));
const TURNS = 5;
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
  /** Bytes by which the accepting process has grown. */
  readonly serverBytes: number;
  /** Processor time of both ends for each exchange, connecting included. */
  readonly cpuUs: number;
}

/** Two processes that talk to each other. */
class Pair {
  readonly #server: Process;
  readonly #client: Process;

  constructor(transport: Transport, nodeArgs: readonly string[]) {
    this.#server = new Process(transport, nodeArgs);
    this.#client = new Process(transport, nodeArgs);
  }

  async run(scenario: Scenario, connections: number, ms: number): Promise<Turn> {
    const before = (await this.#server.ask({ memory: true })) as number;
    const port = (await this.#server.ask({ serve: scenario })) as number;
    const usedBefore = await this.#usage();
    const measured = (await this.#client.ask({ run: scenario, port, connections, ms })) as Measured;
    const cpuUs = ((await this.#usage()) - usedBefore) / measured.count;
    const serverBytes = ((await this.#server.ask({ memory: true })) as number) - before;
    await this.#client.ask({ close: true });
    await this.#server.ask({ close: true });
    return { ...measured, serverBytes, cpuUs };
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

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

interface Comparison {
  readonly what: string;
  readonly scenario: Scenario;
  readonly transport: Transport;
  readonly connections: number;
  readonly ms: number;
  /** What one turn costs; less is better. */
  cost(measured: Measured): number;
  readonly unit: string;
  readonly bound: number;
}

const usPerMiB = ({ count, seconds }: Measured): number => (seconds * 1e6) / count;
const perMiB = { connections: 1, ms: 1000, cost: usPerMiB, unit: 'us/MiB' } as const;

const comparisons: readonly Comparison[] = [
  {
    what: '64 B round trip, p50',
    scenario: 'roundTrip',
    transport: 'iwarp-crc',
    connections: 1,
    ms: 1000,
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
    ms: 1000,
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
    for (const { what, scenario, transport, connections, ms, cost, unit, bound } of wanted) {
      const here: number[] = [];
      const there: number[] = [];
      const cpu = { here: [] as number[], there: [] as number[] };
      const memory = { here: 0, there: 0 };
      for (let turn = 0; turn <= TURNS; turn++) {
        const [peer, own] = [pairs.get('net')!, pairs.get(transport)!];
        const [theirs, ours] = [await peer.run(scenario, connections, ms), await own.run(scenario, connections, ms)];
        if (turn === 0) {
          // The first turn warms both up; memory is what it takes to begin.
          memory.here = ours.serverBytes / connections;
          memory.there = theirs.serverBytes / connections;
          continue;
        }
        here.push(cost(ours));
        there.push(cost(theirs));
        cpu.here.push(ours.cpuUs);
        cpu.there.push(theirs.cpuUs);
      }
      const [value, peerValue] = [median(here), median(there)];
      figures.push({ what: `iWARP: ${what}`, value, unit, peer: 'node:net', peerValue, bound });
      const [used, theirs] = [median(cpu.here), median(cpu.there)];
      report(
        `iWARP: ${what}: ${used.toFixed(1)} us of processor time for each at both ends, node:net ${theirs.toFixed(1)},` +
          ` ratio ${(used / theirs).toFixed(2)}`,
      );
      if (unit === 'us/MiB') {
        const rate = (us: number): string => `${((messageBytes[scenario] / us) * 1e-3).toFixed(2)} GB/s`;
        report(`iWARP: ${what}: ${rate(value)}, node:net ${rate(peerValue)}`);
      }
      if (connections > 1) {
        const kib = (bytes: number): string => (bytes / 1024).toFixed(1);
        report(
          `iWARP: ${what}: ${Math.round(1e6 / value)} echoes/s, node:net ${Math.round(1e6 / peerValue)};` +
            ` ${kib(memory.here)} KiB resident for each accepted connection, node:net ${kib(memory.there)} KiB`,
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
