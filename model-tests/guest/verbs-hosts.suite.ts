/**
 * The verbs adapter between two hosts: with programs that nobody here wrote, with wsdirect's own iWARP, and under faults of
 * the peer, the network and the device. wsdirect runs on host h2, its peers on h1. Runs in the guest.
 */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { answer } from '../../driver/adapter/iwarp/test-peer.ts';
import { VerbsAdapter } from '../../driver/adapter/verbs.ts';
import { Endpoint } from '../../driver/client/endpoint.ts';
import { SpiError } from '../../driver/client/host.ts';
import type { Socket } from '../../driver/spi.ts';
import { INVALID_SOCKET, WSA } from '../../machines/index.ts';
import type { GuestCase } from './guest.ts';
import { Application, type Connection } from './peers/application.ts';
import { verbsPeer } from './peers/c-peer.ts';
import { pingRping, serveRping } from './peers/rping.ts';
import { endpointAt } from './peers/verbs-peer.ts';
import { deviceListens, endPrograms, type Program, type ProgramOptions, run, start } from './programs.ts';
import { heldAgain, kernelResources } from './resources.ts';

interface Network {
  readonly device: 'rxe' | 'siw';
  /** Interface of either host. */
  readonly link: string;
  /** Addresses of h1 and h2. */
  readonly theirs: string;
  readonly ours: string;
}

const rxe: Network = { device: 'rxe', link: 'eth0', theirs: '10.77.0.1', ours: '10.77.0.2' };
const siw: Network = { device: 'siw', link: 'eth1', theirs: '10.78.0.1', ours: '10.78.0.2' };
const ipv6: readonly Network[] = [
  { ...rxe, theirs: 'fd77::1', ours: 'fd77::2' },
  { ...siw, theirs: 'fd78::1', ours: 'fd78::2' },
];

let nextPort = 7200;
/** Messages of the role `flood`. */
const FLOOD = 100;

/** An application on our host with those devices, which holds nothing in the end. `cleanup`: what WSPCleanup answers. */
async function withApplication(
  networks: readonly Network[],
  use: (application: Application) => Promise<void>,
  cleanup = 0,
): Promise<void> {
  const adapter = new VerbsAdapter({ addresses: networks.map(({ ours }) => ours) });
  const application = new Application(adapter);
  let answer = 0;
  try {
    await use(application);
  } finally {
    answer = await application.stop();
  }
  assert.equal(answer, cleanup);
  assert.deepEqual(adapter.inventory(), { protectionDomains: 0, regions: 0, connectors: 0, listeners: 0 });
}

/** As {@link withApplication}; nor does the kernel hold more than before, once the peers have ended. */
const leavingNothing =
  (networks: Network | readonly Network[], use: (application: Application) => Promise<void>, cleanup = 0) =>
  async () => {
    const before = await kernelResources();
    await withApplication([networks].flat(), use, cleanup);
    await endPrograms();
    await heldAgain(before);
  };

const program = fileURLToPath(new URL('./peers/verbs-program.ts', import.meta.url));

/** Starts verbs-program.ts on the other host. */
function peer(role: string, network: Network, port: number, adapter = 'verbs', rest: readonly string[] = []): Program {
  const { theirs, ours } = network;
  return start([process.execPath, program, role, adapter, theirs, String(port), ours, ...rest], { within: 'h1' });
}

/** A listener, a peer of that role, and its connection. */
async function accepted(
  application: Application,
  role: string,
  network: Network,
  adapter?: string,
): Promise<{ readonly listener: Socket; readonly child: Program; readonly connection: Connection }> {
  const port = nextPort++;
  const listener = application.listen(endpointAt(network.ours, port));
  const child = peer(role, network, port, adapter);
  const connection = await application.accept(listener);
  if (role !== 'ask') await connection.receive(connection.memory(1));
  return { listener, child, connection };
}

/** The error with which `request` ends, 0 for none. */
async function outcomeOf(request: Promise<unknown>): Promise<number> {
  try {
    await request;
  } catch (error) {
    if (error instanceof SpiError) return error.error;
    throw error;
  }
  return 0;
}

/** The error with which `request` ends. */
async function errorOf(request: Promise<unknown>): Promise<number> {
  const error = await outcomeOf(request);
  assert.notEqual(error, 0, 'it succeeded');
  return error;
}

const lost: readonly number[] = [WSA.WSAECONNRESET, WSA.WSAECONNABORTED];

const on = (options: ProgramOptions['within'], ...command: readonly string[]): Promise<string> =>
  run(command, options === undefined ? {} : { within: options });

/** Sends `count` messages of `size` bytes to an echo and takes them back. */
async function echoed(connection: Connection, size: number, count: number): Promise<void> {
  const sent = connection.memory(size);
  const received = connection.memory(size);
  for (let turn = 0; turn < count; turn++) {
    for (let index = 0; index < size; index++) sent[index] = (index + turn) & 0xff;
    const arrives = connection.receive(received);
    // When both fail, the send's error is told.
    arrives.catch(() => {});
    await connection.send(sent);
    assert.equal(await arrives, size);
    assert.equal(Buffer.compare(sent, received), 0);
  }
}

const rping = (role: '-s' | '-c', address: string, size: number, count: number): Program =>
  start(['rping', role, '-v', '-V', '-S', `${size}`, '-C', `${count}`, '-a', address], { within: 'h1' });
const RPING_PORT = 7174;

const rpingCases = (network: Network, size: number, count: number): readonly GuestCase[] => [
  {
    name: `${network.device}: rping, ${count} of ${size} bytes to ${network.ours}`,
    // The first start of a program in the guest reads it from the host.
    timeoutMs: 180_000,
    run: leavingNothing(network, async (application) => {
      const listener = application.listen(endpointAt(network.ours, RPING_PORT));
      const client = rping('-c', network.ours, size, count);
      const connection = await application.accept(listener);
      const texts = await serveRping(connection, size, count);
      const output = await client.succeeds();
      assert.equal(texts.length, count);
      for (const text of texts) assert.ok(output.includes(`ping data: ${text.slice(0, 40)}`), text.slice(0, 40));
    }),
  },
  {
    name: `${network.device}: rping, ${count} of ${size} bytes from ${network.ours}`,
    run: leavingNothing(network, async (application) => {
      const server = rping('-s', network.theirs, size, count);
      await deviceListens(server, RPING_PORT);
      const connection = await application.connect(network.ours, endpointAt(network.theirs, RPING_PORT));
      await pingRping(connection, size, count);
      connection.close();
      const output = await server.succeeds();
      assert.equal(output.match(/server ping data: /g)?.length, count);
    }),
  },
];

/** rdma_client and rdma_server of rdma-core exchange one message of 16 bytes in each direction. */
const exampleCases = (network: Network): readonly GuestCase[] => [
  {
    name: `${network.device}: rdma_client`,
    run: leavingNothing(network, async (application) => {
      const port = nextPort++;
      const listener = application.listen(endpointAt(network.ours, port));
      const client = start(['rdma_client', '-s', network.ours, '-p', `${port}`], { within: 'h1' });
      const connection = await application.accept(listener);
      const [sent, received] = [connection.memory(16), connection.memory(16)];
      assert.equal(await connection.receive(received), 16);
      await connection.send(sent);
      assert.match(await client.succeeds(), /rdma_client: end 0/);
    }),
  },
  {
    name: `${network.device}: rdma_server`,
    run: leavingNothing(network, async (application) => {
      const port = nextPort++;
      const server = start(['rdma_server', '-s', network.theirs, '-p', `${port}`], { within: 'h1' });
      await deviceListens(server, port);
      const connection = await application.connect(network.ours, endpointAt(network.theirs, port));
      const [sent, received] = [connection.memory(16), connection.memory(16)];
      const arrives = connection.receive(received);
      await connection.send(sent);
      assert.equal(await arrives, 16);
      connection.close();
      assert.match(await server.succeeds(), /rdma_server: end 0/);
    }),
  },
];

/**
 * A message for which no receive is posted waits over RoCE, and ends the connection over iWARP, at both ends. So senders
 * count what the peer has posted (specification, 7.5; sessions count in credits).
 */
const receiveCases: readonly GuestCase[] = [
  ...[rxe, siw].map((network) => ({
    name: `${network.device}: echoes of few bytes`,
    run: leavingNothing(network, async (application: Application) => {
      const { connection } = await accepted(application, 'echo', network);
      for (const size of [1, 100, 1000]) await echoed(connection, size, 10);
      connection.close();
    }),
  })),
  {
    name: 'siw: a message without a receive ends the connection of two C programs',
    run: async () => {
      const port = nextPort++;
      const listening = await verbsPeer('listen', siw.theirs, port, ['wait']);
      // It has 16 receives, and posts none again.
      const actions = Array.from({ length: 17 }, () => 'send:1');
      const connecting = await verbsPeer('connect', siw.theirs, port, [...actions, 'wait'], { within: 'h2' });
      assert.match(await connecting.succeeds(), /^disconnected$/m);
      assert.match(await listening.succeeds(), /^disconnected$/m);
    },
  },
  {
    name: 'siw: a message without a receive ends the connection of two providers',
    run: leavingNothing(siw, async (application) => {
      const { child, connection } = await accepted(application, 'flood', siw);
      const memory = connection.memory(8);
      assert.match(await child.succeeds(), /WSPRecv: WSAECONN(RESET|ABORTED)/);
      assert.ok(lost.includes(await errorOf(connection.receive(memory))));
      connection.close();
    }),
  },
  {
    name: 'rxe: a message without a receive waits for it',
    run: leavingNothing(rxe, async (application) => {
      const { child, connection } = await accepted(application, 'flood', rxe);
      await child.says(/ready/);
      const memory = connection.memory(8);
      for (let count = 0; count < FLOOD; count++) assert.equal(await connection.receive(memory), 8);
      await connection.send(connection.memory(1));
      assert.match(await child.succeeds(), /all sent/);
      connection.close();
    }),
  },
];

const killedCases = (network: Network): readonly GuestCase[] => [
  {
    name: `${network.device}: a peer that is killed while it sends`,
    run: leavingNothing(network, async (application) => {
      const { child, connection } = await accepted(application, 'send', network);
      const memories = Array.from({ length: 16 }, () => connection.memory(1024));
      const wanted = connection.memory(1).fill(memories.length);
      const asked = async (): Promise<readonly Promise<number>[]> => {
        const pending = memories.map((memory) => connection.receive(memory));
        await connection.send(wanted);
        return pending;
      };
      for (let turn = 0; turn < 3; turn++) await Promise.all(await asked());
      const pending = await asked();
      await pending[0];
      child.kill();
      // What had been sent may still arrive; from the first that hasn't, nothing has.
      const errors = await Promise.all(pending.map(outcomeOf));
      const arrived = errors.findIndex((error) => error !== 0);
      for (const error of arrived < 0 ? [] : errors.slice(arrived)) assert.ok(lost.includes(error), `${errors}`);
      assert.ok(lost.includes(await errorOf(connection.receive(memories[0]!))));
      connection.close();
    }),
  },
  {
    name: `${network.device}: a peer that is killed while it is read from`,
    timeoutMs: 120_000,
    run: leavingNothing(network, async (application) => {
      const { child, connection } = await accepted(application, 'expose', network);
      const message = connection.memory(16);
      const told = connection.receive(message);
      await connection.send(connection.memory(1));
      await told;
      const view = new DataView(message.buffer);
      const source = { address: Number(view.getBigUint64(0)), key: view.getUint32(8), length: view.getUint32(12) };
      const into = connection.memory(source.length);
      await connection.read(into, source);
      setTimeout(() => child.kill(), 20);
      let error = 0;
      while (error === 0) error = await outcomeOf(connection.read(into, source));
      assert.ok([...lost, WSA.WSAEFAULT].includes(error), `${error}`);
      connection.close();
    }),
  },
];

const killedListenerCases = (network: Network): readonly GuestCase[] => [
  {
    name: `${network.device}: a listener that is killed while it is connected to`,
    timeoutMs: 120_000,
    run: leavingNothing(network, async (application) => {
      const port = nextPort++;
      const child = peer('listen', network, port);
      await child.says(/ready/);
      child.kill('SIGSTOP');
      const connecting = errorOf(application.connect(network.ours, endpointAt(network.theirs, port)));
      setTimeout(() => child.kill(), 100);
      const error = await connecting;
      assert.ok([WSA.WSAETIMEDOUT, WSA.WSAECONNREFUSED].includes(error as 10060), `${error}`);
    }),
  },
];

const linkCases = (network: Network): readonly GuestCase[] => [
  {
    // RoCE gives the connection up, since the kernel's neighbour is lost; iWARP's TCP waits. See also managerCases.
    name: `${network.device}: a link that goes down and comes back`,
    timeoutMs: 120_000,
    run: leavingNothing(network, async (application) => {
      const { connection } = await accepted(application, 'echo', network);
      await echoed(connection, 1000, 5);
      await on(undefined, 'ip', 'link', 'set', network.link, 'down');
      const during = outcomeOf(echoed(connection, 1000, 1));
      await new Promise((resolve) => setTimeout(resolve, 300));
      await on(undefined, 'ip', 'link', 'set', network.link, 'up');
      const error = await during;
      assert.ok([0, ...lost].includes(error), `${error}`);
      connection.close();
    }),
  },
];

/** State of the queue pair of our device's connection manager. */
async function managersState(device: string): Promise<string | undefined> {
  const text = await run(['rdma', '-j', 'resource', 'show', 'qp', 'link', `${device}2`]);
  const list = JSON.parse(text) as readonly { readonly type: string; readonly state: string }[];
  return list.find(({ type }) => type === 'GSI')?.state;
}

const managerCases: readonly GuestCase[] = [
  {
    // With rping alone, so that it is seen whose fault it is; an application has to be there to let go of the device.
    name: 'rxe: a message to a link that is down ends all connecting, and a new device helps',
    timeoutMs: 240_000,
    run: leavingNothing(
      rxe,
      async () => {
        const ping = (count: number): Program =>
          start(['rping', '-c', '-v', '-C', `${count}`, '-a', rxe.theirs, '-p', `${RPING_PORT}`]);
        const server = start(['rping', '-s', '-P', '-a', rxe.theirs, '-p', `${RPING_PORT}`], { within: 'h1' });
        await deviceListens(server, RPING_PORT);
        assert.equal(await managersState('rxe'), 'RTS');
        const pinging = ping(1_000_000);
        await pinging.says(/ping data/);
        await on(undefined, 'ip', 'link', 'set', rxe.link, 'down');
        // Its kernel wants to tell the peer.
        pinging.kill();
        while ((await managersState('rxe')) !== 'ERR') await new Promise((resolve) => setTimeout(resolve, 100));
        await on(undefined, 'ip', 'link', 'set', rxe.link, 'up');
        const hanging = ping(3);
        await new Promise((resolve) => setTimeout(resolve, 5000));
        assert.equal(await managersState('rxe'), 'ERR');
        assert.doesNotMatch(hanging.output, /ping data/);
        hanging.kill();
        await hanging.ends();
        await run(['rdma', 'link', 'delete', 'rxe2']);
        await run(['rdma', 'link', 'add', 'rxe2', 'type', 'rxe', 'netdev', rxe.link]);
        assert.equal(await managersState('rxe'), 'RTS');
        // A new device numbers its queue pairs anew. The peer never heard that the first connection is over, so it may reject
        // the next one of that number (stale connection); then it has forgotten it.
        await ping(3)
          .succeeds()
          .catch(() => ping(3).succeeds());
      },
      WSA.WSAENETDOWN,
    ),
  },
];

/** Sends messages to an echo and takes them back, without end. @returns the error that ends it */
async function echoing(connection: Connection): Promise<number> {
  const [sent, received] = [connection.memory(1000), connection.memory(1000)];
  for (;;) {
    const arrives = outcomeOf(connection.receive(received));
    const error = (await outcomeOf(connection.send(sent))) || (await arrives);
    if (error !== 0) return error;
  }
}

/** Deletes our device while one connection over it is busy and another waits. */
async function removed({ device }: Network, busy: Connection, idle: Connection): Promise<void> {
  const memory = idle.memory(1000);
  const ends = [outcomeOf(idle.receive(memory)), echoing(busy)];
  // Drivers of software devices can't take one from its users: the kernel waits until all have let go of it.
  await run(['rdma', 'link', 'delete', `${device}2`]);
  for (const end of ends) assert.equal(await end, WSA.WSAENETDOWN);
  assert.equal(await errorOf(idle.receive(memory)), WSA.WSAENETDOWN);
}

/** What WSPAccept says. */
function acceptError({ host: { provider, errno } }: Application, listener: Socket): number {
  assert.equal(provider.WSPAccept(listener, null, null, null, null, errno), INVALID_SOCKET);
  return errno.value;
}

/** A listener that a peer has asked and that accepts nobody. */
async function askedFor(application: Application, network: Network): Promise<Socket> {
  const port = nextPort++;
  const listener = application.listen(endpointAt(network.ours, port));
  peer('echo', network, port);
  await application.when(() => application.host.provider.inventory().connectionRequests > 0 || null);
  return listener;
}

/** Makes our device again. */
async function restored({ device, link }: Network): Promise<void> {
  // siw opens every process's listeners for it in our namespace, where those of the other host are in the way of ours.
  await endPrograms();
  await run(['rdma', 'link', 'add', `${device}2`, 'type', device, 'netdev', link]);
}

const removedCases = (network: Network, other: Network): readonly GuestCase[] => [
  {
    name: `${network.device}: the only device is removed under load`,
    timeoutMs: 240_000,
    run: leavingNothing(
      network,
      async (application) => {
        const { connection: busy } = await accepted(application, 'echo', network);
        const { connection: idle } = await accepted(application, 'echo', network);
        await removed(network, busy, idle);
        await restored(network);
      },
      WSA.WSAENETDOWN,
    ),
  },
  {
    name: `${network.device}: one of two devices is removed under load, and comes back`,
    timeoutMs: 240_000,
    run: leavingNothing([network, other], async (application) => {
      const { listener, connection: busy } = await accepted(application, 'echo', network);
      const { listener: second, connection: idle } = await accepted(application, 'echo', network);
      const { listener: third, connection: elsewhere } = await accepted(application, 'echo', other);
      const accepting = [listener, second].map((each) => errorOf(application.accept(each)));
      const crowded = await askedFor(application, network);
      await removed(network, busy, idle);
      assert.equal(application.host.provider.inventory().connectionRequests, 0);
      for (const error of await Promise.all(accepting)) assert.equal(error, WSA.WSAENETDOWN);
      assert.equal(await errorOf(application.accept(crowded)), WSA.WSAENETDOWN);
      for (const lost of [listener, second, crowded]) {
        // That was said once, by FD_ACCEPT; WSPAccept says it always.
        assert.equal(application.host.accept(lost), null);
        assert.equal(acceptError(application, lost), WSA.WSAENETDOWN);
        assert.equal(application.host.accept(lost), null);
        application.host.close(lost);
      }
      assert.equal(application.host.accept(third), null);
      assert.equal(acceptError(application, third), WSA.WSAEWOULDBLOCK);
      await echoed(elsewhere, 1000, 5);
      elsewhere.close();
      await restored(network);
      const { connection: again } = await accepted(application, 'echo', network);
      await echoed(again, 1000, 5);
      for (const each of [busy, idle, again]) each.close();
    }),
  },
];

const lossCases = (network: Network): readonly GuestCase[] =>
  [
    ['1 % loss', ['loss', '1%']],
    ['10 % loss and reordering', ['loss', '10%', 'delay', '1ms', 'reorder', '25%', '50%']],
  ].map(
    ([what, netem]): GuestCase => ({
      name: `${network.device}: ${what as string}`,
      timeoutMs: 240_000,
      run: leavingNothing(network, async (application) => {
        const { connection } = await accepted(application, 'echo', network);
        const disturbance = ['dev', network.link, 'root', 'netem', ...netem!];
        await on('h1', 'tc', 'qdisc', 'add', ...disturbance);
        await on(undefined, 'tc', 'qdisc', 'add', ...disturbance);
        try {
          // Each loss costs a RoCE queue pair its timeout, seconds by default.
          await echoed(connection, 4000, 5);
        } finally {
          await on('h1', 'tc', 'qdisc', 'del', 'dev', network.link, 'root');
          await on(undefined, 'tc', 'qdisc', 'del', 'dev', network.link, 'root');
        }
        connection.close();
      }),
    }),
  );

const memoryCases: readonly GuestCase[] = [
  {
    name: 'a process that may lock too little memory gets WSAENOBUFS, and is told why',
    run: leavingNothing(rxe, async (application) => {
      const port = nextPort++;
      const listener = application.listen(endpointAt(rxe.ours, port));
      const unprivileged = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all'];
      const args = ['register', 'verbs', rxe.theirs, String(port), rxe.ours, String(1 << 20)];
      const command = [...unprivileged, 'prlimit', '--memlock=262144', process.execPath, program, ...args];
      const child = start(command, { within: 'h1' });
      const connection = await application.accept(listener);
      const output = await child.succeeds();
      assert.match(output, /WSPRegisterMemory: WSAENOBUFS/);
      assert.match(output, /may lock 262144 bytes.*ulimit -l unlimited/);
      connection.close();
    }),
  },
];

const ownCases: readonly GuestCase[] = [
  {
    name: "wsdirect's own iWARP on the other host connects, sends, reads and writes",
    timeoutMs: 180_000,
    run: leavingNothing(siw, async (application) => {
      const { child, connection } = await accepted(application, 'ask', siw, 'iwarp');
      await answer(new Endpoint(application.host, connection.socket, { role: 'accepting' }));
      await child.succeeds();
      connection.close();
    }),
  },
];

export const cases: readonly GuestCase[] = [
  ...[rxe, siw].flatMap((network) => [...rpingCases(network, 64, 3), ...rpingCases(network, 65_535, 5)]),
  ...ipv6.flatMap((network) => rpingCases(network, 1000, 3)),
  ...[rxe, siw].flatMap(exampleCases),
  ...ownCases,
  ...memoryCases,
  ...receiveCases,
  ...[rxe, siw].flatMap(killedCases),
  ...[rxe, siw].flatMap(killedListenerCases),
  ...[rxe, siw].flatMap(lossCases),
  ...removedCases(siw, rxe),
  ...removedCases(rxe, siw),
  ...managerCases,
  // Last, and RoCE's after iWARP's: new RoCE connections after it time out.
  ...[siw, rxe].flatMap(linkCases),
];
