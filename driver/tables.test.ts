// Goal: the driver's tables hold what they are given, however they grow, and give rows and memory out once at a time.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { MAILBOX_BYTES } from './handshake.ts';
import { limits } from './limits.ts';
import { ELEMENT_WORDS, FirstReceive, PrivateMemoryPool, RequestTable, RowPool, SocketRecord } from './tables.ts';

describe('a pool of rows', () => {
  test('gives out each row once, and that which was freed last first', () => {
    const pool = new RowPool(100);
    assert.deepEqual(
      Array.from({ length: 5 }, () => pool.allocate()),
      [0, 1, 2, 3, 4],
    );
    pool.free(1);
    pool.free(3);
    assert.equal(pool.inUse, 3);
    assert.deepEqual([pool.allocate(), pool.allocate(), pool.allocate()], [3, 1, 5]);
    assert.equal(pool.inUse, 6);
  });

  test('remembers any number of free rows', () => {
    const pool = new RowPool(100);
    const rows = Array.from({ length: 100 }, () => pool.allocate());
    for (const row of rows) pool.free(row);
    assert.equal(pool.inUse, 0);
    assert.deepEqual(
      rows.map(() => pool.allocate()),
      rows.toReversed(),
    );
  });

  test('has a bound', () => {
    const pool = new RowPool(2);
    assert.equal(pool.full, false);
    pool.allocate();
    assert.equal(pool.full, false);
    const last = pool.allocate();
    assert.equal(pool.full, true);
    assert.throws(() => pool.allocate(), { name: 'RangeError', message: 'all 2 rows are in use' });
    assert.equal(pool.inUse, 2);
    pool.free(last);
    assert.equal(pool.full, false);
    assert.equal(pool.allocate(), last);
  });
});

describe('private memory', () => {
  test('is apart for each connection, and for each mailbox of it', () => {
    const pool = new PrivateMemoryPool();
    // More than one slab has.
    const memories = Array.from({ length: 600 }, () => pool.take());
    for (const [index, memory] of memories.entries()) {
      memory.mailbox.fill(index % 251);
      memory.mailboxOut.fill((index + 1) % 251);
    }
    for (const [index, memory] of memories.entries()) {
      assert.equal(memory.mailbox.length, MAILBOX_BYTES);
      assert.equal(memory.mailboxOut.length, MAILBOX_BYTES);
      assert.ok(memory.mailbox.every((byte) => byte === index % 251));
      assert.ok(memory.mailboxOut.every((byte) => byte === (index + 1) % 251));
    }
  });

  test('comes out blank, whoever had it before', () => {
    const pool = new PrivateMemoryPool();
    const memory = pool.take();
    memory.mailbox.fill(7);
    memory.mailboxOut.fill(8);
    const other = pool.take();
    other.mailbox.fill(9);
    pool.give(memory);
    const again = pool.take();
    assert.equal(again.slab, memory.slab);
    assert.equal(again.offset, memory.offset);
    assert.ok([...again.mailbox, ...again.mailboxOut].every((byte) => byte === 0));
    assert.ok(other.mailbox.every((byte) => byte === 9));
    assert.equal(again.first, null);
  });

  test('for first messages is apart too, and comes back with its connection', () => {
    const pool = new PrivateMemoryPool();
    const region = { id: 1, localKey: 0, remoteKey: 0, address: 0 };
    const [memory, plain] = [pool.take(), pool.take()];
    const [first, second] = [pool.takeFirst(), pool.takeFirst()];
    assert.equal(first.length, limits.firstMessageBytes);
    first.fill(1);
    second.fill(2);
    assert.ok(first.every((byte) => byte === 1));
    memory.first = new FirstReceive(first, region);
    assert.equal(memory.first.length, 0);
    pool.give(plain);
    pool.give(memory);
    const again = pool.takeFirst();
    assert.equal(again.byteOffset, first.byteOffset);
    assert.ok(again.every((byte) => byte === 0));
    assert.ok(second.every((byte) => byte === 2));
    assert.notEqual(pool.takeFirst().byteOffset, again.byteOffset);
  });
});

describe('a socket record', () => {
  test('is without anything at first', () => {
    const record = new SocketRecord(3, 260n, 'IPv4', 1001);
    assert.deepEqual(
      { ...record },
      {
        row: 3,
        descriptor: 260n,
        switchHandle: 0n,
        family: 'IPv4',
        catalogEntryId: 1001,
        opened: false,
        local: null,
        remote: null,
        event: 0n,
        debug: 0,
        noDelay: 0,
        listener: -1,
        connector: -1,
        protectionDomain: -1,
        privateMemory: null,
        buffers: [],
        named: false,
        takenOverId: null,
        peer: null,
        reattaching: -1,
        attaching: false,
        returned: false,
        notifying: false,
        firstTargets: [],
      },
    );
  });

  test('has a name for its connection once that is its own', () => {
    const record = new SocketRecord(0, 4n, 'IPv4', 1);
    assert.equal(record.connectionId, null);
    record.named = true;
    assert.equal(record.connectionId, null);
    record.privateMemory = new PrivateMemoryPool().take();
    record.privateMemory.mailboxOut.set(Array.from({ length: MAILBOX_BYTES }, (_, index) => index));
    assert.deepEqual(record.connectionId, record.privateMemory.connectionId);
    assert.equal(record.privateMemory.connectionId.length, 16);
    record.named = false;
    assert.equal(record.connectionId, null);
  });
});

describe('a table of requests', () => {
  test('keeps what it was told of a request, however it grows', () => {
    const table = new RequestTable(1000);
    const rows = Array.from({ length: 100 }, () => table.allocate());
    for (const row of rows) {
      table.socket[row] = row + 1;
      table.opcode[row] = row % 5;
      table.total[row] = 0xffff_0000 + row;
      table.elementCount[row] = 1;
      const { words, at } = table.element(row, 0);
      for (let word = 0; word < ELEMENT_WORDS; word++) words[at + word] = row * ELEMENT_WORDS + word;
    }
    const later = Array.from({ length: 900 }, () => table.allocate());
    assert.equal(later.at(-1), 999);
    for (const row of rows) {
      assert.equal(table.socket[row], row + 1);
      assert.equal(table.opcode[row], row % 5);
      assert.equal(table.total[row], 0xffff_0000 + row);
      assert.equal(table.elementCount[row], 1);
      const { words, at } = table.element(row, 0);
      assert.deepEqual(
        [...words.subarray(at, at + ELEMENT_WORDS)],
        [0, 1, 2, 3].map((word) => row * ELEMENT_WORDS + word),
      );
    }
    const { words, at } = table.element(999, 0);
    assert.ok(at + ELEMENT_WORDS <= words.length);
    assert.throws(() => table.allocate(), RangeError);
  });

  test('has the elements behind the first beside it, and forgets them with the request', () => {
    const table = new RequestTable(10);
    const [one, two] = [table.allocate(), table.allocate()];
    table.elementCount[one] = 1;
    table.elementCount[two] = 3;
    const more = new Uint32Array(2 * ELEMENT_WORDS);
    table.more.set(two, more);
    assert.deepEqual(table.element(two, 0), { words: table.first, at: two * ELEMENT_WORDS });
    assert.deepEqual(table.element(two, 1), { words: more, at: 0 });
    assert.deepEqual(table.element(two, 2), { words: more, at: ELEMENT_WORDS });
    table.free(one);
    assert.equal(table.more.has(two), true);
    table.free(two);
    assert.equal(table.more.has(two), false);
    assert.equal(table.overlapped[two], null);
    assert.equal(table.pool.inUse, 0);
  });

  test('knows where in the peer a request reads or writes, with addresses of 64 bits', () => {
    const table = new RequestTable(100);
    const rows = Array.from({ length: 40 }, () => table.allocate());
    const address = (row: number): number => 0x7fff_ffff_f000 + row * 0x1_0000_0001;
    for (const row of [39, 0, 5, 20]) table.setRemote(row, 0x8000_0000 + row, address(row));
    for (const row of [39, 0, 5, 20]) {
      assert.equal(table.remoteKey(row), 0x8000_0000 + row);
      assert.equal(table.remoteAddress(row), address(row));
    }
    assert.equal(rows.length, 40);
    for (let row = 40; row < 100; row++) table.setRemote(table.allocate(), row, 0x1_0000_0000);
    assert.equal(table.remoteKey(99), 99);
    assert.equal(table.remoteAddress(99), 0x1_0000_0000);
    assert.equal(table.remoteAddress(39), address(39));
  });
});
