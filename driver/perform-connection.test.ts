// Goal: a connection is asked for, accepted, taken back and ended as its effect says, in the right order; what fails on the
// way is told, and leaves nothing half done.
// Method: an adapter, a switch and a dispatcher that write down what they are asked, in one list, and answer as they are told.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { receiveQueueOf, sendQueueOf, WSA } from '../machines/index.ts';
import { type Adapter, AdapterStatus, MemoryAccess, type QueueDepths, type SocketAddress } from './adapter/adapter.ts';
import { announcesMove, MAILBOX_BYTES } from './handshake.ts';
import { limits } from './limits.ts';
import type { SocketRecord } from './tables.ts';
import { anywhere, type Bench, bench, connected, connecting, here, listening, name, there } from './test-performers.ts';

const { outOfResources, deviceRemoved, networkUnreachable, invalidState } = AdapterStatus;

describe('an outgoing connection', () => {
  test('begins with memory for the notices of both ends, of which it tells the peer', () => {
    const { perform, socket, regions, handshakes, context } = bench();
    const record = socket();
    assert.deepEqual(perform('socket/startConnect'), [...listening, ...connecting]);
    const { mailbox, mailboxOut } = record.privateMemory!;
    assert.deepEqual(
      [...regions.values()].map(({ access, domain }) => [access, domain]),
      [
        [MemoryAccess.localWrite | MemoryAccess.remoteWrite, 9],
        [0, 9],
      ],
    );
    assert.equal(regions.get(100)!.bytes.byteOffset, mailbox.byteOffset);
    assert.equal(regions.get(101)!.bytes.byteOffset, mailboxOut.byteOffset);
    assert.deepEqual(handshakes, [
      {
        reattach: false,
        reattachPort: limits.reattachPort,
        mailboxAddress: 100 * 4096,
        mailboxKey: 2100,
        connectionId: name,
      },
    ]);
    // The notice that this end may send is ready, and none of the peer's is there.
    assert.ok(announcesMove(mailboxOut, name));
    assert.deepEqual(mailbox, new Uint8Array(MAILBOX_BYTES));
    assert.deepEqual(record.connectionId, name);
    assert.equal(record.connector, 7);
    assert.ok(context.byConnector.get(7) === record);
    assert.equal(record.privateMemory!.first, null);
  });

  test('of a socket that has had one uses the same memory, in which no notice is left', () => {
    const { perform, record, regions, answers } = connected();
    record.privateMemory!.mailbox.fill(1);
    perform('socket/destroyConnector');
    answers.set('createConnector', [8]);
    assert.deepEqual(perform('socket/startConnect'), [
      'createConnector 9',
      'connect 8 10.0.0.1:80 10.0.0.2:5000',
      'socket/adapter.connectStarted 0',
    ]);
    assert.equal(regions.size, 2);
    assert.deepEqual(record.privateMemory!.mailbox, new Uint8Array(MAILBOX_BYTES));
  });

  test('of an adapter that numbers from 0 is as any other', () => {
    const { perform, socket, answers } = bench();
    socket();
    answers.set('allocateProtectionDomain', [0]).set('createConnector', [0]).set('listen', [3, 4, 0]);
    const told = perform('socket/startConnect');
    assert.deepEqual(told.slice(-2), ['connect 0 10.0.0.1:80 10.0.0.2:5000', 'socket/adapter.connectStarted 0']);
    assert.deepEqual(perform('socket/destroyConnector'), ['forget 0', 'destroyConnector 0']);
    assert.deepEqual(perform('socket/startConnect').slice(0, 1), ['createConnector 0']);
    assert.equal(perform('socket/freeBuffers').at(-1), 'freeProtectionDomain 0');
    assert.equal(perform('socket/startListening').at(-1), 'socket/adapter.listening 0');
  });

  test.each<[string, readonly number[], number]>([
    ['allocateProtectionDomain', [outOfResources], WSA.WSAENOBUFS],
    ['allocateProtectionDomain', [deviceRemoved], WSA.WSAENETDOWN],
    ['registerMemory', [deviceRemoved], WSA.WSAENETDOWN],
    ['registerMemory', [0, deviceRemoved], WSA.WSAENETDOWN],
    ['createConnector', [deviceRemoved], WSA.WSAENETDOWN],
    ['connect', [networkUnreachable], WSA.WSAENETUNREACH],
  ])('for which %s answers %j does not begin', (call, statuses, expected) => {
    const { perform, socket, answers, context } = bench();
    const record = socket();
    answers.set(call, [...statuses]);
    const told = perform('socket/startConnect');
    assert.deepEqual(
      told.filter((each) => each.startsWith('socket/')),
      [`socket/adapter.connectNotStarted 0 ${expected}`],
    );
    assert.equal(
      told.some((each) => each.startsWith('connect ')),
      call === 'connect',
    );
    // A connector that is there is its socket's, which destroys it.
    assert.equal(record.connector, call === 'connect' ? 7 : -1);
    assert.equal(context.byConnector.size, call === 'connect' ? 1 : 0);
  });

  test.each<[string, Parameters<typeof bench>[0] & object, SocketAddress, string]>([
    ['that is one address comes from it', { sourceAddress: '10.0.0.9' }, here, '10.0.0.1:80'],
    [
      'that is every address comes from the one that reaches the peer',
      { sourceAddress: '10.0.0.9' },
      anywhere,
      '10.0.0.9:81',
    ],
    [
      'that is every address comes from the first, where all reach it',
      { addresses: ['fe80::1', '10.0.0.8'] },
      anywhere,
      '10.0.0.8:81',
    ],
    [
      'that is every address comes from the first, where none is known to reach it',
      { addresses: ['10.0.0.8'], sourceAddress: null },
      anywhere,
      '10.0.0.8:81',
    ],
    [
      'that is every IPv6 address comes from one of these',
      { addresses: ['10.0.0.8', 'FE80::0:1'] },
      { family: 'IPv6', address: '::', port: 82 },
      'fe80::1:82',
    ],
    ['that is every address stays so where the adapter has none', {}, anywhere, '0.0.0.0:81'],
  ])('of a socket %s', (_, options, local, expected) => {
    const { perform, socket } = bench(options);
    const record = socket({ local });
    const told = perform('socket/startConnect');
    assert.ok(told.includes(`connect 7 ${expected} 10.0.0.2:5000`), told.join());
    assert.ok(told.includes(`allocateProtectionDomain ${expected.slice(0, expected.lastIndexOf(':'))}`));
    // What the socket is bound to is the caller's.
    assert.equal(record.local, local);
  });
});

describe('queues', () => {
  const limited = (told: readonly string[]): string[] => told.filter((each) => each.startsWith('requestQueue/'));

  test.each<[string, Partial<Adapter['capabilities']>, QueueDepths]>([
    ['each RDMA request may take two work requests', {}, { send: 4 * 2 + 1, receive: 5 }],
    ['each RDMA request may take four', { elementsMax: 2 }, { send: 4 * 4 + 1, receive: 5 }],
    ['a read has fewer elements', { readElementsMax: 3 }, { send: 4 * 3 + 1, receive: 5 }],
  ])('have room for every request and one of the provider’s own, where %s', (_, capabilities, depths) => {
    const { perform, socket, given } = bench({ capabilities });
    socket();
    assert.deepEqual(limited(perform('socket/startConnect')), []);
    assert.deepEqual(given, [depths]);
  });

  test('of an adapter with less room have fewer places', () => {
    const { perform, socket, given } = bench({ capabilities: { sendDepthMax: 8, receiveDepthMax: 4 } });
    socket();
    const record = socket();
    assert.deepEqual(limited(perform('socket/startConnect', record.row)), [
      `requestQueue/adapter.limited ${sendQueueOf(record.row)} 3`,
      `requestQueue/adapter.limited ${receiveQueueOf(record.row)} 3`,
    ]);
    assert.deepEqual(given, [{ send: 8, receive: 4 }]);
  });

  test('have one place at least', () => {
    const { perform, socket } = bench({ capabilities: { sendDepthMax: 2, receiveDepthMax: 1 } });
    socket();
    assert.deepEqual(limited(perform('socket/startConnect')), [
      'requestQueue/adapter.limited 0 1',
      'requestQueue/adapter.limited 1 1',
    ]);
  });
});

describe('a socket that was taken over', () => {
  const taken = (): Bench & { readonly record: SocketRecord } => {
    const bed = bench();
    const peer = { reattachPort: 4444, mailboxAddress: 2, mailboxKey: 3 };
    return { ...bed, record: bed.socket({ takenOverId: name.toReversed(), peer }) };
  };

  test('goes to where its peer takes connections back, ready for a message', () => {
    const { perform, record, handshakes, regions } = taken();
    assert.deepEqual(perform('socket/startReattach'), [
      ...listening,
      'allocateProtectionDomain 10.0.0.1',
      'createConnector 9',
      'postFirstReceive 7',
      'connect 7 10.0.0.1:80 10.0.0.2:4444',
      'socket/adapter.connectStarted 0',
    ]);
    assert.equal(handshakes[0]!.reattach, true);
    assert.deepEqual(handshakes[0]!.connectionId, name.toReversed());
    assert.equal(record.takenOverId, null);
    assert.deepEqual(regions.get(102), {
      bytes: record.privateMemory!.first!.bytes,
      access: MemoryAccess.localWrite,
      domain: 9,
    });
    // Its peer has the address that it had.
    assert.equal(record.remote, there);
  });

  test.each<[string, readonly number[], number]>([
    ['registerMemory', [0, 0, deviceRemoved], WSA.WSAENETDOWN],
    ['postFirstReceive', [0], WSA.WSAENOBUFS],
    ['connect', [networkUnreachable], WSA.WSAENETUNREACH],
  ])('stays where it is when %s answers %j', (call, statuses, expected) => {
    const { perform, answers } = taken();
    answers.set(call, [...statuses]);
    assert.equal(perform('socket/startReattach').at(-1), `socket/adapter.connectNotStarted 0 ${expected}`);
  });
});

describe('an arrival that is accepted', () => {
  test('becomes the connection of its socket, ready for a message before the peer is told', () => {
    const { perform, socket, arrival, handshakes, context, given } = bench();
    socket();
    const record = socket({ local: null, remote: null });
    const { row, peer } = arrival(30);
    assert.deepEqual(perform('socket/acceptConnection', record.row, row), [
      ...listening,
      'allocateProtectionDomain 10.0.0.1',
      'prepareAccept 30 9',
      'postFirstReceive 30',
      'accept 30',
      'socket/adapter.accepted 1',
    ]);
    assert.deepEqual([record.local, record.remote, record.peer], [here, there, peer]);
    assert.equal(record.connector, 30);
    assert.ok(context.byConnector.get(30) === record);
    assert.deepEqual(given, [{ send: 9, receive: 5 }]);
    assert.equal(handshakes[0]!.reattach, false);
    assert.equal(handshakes[0]!.reattachPort, limits.reattachPort);
    assert.deepEqual(handshakes[0]!.connectionId, name.toReversed());
    // The arrival has nothing left to be rejected or destroyed.
    assert.equal(context.arrivals[row]!.connector, -1);
    assert.equal(context.arrivalByConnector.size, 0);
  });

  test.each<[string, readonly number[], number]>([
    ['allocateProtectionDomain', [deviceRemoved], WSA.WSAENETDOWN],
    ['prepareAccept', [invalidState], WSA.WSAECONNRESET],
    ['postFirstReceive', [0], WSA.WSAENOBUFS],
    ['accept', [invalidState], WSA.WSAECONNRESET],
  ])('fails when %s answers %j, and is an arrival still', (call, statuses, expected) => {
    const { perform, socket, arrival, answers, context } = bench();
    const record = socket();
    const made = arrival(30);
    answers.set(call, [...statuses]);
    const told = perform('socket/acceptConnection', record.row, made.row);
    assert.deepEqual(
      told.filter((each) => each.startsWith('socket/')),
      [`socket/adapter.acceptFailed 0 ${expected}`],
    );
    assert.equal(record.connector, -1);
    assert.equal(context.byConnector.size, 0);
    assert.equal(made.connector, 30);
    assert.equal(context.arrivalByConnector.get(30), made);
  });
});

describe('a connection that comes back', () => {
  /** A socket whose connection has been ended and is offered again, as connector 1. */
  const returning = (): Bench & { readonly record: SocketRecord } => {
    const bed = connected();
    bed.perform('socket/destroyConnector');
    bed.record.reattaching = 1;
    bed.record.privateMemory!.mailbox.fill(1);
    return bed;
  };

  test('has what was held posted before the peer is told', () => {
    const { perform, record, handshakes, context, given } = returning();
    assert.deepEqual(perform('socket/acceptReattach'), [
      'prepareAccept 1 9',
      'socket/adapter.reattached 0',
      'flush',
      'accept 1',
      'socket/adapter.accepted 0',
    ]);
    assert.equal(record.connector, 1);
    assert.ok(context.byConnector.get(1) === record);
    assert.equal(record.reattaching, -1);
    assert.equal(record.returned, true);
    assert.deepEqual(given, [{ send: 9, receive: 5 }]);
    // The notice that it moves has been heeded; another move needs another.
    assert.deepEqual(record.privateMemory!.mailbox, new Uint8Array(MAILBOX_BYTES));
    assert.equal(handshakes[0]!.reattach, false);
    assert.deepEqual(handshakes[0]!.connectionId, name);
  });

  test('for which there is no room is rejected', () => {
    const { perform, record, answers, context } = returning();
    answers.set('prepareAccept', [outOfResources]);
    assert.deepEqual(perform('socket/acceptReattach'), [
      'prepareAccept 1 9',
      'reject 1 0',
      'socket/adapter.reattachFailed 0',
    ]);
    assert.deepEqual([record.connector, record.reattaching, record.returned], [-1, -1, false]);
    assert.equal(context.byConnector.size, 0);
  });

  test('whose peer has gone by then is reset', () => {
    const { perform, answers } = returning();
    answers.set('accept', [invalidState]);
    assert.equal(perform('socket/acceptReattach').at(-1), `socket/adapter.acceptFailed 0 ${WSA.WSAECONNRESET}`);
  });

  test.each(['socket/disconnect', 'socket/destroyConnector'])(
    'and is ended meanwhile by %s is not accepted',
    (effect) => {
      for (const moment of ['socket/adapter.reattached', 'flush']) {
        const { perform, performers, reactions } = returning();
        reactions.set(moment, () => performers[effect]!(0, 0, 0, 0, 0));
        const told = perform('socket/acceptReattach');
        assert.ok(!told.some((each) => each.startsWith('accept') || each.includes('adapter.accept')), told.join());
      }
    },
  );

  test('is accepted whatever else ends meanwhile', () => {
    for (const effect of ['socket/disconnect', 'socket/destroyConnector']) {
      const { perform, performers, socket, reactions } = returning();
      const other = socket({ connector: 12 });
      reactions.set('flush', () => performers[effect]!(other.row, 0, 0, 0, 0));
      assert.equal(perform('socket/acceptReattach').at(-1), 'socket/adapter.accepted 0');
    }
  });

  test('may be rejected', () => {
    const { perform, record } = returning();
    assert.deepEqual(perform('socket/rejectReattach'), ['reject 1 0']);
    assert.equal(record.reattaching, -1);
  });
});

describe('the end of a connection', () => {
  test('is a disconnect, where there is a connector', () => {
    const { perform, record } = connected();
    assert.deepEqual(perform('socket/disconnect'), ['disconnect 7']);
    record.connector = 0;
    assert.deepEqual(perform('socket/disconnect'), ['disconnect 0']);
    record.connector = -1;
    assert.deepEqual(perform('socket/disconnect'), []);
  });

  test('takes with the connector what was to be posted and what was flushed', () => {
    const { perform, record, context } = connected();
    const flush = (connector: number) => ({ record, connector, work: 1 });
    context.flushed = [flush(7), flush(6), flush(7)];
    assert.deepEqual(perform('socket/destroyConnector'), ['forget 7', 'destroyConnector 7']);
    assert.deepEqual(
      context.flushed.map(({ connector }) => connector),
      [6],
    );
    assert.equal(record.connector, -1);
    assert.equal(context.byConnector.size, 0);
    assert.deepEqual(perform('socket/destroyConnector'), []);
    record.connector = 0;
    assert.deepEqual(perform('socket/destroyConnector'), ['forget 0', 'destroyConnector 0']);
  });

  test('may be announced to the peer, or the notice fails at once', () => {
    const { perform, answers } = connected();
    assert.deepEqual(perform('socket/writeMailbox'), ['postMailbox 7']);
    answers.set('postMailbox', [0]);
    assert.deepEqual(perform('socket/writeMailbox'), ['postMailbox 7', 'socket/adapter.mailboxFailed 0']);
  });
});
