// Goal: peers that mean no good cost bounded memory and bounded time, and nobody else's connection.
// Method: a provider over real TCP under attack, with a good connection whose echo must still come back. Time is the
// test's: nothing here waits for a clock.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type net from 'node:net';
import { afterEach, describe, test } from 'vitest';

import { encodeStartup, fpduBytes, MPA_HEADER_BYTES, sealFpdu } from '../../driver/adapter/iwarp/wire.ts';
import { encodeHandshake, HANDSHAKE_BYTES } from '../../driver/handshake.ts';
import { Siege } from './siege.ts';

let siege: Siege;

const handshake = { reattach: false, reattachPort: 0, mailboxAddress: 0, mailboxKey: 0 };

/** A request as a provider sends it. */
const newRequest = (): Buffer =>
  Buffer.from(
    encodeStartup({
      ...({ kind: 'request', revision: 1, markers: false, crc: false, rejected: false, enhanced: null } as const),
      privateData: encodeHandshake({ ...handshake, connectionId: randomBytes(16) }),
    }),
  );
const REPLY_BYTES = MPA_HEADER_BYTES + HANDSHAKE_BYTES;

afterEach(async () => {
  await siege.end();
  assert.deepEqual(siege.adapter.inventory(), { regions: 0, connectors: 0, listeners: 0, sockets: 0, outputBytes: 0 });
  assert.equal(siege.timers.count, 0, 'no timer is left');
});

/** Whatever was done, the good connection works, another can be made, and nothing of the attack is left. */
async function unharmed(): Promise<void> {
  await siege.echo();
  await siege.echo(...(await siege.befriend()));
  assert.equal(siege.adapter.inventory().connectors, 2);
}

const isOver = (socket: net.Socket): boolean => socket.destroyed || socket.readableEnded;

describe('a peer that', () => {
  test('connects and says nothing is ended after the start-up time', async () => {
    siege = await Siege.begin({ startupMs: 5000 });
    const attackers = await Promise.all(Array.from({ length: 20 }, () => siege.attack()));
    await siege.until(() => siege.adapter.inventory().connectors === 21, 'all are there');
    siege.pass(4999);
    await siege.echo();
    assert.ok(!attackers.some(isOver));
    siege.pass(1);
    await siege.until(() => attackers.every(isOver), 'their end');
    await unharmed();
  });

  test('sends a byte a second has no more time than one that is silent', async () => {
    siege = await Siege.begin({ startupMs: 5000 });
    const attacker = await siege.attack();
    await siege.until(() => siege.adapter.inventory().connectors === 2, 'it is there');
    const request = newRequest();
    let seconds = 0;
    for (; !isOver(attacker) && seconds < 20; seconds++) {
      attacker.write(request.subarray(seconds, seconds + 1));
      await siege.echo();
      siege.pass(1000);
      await siege.echo();
    }
    assert.ok(seconds <= 6, `${seconds} seconds`);
    await unharmed();
  });

  test('sends garbage is ended at once', async () => {
    siege = await Siege.begin();
    for (let length = 1; length < 2000; length += 97) {
      const attacker = await siege.attack();
      attacker.write(Buffer.concat([Buffer.from([0xff]), randomBytes(length)]));
      await siege.until(() => isOver(attacker), 'its end');
    }
    await unharmed();
  });

  test('resets its connection anywhere in its set-up leaves nothing', async () => {
    siege = await Siege.begin();
    const request = newRequest();
    for (let length = 0; length <= request.byteLength; length += 4) {
      const attacker = await siege.attack();
      if (length > 0) attacker.write(request.subarray(0, length));
      await siege.echo();
      attacker.resetAndDestroy();
    }
    await siege.until(() => siege.adapter.inventory().connectors === 1, 'nothing is left');
    // What it asked for is withdrawn: nobody gets it.
    assert.equal(siege.host.accept(siege.listener), null);
    await unharmed();
  });

  test('asks for data and never reads holds two outputs, and is given up when it takes nothing', async () => {
    const outputBytes = 65_536;
    siege = await Siege.begin({ outputBytes, stallMs: 30_000 });
    const [own, theirs] = await siege.befriend();
    const step = () => own.step() + theirs.step();
    await siege.until(() => step() >= 0 && own.canSendLarge, 'credit');
    const transfer = own.sendLarge(new Uint8Array(256 << 20));
    await siege.until(() => {
      step();
      const incoming = theirs.take();
      if (incoming?.type !== 'large') return false;
      theirs.receiveLarge(incoming, new Uint8Array(incoming.length));
      // From now on it takes nothing from TCP.
      for (const { socket } of siege.friendAdapter.sockets) socket!.pause();
      return true;
    }, 'its read');
    let held = 0;
    let turnsSince = 0;
    await siege.until(() => {
      step();
      const now = siege.adapter.inventory().outputBytes;
      turnsSince = now > 0 && now === held ? turnsSince + 1 : 0;
      held = now;
      return turnsSince > 100;
    }, 'what it does not read');
    assert.ok(held <= 2 * outputBytes, `${held} bytes`);
    siege.pass(29_999);
    assert.equal(siege.adapter.inventory().outputBytes, held);
    siege.pass(1);
    await siege.until(() => siege.adapter.inventory().outputBytes === 0, 'its end');
    assert.throws(() => {
      for (let turn = 0; turn < 1000; turn++) own.step();
    });
    assert.equal(transfer.done, false);
    for (const { socket } of siege.friendAdapter.sockets) socket!.resume();
    await siege.echo();
  });

  test('opens 10,000 connections gets those that may start, and no more', async () => {
    siege = await Siege.begin({ startupsMax: 64 });
    const { opened, failed, end } = await siege.attackByMany(10_000);
    // What the limit of descriptors allowed.
    console.log(`${opened} connections came about, ${failed} did not`);
    assert.ok(opened + failed === 10_000 && opened > 500, `${opened}`);
    assert.ok(siege.adapter.inventory().connectors <= 65);
    await siege.echo();
    // Some still waited in the system's own queue, and start only now.
    await siege.until(() => {
      siege.pass(5000);
      return siege.adapter.inventory().connectors === 1;
    }, 'their end');
    await end();
    await unharmed();
  });
});

describe('an established peer that', () => {
  /** A connection past its set-up, by hand. */
  async function established(): Promise<net.Socket> {
    const attacker = await siege.attack();
    attacker.write(newRequest());
    let accepted = false;
    await siege.until(() => {
      accepted ||= siege.host.accept(siege.listener) !== null;
      return accepted && siege.received(attacker).byteLength === REPLY_BYTES;
    }, 'its acceptance');
    return attacker;
  }

  test('says nothing when it may talk has the start-up time', async () => {
    siege = await Siege.begin({ startupMs: 5000 });
    const attacker = await established();
    siege.pass(4999);
    await siege.echo();
    assert.ok(!isOver(attacker));
    siege.pass(1);
    await siege.until(() => isOver(attacker), 'its end');
    await siege.echo();
  });

  test('sends a large FPDU byte by byte holds one FPDU, and its own connection only', async () => {
    siege = await Siege.begin();
    const attacker = await established();
    const fpdu = Buffer.alloc(fpduBytes(60_000));
    sealFpdu(fpdu, 0, 60_000, false);
    for (let at = 0; at < 600 && !isOver(attacker); at++) {
      attacker.write(fpdu.subarray(at, at + 1));
      if (at % 50 === 0) await siege.echo();
    }
    assert.ok(!isOver(attacker), 'slow is not wrong');
    attacker.destroy();
    await siege.until(() => siege.adapter.inventory().sockets === 1, 'its end');
    await siege.echo();
  });

  test('breaks the protocol is told why and ended [RFC 5040 5.4] [RFC 5040 6.2]', async () => {
    siege = await Siege.begin({ closeMs: 2000 });
    const attacker = await established();
    const zero = Buffer.alloc(64);
    const write = Buffer.from('c140000000000000000000000000', 'hex');
    zero.set(write, 2);
    attacker.write(zero.subarray(0, sealFpdu(zero, 0, write.byteLength, true)));
    await siege.echo();
    const bad = Buffer.alloc(64);
    bad.set(Buffer.from('4149', 'hex'), 2);
    attacker.write(bad.subarray(0, sealFpdu(bad, 0, 18, true)));
    await siege.until(() => attacker.readableEnded || attacker.destroyed, 'its end');
    const answer = siege.received(attacker);
    // RDMAP, remote operation error, unexpected opcode.
    assert.ok(answer.includes(Buffer.from('0206c000', 'hex')), answer.toString('hex'));
    siege.pass(2000);
    await siege.until(() => siege.adapter.inventory().sockets === 1, 'its end');
    await siege.echo();
  });
});
