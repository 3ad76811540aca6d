/** `wsdirect check`: worlds, searched to their end; or journals, judged. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import Table from 'cli-table3';
import { Command, Option } from 'commander';

import { checkPair, checkTrace, type PairTrace, type Trace } from '../check/trace.ts';
import { Magic } from '../journal/format.ts';
import { JournalError, readJournal } from '../journal/reader.ts';
import { ReplayError, verdictText } from '../replay.ts';
import {
  byteCount,
  counted,
  Exit,
  packageFolder,
  tableStyle,
  tableText,
  type Terminal,
  UserError,
  wholeNumber,
  withFile,
} from './command.ts';

/** What `wsdirect check` is asked for, beside the worlds' names. */
export interface CheckOptions {
  readonly property?: string;
  readonly quick?: boolean;
  readonly all?: boolean;
  readonly mutate?: boolean;
  readonly spin?: boolean;
  readonly workers: number;
  readonly maxMemory: number;
  readonly reduce?: boolean;
  readonly hashed?: boolean;
  readonly replay?: string;
  readonly out?: string;
  readonly json?: boolean;
  readonly journal?: readonly string[];
}

/** What searches worlds: `model-tests/check/worlds.ts`, which is part of the repository and not of the package. */
export interface WorldChecker {
  /** @returns the exit code */
  checkWorlds(terminal: Terminal, names: readonly string[], options: CheckOptions): Promise<number>;
}

const GIB = 2 ** 30;
/** Options of a search. */
const ofWorlds = ['property', 'quick', 'all', 'spin', 'maxMemory', 'reduce', 'hashed', 'replay', 'out'];
/** A search that ended before it knew. */
export const OUT_OF_LIMITS = 3;

export function checkCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  return new Command('check')
    .description(
      'Search small worlds of the machines to their end, and judge what is asked of them; or judge journals.',
    )
    .argument('[worlds...]', 'worlds by name or by a part of it; by default the quick ones; with --mutate, machines')
    .option('--property <id>', 'only what is asked under this id or name, as S-03')
    .addOption(new Option('--quick', 'the quick worlds').conflicts('all'))
    .option('--all', 'all worlds, the long ones too')
    .addOption(
      new Option(
        '--mutate',
        'make mutants of the machines that are named (default: of all), and see which are noticed',
      ).conflicts(ofWorlds),
    )
    .option('--spin', 'have Spin search the same worlds, and compare')
    .option('--workers <number>', 'threads that search', wholeNumber(1, 64), 1)
    .addOption(
      new Option('--max-memory <bytes>', 'memory for states and transitions, as 512M or 4G')
        .argParser(byteCount(1 << 20, 1024 * GIB))
        .default(4 * GIB, '4G'),
    )
    .option('--reduce', 'take states for one that behave alike: dead variables, exchangeable rows')
    .option('--hashed', 'where memory ends, go on with fingerprints; finds violations, and proves nothing')
    .option('--replay <file>', 'go the path in this file again, in the world that is named')
    .option('--out <folder>', 'where the files of violations go (default: the current one)')
    .option('--json', 'print the result as JSON')
    .addOption(
      new Option('--journal <files...>', "judge a journal instead; or both ends' journals").conflicts([
        ...ofWorlds,
        'mutate',
        'workers',
      ]),
    )
    .addHelpText(
      'after',
      '\nA violation is printed as its shortest path, with the states before and after each step; FOLDER gets the path' +
        '\n(.json), what the provider saw of it (.wsdj, for wsdirect replay), and a Mermaid sequence diagram (.mmd).' +
        '\n--mutate keeps its verdicts until something that they depend on changes: interrupted, it goes on where it was.' +
        '\nIt holds when properties alone notice 90 % of the mutants that are not equivalent, and all checks 97 %.' +
        '\nWorlds need the repository; --journal works in the installed package too.' +
        '\nExit codes: 0 everything asked holds, 1 something is violated or a journal is rejected, 2 wrong usage or' +
        '\nunusable input, 3 out of limits: not violated as far as the search got, and nothing is known of the rest.',
    )
    .action(async (names: readonly string[], options: CheckOptions) => {
      if (options.journal !== undefined) {
        if (names.length > 0) throw new UserError('--journal judges journals; no worlds can be named with it');
        finish(checkJournals(terminal.write, options.journal, options.json === true));
      } else finish(await (await worldChecker()).checkWorlds(terminal, names, options));
    });
}

/** @throws UserError where there is none, as in the installed package */
async function worldChecker(): Promise<WorldChecker> {
  const file = path.join(packageFolder(), 'model-tests/check/worlds.ts');
  if (!existsSync(file)) {
    throw new UserError(
      'worlds are checked in the repository, which the package does not contain; --journal works here',
    );
  }
  return (await import(pathToFileURL(file).href)) as WorldChecker;
}

function checkJournals(write: (text: string) => void, files: readonly string[], json: boolean): number {
  if (files.length > 2) throw new UserError('--journal takes one journal, or those of both ends');
  const traces = files.map((file) => ({ file, trace: traceOf(file) }));
  const pair =
    traces.length === 2 && traces.every(({ trace }) => trace.isBehaviour)
      ? checkPair(traces[0]!.trace, traces[1]!.trace)
      : null;
  if (pair !== null && !pair.isOneRun) {
    throw new UserError(
      `${files.join(' and ')} have no connection in common, though messages came: they are not both ends of one run`,
    );
  }
  const good =
    traces.every(({ trace }) => trace.isBehaviour && trace.broken.length === 0) && (pair?.broken ?? []).length === 0;
  if (json) {
    const journals = traces.map(({ file, trace: { verdict, isBehaviour, records, broken, judgements } }) => ({
      file,
      verdict,
      isBehaviour,
      records,
      broken,
      judgements,
    }));
    write(`${JSON.stringify({ good, journals, pair }, null, 2)}\n`);
    return good ? Exit.ok : Exit.failed;
  }
  for (const { file, trace } of traces) {
    write(
      `${file}: ${counted(trace.records, 'record')}; as a behaviour of the machines: ${verdictText(trace.verdict)}\n\n`,
    );
    write(`${judgementTable(trace)}\n`);
    for (const { statement, sequence, what } of trace.broken)
      write(`broken: ${statement}, record ${sequence}: ${what}\n`);
  }
  if (pair !== null) {
    const others = pair.ambiguous === 0 ? '' : `, and ${pair.ambiguous} that can't be told apart`;
    write(`both ends: ${counted(pair.connections, 'connection')} in common${others}\n\n${judgementTable(pair)}\n`);
    for (const { statement, what } of pair.broken) write(`broken: ${statement}: ${what}\n`);
  }
  const why = traces.flatMap(({ file, trace }) => (trace.isBehaviour ? [] : `${file}: ${verdictText(trace.verdict)}`));
  const rejected = ['rejected', ...why].join('; ');
  write(`check: ${good ? (traces.length === 1 ? 'the journal holds' : 'the journals hold') : rejected}\n`);
  return good ? Exit.ok : Exit.failed;
}

function judgementTable({ judgements }: Pick<Trace | PairTrace, 'judgements'>): string {
  const table = new Table({ head: ['statement', 'outcome', 'because'], ...tableStyle });
  for (const { statement, outcome, because } of judgements) table.push([statement, outcome, because]);
  return tableText(table);
}

function traceOf(file: string): Trace {
  const bytes = withFile(`cannot read ${file}`, () => readFileSync(file));
  if (bytes.subarray(0, Magic.file.length).toString('latin1') !== Magic.file)
    throw new UserError(`${file} is not a journal`);
  try {
    return checkTrace(readJournal(bytes));
  } catch (error) {
    if (error instanceof JournalError || error instanceof ReplayError) {
      throw new UserError(`${file}: ${error.message}`, Exit.failed);
    }
    throw error;
  }
}
