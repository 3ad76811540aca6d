/**
 * CRC32C, as MPA and iSCSI use it.
 *
 * Theory of operation: of the libraries that install without a compiler (`npm run bench -- crc`) aws-crt is the fastest on
 * what is in the processor's cache, by far; but it takes 0.2 s to load, and isn't made for every platform. So it is an
 * optional dependency, loaded when the first large piece comes; small pieces, and all of them where it is missing, are
 * @node-rs/crc32's.
 */

import { createRequire } from 'node:module';

import { crc32c as checksum } from '@node-rs/crc32';

type Checksum = (bytes: Uint8Array, before: number) => number;

/** From so many bytes on a piece is large. */
const LARGE_BYTES = 16_384;

const ofSmall = checksum as Checksum;
let ofLarge: Checksum | null = null;

function load(): Checksum {
  try {
    // The checksums alone: the package's main module brings clients of AWS's services with it.
    const { crc32c } = createRequire(import.meta.url)('aws-crt/dist/native/checksums.js') as { crc32c: Checksum };
    return crc32c;
  } catch {
    return ofSmall;
  }
}

/**
 * The checksum of `bytes`, 0 to 2^32 - 1.
 *
 * @param before - of the bytes in front of these, when they are checked in parts
 */
export function crc32c(bytes: Uint8Array, before = 0): number {
  if (bytes.byteLength < LARGE_BYTES) return ofSmall(bytes, before);
  ofLarge ??= load();
  return ofLarge(bytes, before);
}
