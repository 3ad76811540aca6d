import type { Clock } from '../../clock.ts';
import { TimerHeap } from '../../clock.ts';

/** One provider's timers over the network's virtual time. */
export class VirtualClock implements Clock {
  readonly #timers = new TimerHeap();
  readonly #time: { readonly nowNs: number };

  constructor(time: { readonly nowNs: number }) {
    this.#time = time;
  }

  nowMs(): number {
    return this.#time.nowNs / 1e6;
  }

  setTimer(timer: number, afterMs: number): void {
    this.#timers.set(timer, this.#time.nowNs + Math.ceil(afterMs * 1e6));
  }

  cancelTimer(timer: number): void {
    this.#timers.cancel(timer);
  }

  takeExpired(): number {
    return this.#timers.takeExpired(this.#time.nowNs);
  }

  /** The earliest expiry on the scale of {@link VirtualClock.nowMs}, possibly in the past; null without timers. */
  nextExpiryMs(): number | null {
    const nextNs = this.#timers.next();
    return nextNs === null ? null : nextNs / 1e6;
  }

  /** The earliest expiry that is still to come, ns; null without one. */
  get nextExpiryNs(): number | null {
    return this.#timers.nextAfter(this.#time.nowNs);
  }

  /** A timer waits to be taken. */
  get hasExpired(): boolean {
    return (this.#timers.next() ?? Number.POSITIVE_INFINITY) <= this.#time.nowNs;
  }
}
