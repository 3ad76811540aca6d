/** `wsdirect demo`: two hosts on the simulated adapter move a file, and their journals are replayed. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { Command } from 'commander';

import { machineNames } from '../../machines/index.ts';
import { SimulatedNetwork } from '../adapter/simulated.ts';
import { Endpoint, EndpointError } from '../client/endpoint.ts';
import { CHUNK_BYTES_MAX, FileReceiver, FileSender } from '../client/file-transfer.ts';
import { Host, SpiError } from '../client/host.ts';
import { toSequenceDiagram } from '../diagram.ts';
import { openJournalFile, readJournalFile } from '../journal/file.ts';
import { replayJournal, type Verdict, verdictText } from '../replay.ts';
import type { Socket } from '../spi.ts';
import {
  byteCount,
  counted,
  durationText,
  Exit,
  packageFolder,
  rateText,
  tableStyle,
  tableText,
  type Terminal,
  UserError,
  wholeNumber,
  withFile,
} from './command.ts';
import { InputFile, OutputFile } from './files.ts';

interface Options {
  readonly seed: number;
  readonly chunk?: number;
  readonly out?: string;
  readonly receiveFile?: string;
  readonly notify?: boolean;
  readonly json?: boolean;
}

/** What the demo moves when it is given nothing else: the specification, which the package ships. */
const SHIPPED_FILE = 'docs/spec/wsd.md';
const CLIENT = { address: '10.0.0.1', port: 49_000 };
const SERVER = { address: '10.0.0.2', port: 7000 };
/** Of the simulated link: 100 Gbit/s. */
const BANDWIDTH = 12.5e9;
/** How long we may keep the process from hearing Ctrl-C. */
const TURN_MS = 20;
const DIAGRAM_STEPS = 120;

export function demoCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  return new Command('demo')
    .description('Move a file between two hosts on the simulated adapter, then replay what they did.')
    .argument('[file]', 'file to move; by default the specification that comes with the package')
    .option('--seed <number>', 'seed of the simulation', wholeNumber(0, Number.MAX_SAFE_INTEGER), 1)
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
        '\n130 ended by Ctrl-C.',
    )
    .action(async (file: string | undefined, options: Options) => {
      finish(await demo(terminal, file ?? path.join(packageFolder(), SHIPPED_FILE), options));
    });
}

async function demo(terminal: Terminal, file: string, options: Options): Promise<number> {
  const input = new InputFile(file);
  try {
    const folder = outputFolder(options.out);
    const receivedFile = options.receiveFile ?? path.join(folder, `received-${path.basename(file)}`);
    refuseToReplace(file, receivedFile, folder);
    const output = new OutputFile(receivedFile);
    try {
      return await run(terminal, input, output, folder, options);
    } catch (error) {
      if (error instanceof EndpointError || error instanceof SpiError) throw new UserError(error.message, Exit.failed);
      throw error;
    } finally {
      output.discard();
    }
  } finally {
    input.close();
  }
}

async function run(
  { write, interrupted }: Terminal,
  input: InputFile,
  output: OutputFile,
  folder: string,
  { seed, chunk, notify, json }: Options,
): Promise<number> {
  const say = json === true ? () => {} : write;
  const chunkBytes = chunk ?? Math.min(Math.max(Math.ceil(input.size / 8 / 4096) * 4096, 16_384), 1_048_576);
  say(`wsdirect demo: ${input.name}, ${counted(input.size, 'byte')}, over the simulated adapter (seed ${seed})\n\n`);

  const simulation = new Simulation(seed, folder, interrupted);
  const { client, server, network } = simulation;
  try {
    const listener = server.listen({ family: 'IPv4', ...SERVER });
    const connecting = client.connect({ family: 'IPv4', ...CLIENT }, { family: 'IPv4', ...SERVER });
    let accepted: Socket | null = null;
    await simulation.until(
      () => {
        accepted ??= server.accept(listener)?.socket ?? null;
        return client.isConnected(connecting) && accepted !== null;
      },
      () => client.poll() + server.poll(),
    );
    say(`connected     ${CLIENT.address}:${CLIENT.port} to ${SERVER.address}:${SERVER.port}\n`);

    const near = new Endpoint(client, connecting, { role: 'connecting', notify: notify === true });
    const far = new Endpoint(server, accepted!, { role: 'accepting', notify: notify === true });
    const sender = new FileSender(near, input, chunkBytes);
    const receiver = new FileReceiver(far, output);
    const bar = progressBar(input.size, json === true);
    const startMs = performance.now();
    const startNs = network.nowNs;
    try {
      await simulation.until(
        () => sender.isEqual !== null && receiver.isDone,
        () => sender.step() + receiver.step(),
        () =>
          bar?.update(receiver.received, { rate: rateText(receiver.received, (performance.now() - startMs) / 1e3) }),
      );
      bar?.update(input.size);
    } finally {
      bar?.stop();
    }
    const seconds = (performance.now() - startMs) / 1e3;
    const virtualSeconds = (network.nowNs - startNs) / 1e9;
    near.close();
    far.close();
    server.close(listener);
    await simulation.end();

    const moved = { byMessage: near.counts.bytesSent, byRdmaRead: far.counts.bytesRead };
    say(
      `moved         in ${durationText(seconds)}, ${rateText(input.size, seconds)}` +
        ` (on the simulated network ${durationText(virtualSeconds)}, ${rateText(input.size, virtualSeconds)})\n` +
        `  messages    ${counted(moved.byMessage, 'byte')} in ${counted(near.counts.messagesSent, 'message')}\n` +
        `  RDMA reads  ${counted(moved.byRdmaRead, 'byte')} in ${counted(far.counts.reads, 'read')}\n` +
        `received      ${output.file}\n\n`,
    );

    const hosts = (['client', 'server'] as const).map((name) => {
      const journal = simulation.journalFile(name);
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
    const diagram = path.join(folder, 'client.mmd');
    withFile(`cannot write ${diagram}`, () =>
      writeFileSync(diagram, toSequenceDiagram(hosts[0]!.contents, { steps: DIAGRAM_STEPS })),
    );
    say(`diagram       ${diagram}\n\n`);

    // What counts is what the disk holds, on either side.
    const [sent, received] = [sha256(input.file), sha256(output.file)];
    const isEqual = sent === received && sender.isEqual === true;
    const verdicts = hosts.map(({ verdict }) => verdict);
    const replayed = verdicts.every(({ type }) => type === 'equal');
    say(`sha256        ${received}\n`);
    for (const { name, verdict, steps } of hosts)
      say(`replay        ${name}: ${counted(steps, 'event')}, ${verdictText(verdict)}\n`);
    say(`\nsha256 ${isEqual ? 'equal' : `unequal: sent ${sent}`}\nreplay: ${replayed ? 'equal' : worst(verdicts)}\n`);
    if (json === true) {
      const result = {
        file: input.file,
        size: input.size,
        seed,
        chunkBytes,
        received: output.file,
        sha256: received,
        isEqual,
        seconds,
        virtualSeconds,
        moved: { ...moved, messages: near.counts.messagesSent, reads: far.counts.reads },
        hosts: hosts.map(({ contents: _, ...host }) => host),
        diagram,
      };
      write(`${JSON.stringify(result, null, 2)}\n`);
    }
    return isEqual && replayed ? Exit.ok : Exit.failed;
  } finally {
    simulation.closeJournals();
  }
}

const worst = (verdicts: readonly Verdict[]): string => verdictText(verdicts.find(({ type }) => type !== 'equal')!);

/** Two started hosts, each with a journal in a file. */
class Simulation {
  readonly network: SimulatedNetwork;
  readonly client: Host;
  readonly server: Host;
  readonly #folder: string;
  readonly #interrupted: AbortSignal;
  #closed = false;

  constructor(seed: number, folder: string, interrupted: AbortSignal) {
    this.#folder = folder;
    this.#interrupted = interrupted;
    this.network = new SimulatedNetwork({ seed, bandwidth: BANDWIDTH });
    this.client = this.#host('client', CLIENT.address, seed);
    this.server = this.#host('server', SERVER.address, seed);
  }

  journalFile(host: string): string {
    return path.join(this.#folder, `${host}.wsdj`);
  }

  #host(name: string, address: string, seed: number): Host {
    const adapter = this.network.host({ addresses: [address] });
    const file = this.journalFile(name);
    const sink = withFile(`cannot write ${file}`, () => openJournalFile(file, { overwrite: true }));
    let drawn = 0;
    const host = new Host({
      adapter,
      clock: adapter.clock,
      host: name,
      seed,
      journal: { mode: 'file', sink },
      // Numbers that anybody can guess, so that a run can be repeated; nothing leaves this process.
      random: (bytes) => {
        const digest = createHash('sha256').update(`${seed} ${name} ${drawn++}`).digest();
        bytes.set(digest.subarray(0, bytes.length));
      },
    });
    host.start();
    return host;
  }

  /** Turns until `condition`. `now and then` is called as often as Ctrl-C is looked for. */
  async until(condition: () => boolean, turn: () => number, nowAndThen: () => void = () => {}): Promise<void> {
    let idle = false;
    let pauseMs = performance.now() + TURN_MS;
    while (!condition()) {
      if (turn() > 0) idle = false;
      // Polling moves time as well, so what it brought may wait at a host that was polled before.
      else if (!this.network.advance()) {
        if (idle) throw new Error('the hosts wait for each other, and nothing more happens');
        idle = true;
      }
      if (performance.now() < pauseMs) continue;
      nowAndThen();
      await nextTurn();
      this.#interrupted.throwIfAborted();
      pauseMs = performance.now() + TURN_MS;
    }
  }

  /** Lets the closed sockets finish, and stops both hosts. */
  async end(): Promise<void> {
    const hosts = [this.client, this.server];
    await this.until(
      () => hosts.every(({ provider }) => provider.inventory().sockets === 0),
      () => this.client.poll() + this.server.poll(),
    );
    for (const host of hosts) host.stop();
    this.closeJournals();
  }

  /** Ends both journals, wherever the hosts are. */
  closeJournals(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { provider } of [this.client, this.server]) provider.closeJournal();
  }
}

function outputFolder(given: string | undefined): string {
  if (given === undefined) {
    const prefix = path.join(tmpdir(), 'wsdirect-demo-');
    return withFile(`cannot make a folder in ${tmpdir()}`, () => mkdtempSync(prefix));
  }
  const folder = path.resolve(given);
  withFile(`cannot make folder ${given}`, () => mkdirSync(folder, { recursive: true }));
  return folder;
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

/** A bar on a terminal; null elsewhere. */
function progressBar(size: number, quiet: boolean): SingleBar | null {
  if (quiet || !process.stderr.isTTY || size === 0) return null;
  const bar = new SingleBar({
    format: 'moving        [{bar}] {percentage}% {rate}',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(size, 0, { rate: '' });
  return bar;
}
