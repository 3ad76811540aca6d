/** The project's own verbs program, native/peer/verbs-peer.c, as a peer; and what it and a test have in common. */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { CompletionStatus, Opcode } from '../../../driver/adapter/adapter.ts';
import { type Program, run, start } from '../programs.ts';
import { decodeInfo, encodeInfo, INFO_BYTES } from './messages.ts';
import type { Raw } from './raw.ts';
import { wires } from './wire.ts';

const source = fileURLToPath(new URL('../../../native/peer/verbs-peer.c', import.meta.url));
export const VERBS_PORT = 7300;
const { iwarp } = wires;
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
  /** The host that it runs on. Default h1. */
  readonly within?: 'h1' | 'h2';
}

/** Starts it; see the program for the actions. A listening one is ready when this resolves. */
export async function verbsPeer(
  role: 'listen' | 'connect' | 'reject',
  address: string,
  port: number,
  actions: readonly string[],
  { privateBytes = 0, memoryBytes = 1024 * 1024, within = 'h1' }: VerbsPeerOptions = {},
): Promise<Program> {
  built ??= buildVerbsPeer('gcc');
  await built;
  const args = [role, address, `${port}`, `${privateBytes}`, `${memoryBytes}`, ...actions];
  const program = start([binary, ...args], { within });
  if (role !== 'connect') await program.says(/^listening$/m);
  return program;
}

/** The bytes that it fills memory, messages and private data with. */
export const pattern = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => index * 7 + (index >> 8) + 1);

/** Has it connect to `raw`, learn where memory is, and then act. */
export async function accepted(raw: Raw, actions: readonly string[], invalidate = false) {
  const listener = raw.listen(iwarp.oursAt(VERBS_PORT));
  const peer = await verbsPeer('connect', iwarp.ours.IPv4, VERBS_PORT, ['send:1', 'learn', ...actions]);
  await raw.request();
  raw.adapter.stopListening(listener);
  const memory = new Uint8Array(4096);
  const region = raw.register(memory, invalidate);
  const messages = raw.register(new Uint8Array(4096));
  for (const at of [0, 1024, 2048]) raw.post(Opcode.receive, messages, at, 1024);
  raw.accept(new Uint8Array(0));
  await raw.event('established');
  assert.equal((await raw.completion()).bytes, 1);
  const info = encodeInfo({ address: region.address, key: region.remoteKey, length: memory.length });
  raw.post(Opcode.send, raw.register(info), 0, INFO_BYTES);
  assert.equal((await raw.completion()).status, CompletionStatus.success);
  return { peer, memory, region };
}

/** Connects `raw` to it, which offers its memory and then acts. */
export async function connected(raw: Raw, actions: readonly string[] = []) {
  const peer = await verbsPeer('listen', iwarp.theirs.IPv4, VERBS_PORT, ['offer', ...actions, 'wait']);
  raw.connect(iwarp.oursAt(0), iwarp.theirsAt(VERBS_PORT), new Uint8Array(0));
  const messages = new Uint8Array(64);
  const region = raw.register(messages);
  raw.post(Opcode.receive, region, 0, INFO_BYTES);
  await raw.event('established');
  assert.equal((await raw.completion()).bytes, INFO_BYTES);
  return { peer, region, target: decodeInfo(messages.subarray(0, INFO_BYTES)) };
}
