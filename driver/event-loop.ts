/**
 * Event loop: turns a provider over a real adapter as long as there is something to do, and sleeps otherwise.
 *
 * Theory of operation: a turn is a few polls, as long as they do something. A turn in which there was more to do than that
 * is followed by another after Node.js had its turn (`setImmediate`), so that sockets and the application get their share.
 *
 * Over an adapter that can linger, the next busy turn comes as soon as the application has done what its promises and
 * `process.nextTick` want, and Node.js looks at its descriptors and timers after some such turns: its own way round takes
 * several system calls, more than a whole message. When there is nothing to do the loop lingers first, for no more than a
 * few looks: an answer that comes at once is cheaper to find than to be woken for. Where lingering didn't help, it is
 * tried seldom, so an idle connection or a slow one takes no processor time for it.
 *
 * When nothing is left to do, the loop goes to sleep in this order:
 *
 * 1. arm the adapter's wake-up; what is ready by then is reported by the arming itself;
 * 2. poll once more, for what came between the last poll and the arming, where something can;
 * 3. wait for the wake-up, the clock's next expiry, an up-call that falls due, or {@link EventLoop.nudge}.
 *
 * Nothing runs between 1 and the beginning of 3 but that poll, so what comes later finds the loop armed and no wake-up
 * is lost. Who is woken polls at once, still in the callback that brought the news: one message alone waits for nothing.
 * News on the heels of a turn came in the same turn of Node.js, where more may follow, unless the adapter knows better:
 * those are handled together, after it.
 *
 * Nothing else ends a sleep, and while nothing happens nothing wakes. An application's call from outside of up-calls can leave
 * an up-call due, set an earlier timer or bring the adapter news; provider, clock and adapter tell of it themselves. Only
 * who has the loop's poll look at something of his own has to nudge when that has changed.
 */

import type { WakeUp } from './adapter/adapter.ts';
import type { SystemClock } from './clock.ts';
import type { Provider } from './provider.ts';

export interface EventLoopOptions {
  /** What is turned: a provider, or what owns one. @returns how much it did; 0 when there was nothing to do */
  readonly poll: () => number;
  /** The adapter's. */
  readonly wakeUp: WakeUp;
  /** The provider's clock, as far as the loop asks it; tells of what would end a sleep earlier. */
  readonly clock: Pick<SystemClock, 'nowMs' | 'nextExpiryMs' | 'whenEarlier'>;
  /** What is turned, as far as calls from outside of turns concern the loop. */
  readonly provider: Pick<Provider, 'whenDue' | 'pause'>;
  /**
   * Whether a poll would find something to do although the adapter has no news, as an up-call that is due. Without it a
   * poll that does nothing finds out.
   */
  readonly hasMore?: () => boolean;
  /** Turns without anything to do before the loop sleeps. Default 0. */
  readonly emptyTurnsMax?: number;
  /** Looks of one linger, where the adapter can; 0: it never lingers. Default 8. */
  readonly looksMax?: number;
}

// Kept: the global one is an accessor, which takes longer than what it gives to read the time.
const { performance } = globalThis;

/** Polls in one turn. */
const POLLS_MAX = 3;
/** News within this time of a turn's end came in the same turn of Node.js, as far as the adapter doesn't know. */
const SAME_TURN_MS = 0.005;

/** Busy turns in a row between two turns of Node.js, over an adapter that can linger. */
const TURNS_MAX = 32;
/** After so many lingers in vain, only one in so many is tried. */
const MISSES_MAX = 4;
const RETRY_EVERY = 16;

/** Longest delay of a timer of Node.js. */
const TIMER_MAX_MS = 0x7fff_ffff;

/** A run that hasn't ended. */
interface Run {
  readonly signal: AbortSignal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class EventLoop {
  readonly #options: Required<Omit<EventLoopOptions, 'hasMore'>>;
  readonly #canLinger: boolean;
  /** See {@link WakeUp.isExact}. */
  readonly #isExact: boolean;
  /** Null where it can't be known without a poll. */
  readonly #hasMore: (() => boolean) | null;
  #run: Run | null = null;
  #nudged = false;
  /** The run has been aborted: the signal itself takes longer to ask. */
  #isAborted = false;
  #isAsleep = false;
  #emptyTurns = 0;
  /** Busy turns since Node.js had its own. */
  #turns = 0;
  /** Keeps the process alive while the loop runs. */
  #running: NodeJS.Timeout | null = null;
  /** Ends a sleep at an expiry; kept from one to the next, since most are ended by the adapter. Null when there is none. */
  #timer: NodeJS.Timeout | null = null;
  /** When the timer ends one, by the provider's clock. */
  #timerMs = 0;
  /** When the sleep at hand began, by `performance.now()`, where that may have to be known; else long ago. */
  #sleepMs = Number.NEGATIVE_INFINITY;
  /** The last wake-up came with a turn of Node.js, and so will the next: most often one connection is talking. */
  #wasNewTurn = false;
  /** A wait of the adapter's that hasn't ended; a sleep that ended otherwise leaves it for the next one. */
  #isWaiting = false;
  #immediate: NodeJS.Immediate | null = null;
  /** Lingers in vain, those that weren't tried included, since one helped. */
  #misses = 0;

  constructor(options: EventLoopOptions) {
    this.#options = { emptyTurnsMax: 0, looksMax: 8, ...options };
    this.#canLinger = options.wakeUp.linger !== undefined && this.#options.looksMax > 0;
    this.#isExact = options.wakeUp.isExact === true;
    this.#hasMore = this.#isExact ? (options.hasMore ?? null) : null;
  }

  /** Makes the loop look again soon, though the adapter has nothing to tell. Cheap, and harmless at any time. */
  nudge(): void {
    this.#nudged = true;
    this.#wake();
  }

  /**
   * Runs until `signal` is aborted. It keeps the process alive as long.
   *
   * @throws what polling throws: a broken provider; the loop has ended then
   */
  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#run !== null) throw new Error('the event loop is running already');
      this.#run = { signal, resolve, reject };
      this.#isAborted = signal.aborted;
      signal.addEventListener('abort', this.#aborted);
      this.#emptyTurns = 0;
      this.#running = setInterval(() => {}, TIMER_MAX_MS);
      this.#options.wakeUp.whenGathered?.(this.#gathered);
      this.#options.clock.whenEarlier(this.#wake);
      this.#options.provider.whenDue(this.#wake);
      this.#turn();
    });
  }

  readonly #turn = (): void => {
    this.#immediate = null;
    // It has ended meanwhile.
    if (this.#run === null) return;
    try {
      this.#work();
    } catch (error) {
      this.#end({ error });
    }
  };

  /** One turn, and what comes after it. */
  #work(): void {
    const { poll, wakeUp, emptyTurnsMax } = this.#options;
    for (;;) {
      if (this.#isAborted) return this.#end();
      let isBusy = this.#nudged;
      this.#nudged = false;
      // What an up-call started may be over already.
      let polls = 0;
      let isDone = false;
      while (!isDone && polls < POLLS_MAX && poll() > 0) {
        polls++;
        isDone = this.#hasMore !== null && !wakeUp.arm() && !this.#hasMore();
      }
      isBusy ||= polls > 0;
      if (isBusy) {
        this.#emptyTurns = 0;
        if (this.#canLinger && ++this.#turns < TURNS_MAX) return process.nextTick(this.#afterTicks);
        if (this.#canLinger || (polls === POLLS_MAX && !isDone) || emptyTurnsMax > 0) return this.#again();
      } else {
        if (this.#linger()) continue;
        if (this.#emptyTurns++ < emptyTurnsMax) return this.#again();
      }
      const isReady = wakeUp.arm() || (!this.#isExact && poll() > 0);
      if (!isReady && !this.#isAborted && !this.#nudged) return this.#sleep();
      return this.#again();
    }
  }

  /** Another turn, after the application's promises and ticks. */
  readonly #afterTicks = (): void => queueMicrotask(this.#turn);

  /** Another turn, after Node.js had its own. */
  #again(): void {
    this.#turns = 0;
    this.#immediate ??= setImmediate(this.#turn);
  }

  /** @returns whether something is ready */
  #linger(): boolean {
    if (!this.#canLinger) return false;
    const { looksMax, wakeUp } = this.#options;
    this.#misses++;
    if (this.#misses > MISSES_MAX && this.#misses % RETRY_EVERY !== 0) return false;
    const found = wakeUp.linger!(looksMax);
    if (found) this.#misses = 0;
    return found;
  }

  readonly #wake = (): void => {
    if (!this.#isAsleep) return;
    this.#isAsleep = false;
    this.#again();
  };

  readonly #aborted = (): void => {
    this.#isAborted = true;
    this.#wake();
  };

  #sleep(): void {
    const { clock, provider, wakeUp } = this.#options;
    this.#turns = 0;
    this.#isAsleep = true;
    this.#sleepMs = this.#canLinger || this.#wasNewTurn ? Number.NEGATIVE_INFINITY : performance.now();
    provider.pause();
    this.#wakeAt(clock.nextExpiryMs());
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    wakeUp.wait(this.#woken);
  }

  /** The adapter has news. */
  readonly #woken = (): void => {
    this.#isWaiting = false;
    if (!this.#isAsleep) return;
    this.#wasNewTurn = this.#options.wakeUp.isNewTurn === true;
    if (!this.#wasNewTurn && !this.#canLinger && performance.now() - this.#sleepMs < SAME_TURN_MS) return this.#wake();
    this.#isAsleep = false;
    this.#turn();
  };

  /** The adapter has so much that it is handled now, though a turn is to come that would handle it with what follows. */
  readonly #gathered = (): void => {
    this.#isAsleep = false;
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#turn();
  };

  /** @param ms - when the sleep ends at the latest, by the provider's clock; null: the clock ends it at no time */
  #wakeAt(ms: number | null): void {
    if (this.#timer !== null) {
      // One that ends it a little early does less harm than to read the time, which can take as long as a message.
      if (ms !== null && this.#timerMs <= ms) return;
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (ms === null) return;
    this.#timerMs = ms;
    const leftMs = Math.ceil(ms - this.#options.clock.nowMs());
    this.#timer = setTimeout(this.#expired, Math.min(Math.max(0, leftMs), TIMER_MAX_MS));
  }

  /** The timer ends a sleep, if there is one. Not made where it is started: that would make its closure at every sleep. */
  readonly #expired = (): void => {
    this.#timer = null;
    this.#wake();
  };

  /** @param broken - what was thrown */
  #end(broken?: { readonly error: unknown }): void {
    const { signal, resolve, reject } = this.#run!;
    this.#run = null;
    this.#isAsleep = false;
    signal.removeEventListener('abort', this.#aborted);
    this.#options.wakeUp.whenGathered?.(null);
    this.#options.clock.whenEarlier(null);
    this.#options.provider.whenDue(null);
    clearInterval(this.#running!);
    this.#running = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (broken === undefined) resolve();
    else reject(broken.error);
  }
}
