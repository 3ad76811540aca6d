/**
 * Runtime: a started host over an adapter to other processes, and the loop that turns it.
 *
 * Theory of operation: one {@link EventLoop} polls the host and then lets everybody who waits work and look. A wait that
 * finds something ends in that turn, and the loop takes another. Any call may be made at any time without telling the loop;
 * what else those who wait look at is told by {@link Runtime.nudge} when it has changed.
 */

import type { Adapter } from '../adapter/adapter.ts';
import { SystemClock } from '../clock.ts';
import { EventLoop } from '../event-loop.ts';
import type { ProviderOptions } from '../calls.ts';
import { Host } from './host.ts';

export interface RuntimeOptions extends Omit<ProviderOptions, 'adapter' | 'clock' | 'host'> {
  readonly adapter: Adapter;
  /** Name of this host in the journal. */
  readonly name?: string;
}

export interface WaitOptions {
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Longest time in which nothing is done, in milliseconds; then {@link IdleError}. */
  readonly idleMs?: number;
  /** Works in each turn. @returns how much was done; 0 when there was nothing to do */
  readonly work?: () => number;
}

/** Nothing was done for too long. */
export class IdleError extends Error {
  override readonly name = 'IdleError';
}

/** Somebody who waits. @returns how much was done */
type Waiter = () => number;

export class Runtime {
  readonly host: Host;
  readonly #waiters = new Set<Waiter>();
  readonly #failures = new Set<(error: unknown) => void>();
  readonly #loop: EventLoop;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #stopped: Promise<void> | null = null;
  #broken: { readonly error: unknown } | null = null;

  /** Starts host and loop. @throws {@link SpiError} when the provider doesn't start */
  constructor({ adapter, name, ...options }: RuntimeOptions) {
    const clock = new SystemClock();
    this.host = new Host({ ...options, adapter, clock, ...(name === undefined ? {} : { host: name }) });
    this.host.start();
    const { provider } = this.host;
    this.#loop = new EventLoop({ poll: () => this.#turn(), provider, wakeUp: adapter.wakeUp, clock });
    this.#running = this.#loop.run(this.#stop.signal).catch((error: unknown) => {
      // The provider is broken, or its journal: nobody waits any longer.
      this.#broken = { error };
      for (const fail of this.#failures) fail(error);
    });
  }

  /**
   * Waits until `look` finds something; it is asked at once and then in each turn.
   *
   * @returns what it found
   * @throws what `look` and `options.work` throw; the signal's reason; {@link IdleError}
   */
  until<T>(look: () => T | null, { signal, idleMs = Infinity, work }: WaitOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#broken !== null) throw this.#broken.error;
      // The last time that something was done, and when that will be too long ago.
      let lastMs = 0;
      let idle: NodeJS.Timeout | undefined;
      const end = (): void => {
        clearTimeout(idle);
        signal?.removeEventListener('abort', aborted);
        this.#waiters.delete(turn);
        this.#failures.delete(fail);
        // Whoever waited goes on now.
        this.#loop.nudge();
      };
      const fail = (error: unknown): void => {
        end();
        reject(error);
      };
      const aborted = (): void => fail(signal?.reason);
      const wait = (ms: number): void => {
        idle = setTimeout(() => {
          const leftMs = lastMs + idleMs - performance.now();
          if (leftMs > 0) wait(leftMs);
          else fail(new IdleError(`nothing happened for ${idleMs} ms`));
        }, ms);
      };
      const turn = (): number => {
        try {
          signal?.throwIfAborted();
          const done = work?.() ?? 0;
          const found = look();
          if (found !== null) {
            end();
            resolve(found);
            return done + 1;
          }
          if (done > 0 && idleMs !== Infinity) lastMs = performance.now();
          return done;
        } catch (error) {
          fail(error);
          return 1;
        }
      };
      this.#waiters.add(turn);
      this.#failures.add(fail);
      if (idleMs !== Infinity) {
        lastMs = performance.now();
        wait(idleMs);
      }
      signal?.addEventListener('abort', aborted);
      turn();
      this.#loop.nudge();
    });
  }

  /** Has everybody who waits look again, since something has changed that neither adapter nor provider knows of. */
  nudge(): void {
    this.#loop.nudge();
  }

  /**
   * Lets closed sockets finish, then stops host and loop and closes the journal. Connections that are open are ended.
   * The adapter may hold the process a little longer, until its peers have ended their part, too.
   *
   * @throws what had broken the loop
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#finish();
    return this.#stopped;
  }

  async #finish(): Promise<void> {
    const { host } = this;
    try {
      // Each takes no longer than the provider's closeMs.
      await this.until(() => (host.provider.inventory().sockets <= host.openSockets ? true : null));
      host.stop();
      host.provider.closeJournal();
    } finally {
      this.#stop.abort();
      await this.#running;
    }
  }

  #turn(): number {
    let done = this.host.poll();
    for (const waiter of this.#waiters) done += waiter();
    return done;
  }
}
