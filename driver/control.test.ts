// Goal: an option has its value, a control code its answer in the form that a caller in C reads.
// Method: the functions themselves, with whatever a caller may pass.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import {
  IPPROTO_TCP,
  SO_DEBUG,
  SO_GROUP_ID,
  SO_MAX_MSG_SIZE,
  SO_MAX_RDMA_SIZE,
  SO_RDMA_THRESHOLD_SIZE,
  SOL_SOCKET,
  TCP_NODELAY,
  WSA,
  wsaName,
} from '../machines/index.ts';
import { ImmediateAdapter } from './adapter/immediate.ts';
import { extensionAsked, optionValue, POINTER_BYTES, settableOption, writeAddressList } from './control.ts';
import { limits } from './limits.ts';
import { type ExtensionName, extensionGuids, fromSockaddr, guidBytes, out } from './spi.ts';
import { SocketRecord } from './tables.ts';

const { capabilities } = new ImmediateAdapter();

describe('an option', () => {
  const record = (): SocketRecord => Object.assign(new SocketRecord(0, 1n, 'IPv4', 1), { debug: 3, noDelay: 5 });

  test.each([
    [SOL_SOCKET, SO_DEBUG, 'debug', 3],
    [IPPROTO_TCP, TCP_NODELAY, 'noDelay', 5],
    [SOL_SOCKET, SO_MAX_MSG_SIZE, null, 1000],
    [SOL_SOCKET, SO_MAX_RDMA_SIZE, null, 2000],
    [SOL_SOCKET, SO_RDMA_THRESHOLD_SIZE, null, limits.rdmaThresholdBytes],
    [SOL_SOCKET, SO_GROUP_ID, null, null],
    // The same numbers at the other level are other options.
    [IPPROTO_TCP, SO_MAX_MSG_SIZE, null, null],
    [SOL_SOCKET, TCP_NODELAY + 0x100, null, null],
  ])('of level %i, name %i, can be set as %j and has the value %j', (level, name, settable, value) => {
    assert.equal(settableOption(level, name), settable);
    const sizes = { ...capabilities, messageSizeMax: 1000, rdmaSizeMax: 2000 };
    assert.equal(optionValue(record(), level, name, sizes), value);
  });

  test('belongs to one level', () => {
    assert.equal(settableOption(IPPROTO_TCP, SO_DEBUG === TCP_NODELAY ? -1 : SO_DEBUG), null);
    assert.equal(settableOption(SOL_SOCKET, SO_GROUP_ID), null);
    assert.equal(settableOption(IPPROTO_TCP, SO_GROUP_ID), null);
    assert.equal(settableOption(0, SO_DEBUG), null);
    assert.equal(settableOption(0, TCP_NODELAY), null);
  });

  test('that is a size is never more than a signed 32-bit number holds', () => {
    const sizes = { ...capabilities, messageSizeMax: 2 ** 40, rdmaSizeMax: 2 ** 41 };
    for (const name of [SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE]) {
      assert.equal(optionValue(record(), SOL_SOCKET, name, sizes), 0x7fff_ffff);
    }
  });
});

describe('an extension function', () => {
  const asked = (guid: Uint8Array | null, length = 16, room = POINTER_BYTES, readDepthMax = 1): string => {
    const found = extensionAsked(guid, length, room, { ...capabilities, readDepthMax });
    return typeof found === 'number' ? wsaName(found) : found;
  };
  const guidOf = (name: ExtensionName): Uint8Array => guidBytes(extensionGuids[name]);

  test('is known by its GUID', () => {
    for (const name of Object.keys(extensionGuids) as ExtensionName[]) {
      assert.equal(asked(guidOf(name)), name === 'WSPMemoryRegistrationCacheCallback' ? 'WSAEOPNOTSUPP' : name);
    }
    assert.equal(asked(guidOf('WSPRdmaRead').reverse()), 'WSAEINVAL');
  });

  test('that reads is not offered where the adapter can’t read', () => {
    assert.equal(asked(guidOf('WSPRdmaRead'), 16, POINTER_BYTES, 0), 'WSAEOPNOTSUPP');
    assert.equal(asked(guidOf('WSPRdmaWrite'), 16, POINTER_BYTES, 0), 'WSPRdmaWrite');
  });

  test('takes a whole GUID and room for a pointer', () => {
    const guid = guidOf('WSPRdmaWrite');
    assert.equal(asked(null), 'WSAEFAULT');
    assert.equal(asked('C0B422F9' as unknown as Uint8Array), 'WSAEFAULT');
    assert.equal(asked(guid, 15), 'WSAEFAULT');
    assert.equal(asked(guid.subarray(0, 15)), 'WSAEFAULT');
    assert.equal(asked(guid, '16' as unknown as number), 'WSAEFAULT');
    assert.equal(asked(Uint8Array.of(...guid, 1, 2), 18), 'WSPRdmaWrite');
    for (const room of [0, POINTER_BYTES - 1, -1, 8.5, Number.NaN]) assert.equal(asked(guid, 16, room), 'WSAEFAULT');
    assert.equal(asked(guid, 16, POINTER_BYTES + 1), 'WSPRdmaWrite');
  });
});

describe('the list of addresses', () => {
  const served = ['10.0.0.1', 'fe80::1', '10.0.0.9'];
  const headBytes = 8 + 3 * 16;
  const bytes = headBytes + 16 + 28 + 16;

  test('is a SOCKET_ADDRESS_LIST, then the addresses', () => {
    // A view that does not begin where its memory does; what is behind the list stays.
    const target = new Uint8Array(bytes + 20).fill(0xee).subarray(4);
    const [returned, errno] = [out(-1), out(-1)];
    assert.equal(writeAddressList(served, target, target.length, returned, errno), 0);
    assert.deepEqual([returned.value, errno.value], [bytes, 0]);
    const view = new DataView(target.buffer, target.byteOffset);
    assert.deepEqual([view.getInt32(0, true), view.getInt32(4, true)], [3, 0]);
    const addresses = [0, 1, 2].map((index) => {
      const at = Number(view.getBigUint64(8 + 16 * index, true));
      const length = view.getInt32(16 + 16 * index, true);
      assert.equal(view.getInt32(20 + 16 * index, true), 0);
      return { at, length, ...fromSockaddr(target.subarray(at, at + length)) };
    });
    assert.deepEqual(addresses, [
      { at: headBytes, length: 16, family: 'IPv4', address: '10.0.0.1', port: 0 },
      { at: headBytes + 16, length: 28, family: 'IPv6', address: 'fe80::1', port: 0 },
      { at: headBytes + 44, length: 16, family: 'IPv4', address: '10.0.0.9', port: 0 },
    ]);
    assert.deepEqual([...target.subarray(bytes)], new Array(16).fill(0xee));
  });

  test('fills its room to the last byte', () => {
    const [returned, errno] = [out(-1), out(-1)];
    assert.equal(writeAddressList(served, new Uint8Array(bytes), bytes, returned, errno), 0);
    assert.equal(writeAddressList([], new Uint8Array(8), 8, returned, errno), 0);
    assert.equal(returned.value, 8);
  });

  test.each<[string, Uint8Array | { value: unknown } | null, number]>([
    ['no buffer', null, bytes],
    ['no bytes', { value: null }, bytes],
    ['too few bytes', new Uint8Array(bytes - 1), bytes],
    ['fewer that may be used', new Uint8Array(bytes), bytes - 1],
  ])('is not written into %s: the caller learns what is needed', (_, target, room) => {
    const [returned, errno] = [out(-1), out(-1)];
    assert.equal(writeAddressList(served, target, room, returned, errno), -1);
    assert.deepEqual([returned.value, errno.value], [bytes, WSA.WSAEFAULT]);
    if (target instanceof Uint8Array) assert.ok(target.every((byte) => byte === 0));
  });
});
