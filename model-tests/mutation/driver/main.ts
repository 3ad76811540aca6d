/**
 * Judges mutants of the driver's own code by Stryker, and keeps the score of each file in results.json.
 *
 *     node model-tests/mutation/driver/main.ts [--every K] [--minutes M] [--seconds S] [--beside] [FILE...]
 *
 * By default it takes all files of .config/stryker.json.
 *
 * `--every 5` looks at one line of five: always the same ones, chosen by a hash of file and line. What is mutated then are
 * the mutants that lie on one of these lines. After `--minutes` it ends; the same again goes on where it was.
 *
 * `--seconds 10` takes a mutant for one that never ends when its tests take 10 s longer than four times what they took
 * without it. By default it is as long as .config/stryker.json says. Those that it ended are named.
 *
 * `--beside` asks only the tests that lie beside the files, which is quick. Without it, what they did not notice is then put
 * to all tests that come to it.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DriverRecord, describeDriver, readDriver, writeDriver } from './results.ts';

const top = fileURLToPath(new URL('../../../', import.meta.url));

/** What Stryker keeps of its runs, as far as it is read here. */
interface StrykerReport {
  readonly files: Readonly<
    Record<
      string,
      {
        readonly mutants: readonly {
          readonly mutatorName: string;
          readonly replacement?: string;
          readonly status: string;
          readonly location: { readonly start: { readonly line: number }; readonly end: { readonly line: number } };
        }[];
      }
    >
  >;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '0' },
    seconds: { type: 'string' },
    beside: { type: 'boolean', default: false },
  },
});
const every = Number(values.every);
if (!Number.isInteger(every) || every < 1) throw new RangeError('--every takes a whole number from 1 on');
if (values.seconds !== undefined && !(Number(values.seconds) > 0))
  throw new RangeError('--seconds takes a number above 0');
const config = JSON.parse(readFileSync(`${top}.config/stryker.json`, 'utf8')) as { readonly mutate: readonly string[] };
const files = positionals.length > 0 ? positionals : config.mutate;

const isChosen = (file: string, line: number): boolean =>
  every === 1 || createHash('sha256').update(`${file}:${line}`).digest().readUInt32LE() % every === 0;

/** Ranges of `file` that are looked at. */
function rangesOf(file: string): string[] {
  if (every === 1) return [file];
  const lines = readFileSync(top + file, 'utf8').split('\n').length;
  return Array.from({ length: lines }, (_, index) => index + 1)
    .filter((line) => isChosen(file, line))
    .map((line) => `${file}:${line}-${line}`);
}

for (const file of files) {
  if (!existsSync(top + file)) throw new Error(`there is no ${file}`);
}
const ranges = files.flatMap(rangesOf);
const tests = values.beside
  ? globSync(
      files.map((file) => file.replace(/\.ts$/, '{,-*}.test.ts')),
      { cwd: top },
    )
  : [];
if (values.beside && tests.length === 0) throw new Error(`no test lies beside ${files.join(', ')}`);
// What it has found by then it keeps when it is asked to end.
const { status } = spawnSync(
  process.execPath,
  [
    `${top}node_modules/@stryker-mutator/core/bin/stryker.js`,
    ...['run', '.config/stryker.json', '--mutate', ranges.join()],
    ...(tests.length > 0 ? ['--testFiles', tests.join()] : []),
    ...(values.seconds === undefined ? [] : ['--timeoutMS', String(1000 * Number(values.seconds))]),
  ],
  { cwd: top, stdio: 'inherit', timeout: Number(values.minutes) * 60_000, killSignal: 'SIGTERM' },
);
if (status !== 0) {
  // What was judged by then is no sample: it comes first in the files.
  console.log(`Stryker ended with ${status}: no score yet. The same again goes on where it was.`);
  process.exit(1);
}

const report = JSON.parse(readFileSync(`${top}.stryker-tmp/incremental.json`, 'utf8')) as StrykerReport;
const records: DriverRecord[] = Object.entries(report.files).flatMap(([file, { mutants }]) => {
  if (!files.includes(file)) return [];
  const chosen = mutants.filter(
    ({ location: { start, end } }) => every === 1 || (start.line === end.line && isChosen(file, start.line)),
  );
  const of = (...statuses: readonly string[]) => chosen.filter((mutant) => statuses.includes(mutant.status));
  for (const { mutatorName, replacement = '', location, status: outcome } of of(
    'Survived',
    'NoCoverage',
    'Timeout',
    'RuntimeError',
  )) {
    console.log(`${file}:${location.start.line} ${outcome}: ${mutatorName} ${replacement.split('\n')[0]}`);
  }
  return {
    file,
    every,
    detected: of('Killed', 'Timeout').length,
    survived: of('Survived').length,
    uncovered: of('NoCoverage').length,
    // What is made once, when a file is loaded, can't be switched by a test.
    ignored: of('Ignored').length,
    unjudged: of('RuntimeError').length,
  };
});
const others = readDriver().filter(({ file }) => !records.some((record) => record.file === file));
writeDriver([...others, ...records].sort((left, right) => (left.file < right.file ? -1 : 1)));
console.log(describeDriver());
