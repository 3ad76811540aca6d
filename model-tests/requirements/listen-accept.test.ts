// Goal: listening and accepting are as WSD-070..089 say.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, type Socket, SimulatedNetwork, toSockaddr, type WsaBuf } from '../../driver/index.ts';
import { explorationLimits, FD_ACCEPT, INVALID_SOCKET, SOMAXCONN, wsaName } from '../../machines/index.ts';
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
import { connectedHosts, Host, type Hosts, type HostsOptions, settle, twoHosts } from '../support/two-hosts.ts';

const EVENT = 0x20n;
const CONNECT = 0x30n;

/** A listener at the server that `count` sockets of the client wait for, in this order. */
function queued(count: number, { backlog = 5, ...options }: HostsOptions & { backlog?: number } = {}) {
  const hosts = twoHosts(options);
  const { client, server, run } = hosts;
  const listener = listening(server, 5000, { backlog, event: EVENT });
  const waiting = Array.from({ length: count }, (_, index) => {
    const s = connecting(client, 4001 + index, server.address, 5000, CONNECT);
    run();
    return s;
  });
  return { ...hosts, listener, waiting };
}

/** What each of `sockets` has been told of its connect. */
const results = ({ client }: Hosts, sockets: readonly Socket[]) => sockets.map((s) => client.events(s).value.connect);

/** Port of the peer in a caller id. */
const portOf = ({ buf }: WsaBuf): number => (buf![2]! << 8) | buf![3]!;

describe('listening', () => {
  test('WSD-070: unbound gives WSAEINVAL, connected WSAEISCONN, connecting and broken WSAEINVAL', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, run } = hosts;
    const going = connecting(client, 4001, '10.9.9.9', 5000);
    for (const [s, error] of [
      [must(client.socket()), 'WSAEINVAL'],
      [near, 'WSAEISCONN'],
      [going, 'WSAEINVAL'],
    ] as const) {
      const digest = client.provider.digest();
      assert.equal(client.listen(s).error, error);
      assert.deepEqual(client.provider.digest(), digest);
    }
    server.close(far);
    run();
    assert.equal(client.listen(near).error, 'WSAEINVAL');
    end(hosts);
  });

  test('WSD-070: a listen that the adapter refuses gives WSAENOBUFS and leaves the socket bound', () => {
    const hosts = twoHosts({ server: { adapter: { faults: { outOfResources: { listen: { at: [1] } } } } } });
    const { server } = hosts;
    const s = bound(server, 5000);
    assert.equal(server.listen(s).error, 'WSAENOBUFS');
    assert.equal(server.provider.socketState(s), 'bound.idle');
    assert.equal(server.listen(s).error, '0');
    end(hosts);
  });

  test('WSD-071: at most backlog requests are queued', () => {
    for (const backlog of [1, 2, 3]) {
      const story = queued(5, { backlog });
      assert.equal(story.server.provider.inventory().connectionRequests, backlog);
      assert.deepEqual(results(story, story.waiting), [
        ...new Array<null>(backlog).fill(null),
        ...new Array<string>(5 - backlog).fill('WSAECONNREFUSED'),
      ]);
      end(story);
    }
  });

  test("WSD-071: SOMAXCONN, and more, select the provider's maximum; less than 1 counts as 1", () => {
    for (const [backlog, kept] of [
      [SOMAXCONN, explorationLimits.backlogMax],
      [1_000_000, explorationLimits.backlogMax],
      [0, 1],
      [-5, 1],
    ] as const) {
      const story = queued(4, { backlog, server: { limits: explorationLimits } });
      assert.equal(story.server.provider.inventory().connectionRequests, kept, `${backlog}`);
      end(story);
    }
  });

  test('WSD-072: a request beyond the backlog is refused at once, without FD_ACCEPT', () => {
    const story = queued(1, { backlog: 1 });
    const { client, server, listener, run } = story;
    assert.equal(server.events(listener, EVENT).value.accept, '0');
    const { length } = server.upcalls;
    const late = connecting(client, 4100, server.address, 5000, CONNECT);
    run();
    assert.equal(client.events(late).value.connect, 'WSAECONNREFUSED');
    assert.equal(server.upcalls.length, length);
    assert.equal(server.events(listener).value.accept, null);
    end(story);
  });

  test('WSD-073: listening again changes the backlog; excess requests are refused, newest first', () => {
    const story = queued(4);
    const { client, server, listener, waiting, run } = story;
    const { length } = server.upcalls;
    assert.equal(server.listen(listener, 2).error, '0');
    run();
    assert.deepEqual(results(story, waiting), [null, null, 'WSAECONNREFUSED', 'WSAECONNREFUSED']);
    assert.equal(server.upcalls.length, length);
    assert.equal(server.listen(listener, 3).error, '0');
    const another = connecting(client, 4100, server.address, 5000, CONNECT);
    const refused = connecting(client, 4101, server.address, 5000, CONNECT);
    run();
    assert.deepEqual(results(story, [another, refused]), [null, 'WSAECONNREFUSED']);
    end(story);
  });

  test('WSD-074: a queued request records FD_ACCEPT and sets the event', () => {
    const story = queued(1);
    const { server, listener } = story;
    assert.deepEqual(eventsSet(server), [EVENT]);
    assert.ok(server.signaled.has(EVENT));
    assert.deepEqual(server.events(listener, EVENT).value, { accept: '0', connect: null });
    assert.ok(!server.signaled.has(EVENT));
    end(story);
  });
});

describe('accepting', () => {
  test('WSD-075: an empty queue gives WSAEWOULDBLOCK, a socket that is no listener WSAEINVAL', () => {
    const hosts = connectedHosts();
    const { client, server, near, listener, far, run } = hosts;
    const { length } = server.upcalls;
    assert.deepEqual(
      server.accept(listener, () => assert.fail('nobody to ask about')),
      {
        value: INVALID_SOCKET,
        error: 'WSAEWOULDBLOCK',
      },
    );
    assert.equal(server.upcalls.length, length);
    const others = [must(client.socket()), bound(client, 4001), connecting(client, 4002, '10.9.9.9', 1), near];
    for (const s of others) assert.equal(client.accept(s).error, 'WSAEINVAL');
    // The accepted socket cannot accept.
    assert.equal(server.accept(far).error, 'WSAEINVAL');
    client.close(near);
    run();
    assert.equal(server.accept(far).error, 'WSAEINVAL');
    end(hosts);
  });

  test('WSD-076: requests are offered oldest first', () => {
    const story = queued(3);
    const { server, listener } = story;
    const ports = [1, 2, 3].map(() => {
      let port = 0;
      server.accept(listener, (caller) => {
        port = portOf(caller);
        return 1;
      });
      return port;
    });
    assert.deepEqual(ports, [4001, 4002, 4003]);
    end(story);
  });

  test('WSD-077: the condition function runs inside the call, once for each offered request', () => {
    const story = queued(2);
    const { server, listener } = story;
    for (const verdict of [0, 1, 7]) {
      let asked = 0;
      server.accept(listener, () => {
        asked++;
        return verdict;
      });
      // The third found nobody.
      assert.equal(asked, verdict === 7 ? 0 : 1);
    }
    end(story);
  });

  test('WSD-078: before the condition function returns, the peer is told nothing', () => {
    const story = queued(1);
    const { client, server, listener, waiting, run } = story;
    must(
      server.accept(listener, () => {
        const { connectors } = server.adapter.inventory();
        run();
        assert.deepEqual(results(story, waiting), [null]);
        assert.equal(client.provider.socketState(waiting[0]!), 'connecting.pending');
        assert.equal(server.adapter.inventory().connectors, connectors);
        assert.equal(server.upcalls.filter(({ type }) => type === 'createSocketHandle').length, 1);
        return 0;
      }),
    );
    run();
    assert.deepEqual(results(story, waiting), ['0']);
    end(story);
  });

  test('WSD-079: CF_ACCEPT yields a connected socket of its own, which inherits options and not the selection', () => {
    const story = queued(1);
    const { server, listener, run } = story;
    const on = Uint8Array.of(1, 0, 0, 0);
    assert.equal(server.provider.WSPSetSockOpt(listener, 6, 1, on, 4, server.errno), 0);
    const s = must(server.accept(listener));
    assert.notEqual(s, listener);
    // Before the peer has confirmed anything.
    assert.equal(server.provider.socketState(s), 'connected.active');
    assert.equal(server.provider.socketState(listener), 'listening.open');
    assert.equal(server.handles.size, 2);
    const made = server.upcalls.filter(({ type }) => type === 'createSocketHandle');
    assert.equal(made.length, 2);
    const value = new Uint8Array(4);
    server.provider.WSPGetSockOpt(s, 6, 1, value, out(4), server.errno);
    assert.deepEqual(value, on);
    const memory = new Uint8Array(64);
    must(server.register(s, memory));
    assert.equal(server.recv(s, memory).result.error, 'WSA_IO_PENDING');
    run();
    assert.equal(server.events(s).value.accept, null);
    end(story);
  });

  test('WSD-080: CF_REJECT yields INVALID_SOCKET with WSAECONNREFUSED, and the peer is refused', () => {
    const story = queued(2);
    const { server, listener, waiting, run } = story;
    const { length } = server.upcalls;
    assert.deepEqual(
      server.accept(listener, () => 1),
      { value: INVALID_SOCKET, error: 'WSAECONNREFUSED' },
    );
    assert.ok(server.upcalls.slice(length).every(({ type }) => type === 'setEvent'));
    run();
    assert.deepEqual(results(story, waiting), ['WSAECONNREFUSED', null]);
    assert.equal(server.provider.inventory().sockets, 1);
    end(story);
  });

  test('WSD-081: CF_DEFER yields WSATRY_AGAIN, offers the same request first next time, and raises no event', () => {
    const story = queued(2);
    const { client, server, listener, waiting, run } = story;
    server.events(listener, EVENT);
    const { length } = server.upcalls;
    assert.deepEqual(
      server.accept(listener, () => 2),
      { value: INVALID_SOCKET, error: 'WSATRY_AGAIN' },
    );
    run();
    assert.equal(server.upcalls.length, length);
    assert.equal(server.events(listener).value.accept, null);
    assert.deepEqual(results(story, waiting), [null, null]);
    // Nor does one that arrives behind it.
    const third = connecting(client, 4100, server.address, 5000, CONNECT);
    run();
    assert.equal(server.upcalls.length, length);
    const ports: number[] = [];
    for (const verdict of [2, 0]) {
      server.accept(listener, (caller) => {
        ports.push(portOf(caller));
        return verdict;
      });
    }
    assert.deepEqual(ports, [4001, 4001]);
    // It is decided: the others count again.
    assert.ok(server.signaled.has(EVENT));
    run();
    assert.deepEqual(results(story, [...waiting, third]), ['0', null, null]);
    end(story);
  });

  test('WSD-081: a deferred request that its peer withdraws makes room for the events of the others', () => {
    const story = queued(2);
    const { client, server, listener, waiting, run } = story;
    server.events(listener, EVENT);
    server.accept(listener, () => 2);
    assert.ok(!server.signaled.has(EVENT));
    client.close(waiting[0]!);
    run();
    assert.ok(server.signaled.has(EVENT));
    assert.equal(server.events(listener, EVENT).value.accept, '0');
    must(server.accept(listener, (caller) => (portOf(caller) === 4002 ? 0 : 1)));
    end(story);
  });

  test('WSD-082: any other result yields WSAEINVAL and a refusal; a Promise or an exception is one', () => {
    const verdicts: (() => unknown)[] = [
      () => 3,
      () => -1,
      () => 0.5,
      () => '0',
      () => null,
      () => undefined,
      () => true,
      async () => 0,
      () => {
        throw new Error('the condition function failed');
      },
    ];
    for (const verdict of verdicts) {
      const thrown: unknown[] = [];
      const network = new SimulatedNetwork({ seed: 1 });
      const [client, server] = ['10.0.0.1', '10.0.0.2'].map((address, index) => {
        const adapter = network.host({ addresses: [address] });
        const options = { onUpcallError: (error: unknown) => void thrown.push(error) };
        const host = new Host(`host ${index}`, address, adapter, adapter.clock, options as object);
        host.startup();
        return host;
      }) as [Host, Host];
      const run = () => settle(network, [client, server]);
      const listener = listening(server, 5000);
      const s = connecting(client, 4000, server.address, 5000, CONNECT);
      run();
      assert.deepEqual(server.accept(listener, verdict as () => number), { value: INVALID_SOCKET, error: 'WSAEINVAL' });
      run();
      assert.equal(client.events(s).value.connect, 'WSAECONNREFUSED');
      assert.equal(server.handles.size, 1);
      assert.equal(thrown.length, verdict === verdicts.at(-1) ? 1 : 0);
    }
  });

  test('WSD-083: the condition function gets both addresses, no data, and the callback data unchanged', () => {
    const story = queued(1);
    const { server, listener } = story;
    const data = { opaque: 'to the provider' };
    let asked: unknown[] = [];
    must(
      server.accept(
        listener,
        (...given) => {
          asked = given;
          return 0;
        },
        data,
      ),
    );
    const [callerId, callerData, sqos, gqos, calleeId, calleeData, group, callbackData] = asked;
    const id = (address: string, port: number) => toSockaddr({ family: 'IPv4', address, port });
    assert.deepEqual(callerId, { len: 16, buf: id('10.0.0.1', 4001) });
    assert.deepEqual(calleeId, { len: 16, buf: id('10.0.0.2', 5000) });
    assert.deepEqual([callerData, sqos, gqos, group], [null, null, null, null]);
    assert.deepEqual(calleeData, { len: 0, buf: null });
    assert.equal(callbackData, data);
    end(story);
  });

  test('a null condition function accepts', () => {
    const story = queued(1);
    const { server, listener, waiting, run } = story;
    must(server.accept(listener, null));
    run();
    assert.deepEqual(results(story, waiting), ['0']);
    end(story);
  });

  test('WSD-084: addr gets the peer and *addrlen its size; too little room gives WSAEFAULT and keeps the request', () => {
    const story = queued(2);
    const { server, listener, waiting, run } = story;
    const { provider } = server;
    const accept = (addr: Uint8Array | null, addrlen: { value: number } | null) => {
      const errno = out(-1);
      const s = provider.WSPAccept(listener, addr, addrlen, () => 0, 0, errno);
      return { s, error: wsaName(errno.value) };
    };
    const digest = provider.digest();
    for (const [addr, addrlen] of [
      [new Uint8Array(16), out(15)],
      [new Uint8Array(15), out(16)],
      [new Uint8Array(16), out(-1)],
      [new Uint8Array(16), null],
    ] as const) {
      const before = addrlen?.value;
      assert.deepEqual(accept(addr, addrlen), { s: INVALID_SOCKET, error: 'WSAEFAULT' });
      assert.deepEqual([...addr], new Array(addr.length).fill(0));
      assert.equal(addrlen?.value, before);
    }
    assert.deepEqual(provider.digest(), digest);
    run();
    assert.deepEqual(results(story, waiting), [null, null]);
    const [addr, addrlen] = [new Uint8Array(32), out(32)];
    assert.equal(accept(addr, addrlen).error, '0');
    assert.equal(addrlen.value, 16);
    assert.deepEqual(addr.subarray(0, 16), toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 4001 }));
    assert.deepEqual([...addr.subarray(16)], new Array(16).fill(0));
    assert.equal(accept(null, out(0)).error, '0');
    end(story);
  });

  test('WSD-085: a successful accept resets the event, and sets it again only if requests are queued', () => {
    const story = queued(2);
    const { server, listener } = story;
    for (const [types, again] of [
      [['createSocketHandle', 'resetEvent', 'setEvent'], '0'],
      [['createSocketHandle', 'resetEvent'], null],
    ] as const) {
      server.events(listener);
      assert.ok(server.signaled.has(EVENT), 'enumerating without an event object resets none');
      const { length } = server.upcalls;
      must(server.accept(listener));
      assert.deepEqual(
        server.upcalls.slice(length).map(({ type }) => type),
        types,
      );
      assert.equal(server.signaled.has(EVENT), again !== null);
      if (again !== null) assert.equal(server.events(listener).value.accept, again);
    }
    assert.equal(server.events(listener).value.accept, null);
    end(story);
  });

  test('WSD-085: what is recorded and was not enumerated keeps the event set', () => {
    const story = queued(1);
    const { server, listener } = story;
    must(server.accept(listener));
    assert.ok(server.signaled.has(EVENT));
    assert.equal(server.events(listener, EVENT).value.accept, '0');
    assert.ok(!server.signaled.has(EVENT));
    end(story);
  });

  test('WSAEMFILE: without a descriptor the request stays queued', () => {
    const story = queued(1, { server: { limits: explorationLimits } });
    const { server, listener, waiting, run } = story;
    const other = must(server.socket());
    assert.deepEqual(
      server.accept(listener, () => assert.fail('nothing was offered')),
      { value: INVALID_SOCKET, error: 'WSAEMFILE' },
    );
    assert.ok(server.signaled.has(EVENT));
    run();
    assert.deepEqual(results(story, waiting), [null]);
    server.close(other);
    must(server.accept(listener));
    run();
    assert.deepEqual(results(story, waiting), ['0']);
    end(story);
  });

  test('WSAECONNRESET: a request that is withdrawn while it is being decided on makes no socket', () => {
    for (const verdict of [0, 1, 2, 9]) {
      const story = queued(2);
      const { client, server, listener, waiting, run } = story;
      server.events(listener, EVENT);
      assert.deepEqual(
        server.accept(listener, () => {
          client.close(waiting[0]!);
          run();
          return verdict;
        }),
        { value: INVALID_SOCKET, error: 'WSAECONNRESET' },
      );
      assert.equal(server.handles.size, 1);
      // The next one is announced.
      assert.ok(server.signaled.has(EVENT));
      must(server.accept(listener, (caller) => (portOf(caller) === 4002 ? 0 : 1)));
      end(story);
    }
  });

  test('WSAENETDOWN: an adapter that is lost while a request is being decided on makes no socket', () => {
    for (const verdict of [0, 1, 2, 9]) {
      const story = queued(2);
      const { server, listener, run } = story;
      const answer = server.accept(listener, () => {
        server.adapter.remove();
        run();
        return verdict;
      });
      assert.deepEqual(answer, { value: INVALID_SOCKET, error: 'WSAENETDOWN' });
      assert.deepEqual(
        [server.handles.size, server.provider.inventory().connectionRequests, server.accept(listener).error],
        [1, 0, 'WSAENETDOWN'],
      );
      end(story);
    }
  });

  test('WSD-213, D-28: a listener whose device is removed drops its requests and says WSAENETDOWN, once', () => {
    for (const reported of [false, true]) {
      const story = queued(2);
      const { client, server, listener, waiting, run } = story;
      const everywhere = listening(server, 5001, { address: '0.0.0.0', event: 0x21n });
      if (reported) assert.equal(server.events(listener, EVENT).value.accept, '0');
      server.adapter.removeDevice();
      run();
      assert.deepEqual(results(story, waiting), ['WSAETIMEDOUT', 'WSAETIMEDOUT']);
      assert.equal(server.provider.inventory().connectionRequests, 0);
      // What was reported, WSPAccept has to enable again.
      assert.equal(server.signaled.has(EVENT), !reported);
      for (let again = 0; again < 2; again++) {
        assert.deepEqual(server.accept(listener), { value: INVALID_SOCKET, error: 'WSAENETDOWN' });
        assert.equal(server.listen(listener, 3).error, 'WSAENETDOWN');
      }
      assert.ok(server.signaled.has(EVENT));
      assert.equal(server.events(listener, EVENT).value.accept, 'WSAENETDOWN');
      assert.equal(server.accept(listener).error, 'WSAENETDOWN');
      assert.equal(server.select(listener, EVENT, FD_ACCEPT).error, '0');
      assert.ok(!server.signaled.has(EVENT));
      assert.equal(server.events(listener, EVENT).value.accept, null);
      // Who listens everywhere still does, and a new listener takes the place of the one that was lost.
      assert.equal(server.close(listener).error, '0');
      for (const [s, port] of [
        [everywhere, 5001],
        [listening(server, 5000, { event: EVENT }), 5000],
      ] as const) {
        connecting(client, 4100 + port, server.address, port);
        run();
        must(server.accept(s));
      }
      end(story);
    }
  });

  test('WSD-213, D-28: a device that is removed while a request is being decided on makes no socket', () => {
    for (const verdict of [0, 1, 2, 9]) {
      const story = queued(2);
      const { server, listener, waiting, run } = story;
      assert.equal(server.events(listener, EVENT).value.accept, '0');
      const answer = server.accept(listener, () => {
        server.adapter.removeListeners(() => true);
        run();
        // Who is being decided on has been told nothing.
        assert.deepEqual(results(story, waiting), [null, 'WSAECONNREFUSED']);
        return verdict;
      });
      assert.deepEqual(answer, { value: INVALID_SOCKET, error: 'WSAENETDOWN' });
      run();
      assert.deepEqual(results(story, waiting), ['WSAECONNREFUSED', null]);
      assert.equal(server.events(listener, EVENT).value.accept, 'WSAENETDOWN');
      assert.equal(server.handles.size, 1);
      end(story);
    }
  });

  test('a request that is withdrawn in the queue is gone; its event is not taken back', () => {
    const story = queued(2);
    const { client, server, listener, waiting, run } = story;
    for (const s of waiting) client.close(s);
    run();
    assert.equal(server.provider.inventory().connectionRequests, 0);
    assert.equal(server.events(listener, EVENT).value.accept, '0');
    assert.equal(server.accept(listener).error, 'WSAEWOULDBLOCK');
    assert.ok(!server.signaled.has(EVENT));
    connecting(client, 4100, server.address, 5000);
    run();
    assert.ok(server.signaled.has(EVENT));
    end(story);
  });
});

describe('WSD-086', () => {
  // Method: every sequence of five of these moves. After each, while the oldest request is undeferred, the event is set
  // or FD_ACCEPT was reported since the last accept.
  const moves = ['arrive', 'withdraw', 'enumerate', 'accept', 'reject', 'defer', 'select'] as const;
  const LENGTH = 5;

  function play(sequence: readonly (typeof moves)[number][]): number {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000, { event: EVENT });
    const queue: { s: Socket; deferred: boolean }[] = [];
    let reported = false;
    let port = 4001;
    let waits = 0;
    for (const [at, move] of sequence.entries()) {
      switch (move) {
        case 'arrive':
          queue.push({ s: connecting(client, port++, server.address, 5000), deferred: false });
          break;
        case 'withdraw': {
          const oldest = queue.shift();
          if (oldest !== undefined) client.close(oldest.s);
          break;
        }
        case 'enumerate':
          if (server.events(listener, EVENT).value.accept !== null) reported = true;
          break;
        case 'select':
          server.select(listener, EVENT);
          reported = false;
          break;
        default: {
          const verdict = { accept: 0, reject: 1, defer: 2 }[move];
          const { error } = server.accept(listener, () => verdict);
          if (queue.length === 0) assert.equal(error, 'WSAEWOULDBLOCK');
          else if (move === 'defer') queue[0]!.deferred = true;
          else queue.shift();
          reported = false;
        }
      }
      run();
      if (queue.length === 0 || queue[0]!.deferred) continue;
      waits++;
      assert.ok(server.signaled.has(EVENT) || reported, `${sequence.slice(0, at + 1).join(', ')}: nobody was told`);
    }
    return waits;
  }

  test(`WSD-086: no wake-up is lost in any sequence of ${LENGTH} moves`, () => {
    let waits = 0;
    const sequence: (typeof moves)[number][] = ['arrive'];
    const extend = (): void => {
      if (sequence.length === LENGTH) {
        waits += play(sequence);
        return;
      }
      for (const move of moves) {
        sequence.push(move);
        extend();
        sequence.pop();
      }
    };
    extend();
    assert.ok(waits > 1000, 'requests did wait');
  });

  test('WSD-086: a request that arrives inside the condition function, or inside an up-call of the accept, is announced', () => {
    for (const inside of ['condition', 'createSocketHandle', 'resetEvent'] as const) {
      const story = queued(1);
      const { client, server, listener, run } = story;
      server.events(listener, EVENT);
      let arrived = 0;
      const arrive = (): void => {
        if (arrived++ > 0) return;
        connecting(client, 4100, server.address, 5000);
        run();
      };
      server.onUpcall = ({ type }) => {
        if (type === inside) arrive();
      };
      must(
        server.accept(listener, () => {
          if (inside === 'condition') arrive();
          return 0;
        }),
      );
      server.onUpcall = null;
      assert.ok(server.signaled.has(EVENT), inside);
      assert.equal(server.events(listener, EVENT).value.accept, '0');
      must(server.accept(listener));
      end(story);
    }
  });
});

describe('after accepting', () => {
  test('WSD-087: a first message before any WSPRecv is kept and goes to the first one', () => {
    for (const size of [1, 255, 256]) {
      // An adapter that loses the connection when nothing is posted.
      const hosts = connectedHosts({ network: { receiverNotReady: 'fail' } });
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      nearMemory.fill(7, 0, size);
      const sent = client.send(near, nearMemory.subarray(0, size));
      run();
      assert.deepEqual(client.outcome(near, sent), { value: true, error: '0', bytes: size });
      assert.equal(server.provider.socketState(far), 'connected.active');
      const first = server.recv(far, farMemory.subarray(0, 512));
      const second = server.recv(far, farMemory.subarray(512, 1024));
      assert.deepEqual(server.outcome(far, first), { value: true, error: '0', bytes: size });
      assert.deepEqual(farMemory.subarray(0, size), nearMemory.subarray(0, size));
      assert.equal(server.outcome(far, second).error, 'WSA_IO_INCOMPLETE');
      client.send(near, nearMemory.subarray(0, 3));
      run();
      assert.deepEqual(server.outcome(far, second), { value: true, error: '0', bytes: 3 });
      end(hosts);
    }
  });

  test('WSD-087: it is scattered over the buffers of the receive, and a receive that is too small breaks the connection', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    client.send(near, nearMemory.subarray(0, 100));
    run();
    const small = server.recv(far, farMemory.subarray(0, 99), { notify: true });
    run();
    assert.deepEqual(
      server.completions.map(({ overlapped, error, bytes }) => [overlapped === small.overlapped, error, bytes]),
      [[true, 'WSAEMSGSIZE', 0]],
    );
    assert.equal(server.provider.socketState(far), 'broken');
    end(hosts);
  });

  test('WSD-088: a wildcard listener accepts on every address, later ones too, and the callee address is concrete', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const serverAdapter = network.host({ addresses: ['10.0.0.2', '10.0.1.2'] });
    const server = new Host('server', '10.0.0.2', serverAdapter, serverAdapter.clock);
    const clientAdapter = network.host({ addresses: ['10.0.0.1'] });
    const client = new Host('client', '10.0.0.1', clientAdapter, clientAdapter.clock);
    const run = () => settle(network, [client, server]);
    for (const host of [client, server]) host.startup();
    const listener = listening(server, 5000, { address: '0.0.0.0', event: EVENT });
    serverAdapter.setAddresses(['10.0.0.2', '10.0.1.2', '10.0.2.2']);
    const callees: string[] = [];
    for (const [index, address] of ['10.0.0.2', '10.0.1.2', '10.0.2.2'].entries()) {
      const s = connecting(client, 4000 + index, address, 5000, CONNECT);
      run();
      must(
        server.accept(listener, (_caller, _data, _s, _g, callee) => {
          callees.push(callee.buf!.subarray(4, 8).join('.'));
          return 0;
        }),
      );
      run();
      assert.equal(client.events(s).value.connect, '0');
    }
    assert.deepEqual(callees, ['10.0.0.2', '10.0.1.2', '10.0.2.2']);
    end({ network, client, server, run, pass: run });
  });

  test('WSD-089: closing a listener refuses all queued requests, deferred ones too, and frees it', () => {
    const story = queued(3);
    const { server, listener, waiting, run } = story;
    server.accept(listener, () => 2);
    assert.equal(server.close(listener).error, '0');
    run();
    assert.deepEqual(results(story, waiting), ['WSAECONNREFUSED', 'WSAECONNREFUSED', 'WSAECONNREFUSED']);
    assert.deepEqual(leftovers(server), {});
    assertHandlesInOrder(server);
    // The port is free again, and nobody listens there.
    const again = listening(server, 5000);
    assert.equal(server.accept(again).error, 'WSAEWOULDBLOCK');
    end(story);
  });

  test('WSD-089: accepted sockets outlive their listener', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, nearMemory, farMemory, run } = hosts;
    server.close(listener);
    const receive = server.recv(far, farMemory.subarray(0, 64));
    client.send(near, nearMemory.subarray(0, 5));
    run();
    assert.deepEqual(server.outcome(far, receive), { value: true, error: '0', bytes: 5 });
    end(hosts);
  });
});
