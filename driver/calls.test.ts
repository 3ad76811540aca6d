// Goal: what every call begins and ends with: the order of its first checks, the records of the journal, and what is saved when
// an invariant breaks.
// Method: a provider over an adapter that does everything at once, and its journal read again.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  compileMachines,
  digestOf,
  explorationLimits,
  InvariantError,
  productionLimits,
  wsaName,
} from '../machines/index.ts';
import { Calls, finish, isObject, isUint32, roomFor } from './calls.ts';
import { DetailKind, readDetail } from './journal/detail.ts';
import { isDetail } from './journal/format.ts';
import { memorySink } from './journal/journal.ts';
import { readJournal } from './journal/reader.ts';
import { out, toSockaddr, WsaOverlapped } from './spi.ts';
import { here, providerBench, there } from './test-provider.ts';

describe('what a caller passes', () => {
  test('is a structure, or not', () => {
    for (const value of [null, undefined, 1, 'text', true, 1n, () => 0]) assert.equal(isObject(value), false);
    for (const value of [{}, [], out(0)]) assert.equal(isObject(value), true);
  });

  test('is a 32-bit number without sign, or not', () => {
    for (const value of [0, 1, 0xffff_ffff]) assert.equal(isUint32(value), true);
    for (const value of [-1, 0x1_0000_0000, 0.5, Number.NaN, '1', 1n, null]) assert.equal(isUint32(value), false);
  });

  test('has room when there is room, and it may be used', () => {
    const bytes = new Uint8Array(4);
    assert.ok(roomFor(bytes, 4, 4));
    assert.ok(roomFor(bytes, 5, 4));
    assert.ok(!roomFor(bytes, 3, 4));
    assert.ok(!roomFor(bytes, 5, 5));
    assert.ok(!roomFor(bytes, '4', 4));
  });
});

test('a call ends with its error where there is a place for it, and SOCKET_ERROR unless that is 0', () => {
  const errno = out(-1);
  assert.equal(finish(errno, 0), 0);
  assert.equal(errno.value, 0);
  assert.equal(finish(errno, 10022), -1);
  assert.equal(errno.value, 10022);
  assert.equal(finish(null as never, 10022), -1);
});

describe('the first check of a call', () => {
  test('is of the provider: without one, whatever the socket', () => {
    const { provider, bound, error } = providerBench();
    const s = bound();
    provider.WSPCleanup(out(0));
    for (const socket of [s, 5n]) {
      assert.equal(
        error((lpErrno) => provider.WSPListen(socket, 1, lpErrno)),
        'WSANOTINITIALISED',
      );
    }
  });

  test('is of the socket, where the adapter is lost', () => {
    const { provider, bound, adapter, error } = providerBench();
    const s = bound();
    adapter.events.push({ type: 'deviceRemoved' });
    provider.poll();
    const listen = (socket: bigint): string => error((lpErrno) => provider.WSPListen(socket, 1, lpErrno));
    assert.deepEqual([listen(s), listen(5n)], ['WSAENETDOWN', 'WSAENOTSOCK']);
  });
});

describe('the journal', () => {
  test('says what it is of', () => {
    const sink = memorySink();
    const { provider } = providerBench({
      journal: { mode: 'file', sink },
      host: 'a',
      seed: 5,
      limits: explorationLimits,
    });
    provider.closeJournal();
    const { metadata } = readJournal(sink.bytes());
    assert.deepEqual(metadata, {
      ...{ machinesDigest: digestOf(compileMachines(explorationLimits)), limits: { ...explorationLimits } },
      ...{ createdBy: 'wsdirect', adapter: 'immediate', host: 'a', base: 'empty', seed: 5 },
    });
  });

  test('has a host without a name, and no seed, unless they are given', () => {
    const sink = memorySink();
    const { provider } = providerBench({ journal: { mode: 'file', sink } });
    provider.closeJournal();
    const { metadata } = readJournal(sink.bytes());
    assert.equal(metadata.host, 'local');
    assert.ok(!('seed' in metadata));
    assert.deepEqual(metadata.limits, { ...productionLimits });
  });

  test('has the addresses of sockets, by which the journals of two ends are put together', () => {
    const sink = memorySink();
    const bed = providerBench({ journal: { mode: 'file', sink } });
    bed.connected();
    const before = bed.provider.journalSequence;
    assert.ok(before > 0);
    bed.accepted();
    bed.provider.closeJournal();
    const { records } = readJournal(sink.bytes());
    const details = Array.from({ length: records.count }, (_, index) => index)
      .filter((index) => isDetail(records.word(index, 0)))
      .map((index) => readDetail((word) => records.word(index, word)));
    const { localAddress, remoteAddress } = DetailKind;
    assert.deepEqual(
      details.map(({ kind, row, address }) => [kind, row, address]),
      [
        [localAddress, 0, here],
        [remoteAddress, 0, there],
        [localAddress, 1, here],
        // Of the connection that was accepted.
        [localAddress, 2, here],
        [remoteAddress, 2, there],
      ],
    );
  });

  test('has the time of each call, in microseconds', () => {
    const sink = memorySink();
    const { provider, time, bound } = providerBench({ journal: { mode: 'file', sink } });
    time.ms = 2000;
    const s = bound();
    time.ms = 5_000_000.5;
    provider.WSPCloseSocket(s, out(0));
    provider.closeJournal();
    const { records } = readJournal(sink.bytes());
    assert.equal(records.word(records.count - 1, 7), Math.floor(5_000_000.5 * 1000) >>> 0);
  });
});

describe('an invariant that breaks', () => {
  /** A provider whose next completion is of a request that isn't there. */
  const broken = (mode: 'ring' | 'off' = 'ring', isSaved = true) => {
    const dumps: ReturnType<typeof memorySink>[] = [];
    const onInvariantError = () => {
      dumps.push(memorySink());
      return dumps.at(-1)!;
    };
    const bed = providerBench({ journal: { mode, ...(isSaved ? { onInvariantError } : {}) } });
    const s = bed.connected();
    const memory = new Uint8Array(8);
    bed.register(s, memory);
    const send = (): number =>
      bed.provider.WSPSend(s, [{ buf: memory, len: 8 }], 1, null, 0, new WsaOverlapped(), null, null, bed.errno);
    const sabotage = (): void => {
      const { system } = bed.provider;
      // Every request and socket is as if it had never been.
      for (const { states } of system.rows.slice(1)) states.fill(0);
    };
    return { ...bed, s, send, dumps, sabotage };
  };

  test('in a turn is thrown, and the records are saved, once', () => {
    const { provider, send, dumps, sabotage } = broken();
    send();
    sabotage();
    assert.throws(() => provider.poll(), InvariantError);
    assert.equal(dumps.length, 1);
    assert.ok(readJournal(dumps[0]!.bytes()).records.count > 0);
  });

  test.each([
    ['a call', (bed: ReturnType<typeof broken>) => bed.provider.WSPListen(bed.s, 1, out(0))],
    ['a data function', (bed: ReturnType<typeof broken>) => bed.send()],
  ])('in %s is thrown, and the records are saved', (_, call) => {
    const bed = broken();
    bed.sabotage();
    assert.throws(() => call(bed), InvariantError);
    assert.equal(bed.dumps.length, 1);
    assert.throws(() => call(bed), InvariantError);
    assert.equal(bed.dumps.length, 1);
  });

  test('in an up-call’s report is thrown, and the records are saved', () => {
    const bed = broken();
    bed.send();
    bed.provider.collect();
    bed.sabotage();
    assert.throws(() => bed.provider.report(), InvariantError);
    assert.equal(bed.dumps.length, 1);
  });

  test('is thrown where nobody wants the records', () => {
    const bed = broken('ring', false);
    bed.sabotage();
    assert.throws(() => bed.provider.WSPListen(bed.s, 1, out(0)), InvariantError);
  });
});

test('what is no broken invariant saves nothing', () => {
  const dumps: unknown[] = [];
  const journal = {
    mode: 'ring',
    onInvariantError: () => {
      dumps.push(1);
      return memorySink();
    },
  } as const;
  const { provider, bound } = providerBench({ journal, random: () => assert.fail('no random') });
  const s = bound();
  const name = toSockaddr(there);
  assert.throws(() => provider.WSPConnect(s, name, name.length, null, null, null, null, out(0)), /no random/);
  assert.deepEqual(dumps, []);
});

describe('a turn', () => {
  test('is nothing to a provider that isn’t there', () => {
    const { provider } = providerBench({ isCold: true });
    assert.deepEqual([provider.collect(), provider.report(), provider.poll()], [0, 0, 0]);
  });

  test('has two halves: facts, then up-calls, as many as are asked for', () => {
    const { provider, connected, register, told } = providerBench();
    const s = connected();
    const memory = new Uint8Array(8);
    register(s, memory);
    for (let index = 0; index < 3; index++) {
      provider.WSPSend(s, [{ buf: memory, len: 8 }], 1, null, 0, new WsaOverlapped(), null, null, out(0));
    }
    told.length = 0;
    assert.equal(provider.collect(), 3);
    assert.deepEqual(told, []);
    assert.equal(provider.inventory().dueUpcalls, 3);
    assert.equal(provider.report(2), 2);
    assert.equal(told.length, 2);
    assert.equal(provider.report(), 1);
    assert.equal(provider.poll(), 0);
  });

  test('in whose up-call the provider is cleaned up makes the others that are due', () => {
    const { provider, connected, register, told, reactions } = providerBench();
    const s = connected();
    const memory = new Uint8Array(8);
    register(s, memory);
    for (let index = 0; index < 3; index++) {
      provider.WSPSend(s, [{ buf: memory, len: 8 }], 1, null, 0, new WsaOverlapped(), null, null, out(0));
    }
    let cleanedUp = '';
    reactions.set('WPUCompleteOverlappedRequest', () => {
      reactions.clear();
      const errno = out(-1);
      provider.WSPCleanup(errno);
      cleanedUp = wsaName(errno.value);
      // A turn inside it is nothing: the report that is under way makes what is due.
      assert.equal(provider.poll(), 0);
    });
    told.length = 0;
    provider.poll();
    assert.equal(cleanedUp, '0');
    assert.equal(told.filter((each) => each.startsWith('WPUCompleteOverlappedRequest')).length, 3);
    assert.equal(told.at(-1), 'WPUCloseSocketHandle');
    assert.equal(provider.inventory().dueUpcalls, 0);
  });
});

test('without options a provider draws names that nobody can guess, and throws what an up-call threw, later', async () => {
  const { adapter } = providerBench();
  const calls = new Calls({
    adapter,
    clock: { nowMs: () => 0, setTimer: () => {}, cancelTimer: () => {}, takeExpired: () => -1 },
  });
  const names = [new Uint8Array(16), new Uint8Array(16)];
  for (const name of names) calls.context.random(name);
  assert.notDeepEqual(names[0], names[1]);
  assert.ok(names[0]!.some((byte) => byte !== 0));
  const failure = new Error('in an up-call');
  const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
  calls.context.onUpcallError(failure);
  assert.equal(await caught, failure);
});
