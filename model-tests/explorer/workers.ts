/**
 * Workers: the threads of a search beside the one that adds states.
 *
 * Theory of operation: states are claimed in blocks, in order, by a compare-and-exchange; a thread expands its block in
 * memory of its own, which all can read, and the thread that adds states takes up the blocks in the order of their
 * states. So it can be found only in the clock how many threads there were. When the store has grown, the workers are
 * given its new arrays before their next claim; until then they look states up in the old ones.
 *
 * A thread that has done with a search waits a little for the next one: to begin, to load all this and to have a world's
 * successors optimised is a second of work. One that nobody asks for ends, and lets go of the memory that it has shared.
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

/** What a thread of ours is doing, in a word that it shares with the one that adds states. */
export const Phase = { idle: 0, busy: 1, over: 2 } as const;

/** What a thread is made with. */
export interface ThreadStart {
  /** {@link Phase}. */
  readonly phase: Int32Array;
  /** Sends each search's {@link WorkerStart}, then {@link Grown}; gets why a search has failed here. */
  readonly port: MessagePort;
}

/** What a worker begins a search with. */
export interface WorkerStart {
  readonly task: SearchTask;
  readonly number: number;
  readonly control: Int32Array;
  readonly known: Int32Array;
  readonly memory: StoreMemory;
  readonly version: number;
  /** Memory of its blocks. */
  readonly blocks: readonly SharedArrayBuffer[];
  /** How often each rule has happened here; behind them the CPU seconds that this search, and what led to it, took here. */
  readonly figures: Float64Array;
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

/** A thread for one search after another. */
interface Thread {
  readonly phase: Int32Array;
  readonly port: MessagePort;
}

/** All that have been begun and are not over. */
let threads: Thread[] = [];

function begin(): Thread {
  const phase = new Int32Array(new SharedArrayBuffer(4));
  Atomics.store(phase, 0, Phase.busy);
  const { port1, port2 } = new MessageChannel();
  // The same file as this one is: TypeScript in the repository, JavaScript in a build.
  const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: { phase, port: port2 } satisfies ThreadStart,
    transferList: [port2],
    execArgv: [],
  });
  worker.unref();
  port1.unref();
  const thread = { phase, port: port1 };
  threads.push(thread);
  return thread;
}

/** `count` threads that do nothing else. */
function engage(count: number): Thread[] {
  for (const { phase, port } of threads) if (Atomics.load(phase, 0) === Phase.over) port.close();
  threads = threads.filter(({ phase }) => Atomics.load(phase, 0) !== Phase.over);
  const idle = threads.filter(({ phase }) => Atomics.load(phase, 0) === Phase.idle);
  return Array.from({ length: count }, () => {
    for (let thread = idle.shift(); thread !== undefined; thread = idle.shift()) {
      const { phase } = thread;
      if (Atomics.compareExchange(phase, 0, Phase.idle, Phase.busy) !== Phase.idle) continue;
      // What is left there is of an older search.
      while (receiveMessageOnPort(thread.port) !== undefined);
      return thread;
    }
    return begin();
  });
}

/** The workers of one search. */
export class WorkerPool {
  readonly blocks: readonly Block[];
  readonly #control: Int32Array;
  readonly #threads: readonly Thread[];
  readonly #figures: readonly Float64Array[];

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
    this.#threads = engage(count);
    this.#figures = this.#threads.map(() => new Float64Array(new SharedArrayBuffer(8 * (rules + 1))));
    this.blocks = this.#threads.flatMap(({ phase, port }, number) => {
      const blocks = Array.from({ length: BLOCKS_EACH }, () => Block.memory(words, rules, properties, task.edges));
      const { memory, version } = store;
      const figures = this.#figures[number]!;
      port.postMessage({ task, number, control, known, memory, version, blocks, figures } satisfies WorkerStart);
      Atomics.notify(phase, 0);
      return blocks.map((each) => new Block(each, words, rules, properties, task.edges));
    });
  }

  /** Gives the workers the store's new arrays. */
  grow({ version, memory }: StateStore): void {
    if (this.#threads.length === 0) return;
    for (const { port } of this.#threads) port.postMessage({ version, memory } satisfies Grown);
    Atomics.store(this.#control, Control.version, version);
  }

  /** @throws Error with what a worker has failed with */
  check(): void {
    const failed = Atomics.load(this.#control, Control.failed);
    if (failed === 0) return;
    const message = receiveMessageOnPort(this.#threads[failed - 1]!.port)?.message as string | undefined;
    if (message !== undefined) throw new Error(`worker ${failed} of the search failed: ${message}`);
  }

  /** How often rule `rule` happened in the workers. */
  fired(rule: number): number {
    return this.#figures.reduce((sum, figures) => sum + figures[rule]!, 0);
  }

  /** CPU seconds of each worker so far, as of its last block. */
  get cpuSeconds(): readonly number[] {
    return this.#figures.map((figures) => figures.at(-1)!);
  }

  /** Ends the search in the workers. */
  stop(): void {
    Atomics.store(this.#control, Control.stop, 1);
    Atomics.notify(this.#control, Control.available);
    for (const { head } of this.blocks) Atomics.notify(head, Head.status);
  }
}
