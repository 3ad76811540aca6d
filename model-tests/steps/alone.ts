/**
 * What a machine can be asked alone: every event with every value that decides something, in every configuration and memory
 * that it can come to in its environment (`model-tests/support/environment.ts`).
 */

import {
  type CompiledMachine,
  compileMachines,
  type Domain,
  EFFECT_STRIDE,
  explorationLimits,
  type MachineName,
  MachineRows,
  machineNames,
  type Values,
} from '../../machines/index.ts';
import { environments, isPossible } from '../support/environment.ts';
import { eventInstances } from '../support/reference.ts';
import type { Step, StepEffect } from './property.ts';

type Parameters = readonly [number, number, number, number, number];

/** One question to a machine. */
export interface Input {
  readonly configuration: number;
  readonly memory: readonly number[];
  readonly event: number;
  readonly parameters: Parameters;
  /** The question before it, on a shortest way there; -1 from the start. */
  readonly parent: number;
}

/** Values of a parameter that decide something: its edges, and two rows that are not the same. */
function valuesOf(domain: Domain): readonly number[] {
  switch (domain.kind) {
    case 'carried':
      return [domain.low, domain.low + 1];
    case 'range':
      return domain.low === domain.high ? [domain.low] : [domain.low, domain.high];
    case 'oneOf':
      return [...new Set([...domain.values.slice(0, 2), ...domain.values.slice(-1)])];
  }
}

/** Steps rows of one machine, one step at a time, and says what came of it. */
export class Stepper {
  readonly machine: CompiledMachine;
  readonly #rows: MachineRows;
  readonly #sink: { buffer: Float64Array; top: number };

  constructor(machine: CompiledMachine) {
    this.machine = machine;
    this.#sink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
    this.#rows = new MachineRows(machine, 0, this.#sink);
  }

  /** What the machine does in `configuration`, or null where it has none such. */
  step(configuration: number, { memory, event, parameters }: Omit<Input, 'configuration' | 'parent'>): Step {
    const { machine } = this;
    const rows = this.#rows;
    rows.place(0, configuration, memory);
    this.#sink.top = 0;
    const refused = rows.step(0, event, ...parameters) === 0;
    const type = machine.events[event]!;
    const effects: StepEffect[] = [];
    for (let at = 0; at < this.#sink.top; at += EFFECT_STRIDE) {
      const { name, parameters: names } = machine.effects[this.#sink.buffer[at]!]!;
      effects.push({
        name,
        args: Object.fromEntries(names.map((argument, index) => [argument.name, this.#sink.buffer[at + 2 + index]!])),
      });
    }
    return {
      from: machine.configurations[configuration]!,
      to: rows.stateName(0),
      event: type.name,
      given: Object.fromEntries(type.parameters.map(({ name }, index) => [name, parameters[index]!])),
      before: Object.fromEntries(machine.fields.map(({ name }, index) => [name, memory[index]!])),
      after: rows.context(0),
      effects,
      refused,
    };
  }

  /** Configuration and memory after the last step. */
  get place(): { configuration: number; memory: readonly number[] } {
    return { configuration: this.#rows.states[0]!, memory: this.#rows.columns.map((column) => column[0]!) };
  }
}

/** Every question that `machine` can be asked alone, in the order of a breadth-first search. */
function inputsOf(name: MachineName, machine: CompiledMachine): readonly Input[] {
  const events = eventInstances(machine, valuesOf);
  const stepper = new Stepper(machine);
  const found: Input[] = [];
  const start = { configuration: 0, memory: machine.fields.map((field) => field.initial), parent: -1 };
  const open: Pick<Input, 'configuration' | 'memory' | 'parent'>[] = [start];
  const known = new Set([JSON.stringify([start.configuration, start.memory])]);
  for (const { configuration, memory, parent } of open) {
    if (machine.final[configuration] === 1) continue;
    const values: Values = Object.fromEntries(machine.fields.map((field, at) => [field.name, memory[at]!]));
    for (const instance of events) {
      if (!isPossible(environments[name], machine.configurations[configuration]!, values, instance)) continue;
      const parameters = [0, 1, 2, 3, 4].map((at) => instance.params[at] ?? 0) as unknown as Parameters;
      const input = { configuration, memory, event: instance.index, parameters, parent };
      found.push(input);
      if (stepper.step(configuration, input).refused) continue;
      const next = stepper.place;
      const key = JSON.stringify([next.configuration, next.memory]);
      if (known.has(key)) continue;
      known.add(key);
      open.push({ ...next, parent: found.length - 1 });
    }
  }
  return found;
}

const made = new Map<MachineName, readonly Input[]>();

/** What `name` can be asked alone, with the limits of exploration; made once. */
export function inputsAlone(name: MachineName): readonly Input[] {
  let inputs = made.get(name);
  if (inputs === undefined) {
    inputs = inputsOf(name, compileMachines(explorationLimits)[machineNames.indexOf(name)]!);
    made.set(name, inputs);
  }
  return inputs;
}
