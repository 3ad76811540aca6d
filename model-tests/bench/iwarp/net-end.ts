/** The peer of every ratio: the same exchange on `node:net` as it is. */

import { once } from 'node:events';
import net from 'node:net';

import {
  Echoes,
  type End,
  type Exchange,
  type Measured,
  messageBytes,
  RoundTrips,
  type Scenario,
  WINDOW,
} from './exchange.ts';

export class InternetEnd implements End {
  #server: net.Server | null = null;
  readonly #sockets = new Set<net.Socket>();
  #exchange: Exchange | null = null;

  async serve(scenario: Scenario): Promise<number> {
    const bytes = messageBytes[scenario];
    const isEcho = scenario === 'roundTrip' || scenario === 'echoes';
    const server = net.createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      let count = 0;
      if (isEcho) {
        const reply = Buffer.alloc(bytes);
        socket.on('data', (chunk) => {
          for (count += chunk.length; count >= bytes; count -= bytes) socket.write(reply);
        });
        return;
      }
      // What was sent is acknowledged in one byte when it is all there.
      const acknowledgement = Buffer.alloc(1);
      socket.on('data', (chunk) => {
        for (count += chunk.length; count >= bytes; count -= bytes) socket.write(acknowledgement);
      });
    });
    this.#server = server;
    server.listen(0, '127.0.0.1', 2048);
    await once(server, 'listening');
    return (server.address() as net.AddressInfo).port;
  }

  async connect(scenario: Scenario, port: number, connections: number): Promise<void> {
    const sockets = await Promise.all(
      Array.from({ length: connections }, async () => {
        const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
        socket.on('error', () => {});
        this.#sockets.add(socket);
        await once(socket, 'connect');
        return socket;
      }),
    );
    switch (scenario) {
      case 'roundTrip':
        this.#exchange = this.#roundTrip(sockets[0]!);
        return;
      case 'echoes':
        this.#exchange = this.#echoes(sockets);
        return;
      default:
        this.#exchange = this.#stream(sockets[0]!, messageBytes[scenario]);
    }
  }

  run(ms: number): Promise<Measured> {
    return this.#exchange!(ms);
  }

  #roundTrip(socket: net.Socket): Exchange {
    const bytes = messageBytes.roundTrip;
    const message = Buffer.alloc(bytes);
    let rounds: RoundTrips;
    let over: (measured: Measured) => void;
    let count = 0;
    socket.on('data', (chunk) => {
      count += chunk.length;
      if (count < bytes) return;
      count = 0;
      if (rounds.next()) socket.write(message);
      else over(rounds.measured());
    });
    return (ms) =>
      new Promise((resolve) => {
        over = resolve;
        rounds = new RoundTrips(ms);
        socket.write(message);
      });
  }

  #echoes(sockets: readonly net.Socket[]): Exchange {
    const bytes = messageBytes.echoes;
    const message = Buffer.alloc(bytes);
    let echoes: Echoes;
    for (const socket of sockets) {
      let count = 0;
      socket.on('data', (chunk) => {
        count += chunk.length;
        if (count < bytes) return;
        count = 0;
        if (echoes.next()) socket.write(message);
      });
    }
    return (ms) =>
      new Promise((resolve) => {
        echoes = new Echoes(ms, sockets.length, resolve);
        for (const socket of sockets) socket.write(message);
      });
  }

  /** Keeps {@link WINDOW} messages on their way. */
  #stream(socket: net.Socket, bytes: number): Exchange {
    const messages = Array.from({ length: WINDOW }, () => Buffer.alloc(bytes, 1));
    let acknowledge: (count: number) => void;
    socket.on('data', (chunk) => acknowledge(chunk.length));
    return (ms) =>
      new Promise((resolve) => {
        const startMs = performance.now();
        let [sent, acknowledged] = [0, 0];
        acknowledge = (count) => {
          acknowledged += count;
          while (sent - acknowledged < WINDOW && performance.now() - startMs < ms)
            socket.write(messages[sent++ % WINDOW]!);
          if (acknowledged === sent) {
            resolve({ count: sent, seconds: (performance.now() - startMs) / 1e3, p50Us: 0 });
          }
        };
        acknowledge(0);
      });
  }

  async close(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => (socket.destroyed ? null : once(socket, 'close')));
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#server?.close();
    this.#server = null;
    await Promise.all(closed);
  }
}
