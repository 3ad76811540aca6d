/** Compares every machine step of a world with what XState does with the statechart. */

import { strict as assert } from 'node:assert';
import { EFFECT_STRIDE, type EffectSink, type MachineDefinition, MachineRows } from '../../machines/index.ts';
import type { World } from '../explorer/index.ts';
import { effectsIn } from '../support/equality.ts';
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
  const { system } = world;
  const peers = system.rows.map(({ machine }, number) => {
    const sink: EffectSink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
    const reference = new Reference(definitions[world.names[number]!]!);
    return { sink, alone: new MachineRows(machine, 0, sink), reference };
  });
  let expected: ReturnType<Reference['step']> | null = null;
  system.watch({
    before: (number, row, event, ...parameters) => {
      count.steps++;
      const rows = system.rows[number]!;
      const { machine } = rows;
      const { alone, reference, sink } = peers[number]!;
      const before = rows.context(row);
      const configuration = rows.states[row]!;
      alone.place(0, configuration, Object.values(before));
      sink.top = 0;
      const accepted = alone.step(0, event, ...parameters) === 1;
      const { name: type, parameters: of } = machine.events[event]!;
      const said = { type, ...Object.fromEntries(of.map(({ name }, index) => [name, parameters[index]!])) };
      const snapshot = reference.at(machine.values[configuration], before);
      assert.equal(accepted, reference.accepts(snapshot, said), `${machine.name}: ${type}`);
      expected = accepted ? reference.step(snapshot, said) : null;
    },
    after: (number, row) => {
      assert.notEqual(expected, null, 'the system accepts what XState refuses');
      const { snapshot, effects } = expected!;
      expected = null;
      const rows = system.rows[number]!;
      const { alone, sink } = peers[number]!;
      for (const [who, at] of [
        [rows, row],
        [alone, 0],
      ] as const) {
        assert.deepEqual(who.machine.values[who.states[at]!], snapshot.value);
        assert.deepEqual(who.context(at), snapshot.context);
      }
      assert.deepEqual(effectsIn(rows.machine, sink), effects);
    },
  });
  return count;
}
