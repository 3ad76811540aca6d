/** A thread that has a part in searches, one after another: expands blocks until a search is over. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Block, BlockStatus, Expander, Head } from './expander.ts';
import { StateStore } from './store.ts';
import { claim, Control, type Grown, Phase, type ThreadStart, type WorkerStart } from './workers.ts';

/** Milliseconds for which a thread waits for the next search. */
const IDLE_MS = 60_000;

const { phase, port } = workerData as ThreadStart;
// A search's arrays live until each thread has noticed that it needs them no more, and one that waits notices nothing.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

/** @param begun - CPU seconds of this thread that are not this search's */
function expandAll(start: WorkerStart, begun: number): void {
  const { task, control, known, memory, version, blocks: shared, figures } = start;
  const store = new StateStore(memory, { numbered: task.edges, shared: true });
  const expander = new Expander(task, () => store, known);
  const { successors, layout } = expander;
  const blocks = shared.map((each) => new Block(each, layout.words, successors.rules, task.asked.length, task.edges));
  let mine = version;
  for (let turn = 0; ; ) {
    if (Atomics.load(control, Control.stop) === 1) return;
    const block = blocks[turn]!;
    if (Atomics.load(block.head, Head.status) !== BlockStatus.free) {
      // Nobody has taken it up yet.
      Atomics.wait(block.head, Head.status, BlockStatus.done, 50);
      continue;
    }
    const available = Atomics.load(control, Control.available);
    if (!claim(control, block)) {
      Atomics.wait(control, Control.available, available, 50);
      continue;
    }
    while (mine !== Atomics.load(control, Control.version)) {
      const received = receiveMessageOnPort(port)?.message as Grown | undefined;
      if (received === undefined) continue;
      mine = received.version;
      Object.assign(store.memory, received.memory);
      Object.assign(store.first.memory, received.memory.first);
      Object.assign(store.second.memory, received.memory.second);
    }
    expander.expand(block);
    figures.set(expander.fired);
    figures[expander.fired.length] = cpuSeconds() - begun;
    Atomics.store(block.head, Head.status, BlockStatus.done);
    Atomics.add(control, Control.progress, 1);
    Atomics.notify(control, Control.progress);
    turn = (turn + 1) % blocks.length;
  }
}

/** Has its part in the search that this thread is engaged for. */
function search(begun: number): void {
  let start: WorkerStart | undefined;
  while (start === undefined) start = receiveMessageOnPort(port)?.message as WorkerStart | undefined;
  const { control, number } = start;
  try {
    expandAll(start, begun);
  } catch (error) {
    Atomics.store(control, Control.failed, number + 1);
    port.postMessage(String((error as Error).stack ?? error));
    Atomics.add(control, Control.progress, 1);
    Atomics.notify(control, Control.progress);
    while (Atomics.load(control, Control.stop) === 0) Atomics.wait(control, Control.stop, 0, 50);
  }
  // Arrays that nobody looks into any more.
  while (receiveMessageOnPort(port) !== undefined);
}

// What it takes to get here is the first search's.
for (let begun = 0; Atomics.load(phase, 0) !== Phase.over; begun = cpuSeconds()) {
  search(begun);
  collect();
  Atomics.store(phase, 0, Phase.idle);
  while (Atomics.load(phase, 0) === Phase.idle) {
    if (Atomics.wait(phase, 0, Phase.idle, IDLE_MS) !== 'timed-out') continue;
    Atomics.compareExchange(phase, 0, Phase.idle, Phase.over);
  }
}
