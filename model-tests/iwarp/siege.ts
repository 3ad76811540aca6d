/**
 * A provider over real TCP with a good connection, and peers that mean no good; time is the caller's.
 *
 * Theory of operation: the provider listens on loopback. A second provider in the same process is the good peer: an echo
 * over its connection shows that the first one still works. Attackers are plain TCP sockets, or a process of many. The
 * adapter's timers run on a clock that only {@link Siege.pass} moves.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import type { SocketAddress } from '../../driver/adapter/adapter.ts';
import { IwarpAdapter, type IwarpOptions, type Timers } from '../../driver/adapter/iwarp.ts';
import { Endpoint } from '../../driver/client/endpoint.ts';
import { Host } from '../../driver/client/host.ts';
import { SystemClock } from '../../driver/clock.ts';
import type { Socket } from '../../driver/spi.ts';

/** Timers on a clock that stands still. */
class StandingTimers implements Timers {
  #nowMs = 0;
  readonly #running = new Map<object, { readonly atMs: number; readonly expired: () => void }>();

  get count(): number {
    return this.#running.size;
  }

  start(afterMs: number, expired: () => void): object {
    const timer = {};
    this.#running.set(timer, { atMs: this.#nowMs + afterMs, expired });
    return timer;
  }

  stop(timer: unknown): void {
    this.#running.delete(timer as object);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const [timer, { atMs, expired }] of [...this.#running]) {
      if (atMs > this.#nowMs || !this.#running.delete(timer)) continue;
      expired();
    }
  }
}

export const loopback = (port: number): SocketAddress => ({ family: 'IPv4', address: '127.0.0.1', port });

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const newHost = (adapter: IwarpAdapter): Host => {
  const host = new Host({ adapter, clock: new SystemClock(), config: { loopback: true, connectMs: 60_000 } });
  host.start();
  return host;
};

export class Siege {
  readonly timers = new StandingTimers();
  readonly adapter: IwarpAdapter;
  readonly host: Host;
  readonly friendAdapter: IwarpAdapter;
  readonly friend: Host;
  port = 0;
  listener: Socket = 0n;
  /** Both ends of the good connection. */
  own!: Endpoint;
  theirs!: Endpoint;
  readonly #received = new Map<net.Socket, Buffer>();
  readonly #stops: (() => void)[] = [];

  private constructor(options: IwarpOptions) {
    this.adapter = new IwarpAdapter({ addresses: ['127.0.0.1'], timers: this.timers, ...options });
    this.host = newHost(this.adapter);
    this.friendAdapter = new IwarpAdapter({ addresses: ['127.0.0.1'] });
    this.friend = newHost(this.friendAdapter);
  }

  /** A provider that listens, with one good connection. */
  static async begin(options: IwarpOptions = {}): Promise<Siege> {
    const siege = new Siege(options);
    siege.port = await freePort();
    siege.listener = siege.host.listen(loopback(siege.port), 200);
    [siege.own, siege.theirs] = await siege.befriend();
    return siege;
  }

  /** One more good connection: this end and the friend's. */
  async befriend(): Promise<[Endpoint, Endpoint]> {
    const calling = this.friend.connect(loopback(await freePort()), loopback(this.port));
    let accepted: ReturnType<Host['accept']> = null;
    await this.until(() => {
      accepted ??= this.host.accept(this.listener);
      return accepted !== null && this.friend.isConnected(calling);
    }, 'a good connection');
    return [
      new Endpoint(this.host, accepted!.socket, { role: 'accepting' }),
      new Endpoint(this.friend, calling, { role: 'connecting' }),
    ];
  }

  /** A message there and back over the good connection: the provider works. */
  async echo(own = this.own, theirs = this.theirs): Promise<void> {
    const step = (): void => {
      own.step();
      theirs.step();
    };
    const take = async (endpoint: Endpoint): Promise<string> => {
      let text = '';
      await this.until(() => {
        step();
        const incoming = endpoint.take();
        if (incoming?.type === 'data') text = Buffer.from(incoming.payload).toString();
        return text !== '';
      }, 'an echo');
      return text;
    };
    for (const [from, to, text] of [
      [theirs, own, 'ping'],
      [own, theirs, 'pong'],
    ] as const) {
      await this.until(() => {
        step();
        return from.canSend;
      }, 'credit');
      from.send(Buffer.from(text));
      assert.equal(await take(to), text);
    }
  }

  /** Turns of the event loop until `condition`, while both providers are polled. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const end = Date.now() + 100_000;
    for (;;) {
      this.host.poll();
      this.friend.poll();
      if (condition()) return;
      assert.ok(Date.now() < end, `${what} takes for ever`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The adapter's time goes on. */
  pass(ms: number): void {
    this.timers.pass(ms);
  }

  /** An attacker's connection that has come about. `closed` once the provider has ended it, or it is reset. */
  async attack(): Promise<net.Socket> {
    const socket = net.connect({ port: this.port, host: '127.0.0.1' });
    socket
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        this.#received.set(socket, Buffer.concat([this.received(socket), chunk]));
      });
    this.#stops.push(() => socket.destroy());
    let isOpen = false;
    socket.on('connect', () => {
      isOpen = true;
    });
    await this.until(() => isOpen, "an attacker's connection");
    return socket;
  }

  /** All that an attacker's connection has got. */
  received(socket: net.Socket): Buffer {
    return this.#received.get(socket) ?? Buffer.alloc(0);
  }

  /** Attackers in a process of their own. @returns how many connections came about, how many failed, and how to end them */
  async attackByMany(count: number): Promise<{ opened: number; failed: number; end: () => Promise<void> }> {
    const program = fileURLToPath(new URL('./attackers.ts', import.meta.url));
    const child = spawn(process.execPath, [program, String(this.port), String(count)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env['PATH'] },
    });
    this.#stops.push(() => child.kill());
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    await this.until(() => output.endsWith('\n'), `${count} connections`);
    const [opened, failed] = output.split(' ').map(Number) as [number, number];
    const end = async (): Promise<void> => {
      const ended = once(child, 'close');
      child.stdin.end();
      await ended;
    };
    return { opened, failed, end };
  }

  /** Ends all; what remains is {@link Siege.adapter}'s inventory. */
  async end(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    this.host.stop();
    this.friend.stop();
    await this.until(() => {
      this.pass(60_000);
      return this.adapter.inventory().sockets === 0;
    }, 'the end');
  }
}
