import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { AdapterStatus, MemoryAccess, Opcode } from '../adapter.ts';
import { AdapterMisuseError } from './misuse.ts';
import { ALL_ACCESS, connectedHosts, connectPair, endpoint, fillWorkRequest, remote, textOf } from './test-host.ts';

describe('messages', () => {
  test('one message takes one receive, the oldest, and is scattered over its elements', () => {
    const { client, server, near, far, settle } = connectedHosts();
    const [first, second, third] = [server.buffer(4), server.buffer(4), server.buffer(16)];
    server.receive(far, { context: 1, parts: [{ buffer: first }, { buffer: second, offset: 1 }] });
    server.receive(far, { context: 2, parts: [{ buffer: third }] });
    const text = client.text('abcdefghij');
    client.send(near, {
      context: 3,
      parts: [
        { buffer: text, length: 2 },
        { buffer: text, offset: 5 },
      ],
    });
    client.send(near, { context: 4, parts: [] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 7', 'receive 2 success 0']);
    assert.deepEqual(client.takeCompletions(), ['send 3 success', 'send 4 success']);
    assert.equal(textOf(first.bytes), 'abfg');
    assert.equal(textOf(second.bytes), '\0hij');
    assert.equal(textOf(third.bytes), '\0'.repeat(16));
  });

  test("a send completes only when the peer's adapter has acknowledged", () => {
    const { network, client, server, near, far } = connectedHosts({ latencyNs: 50_000 });
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(4) }] });
    client.send(near, { context: 2, parts: [{ buffer: client.text('ping') }] });
    network.advanceTo(network.nowNs + 60_000);
    client.drain();
    server.drain();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 4']);
    assert.deepEqual(client.takeCompletions(), []);
    network.advanceTo(network.nowNs + 60_000);
    client.drain();
    assert.deepEqual(client.takeCompletions(), ['send 2 success']);
  });

  test('a message that meets no receive waits for one, and so do those behind it', () => {
    const { client, server, near, far, settle } = connectedHosts();
    const window = server.buffer(4);
    client.send(near, { context: 1, parts: [{ buffer: client.text('one') }] });
    client.write(near, { context: 2, parts: [{ buffer: client.text('two!') }], remote: remote(window) });
    settle();
    assert.deepEqual(client.takeCompletions(), []);
    assert.equal(textOf(window.bytes), '\0\0\0\0');
    server.receive(far, { context: 3, parts: [{ buffer: server.buffer(8) }] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 1 success', 'rdmaWrite 2 success']);
    assert.equal(textOf(window.bytes), 'two!');
  });

  test('a message that meets no receive breaks the connection where nothing waits', () => {
    const { client, server, near, far, settle } = connectedHosts({ receiverNotReady: 'fail' });
    client.receive(near, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [{ buffer: client.text('one') }] });
    client.send(near, { context: 3, parts: [] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 2 receiverNotReady', 'send 3 flushed', 'receive 1 flushed']);
    assert.deepEqual(client.takeEvents(), [{ type: 'disconnected', connector: near }]);
    assert.deepEqual(server.takeEvents(), [{ type: 'disconnected', connector: far }]);
  });

  test('a message longer than its receive breaks both sides and moves nothing', () => {
    const { client, server, near, far, settle } = connectedHosts();
    const small = server.buffer(3);
    server.receive(far, { context: 1, parts: [{ buffer: small }] });
    server.receive(far, { context: 2, parts: [{ buffer: server.buffer(8) }] });
    client.send(near, { context: 3, parts: [{ buffer: client.text('four') }] });
    client.send(near, { context: 4, parts: [] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 localLength', 'receive 2 flushed']);
    assert.deepEqual(client.takeCompletions(), ['send 3 remoteOperation', 'send 4 flushed']);
    assert.deepEqual(client.takeEventTypes(), ['disconnected']);
    assert.deepEqual(server.takeEventTypes(), ['disconnected']);
    assert.equal(textOf(small.bytes), '\0\0\0');
  });

  test("a message longer than the adapter's largest is the sender's error", () => {
    const { client, server, near, far, settle } = connectedHosts(
      {},
      { client: { capabilities: { messageSizeMax: 3 } } },
    );
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(8) }] });
    client.send(near, { context: 2, parts: [{ buffer: client.text('four') }] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 2 localLength']);
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed']);
  });

  test('a queue takes as many as its depth, and room comes back with polling', () => {
    const { network, client, server, near, far } = connectedHosts();
    const { adapter } = client;
    for (let index = 0; index < 20; index++) {
      server.receive(far, { context: index, parts: [] });
      fillWorkRequest(adapter.workRequests, index, near, Opcode.send, { context: index, parts: [] });
    }
    assert.equal(adapter.post(20), 16);
    network.run();
    assert.equal(adapter.post(20), 0);
    client.drain();
    assert.equal(adapter.post(20), 16);
    assert.equal(adapter.inventory().postedSends, 16);
    assert.equal(server.adapter.inventory().postedReceives, 16);
    assert.throws(() => adapter.post(adapter.postBatchMax + 1), AdapterMisuseError);
  });

  test("more elements than the adapter has are the caller's error", () => {
    const { client, near } = connectedHosts({}, { client: { capabilities: { elementsMax: 1 } } });
    const buffer = client.buffer(1);
    assert.throws(() => client.send(near, { context: 1, parts: [{ buffer }, { buffer }] }), AdapterMisuseError);
  });

  test('bandwidth takes time by size, latency by distance', () => {
    const { network, client, server, near, far } = connectedHosts({ bandwidth: 1e9, latencyNs: 1000 });
    const startNs = network.nowNs;
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(100_000) }] });
    client.send(near, { context: 2, parts: [{ buffer: client.buffer(100_000) }] });
    network.run();
    assert.equal(network.nowNs - startNs, 100_000 + 2 * 1000);
  });
});

describe("reading and writing the peer's memory", () => {
  test('a write is placed before a later message is delivered', () => {
    const { network, client, server, near, far } = connectedHosts({ jitterNs: 1_000_000, seed: 3 });
    const window = server.buffer(8);
    server.receive(far, { context: 1, parts: [] });
    client.write(near, { context: 2, parts: [{ buffer: client.text('data') }], remote: remote(window, 2) });
    client.send(near, { context: 3, parts: [] });
    while (server.completions.length === 0) {
      network.advance();
      server.drain();
    }
    assert.equal(textOf(window.bytes), '\0\0data\0\0');
    network.run();
    client.drain();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 2 success', 'send 3 success']);
  });

  test('a read sees earlier writes and is scattered', () => {
    const { client, server, near, settle } = connectedHosts();
    const window = server.text('01234567');
    const [left, right] = [client.buffer(3), client.buffer(3)];
    client.write(near, { context: 1, parts: [{ buffer: client.text('ab') }], remote: remote(window, 2) });
    client.read(near, { context: 2, parts: [{ buffer: left }, { buffer: right }], remote: remote(window, 1) });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 success', 'rdmaRead 2 success 6']);
    assert.equal(textOf(left.bytes) + textOf(right.bytes), '1ab456');
  });

  test('without a fence a later message overtakes the answer to a read', () => {
    const { network, client, server, near, far, settle } = connectedHosts({ latencyNs: 100_000 });
    const window = server.text('data');
    const target = client.buffer(4);
    server.receive(far, { context: 1, parts: [] });
    client.read(near, { context: 2, parts: [{ buffer: target }], remote: remote(window) });
    client.send(near, { context: 3, parts: [] });
    while (server.completions.length === 0) {
      network.advance();
      server.drain();
    }
    assert.equal(textOf(target.bytes), '\0\0\0\0');
    // What the peer concludes from the message: the read is finished, the memory is free.
    server.adapter.deregisterMemory(window.region.id);
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaRead 2 remoteAccess', 'send 3 flushed']);
    assert.equal(textOf(target.bytes), '\0\0\0\0');
  });

  test('with a fence it waits', () => {
    const { network, client, server, near, far, settle } = connectedHosts({ latencyNs: 100_000 });
    const window = server.text('data');
    const target = client.buffer(4);
    server.receive(far, { context: 1, parts: [] });
    client.read(near, { context: 2, parts: [{ buffer: target }], remote: remote(window) });
    client.send(near, { context: 3, parts: [], fence: true });
    while (server.completions.length === 0) {
      network.advance();
      server.drain();
    }
    server.adapter.deregisterMemory(window.region.id);
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaRead 2 success 4', 'send 3 success']);
    assert.equal(textOf(target.bytes), 'data');
  });

  test('a send after an unfenced read completes after it', () => {
    const { client, server, near, far, settle } = connectedHosts({ bandwidth: 1e6 });
    const window = server.buffer(1000);
    server.receive(far, { context: 1, parts: [] });
    client.read(near, { context: 2, parts: [{ buffer: client.buffer(1000) }], remote: remote(window) });
    client.send(near, { context: 3, parts: [] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaRead 2 success 1000', 'send 3 success']);
  });

  test('as many reads as the adapter allows are under way at once', () => {
    const { network, client, server, near } = connectedHosts({}, { client: { capabilities: { readDepthMax: 2 } } });
    const window = server.buffer(4);
    const startNs = network.nowNs;
    for (let context = 0; context < 4; context++) {
      client.read(near, { context, parts: [{ buffer: client.buffer(4) }], remote: remote(window) });
    }
    network.run();
    assert.equal(network.nowNs - startNs, 2 * 2 * network.settings.latencyNs);
  });

  test('an adapter without reads refuses them', () => {
    const { client, server, near, settle } = connectedHosts({}, { client: { capabilities: { readDepthMax: 0 } } });
    const window = server.buffer(4);
    client.read(near, { context: 1, parts: [{ buffer: client.buffer(4) }], remote: remote(window) });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaRead 1 fault']);
  });

  test('an access to nothing needs no key', () => {
    const { client, near, settle } = connectedHosts();
    client.write(near, { context: 1, parts: [], remote: { key: 0, address: 0 } });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 success']);
  });
});

describe('protection', () => {
  const { localWrite, remoteRead, remoteWrite } = MemoryAccess;

  test('a key, its bounds and its rights are checked at the peer; both sides break, no memory changes', () => {
    for (const [why, operation, access, keyOffset, addressOffset] of [
      ['unknown key', 'write', ALL_ACCESS, 1, 0],
      ['before the beginning', 'write', ALL_ACCESS, 0, -1],
      ['beyond the end', 'write', ALL_ACCESS, 0, 5],
      ['beyond the end', 'read', ALL_ACCESS, 0, 5],
      ['not writable', 'write', localWrite | remoteRead, 0, 0],
      ['not readable', 'read', localWrite | remoteWrite, 0, 0],
      ['not remote', 'read', localWrite, 0, 0],
    ] as const) {
      const { client, server, near, far, settle } = connectedHosts();
      const window = server.text('01234567', access);
      const buffer = client.text('ABCD');
      const { remoteKey, address } = window.region;
      server.receive(far, { context: 1, parts: [] });
      client[operation](near, {
        context: 2,
        parts: [{ buffer }],
        remote: { key: (remoteKey + keyOffset) >>> 0, address: address + addressOffset },
      });
      client.send(near, { context: 3, parts: [] });
      settle();
      const request = operation === 'read' ? 'rdmaRead' : 'rdmaWrite';
      assert.deepEqual(client.takeCompletions(), [`${request} 2 remoteAccess`, 'send 3 flushed'], why);
      assert.deepEqual(server.takeCompletions(), ['receive 1 flushed'], why);
      assert.deepEqual(client.takeEventTypes(), ['disconnected'], why);
      assert.deepEqual(server.takeEventTypes(), ['disconnected'], why);
      assert.equal(textOf(window.bytes), '01234567', why);
      assert.equal(textOf(buffer.bytes), 'ABCD', why);
    }
  });

  test('requests before the refused one succeed', () => {
    const { client, server, near, settle } = connectedHosts();
    const window = server.buffer(4);
    client.write(near, { context: 1, parts: [{ buffer: client.text('good') }], remote: remote(window) });
    client.write(near, { context: 2, parts: [{ buffer: client.text('bad!') }], remote: remote(window, 1) });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 success', 'rdmaWrite 2 remoteAccess']);
    assert.equal(textOf(window.bytes), 'good');
  });

  test('a key reaches only through a connector of its protection domain', () => {
    const { client, server, near, settle } = connectedHosts();
    const other = server.adapter.allocateProtectionDomain();
    const window = server.buffer(4, ALL_ACCESS, other);
    client.write(near, { context: 1, parts: [{ buffer: client.text('data') }], remote: remote(window) });
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 remoteAccess']);
  });

  test('a region is out of reach as soon as it is deregistered, even for what is under way', () => {
    const { network, client, server, near, settle } = connectedHosts();
    const window = server.buffer(4);
    client.write(near, { context: 1, parts: [{ buffer: client.text('data') }], remote: remote(window) });
    network.advanceTo(network.nowNs + 1);
    server.adapter.deregisterMemory(window.region.id);
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 remoteAccess']);
    assert.equal(textOf(window.bytes), '\0\0\0\0');
  });

  test('memory is out of reach as soon as the connection ends', () => {
    const { client, server, near, far, settle } = connectedHosts();
    const window = server.buffer(4);
    client.write(near, { context: 1, parts: [{ buffer: client.text('data') }], remote: remote(window) });
    server.adapter.disconnect(far);
    settle();
    assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 flushed']);
    assert.equal(textOf(window.bytes), '\0\0\0\0');
  });

  test("local elements must lie in the connector's protection domain, in bounds, and writable for what writes", () => {
    const hosts = connectedHosts();
    const { client, server, settle } = hosts;
    const readOnly = client.buffer(8, 0);
    const other = client.adapter.allocateProtectionDomain();
    const foreign = client.buffer(8, ALL_ACCESS, other);
    const window = server.buffer(8);
    for (const [operation, part, succeeds] of [
      ['write', { buffer: readOnly }, true],
      ['read', { buffer: readOnly }, false],
      ['write', { buffer: foreign }, false],
      ['write', { buffer: readOnly, length: 9 }, false],
      ['write', { buffer: readOnly, offset: -1, length: 8 }, false],
    ] as const) {
      const [near] = connectPair(hosts);
      client[operation](near, { context: 1, parts: [part], remote: remote(window) });
      settle();
      const status = succeeds ? 'success' : 'localProtection';
      const name = operation === 'read' ? 'rdmaRead' : 'rdmaWrite';
      assert.deepEqual(client.takeCompletions(), [`${name} 1 ${status}`]);
      assert.deepEqual(server.takeEventTypes(), succeeds ? [] : ['disconnected']);
    }
  });

  test("a receive into memory that isn't writable fails when it meets a message", () => {
    const { client, server, near, far, settle } = connectedHosts();
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(8, remoteRead) }] });
    client.send(near, { context: 2, parts: [{ buffer: client.text('data') }] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 localProtection']);
    assert.deepEqual(client.takeCompletions(), ['send 2 remoteOperation']);
  });

  test("memory of nothing, and a right to write that the owner lacks, can't be registered", () => {
    const { client } = connectedHosts();
    const register = (byteCount: number, access: number): unknown =>
      client.adapter.registerMemory(client.protectionDomain, new Uint8Array(byteCount), access);
    assert.equal(register(0, localWrite), AdapterStatus.badMemory);
    assert.equal(register(8, remoteWrite), AdapterStatus.badMemory);
  });

  test("keys aren't given out twice, and memory has one address in all its registrations", () => {
    const { client } = connectedHosts();
    const memory = new Uint8Array(64);
    const keys = new Set<number>();
    const addresses = new Set<number>();
    for (let count = 0; count < 1000; count++) {
      const part = memory.subarray(count % 64);
      const region = client.adapter.registerMemory(client.protectionDomain, part, ALL_ACCESS);
      assert.ok(typeof region !== 'number');
      keys.add(region.localKey).add(region.remoteKey);
      addresses.add(region.address - part.byteOffset);
      client.adapter.deregisterMemory(region.id);
    }
    assert.equal(keys.size, 2000);
    assert.equal(addresses.size, 1);
  });
});

// Goal: whatever the delays and the receiver's pace, each message arrives once, in order and whole.
// Method: both directions of several connections at once; a receiver that posts late and polls rarely.
test('messages arrive in order, once and uncorrupted', () => {
  const message = fc.record({ connection: fc.nat(2), isForth: fc.boolean(), bytes: fc.uint8Array({ maxLength: 40 }) });
  const plan = fc.record({
    seed: fc.integer(),
    jitterNs: fc.constantFrom(0, 100, 100_000),
    bandwidth: fc.constantFrom(1e6, 1e9, Number.POSITIVE_INFINITY),
    receiverNotReady: fc.constantFrom(0, 0.3),
    connectionDelayNsMax: fc.constantFrom(0, 1_000_000),
  });
  fc.assert(
    fc.property(plan, fc.array(message, { maxLength: 40 }), fc.nat(5), (options, messages, pollEvery) => {
      const { receiverNotReady, connectionDelayNsMax, ...settings } = options;
      const hosts = connectedHosts({ ...settings, faults: { receiverNotReady, connectionDelayNsMax } });
      const { network, client, server, settle } = hosts;
      client.depths = { send: 64, receive: 64 };
      server.depths = client.depths;
      const pairs = [connectPair(hosts), connectPair(hosts), connectPair(hosts)];
      const lanes = pairs.flatMap(([near, far]) => [
        { sender: client, from: near, receiver: server, to: far },
        { sender: server, from: far, receiver: client, to: near },
      ]);
      const sent = lanes.map(() => [] as string[]);
      const targets = lanes.map(() => [] as Uint8Array[]);
      for (const [index, { connection, isForth, bytes }] of messages.entries()) {
        const laneIndex = 2 * connection + (isForth ? 0 : 1);
        const { sender, from, receiver, to } = lanes[laneIndex]!;
        const buffer = sender.buffer(bytes.byteLength + 1);
        buffer.bytes.set(bytes);
        sender.send(from, { context: index, parts: [{ buffer, length: bytes.byteLength }] });
        const target = receiver.buffer(64);
        receiver.receive(to, { context: sent[laneIndex]!.length, parts: [{ buffer: target }] });
        sent[laneIndex]!.push(textOf(bytes));
        targets[laneIndex]!.push(target.bytes);
        if (pollEvery > 0 && index % pollEvery === 0) network.advance();
      }
      settle();
      for (const [laneIndex, { sender, from, receiver, to }] of lanes.entries()) {
        const arrived = receiver.completions.filter(
          ({ opcode, connector }) => opcode === 'receive' && connector === to,
        );
        assert.ok(arrived.every(({ status, context }, index) => status === 'success' && context === index));
        const texts = arrived.map(({ bytes }, index) => textOf(targets[laneIndex]![index]!.subarray(0, bytes)));
        assert.deepEqual(texts, sent[laneIndex]);
        const done = sender.completions.filter(({ opcode, connector }) => opcode === 'send' && connector === from);
        assert.equal(done.length, texts.length);
        assert.ok(
          done.every(
            ({ status, context }, index) => status === 'success' && context >= (done[index - 1]?.context ?? 0),
          ),
        );
      }
      assert.equal(client.adapter.inventory().postedReceives + server.adapter.inventory().postedSends, 0);
    }),
  );
});

test("an address of this host doesn't serve another", () => {
  const { client, server, near, settle } = connectedHosts();
  const window = server.buffer(4);
  const own = client.buffer(4);
  client.write(near, {
    context: 1,
    parts: [{ buffer: own }],
    remote: { ...remote(window), address: own.region.address },
  });
  settle();
  assert.deepEqual(client.takeCompletions(), ['rdmaWrite 1 remoteAccess']);
  assert.ok(server.adapter.listen(endpoint('0.0.0.0', 1)) >= 0);
});
