import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  AdapterStatus,
  COMPLETION_WORDS,
  CompletionField,
  Opcode,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from './adapter.ts';
import { ImmediateAdapter } from './immediate.ts';

const DEPTHS = { send: 16, receive: 16 };

function open(): ImmediateAdapter {
  const adapter = new ImmediateAdapter();
  adapter.open();
  return adapter;
}

function post(adapter: ImmediateAdapter, connector: number, opcode: Opcode, contexts: readonly number[]): number {
  for (const [index, context] of contexts.entries()) {
    const base = index * WORK_REQUEST_WORDS;
    adapter.workRequests.fill(0, base, base + WORK_REQUEST_WORDS);
    adapter.workRequests[base + WorkRequestField.opcode] = opcode;
    adapter.workRequests[base + WorkRequestField.connector] = connector;
    adapter.workRequests[base + WorkRequestField.context] = context;
    adapter.workRequests[base + WorkRequestField.elementCount] = 1;
    adapter.workRequests[base + WorkRequestField.elements + 1] = 8;
  }
  return adapter.post(contexts.length);
}

/** `context:status:bytes` of each completion. */
function poll(adapter: ImmediateAdapter): string[] {
  const lines: string[] = [];
  for (let count = adapter.poll(); count > 0; count = adapter.poll()) {
    for (let index = 0; index < count; index++) {
      const word = (field: number): number => adapter.completions[index * COMPLETION_WORDS + field]!;
      lines.push(`${word(CompletionField.context)}:${word(CompletionField.status)}:${word(CompletionField.bytes)}`);
    }
  }
  return lines;
}

function connect(adapter: ImmediateAdapter): number {
  const connector = adapter.createConnector(0, DEPTHS);
  adapter.connect(connector);
  assert.deepEqual(adapter.pollConnectionEvent(), { type: 'established', connector, privateData: new Uint8Array(0) });
  return connector;
}

describe('the immediate adapter', () => {
  test('connects at once', () => {
    const adapter = open();
    const connector = connect(adapter);
    assert.equal(adapter.pollConnectionEvent(), null);
    assert.equal(adapter.connect(connector), AdapterStatus.invalidState);
  });

  test('completes sends, writes and reads at the next poll, and keeps receives until a disconnect', () => {
    const adapter = open();
    const connector = connect(adapter);
    assert.equal(post(adapter, connector, Opcode.receive, [1, 2, 3]), 3);
    post(adapter, connector, Opcode.send, [4]);
    post(adapter, connector, Opcode.rdmaRead, [5]);
    post(adapter, connector, Opcode.rdmaWrite, [6]);
    assert.equal(adapter.wakeUp.arm(), true);
    assert.deepEqual(poll(adapter), ['4:0:0', '5:0:8', '6:0:0']);
    adapter.disconnect(connector);
    adapter.disconnect(connector);
    post(adapter, connector, Opcode.send, [7]);
    post(adapter, connector, Opcode.receive, [8]);
    assert.deepEqual(poll(adapter), ['1:1:0', '2:1:0', '3:1:0', '7:1:0', '8:1:0']);
    assert.equal(adapter.wakeUp.arm(), false);
  });

  test("takes as many as a queue's depth", () => {
    const adapter = open();
    const connector = connect(adapter);
    const contexts = Array.from({ length: 20 }, (_, index) => index);
    assert.equal(post(adapter, connector, Opcode.receive, contexts), 16);
    assert.equal(post(adapter, connector, Opcode.send, contexts), 16);
    assert.equal(poll(adapter).length, 16);
    assert.equal(post(adapter, connector, Opcode.send, contexts), 16);
    assert.equal(post(adapter, connector, Opcode.receive, contexts), 0);
  });

  test('names a destroyed connector no more, nor gives its id out while it is named', () => {
    const adapter = open();
    const first = adapter.createConnector(0, DEPTHS);
    adapter.connect(first);
    const second = adapter.createConnector(0, DEPTHS);
    adapter.connect(second);
    post(adapter, second, Opcode.send, [1]);
    adapter.destroyConnector(first);
    adapter.destroyConnector(second);
    const third = adapter.createConnector(0, DEPTHS);
    assert.ok(third !== first && third !== second);
    assert.equal(adapter.pollConnectionEvent(), null);
    assert.deepEqual(poll(adapter), []);
    const reused = [adapter.createConnector(0, DEPTHS), adapter.createConnector(0, DEPTHS)];
    assert.deepEqual(new Set(reused), new Set([first, second]));
  });

  test('listens, and nobody ever asks', () => {
    const adapter = open();
    adapter.listen();
    assert.deepEqual(adapter.addresses(), ['10.0.0.1']);
    assert.equal(adapter.pollConnectionEvent(), null);
    assert.deepEqual(
      [adapter.prepareAccept(), adapter.accept()],
      [AdapterStatus.invalidState, AdapterStatus.invalidState],
    );
    assert.equal(adapter.inventory().listeners, 1);
    adapter.stopListening();
    adapter.close();
    assert.deepEqual(Object.values(adapter.inventory()), [0, 0, 0, 0, 0]);
  });

  test('holds 100,000 connectors and 1,000,000 posted requests in little memory, and gives them back', () => {
    const adapter = open();
    const domain = adapter.allocateProtectionDomain();
    const region = adapter.registerMemory(domain, new Uint8Array(8));
    const contexts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 100_000; count++) {
      const connector = adapter.createConnector(domain, DEPTHS);
      adapter.connect(connector);
      assert.equal(post(adapter, connector, Opcode.receive, contexts), 10);
    }
    assert.equal(adapter.inventory().postedReceives, 1_000_000);
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 2 ** 20);
    let eventCount = 0;
    while (adapter.pollConnectionEvent() !== null) eventCount++;
    assert.equal(eventCount, 100_000);
    for (let connector = 0; connector < 100_000; connector++) {
      adapter.disconnect(connector);
      assert.equal(adapter.poll(), 10);
      adapter.destroyConnector(connector);
    }
    adapter.deregisterMemory();
    adapter.freeProtectionDomain();
    assert.deepEqual([region.id >= 0, ...Object.values(adapter.inventory())], [true, 0, 0, 0, 0, 0]);
  });
});
