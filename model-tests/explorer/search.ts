/**
 * Search: the thread that adds states, alone or with workers.
 *
 * Theory of operation: breadth first. Blocks of states are expanded by whoever is free; their finds are added in the
 * order of the states and, for one state, of the rules. So states are numbered, and paths chosen, as in one thread: each
 * state's way there is the first in the order of rules among the shortest.
 */

import { EdgeStore } from './edges.ts';
import {
  Block,
  BLOCK_STATES,
  BlockStatus,
  Expander,
  FIND_WORDS,
  Head,
  HIT_WORDS,
  type SearchTask,
} from './expander.ts';
import { StateStore } from './store.ts';
import type { World } from './world.ts';
import { BLOCKS_EACH, claim, Control, WorkerPool } from './workers.ts';

/** How far a search is. */
export interface Progress {
  readonly states: number;
  /** States whose successors are known. */
  readonly expanded: number;
  readonly transitions: number;
  /** Steps to the farthest state so far. */
  readonly depth: number;
  readonly seconds: number;
  /** Bytes that states, table and transitions take. */
  readonly bytes: number;
}

/** Where a property was first broken, or shown; rule -1 when it is about a state. */
export interface Hit {
  readonly state: number;
  readonly rule: number;
}

/** What came of a search. */
export interface SearchResult {
  readonly expander: Expander;
  readonly store: StateStore;
  readonly edges: EdgeStore | null;
  readonly progress: Progress;
  /** By property. */
  readonly broken: readonly (Hit | null)[];
  readonly shown: readonly (Hit | null)[];
  /** A rule that broke the world: the search ended there. */
  readonly error: Hit | null;
  /** Whether states were taken for one. */
  readonly reduced: boolean;
  /** Whether every state was expanded. */
  readonly complete: boolean;
  /** How often each rule happened. */
  readonly fired: readonly number[];
  /** CPU seconds of each thread beside this one, from its beginning or its last search on. */
  readonly cpuSeconds: readonly number[];
}

export interface SearchOptions {
  readonly memoryMax: number;
  /** Threads, this one included. */
  readonly threads: number;
  /** Ends the search as soon as a state or transition breaks a property. */
  readonly stopWhenBroken: boolean;
  readonly prepare?: (world: World) => void;
}

/** Searches; yields now and then, with how far it is. @throws Error when a worker fails */
export function* search(task: SearchTask, options: SearchOptions): Generator<Progress, SearchResult> {
  const begun = performance.now();
  const known = new Int32Array(new SharedArrayBuffer(8 * Math.max(1, task.asked.length)));
  const expander = new Expander(
    task,
    (made) => StateStore.create(made.words, made.split, { numbered: task.edges, shared: options.threads > 1 }),
    known,
    options.prepare,
  );
  const { store, layout, successors } = expander;
  const { words } = layout;
  const control = new Int32Array(new SharedArrayBuffer(4 * Control.length));
  const edges = task.edges ? new EdgeStore() : null;
  const hits = [0, 1].map(() => task.asked.map((): Hit | null => null));
  const [broken, shown] = hits as [(Hit | null)[], (Hit | null)[]];
  const sizes = [words, successors.rules, task.asked.length, task.edges] as const;
  const mine = Array.from(
    { length: options.threads === 1 ? 1 : BLOCKS_EACH },
    () => new Block(Block.memory(...sizes), ...sizes),
  );

  const start = expander.initial();
  store.add(store.first.add(start, 0), store.second.add(start, layout.split), -1);
  const pool = new WorkerPool(options.threads - 1, task, { words, rules: successors.rules }, control, known, store);
  Atomics.store(control, Control.version, store.version);
  Atomics.store(control, Control.available, 1);

  const blocks = [...mine, ...pool.blocks];
  let expanded = 0;
  let transitions = 0;
  let depth = 0;
  let levelEnd = 1;
  let error: Hit | null = null;
  let stop = false;
  let complete = true;
  let version = store.version;
  const bytes = (): number => store.bytes + (edges?.bytes ?? 0);
  const progress = (): Progress => ({
    states: store.count,
    expanded,
    transitions,
    depth: store.count > levelEnd ? depth + 1 : depth,
    seconds: (performance.now() - begun) / 1000,
    bytes: bytes(),
  });

  /** Numbers of a block's finds, where transitions are noted. */
  const numbers = new Int32Array(BLOCK_STATES * successors.rules);
  const takeUp = (block: Block): void => {
    const { head, finds, fresh } = block;
    if (store.bytesFor(head[Head.finds]!) + 2 * (edges?.bytes ?? 0) > options.memoryMax) {
      complete = false;
      return;
    }
    let find = 0;
    for (let at = 0; at < head[Head.finds]! * FIND_WORDS; at += FIND_WORDS) {
      const parent = finds[at + 2]!;
      if (parent >= levelEnd) {
        depth++;
        levelEnd = store.count;
      }
      let first = finds[at]!;
      let second = finds[at + 1]!;
      if (first < 0) first = store.first.add(fresh, -1 - first);
      if (second < 0) second = store.second.add(fresh, -1 - second);
      const added = store.add(first, second, parent);
      numbers[find++] = added;
    }
    if (edges !== null) edges.take(block, numbers);
    for (let at = 0; at < head[Head.hits]! * HIT_WORDS; at += HIT_WORDS) {
      const [property, kind, state, rule] = block.hits.subarray(at, at + HIT_WORDS) as unknown as [
        number,
        number,
        number,
        number,
      ];
      if (hits[kind]![property] !== null) continue;
      hits[kind]![property] = { state, rule };
      known[2 * property + kind] = 1;
      if (kind === 0 && options.stopWhenBroken) stop = true;
    }
    transitions += head[Head.transitions]!;
    expanded = head[Head.end]!;
    if (head[Head.errorState]! >= 0) error = { state: head[Head.errorState]!, rule: head[Head.errorRule]! };
    Atomics.store(head, Head.status, BlockStatus.free);
    Atomics.notify(head, Head.status);
    if (store.version !== version) {
      version = store.version;
      pool.grow(store);
    }
    Atomics.store(control, Control.available, store.count);
    Atomics.notify(control, Control.available);
  };

  let shownMs = begun;
  try {
    while (expanded < store.count && error === null && !stop && complete) {
      if (performance.now() - shownMs > 50) {
        yield progress();
        shownMs = performance.now();
      }
      const progressed = Atomics.load(control, Control.progress);
      const ready = blocks.find(
        ({ head }) => Atomics.load(head, Head.status) === BlockStatus.done && head[Head.start] === expanded,
      );
      const free = ready === undefined ? mine.find(({ head }) => head[Head.status] === BlockStatus.free) : undefined;
      if (ready !== undefined) takeUp(ready);
      else if (free !== undefined && claim(control, free)) {
        expander.expand(free);
        Atomics.store(free.head, Head.status, BlockStatus.done);
      } else Atomics.wait(control, Control.progress, progressed, 20);
      pool.check();
    }
  } finally {
    pool.stop();
  }
  if (error !== null || stop) complete = false;
  return {
    expander,
    store,
    edges,
    progress: progress(),
    broken,
    shown,
    error,
    reduced: task.reductions.dead || expander.canonicalizer !== null,
    complete,
    fired: Array.from(expander.fired, (count, rule) => count + pool.fired(rule)),
    cpuSeconds: pool.cpuSeconds,
  };
}

/** Rules that lead to `state`, or to one for which it stands, which is `end`: at each step the first that does. */
export function pathTo({ expander, store }: SearchResult, state: number): { rules: number[]; end: Int32Array } {
  const { words } = expander.layout;
  const end = new Int32Array(words);
  expander.successors.initial(end, 0);
  const goal = new Int32Array(words);
  const rules = store
    .path(state)
    .slice(1)
    .map((next) => {
      store.load(next, goal, 0);
      return expander.follow(end, goal);
    });
  return { rules, end };
}
