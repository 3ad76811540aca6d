/** `wsdirect serve`: lets others get and put the files of a folder. */

import net from 'node:net';

import { Command, Option } from 'commander';

import type { SocketAddress } from '../adapter/adapter.ts';
import { Endpoint, EndpointError } from '../client/endpoint.ts';
import { decodeRequest, encodeRefusal, type FileRequest, readyMessage, Refusal } from '../client/file-service.ts';
import { FileReceiver, FileSender } from '../client/file-transfer.ts';
import { endpointText, SpiError } from '../client/host.ts';
import { IdleError, type Runtime } from '../client/runtime.ts';
import type { Socket } from '../spi.ts';
import { byteCount, Exit, type Terminal, UserError, wholeNumber } from './command.ts';
import { CHUNK_BYTES } from './put.ts';
import { parseTarget, type RemoteOptions, resolve, startRuntime, type Target, withRemoteOptions } from './remote.ts';
import { refusalOf, ServedFolder } from './served-folder.ts';
import { type TransferResult, transferResult, transferText } from './transfer-result.ts';

interface Options extends RemoteOptions {
  readonly listen: Target;
  readonly readOnly?: boolean;
  readonly maxClients: number;
  readonly maxBytes: number;
  readonly idle: number;
  readonly once?: boolean;
}

/** What became of one client. */
type Outcome = { readonly client: string } & (
  | { readonly type: 'done'; readonly request: FileRequest; readonly result: TransferResult | null }
  | {
      readonly type: 'refused';
      readonly request: FileRequest | null;
      readonly reason: string;
      readonly message: string;
    }
  | { readonly type: 'lost'; readonly message: string }
);

/** Only this computer's own programs. */
const DEFAULT_LISTEN = '127.0.0.1:7471';

/** How long a client may take to end what is over. */
const LINGER_MS = 2000;

export function serveCommand(terminal: Terminal, finish: (exitCode: number) => void): Command {
  return withRemoteOptions(new Command('serve'))
    .description('Let others get and put the files of a folder, until Ctrl-C.')
    .argument('<folder>', 'whose files are served; those of its subfolders, too')
    .addOption(
      new Option('--listen <host:port>', 'where to listen; port 0 is any free one')
        .argParser(parseListen)
        .default(parseListen(DEFAULT_LISTEN), DEFAULT_LISTEN),
    )
    .option('--read-only', 'refuse every put')
    .option('--max-clients <number>', 'clients at once; more are refused', wholeNumber(1, 10_000), 64)
    .addOption(
      new Option('--max-bytes <bytes>', 'largest file that may be put, as 100M or 4G')
        .argParser(byteCount(0, Number.MAX_SAFE_INTEGER))
        .default(2 ** 40, '1024G'),
    )
    .option('--idle <seconds>', 'a client that does nothing for so long is sent away', wholeNumber(1, 86_400), 30)
    .option('--once', 'end after one client')
    .addHelpText(
      'after',
      '\nNobody is asked who they are: whoever reaches the port can read the folder, and write it unless --read-only. So' +
        '\nit listens to this computer alone unless told otherwise; --listen 0.0.0.0:7471 is for all.' +
        '\nSymbolic links below the folder are not followed. A file that is put replaces the old one when it is whole.' +
        '\nWith --json there is one line for each thing that happens.' +
        '\nExit codes: 0 after one client that got what it asked for (--once), 1 if it did not, 2 wrong usage, or the' +
        '\nfolder or address is unusable, 130 ended by Ctrl-C, 143 by SIGTERM.',
    )
    .action(async (folder: string, options: Options) => {
      finish(await new Server(terminal, folder, options).run());
    });
}

function parseListen(text: string): Target {
  // Nobody connects to port 0, but one can listen to it.
  const anyPort = text.replace(/:0$/, ':1');
  const target = parseTarget(anyPort);
  return anyPort === text ? target : { ...target, port: 0 };
}

class Server {
  readonly #terminal: Terminal;
  readonly #options: Options;
  readonly #folder: ServedFolder;
  readonly #clients = new Set<Promise<Outcome>>();
  readonly #end = new AbortController();
  /** Ctrl-C, or this server's own end. */
  readonly #signal: AbortSignal;

  constructor(terminal: Terminal, folder: string, options: Options) {
    this.#terminal = terminal;
    this.#options = options;
    this.#signal = AbortSignal.any([terminal.interrupted, this.#end.signal]);
    this.#folder = new ServedFolder(folder, { readOnly: options.readOnly === true, bytesMax: options.maxBytes });
  }

  async run(): Promise<number> {
    const { listen, once, maxClients, adapter } = this.#options;
    const { interrupted } = this.#terminal;
    const wanted = await resolve(listen);
    const { runtime, entry } = startRuntime('server', this.#options);
    try {
      const port = entry.probe(wanted);
      if (typeof port === 'string') throw new UserError(`cannot listen at ${endpointText(wanted)}: ${port}`);
      const local = { ...wanted, port };
      const listener = listenAt(runtime, local);
      const url = `wsd://${endpointText(local)}/`;
      const where = { type: 'listening', url, address: local.address, port, folder: this.#folder.root, adapter };
      this.#tell(where, `serving ${this.#folder.root} at ${url} over ${entry.name}`);
      try {
        for (;;) {
          const admits = (): boolean => this.#clients.size < maxClients;
          const { socket, remote } = await runtime.until(() => runtime.host.accept(listener, admits), {
            signal: this.#signal,
          });
          const client = this.#serve(runtime, socket, endpointText(remote));
          this.#clients.add(client);
          const gone = (): void => {
            this.#clients.delete(client);
            // There may be room for the next.
            runtime.nudge();
          };
          client.then(gone, gone);
          if (once !== true) {
            // What it throws is a defect of ours, or the journal's end: accepting ends with it.
            client.catch((error: unknown) => this.#end.abort(error));
            continue;
          }
          runtime.host.close(listener);
          const outcome = await client;
          interrupted.throwIfAborted();
          return outcome.type === 'done' && outcome.result?.isEqual !== false ? Exit.ok : Exit.failed;
        }
      } finally {
        // Each of them sees the same signal, and closes its socket.
        this.#end.abort(interrupted.reason);
        await Promise.allSettled(this.#clients);
        if (once !== true) runtime.host.close(listener);
      }
    } finally {
      await runtime.stop();
    }
  }

  /** Serves one client to its end. @throws what is our own defect */
  async #serve(runtime: Runtime, socket: Socket, client: string): Promise<Outcome> {
    let endpoint: Endpoint | null = null;
    let outcome: Outcome;
    try {
      endpoint = new Endpoint(runtime.host, socket, {
        role: 'accepting',
        notify: this.#options.notify === true,
      });
      outcome = await this.#answer(runtime, endpoint, client);
    } catch (error) {
      if (error === this.#signal.reason) {
        outcome = { type: 'lost', client, message: 'sent away, since this server ends' };
      } else if (error instanceof EndpointError || error instanceof SpiError || error instanceof IdleError) {
        outcome = { type: 'lost', client, message: error.message };
      } else {
        throw error;
      }
    } finally {
      if (endpoint === null) runtime.host.close(socket);
      else endpoint.close();
    }
    this.#tell(outcome, outcomeText(outcome));
    return outcome;
  }

  async #answer(runtime: Runtime, endpoint: Endpoint, client: string): Promise<Outcome> {
    const until = <T>(look: () => T | null, work: () => number, idleMs = this.#options.idle * 1000): Promise<T> =>
      runtime.until(look, { signal: this.#signal, work, idleMs });
    const step = (): number => endpoint.step();
    let request: FileRequest | null = null;
    try {
      const first = await until(() => endpoint.take(), step);
      if (first.type !== 'data') throw new Refusal('badRequest', 'this is no request');
      request = decodeRequest(first.payload);
      let result: TransferResult | null = null;
      switch (request.operation) {
        case 'get':
          result = await this.#give(endpoint, request, until);
          break;
        case 'put':
          result = await this.#take(endpoint, request, until);
          break;
        case 'ping':
          await this.#echo(endpoint, until);
          break;
      }
      // The client has what it wanted, and is the one to end the connection.
      await until(() => null, step, LINGER_MS).catch(isOver);
      return { type: 'done', client, request, result };
    } catch (error) {
      const refusal = error instanceof IdleError ? new Refusal('idle', error.message) : refusalOf(error);
      if (refusal === null) throw error;
      const { reason, message } = refusal;
      await until(() => (endpoint.canSend ? true : null), drain(endpoint), LINGER_MS);
      endpoint.send(encodeRefusal(refusal));
      await until(() => null, drain(endpoint), LINGER_MS).catch(isOver);
      return { type: 'refused', client, request, reason, message };
    }
  }

  async #give(endpoint: Endpoint, { path }: FileRequest, until: Until): Promise<TransferResult> {
    const source = this.#folder.open(path);
    const startMs = performance.now();
    try {
      endpoint.send(readyMessage());
      const sender = new FileSender(endpoint, source, CHUNK_BYTES);
      await until(
        () => (sender.isEqual === null ? null : true),
        () => sender.step(),
      );
      return transferResult(endpoint, sender, sender.sent, startMs);
    } finally {
      source.close();
    }
  }

  async #take(endpoint: Endpoint, { path, size }: FileRequest, until: Until): Promise<TransferResult> {
    const output = this.#folder.create(path, size);
    const startMs = performance.now();
    try {
      endpoint.send(readyMessage());
      const receiver = new FileReceiver(endpoint, {
        begin: (_name, announced) => {
          if (announced !== size) throw new Refusal('badRequest', `${announced} bytes are not the ${size} asked for`);
        },
        write: (bytes) => output.write(bytes),
        end: (isEqual) => output.end(isEqual),
      });
      await until(
        () => (receiver.isDone ? true : null),
        () => receiver.step(),
      );
      return transferResult(endpoint, receiver, receiver.received, startMs);
    } finally {
      output.discard();
    }
  }

  /** Sends back what comes, until the client ends the connection. */
  async #echo(endpoint: Endpoint, until: Until): Promise<void> {
    endpoint.send(readyMessage());
    await until(
      () => null,
      () => {
        let done = endpoint.step();
        while (endpoint.canSend) {
          const message = endpoint.take();
          if (message === null) break;
          if (message.type !== 'data') throw new Refusal('badRequest', 'this is no ping');
          endpoint.send(message.payload);
          done += endpoint.step() + 1;
        }
        return done;
      },
    ).catch(isOver);
  }

  #tell(event: object, text: string): void {
    this.#terminal.write(this.#options.json === true ? `${JSON.stringify(event)}\n` : `${text}\n`);
  }
}

type Until = <T>(look: () => T | null, work: () => number) => Promise<T>;

function listenAt(runtime: Runtime, local: SocketAddress): Socket {
  try {
    return runtime.host.listen(local, 256);
  } catch (error) {
    if (!(error instanceof SpiError)) throw error;
    const hint = net.isIP(local.address) === 0 ? '' : ': is it an address of this computer, and is the port free?';
    throw new UserError(`cannot listen at ${endpointText(local)}: ${error.message}${hint}`);
  }
}

/** Takes and forgets what the client still sends, so that it has room to hear. */
const drain = (endpoint: Endpoint) => (): number => {
  let done = endpoint.step();
  while (endpoint.take() !== null) done++;
  return done;
};

/** The client has gone, or had its time to go. */
function isOver(error: unknown): void {
  if (!(error instanceof EndpointError || error instanceof IdleError)) throw error;
}

function outcomeText(outcome: Outcome): string {
  const { client } = outcome;
  switch (outcome.type) {
    case 'done': {
      const { request, result } = outcome;
      if (result === null) return `${client}: ${request.operation} ended`;
      return `${client}: ${request.operation} ${request.path}: ${transferText(result)}${result.isEqual ? '' : ', UNEQUAL'}`;
    }
    case 'refused': {
      const { request, message } = outcome;
      return `${client}: refused${request === null ? '' : ` ${request.operation} ${request.path}`}: ${message}`;
    }
    case 'lost':
      return `${client}: ${outcome.message}`;
  }
}
