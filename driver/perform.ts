/**
 * Performers: one for each effect; they alone act on an adapter or call the switch.
 *
 * Theory of operation: a performer does what its effect says and nothing else. What it learns at once, it reports as an
 * event before it returns. It never decides what happens next: that is the machines'.
 */

import {
  CF_ACCEPT,
  CF_DEFER,
  CF_REJECT,
  FD_ACCEPT,
  FD_ACCEPT_BIT,
  FD_CONNECT,
  FD_CONNECT_BIT,
  INVALID_SOCKET,
  M,
  receiveQueueOf,
  sendQueueOf,
  TimerKind,
  WSA,
  WSS_OPERATION_IN_PROGRESS,
} from '../machines/index.ts';
import {
  AdapterStatus,
  type MemoryRegion,
  MemoryAccess,
  type QueueDepths,
  type SocketAddress,
} from './adapter/adapter.ts';
import type { Context } from './context.ts';
import type { Performer } from './dispatcher.ts';
import { CONNECTION_ID_BYTES, encodeHandshake, encodeMailbox, encodeReject } from './handshake.ts';
import { canonicalAddress, isWildcard, out, toSockaddr, type WsaOverlapped } from './spi.ts';
import { acceptError, connectError, controlError, listenError, openError } from './status.ts';
import { FirstReceive, type SocketRecord } from './tables.ts';
import { limits } from './limits.ts';

const MEM_TO_LOCAL: readonly number[] = [0, 0, MemoryAccess.localWrite, MemoryAccess.localWrite];
const MEM_TO_REMOTE: readonly number[] = [
  0,
  MemoryAccess.remoteRead,
  MemoryAccess.localWrite | MemoryAccess.remoteWrite,
  MemoryAccess.localWrite | MemoryAccess.remoteWrite | MemoryAccess.remoteRead,
];

/** Makes the performers of one provider, by effect name. */
export function performersOf(context: Context): Readonly<Record<string, Performer>> {
  const { adapter, clock, config, dispatcher, requests, work } = context;
  const event = {
    cleanup: dispatcher.event('socket', 'provider.cleanup'),
    removed: dispatcher.event('socket', 'adapter.removed'),
    adapterOpened: dispatcher.event('provider', 'adapter.opened'),
    adapterOpenFailed: dispatcher.event('provider', 'adapter.openFailed'),
    adapterClosed: dispatcher.event('provider', 'adapter.closed'),
    handleCreated: dispatcher.event('socket', 'upcall.handleCreated'),
    handleRefused: dispatcher.event('socket', 'upcall.handleRefused'),
    listening: dispatcher.event('socket', 'adapter.listening'),
    listenFailed: dispatcher.event('socket', 'adapter.listenFailed'),
    connectStarted: dispatcher.event('socket', 'adapter.connectStarted'),
    connectNotStarted: dispatcher.event('socket', 'adapter.connectNotStarted'),
    accepted: dispatcher.event('socket', 'adapter.accepted'),
    acceptFailed: dispatcher.event('socket', 'adapter.acceptFailed'),
    refusalEnded: dispatcher.event('socket', 'dispatcher.refusalEnded'),
    reattached: dispatcher.event('socket', 'adapter.reattached'),
    reattachFailed: dispatcher.event('socket', 'adapter.reattachFailed'),
    mailboxFailed: dispatcher.event('socket', 'adapter.mailboxFailed'),
    registered: dispatcher.event('registeredBuffer', 'adapter.registered'),
    registerFailed: dispatcher.event('registeredBuffer', 'adapter.registerFailed'),
    limited: dispatcher.event('requestQueue', 'adapter.limited'),
    copied: dispatcher.event('overlappedRequest', 'firstMessage.copied'),
    fault: dispatcher.event('socket', 'adapter.fault'),
    eventReset: dispatcher.event('networkEvents', 'upcall.eventReset'),
    conditionAccepted: dispatcher.event('connectionRequest', 'condition.accepted'),
    conditionRejected: dispatcher.event('connectionRequest', 'condition.rejected'),
    conditionDeferred: dispatcher.event('connectionRequest', 'condition.deferred'),
    conditionInvalid: dispatcher.event('connectionRequest', 'condition.invalid'),
  };
  /** The structure as it was before the initiating call that is running touched it. */
  const before = new Uint32Array(6);

  /** A returning connection that is prepared and not accepted; -1 when there is none, or it was ended meanwhile. */
  let reattached = -1;

  /** Applies `told` to every socket that is open now, unless an up-call that this leads to ends it first. */
  const tellSockets = (told: number): void => {
    const sockets = dispatcher.system.rows[M.socket]!;
    for (const record of [...context.sockets]) {
      if (record === undefined || !record.opened || context.sockets[record.row] !== record) continue;
      // Its machine can be over already, with its last up-call still running.
      if (sockets.states[record.row] !== 0) dispatcher.apply(told, record.row);
    }
  };

  /** Work requests that a request is split into at most. */
  const piecesMax = (): number => {
    const { elementsMax, readElementsMax = elementsMax } = adapter.capabilities;
    return Math.ceil(limits.rdmaElementsMax / readElementsMax);
  };

  const depths = (): QueueDepths => {
    const { sendDepthMax, receiveDepthMax } = adapter.capabilities;
    return {
      send: Math.min(sendDepthMax, context.queueDepth * piecesMax() + 1),
      receive: Math.min(receiveDepthMax, context.queueDepth + 1),
    };
  };

  /** Makes `connector` the one of `record`, and tells the queues if it has room for fewer requests than they would post. */
  const attach = (record: SocketRecord, connector: number): void => {
    record.connector = connector;
    context.byConnector.set(connector, record);
    const { send, receive } = depths();
    // Each has one work request of the provider's own: the mailbox write, the private first receive.
    tellPlaces(sendQueueOf(record.row), Math.floor((send - 1) / piecesMax()));
    tellPlaces(receiveQueueOf(record.row), receive - 1);
  };
  const tellPlaces = (queue: number, places: number): void => {
    if (places < context.queueDepth) dispatcher.apply(event.limited, queue, Math.max(1, places));
  };

  const releaseConnector = (record: SocketRecord): void => {
    if (record.connector < 0) return;
    if (record.connector === reattached) reattached = -1;
    const { connector } = record;
    context.byConnector.delete(connector);
    work.forget(connector);
    context.flushed = context.flushed.filter((each) => each.connector !== connector);
    adapter.destroyConnector(connector);
    record.connector = -1;
  };

  /**
   * Gives `record` its protection domain and private memory, for the connection `connectionId`.
   *
   * @param local - address of the connection
   * @param first - with a private first receive, which a socket needs once
   * @returns 0, or the adapter's status
   */
  const preparePrivate = (
    record: SocketRecord,
    connectionId: Uint8Array,
    local: SocketAddress,
    first: boolean,
  ): number => {
    if (record.protectionDomain < 0) {
      const domain = adapter.allocateProtectionDomain(local.address);
      if (domain < 0) return domain;
      record.protectionDomain = domain;
    }
    record.privateMemory ??= context.privateMemory.take();
    const memory = record.privateMemory;
    const register = (bytes: Uint8Array, access: number): MemoryRegion | number =>
      adapter.registerMemory(record.protectionDomain, bytes, access);
    if (memory.mailboxRegion === null) {
      const region = register(memory.mailbox, MemoryAccess.localWrite | MemoryAccess.remoteWrite);
      if (typeof region === 'number') return region;
      memory.mailboxRegion = region;
    }
    if (memory.mailboxOutRegion === null) {
      const region = register(memory.mailboxOut, 0);
      if (typeof region === 'number') return region;
      memory.mailboxOutRegion = region;
    }
    if (first) {
      const bytes = context.privateMemory.takeFirst();
      const region = register(bytes, MemoryAccess.localWrite);
      if (typeof region === 'number') return region;
      memory.first = new FirstReceive(bytes, region);
    }
    memory.mailbox.fill(0);
    encodeMailbox(memory.mailboxOut, connectionId);
    record.named = true;
    return 0;
  };

  const releasePrivate = (record: SocketRecord): void => {
    const memory = record.privateMemory;
    if (memory !== null) {
      if (memory.mailboxRegion !== null) adapter.deregisterMemory(memory.mailboxRegion.id);
      if (memory.mailboxOutRegion !== null) adapter.deregisterMemory(memory.mailboxOutRegion.id);
      if (memory.first !== null) adapter.deregisterMemory(memory.first.region.id);
      context.privateMemory.give(memory);
      record.privateMemory = null;
    }
    if (record.protectionDomain >= 0) {
      adapter.freeProtectionDomain(record.protectionDomain);
      record.protectionDomain = -1;
    }
  };

  const handshake = (record: SocketRecord, reattach: boolean): Uint8Array =>
    encodeHandshake({
      reattach,
      reattachPort: context.reattachPort,
      mailboxAddress: record.privateMemory!.mailboxRegion!.address,
      mailboxKey: record.privateMemory!.mailboxRegion!.remoteKey,
      connectionId: record.connectionId!,
    });

  /** Opens a connector and starts to connect it. @returns 0, or the adapter's status */
  const connect = (
    record: SocketRecord,
    remote: SocketAddress,
    connectionId: Uint8Array,
    reattach: boolean,
  ): number => {
    const local = concreteLocal(record, remote);
    const prepared = preparePrivate(record, connectionId, local, reattach);
    if (prepared < 0) return prepared;
    const connector = adapter.createConnector(record.protectionDomain, depths());
    if (connector < 0) return connector;
    attach(record, connector);
    // A socket that was taken over may be sent to before its switch has posted anything (7.5).
    if (reattach && !work.postFirstReceive(record)) return AdapterStatus.outOfResources;
    return adapter.connect(connector, local, remote, handshake(record, reattach));
  };

  const concreteLocal = (record: SocketRecord, remote: SocketAddress): SocketAddress => {
    const local = record.local!;
    if (!isWildcard(local)) return local;
    const source = adapter.sourceAddress?.(remote) ?? null;
    if (source !== null) return { ...local, address: source };
    const address = adapter.addresses().find((candidate) => candidate.includes(':') === (local.family === 'IPv6'));
    return address === undefined ? local : { ...local, address: canonicalAddress(address, local.family) };
  };

  const reportUpcall = (set: boolean, record: SocketRecord): void => {
    if (record.event === 0n) return;
    const { event: handle } = record;
    context.upcall(false, (table) => (set ? table.WPUSetEvent(handle, out(0)) : table.WPUResetEvent(handle, out(0))));
  };

  const complete = (overlapped: WsaOverlapped, error: number, bytes: number): void => {
    overlapped.setWord(2, bytes);
    overlapped.setWord(3, 0);
    overlapped.setWord(4, 0);
    overlapped.setWord(5, error);
  };

  return {
    answer: (_row, error) => dispatcher.answer(error),

    'provider/openAdapter': () => {
      const status = adapter.open();
      if (status < 0) {
        dispatcher.apply(event.adapterOpenFailed, 0, openError(status));
        return;
      }
      context.open = true;
      dispatcher.apply(event.adapterOpened, 0);
    },
    'provider/closeAdapter': () => {
      context.closeReattachListeners();
      context.open = false;
      context.upcalls = null;
      adapter.close();
      // A WSPAccept from inside whose condition function the provider was cleaned up still has its request.
      for (const arrival of context.arrivals) if (arrival !== undefined) arrival.connector = -1;
      context.arrivalByConnector.clear();
      dispatcher.apply(event.adapterClosed, 0);
    },

    'provider/endAllSockets': () => tellSockets(event.cleanup),
    'provider/breakAllSockets': () => tellSockets(event.removed),

    'socket/createSwitchHandle': (row) => {
      const record = context.socket(row);
      record.opened = true;
      const errno = out(0);
      const handle = context.upcall(INVALID_SOCKET, (table) =>
        table.WPUCreateSocketHandle(record.catalogEntryId, record.descriptor, errno),
      );
      if (handle === INVALID_SOCKET) {
        dispatcher.apply(event.handleRefused, row, errno.value === WSA.WSAEMFILE ? WSA.WSAEMFILE : WSA.WSAENOBUFS);
        return;
      }
      record.switchHandle = handle;
      dispatcher.apply(event.handleCreated, row);
    },
    'socket/closeSwitchHandle': (row) => {
      const record = context.socket(row);
      const { switchHandle } = record;
      record.switchHandle = 0n;
      context.upcall(0, (table) => table.WPUCloseSocketHandle(switchHandle, out(0)));
    },
    // The registrations are gone; what the provider itself had registered follows.
    'socket/freeBuffers': (row) => releasePrivate(context.socket(row)),
    'socket/socketClosed': (row) => {
      context.sockets[row] = undefined;
      context.socketRows.free(row);
    },

    'socket/startListening': (row) => {
      const record = context.socket(row);
      const listener = adapter.listen(record.local!);
      if (listener < 0) {
        dispatcher.apply(event.listenFailed, row, listenError(listener));
        return;
      }
      record.listener = listener;
      context.byListener.set(listener, record);
      dispatcher.apply(event.listening, row);
    },
    'socket/stopListening': (row) => {
      const record = context.socket(row);
      context.byListener.delete(record.listener);
      adapter.stopListening(record.listener);
      record.listener = -1;
    },
    'socket/startConnect': (row) => {
      const record = context.socket(row);
      context.openReattachListeners();
      const connectionId = new Uint8Array(CONNECTION_ID_BYTES);
      context.random(connectionId);
      const status = connect(record, record.remote!, connectionId, false);
      if (status < 0) dispatcher.apply(event.connectNotStarted, row, connectError(status));
      else dispatcher.apply(event.connectStarted, row);
    },
    'socket/startReattach': (row) => {
      const record = context.socket(row);
      context.openReattachListeners();
      const connectionId = record.takenOverId!;
      record.takenOverId = null;
      const remote = { ...record.remote!, port: record.peer?.reattachPort ?? 0 };
      const status = connect(record, remote, connectionId, true);
      if (status < 0) dispatcher.apply(event.connectNotStarted, row, connectError(status));
      else dispatcher.apply(event.connectStarted, row);
    },
    'socket/acceptConnection': (row, request) => {
      const record = context.socket(row);
      const arrival = context.arrivals[request]!;
      context.openReattachListeners();
      record.local = arrival.local;
      record.remote = arrival.remote;
      record.peer = arrival.peer;
      const fail = (status: number): void => {
        context.byConnector.delete(arrival.connector);
        record.connector = -1;
        dispatcher.apply(event.acceptFailed, row, acceptError(status));
      };
      const prepared = preparePrivate(record, arrival.connectionId, arrival.local, true);
      if (prepared < 0) return fail(prepared);
      const given = adapter.prepareAccept(arrival.connector, record.protectionDomain, depths());
      if (given < 0) return fail(given);
      attach(record, arrival.connector);
      if (!work.postFirstReceive(record)) return fail(AdapterStatus.outOfResources);
      const status = adapter.accept(record.connector, handshake(record, false));
      if (status < 0) return fail(status);
      context.arrivalByConnector.delete(arrival.connector);
      arrival.connector = -1;
      dispatcher.apply(event.accepted, row);
    },
    'socket/endRefusal': (row, error) => dispatcher.apply(event.refusalEnded, row, error),
    'socket/acceptReattach': (row) => {
      const record = context.socket(row);
      const connector = record.reattaching;
      record.reattaching = -1;
      record.privateMemory!.mailbox.fill(0);
      if (adapter.prepareAccept(connector, record.protectionDomain, depths()) < 0) {
        adapter.reject(connector, encodeReject(0));
        dispatcher.apply(event.reattachFailed, row);
        return;
      }
      attach(record, connector);
      record.returned = true;
      reattached = connector;
      // The held receives are posted before the peer is told that it may send.
      dispatcher.apply(event.reattached, row);
      work.flush();
      // What the adapter refused to post has ended the connection again.
      if (reattached !== connector) return;
      reattached = -1;
      const status = adapter.accept(connector, handshake(record, false));
      if (status < 0) dispatcher.apply(event.acceptFailed, row, WSA.WSAECONNRESET);
      else dispatcher.apply(event.accepted, row);
    },
    'socket/rejectReattach': (row) => {
      const record = context.socket(row);
      adapter.reject(record.reattaching, encodeReject(0));
      record.reattaching = -1;
    },
    'socket/disconnect': (row) => {
      const { connector } = context.socket(row);
      if (connector === reattached) reattached = -1;
      if (connector >= 0) adapter.disconnect(connector);
    },
    'socket/destroyConnector': (row) => releaseConnector(context.socket(row)),
    'socket/writeMailbox': (row) => {
      const record = context.socket(row);
      if (!work.postMailbox(record)) dispatcher.apply(event.mailboxFailed, row);
    },
    'socket/startTimer': (row, kind) => {
      const ms =
        kind === TimerKind.connect
          ? config.connectMs
          : kind === TimerKind.migration
            ? config.migrationMs
            : config.closeMs;
      clock.setTimer(row, ms);
    },
    'socket/stopTimer': (row) => clock.cancelTimer(row),

    'connectionRequest/callConditionFunction': (row) => {
      const call = context.acceptCall!;
      const arrival = context.arrivals[row]!;
      call.remote = arrival.remote;
      const callerId = toSockaddr(arrival.remote);
      const calleeId = toSockaddr(arrival.local);
      const { condition } = call;
      // No condition function: the switch takes whoever comes.
      const verdict: unknown =
        condition === null
          ? CF_ACCEPT
          : context.upcall<unknown>(null, () =>
              condition(
                { len: callerId.length, buf: callerId },
                null,
                null,
                null,
                { len: calleeId.length, buf: calleeId },
                { len: 0, buf: null },
                null,
                call.callbackData,
              ),
            );
      const said =
        verdict === CF_ACCEPT
          ? event.conditionAccepted
          : verdict === CF_REJECT
            ? event.conditionRejected
            : verdict === CF_DEFER
              ? event.conditionDeferred
              : event.conditionInvalid;
      dispatcher.apply(said, row);
    },
    'connectionRequest/rejectConnection': (row, reason) => {
      const arrival = context.arrivals[row]!;
      context.arrivalByConnector.delete(arrival.connector);
      adapter.reject(arrival.connector, encodeReject(reason));
      arrival.connector = -1;
    },
    'connectionRequest/forget': (row) => {
      const arrival = context.arrivals[row]!;
      if (arrival.connector >= 0) {
        context.arrivalByConnector.delete(arrival.connector);
        adapter.destroyConnector(arrival.connector);
      }
      context.arrivals[row] = undefined;
      context.arrivalRows.free(row);
    },

    'networkEvents/setEvent': (row) => reportUpcall(true, context.socket(row)),
    'networkEvents/resetEvent': (row) => {
      const record = context.socket(row);
      reportUpcall(false, record);
      // Inside the up-call the switch can have closed the socket.
      if (context.sockets[row] === record) dispatcher.apply(event.eventReset, row);
    },
    'networkEvents/reportNetworkEvents': (_row, accept, acceptErrno, connected, connectErrno) => {
      const { events, event: handle } = context.enumCall!;
      events.lNetworkEvents = (accept === 1 ? FD_ACCEPT : 0) | (connected === 1 ? FD_CONNECT : 0);
      if (accept === 1) events.iErrorCode[FD_ACCEPT_BIT] = acceptErrno;
      if (connected === 1) events.iErrorCode[FD_CONNECT_BIT] = connectErrno;
      if (handle !== 0n) context.upcall(false, (table) => table.WPUResetEvent(handle, out(0)));
    },

    'requestQueue/pairRequest': (queue) => {
      context.socket(queue >> 1).firstTargets = context.initiatingBuffers.map(({ buf, len }) => buf!.subarray(0, len));
    },
    'firstMessage/copyFirstMessage': (row, request) => {
      const record = context.socket(row);
      const { firstTargets: targets, privateMemory } = record;
      const { bytes, length } = privateMemory!.first!;
      const message = bytes.subarray(0, length);
      record.firstTargets = [];
      if (message.length > requests.total(request)) {
        dispatcher.apply(event.copied, request, WSA.WSAEMSGSIZE, 0);
        dispatcher.apply(event.fault, row);
        return;
      }
      let done = 0;
      for (const target of targets) {
        const part = message.subarray(done, done + target.length);
        target.set(part);
        done += part.length;
      }
      dispatcher.apply(event.copied, request, 0, message.length);
    },

    'overlappedRequest/markPending': (row) => {
      const overlapped = requests.overlapped[row]!;
      for (let word = 0; word < before.length; word++) before[word] = overlapped.word(word);
      for (let word = 1; word < before.length; word++) overlapped.setWord(word, 0);
      overlapped.setWord(0, WSS_OPERATION_IN_PROGRESS);
    },
    'overlappedRequest/unmarkPending': (row) => {
      const overlapped = requests.overlapped[row]!;
      for (let word = 0; word < before.length; word++) overlapped.setWord(word, before[word]!);
    },
    'overlappedRequest/postWork': (row, fence, pieces) => work.post(row, fence, pieces),
    'overlappedRequest/publish': (row, error, bytes) => {
      const overlapped = requests.overlapped[row]!;
      complete(overlapped, error, bytes);
      // Last: whoever sees it changed sees the rest final.
      overlapped.setWord(0, 0);
    },
    'overlappedRequest/requestNotification': (row) => dispatcher.requestNotification(row),
    'overlappedRequest/completeOverlappedRequest': (row, error, bytes) => {
      const overlapped = requests.overlapped[row]!;
      complete(overlapped, error, bytes);
      const { switchHandle } = context.socket(requests.socket(row));
      context.notified = context.completed(switchHandle, overlapped, error, bytes) ? 0 : 1;
    },
    'overlappedRequest/retire': (row) => requests.free(row),

    'registeredBuffer/registerRegion': (row) => {
      const buffer = context.buffers[row]!;
      const access = (buffer.kind === 'local' ? MEM_TO_LOCAL : MEM_TO_REMOTE)[buffer.access]!;
      const region: MemoryRegion | number = adapter.registerMemory(
        buffer.socket.protectionDomain,
        buffer.memory,
        access,
      );
      if (typeof region === 'number') {
        dispatcher.apply(event.registerFailed, row, controlError(region));
        return;
      }
      buffer.region = region;
      context.registrations.add(buffer);
      dispatcher.apply(event.registered, row);
    },
    'registeredBuffer/deregisterRegion': (row) => {
      const buffer = context.buffers[row]!;
      adapter.deregisterMemory(buffer.region!.id);
      context.registrations.remove(buffer);
    },
    'registeredBuffer/forget': (row) => {
      context.handles.delete(context.buffers[row]!.handle);
      context.buffers[row] = undefined;
      context.bufferRows.free(row);
    },
  };
}
