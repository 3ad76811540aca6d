/**
 * One iWARP connection without its TCP: start-up frames, the stream, and the machines that decide.
 *
 * Theory of operation: the shell says what came (bytes, TCP's events, the timer) and the owner what it wants; each is an
 * event of machines/iwarp.ts, stepped on compiled tables. The effects come back here and end at the {@link Shell}.
 * As long as the start-up machine isn't `operating`, events of TCP and time are its own; from then on the stream's.
 */

import { compileIwarpMachines, EFFECT_STRIDE, InvariantError, MachineRows } from '../../../machines/index.ts';
import type { ConnectionEvent, QueueDepths } from '../adapter.ts';
import type { MemoryTable } from './memory.ts';
import { type Completions, Stream, type StreamOwner } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { Terminate, type TerminateCode, type TerminateMessage } from './terminate.ts';
import { DEPTH_UNSPECIFIED, type EnhancedData, encodeStartup, type StartupFrame, StartupReader } from './wire.ts';

/** What a connection asks of whoever has its TCP connection. */
export interface Shell extends Completions {
  openTcp(): void;
  /** A start-up frame; goes out before anything of the stream. */
  write(bytes: Uint8Array): void;
  /**
   * From now on all that comes is the stream's: whoever wants to gives it to {@link Stream.receive}, and then pumps, instead
   * of to {@link Connection.bytesArrived}.
   */
  streamOpened?(stream: Stream): void;
  /** There is something to {@link Stream.produce}. */
  pump(): void;
  /** End this half after all output. */
  endTcp(): void;
  /** End both halves, after what was written. */
  closeTcp(): void;
  startTimer(phase: 'startup' | 'closing' | 'stalled'): void;
  stopTimer(): void;
  raise(event: Exclude<ConnectionEvent, { type: 'connectRequest' | 'deviceRemoved' }>): void;
  raiseConnectRequest(privateData: Uint8Array): void;
  /** Nobody was told of this connection. */
  forget(): void;
}

export interface ConnectionSettings {
  /** Highest revision that is spoken, and the one that is asked for. */
  readonly revision: 1 | 2;
  /** Whether this end asks for checksums; they are used when either end does. */
  readonly crc: boolean;
  /** Reads at once, in each direction. */
  readonly readDepth: number;
  readonly ulpduMax: number;
  /** As for a stream. */
  readonly referredBytesMin?: number;
}

const NO_DATA = new Uint8Array(0);

/** Carries an effect out, with its arguments. */
interface Performer {
  perform(effect: string, a: number, b: number, c: number): void;
}

/** What the connections of one adapter share: the rows of both machines, and the table of their streams. */
export class Lifecycles {
  readonly streams = new StreamTable();
  readonly startup: MachineRows;
  readonly stream: MachineRows;
  readonly #sink: { buffer: Float64Array; top: number };
  readonly #effects: readonly string[];
  readonly #free: number[] = [];

  constructor() {
    const { startup, stream } = compileIwarpMachines();
    const effectsMax = Math.max(startup.effectsMax, stream.effectsMax);
    this.#sink = { buffer: new Float64Array(effectsMax * EFFECT_STRIDE), top: 0 };
    this.startup = new MachineRows(startup, 0, this.#sink);
    this.stream = new MachineRows(stream, startup.effects.length, this.#sink);
    this.#effects = [...startup.effects, ...stream.effects].map(({ name }) => name);
  }

  allocate(): number {
    const row = this.#free.pop() ?? this.startup.used;
    for (const rows of [this.startup, this.stream]) {
      rows.ensure(row);
      rows.create(row);
    }
    return row;
  }

  release(row: number): void {
    this.#free.push(row);
  }

  /** Steps `row`, then carries the effects out. @throws {@link InvariantError} when the machine doesn't expect the event */
  apply(rows: MachineRows, row: number, event: string, performer: Performer, p: readonly number[] = []): void {
    const id = rows.machine.events.findIndex(({ name }) => name === event);
    const state = rows.stateName(row);
    if (rows.step(row, id, p[0] ?? 0, p[1] ?? 0, p[2] ?? 0, p[3] ?? 0, p[4] ?? 0) === 0) {
      throw new InvariantError(rows.machine.name, row, event, state, 0);
    }
    // Carrying one out can step again.
    const effects = this.#sink.buffer.slice(0, this.#sink.top);
    this.#sink.top = 0;
    for (let at = 0; at < effects.length; at += EFFECT_STRIDE) {
      performer.perform(this.#effects[effects[at]!]!, effects[at + 2]!, effects[at + 3]!, effects[at + 4]!);
    }
  }
}

export class Connection implements StreamOwner, Performer {
  // What a message needs, side by side.
  readonly #lifecycles: Lifecycles;
  readonly #row: number;
  readonly #shell: Shell;
  #stream: Stream | null = null;

  readonly id: number;
  readonly #settings: ConnectionSettings;
  readonly #memory: MemoryTable;
  #reader: StartupReader | null = null;
  /** The peer's request or reply. */
  #peer: StartupFrame | null = null;
  /** To send with the next start-up frame. */
  #privateData = NO_DATA;
  #termination: TerminateMessage | null = null;

  constructor(id: number, lifecycles: Lifecycles, shell: Shell, memory: MemoryTable, settings: ConnectionSettings) {
    this.id = id;
    this.#lifecycles = lifecycles;
    this.#row = lifecycles.allocate();
    this.#shell = shell;
    this.#memory = memory;
    this.#settings = settings;
  }

  get startupState(): string {
    return this.#lifecycles.startup.stateName(this.#row);
  }
  get streamState(): string {
    return this.#lifecycles.stream.stateName(this.#row);
  }
  get stream(): Stream | null {
    return this.#stream;
  }

  /** Gives the connection its queues. */
  createQueues(protectionDomain: number, depths: QueueDepths): void {
    const settings = { ...this.#settings, depths, incomingReadsMax: this.#settings.readDepth };
    this.#stream = new Stream(this, this.#shell, this.#memory, protectionDomain, settings, this.#lifecycles.streams);
  }

  /** The row is free for another connection; nothing may be asked afterwards. */
  release(): void {
    this.#stream?.release();
    this.#lifecycles.release(this.#row);
  }

  // What the stream tells.

  fpduArrived(): void {
    if (this.streamState === 'listening') this.#streamEvent('peer.fpdu');
  }

  faulted({ layer, type, code }: TerminateCode): void {
    this.#streamEvent('stream.fault', [layer, type, code]);
  }

  terminated(message: TerminateMessage): void {
    this.#termination = message;
    this.#streamEvent('peer.terminate');
  }

  // What the owner wants.

  connect(privateData: Uint8Array): void {
    this.#privateData = new Uint8Array(privateData);
    const { revision, crc } = this.#settings;
    this.#startupEvent('connector.connect', [revision, crc ? 1 : 0]);
  }

  prepare(): void {
    this.#startupEvent('connector.prepare');
  }

  accept(privateData: Uint8Array): void {
    this.#privateData = new Uint8Array(privateData);
    this.#startupEvent('connector.accept');
  }

  reject(privateData: Uint8Array): void {
    this.#privateData = new Uint8Array(privateData);
    this.#startupEvent('connector.reject');
  }

  disconnect(): void {
    if (this.startupState !== 'operating') this.#startupEvent('connector.disconnect');
    if (this.startupState === 'operating') this.#streamEvent('connector.disconnect');
  }

  // What came.

  tcpAccepted(): void {
    this.#reader = new StartupReader('request');
    this.#startupEvent('tcp.accepted', [this.#settings.crc ? 1 : 0]);
  }

  tcpConnected(): void {
    this.#startupEvent('tcp.connected');
  }

  tcpRefused(): void {
    this.#startupEvent('tcp.refused');
  }

  tcpLost(): void {
    if (this.startupState === 'operating') this.#streamEvent('tcp.lost');
    else this.#startupEvent(this.#isDeclined ? 'peer.declined' : 'tcp.lost');
  }

  peerEnded(): void {
    if (this.startupState === 'operating') this.#streamEvent('peer.end');
    else this.#startupEvent(this.#isDeclined ? 'peer.declined' : 'tcp.lost');
  }

  /** TCP takes no more of the stream's output, or takes it again. */
  outputMoved(isBlocked: boolean): void {
    if (this.startupState === 'operating') this.#streamEvent(isBlocked ? 'output.blocked' : 'output.moved');
  }

  get #isDeclined(): boolean {
    return this.startupState === 'awaitingReply' && this.#reader!.isEmpty;
  }

  timeExpired(): void {
    if (this.startupState === 'operating') this.#streamEvent('clock.expired');
    else this.#startupEvent('clock.expired');
  }

  /** @param chunk - not kept @param end - of what arrived in it */
  bytesArrived(chunk: Buffer, end: number = chunk.byteLength): void {
    let at = 0;
    while (at < end) {
      switch (this.startupState) {
        case 'awaitingRequest':
        case 'awaitingReply': {
          const { frame, taken } = this.#reader!.take(chunk, at, end);
          at += taken;
          if (frame === null) return;
          if (frame === 'malformed') return this.#startupEvent('peer.malformed');
          this.#frameArrived(frame);
          break;
        }
        case 'undecided':
        case 'prepared':
          return this.#startupEvent('peer.malformed');
        case 'accepted':
        case 'operating':
          this.#stream?.receive(chunk, at, end);
          // Answers may have to go out.
          this.#shell.pump();
          return;
        default:
          return;
      }
    }
  }

  #frameArrived(frame: StartupFrame): void {
    this.#peer = frame;
    this.#reader = null;
    const { revision } = frame;
    const [markers, crc, rejected] = [frame.markers, frame.crc, frame.rejected].map(Number) as [number, number, number];
    if (frame.kind === 'request') {
      this.#startupEvent('peer.request', [revision, this.#settings.revision, markers, crc]);
      return;
    }
    this.#startupEvent('peer.reply', [revision, markers, crc, rejected, this.#objection(frame)]);
  }

  /** What is wrong with the enhanced data of a reply: MPA's error code, or 0. */
  #objection({ revision, enhanced }: StartupFrame): number {
    if (revision < 2) return 0;
    if (enhanced === null) return Terminate.invalidStartup.code;
    const { peerToPeer, byWrite, outgoingReads } = enhanced;
    if (outgoingReads !== DEPTH_UNSPECIFIED && outgoingReads > this.#settings.readDepth) {
      return Terminate.insufficientReads.code;
    }
    // A peer that wants another sign of readiness than the one that was offered.
    return peerToPeer && !byWrite ? Terminate.noMatchingReadyToReceive.code : 0;
  }

  #startupEvent(event: string, parameters?: readonly number[]): void {
    this.#lifecycles.apply(this.#lifecycles.startup, this.#row, event, this, parameters);
  }

  #streamEvent(event: string, parameters?: readonly number[]): void {
    this.#lifecycles.apply(this.#lifecycles.stream, this.#row, event, this, parameters);
  }

  /** Carries out what the machines want: for them alone. */
  perform(effect: string, a: number, b: number, c: number): void {
    const shell = this.#shell;
    switch (effect) {
      case 'openTcp':
        return shell.openTcp();
      case 'closeTcp':
        return shell.closeTcp();
      case 'endTcp':
        return shell.endTcp();
      case 'startTimer':
        return shell.startTimer(this.startupState === 'operating' ? 'closing' : 'startup');
      case 'startStallTimer':
        return shell.startTimer('stalled');
      case 'stopTimer':
        return shell.stopTimer();
      case 'terminateReply':
        this.#stream!.open(b === 1, 0);
        this.#stream!.terminate({ layer: 2, type: 0, code: a });
        return shell.pump();
      case 'sendRequest':
        this.#reader = new StartupReader('reply');
        return shell.write(this.#frame('request', a, false, this.#privateData));
      case 'sendReply':
        return shell.write(this.#frame('reply', this.#peer!.revision, a === 1, this.#privateData));
      case 'sendRefusal':
        return shell.write(this.#frame('reply', this.#peer!.revision, true, NO_DATA));
      case 'raiseConnectRequest':
        return shell.raiseConnectRequest(this.#peer!.privateData);
      case 'raiseWithdrawn':
        return shell.raise({ type: 'withdrawn', connector: this.id });
      case 'raiseEstablished': {
        const privateData = this.#peer?.kind === 'reply' ? this.#peer.privateData : NO_DATA;
        return shell.raise({ type: 'established', connector: this.id, privateData });
      }
      case 'raiseRejected': {
        const privateData = this.#peer?.privateData ?? NO_DATA;
        return shell.raise({ type: 'rejected', connector: this.id, reason: a, privateData });
      }
      case 'raiseConnectFailed':
        return shell.raise({ type: 'connectFailed', connector: this.id });
      case 'raiseDisconnected':
        return shell.raise({ type: 'disconnected', connector: this.id });
      case 'openStream':
        this.#stream!.open(b === 1, Math.min(this.#settings.readDepth, this.#peer?.enhanced?.incomingReads ?? 0x3fff));
        shell.streamOpened?.(this.#stream!);
        return this.#streamEvent('startup.opened', [a]);
      case 'abandonStream':
        return this.#streamEvent('startup.abandoned');
      case 'forget':
        return shell.forget();
      case 'sendReadyToReceive':
        return this.#stream!.sendReadyToReceive();
      case 'permitSending':
        this.#stream!.permitSending();
        return shell.pump();
      case 'began':
        return this.#startupEvent('stream.began');
      case 'flush':
        return this.#stream?.flush();
      case 'flushRefused':
        return this.#stream!.flushRefused(this.#termination!);
      case 'sendTerminate':
        this.#stream!.terminate({ layer: a, type: b, code: c });
        return shell.pump();
      case 'ignored':
        return;
      default:
        throw new Error(`iwarp connection ${this.id}: effect '${effect}', which nobody carries out`);
    }
  }

  #frame(kind: StartupFrame['kind'], revision: number, rejected: boolean, privateData: Uint8Array): Uint8Array {
    const { crc } = this.#settings;
    return encodeStartup({
      kind,
      revision,
      markers: false,
      crc,
      rejected,
      enhanced: kind === 'request' ? this.#offer(revision) : this.#answer(),
      privateData,
    });
  }

  #offer(revision: number): EnhancedData | null {
    if (revision < 2) return null;
    const { readDepth } = this.#settings;
    return {
      peerToPeer: true,
      byEmptyFpdu: false,
      byWrite: true,
      byRead: false,
      incomingReads: readDepth,
      outgoingReads: readDepth,
    };
  }

  /** Any first FPDU will do, so the simplest of those that are offered is chosen. */
  #answer(): EnhancedData | null {
    const asked = this.#peer?.enhanced ?? null;
    if (asked === null) return null;
    const { readDepth } = this.#settings;
    const canRead = readDepth > 0;
    return {
      peerToPeer: asked.peerToPeer,
      byWrite: asked.byWrite,
      byRead: asked.byRead && !asked.byWrite && canRead,
      byEmptyFpdu: asked.byEmptyFpdu && !asked.byWrite && !(asked.byRead && canRead),
      incomingReads: Math.min(readDepth, asked.outgoingReads),
      outgoingReads: Math.min(readDepth, asked.incomingReads),
    };
  }
}
