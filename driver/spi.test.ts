// Goal: structures and addresses are laid out as the headers say, and text and bytes of an address are one.

import { strict as assert } from 'node:assert';
import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { AF_INET, IPPROTO_TCP, SOCK_STREAM, WSA } from '../machines/index.ts';
import {
  addressBytes,
  addressText,
  canonicalAddress,
  extensionGuids,
  fromSockaddr,
  guidBytes,
  isWildcard,
  OVERLAPPED_BYTES,
  out,
  procTableSlots,
  readSockaddr,
  sockaddrBytes,
  tcpProtocolInfo,
  toSockaddr,
  WsaNetworkEvents,
  WsaOverlapped,
} from './spi.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('WSAOVERLAPPED', () => {
  test('has its fields where a 64-bit system has them', () => {
    const overlapped = new WsaOverlapped();
    overlapped.internal = 0x1122_3344_5566_7788n;
    overlapped.internalHigh = 0x99aa_bbcc_ddee_ff00n;
    overlapped.offset = 0x0102_0304;
    overlapped.offsetHigh = 0xfffe_fdfc;
    overlapped.hEvent = 0x8000_0000_0000_0001n;
    const { buffer, byteOffset, byteLength } = overlapped.words;
    assert.equal(byteLength, OVERLAPPED_BYTES);
    assert.equal(
      hex(new Uint8Array(buffer, byteOffset, byteLength)),
      '8877665544332211' + '00ffeeddccbbaa99' + '04030201' + 'fcfdfeff' + '0100000000000080',
    );
    assert.equal(overlapped.internal, 0x1122_3344_5566_7788n);
    assert.equal(overlapped.internalHigh, 0x99aa_bbcc_ddee_ff00n);
    assert.equal(overlapped.offset, 0x0102_0304);
    assert.equal(overlapped.offsetHigh, 0xfffe_fdfc);
    assert.equal(overlapped.hEvent, 0x8000_0000_0000_0001n);
  });

  test('is a view of memory', () => {
    const memory = new ArrayBuffer(100);
    const [one, other] = [new WsaOverlapped(memory, 40), new WsaOverlapped(memory, 40)];
    one.internal = 0x103n;
    assert.equal(other.internal, 0x103n);
    assert.equal(new Uint32Array(memory)[10], 0x103);
  });

  test('has words of its own when it is given none, and words of its memory otherwise', () => {
    const structures = Array.from({ length: 200 }, () => new WsaOverlapped());
    for (const [index, overlapped] of structures.entries()) {
      assert.deepEqual([...overlapped.words], [0, 0, 0, 0, 0, 0, 0, 0]);
      for (let word = 0; word < 8; word++) overlapped.setWord(word, 0xffff_0000 + 8 * index + word);
    }
    for (const [index, overlapped] of structures.entries()) {
      const expected = Array.from({ length: 8 }, (_, word) => 0xffff_0000 + 8 * index + word);
      assert.deepEqual([...overlapped.words], expected);
      assert.deepEqual(
        expected.map((_, word) => overlapped.word(word)),
        expected,
      );
    }
    const memory = new Uint32Array(10);
    const overlapped = new WsaOverlapped(memory.buffer, 8);
    overlapped.words[7] = 1;
    overlapped.setWord(0, 2);
    assert.deepEqual([...memory], [0, 0, 2, 0, 0, 0, 0, 0, 0, 1]);
  });

  test('knows what a view views, of this one and of the next', () => {
    const overlapped = new WsaOverlapped();
    const [one, other] = [new Uint8Array(8), new Uint8Array(new ArrayBuffer(8), 4)];
    for (const view of [one, one, other, one.subarray(2), other]) {
      assert.equal(overlapped.storeOf(view), view.buffer);
    }
  });
});

test('WSANETWORKEVENTS is blank, with an error for each of ten events', () => {
  const events = new WsaNetworkEvents();
  assert.equal(events.lNetworkEvents, 0);
  assert.deepEqual(events.iErrorCode, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test("a new TCP socket's protocol information has no token; a duplicated one's has", () => {
  const { dwProviderReserved, iAddressFamily, iSocketType, iProtocol, szProtocol } = tcpProtocolInfo();
  assert.deepEqual(
    [dwProviderReserved, iAddressFamily, iSocketType, iProtocol],
    [0, AF_INET, SOCK_STREAM, IPPROTO_TCP],
  );
  assert.equal(szProtocol, 'MSAFD Tcpip [TCP/IP]');
  assert.deepEqual(tcpProtocolInfo(7), { ...tcpProtocolInfo(), dwProviderReserved: 7 });
});

test('an out-parameter holds what is put into it', () => {
  const box = out(1);
  assert.equal(box.value, 1);
  box.value = 2;
  assert.deepEqual(box, { value: 2 });
});

describe('addresses', () => {
  test('of IPv4: sockaddr_in', () => {
    const bytes = toSockaddr({ family: 'IPv4', address: '10.1.2.255', port: 0x1f90 });
    assert.equal(hex(bytes), '02001f900a0102ff0000000000000000');
    assert.equal(bytes.length, sockaddrBytes('IPv4'));
    assert.deepEqual(fromSockaddr(bytes), { family: 'IPv4', address: '10.1.2.255', port: 8080 });
  });

  test('of IPv6: sockaddr_in6', () => {
    const bytes = toSockaddr({ family: 'IPv6', address: 'fd00::a:1', port: 1 });
    assert.equal(hex(bytes), '17000001' + '00000000' + 'fd0000000000000000000000000a0001' + '00000000');
    assert.equal(bytes.length, sockaddrBytes('IPv6'));
    assert.deepEqual(fromSockaddr(bytes), { family: 'IPv6', address: 'fd00::a:1', port: 1 });
  });

  test('in a structure that is too short, or of another family, are none', () => {
    assert.equal(fromSockaddr(toSockaddr({ family: 'IPv4', address: '1.2.3.4', port: 1 }).subarray(0, 15)), null);
    assert.equal(fromSockaddr(toSockaddr({ family: 'IPv6', address: '::1', port: 1 }).subarray(0, 27)), null);
    assert.equal(fromSockaddr(new Uint8Array(28).fill(1)), null);
  });

  test.each([
    ['IPv4', '10.1.2.3', 16],
    ['IPv6', 'fd00::1', 28],
  ] as const)('of %s that a caller passes in have the size of their family, or more', (family, text, size) => {
    const address = { family, address: text, port: 80 };
    const name = new Uint8Array(64).fill(0xff);
    name.set(toSockaddr(address));
    for (const namelen of [size, size + 1, 64]) assert.deepEqual(readSockaddr(name, namelen, family), address);
    assert.deepEqual(readSockaddr(name.subarray(0, size), size, family), address);
    for (const namelen of [2, size - 1]) assert.equal(readSockaddr(name, namelen, family), WSA.WSAEFAULT);
  });

  test('that a caller passes in are there, as long as they are said to be', () => {
    const name = toSockaddr({ family: 'IPv4', address: '10.1.2.3', port: 80 });
    for (const bad of [null, undefined, 'name', [...name]]) {
      assert.equal(readSockaddr(bad as never, 16, 'IPv4'), WSA.WSAEFAULT);
    }
    for (const namelen of [-1, 0, 1, 16.5, Number.NaN, '16', 17]) {
      assert.equal(readSockaddr(name, namelen as number, 'IPv4'), WSA.WSAEFAULT, `${namelen}`);
    }
  });

  test('that a caller passes in are of the family of the socket, which is looked at before their size', () => {
    const name = toSockaddr({ family: 'IPv4', address: '10.1.2.3', port: 80 });
    for (const namelen of [2, 15, 16]) assert.equal(readSockaddr(name, namelen, 'IPv6'), WSA.WSAEAFNOSUPPORT);
    const other = toSockaddr({ family: 'IPv6', address: '::1', port: 80 });
    for (const namelen of [2, 28]) assert.equal(readSockaddr(other, namelen, 'IPv4'), WSA.WSAEAFNOSUPPORT);
    for (const at of [0, 1]) {
      assert.equal(readSockaddr(name.with(at, 1), 16, 'IPv4'), WSA.WSAEAFNOSUPPORT, `byte ${at}`);
    }
  });

  test('that stand for all of the host', () => {
    assert.equal(isWildcard({ family: 'IPv4', address: '0.0.0.0', port: 0 }), true);
    assert.equal(isWildcard({ family: 'IPv6', address: '::', port: 0 }), true);
    assert.equal(isWildcard({ family: 'IPv4', address: '::', port: 0 }), false);
    assert.equal(isWildcard({ family: 'IPv6', address: '0.0.0.0', port: 0 }), false);
    assert.equal(isWildcard({ family: 'IPv4', address: '10.0.0.1', port: 0 }), false);
  });

  // RFC 5952: one text for each address.
  test.each([
    ['::', '::'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    // One zero group is not shortened, of two runs the longer is, of two alike the first.
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['0:0:3:4:5:6:7:8', '::3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:10.1.2.3', '::ffff:a01:203'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:255.255.0.1', '1:2:3:4:5:6:ffff:1'],
  ])('of IPv6 have one text: %s is %s', (text, canonical) => {
    assert.equal(canonicalAddress(text, 'IPv6'), canonical);
    assert.equal(addressText(addressBytes(text, 'IPv6')), canonical);
  });

  test.each([
    '',
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1.2.3.4::',
    '::1.2.3',
    '::1.2.3.256',
    'fe80::1%eth0',
  ])("'%s' is no IPv6 address", (text) => {
    assert.equal(isIPv6(text) && !text.includes('%'), false);
    assert.throws(() => addressBytes(text, 'IPv6'), { name: 'RangeError', message: `'${text}' is no IPv6 address` });
  });

  test.each([
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.',
    '1.2.3.x',
    '1.2.3.4x',
    '1.2.3.1000',
    ' 1.2.3.4',
    '::1',
  ])("'%s' is no IPv4 address", (text) => {
    assert.throws(() => addressBytes(text, 'IPv4'), { name: 'RangeError', message: `'${text}' is no IPv4 address` });
  });

  test('of any bytes have a text that is those bytes', () => {
    const words = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(words, (groups) => {
        const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
        const text = addressText(bytes);
        assert.ok(isIPv6(text), text);
        assert.deepEqual(addressBytes(text, 'IPv6'), bytes);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
        assert.deepEqual(addressBytes(addressText(bytes), 'IPv4'), bytes);
        assert.equal(canonicalAddress(addressText(bytes), 'IPv4'), addressText(bytes));
      }),
    );
  });
});

test('GUIDs have their first three groups reversed in memory', () => {
  assert.equal(hex(guidBytes('00112233-4455-6677-8899-aabbccddeeff')), '33221100554477668899aabbccddeeff');
  assert.equal(hex(guidBytes(extensionGuids.WSPRdmaRead)), 'fa22b4c08cf5d111ad6c00c04fa34a2d');
  assert.equal(new Set(Object.values(extensionGuids)).size, 7);
});

test('the dispatch table has 30 slots, in the order of their names but for one', () => {
  assert.equal(procTableSlots.length, 30);
  assert.equal(new Set(procTableSlots).size, 30);
  const sorted = [...procTableSlots].sort();
  // The header has GetQOSByName behind GetSockOpt.
  assert.deepEqual(
    procTableSlots.filter((slot, at) => slot !== sorted[at]),
    ['lpWSPGetSockName', 'lpWSPGetSockOpt', 'lpWSPGetQOSByName'],
  );
});
