// Goal: making and binding sockets is as WSD-030..038 say.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { out, toSockaddr, tcpProtocolInfo } from '../../driver/index.ts';
import { explorationLimits, INVALID_SOCKET, SIO_ADDRESS_LIST_QUERY, wsaName } from '../../machines/index.ts';
import { bound, connecting, end, leftovers, listening, must } from '../support/story.ts';
import { connectedHosts, type Host, twoHosts } from '../support/two-hosts.ts';

/** WSPSocket with every parameter given. @returns the error's name */
function socketError(
  host: Host,
  {
    af = 2,
    type = 1,
    protocol = 6,
    g = 0,
    flags = 1,
  }: Partial<Record<'af' | 'type' | 'protocol' | 'g' | 'flags', number>>,
): string {
  const errno = out(-1);
  const s = host.provider.WSPSocket(af, type, protocol, tcpProtocolInfo(), g, flags, errno);
  if (errno.value !== 0) assert.equal(s, INVALID_SOCKET);
  return wsaName(errno.value);
}

/** WSPBind with the bytes given. @returns the error's name */
function bindError(host: Host, s: bigint, name: Uint8Array | null, namelen = name?.length ?? 0): string {
  const errno = out(-1);
  host.provider.WSPBind(s, name, namelen, errno);
  return wsaName(errno.value);
}

describe('making sockets', () => {
  test('WSD-030: family, type and protocol other than TCP over IP are refused, each by its own error', () => {
    const hosts = twoHosts();
    const { client } = hosts;
    for (const af of [0, 1, 3, 24, 0xffff]) assert.equal(socketError(client, { af }), 'WSAEAFNOSUPPORT');
    for (const type of [0, 2, 3, 4, 5]) assert.equal(socketError(client, { type }), 'WSAESOCKTNOSUPPORT');
    for (const protocol of [0, 17, 255]) assert.equal(socketError(client, { protocol }), 'WSAEPROTONOSUPPORT');
    assert.deepEqual(client.upcalls, []);
    assert.deepEqual(leftovers(client), {});
    assert.equal(socketError(client, {}), '0');
    assert.equal(socketError(client, { af: 23 }), '0');
    end(hosts);
  });

  test('WSD-031: flags other than overlapped, and a group, give WSAEINVAL', () => {
    const { client } = twoHosts();
    for (const flags of [0, 2, 3, 0x81]) assert.equal(socketError(client, { flags }), 'WSAEINVAL');
    for (const g of [1, -1]) assert.equal(socketError(client, { g }), 'WSAEINVAL');
    assert.deepEqual(client.upcalls, []);
  });

  test('WSPSocket gives WSAEMFILE when all descriptors are in use, and works again when one is closed', () => {
    const hosts = twoHosts({ client: { limits: explorationLimits } });
    const { client } = hosts;
    const [first] = [must(client.socket()), must(client.socket())];
    const { length } = client.upcalls;
    assert.deepEqual(client.socket(), { value: INVALID_SOCKET, error: 'WSAEMFILE' });
    assert.equal(client.upcalls.length, length);
    client.close(first!);
    const again = must(client.socket());
    assert.notEqual(again, first);
    assert.equal(client.close(first!).error, 'WSAENOTSOCK');
    end(hosts);
  });

  test('WSD-032: an unbound socket answers SIO_ADDRESS_LIST_QUERY', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    const list = new Uint8Array(256);
    const returned = out(0);
    assert.equal(
      client.provider.WSPIoctl(s, SIO_ADDRESS_LIST_QUERY, null, 0, list, 256, returned, null, null, null, client.errno),
      0,
    );
    assert.equal(list[0], 1);
    assert.deepEqual([...list.subarray(returned.value - 12, returned.value - 8)], [10, 0, 0, 1]);
    assert.equal(client.provider.socketState(s), 'created');
  });
});

describe('binding', () => {
  test('WSD-033: a served address with a port is taken, and so is the wildcard', () => {
    const hosts = twoHosts();
    const { client } = hosts;
    for (const address of ['10.0.0.1', '0.0.0.0']) {
      const s = must(client.socket());
      assert.equal(client.bind(s, 65_535, address).error, '0');
      assert.equal(client.provider.socketState(s), 'bound.idle');
    }
    end(hosts);
  });

  test('WSD-033: port 0 gives WSAEINVAL and leaves the socket unbound', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    assert.equal(client.bind(s, 0).error, 'WSAEINVAL');
    assert.equal(client.bind(s, 0, '0.0.0.0').error, 'WSAEINVAL');
    assert.equal(client.bind(s, 4000).error, '0');
  });

  test('WSD-034: an address that is not served gives WSAEADDRNOTAVAIL', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    for (const address of ['10.0.0.2', '127.0.0.1', '255.255.255.255']) {
      assert.equal(client.bind(s, 4000, address).error, 'WSAEADDRNOTAVAIL', address);
    }
    assert.equal(client.provider.socketState(s), 'created');
    client.adapter.setAddresses(['10.0.0.9']);
    assert.equal(client.bind(s, 4000).error, 'WSAEADDRNOTAVAIL');
    assert.equal(client.bind(s, 4000, '10.0.0.9').error, '0');
  });

  test('WSD-035: a short name, a missing one, or another family gives WSAEFAULT', () => {
    const { client } = twoHosts();
    const s = must(client.socket());
    const name = toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 4000 });
    for (const length of [0, 1, 2, 8, 15]) assert.equal(bindError(client, s, name, length), 'WSAEFAULT', `${length}`);
    assert.equal(bindError(client, s, null, 16), 'WSAEFAULT');
    assert.equal(bindError(client, s, name, 17), 'WSAEFAULT');
    assert.equal(bindError(client, s, toSockaddr({ family: 'IPv6', address: '::1', port: 1 })), 'WSAEFAULT');
    const strange = name.slice();
    strange[0] = 99;
    assert.equal(bindError(client, s, strange), 'WSAEFAULT');
    assert.equal(client.provider.socketState(s), 'created');
    // More than enough is enough.
    assert.equal(bindError(client, s, Uint8Array.of(...name, 1, 2, 3)), '0');
  });

  test('WSD-036: a second bind gives WSAEINVAL, in every state, and changes nothing', () => {
    const hosts = connectedHosts();
    const { client, near, server, far, run } = hosts;
    const refuses = (s: bigint): void => {
      const digest = client.provider.digest();
      assert.equal(client.bind(s, 4999).error, 'WSAEINVAL');
      assert.deepEqual(client.provider.digest(), digest);
    };
    refuses(bound(client, 4001));
    refuses(listening(client, 4002));
    refuses(connecting(client, 4003, '10.9.9.9', 5000));
    refuses(near);
    server.close(far);
    run();
    assert.equal(client.provider.socketState(near), 'broken');
    refuses(near);
    end(hosts);
  });

  test('WSD-037: a port that is in use is no reason to refuse a bind', () => {
    const hosts = connectedHosts();
    const { server, listener } = hosts;
    // The listener and the accepted socket have the port already.
    const [first, second] = [bound(server, 5000), bound(server, 5000)];
    assert.deepEqual(server.events(listener).error, '0');
    server.close(first);
    bound(server, 5000);
    server.close(second);
    end(hosts);
  });

  test('WSD-038: the socket keeps the exact address and port, as its peer sees', () => {
    const hosts = twoHosts();
    const { client, server, run } = hosts;
    const listener = listening(server, 5000);
    connecting(client, 4321, server.address, 5000);
    run();
    let seen: number[] = [];
    server.accept(listener, (caller) => {
      seen = [...caller.buf!];
      return 1;
    });
    assert.deepEqual(seen, [...toSockaddr({ family: 'IPv4', address: '10.0.0.1', port: 4321 })]);
    end(hosts);
  });
});
