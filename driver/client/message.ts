/**
 * What two applications of this helper tell each other. The provider knows nothing of it: to it these are messages.
 *
 * Layout (little-endian): type u8, zero u8, credits u16, transfer id u32, then by type:
 * - negotiation: magic "WSDA", version u8, 1 if RDMA read is offered u8, receives posted u16, largest message u32
 * - data: the application's bytes
 * - offer: total length u64, remote descriptor 32 bytes (zeros when the peer can't read), first part of the data
 * - target: remote descriptor 32 bytes
 * - done (the peer's data was read), written (it was written), credit: nothing
 *
 * Source: the sequences of the specification, 7.4 and 7.5; the format is ours, as theirs isn't public (7.1).
 */

import { REMOTE_DESCRIPTOR_BYTES } from '../remote-descriptor.ts';

export const MessageType = { negotiation: 1, data: 2, offer: 3, target: 4, done: 5, written: 6, credit: 7 } as const;

export const HEAD_BYTES = 8;
/** Bytes of an offer before the first part of the data. */
export const OFFER_BYTES = HEAD_BYTES + 8 + REMOTE_DESCRIPTOR_BYTES;
const NEGOTIATION_BYTES = HEAD_BYTES + 12;
const MAGIC = 0x4144_5357;
const VERSION = 1;

export interface Negotiation {
  readonly canRead: boolean;
  readonly receives: number;
  readonly messageBytesMax: number;
}

/** A message as it was sent; `credits` says how many receives the sender has posted again since its last message. */
export type Message = { readonly credits: number; readonly transfer: number } & (
  | ({ readonly type: 'negotiation' } & Negotiation)
  | { readonly type: 'data'; readonly payload: Uint8Array }
  | { readonly type: 'offer'; readonly length: number; readonly descriptor: Uint8Array; readonly first: Uint8Array }
  | { readonly type: 'target'; readonly descriptor: Uint8Array }
  | { readonly type: 'done' | 'written' | 'credit' }
);
type Without<T> = T extends unknown ? Omit<T, 'credits'> : never;
/** A message that waits for its turn: how many credits it carries is known when it is sent. */
export type Outgoing = Without<Message>;

/** Writes `message` into `target`. @returns its length */
export function encodeMessage(target: Uint8Array, message: Outgoing, credits: number): number {
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  view.setUint8(0, MessageType[message.type]);
  view.setUint8(1, 0);
  view.setUint16(2, credits, true);
  view.setUint32(4, message.transfer, true);
  switch (message.type) {
    case 'negotiation':
      view.setUint32(8, MAGIC, true);
      view.setUint8(12, VERSION);
      view.setUint8(13, message.canRead ? 1 : 0);
      view.setUint16(14, message.receives, true);
      view.setUint32(16, message.messageBytesMax, true);
      return NEGOTIATION_BYTES;
    case 'data':
      target.set(message.payload, HEAD_BYTES);
      return HEAD_BYTES + message.payload.length;
    case 'offer':
      view.setBigUint64(HEAD_BYTES, BigInt(message.length), true);
      target.set(message.descriptor, HEAD_BYTES + 8);
      target.set(message.first, OFFER_BYTES);
      return OFFER_BYTES + message.first.length;
    case 'target':
      target.set(message.descriptor, HEAD_BYTES);
      return HEAD_BYTES + REMOTE_DESCRIPTOR_BYTES;
    case 'done':
    case 'written':
    case 'credit':
      return HEAD_BYTES;
  }
}

/** @returns the message, its parts copied, as its buffer is to be posted again; null when it isn't one of ours */
export function decodeMessage(bytes: Uint8Array): Message | null {
  if (bytes.length < HEAD_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const head = { credits: view.getUint16(2, true), transfer: view.getUint32(4, true) };
  const body = bytes.slice(HEAD_BYTES);
  switch (view.getUint8(0)) {
    case MessageType.negotiation: {
      const ours =
        bytes.length >= NEGOTIATION_BYTES && view.getUint32(8, true) === MAGIC && view.getUint8(12) === VERSION;
      if (!ours) return null;
      const canRead = view.getUint8(13) === 1;
      const receives = view.getUint16(14, true);
      return { type: 'negotiation', ...head, canRead, receives, messageBytesMax: view.getUint32(16, true) };
    }
    case MessageType.data:
      return { type: 'data', ...head, payload: body };
    case MessageType.offer: {
      if (bytes.length < OFFER_BYTES) return null;
      const length = Number(view.getBigUint64(HEAD_BYTES, true));
      const descriptor = body.subarray(8, 8 + REMOTE_DESCRIPTOR_BYTES);
      return { type: 'offer', ...head, length, descriptor, first: body.subarray(8 + REMOTE_DESCRIPTOR_BYTES) };
    }
    case MessageType.target:
      return body.length < REMOTE_DESCRIPTOR_BYTES ? null : { type: 'target', ...head, descriptor: body };
    case MessageType.done:
      return { type: 'done', ...head };
    case MessageType.written:
      return { type: 'written', ...head };
    case MessageType.credit:
      return { type: 'credit', ...head };
    default:
      return null;
  }
}
