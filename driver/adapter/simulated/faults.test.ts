import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { AdapterStatus } from '../adapter.ts';
import type { FaultPlan } from './faults.ts';
import { REFUSABLE_CALLS } from './faults.ts';
import type { TestHost } from './test-host.ts';
import { connectedHosts, connectPair, endpoint, PORT, remote, SERVER_ADDRESS, twoHosts } from './test-host.ts';

/** Faults of the server alone. */
function atServer(faults: Partial<FaultPlan>): { readonly server: { readonly faults: Partial<FaultPlan> } } {
  return { server: { faults } };
}

/** Faults of the client alone. */
function atClient(faults: Partial<FaultPlan>): { readonly client: { readonly faults: Partial<FaultPlan> } } {
  return { client: { faults } };
}

function takeRequest(host: TestHost): number {
  const [event] = host.takeEvents();
  assert.equal(event?.type, 'connectRequest');
  return event.connector;
}

describe('refused calls', () => {
  test('each kind is refused at its own exact occurrences', () => {
    const at = { at: [2] };
    // The helper itself allocates the first protection domain.
    const outOfResources = { ...Object.fromEntries(REFUSABLE_CALLS.map((call) => [call, at])) };
    const { client, server, settle } = twoHosts({}, { client: { faults: { outOfResources } } });
    const { adapter } = client;
    const full = AdapterStatus.outOfResources;
    const twice = (call: () => number): [boolean, number] => [call() >= 0, call()];

    assert.equal(adapter.allocateProtectionDomain(), full);
    const register = (): number => {
      const region = adapter.registerMemory(client.protectionDomain, new Uint8Array(8), 0);
      return typeof region === 'number' ? region : region.id;
    };
    assert.deepEqual(twice(register), [true, full]);
    assert.ok(register() >= 0);
    let port = 8000;
    assert.deepEqual(
      twice(() => adapter.listen(endpoint('0.0.0.0', port++))),
      [true, full],
    );
    const connectors: number[] = [];
    const create = (): number => connectors[connectors.push(client.createConnector()) - 1] ?? -1;
    assert.deepEqual(twice(create), [true, full]);
    create();
    const [first = -1, , second = -1] = connectors;
    const connect = (connector: number): number =>
      adapter.connect(connector, endpoint(client.address, 0), endpoint(SERVER_ADDRESS, PORT), Buffer.alloc(0));
    assert.equal(connect(first), AdapterStatus.ok);
    assert.equal(connect(second), full);
    assert.equal(connect(second), AdapterStatus.ok);

    server.connect(client.address, '', 8000);
    server.connect(client.address, '', 8000);
    settle();
    const [one, two] = client.takeEvents();
    assert.ok(one?.type === 'connectRequest' && two?.type === 'connectRequest');
    assert.equal(client.accept(one.connector), AdapterStatus.ok);
    assert.equal(client.accept(two.connector), full);
    assert.equal(adapter.prepareAccept(two.connector, client.protectionDomain, client.depths), AdapterStatus.ok);
    assert.equal(adapter.accept(two.connector, Buffer.alloc(0)), full);
    assert.equal(adapter.accept(two.connector, Buffer.alloc(0)), AdapterStatus.ok);

    assert.equal(client.receive(first, { context: 1, parts: [] }), true);
    assert.equal(client.receive(first, { context: 2, parts: [] }), false);
    assert.equal(client.receive(first, { context: 2, parts: [] }), true);
  });

  test('registration fails with a chance', () => {
    const { client } = twoHosts({ faults: { outOfResources: { registerMemory: 0.25 } } });
    let refusalCount = 0;
    for (let count = 0; count < 1000; count++) {
      const region = client.adapter.registerMemory(client.protectionDomain, new Uint8Array(8), 0);
      if (region === AdapterStatus.outOfResources) refusalCount++;
    }
    assert.ok(refusalCount > 150 && refusalCount < 350, `${refusalCount} of 1000`);
  });

  test('a chance outside 0 to 1 is no chance', () => {
    assert.throws(() => twoHosts({ faults: { messageLost: 1.5 } }), RangeError);
  });
});

describe('a lost connection', () => {
  test('the oldest send gives up, the others are flushed, both sides are told', () => {
    const { client, server, near, far, settle } = connectedHosts();
    server.receive(far, { context: 1, parts: [] });
    client.receive(near, { context: 2, parts: [] });
    client.send(near, { context: 3, parts: [] });
    client.send(near, { context: 4, parts: [] });
    client.adapter.loseConnection(near);
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 3 retryExceeded', 'send 4 flushed', 'receive 2 flushed']);
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed']);
    assert.deepEqual(client.takeEventTypes(), ['disconnected']);
    assert.deepEqual(server.takeEventTypes(), ['disconnected']);
  });

  test('at an exact message: those before it arrive', () => {
    const { client, server, near, far, settle } = connectedHosts({}, atClient({ messageLost: { at: [3] } }));
    for (const context of [1, 2, 3, 4]) server.receive(far, { context, parts: [] });
    for (const context of [1, 2, 3, 4]) client.send(near, { context, parts: [] });
    settle();
    assert.deepEqual(client.takeCompletions(), [
      'send 1 success',
      'send 2 success',
      'send 3 retryExceeded',
      'send 4 flushed',
    ]);
    assert.deepEqual(server.takeCompletions(), [
      'receive 1 success 0',
      'receive 2 success 0',
      'receive 3 flushed',
      'receive 4 flushed',
    ]);
  });

  test('some time after it is up', () => {
    const { client, server, settle } = twoHosts({ faults: { connectionLost: 1 } });
    client.connect(SERVER_ADDRESS);
    settle();
    server.accept(takeRequest(server));
    settle();
    assert.deepEqual(client.takeEventTypes(), ['established', 'disconnected']);
    assert.deepEqual(server.takeEventTypes(), ['established', 'disconnected']);
  });
});

describe('connection events that go wrong', () => {
  test('a lost request is answered by nobody', () => {
    const { client, server, settle } = twoHosts({}, atServer({ connectRequestLost: { at: [1] } }));
    client.connect(SERVER_ADDRESS);
    settle();
    assert.deepEqual([...client.takeEventTypes(), ...server.takeEventTypes()], []);
    client.connect(SERVER_ADDRESS);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['connectRequest']);
  });

  test("after a lost acceptance the caller's timer ends the attempt, and the peer is told", () => {
    const { client, server, settle } = twoHosts({}, atClient({ answerLost: 1 }));
    const near = client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    server.accept(far);
    settle();
    assert.deepEqual([...client.takeEventTypes(), ...server.takeEventTypes()], []);
    client.adapter.destroyConnector(near);
    settle();
    assert.deepEqual(server.takeEvents(), [{ type: 'connectFailed', connector: far }]);
  });

  test('after a lost rejection nothing comes', () => {
    const { client, server, settle } = twoHosts({}, atClient({ answerLost: 1 }));
    client.connect(SERVER_ADDRESS);
    settle();
    server.adapter.reject(takeRequest(server), Buffer.alloc(0));
    settle();
    assert.deepEqual(client.takeEventTypes(), []);
  });

  test('without confirmation the connection is up all the same', () => {
    const { client, server, settle } = twoHosts({}, atServer({ confirmationLost: 1 }));
    const near = client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    server.accept(far);
    server.receive(far, { context: 1, parts: [] });
    settle();
    client.send(near, { context: 2, parts: [] });
    settle();
    assert.deepEqual(server.takeEventTypes(), []);
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 0']);
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['disconnected']);
  });

  test('after a lost withdrawal the acceptance leads nowhere', () => {
    const { client, server, settle } = twoHosts({}, atServer({ withdrawalLost: 1 }));
    const near = client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    client.adapter.destroyConnector(near);
    settle();
    assert.deepEqual(server.takeEventTypes(), []);
    assert.equal(server.accept(far), AdapterStatus.ok);
    settle();
    assert.deepEqual(server.takeEventTypes(), ['connectFailed']);
  });

  test('disconnected lost: the flushed receives alone tell', () => {
    const { client, server, near, far, settle } = connectedHosts({}, atServer({ disconnectedLost: 1 }));
    server.receive(far, { context: 1, parts: [] });
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(server.takeEventTypes(), []);
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed']);
  });

  test('disconnected doubled, and echoed to the side that asked for it', () => {
    const { client, server, near, settle } = connectedHosts({
      faults: { disconnectedDoubled: 1, disconnectedEchoed: 1 },
    });
    client.adapter.disconnect(near);
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['disconnected']);
    assert.deepEqual(server.takeEventTypes(), ['disconnected', 'disconnected']);
  });

  test('disconnected late: the flushes come first; flushes slow: disconnected comes first', () => {
    for (const [faults, first] of [
      [{ eventLate: { at: [2] }, eventLateNsMax: 1_000_000 }, 'flush'],
      [{ flushDelayNsMax: 1_000_000 }, 'event'],
    ] as const) {
      const { network, client, server, near, far } = connectedHosts({}, atServer(faults));
      server.receive(far, { context: 1, parts: [] });
      server.receive(far, { context: 2, parts: [] });
      client.adapter.disconnect(near);
      while (server.events.length + server.completions.length === 0) {
        network.advance();
        server.drain();
      }
      assert.deepEqual(
        [server.events.length > 0, server.completions.length > 0],
        [first === 'event', first === 'flush'],
      );
      network.run();
      server.drain();
      assert.deepEqual(server.takeCompletions(), ['receive 1 flushed', 'receive 2 flushed']);
      assert.deepEqual(server.takeEventTypes(), ['disconnected']);
    }
  });

  test('established may come after disconnected', () => {
    const { client, server, settle } = twoHosts({}, atClient({ eventLate: { at: [1] } }));
    client.connect(SERVER_ADDRESS);
    settle();
    const far = takeRequest(server);
    server.accept(far);
    server.adapter.disconnect(far);
    settle();
    assert.deepEqual(client.takeEventTypes(), ['disconnected', 'established']);
  });

  test("a late event of a destroyed connector doesn't come", () => {
    const { network, client, server, near, far, settle } = connectedHosts({}, atServer({ eventLate: { at: [2] } }));
    client.adapter.disconnect(near);
    network.advanceTo(network.nowNs + network.settings.latencyNs);
    server.adapter.destroyConnector(far);
    settle();
    assert.deepEqual(server.takeEventTypes(), []);
  });

  test('disconnected may overtake an acknowledgement, and then the send was flushed', () => {
    for (const [disconnectOvertakes, status] of [
      [0, 'success'],
      [1, 'flushed'],
    ] as const) {
      // A read's answer is long under way, and the acknowledgement behind it.
      const { network, client, server, near, far, settle } = connectedHosts(
        { bandwidth: 1e6 },
        atServer({ disconnectOvertakes }),
      );
      const window = server.buffer(1000);
      server.receive(far, { context: 1, parts: [] });
      client.read(near, { context: 2, parts: [{ buffer: client.buffer(1000) }], remote: remote(window) });
      client.send(near, { context: 3, parts: [] });
      network.advanceTo(network.nowNs + 10_000);
      server.adapter.disconnect(far);
      settle();
      assert.deepEqual(server.takeCompletions(), ['receive 1 success 0']);
      assert.equal(client.takeCompletions().at(-1), `send 3 ${status}`);
    }
  });
});

describe('work requests that go wrong', () => {
  test("a receiver that isn't ready for a while delays the message", () => {
    const { client, server, near, far, settle } = connectedHosts({}, atServer({ receiverNotReady: { at: [1, 2] } }));
    server.receive(far, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 0']);
    assert.deepEqual(client.takeCompletions(), ['send 2 success']);
  });

  test("a receiver that isn't ready breaks the connection where nothing waits", () => {
    const { client, server, near, far, settle } = connectedHosts(
      { receiverNotReady: 'fail' },
      atServer({ receiverNotReady: { at: [1] } }),
    );
    server.receive(far, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [] });
    settle();
    assert.deepEqual(server.takeCompletions(), ['receive 1 flushed']);
    assert.deepEqual(client.takeCompletions(), ['send 2 receiverNotReady']);
  });

  test('a send that was delivered but not acknowledged may still succeed at a flush', () => {
    const { network, client, server, near, far, settle } = connectedHosts({}, atClient({ lateSuccess: 1 }));
    server.receive(far, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [] });
    network.advanceTo(network.nowNs + network.settings.latencyNs);
    client.send(near, { context: 3, parts: [] });
    client.adapter.disconnect(near);
    settle();
    assert.deepEqual(client.takeCompletions(), ['send 2 success', 'send 3 flushed']);
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 0']);
  });

  test('a slow flush keeps the order of each queue and takes what is posted meanwhile', () => {
    const { client, near, settle } = connectedHosts({}, atClient({ flushDelayNsMax: 1_000_000 }));
    for (const context of [1, 2, 3]) client.receive(near, { context, parts: [] });
    for (const context of [1, 2, 3]) client.send(near, { context, parts: [] });
    client.adapter.disconnect(near);
    client.send(near, { context: 4, parts: [] });
    client.drain();
    assert.ok(client.completions.length < 7);
    settle();
    const lines = client.takeCompletions();
    const of = (opcode: string): string[] => lines.filter((line) => line.startsWith(opcode));
    assert.deepEqual(of('send'), ['send 1 flushed', 'send 2 flushed', 'send 3 flushed', 'send 4 flushed']);
    assert.deepEqual(of('receive'), ['receive 1 flushed', 'receive 2 flushed', 'receive 3 flushed']);
  });

  test('connections of different delay overtake each other, one connection never itself', () => {
    const hosts = connectedHosts({ jitterNs: 50_000, faults: { connectionDelayNsMax: 1_000_000 } });
    const pairs = [[hosts.near, hosts.far] as const, connectPair(hosts), connectPair(hosts), connectPair(hosts)];
    const { client, server, settle } = hosts;
    for (let context = 0; context < 8; context++) {
      for (const [near, far] of pairs) {
        server.receive(far, { context, parts: [] });
        client.send(near, { context, parts: [] });
      }
    }
    settle();
    const order = server.completions.map(({ connector, context }) => ({ connector, context }));
    const posted = [0, 1, 2, 3, 4, 5, 6, 7];
    for (const [, far] of pairs) {
      const contexts = order.filter(({ connector }) => connector === far).map(({ context }) => context);
      assert.deepEqual(contexts, posted);
    }
    assert.ok(order.some(({ context }, index) => context < (order[index - 1]?.context ?? 0)));
  });
});

test('an adapter is removed at its time', () => {
  const { network, client, server, settle } = connectedHosts({}, atServer({ deviceRemovedAtNs: 5_000_000 }));
  assert.deepEqual(server.adapter.addresses(), []);
  settle();
  assert.ok(network.nowNs >= 5_000_000);
  assert.equal(client.adapter.inventory().connectors, 1);
});

test('an adapter says twice that it is removed', () => {
  const { client, server, settle } = connectedHosts({}, atServer({ deviceRemovedDoubled: { at: [1] } }));
  server.adapter.remove();
  settle();
  assert.deepEqual(server.takeEventTypes(), ['deviceRemoved', 'deviceRemoved']);
  assert.deepEqual(client.takeEventTypes(), ['disconnected']);
});
