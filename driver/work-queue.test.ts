// Goal: what a request says stands in the adapter's ring, in pieces and batches that the adapter takes, and what it does not
// take is reported to whom it belongs.
// Method: an adapter that keeps what is posted, and takes as much as it is told to.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { WSA } from '../machines/index.ts';
import {
  type Adapter,
  Opcode,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_WORDS,
  WorkRequestField as F,
} from './adapter/adapter.ts';
import type { Context } from './context.ts';
import { MAILBOX_BYTES } from './handshake.ts';
import { ELEMENT_WORDS, FirstReceive, PrivateMemoryPool, RequestTable, SocketRecord } from './tables.ts';
import { elementsPerPiece, FIRST_MESSAGE_CONTEXT, MAILBOX_CONTEXT, WorkQueue } from './work-queue.ts';

/** One posted work request. */
interface Posted {
  readonly opcode: number;
  readonly connector: number;
  readonly context: number;
  readonly flags: number;
  readonly remote: readonly [key: number, address: number];
  readonly elements: readonly (readonly [key: number, length: number, address: number])[];
}

function bench(
  options: { readonly batch?: number; readonly elementsMax?: number; readonly readElementsMax?: number } = {},
) {
  const { batch = 8, elementsMax = 4, readElementsMax } = options;
  const ring = new Uint32Array(batch * WORK_REQUEST_WORDS);
  const batches: Posted[][] = [];
  const told: string[] = [];
  /** How many of each batch are taken; then all. */
  const takes: number[] = [];
  const wide = (at: number): number => ring[at]! + ring[at + 1]! * 0x1_0000_0000;
  const adapter = {
    workRequests: ring,
    postBatchMax: batch,
    capabilities: { elementsMax, ...(readElementsMax === undefined ? {} : { readElementsMax }) },
    post: (count: number) => {
      const taken = Math.min(count, takes.shift() ?? count);
      batches.push(
        Array.from({ length: taken }, (_, index) => {
          const at = index * WORK_REQUEST_WORDS;
          return {
            opcode: ring[at + F.opcode]!,
            connector: ring[at + F.connector]!,
            context: ring[at + F.context]!,
            flags: ring[at + F.flags]!,
            remote: [ring[at + F.remoteKey]!, wide(at + F.remoteAddressLow)],
            elements: Array.from({ length: ring[at + F.elementCount]! }, (__, element) => {
              const from = at + F.elements + ELEMENT_WORDS * element;
              return [ring[from]!, ring[from + 1]!, wide(from + 2)] as const;
            }),
          };
        }),
      );
      return taken;
    },
  } as unknown as Adapter;
  const requests = new RequestTable(100);
  const sockets: SocketRecord[] = [];
  const byConnector = new Map<number, SocketRecord>();
  const names = ['overlappedRequest/adapter.postRefused', 'overlappedRequest/adapter.failed', 'socket/adapter.fault'];
  const context = {
    adapter,
    requests,
    sockets,
    byConnector,
    initiating: -1,
    dispatcher: {
      event: (machine: string, name: string) => names.indexOf(`${machine}/${name}`),
      apply: (event: number, row: number, p0 = 0) => {
        told.push(`${names[event]} ${row} ${p0}`);
        if (event === 2 && context.faultEnds) byConnector.delete(sockets[row]!.connector);
        if (event === 1) context.onFailure(row);
      },
    },
    faultEnds: false,
    onFailure: (_row: number): void => {},
  };
  const socket = (connector: number): SocketRecord => {
    const record = new SocketRecord(sockets.length, BigInt(sockets.length), 'IPv4', 1);
    record.connector = connector;
    sockets.push(record);
    byConnector.set(connector, record);
    return record;
  };
  /** A request with elements of 100, 101, ... bytes. */
  const request = (of: SocketRecord, opcode: number, elements = 1): number => {
    const row = requests.allocate(of.row, opcode, 0, elements);
    requests.overlapped[row] = {} as never;
    for (let index = 0; index < elements; index++) requests.setElement(row, index, ...element(row, index));
    if (opcode >= Opcode.rdmaWrite) requests.setRemote(row, 55, 0x5_0000_0000);
    return row;
  };
  const work = new WorkQueue(context as unknown as Context);
  return { adapter, context, work, socket, request, batches, takes, told, requests, byConnector };
}
const element = (row: number, index: number) =>
  [1000 * row + index, 100 + index, 0x7_0000_0000 + 0x10 * index] as const;

describe('elements of one work request', () => {
  test.each([
    [Opcode.send, undefined, 8],
    [Opcode.receive, 2, 8],
    [Opcode.rdmaWrite, 2, 8],
    [Opcode.rdmaRead, 2, 2],
    [Opcode.rdmaRead, undefined, 8],
  ])('of kind %i, where a read has %s: %i', (opcode, readElementsMax, expected) => {
    assert.equal(
      elementsPerPiece(
        bench({ elementsMax: 8, ...(readElementsMax === undefined ? {} : { readElementsMax }) }).adapter,
        opcode,
      ),
      expected,
    );
  });
});

describe('a request', () => {
  test('of one element is one work request, posted at once', () => {
    const { work, socket, request, batches } = bench();
    const a = socket(9);
    const [send, receive] = [request(a, Opcode.send), request(a, Opcode.receive)];
    work.post(send, 1, 1);
    work.post(receive, 0, 1);
    assert.equal(batches.length, 2);
    const { remote: _, ...first } = batches[0]![0]!;
    assert.deepEqual(first, {
      opcode: Opcode.send,
      connector: 9,
      context: send,
      flags: WORK_REQUEST_FENCE,
      elements: [element(send, 0)],
    });
    assert.deepEqual(
      batches[1]!.map(({ opcode, context, flags }) => [opcode, context, flags]),
      [[Opcode.receive, receive, 0]],
    );
  });

  test('of RDMA names its place at the peer', () => {
    const { work, socket, request, batches } = bench();
    const a = socket(9);
    for (const opcode of [Opcode.rdmaWrite, Opcode.rdmaRead]) work.post(request(a, opcode), 0, 1);
    assert.deepEqual(
      batches.flat().map(({ opcode, remote }) => [opcode, remote]),
      [
        [Opcode.rdmaWrite, [55, 0x5_0000_0000]],
        [Opcode.rdmaRead, [55, 0x5_0000_0000]],
      ],
    );
  });

  test('of a message has all its elements in one work request', () => {
    const { work, socket, request, batches } = bench();
    const row = request(socket(9), Opcode.send, 4);
    work.post(row, 0, 1);
    assert.deepEqual(
      batches.flat().map(({ elements }) => elements),
      [[0, 1, 2, 3].map((index) => element(row, index))],
    );
  });

  test('of more elements is split, each piece behind the one before at the peer too', () => {
    const { work, socket, request, batches } = bench({ readElementsMax: 2 });
    const a = socket(9);
    const write = request(a, Opcode.rdmaWrite, 6);
    work.post(write, 1, 2);
    assert.deepEqual(
      batches.flat().map(({ flags, context, remote, elements }) => [flags, context, remote, elements.length]),
      [
        [WORK_REQUEST_FENCE, write, [55, 0x5_0000_0000], 4],
        [WORK_REQUEST_FENCE, write, [55, 0x5_0000_0000 + 100 + 101 + 102 + 103], 2],
      ],
    );
    batches.length = 0;
    const read = request(a, Opcode.rdmaRead, 5);
    work.post(read, 0, 3);
    assert.deepEqual(
      batches.flat().map(({ remote, elements }) => [remote[1] - 0x5_0000_0000, elements]),
      [
        [0, [element(read, 0), element(read, 1)]],
        [201, [element(read, 2), element(read, 3)]],
        [406, [element(read, 4)]],
      ],
    );
  });

  test('that was carried out in part on an earlier connection is posted from there', () => {
    const { work, socket, request, batches } = bench({ readElementsMax: 2 });
    const read = request(socket(9), Opcode.rdmaRead, 5);
    work.post(read, 0, 1);
    assert.deepEqual(
      batches.flat().map(({ remote, elements }) => [remote[1] - 0x5_0000_0000, elements]),
      [[406, [element(read, 4)]]],
    );
  });
});

describe('while completions are handled', () => {
  test('requests gather, and are posted together', () => {
    const { work, socket, request, batches } = bench();
    const a = socket(9);
    const rows = [request(a, Opcode.send), request(a, Opcode.receive), request(a, Opcode.send)];
    work.gathering = true;
    for (const row of rows) work.post(row, 0, 1);
    assert.equal(batches.length, 0);
    work.flush();
    work.flush();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context }) => context)),
      [rows],
    );
  });

  test('as many as the adapter takes at once', () => {
    const { work, socket, request, batches } = bench({ batch: 2 });
    const a = socket(9);
    work.gathering = true;
    const rows = Array.from({ length: 5 }, () => request(a, Opcode.send));
    for (const row of rows) work.post(row, 0, 1);
    work.flush();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context }) => context)),
      [rows.slice(0, 2), rows.slice(2, 4), rows.slice(4)],
    );
  });

  test('what is for a connector that is destroyed is dropped, and nothing else', () => {
    const { work, socket, request, batches } = bench();
    const [a, b] = [socket(9), socket(10)];
    const rows = [a, b, a, b].map((of) => request(of, Opcode.send));
    work.gathering = true;
    work.forget(9);
    for (const row of rows) work.post(row, 0, 1);
    work.forget(9);
    work.flush();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context, elements }) => [context, elements])),
      [[rows[1]!, rows[3]!].map((row) => [row, [element(row, 0)]])],
    );
  });
});

describe('what the adapter does not take', () => {
  test('of the call that is running, and nothing of it was taken: there is no room', () => {
    const { work, socket, request, takes, told, context } = bench();
    const row = request(socket(9), Opcode.send);
    context.initiating = row;
    takes.push(0);
    work.post(row, 0, 1);
    assert.deepEqual(told, [`overlappedRequest/adapter.postRefused ${row} 0`]);
  });

  test('of it, behind a piece that was taken: it fails, and its connection with it', () => {
    const { work, socket, request, takes, told, context } = bench();
    const row = request(socket(9), Opcode.rdmaWrite, 6);
    context.initiating = row;
    takes.push(1);
    work.post(row, 0, 2);
    assert.deepEqual(told, [
      `overlappedRequest/adapter.failed ${row} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
    ]);
  });

  test('all pieces of it: there is no room', () => {
    const { work, socket, request, takes, told, context } = bench();
    const row = request(socket(9), Opcode.rdmaWrite, 6);
    context.initiating = row;
    takes.push(0);
    work.post(row, 0, 2);
    assert.deepEqual(told, [`overlappedRequest/adapter.postRefused ${row} 0`]);
  });

  test('of requests that had waited: each fails, but for those of other connections, which are posted', () => {
    const { work, socket, request, takes, told, batches } = bench();
    const [a, b] = [socket(9), socket(10)];
    const [first, second, other, third] = [
      request(a, Opcode.send),
      request(a, Opcode.send),
      request(b, Opcode.send),
      request(a, Opcode.send),
    ];
    work.gathering = true;
    for (const row of [first, second, other, third]) work.post(row, 0, 1);
    takes.push(1);
    work.flush();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context }) => context)),
      [[first], [other]],
    );
    assert.deepEqual(told, [
      `overlappedRequest/adapter.failed ${second} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
      `overlappedRequest/adapter.failed ${third} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
    ]);
  });

  test('is told to nobody whose connection or request is no more', () => {
    const { work, socket, request, takes, told, requests, context, byConnector } = bench();
    const a = socket(9);
    const [first, second] = [request(a, Opcode.send), request(a, Opcode.send)];
    work.gathering = true;
    for (const row of [first, second]) work.post(row, 0, 1);
    takes.push(0);
    requests.overlapped[second] = null;
    context.faultEnds = true;
    work.flush();
    assert.deepEqual(told, [
      `overlappedRequest/adapter.failed ${first} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
    ]);
    assert.equal(byConnector.has(9), false);
    work.post(first, 0, 1);
    takes.push(0);
    work.flush();
    assert.equal(told.length, 2);
  });

  test('is no fault of a connection that has ended with its request', () => {
    const { work, socket, request, takes, told, context, byConnector } = bench();
    const row = request(socket(9), Opcode.send);
    context.onFailure = () => byConnector.clear();
    takes.push(0);
    work.post(row, 0, 1);
    assert.deepEqual(told, [`overlappedRequest/adapter.failed ${row} ${WSA.WSAECONNABORTED}`]);
  });

  test('of the running call is not all that the adapter refuses: then it has not been refused alone', () => {
    const { work, socket, request, takes, told, context } = bench();
    const a = socket(9);
    const [called, other] = [request(a, Opcode.rdmaWrite, 6), request(a, Opcode.send)];
    work.gathering = true;
    context.initiating = called;
    work.post(called, 0, 2);
    work.post(other, 0, 1);
    takes.push(1);
    work.flush();
    assert.deepEqual(told, [
      `overlappedRequest/adapter.failed ${called} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
      `overlappedRequest/adapter.failed ${other} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
    ]);
  });

  // A request that has ended has no elements any more.
  test('ends no request whose pieces are being written: they come in one batch, with room made first', () => {
    const { work, socket, request, takes, told, batches, requests, context } = bench({ batch: 2 });
    const a = socket(9);
    const [waiting, split] = [request(a, Opcode.send), request(a, Opcode.rdmaWrite, 6)];
    work.gathering = true;
    work.post(waiting, 0, 1);
    takes.push(0);
    context.onFailure = (row) => requests.free(row);
    work.post(split, 0, 2);
    work.flush();
    assert.deepEqual(told, [
      `overlappedRequest/adapter.failed ${waiting} ${WSA.WSAECONNABORTED}`,
      'socket/adapter.fault 0 0',
    ]);
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context: row, elements }) => [row, elements.length])),
      [
        [],
        [
          [split, 4],
          [split, 2],
        ],
      ],
    );
  });

  test('while room is made for a request may take its connector away: then it is not posted', () => {
    const { work, socket, request, takes, batches, context } = bench({ batch: 1 });
    const a = socket(9);
    const [waiting, next] = [request(a, Opcode.send), request(a, Opcode.send)];
    work.gathering = true;
    work.post(waiting, 0, 1);
    takes.push(0);
    context.onFailure = () => {
      a.connector = -1;
    };
    work.post(next, 0, 1);
    work.flush();
    assert.deepEqual(batches, [[]]);
  });

  test('and another request than the running call had waited: it has not been refused', () => {
    const { work, socket, request, takes, told, context } = bench();
    const a = socket(9);
    const [waiting, called] = [request(a, Opcode.send), request(a, Opcode.send)];
    work.gathering = true;
    work.post(waiting, 0, 1);
    context.initiating = called;
    takes.push(0);
    work.flush();
    assert.deepEqual(told[0], `overlappedRequest/adapter.failed ${waiting} ${WSA.WSAECONNABORTED}`);
  });
});

describe("the provider's own", () => {
  test('first receive and notice come behind what has gathered, one by one', () => {
    const { work, socket, request, batches, takes } = bench();
    const a = socket(9);
    a.privateMemory = new PrivateMemoryPool().take();
    a.privateMemory.first = new FirstReceive(new Uint8Array(256), {
      id: 1,
      localKey: 77,
      remoteKey: 0,
      address: 0x3_0000_0010,
    });
    a.privateMemory.mailboxOutRegion = { id: 2, localKey: 78, remoteKey: 0, address: 0x4_0000_0020 };
    a.peer = { reattachPort: 1, mailboxAddress: 0x6_0000_0000, mailboxKey: 79 };
    const row = request(a, Opcode.send);
    work.gathering = true;
    work.post(row, 0, 1);
    assert.equal(work.postFirstReceive(a), true);
    assert.equal(work.postMailbox(a), true);
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context }) => context)),
      [[row], [FIRST_MESSAGE_CONTEXT], [MAILBOX_CONTEXT]],
    );
    const { remote: _, ...first } = batches[1]![0]!;
    assert.deepEqual(first, {
      opcode: Opcode.receive,
      connector: 9,
      context: FIRST_MESSAGE_CONTEXT,
      flags: 0,
      elements: [[77, 256, 0x3_0000_0010]],
    });
    assert.deepEqual(batches[2]![0], {
      opcode: Opcode.rdmaWrite,
      connector: 9,
      context: MAILBOX_CONTEXT,
      flags: 0,
      remote: [79, 0x6_0000_0000],
      elements: [[78, MAILBOX_BYTES, 0x4_0000_0020]],
    });
    batches.length = 0;
    work.post(row, 0, 1);
    assert.equal(work.postMailbox(a), true);
    assert.deepEqual(
      batches.map((batch) => batch.map(({ context }) => context)),
      [[row], [MAILBOX_CONTEXT]],
    );
    takes.push(0, 0);
    assert.equal(work.postFirstReceive(a), false);
    assert.equal(work.postMailbox(a), false);
    work.flush();
    assert.equal(batches.length, 4);
  });
});
