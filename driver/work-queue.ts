/**
 * Work queue: turns requests into work request descriptors and posts them in batches.
 *
 * Theory of operation: descriptors are written straight into the adapter's ring. Inside an initiating call they are
 * posted at once, since the call's answer depends on it; while completions are being handled they gather until the end
 * of the round. All of one request's are posted together. What the adapter refuses is reported as an event: to the
 * initiating call as no room, later as a fault.
 */

import { WSA } from '../machines/index.ts';
import {
  type Adapter,
  Opcode,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_WORDS,
  WorkRequestField as F,
} from './adapter/adapter.ts';
import type { Context } from './context.ts';
import { MAILBOX_BYTES } from './handshake.ts';
import { ELEMENT_WORDS, type SocketRecord } from './tables.ts';

/** Contexts of the provider's own work requests; a request's is its row. */
export const MAILBOX_CONTEXT = 0xffff_ffff;
export const FIRST_MESSAGE_CONTEXT = 0xffff_fffe;

/** Elements of one work request of kind `opcode`; a longer list is split. */
export function elementsPerPiece({ capabilities }: Adapter, opcode: number): number {
  const { elementsMax, readElementsMax = elementsMax } = capabilities;
  return opcode === Opcode.rdmaRead ? readElementsMax : elementsMax;
}

const isRdma = (opcode: number): boolean => opcode === Opcode.rdmaWrite || opcode === Opcode.rdmaRead;

export class WorkQueue {
  readonly #context: Context;
  #count = 0;
  /** Posting waits for {@link WorkQueue.flush}. */
  gathering = false;
  readonly #postRefused: number;
  readonly #failed: number;
  readonly #fault: number;

  constructor(context: Context) {
    this.#context = context;
    const { dispatcher } = context;
    this.#postRefused = dispatcher.event('overlappedRequest', 'adapter.postRefused');
    this.#failed = dispatcher.event('overlappedRequest', 'adapter.failed');
    this.#fault = dispatcher.event('socket', 'adapter.fault');
  }

  /** Posts the last `pieces` work requests of request `row`; those before were carried out on an earlier connection. */
  post(row: number, fence: number, pieces: number): void {
    const { adapter, requests, sockets } = this.#context;
    // Before anything is read: what is refused now may end requests, and take the connector away.
    if (this.#count + pieces > adapter.postBatchMax) this.flush();
    const { connector } = sockets[requests.socket(row)]!;
    if (connector < 0) return;
    if (requests.elementCount(row) === 1) {
      const opcode = requests.opcode(row);
      const at = this.#begin(opcode, connector, row, fence, 1);
      if (isRdma(opcode)) this.#remote(at, requests.remoteKey(row), requests.remoteAddress(row));
      requests.copyElement(row, 0, adapter.workRequests, at + F.elements);
    } else {
      this.#postPieces(row, connector, fence, pieces);
    }
    if (!this.gathering) this.flush();
  }

  #postPieces(row: number, connector: number, fence: number, pieces: number): void {
    const { adapter, requests } = this.#context;
    const opcode = requests.opcode(row);
    const elements = requests.elementCount(row);
    const perPiece = elementsPerPiece(adapter, opcode);
    const rdma = isRdma(opcode);
    let remote = rdma ? requests.remoteAddress(row) : 0;
    const begin = (this.#pieces(row) - pieces) * perPiece;
    for (let index = 0; index < begin; index++) remote += requests.elementLength(row, index);
    for (let first = begin; first < elements; first += perPiece) {
      const count = Math.min(perPiece, elements - first);
      const at = this.#begin(opcode, connector, row, fence, count);
      if (rdma) this.#remote(at, requests.remoteKey(row), remote);
      for (let index = 0; index < count; index++) {
        requests.copyElement(row, first + index, adapter.workRequests, at + F.elements + ELEMENT_WORDS * index);
        remote += requests.elementLength(row, first + index);
      }
    }
  }

  /** Posts the private first receive of `record`. @returns whether the adapter took it */
  postFirstReceive(record: SocketRecord): boolean {
    const { bytes, region } = record.privateMemory!.first!;
    this.flush();
    const at = this.#begin(Opcode.receive, record.connector, FIRST_MESSAGE_CONTEXT, 0, 1);
    this.#element(at, region.localKey, region.address, bytes.length);
    this.#count = 0;
    return this.#context.adapter.post(1) === 1;
  }

  /** Writes "this end moves" into the peer's mailbox. @returns whether the adapter took it; not where the peer has none */
  postMailbox(record: SocketRecord): boolean {
    const { peer } = record;
    if (peer === null) return false;
    const region = record.privateMemory!.mailboxOutRegion!;
    this.flush();
    const at = this.#begin(Opcode.rdmaWrite, record.connector, MAILBOX_CONTEXT, 0, 1);
    this.#remote(at, peer.mailboxKey, peer.mailboxAddress);
    this.#element(at, region.localKey, region.address, MAILBOX_BYTES);
    this.#count = 0;
    return this.#context.adapter.post(1) === 1;
  }

  /** Posts what has gathered, and reports what the adapter refused. */
  flush(): void {
    while (this.#count > 0) {
      const count = this.#count;
      this.#count = 0;
      const taken = this.#context.adapter.post(count);
      if (taken < count) this.#reportRefused(taken, count);
    }
  }

  /** Drops what has gathered for a connector that is about to be destroyed. */
  forget(connector: number): void {
    if (this.#count > 0) this.#takeOut(connector, 0, this.#count);
  }

  /** Leaves in the ring, from its start, what is for other connectors. @returns the request of each of `connector`'s */
  #takeOut(connector: number, from: number, to: number): number[] {
    const ring = this.#context.adapter.workRequests;
    const rows: number[] = [];
    this.#count = 0;
    for (let at = from * WORK_REQUEST_WORDS; at < to * WORK_REQUEST_WORDS; at += WORK_REQUEST_WORDS) {
      if (ring[at + F.connector] === connector) rows.push(ring[at + F.context]!);
      else ring.copyWithin(this.#count++ * WORK_REQUEST_WORDS, at, at + WORK_REQUEST_WORDS);
    }
    return rows;
  }

  #reportRefused(taken: number, count: number): void {
    const { adapter, dispatcher, requests, initiating, byConnector } = this.#context;
    // The rest of this connection's would overtake what was refused. Other connections' are posted with the next batch.
    const connector = adapter.workRequests[taken * WORK_REQUEST_WORDS + F.connector]!;
    const rows = this.#takeOut(connector, taken, count);
    if (rows.every((row) => row === initiating) && rows.length === this.#pieces(initiating)) {
      dispatcher.apply(this.#postRefused, initiating);
      return;
    }
    const record = byConnector.get(connector);
    for (const row of rows) {
      // An earlier one's fault may have ended it.
      if (record === undefined || requests.overlapped[row] === null) continue;
      dispatcher.apply(this.#failed, row, WSA.WSAECONNABORTED);
      if (byConnector.get(connector) === record) dispatcher.apply(this.#fault, record.row);
    }
  }

  #pieces(row: number): number {
    const { adapter, requests } = this.#context;
    return Math.ceil(requests.elementCount(row) / elementsPerPiece(adapter, requests.opcode(row)));
  }

  #begin(opcode: number, connector: number, context: number, fence: number, elements: number): number {
    const at = this.#count++ * WORK_REQUEST_WORDS;
    const ring = this.#context.adapter.workRequests;
    ring[at + F.opcode] = opcode;
    ring[at + F.connector] = connector;
    ring[at + F.context] = context;
    ring[at + F.flags] = fence === 1 ? WORK_REQUEST_FENCE : 0;
    ring[at + F.elementCount] = elements;
    return at;
  }

  #remote(at: number, key: number, address: number): void {
    const ring = this.#context.adapter.workRequests;
    ring[at + F.remoteKey] = key;
    ring[at + F.remoteAddressLow] = address >>> 0;
    ring[at + F.remoteAddressHigh] = Math.floor(address / 0x1_0000_0000);
  }

  #element(at: number, key: number, address: number, length: number): void {
    const ring = this.#context.adapter.workRequests;
    ring[at + F.elements] = key;
    ring[at + F.elements + 1] = length;
    ring[at + F.elements + 2] = address >>> 0;
    ring[at + F.elements + 3] = Math.floor(address / 0x1_0000_0000);
  }
}
