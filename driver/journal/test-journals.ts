/** Journals for tests: of two hosts that move a file, and the same with other records. */

import assert from 'node:assert/strict';

import { SimulatedNetwork } from '../adapter/simulated.ts';
import type { ProviderJournal } from '../calls.ts';
import { Endpoint } from '../client/endpoint.ts';
import { FileReceiver, FileSender } from '../client/file-transfer.ts';
import { Host } from '../client/host.ts';
import type { Socket } from '../spi.ts';
import { encodeFileHeader, encodeSnapshot, encodeTrailer, HeadBytes, RECORD_WORDS, sealSegment } from './format.ts';
import { memorySink } from './journal.ts';
import { type JournalContents, readJournal } from './reader.ts';

export interface MoveOptions {
  readonly notify?: boolean;
  /** Shown the connecting host at every turn of the transfer. */
  readonly watch?: (near: Host) => void;
}

/**
 * Moves `size` bytes as a file between two hosts, and ends both.
 *
 * @param journals - which each of them keeps, the connecting one first; null for none
 */
export function moveFile(
  size: number,
  journals: readonly [ProviderJournal | null, ProviderJournal | null],
  { notify = false, watch = () => {} }: MoveOptions = {},
): void {
  const network = new SimulatedNetwork({ seed: 1 });
  const [near, far] = journals.map((journal, index) => {
    const adapter = network.host({ addresses: [`10.0.0.${index + 1}`] });
    const kept = journal === null ? {} : { journal };
    const made = new Host({ adapter, clock: adapter.clock, host: `host ${index + 1}`, ...kept });
    made.start();
    return made;
  }) as [Host, Host];
  const address = (number: number, port: number) => ({ family: 'IPv4', address: `10.0.0.${number}`, port }) as const;
  const listener = far.listen(address(2, 7000));
  const socket = near.connect(address(1, 4000), address(2, 7000));
  const until = (condition: () => boolean, turn: () => number): void => {
    for (let turns = 0; !condition(); turns++) {
      assert.ok(turns < 100_000);
      if (turn() === 0) network.advance();
    }
  };
  const poll = (): number => near.poll() + far.poll();
  let accepted: Socket | null = null;
  until(() => {
    accepted ??= far.accept(listener)?.socket ?? null;
    return near.isConnected(socket) && accepted !== null;
  }, poll);
  const giver = new Endpoint(near, socket, { role: 'connecting', notify });
  const taker = new Endpoint(far, accepted!, { role: 'accepting', notify });
  const source = { name: 'file', size, read: (target: Uint8Array) => void target.fill(7) };
  const sender = new FileSender(giver, source, 20_000);
  const receiver = new FileReceiver(taker, { begin: () => {}, write: () => {}, end: () => {} });
  until(
    () => sender.isEqual !== null && receiver.isDone,
    () => {
      watch(near);
      return sender.step() + receiver.step();
    },
  );
  giver.close();
  taker.close();
  far.close(listener);
  until(() => [near, far].every(({ provider }) => provider.inventory().sockets === 0), poll);
  for (const host of [near, far]) {
    host.stop();
    host.provider.closeJournal();
  }
}

/** Both journals of two hosts that move `size` bytes, the connecting one's first. */
export function fileJournals(size: number, notify = false): [JournalContents, JournalContents] {
  const sinks = [memorySink(), memorySink()] as const;
  moveFile(
    size,
    [
      { mode: 'file', sink: sinks[0] },
      { mode: 'file', sink: sinks[1] },
    ],
    { notify },
  );
  return [readJournal(sinks[0].bytes()), readJournal(sinks[1].bytes())];
}

/** Words of each record. */
export const recordWords = ({ records }: JournalContents): number[][] =>
  Array.from({ length: records.count }, (_, index) =>
    Array.from({ length: RECORD_WORDS }, (__, word) => records.word(index, word)),
  );

/** A journal with other records: checksums and count are made anew, and the digest stays. */
export function withRecords(
  { metadata, snapshot, digest, records: { firstSequence } }: JournalContents,
  records: readonly (readonly number[])[],
): JournalContents {
  const sink = memorySink();
  sink.write(encodeFileHeader(metadata));
  if (snapshot !== undefined) sink.write(encodeSnapshot(snapshot.sequence, snapshot.bytes));
  const words = new Uint32Array(HeadBytes.segment / 4 + records.length * RECORD_WORDS);
  words.set(records.flat(), HeadBytes.segment / 4);
  sink.write(sealSegment(words, 0, firstSequence, records.length));
  if (digest !== undefined) sink.write(encodeTrailer(records.length, digest));
  return readJournal(sink.bytes());
}
