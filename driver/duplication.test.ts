import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { type DuplicatedSocket, ProcessDuplicationStore } from './duplication.ts';

const TOKENS_MAX = 0xffff;
const socket = (port: number): DuplicatedSocket => ({
  listening: true,
  backlog: 1,
  local: { family: 'IPv4', address: '10.0.0.1', port },
  remote: null,
  connectionId: null,
  peer: null,
  options: { debug: 0, noDelay: 0 },
});

describe('a store of duplicated sockets', () => {
  test('gives each back once, to the process that it is for', () => {
    const store = new ProcessDuplicationStore();
    const [one, two] = [store.put(socket(1), 7)!, store.put(socket(2), 7)!];
    assert.notEqual(one, two);
    assert.ok(one > 0 && two > 0);
    assert.equal(store.take(one, 8), null);
    assert.equal(store.take(one, 7)?.local.port, 1);
    assert.equal(store.take(one, 7), null);
    assert.equal(store.take(two, 7)?.local.port, 2);
    assert.equal(store.take(0, 7), null);
  });

  test('has room for 65,535, and for another when one is taken', () => {
    const store = new ProcessDuplicationStore();
    const tokens = Array.from({ length: TOKENS_MAX }, () => store.put(socket(1), 1));
    assert.equal(new Set(tokens).size, TOKENS_MAX);
    assert.ok(!tokens.includes(null));
    assert.equal(store.put(socket(2), 1), null);
    store.take(tokens[100]!, 1);
    const again = store.put(socket(2), 1);
    assert.ok(again !== null && !tokens.includes(again), 'a token is not used again while another is free');
  });

  test('begins again behind the last token of 32 bits, with those that are free', () => {
    const store = new ProcessDuplicationStore(0xffff_fffd);
    assert.deepEqual(
      [1, 2, 3].map((port) => store.put(socket(port), 1)),
      [0xffff_fffe, 0xffff_ffff, 1],
    );
    const late = new ProcessDuplicationStore();
    assert.deepEqual([late.put(socket(1), 1), late.put(socket(2), 1)], [1, 2]);
  });
});
