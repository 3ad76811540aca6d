/** Providers over the verbs adapter and the kernel's software devices, within one host. Runs in the guest. */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { answer, ask, until } from '../../driver/adapter/iwarp/test-peer.ts';
import { VerbsAdapter } from '../../driver/adapter/verbs.ts';
import { memorySink, readJournal, replayJournal } from '../../driver/index.ts';
import { type Socket, tcpProtocolInfo } from '../../driver/spi.ts';
import { AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED } from '../../machines/index.ts';
import type { GuestCase } from './guest.ts';
import { memoryCases } from './memory.ts';
import { note } from './note.ts';
import { endpointAt, VerbsPeer } from './peers/verbs-peer.ts';
import { run } from './programs.ts';
import { keepingNothing, kernelResources } from './resources.ts';

const addresses = {
  'rxe, IPv4': '10.77.0.1',
  'siw, IPv4': '10.78.0.1',
  'rxe, IPv6': 'fd77::1',
  'siw, IPv6': 'fd78::1',
};

/** Built by the test that starts the guest. */
const faults = fileURLToPath(new URL('../../native/build/faults-undefined', import.meta.url));

let nextPort = 7000;

const nothing = { sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 };
const nothingHeld = { protectionDomains: 0, regions: 0, connectors: 0, listeners: 0 };

async function stopped(...peers: readonly VerbsPeer[]): Promise<void> {
  for (const peer of peers) {
    await peer.stop();
    assert.deepEqual(peer.host.provider.inventory(), nothing);
    assert.deepEqual(peer.adapter.inventory(), nothingHeld);
  }
}

/** Two providers of one process, connected at `address`, that have sent, read and written memory. */
async function conversing(address: string) {
  const [near, far] = [new VerbsPeer(), new VerbsPeer()];
  const at = endpointAt(address, nextPort++);
  const listener = far.host.listen(at);
  const [asking, answering] = await Promise.all([
    near.connect(endpointAt(address, nextPort++), at),
    far.accept(listener),
  ]);
  await Promise.all([ask(asking), answer(answering)]);
  return { near, far, at, asking, answering };
}

const casesAt = ([what, address]: [string, string]): readonly GuestCase[] => [
  {
    name: `${what}: two providers of one process connect, send, read and write memory, and close`,
    run: keepingNothing(async () => {
      const { near, far, asking, answering } = await conversing(address);
      asking.close();
      answering.close();
      await stopped(near, far);
    }),
  },
  {
    name: `${what}: a connection on which nothing happens is not looked at`,
    run: keepingNothing(async () => {
      const { near, far, asking, answering } = await conversing(address);
      // Turns, not processor time: the guest's kernel takes for its own what the host gives to others.
      let polls = 0;
      for (const { host } of [near, far]) {
        const { poll } = host;
        host.poll = () => {
          polls++;
          return poll.call(host);
        };
      }
      // What there was to do is done, and both loops sleep.
      for (let before = -1; before !== polls; ) {
        before = polls;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      const before = polls;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.equal(polls, before);
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
      const { near, far, at, asking, answering } = await conversing(address);
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

/** Connections at once, and how often; both larger by hand. */
export const connectionCount = Number(process.env['WSD_CONNECTIONS'] ?? 40);
export const rounds = Number(process.env['WSD_ROUNDS'] ?? 2);
/** Bound of all of them, ms; a device takes some 30 ms for one, on a quiet computer. */
export const connectionsMs = 60_000 + 200 * connectionCount * rounds;

const manyCases = (what: 'rxe, IPv4' | 'siw, IPv4'): GuestCase => ({
  name: `${what}: many connections, opened and closed again and again`,
  timeoutMs: connectionsMs,
  run: keepingNothing(async () => {
    const startMs = performance.now();
    const sinks = [memorySink(), memorySink()] as const;
    const [near, far] = [
      new VerbsPeer({ mode: 'file', sink: sinks[0] }),
      new VerbsPeer({ mode: 'file', sink: sinks[1] }),
    ];
    const address = addresses[what];
    const at = endpointAt(address, nextPort++);
    const listener = far.host.listen(at);
    for (let round = 0; round < rounds; round++) {
      const accepted: Socket[] = [];
      const connected: Socket[] = [];
      while (connected.length < connectionCount) {
        const socket = near.host.connect(endpointAt(address, 20_000 + connected.length), at);
        connected.push(socket);
        await until(() => {
          const found = accepted.length < connected.length ? far.host.accept(listener) : null;
          if (found !== null) accepted.push(found.socket);
          return accepted.length === connected.length && near.host.isConnected(socket);
        });
      }
      for (const socket of connected) near.host.close(socket);
      for (const socket of accepted) far.host.close(socket);
      await until(() => [near, far].every(({ adapter }) => adapter.inventory().connectors === 0));
    }
    await stopped(near, far);
    const seconds = Math.round((performance.now() - startMs) / 1000);
    let events = 0;
    for (const [index, { host }] of [near, far].entries()) {
      host.provider.closeJournal();
      const { verdict, steps } = replayJournal(readJournal(sinks[index]!.bytes()));
      assert.deepEqual(verdict, { type: 'equal' });
      events += steps;
    }
    const opened = `${rounds} times ${connectionCount} connections in ${seconds} s`;
    note(`${what}: ${opened}; both journals, ${events} events, replay equal`);
  }),
});

/** The far end answers after the near one has given up, or never. */
const givingUpCases = ['accepts', 'stops'].map(
  (answers): GuestCase => ({
    name: `siw, IPv4: who gives up while it connects keeps nobody waiting; then the peer ${answers}`,
    run: keepingNothing(async () => {
      const [near, far] = [new VerbsPeer(), new VerbsPeer()];
      const before = await kernelResources();
      const at = endpointAt(addresses['siw, IPv4'], nextPort++);
      const listener = far.host.listen(at);
      const socket = near.host.connect(endpointAt(at.address, nextPort++), at);
      await until(() => far.host.provider.inventory().connectionRequests === 1);
      near.host.close(socket);
      await until(() => near.adapter.inventory().connectors === 0);
      await stopped(near);
      // A call that had waited for the kernel would have given all of it back.
      assert.equal((await kernelResources())['qp'], before['qp']! + 1);
      if (answers === 'accepts') await until(() => far.host.accept(listener) !== null);
      await stopped(far);
    }),
  }),
);

const ownCases: readonly GuestCase[] = [
  ...Object.entries(addresses)
    .filter(([what]) => what.endsWith('IPv4'))
    .flatMap(memoryCases),
  ...givingUpCases,
  manyCases('rxe, IPv4'),
  manyCases('siw, IPv4'),
  {
    // libibverbs can be asked to keep registered pages from child processes: with them goes what else is on them.
    name: 'programs can be started while pieces of pages are registered',
    run: keepingNothing(async () => {
      const adapter = new VerbsAdapter({ addresses: [addresses['rxe, IPv4']] });
      assert.equal(adapter.open(), 0);
      const domain = adapter.allocateProtectionDomain(addresses['rxe, IPv4']);
      for (let count = 0; count < 50; count++) {
        assert.notEqual(typeof adapter.registerMemory(domain, new Uint8Array(1000), 1), 'number');
      }
      await run(['true']);
      adapter.close();
    }),
  },
  ...['rxe, IPv4', 'siw, IPv4'].map((what) => ({
    name: `${what}: every call of the shim's can fail`,
    timeoutMs: 300_000,
    run: keepingNothing(async () => {
      const output = await run([faults, addresses[what as 'rxe, IPv4']]);
      assert.match(output, /^\d+ runs$/m);
    }),
  })),
];

export const cases: readonly GuestCase[] = ownCases.concat(Object.entries(addresses).flatMap(casesAt));
