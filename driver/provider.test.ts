// Goal: each function takes what it is given as the Windows headers say, answers with its own error for what is wrong, and
// then has changed nothing.
// Method: a provider over an adapter that does everything at once; each story is a few calls.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  AF_INET,
  AF_INET6,
  INVALID_SOCKET,
  IPPROTO_TCP,
  MEM_READ,
  MEM_READWRITE,
  productionLimits,
  SIO_ADDRESS_LIST_QUERY,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SIO_GET_GROUP_QOS,
  SIO_GET_QOS,
  SIO_SET_GROUP_QOS,
  SIO_SET_QOS,
  SO_DEBUG,
  SO_GROUP_ID,
  SO_MAX_MSG_SIZE,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
  WSA_FLAG_OVERLAPPED,
  wsaName,
} from '../machines/index.ts';
import { AdapterStatus } from './adapter/adapter.ts';
import { decodeDescriptor, REMOTE_DESCRIPTOR_BYTES } from './remote-descriptor.ts';
import {
  extensionGuids,
  fromSockaddr,
  guidBytes,
  type Out,
  out,
  procTableSlots,
  type Socket,
  tcpProtocolInfo,
  toSockaddr,
  WsaOverlapped,
  type WspUpcallTable,
} from './spi.ts';
import { here, type ProviderBench, providerBench, there } from './test-provider.ts';

const STRANGE = 12345n as Socket;
const sockaddr = toSockaddr(there);

describe('WSPStartupEx', () => {
  const start = (
    { provider, upcalls }: ProviderBench,
    over: { version?: unknown; data?: unknown; info?: unknown; upcalls?: unknown; table?: unknown } = {},
  ): string => {
    const { version = 0x0202, data = {}, info = tcpProtocolInfo(), table = {} } = over;
    const call = provider.WSPStartupEx.bind(provider) as (...given: unknown[]) => number;
    return wsaName(call(version, data, info, 'upcalls' in over ? over.upcalls : upcalls, table));
  };

  test('tells which version it is, and gives its 17 functions', () => {
    const bed = providerBench({ isCold: true });
    const data = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    const table: Record<string, unknown> = {};
    assert.equal(start(bed, { data, table }), '0');
    assert.deepEqual([data.wVersion, data.wHighVersion], [0x0202, 0x0202]);
    assert.match(data.szDescription, /^wsdirect: .*RDMA$/);
    assert.deepEqual(Object.keys(table), [...procTableSlots]);
    assert.equal(Object.values(table).filter((slot) => slot !== null).length, 17);
    // Each is bound to the provider.
    const { lpWSPCleanup } = table as { lpWSPCleanup: (lpErrno: Out<number>) => number };
    assert.equal(lpWSPCleanup(out(0)), 0);
  });

  test.each([
    [0x0202, '0'],
    [0x0302, '0'],
    [0x0003, '0'],
    [0x0102, 'WSAVERNOTSUPPORTED'],
    [0x0201, 'WSAVERNOTSUPPORTED'],
    [0xff01, 'WSAVERNOTSUPPORTED'],
    [-1, 'WSAVERNOTSUPPORTED'],
    ['2.2', 'WSAVERNOTSUPPORTED'],
  ])('for version %j answers %s', (version, expected) => {
    assert.equal(start(providerBench({ isCold: true }), { version }), expected);
  });

  test.each(['data', 'info', 'upcalls', 'table'])('without %s gives WSAEFAULT and starts nothing', (missing) => {
    const bed = providerBench({ isCold: true });
    for (const value of [null, 5]) assert.equal(start(bed, { [missing]: value }), 'WSAEFAULT');
    assert.equal(
      bed.error((lpErrno) => bed.provider.WSPCleanup(lpErrno)),
      'WSANOTINITIALISED',
    );
  });

  test('takes a table with every up-call that it makes', () => {
    const bed = providerBench({ isCold: true });
    for (const name of Object.keys(bed.upcalls)) {
      assert.equal(start(bed, { upcalls: { ...bed.upcalls, [name]: undefined } }), 'WSAEFAULT');
    }
    assert.equal(start(bed), '0');
  });

  test('copies the table: later changes are no concern of the provider’s; calls keep their object', () => {
    const bed = providerBench({ isCold: true });
    const table: WspUpcallTable & { handle: bigint } = {
      ...bed.upcalls,
      handle: 5n,
      WPUCreateSocketHandle() {
        return this.handle;
      },
    };
    start(bed, { upcalls: table });
    table.WPUCreateSocketHandle = () => INVALID_SOCKET;
    assert.notEqual(bed.socket(), INVALID_SOCKET);
    // Nor does a second call change it.
    start(bed, { upcalls: { ...bed.upcalls, WPUCreateSocketHandle: () => INVALID_SOCKET } });
    assert.notEqual(bed.socket(), INVALID_SOCKET);
  });

  test('fails where the adapter does not open', () => {
    const bed = providerBench({ isCold: true });
    bed.adapter.refusals.set('open', AdapterStatus.deviceRemoved);
    const table = {};
    assert.equal(start(bed, { table }), 'WSASYSNOTREADY');
    assert.deepEqual(table, {});
  });
});

test('WSPCleanup ends what the last start-up began: no descriptor and no handle is left', () => {
  const { provider, connected, register, startup, error, told } = providerBench();
  const s = connected();
  const memory = new Uint8Array(8);
  register(s, memory);
  const overlapped = new WsaOverlapped();
  provider.WSPRecv(s, [{ buf: memory, len: 8 }], 1, null, null, overlapped, null, null, out(0));
  startup();
  const cleanup = (): string => error((lpErrno) => provider.WSPCleanup(lpErrno));
  told.length = 0;
  assert.equal(cleanup(), '0');
  assert.deepEqual(told, []);
  assert.equal(provider.socketState(s), 'connected.active');
  assert.equal(cleanup(), '0');
  assert.deepEqual(told, ['WPUCompleteOverlappedRequest WSA_OPERATION_ABORTED 0', 'WPUCloseSocketHandle']);
  assert.equal(provider.socketState(s), null);
  assert.deepEqual(provider.inventory(), {
    ...{ sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 },
  });
  assert.equal(cleanup(), 'WSANOTINITIALISED');
});

describe('WSPSocket', () => {
  /** @param given - by parameter, where it isn't the usual */
  const make = (bed: ProviderBench, given: Readonly<Record<number, unknown>> = {}): [boolean, string] => {
    const usual: readonly unknown[] = [AF_INET, SOCK_STREAM, IPPROTO_TCP, null, 0, WSA_FLAG_OVERLAPPED];
    const call = bed.provider.WSPSocket.bind(bed.provider) as (...all: unknown[]) => Socket;
    const s = call(...usual.map((value, index) => (index in given ? given[index] : value)), bed.errno);
    return [s !== INVALID_SOCKET, wsaName(bed.errno.value)];
  };
  test.each([
    [0, AF_INET, '0'],
    [0, AF_INET6, '0'],
    [0, 1, 'WSAEAFNOSUPPORT'],
    [1, 2, 'WSAESOCKTNOSUPPORT'],
    [2, 17, 'WSAEPROTONOSUPPORT'],
    [3, 5, 'WSAEFAULT'],
    [3, tcpProtocolInfo(), '0'],
    // No other test of this process comes to such a number.
    [3, tcpProtocolInfo(0xfedc_ba98), 'WSAEINVAL'],
    [3, { ...tcpProtocolInfo(), dwProviderReserved: -1 }, 'WSAEINVAL'],
    [4, 1, 'WSAEINVAL'],
    [5, 0, 'WSAEINVAL'],
    [5, WSA_FLAG_OVERLAPPED | 2, 'WSAEINVAL'],
  ])('with parameter %i as %j: %s', (index, value, expected) => {
    const bed = providerBench();
    assert.deepEqual(make(bed, { [index]: value }), [expected === '0', expected]);
    assert.equal(bed.provider.inventory().sockets, expected === '0' ? 1 : 0);
  });

  test('hands the catalog entry of its protocol information up', () => {
    const bed = providerBench();
    make(bed, { 3: { ...tcpProtocolInfo(), dwCatalogEntryId: 4321 } });
    make(bed);
    assert.deepEqual(bed.told, ['WPUCreateSocketHandle 4321', 'WPUCreateSocketHandle 0']);
  });

  test('has the address family that was asked for', () => {
    const { provider, errno, error } = providerBench({ addresses: ['fe80::1'] });
    const s = provider.WSPSocket(AF_INET6, SOCK_STREAM, IPPROTO_TCP, null, 0, WSA_FLAG_OVERLAPPED, errno);
    const six = toSockaddr({ family: 'IPv6', address: 'fe80::1', port: 5 });
    assert.equal(
      error((lpErrno) => provider.WSPBind(s, six, six.length, lpErrno)),
      '0',
    );
  });

  test('ends at the provider’s maximum', () => {
    const bed = providerBench({ limits: { ...productionLimits, socketsMax: 2 } });
    assert.deepEqual(
      [make(bed), make(bed), make(bed)],
      [
        [true, '0'],
        [true, '0'],
        [false, 'WSAEMFILE'],
      ],
    );
  });

  test('is refused where the switch has no handle for it, and leaves nothing', () => {
    const bed = providerBench({ isCold: true });
    bed.upcalls.WPUCreateSocketHandle = () => INVALID_SOCKET;
    bed.startup();
    assert.deepEqual(make(bed), [false, 'WSAENOBUFS']);
    assert.equal(bed.provider.inventory().sockets, 0);
  });

  test('needs a provider', () => {
    assert.deepEqual(make(providerBench({ isCold: true })), [false, 'WSANOTINITIALISED']);
  });

  test('that the switch ends within the call is none', () => {
    const bed = providerBench();
    bed.reactions.set('WPUCreateSocketHandle', () => void bed.provider.WSPCleanup(out(0)));
    const [isThere, error] = make(bed);
    assert.deepEqual([isThere, error], [false, 'WSANOTINITIALISED']);
  });
});

test('every function that takes a socket refuses what is none, before it looks at anything else', () => {
  const { provider, error } = providerBench();
  const nothing = null as never;
  const calls: readonly ((lpErrno: Out<number>) => unknown)[] = [
    (lpErrno) => provider.WSPBind(STRANGE, nothing, nothing, lpErrno),
    (lpErrno) => provider.WSPSetSockOpt(STRANGE, 0, 0, nothing, 0, lpErrno),
    (lpErrno) => provider.WSPGetSockOpt(STRANGE, 0, 0, nothing, nothing, lpErrno),
    (lpErrno) => provider.WSPIoctl(STRANGE, 0, null, 0, null, 0, null, null, null, null, lpErrno),
    (lpErrno) => provider.WSPConnect(STRANGE, null, 0, null, null, null, null, lpErrno),
    (lpErrno) => provider.WSPListen(STRANGE, nothing, lpErrno),
    (lpErrno) => provider.WSPAccept(STRANGE, null, null, null, null, lpErrno),
    (lpErrno) => provider.WSPEventSelect(STRANGE, nothing, nothing, lpErrno),
    (lpErrno) => provider.WSPEnumNetworkEvents(STRANGE, nothing, nothing, lpErrno),
    (lpErrno) => provider.WSPCloseSocket(STRANGE, lpErrno),
    (lpErrno) => provider.WSPDuplicateSocket(STRANGE, nothing, nothing, lpErrno),
    (lpErrno) => provider.WSPGetOverlappedResult(STRANGE, null, null, false, null, lpErrno),
    (lpErrno) => provider.WSPRegisterMemory(STRANGE, null, 0, 0, lpErrno),
    (lpErrno) => provider.WSPDeregisterMemory(STRANGE, 0n, lpErrno),
    (lpErrno) => provider.WSPRegisterRdmaMemory(STRANGE, null, 0, 0, null, null, lpErrno),
    (lpErrno) => provider.WSPDeregisterRdmaMemory(STRANGE, null, 0, lpErrno),
  ];
  for (const call of calls) assert.equal(error(call), 'WSAENOTSOCK', String(call));
});

describe('WSPBind', () => {
  const bind = (
    { provider, error, socket }: ProviderBench,
    name: unknown,
    length: unknown = 16,
    s = socket(),
  ): string => error((lpErrno) => provider.WSPBind(s, name as Uint8Array, length as number, lpErrno));
  const named = (over: Partial<typeof here>): Uint8Array => toSockaddr({ ...here, ...over });

  test.each<[string, unknown, unknown, string]>([
    ['an address that is served', named({}), 16, '0'],
    ['every address', named({ address: '0.0.0.0' }), 16, '0'],
    ['another address', named({ address: '10.0.0.9' }), 16, 'WSAEADDRNOTAVAIL'],
    ['no port', named({ port: 0 }), 16, 'WSAEINVAL'],
    ['nothing', null, 16, 'WSAEFAULT'],
    ['too little', named({}), 15, 'WSAEFAULT'],
    ['another family', toSockaddr({ family: 'IPv6', address: '::', port: 1 }), 28, 'WSAEFAULT'],
  ])('to %s', (_, name, length, expected) => {
    const bed = providerBench();
    assert.equal(bind(bed, name, length), expected);
  });

  test('is once; then nothing has changed', () => {
    const bed = providerBench();
    const s = bed.bound();
    assert.equal(bind(bed, named({ port: 81 }), 16, s), 'WSAEINVAL');
    assert.equal(
      bed.error((lpErrno) => bed.provider.WSPConnect(s, sockaddr, 16, null, null, null, null, lpErrno)),
      'WSAEWOULDBLOCK',
    );
  });
});

describe('an option', () => {
  const scene = () => {
    const bed = providerBench();
    const s = bed.socket();
    const { provider, error } = bed;
    const set = (level: number, name: number, value: Uint8Array | null, length: unknown = 4): string =>
      error((lpErrno) => provider.WSPSetSockOpt(s, level, name, value, length as number, lpErrno));
    const get = (level: number, name: number, value: unknown, length: unknown): string =>
      error((lpErrno) => provider.WSPGetSockOpt(s, level, name, value as Uint8Array, length as never, lpErrno));
    const read = (level: number, name: number): number => {
      // A view that does not begin where its memory does.
      const value = new Uint8Array(12).fill(0xee).subarray(4);
      const length = out(8);
      assert.equal(get(level, name, value, length), '0');
      assert.deepEqual([length.value, value[4]], [4, 0xee]);
      return new DataView(value.buffer, 4).getUint32(0, true);
    };
    return { ...bed, s, set, get, read };
  };
  const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

  test.each([
    [SOL_SOCKET, SO_DEBUG],
    [IPPROTO_TCP, TCP_NODELAY],
  ])('%i/%i is off until it is set to anything but 0', (level, name) => {
    const { set, read } = scene();
    assert.equal(read(level, name), 0);
    for (const value of [of(1, 0, 0, 0), of(0, 2, 0, 0), of(0, 0, 4, 0), of(0, 0, 0, 128)]) {
      assert.equal(set(level, name, value), '0');
      assert.equal(read(level, name), 1);
      assert.equal(set(level, name, of(0, 0, 0, 0, 9), 5), '0');
      assert.equal(read(level, name), 0);
    }
  });

  test('that is set is its own', () => {
    const { set, read } = scene();
    set(SOL_SOCKET, SO_DEBUG, of(1, 0, 0, 0));
    assert.deepEqual([read(SOL_SOCKET, SO_DEBUG), read(IPPROTO_TCP, TCP_NODELAY)], [1, 0]);
  });

  test.each<[string, number, number, Uint8Array | null, unknown, string]>([
    ['without a value', SOL_SOCKET, SO_DEBUG, null, 4, 'WSAEFAULT'],
    ['from less than there is', SOL_SOCKET, SO_DEBUG, of(1, 0, 0), 4, 'WSAEFAULT'],
    ['from less than a number', SOL_SOCKET, SO_DEBUG, of(1, 0, 0, 0), 3, 'WSAEFAULT'],
    ['from no number of bytes', SOL_SOCKET, SO_DEBUG, of(1, 0, 0, 0), '4', 'WSAEFAULT'],
    ['at another level', 5, SO_DEBUG, of(1, 0, 0, 0), 4, 'WSAEINVAL'],
    ['that can’t be', SOL_SOCKET, SO_MAX_MSG_SIZE, of(1, 0, 0, 0), 4, 'WSAENOPROTOOPT'],
    // What is wrong with the name comes before what is wrong with the size.
    ['that can’t be, from too little', SOL_SOCKET, SO_MAX_MSG_SIZE, of(1), 1, 'WSAENOPROTOOPT'],
  ])('is not set %s', (_, level, name, value, length, expected) => {
    const { set, read } = scene();
    assert.equal(set(level, name, value, length), expected);
    assert.equal(read(SOL_SOCKET, SO_DEBUG), 0);
  });

  test('is not read into too little room; how much is needed is told', () => {
    const { get } = scene();
    for (const [value, room] of [
      [new Uint8Array(8), 3],
      [new Uint8Array(3), 8],
    ] as const) {
      const length = out(room);
      assert.equal(get(SOL_SOCKET, SO_DEBUG, value, length), 'WSAEFAULT');
      assert.equal(length.value, 4);
      assert.ok(value.every((byte) => byte === 0));
    }
    assert.equal(get(SOL_SOCKET, SO_DEBUG, new Uint8Array(4), out(4)), '0');
  });

  test.each<[string, number, number, unknown, unknown, string]>([
    ['into nothing', SOL_SOCKET, SO_DEBUG, null, out(4), 'WSAEFAULT'],
    ['without a length', SOL_SOCKET, SO_DEBUG, new Uint8Array(4), null, 'WSAEFAULT'],
    ['with no number as length', SOL_SOCKET, SO_DEBUG, new Uint8Array(4), out('4'), 'WSAEFAULT'],
    ['at another level', 5, SO_DEBUG, new Uint8Array(4), out(4), 'WSAEINVAL'],
    ['that there isn’t', SOL_SOCKET, SO_GROUP_ID, new Uint8Array(4), out(4), 'WSAENOPROTOOPT'],
  ])('is not read %s', (_, level, name, value, length, expected) => {
    assert.equal(scene().get(level, name, value, length), expected);
  });
});

describe('WSPIoctl', () => {
  const scene = (capabilities = {}) => {
    const bed = providerBench({ capabilities });
    const s = bed.socket();
    const control = (
      code: number,
      { input = null, output = null, room = 8, returned = out(-1) }: Record<string, unknown>,
      of = s,
    ): string => {
      const call = bed.provider.WSPIoctl.bind(bed.provider) as (...given: unknown[]) => number;
      const size = (input as Uint8Array | null)?.length ?? 0;
      return bed.error((lpErrno) => call(of, code, input, size, output, room, returned, null, null, null, lpErrno));
    };
    return { ...bed, s, control };
  };
  const guid = guidBytes(extensionGuids.WSPRegisterMemory);

  test('gives an extension function, without a socket', () => {
    const { control, provider, connected } = scene();
    const [target, returned] = [out<unknown>(null), out(-1)];
    assert.equal(
      control(SIO_GET_EXTENSION_FUNCTION_POINTER, { input: guid, output: target, returned }, INVALID_SOCKET),
      '0',
    );
    assert.equal(returned.value, 8);
    const register = target.value as typeof provider.WSPRegisterMemory;
    assert.notEqual(register(connected(), new Uint8Array(8), 8, MEM_READ, out(0)), 0n);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['no GUID', { output: out(null) }, 'WSAEFAULT'],
    ['a GUID that isn’t known', { input: new Uint8Array(16), output: out(null) }, 'WSAEINVAL'],
    ['nowhere to put it', { input: guid, output: null }, 'WSAEFAULT'],
    ['bytes to put it into', { input: guid, output: new Uint8Array(8) }, 'WSAEFAULT'],
    ['nowhere to put its size', { input: guid, output: out(null), returned: null }, 'WSAEFAULT'],
    ['too little room', { input: guid, output: out(null), room: 7 }, 'WSAEFAULT'],
  ])('gives no extension function for %s', (_, given, expected) => {
    assert.equal(scene().control(SIO_GET_EXTENSION_FUNCTION_POINTER, given), expected);
  });

  test('lists the addresses', () => {
    const { control } = scene();
    const [output, returned] = [new Uint8Array(64), out(-1)];
    assert.equal(control(SIO_ADDRESS_LIST_QUERY, { output, room: 64, returned }), '0');
    assert.equal(returned.value, 8 + 16 + 16);
    assert.equal(fromSockaddr(output.subarray(24, 40))?.address, here.address);
    assert.equal(control(SIO_ADDRESS_LIST_QUERY, { output, room: 64, returned: null }), 'WSAEFAULT');
  });

  test('has no quality of service, and knows no other code', () => {
    const { control, provider, s, error } = scene();
    for (const code of [SIO_GET_QOS, SIO_SET_QOS, SIO_GET_GROUP_QOS, SIO_SET_GROUP_QOS]) {
      assert.equal(control(code, {}), 'WSAEOPNOTSUPP');
    }
    assert.equal(control(0x1234, {}), 'WSAEINVAL');
    const byName = (of: ProviderBench['provider']): string =>
      error((lpErrno) => assert.equal(of.WSPGetQOSByName(s, null, null, lpErrno), false));
    assert.equal(byName(provider), 'WSAEOPNOTSUPP');
    assert.equal(byName(providerBench({ isCold: true }).provider), 'WSANOTINITIALISED');
  });

  test('needs a provider', () => {
    const { provider, error } = providerBench({ isCold: true });
    const ask = (lpErrno: Out<number>): number =>
      provider.WSPIoctl(
        ...([INVALID_SOCKET, SIO_GET_EXTENSION_FUNCTION_POINTER, guid, 16, out(null), 8, out(0)] as const),
        ...([null, null, null, lpErrno] as const),
      );
    assert.equal(error(ask), 'WSANOTINITIALISED');
  });
});

test('WSPMemoryRegistrationCacheCallback knows no range, as nothing is cached', () => {
  for (const [isCold, expected] of [
    [false, 'WSAEINVAL'],
    [true, 'WSANOTINITIALISED'],
  ] as const) {
    const { provider, error } = providerBench({ isCold });
    assert.equal(
      error((lpErrno) => provider.WSPMemoryRegistrationCacheCallback(null, 0, lpErrno)),
      expected,
    );
  }
});

test('WSPRegisterRdmaMemory describes the memory for the peer; for too little room it says how much is needed', () => {
  const { provider, connected, error, adapter } = providerBench();
  const s = connected();
  const memory = new Uint8Array(64);
  const describe = (descriptor: unknown, length: unknown, bytes = 40, of = s): string =>
    error((lpErrno) =>
      provider.WSPRegisterRdmaMemory(
        of,
        memory,
        bytes,
        MEM_READWRITE,
        descriptor as Uint8Array,
        length as never,
        lpErrno,
      ),
    );
  const descriptor = new Uint8Array(40).fill(0xee);
  for (const [target, room] of [
    [descriptor, 31],
    [descriptor.subarray(0, 31), 40],
    [null, 40],
  ] as const) {
    const length = out(room);
    assert.equal(describe(target, length), 'WSAEFAULT');
    assert.equal(length.value, REMOTE_DESCRIPTOR_BYTES);
  }
  assert.equal(describe(descriptor, null), 'WSAEFAULT');
  assert.equal(provider.inventory().buffers, 0);
  assert.equal(describe(descriptor, out(40), 65), 'WSAEFAULT');
  const length = out(40);
  assert.equal(describe(descriptor, length), '0');
  assert.equal(length.value, REMOTE_DESCRIPTOR_BYTES);
  assert.deepEqual([...descriptor.subarray(32)], new Array(8).fill(0xee));
  const { region } = adapter.regions.at(-1)!;
  const { id, ...told } = decodeDescriptor(descriptor, 32)!;
  assert.deepEqual(told, { access: MEM_READWRITE, address: region.address, length: 40, key: region.remoteKey });
  assert.equal(
    error((lpErrno) => provider.WSPDeregisterRdmaMemory(s, descriptor, 32, lpErrno)),
    '0',
  );
  assert.notEqual(id, 0n);
});
