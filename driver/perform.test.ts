// Goal: each effect does at the adapter, the clock or the switch what it says, in the right order, and reports what it
// learns there. Those of a connection are in perform-connection.test.ts.
// Method: an adapter, a switch and a dispatcher that write down what they are asked, in one list, and answer as they are told.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  CF_ACCEPT,
  CF_DEFER,
  CF_REJECT,
  FD_ACCEPT,
  FD_CONNECT,
  MEM_READ,
  MEM_READWRITE,
  MEM_WRITE,
  receiveQueueOf,
  TimerKind,
  WSA,
} from '../machines/index.ts';
import { AdapterStatus, MemoryAccess } from './adapter/adapter.ts';
import { toSockaddr, WsaNetworkEvents } from './spi.ts';
import { type BufferRecord, SocketRecord } from './tables.ts';
import { type Bench, bench, connected, here, name, there } from './test-performers.ts';

const { outOfResources, deviceRemoved, badMemory } = AdapterStatus;

describe('the adapter', () => {
  test('is open once it says so', () => {
    const { perform, context } = bench();
    context.open = false;
    assert.deepEqual(perform('provider/openAdapter'), ['provider/adapter.opened 0']);
    assert.equal(context.open, true);
  });

  test('that does not open stays closed, and why is told', () => {
    const { perform, context, answers } = bench();
    context.open = false;
    answers.set('open', [deviceRemoved]);
    assert.deepEqual(perform('provider/openAdapter'), [`provider/adapter.openFailed 0 ${WSA.WSASYSNOTREADY}`]);
    assert.equal(context.open, false);
  });

  test('is closed with what listens for connections that come back; no up-call follows', () => {
    const { perform, context, arrival, reactions } = bench();
    context.openReattachListeners();
    const [decided, undecided] = [arrival(30), arrival(31)];
    context.arrivals[decided.row] = undefined;
    reactions.set('provider/adapter.closed', () => {
      assert.equal(context.upcalls, null);
      assert.equal(context.open, false);
    });
    assert.deepEqual(perform('provider/closeAdapter'), [
      'stopListening 40',
      'stopListening 41',
      'close',
      'provider/adapter.closed 0',
    ]);
    assert.equal(context.reattachPort, 0);
    // Who still has the arrival finds that there is nothing to accept or reject.
    assert.equal(undecided.connector, -1);
    assert.equal(context.arrivalByConnector.size, 0);
  });
});

describe.each([
  ['the end of the provider', 'provider/endAllSockets', 'socket/provider.cleanup'],
  ['the removal of the adapter', 'provider/breakAllSockets', 'socket/adapter.removed'],
])('%s', (_, effect, event) => {
  test('is told to every socket that is open', () => {
    const { perform, socket, states, context } = bench();
    for (const opened of [true, false, true, true]) socket({ opened });
    // Over, with its last up-call still running.
    states[2] = 0;
    context.sockets.push(undefined);
    assert.deepEqual(perform(effect), [`${event} 0`, `${event} 3`]);
  });

  test('is not told to one that it has ended by the way', () => {
    const { perform, socket, context, reactions } = bench();
    socket();
    socket();
    socket();
    reactions.set(event, () => {
      context.sockets[1] = undefined;
      // Another socket in the place of the third is none of those that were open.
      context.sockets[2] = new SocketRecord(2, 1n, 'IPv4', 1);
      context.sockets[2].opened = true;
    });
    assert.deepEqual(perform(effect), [`${event} 0`]);
  });
});

describe('a switch handle', () => {
  test('is asked for with the descriptor, and kept', () => {
    const { perform, socket } = bench();
    const record = socket({ opened: false });
    assert.deepEqual(perform('socket/createSwitchHandle'), [
      'WPUCreateSocketHandle 1001 10',
      'socket/upcall.handleCreated 0',
    ]);
    assert.equal(record.switchHandle, 77n);
    assert.equal(record.opened, true);
  });

  test.each([
    ['for want of handles', WSA.WSAEMFILE, WSA.WSAEMFILE],
    ['for whatever else', WSA.WSAEFAULT, WSA.WSAENOBUFS],
  ])('that is refused %s', (_, errno, expected) => {
    const { perform, socket, answers } = bench();
    const record = socket({ opened: false });
    answers.set('WPUCreateSocketHandle', [-1]).set('errno', [errno]);
    assert.deepEqual(perform('socket/createSwitchHandle').slice(1), [`socket/upcall.handleRefused 0 ${expected}`]);
    assert.equal(record.switchHandle, 0n);
    // Its machine has begun all the same, and ends by itself.
    assert.equal(record.opened, true);
  });

  test('that can’t be asked for is refused', () => {
    const { perform, socket, context, errors } = bench();
    socket({ opened: false });
    const failure = new Error('the switch is broken');
    context.upcalls!.WPUCreateSocketHandle = () => {
      throw failure;
    };
    assert.deepEqual(perform('socket/createSwitchHandle'), [`socket/upcall.handleRefused 0 ${WSA.WSAENOBUFS}`]);
    assert.deepEqual(errors, [failure]);
  });

  test('is closed once: what the switch calls meanwhile finds none', () => {
    const { perform, socket, reactions } = bench();
    const record = socket({ switchHandle: 77n });
    reactions.set('WPUCloseSocketHandle', () => assert.equal(record.switchHandle, 0n));
    assert.deepEqual(perform('socket/closeSwitchHandle'), ['WPUCloseSocketHandle 77']);
  });
});

describe('the end of a socket', () => {
  test('gives back what the provider had registered for it, and its memory', () => {
    const { perform, record, regions, context } = connected();
    const memory = record.privateMemory!;
    assert.equal(regions.size, 2);
    assert.deepEqual(perform('socket/freeBuffers', record.row), [
      'deregisterMemory 100',
      'deregisterMemory 101',
      'freeProtectionDomain 9',
    ]);
    assert.ok(record.privateMemory === null);
    assert.equal(record.protectionDomain, -1);
    assert.equal(context.privateMemory.take().offset, memory.offset);
    // And only once.
    assert.deepEqual(perform('socket/freeBuffers', record.row), []);
  });

  test('gives back a first receive as well', () => {
    const bed = bench();
    bed.socket({ takenOverId: name, peer: { reattachPort: 1, mailboxAddress: 2, mailboxKey: 3 } });
    bed.perform('socket/startReattach');
    assert.equal(bed.regions.size, 3);
    assert.deepEqual(bed.perform('socket/freeBuffers'), [
      'deregisterMemory 100',
      'deregisterMemory 101',
      'deregisterMemory 102',
      'freeProtectionDomain 9',
    ]);
    assert.equal(bed.regions.size, 0);
  });

  test('gives back what a connection that failed half-way had', () => {
    for (let succeeded = 0; succeeded < 2; succeeded++) {
      const { perform, socket, answers, regions } = bench();
      const record = socket();
      answers.set('registerMemory', [...Array.from({ length: succeeded }, () => 0), outOfResources]);
      perform('socket/startConnect');
      assert.equal(regions.size, succeeded);
      perform('socket/freeBuffers');
      assert.equal(regions.size, 0);
      assert.ok(record.privateMemory === null);
    }
  });

  test('frees its row', () => {
    const { perform, socket, context } = bench();
    socket();
    assert.deepEqual(perform('socket/socketClosed'), []);
    assert.ok(context.sockets[0] === undefined);
    assert.equal(context.socketRows.inUse, 0);
  });
});

describe('a listener', () => {
  test('has its socket until it stops', () => {
    const { perform, socket, context } = bench();
    const record = socket();
    assert.deepEqual(perform('socket/startListening'), ['listen 10.0.0.1:80', 'socket/adapter.listening 0']);
    assert.ok(context.byListener.get(40) === record);
    assert.deepEqual(perform('socket/stopListening'), ['stopListening 40']);
    assert.equal(context.byListener.size, 0);
    assert.equal(record.listener, -1);
  });

  test.each([
    [outOfResources, WSA.WSAENOBUFS],
    [deviceRemoved, WSA.WSAENETDOWN],
  ])('that the adapter refuses with %i is none', (status, expected) => {
    const { perform, socket, context, answers } = bench();
    const record = socket();
    answers.set('listen', [status]);
    assert.deepEqual(perform('socket/startListening').slice(1), [`socket/adapter.listenFailed 0 ${expected}`]);
    assert.equal(context.byListener.size, 0);
    assert.equal(record.listener, -1);
  });
});

test.each([
  ['connect', 1],
  ['migration', 2],
  ['close', 3],
] as const)('the timer of a %s has its time', (kind, ms) => {
  const { perform } = bench();
  assert.deepEqual(perform('socket/startTimer', 3, TimerKind[kind]), [`setTimer 3 ${ms}`]);
  assert.deepEqual(perform('socket/stopTimer', 3), ['cancelTimer 3']);
});

describe('the condition function', () => {
  test.each([
    [CF_ACCEPT, 'accepted'],
    [CF_REJECT, 'rejected'],
    [CF_DEFER, 'deferred'],
    [3, 'invalid'],
    ['0' as unknown as number, 'invalid'],
  ])('that says %j has the request %s', (verdict, event) => {
    const { perform, arrival, context } = bench();
    const { row } = arrival(30);
    const given: unknown[] = [];
    const condition = (...parameters: unknown[]): number => {
      given.push(...parameters);
      return verdict;
    };
    context.acceptCall = { condition, callbackData: 'the caller’s', remote: null };
    assert.deepEqual(perform('connectionRequest/callConditionFunction', row), [
      `connectionRequest/condition.${event} 0`,
    ]);
    const buffer = (bytes: Uint8Array) => ({ len: 16, buf: bytes });
    const [caller, callee] = [buffer(toSockaddr(there)), buffer(toSockaddr(here))];
    assert.deepEqual(given, [caller, null, null, null, callee, { len: 0, buf: null }, null, 'the caller’s']);
    assert.equal(context.acceptCall.remote, there);
  });

  test('that is none takes whoever comes', () => {
    const { perform, arrival, context } = bench();
    arrival(30);
    context.acceptCall = { condition: null, callbackData: null, remote: null };
    assert.deepEqual(perform('connectionRequest/callConditionFunction'), ['connectionRequest/condition.accepted 0']);
    assert.equal(context.acceptCall.remote, there);
  });

  test('that throws has said nothing that is valid', () => {
    const { perform, arrival, context, errors } = bench();
    arrival(30);
    const failure = new Error('no condition');
    const condition = (): number => {
      throw failure;
    };
    context.acceptCall = { condition, callbackData: null, remote: null };
    assert.deepEqual(perform('connectionRequest/callConditionFunction'), ['connectionRequest/condition.invalid 0']);
    assert.deepEqual(errors, [failure]);
  });
});

describe('an arrival', () => {
  test('that is rejected is told why, and has no connector', () => {
    const { perform, arrival, context } = bench();
    const made = arrival(30);
    assert.deepEqual(perform('connectionRequest/rejectConnection', made.row, 2), ['reject 30 2']);
    assert.equal(made.connector, -1);
    assert.equal(context.arrivalByConnector.size, 0);
    assert.deepEqual(perform('connectionRequest/forget', made.row), []);
    assert.equal(context.arrivals[made.row], undefined);
    assert.equal(context.arrivalRows.inUse, 0);
  });

  test('that gave up is destroyed when it is forgotten', () => {
    const { perform, arrival, context } = bench();
    arrival(0);
    assert.deepEqual(perform('connectionRequest/forget'), ['destroyConnector 0']);
    assert.equal(context.arrivalByConnector.size, 0);
  });
});

describe('network events', () => {
  test('set and reset the event object of the socket', () => {
    const { perform, socket } = bench();
    socket({ event: 5n });
    assert.deepEqual(perform('networkEvents/setEvent'), ['WPUSetEvent 5']);
    assert.deepEqual(perform('networkEvents/resetEvent'), ['WPUResetEvent 5', 'networkEvents/upcall.eventReset 0']);
  });

  test('of a socket without an event object need no up-call', () => {
    const { perform, socket } = bench();
    socket();
    assert.deepEqual(perform('networkEvents/setEvent'), []);
    assert.deepEqual(perform('networkEvents/resetEvent'), ['networkEvents/upcall.eventReset 0']);
  });

  test('of a socket that the switch closes while it resets the object are no more', () => {
    const { perform, socket, reactions, context } = bench();
    socket({ event: 5n });
    reactions.set('WPUResetEvent', () => {
      context.sockets[0] = undefined;
    });
    assert.deepEqual(perform('networkEvents/resetEvent'), ['WPUResetEvent 5']);
  });

  test.each([
    [0, 0, 0, []],
    [1, 0, FD_ACCEPT, [[3, WSA.WSAENETDOWN]]],
    [0, 1, FD_CONNECT, [[4, WSA.WSAECONNREFUSED]]],
    [
      1,
      1,
      FD_ACCEPT | FD_CONNECT,
      [
        [3, WSA.WSAENETDOWN],
        [4, WSA.WSAECONNREFUSED],
      ],
    ],
  ] as const)('accept %i and connect %i are reported with their errors', (accept, connect, events, codes) => {
    const { perform, context } = bench();
    const reported = new WsaNetworkEvents();
    reported.lNetworkEvents = 0xff;
    reported.iErrorCode.fill(-7);
    context.enumCall = { event: 0n, events: reported };
    const told = [accept, WSA.WSAENETDOWN, connect, WSA.WSAECONNREFUSED];
    assert.deepEqual(perform('networkEvents/reportNetworkEvents', 0, ...told), []);
    assert.equal(reported.lNetworkEvents, events);
    assert.deepEqual(
      [...reported.iErrorCode.entries()].filter(([, code]) => code !== -7),
      codes,
    );
  });

  test('are reported and reset an event object that is named', () => {
    const { perform, context } = bench();
    context.enumCall = { event: 6n, events: new WsaNetworkEvents() };
    assert.deepEqual(perform('networkEvents/reportNetworkEvents'), ['WPUResetEvent 6']);
  });
});

describe('the first message', () => {
  /** A receive of two buffers that is paired with a first message of `length` bytes. */
  const paired = (length: number, total = 5) => {
    const bed = connected();
    const { context, record } = bed;
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index + 1);
    record.privateMemory!.first = { bytes, region: { id: 1, localKey: 1, remoteKey: 1, address: 1 }, length };
    // The last byte of the first is not the caller's to have written.
    const buffers = [new Uint8Array(4), new Uint8Array(2)];
    context.initiatingBuffers = [
      { buf: buffers[0]!, len: 3 },
      { buf: buffers[1]!, len: 2 },
    ];
    bed.perform('requestQueue/pairRequest', receiveQueueOf(record.row));
    const row = bed.request(record, total);
    return { ...bed, row, written: () => buffers.map((buffer) => [...buffer]) };
  };

  test.each([
    [
      0,
      [
        [0, 0, 0, 0],
        [0, 0],
      ],
    ],
    [
      2,
      [
        [1, 2, 0, 0],
        [0, 0],
      ],
    ],
    [
      4,
      [
        [1, 2, 3, 0],
        [4, 0],
      ],
    ],
    [
      5,
      [
        [1, 2, 3, 0],
        [4, 5],
      ],
    ],
  ])('of %i bytes fills the buffers in order', (length, expected) => {
    const { perform, row, written, record } = paired(length);
    assert.deepEqual(perform('firstMessage/copyFirstMessage', 0, row), [
      `overlappedRequest/firstMessage.copied ${row} 0 ${length}`,
    ]);
    assert.deepEqual(written(), expected);
    assert.deepEqual(record.firstTargets, []);
  });

  test('that is longer than the buffers is not delivered, and ends the connection', () => {
    const { perform, row, written, record } = paired(6);
    assert.deepEqual(perform('firstMessage/copyFirstMessage', 0, row), [
      `overlappedRequest/firstMessage.copied ${row} ${WSA.WSAEMSGSIZE} 0`,
      'socket/adapter.fault 0',
    ]);
    assert.deepEqual(written(), [
      [0, 0, 0, 0],
      [0, 0],
    ]);
    assert.deepEqual(record.firstTargets, []);
  });
});

describe('a request', () => {
  const started = () => {
    const bed = bench();
    const row = bed.request(bed.socket({ switchHandle: 77n }));
    const { words } = bed.context.requests.overlapped[row]!;
    words.set([1, 2, 3, 4, 5, 6, 7, 8]);
    return { ...bed, row, words };
  };

  test('is marked pending in the switch’s structure, but for the event', () => {
    const { perform, row, words } = started();
    perform('overlappedRequest/markPending', row);
    assert.deepEqual([...words], [0x103, 0, 0, 0, 0, 0, 7, 8]);
  });

  test('that is refused leaves the structure as it was', () => {
    const { perform, row, words } = started();
    perform('overlappedRequest/markPending', row);
    perform('overlappedRequest/unmarkPending', row);
    assert.deepEqual([...words], [1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('is posted', () => {
    const { perform, row } = started();
    assert.deepEqual(perform('overlappedRequest/postWork', row, 1, 2), [`post ${row} 1 2`]);
  });

  test('that is polled for has its result in the structure', () => {
    const { perform, row, words } = started();
    perform('overlappedRequest/markPending', row);
    assert.deepEqual(perform('overlappedRequest/publish', row, WSA.WSAEMSGSIZE, 12), []);
    assert.deepEqual([...words], [0, 0, 12, 0, 0, WSA.WSAEMSGSIZE, 7, 8]);
  });

  test('that is not is due for its up-call', () => {
    const { perform, row } = started();
    assert.deepEqual(perform('overlappedRequest/requestNotification', row), [`requestNotification ${row}`]);
  });

  test('is completed by an up-call, which finds its result in the structure too', () => {
    const { perform, row, words, context, answers } = started();
    perform('overlappedRequest/markPending', row);
    assert.deepEqual(perform('overlappedRequest/completeOverlappedRequest', row, WSA.WSAEFAULT, 13), [
      `WPUCompleteOverlappedRequest 77 ${WSA.WSAEFAULT} 13`,
    ]);
    // The switch itself writes the first word, when it has taken the result over.
    assert.deepEqual([...words], [0x103, 0, 13, 0, 0, WSA.WSAEFAULT, 7, 8]);
    assert.equal(context.notified, 0);
    answers.set('WPUCompleteOverlappedRequest', [-1]);
    perform('overlappedRequest/completeOverlappedRequest', row);
    assert.equal(context.notified, 1);
  });

  test('that can’t be completed, for there is no switch, has failed to be', () => {
    const { perform, row, context } = started();
    context.upcalls = null;
    assert.deepEqual(perform('overlappedRequest/completeOverlappedRequest', row), []);
    assert.equal(context.notified, 1);
  });

  test('that is over frees its row', () => {
    const { perform, row, context } = started();
    perform('overlappedRequest/retire', row);
    assert.equal(context.requests.overlapped[row], null);
    assert.equal(context.requests.pool.inUse, 0);
  });
});

describe('a registration', () => {
  const buffer = (bed: Bench, of: SocketRecord, over: Partial<BufferRecord> = {}): BufferRecord => {
    const memory = new Uint8Array(8);
    const row = bed.context.bufferRows.allocate();
    const made: BufferRecord = {
      ...{ row, socket: of, kind: 'local', memory, access: MEM_READWRITE, handle: 0n, region: null },
      ...over,
    };
    bed.context.buffers[row] = made;
    return made;
  };

  const { localWrite, remoteRead, remoteWrite } = MemoryAccess;
  test.each([
    ['local', MEM_READ, 0],
    ['local', MEM_WRITE, localWrite],
    ['local', MEM_READWRITE, localWrite],
    ['remote', MEM_READ, remoteRead],
    ['remote', MEM_WRITE, localWrite | remoteWrite],
    ['remote', MEM_READWRITE, localWrite | remoteWrite | remoteRead],
  ] as const)('for %s use with access %i lets the adapter do that and no more', (kind, access, expected) => {
    const bed = connected();
    const made = buffer(bed, bed.record, { kind, access });
    assert.deepEqual(bed.perform('registeredBuffer/registerRegion'), ['registeredBuffer/adapter.registered 0']);
    assert.deepEqual(bed.regions.get(made.region!.id), { bytes: made.memory, access: expected, domain: 9 });
  });

  test('is one of its socket’s until it ends', () => {
    const bed = connected();
    const other = bed.socket({ protectionDomain: 10 });
    const [a, b, c] = [buffer(bed, bed.record), buffer(bed, bed.record), buffer(bed, other)];
    for (const { row } of [a, b, c]) bed.perform('registeredBuffer/registerRegion', row);
    const rows = (of: SocketRecord): number[] => bed.context.registrations.rows(of);
    assert.deepEqual(rows(bed.record), [a.row, b.row]);
    assert.deepEqual(rows(other), [c.row]);
    assert.deepEqual(rows(new SocketRecord(3, 3n, 'IPv4', 1)), []);
    assert.deepEqual(bed.perform('registeredBuffer/deregisterRegion', b.row), [`deregisterMemory ${b.region!.id}`]);
    assert.deepEqual(rows(bed.record), [a.row]);
  });

  test.each([
    [badMemory, WSA.WSAEFAULT],
    [outOfResources, WSA.WSAENOBUFS],
  ])('that the adapter refuses with %i is none', (status, expected) => {
    const bed = connected();
    const made = buffer(bed, bed.record);
    bed.answers.set('registerMemory', [status]);
    assert.deepEqual(bed.perform('registeredBuffer/registerRegion'), [
      `registeredBuffer/adapter.registerFailed 0 ${expected}`,
    ]);
    assert.equal(made.region, null);
    assert.deepEqual(bed.context.registrations.rows(bed.record), []);
  });

  test('that is forgotten has neither handle nor row', () => {
    const bed = connected();
    const { context } = bed;
    const handle = context.handles.next(0);
    context.handles.set(handle, buffer(bed, bed.record, { handle }));
    assert.deepEqual(bed.perform('registeredBuffer/forget'), []);
    assert.equal(context.handles.get(handle), undefined);
    assert.ok(context.buffers[0] === undefined);
    assert.equal(context.bufferRows.inUse, 0);
  });
});

test('an answer is the dispatcher’s to keep', () => {
  assert.deepEqual(bench().perform('answer', 3, WSA.WSAENOTCONN), [`answer ${WSA.WSAENOTCONN}`]);
});
