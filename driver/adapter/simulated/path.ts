import type { Host } from './host.ts';
import type { Random } from './random.ts';

/**
 * One way from one connection end to the other for one kind of message. Delays vary, yet nothing overtakes on one
 * path; different paths, of the same connection too, don't wait for each other.
 */
export class Path {
  readonly #host: Host;
  readonly #random: Random;
  readonly #delayNs: number;
  #freeNs = 0;
  /** When the last message arrives or arrived. */
  lastArrivalNs = 0;

  /** @param delayNs - on top of the network's latency */
  constructor(host: Host, random: Random, delayNs: number) {
    this.#host = host;
    this.#random = random;
    this.#delayNs = delayNs;
  }

  /** When a message of `byteCount` bytes that leaves now arrives. */
  arrivalNs(byteCount: number): number {
    const { nowNs, settings } = this.#host.fabric;
    this.#freeNs = Math.max(nowNs, this.#freeNs) + Math.ceil((byteCount * 1e9) / settings.bandwidth);
    const delayNs = settings.latencyNs + this.#delayNs + this.#random.upTo(settings.jitterNs);
    this.lastArrivalNs = Math.max(this.lastArrivalNs, this.#freeNs + delayNs);
    return this.lastArrivalNs;
  }
}
