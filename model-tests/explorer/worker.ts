/** A worker thread of a search: expands blocks until the search is over. */

import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Block, BlockStatus, Expander, Head } from './expander.ts';
import { StateStore } from './store.ts';
import { claim, Control, type Grown, type WorkerStart } from './workers.ts';

const { task, number, control, known, memory, version, blocks: shared, fired, port } = workerData as WorkerStart;

function run(): void {
  const store = new StateStore(memory, { numbered: task.edges, shared: true });
  const expander = new Expander(task, () => store, known);
  const { successors, layout } = expander;
  const counts = new Float64Array(fired);
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
    counts.set(expander.fired);
    Atomics.store(block.head, Head.status, BlockStatus.done);
    Atomics.add(control, Control.progress, 1);
    Atomics.notify(control, Control.progress);
    turn = (turn + 1) % blocks.length;
  }
}

try {
  run();
} catch (error) {
  Atomics.store(control, Control.failed, number + 1);
  port.postMessage(String((error as Error).stack ?? error));
  Atomics.add(control, Control.progress, 1);
  Atomics.notify(control, Control.progress);
}
