/**
 * Two iWARP connections, real but for their TCP: what passes between them lies in two pipes until a test moves it on.
 *
 * Theory of operation: a party is a connection with its stream, its memory, and an owner that writes down what it is
 * told. A wire carries the bytes of both directions, in portions of any size, and ends as TCP does: after what was
 * written (FIN), or at once with the loss of it (reset). Nothing happens that a test doesn't ask for.
 */

import assert from 'node:assert/strict';

import {
  CompletionStatus,
  type ConnectionEvent,
  MemoryAccess,
  type MemoryRegion,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/adapter/adapter.ts';
import { Connection, type ConnectionSettings, Lifecycles, type Shell } from '../../driver/adapter/iwarp/connection.ts';
import { MemoryTable } from '../../driver/adapter/iwarp/memory.ts';

const OUTPUT_BYTES = 4096;
const OUTPUTS_MAX = 2;
const ALL = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;
const lifecycles = new Lifecycles();

export interface Memory extends MemoryRegion {
  readonly bytes: Uint8Array;
}

/** A connection with its owner. */
export class Party implements Shell {
  readonly connection: Connection;
  readonly memory: MemoryTable;
  readonly domain: number;
  /** What its owner was told, in order: connection events with their private data, if any, as text. */
  readonly events: string[] = [];
  /** Completions in order, of both queues. */
  readonly done: string[] = [];
  timer: 'startup' | 'closing' | 'stalled' | null = null;
  /** TCP that has to be opened, opened ones being the wire's. */
  dials = 0;
  wire: Wire | null = null;
  readonly #side: 0 | 1;
  /** Outputs that TCP has not taken, if they are taken one by one. */
  untaken = 0;
  readonly #slow: boolean;
  #pumping = false;
  #ending = false;

  /**
   * @param side - 0 the initiator, 1 the responder
   * @param slow - outputs refer to memory and stay with TCP until {@link Party.takeOutput}, two at most, as in the adapter
   */
  constructor(side: 0 | 1, settings: Partial<ConnectionSettings> = {}, slow = false) {
    this.#side = side;
    this.#slow = slow;
    this.memory = new MemoryTable(side + 1);
    this.domain = this.memory.allocateDomain();
    const defaults = { revision: 2, crc: true, readDepth: 2, ulpduMax: 256, referredBytesMin: 1 } as const;
    this.connection = new Connection(side, lifecycles, this, this.memory, { ...defaults, ...settings });
  }

  get states(): string {
    return `${this.connection.startupState}/${this.connection.streamState}`;
  }

  register(content: Uint8Array, access: number = ALL): Memory {
    // Of its own: a small Buffer lies somewhere in a larger one, and addresses would tell where.
    const bytes = Uint8Array.from(content);
    const region = this.memory.register(this.domain, bytes, access);
    assert.ok(typeof region !== 'number');
    return { ...region, bytes };
  }

  connect(privateData = ''): void {
    this.connection.createQueues(this.domain, { send: 8, receive: 8 });
    this.connection.connect(Buffer.from(privateData));
  }

  prepare(): void {
    this.connection.createQueues(this.domain, { send: 8, receive: 8 });
    this.connection.prepare();
  }

  post(opcode: number, context: number, memory: Memory | null, remote?: Memory): void {
    const words = new Uint32Array(WORK_REQUEST_WORDS);
    words[WorkRequestField.opcode] = opcode;
    words[WorkRequestField.context] = context;
    words[WorkRequestField.elementCount] = memory === null ? 0 : 1;
    words[WorkRequestField.remoteKey] = remote?.remoteKey ?? 0;
    words[WorkRequestField.remoteAddressLow] = remote?.address ?? 0;
    if (memory !== null) {
      words.set([memory.localKey, memory.bytes.byteLength, memory.address, 0], WorkRequestField.elements);
    }
    assert.ok(this.connection.stream!.post(words, 0, opcode));
    if (opcode !== Opcode.receive) this.pump();
  }

  // Shell.

  openTcp(): void {
    this.dials++;
    this.wire = null;
  }

  write(bytes: Uint8Array): void {
    this.wire?.push(this.#side, Buffer.from(bytes));
  }

  pump(): void {
    const { stream } = this.connection;
    if (this.#pumping || stream === null || this.wire === null) return;
    this.#pumping = true;
    while (stream.hasOutput && this.untaken < OUTPUTS_MAX) {
      const buffer = Buffer.alloc(OUTPUT_BYTES);
      const parts: Uint8Array[] = [];
      const count = stream.produce(buffer, this.#slow ? parts : undefined);
      if (count === 0) break;
      this.wire.push(this.#side, this.#slow ? Buffer.concat(parts) : buffer.subarray(0, count));
      if (this.#slow) this.untaken++;
    }
    if (this.#ending && !stream.hasOutput) this.wire.finish(this.#side);
    this.#pumping = false;
  }

  /** TCP has taken the oldest output, or has ended. */
  takeOutput(): void {
    this.untaken--;
    this.connection.stream!.outputTaken();
    this.pump();
  }

  /** TCP has ended: it holds nothing any more. */
  dropOutputs(): void {
    while (this.untaken > 0) this.takeOutput();
  }

  endTcp(): void {
    this.#ending = true;
    this.pump();
  }

  closeTcp(): void {
    this.wire?.close(this.#side);
  }

  startTimer(phase: 'startup' | 'closing' | 'stalled'): void {
    this.timer = phase;
  }

  stopTimer(): void {
    this.timer = null;
  }

  raise(event: ConnectionEvent): void {
    const data = 'privateData' in event ? Buffer.from(event.privateData).toString('latin1') : '';
    const reason = event.type === 'rejected' ? ` ${event.reason}` : '';
    this.events.push(`${event.type}${reason}${data === '' ? '' : ` ${data}`}`);
  }

  raiseConnectRequest(privateData: Uint8Array): void {
    const data = Buffer.from(privateData).toString('latin1');
    this.events.push(`connectRequest${data === '' ? '' : ` ${data}`}`);
  }

  complete(context: number, status: number, bytes: number, opcode: number): void {
    const name = Object.entries(CompletionStatus).find(([, number]) => number === status)![0];
    const isTransfer = status === CompletionStatus.success && opcode === Opcode.receive;
    this.done.push(`${context} ${name}${isTransfer ? ` ${bytes}` : ''}`);
  }

  forget(): void {
    this.events.push('forgotten');
  }

  /** The time of a wait is over. */
  expire(): void {
    this.timer = null;
    this.connection.timeExpired();
    this.wire?.reset(this.#side);
  }
}

/** A TCP connection: two pipes. */
export class Wire {
  readonly #parties: readonly [Party, Party];
  /** Bytes on their way from each side. */
  readonly #pipes: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
  /** No more will come from this side. */
  readonly #finished: [boolean, boolean] = [false, false];
  /** The end has been told to the other side. */
  readonly #ended: [boolean, boolean] = [false, false];
  /** This side has no socket any more. */
  readonly #closed: [boolean, boolean] = [false, false];
  /** All bytes that left each side. */
  readonly sent: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];

  constructor(initiator: Party, responder: Party) {
    this.#parties = [initiator, responder];
    initiator.wire = this;
    responder.wire = this;
    if (responder.states === 'idle/unopened') responder.connection.tcpAccepted();
    initiator.connection.tcpConnected();
  }

  push(side: 0 | 1, bytes: Buffer): void {
    if (this.#finished[side] || this.#closed[side]) return;
    this.#pipes[side] = Buffer.concat([this.#pipes[side], bytes]);
    this.sent[side] = Buffer.concat([this.sent[side], bytes]);
  }

  /** Ends this side's half after what was written. */
  finish(side: 0 | 1): void {
    this.#finished[side] = true;
  }

  /** Ends both halves after what was written: nothing is taken any more, and its owner hears of it when all has left. */
  close(side: 0 | 1): void {
    if (this.#closed[side]) return;
    this.#finished[side] = true;
    this.#closed[side] = true;
  }

  /** Bytes on their way from `side`. */
  waiting(side: 0 | 1): number {
    return this.#pipes[side].byteLength;
  }

  /** Whether there is something to move on from `side`: bytes, the end, or the news to a closed side. */
  canDeliver(side: 0 | 1): boolean {
    const to = (1 - side) as 0 | 1;
    return !this.#closed[to] && (this.waiting(side) > 0 || (this.#finished[side] && !this.#ended[side]));
  }

  /** Moves up to `count` bytes on from `side`, or its end. */
  deliver(side: 0 | 1, count: number): void {
    const to = this.#parties[1 - side]!;
    const pipe = this.#pipes[side];
    if (pipe.byteLength > 0) {
      const chunk = Buffer.from(pipe.subarray(0, count));
      this.#pipes[side] = pipe.subarray(count);
      to.connection.bytesArrived(chunk);
      chunk.fill(0xee);
    } else if (this.#finished[side] && !this.#ended[side]) {
      this.#ended[side] = true;
      to.connection.peerEnded();
    }
  }

  /** A side that has closed, or whose both halves have ended, hears of it. */
  canSettle(side: 0 | 1): boolean {
    const isOver = this.#closed[side] || (this.#finished[side] && this.#ended[1 - side] === true);
    return (
      this.#parties[side]!.wire === this && isOver && (this.waiting(side) === 0 || this.#closed[1 - side] === true)
    );
  }

  settle(side: 0 | 1): void {
    this.#closed[side] = true;
    this.#parties[side]!.wire = null;
    this.#parties[side]!.connection.tcpLost();
    this.#parties[side]!.dropOutputs();
  }

  /** Ends at once, with the loss of what is on its way; told to both that have a socket. */
  reset(side: 0 | 1): void {
    for (const each of [side, 1 - side] as const) {
      const party = this.#parties[each]!;
      if (party.wire !== this) continue;
      party.wire = null;
      party.connection.tcpLost();
      party.dropOutputs();
    }
    this.#closed.fill(true);
    this.#pipes.fill(Buffer.alloc(0));
  }
}

/** Moves everything on until nothing moves, and connects again where that is asked for. */
export function settle(initiator: Party, responder: () => Party, chunk = 1 << 20): void {
  for (let turn = 0; ; turn++) {
    assert.ok(turn < 100_000, 'it goes on for ever');
    if (initiator.wire === null && initiator.connection.startupState === 'connecting') {
      // A responder takes one connection.
      if (responder().states !== 'idle/unopened') return;
      new Wire(initiator, responder());
      continue;
    }
    const wire = initiator.wire ?? responder().wire;
    if (wire === null) return;
    const side = ([0, 1] as const).find((from) => wire.canDeliver(from));
    if (side !== undefined) {
      wire.deliver(side, chunk);
      continue;
    }
    const over = ([0, 1] as const).find((each) => wire.canSettle(each));
    if (over === undefined) return;
    wire.settle(over);
  }
}
