/**
 * Compares a machine's tables with XState, exhaustively.
 *
 * Method: breadth first over every reachable (configuration, memory), every event, every combination of representative
 * parameter values. XState says what must happen; what is made of the tables must do the same: accept or not, next
 * configuration, memory, effects with their arguments in order. Two things are: the stepper of one machine, and the
 * router's code, which steps the machines of a system; that is asked with routes by which every effect is the driver's.
 * Only what the environment can send is followed further.
 */

import {
  type CompiledMachine,
  contains,
  type EffectSink,
  EFFECT_STRIDE,
  MachineRows,
  Pins,
  representatives,
  routedStep,
  RowLists,
  type MachineDefinition,
  type NamedDomain,
  type Values,
} from '../../machines/index.ts';
import { isPossible, type Rule } from './environment.ts';
import { type Effect, type EventInstance, eventInstances, eventText, Reference, stateText } from './reference.ts';

/** One event in one state for which the tables and XState differ, or a range does not hold. */
export interface Difference {
  readonly machine: string;
  readonly state: string;
  readonly event: string;
  readonly what: string;
}

/** What was compared. */
export interface Comparison {
  /** Reachable (configuration, memory). */
  readonly states: number;
  /** (state, event with values) compared. */
  readonly tried: number;
  readonly accepted: number;
  /** Compared, though the rest of the system can't send it there; not followed. */
  readonly impossible: number;
  /** Not compared: can't be sent there, and would leave a declared range. */
  readonly skipped: number;
  readonly differences: readonly Difference[];
}

/** A state found, and an event that is accepted there. */
export type Visit = (value: unknown, context: Values, instance: EventInstance) => void;

/** How to compare. */
export interface ComparisonOptions {
  /** Stop after so many differences; 20 unless told. */
  readonly differencesMax?: number;
  /** Is told of every accepted event. */
  readonly visit?: Visit;
  /** Start in every state that the ranges allow, reachable or not; then no event counts as possible. */
  readonly everywhere?: boolean;
}

export function compareWithXState(
  definition: MachineDefinition,
  machine: CompiledMachine,
  rules: readonly Rule[],
  { differencesMax = 20, visit = () => {}, everywhere = false }: ComparisonOptions = {},
): Comparison {
  const reference = new Reference(definition);
  const sink: EffectSink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, sink);
  const instances = eventInstances(machine, representatives);
  const fieldNames = machine.fields.map(({ name }) => name);
  const initialMemory = machine.fields.map(({ initial: value }) => value);
  const inSystem = systemStep(machine);
  const configurationOf = new Map(machine.values.map((value, index) => [JSON.stringify(value), index]));

  let tried = 0;
  let accepted = 0;
  let impossible = 0;
  let skipped = 0;
  const differences: Difference[] = [];
  const report = (value: unknown, context: Values, instance: EventInstance, what: string) =>
    differences.push({
      machine: machine.name,
      state: stateText(value, context),
      event: eventText(instance),
      what,
    });

  const initial = reference.initial();
  const found: { readonly value: unknown; readonly context: Values }[] = everywhere
    ? everyState(machine)
    : [{ value: initial.value, context: initial.context as Values }];
  const known = new Set([stateKey(found[0]!.value, found[0]!.context)]);

  for (let at = 0; at < found.length && differences.length < differencesMax; at++) {
    const { value, context } = found[at]!;
    const configuration = configurationOf.get(JSON.stringify(value));
    if (configuration === undefined) {
      const event: EventInstance = { index: -1, params: [], event: { type: '(none)' } };
      report(value, context, event, 'XState reaches this configuration, the tables do not have it');
      continue;
    }
    const name = machine.configurations[configuration]!;
    const before = fieldNames.map((field) => context[field]!);
    const snapshot = reference.at(value, context);
    for (const instance of instances) {
      const possible = !everywhere && isPossible(rules, name, context, instance);
      const expected = reference.accepts(snapshot, instance.event) ? reference.step(snapshot, instance.event) : null;
      const next = expected === null ? context : (expected.snapshot.context as Values);
      const beyond = expected === null ? null : outOfRange(machine, next, expected.effects);
      if (beyond !== null && !possible) {
        skipped++;
        continue;
      }
      tried++;
      if (!possible) impossible++;
      if (beyond !== null) report(value, context, instance, beyond);

      rows.place(1, configuration, before);
      sink.top = 0;
      const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0] = instance.params;
      const told: Result = {
        accepted: expected !== null,
        configuration: JSON.stringify(expected === null ? value : expected.snapshot.value),
        memory: fieldNames.map((field) => next[field]!),
        effects: expected?.effects ?? [],
      };
      const took = rows.step(1, instance.index, p0, p1, p2, p3, p4) === 1;
      const what = difference(told, { accepted: took, ...stateOf(rows), effects: effectsIn(machine, sink) });
      if (what !== null) report(value, context, instance, what);

      const isOver = expected !== null && machine.final[configurationOf.get(told.configuration) ?? 0] === 1;
      const routed = difference(
        // A system's row whose machine is over is new.
        isOver ? { ...told, configuration: JSON.stringify(machine.values[0]), memory: initialMemory } : told,
        inSystem(configuration, before, instance),
      );
      if (routed !== null) report(value, context, instance, `routed, ${routed}`);
      if (differences.length >= differencesMax) break;

      if (expected === null) continue;
      accepted++;
      visit(value, context, instance);
      if (!possible || beyond !== null) continue;
      const key = stateKey(expected.snapshot.value, next);
      if (known.has(key)) continue;
      known.add(key);
      found.push({ value: expected.snapshot.value, context: next });
    }
  }
  return { states: found.length, tried, accepted, impossible, skipped, differences };
}

const stateOf = (rows: MachineRows): Pick<Result, 'configuration' | 'memory'> => ({
  configuration: JSON.stringify(rows.machine.values[rows.states[1]!]),
  memory: rows.columns.map((column) => column[1]!),
});

/** One step as a system makes it, with every effect for the driver. */
function systemStep(
  machine: CompiledMachine,
): (configuration: number, memory: readonly number[], instance: EventInstance) => Result {
  const out: EffectSink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, { buffer: new Float64Array(0), top: 0 });
  let accepted = true;
  const nobody = (): never => {
    throw new Error('without routes nobody is asked for');
  };
  const step = routedStep(
    [machine],
    [machine.name],
    {},
    {
      rows: [rows],
      out,
      machineSteps: new Float64Array(1),
      requests: new RowLists(),
      connectionRequests: new RowLists(),
      buffers: new RowLists(),
      pins: new Pins(),
      grow: nobody,
      refuse: () => {
        accepted = false;
      },
      oldestHeldRequest: nobody,
      oldestUndecided: nobody,
      newestUndecided: nobody,
    },
    null,
  );
  return (configuration, memory, { index, params }) => {
    rows.place(1, configuration, memory);
    out.top = 0;
    accepted = true;
    const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0] = params;
    step(index, 1, p0, p1, p2, p3, p4);
    return { accepted, ...stateOf(rows), effects: effectsIn(machine, out) };
  };
}

function everyState(machine: CompiledMachine): { value: unknown; context: Values }[] {
  const contexts = machine.fields.reduce<readonly Values[]>(
    (before, { name, domain }) =>
      before.flatMap((values) => representatives(domain).map((value) => ({ ...values, [name]: value }))),
    [{}],
  );
  return machine.values.flatMap((value) => contexts.map((context) => ({ value, context })));
}

const stateKey = (value: unknown, context: Values): string => JSON.stringify([value, context]);

/** Effects that a step has put into `sink`, which belongs to this machine alone. */
export function effectsIn(machine: CompiledMachine, sink: EffectSink): Effect[] {
  const effects: Effect[] = [];
  for (let at = 0; at < sink.top; at += EFFECT_STRIDE) {
    const { name, parameters } = machine.effects[sink.buffer[at]!]!;
    effects.push([name, ...sink.buffer.subarray(at + 2, at + 2 + parameters.length)]);
  }
  return effects;
}

interface Result {
  readonly accepted: boolean;
  readonly configuration: string;
  readonly memory: readonly number[];
  readonly effects: readonly Effect[];
}

function difference(expected: Result, actual: Result): string | null {
  for (const part of ['accepted', 'configuration', 'memory', 'effects'] as const) {
    const want = String(expected[part]);
    const have = String(actual[part]);
    // As text, an effect without arguments and an argument without effect would look alike; none has a number as name.
    if (want !== have) return `${part}: XState says ${want}, the tables say ${have}`;
  }
  return null;
}

function outOfRange(machine: CompiledMachine, context: Values, effects: readonly Effect[]): string | null {
  const first = (kind: string, types: readonly NamedDomain[], values: readonly number[]): string | null => {
    const index = types.findIndex(({ domain }, position) => !contains(domain, values[position]!));
    return index < 0 ? null : `${kind} '${types[index]!.name}' is ${values[index]}, outside its range`;
  };
  const field = first(
    'field',
    machine.fields,
    machine.fields.map(({ name }) => context[name]!),
  );
  if (field !== null) return field;
  for (const [name, ...args] of effects) {
    const { parameters } = machine.effects.find((effect) => effect.name === name)!;
    const found = first(`${name}'s argument`, parameters, args);
    if (found !== null) return found;
  }
  return null;
}
