import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import { describe, test } from 'vitest';

import { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } from '../../../machines/index.ts';
import { tcpProtocolInfo } from '../../spi.ts';
import { answer, ask, loopback, Peer, until } from './test-peer.ts';

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const nothing = { sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 };

describe('providers over iWARP', () => {
  test('in one process connect, send, read and write memory, and close', async () => {
    const [near, far] = [new Peer(), new Peer()];
    const port = await freePort();
    const listener = far.host.listen(loopback(port));
    const [asking, answering] = await Promise.all([near.connect(port, await freePort()), far.accept(listener)]);
    await Promise.all([ask(asking), answer(answering)]);
    asking.close();
    answering.close();
    await near.stop();
    await far.stop();
    for (const peer of [near, far]) {
      assert.deepEqual(peer.host.provider.inventory(), nothing);
      await until(() => peer.adapter.inventory().sockets === 0);
      assert.deepEqual(peer.adapter.inventory(), {
        regions: 0,
        connectors: 0,
        listeners: 0,
        sockets: 0,
        outputBytes: 0,
      });
    }
  });

  test('move a connection that is duplicated', async () => {
    const [near, far] = [new Peer(), new Peer()];
    const port = await freePort();
    const listener = far.host.listen(loopback(port));
    const [asking, answering] = await Promise.all([near.connect(port, await freePort()), far.accept(listener)]);
    await Promise.all([ask(asking), answer(answering)]);
    const { provider, errno } = near.host;
    const info = tcpProtocolInfo();
    assert.equal(provider.WSPDuplicateSocket(asking.socket, 1, info, errno), 0);
    await until(() => provider.socketState(asking.socket) === 'dormant.parted');
    const moved = provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, WSA_FLAG_OVERLAPPED, errno);
    assert.equal(errno.value, 0);
    await until(() =>
      [provider.socketState(moved), far.host.provider.socketState(answering.socket)].every(
        (state) => state === 'connected.active',
      ),
    );
    await near.stop();
    await far.stop();
    for (const { adapter } of [near, far]) await until(() => adapter.inventory().sockets === 0);
  });

  test('in two processes do the same', async () => {
    const far = new Peer();
    const port = await freePort();
    const listener = far.host.listen(loopback(port));
    const program = fileURLToPath(new URL('./test-peer.ts', import.meta.url));
    const child = spawn(process.execPath, [program, String(port), String(await freePort())], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Not this run's: no reporter or hook of the test runner belongs there.
      env: { PATH: process.env['PATH'] },
    });
    let errors = '';
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const ended = once(child, 'close');
    const endpoint = await far.accept(listener);
    await answer(endpoint);
    const [code] = await ended;
    assert.equal(code, 0, errors);
    endpoint.close();
    await far.stop();
    assert.deepEqual(far.host.provider.inventory(), nothing);
  });
});
