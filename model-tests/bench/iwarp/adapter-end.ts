/** An end over the adapter alone, without a provider: echoes are posted to it, and it is polled. CRC is on. */

import net from 'node:net';

import {
  CompletionField,
  COMPLETION_WORDS,
  CompletionStatus,
  MemoryAccess,
  type MemoryRegion,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../../driver/adapter/adapter.ts';
import { IwarpAdapter } from '../../../driver/adapter/iwarp.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import { Echoes, type End, type Exchange, type Measured, messageBytes, type Scenario } from './exchange.ts';

/** Connections that are being made at once. */
const DIALS_MAX = 100;
const NO_DATA = new Uint8Array(0);
/** Words of a connector: an element for its two receives, and one for what it sends. */
const ELEMENT_WORDS = 8;
const DEPTHS = { send: 4, receive: 2 } as const;

const address = (port: number) => ({ family: 'IPv4', address: '127.0.0.1', port }) as const;
const freePort = (): number => {
  using bound = new net.BoundSocket({ host: '127.0.0.1', port: 0 });
  return bound.address().port;
};

export class AdapterEnd implements End {
  readonly #adapter = new IwarpAdapter({ addresses: ['127.0.0.1'], startupsMax: 2000, startupMs: 60_000 });
  readonly #loop: EventLoop;
  #domain = -1;
  #listener = -1;
  #isClient = false;
  #port = 0;
  /** Connectors that are not established yet, of those that were wanted. */
  #wanted = 0;
  #dialled = 0;
  #connected: () => void = () => {};
  #posted = 0;
  #echoes: Echoes | null = null;
  #disconnected: () => void = () => {};

  // By connector: what a message needs, and the rest.
  #elements = new Uint32Array(64 * ELEMENT_WORDS);
  readonly #regions: [memory: number, message: number][] = [];
  readonly #isUp: boolean[] = [];

  constructor() {
    const adapter = this.#adapter;
    if (adapter.open() !== 0) throw new Error('this Node.js is too old');
    this.#loop = new EventLoop({
      poll: () => this.#poll(),
      hasMore: () => false,
      // There is none.
      provider: { whenDue: () => {}, pause: () => {} },
      wakeUp: adapter.wakeUp,
      clock: new SystemClock(),
    });
    void this.#loop.run(new AbortController().signal);
  }

  async serve(scenario: Scenario): Promise<number> {
    this.#checkScenario(scenario);
    this.#domain = this.#adapter.allocateProtectionDomain();
    const port = freePort();
    this.#listener = this.#adapter.listen(address(port));
    return port;
  }

  async connect(scenario: Scenario, port: number, connections: number): Promise<void> {
    this.#checkScenario(scenario);
    this.#isClient = true;
    this.#domain = this.#adapter.allocateProtectionDomain();
    this.#port = port;
    this.#wanted = connections;
    this.#dialled = 0;
    const connected = new Promise<void>((resolve) => {
      this.#connected = resolve;
    });
    for (let dials = Math.min(DIALS_MAX, connections); dials > 0; dials--) this.#dial();
    this.#loop.nudge();
    await connected;
  }

  run(ms: number): Promise<Measured> {
    return this.#exchange(ms);
  }

  readonly #exchange: Exchange = (ms) =>
    new Promise((resolve) => {
      this.#echoes = new Echoes(ms, this.#count, resolve);
      this.#isUp.forEach((isUp, connector) => {
        if (isUp) this.#send(connector);
      });
      this.#flush();
      this.#loop.nudge();
    });

  async close(): Promise<void> {
    if (this.#isClient) {
      this.#isUp.forEach((isUp, connector) => {
        if (isUp) this.#adapter.disconnect(connector);
      });
    } else this.#adapter.stopListening(this.#listener);
    if (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#disconnected = resolve;
      });
    }
    this.#adapter.freeProtectionDomain(this.#domain);
  }

  get #count(): number {
    return this.#isUp.filter(Boolean).length;
  }

  #checkScenario(scenario: Scenario): void {
    if (scenario !== 'echoes') throw new Error(`the adapter alone does echoes, not '${scenario}'`);
  }

  #dial(): void {
    this.#dialled++;
    const connector = this.#adapter.createConnector(this.#domain, DEPTHS);
    this.#prepare(connector);
    this.#adapter.connect(connector, address(0), address(this.#port), NO_DATA);
  }

  /** Registers memory as the provider's end does, and posts the receives. */
  #prepare(connector: number): void {
    const bytes = messageBytes.echoes;
    const register = (memory: Uint8Array): MemoryRegion =>
      this.#adapter.registerMemory(this.#domain, memory, MemoryAccess.localWrite) as MemoryRegion;
    const memory = register(new Uint8Array(2 * bytes).fill(1));
    const message = register(this.#isClient ? clientMessage : new Uint8Array(bytes).fill(1));
    this.#regions[connector] = [memory.id, message.id];
    while (this.#elements.length < (connector + 1) * ELEMENT_WORDS) {
      const grown = new Uint32Array(2 * this.#elements.length);
      grown.set(this.#elements);
      this.#elements = grown;
    }
    for (const [index, { localKey, address }] of [memory, message].entries()) {
      const element = [localKey, bytes, address >>> 0, Math.floor(address / 2 ** 32)];
      this.#elements.set(element, connector * ELEMENT_WORDS + 4 * index);
    }
    for (const part of [0, 1]) this.#receive(connector, part);
    this.#flush();
  }

  #poll(): number {
    const adapter = this.#adapter;
    let done = 0;
    for (let event = adapter.pollConnectionEvent(); event !== null; event = adapter.pollConnectionEvent()) {
      done++;
      switch (event.type) {
        case 'connectRequest':
          adapter.prepareAccept(event.connector, this.#domain, DEPTHS);
          this.#prepare(event.connector);
          adapter.accept(event.connector, NO_DATA);
          break;
        case 'established':
          this.#isUp[event.connector] = true;
          if (!this.#isClient) break;
          if (this.#dialled < this.#wanted) this.#dial();
          else if (this.#count === this.#wanted) this.#connected();
          break;
        case 'disconnected':
          this.#end(event.connector);
          break;
        default:
          throw new Error(`an event '${event.type}' that was not expected`);
      }
    }
    for (let count = adapter.poll(); count > 0; count = adapter.poll()) {
      done += count;
      for (let index = 0; index < count; index++) this.#completed(index * COMPLETION_WORDS);
      this.#flush();
    }
    return done;
  }

  #completed(base: number): void {
    const { completions } = this.#adapter;
    if (completions[base + CompletionField.opcode] !== Opcode.receive) return;
    if (completions[base + CompletionField.status] !== CompletionStatus.success) return;
    const connector = completions[base + CompletionField.connector]!;
    if (this.#isClient ? this.#echoes!.next() : true) this.#send(connector);
    this.#receive(connector, completions[base + CompletionField.context]!);
  }

  #end(connector: number): void {
    this.#isUp[connector] = false;
    this.#adapter.disconnect(connector);
    while (this.#adapter.poll() > 0);
    this.#adapter.destroyConnector(connector);
    for (const region of this.#regions[connector]!) this.#adapter.deregisterMemory(region);
    if (this.#count === 0) this.#disconnected();
  }

  #send(connector: number): void {
    this.#post(connector, Opcode.send, 0, connector * ELEMENT_WORDS + 4, 0);
  }

  #receive(connector: number, part: number): void {
    this.#post(connector, Opcode.receive, part, connector * ELEMENT_WORDS, part * messageBytes.echoes);
  }

  /** @param from - where the element is, of whose address the first `skip` bytes are left out */
  #post(connector: number, opcode: number, context: number, from: number, skip: number): void {
    if (this.#posted === this.#adapter.postBatchMax) this.#flush();
    const words = this.#adapter.workRequests;
    const base = this.#posted++ * WORK_REQUEST_WORDS;
    words[base + WorkRequestField.opcode] = opcode;
    words[base + WorkRequestField.connector] = connector;
    words[base + WorkRequestField.context] = context;
    words[base + WorkRequestField.flags] = 0;
    words[base + WorkRequestField.elementCount] = 1;
    const element = base + WorkRequestField.elements;
    for (let word = 0; word < 4; word++) words[element + word] = this.#elements[from + word]!;
    // Addresses begin at a page, and no buffer here goes beyond one.
    words[element + 2]! += skip;
  }

  #flush(): void {
    const count = this.#posted;
    this.#posted = 0;
    if (count > 0 && this.#adapter.post(count) !== count) throw new Error('a queue is full');
  }
}

/** All send the same one, as with `node:net`. */
const clientMessage = new Uint8Array(messageBytes.echoes).fill(1);
