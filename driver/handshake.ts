/**
 * What two providers tell each other while a connection is set up, broken off or moved.
 *
 * Layouts (little-endian):
 * - request and reply, 40 bytes: magic "WSD1", version u8, kind u8 (0 new, 1 re-attach), re-attach port u16, mailbox
 *   address u64, mailbox key u32, zero u32, connection id 16 bytes
 * - reject, 6 bytes: magic "WSD1", version u8, reason u8
 * - mailbox, 32 bytes, written by the peer before it moves to another process: 1 u32, zero u32 × 3, connection id 16 bytes
 *
 * Source: specification, Annex A.2.
 */

const MAGIC = 0x3144_5357;
const VERSION = 1;
export const HANDSHAKE_BYTES = 40;
export const MAILBOX_BYTES = 32;
export const CONNECTION_ID_BYTES = 16;

export interface Handshake {
  readonly reattach: boolean;
  /** Port at which the sender takes connections back, 0 when it can't. */
  readonly reattachPort: number;
  readonly mailboxAddress: number;
  readonly mailboxKey: number;
  /** 16 bytes; names the connection in both directions. */
  readonly connectionId: Uint8Array;
}

export function encodeHandshake(handshake: Handshake): Uint8Array {
  const bytes = new Uint8Array(HANDSHAKE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, handshake.reattach ? 1 : 0);
  view.setUint16(6, handshake.reattachPort, true);
  view.setBigUint64(8, BigInt(handshake.mailboxAddress), true);
  view.setUint32(16, handshake.mailboxKey, true);
  bytes.set(handshake.connectionId, 24);
  return bytes;
}

/** @param bytes - may be longer than what was sent. @returns null when it isn't one of ours */
export function decodeHandshake(bytes: Uint8Array): Handshake | null {
  if (bytes.length < HANDSHAKE_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC || view.getUint8(4) !== VERSION || view.getUint8(5) > 1) return null;
  const mailboxAddress = view.getBigUint64(8, true);
  if (mailboxAddress > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return {
    reattach: view.getUint8(5) === 1,
    reattachPort: view.getUint16(6, true),
    mailboxAddress: Number(mailboxAddress),
    mailboxKey: view.getUint32(16, true),
    connectionId: bytes.slice(24, 40),
  };
}

/** @param reason - 0 to 255 */
export function encodeReject(reason: number): Uint8Array {
  const bytes = new Uint8Array(6);
  new DataView(bytes.buffer).setUint32(0, MAGIC, true);
  bytes[4] = VERSION;
  bytes[5] = reason;
  return bytes;
}

/** @returns the reason, or null when a provider did not write it */
export function decodeReject(bytes: Uint8Array): number | null {
  if (bytes.length < 6) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0, true) === MAGIC && view.getUint8(4) === VERSION ? view.getUint8(5) : null;
}

/** Writes into `mailbox` that the connection `connectionId` moves. */
export function encodeMailbox(mailbox: Uint8Array, connectionId: Uint8Array): void {
  mailbox.fill(0);
  mailbox[0] = 1;
  mailbox.set(connectionId, MAILBOX_BYTES - CONNECTION_ID_BYTES);
}

/** Where a mailbox names the connection. */
export const mailboxId = (mailbox: Uint8Array): Uint8Array =>
  mailbox.subarray(MAILBOX_BYTES - CONNECTION_ID_BYTES, MAILBOX_BYTES);

/** Whether `mailbox` says that the connection `connectionId` moves. */
export const announcesMove = (mailbox: Uint8Array, connectionId: Uint8Array): boolean =>
  mailbox[0] === 1 && sameBytes(mailboxId(mailbox), connectionId);

/** Whether two byte strings are equal. */
export const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index]);
