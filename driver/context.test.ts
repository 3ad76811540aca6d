// Goal: what the parts of a provider share says what is there: where connections may come back to, and what an up-call
// came back with.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import type { Adapter, SocketAddress } from './adapter/adapter.ts';
import { Context, defaultConfig } from './context.ts';
import { limits } from './limits.ts';
import { WsaOverlapped, type WspUpcallTable } from './spi.ts';
import { RequestTable, RowPool, SocketRecord } from './tables.ts';

/** A context over an adapter where the addresses of `taken` can't be listened on. */
function bench(taken: (address: SocketAddress) => boolean = () => false) {
  const listening = new Map<number, string>();
  const tried: string[] = [];
  let last = 0;
  const adapter = {
    listen: (address: SocketAddress) => {
      tried.push(`${address.family} ${address.address} ${address.port}`);
      if (taken(address)) return -1;
      listening.set(last, tried.at(-1)!);
      return last++;
    },
    stopListening: (listener: number) => assert.ok(listening.delete(listener)),
  } as unknown as Adapter;
  const errors: unknown[] = [];
  const rows = new RowPool(4);
  const context = new Context({
    adapter,
    clock: {} as never,
    config: defaultConfig,
    dispatcher: { event: () => 0 } as never,
    duplication: {} as never,
    random: () => {},
    socketRows: rows,
    bufferRows: rows,
    arrivalRows: rows,
    requests: new RequestTable(4),
    queueDepth: 4,
    onUpcallError: (error) => void errors.push(error),
  });
  return { context, listening, tried, errors };
}

test('a provider that nobody has configured keeps to the bounds, and to the safe answers', () => {
  const { connectMs, migrationMs, closeMs, waitMs } = limits;
  const bounds = { connectMs, migrationMs, closeMs, waitMs };
  assert.deepEqual(defaultConfig, { loopback: false, pureSan: false, ...bounds, processId: 1 });
});

test('a context begins with nothing: not open, no call running, nobody to be told', () => {
  const { context } = bench();
  assert.equal(context.open, false);
  assert.equal(context.upcalls, null);
  assert.equal(context.acceptCall, null);
  assert.equal(context.enumCall, null);
  assert.equal(context.initiating, -1);
  assert.deepEqual(context.initiatingBuffers, []);
  assert.equal(context.notified, 0);
  assert.equal(context.reattachPort, 0);
  for (const list of [context.sockets, context.buffers, context.arrivals, context.flushed, context.reattachListeners]) {
    assert.deepEqual(list, []);
  }
});

test("a row's record is that of its socket", () => {
  const { context } = bench();
  const records = [0, 1].map((row) => new SocketRecord(row, BigInt(row), 'IPv4', 1));
  context.sockets.push(...records);
  assert.equal(context.socket(1), records[1]);
});

describe('connections that come back', () => {
  const first = limits.reattachPort;

  test('are listened for on the first port of the range, of both families', () => {
    const { context, listening } = bench();
    context.openReattachListeners();
    assert.deepEqual([...listening.values()], [`IPv4 0.0.0.0 ${first}`, `IPv6 :: ${first}`]);
    assert.equal(context.reattachPort, first);
    assert.deepEqual(context.reattachListeners, [...listening.keys()]);
  });

  test('on the next port when one is taken', () => {
    const { context, listening, tried } = bench(({ port }) => port < first + 2);
    context.openReattachListeners();
    assert.equal(context.reattachPort, first + 2);
    assert.equal(tried.length, 6);
    assert.deepEqual([...listening.values()], [`IPv4 0.0.0.0 ${first + 2}`, `IPv6 :: ${first + 2}`]);
  });

  test.each(['IPv4', 'IPv6'] as const)('of one family, when %s has no place', (missing) => {
    const { context, listening } = bench(({ family }) => family === missing);
    context.openReattachListeners();
    assert.equal(context.reattachPort, first);
    assert.equal(listening.size, 1);
  });

  test('on no other port when there is a listener already', () => {
    const { context, tried } = bench();
    context.openReattachListeners();
    context.openReattachListeners();
    assert.equal(tried.length, 2);
    assert.equal(context.reattachPort, first);
  });

  test('on no port when all of the range are taken: no connection can move then', () => {
    const { context, listening, tried } = bench(({ port }) => port < first + limits.reattachPorts);
    context.openReattachListeners();
    assert.equal(listening.size, 0);
    assert.equal(context.reattachPort, 0);
    assert.equal(tried.length, 2 * limits.reattachPorts);
  });

  test('are listened for no more at the end, and can be again', () => {
    const { context, listening } = bench();
    context.openReattachListeners();
    context.closeReattachListeners();
    assert.equal(listening.size, 0);
    assert.equal(context.reattachPort, 0);
    context.openReattachListeners();
    assert.equal(listening.size, 2);
    assert.deepEqual(context.reattachListeners, [...listening.keys()]);
    assert.equal(context.reattachPort, first);
  });
});

describe('an up-call', () => {
  const table = { WPUSetEvent: () => true } as unknown as WspUpcallTable;
  const completing = (WPUCompleteOverlappedRequest: WspUpcallTable['WPUCompleteOverlappedRequest']) =>
    ({ WPUCompleteOverlappedRequest }) as unknown as WspUpcallTable;

  test('is made with the table that the provider was given, and comes back with what the switch says', () => {
    const { context, errors } = bench();
    context.upcalls = table;
    assert.equal(
      context.upcall(-1, (given) => {
        assert.equal(given, table);
        return 7;
      }),
      7,
    );
    assert.deepEqual(errors, []);
  });

  test('has failed when there is nobody to call', () => {
    const { context, errors } = bench();
    assert.equal(
      context.upcall(-1, () => assert.fail('nobody is to be called')),
      -1,
    );
    assert.equal(context.completed(1n, new WsaOverlapped(), 0, 0), false);
    assert.deepEqual(errors, []);
  });

  test('of a completion says how the request ended, and succeeds when the switch answers 0', () => {
    const { context, errors } = bench();
    const overlapped = new WsaOverlapped();
    const told: unknown[] = [];
    for (const result of [0, -1, 1]) {
      context.upcalls = completing((...parameters) => {
        told.push(parameters.slice(0, 4));
        return result;
      });
      assert.equal(context.completed(7n, overlapped, 10054, 100), result === 0);
    }
    assert.deepEqual(told, new Array(3).fill([7n, overlapped, 10054, 100]));
    const error = new Error('in the switch');
    context.upcalls = completing(() => {
      throw error;
    });
    assert.equal(context.completed(7n, overlapped, 0, 0), false);
    assert.deepEqual(errors, [error]);
  });

  test('has failed when the switch throws, which is told apart', () => {
    const { context, errors } = bench();
    context.upcalls = table;
    const error = new Error('in the switch');
    assert.equal(
      context.upcall('failed', () => {
        throw error;
      }),
      'failed',
    );
    assert.deepEqual(errors, [error]);
  });
});
