/**
 * A peer in a process of its own, to be killed, cut off, or starved: `verbs-program.ts ROLE ADAPTER LOCAL PORT REMOTE`.
 *
 * It keeps to the rules that switches keep to, since iWARP has nothing that makes a message wait for a receive: its receives
 * are posted before its first message, which is one byte long, and it sends only what it was told that there are receives
 * for. It prints `ready` when its part has begun.
 *
 * Roles: `send` sends messages of 1 KiB, each time as many as a message of one byte says; `expose` answers the first
 * message with where 1 MiB of its memory can be read, and waits; `listen` never answers a request; `echo` returns each
 * message, of which there may be two at once; `flood` sends 100 messages that nobody has asked for and says how that
 * ended; `ask` is the one of test-peer.ts; `register N` registers N bytes and says how that ended.
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
const hello = (): Promise<number> => connection.send(connection.memory(1));

switch (role) {
  case 'send': {
    const message = connection.memory(1024);
    const wanted = connection.memory(1);
    let told = connection.receive(wanted);
    await hello();
    ready();
    for (;;) {
      await told;
      const count = wanted[0]!;
      told = connection.receive(wanted);
      for (let sent = 0; sent < count; sent++) await connection.send(message);
    }
  }
  case 'expose': {
    const memory = connection.memory(1 << 20);
    const { address, key, length } = connection.expose(memory, 'read');
    const message = connection.memory(16);
    const view = new DataView(message.buffer);
    view.setBigUint64(0, BigInt(address));
    view.setUint32(8, key);
    view.setUint32(12, length);
    const asked = connection.receive(connection.memory(1));
    await hello();
    await asked;
    await connection.send(message);
    ready();
    await forEver();
    break;
  }
  case 'echo': {
    const buffers = [connection.memory(65_536), connection.memory(65_536)];
    const pending = buffers.map((buffer) => connection.receive(buffer));
    await hello();
    ready();
    for (let turn = 0; ; turn = 1 - turn) {
      const length = await pending[turn]!;
      await connection.send(buffers[turn]!.subarray(0, length));
      pending[turn] = connection.receive(buffers[turn]!);
    }
  }
  case 'flood': {
    const message = connection.memory(8);
    const pending = connection.receive(connection.memory(1)).catch((error: unknown) => error);
    await hello();
    ready();
    try {
      for (let count = 0; count < 100; count++) await connection.send(message);
      process.stdout.write('all sent\n');
    } catch (error) {
      process.stdout.write(`${error instanceof Error ? error.message : error}\n`);
    }
    const end = await pending;
    process.stdout.write(`${end instanceof Error ? end.message : end}\n`);
    await application.stop();
    break;
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
    await hello();
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
