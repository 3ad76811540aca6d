/** The peer of every ratio: the same exchange on `node:net` as it is. */

import { once } from 'node:events';
import net from 'node:net';

import { type End, type Measured, messageBytes, RoundTrips, type Scenario, WINDOW } from './exchange.ts';

export class InternetEnd implements End {
  #server: net.Server | null = null;
  readonly #sockets = new Set<net.Socket>();

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

  async run(scenario: Scenario, port: number, connections: number, ms: number): Promise<Measured> {
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
        return this.#roundTrip(sockets[0]!, ms);
      case 'echoes':
        return this.#echoes(sockets, ms);
      default:
        return this.#stream(sockets[0]!, messageBytes[scenario], ms);
    }
  }

  #roundTrip(socket: net.Socket, ms: number): Promise<Measured> {
    const bytes = messageBytes.roundTrip;
    const message = Buffer.alloc(bytes);
    return new Promise((resolve) => {
      const rounds = new RoundTrips(ms);
      let count = 0;
      socket.on('data', (chunk) => {
        count += chunk.length;
        if (count < bytes) return;
        count = 0;
        if (rounds.next()) socket.write(message);
        else resolve(rounds.measured());
      });
      socket.write(message);
    });
  }

  #echoes(sockets: readonly net.Socket[], ms: number): Promise<Measured> {
    const bytes = messageBytes.echoes;
    const message = Buffer.alloc(bytes);
    return new Promise((resolve) => {
      const startMs = performance.now();
      let done = 0;
      let isOver = false;
      for (const socket of sockets) {
        let count = 0;
        socket.on('data', (chunk) => {
          count += chunk.length;
          if (count < bytes || isOver) return;
          count = 0;
          done++;
          const nowMs = performance.now();
          if (nowMs - startMs < ms) {
            socket.write(message);
            return;
          }
          isOver = true;
          resolve({ count: done, seconds: (nowMs - startMs) / 1e3, p50Us: 0 });
        });
        socket.write(message);
      }
    });
  }

  /** Keeps {@link WINDOW} messages on their way. */
  #stream(socket: net.Socket, bytes: number, ms: number): Promise<Measured> {
    const messages = Array.from({ length: WINDOW }, () => Buffer.alloc(bytes, 1));
    return new Promise((resolve) => {
      const startMs = performance.now();
      let [sent, acknowledged] = [0, 0];
      const fill = (): void => {
        while (sent - acknowledged < WINDOW && performance.now() - startMs < ms)
          socket.write(messages[sent++ % WINDOW]!);
      };
      socket.on('data', (chunk) => {
        acknowledged += chunk.length;
        fill();
        if (acknowledged === sent) {
          resolve({ count: sent, seconds: (performance.now() - startMs) / 1e3, p50Us: 0 });
        }
      });
      fill();
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
