/**
 * Descriptor of memory that a peer may reach, as switches carry it to each other.
 *
 * Layout: 32 bytes, little-endian: magic "WSDR" @0, version u16 @4, access u16 @6, address u64 @8, length u32 @16, key
 * u32 @20, id u64 @24.
 *
 * Source: specification, 8.3.
 */

const MAGIC = 0x5244_5357;
const VERSION = 1;
export const REMOTE_DESCRIPTOR_BYTES = 32;

export interface RemoteDescriptor {
  /** MEM_READ, MEM_WRITE or both. */
  readonly access: number;
  readonly address: number;
  /** In bytes. */
  readonly length: number;
  readonly key: number;
  /** The registration's handle at its owner. */
  readonly id: bigint;
}

export function encodeDescriptor({ access, address, length, key, id }: RemoteDescriptor): Uint8Array {
  const bytes = new Uint8Array(REMOTE_DESCRIPTOR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, access, true);
  view.setBigUint64(8, BigInt(address), true);
  view.setUint32(16, length, true);
  view.setUint32(20, key, true);
  view.setBigUint64(24, id, true);
  return bytes;
}

/** @param length - as the caller states it. @returns null when it isn't a descriptor of this form */
export function decodeDescriptor(bytes: Uint8Array | null, length: number): RemoteDescriptor | null {
  if (!(bytes instanceof Uint8Array) || length !== REMOTE_DESCRIPTOR_BYTES || bytes.length < length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const access = view.getUint16(6, true);
  const address = view.getBigUint64(8, true);
  if (view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== VERSION) return null;
  if (access < 1 || access > 3 || address > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return {
    access,
    address: Number(address),
    length: view.getUint32(16, true),
    key: view.getUint32(20, true),
    id: view.getBigUint64(24, true),
  };
}
