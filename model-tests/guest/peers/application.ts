/**
 * An application on the provider interface whose peers are programs of other people: no protocol of its own, one
 * promise for each overlapped request.
 *
 * Theory of operation: the provider runs in an event loop, and what waits is looked at in each turn. Looking is a call,
 * in which the provider may take the completion of another request; so whoever finds something has all look again.
 */

import type { Adapter, SocketAddress } from '../../../driver/adapter/adapter.ts';
import { Host, SpiError } from '../../../driver/client/host.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import { memorySink } from '../../../driver/journal/journal.ts';
import { readJournal } from '../../../driver/journal/reader.ts';
import { decodeDescriptor, encodeDescriptor, REMOTE_DESCRIPTOR_BYTES } from '../../../driver/remote-descriptor.ts';
import { replayJournal, verdictText } from '../../../driver/replay.ts';
import { type Handle, out, type Socket, WsaOverlapped } from '../../../driver/spi.ts';
import { MEM_READ, MEM_READWRITE, MEM_WRITE, WSA } from '../../../machines/index.ts';
import { welcomingForeigners } from './foreign.ts';

/** Low bit set: completions are asked for. */
const POLL_EVENT = 1n;
/** Local ports, so that two connections of one process don't meet. */
let nextPort = 40_000;

/** Memory of the peer. */
export interface RemoteMemory {
  readonly address: number;
  /** 32 bits unsigned. */
  readonly key: number;
  /** In bytes. */
  readonly length: number;
}

export class Application {
  readonly host: Host;
  readonly #loop: EventLoop;
  readonly #journal = memorySink();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #waiting = new Set<() => void>();

  constructor(adapter: Adapter) {
    const clock = new SystemClock();
    const journal = { mode: 'file', sink: this.#journal } as const;
    const config = { loopback: true };
    this.host = new Host({ adapter: welcomingForeigners(adapter), clock, journal, config });
    this.host.start();
    const poll = (): number => {
      const done = this.host.poll();
      for (const look of this.#waiting) look();
      return done;
    };
    this.#loop = new EventLoop({ poll, provider: this.host.provider, wakeUp: adapter.wakeUp, clock });
    this.#running = this.#loop.run(this.#stop.signal);
  }

  /**
   * Ends everything that is still open, and replays the journal.
   *
   * @returns what WSPCleanup answered: WSAENETDOWN when the adapter is gone
   * @throws Error when the replay ends differently
   */
  async stop(): Promise<number> {
    let result = 0;
    try {
      this.host.stop();
    } catch (error) {
      if (!(error instanceof SpiError)) throw error;
      result = error.error;
    }
    this.#stop.abort();
    await this.#running;
    this.host.provider.closeJournal();
    const { verdict } = replayJournal(readJournal(this.#journal.bytes()));
    if (verdict.type !== 'equal') throw new Error(`the journal, replayed: ${verdictText(verdict)}`);
    return result;
  }

  listen(local: SocketAddress): Socket {
    return this.host.listen(local);
  }

  async accept(listener: Socket): Promise<Connection> {
    const { socket } = await this.when(() => this.host.accept(listener));
    return new Connection(this, socket);
  }

  /** @param local - address to connect from */
  async connect(local: string, remote: SocketAddress): Promise<Connection> {
    const socket = this.host.connect({ family: remote.family, address: local, port: nextPort++ }, remote);
    await this.when(() => this.host.isConnected(socket) || null);
    return new Connection(this, socket);
  }

  /** Resolves with the first that `look` finds; rejects with what it throws. */
  when<T>(look: () => T | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const tryOnce = (): void => {
        try {
          const found = look();
          if (found === null) return;
          resolve(found);
          this.#loop.nudge();
        } catch (error) {
          reject(error);
        }
        this.#waiting.delete(tryOnce);
      };
      this.#waiting.add(tryOnce);
      tryOnce();
      this.#loop.nudge();
    });
  }
}

/** A connected socket. */
export class Connection {
  readonly socket: Socket;
  readonly #application: Application;
  readonly #handles = new Map<ArrayBufferLike, Handle>();

  constructor(application: Application, socket: Socket) {
    this.#application = application;
    this.socket = socket;
  }

  /** New memory that requests of this connection can use; all zeros. */
  memory(length: number): Uint8Array {
    const memory = new Uint8Array(length);
    const { provider, errno } = this.#application.host;
    const handle = provider.WSPRegisterMemory(this.socket, memory, length, MEM_READWRITE, errno);
    if (handle === 0n) throw new SpiError('WSPRegisterMemory', errno.value);
    this.#handles.set(memory.buffer, handle);
    return memory;
  }

  /** Lets the peer read or write `memory`. */
  expose(memory: Uint8Array, access: 'read' | 'write'): RemoteMemory {
    const { provider, errno } = this.#application.host;
    const bytes = new Uint8Array(REMOTE_DESCRIPTOR_BYTES);
    const right = access === 'read' ? MEM_READ : MEM_WRITE;
    provider.WSPRegisterRdmaMemory(this.socket, memory, memory.length, right, bytes, out(bytes.length), errno);
    if (errno.value !== 0) throw new SpiError('WSPRegisterRdmaMemory', errno.value);
    const { address, key, length } = decodeDescriptor(bytes, bytes.length)!;
    return { address, key, length };
  }

  /** Posts a receive. @returns bytes of the message, once it is there */
  receive(into: Uint8Array): Promise<number> {
    const buffers = [{ len: into.length, buf: into }];
    return this.#request('WSPRecv', (overlapped) => {
      const { provider, errno } = this.#application.host;
      provider.WSPRecv(this.socket, buffers, 1, null, null, overlapped, null, null, errno);
    });
  }

  send(message: Uint8Array): Promise<number> {
    const buffers = [{ len: message.length, buf: message }];
    return this.#request('WSPSend', (overlapped) => {
      const { provider, errno } = this.#application.host;
      provider.WSPSend(this.socket, buffers, 1, null, 0, overlapped, null, null, errno);
    });
  }

  /** RDMA read of as much as `into` has. */
  read(into: Uint8Array, remote: RemoteMemory): Promise<number> {
    return this.#rdma('WSPRdmaRead', into, remote, MEM_READ);
  }

  /** RDMA write of all of `from`. */
  write(from: Uint8Array, remote: RemoteMemory): Promise<number> {
    return this.#rdma('WSPRdmaWrite', from, remote, MEM_WRITE);
  }

  close(): void {
    this.#application.host.close(this.socket);
  }

  #rdma(call: 'WSPRdmaRead' | 'WSPRdmaWrite', local: Uint8Array, remote: RemoteMemory, access: number) {
    const descriptor = encodeDescriptor({ ...remote, access, id: 0n });
    const buffers = [{ len: local.length, buf: local, handle: this.#handles.get(local.buffer)! }];
    return this.#request(call, (overlapped) => {
      const { provider, errno } = this.#application.host;
      const { length } = descriptor;
      provider[call](this.socket, buffers, 1, descriptor, length, 0, null, 0, overlapped, null, null, errno);
    });
  }

  async #request(call: string, begin: (overlapped: WsaOverlapped) => void): Promise<number> {
    const { provider, errno } = this.#application.host;
    const overlapped = new WsaOverlapped();
    overlapped.hEvent = POLL_EVENT;
    begin(overlapped);
    if (errno.value !== WSA.WSA_IO_PENDING) throw new SpiError(call, errno.value);
    const bytes = out(0);
    return this.#application.when(() => {
      if (provider.WSPGetOverlappedResult(this.socket, overlapped, bytes, false, out(0), errno)) return bytes.value;
      if (errno.value === WSA.WSA_IO_INCOMPLETE) return null;
      throw new SpiError(call, errno.value);
    });
  }
}
