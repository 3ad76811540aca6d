// Goal: the tables that production runs do what XState would do with the statecharts.
// Method: every reachable state of every machine, with every event and every combination of values, by both; see
// support/equality.ts. Then tables are broken on purpose, since a comparison that finds nothing must be able to.

import { strict as assert } from 'node:assert';
import { afterAll, describe, test } from 'vitest';
import { type EventFromLogic, transition } from 'xstate';
import {
  type CompiledMachine,
  compileMachines,
  defineMachines,
  explorationLimits,
  type MachineName,
  machineNames,
  not,
  Op,
} from '../machines/index.ts';
import { checkRules, environments } from './support/environment.ts';
import { type Comparison, compareWithXState, type Difference, type Visit } from './support/equality.ts';
import { effectOf, type ExecutedAction, Reference } from './support/reference.ts';

const definitions = defineMachines(explorationLimits);
const compiled = compileMachines(explorationLimits);
const tables = (name: MachineName): CompiledMachine => compiled[machineNames.indexOf(name)]!;

describe('the tables equal XState', () => {
  type Counts = Pick<Comparison, 'states' | 'tried' | 'accepted' | 'impossible' | 'skipped'>;
  const pinned: Readonly<Record<MachineName, Counts>> = {
    provider: { states: 17, tried: 183, accepted: 96, impossible: 3, skipped: 4 },
    socket: { states: 452, tried: 164_416, accepted: 77_834, impossible: 2368, skipped: 112 },
    networkEvents: { states: 226, tried: 6102, accepted: 5827, impossible: 0, skipped: 0 },
    connectionRequest: { states: 24, tried: 336, accepted: 90, impossible: 0, skipped: 0 },
    requestQueue: { states: 127, tried: 4893, accepted: 2943, impossible: 78, skipped: 60 },
    firstMessage: { states: 13, tried: 130, accepted: 33, impossible: 0, skipped: 0 },
    overlappedRequest: { states: 601, tried: 50_484, accepted: 9913, impossible: 0, skipped: 0 },
    registeredBuffer: { states: 23, tried: 230, accepted: 101, impossible: 0, skipped: 0 },
  };
  const found = new Map<string, Counts>();

  for (const name of machineNames) {
    test(`${name}: in every reachable state, for every event`, () => {
      checkRules(tables(name), environments[name]);
      // A sample is put to the pure transition() of xstate too, which makes an actor of its own for every call.
      const reference = new Reference(definitions[name]);
      let visits = 0;
      let sampled = 0;
      const visit: Visit = (value, context, { event }) => {
        if (visits++ % 97 !== 0) return;
        sampled++;
        const snapshot = reference.at(value, context);
        const [next, actions] = transition(definitions[name].machine, snapshot, event as EventFromLogic<never>);
        const expected = reference.step(snapshot, event);
        assert.deepEqual(next.value, expected.snapshot.value);
        assert.deepEqual(next.context, expected.snapshot.context);
        assert.deepEqual(
          actions.map((action) => effectOf(definitions[name], action as unknown as ExecutedAction)),
          expected.effects,
        );
      };

      const { differences, ...counts } = compareWithXState(definitions[name], tables(name), environments[name], {
        visit,
      });
      assert.deepEqual(differences, []);
      assert.equal(sampled, Math.ceil(counts.accepted / 97));
      found.set(name, counts);
      assert.deepEqual(counts, pinned[name]);
    });
  }

  for (const name of machineNames) {
    // A socket has 240,000 states within its ranges, nearly all of them impossible.
    if (name === 'socket') continue;
    test(`${name}: in every state that its ranges allow`, () => {
      const { differences, states } = compareWithXState(definitions[name], tables(name), [], { everywhere: true });
      assert.deepEqual(differences, []);
      assert.ok(states >= pinned[name].states);
    });
  }

  afterAll(() => {
    const rows = [...found];
    const sum = (key: keyof Counts) => rows.reduce((total, [, counts]) => total + counts[key], 0);
    rows.push([
      'total',
      {
        states: sum('states'),
        tried: sum('tried'),
        accepted: sum('accepted'),
        impossible: sum('impossible'),
        skipped: sum('skipped'),
      },
    ]);
    const cells = [
      ['machine', 'states', 'tried', 'accepted', 'impossible', 'skipped'],
      ...rows.map(([name, { states, tried, accepted, impossible, skipped }]) => [
        name,
        ...[states, tried, accepted, impossible, skipped].map(String),
      ]),
    ];
    console.log(
      cells.map(([name, ...rest]) => name!.padEnd(18) + rest.map((cell) => cell.padStart(11)).join('')).join('\n'),
    );
  });
});

describe('a broken table is found', () => {
  // All but the two whose states are too many to start in each of them.
  const small = machineNames.filter((name) => name !== 'socket' && name !== 'overlappedRequest');

  const widths: Readonly<Record<number, number>> = {
    [Op.guard]: 3,
    [Op.update]: 2,
    [Op.effect]: 2,
    [Op.goto]: 2,
    [Op.reject]: 1,
  };
  /** Where in the code array the instructions `op` are. */
  function placesOf({ code }: CompiledMachine, op: number): number[] {
    const places: number[] = [];
    for (let at = 0; at < code.length; at += widths[code[at]!]!) if (code[at] === op) places.push(at);
    return places;
  }
  function withCode(machine: CompiledMachine, change: (code: Int32Array) => void): CompiledMachine {
    const code = machine.code.slice();
    change(code);
    return { ...machine, code };
  }
  /** An update that changes nothing, in place of the instruction at `at`: both are two words wide. */
  const dropped = (machine: CompiledMachine, at: number): CompiledMachine =>
    withCode({ ...machine, updates: [...machine.updates, []] }, (code) => {
      code[at] = Op.update;
      code[at + 1] = machine.updates.length;
    });

  /** Each kind of damage, and all tables that it makes of one machine. */
  const damages: Readonly<Record<string, (machine: CompiledMachine) => CompiledMachine[]>> = {
    'a dispatch entry swapped with that of the next event': (machine) => {
      const count = machine.events.length;
      return Array.from(machine.dispatch.keys())
        .filter((cell) => {
          const next = cell + 1;
          // Programs of one signature only: another one's parameters would have no place.
          const names = (at: number) => machine.events[at % count]!.parameters.map(({ name }) => name).join();
          return next % count !== 0 && names(cell) === names(next) && machine.dispatch[cell] !== machine.dispatch[next];
        })
        .map((cell) => {
          const dispatch = machine.dispatch.slice();
          [dispatch[cell], dispatch[cell + 1]] = [dispatch[cell + 1]!, dispatch[cell]!];
          return { ...machine, dispatch };
        });
    },
    'a GOTO retargeted': (machine) =>
      placesOf(machine, Op.goto).map((at) =>
        withCode(machine, (code) => {
          code[at + 1] = (code[at + 1]! + 1) % machine.configurations.length;
        }),
      ),
    'an UPDATE dropped': (machine) => placesOf(machine, Op.update).map((at) => dropped(machine, at)),
    'an UPDATE altered': (machine) =>
      placesOf(machine, Op.update).map((at) => {
        const [{ field, value }, ...rest] = machine.updates[machine.code[at + 1]!]! as [
          CompiledMachine['updates'][number][number],
        ];
        const updates = [...machine.updates, [{ field, value: { op: '+', left: value, right: 1 } as const }, ...rest]];
        return withCode({ ...machine, updates }, (code) => {
          code[at + 1] = machine.updates.length;
        });
      }),
    'an EFFECT dropped': (machine) => placesOf(machine, Op.effect).map((at) => dropped(machine, at)),
    'an EFFECT changed into another': (machine) =>
      placesOf(machine, Op.effect).map((at) => {
        // One without arguments, which has a meaning wherever it stands.
        const call = machine.calls.findIndex(({ args }, index) => index !== machine.code[at + 1] && args.length === 0);
        assert.ok(call >= 0);
        return withCode(machine, (code) => {
          code[at + 1] = call;
        });
      }),
    'a guard turned round': (machine) =>
      placesOf(machine, Op.guard).map((at) =>
        withCode({ ...machine, guards: [...machine.guards, not(machine.guards[machine.code[at + 1]!]!)] }, (code) => {
          code[at + 1] = machine.guards.length;
        }),
      ),
    'a guard that never holds': (machine) =>
      placesOf(machine, Op.guard).map((at) =>
        withCode({ ...machine, guards: [...machine.guards, 0] }, (code) => {
          code[at + 1] = machine.guards.length;
        }),
      ),
  };

  const first = (name: MachineName, broken: CompiledMachine, everywhere: boolean): Difference | undefined =>
    compareWithXState(definitions[name], broken, environments[name], { differencesMax: 1, everywhere }).differences[0];
  const isNoticed = (name: MachineName, broken: CompiledMachine, everywhere: boolean): boolean => {
    const found = first(name, broken, everywhere);
    if (found !== undefined) assert.equal(found.machine, name);
    return found !== undefined;
  };

  for (const [kind, damage] of Object.entries(damages)) {
    test(`${kind}: anywhere in a small machine`, () => {
      // Starts everywhere, since the reachable states do not lead into each branch: `always` is asked after each event.
      const unnoticed: string[] = [];
      for (const name of small) {
        for (const broken of damage(tables(name))) if (!isNoticed(name, broken, true)) unnoticed.push(name);
      }
      assert.deepEqual(unnoticed, []);
    });

    test(`${kind}: at the beginning of a large machine`, () => {
      for (const name of ['socket', 'overlappedRequest'] as const) {
        for (const broken of damage(tables(name)).slice(0, 8)) assert.ok(isNoticed(name, broken, false));
      }
    });
  }

  test('what is found names machine, state and event', () => {
    const machine = tables('requestQueue');
    const paused = machine.configurations.indexOf('paused');
    const resumed = machine.events.findIndex(({ name }) => name === 'socket.resumed');
    const halted = machine.events.findIndex(({ name }) => name === 'socket.halted');
    const dispatch = machine.dispatch.slice();
    const base = paused * machine.events.length;
    dispatch[base + resumed] = machine.dispatch[base + halted]!;
    assert.deepEqual(first('requestQueue', { ...machine, dispatch }, false), {
      machine: 'requestQueue',
      state: 'paused {posted: 0, held: 0, pending: 0, first: 0, places: 2}',
      event: 'socket.resumed',
      what: 'configuration: XState says "open", the tables say "drained"',
    });
  });
});
