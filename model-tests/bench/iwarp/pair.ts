/** Two processes of the benchmarks over TCP on this computer, and what they are asked. */

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { Measured, Order, Scenario, Transport } from './exchange.ts';

const program = fileURLToPath(new URL('./end.ts', import.meta.url));

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

export interface Turn extends Measured {
  /** Processor time of both ends for each exchange. */
  readonly cpuUs: number;
}

/** Two processes that talk to each other. */
export class Pair {
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
export function median<T>(values: readonly T[], of: (value: T) => number): T {
  return values.toSorted((left, right) => of(left) - of(right))[values.length >> 1]!;
}
