// Registered memory: who may reach it, and for how long. WSD-180 to WSD-193.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { AdapterStatus, decodeDescriptor, encodeDescriptor, out } from '../../driver/index.ts';
import { MEM_READ, MEM_READWRITE, MEM_WRITE } from '../../machines/index.ts';
import { leftovers } from '../support/story.ts';
import { closeEverything, ending, fill, list, transfer, written } from '../support/transfers.ts';
import { connectedHosts, connectPair, settle, startedHost } from '../support/two-hosts.ts';

/** A descriptor with other access than it was made with, as a peer would forge it. */
const claiming = (descriptor: Uint8Array, access: number): Uint8Array =>
  encodeDescriptor({ ...decodeDescriptor(descriptor, descriptor.length)!, access });

describe('registering', () => {
  test('WSD-180: without a connection WSAENOTCONN, in every state', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, run } = hosts;
    const memory = new Uint8Array(64);
    const refused = (host: typeof client, s: bigint): string[] => [
      host.register(s, memory).error,
      host.registerRdma(s, memory).error,
    ];
    const fresh = client.socket().value;
    assert.deepEqual(refused(client, fresh), ['WSAENOTCONN', 'WSAENOTCONN']);
    client.bind(fresh, 4100);
    assert.deepEqual(refused(client, fresh), ['WSAENOTCONN', 'WSAENOTCONN']);
    client.connect(fresh, server.address, 5000);
    assert.deepEqual(refused(client, fresh), ['WSAENOTCONN', 'WSAENOTCONN']);
    assert.deepEqual(refused(server, listener), ['WSAENOTCONN', 'WSAENOTCONN']);
    server.close(far);
    run();
    assert.deepEqual(refused(client, near), ['WSAENOTCONN', 'WSAENOTCONN']);
    // What was there stays until it is deregistered or the socket is closed.
    assert.equal(client.provider.inventory().buffers, 1);
    closeEverything(hosts, [fresh]);
  });

  test('WSD-180: bad flags give WSAEINVAL, a bad buffer WSAEFAULT; nothing is registered', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    const { provider, errno } = client;
    const before = client.adapter.inventory().regions;
    const memory = new Uint8Array(64);
    const register = (buffer: Uint8Array | null, length: number, flags: number): [bigint, number] => [
      provider.WSPRegisterMemory(near, buffer, length, flags, errno),
      errno.value,
    ];
    for (const flags of [0, 4, 8, -1]) assert.deepEqual(register(memory, 64, flags), [0n, 10022]);
    assert.deepEqual(register(null, 64, MEM_READ), [0n, 10014]);
    assert.deepEqual(register(memory, 0, MEM_READ), [0n, 10014]);
    assert.deepEqual(register(memory, 65, MEM_READ), [0n, 10014]);
    assert.deepEqual(register(new Uint8Array(0), 0, MEM_READ), [0n, 10014]);
    const descriptor = new Uint8Array(32);
    const length = out(32);
    for (const [buffer, flags, error] of [
      [memory, 0, 10022],
      [null, MEM_READ, 10014],
    ] as const) {
      assert.equal(provider.WSPRegisterRdmaMemory(near, buffer, 64, flags, descriptor, length, errno), -1);
      // Unchanged: that tells this WSAEFAULT from the one for too little room.
      assert.deepEqual([errno.value, length.value], [error, 32]);
    }
    assert.deepEqual(descriptor, new Uint8Array(32));
    assert.equal(client.adapter.inventory().regions, before);
    assert.equal(provider.inventory().buffers, 1);
    closeEverything(hosts);
  });

  test('WSD-180: an adapter without resources gives WSAENOBUFS, memory that it can not take WSAEFAULT', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    const { adapter } = client;
    const register = adapter.registerMemory.bind(adapter);
    for (const [status, error] of [
      [AdapterStatus.outOfResources, 'WSAENOBUFS'],
      [AdapterStatus.badMemory, 'WSAEFAULT'],
      [AdapterStatus.deviceRemoved, 'WSAENETDOWN'],
    ] as const) {
      adapter.registerMemory = () => status;
      const memory = new Uint8Array(64);
      assert.deepEqual(client.register(near, memory), { value: 0n, error });
      const remote = client.registerRdma(near, memory);
      assert.deepEqual([remote.value, remote.error], [-1, error]);
      assert.deepEqual(remote.descriptor, new Uint8Array(32));
      assert.equal(client.provider.inventory().buffers, 1);
      adapter.registerMemory = register;
      const again = client.register(near, memory);
      assert.equal(again.error, '0');
      assert.equal(client.deregister(near, again.value).error, '0');
    }
    closeEverything(hosts);
  });

  test('WSD-184: too little room for a descriptor gives WSAEFAULT and the size, also to a probe without a buffer', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    const { provider, errno } = client;
    const memory = new Uint8Array(64);
    for (const [buffer, descriptor, room] of [
      [memory, new Uint8Array(32), 0],
      [memory, new Uint8Array(32), 31],
      [memory, new Uint8Array(31), 32],
      [memory, null, 32],
      [null, null, 0],
    ] as const) {
      const length = out<number>(room);
      assert.equal(provider.WSPRegisterRdmaMemory(near, buffer, 64, MEM_READ, descriptor, length, errno), -1);
      assert.deepEqual([errno.value, length.value], [10014, 32]);
      if (descriptor !== null) assert.deepEqual(descriptor, new Uint8Array(descriptor.length));
    }
    assert.equal(provider.inventory().buffers, 1);
    const length = out(100);
    assert.equal(provider.WSPRegisterRdmaMemory(near, memory, 64, MEM_READ, new Uint8Array(100), length, errno), 0);
    assert.deepEqual([errno.value, length.value], [0, 32]);
    closeEverything(hosts);
  });
});

describe('handles and counts', () => {
  test('WSD-181: a handle works only on its own socket, and in its own process', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, farMemory, nearMemory, nearHandle, farHandle, run } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const { descriptor } = server.registerRdma(other.far, farMemory);
    const use = (s: bigint, handle: bigint) => {
      const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
      return transfer(client, s, { kind: 'write', buffers, descriptor }).result.error;
    };
    assert.equal(use(other.near, nearHandle), 'WSAEINVAL');
    assert.equal(use(near, farHandle), 'WSAEINVAL');
    for (const handle of [nearHandle, farHandle, 0n, nearHandle + 1n, -1n]) {
      assert.equal(client.deregister(other.near, handle).error, 'WSAEINVAL');
    }
    assert.equal(server.deregister(far, nearHandle).error, 'WSAEINVAL');
    // A remote registration is no handle for own requests, and the other way round.
    const remote = client.registerRdma(near, nearMemory).descriptor;
    assert.equal(use(near, decodeDescriptor(remote, 32)!.id), 'WSAEINVAL');
    assert.equal(client.deregister(near, decodeDescriptor(remote, 32)!.id).error, 'WSAEINVAL');
    run();
    assert.deepEqual(farMemory.subarray(0, 8), new Uint8Array(8));
    assert.equal(client.deregister(near, nearHandle).error, '0');
    assert.equal(client.deregister(near, nearHandle).error, 'WSAEINVAL');
    assert.equal(use(near, nearHandle), 'WSAEINVAL');
    closeEverything(hosts, [other.near], [other.far]);
  });

  test('WSD-181: a handle of a closed socket is worth nothing on the next one', () => {
    const hosts = connectedHosts();
    const { client, near, far, server, listener, nearMemory, nearHandle, run } = hosts;
    client.close(near);
    server.close(far);
    run();
    const next = connectPair(hosts, listener, 5000, 4002);
    const handles = Array.from({ length: 3 }, (_, at) => client.register(next.near, nearMemory.subarray(at)).value);
    assert.ok(!handles.includes(nearHandle));
    assert.equal(client.deregister(next.near, nearHandle).error, 'WSAEINVAL');
    for (const handle of handles) assert.equal(client.deregister(next.near, handle).error, '0');
    closeEverything(hosts, [next.near], [next.far]);
  });

  test('WSD-182: registrations are counted; only the last deregistration releases', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, farMemory, run } = hosts;
    const memory = new Uint8Array(64);
    const before = client.adapter.inventory().regions;
    const handles = Array.from({ length: 3 }, () => client.register(near, memory).value);
    assert.equal(new Set(handles).size, 1);
    for (let left = 3; left > 0; left--) {
      server.recv(far, farMemory.subarray(0, 64));
      assert.equal(client.send(near, memory).result.error, 'WSA_IO_PENDING', `${left} left`);
      run();
      assert.equal(client.adapter.inventory().regions, before + 1);
      assert.equal(client.deregister(near, handles[0]!).error, '0');
    }
    assert.equal(client.adapter.inventory().regions, before);
    assert.equal(client.send(near, memory).result.error, 'WSAEFAULT');
    assert.equal(client.deregister(near, handles[0]!).error, 'WSAEINVAL');
    closeEverything(hosts);
  });

  test('WSD-182: remote registrations are counted; the peer reaches the memory until the last is taken back', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, nearHandle, run } = hosts;
    const memory = new Uint8Array(64);
    const [first, second] = [server.registerRdma(far, memory), server.registerRdma(far, memory)];
    assert.deepEqual(first.descriptor, second.descriptor);
    const write = () => {
      const request = client.rdma('write', near, nearMemory.subarray(0, 8), nearHandle, first.descriptor);
      run();
      return ending(client, near, request);
    };
    assert.equal(write(), '8 bytes');
    assert.equal(server.deregisterRdma(far, first.descriptor).error, '0');
    assert.equal(write(), '8 bytes');
    assert.equal(server.deregisterRdma(far, second.descriptor).error, '0');
    assert.equal(server.deregisterRdma(far, second.descriptor).error, 'WSAEINVAL');
    assert.equal(write(), 'WSAEFAULT');
    closeEverything(hosts);
  });

  for (const kind of ['recv', 'send', 'write', 'read'] as const) {
    test(`WSD-183: not while a ${kind} needs it, not even one of several registrations; as soon as it is done, yes`, () => {
      const hosts = connectedHosts({ client: { adapter: { capabilities: { elementsMax: 1 } } } });
      const { client, server, near, far, farMemory, run } = hosts;
      const memory = new Uint8Array(64);
      const handle = client.register(near, memory).value;
      client.register(near, memory);
      const { descriptor } = server.registerRdma(far, farMemory);
      const spans = kind === 'recv' || kind === 'send' ? [[0, 8] as const] : [[0, 4] as const, [8, 12] as const];
      const buffers = list(memory, ...spans).map((each) => ({ ...each, handle }));
      const request = transfer(client, near, { kind, buffers, descriptor });
      assert.deepEqual(
        [client.deregister(near, handle).error, client.deregister(near, handle).error],
        ['WSAEINVAL', 'WSAEINVAL'],
      );
      server.recv(far, farMemory.subarray(0, 8));
      server.send(far, farMemory.subarray(0, 8));
      run();
      assert.equal(ending(client, near, request), '8 bytes');
      assert.deepEqual(
        [1, 2, 3].map(() => client.deregister(near, handle).error),
        ['0', '0', 'WSAEINVAL'],
      );
      closeEverything(hosts);
    });
  }

  test('WSD-183: what is not a descriptor of this socket is not deregistered', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, farMemory, farHandle, nearMemory, nearHandle, run } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const { descriptor } = server.registerRdma(far, farMemory);
    const local = encodeDescriptor({ ...decodeDescriptor(descriptor, 32)!, id: farHandle });
    assert.equal(server.deregisterRdma(other.far, descriptor).error, 'WSAEINVAL');
    assert.equal(client.deregisterRdma(near, descriptor).error, 'WSAEINVAL');
    assert.equal(server.deregisterRdma(far, local).error, 'WSAEINVAL');
    assert.equal(server.deregisterRdma(far, descriptor.subarray(0, 31)).error, 'WSAEINVAL');
    const write = client.rdma('write', near, nearMemory.subarray(0, 8), nearHandle, descriptor);
    run();
    assert.equal(ending(client, near, write), '8 bytes');
    assert.equal(server.deregisterRdma(far, descriptor).error, '0');
    closeEverything(hosts, [other.near], [other.far]);
  });
});

describe('what a peer can reach', () => {
  for (const [kind, access] of [
    ['write', MEM_READ],
    ['read', MEM_WRITE],
  ] as const) {
    const name = kind === 'write' ? 'memory for reading is not written' : 'memory for writing is not read';
    test(`WSD-185: ${name}: refused at once when the descriptor says so, by the peer's adapter when it lies`, () => {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
      const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 100)), access);
      nearMemory.fill(0);
      const honest = client.rdma(kind, near, nearMemory.subarray(0, 8), nearHandle, descriptor);
      assert.equal(honest.result.error, 'WSAEFAULT');
      run();
      assert.equal(client.provider.socketState(near), 'connected.active');
      const forged = claiming(descriptor, MEM_READWRITE);
      const request = client.rdma(kind, near, nearMemory.subarray(0, 8), nearHandle, forged);
      run();
      assert.equal(ending(client, near, request), 'WSAEFAULT');
      assert.equal(client.provider.socketState(near), 'broken');
      assert.deepEqual(farMemory.subarray(0, 100), fill(new Uint8Array(100)));
      assert.deepEqual(nearMemory.subarray(0, 8), new Uint8Array(8));
      closeEverything(hosts);
    });
  }

  test('WSD-185: beyond its bounds memory is not reached, whatever the descriptor claims', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory.subarray(100, 200));
    const longer = encodeDescriptor({ ...decodeDescriptor(descriptor, 32)!, length: 1000 });
    const request = client.rdma('write', near, fill(nearMemory.subarray(0, 8)), nearHandle, longer, { offset: 96 });
    run();
    assert.equal(ending(client, near, request), 'WSAEFAULT');
    assert.deepEqual(farMemory.subarray(0, 300), new Uint8Array(300));
    closeEverything(hosts);
  });

  test('WSD-186: not by another connection of the same peer, and not by another host', () => {
    for (const kind of ['write', 'read'] as const) {
      const hosts = connectedHosts();
      const { network, client, server, near, far, listener, nearMemory, farMemory, nearHandle, run } = hosts;
      const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 100)));
      // The same peer, the same process, another connection.
      const other = connectPair(hosts, listener, 5000, 4001);
      const otherMemory = new Uint8Array(8);
      const otherHandle = client.register(other.near, otherMemory).value;
      const second = client.rdma(kind, other.near, otherMemory, otherHandle, descriptor);
      run();
      assert.equal(ending(client, other.near, second), 'WSAEFAULT');
      // Another host, which has got hold of the descriptor.
      const stranger = startedHost(network, 'stranger', '10.0.0.3');
      const all = { client: stranger, server, run: () => settle(network, [client, server, stranger]) };
      const third = connectPair(all, listener, 5000, 4000);
      const strangeMemory = new Uint8Array(8);
      const strangeHandle = stranger.register(third.near, strangeMemory).value;
      const stolen = stranger.rdma(kind, third.near, strangeMemory, strangeHandle, descriptor);
      all.run();
      assert.equal(ending(stranger, third.near, stolen), 'WSAEFAULT');
      assert.deepEqual(farMemory.subarray(0, 100), fill(new Uint8Array(100)));
      assert.deepEqual([otherMemory, strangeMemory], [new Uint8Array(8), new Uint8Array(8)]);
      // Its own connection isn't harmed.
      const own = client.rdma(kind, near, nearMemory.subarray(0, 8), nearHandle, descriptor);
      all.run();
      assert.equal(ending(client, near, own), '8 bytes');
      stranger.cleanup();
      all.run();
      assert.deepEqual(leftovers(stranger), {});
      closeEverything(hosts, [other.near], [other.far, third.far]);
    }
  });

  for (const kind of ['write', 'read'] as const) {
    test(`WSD-187: after deregistration not by a ${kind}, neither a new one nor one that is under way`, () => {
      for (const underWay of [false, true]) {
        const hosts = connectedHosts({ network: { latencyNs: 100_000 } });
        const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
        const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 100)));
        nearMemory.fill(0);
        const start = () => client.rdma(kind, near, nearMemory.subarray(0, 8), nearHandle, descriptor);
        const early = underWay ? start() : null;
        assert.equal(server.deregisterRdma(far, descriptor).error, '0');
        const request = early ?? start();
        run();
        assert.equal(ending(client, near, request), 'WSAEFAULT');
        assert.deepEqual(farMemory.subarray(0, 100), fill(new Uint8Array(100)));
        assert.deepEqual(nearMemory.subarray(0, 8), new Uint8Array(8));
        closeEverything(hosts);
      }
    });
  }

  for (const how of ['peer closes', 'owner closes', 'network lost', 'adapter removed', 'handed over'] as const) {
    test(`WSD-188: not after the connection has ended: ${how}`, () => {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, nearHandle, listener, run, pass } = hosts;
      const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 100)));
      const write = client.rdma('write', near, nearMemory.subarray(0, 8), nearHandle, descriptor);
      if (how === 'peer closes') client.close(near);
      else if (how === 'owner closes') server.close(far);
      else if (how === 'adapter removed') server.adapter.remove();
      else if (how === 'handed over') server.duplicate(far);
      else server.adapter.loseConnection(0);
      const ended = written(write);
      farMemory.fill(7);
      pass(1000);
      if (how === 'handed over') server.close(far);
      if (ended === 'pending') assert.notEqual(written(write), 'pending');
      // A write that was already under way when the connection was given up may be carried out before its end.
      if (how !== 'handed over') assert.deepEqual(farMemory.subarray(0, 8), new Uint8Array(8).fill(7));
      // The next connection between the two doesn't reach it, though the key was right once.
      if (how === 'adapter removed') {
        closeEverything(hosts);
        return;
      }
      const next = connectPair(hosts, listener, 5000, 4005);
      const memory = new Uint8Array(8).fill(9);
      const handle = client.register(next.near, memory).value;
      const late = client.rdma('write', next.near, memory, handle, descriptor);
      run();
      assert.equal(ending(client, next.near, late), 'WSAEFAULT');
      assert.ok(!farMemory.includes(9));
      closeEverything(hosts, [next.near], [next.far]);
    });
  }

  test('WSD-189: registrations that are left at close are released, those of pending requests too', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    for (let index = 0; index < 10; index++) {
      client.register(near, new Uint8Array(64));
      client.registerRdma(near, new Uint8Array(64));
    }
    const received = client.recv(near, nearMemory.subarray(0, 8));
    client.close(near);
    run();
    assert.equal(written(received), 'WSA_OPERATION_ABORTED');
    const { listeners: _, ...left } = leftovers(client);
    assert.deepEqual(left, {});
    closeEverything(hosts);
  });
});

describe('caching is off', () => {
  test('WSD-190: the callback function is not offered', () => {
    const hosts = connectedHosts();
    const offered = hosts.client.extension('WSPMemoryRegistrationCacheCallback');
    assert.deepEqual(offered, { value: null, error: 'WSAEOPNOTSUPP' });
    closeEverything(hosts);
  });

  test('WSD-191: for any range the callback answers WSAEINVAL, since none was ever cached', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, nearHandle } = hosts;
    const { provider, errno } = client;
    for (const memory of [nearMemory, new Uint8Array(64), null]) {
      assert.equal(provider.WSPMemoryRegistrationCacheCallback(memory, 64, errno), -1);
      assert.equal(errno.value, 10022);
    }
    assert.equal(client.send(near, nearMemory.subarray(0, 8)).result.error, 'WSA_IO_PENDING', 'still registered');
    hosts.run();
    assert.equal(client.deregister(near, nearHandle).error, '0');
    closeEverything(hosts);
  });

  test('WSD-192: nothing stays registered after the last deregistration, long before the connection closes', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    const memory = new Uint8Array(64);
    const before = client.adapter.inventory().regions;
    for (let round = 0; round < 5; round++) {
      const handle = client.register(near, memory).value;
      const { descriptor } = client.registerRdma(near, memory);
      assert.equal(client.adapter.inventory().regions, before + 2);
      client.deregister(near, handle);
      client.deregisterRdma(near, descriptor);
      assert.equal(client.adapter.inventory().regions, before);
    }
    closeEverything(hosts);
  });
});

describe('own use', () => {
  test('WSD-193: a source needs read permission, a destination write permission', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, farMemory, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const sources = new Uint8Array(64);
    const destinations = new Uint8Array(64);
    const readable = client.register(near, sources, MEM_READ).value;
    const writable = client.register(near, destinations, MEM_WRITE).value;
    const use = (kind: 'send' | 'recv' | 'write' | 'read', memory: Uint8Array, handle: bigint) => {
      const buffers = list(memory, [0, 8]).map((each) => ({ ...each, handle }));
      return transfer(client, near, { kind, buffers, descriptor }).result.error;
    };
    for (const kind of ['recv', 'read'] as const) {
      assert.equal(use(kind, sources, readable), 'WSAEFAULT', kind);
      assert.equal(use(kind, destinations, writable), 'WSA_IO_PENDING', kind);
    }
    for (const kind of ['send', 'write'] as const) {
      assert.equal(use(kind, destinations, writable), 'WSAEFAULT', kind);
      assert.equal(use(kind, sources, readable), 'WSA_IO_PENDING', kind);
    }
    // A handle covers its own region only.
    assert.equal(use('write', destinations, readable), 'WSAEFAULT');
    server.send(far, farMemory.subarray(0, 8));
    run();
    // Two registrations of one memory: each use finds the one that allows it.
    client.register(near, sources, MEM_WRITE);
    assert.equal(use('recv', sources, 0n), 'WSA_IO_PENDING');
    assert.equal(use('send', sources, 0n), 'WSA_IO_PENDING');
    closeEverything(hosts);
  });
});
