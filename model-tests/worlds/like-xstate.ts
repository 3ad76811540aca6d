/** Compares every machine step of a world with what XState does with the statechart. */

import { strict as assert } from 'node:assert';
import { type MachineDefinition, MachineRows } from '../../machines/index.ts';
import type { World } from '../explorer/index.ts';
import { Reference } from '../support/reference.ts';

/**
 * Makes every step of `world` an experiment: the tables step a row of their own as well, whose outcome must be that of
 * the system's row, and whose outcome and effects must be XState's.
 *
 * @param definitions - of all machines, by name
 * @returns how many steps were compared
 */
export function compareEachStep(
  world: World,
  definitions: Readonly<Record<string, MachineDefinition>>,
): { readonly steps: number } {
  const count = { steps: 0 };
  for (const [number, rows] of world.system.rows.entries()) {
    const { machine } = rows;
    const definition = definitions[world.names[number]!]!;
    const reference = new Reference(definition);
    const sink = { buffer: new Float64Array(machine.effectsMax * 8 + 8), top: 0 };
    const alone = new MachineRows(machine, 0, sink);
    const original = rows.step;
    const step: typeof original = (row, event, ...parameters) => {
      count.steps++;
      const before = rows.context(row);
      const configuration = rows.states[row]!;
      alone.place(0, configuration, Object.values(before));
      sink.top = 0;
      const aloneAccepted = alone.step(0, event, ...parameters);
      const accepted = original(row, event, ...parameters);
      const type = machine.events[event]!;
      const said = Object.fromEntries(type.parameters.map(({ name }, index) => [name, parameters[index]!]));
      const snapshot = reference.at(machine.values[configuration], before);
      const expected = reference.accepts(snapshot, { type: type.name, ...said });
      assert.deepEqual([accepted === 1, aloneAccepted === 1], [expected, expected], `${machine.name}: ${type.name}`);
      if (!expected) return accepted;
      const { snapshot: next, effects } = reference.step(snapshot, { type: type.name, ...said });
      for (const [who, at] of [
        [rows, row],
        [alone, 0],
      ] as const) {
        assert.deepEqual(machine.values[who.states[at]!], next.value);
        assert.deepEqual(who.context(at), next.context);
      }
      const emitted = [];
      for (let at = 0; at < sink.top; at += 8) {
        const { name, parameters: of } = machine.effects[sink.buffer[at]!]!;
        emitted.push([name, ...sink.buffer.subarray(at + 2, at + 2 + of.length)]);
      }
      assert.deepEqual(emitted, effects);
      return accepted;
    };
    Object.defineProperty(rows, 'step', { value: step });
  }
  return count;
}
