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

  test('a timer is a small integer', () => {
    assert.throws(() => new SystemClock().setTimer(-1, 0), {
      name: 'RangeError',
      message: 'timer -1: not a small integer',
    });
    assert.throws(() => new SystemClock().setTimer(0.5, 0), RangeError);
  });
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
