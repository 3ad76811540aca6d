/**
 * `npm run fuzz [-- SECONDS]`: fuzzes the iWARP core, led by coverage, and adds what covers more to the corpus.
 *
 * Theory of operation: jsfuzz instruments CommonJS only, so the harness is bundled first. The fuzzer is old and brings many
 * packages of its own; it is installed beside the cache of this program when it is asked for, and is no dependency of
 * the project. The corpus is a text file, one input in hexadecimal a line; jsfuzz wants a folder, which is made of it.
 * Afterwards the smallest inputs that together reach all that was reached are kept.
 *
 * Exit code 1 when an input broke something: its bytes are printed, and are to be added to the corpus with the fix.
 */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

import { corpusFile, readCorpus } from './corpus.ts';
import { minimised } from './minimise.ts';

const FUZZER = 'jsfuzz@1.0.15';
const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = path.join(root, 'node_modules/.cache/fuzz');
const folder = path.join(cache, 'corpus');
const seconds = Number(process.argv[2] ?? 60);
if (!(seconds > 0)) throw new Error(`npm run fuzz -- SECONDS: ${process.argv[2]} is no number above 0`);

/** Bundles the harness. Only the core is worth a fuzzer's attention; machines are tables, and told by the harness. */
async function bundle(): Promise<void> {
  await build({
    configFile: false,
    root,
    logLevel: 'error',
    ssr: { noExternal: true, external: ['@node-rs/crc32'] },
    build: {
      ssr: fileURLToPath(new URL('target.ts', import.meta.url)),
      outDir: cache,
      emptyOutDir: false,
      target: 'es2022',
      minify: false,
      rolldownOptions: {
        output: {
          format: 'cjs',
          entryFileNames: 'target.cjs',
          chunkFileNames: '[name].cjs',
          codeSplitting: { groups: [{ name: 'uncounted', test: /[\\/](xstate|machines)[\\/]/ }] },
          banner: (chunk) => (chunk.name === 'uncounted' ? '/* istanbul ignore file */' : ''),
        },
      },
    },
  });
}

function install(): void {
  mkdirSync(cache, { recursive: true });
  if (existsSync(path.join(cache, 'node_modules/jsfuzz'))) return;
  writeFileSync(path.join(cache, 'package.json'), '{ "private": true }');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', FUZZER];
  const { status } = spawnSync('npm', args, { cwd: cache, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`npm could not install ${FUZZER}`);
}

/** Runs the fuzzer until the time is up or it finds something. @returns the input that broke something, or null */
async function search(): Promise<Uint8Array | null> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [index, input] of readCorpus().entries()) writeFileSync(path.join(folder, `seed-${index}`), input);
  const crash = path.join(cache, 'crash');
  rmSync(crash, { force: true });
  const program = path.join(cache, 'node_modules/jsfuzz/build/src/index.js');
  // An input that takes 300 s spins (the first one waits for the worker to start, on a busy machine for long); one that takes the process beyond 400 MB holds what it shouldn't.
  const args = ['target.cjs', 'corpus', '--timeout', '300', '--rss-limit-mb', '400', '--exact-artifact-path', crash];
  const child = spawn(process.execPath, [program, ...args], {
    cwd: cache,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  let last = '';
  child.stdout.on('data', (text: string) => {
    output = `${output}${text}`.slice(-20_000);
    last = /.*\n$/.exec(String(text))?.[0] ?? last;
  });
  const print = setInterval(() => process.stdout.write(last), 30_000);
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  // Its worker is another process, and it ignores SIGINT: who ends this program ends the group.
  const end = (): void => {
    process.kill(-child.pid!, 'SIGKILL');
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  let spent = '';
  const stop = setTimeout(() => {
    spent = cpuSeconds(child.pid!);
    process.kill(-child.pid!, 'SIGKILL');
  }, seconds * 1000);
  await ended;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  clearTimeout(stop);
  clearInterval(print);
  process.stdout.write(`${last}${spent}`);
  if (!existsSync(crash)) return null;
  process.stdout.write(output);
  return readFileSync(crash);
}

/** Processor time of a process group, where the system tells: a line. */
function cpuSeconds(group: number): string {
  if (!existsSync('/proc/self/stat')) return '';
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const file = `/proc/${pid}/stat`;
    // Behind the name, which can hold anything: state, parent, group, ... user and system time in hundredths.
    const fields = existsSync(file)
      ? readFileSync(file, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ')
      : [];
    if (Number(fields[2]) === group) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return `${(ticks / 100).toFixed(0)} CPU seconds\n`;
}

install();
await bundle();
const crash = await search();
if (crash === null) {
  const found = readdirSync(folder).map((name) => readFileSync(path.join(folder, name)));
  const kept = await minimised([...readCorpus(), ...found]);
  writeFileSync(corpusFile, kept.map((input) => `${Buffer.from(input).toString('hex')}\n`).join(''));
  console.log(`corpus: ${kept.length} inputs, ${kept.reduce((sum, input) => sum + input.byteLength, 0)} bytes`);
} else {
  console.log(`this input broke something: ${Buffer.from(crash).toString('hex')}`);
  process.exitCode = 1;
}
