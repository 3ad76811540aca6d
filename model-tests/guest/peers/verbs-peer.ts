/** One end of the tests over RDMA devices: a host over the verbs adapter, and its event loop. Runs as a program as well. */

import { fileURLToPath } from 'node:url';

import type { SocketAddress } from '../../../driver/adapter/adapter.ts';
import { ask, until } from '../../../driver/adapter/iwarp/test-peer.ts';
import { VerbsAdapter } from '../../../driver/adapter/verbs.ts';
import { Endpoint } from '../../../driver/client/endpoint.ts';
import { Host } from '../../../driver/client/host.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import type { ProviderJournal } from '../../../driver/index.ts';
import type { Socket } from '../../../driver/spi.ts';

export const endpointAt = (address: string, port: number): SocketAddress => ({
  family: address.includes(':') ? 'IPv6' : 'IPv4',
  address,
  port,
});

export class VerbsPeer {
  readonly adapter = new VerbsAdapter();
  readonly host: Host;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(journal: ProviderJournal | null = null) {
    const clock = new SystemClock();
    this.host = new Host({
      adapter: this.adapter,
      clock,
      config: { loopback: true, connectMs: 30_000 },
      ...(journal === null ? {} : { journal }),
    });
    this.host.start();
    const { wakeUp } = this.adapter;
    this.#running = new EventLoop({ poll: () => this.host.poll(), provider: this.host.provider, wakeUp, clock }).run(
      this.#stop.signal,
    );
  }

  async accept(listener: Socket): Promise<Endpoint> {
    let socket: Socket | null = null;
    await until(() => {
      socket = this.host.accept(listener)?.socket ?? null;
      return socket !== null;
    });
    return new Endpoint(this.host, socket!, { role: 'accepting' });
  }

  async connect(local: SocketAddress, remote: SocketAddress): Promise<Endpoint> {
    const socket = this.host.connect(local, remote);
    await until(() => this.host.isConnected(socket));
    return new Endpoint(this.host, socket, { role: 'connecting' });
  }

  async stop(): Promise<void> {
    this.host.stop();
    this.#stop.abort();
    await this.#running;
  }
}

// As a program: connects from an address and a port to another, and asks.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from, fromPort, to, toPort] = process.argv.slice(2);
  const peer = new VerbsPeer();
  const endpoint = await peer.connect(endpointAt(from!, Number(fromPort)), endpointAt(to!, Number(toPort)));
  await ask(endpoint);
  endpoint.close();
  await peer.stop();
}
