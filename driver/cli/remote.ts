/** What the commands that talk to another process share: addresses, adapter, journal, one connection, its errors. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { lookup } from 'node:dns/promises';
import net from 'node:net';

import { type Command, InvalidArgumentError } from 'commander';

import { WSA } from '../../machines/index.ts';
import type { SocketAddress } from '../adapter/adapter.ts';
import type { NetworkAdapterEntry } from '../adapter/registry.ts';
import { Endpoint, EndpointError } from '../client/endpoint.ts';
import { Refusal } from '../client/file-service.ts';
import { SpiError } from '../client/host.ts';
import { IdleError, Runtime, type WaitOptions } from '../client/runtime.ts';
import { openJournalFile } from '../journal/file.ts';
import { chosenNetworkAdapter, DEFAULT_ADAPTER } from './adapters.ts';
import { Exit, fileError, type Terminal, UserError } from './command.ts';

/** Longest time in which a peer does nothing that is waited for. */
export const IDLE_MS = 30_000;

/** Where a peer is, as its user says. */
export interface Target {
  /** A name or an IP address, this without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface RemoteOptions {
  readonly adapter: string;
  readonly journal?: string;
  readonly crc: boolean;
  readonly notify?: boolean;
  readonly json?: boolean;
}

/** Adds the options of {@link RemoteOptions}. */
export const withRemoteOptions = (command: Command): Command =>
  command
    .option('--adapter <name>', 'as listed by: wsdirect adapters', DEFAULT_ADAPTER)
    .option('--no-crc', 'do not ask for checksums (they are used when either end asks)')
    .option('--notify', 'have completions told by up-call instead of asking for them')
    .option('--journal <file>', "record every step in a new file, for 'wsdirect replay'")
    .option('--json', 'print the result as JSON');

/** The part of a command's help that says what {@link remoteError} does. */
export const remoteExitCodes =
  '\nExit codes: 0 success, 1 the peer refused, was lost or could not be reached, 2 wrong usage or unusable files,' +
  '\n130 ended by Ctrl-C, 143 by SIGTERM.';

/** Parser of an argument: `HOST:PORT`. @throws InvalidArgumentError */
export function parseTarget(text: string): Target {
  return targetOf(
    text,
    `wsd://${text}`,
    'It has to be HOST:PORT, as server:7471, 192.0.2.1:7471 or [2001:db8::1]:7471.',
  );
}

/** Parser of an argument: `wsd://HOST:PORT/PATH`. @throws InvalidArgumentError */
export function parseUrl(text: string): Target & { readonly path: string } {
  const form = 'It has to be wsd://HOST:PORT/PATH, as wsd://192.0.2.1:7471/file or wsd://[::1]:7471/folder/file.';
  if (!/^wsd:\/\//i.test(text)) throw new InvalidArgumentError(form);
  const target = targetOf(text, text, form);
  const { pathname, search, hash } = new URL(text);
  let path: string;
  try {
    path = decodeURIComponent(pathname).replace(/^\//, '');
  } catch {
    throw new InvalidArgumentError(`Its path has a % that is not followed by two hexadecimal digits of UTF-8.`);
  }
  if (search !== '' || hash !== '') throw new InvalidArgumentError('Write ? and # in a path as %3F and %23.');
  if (path === '') throw new InvalidArgumentError(`It names no file. ${form}`);
  return { ...target, path };
}

function targetOf(text: string, url: string, form: string): Target {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || parsed.hostname === '' || parsed.username !== '' || parsed.password !== '') {
    throw new InvalidArgumentError(form);
  }
  if (text.includes('%25') || /^[^/]*%/.test(url.slice('wsd://'.length))) {
    throw new InvalidArgumentError('Addresses with a zone, as fe80::1%eth0, are not supported.');
  }
  const port = Number(parsed.port);
  if (parsed.port === '' || port === 0) throw new InvalidArgumentError(form);
  return { host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'), port };
}

/** Finds the address of a name. @throws {@link UserError} */
export async function resolve({ host, port }: Target): Promise<SocketAddress> {
  try {
    const { address, family } = await lookup(host);
    return { family: family === 4 ? 'IPv4' : 'IPv6', address, port };
  } catch {
    throw new UserError(`no address is known for ${host}`, Exit.failed);
  }
}

/** The address of this computer from which `remote` is reached, and a port that is free. @throws {@link UserError} */
async function sourceOf(remote: SocketAddress): Promise<SocketAddress> {
  // A datagram socket that is connected has a route, and sends nothing.
  const socket = createSocket(remote.family === 'IPv4' ? 'udp4' : 'udp6');
  try {
    const connected = once(socket, 'connect');
    socket.connect(remote.port, remote.address);
    await connected;
    const { address, port } = socket.address();
    return { family: remote.family, address, port };
  } catch {
    throw new UserError(`no way leads from here to ${remote.address}`, Exit.failed);
  } finally {
    socket.close();
  }
}

/** A host over the chosen adapter. `failure` tells the last thing that an attempt to connect failed of. */
export function startRuntime(
  name: string,
  { adapter, crc, journal }: RemoteOptions,
): { readonly runtime: Runtime; readonly entry: NetworkAdapterEntry; failure(): string | null } {
  const entry = chosenNetworkAdapter(adapter);
  let failure: string | null = null;
  const made = entry.create({
    loopback: true,
    crc,
    onConnectFailed: (text) => {
      failure = text;
    },
  });
  const sink = journal === undefined ? null : openJournal(journal);
  const runtime = new Runtime({
    adapter: made,
    name,
    // Who listens, listens to this adapter: there is no other way to the peer.
    config: { loopback: true, pureSan: true },
    ...(sink === null ? {} : { journal: { mode: 'file', sink } }),
  });
  return { runtime, entry, failure: () => failure };
}

function openJournal(file: string) {
  try {
    return openJournalFile(file);
  } catch (error) {
    if (error instanceof Error && error.cause !== undefined) throw new UserError(error.message);
    throw fileError(`cannot write ${file}`, error);
  }
}

/** One connection of a command. */
export interface Remote {
  readonly endpoint: Endpoint;
  /** The peer's address. */
  readonly address: SocketAddress;
  /** As {@link Runtime.until}; ended by Ctrl-C, and by a peer that does nothing. */
  until<T>(look: () => T | null, work?: () => number, idleMs?: number): Promise<T>;
}

/**
 * Connects, uses the connection, and leaves nothing behind: whatever happens, the socket is closed, the provider cleaned
 * up and the journal ended.
 *
 * @throws {@link UserError} for everything that a user can put right
 */
export async function withRemote<T>(
  { interrupted }: Terminal,
  name: string,
  target: Target,
  options: RemoteOptions,
  use: (remote: Remote) => Promise<T>,
): Promise<T> {
  chosenNetworkAdapter(options.adapter);
  const address = await resolve(target);
  const source = await sourceOf(address);
  const { runtime, failure } = startRuntime(name, options);
  const until: Remote['until'] = (look, work, idleMs = IDLE_MS) => {
    const wait: WaitOptions = { signal: interrupted, idleMs, ...(work === undefined ? {} : { work }) };
    return runtime.until(look, wait);
  };
  try {
    const { host } = runtime;
    const socket = host.connect(source, address);
    try {
      await until(() => (host.isConnected(socket) ? true : null));
    } catch (error) {
      throw error instanceof SpiError ? connectError(error, target, failure()) : error;
    }
    const endpoint = new Endpoint(host, socket, { role: 'connecting', notify: options.notify === true });
    try {
      await until(
        () => (endpoint.canSend ? true : null),
        () => endpoint.step(),
      );
      return await use({ endpoint, address, until });
    } finally {
      endpoint.close();
    }
  } catch (error) {
    throw remoteError(error, target);
  } finally {
    await runtime.stop();
  }
}

const targetText = ({ host, port }: Target): string => (net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);

function connectError({ error, message }: SpiError, target: Target, failure: string | null): UserError {
  const where = targetText(target);
  switch (error) {
    case WSA.WSAECONNRESET:
      return new UserError(`connection refused: nobody listens at ${where}`, Exit.failed);
    case WSA.WSAECONNREFUSED:
      return new UserError(`connection refused: ${where} takes no more clients now`, Exit.failed);
    case WSA.WSAETIMEDOUT:
      return new UserError(`cannot connect to ${where}: ${failure ?? 'no answer'}`, Exit.failed);
    default:
      return new UserError(`cannot connect to ${where}: ${message}`, Exit.failed);
  }
}

/** What the user of a command is told. Anything else is thrown again as it is. */
export function remoteError(error: unknown, target: Target): unknown {
  const where = targetText(target);
  if (error instanceof Refusal) return new UserError(`${where} refuses: ${error.message}`, Exit.failed);
  if (error instanceof IdleError) return new UserError(`${where} does not answer: ${error.message}`, Exit.failed);
  if (error instanceof EndpointError || error instanceof SpiError) {
    return new UserError(`${where}: ${error.message}`, Exit.failed);
  }
  return error;
}
