/**
 * Plays a script on the production driver: each command is one SPI call, one fact of the adapter, or one turn; everything
 * that the driver says meanwhile to its switch and its adapter is compared with what the script predicts.
 */

import {
  type Adapter,
  AdapterStatus,
  type ConnectionEvent,
  CompletionStatus,
  encodeDescriptor,
  type Handle,
  limits as driverLimits,
  Opcode,
  out,
  ProcessDuplicationStore,
  Provider,
  type Clock,
  type ProviderOptions,
  type Socket,
  tcpProtocolInfo,
  toSockaddr,
  type WsaBufEx,
  WsaNetworkEvents,
  WsaOverlapped,
  type WsaProtocolInfo,
  type WspUpcallTable,
} from '../../driver/index.ts';
import {
  decodeHandshake,
  decodeReject,
  encodeHandshake,
  encodeMailbox,
  encodeReject,
  type Handshake,
} from '../../driver/handshake.ts';
import { MAILBOX_CONTEXT } from '../../driver/work-queue.ts';
import {
  AF_INET,
  CF_ACCEPT,
  CF_DEFER,
  CF_REJECT,
  FD_ACCEPT,
  FD_ACCEPT_BIT,
  FD_CONNECT,
  IPPROTO_TCP,
  MEM_READWRITE,
  FD_CONNECT_BIT,
  INVALID_SOCKET,
  M,
  RejectReason,
  SO_DEBUG,
  SOCK_STREAM,
  SOL_SOCKET,
  WSA,
  WSA_FLAG_OVERLAPPED,
  WSS_OPERATION_IN_PROGRESS,
} from '../../machines/index.ts';
import { callsOfClosed } from './closed.ts';
import { moved } from './predict.ts';
import { eventsLine, type Line, type Script } from './script.ts';
import { type Fate, LiveAdapter, type LiveTraits } from './live-adapter.ts';
import { type AdapterListener, type Posted, ScriptedAdapter } from './scripted-adapter.ts';

/** What was seen is not what was predicted. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch';
}

/** Bytes of message m are m, m times ten of them. */
const messageBytes = (message: number): number => 10 * message;
/** Port of the peer that asks first; in network order it is in the condition function's sockaddr. */
const ARRIVAL_PORT = 7000;
/** The event object of a socket. */
const eventOf = (socket: string): bigint => BigInt(socket.charCodeAt(0));
const ownerOf = (event: bigint): string => String.fromCharCode(Number(event));
const SLICE_BYTES = 64;
const REGION_BYTES = 1024;
const SEND_BYTES = 50;
/** Milliseconds by kind of timer: which one is started shows in its length. */
const config = { connectMs: 1001, migrationMs: 1002, closeMs: 1003, loopback: true, pureSan: true } as const;
const timerNames: Readonly<Record<number, string>> = { 1001: 'connect', 1002: 'migration', 1003: 'close' };
/** A descriptor's low bits are its row, by which timers are numbered. */
const ROW_MASK = 0xfffffn;
const verdicts: Readonly<Record<string, number>> = { accept: CF_ACCEPT, reject: CF_REJECT, defer: CF_DEFER, other: 99 };

/** An adapter's reason for a rejection, as InfiniBand numbers it. */
const NO_SUCH_SERVICE = 8;
/** Why an adapter would not begin to connect, by the error that comes of it. */
const connectStatus: Readonly<Record<number, number>> = {
  [WSA.WSAENETUNREACH]: AdapterStatus.networkUnreachable,
  [WSA.WSAENOBUFS]: AdapterStatus.outOfResources,
  [WSA.WSAENETDOWN]: AdapterStatus.deviceRemoved,
};

/** Why an adapter would not open, likewise. */
const openStatus: Readonly<Record<number, number>> = {
  [WSA.WSASYSNOTREADY]: AdapterStatus.deviceRemoved,
  [WSA.WSAEPROVIDERFAILEDINIT]: AdapterStatus.outOfResources,
};
/** The process that sockets are handed to. */
const PROCESS = 1;

const networkEvents: Readonly<Record<string, number>> = { nothing: 0, accept: FD_ACCEPT, connect: FD_CONNECT };

type Transfer = 'send' | 'receive' | 'write' | 'read';
const calls = { send: 'WSPSend', receive: 'WSPRecv', write: 'WSPRdmaWrite', read: 'WSPRdmaRead' } as const;
const opcodes = { send: Opcode.send, receive: Opcode.receive, write: Opcode.rdmaWrite, read: Opcode.rdmaRead } as const;

interface Request {
  readonly kind: Transfer;
  readonly owner: string;
  readonly overlapped: WsaOverlapped;
  readonly memory: Uint8Array;
  started: boolean;
  said: string;
}

/** Nobody looks at what is asked of that adapter. */
const unheard: AdapterListener = {
  posted: () => undefined,
  called: () => undefined,
  connector: () => undefined,
  listener: () => undefined,
  memory: () => undefined,
  domain: () => undefined,
};

type MakeAdapter = (listener: AdapterListener, fateOf: (work: Posted) => Fate) => ScriptedAdapter;
const scripted: MakeAdapter = (listener) => new ScriptedAdapter(listener);

/** Why some scripts can't be played over RoCE. */
export const FLUSHED_BY_PEER = 'this device flushes only what its own end has given up';

/** A script has an order that no real adapter can be brought to. */
export class Impossible extends Error {
  override readonly name = 'Impossible';
}

/** r9 comes before r10. */
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

class Player {
  /** Work whose end was awaited. */
  readonly #expected = new Set<Posted>();
  /** Work that the script's network carries to the other socket. */
  readonly #arriving = new Set<Posted>();
  /** Sends, writes and reads of each socket. */
  readonly #outgoing = new Map<string, number>();
  readonly #script: Script;
  readonly #adapter: ScriptedAdapter;
  /** The script says when the adapter has been closed. */
  readonly #endsClosing: boolean;
  readonly #provider: Provider;
  #at = 0;
  /** The command whose end has not been judged. */
  #current: Line = { command: '', expected: [] };
  #seen: string[] = [];
  #results: string[] = [];
  #posts: string[] = [];
  /** The script is at its end: what is unwound now is not judged. */
  #over = false;
  /** Socket that an object made now belongs to. */
  #naming = '';
  readonly #errno = out(0);
  readonly #sockets = new Map<string, Socket>();
  readonly #handles = new Map<Socket, string>();
  readonly #rows = new Map<number, string>();
  readonly #connectors = new Map<number, string>();
  readonly #domains = new Map<number, string>();
  readonly #memories = new Map<string, Uint8Array>();
  /** What is registered on a socket. */
  readonly #memoryOf = new Map<string, Uint8Array>();
  readonly #requests = new Map<string, Request>();
  readonly #works = new Map<string, readonly Posted[]>();
  readonly #handleOf = new Map<string, Handle>();
  readonly #running = new Map<string, number>();
  #expired = -1;
  #sends = 0;
  #nextHandle = 0x1000n;
  #verdict = CF_ACCEPT;
  /** A completion up-call is being asked for. */
  #notifying = false;
  /** The script says what becomes of the handle that is asked for. */
  #asking = false;
  /** What WSPDuplicateSocket has filled, by the socket that was handed over. */
  readonly #tokens = new Map<string, WsaProtocolInfo>();
  readonly #duplication = new ProcessDuplicationStore();
  /** What sockets have said of themselves when they connected. */
  readonly #handshakes = new Map<string, Handshake>();

  constructor(script: Script, tables: ProviderOptions['tables'], make: MakeAdapter = scripted) {
    this.#script = script;
    const listener: AdapterListener = {
      called: (what) => {
        this.#see(`adapter ${what}`);
        if (what === 'close' && this.#endsClosing && !this.#over) {
          this.#inside((command) => command === 'adapter closed');
        }
      },
      posted: (work) => this.#posted(work),
      connector: (what, connector, privateData) => this.#connectorCalled(what, connector, privateData),
      listener: (what, _, port) => {
        if (port < driverLimits.reattachPort) this.#see(`adapter ${what} ${String.fromCharCode(port - 5000 + 65)}`);
      },
      memory: (what, memory) => {
        for (const [name, known] of this.#memories) if (known === memory) this.#see(`adapter ${what} ${name}`);
      },
      domain: (what, domain) => {
        if (what === 'allocate') this.#domains.set(domain, this.#naming);
        else this.#see(`adapter free ${this.#domains.get(domain)}`);
      },
    };
    this.#adapter = make(listener, (work) => this.#fateOf(work));
    this.#endsClosing = script.lines.some(({ command }) => command === 'adapter closed');
    let drawn = 1;
    this.#provider = new Provider({
      adapter: this.#adapter,
      clock: this.#clock(),
      limits: script.limits,
      duplication: this.#duplication,
      config,
      ...(tables === undefined ? {} : { tables }),
      random: (bytes) => bytes.fill(drawn++),
      onUpcallError: (error) => {
        throw error;
      },
    });
  }

  /** @throws {@link Mismatch}, or what the driver throws */
  play(): void {
    while (this.#at < this.#script.lines.length) this.#next();
    this.#finish();
  }

  /** As {@link Player.play}, where a real adapter does the work. */
  async playOver(adapter: LiveAdapter): Promise<void> {
    while (this.#at < this.#script.lines.length) {
      // Up-calls don't wait, so what is to happen in one has to be there before it is made.
      const lines = this.#script.lines.slice(this.#at, this.#at + this.#nested());
      try {
        await adapter.connected();
        for (const { command } of lines) await this.#awaited(adapter, command);
      } catch (error) {
        if (error instanceof Impossible) throw error;
        throw new Mismatch(
          this.#message(`before ${lines[0]!.command}: ${error instanceof Error ? error.message : error}`),
        );
      }
      this.#next();
    }
    this.#finish();
  }

  /** Lines from here that are carried out within one call. */
  #nested(): number {
    const lines = this.#script.lines.slice(this.#at);
    let depth = 0;
    for (const [index, { command }] of lines.entries()) {
      if (command.startsWith('notify ')) depth++;
      if (command.startsWith('return ')) depth--;
      if (depth === 0) return index + 1;
    }
    return lines.length;
  }

  async #awaited(adapter: LiveAdapter, command: string): Promise<void> {
    const [verb, ...words] = command.replaceAll(/ \(.*\)/g, '').split(' ');
    if (verb === 'close') return adapter.settled();
    if (verb === 'disconnected') return adapter.parted(this.#connectorOf(words[0]!));
    if (verb !== 'complete' && verb !== 'flush') return;
    const name = words[0] === 'first' ? `first ${words[1]}` : words[0]!;
    const work = this.#works.get(name)?.find((candidate) => !this.#expected.has(candidate));
    if (work === undefined) throw new Impossible('what is begun inside an up-call ends inside it, where nobody waits');
    this.#expected.add(work);
    if (verb === 'flush' && this.#arriving.has(work)) throw new Impossible('it flushes what has been carried out');
    if (verb === 'flush' && !adapter.canFlush(work.connector)) throw new Impossible(FLUSHED_BY_PEER);
    const message = Number(/ message (\d+)/.exec(command)?.[1] ?? 0);
    if (!(await adapter.ended(work, verb, message))) {
      throw new Impossible('a real adapter completes it only after what comes later');
    }
  }

  /** What the script says of a work request that is being posted. */
  #fateOf(work: Posted): Fate {
    const name = this.#nameOf(work);
    const piece = this.#works.get(name)!.indexOf(work);
    const ends = this.#script.lines
      .slice(this.#at)
      .map(({ command }) => /^(complete|flush) ((?:first )?\w+)/.exec(command))
      .filter((match) => match !== null && match[2] === name);
    const fate = (ends[piece]?.[1] as Fate | undefined) ?? 'none';
    if (work.opcode === Opcode.receive || !this.#arrives(work)) return fate;
    this.#arriving.add(work);
    return 'complete';
  }

  /** Whether the network carries that send, write or read to the other socket: it carries them in order. */
  #arrives({ connector }: Posted): boolean {
    const owner = this.#connectors.get(connector)!;
    const place = this.#outgoing.get(owner) ?? 0;
    this.#outgoing.set(owner, place + 1);
    const arrival = `network: a message arrives at ${owner === 'A' ? 'B' : 'A'}`;
    return this.#script.lines.filter(({ command }) => command.startsWith(arrival)).length > place;
  }

  #finish(): void {
    if (this.#over) return;
    // Whatever state the script ends in, the last clean-up gives everything back.
    this.#over = true;
    this.#provider.WSPCleanup(this.#errno);
    const left = { ...this.#adapter.inventory(), ...this.#provider.inventory() };
    const kept = Object.entries(left).filter(([, count]) => count !== 0);
    if (kept.length > 0)
      throw new Mismatch(this.#message(`after WSPCleanup there is left: ${JSON.stringify(Object.fromEntries(kept))}`));
  }

  #message(what: string): string {
    return `${this.#script.title}\ncommand ${this.#at}: ${this.#current.command}\n${what}`;
  }

  /** Begins the next command. */
  #begin(): string[] {
    this.#current = this.#script.lines[this.#at++]!;
    this.#seen = [];
    this.#results = [];
    this.#posts = [];
    return this.#current.command.replaceAll(/ \(.*\)/g, '').split(' ');
  }

  /** Judges the command at hand. */
  #judge(): void {
    if (this.#over) return;
    const seen = [...this.#seen, ...this.#results, ...this.#posts, ...this.#structures()];
    const { expected } = this.#current;
    if (seen.length === expected.length && seen.every((line, index) => line === expected[index])) return;
    const list = (lines: readonly string[]) =>
      lines.length === 0 ? '  (nothing)' : lines.map((line) => `  ${line}`).join('\n');
    throw new Mismatch(this.#message(`predicted:\n${list(expected)}\nseen:\n${list(seen)}`));
  }

  #next(): void {
    const words = this.#begin();
    const { command } = this.#current;
    try {
      this.#execute(words[0]!, words.slice(1));
      for (const [, peer] of command.matchAll(/\((p\d) gives up\)/g)) this.#adapter.withdraw(this.#connectorOf(peer!));
      for (const [, socket] of command.matchAll(/\((\w) has room\)/g)) {
        for (const [connector, of] of this.#connectors) if (of === socket) this.#adapter.unfill(connector);
      }
    } catch (error) {
      if (error instanceof Mismatch) throw error;
      throw new Mismatch(this.#message(error instanceof Error ? error.message : String(error)), { cause: error });
    }
    this.#judge();
  }

  /** Inside an up-call: goes on with the script until a command that `ends` it. @returns that command's words */
  #inside(ends: (command: string) => boolean): string[] | null {
    this.#judge();
    while (this.#at < this.#script.lines.length) {
      if (ends(this.#script.lines[this.#at]!.command)) return this.#begin();
      this.#next();
    }
    this.#over = true;
    return null;
  }

  #see(line: string): void {
    this.#seen.push(line);
  }

  #execute(verb: string, [a = '', b = '', c = '', ...more]: readonly string[]): void {
    const provider = this.#provider;
    const socket = (): Socket => {
      const s = this.#sockets.get(a);
      if (s === undefined) throw new Error(`there is no socket ${a}`);
      return s;
    };
    const result = (call: string, make: () => unknown): void => {
      make();
      this.#results.push(`${call} = ${this.#errno.value}`);
    };
    const port = a.charCodeAt(0) - 65 + 5000;
    switch (verb) {
      case 'network:':
        return;
      case 'startup':
        this.#errno.value = provider.WSPStartupEx(
          a === '' ? 0x0202 : 0x0101,
          { wVersion: 0, wHighVersion: 0, szDescription: '' },
          tcpProtocolInfo(),
          this.#upcalls(),
          {},
        );
        return void this.#results.push(`WSPStartupEx = ${this.#errno.value}`);
      case 'cleanup':
        return result('WSPCleanup', () => provider.WSPCleanup(this.#errno));
      case 'socket':
        return this.#socket(a, null, b !== '');
      case 'take': {
        const info = b === 'listener' ? this.#listenerElsewhere() : this.#tokens.get(b)!;
        // It is for this process alone, and for one time.
        this.#redeemInVain(info, PROCESS + 1);
        this.#socket(a, info, c !== '');
        // A provider that works no more has not looked at it.
        const refusals: readonly number[] = [WSA.WSANOTINITIALISED, WSA.WSAENETDOWN];
        if (!refusals.includes(this.#errno.value)) this.#redeemInVain(info, PROCESS);
        return;
      }
      case 'handle':
        throw new Error('no handle is being asked for');
      case 'adapter':
        throw new Error('the adapter is not being closed');
      case 'bind': {
        const name = toSockaddr({ family: 'IPv4', address: '10.0.0.1', port });
        return result('WSPBind', () => provider.WSPBind(socket(), name, name.length, this.#errno));
      }
      case 'connect': {
        this.#naming = a;
        const name = toSockaddr({ family: 'IPv4', address: '10.0.0.2', port: 6000 });
        return result('WSPConnect', () =>
          provider.WSPConnect(socket(), name, name.length, null, null, null, null, this.#errno),
        );
      }
      case 'established': {
        // A peer that is no provider says nothing of itself.
        const privateData = b === 'stranger' ? new Uint8Array(0) : handshake(1);
        return this.#event({ type: 'established', connector: this.#connectorOf(a), privateData });
      }
      case 'listen':
        if (c !== '') this.#adapter.refuseListen();
        return result('WSPListen', () => provider.WSPListen(socket(), Number(b), this.#errno));
      case 'arrive': {
        const connector = this.#adapter.arrival();
        this.#connectors.set(connector, a);
        return this.#event({
          type: 'connectRequest',
          listener: this.#adapter.listenerAt(b.charCodeAt(0) - 65 + 5000),
          connector,
          local: { family: 'IPv4', address: '10.0.0.1', port: 5000 },
          remote: { family: 'IPv4', address: '10.0.0.2', port: ARRIVAL_PORT + Number(a.slice(1)) },
          privateData: handshake(100 + Number(a.slice(1))),
        });
      }
      case 'withdraw': {
        const connector = this.#connectorOf(a);
        this.#adapter.withdraw(connector);
        return this.#event({ type: 'withdrawn', connector });
      }
      case 'accept':
        return this.#accept(socket(), b, c !== '', more[0] !== undefined && more[0] === 'handle');
      case 'verdict':
        throw new Error('a verdict outside of a condition function');
      case 'select':
        return result('WSPEventSelect', () =>
          provider.WSPEventSelect(socket(), b === 'nothing' ? 0n : eventOf(a), networkEvents[b]!, this.#errno),
        );
      case 'enumerate':
        return result('WSPEnumNetworkEvents', () => {
          const events = new WsaNetworkEvents();
          provider.WSPEnumNetworkEvents(socket(), eventOf(a), events, this.#errno);
          const { lNetworkEvents: mask, iErrorCode } = events;
          this.#see(
            eventsLine(
              (mask & FD_ACCEPT) === 0 ? null : iErrorCode[FD_ACCEPT_BIT]!,
              (mask & FD_CONNECT) === 0 ? null : iErrorCode[FD_CONNECT_BIT]!,
            ),
          );
        });
      case 'register': {
        const memory = this.#memories.get(b) ?? new Uint8Array(REGION_BYTES);
        this.#memories.set(b, memory);
        this.#memoryOf.set(a, memory);
        return result('WSPRegisterMemory', () => {
          const handle = provider.WSPRegisterMemory(socket(), memory, memory.length, MEM_READWRITE, this.#errno);
          if (this.#errno.value === 0) this.#handleOf.set(a, handle);
        });
      }
      case 'deregister':
        return result('WSPDeregisterMemory', () =>
          provider.WSPDeregisterMemory(socket(), b === 'unknown' ? 0x7777n : this.#handleOf.get(a)!, this.#errno),
        );
      case 'send':
      case 'receive':
      case 'write':
      case 'read':
        if (b === 'refused') return this.#refused(verb, socket(), a, Number(c));
        return this.#transfer(verb, socket(), a, b, c, Number(more[0] ?? 1));
      case 'carry': {
        // What was posted says which connection moves; the peer that the script has plays both ends of it.
        const { mailboxKey, connectionId } = this.#handshakeOf(b);
        encodeMailbox(this.#adapter.memoryOf(mailboxKey), connectionId);
        return;
      }
      case 'reattach': {
        const connector = this.#adapter.arrival();
        this.#connectors.set(connector, a);
        const { connectionId } = this.#handshakeOf(a);
        return this.#event({
          type: 'connectRequest',
          listener: this.#adapter.listenerAt(driverLimits.reattachPort),
          connector,
          local: { family: 'IPv4', address: '10.0.0.1', port: driverLimits.reattachPort },
          remote: { family: 'IPv4', address: '10.0.0.2', port: 6001 },
          privateData: encodeHandshake({ ...peerEnd, reattach: true, connectionId }),
        });
      }
      case 'fail':
        return this.#end(a === 'notice' || a === 'first' ? `${a} ${b}` : a, CompletionStatus.localProtection);
      case 'complete':
        if (a === 'notice') return this.#complete(`notice ${b}`, 0);
        return a === 'first'
          ? this.#complete(`first ${b}`, Number(more[0] ?? 0), more[1] === 'long')
          : this.#complete(a, Number(c || 0));
      case 'flush':
        return this.#end(a === 'first' ? `first ${b}` : a, CompletionStatus.flushed);
      case 'refused':
        return this.#event({
          type: 'rejected',
          connector: this.#connectorOf(a),
          // A provider says why; where there is none, the adapter says that nobody listens.
          reason: Number(b) === WSA.WSAECONNREFUSED ? 0 : NO_SUCH_SERVICE,
          privateData: Number(b) === WSA.WSAECONNREFUSED ? encodeReject(RejectReason.condition) : new Uint8Array(0),
        });
      case 'unanswered':
        return this.#event({ type: 'connectFailed', connector: this.#connectorOf(a) });
      case 'obstruct':
        if (a === 'listen') return this.#adapter.refuseListen();
        if (a === 'prepare' || a === 'accept') return this.#adapter.refuseNext(a);
        if (a === 'open') return this.#adapter.refuseOpen(openStatus[Number(b)]!);
        if (a.startsWith('b')) return this.#adapter.refuseRegistration(this.#memories.get(a)!);
        return this.#adapter.refuseConnect(connectStatus[Number(a)]!);
      case 'fill':
        return this.#adapter.fill(this.#connectorOf(a));
      case 'disconnected':
        return this.#event({ type: 'disconnected', connector: this.#connectorOf(a) });
      case 'removed':
        return this.#event({ type: 'removed', connector: this.#connectorOf(a) });
      case 'lose':
        return this.#event({ type: 'listenerRemoved', listener: this.#adapter.listenerAt(port) });
      case 'remove':
        this.#adapter.remove();
        return this.#event({ type: 'deviceRemoved' });
      case 'expire': {
        const row = this.#running.get(a);
        if (row === undefined) throw new Error(`no timer of ${a} is running`);
        this.#running.delete(a);
        this.#expired = row;
        provider.collect();
        if (this.#expired >= 0) throw new Error(`nobody took the timer of ${a}`);
        return;
      }
      case 'notify':
        this.#notifying = true;
        provider.report(1);
        if (this.#notifying) throw new Error('no completion up-call was made');
        return;
      case 'option':
        return result('WSPSetSockOpt', () =>
          provider.WSPSetSockOpt(socket(), SOL_SOCKET, SO_DEBUG, new Uint8Array([1, 0, 0, 0]), 4, this.#errno),
        );
      case 'duplicate':
        return result('WSPDuplicateSocket', () => {
          const info = tcpProtocolInfo();
          provider.WSPDuplicateSocket(socket(), PROCESS, info, this.#errno);
          if (this.#errno.value === 0) this.#tokens.set(a, info);
        });
      case 'close':
        result('WSPCloseSocket', () => provider.WSPCloseSocket(socket(), this.#errno));
        for (const line of callsOfClosed(provider, socket())) this.#see(line);
        return;
      default:
        throw new Error(`there is no command '${verb}'`);
    }
  }

  #event(event: ConnectionEvent): void {
    this.#adapter.announce(event);
    this.#turn();
  }

  /** The first half of a turn, which takes what was put into the adapter. */
  #turn(): void {
    this.#provider.collect();
    // Once it is cleaned up, it is not interested.
    if (this.#provider.system.refusal(M.provider, 0) === WSA.WSANOTINITIALISED) return this.#adapter.hush();
    if (!this.#adapter.isQuiet) throw new Error('the driver has not polled');
  }

  #accept(listener: Socket, name: string, asking: boolean, askingHandle: boolean): void {
    const condition = !asking
      ? null
      : ({ buf }: { readonly buf: Uint8Array }): number => {
          this.#see(`condition p${buf[2]! * 256 + buf[3]! - ARRIVAL_PORT}`);
          const words = this.#inside((command) => command.startsWith('verdict '));
          this.#verdict = words === null ? CF_REJECT : verdicts[words[1]!]!;
          this.#naming = name;
          this.#asking = askingHandle;
          return this.#verdict;
        };
    this.#naming = name;
    this.#asking = askingHandle;
    const s = this.#provider.WSPAccept(listener, null, null, condition as never, null, this.#errno);
    if (this.#errno.value === 0) this.#sockets.set(name, s);
    this.#results.push(`WSPAccept = ${this.#errno.value}`);
  }

  /** WSPSocket; `asking`: the script says what becomes of the handle. */
  #socket(name: string, info: WsaProtocolInfo | null, asking: boolean): void {
    this.#naming = name;
    this.#asking = asking;
    const s = this.#provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, WSA_FLAG_OVERLAPPED, this.#errno);
    if (this.#errno.value === 0) this.#sockets.set(name, s);
    this.#results.push(`WSPSocket = ${this.#errno.value}`);
  }

  /** Tries `info` in a provider of a process in which its token is worth nothing. @throws Error when it is worth something */
  #redeemInVain(info: WsaProtocolInfo, processId: number): void {
    const provider = new Provider({
      adapter: new ScriptedAdapter(unheard),
      clock: { nowMs: () => 0, setTimer: () => undefined, cancelTimer: () => undefined, takeExpired: () => -1 },
      duplication: this.#duplication,
      config: { ...config, processId },
    });
    const version = { wVersion: 0, wHighVersion: 0, szDescription: '' };
    const upcalls = { ...this.#upcalls(), WPUCreateSocketHandle: () => 1n };
    const started = provider.WSPStartupEx(0x0202, version, tcpProtocolInfo(), upcalls, {});
    const errno = out(0);
    const s = provider.WSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, WSA_FLAG_OVERLAPPED, errno);
    if (started !== 0 || s !== INVALID_SOCKET || errno.value !== WSA.WSAEINVAL) {
      throw new Error(`a token that is worth nothing gives ${errno.value} to process ${processId}`);
    }
  }

  /** A call whose buffers are wrong, so that it is refused with `error` where its socket would take it. */
  #refused(kind: Transfer, s: Socket, owner: string, error: number): void {
    const wrong = new Uint8Array(8);
    // Memory outside of a registration is WSAEFAULT; of RDMA, that a registration is none is WSAEINVAL.
    const handle = error === WSA.WSAEFAULT ? (this.#handleOf.get(owner) ?? 0n) : 0n;
    this.#call(kind, s, [{ len: wrong.length, buf: wrong, handle }], new WsaOverlapped());
    this.#results.push(`${calls[kind]} = ${this.#errno.value}`);
  }

  #transfer(kind: Transfer, s: Socket, owner: string, name: string, how: string, pieces: number): void {
    if (!this.#memoryOf.has(owner)) this.#registerSilently(owner, s);
    const slice = SLICE_BYTES * Number(name.slice(1));
    const length = kind === 'receive' ? SLICE_BYTES : SEND_BYTES;
    const memory = this.#memoryOf.get(owner)!.subarray(slice, slice + length);
    // No two messages are alike.
    if (kind === 'send') memory.fill(0x40 + ++this.#sends);
    const overlapped = new WsaOverlapped();
    overlapped.hEvent = how === 'polled' ? 1n : 0x20n;
    const request: Request = { kind, owner, overlapped, memory, started: false, said: '' };
    this.#requests.set(name, request);
    // As many elements as make so many pieces: all but the last piece are full.
    const count = (pieces - 1) * this.#adapter.capabilities.elementsMax + 1;
    const size = Math.floor(length / count);
    const buffers = Array.from({ length: count }, (_, index) => {
      const buf = memory.subarray(index * size, index === count - 1 ? length : (index + 1) * size);
      return { len: buf.length, buf, handle: this.#handleOf.get(owner) ?? 0n };
    });
    this.#call(kind, s, buffers, overlapped);
    request.started = this.#errno.value === WSA.WSA_IO_PENDING;
    this.#results.push(`${calls[kind]} = ${this.#errno.value}`);
  }

  /** Memory for a socket of a script that says nothing of memory. */
  #registerSilently(owner: string, s: Socket): void {
    const memory = new Uint8Array(REGION_BYTES);
    this.#memoryOf.set(owner, memory);
    this.#handleOf.set(owner, this.#provider.WSPRegisterMemory(s, memory, memory.length, MEM_READWRITE, out(0)));
  }

  #call(kind: Transfer, s: Socket, buffers: readonly WsaBufEx[], overlapped: WsaOverlapped): void {
    const provider = this.#provider;
    const { length } = buffers;
    const none = [null, null] as const;
    if (kind === 'send') provider.WSPSend(s, buffers, length, null, 0, overlapped, ...none, this.#errno);
    else if (kind === 'receive') provider.WSPRecv(s, buffers, length, null, out(0), overlapped, ...none, this.#errno);
    else {
      const call = kind === 'write' ? provider.WSPRdmaWrite : provider.WSPRdmaRead;
      const there = { access: 3, address: 0x20_0000, length: REGION_BYTES, key: 99, id: 1n };
      const descriptor = encodeDescriptor(there);
      const target = [descriptor, descriptor.length, 0, null, 0] as const;
      call.call(provider, s, buffers, length, ...target, overlapped, ...none, this.#errno);
    }
  }

  #posted(work: Posted): void {
    const name = this.#nameOf(work);
    this.#works.set(name, [...(this.#works.get(name) ?? []), work]);
    this.#posts.push(`post ${name}${work.fence ? ' fenced' : ''}`);
  }

  #nameOf(work: Posted): string {
    if (work.context === MAILBOX_CONTEXT) return `notice ${this.#connectors.get(work.connector)}`;
    const first = work.elements[0]!;
    const memory = this.#adapter.memoryAt(first);
    for (const [name, request] of this.#requests) {
      if (request.memory.buffer !== memory.buffer) continue;
      const offset = memory.byteOffset - request.memory.byteOffset;
      if (offset < 0 || offset >= request.memory.length) continue;
      const { kind } = request;
      if (opcodes[kind] !== work.opcode) throw new Error(`${name} is posted as another kind`);
      return name;
    }
    // A socket that was taken over posts it before it connects.
    return `first ${this.#connectors.get(work.connector) ?? this.#naming}`;
  }

  /** Takes the oldest work request of a request, or the private first receive, out of the adapter. */
  #take(name: string): Posted {
    const [work, ...rest] = this.#works.get(name) ?? [];
    if (work === undefined) throw new Error(`${name} is not at the adapter`);
    this.#works.set(name, rest);
    return work;
  }

  #complete(name: string, message: number, isLong = false): void {
    const work = this.#take(name);
    const bytes = isLong ? SLICE_BYTES + 1 : messageBytes(message);
    if (message > 0) this.#adapter.memoryAt(work.elements[0]!).fill(message, 0, bytes);
    this.#adapter.complete(work, CompletionStatus.success, bytes);
    this.#turn();
  }

  /** A work request ends otherwise than with success. */
  #end(name: string, status: number): void {
    this.#adapter.complete(this.#take(name), status, 0);
    this.#turn();
  }

  /** What a socket said of itself when it connected, or was accepted. */
  #handshakeOf(name: string): Handshake {
    const own = this.#handshakes.get(name);
    if (own === undefined) throw new Error(`${name} has said nothing of itself`);
    return own;
  }

  /** A listener of another process, to be taken over. */
  #listenerElsewhere(): WsaProtocolInfo {
    const info = tcpProtocolInfo();
    const local = { family: 'IPv4', address: '10.0.0.1', port: 5000 } as const;
    const options = { debug: 0, noDelay: 0 };
    const socket = { listening: true, backlog: 1, local, remote: null, connectionId: null, peer: null, options };
    info.dwProviderReserved = this.#duplication.put(socket, PROCESS)!;
    return info;
  }

  #connectorOf(name: string): number {
    for (const [connector, of] of this.#connectors) if (of === name) return connector;
    throw new Error(`${name} has no connector`);
  }

  #connectorCalled(what: string, connector: number, privateData?: Uint8Array): void {
    if (what === 'connect') this.#connectors.set(connector, this.#naming);
    const known = this.#connectors.get(connector) ?? '';
    // One that comes back has its socket's name already, and an arrival gets it when it is taken.
    const name = what.startsWith('prepare') && !/^[A-Z]$/.test(known) ? this.#naming : known;
    if (what === 'prepare') this.#connectors.set(connector, name);
    const own = what === 'connect' || what === 'accept' ? decodeHandshake(privateData!) : null;
    if (what === 'connect') this.#handshakes.set(this.#naming, own!);
    if (what === 'accept' && !this.#handshakes.has(name)) this.#handshakes.set(name, own!);
    const why = privateData === undefined || own !== null ? '' : ` reason ${decodeReject(privateData)}`;
    this.#see(`adapter ${what.split(' ')[0]} ${name}${why}`);
    if (what !== 'destroy' && what !== 'reject') return;
    this.#connectors.delete(connector);
    // With it went what was posted to it.
    for (const [name, works] of this.#works) {
      this.#works.set(
        name,
        works.filter((work) => work.connector !== connector),
      );
    }
  }

  #clock(): Clock {
    return {
      nowMs: () => 0,
      setTimer: (row, ms) => {
        const name = this.#rows.get(row)!;
        this.#running.set(name, row);
        this.#see(`timer ${name} ${timerNames[ms]}`);
      },
      cancelTimer: (row) => {
        const name = this.#rows.get(row)!;
        this.#running.delete(name);
        this.#see(`timer ${name} stopped`);
      },
      takeExpired: () => {
        const row = this.#expired;
        this.#expired = -1;
        return row;
      },
    };
  }

  #upcalls(): WspUpcallTable {
    return {
      WPUCreateSocketHandle: (_catalog: number, context: Socket, lpErrno): Socket => {
        const name = this.#naming;
        this.#see(`WPUCreateSocketHandle ${name}`);
        if (this.#asking) {
          const words = this.#inside((command) => command.startsWith(`handle ${name} `));
          if (words !== null && words[2] !== 'ok') {
            lpErrno.value = Number(words[2]);
            return INVALID_SOCKET;
          }
        }
        const handle = this.#nextHandle++;
        this.#handles.set(handle, name);
        this.#rows.set(Number(context & ROW_MASK), name);
        return handle;
      },
      WPUCloseSocketHandle: (handle: Socket): number => {
        this.#see(`WPUCloseSocketHandle ${this.#handles.get(handle)}`);
        this.#handles.delete(handle);
        return 0;
      },
      WPUCompleteOverlappedRequest: (
        handle: Socket,
        overlapped: WsaOverlapped,
        error: number,
        bytes: number,
      ): number => {
        // The last clean-up makes what is due by itself.
        if (!this.#notifying) this.#inside((command) => command.startsWith('notify '));
        this.#notifying = false;
        const owner = this.#handles.get(handle);
        const [name, request] = [...this.#requests].find(([, known]) => known.overlapped === overlapped)!;
        this.#see(`WPUCompleteOverlappedRequest ${name} ${error} ${this.#moved(request, error, bytes)}`);
        if (owner !== request.owner) this.#see(`with the handle of ${owner ?? 'nobody'}`);
        const words = this.#inside((command) => command.startsWith(`return ${owner} `));
        const failed = words !== null && words[2] === 'failed';
        if (!failed) overlapped.internal = 0n;
        return failed ? -1 : 0;
      },
      WPUSetEvent: (event) => {
        this.#see(`WPUSetEvent ${ownerOf(event)}`);
        return true;
      },
      WPUResetEvent: (event) => {
        this.#see(`WPUResetEvent ${ownerOf(event)}`);
        return true;
      },
    };
  }

  /** @throws Error when the memory does not hold what is said to be in it */
  #moved({ kind, memory }: Request, error: number, bytes: number): string {
    if (error !== 0) return bytes === 0 ? moved(error, kind, 0) : `${bytes} bytes`;
    if (kind !== 'receive') return bytes === memory.length ? 'all' : `${bytes} bytes`;
    const message = bytes / 10;
    if (!memory.subarray(0, bytes).every((byte) => byte === message)) return `message ${message}, not in its place`;
    return moved(error, kind, message);
  }

  #structures(): string[] {
    const changed: string[] = [];
    for (const [name, request] of [...this.#requests].sort(([left], [right]) => byNumber(left, right))) {
      const { words } = request.overlapped;
      const now = !request.started
        ? 'not started'
        : words[0] === WSS_OPERATION_IN_PROGRESS
          ? 'in progress'
          : `done ${words[5]} ${this.#moved(request, words[5]!, words[2]!)}`;
      if (now === request.said) continue;
      request.said = now;
      changed.push(`${name}: ${now}`);
    }
    return changed;
  }
}

/** What the peer says of itself. */
const peerEnd = { reattach: false, reattachPort: 6001, mailboxAddress: 0x10_0000, mailboxKey: 1 };
const handshake = (id: number): Uint8Array =>
  encodeHandshake({ ...peerEnd, connectionId: new Uint8Array(16).fill(id) });

/**
 * Plays `script` on a new driver.
 *
 * @param tables - instead of production's
 * @throws {@link Mismatch} with the command, what was predicted and what was seen
 */
export function play(script: Script, tables?: ProviderOptions['tables']): void {
  new Player(script, tables).play();
}

/** Why no real adapter can be brought to do what `script` says; null when one can. */
export function obstacleToLive({ lines }: Script): string | null {
  const some = (pattern: RegExp): boolean => lines.some(({ command }) => pattern.test(command));
  if (some(/^(fail|fill|obstruct|remove)|without|to fail/)) return 'it prescribes a fault of the adapter';
  if (some(/^network: the link of|can't be carried out/)) return 'it prescribes a fault of the network';
  if (some(/^(arrive|listen|withdraw|accept|refused|unanswered|reattach|take|duplicate)/)) {
    return 'its peer is no socket of the same driver';
  }
  if (new Set(lines.map(({ command }) => /^established (\w)/.exec(command)?.[1])).size < 3)
    return 'it makes no connection';
  return null;
}

/**
 * Plays `script` on a new driver over a real adapter, which serves `address` and connects to itself.
 *
 * @param real - not open yet
 * @returns how many work requests the real adapter has done
 * @throws {@link Impossible}; {@link Mismatch} as {@link play}, or when the real adapter does otherwise
 */
export async function playOver(
  script: Script,
  real: Adapter,
  address: string,
  traits: LiveTraits = { flushesWhenPeerLeaves: true },
): Promise<number> {
  let adapter: LiveAdapter | null = null;
  const player = new Player(script, undefined, (listener, fateOf) => {
    adapter = new LiveAdapter(listener, real, address, traits, fateOf);
    return adapter;
  });
  const live = adapter as unknown as LiveAdapter;
  try {
    await player.playOver(live);
  } finally {
    live.end();
  }
  return live.done;
}
