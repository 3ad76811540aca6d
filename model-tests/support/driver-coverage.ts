/**
 * Which states and transitions of the machines a driver takes.
 *
 * Method: the tables say nothing of candidates, so each step that a provider's rows accept is put to XState once, from
 * the same state and memory; what XState takes then, the tables took (model-tests/equality.test.ts).
 */

import type { Provider } from '../../driver/index.ts';
import {
  type CompiledMachine,
  compileMachines,
  defineMachines,
  type Limits,
  type MachineName,
  machineNames,
} from '../../machines/index.ts';
import { allMachinePaths, candidatesOf, nodesOf, transitionName } from './machine-paths.ts';
import { Reference } from './reference.ts';

/** A state, step or transition: `socket connected.active`, `… connected.active: spi.send`, `… connected: spi.send #1`. */
export type Part = string;

/** An event that is accepted in a configuration. */
export const stepName = (machine: MachineName, configuration: string, event: string): Part =>
  `${machine} ${configuration}: ${event}`;

/** Every step on the paths that `xstate/graph` makes through each machine alone. */
export function pathSteps(limits: Limits): Part[] {
  const compiled = compileMachines(limits);
  const paths = allMachinePaths(limits);
  return machineNames.flatMap((name, index) => [
    ...new Set(
      paths[name].paths.flatMap(({ steps }) =>
        steps.map(({ event }, at) =>
          stepName(name, steps[at - 1]?.configuration ?? compiled[index]!.configurations[0]!, event),
        ),
      ),
    ),
  ]);
}

export class DriverCoverage {
  readonly #references: readonly Reference[];
  /** What was taken, by (machine, state, memory, event, parameters). */
  readonly #known = new Map<string, readonly Part[]>();
  /** Everything that was taken, in the order in which it first was. */
  readonly taken = new Set<Part>();

  /** @param limits - of the providers that are watched */
  constructor(limits: Limits) {
    const definitions = defineMachines(limits);
    this.#references = machineNames.map((name) => new Reference(definitions[name]));
  }

  /** Every state that a path can end in, and every candidate of every machine. */
  all(): Part[] {
    return machineNames.flatMap((name, index) => {
      const nodes = nodesOf(this.#references[index]!.definition.machine.root);
      return [
        ...nodes
          .filter(({ type }) => type === 'atomic' || type === 'final')
          .map(({ path }) => `${name} ${path.join('.')}`),
        ...nodes.flatMap(candidatesOf).map((transition) => `${name} ${transitionName(transition)}`),
      ];
    });
  }

  /** Watches every step of `provider` from now on. */
  watch({ system }: Provider): void {
    for (const [index, { configurations }] of system.machines.entries()) {
      this.taken.add(`${machineNames[index]} ${configurations[0]}`);
    }
    let step: Step & { readonly key: string } = { key: '', state: 0, memory: [], event: 0, values: [] };
    system.watch({
      before: (index, row, event, ...given) => {
        const { machine, states, columns } = system.rows[index]!;
        const state = states[row]!;
        const memory = columns.map((column) => column[row]!);
        const values = given.slice(0, machine.events[event]!.parameters.length);
        step = { key: `${index} ${state} ${event} ${memory} ${values}`, state, memory, event, values };
      },
      after: (index) => {
        let parts = this.#known.get(step.key);
        if (parts === undefined) {
          parts = this.#parts(index, system.machines[index]!, step);
          this.#known.set(step.key, parts);
        }
        for (const part of parts) this.taken.add(part);
      },
    });
  }

  #parts(index: number, machine: CompiledMachine, { state, memory, event, values }: Step): readonly Part[] {
    const name = machineNames[index]!;
    const { name: type, parameters } = machine.events[event]!;
    const named = Object.fromEntries(parameters.map((parameter, at) => [parameter.name, values[at]!]));
    const context = Object.fromEntries(machine.fields.map((field, at) => [field.name, memory[at]!]));
    return [
      stepName(name, machine.configurations[state]!, type),
      ...this.#ask(index, name, machine.values[state], context, { type, ...named }),
    ];
  }

  #ask(
    index: number,
    name: MachineName,
    value: unknown,
    context: Readonly<Record<string, number>>,
    event: { readonly type: string },
  ): readonly Part[] {
    const reference = this.#references[index]!;
    const { snapshot } = reference.step(reference.at(value, context), event);
    const nodes = (snapshot as unknown as { _nodes: readonly { type: string; path: readonly string[] }[] })._nodes;
    return [
      ...reference.fired.map((transition) => `${name} ${transitionName(transition)}`),
      ...nodes
        .filter(({ type }) => type === 'atomic' || type === 'final')
        .map(({ path }) => `${name} ${path.join('.')}`),
    ];
  }
}

/** An event, and the row that it is for as it was before. */
interface Step {
  readonly state: number;
  readonly memory: readonly number[];
  readonly event: number;
  readonly values: readonly number[];
}
