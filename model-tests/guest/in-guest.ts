/**
 * Runs the cases of a suite, in the guest: `node in-guest.ts MODULE-URL CASE...`.
 *
 * Theory of operation: one case at a time, in the module's order, each with a time limit and each followed by the end of
 * every program that it started. A result is one line of standard output; see {@link CaseResult}. After a case that ran
 * out of time the others run in a new process, as it may still hold ports and devices.
 */

import { writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { GuestCase } from './guest.ts';
import { endPrograms } from './programs.ts';

/** Starts a line that is a result, as JSON. */
export const RESULT_MARK = '@result ';

export interface CaseResult {
  readonly name: string;
  /** Why it failed; absent when it passed. */
  readonly error?: string;
}

class TimeOut extends Error {}

/** @returns how it went, and whether the case has ended; one that ran out of time may go on for ever */
async function runCase({ name, timeoutMs = 60_000, run }: GuestCase): Promise<{ result: CaseResult; isOver: boolean }> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(() => timer.reject(new TimeOut(`not done after ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    await Promise.race([run(), timer.promise]);
    return { result: { name }, isOver: true };
  } catch (error) {
    const what = error instanceof Error ? error.stack : error;
    return { result: { name, error: `${what}\n${await endPrograms()}` }, isOver: !(error instanceof TimeOut) };
  } finally {
    clearTimeout(timeout);
    await endPrograms();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, ...names] = process.argv.slice(2);
  const { cases } = (await import(url!)) as { readonly cases: readonly GuestCase[] };
  flushCompileCache();
  const chosen = cases.filter(({ name }) => names.includes(name));
  for (const [index, each] of chosen.entries()) {
    const { result, isOver } = await runCase(each);
    // Written at once, whatever becomes of this process.
    writeSync(1, `${RESULT_MARK}${JSON.stringify(result)}\n`);
    if (isOver) continue;
    const rest = chosen.slice(index + 1).map(({ name }) => name);
    const again = [fileURLToPath(import.meta.url), url!, ...rest];
    if (rest.length === 0) process.exit(0);
    // In this one's place, so that the system takes back all that it holds.
    process.execve!(process.execPath, [process.execPath, ...again]);
  }
  process.exit(0);
}
