/** Small messages on a connection, in order, with receives posted ahead. */

import type { Connection, RemoteMemory } from './application.ts';

/** Bytes of a message that names memory: address u64, key u32, length u32, big-endian. */
export const INFO_BYTES = 16;

export function encodeInfo({ address, key, length }: RemoteMemory): Uint8Array {
  const bytes = new Uint8Array(INFO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(address));
  view.setUint32(8, key);
  view.setUint32(12, length);
  return bytes;
}

/** @throws Error when `bytes` isn't as long as that */
export function decodeInfo(bytes: Uint8Array): RemoteMemory {
  if (bytes.length !== INFO_BYTES) throw new Error(`a message of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { address: Number(view.getBigUint64(0)), key: view.getUint32(8), length: view.getUint32(12) };
}

export class Messages {
  readonly #connection: Connection;
  readonly #sent: Uint8Array;
  readonly #posted: { readonly buffer: Uint8Array; readonly done: Promise<number> }[] = [];

  /** @param lengthMax - bytes of the longest message, either way */
  constructor(connection: Connection, lengthMax = INFO_BYTES) {
    this.#connection = connection;
    this.#sent = connection.memory(lengthMax);
    for (let ahead = 0; ahead < 4; ahead++) this.#post(connection.memory(lengthMax));
  }

  /** The next one, copied. */
  async next(): Promise<Uint8Array> {
    const { buffer, done } = this.#posted.shift()!;
    const message = buffer.slice(0, await done);
    this.#post(buffer);
    return message;
  }

  /** Resolves when it is sent. */
  async send(message: Uint8Array): Promise<void> {
    this.#sent.set(message);
    await this.#connection.send(this.#sent.subarray(0, message.length));
  }

  #post(buffer: Uint8Array): void {
    const done = this.#connection.receive(buffer);
    // What is still posted at the end is aborted then.
    done.catch(() => {});
    this.#posted.push({ buffer, done });
  }
}
