/** One end of the tests over real connections: a host, its event loop, and an endpoint. Runs as a program as well. */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import type { Socket } from '../../spi.ts';
import { Endpoint } from '../../client/endpoint.ts';
import { Host } from '../../client/host.ts';
import { SystemClock } from '../../clock.ts';
import { EventLoop } from '../../event-loop.ts';
import type { SocketAddress } from '../adapter.ts';
import { IwarpAdapter } from '../iwarp.ts';

export const LARGE_BYTES = 1_000_000;
export const loopback = (port: number): SocketAddress => ({ family: 'IPv4', address: '127.0.0.1', port });
export const pattern = (length: number, step: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * step);

export class Peer {
  readonly adapter = new IwarpAdapter({ addresses: ['127.0.0.1'] });
  readonly host: Host;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor() {
    const clock = new SystemClock();
    this.host = new Host({ adapter: this.adapter, clock, config: { loopback: true, connectMs: 60_000 } });
    this.host.start();
    const { wakeUp } = this.adapter;
    this.#running = new EventLoop({ poll: () => this.host.poll(), provider: this.host.provider, wakeUp, clock }).run(
      this.#stop.signal,
    );
  }

  /** Accepts one connection. */
  async accept(listener: Socket): Promise<Endpoint> {
    const { socket } = await found(() => this.host.accept(listener));
    return new Endpoint(this.host, socket, { role: 'accepting' });
  }

  async connect(port: number, localPort: number): Promise<Endpoint> {
    const socket = this.host.connect(loopback(localPort), loopback(port));
    await until(() => this.host.isConnected(socket));
    return new Endpoint(this.host, socket, { role: 'connecting' });
  }

  async stop(): Promise<void> {
    this.host.stop();
    this.#stop.abort();
    await this.#running;
  }
}

export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 90_000;
  for (let turn = 1; !condition(); turn++) {
    assert.ok(Date.now() < end, 'it takes for ever');
    // Now and then the processor is left to the other end: there may be one for both.
    await new Promise((resolve) => (turn % 16 === 0 ? setTimeout(resolve, 1) : setImmediate(resolve)));
  }
}

/** Turns of Node.js until `look` finds something. */
async function found<T>(look: () => T | null): Promise<T> {
  let what: T | null = null;
  await until(() => {
    what = look();
    return what !== null;
  });
  return what as T;
}

/** Sends a message and large data, and takes both back changed. */
export async function ask(endpoint: Endpoint): Promise<void> {
  await until(() => endpoint.step() >= 0 && endpoint.canSend);
  endpoint.send(Buffer.from('hello'));
  await until(() => endpoint.step() >= 0 && endpoint.canSendLarge);
  const sent = endpoint.sendLarge(pattern(LARGE_BYTES, 3));
  const found = [await take(endpoint), await take(endpoint)];
  assert.equal(Buffer.from(found[0]!).toString(), 'HELLO');
  assert.equal(Buffer.compare(found[1]!, pattern(LARGE_BYTES, 5)), 0);
  assert.ok(sent.done);
}

/** The other part of {@link ask}. */
export async function answer(endpoint: Endpoint): Promise<void> {
  const [text, large] = [await take(endpoint), await take(endpoint)];
  assert.equal(Buffer.compare(large, pattern(LARGE_BYTES, 3)), 0);
  await until(() => endpoint.step() >= 0 && endpoint.canSend);
  endpoint.send(Buffer.from(Buffer.from(text).toString().toUpperCase()));
  await until(() => endpoint.step() >= 0 && endpoint.canSendLarge);
  const sent = endpoint.sendLarge(pattern(LARGE_BYTES, 5));
  await until(() => endpoint.step() >= 0 && sent.done);
}

async function take(endpoint: Endpoint): Promise<Uint8Array> {
  const incoming = await found(() => {
    endpoint.step();
    return endpoint.take();
  });
  if (incoming.type === 'data') return incoming.payload.slice();
  const memory = new Uint8Array(incoming.length);
  const transfer = endpoint.receiveLarge(incoming, memory);
  await until(() => endpoint.step() >= 0 && transfer.done);
  return memory;
}

// As a program: connects to a port and asks.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const peer = new Peer();
  const endpoint = await peer.connect(Number(process.argv[2]), Number(process.argv[3]));
  await ask(endpoint);
  endpoint.close();
  await peer.stop();
}
