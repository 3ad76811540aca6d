import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import {
  DIGEST_BYTES,
  encodeFileHeader,
  encodeSnapshot,
  encodeTrailer,
  HeadBytes,
  type JournalMetadata,
  RECORD_WORDS,
  sealSegment,
} from './format.ts';
import { type JournalContents, JournalError, readJournal } from './reader.ts';

const metadata: JournalMetadata = {
  machinesDigest: '00ff',
  limits: {},
  createdBy: 'reader.test.ts',
  adapter: 'simulated',
  host: 'here',
  base: 'empty',
};
const digest = new Uint8Array(DIGEST_BYTES).fill(0xd1);
const header = encodeFileHeader(metadata);
const trailer = encodeTrailer(5, digest);

/** A segment whose records hold their sequence number and the word's. */
function segment(index: number, sequence: number, count: number): Uint8Array {
  const words = new Uint32Array(HeadBytes.segment / 4 + count * RECORD_WORDS);
  const records = words.subarray(HeadBytes.segment / 4);
  for (let i = 0; i < records.length; i += 1) records[i] = 256 * sequence + i;
  return sealSegment(words, index, sequence, count);
}

function concatenate(...blocks: Uint8Array[]): Uint8Array {
  return Uint8Array.from(blocks.flatMap((block) => [...block]));
}

function wordsOf({ records }: JournalContents): number[] {
  return records.segments.flatMap(({ words }) => [...words]);
}

/** The journals that are damaged below: one from the empty system, one from a snapshot; 5 records in 3 segments. */
const journals = {
  empty: {
    first: 0,
    bytes: concatenate(header, segment(0, 0, 2), segment(1, 2, 1), segment(2, 3, 2), trailer),
  },
  snapshot: {
    first: 2 ** 32 + 7,
    bytes: concatenate(
      encodeFileHeader({ ...metadata, base: 'snapshot' }),
      encodeSnapshot(2 ** 32 + 7, Uint8Array.of(1, 2, 3)),
      segment(0, 2 ** 32 + 7, 2),
      segment(1, 2 ** 32 + 9, 1),
      segment(2, 2 ** 32 + 10, 2),
      trailer,
    ),
  },
};

/** The words of such a journal's records, of which `first` is the first. */
function expectedWords(first: number): number[] {
  const segments = [
    [first, 2],
    [first + 2, 1],
    [first + 3, 2],
  ] as const;
  return segments.flatMap(([sequence, count]) =>
    Array.from({ length: count * RECORD_WORDS }, (_, i) => (256 * sequence + i) % 2 ** 32),
  );
}

describe.each(Object.entries(journals))('a damaged journal, base %s', (_, { first, bytes: journal }) => {
  const expected = expectedWords(first);

  /** Reads what is left; checks that its records are the original's, and that `damage` names the next one. */
  function readRest(bytes: Uint8Array): JournalContents | undefined {
    try {
      const rest = readJournal(bytes);
      assert.deepEqual(wordsOf(rest), expected.slice(0, rest.records.count * RECORD_WORDS));
      if (rest.damage !== null) assert.equal(rest.damage.sequence, first + rest.records.count);
      return rest;
    } catch (error) {
      assert.ok(error instanceof JournalError, `${error}`);
      return undefined;
    }
  }

  test('is whole to begin with', () => {
    const { metadata: read, snapshot, records, closed, digest: end, damage } = readJournal(journal);
    assert.deepEqual([damage, closed, end], [null, true, digest]);
    assert.deepEqual([records.firstSequence, records.count], [first, 5]);
    assert.deepEqual(
      records.segments.map(({ sequence, count }) => [sequence - first, count]),
      [
        [0, 2],
        [2, 1],
        [3, 2],
      ],
    );
    assert.deepEqual(
      records.segments.flatMap(({ words }) => [...words]),
      expected,
    );
    assert.deepEqual({ ...read, base: 'empty' }, metadata);
    assert.deepEqual(snapshot, first === 0 ? undefined : { sequence: first, bytes: Uint8Array.of(1, 2, 3) });
  });

  test('no changed byte goes unnoticed', () => {
    for (let at = 0; at < journal.length; at += 1) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const changed = journal.slice();
        changed[at] = (changed[at] as number) ^ flip;
        const rest = readRest(changed);
        assert.ok(rest === undefined || rest.damage !== null, `byte ${at} ^ ${flip}`);
      }
    }
  });

  test('no missing end goes unnoticed', () => {
    let damageless = 0;
    for (let length = 0; length < journal.length; length += 1) {
      const rest = readRest(journal.subarray(0, length));
      assert.ok(rest === undefined || !rest.closed, `${length} bytes`);
      if (rest !== undefined && rest.damage === null) damageless += 1;
    }
    assert.equal(damageless, 4); // Where one of the three segments, or the first of them, would begin or has ended.
  });

  test('bytes after the trailer are damage, though it was closed', () => {
    const rest = readRest(concatenate(journal, Uint8Array.of(0)));
    assert.equal(rest?.closed, true);
    assert.deepEqual(rest.damage, {
      sequence: first + 5,
      offset: journal.length,
      message: '1 bytes follow the trailer',
    });
  });
});

describe('damage', () => {
  const damaged = segment(1, 2, 1);
  damaged[HeadBytes.segment] = 1;
  const cases: [string, Uint8Array[], sequence: number, message: RegExp][] = [
    [
      'a missing segment',
      [segment(1, 2, 1)],
      0,
      /segment 0, from record 0, should be here, and not segment 1 with 1 records from 2$/,
    ],
    ['a repeated segment', [segment(0, 0, 2), segment(0, 0, 2)], 2, /segment 1, from record 2/],
    ['a gap in the sequence', [segment(0, 0, 2), segment(1, 3, 2)], 2, /with 2 records from 3/],
    ['a segment whose CRC is wrong', [segment(0, 0, 2), damaged], 2, /^segment 1 is damaged: its CRC doesn't match$/],
    ['a segment without records', [segment(0, 0, 0)], 0, /with 0 records/],
    [
      'a trailer that counts other records',
      [segment(0, 0, 2), trailer],
      2,
      /the trailer counts 5 records, and there are 2/,
    ],
    ['a snapshot that was not announced', [encodeSnapshot(0, digest)], 0, /a segment or trailer should begin here/],
    [
      'half a segment',
      [segment(0, 0, 2), segment(1, 2, 2).subarray(0, 60)],
      2,
      /segment 1 is cut short: 60 of 88 bytes/,
    ],
  ];
  test.each(cases)('%s', (_, blocks, sequence, message) => {
    const { damage, closed, records } = readJournal(concatenate(header, ...blocks));
    assert.match(damage?.message ?? '', message);
    assert.deepEqual([damage?.sequence, closed, records.count], [sequence, false, sequence]);
  });
});

describe('no journal', () => {
  const foreign = header.slice();
  foreign[4] = 9;
  const announced = encodeFileHeader({ ...metadata, base: 'snapshot' });
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /not a journal: it should begin with 'WSDJ', and not with the end of the file/],
    ['another kind of file', Uint8Array.of(0x7f, 0x05, 0x4c, 0x46, 2), /not with bytes 7f 05 4c 46/],
    ['a foreign version', foreign, /format version 9, and this program reads version 1; read it with the program/],
    ['half a header', header.subarray(0, 40), /journal header is cut short: 40 of \d+ bytes are there; .*another copy/],
    [
      'a snapshot that was announced and is missing',
      announced,
      /a snapshot should begin .* the end of the file; .*replayed/,
    ],
  ];
  test.each(cases)('%s', (_, bytes, message) => {
    assert.throws(
      () => readJournal(bytes),
      (error) => error instanceof JournalError && message.test(error.message),
    );
  });
});

describe('access by index', () => {
  const { bytes, first } = journals.snapshot;
  const expected = expectedWords(first);

  test('finds a record in any order', () => {
    const { records } = readJournal(bytes);
    for (const from of [0, 1, 2, 3, 4]) {
      for (const to of [0, 1, 2, 3, 4]) {
        assert.equal(records.word(from, 0), expected[8 * from]);
        assert.equal(records.word(to, 7), expected[8 * to + 7]);
      }
    }
  });

  test('refuses what is not there', () => {
    const { records } = readJournal(bytes);
    for (const [i, w] of [
      [-1, 0],
      [5, 0],
      [0, 8],
      [0, -1],
      [0.5, 0],
      [0, 0.5],
      [NaN, 0],
    ] as const) {
      assert.throws(() => records.word(i, w), {
        name: 'RangeError',
        message: `journal: no word ${w} of record ${i}; there are 5 records`,
      });
    }
  });

  test('works from any alignment', () => {
    for (const shift of [1, 2, 3]) {
      const shifted = concatenate(new Uint8Array(shift), bytes).subarray(shift);
      assert.deepEqual(wordsOf(readJournal(shifted)), expected);
    }
  });
});
