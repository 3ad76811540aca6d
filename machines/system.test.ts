// What the machines do together: an application's calls and an adapter's answers go in, effects for the driver come out.
// Effects are compared as text, in order. Rows: socket 0 and so on as the stories name them, requests from 10 up,
// connection requests from 40 up, registrations from 70 up.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  compileMachines,
  EFFECT_STRIDE,
  explorationLimits,
  InvariantError,
  M,
  type MachineName,
  machineNames,
  System,
  wsaName,
} from './index.ts';

const machines = compileMachines(explorationLimits);

type Parameters = Readonly<Record<string, number>>;

/** A system, told about in domain words. Every verb gives the driver's effects as text. */
class Story {
  readonly system = new System(machines);

  /** Applies one event; parameters that aren't given are 0, `pieces` 1. */
  event(machine: MachineName, row: number, name: string, given: Parameters = {}): string[] {
    const { parameters } = machines[M[machine]]!.events.find((event) => event.name === name)!;
    const [p0, p1, p2, p3, p4] = parameters.map(
      (parameter) => given[parameter.name] ?? Number(parameter.name === 'pieces'),
    );
    this.system.apply(this.system.eventId(machine, name), row, p0, p1, p2, p3, p4);
    return this.#effects();
  }

  #effects(): string[] {
    const { effects, effectBase } = this.system;
    const lines: string[] = [];
    const buffer = effects.buffer.slice(0, effects.top);
    effects.top = 0;
    for (let at = 0; at < buffer.length; at += EFFECT_STRIDE) {
      const id = buffer[at]!;
      const owner = effectBase.findLastIndex((base) => base <= id);
      const { name, parameters } = machines[owner]!.effects[id - effectBase[owner]!]!;
      const args = parameters.map((parameter, index) => {
        const value = buffer[at + 2 + index]!;
        return parameter.name.toLowerCase().endsWith('error') ? wsaName(value) : `${parameter.name}=${value}`;
      });
      // What the driver does with these is told here with the rest: they are steps of their own.
      if (name === 'endAllSockets') lines.push(...this.#toSockets('provider.cleanup'));
      else if (name === 'breakAllSockets') lines.push(...this.#toSockets('adapter.removed'));
      else lines.push([`${machineNames[owner]} ${buffer[at + 1]}: ${name}`, ...args].join(' '));
    }
    return lines;
  }

  #toSockets(event: string): string[] {
    const { states, used } = this.system.rows[M.socket]!;
    const lines: string[] = [];
    for (let row = 0; row < used; row++) if (states[row] !== 0) lines.push(...this.event('socket', row, event));
    return lines;
  }

  provider = (name: string, given?: Parameters) => this.event('provider', 0, name, given);
  socket = (row: number, name: string, given?: Parameters) => this.event('socket', row, name, given);
  request = (row: number, name: string, given?: Parameters) => this.event('overlappedRequest', row, name, given);
  peer = (row: number, name: string, given?: Parameters) => this.event('connectionRequest', row, name, given);
  buffer = (row: number, name: string, given?: Parameters) => this.event('registeredBuffer', row, name, given);
  networkEvents = (row: number, name: string, given?: Parameters) => this.event('networkEvents', row, name, given);

  send = (socket: number, request: number, given?: Parameters) =>
    this.socket(socket, 'spi.send', { request, ...given });
  recv = (socket: number, request: number, given?: Parameters) =>
    this.socket(socket, 'spi.recv', { request, ...given });
  completed = (request: number, bytes = 0) => this.request(request, 'adapter.completed', { bytes });
  flushed = (request: number) => this.request(request, 'adapter.flushed');
  /** The dispatcher's turn for a completion up-call, which succeeds. */
  notify = (request: number) => [
    ...this.request(request, 'dispatcher.notify'),
    ...this.request(request, 'upcall.returned'),
  ];

  started(): this {
    this.provider('spi.startup');
    this.provider('adapter.opened');
    return this;
  }
  created(socket: number): this {
    this.socket(socket, 'spi.socket');
    this.socket(socket, 'upcall.handleCreated');
    return this;
  }
  bound(socket: number): this {
    this.created(socket);
    this.socket(socket, 'spi.bind');
    return this;
  }
  listening(socket: number, backlog = 2): this {
    this.bound(socket);
    this.socket(socket, 'spi.listen', { backlog });
    this.socket(socket, 'adapter.listening');
    return this;
  }
  connecting(socket: number): this {
    this.bound(socket);
    this.socket(socket, 'spi.connect');
    this.socket(socket, 'adapter.connectStarted');
    return this;
  }
  connected(socket: number): this {
    this.connecting(socket);
    this.socket(socket, 'adapter.established');
    return this;
  }
  /** Listener 0 accepts connection request 40 as `socket`. */
  accepted(socket: number): this {
    this.listening(0);
    this.socket(0, 'adapter.connectRequest', { request: 40 });
    this.socket(0, 'spi.accept', { socket });
    this.peer(40, 'condition.accepted');
    this.socket(socket, 'upcall.handleCreated');
    this.socket(socket, 'adapter.accepted');
    return this;
  }

  state(machine: MachineName, row: number): string {
    return this.system.rows[M[machine]]!.stateName(row);
  }
  states(machine: MachineName, ...rows: readonly number[]): string[] {
    return rows.map((row) => this.state(machine, row));
  }
  context(machine: MachineName, row: number): Record<string, number> {
    return this.system.rows[M[machine]]!.context(row);
  }

  /** Every row but those of the machines named is as created, and no list has a member. */
  assertNothingLeft(): void {
    for (const [index, { fields, name }] of machines.entries()) {
      const rows = this.system.rows[index]!;
      if (name === 'provider') continue;
      for (let row = 0; row < rows.used; row++) {
        assert.equal(rows.states[row], 0, `${name} ${row}`);
        assert.deepEqual(
          rows.context(row),
          Object.fromEntries(fields.map(({ name: field, initial }) => [field, initial])),
        );
      }
    }
    assert.deepEqual([...this.system.requests.serialize()], []);
    assert.deepEqual([...this.system.connectionRequests.serialize()], []);
    assert.deepEqual([...this.system.buffers.serialize()], []);
    assert.deepEqual([...this.system.pins.serialize()], []);
  }
}

/** Memory of a socket that nothing has happened to. */
const untouched = {
  backlog: 0,
  queued: 0,
  offered: 0,
  deferred: 0,
  request: 0,
  fenceDue: 0,
  reason: 0,
  attached: 0,
  drained: 0,
};
const begin = (): Story => new Story().started();

describe('provider', () => {
  test('start-ups nest: the first opens the adapter, the last clean-up closes it', () => {
    const story = new Story();
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: openAdapter']);
    assert.deepEqual(story.provider('adapter.opened'), ['provider 0: answer 0']);
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: answer 0']);
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: answer WSAEPROCLIM']);
    assert.deepEqual(story.provider('spi.cleanup'), ['provider 0: answer 0']);
    assert.deepEqual(story.provider('spi.cleanup'), ['provider 0: answer 0', 'provider 0: closeAdapter']);
    assert.deepEqual(story.provider('spi.cleanup'), ['provider 0: answer WSANOTINITIALISED']);
    // The adapter is closed only after the last up-calls, and from inside those nobody can start up.
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: answer WSASYSNOTREADY']);
    assert.deepEqual(story.provider('adapter.closed'), []);
    assert.equal(story.state('provider', 0), 'uninitialised');
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: openAdapter']);
  });

  test('an adapter that does not open leaves it uninitialised', () => {
    const story = new Story();
    story.provider('spi.startup');
    assert.deepEqual(story.provider('adapter.openFailed', { error: 10091 }), ['provider 0: answer WSASYSNOTREADY']);
    assert.equal(wsaName(story.system.refusal(M.provider, 0)), 'WSANOTINITIALISED');
  });

  test('a wrong version is refused without opening anything', () => {
    assert.deepEqual(new Story().provider('spi.startup', { refusal: 10092 }), [
      'provider 0: answer WSAVERNOTSUPPORTED',
    ]);
  });
});

describe('clean-up with sockets in every state', () => {
  test('pending requests end at once and sockets are freed when they have been reported', () => {
    const story = begin().listening(0).connected(1);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.recv(1, 10, { polled: 1 });
    story.send(1, 20);
    story.send(1, 21);
    story.send(1, 22);
    assert.deepEqual(story.provider('spi.cleanup'), [
      'socket 0: stopListening',
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'socket 1: destroyConnector',
      'overlappedRequest 20: requestNotification',
      'overlappedRequest 21: requestNotification',
      'overlappedRequest 22: requestNotification',
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 10: retire',
      'provider 0: answer 0',
    ]);
    assert.deepEqual(story.states('overlappedRequest', 20, 21, 22), ['due', 'due', 'due']);
    assert.equal(story.state('provider', 0), 'cleaningUp');
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: answer WSASYSNOTREADY']);
    assert.deepEqual(story.notify(20), [
      'overlappedRequest 20: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.notify(21), [
      'overlappedRequest 21: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 21: retire',
    ]);
    assert.deepEqual(story.notify(22), [
      'overlappedRequest 22: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
      'socket 1: stopTimer',
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: socketClosed',
      'provider 0: closeAdapter',
      'overlappedRequest 22: retire',
    ]);
    assert.equal(story.state('provider', 0), 'closing');
    story.assertNothingLeft();
  });

  test('without pending requests everything is over within the call', () => {
    const story = begin().created(0).connecting(1);
    assert.deepEqual(story.provider('spi.cleanup'), [
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'socket 1: stopTimer',
      'socket 1: destroyConnector',
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: socketClosed',
      'provider 0: closeAdapter',
      'provider 0: answer 0',
    ]);
    story.assertNothingLeft();
  });

  test('inside the up-call that creates a switch handle: the call fails when the up-call has returned', () => {
    const story = begin();
    assert.deepEqual(story.socket(0, 'spi.socket'), ['socket 0: createSwitchHandle']);
    assert.deepEqual(story.provider('spi.cleanup'), ['provider 0: answer 0']);
    assert.deepEqual(story.socket(0, 'upcall.handleCreated'), [
      'socket 0: closeSwitchHandle',
      'socket 0: answer WSANOTINITIALISED',
      'socket 0: socketClosed',
      'provider 0: closeAdapter',
    ]);
    story.assertNothingLeft();
  });
});

describe('connecting', () => {
  test('a connect goes on in the background and is reported as FD_CONNECT, once', () => {
    const story = begin().bound(0);
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { connect: 1 }), ['socket 0: answer 0']);
    assert.deepEqual(story.socket(0, 'spi.connect'), ['socket 0: startConnect']);
    assert.deepEqual(story.socket(0, 'adapter.connectStarted'), [
      'socket 0: startTimer kind=0',
      'socket 0: answer WSAEWOULDBLOCK',
    ]);
    assert.deepEqual(story.socket(0, 'spi.connect'), ['socket 0: answer WSAEALREADY']);
    assert.deepEqual(story.socket(0, 'adapter.established'), ['socket 0: stopTimer', 'networkEvents 0: setEvent']);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=0 0 connect=1 0',
      'networkEvents 0: answer 0',
    ]);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=0 0 connect=0 0',
      'networkEvents 0: answer 0',
    ]);
    assert.equal(story.state('socket', 0), 'connected.active');
  });

  test('a selection that comes after the end still learns of it', () => {
    const story = begin().connecting(0);
    story.socket(0, 'adapter.established');
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { connect: 1 }), [
      'networkEvents 0: setEvent',
      'socket 0: answer 0',
    ]);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=0 0 connect=1 0',
      'networkEvents 0: answer 0',
    ]);
  });

  test('an attempt that the adapter does not begin leaves the socket bound', () => {
    const story = begin().bound(0);
    story.socket(0, 'spi.connect');
    assert.deepEqual(story.socket(0, 'adapter.connectNotStarted', { error: 10051 }), [
      'socket 0: destroyConnector',
      'socket 0: answer WSAENETUNREACH',
    ]);
    assert.equal(story.state('socket', 0), 'bound.idle');
  });

  test.each([
    ['refused', 'adapter.connectEnded', 10061, 'WSAECONNREFUSED'],
    ['cut off before it was up', 'adapter.disconnected', 0, 'WSAETIMEDOUT'],
    ['never answered', 'clock.expired', 0, 'WSAETIMEDOUT'],
    ['under way when the adapter is removed', 'adapter.removed', 0, 'WSAENETDOWN'],
  ])('an attempt that is %s ends in bound and can be repeated', (_, event, error, reported) => {
    const story = begin().bound(0);
    story.socket(0, 'spi.eventSelect', { connect: 1 });
    story.socket(0, 'spi.connect');
    story.socket(0, 'adapter.connectStarted');
    const effects = story.socket(0, event, { error });
    assert.deepEqual(
      effects.filter((line) => !line.endsWith('stopTimer')),
      ['socket 0: destroyConnector', 'networkEvents 0: setEvent'],
    );
    assert.equal(effects.includes('socket 0: stopTimer'), event !== 'clock.expired');
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      `networkEvents 0: reportNetworkEvents accept=0 0 connect=1 ${reported}`,
      'networkEvents 0: answer 0',
    ]);
    assert.deepEqual(story.socket(0, 'spi.connect'), ['socket 0: startConnect']);
  });

  test('closing gives the attempt up', () => {
    const story = begin().connecting(0);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopTimer',
      'socket 0: disconnect',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    story.assertNothingLeft();
  });
});

describe('requests of a connected socket', () => {
  test('a polled send is published, a notified one completed by an up-call', () => {
    const story = begin().connected(0);
    assert.deepEqual(story.send(0, 20, { polled: 1 }), [
      'overlappedRequest 20: markPending',
      'overlappedRequest 20: postWork fence=0 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.completed(20, 64), [
      'overlappedRequest 20: publish 0 bytes=64',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.send(0, 21), [
      'overlappedRequest 21: markPending',
      'overlappedRequest 21: postWork fence=0 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.completed(21, 65), ['overlappedRequest 21: requestNotification']);
    assert.deepEqual(story.request(21, 'dispatcher.notify'), [
      'overlappedRequest 21: completeOverlappedRequest 0 bytes=65',
    ]);
    assert.deepEqual(story.request(21, 'upcall.returned'), ['overlappedRequest 21: retire']);
  });

  test('an up-call that fails is made good by publishing the outcome', () => {
    const story = begin().connected(0);
    story.send(0, 20);
    story.completed(20, 8);
    story.request(20, 'dispatcher.notify');
    assert.deepEqual(story.request(20, 'upcall.returned', { failed: 1 }), [
      'overlappedRequest 20: publish 0 bytes=8',
      'overlappedRequest 20: retire',
    ]);
  });

  test('a request in several pieces completes with the last of them', () => {
    const story = begin().connected(0);
    story.send(0, 20, { pieces: 3, polled: 1 });
    assert.deepEqual(story.completed(20, 3000), []);
    assert.deepEqual(story.completed(20, 3000), []);
    assert.deepEqual(story.completed(20, 3000), [
      'overlappedRequest 20: publish 0 bytes=3000',
      'overlappedRequest 20: retire',
    ]);
  });

  test('receives complete in the order of the calls though the adapter gives them back out of order', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.recv(0, 11, { polled: 1 });
    assert.deepEqual(story.completed(11, 2), []);
    assert.equal(story.state('overlappedRequest', 11), 'finished');
    assert.deepEqual(story.completed(10, 1), [
      'overlappedRequest 10: publish 0 bytes=1',
      'overlappedRequest 11: publish 0 bytes=2',
      'overlappedRequest 11: retire',
      'overlappedRequest 10: retire',
    ]);
  });

  test('requests that wait for room are posted in order when places become free', () => {
    const story = begin().connected(0);
    story.send(0, 20, { polled: 1 });
    story.send(0, 21, { polled: 1 });
    assert.deepEqual(story.send(0, 22, { polled: 1 }), [
      'overlappedRequest 22: markPending',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.send(0, 23, { polled: 1 }), [
      'overlappedRequest 23: markPending',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.states('overlappedRequest', 20, 21, 22, 23), ['posted', 'posted', 'held', 'held']);
    // The place goes to 22 though 21 is the one that came back.
    assert.deepEqual(story.completed(21), ['overlappedRequest 22: postWork fence=0 pieces=1']);
    assert.deepEqual(story.completed(20), [
      'overlappedRequest 23: postWork fence=0 pieces=1',
      'overlappedRequest 20: publish 0 bytes=0',
      'overlappedRequest 21: publish 0 bytes=0',
      'overlappedRequest 21: retire',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.completed(22), ['overlappedRequest 22: publish 0 bytes=0', 'overlappedRequest 22: retire']);
    assert.deepEqual(story.completed(23), ['overlappedRequest 23: publish 0 bytes=0', 'overlappedRequest 23: retire']);
  });

  test('beyond the overflow limit a request is refused and leaves no trace', () => {
    const story = begin().connected(0);
    for (const request of [20, 21, 22, 23]) story.send(0, request);
    assert.deepEqual(story.send(0, 24), ['requestQueue 0: answer WSAENOBUFS']);
    assert.equal(story.state('overlappedRequest', 24), 'unstarted');
    // The other direction has its own limit.
    assert.deepEqual(story.recv(0, 10), [
      'overlappedRequest 10: markPending',
      'overlappedRequest 10: postWork fence=0 pieces=1',
      'requestQueue 1: answer WSA_IO_PENDING',
    ]);
  });

  test('a request that the adapter refuses within the call never started', () => {
    const story = begin().connected(0);
    story.send(0, 20);
    assert.deepEqual(story.request(20, 'adapter.postRefused'), [
      'overlappedRequest 20: answer WSAENOBUFS',
      'overlappedRequest 20: unmarkPending',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.context('requestQueue', 0), { posted: 0, held: 0, pending: 0, first: 0, places: 2 });
  });

  test('sends after a read wait for it; a write does not', () => {
    const story = begin().connected(0);
    assert.deepEqual(story.socket(0, 'spi.rdmaRead', { request: 20 }), [
      'overlappedRequest 20: markPending',
      'overlappedRequest 20: postWork fence=0 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.socket(0, 'spi.rdmaWrite', { request: 21 }), [
      'overlappedRequest 21: markPending',
      'overlappedRequest 21: postWork fence=0 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    story.completed(20);
    story.completed(21);
    assert.deepEqual(story.send(0, 22), [
      'overlappedRequest 22: markPending',
      'overlappedRequest 22: postWork fence=1 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    story.completed(22);
    assert.deepEqual(story.send(0, 23), [
      'overlappedRequest 23: markPending',
      'overlappedRequest 23: postWork fence=1 pieces=1',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
  });

  test('what is wrong with a request is answered before anything is counted', () => {
    const story = begin().connected(0);
    assert.deepEqual(story.send(0, 20, { refusal: 10014 }), ['socket 0: answer WSAEFAULT']);
    assert.deepEqual(story.context('requestQueue', 0), { posted: 0, held: 0, pending: 0, first: 0, places: 2 });
  });
});

describe('first message of an accepted socket', () => {
  test('before the first receive: the receive is completed from it at once', () => {
    const story = begin().accepted(1);
    assert.deepEqual(story.event('firstMessage', 1, 'adapter.firstArrived'), []);
    assert.deepEqual(story.recv(1, 10, { polled: 1 }), [
      'requestQueue 3: pairRequest request=10 polled=1 fence=0 pieces=1',
      'overlappedRequest 10: markPending',
      'firstMessage 1: copyFirstMessage request=10',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.request(10, 'firstMessage.copied', { bytes: 33 }), [
      'overlappedRequest 10: publish 0 bytes=33',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(story.recv(1, 11), [
      'overlappedRequest 11: markPending',
      'overlappedRequest 11: postWork fence=0 pieces=1',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
  });

  test('after the first receive: the receive waits for it, and later ones for the receive', () => {
    const story = begin().accepted(1);
    assert.deepEqual(story.recv(1, 10, { polled: 1 }), [
      'requestQueue 3: pairRequest request=10 polled=1 fence=0 pieces=1',
      'overlappedRequest 10: markPending',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.recv(1, 11, { polled: 1 }), [
      'overlappedRequest 11: markPending',
      'overlappedRequest 11: postWork fence=0 pieces=1',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.completed(11, 5), []);
    assert.deepEqual(story.event('firstMessage', 1, 'adapter.firstArrived'), [
      'firstMessage 1: copyFirstMessage request=10',
    ]);
    assert.deepEqual(story.request(10, 'firstMessage.copied', { error: 10040 }), [
      'overlappedRequest 10: publish WSAEMSGSIZE bytes=0',
      'overlappedRequest 11: publish 0 bytes=5',
      'overlappedRequest 11: retire',
      'overlappedRequest 10: retire',
    ]);
  });

  test('that never comes: closing waits for the private receive', () => {
    const story = begin().accepted(1);
    assert.deepEqual(story.socket(1, 'spi.closeSocket'), [
      'socket 1: disconnect',
      'socket 1: startTimer kind=2',
      'socket 1: answer 0',
    ]);
    assert.deepEqual(story.event('firstMessage', 1, 'adapter.firstFlushed'), [
      'socket 1: stopTimer',
      'socket 1: destroyConnector',
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: socketClosed',
    ]);
    assert.equal(story.state('socket', 1), 'unopened');
  });
});

describe('closing', () => {
  test('waits for every flush; buffers are given back before that is told, the switch handle is last', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.send(0, 20);
    story.send(0, 21);
    story.send(0, 22);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: disconnect',
      'socket 0: startTimer kind=2',
      'socket 0: answer 0',
    ]);
    assert.equal(story.state('socket', 0), 'closing.draining');
    assert.deepEqual(story.flushed(10), [
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(story.flushed(21), []);
    // A late success is as good as a flush.
    assert.deepEqual(story.completed(20, 64), [
      'overlappedRequest 20: requestNotification',
      'overlappedRequest 21: requestNotification',
      'overlappedRequest 22: requestNotification',
    ]);
    assert.deepEqual(story.notify(20), [
      'overlappedRequest 20: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.notify(21), [
      'overlappedRequest 21: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
      'overlappedRequest 21: retire',
    ]);
    assert.deepEqual(story.request(22, 'dispatcher.notify'), [
      'overlappedRequest 22: completeOverlappedRequest WSA_OPERATION_ABORTED bytes=0',
    ]);
    assert.deepEqual(story.request(22, 'upcall.returned'), [
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 22: retire',
    ]);
    story.assertNothingLeft();
  });

  test('a flush that does not come is not waited for: the connector goes and the buffers with it', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'spi.closeSocket');
    assert.deepEqual(story.socket(0, 'clock.expired'), [
      'socket 0: destroyConnector',
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'socket 0: stopTimer',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 10: retire',
    ]);
    story.assertNothingLeft();
  });

  test('an idle connection is freed within the call', () => {
    const story = begin().connected(0);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: disconnect',
      'socket 0: startTimer kind=2',
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'socket 0: answer 0',
    ]);
    story.assertNothingLeft();
  });

  test('a completion up-call that is running keeps the socket', () => {
    const story = begin().connected(0);
    story.send(0, 20);
    story.completed(20, 1);
    story.request(20, 'dispatcher.notify');
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: disconnect',
      'socket 0: startTimer kind=2',
      'socket 0: answer 0',
    ]);
    assert.deepEqual(story.request(20, 'upcall.returned'), [
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 20: retire',
    ]);
    story.assertNothingLeft();
  });
});

describe('a broken connection', () => {
  test('ends pending requests with its reason, as they are flushed, and what arrived before with success', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.recv(0, 11, { polled: 1 });
    story.recv(0, 12, { polled: 1 });
    assert.deepEqual(story.socket(0, 'adapter.disconnected'), ['socket 0: disconnect']);
    assert.equal(story.state('socket', 0), 'broken');
    assert.deepEqual(story.completed(10, 7), [
      'overlappedRequest 10: publish 0 bytes=7',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(story.flushed(11), [
      'overlappedRequest 11: publish WSAECONNRESET bytes=0',
      'overlappedRequest 12: publish WSAECONNRESET bytes=0',
      'overlappedRequest 12: retire',
      'overlappedRequest 11: retire',
    ]);
    assert.deepEqual(story.send(0, 20), ['socket 0: answer WSAECONNRESET']);
    assert.deepEqual(story.socket(0, 'adapter.flushNoticed'), []);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: startTimer kind=2',
      'socket 0: answer 0',
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
    ]);
    story.assertNothingLeft();
  });

  test('a request keeps the error that it failed with itself', () => {
    const story = begin().connected(0);
    story.send(0, 20, { polled: 1 });
    story.send(0, 21, { polled: 1 });
    assert.deepEqual(story.request(20, 'adapter.failed', { error: 10014 }), [
      'overlappedRequest 20: publish WSAEFAULT bytes=0',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.socket(0, 'adapter.fault'), ['socket 0: disconnect']);
    assert.deepEqual(story.flushed(21), [
      'overlappedRequest 21: publish WSAECONNABORTED bytes=0',
      'overlappedRequest 21: retire',
    ]);
    assert.deepEqual(story.recv(0, 10), ['socket 0: answer WSAECONNABORTED']);
  });

  test('closed before the flush: what is pending is aborted instead', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'adapter.disconnected');
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), ['socket 0: startTimer kind=2', 'socket 0: answer 0']);
    assert.deepEqual(story.flushed(10), [
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 10: retire',
    ]);
    story.assertNothingLeft();
  });
});

describe('listening', () => {
  test('a request is queued, announced, offered and accepted', () => {
    const story = begin().listening(0);
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { accept: 1 }), ['socket 0: answer 0']);
    assert.deepEqual(story.socket(0, 'adapter.connectRequest', { request: 40 }), ['networkEvents 0: setEvent']);
    // Announced once until an accept.
    assert.deepEqual(story.socket(0, 'adapter.connectRequest', { request: 41 }), []);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=1 0 connect=0 0',
      'networkEvents 0: answer 0',
    ]);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['connectionRequest 40: callConditionFunction']);
    assert.deepEqual(story.peer(40, 'condition.accepted'), ['socket 1: createSwitchHandle']);
    assert.deepEqual(story.socket(1, 'upcall.handleCreated'), ['socket 1: acceptConnection request=40']);
    // The next request is announced again, after the reset.
    assert.deepEqual(story.socket(1, 'adapter.accepted'), [
      'networkEvents 0: resetEvent',
      'connectionRequest 40: forget',
      'socket 1: answer 0',
    ]);
    assert.deepEqual(story.networkEvents(0, 'upcall.eventReset'), ['networkEvents 0: setEvent']);
    assert.equal(story.state('socket', 1), 'connected.active');
    assert.equal(story.state('connectionRequest', 40), 'arrived');
  });

  test('an accept without a request would block; one without room for a socket fails', () => {
    const story = begin().listening(0);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['socket 0: answer WSAEWOULDBLOCK']);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1, full: 1 }), ['socket 0: answer WSAEMFILE']);
    assert.deepEqual(story.context('socket', 0), { ...untouched, backlog: 2, queued: 1 });
  });

  test('a rejected request is gone, a deferred one is offered first again and raises no event', () => {
    const story = begin().listening(0);
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    story.networkEvents(0, 'spi.enumNetworkEvents');
    story.socket(0, 'spi.accept', { socket: 1 });
    assert.deepEqual(story.peer(40, 'condition.deferred'), ['connectionRequest 40: answer WSATRY_AGAIN']);
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { accept: 1 }), ['socket 0: answer 0']);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['connectionRequest 40: callConditionFunction']);
    assert.deepEqual(story.peer(40, 'condition.rejected'), [
      'connectionRequest 40: rejectConnection reason=2',
      'networkEvents 0: setEvent',
      'connectionRequest 40: forget',
      'connectionRequest 40: answer WSAECONNREFUSED',
    ]);
    assert.deepEqual(story.context('socket', 0), { ...untouched, backlog: 2, queued: 1 });
  });

  test('an answer that means nothing refuses the peer', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'spi.accept', { socket: 1 });
    assert.deepEqual(story.peer(40, 'condition.invalid'), [
      'connectionRequest 40: rejectConnection reason=2',
      'connectionRequest 40: forget',
      'connectionRequest 40: answer WSAEINVAL',
    ]);
  });

  test('a peer that withdraws while queued is gone; while offered, the accept learns of it', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    assert.deepEqual(story.peer(40, 'adapter.withdrawn'), ['connectionRequest 40: forget']);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['connectionRequest 41: callConditionFunction']);
    assert.deepEqual(story.peer(41, 'adapter.withdrawn'), []);
    assert.deepEqual(story.peer(41, 'condition.accepted'), [
      'connectionRequest 41: forget',
      'connectionRequest 41: answer WSAECONNRESET',
    ]);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['socket 0: answer WSAEWOULDBLOCK']);
  });

  test('a withdrawn deferred request lets the next one raise the event', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(40, 'condition.deferred');
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    assert.deepEqual(story.peer(40, 'adapter.withdrawn'), [
      'networkEvents 0: setEvent',
      'connectionRequest 40: forget',
    ]);
  });

  test('of two deferred requests, by accepts inside one another, each keeps the event back', () => {
    const story = begin().listening(0, 3);
    for (const request of [40, 41, 42]) story.socket(0, 'adapter.connectRequest', { request });
    story.socket(0, 'spi.accept', { socket: 1 });
    story.socket(0, 'spi.accept', { socket: 2 });
    story.peer(41, 'condition.deferred');
    story.peer(40, 'condition.deferred');
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'spi.accept', { socket: 1 });
    const refused = ['connectionRequest 40: rejectConnection reason=2', 'connectionRequest 40: forget'];
    assert.deepEqual(story.peer(40, 'condition.rejected'), [
      ...refused,
      'connectionRequest 40: answer WSAECONNREFUSED',
    ]);
    assert.deepEqual(story.peer(41, 'adapter.withdrawn'), [
      'networkEvents 0: setEvent',
      'connectionRequest 41: forget',
    ]);
  });

  test('beyond the backlog arrivals are refused; a smaller backlog refuses the newest', () => {
    const story = begin().listening(0, 2);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    assert.deepEqual(story.socket(0, 'spi.listen', { backlog: 1 }), [
      'connectionRequest 41: rejectConnection reason=1',
      'connectionRequest 41: forget',
      'socket 0: answer 0',
    ]);
    assert.deepEqual(story.system.connectionRequests.members(0), [40]);
  });

  test('closing refuses queued requests and the offered one; its accept fails when the condition function has returned', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    story.socket(0, 'spi.accept', { socket: 1 });
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopListening',
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 41: rejectConnection reason=1',
      'connectionRequest 41: forget',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    assert.deepEqual(story.peer(40, 'condition.accepted'), [
      'connectionRequest 40: forget',
      'connectionRequest 40: answer WSAENOTSOCK',
    ]);
    story.assertNothingLeft();
  });

  test('closing from inside the up-call that creates the switch handle: the accept succeeds', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(40, 'condition.accepted');
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopListening',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    assert.deepEqual(story.socket(1, 'upcall.handleCreated'), ['socket 1: acceptConnection request=40']);
    assert.deepEqual(story.socket(1, 'adapter.accepted'), ['connectionRequest 40: forget', 'socket 1: answer 0']);
    assert.deepEqual(story.states('socket', 0, 1), ['unopened', 'connected.active']);
    assert.deepEqual([...story.system.connectionRequests.serialize()], []);
  });

  test('adapter removal and then closing, both from inside the condition function', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'spi.accept', { socket: 1 });
    assert.deepEqual(story.provider('adapter.removed'), []);
    assert.equal(story.state('connectionRequest', 40), 'lostWhileOffered');
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopListening',
      'connectionRequest 40: rejectConnection reason=1',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    assert.deepEqual(story.peer(40, 'condition.accepted'), [
      'connectionRequest 40: forget',
      'connectionRequest 40: answer WSAENOTSOCK',
    ]);
    story.assertNothingLeft();
  });

  test('adapter removal and then closing, both from inside the up-call that creates the switch handle', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(40, 'condition.accepted');
    assert.deepEqual(story.provider('adapter.removed'), []);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopListening',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    story.socket(1, 'upcall.handleCreated');
    assert.deepEqual(story.socket(1, 'adapter.acceptFailed', { error: 10050 }), [
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'socket 1: endRefusal WSAENETDOWN',
    ]);
    // Inside what that leads to.
    assert.deepEqual(story.socket(1, 'adapter.removed'), []);
    assert.deepEqual(story.provider('spi.cleanup'), ['provider 0: answer WSAENETDOWN']);
    assert.deepEqual(story.socket(1, 'dispatcher.refusalEnded', { error: 10050 }), [
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: answer WSAENETDOWN',
      'socket 1: socketClosed',
      'provider 0: closeAdapter',
    ]);
    story.assertNothingLeft();
  });

  test('a listener whose device is removed drops its requests, says so once, and can only be closed', () => {
    const story = begin().listening(0);
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    // What is on record is of the request; that nothing more comes takes its place.
    assert.deepEqual(story.socket(0, 'adapter.removed'), [
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'connectionRequest 41: rejectConnection reason=1',
      'connectionRequest 41: forget',
    ]);
    assert.equal(story.state('socket', 0), 'listening.lost');
    assert.deepEqual(story.socket(0, 'adapter.removed'), []);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=1 WSAENETDOWN connect=0 0',
      'networkEvents 0: answer 0',
    ]);
    for (const again of [1, 2]) {
      assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), ['socket 0: answer WSAENETDOWN']);
      assert.deepEqual(story.socket(0, 'spi.listen', { backlog: again }), ['socket 0: answer WSAENETDOWN']);
      assert.deepEqual(story.socket(0, 'spi.eventSelect', { accept: 1 }), ['socket 0: answer 0']);
    }
    story.socket(0, 'spi.closeSocket');
    story.assertNothingLeft();
  });

  test('the loss of a listener is told to whom selects FD_ACCEPT later, unless it was told', () => {
    const story = begin().listening(0);
    assert.deepEqual(story.socket(0, 'adapter.removed'), []);
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { connect: 1 }), ['socket 0: answer 0']);
    for (const selection of ['first', 'second']) {
      assert.deepEqual(
        story.socket(0, 'spi.eventSelect', { accept: 1 }),
        ['networkEvents 0: setEvent', 'socket 0: answer 0'],
        selection,
      );
    }
    story.networkEvents(0, 'spi.enumNetworkEvents');
    assert.deepEqual(story.socket(0, 'spi.eventSelect', { accept: 1 }), ['socket 0: answer 0']);
  });

  test('the loss of a listener is recorded as a request would be: after an FD_ACCEPT was reported, by WSPAccept', () => {
    const story = begin().listening(0);
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.networkEvents(0, 'spi.enumNetworkEvents');
    assert.deepEqual(story.socket(0, 'adapter.removed'), [
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
    ]);
    assert.deepEqual(story.socket(0, 'spi.accept', { socket: 1 }), [
      'networkEvents 0: setEvent',
      'socket 0: answer WSAENETDOWN',
    ]);
  });

  test('a deferred request does not keep the loss of its listener back', () => {
    const story = begin().listening(0);
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.networkEvents(0, 'spi.enumNetworkEvents');
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(40, 'condition.deferred');
    assert.deepEqual(story.socket(0, 'adapter.removed'), [
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'networkEvents 0: setEvent',
    ]);
  });

  test('a device that is removed inside the condition function ends WSPAccept with WSAENETDOWN', () => {
    const story = begin().listening(0);
    story.socket(0, 'spi.eventSelect', { accept: 1 });
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.networkEvents(0, 'spi.enumNetworkEvents');
    story.socket(0, 'spi.accept', { socket: 1 });
    assert.deepEqual(story.socket(0, 'adapter.removed'), []);
    assert.deepEqual(story.peer(40, 'adapter.withdrawn'), []);
    assert.deepEqual(story.peer(40, 'condition.accepted'), [
      'connectionRequest 40: rejectConnection reason=1',
      'networkEvents 0: setEvent',
      'connectionRequest 40: forget',
      'connectionRequest 40: answer WSAENETDOWN',
    ]);
    story.socket(0, 'spi.closeSocket');
    story.assertNothingLeft();
  });

  test('an accept that the switch or the adapter refuses refuses the peer', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    story.socket(0, 'adapter.connectRequest', { request: 41 });
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(40, 'condition.accepted');
    assert.deepEqual(story.socket(1, 'upcall.handleRefused', { error: 10024 }), [
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'socket 1: answer WSAEMFILE',
      'socket 1: socketClosed',
    ]);
    story.socket(0, 'spi.accept', { socket: 1 });
    story.peer(41, 'condition.accepted');
    story.socket(1, 'upcall.handleCreated');
    assert.deepEqual(story.socket(1, 'adapter.acceptFailed', { error: 10054 }), [
      'connectionRequest 41: rejectConnection reason=1',
      'connectionRequest 41: forget',
      'socket 1: endRefusal WSAECONNRESET',
    ]);
    assert.deepEqual(story.socket(1, 'dispatcher.refusalEnded', { error: 10054 }), [
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: answer WSAECONNRESET',
      'socket 1: socketClosed',
    ]);
    assert.deepEqual(story.states('socket', 0, 1), ['listening.open', 'unopened']);
    assert.deepEqual([...story.system.connectionRequests.serialize()], []);
  });

  test('an adapter that does not listen leaves the socket bound', () => {
    const story = begin().bound(0);
    assert.deepEqual(story.socket(0, 'spi.listen', { backlog: 2 }), ['socket 0: startListening']);
    assert.deepEqual(story.socket(0, 'adapter.listenFailed', { error: 10055 }), ['socket 0: answer WSAENOBUFS']);
    assert.equal(story.state('socket', 0), 'bound.idle');
  });
});

describe('registrations', () => {
  test('are counted, and only the last deregistration releases', () => {
    const story = begin().connected(0);
    assert.deepEqual(story.socket(0, 'spi.registerMemory', { buffer: 70 }), ['registeredBuffer 70: registerRegion']);
    assert.deepEqual(story.buffer(70, 'adapter.registered'), ['registeredBuffer 70: answer 0']);
    assert.deepEqual(story.socket(0, 'spi.registerMemory', { buffer: 70 }), ['registeredBuffer 70: answer 0']);
    assert.deepEqual(story.socket(0, 'spi.registerMemory', { buffer: 70 }), ['registeredBuffer 70: answer WSAENOBUFS']);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 70, known: 1 }), [
      'registeredBuffer 70: answer 0',
    ]);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 70, known: 1 }), [
      'registeredBuffer 70: deregisterRegion',
      'registeredBuffer 70: forget',
      'registeredBuffer 70: answer 0',
    ]);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 70 }), ['socket 0: answer WSAEINVAL']);
    assert.deepEqual([...story.system.buffers.serialize()], []);
  });

  test('that the adapter refuses are forgotten', () => {
    const story = begin().connected(0);
    story.socket(0, 'spi.registerMemory', { buffer: 70 });
    assert.deepEqual(story.buffer(70, 'adapter.registerFailed', { error: 10055 }), [
      'registeredBuffer 70: answer WSAENOBUFS',
      'registeredBuffer 70: forget',
    ]);
    assert.deepEqual([...story.system.buffers.serialize()], []);
  });

  test('are pinned by a pending request until its end is known, before that is told', () => {
    const story = begin().connected(0);
    for (const buffer of [70, 71]) {
      story.socket(0, 'spi.registerMemory', { buffer });
      story.buffer(buffer, 'adapter.registered');
    }
    assert.deepEqual(story.buffer(70, 'request.pinned', { request: 20 }), []);
    story.buffer(71, 'request.pinned', { request: 20 });
    story.send(0, 20);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 71, known: 1 }), [
      'registeredBuffer 71: answer WSAEINVAL',
    ]);
    story.completed(20, 1);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 71, known: 1 }), [
      'registeredBuffer 71: deregisterRegion',
      'registeredBuffer 71: forget',
      'registeredBuffer 71: answer 0',
    ]);
    assert.deepEqual(story.context('registeredBuffer', 70), { references: 1, pins: 0 });
  });

  test('are let go of by a request that is refused after all', () => {
    const story = begin().connected(0);
    story.socket(0, 'spi.registerMemory', { buffer: 70 });
    story.buffer(70, 'adapter.registered');
    story.buffer(70, 'request.pinned', { request: 20 });
    assert.deepEqual(story.request(20, 'spi.refused'), []);
    assert.deepEqual(story.socket(0, 'spi.deregisterMemory', { buffer: 70, known: 1 }), [
      'registeredBuffer 70: deregisterRegion',
      'registeredBuffer 70: forget',
      'registeredBuffer 70: answer 0',
    ]);
  });

  test('that remain are released when the socket is freed, before its switch handle is closed', () => {
    const story = begin().connected(0);
    for (const buffer of [70, 71]) {
      story.socket(0, 'spi.registerMemory', { buffer });
      story.buffer(buffer, 'adapter.registered');
    }
    story.buffer(70, 'request.pinned', { request: 10 });
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'spi.closeSocket');
    assert.deepEqual(story.flushed(10), [
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'socket 0: stopTimer',
      'socket 0: destroyConnector',
      'registeredBuffer 70: deregisterRegion',
      'registeredBuffer 70: forget',
      'registeredBuffer 71: deregisterRegion',
      'registeredBuffer 71: forget',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 10: retire',
    ]);
    story.assertNothingLeft();
  });
});

describe('duplicating', () => {
  test('a connection: receives end with success and no bytes, the peer is told, the connection is left', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.recv(0, 11, { polled: 1 });
    story.recv(0, 12, { polled: 1 });
    assert.deepEqual(story.socket(0, 'spi.duplicateSocket'), [
      'socket 0: startTimer kind=1',
      'socket 0: writeMailbox',
      'socket 0: answer 0',
    ]);
    // What the peer has sent before still arrives.
    assert.deepEqual(story.completed(10, 4), [
      'overlappedRequest 10: publish 0 bytes=4',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(story.socket(0, 'adapter.mailboxWritten'), [
      'socket 0: stopTimer',
      'socket 0: disconnect',
      'socket 0: destroyConnector',
      'overlappedRequest 11: publish 0 bytes=0',
      'overlappedRequest 11: retire',
      'overlappedRequest 12: publish 0 bytes=0',
      'overlappedRequest 12: retire',
    ]);
    assert.equal(story.state('socket', 0), 'dormant.parted');
    assert.deepEqual(story.send(0, 20), ['socket 0: answer WSAENOTCONN']);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: answer 0',
      'socket 0: stopTimer',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
    ]);
    story.assertNothingLeft();
  });

  test('a connection, closed before the peer has been told', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'spi.duplicateSocket');
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), ['socket 0: startTimer kind=2', 'socket 0: answer 0']);
    assert.deepEqual(story.socket(0, 'adapter.mailboxWritten'), [
      'socket 0: stopTimer',
      'socket 0: disconnect',
      'socket 0: destroyConnector',
      'overlappedRequest 10: publish 0 bytes=0',
      'socket 0: stopTimer',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 10: retire',
    ]);
    story.assertNothingLeft();
  });

  test('a listener: its queued requests are refused', () => {
    const story = begin().listening(0);
    story.socket(0, 'adapter.connectRequest', { request: 40 });
    assert.deepEqual(story.socket(0, 'spi.duplicateSocket'), [
      'socket 0: stopListening',
      'connectionRequest 40: rejectConnection reason=1',
      'connectionRequest 40: forget',
      'socket 0: answer 0',
    ]);
    assert.deepEqual(story.networkEvents(0, 'spi.enumNetworkEvents'), [
      'networkEvents 0: reportNetworkEvents accept=0 0 connect=0 0',
      'networkEvents 0: answer 0',
    ]);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: answer 0',
      'socket 0: socketClosed',
    ]);
    story.assertNothingLeft();
  });
});

describe('taking over', () => {
  test('a connection: requests are held until it is there, then posted in order', () => {
    const story = begin();
    assert.deepEqual(story.socket(0, 'spi.takeOver'), ['socket 0: createSwitchHandle']);
    assert.deepEqual(story.socket(0, 'upcall.handleCreated'), ['socket 0: startReattach']);
    assert.deepEqual(story.socket(0, 'adapter.connectStarted'), ['socket 0: startTimer kind=1', 'socket 0: answer 0']);
    assert.deepEqual(story.recv(0, 10, { polled: 1 }), [
      'requestQueue 1: pairRequest request=10 polled=1 fence=0 pieces=1',
      'overlappedRequest 10: markPending',
      'requestQueue 1: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.recv(0, 11, { polled: 1 }), [
      'overlappedRequest 11: markPending',
      'requestQueue 1: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.recv(0, 12, { polled: 1 }), [
      'overlappedRequest 12: markPending',
      'requestQueue 1: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.send(0, 20, { polled: 1 }), [
      'overlappedRequest 20: markPending',
      'requestQueue 0: answer WSA_IO_PENDING',
    ]);
    // Receive 10 is paired with the private receive and so has a place: only one more is posted.
    assert.deepEqual(story.socket(0, 'adapter.established'), [
      'socket 0: stopTimer',
      'overlappedRequest 20: postWork fence=0 pieces=1',
      'overlappedRequest 11: postWork fence=0 pieces=1',
    ]);
    assert.equal(story.state('socket', 0), 'connected.active');
  });

  test('a listener listens anew', () => {
    const story = begin();
    story.socket(0, 'spi.takeOver', { listening: 1, backlog: 1 });
    assert.deepEqual(story.socket(0, 'upcall.handleCreated'), ['socket 0: startListening']);
    assert.deepEqual(story.socket(0, 'adapter.listening'), ['socket 0: answer 0']);
    assert.equal(story.context('socket', 0)['backlog'], 1);
  });

  test.each([
    ['clock.expired', ['socket 0: destroyConnector']],
    ['adapter.connectEnded', ['socket 0: stopTimer', 'socket 0: destroyConnector']],
    ['adapter.removed', ['socket 0: stopTimer', 'socket 0: destroyConnector']],
  ])('a connection that does not come back (%s) is broken', (event, before) => {
    const story = begin();
    story.socket(0, 'spi.takeOver');
    story.socket(0, 'upcall.handleCreated');
    story.socket(0, 'adapter.connectStarted');
    story.send(0, 20, { polled: 1 });
    assert.deepEqual(story.socket(0, event), [
      ...before,
      'overlappedRequest 20: publish WSAENETDOWN bytes=0',
      'overlappedRequest 20: retire',
    ]);
    assert.equal(story.state('socket', 0), 'broken');
  });
});

describe("the peer's move to another process", () => {
  test('receives are held and posted again in order when it is back', () => {
    const story = begin().connected(0);
    for (const request of [10, 11, 12]) story.recv(0, request, { polled: 1 });
    assert.deepEqual(story.socket(0, 'adapter.disconnected', { migrating: 1 }), [
      'socket 0: destroyConnector',
      'socket 0: startTimer kind=1',
    ]);
    assert.deepEqual(story.states('overlappedRequest', 10, 11, 12), ['held', 'held', 'held']);
    assert.deepEqual(story.recv(0, 13, { polled: 1 }), [
      'overlappedRequest 13: markPending',
      'requestQueue 1: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.socket(0, 'adapter.reattachRequested'), ['socket 0: stopTimer', 'socket 0: acceptReattach']);
    assert.deepEqual(story.socket(0, 'adapter.reattached'), [
      'overlappedRequest 10: postWork fence=0 pieces=1',
      'overlappedRequest 11: postWork fence=0 pieces=1',
    ]);
    assert.deepEqual(story.states('overlappedRequest', 10, 11, 12, 13), ['posted', 'posted', 'held', 'held']);
    assert.deepEqual(story.completed(10, 1), [
      'overlappedRequest 12: postWork fence=0 pieces=1',
      'overlappedRequest 10: publish 0 bytes=1',
      'overlappedRequest 10: retire',
    ]);
  });

  test('its new process can be faster than the notice that the old connection has ended', () => {
    const story = begin().connected(0);
    story.recv(0, 10);
    assert.deepEqual(story.socket(0, 'adapter.reattachRequested'), [
      'socket 0: destroyConnector',
      'socket 0: acceptReattach',
    ]);
    assert.deepEqual(story.socket(0, 'adapter.reattached'), ['overlappedRequest 10: postWork fence=0 pieces=1']);
  });

  test('when it does not come back, the connection is broken', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'adapter.disconnected', { migrating: 1 });
    assert.deepEqual(story.socket(0, 'clock.expired'), [
      'overlappedRequest 10: publish WSAECONNRESET bytes=0',
      'overlappedRequest 10: retire',
    ]);
    assert.equal(story.state('socket', 0), 'broken');
  });

  test('closing meanwhile has no flush to wait for', () => {
    const story = begin().connected(0);
    story.recv(0, 10, { polled: 1 });
    story.socket(0, 'adapter.disconnected', { migrating: 1 });
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: stopTimer',
      'overlappedRequest 10: publish WSA_OPERATION_ABORTED bytes=0',
      'socket 0: stopTimer',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
      'overlappedRequest 10: retire',
      'socket 0: answer 0',
    ]);
    story.assertNothingLeft();
  });

  test('while an accepted socket has its first receive pending: it becomes one like the others', () => {
    const story = begin().accepted(1);
    story.recv(1, 10, { polled: 1 });
    assert.deepEqual(story.socket(1, 'adapter.disconnected', { migrating: 1 }), [
      'socket 1: destroyConnector',
      'socket 1: startTimer kind=1',
    ]);
    story.socket(1, 'adapter.reattachRequested');
    assert.deepEqual(story.socket(1, 'adapter.reattached'), ['overlappedRequest 10: postWork fence=0 pieces=1']);
  });
});

describe("the peer's move before the first message", () => {
  test('the first receive is then one like the others', () => {
    const story = begin().accepted(1);
    story.socket(1, 'adapter.disconnected', { migrating: 1 });
    assert.deepEqual(story.recv(1, 10, { polled: 1 }), [
      'overlappedRequest 10: markPending',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
    story.socket(1, 'adapter.reattachRequested');
    assert.deepEqual(story.socket(1, 'adapter.reattached'), ['overlappedRequest 10: postWork fence=0 pieces=1']);
    assert.deepEqual(story.completed(10, 3), [
      'overlappedRequest 10: publish 0 bytes=3',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(story.socket(1, 'spi.closeSocket'), [
      'socket 1: disconnect',
      'socket 1: startTimer kind=2',
      'socket 1: stopTimer',
      'socket 1: destroyConnector',
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: socketClosed',
      'socket 1: answer 0',
    ]);
  });

  test('a message that has come already is kept for the first receive', () => {
    const story = begin().accepted(1);
    story.event('firstMessage', 1, 'adapter.firstArrived');
    story.socket(1, 'adapter.disconnected', { migrating: 1 });
    assert.deepEqual(story.recv(1, 10, { polled: 1 }), [
      'requestQueue 3: pairRequest request=10 polled=1 fence=0 pieces=1',
      'overlappedRequest 10: markPending',
      'firstMessage 1: copyFirstMessage request=10',
      'requestQueue 3: answer WSA_IO_PENDING',
    ]);
    assert.deepEqual(story.request(10, 'firstMessage.copied', { bytes: 9 }), [
      'overlappedRequest 10: publish 0 bytes=9',
      'overlappedRequest 10: retire',
    ]);
  });
});

describe('device removal', () => {
  test('reaches sockets in every state', () => {
    const story = new Story();
    const states = (...rows: number[]) => story.states('socket', ...rows);
    story.started().connected(0).created(1);
    story.recv(0, 10, { polled: 1 });
    story.send(0, 20);
    assert.deepEqual(story.provider('adapter.removed'), [
      'socket 0: destroyConnector',
      'overlappedRequest 20: requestNotification',
      'overlappedRequest 10: publish WSAENETDOWN bytes=0',
      'overlappedRequest 10: retire',
    ]);
    assert.deepEqual(states(0, 1), ['broken', 'created']);
    assert.deepEqual(story.send(0, 21), ['socket 0: answer WSAENETDOWN']);
    assert.equal(wsaName(story.system.refusal(M.provider, 0)), 'WSAENETDOWN');
    assert.deepEqual(story.notify(20), [
      'overlappedRequest 20: completeOverlappedRequest WSAENETDOWN bytes=0',
      'overlappedRequest 20: retire',
    ]);
    assert.deepEqual(story.socket(0, 'spi.closeSocket'), [
      'socket 0: startTimer kind=2',
      'socket 0: answer 0',
      'socket 0: stopTimer',
      'socket 0: freeBuffers',
      'socket 0: closeSwitchHandle',
      'socket 0: socketClosed',
    ]);
    assert.deepEqual(story.provider('spi.startup'), ['provider 0: answer WSASYSNOTREADY']);
    assert.deepEqual(story.provider('spi.cleanup'), [
      'socket 1: freeBuffers',
      'socket 1: closeSwitchHandle',
      'socket 1: socketClosed',
      'provider 0: closeAdapter',
      'provider 0: answer WSAENETDOWN',
    ]);
    story.assertNothingLeft();
  });

  /** A way into each state that lasts, and what the socket is afterwards. */
  const ways: readonly (readonly [state: string, after: string, go: (story: Story) => void])[] = [
    ['created', 'created', (story) => story.created(0)],
    ['bound.idle', 'bound.idle', (story) => story.bound(0)],
    [
      'listening.open',
      'listening.lost',
      (story) => story.listening(0).socket(0, 'adapter.connectRequest', { request: 40 }),
    ],
    ['listening.lost', 'listening.lost', (story) => story.listening(0).socket(0, 'adapter.removed')],
    ['connecting.pending', 'bound.idle', (story) => story.connecting(0)],
    ['connected.active', 'broken', (story) => story.connected(0)],
    [
      'connected.suspended',
      'broken',
      (story) => story.connected(0).socket(0, 'adapter.disconnected', { migrating: 1 }),
    ],
    [
      'connected.attaching',
      'broken',
      (story) => {
        story.socket(0, 'spi.takeOver');
        story.socket(0, 'upcall.handleCreated');
        story.socket(0, 'adapter.connectStarted');
      },
    ],
    ['broken', 'broken', (story) => story.connected(0).socket(0, 'adapter.disconnected')],
    ['dormant.handing', 'dormant.parted', (story) => story.connected(0).socket(0, 'spi.duplicateSocket')],
    ['dormant.unlistening', 'dormant.unlistening', (story) => story.listening(0).socket(0, 'spi.duplicateSocket')],
    [
      'closing.handing',
      'unopened',
      (story) => {
        story.connected(0).socket(0, 'spi.duplicateSocket');
        story.socket(0, 'spi.closeSocket');
      },
    ],
    [
      'closing.draining',
      'unopened',
      (story) => {
        story.connected(0).recv(0, 10, { polled: 1 });
        story.socket(0, 'spi.closeSocket');
      },
    ],
  ];
  test.each(ways)('in %s: then %s; it can be closed and nothing is left', (state, after, go) => {
    const story = begin();
    go(story);
    assert.equal(story.state('socket', 0), state);
    story.provider('adapter.removed');
    assert.equal(story.state('socket', 0), after);
    if (after !== 'unopened') story.socket(0, 'spi.closeSocket');
    story.assertNothingLeft();
    assert.equal(story.context('provider', 0)['sockets'], 0);
  });

  test.each(ways)('clean-up in %s leaves nothing either', (_, __, go) => {
    const story = begin();
    go(story);
    story.provider('spi.cleanup');
    story.assertNothingLeft();
    assert.deepEqual(story.context('provider', 0), { startups: 0, sockets: 0 });
    assert.equal(story.state('provider', 0), 'closing');
  });
});

describe('rows', () => {
  test('are new again after use', () => {
    const story = begin();
    for (let round = 0; round < 3; round++) {
      story.accepted(1);
      story.recv(1, 10);
      story.send(1, 20, { polled: 1 });
      story.socket(1, 'spi.registerMemory', { buffer: 70 });
      story.buffer(70, 'adapter.registered');
      story.socket(1, 'adapter.disconnected');
      story.flushed(20);
      story.socket(1, 'spi.closeSocket');
      story.notify(10);
      story.event('firstMessage', 1, 'adapter.firstFlushed');
      story.socket(0, 'spi.closeSocket');
      story.assertNothingLeft();
    }
    assert.deepEqual(story.context('provider', 0), { startups: 1, sockets: 0 });
  });

  test('of the same numbers in two systems are apart', () => {
    const [one, other] = [begin().connected(0), begin()];
    one.send(0, 20);
    assert.equal(other.state('socket', 0), 'unopened');
    assert.equal(other.state('overlappedRequest', 20), 'unstarted');
  });
});

describe('an event that no state expects', () => {
  test('is a broken invariant, named in full', () => {
    const story = new Story();
    story.provider('spi.startup');
    story.provider('adapter.opened');
    story.created(0);
    assert.throws(
      () => story.socket(0, 'adapter.accepted'),
      (error: unknown) => {
        assert.ok(error instanceof InvariantError);
        const { machine, row, event, state, step, name, message } = error;
        assert.deepEqual(
          { machine, row, event, state, step, name, message },
          {
            machine: 'socket',
            row: 0,
            event: 'adapter.accepted',
            state: 'created',
            step: 4,
            name: 'InvariantError',
            message: "socket 0: adapter.accepted in state 'created' (journal step 4)",
          },
        );
        return true;
      },
    );
  });

  test('of a routed step names the row that did not expect it', () => {
    const story = begin().connected(0);
    story.send(0, 20);
    // The request's row is in use.
    assert.throws(() => story.recv(0, 20), {
      message: "overlappedRequest 20: queue.start in state 'posted' (journal step 9)",
    });
  });

  test('is foreseen by accepts(), which changes nothing', () => {
    const { system } = begin().created(0);
    const before = system.rows[M.socket]!.context(0);
    assert.equal(system.accepts(system.eventId('socket', 'adapter.accepted'), 0), false);
    assert.equal(system.accepts(system.eventId('socket', 'spi.closeSocket'), 0), true);
    assert.equal(system.rows[M.socket]!.stateName(0), 'created');
    assert.deepEqual(system.rows[M.socket]!.context(0), before);
    assert.equal(system.effects.top, 0);
  });

  test('names that do not exist are refused', () => {
    const { system } = new Story();
    assert.throws(() => system.eventId('socket', 'spi.shutdown'), /machine 'socket' has no event 'spi.shutdown'/);
    assert.throws(() => system.effectId('socket', 'shutdown'), /machine 'socket' has no effect 'shutdown'/);
  });
});
