/** Builds what the tests of `native/` need, in `native/build`. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../native', import.meta.url));
const shim = ['library.c', 'connection.c', 'device.c', 'rings.c'].map((name) => `${folder}/${name}`);
const warnings = ['-std=c11', '-Wall', '-Wextra', '-Werror'];

export const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

/** Why nothing can be built, and what to install; null when it can. */
export function nativeIsMissing(compiler = 'gcc'): string | null {
  if (!isInstalled(compiler)) return `${compiler} is not installed (.ci/run names the packages)`;
  const input = '#include <rdma/rdma_cma.h>\n#include <infiniband/verbs.h>\n';
  const found = spawnSync(compiler, ['-fsyntax-only', '-xc', '-'], { input });
  return found.status === 0 ? null : 'the headers of rdma-core are not installed (.ci/run names the packages)';
}

/** @throws Error with what the compiler says */
function compile(compiler: string, args: readonly string[]): void {
  mkdirSync(`${folder}/build`, { recursive: true });
  execFileSync(compiler, [...warnings, ...args], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}

/** Compiles the shim as it is shipped, and as it is tested; any warning is an error. */
export function compileShim(compiler: string): void {
  for (const flags of [['-O2'], ['-O0', '-DWSD_FAULTS']]) {
    for (const file of shim) compile(compiler, [...flags, '-fPIC', '-c', file, '-o', '/dev/null']);
  }
}

/** The program that makes each call fail, under `sanitizers`. @returns its file */
export function buildFaults(sanitizers: string): string {
  const file = `${folder}/build/faults-${sanitizers.replaceAll(',', '-')}`;
  const flags = ['-O1', '-g', '-DWSD_FAULTS', `-fsanitize=${sanitizers}`, '-fno-sanitize-recover=all'];
  compile('gcc', [...flags, ...shim, `${folder}/test/faults.c`, '-ldl', '-o', file]);
  return file;
}

/** A library that stands for both of rdma-core's. @param sanitizers - none if empty @returns the folder to find it in */
export function buildFake(sanitizers: string): string {
  const fake = `${folder}/build/fake${sanitizers === '' ? '' : '-sanitized'}`;
  const sanitized = sanitizers === '' ? [] : [`-fsanitize=${sanitizers}`, '-fno-sanitize-recover=all'];
  mkdirSync(fake, { recursive: true });
  compile('gcc', [
    ...['-g', '-O1', '-fPIC', '-shared', ...sanitized],
    ...[`${folder}/test/fake.c`, '-o', `${fake}/libibverbs.so.1`],
  ]);
  rmSync(`${fake}/librdmacm.so.1`, { force: true });
  symlinkSync('libibverbs.so.1', `${fake}/librdmacm.so.1`);
  return fake;
}

/** The fuzzer of the rings. @returns its file */
export function buildFuzzer(): string {
  const file = `${folder}/build/fuzz`;
  const flags = ['-O1', '-g', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all'];
  compile('clang', [...flags, `${folder}/rings.c`, `${folder}/test/fuzz.c`, '-o', file]);
  return file;
}
