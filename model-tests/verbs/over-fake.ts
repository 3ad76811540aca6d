/**
 * Stories of the verbs adapter over native/test/fake.c, a device that can be told to behave badly. Runs in a process of its
 * own, whose library path leads to the fake: `over-fake.ts STORY`. `adapter.test.ts` starts it.
 */

import assert from 'node:assert/strict';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';

import {
  COMPLETION_WORDS,
  CompletionField as C,
  CompletionStatus,
  type ConnectionEvent,
  MemoryAccess,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField as F,
} from '../../driver/adapter/adapter.ts';
import { VerbsAdapter } from '../../driver/adapter/verbs.ts';

const ADDRESS = '10.0.0.1';
const PORT = 7471;
/** Turns, of at least a millisecond, after which something will not happen any more. */
const TURNS = 10_000;

const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
const library = koffi.load(path.join(process.env['LD_LIBRARY_PATH']!, 'libibverbs.so.1'));
/** What the fake can be told. */
const fake = {
  /** Nothing completes in the newest completion queue any more. */
  loseQueue: library.func('fake_lose_queue', 'void', []) as () => void,
  /** What is posted in error never completes. */
  keepLate: library.func('fake_keep_late', 'void', []) as () => void,
};

os.networkInterfaces = () => ({
  fake0: [
    { address: ADDRESS, family: 'IPv4', internal: false, mac: '', netmask: '255.255.255.0', cidr: `${ADDRESS}/24` },
  ],
});
syncBuiltinESMExports();

interface Completion {
  readonly connector: number;
  readonly context: number;
  readonly status: number;
}

/** An adapter that is connected with itself, and what it has told so far. */
class Host {
  readonly adapter = new VerbsAdapter({ drainMs: 50 });
  readonly events: ConnectionEvent[] = [];
  readonly completions: Completion[] = [];
  readonly #domain: number;
  readonly #memory = new Uint8Array(4096);
  readonly #key: number;
  readonly #region: number;
  readonly #listener: number;

  constructor() {
    assert.equal(this.adapter.open(), 0);
    this.#domain = this.adapter.allocateProtectionDomain(ADDRESS);
    const region = this.adapter.registerMemory(this.#domain, this.#memory, MemoryAccess.localWrite);
    assert.ok(typeof region === 'object');
    this.#key = region.localKey;
    this.#region = region.id;
    this.#listener = this.adapter.listen({ family: 'IPv4', address: ADDRESS, port: PORT });
    assert.ok(this.#listener >= 0);
  }

  /** One turn: asks for completions and events. */
  turn(): void {
    const count = this.adapter.poll();
    for (let at = 0; at < count * COMPLETION_WORDS; at += COMPLETION_WORDS) {
      const { completions: ring } = this.adapter;
      this.completions.push({
        connector: ring[at + C.connector]!,
        context: ring[at + C.context]!,
        status: ring[at + C.status]!,
      });
    }
    for (let event = this.adapter.pollConnectionEvent(); event; event = this.adapter.pollConnectionEvent()) {
      this.events.push(event);
    }
  }

  async until(holds: () => boolean): Promise<void> {
    for (let turn = 0; turn < TURNS && !holds(); turn++) {
      this.turn();
      await setTimeout(1);
    }
    assert.ok(holds(), `not within ${TURNS} turns: ${holds}`);
  }

  has(type: ConnectionEvent['type'], connector: number): boolean {
    return this.events.some((event) => event.type === type && 'connector' in event && event.connector === connector);
  }

  statusOf(connector: number, context: number): number | undefined {
    const found = this.completions.filter((each) => each.connector === connector && each.context === context);
    assert.ok(found.length <= 1, `${found.length} completions of one request`);
    return found[0]?.status;
  }

  async connected(): Promise<readonly [near: number, far: number]> {
    const depths = { send: 8, receive: 8 };
    const at = { family: 'IPv4', address: ADDRESS, port: PORT } as const;
    const near = this.adapter.createConnector(this.#domain, depths);
    assert.ok(near >= 0);
    assert.equal(this.adapter.connect(near, { ...at, port: 0 }, at, new Uint8Array(0)), 0);
    await this.until(() => this.events.some(({ type }) => type === 'connectRequest'));
    const request = this.events.find((event) => event.type === 'connectRequest')!;
    const far = request.connector;
    assert.equal(this.adapter.prepareAccept(far, this.#domain, depths), 0);
    assert.equal(this.adapter.accept(far, new Uint8Array(0)), 0);
    await this.until(() => this.has('established', near) && this.has('established', far));
    return [near, far];
  }

  /** @returns whether it was taken */
  post(connector: number, opcode: number, context: number, length = 8): boolean {
    const { workRequests: ring } = this.adapter;
    ring.fill(0, 0, WORK_REQUEST_WORDS);
    ring[F.opcode] = opcode;
    ring[F.connector] = connector;
    ring[F.context] = context;
    ring[F.elementCount] = 1;
    ring[F.elements] = this.#key;
    ring[F.elements + 1] = length;
    const view = new DataView(ring.buffer, ring.byteOffset);
    view.setBigUint64(4 * (F.elements + 2), BigInt(koffi.address(this.#memory)), true);
    return this.adapter.post(1) === 1;
  }

  /** Gives everything back; the fake aborts if something is left or in the wrong order. */
  close(connectors: readonly number[]): void {
    for (const connector of connectors) this.adapter.destroyConnector(connector);
    this.adapter.stopListening(this.#listener);
    this.adapter.deregisterMemory(this.#region);
    this.adapter.freeProtectionDomain(this.#domain);
    assert.deepEqual(this.adapter.inventory(), { protectionDomains: 0, regions: 0, connectors: 0, listeners: 0 });
    this.adapter.close();
  }
}

const { ENOMEM, EINVAL } = os.constants.errno;

const stories: Readonly<Record<string, () => Promise<void>>> = {
  /** Those whose completion queue is lost hear of it, and what they have posted comes back. */
  async 'a lost completion queue'() {
    const host = new Host();
    const pair = await host.connected();
    for (const connector of pair) assert.ok(host.post(connector, Opcode.receive, 1));
    fake.loseQueue();
    await host.until(() => pair.every((connector) => host.has('connectFailed', connector)));
    for (const connector of pair) host.adapter.disconnect(connector);
    await host.until(() => pair.every((each) => host.statusOf(each, 1) === CompletionStatus.flushed));
    // A new connection gets a queue that works.
    host.events.length = 0;
    const again = await host.connected();
    assert.ok(host.post(again[1], Opcode.receive, 2));
    assert.ok(host.post(again[0], Opcode.send, 3));
    await host.until(() => host.statusOf(again[0], 3) === 0 && host.statusOf(again[1], 2) === 0);
    host.close([...pair, ...again]);
  },

  /** What had succeeded before its connection ended is told so, however late the device tells. */
  async 'a device that flushes late'() {
    const host = new Host();
    const [near, far] = await host.connected();
    for (const context of [1, 2]) assert.ok(host.post(far, Opcode.receive, context));
    assert.ok(host.post(near, Opcode.receive, 3));
    assert.ok(host.post(near, Opcode.send, 4));
    for (const connector of [near, far]) host.adapter.disconnect(connector);
    assert.ok(host.post(near, Opcode.receive, 5));
    await host.until(() => host.completions.length === 5);
    assert.equal(host.statusOf(near, 4), CompletionStatus.success);
    assert.equal(host.statusOf(far, 1), CompletionStatus.success);
    assert.equal(host.statusOf(far, 2), CompletionStatus.flushed);
    assert.equal(host.statusOf(near, 3), CompletionStatus.flushed);
    assert.equal(host.statusOf(near, 5), CompletionStatus.flushed);
    host.close([near, far]);
  },

  /** One whose markers never come isn't waited for without end. */
  async 'a device that keeps what is posted in error'() {
    const host = new Host();
    fake.keepLate();
    const pair = await host.connected();
    for (const connector of pair) assert.ok(host.post(connector, Opcode.receive, 1));
    for (const connector of pair) host.adapter.disconnect(connector);
    for (const connector of pair) assert.ok(host.post(connector, Opcode.receive, 2));
    await host.until(() => host.completions.length === 4);
    assert.ok(host.completions.every(({ status }) => status === CompletionStatus.flushed));
    host.close(pair);
  },

  /** Who looks for the cause can tell a full queue from what makes no sense. */
  async 'a refused work request'() {
    const host = new Host();
    const pair = await host.connected();
    let taken = 0;
    while (host.post(pair[1], Opcode.receive, taken)) assert.ok(++taken <= 512);
    assert.equal(host.adapter.refusal, -ENOMEM);
    assert.equal(host.post(pair[1], 9, 0), false);
    assert.equal(host.adapter.refusal, -EINVAL);
    assert.ok(host.post(pair[0], Opcode.send, 1));
    assert.equal(host.adapter.refusal, 0);
    host.close(pair);
  },
};

await stories[process.argv[2]!]!();
console.log('told');
