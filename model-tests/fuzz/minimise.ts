/** Makes a corpus small. */

import { Session } from 'node:inspector/promises';

import { run } from './harness.ts';

/** The smallest inputs first, each kept if it makes ranges of code run that none before did, by V8's own counting. */
export async function minimised(inputs: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  const reached = new Set<string>();
  const kept: Uint8Array[] = [];
  for (const input of [...inputs].sort((left, right) => left.byteLength - right.byteLength)) {
    const before = reached.size;
    run(input, (name) => reached.add(name));
    const { result } = await session.post('Profiler.takePreciseCoverage');
    for (const { url, functions } of result) {
      if (!url.includes('/adapter/iwarp/')) continue;
      for (const { ranges } of functions) {
        for (const { count, startOffset, endOffset } of ranges) {
          if (count > 0) reached.add(`${url} ${startOffset} ${endOffset}`);
        }
      }
    }
    if (reached.size > before) kept.push(input);
  }
  await session.post('Profiler.stopPreciseCoverage');
  session.disconnect();
  return kept;
}
