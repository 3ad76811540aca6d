/**
 * Both ends of perftest's ib_send_lat, ib_write_bw and ib_read_bw with -R, on the provider interface.
 *
 * Protocol: two connections to one port, first for control, then for data. On control the client says something and the
 * server answers with its own of the same kind, step by step: version, two sizes, MTU, zeros; with the data connection
 * made, zeros and several times where the data is; after the data once more, then for bandwidth five numbers, and
 * where the data is. What a server says but for the place of its data may be what the client has said.
 *
 * Source: the traffic of perftest 4.5.
 */

import type { Socket } from '../../../driver/spi.ts';
import type { Application, Connection, RemoteMemory } from './application.ts';
import type { SocketAddress } from '../../../driver/adapter/adapter.ts';
import { Messages } from './messages.ts';

export type Perftest = 'ib_send_lat' | 'ib_write_bw' | 'ib_read_bw';

/** Where data is: lid, reads, queue pair, sequence number, key u32 each, four bytes, address u64, 24 bytes. */
const PLACE_BYTES = 56;
/** Bytes of data that an end has, whatever the size of a message: more than perftest goes round in. */
const DATA_BYTES = 65_536;

function encodePlace({ address, key }: RemoteMemory): Uint8Array {
  const bytes = new Uint8Array(PLACE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of [0, 1, 2, 3, key].entries()) view.setUint32(4 * index, word);
  view.setBigUint64(24, BigInt(address));
  return bytes;
}

function decodePlace(bytes: Uint8Array): RemoteMemory {
  if (bytes.length !== PLACE_BYTES) throw new Error(`a message of ${bytes.length} bytes that is no place`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { address: Number(view.getBigUint64(24)), key: view.getUint32(16), length: DATA_BYTES };
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

const expose = (test: Perftest, data: Connection, memory: Uint8Array): RemoteMemory =>
  data.expose(memory, test === 'ib_read_bw' ? 'read' : 'write');

/** Serves one client until it leaves. */
export async function servePerftest(
  application: Application,
  listener: Socket,
  test: Perftest,
  size: number,
  count: number,
): Promise<void> {
  const control = new Messages(await application.accept(listener), PLACE_BYTES);
  for (let step = 0; step < 5; step++) await control.send(await control.next());
  const data = await application.accept(listener);
  const memory = data.memory(DATA_BYTES);
  const place = encodePlace(expose(test, data, memory));
  const pongs = test === 'ib_send_lat' ? pong(data, memory, size, count) : Promise.resolve();
  // Zeros, and where the data is before and after: as often as it asks.
  const steps = 1 + (test === 'ib_send_lat' ? 5 : 4 + 5 + 1);
  for (let step = 0; step < steps; step++) {
    const message = await control.next();
    await control.send(message.length === PLACE_BYTES && !isZero(message) ? place : message);
  }
  await pongs;
}

/** Answers each message with one of the same size. */
async function pong(data: Connection, memory: Uint8Array, size: number, count: number): Promise<void> {
  const buffer = (index: number): Uint8Array => memory.subarray((index % 4) * size, ((index % 4) + 1) * size);
  const posted = Array.from({ length: Math.min(4, count) }, (_, index) => data.receive(buffer(index)));
  for (let index = 0; index < count; index++) {
    const length = await posted.shift();
    if (length !== size) throw new Error(`message ${index} has ${length} bytes`);
    if (index + 4 < count) posted.push(data.receive(buffer(index + 4)));
    await data.send(buffer(index));
  }
}

/** Is a server's client. @param version - that of the server's perftest */
export async function runPerftest(
  application: Application,
  local: string,
  remote: SocketAddress,
  test: Perftest,
  version: string,
  size: number,
  count: number,
): Promise<void> {
  const control = new Messages(await application.connect(local, remote), PLACE_BYTES);
  const say = async (message: Uint8Array): Promise<Uint8Array> => {
    await control.send(message);
    return control.next();
  };
  const zeros = new Uint8Array(PLACE_BYTES);
  await say(Buffer.from(version.padEnd(16, '\0'), 'latin1'));
  for (const number of [4096, 64]) await say(bigEndian(4, number));
  await say(Buffer.from('3\0', 'latin1'));
  await say(zeros);
  const data = await again(() => application.connect(local, remote));
  const memory = data.memory(DATA_BYTES);
  const place = encodePlace(expose(test, data, memory));
  await say(zeros);
  let target = decodePlace(await say(place));
  for (let more = test === 'ib_send_lat' ? 3 : 2; more > 0; more--) target = decodePlace(await say(place));

  const piece = memory.subarray(0, size);
  const answer = memory.subarray(size, 2 * size);
  for (let index = 0; index < count; index++) {
    if (test === 'ib_send_lat') {
      const received = data.receive(answer);
      await data.send(piece);
      await received;
    } else if (test === 'ib_write_bw') {
      await data.write(piece, { ...target, length: size });
    } else {
      await data.read(piece, { ...target, length: size });
    }
  }

  await say(place);
  if (test === 'ib_send_lat') return;
  for (const number of [size, count, 0, 0, 0]) await say(bigEndian(8, number));
  await say(place);
}

/** Tries ten times, as perftest's client does: between two connections its server doesn't listen. */
async function again<T>(what: () => Promise<T>): Promise<T> {
  for (let left = 9; left > 0; left--) {
    try {
      return await what();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  return what();
}

function bigEndian(length: 4 | 8, value: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32BE(value, length - 4);
  return bytes;
}
