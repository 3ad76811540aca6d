/** Measures in the guest: `guest.ts ROUNDS`. Prints a line of JSON for each device: medians, in microseconds a round trip. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** One way to do the same thing. */
interface Contender {
  readonly name: string;
  /** Waits until the server is ready when it says so. */
  readonly server: readonly string[] | null;
  readonly client: readonly string[];
  /** Microseconds a round trip, from what the client has printed. */
  readonly read: (output: string) => number;
}

const echoC = fileURLToPath(new URL('../../../native/build/echo', import.meta.url));
const echoTs = [process.execPath, fileURLToPath(new URL('echo.ts', import.meta.url))];
const rounds = Number(process.argv[2] ?? 5);
let port = 9000;

const number = (output: string): number => Number(output.trim().split('\n').at(-1));
/** `64  ...  usec/xfer` of rstream is one way. */
const rstreamRead = (output: string): number =>
  2 * Number(output.trim().split('\n').at(-1)!.trim().split(/\s+/).at(-1));

async function run(command: readonly string[]): Promise<string> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`exit code ${code}: ${command.join(' ')}\n${output}`);
  return output;
}

async function measure({ server, client, read }: Contender): Promise<number> {
  if (server === null) return read(await run(client));
  const child = spawn(server[0]!, server.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  await (server[0] === 'rstream' ? new Promise((resolve) => setTimeout(resolve, 700)) : once(child.stdout, 'data'));
  const found = read(await run(client));
  await ended;
  return found;
}

/** A server and a client of the same program. */
function pair(name: string, program: readonly string[], modes: readonly [string, string], args: readonly string[]) {
  return {
    name,
    server: [...program, modes[0], ...args],
    client: [...program, modes[1], ...args],
    read: number,
  };
}

function contenders(address: string, what: 'round trip' | 'polled' | 'window of 16'): readonly Contender[] {
  const at = (count: number, window: number) => {
    port += 2;
    return [address, String(port), '64', String(count), String(window)];
  };
  if (what === 'polled') {
    return [
      { name: 'wsdirect', server: null, client: [...echoTs, 'self', ...at(5000, 1)], read: number },
      { name: 'echo.c', server: null, client: [echoC, 'self', ...at(5000, 1)], read: number },
    ];
  }
  const [count, window] = what === 'round trip' ? [2000, 1] : [8000, 16];
  const both = [
    pair('wsdirect', echoTs, ['server', 'client'], at(count, window)),
    pair('echo.c', [echoC], ['server', 'client'], at(count, window)),
  ];
  if (what === 'window of 16') return both;
  const rstream = ['rstream', '-T', 'b', '-S', '64', '-C', String(count), '-p', String(port + 1)];
  port += 2;
  return [
    ...both,
    {
      name: 'rstream -T b',
      server: [...rstream, '-b', address],
      client: [...rstream, '-s', address],
      read: rstreamRead,
    },
    pair('node:net', echoTs, ['net-server', 'net-client'], at(count, window)),
  ];
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

for (const [device, address] of [
  ['rxe', '10.77.0.1'],
  ['siw', '10.78.0.1'],
] as const) {
  for (const what of ['round trip', 'polled', 'window of 16'] as const) {
    const found = new Map<string, number[]>();
    // One after the other, again and again, so that what else the machine does meets all alike.
    for (let round = 0; round < rounds; round++) {
      for (const contender of contenders(address, what)) {
        const values = found.get(contender.name) ?? [];
        values.push(await measure(contender));
        found.set(contender.name, values);
      }
    }
    const medians = Object.fromEntries([...found].map(([name, values]) => [name, median(values)]));
    console.log(JSON.stringify({ device, what, medians }));
  }
}
