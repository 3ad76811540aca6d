/** What the stories of the requirements share: usual beginnings, and the end at which nothing may be left. */

import assert from 'node:assert/strict';
import type { Socket } from '../../driver/index.ts';
import type { Host, Hosts, Result } from './two-hosts.ts';

/** A listener, bound and listening; its event object is `event`, unless 0n. */
export function listening(
  host: Host,
  port: number,
  { backlog = 5, address = host.address, event = 0n }: { backlog?: number; address?: string; event?: bigint } = {},
): Socket {
  const s = host.socket().value;
  assert.equal(host.bind(s, port, address).error, '0');
  assert.equal(host.listen(s, backlog).error, '0');
  if (event !== 0n) assert.equal(host.select(s, event).error, '0');
  return s;
}

/** A bound socket; its event object is `event`, unless 0n. */
export function bound(host: Host, port: number, event = 0n): Socket {
  const s = host.socket().value;
  assert.equal(host.bind(s, port).error, '0');
  if (event !== 0n) assert.equal(host.select(s, event).error, '0');
  return s;
}

/** A socket that has begun to connect. */
export function connecting(host: Host, from: number, address: string, port: number, event = 0n): Socket {
  const s = bound(host, from, event);
  assert.equal(host.connect(s, address, port).error, 'WSAEWOULDBLOCK');
  return s;
}

/** A call's value. @throws AssertionError when it failed */
export function must<T>({ value, error }: Result<T>): T {
  assert.equal(error, '0');
  return value;
}

/** Counters of a host that aren't 0: rows, adapter objects, switch handles. */
export function leftovers(host: Host): Record<string, number> {
  const counts = { ...host.provider.inventory(), ...host.adapter.inventory(), handles: host.handles.size };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

/** Every switch handle was closed at most once, and nothing was told of it before it was made or after it was closed. */
export function assertHandlesInOrder(host: Host): void {
  const open = new Set<Socket>();
  for (const upcall of host.upcalls) {
    if (!('handle' in upcall)) continue;
    const { handle, type } = upcall;
    if (type === 'createSocketHandle') open.add(handle);
    else if (type === 'closeSocketHandle') assert.ok(open.delete(handle), `${host.name}: ${handle} closed twice`);
    else assert.ok(open.has(handle), `${host.name}: completion for ${handle}, which isn't open`);
  }
}

/** Cleans up; then nothing may be left. */
export function end({ client, server, run }: Hosts): void {
  for (const host of [client, server]) {
    host.onUpcall = null;
    host.onComplete = null;
    while (host.cleanup().error === '0') {}
  }
  run();
  for (const host of [client, server]) {
    assert.deepEqual(leftovers(host), {}, host.name);
    assertHandlesInOrder(host);
  }
}

/** Events that were set since `from`, oldest first. */
export const eventsSet = (host: Host, from = 0): bigint[] =>
  host.upcalls.slice(from).flatMap((upcall) => (upcall.type === 'setEvent' ? [upcall.event] : []));
