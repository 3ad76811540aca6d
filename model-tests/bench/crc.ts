/**
 * `npm run bench -- crc`: what the libraries of CRC32C from the npm registry cost that install without a compiler.
 *
 * Theory of operation: the project has all but one, which is installed beside the cache of this program when it
 * is asked for. Each is checked by RFC 3720's vector first. Pieces are of a TCP segment's payload, of this adapter's
 * segments, and of a message; they lie one after the other in 64 MiB, so no piece is in the processor's cache, but for the last figure's.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';

import Table from 'cli-table3';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = path.join(root, 'node_modules/.cache/bench');
const WASM = 'hash-wasm@4.13.0';

const PIECES = [64, 1460, 65_536, 1_048_576] as const;
/** One piece, over and over. */
const CACHED = 65_536;
const MEMORY_BYTES = 64 * 1024 * 1024;
const ROUNDS = 5;
/** Processor time of a round, at least. */
const ROUND_US = 100_000;

type Checksum = (bytes: Buffer) => number;

interface Candidate {
  readonly name: string;
  readonly kind: string;
  readonly checksum: Checksum;
  /** Of another polynomial: for comparison. */
  readonly isOther?: boolean;
}

/** As hash-wasm has it. */
interface WasmHash {
  init(): void;
  update(bytes: Buffer): void;
  digest(kind: 'binary'): Uint8Array;
}

function install(): void {
  if (existsSync(path.join(cache, 'node_modules/hash-wasm'))) return;
  mkdirSync(cache, { recursive: true });
  writeFileSync(path.join(cache, 'package.json'), '{ "private": true }');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', WASM];
  const { status } = spawnSync('npm', args, { cwd: cache, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`npm could not install ${WASM}`);
}

async function candidates(): Promise<Candidate[]> {
  const own = createRequire(import.meta.url);
  const other = createRequire(path.join(cache, 'package.json'));
  const native = own('@node-rs/crc32') as { crc32c: Checksum };
  const script = own('crc-32/crc32c.js') as { buf: Checksum };
  const aws = own('aws-crt/dist/native/checksums.js') as { crc32c: Checksum };
  const { createCRC32 } = other('hash-wasm') as { createCRC32(polynomial: number): Promise<WasmHash> };
  const wasm = await createCRC32(0x82f6_3b78);
  return [
    { name: '@node-rs/crc32', kind: 'native', checksum: (bytes) => native.crc32c(bytes) },
    { name: 'aws-crt', kind: 'native', checksum: (bytes) => aws.crc32c(bytes) },
    {
      name: 'hash-wasm',
      kind: 'WebAssembly',
      checksum: (bytes) => {
        wasm.init();
        wasm.update(bytes);
        const digest = wasm.digest('binary');
        return ((digest[0]! << 24) | (digest[1]! << 16) | (digest[2]! << 8) | digest[3]!) >>> 0;
      },
    },
    { name: 'crc-32', kind: 'JavaScript', checksum: (bytes) => script.buf(bytes) >>> 0 },
    { name: 'node:zlib, CRC-32', kind: 'native', checksum: (bytes) => crc32(bytes), isOther: true },
  ];
}

/** Nanoseconds of processor time of one call, the least of some rounds. */
function nanoseconds(checksum: Checksum, memory: Buffer, pieceBytes: number): number {
  const pieces = Math.floor(memory.byteLength / pieceBytes);
  let least = Infinity;
  let at = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.cpuUsage();
    let calls = 0;
    let us = 0;
    while (us < ROUND_US) {
      for (let batch = 0; batch < 16; batch++) {
        checksum(memory.subarray(at * pieceBytes, (at + 1) * pieceBytes));
        at = (at + 1) % pieces;
      }
      calls += 16;
      us = process.cpuUsage(begin).user;
    }
    least = Math.min(least, (us * 1e3) / calls);
  }
  return least;
}

function cost(checksum: Checksum, memory: Buffer, pieceBytes: number): string {
  const ns = nanoseconds(checksum, memory, pieceBytes);
  return `${ns.toFixed(0)} ns, ${(pieceBytes / ns).toFixed(2)} GB/s`;
}

export async function crcBench(): Promise<never> {
  install();
  const memory = Buffer.alloc(MEMORY_BYTES, 7);
  const table = new Table({
    head: ['library', 'kind', ...PIECES.map((bytes) => `${bytes} bytes`), `${CACHED} bytes in the cache`],
  });
  for (const { name, kind, checksum, isOther = false } of await candidates()) {
    const found = checksum(Buffer.from('123456789'));
    if (!isOther && found !== 0xe306_9283) throw new Error(`${name} makes ${found.toString(16)} of 123456789`);
    table.push([
      name,
      kind,
      ...PIECES.map((bytes) => cost(checksum, memory, bytes)),
      cost(checksum, memory.subarray(0, CACHED), CACHED),
    ]);
  }
  console.log(table.toString());
  process.exit(0);
}
