// Goal: every step of every machine is as the specification says of it, wherever it is taken.
// Method: each machine is asked everything that it can be asked alone; and what it is asked in small worlds, with their
// limits. What a property says is put to the test somewhere, and of what a machine has.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { compileMachines, explorationLimits, machineNames } from '../../machines/index.ts';
import { explore } from '../explorer/index.ts';
import { Inputs, watchInputs } from '../mutation/inputs.ts';
import { worlds } from '../worlds/index.ts';
import { checkNames, checkSteps, Stepper, stepProperties, stepPropertiesOf, stepText } from './index.ts';

/** Transitions of the worlds that are looked at here. */
const SMALL = 5000;

describe('steps', () => {
  test.each(checkSteps())('of $machine: $properties properties hold on $questions questions', ({ broken, silent }) => {
    assert.deepEqual(broken, []);
    assert.deepEqual(silent, []);
  });

  test('properties speak of what the machines have, and each is named once', () => {
    const tables = compileMachines(explorationLimits);
    for (const property of stepProperties) checkNames(tables[machineNames.indexOf(property.machine)]!, property);
    const names = stepProperties.map(({ machine, name }) => `${machine}: ${name}`);
    assert.deepEqual(
      names.filter((name, at) => names.indexOf(name) !== at),
      [],
    );
    // Every one says where it comes from: a section, a requirement, a statement, a decision.
    for (const name of names) assert.match(name, /: (?:\d+(?:\.\d+)?|WSD-\d{3}|[SL]-\d\d|[AD]-\d\d|A\.\d)[,:]/);
  });

  test.each(worlds.filter(({ size }) => size !== undefined && size.transitions <= SMALL))(
    'in the world of $name too',
    ({ definition }) => {
      const limits = definition.limits ?? explorationLimits;
      const inputs = machineNames.map(() => new Inputs());
      explore(definition, [], { prepare: ({ system }) => watchInputs(system, inputs) });
      const properties = stepPropertiesOf(limits);
      for (const [number, machine] of machineNames.entries()) {
        const stepper = new Stepper(compileMachines(limits)[number]!);
        for (const input of inputs[number]!.list) {
          const step = stepper.step(input.configuration, input);
          // Whether something can happen is asked of a world's machines too, and may be denied.
          if (step.refused) continue;
          for (const property of properties.filter((candidate) => candidate.machine === machine)) {
            assert.notEqual(property.holds(step), false, `${property.name}: ${stepText(step)}`);
          }
        }
      }
    },
  );
});
