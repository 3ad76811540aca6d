import assert from 'node:assert/strict';

import { test } from 'vitest';

import { MEM_WRITE, WSA } from '../../machines/index.ts';
import { SpiError } from './host.ts';
import { RegisteredPool, type RegisteredPoolOptions } from './registered-pool.ts';
import { Pair } from './test-pair.ts';

/** A pool at the near end of a connection; registrations that messages have there are not its. */
function poolOf(options: Partial<RegisteredPoolOptions>, pair = new Pair()) {
  const { provider } = pair.near;
  const before = provider.inventory().buffers;
  const settings = { access: MEM_WRITE, bufferBytes: 1000, buffersMax: 3, ...options };
  const pool = new RegisteredPool(pair.near, pair.giver.socket, settings);
  return { pair, pool, registered: () => provider.inventory().buffers - before };
}

test('what is given back is taken next, and registered once', () => {
  const { pair, pool, registered } = poolOf({});
  const first = pool.take()!;
  assert.equal(first.memory.length, 1000);
  pool.give(first);
  assert.equal(pool.take(), first);
  assert.equal(registered(), 1);
  pool.give(first);
  pool.close();
  assert.equal(registered(), 0);
  pair.close();
});

test('no more are out, and no more is registered, than the bound says', () => {
  const { pool, registered } = poolOf({ buffersMax: 5, slabBuffers: 2 });
  const taken = Array.from({ length: 5 }, () => pool.take()!);
  assert.equal(pool.take(), null);
  assert.deepEqual([pool.takenCount, pool.registeredBytes, registered()], [5, 5000, 3]);
  // Each has memory of its own.
  for (const [index, { memory }] of taken.entries()) memory.fill(index + 1);
  for (const [index, { memory }] of taken.entries()) assert.ok(memory.every((byte) => byte === index + 1));
  pool.give(taken[3]!);
  assert.equal(pool.take(), taken[3]);
});

test('a buffer is given back once, and to its own pool', () => {
  const { pair, pool } = poolOf({});
  const other = poolOf({}, pair).pool;
  const buffer = pool.take()!;
  assert.throws(() => other.give(buffer), /not taken from this pool/);
  pool.give(buffer);
  assert.throws(() => pool.give(buffer), /given back/);
});

test('a pool that has buffers out is not closed', () => {
  const { pool, registered } = poolOf({});
  const buffer = pool.take()!;
  assert.throws(() => pool.close(), /1 buffers were not given back/);
  assert.equal(registered(), 1);
  pool.give(buffer);
  pool.close();
  assert.equal(registered(), 0);
});

test('memory that can not be registered: an error, and what was taken stays', () => {
  const { pair, pool } = poolOf({});
  const buffer = pool.take()!;
  const { provider, errno } = pair.near;
  const { WSPRegisterMemory } = provider;
  provider.WSPRegisterMemory = () => {
    errno.value = WSA.WSAENOBUFS;
    return 0n;
  };
  assert.throws(
    () => pool.take(),
    (error) => error instanceof SpiError && error.error === WSA.WSAENOBUFS,
  );
  assert.equal(pool.takenCount, 1);
  provider.WSPRegisterMemory = WSPRegisterMemory;
  assert.ok(pool.take());
  pool.give(buffer);
});

test.each([{ bufferBytes: 0 }, { buffersMax: 0 }, { buffersMax: 1.5 }, { slabBuffers: -1 }])('%o is refused', (bad) => {
  assert.throws(() => poolOf(bad), RangeError);
});
