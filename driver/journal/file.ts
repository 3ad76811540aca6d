/** Journals in files. For Node only: the rest of this folder runs in a browser, too. */

import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

import type { JournalSink } from './journal.ts';
import { type JournalContents, JournalError, readJournal } from './reader.ts';

/**
 * Creates a file for a journal. What was written is in the system's hands at once, so it survives a killed process;
 * `close` makes it survive a power failure, too.
 *
 * @param options - `overwrite`: whether a file that exists is replaced; default false
 * @throws Error when the file exists and isn't to be replaced; else as `fs.openSync`
 */
export function openJournalFile(path: string, options: { readonly overwrite?: boolean } = {}): JournalSink {
  let file: number | undefined = open(path, options.overwrite === true ? 'w' : 'wx');
  return {
    write: (bytes) => {
      if (file === undefined) throw new Error(`journal file ${path} is closed`);
      let written = 0;
      while (written < bytes.length) written += writeSync(file, bytes, written);
    },
    close: () => {
      if (file === undefined) return;
      const closing = file;
      file = undefined; // Before all else: the number may soon be another file's.
      try {
        fsyncSync(closing);
      } finally {
        closeSync(closing);
      }
    },
  };
}

/**
 * Reads a journal's file as a whole; up to 2 GiB.
 *
 * @throws {@link JournalError} as {@link readJournal}, with the path; else as `fs.readFileSync`
 */
export function readJournalFile(path: string): JournalContents {
  const bytes = readFileSync(path);
  try {
    return readJournal(bytes);
  } catch (cause) {
    throw cause instanceof JournalError ? new JournalError(`${path}: ${cause.message}`, { cause }) : cause;
  }
}

function open(path: string, flags: string): number {
  try {
    return openSync(path, flags);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new Error(`journal file ${path} exists; name another one, or remove it first`, { cause });
  }
}
