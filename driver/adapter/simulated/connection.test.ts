import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { AdapterStatus } from '../adapter.ts';
import { REJECT_BY_CONSUMER, REJECT_NO_SUCH_SERVICE } from './connector.ts';
import { AdapterMisuseError } from './misuse.ts';
import { SimulatedNetwork } from './network.ts';
import type { TestHost } from './test-host.ts';
import {
  CLIENT_ADDRESS,
  connectedHosts,
  connectPair,
  endpoint,
  PORT,
  SERVER_ADDRESS,
  TestHost as Host,
  textOf,
  twoHosts,
} from './test-host.ts';

/** The connector of the request that is the host's only event. */
function takeRequest(host: TestHost): number {
  const [event, ...others] = host.takeEvents();
  assert.equal(event?.type, 'connectRequest');
  assert.deepEqual(others, []);
  return event.connector;
}

describe('connection set-up', () => {
  test('a request, its acceptance and its confirmation carry addresses and private data', () => {
    const { client, server, listener, settle } = twoHosts();
    const near = client.createConnector();
    const from = endpoint(CLIENT_ADDRESS, 5000);
    const to = endpoint(SERVER_ADDRESS, PORT);
    assert.equal(client.adapter.connect(near, from, to, Buffer.from('hello')), AdapterStatus.ok);
    settle();
    const [request] = server.takeEvents();
    assert.equal(request?.type, 'connectRequest');
    assert.equal(request.listener, listener);
    assert.deepEqual(request.local, to);
    assert.deepEqual(request.remote, from);
    assert.equal(textOf(request.privateData), 'hello');

    assert.equal(server.accept(request.connector, 'welcome'), AdapterStatus.ok);
    settle();
    const [established] = client.takeEvents();
    assert.equal(established?.type, 'established');
    assert.equal(established.connector, near);
    assert.equal(textOf(established.privateData), 'welcome');
    assert.deepEqual(server.takeEventTypes(), ['established']);
  });

  test('private data is copied when it is handed over', () => {
    const { client, server, settle } = twoHosts();
    const data = Buffer.from('hello');
    const near = client.createConnector();
    client.adapter.connect(near, endpoint(CLIENT_ADDRESS, 0), endpoint(SERVER_ADDRESS, PORT), data);
    data.fill(0);
    settle();
    const [request] = server.takeEvents();
    assert.equal(request?.type === 'connectRequest' && textOf(request.privateData), 'hello');
  });

  test('private data may fill its limits and not pass them', () => {
    const { client, server, settle } = twoHosts();
    client.connect(SERVER_ADDRESS, 'x'.repeat(56));
    assert.throws(() => client.connect(SERVER_ADDRESS, 'x'.repeat(57)), AdapterMisuseError);
    client.connect(SERVER_ADDRESS);
    settle();
    const [first, second] = server.takeEvents();
    assert.ok(first?.type === 'connectRequest' && second?.type === 'connectRequest');
    assert.throws(() => server.accept(first.connector, 'x'.repeat(197)), AdapterMisuseError);
    assert.equal(server.adapter.accept(first.connector, Buffer.alloc(196)), AdapterStatus.ok);
    assert.throws(() => server.adapter.reject(second.connector, Buffer.alloc(149)), AdapterMisuseError);
    server.adapter.reject(second.connector, Buffer.alloc(148));
    settle();
    assert.deepEqual(client.takeEventTypes(), ['established', 'rejected']);
  });

  test('private data arrives filled up with zeros where the network does that', () => {
    const { client, server, settle } = twoHosts({ privateDataPadded: true });
    client.connect(SERVER_ADDRESS, 'hello');
    settle();
    const [request] = server.takeEvents();
    assert.ok(request?.type === 'connectRequest');
    assert.equal(textOf(request.privateData), `hello${'\0'.repeat(51)}`);
  });

  test('receives that were posted before the connection take its first messages', () => {
    const { client, server, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS);
    const answer = client.buffer(8);
    client.receive(near, { context: 1, parts: [{ buffer: answer }] });
    settle();
    const far = takeRequest(server);
    server.adapter.prepareAccept(far, server.protectionDomain, server.depths);
    const message = server.buffer(8);
    server.receive(far, { context: 2, parts: [{ buffer: message }] });
    server.adapter.accept(far, Buffer.alloc(0));
    // The accepting side may send at once; the message waits for the other end to be ready.
    server.send(far, { context: 3, parts: [{ buffer: server.text('early') }] });
    settle();
    client.send(near, { context: 4, parts: [{ buffer: client.text('late') }] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['receive 1 success 5', 'send 4 success']);
    assert.deepEqual(server.takeCompletions(), ['send 3 success', 'receive 2 success 4']);
    assert.equal(textOf(answer.bytes.subarray(0, 5)), 'early');
  });

  test('a listener on one address serves only that one, and before the one on all addresses', () => {
    const { client, server, listener, settle } = twoHosts({}, { server: { addresses: [SERVER_ADDRESS, '10.0.0.3'] } });
    const exact = server.adapter.listen(endpoint('10.0.0.3', PORT));
    client.connect('10.0.0.3');
    client.connect(SERVER_ADDRESS);
    settle();
    const listeners = server.takeEvents().map((event) => event.type === 'connectRequest' && event.listener);
    assert.deepEqual(listeners, [exact, listener]);
    server.adapter.stopListening(listener);
    client.connect(SERVER_ADDRESS);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['rejected']);
  });

  test('a listener on all addresses serves one that is added later', () => {
    const { client, server, settle } = twoHosts();
    server.adapter.setAddresses([SERVER_ADDRESS, '10.0.0.9']);
    assert.deepEqual(server.adapter.addresses(), [SERVER_ADDRESS, '10.0.0.9']);
    client.connect('10.0.0.9');
    settle();
    const [request] = server.takeEvents();
    assert.equal(request?.type === 'connectRequest' && request.local.address, '10.0.0.9');
  });

  test('IPv6 addresses connect among each other and not with IPv4', () => {
    const { client, server, settle } = twoHosts(
      {},
      { client: { addresses: [CLIENT_ADDRESS, 'fd00::1'] }, server: { addresses: ['fd00::2'] } },
    );
    server.adapter.listen(endpoint('::', 8000));
    const near = client.createConnector();
    const to = endpoint('fd00::2', 8000);
    const connect = (from: string): number => client.adapter.connect(near, endpoint(from, 0), to, Buffer.alloc(0));
    assert.equal(connect(CLIENT_ADDRESS), AdapterStatus.networkUnreachable);
    assert.equal(connect('fd00::77'), AdapterStatus.networkUnreachable);
    assert.equal(connect('::'), AdapterStatus.ok);
    assert.equal(connect('::'), AdapterStatus.invalidState);
    settle();
    const [request] = server.takeEvents();
    assert.equal(request?.type === 'connectRequest' && request.remote.address, 'fd00::1');
  });

  test('listening takes an own address and a port that is free', () => {
    const { server } = twoHosts();
    assert.equal(server.adapter.listen(endpoint(CLIENT_ADDRESS, PORT)), AdapterStatus.addressNotAvailable);
    assert.equal(server.adapter.listen(endpoint('0.0.0.0', PORT)), AdapterStatus.addressNotAvailable);
    assert.equal(server.adapter.listen(endpoint('0.0.0.0', 0)), AdapterStatus.addressNotAvailable);
    assert.ok(server.adapter.listen(endpoint('0.0.0.0', PORT + 1)) >= 0);
  });

  test('a host connects to itself', () => {
    const { server, settle } = twoHosts();
    const near = server.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    assert.notEqual(near, far);
    server.accept(far);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['established', 'established']);
    const message = server.buffer(8);
    server.receive(far, { context: 1, parts: [{ buffer: message }] });
    server.send(near, { context: 2, parts: [{ buffer: server.text('echo') }] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 4', 'send 2 success']);
    assert.equal(textOf(message.bytes.subarray(0, 4)), 'echo');
  });

  test('two addresses can be one host, and one address not two hosts', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    network.host({ addresses: ['10.0.0.1', '10.0.0.2'] });
    assert.throws(() => network.host({ addresses: ['10.0.0.2'] }), RangeError);
  });
});

describe("a request that isn't accepted", () => {
  test('a rejection carries private data, or none', () => {
    const { client, server, settle } = twoHosts();
    client.connect(SERVER_ADDRESS);
    client.connect(SERVER_ADDRESS);
    settle();
    const [first, second] = server.takeEvents();
    assert.ok(first?.type === 'connectRequest' && second?.type === 'connectRequest');
    server.adapter.reject(first.connector, Buffer.from('full'));
    // Whether prepared or not.
    server.adapter.prepareAccept(second.connector, server.protectionDomain, server.depths);
    server.adapter.reject(second.connector, Buffer.alloc(0));
    settle();
    const rejections = client.takeEvents().map((event) => {
      assert.equal(event.type, 'rejected');
      return [event.reason, textOf(event.privateData)];
    });
    assert.deepEqual(rejections, [
      [REJECT_BY_CONSUMER, 'full'],
      [REJECT_BY_CONSUMER, ''],
    ]);
    assert.equal(server.adapter.inventory().connectors, 0);
  });

  test('where nobody listens it is rejected for want of the service', () => {
    const { client, network, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS, '', PORT + 1);
    settle();
    assert.deepEqual(client.takeEvents(), [
      { type: 'rejected', connector: near, reason: REJECT_NO_SUCH_SERVICE, privateData: new Uint8Array(0) },
    ]);
    assert.ok(network.nowNs < 1_000_000);
  });

  test("an adapter that isn't open rejects as well", () => {
    const { client, server, settle } = twoHosts();
    server.adapter.close();
    client.connect(SERVER_ADDRESS);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['rejected']);
  });

  test('to an unknown host it fails after a while', () => {
    const { client, network, settle } = twoHosts({ unreachableAfterNs: 5_000_000_000 });
    client.connect('10.0.0.99');
    network.advanceTo(4_999_999_999);
    client.drain();
    assert.deepEqual(client.takeEventTypes(), []);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['connectFailed']);
  });

  test('to an unknown host it may never end by itself', () => {
    const { client, network, settle } = twoHosts({ unreachableAfterNs: null });
    const near = client.connect('10.0.0.99');
    settle();
    assert.equal(network.nextEventNs, null);
    assert.deepEqual(client.takeEventTypes(), []);
    client.adapter.destroyConnector(near);
    settle();
    assert.equal(client.adapter.inventory().connectors, 0);
  });

  test('receives of an attempt that came to nothing are flushed', () => {
    const { client, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS, '', PORT + 1);
    client.receive(near, { context: 1, parts: [{ buffer: client.buffer(8) }] });
    settle();
    assert.deepEqual(client.takeCompletions(), ['receive 1 flushed']);
  });

  test('requests that nobody heard of are rejected when listening stops', () => {
    const { network, client, server, listener, settle } = twoHosts();
    client.connect(SERVER_ADDRESS);
    network.run();
    server.adapter.stopListening(listener);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['rejected']);
    assert.deepEqual(server.takeEventTypes(), []);
    assert.equal(server.adapter.inventory().connectors, 0);
  });

  test('an undecided request outlives its listener', () => {
    const { client, server, listener, settle } = twoHosts();
    client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    server.adapter.stopListening(listener);
    assert.equal(server.accept(far), AdapterStatus.ok);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['established']);
    assert.throws(() => server.adapter.reject(far, Buffer.alloc(0)), AdapterMisuseError);
  });
});

describe('a request that is withdrawn', () => {
  for (const [how, withdraw] of [
    ['by disconnecting', (host: TestHost, near: number): void => host.adapter.disconnect(near)],
    ['by destroying the connector', (host: TestHost, near: number): void => host.adapter.destroyConnector(near)],
  ] as const) {
    test(`${how}: the peer learns of it and can't accept any more`, () => {
      const { client, server, settle } = twoHosts();
      const near = client.connect(SERVER_ADDRESS);
      settle();
      const far = takeRequest(server);
      server.adapter.prepareAccept(far, server.protectionDomain, server.depths);
      withdraw(client, near);
      settle();
      assert.deepEqual(server.takeEvents(), [{ type: 'withdrawn', connector: far }]);
      assert.equal(server.adapter.accept(far, Buffer.alloc(0)), AdapterStatus.invalidState);
      server.adapter.destroyConnector(far);
      settle();
      assert.deepEqual(client.takeEventTypes(), []);
      assert.equal(server.adapter.inventory().connectors, 0);
    });
  }

  test('before it arrives: the peer sees the request and then its end', () => {
    const { client, server, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS);
    client.adapter.destroyConnector(near);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['connectRequest', 'withdrawn']);
  });

  test("can't be prepared", () => {
    const { client, server, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS);
    client.adapter.disconnect(near);
    settle();
    const [request] = server.takeEvents();
    assert.ok(request?.type === 'connectRequest');
    assert.equal(server.accept(request.connector), AdapterStatus.invalidState);
    server.adapter.reject(request.connector, Buffer.alloc(0));
    assert.equal(server.adapter.inventory().connectors, 0);
  });

  test("while the acceptance is under way: the accepting side's attempt fails", () => {
    const { client, server, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    assert.equal(server.accept(far), AdapterStatus.ok);
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(8) }] });
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(server.takeEvents(), [{ type: 'connectFailed', connector: far }]);
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed']);
    assert.deepEqual(client.takeEventTypes(), []);
  });
});

describe('disconnecting', () => {
  test('tells the peer and flushes both sides, each queue in posting order', () => {
    const { client, server, near, far, settle } = connectedHosts();
    for (const context of [1, 2, 3]) {
      client.receive(near, { context, parts: [{ buffer: client.buffer(8) }] });
      server.receive(far, { context, parts: [{ buffer: server.buffer(8) }] });
    }
    for (const context of [4, 5]) client.send(near, { context, parts: [{ buffer: client.buffer(4) }] });
    client.adapter.disconnect(near);
    client.send(near, { context: 6, parts: [] });
    settle();
    assert.deepEqual(client.takeEventTypes(), []);
    assert.deepEqual(server.takeEvents(), [{ type: 'disconnected', connector: far }]);
    const completions = client.takeCompletions();
    assert.deepEqual(
      completions.filter((line) => line.startsWith('send')),
      ['send 4 flushed', 'send 5 flushed', 'send 6 flushed'],
    );
    assert.deepEqual(
      completions.filter((line) => line.startsWith('receive')),
      ['receive 1 flushed', 'receive 2 flushed', 'receive 3 flushed'],
    );
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed', 'receive 2 flushed', 'receive 3 flushed']);
  });

  test('what completed before is delivered before', () => {
    const { client, server, near, far, settle } = connectedHosts();
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(8) }] });
    client.send(near, { context: 2, parts: [{ buffer: client.text('bye') }] });
    settle();
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 3']);
  });

  test('from both sides at once, twice and late is harmless', () => {
    const { client, server, near, far, settle } = connectedHosts();
    client.adapter.disconnect(near);
    server.adapter.disconnect(far);
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual([...client.takeEventTypes(), ...server.takeEventTypes()], []);
    server.adapter.disconnect(far);
    client.adapter.destroyConnector(near);
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual([...client.takeEventTypes(), ...server.takeEventTypes()], []);
  });

  test('between acceptance and confirmation: the accepting side is told', () => {
    const { network, client, server, settle } = twoHosts();
    const near = client.connect(SERVER_ADDRESS);
    settle();
    server.accept(takeRequest(server));
    while (client.events.length === 0) {
      network.advance();
      client.drain();
    }
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['established', 'disconnected']);
  });

  test('destroying a connector disconnects it, and nothing names it afterwards', () => {
    const { network, client, server, near, far } = connectedHosts();
    server.receive(far, { context: 1, parts: [{ buffer: server.buffer(8) }] });
    client.adapter.disconnect(near);
    network.run();
    // Both the event and the flush wait to be polled.
    server.adapter.destroyConnector(far);
    server.drain();
    assert.deepEqual(server.takeEventTypes(), []);
    assert.deepEqual(server.takeCompletions(), []);
  });

  test("a connector that doesn't exist is the caller's error, but for a disconnect", () => {
    const { client } = twoHosts();
    client.adapter.disconnect(77);
    assert.throws(() => client.adapter.destroyConnector(77), AdapterMisuseError);
    assert.throws(() => client.send(77, { context: 1, parts: [] }), AdapterMisuseError);
    assert.throws(() => client.adapter.stopListening(77), AdapterMisuseError);
    assert.throws(() => client.adapter.deregisterMemory(77), AdapterMisuseError);
    const idle = client.createConnector();
    assert.throws(() => client.send(idle, { context: 1, parts: [] }), AdapterMisuseError);
    assert.throws(() => client.adapter.freeProtectionDomain(client.protectionDomain), AdapterMisuseError);
  });
});

describe('an adapter that is removed', () => {
  test('says so, flushes, refuses and tells the peer', () => {
    const { client, server, near, far, settle } = connectedHosts();
    client.receive(near, { context: 1, parts: [{ buffer: client.buffer(8) }] });
    client.adapter.remove();
    settle();
    assert.deepEqual(client.takeEvents(), [{ type: 'deviceRemoved' }]);
    assert.deepEqual(client.takeCompletions(), ['receive 1 flushed']);
    assert.deepEqual(server.takeEvents(), [{ type: 'disconnected', connector: far }]);
    const { adapter } = client;
    assert.deepEqual(adapter.addresses(), []);
    assert.equal(adapter.allocateProtectionDomain(), AdapterStatus.deviceRemoved);
    assert.equal(client.createConnector(), AdapterStatus.deviceRemoved);
    assert.equal(adapter.listen(endpoint('0.0.0.0', 1)), AdapterStatus.deviceRemoved);
    assert.equal(adapter.registerMemory(client.protectionDomain, new Uint8Array(1), 0), AdapterStatus.deviceRemoved);
    adapter.destroyConnector(near);
    adapter.close();
    assert.equal(adapter.open(), AdapterStatus.deviceRemoved);
  });

  test('silently: an idle peer learns nothing, one that sends finds out', () => {
    const { client, server, far, settle } = connectedHosts();
    client.adapter.remove({ peersAreTold: false });
    settle();
    assert.deepEqual(server.takeEventTypes(), []);
    server.send(far, { context: 1, parts: [{ buffer: server.buffer(8) }] });
    server.send(far, { context: 2, parts: [{ buffer: server.buffer(8) }] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['send 1 retryExceeded', 'send 2 flushed']);
    assert.deepEqual(server.takeEventTypes(), ['disconnected']);
  });

  test('a message that waits for a receive there finds out as well', () => {
    const { client, server, near, settle } = connectedHosts();
    client.send(near, { context: 1, parts: [{ buffer: client.buffer(8) }] });
    settle();
    server.adapter.remove({ peersAreTold: false });
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 1 retryExceeded']);
  });

  test('fails the attempts that it had not decided', () => {
    const { client, server, settle } = twoHosts();
    client.connect(SERVER_ADDRESS);
    settle();
    server.adapter.remove();
    settle();
    assert.deepEqual(client.takeEventTypes(), ['connectFailed']);
  });
});

describe('what a listener listens on', () => {
  test('can be removed: its owner is told, nobody reaches it, and it is still to be stopped', () => {
    const { client, server, listener, settle } = twoHosts();
    const here = server.adapter.listen(endpoint(SERVER_ADDRESS, 6000));
    server.adapter.removeListeners(({ port }) => port === 6000);
    server.adapter.removeListeners(({ port }) => port === 6000);
    settle();
    assert.deepEqual(server.takeEvents(), [{ type: 'listenerRemoved', listener: here }]);
    client.connect(SERVER_ADDRESS, '', 6000);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['rejected']);
    assert.deepEqual(server.takeEvents(), []);
    // The place is free, and who listens everywhere goes on.
    const again = server.adapter.listen(endpoint(SERVER_ADDRESS, 6000));
    assert.ok(again >= 0);
    assert.equal(server.adapter.inventory().listeners, 3);
    for (const each of [here, again]) server.adapter.stopListening(each);
    client.connect(SERVER_ADDRESS);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['connectRequest']);
    server.adapter.stopListening(listener);
    assert.equal(server.adapter.inventory().listeners, 0);
  });

  test('goes with its device, unless it is everywhere', () => {
    const { server, settle } = twoHosts();
    const here = server.adapter.listen(endpoint(SERVER_ADDRESS, 6000));
    server.adapter.removeDevice();
    settle();
    assert.deepEqual(server.takeEvents(), [{ type: 'listenerRemoved', listener: here }]);
  });
});

describe('closing the adapter', () => {
  test('frees everything that is held, tells the peers, and allows opening again', () => {
    const { client, server, near, settle } = connectedHosts();
    client.receive(near, { context: 1, parts: [{ buffer: client.buffer(8) }] });
    client.adapter.close();
    settle();
    assert.deepEqual(server.takeEventTypes(), ['disconnected']);
    assert.deepEqual(client.takeCompletions(), []);
    assert.deepEqual(Object.values(client.adapter.inventory()), [0, 0, 0, 0, 0, 0]);
    assert.equal(client.adapter.allocateProtectionDomain(), AdapterStatus.deviceRemoved);
    const again = new Host(client.adapter);
    assert.ok(again.createConnector() > near);
  });

  test('proper tear-down leaves nothing behind', () => {
    const hosts = connectedHosts();
    const { client, server, listener, settle } = hosts;
    const pairs = [[hosts.near, hosts.far] as const, connectPair(hosts), connectPair(hosts)];
    const buffers = [client, server].map((host) => ({ host, buffer: host.buffer(64) }));
    for (const [near, far] of pairs) {
      for (const { host, buffer } of buffers) {
        const connector = host === client ? near : far;
        for (let context = 0; context < 5; context++) host.receive(connector, { context, parts: [{ buffer }] });
        for (let context = 0; context < 3; context++) host.send(connector, { context, parts: [{ buffer }] });
      }
    }
    settle();
    const held = { protectionDomains: 1, regions: 1, connectors: 3, listeners: 0, postedSends: 0, postedReceives: 6 };
    assert.deepEqual(client.adapter.inventory(), held);
    for (const [near] of pairs) client.adapter.disconnect(near);
    settle();
    server.adapter.stopListening(listener);
    for (const [near, far] of pairs) {
      client.adapter.destroyConnector(near);
      server.adapter.destroyConnector(far);
    }
    for (const { host, buffer } of buffers) {
      assert.equal(host.adapter.inventory().postedReceives, 0);
      host.adapter.deregisterMemory(buffer.region.id);
      host.adapter.freeProtectionDomain(host.protectionDomain);
      assert.deepEqual(Object.values(host.adapter.inventory()), [0, 0, 0, 0, 0, 0]);
    }
  });
});
