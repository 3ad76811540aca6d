// Data transfer: messages and RDMA between two hosts. WSD-150 to WSD-166.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, WorkRequestField } from '../../driver/index.ts';
import { productionLimits, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SOL_SOCKET } from '../../machines/index.ts';
import { closeEverything, ending, fill, list, notified, transfer, written } from '../support/transfers.ts';
import {
  type Connected,
  connectedHosts,
  connectPair,
  type Host,
  type HostsOptions,
  type Request,
} from '../support/two-hosts.ts';

const elementsMax = (count: number): HostsOptions => ({
  client: { adapter: { capabilities: { elementsMax: count } } },
  server: { adapter: { capabilities: { elementsMax: count } } },
});

/** Uses up the private first receive of the accepted end. */
function pastFirstMessage(hosts: Connected): Connected {
  const { client, server, near, far, nearMemory, farMemory, run } = hosts;
  server.recv(far, farMemory.subarray(0, 1));
  client.send(near, nearMemory.subarray(0, 1));
  run();
  farMemory.fill(0);
  return hosts;
}

describe('messages', () => {
  test('WSD-150: one send fills exactly one receive, the oldest; boundaries and order are kept', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const lengths = [1, 64, 3, 17, 64, 2];
    const received = lengths.map((_, index) => server.recv(far, farMemory.subarray(index * 64, index * 64 + 64)));
    fill(nearMemory);
    const sent = lengths.map((length, index) =>
      client.send(near, nearMemory.subarray(index * 100, index * 100 + length)),
    );
    run();
    for (const [index, length] of lengths.entries()) {
      assert.equal(ending(client, near, sent[index]!), `${length} bytes`);
      assert.equal(ending(server, far, received[index]!), `${length} bytes`);
      const { buffer } = received[index]!;
      assert.deepEqual(buffer.subarray(0, length), sent[index]!.buffer);
      assert.deepEqual(buffer.subarray(length), new Uint8Array(64 - length), 'beyond the message');
    }
    closeEverything(hosts);
  });

  test('WSD-150: a message that comes before its receive waits for it, also when it is the first of all', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    fill(nearMemory);
    // The first one goes to the private receive; the second waits at the client's adapter.
    const first = client.send(near, nearMemory.subarray(0, 256));
    run();
    assert.equal(ending(client, near, first), '256 bytes');
    assert.deepEqual(farMemory.subarray(0, 1024), new Uint8Array(1024), 'nothing is in the memory of the switch');
    const second = client.send(near, nearMemory.subarray(256, 300));
    const received = [0, 512].map((at) => server.recv(far, farMemory.subarray(at, at + 256), { notify: true }));
    run();
    assert.equal(ending(client, near, second), '44 bytes');
    assert.deepEqual(
      received.map((request) => notified(server, request)),
      [['256 bytes'], ['44 bytes']],
    );
    assert.deepEqual(farMemory.subarray(0, 256), nearMemory.subarray(0, 256));
    assert.deepEqual(farMemory.subarray(512, 556), nearMemory.subarray(256, 300));
    closeEverything(hosts);
  });

  test('WSD-150: the first receive is paired with the first message, the second is not given it', () => {
    for (const receivesFirst of [true, false]) {
      // As on iWARP: a message that meets no receive breaks the connection.
      const hosts = connectedHosts({ network: { receiverNotReady: 'fail' } });
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      fill(nearMemory);
      const post = () => [0, 64, 128].map((at) => server.recv(far, farMemory.subarray(at, at + 64)));
      let received = receivesFirst ? post() : [];
      client.send(near, nearMemory.subarray(0, 10));
      run();
      if (!receivesFirst) received = post();
      client.send(near, nearMemory.subarray(10, 30));
      client.send(near, nearMemory.subarray(30, 60));
      run();
      assert.deepEqual(
        received.map((request) => ending(server, far, request)),
        ['10 bytes', '20 bytes', '30 bytes'],
      );
      assert.deepEqual(farMemory.subarray(64, 84), nearMemory.subarray(10, 30));
      assert.equal(server.provider.socketState(far), 'connected.active');
      closeEverything(hosts);
    }
  });

  test('WSD-151: data arrives uncorrupted, in order and once, however the network behaves', () => {
    for (const seed of [1, 2, 3]) {
      const hosts = connectedHosts({
        network: { seed, jitterNs: 50_000, bandwidth: 1e8, faults: { receiverNotReady: 0.2 } },
      });
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      const ends = [
        { host: client, s: near, memory: nearMemory, received: '', pending: [] as Request[] },
        { host: server, s: far, memory: farMemory, received: '', pending: [] as Request[] },
      ];
      const length = (index: number) => 1 + ((index * 37) % 200);
      for (let round = 0; round < 10; round++) {
        for (const each of ends) {
          for (let index = 0; index < 20; index++) {
            each.pending.push(each.host.recv(each.s, each.memory.subarray(index * 256, index * 256 + 256)));
          }
        }
        for (const { host, s, memory } of ends) {
          for (let index = 0; index < 20; index++) {
            const bytes = memory.subarray(10_000 + index * 256, 10_000 + index * 256 + length(index + round));
            host.send(s, fill(bytes, round * 20 + index));
          }
        }
        run();
        for (const { host, s, pending } of ends) {
          for (const [index, request] of pending.splice(0).entries()) {
            const count = length(index + round);
            assert.equal(ending(host, s, request), `${count} bytes`);
            assert.deepEqual(request.buffer.subarray(0, count), fill(new Uint8Array(count), round * 20 + index));
          }
        }
      }
      closeEverything(hosts);
    }
  });

  test('WSD-152: the buffers of a list are gathered and scattered in order, without gaps', () => {
    const hosts = pastFirstMessage(connectedHosts());
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    fill(nearMemory);
    for (let round = 0; round < 2; round++) {
      const received = transfer(server, far, {
        kind: 'recv',
        buffers: list(farMemory, [90, 93], [10, 11], [40, 60], [0, 5]),
      });
      const sent = transfer(client, near, {
        kind: 'send',
        buffers: list(nearMemory, [7, 9], [0, 4], [100, 101], [50, 60]),
      });
      run();
      assert.equal(ending(client, near, sent), '17 bytes');
      assert.equal(ending(server, far, received), '17 bytes');
      const message = [
        ...nearMemory.subarray(7, 9),
        ...nearMemory.subarray(0, 4),
        nearMemory[100]!,
        ...nearMemory.subarray(50, 60),
      ];
      const arrived = [...farMemory.subarray(90, 93), farMemory[10]!, ...farMemory.subarray(40, 53)];
      assert.deepEqual(arrived, message);
      assert.deepEqual(
        [...farMemory.subarray(53, 60), ...farMemory.subarray(0, 5)],
        new Array(12).fill(0),
        'beyond the message',
      );
      farMemory.fill(0);
    }
    closeEverything(hosts);
  });

  test('WSD-152: the first message is scattered over its list as any other', () => {
    for (const receivesFirst of [true, false]) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      fill(nearMemory);
      const post = () =>
        transfer(server, far, { kind: 'recv', buffers: list(farMemory, [90, 93], [10, 11], [40, 60]) });
      const early = receivesFirst ? post() : null;
      client.send(near, nearMemory.subarray(0, 9));
      run();
      const received = early ?? post();
      assert.equal(ending(server, far, received), '9 bytes');
      const arrived = [...farMemory.subarray(90, 93), farMemory[10]!, ...farMemory.subarray(40, 45)];
      assert.deepEqual(arrived, [...nearMemory.subarray(0, 9)]);
      assert.deepEqual(farMemory.subarray(45, 60), new Uint8Array(15));
      closeEverything(hosts);
    }
  });

  test('WSD-152: a list that the adapter has too few elements for is refused: a message is never split', () => {
    const hosts = pastFirstMessage(connectedHosts(elementsMax(2)));
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const three = [
      [0, 4],
      [4, 8],
      [8, 12],
    ] as const;
    const tooMany = transfer(client, near, { kind: 'send', buffers: list(nearMemory, ...three) });
    assert.equal(tooMany.result.error, 'WSAEINVAL');
    assert.equal(transfer(server, far, { kind: 'recv', buffers: list(farMemory, ...three) }).result.error, 'WSAEINVAL');
    const received = [0, 64].map((at) => server.recv(far, farMemory.subarray(at, at + 64)));
    client.send(near, nearMemory.subarray(0, 12));
    run();
    assert.deepEqual(
      received.map((request) => ending(server, far, request)),
      ['12 bytes', 'pending'],
    );
    closeEverything(hosts);
  });

  test('WSD-153: messages and RDMA up to their sizes are accepted; larger ones give WSAEMSGSIZE and send nothing', () => {
    const capabilities = { messageSizeMax: 1000, rdmaSizeMax: 3000 };
    const hosts = pastFirstMessage(
      connectedHosts({ client: { adapter: { capabilities } }, server: { adapter: { capabilities } } }),
    );
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const option = (name: number): number => {
      const value = new Uint8Array(4);
      client.provider.WSPGetSockOpt(near, SOL_SOCKET, name, value, out(4), client.errno);
      return new DataView(value.buffer).getUint32(0, true);
    };
    assert.deepEqual([option(SO_MAX_MSG_SIZE), option(SO_MAX_RDMA_SIZE)], [1000, 3000]);
    const { descriptor } = server.registerRdma(far, farMemory);
    const received = server.recv(far, farMemory.subarray(10_000, 20_000));
    const next = server.recv(far, farMemory.subarray(20_000, 30_000));
    const part = (length: number) =>
      list(nearMemory, [0, length - 1], [length - 1, length]).map((each) => ({ ...each, handle }));
    fill(nearMemory);
    const refused = [
      transfer(client, near, { kind: 'send', buffers: part(1001) }),
      transfer(client, near, { kind: 'write', buffers: part(3001), descriptor }),
      transfer(client, near, { kind: 'read', buffers: part(3001), descriptor }),
    ];
    for (const { result } of refused) assert.equal(result.error, 'WSAEMSGSIZE');
    run();
    assert.deepEqual(farMemory.subarray(0, 30_000), new Uint8Array(30_000));
    const accepted = [
      transfer(client, near, { kind: 'send', buffers: part(1000) }),
      transfer(client, near, { kind: 'write', buffers: part(3000), descriptor }),
      transfer(client, near, { kind: 'read', buffers: part(3000), descriptor }),
    ];
    run();
    assert.deepEqual(
      accepted.map((request) => ending(client, near, request)),
      ['1000 bytes', '3000 bytes', '3000 bytes'],
    );
    // A receive may be larger than any message.
    assert.deepEqual([ending(server, far, received), ending(server, far, next)], ['1000 bytes', 'pending']);
    closeEverything(hosts);
  });

  test('WSD-154: flags are refused, and nothing is sent', () => {
    const hosts = pastFirstMessage(connectedHosts());
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const received = server.recv(far, farMemory.subarray(0, 64));
    const buffers = list(fill(nearMemory), [0, 8]).map((each) => ({ ...each, handle }));
    for (const [kind, error] of [
      ['send', 'WSAEOPNOTSUPP'],
      ['recv', 'WSAEOPNOTSUPP'],
      ['write', 'WSAEINVAL'],
      ['read', 'WSAEINVAL'],
    ] as const) {
      for (const flags of [1, 2, 0x8000]) {
        assert.equal(transfer(client, near, { kind, buffers, descriptor, flags }).result.error, error, kind);
      }
    }
    run();
    assert.equal(ending(server, far, received), 'pending');
    assert.deepEqual(farMemory.subarray(0, 64), new Uint8Array(64));
    assert.equal(client.provider.inventory().requests, 0);
    closeEverything(hosts);
  });

  test('WSD-155: a buffer outside of the registrations of its own socket gives WSAEFAULT', () => {
    const hosts = connectedHosts();
    const { client, server, near, nearMemory, listener, run } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const elsewhere = new Uint8Array(64);
    client.register(other.near, elsewhere);
    const strange = new Uint8Array(64);
    const shared = new Uint8Array(100);
    const half = client.register(near, shared.subarray(0, 50)).value;
    client.register(near, shared.subarray(50));
    const cases: Record<string, Uint8Array[]> = {
      'never registered': [strange],
      'registered on another socket': [elsewhere],
      'partly before a registration': [shared.subarray(0, 60)],
      'one of two': [nearMemory.subarray(0, 8), strange],
    };
    for (const [name, memories] of Object.entries(cases)) {
      const buffers = memories.map((buf) => ({ len: buf.length, buf }));
      for (const kind of ['send', 'recv'] as const) {
        assert.equal(transfer(client, near, { kind, buffers }).result.error, 'WSAEFAULT', `${name}, ${kind}`);
      }
    }
    assert.equal(client.send(near, shared.subarray(0, 50)).result.error, 'WSA_IO_PENDING');
    run();
    client.deregister(near, half);
    assert.equal(client.send(near, shared.subarray(0, 50)).result.error, 'WSAEFAULT');
    for (const buffers of [null, [{ len: 8, buf: null }], [{ len: 9, buf: nearMemory.subarray(0, 8) }]]) {
      assert.equal(transfer(client, near, { kind: 'send', buffers }).result.error, 'WSAEFAULT');
    }
    assert.equal(server.completions.length, 0);
    closeEverything(hosts, [other.near], [other.far]);
  });

  for (const first of [true, false]) {
    const name = first ? 'the first message' : 'a message';
    test(`WSD-156: ${name} too long for its receive ends it with WSAEMSGSIZE and breaks the connection`, () => {
      for (const receivesFirst of [true, false]) {
        const hosts = connectedHosts();
        if (!first) pastFirstMessage(hosts);
        const { client, server, near, far, nearMemory, farMemory, run } = hosts;
        const post = () => [0, 64].map((at) => server.recv(far, farMemory.subarray(at, at + 9), { notify: at === 0 }));
        const early = receivesFirst ? post() : null;
        const waiting = client.recv(near, nearMemory.subarray(500, 600));
        const sent = client.send(near, fill(nearMemory.subarray(0, 10)));
        run();
        const received = early ?? post();
        run();
        assert.deepEqual(notified(server, received[0]!), ['WSAEMSGSIZE']);
        // One that comes after the break was never started.
        const second = received[1]!;
        if (second.result.error === 'WSA_IO_PENDING') assert.equal(ending(server, far, second), 'WSAECONNABORTED');
        else assert.equal(second.result.error, 'WSAECONNABORTED');
        assert.equal(server.recv(far, farMemory.subarray(0, 64)).result.error, 'WSAECONNABORTED');
        assert.deepEqual(farMemory.subarray(0, 100), new Uint8Array(100), 'no part of the message was delivered');
        // The sender: a first message had arrived, any other is what broke the connection.
        assert.equal(ending(client, near, sent), first ? '10 bytes' : 'WSAECONNABORTED');
        assert.equal(ending(client, near, waiting), first ? 'WSAECONNRESET' : 'WSAECONNABORTED');
        closeEverything(hosts);
      }
    });
  }

  test('WSD-156: a first message of more than 256 bytes, against the rules, breaks the connection and harms no memory', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const received = [0, 1000].map((at) => server.recv(far, farMemory.subarray(at, at + 1000), { notify: at === 0 }));
    const sent = client.send(near, fill(nearMemory.subarray(0, 257)));
    run();
    for (const request of received) assert.equal(ending(server, far, request), 'WSAECONNABORTED');
    assert.deepEqual(notified(server, received[0]!), ['WSAECONNABORTED']);
    assert.equal(ending(client, near, sent), 'WSAECONNABORTED');
    assert.deepEqual(farMemory.subarray(0, 2000), new Uint8Array(2000));
    closeEverything(hosts);
  });

  test('WSD-157: no bytes at all gives WSAEINVAL, in every data function', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const empty = list(nearMemory, [0, 0], [5, 5]).map((each) => ({ ...each, handle }));
    for (const kind of ['send', 'recv', 'write', 'read'] as const) {
      for (const buffers of [empty, [], empty.slice(1)]) {
        assert.equal(transfer(client, near, { kind, buffers, descriptor }).result.error, 'WSAEINVAL', kind);
      }
    }
    run();
    assert.equal(client.provider.inventory().requests, 0);
    closeEverything(hosts);
  });

  test('WSD-158: a receive never succeeds with no bytes while the socket is not handed over', () => {
    for (const close of [
      ({ client, near }: Connected) => client.close(near),
      ({ client }: Connected) => client.cleanup(),
      ({ client }: Connected) => client.adapter.remove(),
      ({ server, far, farMemory }: Connected) => server.send(far, farMemory.subarray(0, 65)),
    ]) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      const received = [
        server.recv(far, farMemory.subarray(0, 64)),
        server.recv(far, farMemory.subarray(0, 64)),
        client.recv(near, nearMemory.subarray(0, 64)),
      ];
      run();
      close(hosts);
      run();
      for (const request of received) assert.match(written(request), /^WSA/);
      closeEverything(hosts);
    }
  });
});

describe('RDMA', () => {
  test('WSD-159: a write places its bytes at buffer + offset; the peer completes nothing and uses no receive', () => {
    const hosts = pastFirstMessage(connectedHosts());
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory.subarray(1000, 2000));
    const waiting = server.recv(far, farMemory.subarray(3000, 3064), { notify: true });
    const before = server.upcalls.length;
    const write = client.rdma('write', near, fill(nearMemory.subarray(0, 100)), nearHandle, descriptor, {
      offset: 900,
    });
    run();
    assert.equal(ending(client, near, write), '100 bytes');
    assert.deepEqual(farMemory.subarray(1900, 2000), nearMemory.subarray(0, 100));
    assert.deepEqual(farMemory.subarray(0, 1900), new Uint8Array(1900));
    assert.deepEqual(farMemory.subarray(2000, 4000), new Uint8Array(2000));
    assert.equal(server.upcalls.length, before);
    assert.equal(ending(server, far, waiting), 'pending');
    closeEverything(hosts);
  });

  test('WSD-160: a read fetches the bytes from buffer + offset; the peer completes nothing and uses no receive', () => {
    const hosts = pastFirstMessage(connectedHosts());
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    fill(farMemory.subarray(1000, 2000));
    nearMemory.fill(0);
    const { descriptor } = server.registerRdma(far, farMemory.subarray(1000, 2000));
    const waiting = server.recv(far, farMemory.subarray(3000, 3064), { notify: true });
    const before = server.upcalls.length;
    const read = client.rdma('read', near, nearMemory.subarray(50, 150), nearHandle, descriptor, { offset: 300 });
    run();
    assert.equal(ending(client, near, read), '100 bytes');
    assert.deepEqual(nearMemory.subarray(50, 150), farMemory.subarray(1300, 1400));
    assert.deepEqual(nearMemory.subarray(0, 50), new Uint8Array(50));
    assert.deepEqual(nearMemory.subarray(150, 1000), new Uint8Array(850));
    assert.equal(server.upcalls.length, before);
    assert.equal(ending(server, far, waiting), 'pending');
    closeEverything(hosts);
  });

  for (const count of [1, 2, 4]) {
    test(`WSD-159, WSD-160: eight buffers on an adapter with ${count} elements move whole and complete once`, () => {
      const hosts = connectedHosts(elementsMax(count));
      const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
      const { descriptor } = server.registerRdma(far, farMemory);
      const spans = [
        [0, 3],
        [10, 11],
        [20, 27],
        [30, 30],
        [40, 45],
        [50, 59],
        [60, 62],
        [70, 71],
      ] as const;
      const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
      fill(nearMemory);
      const message = spans.flatMap(([from, to]) => [...nearMemory.subarray(from, to)]);
      const write = transfer(client, near, { kind: 'write', buffers, descriptor, offset: 5, notify: true });
      run();
      assert.deepEqual([...farMemory.subarray(5, 5 + message.length)], message);
      assert.equal(farMemory[4], 0);
      assert.equal(farMemory[5 + message.length], 0);
      nearMemory.fill(0);
      const read = transfer(client, near, { kind: 'read', buffers, descriptor, offset: 5, notify: true });
      run();
      assert.deepEqual(
        spans.flatMap(([from, to]) => [...nearMemory.subarray(from, to)]),
        message,
      );
      assert.equal(
        nearMemory.reduce((sum, byte) => sum + byte, 0),
        message.reduce((sum, byte) => sum + byte, 0),
      );
      assert.deepEqual([notified(client, write), notified(client, read)], [['28 bytes'], ['28 bytes']]);
      assert.equal(
        transfer(client, near, { kind: 'write', buffers: [...buffers, ...buffers.slice(0, 1)], descriptor }).result
          .error,
        'WSAEINVAL',
      );
      closeEverything(hosts);
    });
  }

  test('WSD-161: a message sent after a write finds the written data in place', () => {
    const hosts = pastFirstMessage(connectedHosts({ network: { jitterNs: 100_000, bandwidth: 1e8 } }));
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory.subarray(0, 30_000));
    let seen = 0;
    server.onComplete = () => {
      seen++;
      assert.deepEqual(farMemory.subarray(0, 30_000), fill(new Uint8Array(30_000), seen));
    };
    for (let round = 1; round <= 5; round++) {
      server.recv(far, farMemory.subarray(40_000, 40_064), { notify: true });
      fill(nearMemory.subarray(0, 30_000), round);
      client.rdma('write', near, nearMemory.subarray(0, 30_000), nearHandle, descriptor);
      client.send(near, nearMemory.subarray(60_000, 60_004));
      run();
    }
    assert.equal(seen, 5);
    closeEverything(hosts);
  });

  /** The peer is told "read" by message and overwrites what was read. @returns whether the reader got the right bytes */
  function readThenSend(unfenced: boolean, before: (hosts: Connected) => void = () => undefined): boolean {
    const hosts = pastFirstMessage(connectedHosts({ network: { bandwidth: 1e9 } }));
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    before(hosts);
    if (unfenced) {
      const { adapter } = client;
      const post = adapter.post.bind(adapter);
      adapter.post = (count) => {
        adapter.workRequests[WorkRequestField.flags] = 0;
        return post(count);
      };
    }
    const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 10_000)));
    server.recv(far, farMemory.subarray(40_000, 40_064), { notify: true });
    server.onComplete = () => {
      farMemory.fill(0xee, 0, 10_000);
      assert.equal(server.deregisterRdma(far, descriptor).error, '0');
    };
    const read = client.rdma('read', near, nearMemory.subarray(0, 10_000), nearHandle, descriptor);
    client.send(near, nearMemory.subarray(60_000, 60_004));
    run();
    const right = ending(client, near, read) === '10000 bytes' && nearMemory[0] === fill(new Uint8Array(1))[0];
    closeEverything(hosts);
    return right;
  }

  test('WSD-162: a message sent after a read leaves only when the data is there; without the fence it would not', () => {
    assert.equal(readThenSend(false), true);
    assert.equal(readThenSend(true), false, 'the simulator shows no difference');
  });

  test('WSD-162: a send that is refused does not use the fence up', () => {
    for (const refusal of ['adapter', 'queue'] as const) {
      const faults = refusal === 'adapter' ? { outOfResources: { post: { at: [3] } } } : {};
      const hosts = connectedHosts({ network: { bandwidth: 1e8 }, client: { adapter: { faults } } });
      const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
      server.recv(far, farMemory.subarray(0, 1));
      client.send(near, nearMemory.subarray(0, 1));
      run();
      const { descriptor } = server.registerRdma(far, fill(farMemory.subarray(0, 10_000)));
      const reads = refusal === 'adapter' ? 1 : productionLimits.queueDepth + productionLimits.overflowMax;
      for (let count = 0; count < reads; count++) {
        const read = client.rdma('read', near, nearMemory.subarray(0, 10_000), nearHandle, descriptor);
        assert.equal(read.result.error, 'WSA_IO_PENDING');
      }
      assert.equal(client.send(near, nearMemory.subarray(60_000, 60_004)).result.error, 'WSAENOBUFS');
      let outstanding = reads;
      // Room for one, while reads are still under way.
      for (let turn = 0; turn < 1000 && refusal === 'queue' && outstanding === reads; turn++) {
        client.provider.poll();
        outstanding = client.provider.inventory().requests;
      }
      const sent = client.send(near, nearMemory.subarray(60_000, 60_004));
      assert.equal(sent.result.error, 'WSA_IO_PENDING');
      server.recv(far, farMemory.subarray(40_000, 40_064), { notify: true });
      server.onComplete = () => assert.equal(client.adapter.inventory().postedSends, 1, 'reads are still under way');
      run();
      assert.equal(server.completions.length, 1);
      server.onComplete = null;
      closeEverything(hosts);
    }
  });

  test('WSD-163: a descriptor of wrong length or content gives WSAEINVAL, a place outside of it WSAEFAULT', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory.subarray(0, 100));
    const buffers = list(fill(nearMemory), [0, 10]).map((each) => ({ ...each, handle }));
    const damaged = (at: number, value: number) => {
      const copy = descriptor.slice();
      copy[at] = value;
      return copy;
    };
    const malformed = {
      'no descriptor': { descriptor: null },
      'too short': { descriptor: descriptor.subarray(0, 31) },
      'said to be too short': { descriptor, descriptorLength: 24 },
      'said to be longer': { descriptor, descriptorLength: 33 },
      'another magic': { descriptor: damaged(0, 0) },
      'another version': { descriptor: damaged(4, 2) },
      'access to nothing': { descriptor: damaged(6, 0) },
      'unknown access': { descriptor: damaged(6, 4) },
    };
    for (const kind of ['write', 'read'] as const) {
      for (const [name, given] of Object.entries(malformed)) {
        assert.equal(transfer(client, near, { kind, buffers, ...given }).result.error, 'WSAEINVAL', `${kind}, ${name}`);
      }
      for (const offset of [91, 100, 0xffff_ffff]) {
        assert.equal(transfer(client, near, { kind, buffers, descriptor, offset }).result.error, 'WSAEFAULT');
      }
      const unknown = buffers.map((each) => ({ ...each, handle: handle + 1n }));
      assert.equal(transfer(client, near, { kind, buffers: unknown, descriptor }).result.error, 'WSAEINVAL');
    }
    run();
    assert.deepEqual(farMemory.subarray(0, 200), new Uint8Array(200));
    assert.equal(client.provider.socketState(near), 'connected.active');
    const fits = transfer(client, near, { kind: 'write', buffers, descriptor, offset: 90 });
    run();
    assert.equal(ending(client, near, fits), '10 bytes');
    closeEverything(hosts);
  });

  test('WSD-166: without RDMA read its function is not offered, and everything else works', () => {
    const capabilities = { readDepthMax: 0 };
    const hosts = connectedHosts({ client: { adapter: { capabilities } }, server: { adapter: { capabilities } } });
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    assert.deepEqual(client.extension('WSPRdmaRead'), { value: null, error: 'WSAEOPNOTSUPP' });
    for (const name of [
      'WSPRegisterMemory',
      'WSPDeregisterMemory',
      'WSPRegisterRdmaMemory',
      'WSPDeregisterRdmaMemory',
      'WSPRdmaWrite',
    ] as const) {
      assert.equal(client.extension(name).error, '0');
    }
    // The variant of 7.4 for a peer that lacks it.
    const { descriptor } = server.registerRdma(far, farMemory.subarray(0, 5000));
    const received = server.recv(far, farMemory.subarray(6000, 6064));
    const write = client.rdma('write', near, fill(nearMemory.subarray(0, 5000)), nearHandle, descriptor);
    const sent = client.send(near, nearMemory.subarray(0, 4));
    run();
    assert.deepEqual(
      [ending(client, near, write), ending(client, near, sent), ending(server, far, received)],
      ['5000 bytes', '4 bytes', '4 bytes'],
    );
    assert.deepEqual(farMemory.subarray(0, 5000), nearMemory.subarray(0, 5000));
    assert.equal(server.deregisterRdma(far, descriptor).error, '0');
    closeEverything(hosts);
  });
});

describe('without a connection, and with full queues', () => {
  test('WSD-164: without a connection the data functions answer WSAENOTCONN, on a broken one its reason', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, listener, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
    const answers = (host: Host, s: bigint) => [
      ...new Set(
        (['send', 'recv', 'write', 'read'] as const).map(
          (kind) => transfer(host, s, { kind, buffers, descriptor }).result.error,
        ),
      ),
    ];
    const fresh = client.socket().value;
    assert.deepEqual(answers(client, fresh), ['WSAENOTCONN']);
    client.bind(fresh, 4100);
    assert.deepEqual(answers(client, fresh), ['WSAENOTCONN']);
    client.connect(fresh, server.address, 5000);
    assert.deepEqual(answers(client, fresh), ['WSAENOTCONN']);
    assert.deepEqual(answers(server, listener), ['WSAENOTCONN']);
    client.close(fresh);
    server.close(far);
    run();
    assert.deepEqual(answers(client, near), ['WSAECONNRESET']);
    assert.equal(client.provider.inventory().requests, 0);
    closeEverything(hosts);
  });

  test('WSD-165: 32 sends and 32 receives go to the adapter, 256 more wait, the next gives WSAENOBUFS', () => {
    const hosts = pastFirstMessage(connectedHosts());
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const { queueDepth, overflowMax } = productionLimits;
    const most = queueDepth + overflowMax;
    const sent = Array.from({ length: most }, (_, index) => {
      nearMemory.set([index & 0xff, index >> 8], index * 2);
      return client.send(near, nearMemory.subarray(index * 2, index * 2 + 2));
    });
    for (const { result } of sent) assert.equal(result.error, 'WSA_IO_PENDING');
    assert.equal(client.send(near, nearMemory.subarray(0, 2)).result.error, 'WSAENOBUFS');
    assert.equal(client.adapter.inventory().postedSends, 32);
    // The other direction has a queue of its own.
    const posted = client.adapter.inventory().postedReceives;
    const waiting = Array.from({ length: most }, () => client.recv(near, nearMemory.subarray(10_000, 10_064)));
    for (const { result } of waiting) assert.equal(result.error, 'WSA_IO_PENDING');
    assert.equal(client.recv(near, nearMemory.subarray(10_000, 10_064)).result.error, 'WSAENOBUFS');
    assert.equal(client.adapter.inventory().postedReceives - posted, 32);

    const received = Array.from({ length: most }, (_, index) =>
      server.recv(far, farMemory.subarray(index * 2, index * 2 + 2)),
    );
    run();
    for (const request of sent) assert.equal(ending(client, near, request), '2 bytes');
    for (const request of received) assert.equal(ending(server, far, request), '2 bytes');
    assert.deepEqual(farMemory.subarray(0, 2 * most), nearMemory.subarray(0, 2 * most));
    // There is room again.
    assert.equal(client.send(near, nearMemory.subarray(0, 2)).result.error, 'WSA_IO_PENDING');
    closeEverything(hosts);
    for (const request of waiting) assert.equal(written(request), 'WSA_OPERATION_ABORTED');
  });

  test('WSD-165: full queues of split requests drain in order', () => {
    const hosts = connectedHosts(elementsMax(1));
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const spans = Array.from({ length: 8 }, (_, index) => [index, index + 1] as const);
    const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
    const most = productionLimits.queueDepth + productionLimits.overflowMax;
    const writes = Array.from({ length: most }, (_, index) =>
      transfer(client, near, { kind: 'write', buffers, descriptor, offset: index * 8, notify: true }),
    );
    assert.equal(transfer(client, near, { kind: 'write', buffers, descriptor }).result.error, 'WSAENOBUFS');
    fill(nearMemory);
    run();
    assert.deepEqual(
      client.completions.map(({ overlapped }) => overlapped),
      writes.map(({ overlapped }) => overlapped),
    );
    for (let index = 0; index < most; index++) {
      assert.deepEqual(farMemory.subarray(index * 8, index * 8 + 8), nearMemory.subarray(0, 8));
    }
    closeEverything(hosts);
  });

  test('WSD-165: what an adapter with shorter queues has no room for waits, and all is carried out in order', () => {
    const capabilities = { sendDepthMax: 9, receiveDepthMax: 4 };
    const hosts = pastFirstMessage(
      connectedHosts({ client: { adapter: { capabilities } }, server: { adapter: { capabilities } } }),
    );
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    fill(nearMemory);
    const most = productionLimits.queueDepth + productionLimits.overflowMax;
    const received = Array.from({ length: most }, (_, index) =>
      server.recv(far, farMemory.subarray(index * 2, index * 2 + 2)),
    );
    const sent = Array.from({ length: most }, (_, index) =>
      client.send(near, nearMemory.subarray(index * 2, index * 2 + 2)),
    );
    for (const { result } of [...received, ...sent]) assert.equal(result.error, 'WSA_IO_PENDING');
    assert.equal(client.send(near, nearMemory.subarray(0, 2)).result.error, 'WSAENOBUFS');
    // A place is for two work requests, RDMA's; and one work request is the provider's own.
    assert.equal(client.adapter.inventory().postedSends, 4);
    run();
    for (const request of sent) assert.equal(ending(client, near, request), '2 bytes');
    for (const request of received) assert.equal(ending(server, far, request), '2 bytes');
    assert.deepEqual(farMemory.subarray(0, 2 * most), nearMemory.subarray(0, 2 * most));
    closeEverything(hosts);
  });

  test('WSD-165: a request that is split waits until there is room for all of it', () => {
    const capabilities = { elementsMax: 1, sendDepthMax: 17 };
    const hosts = connectedHosts({ client: { adapter: { capabilities } } });
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    fill(nearMemory);
    const spans = Array.from({ length: 8 }, (_, index) => [index, index + 1] as const);
    const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
    const writes = Array.from({ length: 5 }, (_, index) =>
      transfer(client, near, { kind: 'write', buffers, descriptor, offset: index * 8 }),
    );
    for (const { result } of writes) assert.equal(result.error, 'WSA_IO_PENDING');
    run();
    for (const request of writes) assert.equal(ending(client, near, request), '8 bytes');
    for (let index = 0; index < writes.length; index++) {
      assert.deepEqual(farMemory.subarray(index * 8, index * 8 + 8), nearMemory.subarray(0, 8));
    }
    closeEverything(hosts);
  });

  test('WSD-165: an adapter that refuses a request that waited costs that connection, and no other', () => {
    // Both connections have 33 sends; the work request that is refused is the first that had waited.
    const faults = { outOfResources: { post: { at: [66] } } };
    const hosts = pastFirstMessage(connectedHosts({ client: { adapter: { faults } } }));
    const { client, server, near, far, listener, nearMemory, farMemory, run, network } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const otherMemory = new Uint8Array(64);
    client.register(other.near, otherMemory);
    const otherFar = new Uint8Array(64);
    server.register(other.far, otherFar);
    for (let index = 0; index < 40; index++) {
      server.recv(far, farMemory.subarray(0, 8));
      server.recv(other.far, otherFar.subarray(0, 8));
    }
    const here = Array.from({ length: 34 }, () => client.send(near, nearMemory.subarray(0, 8)));
    const there = Array.from({ length: 34 }, () => client.send(other.near, otherMemory.subarray(0, 8)));
    // All of the first 64 are answered in one turn.
    network.run();
    run();
    const failed = here.filter((request) => ending(client, near, request) === 'WSAECONNABORTED');
    assert.ok(failed.length > 0, 'nothing was refused');
    for (const request of here) assert.match(ending(client, near, request), /^(8 bytes|WSAECONNABORTED)$/);
    assert.equal(client.provider.socketState(near), 'broken');
    for (const request of there) assert.equal(ending(client, other.near, request), '8 bytes');
    assert.equal(client.provider.socketState(other.near), 'connected.active');
    closeEverything(hosts, [other.near], [other.far]);
  });
});
