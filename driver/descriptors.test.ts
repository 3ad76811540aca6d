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
  table.delete(far);
  assert.equal(table.get(far), undefined);
});

test('a descriptor is a positive number of 64 bits: the row below, and above it what no other has', () => {
  const table = new DescriptorTable<string>();
  for (const row of [0, 5, 2 ** 20 - 1]) {
    const [one, two] = [table.next(row), table.next(row)];
    assert.equal(BigInt.asUintN(20, one), BigInt(row));
    assert.ok(one > 0n && one < two && two < 2n ** 63n);
  }
});

test('a descriptor names the object that it was given last', () => {
  const table = new DescriptorTable<string>();
  const descriptor = table.next(1);
  table.set(descriptor, 'old');
  table.set(descriptor, 'new');
  assert.equal(table.get(descriptor), 'new');
});

test('what is no descriptor is found nowhere', () => {
  const table = new DescriptorTable<string>();
  const descriptor = table.next(5);
  table.set(descriptor, 'five');
  for (const other of [Number(descriptor), String(descriptor), undefined, null, -1n, 0n, 5n, descriptor + 1n]) {
    assert.equal(table.get(other as bigint), undefined);
  }
});

test('a descriptor that was just looked up is not found once it is given back', () => {
  const table = new DescriptorTable<string>();
  const [one, two] = [table.next(1), table.next(2)];
  table.set(one, 'one');
  table.set(two, 'two');
  assert.equal(table.get(one), 'one');
  assert.equal(table.get(one), 'one');
  table.delete(one);
  assert.equal(table.get(one), undefined);
  assert.equal(table.get(two), 'two');
});

test('a table that is cleared has nothing, and can be filled again', () => {
  const table = new DescriptorTable<string>();
  const [near, far, other] = [table.next(1), table.next(1 + 2 ** 20), table.next(2)];
  for (const descriptor of [near, far, other]) table.set(descriptor, 'old');
  assert.equal(table.get(near), 'old');
  table.clear();
  for (const descriptor of [near, far, other]) assert.equal(table.get(descriptor), undefined);
  const again = table.next(1);
  table.set(again, 'new');
  assert.equal(table.get(again), 'new');
  assert.equal(table.get(near), undefined);
});
