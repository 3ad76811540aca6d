/**
 * Both ends of rping, on the provider interface.
 *
 * Protocol: a message names memory, as address u64, key u32 and length u32, big-endian. For each ping the client names
 * memory with text in it; the server reads it and says go; the client names memory to write to; the server writes the
 * text there, up to its zero byte, and says go. What a server's message names means nothing.
 *
 * Source: rping(1), and its traffic.
 */

import type { Connection } from './application.ts';
import { decodeInfo, encodeInfo, Messages } from './messages.ts';

/** What a server's message names. */
const GO = encodeInfo({ address: 0, key: 0, length: 0 });

/** Serves until the client leaves. @returns the texts that it sent, without their zero byte */
export async function serveRping(connection: Connection, sizeMax: number, count: number): Promise<readonly string[]> {
  const messages = new Messages(connection);
  const memory = connection.memory(sizeMax);
  const texts: string[] = [];
  while (texts.length < count) {
    const source = decodeInfo(await messages.next());
    const text = memory.subarray(0, source.length);
    await connection.read(text, source);
    await messages.send(GO);
    const sink = decodeInfo(await messages.next());
    const length = text.indexOf(0) + 1;
    await connection.write(text.subarray(0, length), sink);
    await messages.send(GO);
    texts.push(Buffer.from(text.subarray(0, length - 1)).toString('latin1'));
  }
  return texts;
}

/** Sends `count` texts of `size` bytes, their zero byte included. @throws Error when one comes back changed */
export async function pingRping(connection: Connection, size: number, count: number): Promise<void> {
  const messages = new Messages(connection);
  const text = connection.memory(size);
  const echo = connection.memory(size);
  const source = encodeInfo(connection.expose(text, 'read'));
  const sink = encodeInfo(connection.expose(echo, 'write'));
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
