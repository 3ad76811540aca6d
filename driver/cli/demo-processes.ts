/** The demo in two processes: this one gives the file to a `wsdirect serve` that it starts. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

import type { NetworkAdapterEntry } from '../adapter/registry.ts';
import { endpointText } from '../client/host.ts';
import { Exit, type Terminal, UserError } from './command.ts';
import type { DemoPlan, DemoRun } from './demo.ts';
import { putFile } from './put.ts';
import { withRemote } from './remote.ts';
import type { TransferResult } from './transfer-result.ts';

/** Moves the plan's file to another process on this computer. @throws {@link UserError} */
export async function moveBetweenProcesses(
  entry: NetworkAdapterEntry,
  plan: DemoPlan,
  terminal: Terminal,
): Promise<DemoRun> {
  const { input, receivedFile, chunkBytes, notify, quiet, journals } = plan;
  const home = plan.address ?? entry.home();
  if (home === null) throw new UserError(`the ${entry.name} adapter has no address here`);
  const server = new Server(entry.name, home, plan);
  try {
    const { address, port } = await server.next<{ address: string; port: number }>('listening');
    const options = { adapter: entry.name, journal: journals.client, crc: true, notify };
    const target = { host: address, port };
    let from = '';
    const result = await withRemote(terminal, 'client', target, options, (remote) => {
      from = endpointText(remote.address);
      return putFile(remote, input, path.basename(receivedFile), chunkBytes, quiet);
    });
    const { result: taken } = await server.next<{ result: TransferResult }>('done');
    return {
      connected: `process ${process.pid} to process ${server.pid}, which listens at ${from}`,
      result,
      taken: taken.counts,
      virtualSeconds: null,
    };
  } finally {
    await server.end();
  }
}

/** The other process. It serves one client, records its journal, and ends. */
class Server {
  readonly #child;
  readonly #lines;
  readonly #ended: Promise<unknown>;
  #said = '';

  constructor(adapter: string, home: string, { receivedFile, journals, notify }: DemoPlan) {
    const at = home.includes(':') ? `[${home}]:0` : `${home}:0`;
    const where = ['--listen', at, '--adapter', adapter, '--journal', journals.server];
    const args = ['serve', path.dirname(receivedFile), '--once', '--json', ...where, ...(notify ? ['--notify'] : [])];
    this.#child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.#ended = once(this.#child, 'close');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it says next. @throws {@link UserError} when that isn't of this type */
  async next<T>(type: string): Promise<T> {
    const { value, done } = await this.#lines.next();
    const said = done === true ? null : (JSON.parse(value) as { type: string; message?: string });
    if (said?.type === type) return said as T;
    if (said === null) await this.#ended;
    throw new UserError(`the serving process failed: ${said?.message ?? this.#said.trim()}`, Exit.failed);
  }

  /** Waits for its end, and asks for it where it has not come by itself. */
  async end(): Promise<void> {
    const patience = setTimeout(() => this.#child.kill('SIGTERM'), 3000);
    await this.#ended;
    clearTimeout(patience);
  }
}
