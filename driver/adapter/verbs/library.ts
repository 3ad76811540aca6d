/**
 * Finds the shim's library, and builds it where that is possible.
 *
 * Theory of operation: in this order, the file that `WSDIRECT_NATIVE` names; one built from `native/` with the system's
 * compiler, which happens at the first use; the one in the package for this platform. What can't be had is a reason in
 * one line, never an exception: everything but the verbs adapter works without.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** Where the library is, or why there is none and what to do about it. */
export type Found = { readonly file: string } | { readonly reason: string };

/** The package's folder: the source's when run from a checkout, one above `dist` when installed. */
function packageFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder);
  return folder;
}

/** Name of the package with a prebuilt library for this platform. */
export const platformPackage = (): string => `wsdirect-native-${process.platform}-${process.arch}`;

/** Found before: asking the builder costs a process, and what a process has loaded it goes on with. */
let known: Found | null = null;

/** @param build - whether to build it when that is needed. Default true. */
export function findLibrary(build = true): Found {
  const named = process.env['WSDIRECT_NATIVE'];
  if (named !== undefined && named !== '') {
    return existsSync(named) ? { file: named } : { reason: `WSDIRECT_NATIVE names ${named}, which doesn't exist` };
  }
  if (known !== null) return known;
  if (process.platform !== 'linux') return { reason: `RDMA devices are reached on Linux only` };
  const builder = path.join(packageFolder(), 'native', 'build.mjs');
  const built = spawnSync(process.execPath, [builder, ...(build ? [] : ['--check'])], { encoding: 'utf8' });
  const file = built.status === 0 ? built.stdout.trim() : prebuiltLibrary();
  if (file !== null) {
    known = { file };
    return known;
  }
  if (built.status === 4) return { reason: 'the native part is not built: node native/build.mjs' };
  const [line] = built.stderr.trim().split('\n');
  return { reason: `the native part can't be built: ${line}` };
}

function prebuiltLibrary(): string | null {
  try {
    return createRequire(import.meta.url).resolve(`${platformPackage()}/libwsdirect.so`);
  } catch {
    return null;
  }
}
