/**
 * A scripted adapter whose work a real one does: what a script says that the adapter completes, it has completed.
 *
 * Theory of operation: the driver sees the scripted adapter, so the order in which it hears of things is the script's. Below,
 * the connectors of the two sockets that a script connects are the two ends of one connection of the real adapter to
 * itself, their memory is registered there, and their work requests are posted there. Before the script lets a
 * completion or an event come, the real one is awaited and compared: status, length and what a message holds. What the
 * script never completes is posted when the connection has ended, and has to be flushed then.
 */

import { strict as assert } from 'node:assert';
import {
  type Adapter,
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  CompletionStatus,
  type ConnectionEvent,
  MemoryAccess,
  type MemoryRegion,
  Opcode,
  type QueueDepths,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/index.ts';
import { type AdapterListener, type Posted, ScriptedAdapter } from './scripted-adapter.ts';

/** In what adapters differ that scripts depend on. */
export interface LiveTraits {
  /**
   * Whose peer has left has its receives flushed. A RoCE device flushes nothing before its own end disconnects: of a peer
   * that leaves only the connection manager hears.
   */
  readonly flushesWhenPeerLeaves: boolean;
}

/** What is to become of a work request. */
export type Fate = 'complete' | 'flush' | 'none';

/** A work request and what became of it. */
interface Work {
  readonly posted: Posted;
  readonly words: Uint32Array;
  readonly fate: Fate;
  isPosted: boolean;
  ended: { readonly status: number; readonly bytes: number } | null;
}

/** One end of the connection. */
class End {
  readonly domain: number;
  readonly depths: QueueDepths;
  connector = -1;
  /** A peer's RDMA goes here. */
  target: MemoryRegion | null = null;
  isConnected = false;
  isGone = false;
  hasLeft = false;
  hasHeard = false;
  readonly works: Work[] = [];
  /** Receives that the real adapter was handed. */
  receives = 0;
  /** What it was handed to send, oldest first. */
  readonly messages: Uint8Array[] = [];

  constructor(domain: number, depths: QueueDepths) {
    this.domain = domain;
    this.depths = depths;
  }
}

const TARGET_BYTES = 1024;
const PATIENCE_MS = 10_000;
const SMALL = 16;
let nextPort = 30_000;

export class LiveAdapter extends ScriptedAdapter {
  readonly #real: Adapter;
  readonly #address: string;
  readonly #posted: Posted[];
  readonly #domains = new Map<number, number>();
  readonly #regions = new Map<number, { readonly virtual: MemoryRegion; readonly real: MemoryRegion }>();
  readonly #ends = new Map<number, End>();
  readonly #works: Work[] = [];
  readonly #events: ConnectionEvent[] = [];
  readonly #fateOf: (posted: Posted) => Fate;
  readonly #traits: LiveTraits;
  /** As the connection was made, whatever has become of them. */
  readonly #both: End[] = [];
  #listening = -1;
  /** Work requests that the real adapter has completed. */
  done = 0;

  /**
   * @param real - not open yet; closed by {@link LiveAdapter.end}
   * @param address - that it serves
   * @param fateOf - what the script says of a work request that was just posted
   */
  constructor(
    listener: AdapterListener,
    real: Adapter,
    address: string,
    traits: LiveTraits,
    fateOf: (posted: Posted) => Fate,
  ) {
    const posted: Posted[] = [];
    super({
      ...listener,
      posted: (work) => {
        posted.push(work);
        listener.posted(work);
      },
    });
    this.#posted = posted;
    this.#real = real;
    this.#address = address;
    this.#traits = traits;
    this.#fateOf = fateOf;
    assert.equal(real.open(), AdapterStatus.ok);
  }

  /** Closes the real adapter. @returns what it still held */
  end(): void {
    this.#real.close();
  }

  override allocateProtectionDomain(): number {
    const domain = super.allocateProtectionDomain();
    this.#domains.set(domain, this.#ok(this.#real.allocateProtectionDomain(this.#address)));
    return domain;
  }

  override freeProtectionDomain(domain: number): void {
    for (const end of this.#ends.values()) if (end.domain === this.#domains.get(domain)) this.#forgetTarget(end);
    this.#real.freeProtectionDomain(this.#domains.get(domain)!);
    super.freeProtectionDomain(domain);
  }

  override registerMemory(domain: number, memory: Uint8Array, access = 0): MemoryRegion | number {
    const virtual = super.registerMemory(domain, memory);
    if (typeof virtual === 'number') return virtual;
    const real = this.#real.registerMemory(this.#domains.get(domain)!, memory, access);
    if (typeof real === 'number') throw new Error(`registerMemory: ${real}`);
    this.#regions.set(virtual.id, { virtual, real });
    return virtual;
  }

  override deregisterMemory(id: number): void {
    this.#real.deregisterMemory(this.#regions.get(id)!.real.id);
    super.deregisterMemory(id);
  }

  override createConnector(domain: number, depths: QueueDepths = { send: SMALL, receive: SMALL }): number {
    const connector = super.createConnector(domain);
    this.#ends.set(connector, new End(this.#domains.get(domain)!, depths));
    return connector;
  }

  override connect(...args: Parameters<ScriptedAdapter['connect']>): number {
    const [connector] = args;
    const status = super.connect(...args);
    this.#ends.get(connector)!.isConnected = true;
    return status;
  }

  override disconnect(connector: number): void {
    const end = this.#ends.get(connector);
    if (end !== undefined && end.connector >= 0) {
      end.hasLeft = true;
      this.#real.disconnect(end.connector);
    }
    super.disconnect(connector);
  }

  override destroyConnector(connector: number): void {
    const end = this.#ends.get(connector);
    if (end !== undefined && end.connector >= 0) this.#real.destroyConnector(end.connector);
    if (end !== undefined) {
      this.#forgetTarget(end);
      end.isGone = true;
    }
    this.#ends.delete(connector);
    super.destroyConnector(connector);
  }

  override post(count: number): number {
    this.#posted.length = 0;
    const taken = super.post(count);
    for (const [index, posted] of this.#posted.slice(0, taken).entries()) {
      const words = this.workRequests.slice(index * WORK_REQUEST_WORDS, (index + 1) * WORK_REQUEST_WORDS);
      const work: Work = { posted, words, fate: this.#fateOf(posted), isPosted: false, ended: null };
      this.#ends.get(posted.connector)!.works.push(work);
      this.#works.push(work);
    }
    return taken;
  }

  /** Connects both ends, once both have asked for it. */
  async connected(): Promise<void> {
    const [answering, asking] = [...this.#ends.values()];
    if (this.#listening >= 0 || asking?.isConnected !== true || answering?.isConnected !== true) return;
    this.#both.push(answering, asking);
    const real = this.#real;
    nextPort = nextPort < 32_000 ? nextPort + 1 : 30_000;
    const at = { family: 'IPv4', address: this.#address, port: nextPort } as const;
    this.#listening = this.#ok(real.listen(at));
    asking.connector = this.#ok(real.createConnector(asking.domain, asking.depths));
    this.#ok(real.connect(asking.connector, { ...at, port: 0 }, at, new Uint8Array(0)));
    const request = await this.#event('connectRequest');
    answering.connector = request.connector;
    this.#ok(real.prepareAccept(answering.connector, answering.domain, answering.depths));
    this.#ok(real.accept(answering.connector, new Uint8Array(0)));
    await this.#event('established', asking.connector);
    await this.#event('established', answering.connector);
    real.stopListening(this.#listening);
    const access = MemoryAccess.localWrite | MemoryAccess.remoteRead | MemoryAccess.remoteWrite;
    for (const end of [asking, answering]) {
      const region = real.registerMemory(end.domain, new Uint8Array(TARGET_BYTES), access);
      if (typeof region === 'number') throw new Error(`registerMemory: ${region}`);
      end.target = region;
    }
  }

  /**
   * Waits until the real adapter has ended that work request as the script wants it.
   *
   * @param message - which of its peer's a receive gets, from 1 on; 0 for the private first one
   * @returns false when it waits for something that the script has still to do
   * @throws AssertionError when it ends otherwise
   */
  async ended(posted: Posted, fate: 'complete' | 'flush', message: number): Promise<boolean> {
    const work = this.#works.find((candidate) => candidate.posted === posted);
    assert.ok(work !== undefined, 'it was not posted');
    this.#hand();
    if (!work.isPosted) return false;
    const isMessage = fate === 'complete' && message > 0;
    if (isMessage && this.#peerOf(posted.connector).messages.length < message) return false;
    await this.#until(() => work.ended !== null, `${fate} of opcode ${posted.opcode}`);
    const { status, bytes } = work.ended!;
    assert.equal(
      status,
      fate === 'complete' ? CompletionStatus.success : CompletionStatus.flushed,
      'status of the real completion',
    );
    if (!isMessage) return true;
    const sent = this.#peerOf(posted.connector).messages[message - 1];
    assert.ok(sent !== undefined, 'a message that nobody sent');
    assert.equal(Buffer.compare(gathered(this, posted).subarray(0, bytes), sent), 0, `what message ${message} holds`);
    return true;
  }

  /** Waits until what the real adapter was handed, and the script lets end well, has ended: each message is received. */
  async settled(): Promise<void> {
    const [left, right] = this.#both;
    if (left === undefined || [left, right!].some(({ hasLeft, hasHeard }) => hasLeft || hasHeard)) return;
    const isOver = ({ fate, isPosted, posted, ended }: Work): boolean =>
      fate !== 'complete' || !isPosted || posted.opcode === Opcode.receive || ended !== null;
    const received = ({ works }: End): number =>
      works.filter(({ posted, ended }) => posted.opcode === Opcode.receive && ended !== null).length;
    const isReceived = (end: End, peer: End): boolean => received(end) >= peer.messages.length;
    await this.#until(
      () => this.#works.every(isOver) && isReceived(left, right!) && isReceived(right!, left),
      'the end of what it was handed',
    );
  }

  /** Waits until a connector has heard that its peer is gone. */
  async parted(connector: number): Promise<void> {
    const end = this.#ends.get(connector);
    if (end === undefined || end.connector < 0 || end.hasLeft || end.hasHeard) return;
    await this.#until(() => {
      if (this.#taken('disconnected', end.connector) !== null) end.hasHeard = true;
      return end.hasHeard;
    }, 'disconnected');
  }

  /** Whether the adapter can flush now what that connector has posted. */
  canFlush(connector: number): boolean {
    return this.#traits.flushesWhenPeerLeaves || this.#ends.get(connector)?.hasLeft !== false;
  }

  /** Hands on what the script lets end, and what it flushes once the connection has ended. */
  #hand(): void {
    // An end that lets messages come may be the second.
    for (const end of [...this.#both, ...this.#both]) {
      const peer = this.#both.find((other) => other !== end)!;
      if (end.isGone) continue;
      let waits = false;
      for (const work of end.works) {
        const isReceive = work.posted.opcode === Opcode.receive;
        if (work.isPosted || (waits && !isReceive)) continue;
        waits = !isReceive && !this.#mayGo(work, end, peer);
        if (waits) continue;
        const { workRequests } = this.#real;
        const words = work.words.slice();
        words[WorkRequestField.connector] = end.connector;
        words[WorkRequestField.context] = this.#works.indexOf(work);
        if (work.posted.opcode === Opcode.rdmaWrite || work.posted.opcode === Opcode.rdmaRead) {
          words[WorkRequestField.remoteKey] = peer.target?.remoteKey ?? 0;
          setAddress(words, WorkRequestField.remoteAddressLow, peer.target?.address ?? 0);
        }
        for (const [index, { key, address }] of work.posted.elements.entries()) {
          const { virtual, real } = this.#regions.get(key)!;
          const at = WorkRequestField.elements + 4 * index;
          words[at] = real.localKey;
          setAddress(words, at + 2, real.address + address - virtual.address);
        }
        workRequests.set(words);
        work.isPosted = true;
        if (this.#real.post(1) < 1) {
          if (!end.hasLeft) throw new Error('the real adapter has no room');
          // It has let go of the queue pair already, into which the driver had posted while it was there.
          work.ended = { status: CompletionStatus.flushed, bytes: 0 };
          continue;
        }
        if (isReceive) end.receives++;
        if (work.posted.opcode === Opcode.send) end.messages.push(gathered(this, work.posted));
      }
    }
  }

  /** Whether a send, read or write can be handed to the real adapter. */
  #mayGo({ posted, fate }: Work, end: End, peer: End): boolean {
    if (end.hasLeft || end.hasHeard) return true;
    if (fate !== 'complete') return false;
    // In a world a message waits for its receive; over iWARP it would end the connection.
    return posted.opcode !== Opcode.send || end.messages.length < peer.receives;
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      this.#hand();
      this.#collect();
      if (isSo()) return;
      if (performance.now() > endMs) throw new Error(`the real adapter never brings: ${what}`);
      if (this.#real.wakeUp.arm()) await new Promise((resolve) => setImmediate(resolve));
      else {
        const late = Promise.withResolvers<void>();
        const timer = setTimeout(late.resolve, 100);
        this.#real.wakeUp.wait(late.resolve);
        await late.promise;
        clearTimeout(timer);
      }
    }
  }

  #collect(): void {
    const { completions } = this.#real;
    for (let count = this.#real.poll(); count > 0; count = this.#real.poll()) {
      for (let base = 0; base < count * COMPLETION_WORDS; base += COMPLETION_WORDS) {
        const work = this.#works[completions[base + CompletionField.context]!]!;
        assert.equal(work.ended, null, 'a second completion');
        work.ended = {
          status: completions[base + CompletionField.status]!,
          bytes: completions[base + CompletionField.bytes]!,
        };
        this.done++;
      }
    }
    for (let event = this.#real.pollConnectionEvent(); event !== null; event = this.#real.pollConnectionEvent()) {
      this.#events.push(event);
    }
  }

  #taken(type: ConnectionEvent['type'], connector?: number): ConnectionEvent | null {
    const at = this.#events.findIndex(
      (event) =>
        event.type === type && (connector === undefined || ('connector' in event && event.connector === connector)),
    );
    return at < 0 ? null : this.#events.splice(at, 1)[0]!;
  }

  async #event<T extends ConnectionEvent['type']>(type: T, connector?: number) {
    let event: ConnectionEvent | null = null;
    await this.#until(() => {
      event ??= this.#taken(type, connector);
      return event !== null;
    }, type);
    return event as unknown as Extract<ConnectionEvent, { readonly type: T }>;
  }

  #peerOf(connector: number): End {
    const own = this.#works.find(({ posted }) => posted.connector === connector);
    return this.#both.find((end) => own === undefined || !end.works.includes(own))!;
  }

  #forgetTarget(end: End): void {
    if (end.target !== null) this.#real.deregisterMemory(end.target.id);
    end.target = null;
  }

  #ok(status: number): number {
    if (status < 0) throw new Error(`the real adapter answers ${status}`);
    return status;
  }
}

function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address % 2 ** 32;
  words[at + 1] = address / 2 ** 32;
}

/** What lies in a work request's elements. */
function gathered(adapter: ScriptedAdapter, { elements }: Posted): Uint8Array {
  return new Uint8Array(Buffer.concat(elements.map((element) => adapter.memoryAt(element))));
}
