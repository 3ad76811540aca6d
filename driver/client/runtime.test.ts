import assert from 'node:assert/strict';
import net from 'node:net';

import { describe, test, vi } from 'vitest';

import { IwarpAdapter } from '../adapter/iwarp.ts';
import type { Socket } from '../spi.ts';
import { IdleError, Runtime } from './runtime.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const freePort = (): number => {
  using bound = new net.BoundSocket({ host: '127.0.0.1', port: 0 });
  return bound.address().port;
};
const at = (port: number) => ({ family: 'IPv4', address: '127.0.0.1', port }) as const;

/** A runtime with both ends of a connection, and the turns that it has taken so far. */
async function connected(): Promise<{
  readonly runtime: Runtime;
  readonly sockets: readonly Socket[];
  readonly turns: () => number;
}> {
  const runtime = new Runtime({ adapter: new IwarpAdapter({ loopback: true }), config: { loopback: true } });
  const { host } = runtime;
  const { poll } = host;
  let turns = 0;
  host.poll = () => {
    turns++;
    return poll.call(host);
  };
  const server = at(freePort());
  const listener = host.listen(server);
  const connecting = host.connect(at(freePort()), server);
  const { socket } = await runtime.until(() => host.accept(listener));
  await runtime.until(() => host.isConnected(connecting) || null);
  host.close(listener);
  return { runtime, sockets: [connecting, socket], turns: () => turns };
}

/** Waits until nothing happens any more. */
async function asleep(turns: () => number): Promise<void> {
  for (let before = -1; before !== turns(); ) {
    before = turns();
    await sleep(100);
  }
}

describe('a runtime', () => {
  test('takes no turn over a connection on which nothing happens, though somebody waits', async () => {
    const { runtime, turns } = await connected();
    const stop = new AbortController();
    const waiting = runtime.until(() => null, { signal: stop.signal, idleMs: 600_000 });
    await asleep(turns);
    const before = turns();
    await sleep(500);
    assert.equal(turns(), before);
    stop.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    await runtime.stop();
  });

  test('carries out what calls from outside of waits have begun, without being told', async () => {
    const { runtime, sockets, turns } = await connected();
    const { host } = runtime;
    for (const socket of sockets) {
      await asleep(turns);
      host.close(socket);
    }
    // Looking is no call that does anything.
    while (host.provider.inventory().sockets > 0) await sleep(1);
    await runtime.stop();
  });

  test('ends waits in its sleep: by a signal, however many have it, and when nothing was done for too long', async () => {
    const { runtime, turns } = await connected();
    const stop = new AbortController();
    const { signal } = stop;
    const waits = Array.from({ length: 20 }, () => runtime.until(() => null, { signal }));
    const idle = runtime.until(() => null, { signal, idleMs: 1 });
    await assert.rejects(idle, IdleError);
    await asleep(turns);
    stop.abort(new Error('enough'));
    for (const { status } of await Promise.allSettled(waits)) assert.equal(status, 'rejected');
    await assert.rejects(
      runtime.until(() => null, { signal }),
      /enough/,
    );
    await runtime.stop();
  });

  test('has everybody look again who waits for something of his own', async () => {
    const { runtime, turns } = await connected();
    let isThere = false;
    const waiting = runtime.until(() => isThere || null);
    await asleep(turns);
    isThere = true;
    runtime.nudge();
    await waiting;
    await runtime.stop();
  });

  test('is not idle while something is done now and then', async () => {
    const { runtime, turns } = await connected();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      let todo = 1;
      const work = (): number => {
        const done = todo;
        todo = 0;
        return done;
      };
      const waiting = runtime.until(() => null, { work, idleMs: 1000 });
      for (let second = 0; second < 5; second++) {
        vi.advanceTimersByTime(900);
        const before = turns();
        todo = 1;
        runtime.nudge();
        while (turns() === before || todo > 0) await new Promise((resolve) => setImmediate(resolve));
      }
      vi.advanceTimersByTime(1000);
      await assert.rejects(waiting, IdleError);
    } finally {
      vi.useRealTimers();
    }
    await runtime.stop();
  });
});
