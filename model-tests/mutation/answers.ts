/**
 * When two answers of a machine to one question are the same, for all that anybody can tell.
 *
 * Theory of operation: a mutant that answers every question as the original does leads to the same states by the same
 * edges: no test can find it. That is more than equal tables. Of several answers to one call the first stands; what does
 * nothing when it is done again at once says nothing; the memory of a machine that is over is nobody's; and two effects
 * that touch nothing in common can be done in either order. What an effect touches is data here, with who says so.
 */

import type { CompiledMachine, MachineName } from '../../machines/index.ts';
import type { Step, StepEffect } from '../steps/index.ts';

/** Effects that done twice in a row are as done once, and who says so. */
const idempotent: Readonly<Record<string, string>> = {
  disconnect: 'harmless when called twice (driver/adapter/adapter.ts)',
  destroyConnector: 'without a connector there is nothing to destroy (driver/perform.ts)',
  stopTimer: "no effect when it isn't running (driver/clock.ts)",
  leaveQueue: 'who is in no list leaves none (machines/router.ts)',
  leaveOrder: 'the same',
  freeBuffers: 'what was freed is not there any more (driver/perform.ts)',
  releaseBuffers: 'pins are taken as they are released (machines/router.ts)',
  ignored: 'nothing',
};

/**
 * What the performance of an effect reads or changes. An effect that isn't here depends on every other: it makes an
 * up-call, inside of which the switch may do anything, or moves machines that may.
 */
const touches: Readonly<Partial<Record<MachineName, Readonly<Record<string, readonly string[]>>>>> = {
  socket: {
    // Kept until the call returns; calls inside up-calls have their own (driver/dispatcher.ts).
    answer: ['answer'],
    ignored: [],
    // It expires in a later turn, or never (driver/clock.ts).
    startTimer: ['timer'],
    stopTimer: ['timer'],
    // The adapter tells later, by events.
    disconnect: ['connector'],
    destroyConnector: ['connector', 'queues'],
    stopListening: ['listener'],
    // Blanks a record (machines/network-events.ts); nobody is called.
    stopEvents: ['record'],
    // Nothing is pending before there is a connection.
    openQueues: ['queues'],
    openQueuesPaused: ['queues'],
    // Requests wait; nothing is posted, ends or is reported.
    suspendQueues: ['queues'],
  },
  connectionRequest: {
    answer: ['answer'],
    ignored: [],
    rejectConnection: ['arrival'],
    leaveQueue: ['queue'],
    forget: ['arrival', 'queue'],
  },
  overlappedRequest: {
    answer: ['answer'],
    ignored: [],
    markPending: ['structure'],
    unmarkPending: ['structure'],
    publish: ['structure'],
    // Counts of registrations (machines/registered-buffer.ts); nobody waits for them.
    releaseBuffers: ['registrations'],
    requestNotification: ['turns'],
  },
  registeredBuffer: {
    answer: ['answer'],
    deregisterRegion: ['region'],
    forget: ['region'],
  },
  networkEvents: { answer: ['answer'], ignored: [] },
  requestQueue: { answer: ['answer'], ignored: [], queueDrained: ['socket'], pump: ['queue'] },
  provider: { answer: ['answer'], ignored: [] },
};
/** Effects whose performance may answer the call first. */
const answering = ['startRequest', 'pairRequest', 'postWork'];

function isIndependent(machine: MachineName, one: string, other: string): boolean {
  const [left, right] = [touches[machine]?.[one], touches[machine]?.[other]];
  if (one === other) return false;
  if (left !== undefined && right !== undefined) return !left.some((name) => right.includes(name));
  // An up-call, or whatever else, leaves the answer of this call alone, unless it gives one.
  const isAnswer = (name: string): boolean => name === 'answer' || name === 'ignored';
  return (isAnswer(one) && !answering.includes(other)) || (isAnswer(other) && !answering.includes(one));
}

const said = ({ name, args }: StepEffect): string => `${name}(${Object.values(args)})`;

/** Effects of a step without those that say nothing. */
function telling({ effects }: Step): readonly StepEffect[] {
  const kept: StepEffect[] = [];
  for (const effect of effects) {
    if (effect.name === 'ignored') continue;
    if (effect.name === 'answer' && kept.some(({ name }) => name === 'answer')) continue;
    const last = kept.at(-1);
    if (last !== undefined && effect.name in idempotent && said(last) === said(effect)) continue;
    kept.push(effect);
  }
  return kept;
}

/** How two steps from one place differ. */
export type Difference = 'none' | 'order' | 'real';

/** Compares what two machines did with one question; `order`: only by an order of effects that nobody can tell. */
export function compare(machine: CompiledMachine, one: Step, other: Step): Difference {
  if (one.refused || other.refused) return one.refused === other.refused ? 'none' : 'real';
  const isOver = machine.final[machine.configurations.indexOf(one.to)] === 1;
  const sameMemory = isOver || machine.fields.every(({ name }) => one.after[name] === other.after[name]);
  if (one.to !== other.to || !sameMemory) return 'real';
  const [left, right] = [telling(one), telling(other)];
  const texts = [left.map(said), right.map(said)] as const;
  if (texts[0].join() === texts[1].join()) return 'none';
  const sorted = texts.map((list) => [...list].sort().join());
  if (sorted[0] !== sorted[1]) return 'real';
  // Equal up to exchanges of independent neighbours: each two that depend on each other come in one order.
  const names = [...new Set(left.map(({ name }) => name))];
  const projection = (list: readonly StepEffect[], pair: readonly string[]): string =>
    list
      .filter(({ name }) => pair.includes(name))
      .map(said)
      .join();
  const ordered = names.every((first, at) =>
    names
      .slice(at)
      .every(
        (second) =>
          isIndependent(machine.name as MachineName, first, second) ||
          projection(left, [first, second]) === projection(right, [first, second]),
      ),
  );
  return ordered ? 'order' : 'real';
}
