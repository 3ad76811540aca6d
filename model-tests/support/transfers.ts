/** Verbs for stories about data: calls with every parameter open, how requests ended, and structures that tell who wrote. */

import assert from 'node:assert/strict';
import { type Handle, out, type Socket, WsaOverlapped } from '../../driver/index.ts';
import { wsaName } from '../../machines/index.ts';
import { assertHandlesInOrder, end, leftovers } from './story.ts';
import type { Connected, Host, Request } from './two-hosts.ts';

/** A data function's call. What isn't given is what a well-behaved switch passes. */
export interface Transfer {
  readonly kind: 'send' | 'recv' | 'write' | 'read';
  readonly buffers: readonly { len: number; buf: Uint8Array | null; handle?: Handle }[] | null;
  readonly count?: number;
  readonly flags?: number;
  readonly overlapped?: WsaOverlapped | null;
  readonly notify?: boolean;
  readonly descriptor?: Uint8Array | null;
  readonly descriptorLength?: number;
  readonly offset?: number;
  /** lpCompletionRoutine and lpThreadId, which no provider looks at. */
  readonly routine?: unknown;
}

/** Calls a data function. `overlapped` of the result is a spare one when null was passed. */
export function transfer(host: Host, s: Socket, given: Transfer): Request {
  const { kind, buffers, flags = 0, descriptor = null, offset = 0, routine = null } = given;
  const { provider, errno } = host;
  const count = given.count ?? buffers?.length ?? 1;
  const overlapped = given.overlapped === undefined ? new WsaOverlapped() : given.overlapped;
  if (overlapped !== null) overlapped.hEvent = given.notify === true ? 0x20n : 1n;
  const moved = out(-1);
  let value: number;
  if (kind === 'send') {
    value = provider.WSPSend(s, buffers, count, moved, flags, overlapped, routine, routine, errno);
  } else if (kind === 'recv') {
    value = provider.WSPRecv(s, buffers, count, moved, out(flags), overlapped, routine, routine, errno);
  } else {
    const length = given.descriptorLength ?? descriptor?.length ?? 0;
    const call = kind === 'write' ? provider.WSPRdmaWrite : provider.WSPRdmaRead;
    value = call.call(
      provider,
      s,
      buffers?.map(({ len, buf, handle = 0n }) => ({ len, buf, handle })) ?? null,
      count,
      descriptor,
      length,
      offset,
      moved,
      flags,
      overlapped,
      routine,
      routine,
      errno,
    );
  }
  assert.equal(moved.value, -1, 'a count was stored, though nothing completed within the call');
  const error = wsaName(errno.value);
  return {
    overlapped: overlapped ?? new WsaOverlapped(),
    result: { value, error },
    buffer: buffers?.[0]?.buf ?? new Uint8Array(0),
  };
}

/** A list of buffers, each `memory` from..to. */
export const list = (memory: Uint8Array, ...spans: readonly (readonly [number, number])[]) =>
  spans.map(([from, to]) => ({ len: to - from, buf: memory.subarray(from, to) }));

/** Bytes that differ from their neighbours and, by `seed`, from those of others. */
export function fill(bytes: Uint8Array, seed = 1): Uint8Array {
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 7 + seed * 31 + (index >> 8)) & 0xff;
  return bytes;
}

/** How a request stands, by WSPGetOverlappedResult: `pending`, `12 bytes`, or its error. */
export function ending(host: Host, s: Socket, request: { readonly overlapped: WsaOverlapped }): string {
  const { value, bytes, error } = host.outcome(s, request);
  return value ? `${bytes} bytes` : error === 'WSA_IO_INCOMPLETE' ? 'pending' : error;
}

/** How a request stands, by its structure alone: also when its socket is gone. */
export function written({ overlapped }: { readonly overlapped: WsaOverlapped }): string {
  if (overlapped.internal === 0x103n) return 'pending';
  assert.equal(overlapped.internal, 0n);
  if (overlapped.offsetHigh === 0) return `${overlapped.internalHigh} bytes`;
  assert.equal(overlapped.internalHigh, 0n, 'bytes of a request that failed');
  return wsaName(overlapped.offsetHigh);
}

/** Completion up-calls for a request, as `error bytes`. */
export const notified = (host: Host, { overlapped }: { readonly overlapped: WsaOverlapped }): string[] =>
  host.completions
    .filter((upcall) => upcall.overlapped === overlapped)
    .map(({ error, bytes }) => (error === '0' ? `${bytes} bytes` : error));

/** Switch handle of a socket, as the switch was told it. */
export function switchHandle(host: Host, s: Socket): Socket {
  const upcall = host.upcalls.find(
    ({ type, ...rest }) => type === 'createSocketHandle' && 'context' in rest && rest.context === s,
  );
  assert.ok(upcall?.type === 'createSocketHandle');
  return upcall.handle;
}

const FIELDS = ['internal', 'internal', 'internalHigh', 'internalHigh', 'offset', 'offsetHigh', 'hEvent', 'hEvent'];

/** A structure that notes each field that is written, in order. */
export class RecordingOverlapped extends WsaOverlapped {
  readonly writes: string[] = [];
  /** Runs after each write. */
  onWrite: ((field: string) => void) | null = null;

  override setWord(index: number, value: number): void {
    const changes = this.word(index) !== value >>> 0;
    super.setWord(index, value);
    if (!changes) return;
    this.writes.push(FIELDS[index]!);
    this.onWrite?.(FIELDS[index]!);
  }
}

/** Closes every socket of the story; then nothing may be left but what listens for connections that come back. */
export function closeEverything(hosts: Connected, near: readonly Socket[] = [], far: readonly Socket[] = []): void {
  const { client, server, run, pass } = hosts;
  for (const s of [hosts.near, ...near]) client.close(s);
  for (const s of [hosts.far, hosts.listener, ...far]) server.close(s);
  run();
  pass(2_000);
  for (const host of [client, server]) {
    const { listeners: _, ...left } = leftovers(host);
    assert.deepEqual(left, {}, host.name);
    assertHandlesInOrder(host);
  }
  end(hosts);
}
