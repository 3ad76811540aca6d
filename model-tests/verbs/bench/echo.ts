/**
 * What native/bench/echo.c does, through a provider over the verbs adapter; and over TCP by `node:net`.
 *
 * `echo.ts server|client|self|idle|idle-wakes|net-server|net-client ADDRESS PORT SIZE COUNT WINDOW [LOOKS]`: messages of SIZE bytes go
 * to the other end and back, WINDOW at once, COUNT in all. Server and client sleep when there is nothing to do, after at
 * most LOOKS looks, the event loop's own number unless given; self is both ends in one process, polling. The client prints
 * microseconds a round trip, of the second half: the first warms up. Idle prints the milliseconds of processor time that
 * two ends of a connection take in a second in which nothing is sent, and idle-wakes how often a thread of theirs wakes in it.
 */

import net from 'node:net';

import { VerbsAdapter } from '../../../driver/adapter/verbs.ts';
import { Host } from '../../../driver/client/host.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import { type Handle, type Socket, WsaOverlapped } from '../../../driver/spi.ts';
import { MEM_READWRITE, WSA, WSS_OPERATION_IN_PROGRESS } from '../../../machines/index.ts';

/** Receives that are posted. */
const PLACES = 24;
/** A send can complete after its echo has come. */
const SENDS = 256;

/** One end of a connection: receives that are always posted, and what follows from each. */
class End {
  readonly host: Host;
  readonly adapter: VerbsAdapter;
  toSend: number;
  toReceive: number;
  #socket: Socket = 0n;
  readonly #size: number;
  readonly #receives: { readonly overlapped: WsaOverlapped; readonly buffers: { len: number; buf: Uint8Array }[] }[] =
    [];
  readonly #sends: { readonly overlapped: WsaOverlapped; readonly buffers: { len: number; buf: Uint8Array }[] }[] = [];
  #oldest = 0;
  #nextSend = 0;
  readonly #half: number;
  /** When half of the messages had come. */
  halfMs = 0;

  constructor(address: string, size: number, count: number, clock: SystemClock) {
    this.adapter = new VerbsAdapter({ addresses: [address] });
    this.host = new Host({ adapter: this.adapter, clock, config: { loopback: true } });
    this.host.start();
    this.#size = size;
    this.toSend = count;
    this.toReceive = count;
    this.#half = Math.floor(count / 2);
  }

  begin(socket: Socket): void {
    this.#socket = socket;
    const memory = new Uint8Array((PLACES + SENDS) * this.#size);
    const { provider, errno } = this.host;
    const handle: Handle = provider.WSPRegisterMemory(socket, memory, memory.length, MEM_READWRITE, errno);
    if (handle === 0n) throw new Error(`WSPRegisterMemory: ${errno.value}`);
    const piece = (index: number) => {
      const overlapped = new WsaOverlapped();
      overlapped.hEvent = 1n;
      const buf = memory.subarray(index * this.#size, (index + 1) * this.#size);
      return { overlapped, buffers: [{ len: this.#size, buf, handle }] };
    };
    for (let index = 0; index < PLACES; index++) {
      this.#receives.push(piece(index));
      this.#receive(index);
    }
    for (let index = 0; index < SENDS; index++) this.#sends.push(piece(PLACES + index));
  }

  /** Does what has completed calls for. @returns how much the provider did */
  turn(): number {
    const done = this.host.poll();
    for (;;) {
      const { words } = this.#receives[this.#oldest]!.overlapped;
      if (words[0] === WSS_OPERATION_IN_PROGRESS) return done;
      if (words[5] !== 0) throw new Error(`WSPRecv: ${words[5]}`);
      if (--this.toReceive === this.#half) this.halfMs = performance.now();
      this.#receive(this.#oldest);
      this.#oldest = (this.#oldest + 1) % PLACES;
      if (this.toSend > 0) this.send();
    }
  }

  send(): void {
    this.toSend--;
    const { overlapped, buffers } = this.#sends[this.#nextSend]!;
    this.#nextSend = (this.#nextSend + 1) % SENDS;
    const { provider, errno } = this.host;
    provider.WSPSend(this.#socket, buffers, 1, null, 0, overlapped, null, null, errno);
    if (errno.value !== WSA.WSA_IO_PENDING) throw new Error(`WSPSend: ${errno.value}`);
  }

  #receive(index: number): void {
    const { overlapped, buffers } = this.#receives[index]!;
    const { provider, errno } = this.host;
    provider.WSPRecv(this.#socket, buffers, 1, null, null, overlapped, null, null, errno);
    if (errno.value !== WSA.WSA_IO_PENDING) throw new Error(`WSPRecv: ${errno.value}`);
  }
}

const [mode, address, port, size, count, window, looks] = process.argv.slice(2) as [string, ...string[]];
const at = { family: 'IPv4', address: address!, port: Number(port) } as const;
const from = { ...at, port: at.port + 1 };
const messages = Number(count);
const clock = new SystemClock();
const make = (): End => new End(at.address, Number(size), messages, clock);

const sendWindow = (end: End): void => {
  for (let index = 0; index < Math.min(Number(window), messages); index++) end.send();
};
const report = (began: number): void => {
  console.log((((performance.now() - began) * 1000) / Math.floor(messages / 2)).toFixed(2));
};

/** Turns in an event loop that goes to sleep at once, until `isDone`, which what a turn has done decides, or `stop`. */
async function loop(
  end: End,
  isDone: () => boolean,
  turn = (): number => end.host.poll(),
  stop = new AbortController(),
): Promise<void> {
  const poll = (): number => {
    const done = turn();
    if (isDone()) stop.abort();
    return done;
  };
  const bound = looks === undefined ? {} : { looksMax: Number(looks) };
  await new EventLoop({ poll, provider: end.host.provider, wakeUp: end.adapter.wakeUp, clock, ...bound }).run(
    stop.signal,
  );
}

switch (mode) {
  case 'server': {
    const end = make();
    const listener = end.host.listen(at);
    console.log('ready');
    let socket: Socket | null = null;
    await loop(end, () => {
      socket ??= end.host.accept(listener)?.socket ?? null;
      return socket !== null;
    });
    end.begin(socket!);
    await loop(
      end,
      () => end.toReceive === 0,
      () => end.turn(),
    );
    // Its last echo is on its way: the client parts.
    await loop(end, () => end.host.provider.socketState(socket!) !== 'connected.active');
    end.host.stop();
    break;
  }
  case 'client': {
    const end = make();
    const socket = end.host.connect(from, at);
    await loop(end, () => end.host.isConnected(socket));
    end.begin(socket);
    sendWindow(end);
    await loop(
      end,
      () => end.toReceive === 0,
      () => end.turn(),
    );
    report(end.halfMs);
    end.host.stop();
    break;
  }
  case 'self': {
    const [near, far] = [make(), make()];
    const listener = far.host.listen(at);
    const socket = near.host.connect(from, at);
    let accepted: Socket | null = null;
    while (accepted === null || !near.host.isConnected(socket)) {
      near.host.poll();
      far.host.poll();
      accepted ??= far.host.accept(listener)?.socket ?? null;
      await new Promise((resolve) => setImmediate(resolve));
    }
    near.begin(socket);
    far.begin(accepted);
    sendWindow(near);
    while (near.toReceive > 0) {
      near.turn();
      far.turn();
    }
    report(near.halfMs);
    near.host.stop();
    far.host.stop();
    break;
  }
  case 'idle':
  case 'idle-wakes': {
    const [near, far] = [make(), make()];
    const listener = far.host.listen(at);
    const socket = near.host.connect(from, at);
    let accepted: Socket | null = null;
    const accepting = loop(far, () => {
      accepted ??= far.host.accept(listener)?.socket ?? null;
      return accepted !== null;
    });
    await loop(near, () => near.host.isConnected(socket));
    await accepting;
    const stop = new AbortController();
    const running = [near, far].map((end) => loop(end, () => false, undefined, stop));
    // What connecting has left to do.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const [before, began] = [process.resourceUsage(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const [after, ms] = [process.resourceUsage(), performance.now() - began];
    const cpuUs = after.userCPUTime - before.userCPUTime + after.systemCPUTime - before.systemCPUTime;
    // One wake-up is that of the timer that ends the measurement.
    const wakes = after.voluntaryContextSwitches - before.voluntaryContextSwitches - 1;
    console.log((mode === 'idle' ? cpuUs / ms : (wakes * 1000) / ms).toFixed(2));
    stop.abort();
    await Promise.all(running);
    near.host.stop();
    far.host.stop();
    break;
  }
  case 'net-server': {
    const server = net.createServer((socket) => {
      socket.setNoDelay(true);
      socket.on('data', (data) => socket.write(data));
      socket.on('end', () => server.close());
    });
    server.listen(at.port, at.address, () => console.log('ready'));
    break;
  }
  case 'net-client': {
    const socket = net.connect(at.port, at.address);
    socket.setNoDelay(true);
    const message = Buffer.alloc(Number(size));
    let [received, began] = [0, 0];
    socket.on('connect', () => {
      socket.write(message);
    });
    socket.on('data', (data) => {
      const before = Math.floor(received / message.length);
      received += data.length;
      const after = Math.floor(received / message.length);
      if (before < messages >> 1 && after >= messages >> 1) began = performance.now();
      if (after >= messages) {
        report(began);
        socket.end();
      } else if (after > before) socket.write(message);
    });
    break;
  }
  default:
    throw new Error(`no mode '${mode}'`);
}
process.exitCode = 0;
