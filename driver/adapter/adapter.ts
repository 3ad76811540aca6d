/**
 * What the driver needs of an RDMA adapter.
 *
 * Theory of operation: an adapter is polled and never calls back. Control calls answer at once with an id or a
 * negative {@link AdapterStatus}; what takes time ends in a {@link ConnectionEvent} that the driver polls.
 * The data path has two rings of fixed-size descriptors in plain memory, so that one call posts a batch and one
 * call polls a batch, and the same driver code serves a simulator, a protocol written in TypeScript, and a C shim
 * that shares the memory. Neither ring allocates.
 *
 * Words: a *connector* is a connection end with its queue pair and its completion queue (`rdma_cm_id` + `ibv_qp`;
 * `IND2Connector` + `IND2QueuePair`). All ids are non-negative integers given out by the adapter, unique among
 * live objects of their kind.
 *
 * Source: specification, Annex A.1 to A.4; NetworkDirect SPI for the vocabulary.
 */

/** Status of a control call. Zero or more is success (often an id); these are the failures. */
export const AdapterStatus = {
  ok: 0,
  /** Memory, queue or id space is exhausted (`ENOMEM`, `EAGAIN`, `EMFILE`). */
  outOfResources: -1,
  /** The address is not one that this adapter serves (`EADDRNOTAVAIL`). */
  addressNotAvailable: -2,
  /** The object is not in a state that allows the call (`EINVAL`). */
  invalidState: -3,
  /** The adapter is gone or was never there (`ENODEV`). */
  deviceRemoved: -4,
  /** No route to the peer from here (`ENETUNREACH`). */
  networkUnreachable: -5,
  /** The memory can't be registered (`EFAULT`). */
  badMemory: -6,
} as const;
export type AdapterStatus = (typeof AdapterStatus)[keyof typeof AdapterStatus];

/** An IP endpoint. `address` is the canonical text form of an IPv4 or IPv6 address; `port` is in host order. */
export interface SocketAddress {
  readonly family: 'IPv4' | 'IPv6';
  readonly address: string;
  /** 0 to 65535 */
  readonly port: number;
}

/** Limits of an adapter; read once after {@link Adapter.open}. All are positive integers unless noted. */
export interface AdapterCapabilities {
  /** Largest message of one send, in bytes; at most 0x7fffffff. */
  readonly messageSizeMax: number;
  /** Largest RDMA read or write, in bytes; at most 0x7fffffff. */
  readonly rdmaSizeMax: number;
  /** Work requests that one connector's send queue holds; at least one more than 8 elements of RDMA are split into. */
  readonly sendDepthMax: number;
  /** Work requests that one connector's receive queue holds; at least 2. */
  readonly receiveDepthMax: number;
  /** Scatter/gather elements of one work request, 1 to {@link SGE_MAX}. */
  readonly elementsMax: number;
  /** The same of an RDMA read, where it is less; 1 to {@link AdapterCapabilities.elementsMax}, which it is unless given. */
  readonly readElementsMax?: number;
  /** RDMA reads that one connector may have outstanding; 0 when RDMA read isn't offered. */
  readonly readDepthMax: number;
  /** Private data that a connection request, an acceptance and a rejection carry, in bytes. */
  readonly privateDataMax: { readonly connect: number; readonly accept: number; readonly reject: number };
}

/**
 * Who may do what with a registered region; a bit set. `remoteInvalidate`: a peer's send may end its remote key, from
 * when on nothing reaches the region by that key (iWARP only; without effect elsewhere).
 */
export const MemoryAccess = { localWrite: 1, remoteRead: 2, remoteWrite: 4, remoteInvalidate: 8 } as const;

/** A registered region as the adapter knows it. */
export interface MemoryRegion {
  readonly id: number;
  /** Key for local scatter/gather elements, 32 bits unsigned. */
  readonly localKey: number;
  /** Key that a peer names to reach the region; 32 bits unsigned, 0 when the region isn't remotely accessible. */
  readonly remoteKey: number;
  /** Address of the region's first byte as work requests and peers name it; a safe integer. */
  readonly address: number;
}

/** A fact about a connection. `connector` and `listener` are ids of this adapter. */
export type ConnectionEvent =
  /** A peer asks a listener for a connection; `connector` is new and undecided. */
  | {
      readonly type: 'connectRequest';
      readonly listener: number;
      readonly connector: number;
      readonly local: SocketAddress;
      readonly remote: SocketAddress;
      readonly privateData: Uint8Array;
    }
  /** The peer that asked gave up before it was answered. */
  | { readonly type: 'withdrawn'; readonly connector: number }
  /** The connection is up; at the passive side it confirms {@link Adapter.accept}. */
  | { readonly type: 'established'; readonly connector: number; readonly privateData: Uint8Array }
  /** The peer said no. `reason` is the adapter's own number, for the journal. */
  | {
      readonly type: 'rejected';
      readonly connector: number;
      readonly reason: number;
      readonly privateData: Uint8Array;
    }
  /** No answer, or the attempt failed in a way of which nothing certain is known. */
  | { readonly type: 'connectFailed'; readonly connector: number }
  /** The connection ended at the peer's wish or through loss. May come late, twice or never. */
  | { readonly type: 'disconnected'; readonly connector: number }
  /** The device of this connection is gone, and with it what was posted: nothing of it completes any more. */
  | { readonly type: 'removed'; readonly connector: number }
  /**
   * What the listener listens on is gone: no event names it any more, whatever comes back. It is still to be stopped, and
   * its undecided connectors to be rejected.
   */
  | { readonly type: 'listenerRemoved'; readonly listener: number }
  /** The whole adapter is gone; every connector and listener is dead. */
  | { readonly type: 'deviceRemoved' };

/** Operation of a work request. */
export const Opcode = { send: 0, receive: 1, rdmaWrite: 2, rdmaRead: 3 } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Elements that a descriptor has room for. */
export const SGE_MAX = 4;
/** 32-bit words of one work request descriptor. */
export const WORK_REQUEST_WORDS = 24;
/**
 * Word offsets in a work request descriptor (unsigned 32-bit little-endian words). 64-bit addresses take two words,
 * low first. Element i takes four words from `elements + 4 * i`: local key, length, address low, address high.
 */
export const WorkRequestField = {
  opcode: 0,
  connector: 1,
  /** Returned unchanged in the completion; 32 bits. */
  context: 2,
  /** Union of `WORK_REQUEST_…` bits. */
  flags: 3,
  elementCount: 4,
  /** Of the peer's region; in a send, the key that it is to invalidate. */
  remoteKey: 5,
  remoteAddressLow: 6,
  remoteAddressHigh: 7,
  elements: 8,
} as const;
/** Waits until earlier RDMA reads of this connector have completed. */
export const WORK_REQUEST_FENCE = 1;
/** A send that asks for a solicited event at the peer. iWARP only; others ignore it. */
export const WORK_REQUEST_SOLICITED = 2;
/** A send that ends the peer's key `remoteKey` when it is received. iWARP only; others ignore it. */
export const WORK_REQUEST_INVALIDATE = 4;

/** 32-bit words of one completion. */
export const COMPLETION_WORDS = 6;
/** Word offsets in a completion. */
export const CompletionField = {
  connector: 0,
  context: 1,
  status: 2,
  /** Bytes received or read; not valid for sends and writes, nor for a failed work request. */
  bytes: 3,
  opcode: 4,
  /**
   * The adapter's own status number, for the journal. Over iWARP: of a receive that succeeded, the key that its send
   * invalidated, or 0; of a request that failed or was flushed, the reason of the stream's end as in a Terminate
   * (layer, type and code in 4, 4 and 8 bits), or 0 when it ended without one.
   */
  vendorStatus: 5,
} as const;

/** How a work request ended (the classes of `ibv_wc_status` that the driver tells apart). */
export const CompletionStatus = {
  success: 0,
  /** Not carried out: the queue pair was in error. */
  flushed: 1,
  /** A message was longer than the receive that it met. */
  localLength: 2,
  /** The local elements aren't covered by registrations that allow the use. */
  localProtection: 3,
  /** The peer's adapter refused the access: bounds, permission or key. */
  remoteAccess: 4,
  /** The peer's adapter could not carry out the request. */
  remoteOperation: 5,
  /** The transport gave up: no acknowledgement in time. */
  retryExceeded: 6,
  /** The transport gave up: the peer had no receive posted. */
  receiverNotReady: 7,
  /** Anything else. */
  fault: 8,
} as const;
export type CompletionStatus = (typeof CompletionStatus)[keyof typeof CompletionStatus];

/** Tells an event loop when polling is worth while again. */
export interface WakeUp {
  /**
   * Nothing becomes ready but in callbacks of Node.js and in calls of the adapter's: what a poll has left nothing of, and
   * {@link WakeUp.arm} denies, isn't there. False when it isn't said.
   */
  readonly isExact?: boolean;
  /** Inside `woken`: Node.js is known to have begun a new turn since it was called before. False when it isn't said. */
  readonly isNewTurn?: boolean;
  /**
   * Looks for completions, and up to `looks` times more after others had the processor. Only where that is cheaper than
   * being woken.
   *
   * @returns true when something is ready: poll instead of sleeping
   */
  linger?(looks: number): boolean;
  /**
   * Asks to be woken at the next completion or connection event.
   *
   * @returns true when something is ready already: poll instead of sleeping
   */
  arm(): boolean;
  /**
   * Calls `woken` once when something became ready after {@link WakeUp.arm}, by a call of the adapter's too, or spuriously: in
   * a callback of Node.js, never inside a call of the adapter's. Nothing else may wake who waits. Holds no event loop open by
   * itself.
   */
  wait(woken: () => void): void;
  /**
   * Has `gathered` called whenever so many completions wait that they are better handled before more come, while what they
   * are about is in the processor's cache: in a callback of Node.js, never inside a call of the adapter's. Only where
   * a turn of Node.js can bring more than that.
   *
   * @param gathered - instead of the one that was given before; null for none
   */
  whenGathered?(gathered: (() => void) | null): void;
}

/** Depths of a connector's two queues, in work requests; at most what {@link AdapterCapabilities} says. */
export interface QueueDepths {
  readonly send: number;
  readonly receive: number;
}

export interface Adapter {
  /** Short name as the command line spells it: `simulated`, `iwarp`, `verbs`. */
  readonly name: string;

  /** Makes the adapter usable. @returns 0, or `deviceRemoved`, or `outOfResources` */
  open(): number;
  /** Frees everything that is still held; the adapter can be opened again. */
  close(): void;
  /** @throws nothing; valid between open and close */
  readonly capabilities: AdapterCapabilities;
  /** Local IP addresses that the adapter serves now, without port; freshly determined at each call. */
  addresses(): readonly string[];

  /**
   * The served address from which `remote` is reached; null when there is none. An adapter without it is on one network
   * only, where every address reaches every other.
   */
  sourceAddress?(remote: SocketAddress): string | null;

  /**
   * @param local - address of the connection that it is for, one that is served: an adapter may have several devices
   * @returns id of a new protection domain, or `outOfResources`, or `deviceRemoved`
   */
  allocateProtectionDomain(local: string): number;
  /** The domain has no connector and no region left. */
  freeProtectionDomain(protectionDomain: number): void;
  /**
   * Registers `memory` in place; the adapter keeps it alive until {@link Adapter.deregisterMemory}.
   *
   * @param access - union of {@link MemoryAccess} bits
   * @returns the region, or `outOfResources`, `badMemory`, `deviceRemoved`
   */
  registerMemory(protectionDomain: number, memory: Uint8Array, access: number): MemoryRegion | number;
  /** From its return on nothing reaches the memory through this region, locally or remotely. */
  deregisterMemory(regionId: number): void;

  /**
   * Starts to listen.
   *
   * @param local - an address that is served, or the wildcard (`0.0.0.0`, `::`) for all, present and future
   * @returns id of the listener, or `outOfResources`, `addressNotAvailable`, `deviceRemoved`
   */
  listen(local: SocketAddress): number;
  /** Ends listening. Undecided connectors of the listener stay until they are rejected. */
  stopListening(listener: number): void;

  /** Creates a connector for an outgoing connection. @returns its id, or a negative {@link AdapterStatus} */
  createConnector(protectionDomain: number, depths: QueueDepths): number;
  /**
   * Starts to connect; never blocks. Ends in `established`, `rejected` or `connectFailed`.
   *
   * @param local - the address to connect from (its port is the socket's; adapters may connect from another)
   * @returns 0, or `networkUnreachable`, `outOfResources`, `deviceRemoved`: then no event will follow
   */
  connect(connector: number, local: SocketAddress, remote: SocketAddress, privateData: Uint8Array): number;

  /**
   * Gives the undecided connector of a `connectRequest` its queue pair, so that receives can be posted before the
   * peer is told anything. @returns 0, or `outOfResources`, `invalidState` (withdrawn), `deviceRemoved`
   */
  prepareAccept(connector: number, protectionDomain: number, depths: QueueDepths): number;
  /** Tells the peer yes. @returns 0, or `invalidState` (withdrawn), `outOfResources`, `deviceRemoved` */
  accept(connector: number, privateData: Uint8Array): number;
  /** Tells the peer no and destroys the connector, whether prepared or not. */
  reject(connector: number, privateData: Uint8Array): void;

  /**
   * Puts the queue pair in error and tells the peer. Every posted work request completes, most as flushed.
   * Also aborts a connection attempt. Harmless when called twice or late.
   */
  disconnect(connector: number): void;
  /** Destroys a connector whose queues are drained, or that was never connected. No event names it afterwards. */
  destroyConnector(connector: number): void;

  /**
   * Ring of work request descriptors to fill before {@link Adapter.post}: {@link WORK_REQUEST_WORDS} words each,
   * from index 0. Room for {@link Adapter.postBatchMax} descriptors. The view stays the same while open.
   */
  readonly workRequests: Uint32Array;
  /** At least 8: no request has more work requests, and they are posted together. */
  readonly postBatchMax: number;
  /**
   * Posts the first `count` descriptors, in order.
   *
   * @returns how many were taken; fewer than `count` when the next one was refused for want of resources
   */
  post(count: number): number;

  /** Completions of the last {@link Adapter.poll}, {@link COMPLETION_WORDS} words each, oldest first. */
  readonly completions: Uint32Array;
  readonly pollBatchMax: number;
  /**
   * Moves up to {@link Adapter.pollBatchMax} completions into {@link Adapter.completions}.
   *
   * @returns their number; fewer than that only when there are no more at the moment
   */
  poll(): number;

  /** Takes the oldest connection event, or null when there is none. */
  pollConnectionEvent(): ConnectionEvent | null;

  readonly wakeUp: WakeUp;
}
