/** `wsdirect demo`: two hosts move a file, and their journals are replayed. */

import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import Table from 'cli-table3';
import { Command } from 'commander';

import { machineNames } from '../../machines/index.ts';
import type { AdapterEntry, NetworkAdapterEntry } from '../adapter/registry.ts';
import { EndpointError, type EndpointCounts } from '../client/endpoint.ts';
import { CHUNK_BYTES_MAX } from '../client/file-transfer.ts';
import { SpiError } from '../client/host.ts';
import { toSequenceDiagram } from '../diagram.ts';
import { readJournalFile } from '../journal/file.ts';
import { replayJournal, type Verdict, verdictText } from '../replay.ts';
import { chosenAdapter, DEFAULT_ADAPTER } from './adapters.ts';
import {
  byteCount,
  counted,
  durationText,
  Exit,
  makeFolder,
  packageFolder,
  rateText,
  tableStyle,
  tableText,
  type Terminal,
  UserError,
  wholeNumber,
  withFile,
} from './command.ts';
import { moveBetweenProcesses } from './demo-processes.ts';
import { moveOnSimulatedNetwork } from './demo-simulated.ts';
import { InputFile, OutputFile } from './files.ts';
import { resolve } from './remote.ts';
import type { TransferResult } from './transfer-result.ts';

interface Options {
  readonly adapter: string;
  readonly address?: string;
  readonly seed?: number;
  readonly chunk?: number;
  readonly out?: string;
  readonly receiveFile?: string;
  readonly notify?: boolean;
  readonly json?: boolean;
}

/** What is to be moved, and where everything goes. */
export interface DemoPlan {
  readonly input: InputFile;
  readonly receivedFile: string;
  readonly journals: { readonly client: string; readonly server: string };
  readonly chunkBytes: number;
  readonly notify: boolean;
  readonly quiet: boolean;
  readonly seed: number;
  /** Where the processes meet; the adapter's choice unless given. */
  readonly address: string | undefined;
  readonly interrupted: AbortSignal;
}

/** How it went. */
export interface DemoRun {
  /** Who talked to whom. */
  readonly connected: string;
  /** As the giving end, the client, has it. */
  readonly result: TransferResult;
  /** What the taking end, the server, has moved. */
  readonly taken: EndpointCounts;
  /** Time on a simulated network; null on a real one. */
  readonly virtualSeconds: number | null;
}

/** What the demo moves when it is given nothing else: the specification, which the package ships. */
const SHIPPED_FILE = 'docs/spec/wsd.md';
const DIAGRAM_STEPS = 120;

export function demoCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  return new Command('demo')
    .description('Move a file from one host to another, then replay what they did.')
    .argument('[file]', 'file to move; by default the specification that comes with the package')
    .option(
      '--adapter <name>',
      'as listed by: wsdirect adapters; with simulated both hosts are in one process, and a run can be repeated',
      DEFAULT_ADAPTER,
    )
    .option(
      '--address <address>',
      'of this computer, where both processes meet (default: 127.0.0.1, or the first that an RDMA device has)',
    )
    .option('--seed <number>', 'seed of the simulation (default: 1)', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option(
      '--chunk <bytes>',
      'bytes that are moved at once, as 65536, 64K or 1M (default: an eighth of the file, 16K to 1M)',
      byteCount(1, CHUNK_BYTES_MAX),
    )
    .option('--out <folder>', 'where everything goes; made if need be (default: a new folder for temporary files)')
    .option('--receive-file <file>', 'where the received file goes (default: received-NAME in the folder)')
    .option('--notify', 'have completions told by up-call instead of asking for them')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nThe folder gets the journals of both hosts (client.wsdj, server.wsdj) and a Mermaid sequence diagram of the first' +
        '\nsteps (client.mmd). See them with: wsdirect replay FOLDER/client.wsdj' +
        '\nExit codes: 0 all equal, 1 something is unequal or the connection was lost, 2 wrong usage or unusable files,' +
        '\n130 ended by Ctrl-C, 143 by SIGTERM.',
    )
    .action(async (file: string | undefined, options: Options) => {
      finish(await demo(terminal, file ?? path.join(packageFolder(), SHIPPED_FILE), options));
    });
}

async function demo(terminal: Terminal, file: string, options: Options): Promise<number> {
  const { chunk, notify, json, seed = 1 } = options;
  const entry = chosenAdapter(options.adapter);
  if (options.seed !== undefined && entry.reach !== 'process') {
    throw new UserError(`--seed is for a simulation, and the ${entry.name} adapter is none`);
  }
  if (options.address !== undefined && entry.reach === 'process') {
    throw new UserError(`--address is for a network, and the ${entry.name} adapter has one of its own`);
  }
  const input = new InputFile(file);
  try {
    if (entry.reach !== 'process' && options.address !== undefined) await refuseForeign(entry, options.address);
    const folder = outputFolder(options.out);
    const receivedFile = options.receiveFile ?? path.join(folder, `received-${path.basename(file)}`);
    refuseToReplace(file, receivedFile, folder);
    // Whether it can be written is better known before anything happens.
    new OutputFile(receivedFile).discard();
    const [client, server] = ['client', 'server'].map((name) => path.join(folder, `${name}.wsdj`)) as [string, string];
    withFile('cannot replace a journal', () => [client, server].map((journal) => rmSync(journal, { force: true })));
    const plan: DemoPlan = {
      input,
      receivedFile,
      journals: { client, server },
      chunkBytes: chunk ?? Math.min(Math.max(Math.ceil(input.size / 8 / 4096) * 4096, 16_384), 1_048_576),
      notify: notify === true,
      quiet: json === true,
      seed,
      address: options.address,
      interrupted: terminal.interrupted,
    };
    const how = entry.reach === 'process' ? ` (seed ${seed})` : '';
    if (json !== true) {
      const what = `${input.name}, ${counted(input.size, 'byte')}, over the ${entry.name} adapter${how}`;
      terminal.write(`wsdirect demo: ${what}\n\n`);
    }
    const run = await move(entry, plan, terminal);
    return report(terminal, entry, plan, run, path.join(folder, 'client.mmd'));
  } catch (error) {
    if (error instanceof EndpointError || error instanceof SpiError) throw new UserError(error.message, Exit.failed);
    throw error;
  } finally {
    input.close();
  }
}

const move = (entry: AdapterEntry, plan: DemoPlan, terminal: Terminal): Promise<DemoRun> =>
  entry.reach === 'process' ? moveOnSimulatedNetwork(entry, plan) : moveBetweenProcesses(entry, plan, terminal);

/** Replays both journals, and tells all. @returns the exit code */
function report(
  { write }: Terminal,
  entry: AdapterEntry,
  { input, receivedFile, journals, chunkBytes, quiet, seed }: DemoPlan,
  { connected, result, taken, virtualSeconds }: DemoRun,
  diagram: string,
): number {
  const say = quiet ? () => {} : write;
  const { seconds, counts: given } = result;
  const simulated =
    virtualSeconds === null
      ? ''
      : ` (on the simulated network ${durationText(virtualSeconds)}, ${rateText(input.size, virtualSeconds)})`;
  say(
    `connected     ${connected}\n` +
      `moved         in ${durationText(seconds)}, ${rateText(input.size, seconds)}${simulated}\n` +
      `  messages    ${counted(given.bytesSent, 'byte')} in ${counted(given.messagesSent, 'message')}\n` +
      `  RDMA reads  ${counted(taken.bytesRead, 'byte')} in ${counted(taken.reads, 'read')}\n` +
      `received      ${path.resolve(receivedFile)}\n\n`,
  );

  const hosts = (['client', 'server'] as const).map((name) => {
    const journal = journals[name];
    const contents = readJournalFile(journal);
    const { verdict, steps, machineSteps } = replayJournal(contents);
    const journalBytes = statSync(journal).size;
    return { name, contents, journal, journalBytes, records: contents.records.count, verdict, steps, machineSteps };
  });
  const table = new Table({
    head: ['steps', ...hosts.map(({ name }) => name)],
    colAligns: ['left', 'right', 'right'],
    ...tableStyle,
  });
  for (const machine of machineNames) table.push([machine, ...hosts.map((host) => host.machineSteps[machine])]);
  say(`${tableText(table)}\n`);
  for (const { name, journal, journalBytes, records } of hosts) {
    say(`journal       ${journal}, ${counted(journalBytes, 'byte')}, ${counted(records, 'record')} of the ${name}\n`);
  }
  withFile(`cannot write ${diagram}`, () =>
    writeFileSync(diagram, toSequenceDiagram(hosts[0]!.contents, { steps: DIAGRAM_STEPS })),
  );
  say(`diagram       ${diagram}\n\n`);

  // What counts is what the disk holds, on either side.
  const [sent, received] = [sha256(input.file), sha256(receivedFile)];
  const isEqual = sent === received && result.isEqual;
  const verdicts = hosts.map(({ verdict }) => verdict);
  const replayed = verdicts.every(({ type }) => type === 'equal');
  say(`sha256        ${received}\n`);
  for (const { name, verdict, steps } of hosts) {
    say(`replay        ${name}: ${counted(steps, 'event')}, ${verdictText(verdict)}\n`);
  }
  say(`\nsha256 ${isEqual ? 'equal' : `unequal: sent ${sent}`}\nreplay: ${replayed ? 'equal' : worst(verdicts)}\n`);
  if (quiet) {
    const told = {
      adapter: entry.name,
      file: input.file,
      size: input.size,
      ...(entry.reach === 'process' ? { seed } : {}),
      chunkBytes,
      received: path.resolve(receivedFile),
      sha256: received,
      isEqual,
      seconds,
      virtualSeconds,
      given,
      taken,
      hosts: hosts.map(({ contents: _, ...host }) => host),
      diagram,
    };
    write(`${JSON.stringify(told, null, 2)}\n`);
  }
  return isEqual && replayed ? Exit.ok : Exit.failed;
}

const worst = (verdicts: readonly Verdict[]): string => verdictText(verdicts.find(({ type }) => type !== 'equal')!);

function outputFolder(given: string | undefined): string {
  if (given === undefined) {
    const prefix = path.join(tmpdir(), 'wsdirect-demo-');
    return withFile(`cannot make a folder in ${tmpdir()}`, () => mkdtempSync(prefix));
  }
  const folder = path.resolve(given);
  makeFolder(folder, given);
  return folder;
}

/** @throws UserError for an address at which nobody can listen here: before anything is replaced */
async function refuseForeign(entry: NetworkAdapterEntry, address: string): Promise<void> {
  const problem = entry.probe(await resolve({ host: address, port: 0 }));
  if (typeof problem === 'string') throw new UserError(`cannot listen at ${address}: ${problem}`);
}

/** The demo's own files may not be the one that it sends, nor each other. */
function refuseToReplace(source: string, receivedFile: string, folder: string): void {
  const others = ['client.wsdj', 'server.wsdj', 'client.mmd'].map((name) => path.join(folder, name));
  for (const target of [receivedFile, ...others]) {
    if (realPath(target) === realPath(source)) throw new UserError(`${target} would replace the file that is sent`);
    if (target !== receivedFile && realPath(target) === realPath(receivedFile)) {
      throw new UserError(`the received file and ${target} can't be one file`);
    }
  }
}

/** Without links, where there is a file. */
const realPath = (file: string): string => (existsSync(file) ? realpathSync(file) : path.resolve(file));

function sha256(file: string): string {
  const input = new InputFile(file);
  try {
    const hash = createHash('sha256');
    const buffer = new Uint8Array(Math.min(input.size, 1_048_576));
    for (let left = input.size; left > 0; ) {
      const part = buffer.subarray(0, Math.min(left, buffer.length));
      input.read(part);
      hash.update(part);
      left -= part.length;
    }
    return hash.digest('hex');
  } finally {
    input.close();
  }
}
