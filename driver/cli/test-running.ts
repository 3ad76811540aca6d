/** Commands as processes, for tests. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, afterEach } from 'vitest';

const program = path.join(import.meta.dirname, 'wsdirect.js');

/** A new folder for the tests of one file, removed after them. */
export function testFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** How to start a command other than straight away. */
export interface Start {
  /** Shell commands that go before, as `ulimit -f 1; `. */
  readonly shellFirst?: string;
  /** A program that runs the command line given to it, as `ip netns exec NAME`. */
  readonly under?: readonly string[];
  /** It runs on a terminal of its own: what it shows there, standard error included, is `out`. */
  readonly onTerminal?: boolean;
}

const running = new Set<Running>();

/** Has the commands that still run after a test killed. Once for each file of tests. */
export function killAfterEach(): void {
  afterEach(() => {
    for (const { child } of running) child.kill('SIGKILL');
    running.clear();
  });
}

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** A command that runs. */
export class Running {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly #ended: Promise<unknown>;

  constructor(
    folder: string,
    args: readonly string[],
    { shellFirst = '', under = [], onTerminal = false }: Start = {},
  ) {
    const words = [...under, process.execPath, program, ...args];
    const line = onTerminal ? ['script', '-qefc', words.map(quoted).join(' '), '/dev/null'] : words;
    this.child = spawn('sh', ['-c', `${shellFirst}exec "$0" "$@"`, ...line], { cwd: folder });
    this.child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.out += text;
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.err += text;
    });
    this.#ended = once(this.child, 'close');
    running.add(this);
  }

  /** Waits for output that fits. */
  async says(pattern: RegExp): Promise<RegExpMatchArray> {
    const end = Date.now() + 60_000;
    for (;;) {
      const match = this.out.match(pattern);
      if (match !== null) return match;
      assert.ok(Date.now() < end && this.child.exitCode === null, `no ${pattern} in: ${this.out}${this.err}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async end(signal?: NodeJS.Signals): Promise<{ code: number | null; out: string; err: string }> {
    if (signal !== undefined) this.child.kill(signal);
    await this.#ended;
    running.delete(this);
    assert.doesNotMatch(this.err, /\n\s+at /, 'no stack for users');
    return { code: this.child.exitCode, out: this.out, err: this.err };
  }
}
