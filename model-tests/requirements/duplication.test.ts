// Handing a socket to another process, and taking it over. WSD-230 to WSD-237.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { limits, out, ProcessDuplicationStore, type Socket, tcpProtocolInfo } from '../../driver/index.ts';
import { IPPROTO_TCP, SO_DEBUG, SOL_SOCKET, TCP_NODELAY } from '../../machines/index.ts';
import { end, leftovers } from '../support/story.ts';
import {
  closeEverything,
  ending,
  fill,
  list,
  notified,
  switchHandle,
  transfer,
  written,
} from '../support/transfers.ts';
import {
  type Connected,
  connectedHosts,
  connectPair,
  type Host,
  type HostOptions,
  type HostsOptions,
  pass,
  settle,
  startedHost,
} from '../support/two-hosts.ts';

/** What the switches have made sure of before a hand-over: nothing but receives is pending; both ends have talked. */
function suspended(options: HostsOptions = {}): Connected {
  const hosts = connectedHosts(options);
  exchange(hosts, hosts.client, hosts.near, hosts.nearMemory);
  return hosts;
}

/** A message each way between `s` of `host` and the server's end; both arrive whole. */
function exchange(hosts: Connected, host: Host, s: Socket, memory: Uint8Array, run: () => void = hosts.run): void {
  const { server, far, farMemory } = hosts;
  const [there, back] = [server.recv(far, farMemory.subarray(0, 64)), host.recv(s, memory.subarray(0, 64))];
  host.send(s, fill(memory.subarray(100, 120), 3));
  server.send(far, fill(farMemory.subarray(200, 230), 5));
  run();
  assert.deepEqual([written(there), written(back)], ['20 bytes', '30 bytes']);
  assert.deepEqual(farMemory.subarray(0, 20), memory.subarray(100, 120));
  assert.deepEqual(memory.subarray(0, 30), farMemory.subarray(200, 230));
}

/** Hands `s` over to the same process and takes it up there. @returns the new socket, and memory registered on it */
function handOver({ client, run }: Connected, s: Socket): { s: Socket; memory: Uint8Array } {
  const given = client.duplicate(s, 1);
  assert.equal(given.error, '0');
  run();
  const taken = client.socket(tcpProtocolInfo(given.token));
  assert.equal(taken.error, '0');
  run();
  const memory = new Uint8Array(1024);
  assert.equal(client.register(taken.value, memory).error, '0');
  return { s: taken.value, memory };
}

/** A second process on the client's host: its provider has an adapter of its own for the same address. */
function secondProcess(hosts: Connected, options: HostOptions): Host {
  const process = startedHost(hosts.network, 'client, second process', '10.0.0.9', options);
  process.adapter.setAddresses(['10.0.0.1', '10.0.0.9']);
  return process;
}

const option = (host: Host, s: Socket, level: number, name: number): number => {
  const value = new Uint8Array(4);
  assert.equal(host.provider.WSPGetSockOpt(s, level, name, value, out(4), host.errno), 0);
  return value[0]!;
};
const setOption = (host: Host, s: Socket, level: number, name: number): number =>
  host.provider.WSPSetSockOpt(s, level, name, new Uint8Array([1, 0, 0, 0]), 4, host.errno);

describe('in the process that hands over', () => {
  test('WSD-230: all outstanding receives complete with success and 0 bytes, and their memory is free', () => {
    const hosts = suspended();
    const { client, near, nearMemory, nearHandle, run } = hosts;
    const received = Array.from({ length: 40 }, (_, index) =>
      client.recv(near, nearMemory.subarray(0, 64), { notify: index % 2 === 0 }),
    );
    fill(nearMemory);
    const released: string[] = [];
    client.onComplete = (_, error, bytes) => released.push(`${error} ${bytes}`);
    assert.equal(client.duplicate(near).error, '0');
    run();
    for (const [index, request] of received.entries()) {
      assert.equal(ending(client, near, request), '0 bytes');
      assert.deepEqual(notified(client, request), index % 2 === 0 ? ['0 bytes'] : []);
    }
    assert.deepEqual(released, new Array(20).fill('0 0'));
    assert.deepEqual(nearMemory, fill(new Uint8Array(nearMemory.length)));
    assert.equal(client.deregister(near, nearHandle).error, '0');
    closeEverything(hosts);
  });

  test('WSD-230: a receive that is paired with the first message too', () => {
    const hosts = connectedHosts();
    const { server, far, farMemory, run } = hosts;
    const paired = server.recv(far, farMemory.subarray(0, 64), { notify: true });
    assert.equal(server.duplicate(far).error, '0');
    run();
    assert.deepEqual(notified(server, paired), ['0 bytes']);
    closeEverything(hosts);
  });

  test('WSD-230: a message that had come before the call is delivered, and not lost among the empty receives', () => {
    const hosts = suspended();
    const { client, server, near, far, nearMemory, farMemory, network, run } = hosts;
    const received = [0, 64].map((at) => client.recv(near, nearMemory.subarray(at, at + 64), { notify: true }));
    const sent = server.send(far, fill(farMemory.subarray(300, 309)));
    for (let turn = 0; written(sent) === 'pending' && turn < 1000; turn++) {
      network.run();
      server.provider.poll();
    }
    assert.equal(written(sent), '9 bytes');
    assert.equal(client.duplicate(near).error, '0');
    run();
    assert.deepEqual(
      received.map((request) => notified(client, request)),
      [['9 bytes'], ['0 bytes']],
    );
    assert.deepEqual(nearMemory.subarray(0, 9), farMemory.subarray(300, 309));
    closeEverything(hosts);
  });

  test('WSD-230: a send that is stuck, against the rules, can not hold the receives for ever', () => {
    const hosts = suspended({ network: { retryTimeoutNs: 1e13 } });
    const { client, server, near, far, nearMemory, farMemory, run, pass: wait } = hosts;
    const stuck = client.send(near, nearMemory.subarray(0, 8), { notify: true });
    const received = client.recv(near, nearMemory.subarray(64, 128), { notify: true });
    assert.equal(client.duplicate(near).error, '0');
    run();
    assert.equal(written(received), 'pending');
    wait(limits.migrationMs + 1);
    assert.deepEqual([notified(client, received), notified(client, stuck)], [['0 bytes'], ['WSAECONNABORTED']]);
    // Nobody could tell the peer why.
    const theirs = server.recv(far, farMemory.subarray(0, 8));
    assert.equal(theirs.result.error, 'WSAECONNRESET');
    closeEverything(hosts);
  });

  test('WSD-231: tokens are nonzero, unique, for one process, and work once', () => {
    const duplication = new ProcessDuplicationStore();
    const hosts = suspended({ client: { duplication, config: { processId: 7 } } });
    const { client, server, near, listener, network, run } = hosts;
    const second = secondProcess(hosts, { duplication, config: { processId: 8 } });
    const stranger = startedHost(network, 'stranger', '10.0.0.3', { duplication, config: { processId: 9 } });
    const other = connectPair(hosts, listener, 5000, 4001);
    const tokens = [client.duplicate(near, 8).token, client.duplicate(other.near, 8).token];
    run();
    assert.equal(new Set([0, ...tokens]).size, 3);
    const info = tcpProtocolInfo(tokens[0]);
    const handles = [client, second, stranger].map(({ upcalls }) => upcalls.length);
    assert.deepEqual([client.socket(info).error, stranger.socket(info).error], ['WSAEINVAL', 'WSAEINVAL']);
    for (const token of [tokens[1]! + 1000, 0xffff_ffff]) {
      assert.equal(second.socket(tcpProtocolInfo(token)).error, 'WSAEINVAL');
    }
    assert.deepEqual(
      [client, second, stranger].map(({ upcalls }) => upcalls.length),
      handles,
      'an up-call was made',
    );
    const taken = second.socket(info);
    assert.equal(taken.error, '0');
    assert.equal(second.socket(info).error, 'WSAEINVAL');
    settle(network, [client, server, second]);
    assert.equal(second.provider.socketState(taken.value), 'connected.active');
    for (const host of [second, stranger]) {
      host.cleanup();
      settle(network, [client, server, second, stranger]);
      assert.deepEqual(leftovers(host), {});
    }
    closeEverything(hosts, [other.near], [other.far]);
  });

  test('WSD-232: the old descriptor stays a socket, unreused, until it is closed; nothing but that works on it', () => {
    const hosts = suspended();
    const { client, near, nearMemory, nearHandle: handle, run } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 64));
    const switchs = switchHandle(client, near);
    const { s: next } = handOver(hosts, near);
    assert.notEqual(next, near);
    const assertDormant = (): void => {
      const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
      for (const kind of ['send', 'recv'] as const) {
        assert.equal(transfer(client, near, { kind, buffers }).result.error, 'WSAENOTCONN');
      }
      assert.equal(client.register(near, nearMemory).error, 'WSAENOTCONN');
      assert.equal(client.select(near, 5n).error, 'WSAEINVAL');
      assert.deepEqual(client.events(near), { value: { accept: null, connect: null }, error: '0' });
      assert.equal(setOption(client, near, IPPROTO_TCP, TCP_NODELAY), -1);
      assert.equal(client.errno.value, 10022);
      for (const answer of [
        client.bind(near, 4300),
        client.connect(near, '10.0.0.2', 5000),
        client.listen(near),
        client.accept(near),
        client.duplicate(near),
      ]) {
        assert.equal(answer.error, 'WSAEINVAL');
      }
      assert.equal(ending(client, near, received), '0 bytes');
      assert.ok(client.handles.has(switchs));
    };
    assertDormant();
    const more = Array.from({ length: 5 }, () => client.socket().value);
    assert.ok(!more.includes(near));
    hosts.pass(60_000);
    assertDormant();
    assert.equal(client.deregister(near, handle).error, '0');
    assert.equal(client.close(near).error, '0');
    run();
    assert.ok(!client.handles.has(switchs));
    assert.equal(client.provider.socketState(next), 'connected.active', 'closing the old one ends nothing');
    closeEverything(hosts, [next, ...more]);
  });

  test('WSD-232: it may be closed at once, before the peer has even been told', () => {
    const hosts = suspended();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    const theirs = server.recv(far, farMemory.subarray(0, 64));
    const { token } = client.duplicate(near);
    assert.equal(client.close(near).error, '0');
    run();
    assert.deepEqual(notified(client, received), ['0 bytes']);
    assert.equal(written(theirs), 'pending');
    const taken = client.socket(tcpProtocolInfo(token)).value;
    run();
    const memory = new Uint8Array(64);
    client.register(taken, memory);
    client.send(taken, memory.subarray(0, 5));
    run();
    assert.equal(ending(server, far, theirs), '5 bytes');
    closeEverything(hosts, [taken]);
  });
});

describe('taking over', () => {
  test('WSD-233: the new socket is connected as the old one was, with its options, address and peer', () => {
    const hosts = suspended();
    const { client, near, run } = hosts;
    assert.equal(setOption(client, near, SOL_SOCKET, SO_DEBUG), 0);
    assert.equal(setOption(client, near, IPPROTO_TCP, TCP_NODELAY), 0);
    const { token } = client.duplicate(near);
    run();
    const before = client.upcalls.length;
    const s = client.socket(tcpProtocolInfo(token)).value;
    const made = client.upcalls.slice(before);
    assert.deepEqual(
      made.map(({ type }) => type),
      ['createSocketHandle'],
    );
    // The switch may go on at once: what it posts waits for the connection.
    const memory = new Uint8Array(1024);
    assert.equal(client.register(s, memory).error, '0');
    assert.deepEqual([option(client, s, SOL_SOCKET, SO_DEBUG), option(client, s, IPPROTO_TCP, TCP_NODELAY)], [1, 1]);
    exchange(hosts, client, s, memory);
    assert.equal(client.bind(s, 4000).error, 'WSAEINVAL');
    assert.equal(client.connect(s, '10.0.0.2', 5000).error, 'WSAEISCONN');
    assert.equal(client.listen(s).error, 'WSAEISCONN');
    closeEverything(hosts, [s]);
  });

  test('WSD-233: a listener listens again on its address; queued requests are refused, those in between find none', () => {
    const hosts = connectedHosts();
    const { client, server, listener, run } = hosts;
    server.select(listener, 77n);
    setOption(server, listener, IPPROTO_TCP, TCP_NODELAY);
    const queued = client.socket().value;
    client.bind(queued, 4001);
    client.select(queued, 5n);
    client.connect(queued, server.address, 5000);
    run();
    server.signaled.clear();
    const { token, error } = server.duplicate(listener);
    assert.equal(error, '0');
    run();
    assert.equal(client.events(queued).value.connect, 'WSAECONNREFUSED');
    assert.equal(server.accept(listener).error, 'WSAEINVAL');
    const between = client.socket().value;
    client.bind(between, 4002);
    client.select(between, 6n);
    client.connect(between, server.address, 5000);
    run();
    assert.equal(client.events(between).value.connect, 'WSAETIMEDOUT', 'nothing certain is known of the port');
    assert.deepEqual([...server.signaled], []);

    const taken = server.socket(tcpProtocolInfo(token));
    assert.equal(taken.error, '0');
    server.select(taken.value, 78n);
    const before = server.upcalls.length;
    const next = connectPair(hosts, taken.value, 5000, 4003);
    const told = server.upcalls.slice(before).flatMap((upcall) => (upcall.type === 'setEvent' ? [upcall.event] : []));
    assert.deepEqual([...new Set(told)], [78n]);
    assert.equal(option(server, next.far, IPPROTO_TCP, TCP_NODELAY), 1);
    closeEverything(hosts, [queued, between, next.near], [taken.value, next.far]);
  });

  test('WSD-233: a listener that can not listen again fails the take-over with WSAENETDOWN, and leaves nothing', () => {
    const hosts = connectedHosts();
    const { server, listener, run } = hosts;
    const { token } = server.duplicate(listener);
    const rival = server.socket().value;
    server.bind(rival, 5000);
    assert.equal(server.listen(rival).error, '0');
    const before = server.handles.size;
    const failed = server.socket(tcpProtocolInfo(token));
    assert.deepEqual([failed.value, failed.error], [2n ** 64n - 1n, 'WSAENETDOWN']);
    assert.equal(server.handles.size, before);
    run();
    closeEverything(hosts, [], [rival]);
  });

  test('WSD-233: a take-over that the adapter has no resources for fails with WSAENETDOWN, and leaves nothing', () => {
    for (const call of ['allocateProtectionDomain', 'registerMemory', 'createConnector', 'connect', 'post'] as const) {
      const duplication = new ProcessDuplicationStore();
      const hosts = suspended({ client: { duplication } });
      const { client, server, near, far, farMemory, network, run } = hosts;
      const second = secondProcess(hosts, {
        duplication,
        config: { processId: 8 },
        adapter: { faults: { outOfResources: { [call]: 1 } } },
      });
      const theirs = server.recv(far, farMemory.subarray(0, 8), { notify: true });
      const { token } = client.duplicate(near, 8);
      run();
      const failed = second.socket(tcpProtocolInfo(token));
      assert.deepEqual([failed.value, failed.error], [2n ** 64n - 1n, 'WSAENETDOWN'], call);
      assert.equal(second.handles.size, 0);
      second.cleanup();
      settle(network, [client, server, second]);
      assert.deepEqual(leftovers(second), {});
      // The peer is not left waiting.
      assert.deepEqual(notified(server, theirs), []);
      pass(network, [client, server], limits.migrationMs + 1);
      assert.deepEqual(notified(server, theirs), ['WSAECONNRESET']);
      closeEverything(hosts);
    }
  });

  test('WSD-234: the peer sees nothing: its receives stay pending, and are used in order afterwards', () => {
    for (const disconnectedLost of [0, 1]) {
      const hosts = suspended({ server: { adapter: { faults: { disconnectedLost } } } });
      const { client, server, near, far, farMemory, farHandle, run } = hosts;
      server.select(far, 99n);
      const theirs = Array.from({ length: 40 }, (_, index) =>
        server.recv(far, farMemory.subarray(index * 16, index * 16 + 16), { notify: index % 2 === 0 }),
      );
      const upcalls = server.upcalls.length;
      const { s, memory } = handOver(hosts, near);
      hosts.pass(1000);
      assert.equal(server.upcalls.length, upcalls, 'the peer was told something');
      for (const request of theirs) assert.equal(ending(server, far, request), 'pending');
      assert.deepEqual(server.events(far).value, { accept: null, connect: null });
      assert.equal(server.deregister(far, farHandle).error, 'WSAEINVAL', 'the receives still need their memory');
      for (let index = 0; index < 40; index++)
        client.send(s, fill(memory.subarray(index * 16, index * 16 + 16), index));
      run();
      for (const [index, request] of theirs.entries()) {
        assert.equal(ending(server, far, request), '16 bytes');
        assert.deepEqual(request.buffer, fill(new Uint8Array(16), index));
        assert.deepEqual(notified(server, request), index % 2 === 0 ? ['16 bytes'] : []);
      }
      closeEverything(hosts, [s]);
    }
  });

  test('WSD-234: what the peer starts while the connection moves waits for its return', () => {
    const hosts = suspended();
    const { client, server, near, far, farMemory, run } = hosts;
    const { token } = client.duplicate(near);
    run();
    assert.equal(server.provider.socketState(far), 'connected.suspended');
    const sent = server.send(far, fill(farMemory.subarray(0, 10)), { notify: true });
    const received = server.recv(far, farMemory.subarray(100, 200), { notify: true });
    run();
    assert.deepEqual([written(sent), written(received)], ['pending', 'pending']);
    assert.equal(server.register(far, new Uint8Array(8)).error, '0');
    assert.equal(server.duplicate(far).error, 'WSAEINVAL', 'one end at a time');
    const s = client.socket(tcpProtocolInfo(token)).value;
    const memory = new Uint8Array(64);
    client.register(s, memory);
    // The message can be there before any receive, as on a socket that was accepted (7.5).
    run();
    const late = client.recv(s, memory.subarray(0, 32));
    client.send(s, memory.subarray(32, 36));
    run();
    assert.equal(ending(client, s, late), '10 bytes');
    assert.deepEqual(memory.subarray(0, 10), farMemory.subarray(0, 10));
    assert.deepEqual([notified(server, sent), notified(server, received)], [['10 bytes'], ['4 bytes']]);
    closeEverything(hosts, [s]);
  });

  test('WSD-234: a transfer of the peer that the move interrupts, against the rules, ends once and in its memory', () => {
    const capabilities = { elementsMax: 1 };
    for (let delay = 0; delay < 40; delay++) {
      const hosts = suspended({
        network: { bandwidth: 1e6 },
        client: { adapter: { capabilities } },
        server: { adapter: { capabilities } },
      });
      const { client, server, near, far, nearMemory, farMemory, farHandle: handle, network, run } = hosts;
      const { descriptor } = client.registerRdma(near, nearMemory);
      const spans = Array.from({ length: 8 }, (_, index) => [index * 10, index * 10 + 10] as const);
      const buffers = list(farMemory, ...spans).map((each) => ({ ...each, handle }));
      const writes = [1, 2].map(() => transfer(server, far, { kind: 'write', buffers, descriptor, notify: true }));
      for (let step = 0; step < delay; step++) {
        network.advanceTo(network.nowNs + 5_000);
        server.provider.poll();
      }
      const { token } = client.duplicate(near);
      run();
      const s = client.socket(tcpProtocolInfo(token)).value;
      run();
      hosts.pass(limits.migrationMs + 1);
      for (const request of writes) {
        assert.match(written(request), /^(80 bytes|WSA[A-Z]+)$/);
        assert.equal(notified(server, request).length, 1);
      }
      closeEverything(hosts, [s]);
    }
  });

  test('WSD-236: control comes back to the first process, and goes again, and the peer never knows', () => {
    const hosts = suspended();
    const { server, far, farMemory, client, run } = hosts;
    const theirs = server.recv(far, farMemory.subarray(5000, 5064), { notify: true });
    const upcalls = server.upcalls.length;
    let at = { s: hosts.near, memory: hosts.nearMemory };
    const old: Socket[] = [];
    for (let round = 0; round < 4; round++) {
      old.push(at.s);
      at = handOver(hosts, at.s);
    }
    assert.equal(server.upcalls.length, upcalls);
    assert.equal(new Set([...old, at.s]).size, 5);
    client.send(at.s, at.memory.subarray(0, 7));
    run();
    assert.deepEqual(notified(server, theirs), ['7 bytes']);
    exchange(hosts, client, at.s, at.memory);
    closeEverything(hosts, [...old.slice(1), at.s]);
  });

  test('WSD-236: there and back between two processes of a host that share their tokens', () => {
    const duplication = new ProcessDuplicationStore();
    const hosts = suspended({ client: { duplication, config: { processId: 7 } } });
    const { client, server, near, far, farMemory, network } = hosts;
    const second = secondProcess(hosts, { duplication, config: { processId: 8 } });
    const all = [client, server, second];
    const run = (): void => settle(network, all);
    const theirs = server.recv(far, farMemory.subarray(5000, 5064), { notify: true });
    const upcalls = server.upcalls.length;
    const away = client.duplicate(near, 8);
    // Control has gone for good: the token is not for this process, and the old socket is dormant.
    assert.equal(client.socket(tcpProtocolInfo(away.token)).error, 'WSAEINVAL');
    const there = second.socket(tcpProtocolInfo(away.token)).value;
    run();
    assert.equal(client.provider.socketState(near), 'dormant.parted');
    assert.equal(second.provider.socketState(there), 'connected.active');
    const home = second.duplicate(there, 7);
    run();
    const back = client.socket(tcpProtocolInfo(home.token)).value;
    run();
    assert.equal(server.upcalls.length, upcalls);
    const memory = new Uint8Array(1024);
    client.register(back, memory);
    client.send(back, memory.subarray(0, 7));
    run();
    assert.deepEqual(notified(server, theirs), ['7 bytes']);
    exchange(hosts, client, back, memory, run);
    second.close(there);
    run();
    assert.equal(client.provider.socketState(back), 'connected.active');
    second.cleanup();
    run();
    assert.deepEqual(leftovers(second), {});
    closeEverything(hosts, [back]);
  });

  test('WSD-236: both ends can move, one after the other', () => {
    const hosts = suspended();
    const { client, server, near, far, run } = hosts;
    const first = handOver(hosts, near);
    const { token } = server.duplicate(far);
    run();
    const farNext = server.socket(tcpProtocolInfo(token)).value;
    run();
    const farMemory = new Uint8Array(1024);
    server.register(farNext, farMemory);
    const moved = { ...hosts, far: farNext, farMemory };
    exchange(moved, client, first.s, first.memory);
    const second = handOver(moved, first.s);
    exchange(moved, client, second.s, second.memory);
    closeEverything(hosts, [first.s, second.s], [farNext]);
  });
});

describe('a hand-over that fails', () => {
  test("WSD-235: one that is abandoned completes the peer's receives with WSAECONNRESET, within 30 s", () => {
    const hosts = suspended();
    const { client, server, near, far, farMemory, run, pass: wait } = hosts;
    const theirs = Array.from({ length: 40 }, (_, index) =>
      server.recv(far, farMemory.subarray(0, 8), { notify: index % 2 === 0 }),
    );
    const { token } = client.duplicate(near);
    wait(29_000);
    for (const request of theirs) assert.equal(written(request), 'pending');
    wait(1_001);
    for (const request of theirs) assert.equal(ending(server, far, request), 'WSAECONNRESET');
    assert.equal(server.recv(far, farMemory.subarray(0, 8)).result.error, 'WSAECONNRESET');
    // Whoever comes too late gets a socket whose connection is down.
    const late = client.socket(tcpProtocolInfo(token)).value;
    const memory = new Uint8Array(8);
    client.register(late, memory);
    const received = client.recv(late, memory);
    run();
    assert.equal(ending(client, late, received), 'WSAENETDOWN');
    assert.equal(client.recv(late, memory).result.error, 'WSAENETDOWN');
    closeEverything(hosts, [late]);
  });

  for (const when of ['at once', 'on its way', 'when it is there'] as const) {
    test(`WSD-235: one whose new process closes the socket ${when} too`, () => {
      const hosts = suspended();
      const { client, server, near, far, farMemory, network, run, pass: wait } = hosts;
      const theirs = server.recv(far, farMemory.subarray(0, 8), { notify: true });
      const { token } = client.duplicate(near);
      run();
      const s = client.socket(tcpProtocolInfo(token)).value;
      if (when === 'on its way') {
        // The peer has said yes, the new process has not heard it yet.
        for (let turn = 0; server.provider.socketState(far) === 'connected.suspended' && turn < 1000; turn++) {
          network.advance();
          server.provider.poll();
        }
        assert.equal(client.provider.socketState(s), 'connected.attaching');
      } else if (when === 'when it is there') run();
      client.close(s);
      // Once it is back, its end is an end as any other: nobody waits for a second return.
      wait(when === 'when it is there' ? 100 : limits.migrationMs + 1);
      assert.deepEqual(notified(server, theirs), ['WSAECONNRESET']);
      closeEverything(hosts);
    });
  }

  for (const call of ['prepareAccept', 'accept', 'post'] as const) {
    test(`WSD-235: one that the peer's adapter can not take up again (${call}) too`, () => {
      const hosts = suspended();
      const { client, server, near, far, farMemory, run, pass: wait } = hosts;
      const theirs = [0, 8].map((at) => server.recv(far, farMemory.subarray(at, at + 8), { notify: true }));
      const { token } = client.duplicate(near);
      run();
      const { adapter } = server;
      if (call === 'post') adapter.post = () => 0;
      else adapter[call] = () => -1;
      const s = client.socket(tcpProtocolInfo(token)).value;
      const memory = new Uint8Array(8);
      client.register(s, memory);
      const ours = client.recv(s, memory);
      run();
      wait(limits.migrationMs + 1);
      for (const request of theirs) {
        const [ended = 'pending', ...more] = notified(server, request);
        assert.deepEqual(more, []);
        // What the adapter has refused to post is that receive's own failure; the others are told of the reset.
        assert.match(ended, call === 'post' ? /^WSAECONN(RESET|ABORTED)$/ : /^WSAECONNRESET$/);
      }
      assert.equal(ending(client, s, ours), 'WSAENETDOWN');
      closeEverything(hosts, [s]);
    });
  }

  test('WSD-235: the new process loses its adapter in the turn in which it arrives', () => {
    const duplication = new ProcessDuplicationStore();
    const hosts = suspended({ client: { duplication } });
    const { client, server, near, far, farMemory, network, run } = hosts;
    const second = secondProcess(hosts, { duplication, config: { processId: 8 } });
    const theirs = server.recv(far, farMemory.subarray(0, 8), { notify: true });
    const { token } = client.duplicate(near, 8);
    run();
    const s = second.socket(tcpProtocolInfo(token)).value;
    const memory = new Uint8Array(64);
    second.register(s, memory);
    const ours = [0, 8, 16].map((at) => second.recv(s, memory.subarray(at, at + 8), { notify: true }));
    settle(network, [server]);
    network.run();
    second.adapter.remove();
    settle(network, [client, server, second]);
    for (const request of ours) assert.deepEqual(notified(second, request), ['WSAENETDOWN']);
    assert.deepEqual(notified(server, theirs), ['WSAECONNRESET']);
    second.cleanup();
    settle(network, [client, server, second]);
    const { handles, ...left } = leftovers(second);
    assert.equal(handles ?? 0, 0);
    assert.deepEqual(left, {});
    closeEverything(hosts);
  });

  test('WSD-235: a stranger that asks for the connection by a wrong name, or from elsewhere, does not get it', () => {
    const duplication = new ProcessDuplicationStore();
    const hosts = suspended({ client: { duplication } });
    const { client, server, near, far, farMemory, network, run } = hosts;
    const stranger = startedHost(network, 'stranger', '10.0.0.3', { duplication, config: { processId: 9 } });
    const theirs = server.recv(far, farMemory.subarray(0, 64), { notify: true });
    const { token } = client.duplicate(near);
    run();
    const stolen = duplication.take(token, 1)!;
    const all = (): void => settle(network, [client, server, stranger]);
    // Knows everything, and comes from another address.
    const away = duplication.put({ ...stolen, local: { ...stolen.local, address: '10.0.0.3' } }, 9)!;
    const thief = stranger.socket(tcpProtocolInfo(away)).value;
    all();
    assert.equal(stranger.provider.socketState(thief), 'broken');
    // Comes from the right address, and doesn't know the name.
    const guess = duplication.put({ ...stolen, connectionId: new Uint8Array(16) }, 1)!;
    const guesser = client.socket(tcpProtocolInfo(guess)).value;
    all();
    assert.equal(client.provider.socketState(guesser), 'broken');
    assert.deepEqual(notified(server, theirs), []);
    // The one that was named still can.
    const named = client.socket(tcpProtocolInfo(duplication.put(stolen, 1)!)).value;
    all();
    assert.equal(client.provider.socketState(named), 'connected.active');
    stranger.cleanup();
    all();
    closeEverything(hosts, [guesser, named]);
  });

  test('WSD-237: in any other state WSAEINVAL, and nothing changes', () => {
    const hosts = suspended();
    const { client, server, near, far, run } = hosts;
    const info = tcpProtocolInfo(0);
    const created = client.socket().value;
    const bound = client.socket().value;
    client.bind(bound, 4100);
    const connecting = client.socket().value;
    client.bind(connecting, 4101);
    client.connect(connecting, '10.0.0.99', 5000);
    server.close(far);
    run();
    const before = client.upcalls.length;
    for (const s of [created, bound, connecting, near]) {
      const state = client.provider.socketState(s);
      assert.equal(client.provider.WSPDuplicateSocket(s, 1, info, client.errno), -1);
      assert.deepEqual([client.errno.value, info.dwProviderReserved], [10022, 0], state ?? '');
      assert.equal(client.provider.socketState(s), state);
    }
    assert.equal(client.upcalls.length, before);
    assert.equal(client.bind(created, 4102).error, '0');
    closeEverything(hosts, [created, bound, connecting]);
  });

  test('WSD-237: bad parameters and a full store leave the socket connected and its receives pending', () => {
    const full = { put: () => null, take: () => null };
    const hosts = suspended({ client: { duplication: full } });
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 64), { notify: true });
    const { provider, errno } = client;
    assert.equal(provider.WSPDuplicateSocket(near, 1, null, errno), -1);
    assert.equal(errno.value, 10022);
    assert.equal(provider.WSPDuplicateSocket(near, -1, tcpProtocolInfo(), errno), -1);
    assert.equal(errno.value, 10022);
    assert.equal(client.duplicate(near).error, 'WSAENOBUFS');
    assert.equal(client.duplicate(near + 1n).error, 'WSAENOTSOCK');
    run();
    assert.equal(written(received), 'pending');
    server.send(far, farMemory.subarray(0, 6));
    run();
    assert.deepEqual(notified(client, received), ['6 bytes']);
    closeEverything(hosts);
  });

  test('WSD-237: a refused call takes its token back', () => {
    const duplication = new ProcessDuplicationStore();
    const hosts = suspended({ client: { duplication } });
    const { client, server, near, far, run } = hosts;
    server.close(far);
    run();
    assert.equal(client.duplicate(near).error, 'WSAEINVAL');
    for (let token = 1; token < 10; token++) assert.equal(duplication.take(token, 1), null);
    closeEverything(hosts);
    end(hosts);
  });
});
