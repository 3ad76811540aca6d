/**
 * Says whether node_modules holds what package-lock.json asks for.
 *
 * npm keeps no such mark itself, so the digest of the lock file is left in node_modules after each install: by
 * run.mjs, and, when npm is used by hand, by the `prepare` script, which is this file run as a program.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const lockFile = new URL('../package-lock.json', import.meta.url);
const modules = new URL('../node_modules/', import.meta.url);
const stampFile = new URL('.wsdirect-lock-sha256', modules);

const lockDigest = () => createHash('sha256').update(readFileSync(lockFile)).digest('hex');

/** @returns {'installed' | 'absent' | 'outdated'} */
export function installState() {
  if (!existsSync(modules)) return 'absent';
  if (!existsSync(stampFile)) return 'outdated';
  return readFileSync(stampFile, 'utf8') === lockDigest() ? 'installed' : 'outdated';
}

/** Marks node_modules as holding what package-lock.json asks for. */
export function writeStamp() {
  writeFileSync(stampFile, lockDigest());
}

// `prepare` also runs before packing, when there may be no node_modules to mark.
if (process.argv[1] === fileURLToPath(import.meta.url) && existsSync(modules) && existsSync(lockFile)) writeStamp();
