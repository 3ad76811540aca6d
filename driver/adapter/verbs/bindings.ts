/**
 * The shim's functions, and its shared memory by name; mirrors native/shim.h. Alone imports koffi.
 *
 * Theory of operation: handles are numbers, as pointers below 2^53 are. Structures lie in memory that the shim has
 * allocated and that is viewed here, so no call converts one. What is true of the header is checked when it is loaded: a
 * library of another version is refused.
 */

import { createRequire } from 'node:module';

import { addressBytes, addressText } from '../../spi.ts';
import type { SocketAddress } from '../adapter.ts';
import { COMPLETION_WORDS, WORK_REQUEST_WORDS } from '../adapter.ts';

type Koffi = typeof import('koffi');
let loaded: Koffi | null = null;

/** Loaded at the first use: who doesn't use the adapter needs none of it. */
function koffi(): Koffi {
  loaded ??= createRequire(import.meta.url)('koffi') as Koffi;
  return loaded;
}

const ABI = 4;
/** Descriptors of each of the two rings. */
export const BATCH = 256;
/** Bytes of private data in one call or event. */
export const PRIVATE_DATA_MAX = 255;
/** Connectors are numbered below this. */
export const CONNECTORS = 1 << 20;

const SIZE = {
  work_request: 4 * WORK_REQUEST_WORDS,
  completion: 4 * COMPLETION_WORDS,
  event: 336,
  device_info: 160,
  connection: 280,
} as const;
const ADDRESS_BYTES = 24;
const QUEUES_BYTES = 24;

const COMPLETIONS_AT = BATCH * SIZE.work_request;
const EVENT_AT = COMPLETIONS_AT + BATCH * SIZE.completion;
const DEVICE_AT = EVENT_AT + SIZE.event;
const CONNECTION_AT = DEVICE_AT + SIZE.device_info;
const QUEUES_AT = CONNECTION_AT + SIZE.connection;
const ADDRESS_AT = QUEUES_AT + QUEUES_BYTES;
const SOURCE_AT = ADDRESS_AT + ADDRESS_BYTES;
const REFUSAL_AT = SOURCE_AT + ADDRESS_BYTES;
const SHARED_BYTES = REFUSAL_AT + 8;

/** What the library's functions take and return; handles are numbers. */
const prototypes = {
  wsd_abi: ['uint32', []],
  wsd_sizeof_shared: ['uint32', []],
  wsd_sizeof_work_request: ['uint32', []],
  wsd_sizeof_completion: ['uint32', []],
  wsd_sizeof_event: ['uint32', []],
  wsd_sizeof_device_info: ['uint32', []],
  wsd_sizeof_connection: ['uint32', []],
  wsd_null: ['void', []],
  wsd_load: ['int', []],
  wsd_missing: ['str', []],
  wsd_adapter_open: ['int', ['uint64 *']],
  wsd_adapter_close: ['void', ['uint64']],
  wsd_adapter_shared: ['uint64', ['uint64']],
  wsd_adapter_fd: ['int', ['uint64']],
  wsd_next_event: ['int', ['uint64']],
  wsd_removals_fd: ['int', ['uint64']],
  wsd_next_removal: ['int', ['uint64']],
  wsd_release_devices: ['int', []],
  wsd_source: ['int', ['uint64']],
  wsd_id_create: ['int', ['uint64', 'uint64 *']],
  wsd_id_destroy: ['int', ['uint64']],
  wsd_id_bind: ['int', ['uint64', 'uint64', 'int']],
  wsd_id_device: ['int', ['uint64', 'uint64']],
  wsd_id_listen: ['int', ['uint64', 'int']],
  wsd_id_resolve_address: ['int', ['uint64', 'uint64', 'int']],
  wsd_id_resolve_route: ['int', ['uint64', 'int']],
  wsd_id_connect: ['int', ['uint64', 'uint64']],
  wsd_id_accept: ['int', ['uint64', 'uint64']],
  wsd_id_reject: ['int', ['uint64', 'uint64']],
  wsd_id_disconnect: ['int', ['uint64']],
  wsd_id_notify_established: ['int', ['uint64']],
  wsd_device_open: ['int', ['uint64', 'uint64', 'uint64 *']],
  wsd_device_close: ['void', ['uint64']],
  wsd_device_is_there: ['int', ['uint64']],
  wsd_device_fd: ['int', ['uint64']],
  wsd_device_async_fd: ['int', ['uint64']],
  wsd_next_async: ['int', ['uint64']],
  wsd_arm: ['int', ['uint64']],
  wsd_disarm: ['int', ['uint64']],
  wsd_pd_alloc: ['int', ['uint64', 'uint64 *']],
  wsd_pd_free: ['int', ['uint64']],
  wsd_region_register: ['int', ['uint64', 'uint64', 'uint64', 'uint32', 'uint32 *', 'uint64 *']],
  wsd_region_deregister: ['int', ['uint64']],
  wsd_cq_create: ['int', ['uint64', 'uint32', 'uint32', 'uint64 *']],
  wsd_cq_destroy: ['int', ['uint64']],
  wsd_cq_empty_count: ['uint32', ['uint64']],
  wsd_qp_create: ['int', ['uint64', 'uint64', 'uint64', 'uint64', 'uint32']],
  wsd_qp_fail: ['int', ['uint64']],
  wsd_qp_flush: ['int', ['uint64', 'uint64', 'uint32']],
  wsd_qp_is_flushed: ['int', ['uint64', 'uint32']],
  wsd_qp_forget: ['void', ['uint64', 'uint32']],
  wsd_qp_set_rnr_timer: ['int', ['uint64', 'uint32']],
  wsd_qp_drain: ['void', ['uint64', 'uint64', 'uint32']],
  wsd_qp_destroy: ['void', ['uint64', 'uint64', 'uint32']],
  wsd_post: ['int', ['uint64', 'uint32']],
  wsd_poll: ['int', ['uint64']],
  wsd_linger: ['int', ['uint64', 'uint32']],
} as const satisfies Readonly<Record<string, readonly [string, readonly string[]]>>;

type Name = keyof typeof prototypes;
type Argument<T> = T extends 'uint64 *' ? BigUint64Array : T extends 'uint32 *' ? Uint32Array : number;
type Arguments<T extends readonly string[]> = { -readonly [K in keyof T]: Argument<T[K]> };
type Returned<T> = T extends 'void' ? undefined : T extends 'str' ? string : number;

/** The functions of native/shim.h, by name; results are 0 or -errno where nothing else is said there. */
export type Shim = {
  readonly [K in Name]: (...args: Arguments<(typeof prototypes)[K][1]>) => Returned<(typeof prototypes)[K][0]>;
};

/** @throws Error when the file isn't the library that this version needs */
export function loadShim(file: string): Shim {
  const library = koffi().load(file);
  const shim = Object.fromEntries(
    Object.entries(prototypes).map(([name, [result, parameters]]) => [
      name,
      library.func(name, result, [...parameters]) as unknown,
    ]),
  ) as unknown as Shim;
  const found = {
    abi: shim.wsd_abi(),
    shared: shim.wsd_sizeof_shared(),
    work_request: shim.wsd_sizeof_work_request(),
    completion: shim.wsd_sizeof_completion(),
    event: shim.wsd_sizeof_event(),
    device_info: shim.wsd_sizeof_device_info(),
    connection: shim.wsd_sizeof_connection(),
  };
  const wanted: Readonly<Record<string, number>> = { abi: ABI, shared: SHARED_BYTES, ...SIZE };
  for (const [what, size] of Object.entries(found)) {
    if (size === wanted[what]) continue;
    throw new Error(`${file} is of another version (${what} ${size}, not ${wanted[what]}): node native/build.mjs`);
  }
  return shim;
}

/** Address of the first byte of `memory`, which must not move: of what is not kept by the JavaScript heap. */
export function addressOf(memory: Uint8Array): number {
  // Asked for its buffer, a small array's bytes leave the heap for good.
  const { buffer, byteOffset } = memory;
  return Number(koffi().address(new Uint8Array(buffer))) + byteOffset;
}

/** Calls `ready` in a turn of Node.js's event loop whenever `fd` is readable; keeps no process alive. */
export function watch(fd: number, ready: () => void): { close(): void } {
  const handle = koffi().node.poll(fd, { readable: true }, ready);
  handle.unref();
  return handle;
}

/** What `wsd_next_event` and `wsd_next_async` have left. */
export interface ShimEvent {
  /** What it is about: an rdma_cm_id, of IBV_EVENT_CQ_ERR a completion queue; 0: neither. */
  readonly id: number;
  readonly listener: number;
  readonly type: number;
  readonly status: number;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly privateData: Uint8Array;
}

/** What `wsd_id_device` has left; names and units as in `ibv_query_device` and `ibv_query_port`. */
export interface DeviceInfo {
  /** Equal for ids on one device. */
  readonly verbs: number;
  readonly maxRegionBytes: number;
  readonly guid: string;
  readonly maxQueuePairs: number;
  readonly maxWorkRequests: number;
  readonly maxElements: number;
  readonly maxReadElements: number;
  readonly maxCompletionQueues: number;
  readonly maxCompletions: number;
  readonly maxRegions: number;
  readonly maxProtectionDomains: number;
  /** RDMA reads at once that the device answers, and that it asks. */
  readonly maxReadsAnswered: number;
  readonly maxReadsAsked: number;
  readonly isIwarp: boolean;
  readonly vendor: number;
  readonly port: number;
  readonly isActive: boolean;
  /** 1 InfiniBand, 2 Ethernet. */
  readonly linkLayer: number;
  /** Bytes. */
  readonly mtu: number;
  readonly maxMessageBytes: number;
  readonly name: string;
}

const IBV_TRANSPORT_IWARP = 1;
const IBV_PORT_ACTIVE = 4;

/** The memory that one adapter shares with the shim. Valid until the shim's adapter is closed. */
export class Shared {
  readonly workRequests: Uint32Array;
  readonly completions: Uint32Array;
  readonly #buffer: ArrayBuffer;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(address: number) {
    this.#buffer = koffi().view(BigInt(address), SHARED_BYTES);
    this.#view = new DataView(this.#buffer);
    this.#bytes = new Uint8Array(this.#buffer);
    this.workRequests = new Uint32Array(this.#buffer, 0, BATCH * WORK_REQUEST_WORDS);
    this.completions = new Uint32Array(this.#buffer, COMPLETIONS_AT, BATCH * COMPLETION_WORDS);
  }

  /** Empties all views: the memory is about to be freed. */
  detach(): void {
    this.#buffer.transfer(0);
  }

  set address(to: SocketAddress) {
    const view = this.#view;
    this.#bytes.fill(0, ADDRESS_AT, ADDRESS_AT + ADDRESS_BYTES);
    view.setUint16(ADDRESS_AT, to.family === 'IPv6' ? 6 : 4, true);
    view.setUint16(ADDRESS_AT + 2, to.port, true);
    this.#bytes.set(addressBytes(to.address, to.family), ADDRESS_AT + 8);
  }

  get source(): SocketAddress {
    return this.#addressAt(SOURCE_AT);
  }

  /** Why the last `wsd_post` did not take all: -errno; 0 when it did. */
  get refusal(): number {
    return this.#view.getInt32(REFUSAL_AT, true);
  }

  /** @param privateData - at most {@link PRIVATE_DATA_MAX} bytes */
  setConnection(privateData: Uint8Array, reads: { readonly answered: number; readonly asked: number }): void {
    const view = this.#view;
    view.setUint32(CONNECTION_AT, privateData.length, true);
    view.setUint32(CONNECTION_AT + 4, reads.answered, true);
    view.setUint32(CONNECTION_AT + 8, reads.asked, true);
    // Both counts have three bits. For "receiver not ready" 7 means for ever.
    view.setUint32(CONNECTION_AT + 12, 7, true);
    view.setUint32(CONNECTION_AT + 16, 7, true);
    this.#bytes.set(privateData, CONNECTION_AT + 20);
  }

  setQueues(send: number, receive: number, elements: number, inlineBytes: number): void {
    for (const [index, value] of [send, receive, elements, elements, inlineBytes].entries()) {
      this.#view.setUint32(QUEUES_AT + 4 * index, value, true);
    }
  }

  get event(): ShimEvent {
    const view = this.#view;
    const length = view.getUint32(EVENT_AT + 24, true);
    return {
      id: this.#number(EVENT_AT),
      listener: this.#number(EVENT_AT + 8),
      type: view.getUint32(EVENT_AT + 16, true),
      status: view.getInt32(EVENT_AT + 20, true),
      local: this.#addressAt(EVENT_AT + 32),
      remote: this.#addressAt(EVENT_AT + 56),
      privateData: this.#bytes.slice(EVENT_AT + 80, EVENT_AT + 80 + length),
    };
  }

  get device(): DeviceInfo {
    const word = (index: number): number => this.#view.getUint32(DEVICE_AT + 24 + 4 * index, true);
    const name = this.#bytes.subarray(DEVICE_AT + 96, DEVICE_AT + 160);
    return {
      verbs: this.#number(DEVICE_AT),
      maxRegionBytes: this.#number(DEVICE_AT + 8),
      guid: this.#view
        .getBigUint64(DEVICE_AT + 16, true)
        .toString(16)
        .padStart(16, '0'),
      maxQueuePairs: word(0),
      maxWorkRequests: word(1),
      maxElements: word(2),
      maxReadElements: word(3),
      maxCompletionQueues: word(4),
      maxCompletions: word(5),
      maxRegions: word(6),
      maxProtectionDomains: word(7),
      maxReadsAnswered: word(8),
      maxReadsAsked: word(9),
      isIwarp: word(10) === IBV_TRANSPORT_IWARP,
      vendor: word(11),
      port: word(12),
      isActive: word(13) === IBV_PORT_ACTIVE,
      linkLayer: word(14),
      mtu: word(15),
      maxMessageBytes: word(16),
      name: Buffer.from(name.subarray(0, name.indexOf(0))).toString('latin1'),
    };
  }

  #number(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }

  #addressAt(at: number): SocketAddress {
    const family = this.#view.getUint16(at, true) === 6 ? 'IPv6' : 'IPv4';
    const port = this.#view.getUint16(at + 2, true);
    const bytes = this.#bytes.subarray(at + 8, at + (family === 'IPv6' ? 24 : 12));
    return { family, port, address: addressText(bytes) };
  }
}
