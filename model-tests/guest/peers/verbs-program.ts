/**
 * A peer in a process of its own, to be killed, cut off, or starved: `verbs-program.ts ROLE ADAPTER LOCAL PORT REMOTE`.
 *
 * It prints `ready` when its part has begun, and begins with a message of one byte: a connection's first may not be long. Roles: `send` sends messages of 1 KiB for ever; `expose` tells where 1 MiB of
 * its memory can be read, and waits; `listen` never answers a request; `echo` returns each message; `ask` is the one of
 * test-peer.ts; `register N` registers N bytes and says how that ended.
 */

import type { Adapter } from '../../../driver/adapter/adapter.ts';
import { IwarpAdapter } from '../../../driver/adapter/iwarp.ts';
import { ask } from '../../../driver/adapter/iwarp/test-peer.ts';
import { VerbsAdapter } from '../../../driver/adapter/verbs.ts';
import { Endpoint } from '../../../driver/client/endpoint.ts';
import { Application } from './application.ts';
import { endpointAt } from './verbs-peer.ts';

const [role, kind, local, port, remote] = process.argv.slice(2) as [string, string, string, string, string];
const adapter: Adapter =
  kind === 'iwarp' ? new IwarpAdapter({ addresses: [local] }) : new VerbsAdapter({ addresses: [local] });
const application = new Application(adapter);
const forEver = (): Promise<never> => new Promise((_resolve) => setInterval(() => {}, 1000));
const ready = (): void => void process.stdout.write('ready\n');

if (role === 'listen') {
  application.listen(endpointAt(local, Number(port)));
  ready();
  await forEver();
}
const connection = await application.connect(local, endpointAt(remote, Number(port)));
if (role !== 'ask') await connection.send(connection.memory(1));

switch (role) {
  case 'send': {
    const message = connection.memory(1024);
    ready();
    for (;;) await connection.send(message);
  }
  case 'expose': {
    const memory = connection.memory(1 << 20);
    const { address, key, length } = connection.expose(memory, 'read');
    const message = connection.memory(16);
    const view = new DataView(message.buffer);
    view.setBigUint64(0, BigInt(address));
    view.setUint32(8, key);
    view.setUint32(12, length);
    await connection.send(message);
    ready();
    await forEver();
    break;
  }
  case 'echo': {
    const buffers = [connection.memory(65_536), connection.memory(65_536)];
    const pending = buffers.map((buffer) => connection.receive(buffer));
    ready();
    for (let turn = 0; ; turn = 1 - turn) {
      const length = await pending[turn]!;
      await connection.send(buffers[turn]!.subarray(0, length));
      pending[turn] = connection.receive(buffers[turn]!);
    }
  }
  case 'ask': {
    const endpoint = new Endpoint(application.host, connection.socket, { role: 'connecting' });
    ready();
    await ask(endpoint);
    endpoint.close();
    await application.stop();
    break;
  }
  case 'register': {
    try {
      connection.memory(Number(process.argv[7]));
      process.stdout.write('registered\n');
    } catch (error) {
      process.stdout.write(`${error instanceof Error ? error.message : error}\n`);
    }
    await application.stop();
    break;
  }
  default:
    throw new Error(`no role '${role}'`);
}
