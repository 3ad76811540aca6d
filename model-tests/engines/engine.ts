/** Other engines: what they are asked, what they answer, and how they are run. */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** How a property came out at an engine. */
export interface EngineVerdict {
  readonly property: string;
  readonly holds: boolean;
  /** Rules from the initial state to what breaks it; `null` where it holds or the engine gives none. */
  readonly path: readonly number[] | null;
}

/** What an engine found in a world. */
export interface EngineResult {
  /** Name and version. */
  readonly engine: string;
  /** Whether it has seen all reachable states, or proved the verdicts without. */
  readonly exhaustive: boolean;
  /** Distinct states, the initial one too; `null` where the engine doesn't count them. */
  readonly states: number | null;
  /** Pairs of a state and a rule that can happen in it, whatever comes of it; `null` likewise. */
  readonly transitions: number | null;
  /** Rules to the farthest state; `null` likewise. */
  readonly depth: number | null;
  readonly verdicts: readonly EngineVerdict[];
  /** Seconds of CPU, user and system, of the search alone: without translating and compiling. */
  readonly cpuSeconds: number;
  /** Bytes, as the engine says; `null` when it says nothing. */
  readonly memory: number | null;
}

/** Whether every one of these programs is on PATH. */
export function haveTools(...names: readonly string[]): boolean {
  return missingTools(...names).length === 0;
}

/** Those of these programs that are not on PATH. */
export function missingTools(...names: readonly string[]): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const isThere = (path: string): boolean => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return names.filter((name) => !folders.some((folder) => isThere(join(folder, name))));
}

/** What a program that was run has said and used. */
export interface Run {
  readonly status: number;
  readonly output: string;
  readonly cpuSeconds: number;
}

/**
 * Runs a program to its end, or until `seconds` are over.
 *
 * @returns status, both outputs joined, CPU time of it and its children
 * @throws Error when it doesn't start, takes too long or ends by a signal
 */
export async function run(
  command: readonly [string, ...string[]],
  { folder, seconds = 600, input = '' }: { folder: string; seconds?: number; input?: string },
): Promise<Run> {
  // Bash alone tells what a child has used.
  const script = `TIMEFORMAT='cpu %U %S'; time "$@"`;
  const child = spawn('bash', ['-c', script, 'bash', 'timeout', String(seconds), ...command], {
    cwd: folder,
    env: { ...process.env, LC_ALL: 'C' },
  });
  const chunks: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      code === null ? reject(new Error(`'${command.join(' ')}' ended by ${signal}`)) : resolve(code),
    );
  });
  const said = Buffer.concat(errors).toString();
  const used = /cpu (\d+\.\d+) (\d+\.\d+)\s*$/.exec(said);
  const output = Buffer.concat(chunks).toString() + said.slice(0, used?.index ?? said.length);
  if (status === 124) throw new Error(`'${command.join(' ')}' took more than ${seconds} s`);
  return { status, output, cpuSeconds: used === null ? Number.NaN : Number(used[1]) + Number(used[2]) };
}

/** Runs a program that must succeed. @throws Error with what it said, when it doesn't */
export async function must(...[command, options]: Parameters<typeof run>): Promise<Run> {
  const done = await run(command, options);
  if (done.status !== 0) throw new Error(`'${command.join(' ')}' failed with ${done.status}:\n${done.output}`);
  return done;
}

/** Lets `work` use a folder that is gone afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'wsdirect-engine-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
