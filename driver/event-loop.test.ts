import assert from 'node:assert/strict';

import { describe, test, vi } from 'vitest';

import { EventLoop, type EventLoopOptions } from './event-loop.ts';

/** An adapter and a provider in one: things to do come in, and a poll does them all. */
class Work {
  todo = 0;
  lingers = 0;
  polls = 0;
  arms = 0;
  waits = 0;
  /** Runs inside the next poll, arming or wait. */
  during: { poll?: () => void; linger?: () => void; arm?: () => void; wait?: () => void } = {};
  expiryMs: number | null = null;
  isExact = false;
  isNewTurn = false;
  pauses = 0;
  /** Who is told when much has gathered, when an up-call falls due, and of an earlier expiry. */
  gathered: (() => void) | null = null;
  due: (() => void) | null = null;
  earlier: (() => void) | null = null;
  #woken: (() => void) | null = null;
  readonly stop = new AbortController();

  loop(options: Partial<EventLoopOptions> = {}): EventLoop {
    return new EventLoop({
      poll: () => {
        this.polls++;
        const done = this.todo;
        this.todo = 0;
        this.during.poll?.();
        return done;
      },
      wakeUp: {
        isExact: this.isExact,
        isNewTurn: this.isNewTurn,
        ...(this.during.linger === undefined
          ? {}
          : {
              linger: () => {
                this.lingers++;
                this.during.linger?.();
                return this.todo > 0;
              },
            }),
        arm: () => {
          this.arms++;
          const ready = this.todo > 0;
          this.during.arm?.();
          return ready;
        },
        wait: (woken) => {
          this.waits++;
          this.during.wait?.();
          if (this.todo > 0) queueMicrotask(woken);
          else this.#woken = woken;
        },
        whenGathered: (gathered) => {
          this.gathered = gathered;
        },
      },
      clock: {
        nowMs: () => performance.now(),
        nextExpiryMs: () => this.expiryMs,
        whenEarlier: (told) => {
          this.earlier = told;
        },
      },
      provider: {
        whenDue: (told) => {
          this.due = told;
        },
        pause: () => this.pauses++,
      },
      ...options,
    });
  }

  /** Something comes from outside. */
  come(): void {
    this.todo++;
    this.#woken?.();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Longer than one turn of Node.js can seem to be. */
const sleepLong = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

describe('the event loop', () => {
  test('sleeps after a bounded number of empty turns, and is woken by the adapter, time and again', async () => {
    const work = new Work();
    const running = work.loop({ emptyTurnsMax: 3 }).run(work.stop.signal);
    for (let round = 1; round < 20; round++) {
      await until(() => work.waits === round);
      const { polls } = work;
      // Asleep: nothing is polled however long it takes.
      for (let turns = 0; turns < 20; turns++) await turn();
      assert.equal(work.polls, polls);
      work.come();
      await until(() => work.todo === 0);
    }
    work.stop.abort();
    await running;
  });

  for (const moment of ['poll', 'arm', 'wait'] as const) {
    test(`loses nothing that comes during the ${moment}`, async () => {
      const work = new Work();
      let came = 0;
      work.during[moment] = () => {
        if (came++ < 100) work.todo++;
      };
      const running = work.loop({ emptyTurnsMax: 0 }).run(work.stop.signal);
      await until(() => came > 100 && work.todo === 0);
      work.stop.abort();
      await running;
    });
  }

  test('finds by lingering what comes at once, without arming, and leaves Node.js and the application their turns', async () => {
    const work = new Work();
    const ran = { tick: 0, promise: 0, immediate: 0 };
    const again = (kind: keyof typeof ran, next: (run: () => void) => void): void => {
      ran[kind]++;
      if (!work.stop.signal.aborted) next(() => again(kind, next));
    };
    work.during.linger = () => {
      // What the turn before left to do has been done.
      assert.deepEqual([ran.tick, ran.promise], [work.lingers - 1, work.lingers - 1]);
      work.todo++;
      if (work.lingers === 1000) work.stop.abort();
      // What an up-call can do.
      process.nextTick(() => ran.tick++);
      queueMicrotask(() => ran.promise++);
    };
    const running = work.loop().run(work.stop.signal);
    again('immediate', setImmediate);
    await running;
    assert.equal(work.arms, 0);
    assert.equal(work.lingers, 1000);
    assert.ok(ran.immediate >= 1000 / 32, `${ran.immediate} turns of Node.js`);
  });

  test('seldom lingers where that has not helped, and does again where it has', async () => {
    const work = new Work();
    work.during.linger = () => {};
    const running = work.loop().run(work.stop.signal);
    const rounds = async (count: number): Promise<void> => {
      for (const last = work.waits + count; work.waits < last; ) {
        const { waits } = work;
        work.come();
        await until(() => work.waits > waits);
      }
    };
    await until(() => work.waits === 1);
    await rounds(1000);
    assert.ok(work.lingers < 200, `${work.lingers} times`);
    // Something comes during the next one.
    work.during.linger = () => {
      work.todo++;
      work.during.linger = () => {};
    };
    const { lingers } = work;
    await rounds(100);
    assert.ok(work.lingers - lingers > 5, `${work.lingers - lingers} times`);
    work.stop.abort();
    await running;
  });

  test('never lingers when it may not look', async () => {
    const work = new Work();
    work.during.linger = () => {};
    const running = work.loop({ looksMax: 0 }).run(work.stop.signal);
    await until(() => work.waits === 1);
    work.stop.abort();
    await running;
    assert.equal(work.lingers, 0);
  });

  test('wakes at the next expiry of the clock', async () => {
    const work = new Work();
    work.expiryMs = performance.now() + 20;
    const running = work.loop().run(work.stop.signal);
    await until(() => work.waits === 1);
    const { polls } = work;
    await until(() => work.polls > polls);
    work.stop.abort();
    await running;
    // What was waited for of the adapter is waited for still.
    assert.equal(work.waits, 1);
  });

  test('is woken by nothing while nothing happens, however long that is', async () => {
    const timers = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] as const;
    vi.useFakeTimers({ toFake: [...timers, 'setImmediate', 'clearImmediate', 'performance'] });
    try {
      const work = new Work();
      const running = work.loop().run(work.stop.signal);
      await vi.advanceTimersByTimeAsync(1);
      assert.equal(work.waits, 1);
      const { polls } = work;
      await vi.advanceTimersByTimeAsync(86_400_000);
      assert.equal(work.polls, polls);
      // An expiry is one wake-up, at its time, and none once it is taken back.
      work.expiryMs = performance.now() + 10_000;
      work.earlier!();
      await vi.advanceTimersByTimeAsync(9_000);
      const before = work.polls;
      await vi.advanceTimersByTimeAsync(1_100);
      assert.ok(work.polls > before);
      work.expiryMs = null;
      work.come();
      await vi.advanceTimersByTimeAsync(1);
      const after = work.polls;
      await vi.advanceTimersByTimeAsync(86_400_000);
      assert.equal(work.polls, after);
      work.stop.abort();
      await vi.advanceTimersByTimeAsync(1);
      await running;
      // Nor is anything left of it.
      assert.equal(vi.getTimerCount(), 0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('looks again when a call from outside leaves an up-call due or an earlier expiry, and tells that time passes', async () => {
    const work = new Work();
    const running = work.loop().run(work.stop.signal);
    await until(() => work.waits === 1);
    assert.equal(work.pauses, 1);
    for (const told of ['due', 'earlier'] as const) {
      const { polls, pauses } = work;
      work[told]!();
      await until(() => work.polls > polls && work.pauses === pauses + 1);
    }
    work.stop.abort();
    await running;
    assert.deepEqual([work.due, work.earlier], [null, null]);
  });

  test('polls no more than once for one thing, where the adapter knows of everything', async () => {
    const work = new Work();
    work.isExact = true;
    let due = 0;
    const running = work.loop({ hasMore: () => due > 0 }).run(work.stop.signal);
    await until(() => work.waits === 1);
    for (let round = 0; round < 10; round++) {
      await sleepLong();
      const { polls } = work;
      work.come();
      assert.deepEqual([work.todo, work.polls], [0, polls + 1]);
    }
    // What is due after it is another matter, and so is what came in the meantime.
    await sleepLong();
    let { polls } = work;
    due = 1;
    work.during.poll = () => {
      if (work.polls === polls + 2) due = 0;
    };
    work.come();
    assert.deepEqual([work.todo, work.polls], [0, polls + 2]);
    await sleepLong();
    ({ polls } = work);
    work.during.poll = () => {
      if (work.polls === polls + 1) work.todo = 1;
    };
    work.come();
    assert.deepEqual([work.todo, work.polls], [0, polls + 2]);
    work.stop.abort();
    await running;
  });

  test('does at once what a new turn of Node.js brings, however soon it comes', async () => {
    const work = new Work();
    work.isNewTurn = true;
    const running = work.loop().run(work.stop.signal);
    await until(() => work.waits === 1);
    work.come();
    for (let round = 0; round < 100; round++) {
      work.come();
      assert.equal(work.todo, 0);
    }
    work.stop.abort();
    await running;
  });

  test('does what has gathered without waiting for the end of the turn of Node.js', async () => {
    const work = new Work();
    const running = work.loop().run(work.stop.signal);
    await until(() => work.waits === 1);
    await sleepLong();
    work.come();
    for (let round = 0; round < 3; round++) {
      // The first waits for more, with a turn to come or asleep.
      work.come();
      work.todo += 31;
      const { polls } = work;
      work.gathered!();
      assert.equal(work.todo, 0);
      assert.ok(work.polls > polls);
    }
    // That was all: no turn comes after the one that finds nothing.
    await turn();
    await turn();
    const { polls } = work;
    await turn();
    assert.equal(work.polls, polls);
    await sleepLong();
    work.come();
    assert.equal(work.todo, 0);
    work.stop.abort();
    await running;
    assert.equal(work.gathered, null);
  });

  test('looks again when it is nudged, asleep or not', async () => {
    const work = new Work();
    const loop = work.loop();
    loop.nudge();
    const running = loop.run(work.stop.signal);
    await until(() => work.waits === 1);
    const { polls } = work;
    loop.nudge();
    await until(() => work.polls > polls);
    work.stop.abort();
    await running;
  });

  test('ends when it is aborted: before, asleep and awake', async () => {
    const aborted = new Work();
    aborted.stop.abort();
    await aborted.loop().run(aborted.stop.signal);
    assert.equal(aborted.polls, 0);
    const asleep = new Work();
    const running = asleep.loop().run(asleep.stop.signal);
    await until(() => asleep.waits === 1);
    asleep.stop.abort();
    await running;
    const awake = new Work();
    awake.during.poll = () => {
      awake.todo = 1;
      if (awake.polls === 10) awake.stop.abort();
    };
    await awake.loop().run(awake.stop.signal);
    assert.equal(awake.polls, 10);
  });

  test('ends with what polling throws, and can be run again; not twice at once', async () => {
    const work = new Work();
    const loop = work.loop();
    work.during.poll = () => {
      throw new Error('broken');
    };
    await assert.rejects(loop.run(work.stop.signal), /broken/);
    work.during = {};
    const running = loop.run(work.stop.signal);
    await assert.rejects(loop.run(work.stop.signal), /running already/);
    work.stop.abort();
    await running;
  });
});
