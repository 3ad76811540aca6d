/** The project's own verbs program, native/peer/verbs-peer.c, as a peer; and what it and a test have in common. */

import { fileURLToPath } from 'node:url';

import { type Program, run, start } from '../programs.ts';

const source = fileURLToPath(new URL('../../../native/peer/verbs-peer.c', import.meta.url));
/** Memory of the guest. */
const binary = '/run/verbs-peer';
let built: Promise<string> | null = null;

/** Builds it. @throws Error with what the compiler says, of which warnings are errors */
export const buildVerbsPeer = (compiler: 'gcc' | 'clang', into = binary): Promise<string> =>
  run([
    compiler,
    ...['-std=c11', '-D_DEFAULT_SOURCE', '-Wall', '-Wextra', '-Werror', '-O2', '-o', into, source],
    ...['-lrdmacm', '-libverbs'],
  ]);

export interface VerbsPeerOptions {
  /** Bytes of private data that it sends. Default 0. */
  readonly privateBytes?: number;
  /** Bytes of its memory. Default 1 MiB. */
  readonly memoryBytes?: number;
}

/** Starts it on h1; see the program for the actions. A listening one is ready when this resolves. */
export async function verbsPeer(
  role: 'listen' | 'connect' | 'reject',
  address: string,
  port: number,
  actions: readonly string[],
  { privateBytes = 0, memoryBytes = 1024 * 1024 }: VerbsPeerOptions = {},
): Promise<Program> {
  built ??= buildVerbsPeer('gcc');
  await built;
  const args = [role, address, `${port}`, `${privateBytes}`, `${memoryBytes}`, ...actions];
  const program = start([binary, ...args], { within: 'h1' });
  if (role !== 'connect') await program.says(/^listening$/m);
  return program;
}

/** The bytes that it fills memory, messages and private data with. */
export const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => index * 7 + (index >> 8) + 1);
