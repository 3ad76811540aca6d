/**
 * One RDMA device in use: its limits, its completion queues, what it wakes us by.
 *
 * Theory of operation: many queue pairs share a completion queue, so that polling and arming cost the same for one
 * connection as for hundreds. A queue is never shared by more than it has room for: each queue pair reserves room for all
 * that it can have posted. What a destroyed queue pair has left in it takes its room until the queue has been found empty,
 * and until then its connector's number names nothing else.
 */

import type { QueueDepths } from '../adapter.ts';
import { type DeviceInfo, type Shared, type Shim, type ShimEvent, watch } from './bindings.ts';

/** Entries of a device's first completion queue; each further one is twice the size, up to the largest. */
const FIRST_QUEUE_ENTRIES = 4096;
const LARGEST_QUEUE_ENTRIES = 65_536;
/** Messages up to this size are copied into the work request, where the device can. */
const INLINE_BYTES = 64;

/** Of siw, which has no hardware: "bmt", as its kernel module has it. */
const SIW_VENDOR = 0x62_6d74;

/** A claim on a completion queue, by a queue pair. */
export interface Claim {
  readonly queue: CompletionQueue;
  readonly entries: number;
}

class CompletionQueue {
  readonly handle: number;
  readonly #entries: number;
  #claimed = 0;
  /** Nothing completes in it any more. */
  hasFailed = false;

  constructor(handle: number, entries: number) {
    this.handle = handle;
    this.#entries = entries;
  }

  claim(entries: number): Claim | null {
    if (this.hasFailed || this.#claimed + entries > this.#entries) return null;
    this.#claimed += entries;
    return { queue: this, entries };
  }

  release(entries: number): void {
    this.#claimed -= entries;
  }
}

/**
 * Who uses each device, by its context: librdmacm opens a device once for a process, so its asynchronous events come in
 * one queue, and whoever reads one hands it to all.
 */
const users = new Map<number, Set<Device>>();

export class Device {
  readonly handle: number;
  readonly info: DeviceInfo;
  /** The id by whose being bound the device stays open. */
  readonly anchor: number;
  /** It flushes what is posted in error. siw keeps that; what was posted before, it has flushed when it is in error. */
  readonly flushesLate: boolean;
  /** What new queue pairs ask for; 0 once the device has refused. */
  inlineBytes = INLINE_BYTES;
  /** A completion queue has notified since the last look. */
  hasNotified = false;
  /** Something asynchronous has been told since the last look. */
  hasNews = false;
  /** It has been removed, or is about to be. */
  isGone = false;
  /** Nothing of it is held any more, and no handle of it may be used. */
  isClosed = false;
  readonly #shim: Shim;
  readonly #shared: Shared;
  readonly #queues: CompletionQueue[] = [];
  #watches: readonly { close(): void }[];
  /** Numbers and room of destroyed queue pairs, oldest first. */
  readonly #left: { readonly number: number; readonly claim: Claim; readonly emptyCount: number }[] = [];

  readonly #hear: (event: ShimEvent) => void;

  /**
   * @param shared - of the adapter that `handle` was made with
   * @param tell - `wake`: the device has something; `hear`: what was told, which can be another adapter's
   */
  constructor(
    shim: Shim,
    shared: Shared,
    handle: number,
    info: DeviceInfo,
    anchor: number,
    tell: { readonly wake: () => void; readonly hear: (event: ShimEvent) => void },
  ) {
    const { wake } = tell;
    this.#hear = tell.hear;
    this.#shared = shared;
    this.#shim = shim;
    this.handle = handle;
    this.info = info;
    this.flushesLate = info.vendor !== SIW_VENDOR;
    this.anchor = anchor;
    this.#watches = [
      watch(shim.wsd_device_fd(handle), () => {
        this.hasNotified = true;
        wake();
      }),
      watch(shim.wsd_device_async_fd(handle), () => {
        this.hasNews = true;
        wake();
      }),
    ];
    const others = users.get(info.verbs);
    if (others === undefined) users.set(info.verbs, new Set([this]));
    else others.add(this);
  }

  /** Takes the asynchronous events that there are. */
  takeNews(): void {
    this.hasNews = false;
    while (this.#shim.wsd_next_async(this.handle) > 0) {
      const { event } = this.#shared;
      for (const user of users.get(this.info.verbs)!) user.#hear(event);
    }
  }

  /** Room for a queue pair's completions. @returns -errno when there is none */
  claim({ send, receive }: QueueDepths): Claim | number {
    // Each queue's marker as well; see wsd_qp_flush.
    const entries = send + receive + 2;
    for (const queue of this.#queues) {
      const claim = queue.claim(entries);
      if (claim !== null) return claim;
    }
    const largest = Math.min(LARGEST_QUEUE_ENTRIES, this.info.maxCompletions);
    const wanted = Math.min(largest, Math.max(entries, FIRST_QUEUE_ENTRIES * 2 ** this.#queues.length));
    const out = new BigUint64Array(1);
    // One thread reads them all; it is other queues, and other processes, that are to have other interrupts.
    const vector = process.pid + this.#queues.length;
    const status = this.#shim.wsd_cq_create(this.handle, wanted, vector, out);
    if (status < 0) return status;
    const queue = new CompletionQueue(Number(out[0]), wanted);
    this.#queues.push(queue);
    return queue.claim(entries) ?? -28;
  }

  /** Keeps the claim and the number of a destroyed queue pair until no completion can name it. */
  leave(number: number, claim: Claim): void {
    this.#left.push({ number, claim, emptyCount: this.#shim.wsd_cq_empty_count(claim.queue.handle) });
  }

  /** Gives back what nothing names any more. @param free - gets each number */
  settle(free: (number: number) => void): void {
    for (;;) {
      const [first] = this.#left;
      if (first === undefined) return;
      const { number, claim, emptyCount } = first;
      if (this.#shim.wsd_cq_empty_count(claim.queue.handle) === emptyCount) return;
      this.#left.shift();
      claim.queue.release(claim.entries);
      free(number);
    }
  }

  /** Has nobody else claim room in that queue. @returns it; null when it is another adapter's */
  loseQueue(handle: number): CompletionQueue | null {
    const queue = this.#queues.find((each) => each.handle === handle) ?? null;
    if (queue !== null) queue.hasFailed = true;
    return queue;
  }

  /** Gives all numbers back: its completion queues are about to be destroyed. @param free - gets each number */
  abandon(free: (number: number) => void): void {
    for (const { number } of this.#left.splice(0)) free(number);
  }

  /** Asks for a notification of the next completion. @returns -errno when that isn't possible */
  arm(): number {
    return this.#shim.wsd_arm(this.handle);
  }

  /** Takes what notifications there are. */
  disarm(): void {
    this.hasNotified = false;
    this.#shim.wsd_disarm(this.handle);
  }

  /** Hears nothing any more. */
  retire(): void {
    for (const each of this.#watches) each.close();
    this.#watches = [];
    const rest = users.get(this.info.verbs);
    rest?.delete(this);
    if (rest?.size === 0) users.delete(this.info.verbs);
  }

  /** Its queue pairs, regions and protection domains are gone. */
  close(): void {
    this.isClosed = true;
    this.retire();
    for (const queue of this.#queues) this.#shim.wsd_cq_destroy(queue.handle);
    this.#shim.wsd_device_close(this.handle);
    this.#shim.wsd_id_destroy(this.anchor);
  }
}
