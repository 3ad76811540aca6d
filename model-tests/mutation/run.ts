/**
 * Judges mutants, with any number of threads, and keeps what it finds: who is interrupted goes on where it was.
 *
 * Verdicts are kept by a digest of all that they depend on: machines, properties, worlds, scripts and what judges.
 */

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { explorationLimits } from '../../machines/index.ts';
import { Judge, type Verdict } from './judge.ts';
import { allMutants, type Mutant } from './mutants.ts';

const top = fileURLToPath(new URL('../../', import.meta.url));
/** What verdicts depend on, but for the driver, which scripts and runs are played on: it answers as the machines say. */
const sources = [
  'machines',
  'model-tests/steps',
  'model-tests/worlds',
  'model-tests/explorer',
  'model-tests/mutation',
  'model-tests/product',
  'model-tests/support',
  'model-tests/random',
  'model-tests/driver-paths.json',
];

/** File of the verdicts that hold for the sources as they are; need not be there. */
export function verdictFile(): string {
  const hash = createHash('sha256');
  for (const source of sources) {
    const where = path.join(top, source);
    const files = source.endsWith('.json') ? [where] : readdirSync(where).map((name) => path.join(where, name));
    for (const file of files.sort()) {
      if (/\.test\.ts$|results\.json$/.test(file) || !/\.(ts|json)$/.test(file)) continue;
      hash.update(path.relative(top, file)).update(readFileSync(file));
    }
  }
  return path.join(top, 'node_modules/.cache/wsdirect', `mutants-${hash.digest('hex').slice(0, 16)}.jsonl`);
}

/** Verdicts in `file`; a line that was not written to its end is none. */
function verdictsIn(file: string): Verdict[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as Verdict] : []));
}

export interface RunOptions {
  /** Threads that judge; with 1 it is the calling one. */
  readonly workers: number;
  /** Those that are to be judged; default all. */
  readonly wanted?: (mutant: Mutant) => boolean;
  readonly onVerdict?: (verdict: Verdict, done: number, total: number) => void;
  readonly interrupted?: AbortSignal;
}

/** Judges what is wanted and not judged yet. @returns all verdicts on what is wanted */
export async function judgeMutants({ workers, wanted, onVerdict, interrupted }: RunOptions): Promise<Verdict[]> {
  const all = allMutants(explorationLimits);
  const chosen = wanted === undefined ? all : all.filter(wanted);
  const names = new Set(chosen.map(({ name }) => name));
  const file = verdictFile();
  const verdicts = verdictsIn(file).filter(({ mutant }) => names.has(mutant));
  const known = new Set(verdicts.map(({ mutant }) => mutant));
  const open = all.flatMap((mutant, index) => (names.has(mutant.name) && !known.has(mutant.name) ? [index] : []));
  mkdirSync(path.dirname(file), { recursive: true });
  const take = (verdict: Verdict): void => {
    appendFileSync(file, `${JSON.stringify(verdict)}\n`);
    verdicts.push(verdict);
    onVerdict?.(verdict, verdicts.length, chosen.length);
  };
  if (workers <= 1) {
    const judge = new Judge();
    for (const index of open) {
      take(judge.judge(all[index]!));
      await nextTurn();
      interrupted?.throwIfAborted();
    }
  } else await withWorkers(Math.min(workers, open.length), open, take, interrupted);
  return verdicts;
}

async function withWorkers(
  count: number,
  open: readonly number[],
  take: (verdict: Verdict) => void,
  interrupted?: AbortSignal,
): Promise<void> {
  const waiting = open.values();
  const threads: Worker[] = [];
  try {
    await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<void>((resolve, reject) => {
            const thread = new Worker(new URL(import.meta.url));
            threads.push(thread);
            const next = (): void => {
              const { done, value } = waiting.next();
              if (done === true) resolve();
              else thread.postMessage(value);
            };
            thread.on('message', (verdict: Verdict) => {
              take(verdict);
              next();
            });
            thread.on('error', reject);
            interrupted?.addEventListener('abort', () => reject(interrupted.reason as Error), { once: true });
            next();
          }),
      ),
    );
  } finally {
    await Promise.all(threads.map(async (thread) => await thread.terminate()));
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const judge = new Judge();
  const all = allMutants(explorationLimits);
  port.on('message', (index: number) => port.postMessage(judge.judge(all[index]!)));
}
