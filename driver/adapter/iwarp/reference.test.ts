/**
 * Large payload leaves from where it is. What TCP has not read yet of an output can still change, so nobody may be told
 * that its memory is free before all of the output was read.
 *
 * Method: a sender that copies is the oracle. The other one hands out references; its TCP reads them in portions, whenever
 * it likes; and its application writes over a buffer the moment that it is given back. Were one given back too early, what
 * leaves would not be what the oracle sent.
 */

import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { Opcode } from '../adapter.ts';
import { roomFor } from './stream.ts';
import { End } from './test-end.ts';

const ULPDU_MAX = 1024;
/** From this size of a segment's payload on it is referred to. */
const REFERRED_MIN = 256;
const SCRIBBLE = 0xee;

type Step =
  | { readonly type: 'post'; readonly isWrite: boolean; readonly sizes: readonly number[] }
  /** Makes an output, if there is something to send. */
  | { readonly type: 'produce' }
  /** TCP reads so many bytes. */
  | { readonly type: 'read'; readonly bytes: number }
  /** The stream ends: what is not read yet is not given back by that. */
  | { readonly type: 'flush' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      type: fc.constant('post' as const),
      isWrite: fc.boolean(),
      sizes: fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 5000 })), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  },
  { weight: 16, arbitrary: fc.record({ type: fc.constant('produce' as const) }) },
  {
    weight: 24,
    arbitrary: fc.record({ type: fc.constant('read' as const), bytes: fc.integer({ min: 1, max: 6000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('flush' as const) }) },
);

/** The sending end, as the application has it. */
class Sender {
  readonly end: End;
  /** Buffers of each request, by its context. */
  readonly buffers: Uint8Array[][] = [];
  /** Requests that were told of. */
  told = 0;

  constructor(crc: boolean) {
    this.end = new End({ ulpduMax: ULPDU_MAX, crc, referredBytesMin: REFERRED_MIN });
  }

  /** @returns false when the queue is full */
  post(isWrite: boolean, sizes: readonly number[]): boolean {
    if (this.buffers.length - this.told >= 16) return false;
    const context = this.buffers.length;
    const buffers = sizes.map((size, part) => Uint8Array.from({ length: size }, (_, at) => at * 7 + part + context));
    this.buffers.push(buffers);
    const regions = buffers.map((bytes) => this.end.region(bytes));
    if (isWrite) this.end.post(Opcode.rdmaWrite, context, regions, { remoteKey: 5, address: 4096 });
    else this.end.post(Opcode.send, context, regions);
    return true;
  }

  /** Takes notice of what has completed. @param use - gets the buffers that are its application's again */
  notice(use: (buffers: readonly Uint8Array[]) => void): void {
    while (this.told < this.end.done.length) {
      assert.match(this.end.done[this.told]!, new RegExp(`^${this.told} `), 'in the order of posting');
      use(this.buffers[this.told++]!);
      this.end.stream.reported(Opcode.send);
    }
  }
}

/** TCP: reads what it was handed when it likes, from where it lies. */
class Tcp {
  readonly read: Uint8Array[] = [];
  readonly #outputs: { readonly parts: readonly Uint8Array[]; part: number; at: number }[] = [];

  get isEmpty(): boolean {
    return this.#outputs.length === 0;
  }

  write(parts: readonly Uint8Array[]): void {
    this.#outputs.push({ parts, part: 0, at: 0 });
  }

  /** @param taken - told of each output of which the last byte was read */
  take(bytes: number, taken: () => void): void {
    let left = bytes;
    while (left > 0 && this.#outputs.length > 0) {
      const output = this.#outputs[0]!;
      const part = output.parts[output.part]!;
      const portion = part.slice(output.at, output.at + left);
      this.read.push(portion);
      left -= portion.byteLength;
      output.at += portion.byteLength;
      if (output.at < part.byteLength) return;
      output.part++;
      output.at = 0;
      if (output.part < output.parts.length) continue;
      this.#outputs.shift();
      taken();
    }
  }
}

/** Runs `steps` on both senders. @returns how often something was referred to */
function run(steps: readonly Step[], crc: boolean): number {
  const [copying, referring] = [new Sender(crc), new Sender(crc)];
  const [expected, tcp]: [Buffer[], Tcp] = [[], new Tcp()];
  let referred = 0;
  const notice = (): void => {
    copying.notice(() => {});
    referring.notice((buffers) => {
      for (const buffer of buffers) buffer.fill(SCRIBBLE);
    });
  };
  const produce = (): void => {
    const parts: Uint8Array[] = [];
    if (referring.end.stream.produce(Buffer.alloc(4 * roomFor(ULPDU_MAX)), parts) > 0) tcp.write(parts);
    if (referring.end.stream.refersToMemory) referred++;
    const bytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    // Copies take more room, so it takes more outputs to come as far.
    for (let made = 0; made < bytes; ) {
      const into = Buffer.alloc(roomFor(ULPDU_MAX));
      const count = copying.end.stream.produce(into);
      assert.ok(count > 0, 'the copying sender has less to send');
      expected.push(into.subarray(0, count));
      made += count;
    }
    notice();
  };
  const read = (bytes: number): void => {
    tcp.take(bytes, () => {
      referring.end.stream.outputTaken();
      notice();
    });
  };
  for (const action of steps) {
    switch (action.type) {
      case 'post':
        // The copying sender has room whenever the other one has.
        if (referring.post(action.isWrite, action.sizes)) assert.ok(copying.post(action.isWrite, action.sizes));
        break;
      case 'produce':
        produce();
        break;
      case 'read':
        read(action.bytes);
        break;
      case 'flush':
        for (const { end } of [copying, referring]) end.stream.flush();
        break;
    }
    notice();
  }
  while (referring.end.stream.hasOutput) produce();
  while (!tcp.isEmpty) read(997);
  assert.ok(Buffer.concat(tcp.read).equals(Buffer.concat(expected)), 'what left is not what was to be sent');
  assert.equal(referring.told, referring.buffers.length, 'every buffer was given back');
  assert.equal(referring.end.stream.refersToMemory, false);
  return referred;
}

describe('output by reference', () => {
  test('leaves as it was when it was sent, though every buffer is written over as soon as it is free', () => {
    let referred = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, crc) => {
        referred += run(steps, crc);
      }),
      { numRuns: 300 },
    );
    assert.ok(referred > 200, `only ${referred} times was memory referred to`);
  });

  test('would not, were a buffer given back a byte too early', () => {
    const sender = new Sender(true);
    sender.post(false, [5000]);
    const [tcp, parts]: [Tcp, Uint8Array[]] = [new Tcp(), []];
    const bytes = sender.end.stream.produce(Buffer.alloc(8 * roomFor(ULPDU_MAX)), parts);
    assert.ok(bytes > 0);
    tcp.write(parts);
    const before = Buffer.concat(parts);
    tcp.take(before.byteLength - 10, () => assert.fail('not all of it was read'));
    sender.notice(() => assert.fail('given back before TCP has it'));
    for (const buffer of sender.buffers[0]!) buffer.fill(SCRIBBLE);
    tcp.take(10, () => sender.end.stream.outputTaken());
    assert.ok(!Buffer.concat(tcp.read).equals(before));
    sender.notice(() => {});
    assert.equal(sender.told, 1);
  });
});
