/**
 * What a machine is really asked: every (configuration, memory, event, parameters) that its rows were stepped with.
 */

import type { System } from '../../machines/index.ts';
import type { Input } from '../steps/index.ts';

/** A machine's questions, each once. */
export class Inputs {
  readonly list: Input[] = [];
  readonly #known = new Set<string>();

  add(input: Omit<Input, 'parent'>): void {
    const key = `${input.configuration};${input.memory};${input.event};${input.parameters}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.list.push({ ...input, parent: -1 });
  }
}

/** Writes down from now on what the machines of `system` are asked. */
export function watchInputs(system: System<string>, into: readonly Inputs[]): void {
  system.watch({
    before: (machine, row, event, ...parameters) => {
      const { states, columns } = system.rows[machine]!;
      // Only what the event has: what a caller puts behind is not looked at.
      const { length } = system.machines[machine]!.events[event]!.parameters;
      into[machine]?.add({
        configuration: states[row]!,
        memory: columns.map((column) => column[row]!),
        event,
        parameters: parameters.map((value, index) => (index < length ? value : 0)) as unknown as Input['parameters'],
      });
    },
    after: () => {},
  });
}
