/**
 * What a message takes of the provider alone, of one of few connections and of one of many: echoes over an adapter that
 * completes at once. The difference is what it takes to fetch a connection into the processor's cache.
 */

import {
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/adapter/adapter.ts';
import { ImmediateAdapter } from '../../driver/adapter/immediate.ts';
import { type Socket, SystemClock, type WsaBuf, WsaOverlapped, type WspUpcallTable } from '../../driver/index.ts';
import { MEM_READ, MEM_WRITE, WSA } from '../../machines/index.ts';
import { Host } from '../support/two-hosts.ts';
import { connectImmediately } from './connection.ts';
import { type Figure, nanosecondsOfBoth } from './measure.ts';

const BYTES = 1024;
/** Receives that a connection has posted. */
const RECEIVES = 2;
/** Messages that arrive together. */
const BATCH = 32;
const FEW = BATCH;
const MANY = 1024;

/** Meets a receive when it is told to; sends complete at once. */
class EchoAdapter extends ImmediateAdapter {
  /** Posted receives by connector: how many, and their contexts, oldest first. */
  readonly #receives = new Uint32Array(MANY * (1 + RECEIVES));
  /** Connector, context and opcode of what is done. */
  readonly #done = new Uint32Array(4 * BATCH * 3);
  #doneEnd = 0;

  override post(count: number): number {
    const words = this.workRequests;
    for (let at = 0; at < count * WORK_REQUEST_WORDS; at += WORK_REQUEST_WORDS) {
      const connector = words[at + WorkRequestField.connector]!;
      const context = words[at + WorkRequestField.context]!;
      if (words[at + WorkRequestField.opcode] === Opcode.receive) {
        const of = connector * (1 + RECEIVES);
        this.#receives[of + ++this.#receives[of]!] = context;
      } else {
        this.#complete(connector, context, Opcode.send);
      }
    }
    return count;
  }

  /** A message arrives. */
  arrive(connector: number): void {
    const of = connector * (1 + RECEIVES);
    this.#complete(connector, this.#receives[of + 1]!, Opcode.receive);
    this.#receives[of]!--;
    for (let at = 1; at < RECEIVES; at++) this.#receives[of + at] = this.#receives[of + at + 1]!;
  }

  #complete(connector: number, context: number, opcode: number): void {
    this.#done[this.#doneEnd++] = connector;
    this.#done[this.#doneEnd++] = context;
    this.#done[this.#doneEnd++] = opcode;
  }

  override poll(): number {
    const { completions } = this;
    let at = 0;
    for (let from = 0; from < this.#doneEnd; from += 3, at += COMPLETION_WORDS) {
      completions[at + CompletionField.connector] = this.#done[from]!;
      completions[at + CompletionField.context] = this.#done[from + 1]!;
      completions[at + CompletionField.opcode] = this.#done[from + 2]!;
      completions[at + CompletionField.status] = CompletionStatus.success;
      completions[at + CompletionField.bytes] = BYTES;
    }
    this.#doneEnd = 0;
    return at / COMPLETION_WORDS;
  }
}

class Request extends WsaOverlapped {
  readonly memory: Uint8Array;
  readonly socket: Socket;
  /** What a message that was received is answered with; null in an answer. */
  readonly answer: Request | null;

  constructor(memory: Uint8Array, socket: Socket, answer: Request | null) {
    super();
    // An event object's handle: completions come by up-call.
    this.hEvent = 0x20n;
    this.memory = memory;
    this.socket = socket;
    this.answer = answer;
  }
}

/** A host that answers each message on `connections` connections. */
class EchoHost extends Host<EchoAdapter> {
  readonly #connections: number;
  readonly #buffers: [WsaBuf] = [{ len: BYTES, buf: null }];
  #next = 0;

  constructor(connections: number) {
    super('local', '10.0.0.1', new EchoAdapter(['10.0.0.1']), new SystemClock(), { journal: { mode: 'ring' } });
    this.#connections = connections;
    this.startup();
    for (let index = 0; index < connections; index++) {
      const socket = connectImmediately(this, 4000 + index);
      const memory = new Uint8Array(RECEIVES * BYTES);
      const message = new Uint8Array(BYTES);
      this.register(socket, memory, MEM_WRITE);
      this.register(socket, message, MEM_READ);
      const answer = new Request(message, socket, null);
      for (let at = 0; at < memory.length; at += BYTES) {
        this.#start('WSPRecv', new Request(memory.subarray(at, at + BYTES), socket, answer));
      }
    }
  }

  override upcallTable(): WspUpcallTable {
    return {
      ...super.upcallTable(),
      WPUCompleteOverlappedRequest: (_handle, overlapped, failure) => {
        const request = overlapped as Request;
        request.setWord(0, 0);
        if (failure !== 0) throw new Error(`a request ended with ${failure}`);
        if (request.answer === null) return 0;
        this.#start('WSPSend', request.answer);
        this.#start('WSPRecv', request);
        return 0;
      },
    };
  }

  #start(call: 'WSPSend' | 'WSPRecv', request: Request): void {
    const { provider, errno } = this;
    const buffers = this.#buffers;
    buffers[0].buf = request.memory;
    if (call === 'WSPSend') provider.WSPSend(request.socket, buffers, 1, null, 0, request, null, null, errno);
    else provider.WSPRecv(request.socket, buffers, 1, null, null, request, null, null, errno);
    if (errno.value !== WSA.WSA_IO_PENDING) throw new Error(`${call} failed with ${errno.value}`);
  }

  /** {@link MANY} messages, a batch at a time, of one connection after the other. */
  echo(): void {
    for (let count = 0; count < MANY; count += BATCH) {
      for (let index = 0; index < BATCH; index++) {
        this.adapter.arrive(this.#next);
        this.#next = (this.#next + 1) % this.#connections;
      }
      while (this.provider.poll() > 0);
    }
  }
}

export async function echoFigures(): Promise<Figure[]> {
  const [many, few] = [new EchoHost(MANY), new EchoHost(FEW)];
  const [value, peerValue] = await nanosecondsOfBoth(
    () => many.echo(),
    () => few.echo(),
    MANY,
  );
  return [
    {
      what: `an echo on one of ${MANY} connections, in the provider alone`,
      value,
      unit: 'ns',
      peer: `on one of ${FEW}`,
      peerValue,
      bound: 2,
    },
  ];
}
