/** A started provider for tests of its calls, over an adapter that does everything at once and keeps what is posted. */

import {
  AF_INET,
  INVALID_SOCKET,
  IPPROTO_TCP,
  MEM_READWRITE,
  SOCK_STREAM,
  WSA_FLAG_OVERLAPPED,
  wsaName,
} from '../machines/index.ts';
import {
  type Adapter,
  type ConnectionEvent,
  type MemoryRegion,
  type SocketAddress,
  WORK_REQUEST_WORDS,
  WorkRequestField as F,
} from './adapter/adapter.ts';
import { ImmediateAdapter } from './adapter/immediate.ts';
import type { ProviderOptions } from './calls.ts';
import { CONNECTION_ID_BYTES, encodeHandshake } from './handshake.ts';
import { Provider } from './provider.ts';
import { type Out, out, type Socket, tcpProtocolInfo, toSockaddr, type WspUpcallTable } from './spi.ts';
import { ELEMENT_WORDS } from './tables.ts';

export const here: SocketAddress = { family: 'IPv4', address: '10.0.0.1', port: 80 };
export const there: SocketAddress = { family: 'IPv4', address: '10.0.0.2', port: 5000 };

/** One posted work request. */
export interface Posted {
  readonly opcode: number;
  readonly remote: readonly [key: number, address: number];
  readonly elements: readonly (readonly [key: number, length: number, address: number])[];
}

class TestAdapter extends ImmediateAdapter {
  override readonly capabilities: Adapter['capabilities'];
  readonly posted: Posted[] = [];
  /** Connection events that come before its own. */
  readonly events: ConnectionEvent[] = [];
  /** What the next call of this name answers instead of doing it. */
  readonly refusals = new Map<'open' | 'listen' | 'connect' | 'registerMemory', number>();
  lastListener = -1;
  readonly regions: { readonly memory: Uint8Array; readonly access: number; readonly region: MemoryRegion }[] = [];

  constructor(addresses: readonly string[], capabilities: Partial<Adapter['capabilities']>) {
    super(addresses);
    this.capabilities = { ...new ImmediateAdapter().capabilities, ...capabilities };
  }

  #refusal(call: 'open' | 'listen' | 'connect' | 'registerMemory'): number {
    const status = this.refusals.get(call) ?? 0;
    this.refusals.delete(call);
    return status;
  }

  override open(): number {
    return this.#refusal('open') || super.open();
  }
  override listen(): number {
    const listener = this.#refusal('listen') || super.listen();
    this.lastListener = listener;
    return listener;
  }
  override connect(connector: number): number {
    return this.#refusal('connect') || super.connect(connector);
  }
  override registerMemory(domain: number, memory: Uint8Array, access = 0): MemoryRegion {
    const status = this.#refusal('registerMemory');
    if (status !== 0) return status as unknown as MemoryRegion;
    // Far up, so that both words of an address count, and every bit of a key.
    const region = super.registerMemory(domain, memory);
    const made = {
      ...region,
      localKey: region.localKey + 0x8000_0000,
      address: region.address + 0x5_0000_0000,
    };
    this.regions.push({ memory, access, region: made });
    return made;
  }
  override prepareAccept(): number {
    return 0;
  }
  override accept(): number {
    return 0;
  }
  override pollConnectionEvent(): ConnectionEvent | null {
    return this.events.shift() ?? super.pollConnectionEvent();
  }
  override post(count: number): number {
    const ring = this.workRequests;
    const wide = (at: number): number => ring[at]! + ring[at + 1]! * 0x1_0000_0000;
    for (let index = 0; index < count; index++) {
      const at = index * WORK_REQUEST_WORDS;
      this.posted.push({
        opcode: ring[at + F.opcode]!,
        remote: [ring[at + F.remoteKey]!, wide(at + F.remoteAddressLow)],
        elements: Array.from({ length: ring[at + F.elementCount]! }, (_, element) => {
          const from = at + F.elements + ELEMENT_WORDS * element;
          return [ring[from]!, ring[from + 1]!, wide(from + 2)] as const;
        }),
      });
    }
    return super.post(count);
  }
}

/** A provider, its adapter, and a switch that writes up-calls down. */
export function providerBench(
  options: Partial<Omit<ProviderOptions, 'adapter'>> & {
    readonly capabilities?: Partial<Adapter['capabilities']>;
    readonly addresses?: readonly string[];
    /** Not started yet. */
    readonly isCold?: boolean;
  } = {},
) {
  const { capabilities = {}, addresses = [here.address], isCold = false, ...rest } = options;
  const adapter = new TestAdapter(addresses, capabilities);
  const told: string[] = [];
  /** Something that happens inside an up-call: by its name. */
  const reactions = new Map<string, () => void>();
  const time = { ms: 0 };
  const provider = new Provider({
    adapter,
    clock: { nowMs: () => time.ms++, setTimer: () => {}, cancelTimer: () => {}, takeExpired: () => -1 },
    random: (bytes) => bytes.fill(7),
    onUpcallError: (error) => {
      throw error;
    },
    ...rest,
  });
  const tell = (name: string, ...rest: readonly unknown[]): void => {
    told.push([name, ...rest].join(' '));
    reactions.get(name)?.();
  };
  let handles = 0x1000n;
  const upcalls: WspUpcallTable = {
    WPUCreateSocketHandle: (catalogEntryId) => {
      tell('WPUCreateSocketHandle', catalogEntryId);
      return handles++;
    },
    WPUCloseSocketHandle: () => {
      tell('WPUCloseSocketHandle');
      return 0;
    },
    WPUCompleteOverlappedRequest: (_socket, _overlapped, error, bytes) => {
      tell('WPUCompleteOverlappedRequest', wsaName(error), bytes);
      return 0;
    },
    WPUSetEvent: (event) => {
      tell('WPUSetEvent', event);
      return true;
    },
    WPUResetEvent: (event) => {
      tell('WPUResetEvent', event);
      return true;
    },
  };
  const errno = out(-1);
  /** What a call leaves in its lpErrno. */
  const error = (call: (lpErrno: Out<number>) => unknown): string => {
    errno.value = -1;
    call(errno);
    return wsaName(errno.value);
  };
  const startup = (): string =>
    wsaName(
      provider.WSPStartupEx(
        0x0202,
        { wVersion: 0, wHighVersion: 0, szDescription: '' },
        tcpProtocolInfo(),
        upcalls,
        {},
      ),
    );
  if (!isCold) startup();
  const socket = (): Socket =>
    provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, null, 0, WSA_FLAG_OVERLAPPED, errno);
  const bound = (local = here): Socket => {
    const s = socket();
    const name = toSockaddr(local);
    provider.WSPBind(s, name, name.length, errno);
    return s;
  };
  const connected = (): Socket => {
    const s = bound();
    const name = toSockaddr(there);
    provider.WSPConnect(s, name, name.length, null, null, null, null, errno);
    provider.poll();
    adapter.posted.length = 0;
    return s;
  };
  const listening = (backlog = 5): Socket => {
    const s = bound();
    provider.WSPListen(s, backlog, errno);
    return s;
  };
  /** Somebody asks the last listener for a connection. */
  const arrives = (remote = there): number => {
    const connector = adapter.createConnector(0, { send: 100, receive: 100 });
    adapter.events.push({
      ...{ type: 'connectRequest', listener: adapter.lastListener, connector, local: here, remote },
      privateData: encodeHandshake({
        ...{ reattach: false, reattachPort: 1, mailboxAddress: 2, mailboxKey: 3 },
        connectionId: new Uint8Array(CONNECTION_ID_BYTES).fill(connector),
      }),
    });
    provider.poll();
    return connector;
  };
  const accepted = (): Socket => {
    const s = listening();
    arrives();
    return provider.WSPAccept(s, null, null, null, null, errno);
  };
  const register = (s: Socket, memory: Uint8Array, access = MEM_READWRITE): bigint =>
    provider.WSPRegisterMemory(s, memory, memory.length, access, errno);
  return {
    ...{ provider, adapter, told, reactions, time, upcalls, errno, error, startup },
    ...{ socket, bound, connected, listening, arrives, accepted, register, INVALID_SOCKET },
  };
}
export type ProviderBench = ReturnType<typeof providerBench>;
