/** Files as the demo reads and writes them: piece by piece, so that they may be larger than memory. */

import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

import type { FileSink, FileSource } from '../client/file-transfer.ts';
import { UserError, withFile } from './command.ts';

/** A regular file, read from its start. */
export class InputFile implements FileSource {
  readonly file: string;
  readonly name: string;
  readonly size: number;
  readonly #descriptor: number;
  #offset = 0;

  /** @throws {@link UserError} when there is no such file, or it isn't one that has a size */
  constructor(file: string) {
    this.file = file;
    this.name = path.basename(file);
    this.#descriptor = withFile(`cannot read ${file}`, () => openSync(file, 'r'));
    const stat = fstatSync(this.#descriptor);
    this.size = stat.size;
    if (stat.isFile()) return;
    closeSync(this.#descriptor);
    throw new UserError(`cannot read ${file}: it is ${stat.isDirectory() ? 'a folder' : 'no regular file'}`);
  }

  /** Fills `target` with the bytes that follow. @throws {@link UserError} when the file has become shorter */
  read(target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const count = withFile(`cannot read ${this.file}`, () =>
        readSync(this.#descriptor, target, done, target.length - done, this.#offset),
      );
      if (count === 0) throw new UserError(`${this.file} became shorter than the ${this.size} bytes that it had`);
      done += count;
      this.#offset += count;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** A file that is made or replaced. */
export class OutputFile implements FileSink {
  readonly file: string;
  #descriptor: number | null;

  /** @throws {@link UserError} when it can't be written */
  constructor(file: string) {
    this.file = path.resolve(file);
    this.#descriptor = withFile(`cannot write ${file}`, () => openSync(file, 'w'));
  }

  begin(): void {}

  write(bytes: Uint8Array): void {
    const descriptor = this.#descriptor;
    if (descriptor === null) throw new Error(`${this.file} is closed`);
    withFile(`cannot write ${this.file}`, () => {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    });
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** Removes what was written: a part of a file that looks like the whole is worse than none. */
  discard(): void {
    this.close();
    rmSync(this.file, { force: true });
  }
}
