// Goal: each fact that the adapter and the clock report becomes the right event of the right row, in the right order.
// Method: an adapter that reports what it is told to, and a dispatcher that writes events down.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { RejectReason, WSA } from '../machines/index.ts';
import {
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  type ConnectionEvent,
  Opcode,
} from './adapter/adapter.ts';
import { CompletionPoller } from './completion-poller.ts';
import type { Context } from './context.ts';
import { decodeReject, encodeHandshake, encodeMailbox, encodeReject } from './handshake.ts';
import { limits } from './limits.ts';
import { type ArrivalRecord, FirstReceive, PrivateMemoryPool, RequestTable, RowPool, SocketRecord } from './tables.ts';
import { FIRST_MESSAGE_CONTEXT, MAILBOX_CONTEXT } from './work-queue.ts';

interface Completed {
  readonly connector: number;
  readonly context: number;
  readonly status?: number;
  readonly bytes?: number;
  readonly opcode?: number;
}

const pool = new PrivateMemoryPool();
const id = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
const peer = { family: 'IPv4', address: '10.0.0.2', port: 5000 } as const;
const local = { family: 'IPv4', address: '10.0.0.1', port: 80 } as const;

function bench(options: { readonly batch?: number; readonly pureSan?: boolean } = {}) {
  const { batch = 4, pureSan = false } = options;
  const told: string[] = [];
  const queue: Completed[] = [];
  const events: ConnectionEvent[] = [];
  const timers: number[] = [];
  let polls = 0;
  const completions = new Uint32Array(batch * COMPLETION_WORDS);
  const names: string[] = [];
  /** Something that happens when an event is applied: by its name. */
  const reactions = new Map<string, () => void>();
  const sockets: (SocketRecord | undefined)[] = [];
  const requests = new RequestTable(100);
  const context = {
    open: true,
    notified: 0,
    config: { pureSan },
    sockets,
    requests,
    byConnector: new Map<number, SocketRecord>(),
    byListener: new Map<number, SocketRecord>(),
    arrivalByConnector: new Map<number, ArrivalRecord>(),
    arrivals: [] as (ArrivalRecord | undefined)[],
    arrivalRows: new RowPool(2),
    reattachListeners: [] as number[],
    flushed: [],
    socket: (row: number) => sockets[row]!,
    adapter: {
      completions,
      pollBatchMax: batch,
      poll: () => {
        polls++;
        const now = queue.splice(0, batch);
        for (const [
          index,
          { connector, context: work, status = 0, bytes = 0, opcode = Opcode.send },
        ] of now.entries()) {
          const at = index * COMPLETION_WORDS;
          completions[at + CompletionField.connector] = connector;
          completions[at + CompletionField.context] = work;
          completions[at + CompletionField.status] = status;
          completions[at + CompletionField.bytes] = bytes;
          completions[at + CompletionField.opcode] = opcode;
        }
        return now.length;
      },
      pollConnectionEvent: () => events.shift() ?? null,
      reject: (connector: number, data: Uint8Array) => void told.push(`reject ${connector} ${decodeReject(data)}`),
      destroyConnector: (connector: number) => void told.push(`destroy ${connector}`),
    },
    clock: { takeExpired: () => timers.shift() ?? -1 },
    work: { gathering: false, flush: () => void told.push(`flush${context.work.gathering ? '' : ', at last'}`) },
    dispatcher: {
      refusal: 0,
      event: (machine: string, name: string) => names.push(`${machine}/${name}`) - 1,
      apply: (event: number, row: number, p0?: number) => {
        told.push(`${names[event]} ${row}${p0 === undefined ? '' : ` ${p0}`}`);
        reactions.get(names[event]!)?.();
      },
    },
  };
  const poller = new CompletionPoller(context as unknown as Context);
  const socket = (connector: number): SocketRecord => {
    const record = new SocketRecord(sockets.length, BigInt(sockets.length), 'IPv4', 1);
    record.connector = connector;
    record.switchHandle = 1n;
    record.named = true;
    record.remote = peer;
    record.privateMemory = pool.take();
    encodeMailbox(record.privateMemory.mailboxOut, id);
    record.privateMemory.first = new FirstReceive(new Uint8Array(256), {
      id: 1,
      localKey: 0,
      remoteKey: 0,
      address: 0,
    });
    sockets.push(record);
    context.byConnector.set(connector, record);
    return record;
  };
  const request = (of: SocketRecord, total = 0): number => requests.allocate(of.row, Opcode.send, total, 1);
  /** A turn, and what it told but for flushes of the work queue. */
  const turn = (): string[] => {
    told.length = 0;
    poller.poll();
    return told.filter((each) => !each.startsWith('flush'));
  };
  return { poller, context, told, queue, events, timers, socket, request, turn, reactions, polls: () => polls };
}

const { flushed, localLength, retryExceeded } = CompletionStatus;

describe('a completion', () => {
  test('of a receive says how many bytes there were, of the others the request does', () => {
    const { socket, request, queue, turn } = bench();
    const a = socket(7);
    const [send, receive] = [request(a, 100), request(a, 200)];
    queue.push(
      { connector: 7, context: send, bytes: 5 },
      { connector: 7, context: receive, bytes: 5, opcode: Opcode.receive },
    );
    assert.deepEqual(turn(), [
      `overlappedRequest/adapter.completed ${send} 100`,
      `overlappedRequest/adapter.completed ${receive} 5`,
    ]);
  });

  test("of the provider's own is the first message, or the notice", () => {
    const { socket, queue, turn } = bench();
    const a = socket(7);
    queue.push(
      { connector: 7, context: FIRST_MESSAGE_CONTEXT, bytes: 33, opcode: Opcode.receive },
      { connector: 7, context: MAILBOX_CONTEXT, opcode: Opcode.rdmaWrite },
    );
    assert.deepEqual(turn(), ['firstMessage/adapter.firstArrived 0', 'socket/adapter.mailboxWritten 0']);
    assert.equal(a.privateMemory!.first!.length, 33);
  });

  test('of a connector that is no more is nobody’s', () => {
    const { socket, request, queue, turn, context } = bench();
    const a = socket(7);
    const row = request(a);
    context.byConnector.delete(7);
    a.connector = -1;
    queue.push(
      { connector: 7, context: row },
      // Of a row that no request has had.
      { connector: 7, context: 99 },
      { connector: 7, context: FIRST_MESSAGE_CONTEXT },
      { connector: 8, context: MAILBOX_CONTEXT },
    );
    assert.deepEqual(turn(), []);
  });

  test('that failed fails its request, and then its connection', () => {
    const { socket, request, queue, turn } = bench();
    const row = request(socket(7));
    queue.push({ connector: 7, context: row, status: localLength, opcode: Opcode.receive });
    assert.deepEqual(turn(), [`overlappedRequest/adapter.failed ${row} ${WSA.WSAEMSGSIZE}`, 'socket/adapter.fault 0']);
  });

  test('that failed ends there when its connection does', () => {
    const { socket, request, queue, turn, reactions, context } = bench();
    const row = request(socket(7));
    reactions.set('overlappedRequest/adapter.failed', () => context.byConnector.delete(7));
    queue.push({ connector: 7, context: row, status: retryExceeded });
    assert.deepEqual(turn(), [`overlappedRequest/adapter.failed ${row} ${WSA.WSAECONNABORTED}`]);
  });

  test('of the notice that failed is a notice that was not written, and a fault', () => {
    const { socket, queue, turn } = bench();
    socket(7);
    queue.push({ connector: 7, context: MAILBOX_CONTEXT, status: retryExceeded, opcode: Opcode.rdmaWrite });
    assert.deepEqual(turn(), ['socket/adapter.mailboxFailed 0', 'socket/adapter.fault 0']);
  });

  test('of the first receive that failed is a fault, and the receive is back', () => {
    const { socket, queue, turn, reactions, context } = bench();
    socket(7);
    const failed = { connector: 7, context: FIRST_MESSAGE_CONTEXT, status: localLength, opcode: Opcode.receive };
    queue.push(failed);
    assert.deepEqual(turn(), ['socket/adapter.fault 0', 'firstMessage/adapter.firstFlushed 0']);
    // But not when the fault has ended the connector, and with it the receive.
    reactions.set('socket/adapter.fault', () => context.byConnector.delete(7));
    queue.push(failed);
    assert.deepEqual(turn(), ['socket/adapter.fault 0']);
  });
});

describe('a flush', () => {
  test('waits for the connection events of its turn, and is then itself the notice', () => {
    const { socket, request, queue, events, turn } = bench();
    const row = request(socket(7));
    queue.push({ connector: 7, context: row, status: flushed });
    events.push({ type: 'disconnected', connector: 7 });
    assert.deepEqual(turn(), [
      'socket/adapter.disconnected 0 0',
      'socket/adapter.flushNoticed 0 0',
      `overlappedRequest/adapter.flushed ${row}`,
    ]);
  });

  test('of the first receive gives it back, of the notice nothing', () => {
    const { socket, queue, turn } = bench();
    socket(7);
    queue.push(
      { connector: 7, context: FIRST_MESSAGE_CONTEXT, status: flushed },
      { connector: 7, context: MAILBOX_CONTEXT, status: flushed },
    );
    assert.deepEqual(turn(), [
      'socket/adapter.flushNoticed 0 0',
      'firstMessage/adapter.firstFlushed 0',
      'socket/adapter.flushNoticed 0 0',
    ]);
  });

  test('whose notice ends the connector is nobody’s', () => {
    const { socket, request, queue, turn, reactions, context } = bench();
    const row = request(socket(7));
    reactions.set('socket/adapter.flushNoticed', () => context.byConnector.delete(7));
    queue.push({ connector: 7, context: row, status: flushed });
    assert.deepEqual(turn(), ['socket/adapter.flushNoticed 0 0']);
  });

  test('says whether the peer has announced that its end moves', () => {
    const { socket, queue, events, turn } = bench();
    const a = socket(7);
    encodeMailbox(a.privateMemory!.mailbox, id);
    queue.push({ connector: 7, context: MAILBOX_CONTEXT, status: flushed });
    events.push({ type: 'disconnected', connector: 7 });
    assert.deepEqual(turn(), ['socket/adapter.disconnected 0 1', 'socket/adapter.flushNoticed 0 1']);
    // Another connection's name is no announcement, nor is one to a socket without a connection of its own.
    encodeMailbox(a.privateMemory!.mailbox, id.toReversed());
    events.push({ type: 'disconnected', connector: 7 });
    assert.deepEqual(turn(), ['socket/adapter.disconnected 0 0']);
    encodeMailbox(a.privateMemory!.mailbox, id);
    a.named = false;
    events.push({ type: 'disconnected', connector: 7 });
    assert.deepEqual(turn(), ['socket/adapter.disconnected 0 0']);
  });
});

describe('a turn', () => {
  test('takes completions before connection events before timers', () => {
    const { socket, request, queue, events, timers, turn } = bench();
    const row = request(socket(7), 1);
    queue.push({ connector: 7, context: row });
    events.push({ type: 'established', connector: 7, privateData: new Uint8Array(0) });
    timers.push(0);
    assert.deepEqual(turn(), [
      `overlappedRequest/adapter.completed ${row} 1`,
      'socket/adapter.established 0',
      'socket/clock.expired 0',
    ]);
  });

  test('counts what it has handled', () => {
    const { poller, socket, request, queue, events, timers } = bench();
    const row = request(socket(7), 1);
    queue.push({ connector: 7, context: row }, { connector: 7, context: row });
    events.push({ type: 'connectFailed', connector: 99 });
    timers.push(0, 0, 0);
    assert.equal(poller.poll(), 6);
    assert.equal(poller.poll(), 0);
  });

  test('polls again only while batches are full, and a bounded number of times', () => {
    const { socket, request, queue, turn, polls } = bench({ batch: 2 });
    const row = request(socket(7), 1);
    const one = { connector: 7, context: row };
    queue.push(one, one, one);
    assert.equal(turn().length, 3);
    assert.equal(polls(), 2);
    queue.push(one, one);
    assert.equal(turn().length, 2);
    assert.equal(polls(), 4);
    queue.push(...Array.from({ length: 1000 }, () => one));
    assert.equal(turn().length, 2 * limits.pollRounds);
  });

  test('posts what has gathered after each batch, and at its end', () => {
    const { socket, request, queue, told, poller, context } = bench({ batch: 1 });
    const row = request(socket(7), 1);
    queue.push({ connector: 7, context: row }, { connector: 7, context: row });
    poller.poll();
    assert.deepEqual(
      told.map((each) => (each.startsWith('flush') ? each : 'completed')),
      ['completed', 'flush', 'completed', 'flush', 'flush, at last'],
    );
    assert.equal(context.work.gathering, false);
  });

  test('is not begun inside another, nor without an adapter or a provider', () => {
    const { poller, context, socket, request, queue, turn, reactions } = bench();
    const row = request(socket(7), 1);
    let inner = -1;
    reactions.set('overlappedRequest/adapter.completed', () => {
      queue.push({ connector: 7, context: row });
      inner = poller.poll();
    });
    queue.push({ connector: 7, context: row });
    assert.equal(turn().length, 1);
    assert.equal(inner, 0);
    reactions.clear();
    context.open = false;
    assert.deepEqual(turn(), []);
    context.open = true;
    context.dispatcher.refusal = WSA.WSANOTINITIALISED;
    assert.deepEqual(turn(), []);
    // A provider that has lost its adapter still hears the rest.
    context.dispatcher.refusal = WSA.WSAENETDOWN;
    assert.equal(turn().length, 1);
  });

  test('ends when the adapter is closed in it', () => {
    const { context, socket, request, queue, events, timers, turn, reactions, told } = bench({ batch: 1 });
    const row = request(socket(7), 1);
    reactions.set('overlappedRequest/adapter.completed', () => {
      context.open = false;
    });
    queue.push({ connector: 7, context: row }, { connector: 7, context: row });
    events.push({ type: 'connectFailed', connector: 7 });
    timers.push(0);
    assert.deepEqual(turn(), [`overlappedRequest/adapter.completed ${row} 1`]);
    assert.deepEqual(
      told.filter((each) => each.startsWith('flush')),
      [],
    );
  });
});

describe('a connection event', () => {
  test('of a connector that is no more is nobody’s', () => {
    const { events, turn } = bench();
    const privateData = new Uint8Array(0);
    events.push(
      { type: 'established', connector: 1, privateData },
      { type: 'rejected', connector: 1, reason: 0, privateData },
      { type: 'connectFailed', connector: 1 },
      { type: 'disconnected', connector: 1 },
      { type: 'removed', connector: 1 },
      { type: 'listenerRemoved', listener: 1 },
    );
    assert.deepEqual(turn(), []);
  });

  test('established: keeps what the peer tells of its end', () => {
    const { socket, events, turn } = bench();
    const a = socket(7);
    a.attaching = true;
    const told = { reattach: false, reattachPort: 5, mailboxAddress: 6, mailboxKey: 7, connectionId: id };
    events.push({ type: 'established', connector: 7, privateData: encodeHandshake(told) });
    assert.deepEqual(turn(), ['socket/adapter.established 0']);
    assert.deepEqual(a.peer, told);
    assert.equal(a.attaching, false);
    events.push({ type: 'established', connector: 7, privateData: new Uint8Array(3) });
    turn();
    assert.deepEqual(a.peer, told);
  });

  test('rejected, or failed: the attempt has ended, with why', () => {
    for (const pureSan of [false, true]) {
      const { socket, events, turn } = bench({ pureSan });
      socket(7);
      events.push(
        { type: 'rejected', connector: 7, reason: 0, privateData: encodeReject(RejectReason.condition) },
        { type: 'rejected', connector: 7, reason: 8, privateData: new Uint8Array(0) },
        { type: 'connectFailed', connector: 7 },
      );
      assert.deepEqual(turn(), [
        `socket/adapter.connectEnded 0 ${WSA.WSAECONNREFUSED}`,
        `socket/adapter.connectEnded 0 ${pureSan ? WSA.WSAECONNRESET : WSA.WSAETIMEDOUT}`,
        `socket/adapter.connectEnded 0 ${WSA.WSAETIMEDOUT}`,
      ]);
    }
  });

  test('failed, of a connection that had come back: it has ended at the peer’s wish', () => {
    const { socket, events, turn } = bench();
    socket(7).returned = true;
    events.push({ type: 'connectFailed', connector: 7 });
    assert.deepEqual(turn(), ['socket/adapter.disconnected 0 0']);
  });

  test('disconnected: what is in the queue by then comes first, and may end it', () => {
    const { socket, request, queue, events, turn, reactions, context } = bench({ batch: 1 });
    const row = request(socket(7), 1);
    events.push(
      { type: 'established', connector: 7, privateData: new Uint8Array(0) },
      { type: 'disconnected', connector: 7 },
    );
    reactions.set('socket/adapter.established', () => queue.push({ connector: 7, context: row }));
    assert.deepEqual(turn(), [
      'socket/adapter.established 0',
      `overlappedRequest/adapter.completed ${row} 1`,
      'socket/adapter.disconnected 0 0',
    ]);
    reactions.set('overlappedRequest/adapter.completed', () => context.byConnector.delete(7));
    events.push(
      { type: 'established', connector: 7, privateData: new Uint8Array(0) },
      { type: 'disconnected', connector: 7 },
    );
    assert.deepEqual(turn(), ['socket/adapter.established 0', `overlappedRequest/adapter.completed ${row} 1`]);
  });

  test('its device is removed: its socket hears of it, and no other', () => {
    const { socket, events, turn } = bench();
    socket(6);
    socket(7);
    events.push({ type: 'removed', connector: 7 });
    assert.deepEqual(turn(), ['socket/adapter.removed 1']);
  });

  test('what a listener listens on is removed: its socket hears of it, and no other', () => {
    const { context, socket, events, turn } = bench();
    socket(6);
    context.byListener.set(3, socket(-1));
    context.byListener.set(4, socket(-1));
    events.push({ type: 'listenerRemoved', listener: 4 });
    assert.deepEqual(turn(), ['socket/adapter.removed 2']);
  });

  test('the adapter is removed: the provider hears of it', () => {
    const { events, turn } = bench();
    events.push({ type: 'deviceRemoved' });
    assert.deepEqual(turn(), ['provider/adapter.removed 0']);
  });
});

describe('who asks for a connection', () => {
  const arrives = (listener: number, over: Partial<Parameters<typeof encodeHandshake>[0]> = {}, connector = 20) =>
    ({
      type: 'connectRequest',
      listener,
      connector,
      local,
      remote: peer,
      privateData: encodeHandshake({
        reattach: false,
        reattachPort: 1,
        mailboxAddress: 2,
        mailboxKey: 3,
        connectionId: id,
        ...over,
      }),
    }) as const;

  test('is an arrival of its listener', () => {
    const { context, socket, events, turn } = bench();
    context.byListener.set(3, socket(-1));
    events.push(arrives(3));
    assert.deepEqual(turn(), ['socket/adapter.connectRequest 0 0']);
    const arrival = context.arrivals[0]!;
    assert.equal(context.arrivalByConnector.get(20), arrival);
    assert.deepEqual([arrival.row, arrival.connector, arrival.local, arrival.remote], [0, 20, local, peer]);
    assert.deepEqual(arrival.connectionId, id);
    assert.equal(arrival.peer.mailboxKey, 3);
  });

  test('is refused when it is no provider, comes to no listener or the wrong one, or there is no room', () => {
    const { context, socket, events, turn } = bench();
    context.byListener.set(3, socket(-1));
    events.push(
      { ...arrives(3), privateData: new Uint8Array(40) },
      arrives(4),
      arrives(3, { reattach: true }),
      arrives(3, {}, 21),
      arrives(3, {}, 22),
      arrives(3, {}, 23),
    );
    assert.deepEqual(turn(), [
      'reject 20 0',
      `reject 20 ${RejectReason.backlogFull}`,
      `reject 20 ${RejectReason.backlogFull}`,
      'socket/adapter.connectRequest 0 0',
      'socket/adapter.connectRequest 0 1',
      `reject 23 ${RejectReason.backlogFull}`,
    ]);
  });

  test('may give up', () => {
    const { context, socket, events, turn } = bench();
    context.byListener.set(3, socket(-1));
    events.push(arrives(3), { type: 'withdrawn', connector: 20 }, { type: 'withdrawn', connector: 21 });
    assert.deepEqual(turn(), [
      'socket/adapter.connectRequest 0 0',
      'connectionRequest/adapter.withdrawn 0',
      'destroy 21',
    ]);
  });

  test('and comes back is taken to the socket whose connection it names', () => {
    const { context, socket, events, turn } = bench();
    context.reattachListeners.push(9);
    const [other, mine] = [socket(1), socket(2)];
    encodeMailbox(other.privateMemory!.mailboxOut, id.toReversed());
    events.push(arrives(9, { reattach: true }, 30));
    assert.deepEqual(turn(), ['socket/adapter.reattachRequested 1']);
    assert.equal(mine.reattaching, 30);
    assert.equal(mine.peer!.mailboxKey, 3);
    // It may give up too, while it is undecided.
    other.reattaching = 31;
    events.push({ type: 'withdrawn', connector: 30 });
    assert.deepEqual(turn(), ['destroy 30']);
    assert.deepEqual([other.reattaching, mine.reattaching], [31, -1]);
  });

  test.each<[string, (record: SocketRecord) => void]>([
    ['is another connection', (record) => encodeMailbox(record.privateMemory!.mailboxOut, id.toReversed())],
    [
      'has none',
      (record) => {
        record.named = false;
      },
    ],
    [
      'is of another host',
      (record) => {
        record.remote = { ...peer, address: '10.0.0.3' };
      },
    ],
    [
      'has no peer',
      (record) => {
        record.remote = null;
      },
    ],
    [
      'is being taken back already',
      (record) => {
        record.reattaching = 0;
      },
    ],
    [
      'has not reached its peer itself',
      (record) => {
        record.attaching = true;
      },
    ],
    [
      'is being closed',
      (record) => {
        record.switchHandle = 0n;
      },
    ],
  ])('and comes back is refused when the socket %s', (_, change) => {
    const { context, socket, events, turn } = bench();
    context.reattachListeners.push(9);
    change(socket(2));
    context.sockets.unshift(undefined);
    events.push(arrives(9, { reattach: true }, 30));
    assert.deepEqual(turn(), ['reject 30 0']);
  });

  test('and comes back without saying so is refused', () => {
    const { context, socket, events, turn } = bench();
    context.reattachListeners.push(9);
    socket(2);
    events.push(arrives(9, { reattach: false }, 30));
    assert.deepEqual(turn(), ['reject 30 0']);
  });
});

describe('a completion up-call', () => {
  test('is one at a time for a socket, and says how it went', () => {
    const { poller, context, socket, request, told, reactions } = bench();
    const [a, b] = [socket(1), socket(2)];
    const [first, second, third] = [request(a), request(a), request(b)];
    let nested: boolean[] = [];
    reactions.set('overlappedRequest/dispatcher.notify', () => {
      reactions.clear();
      nested = [poller.notify(second), poller.notify(third)];
      context.notified = 1;
    });
    assert.equal(poller.notify(first), true);
    assert.deepEqual(nested, [false, true]);
    assert.deepEqual(told, [
      `overlappedRequest/dispatcher.notify ${first}`,
      `overlappedRequest/dispatcher.notify ${third}`,
      `overlappedRequest/upcall.returned ${third} 0`,
      `overlappedRequest/upcall.returned ${first} 1`,
    ]);
    assert.equal(poller.notify(second), true);
  });
});
