/**
 * One end of the benchmarks over TCP on this computer, as a process of its own: `node end.ts net|iwarp|iwarp-crc`.
 *
 * It is told what to do by messages of its parent and answers each with one.
 */

import type { End, Order, Transport } from './exchange.ts';
import { IwarpEnd } from './iwarp-end.ts';
import { InternetEnd } from './net-end.ts';

async function obey(end: End, order: Order): Promise<unknown> {
  if ('serve' in order) return end.serve(order.serve);
  if ('connect' in order) return end.connect(order.connect, order.port, order.connections).then(() => 0);
  if ('run' in order) return end.run(order.run);
  if ('memory' in order) {
    globalThis.gc?.();
    return process.memoryUsage().rss;
  }
  if ('usage' in order) {
    const { user, system } = process.cpuUsage();
    return user + system;
  }
  await end.close();
  return 0;
}

const transport = process.argv[2] as Transport | undefined;
if (process.send !== undefined && transport !== undefined) {
  const end: End = transport === 'net' ? new InternetEnd() : new IwarpEnd(transport === 'iwarp-crc');
  process.on('message', (order: Order) => {
    void obey(end, order).then((answer) => process.send!(answer));
  });
  process.on('disconnect', () => process.exit());
}
