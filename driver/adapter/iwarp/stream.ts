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
import type { MemoryTable } from './memory.ts';
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
  decodeHeader,
  decodeReadRequest,
  encodeReadRequest,
  FpduReader,
  fpduBytes,
  fpduIsIntact,
  putTagged,
  putUntagged,
  QueueNumber,
  RdmapOpcode,
  READ_REQUEST_BYTES,
  type ReadRequest,
  type SegmentHeader,
  sealFpdu,
  sealFpduAround,
  TAGGED_BYTES,
  UNTAGGED_BYTES,
} from './wire.ts';
import { DescriptorMemory, WorkRequests } from './work-requests.ts';

/** Told what a stream can't decide. */
export interface StreamOwner {
  /** A whole FPDU that is in order has come; told before its content is used. */
  fpduArrived(): void;
  /** The protocol was broken; {@link Stream.refuse} says more. */
  faulted(code: TerminateCode): void;
  /** The peer says that the stream is broken. */
  terminated(message: TerminateMessage): void;
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

const EMPTY = new Uint8Array(0);
/** An output that refers to no memory. */
const NONE = -1;
const NOTHING: Buffer = Buffer.alloc(0);
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
  readonly #owner: StreamOwner;
  readonly #memory: MemoryTable;
  readonly #protectionDomain: number;
  readonly #ulpduMax: number;
  readonly #incomingReadsMax: number;
  readonly #referredBytesMin: number;
  readonly #sends: WorkRequests;
  readonly #receives: WorkRequests;
  readonly #reader = new FpduReader();

  #crc = true;
  /** Reads that the peer takes at once. */
  #readsMax = 0;
  #isDead = false;
  #maySend = false;
  /** Why the stream ended, as it is told to those that are flushed; 0 without a Terminate in either direction. */
  #endStatus = 0;

  // Sending.
  /** Work requests of which every segment is in the output. */
  #launched = 0;
  /** Bytes of the next one that are. */
  #position = 0;
  #sendMessage = 1;
  #readMessage = 1;
  /**
   * For each output that was made of parts and isn't taken yet, the oldest work request whose memory it refers to, or
   * {@link NONE}. In the order of making, and so of work requests.
   */
  readonly #outputs: number[] = [];
  /** The same of the output that is being made. */
  #making = NONE;
  /** Payload of the segment at hand that is sent from where it is. */
  readonly #referred: Uint8Array[] = [];
  readonly #refer: ElementUse = (memory, start, bytes) => {
    this.#referred.push(memory.subarray(start, start + bytes));
  };
  /** The work request that couldn't be sent, and how it ends. */
  #failed: { readonly request: number; readonly status: Status } | null = null;
  readonly #reads: OutgoingRead[] = [];
  readonly #answers: IncomingRead[] = [];
  /** The next message is an answer, if both kinds wait. */
  #answersTurn = true;
  #readyToReceive = false;
  #terminate: Uint8Array | null = null;

  // Receiving.
  #receiveMessage = 1;
  #receivePosition = 0;
  #readRequestMessage = 1;
  /** The segment at hand, for Terminate: where it is, and its length. */
  #bytes: Buffer = NOTHING;
  #ulpduAt = 0;
  #ulpduBytes = 0;

  /** @param descriptors - of the adapter, for all its streams; one of its own when absent */
  constructor(
    owner: StreamOwner,
    memory: MemoryTable,
    protectionDomain: number,
    settings: StreamSettings,
    descriptors = new DescriptorMemory(),
  ) {
    this.#owner = owner;
    this.#memory = memory;
    this.#protectionDomain = protectionDomain;
    this.#ulpduMax = settings.ulpduMax;
    this.#incomingReadsMax = settings.incomingReadsMax;
    this.#referredBytesMin = settings.referredBytesMin ?? REFERRED_BYTES_MIN;
    this.#sends = new WorkRequests(descriptors, settings.depths.send);
    this.#receives = new WorkRequests(descriptors, settings.depths.receive);
  }

  /** Bytes held for an FPDU that isn't whole yet. */
  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  /** Bytes of memory that the stream has for itself: bounded by its depths and by one FPDU. */
  get memoryBytes(): number {
    return this.#sends.memoryBytes + this.#receives.memoryBytes + this.#reader.memoryBytes;
  }

  /** Whether an output refers to registered memory. */
  get refersToMemory(): boolean {
    return this.#referredFrom() !== Infinity;
  }

  get hasOutput(): boolean {
    return this.#terminate !== null || this.#readyToReceive || this.#next() !== 'nothing';
  }

  /** The start-up has agreed. @param readsMax - reads that the peer takes at once */
  open(crc: boolean, readsMax: number): void {
    this.#crc = crc;
    this.#readsMax = readsMax;
  }

  permitSending(): void {
    this.#maySend = true;
  }

  sendReadyToReceive(): void {
    this.#readyToReceive = true;
  }

  /** Takes the descriptor at `base`. @returns false when the queue is full */
  post(words: Uint32Array, base: number, opcode: number): boolean {
    const queue = opcode === Opcode.receive ? this.#receives : this.#sends;
    if (!queue.push(words, base)) return false;
    if (this.#isDead) this.#flushQueue(queue);
    return true;
  }

  /** Gives the memory of its queues back; nothing is posted or polled afterwards. */
  release(): void {
    this.#isDead = true;
    this.#sends.release();
    this.#receives.release();
  }

  /** A completion of this connection was polled. */
  reported(opcode: number): void {
    if (opcode === Opcode.receive) this.#receives.reported++;
    else this.#sends.reported++;
  }

  /** Completes everything that is posted as flushed; from now on nothing moves. */
  flush(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#answers.length = 0;
    this.#readyToReceive = false;
    this.#flushQueue(this.#sends);
    this.#flushQueue(this.#receives);
    this.#reads.length = 0;
  }

  /**
   * As {@link Stream.flush}, but the oldest read ends with the peer's reason if that was about a read. A send or write
   * that the peer refused has been completed with success: it had left. The reason is told to whatever is flushed, and
   * to all that is posted afterwards.
   */
  flushRefused(message: TerminateMessage): void {
    this.#endStatus = vendorStatusOf(message);
    const read = this.#reads[0];
    if (read !== undefined && message.readRequest.byteLength > 0 && this.#sends.completed === read.request) {
      const status = message.type === 1 ? CompletionStatus.remoteAccess : CompletionStatus.remoteOperation;
      this.#complete(this.#sends, status, 0, this.#endStatus);
    }
    this.flush();
  }

  /** Puts a Terminate in front of whatever was to be sent, about the segment at hand. */
  terminate(code: TerminateCode): void {
    this.#endStatus = vendorStatusOf(code);
    const ulpdu = this.#bytes.subarray(this.#ulpduAt, this.#ulpduAt + this.#ulpduBytes);
    const header = decodeHeader(ulpdu);
    const headers = reasonOf(code)?.headers ?? 'none';
    const headerBytes = header === null || headers === 'none' ? 0 : header.tagged ? TAGGED_BYTES : UNTAGGED_BYTES;
    const isReadRequest =
      headers === 'rdmap' &&
      header?.opcode === RdmapOpcode.readRequest &&
      ulpdu.byteLength >= UNTAGGED_BYTES + READ_REQUEST_BYTES;
    this.#terminate = encodeTerminate({
      ...code,
      ddpHeader: ulpdu.subarray(0, headerBytes),
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
    const room = roomFor(this.#ulpduMax);
    let at = from;
    /** The first byte that isn't in `parts` yet. */
    let partBegin = from;
    let referredBytes = 0;
    while (at + room <= into.byteLength && referredBytes < REFERRED_BYTES_MAX) {
      const request = this.#launched;
      const ulpdu = this.#segment(into, at + 2, parts !== undefined);
      if (ulpdu < 0) break;
      if (this.#referred.length === 0) {
        at += sealFpdu(into, at, ulpdu, this.#crc);
        continue;
      }
      let bytes = 0;
      for (const part of this.#referred) bytes += part.byteLength;
      const { before, after } = sealFpduAround(into, at, ulpdu, this.#referred, bytes, this.#crc);
      parts!.push(into.subarray(partBegin, at + before), ...this.#referred);
      this.#referred.length = 0;
      partBegin = at + before;
      at = partBegin + after;
      referredBytes += bytes;
      if (this.#making === NONE) this.#making = request;
    }
    if (parts !== undefined && at > from) {
      if (at > partBegin) parts.push(sent.of(into, partBegin, at));
      this.#outputs.push(this.#making);
      this.#making = NONE;
    }
    return at - from;
  }

  /** The oldest output that was made of parts is no longer needed: TCP has it, or has ended. */
  outputTaken(): void {
    const oldest = this.#outputs.length === 1 ? this.#outputs.pop() : this.#outputs.shift();
    if (oldest === NONE) return;
    if (this.#isDead) this.#flushQueue(this.#sends);
    else this.#completeSends();
  }

  /** Writes the next segment at `at`. @returns its length, or -1 when there is none */
  #segment(into: Buffer, at: number, mayRefer: boolean): number {
    if (this.#terminate !== null) {
      const content = this.#terminate;
      this.#terminate = null;
      putUntagged(into, at, true, RdmapOpcode.terminate, QueueNumber.terminate, 1, 0);
      into.set(content, at + UNTAGGED_BYTES);
      return UNTAGGED_BYTES + content.byteLength;
    }
    if (this.#isDead) return -1;
    if (this.#readyToReceive) {
      this.#readyToReceive = false;
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
    if (this.#isDead || !this.#maySend) return 'nothing';
    if (this.#position > 0) return 'request';
    const answer = this.#answers[0];
    if (answer !== undefined && answer.done > 0) return 'answer';
    const hasRequest = this.#launched < this.#sends.posted && this.#mayLaunch();
    if (answer === undefined) return hasRequest ? 'request' : 'nothing';
    return hasRequest && !this.#answersTurn ? 'request' : 'answer';
  }

  #mayLaunch(): boolean {
    const reads = this.#reads.length;
    if (reads === 0) return true;
    const isFenced = (this.#sends.field(this.#launched, WorkRequestField.flags) & WORK_REQUEST_FENCE) !== 0;
    if (isFenced) return false;
    return this.#sends.field(this.#launched, WorkRequestField.opcode) !== Opcode.rdmaRead || reads < this.#readsMax;
  }

  #answer(into: Buffer, at: number, mayRefer: boolean): number {
    const answer = this.#answers[0]!;
    const length = Math.min(answer.length - answer.done, this.#ulpduMax - TAGGED_BYTES);
    const last = answer.done + length === answer.length;
    if (length > 0) {
      const offset = offsetOf(answer.sourceOffsetHigh, answer.sourceOffsetLow) + answer.done;
      const access = MemoryAccess.remoteRead;
      const source = this.#memory.remote(this.#protectionDomain, answer.sourceStag, offset, length, access);
      // Taken back while the answer was under way.
      if (typeof source === 'string') {
        this.#owner.faulted(refusalOf.read[source]);
        return this.#segment(into, at, mayRefer);
      }
      copy(source.memory, offset - source.address, length, into, at + TAGGED_BYTES);
    }
    const { sinkStag, sinkOffsetHigh, sinkOffsetLow, done } = answer;
    putTagged(into, at, last, RdmapOpcode.readResponse, sinkStag, sinkOffsetHigh, sinkOffsetLow, done);
    answer.done += length;
    if (last) {
      this.#answers.shift();
      this.#answersTurn = false;
    }
    return TAGGED_BYTES + length;
  }

  #request(into: Buffer, at: number, mayRefer: boolean): number {
    const request = this.#launched;
    const opcode = this.#sends.field(request, WorkRequestField.opcode);
    if (opcode === Opcode.rdmaRead) return this.#readRequest(into, at, mayRefer);
    const isWrite = opcode === Opcode.rdmaWrite;
    const header = isWrite ? TAGGED_BYTES : UNTAGGED_BYTES;
    const total = this.#sends.byteCount(request);
    const length = Math.min(total - this.#position, this.#ulpduMax - header);
    const refers = mayRefer && length >= this.#referredBytesMin;
    const use = refers ? this.#refer : copyOut;
    if (!this.#eachElement(this.#sends, request, this.#position, length, 0, use, into, at + header)) {
      this.#referred.length = 0;
      return this.#failLocally(CompletionStatus.localProtection, into, at, mayRefer);
    }
    const last = this.#position + length === total;
    const key = this.#sends.field(request, WorkRequestField.remoteKey);
    if (isWrite) {
      const high = this.#sends.field(request, WorkRequestField.remoteAddressHigh);
      const low = this.#sends.field(request, WorkRequestField.remoteAddressLow);
      putTagged(into, at, last, RdmapOpcode.rdmaWrite, key, high, low, this.#position);
    } else {
      const flags = this.#sends.field(request, WorkRequestField.flags);
      const invalidates = (flags & WORK_REQUEST_INVALIDATE) === 0 ? 0 : key;
      putUntagged(into, at, last, sendOpcode(flags), QueueNumber.send, this.#sendMessage, this.#position, invalidates);
    }
    this.#position += length;
    if (last) {
      this.#position = 0;
      this.#launched++;
      if (!isWrite) this.#sendMessage = (this.#sendMessage + 1) >>> 0;
      this.#answersTurn = true;
      // Memory that is referred to isn't free yet, which the output will say when it is made.
      if (!refers) this.#completeSends();
    }
    return header + length;
  }

  #readRequest(into: Buffer, at: number, mayRefer: boolean): number {
    const request = this.#launched;
    const length = this.#sends.byteCount(request);
    if (this.#readsMax === 0) return this.#failLocally(CompletionStatus.remoteOperation, into, at, mayRefer);
    if (!this.#eachElement(this.#sends, request, 0, length, MemoryAccess.localWrite, look, into, at)) {
      return this.#failLocally(CompletionStatus.localProtection, into, at, mayRefer);
    }
    const read = { request, stag: this.#memory.newKey(), length, done: 0 };
    putUntagged(into, at, true, RdmapOpcode.readRequest, QueueNumber.readRequest, this.#readMessage, 0);
    encodeReadRequest(
      {
        sinkStag: read.stag,
        sinkOffsetHigh: 0,
        sinkOffsetLow: 0,
        length,
        sourceStag: this.#sends.field(request, WorkRequestField.remoteKey),
        sourceOffsetHigh: this.#sends.field(request, WorkRequestField.remoteAddressHigh),
        sourceOffsetLow: this.#sends.field(request, WorkRequestField.remoteAddressLow),
      },
      into,
      at + UNTAGGED_BYTES,
    );
    this.#reads.push(read);
    this.#readMessage = (this.#readMessage + 1) >>> 0;
    this.#launched++;
    this.#answersTurn = true;
    return UNTAGGED_BYTES + READ_REQUEST_BYTES;
  }

  /** The request that is next can't be sent. It ends after those before it; those that still wait are flushed. */
  #failLocally(status: Status, into: Buffer, at: number, mayRefer: boolean): number {
    this.#endStatus = vendorStatusOf(Terminate.localCatastrophic);
    this.#failed = { request: this.#launched, status };
    this.#forgetUlpdu();
    this.#owner.faulted(Terminate.localCatastrophic);
    return this.#segment(into, at, mayRefer);
  }

  /** Goes through the memory of `length` bytes of a request from `from` on. @returns false when it isn't all there */
  #eachElement(
    queue: WorkRequests,
    request: number,
    from: number,
    length: number,
    access: number,
    use: ElementUse,
    buffer: Uint8Array,
    bufferAt: number,
  ): boolean {
    const base = queue.baseOf(request) + WorkRequestField.elements;
    const { words } = queue;
    const count = words[base - WorkRequestField.elements + WorkRequestField.elementCount]!;
    let skip = from;
    let left = length;
    for (let index = 0; index < count && left > 0; index++) {
      const at = base + 4 * index;
      const size = words[at + 1]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const step = Math.min(size - skip, left);
      const address = words[at + 2]! + words[at + 3]! * 2 ** 32 + skip;
      const { region: likely } = queue;
      const region = this.#memory.local(this.#protectionDomain, words[at]!, address, step, access, likely);
      if (typeof region === 'string') return false;
      if (region !== likely) queue.region = region;
      use(region.memory, address - region.address, step, buffer, bufferAt + length - left);
      left -= step;
      skip = 0;
    }
    return left === 0;
  }

  // ---------------------------------------------------------------- receiving

  /** Takes bytes from TCP, in any portions: those of `chunk` from `from` to `end`. */
  receive(chunk: Buffer, from = 0, end: number = chunk.byteLength): void {
    if (!this.#isDead) this.#reader.take(chunk, this.#takeFpdu, from, end);
  }

  readonly #takeFpdu = (bytes: Buffer, at: number, length: number): boolean => {
    this.#bytes = bytes;
    this.#ulpduAt = at + 2;
    this.#ulpduBytes = bytes.readUInt16BE(at);
    if (this.#crc && !fpduIsIntact(bytes, at, length)) {
      this.#forgetUlpdu();
      this.#owner.faulted(Terminate.crc);
    } else {
      this.#owner.fpduArrived();
      const fault = this.#isDead ? null : this.#place(bytes, this.#ulpduAt, this.#ulpduBytes);
      if (fault !== null) this.#owner.faulted(fault);
    }
    this.#forgetUlpdu();
    return !this.#isDead;
  };

  #forgetUlpdu(): void {
    this.#bytes = NOTHING;
    this.#ulpduBytes = 0;
  }

  #place(bytes: Buffer, at: number, length: number): TerminateCode | null {
    // One of the ways of being ready to receive.
    if (length === 0) return null;
    const header = decodeHeader(bytes, at, length);
    if (header === null) return Terminate.ddpCatastrophic;
    if (header.ddpVersion !== 1) return header.tagged ? Terminate.taggedVersion : Terminate.untaggedVersion;
    if (header.rdmapVersion !== 1) return Terminate.rdmapVersion;
    return header.tagged
      ? this.#placeTagged(header, bytes, at + TAGGED_BYTES, length - TAGGED_BYTES)
      : this.#placeUntagged(header, bytes, at + UNTAGGED_BYTES, length - UNTAGGED_BYTES);
  }

  // A payload is `length` bytes of `bytes` from `at` on.

  #placeTagged(
    header: SegmentHeader & { tagged: true },
    bytes: Buffer,
    at: number,
    length: number,
  ): TerminateCode | null {
    const offset = offsetOf(header.offsetHigh, header.offsetLow);
    if (header.opcode === RdmapOpcode.readResponse) return this.#placeAnswer(header, offset, bytes, at, length);
    if (header.opcode !== RdmapOpcode.rdmaWrite) return Terminate.unexpectedOpcode;
    // A write of nothing needs no permission: it is how a peer says that it is there.
    if (length === 0) return null;
    if (wraps(header.offsetHigh, header.offsetLow, length)) return Terminate.taggedOffsetWrap;
    const access = MemoryAccess.remoteWrite;
    const target = this.#memory.remote(this.#protectionDomain, header.stag, offset, length, access);
    if (typeof target === 'string') return refusalOf.write[target];
    copy(bytes, at, length, target.memory, offset - target.address);
    return null;
  }

  #placeAnswer(
    header: SegmentHeader & { tagged: true },
    offset: number,
    bytes: Buffer,
    at: number,
    length: number,
  ): TerminateCode | null {
    const read = this.#reads[0];
    if (read === undefined || read.stag !== header.stag) return Terminate.taggedInvalidStag;
    const end = read.done + length;
    if (offset !== read.done || end > read.length) return Terminate.taggedBounds;
    if (header.last !== (end === read.length)) return Terminate.unspecified;
    const access = MemoryAccess.localWrite;
    if (!this.#eachElement(this.#sends, read.request, offset, length, access, copyIn, bytes, at)) {
      // What was sent before it has arrived; only its completion waited.
      if (this.#sends.completed === read.request) {
        this.#complete(this.#sends, CompletionStatus.localProtection, 0, vendorStatusOf(Terminate.taggedInvalidStag));
      }
      return Terminate.taggedInvalidStag;
    }
    read.done = end;
    if (header.last) {
      this.#reads.shift();
      this.#completeSends();
    }
    return null;
  }

  #placeUntagged(
    header: SegmentHeader & { tagged: false },
    bytes: Buffer,
    at: number,
    length: number,
  ): TerminateCode | null {
    const { opcode, queue } = header;
    if (queue > QueueNumber.terminate) return Terminate.untaggedQueue;
    switch (opcode) {
      case RdmapOpcode.send:
      case RdmapOpcode.sendSolicited:
      case RdmapOpcode.sendInvalidate:
      case RdmapOpcode.sendSolicitedInvalidate:
        return queue === QueueNumber.send ? this.#placeSend(header, bytes, at, length) : Terminate.unexpectedOpcode;
      case RdmapOpcode.readRequest:
        return queue === QueueNumber.readRequest
          ? this.#takeRead(header, bytes, at, length)
          : Terminate.unexpectedOpcode;
      case RdmapOpcode.terminate: {
        if (queue !== QueueNumber.terminate) return Terminate.unexpectedOpcode;
        const message = decodeTerminate(bytes.subarray(at, at + length));
        if (message === null) return Terminate.unspecified;
        this.#owner.terminated(message);
        return null;
      }
      default:
        return Terminate.unexpectedOpcode;
    }
  }

  #placeSend(
    header: SegmentHeader & { tagged: false },
    bytes: Buffer,
    at: number,
    length: number,
  ): TerminateCode | null {
    const receives = this.#receives;
    if (header.message !== this.#receiveMessage) return Terminate.untaggedMessageNumber;
    if (receives.completed === receives.posted) return Terminate.untaggedNoBuffer;
    if (header.offset !== this.#receivePosition) return Terminate.untaggedOffset;
    const request = receives.completed;
    const end = header.offset + length;
    if (end > receives.byteCount(request)) {
      this.#complete(receives, CompletionStatus.localLength, 0, vendorStatusOf(Terminate.untaggedTooLong));
      return Terminate.untaggedTooLong;
    }
    const access = MemoryAccess.localWrite;
    if (!this.#eachElement(receives, request, header.offset, length, access, copyIn, bytes, at)) {
      this.#complete(receives, CompletionStatus.localProtection, 0, vendorStatusOf(Terminate.streamCatastrophic));
      return Terminate.streamCatastrophic;
    }
    this.#receivePosition = end;
    if (!header.last) return null;
    const invalidated = invalidates(header.opcode) ? header.invalidates : 0;
    // The key is ended before the receive is complete, so that its owner may count on it.
    if (invalidates(header.opcode)) {
      const refusal = this.#memory.invalidate(this.#protectionDomain, invalidated);
      if (refusal !== null) return refusalOf.invalidate[refusal];
    }
    this.#receivePosition = 0;
    this.#receiveMessage = (this.#receiveMessage + 1) >>> 0;
    this.#complete(receives, CompletionStatus.success, end, invalidated);
    return null;
  }

  #takeRead(
    header: SegmentHeader & { tagged: false },
    bytes: Buffer,
    at: number,
    payloadBytes: number,
  ): TerminateCode | null {
    if (header.message !== this.#readRequestMessage) return Terminate.untaggedMessageNumber;
    if (header.offset !== 0) return Terminate.untaggedOffset;
    if (payloadBytes > READ_REQUEST_BYTES) return Terminate.untaggedTooLong;
    if (payloadBytes < READ_REQUEST_BYTES || !header.last) return Terminate.unspecified;
    if (this.#answers.length >= this.#incomingReadsMax) return Terminate.untaggedNoBuffer;
    const read = decodeReadRequest(bytes, at);
    const { length, sinkOffsetHigh, sinkOffsetLow, sourceStag, sourceOffsetHigh, sourceOffsetLow } = read;
    if (wraps(sourceOffsetHigh, sourceOffsetLow, length) || wraps(sinkOffsetHigh, sinkOffsetLow, length)) {
      return Terminate.readOffsetWrap;
    }
    if (length > 0) {
      const offset = offsetOf(sourceOffsetHigh, sourceOffsetLow);
      const access = MemoryAccess.remoteRead;
      const source = this.#memory.remote(this.#protectionDomain, sourceStag, offset, length, access);
      if (typeof source === 'string') return refusalOf.read[source];
    }
    this.#readRequestMessage = (this.#readRequestMessage + 1) >>> 0;
    this.#answers.push({ ...read, done: 0 });
    return null;
  }

  // ---------------------------------------------------------------- completions

  /** Completes, in order, what is sent and doesn't wait for an answer. */
  #completeSends(): void {
    const sends = this.#sends;
    const waitsFrom = Math.min(this.#reads[0]?.request ?? this.#launched, this.#referredFrom());
    while (sends.completed < waitsFrom) {
      const isRead = sends.field(sends.completed, WorkRequestField.opcode) === Opcode.rdmaRead;
      this.#complete(sends, CompletionStatus.success, isRead ? sends.byteCount(sends.completed) : 0, 0);
    }
  }

  #complete(queue: WorkRequests, status: Status, bytes: number, vendorStatus: number): void {
    const request = queue.completed++;
    const context = queue.field(request, WorkRequestField.context);
    const opcode = queue.field(request, WorkRequestField.opcode) as OpcodeValue;
    this.#owner.complete(context, status, bytes, opcode, vendorStatus);
  }

  /** The oldest work request whose memory TCP still refers to, or Infinity. */
  #referredFrom(): number {
    for (const request of this.#outputs) if (request !== NONE) return request;
    return this.#making === NONE ? Infinity : this.#making;
  }

  /** Completes what is left, but nothing whose memory TCP refers to, nor what comes after that. */
  #flushQueue(queue: WorkRequests): void {
    const isSends = queue === this.#sends;
    const end = isSends ? Math.min(queue.posted, this.#referredFrom()) : queue.posted;
    while (queue.completed < end) {
      const failed = isSends && this.#failed?.request === queue.completed ? this.#failed.status : null;
      this.#complete(queue, failed ?? CompletionStatus.flushed, 0, this.#endStatus);
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
