// Goal: what is written is in the file at once, a file is made only where none is lost, and every error names the file.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, test } from 'vitest';

import { openJournalFile, readJournalFile } from './file.ts';
import { DIGEST_BYTES, encodeFileHeader, encodeTrailer, JournalError } from './format.ts';

const folder = mkdtempSync(join(tmpdir(), 'wsdirect-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));
let count = 0;
const fresh = (): string => join(folder, `${count++}.wsdj`);

/** Whether this process has the file open. */
const isOpen = (path: string): boolean =>
  readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      // It is the folder's own, which is closed by now.
      return false;
    }
  });

const header = encodeFileHeader({
  machinesDigest: '',
  limits: {},
  createdBy: 'file.test.ts',
  adapter: 'simulated',
  host: 'here',
  base: 'empty',
});
const trailer = encodeTrailer(0, new Uint8Array(DIGEST_BYTES));

describe('a file that is written', () => {
  test('has all that was given so far, before it is closed and after', () => {
    const path = fresh();
    const sink = openJournalFile(path);
    sink.write(header);
    assert.deepEqual(new Uint8Array(readFileSync(path)), header);
    sink.write(trailer);
    sink.close();
    const { closed, damage, records } = readJournalFile(path);
    assert.deepEqual([closed, damage, records.count], [true, null, 0]);
  });

  test('is closed once, and takes nothing afterwards', () => {
    const path = fresh();
    const sink = openJournalFile(path);
    assert.equal(isOpen(path), true);
    sink.close();
    assert.equal(isOpen(path), false);
    const other = openJournalFile(fresh());
    // The system may have given the number of the closed file to the other one.
    sink.close();
    assert.throws(() => sink.write(header), { message: `journal file ${path} is closed` });
    other.write(header);
    other.close();
  });

  test('takes the place of another only when that is asked for', () => {
    const path = fresh();
    writeFileSync(path, 'something else');
    for (const options of [undefined, {}, { overwrite: false }]) {
      assert.throws(
        () => openJournalFile(path, options),
        (error) =>
          error instanceof Error &&
          error.message === `journal file ${path} exists; name another one, or remove it first` &&
          (error.cause as NodeJS.ErrnoException).code === 'EEXIST',
      );
    }
    assert.equal(readFileSync(path, 'utf8'), 'something else');
    openJournalFile(path, { overwrite: true }).close();
    assert.equal(readFileSync(path, 'utf8'), '');
  });

  test("can't be where there is no folder: the system says why", () => {
    assert.throws(() => openJournalFile(join(folder, 'none', 'a.wsdj')), { code: 'ENOENT' });
  });
});

describe('a file that is read', () => {
  test('and is no journal is named', () => {
    const path = fresh();
    writeFileSync(path, 'something else');
    assert.throws(
      () => readJournalFile(path),
      (error) =>
        error instanceof JournalError &&
        error.message.startsWith(`${path}: not a journal: `) &&
        error.cause instanceof JournalError,
    );
  });

  test("and can't be opened is the system's to explain", () => {
    const path = fresh();
    assert.throws(() => readJournalFile(path), { code: 'ENOENT' });
    mkdirSync(path);
    assert.throws(() => readJournalFile(path), { code: 'EISDIR' });
  });
});
