/** `wsdirect check --mutate`: which mutants of the machines are noticed. */

import { existsSync } from 'node:fs';
import { Exit, type Terminal, UserError } from '../../driver/cli/command.ts';

/** What `model-tests/mutation/results.ts` gives. */
interface Results {
  readResults(): unknown;
  describeResults(results: unknown): string;
}

/** Where mutation is; it may be absent. */
const folder = new URL('../mutation/', import.meta.url);

/** The last results, as text; null when there are none. */
export async function lastResults(): Promise<string | null> {
  if (!existsSync(new URL('results.json', folder))) return null;
  const { readResults, describeResults } = (await import(new URL('results.ts', folder).href)) as Results;
  return describeResults(readResults());
}

/** Prints the last results. @returns the exit code */
export async function mutationText({ write }: Terminal): Promise<number> {
  const text = await lastResults();
  if (text === null) throw new UserError('there are no results of mutation yet: see model-tests/mutation/main.ts');
  write(`${text}\n`);
  return Exit.ok;
}
