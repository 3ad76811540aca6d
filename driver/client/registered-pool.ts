/**
 * Registered pool: buffers of one size on one socket, registered once and used again and again.
 *
 * Theory of operation: to register memory takes a system call, pins pages, and takes one of the device's regions; to use
 * what is registered takes nothing. So what is given back stays registered and is the next to be taken. Memory comes in
 * slabs of some buffers, a registration each, made when they are first needed and never beyond the pool's bound.
 *
 * What is registered for the peer isn't pooled: its key is the peer's permission, and ends with the transfer.
 *
 * Source: specification, 7.4: the switch keeps registered memory of its own.
 */

import type { Handle, Socket } from '../spi.ts';
import { type Host, SpiError } from './host.ts';

export interface RegisteredPoolOptions {
  /** MEM_READ: the provider reads the memory; MEM_WRITE: it writes it. */
  readonly access: number;
  /** Size of each buffer in bytes, 1 or more. */
  readonly bufferBytes: number;
  /** Most buffers that are out at once, 1 or more: the pool never holds more memory than so many. */
  readonly buffersMax: number;
  /** Buffers that are registered together. Default 1. */
  readonly slabBuffers?: number;
}

/** A buffer that was taken: the taker's until it is given back. */
export interface PooledBuffer {
  /** As long as the pool's buffers are. */
  readonly memory: Uint8Array;
  /** Of the registration that covers it. */
  readonly handle: Handle;
}

export class RegisteredPool {
  readonly bufferBytes: number;
  readonly #host: Host;
  readonly #socket: Socket;
  readonly #options: Required<RegisteredPoolOptions>;
  readonly #handles: Handle[] = [];
  readonly #free: PooledBuffer[] = [];
  readonly #taken = new Set<PooledBuffer>();

  /** @param socket - connected; its end, too, takes the registrations back */
  constructor(host: Host, socket: Socket, options: RegisteredPoolOptions) {
    const { bufferBytes, buffersMax, slabBuffers = 1 } = options;
    for (const [name, value] of Object.entries({ bufferBytes, buffersMax, slabBuffers })) {
      if (!(Number.isSafeInteger(value) && value >= 1)) throw new RangeError(`${name} ${value}: not 1 or more`);
    }
    this.bufferBytes = bufferBytes;
    this.#host = host;
    this.#socket = socket;
    this.#options = { slabBuffers, ...options };
  }

  /** Buffers that are out. */
  get takenCount(): number {
    return this.#taken.size;
  }

  /** Bytes that are registered, taken or not. */
  get registeredBytes(): number {
    return (this.#free.length + this.#taken.size) * this.bufferBytes;
  }

  /**
   * Takes a buffer; what it holds is what its last user left.
   *
   * @returns null when as many are out as may be
   * @throws {@link SpiError} when memory can't be registered; what was taken stays as it is
   */
  take(): PooledBuffer | null {
    if (this.#free.length === 0) this.#grow();
    const buffer = this.#free.pop();
    if (buffer === undefined) return null;
    this.#taken.add(buffer);
    return buffer;
  }

  /** Gives a buffer back that no request uses any more. @throws Error when it isn't out */
  give(buffer: PooledBuffer): void {
    if (!this.#taken.delete(buffer)) throw new Error('the buffer was not taken from this pool, or was given back');
    this.#free.push(buffer);
  }

  /** Takes all registrations back; nothing can be taken afterwards. @throws Error when a buffer is out; {@link SpiError} */
  close(): void {
    if (this.#taken.size > 0) throw new Error(`${this.#taken.size} buffers were not given back`);
    const { provider, errno } = this.#host;
    this.#free.length = 0;
    for (const handle of this.#handles.splice(0)) {
      provider.WSPDeregisterMemory(this.#socket, handle, errno);
      if (errno.value !== 0) throw new SpiError('WSPDeregisterMemory', errno.value);
    }
  }

  /** Registers the next slab, if the bound leaves room for one. */
  #grow(): void {
    const { access, buffersMax, slabBuffers } = this.#options;
    const count = Math.min(slabBuffers, buffersMax - this.#taken.size);
    if (count === 0) return;
    const { provider, errno } = this.#host;
    const memory = new Uint8Array(count * this.bufferBytes);
    const handle = provider.WSPRegisterMemory(this.#socket, memory, memory.length, access, errno);
    if (handle === 0n) throw new SpiError('WSPRegisterMemory', errno.value);
    this.#handles.push(handle);
    for (let index = count - 1; index >= 0; index--) {
      const from = index * this.bufferBytes;
      this.#free.push({ memory: memory.subarray(from, from + this.bufferBytes), handle });
    }
  }
}
