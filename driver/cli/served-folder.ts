/**
 * A folder whose files clients may name, and nothing else.
 *
 * Theory of operation: a path is taken apart before the file system sees it, and the folder that it leads to is looked
 * up without links: it has to be exactly where the path says. So no `..`, no absolute path and no symbolic link below the
 * served folder leads out of it, or anywhere. The last component is opened without following a link.
 *
 * Somebody who may change the folder while a client is served could exchange a folder for a link between the two steps;
 * such a person could as well copy the file there.
 */

import { constants, realpathSync, statSync } from 'node:fs';
import path from 'node:path';

import { Refusal, type RefusalReason } from '../client/file-service.ts';
import { UserError, withFile } from './command.ts';
import { InputFile, isPartName, OutputFile } from './files.ts';

export interface ServedFolderOptions {
  /** Nothing may be put. */
  readonly readOnly: boolean;
  /** Largest file that may be put, in bytes. */
  readonly bytesMax: number;
}

export class ServedFolder {
  /** Without links. */
  readonly root: string;
  readonly #options: ServedFolderOptions;

  /** @throws {@link UserError} when it is no folder */
  constructor(folder: string, options: ServedFolderOptions) {
    this.#options = options;
    this.root = withFile(`cannot serve ${folder}`, () => realpathSync(folder));
    const isFolder = withFile(`cannot serve ${folder}`, () => statSync(this.root).isDirectory());
    if (!isFolder) throw new UserError(`cannot serve ${folder}: it is no folder`);
  }

  /** Opens a file to be sent. @throws {@link Refusal} */
  open(name: string): InputFile {
    return refusing(() => new InputFile(this.#locate(name), constants.O_NOFOLLOW));
  }

  /** Makes a file to be received; it has its place when it has ended equal. @throws {@link Refusal} */
  create(name: string, size: number): OutputFile {
    const { readOnly, bytesMax } = this.#options;
    if (readOnly) throw new Refusal('readOnly', 'nothing may be put here');
    if (size > bytesMax) throw new Refusal('tooLarge', `files of more than ${bytesMax} bytes are not taken`);
    return refusing(() => new OutputFile(this.#locate(name)), 'no such folder');
  }

  #locate(name: string): string {
    const parts = name.split('/');
    const isBad = (part: string): boolean => part === '' || part === '.' || part === '..' || /[\0\\]/.test(part);
    if (parts.some(isBad)) throw new Refusal('badPath', 'a path here has no empty, . or .. part, and no \\');
    if (parts.some(isPartName)) throw new Refusal('notFound', 'no such file');
    const file = path.join(this.root, ...parts);
    const folder = path.dirname(file);
    if (withFile('folder', () => realpathSync(folder)) !== folder) {
      throw new Refusal('badPath', 'symbolic links are not followed');
    }
    return file;
  }
}

const byCode: Readonly<Record<string, readonly [RefusalReason, string]>> = {
  ENOENT: ['notFound', 'no such file'],
  ENOTDIR: ['notFound', 'no such file'],
  EACCES: ['notPermitted', 'permission denied'],
  EPERM: ['notPermitted', 'permission denied'],
  ELOOP: ['badPath', 'symbolic links are not followed'],
  ENOSPC: ['noSpace', 'no space is left on its disk'],
  EDQUOT: ['noSpace', 'no space is left on its disk'],
  EFBIG: ['tooLarge', 'the file is too large for its disk'],
  EROFS: ['readOnly', 'its file system is read-only'],
  ENAMETOOLONG: ['badPath', 'the path is too long'],
  EISDIR: ['notAFile', 'it is a folder'],
};

/** `error`, if the file system's, as what a client may know of it: no path of this computer. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error;
  if (!(error instanceof UserError)) return null;
  const code = error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : '';
  const [reason, text] =
    byCode[code] ?? (code === '' ? ['notAFile', 'it is no regular file'] : ['failed', 'it cannot']);
  return new Refusal(reason, text);
}

/** @param missing - what a client is told when the file system has no such file or folder */
function refusing<T>(action: () => T, missing = 'no such file'): T {
  try {
    return action();
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === null || refusal === error) throw error;
    throw refusal.reason === 'notFound' ? new Refusal('notFound', missing) : refusal;
  }
}
