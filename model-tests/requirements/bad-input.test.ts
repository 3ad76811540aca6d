// Goal: no argument, however wrong, makes a function throw, change anything, or answer with another error than its own.
// Method: a call of each of the 25 functions that works; each of its parameters in turn is replaced by what it can't be.
// Afterwards the state and every structure are as before, and the call still works.

import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  extensionGuids,
  guidBytes,
  type Handle,
  out,
  type Socket,
  toSockaddr,
  WsaNetworkEvents,
  WsaOverlapped,
  tcpProtocolInfo,
} from '../../driver/index.ts';
import {
  INVALID_SOCKET,
  SIO_ADDRESS_LIST_QUERY,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  WSA,
  wsaName,
} from '../../machines/index.ts';
import { bound, connecting, end, listening, must } from '../support/story.ts';
import { type Connected, connectedHosts, type Host } from '../support/two-hosts.ts';

/** What is no pointer to anything, null apart. */
const noPointers: readonly unknown[] = [0, 1, -1, 1.5, Number.NaN, 2 ** 40, 'text', '', true, 7n, Symbol('s'), () => 0];
const noBytes: readonly unknown[] = [...noPointers, {}, [], [1, 2], new DataView(new ArrayBuffer(64)), out(0)];
/** What is no number of the C types that are used here. */
const noNumbers: readonly unknown[] = [
  ...[undefined, null, 'text', '16', '', true, {}, [], 16n, Symbol('s')],
  ...[Number.NaN, 1.5, -1.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
];
const noSockets: readonly unknown[] = [
  ...[undefined, null, 0, 1, -1, 1.5, Number.NaN, 'text', {}, [], true, Symbol('s'), () => 0],
  ...[0n, 1n, -1n, INVALID_SOCKET, 2n ** 64n, 2n ** 2000n, -(2n ** 70n)],
];

/** What a call is tried on. */
interface Scene extends Connected {
  readonly memory: Uint8Array;
  /** Registered for the client's own requests, and for its peer. */
  readonly handle: Handle;
  readonly descriptor: Uint8Array;
  /** For the client, made by its peer. */
  readonly target: Uint8Array;
  readonly unbound: Socket;
  readonly idle: Socket;
  /** At the client: a listener with one request waiting. */
  readonly ear: Socket;
  /** At the client: pending. */
  readonly pending: WsaOverlapped;
  /** At the client: done. */
  readonly done: WsaOverlapped;
  /** Sockets, a handle, and descriptors that were the client's. */
  readonly closed: Socket;
  readonly freed: Handle;
  readonly stale: Uint8Array;
}

function scene(): Scene {
  const hosts = connectedHosts();
  const { client, server, near, far, nearMemory, farMemory, run } = hosts;
  const memory = nearMemory.subarray(0, 64);
  const closed = must(client.socket());
  client.close(closed);
  const freed = must(client.register(near, new Uint8Array(8)));
  client.deregister(near, freed);
  const stale = client.registerRdma(near, new Uint8Array(8)).descriptor;
  client.deregisterRdma(near, stale);
  const ear = listening(client, 4100);
  connecting(server, 4101, client.address, 4100);
  run();
  const done = client.send(near, nearMemory.subarray(128, 136)).overlapped;
  run();
  return {
    ...hosts,
    memory,
    handle: must(client.register(near, memory)),
    descriptor: client.registerRdma(near, memory).descriptor,
    target: server.registerRdma(far, farMemory.subarray(0, 64)).descriptor,
    unbound: must(client.socket()),
    idle: bound(client, 4102),
    ear,
    pending: client.recv(near, nearMemory.subarray(64, 128)).overlapped,
    done,
    closed,
    freed,
    stale,
  };
}

/** Values that a parameter can't have, and the error that each gives. `changes`: it may write the size needed. */
interface Wrong {
  readonly at: number;
  readonly values: readonly unknown[];
  readonly error: keyof typeof WSA;
  readonly changes?: readonly number[];
}

interface Call {
  readonly name: keyof Host['provider'] & `WSP${string}`;
  /** Arguments that work, but for lpErrno. */
  readonly args: (scene: Scene) => unknown[];
  readonly works: keyof typeof WSA | '0';
  /** The first argument is a socket that is looked up. */
  readonly socket?: boolean;
  readonly wrong: (scene: Scene) => readonly Wrong[];
}

const name = toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 4999 });
const peer = toSockaddr({ family: 'IPv4', address: '10.9.9.9', port: 5000 });
const wrongName = (error: 'WSAEFAULT'): Wrong[] => [
  { at: 1, values: [undefined, null, ...noBytes, new Uint8Array(0), new Uint8Array(16).fill(0xff)], error },
  { at: 2, values: [...noNumbers, -1, 0, 1, 15, 17, 2 ** 31, 2 ** 40], error },
];

const transfer = (rdma: boolean, send: boolean): Call['wrong'] => {
  const overlappedAt = rdma ? 8 : 5;
  return ({ memory, handle, pending, freed, farHandle, target }) => {
    const element = (given: object) => [{ len: 8, buf: memory, handle, ...given }];
    const buffers: Wrong[] = [
      {
        at: 1,
        values: [
          ...[undefined, null, ...noPointers, {}, [], [null], [undefined], [7]],
          ...noBytes.map((buf) => element({ buf })),
          ...[null, undefined].map((buf) => element({ buf })),
          ...[...noNumbers, -1, 65, 2 ** 32, 2 ** 53].map((len) => element({ len })),
          // Not registered, and half of it registered.
          element({ buf: new Uint8Array(64) }),
        ],
        error: 'WSAEFAULT',
      },
      { at: 1, values: [element({ len: 0 })], error: 'WSAEINVAL' },
      { at: 2, values: [...noNumbers, -1, 0, 9, 2 ** 31, 2 ** 40], error: 'WSAEINVAL' },
      { at: 2, values: [2], error: 'WSAEFAULT' },
      {
        at: overlappedAt,
        values: [null, undefined, pending, new WsaOverlapped(pending.words.buffer, pending.words.byteOffset)],
        error: 'WSAEINVAL',
      },
      {
        at: overlappedAt,
        values: [...noPointers, {}, new Uint8Array(32), { words: new Uint32Array(8) }],
        error: 'WSAEFAULT',
      },
    ];
    if (!rdma) {
      const flags = send ? [...noNumbers, 1, -1, 2 ** 40] : [1, -1, 2 ** 40, ...noNumbers].map(out);
      return [...buffers, { at: 4, values: flags, error: 'WSAEOPNOTSUPP' }];
    }
    const broken = (at: number, byte: number) => target.with(at, byte);
    return [
      ...buffers,
      {
        at: 1,
        values: [...noSockets, freed, farHandle, handle + 1n].map((given) => element({ handle: given })),
        error: 'WSAEINVAL',
      },
      {
        at: 3,
        values: [
          ...[undefined, null, ...noBytes, new Uint8Array(0), new Uint8Array(31), new Uint8Array(32)],
          ...[broken(0, 0), broken(4, 2), broken(6, 0), broken(6, 4), broken(15, 0xff)],
        ],
        error: 'WSAEINVAL',
      },
      { at: 4, values: [...noNumbers, -1, 0, 31, 33, 2 ** 40], error: 'WSAEINVAL' },
      { at: 5, values: [...noNumbers, -1, 2 ** 32, 2 ** 53], error: 'WSAEINVAL' },
      { at: 5, values: [57, 64, 2 ** 32 - 1], error: 'WSAEFAULT' },
      { at: 7, values: [...noNumbers, 1, -1, 2 ** 40], error: 'WSAEINVAL' },
    ];
  };
};

const message = (handle?: 'handle') => (given: Scene) => [
  { len: 8, buf: given.memory, ...(handle === undefined ? {} : { handle: given.handle }) },
];

const calls: readonly Call[] = [
  {
    name: 'WSPSocket',
    args: () => [2, 1, 6, tcpProtocolInfo(), 0, 1],
    works: '0',
    wrong: () => [
      { at: 0, values: [...noNumbers, -1, 0, 2 ** 32 + 2], error: 'WSAEAFNOSUPPORT' },
      { at: 1, values: [...noNumbers, -1, 0, 2 ** 32 + 1], error: 'WSAESOCKTNOSUPPORT' },
      { at: 2, values: [...noNumbers, -1, 0, 2 ** 32 + 6], error: 'WSAEPROTONOSUPPORT' },
      { at: 3, values: [undefined, ...noPointers], error: 'WSAEFAULT' },
      {
        at: 3,
        values: [...noNumbers.slice(2), -1, 2 ** 32, 99_999].map((token) => tcpProtocolInfo(token as number)),
        error: 'WSAEINVAL',
      },
      { at: 4, values: [...noNumbers, 1, -1], error: 'WSAEINVAL' },
      { at: 5, values: [...noNumbers, 0, 2, -1, 2 ** 32 + 1], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPBind',
    args: ({ unbound }) => [unbound, name, 16],
    works: '0',
    socket: true,
    wrong: () => wrongName('WSAEFAULT'),
  },
  {
    name: 'WSPSetSockOpt',
    args: ({ near }) => [near, 0xffff, 1, new Uint8Array(4), 4],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [...noNumbers, -1, 0, 2 ** 32 + 0xffff], error: 'WSAEINVAL' },
      { at: 2, values: [...noNumbers, -1, 0, 2 ** 32 + 1], error: 'WSAENOPROTOOPT' },
      { at: 3, values: [undefined, null, ...noBytes, new Uint8Array(3)], error: 'WSAEFAULT' },
      { at: 4, values: [...noNumbers, -1, 0, 3, 5, 2 ** 40], error: 'WSAEFAULT' },
    ],
  },
  {
    name: 'WSPGetSockOpt',
    args: ({ near }) => [near, 0xffff, 1, new Uint8Array(4), out(4)],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [...noNumbers, -1, 0, 2 ** 32 + 0xffff], error: 'WSAEINVAL' },
      { at: 2, values: [...noNumbers, -1, 0, 2 ** 32 + 1], error: 'WSAENOPROTOOPT' },
      { at: 3, values: [undefined, null, ...noBytes], error: 'WSAEFAULT' },
      { at: 3, values: [new Uint8Array(3)], error: 'WSAEFAULT', changes: [4] },
      { at: 4, values: [undefined, null, ...noPointers, ...noNumbers.map(out)], error: 'WSAEFAULT' },
      { at: 4, values: [-1, 0, 3].map(out), error: 'WSAEFAULT', changes: [4] },
    ],
  },
  {
    name: 'WSPIoctl',
    args: ({ near }) => [near, SIO_ADDRESS_LIST_QUERY, null, 0, new Uint8Array(64), 64, out(0), null, null, null],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [...noNumbers, -1, 0, 2 ** 32 + SIO_ADDRESS_LIST_QUERY], error: 'WSAEINVAL' },
      {
        at: 4,
        values: [undefined, null, ...noBytes, new Uint8Array(39)],
        error: 'WSAEFAULT',
        changes: [6],
      },
      { at: 5, values: [...noNumbers.filter((value) => value !== Infinity), -1, 39], error: 'WSAEFAULT', changes: [6] },
      { at: 6, values: [undefined, null, ...noPointers], error: 'WSAEFAULT' },
    ],
  },
  {
    name: 'WSPIoctl',
    args: () => [
      ...[INVALID_SOCKET, SIO_GET_EXTENSION_FUNCTION_POINTER],
      ...[guidBytes(extensionGuids.WSPRdmaWrite), 16, out(null), 8, out(0), null, null, null],
    ],
    works: '0',
    wrong: () => [
      { at: 2, values: [undefined, null, ...noBytes, new Uint8Array(15)], error: 'WSAEFAULT' },
      { at: 2, values: [new Uint8Array(16)], error: 'WSAEINVAL' },
      { at: 3, values: [...noNumbers.filter((value) => value !== Infinity), -1, 15], error: 'WSAEFAULT' },
      { at: 4, values: [undefined, null, ...noPointers, new Uint8Array(8)], error: 'WSAEFAULT' },
      { at: 5, values: [...noNumbers, -1, 7], error: 'WSAEFAULT' },
      { at: 6, values: [undefined, null, ...noPointers], error: 'WSAEFAULT' },
    ],
  },
  {
    name: 'WSPGetQOSByName',
    args: ({ near }) => [near, null, {}],
    works: 'WSAEOPNOTSUPP',
    wrong: () => [
      { at: 0, values: noSockets, error: 'WSAEOPNOTSUPP' },
      { at: 1, values: noPointers, error: 'WSAEOPNOTSUPP' },
      { at: 2, values: noPointers, error: 'WSAEOPNOTSUPP' },
    ],
  },
  {
    name: 'WSPConnect',
    args: ({ idle }) => [idle, peer, 16, null, null, null, null],
    works: 'WSAEWOULDBLOCK',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, ...noBytes, new Uint8Array(0)], error: 'WSAEFAULT' },
      { at: 1, values: [new Uint8Array(16).fill(0xff)], error: 'WSAEAFNOSUPPORT' },
      { at: 2, values: [...noNumbers, -1, 0, 1, 15, 17, 2 ** 31, 2 ** 40], error: 'WSAEFAULT' },
      { at: 3, values: noPointers, error: 'WSAEFAULT' },
      { at: 3, values: [...noNumbers, 1, -1].map((len) => ({ len, buf: null })), error: 'WSAEPROTONOSUPPORT' },
      { at: 4, values: noPointers, error: 'WSAEFAULT' },
      { at: 5, values: [...noPointers, {}], error: 'WSAEOPNOTSUPP' },
    ],
  },
  {
    name: 'WSPListen',
    args: ({ ear }) => [ear, 5],
    works: '0',
    socket: true,
    wrong: () => [{ at: 1, values: noNumbers, error: 'WSAEINVAL' }],
  },
  {
    name: 'WSPAccept',
    args: ({ ear }) => [ear, new Uint8Array(16), out(16), () => 1, null],
    works: 'WSAECONNREFUSED',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, ...noBytes, new Uint8Array(15)], error: 'WSAEFAULT' },
      { at: 2, values: [undefined, null, ...noPointers], error: 'WSAEFAULT' },
      {
        at: 2,
        values: [...noNumbers.filter((value) => value !== Infinity), -1, 0, 15].map(out),
        error: 'WSAEFAULT',
      },
      { at: 3, values: [undefined, {}, [], ...noPointers.slice(0, -1)], error: 'WSAEFAULT' },
    ],
  },
  {
    name: 'WSPEventSelect',
    args: ({ near }) => [near, 0x20n, 0x18],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, 0, 0n, 32, 'text', {}, Number.NaN, true], error: 'WSAEINVAL' },
      { at: 2, values: [...noNumbers, -1, 1, 2 ** 31, 2 ** 32, 2 ** 32 + 8, 2 ** 40, 2 ** 53], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPEnumNetworkEvents',
    args: ({ near }) => [near, 0n, new WsaNetworkEvents()],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, 0, 32, 'text', {}, Number.NaN, true], error: 'WSAEINVAL' },
      {
        at: 2,
        values: [undefined, null, ...noPointers, {}, { lNetworkEvents: 0, iErrorCode: [] }],
        error: 'WSAEINVAL',
      },
    ],
  },
  {
    name: 'WSPDuplicateSocket',
    args: ({ near }) => [near, 1, tcpProtocolInfo()],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [...noNumbers, -1, 2 ** 32], error: 'WSAEINVAL' },
      { at: 2, values: [undefined, null, ...noPointers], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPSend',
    args: (given) => [given.near, message()(given), 1, null, 0, new WsaOverlapped(), null, null],
    works: 'WSA_IO_PENDING',
    socket: true,
    wrong: transfer(false, true),
  },
  {
    name: 'WSPRecv',
    args: (given) => [given.near, message()(given), 1, null, out(0), new WsaOverlapped(), null, null],
    works: 'WSA_IO_PENDING',
    socket: true,
    wrong: transfer(false, false),
  },
  ...(['WSPRdmaWrite', 'WSPRdmaRead'] as const).map(
    (rdma): Call => ({
      name: rdma,
      args: (given) => [
        ...[given.near, message('handle')(given), 1, given.target, 32, 0],
        ...[null, 0, new WsaOverlapped(), null, null],
      ],
      works: 'WSA_IO_PENDING',
      socket: true,
      wrong: transfer(true, true),
    }),
  ),
  {
    name: 'WSPGetOverlappedResult',
    args: ({ near, done }) => [near, done, out(0), false, out(0)],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, ...noPointers, {}, new Uint8Array(32)], error: 'WSAEINVAL' },
      { at: 2, values: [undefined, null, ...noPointers], error: 'WSAEINVAL' },
      { at: 4, values: [undefined, null, ...noPointers], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPRegisterMemory',
    args: ({ near }) => [near, new Uint8Array(16), 16, 3],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, ...noBytes, new Uint8Array(0), new Uint8Array(15)], error: 'WSAEFAULT' },
      { at: 2, values: [...noNumbers, -1, 0, 17, 2 ** 31, 2 ** 40], error: 'WSAEFAULT' },
      { at: 3, values: [...noNumbers, -1, 0, 4, 2 ** 32 + 1], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPDeregisterMemory',
    args: ({ near, handle }) => [near, handle],
    works: '0',
    socket: true,
    wrong: ({ freed, farHandle, handle, nearHandle }) => [
      { at: 1, values: [...noSockets, freed, farHandle, handle + 1n], error: 'WSAEINVAL' },
      // A pending receive needs it.
      { at: 1, values: [nearHandle], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPRegisterRdmaMemory',
    args: ({ near }) => [near, new Uint8Array(16), 16, 3, new Uint8Array(32), out(32)],
    works: '0',
    socket: true,
    wrong: () => [
      { at: 1, values: [undefined, null, ...noBytes, new Uint8Array(0), new Uint8Array(15)], error: 'WSAEFAULT' },
      { at: 2, values: [...noNumbers, -1, 0, 17, 2 ** 31, 2 ** 40], error: 'WSAEFAULT' },
      { at: 3, values: [...noNumbers, -1, 0, 4, 2 ** 32 + 1], error: 'WSAEINVAL' },
      { at: 4, values: [undefined, null, ...noBytes, new Uint8Array(31)], error: 'WSAEFAULT', changes: [5] },
      { at: 5, values: [undefined, null, ...noPointers], error: 'WSAEFAULT' },
      {
        at: 5,
        values: [...noNumbers.filter((value) => value !== Infinity), -1, 0, 31].map(out),
        error: 'WSAEFAULT',
        changes: [5],
      },
    ],
  },
  {
    name: 'WSPDeregisterRdmaMemory',
    args: ({ near, descriptor }) => [near, descriptor, 32],
    works: '0',
    socket: true,
    wrong: ({ stale, target, descriptor }) => [
      {
        at: 1,
        values: [undefined, null, ...noBytes, new Uint8Array(32), stale, target, descriptor.with(0, 0)],
        error: 'WSAEINVAL',
      },
      { at: 2, values: [...noNumbers, -1, 0, 31, 33, 2 ** 40], error: 'WSAEINVAL' },
    ],
  },
  {
    name: 'WSPMemoryRegistrationCacheCallback',
    args: ({ memory }) => [memory, 64],
    works: 'WSAEINVAL',
    wrong: () => [
      { at: 0, values: [undefined, null, ...noBytes], error: 'WSAEINVAL' },
      { at: 1, values: noNumbers, error: 'WSAEINVAL' },
    ],
  },
  { name: 'WSPCloseSocket', args: ({ near }) => [near], works: '0', socket: true, wrong: () => [] },
  { name: 'WSPCleanup', args: () => [], works: '0', wrong: () => [] },
];

/** Calls a function of the client. @returns the error's name and, as text, what it returned */
function run(host: Host, call: Call['name'], args: readonly unknown[]): { error: string; returned: string } {
  const errno = out(-1);
  const method = host.provider[call] as (...given: unknown[]) => unknown;
  const returned = method.call(host.provider, ...args, errno);
  return { error: wsaName(errno.value), returned: inspect(returned) };
}

const failures: Readonly<Partial<Record<Call['name'], string>>> = {
  WSPSocket: `${INVALID_SOCKET}n`,
  WSPAccept: `${INVALID_SOCKET}n`,
  WSPRegisterMemory: '0n',
  WSPGetOverlappedResult: 'false',
  WSPGetQOSByName: 'false',
};
const text = (value: unknown): string => inspect(value, { depth: 6, maxArrayLength: null });

describe('bad input', () => {
  test('the table names every function', () => {
    const names = new Set<string>(calls.map((call) => call.name));
    // WSPStartupEx, which has no lpErrno, has a test of its own.
    assert.equal(names.size, 24);
  });

  for (const call of calls) {
    test(`${call.name}, ${call.works === '0' ? 'which works' : `which answers ${call.works}`}`, () => {
      const given = scene();
      const { client, pending, nearMemory, near, far, closed, server } = given;
      const fails = failures[call.name] ?? '-1';
      const wrong = [...call.wrong(given)];
      if (call.socket === true) {
        wrong.push({
          at: 0,
          values: [...noSockets, closed, far, Number(near), String(near), near + 1n, -near, near + 2n ** 64n],
          error: 'WSAENOTSOCK',
        });
      }
      const digest = client.provider.digest();
      const inventories = () => [client.provider.inventory(), client.adapter.inventory()];
      const inventory = inventories();
      const { length } = client.upcalls;
      const memory = nearMemory.slice(0, 256);
      const words = pending.words.slice();
      for (const { at, values, error, changes = [] } of wrong) {
        for (const value of values) {
          const args = call.args(given);
          args[at] = value;
          const title = `parameter ${at}: ${text(value).slice(0, 200)}`;
          const kept = () => text(args.filter((_, index) => !changes.includes(index)));
          const before = kept();
          const answer = run(client, call.name, args);
          assert.deepEqual(answer, { error, returned: fails }, title);
          assert.equal(kept(), before, title);
        }
      }
      assert.deepEqual(client.provider.digest(), digest);
      assert.deepEqual(inventories(), inventory);
      assert.equal(client.upcalls.length, length);
      assert.deepEqual(nearMemory.subarray(0, 256), memory);
      assert.deepEqual(pending.words, words);
      // Nobody but the caller is told, and lpErrno may be anything.
      for (const errno of [undefined, null, ...noPointers]) {
        if (call.socket !== true) break;
        const method = client.provider[call.name] as (...all: unknown[]) => unknown;
        const args = [INVALID_SOCKET, ...call.args(given).slice(1)];
        assert.equal(inspect(method.call(client.provider, ...args, errno)), fails);
      }
      assert.deepEqual(client.provider.digest(), digest);
      assert.equal(run(client, call.name, call.args(given)).error, call.works);
      given.run();
      assert.equal(server.provider.inventory().dueUpcalls, 0);
      end(given);
    });
  }

  test('WSPStartupEx', () => {
    const { client, ...others } = scene();
    const digest = client.provider.digest();
    const data = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    const table = {};
    const args = [0x0202, data, tcpProtocolInfo(), client.upcallTable(), table];
    const method = client.provider.WSPStartupEx as (...given: unknown[]) => number;
    const upcalls = client.upcallTable();
    const incomplete = Object.keys(upcalls).flatMap((missing) =>
      [undefined, null, 1, {}].map((value) => ({ ...upcalls, [missing]: value })),
    );
    for (const [at, values, error] of [
      [0, [...noNumbers, -1, 0, 2 ** 32 + 0x0202, 2 ** 53], 'WSAVERNOTSUPPORTED'],
      [1, [undefined, null, ...noPointers], 'WSAEFAULT'],
      [2, [undefined, null, ...noPointers], 'WSAEFAULT'],
      [3, [undefined, null, ...noPointers, {}, [], ...incomplete], 'WSAEFAULT'],
      [4, [undefined, null, ...noPointers], 'WSAEFAULT'],
    ] as const) {
      for (const value of values) {
        const returned = method.call(client.provider, ...args.with(at, value as never));
        assert.equal(wsaName(returned), error, `parameter ${at}: ${text(value)}`);
      }
    }
    assert.deepEqual([data.wVersion, Object.keys(table)], [0, []]);
    assert.deepEqual(client.provider.digest(), digest);
    end({ client, ...others });
  });

  test('right after a close, no number names the socket', () => {
    const given = scene();
    const { client, near, handle, nearMemory } = given;
    const receive = client.recv(near, nearMemory.subarray(256, 320));
    for (const close of [() => client.close(near), () => client.deregister(near, handle)]) {
      close();
      for (const s of [-1n, 0n, near, INVALID_SOCKET]) {
        for (const used of [handle, -1n]) assert.equal(client.deregister(s, used).error, 'WSAENOTSOCK');
        assert.equal(client.outcome(s, receive).error, 'WSAENOTSOCK');
        assert.equal(client.close(s).error, 'WSAENOTSOCK');
      }
    }
    end(given);
  });

  test('a structure that was used for a request that is over can be used again', () => {
    const given = scene();
    const { client, near, memory, done, run } = given;
    // For the message of the scene, which arrived before any.
    given.server.recv(given.far, given.farMemory.subarray(0, 64));
    for (let round = 0; round < 3; round++) {
      assert.equal(client.send(near, memory.subarray(0, 8), { overlapped: done }).result.error, 'WSA_IO_PENDING');
      // Once more while it is pending.
      assert.equal(client.send(near, memory.subarray(0, 8), { overlapped: done }).result.error, 'WSAEINVAL');
      given.server.recv(given.far, given.farMemory.subarray(64, 128));
      run();
      assert.deepEqual(client.outcome(near, { overlapped: done }), { value: true, error: '0', bytes: 8 });
    }
    end(given);
  });

  test('structures that overlap in memory spoil each other and nothing else', () => {
    for (const offset of [4, 8, 12, 16, 20, 24, 28]) {
      for (const notify of [false, true]) {
        const given = scene();
        const { client, near, nearMemory, run, server, far } = given;
        const shared = new ArrayBuffer(64);
        const [one, other] = [new WsaOverlapped(shared, 0), new WsaOverlapped(shared, offset)];
        const before = client.provider.inventory().requests;
        const started = [one, other].map(
          (overlapped, index) =>
            client.recv(near, nearMemory.subarray(256 + 64 * index, 320 + 64 * index), { overlapped, notify }).result
              .error,
        );
        assert.ok(started.every((error) => error === 'WSA_IO_PENDING' || error === 'WSAEINVAL'));
        for (let index = 0; index < 3; index++) server.send(far, given.farMemory.subarray(0, 8));
        run();
        client.outcome(near, { overlapped: one });
        client.outcome(near, { overlapped: other });
        assert.equal(client.provider.inventory().requests, before - 1);
        const pendingOnes = started.filter((error) => error === 'WSA_IO_PENDING').length;
        assert.ok(client.completions.length <= pendingOnes);
        assert.equal(client.provider.socketState(near), 'connected.active');
        end(given);
      }
    }
  });

  test('a structure that the switch scribbles on while it is pending spoils its own request alone', () => {
    const given = scene();
    const { client, server, near, far, nearMemory, pending, run } = given;
    const next = client.recv(near, nearMemory.subarray(256, 320), { notify: true });
    pending.words.fill(0xffff_ffff);
    assert.equal(client.outcome(near, { overlapped: pending }).value, false);
    for (let index = 0; index < 2; index++) server.send(far, given.farMemory.subarray(0, 8));
    run();
    assert.deepEqual(
      client.completions.map(({ overlapped, error, bytes }) => [overlapped === next.overlapped, error, bytes]),
      [[true, '0', 8]],
    );
    assert.equal(client.outcome(near, { overlapped: pending }).bytes, 8);
    end(given);
  });

  test('arguments drawn by chance, right ones among them, never make a function throw', () => {
    const junk = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...noBytes, ...noNumbers, ...noSockets, null, undefined) },
      { weight: 2, arbitrary: fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true }) },
      { weight: 1, arbitrary: fc.integer({ min: -4, max: 64 }) },
    );
    const step = fc.record({
      call: fc.constantFrom(...calls.filter(({ name: called }) => called !== 'WSPCleanup')),
      replaced: fc.array(fc.tuple(fc.nat({ max: 10 }), junk), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 30 }), (steps) => {
        const given = scene();
        for (const { call, replaced } of steps) {
          const args = call.args(given);
          for (const [at, value] of replaced) if (at < args.length) args[at] = value;
          const { error } = run(given.client, call.name, args);
          assert.ok(error === '0' || error in WSA, `${call.name}: ${error}`);
        }
        given.run();
        end(given);
      }),
      { numRuns: 200 },
    );
  });
});
