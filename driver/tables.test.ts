// Goal: the driver's tables hold what they are given, however they grow, and give rows and memory out once at a time.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { MEM_READ, MEM_WRITE } from '../machines/index.ts';
import { MAILBOX_BYTES } from './handshake.ts';
import { limits } from './limits.ts';
import {
  type BufferRecord,
  ELEMENT_WORDS,
  FirstReceive,
  PrivateMemoryPool,
  RegistrationTable,
  RequestTable,
  RowPool,
  SocketRecord,
} from './tables.ts';

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
        firstBuffer: -1,
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
  const element = (table: RequestTable, row: number, index: number): number[] => {
    const words = new Uint32Array(1 + ELEMENT_WORDS);
    table.copyElement(row, index, words, 1);
    assert.equal(words[0], 0);
    assert.equal(table.elementLength(row, index), words[2]);
    return [...words.subarray(1)];
  };

  test('keeps what it was told of a request, however it grows', () => {
    const table = new RequestTable(1000);
    const rows = Array.from({ length: 100 }, (_, index) =>
      table.allocate(index + 1, index % 5, 0xffff_0000 + index, 1 + (index % 2)),
    );
    for (const row of rows) {
      for (let index = 0; index <= row % 2; index++) {
        table.setElement(row, index, 0x8000_0000 + row, 0xffff_ff00 + row + index, 0x12_ffff_0000 + row);
      }
    }
    const later = Array.from({ length: 900 }, () => table.allocate(0, 0, 0, 1));
    assert.equal(later.at(-1), 999);
    for (const row of rows) {
      assert.equal(table.socket(row), row + 1);
      assert.equal(table.opcode(row), row % 5);
      assert.equal(table.total(row), 0xffff_0000 + row);
      assert.equal(table.elementCount(row), 1 + (row % 2));
      for (let index = 0; index <= row % 2; index++) {
        const expected = [0x8000_0000 + row, 0xffff_ff00 + row + index, 0xffff_0000 + row, 0x12];
        assert.deepEqual(element(table, row, index), expected);
      }
    }
    assert.throws(() => table.allocate(0, 0, 0, 1), RangeError);
  });

  test('gives a row again with what its next request has', () => {
    const table = new RequestTable(10);
    const [one, two] = [table.allocate(1, 2, 3, 1), table.allocate(1, 2, 3, 3)];
    table.setElement(two, 0, 1, 10, 0);
    table.setElement(two, 2, 3, 30, 0);
    assert.deepEqual([element(table, two, 0)[1], element(table, two, 1)[1], element(table, two, 2)[1]], [10, 0, 30]);
    table.free(one);
    assert.equal(element(table, two, 2)[1], 30);
    table.free(two);
    assert.equal(table.overlapped[two], null);
    assert.equal(table.pool.inUse, 0);
    assert.equal(table.allocate(7, 8, 9, 2), two);
    assert.deepEqual([table.socket(two), table.opcode(two), table.total(two), table.elementCount(two)], [7, 8, 9, 2]);
    // What is behind the first element is new memory.
    assert.equal(element(table, two, 1)[1], 0);
    assert.throws(() => table.elementLength(table.allocate(0, 0, 0, 1), 1));
  });

  test('knows where in the peer a request reads or writes, with addresses of 64 bits', () => {
    const table = new RequestTable(100);
    const rows = Array.from({ length: 40 }, () => table.allocate(0, 0, 0, 1));
    const address = (row: number): number => 0x7fff_ffff_f000 + row * 0x1_0000_0001;
    for (const row of [39, 0, 5, 20]) table.setRemote(row, 0x8000_0000 + row, address(row));
    for (const row of [39, 0, 5, 20]) {
      assert.equal(table.remoteKey(row), 0x8000_0000 + row);
      assert.equal(table.remoteAddress(row), address(row));
    }
    assert.equal(rows.length, 40);
    for (let row = 40; row < 100; row++) table.setRemote(table.allocate(0, 0, 0, 1), row, 0x1_0000_0000);
    assert.equal(table.remoteKey(99), 99);
    assert.equal(table.remoteAddress(99), 0x1_0000_0000);
    assert.equal(table.remoteAddress(39), address(39));
  });
});

describe('a table of registrations', () => {
  const store = new ArrayBuffer(64);
  const bench = () => {
    const table = new RegistrationTable();
    const [socket, other] = [new SocketRecord(0, 1n, 'IPv4', 1), new SocketRecord(1, 2n, 'IPv4', 1)];
    let next = 0;
    const add = (offset: number, length: number, over: Partial<BufferRecord> = {}): BufferRecord => {
      const row = next++;
      const region = { id: 1, localKey: 0x8000_0000 + row, remoteKey: 0, address: 0x7fff_0000_0000 + row };
      const memory = new Uint8Array(store, offset, length);
      const made = { row, socket, kind: 'local', memory, access: MEM_READ, handle: 1n, region, ...over } as const;
      table.add(made);
      return made;
    };
    return { table, socket, other, add };
  };

  test('covers the bytes that lie in one', () => {
    const { table, add } = bench();
    const { row } = add(16, 16);
    const within = (from: number, length: number, wanted = MEM_READ) => table.covers(row, store, from, length, wanted);
    assert.ok(within(16, 16));
    assert.ok(within(31, 1));
    assert.ok(!within(15, 2));
    assert.ok(!within(31, 2));
    assert.ok(!within(32, 1));
    assert.ok(!within(16, 16, MEM_WRITE));
    assert.ok(!table.covers(row, new ArrayBuffer(64), 16, 4, MEM_READ));
  });

  test('finds the first that covers bytes, for own requests of its socket', () => {
    const { table, socket, other, add } = bench();
    add(0, 64, { kind: 'remote' });
    add(0, 8);
    add(16, 16);
    const whole = add(0, 64);
    const find = (from: number, length: number, wanted = MEM_READ, of = socket) =>
      table.find(of, store, from, length, wanted);
    assert.deepEqual(
      [find(0, 8), find(20, 4), find(0, 9), find(0, 8, MEM_WRITE), find(0, 8, MEM_READ, other)],
      [...[1, 2, 3, -1, -1]],
    );
    table.remove(whole);
    assert.equal(find(0, 9), -1);
    table.add({ ...whole, socket: other });
    assert.deepEqual([find(0, 9), find(0, 9, MEM_READ, other)], [-1, 3]);
  });

  test('knows what a work request says of bytes', () => {
    const { table, add } = bench();
    const { row } = add(16, 16);
    assert.equal(table.localKey(row) >>> 0, 0x8000_0000);
    assert.equal(table.address(row, 20), 0x7fff_0000_0004);
  });

  test('keeps the order of each socket, whichever is taken out, however it grows', () => {
    const { table, socket, other, add } = bench();
    const made = Array.from({ length: 50 }, (_, index) => add(index, 1, index % 2 === 0 ? {} : { socket: other }));
    const rows = (of: SocketRecord) => made.filter((each) => each.socket === of).map(({ row }) => row);
    assert.deepEqual([table.rows(socket), table.rows(other)], [rows(socket), rows(other)]);
    for (const index of [20, 0, 48, 1])
      table.remove(
        made.splice(
          made.findIndex(({ row }) => row === index),
          1,
        )[0]!,
      );
    assert.deepEqual([table.rows(socket), table.rows(other)], [rows(socket), rows(other)]);
    for (const each of made) {
      assert.ok(table.covers(each.row, store, each.row, 1, MEM_READ));
      assert.equal(table.address(each.row, each.row), 0x7fff_0000_0000 + each.row);
      table.remove(each);
      assert.equal(table.covers(each.row, store, each.row, 1, MEM_READ), false);
    }
    assert.deepEqual([table.rows(socket), table.rows(other)], [[], []]);
  });
});
