// Goal: start-up, clean-up and dispatch are as WSD-001..014 say, descriptors and up-calls as WSD-020..027.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, type Socket, WsaOverlapped, type WspProcTable, tcpProtocolInfo } from '../../driver/index.ts';
import { INVALID_SOCKET, WSA, wsaName } from '../../machines/index.ts';
import {
  assertHandlesInOrder,
  bound,
  connecting,
  end,
  eventsSet,
  leftovers,
  listening,
  must,
} from '../support/story.ts';
import { connectedHosts, connectPair, type Host, twoHosts } from '../support/two-hosts.ts';

/** A second start-up of `host` with one argument replaced. @returns the error's name */
function startupWith(
  host: Host,
  { version = 0x0202, nullAt = '' }: { version?: number; nullAt?: 'data' | 'info' | 'upcalls' | 'table' | '' },
) {
  const data = { wVersion: 0, wHighVersion: 0, szDescription: 'untouched' };
  const table: Partial<WspProcTable> = {};
  const returned = host.provider.WSPStartupEx(
    version,
    nullAt === 'data' ? null : data,
    nullAt === 'info' ? null : tcpProtocolInfo(),
    nullAt === 'upcalls' ? null : host.upcallTable(),
    nullAt === 'table' ? null : table,
  );
  return { error: wsaName(returned), data, table };
}

/** Every function but WSPStartupEx, called well apart from when it is called; the errors' names. */
function everyFunction(host: Host, s: Socket): Record<string, string> {
  const { provider } = host;
  const bytes = new Uint8Array(64);
  const overlapped = new WsaOverlapped();
  const calls: Record<string, (errno: { value: number }) => unknown> = {
    WSPCleanup: (e) => provider.WSPCleanup(e),
    WSPSocket: (e) => provider.WSPSocket(2, 1, 6, tcpProtocolInfo(), 0, 1, e),
    WSPBind: (e) => provider.WSPBind(s, bytes, 16, e),
    WSPSetSockOpt: (e) => provider.WSPSetSockOpt(s, 0xffff, 1, bytes, 4, e),
    WSPGetSockOpt: (e) => provider.WSPGetSockOpt(s, 0xffff, 1, bytes, out(4), e),
    WSPIoctl: (e) => provider.WSPIoctl(s, 0x48000016, null, 0, bytes, 64, out(0), null, null, null, e),
    WSPGetQOSByName: (e) => provider.WSPGetQOSByName(s, null, null, e),
    WSPConnect: (e) => provider.WSPConnect(s, bytes, 16, null, null, null, null, e),
    WSPListen: (e) => provider.WSPListen(s, 1, e),
    WSPAccept: (e) => provider.WSPAccept(s, null, null, null, 0, e),
    WSPEventSelect: (e) => provider.WSPEventSelect(s, 0n, 0, e),
    WSPEnumNetworkEvents: (e) => provider.WSPEnumNetworkEvents(s, 0n, null, e),
    WSPCloseSocket: (e) => provider.WSPCloseSocket(s, e),
    WSPDuplicateSocket: (e) => provider.WSPDuplicateSocket(s, 1, tcpProtocolInfo(), e),
    WSPSend: (e) => provider.WSPSend(s, [{ len: 1, buf: bytes }], 1, null, 0, overlapped, null, null, e),
    WSPRecv: (e) => provider.WSPRecv(s, [{ len: 1, buf: bytes }], 1, null, out(0), overlapped, null, null, e),
    WSPGetOverlappedResult: (e) => provider.WSPGetOverlappedResult(s, overlapped, out(0), false, out(0), e),
    WSPRdmaWrite: (e) =>
      provider.WSPRdmaWrite(
        s,
        [{ len: 1, buf: bytes, handle: 1n }],
        1,
        bytes,
        32,
        0,
        null,
        0,
        overlapped,
        null,
        null,
        e,
      ),
    WSPRdmaRead: (e) =>
      provider.WSPRdmaRead(
        s,
        [{ len: 1, buf: bytes, handle: 1n }],
        1,
        bytes,
        32,
        0,
        null,
        0,
        overlapped,
        null,
        null,
        e,
      ),
    WSPRegisterMemory: (e) => provider.WSPRegisterMemory(s, bytes, 64, 3, e),
    WSPDeregisterMemory: (e) => provider.WSPDeregisterMemory(s, 1n, e),
    WSPRegisterRdmaMemory: (e) => provider.WSPRegisterRdmaMemory(s, bytes, 64, 3, new Uint8Array(32), out(32), e),
    WSPDeregisterRdmaMemory: (e) => provider.WSPDeregisterRdmaMemory(s, bytes, 32, e),
    WSPMemoryRegistrationCacheCallback: (e) => provider.WSPMemoryRegistrationCacheCallback(bytes, 64, e),
  };
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => {
      const errno = out(0);
      call(errno);
      return [name, wsaName(errno.value)];
    }),
  );
}

describe('start-up and clean-up', () => {
  test('WSD-001: a version below 2.2 gives WSAVERNOTSUPPORTED and changes nothing', () => {
    const { client } = twoHosts();
    const digest = client.provider.digest();
    for (const version of [0, 0x0101, 0x0002, 0x0102, 0x0201 - 0x0100, 0xff01]) {
      const { error, data, table } = startupWith(client, { version });
      assert.equal(error, 'WSAVERNOTSUPPORTED', version.toString(16));
      assert.deepEqual([data.wVersion, data.szDescription, Object.keys(table)], [0, 'untouched', []]);
    }
    assert.deepEqual(client.provider.digest(), digest);
    assert.equal(startupWith(client, { version: 0x0302 }).error, '0');
  });

  test('WSD-002: WSPDATA says 2.2 and describes the provider in at most 255 characters', () => {
    const { client } = twoHosts();
    for (const version of [0x0202, 0x0302, 0x0103]) {
      const { error, data } = startupWith(client, { version });
      assert.equal(error, '0');
      assert.equal(data.wVersion, 0x0202);
      assert.ok(data.szDescription.length > 0 && data.szDescription.length <= 255);
      assert.ok(!data.szDescription.includes('\0'));
    }
  });

  test("WSD-003: TCP/IP's protocol info is taken, whoever made it", () => {
    const { client } = twoHosts();
    const data = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    const info = { ...tcpProtocolInfo(), dwCatalogEntryId: 7, szProtocol: 'another TCP/IP' };
    assert.equal(client.provider.WSPStartupEx(0x0202, data, info, client.upcallTable(), {}), 0);
  });

  test('WSD-004: a null WSPDATA or dispatch table gives WSAEFAULT and counts no start-up', () => {
    const { client } = twoHosts();
    const digest = client.provider.digest();
    for (const nullAt of ['data', 'table', 'info', 'upcalls'] as const) {
      const { error, data, table } = startupWith(client, { nullAt });
      assert.equal(error, 'WSAEFAULT', nullAt);
      assert.deepEqual([data.wVersion, Object.keys(table)], [0, []]);
    }
    assert.deepEqual(client.provider.digest(), digest);
    assert.equal(client.cleanup().error, '0');
    assert.equal(client.cleanup().error, 'WSANOTINITIALISED');
  });

  test('WSD-005: exactly the 17 required slots are callable, the other 13 are null', () => {
    const { client } = twoHosts();
    const entries = Object.entries(client.procTable);
    assert.equal(entries.length, 30);
    const callable = entries.filter(([, slot]) => typeof slot === 'function').map(([name]) => name.slice(5));
    assert.deepEqual(callable.sort(), [
      ...['Accept', 'Bind', 'Cleanup', 'CloseSocket', 'Connect', 'DuplicateSocket', 'EnumNetworkEvents', 'EventSelect'],
      ...[
        'GetOverlappedResult',
        'GetQOSByName',
        'GetSockOpt',
        'Ioctl',
        'Listen',
        'Recv',
        'Send',
        'SetSockOpt',
        'Socket',
      ],
    ]);
    assert.equal(entries.filter(([, slot]) => slot === null).length, 13);
    // A slot works without its provider.
    const { lpWSPCloseSocket } = client.procTable as unknown as {
      lpWSPCloseSocket: (s: Socket, errno: { value: number }) => number;
    };
    assert.equal(lpWSPCloseSocket(must(client.socket()), out(0)), 0);
    assert.equal(client.handles.size, 0);
  });

  test('WSD-006: what the caller does to its up-call table later has no effect', () => {
    const { client } = twoHosts();
    client.cleanup();
    const table: Record<string, unknown> = { ...client.upcallTable() };
    const data = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    assert.equal(client.provider.WSPStartupEx(0x0202, data, tcpProtocolInfo(), table as never, {}), 0);
    for (const name of Object.keys(table)) table[name] = () => assert.fail(`${name} after the table was changed`);
    // Nor has the table of a start-up that only counts.
    assert.equal(client.provider.WSPStartupEx(0x0202, data, tcpProtocolInfo(), table as never, {}), 0);
    const s = must(client.socket());
    assert.equal(client.handles.size, 1);
    assert.equal(client.close(s).error, '0');
    assert.equal(client.handles.size, 0);
  });

  test('WSD-007: as many clean-ups as start-ups, and only the last one cleans up', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory } = hosts;
    client.startup();
    client.startup();
    const pending = client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    for (const _ of [1, 2]) {
      assert.equal(client.cleanup().error, '0');
      assert.equal(client.provider.socketState(near), 'connected.active');
      assert.equal(pending.overlapped.internal, 0x103n);
    }
    assert.equal(client.cleanup().error, '0');
    assert.deepEqual(
      client.completions.map(({ overlapped, error, bytes }) => [overlapped === pending.overlapped, error, bytes]),
      [[true, 'WSA_OPERATION_ABORTED', 0]],
    );
    end(hosts);
  });

  test('WSD-008: a clean-up without its start-up gives WSANOTINITIALISED', () => {
    const { client } = twoHosts();
    assert.equal(client.cleanup().error, '0');
    for (const _ of [1, 2]) assert.deepEqual(client.cleanup(), { value: -1, error: 'WSANOTINITIALISED' });
    assert.equal(client.startup(), 0);
  });

  test('WSD-009: the last clean-up aborts every pending request, memory first, polled ones unnotified', () => {
    const hosts = connectedHosts();
    const { client, server, near, listener, nearMemory, run } = hosts;
    const second = connectPair(hosts, listener, 5000, 4001);
    const secondMemory = new Uint8Array(64);
    must(client.register(second.near, secondMemory));
    const requests = [
      client.recv(near, nearMemory.subarray(0, 64), { notify: true }),
      client.send(near, nearMemory.subarray(64, 128), { notify: true }),
      client.recv(second.near, secondMemory, { notify: true }),
    ];
    const polled = client.recv(near, nearMemory.subarray(128, 192));
    // When the switch is told, the adapter has let go of what the request needed.
    client.onComplete = () => assert.equal(client.adapter.inventory().postedReceives, 0);
    assert.equal(client.cleanup().error, '0');
    assert.equal(client.completions.length, requests.length);
    for (const { overlapped } of requests) {
      const told = client.completions.filter((completion) => completion.overlapped === overlapped);
      assert.deepEqual(
        told.map(({ error, bytes }) => [error, bytes]),
        [['WSA_OPERATION_ABORTED', 0]],
      );
    }
    assert.deepEqual(
      [polled.overlapped.internal, polled.overlapped.offsetHigh, polled.overlapped.internalHigh],
      [0n, WSA.WSA_OPERATION_ABORTED, 0n],
    );
    assert.deepEqual(leftovers(client), {});
    const before = client.upcalls.length;
    run();
    assert.equal(client.upcalls.length, before);
    server.close(listener);
    end(hosts);
  });

  test('WSD-010: after the last clean-up nothing of the provider remains, in whatever states its sockets were', () => {
    const hosts = connectedHosts();
    const { client, server, run, pass } = hosts;
    must(client.socket());
    bound(client, 4001, 0x30n);
    connecting(client, 4002, '10.9.9.9', 5000, 0x31n);
    listening(server, 5001, { event: 0x32n });
    connecting(client, 4003, server.address, 5001);
    run();
    assert.equal(client.cleanup().error, '0');
    assert.deepEqual(leftovers(client), {});
    assert.equal(server.cleanup().error, '0');
    assert.deepEqual(leftovers(server), {});
    const upcalls = client.upcalls.length + server.upcalls.length;
    pass(60_000);
    assert.equal(client.upcalls.length + server.upcalls.length, upcalls);
    end(hosts);
  });

  test('WSD-011: after the last clean-up, start-up works again from scratch', () => {
    const hosts = connectedHosts();
    const { client, near, run } = hosts;
    client.cleanup();
    run();
    assert.equal(client.startup(), 0);
    // Descriptors of the life before are strangers.
    assert.equal(client.close(near).error, 'WSAENOTSOCK');
    const again = connecting(client, 4000, '10.0.0.2', 5000, 0x30n);
    run();
    must(hosts.server.accept(hosts.listener));
    run();
    assert.deepEqual(client.events(again).value, { accept: null, connect: '0' });
    end(hosts);
  });

  test('WSD-012: no function reports WSAEINPROGRESS or WSAEINTR, whatever the state', () => {
    const hosts = connectedHosts();
    const { client, near, server } = hosts;
    const sockets = [
      must(client.socket()),
      bound(client, 4001),
      connecting(client, 4002, server.address, 5999),
      listening(client, 4003),
      near,
      INVALID_SOCKET,
    ];
    // Closing and cleaning up come last in the table of functions only for a socket of their own.
    client.startup();
    for (const s of sockets) {
      client.startup();
      for (const [name, error] of Object.entries(everyFunction(client, s))) {
        assert.ok(!['WSAEINPROGRESS', 'WSAEINTR'].includes(error), `${name}: ${error}`);
      }
    }
    end(hosts);
  });

  test('WSD-013: after the last clean-up every function but WSPStartupEx fails with WSANOTINITIALISED', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    client.cleanup();
    for (const s of [near, INVALID_SOCKET]) {
      for (const [name, error] of Object.entries(everyFunction(client, s))) {
        assert.equal(error, 'WSANOTINITIALISED', name);
      }
    }
    assert.equal(client.extension('WSPRdmaWrite').error, 'WSANOTINITIALISED');
    end(hosts);
  });

  test('WSD-014: WSPGetQOSByName returns FALSE with WSAEOPNOTSUPP, even for what is no socket', () => {
    const { client } = twoHosts();
    for (const s of [must(client.socket()), INVALID_SOCKET]) {
      const errno = out(0);
      assert.equal(client.provider.WSPGetQOSByName(s, null, {}, errno), false);
      assert.equal(wsaName(errno.value), 'WSAEOPNOTSUPP');
    }
  });
});

describe('descriptors and up-calls', () => {
  test('WSD-020: WSPSocket calls WPUCreateSocketHandle once, before it returns', () => {
    const hosts = twoHosts();
    const { client } = hosts;
    const sockets = [1, 2, 3].map((count) => {
      const s = must(client.socket());
      assert.equal(client.upcalls.length, count);
      assert.deepEqual(client.upcalls[count - 1]!.type, 'createSocketHandle');
      return s;
    });
    assert.equal(new Set(sockets).size, 3);
    end(hosts);
  });

  test('WSD-021: up-calls get the switch handle, never the descriptor', () => {
    const hosts = connectedHosts();
    const { client, near, far, listener, nearMemory, farMemory, run, server } = hosts;
    client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    server.recv(far, farMemory.subarray(0, 64), { notify: true });
    client.send(near, nearMemory.subarray(64, 96), { notify: true });
    run();
    client.close(near);
    run();
    server.close(far);
    server.close(listener);
    run();
    for (const [host, descriptors] of [
      [client, [near]],
      [server, [far, listener]],
    ] as const) {
      const made = new Map(
        host.upcalls.flatMap((upcall) =>
          upcall.type === 'createSocketHandle' ? [[upcall.handle, upcall.context] as const] : [],
        ),
      );
      assert.deepEqual([...made.values()].sort(), [...descriptors].sort());
      for (const upcall of host.upcalls) {
        if ('handle' in upcall) assert.ok(made.has(upcall.handle));
        if ('handle' in upcall) assert.ok(!(descriptors as readonly Socket[]).includes(upcall.handle));
      }
      assert.ok(host.completions.length > 0);
    }
    end(hosts);
  });

  test('WSD-022: WPUCloseSocketHandle comes once for each handle, after everything else for it', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    for (let index = 0; index < 40; index++) {
      client.recv(near, nearMemory.subarray(index, index + 1), { notify: true });
      client.send(near, nearMemory.subarray(index, index + 1), { notify: true });
    }
    client.close(near);
    assert.equal(client.handles.size, 1);
    run();
    assert.equal(client.completions.length, 80);
    assert.equal(client.upcalls.at(-1)!.type, 'closeSocketHandle');
    assertHandlesInOrder(client);
    end(hosts);
  });

  test('WSD-023: a WSPAccept or WSPSocket that fails after WPUCreateSocketHandle closes the handle before it returns', () => {
    const hosts = twoHosts({ server: { adapter: { faults: { outOfResources: { prepareAccept: 1 } } } } });
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, 0x30n);
    run();
    const before = server.upcalls.length;
    assert.deepEqual(server.accept(listener), { value: INVALID_SOCKET, error: 'WSAENOBUFS' });
    assert.deepEqual(
      server.upcalls.slice(before).map(({ type }) => type),
      ['createSocketHandle', 'closeSocketHandle'],
    );
    run();
    assert.equal(client.events(s).value.connect, 'WSAECONNREFUSED');
    assert.equal(server.provider.inventory().sockets, 1);
    // Where the handle is refused, there is none to close.
    server.refuseHandle = WSA.WSAENOBUFS;
    assert.deepEqual(server.socket(), { value: INVALID_SOCKET, error: 'WSAENOBUFS' });
    client.connect(s, server.address, 5000);
    run();
    server.refuseHandle = WSA.WSAEMFILE;
    assert.deepEqual(server.accept(listener), { value: INVALID_SOCKET, error: 'WSAEMFILE' });
    run();
    assert.equal(client.events(s).value.connect, 'WSAECONNREFUSED');
    assert.equal(server.handles.size, 1);
    end(hosts);
  });

  test('WSD-024: whatever the network does, a socket exists until WSPCloseSocket', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, farMemory, run } = hosts;
    client.close(near);
    run();
    assert.equal(server.provider.socketState(far), 'broken');
    assert.equal(server.handles.size, 2);
    assert.equal(server.recv(far, farMemory.subarray(0, 64)).result.error, 'WSAECONNRESET');
    server.adapter.remove();
    run();
    assert.equal(server.handles.size, 2);
    assert.equal(server.close(far).error, 'WSAENETDOWN');
    run();
    assert.equal(server.handles.size, 1);
    end(hosts);
  });

  test('WSD-026: completion routine and thread are ignored, WPUQueueApc is never called', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const routine = () => assert.fail('a completion routine was called');
    server.recv(far, farMemory.subarray(0, 64));
    const overlapped = new WsaOverlapped();
    const thread = { ThreadHandle: 1n, Reserved: 0n };
    client.provider.WSPSend(near, [{ len: 8, buf: nearMemory }], 1, null, 0, overlapped, routine, thread, client.errno);
    assert.equal(wsaName(client.errno.value), 'WSA_IO_PENDING');
    run();
    assert.equal(client.completions.filter((completion) => completion.overlapped === overlapped).length, 1);
    end(hosts);
  });

  test('WSD-027: a completion up-call that fails was the completion all the same; the provider writes Internal', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    client.completionFails = true;
    const request = client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    const { overlapped } = request;
    client.close(near);
    run();
    assert.equal(client.completions.length, 1);
    assert.deepEqual([overlapped.internal, overlapped.offsetHigh], [0n, WSA.WSA_OPERATION_ABORTED]);
    assert.equal(client.handles.size, 0);
    end(hosts);
  });
});

describe('any function may be called from inside an up-call', () => {
  /** What a switch may do inside an up-call, each to be tried alone. */
  const deeds: Record<string, (host: Host, own: Socket) => void> = {
    'closes the socket': (host, own) => void host.close(own),
    'cleans up': (host) => void host.cleanup(),
    'cleans up and starts up': (host) => {
      host.cleanup();
      host.startup();
    },
    polls: (host) => void host.provider.poll(),
    'makes a socket': (host) => void host.socket(),
    accepts: (host, own) => void host.accept(own),
    'selects other events': (host, own) => void host.select(own, 0x77n),
    enumerates: (host, own) => void host.events(own, 0x20n),
    'calls everything': (host, own) => void everyFunction(host, own),
  };
  const kinds = ['createSocketHandle', 'closeSocketHandle', 'complete', 'setEvent', 'resetEvent'] as const;

  /** A story in which every kind of up-call occurs; inside the first few of `kind`, the switch does `deed` to `own`. */
  function play(
    kind: (typeof kinds)[number],
    deed: (host: Host, own: Socket) => void,
    own: 'listener' | 'far' | 'new',
  ) {
    const hosts = connectedHosts();
    const { client, server, near, far, farMemory, nearMemory, listener, run } = hosts;
    server.select(listener, 0x20n);
    let inside = false;
    let done = 0;
    server.onUpcall = (upcall) => {
      if (upcall.type !== kind || inside || done === 4) return;
      inside = true;
      done++;
      deed(server, own === 'new' && 'context' in upcall ? upcall.context : own === 'listener' ? listener : far);
      inside = false;
    };
    for (let index = 0; index < 3; index++) {
      server.recv(far, farMemory.subarray(64 * index, 64 * index + 64), { notify: true });
      client.send(near, nearMemory.subarray(0, 8));
    }
    run();
    for (const port of [4001, 4002, 4003]) connecting(client, port, server.address, 5000, 0x30n);
    run();
    for (const verdict of [1, 0, 0]) {
      server.accept(listener, () => verdict);
      run();
    }
    server.socket();
    server.close(far);
    run();
    server.close(listener);
    run();
    assert.ok(done > 0, `${kind} occurred`);
    end(hosts);
  }

  for (const [name, deed] of Object.entries(deeds)) {
    for (const kind of kinds) {
      test(`WSD-025: inside ${kind}, the switch ${name}`, () => {
        for (const own of ['listener', 'far', 'new'] as const) play(kind, deed, own);
      });
    }

    test(`WSD-025: inside the condition function, the switch ${name}`, () => {
      for (const verdict of [0, 1, 2, 99]) {
        const hosts = connectedHosts();
        const { client, server, listener, run } = hosts;
        server.select(listener, 0x20n);
        for (const port of [4001, 4002]) connecting(client, port, server.address, 5000, 0x30n);
        run();
        let inside = false;
        const result = server.accept(listener, () => {
          if (!inside) {
            inside = true;
            deed(server, listener);
          }
          return verdict;
        });
        if (name === 'closes the socket') assert.deepEqual(result, { value: INVALID_SOCKET, error: 'WSAENOTSOCK' });
        if (name === 'cleans up') assert.deepEqual(result, { value: INVALID_SOCKET, error: 'WSANOTINITIALISED' });
        run();
        end(hosts);
      }
    });
  }

  test('WSD-025: a start-up inside the up-calls of the last clean-up is refused, and works after it', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory } = hosts;
    client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    must(client.socket());
    const answers: string[] = [];
    client.onUpcall = () => {
      answers.push(wsaName(client.startup()));
      client.provider.poll();
    };
    assert.equal(client.cleanup().error, '0');
    assert.deepEqual(answers, ['WSASYSNOTREADY', 'WSASYSNOTREADY', 'WSASYSNOTREADY']);
    client.onUpcall = null;
    assert.deepEqual(leftovers(client), {});
    assert.equal(client.startup(), 0);
    const again = connecting(client, 4000, '10.0.0.2', 5000);
    assert.equal(client.provider.socketState(again), 'connecting.pending');
    end(hosts);
  });

  test('WSD-025: a condition function that cleans up and starts up leaves a withdrawn request of the life before', () => {
    const hosts = connectedHosts();
    const { client, server, listener, run } = hosts;
    const s = connecting(client, 4001, server.address, 5000);
    run();
    const result = server.accept(listener, () => {
      client.close(s);
      run();
      server.cleanup();
      server.startup();
      return 0;
    });
    assert.equal(result.value, INVALID_SOCKET);
    assert.equal(server.provider.inventory().connectionRequests, 0);
    end(hosts);
  });

  test('WSD-025: a close from inside the condition function refuses every request once and makes no socket', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000, { event: 0x20n });
    const sockets = [4001, 4002].map((port) => connecting(client, port, server.address, 5000, 0x30n));
    run();
    const before = server.upcalls.length;
    const { value, error } = server.accept(listener, () => {
      assert.equal(server.close(listener).error, '0');
      return 0;
    });
    assert.deepEqual([value, error], [INVALID_SOCKET, 'WSAENOTSOCK']);
    assert.deepEqual(
      server.upcalls.slice(before).map(({ type }) => type),
      ['closeSocketHandle'],
    );
    run();
    for (const s of sockets) assert.equal(client.events(s).value.connect, 'WSAECONNREFUSED');
    assert.deepEqual(eventsSet(client), [0x30n, 0x30n]);
    end(hosts);
  });

  test('WSD-025: a close from inside a completion up-call ends the other requests, and the handle last', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, far, farMemory, server, run } = hosts;
    for (let index = 0; index < 4; index++) {
      client.recv(near, nearMemory.subarray(64 * index, 64 * index + 64), { notify: true });
    }
    let running = 0;
    client.onComplete = () => {
      // One at a time for one socket.
      assert.equal(running++, 0);
      if (client.completions.length === 1) assert.equal(client.close(near).error, '0');
      client.provider.poll();
      running--;
    };
    server.send(far, farMemory.subarray(0, 8));
    run();
    assert.deepEqual(
      client.completions.map(({ error, bytes }) => [error, bytes]),
      [
        ['0', 8],
        ['WSA_OPERATION_ABORTED', 0],
        ['WSA_OPERATION_ABORTED', 0],
        ['WSA_OPERATION_ABORTED', 0],
      ],
    );
    assert.equal(client.upcalls.at(-1)!.type, 'closeSocketHandle');
    assert.equal(client.handles.size, 0);
    end(hosts);
  });

  test('WSD-025: after a clean-up inside an up-call, the next start-up’s up-call table counts', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    client.onComplete = () => void client.cleanup();
    client.close(near);
    run();
    assert.deepEqual(leftovers(client), {});
    const made: Socket[] = [];
    const table = {
      ...client.upcallTable(),
      WPUCreateSocketHandle: () => {
        made.push(1n);
        return 0x9999n;
      },
    };
    const data = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    assert.equal(client.provider.WSPStartupEx(0x0202, data, tcpProtocolInfo(), table, {}), 0);
    must(client.socket());
    assert.equal(made.length, 1);
  });
});
