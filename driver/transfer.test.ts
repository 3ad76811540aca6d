// Goal: a data function starts one request of exactly the bytes that its caller names, or says why not and leaves nothing.
// Method: a connected provider over an adapter that keeps what is posted.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../machines/index.ts';
import { type AdapterCapabilities, Opcode } from './adapter/adapter.ts';
import { encodeDescriptor, REMOTE_DESCRIPTOR_BYTES } from './remote-descriptor.ts';
import { type Out, out, type WsaBuf, WsaOverlapped } from './spi.ts';
import { providerBench } from './test-provider.ts';

/** What a data function is called with, where it isn't what most calls have. */
interface Given {
  readonly count?: unknown;
  readonly flags?: number;
  readonly overlapped?: unknown;
  readonly descriptor?: Uint8Array | null;
  readonly descriptorLength?: number;
  readonly offset?: number;
}

function bench(capabilities: Partial<AdapterCapabilities> = {}) {
  const bed = providerBench({ capabilities });
  const { provider, adapter } = bed;
  const s = bed.connected();
  const memory = new Uint8Array(4096);
  const handle = bed.register(s, memory);
  const { region } = adapter.regions.at(-1)!;
  /** `length` bytes of the memory, from `offset` on. */
  const bytes = (offset: number, length: number) => ({
    buf: memory.subarray(offset, offset + length),
    len: length,
    handle,
  });
  const element = (offset: number, length: number) => [region.localKey, length, region.address + offset];
  const target = { access: MEM_READWRITE, address: 0x7_0000_1000, length: 1000, key: 55, id: 9n };
  /** Starts a request. @returns the error's name */
  const start = (opcode: number, buffers: readonly unknown[] | null, given: Given = {}, of = s): string =>
    bed.error((lpErrno: Out<number>) => {
      const {
        count = buffers?.length ?? 0,
        flags = 0,
        overlapped = new WsaOverlapped(),
        descriptor = encodeDescriptor(target),
        descriptorLength = REMOTE_DESCRIPTOR_BYTES,
        offset = 0,
      } = given;
      const [lpBuffers, number, lpOverlapped] = [buffers as WsaBuf[], count as number, overlapped as WsaOverlapped];
      if (opcode === Opcode.send) {
        return provider.WSPSend(of, lpBuffers, number, null, flags, lpOverlapped, null, null, lpErrno);
      }
      if (opcode === Opcode.receive) {
        return provider.WSPRecv(of, lpBuffers, number, null, out(flags), lpOverlapped, null, null, lpErrno);
      }
      const call = opcode === Opcode.rdmaWrite ? provider.WSPRdmaWrite : provider.WSPRdmaRead;
      return call.call(
        provider,
        ...([of, lpBuffers as never, number, descriptor, descriptorLength, offset, null, flags] as const),
        ...([lpOverlapped, null, null, lpErrno] as const),
      );
    });
  const send = (buffers: readonly unknown[] | null, given?: Given): string => start(Opcode.send, buffers, given);
  const deregister = (which: bigint): string => bed.error((lpErrno) => provider.WSPDeregisterMemory(s, which, lpErrno));
  const requests = (): number => provider.inventory().requests;
  return { ...bed, s, memory, handle, region, bytes, element, target, start, send, deregister, requests };
}

const { send: SEND, receive: RECEIVE, rdmaWrite: WRITE, rdmaRead: READ } = Opcode;
const PENDING = 'WSA_IO_PENDING';

describe('a request', () => {
  test.each([SEND, RECEIVE, WRITE, READ])('of kind %i names its bytes to the adapter, in order', (opcode) => {
    const { start, adapter, bytes, element } = bench();
    assert.equal(start(opcode, [bytes(100, 10), bytes(0, 1), bytes(4095, 1)], { offset: 20 }), PENDING);
    assert.equal(adapter.posted.length, 1);
    const [posted] = adapter.posted;
    assert.equal(posted!.opcode, opcode);
    assert.deepEqual(posted!.elements, [element(100, 10), element(0, 1), element(4095, 1)]);
    if (opcode >= WRITE) assert.deepEqual(posted!.remote, [55, 0x7_0000_1014]);
  });

  test('of one buffer takes as much of it as is said', () => {
    const { start, adapter, bytes, element } = bench();
    assert.equal(start(SEND, [{ ...bytes(8, 100), len: 5 }]), PENDING);
    assert.equal(start(WRITE, [{ ...bytes(8, 100), len: 6 }]), PENDING);
    assert.deepEqual(
      adapter.posted.map(({ elements }) => elements),
      [[element(8, 5)], [element(8, 6)]],
    );
  });

  test('takes as many buffers as is said', () => {
    const { send, adapter, bytes, element } = bench();
    assert.equal(send([bytes(0, 1), bytes(1, 1), bytes(2, 1)], { count: 2 }), PENDING);
    assert.deepEqual(adapter.posted[0]!.elements, [element(0, 1), element(1, 1)]);
  });

  test('may have buffers without bytes, but not only such', () => {
    const { send, bytes } = bench();
    assert.equal(send([bytes(0, 0), bytes(1, 1)]), PENDING);
    assert.equal(send([bytes(0, 0), bytes(1, 0)]), 'WSAEINVAL');
  });

  test('is reported as the structure’s event asks', () => {
    const { send, bytes, provider, told } = bench();
    told.length = 0;
    const [polled, notified] = [new WsaOverlapped(), new WsaOverlapped()];
    [polled.hEvent, notified.hEvent] = [0x21n, 0x20n];
    send([bytes(0, 3)], { overlapped: polled });
    send([bytes(0, 4)], { overlapped: notified });
    assert.equal(polled.internal, 0x103n);
    provider.poll();
    assert.deepEqual([polled.internal, polled.internalHigh], [0n, 3n]);
    assert.deepEqual(told, ['WPUCompleteOverlappedRequest 0 4']);
  });
});

describe('buffers', () => {
  test.each<[string, unknown]>([
    ['nothing', null],
    ['no structure', 5],
    ['no memory', { len: 1, buf: null }],
    ['other memory', { len: 1, buf: [1, 2, 3] }],
    ['more than there is', { len: 9, buf: new Uint8Array(8) }],
    ['less than nothing', { len: -1, buf: new Uint8Array(8) }],
    ['a part of a byte', { len: 0.5, buf: new Uint8Array(8) }],
  ])('of which one is %s are refused', (_, wrong) => {
    const { send, bytes, adapter, requests } = bench();
    assert.equal(send([bytes(0, 8), wrong]), 'WSAEFAULT');
    assert.equal(send([wrong]), 'WSAEFAULT');
    assert.equal(requests(), 0);
    assert.deepEqual(adapter.posted, []);
  });

  test('have to be there', () => {
    const { send, bytes } = bench();
    assert.equal(send(null, { count: 1 }), 'WSAEFAULT');
    assert.equal(send({ length: 1, 0: bytes(0, 1) } as never, { count: 1 }), 'WSAEFAULT');
    assert.equal(send([bytes(0, 1)], { count: 2 }), 'WSAEFAULT');
  });

  test.each([0, -1, 1.5, Number.NaN, '1', undefined])('are not %j many', (count) => {
    const { send, bytes } = bench();
    assert.equal(send(count === undefined ? [] : [bytes(0, 1), bytes(1, 1)], { count }), 'WSAEINVAL');
  });

  test.each<[number, Partial<AdapterCapabilities>, number]>([
    [SEND, {}, 4],
    [SEND, { elementsMax: 2 }, 2],
    // A message may not be split, whatever the adapter could.
    [RECEIVE, { elementsMax: 3 }, 3],
    [WRITE, { elementsMax: 2 }, 8],
    [READ, { elementsMax: 4, readElementsMax: 1 }, 8],
  ])('of a request of kind %i on an adapter with %j are up to %i', (opcode, capabilities, max) => {
    const { start, bytes, requests } = bench(capabilities);
    const list = Array.from({ length: max + 1 }, (_, index) => bytes(index, 1));
    assert.equal(start(opcode, list), 'WSAEINVAL');
    assert.equal(requests(), 0);
    assert.equal(start(opcode, list.slice(1)), PENDING);
  });

  test.each<[number, Partial<AdapterCapabilities>, readonly number[]]>([
    [WRITE, { elementsMax: 4 }, [4, 3]],
    [WRITE, { elementsMax: 3 }, [3, 3, 1]],
    [READ, { elementsMax: 4, readElementsMax: 2 }, [2, 2, 2, 1]],
  ])('of an RDMA request of kind %i on an adapter with %j go in pieces', (opcode, capabilities, expected) => {
    const { start, bytes, adapter } = bench(capabilities);
    const list = Array.from({ length: 7 }, (_, index) => bytes(10 * index, 10));
    assert.equal(start(opcode, list), PENDING);
    assert.deepEqual(
      adapter.posted.map(({ elements }) => elements.length),
      expected,
    );
    assert.deepEqual(adapter.posted[1]!.remote, [55, 0x7_0000_1000 + 10 * expected[0]!]);
  });
});

describe('the structure of a request', () => {
  test('has to be there, and one', () => {
    const { send, bytes } = bench();
    assert.equal(send([bytes(0, 1)], { overlapped: null }), 'WSAEINVAL');
    assert.equal(send([bytes(0, 1)], { overlapped: new Uint32Array(8) }), 'WSAEFAULT');
  });

  test('serves one request at a time', () => {
    const { send, bytes, provider, requests } = bench();
    const overlapped = new WsaOverlapped();
    overlapped.hEvent = 1n;
    assert.equal(send([bytes(0, 1)], { overlapped }), PENDING);
    assert.equal(send([bytes(0, 1)], { overlapped }), 'WSAEINVAL');
    assert.equal(requests(), 1);
    provider.poll();
    assert.equal(send([bytes(0, 1)], { overlapped }), PENDING);
  });

  test('may hold anything else before', () => {
    const { send, bytes } = bench();
    const overlapped = new WsaOverlapped();
    overlapped.internal = 0x1_0000_0103n;
    assert.equal(send([bytes(0, 1)], { overlapped }), PENDING);
  });
});

describe('flags', () => {
  test.each([
    [SEND, 'WSAEOPNOTSUPP'],
    [RECEIVE, 'WSAEOPNOTSUPP'],
    [WRITE, 'WSAEINVAL'],
    [READ, 'WSAEINVAL'],
  ])('of a request of kind %i are refused with %s', (opcode, expected) => {
    const { start, bytes } = bench();
    assert.equal(start(opcode, [bytes(0, 1)], { flags: 1 }), expected);
  });

  test('of a receive may be absent', () => {
    const { provider, s, bytes, error } = bench();
    for (const flags of [null, undefined as never]) {
      assert.equal(
        error((lpErrno) =>
          provider.WSPRecv(s, [bytes(0, 1)], 1, null, flags, new WsaOverlapped(), null, null, lpErrno),
        ),
        PENDING,
      );
    }
  });
});

describe('sizes', () => {
  test('of messages and RDMA are those of the adapter; a receive may be larger', () => {
    const { start, bytes } = bench({ messageSizeMax: 100, rdmaSizeMax: 200 });
    const two = (total: number) => [bytes(0, total - 1), bytes(0, 1)];
    for (const [opcode, max] of [
      [SEND, 100],
      [WRITE, 200],
      [READ, 200],
    ] as const) {
      assert.equal(start(opcode, two(max)), PENDING);
      assert.equal(start(opcode, two(max + 1)), 'WSAEMSGSIZE');
    }
    assert.equal(start(RECEIVE, two(101)), PENDING);
  });

  test('are below 2 GiB, and those of a receive below 4', () => {
    const { start } = bench({ messageSizeMax: 2 ** 40, rdmaSizeMax: 2 ** 40 });
    const buf = new Uint8Array(2 ** 30);
    const gibibytes = (count: number) => new Array(count).fill({ buf, len: buf.length, handle: 0n });
    assert.equal(start(SEND, gibibytes(2)), 'WSAEMSGSIZE');
    assert.equal(start(WRITE, gibibytes(2)), 'WSAEMSGSIZE');
    // The memory is not registered, which is asked next.
    assert.equal(start(SEND, gibibytes(1)), 'WSAEFAULT');
    assert.equal(start(RECEIVE, gibibytes(3)), 'WSAEFAULT');
    assert.equal(start(RECEIVE, gibibytes(4)), 'WSAEINVAL');
  });
});

describe('the memory of a request', () => {
  test.each([
    [SEND, MEM_READ, MEM_WRITE],
    [RECEIVE, MEM_WRITE, MEM_READ],
    [WRITE, MEM_READ, MEM_WRITE],
    [READ, MEM_WRITE, MEM_READ],
  ])('of kind %i is registered for access %i, not %i alone', (opcode, enough, other) => {
    const { start, register, s, requests } = bench();
    const buf = new Uint8Array(16);
    const registered = (access: number) => ({ buf, len: 16, handle: register(s, buf, access) });
    assert.equal(start(opcode, [registered(other)]), 'WSAEFAULT');
    assert.equal(requests(), 0);
    assert.equal(start(opcode, [registered(enough)]), PENDING);
  });

  test('is registered, and not other memory like it', () => {
    const { start, memory, handle, requests } = bench();
    for (const opcode of [SEND, WRITE]) {
      assert.equal(start(opcode, [{ buf: new Uint8Array(4096), len: 8, handle }]), 'WSAEFAULT');
      assert.equal(start(opcode, [{ buf: new Uint8Array(memory.buffer, 0, 8), len: 8, handle }]), PENDING);
    }
    assert.equal(requests(), 2);
  });

  test('is named by a handle of the same socket, of memory that is not the peer’s to reach', () => {
    const { start, bytes, connected, register, memory, provider, s, errno } = bench();
    const other = connected();
    const strange = register(other, memory);
    assert.equal(start(WRITE, [{ ...bytes(0, 1), handle: strange }]), 'WSAEINVAL');
    assert.equal(start(WRITE, [{ ...bytes(0, 1), handle: 0n }]), 'WSAEINVAL');
    const descriptor = new Uint8Array(REMOTE_DESCRIPTOR_BYTES);
    provider.WSPRegisterRdmaMemory(s, memory, 4096, MEM_READWRITE, descriptor, out(32), errno);
    const handle = new DataView(descriptor.buffer).getBigUint64(24, true);
    assert.equal(start(WRITE, [{ ...bytes(0, 1), handle }]), 'WSAEINVAL');
  });

  test('can’t be taken back while the request needs it', () => {
    const { start, register, s, deregister, provider, error } = bench();
    const [a, b, c] = [new Uint8Array(8), new Uint8Array(8), new Uint8Array(8)];
    const handles = [a, b, c].map((memory) => register(s, memory));
    const of = (buf: Uint8Array, at: number) => ({ buf: buf.subarray(at, at + 1), len: 1 });
    assert.equal(start(RECEIVE, [of(a, 0), of(b, 0), of(a, 1)]), PENDING);
    assert.deepEqual(handles.map(deregister), ['WSAEINVAL', 'WSAEINVAL', '0']);
    assert.equal(
      error((lpErrno) => provider.WSPCloseSocket(s, lpErrno)),
      '0',
    );
    provider.poll();
    assert.deepEqual([provider.inventory().buffers, provider.inventory().requests], [0, 0]);
  });

  test('is free at once when the request has no place', () => {
    const { start, bytes, register, s, deregister, requests } = bench();
    let accepted = 0;
    while (start(RECEIVE, [bytes(0, 1)]) === PENDING) accepted++;
    assert.equal(requests(), accepted);
    const memory = new Uint8Array(8);
    const handle = register(s, memory);
    assert.equal(start(RECEIVE, [{ buf: memory, len: 8 }]), 'WSAENOBUFS');
    assert.equal(requests(), accepted);
    assert.equal(deregister(handle), '0');
  });
});

describe('the peer’s memory', () => {
  test.each<[string, Given]>([
    ['nothing', { descriptor: null }],
    ['what is no descriptor', { descriptor: new Uint8Array(32) }],
    ['a part of one', { descriptorLength: 31 }],
    ['a place before its beginning', { offset: -1 }],
    ['a place within a byte', { offset: 0.5 }],
  ])('is not named by %s', (_, given) => {
    const { start, bytes, requests } = bench();
    for (const opcode of [WRITE, READ]) assert.equal(start(opcode, [bytes(0, 1)], given), 'WSAEINVAL');
    assert.equal(requests(), 0);
  });

  test('is reached within its bounds', () => {
    const { start, bytes, requests, adapter } = bench();
    for (const opcode of [WRITE, READ]) {
      assert.equal(start(opcode, [bytes(0, 400), bytes(0, 600)]), PENDING);
      assert.equal(start(opcode, [bytes(0, 400), bytes(0, 600)], { offset: 1 }), 'WSAEFAULT');
      assert.equal(start(opcode, [bytes(0, 1)], { offset: 999 }), PENDING);
      assert.equal(start(opcode, [bytes(0, 1)], { offset: 1000 }), 'WSAEFAULT');
    }
    assert.equal(requests(), 4);
    assert.equal(adapter.posted.length, 4);
  });

  test.each([
    [WRITE, MEM_WRITE, MEM_READ],
    [READ, MEM_READ, MEM_WRITE],
  ])('by a request of kind %i with access %i, not %i', (opcode, enough, other) => {
    const { start, bytes, target } = bench();
    const named = (access: number) => ({ descriptor: encodeDescriptor({ ...target, access }) });
    assert.equal(start(opcode, [bytes(0, 1)], named(enough)), PENDING);
    assert.equal(start(opcode, [bytes(0, 1)], named(other)), 'WSAEFAULT');
  });
});

test('without a connection there is no request, whatever its buffers', () => {
  const { start, bytes, bound, requests } = bench();
  const s = bound();
  for (const opcode of [SEND, RECEIVE, WRITE, READ]) {
    assert.equal(start(opcode, [{ buf: new Uint8Array(1), len: 1, handle: 0n }], {}, s), 'WSAENOTCONN');
  }
  assert.equal(requests(), 0);
  assert.equal(start(SEND, [bytes(0, 1)], {}, 12345n), 'WSAENOTSOCK');
});
