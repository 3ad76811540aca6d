/** Files as the commands read and write them: piece by piece, so that they may be larger than memory. */

import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
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

  /**
   * @param flags - more of `fs.constants` than reading
   * @throws {@link UserError} when there is no such file, or it isn't one that has a size
   */
  constructor(file: string, flags = 0) {
    this.file = file;
    this.name = path.basename(file);
    // Opening a pipe would wait for its writer.
    const how = constants.O_RDONLY | constants.O_NONBLOCK | flags;
    this.#descriptor = withFile(`cannot read ${file}`, () => openSync(file, how));
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

const PART_PREFIX = '.wsdirect-';
const PART_SUFFIX = '.part';
/** Whether this is the name of a file that isn't whole yet. */
export const isPartName = (name: string): boolean => name.startsWith(PART_PREFIX) && name.endsWith(PART_SUFFIX);

/**
 * A file that is made or replaced: written beside its place under another name, and renamed when it is whole. So what
 * was there stays until then, and nobody takes a part of a file for the whole.
 */
export class OutputFile implements FileSink {
  readonly file: string;
  readonly #part: string;
  #descriptor: number | null;

  /** @throws {@link UserError} when it can't be written, or something else than a file is there */
  constructor(file: string) {
    this.file = path.resolve(file);
    const what = `cannot write ${file}`;
    const there = withFile(what, () => statSync(this.file, { throwIfNoEntry: false }));
    if (there !== undefined && !there.isFile()) {
      throw new UserError(`${what}: ${there.isDirectory() ? 'it is a folder' : 'it is no regular file'}`);
    }
    const name = `${PART_PREFIX}${randomBytes(8).toString('hex')}${PART_SUFFIX}`;
    this.#part = path.join(path.dirname(this.file), name);
    this.#descriptor = withFile(what, () => openSync(this.#part, 'wx'));
  }

  begin(): void {}

  write(bytes: Uint8Array): void {
    const descriptor = this.#descriptor;
    if (descriptor === null) throw new Error(`${this.file} is closed`);
    withFile(`cannot write ${this.file}`, () => {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    });
  }

  /** Puts the file in its place, or removes it when it isn't what was sent. */
  end(isEqual: boolean): void {
    if (!isEqual) return this.discard();
    this.#close();
    withFile(`cannot write ${this.file}`, () => renameSync(this.#part, this.file));
  }

  /** Removes what was written; no effect on a file that has its place. */
  discard(): void {
    this.#close();
    rmSync(this.#part, { force: true });
  }

  #close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }
}
