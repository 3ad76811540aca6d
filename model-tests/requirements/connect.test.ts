// Goal: connecting is as WSD-050..063 say.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, type Socket, toSockaddr } from '../../driver/index.ts';
import { FD_ACCEPT, FD_CONNECT, wsaName } from '../../machines/index.ts';
import { bound, connecting, end, eventsSet, leftovers, listening, must } from '../support/story.ts';
import { connectedHosts, type Host, twoHosts } from '../support/two-hosts.ts';

const EVENT = 0x30n;

/** WSPConnect with every parameter given. @returns the error's name */
function connectError(
  host: Host,
  s: Socket,
  {
    address = '10.0.0.2',
    port = 5000,
    callerData = null,
    calleeData = null,
    sqos = null,
  }: {
    address?: string;
    port?: number;
    callerData?: { len: number; buf: Uint8Array | null } | null;
    calleeData?: { len: number; buf: Uint8Array | null } | null;
    sqos?: object | null;
  },
): string {
  const name = toSockaddr({ family: 'IPv4', address, port });
  const errno = out(-1);
  host.provider.WSPConnect(s, name, name.length, callerData, calleeData, sqos, null, errno);
  return wsaName(errno.value);
}

describe('connecting', () => {
  test('WSD-050: an undecided attempt returns WSAEWOULDBLOCK at once, and no time passes', () => {
    const hosts = twoHosts();
    const { client, server, network } = hosts;
    listening(server, 5000);
    const s = bound(client, 4000, EVENT);
    const before = network.nowNs;
    assert.deepEqual(client.connect(s, server.address, 5000), { value: -1, error: 'WSAEWOULDBLOCK' });
    assert.equal(network.nowNs, before);
    assert.deepEqual(eventsSet(client), []);
    assert.deepEqual(client.events(s).value, { accept: null, connect: null });
    end(hosts);
  });

  test('WSD-050: without an event selection a connect does not block either', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000);
    run();
    must(server.accept(listener));
    run();
    assert.equal(client.provider.socketState(s), 'connected.active');
    assert.deepEqual(client.events(s).value, { accept: null, connect: null });
    // Who selects late still learns it.
    client.select(s, EVENT);
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.deepEqual(client.events(s).value, { accept: null, connect: '0' });
    end(hosts);
  });

  test('WSD-051: after WSAEWOULDBLOCK exactly one FD_CONNECT is recorded and the event set', () => {
    const hosts = twoHosts();
    const { client, server, run, pass } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    assert.deepEqual(eventsSet(client), []);
    must(server.accept(listener));
    run();
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.deepEqual(client.events(s, EVENT).value, { accept: null, connect: '0' });
    assert.ok(!client.signaled.has(EVENT));
    pass(60_000);
    assert.deepEqual(client.events(s).value, { accept: null, connect: null });
    assert.deepEqual(eventsSet(client), [EVENT]);
    end(hosts);
  });

  test('WSD-051: a connect that fails at once records no FD_CONNECT, and keeps the result of the one before', () => {
    const hosts = twoHosts({ client: { adapter: { faults: { outOfResources: { connect: { at: [2] } } } } } });
    const { client, server, run, pass } = hosts;
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    pass(10_000);
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.equal(client.connect(s, server.address, 5000).error, 'WSAENOBUFS');
    assert.equal(client.provider.socketState(s), 'bound.idle');
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.deepEqual(client.events(s).value.connect, 'WSAETIMEDOUT');
    end(hosts);
  });

  test('WSD-052: the result is in iErrorCode[4], for success and for failure', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    server.accept(listener, () => 1);
    run();
    assert.equal(client.events(s).value.connect, 'WSAECONNREFUSED');
    client.connect(s, server.address, 5000);
    run();
    server.accept(listener);
    run();
    assert.equal(client.events(s).value.connect, '0');
    end(hosts);
  });

  test('WSD-053: connecting gives WSAEALREADY, connected WSAEISCONN, listening and unbound WSAEINVAL', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, run } = hosts;
    const going = connecting(client, 4001, '10.9.9.9', 5000);
    const cases: (readonly [Host, Socket, string])[] = [
      [client, going, 'WSAEALREADY'],
      [client, near, 'WSAEISCONN'],
      [server, far, 'WSAEISCONN'],
      [server, listener, 'WSAEINVAL'],
      [client, must(client.socket()), 'WSAEINVAL'],
    ];
    for (const [host, s, error] of cases) {
      const digest = host.provider.digest();
      assert.equal(host.connect(s, '10.0.0.77', 5000).error, error);
      assert.deepEqual(host.provider.digest(), digest);
    }
    server.close(far);
    run();
    assert.equal(client.connect(near, '10.0.0.77', 5000).error, 'WSAEINVAL');
    end(hosts);
  });

  test('WSD-054: no listener is certain only where every host is reached through the SAN alone', () => {
    for (const [pureSan, error] of [
      [false, 'WSAETIMEDOUT'],
      [true, 'WSAECONNRESET'],
    ] as const) {
      const hosts = twoHosts({ client: { config: { pureSan } } });
      const { client, server, run } = hosts;
      const s = connecting(client, 4000, server.address, 5999, EVENT);
      run();
      assert.equal(client.events(s).value.connect, error);
      assert.deepEqual(eventsSet(client), [EVENT]);
      end(hosts);
    }
  });

  test('WSD-054: a rejection that no provider wrote is no certain one', () => {
    for (const words of [new Uint8Array(0), new Uint8Array(6), Uint8Array.of(0x57, 0x53, 0x44, 0x31, 1, 0)]) {
      const hosts = twoHosts({ client: { config: { pureSan: true } } });
      const { client, network, run } = hosts;
      const stranger = network.host({ addresses: ['10.0.0.3'] });
      stranger.open();
      stranger.listen({ family: 'IPv4', address: '10.0.0.3', port: 5000 });
      const s = connecting(client, 4000, '10.0.0.3', 5000, EVENT);
      run();
      const event = stranger.pollConnectionEvent();
      assert.ok(event?.type === 'connectRequest');
      stranger.reject(event.connector, words);
      run();
      assert.equal(client.events(s).value.connect, 'WSAETIMEDOUT');
      end(hosts);
    }
  });

  test('WSD-055: a peer that does not answer, or is not there, gives WSAETIMEDOUT', () => {
    const hosts = twoHosts({ server: { adapter: { faults: { connectRequestLost: 1 } } } });
    const { client, server, pass } = hosts;
    listening(server, 5000);
    const sockets = [
      connecting(client, 4000, server.address, 5000, EVENT),
      connecting(client, 4001, '10.9.9.9', 5000, EVENT),
    ];
    pass(10_001);
    for (const s of sockets) {
      assert.equal(client.events(s).value.connect, 'WSAETIMEDOUT');
      assert.equal(client.provider.socketState(s), 'bound.idle');
    }
    assert.equal(client.adapter.inventory().connectors, 0);
    end(hosts);
  });

  test('WSD-056: CF_REJECT at the peer ends the connect in WSAECONNREFUSED', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    server.accept(listener, () => 1);
    run();
    assert.deepEqual(client.events(s).value, { accept: null, connect: 'WSAECONNREFUSED' });
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.equal(client.provider.socketState(s), 'bound.idle');
    end(hosts);
  });

  test('WSD-057: a full backlog at the peer ends the connect in WSAECONNREFUSED', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000, { backlog: 1 });
    const first = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    const second = connecting(client, 4001, server.address, 5000, EVENT);
    run();
    assert.equal(client.events(second).value.connect, 'WSAECONNREFUSED');
    assert.equal(client.events(first).value.connect, null);
    must(server.accept(listener));
    run();
    assert.equal(client.events(first).value.connect, '0');
    end(hosts);
  });

  test('WSD-058: closing while connecting aborts at once, and no FD_CONNECT is signalled afterwards', () => {
    for (const answer of ['nobody', 'accept', 'reject'] as const) {
      const hosts = twoHosts();
      const { client, server, run, pass } = hosts;
      const listener = listening(server, 5000);
      const s = connecting(client, 4000, server.address, 5000, EVENT);
      run();
      if (answer !== 'nobody') server.accept(listener, () => (answer === 'accept' ? 0 : 1));
      const { length } = client.upcalls;
      assert.equal(client.close(s).error, '0');
      assert.deepEqual(
        client.upcalls.slice(length).map(({ type }) => type),
        ['closeSocketHandle'],
      );
      assert.equal(client.adapter.inventory().connectors, 0);
      pass(20_000);
      assert.equal(client.upcalls.length, length + 1);
      assert.deepEqual(leftovers(client)['sockets'], undefined);
      // The peer learns it too: its socket breaks, or its queue is empty.
      assert.equal(server.accept(listener).error, 'WSAEWOULDBLOCK');
      end(hosts);
    }
  });

  test('WSD-059: once success is reported, registering, receiving and sending work at once', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    must(server.accept(listener));
    const memory = new Uint8Array(64);
    let tried = 0;
    // From inside the up-call that reports it.
    client.onUpcall = ({ type }) => {
      if (type !== 'setEvent') return;
      tried++;
      assert.equal(client.events(s, EVENT).value.connect, '0');
      must(client.register(s, memory));
      assert.equal(client.recv(s, memory.subarray(0, 32)).result.error, 'WSA_IO_PENDING');
      assert.equal(client.send(s, memory.subarray(32)).result.error, 'WSA_IO_PENDING');
    };
    run();
    assert.equal(tried, 1);
    end(hosts);
  });

  test('WSD-060: an attempt ends after 10 s with WSAETIMEDOUT, not before and not twice', () => {
    const hosts = twoHosts();
    const { client, server, run, pass } = hosts;
    // It listens, and its switch never accepts.
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    pass(9_900);
    assert.deepEqual(eventsSet(client), []);
    assert.equal(client.connect(s, server.address, 5000).error, 'WSAEALREADY');
    pass(100);
    assert.deepEqual(client.events(s).value, { accept: null, connect: 'WSAETIMEDOUT' });
    assert.deepEqual(eventsSet(client), [EVENT]);
    assert.equal(client.provider.socketState(s), 'bound.idle');
    // The request was withdrawn.
    assert.equal(server.accept(listener).error, 'WSAEWOULDBLOCK');
    pass(20_000);
    assert.deepEqual(eventsSet(client), [EVENT]);
    end(hosts);
  });

  test('WSD-060: the bound is configuration, and an attempt that succeeded is not ended by it', () => {
    const hosts = twoHosts({ client: { config: { connectMs: 50 } } });
    const { client, server, run, pass } = hosts;
    const listener = listening(server, 5000);
    const slow = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    pass(50);
    assert.equal(client.events(slow).value.connect, 'WSAETIMEDOUT');
    client.connect(slow, server.address, 5000);
    run();
    must(server.accept(listener));
    run();
    pass(1000);
    assert.equal(client.provider.socketState(slow), 'connected.active');
    end(hosts);
  });

  test('WSD-061: after a failed connect the socket is bound and can connect again', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    assert.equal(client.events(s, EVENT).value.connect, 'WSAETIMEDOUT');
    assert.equal(client.provider.socketState(s), 'bound.idle');
    assert.equal(client.provider.inventory().buffers, 0);
    const listener = listening(server, 5000);
    assert.equal(client.connect(s, server.address, 5000).error, 'WSAEWOULDBLOCK');
    run();
    must(server.accept(listener));
    run();
    assert.deepEqual(client.events(s).value, { accept: null, connect: '0' });
    assert.deepEqual(eventsSet(client), [EVENT, EVENT]);
    end(hosts);
  });

  test('WSD-061: it can listen instead, too', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const s = connecting(client, 4000, server.address, 5000, EVENT);
    run();
    assert.equal(client.listen(s).error, '0');
    const other = connecting(server, 4001, client.address, 4000);
    run();
    must(client.accept(s));
    run();
    assert.equal(server.provider.socketState(other), 'connected.active');
    end(hosts);
  });

  test('WSD-062: caller data gives WSAEPROTONOSUPPORT, an SQOS WSAEOPNOTSUPP; callee data comes back empty', () => {
    const hosts = twoHosts();
    const { client } = hosts;
    const s = bound(client, 4000);
    const digest = client.provider.digest();
    const calleeData = { len: 8, buf: new Uint8Array(8) };
    assert.equal(
      connectError(client, s, { callerData: { len: 1, buf: new Uint8Array(1) }, calleeData }),
      'WSAEPROTONOSUPPORT',
    );
    assert.equal(connectError(client, s, { sqos: {}, calleeData }), 'WSAEOPNOTSUPP');
    assert.equal(calleeData.len, 8);
    assert.deepEqual(client.provider.digest(), digest);
    assert.equal(connectError(client, s, { callerData: { len: 0, buf: null }, calleeData }), 'WSAEWOULDBLOCK');
    assert.equal(calleeData.len, 0);
    end(hosts);
  });

  test('WSD-063: the wildcard, port 0 and the own addresses give WSAEADDRNOTAVAIL', () => {
    const { client } = twoHosts();
    const s = bound(client, 4000);
    const digest = client.provider.digest();
    assert.equal(connectError(client, s, { address: '0.0.0.0' }), 'WSAEADDRNOTAVAIL');
    assert.equal(connectError(client, s, { port: 0 }), 'WSAEADDRNOTAVAIL');
    assert.equal(connectError(client, s, { address: '10.0.0.1' }), 'WSAEADDRNOTAVAIL');
    assert.deepEqual(client.provider.digest(), digest);
  });

  test('WSD-063: with loopback configured, a host connects to itself', () => {
    const hosts = twoHosts({ client: { config: { loopback: true } } });
    const { client, run } = hosts;
    const listener = listening(client, 5000, { event: 0x20n });
    const near = connecting(client, 4000, client.address, 5000, EVENT);
    run();
    assert.deepEqual(client.events(listener).value, { accept: '0', connect: null });
    const far = must(client.accept(listener));
    run();
    assert.equal(client.events(near).value.connect, '0');
    const [to, from] = [new Uint8Array(8), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)];
    must(client.register(near, from));
    must(client.register(far, to));
    client.recv(far, to);
    client.send(near, from);
    run();
    assert.deepEqual(to, from);
    client.close(near);
    client.close(far);
    client.close(listener);
    run();
    end(hosts);
  });

  test('a peer of another family gives WSAEAFNOSUPPORT, no route WSAENETUNREACH', () => {
    const hosts = twoHosts();
    const { client } = hosts;
    const s = bound(client, 4000, EVENT);
    const name = toSockaddr({ family: 'IPv6', address: '::5', port: 5000 });
    client.provider.WSPConnect(s, name, name.length, null, null, null, null, client.errno);
    assert.equal(wsaName(client.errno.value), 'WSAEAFNOSUPPORT');
    client.adapter.setAddresses(['10.0.0.7']);
    assert.equal(client.connect(s, '10.0.0.2', 5000).error, 'WSAENETUNREACH');
    assert.equal(client.provider.socketState(s), 'bound.idle');
    assert.deepEqual(client.events(s).value, { accept: null, connect: null });
    assert.equal(client.select(s, EVENT, FD_ACCEPT | FD_CONNECT).error, '0');
    assert.deepEqual(eventsSet(client), []);
    end(hosts);
  });
});
