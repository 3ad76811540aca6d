/**
 * Transfers: what the four data functions have in common, from the caller's buffers to one event.
 *
 * Source: specification, 5 (data functions).
 */

import { MEM_READ, MEM_WRITE, SOCKET_ERROR, WSA, WSS_OPERATION_IN_PROGRESS } from '../machines/index.ts';
import { Opcode } from './adapter/adapter.ts';
import { type Calls, finish, isObject, isUint32 } from './calls.ts';
import { limits } from './limits.ts';
import { decodeDescriptor } from './remote-descriptor.ts';
import { type Out, type Socket, type WsaBuf, type WsaBufEx, WsaOverlapped } from './spi.ts';
import type { SocketRecord } from './tables.ts';
import { elementsPerPiece } from './work-queue.ts';

/** Where at the peer an RDMA request goes, as the caller states it. */
export interface RdmaTarget {
  readonly descriptor: Uint8Array | null;
  /** Of the descriptor, in bytes. */
  readonly length: number;
  /** In bytes from the start of the peer's buffer. */
  readonly offset: number;
}

/** Starts the overlapped requests of a provider's sockets. */
export class Transfers {
  readonly #calls: Calls;
  /** Rows of the registrations that the call at hand needs. */
  readonly #pinned = new Int32Array(limits.rdmaElementsMax);
  #pinnedCount = 0;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /**
   * Starts one request, or says why not.
   *
   * @param opcode - an {@link Opcode}
   * @param flagsError - what flags other than 0 are answered with
   * @param target - null for send and receive
   * @returns SOCKET_ERROR with WSA_IO_PENDING once started, or with the error that kept it from starting
   */
  start(
    opcode: number,
    s: Socket,
    lpBuffers: readonly WsaBuf[] | null,
    count: number,
    flags: number,
    flagsError: number,
    lpOverlapped: WsaOverlapped | null,
    target: RdmaTarget | null,
    lpErrno: Out<number>,
  ): number {
    const record = this.#calls.enter(s, lpErrno);
    if (record === null) return SOCKET_ERROR;
    if (!(lpOverlapped instanceof WsaOverlapped)) {
      return finish(lpErrno, lpOverlapped === null || lpOverlapped === undefined ? WSA.WSAEINVAL : WSA.WSAEFAULT);
    }
    if (!Array.isArray(lpBuffers)) return finish(lpErrno, WSA.WSAEFAULT);
    const { context, dispatcher, event } = this.#calls;
    const { adapter, requests, work } = context;
    const { capabilities } = adapter;
    // An RDMA request may be split into several work requests, a message not: it would be several messages.
    const countMax = target === null ? Math.min(limits.elementsMax, capabilities.elementsMax) : limits.rdmaElementsMax;
    if (!Number.isInteger(count) || count < 1 || count > countMax) return finish(lpErrno, WSA.WSAEINVAL);
    if (count > lpBuffers.length) return finish(lpErrno, WSA.WSAEFAULT);
    let total = 0;
    for (let index = 0; index < count; index++) {
      const buffer: WsaBuf | undefined = lpBuffers[index];
      if (
        !isObject(buffer) ||
        !(buffer.buf instanceof Uint8Array) ||
        !isUint32(buffer.len) ||
        buffer.len > buffer.buf.length
      ) {
        return finish(lpErrno, WSA.WSAEFAULT);
      }
      total += buffer.len;
    }
    if (flags !== 0) return finish(lpErrno, flagsError);
    if (total === 0) return finish(lpErrno, WSA.WSAEINVAL);
    // One structure, one request: this one has a request that is pending.
    if (lpOverlapped.word(0) === WSS_OPERATION_IN_PROGRESS && lpOverlapped.word(1) === 0) {
      return finish(lpErrno, WSA.WSAEINVAL);
    }
    if (
      total >
      Math.min(target === null ? capabilities.messageSizeMax : capabilities.rdmaSizeMax, limits.transferBytesMax)
    ) {
      // A receive may be larger than any message.
      if (opcode !== Opcode.receive) return finish(lpErrno, WSA.WSAEMSGSIZE);
      if (total > 0xffff_ffff) return finish(lpErrno, WSA.WSAEINVAL);
    }
    const remote = target === null ? null : decodeDescriptor(target.descriptor, target.length);
    if (target !== null && (remote === null || !isUint32(target.offset))) return finish(lpErrno, WSA.WSAEINVAL);

    const row = requests.allocate(record.row, opcode, total, count);
    let refusal = this.#gather(record, row, opcode, lpBuffers, count, lpOverlapped, target !== null);
    if (remote !== null) {
      // What the descriptor rules out is refused here: at the peer's adapter it would break the connection.
      const access = opcode === Opcode.rdmaRead ? MEM_READ : MEM_WRITE;
      if (refusal === 0 && (target!.offset + total > remote.length || (remote.access & access) === 0)) {
        refusal = WSA.WSAEFAULT;
      }
      requests.setRemote(row, remote.key, remote.address + target!.offset);
    }
    requests.overlapped[row] = lpOverlapped;
    const pins = refusal === 0 ? this.#pinnedCount : 0;
    const { initiating, initiatingBuffers } = context;
    const { gathering } = work;
    const pieces = count === 1 ? 1 : Math.ceil(count / elementsPerPiece(adapter, opcode));
    try {
      for (let index = 0; index < pins; index++) dispatcher.apply(event.pinned, this.#pinned[index]!, row);
      context.initiating = row;
      context.initiatingBuffers = count === lpBuffers.length ? lpBuffers : lpBuffers.slice(0, count);
      work.gathering = false;
      const polled = lpOverlapped.word(6) & 1;
      const answer = dispatcher.call(event.transfer[opcode]!, record.row, row, polled, 0, pieces, refusal);
      context.initiating = initiating;
      context.initiatingBuffers = initiatingBuffers;
      work.gathering = gathering;
      if (answer !== WSA.WSA_IO_PENDING && requests.overlapped[row] === lpOverlapped) {
        // Refused before it was started: nothing else will free the row.
        if (pins > 0) dispatcher.apply(event.refused, row);
        requests.free(row);
      }
      return finish(lpErrno, answer);
    } catch (error) {
      throw this.#calls.recorded(error);
    }
  }

  /** Finds the registrations of a request's buffers and writes its elements. @returns 0, WSAEFAULT or WSAEINVAL */
  #gather(
    record: SocketRecord,
    row: number,
    opcode: number,
    lpBuffers: readonly WsaBuf[],
    count: number,
    overlapped: WsaOverlapped,
    byHandle: boolean,
  ): number {
    const { requests, handles, registrations } = this.#calls.context;
    this.#pinnedCount = 0;
    const access = opcode === Opcode.receive || opcode === Opcode.rdmaRead ? MEM_WRITE : MEM_READ;
    for (let index = 0; index < count; index++) {
      const { buf, len } = lpBuffers[index]!;
      const store = overlapped.storeOf(buf!);
      const offset = buf!.byteOffset;
      let found: number;
      if (byHandle) {
        const named = handles.get((lpBuffers[index] as WsaBufEx).handle);
        if (named === undefined || named.socket !== record || named.kind !== 'local') return WSA.WSAEINVAL;
        found = named.row;
        if (!registrations.covers(found, store, offset, len, access)) return WSA.WSAEFAULT;
      } else {
        found = registrations.find(record, store, offset, len, access);
        if (found < 0) return WSA.WSAEFAULT;
      }
      let known = 0;
      while (known < this.#pinnedCount && this.#pinned[known] !== found) known++;
      if (known === this.#pinnedCount) this.#pinned[this.#pinnedCount++] = found;
      requests.setElement(row, index, registrations.localKey(found), len, registrations.address(found, offset));
    }
    return 0;
  }
}
