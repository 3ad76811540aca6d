/** What the commands share: errors for users, exit codes, the package's own files, texts. */

import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

import { InvalidArgumentError } from 'commander';

/** Exit codes; every command's help says what they mean there. Signals end as a shell reports them: 128 and the number. */
export const Exit = { ok: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** Something that the user can put right: one line, no stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = Exit.usage, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

/** The user has pressed Ctrl-C, or asked otherwise for the end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated');
    this.exitCode = signal === 'SIGINT' ? Exit.interrupted : Exit.terminated;
  }
}

/** Where commands write, and how they learn that they are to end. */
export interface Terminal {
  /** Standard output: what was asked for. */
  write(text: string): void;
  /** Standard error: how it goes. */
  report(text: string): void;
  /**
   * Aborted by Ctrl-C or SIGTERM, with an {@link Interrupted}. From when it is asked for they do nothing else, so the command
   * has to look at it.
   */
  readonly interrupted: AbortSignal;
}

/** The package's folder: the source's when run from a checkout, one above `dist` when installed. */
export function packageFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder);
  return folder;
}

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(path.join(packageFolder(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  EEXIST: 'a file is there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EDQUOT: 'no space is left for this user',
  ENAMETOOLONG: 'its name is too long',
};

/** `error` of the file system in a user's words. Anything else is thrown again: it is our defect. */
export function fileError(what: string, error: unknown): UserError {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') throw error;
  return new UserError(`${what}: ${reasons[error.code] ?? error.message}`, Exit.usage, error);
}

/** `action`, with errors of the file system told as `what`. */
export function withFile<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw fileError(what, error);
  }
}

/**
 * Makes `folder` and what it lies in, as far as they are not there.
 *
 * @param given - the folder as the user has said it
 * @throws {@link UserError}
 */
export function makeFolder(folder: string, given: string): void {
  // One by one: Node.js's own `recursive` never returns where a folder can't be made in one that is there, as in /proc.
  const missing: string[] = [];
  for (let at = path.resolve(folder); !existsSync(at); at = path.dirname(at)) missing.push(at);
  withFile(`cannot make folder ${given}`, () => {
    for (const each of missing.reverse()) mkdirSync(each);
    if (!statSync(folder).isDirectory()) throw new UserError(`cannot make folder ${given}: a file is there`);
  });
}

/** Parser of an option: a whole number from `low` to `high`. */
export const wholeNumber =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It has to be a whole number from ${low} to ${high}.`);
  };

/** Parser of an option: bytes, as `65536`, `64K`, `1M` or `4G`. */
export const byteCount =
  (low: number, high: number) =>
  (text: string): number => {
    const match = /^(\d+)([KMG]?)$/i.exec(text);
    const unit = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match?.[2]?.toUpperCase() ?? ''] ?? 1;
    const value = Number(match?.[1]) * unit;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It has to be bytes from ${low} to ${high}, as 65536, 64K or 1M.`);
  };

/** `1 byte`, `2 bytes`; nouns in the plural by -s. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A rate in the largest unit that keeps it above 1: `12.3 MB/s`. */
export function rateText(bytes: number, seconds: number): string {
  let rate = seconds > 0 ? bytes / seconds : 0;
  let unit = 'B/s';
  for (const larger of ['kB/s', 'MB/s', 'GB/s']) {
    if (rate < 1000) break;
    rate /= 1000;
    unit = larger;
  }
  return `${rate.toFixed(rate < 100 ? 1 : 0)} ${unit}`;
}

/** A duration in the largest unit that keeps it above 1. */
export function durationText(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(0)} us`;
}

/** A table as text, ended by a line feed; nothing is padded on the right. */
export const tableText = (table: { toString(): string }): string => `${table.toString().replaceAll(/ +$/gm, '')}\n`;

/** Borders of our tables: lines only under the head. */
export const tableStyle = {
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  },
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
};
