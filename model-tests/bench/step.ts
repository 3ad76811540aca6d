/** What a step costs: the tables against XState, bare against journalled. */

import { type AnyStateMachine, createActor, transition } from 'xstate';
import { Journal } from '../../driver/index.ts';
import {
  compile,
  compileMachines,
  defineMachines,
  digestOf,
  type EffectSink,
  type MachineName,
  MachineRows,
  productionLimits,
  snapshotOf,
  System,
} from '../../machines/index.ts';
import { type Figure, liveBytes, nanoseconds } from './measure.ts';

/** A cycle of events that leads a machine back to where it was, so that it can be repeated for ever. */
interface Cycle {
  readonly machine: MachineName;
  readonly what: string;
  /** Leads a new machine to where the cycle begins. */
  readonly before: readonly object[];
  readonly events: readonly object[];
}

const request = { request: 1, polled: 1, fence: 0, pieces: 1, refusal: 0 };
const cycles: readonly Cycle[] = [
  {
    machine: 'requestQueue',
    what: 'admit a request, get its place back, retire it',
    before: [{ type: 'socket.opened', first: 0 }],
    events: [{ type: 'queue.admit', ...request }, { type: 'request.creditReturned' }, { type: 'request.retired' }],
  },
  {
    machine: 'socket',
    what: 'WSPSend while connected',
    before: [
      { type: 'spi.socket' },
      { type: 'upcall.handleCreated' },
      { type: 'spi.bind' },
      { type: 'spi.connect' },
      { type: 'adapter.connectStarted' },
      { type: 'adapter.established' },
    ],
    events: [{ type: 'spi.send', ...request }],
  },
];

const STEPS = 10_000_000;

export async function stepFigures(report: (line: string) => void): Promise<Figure[]> {
  const definitions = defineMachines(productionLimits);
  const figures: Figure[] = [];
  for (const { machine: name, what, before, events } of cycles) {
    const { machine, contract } = definitions[name];
    const table = await tableStep(name, before, events, report);

    let snapshot = transition(machine as AnyStateMachine, initial(machine), before[0] as never)[0];
    for (const event of before.slice(1)) snapshot = transition(machine as AnyStateMachine, snapshot, event as never)[0];
    const pure = await nanoseconds(() => {
      for (const event of events) snapshot = transition(machine as AnyStateMachine, snapshot, event as never)[0];
      return snapshot;
    }, events.length);

    const actor = createActor(machine as AnyStateMachine).start();
    for (const event of before) actor.send(event as never);
    const sent = await nanoseconds(() => {
      for (const event of events) actor.send(event as never);
    }, events.length);

    void contract;
    const step = { what: `table step: ${what}`, value: table, unit: 'ns' };
    figures.push({ ...step, peer: "XState's transition()", peerValue: pure, bound: 1 / 200 });
    figures.push({ ...step, peer: "XState's actor.send()", peerValue: sent, bound: 1 / 100 });
  }
  figures.push(await journalFigure());
  return figures;
}

const initial = (machine: AnyStateMachine) => createActor(machine).getSnapshot();

async function tableStep(
  name: MachineName,
  before: readonly object[],
  events: readonly object[],
  report: (line: string) => void,
): Promise<number> {
  const { machine, contract } = defineMachines(productionLimits)[name];
  const sink: EffectSink = { buffer: new Float64Array(1024), top: 0 };
  const rows = new MachineRows(compile(machine, contract), 0, sink);
  rows.ensure(0);
  const calls = [...before, ...events].map((event) => {
    const { type, ...given } = event as { type: string } & Record<string, number>;
    const index = rows.machine.events.findIndex((candidate) => candidate.name === type);
    const values = rows.machine.events[index]!.parameters.map((parameter) => given[parameter.name] ?? 0);
    return [index, ...values, 0, 0, 0, 0, 0].slice(0, 6) as [number, number, number, number, number, number];
  });
  const run = (from: number, to: number): void => {
    for (let at = from; at < to; at++) {
      const [event, p0, p1, p2, p3, p4] = calls[at]!;
      rows.step(0, event, p0, p1, p2, p3, p4);
      sink.top = 0;
    }
  };
  run(0, before.length);
  // Many cycles in one measured call: a clock reading costs more than a step.
  const cyclesPerRun = 1000;
  const cost = await nanoseconds(() => {
    for (let cycle = 0; cycle < cyclesPerRun; cycle++) run(before.length, calls.length);
  }, cyclesPerRun * events.length);

  const heap = liveBytes();
  for (let done = 0; done < STEPS; done += events.length) run(before.length, calls.length);
  const grown = liveBytes() - heap;
  report(`${name}: heap growth over ${STEPS.toLocaleString('en')} steps: ${grown.toLocaleString('en')} bytes`);
  return cost;
}

/** A step of the whole system with its record in the flight recorder, against the same step alone. */
async function journalFigure(): Promise<Figure> {
  const machines = compileMachines(productionLimits);
  const prepared = () => {
    const system = new System(machines);
    const queue = 0;
    system.apply(system.eventId('requestQueue', 'socket.opened'), queue, 0);
    const fence = system.eventId('registeredBuffer', 'request.pinned');
    const unpin = system.eventId('registeredBuffer', 'request.unpinned');
    system.apply(system.eventId('registeredBuffer', 'spi.registerMemory'), 0);
    system.apply(system.eventId('registeredBuffer', 'adapter.registered'), 0);
    return { system, pin: fence, unpin };
  };
  const cyclesPerRun = 1000;
  const bare = prepared();
  const bareCost = await nanoseconds(() => {
    const { system, pin, unpin } = bare;
    for (let cycle = 0; cycle < cyclesPerRun; cycle++) {
      system.apply(pin, 0, 0);
      system.apply(unpin, 0);
      system.pins.take(0);
      system.effects.top = 0;
    }
  }, 2 * cyclesPerRun);
  const journalled = prepared();
  const journal = new Journal({
    mode: 'ring',
    metadata: {
      machinesDigest: digestOf(machines),
      limits: { ...productionLimits },
      createdBy: 'bench',
      adapter: 'none',
      host: 'bench',
      base: 'empty',
    },
    snapshot: () => snapshotOf(journalled.system),
  });
  const journalledCost = await nanoseconds(() => {
    const { system, pin, unpin } = journalled;
    for (let cycle = 0; cycle < cyclesPerRun; cycle++) {
      system.apply(pin, 0, 0);
      journal.append(pin, 0, 0, 0, 0, 0, 0, 0);
      system.apply(unpin, 0);
      journal.append(unpin, 0, 0, 0, 0, 0, 0, 0);
      system.pins.take(0);
      system.effects.top = 0;
    }
  }, 2 * cyclesPerRun);
  return {
    what: 'step and record in ring mode: pin and unpin a registration',
    value: journalledCost,
    unit: 'ns',
    peer: 'the step alone',
    peerValue: bareCost,
    bound: 2,
  };
}
