/**
 * What an echo of 1 KiB costs by layer: `npm run bench -- layers`, with numbers of connections or 1, 30 and 1,000.
 *
 * Theory of operation: the same exchange over `node:net`, over the iWARP adapter alone, and over the whole provider, each
 * between two processes, in turns that alternate. What is measured is the processor time of both ends, which other work
 * on the computer disturbs less than it does the rate; the difference from one layer to the next is what that one takes,
 * and that between few connections and many what it takes to fetch a connection into the processor's cache.
 */

import Table from 'cli-table3';

import { median, Pair } from './iwarp/pair.ts';

const TRANSPORTS = ['net', 'adapter', 'iwarp-crc'] as const;
const NAMES = ['node:net', 'the adapter alone', 'the provider'] as const;
const TURNS = 9;
const TURN_MS = 500;
const WARM_UP_MS = 3000;

/** Prints the table, and ends the process. */
export async function layersBench(names: readonly string[]): Promise<void> {
  const connections = names.length > 0 ? names.map(Number) : [1, 30, 1000];
  if (!connections.every((count) => Number.isSafeInteger(count) && count > 0)) {
    console.error(`layers: ${names.join(' ')}: numbers of connections are wanted, as 1 or 1000`);
    process.exit(2);
  }
  const table = new Table({
    head: ['connections', 'an echo over', 'processor time', 'node:net in the same turn', 'ratio'],
  });
  for (const count of connections) {
    const pairs = TRANSPORTS.map((transport) => new Pair(transport, []));
    try {
      for (const pair of pairs) await pair.connect('echoes', count);
      for (const pair of pairs) await pair.run(WARM_UP_MS);
      const turns: number[][] = [];
      while (turns.length < TURNS) {
        const turn: number[] = [];
        for (const pair of pairs) turn.push((await pair.run(TURN_MS)).cpuUs);
        turns.push(turn);
      }
      for (const index of [1, 2] as const) {
        const ratio = (turn: readonly number[]): number => turn[index]! / turn[0]!;
        const middle = median(turns, ratio);
        const us = (time: number): string => `${time.toFixed(1)} us`;
        table.push([count, NAMES[index], us(middle[index]!), us(middle[0]!), ratio(middle).toFixed(2)]);
      }
    } finally {
      for (const pair of pairs) pair.end();
    }
  }
  console.log(table.toString());
  process.exit(0);
}
