/**
 * CRC32C, as MPA and iSCSI use it.
 *
 * Theory of operation: of the libraries that install without a compiler (`npm run bench -- crc`) aws-crt is the fastest on
 * what is in the processor's cache, by far; but it takes 0.2 s to load, and isn't made for every platform. So it is an
 * optional dependency, loaded when the first large piece comes, or many smaller ones have come; all until then, and where
 * it is missing, are `@node-rs/crc32`'s. To call either takes longer than all of a tiny piece does here, four bytes at a
 * time.
 */

import { createRequire } from 'node:module';

import { crc32c as checksum } from '@node-rs/crc32';

import { RecentParts } from './recent-parts.ts';

type Checksum = (bytes: Uint8Array, before: number) => number;

/** Up to so many bytes a piece is tiny. */
const TINY_BYTES = 192;
/** From so many bytes on a piece is large. */
const LARGE_BYTES = 16_384;
/** Bytes of smaller pieces, all together, that are as good as a large one. */
const MANY_BYTES = 16 * 1024 * 1024;

const atFirst = checksum as Checksum;
/** Null as long as it isn't worth while. */
let fastest: Checksum | null = null;
let bytesAtFirst = 0;

function load(): Checksum {
  try {
    // The checksums alone: the package's main module brings clients of AWS's services with it.
    const { crc32c } = createRequire(import.meta.url)('aws-crt/dist/native/checksums.js') as { crc32c: Checksum };
    return crc32c;
  } catch {
    return atFirst;
  }
}

/** What comes and what goes are checked in turns. */
const pieces = new RecentParts();

/** The polynomial, reflected. */
const POLYNOMIAL = 0x82f6_3b78;

// What each value of a byte makes of the checksum, by how many bytes are taken in the same step behind it.
const noneBehind = Int32Array.from({ length: 256 }, (_, value) => {
  let rest = value;
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ POLYNOMIAL;
  return rest;
});
const oneBehind = noneBehind.map((rest) => (rest >>> 8) ^ noneBehind[rest & 0xff]!);
const twoBehind = oneBehind.map((rest) => (rest >>> 8) ^ noneBehind[rest & 0xff]!);
const threeBehind = twoBehind.map((rest) => (rest >>> 8) ^ noneBehind[rest & 0xff]!);

function ofTiny(bytes: Uint8Array, before: number, from: number, end: number): number {
  let rest = ~before;
  let at = from;
  for (; at < end - 3; at += 4) {
    rest =
      threeBehind[(rest ^ bytes[at]!) & 0xff]! ^
      twoBehind[((rest >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      oneBehind[((rest >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      noneBehind[(rest >>> 24) ^ bytes[at + 3]!]!;
  }
  for (; at < end; at++) rest = (rest >>> 8) ^ noneBehind[(rest ^ bytes[at]!) & 0xff]!;
  return ~rest >>> 0;
}

/**
 * The checksum of `bytes` from `from` to `end`, 0 to 2^32 - 1.
 *
 * @param before - of the bytes in front of these, when they are checked in parts
 */
export function crc32c(bytes: Uint8Array, before = 0, from = 0, end: number = bytes.byteLength): number {
  const length = end - from;
  if (length <= TINY_BYTES) return ofTiny(bytes, before, from, end);
  const piece = length === bytes.byteLength ? bytes : pieces.of(bytes, from, end);
  if (fastest !== null) return fastest(piece, before);
  bytesAtFirst += length;
  if (length < LARGE_BYTES && bytesAtFirst < MANY_BYTES) return atFirst(piece, before);
  fastest = load();
  return fastest(piece, before);
}
