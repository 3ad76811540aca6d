// Goal: a journal that a driver wrote is a behaviour of the machines and breaks no statement; one that was tampered with
// is noticed.
// Method: journals of two hosts that move a file; each record in turn swapped, dropped, doubled or altered, with checksums
// made anew, so that only what the journal says can give it away.

import assert from 'node:assert/strict';

import { beforeAll, describe, test } from 'vitest';
import { compileMachines, productionLimits } from '../../machines/index.ts';
import { SimulatedNetwork } from '../adapter/simulated.ts';
import { Endpoint } from '../client/endpoint.ts';
import { FileReceiver, FileSender } from '../client/file-transfer.ts';
import { Host } from '../client/host.ts';
import { encodeFileHeader, encodeTrailer, HeadBytes, isDetail, RECORD_WORDS, sealSegment } from '../journal/format.ts';
import { memorySink } from '../journal/journal.ts';
import { type JournalContents, readJournal } from '../journal/reader.ts';
import type { Socket } from '../spi.ts';
import { checkPair, checkTrace, type Trace } from './trace.ts';

/** Both journals of two hosts that move `size` bytes. */
function journals(size: number, notify: boolean): [JournalContents, JournalContents] {
  const network = new SimulatedNetwork({ seed: 1 });
  const sinks = [memorySink(), memorySink()];
  const [near, far] = [0, 1].map((number) => {
    const adapter = network.host({ addresses: [`10.0.0.${number + 1}`] });
    const journal = { mode: 'file', sink: sinks[number]! } as const;
    const made = new Host({ adapter, clock: adapter.clock, host: `host ${number}`, journal });
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
    () => sender.step() + receiver.step(),
  );
  giver.close();
  taker.close();
  far.close(listener);
  until(() => [near, far].every(({ provider }) => provider.inventory().sockets === 0), poll);
  for (const host of [near, far]) {
    host.stop();
    host.provider.closeJournal();
  }
  return sinks.map((sink) => readJournal(sink.bytes())) as [JournalContents, JournalContents];
}

type Records = number[][];
const recordsOf = ({ records }: JournalContents): Records =>
  Array.from({ length: records.count }, (_, index) =>
    Array.from({ length: RECORD_WORDS }, (__, word) => records.word(index, word)),
  );

/** A journal with other records; checksums and count are right, and the digest is the old one's. */
function withRecords({ metadata, digest }: JournalContents, records: Records): JournalContents {
  const sink = memorySink();
  sink.write(encodeFileHeader(metadata));
  const words = new Uint32Array(HeadBytes.segment / 4 + records.length * RECORD_WORDS);
  words.set(records.flat(), HeadBytes.segment / 4);
  sink.write(sealSegment(words, 0, 0, records.length));
  sink.write(encodeTrailer(records.length, digest!));
  return readJournal(sink.bytes());
}

const isGood = ({ isBehaviour, broken }: Trace): boolean => isBehaviour && broken.length === 0;
const outcome = ({ judgements }: Pick<Trace, 'judgements'>, statement: string): string | undefined =>
  judgements.find((each) => each.statement === statement)?.outcome;

describe.each([false, true])('notify %s', (notify) => {
  let near: JournalContents;
  let far: JournalContents;
  beforeAll(() => {
    [near, far] = journals(50_000, notify);
  });

  test('both journals are behaviours, and break nothing', () => {
    for (const contents of [near, far]) {
      const trace = checkTrace(contents);
      assert.equal(trace.verdict.type, 'equal');
      assert.deepEqual(trace.broken, []);
      const judged = ['S-01', 'S-03', 'S-04', 'S-07', 'S-08', 'S-09', 'S-10', 'S-13', 'S-20', 'S-30', 'S-34', 'S-35'];
      for (const statement of judged) assert.equal(outcome(trace, statement), 'holds', statement);
      assert.equal(outcome(trace, 'S-05'), notify ? 'holds' : 'vacuous');
      assert.equal(outcome(trace, 'S-17'), 'not judged');
    }
    assert.equal(outcome(checkTrace(near), 'S-25'), 'holds');
    for (const statement of ['S-21', 'S-22', 'S-23', 'S-24'])
      assert.equal(outcome(checkTrace(far), statement), 'holds');
  });

  test('together: one connection, the messages of one are those of the other', () => {
    const pair = checkPair(checkTrace(near), checkTrace(far));
    assert.deepEqual(pair.broken, []);
    assert.deepEqual([pair.isOneRun, pair.connections], [true, 1]);
    assert.equal(outcome(pair, 'S-12'), 'holds');
  });

  test('tampered records are noticed', () => {
    const records = recordsOf(near);
    const peer = checkTrace(far);
    const tried = new Map<string, number>();
    const missed = new Map<string, number>();
    const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
    const events = compileMachines(productionLimits).flatMap(({ name, events: mine }) =>
      mine.map((event) => ({ name: `${name}/${event.name}`, parameters: event.parameters.map((each) => each.name) })),
    );
    const demand = (kind: string, changed: Records, where = kind): void => {
      count(tried, kind);
      const trace = checkTrace(withRecords(near, changed));
      const pair = checkPair(trace, peer);
      const noticed = !isGood(trace) || pair.broken.length > 0 || !pair.isOneRun;
      if (!noticed) count(missed, where);
    };
    for (const [index, record] of records.entries()) {
      if (isDetail(record[0]!)) continue;
      const [before, after] = [records.slice(0, index), records.slice(index + 1)];
      const { name, parameters } = events[record[0]! & 0xffff]!;
      demand('dropped', [...before, ...after]);
      demand('doubled', [...before, record, record, ...after]);
      for (const word of [0, 1, 2, 3, 4, 5, 6]) {
        const altered = [...record];
        altered[word]! ^= 1;
        const what = word === 1 ? 'row' : word === 0 ? 'head' : (parameters[word - 2] ?? 'unused');
        demand('altered', [...before, altered, ...after], `altered ${name}, ${what}`);
      }
      const next = after[0];
      if (next === undefined || isDetail(next[0]!) || next.join() === record.join()) continue;
      const other = events[next[0]! & 0xffff]!.name;
      demand('swapped', [...before, next, record, ...after.slice(1)], `swapped ${name} with ${other}`);
    }
    const all = [...tried.values()].reduce((sum, each) => sum + each);
    const unseen = [...missed.values()].reduce((sum, each) => sum + each, 0);
    console.log(
      `${all - unseen} of ${all} tampered journals are noticed (${[...tried].map((each) => each.join(' ')).join(', ')})`,
    );
    for (const [what, times] of missed) console.log(`  not noticed ${times} times: ${what}`);
    assert.equal(missed.has('dropped') || missed.has('doubled'), false);
    // The rest are two steps that don't mind each other, and numbers that are only handed on to an effect.
    assert.ok(unseen <= all / 7, `${unseen} of ${all}`);
  });
});
