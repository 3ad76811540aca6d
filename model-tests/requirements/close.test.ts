// Closing a socket, and losing its connection. WSD-210 to WSD-218.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { limits, type RefusableCall } from '../../driver/index.ts';
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
  type HostsOptions,
  type Request,
  twoHosts,
} from '../support/two-hosts.ts';

interface Everything {
  readonly requests: readonly Request[];
  readonly receives: readonly Request[];
}

/** Everything that can be pending at the client at once: posted and waiting, notified and polled, of each kind. */
function everythingPending(hosts: Connected): Everything {
  const { client, server, near, far, nearMemory, farMemory, nearHandle: handle } = hosts;
  const { descriptor } = server.registerRdma(far, farMemory.subarray(0, 1000));
  const requests: Request[] = [];
  const receives: Request[] = [];
  const spans = Array.from({ length: 8 }, (_, index) => [index * 8, index * 8 + 8] as const);
  const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
  for (let index = 0; index < 40; index++) {
    const notify = index % 2 === 0;
    receives.push(client.recv(near, nearMemory.subarray(1000, 1064), { notify }));
    requests.push(client.send(near, nearMemory.subarray(0, 8), { notify }));
    if (index < 4) {
      requests.push(transfer(client, near, { kind: 'write', buffers, descriptor, notify }));
      requests.push(transfer(client, near, { kind: 'read', buffers, descriptor, notify }));
    }
  }
  for (const { result } of [...requests, ...receives]) assert.equal(result.error, 'WSA_IO_PENDING');
  return { requests: [...requests, ...receives], receives };
}

/** Each request ended once: those that wanted it were notified once, the others never. */
function assertEndedOnce(host: Host, requests: readonly Request[]): void {
  for (const request of requests) {
    assert.notEqual(written(request), 'pending');
    const wanted = (request.overlapped.hEvent & 1n) === 0n;
    assert.deepEqual(notified(host, request), wanted ? [written(request)] : []);
  }
}

describe('the closing side', () => {
  test('WSD-210: after WSPCloseSocket the descriptor is no socket, for any function', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = client.registerRdma(near, nearMemory);
    const sent = client.send(near, nearMemory.subarray(0, 8));
    assert.deepEqual(client.close(near), { value: 0, error: '0' });
    const assertGone = (): void => {
      const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
      for (const kind of ['send', 'recv', 'write', 'read'] as const) {
        assert.equal(transfer(client, near, { kind, buffers, descriptor }).result.error, 'WSAENOTSOCK');
      }
      const answers = [
        client.bind(near, 4200),
        client.connect(near, '10.0.0.2', 5000),
        client.listen(near),
        client.accept(near),
        client.select(near, 5n),
        client.events(near),
        client.close(near),
        client.duplicate(near),
        client.register(near, nearMemory),
        client.deregister(near, handle),
        client.registerRdma(near, nearMemory),
        client.deregisterRdma(near, descriptor),
        client.outcome(near, sent),
      ];
      assert.deepEqual([...new Set(answers.map(({ error }) => error))], ['WSAENOTSOCK']);
    };
    assertGone();
    run();
    assertGone();
    // Its number isn't given to another one.
    const next = Array.from({ length: 10 }, () => client.socket().value);
    assert.ok(!next.includes(near));
    closeEverything(hosts, next);
  });

  for (const options of [{}, { network: { faults: { flushDelayNsMax: 100_000 } } }] satisfies HostsOptions[]) {
    const name = 'network' in options ? 'flushed slowly' : 'flushed at once';
    test(`WSD-211: everything that is pending completes with WSA_OPERATION_ABORTED and no bytes, ${name}`, () => {
      const hosts = connectedHosts({ ...options, client: { adapter: { capabilities: { elementsMax: 1 } } } });
      const { client, near, nearMemory, run } = hosts;
      const { requests } = everythingPending(hosts);
      const handle = switchHandle(client, near);
      fill(nearMemory);
      client.close(near);
      for (const request of requests) assert.notEqual(written(request), '0 bytes');
      run();
      for (const request of requests) assert.equal(written(request), 'WSA_OPERATION_ABORTED');
      assertEndedOnce(client, requests);
      assert.deepEqual(nearMemory, fill(new Uint8Array(nearMemory.length)), 'memory was written after the close');
      assert.deepEqual(client.upcalls.at(-1), { type: 'closeSocketHandle', handle });
      closeEverything(hosts);
    });
  }

  test('WSD-211: requests end in the order of their calls, each with its memory released before', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    const receives = Array.from({ length: 40 }, () => client.recv(near, nearMemory.subarray(0, 8), { notify: true }));
    client.close(near);
    assert.equal(client.completions.length, 0, 'no up-call inside the call');
    run();
    assert.deepEqual(
      client.completions.map(({ overlapped }) => overlapped),
      receives.map(({ overlapped }) => overlapped),
    );
    closeEverything(hosts);
  });

  test('WSD-211: closing inside a completion up-call ends the rest, after that up-call', () => {
    for (const how of ['poll', 'ask'] as const) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      const [first, second, third] = [0, 8, 16].map((at) =>
        client.recv(near, nearMemory.subarray(at, at + 8), { notify: true }),
      );
      server.send(far, farMemory.subarray(0, 8));
      server.send(far, farMemory.subarray(0, 8));
      const log: string[] = [];
      client.onComplete = (overlapped, error) => {
        const name = [first, second, third].findIndex((request) => request!.overlapped === overlapped);
        log.push(`begin ${name} ${error}`);
        if (name === 0) {
          assert.equal(client.close(near).error, '0');
          assert.equal(client.close(near).error, 'WSAENOTSOCK');
          for (let round = 0; round < 10; round++) client.provider.poll();
          assert.equal(client.handles.size, 1, 'its handle is open while an up-call for it runs');
        }
        log.push(`end ${name}`);
      };
      // Both messages are there, and notified in one turn.
      hosts.network.run();
      if (how === 'ask') assert.equal(ending(client, near, first!), 'WSAENOTSOCK');
      run();
      assert.deepEqual(log, ['begin 0 0', 'end 0', 'begin 1 0', 'end 1', 'begin 2 WSA_OPERATION_ABORTED', 'end 2']);
      assert.equal(client.handles.size, 0);
      closeEverything(hosts);
    }
  });

  test('WSD-211: closing another socket, or both, inside a completion up-call', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, nearMemory, farMemory, run } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const otherMemory = new Uint8Array(64);
    client.register(other.near, otherMemory);
    const received = client.recv(near, nearMemory.subarray(0, 8), { notify: true });
    const waiting = [
      client.recv(near, nearMemory.subarray(8, 16), { notify: true }),
      client.recv(other.near, otherMemory, { notify: true }),
    ];
    client.onComplete = (overlapped) => {
      if (overlapped !== received.overlapped) return;
      client.close(other.near);
      client.close(near);
    };
    server.send(far, farMemory.subarray(0, 8));
    run();
    assert.equal(written(received), '8 bytes');
    for (const request of waiting) assert.equal(written(request), 'WSA_OPERATION_ABORTED');
    assertEndedOnce(client, [received, ...waiting]);
    closeEverything(hosts, [], [other.far]);
  });

  test('WSD-211: a failing completion up-call is the completion all the same', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, run } = hosts;
    client.completionFails = true;
    const received = client.recv(near, nearMemory.subarray(0, 8), { notify: true });
    client.close(near);
    run();
    assert.equal(written(received), 'WSA_OPERATION_ABORTED');
    assert.equal(notified(client, received).length, 1);
    closeEverything(hosts);
  });

  test('WSD-214: WSPCloseSocket waits for nothing, whatever is under way', () => {
    const hosts = connectedHosts({ network: { latencyNs: 1e9, retryTimeoutNs: 1e12 } });
    const { network, client, near, run } = hosts;
    const { requests } = everythingPending(hosts);
    const before = network.nowNs;
    assert.deepEqual(client.close(near), { value: 0, error: '0' });
    assert.equal(network.nowNs, before);
    run();
    assertEndedOnce(client, requests);
    closeEverything(hosts);
  });

  test('WSD-217: closing forces an RDMA transfer to its end that nothing else would end', () => {
    for (const kind of ['write', 'read'] as const) {
      const hosts = connectedHosts({ network: { retryTimeoutNs: 1e12 } });
      const { client, server, near, far, nearMemory, farMemory, nearHandle, run, pass } = hosts;
      const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 100)));
      client.adapter.loseConnection(0);
      const stuck = client.rdma(kind, near, nearMemory.subarray(0, 8), nearHandle, descriptor, { notify: true });
      pass(10_000);
      assert.equal(ending(client, near, stuck), 'pending');
      client.close(near);
      run();
      assert.deepEqual(notified(client, stuck), ['WSA_OPERATION_ABORTED']);
      assert.deepEqual(nearMemory.subarray(0, 8), new Uint8Array(8));
      assert.deepEqual(farMemory.subarray(0, 100), fill(new Uint8Array(100)));
      closeEverything(hosts);
    }
  });

  test('WSD-218: a flush that never comes is waited for closeMs, no longer; no memory is given back before', () => {
    const hosts = connectedHosts({ client: { adapter: { faults: { flushDelayNsMax: 1e12 } } } });
    const { client, near, nearMemory, pass } = hosts;
    const received = [0, 8].map((at) => client.recv(near, nearMemory.subarray(at, at + 8), { notify: at === 0 }));
    client.close(near);
    pass(limits.closeMs - 100);
    for (const request of received) assert.equal(written(request), 'pending');
    assert.equal(client.handles.size, 1);
    assert.ok(client.adapter.inventory().regions > 0);
    pass(200);
    for (const request of received) assert.equal(written(request), 'WSA_OPERATION_ABORTED');
    assert.equal(client.handles.size, 0);
    assert.equal(client.upcalls.at(-1)?.type, 'closeSocketHandle');
    const { listeners: _, ...left } = leftovers(client);
    assert.deepEqual(left, {});
    closeEverything(hosts);
  });

  test('WSD-218: nor for longer when the connection was broken before, and its flush does not come', () => {
    const hosts = connectedHosts({ client: { adapter: { faults: { flushDelayNsMax: 1e12 } } } });
    const { client, server, near, far, nearMemory, pass } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 8), { notify: true });
    server.close(far);
    pass(10_000);
    // The adapter still owns the memory; only closing ends that.
    assert.equal(written(received), 'pending');
    assert.equal(client.recv(near, nearMemory.subarray(0, 8)).result.error, 'WSAECONNRESET');
    client.close(near);
    pass(limits.closeMs + 1);
    assert.deepEqual(notified(client, received), ['WSA_OPERATION_ABORTED']);
    assert.equal(client.handles.size, 0);
    closeEverything(hosts);
  });

  test('WSD-218: the switch handle is closed once, last and soon, in every state of a socket', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, run } = hosts;
    const created = client.socket().value;
    const bound = client.socket().value;
    client.bind(bound, 4100);
    const connecting = client.socket().value;
    client.bind(connecting, 4101);
    client.connect(connecting, '10.0.0.99', 5000);
    const broken = connectPair(hosts, listener, 5000, 4102);
    server.close(broken.far);
    run();
    const sockets = [created, bound, connecting, broken.near, near];
    const handles = sockets.map((s) => switchHandle(client, s));
    for (const s of sockets) assert.equal(client.close(s).error, '0');
    run();
    const closed = client.upcalls.flatMap((upcall) => (upcall.type === 'closeSocketHandle' ? [upcall.handle] : []));
    assert.deepEqual(closed.toSorted(), handles.toSorted());
    assert.equal(client.handles.size, 0);
    server.close(listener);
    server.close(far);
    run();
    assert.equal(server.handles.size, 0);
    end(hosts);
  });
});

describe('the other side', () => {
  for (const disconnectedLost of [0, 1]) {
    const name = disconnectedLost === 1 ? ', also when only flushes tell of it' : '';
    test(`WSD-212: what is pending completes with WSAECONNRESET, and the socket stays${name}`, () => {
      const hosts = connectedHosts({
        client: { adapter: { capabilities: { elementsMax: 1 }, faults: { disconnectedLost } } },
      });
      const { client, server, near, far, run } = hosts;
      const { requests, receives } = everythingPending(hosts);
      const handles = client.handles.size;
      server.close(far);
      run();
      for (const request of receives) assert.equal(written(request), 'WSAECONNRESET');
      // Writes and the one send that the private receive took had been carried out.
      for (const request of requests) assert.match(written(request), /^(WSAECONNRESET|8 bytes|64 bytes)$/);
      assertEndedOnce(client, requests);
      // No network event tells, and the socket is there until its own switch closes it.
      assert.equal(client.upcalls.filter(({ type }) => type === 'setEvent').length, 0);
      assert.equal(client.handles.size, handles);
      assert.equal(ending(client, near, receives[0]!), 'WSAECONNRESET');
      assert.equal(client.provider.socketState(near), 'broken');
      client.close(near);
      run();
      assert.equal(client.handles.size, 0);
      closeEverything(hosts);
    });
  }

  test('WSD-212: a receive that is paired with the first message too', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, farMemory, run } = hosts;
    const paired = server.recv(far, farMemory.subarray(0, 8), { notify: true });
    client.close(near);
    run();
    assert.deepEqual(notified(server, paired), ['WSAECONNRESET']);
    closeEverything(hosts);
  });

  test('WSD-213: a transport that gives up: the request that failed and all others get WSAECONNABORTED', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory, pass } = hosts;
    client.adapter.loseConnection(0);
    const sent = [0, 8].map((at) => client.send(near, nearMemory.subarray(at, at + 8), { notify: true }));
    const received = client.recv(near, nearMemory.subarray(16, 24));
    pass(100);
    for (const request of [...sent, received]) assert.equal(ending(client, near, request), 'WSAECONNABORTED');
    assert.equal(client.send(near, nearMemory.subarray(0, 8)).result.error, 'WSAECONNABORTED');
    assertEndedOnce(client, [...sent, received]);
    closeEverything(hosts);
  });

  test('WSD-213: an adapter that is removed gives WSAENETDOWN, to requests, calls and later sockets', () => {
    for (const flushDelayNsMax of [0, 1e9]) {
      const hosts = connectedHosts({ client: { adapter: { faults: { flushDelayNsMax } } } });
      const { client, near, nearMemory, run } = hosts;
      const { requests } = everythingPending(hosts);
      client.adapter.remove();
      run();
      for (const request of requests) assert.match(written(request), /^WSAENETDOWN$/);
      assertEndedOnce(client, requests);
      assert.equal(client.recv(near, nearMemory.subarray(0, 8)).result.error, 'WSAENETDOWN');
      assert.equal(client.socket().error, 'WSAENETDOWN');
      // Closing says so too, and closes all the same.
      assert.equal(client.close(near).error, 'WSAENETDOWN');
      assert.equal(client.close(near).error, 'WSAENOTSOCK');
      run();
      assert.equal(client.handles.size, 0);
      closeEverything(hosts);
    }
  });

  test('WSD-213: one of several devices that is removed gives WSAENETDOWN to its sockets, and to them alone', () => {
    for (const flushDelayNsMax of [0, 1e9]) {
      const hosts = connectedHosts({ client: { adapter: { faults: { flushDelayNsMax } } } });
      const { client, near, nearMemory, run } = hosts;
      const { requests } = everythingPending(hosts);
      client.adapter.removeDevice();
      run();
      for (const request of requests) assert.match(written(request), /^WSAENETDOWN$/);
      assertEndedOnce(client, requests);
      assert.equal(client.recv(near, nearMemory.subarray(0, 8)).result.error, 'WSAENETDOWN');
      const later = client.socket();
      assert.equal(later.error, '0');
      assert.equal(client.close(near).error, '0');
      assert.equal(client.close(later.value).error, '0');
      run();
      closeEverything(hosts);
    }
  });

  test('WSD-213: an adapter that is removed while a socket is being closed, or is broken, leaves nothing either', () => {
    for (const state of ['closing', 'broken'] as const) {
      const hosts = connectedHosts({ network: { faults: { flushDelayNsMax: 1e9 } } });
      const { client, server, near, far, nearMemory, network, run } = hosts;
      const received = client.recv(near, nearMemory.subarray(0, 8), { notify: true });
      if (state === 'closing') client.close(near);
      else {
        server.close(far);
        for (let turn = 0; client.provider.socketState(near) !== 'broken' && turn < 1000; turn++) {
          network.advanceTo(network.nowNs + 1000);
          client.provider.poll();
        }
      }
      assert.equal(written(received), 'pending');
      client.adapter.remove();
      run();
      assert.deepEqual(notified(client, received), [state === 'closing' ? 'WSA_OPERATION_ABORTED' : 'WSAECONNRESET']);
      closeEverything(hosts);
    }
  });

  test('WSD-215: messages that had arrived are delivered before the loss is noticed', () => {
    for (const count of [1, 5, 20]) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, network, run } = hosts;
      const received = Array.from({ length: 25 }, (_, index) =>
        server.recv(far, farMemory.subarray(index * 8, index * 8 + 8), { notify: true }),
      );
      fill(nearMemory);
      const sent = Array.from({ length: count }, (_, index) =>
        client.send(near, nearMemory.subarray(index * 8, index * 8 + 8)),
      );
      // Only the client works: the server finds everything at once.
      for (let round = 0; round < 1000; round++) {
        network.run();
        client.provider.poll();
      }
      for (const request of sent) assert.equal(written(request), '8 bytes');
      client.close(near);
      network.run();
      run();
      for (const [index, request] of received.entries()) {
        assert.deepEqual(notified(server, request), [index < count ? '8 bytes' : 'WSAECONNRESET']);
      }
      assert.deepEqual(farMemory.subarray(0, count * 8), nearMemory.subarray(0, count * 8));
      assert.deepEqual(
        server.completions.map(({ overlapped }) => overlapped),
        received.map(({ overlapped }) => overlapped),
      );
      closeEverything(hosts);
    }
  });

  for (const faults of [
    {},
    { disconnectedDoubled: 1 },
    { disconnectedEchoed: 1 },
    { disconnectedLost: 1 },
    { disconnectOvertakes: 1 },
    { eventLate: 1 },
    { lateSuccess: 1 },
  ]) {
    const name = Object.keys(faults)[0] ?? 'no faults';
    test(`WSD-216: when both ends close at once, every request of each ends exactly once (${name})`, () => {
      const hosts = connectedHosts({ network: { faults: { ...faults, flushDelayNsMax: 10_000 } } });
      const { client, server, near, far, farMemory, run } = hosts;
      const { requests } = everythingPending(hosts);
      const theirs = Array.from({ length: 40 }, (_, index) =>
        index % 2 === 0
          ? server.recv(far, farMemory.subarray(2000, 2008), { notify: index % 4 === 0 })
          : server.send(far, farMemory.subarray(3000, 3008), { notify: index % 4 === 1 }),
      );
      client.close(near);
      server.close(far);
      run();
      for (const request of [...requests, ...theirs]) assert.equal(written(request), 'WSA_OPERATION_ABORTED');
      assertEndedOnce(client, requests);
      assertEndedOnce(server, theirs);
      closeEverything(hosts);
    });
  }

  test('WSD-216: an end that closes after it has noticed the loss aborts only what is still pending', () => {
    const hosts = connectedHosts({ server: { adapter: { faults: { flushDelayNsMax: 1e9 } } } });
    const { client, server, near, far, farMemory, network, run } = hosts;
    const received = Array.from({ length: 8 }, () => server.recv(far, farMemory.subarray(0, 8), { notify: true }));
    client.close(near);
    for (let turn = 0; server.completions.length < 3 && turn < 100_000; turn++) {
      network.advance();
      server.provider.poll();
    }
    const before = server.completions.length;
    assert.ok(before >= 3 && before < 8);
    server.close(far);
    run();
    const errors = received.map((request) => notified(server, request).join());
    assert.deepEqual(errors.slice(0, before), new Array(before).fill('WSAECONNRESET'));
    assert.deepEqual(errors.slice(before), new Array(8 - before).fill('WSA_OPERATION_ABORTED'));
    closeEverything(hosts);
  });
});

describe('what an adapter can refuse', () => {
  const calls: readonly [RefusableCall, readonly number[], 'connect' | 'accept'][] = [
    ['allocateProtectionDomain', [1], 'connect'],
    ['registerMemory', [1, 2], 'connect'],
    ['createConnector', [1], 'connect'],
    ['connect', [1], 'connect'],
    ['allocateProtectionDomain', [1], 'accept'],
    ['registerMemory', [1, 2, 3], 'accept'],
    ['prepareAccept', [1], 'accept'],
    ['post', [1], 'accept'],
    ['accept', [1], 'accept'],
  ];
  for (const [call, occurrences, verb] of calls) {
    for (const at of occurrences) {
      test(`WSD-218: ${call} number ${at} refused at ${verb} gives WSAENOBUFS, and closing leaves nothing`, () => {
        const refusing = { adapter: { faults: { outOfResources: { [call]: { at: [at] } } } } };
        const hosts = twoHosts(verb === 'connect' ? { client: refusing } : { server: refusing });
        const { client, server, run } = hosts;
        const listener = server.socket().value;
        server.bind(listener, 5000);
        server.listen(listener);
        const near = client.socket().value;
        client.bind(near, 4000);
        const connect = client.connect(near, server.address, 5000);
        run();
        if (verb === 'connect') {
          assert.equal(connect.error, 'WSAENOBUFS');
          assert.equal(server.accept(listener).error, 'WSAEWOULDBLOCK');
          // It is bound as before, and the next attempt works.
          assert.equal(client.connect(near, server.address, 5000).error, 'WSAEWOULDBLOCK');
          run();
        } else {
          const handles = server.handles.size;
          const refused = server.accept(listener);
          assert.deepEqual([refused.value, refused.error], [2n ** 64n - 1n, 'WSAENOBUFS']);
          assert.equal(server.handles.size, handles, 'the handle that was created is closed');
          run();
          assert.equal(client.provider.socketState(near), 'bound.idle', 'the peer was refused');
          assert.equal(client.connect(near, server.address, 5000).error, 'WSAEWOULDBLOCK');
          run();
        }
        const far = server.accept(listener);
        assert.equal(far.error, '0');
        run();
        assert.equal(client.provider.socketState(near), 'connected.active');
        client.close(near);
        server.close(far.value);
        server.close(listener);
        run();
        for (const host of [client, server]) {
          const { listeners: _, ...left } = leftovers(host);
          assert.deepEqual(left, {}, host.name);
        }
        end(hosts);
      });
    }
  }

  test('WSD-218: a listen that is refused gives WSAENOBUFS, and the socket is bound as before', () => {
    const hosts = twoHosts({ server: { adapter: { faults: { outOfResources: { listen: { at: [1] } } } } } });
    const { server, run } = hosts;
    const s = server.socket().value;
    server.bind(s, 5000);
    assert.equal(server.listen(s).error, 'WSAENOBUFS');
    assert.equal(server.accept(s).error, 'WSAEINVAL');
    assert.equal(server.listen(s).error, '0');
    server.close(s);
    run();
    assert.deepEqual(leftovers(server), {});
    end(hosts);
  });

  test('WSD-218: a request that its adapter refuses outright leaves a socket that closes like any other', () => {
    const hosts = connectedHosts({ client: { adapter: { faults: { outOfResources: { post: 1 } } } } });
    const { client, near, nearMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = client.registerRdma(near, nearMemory);
    const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
    for (const kind of ['send', 'recv', 'write', 'read'] as const) {
      for (const notify of [false, true]) {
        const { result, overlapped } = transfer(client, near, { kind, buffers, descriptor, notify });
        assert.equal(result.error, 'WSAENOBUFS');
        assert.equal(overlapped.internal, 0n);
      }
    }
    assert.equal(client.provider.inventory().requests, 0);
    assert.equal(client.provider.socketState(near), 'connected.active');
    client.close(near);
    run();
    assert.deepEqual(client.completions, []);
    closeEverything(hosts);
  });
});
