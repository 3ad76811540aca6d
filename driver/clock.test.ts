import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { SystemClock, TimerHeap } from './clock.ts';

/** A clock whose time a test sets. */
function settableClock(): { readonly clock: SystemClock; setMs(timeMs: number): void } {
  let nowMs = 1000;
  return {
    clock: new SystemClock(() => nowMs),
    setMs: (timeMs) => {
      nowMs = timeMs;
    },
  };
}

describe('a clock', () => {
  test('reports expired timers once, in order of expiry and then of setting', () => {
    const { clock, setMs } = settableClock();
    clock.setTimer(5, 30);
    clock.setTimer(1, 10);
    clock.setTimer(0, 30);
    clock.setTimer(2, 10);
    assert.equal(clock.takeExpired(), -1);
    setMs(1010);
    assert.deepEqual([clock.takeExpired(), clock.takeExpired(), clock.takeExpired()], [1, 2, -1]);
    setMs(2000);
    assert.deepEqual([clock.takeExpired(), clock.takeExpired(), clock.takeExpired()], [5, 0, -1]);
  });

  test('restarts and cancels timers, expired ones too', () => {
    const { clock, setMs } = settableClock();
    clock.setTimer(0, 10);
    clock.setTimer(1, 10);
    clock.setTimer(0, 50);
    setMs(1020);
    clock.cancelTimer(1);
    clock.cancelTimer(7);
    assert.equal(clock.takeExpired(), -1);
    assert.equal(clock.nextExpiryMs(), 1050);
    setMs(1050);
    assert.equal(clock.takeExpired(), 0);
    assert.equal(clock.nextExpiryMs(), null);
  });

  test("reads the computer's monotonic time", () => {
    const clock = new SystemClock();
    const firstMs = clock.nowMs();
    clock.setTimer(0, 0);
    assert.equal(clock.takeExpired(), 0);
    assert.ok(clock.nowMs() >= firstMs);
  });

  test('is not read in a turn without timers: an idle turn costs nothing', () => {
    let reads = 0;
    const clock = new SystemClock(() => ++reads);
    assert.equal(clock.takeExpired(), -1);
    assert.equal(reads, 0);
    clock.setTimer(0, 100);
    assert.equal(clock.takeExpired(), -1);
    assert.equal(reads, 2);
    clock.cancelTimer(0);
    assert.equal(clock.takeExpired(), -1);
    assert.equal(reads, 2);
  });

  test('tells of an earlier expiry, and of no other', () => {
    const clock = new SystemClock(() => 1000);
    const earlier: (number | null)[] = [];
    clock.whenEarlier(() => earlier.push(clock.nextExpiryMs()));
    clock.setTimer(1, 50);
    clock.setTimer(2, 60);
    clock.setTimer(3, 50);
    clock.setTimer(2, 40);
    // Restarted, it is later; then nothing runs, and all is earlier than that.
    clock.setTimer(2, 45);
    clock.setTimer(2, 70);
    for (const timer of [1, 2, 3]) clock.cancelTimer(timer);
    clock.setTimer(2, 80);
    clock.whenEarlier(null);
    clock.setTimer(1, 10);
    assert.deepEqual(earlier, [1050, 1040, 1080]);
  });

  test('a timer is a small integer', () => {
    assert.throws(() => new SystemClock().setTimer(-1, 0), {
      name: 'RangeError',
      message: 'timer -1: not a small integer',
    });
    assert.throws(() => new SystemClock().setTimer(0.5, 0), RangeError);
  });
});

test('any number of timers expire in order, however they were set, restarted and cancelled', () => {
  const heap = new TimerHeap();
  const expiries = new Map<number, number>();
  const set = (timer: number, expiry: number): void => {
    heap.set(timer, expiry);
    expiries.set(timer, expiry);
  };
  // All residues of a prime, in an order that is none.
  for (let timer = 0; timer < 211; timer++) set(timer, (timer * timer * 37 + timer * 5) % 211);
  for (let timer = 0; timer < 211; timer += 3) set(timer, (timer * 101) % 211);
  for (let timer = 1; timer < 211; timer += 4) {
    heap.cancel(timer);
    expiries.delete(timer);
  }
  for (let now = 0; now < 211; now++) {
    const due = [...expiries].filter(([, expiry]) => expiry === now).map(([timer]) => timer);
    const taken = due.map(() => heap.takeExpired(now));
    assert.deepEqual(taken.toSorted(), due.toSorted());
    assert.equal(heap.takeExpired(now), -1);
  }
  assert.equal(heap.size, 0);
});

test('a timer that takes the place of a cancelled one comes before those that it expires before', () => {
  const heap = new TimerHeap();
  // In the tree: 10, 11 and 12 on one side; 1, 2 and 3 on the other.
  for (const [timer, expiry] of [0, 10, 1, 11, 12, 2, 3].entries()) heap.set(timer, expiry);
  heap.cancel(3);
  assert.deepEqual(
    Array.from({ length: 6 }, () => heap.takeExpired(100)),
    [0, 2, 5, 6, 1, 4],
  );
});

test('running timers behave as a sorted list would', () => {
  const call = fc.record({
    timer: fc.nat(12),
    expiry: fc.nat(20),
    kind: fc.constantFrom('set', 'set', 'cancel', 'take'),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const heap = new TimerHeap();
      let list: { timer: number; expiry: number }[] = [];
      for (const { timer, expiry, kind } of calls) {
        if (kind === 'take') {
          const first = list.toSorted((left, right) => left.expiry - right.expiry)[0];
          const expected = first !== undefined && first.expiry <= expiry ? first.timer : -1;
          assert.equal(heap.takeExpired(expiry), expected);
          list = list.filter((entry) => entry.timer !== expected);
        } else {
          list = list.filter((entry) => entry.timer !== timer);
          if (kind === 'set') {
            heap.set(timer, expiry);
            list.push({ timer, expiry });
          } else heap.cancel(timer);
        }
        const expiries = list.map((entry) => entry.expiry);
        const later = expiries.filter((each) => each > expiry);
        assert.equal(heap.next(), expiries.length === 0 ? null : Math.min(...expiries));
        assert.equal(heap.nextAfter(expiry), later.length === 0 ? null : Math.min(...later));
        assert.equal(heap.size, list.length);
      }
    }),
  );
});
