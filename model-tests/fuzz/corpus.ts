/** The inputs that fuzzing left: one in hexadecimal a line, none twice. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const corpusFile = fileURLToPath(new URL('corpus.txt', import.meta.url));

export function readCorpus(): Uint8Array[] {
  if (!existsSync(corpusFile)) return [];
  const lines = readFileSync(corpusFile, 'utf8').split('\n').slice(0, -1);
  return [...new Set(lines)].map((line) => Uint8Array.from(Buffer.from(line, 'hex')));
}
