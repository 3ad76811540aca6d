// Goal: registered memory is reached for what it was registered for, on its socket, until it was taken back as often as it
// was registered.
// Method: a provider over an adapter that keeps what it registers.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { MEM_READ, MEM_READWRITE, MEM_WRITE, wsaName } from '../machines/index.ts';
import { AdapterStatus, MemoryAccess } from './adapter/adapter.ts';
import { decodeDescriptor, REMOTE_DESCRIPTOR_BYTES } from './remote-descriptor.ts';
import { type Handle, out, type Socket } from './spi.ts';
import { providerBench } from './test-provider.ts';

function bench() {
  const bed = providerBench();
  const s = bed.connected();
  const { provider, errno } = bed;
  /** @returns the handle, and the error's name */
  const register = (memory: Uint8Array | null, length: number, access: number, of: Socket = s): [Handle, string] => {
    const handle = provider.WSPRegisterMemory(of, memory, length, access, errno);
    return [handle, wsaName(errno.value)];
  };
  const deregister = (handle: Handle, of: Socket = s): string =>
    bed.error((lpErrno) => provider.WSPDeregisterMemory(of, handle, lpErrno));
  const registerRdma = (memory: Uint8Array, access = MEM_READWRITE): Uint8Array => {
    const descriptor = new Uint8Array(REMOTE_DESCRIPTOR_BYTES);
    provider.WSPRegisterRdmaMemory(s, memory, memory.length, access, descriptor, out(descriptor.length), errno);
    return descriptor;
  };
  const deregisterRdma = (descriptor: Uint8Array | null, of: Socket = s): string =>
    bed.error((lpErrno) => provider.WSPDeregisterRdmaMemory(of, descriptor, descriptor?.length ?? 0, lpErrno));
  /** Registrations of the application's. */
  const count = (): number => provider.inventory().buffers;
  return { ...bed, s, registerAs: register, deregister, registerRdma, deregisterRdma, count };
}

describe('registering', () => {
  test('lets the adapter reach the first bytes of the memory, and no others', () => {
    const { registerAs, adapter, count } = bench();
    const memory = new Uint8Array(64).subarray(8);
    const [handle, error] = registerAs(memory, 40, MEM_WRITE);
    assert.equal(error, '0');
    assert.notEqual(handle, 0n);
    const { memory: reached, access } = adapter.regions.at(-1)!;
    assert.deepEqual([reached.buffer === memory.buffer, reached.byteOffset, reached.length], [true, 8, 40]);
    assert.equal(access, MemoryAccess.localWrite);
    assert.equal(count(), 1);
  });

  test.each<[string, Uint8Array | null, number, number, string]>([
    ['no memory', null, 8, MEM_READ, 'WSAEFAULT'],
    ['what is no memory', 'memory' as unknown as Uint8Array, 6, MEM_READ, 'WSAEFAULT'],
    ['no bytes', new Uint8Array(8), 0, MEM_READ, 'WSAEFAULT'],
    ['more bytes than there are', new Uint8Array(8), 9, MEM_READ, 'WSAEFAULT'],
    ['a part of a byte', new Uint8Array(8), 1.5, MEM_READ, 'WSAEFAULT'],
    ['no access', new Uint8Array(8), 8, 0, 'WSAEINVAL'],
    ['an access that there isn’t', new Uint8Array(8), 8, 4, 'WSAEINVAL'],
  ])('%s is refused', (_, memory, length, access, expected) => {
    const { registerAs, count } = bench();
    assert.deepEqual(registerAs(memory, length, access), [0n, expected]);
    assert.equal(count(), 0);
  });

  test('on a socket without a connection is refused, and leaves nothing', () => {
    const { registerAs, bound, count } = bench();
    assert.deepEqual(registerAs(new Uint8Array(8), 8, MEM_READ, bound()), [0n, 'WSAENOTCONN']);
    assert.equal(count(), 0);
  });

  test('what the adapter refuses leaves nothing, and is possible again', () => {
    const { registerAs, deregister, adapter, count } = bench();
    const memory = new Uint8Array(8);
    adapter.refusals.set('registerMemory', AdapterStatus.outOfResources);
    assert.deepEqual(registerAs(memory, 8, MEM_READ), [0n, 'WSAENOBUFS']);
    assert.equal(count(), 0);
    const [handle, error] = registerAs(memory, 8, MEM_READ);
    assert.equal(error, '0');
    assert.equal(deregister(handle), '0');
  });

  test('the same again is one registration, which ends when it was taken back as often', () => {
    const { registerAs, deregister, adapter, count } = bench();
    const memory = new Uint8Array(64);
    const [handle] = registerAs(memory, 64, MEM_READ);
    const regions = adapter.inventory().regions;
    assert.deepEqual(registerAs(memory.subarray(0), 64, MEM_READ), [handle, '0']);
    assert.deepEqual([count(), adapter.inventory().regions], [1, regions]);
    assert.equal(deregister(handle), '0');
    assert.deepEqual([count(), adapter.inventory().regions], [1, regions]);
    assert.equal(deregister(handle), '0');
    assert.deepEqual([count(), adapter.inventory().regions], [0, regions - 1]);
    assert.equal(deregister(handle), 'WSAEINVAL');
  });

  test.each<[string, (memory: Uint8Array) => readonly [Uint8Array, number, number]]>([
    ['other access', (memory) => [memory, 64, MEM_WRITE]],
    ['other length', (memory) => [memory, 63, MEM_READ]],
    ['other place', (memory) => [memory.subarray(1), 64, MEM_READ]],
    ['other memory', () => [new Uint8Array(80), 64, MEM_READ]],
  ])('%s is another registration', (_, other) => {
    const { registerAs, count, deregister } = bench();
    const memory = new Uint8Array(80);
    const [first] = registerAs(memory, 64, MEM_READ);
    const [second, error] = registerAs(...other(memory));
    assert.equal(error, '0');
    assert.notEqual(second, first);
    assert.equal(count(), 2);
    assert.equal(deregister(second), '0');
    assert.equal(deregister(first), '0');
  });

  test('for the peer is another registration than for own requests', () => {
    const { registerAs, registerRdma, deregister, deregisterRdma, count } = bench();
    const memory = new Uint8Array(16);
    const [handle] = registerAs(memory, 16, MEM_READWRITE);
    const descriptor = registerRdma(memory);
    assert.equal(count(), 2);
    // Neither is taken back as the other.
    const { id } = decodeDescriptor(descriptor, REMOTE_DESCRIPTOR_BYTES)!;
    assert.notEqual(id, handle);
    assert.equal(deregister(id), 'WSAEINVAL');
    const asRemote = descriptor.slice();
    new DataView(asRemote.buffer).setBigUint64(24, handle, true);
    assert.equal(deregisterRdma(asRemote), 'WSAEINVAL');
    assert.equal(count(), 2);
    assert.equal(deregisterRdma(descriptor), '0');
    assert.equal(deregister(handle), '0');
    assert.equal(deregisterRdma(descriptor), 'WSAEINVAL');
    assert.equal(deregisterRdma(null), 'WSAEINVAL');
  });
});

test('a registration is its socket’s alone', () => {
  const { registerAs, deregister, connected, count } = bench();
  const other = connected();
  const memory = new Uint8Array(16);
  const [handle] = registerAs(memory, 16, MEM_READ);
  assert.equal(deregister(handle, other), 'WSAEINVAL');
  assert.equal(deregister(handle + 1n), 'WSAEINVAL');
  const [second] = registerAs(memory, 16, MEM_READ, other);
  assert.notEqual(second, handle);
  assert.equal(count(), 2);
  assert.equal(deregister(handle), '0');
});
