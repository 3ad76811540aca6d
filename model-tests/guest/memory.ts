/** Memory that a device reads and writes: of any kind, and kept while it is registered. Runs in the guest. */

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { AdapterStatus, CompletionStatus, Opcode } from '../../driver/adapter/adapter.ts';
import { VerbsAdapter } from '../../driver/adapter/verbs.ts';
import type { GuestCase } from './guest.ts';
import { Raw } from './peers/raw.ts';
import { endpointAt } from './peers/verbs-peer.ts';
import { keepingNothing } from './resources.ts';

/** Node.js has it; the types of its declarations are the browser's. */
declare const WebAssembly: { readonly Memory: new (pages: { initial: number }) => { readonly buffer: ArrayBuffer } };

let nextPort = 6800;

/** Two ends of a connection at `address`, by their adapters alone. */
async function connected(address: string): Promise<readonly [Raw, Raw]> {
  const [near, far] = [new Raw(new VerbsAdapter(), address), new Raw(new VerbsAdapter(), address)];
  const at = endpointAt(address, nextPort++);
  const listener = far.listen(at);
  const answering = async (): Promise<void> => {
    await far.request();
    far.accept(new Uint8Array(0));
    await far.event('established');
  };
  near.connect(endpointAt(address, nextPort++), at, new Uint8Array(0));
  await Promise.all([near.event('established'), answering()]);
  far.adapter.stopListening(listener);
  return [near, far];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBufferLike>): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const kinds: Readonly<Record<string, () => Uint8Array>> = {
  pages: () => new Uint8Array(3 * 4096),
  // Until somebody asks for its buffer, it lies in the JavaScript heap.
  'few bytes': () => new Uint8Array(48),
  'a piece of a larger one': () => new Uint8Array(10_000).subarray(4095, 8193),
  "of Node.js's pool": () => Buffer.allocUnsafe(100),
  numbers: () => bytesOf(new Float64Array(777)),
  'shared memory': () => new Uint8Array(new SharedArrayBuffer(5000)),
  "WebAssembly's": () => new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 1234, 5678),
};

/** The completion that the end's only request has, which succeeds. */
async function done(end: Raw, context: number): Promise<void> {
  const completion = await end.completion();
  assert.deepEqual([completion.context, completion.status], [context, CompletionStatus.success]);
}

/** Drops what nobody holds. A turn comes first: until its end what was looked at is held. */
async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collectNow = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) {
    await turn();
    collectNow();
  }
}

/** Registers new memory of which nobody else knows. */
function registerUnheld(end: Raw, size: number) {
  const memory = new Uint8Array(size);
  return { region: end.register(memory), held: new WeakRef(memory.buffer) };
}

export const memoryCases = ([what, address]: readonly [string, string]): readonly GuestCase[] => [
  {
    name: `${what}: memory of any kind is sent from and received into where it lies`,
    run: keepingNothing(async () => {
      const [near, far] = await connected(address);
      for (const [kind, make] of Object.entries(kinds)) {
        const [from, to] = [make(), make()];
        for (let index = 0; index < from.length; index++) from[index] = index * 7 + kind.length;
        const [source, target] = [near.register(from), far.register(to)];
        const receiving = far.post(Opcode.receive, target, 0, to.length);
        const sending = near.post(Opcode.send, source, 0, from.length);
        await Promise.all([done(far, receiving), done(near, sending)]);
        assert.ok(Buffer.from(to).equals(from), kind);
        near.deregister(source);
        far.deregister(target);
      }
      // It could move away from under the device.
      const resizable = new Uint8Array(new ArrayBuffer(4096, { maxByteLength: 8192 }));
      assert.equal(near.adapter.registerMemory(near.protectionDomain, resizable, 1), AdapterStatus.badMemory);
      near.close();
      far.close();
    }),
  },
  {
    name: `${what}: memory is kept from being collected as long as it is registered, and no longer`,
    run: keepingNothing(async () => {
      const [near, far] = await connected(address);
      const size = 65_536;
      const { region, held } = registerUnheld(far, size);
      await collect();
      assert.notEqual(held.deref(), undefined, 'collected while it is registered');
      // What the device writes arrives in it, though nothing but the registration has held it.
      const receiving = far.post(Opcode.receive, region, 0, size);
      const sending = near.post(Opcode.send, near.register(new Uint8Array(size).fill(7)), 0, size);
      await collect();
      await Promise.all([done(far, receiving), done(near, sending)]);
      assert.ok(new Uint8Array(held.deref()!).every((byte) => byte === 7));
      far.deregister(region);
      await collect();
      assert.equal(held.deref(), undefined, 'held by something else than its registration');
      near.close();
      far.close();
    }),
  },
];
