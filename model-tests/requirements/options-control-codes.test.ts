// Goal: options, control codes and the fallback to TCP/IP are as WSD-250..258 say.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { extensionGuids, guidBytes, type Out, out, type Socket, toSockaddr } from '../../driver/index.ts';
import {
  INVALID_SOCKET,
  IPPROTO_TCP,
  SIO_ADDRESS_LIST_QUERY,
  SIO_GET_EXTENSION_FUNCTION_POINTER,
  SIO_GET_GROUP_QOS,
  SIO_GET_QOS,
  SIO_SET_GROUP_QOS,
  SIO_SET_QOS,
  SO_DEBUG,
  SO_GROUP_ID,
  SO_GROUP_PRIORITY,
  SO_MAX_MSG_SIZE,
  SO_MAX_RDMA_SIZE,
  SO_RDMA_THRESHOLD_SIZE,
  SOL_SOCKET,
  TCP_NODELAY,
  wsaName,
} from '../../machines/index.ts';
import { bound, connecting, end, leftovers, listening, must } from '../support/story.ts';
import { connectedHosts, type Host, twoHosts } from '../support/two-hosts.ts';

/** WSPGetSockOpt with `room` bytes. @returns the error, the value and what *optlen became */
function getOption(host: Host, s: Socket, level: number, name: number, room = 4) {
  const bytes = new Uint8Array(Math.max(room, 8)).fill(0xee);
  const length = out(room);
  const errno = out(-1);
  host.provider.WSPGetSockOpt(s, level, name, bytes, length, errno);
  return {
    error: wsaName(errno.value),
    value: new DataView(bytes.buffer).getUint32(0, true),
    length: length.value,
    beyond: bytes[4],
  };
}

/** WSPSetSockOpt of a 32-bit value. @returns the error's name */
function setOption(host: Host, s: Socket, level: number, name: number, value: number, length = 4): string {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, value, true);
  const errno = out(-1);
  host.provider.WSPSetSockOpt(s, level, name, bytes, length, errno);
  return wsaName(errno.value);
}

/** WSPIoctl. @returns the error and what *lpcbBytesReturned became */
function ioctl(
  host: Host,
  s: Socket,
  code: number,
  {
    input = null,
    output = null,
    room,
  }: { input?: Uint8Array | null; output?: Uint8Array | Out<unknown> | null; room?: number },
) {
  const returned = out(-1);
  const errno = out(-1);
  const length = room ?? (output instanceof Uint8Array ? output.length : 8);
  host.provider.WSPIoctl(s, code, input, input?.length ?? 0, output, length, returned, null, null, null, errno);
  return { error: wsaName(errno.value), returned: returned.value };
}

/** The addresses of a SOCKET_ADDRESS_LIST, read as a 64-bit caller would. */
function addressesOf(list: Uint8Array): string[] {
  const view = new DataView(list.buffer, list.byteOffset);
  return Array.from({ length: view.getInt32(0, true) }, (_, index) => {
    const at = Number(view.getBigUint64(8 + 16 * index, true));
    assert.equal(view.getInt32(16 + 16 * index, true), 16);
    assert.equal(view.getUint16(at, true), 2);
    return list.subarray(at + 4, at + 8).join('.');
  });
}

/** A socket in each live state, at the client. */
function inEveryState() {
  const hosts = connectedHosts();
  const { client, server, near, listener, run } = hosts;
  const lost = connecting(client, 4100, server.address, 5000);
  const gone = connecting(client, 4101, server.address, 5000);
  run();
  const peer = must(server.accept(listener));
  must(server.accept(listener));
  run();
  server.close(peer);
  run();
  assert.equal(client.duplicate(gone).error, '0');
  run();
  const sockets = {
    created: must(client.socket()),
    bound: bound(client, 4102),
    listening: listening(client, 4103),
    connecting: connecting(client, 4104, '10.9.9.9', 5000),
    connected: near,
    broken: lost,
    dormant: gone,
  };
  for (const [state, s] of Object.entries(sockets)) assert.ok(client.provider.socketState(s)!.startsWith(state), state);
  return { ...hosts, sockets };
}

describe('options', () => {
  test('WSD-250: options can be read in every live state, and set in all but dormant', () => {
    const story = inEveryState();
    const { client, sockets } = story;
    for (const [state, s] of Object.entries(sockets)) {
      assert.equal(setOption(client, s, IPPROTO_TCP, TCP_NODELAY, 1), state === 'dormant' ? 'WSAEINVAL' : '0', state);
      assert.equal(getOption(client, s, IPPROTO_TCP, TCP_NODELAY).value, state === 'dormant' ? 0 : 1, state);
      for (const name of [SO_DEBUG, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE]) {
        assert.equal(getOption(client, s, SOL_SOCKET, name).error, '0', state);
      }
    }
    end(story);
  });

  test('WSD-251: the table of options holds: values, sizes, what can be set', () => {
    const { client } = twoHosts({
      client: { adapter: { capabilities: { messageSizeMax: 1000, rdmaSizeMax: 2000 } } },
    });
    const s = must(client.socket());
    const table: (readonly [level: number, name: number, value: number, writable: boolean])[] = [
      [SOL_SOCKET, SO_DEBUG, 0, true],
      [IPPROTO_TCP, TCP_NODELAY, 0, true],
      [SOL_SOCKET, SO_MAX_MSG_SIZE, 1000, false],
      [SOL_SOCKET, SO_MAX_RDMA_SIZE, 2000, false],
      [SOL_SOCKET, SO_RDMA_THRESHOLD_SIZE, 4096, false],
    ];
    for (const [level, name, value, writable] of table) {
      assert.deepEqual(getOption(client, s, level, name), { error: '0', value, length: 4, beyond: 0xee });
      assert.deepEqual(getOption(client, s, level, name, 8), { error: '0', value, length: 4, beyond: 0xee });
      assert.equal(setOption(client, s, level, name, 1), writable ? '0' : 'WSAENOPROTOOPT');
      assert.equal(getOption(client, s, level, name).value, writable ? 1 : value);
      if (!writable) continue;
      // A BOOL: anything but 0 is true.
      assert.equal(setOption(client, s, level, name, 0x0100_0000), '0');
      assert.equal(getOption(client, s, level, name).value, 1);
      assert.equal(setOption(client, s, level, name, 0), '0');
      assert.equal(getOption(client, s, level, name).value, 0);
    }
  });

  test('WSD-251: sizes are capped at 0x7fffffff', () => {
    const { client } = twoHosts({
      client: { adapter: { capabilities: { messageSizeMax: 0xffff_ffff, rdmaSizeMax: 0xffff_ffff } } },
    });
    const s = must(client.socket());
    for (const name of [SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE]) {
      assert.equal(getOption(client, s, SOL_SOCKET, name).value, 0x7fff_ffff);
    }
  });

  test('WSD-252: an unknown level gives WSAEINVAL, an unknown option WSAENOPROTOOPT, a short buffer WSAEFAULT', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    const digest = client.provider.digest();
    for (const level of [0, 1, 41, 0xfffe]) {
      assert.equal(getOption(client, s, level, SO_DEBUG).error, 'WSAEINVAL');
      assert.equal(setOption(client, s, level, SO_DEBUG, 1), 'WSAEINVAL');
    }
    // SO_REUSEADDR, SO_KEEPALIVE, SO_LINGER, SO_SNDBUF, SO_RCVBUF, SO_ERROR, SO_TYPE, SO_CONDITIONAL_ACCEPT, groups.
    for (const name of [4, 8, 0x80, 0x1001, 0x1002, 0x1007, 0x1008, 0x3002, SO_GROUP_ID, SO_GROUP_PRIORITY]) {
      assert.equal(getOption(client, s, SOL_SOCKET, name).error, 'WSAENOPROTOOPT', name.toString(16));
      assert.equal(setOption(client, s, SOL_SOCKET, name, 1), 'WSAENOPROTOOPT', name.toString(16));
    }
    assert.equal(getOption(client, s, IPPROTO_TCP, 2).error, 'WSAENOPROTOOPT');
    for (const room of [0, 1, 3]) {
      // The buffer stays as it was, and *optlen says what is needed.
      assert.deepEqual(getOption(client, s, SOL_SOCKET, SO_MAX_MSG_SIZE, room), {
        error: 'WSAEFAULT',
        value: 0xeeee_eeee,
        length: 4,
        beyond: 0xee,
      });
      assert.equal(setOption(client, s, SOL_SOCKET, SO_DEBUG, 1, room), 'WSAEFAULT');
    }
    assert.equal(getOption(client, s, SOL_SOCKET, SO_DEBUG).value, 0);
    assert.deepEqual(client.provider.digest(), digest);
  });
});

describe('extension functions', () => {
  const names = Object.keys(extensionGuids) as (keyof typeof extensionGuids)[];
  const optional = 'WSPMemoryRegistrationCacheCallback';

  test('WSD-253: each provided function is returned, whatever the socket argument, and works', () => {
    const hosts = connectedHosts();
    const { client, near } = hosts;
    for (const s of [near, INVALID_SOCKET, 0n, 12_345n]) {
      for (const name of names) {
        if (name === optional) continue;
        const target = out<unknown>(null);
        const answer = ioctl(client, s, SIO_GET_EXTENSION_FUNCTION_POINTER, {
          input: guidBytes(extensionGuids[name]),
          output: target,
        });
        assert.deepEqual(answer, { error: '0', returned: 8 });
        assert.equal(typeof target.value, 'function');
      }
    }
    const register = client.extension('WSPRegisterMemory').value as unknown as Host['provider']['WSPRegisterMemory'];
    const errno = out(-1);
    assert.notEqual(register(near, new Uint8Array(8), 8, 3, errno), 0n);
    assert.equal(errno.value, 0);
    end(hosts);
  });

  test('WSD-254: an unknown GUID gives WSAEINVAL, an absent optional function WSAEOPNOTSUPP', () => {
    const { client, server } = twoHosts({ client: { adapter: { capabilities: { readDepthMax: 0 } } } });
    const target = out<unknown>('untouched');
    const unknown = guidBytes(extensionGuids.WSPRdmaRead);
    unknown[0]! ^= 0x80;
    for (const input of [unknown, new Uint8Array(16), guidBytes('B5367DF1-CBAC-11CF-95CA-00805F48A192')]) {
      const answer = ioctl(client, INVALID_SOCKET, SIO_GET_EXTENSION_FUNCTION_POINTER, { input, output: target });
      assert.deepEqual(answer, { error: 'WSAEINVAL', returned: -1 });
    }
    assert.equal(client.extension(optional).error, 'WSAEOPNOTSUPP');
    assert.equal(client.extension('WSPRdmaRead').error, 'WSAEOPNOTSUPP');
    assert.equal(client.extension('WSPRdmaWrite').error, '0');
    assert.equal(server.extension('WSPRdmaRead').error, '0');
    assert.equal(target.value, 'untouched');
  });

  test('WSD-253: too short a GUID, or too little room for the pointer, gives WSAEFAULT', () => {
    const { client } = twoHosts();
    const target = out<unknown>('untouched');
    const guid = guidBytes(extensionGuids.WSPRdmaWrite);
    const code = SIO_GET_EXTENSION_FUNCTION_POINTER;
    assert.equal(ioctl(client, 0n, code, { input: guid.subarray(0, 15), output: target }).error, 'WSAEFAULT');
    assert.equal(ioctl(client, 0n, code, { input: null, output: target }).error, 'WSAEFAULT');
    assert.equal(ioctl(client, 0n, code, { input: guid, output: target, room: 7 }).error, 'WSAEFAULT');
    assert.equal(ioctl(client, 0n, code, { input: guid, output: null }).error, 'WSAEFAULT');
    assert.equal(target.value, 'untouched');
  });
});

describe('control codes', () => {
  test('WSD-255: the address list is returned; too small a buffer gives WSAEFAULT and the needed size', () => {
    const story = inEveryState();
    const { client, sockets } = story;
    for (const s of Object.values(sockets)) {
      const list = new Uint8Array(64);
      assert.deepEqual(ioctl(client, s, SIO_ADDRESS_LIST_QUERY, { output: list }), { error: '0', returned: 40 });
      assert.deepEqual(addressesOf(list), ['10.0.0.1']);
    }
    const small = new Uint8Array(39).fill(0xee);
    const query = (output: Uint8Array | null, room?: number) =>
      ioctl(client, sockets.created, SIO_ADDRESS_LIST_QUERY, { output, ...(room === undefined ? {} : { room }) });
    assert.deepEqual(query(small), { error: 'WSAEFAULT', returned: 40 });
    assert.deepEqual(query(new Uint8Array(40), 39), { error: 'WSAEFAULT', returned: 40 });
    assert.deepEqual(query(null, 0), { error: 'WSAEFAULT', returned: 40 });
    assert.ok(small.every((byte) => byte === 0xee));
    assert.deepEqual(query(new Uint8Array(40)), { error: '0', returned: 40 });
    assert.equal(ioctl(client, INVALID_SOCKET, SIO_ADDRESS_LIST_QUERY, { output: small }).error, 'WSAENOTSOCK');
    end(story);
  });

  test('WSD-256: every query reflects the addresses of the moment; none is an answer too', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    for (const addresses of [['10.0.0.1'], ['10.0.0.1', '10.0.3.1'], ['10.0.4.1'], []]) {
      client.adapter.setAddresses(addresses);
      const list = new Uint8Array(256).fill(0xee);
      const needed = 8 + 32 * addresses.length;
      assert.deepEqual(ioctl(client, s, SIO_ADDRESS_LIST_QUERY, { output: list }), { error: '0', returned: needed });
      assert.deepEqual(addressesOf(list), addresses);
      assert.equal(list[needed], 0xee);
    }
  });

  test('WSD-257: QoS codes give WSAEOPNOTSUPP, unknown ones WSAEINVAL', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    const output = new Uint8Array(256).fill(0xee);
    for (const code of [SIO_GET_QOS, SIO_GET_GROUP_QOS, SIO_SET_QOS, SIO_SET_GROUP_QOS]) {
      assert.equal(ioctl(client, s, code, { input: new Uint8Array(80), output }).error, 'WSAEOPNOTSUPP');
    }
    // SIO_ADDRESS_LIST_CHANGE, SIO_FLUSH, FIONBIO, FIONREAD, SIOCATMARK, strangers.
    for (const code of [0x2800_0017, 0x2800_0004, 0x8004_667e, 0x4004_667f, 0x4004_7307, 0, 0xffff_ffff]) {
      assert.equal(ioctl(client, s, code, { input: new Uint8Array(4), output }).error, 'WSAEINVAL', code.toString(16));
    }
    assert.ok(output.every((byte) => byte === 0xee));
  });
});

describe('fallback to TCP/IP', () => {
  test('WSD-258: what fails while a companion is set up leaves no trace after WSPCloseSocket', () => {
    const hosts = twoHosts({ client: { adapter: { faults: { outOfResources: { listen: { at: [1] } } } } } });
    const { client, run } = hosts;
    const setups: ((s: Socket) => string)[] = [
      (s) => client.bind(s, 4000, '10.7.7.7').error,
      (s) => client.bind(s, 0).error,
      (s) => setOption(client, s, SOL_SOCKET, SO_GROUP_ID, 1),
      (s) => {
        must(client.bind(s, 4000));
        return client.listen(s).error;
      },
      (s) => {
        must(client.bind(s, 4000));
        const name = toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 5 });
        client.provider.WSPConnect(s, name, 16, null, null, null, null, client.errno);
        return wsaName(client.errno.value);
      },
    ];
    for (const setup of setups) {
      const s = must(client.socket());
      assert.notEqual(setup(s), '0');
      assert.equal(client.close(s).error, '0');
      assert.deepEqual(leftovers(client), {});
    }
    run();
    assert.ok(client.upcalls.every(({ type }) => type === 'createSocketHandle' || type === 'closeSocketHandle'));
    end(hosts);
  });

  test('WSD-258: a connect that failed leaves none either', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const s = connecting(client, 4000, server.address, 5999, 0x30n);
    run();
    assert.equal(client.events(s).value.connect, 'WSAETIMEDOUT');
    assert.equal(client.close(s).error, '0');
    assert.equal(client.handles.size, 0);
    assert.deepEqual(client.provider.inventory().sockets, 0);
    assert.equal(client.adapter.inventory().connectors + client.adapter.inventory().protectionDomains, 0);
    end(hosts);
  });
});
