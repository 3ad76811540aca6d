/**
 * Runs the cases of a suite, in the guest: `node in-guest.ts MODULE-URL CASE...`.
 *
 * Theory of operation: one case at a time, in the module's order, each with a time limit and each followed by the end of
 * every program that it started. A result is one line of standard output; see {@link CaseResult}.
 */

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

async function runCase({ name, timeoutMs = 60_000, run }: GuestCase): Promise<CaseResult> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(() => timer.reject(new Error(`not done after ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    await Promise.race([run(), timer.promise]);
    return { name };
  } catch (error) {
    return { name, error: `${error instanceof Error ? error.stack : error}\n${await endPrograms()}` };
  } finally {
    clearTimeout(timeout);
    await endPrograms();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, ...names] = process.argv.slice(2);
  const { cases } = (await import(url!)) as { readonly cases: readonly GuestCase[] };
  for (const each of cases) {
    if (!names.includes(each.name)) continue;
    const result = await runCase(each);
    process.stdout.write(`${RESULT_MARK}${JSON.stringify(result)}\n`);
  }
  // A case that failed may have left something that would keep this process.
  process.exit(0);
}
