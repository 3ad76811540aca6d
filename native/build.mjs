/**
 * Builds the C shim with the system's compiler: `node native/build.mjs`. Prints the library's path.
 *
 * Theory of operation: the library lies in `native/build`; it is up to date when nothing that it is made of is younger.
 * Written aside and renamed, so that a program that loads it meanwhile finds the old one or the new one whole.
 * The compiler is `$CC`, or the first of cc, gcc and clang that there is.
 *
 * Exit code: 0 built or up to date; 3 there is no compiler or a header is missing; 1 the compiler failed otherwise.
 * `--check` builds nothing: 0 up to date, 4 not.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

const folder = import.meta.dirname;
const output = path.join(folder, 'build', 'libwsdirect.so');
const sources = ['library.c', 'connection.c', 'device.c', 'rings.c'].map((name) => path.join(folder, name));
const ingredients = [
  ...sources,
  ...['shim.h', 'internal.h', 'shim.map', 'build.mjs'].map((name) => path.join(folder, name)),
];

const flags = ['-std=c11', '-O2', '-g', '-Wall', '-Wextra', '-fPIC', '-shared'];
// Never unloaded: device drivers that it has loaded keep threads and exit handlers of their own.
const linkFlags = ['-Wl,-z,nodelete', '-Wl,-z,defs', `-Wl,--version-script=${path.join(folder, 'shim.map')}`];

const timeOf = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const isUpToDate = () => timeOf(output) > Math.max(...ingredients.map(timeOf));

function end(exitCode, line) {
  (exitCode === 0 ? console.log : console.error)(line);
  process.exit(exitCode);
}

if (isUpToDate()) end(0, output);
if (process.argv.includes('--check')) end(4, 'not built');
if (process.platform !== 'linux') end(3, `RDMA devices are reached on Linux only, not on ${process.platform}`);

const compilers = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
const compiler = compilers.find((name) => spawnSync(name, ['--version']).status === 0);
if (compiler === undefined) end(3, 'no C compiler: apt-get install gcc libc6-dev libibverbs-dev librdmacm-dev');

mkdirSync(path.dirname(output), { recursive: true });
const aside = `${output}.${process.pid}`;
const made = spawnSync(compiler, [...flags, ...linkFlags, '-o', aside, ...sources, '-ldl'], {
  encoding: 'utf8',
});
if (made.status !== 0) {
  rmSync(aside, { force: true });
  const header = /fatal error: (\S+\.h)/.exec(made.stderr)?.[1];
  if (header !== undefined) end(3, `${header} is missing: apt-get install libibverbs-dev librdmacm-dev libc6-dev`);
  end(1, `${compiler} failed:\n${made.stderr}`);
}
renameSync(aside, output);
end(0, output);
