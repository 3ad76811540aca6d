/**
 * What a client asks of a file server, and how the server says no: the messages around a file transfer.
 *
 * Theory of operation: a connection is for one request, in its first message. The server answers `ready` or a refusal.
 * After `ready` the file goes as in file-transfer.ts, from the server for a get, to it for a put; a ping's messages are
 * sent back as they are. A refusal may still come while a file is on its way: the disk can be full.
 *
 * Layout of a message: kind u8, then
 * - request: operation u8, size of the file u64 (put; else 0), path in UTF-8 (empty for ping)
 * - ready: nothing
 * - refusal: reason u8, text in UTF-8
 * - ping: bytes
 */

import { EndpointError, type Incoming } from './endpoint.ts';

/** Kinds of message; 1 to 4 are a file's own. */
export const Kind = { header: 1, data: 2, digest: 3, verdict: 4, refusal: 5, request: 6, ready: 7, ping: 8 } as const;

const operations = ['get', 'put', 'ping'] as const;
export type Operation = (typeof operations)[number];

/** Why a server refuses; the number is the place in this list. */
const reasons = [
  'failed',
  'notFound',
  'badPath',
  'notAFile',
  'tooLarge',
  'noSpace',
  'readOnly',
  'notPermitted',
  'exists',
  'badRequest',
  'idle',
] as const;
export type RefusalReason = (typeof reasons)[number];

/** A request that a server refuses. Thrown where it is found out, at the server; and again at the client. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: RefusalReason;

  /** @param message - for the client's user, without the path */
  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface FileRequest {
  readonly operation: Operation;
  /** Components joined by `/`, without one in front; whether it is allowed is the server's to say. */
  readonly path: string;
  /** Bytes of the file that is put; 0 otherwise. */
  readonly size: number;
}

/** Longest path, in bytes of UTF-8. */
export const PATH_BYTES_MAX = 1024;
const TEXT_BYTES_MAX = 300;

/** @throws RangeError when the path is too long */
export function encodeRequest({ operation, path, size }: FileRequest): Uint8Array {
  const text = new TextEncoder().encode(path);
  if (text.length > PATH_BYTES_MAX) throw new RangeError(`a path of ${text.length} bytes: at most ${PATH_BYTES_MAX}`);
  const body = new Uint8Array(9 + text.length);
  body[0] = operations.indexOf(operation);
  new DataView(body.buffer).setBigUint64(1, BigInt(size), true);
  body.set(text, 9);
  return withKind(Kind.request, body);
}

/** @throws {@link Refusal} when it is no request */
export function decodeRequest(message: Uint8Array): FileRequest {
  const operation = operations[message[1] ?? operations.length];
  if (message[0] !== Kind.request || message.length < 10 || operation === undefined) {
    throw new Refusal('badRequest', 'this is no request');
  }
  const size = new DataView(message.buffer, message.byteOffset).getBigUint64(2, true);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refusal('tooLarge', 'no file is that large');
  try {
    return {
      operation,
      path: new TextDecoder('utf-8', { fatal: true }).decode(message.subarray(10)),
      size: Number(size),
    };
  } catch {
    throw new Refusal('badPath', 'the path is not UTF-8');
  }
}

export const readyMessage = (): Uint8Array => Uint8Array.of(Kind.ready);

export function encodeRefusal({ reason, message }: Refusal): Uint8Array {
  const text = new TextEncoder().encode(message).subarray(0, TEXT_BYTES_MAX);
  const body = new Uint8Array(1 + text.length);
  body[0] = reasons.indexOf(reason);
  body.set(text, 1);
  return withKind(Kind.refusal, body);
}

/** @throws {@link Refusal} when `incoming` is one */
export function throwIfRefused(incoming: Incoming): void {
  if (incoming.type !== 'data' || incoming.payload[0] !== Kind.refusal) return;
  // Printable characters only: it goes to a terminal, and the server may be anybody's.
  const text = new TextDecoder().decode(incoming.payload.subarray(2)).replaceAll(/[^\P{C}]/gu, '?');
  throw new Refusal(reasons[incoming.payload[1]!] ?? 'failed', text);
}

/** Expects `ready`. @throws {@link Refusal}; {@link EndpointError} for anything else */
export function expectReady(incoming: Incoming): void {
  throwIfRefused(incoming);
  if (incoming.type === 'data' && incoming.payload[0] === Kind.ready) return;
  throw new EndpointError('the peer is no wsdirect server: it answers something else than yes or no');
}

/** A message of this kind. */
export function withKind(kind: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + body.length);
  message[0] = kind;
  message.set(body, 1);
  return message;
}
