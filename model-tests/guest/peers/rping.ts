/**
 * Both ends of rping, on the provider interface.
 *
 * Protocol: a message names memory, as address u64, key u32 and length u32, big-endian. For each ping the client names
 * memory with text in it; the server reads it and says go; the client names memory to write to; the server writes the
 * text there, up to its zero byte, and says go. What a server's message names means nothing.
 *
 * Source: rping(1), and its traffic.
 */

import type { Connection, RemoteMemory } from './application.ts';

const INFO_BYTES = 16;

/** Messages of 16 bytes, of which one more than needed has a receive posted. */
class Messages {
  readonly #connection: Connection;
  readonly #sent: Uint8Array;
  readonly #received: { readonly buffer: Uint8Array; done: Promise<number> }[];

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#sent = connection.memory(INFO_BYTES);
    this.#received = [0, 1].map(() => {
      const buffer = connection.memory(INFO_BYTES);
      return { buffer, done: connection.receive(buffer) };
    });
    // What is still posted at the end is aborted then.
    for (const { done } of this.#received) done.catch(() => {});
  }

  async next(): Promise<RemoteMemory> {
    const oldest = this.#received.shift()!;
    const length = await oldest.done;
    if (length !== INFO_BYTES) throw new Error(`a message of ${length} bytes`);
    const view = new DataView(oldest.buffer.buffer);
    const memory = { address: Number(view.getBigUint64(0)), key: view.getUint32(8), length: view.getUint32(12) };
    const done = this.#connection.receive(oldest.buffer);
    done.catch(() => {});
    this.#received.push({ buffer: oldest.buffer, done });
    return memory;
  }

  async send({ address, key, length }: RemoteMemory): Promise<void> {
    const view = new DataView(this.#sent.buffer);
    view.setBigUint64(0, BigInt(address));
    view.setUint32(8, key);
    view.setUint32(12, length);
    await this.#connection.send(this.#sent);
  }
}

/** Serves until the client leaves. @returns the texts that it sent, without their zero byte */
export async function serveRping(connection: Connection, sizeMax: number, count: number): Promise<readonly string[]> {
  const messages = new Messages(connection);
  const memory = connection.memory(sizeMax);
  const texts: string[] = [];
  const go = { address: 0, key: 0, length: 0 };
  while (texts.length < count) {
    const source = await messages.next();
    const text = memory.subarray(0, source.length);
    await connection.read(text, source);
    await messages.send(go);
    const sink = await messages.next();
    const length = text.indexOf(0) + 1;
    await connection.write(text.subarray(0, length), sink);
    await messages.send(go);
    texts.push(Buffer.from(text.subarray(0, length - 1)).toString('latin1'));
  }
  return texts;
}

/** Sends `count` texts of `size` bytes, their zero byte included. @throws Error when one comes back changed */
export async function pingRping(connection: Connection, size: number, count: number): Promise<void> {
  const messages = new Messages(connection);
  const text = connection.memory(size);
  const echo = connection.memory(size);
  const source = connection.expose(text, 'read');
  const sink = connection.expose(echo, 'write');
  for (let ping = 0; ping < count; ping++) {
    for (let index = 0; index < size - 1; index++) text[index] = 0x41 + ((index + ping) % 26);
    await messages.send(source);
    await messages.next();
    await messages.send(sink);
    await messages.next();
    if (Buffer.compare(text, echo) !== 0) throw new Error(`ping ${ping} came back changed`);
    echo.fill(0);
  }
}
