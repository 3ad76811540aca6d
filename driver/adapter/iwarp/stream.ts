/**
 * Data of one iWARP connection: work requests into FPDUs, and FPDUs into registered memory and completions.
 *
 * Theory of operation: no I/O. {@link Stream.receive} takes bytes as TCP brings them; {@link Stream.produce} fills a
 * buffer with FPDUs as far as there is something to send and the buffer has room. A message's segments are never mixed
 * with another's, so sending is one message at a time with a position in it; what is next is the peer's read or the
 * owner's work request, in turn. A send or write is complete when its last segment is in the output and the output refers
 * to none of its memory, which is free then: small payload is copied, large goes from where it is until TCP has it. A
 * read is complete when its last byte is placed. Completions come in posting order, so what follows a read waits.
 *
 * A read's sink is a key made for that read alone, with offsets from 0: what the elements are is known here only, and
 * nothing but the answer to that read can reach them. All tagged memory is looked up for each segment.
 *
 * Whether the stream may send, and what a fault does to it, is decided by machines/iwarp.ts.
 *
 * Source: RFC 5040, 5 and 7; RFC 5041, 5 and 7; RFC 5044, 4 and 5.
 */

import type { CompletionStatus as Status, Opcode as OpcodeValue, QueueDepths } from '../adapter.ts';
import {
  CompletionStatus,
  MemoryAccess,
  Opcode,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_INVALIDATE,
  WORK_REQUEST_SOLICITED,
  WorkRequestField,
} from '../adapter.ts';
import { type MemoryTable, refusalIn } from './memory.ts';
import { RecentParts } from './recent-parts.ts';
import {
  decodeTerminate,
  encodeTerminate,
  reasonOf,
  refusalOf,
  Terminate,
  type TerminateCode,
  type TerminateMessage,
  vendorStatusOf,
} from './terminate.ts';
import {
  Control,
  decodeReadRequest,
  encodeReadRequest,
  FpduReader,
  type FpduUse,
  fpduBytes,
  fpduIsIntact,
  halfAt,
  headerBytes,
  putTagged,
  putUntagged,
  QueueNumber,
  RdmapOpcode,
  READ_REQUEST_BYTES,
  type ReadRequest,
  sealFpdu,
  sealFpduAround,
  TAGGED_BYTES,
  TaggedAt,
  UNTAGGED_BYTES,
  UntaggedAt,
  wholeFpdu,
  wordAt,
} from './wire.ts';
import { Flag, RowField, StreamTable } from './stream-table.ts';
import { QueueField } from './work-requests.ts';

/** Told what a stream can't decide. */
export interface StreamOwner {
  /** The first whole FPDU that is in order has come; told before its content is used. */
  fpduArrived(): void;
  /** The protocol was broken; {@link Stream.refuse} says more. */
  faulted(code: TerminateCode): void;
  /** The peer says that the stream is broken. */
  terminated(message: TerminateMessage): void;
}

/** Gets a stream's completions, in the order of posting for each queue. */
export interface Completions {
  complete(context: number, status: Status, bytes: number, opcode: OpcodeValue, vendorStatus: number): void;
}

export interface StreamSettings {
  readonly depths: QueueDepths;
  /** Longest ULPDU that is sent, headers included, in bytes. */
  readonly ulpduMax: number;
  /** Reads of the peer that are taken at once. */
  readonly incomingReadsMax: number;
  /** Payload of a segment that is worth a part of its own in the output, in bytes; less is copied. Default 4096. */
  readonly referredBytesMin?: number;
}

/** A read of ours that has no whole answer yet. */
interface OutgoingRead {
  readonly request: number;
  readonly stag: number;
  readonly length: number;
  done: number;
}

/** A read of the peer that has no whole answer yet. */
interface IncomingRead extends ReadRequest {
  done: number;
}

/** A work request that couldn't be sent, and how it ends. */
interface Failure {
  readonly request: number;
  readonly status: Status;
}

/** What most streams never need. */
class Rare {
  readonly reader = new FpduReader();
  readonly reads: OutgoingRead[] = [];
  readonly answers: IncomingRead[] = [];
  /**
   * As long as an output refers to registered memory: for each that isn't taken yet the oldest work request whose memory
   * it refers to, or null. In the order of making, and so of work requests.
   */
  readonly outputs: (number | null)[] = [];
  /** The same of the output that is being made. */
  making: number | null = null;
  failed: Failure | null = null;
  terminate: Uint8Array = EMPTY;
}

/** What is done with a part of a request's memory, `bytes` long from `start` on, and `buffer` from `at` on. */
type ElementUse = (memory: Uint8Array, start: number, bytes: number, buffer: Uint8Array, at: number) => void;

/** What was copied lately, and what was sent. */
const [copied, sent] = [new RecentParts(), new RecentParts()];
/** So many bytes are copied one by one in less time than a view of them is made. */
const FEW_BYTES = 64;

function copy(from: Uint8Array, start: number, bytes: number, into: Uint8Array, at: number): void {
  if (start === 0 && bytes === from.byteLength) into.set(from, at);
  else if (bytes > FEW_BYTES) into.set(copied.of(from, start, start + bytes), at);
  else for (let index = 0; index < bytes; index++) into[at + index] = from[start + index]!;
}
const copyOut: ElementUse = (memory, start, bytes, buffer, at) => copy(memory, start, bytes, buffer, at);
const copyIn: ElementUse = (memory, start, bytes, buffer, at) => copy(buffer, at, bytes, memory, start);
const look: ElementUse = () => {};
const refer: ElementUse = (memory, start, bytes) => {
  referred.push(memory.subarray(start, start + bytes));
};
/** Payload of the segment at hand that is sent from where it is. */
const referred: Uint8Array[] = [];

const EMPTY = new Uint8Array(0);
/** Where the two queues are in a row. */
const { receives: RECEIVES, sends: SENDS } = RowField;
const REFERRED_BYTES_MIN = 4096;
/** Payload in one output that isn't copied, but for the last segment's: what its checksum read, TCP copies from the cache. */
const REFERRED_BYTES_MAX = 131_072;

/** Bytes that `produce` needs room for to make progress with any setting. */
export const roomFor = (ulpduMax: number): number => fpduBytes(ulpduMax);

/** Whether a part of a buffer goes beyond the last offset of 64 bits. */
const wraps = (high: number, low: number, length: number): boolean => high === 0xffff_ffff && low + length > 2 ** 32;
/** An offset as a number: exact up to 2^53, and above that beyond every registered region. */
const offsetOf = (high: number, low: number): number => high * 2 ** 32 + low;

export class Stream {
  readonly #table: StreamTable;
  /** First word of this stream's row. */
  readonly #row: number;
  readonly #completions: Completions;
  readonly #owner: StreamOwner;
  readonly #memory: MemoryTable;
  #rareOrNull: Rare | null = null;

  /** @param table - of the adapter, for all its streams; one of its own when absent */
  constructor(
    owner: StreamOwner,
    completions: Completions,
    memory: MemoryTable,
    protectionDomain: number,
    settings: StreamSettings,
    table = new StreamTable(),
  ) {
    this.#table = table;
    this.#row = table.create();
    this.#completions = completions;
    this.#owner = owner;
    this.#memory = memory;
    const row = this.#row;
    const { words, requests } = table;
    words[row + RowField.flags] = Flag.crc | Flag.answersTurn;
    words[row + RowField.domain] = protectionDomain;
    words[row + RowField.receiveMessage] = 1;
    words[row + RowField.readRequestMessage] = 1;
    words[row + RowField.incomingReadsMax] = settings.incomingReadsMax;
    words[row + RowField.sendMessage] = 1;
    words[row + RowField.readMessage] = 1;
    words[row + RowField.ulpduMax] = settings.ulpduMax;
    words[row + RowField.referredBytesMin] = settings.referredBytesMin ?? REFERRED_BYTES_MIN;
    requests.create(row + RECEIVES, settings.depths.receive);
    requests.create(row + SENDS, settings.depths.send);
  }

  /** Bytes held for an FPDU that isn't whole yet. */
  get heldBytes(): number {
    return this.#rareOrNull?.reader.heldBytes ?? 0;
  }

  /** Bytes of memory that the stream has for itself: bounded by its depths and by one FPDU. */
  get memoryBytes(): number {
    const { requests } = this.#table;
    const queues = requests.memoryBytes(this.#row + SENDS) + requests.memoryBytes(this.#row + RECEIVES);
    return queues + (this.#rareOrNull?.reader.memoryBytes ?? 0);
  }

  /** Whether an output refers to registered memory. */
  get refersToMemory(): boolean {
    return this.#is(Flag.refers);
  }

  get hasOutput(): boolean {
    return this.#is(Flag.terminate | Flag.readyToReceive) || this.#next() !== 'nothing';
  }

  get #rare(): Rare {
    this.#rareOrNull ??= new Rare();
    return this.#rareOrNull;
  }

  #field(field: number): number {
    return this.#table.words[this.#row + field]!;
  }
  #set(field: number, value: number): void {
    this.#table.words[this.#row + field] = value;
  }
  /** Whether any of `flags` is set. */
  #is(flags: number): boolean {
    return (this.#table.words[this.#row + RowField.flags]! & flags) !== 0;
  }
  #mark(flags: number, isSet = true): void {
    const { words } = this.#table;
    const at = this.#row + RowField.flags;
    words[at] = isSet ? words[at]! | flags : words[at]! & ~flags;
  }

  /** The start-up has agreed. @param readsMax - reads that the peer takes at once */
  open(crc: boolean, readsMax: number): void {
    this.#mark(Flag.crc, crc);
    this.#set(RowField.readsMax, readsMax);
  }

  permitSending(): void {
    this.#mark(Flag.maySend);
  }

  sendReadyToReceive(): void {
    this.#mark(Flag.readyToReceive);
  }

  /** Takes the descriptor at `base`. @returns false when the queue is full */
  post(words: Uint32Array, base: number, opcode: number): boolean {
    const queue = this.#row + (opcode === Opcode.receive ? RECEIVES : SENDS);
    if (!this.#table.requests.push(queue, words, base)) return false;
    if (this.#is(Flag.dead)) this.#flushQueue(queue);
    return true;
  }

  /** Gives the memory of its row and queues back; nothing is posted, polled or asked afterwards. */
  release(): void {
    const { requests } = this.#table;
    requests.release(this.#row + SENDS);
    requests.release(this.#row + RECEIVES);
    this.#table.release(this.#row);
  }

  /** A completion of this connection was polled. */
  reported(opcode: number): void {
    this.#table.words[this.#row + (opcode === Opcode.receive ? RECEIVES : SENDS) + QueueField.reported]!++;
  }

  /** Completes everything that is posted as flushed; from now on nothing moves. */
  flush(): void {
    if (this.#is(Flag.dead)) return;
    this.#mark(Flag.dead);
    this.#mark(Flag.readyToReceive | Flag.answers, false);
    this.#flushQueue(this.#row + SENDS);
    this.#flushQueue(this.#row + RECEIVES);
    this.#mark(Flag.reads, false);
    const rare = this.#rareOrNull;
    if (rare === null) return;
    rare.answers.length = 0;
    rare.reads.length = 0;
  }

  /**
   * As {@link Stream.flush}, but the oldest read ends with the peer's reason if that was about a read. A send or write
   * that the peer refused has been completed with success: it had left. The reason is told to whatever is flushed, and
   * to all that is posted afterwards.
   */
  flushRefused(message: TerminateMessage): void {
    const reason = vendorStatusOf(message);
    this.#set(RowField.endStatus, reason);
    if (message.readRequest.byteLength > 0 && this.#oldestReadIsNext()) {
      const status = message.type === 1 ? CompletionStatus.remoteAccess : CompletionStatus.remoteOperation;
      this.#complete(this.#row + SENDS, status, 0, reason);
    }
    this.flush();
  }

  /** Puts a Terminate in front of whatever was to be sent, about the segment at hand. */
  terminate(code: TerminateCode): void {
    this.#set(RowField.endStatus, vendorStatusOf(code));
    const { segment, segmentAt, segmentBytes } = this.#table;
    const ulpdu = segment.subarray(segmentAt, segmentAt + segmentBytes);
    const headers = reasonOf(code)?.headers ?? 'none';
    const ddpBytes = headers === 'none' ? 0 : headerBytes(ulpdu, 0, ulpdu.byteLength);
    const isReadRequest =
      headers === 'rdmap' &&
      ddpBytes > 0 &&
      Control.opcode(halfAt(ulpdu, 0)) === RdmapOpcode.readRequest &&
      ulpdu.byteLength >= UNTAGGED_BYTES + READ_REQUEST_BYTES;
    this.#mark(Flag.terminate);
    this.#rare.terminate = encodeTerminate({
      ...code,
      ddpHeader: ulpdu.subarray(0, ddpBytes),
      segmentLength: ulpdu.byteLength,
      readRequest: isReadRequest ? ulpdu.subarray(UNTAGGED_BYTES, UNTAGGED_BYTES + READ_REQUEST_BYTES) : EMPTY,
    });
  }

  // ---------------------------------------------------------------- sending

  /**
   * Puts FPDUs into `into` from `from` on, as many as there are and fit.
   *
   * @param into - room for {@link roomFor} bytes at least
   * @param parts - when given, gets the output in its order: parts of `into`, and between them large payload as it lies in
   *   registered memory. Whoever asks for parts says {@link Stream.outputTaken} once for each output of at least a byte;
   *   until then no work request completes whose memory is in it
   * @returns bytes put into `into`
   */
  produce(into: Buffer, parts?: Uint8Array[], from = 0): number {
    const room = roomFor(this.#field(RowField.ulpduMax));
    const crc = this.#is(Flag.crc);
    let at = from;
    /** The first byte that isn't in `parts` yet. */
    let partBegin = from;
    let referredBytes = 0;
    while (at + room <= into.byteLength && referredBytes < REFERRED_BYTES_MAX) {
      const request = this.#field(RowField.launched);
      const ulpdu = this.#segment(into, at + 2, parts !== undefined);
      if (ulpdu < 0) break;
      if (referred.length === 0) {
        at += sealFpdu(into, at, ulpdu, crc);
        continue;
      }
      let bytes = 0;
      for (const part of referred) bytes += part.byteLength;
      const { before, after } = sealFpduAround(into, at, ulpdu, referred, bytes, crc);
      parts!.push(into.subarray(partBegin, at + before), ...referred);
      referred.length = 0;
      partBegin = at + before;
      at = partBegin + after;
      referredBytes += bytes;
      this.#rare.making ??= request;
    }
    if (parts !== undefined && at > from) {
      if (at > partBegin) parts.push(sent.of(into, partBegin, at));
      this.#made();
    }
    return at - from;
  }

  /** An output of parts is made. */
  #made(): void {
    const outputs = this.#field(RowField.outputs);
    this.#set(RowField.outputs, outputs + 1);
    if (!this.#is(Flag.refers)) return;
    const rare = this.#rare;
    // Those that were made before the first that refers to memory.
    while (rare.outputs.length < outputs) rare.outputs.push(null);
    rare.outputs.push(rare.making);
    rare.making = null;
  }

  /** The oldest output that was made of parts is no longer needed: TCP has it, or has ended. */
  outputTaken(): void {
    this.#set(RowField.outputs, this.#field(RowField.outputs) - 1);
    if (!this.#is(Flag.refers)) return;
    const { outputs } = this.#rare;
    if (outputs.shift() === null) return;
    if (this.#referredFrom() === null) {
      outputs.length = 0;
      this.#mark(Flag.refers, false);
    }
    if (this.#is(Flag.dead)) this.#flushQueue(this.#row + SENDS);
    else this.#completeSends();
  }

  /** Writes the next segment at `at`. @returns its length, or -1 when there is none */
  #segment(into: Buffer, at: number, mayRefer: boolean): number {
    const flags = this.#field(RowField.flags);
    if ((flags & Flag.terminate) !== 0) {
      const content = this.#rare.terminate;
      this.#mark(Flag.terminate, false);
      putUntagged(into, at, true, RdmapOpcode.terminate, QueueNumber.terminate, 1, 0);
      into.set(content, at + UNTAGGED_BYTES);
      return UNTAGGED_BYTES + content.byteLength;
    }
    if ((flags & Flag.dead) !== 0) return -1;
    if ((flags & Flag.readyToReceive) !== 0) {
      this.#mark(Flag.readyToReceive, false);
      putTagged(into, at, true, RdmapOpcode.rdmaWrite, 0, 0, 0, 0);
      return TAGGED_BYTES;
    }
    switch (this.#next()) {
      case 'answer':
        return this.#answer(into, at, mayRefer);
      case 'request':
        return this.#request(into, at, mayRefer);
      default:
        return -1;
    }
  }

  /** What is sent next; a message that was begun goes on. */
  #next(): 'answer' | 'request' | 'nothing' {
    const { words } = this.#table;
    const flags = words[this.#row + RowField.flags]!;
    if ((flags & (Flag.dead | Flag.maySend)) !== Flag.maySend) return 'nothing';
    if (words[this.#row + RowField.position] !== 0) return 'request';
    const isPosted = words[this.#row + RowField.launched] !== words[this.#row + SENDS + QueueField.posted];
    if ((flags & (Flag.reads | Flag.answers)) === 0) return isPosted ? 'request' : 'nothing';
    const answer = this.#rare.answers[0];
    if (answer !== undefined && answer.done > 0) return 'answer';
    const hasRequest = isPosted && this.#mayLaunch();
    if (answer === undefined) return hasRequest ? 'request' : 'nothing';
    return hasRequest && (flags & Flag.answersTurn) === 0 ? 'request' : 'answer';
  }

  #mayLaunch(): boolean {
    const reads = this.#rare.reads.length;
    if (reads === 0) return true;
    const base = this.#table.requests.baseOf(this.#row + SENDS, this.#field(RowField.launched));
    const { words } = this.#table.requests;
    if ((words[base + WorkRequestField.flags]! & WORK_REQUEST_FENCE) !== 0) return false;
    return words[base + WorkRequestField.opcode] !== Opcode.rdmaRead || reads < this.#field(RowField.readsMax);
  }

  #answer(into: Buffer, at: number, mayRefer: boolean): number {
    const { answers } = this.#rare;
    const answer = answers[0]!;
    const length = Math.min(answer.length - answer.done, this.#field(RowField.ulpduMax) - TAGGED_BYTES);
    const last = answer.done + length === answer.length;
    if (length > 0) {
      const offset = offsetOf(answer.sourceOffsetHigh, answer.sourceOffsetLow) + answer.done;
      const access = MemoryAccess.remoteRead;
      const source = this.#memory.remote(this.#field(RowField.domain), answer.sourceStag, offset, length, access);
      // Taken back while the answer was under way.
      if (source < 0) {
        this.#owner.faulted(refusalOf.read[refusalIn(source)]);
        return this.#segment(into, at, mayRefer);
      }
      const start = offset - this.#memory.addressOf(source);
      copy(this.#memory.memoryOf(source), start, length, into, at + TAGGED_BYTES);
    }
    const { sinkStag, sinkOffsetHigh, sinkOffsetLow, done } = answer;
    putTagged(into, at, last, RdmapOpcode.readResponse, sinkStag, sinkOffsetHigh, sinkOffsetLow, done);
    answer.done += length;
    if (last) {
      answers.shift();
      this.#mark(Flag.answers, answers.length > 0);
      this.#mark(Flag.answersTurn, false);
    }
    return TAGGED_BYTES + length;
  }

  #request(into: Buffer, at: number, mayRefer: boolean): number {
    const { words, requests } = this.#table;
    const row = this.#row;
    const request = words[row + RowField.launched]!;
    const base = requests.baseOf(row + SENDS, request);
    const descriptor = requests.words;
    const opcode = descriptor[base + WorkRequestField.opcode];
    if (opcode === Opcode.rdmaRead) return this.#readRequest(into, at, mayRefer);
    const isWrite = opcode === Opcode.rdmaWrite;
    const header = isWrite ? TAGGED_BYTES : UNTAGGED_BYTES;
    const total = requests.byteCount(row + SENDS, request);
    const position = words[row + RowField.position]! >>> 0;
    const length = Math.min(total - position, words[row + RowField.ulpduMax]! - header);
    const refers = mayRefer && length >= words[row + RowField.referredBytesMin]!;
    const use = refers ? refer : copyOut;
    if (!this.#eachElement(row + SENDS, request, position, length, 0, use, into, at + header)) {
      referred.length = 0;
      return this.#failLocally(CompletionStatus.localProtection, into, at, mayRefer);
    }
    if (refers) this.#mark(Flag.refers);
    const last = position + length === total;
    const key = descriptor[base + WorkRequestField.remoteKey]!;
    if (isWrite) {
      const high = descriptor[base + WorkRequestField.remoteAddressHigh]!;
      const low = descriptor[base + WorkRequestField.remoteAddressLow]!;
      putTagged(into, at, last, RdmapOpcode.rdmaWrite, key, high, low, position);
    } else {
      const flags = descriptor[base + WorkRequestField.flags]!;
      const invalidates = (flags & WORK_REQUEST_INVALIDATE) === 0 ? 0 : key;
      const message = words[row + RowField.sendMessage]! >>> 0;
      putUntagged(into, at, last, sendOpcode(flags), QueueNumber.send, message, position, invalidates);
    }
    if (!last) {
      words[row + RowField.position] = position + length;
      return header + length;
    }
    words[row + RowField.position] = 0;
    words[row + RowField.launched] = request + 1;
    if (!isWrite) words[row + RowField.sendMessage]!++;
    words[row + RowField.flags]! |= Flag.answersTurn;
    // Memory that is referred to isn't free yet, which the output will say when it is made.
    if (!refers) this.#completeSends();
    return header + length;
  }

  #readRequest(into: Buffer, at: number, mayRefer: boolean): number {
    const { requests } = this.#table;
    const request = this.#field(RowField.launched);
    const length = requests.byteCount(this.#row + SENDS, request);
    if (this.#field(RowField.readsMax) === 0)
      return this.#failLocally(CompletionStatus.remoteOperation, into, at, mayRefer);
    if (!this.#eachElement(this.#row + SENDS, request, 0, length, MemoryAccess.localWrite, look, into, at)) {
      return this.#failLocally(CompletionStatus.localProtection, into, at, mayRefer);
    }
    const read = { request, stag: this.#memory.newKey(), length, done: 0 };
    const message = this.#field(RowField.readMessage) >>> 0;
    putUntagged(into, at, true, RdmapOpcode.readRequest, QueueNumber.readRequest, message, 0);
    const field = (offset: number): number => requests.field(this.#row + SENDS, request, offset);
    encodeReadRequest(
      {
        sinkStag: read.stag,
        sinkOffsetHigh: 0,
        sinkOffsetLow: 0,
        length,
        sourceStag: field(WorkRequestField.remoteKey),
        sourceOffsetHigh: field(WorkRequestField.remoteAddressHigh),
        sourceOffsetLow: field(WorkRequestField.remoteAddressLow),
      },
      into,
      at + UNTAGGED_BYTES,
    );
    this.#rare.reads.push(read);
    this.#set(RowField.readMessage, message + 1);
    this.#set(RowField.launched, request + 1);
    this.#mark(Flag.reads | Flag.answersTurn);
    return UNTAGGED_BYTES + READ_REQUEST_BYTES;
  }

  /** The request that is next can't be sent. It ends after those before it; those that still wait are flushed. */
  #failLocally(status: Status, into: Buffer, at: number, mayRefer: boolean): number {
    this.#set(RowField.endStatus, vendorStatusOf(Terminate.localCatastrophic));
    this.#rare.failed = { request: this.#field(RowField.launched), status };
    this.#table.forgetSegment();
    this.#owner.faulted(Terminate.localCatastrophic);
    return this.#segment(into, at, mayRefer);
  }

  /** Goes through the memory of `length` bytes of a request from `from` on. @returns false when it isn't all there */
  #eachElement(
    queue: number,
    request: number,
    from: number,
    length: number,
    access: number,
    use: ElementUse,
    buffer: Uint8Array,
    bufferAt: number,
  ): boolean {
    const { requests, words: rows } = this.#table;
    const memory = this.#memory;
    const domain = rows[this.#row + RowField.domain]!;
    const base = requests.baseOf(queue, request);
    const { words } = requests;
    const count = words[base + WorkRequestField.elementCount]!;
    let skip = from;
    let left = length;
    for (let index = 0; index < count && left > 0; index++) {
      const at = base + WorkRequestField.elements + 4 * index;
      const size = words[at + 1]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const step = Math.min(size - skip, left);
      const address = words[at + 2]! + words[at + 3]! * 2 ** 32 + skip;
      const region = memory.local(domain, words[at]!, address, step, access, rows[queue + QueueField.region]!);
      if (region < 0) return false;
      rows[queue + QueueField.region] = region;
      use(memory.memoryOf(region), address - memory.addressOf(region), step, buffer, bufferAt + length - left);
      left -= step;
      skip = 0;
    }
    return left === 0;
  }

  // ---------------------------------------------------------------- receiving

  /** Takes bytes from TCP, in any portions: those of `chunk` from `from` to `end`. */
  receive(chunk: Buffer, from = 0, end: number = chunk.byteLength): void {
    let at = from;
    // As nearly always: what comes is whole.
    while (at < end && !this.#is(Flag.dead | Flag.held)) {
      const length = wholeFpdu(chunk, at, end);
      if (length === 0) break;
      this.#takeFpdu(chunk, at, length);
      at += length;
    }
    if (at === end || this.#is(Flag.dead)) return;
    const { reader } = this.#rare;
    const use: FpduUse = (bytes, begin, length) => {
      this.#takeFpdu(bytes, begin, length);
      return !this.#is(Flag.dead);
    };
    reader.take(chunk, use, at, end);
    this.#mark(Flag.held, reader.heldBytes > 0);
  }

  /** Takes the whole FPDU of `length` bytes at `at`. */
  #takeFpdu(bytes: Buffer, at: number, length: number): void {
    const table = this.#table;
    const flags = this.#field(RowField.flags);
    if ((flags & Flag.crc) !== 0 && !fpduIsIntact(bytes, at, length)) {
      this.#owner.faulted(Terminate.crc);
      return;
    }
    const ulpduBytes = halfAt(bytes, at);
    table.segment = bytes;
    table.segmentAt = at + 2;
    table.segmentBytes = ulpduBytes;
    if ((flags & Flag.heard) === 0) {
      this.#mark(Flag.heard);
      this.#owner.fpduArrived();
    }
    const fault = this.#is(Flag.dead) ? null : this.#place(bytes, at + 2, ulpduBytes);
    if (fault !== null) this.#owner.faulted(fault);
    table.forgetSegment();
  }

  #place(bytes: Buffer, at: number, length: number): TerminateCode | null {
    // One of the ways of being ready to receive.
    if (length === 0) return null;
    if (headerBytes(bytes, at, length) === 0) return Terminate.ddpCatastrophic;
    const control = halfAt(bytes, at);
    const isTagged = Control.isTagged(control);
    if (Control.ddpVersion(control) !== 1) return isTagged ? Terminate.taggedVersion : Terminate.untaggedVersion;
    if (Control.rdmapVersion(control) !== 1) return Terminate.rdmapVersion;
    return isTagged
      ? this.#placeTagged(control, bytes, at, length - TAGGED_BYTES)
      : this.#placeUntagged(control, bytes, at, length - UNTAGGED_BYTES);
  }

  // Of a segment at `at` whose payload is `length` bytes. Its header is read where it lies: one object less for a message.

  #placeTagged(control: number, bytes: Buffer, at: number, length: number): TerminateCode | null {
    const [stag, high] = [wordAt(bytes, at + TaggedAt.stag), wordAt(bytes, at + TaggedAt.offsetHigh)];
    const low = wordAt(bytes, at + TaggedAt.offsetLow);
    const opcode = Control.opcode(control);
    if (opcode === RdmapOpcode.readResponse)
      return this.#placeAnswer(control, stag, offsetOf(high, low), bytes, at, length);
    if (opcode !== RdmapOpcode.rdmaWrite) return Terminate.unexpectedOpcode;
    // A write of nothing needs no permission: it is how a peer says that it is there.
    if (length === 0) return null;
    if (wraps(high, low, length)) return Terminate.taggedOffsetWrap;
    const offset = offsetOf(high, low);
    const access = MemoryAccess.remoteWrite;
    const target = this.#memory.remote(this.#field(RowField.domain), stag, offset, length, access);
    if (target < 0) return refusalOf.write[refusalIn(target)];
    copy(bytes, at + TAGGED_BYTES, length, this.#memory.memoryOf(target), offset - this.#memory.addressOf(target));
    return null;
  }

  #placeAnswer(
    control: number,
    stag: number,
    offset: number,
    bytes: Buffer,
    at: number,
    length: number,
  ): TerminateCode | null {
    const read = this.#oldestRead();
    if (read === null || read.stag !== stag) return Terminate.taggedInvalidStag;
    const end = read.done + length;
    if (offset !== read.done || end > read.length) return Terminate.taggedBounds;
    const last = Control.isLast(control);
    if (last !== (end === read.length)) return Terminate.unspecified;
    const access = MemoryAccess.localWrite;
    const payload = at + TAGGED_BYTES;
    if (!this.#eachElement(this.#row + SENDS, read.request, offset, length, access, copyIn, bytes, payload)) {
      // What was sent before it has arrived; only its completion waited.
      if (this.#oldestReadIsNext()) {
        this.#complete(
          this.#row + SENDS,
          CompletionStatus.localProtection,
          0,
          vendorStatusOf(Terminate.taggedInvalidStag),
        );
      }
      return Terminate.taggedInvalidStag;
    }
    read.done = end;
    if (last) {
      const { reads } = this.#rare;
      reads.shift();
      this.#mark(Flag.reads, reads.length > 0);
      this.#completeSends();
    }
    return null;
  }

  #placeUntagged(control: number, bytes: Buffer, at: number, length: number): TerminateCode | null {
    const queue = wordAt(bytes, at + UntaggedAt.queue);
    if (queue > QueueNumber.terminate) return Terminate.untaggedQueue;
    switch (Control.opcode(control)) {
      case RdmapOpcode.send:
      case RdmapOpcode.sendSolicited:
      case RdmapOpcode.sendInvalidate:
      case RdmapOpcode.sendSolicitedInvalidate:
        return queue === QueueNumber.send ? this.#placeSend(control, bytes, at, length) : Terminate.unexpectedOpcode;
      case RdmapOpcode.readRequest:
        return queue === QueueNumber.readRequest
          ? this.#takeRead(control, bytes, at, length)
          : Terminate.unexpectedOpcode;
      case RdmapOpcode.terminate: {
        if (queue !== QueueNumber.terminate) return Terminate.unexpectedOpcode;
        const message = decodeTerminate(bytes.subarray(at + UNTAGGED_BYTES, at + UNTAGGED_BYTES + length));
        if (message === null) return Terminate.unspecified;
        this.#owner.terminated(message);
        return null;
      }
      default:
        return Terminate.unexpectedOpcode;
    }
  }

  #placeSend(control: number, bytes: Buffer, at: number, length: number): TerminateCode | null {
    const { words, requests } = this.#table;
    const row = this.#row;
    const receives = row + RECEIVES;
    const request = words[receives + QueueField.completed]!;
    const message = wordAt(bytes, at + UntaggedAt.message);
    const offset = wordAt(bytes, at + UntaggedAt.offset);
    if (message !== words[row + RowField.receiveMessage]! >>> 0) return Terminate.untaggedMessageNumber;
    if (request === words[receives + QueueField.posted]) return Terminate.untaggedNoBuffer;
    if (offset !== words[row + RowField.receivePosition]! >>> 0) return Terminate.untaggedOffset;
    const end = offset + length;
    if (end > requests.byteCount(receives, request)) {
      this.#complete(receives, CompletionStatus.localLength, 0, vendorStatusOf(Terminate.untaggedTooLong));
      return Terminate.untaggedTooLong;
    }
    const access = MemoryAccess.localWrite;
    if (!this.#eachElement(receives, request, offset, length, access, copyIn, bytes, at + UNTAGGED_BYTES)) {
      this.#complete(receives, CompletionStatus.localProtection, 0, vendorStatusOf(Terminate.streamCatastrophic));
      return Terminate.streamCatastrophic;
    }
    words[row + RowField.receivePosition] = end;
    if (!Control.isLast(control)) return null;
    let invalidated = 0;
    // The key is ended before the receive is complete, so that its owner may count on it.
    if (invalidates(Control.opcode(control))) {
      invalidated = wordAt(bytes, at + UntaggedAt.invalidates);
      const refusal = this.#memory.invalidate(words[row + RowField.domain]!, invalidated);
      if (refusal !== null) return refusalOf.invalidate[refusal];
    }
    words[row + RowField.receivePosition] = 0;
    words[row + RowField.receiveMessage]!++;
    this.#complete(receives, CompletionStatus.success, end, invalidated);
    return null;
  }

  #takeRead(control: number, bytes: Buffer, at: number, payloadBytes: number): TerminateCode | null {
    const message = this.#field(RowField.readRequestMessage) >>> 0;
    if (wordAt(bytes, at + UntaggedAt.message) !== message) return Terminate.untaggedMessageNumber;
    if (wordAt(bytes, at + UntaggedAt.offset) !== 0) return Terminate.untaggedOffset;
    if (payloadBytes > READ_REQUEST_BYTES) return Terminate.untaggedTooLong;
    if (payloadBytes < READ_REQUEST_BYTES || !Control.isLast(control)) return Terminate.unspecified;
    const { answers } = this.#rare;
    if (answers.length >= this.#field(RowField.incomingReadsMax)) return Terminate.untaggedNoBuffer;
    const read = decodeReadRequest(bytes, at + UNTAGGED_BYTES);
    const { length, sinkOffsetHigh, sinkOffsetLow, sourceStag, sourceOffsetHigh, sourceOffsetLow } = read;
    if (wraps(sourceOffsetHigh, sourceOffsetLow, length) || wraps(sinkOffsetHigh, sinkOffsetLow, length)) {
      return Terminate.readOffsetWrap;
    }
    if (length > 0) {
      const offset = offsetOf(sourceOffsetHigh, sourceOffsetLow);
      const access = MemoryAccess.remoteRead;
      const source = this.#memory.remote(this.#field(RowField.domain), sourceStag, offset, length, access);
      if (source < 0) return refusalOf.read[refusalIn(source)];
    }
    this.#set(RowField.readRequestMessage, message + 1);
    answers.push({ ...read, done: 0 });
    this.#mark(Flag.answers);
    return null;
  }

  // ---------------------------------------------------------------- completions

  /** Completes, in order, what is sent and doesn't wait for an answer. */
  #completeSends(): void {
    const { words, requests } = this.#table;
    const sends = this.#row + SENDS;
    const end = this.#freeUpTo(words[this.#row + RowField.launched]!);
    for (;;) {
      const request = words[sends + QueueField.completed]!;
      if (request === end) return;
      const isRead = requests.field(sends, request, WorkRequestField.opcode) === Opcode.rdmaRead;
      this.#complete(sends, CompletionStatus.success, isRead ? requests.byteCount(sends, request) : 0, 0);
    }
  }

  #complete(queue: number, status: Status, bytes: number, vendorStatus: number): void {
    const { words, requests } = this.#table;
    const request = words[queue + QueueField.completed]!;
    words[queue + QueueField.completed] = request + 1;
    const base = requests.baseOf(queue, request);
    const context = requests.words[base + WorkRequestField.context]!;
    const opcode = requests.words[base + WorkRequestField.opcode] as OpcodeValue;
    this.#completions.complete(context, status, bytes, opcode, vendorStatus);
  }

  /** The oldest read of this end that has no whole answer. */
  #oldestRead(): OutgoingRead | null {
    return this.#is(Flag.reads) ? this.#rare.reads[0]! : null;
  }

  /** Whether that read is the next to complete. */
  #oldestReadIsNext(): boolean {
    return this.#oldestRead()?.request === this.#field(SENDS + QueueField.completed);
  }

  /** The oldest work request whose memory TCP still refers to. */
  #referredFrom(): number | null {
    const { outputs, making } = this.#rare;
    return outputs.find((request) => request !== null) ?? making;
  }

  /** The first request from the next to complete on that waits for an answer or for TCP; else `end`. */
  #freeUpTo(end: number, waitsForAnswers = true): number {
    if (!this.#is(Flag.reads | Flag.refers)) return end;
    const next = this.#field(SENDS + QueueField.completed);
    const read = waitsForAnswers ? (this.#oldestRead()?.request ?? end) : end;
    const referred = this.#is(Flag.refers) ? (this.#referredFrom() ?? end) : end;
    return (next + Math.min((end - next) >>> 0, (read - next) >>> 0, (referred - next) >>> 0)) | 0;
  }

  /** Completes what is left, but nothing whose memory TCP refers to, nor what comes after that. */
  #flushQueue(queue: number): void {
    const { words } = this.#table;
    const isSends = queue === this.#row + SENDS;
    const posted = words[queue + QueueField.posted]!;
    const end = isSends ? this.#freeUpTo(posted, false) : posted;
    const failed = isSends ? (this.#rareOrNull?.failed ?? null) : null;
    for (;;) {
      const request = words[queue + QueueField.completed]!;
      if (request === end) return;
      const status = failed?.request === request ? failed.status : CompletionStatus.flushed;
      this.#complete(queue, status, 0, this.#field(RowField.endStatus));
    }
  }
}

const SEND_OPCODES = [
  RdmapOpcode.send,
  RdmapOpcode.sendSolicited,
  RdmapOpcode.sendInvalidate,
  RdmapOpcode.sendSolicitedInvalidate,
] as const;

function sendOpcode(flags: number): RdmapOpcode {
  const isSolicited = (flags & WORK_REQUEST_SOLICITED) === 0 ? 0 : 1;
  return SEND_OPCODES[isSolicited + ((flags & WORK_REQUEST_INVALIDATE) === 0 ? 0 : 2)]!;
}

const invalidates = (opcode: number): boolean =>
  opcode === RdmapOpcode.sendInvalidate || opcode === RdmapOpcode.sendSolicitedInvalidate;
