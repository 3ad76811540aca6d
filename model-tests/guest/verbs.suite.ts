/** Providers over the verbs adapter and the kernel's software devices, within one host. Runs in the guest. */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { answer, ask, until } from '../../driver/adapter/iwarp/test-peer.ts';
import { tcpProtocolInfo } from '../../driver/spi.ts';
import { AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } from '../../machines/index.ts';
import type { GuestCase } from './guest.ts';
import { endpointAt, VerbsPeer } from './peers/verbs-peer.ts';
import { run } from './programs.ts';

const addresses = {
  'rxe, IPv4': '10.77.0.1',
  'siw, IPv4': '10.78.0.1',
  'rxe, IPv6': 'fd77::1',
  'siw, IPv6': 'fd78::1',
};

let nextPort = 7000;

const nothing = { sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 };
const nothingHeld = { protectionDomains: 0, regions: 0, connectors: 0, listeners: 0 };

/** What the kernel holds for all processes, by kind. */
export async function kernelResources(): Promise<Readonly<Record<string, number>>> {
  const devices = JSON.parse(await run(['rdma', '-j', 'resource', 'show'])) as Record<string, number | string>[];
  const sums: Record<string, number> = {};
  for (const device of devices) {
    for (const kind of ['pd', 'cq', 'qp', 'cm_id', 'mr']) sums[kind] = (sums[kind] ?? 0) + Number(device[kind]);
  }
  return sums;
}

/** Runs `use`, and finds afterwards that the kernel holds no more than before. */
const keepingNothing = (use: () => Promise<void>) => async (): Promise<void> => {
  const before = await kernelResources();
  await use();
  assert.deepEqual(await kernelResources(), before);
};

async function stopped(...peers: readonly VerbsPeer[]): Promise<void> {
  for (const peer of peers) {
    await peer.stop();
    assert.deepEqual(peer.host.provider.inventory(), nothing);
    assert.deepEqual(peer.adapter.inventory(), nothingHeld);
  }
}

const casesAt = ([what, address]: [string, string]): readonly GuestCase[] => [
  {
    name: `${what}: two providers of one process connect, send, read and write memory, and close`,
    run: keepingNothing(async () => {
      const [near, far] = [new VerbsPeer(), new VerbsPeer()];
      const at = endpointAt(address, nextPort++);
      const listener = far.host.listen(at);
      const [asking, answering] = await Promise.all([
        near.connect(endpointAt(address, nextPort++), at),
        far.accept(listener),
      ]);
      await Promise.all([ask(asking), answer(answering)]);
      asking.close();
      answering.close();
      await stopped(near, far);
    }),
  },
  {
    name: `${what}: two processes do the same`,
    run: keepingNothing(async () => {
      const far = new VerbsPeer();
      const at = endpointAt(address, nextPort++);
      const listener = far.host.listen(at);
      const program = fileURLToPath(new URL('./peers/verbs-peer.ts', import.meta.url));
      const asking = run([process.execPath, program, address, String(nextPort++), address, String(at.port)]);
      const endpoint = await far.accept(listener);
      await Promise.all([answer(endpoint), asking]);
      endpoint.close();
      await stopped(far);
    }),
  },
  {
    name: `${what}: a connection that is duplicated moves`,
    run: keepingNothing(async () => {
      const [near, far] = [new VerbsPeer(), new VerbsPeer()];
      const at = endpointAt(address, nextPort++);
      const listener = far.host.listen(at);
      const [asking, answering] = await Promise.all([
        near.connect(endpointAt(address, nextPort++), at),
        far.accept(listener),
      ]);
      await Promise.all([ask(asking), answer(answering)]);
      const { provider, errno } = near.host;
      const info = tcpProtocolInfo();
      assert.equal(provider.WSPDuplicateSocket(asking.socket, 1, info, errno), 0);
      await until(() => provider.socketState(asking.socket) === 'dormant.parted');
      const family = at.family === 'IPv4' ? AF_INET : AF_INET6;
      const moved = provider.WSPSocket(family, SOCK_STREAM, IPPROTO_TCP, info, 0, WSA_FLAG_OVERLAPPED, errno);
      assert.equal(errno.value, 0);
      await until(() =>
        [provider.socketState(moved), far.host.provider.socketState(answering.socket)].every(
          (state) => state === 'connected.active',
        ),
      );
      await stopped(near, far);
    }),
  },
];

export const cases: readonly GuestCase[] = Object.entries(addresses).flatMap(casesAt);
