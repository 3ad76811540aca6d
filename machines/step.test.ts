import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { setup } from 'xstate';
import {
  add,
  type CompiledMachine,
  carried,
  compile,
  type Contract,
  EFFECT_STRIDE,
  type EffectSink,
  type Field,
  field,
  implementations,
  initialContext,
  language,
  less,
  MachineRows,
  oneOf,
  range,
  stepperSource,
} from './index.ts';

const contract = {
  context: { count: field(range(0, 3), 1), last: field(carried(0, 0xffff_ffff)) },
  events: { 'spi.add': { amount: range(1, 3), tag: carried(0, 0xffff_ffff) }, 'spi.end': {} },
  effects: { counted: { before: range(0, 3), after: range(0, 6) }, ended: {} },
} as const;

/** Counts to 3, then ends. */
function counter(): CompiledMachine {
  const { context: c, event, when, update, effect } = language(contract);
  const sum = add(c.count, event('amount'));
  const machine = setup(implementations(contract)).createMachine({
    id: 'counter',
    context: initialContext(contract),
    initial: 'counting',
    states: {
      counting: {
        on: {
          'spi.add': {
            guard: when(less(sum, 4)),
            actions: [effect('counted', { before: c.count, after: sum }), update({ count: sum, last: event('tag') })],
          },
          'spi.end': { target: 'over', actions: effect('ended', {}) },
        },
      },
      over: { type: 'final' },
    },
  });
  return compile(machine, contract);
}

const sinkOf = (): EffectSink => ({ buffer: new Float64Array(8 * EFFECT_STRIDE), top: 0 });

/** A machine of one state that remembers `context`. */
function remembering(context: Readonly<Record<string, Field>>): CompiledMachine {
  const machine = setup({}).createMachine({ id: 'remembering', context: {}, initial: 'only', states: { only: {} } });
  return compile(machine, { context, events: { never: {} }, effects: {} } satisfies Contract);
}

describe('a step', () => {
  test('changes its row only, and emits effects with ids from the base, row and arguments', () => {
    const sink = sinkOf();
    const rows = new MachineRows(counter(), 100, sink);
    for (const row of [4, 5, 6]) rows.place(row, 0, [1, 7]);
    assert.equal(rows.step(5, 0, 2, 0xffff_ffff, 0, 0, 0), 1);
    assert.deepEqual(rows.context(5), { count: 3, last: 0xffff_ffff });
    assert.deepEqual(rows.context(4), { count: 1, last: 7 });
    assert.deepEqual(rows.context(6), { count: 1, last: 7 });
    assert.equal(sink.top, EFFECT_STRIDE);
    assert.deepEqual([...sink.buffer.subarray(0, 4)], [100, 5, 1, 3]);
    assert.equal(rows.step(5, 1, 0, 0, 0, 0, 0), 1);
    assert.equal(rows.stateName(5), 'over');
    assert.deepEqual([...sink.buffer.subarray(EFFECT_STRIDE, EFFECT_STRIDE + 2)], [101, 5]);
  });

  test('that is not accepted changes nothing', () => {
    const sink = sinkOf();
    const rows = new MachineRows(counter(), 0, sink);
    rows.place(0, 0, [3, 9]);
    assert.equal(rows.step(0, 0, 1, 5, 0, 0, 0), 0);
    assert.deepEqual(rows.context(0), { count: 3, last: 9 });
    assert.equal(rows.stateName(0), 'counting');
    assert.equal(sink.top, 0);
  });

  test('of a machine that is over is not accepted', () => {
    const rows = new MachineRows(counter(), 0, sinkOf());
    rows.place(0, 1, [1, 0]);
    assert.equal(rows.step(0, 0, 1, 0, 0, 0, 0), 0);
    assert.equal(rows.step(0, 1, 0, 0, 0, 0, 0), 0);
  });

  test('is generated as short code that can be read', () => {
    const source = stepperSource(counter(), 100);
    assert.match(source, /if \(\(\(c0\[row\] \+ p0\) < 4\)\) \{/);
    assert.match(source, /c0\[row\] = t2; c1\[row\] = p1;/);
    assert.match(source, /states\[row\] = 1; return 1;/);
  });
});

describe('rows', () => {
  test('growing keeps what is there, gives new rows the initial values and lets the stepper see them', () => {
    const rows = new MachineRows(counter(), 0, sinkOf(), 2);
    rows.place(1, 0, [2, 42]);
    rows.ensure(2);
    assert.equal(rows.states.length, 4);
    rows.ensure(1000);
    assert.equal(rows.used, 1001);
    assert.equal(rows.states.length, 1001);
    assert.deepEqual(rows.context(1), { count: 2, last: 42 });
    assert.deepEqual(rows.context(1000), { count: 1, last: 0 });
    assert.equal(rows.step(1000, 0, 2, 8, 0, 0, 0), 1);
    assert.deepEqual(rows.context(1000), { count: 3, last: 8 });
    // Room that is there already is not given again.
    const { states } = rows;
    rows.ensure(500);
    assert.equal(rows.states, states);
    assert.equal(rows.used, 1001);
  });

  test('creating makes a used row a new instance', () => {
    const rows = new MachineRows(counter(), 0, sinkOf());
    rows.place(3, 1, [3, 99]);
    rows.create(3);
    assert.equal(rows.stateName(3), 'counting');
    assert.deepEqual(rows.context(3), { count: 1, last: 0 });
  });

  test('columns are no wider than their ranges', () => {
    const fields = {
      byte: field(range(0, 0xff)),
      half: field(range(0, 0x100)),
      word: field(carried(0, 0xffff_ffff)),
      signed: field(range(-1, 1)),
      error: field(oneOf(0, 10_054)),
    };
    const { columns, states } = new MachineRows(remembering(fields), 0, sinkOf());
    assert.deepEqual(
      columns.map((column) => column.constructor.name),
      ['Uint8Array', 'Uint16Array', 'Uint32Array', 'Int32Array', 'Uint16Array'],
    );
    assert.equal(states.constructor.name, 'Uint8Array');
  });

  test('a range beyond 32 bits has no column', () => {
    for (const wide of [range(0, 2 ** 32), range(-(2 ** 31) - 1, 0), range(-1, 2 ** 31)]) {
      assert.throws(() => new MachineRows(remembering({ wide: field(wide) }), 0, sinkOf()), RangeError);
    }
  });
});
