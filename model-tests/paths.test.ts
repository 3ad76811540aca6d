// Goal: every state and every transition of every machine is taken by some path, and the tables follow it.
// Method: shortest paths by xstate/graph; see support/machine-paths.ts. Each path is run on the tables that production
// runs, and configuration, memory and effects are compared with XState's at every step.

import { strict as assert } from 'node:assert';
import { afterAll, describe, test } from 'vitest';
import type { AnyMachineSnapshot } from 'xstate';
import { createTestModel } from 'xstate/graph';
import {
  type CompiledMachine,
  compileMachines,
  defineMachines,
  EFFECT_STRIDE,
  type EffectSink,
  explorationLimits,
  type MachineName,
  MachineRows,
  machineNames,
  valueName,
} from '../machines/index.ts';
import { effectsIn } from './support/equality.ts';
import { allMachinePaths, type MachinePath, searchOptions } from './support/machine-paths.ts';
import type { Effect } from './support/reference.ts';

const definitions = defineMachines(explorationLimits);
const compiled = compileMachines(explorationLimits);
const tables = (name: MachineName): CompiledMachine => compiled[machineNames.indexOf(name)]!;

/** One row of a machine, stepped by its tables. */
class Row {
  readonly #machine: CompiledMachine;
  readonly #rows: MachineRows;
  readonly #sink: EffectSink;

  constructor(machine: CompiledMachine) {
    this.#machine = machine;
    this.#sink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
    this.#rows = new MachineRows(machine, 0, this.#sink);
  }
  start(): void {
    this.#rows.create(0);
  }
  step(event: string, params: readonly number[]): Effect[] {
    const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0] = params;
    this.#sink.top = 0;
    const index = this.#machine.events.findIndex(({ name }) => name === event);
    assert.equal(this.#rows.step(0, index, p0, p1, p2, p3, p4), 1, `${event} in '${this.state}'`);
    return effectsIn(this.#machine, this.#sink);
  }
  get state(): string {
    return this.#rows.stateName(0);
  }
  get context(): Record<string, number> {
    return this.#rows.context(0);
  }
}

function follow(row: Row, { steps, description }: MachinePath): void {
  row.start();
  for (const { event, params, configuration, context, effects } of steps) {
    assert.deepEqual(row.step(event, params), effects, description);
    assert.equal(row.state, configuration, description);
    assert.deepEqual(row.context, context, description);
  }
}

describe('paths through every machine', () => {
  const found = allMachinePaths(explorationLimits);

  test.each(machineNames)('%s: all states and transitions, as by XState', (name) => {
    const { paths, leaves, transitions } = found[name];
    assert.deepEqual(
      transitions.all.filter((transition) => !transitions.covered.has(transition)),
      [],
    );
    assert.deepEqual(
      leaves.all.filter((leaf) => !leaves.covered.has(leaf)),
      [],
    );
    const row = new Row(tables(name));
    for (const path of paths) follow(row, path);
  });

  afterAll(() => {
    const rows = [['machine', 'searched', 'states', 'transitions', 'paths', 'steps']];
    for (const name of machineNames) {
      const { states, leaves, transitions, paths } = found[name];
      const steps = paths.reduce((total, path) => total + path.steps.length, 0);
      const share = ({ all, covered }: typeof leaves) => `${covered.size}/${all.length}`;
      rows.push([name, String(states), share(leaves), share(transitions), String(paths.length), String(steps)]);
    }
    console.log(
      rows.map(([name, ...rest]) => name!.padEnd(18) + rest.map((cell) => cell.padStart(13)).join('')).join('\n'),
    );
  });
});

describe('paths of a test model', () => {
  // By state and by transition into it; takes more than quadratic time, so only for the machines with few states.
  const small = machineNames.filter((name) => name !== 'socket' && name !== 'overlappedRequest');

  test.each(small)('%s: its paths hold on the tables', async (name) => {
    const { instances, ...options } = searchOptions(definitions[name], tables(name), name);
    const model = createTestModel(definitions[name].machine, options as never);
    const row = new Row(tables(name));
    // The model's own events: the first starts the machine.
    const events = Object.fromEntries(
      tables(name).events.map(({ name: type }) => [
        type,
        (step: { event: { type: string } }) => {
          row.step(type, instances.get(step.event)!.params);
        },
      ]),
    );
    const states = {
      '*': (snapshot: AnyMachineSnapshot) => {
        assert.equal(row.state, valueName(snapshot.value));
        assert.deepEqual(row.context, snapshot.context);
      },
    };
    const paths = model.getShortestPaths();
    assert.ok(paths.length > 0);
    for (const path of paths) {
      row.start();
      await path.test({ events, states } as never);
    }
  });
});
