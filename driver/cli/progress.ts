/** Progress of a transfer, on a terminal. */

import { SingleBar } from 'cli-progress';

import { rateText } from './command.ts';

/** Redrawn at most so often. */
const REDRAW_MS = 100;
/** A shorter transfer shows nothing. */
const PATIENCE_MS = 300;

/** A bar with a rate; does nothing where standard error is no terminal. */
export class Progress {
  readonly #size: number;
  readonly #bar: SingleBar | null;
  readonly #startMs = performance.now();
  #nextMs = this.#startMs + PATIENCE_MS;
  #isShown = false;

  /** @param quiet - show nothing, whatever standard error is */
  constructor(what: string, size: number, quiet = false) {
    this.#size = size;
    this.#bar =
      quiet || !process.stderr.isTTY || size === 0
        ? null
        : new SingleBar({
            format: `${what} [{bar}] {percentage}% {rate}`,
            stream: process.stderr,
            clearOnComplete: true,
            hideCursor: true,
          });
  }

  /** @param done - bytes so far, of the size */
  update(done: number): void {
    if (this.#bar === null) return;
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + REDRAW_MS;
    if (!this.#isShown) this.#bar.start(this.#size, 0, { rate: '' });
    this.#isShown = true;
    this.#bar.update(done, { rate: rateText(done, (nowMs - this.#startMs) / 1e3) });
  }

  stop(): void {
    if (this.#isShown) this.#bar?.stop();
  }
}
