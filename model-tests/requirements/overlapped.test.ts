// Overlapped requests: what a switch sees of one from its call to its end. WSD-120 to WSD-136.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { COMPLETION_WORDS, out, type Socket, WsaOverlapped } from '../../driver/index.ts';
import { end } from '../support/story.ts';
import {
  closeEverything,
  ending,
  fill,
  list,
  notified,
  RecordingOverlapped,
  switchHandle,
  transfer,
  written,
} from '../support/transfers.ts';
import { type Connected, connectedHosts, connectPair, type Host, type Request } from '../support/two-hosts.ts';

/** One request of each kind at the client; the server has memory for the remote ones and a receive posted. */
function oneOfEach(hosts: Connected, notify = false): Readonly<Record<'recv' | 'send' | 'write' | 'read', Request>> {
  const { client, server, near, far, nearMemory, farMemory, nearHandle: handle } = hosts;
  const { descriptor } = server.registerRdma(far, farMemory);
  server.recv(far, farMemory.subarray(0, 64));
  const part = (index: number) => list(nearMemory, [index * 64, index * 64 + 64]).map((each) => ({ ...each, handle }));
  return {
    recv: transfer(client, near, { kind: 'recv', buffers: part(0), notify }),
    send: transfer(client, near, { kind: 'send', buffers: part(1), notify }),
    write: transfer(client, near, { kind: 'write', buffers: part(2), descriptor, offset: 1024, notify }),
    read: transfer(client, near, { kind: 'read', buffers: part(3), descriptor, offset: 2048, notify }),
  };
}

/** Every way in which a request can end, as a story about a receive and a send of the client that are pending. */
const endings: Readonly<
  Record<string, { readonly recv: string; readonly send: string; end(hosts: Connected, requests: Request[]): void }>
> = {
  transferred: {
    recv: '5 bytes',
    send: '7 bytes',
    end: ({ server, far, farMemory, run }) => {
      server.recv(far, farMemory.subarray(0, 64));
      server.send(far, farMemory.subarray(100, 105));
      run();
    },
  },
  'message too long': {
    recv: 'WSAEMSGSIZE',
    send: 'WSAECONNABORTED',
    end: ({ server, far, farMemory, run }) => {
      server.send(far, farMemory.subarray(0, 65));
      run();
    },
  },
  closed: {
    recv: 'WSA_OPERATION_ABORTED',
    send: 'WSA_OPERATION_ABORTED',
    end: ({ client, near, run }) => {
      client.close(near);
      run();
    },
  },
  'cleaned up': {
    recv: 'WSA_OPERATION_ABORTED',
    send: 'WSA_OPERATION_ABORTED',
    end: ({ client, run }) => {
      client.cleanup();
      run();
    },
  },
  'closed by the peer': {
    recv: 'WSAECONNRESET',
    send: 'WSAECONNRESET',
    end: ({ server, far, run }) => {
      server.close(far);
      run();
    },
  },
  'adapter removed': {
    recv: 'WSAENETDOWN',
    send: 'WSAENETDOWN',
    end: ({ client, run }) => {
      client.adapter.remove();
      run();
    },
  },
  // The peer has no receive posted. So the send is stuck, against the rules of 15.2, and with it the news for the peer.
  'handed over': {
    recv: '0 bytes',
    send: 'WSAECONNABORTED',
    end: ({ client, near, pass }) => {
      assert.equal(client.duplicate(near).error, '0');
      pass(40_000);
    },
  },
};

/** A receive and a send of the client that can't get on: the server has posted nothing, its first message aside. */
function pendingPair(
  notify: boolean,
  structures = [new WsaOverlapped(), new WsaOverlapped()] as const,
): { hosts: Connected; recv: Request; send: Request } {
  const hosts = connectedHosts({ network: { retryTimeoutNs: 1e12 } });
  const { client, server, near, far, nearMemory, farMemory, run } = hosts;
  // Uses up the private first receive, so that the next send waits for a receive of the switch's.
  client.send(near, nearMemory.subarray(0, 1));
  server.recv(far, farMemory.subarray(0, 1));
  run();
  const recv = client.recv(near, nearMemory.subarray(0, 64), { notify, overlapped: structures[0] });
  const send = client.send(near, nearMemory.subarray(64, 71), { notify, overlapped: structures[1] });
  run();
  assert.deepEqual([written(recv), written(send)], ['pending', 'pending']);
  return { hosts, recv, send };
}

describe('starting a request', () => {
  test('WSD-120: the data functions return without waiting for the network', () => {
    const hosts = connectedHosts({ network: { latencyNs: 1e9 } });
    const { network, client } = hosts;
    const before = network.nowNs;
    const upcalls = client.upcalls.length;
    const requests = Object.values(oneOfEach(hosts));
    assert.equal(network.nowNs, before);
    for (const { result, overlapped } of requests) {
      assert.deepEqual(result, { value: -1, error: 'WSA_IO_PENDING' });
      assert.equal(overlapped.internal, 0x103n);
    }
    assert.equal(client.upcalls.length, upcalls);
    closeEverything(hosts);
  });

  test('WSD-121: WSA_IO_PENDING is followed by exactly one completion, any other error by none', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const { send, write, read, recv } = oneOfEach(hosts, true);
    server.send(far, farMemory.subarray(0, 3));
    const refused = [
      transfer(client, near, { kind: 'send', buffers: list(nearMemory, [0, 8]), flags: 1, notify: true }),
      transfer(client, near, { kind: 'recv', buffers: list(nearMemory, [0, 0]), notify: true }),
      transfer(client, near, { kind: 'send', buffers: list(new Uint8Array(8), [0, 8]), notify: true }),
    ];
    run();
    run();
    client.close(near);
    run();
    for (const request of [send, write, read]) assert.deepEqual(notified(client, request), ['64 bytes']);
    assert.deepEqual(notified(client, recv), ['3 bytes']);
    for (const request of refused) {
      assert.notEqual(request.result.error, 'WSA_IO_PENDING');
      assert.deepEqual(notified(client, request), []);
      assert.deepEqual([...request.overlapped.words], [0, 0, 0, 0, 0, 0, 0x20, 0], 'the structure was touched');
    }
    assert.equal(client.completions.length, 4);
    closeEverything(hosts);
  });

  test('WSD-121: a request that the adapter has no room for was never there', () => {
    const hosts = connectedHosts({ client: { adapter: { faults: { outOfResources: { post: { at: [1] } } } } } });
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    const overlapped = new WsaOverlapped();
    overlapped.words.set([0xc000_0001, 2, 3, 4, 5, 6]);
    const refused = client.send(near, fill(nearMemory.subarray(0, 8)), { notify: true, overlapped });
    assert.equal(refused.result.error, 'WSAENOBUFS');
    assert.deepEqual([...overlapped.words], [0xc000_0001, 2, 3, 4, 5, 6, 0x20, 0]);
    run();
    assert.deepEqual(client.completions, []);
    // Nor does it stand in the way: the same structure and the same memory serve the next request.
    const received = server.recv(far, farMemory.subarray(0, 8));
    const sent = client.send(near, nearMemory.subarray(0, 8), { notify: true, overlapped });
    assert.equal(sent.result.error, 'WSA_IO_PENDING');
    run();
    assert.deepEqual([ending(server, far, received), notified(client, sent)], ['8 bytes', ['8 bytes']]);
    assert.equal(client.deregister(near, nearHandle).error, '0');
    closeEverything(hosts);
  });

  test('WSD-121: of a split request that the adapter takes a part of, the rest fails: it completes once', () => {
    const adapter = { capabilities: { elementsMax: 1 }, faults: { outOfResources: { post: { at: [3] } } } };
    const hosts = connectedHosts({ client: { adapter } });
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const buffers = list(nearMemory, [0, 1], [1, 2], [2, 3], [3, 4]).map((each) => ({ ...each, handle }));
    const write = transfer(client, near, { kind: 'write', buffers, descriptor, notify: true });
    assert.equal(write.result.error, 'WSA_IO_PENDING');
    run();
    assert.deepEqual(notified(client, write), ['WSAECONNABORTED']);
    assert.equal(client.provider.socketState(near), 'broken');
    closeEverything(hosts);
  });

  test('WSD-133: without a structure the data functions answer WSAEINVAL', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
    for (const kind of ['send', 'recv', 'write', 'read'] as const) {
      const { result } = transfer(client, near, { kind, buffers, descriptor, overlapped: null });
      assert.deepEqual(result, { value: -1, error: 'WSAEINVAL' }, kind);
    }
    run();
    assert.deepEqual(client.completions, []);
    assert.equal(client.provider.inventory().requests, 0);
    closeEverything(hosts);
  });

  test('WSD-136: the arrays of buffers may be reused at once, by posted, held and paired requests alike', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const count = 40;
    fill(nearMemory.subarray(0, 2 * count));
    const scratch = new Uint8Array(8);
    const array: { len: number; buf: Uint8Array }[] = [];
    const use = (host: Host, s: Socket, kind: 'send' | 'recv', memory: Uint8Array, index: number): Request => {
      array[0] = { len: 1, buf: memory.subarray(2 * index, 2 * index + 1) };
      array[1] = { len: 1, buf: memory.subarray(2 * index + 1, 2 * index + 2) };
      const request = transfer(host, s, { kind, buffers: array });
      Object.assign(array[0]!, { len: 8, buf: scratch });
      array[1] = { len: 8, buf: scratch };
      return request;
    };
    const received = Array.from({ length: count }, (_, index) => use(server, far, 'recv', farMemory, index));
    const sent = Array.from({ length: count }, (_, index) => use(client, near, 'send', nearMemory, index));
    run();
    for (const request of received) assert.equal(ending(server, far, request), '2 bytes');
    for (const request of sent) assert.equal(ending(client, near, request), '2 bytes');
    assert.deepEqual(farMemory.subarray(0, 2 * count), nearMemory.subarray(0, 2 * count));
    assert.deepEqual(scratch, new Uint8Array(8));
    closeEverything(hosts);
  });
});

describe('notification', () => {
  for (const [name, story] of Object.entries(endings)) {
    test(`WSD-122: a polled request is never notified, whatever its outcome: ${name}`, () => {
      const { hosts, recv, send } = pendingPair(false);
      story.end(hosts, [recv, send]);
      assert.deepEqual([written(recv), written(send)], [story.recv, story.send]);
      assert.deepEqual(hosts.client.completions, []);
      end(hosts);
      assert.deepEqual(hosts.client.completions, []);
    });

    test(`WSD-123: any other request is notified once, with its socket, structure, error and bytes: ${name}`, () => {
      const { hosts, recv, send } = pendingPair(true);
      const { client, near } = hosts;
      const handle = switchHandle(client, near);
      story.end(hosts, [recv, send]);
      assert.deepEqual([notified(client, recv), notified(client, send)], [[story.recv], [story.send]]);
      for (const upcall of client.completions) assert.equal(upcall.handle, handle);
      assert.notEqual(handle, near);
      end(hosts);
      assert.equal(client.completions.length, 2);
    });
  }

  test('WSD-123: the low bit counts as it was when the request began', () => {
    const { hosts, recv, send } = pendingPair(true);
    recv.overlapped.hEvent = 1n;
    send.overlapped.hEvent = 0n;
    const { client, server, far, farMemory, run } = hosts;
    server.recv(far, farMemory.subarray(0, 64));
    server.send(far, farMemory.subarray(0, 5));
    run();
    assert.deepEqual([notified(client, recv), notified(client, send)], [['5 bytes'], ['7 bytes']]);
    closeEverything(hosts);
  });

  test('WSD-134: completion up-calls of a socket are not nested, and those of another socket are not kept waiting', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, listener, run } = hosts;
    const other = connectPair(hosts, listener, 5000, 4001);
    const otherMemory = new Uint8Array(64);
    client.register(other.near, otherMemory);
    const otherFarMemory = new Uint8Array(64);
    server.register(other.far, otherFarMemory);
    for (const s of [0, 8]) server.recv(far, farMemory.subarray(s, s + 8));
    server.recv(other.far, otherFarMemory.subarray(0, 8));
    const first = client.send(near, nearMemory.subarray(0, 8), { notify: true });
    const second = client.send(near, nearMemory.subarray(8, 16), { notify: true });
    const third = client.send(other.near, otherMemory.subarray(0, 8), { notify: true });
    const log: string[] = [];
    const names = new Map([first, second, third].map(({ overlapped }, index) => [overlapped, index + 1]));
    client.onComplete = (overlapped) => {
      const name = names.get(overlapped);
      log.push(`begin ${name}`);
      if (name === 1) {
        for (let round = 0; round < 100; round++) client.provider.poll();
        log.push(`second ${ending(client, near, second)}`, `third ${ending(client, other.near, third)}`);
      }
      log.push(`end ${name}`);
    };
    run();
    assert.deepEqual(log, [
      'begin 1',
      'begin 3',
      'end 3',
      'second pending',
      'third 8 bytes',
      'end 1',
      'begin 2',
      'end 2',
    ]);
    closeEverything(hosts, [other.near], [other.far]);
  });

  test('WSD-135: the memory of a request is released before its completion is signalled', () => {
    for (const how of ['transfer', 'close', 'reset'] as const) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, nearHandle, farHandle, run } = hosts;
      const [host, s, handle] = how === 'reset' ? [server, far, farHandle] : [client, near, nearHandle];
      const memory = how === 'reset' ? farMemory : nearMemory;
      host.recv(s, memory.subarray(0, 8), { notify: true });
      assert.equal(host.deregister(s, handle).error, 'WSAEINVAL');
      const answers: string[] = [];
      host.onComplete = () => {
        // After a close the socket can't be asked any more; what it had registered, its owner may use.
        if (how !== 'close') answers.push(host.deregister(s, handle).error);
        else answers.push(String(host.provider.inventory().buffers));
      };
      if (how === 'transfer') server.send(far, farMemory.subarray(0, 4));
      else client.close(near);
      run();
      assert.deepEqual(answers, [how === 'close' ? '1' : '0'], how);
      closeEverything(hosts);
    }
  });

  test('WSD-135: a polled request whose structure says done holds no memory', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, nearHandle, run } = hosts;
    const overlapped = new RecordingOverlapped();
    let answer = '';
    const received = client.recv(near, nearMemory.subarray(0, 8), { overlapped });
    server.send(far, farMemory.subarray(0, 4));
    assert.equal(client.deregister(near, nearHandle).error, 'WSAEINVAL');
    overlapped.onWrite = (field) => {
      if (field === 'internal') answer = client.deregister(near, nearHandle).error;
    };
    run();
    assert.equal(answer, '0');
    assert.equal(written(received), '4 bytes');
    closeEverything(hosts);
  });
});

describe('the structure', () => {
  test('WSD-124: Internal is 0x103 from before posting until completion', () => {
    const hosts = connectedHosts();
    const { client, server, far, farMemory, run } = hosts;
    const { adapter } = client;
    const atPost: bigint[] = [];
    let overlapped = new RecordingOverlapped();
    const post = adapter.post.bind(adapter);
    adapter.post = (count) => {
      atPost.push(overlapped.internal);
      return post(count);
    };
    const { near, nearMemory, nearHandle: handle } = hosts;
    const { descriptor } = server.registerRdma(far, farMemory);
    const buffers = list(nearMemory, [0, 8]).map((each) => ({ ...each, handle }));
    const structures = (['recv', 'send', 'write', 'read'] as const).map((kind) => {
      overlapped = new RecordingOverlapped();
      transfer(client, near, { kind, buffers, descriptor, overlapped, notify: kind !== 'send' });
      return overlapped;
    });
    assert.deepEqual(atPost, [0x103n, 0x103n, 0x103n, 0x103n]);
    server.recv(far, farMemory.subarray(0, 8));
    server.send(far, farMemory.subarray(0, 8));
    for (const { internal, writes } of structures) {
      assert.equal(internal, 0x103n);
      writes.length = 0;
    }
    run();
    for (const { internal, writes } of structures) {
      assert.equal(internal, 0n);
      // Once: by the provider when it is polled, otherwise by the switch in its up-call.
      assert.equal(writes.filter((field) => field === 'internal').length, 1);
    }
    closeEverything(hosts);
  });

  test('WSD-125: Offset and OffsetHigh hold flags and error before the completion is published', () => {
    for (const notify of [false, true]) {
      for (const [name, story] of Object.entries(endings)) {
        const structures = [new RecordingOverlapped(), new RecordingOverlapped()] as const;
        const { hosts, recv, send } = pendingPair(notify, structures);
        const published: string[] = [];
        for (const overlapped of structures) {
          overlapped.offset = 77;
          overlapped.offsetHigh = 77;
          // Who sees that Internal has changed sees the other fields as they will be.
          overlapped.onWrite = (field) => {
            if (field !== 'internal') return;
            assert.equal(overlapped.offset, 0);
            published.push(written({ overlapped }));
          };
        }
        story.end(hosts, [recv, send]);
        assert.deepEqual(published.toSorted(), [story.recv, story.send].toSorted(), name);
        end(hosts);
        assert.deepEqual([written(recv), written(send)], [story.recv, story.send]);
      }
    }
  });

  test('WSD-126, WSD-127: of a polled structure Internal is written last, and hEvent never', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const overlapped = new RecordingOverlapped();
    const received = transfer(client, near, { kind: 'recv', buffers: list(nearMemory, [0, 8]), overlapped });
    assert.equal(received.result.error, 'WSA_IO_PENDING');
    overlapped.offset = 9;
    overlapped.offsetHigh = 9;
    overlapped.writes.length = 0;
    server.send(far, farMemory.subarray(0, 5));
    run();
    assert.deepEqual(overlapped.writes, ['internalHigh', 'offset', 'offsetHigh', 'internal']);
    assert.equal(written(received), '5 bytes');

    // Again, to an end with an error.
    transfer(client, near, { kind: 'recv', buffers: list(nearMemory, [0, 8]), overlapped });
    overlapped.writes.length = 0;
    server.close(far);
    run();
    assert.deepEqual(overlapped.writes, ['offsetHigh', 'internal']);
    assert.equal(written(received), 'WSAECONNRESET');
    closeEverything(hosts);
  });

  test('WSD-127: hEvent is never written, by no call and no outcome', () => {
    for (const hEvent of [0n, 1n, 0x1234_5678_9abc_def0n, 0xffff_ffff_ffff_ffffn]) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory, run } = hosts;
      const { provider, errno } = client;
      const structures = Array.from({ length: 3 }, () => {
        const overlapped = new RecordingOverlapped();
        overlapped.hEvent = hEvent;
        overlapped.writes.length = 0;
        const buffers = list(nearMemory, [0, 8]);
        provider.WSPRecv(near, buffers, 1, null, out(0), overlapped, null, null, errno);
        return overlapped;
      });
      const refused = new RecordingOverlapped();
      provider.WSPSend(near, list(nearMemory, [0, 8]), 1, null, 4, refused, null, null, errno);
      server.send(far, farMemory.subarray(0, 5));
      run();
      client.close(near);
      run();
      for (const overlapped of structures) {
        assert.equal(overlapped.internal, 0n);
        assert.ok(!overlapped.writes.includes('hEvent'));
        assert.equal(overlapped.hEvent, hEvent);
      }
      assert.deepEqual(refused.writes, []);
      closeEverything(hosts);
    }
  });
});

describe('asking for the result', () => {
  test('WSD-128: of a pending request the answer is WSA_IO_INCOMPLETE, and nothing is stored', () => {
    const hosts = connectedHosts();
    const { client, near, nearMemory } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 8));
    const bytes = out(77);
    const flags = out(78);
    const { provider, errno } = client;
    assert.equal(provider.WSPGetOverlappedResult(near, received.overlapped, bytes, false, flags, errno), false);
    assert.deepEqual([errno.value, bytes.value, flags.value], [996, 77, 78]);
    assert.equal(written(received), 'pending');
    closeEverything(hosts);
  });

  test('WSD-129: asking alone makes progress: no event loop and no thread are needed', () => {
    for (const notify of [false, true]) {
      const hosts = connectedHosts();
      const { client, server, near, far, nearMemory, farMemory } = hosts;
      server.recv(far, farMemory.subarray(0, 8));
      const requests = [0, 8, 16].map((at) => client.send(near, nearMemory.subarray(at, at + 8), { notify }));
      for (const at of [8, 16]) server.recv(far, farMemory.subarray(at, at + 8));
      const states = new Set<string>();
      for (let round = 0; round < 1000; round++) states.add(ending(client, near, requests[2]!));
      assert.deepEqual([...states], ['pending', '8 bytes']);
      for (const request of requests) assert.deepEqual(notified(client, request), notify ? ['8 bytes'] : []);
      closeEverything(hosts);
    }
  });

  test('WSD-129: a peer that closes is noticed by asking alone', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory } = hosts;
    const received = client.recv(near, nearMemory.subarray(0, 8));
    server.close(far);
    let last = 'pending';
    for (let round = 0; round < 1000 && last === 'pending'; round++) last = ending(client, near, received);
    assert.equal(last, 'WSAECONNRESET');
    closeEverything(hosts);
  });

  test('WSD-130: success gives TRUE, bytes and flags; failure gives FALSE and the error, and stores no bytes', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    const [done, failed] = [0, 8].map((at) => client.recv(near, nearMemory.subarray(at, at + 8)));
    server.send(far, farMemory.subarray(0, 5));
    run();
    server.close(far);
    run();
    const { provider, errno } = client;
    const bytes = out(77);
    const flags = out(78);
    assert.equal(provider.WSPGetOverlappedResult(near, done!.overlapped, bytes, false, flags, errno), true);
    assert.deepEqual([errno.value, bytes.value, flags.value], [0, 5, 0]);
    bytes.value = 77;
    assert.equal(provider.WSPGetOverlappedResult(near, failed!.overlapped, bytes, false, flags, errno), false);
    assert.deepEqual([errno.value, bytes.value, flags.value], [10054, 77, 0]);
    closeEverything(hosts);
  });

  test('WSD-131: the result is the same on repeated calls, whatever became of the connection', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    server.recv(far, farMemory.subarray(0, 8));
    const sent = client.send(near, nearMemory.subarray(0, 8));
    run();
    for (let round = 0; round < 5; round++) assert.equal(ending(client, near, sent), '8 bytes');
    server.close(far);
    run();
    for (let round = 0; round < 5; round++) assert.equal(ending(client, near, sent), '8 bytes');
    closeEverything(hosts);
    assert.equal(ending(client, near, sent), 'WSANOTINITIALISED');
  });

  test('WSD-132: waiting needs an event that can be waited for', () => {
    const hosts = connectedHosts();
    const { network, client, server, near, far, nearMemory, farMemory } = hosts;
    const { provider, errno } = client;
    const wait = ({ overlapped }: Request): [boolean, number] => [
      provider.WSPGetOverlappedResult(near, overlapped, out(0), true, out(0), errno),
      errno.value,
    ];
    const polled = client.recv(near, nearMemory.subarray(0, 8));
    const eventless = transfer(client, near, { kind: 'recv', buffers: list(nearMemory, [8, 16]), notify: true });
    eventless.overlapped.hEvent = 0n;
    const before = network.nowNs;
    assert.deepEqual(wait(polled), [false, 6]);
    assert.deepEqual(wait(eventless), [false, 6]);
    assert.equal(network.nowNs, before);
    assert.deepEqual([written(polled), written(eventless)], ['pending', 'pending']);
    // With an event, the call returns when the request is done.
    const waited = client.recv(near, nearMemory.subarray(16, 24), { notify: true });
    for (const at of [0, 8, 16]) server.send(far, farMemory.subarray(at, at + 8));
    assert.deepEqual(wait(waited), [true, 0]);
    // What is done needs no waiting.
    assert.deepEqual(
      [wait(polled), wait(eventless)],
      [
        [true, 0],
        [true, 0],
      ],
    );
    closeEverything(hosts);
  });
});

describe('order', () => {
  test('WSD-134: send-side requests of every kind and size complete in the order of their calls', () => {
    for (const elementsMax of [1, 2, 4]) {
      const hosts = connectedHosts({ client: { adapter: { capabilities: { elementsMax } } } });
      const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
      const { descriptor } = server.registerRdma(far, farMemory);
      const order: number[] = [];
      const names = new Map<WsaOverlapped, number>();
      client.onComplete = (overlapped) => void order.push(names.get(overlapped)!);
      for (let index = 0; index < 60; index++) {
        const kind = (['write', 'send', 'read', 'send'] as const)[index % 4]!;
        const parts = kind === 'send' ? 1 : 1 + ((index * 5) % 8);
        if (kind === 'send') server.recv(far, farMemory.subarray(60_000, 60_008));
        const spans = Array.from({ length: parts }, (_, part) => [part * 4, part * 4 + 4] as const);
        const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
        const { overlapped } = transfer(client, near, { kind, buffers, descriptor, notify: true });
        names.set(overlapped, index);
      }
      run();
      assert.deepEqual(
        order,
        Array.from({ length: 60 }, (_, index) => index),
      );
      closeEverything(hosts);
    }
  });

  test('WSD-134: an adapter that reports out of order does not disturb the order of the calls', () => {
    const hosts = connectedHosts({ client: { adapter: { capabilities: { elementsMax: 1 } } } });
    const { client, server, near, far, nearMemory, farMemory, nearHandle: handle, run } = hosts;
    const { adapter } = client;
    const { descriptor } = server.registerRdma(far, farMemory);
    // The newest completion of a batch first.
    const poll = adapter.poll.bind(adapter);
    adapter.poll = () => {
      const count = poll();
      const { completions } = adapter;
      const batch = Array.from({ length: count }, (_, index) =>
        completions.slice(index * COMPLETION_WORDS, (index + 1) * COMPLETION_WORDS),
      );
      for (const [index, words] of batch.reverse().entries()) completions.set(words, index * COMPLETION_WORDS);
      return count;
    };
    const order: number[] = [];
    const requests = Array.from({ length: 8 }, (_, index) => {
      const spans = Array.from({ length: 1 + (index % 3) }, (_, part) => [part * 4, part * 4 + 4] as const);
      const buffers = list(nearMemory, ...spans).map((each) => ({ ...each, handle }));
      const overlapped = new RecordingOverlapped();
      const request = transfer(client, near, {
        kind: 'write',
        buffers,
        descriptor,
        notify: index % 2 === 0,
        overlapped,
      });
      overlapped.onWrite = (field) => {
        if (field === 'internal') order.push(index);
      };
      return request;
    });
    // All of them are in one batch.
    hosts.network.run();
    run();
    // Up-calls wait for a turn of the loop; polled requests don't, but none is ahead of an older one of its kind.
    assert.deepEqual(
      order.filter((index) => index % 2 === 0),
      [0, 2, 4, 6],
    );
    assert.deepEqual(
      order.filter((index) => index % 2 === 1),
      [1, 3, 5, 7],
    );
    for (const [index, request] of requests.entries()) {
      assert.equal(ending(client, near, request), `${4 * (1 + (index % 3))} bytes`);
    }
    closeEverything(hosts);
  });

  test('WSD-134: flushed requests complete in the order of their calls, those that were never posted too', () => {
    const hosts = connectedHosts({ network: { faults: { flushDelayNsMax: 5_000 } } });
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    client.send(near, nearMemory.subarray(0, 1));
    server.recv(far, farMemory.subarray(0, 1));
    run();
    const sent = Array.from({ length: 50 }, () => client.send(near, nearMemory.subarray(0, 8), { notify: true }));
    const received = Array.from({ length: 50 }, () => client.recv(near, nearMemory.subarray(0, 8), { notify: true }));
    server.close(far);
    run();
    const order = (requests: readonly Request[]) => {
      const index = new Map(requests.map(({ overlapped }, at) => [overlapped, at]));
      return client.completions.flatMap(({ overlapped }) => index.get(overlapped) ?? []);
    };
    const all = Array.from({ length: 50 }, (_, at) => at);
    assert.deepEqual([order(sent), order(received)], [all, all]);
    for (const { error } of client.completions) assert.equal(error, 'WSAECONNRESET');
    closeEverything(hosts);
  });
});
