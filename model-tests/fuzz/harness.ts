/**
 * What the fuzzer runs: one iWARP connection, without its TCP, under a peer and an owner that the input makes up.
 *
 * Theory of operation: the first byte chooses the set-up, the rest is a program of one-byte instructions with their
 * operands. A peer's instruction feeds bytes: raw ones, FPDUs with a right checksum, or segments whose keys, offsets and
 * numbers are near the right ones, since no fuzzer guesses 32 bits. An owner's instruction does what an adapter's owner
 * may do at that moment. After each instruction, what must hold whatever came is checked; what doesn't is thrown.
 *
 * All memory lies in one arena, with canaries between registrations. A byte may change only while somebody has a right
 * to it: the peer by a region's rights, this end by a receive or read that is posted.
 */

import assert from 'node:assert/strict';

import {
  CompletionStatus,
  MemoryAccess,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/adapter/adapter.ts';
import { Connection, Lifecycles, type Shell } from '../../driver/adapter/iwarp/connection.ts';
import { MemoryTable } from '../../driver/adapter/iwarp/memory.ts';
import { roomFor } from '../../driver/adapter/iwarp/stream.ts';
import { reasonOf } from '../../driver/adapter/iwarp/terminate.ts';
import {
  decodeHeader,
  decodeReadRequest,
  encodeHeader,
  encodeReadRequest,
  encodeStartup,
  FPDU_MAX,
  FpduReader,
  fpduIsIntact,
  MPA_PRIVATE_DATA_MAX,
  type RdmapOpcode,
  type SegmentHeader,
  sealFpdu,
  UNTAGGED_BYTES,
} from '../../driver/adapter/iwarp/wire.ts';
import { PLACE_WORDS } from '../../driver/adapter/iwarp/work-requests.ts';

const REGION_BYTES = 96;
const CANARY_BYTES = 32;
const REGIONS = 6;
const ARENA_BYTES = (REGION_BYTES + CANARY_BYTES) * REGIONS + CANARY_BYTES;
const OUTPUT_BYTES = 4096;
/** Instructions of one input. */
const INSTRUCTIONS_MAX = 400;
/** Output buffers that one instruction may fill. */
const TURNS_MAX = 64;
const QUEUE_DEPTH = 4;
/** Outputs that TCP may hold, as in the adapter. */
const OUTPUTS_MAX = 2;
const READ_DEPTH = 2;
/** What a stream may hold of its own: both queues' descriptors, and one FPDU that isn't whole. */
const MEMORY_BYTES_MAX = 2 * QUEUE_DEPTH * PLACE_WORDS * 4 + FPDU_MAX;

const { localWrite, remoteInvalidate, remoteRead, remoteWrite } = MemoryAccess;
/** Rights of each region; the last one is in another protection domain. */
const RIGHTS = [
  localWrite | remoteRead | remoteWrite,
  localWrite | remoteWrite | remoteInvalidate,
  remoteRead,
  localWrite,
  0,
  localWrite | remoteRead | remoteWrite,
];
const ULPDU_MAX = [128, 131, 256, 1024];

/** Something that was learned about the code by an input: shown to the fuzzer as if it were covered lines. */
export type Feature = (name: string) => void;

interface Posted {
  readonly context: number;
  readonly region: number;
  readonly length: number;
  readonly mutable: boolean;
}

/** Runs `input`. @throws AssertionError, or whatever the connection throws, when something doesn't hold */
export function run(input: Uint8Array, feature: Feature = () => {}): void {
  new Harness(input, feature).run();
}

const lifecycles = new Lifecycles();

class Harness implements Shell {
  readonly #input: Uint8Array;
  readonly #feature: Feature;
  #at = 0;
  readonly #arena = Buffer.alloc(ARENA_BYTES, 0xa5);
  readonly #shadow = Buffer.alloc(ARENA_BYTES, 0xa5);
  /** How many have a right to change each byte. */
  readonly #mutable = new Uint8Array(ARENA_BYTES);
  readonly #memory = new MemoryTable(0x1234);
  readonly #domain = this.#memory.allocateDomain();
  readonly #regions: ({ id: number; localKey: number; remoteKey: number; address: number } | null)[] = [];
  /** Regions that the peer may write to. */
  readonly #open = new Set<number>();
  readonly #connection: Connection;
  readonly #crc: boolean;
  readonly #isInitiator: boolean;
  readonly #ulpduMax: number;
  /** Posted and not completed, by queue. */
  readonly #posted: { send: Posted[]; receive: Posted[] } = { send: [], receive: [] };
  readonly #reported: number[] = [];
  #contexts = 0;
  /** Keys of this end's reads, from its own output. */
  readonly #sinks: number[] = [];
  readonly #output = new FpduReader();
  #outputIsStream = false;
  /** Outputs refer to memory until TCP has taken them. */
  readonly #refers: boolean;
  #untaken = 0;
  #hasTcp = false;
  #timer = false;
  #pumping = false;
  #ending = false;
  #events: string[] = [];
  // The peer's numbers, as they would be right.
  readonly #messages = [1, 1, 1];
  #offset = 0;

  constructor(input: Uint8Array, feature: Feature) {
    this.#input = input;
    this.#feature = feature;
    for (let index = 0; index < REGIONS; index++) {
      const domain = index === REGIONS - 1 ? this.#memory.allocateDomain() : this.#domain;
      const start = CANARY_BYTES + index * (REGION_BYTES + CANARY_BYTES);
      const region = this.#memory.register(domain, this.#arena.subarray(start, start + REGION_BYTES), RIGHTS[index]!);
      assert.ok(typeof region !== 'number');
      this.#regions.push(region);
      if ((RIGHTS[index]! & remoteWrite) === 0 || domain !== this.#domain) continue;
      this.#open.add(index);
      this.#allow(index, REGION_BYTES, 1);
    }
    const setup = this.#byte();
    this.#isInitiator = (setup & 1) !== 0;
    this.#crc = (setup & 4) !== 0;
    this.#ulpduMax = ULPDU_MAX[setup >> 6]!;
    this.#refers = setup >> 6 === 1 || setup >> 6 === 3;
    this.#connection = new Connection(0, lifecycles, this, this.#memory, {
      revision: (setup & 2) === 0 ? 1 : 2,
      crc: this.#crc,
      readDepth: (setup & 8) === 0 ? READ_DEPTH : 0,
      ulpduMax: this.#ulpduMax,
      referredBytesMin: 8,
    });
    this.#hasTcp = !this.#isInitiator;
    if (this.#isInitiator) {
      this.#connection.createQueues(this.#domain, { send: QUEUE_DEPTH, receive: QUEUE_DEPTH });
      this.#connection.connect(new Uint8Array(setup >> 6));
      if ((setup & 16) !== 0) this.#tcp(0);
    } else this.#connection.tcpAccepted();
    // A set-up that succeeds, since few inputs would.
    if ((setup & 32) === 0) return;
    this.#feed(this.#frame(0x10, setup & 2 ? 2 : 1, 0x29, 0), 0);
    for (const step of [0, 1]) this.#owner(step);
    if (!this.#isInitiator) this.#feed(fpdu(Buffer.from('c1400000000000000000000000000000', 'hex').subarray(0, 14)), 0);
  }

  run(): void {
    try {
      this.#check();
      for (let count = 0; this.#at < this.#input.length && count < INSTRUCTIONS_MAX; count++) {
        this.#instruction();
        this.#check();
      }
      this.#tearDown();
    } finally {
      this.#connection.release();
    }
  }

  #byte(): number {
    return this.#input[this.#at++] ?? 0;
  }

  #bytes(length: number): Uint8Array {
    const bytes = this.#input.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  #instruction(): void {
    const code = this.#byte();
    const pieces = code >> 5;
    const { startupState, streamState } = this.#connection;
    this.#feature(`${startupState}/${streamState} ${code & 15}`);
    switch (code & 15) {
      case 0:
        return this.#feed(Buffer.from(this.#bytes(this.#byte())), pieces);
      case 1:
        return this.#feed(fpdu(this.#bytes(this.#byte())), pieces);
      case 2:
        return this.#feed(this.#tagged(), pieces);
      case 3:
        return this.#feed(this.#untagged(), pieces);
      case 4:
        return this.#feed(this.#readRequest(), pieces);
      case 5:
        return this.#feed(this.#frame(this.#byte(), this.#byte(), this.#byte(), this.#byte()), pieces);
      case 6:
        return this.#feed(this.#terminate(), pieces);
      case 7:
        return this.#post(Opcode.receive);
      case 8:
        return this.#post(Opcode.send);
      case 9:
        return this.#post(Opcode.rdmaWrite);
      case 10:
        return this.#post(Opcode.rdmaRead);
      case 11:
        return this.pump();
      case 12:
        return this.#owner(this.#byte() & 3);
      case 13:
        return this.#tcp(this.#byte() & 7);
      case 14:
        return this.#deregister(this.#byte() % REGIONS);
      default:
        // What TCP has taken, and what was reported.
        if ((code & 16) !== 0) return this.#take();
        for (const opcode of this.#reported.splice(0)) this.#connection.stream?.reported(opcode);
    }
  }

  // ---------------------------------------------------------------- the peer

  /** @param size - of the portions; 0 for one of all */
  #feed(bytes: Buffer, size: number): void {
    if (!this.#hasTcp) return;
    if (this.#isInitiator && this.#connection.startupState === 'connecting') return;
    const step = size === 0 ? bytes.byteLength : size;
    for (let at = 0; at < bytes.byteLength && this.#hasTcp; at += step) {
      // Not kept: what is read later was written over.
      const chunk = Buffer.from(bytes.subarray(at, at + step));
      this.#connection.bytesArrived(chunk);
      chunk.fill(0xee);
    }
  }

  #key(choice: number): number {
    const region = this.#regions[choice % REGIONS];
    switch (choice >> 5) {
      case 0:
      case 1:
      case 2:
        return region?.remoteKey ?? 7;
      case 3:
        return region?.localKey ?? 7;
      case 4:
      case 5:
        return this.#sinks[choice % Math.max(1, this.#sinks.length)] ?? 0;
      default:
        return choice & 31;
    }
  }

  /** Near the beginning of a region, or of a read's sink. */
  #near(choice: number, delta: number): number {
    const isSink = choice >> 5 === 4 || choice >> 5 === 5;
    const base = isSink ? this.#offset : (this.#regions[choice % REGIONS]?.address ?? 0);
    return Math.max(0, base + ((delta << 24) >> 24));
  }

  #tagged(): Buffer {
    const [control, key, delta, length] = [this.#byte(), this.#byte(), this.#byte(), this.#byte()];
    const header = {
      tagged: true,
      last: (control & 16) === 0,
      ddpVersion: (control & 32) === 0 ? 1 : 2,
      rdmapVersion: (control & 64) === 0 ? 1 : 0,
      opcode: control & 15,
      stag: this.#key(key),
      offsetHigh: (control & 128) === 0 ? 0 : 0xffff_ffff,
      offsetLow: (control & 128) === 0 ? this.#near(key, delta) : 0xffff_ff00 + delta,
    } as const satisfies SegmentHeader;
    if (header.opcode === 2) this.#offset = header.last ? 0 : this.#offset + length;
    return segment(header, Buffer.alloc(length, control));
  }

  #untagged(): Buffer {
    const [control, choice, length] = [this.#byte(), this.#byte(), this.#byte()];
    const queue = choice & 3;
    const header = {
      tagged: false,
      last: (control & 16) === 0,
      ddpVersion: (control & 32) === 0 ? 1 : 2,
      rdmapVersion: (control & 64) === 0 ? 1 : 0,
      opcode: control & 15,
      invalidates: (control & 13) === 4 ? this.#key(this.#byte()) : 0,
      queue,
      message: (this.#messages[queue] ?? 1) + ((choice & 4) === 0 ? 0 : 1),
      offset: this.#offset + ((choice & 8) === 0 ? 0 : 1),
    } as const satisfies SegmentHeader;
    if (header.last) {
      this.#messages[queue] = (this.#messages[queue] ?? 1) + 1;
      this.#offset = 0;
    } else this.#offset += length;
    return segment(header, Buffer.alloc(length, choice));
  }

  #readRequest(): Buffer {
    const [source, delta, length, sink] = [this.#byte(), this.#byte(), this.#byte(), this.#byte()];
    const payload = Buffer.alloc(28);
    encodeReadRequest(
      {
        sinkStag: this.#key(sink),
        sinkOffsetHigh: (sink << 24) >>> 0,
        sinkOffsetLow: (sink << 25) >>> 0,
        length: length === 255 ? 0xffff_ffff : length,
        sourceStag: this.#key(source),
        sourceOffsetHigh: sink === 254 ? 0xffff_ffff : 0,
        sourceOffsetLow: this.#near(source, delta),
      },
      payload,
      0,
    );
    return segment(
      { ...plain, opcode: 1, queue: 1, message: this.#messages[1]!++ } satisfies SegmentHeader,
      payload.subarray(0, sink === 255 ? 27 : 28),
    );
  }

  #terminate(): Buffer {
    return segment({ ...plain, opcode: 7, queue: 2, message: 1 }, Buffer.from(this.#bytes(this.#byte() & 63)));
  }

  #frame(flags: number, revision: number, enhanced: number, length: number): Buffer {
    const frame = encodeStartup({
      kind: this.#isInitiator ? 'reply' : 'request',
      revision: revision & 3,
      markers: (flags & 128) !== 0,
      crc: (flags & 64) !== 0,
      rejected: (flags & 32) !== 0,
      enhanced:
        (flags & 16) === 0
          ? null
          : {
              peerToPeer: (enhanced & 1) !== 0,
              byEmptyFpdu: (enhanced & 2) !== 0,
              byRead: (enhanced & 4) !== 0,
              byWrite: (enhanced & 8) !== 0,
              incomingReads: (enhanced & 16) === 0 ? enhanced >> 5 : 0x3fff,
              outgoingReads: enhanced >> 5,
            },
      privateData: new Uint8Array(Math.min(length * 2, MPA_PRIVATE_DATA_MAX - 4)),
    });
    return Buffer.from(frame);
  }

  // ---------------------------------------------------------------- the owner and TCP

  #post(opcode: number): void {
    const [choice, length, remote] = [this.#byte(), this.#byte(), this.#byte()];
    const { stream } = this.#connection;
    if (stream === null) return;
    const index = choice % REGIONS;
    const region = this.#regions[index];
    const words = new Uint32Array(WORK_REQUEST_WORDS);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.context] = this.#contexts;
    words[WorkRequestField.flags] = choice >> 5;
    words[WorkRequestField.elementCount] = 1;
    words[WorkRequestField.remoteKey] = remote;
    words[WorkRequestField.elements] = region?.localKey ?? remote;
    words[WorkRequestField.elements + 1] = length;
    words[WorkRequestField.elements + 2] = region?.address ?? 0;
    const queue = this.#posted[opcode === Opcode.receive ? 'receive' : 'send'];
    // As the driver does: what it posts may be completed before posting returns.
    const mutable = (opcode === Opcode.receive || opcode === Opcode.rdmaRead) && (RIGHTS[index]! & localWrite) !== 0;
    const request = { context: this.#contexts++, region: index, length: Math.min(length, REGION_BYTES), mutable };
    queue.push(request);
    if (mutable) this.#allow(index, request.length, 1);
    if (stream.post(words, 0, opcode)) return this.pump();
    queue.pop();
    if (mutable) this.#allow(index, request.length, -1);
  }

  #owner(what: number): void {
    const { startupState } = this.#connection;
    if (what === 0 && startupState === 'undecided') {
      this.#connection.createQueues(this.#domain, { send: QUEUE_DEPTH, receive: QUEUE_DEPTH });
      this.#connection.prepare();
    } else if (what === 1 && startupState === 'prepared') this.#connection.accept(new Uint8Array(3));
    else if (what === 2 && (startupState === 'undecided' || startupState === 'prepared')) {
      this.#connection.reject(new Uint8Array(5));
    } else if (what === 3) this.#connection.disconnect();
  }

  #tcp(what: number): void {
    const connecting = this.#connection.startupState === 'connecting' && !this.#hasTcp;
    if (what === 0 && connecting) {
      this.#hasTcp = true;
      this.#connection.tcpConnected();
    } else if (what === 1 && connecting) this.#connection.tcpRefused();
    else if (what === 2 && this.#hasTcp) this.#connection.peerEnded();
    else if (what === 3 && this.#timer) {
      this.#timer = false;
      this.#connection.timeExpired();
      this.#lose();
    } else if (what === 4) this.#lose();
  }

  #lose(): void {
    if (!this.#hasTcp) return;
    this.#hasTcp = false;
    this.#timer = false;
    this.#connection.tcpLost();
    while (this.#untaken > 0) this.#take();
  }

  /** TCP has taken the oldest output, or has ended. */
  #take(): void {
    if (this.#untaken === 0) return;
    this.#untaken--;
    this.#connection.stream!.outputTaken();
    this.pump();
  }

  #deregister(index: number): void {
    const region = this.#regions[index];
    if (region === undefined || region === null) return;
    this.#memory.deregister(region.id);
    this.#regions[index] = null;
    this.#shut(index);
  }

  /** The peer has no right to write to a region any more. */
  #shut(index: number): void {
    if (!this.#open.delete(index)) return;
    this.#allow(index, REGION_BYTES, -1);
  }

  #allow(region: number, length: number, change: 1 | -1): void {
    // What was changed up to now was allowed.
    const start = CANARY_BYTES + region * (REGION_BYTES + CANARY_BYTES);
    if (change < 0) this.#compare();
    for (let at = start; at < start + length; at++) this.#mutable[at]! += change;
  }

  // ---------------------------------------------------------------- Shell

  openTcp(): void {}

  write(bytes: Uint8Array): void {
    assert.ok(!this.#outputIsStream, 'no start-up frame after the stream began');
    assert.ok(bytes.byteLength <= 20 + MPA_PRIVATE_DATA_MAX);
  }

  pump(): void {
    const { stream } = this.#connection;
    if (this.#pumping || stream === null || !this.#hasTcp) return;
    this.#pumping = true;
    const buffer = Buffer.alloc(OUTPUT_BYTES);
    let turns = 0;
    while (stream.hasOutput && this.#untaken < OUTPUTS_MAX) {
      const parts: Uint8Array[] = [];
      const count = stream.produce(buffer, this.#refers ? parts : undefined);
      assert.ok(count > 0, 'what has output makes some');
      assert.ok(count <= buffer.byteLength && ++turns < TURNS_MAX, 'it makes output for ever');
      this.#outputIsStream = true;
      const bytes = this.#refers ? Buffer.concat(parts) : buffer.subarray(0, count);
      this.#output.take(bytes, (all, at, length) => this.#wellFormed(all.subarray(at, at + length)));
      if (this.#refers) this.#untaken++;
    }
    assert.equal(this.#output.heldBytes, 0, 'whole FPDUs leave');
    this.#pumping = false;
  }

  #wellFormed(found: Buffer): boolean {
    assert.ok(found.byteLength <= roomFor(this.#ulpduMax));
    const checksum = found.readUInt32LE(found.byteLength - 4);
    assert.ok(checksum === 0 || fpduIsIntact(found), 'a wrong checksum');
    const ulpdu = found.subarray(2, 2 + found.readUInt16BE(0));
    const header = decodeHeader(ulpdu);
    assert.ok(header !== null && header.ddpVersion === 1 && header.rdmapVersion === 1);
    this.#feature(`sent ${header.opcode} ${header.last}`);
    if (!header.tagged && header.opcode === (1 satisfies RdmapOpcode)) {
      this.#sinks.push(decodeReadRequest(ulpdu.subarray(UNTAGGED_BYTES)).sinkStag);
    }
    return true;
  }

  endTcp(): void {
    this.#ending = true;
    this.pump();
  }

  closeTcp(): void {
    this.#ending = true;
  }

  startTimer(): void {
    this.#timer = true;
  }

  stopTimer(): void {
    this.#timer = false;
  }

  raise({ type }: { type: string }): void {
    assert.ok(!['disconnected', 'rejected', 'connectFailed', 'withdrawn'].includes(this.#events.at(-1) ?? ''), type);
    this.#events.push(type);
    this.#feature(`event ${type}`);
  }

  raiseConnectRequest(): void {
    this.raise({ type: 'connectRequest' });
  }

  forget(): void {
    this.raise({ type: 'withdrawn' });
  }

  complete(context: number, status: number, bytes: number, opcode: number, vendorStatus: number): void {
    const queue = this.#posted[opcode === Opcode.receive ? 'receive' : 'send'];
    const request = queue.shift();
    assert.equal(context, request?.context, 'completions come in posting order, once');
    if (request!.mutable) this.#allow(request!.region, request!.length, -1);
    if (status === CompletionStatus.success) {
      assert.ok(bytes <= request!.length);
      const invalidated = this.#regions.findIndex((region) => vendorStatus !== 0 && region?.remoteKey === vendorStatus);
      assert.ok(vendorStatus === 0 || (RIGHTS[invalidated]! & remoteInvalidate) !== 0, 'a key was ended without right');
      if (invalidated >= 0) this.#shut(invalidated);
    }
    // Of what a peer makes up only that it did: 65,536 reasons are no news.
    const isKnown =
      reasonOf({ layer: vendorStatus >> 12, type: (vendorStatus >> 8) & 15, code: vendorStatus & 255 }) !== null;
    const detail = status === CompletionStatus.success ? vendorStatus > 0 : isKnown ? vendorStatus : 'unknown';
    this.#feature(`completed ${opcode} ${status} ${detail}`);
    this.#reported.push(opcode);
  }

  // ---------------------------------------------------------------- what must hold

  #check(): void {
    this.#compare();
    assert.ok((this.#connection.stream?.memoryBytes ?? 0) <= MEMORY_BYTES_MAX, 'it holds more than it may');
  }

  /** Nothing has changed that nobody had a right to. */
  #compare(): void {
    if (this.#arena.equals(this.#shadow)) return;
    for (let at = 0; at < ARENA_BYTES; at++) {
      assert.ok(this.#mutable[at]! > 0 || this.#arena[at] === this.#shadow[at], `byte ${at} was written to`);
    }
    this.#arena.copy(this.#shadow);
  }

  /** Whatever has been, closing ends it, and nothing remains. */
  #tearDown(): void {
    this.#connection.disconnect();
    this.#check();
    if (this.#isInitiator && this.#connection.startupState === 'connecting') this.#connection.tcpRefused();
    assert.ok(this.#ending || !this.#hasTcp, 'TCP is ended');
    assert.ok(this.#timer || !this.#hasTcp || this.#ending);
    this.#lose();
    this.#check();
    assert.deepEqual(this.#posted, { send: [], receive: [] }, 'every request completes');
    assert.equal(this.#timer, false, 'no timer runs on');
  }
}

const plain = {
  tagged: false,
  last: true,
  ddpVersion: 1,
  rdmapVersion: 1,
  opcode: 3,
  invalidates: 0,
  queue: 0,
  message: 1,
  offset: 0,
} as const;

function segment(header: SegmentHeader, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(UNTAGGED_BYTES + payload.byteLength);
  const length = encodeHeader(header, bytes, 0);
  bytes.set(payload, length);
  return fpdu(bytes.subarray(0, length + payload.byteLength));
}

function fpdu(ulpdu: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FPDU_MAX);
  bytes.set(ulpdu, 2);
  return bytes.subarray(0, sealFpdu(bytes, 0, ulpdu.byteLength, true));
}
