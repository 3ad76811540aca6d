/**
 * Measures in the guest: `guest.ts ROUNDS DEVICE MEASURE...`. Prints a line of JSON for each measure: what each contender takes, the
 * median of all rounds. A round is all contenders, one after the other, so that what else the machine does meets all alike.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Measured, Measure } from './measures.ts';

/** One way to do the same thing. @returns what it took, in the unit of the measure, or its parts by name */
type Contender = () => Promise<number | Readonly<Record<string, number>>>;

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const echoC = here('../../../native/build/echo');
const [echoTs, transferTs, floorTs] = ['echo.ts', 'transfer.ts', 'floor.ts'].map((file) => [
  process.execPath,
  here(file),
]) as [string[], string[], string[]];
const addresses = { rxe: '10.77.0.1', siw: '10.78.0.1' } as const;
const [device, ...measures] = process.argv.slice(3) as [keyof typeof addresses, ...Measure[]];
const rounds = Number(process.argv[2] ?? 5);
/** Bound of one program's run, which takes some seconds. */
const RUN_MS = 40_000;
let lastPort = 9000;
const nextPort = (): string => {
  // A provider's client binds the one after it.
  lastPort += 2;
  return `${lastPort}`;
};
const lastLine = (output: string): string => output.trim().split('\n').at(-1)!;
const number = (output: string): number => Number(lastLine(output));

/** A program that serves one client. */
interface Server {
  readonly command: readonly string[];
  /** It prints something when it is ready; otherwise the client tries again. */
  readonly tells: boolean;
}

async function run(command: readonly string[]): Promise<string | null> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], timeout: RUN_MS });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code] = await once(child, 'close');
  if (code === 0) return output;
  console.error(`exit code ${code}: ${command.join(' ')}\n${errors}`);
  return null;
}

/** Runs a server, and a client until it succeeds. @returns what the client printed, and the milliseconds that it took */
async function withServer({ command, tells }: Server, client: readonly string[]): Promise<[string, number]> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], timeout: RUN_MS });
  const ended = once(child, 'close');
  await (tells ? once(child.stdout, 'data') : new Promise((resolve) => setTimeout(resolve, 700)));
  child.stdout.resume();
  for (let attempt = 0; attempt < (tells ? 1 : 3); attempt++) {
    const began = performance.now();
    const output = await run(client);
    const ms = performance.now() - began;
    if (output !== null) {
      await ended;
      return [output, ms];
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  child.kill('SIGKILL');
  throw new Error(`no client succeeded: ${client.join(' ')}`);
}

/** Server and client of one program, told by their first argument. */
function both(program: readonly string[], modes: readonly [string, string], args: () => readonly string[]): Contender {
  return async () => {
    const given = args();
    const command = [...program, modes[0], ...given];
    const [output] = await withServer({ command, tells: true }, [...program, modes[1], ...given]);
    return number(output);
  };
}

/**
 * rstream prints microseconds a transfer, one way, at the end of its line.
 *
 * @param exchanges - times that each end sends
 * @param inOne - transfers that it sends then
 */
function rstream(address: string, size: number, exchanges: number, inOne: number): () => Promise<number> {
  return async () => {
    const amounts = ['-S', `${size}`, '-I', `${exchanges}`, '-C', `${inOne}`];
    const command = ['rstream', '-T', 'b', ...amounts, '-p', nextPort()];
    const client = [...command, '-s', address];
    const [output] = await withServer({ command: [...command, '-b', address], tells: false }, client);
    return Number(lastLine(output).trim().split(/\s+/).at(-1));
  };
}

/**
 * One of perftest's, by the time that it takes for more transfers than another time: what it says itself depends on a
 * calibration that fails in the guest.
 */
function perftest(program: string, address: string, size: number, count: number): Contender {
  const timed = async (howMany: number): Promise<number> => {
    const command = [program, '-R', '-F', '-s', `${size}`, '-n', `${howMany}`, '-p', nextPort()];
    const [, ms] = await withServer({ command, tells: false }, [...command, address]);
    return ms;
  };
  return async () => {
    const fewer = Math.ceil(count / 8);
    const short = await timed(fewer);
    const long = await timed(fewer + count);
    return ((long - short) * 1000) / count;
  };
}

/** System calls of both ends for 1,000 messages, by name: what more messages take. */
function systemCalls(program: readonly string[], address: string, window: number): Contender {
  const counted = async (count: number): Promise<Map<string, number>> => {
    const folder = mkdtempSync(path.join(tmpdir(), 'calls-'));
    const traced = (mode: string, args: readonly string[]): string[] => [
      ...['strace', '-f', '-c', '-o', path.join(folder, mode)],
      ...[...program, mode, ...args],
    ];
    const args = [address, nextPort(), '64', `${count}`, `${window}`];
    await withServer({ command: traced('server', args), tells: true }, traced('client', args));
    const calls = new Map<string, number>();
    for (const mode of ['server', 'client']) {
      // Share, seconds, microseconds each, calls, perhaps errors, name.
      for (const line of readFileSync(path.join(folder, mode), 'utf8').split('\n')) {
        const words = line.trim().split(/\s+/);
        const [name, number] = [words.at(-1)!, Number(words[3])];
        if (words.length >= 5 && name !== 'total' && number > 0) calls.set(name, (calls.get(name) ?? 0) + number);
      }
    }
    return calls;
  };
  return async () => {
    // The compiler's threads have calls of their own until the code is compiled.
    const few = await counted(4000);
    const many = await counted(6000);
    // Each is sent and echoed.
    return Object.fromEntries([...many].map(([name, calls]) => [name, (calls - (few.get(name) ?? 0)) / 4]));
  };
}

function contenders(address: string, measure: Measure): Readonly<Record<string, Contender>> {
  const at =
    (count: number, window: number, ...more: readonly string[]) =>
    () => [...[address, nextPort(), '64', `${count}`, `${window}`], ...more];
  const ends = ['server', 'client'] as const;
  const alone = (program: readonly string[], mode: string, args: () => readonly string[]): Contender => {
    return async () => {
      const output = await run([...program, mode, ...args()]);
      if (output === null) throw new Error(`${mode} failed`);
      return number(output);
    };
  };
  const transfer = (kind: string, size: number, count: number): Contender =>
    both(transferTs, ends, () => [address, nextPort(), `${size}`, `${count}`, kind]);
  const [KIB64, MIB] = [65_536, 1_048_576];
  // Long enough that starting a program makes no difference; siw is several times as fast.
  const [some, few] = device === 'siw' ? [6000, 1000] : [1500, 200];
  switch (measure) {
    case 'round trip':
      return {
        // The compiler needs some 20,000 messages to be done with the code of one.
        wsdirect: both(echoTs, ends, at(60_000, 1)),
        'wsdirect, never lingering': both(echoTs, ends, at(20_000, 1, '0')),
        'echo.c': both([echoC], ends, at(60_000, 1)),
        'echo.c, lingering': both([echoC], ends, at(60_000, 1, '8')),
        'rstream -T b': async () => 2 * (await rstream(address, 64, 20_000, 1)()),
        'node:net': both(echoTs, ['net-server', 'net-client'], at(40_000, 1)),
        'Node.js over a named pipe': () =>
          both(floorTs, ends, () => [mkdtempSync(path.join(tmpdir(), 'floor-')), '20000'])(),
      };
    case 'polled':
      return { wsdirect: alone(echoTs, 'self', at(60_000, 1)), 'echo.c': alone([echoC], 'self', at(60_000, 1)) };
    case 'window of 16':
      return { wsdirect: both(echoTs, ends, at(60_000, 16)), 'echo.c': both([echoC], ends, at(60_000, 16)) };
    case 'write 64 KiB':
      return { wsdirect: transfer('write', KIB64, some), ib_write_bw: perftest('ib_write_bw', address, KIB64, some) };
    case 'write 1 MiB':
      return { wsdirect: transfer('write', MIB, few), ib_write_bw: perftest('ib_write_bw', address, MIB, few) };
    case 'read 64 KiB':
      return { wsdirect: transfer('read', KIB64, some), ib_read_bw: perftest('ib_read_bw', address, KIB64, some) };
    case 'read 1 MiB':
      return { wsdirect: transfer('read', MIB, few), ib_read_bw: perftest('ib_read_bw', address, MIB, few) };
    case 'messages 64 KiB':
      return { wsdirect: transfer('messages', KIB64, 2000), rstream: rstream(address, KIB64, 1, 2000) };
    case 'system calls':
      return { wsdirect: systemCalls(echoTs, address, 16), 'echo.c': systemCalls([echoC], address, 16) };
    case 'system calls, one by one':
      return { wsdirect: systemCalls(echoTs, address, 1), 'echo.c': systemCalls([echoC], address, 1) };
    case 'a system call':
      return { wsdirect: alone(floorTs, 'call', () => []), 'echo.c': alone([echoC], 'call', () => []) };
    case 'idle':
      return { wsdirect: alone(echoTs, 'idle', at(0, 1)) };
    case 'idle wakes':
      return { wsdirect: alone(echoTs, 'idle-wakes', at(0, 1)) };
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** The guest's siw loses a connection now and then: that is told, and tried again. */
async function patiently(contender: Contender): ReturnType<Contender> {
  for (let failures = 0; ; failures++) {
    try {
      return await contender();
    } catch (error) {
      if (failures === 3) throw error;
      console.error(String(error));
    }
  }
}

for (const measure of measures) {
  const found = new Map<string, number[]>();
  const partsFound = new Map<string, Readonly<Record<string, number>>[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, contender] of Object.entries(contenders(addresses[device], measure))) {
      const took = await patiently(contender);
      const isWhole = typeof took === 'number';
      if (!isWhole) partsFound.set(name, [...(partsFound.get(name) ?? []), took]);
      const whole = isWhole ? took : Object.values(took).reduce((sum, part) => sum + part, 0);
      found.set(name, [...(found.get(name) ?? []), whole]);
    }
  }
  const took = Object.fromEntries([...found].map(([name, values]) => [name, median(values)]));
  const parts = Object.fromEntries(
    [...partsFound].map(([name, all]) => {
      const names = new Set(all.flatMap((each) => Object.keys(each)));
      return [name, Object.fromEntries([...names].map((part) => [part, median(all.map((each) => each[part] ?? 0))]))];
    }),
  );
  console.log(JSON.stringify({ device, measure, took, parts } satisfies Measured));
}
