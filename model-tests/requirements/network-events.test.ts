// Goal: selecting and enumerating network events is as WSD-100..108 say.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, type Socket, WsaNetworkEvents } from '../../driver/index.ts';
import { FD_ACCEPT, FD_CONNECT, INVALID_SOCKET, wsaName } from '../../machines/index.ts';
import { bound, connecting, end, eventsSet, listening, must } from '../support/story.ts';
import { connectedHosts, type Host, twoHosts } from '../support/two-hosts.ts';

const EVENT = 0x20n;
const OTHER = 0x21n;
const BOTH = FD_ACCEPT | FD_CONNECT;

/** A listener with one queued request. */
function announced(event = EVENT, mask = BOTH) {
  const hosts = twoHosts();
  const { client, server, run } = hosts;
  const listener = listening(server, 5000);
  if (mask !== 0) must(server.select(listener, event, mask));
  const s = connecting(client, 4000, server.address, 5000);
  run();
  return { ...hosts, listener, s };
}

/** WSPEnumNetworkEvents into a record whose every element says "untouched". */
function enumerate(host: Host, s: Socket, event = 0n) {
  const record = new WsaNetworkEvents();
  record.lNetworkEvents = 0x7fff_0000;
  record.iErrorCode.fill(-77);
  const errno = out(-1);
  host.provider.WSPEnumNetworkEvents(s, event, record, errno);
  const written = record.iErrorCode.flatMap((code, bit) => (code === -77 ? [] : [[bit, wsaName(code)]]));
  return { error: wsaName(errno.value), mask: record.lNetworkEvents, written };
}

describe('selecting', () => {
  test('WSD-100: FD_ACCEPT, FD_CONNECT, both and 0 are taken; any other bit gives WSAEINVAL', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    for (const mask of [FD_ACCEPT, FD_CONNECT, BOTH, 0]) assert.equal(client.select(s, EVENT, mask).error, '0');
    must(client.select(s, EVENT, FD_CONNECT));
    const digest = client.provider.digest();
    for (let bit = 0; bit < 32; bit++) {
      if (((1 << bit) & BOTH) !== 0) continue;
      assert.equal(client.select(s, OTHER, 1 << bit).error, 'WSAEINVAL', `bit ${bit}`);
      assert.equal(client.select(s, OTHER, BOTH | (1 << bit)).error, 'WSAEINVAL', `bit ${bit}`);
    }
    assert.equal(client.select(s, 0n, FD_CONNECT).error, 'WSAEINVAL');
    assert.deepEqual(client.provider.digest(), digest);
    // The mask 0 needs no event.
    assert.equal(client.select(s, 0n, 0).error, '0');
  });

  test('WSD-100: every live state but dormant selects', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, run } = hosts;
    const sockets = [must(client.socket()), bound(client, 4001), connecting(client, 4002, '10.9.9.9', 1), near];
    for (const s of sockets) assert.equal(client.select(s, EVENT).error, '0');
    assert.equal(server.duplicate(far).error, '0');
    assert.equal(server.select(far, EVENT).error, 'WSAEINVAL');
    assert.deepEqual(enumerate(server, far), { error: '0', mask: 0, written: [] });
    run();
    client.close(near);
    end(hosts);
  });

  test('WSD-101: a new selection replaces the one before and clears the record', () => {
    const story = announced();
    const { client, server, listener, run } = story;
    // FD_CONNECT alone: what was recorded is gone, and what comes is not recorded.
    must(server.select(listener, OTHER, FD_CONNECT));
    assert.deepEqual(enumerate(server, listener), { error: '0', mask: 0, written: [] });
    connecting(client, 4001, server.address, 5000);
    run();
    assert.deepEqual(eventsSet(server), [EVENT]);
    // Back: on the new object alone.
    must(server.select(listener, OTHER, FD_ACCEPT));
    assert.deepEqual(eventsSet(server), [EVENT, OTHER]);
    end(story);
  });

  test('WSD-101: the mask 0 stops recording and clears the record', () => {
    const story = announced();
    const { client, server, listener, run } = story;
    must(server.select(listener, EVENT, 0));
    connecting(client, 4001, server.address, 5000);
    run();
    assert.deepEqual(eventsSet(server), [EVENT]);
    assert.deepEqual(enumerate(server, listener), { error: '0', mask: 0, written: [] });
    end(story);
  });

  test('WSD-102: a request that waits already is recorded and the event set before the call returns', () => {
    const story = announced(EVENT, 0);
    const { server, listener } = story;
    assert.deepEqual(eventsSet(server), []);
    must(server.select(listener, EVENT));
    assert.deepEqual(eventsSet(server), [EVENT]);
    assert.deepEqual(enumerate(server, listener, EVENT), { error: '0', mask: FD_ACCEPT, written: [[3, '0']] });
    // Again with each new selection, while it waits.
    must(server.select(listener, OTHER));
    assert.deepEqual(eventsSet(server), [EVENT, OTHER]);
    end(story);
  });

  test('WSD-102: a deferred request is no condition that holds', () => {
    const story = announced();
    const { server, listener } = story;
    server.accept(listener, () => 2);
    server.events(listener, EVENT);
    must(server.select(listener, OTHER));
    assert.deepEqual(eventsSet(server), [EVENT]);
    assert.equal(enumerate(server, listener).mask, 0);
    end(story);
  });

  test('WSD-102: a connect that ended unreported is recorded, one that was reported is not', () => {
    const { client, server, run } = twoHosts();
    const s = connecting(client, 4000, server.address, 5999);
    run();
    must(client.select(s, EVENT));
    assert.deepEqual(eventsSet(client), [EVENT]);
    // Selecting once more before it is enumerated loses nothing.
    must(client.select(s, OTHER));
    assert.deepEqual(eventsSet(client), [EVENT, OTHER]);
    assert.deepEqual(enumerate(client, s, OTHER), { error: '0', mask: FD_CONNECT, written: [[4, 'WSAETIMEDOUT']] });
    must(client.select(s, EVENT));
    assert.deepEqual(eventsSet(client), [EVENT, OTHER]);
    assert.equal(enumerate(client, s).mask, 0);
  });
});

describe('enumerating', () => {
  test('WSD-103: the record is returned and cleared and the given event reset', () => {
    const story = announced();
    const { server, listener } = story;
    assert.deepEqual(enumerate(server, listener, EVENT), { error: '0', mask: FD_ACCEPT, written: [[3, '0']] });
    assert.ok(!server.signaled.has(EVENT));
    assert.deepEqual(enumerate(server, listener, EVENT), { error: '0', mask: 0, written: [] });
    end(story);
  });

  test('WSD-103: without an event object none is reset, and the one given is reset even if it is another', () => {
    const story = announced();
    const { server, listener } = story;
    assert.equal(enumerate(server, listener).mask, FD_ACCEPT);
    assert.ok(server.signaled.has(EVENT));
    server.signaled.add(OTHER);
    enumerate(server, listener, OTHER);
    assert.deepEqual([...server.signaled], [EVENT]);
    end(story);
  });

  test('WSD-103: what happens inside the reset is recorded anew and sets the event again', () => {
    const { client, server, run } = twoHosts();
    const listener = listening(server, 5000);
    const s = connecting(client, 4000, server.address, 5999, EVENT);
    run();
    // The result of a second attempt arrives inside the up-call that resets the event for the first one's.
    client.onUpcall = ({ type }) => {
      if (type !== 'resetEvent') return;
      client.onUpcall = null;
      assert.equal(client.connect(s, server.address, 5000).error, 'WSAEWOULDBLOCK');
      run();
      server.accept(listener, () => 1);
      run();
    };
    assert.deepEqual(enumerate(client, s, EVENT).written, [[4, 'WSAETIMEDOUT']]);
    assert.ok(client.signaled.has(EVENT));
    assert.deepEqual(enumerate(client, s, EVENT).written, [[4, 'WSAECONNREFUSED']]);
  });

  test('WSD-104: only elements of iErrorCode whose bit is set are written', () => {
    const story = announced();
    const { client, server, s, listener, run } = story;
    assert.deepEqual(enumerate(server, listener).written, [[3, '0']]);
    must(client.select(s, EVENT));
    server.accept(listener, () => 1);
    run();
    assert.deepEqual(enumerate(client, s), { error: '0', mask: FD_CONNECT, written: [[4, 'WSAECONNREFUSED']] });
    end(story);
  });

  test('WSD-105: a call that fails touches neither the record nor the event nor the selection', () => {
    const story = announced();
    const { server, listener } = story;
    const { provider } = server;
    const digest = provider.digest();
    const errno = out(0);
    for (const [call, error] of [
      [() => provider.WSPEnumNetworkEvents(listener, EVENT, null, errno), 'WSAEINVAL'],
      [() => provider.WSPEnumNetworkEvents(INVALID_SOCKET, EVENT, new WsaNetworkEvents(), errno), 'WSAENOTSOCK'],
      [() => provider.WSPEventSelect(listener, OTHER, 0x20, errno), 'WSAEINVAL'],
      [() => provider.WSPEventSelect(listener, 0n, FD_ACCEPT, errno), 'WSAEINVAL'],
      [() => provider.WSPEventSelect(INVALID_SOCKET, OTHER, FD_ACCEPT, errno), 'WSAENOTSOCK'],
    ] as const) {
      assert.equal(call(), -1);
      assert.equal(wsaName(errno.value), error);
    }
    assert.deepEqual(provider.digest(), digest);
    assert.deepEqual([...server.signaled], [EVENT]);
    assert.deepEqual(enumerate(server, listener, EVENT).written, [[3, '0']]);
    end(story);
  });

  test('WSD-106: FD_ACCEPT is not recorded again before a WSPAccept or a new selection', () => {
    const story = announced();
    const { client, server, listener, run } = story;
    assert.equal(enumerate(server, listener, EVENT).mask, FD_ACCEPT);
    for (const port of [4001, 4002]) {
      connecting(client, port, server.address, 5000);
      run();
    }
    assert.deepEqual(eventsSet(server), [EVENT]);
    assert.equal(enumerate(server, listener, EVENT).mask, 0);
    must(server.accept(listener));
    assert.deepEqual(eventsSet(server), [EVENT, EVENT]);
    enumerate(server, listener, EVENT);
    // A failed accept re-enables it too.
    server.accept(listener, () => 1);
    assert.deepEqual(eventsSet(server), [EVENT, EVENT, EVENT]);
    enumerate(server, listener, EVENT);
    must(server.select(listener, OTHER));
    assert.deepEqual(eventsSet(server), [EVENT, EVENT, EVENT, OTHER]);
    end(story);
  });

  test('WSD-106: one arrival after another sets the event once', () => {
    const story = announced();
    const { client, server, run } = story;
    connecting(client, 4001, server.address, 5000);
    run();
    assert.deepEqual(eventsSet(server), [EVENT]);
    end(story);
  });

  test('WSD-107: nothing is signalled for a socket that was closed', () => {
    const story = announced();
    const { client, server, listener, run, pass } = story;
    server.close(listener);
    const { length } = server.upcalls;
    connecting(client, 4001, server.address, 5000);
    run();
    const s = connecting(client, 4002, '10.9.9.9', 5000, EVENT);
    client.close(s);
    pass(20_000);
    assert.deepEqual(eventsSet(client), []);
    assert.equal(server.upcalls.length, length);
    end(story);
  });

  test('WSD-107: nothing is signalled for a socket that was handed to another process', () => {
    const story = announced();
    const { client, server, listener, run } = story;
    assert.equal(server.duplicate(listener).error, '0');
    const { length } = server.upcalls;
    connecting(client, 4001, server.address, 5000);
    run();
    assert.equal(server.upcalls.length, length);
    // The queued one was refused.
    assert.deepEqual(enumerate(server, listener), { error: '0', mask: 0, written: [] });
    end(story);
  });

  test('WSD-108: a selection does not change the data functions', () => {
    const hosts = connectedHosts();
    const { client, server, near, far, nearMemory, farMemory, run } = hosts;
    // The connect that made it was never reported.
    must(client.select(near, OTHER));
    assert.equal(client.events(near).value.connect, '0');
    const { length } = client.upcalls;
    for (const mask of [BOTH, 0]) {
      must(client.select(near, EVENT, mask));
      must(server.select(far, EVENT, mask));
      const receive = server.recv(far, farMemory.subarray(0, 64), { notify: true });
      const send = client.send(near, nearMemory.subarray(0, 10));
      assert.deepEqual([receive.result.error, send.result.error], ['WSA_IO_PENDING', 'WSA_IO_PENDING']);
      assert.equal(receive.overlapped.internal, 0x103n);
      run();
      assert.deepEqual(server.completions.at(-1)!.bytes, 10);
    }
    assert.deepEqual([...eventsSet(client, length), ...eventsSet(server)], []);
    assert.equal(enumerate(client, near).mask, 0);
    end(hosts);
  });
});
