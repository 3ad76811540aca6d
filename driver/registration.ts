/**
 * Registrations: memory that the adapter may reach, by address, by handle, or by a descriptor for the peer.
 *
 * Source: specification, 6 (memory functions) and 8 (registration and protection).
 */

import { MEM_READ, MEM_READWRITE, MEM_WRITE, WSA } from '../machines/index.ts';
import { type Calls, finish, isUint32 } from './calls.ts';
import type { Out } from './spi.ts';
import type { BufferRecord, SocketRecord } from './tables.ts';

/** The registrations of a provider's sockets. */
export class Registrations {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Registers memory, or counts one more registration of it. @returns null, with the error, when it can't be */
  register(
    record: SocketRecord,
    kind: BufferRecord['kind'],
    lpBuffer: Uint8Array | null,
    length: number,
    access: number,
    lpErrno: Out<number>,
  ): BufferRecord | null {
    if (!(lpBuffer instanceof Uint8Array) || !isUint32(length) || length === 0 || length > lpBuffer.length) {
      finish(lpErrno, WSA.WSAEFAULT);
      return null;
    }
    if (access !== MEM_READ && access !== MEM_WRITE && access !== MEM_READWRITE) {
      finish(lpErrno, WSA.WSAEINVAL);
      return null;
    }
    const { context, dispatcher, event } = this.#calls;
    const { buffers, bufferRows, handles, registrations } = context;
    let buffer = registrations
      .rows(record)
      .map((row) => buffers[row]!)
      .find(
        ({ memory, access: given, kind: as }) =>
          as === kind &&
          given === access &&
          memory.buffer === lpBuffer.buffer &&
          memory.byteOffset === lpBuffer.byteOffset &&
          memory.length === length,
      );
    if (buffer === undefined) {
      const row = bufferRows.allocate();
      buffer = {
        row,
        socket: record,
        kind,
        memory: length === lpBuffer.length ? lpBuffer : lpBuffer.subarray(0, length),
        access,
        handle: handles.next(row),
        region: null,
      };
      buffers[row] = buffer;
    }
    const { row } = buffer;
    const answer = dispatcher.call(event.registerMemory, record.row, row);
    finish(lpErrno, answer);
    if (answer === 0) {
      handles.set(buffer.handle, buffer);
      return buffer;
    }
    // The state refused it: no machine knows the row.
    if (buffer.region === null && buffers[row] === buffer) {
      buffers[row] = undefined;
      bufferRows.free(row);
    }
    return null;
  }

  /** Takes one registration back. @returns 0, or the error: WSAEINVAL when `buffer` is none of this socket and kind */
  deregister(record: SocketRecord, kind: BufferRecord['kind'], buffer: BufferRecord | undefined): number {
    const known = buffer !== undefined && buffer.socket === record && buffer.kind === kind;
    const answer = this.#calls.dispatcher.call(
      this.#calls.event.deregisterMemory,
      record.row,
      known ? buffer.row : 0,
      known ? 1 : 0,
    );
    return answer;
  }
}
