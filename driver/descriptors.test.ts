// Goal: a descriptor names one object of one table, for ever.

import { strict as assert } from 'node:assert';
import { test } from 'vitest';
import { DescriptorTable } from './descriptors.ts';

test('a stale descriptor is not found, though its row has another object', () => {
  const table = new DescriptorTable<string>();
  const first = table.next(3);
  table.set(first, 'first');
  assert.equal(table.get(first), 'first');
  table.delete(first);
  const second = table.next(3);
  table.set(second, 'second');
  assert.equal(table.get(first), undefined);
  assert.equal(table.get(second), 'second');
});

test('no two of a thousand tables give out one number', () => {
  const tables = Array.from({ length: 1000 }, () => new DescriptorTable<number>());
  const given = tables.map((table, index) => {
    const descriptor = table.next(0);
    table.set(descriptor, index);
    return descriptor;
  });
  assert.equal(new Set(given).size, tables.length);
  for (const [index, descriptor] of given.entries()) {
    assert.equal(tables[index]!.get(descriptor), index);
    assert.equal(tables[(index + 1) % tables.length]!.get(descriptor), undefined);
  }
});

test('rows beyond 20 bits share places', () => {
  const table = new DescriptorTable<string>();
  const near = table.next(1);
  const far = table.next(1 + 2 ** 20);
  table.set(near, 'near');
  table.set(far, 'far');
  assert.equal(table.get(near), 'near');
  assert.equal(table.get(far), 'far');
  table.delete(near);
  assert.equal(table.get(far), 'far');
});
