import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import type { FaultPlan } from './faults.ts';
import { Random } from './random.ts';
import { connectedHosts, endpoint, PORT, remote, SERVER_ADDRESS, type TestHost, twoHosts } from './test-host.ts';

const MANY_FAULTS: Partial<FaultPlan> = {
  connectionDelayNsMax: 100_000,
  messageLost: 0.01,
  connectionLost: 0.1,
  receiverNotReady: 0.1,
  connectRequestLost: 0.05,
  answerLost: 0.05,
  confirmationLost: 0.1,
  withdrawalLost: 0.1,
  disconnectedLost: 0.1,
  disconnectedDoubled: 0.1,
  disconnectedEchoed: 0.1,
  disconnectOvertakes: 0.1,
  eventLate: 0.1,
  flushDelayNsMax: 10_000,
  lateSuccess: 0.5,
  outOfResources: { createConnector: 0.05, accept: 0.05, post: 0.05 },
};

/** A run of random calls at both hosts. @returns all that they polled, with its time, and what they held at the end */
function trace(seed: number, faults: Partial<FaultPlan>): { readonly lines: string[]; readonly held: number } {
  const { network, client, server, listener } = twoHosts({ seed, jitterNs: 10_000, bandwidth: 1e9, faults });
  // The caller's own choices are the same in every run.
  const choice = new Random(99, 'calls');
  const lines: string[] = [];
  const buffers = [client.buffer(256), server.buffer(256)] as const;
  const known = [new Set<number>(), new Set<number>()] as const;
  const up = [new Set<number>(), new Set<number>()] as const;
  const poll = (): void => {
    for (const [index, host] of [client, server].entries()) {
      host.drain();
      for (const event of host.takeEvents()) {
        lines.push(`${network.nowNs} ${index} ${JSON.stringify(event)}`);
        if (event.type === 'connectRequest') {
          known[index]?.add(event.connector);
          if (choice.upTo(9) === 0) {
            host.adapter.reject(event.connector, Buffer.from('no'));
            known[index]?.delete(event.connector);
          } else if (host.accept(event.connector, 'yes') === 0) up[index]?.add(event.connector);
        } else if (event.type === 'established') up[index]?.add(event.connector);
      }
      for (const line of host.takeCompletions()) lines.push(`${network.nowNs} ${index} ${line}`);
    }
  };
  for (let step = 0; step < 600; step++) {
    const side = choice.upTo(1);
    const [host, buffer, window] = side === 0 ? [client, buffers[0], buffers[1]] : [server, buffers[1], buffers[0]];
    const connectors = [...(up[side] ?? [])];
    const connector = connectors[choice.upTo(Math.max(0, connectors.length - 1))];
    const request = { context: step, parts: [{ buffer, length: choice.upTo(256) }], remote: remote(window) };
    const kind = choice.upTo(11);
    if (kind === 0) {
      const near = client.createConnector();
      if (near >= 0) {
        known[0].add(near);
        client.adapter.connect(near, endpoint(client.address, 0), endpoint(SERVER_ADDRESS, PORT), Buffer.from('hi'));
      }
    } else if (connector !== undefined) {
      if (kind < 6) host.receive(connector, { context: step, parts: [{ buffer }] });
      else if (kind < 8) host.send(connector, request);
      else if (kind === 8) host.write(connector, request);
      else if (kind === 9) host.read(connector, request);
      else if (choice.upTo(9) === 0) host.adapter.disconnect(connector);
    }
    if (choice.upTo(3) === 0) poll();
  }
  network.run();
  poll();
  // The tear-down, in the order of a careful owner.
  server.adapter.stopListening(listener);
  for (const [index, host] of [client, server].entries()) {
    for (const connector of known[index] ?? []) host.adapter.disconnect(connector);
  }
  network.run();
  poll();
  let held = 0;
  for (const [index, host] of [client, server].entries()) {
    // Only now: everything is drained.
    const { postedSends, postedReceives } = host.adapter.inventory();
    held += postedSends + postedReceives;
    for (const connector of known[index] ?? []) host.adapter.destroyConnector(connector);
    host.adapter.deregisterMemory(buffers[index === 0 ? 0 : 1].region.id);
    host.adapter.freeProtectionDomain(host.protectionDomain);
    held += Object.values(host.adapter.inventory()).reduce((sum, count) => sum + count, 0);
  }
  return { lines, held };
}

describe('determinism', () => {
  test('the same seed and calls give the same run; another seed gives another', () => {
    for (const faults of [{}, MANY_FAULTS]) {
      const first = trace(7, faults);
      assert.ok(first.lines.length > 200);
      assert.deepEqual(trace(7, faults), first);
      assert.notDeepEqual(trace(8, faults).lines, first.lines);
    }
  });

  test("a fault that doesn't strike changes nothing", () => {
    const first = trace(7, {});
    assert.deepEqual(trace(7, { messageLost: { at: [1_000_000] }, eventLate: 1e-12 }), first);
  });

  test('whatever goes wrong, each work request completes and nothing is left behind', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => trace(seed, MANY_FAULTS).held === 0),
      { numRuns: 50 },
    );
  });
});

describe('time', () => {
  test('stands still between calls and moves with each poll', () => {
    const { network, client } = twoHosts({ pollQuantumNs: 250 });
    assert.equal(network.nowNs, 0);
    client.adapter.poll();
    client.adapter.pollConnectionEvent();
    assert.equal(network.nowNs, 500);
  });

  test('a caller who only polls makes progress', () => {
    const { client, server } = twoHosts();
    client.connect(SERVER_ADDRESS);
    for (let count = 0; server.events.length === 0 && count < 1000; count++) server.drain();
    assert.deepEqual(server.takeEventTypes(), ['connectRequest']);
  });

  test('advances from instant to instant, and not when nothing is due', () => {
    const { network, client, server } = twoHosts({ latencyNs: 3000 });
    assert.equal(network.advance(), false);
    client.connect(SERVER_ADDRESS);
    assert.equal(network.nextEventNs, 3000);
    assert.equal(network.advance(), true);
    assert.equal(network.nowNs, 3000);
    assert.equal(server.adapter.wakeUp.arm(), true);
    network.advanceTo(10_000);
    network.advanceTo(5000);
    assert.equal(network.nowNs, 10_000);
  });

  test('a network that never rests is given up', () => {
    const { network, client, server, near, far } = connectedHosts({ faults: { receiverNotReady: 1 } });
    server.receive(far, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [] });
    assert.equal(network.run(1000), false);
  });

  test("timers of a host's clock are instants to advance to; a network at rest doesn't wait for them", () => {
    const { network, client, server } = twoHosts();
    client.adapter.clock.setTimer(3, 2.5);
    server.adapter.clock.setTimer(3, 1);
    assert.equal(network.run(), true);
    assert.equal(network.nowNs, 0);
    network.advance();
    assert.equal(server.adapter.clock.nowMs(), 1);
    assert.deepEqual([client.adapter.clock.takeExpired(), server.adapter.clock.takeExpired()], [-1, 3]);
    network.advance();
    assert.equal(client.adapter.clock.nextExpiryMs(), 2.5);
    // Expired and not taken: nothing more to advance to.
    assert.equal(network.advance(), false);
    assert.equal(client.adapter.clock.takeExpired(), 3);
    assert.equal(client.adapter.clock.nextExpiryMs(), null);
  });
});

const untilWoken = ({ adapter }: TestHost): Promise<void> => new Promise((resolve) => adapter.wakeUp.wait(resolve));

describe('sleeping', () => {
  test('time passes while everybody sleeps, until something is ready', async () => {
    const { client, server, near, far } = connectedHosts();
    assert.equal(server.adapter.wakeUp.arm(), false);
    const wakened = Promise.all([untilWoken(server), untilWoken(client)]);
    server.receive(far, { context: 1, parts: [] });
    client.send(near, { context: 2, parts: [] });
    await wakened;
    assert.equal(server.adapter.wakeUp.arm(), true);
    await untilWoken(server);
    server.drain();
    assert.deepEqual(server.takeCompletions(), ['receive 1 success 0']);
  });

  test('a timer wakes its host', async () => {
    const { client } = twoHosts();
    client.adapter.clock.setTimer(0, 60_000);
    await untilWoken(client);
    assert.equal(client.adapter.clock.takeExpired(), 0);
    assert.equal(client.adapter.clock.nowMs(), 60_000);
  });
});
