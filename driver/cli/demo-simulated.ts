/** The demo in one process: both hosts on a simulated network, the same each time for a seed. */

import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { ProcessAdapterEntry } from '../adapter/registry.ts';
import type { SimulatedNetwork } from '../adapter/simulated.ts';
import { Endpoint } from '../client/endpoint.ts';
import { FileReceiver, FileSender } from '../client/file-transfer.ts';
import { Host } from '../client/host.ts';
import { openJournalFile } from '../journal/file.ts';
import type { Socket } from '../spi.ts';
import { withFile } from './command.ts';
import type { DemoPlan, DemoRun } from './demo.ts';
import { OutputFile } from './files.ts';
import { Progress } from './progress.ts';
import { transferResult } from './transfer-result.ts';

const CLIENT = { address: '10.0.0.1', port: 49_000 };
const SERVER = { address: '10.0.0.2', port: 7000 };
/** Of the simulated link: 100 Gbit/s. */
const BANDWIDTH = 12.5e9;
/** How long we may keep the process from hearing Ctrl-C. */
const TURN_MS = 20;

/** Moves the plan's file. @throws what an endpoint throws; the signal's reason */
export async function moveOnSimulatedNetwork(entry: ProcessAdapterEntry, plan: DemoPlan): Promise<DemoRun> {
  const { input, receivedFile, chunkBytes, notify, quiet } = plan;
  const output = new OutputFile(receivedFile);
  const simulation = new Simulation(entry, plan);
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
    const near = new Endpoint(client, connecting, { role: 'connecting', notify });
    const far = new Endpoint(server, accepted!, { role: 'accepting', notify });
    const sender = new FileSender(near, input, chunkBytes);
    const receiver = new FileReceiver(far, output);
    const progress = new Progress('moving', input.size, quiet);
    const startMs = performance.now();
    const startNs = network.nowNs;
    try {
      await simulation.until(
        () => sender.isEqual !== null && receiver.isDone,
        () => sender.step() + receiver.step(),
        () => progress.update(receiver.received),
      );
    } finally {
      progress.stop();
    }
    const virtualSeconds = (network.nowNs - startNs) / 1e9;
    const result = transferResult(near, sender, input.size, startMs);
    near.close();
    far.close();
    server.close(listener);
    await simulation.end();
    return {
      connected: `${CLIENT.address}:${CLIENT.port} to ${SERVER.address}:${SERVER.port}, in one process`,
      result,
      taken: far.counts,
      virtualSeconds,
    };
  } finally {
    output.discard();
    simulation.closeJournals();
  }
}

/** Two started hosts, each with a journal in a file. */
class Simulation {
  readonly network: SimulatedNetwork;
  readonly client: Host;
  readonly server: Host;
  readonly #plan: DemoPlan;
  #closed = false;

  constructor(entry: ProcessAdapterEntry, plan: DemoPlan) {
    this.#plan = plan;
    this.network = entry.createNetwork({ seed: plan.seed, bandwidth: BANDWIDTH });
    this.client = this.#host('client', CLIENT.address);
    this.server = this.#host('server', SERVER.address);
  }

  #host(name: 'client' | 'server', address: string): Host {
    const { seed } = this.#plan;
    const adapter = this.network.host({ addresses: [address] });
    const file = this.#plan.journals[name];
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

  /** Turns until `condition`. `nowAndThen` is called as often as Ctrl-C is looked for. */
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
      this.#plan.interrupted.throwIfAborted();
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
