import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { DETAIL_EVENT_ID, DIGEST_BYTES, type JournalMetadata } from './format.ts';
import { Journal, type JournalSink, memorySink } from './journal.ts';
import { type JournalContents, readJournal } from './reader.ts';

const metadata: JournalMetadata = {
  machinesDigest: 'c0ffee',
  limits: { socketCountMax: 64 },
  createdBy: 'journal.test.ts',
  adapter: 'simulated',
  host: 'größer',
  seed: 7,
  base: 'empty',
};
const digest = new Uint8Array(DIGEST_BYTES).fill(0xd1);

/** Appends a record that tells its sequence number and uses the whole range of a word. */
function appendNumbered(journal: Journal, eventId = 1): void {
  const n = journal.sequence;
  journal.append(eventId, n, n + 1, n * 3, 0xffffffff, 0x80000000, 0, 0xffffffff - n);
}

/** A state that can be told from its bytes: the number of event records, details aside, in two bytes. */
function countingState() {
  let events = 0;
  return {
    append(journal: Journal, eventId = 1) {
      if (eventId !== DETAIL_EVENT_ID) events += 1; // The driver steps, then appends.
      appendNumbered(journal, eventId);
    },
    snapshot: () => Uint8Array.of(events & 0xff, events >>> 8, 0xaa),
  };
}

function assertNumbered({ records }: JournalContents): void {
  for (let i = 0; i < records.count; i += 1) {
    const n = records.firstSequence + i;
    const words = [1, 2, 3, 4, 5, 6, 7].map((w) => records.word(i, w));
    assert.deepEqual(words, [n, n + 1, n * 3, 0xffffffff, 0x80000000, 0, 0xffffffff - n]);
  }
}

describe('file mode', () => {
  test('a closed journal reads as it was written', () => {
    const sink = memorySink();
    const journal = new Journal({ mode: 'file', metadata, sink, segmentRecords: 4 });
    for (let i = 0; i < 10; i += 1) {
      appendNumbered(journal);
      if (i === 5) journal.flush();
    }
    assert.equal(journal.sequence, 10);
    journal.close(digest);
    assert.equal(journal.sequence, 10);

    const contents = readJournal(sink.bytes());
    assert.deepEqual(contents.metadata, metadata);
    assert.deepEqual(
      contents.records.segments.map(({ count }) => count),
      [4, 2, 4],
    );
    assert.equal(contents.records.firstSequence, 0);
    assert.deepEqual({ ...contents.digest }, { ...digest });
    assert.equal(contents.closed, true);
    assert.equal(contents.damage, null);
    assert.equal(contents.snapshot, undefined);
    assertNumbered(contents);
  });

  test('any order of appends and flushes reads back in full', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.array(fc.nat(0xffffffff), { minLength: 8, maxLength: 8 }) },
      fc.constant('flush'),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        (steps, segmentRecords, closes) => {
          const sink = memorySink();
          const journal = new Journal({ mode: 'file', metadata, sink, segmentRecords });
          const expected: number[][] = [];
          for (const words of steps) {
            if (typeof words === 'string') journal.flush();
            else {
              journal.append(...(words as [number, number, number, number, number, number, number, number]));
              expected.push(words);
            }
          }
          if (closes) journal.close(digest);
          else journal.flush();
          const { records, closed, damage } = readJournal(sink.bytes());
          assert.deepEqual({ closed, damage }, { closed: closes, damage: null });
          assert.deepEqual(
            expected.map((words, i) => words.map((_, w) => records.word(i, w))),
            expected,
          );
          assert.deepEqual(
            records.segments.flatMap(({ words }) => [...words]),
            expected.flat(),
          );
          assert.equal(records.count, expected.length);
        },
      ),
    );
  });

  test('an empty journal is a journal', () => {
    const sink = memorySink();
    new Journal({ mode: 'file', metadata, sink }).close(digest);
    const { records, closed, damage } = readJournal(sink.bytes());
    assert.deepEqual([records.count, records.segments.length, closed, damage], [0, 0, true, null]);
  });

  test('a journal that begins with a snapshot carries it', () => {
    const sink = memorySink();
    const snapshot = () => Uint8Array.of(1, 2, 3, 4, 5);
    const journal = new Journal({ mode: 'file', metadata: { ...metadata, base: 'snapshot' }, sink, snapshot });
    appendNumbered(journal);
    journal.close(digest);
    const contents = readJournal(sink.bytes());
    assert.deepEqual(contents.snapshot?.sequence, 0);
    assert.deepEqual([...(contents.snapshot?.bytes ?? [])], [1, 2, 3, 4, 5]);
    assert.equal(contents.records.count, 1);
    assertNumbered(contents);
  });

  test('what was not flushed is lost with its writer, and nothing else', () => {
    const sink = memorySink();
    const journal = new Journal({ mode: 'file', metadata, sink, segmentRecords: 4 });
    for (let i = 0; i < 7; i += 1) appendNumbered(journal);
    const { records, closed, damage } = readJournal(sink.bytes());
    assert.deepEqual([records.count, closed, damage], [4, false, null]);
  });

  test('a sink that fails ends the journal and is closed', () => {
    let full = false;
    let closeCount = 0;
    const sink: JournalSink = {
      write: () => {
        if (full) throw new Error('ENOSPC');
      },
      close: () => {
        closeCount += 1;
      },
    };
    const journal = new Journal({ mode: 'file', metadata, sink, segmentRecords: 2 });
    appendNumbered(journal);
    full = true;
    assert.throws(() => appendNumbered(journal), /failed to write before record 2/);
    full = false;
    assert.throws(() => appendNumbered(journal), /can't append: the journal failed to write before record 2/);
    assert.throws(() => journal.close(digest), /failed to write/);
    assert.deepEqual([journal.sequence, closeCount], [2, 1]);
  });

  test('a sink that can neither be written nor closed fails with what came first', () => {
    const first = new Error('ENOSPC');
    let isFull = false;
    const sink: JournalSink = {
      write: () => {
        if (isFull) throw first;
      },
      close: () => {
        throw new Error('EIO');
      },
    };
    const journal = new Journal({ mode: 'file', metadata, sink, segmentRecords: 1 });
    isFull = true;
    assert.throws(
      () => appendNumbered(journal),
      (error) => error instanceof Error && error.cause === first && /before record 1$/.test(error.message),
    );
  });

  test('the header is written before the first record, and a flush of nothing writes nothing', () => {
    const sink = memorySink();
    const journal = new Journal({ mode: 'file', metadata, sink });
    const { length } = sink.bytes();
    assert.ok(length > 0);
    journal.flush();
    assert.equal(sink.bytes().length, length);
    assert.deepEqual(readJournal(sink.bytes()).metadata, metadata);
  });
});

describe('ring mode', () => {
  // Goal: a dump at any moment can be replayed, and holds as many records as it promises.
  // Method: dump after each append of five rounds of the ring; the snapshot must equal the fold of what is missing.
  test('a dump at any moment starts from the state before its first record', () => {
    const ringRecords = 8;
    const state = countingState();
    const journal = new Journal({ mode: 'ring', metadata, ringRecords, snapshot: state.snapshot });
    for (let appended = 0; appended <= 5 * ringRecords; appended += 1) {
      const sink = memorySink();
      journal.dump(sink, digest);
      const contents = readJournal(sink.bytes());
      const { records, snapshot } = contents;
      assert.deepEqual([contents.closed, contents.damage], [true, null]);
      assert.equal(records.firstSequence + records.count, appended);
      assert.ok(records.count >= Math.min(appended, ringRecords / 2) && records.count <= ringRecords);
      assert.equal(contents.metadata.base, records.firstSequence === 0 ? 'empty' : 'snapshot');
      assert.equal(snapshot?.sequence ?? 0, records.firstSequence);
      assert.equal(snapshot?.bytes[0] ?? 0, records.firstSequence);
      assertNumbered(contents);
      state.append(journal);
    }
  });

  // Details are written before their event, when the state already includes it.
  test('a snapshot never falls between details and their event', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 40 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (detailCounts, half) => {
          let state = 0;
          const snapshot = () => Uint8Array.of(state);
          const journal = new Journal({ mode: 'ring', metadata, ringRecords: 2 * half, snapshot });
          for (const detailCount of detailCounts) {
            state += 1;
            for (let i = 0; i < detailCount; i += 1) appendNumbered(journal, DETAIL_EVENT_ID | (i << 16));
            appendNumbered(journal);
            const sink = memorySink();
            journal.dump(sink);
            const contents = readJournal(sink.bytes());
            const { count, word } = contents.records;
            assert.deepEqual([contents.closed, contents.damage], [false, null]);
            let replayed = contents.snapshot?.bytes[0] ?? 0;
            for (let i = 0; i < count; i += 1) if (word.call(contents.records, i, 0) === 1) replayed += 1;
            assert.equal(replayed, state);
            assertNumbered(contents);
          }
        },
      ),
    );
  });

  test('a dump closes its sink, whether it succeeds or not', () => {
    const { snapshot } = countingState();
    const journal = new Journal({ mode: 'ring', metadata, ringRecords: 4, snapshot });
    let closeCount = 0;
    const close = () => {
      closeCount += 1;
    };
    journal.dump({ write: () => {}, close });
    assert.equal(closeCount, 1);
    const write = () => {
      throw new Error('ENOSPC');
    };
    assert.throws(() => journal.dump({ write, close }), { message: 'ENOSPC' });
    assert.equal(closeCount, 2);
    // The ring goes on.
    appendNumbered(journal);
    assert.equal(journal.sequence, 1);
  });

  test('a ring needs no flush, and is not ended by one', () => {
    const { snapshot } = countingState();
    const journal = new Journal({ mode: 'ring', metadata, ringRecords: 4, snapshot });
    appendNumbered(journal);
    journal.flush();
    const sink = memorySink();
    journal.dump(sink);
    assert.equal(readJournal(sink.bytes()).records.count, 1);
  });

  test('a closed ring can still be dumped', () => {
    const { snapshot } = countingState();
    const journal = new Journal({ mode: 'ring', metadata, ringRecords: 4, snapshot });
    appendNumbered(journal);
    journal.close(digest);
    const sink = memorySink();
    journal.dump(sink, digest);
    assert.equal(readJournal(sink.bytes()).records.count, 1);
  });

  test('a ring that began with a snapshot dumps it', () => {
    const snapshot = () => Uint8Array.of(9);
    const journal = new Journal({
      mode: 'ring',
      metadata: { ...metadata, base: 'snapshot' },
      ringRecords: 4,
      snapshot,
    });
    appendNumbered(journal);
    const sink = memorySink();
    journal.dump(sink, digest);
    const contents = readJournal(sink.bytes());
    assert.deepEqual([contents.snapshot?.sequence, contents.snapshot?.bytes[0], contents.records.count], [0, 9, 1]);
  });

  test('a snapshot that fails ends the journal, and what it holds can be dumped', () => {
    const snapshot = () => {
      throw new Error('broken');
    };
    const journal = new Journal({ mode: 'ring', metadata, ringRecords: 4, snapshot });
    appendNumbered(journal);
    assert.throws(() => appendNumbered(journal), /failed to take a snapshot before record 2/);
    assert.throws(() => appendNumbered(journal), /can't append/);
    const sink = memorySink();
    journal.dump(sink);
    assert.equal(readJournal(sink.bytes()).records.count, 2);
  });
});

describe('any mode', () => {
  test('off only counts', () => {
    const journal = new Journal({ mode: 'off', metadata });
    for (let i = 0; i < 5; i += 1) appendNumbered(journal);
    journal.flush();
    assert.equal(journal.sequence, 5);
    assert.throws(() => journal.dump(memorySink()), {
      message: "journal: a dump needs ring mode, and this is mode 'off'",
    });
  });

  test('off takes no snapshot, whatever it begins with', () => {
    const snapshot = () => assert.fail('nobody is to be asked');
    const journal = new Journal({ mode: 'off', metadata: { ...metadata, base: 'snapshot' }, snapshot });
    appendNumbered(journal);
    new Journal({ mode: 'off', metadata: { ...metadata, base: 'snapshot' } }).flush();
    assert.equal(journal.sequence, 1);
  });

  test('a closed journal refuses every call', () => {
    const { snapshot } = countingState();
    for (const journal of [
      new Journal({ mode: 'off', metadata }),
      new Journal({ mode: 'ring', metadata, snapshot }),
      new Journal({ mode: 'file', metadata, sink: memorySink() }),
    ]) {
      appendNumbered(journal);
      journal.close(digest);
      assert.throws(() => appendNumbered(journal), /can't append: the journal was closed before record 1/);
      assert.throws(() => journal.flush(), /can't flush/);
      assert.throws(() => journal.close(digest), /was closed/);
      assert.equal(journal.sequence, 1);
    }
  });

  test('options that contradict each other are refused', () => {
    const { snapshot } = countingState();
    const takesSink = { message: 'journal: file mode, and it alone, takes a sink' };
    assert.throws(() => new Journal({ mode: 'file', metadata }), takesSink);
    for (const mode of ['off', 'ring'] as const) {
      assert.throws(() => new Journal({ mode, metadata, sink: memorySink(), snapshot }), takesSink);
    }
    const onSnapshot = { ...metadata, base: 'snapshot' } as const;
    assert.throws(() => new Journal({ mode: 'ring', metadata }), {
      message: "journal: ring mode with base 'empty' needs options.snapshot",
    });
    assert.throws(() => new Journal({ mode: 'file', metadata: onSnapshot, sink: memorySink() }), {
      message: "journal: file mode with base 'snapshot' needs options.snapshot",
    });
    const tooFew = {
      name: 'RangeError',
      message: 'journal: ringRecords has to be even and 2 or more, segmentRecords 1 or more',
    };
    for (const ringRecords of [7, 0, -2]) {
      assert.throws(() => new Journal({ mode: 'ring', metadata, snapshot, ringRecords }), tooFew);
    }
    for (const segmentRecords of [0, -1, 1.5]) {
      assert.throws(() => new Journal({ mode: 'file', metadata, sink: memorySink(), segmentRecords }), tooFew);
    }
    const endless = { ...metadata, limits: { socketCountMax: Infinity } };
    assert.throws(() => new Journal({ mode: 'ring', metadata: endless, snapshot }), /limits/);
    const shortDigest = { name: 'RangeError', message: 'journal: a digest has 32 bytes, and this one 3' };
    assert.throws(() => new Journal({ mode: 'off', metadata }).close(new Uint8Array(3)), shortDigest);
    const ring = new Journal({ mode: 'ring', metadata, snapshot });
    assert.throws(() => ring.dump(memorySink(), new Uint8Array(3)), shortDigest);
  });
});
