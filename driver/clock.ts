/**
 * Time, as the driver sees it: a monotonic reading and a set of restartable timers that are asked, not called.
 *
 * Theory of operation: a timer is a small integer of the caller's choice. The loop that owns the driver asks for
 * expired timers in each turn, so that time enters the machines as events and in one place. A clock never runs
 * code of its own, which is what lets the simulator put its virtual time in the place of the system's.
 */

/** A monotonic clock with timers. One per provider: timers are numbered by their owner. */
export interface Clock {
  /** Milliseconds since an arbitrary start; may have a fraction, never goes back. */
  nowMs(): number;
  /**
   * Starts `timer`, or restarts it when it is running already.
   *
   * @param timer - small non-negative integer chosen by the caller; memory grows with the largest one used
   * @param afterMs - from now, 0 or more
   */
  setTimer(timer: number, afterMs: number): void;
  /** Stops `timer`; no effect when it isn't running. It isn't reported afterwards, expired or not. */
  cancelTimer(timer: number): void;
  /** Takes the timer that expired first, or the one set first of those that expired together. @returns it, or -1 */
  takeExpired(): number;
}

/**
 * Running timers in order of expiry: a binary heap that knows each timer's place, so that restarting and cancelling
 * cost a logarithm and leave nothing behind. The unit of time is its owner's.
 */
export class TimerHeap {
  /** Running timers, heap order. */
  readonly #heap: number[] = [];
  /** Place in the heap by timer; -1 when it isn't running. */
  readonly #placeOf: number[] = [];
  readonly #expiryOf: number[] = [];
  /** When each timer was set, counted over all; the order among equal expiries. */
  readonly #orderOf: number[] = [];
  #setCount = 0;

  /** Timers that are running, expired ones included. */
  get size(): number {
    return this.#heap.length;
  }

  set(timer: number, expiry: number): void {
    if (!Number.isSafeInteger(timer) || timer < 0) throw new RangeError(`timer ${timer}: not a small integer`);
    while (this.#placeOf.length <= timer) {
      this.#placeOf.push(-1);
      this.#expiryOf.push(0);
      this.#orderOf.push(0);
    }
    this.cancel(timer);
    this.#expiryOf[timer] = expiry;
    this.#orderOf[timer] = this.#setCount++;
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
  }

  cancel(timer: number): void {
    const place = this.#placeOf[timer] ?? -1;
    if (place < 0) return;
    this.#placeOf[timer] = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#put(last, place);
    this.#rise(place);
    this.#sink(place);
  }

  /** Earliest expiry, or null when nothing runs. */
  next(): number | null {
    const timer = this.#heap[0];
    return timer === undefined ? null : (this.#expiryOf[timer] ?? 0);
  }

  /** Earliest expiry after `now`, or null. Expired timers that nobody took don't count. */
  nextAfter(now: number): number | null {
    const first = this.next();
    if (first === null || first > now) return first;
    let earliest: number | null = null;
    for (const timer of this.#heap) {
      const expiry = this.#expiryOf[timer] ?? 0;
      if (expiry > now && (earliest === null || expiry < earliest)) earliest = expiry;
    }
    return earliest;
  }

  /** Takes the first timer whose expiry is `now` or earlier, or returns -1. */
  takeExpired(now: number): number {
    const timer = this.#heap[0];
    if (timer === undefined || (this.#expiryOf[timer] ?? 0) > now) return -1;
    this.cancel(timer);
    return timer;
  }

  #isBefore(left: number, right: number): boolean {
    const difference = (this.#expiryOf[left] ?? 0) - (this.#expiryOf[right] ?? 0);
    return difference < 0 || (difference === 0 && (this.#orderOf[left] ?? 0) < (this.#orderOf[right] ?? 0));
  }

  #put(timer: number, place: number): void {
    this.#heap[place] = timer;
    this.#placeOf[timer] = place;
  }

  #rise(from: number): void {
    let place = from;
    const timer = this.#heap[place] ?? 0;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = this.#heap[above] ?? 0;
      if (!this.#isBefore(timer, other)) break;
      this.#put(other, place);
      place = above;
    }
    this.#put(timer, place);
  }

  #sink(from: number): void {
    let place = from;
    const timer = this.#heap[place] ?? 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= this.#heap.length) break;
      const right = this.#heap[below + 1];
      if (right !== undefined && this.#isBefore(right, this.#heap[below] ?? 0)) below++;
      const other = this.#heap[below] ?? 0;
      if (!this.#isBefore(other, timer)) break;
      this.#put(other, place);
      place = below;
    }
    this.#put(timer, place);
  }
}

// Kept: the global one is an accessor, which takes longer than what it gives to read the time.
const { performance } = globalThis;

/** The computer's monotonic clock. */
export class SystemClock implements Clock {
  readonly #timers = new TimerHeap();
  readonly #readMs: () => number;
  #earlier: (() => void) | null = null;

  /** @param readMs - monotonic milliseconds; the process's own unless a test brings another */
  constructor(readMs: () => number = () => performance.now()) {
    this.#readMs = readMs;
  }

  nowMs(): number {
    return this.#readMs();
  }

  setTimer(timer: number, afterMs: number): void {
    const before = this.#timers.next() ?? Number.POSITIVE_INFINITY;
    this.#timers.set(timer, this.#readMs() + afterMs);
    if (this.#timers.next()! < before) this.#earlier?.();
  }

  cancelTimer(timer: number): void {
    this.#timers.cancel(timer);
  }

  takeExpired(): number {
    // An idle turn must cost nothing: without timers there is no reason to read the time.
    return this.#timers.size === 0 ? -1 : this.#timers.takeExpired(this.#readMs());
  }

  /**
   * Until when an event loop may sleep.
   *
   * @returns the earliest expiry on the scale of {@link SystemClock.nowMs}, possibly in the past; null without timers
   */
  nextExpiryMs(): number | null {
    return this.#timers.next();
  }

  /**
   * Has `told` called, within {@link SystemClock.setTimer}, whenever the earliest expiry has become earlier.
   *
   * @param told - instead of the one that was given before; null for none
   */
  whenEarlier(told: (() => void) | null): void {
    this.#earlier = told;
  }
}
