/**
 * Guest: a Linux kernel with software RDMA devices, booted for a test run, in which test cases run.
 *
 * Theory of operation: a suite is a module that exports its cases. The test file names the module; {@link guestSuite}
 * makes a vitest test of each case, boots the guest once before the first of them, and lets `in-guest.ts` run the cases
 * there one after the other. Each case's result comes back as a line while the next one runs. The guest sees the host's
 * files, so what runs is this repository; what it writes is gone at its end, but for the folders that are shared.
 *
 * Where the guest can't be had, each case is skipped and the reason is printed; with `WSD_GUEST=required` in the
 * environment it fails instead. `WSD_GUEST=off` skips the cases though the guest is there.
 */

import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, test } from 'vitest';

import { type CaseResult, RESULT_MARK } from './in-guest.ts';
import { NOTE_MARK } from './note.ts';

/** One thing that is tried in the guest. */
export interface GuestCase {
  /** Unique in its suite. */
  readonly name: string;
  /** Bound of one run in the guest; default 60 s. */
  readonly timeoutMs?: number;
  /** Rejects when the case fails. Programs that it started are ended after it. */
  run(): Promise<void> | void;
}

export interface GuestOptions {
  /** Two network namespaces, h1 and h2, joined by veth, with devices of their own; else one without. Default false. */
  readonly hosts?: boolean;
  /** Namespace in which the command runs; with {@link GuestOptions.hosts} only. */
  readonly within?: 'h1' | 'h2';
  /** Devices that are created. Default both. */
  readonly device?: 'rxe' | 'siw' | 'both';
  /** MTU of the guest's interfaces. Default 1500. */
  readonly mtu?: number;
  /** The guest's memory, like 512M or 2G. Default 1G. */
  readonly memory?: string;
  /** Folders whose changes last; absolute paths. */
  readonly shares?: readonly string[];
  /** Bound of the whole run. Default 600. */
  readonly timeoutS?: number;
  /** More of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Programs that have to be on the path besides those that the guest itself needs. */
  readonly programs?: readonly string[];
}

export interface GuestResult {
  /** The command's own; 124 when it ran out of time, 125 when the guest itself failed. */
  readonly exitCode: number;
  readonly stdout: string;
  /** The command's, with what the guest's kernel complained of. */
  readonly stderr: string;
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const rdmaVm = here('../../native/vm/rdma-vm');
const root = here('../..');
/** Compiled modules, which the guests and their programs share: loading them takes a quarter of the time. */
const compileCache = here('../../node_modules/.cache/wsdirect-guest');

let checked: string | null | undefined;

/** Why the guest can't run here, in a sentence that says what to do; null when it can. */
export function guestIsMissing(programs: readonly string[] = []): string | null {
  if (process.env['WSD_GUEST'] === 'off') return 'WSD_GUEST=off is set';
  if (checked === undefined) {
    const check = spawnSync(rdmaVm, ['--check'], { encoding: 'utf8' });
    checked = check.status === 0 ? null : check.stderr.trim() || `rdma-vm can't be run: ${check.error?.message}`;
  }
  const absent = programs.filter((name) => !isOnPath(name));
  if (absent.length > 0) return `not installed: ${absent.join(', ')} (.ci/run names the packages)`;
  return checked;
}

/** Runs a command in a guest of its own, as root, in the repository's top folder. */
export function runGuest(
  command: readonly string[],
  options: GuestOptions = {},
  onLine: (line: string) => void = () => {},
): Promise<GuestResult> {
  const { hosts = false, within, device = 'both', mtu = 1500, memory = '1G', shares = [], timeoutS = 600 } = options;
  const args = ['--no-install', '--device', device, '--mtu', `${mtu}`, '--mem', memory, '--timeout', `${timeoutS}`];
  if (hosts) args.push('--hosts');
  mkdirSync(compileCache, { recursive: true });
  for (const folder of [compileCache, ...shares]) args.push('--share', folder);
  const place = within === undefined ? [] : ['ip', 'netns', 'exec', within];
  return new Promise((resolve, reject) => {
    const child = spawn(rdmaVm, [...args, '--', ...place, ...command], {
      cwd: root,
      env: { ...process.env, NO_COLOR: '1', NODE_COMPILE_CACHE: compileCache, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const end = (): void => void child.kill('SIGTERM');
    process.once('exit', end);
    let stdout = '';
    let stderr = '';
    createInterface(child.stdout).on('line', (line) => {
      stdout += `${line}\n`;
      onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('exit', end);
      resolve({ exitCode: code ?? 125, stdout, stderr });
    });
  });
}

/**
 * Tests that run in the guest; called at the top level of a test file.
 *
 * @param url - of the module that exports `cases`
 * @param cases - those cases, in order
 */
export function guestSuite(title: string, url: URL, cases: readonly GuestCase[], options: GuestOptions = {}): void {
  const missing = guestIsMissing(options.programs);
  describe(title, () => {
    if (missing !== null) {
      console.log(`skipped: ${title}: ${missing}`);
      for (const { name } of cases) {
        test(name, ({ skip }) => {
          if (process.env['WSD_GUEST'] === 'required') throw new Error(missing);
          skip(missing);
        });
      }
      return;
    }
    const results = new Map<string, PromiseWithResolvers<CaseResult>>();
    for (const { name } of cases) results.set(name, Promise.withResolvers());
    const timeout = ((options.timeoutS ?? 600) + 120) * 1000;
    let run: Promise<GuestResult> | null = null;

    // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern there, and the suite comes second.
    beforeAll(({}, suite) => {
      const names = suite.tasks.filter(({ mode }) => mode === 'run' || mode === 'queued').map(({ name }) => name);
      const command = [process.execPath, here('in-guest.ts'), url.href, ...names];
      run = runGuest(command, options, (line) => {
        if (line.startsWith(NOTE_MARK)) console.log(JSON.parse(line.slice(NOTE_MARK.length)));
        if (!line.startsWith(RESULT_MARK)) return;
        const result = JSON.parse(line.slice(RESULT_MARK.length)) as CaseResult;
        results.get(result.name)?.resolve(result);
      });
      void run.then(({ exitCode, stderr }) => {
        const error = `the guest ended without it: exit code ${exitCode}\n${stderr}`;
        for (const [name, { resolve }] of results) resolve({ name, error });
      });
    });

    for (const { name } of cases) {
      test(name, { timeout }, async () => {
        const { error } = await results.get(name)!.promise;
        if (error !== undefined) throw new Error(`in the guest: ${error}`);
      });
    }

    afterAll(async () => {
      const result = await run;
      if (result?.stderr.includes('guest kernel complained')) throw new Error(result.stderr);
    }, timeout);
  });
}

function isOnPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
