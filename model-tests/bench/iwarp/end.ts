/**
 * One end of the benchmarks over TCP on this computer, as a process of its own: `node end.ts net|adapter|iwarp|iwarp-crc`.
 *
 * It is told what to do by messages of its parent and answers each with one.
 */

import { AdapterEnd } from './adapter-end.ts';
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

function endOf(transport: Transport): End {
  if (transport === 'net') return new InternetEnd();
  return transport === 'adapter' ? new AdapterEnd() : new IwarpEnd(transport === 'iwarp-crc');
}

const transport = process.argv[2] as Transport | undefined;
if (process.send !== undefined && transport !== undefined) {
  const end = endOf(transport);
  process.on('message', (order: Order) => {
    void obey(end, order).then((answer) => process.send!(answer));
  });
  process.on('disconnect', () => process.exit());
}
