/**
 * Workers: the threads of a search beside the one that adds states.
 *
 * Theory of operation: states are claimed in blocks, in order, by a compare-and-exchange; a thread expands its block in
 * memory of its own, which all can read, and the thread that adds states takes up the blocks in the order of their
 * states. So it can be found only in the clock how many threads there were. When the store has grown, the workers are
 * given its new arrays before their next claim; until then they look states up in the old ones.
 */

import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { Block, BLOCK_STATES, BlockStatus, Head, type SearchTask } from './expander.ts';
import type { StateStore, StoreMemory } from './store.ts';

/** Places in the control words that all threads share. */
export const Control = {
  /** First state that nobody has claimed. */
  next: 0,
  /** States that can be claimed. */
  available: 1,
  /** {@link StateStore.version} that the workers have been sent. */
  version: 2,
  /** 1: the search is over. */
  stop: 3,
  /** Counts finished blocks, and whatever else the adding thread waits for. */
  progress: 4,
  /** Number of the worker that has failed, plus 1. */
  failed: 5,
  length: 6,
} as const;

/** Blocks that each thread can have finished before they are taken up. */
export const BLOCKS_EACH = 4;

/** What a worker is started with. */
export interface WorkerStart {
  readonly task: SearchTask;
  readonly number: number;
  readonly control: Int32Array;
  readonly known: Int32Array;
  readonly memory: StoreMemory;
  readonly version: number;
  /** Memory of its blocks. */
  readonly blocks: readonly SharedArrayBuffer[];
  readonly fired: SharedArrayBuffer;
  readonly port: MessagePort;
}

/** What a worker is sent when the store has grown. */
export interface Grown {
  readonly version: number;
  readonly memory: StoreMemory;
}

/** Claims the next states for `block`. @returns whether there were any */
export function claim(control: Int32Array, block: Block): boolean {
  for (;;) {
    const next = Atomics.load(control, Control.next);
    const available = Atomics.load(control, Control.available);
    if (next >= available) return false;
    // Small blocks while there are few states, that all threads have some.
    const end = Math.min(available, next + Math.max(1, Math.min(BLOCK_STATES, (available - next) >> 2)));
    if (Atomics.compareExchange(control, Control.next, next, end) !== next) continue;
    block.head[Head.start] = next;
    block.head[Head.end] = end;
    Atomics.store(block.head, Head.status, BlockStatus.claimed);
    return true;
  }
}

/** The workers of one search. */
export class WorkerPool {
  readonly blocks: readonly Block[];
  readonly #control: Int32Array;
  readonly #ports: readonly MessagePort[];
  readonly #fired: readonly Float64Array[];

  constructor(
    count: number,
    task: SearchTask,
    sizes: { readonly words: number; readonly rules: number },
    control: Int32Array,
    known: Int32Array,
    store: StateStore,
  ) {
    this.#control = control;
    const { words, rules } = sizes;
    const properties = task.asked.length;
    const blocks: Block[] = [];
    const ports: MessagePort[] = [];
    const fired: Float64Array[] = [];
    for (let number = 0; number < count; number++) {
      const memory = Array.from({ length: BLOCKS_EACH }, () => Block.memory(words, rules, properties, task.edges));
      const counts = new SharedArrayBuffer(8 * rules);
      const { port1, port2 } = new MessageChannel();
      const start: WorkerStart = {
        task,
        number,
        control,
        known,
        memory: store.memory,
        version: store.version,
        blocks: memory,
        fired: counts,
        port: port2,
      };
      // The same file as this one is: TypeScript in the repository, JavaScript in a build.
      const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
      const worker = new Worker(new URL(file, import.meta.url), {
        workerData: start,
        transferList: [port2],
        execArgv: [],
      });
      worker.unref();
      port1.unref();
      ports.push(port1);
      fired.push(new Float64Array(counts));
      blocks.push(...memory.map((each) => new Block(each, words, rules, properties, task.edges)));
    }
    this.blocks = blocks;
    this.#ports = ports;
    this.#fired = fired;
  }

  /** Gives the workers the store's new arrays. */
  grow({ version, memory }: StateStore): void {
    if (this.#ports.length === 0) return;
    for (const port of this.#ports) port.postMessage({ version, memory } satisfies Grown);
    Atomics.store(this.#control, Control.version, version);
  }

  /** @throws Error with what a worker has failed with */
  check(): void {
    const failed = Atomics.load(this.#control, Control.failed);
    if (failed === 0) return;
    const message = receiveMessageOnPort(this.#ports[failed - 1]!)?.message as string | undefined;
    if (message !== undefined) throw new Error(`worker ${failed} of the search failed: ${message}`);
  }

  /** How often rule `rule` happened in the workers. */
  fired(rule: number): number {
    return this.#fired.reduce((sum, counts) => sum + counts[rule]!, 0);
  }

  /** Ends the workers. */
  stop(): void {
    Atomics.store(this.#control, Control.stop, 1);
    Atomics.notify(this.#control, Control.available);
    for (const port of this.#ports) port.close();
  }
}
