/** Overlapped requests of one kind that are started again and again, and complete in order. */

import { WsaOverlapped } from '../../../driver/spi.ts';
import { WSS_OPERATION_IN_PROGRESS } from '../../../machines/index.ts';

export class Requests {
  readonly #overlapped: readonly WsaOverlapped[];
  readonly #start: (overlapped: WsaOverlapped, index: number) => void;
  #oldest = 0;
  #next = 0;
  /** Started and not taken yet. */
  pending = 0;

  /**
   * @param count - most that are pending at once
   * @param start - makes the call, which answers that the request is pending
   */
  constructor(count: number, start: (overlapped: WsaOverlapped, index: number) => void) {
    this.#overlapped = Array.from({ length: count }, () => {
      const overlapped = new WsaOverlapped();
      // Its completion is read, not told.
      overlapped.hEvent = 1n;
      return overlapped;
    });
    this.#start = start;
  }

  get isFull(): boolean {
    return this.pending === this.#overlapped.length;
  }

  start(): void {
    const index = this.#next;
    this.#next = index + 1 === this.#overlapped.length ? 0 : index + 1;
    this.pending++;
    this.#start(this.#overlapped[index]!, index);
  }

  /** Takes the oldest if it has completed. @throws Error when it failed */
  take(): boolean {
    if (this.pending === 0) return false;
    const { words } = this.#overlapped[this.#oldest]!;
    if (words[0] === WSS_OPERATION_IN_PROGRESS) return false;
    if (words[5] !== 0) throw new Error(`a request ended with ${words[5]}`);
    this.#oldest = this.#oldest + 1 === this.#overlapped.length ? 0 : this.#oldest + 1;
    this.pending--;
    return true;
  }
}
