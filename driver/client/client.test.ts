import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { SimulatedNetwork } from '../adapter/simulated.ts';
import { type Endpoint, EndpointError } from './endpoint.ts';
import { Kind, withKind } from './file-service.ts';
import { FileReceiver, FileSender } from './file-transfer.ts';
import { Host, SpiError } from './host.ts';
import { address, Pair } from './test-pair.ts';

const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 255);

/** Moves `data` as a file. @returns what arrived */
function moveFile(pair: Pair, data: Uint8Array, chunkBytes: number): Uint8Array {
  let offset = 0;
  const sender = new FileSender(
    pair.giver,
    {
      name: 'a file',
      size: data.length,
      read: (target) => {
        target.set(data.subarray(offset, offset + target.length));
        offset += target.length;
      },
    },
    chunkBytes,
  );
  let received = new Uint8Array(0);
  let at = 0;
  const receiver = new FileReceiver(pair.taker, {
    begin: (name, size) => {
      assert.equal(name, 'a file');
      received = new Uint8Array(size);
    },
    write: (bytes) => {
      received.set(bytes, at);
      at += bytes.length;
    },
    end: (isEqual) => assert.equal(isEqual, true),
  });
  pair.until(
    () => sender.isEqual !== null && receiver.isDone,
    () => sender.step() + receiver.step(),
  );
  assert.equal(sender.isEqual, true);
  assert.deepEqual(sender.digest, receiver.digest);
  assert.equal(receiver.received, data.length);
  return received;
}

describe.each([{ notify: false }, { notify: true }])('requests with notify $notify', (endpoint) => {
  test('messages arrive in order, never beyond what the peer has posted', () => {
    // A message without a receive would break the connection here.
    const pair = new Pair({ network: { receiverNotReady: 'fail' }, endpoint: { ...endpoint, receives: 4 } });
    const taken: number[] = [];
    let sent = 0;
    pair.until(
      () => taken.length === 100,
      () => {
        while (sent < 100 && pair.giver.canSend) {
          pair.giver.send(Uint8Array.of(sent++));
          pair.giver.step();
        }
        const next = pair.taker.take();
        if (next?.type === 'data') taken.push(next.payload[0]!);
        return pair.giver.step() + pair.taker.step() + (next === null ? 0 : 1);
      },
    );
    assert.deepEqual(taken, [...Array(100).keys()]);
    pair.close();
  });

  test('both ends send at once and neither waits for the other for ever', () => {
    const pair = new Pair({ network: { receiverNotReady: 'fail' }, endpoint: { ...endpoint, receives: 4 } });
    const ends = [pair.giver, pair.taker].map((end) => ({ end, sent: 0, taken: 0 }));
    pair.until(
      () => ends.every(({ taken }) => taken === 200),
      () => {
        let done = 0;
        for (const one of ends) {
          done += one.end.step();
          for (; one.sent < 200 && one.end.canSend; one.sent++) {
            one.end.send(Uint8Array.of(1));
            done += one.end.step();
          }
          for (; one.end.take() !== null; one.taken++) done++;
        }
        return done;
      },
    );
    pair.close();
  });

  test.each([0, 1, 4095, 4096, 4097, 100_000, 1_000_003])('a file of %i bytes', (size) => {
    const pair = new Pair({ endpoint });
    const data = pattern(size);
    assert.ok(Buffer.from(data).equals(moveFile(pair, data, 65_536)));
    assert.equal(pair.giver.counts.writes, 0);
    assert.equal(
      pair.taker.counts.reads,
      size <= 4096 ? 0 : Math.ceil(size / 65_536) - (size % 65_536 <= 4096 ? 1 : 0),
    );
    pair.close();
  });
});

test('a message waits at the taker until it is taken, and with it its place', () => {
  const pair = new Pair({ endpoint: { receives: 4 } });
  let sent = 0;
  pair.until(
    () => sent === 3,
    () => {
      if (pair.giver.canSend) {
        pair.giver.send(Uint8Array.of(sent++));
        return 1;
      }
      return pair.giver.step() + pair.taker.step();
    },
  );
  for (let turn = 0; turn < 100; turn++) {
    pair.giver.step();
    pair.taker.step();
    pair.network.advance();
  }
  assert.equal(pair.giver.canSend, false);
  while (pair.taker.take() !== null);
  pair.until(() => pair.giver.canSend);
});

describe('an adapter without RDMA read', () => {
  test.each([
    { what: 'at the taker', near: {}, far: { readDepthMax: 0 } },
    { what: 'at the giver', near: { readDepthMax: 0 }, far: {} },
    { what: 'at both ends', near: { readDepthMax: 0 }, far: { readDepthMax: 0 } },
  ])('$what: the giver writes', ({ near, far }) => {
    const pair = new Pair({ near, far });
    const data = pattern(300_000);
    assert.ok(Buffer.from(data).equals(moveFile(pair, data, 65_536)));
    assert.equal(pair.taker.counts.reads, 0);
    assert.equal(pair.giver.counts.writes, 5);
    pair.close();
  });

  test('large data goes both ways at once', () => {
    const pair = new Pair({ near: { readDepthMax: 0 } });
    pair.until(() => pair.giver.isReady && pair.taker.isReady);
    const [out, back] = [pattern(20_000), pattern(30_000).reverse()];
    const given = [pair.giver.sendLarge(out), pair.taker.sendLarge(back)];
    const taken: { end: Endpoint; memory: Uint8Array; done(): boolean }[] = [];
    pair.until(
      () => taken.length === 2 && taken.every((one) => one.done()) && given.every((one) => one.done),
      () => {
        let done = 0;
        for (const end of [pair.giver, pair.taker]) {
          done += end.step();
          const next = end.take();
          if (next?.type !== 'large') continue;
          const transfer = end.receiveLarge(next, new Uint8Array(next.length));
          taken.push({ end, memory: transfer.memory, done: () => transfer.done });
        }
        return done;
      },
    );
    const at = (end: Endpoint) => Buffer.from(taken.find((one) => one.end === end)!.memory);
    assert.ok(at(pair.taker).equals(out));
    assert.ok(at(pair.giver).equals(back));
    for (const { counts } of [pair.giver, pair.taker]) assert.equal(counts.writes, 1);
    pair.close();
  });
});

describe('the end that does the RDMA registers once for many chunks', () => {
  /** Counts what `host` registers for its own requests from here on. */
  function registrations({ provider }: Host): { count: number } {
    const counted = { count: 0 };
    const { WSPRegisterMemory } = provider;
    provider.WSPRegisterMemory = (...args) => {
      counted.count++;
      return WSPRegisterMemory.apply(provider, args);
    };
    return counted;
  }
  /** Of each endpoint's messages, one to send and one to receive. */
  const ofMessages = 2;

  test.each([
    { what: 'the taker, which reads', far: {}, giver: 0, taker: 4 },
    { what: 'the giver, which writes', far: { readDepthMax: 0 }, giver: 4, taker: 0 },
  ])('$what', ({ far, giver, taker }) => {
    const pair = new Pair({ far });
    const [near, other] = [registrations(pair.near), registrations(pair.far)];
    const data = pattern(30 * 8192);
    assert.ok(Buffer.from(data).equals(moveFile(pair, data, 8192)));
    assert.equal(pair.taker.counts.reads + pair.giver.counts.writes, 30);
    assert.deepEqual({ giver: near.count, taker: other.count }, { giver, taker });
    // What was used again and again is released, though the connection lives.
    for (const { provider } of [pair.near, pair.far]) assert.equal(provider.inventory().buffers, ofMessages);
    pair.close();
  });
});

test('a taker that gives its verdict before it has the file is not believed', () => {
  const pair = new Pair();
  const data = pattern(30_000);
  const sender = new FileSender(pair.giver, { name: '', size: 30_000, read: (to) => to.set(data) }, 30_000);
  assert.throws(
    () =>
      pair.until(
        () => sender.isEqual !== null,
        () => {
          let done = sender.step() + pair.taker.step();
          for (let next = pair.taker.take(); next !== null; next = pair.taker.take()) {
            done++;
            if (next.type === 'data' && next.payload[0] === Kind.digest) {
              pair.taker.send(withKind(Kind.verdict, next.payload.subarray(1)));
            }
          }
          return done;
        },
      ),
    (error) => error instanceof EndpointError && /verdict before it had all/.test(error.message),
  );
});

test('RDMA larger than one request goes in pieces', () => {
  const pair = new Pair({ far: { rdmaSizeMax: 10_000 } });
  const data = pattern(100_000);
  assert.ok(Buffer.from(data).equals(moveFile(pair, data, 65_536)));
  assert.equal(pair.taker.counts.reads, 7 + 4);
  pair.close();
});

describe('what goes wrong', () => {
  test('a peer that closes in the middle: a clear error at the other end, and nothing left', () => {
    const pair = new Pair();
    pair.until(() => pair.giver.isReady && pair.taker.isReady);
    const transfer = pair.giver.sendLarge(pattern(100_000));
    pair.until(() => pair.taker.take() !== null);
    pair.taker.close();
    assert.throws(
      () =>
        pair.until(
          () => false,
          () => pair.giver.step() + pair.far.poll(),
        ),
      (error) =>
        error instanceof EndpointError && /connection is lost: WSPRecv .* WSAECONNRESET \(10054\)/.test(error.message),
    );
    assert.equal(transfer.done, false);
    assert.throws(() => pair.giver.step(), /connection is lost/);
    pair.giver.close();
    pair.near.stop();
    assert.equal(pair.near.provider.inventory().buffers, 0);
  });

  test('a file whose connection falls silent', () => {
    const pair = new Pair({ nearFaults: { messageLost: { at: [5] } } });
    assert.throws(() => moveFile(pair, pattern(1_000_000), 10_000), {
      name: 'EndpointError',
      message: /connection is lost: WSP\w+ ended with WSAECONNABORTED/,
    });
  });

  test('memory that the adapter refuses to register', () => {
    const pair = new Pair({ nearFaults: { outOfResources: { registerMemory: { at: [6] } } } });
    assert.throws(() => moveFile(pair, pattern(100_000), 50_000), /WSPRegisterRdmaMemory: WSAENOBUFS \(10055\)/);
  });

  test('nobody listens', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const [near, far] = [1, 2].map((number) => {
      const adapter = network.host({ addresses: [`10.0.0.${number}`] });
      const host = new Host({ adapter, clock: adapter.clock });
      host.start();
      return host;
    }) as [Host, Host];
    const socket = near.connect(address(1, 4000), address(2, 7000));
    assert.throws(
      () => {
        while (!near.isConnected(socket)) if (near.poll() + far.poll() === 0) network.advance();
      },
      (error) => error instanceof SpiError && error.call === 'WSPConnect' && error.message.includes('WSAE'),
    );
  });

  test('an address that is not ours', () => {
    const network = new SimulatedNetwork({ seed: 1 });
    const adapter = network.host({ addresses: ['10.0.0.1'] });
    const host = new Host({ adapter, clock: adapter.clock });
    host.start();
    assert.throws(() => host.listen(address(9, 7000)), {
      message: 'WSPBind: WSAEADDRNOTAVAIL (10049), 10.0.0.9:7000',
    });
  });

  test('a source that fails ends the transfer with its own error', () => {
    const pair = new Pair();
    const sender = new FileSender(
      pair.giver,
      {
        name: 'short',
        size: 10_000,
        read: () => {
          throw new Error('the file became shorter');
        },
      },
      5000,
    );
    assert.throws(
      () =>
        pair.until(
          () => false,
          () => sender.step() + pair.taker.step(),
        ),
      /the file became shorter/,
    );
  });
});
