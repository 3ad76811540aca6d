// Goal: connections are asked for, waited for, taken, watched, handed over and closed as the Windows headers say; what is
// refused has changed nothing.
// Method: a provider over an adapter that does everything at once; each story is a few calls.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  AF_INET,
  CF_DEFER,
  FD_ACCEPT,
  FD_CONNECT,
  INVALID_SOCKET,
  IPPROTO_TCP,
  productionLimits,
  SO_DEBUG,
  SOCK_STREAM,
  SOL_SOCKET,
  SOMAXCONN,
  WSA,
  WSA_FLAG_OVERLAPPED,
  wsaName,
} from '../machines/index.ts';
import { AdapterStatus } from './adapter/adapter.ts';
import { ProcessDuplicationStore } from './duplication.ts';
import {
  fromSockaddr,
  type Out,
  out,
  type Socket,
  tcpProtocolInfo,
  toSockaddr,
  WsaNetworkEvents,
  WsaOverlapped,
} from './spi.ts';
import { here, type ProviderBench, providerBench, there } from './test-provider.ts';

const sockaddr = toSockaddr(there);

describe('WSPConnect', () => {
  const connect = (
    { provider, error }: ProviderBench,
    s: Socket,
    over: { name?: unknown; length?: unknown; caller?: unknown; callee?: unknown; qos?: unknown } = {},
  ): string => {
    const { name = sockaddr, length = 16, caller = null, callee = null, qos = null } = over;
    const call = provider.WSPConnect.bind(provider) as (...given: unknown[]) => number;
    return error((lpErrno) => call(s, name, length, caller, callee, qos, null, lpErrno));
  };
  const to = (over: Partial<typeof there>): Uint8Array => toSockaddr({ ...there, ...over });

  test('begins, and there is no data of the peer’s', () => {
    const bed = providerBench();
    const s = bed.bound();
    const callee = { len: 9, buf: null };
    assert.equal(connect(bed, s, { caller: { len: 0, buf: null }, callee }), 'WSAEWOULDBLOCK');
    assert.equal(callee.len, 0);
    bed.provider.poll();
    assert.equal(bed.provider.socketState(s), 'connected.active');
  });

  test.each<[string, Parameters<typeof connect>[2], string]>([
    ['nothing', { name: null }, 'WSAEFAULT'],
    [
      'another family',
      { name: toSockaddr({ family: 'IPv6', address: '::1', port: 1 }), length: 28 },
      'WSAEAFNOSUPPORT',
    ],
    ['every address', { name: to({ address: '0.0.0.0' }) }, 'WSAEADDRNOTAVAIL'],
    ['no port', { name: to({ port: 0 }) }, 'WSAEADDRNOTAVAIL'],
    ['itself', { name: to({ address: here.address }) }, 'WSAEADDRNOTAVAIL'],
    ['somebody with data', { caller: { len: 1, buf: new Uint8Array(1) } }, 'WSAEPROTONOSUPPORT'],
    ['somebody with what is no data', { caller: 5 }, 'WSAEFAULT'],
    ['somebody with no place for data', { callee: 5 }, 'WSAEFAULT'],
    ['somebody with quality of service', { qos: {} }, 'WSAEOPNOTSUPP'],
  ])('to %s does not begin', (_, over, expected) => {
    const bed = providerBench();
    const s = bed.bound();
    const callee = { len: 9, buf: null };
    assert.equal(connect(bed, s, { callee, ...over }), expected);
    assert.equal(callee.len, 9);
    assert.equal(bed.provider.socketState(s), 'bound.idle');
    // And can begin.
    assert.equal(connect(bed, s), 'WSAEWOULDBLOCK');
  });

  test('to itself begins where that is allowed', () => {
    const bed = providerBench({ config: { loopback: true } });
    assert.equal(connect(bed, bed.bound(), { name: to({ address: here.address }) }), 'WSAEWOULDBLOCK');
  });

  test('of a connected socket is refused, and its peer is who it was', () => {
    const duplication = new ProcessDuplicationStore();
    const bed = providerBench({ duplication });
    const s = bed.connected();
    const callee = { len: 9, buf: null };
    assert.equal(connect(bed, s, { name: to({ port: 6000 }), callee }), 'WSAEISCONN');
    assert.equal(callee.len, 9);
    const info = tcpProtocolInfo();
    assert.equal(
      bed.error((lpErrno) => bed.provider.WSPDuplicateSocket(s, 1, info, lpErrno)),
      '0',
    );
    assert.deepEqual(duplication.take(info.dwProviderReserved, 1)!.remote, there);
  });

  test('that the adapter does not start is refused', () => {
    const bed = providerBench();
    bed.adapter.refusals.set('connect', AdapterStatus.networkUnreachable);
    assert.equal(connect(bed, bed.bound()), 'WSAENETUNREACH');
  });
});

describe('WSPListen', () => {
  const backlogs = { ...productionLimits, backlogMax: 3 };
  /** How many requests a listener with `backlog` keeps. */
  const kept = (backlog: number): number => {
    const bed = providerBench({ limits: backlogs });
    bed.listening(backlog);
    for (let asked = 0; asked < 6; asked++) bed.arrives();
    return bed.provider.inventory().connectionRequests;
  };

  test.each([
    [2, 2],
    [3, 3],
    [4, 3],
    [SOMAXCONN, 3],
    [0, 1],
    [-5, 1],
  ])('with backlog %i keeps %i requests', (backlog, expected) => {
    assert.equal(kept(backlog), expected);
  });

  test('takes a whole number', () => {
    const { provider, error, bound } = providerBench();
    const s = bound();
    for (const backlog of [1.5, Number.NaN, '5' as unknown as number]) {
      assert.equal(
        error((lpErrno) => provider.WSPListen(s, backlog, lpErrno)),
        'WSAEINVAL',
      );
    }
    assert.equal(provider.socketState(s), 'bound.idle');
  });

  test('that the adapter refuses leaves the socket bound', () => {
    const bed = providerBench();
    bed.adapter.refusals.set('listen', AdapterStatus.outOfResources);
    const s = bed.listening();
    assert.equal(bed.errno.value, WSA.WSAENOBUFS);
    assert.equal(bed.provider.socketState(s), 'bound.idle');
  });
});

describe('WSPAccept', () => {
  const accept = ({ provider, errno }: ProviderBench, ...given: readonly unknown[]): [Socket, string] => {
    const call = provider.WSPAccept.bind(provider) as (...all: unknown[]) => Socket;
    const s = call(...given, errno);
    return [s, wsaName(errno.value)];
  };

  test('gives a connected socket with the listener’s options, and says who it is', () => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.provider.WSPSetSockOpt(listener, SOL_SOCKET, SO_DEBUG, Uint8Array.of(1, 0, 0, 0), 4, bed.errno);
    bed.arrives();
    const [addr, length] = [new Uint8Array(20).fill(0xee), out(20)];
    const [s, error] = accept(bed, listener, addr, length, null, null);
    assert.equal(error, '0');
    assert.equal(bed.provider.socketState(s)?.split('.')[0], 'connected');
    assert.deepEqual(fromSockaddr(addr.subarray(0, 16)), there);
    assert.deepEqual([length.value, addr[16]], [16, 0xee]);
    const value = new Uint8Array(4);
    bed.provider.WSPGetSockOpt(s, SOL_SOCKET, SO_DEBUG, value, out(4), bed.errno);
    assert.equal(value[0], 1);
    assert.deepEqual(accept(bed, listener, null, null, null, null), [INVALID_SOCKET, 'WSAEWOULDBLOCK']);
    assert.equal(bed.provider.inventory().sockets, 2);
  });

  test.each<[string, readonly unknown[]]>([
    ['too little room', [new Uint8Array(16), out(15), null]],
    ['too few bytes', [new Uint8Array(15), out(16), null]],
    ['no length', [new Uint8Array(16), null, null]],
    ['no bytes', ['addr', out(16), null]],
    ['no function', [null, null, 'condition']],
  ])('with %s gives WSAEFAULT, and the request waits', (_, given) => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.arrives();
    assert.deepEqual(accept(bed, listener, ...given, null), [INVALID_SOCKET, 'WSAEFAULT']);
    assert.equal(accept(bed, listener, null, null, null, null)[1], '0');
  });

  test('gives the condition function what the caller gave, and its verdict counts', () => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.arrives();
    const seen: unknown[] = [];
    const defer = (...given: unknown[]): number => {
      seen.push(given.at(-1));
      // Inside it, another call has a request of its own to look for.
      seen.push(accept(bed, listener, null, null, null, null)[1]);
      return CF_DEFER;
    };
    assert.deepEqual(accept(bed, listener, null, null, defer, 'data'), [INVALID_SOCKET, 'WSATRY_AGAIN']);
    assert.deepEqual(seen, ['data', 'WSAEWOULDBLOCK']);
    assert.equal(bed.provider.inventory().sockets, 1);
    assert.equal(accept(bed, listener, null, null, null, null)[1], '0');
  });

  test('without a descriptor left gives WSAEMFILE, and the request waits', () => {
    const bed = providerBench({ limits: { ...productionLimits, socketsMax: 2 } });
    const listener = bed.listening();
    const other = bed.socket();
    bed.arrives();
    assert.deepEqual(accept(bed, listener, null, null, null, null), [INVALID_SOCKET, 'WSAEMFILE']);
    bed.provider.WSPCloseSocket(other, bed.errno);
    assert.equal(accept(bed, listener, null, null, null, null)[1], '0');
  });

  test('in which the provider is cleaned up gives no socket', () => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.arrives();
    const end = (): number => {
      bed.provider.WSPCleanup(out(0));
      return 0;
    };
    assert.deepEqual(accept(bed, listener, null, null, end, null), [INVALID_SOCKET, 'WSANOTINITIALISED']);
    assert.equal(bed.provider.inventory().sockets, 0);
  });
});

describe('network events', () => {
  const select = ({ provider, error }: ProviderBench, s: Socket, event: unknown, mask: unknown): string =>
    error((lpErrno) => provider.WSPEventSelect(s, event as bigint, mask as number, lpErrno));
  const enumerate = ({ provider, error }: ProviderBench, s: Socket, event: unknown = 0n) => {
    const found = new WsaNetworkEvents();
    const said = error((lpErrno) => provider.WSPEnumNetworkEvents(s, event as bigint, found, lpErrno));
    return [said, found.lNetworkEvents];
  };

  test.each([
    [FD_ACCEPT, FD_ACCEPT],
    [FD_CONNECT, 0],
    [FD_ACCEPT | FD_CONNECT, FD_ACCEPT],
    [0, 0],
  ])('of a listener that selects %i: somebody asks, and %i is recorded', (mask, expected) => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.told.length = 0;
    assert.equal(select(bed, listener, 5n, mask), '0');
    bed.arrives();
    assert.deepEqual(enumerate(bed, listener), ['0', expected]);
    assert.deepEqual(
      bed.told.filter((each) => each === 'WPUSetEvent 5'),
      expected === 0 ? [] : ['WPUSetEvent 5'],
    );
    assert.deepEqual(enumerate(bed, listener), ['0', 0]);
  });

  test.each([
    [FD_CONNECT, FD_CONNECT],
    [FD_ACCEPT, 0],
  ])('of a connecting socket that selects %i: it is connected, and %i is recorded', (mask, expected) => {
    const bed = providerBench();
    const s = bed.bound();
    assert.equal(select(bed, s, 5n, mask), '0');
    bed.provider.WSPConnect(s, sockaddr, 16, null, null, null, null, bed.errno);
    bed.provider.poll();
    assert.deepEqual(enumerate(bed, s), ['0', expected]);
  });

  test('that are enumerated reset the event object that is named', () => {
    const bed = providerBench();
    const listener = bed.listening();
    bed.told.length = 0;
    enumerate(bed, listener, 6n);
    assert.deepEqual(bed.told, ['WPUResetEvent 6']);
  });

  test.each<[string, unknown, unknown]>([
    ['others', 5n, FD_ACCEPT | 1],
    ['no mask', 5n, 1.5],
    ['no object', 0n, FD_ACCEPT],
    ['what is no object', 5, FD_ACCEPT],
  ])('are not selected: %s', (_, event, mask) => {
    const bed = providerBench();
    const listener = bed.listening();
    select(bed, listener, 5n, FD_ACCEPT);
    assert.equal(select(bed, listener, event, mask), 'WSAEINVAL');
    bed.told.length = 0;
    bed.arrives();
    assert.deepEqual(bed.told, ['WPUSetEvent 5']);
  });

  test('may be none, without an object', () => {
    const bed = providerBench();
    const listener = bed.listening();
    select(bed, listener, 5n, FD_ACCEPT);
    assert.equal(select(bed, listener, 0n, 0), '0');
    bed.told.length = 0;
    bed.arrives();
    assert.deepEqual(bed.told, []);
  });

  test('are not enumerated into nothing', () => {
    const bed = providerBench();
    const s = bed.socket();
    assert.equal(enumerate(bed, s, 5)[0], 'WSAEINVAL');
    for (const target of [null, {} as WsaNetworkEvents]) {
      assert.equal(
        bed.error((lpErrno) => bed.provider.WSPEnumNetworkEvents(s, 0n, target, lpErrno)),
        'WSAEINVAL',
      );
    }
  });
});

describe('WSPCloseSocket', () => {
  test('ends the socket at once for its caller', () => {
    const { provider, error, bound } = providerBench();
    const s = bound();
    const close = (): string => error((lpErrno) => provider.WSPCloseSocket(s, lpErrno));
    assert.equal(close(), '0');
    assert.equal(provider.socketState(s), null);
    assert.equal(close(), 'WSAENOTSOCK');
    assert.equal(provider.inventory().sockets, 0);
  });

  test('works where the adapter is lost, and says so', () => {
    const bed = providerBench();
    const s = bed.bound();
    bed.adapter.events.push({ type: 'deviceRemoved' });
    bed.provider.poll();
    assert.equal(
      bed.error((lpErrno) => bed.provider.WSPCloseSocket(s, lpErrno)),
      'WSAENETDOWN',
    );
    assert.equal(bed.provider.inventory().sockets, 0);
  });

  test('needs a provider', () => {
    const { provider, error, bound } = providerBench();
    const s = bound();
    provider.WSPCleanup(out(0));
    assert.equal(
      error((lpErrno) => provider.WSPCloseSocket(s, lpErrno)),
      'WSANOTINITIALISED',
    );
  });
});

describe('WSPDuplicateSocket', () => {
  const scene = () => {
    const duplication = new ProcessDuplicationStore();
    const bed = providerBench({ duplication });
    /** @returns the error, and the token */
    const duplicate = (s: Socket, processId: unknown = 1, info: unknown = tcpProtocolInfo()): [string, number] => {
      const said = bed.error((lpErrno) =>
        bed.provider.WSPDuplicateSocket(s, processId as number, info as never, lpErrno),
      );
      return [said, (info as { dwProviderReserved?: number } | null)?.dwProviderReserved ?? 0];
    };
    return { ...bed, duplication, duplicate };
  };

  test('hands over what there is to know of a connection', () => {
    const { connected, duplicate, duplication, provider, errno } = scene();
    const s = connected();
    provider.WSPSetSockOpt(s, SOL_SOCKET, SO_DEBUG, Uint8Array.of(1, 0, 0, 0), 4, errno);
    const [error, token] = duplicate(s, 9);
    assert.equal(error, '0');
    assert.notEqual(token, 0);
    assert.equal(duplication.take(token, 1), null);
    assert.deepEqual(duplication.take(token, 9), {
      ...{ listening: false, backlog: 0, local: here, remote: there, peer: null },
      ...{ connectionId: new Uint8Array(16).fill(7), options: { debug: 1, noDelay: 0 } },
    });
  });

  test('of a connection whose peer is no provider ends it: nobody there can be told', () => {
    const { connected, duplicate, provider, errno, duplication } = scene();
    const s = connected();
    const [error, token] = duplicate(s);
    assert.equal(error, '0');
    assert.equal(duplication.take(token, 1)!.peer, null);
    provider.poll();
    // Who takes it over finds nobody either.
    const [, another] = duplicate(connected());
    provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, tcpProtocolInfo(another), 0, WSA_FLAG_OVERLAPPED, errno);
    assert.equal(wsaName(errno.value), '0');
  });

  test('hands over a listener, with its backlog', () => {
    const { listening, duplicate, duplication } = scene();
    const [error, token] = duplicate(listening(4));
    assert.equal(error, '0');
    const { listening: isListening, backlog, remote, connectionId } = duplication.take(token, 1)!;
    assert.deepEqual([isListening, backlog, remote, connectionId], [true, 4, null, null]);
  });

  test('can be taken back, by the process that it was for', () => {
    const bed = scene();
    const listener = bed.listening(2);
    const [, token] = bed.duplicate(listener);
    bed.provider.WSPCloseSocket(listener, bed.errno);
    bed.provider.poll();
    const s = bed.provider.WSPSocket(
      AF_INET,
      SOCK_STREAM,
      IPPROTO_TCP,
      tcpProtocolInfo(token),
      0,
      WSA_FLAG_OVERLAPPED,
      bed.errno,
    );
    assert.equal(wsaName(bed.errno.value), '0');
    assert.equal(bed.provider.socketState(s)?.split('.')[0], 'listening');
    assert.deepEqual(
      bed.provider.WSPSocket(
        AF_INET,
        SOCK_STREAM,
        IPPROTO_TCP,
        tcpProtocolInfo(token),
        0,
        WSA_FLAG_OVERLAPPED,
        bed.errno,
      ),
      INVALID_SOCKET,
    );
  });

  test.each<[string, unknown, unknown]>([
    ['nobody', -1, tcpProtocolInfo()],
    ['a part of a process', 1.5, tcpProtocolInfo()],
    ['somebody, without a place for the token', 1, null],
  ])('to %s is refused', (_, processId, info) => {
    const { connected, duplicate, provider } = scene();
    const s = connected();
    assert.equal(duplicate(s, processId, info)[0], 'WSAEINVAL');
    assert.equal(provider.socketState(s), 'connected.active');
  });

  test('of a socket that is neither connected nor listening is refused, and keeps no token', () => {
    const { bound, socket, duplicate } = scene();
    const info = tcpProtocolInfo();
    assert.deepEqual(duplicate(bound(), 1, info), ['WSAEINVAL', 0]);
    assert.deepEqual(duplicate(socket(), 1, info), ['WSAEINVAL', 0]);
  });
});

describe('WSPGetOverlappedResult', () => {
  const scene = (waitMs = 50) => {
    const bed = providerBench({ config: { waitMs } });
    const s = bed.connected();
    const memory = new Uint8Array(64);
    bed.register(s, memory);
    const overlapped = new WsaOverlapped();
    overlapped.hEvent = 1n;
    const [bytes, flags] = [out(-1), out(-1)];
    const result = (
      over: { s?: Socket; overlapped?: unknown; bytes?: unknown; wait?: boolean; flags?: unknown } = {},
    ) => {
      const given = { s, overlapped, bytes, wait: false, flags, ...over };
      const call = bed.provider.WSPGetOverlappedResult.bind(bed.provider) as (...all: unknown[]) => boolean;
      const errno = out(-1);
      const said = call(given.s, given.overlapped, given.bytes, given.wait, given.flags, errno);
      return [said, wsaName(errno.value), bytes.value, flags.value];
    };
    const list = [{ buf: memory, len: 10 }];
    const send = (): void => void bed.provider.WSPSend(s, list, 1, null, 0, overlapped, null, null, bed.errno);
    const recv = (): void => void bed.provider.WSPRecv(s, list, 1, null, null, overlapped, null, null, bed.errno);
    return { ...bed, s, overlapped, result, send, recv };
  };

  test('looks at the adapter itself, and gives bytes and flags', () => {
    const { send, result } = scene();
    send();
    assert.deepEqual(result(), [true, '0', 10, 0]);
    assert.deepEqual(result(), [true, '0', 10, 0]);
  });

  test('of a request that is pending says so', () => {
    const { recv, result } = scene();
    recv();
    assert.deepEqual(result(), [false, 'WSA_IO_INCOMPLETE', -1, -1]);
  });

  test('of one that failed gives its error and no bytes', () => {
    const { result, overlapped } = scene();
    overlapped.internal = 0n;
    overlapped.internalHigh = 5n;
    overlapped.offset = 3;
    overlapped.offsetHigh = WSA.WSAECONNABORTED;
    assert.deepEqual(result(), [false, 'WSAECONNABORTED', -1, 3]);
  });

  test('may wait for as long as is configured, for a request with an event', () => {
    const { recv, result, overlapped, time } = scene(50);
    overlapped.hEvent = 0x20n;
    recv();
    const before = time.ms;
    assert.deepEqual(result({ wait: true }), [false, 'WSA_IO_INCOMPLETE', -1, -1]);
    assert.ok(time.ms - before >= 50, 'it has waited');
    assert.ok(time.ms - before < 500, 'and not for ever');
  });

  test('waits only while the request is pending', () => {
    const { send, result, overlapped, time, upcalls } = scene(1_000_000);
    overlapped.hEvent = 0x1_0000_0000_0000n;
    void upcalls;
    send();
    overlapped.internal = 0n;
    const before = time.ms;
    result({ wait: true });
    assert.ok(time.ms - before < 100);
  });

  test.each([0n, 1n, 0x21n])('can’t wait with event %i', (event) => {
    const { recv, result, overlapped } = scene();
    recv();
    overlapped.hEvent = event;
    assert.deepEqual(result({ wait: true }), [false, 'WSA_INVALID_HANDLE', -1, -1]);
  });

  test.each([{ overlapped: null }, { overlapped: {} }, { bytes: null }, { flags: null }])(
    'with %j gives WSAEINVAL',
    (over) => {
      const { send, result } = scene();
      send();
      assert.deepEqual(result(over).slice(0, 2), [false, 'WSAEINVAL']);
    },
  );

  test('of a socket that an up-call closes meanwhile is no socket’s', () => {
    const { send, result, reactions, provider, s, overlapped } = scene();
    overlapped.hEvent = 0x20n;
    send();
    reactions.set('WPUCompleteOverlappedRequest', () => void provider.WSPCloseSocket(s, out(0)));
    assert.deepEqual(result().slice(0, 2), [false, 'WSAENOTSOCK']);
  });
});

test('a look at a provider: states, steps, records, and what is in use', () => {
  const { provider, connected, register, error } = providerBench();
  const s = connected();
  const memory = new Uint8Array(8);
  register(s, memory);
  error((lpErrno: Out<number>) =>
    provider.WSPRecv(s, [{ buf: memory, len: 8 }], 1, null, null, new WsaOverlapped(), null, null, lpErrno),
  );
  assert.equal(provider.socketState(s), 'connected.active');
  assert.equal(provider.socketState(5n), null);
  assert.deepEqual(provider.inventory(), {
    ...{ sockets: 1, requests: 1, connectionRequests: 0, buffers: 1, dueUpcalls: 0 },
  });
  const { machineSteps, system } = provider;
  assert.deepEqual(
    Object.keys(machineSteps),
    system.machines.map(({ name }) => name),
  );
  assert.ok(machineSteps['socket']! > 0 && machineSteps['overlappedRequest']! > 0);
  assert.equal(provider.digest().length, 32);
  const before = provider.digest();
  error((lpErrno) => provider.WSPCloseSocket(s, lpErrno));
  assert.notDeepEqual(provider.digest(), before);
});
