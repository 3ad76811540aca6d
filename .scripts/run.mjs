/**
 * Runs one of the project's tasks from a bare clone: `node .scripts/run.mjs TASK [ARGUMENT...]`.
 *
 * Every script in package.json comes through here, so each works alone and first. The launcher installs the locked
 * dependencies when node_modules lacks them, then runs the task on the Node.js that the lock file pins. It needs
 * nothing but npm and any Node.js from 20 on, and so imports nothing that has to be installed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installState, writeStamp } from './stamp.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const biome = ['@biomejs/biome', 'biome'];

/**
 * What each task runs, in order, until one fails: a file of ours, or the program that a package installs.
 * The caller's arguments go to the last step.
 */
const tasks = {
  demo: [{ file: 'driver/cli/main.ts', args: ['demo'], inCallersFolder: true }],
  test: [{ program: ['vitest', 'vitest'], args: ['run', '--config', '.config/vitest.config.ts'] }],
  'test:random': [
    {
      program: ['vitest', 'vitest'],
      args: ['run', '--config', '.config/vitest.config.ts', 'model-tests/random/random.test.ts'],
      // More than `npm test` makes; the caller's word counts.
      env: { WSD_RUNS: process.env.WSD_RUNS ?? '10000' },
    },
  ],
  // The long part of checking: `-- NAME...` for some worlds, `-- --quick`, `-- --seconds N`.
  'check:all': [
    {
      nodeArgs: ['--max-old-space-size=4096'],
      file: 'model-tests/product/main.ts',
      args: ['--record', '--edges', '20000'],
    },
    { nodeArgs: ['--max-old-space-size=4096'], file: 'model-tests/check/all.ts', args: [] },
  ],
  check: [{ program: ['typescript', 'tsc'], args: ['-p', '.'] }],
  lint: [{ program: biome, args: ['lint', '--error-on-warnings'] }],
  format: [{ program: biome, args: ['format', '--write'] }],
  'format:check': [{ program: biome, args: ['format'] }],
  docs: [
    { file: 'docs/generate/main.ts', args: [] },
    { program: ['typedoc', 'typedoc'], args: ['--options', 'docs/typedoc.json'] },
  ],
  bench: [{ nodeArgs: ['--expose-gc'], file: 'model-tests/bench/main.ts', args: [] }],
  fuzz: [{ file: 'model-tests/fuzz/main.ts', args: [] }],
  // Mutants of the driver's own code; `-- --mutate driver/FILE.ts` for one file.
  'mutate:driver': [{ program: ['@stryker-mutator/core', 'stryker'], args: ['run', '.config/stryker.json'] }],
  'bench:rdma': [{ file: 'model-tests/verbs/bench/main.ts', args: [] }],
  build: [{ program: ['typescript', 'tsc'], args: ['-p', '.config/tsconfig.build.json'] }],
};

function fail(message, exitCode = 1) {
  console.error(`wsdirect: ${message}`);
  process.exit(exitCode);
}

/** Runs a program on our own streams to its end, passing signals on. Resolves to its exit code. */
function run(program, args, options) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'inherit', ...options });
    // A terminal sends Ctrl-C to the whole process group: the child has it already, and a second would be one too many.
    const forward = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    // npm passes a signal to the shell that it ran us with, and that shell ends without telling us.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      child.kill('SIGTERM');
    }, 200);
    child.on('error', (error) => fail(`cannot run ${program}: ${error.message}`, 127));
    child.on('close', (exitCode, signal) => {
      for (const name of signals) process.off(name, forward);
      clearInterval(watch);
      // As a shell reports it; ending ourselves by the same signal would make npm print its own error report.
      resolve(exitCode ?? 128 + constants.signals[signal]);
    });
  });
}

async function install() {
  const state = installState();
  if (state === 'installed') return;
  console.error(
    state === 'absent'
      ? 'wsdirect: installing the locked dependencies (first run: about a minute) ...'
      : 'wsdirect: node_modules does not match package-lock.json, installing again ...',
  );
  // The errors-only level hides the warnings that the tools want a newer Node.js than npm's: they will get it.
  // No package that we use needs an install script.
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  // Known when npm started us, and then no search or shell is needed to find npm.
  const npm = process.env.npm_execpath;
  const byNpm = npm !== undefined && path.basename(npm) === 'npm-cli.js';
  const options = { cwd: root, stdio: ['ignore', 2, 2] }; // standard output is the task's alone
  const exitCode = byNpm
    ? await run(process.execPath, [npm, ...args], options)
    : await run('npm', args, { ...options, shell: process.platform === 'win32' });
  if (exitCode !== 0) fail(`npm ci failed with exit code ${exitCode}: the dependencies are not installed`, exitCode);
  writeStamp();
}

/** The pinned Node.js where it runs, otherwise the current one if it strips types and has the syntax we use. */
function findNode() {
  const pinned = path.join(root, 'node_modules', '.bin', 'node');
  // Tried, not just looked for: the pinned one is linked with glibc, which not every Linux has.
  if (existsSync(pinned) && spawnSync(pinned, ['--version']).status === 0) return pinned;
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 24 || (major === 24 && minor >= 19)) return process.execPath;
  return fail(`no pinned Node.js for ${process.platform}-${process.arch}: run this with Node.js 24.19 or newer`);
}

/** The script behind a package's program. The docs workspace comes second: it has its own, older typescript. */
function programFile([packageName, programName]) {
  for (const folder of ['.', 'docs']) {
    const packageFolder = path.join(root, folder, 'node_modules', packageName);
    if (!existsSync(packageFolder)) continue;
    const { bin } = JSON.parse(readFileSync(path.join(packageFolder, 'package.json'), 'utf8'));
    return path.join(packageFolder, typeof bin === 'string' ? bin : bin[programName]);
  }
  return fail(`${packageName} is not installed: run npm ci`);
}

const [taskName, ...extraArgs] = process.argv.slice(2);
if (!Object.hasOwn(tasks, taskName ?? '')) fail(`no task '${taskName}': one of ${Object.keys(tasks).join(', ')}`, 2);
await install();

const node = findNode();
const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}` };
// npm runs scripts at the root; a file named by the caller is relative to where npm was started.
const callersFolder = process.env.npm_lifecycle_event === taskName ? process.env.INIT_CWD : process.cwd();

for (const step of tasks[taskName]) {
  const last = step === tasks[taskName].at(-1);
  const file = step.file === undefined ? programFile(step.program) : path.join(root, step.file);
  if (!existsSync(file)) fail(`${path.relative(root, file)} does not exist`);
  const args = [...(step.nodeArgs ?? []), file, ...step.args, ...(last ? extraArgs : [])];
  const exitCode = await run(node, args, {
    cwd: step.inCallersFolder ? callersFolder : root,
    env: { ...env, ...step.env },
  });
  if (exitCode !== 0) process.exit(exitCode);
}
