/**
 * Completion poller: drains the adapter and the clock into events, a bounded batch in a turn.
 *
 * Theory of operation: completions come before connection events, so that what arrived before a connection was lost is
 * delivered before its loss is noticed (16.3). A flush says that the connection is lost but not why, so flushes wait for
 * the turn's connection events. One that nobody has explained by then is itself the notice: of flush, disconnect event
 * and timer, the first moves the socket on.
 */

import { RejectReason, WSA } from '../machines/index.ts';
import {
  COMPLETION_WORDS,
  CompletionField as C,
  CompletionStatus,
  type ConnectionEvent,
  Opcode,
} from './adapter/adapter.ts';
import type { Context } from './context.ts';
import { announcesMove, decodeHandshake, decodeReject, encodeReject, sameBytes } from './handshake.ts';
import { limits } from './limits.ts';
import { completionError, rejectionError } from './status.ts';
import type { SocketRecord } from './tables.ts';
import { FIRST_MESSAGE_CONTEXT, MAILBOX_CONTEXT } from './work-queue.ts';

export class CompletionPoller {
  readonly #context: Context;
  readonly #event: Readonly<Record<string, number>>;
  /** A turn is running; a call from inside an up-call or an effect must not begin another. */
  #polling = false;
  /** Of no use but that what was read has one. */
  #fetched = 0;

  constructor(context: Context) {
    this.#context = context;
    const { dispatcher } = context;
    this.#event = {
      completed: dispatcher.event('overlappedRequest', 'adapter.completed'),
      failed: dispatcher.event('overlappedRequest', 'adapter.failed'),
      flushed: dispatcher.event('overlappedRequest', 'adapter.flushed'),
      notify: dispatcher.event('overlappedRequest', 'dispatcher.notify'),
      returned: dispatcher.event('overlappedRequest', 'upcall.returned'),
      firstArrived: dispatcher.event('firstMessage', 'adapter.firstArrived'),
      firstFlushed: dispatcher.event('firstMessage', 'adapter.firstFlushed'),
      fault: dispatcher.event('socket', 'adapter.fault'),
      flushNoticed: dispatcher.event('socket', 'adapter.flushNoticed'),
      mailboxWritten: dispatcher.event('socket', 'adapter.mailboxWritten'),
      mailboxFailed: dispatcher.event('socket', 'adapter.mailboxFailed'),
      established: dispatcher.event('socket', 'adapter.established'),
      connectEnded: dispatcher.event('socket', 'adapter.connectEnded'),
      disconnected: dispatcher.event('socket', 'adapter.disconnected'),
      reattachRequested: dispatcher.event('socket', 'adapter.reattachRequested'),
      connectRequest: dispatcher.event('socket', 'adapter.connectRequest'),
      expired: dispatcher.event('socket', 'clock.expired'),
      withdrawn: dispatcher.event('connectionRequest', 'adapter.withdrawn'),
      removed: dispatcher.event('socket', 'adapter.removed'),
      allRemoved: dispatcher.event('provider', 'adapter.removed'),
    };
  }

  /** One turn: completions, connection events, timers. Makes no up-call of completion. @returns facts handled */
  poll(): number {
    const { work } = this.#context;
    const { dispatcher, open } = this.#context;
    // While the last clean-up makes its up-calls, the adapter may still hold what no machine knows any more.
    if (!open || this.#polling || dispatcher.refusal === WSA.WSANOTINITIALISED) return 0;
    this.#polling = true;
    const gathering = work.gathering;
    work.gathering = true;
    try {
      const handled = this.#completions() + this.#connectionEvents();
      this.#flushes();
      return handled + this.#timers();
    } finally {
      work.gathering = gathering;
      if (this.#context.open) work.flush();
      this.#polling = false;
    }
  }

  /** Makes the completion up-call of `request`. @returns false when its socket is in one already */
  notify(request: number): boolean {
    const { dispatcher, requests } = this.#context;
    const record = this.#context.socket(requests.socket(request));
    if (record.notifying) return false;
    record.notifying = true;
    dispatcher.apply(this.#event['notify']!, request);
    const failed = this.#context.notified;
    record.notifying = false;
    dispatcher.apply(this.#event['returned']!, request, failed);
    return true;
  }

  #completions(): number {
    const { adapter } = this.#context;
    let handled = 0;
    for (let round = 0; round < limits.pollRounds; round++) {
      const count = adapter.poll();
      if (count === 0) break;
      const { completions } = adapter;
      if (count > 1) this.#fetch(count);
      for (let index = 0; index < count; index++) {
        const at = index * COMPLETION_WORDS;
        this.#completion(
          completions[at + C.connector]!,
          completions[at + C.context]!,
          completions[at + C.status]!,
          completions[at + C.bytes]!,
          completions[at + C.opcode]!,
        );
      }
      handled += count;
      if (!this.#context.open) break;
      this.#context.work.flush();
      // To ask once more would be one call of the adapter more in every turn.
      if (count < adapter.pollBatchMax) break;
    }
    return handled;
  }

  /**
   * Reads a little of what the `count` completions at hand are about, before any is handled. What isn't in the processor's
   * cache is waited for together so: none of these reads needs another's outcome, where handling is one long chain of such.
   */
  #fetch(count: number): void {
    const { adapter, requests, sockets } = this.#context;
    const { completions } = adapter;
    let sum = 0;
    for (let index = 0; index < count; index++) {
      const work = completions[index * COMPLETION_WORDS + C.context]!;
      if (work >= FIRST_MESSAGE_CONTEXT) continue;
      // Late ones' are gone.
      sum += requests.overlapped[work]?.fetch() ?? 0;
      sum += sockets[requests.socket(work)]?.connector ?? 0;
    }
    this.#fetched = (this.#fetched + sum) | 0;
  }

  #completion(connector: number, work: number, status: number, bytes: number, opcode: number): void {
    const { byConnector, dispatcher, requests, sockets } = this.#context;
    // The request's socket has the connector, but for completions that are late and those that are no request's.
    let record = work < FIRST_MESSAGE_CONTEXT ? sockets[requests.socket(work)] : undefined;
    if (record === undefined || record.connector !== connector) record = byConnector.get(connector);
    // Destroyed in the meantime: with the connector went what it held.
    if (record === undefined) return;
    if (status === CompletionStatus.success) {
      if (work < FIRST_MESSAGE_CONTEXT) {
        const moved = opcode === Opcode.receive ? bytes : requests.total(work);
        dispatcher.apply(this.#event['completed']!, work, moved);
      } else if (work === MAILBOX_CONTEXT) {
        dispatcher.apply(this.#event['mailboxWritten']!, record.row);
      } else {
        record.privateMemory!.first!.length = bytes;
        dispatcher.apply(this.#event['firstArrived']!, record.row);
      }
      return;
    }
    if (status === CompletionStatus.flushed) {
      this.#context.flushed.push({ record, connector, work });
      return;
    }
    if (work < FIRST_MESSAGE_CONTEXT) {
      dispatcher.apply(this.#event['failed']!, work, completionError(status, opcode));
    } else if (work === MAILBOX_CONTEXT) {
      dispatcher.apply(this.#event['mailboxFailed']!, record.row);
    }
    if (byConnector.get(connector) !== record) return;
    dispatcher.apply(this.#event['fault']!, record.row);
    if (work === FIRST_MESSAGE_CONTEXT && byConnector.get(connector) === record) {
      dispatcher.apply(this.#event['firstFlushed']!, record.row);
    }
  }

  /** Handles the turn's flushed work requests. */
  #flushes(): void {
    const { byConnector, dispatcher } = this.#context;
    // Handling one can take others out.
    while (this.#context.flushed.length > 0) {
      const { record, connector, work } = this.#context.flushed.shift()!;
      dispatcher.apply(this.#event['flushNoticed']!, record.row, this.#moves(record));
      // Noticing it can have ended the connector, and with it the request's claim on it.
      if (byConnector.get(connector) !== record) continue;
      if (work < FIRST_MESSAGE_CONTEXT) dispatcher.apply(this.#event['flushed']!, work);
      else if (work === FIRST_MESSAGE_CONTEXT) dispatcher.apply(this.#event['firstFlushed']!, record.row);
    }
  }

  /** 1 when the peer has announced that its end moves to another process. */
  #moves(record: SocketRecord): number {
    const { connectionId, privateMemory } = record;
    return connectionId !== null && privateMemory !== null && announcesMove(privateMemory.mailbox, connectionId)
      ? 1
      : 0;
  }

  #connectionEvents(): number {
    const { adapter } = this.#context;
    let handled = 0;
    while (this.#context.open) {
      const event = adapter.pollConnectionEvent();
      if (event === null) break;
      handled++;
      this.#connectionEvent(event);
    }
    return handled;
  }

  #connectionEvent(event: ConnectionEvent): void {
    const { adapter, arrivalByConnector, byConnector, byListener, config, dispatcher } = this.#context;
    switch (event.type) {
      case 'connectRequest':
        return this.#arrival(event);
      case 'withdrawn': {
        const arrival = arrivalByConnector.get(event.connector);
        if (arrival !== undefined) return dispatcher.apply(this.#event['withdrawn']!, arrival.row);
        for (const record of this.#context.sockets) {
          if (record?.reattaching === event.connector) record.reattaching = -1;
        }
        return adapter.destroyConnector(event.connector);
      }
      case 'established': {
        const record = byConnector.get(event.connector);
        if (record === undefined) return;
        const peer = decodeHandshake(event.privateData);
        if (peer !== null) record.peer = peer;
        record.attaching = false;
        return dispatcher.apply(this.#event['established']!, record.row);
      }
      case 'rejected': {
        const record = byConnector.get(event.connector);
        if (record === undefined) return;
        const error = rejectionError(decodeReject(event.privateData), event.reason, config.pureSan);
        return dispatcher.apply(this.#event['connectEnded']!, record.row, error);
      }
      case 'connectFailed': {
        const record = byConnector.get(event.connector);
        if (record === undefined) return;
        // To its socket, a connection that came back and is gone again has ended at the peer's wish.
        if (record.returned) return dispatcher.apply(this.#event['disconnected']!, record.row, this.#moves(record));
        return dispatcher.apply(this.#event['connectEnded']!, record.row, WSA.WSAETIMEDOUT);
      }
      case 'disconnected': {
        if (!byConnector.has(event.connector)) return;
        // What is in the queue by now arrived before.
        this.#completions();
        const record = byConnector.get(event.connector);
        if (record === undefined) return;
        return dispatcher.apply(this.#event['disconnected']!, record.row, this.#moves(record));
      }
      case 'removed': {
        const record = byConnector.get(event.connector);
        if (record === undefined) return;
        return dispatcher.apply(this.#event['removed']!, record.row);
      }
      case 'listenerRemoved': {
        const record = byListener.get(event.listener);
        if (record === undefined) return;
        return dispatcher.apply(this.#event['removed']!, record.row);
      }
      case 'deviceRemoved':
        return dispatcher.apply(this.#event['allRemoved']!, 0);
    }
  }

  #arrival(event: Extract<ConnectionEvent, { type: 'connectRequest' }>): void {
    const { adapter, arrivalByConnector, arrivalRows, arrivals, byListener, dispatcher, reattachListeners } =
      this.#context;
    const handshake = decodeHandshake(event.privateData);
    if (handshake === null) return adapter.reject(event.connector, encodeReject(0));
    if (reattachListeners.includes(event.listener)) {
      const record = this.#context.sockets.find(
        (candidate) =>
          candidate !== undefined &&
          candidate.connectionId !== null &&
          candidate.remote?.address === event.remote.address &&
          candidate.reattaching < 0 &&
          !candidate.attaching &&
          sameBytes(candidate.connectionId, handshake.connectionId) &&
          candidate.switchHandle !== 0n,
      );
      if (record === undefined || !handshake.reattach) return adapter.reject(event.connector, encodeReject(0));
      record.reattaching = event.connector;
      record.peer = handshake;
      return dispatcher.apply(this.#event['reattachRequested']!, record.row);
    }
    const listener = byListener.get(event.listener);
    if (listener === undefined || handshake.reattach || arrivalRows.full) {
      return adapter.reject(event.connector, encodeReject(RejectReason.backlogFull));
    }
    const row = arrivalRows.allocate();
    const arrival = {
      row,
      connector: event.connector,
      local: event.local,
      remote: event.remote,
      connectionId: handshake.connectionId,
      peer: handshake,
    };
    arrivals[row] = arrival;
    arrivalByConnector.set(event.connector, arrival);
    dispatcher.apply(this.#event['connectRequest']!, listener.row, row);
  }

  #timers(): number {
    const { clock, dispatcher } = this.#context;
    let handled = 0;
    for (let timer = clock.takeExpired(); timer >= 0 && this.#context.open; timer = clock.takeExpired()) {
      handled++;
      dispatcher.apply(this.#event['expired']!, timer);
    }
    return handled;
  }
}
