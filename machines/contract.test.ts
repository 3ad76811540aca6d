import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { createActor, setup } from 'xstate';
import {
  add,
  bounds,
  carried,
  contains,
  type Domain,
  field,
  flag,
  implementations,
  initialContext,
  language,
  less,
  oneOf,
  range,
  representatives,
} from './index.ts';

describe('domains', () => {
  const domains: readonly (readonly [string, Domain, number[], { low: number; high: number }])[] = [
    ['range', range(-1, 2), [-1, 0, 1, 2], { low: -1, high: 2 }],
    ['flag', flag, [0, 1], { low: 0, high: 1 }],
    ['oneOf', oneOf(7, 3, 5), [7, 3, 5], { low: 3, high: 7 }],
    ['carried', carried(0, 0xffff_ffff), [0, 0xffff_ffff], { low: 0, high: 0xffff_ffff }],
    ['carried with one value', carried(4, 4), [4], { low: 4, high: 4 }],
  ];

  test.each(domains)('%s: representatives, bounds, membership', (_, domain, values, limits) => {
    assert.deepEqual(representatives(domain), values);
    assert.deepEqual(bounds(domain), limits);
    for (const value of values) assert.ok(contains(domain, value));
    assert.ok(!contains(domain, limits.low - 1));
    assert.ok(!contains(domain, limits.high + 1));
    assert.ok(!contains(domain, limits.low + 0.5));
    assert.ok(!contains(domain, Number.NaN));
  });

  test('oneOf holds only what it names, not what lies between', () => {
    assert.ok(!contains(oneOf(3, 5), 4));
  });
});

describe('language', () => {
  const contract = {
    context: { count: field(range(0, 9), 2), twin: field(range(0, 9)) },
    events: { 'spi.add': { amount: range(1, 3) } },
    effects: { told: { count: range(0, 9) } },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);

  test('its words are data', () => {
    assert.deepEqual(c.count, { op: 'context', name: 'count' });
    assert.deepEqual(event('amount'), { op: 'event', name: 'amount' });
    assert.deepEqual(when(1), { type: 'when', params: 1 });
    assert.deepEqual(update({ count: 3 }), { type: 'update', params: { count: 3 } });
    assert.deepEqual(effect('told', { count: c.count }), { type: 'told', params: { count: c.count } });
  });

  test('a new machine remembers the initial values', () => {
    assert.deepEqual(initialContext(contract), { count: 2, twin: 0 });
  });

  test('XState runs them: an update computes every field before it stores any', () => {
    const machine = setup(implementations(contract)).createMachine({
      context: initialContext(contract),
      on: {
        'spi.add': {
          guard: when(less(c.count, 5)),
          actions: [
            update({ count: add(c.count, event('amount')), twin: c.count }),
            effect('told', { count: c.count }),
          ],
        },
      },
    });
    const actor = createActor(machine).start();
    actor.send({ type: 'spi.add', amount: 3 });
    assert.deepEqual(actor.getSnapshot().context, { count: 5, twin: 2 });
    // The guard no longer holds.
    actor.send({ type: 'spi.add', amount: 3 });
    assert.deepEqual(actor.getSnapshot().context, { count: 5, twin: 2 });
  });
});
