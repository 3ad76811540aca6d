import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';

import { afterEach, describe, test, vi } from 'vitest';

import {
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  type ConnectionEvent,
  MemoryAccess,
  type MemoryRegion,
  Opcode,
  type SocketAddress,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from './adapter.ts';
import { IwarpAdapter, type IwarpOptions } from './iwarp.ts';
import { encodeStartup, StartupReader } from './iwarp/wire.ts';

const ALL = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;
const at = (address: string, port: number): SocketAddress => ({
  family: address.includes(':') ? 'IPv6' : 'IPv4',
  address,
  port,
});
const open: Side[] = [];

afterEach(() => {
  for (const side of open.splice(0)) side.adapter.close();
});

interface Remote {
  readonly region: MemoryRegion;
  readonly offset?: number;
}

class Side {
  readonly adapter: IwarpAdapter;
  readonly domain: number;
  readonly events: ConnectionEvent[] = [];
  readonly done: string[] = [];

  constructor(options: IwarpOptions = {}) {
    this.adapter = new IwarpAdapter({ addresses: ['127.0.0.1', '::1'], ...options });
    assert.equal(this.adapter.open(), 0);
    this.domain = this.adapter.allocateProtectionDomain();
    open.push(this);
  }

  memory(bytes: Uint8Array, access: number = ALL, domain: number = this.domain) {
    const region = this.adapter.registerMemory(domain, bytes, access);
    assert.ok(typeof region !== 'number');
    return { bytes, region };
  }

  poll(): void {
    for (let event = this.adapter.pollConnectionEvent(); event !== null; event = this.adapter.pollConnectionEvent()) {
      this.events.push(event);
    }
    for (let count = this.adapter.poll(); count > 0; count = this.adapter.poll()) {
      for (let index = 0; index < count; index++) {
        const word = (field: number) => this.adapter.completions[index * COMPLETION_WORDS + field]!;
        const status = word(CompletionField.status);
        const name = Object.entries(CompletionStatus).find(([, number]) => number === status)![0];
        const bytes = word(CompletionField.opcode) === Opcode.receive ? ` ${word(CompletionField.bytes)}` : '';
        this.done.push(`${word(CompletionField.context)} ${name}${status === CompletionStatus.success ? bytes : ''}`);
      }
    }
  }

  post(
    connector: number,
    opcode: number,
    context: number,
    parts: readonly { bytes: Uint8Array; region: MemoryRegion }[],
    remote?: Remote,
    flags = 0,
  ): number {
    const words = this.adapter.workRequests;
    words.fill(0, 0, WORK_REQUEST_WORDS);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.connector] = connector;
    words[WorkRequestField.context] = context;
    words[WorkRequestField.flags] = flags;
    words[WorkRequestField.elementCount] = parts.length;
    const address = (remote?.region.address ?? 0) + (remote?.offset ?? 0);
    words[WorkRequestField.remoteKey] = remote?.region.remoteKey ?? 0;
    words[WorkRequestField.remoteAddressLow] = address % 2 ** 32;
    words[WorkRequestField.remoteAddressHigh] = Math.floor(address / 2 ** 32);
    for (const [index, { bytes, region }] of parts.entries()) {
      words.set(
        [region.localKey, bytes.byteLength, region.address % 2 ** 32, Math.floor(region.address / 2 ** 32)],
        WorkRequestField.elements + 4 * index,
      );
    }
    return this.adapter.post(1);
  }

  event<T extends ConnectionEvent['type']>(type: T): Extract<ConnectionEvent, { type: T }> | undefined {
    return this.events.find((event) => event.type === type) as never;
  }
}

/** Turns of the event loop until `condition`, while all sides are polled. */
async function until(condition: () => boolean, what = 'it'): Promise<void> {
  const end = Date.now() + 90_000;
  for (;;) {
    for (const side of open) side.poll();
    if (condition()) return;
    assert.ok(Date.now() < end, `${what} takes for ever`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Some turns in which nothing is to happen. */
async function rest(): Promise<void> {
  let turns = 0;
  await until(() => ++turns > 50);
}

async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = net.createServer().listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function pair(near: IwarpOptions = {}, far: IwarpOptions = {}, address = '127.0.0.1', data = 0) {
  const client = new Side(near);
  const server = new Side(far);
  const port = await freePort(address);
  const wildcard = address.includes(':') ? '::' : '0.0.0.0';
  assert.ok(server.adapter.listen(at(data === 0 ? address : wildcard, port)) >= 0);
  const a = client.adapter.createConnector(client.domain, { send: 64, receive: 64 });
  const privateData = new Uint8Array(data).fill(1);
  assert.equal(client.adapter.connect(a, at(address, 0), at(address, port), privateData), 0);
  await until(() => server.event('connectRequest') !== undefined, 'the request');
  const request = server.event('connectRequest')!;
  assert.deepEqual(request.privateData, privateData);
  assert.equal(request.local.address, address);
  assert.equal(request.local.port, port);
  const b = request.connector;
  assert.equal(server.adapter.prepareAccept(b, server.domain, { send: 64, receive: 64 }), 0);
  assert.equal(server.adapter.accept(b, new Uint8Array(data).fill(2)), 0);
  await until(() => client.event('established') !== undefined && server.event('established') !== undefined);
  assert.deepEqual(client.event('established')!.privateData, new Uint8Array(data).fill(2));
  return { client, server, a, b, port };
}

describe('a connection', () => {
  for (const revision of [1, 2] as const) {
    for (const [nearCrc, farCrc] of [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      test(`of revision ${revision}, checksums ${nearCrc} and ${farCrc}, moves messages both ways, responder first`, async () => {
        const { client, server, a, b } = await pair({ revision, crc: nearCrc }, { crc: farCrc });
        const [from, to] = [server.memory(Buffer.from('to you')), client.memory(new Uint8Array(10))];
        client.post(a, Opcode.receive, 1, [to]);
        server.post(b, Opcode.send, 2, [from]);
        await until(() => client.done.length === 1 && server.done.length === 1);
        assert.deepEqual([client.done, server.done], [['1 success 6'], ['2 success']]);
        assert.equal(Buffer.from(to.bytes).toString('latin1', 0, 6), 'to you');
      });
    }
  }

  test.each([0, 1, 56, 508])('carries %i bytes of private data both ways', async (length) => {
    await pair({}, {}, '127.0.0.1', length);
  });
  test('carries 512 bytes of private data in revision 1', async () => {
    await pair({ revision: 1 }, { revision: 1 }, '127.0.0.1', 512);
  });
  test("asks for no more private data than is carried: that is the caller's mistake, and changes nothing", async () => {
    const { client, port } = await pair();
    const connector = client.adapter.createConnector(client.domain, { send: 1, receive: 1 });
    const [local, remote] = [at('127.0.0.1', 0), at('127.0.0.1', port)];
    assert.throws(
      () => client.adapter.connect(connector, local, remote, new Uint8Array(509)),
      /509 bytes, at most 508/,
    );
    assert.equal(client.adapter.connect(connector, local, remote, new Uint8Array(508)), 0);
    assert.throws(() => new IwarpAdapter({ readDepth: 0x3fff }), /0 to 16382/);
  });
  test.each([true, false])(
    'to an end of revision 1 is made in the second try [RFC 6581 10], checksums %s',
    async (crc) => {
      const { client, server, a, b } = await pair({ revision: 2, crc }, { revision: 1, crc });
      server.post(b, Opcode.receive, 1, [server.memory(new Uint8Array(8))]);
      client.post(a, Opcode.send, 2, [client.memory(Buffer.from('again'))]);
      await until(() => client.done.length === 1 && server.done.length === 1);
      assert.deepEqual([client.done, server.done], [['2 success'], ['1 success 5']]);
      assert.deepEqual([client.adapter.inventory().sockets, server.adapter.inventory().sockets], [1, 1]);
    },
  );
  test('goes by IPv6', async () => {
    await pair({}, {}, '::1');
  });

  test('that is rejected brings the private data', async () => {
    const [client, server] = [new Side(), new Side()];
    const port = await freePort();
    server.adapter.listen(at('127.0.0.1', port));
    const a = client.adapter.createConnector(client.domain, { send: 1, receive: 1 });
    client.adapter.connect(a, at('127.0.0.1', 0), at('127.0.0.1', port), new Uint8Array(0));
    await until(() => server.event('connectRequest') !== undefined);
    server.adapter.reject(server.event('connectRequest')!.connector, Buffer.from('no'));
    await until(() => client.event('rejected') !== undefined);
    assert.equal(Buffer.from(client.event('rejected')!.privateData).toString(), 'no');
    client.adapter.destroyConnector(a);
    await until(() => client.adapter.inventory().sockets + server.adapter.inventory().sockets === 0);
  });

  test('to where nobody listens is rejected with the reason for that', async () => {
    const client = new Side();
    const a = client.adapter.createConnector(client.domain, { send: 1, receive: 1 });
    client.adapter.connect(a, at('0.0.0.0', 0), at('127.0.0.1', await freePort()), new Uint8Array(0));
    await until(() => client.event('rejected') !== undefined);
    assert.equal(client.event('rejected')!.reason, 8);
  });

  test('that is withdrawn is told to the listener', async () => {
    const [client, server] = [new Side(), new Side()];
    const port = await freePort();
    server.adapter.listen(at('127.0.0.1', port));
    const a = client.adapter.createConnector(client.domain, { send: 1, receive: 1 });
    client.adapter.connect(a, at('127.0.0.1', 0), at('127.0.0.1', port), new Uint8Array(0));
    await until(() => server.event('connectRequest') !== undefined);
    client.adapter.disconnect(a);
    await until(() => server.event('withdrawn') !== undefined);
    const { connector } = server.event('withdrawn')!;
    assert.equal(server.adapter.prepareAccept(connector, server.domain, { send: 1, receive: 1 }), -3);
  });

  test('that one end disconnects ends at both, with what is posted flushed in order', async () => {
    const { client, server, a, b } = await pair();
    const [near, far] = [client.memory(new Uint8Array(8)), server.memory(new Uint8Array(8))];
    for (const context of [1, 2]) client.post(a, Opcode.receive, context, [near]);
    for (const context of [3, 4]) server.post(b, Opcode.receive, context, [far]);
    client.adapter.disconnect(a);
    client.adapter.disconnect(a);
    await until(() => server.event('disconnected') !== undefined && server.done.length === 2);
    assert.deepEqual(client.done, ['1 flushed', '2 flushed']);
    assert.deepEqual(server.done, ['3 flushed', '4 flushed']);
    client.post(a, Opcode.send, 5, [near]);
    await until(() => client.done.length === 3);
    assert.equal(client.done[2], '5 flushed');
    client.adapter.destroyConnector(a);
    server.adapter.destroyConnector(b);
    await until(() => client.adapter.inventory().sockets + server.adapter.inventory().sockets === 0);
  });
});

describe('data', () => {
  test('of 64 MiB goes by RDMA write and comes back by RDMA read', async () => {
    const { client, server, a } = await pair();
    const size = 64 * 1024 * 1024;
    const source = client.memory(new Uint8Array(size));
    const words = new Uint32Array(source.bytes.buffer);
    for (let index = 0; index < words.length; index++) words[index] = Math.imul(index, 0x9e37_79b1);
    const target = server.memory(new Uint8Array(size));
    const back = client.memory(new Uint8Array(size));
    client.post(a, Opcode.rdmaWrite, 1, [source], target);
    client.post(a, Opcode.rdmaRead, 2, [back], target);
    await until(() => client.done.length === 2);
    assert.deepEqual(client.done, ['1 success', '2 success']);
    assert.equal(Buffer.compare(source.bytes, target.bytes), 0);
    assert.equal(Buffer.compare(source.bytes, back.bytes), 0);
  });

  test('in small pieces arrives as it was posted, also when TCP takes no more for a while', async () => {
    const { client, server, a } = await pair();
    const size = 2048;
    const count = 16_384;
    const source = client.memory(Uint8Array.from({ length: size }, (_, index) => index * 7));
    const target = server.memory(new Uint8Array(count * size));
    let held = 0;
    for (let piece = 0; piece < count; ) {
      // Nobody reads between two of these: TCP is full after some, and the send queue then.
      source.bytes[0] = piece;
      source.bytes[1] = piece >> 8;
      const taken = client.post(a, Opcode.rdmaWrite, piece, [source], { region: target.region, offset: piece * size });
      const before = client.done.length;
      client.poll();
      held = Math.max(held, client.adapter.inventory().outputBytes);
      piece += taken;
      // What has completed has left its memory, which is used again.
      if (client.done.length === before) await until(() => client.done.length === piece);
    }
    assert.ok(held > 0, 'TCP took everything at once');
    assert.equal(client.done.length, count);
    assert.ok(client.done.every((done, index) => done === `${index} success`));
    await until(() => target.bytes[count * size - 1] !== 0);
    for (let piece = 0; piece < count; piece++) {
      source.bytes[0] = piece;
      source.bytes[1] = piece >> 8;
      assert.equal(Buffer.compare(source.bytes, target.bytes.subarray(piece * size, (piece + 1) * size)), 0);
    }
    assert.equal(client.adapter.inventory().outputBytes, 0);
  });

  test('of many reads at once, and sends behind them, completes in posting order [RFC 5040 5.5] [RFC 6581 9.1]', async () => {
    const { client, server, a, b } = await pair({ readDepth: 4 }, { readDepth: 3 });
    const source = server.memory(Uint8Array.from({ length: 100_000 }, (_, index) => index * 13));
    const inbox = server.memory(new Uint8Array(8));
    server.post(b, Opcode.receive, 99, [inbox]);
    const sinks = Array.from({ length: 10 }, () => [
      client.memory(new Uint8Array(7)),
      client.memory(new Uint8Array(9000)),
    ]);
    for (const [index, parts] of sinks.entries()) {
      client.post(a, Opcode.rdmaRead, index, parts, { region: source.region, offset: index * 9000 });
    }
    client.post(a, Opcode.send, 10, [client.memory(Buffer.from('fenced'))], undefined, WORK_REQUEST_FENCE);
    await until(() => client.done.length === 11 && server.done.length === 1);
    assert.deepEqual(
      client.done,
      Array.from({ length: 11 }, (_, index) => `${index} success`),
    );
    for (const [index, parts] of sinks.entries()) {
      const got = Buffer.concat(parts.map(({ bytes }) => bytes));
      assert.equal(Buffer.compare(got, source.bytes.subarray(index * 9000, index * 9000 + 9007)), 0);
    }
  });

  test('without content is moved as well [RFC 5040 5.1] [RFC 5040 5.2]', async () => {
    const { client, server, a, b } = await pair();
    server.post(b, Opcode.receive, 9, []);
    for (const [context, opcode] of [Opcode.rdmaWrite, Opcode.rdmaRead, Opcode.send].entries()) {
      client.post(a, opcode, context, []);
    }
    await until(() => client.done.length === 3 && server.done.length === 1);
    assert.deepEqual([client.done, server.done], [['0 success', '1 success', '2 success'], ['9 success 0']]);
  });
});

describe('a mistake ends the connection and touches no memory [RFC 5040 7.2] [RFC 5041 7.1]:', () => {
  const refused = async (
    act: (parts: Awaited<ReturnType<typeof pair>> & { far: ReturnType<Side['memory']> }) => void,
    expected: { client: readonly string[]; server?: readonly string[] },
    access: number = ALL,
    otherDomain = false,
  ): Promise<void> => {
    const made = await pair();
    const { client, server } = made;
    const domain = otherDomain ? server.adapter.allocateProtectionDomain() : server.domain;
    const far = server.memory(new Uint8Array(64).fill(7), access, domain);
    act({ ...made, far });
    await until(() => client.event('disconnected') !== undefined && server.event('disconnected') !== undefined);
    assert.deepEqual(client.done, expected.client);
    assert.deepEqual(server.done, expected.server ?? []);
    assert.ok(far.bytes.every((byte) => byte === 7));
  };

  test('a send without a receive', () =>
    refused(({ client, a }) => client.post(a, Opcode.send, 1, [client.memory(new Uint8Array(5))]), {
      client: ['1 success'],
    }));
  test('a send that is too long for its receive', () =>
    refused(
      ({ client, server, a, b, far }) => {
        server.post(b, Opcode.receive, 5, [far]);
        client.post(a, Opcode.send, 1, [client.memory(new Uint8Array(65))]);
      },
      { client: ['1 success'], server: ['5 localLength'] },
    ));
  test('a write beyond the end', () =>
    refused(
      ({ client, a, far }) =>
        client.post(a, Opcode.rdmaWrite, 1, [client.memory(new Uint8Array(2))], { region: far.region, offset: 63 }),
      { client: ['1 success'] },
    ));
  test('a write without the right', () =>
    refused(
      ({ client, a, far }) => client.post(a, Opcode.rdmaWrite, 1, [client.memory(new Uint8Array(2))], far),
      { client: ['1 success'] },
      MemoryAccess.remoteRead,
    ));
  test('a write to another domain', () =>
    refused(
      ({ client, a, far }) => client.post(a, Opcode.rdmaWrite, 1, [client.memory(new Uint8Array(2))], far),
      { client: ['1 success'] },
      ALL,
      true,
    ));
  test('a write by a key that is gone', () =>
    refused(
      ({ client, server, a, far }) => {
        server.adapter.deregisterMemory(far.region.id);
        client.post(a, Opcode.rdmaWrite, 1, [client.memory(new Uint8Array(2))], far);
      },
      { client: ['1 success'] },
    ));
  test('a read without the right', () =>
    refused(
      ({ client, a, far }) => {
        client.post(a, Opcode.rdmaRead, 1, [client.memory(new Uint8Array(2))], far);
        client.post(a, Opcode.rdmaRead, 2, [client.memory(new Uint8Array(2))], far);
      },
      { client: ['1 remoteAccess', '2 flushed'] },
      MemoryAccess.localWrite | MemoryAccess.remoteWrite,
    ));
  test('a send from memory that is not registered', () =>
    refused(
      ({ client, a }) => {
        const gone = client.memory(new Uint8Array(2));
        client.adapter.deregisterMemory(gone.region.id);
        client.post(a, Opcode.send, 1, [gone]);
      },
      { client: ['1 localProtection'] },
    ));
});

describe('a peer that', () => {
  test('is silent fails the attempt in time', async () => {
    const server = net.createServer(() => {}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = new Side({ startupMs: 50 });
    const a = client.adapter.createConnector(client.domain, { send: 1, receive: 1 });
    const { port } = server.address() as net.AddressInfo;
    client.adapter.connect(a, at('127.0.0.1', 0), at('127.0.0.1', port), new Uint8Array(0));
    await until(() => client.event('connectFailed') !== undefined);
    server.close();
  });

  test('connects and says nothing, or garbage, is forgotten', async () => {
    const server = new Side({ startupMs: 50, startupsMax: 2 });
    const port = await freePort();
    server.adapter.listen(at('127.0.0.1', port));
    const sockets = Array.from({ length: 5 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    sockets[0]!.write('GET / HTTP/1.1\r\n\r\n');
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.resume().on('close', resolve))));
    await until(() => server.adapter.inventory().connectors === 0);
    assert.deepEqual(server.events, []);
  });

  test('sends one byte at a time is served', async () => {
    const server = new Side();
    const port = await freePort();
    server.adapter.listen(at('127.0.0.1', port));
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const privateData = Buffer.from('slow');
    const bytes = encodeStartup({
      kind: 'request',
      revision: 1,
      markers: false,
      crc: false,
      rejected: false,
      enhanced: null,
      privateData,
    });
    for (const byte of bytes) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => server.event('connectRequest') !== undefined);
    assert.deepEqual(Buffer.from(server.event('connectRequest')!.privateData), privateData);
    socket.destroy();
    await until(() => server.event('withdrawn') !== undefined);
  });

  test('wants markers is refused, and one that sends garbage after its start-up is disconnected', async () => {
    const server = new Side();
    const port = await freePort();
    server.adapter.listen(at('127.0.0.1', port));
    const request = {
      kind: 'request',
      revision: 1,
      markers: true,
      crc: true,
      rejected: false,
      enhanced: null,
      privateData: new Uint8Array(0),
    } as const;
    const first = net.connect(port, '127.0.0.1');
    first.write(encodeStartup(request));
    const [reply] = (await once(first, 'data')) as [Buffer];
    const { frame } = new StartupReader('reply').take(reply);
    assert.ok(frame !== null && frame !== 'malformed' && frame.rejected);
    first.destroy();
    const second = net.connect(port, '127.0.0.1').on('error', () => {});
    second.write(encodeStartup({ ...request, markers: false }));
    await until(() => server.event('connectRequest') !== undefined);
    const { connector } = server.event('connectRequest')!;
    server.adapter.prepareAccept(connector, server.domain, { send: 1, receive: 1 });
    server.adapter.accept(connector, new Uint8Array(0));
    second.write(Buffer.alloc(200_000, 0x5a));
    await until(() => server.event('disconnected') !== undefined);
    second.destroy();
    await rest();
    assert.equal(server.events.filter(({ type }) => type === 'disconnected').length, 1);
  });
});

test('an address that is taken, foreign or without port is refused at once', async () => {
  const [one, other] = [new Side(), new Side()];
  const port = await freePort();
  assert.ok(one.adapter.listen(at('127.0.0.1', port)) >= 0);
  assert.equal(other.adapter.listen(at('127.0.0.1', port)), -2);
  assert.equal(one.adapter.listen(at('192.0.2.1', port)), -2);
  assert.equal(one.adapter.listen(at('127.0.0.1', 0)), -2);
});

test('of a listener that another process was faster than its owner is told', async () => {
  const side = new Side();
  const port = await freePort();
  // Both are bound to the port; who listens first has it.
  const bound = new net.BoundSocket({ host: '127.0.0.1', port });
  const rival = net.createServer();
  const listening = vi.spyOn(net.Server.prototype, 'listen').mockImplementationOnce(function (this: net.Server, own) {
    rival.listen(bound);
    return this.listen(own as object);
  });
  const listener = side.adapter.listen(at('127.0.0.1', port));
  listening.mockRestore();
  assert.ok(listener >= 0);
  assert.equal(side.adapter.wakeUp.arm(), false);
  await new Promise<void>((resolve) => side.adapter.wakeUp.wait(resolve));
  side.poll();
  assert.deepEqual(side.events, [{ type: 'listenerRemoved', listener }]);
  assert.equal(side.adapter.inventory().listeners, 1);
  side.adapter.stopListening(listener);
  assert.equal(side.adapter.inventory().listeners, 0);
  // One that is stopped before it fails says nothing.
  const again = side.adapter.listen(at('127.0.0.1', await freePort()));
  side.adapter.stopListening(again);
  await rest();
  assert.equal(side.events.length, 1);
  rival.close();
  await once(rival, 'close');
});

test('waiting ends with the next event, and not waiting is advised when there is one', async () => {
  const { client, server, a } = await pair();
  assert.equal(server.adapter.wakeUp.arm(), false);
  const woken = new Promise<void>((resolve) => server.adapter.wakeUp.wait(resolve));
  client.adapter.disconnect(a);
  await woken;
  assert.equal(server.adapter.wakeUp.arm(), true);
  await new Promise<void>((resolve) => server.adapter.wakeUp.wait(resolve));
});

test('who waits is told that a turn of Node.js is new when a connection brings something again', async () => {
  const { client, server, a, b, port } = await pair();
  const c = client.adapter.createConnector(client.domain, { send: 64, receive: 64 });
  server.events.length = 0;
  client.events.length = 0;
  client.adapter.connect(c, at('127.0.0.1', 0), at('127.0.0.1', port), new Uint8Array(0));
  await until(() => server.event('connectRequest') !== undefined, 'the request');
  const d = server.event('connectRequest')!.connector;
  assert.equal(server.adapter.prepareAccept(d, server.domain, { send: 64, receive: 64 }), 0);
  assert.equal(server.adapter.accept(d, new Uint8Array(0)), 0);
  await until(() => client.event('established') !== undefined && server.event('established') !== undefined);
  const [letter, inbox] = [client.memory(new Uint8Array(8)), server.memory(new Uint8Array(8))];
  const { wakeUp } = server.adapter;
  const told: boolean[] = [];
  for (const [from, to] of [
    [a, b],
    [a, b],
    [c, d],
    [c, d],
    [a, b],
  ] as const) {
    server.post(to, Opcode.receive, 0, [inbox]);
    const woken = new Promise<void>((resolve) => {
      wakeUp.wait(() => {
        told.push(wakeUp.isNewTurn);
        resolve();
      });
    });
    client.post(from, Opcode.send, 0, [letter]);
    await woken;
    assert.equal(wakeUp.isNewTurn, false);
    server.poll();
  }
  assert.deepEqual(told.slice(1), [true, false, true, false]);
});

test('who handles completions is told when many have gathered, and not of few', async () => {
  const { client, server, a, b } = await pair();
  const [letter, inbox] = [client.memory(new Uint8Array(8)), server.memory(new Uint8Array(8))];
  let [told, ready] = [0, 0];
  server.adapter.wakeUp.whenGathered!(() => {
    told++;
    const { length } = server.done;
    server.poll();
    ready += server.done.length - length;
  });
  const send = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) assert.equal(server.post(b, Opcode.receive, index, [inbox]), 1);
    // One output with all of them, which TCP brings at once.
    const words = client.adapter.workRequests;
    client.post(a, Opcode.send, 0, [letter]);
    for (let index = 1; index < count; index++) words.copyWithin(index * WORK_REQUEST_WORDS, 0, WORK_REQUEST_WORDS);
    assert.equal(client.adapter.post(count - 1), count - 1);
    const end = server.done.length + count;
    await until(() => server.done.length === end);
  };
  await send(8);
  assert.equal(told, 0);
  await send(60);
  assert.ok(told > 0 && ready >= 32, `told ${told} times, of ${ready}`);
  server.adapter.wakeUp.whenGathered!(null);
  const before = told;
  await send(60);
  assert.equal(told, before);
});
