/**
 * Large transfers through a provider over the verbs adapter, between two processes that sleep when there is nothing to do.
 *
 * `transfer.ts server|client ADDRESS PORT SIZE COUNT write|read|messages`: COUNT transfers of SIZE bytes. Messages go one
 * way and then as many the other way, as rstream's do; each fourth is acknowledged, and no more are under way than there
 * are receives. The client prints microseconds a transfer, of the second half: for messages, of the way back.
 */

import { VerbsAdapter } from '../../../driver/adapter/verbs.ts';
import { Host } from '../../../driver/client/host.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import { REMOTE_DESCRIPTOR_BYTES } from '../../../driver/remote-descriptor.ts';
import { out, type Socket } from '../../../driver/spi.ts';
import { MEM_READWRITE, WSA } from '../../../machines/index.ts';
import { Requests } from './requests.ts';

/** Transfers under way. */
const WINDOW = 16;
const ACKNOWLEDGED = 4;

const [mode, address, port, sizeText, countText, kind] = process.argv.slice(2) as [string, ...string[]];
const at = { family: 'IPv4', address: address!, port: Number(port) } as const;
const [size, count] = [Number(sizeText), Number(countText)];

const adapter = new VerbsAdapter({ addresses: [at.address] });
const clock = new SystemClock();
const host = new Host({ adapter, clock, config: { loopback: true } });
const { provider, errno } = host;
host.start();

/** Turns until `isDone`, which is asked after each and may start what comes next. */
async function loop(isDone: () => boolean): Promise<void> {
  if (isDone()) return;
  const stop = new AbortController();
  const poll = (): number => {
    const done = host.poll();
    if (isDone()) stop.abort();
    return done;
  };
  await new EventLoop({ poll, provider, wakeUp: adapter.wakeUp, clock }).run(stop.signal);
}

async function connection(): Promise<Socket> {
  let socket: Socket | null = null;
  if (mode === 'server') {
    const listener = host.listen(at);
    console.log('ready');
    await loop(() => {
      socket ??= host.accept(listener)?.socket ?? null;
      return socket !== null;
    });
  } else {
    const connecting = host.connect({ ...at, port: at.port + 1 }, at);
    await loop(() => host.isConnected(connecting));
    socket = connecting;
  }
  return socket!;
}

const socket = await connection();
/** Where all comes from and goes to. */
const memory = new Uint8Array(size);
const handle = provider.WSPRegisterMemory(socket, memory, size, MEM_READWRITE, errno);
if (handle === 0n) throw new Error(`WSPRegisterMemory: ${errno.value}`);
const expectPending = (call: string): void => {
  if (errno.value !== WSA.WSA_IO_PENDING) throw new Error(`${call}: ${errno.value}`);
};
const first = (bytes: number) => [{ len: bytes, buf: memory.subarray(0, bytes), handle }];
const [all, small] = [first(size), first(REMOTE_DESCRIPTOR_BYTES)];
const sending = (buffers: typeof all): Requests =>
  new Requests(WINDOW, (overlapped) => {
    provider.WSPSend(socket, buffers, 1, null, 0, overlapped, null, null, errno);
    expectPending('WSPSend');
  });
const messages = sending(all);
const notes = sending(small);
/** Messages and notes come in the order in which they were sent. */
const receives = new Requests(WINDOW + 1, (overlapped) => {
  provider.WSPRecv(socket, all, 1, null, null, overlapped, null, null, errno);
  expectPending('WSPRecv');
});

/** Sends all, of which the peer has received as many as it has acknowledged. */
function sendMessages(): Promise<void> {
  let [toSend, credits, notAcknowledged] = [count, WINDOW, count];
  return loop(() => {
    // What comes after the last of them is the peer's messages.
    for (; notAcknowledged > 0 && receives.take(); notAcknowledged -= ACKNOWLEDGED, credits += ACKNOWLEDGED) {
      receives.start();
    }
    while (messages.take());
    for (; toSend > 0 && credits > 0 && !messages.isFull; toSend--, credits--) messages.start();
    return notAcknowledged === 0 && messages.pending === 0;
  });
}

function receiveMessages(): Promise<void> {
  let received = 0;
  return loop(() => {
    while (notes.take());
    while (received < count && receives.take()) {
      receives.start();
      if (++received % ACKNOWLEDGED === 0) notes.start();
    }
    return received === count && notes.pending === 0;
  });
}

function transfer(descriptor: Uint8Array, howMany: number): Promise<void> {
  const call = (kind === 'write' ? provider.WSPRdmaWrite : provider.WSPRdmaRead).bind(provider);
  const transfers = new Requests(WINDOW, (overlapped) => {
    call(socket, all, 1, descriptor, descriptor.length, 0, null, 0, overlapped, null, null, errno);
    expectPending('an RDMA transfer');
  });
  let toStart = howMany;
  return loop(() => {
    while (transfers.take());
    for (; toStart > 0 && !transfers.isFull; toStart--) transfers.start();
    return toStart === 0 && transfers.pending === 0;
  });
}

/** The first message of a connection may be no longer than 256 bytes, so a note comes first. */
async function hear(): Promise<void> {
  await loop(() => receives.take());
  receives.start();
}
async function say(): Promise<void> {
  notes.start();
  await loop(() => notes.take());
}

while (!receives.isFull) receives.start();
if (mode === 'server') {
  await hear();
  if (kind === 'messages') {
    await say();
    await receiveMessages();
    await sendMessages();
  } else {
    const length = out(REMOTE_DESCRIPTOR_BYTES);
    if (provider.WSPRegisterRdmaMemory(socket, memory, size, MEM_READWRITE, memory, length, errno) !== 0) {
      throw new Error(`WSPRegisterRdmaMemory: ${errno.value}`);
    }
    await say();
  }
  await loop(() => provider.socketState(socket) !== 'connected.active');
} else {
  await say();
  await hear();
  const descriptor = memory.slice(0, REMOTE_DESCRIPTOR_BYTES);
  const half = Math.floor(count / 2);
  if (kind === 'messages') await sendMessages();
  else await transfer(descriptor, half);
  const began = performance.now();
  if (kind === 'messages') await receiveMessages();
  else await transfer(descriptor, half);
  console.log((((performance.now() - began) * 1000) / (kind === 'messages' ? count : half)).toFixed(2));
}
host.stop();
