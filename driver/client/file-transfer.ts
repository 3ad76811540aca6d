/**
 * A file over an endpoint: header, data, SHA-256, and the taker's verdict.
 *
 * Theory of operation: a chunk up to the endpoint's threshold goes in a message, a larger one as large data; a few
 * chunks are on their way at once. The order of messages is the order of the file, and RDMA completes in the order of
 * its start, so chunks are written and hashed as they come. The end that does the RDMA has its chunks in registered
 * memory that is used again and again; the other registers each for the peer, and for that chunk only. The giver is done
 * when the taker has told it that the digests are equal.
 *
 * Layout of a message: kind u8, then
 * - header: size u64, name in UTF-8
 * - data: bytes of the file
 * - digest (the giver's) and verdict (the taker's): SHA-256 of all data
 */

import { createHash } from 'node:crypto';

import { sameBytes } from '../handshake.ts';
import { type Endpoint, EndpointError, type Incoming, type Transfer } from './endpoint.ts';
import { Kind, throwIfRefused, withKind } from './file-service.ts';
import type { PooledBuffer, RegisteredPool } from './registered-pool.ts';

/** Chunks on their way at once; memory at either end is so many chunks. */
const WINDOWS = 4;
/** Largest chunk that is taken, so that a peer can't ask for any amount of memory. */
export const CHUNK_BYTES_MAX = 64 * 1024 * 1024;
const NAME_BYTES_MAX = 200;

/** Where the giver's bytes come from. */
export interface FileSource {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Fills `target` with the bytes that follow; throws when there aren't so many. */
  read(target: Uint8Array): void;
}

/** Where a chunk that is given lies; `pooled` when it is registered already. */
interface Window {
  readonly memory: Uint8Array;
  readonly pooled: PooledBuffer | null;
  transfer: Transfer | null;
}

/** Gives a file to the peer. */
export class FileSender {
  readonly #endpoint: Endpoint;
  readonly #source: FileSource;
  readonly #chunkBytes: number;
  readonly #hash = createHash('sha256');
  readonly #windows: Window[] = [];
  #pool: RegisteredPool | null = null;
  #stage: 'header' | 'data' | 'digest' | 'verdict' = 'header';
  #offset = 0;
  #digest: Uint8Array | null = null;
  #isEqual: boolean | null = null;

  /** @param chunkBytes - 1 to {@link CHUNK_BYTES_MAX} */
  constructor(endpoint: Endpoint, source: FileSource, chunkBytes: number) {
    if (!(chunkBytes >= 1 && chunkBytes <= CHUNK_BYTES_MAX)) throw new RangeError(`chunk of ${chunkBytes} bytes`);
    this.#endpoint = endpoint;
    this.#source = source;
    this.#chunkBytes = chunkBytes;
  }

  /** The taker's verdict: whether its digest is ours; null before it. */
  get isEqual(): boolean | null {
    return this.#isEqual;
  }
  /** Bytes of the file that were handed to the endpoint. */
  get sent(): number {
    return this.#offset;
  }
  /** SHA-256 of what was sent, 32 bytes; null before all was. */
  get digest(): Uint8Array | null {
    return this.#digest;
  }

  /**
   * One turn.
   *
   * @returns how much was done
   * @throws {@link EndpointError} when the connection is lost or the peer breaks the protocol; a Refusal when the
   *   taker refuses the file; else as the source
   */
  step(): number {
    let done = this.#endpoint.step();
    for (let next = this.#endpoint.take(); next !== null; next = this.#endpoint.take()) {
      this.#isEqual = this.#verdict(next);
      this.#freeWindows();
      done++;
    }
    while (this.#endpoint.canSend && this.#advance()) done += this.#endpoint.step() + 1;
    return done;
  }

  /** @returns false when it has to wait */
  #advance(): boolean {
    switch (this.#stage) {
      case 'header':
        this.#endpoint.send(headerMessage(this.#source));
        this.#stage = 'data';
        return true;
      case 'data':
        if (this.#offset < this.#source.size) return this.#sendChunk();
        this.#stage = 'digest';
        return true;
      case 'digest':
        this.#digest = new Uint8Array(this.#hash.digest());
        this.#endpoint.send(withKind(Kind.digest, this.#digest));
        this.#stage = 'verdict';
        return true;
      case 'verdict':
        return false;
    }
  }

  #sendChunk(): boolean {
    const length = Math.min(this.#chunkBytes, this.#source.size - this.#offset);
    const { thresholdBytes } = this.#endpoint;
    if (length <= thresholdBytes) {
      // One byte says that it is data.
      const message = withKind(Kind.data, new Uint8Array(Math.min(length, thresholdBytes - 1)));
      this.#fill(message.subarray(1));
      this.#endpoint.send(message);
      return true;
    }
    const window = this.#endpoint.canSendLarge ? this.#freeWindow() : null;
    if (window === null) return false;
    const large = window.memory.subarray(0, length);
    this.#fill(large);
    window.transfer = this.#endpoint.sendLarge(large, window.pooled?.handle);
    return true;
  }

  #fill(target: Uint8Array): void {
    this.#source.read(target);
    this.#hash.update(target);
    this.#offset += target.length;
  }

  #freeWindow(): Window | null {
    const free = this.#windows.find(({ transfer }) => transfer === null || transfer.done);
    if (free !== undefined) return free;
    if (this.#windows.length === WINDOWS) return null;
    const bytes = Math.min(this.#chunkBytes, this.#source.size);
    if (!this.#endpoint.takerReads) this.#pool ??= this.#endpoint.pool(bytes, WINDOWS);
    const pooled = this.#pool?.take() ?? null;
    const window = { memory: pooled?.memory ?? new Uint8Array(bytes), pooled, transfer: null };
    this.#windows.push(window);
    return window;
  }

  /** All chunks are with the taker. */
  #freeWindows(): void {
    for (const { pooled } of this.#windows.splice(0)) if (pooled !== null) this.#pool!.give(pooled);
    this.#pool?.close();
    this.#pool = null;
  }

  #verdict(next: Incoming): boolean {
    throwIfRefused(next);
    const digest = next.type === 'data' && next.payload[0] === Kind.verdict ? next.payload.subarray(1) : null;
    if (digest === null || this.#digest === null)
      throw new EndpointError('the taker said something else than its verdict');
    // Each chunk was acknowledged before it.
    if (this.#windows.some(({ transfer }) => transfer?.done === false)) {
      throw new EndpointError('the taker gave its verdict before it had all of the file');
    }
    return sameBytes(digest, this.#digest);
  }
}

/** Where the taker's bytes go. */
export interface FileSink {
  /** Told first. */
  begin(name: string, size: number): void;
  /** Takes the bytes that follow; `bytes` is the transfer's memory. */
  write(bytes: Uint8Array): void;
  /** Told last, before the giver is: whether all that came is what the giver sent. */
  end(isEqual: boolean): void;
}

/** Takes a file from the peer. */
export class FileReceiver {
  readonly #endpoint: Endpoint;
  readonly #sink: FileSink;
  readonly #hash = createHash('sha256');
  /** Large chunks in the order of the file. */
  readonly #chunks: { readonly transfer: Transfer; readonly pooled: PooledBuffer | null }[] = [];
  /** Memory that chunks have left, when it isn't registered here. */
  readonly #free: Uint8Array[] = [];
  #pool: RegisteredPool | null = null;
  #waiting: Incoming | null = null;
  #size: number | null = null;
  #received = 0;
  #digest: Uint8Array | null = null;
  #isEqual: boolean | null = null;

  constructor(endpoint: Endpoint, sink: FileSink) {
    this.#endpoint = endpoint;
    this.#sink = sink;
  }

  /** Bytes of the file that are here. */
  get received(): number {
    return this.#received;
  }
  /** Whether our digest is the giver's; null before the end. */
  get isEqual(): boolean | null {
    return this.#isEqual;
  }
  /** SHA-256 of what was received, 32 bytes; null before the end. */
  get digest(): Uint8Array | null {
    return this.#digest;
  }
  /** Whether the giver knows all that there is to say. */
  get isDone(): boolean {
    return this.#isEqual !== null && this.#endpoint.isIdle;
  }

  /**
   * One turn.
   *
   * @returns how much was done
   * @throws {@link EndpointError} when the connection is lost or the peer breaks the protocol; a Refusal when the
   *   giver gives up; else as the sink
   */
  step(): number {
    let done = this.#endpoint.step();
    done += this.#writeChunks();
    for (;;) {
      this.#waiting ??= this.#endpoint.take();
      if (this.#waiting === null || !this.#handle(this.#waiting)) break;
      this.#waiting = null;
      done++;
    }
    return done;
  }

  /** @returns false when it has to wait */
  #handle(next: Incoming): boolean {
    if (next.type === 'large') {
      // Only the file's data is ever that large.
      if (this.#size === null || next.length > Math.min(CHUNK_BYTES_MAX, this.#size)) {
        throw new EndpointError(`the giver sends a chunk of ${next.length} bytes, which does not belong here`);
      }
      if (this.#chunks.length === WINDOWS) return false;
      return this.#endpoint.takerReads ? this.#readChunk(next) : this.#haveChunkWritten(next);
    }
    // What follows large chunks in the file waits for them.
    if (this.#chunks.length > 0) return false;
    throwIfRefused(next);
    const body = next.payload.subarray(1);
    switch (next.payload[0]) {
      case Kind.header: {
        if (this.#size !== null || body.length < 8) throw new EndpointError('the giver sent a bad header');
        this.#size = Number(new DataView(body.buffer, body.byteOffset).getBigUint64(0, true));
        this.#sink.begin(new TextDecoder().decode(body.subarray(8)), this.#size);
        return true;
      }
      case Kind.data:
        this.#write(body);
        return true;
      case Kind.digest:
        this.#end(body);
        return true;
      default:
        throw new EndpointError('the giver sent what is no part of a file');
    }
  }

  /** @returns false when it has to wait */
  #readChunk(next: Extract<Incoming, { type: 'large' }>): boolean {
    if (this.#pool !== null && this.#pool.bufferBytes < next.length) {
      // A giver's first chunk is its largest; another's may not be.
      if (this.#chunks.length > 0) return false;
      this.#closePool();
    }
    this.#pool ??= this.#endpoint.pool(next.length, WINDOWS);
    const pooled = this.#pool.take();
    if (pooled === null) return false;
    const memory = pooled.memory.subarray(0, next.length);
    this.#chunks.push({ transfer: this.#endpoint.receiveLarge(next, memory, pooled.handle), pooled });
    return true;
  }

  #haveChunkWritten(next: Extract<Incoming, { type: 'large' }>): boolean {
    const memory = this.#free.pop();
    const fits = memory !== undefined && memory.length >= next.length ? memory : new Uint8Array(next.length);
    const transfer = this.#endpoint.receiveLarge(next, fits.subarray(0, next.length));
    this.#chunks.push({ transfer, pooled: null });
    return true;
  }

  #writeChunks(): number {
    let written = 0;
    for (let chunk = this.#chunks[0]; chunk?.transfer.done === true; chunk = this.#chunks[0]) {
      const { transfer, pooled } = chunk;
      this.#chunks.shift();
      this.#write(transfer.memory);
      if (pooled !== null) this.#pool!.give(pooled);
      else this.#free.push(new Uint8Array(transfer.memory.buffer));
      written++;
    }
    return written;
  }

  #closePool(): void {
    this.#pool?.close();
    this.#pool = null;
  }

  #write(bytes: Uint8Array): void {
    if (this.#size === null || this.#isEqual !== null || this.#received + bytes.length > this.#size) {
      throw new EndpointError('the giver sent more than the file that it announced');
    }
    this.#hash.update(bytes);
    this.#sink.write(bytes);
    this.#received += bytes.length;
  }

  #end(theirs: Uint8Array): void {
    if (this.#size === null || this.#received !== this.#size || this.#isEqual !== null) {
      throw new EndpointError(`the giver ended the file after ${this.#received} of ${this.#size ?? 'unknown'} bytes`);
    }
    this.#digest = new Uint8Array(this.#hash.digest());
    this.#isEqual = sameBytes(this.#digest, theirs);
    // No chunk is on its way: the digest waited for them.
    this.#closePool();
    this.#sink.end(this.#isEqual);
    this.#endpoint.send(withKind(Kind.verdict, this.#digest));
  }
}

function headerMessage({ name, size }: FileSource): Uint8Array {
  const text = new TextEncoder().encode(name).subarray(0, NAME_BYTES_MAX);
  const body = new Uint8Array(8 + text.length);
  new DataView(body.buffer).setBigUint64(0, BigInt(size), true);
  body.set(text, 8);
  return withKind(Kind.header, body);
}
