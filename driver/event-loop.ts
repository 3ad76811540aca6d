/**
 * Event loop: turns a provider over a real adapter as long as there is something to do, and sleeps otherwise.
 *
 * Theory of operation: a turn is a few polls, as long as they do something. Such a turn is followed by another after
 * Node.js had its turn (`setImmediate`), so that sockets and the application get their share and what came meanwhile is
 * handled together.
 *
 * Over an adapter that can linger, the next busy turn comes as soon as the application has done what its promises and
 * `process.nextTick` want, and Node.js looks at its descriptors and timers after some such turns: its own way round takes
 * several system calls, more than a whole message. When there is nothing to do the loop lingers first, for no more than a
 * few looks: an answer that comes at once is cheaper to find than to be woken for. Where lingering didn't help, it is
 * tried seldom, so an idle connection or a slow one takes no processor time for it.
 *
 * After a turn in which nothing was to do, the loop goes to sleep in this order:
 *
 * 1. arm the adapter's wake-up; what is ready by then is reported by the arming itself;
 * 2. poll once more, for what came between the last poll and the arming;
 * 3. wait for the wake-up, the clock's next expiry, {@link EventLoop.nudge}, or the longest sleep.
 *
 * Nothing runs between 1 and the beginning of 3 but that poll, so what comes later finds the loop armed and no wake-up
 * is lost. Who is woken polls at once, still in the callback that brought the news: one message alone waits for nothing.
 *
 * The loop sees only what the adapter and the clock bring. An application's call can leave an up-call due or
 * set an earlier timer; who makes calls from outside of up-calls nudges the loop afterwards, and the bound of the sleep
 * is how late a forgotten nudge can make it.
 */

import type { WakeUp } from './adapter/adapter.ts';

export interface EventLoopOptions {
  /** What is turned: a provider, or what owns one. @returns how much it did; 0 when there was nothing to do */
  readonly poll: () => number;
  /** The adapter's. */
  readonly wakeUp: WakeUp;
  /** The provider's clock, as far as the loop asks it. */
  readonly clock: { nowMs(): number; nextExpiryMs(): number | null };
  /** Turns without anything to do before the loop sleeps. Default 0. */
  readonly emptyTurnsMax?: number;
  /** Looks of one linger, where the adapter can; 0: it never lingers. Default 8. */
  readonly looksMax?: number;
  /** Longest sleep. Default 100. */
  readonly sleepMaxMs?: number;
}

/** Polls in one turn. */
const POLLS_MAX = 3;

/** Busy turns in a row between two turns of Node.js, over an adapter that can linger. */
const TURNS_MAX = 32;
/** After so many lingers in vain, only one in so many is tried. */
const MISSES_MAX = 4;
const RETRY_EVERY = 16;

const immediately = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** When the application's promises and ticks are done. */
const afterTicks = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

export class EventLoop {
  readonly #options: Required<EventLoopOptions>;
  #nudged = false;
  #isRunning = false;
  /** Ends the sleep at hand. */
  #wake: (() => void) | null = null;
  /** Ends a sleep; kept from one to the next, since most are ended by the adapter. */
  #timer: NodeJS.Timeout | null = null;
  /** When the timer ends one, by `performance.now()`. */
  #timerMs = 0;
  /** A wait of the adapter's that hasn't ended; a sleep that ended otherwise leaves it for the next one. */
  #isWaiting = false;
  /** Lingers in vain, those that weren't tried included, since one helped. */
  #misses = 0;

  constructor(options: EventLoopOptions) {
    this.#options = { emptyTurnsMax: 0, looksMax: 8, sleepMaxMs: 100, ...options };
  }

  /** Makes the loop look again soon, though the adapter has nothing to tell. Cheap, and harmless at any time. */
  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  /**
   * Runs until `signal` is aborted. It keeps the process alive as long.
   *
   * @throws what polling throws: a broken provider; the loop has ended then
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#isRunning) throw new Error('the event loop is running already');
    this.#isRunning = true;
    const wake = (): void => this.#wake?.();
    signal.addEventListener('abort', wake);
    const { poll, wakeUp, emptyTurnsMax, looksMax } = this.#options;
    const turnsMax = wakeUp.linger === undefined || looksMax === 0 ? 1 : TURNS_MAX;
    let emptyTurns = 0;
    /** Busy turns since Node.js had its own. */
    let turns = 0;
    try {
      while (!signal.aborted) {
        let isBusy = this.#nudged;
        this.#nudged = false;
        // What an up-call started may be over already.
        for (let polls = 0; polls < POLLS_MAX && poll() > 0; polls++) isBusy = true;
        if (isBusy) {
          emptyTurns = 0;
          if (++turns < turnsMax) {
            await afterTicks();
            continue;
          }
        } else if (this.#linger()) continue;
        else if (emptyTurns++ >= emptyTurnsMax && !wakeUp.arm() && poll() === 0 && !signal.aborted && !this.#nudged) {
          await this.#sleep();
          turns = 0;
          // Woken for nothing, it goes back to sleep after one look.
          continue;
        }
        await immediately();
        turns = 0;
      }
    } finally {
      signal.removeEventListener('abort', wake);
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#timer = null;
      this.#isRunning = false;
    }
  }

  /** @returns whether something is ready */
  #linger(): boolean {
    const { looksMax, wakeUp } = this.#options;
    if (wakeUp.linger === undefined || looksMax === 0) return false;
    this.#misses++;
    if (this.#misses > MISSES_MAX && this.#misses % RETRY_EVERY !== 0) return false;
    const found = wakeUp.linger(looksMax);
    if (found) this.#misses = 0;
    return found;
  }

  #sleep(): Promise<void> {
    const { clock, sleepMaxMs, wakeUp } = this.#options;
    const expiry = clock.nextExpiryMs();
    const sleepMs = expiry === null ? sleepMaxMs : Math.min(sleepMaxMs, Math.max(0, expiry - clock.nowMs()));
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
      this.#wakeIn(Math.ceil(sleepMs));
      if (this.#isWaiting) return;
      this.#isWaiting = true;
      wakeUp.wait().then(() => {
        this.#isWaiting = false;
        this.#wake?.();
      }, reject);
    });
  }

  /** Has the sleep end in so many milliseconds, or earlier. */
  #wakeIn(ms: number): void {
    // None ends later than the longest sleep: no need to read the time, which can take as long as a message.
    if (this.#timer !== null && ms >= this.#options.sleepMaxMs) return;
    const endMs = performance.now() + ms;
    if (this.#timer !== null) {
      if (this.#timerMs <= endMs) return;
      clearTimeout(this.#timer);
    }
    this.#timerMs = endMs;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#wake?.();
    }, ms);
  }
}
