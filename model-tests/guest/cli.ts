/** wsdirect's own commands over RDMA devices. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { platformPackage } from '../../driver/adapter/verbs/library.ts';
import { checkPair, checkTrace } from '../../driver/check/trace.ts';
import { readJournal } from '../../driver/journal/reader.ts';
import type { GuestCase } from './guest.ts';
import { note } from './note.ts';
import { type Program, type ProgramOptions, run, start } from './programs.ts';

const main = fileURLToPath(new URL('../../driver/cli/main.ts', import.meta.url));

const wsdirect = (args: readonly string[], options?: ProgramOptions): Promise<string> =>
  run([process.execPath, main, ...args], options);

const MIB = 2 ** 20;
const sizes = [0, 1, 64 * MIB] as const;

function folderWithFile(size: number): { readonly folder: string; readonly file: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-'));
  const file = path.join(folder, `file-${size}`);
  const bytes = Buffer.alloc(size);
  // No two pages are alike.
  for (let at = 0; at + 8 <= size; at += 4096) bytes.writeDoubleLE(Math.random(), at);
  writeFileSync(file, bytes);
  return { folder, file };
}

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Both journals replay equal and keep every statement, one by one and together; as `wsdirect check --journal` has it. */
function journalsHold(...files: readonly [string, string]): void {
  const [near, far] = files.map((file) => checkTrace(readJournal(readFileSync(file))));
  for (const { verdict, broken } of [near!, far!])
    assert.deepEqual({ verdict, broken }, { verdict: { type: 'equal' }, broken: [] });
  const { connections, broken, judgements } = checkPair(near!, far!);
  assert.deepEqual({ connections, broken }, { connections: 1, broken: [] });
  assert.equal(judgements.find(({ statement }) => statement === 'S-12')?.outcome, 'holds');
}

export const demoCases = (device: string, address: string): readonly GuestCase[] => [
  ...sizes.map(
    (size): GuestCase => ({
      name: `${device}: demo, ${size} bytes`,
      timeoutMs: 180_000,
      async run() {
        const { folder, file } = folderWithFile(size);
        const out = path.join(folder, 'out');
        const text = await wsdirect(['demo', file, '--adapter', 'verbs', '--address', address, '--out', out]);
        assert.match(text, /^sha256 equal\nreplay: equal$/m);
        assert.equal(sha256(path.join(out, `received-file-${size}`)), sha256(file));
        const [client, server] = ['client', 'server'].map((name) => path.join(out, `${name}.wsdj`)) as [string, string];
        journalsHold(client, server);
        if (size === 0)
          assert.match(await wsdirect(['check', '--journal', client, server]), /^check: the journals hold$/m);
        note(`${device}: demo, ${size} bytes: ${/^moved +(.*)$/m.exec(text)![1]}; sha256 equal, replay: equal`);
      },
    }),
  ),
];

export const adaptersCase: GuestCase = {
  name: 'adapters names both devices, their addresses and limits',
  async run() {
    const adapters = JSON.parse(await wsdirect(['adapters', '--json'])) as {
      readonly name: string;
      readonly usable: boolean;
      readonly parts: readonly string[];
    }[];
    const verbs = adapters.find(({ name }) => name === 'verbs')!;
    assert.ok(verbs.usable);
    assert.match(verbs.parts.join('\n'), /^rxe0, port 1: RoCE, active, .* at 10\.77\.0\.1 .*\(4 a read\)/m);
    assert.match(verbs.parts.join('\n'), /^siw0, port 1: iWARP, active, .* at 10\.78\.0\.1 .*\(1 a read\)/m);
  },
};

/** Where something is missing; what is hidden or put there is the guest's alone. */
export const missingCases: readonly GuestCase[] = [
  {
    name: 'without librdmacm and libibverbs the other adapters work, and one line says what to install',
    async run() {
      const hidden = (await run(['ldconfig', '-p'])).matchAll(/=> (\S*lib(?:rdmacm|ibverbs)\.so\S*)$/gm);
      const mounts = [...hidden].map(([, file]) => `mount --bind /dev/null ${file}`);
      assert.ok(mounts.length > 0);
      const hiding = (...args: readonly string[]): Promise<string> =>
        run([
          'unshare',
          '--mount',
          'sh',
          '-ec',
          [...mounts, 'exec "$@"'].join('\n'),
          'sh',
          process.execPath,
          main,
          ...args,
        ]);
      const adapters = JSON.parse(await hiding('adapters', '--json')) as { name: string; reason: string | null }[];
      assert.match(
        adapters.find(({ name }) => name === 'verbs')!.reason!,
        /^lib(rdmacm|ibverbs)\.so\.1 is missing: apt-get install libibverbs1 ibverbs-providers librdmacm1$/,
      );
      assert.match(await hiding('demo', '--adapter', 'simulated'), /^sha256 equal\nreplay: equal$/m);
    },
  },
  {
    name: "the platform package's library moves a file where there is no compiler",
    timeoutMs: 180_000,
    async run() {
      const folder = fileURLToPath(new URL(`../../node_modules/${platformPackage()}`, import.meta.url));
      await run([process.execPath, fileURLToPath(new URL('../../native/pack.mjs', import.meta.url)), folder]);
      const build = fileURLToPath(new URL('../../native/build', import.meta.url));
      const script = 'mount -t tmpfs none "$1"; shift; PATH=/nonexistent exec "$@"';
      const command = [process.execPath, main, 'demo', '--adapter', 'verbs'];
      try {
        const text = await run(['unshare', '--mount', 'sh', '-ec', script, 'sh', build, ...command]);
        assert.match(text, /^sha256 equal\nreplay: equal$/m);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  },
];

/** A server on h1, and clients on h2. */
export const remoteCases = (device: string, address: string): readonly GuestCase[] => [
  {
    name: `${device}: put, get and ping, each with the journals of both hosts`,
    timeoutMs: 300_000,
    async run() {
      for (const size of sizes) {
        const { folder, file } = folderWithFile(size);
        const put = await served(folder, address, (url, journal) =>
          wsdirect(['put', file, `${url}copy`, '--adapter', 'verbs', '--journal', journal], { within: 'h2' }),
        );
        assert.equal(sha256(path.join(folder, 'copy')), sha256(file));
        note(`${device}: put, ${size} bytes: ${put.trim().split('\n').at(-1)}`);
      }
      const { folder, file } = folderWithFile(MIB);
      const got = path.join(folder, 'got');
      await served(folder, address, (url, journal) =>
        wsdirect(['get', `${url}${path.basename(file)}`, got, '--adapter', 'verbs', '--journal', journal], {
          within: 'h2',
        }),
      );
      assert.equal(sha256(got), sha256(file));
      const pinged = await served(folder, address, (url, journal) =>
        wsdirect(['ping', new URL(url).host, '-c', '5', '-i', '0', '--adapter', 'verbs', '--journal', journal], {
          within: 'h2',
        }),
      );
      assert.match(pinged, /^5 sent, 5 came back/m);
      note(`${device}: ${pinged.trim().split('\n').at(-1)}`);
    },
  },
];

/** Has a server on h1 serve one client, and judges the journals of both. @returns what the client said */
async function served(
  folder: string,
  address: string,
  client: (url: string, journal: string) => Promise<string>,
): Promise<string> {
  const journals = mkdtempSync(path.join(tmpdir(), 'wsdirect-'));
  const [near, far] = ['client', 'server'].map((name) => path.join(journals, `${name}.wsdj`)) as [string, string];
  const where = ['--listen', `${address}:0`, '--adapter', 'verbs', '--journal', far];
  const server: Program = start([process.execPath, main, 'serve', folder, '--once', ...where], { within: 'h1' });
  await server.says(/serving .* at wsd:/);
  const said = await client(/wsd:\S+/.exec(server.output)![0], near);
  await server.succeeds();
  journalsHold(near, far);
  return said;
}
